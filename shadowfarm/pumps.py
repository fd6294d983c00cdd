"""The worker's ends of a job's pipes and terminals: what moves the bytes, with credit both ways."""

from __future__ import annotations

import errno
import os
import time
from collections import deque
from collections.abc import Callable

from .job import OUTPUT_WINDOW_BYTES
from .reactor import WRITE, Reactor, Timer

_END_OF_FILE_CHARACTER = b"\x04"


class OutputPump:
    """Reads one output of the job as far as the client has given credit, so that a reader that stops costs no memory.

    Output is gathered for at most `gather_s` seconds, or up to `read_size` bytes, before `send(group, data)`.
    `ended(pump)` is called once, at end-of-file. Owns `fd`.
    """

    def __init__(
        self,
        reactor: Reactor,
        fd: int,
        group: int,
        *,
        read_size: int,
        gather_s: float,
        send: Callable[[int, bytes], None],
        ended: Callable[[OutputPump], None],
    ) -> None:
        self.fd = fd
        self.group = group
        self._reactor = reactor
        self._read_size = read_size
        self._gather_s = gather_s
        self._send = send
        self._ended = ended
        self._credit = OUTPUT_WINDOW_BYTES  # what the client still takes, less what is in `_held`
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._flush_timer: Timer | None = None
        self.last_read_at = 0.0  # time.monotonic() of the last byte

    @property
    def paused(self) -> bool:
        """Whether it waits for the client to write what it has."""
        return self._credit <= 0

    def start(self) -> None:
        """Begin to read."""
        self._reactor.watch(self.fd, self._read)

    def grant(self, count: int) -> None:
        """The client has written `count` bytes and takes as many more."""
        self._credit += count
        if self._credit > 0 and self.fd >= 0:
            self.start()

    def flush(self) -> None:
        """Send what was gathered."""
        if self._flush_timer is not None:
            self._flush_timer.cancel()
            self._flush_timer = None
        if self._held:
            data = b"".join(self._held)
            self._held.clear()
            self._held_bytes = 0
            self._send(self.group, data)

    def close(self) -> None:
        """Drop what was gathered, and let go: the job gets what a pipe without a reader gives it."""
        if self.fd >= 0:
            self._held.clear()
            self.flush()
            self._reactor.unwatch(self.fd)
            os.close(self.fd)
            self.fd = -1

    def _read(self) -> None:
        try:
            data = os.read(self.fd, min(self._read_size, self._credit))
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.EIO:  # a terminal's master says so when the last slave is closed
                raise
            data = b""
        if not data:
            self.flush()
            self.close()
            self._ended(self)
            return
        self.last_read_at = time.monotonic()
        self._held.append(data)
        self._held_bytes += len(data)
        self._credit -= len(data)
        if self.paused:
            self._reactor.unwatch(self.fd)
        if self.paused or self._held_bytes >= self._read_size or not self._gather_s:
            self.flush()
        elif self._flush_timer is None:
            self._flush_timer = self._reactor.later(self._gather_s, self.flush)


class InputPump:
    """Writes the client's stdin to the job's, at the job's own pace.

    `taken(count)` is called when the job took bytes, `closed()` once when it takes no more. Owns `fd`.
    """

    def __init__(
        self,
        reactor: Reactor,
        fd: int,
        *,
        terminal: bool,
        taken: Callable[[int], None],
        closed: Callable[[], None],
    ) -> None:
        self._fd = fd
        self._reactor = reactor
        self._terminal = terminal
        self._taken = taken
        self._closed = closed
        self._pending: deque[memoryview] = deque()
        self._ending = False

    def feed(self, data: memoryview) -> None:
        """Pass on bytes."""
        if self._fd >= 0:
            self._pending.append(data)
            self._reactor.watch(self._fd, self._write, WRITE)

    def end(self) -> None:
        """End the job's stdin after all that was fed; a terminal stays open and is told of it as by Ctrl-D."""
        if self._terminal:
            self.feed(memoryview(_END_OF_FILE_CHARACTER))
        elif self._fd >= 0:
            self._ending = True
            self._reactor.watch(self._fd, self._write, WRITE)

    def close(self) -> None:
        """Let go."""
        if self._fd >= 0:
            self._reactor.unwatch(self._fd)
            os.close(self._fd)
            self._fd = -1
            self._pending.clear()
            self._closed()

    def _write(self) -> None:
        while self._pending:
            try:
                count = os.write(self._fd, self._pending[0])
            except BlockingIOError:
                return
            except OSError:
                self.close()  # the job has closed its end
                return
            rest = self._pending.popleft()[count:]
            if rest:
                self._pending.appendleft(rest)
            self._taken(count)
        if self._ending:
            self.close()
        else:
            self._reactor.unwatch(self._fd)
