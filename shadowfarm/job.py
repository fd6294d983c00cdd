"""What a client asks of a worker, as plain values: they cross the wire by value, in one message.

A netref would cost a round trip for each item of argv and of the environment (73 ms against 0.6 ms measured), and would
let the peer call back into us.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
from typing import Any

# What stands at one of the job's file descriptors 0, 1 and 2.
NULL = "null"
PIPE = "pipe"
TTY = "tty"
CLOSED = "closed"

STDIN, STDOUT, STDERR = 0, 1, 2

# How much of one stream may be on its way, unread, before the sender stops: output and input of a job.
OUTPUT_WINDOW_BYTES = 1 << 20
INPUT_WINDOW_BYTES = 64 << 10

_LONGEST_DRAIN_S = 2_000_000


@dataclass(frozen=True)
class Stream:
    """One of a job's three streams: its `kind`, and the `group` of streams that are one and the same file.

    Streams that share a pipe or a terminal at the client share one at the job, so that their order among each other is
    kept (`2>&1`). A group is named by the lowest file descriptor in it.
    """

    kind: str
    group: int


@dataclass(frozen=True)
class Terminal:
    """The client's terminal, as the job's is to be: window size, and the settings of an interactive one.

    `size` is (rows, columns, x pixels, y pixels); `attributes` are termios's own (iflag, oflag, cflag, lflag, cc bytes)
    of `platform`, and None for a terminal that only takes output.
    """

    size: tuple[int, int, int, int] = (24, 80, 0, 0)
    attributes: tuple[int, int, int, int, bytes] | None = None
    platform: str = ""


@dataclass(frozen=True)
class JobSpec:
    """A command with all of its surroundings.

    program: path, or a bare name that is looked up on the job's PATH at the worker.
    shown_as: the path that a renamed program had before ("/usr/bin/clang++" for /usr/bin/clang++_), else empty.
    argv: all arguments, argv[0] included.
    env: "NAME=value" items, or None for the worker's own environment.
    ignored: numbers of the signals that the client was started with as ignored (nohup).
    streams: for file descriptors 0, 1 and 2.
    stdin: whether the client's stdin is forwarded.
    drain_s: how long output is awaited after the end of the main process.
    """

    program: bytes
    shown_as: bytes
    argv: tuple[bytes, ...]
    cwd: bytes
    env: tuple[bytes, ...] | None
    umask: int
    shell: bool
    ignored: tuple[int, ...]
    streams: tuple[Stream, Stream, Stream]
    stdin: bool
    terminal: Terminal | None
    drain_s: float

    def to_wire(self) -> tuple[Any, ...]:
        """A tuple of plain values, nested tuples included."""
        return astuple(self)

    @classmethod
    def from_wire(cls, values: tuple[Any, ...]) -> JobSpec:
        """Rebuild and check a spec that came from the wire. Raises: ValueError."""
        names = [field.name for field in fields(cls)]
        if not isinstance(values, tuple) or len(values) != len(names):
            raise ValueError(f"a job has {len(names)} fields")
        given = dict(zip(names, values, strict=True))
        _check(given)
        given["streams"] = tuple(_stream(fd, item) for fd, item in enumerate(given["streams"]))
        given["terminal"] = _terminal(given["terminal"])
        return cls(**given)

    @property
    def interactive(self) -> bool:
        """Whether somebody types at the job's terminal."""
        return self.terminal is not None and self.terminal.attributes is not None


def _check(given: dict[str, Any]) -> None:
    plain: dict[str, tuple[type, ...]] = {
        "program": (bytes,),
        "shown_as": (bytes,),
        "cwd": (bytes,),
        "umask": (int,),
        "shell": (bool,),
        "stdin": (bool,),
        "drain_s": (int, float),
    }
    for name, kinds in plain.items():
        if not isinstance(given[name], kinds):
            raise ValueError(f"{name} is of the wrong type")
    if not 0 <= given["drain_s"] <= _LONGEST_DRAIN_S or not 0 <= given["umask"] <= 0o777:
        raise ValueError("drain_s or umask is beyond all bounds")
    _check_tuple("argv", given["argv"], bytes)
    _check_tuple("ignored", given["ignored"], int)
    if given["env"] is not None:
        _check_tuple("env", given["env"], bytes)
    if not given["argv"] or not given["program"]:
        raise ValueError("there is no program")
    if given["shown_as"] and not (given["shown_as"].startswith(b"/") and given["program"].startswith(b"/")):
        raise ValueError("a renamed program is named by its whole path")
    strings = (given["program"], given["shown_as"], given["cwd"], *given["argv"], *(given["env"] or ()))
    if any(b"\0" in string for string in strings):
        raise ValueError("a NUL byte cannot be passed to a program")
    if not isinstance(given["streams"], tuple) or len(given["streams"]) != 3:
        raise ValueError("a job has three streams")


def _check_tuple(name: str, value: Any, kind: type) -> None:
    if not isinstance(value, tuple) or not all(isinstance(item, kind) for item in value):
        raise ValueError(f"{name} is of the wrong type")


def _stream(fd: int, item: Any) -> Stream:
    if not isinstance(item, tuple) or len(item) != 2:
        raise ValueError("a stream is of the wrong type")
    kind, group = item
    if kind not in (NULL, PIPE, TTY, CLOSED) or not isinstance(group, int) or not 0 <= group <= fd:
        raise ValueError("a stream is of the wrong type")
    return Stream(kind, group)


def _terminal(item: Any) -> Terminal | None:
    if item is None:
        return None
    if not isinstance(item, tuple) or len(item) != 3:
        raise ValueError("a terminal is of the wrong type")
    size, attributes, platform = item
    _check_tuple("size", size, int)
    if len(size) != 4 or not isinstance(platform, str):
        raise ValueError("a terminal is of the wrong type")
    if attributes is not None:
        if not isinstance(attributes, tuple) or len(attributes) != 5:
            raise ValueError("a terminal is of the wrong type")
        *flags, characters = attributes
        _check_tuple("attributes", tuple(flags), int)
        if not isinstance(characters, bytes):
            raise ValueError("a terminal is of the wrong type")
    return Terminal(size, attributes, platform)
