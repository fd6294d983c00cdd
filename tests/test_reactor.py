"""The loop: what is due is called, once, in order and at once; what is not, never; nothing is leaked."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shadowfarm.reactor import READ, WRITE, Reactor, Timer


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    reactor = Reactor()
    yield reactor
    reactor.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def turn_until(reactor: Reactor, condition: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        reactor.turn(0.5)


# Timers.


def test_timers_run_in_the_order_in_which_they_are_due(reactor: Reactor) -> None:
    order: list[str] = []
    for name, seconds in (("c", 0.03), ("a", 0.01), ("b", 0.02), ("a2", 0.01)):
        reactor.later(seconds, lambda name=name: order.append(name))  # type: ignore[misc]
    turn_until(reactor, lambda: len(order) == 4)
    assert order == ["a", "a2", "b", "c"]


def test_timers_due_at_the_same_moment_run_in_the_order_of_their_making(
    reactor: Reactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[int] = []
    monkeypatch.setattr("shadowfarm.reactor.time.monotonic", lambda: 5.0)
    for number in range(20):
        reactor.later(0, lambda number=number: order.append(number))  # type: ignore[misc]
    reactor.turn(0)
    assert order == list(range(20))


def test_a_timer_runs_once_and_not_before_its_time(reactor: Reactor) -> None:
    runs: list[float] = []
    began = time.monotonic()
    reactor.later(0.05, lambda: runs.append(time.monotonic() - began))
    turn_until(reactor, lambda: runs)
    reactor.turn(0)
    assert len(runs) == 1
    assert runs[0] >= 0.05


def test_a_cancelled_timer_never_runs_and_is_not_waited_for(reactor: Reactor) -> None:
    runs: list[str] = []
    timer = reactor.later(0.02, lambda: runs.append("cancelled"))
    reactor.later(0.04, lambda: runs.append("kept"))
    timer.cancel()
    timer.cancel()
    turn_until(reactor, lambda: runs)
    assert runs == ["kept"]


def test_a_timer_may_cancel_another_of_the_same_moment(reactor: Reactor) -> None:
    runs: list[str] = []
    timers: list[Timer] = []
    reactor.later(0, lambda: timers.pop().cancel())
    timers.append(reactor.later(0, lambda: runs.append("second")))
    third = reactor.later(0.01, lambda: runs.append("third"))
    turn_until(reactor, lambda: third.callback is None or runs)
    assert runs == ["third"]


def test_a_timer_that_makes_a_timer_does_not_keep_the_turn_for_ever(reactor: Reactor) -> None:
    runs: list[int] = []

    def again() -> None:
        runs.append(1)
        reactor.later(0, again)

    reactor.later(0, again)
    for _ in range(5):
        reactor.turn(0.1)
    assert 1 <= len(runs) <= 20


@pytest.mark.parametrize("seconds", [1e7, 1e18, float("inf")])
def test_a_timer_in_the_far_future_does_not_overflow_the_wait(
    reactor: Reactor, pair: tuple[socket.socket, socket.socket], seconds: float
) -> None:
    reactor.later(seconds, lambda: None)
    heard: list[bytes] = []
    reactor.watch(pair[0].fileno(), lambda: heard.append(pair[0].recv(1)))
    pair[1].sendall(b"x")
    reactor.turn()
    assert heard == [b"x"]


def test_a_turn_with_nothing_to_do_waits_as_long_as_it_may(reactor: Reactor) -> None:
    began = time.monotonic()
    reactor.turn(0.05)
    assert 0.045 < time.monotonic() - began < 1
    reactor.turn(0)


# Descriptors.


def test_a_watch_is_replaced_by_a_later_one(reactor: Reactor, pair: tuple[socket.socket, socket.socket]) -> None:
    calls: list[str] = []
    fd = pair[0].fileno()
    reactor.watch(fd, lambda: calls.append("old"))
    reactor.watch(fd, lambda: calls.append("new"))
    pair[1].sendall(b"x")
    reactor.turn(5)
    assert calls == ["new"]


def test_writing_is_watched_as_well(reactor: Reactor, pair: tuple[socket.socket, socket.socket]) -> None:
    calls: list[str] = []
    reactor.watch(pair[0].fileno(), lambda: calls.append("x"), WRITE)
    reactor.turn(5)
    reactor.watch(pair[0].fileno(), lambda: calls.append("both"), READ | WRITE)
    reactor.turn(5)
    assert calls == ["x", "both"]


def test_a_peer_that_hangs_up_is_noticed(reactor: Reactor, pair: tuple[socket.socket, socket.socket]) -> None:
    heard: list[bytes] = []
    reactor.watch(pair[0].fileno(), lambda: heard.append(pair[0].recv(1)))
    pair[1].close()
    reactor.turn(5)
    assert heard == [b""]


def test_unwatching_what_is_unknown_closed_or_no_descriptor_is_harmless(reactor: Reactor) -> None:
    read, write = os.pipe()
    reactor.watch(read, lambda: None)
    os.close(read)
    os.close(write)
    for fd in (read, read, write, 12345, -1):
        reactor.unwatch(fd)
    assert not reactor.watches(read)


def test_a_watch_ended_by_a_callback_of_the_same_turn_is_not_called(reactor: Reactor) -> None:
    calls: list[int] = []
    pipes = [os.pipe() for _ in range(3)]
    for read, write in pipes:

        def only_me(read: int = read) -> None:
            calls.append(read)
            for other, _ in pipes:
                reactor.unwatch(other)

        reactor.watch(read, only_me)
        os.write(write, b"x")
    reactor.turn(5)
    assert len(calls) == 1
    for fd in (fd for pipe in pipes for fd in pipe):
        os.close(fd)


def test_a_descriptor_reused_in_the_same_turn_is_not_served_by_its_former_owner(reactor: Reactor) -> None:
    calls: list[str] = []
    pipes = [os.pipe() for _ in range(2)]

    def replace_other(mine: int, other: int) -> None:
        calls.append("first")
        reactor.unwatch(mine)
        # As when one job ends and the next gets the number of its socket.
        reactor.unwatch(other)
        reactor.watch(other, lambda: calls.append("new owner"))

    for (mine, write), (other, _) in (pipes, pipes[::-1]):
        reactor.watch(mine, lambda mine=mine, other=other: replace_other(mine, other))  # type: ignore[misc]
        os.write(write, b"x")
    reactor.turn(5)
    assert calls in (["first"], ["first", "new owner"]), "the former owner was called"
    for fd in (fd for pipe in pipes for fd in pipe):
        os.close(fd)


# Posts.


def test_a_post_from_another_thread_wakes_the_loop_at_once(reactor: Reactor) -> None:
    reactor.open_post()
    woken: list[float] = []
    posted: list[float] = []

    def post() -> None:
        posted.append(time.monotonic())
        reactor.post(lambda: woken.append(time.monotonic()))

    for _ in range(20):
        thread = threading.Timer(0.001, post)
        thread.start()
        reactor.turn(5)
        thread.join()
        assert woken, "the loop slept on"
        assert woken.pop() - posted.pop() < 1


def test_posts_of_8_threads_all_arrive_each_threads_in_order(reactor: Reactor) -> None:
    reactor.open_post()
    calls: list[tuple[int, int]] = []

    def work(number: int) -> None:
        for step in range(500):
            reactor.post(lambda step=step: calls.append((number, step)))  # type: ignore[misc]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    turn_until(reactor, lambda: len(calls) == 8 * 500)
    for thread in threads:
        thread.join()
    for number in range(8):
        assert [step for who, step in calls if who == number] == list(range(500))


def test_more_posts_than_the_pipe_has_room_for_do_not_block_their_thread(reactor: Reactor) -> None:
    reactor.open_post()
    calls: list[int] = []
    for number in range(100_000):  # a pipe takes 65,536
        reactor.post(lambda number=number: calls.append(number))  # type: ignore[misc]
    turn_until(reactor, lambda: len(calls) == 100_000)
    assert calls == list(range(100_000))


def test_what_a_posted_callback_posts_is_called_too(reactor: Reactor) -> None:
    reactor.open_post()
    calls: list[str] = []
    reactor.post(lambda: reactor.post(lambda: calls.append("inner")))
    turn_until(reactor, lambda: calls)


def test_a_post_to_a_closed_loop_is_dropped() -> None:
    reactor = Reactor()
    reactor.open_post()
    reactor.close()
    reactor.post(lambda: pytest.fail("called"))


def test_a_post_while_the_loop_closes_never_writes_into_a_descriptor_of_somebody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reactor = Reactor()
    reactor.open_post()
    about_to_write, closed = threading.Event(), threading.Event()
    write = os.write

    def late_write(fd: int, data: bytes) -> int:
        about_to_write.set()
        closed.wait(0.3)  # not for ever: a loop that cannot be closed now waits for this very write
        return write(fd, data)

    monkeypatch.setattr("shadowfarm.reactor.os.write", late_write)
    thread = threading.Thread(target=reactor.post, args=(int,))
    thread.start()
    assert about_to_write.wait(10)
    reactor.close()
    # The next to open something gets the same numbers.
    pipes = [os.pipe() for _ in range(2)]
    closed.set()
    thread.join()
    strayed = b""
    for read, write_end in pipes:
        os.close(write_end)
        strayed += os.read(read, 100)
        os.close(read)
    assert not strayed


# Ends.


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="reads /proc/self/fd")
def test_a_closed_loop_leaves_no_descriptors_and_closes_none_of_others() -> None:
    before = os.listdir("/proc/self/fd")
    read, write = os.pipe()
    for _ in range(5):
        reactor = Reactor()
        reactor.open_post()
        reactor.watch(read, lambda: None)
        reactor.later(100, lambda: None)
        reactor.turn(0)
        reactor.close()
    os.close(read)
    os.close(write)
    assert sorted(os.listdir("/proc/self/fd")) == sorted(before)


def test_a_loop_may_be_closed_twice() -> None:
    reactor = Reactor()
    reactor.open_post()
    reactor.close()
    reactor.close()
