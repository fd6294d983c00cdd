"""rpyc's frames over a non-blocking socket: capped, and never stuck; see `wire` for the whole.

A frame is a head (length, whether it is compressed), its bytes, and a closing line feed.
"""

from __future__ import annotations

import select
import socket
import time
import zlib
from collections import deque
from typing import Any

from rpyc.core.channel import Channel

# The largest message is a job: argv and environment, which Linux limits to 6 MiB.
MAX_FRAME_BYTES = 16 << 20
_RECEIVE_BYTES = 64 << 10
# A frame of such a size is read into a buffer made for it. A larger one grows as it comes, lest a peer that announces
# much and sends nothing costs memory.
_BULK_FRAME_BYTES = range(_RECEIVE_BYTES, 2 << 20)
_TAIL = Channel.FLUSHER
_HEAD = Channel.FRAME_HEADER

# What is kept while this side waits to send: far more than the windows of all streams.
_MOST_KEPT_BYTES = 4 * MAX_FRAME_BYTES


class WireError(Exception):
    """The peer does not speak our language: it is no shadowfarm worker or client."""


class SocketChannel(Channel):  # type: ignore[misc]
    """rpyc's frames over a non-blocking socket."""

    __slots__ = ("_body", "_compressed", "_filled", "_frames", "_incoming", "_sock")

    def __init__(self, sock: socket.socket, compress: bool = False) -> None:
        super().__init__(None, compress)
        sock.setblocking(False)
        if sock.family != getattr(socket, "AF_UNIX", None):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock: socket.socket | None = sock
        self._incoming = bytearray()
        self._frames: deque[tuple[bytearray, int]] = deque()  # whole bulk frames, with their tails
        self._body: bytearray | None = None  # of the bulk frame that is coming; `_filled` bytes of it are here
        self._filled = 0
        self._compressed = 0

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
        if self._frames:
            return True
        if self._body is not None or len(self._incoming) < _HEAD.size:
            return False
        length, compressed = _HEAD.unpack_from(self._incoming)
        if length > MAX_FRAME_BYTES:
            raise WireError(f"a message of {length} bytes is announced")
        if len(self._incoming) >= int(_HEAD.size + length + len(_TAIL)):
            return True
        if length in _BULK_FRAME_BYTES:
            self._compressed = compressed
            self._body = bytearray(length + len(_TAIL))
            self._filled = len(self._incoming) - _HEAD.size
            self._body[: self._filled] = memoryview(self._incoming)[_HEAD.size :]
            self._incoming = bytearray()
        return False

    def recv(self) -> bytes | bytearray:
        self.poll(None)
        if self._frames:
            frame, compressed = self._frames.popleft()
            tail = frame[-len(_TAIL) :]
            del frame[-len(_TAIL) :]
        else:
            length, compressed = _HEAD.unpack_from(self._incoming)
            end = _HEAD.size + length
            frame = self._incoming[_HEAD.size : end]
            tail = self._incoming[end : end + len(_TAIL)]
            del self._incoming[: end + len(_TAIL)]
        if tail != _TAIL or compressed not in (0, 1) or not frame:
            raise WireError("a message is not framed as rpyc frames it")
        return _inflate(frame) if compressed else frame

    def send(self, data: bytes) -> None:
        self.send_parts(data)

    def send_parts(self, *data: bytes | memoryview) -> None:
        """Send a frame of several parts, without joining them."""
        compressed = int(self.compress and sum(map(len, data)) > self.COMPRESSION_THRESHOLD)
        if compressed:
            data = (zlib.compress(b"".join(data), self.COMPRESSION_LEVEL),)
        head = _HEAD.pack(sum(map(len, data)), compressed)
        parts = [memoryview(part) for part in (head, *data, _TAIL)]
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
            if _wait(sock.fileno(), select.POLLOUT | select.POLLIN, None) & select.POLLIN:
                self._keep()
            return 0
        except OSError as error:
            self.close()
            raise EOFError(error) from error

    def _keep(self) -> None:
        """Take in what the peer sends while this side waits to send. Raises: EOFError: it sends more than it may."""
        if len(self._incoming) + sum(len(frame) for frame, _ in self._frames) > _MOST_KEPT_BYTES:
            self.close()
            raise EOFError("the peer sends without end and takes nothing")
        # A bulk frame is begun by who looks for it.
        try:
            if self._body is None and not self._frames:
                self.has_frame()
        except WireError as error:
            self.close()
            raise EOFError(error) from error
        self._receive()

    def _receive(self) -> bool:
        """Take in what has arrived; False when nothing had. Raises: EOFError."""
        try:
            if self._body is None:
                data = self._open_socket().recv(_RECEIVE_BYTES)
                self._incoming += data
                count = len(data)
            else:
                count = self._open_socket().recv_into(memoryview(self._body)[self._filled :])
                self._filled += count
                if self._filled == len(self._body):
                    self._frames.append((self._body, self._compressed))
                    self._body = None
        except BlockingIOError:
            return False
        except OSError as error:
            self.close()
            raise EOFError(error) from error
        if not count:
            self.close()
            raise EOFError("the peer closed the connection")
        return True

    def _open_socket(self) -> socket.socket:
        if self._sock is None:
            raise EOFError("the connection is closed")
        return self._sock


def _inflate(frame: bytearray) -> bytes:
    inflater = zlib.decompressobj()
    try:
        data = inflater.decompress(frame, MAX_FRAME_BYTES)
    except zlib.error as error:
        raise WireError("a compressed message cannot be inflated") from error
    if inflater.unconsumed_tail:
        raise WireError("a message inflates beyond the limit")
    if not data or not inflater.eof or inflater.unused_data:
        raise WireError("a compressed message is not one whole stream")
    return data


def _wait(fd: int, events: int, seconds: float | None) -> int:
    """The events of `fd` that are ready; waits at most `seconds`."""
    poller = select.poll()
    poller.register(fd, events)
    ready = poller.poll(None if seconds is None else seconds * 1000)
    return ready[0][1] if ready else 0
