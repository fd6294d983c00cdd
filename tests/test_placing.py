"""Which worker gets a job: the least busy one for its size, and among equals the first of the config."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowfarm.placing import least_loaded
from shadowfarm.slots import Load


@pytest.mark.parametrize(
    ("loads", "chosen"),
    [
        ([Load(4, 0, 0)], 0),
        ([Load(4, 0, 0), Load(8, 0, 0)], 0),
        ([Load(4, 1, 0), Load(8, 1, 0)], 1),
        ([Load(4, 4, 0), Load(1, 0, 0)], 1),
        ([Load(4, 4, 3), Load(4, 4, 2)], 1),
        ([Load(2, 2, 0), Load(4, 4, 0)], 0),
        ([Load(4, 4, 4), Load(1, 1, 0), Load(2, 2, 0)], 1),
        ([Load(0, 0, 0), Load(4, 4, 9)], 1),
        ([Load(-1, 0, 0), Load(1, 1, 9)], 1),
        ([Load(0, 0, 2), Load(0, 0, 1)], 1),
    ],
)
def test_the_least_busy_worker_is_chosen_and_ties_go_to_the_first(loads: list[Load], chosen: int) -> None:
    assert least_loaded(loads) == chosen


LOADS = st.lists(st.builds(Load, st.integers(1, 64), st.integers(0, 64), st.integers(0, 64)), min_size=1, max_size=9)


@given(LOADS)
def test_no_other_worker_is_less_busy_than_the_chosen_one(loads: list[Load]) -> None:
    chosen = least_loaded(loads)
    assert loads[chosen].ratio == min(load.ratio for load in loads)
    assert all(load.ratio > loads[chosen].ratio for load in loads[:chosen])
