"""What can go wrong, as one tree.

    FarmError                   has a line for the user, a cure, and an exit status
    +-- UsageError              called wrongly
    +-- ConfigError             config.py or a worker's file
    +-- ListenError             a worker cannot listen at its address
    +-- NotStarted              an outcome: the job did not start, another worker may have it
    +-- JobLost                 an outcome: the job may have run

The third outcome, that the job ran, is no error: `outcome.JobResult`.
"""

from __future__ import annotations

from . import statuses


class FarmError(Exception):
    """`what` happened and where, and the `cure`; `status` is what the process ends with."""

    status = statuses.INTERNAL

    def __init__(self, what: str, cure: str = "", *, status: int | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.cure = cure
        if status is not None:
            self.status = status

    def line(self) -> str:
        """The one line that the user reads."""
        return f"shadowfarm: {self.what}. {self.cure}".rstrip() if self.cure else f"shadowfarm: {self.what}."


class UsageError(FarmError):
    """A command was called wrongly."""

    status = statuses.USAGE


class ConfigError(FarmError):
    """config.py or a worker's file cannot be used; `what` names the file and the line or the name."""

    status = statuses.BAD_CONFIG


class ListenError(FarmError):
    """A worker cannot listen where its file says."""

    status = statuses.CANNOT_LISTEN


class NotStarted(FarmError):
    """The job did not start there, and nothing of it was done: it may be tried elsewhere.

    `final` is True when trying elsewhere is pointless once all workers said the same (a program that exists nowhere).
    """

    status = statuses.NO_WORKER

    @property
    def final(self) -> bool:
        return self.status in (statuses.NOT_FOUND, statuses.NOT_EXECUTABLE)


class JobLost(FarmError):
    """The job was started, or may have been, and its end is not known."""

    status = statuses.LOST
