"""The worker itself: listens, keeps slots, a spawner and a console, and gives each connection a session."""

from __future__ import annotations

import errno
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from . import spawn
from .address import join
from .console import Console
from .errors import ConfigError, ListenError
from .reactor import Reactor
from .session import Session
from .slots import Slots
from .workerfile import WorkerFile

_ACCEPT_AGAIN_S = 0.1


class Worker:
    """Invariant, under the lock: `_sessions` are the living sessions; `_jobs` counts the numbers given out.

    Signals are only recorded; the loop in `run` acts: TERM and INT drain, a second one kills, HUP reads the file again.
    """

    def __init__(
        self,
        settings: WorkerFile,
        console: Console,
        *,
        reload: Callable[[], WorkerFile] | None = None,
        idle_exit_s: float = 0,
    ) -> None:
        self.settings = settings
        self.console = console
        self.slots = Slots(settings.num_tasks)
        self.draining = False
        self._reload = reload
        self._idle_exit_s = idle_exit_s
        self._lock = threading.Lock()
        self._sessions: set[Session] = set()
        self._jobs = 0
        self._instance = os.urandom(8).hex()
        self._spawner: tuple[Any, socket.socket] | None = None
        self._reactor = Reactor()
        self._listener: socket.socket | None = None
        self._signals: list[int] = []
        self._ended = False
        self._idle_since = time.monotonic()

    # For sessions, from their threads.

    def next_number(self) -> int:
        """The number of the next job, for the console and for its mark."""
        with self._lock:
            self._jobs += 1
            return self._jobs

    def mark(self, number: int) -> bytes:
        """What SHADOWFARM_JOB is for a job: unlike any other job's, on any machine."""
        return f"{self._instance}-{number}".encode()

    def spawner_socket(self) -> socket.socket:
        """The spawner's socket; a spawner that ended is replaced. Raises: OSError."""
        with self._lock:
            if self._spawner is None or self._spawner[0].poll() is not None:
                if self._spawner is not None:
                    self._spawner[1].close()
                self._spawner = spawn.start()
            return self._spawner[1]

    def job_done(self) -> None:
        """A job has ended for good."""
        self._reactor.post(self._check_ended)

    def ended(self, session: Session) -> None:
        """A session has ended."""
        with self._lock:
            self._sessions.discard(session)
            self._idle_since = time.monotonic()
        self._reactor.post(self._check_ended)

    # The loop.

    def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Serve until told to end. Raises: ListenError."""
        self._reactor.open_post()
        self._listener = _listen(self.settings)
        self._reactor.watch(self._listener.fileno(), self._accept)
        self._install_signals()
        self.spawner_socket()
        self.console.say(f"listening at {self.address} with {self.settings.num_tasks} slots")
        if self.settings.insecure and not self.settings.unix:
            self.console.say('"insecure" is set: whoever reaches this address runs commands as this user')
        ready()
        self._watch_idle()
        while not self._ended:
            self._reactor.turn()
        self._close()

    @property
    def address(self) -> str:
        """Where it listens, as a client's config.py has it."""
        if self.settings.unix:
            return f"unix:{self.settings.unix}"
        assert self._listener is not None
        return join(self.settings.host, self._listener.getsockname()[1])

    def drain(self) -> None:
        """Take no new jobs, give the waiting ones back, and end when the running ones have."""
        if not self.draining:
            self.draining = True
            self.console.say("going down: running jobs end first; signal once more to kill them")
            self._stop_listening()
            for session in self._living():
                session.give_up_waiting()
        self._check_ended()

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            sock, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError as error:
            # Out of descriptors: leave the connection in the queue for a moment instead of spinning on it.
            if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                raise
            self._reactor.unwatch(self._listener.fileno())
            self._reactor.later(_ACCEPT_AGAIN_S, self._watch_listener)
            return
        session = Session(self, sock, _peer_name(sock))
        with self._lock:
            self._sessions.add(session)
        try:
            session.start()
        except RuntimeError as error:
            self.console.say(f"no thread for a connection: {error}")
            sock.close()
            self.ended(session)

    def _watch_listener(self) -> None:
        if self._listener is not None:
            self._reactor.watch(self._listener.fileno(), self._accept)

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._reactor.unwatch(self._listener.fileno())
            if self.settings.unix:
                _unlink_own(self.settings.unix)
            self._listener.close()
            self._listener = None

    def _living(self) -> list[Session]:
        with self._lock:
            return list(self._sessions)

    def _check_ended(self) -> None:
        if self.draining and not any(session.busy for session in self._living()):
            self._ended = True

    def _watch_idle(self) -> None:
        if not self._idle_exit_s:
            return
        left = self._idle_exit_s
        if not self._living():
            left = self._idle_since + self._idle_exit_s - time.monotonic()
        if left <= 0:
            self.draining = True
            self._stop_listening()
            self._check_ended()
        else:
            self._reactor.later(left, self._watch_idle)

    def _close(self) -> None:
        with self._lock:
            current = self._spawner
        if current is not None:
            process, sock = current
            sock.close()
            process.wait()
        self.console.debug("ended")

    # Signals.

    def _install_signals(self) -> None:
        read, write = os.pipe()
        os.set_blocking(read, False)
        os.set_blocking(write, False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda number, _: self._signals.append(number))
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        self._reactor.watch(read, lambda: self._take_signals(read))

    def _take_signals(self, read: int) -> None:
        os.read(read, 256)
        while self._signals:
            if self._signals.pop(0) == signal.SIGHUP:
                self._read_again()
            elif self.draining:
                self.console.say("killing the running jobs")
                for session in self._living():
                    session.kill()
            else:
                self.drain()

    def _read_again(self) -> None:
        if self._reload is None:
            return
        try:
            settings = self._reload()
        except ConfigError as error:
            self.console.say(f"going on with the former settings: {error.line()}")
            return
        self.settings = settings
        self.slots.resize(settings.num_tasks)
        self.console.say(f"read {settings.path} again: {settings.num_tasks} slots")


def _listen(settings: WorkerFile) -> socket.socket:
    try:
        sock = _listen_unix(settings.unix) if settings.unix else _listen_tcp(settings.host, settings.port)
    except OSError as error:
        place = settings.unix or join(settings.host, settings.port)
        cure = "Is a worker running there already? Choose another port, or end it."
        if error.errno not in (errno.EADDRINUSE,):
            cure = "Check host, port or unix in the worker's file."
        raise ListenError(f"cannot listen at {place}: {error.strerror or error}", cure) from error
    sock.setblocking(False)
    return sock


def _listen_tcp(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(socket.SOMAXCONN)
    except OSError:
        sock.close()
        raise
    return sock


def _listen_unix(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        umask = os.umask(0o177)  # only this user may connect
        try:
            sock.bind(path)
        finally:
            os.umask(umask)
        sock.listen(socket.SOMAXCONN)
    except OSError:
        sock.close()
        raise
    return sock


def _remove_stale(path: str) -> None:
    """Remove the socket file of a worker that was killed; one that answers stays. Raises: OSError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        except FileNotFoundError:
            pass
        else:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def _unlink_own(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass


def _peer_name(sock: socket.socket) -> str:
    name = sock.getpeername() if sock.family != socket.AF_UNIX else "a local client"
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else name
