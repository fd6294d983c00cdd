"""The connection between client and worker: rpyc's messages, by value only, over one socket.

rpyc gives framing, serialisation, requests and replies. Three things are narrowed here:

- *By value only.* Peers call each other's `exposed_` methods with plain values. No netref is ever made, so there is no
  remote attribute access, no pickle, and no round trip beyond the call itself.
- *Capped.* A frame, and what it inflates to, has a limit; rpyc by itself allocates what the peer asks for.
- *Never stuck.* A frame that came in part is kept until the rest comes, and a side that waits to send takes in what the
  other side sends meanwhile: two peers that both have much to say cannot wait for each other for ever.
"""

from __future__ import annotations

import select
import socket
import time
import zlib
from collections.abc import Callable
from typing import Any

from rpyc.core import consts
from rpyc.core.channel import Channel
from rpyc.core.protocol import Connection
from rpyc.core.service import Service

# The largest message is a job: argv and environment, which Linux limits to 6 MiB.
MAX_FRAME_BYTES = 16 << 20
_RECEIVE_BYTES = 256 << 10
_TAIL = Channel.FLUSHER
_HEAD = Channel.FRAME_HEADER

# A request number that rpyc does not use.
_HANDLE_CALL_BY_VALUE = 64

_RPYC_CONFIG = {
    "allow_public_attrs": False,
    "allow_safe_attrs": False,
    "allow_getattr": False,
    "allow_pickle": False,
    "include_local_traceback": False,
    "include_local_version": False,
}


class WireError(Exception):
    """The peer does not speak our language: it is no shadowfarm worker or client."""


class SocketChannel(Channel):  # type: ignore[misc]
    """rpyc's frames over a non-blocking socket."""

    __slots__ = ("_incoming", "_sock", "inflates")

    def __init__(self, sock: socket.socket, compress: bool = False) -> None:
        super().__init__(None, compress)
        sock.setblocking(False)
        if sock.family != getattr(socket, "AF_UNIX", None):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock: socket.socket | None = sock
        self._incoming = bytearray()

    @property
    def closed(self) -> bool:
        return self._sock is None

    def close(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def fileno(self) -> int:
        return self._open_socket().fileno()

    def poll(self, timeout: Any) -> bool:
        """Whether a whole frame is here, or comes within `timeout` (seconds, rpyc's Timeout, or None for ever)."""
        seconds: float | None = timeout.timeleft() if hasattr(timeout, "timeleft") else timeout
        deadline = None if seconds is None else time.monotonic() + seconds
        while not self.has_frame():
            if not self._receive():
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return False
                _wait(self.fileno(), select.POLLIN, left)
        return True

    def has_frame(self) -> bool:
        """Whether a whole frame has been taken in. Raises: WireError for a frame over the limit."""
        if len(self._incoming) < _HEAD.size:
            return False
        length, _ = _HEAD.unpack_from(self._incoming)
        if length > MAX_FRAME_BYTES:
            raise WireError(f"a message of {length} bytes is announced")
        return len(self._incoming) >= int(_HEAD.size + length + len(_TAIL))

    def recv(self) -> bytes:
        self.poll(None)
        length, compressed = _HEAD.unpack_from(self._incoming)
        end = _HEAD.size + length
        frame = bytes(memoryview(self._incoming)[_HEAD.size : end])
        tail = self._incoming[end : end + len(_TAIL)]
        del self._incoming[: end + len(_TAIL)]
        if tail != _TAIL or compressed not in (0, 1):
            raise WireError("a message is not framed as rpyc frames it")
        return _inflate(frame) if compressed else frame

    def send(self, data: bytes) -> None:
        compressed = int(self.compress and len(data) > self.COMPRESSION_THRESHOLD)
        if compressed:
            data = zlib.compress(data, self.COMPRESSION_LEVEL)
        parts = [memoryview(_HEAD.pack(len(data), compressed)), memoryview(data), memoryview(_TAIL)]
        while parts:
            sent = self._send_some(parts)
            while parts and sent >= len(parts[0]):
                sent -= len(parts.pop(0))
            if parts:
                parts[0] = parts[0][sent:]

    def _send_some(self, parts: list[memoryview]) -> int:
        sock = self._open_socket()
        try:
            return sock.sendmsg(parts)
        except BlockingIOError:
            events = select.POLLOUT | (select.POLLIN if len(self._incoming) < 2 * MAX_FRAME_BYTES else 0)
            if _wait(sock.fileno(), events, None) & select.POLLIN:
                self._receive()
            return 0
        except OSError as error:
            self.close()
            raise EOFError(error) from error

    def _receive(self) -> bool:
        """Take in what has arrived; False when nothing had. Raises: EOFError."""
        try:
            data = self._open_socket().recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return False
        except OSError as error:
            self.close()
            raise EOFError(error) from error
        if not data:
            self.close()
            raise EOFError("the peer closed the connection")
        self._incoming += data
        return True

    def _open_socket(self) -> socket.socket:
        if self._sock is None:
            raise EOFError("the connection is closed")
        return self._sock


class ValueConnection(Connection):  # type: ignore[misc]
    """rpyc's connection, reduced to calls by value of the other side's `exposed_` methods."""

    @classmethod
    def _request_handlers(cls) -> dict[int, Callable[..., Any]]:
        return {consts.HANDLE_PING: cls._handle_ping, _HANDLE_CALL_BY_VALUE: cls._handle_call_by_value}

    def _handle_call_by_value(self, name: str, args: tuple[Any, ...]) -> Any:
        method = getattr(self._local_root, f"exposed_{name}", None)
        if method is None:
            raise AttributeError(f"there is no {name!r} here")
        return method(*args)

    def _unbox(self, package: tuple[int, Any]) -> Any:
        label, value = package
        if label != consts.LABEL_VALUE:
            raise ValueError("objects do not cross by reference here")
        return value

    def _dispatch(self, data: bytes) -> None:
        try:
            super()._dispatch(data)
        except EOFError:
            raise  # the reply could not be sent
        except Exception as error:
            raise WireError("a message is not one of rpyc's") from error

    def close(self) -> None:
        """Hang up at once; rpyc would wait for the peer's goodbye, up to 30 s."""
        if not self._closed:
            self._cleanup()


class PeerService(Service):  # type: ignore[misc]
    """Base of what each side exposes to the other."""

    _protocol = ValueConnection


class Link:
    """One connection, seen from one side.

    Raises, all methods: EOFError when the peer is gone; WireError when it does not speak our language.
    """

    def __init__(self, sock: socket.socket, service: PeerService, compress: bool = False) -> None:
        self._channel = SocketChannel(sock, compress)
        self._connection = service._connect(self._channel, dict(_RPYC_CONFIG))

    def fileno(self) -> int:
        """The socket's descriptor, to wait on."""
        return self._channel.fileno()

    @property
    def closed(self) -> bool:
        """Whether either side has hung up."""
        return bool(self._connection.closed)

    def tell(self, name: str, *args: Any) -> None:
        """Call `exposed_<name>` of the peer and do not wait."""
        self._connection.async_request(_HANDLE_CALL_BY_VALUE, name, args)

    def ask(self, name: str, *args: Any, answer: Callable[[Any, Exception | None], None]) -> None:
        """Call `exposed_<name>` of the peer; `answer(value, error)` is called when the reply is served."""

        def replied(result: Any) -> None:
            if result.error:
                answer(None, result._obj)
            else:
                answer(result.value, None)

        self._connection.async_request(_HANDLE_CALL_BY_VALUE, name, args).add_callback(replied)

    def serve(self, at_most: int = 64) -> None:
        """Handle what has arrived, without waiting for more."""
        for _ in range(at_most):
            if not self._connection.serve(0):
                return

    @property
    def more(self) -> bool:
        """Whether a whole message was taken in and is not handled yet, so that waiting on the socket would miss it."""
        return not self._channel.closed and self._channel.has_frame()

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def _inflate(frame: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        data = inflater.decompress(frame, MAX_FRAME_BYTES)
    except zlib.error as error:
        raise WireError("a compressed message cannot be inflated") from error
    if inflater.unconsumed_tail:
        raise WireError("a message inflates beyond the limit")
    return data


def _wait(fd: int, events: int, seconds: float | None) -> int:
    """The events of `fd` that are ready; waits at most `seconds`."""
    poller = select.poll()
    poller.register(fd, events)
    ready = poller.poll(None if seconds is None else seconds * 1000)
    return ready[0][1] if ready else 0
