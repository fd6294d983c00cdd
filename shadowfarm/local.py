"""The worker called "local": on this machine, started by the first client that needs it, ended when idle."""

from __future__ import annotations

import hashlib
import os
import socket
import sys

from . import PROTOCOL, system
from .errors import NotStarted

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_IDLE_EXIT_S = 300
_START_PATIENCE_S = 20.0


def socket_path() -> str:
    """Where the local worker of this tree and version listens."""
    tree = hashlib.sha256(os.fsencode(_ROOT)).hexdigest()[:12]
    return os.path.join(system.private_folder("local"), f"{tree}-{PROTOCOL}.sock")


def connect() -> socket.socket:
    """A connection to the local worker, which is started if it does not run. Raises: NotStarted."""
    path = socket_path()
    try:
        return _connect(path)
    except OSError:
        pass
    with system.locked(path + ".lock"):
        try:
            return _connect(path)  # another client has started it meanwhile
        except OSError:
            _start(path)
    try:
        return _connect(path)
    except OSError as error:
        raise NotStarted(f"the local worker does not answer: {error.strerror}", _cure()) from error


def _connect(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(path)
    except OSError:
        sock.close()
        raise
    return sock


def _start(path: str) -> None:
    """Start it and wait until it listens: it writes to a pipe then, or closes it by ending."""
    import subprocess  # 4 ms that only the first client needs

    ready, theirs = os.pipe()
    command = [sys.executable, os.path.join(_ROOT, "worker.py"), "--unix", path]
    command += ["--idle-exit", str(_IDLE_EXIT_S), "--ready-fd", str(theirs)]
    env = {name: value for name, value in os.environ.items() if not name.startswith("SHADOWFARM_JOB")}
    with open(_log(), "ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=env,
            pass_fds=[theirs],
            start_new_session=True,
        )
    os.close(theirs)
    try:
        if not _says_ready(ready):
            raise NotStarted("the local worker could not be started", _cure())
    finally:
        os.close(ready)
        # It outlives this client, which must not warn that it does.
        process.returncode = 0


def _says_ready(ready: int) -> bool:
    import select

    poller = select.poll()
    poller.register(ready, select.POLLIN)
    return bool(poller.poll(_START_PATIENCE_S * 1000)) and bool(os.read(ready, 1))


def _log() -> str:
    return os.path.join(system.private_folder("local"), "worker.log")


def _cure() -> str:
    return f"See {_log()}."
