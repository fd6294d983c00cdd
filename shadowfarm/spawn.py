"""What a worker and its spawner process say to each other, and the worker's side of it.

The worker passes each job over one stream socket as a byte with file descriptors: first a control socket of the job's
own, then the job's streams. On the control socket comes the command (marshal, for both ends are the same Python), then
five-byte messages go both ways: a kind and a number. A closed control socket means that nobody wants the job any more.
"""

from __future__ import annotations

import marshal
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MESSAGE = struct.Struct("!ci")

# From here to the worker; the number is in parentheses.
STARTED = b"S"  # (process id)
NO_FOLDER = b"D"  # the working folder cannot be entered (errno)
NO_EXEC = b"E"  # the program cannot be executed (errno)
NO_FORK = b"F"  # no process could be made (errno)
STOPPED = b"T"  # (signal)
CONTINUED = b"C"
ENDED = b"X"  # (wait status, as waitpid(2) gives it)

# From the worker to here.
SIGNAL = b"s"  # signal the job's process group (signal)
KILL = b"k"  # end the whole tree: SIGTERM, and SIGKILL after (milliseconds)

MARK = b"SHADOWFARM_JOB"


@dataclass(frozen=True)
class Command:
    """What to execute. `streams` gives for file descriptors 0, 1, 2 the index of a passed descriptor, or -1: closed.

    terminal: index of the passed descriptor that becomes the controlling terminal, or -1.
    """

    program: bytes
    argv: tuple[bytes, ...]
    env: dict[bytes, bytes]
    cwd: bytes
    umask: int
    ignored: tuple[int, ...]
    streams: tuple[int, int, int]
    terminal: int

    def dump(self) -> bytes:
        """The command as bytes, its length before it."""
        data = marshal.dumps(tuple(vars(self).values()))
        return struct.pack("!I", len(data)) + data

    @classmethod
    def read(cls, control: socket.socket) -> Command:
        """Read what `dump` made; the sender is our own worker, which writes it whole. Raises: EOFError."""
        (length,) = struct.unpack("!I", _read_exactly(control, 4))
        return cls(*marshal.loads(_read_exactly(control, length)))

    @property
    def mark(self) -> bytes:
        """The item of the environment that all of the job's processes inherit."""
        return MARK + b"=" + self.env.get(MARK, b"")


def _read_exactly(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = sock.recv(count - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def start(options: Mapping[str, Any] | None = None) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start a spawner process. Returns: its Popen, and the socket to pass jobs over."""
    ours, theirs = socket.socketpair()
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    code = "import sys; sys.path.insert(0, sys.argv[1]); from shadowfarm import spawner; spawner.main(int(sys.argv[2]))"
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", code, root, str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        **(options or {}),
    )
    theirs.close()
    return process, ours


def pass_job(source: socket.socket, command: Command, descriptors: list[int]) -> socket.socket:
    """Have the spawner at `source` start a job; gives the job's control socket. Raises: OSError: it is not there."""
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            socket.send_fds(source, [b"J"], [theirs.fileno(), *descriptors])
            ours.sendall(command.dump())
        except OSError:
            ours.close()
            raise
    return ours
