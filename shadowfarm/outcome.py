"""The outcome of a job that ran; the two others are the exceptions `NotStarted` and `JobLost`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class JobResult:
    """How the program ended: with exit status `code`, or killed by signal number `signal` (0: it was not)."""

    code: int = 0
    signal: int = 0

    @classmethod
    def from_wait_status(cls, wait_status: int) -> JobResult:
        """Translate what waitpid(2) gives."""
        import os

        if os.WIFSIGNALED(wait_status):
            return cls(signal=os.WTERMSIG(wait_status))
        return cls(code=os.WEXITSTATUS(wait_status))
