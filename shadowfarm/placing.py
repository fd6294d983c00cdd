"""Which worker gets a job: a pure choice among those that answered."""

from __future__ import annotations

from collections.abc import Sequence

from .slots import Load


def least_loaded(loads: Sequence[Load]) -> int:
    """The index of the lowest load (running and waiting jobs for each slot); ties go to the first.

    A worker without slots is chosen only when all are so.
    """
    return min(range(len(loads)), key=lambda index: (loads[index].slots <= 0, loads[index].ratio, index))
