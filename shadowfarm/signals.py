"""Signals that reach the client: recorded by their handlers, acted on by the loop."""

from __future__ import annotations

import os
import signal
import time
from typing import Protocol

from . import system
from .reactor import Reactor

_OBSERVED = tuple(getattr(signal, name) for name in ("SIGTSTP", "SIGCONT", "SIGWINCH") if hasattr(signal, name))

# What ends a command by default, and is repeated by force when it does not.
# (Not HUP: to many programs it means to read their settings again.)
FATAL = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGQUIT") if hasattr(signal, name))


class Interrupted(Exception):
    """A signal came that ends the client, while no job of its own runs."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Control(Protocol):
    """Where a client's signals come from: the process itself, or somebody who passes them on."""

    def fileno(self) -> int:
        """Readable when there are signals to take."""

    def take(self) -> list[int]:
        """The signals since the last call."""


def act_before_start(number: int) -> None:
    """What a signal does to a client whose job has not started. Raises: Interrupted."""
    if number in system.FORWARDED:
        raise Interrupted(number)
    if number == getattr(signal, "SIGTSTP", 0):
        os.kill(os.getpid(), signal.SIGSTOP)


def pause(control: Control, seconds: float) -> None:
    """Sleep, but for signals. Raises: Interrupted."""
    reactor = Reactor()
    deadline = time.monotonic() + seconds
    try:
        watch(reactor, control)
        while (left := deadline - time.monotonic()) > 0:
            reactor.turn(left)
    finally:
        reactor.close()


def watch(reactor: Reactor, control: Control) -> None:
    """Have `reactor` act on signals while no job runs: its `turn` may raise Interrupted then."""

    def act() -> None:
        for number in control.take():
            act_before_start(number)

    reactor.watch(control.fileno(), act)


class SignalControl:
    """Records the signals that are passed on, from `install` to `restore`.

    `ignored` are those that this process was started with as ignored (nohup): they stay so, here and for the job.
    """

    def __init__(self) -> None:
        self.ignored = tuple(int(number) for number in (*system.FORWARDED, *_OBSERVED) if _is_ignored(number))
        self._read = self._write = -1
        self._former: dict[int, object] = {}

    def install(self) -> None:
        """Begin to record."""
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in (*system.FORWARDED, *_OBSERVED):
            if number not in self.ignored:
                self._former[number] = signal.signal(number, lambda *_: None)

    def fileno(self) -> int:
        """Readable when signals were recorded."""
        return self._read

    def take(self) -> list[int]:
        """The signals recorded since the last call, in order."""
        try:
            return list(os.read(self._read, 256))
        except BlockingIOError:
            return []

    def restore(self) -> None:
        """Set all handlers to what they were."""
        if self._read < 0:
            return
        for number, handler in self._former.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        signal.set_wakeup_fd(-1)
        os.close(self._read)
        os.close(self._write)
        self._read = self._write = -1


def _is_ignored(number: int) -> bool:
    return signal.getsignal(number) == signal.SIG_IGN


def die_by(number: int) -> int:
    """End this process by a signal, as the job ended, without a core dump of our own; or give 128+N if it survives."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    except (ImportError, OSError, ValueError):
        pass
    try:
        signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    except (OSError, ValueError):
        pass  # KILL and STOP cannot be set, and need not be
    os.kill(os.getpid(), number)
    return 128 + number
