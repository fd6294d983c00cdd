"""The client's own three streams: what each is, what the job gets in its place, and how output reaches them."""

from __future__ import annotations

import errno
import os
import select
import stat
import sys
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from . import system
from .job import CLOSED, NULL, PIPE, STDIN, STDOUT, TTY, Stream, Terminal

_WRITE_BYTES = 256 << 10


@dataclass(frozen=True)
class Plan:
    """What the job's streams are to be. `targets` maps each group of outputs to the client's descriptor for it.

    raw: whether keys are passed on one by one, as for an editor; the client's terminal is set to raw for it.
    """

    streams: tuple[Stream, Stream, Stream]
    stdin: bool
    terminal: Terminal | None
    targets: dict[int, int]
    raw: bool = False


def plan(closed: tuple[bool, bool, bool], wants_stdin: bool) -> Plan:
    """Look at the client's streams and decide what the job gets.

    A stream that is a terminal here is one there; streams that are one file here are one there. Keys are read when the
    command is the terminal's foreground job by itself, as one typed at a prompt is; in a build, where many commands
    share the terminal, nobody's keys are taken.
    """
    typed = not closed[STDIN] and _is_typed_command()
    forward = not closed[STDIN] and (wants_stdin or typed)
    kinds = [_input_kind(closed[STDIN], forward, typed), *(_output_kind(closed[fd], fd) for fd in (1, 2))]
    groups = [STDIN]
    for fd in (1, 2):
        groups.append(next((other for other in range(fd) if kinds[other] == kinds[fd] and _shared(other, fd)), fd))
    # A group is named by its lowest member, of which that is the name.
    groups = [groups[group] for group in groups]
    streams = tuple(Stream(kind, group) for kind, group in zip(kinds, groups, strict=True))
    targets = {
        stream.group: fd for fd, stream in reversed(list(enumerate(streams))) if fd and stream.kind in (PIPE, TTY)
    }
    if typed and STDIN not in targets:
        targets[STDIN] = STDIN  # what a job writes to /dev/tty
    raw = typed and groups[STDOUT] == STDIN
    return Plan((streams[0], streams[1], streams[2]), forward, _terminal(kinds, typed, raw), targets, raw)


def _is_typed_command() -> bool:
    if not hasattr(os, "tcgetpgrp") or not os.isatty(STDIN):
        return False
    try:
        return os.tcgetpgrp(STDIN) == os.getpgrp() == os.getpid()
    except OSError:
        return False  # a terminal, but not ours


def _input_kind(closed: bool, forward: bool, typed: bool) -> str:
    if closed:
        return CLOSED
    if typed:
        return TTY
    return PIPE if forward else NULL


def _output_kind(closed: bool, fd: int) -> str:
    if closed:
        return CLOSED
    if os.isatty(fd):
        return TTY
    return NULL if _is_null(fd) else PIPE


def _is_null(fd: int) -> bool:
    seen = os.fstat(fd)
    return stat.S_ISCHR(seen.st_mode) and seen.st_rdev == os.stat(os.devnull).st_rdev


def _shared(one: int, other: int) -> bool:
    """Whether two descriptors are one file; stdin and stdout are so only as a terminal."""
    first, second = os.fstat(one), os.fstat(other)
    if one == STDIN and not os.isatty(one):
        return False
    return (first.st_dev, first.st_ino) == (second.st_dev, second.st_ino)


def _terminal(kinds: list[str], typed: bool, raw: bool) -> Terminal | None:
    if TTY not in kinds:
        return None
    terminal = Terminal(system.terminal_size(kinds.index(TTY)), None, sys.platform)
    if not typed:
        return terminal
    attributes = system.terminal_attributes(STDIN)
    # Without raw mode the client's own terminal echoes and edits the line; the job's must not echo it again.
    return replace(terminal, attributes=attributes if raw else system.without_echo(attributes))


class Sink:
    """Writes one output of the job to the client's descriptor, from a thread of its own.

    A write to a pipe or terminal waits for its reader for as long as that likes, and signals must be served meanwhile;
    the descriptor cannot be made non-blocking, since the client shares it with others. `wrote(count)` and `failed()`,
    for `error`, are called in the sink's thread. Invariant, under the condition: `_queue` is in order of arrival.
    """

    def __init__(self, fd: int, wrote: Callable[[int], None], failed: Callable[[], None]) -> None:
        self._fd = fd
        self._wrote = wrote
        self._failed = failed
        self._condition = threading.Condition()
        self._queue: deque[memoryview] = deque()
        self._closing = False
        self._thread: threading.Thread | None = None
        self.error = 0
        self._finished = False

    def put(self, data: memoryview) -> None:
        """Write `data` after all that was put before."""
        with self._condition:
            self._queue.append(data)
            self._condition.notify()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()

    @property
    def idle(self) -> bool:
        """Whether all was written, or nothing more can be."""
        return self._thread is None or self._finished

    def close(self) -> None:
        """Let the thread end when all is written; `wrote(0)` is called then."""
        with self._condition:
            self._closing = True
            self._condition.notify()

    def _run(self) -> None:
        while True:
            with self._condition:
                while not self._queue and not self._closing:
                    self._condition.wait()
                if not self._queue:
                    break
                data = self._queue.popleft()
            try:
                self._write(data)
            except OSError as error:
                self.error = error.errno or errno.EIO
                self._finished = True
                self._failed()
                return
            self._wrote(len(data))
        self._finished = True
        self._wrote(0)

    def _write(self, view: memoryview) -> None:
        while view:
            try:
                view = view[os.write(self._fd, view[:_WRITE_BYTES]) :]
            except BlockingIOError:
                # Somebody else made the shared description non-blocking.
                poller = select.poll()
                poller.register(self._fd, select.POLLOUT)
                poller.poll()


class RawTerminal:
    """The client's terminal while keys are passed on one by one; `leave` restores it, any number of times."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._saved: list[object] | None = None

    def enter(self) -> None:
        """Set it to raw."""
        import termios
        import tty

        if self._saved is None:
            self._saved = termios.tcgetattr(self._fd)
            tty.setraw(self._fd, termios.TCSADRAIN)

    def leave(self) -> None:
        """Restore what it was."""
        import termios

        if self._saved is not None:
            try:
                termios.tcsetattr(self._fd, termios.TCSADRAIN, self._saved)  # type: ignore[arg-type]
            except termios.error:
                pass  # it has been hung up
            self._saved = None
