"""A worker's slots and the queue before them: first come, first served; who waits is woken and never polls."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Load:
    """How busy a worker is, as its clients see it."""

    slots: int
    running: int
    waiting: int

    @property
    def ratio(self) -> float:
        """Jobs for each slot, those that wait included."""
        return (self.running + self.waiting) / max(1, self.slots)


class Ticket:
    """One job's claim to a slot. `granted` is called once, from whichever thread freed the slot."""

    def __init__(self, granted: Callable[[], None]) -> None:
        self.granted = granted


class Slots:
    """Invariant, under the lock: nobody waits while a slot is free; a ticket is in at most one of the two sets."""

    def __init__(self, total: int) -> None:
        self._lock = threading.Lock()
        self._total = total
        self._running: set[Ticket] = set()
        self._waiting: deque[Ticket] = deque()

    @property
    def load(self) -> Load:
        """The load at this moment."""
        with self._lock:
            return Load(self._total, len(self._running), len(self._waiting))

    def claim(self, ticket: Ticket) -> None:
        """Ask for a slot; `ticket.granted` may be called before this returns."""
        with self._lock:
            self._waiting.append(ticket)
        self._grant()

    def give_back(self, ticket: Ticket) -> None:
        """Free the ticket's slot, or take it out of the queue; harmless when repeated."""
        with self._lock:
            self._running.discard(ticket)
            if ticket in self._waiting:
                self._waiting.remove(ticket)
        self._grant()

    def resize(self, total: int) -> None:
        """Change the number of slots; running jobs go on even when they are more than that."""
        with self._lock:
            self._total = total
        self._grant()

    def _grant(self) -> None:
        while True:
            with self._lock:
                if not self._waiting or len(self._running) >= self._total:
                    return
                ticket = self._waiting.popleft()
                self._running.add(ticket)
            # Outside the lock: the callback may be anything.
            ticket.granted()
