"""A small event loop: who waits for what, in one thread.

Both ends of a job wait at once for the connection, for the job's or the user's streams, for signals and for time.
asyncio would do it too, but costs 35 ms of imports in every cold client, and rpyc is not written for it.
"""

from __future__ import annotations

import heapq
import itertools
import os
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable

Callback = Callable[[], None]

# poll(2) counts milliseconds in 31 bits; a wait that ends early is only one turn more.
_LONGEST_WAIT_S = 1e6

READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE


class Timer:
    """A callback that is due at a moment of time.monotonic(), until it is cancelled."""

    def __init__(self, due: float, callback: Callback) -> None:
        self.due = due
        self.callback: Callback | None = callback

    def cancel(self) -> None:
        """Let it never run."""
        self.callback = None


class Reactor:
    """Waits for file descriptors and timers and calls back; `post` is the one method that other threads may call."""

    def __init__(self) -> None:
        # poll, not epoll: a worker has one of these for each connection, and epoll costs a descriptor each.
        self._selector = getattr(selectors, "PollSelector", selectors.SelectSelector)()
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._posted: deque[Callback] = deque()
        self._wake_lock = threading.Lock()
        self._wake_read, self._wake_write = -1, -1

    def watch(self, fd: int, callback: Callback, events: int = READ) -> None:
        """Call back whenever `fd` is ready; a watch of the same fd is replaced."""
        try:
            self._selector.modify(fd, events, callback)
        except KeyError:
            self._selector.register(fd, events, callback)

    def unwatch(self, fd: int) -> None:
        """Forget `fd`; it may be unknown."""
        try:
            self._selector.unregister(fd)
        except (KeyError, ValueError):
            pass

    def watches(self, fd: int) -> bool:
        """Whether `fd` is watched now."""
        return fd in self._selector.get_map()

    def later(self, seconds: float, callback: Callback) -> Timer:
        """Call back once, `seconds` from now."""
        timer = Timer(time.monotonic() + seconds, callback)
        heapq.heappush(self._timers, (timer.due, next(self._order), timer))
        return timer

    def open_post(self) -> None:
        """Make `post` possible; to be called by the loop's own thread before other threads know of it."""
        if self._wake_read < 0:
            self._wake_read, self._wake_write = os.pipe()
            os.set_blocking(self._wake_read, False)
            os.set_blocking(self._wake_write, False)
            self.watch(self._wake_read, self._take_posted)

    def post(self, callback: Callback) -> None:
        """Have the loop's thread call back; callable from any thread. A closed loop drops it."""
        self._posted.append(callback)
        with self._wake_lock:
            if self._wake_write >= 0:
                try:
                    os.write(self._wake_write, b"!")
                except BlockingIOError:
                    pass  # full: the loop is about to wake anyway

    def turn(self, at_most_s: float | None = None) -> None:
        """Wait until something is due, at most `at_most_s` seconds (None: for ever), and call back."""
        for key, _ in self._selector.select(self._patience(at_most_s)):
            # A callback of this very turn may have ended the watch of another, and the number be watched anew.
            unchanged = self._selector.get_map().get(key.fd) is key
            if unchanged:
                key.data()
        self._run_timers()

    def close(self) -> None:
        """Let go of all descriptors; those that were watched stay open."""
        self._selector.close()
        # Under the lock, lest another thread writes to a number that means something else by then.
        with self._wake_lock:
            for fd in (self._wake_read, self._wake_write):
                if fd >= 0:
                    os.close(fd)
            self._wake_read = self._wake_write = -1

    def _patience(self, at_most_s: float | None) -> float | None:
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return at_most_s
        left = max(0.0, self._timers[0][0] - time.monotonic())
        return min(left, _LONGEST_WAIT_S if at_most_s is None else at_most_s)

    def _run_timers(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            timer = heapq.heappop(self._timers)[2]
            if timer.callback is not None:
                timer.callback()

    def _take_posted(self) -> None:
        try:
            os.read(self._wake_read, 4096)
        except BlockingIOError:
            pass
        while self._posted:
            self._posted.popleft()()
