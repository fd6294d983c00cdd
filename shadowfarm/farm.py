"""The workers as a client finds them: connections to all that are asked for, made at once, and the load of each."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from . import PROTOCOL, local, statuses
from .address import Address, parse
from .channel import WireError
from .errors import NotStarted
from .reactor import WRITE, Reactor
from .remote import ClientService
from .signals import Control, watch
from .slots import Load
from .wire import Link

# Once a worker has answered, one that is silent for longer than this is left alone for this job.
_PATIENCE_AFTER_FIRST_S = 0.5


@dataclass
class Peer:
    """A worker that answered."""

    address: str
    link: Link
    service: ClientService
    load: Load


class Lookup:
    """Asks several workers at once who they are and how busy.

    `peers` are those that answered, in the order of the addresses; `failures` tells for each other one why not.
    Raises: Interrupted, by `control`.
    """

    def __init__(self, addresses: Sequence[str], connect_timeout_s: float, control: Control | None = None) -> None:
        self.failures: dict[str, NotStarted] = {}
        self._addresses = addresses
        self._answers: dict[str, Peer] = {}
        self._links: dict[str, Link] = {}
        self._reactor = Reactor()
        self._sockets: dict[str, socket.socket] = {}
        deadline = time.monotonic() + connect_timeout_s
        try:
            if control is not None:
                watch(self._reactor, control)
            for address in addresses:
                self._begin(address)
            while self._pending() and (left := deadline - time.monotonic()) > 0:
                before = len(self._answers)
                self._reactor.turn(left)
                if self._answers and not before:
                    deadline = min(deadline, time.monotonic() + _PATIENCE_AFTER_FIRST_S)
            for address in self._pending():
                self._fail(address, "did not answer in time", "Is it stopped, or the network slow?")
        except BaseException:
            self.failures.update((address, NotStarted("interrupted")) for address in addresses)
            raise
        finally:
            self._close_failed()
            self._reactor.close()

    @property
    def peers(self) -> list[Peer]:
        """Those that answered; the caller closes their links."""
        return [self._answers[address] for address in self._addresses if address in self._answers]

    def _pending(self) -> list[str]:
        return [item for item in self._addresses if item not in self._answers and item not in self.failures]

    def _begin(self, address: str) -> None:
        try:
            sock = _connecting(parse(address))
        except NotStarted as error:
            self.failures[address] = error
            return
        except OSError as error:
            self._fail(address, _reason(error))
            return
        self._sockets[address] = sock
        self._reactor.watch(sock.fileno(), lambda: self._connected(address, sock), WRITE)

    def _connected(self, address: str, sock: socket.socket) -> None:
        self._reactor.unwatch(sock.fileno())
        failed = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failed:
            self._fail(address, os.strerror(failed).lower())
            return
        service = ClientService()
        link = self._links[address] = Link(sock, service)
        self._reactor.watch(sock.fileno(), lambda: self._serve(address, link))

        def answered(value: Any, error: Exception | None) -> None:
            self._greeted(address, service, link, value, error)

        try:
            link.ask("hello", PROTOCOL, answer=answered)
        except EOFError:
            self._fail(address, "hung up")

    def _serve(self, address: str, link: Link) -> None:
        fd = link.fileno()
        try:
            link.serve(at_most=1)
        except EOFError:
            self._reactor.unwatch(fd)
            self._fail(address, "hung up", "Does a worker listen there?")
        except WireError as error:
            self._reactor.unwatch(fd)
            self._fail(address, f"is no worker: {error}", "Something else listens there: check the port.")

    def _greeted(self, address: str, service: ClientService, link: Link, value: Any, error: Exception | None) -> None:
        self._reactor.unwatch(link.fileno())
        if error is not None or not isinstance(value, tuple) or len(value) < 4:
            self._fail(address, "is no worker that we understand", "Use the same version of shadowfarm everywhere.")
        elif value[0] != PROTOCOL:
            what = f"speaks protocol {value[0]}, and this client speaks {PROTOCOL}"
            self._fail(address, what, "Use the same version of shadowfarm everywhere.", statuses.WRONG_VERSION)
        else:
            self._answers[address] = Peer(address, link, service, Load(*value[1:4]))

    def _fail(self, address: str, why: str, cure: str = "", status: int = statuses.NO_WORKER) -> None:
        self.failures[address] = NotStarted(f"{address} {why}", cure, status=status)

    def _close_failed(self) -> None:
        # Not where it failed: that may be within a reply, which rpyc has not done with yet.
        for address in self.failures:
            if address in self._links:
                self._links[address].close()
            if address in self._sockets:
                self._sockets[address].close()


def _connecting(address: Address) -> socket.socket:
    """A socket that is about to be connected. Raises: OSError, NotStarted."""
    if address.kind == "local":
        return local.connect()
    if address.kind == "unix":
        sock, place = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), address.path
    else:
        family, kind, protocol, _, place = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0]  # type: ignore[assignment]
        sock = socket.socket(family, kind, protocol)
    sock.setblocking(False)
    failed = sock.connect_ex(place)
    if failed not in (0, errno.EINPROGRESS):
        sock.close()
        raise OSError(failed, os.strerror(failed))
    return sock


def _reason(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return f"cannot be looked up: {error.strerror}"
    if error.errno == errno.EAGAIN:
        return "has too many connections waiting"
    return (error.strerror or str(error)).lower()
