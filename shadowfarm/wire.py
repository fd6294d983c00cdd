"""The connection between client and worker: rpyc's messages, by value only, over one socket.

rpyc gives framing, serialisation, requests and replies. Four things differ here:

- *By value only.* Peers call each other's `exposed_` methods with plain values. No netref is ever made, so there is no
  remote attribute access, no pickle, and no round trip beyond the call itself.
- *Capped.* A frame, and what it inflates to, has a limit; rpyc by itself allocates what the peer asks for.
- *Bulk bytes uncopied.* A job's output and input go in frames of their own kind, without serialisation and reply: read
  from the socket into the buffer that is written on (280 MB/s by rpyc's own calls, several times that so).
- *Never stuck.* A frame that came in part is kept until the rest comes, and a side that waits to send takes in what the
  other side sends meanwhile: two peers that both have much to say cannot wait for each other for ever.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from rpyc.core import consts
from rpyc.core.protocol import Connection
from rpyc.core.service import Service

from .channel import SocketChannel, WireError

_LONGEST_ERROR = 500

# A request and a message number that rpyc does not use.
_HANDLE_CALL_BY_VALUE = 64
_MSG_BYTES = 64

_RPYC_CONFIG = {
    "allow_public_attrs": False,
    "allow_safe_attrs": False,
    "allow_getattr": False,
    "allow_pickle": False,
    "include_local_traceback": False,
    "include_local_version": False,
}


class PeerError(Exception):
    """What we asked of the peer failed there."""


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

    def send_bytes(self, tag: int, data: bytes) -> None:
        """Pass bulk bytes to the peer's `take_bytes(tag, data)`, without a reply."""
        self._channel.send_parts(bytes((_MSG_BYTES, tag)), data)

    def _dispatch(self, data: bytearray) -> None:
        if data[0] == _MSG_BYTES and len(data) > 1:
            self._recvlock.release()
            self._local_root.take_bytes(data[1], memoryview(data)[2:])
            return
        try:
            super()._dispatch(bytes(data))
        except EOFError:
            raise  # the reply could not be sent
        except Exception as error:
            raise WireError("a message is not one of rpyc's") from error

    def _unbox_exc(self, raw: Any) -> PeerError:
        # rpyc would make an exception of whatever class the peer names, SystemExit included.
        return PeerError(repr(raw)[:_LONGEST_ERROR])

    def close(self) -> None:
        """Hang up at once; rpyc would wait for the peer's goodbye, up to 30 s."""
        if not self._closed:
            self._cleanup()


class PeerService(Service):  # type: ignore[misc]
    """Base of what each side exposes to the other."""

    _protocol = ValueConnection

    def take_bytes(self, tag: int, data: memoryview) -> None:
        """Bulk bytes from the peer; `tag` tells which of the job's streams they belong to."""
        raise NotImplementedError


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
        return bool(self._connection.closed) or self._channel.closed

    def tell(self, name: str, *args: Any) -> None:
        """Call `exposed_<name>` of the peer and do not wait."""
        self._connection.async_request(_HANDLE_CALL_BY_VALUE, name, args)

    def send_bytes(self, tag: int, data: bytes) -> None:
        """Pass bulk bytes of the stream `tag` to the peer's `take_bytes`."""
        self._connection.send_bytes(tag, data)

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
        try:
            return not self._channel.closed and self._channel.has_frame()
        except WireError:
            return True  # `serve` tells of it

    def close(self) -> None:
        """Hang up."""
        self._connection.close()
