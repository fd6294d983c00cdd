"""The wire against peers that are hostile, foreign, slow or gone: each is refused, none costs memory or hangs."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rpyc.core import brine, consts

from shadowfarm.channel import MAX_FRAME_BYTES, WireError
from shadowfarm.wire import Link, PeerError, PeerService

CALL = 64
REQUEST, REPLY, EXCEPTION = consts.MSG_REQUEST, consts.MSG_REPLY, consts.MSG_EXCEPTION
VALUE = consts.LABEL_VALUE


class Recorder(PeerService):
    """Notes what it was called with; `secret` and `_hidden` are not to be reachable."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.bytes_heard = 0

    def exposed_note(self, *values: Any) -> str:
        self.heard.append(values)
        return "noted"

    def exposed_take(self, data: bytes) -> None:
        self.bytes_heard += len(data)

    def exposed_give_object(self) -> object:
        return self

    def secret(self) -> None:
        self.heard.append("secret")

    def _hidden(self) -> None:
        self.heard.append("hidden")


@contextlib.contextmanager
def link_and_socket(service: PeerService | None = None, **options: Any) -> Iterator[tuple[Link, socket.socket]]:
    """A link, and the bare other end of its socket."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        link = Link(ours, service or Recorder(), **options)
        try:
            yield link, theirs
        finally:
            link.close()


@contextlib.contextmanager
def two_links(
    one: PeerService | None = None, other: PeerService | None = None, **options: Any
) -> Iterator[tuple[Link, Link, Callable[[], None]]]:
    """Two links that talk to each other, and what hangs both up, from any thread."""
    first, second = socket.socketpair()
    with first, second:
        # The links close their own sockets; this one wakes a thread that is stuck in one of them.
        handle = first.dup()
        a, b = Link(first, one or Recorder(), **options), Link(second, other or Recorder(), **options)
        try:
            yield a, b, lambda: handle.shutdown(socket.SHUT_RDWR)
        finally:
            a.close()
            b.close()
            handle.close()


def frame(payload: bytes, compressed: int = 0, length: int | None = None, tail: bytes = b"\n") -> bytes:
    return struct.pack("!LB", len(payload) if length is None else length, compressed) + payload + tail


def message(kind: int, number: int, args: Any) -> bytes:
    return bytes([kind]) + brine.dump((number, args))


def call(name: Any, *args: Any, handler: int = CALL, number: int = 0) -> bytes:
    return frame(message(REQUEST, number, (handler, (VALUE, (name, args)))))


def next_message(sock: socket.socket) -> tuple[int, int, Any]:
    """(kind, number, content) of the next message at a bare socket."""
    sock.settimeout(5)
    length, _ = struct.unpack("!LB", exactly(sock, 5))
    data = exactly(sock, length + 1)[:-1]
    number, content = brine.load(data[1:])
    return data[0], number, content


def exactly(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = sock.recv(count - len(data))
        assert piece, "the link hung up"
        data += piece
    return data


def nothing_to_read(sock: socket.socket) -> bool:
    sock.setblocking(False)
    try:
        return not sock.recv(1 << 16)
    except BlockingIOError:
        return True


def serve_to_the_end(link: Link, turns: int = 1000) -> Exception:
    """Serve until the link says why it is over; it must, for the peer has hung up."""
    for _ in range(turns):
        try:
            link.serve()
        except (EOFError, WireError) as error:
            return error
    pytest.fail("the link neither ended nor waited")


def until(condition: Callable[[], Any], serve: Callable[[], None], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        serve()


# Calls.


def test_a_call_arrives_with_its_values_and_its_answer_comes_back() -> None:
    there = Recorder()
    answers: list[Any] = []
    with two_links(other=there) as (a, b, _):
        values = (b"\0\xff", "ü", 5, None, True, 1.5, (b"x", (2,)))
        a.ask("note", *values, answer=lambda value, error: answers.append((value, error)))
        until(lambda: there.heard, b.serve)
        until(lambda: answers, a.serve)
    assert there.heard == [values]
    assert answers == [("noted", None)]


def test_a_method_that_raises_answers_with_the_error_and_the_link_goes_on() -> None:
    answers: list[Any] = []
    with two_links() as (a, b, _):
        a.ask("take", 5, answer=lambda value, error: answers.append((value, error)))
        a.ask("note", answer=lambda value, error: answers.append((value, error)))
        until(lambda: len(answers) == 2, lambda: (b.serve(), a.serve()))  # type: ignore[func-returns-value]
    assert answers[0][0] is None
    assert isinstance(answers[0][1], PeerError) and "TypeError" in str(answers[0][1])
    assert answers[1] == ("noted", None)


@pytest.mark.parametrize("name", ["secret", "_hidden", "__init__", "heard", "on_disconnect", "__class__", "", "note.x"])
def test_a_name_that_is_not_exposed_is_unreachable(name: str) -> None:
    service = Recorder()
    with link_and_socket(service) as (link, peer):
        peer.sendall(call(name))
        link.serve()
        kind, _, _ = next_message(peer)
        assert kind == EXCEPTION
        assert not service.heard


@pytest.mark.parametrize("handler", [*range(2, 21), 0, -1, 63, 65, "ping", None, b"@"])
def test_rpycs_own_requests_are_unreachable(handler: Any) -> None:
    service = Recorder()
    arguments = {
        consts.HANDLE_GETATTR: (service.get_service_name(), "secret"),
        consts.HANDLE_CALLATTR: ("x", "secret", (), ()),
        consts.HANDLE_INSPECT: (("builtins.object", 1, 0),),
        consts.HANDLE_PICKLE: ("x", 2),
    }.get(handler, ())
    with link_and_socket(service) as (link, peer):
        peer.sendall(frame(message(REQUEST, 7, (handler, (VALUE, arguments)))) + call("note", 1, number=8))
        link.serve()
        kind, number, content = next_message(peer)
        assert (kind, number) == (EXCEPTION, 7)
        assert content[0] == ("builtins", "KeyError")
        assert next_message(peer)[:2] == (REPLY, 8), "the link must go on"
        assert not link.closed
        assert service.heard == [(1,)]


def test_rpycs_ping_is_answered() -> None:
    with link_and_socket() as (link, peer):
        peer.sendall(frame(message(REQUEST, 3, (consts.HANDLE_PING, (VALUE, (b"hello",))))))
        link.serve()
        assert next_message(peer) == (REPLY, 3, (VALUE, b"hello"))


@pytest.mark.parametrize(
    "package",
    [
        (consts.LABEL_REMOTE_REF, ("builtins.list", 1, 2)),
        (consts.LABEL_LOCAL_REF, ("tests.Recorder", 1, 2)),
        (consts.LABEL_TUPLE, ((consts.LABEL_REMOTE_REF, ("builtins.list", 1, 2)),)),
        (consts.LABEL_TUPLE, ((VALUE, "note"), (VALUE, ()))),
        (99, ()),
        (VALUE,),
        7,
        None,
    ],
)
def test_a_reference_in_a_request_is_refused_and_makes_no_netref(package: Any) -> None:
    service = Recorder()
    with link_and_socket(service) as (link, peer):
        peer.sendall(frame(message(REQUEST, 1, (CALL, package))))
        link.serve()
        assert next_message(peer)[:2] == (EXCEPTION, 1)
        # A netref would ask about its object (INSPECT) when it is made, or say goodbye to it (DEL).
        assert nothing_to_read(peer)
        assert not service.heard


@pytest.mark.parametrize("label", [consts.LABEL_REMOTE_REF, consts.LABEL_LOCAL_REF, consts.LABEL_TUPLE, 0])
def test_a_reference_in_a_reply_is_refused_and_makes_no_netref(label: int) -> None:
    answers: list[Any] = []
    with link_and_socket() as (link, peer):
        link.ask("hello", answer=lambda value, error: answers.append((value, error)))
        _, number, _ = next_message(peer)
        peer.sendall(frame(message(REPLY, number, (label, ("builtins.list", 1, 2)))))
        with pytest.raises(WireError):
            link.serve()
        assert nothing_to_read(peer)
        assert not answers


def test_an_object_that_a_method_returns_does_not_become_a_netref() -> None:
    answers: list[Any] = []
    with two_links() as (a, b, _):
        a.ask("give_object", answer=lambda value, error: answers.append((value, error)))
        until(lambda: b.serve() or True, b.serve)  # type: ignore[func-returns-value]
        try:
            for _ in range(10):
                a.serve()
        except WireError:
            return
    assert [value for value, _ in answers] == [None]


@pytest.mark.parametrize(
    "content",
    [
        consts.EXC_STOP_ITERATION,
        "a string as rpyc's oldest peers raise it",
        (("builtins", "SystemExit"), (3,), (), ""),
        (("builtins", "KeyboardInterrupt"), (), (), ""),
        (("os", "system"), ("exit 1",), (), ""),
        (("shadowfarm.errors", "JobLost"), ("x",), (("status", 0),), ""),
    ],
)
def test_an_error_answer_is_an_exception_that_can_be_handled_as_one(content: Any) -> None:
    answers: list[Any] = []
    with link_and_socket() as (link, peer):
        link.ask("hello", answer=lambda value, error: answers.append((value, error)))
        _, number, _ = next_message(peer)
        peer.sendall(frame(message(EXCEPTION, number, content)))
        try:
            link.serve()
        except WireError:
            return
    ((value, error),) = answers
    assert value is None
    assert isinstance(error, Exception), f"{error!r} would pass every `except Exception`"


def test_a_reply_that_nobody_asked_for_is_dropped() -> None:
    service = Recorder()
    with link_and_socket(service) as (link, peer):
        peer.sendall(frame(message(REPLY, 1234, (VALUE, 1))) + call("note", 1))
        link.serve()
        assert service.heard == [(1,)]


# Frames.


@pytest.mark.parametrize("length", [MAX_FRAME_BYTES + 1, 1 << 31, (1 << 32) - 1])
def test_a_frame_over_the_cap_is_refused_by_its_header_alone(length: int) -> None:
    with link_and_socket() as (link, peer):
        peer.sendall(frame(b"x", length=length))
        tracemalloc.start()
        try:
            with pytest.raises(WireError, match=str(length)):
                link.serve()
            assert tracemalloc.get_traced_memory()[1] < 2 << 20
        finally:
            tracemalloc.stop()


def test_a_frame_of_exactly_the_cap_is_taken() -> None:
    service = Recorder()
    data = bytes(MAX_FRAME_BYTES - len(call("take", bytes(1 << 20))) + 6 + (1 << 20))
    whole = call("take", data)
    assert len(whole) == MAX_FRAME_BYTES + 6
    with link_and_socket(service) as (link, peer):
        sender = threading.Thread(target=peer.sendall, args=(whole,))
        sender.start()
        until(lambda: service.bytes_heard, link.serve)
        sender.join()
    assert service.bytes_heard == len(data)


def test_a_zlib_bomb_is_refused_without_inflating_it() -> None:
    packer = zlib.compressobj(9)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(256)) + packer.flush()
    with link_and_socket() as (link, peer):
        threading.Thread(target=peer.sendall, args=(frame(bomb, 1),)).start()
        tracemalloc.start()
        try:
            with pytest.raises(WireError, match="limit"):
                until(lambda: False, link.serve)
            assert tracemalloc.get_traced_memory()[1] < 3 * MAX_FRAME_BYTES
        finally:
            tracemalloc.stop()


def test_a_bomb_that_just_passes_the_limit_is_refused_too() -> None:
    for excess in (1, 2, 100, 5000):
        with link_and_socket() as (link, peer):
            peer.sendall(frame(zlib.compress(bytes(MAX_FRAME_BYTES + excess)), 1))
            with pytest.raises(WireError):
                until(lambda: False, link.serve)


@pytest.mark.parametrize(
    "payload",
    [
        b"no zlib at all",
        b"",
        zlib.compress(message(REQUEST, 1, (CALL, (VALUE, ("note", (1,))))))[:-6],
        zlib.compress(message(REQUEST, 1, (CALL, (VALUE, ("note", (1,)))))) + b"and more",
    ],
    ids=["garbage", "empty", "cut off", "trailing"],
)
def test_a_compressed_frame_that_is_no_whole_stream_is_refused(payload: bytes) -> None:
    service = Recorder()
    with link_and_socket(service) as (link, peer):
        peer.sendall(frame(payload, 1))
        peer.shutdown(socket.SHUT_WR)
        assert isinstance(serve_to_the_end(link), WireError)
    assert not service.heard


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: here\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) * 2,
        b"\xff" * 64,
        frame(b"whatever", tail=b"x"),
        frame(b"whatever", compressed=2),
        frame(b"\x09" + brine.dump((1, 2))),
        frame(b"\x01"),
        frame(b"\x01" + b"\xee" * 20),
        frame(b"\x02" + brine.dump(5)),
        frame(b"\x01" + b"\x10" * 100_000),
        frame(b"\x01" + b"\x14\xff\xff\xff\xff"),
    ],
    ids=[
        "http",
        "ssh",
        "tls",
        "0xff",
        "wrong tail",
        "wrong flag",
        "unknown message",
        "no content",
        "unknown tag",
        "reply of a number",
        "deep nesting",
        "long tuple",
    ],
)
def test_garbage_is_told_as_a_foreign_language_and_harms_nobody(data: bytes) -> None:
    with link_and_socket() as (link, peer):
        peer.sendall(data)
        with pytest.raises(WireError):
            link.serve()


def test_an_empty_frame_is_refused_and_does_not_hide_what_comes_after_it() -> None:
    with link_and_socket() as (link, peer):
        peer.sendall(frame(b"") + call("note", 1))
        with pytest.raises(WireError):
            link.serve()


@pytest.mark.parametrize("count", [1, 4, 5, 20])
def test_half_a_frame_and_then_silence_does_not_block_the_server(count: int) -> None:
    service = Recorder()
    whole = call("note", b"x" * 100)
    with link_and_socket(service) as (link, peer):
        peer.sendall(whole[:count])
        began = time.monotonic()
        link.serve()
        assert time.monotonic() - began < 1
        assert not link.more
        assert not service.heard
        peer.sendall(whole[count:])
        link.serve()
        assert service.heard == [(b"x" * 100,)]


def test_a_call_that_comes_byte_by_byte_is_whole_in_the_end() -> None:
    service = Recorder()
    with link_and_socket(service) as (link, peer):
        for byte in call("note", 1) + call("note", 2):
            peer.sendall(bytes([byte]))
            link.serve()
        assert service.heard == [(1,), (2,)]


def test_messages_that_were_taken_in_with_others_are_not_forgotten() -> None:
    service = Recorder()
    with link_and_socket(service) as (link, peer):
        peer.sendall(call("note", 1) * 100)
        link.serve(at_most=64)
        assert len(service.heard) == 64
        assert link.more, "waiting on the socket would miss 36 messages"
        link.serve(at_most=64)
        assert len(service.heard) == 100
        assert not link.more


def test_asking_for_more_never_raises_when_garbage_waits_behind_good_messages() -> None:
    with link_and_socket() as (link, peer):
        peer.sendall(call("note", 1) * 64 + b"\xff" * 20)
        link.serve(at_most=64)
        # A loop asks this outside of what handles errors; the error belongs to serve.
        assert link.more
        with pytest.raises(WireError):
            link.serve()


@pytest.mark.parametrize("count", [0, 3, 5, 20])
def test_an_end_in_the_middle_of_a_frame_is_an_end(count: int) -> None:
    service = Recorder()
    with link_and_socket(service) as (link, peer):
        peer.sendall(call("note", b"x" * 100)[:count])
        peer.close()
        with pytest.raises(EOFError):
            link.serve()
        assert link.closed
        assert not service.heard


def test_what_came_whole_before_the_end_is_still_served() -> None:
    service = Recorder()
    with link_and_socket(service) as (link, peer):
        peer.sendall(call("note", 1) * 3 + b"\0\0")
        peer.shutdown(socket.SHUT_WR)
        assert isinstance(serve_to_the_end(link), EOFError)
    assert service.heard == [(1,)] * 3


def test_sending_to_a_peer_that_is_gone_is_an_end_and_no_signal() -> None:
    with link_and_socket() as (link, peer):
        peer.close()
        with pytest.raises(EOFError):
            for _ in range(3):
                link.tell("note", 1)


def test_a_closed_link_says_so_and_may_be_closed_again() -> None:
    with link_and_socket() as (link, peer):
        link.close()
        link.close()
        assert link.closed
        assert not link.more
        with pytest.raises(EOFError):
            link.serve()
        with pytest.raises(EOFError):
            link.tell("note", 1)
        with pytest.raises(EOFError):
            link.fileno()
        peer.settimeout(5)
        assert peer.recv(1) == b"", "the peer must see the end at once, without a goodbye"


@pytest.mark.parametrize("compress", [False, True])
def test_large_values_arrive_unchanged(compress: bool) -> None:
    there = Recorder()
    data = random.Random(1).randbytes(1 << 20) + bytes(1 << 20)
    with two_links(other=there, compress=compress) as (a, b, _):
        sender = threading.Thread(target=a.tell, args=("note", data))
        sender.start()
        until(lambda: there.heard, b.serve)
        sender.join()
    assert there.heard == [(data,)]


@pytest.mark.parametrize("serves_between", [True, False], ids=["serving between", "all at once"])
def test_two_peers_that_both_send_50_mb_at_the_same_time_do_not_wait_for_each_other(serves_between: bool) -> None:
    total, piece = 50 << 20, bytes(1 << 20)
    services = Recorder(), Recorder()
    ended: list[int] = []
    with two_links(*services) as (a, b, hang_up):

        def talk(link: Link, service: Recorder) -> None:
            with contextlib.suppress(EOFError):
                for _ in range(total // len(piece)):
                    link.tell("take", piece)
                    if serves_between:
                        link.serve()
                until(lambda: service.bytes_heard == total, link.serve)
                ended.append(service.bytes_heard)

        threads = [threading.Thread(target=talk, args=pair, daemon=True) for pair in zip((a, b), services, strict=True)]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 6
        for thread in threads:
            thread.join(max(0, deadline - time.monotonic()))
        if stuck := any(thread.is_alive() for thread in threads):
            hang_up()
        for thread in threads:
            thread.join(10)
    assert not stuck, f"both wait: {[service.bytes_heard >> 20 for service in services]} MB were taken"
    assert ended == [total, total]


def test_a_side_that_is_sent_to_while_it_sends_keeps_its_memory_bounded() -> None:
    with link_and_socket() as (link, peer):
        tracemalloc.start()
        try:
            stop = threading.Event()

            def flood() -> None:
                with contextlib.suppress(OSError):
                    while not stop.is_set():
                        peer.sendall(call("take", bytes(1 << 20)))

            def tell() -> None:
                with contextlib.suppress(EOFError):
                    link.tell("take", bytes(8 << 20))

            threads = [threading.Thread(target=work, daemon=True) for work in (flood, tell)]
            for thread in threads:
                thread.start()
            peak, quiet_since = 0, time.monotonic()
            while time.monotonic() - quiet_since < 0.3:  # until it grows no more
                now = tracemalloc.get_traced_memory()[0]
                if now > peak + (1 << 18):
                    peak, quiet_since = now, time.monotonic()
                assert now < 6 * MAX_FRAME_BYTES
                time.sleep(0.01)
            stop.set()
            peer.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join(10)
        finally:
            tracemalloc.stop()


# Fuzzing.


def _messages() -> list[bytes]:
    values = ("run", (b"cc", b"", (b"cc", b"-c", b"x.c"), b"/", (b"A=1",) * 5, 18, False, (), (("pipe", 0),), 1.0))
    return [
        message(REQUEST, 1, (CALL, (VALUE, ("note", values)))),
        message(REQUEST, 2, (CALL, (VALUE, ("take", (bytes(300),))))),
        message(REQUEST, 3, (consts.HANDLE_PING, (VALUE, ("x",)))),
        message(REPLY, 0, (VALUE, (1, 2, 3, 4))),
        message(EXCEPTION, 0, (("builtins", "ValueError"), ("x",), (), "")),
        zlib.compress(message(REQUEST, 1, (CALL, (VALUE, ("note", values))))),
    ]


def _mutated(rng: random.Random) -> bytes:
    base = rng.choice(_messages())
    whole = bytearray(frame(base, int(base[:1] == b"\x78")))
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        place = rng.randrange(len(whole) if rng.random() < 0.9 else min(5, len(whole)))
        match rng.randrange(4):
            case 0:
                whole[place] = rng.randrange(256)
            case 1:
                whole[place] ^= 1 << rng.randrange(8)
            case 2:
                del whole[place : place + rng.randrange(1, 9)]
            case 3:
                whole[place:place] = rng.randbytes(rng.randrange(1, 9))
        whole = whole or bytearray(1)
    return bytes(whole)


def _random(rng: random.Random) -> bytes:
    data = rng.randbytes(rng.randrange(1, 300))
    # Half of it framed well, so that more than the header is put to the test.
    return frame(bytes([rng.randrange(1, 4)]) + data, rng.randrange(2)) if rng.random() < 0.5 else data


@pytest.mark.timeout(60)
@pytest.mark.parametrize("make", [_mutated, _random])
def test_no_sequence_of_bytes_hangs_the_link_or_grows_its_memory(make: Callable[[random.Random], bytes]) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")  # shown when the test fails
    rng = random.Random(seed)
    inputs = [make(rng) for _ in range(2500)]
    tracemalloc.start()
    try:
        for data in inputs:
            with link_and_socket() as (link, peer):
                link.ask("hello", answer=lambda value, error: None)
                peer.sendall(data)
                peer.shutdown(socket.SHUT_WR)
                serve_to_the_end(link)
        current, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20
    assert current < 4 << 20
