"""Slots under many threads: first come, first served, no wake-up lost, none given twice."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from shadowfarm.slots import Load, Slots, Ticket


class Noted:
    """Tickets by name, and the order in which they were granted."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self.order: list[object] = []

    def claim(self, name: object) -> Ticket:
        ticket = Ticket(lambda: self.order.append(name))
        self._slots.claim(ticket)
        return ticket


def test_a_free_slot_is_granted_before_claim_returns() -> None:
    slots = Slots(2)
    noted = Noted(slots)
    for name in "ab":
        noted.claim(name)
        assert noted.order[-1] == name
    noted.claim("c")
    assert noted.order == ["a", "b"]
    assert slots.load == Load(2, 2, 1)


def test_who_waits_is_served_in_the_order_of_coming() -> None:
    slots = Slots(1)
    noted = Noted(slots)
    tickets = [noted.claim(number) for number in range(50)]
    for number, ticket in enumerate(tickets):
        assert noted.order == list(range(number + 1))
        slots.give_back(ticket)
    assert slots.load == Load(1, 0, 0)


def test_a_newcomer_does_not_overtake_those_who_wait() -> None:
    slots = Slots(1)
    noted = Noted(slots)
    first = noted.claim("first")
    noted.claim("second")
    slots.give_back(first)
    noted.claim("third")
    assert noted.order == ["first", "second"]


def test_giving_back_twice_frees_one_slot_only() -> None:
    slots = Slots(1)
    noted = Noted(slots)
    first = noted.claim("first")
    noted.claim("second")
    noted.claim("third")
    slots.give_back(first)
    slots.give_back(first)
    assert noted.order == ["first", "second"]
    assert slots.load == Load(1, 1, 1)


def test_giving_back_what_was_never_claimed_is_harmless() -> None:
    slots = Slots(1)
    Noted(slots).claim("first")
    slots.give_back(Ticket(lambda: None))
    assert slots.load == Load(1, 1, 0)


def test_a_ticket_withdrawn_while_waiting_is_never_granted() -> None:
    slots = Slots(1)
    noted = Noted(slots)
    first, second, _ = noted.claim("first"), noted.claim("second"), noted.claim("third")
    slots.give_back(second)
    assert slots.load == Load(1, 1, 1)
    slots.give_back(first)
    assert noted.order == ["first", "third"]
    slots.give_back(second)
    assert slots.load == Load(1, 1, 0)


def test_more_slots_wake_as_many_of_those_who_wait() -> None:
    slots = Slots(1)
    noted = Noted(slots)
    for number in range(5):
        noted.claim(number)
    slots.resize(3)
    assert noted.order == [0, 1, 2]
    assert slots.load == Load(3, 3, 2)


def test_fewer_slots_let_running_jobs_go_on_and_hold_back_new_ones() -> None:
    slots = Slots(3)
    noted = Noted(slots)
    tickets = [noted.claim(number) for number in range(5)]
    slots.resize(1)
    assert slots.load == Load(1, 3, 2)
    for ticket in tickets[:2]:
        slots.give_back(ticket)
        assert len(noted.order) == 3, "a slot that is gone was granted"
    slots.give_back(tickets[2])
    assert noted.order == [0, 1, 2, 3]


def test_no_slots_at_all_hold_back_everybody_until_there_are_some() -> None:
    slots = Slots(0)
    noted = Noted(slots)
    noted.claim("a")
    assert noted.order == []
    slots.resize(1)
    assert noted.order == ["a"]


def test_a_granted_callback_may_use_the_slots_itself() -> None:
    slots = Slots(1)
    order: list[int] = []

    def grant(number: int, ticket: list[Ticket]) -> None:
        order.append(number)
        slots.give_back(ticket[0])

    for number in range(3):
        box: list[Ticket] = []
        box.append(Ticket(lambda number=number, box=box: grant(number, box)))  # type: ignore[misc]
        slots.claim(box[0])
    assert order == [0, 1, 2]
    assert slots.load == Load(1, 0, 0)


@pytest.mark.parametrize(
    ("load", "ratio"), [(Load(4, 0, 0), 0), (Load(4, 4, 2), 1.5), (Load(0, 0, 3), 3), (Load(2, 1, 0), 0.5)]
)
def test_the_load_counts_those_who_wait_and_survives_a_worker_without_slots(load: Load, ratio: float) -> None:
    assert load.ratio == ratio


@pytest.fixture
def hurried() -> Iterator[None]:
    """Switch between threads as often as can be, so that races show."""
    former = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(former)


def in_threads(count: int, work: Callable[[int], None]) -> None:
    failures: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive(), "somebody waits for a slot for ever"
    assert not failures, failures


@pytest.mark.parametrize("total", [1, 3])
def test_no_wake_up_is_lost_and_no_slot_given_twice_among_8_threads(hurried: None, total: int) -> None:
    slots = Slots(total)
    lock = threading.Lock()
    running = most = 0

    def work(_: int) -> None:
        nonlocal running, most
        for _ in range(200):
            granted = threading.Event()
            ticket = Ticket(granted.set)
            slots.claim(ticket)
            assert granted.wait(10), f"never woken: {slots.load}"
            with lock:
                running += 1
                most = max(most, running)
            with lock:
                running -= 1
            slots.give_back(ticket)

    in_threads(8, work)
    assert most <= total
    assert slots.load == Load(total, 0, 0)


def test_withdrawals_and_resizes_at_the_same_time_lose_no_slot(hurried: None) -> None:
    slots = Slots(2)
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")

    def work(number: int) -> None:
        rng = random.Random(seed + number)
        for _ in range(300):
            if number == 0:
                slots.resize(rng.randrange(1, 5))
            granted = threading.Event()
            ticket = Ticket(granted.set)
            slots.claim(ticket)
            if rng.random() < 0.5:
                assert granted.wait(10), f"never woken: {slots.load}"
            slots.give_back(ticket)

    in_threads(8, work)
    load = slots.load
    assert (load.running, load.waiting) == (0, 0)
