"""A worker's file (worker.js) read into a frozen value: JSON with comments, every key checked, all of them optional.

samples/worker.js tells what each key means. Numbers and flags may be written as texts ("7711"), and null is a key that
was not given. The names of the fields are those of the keys, with the unit where a number has one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from . import jsontext
from .address import LONGEST_SOCKET_PATH_BYTES
from .errors import ConfigError
from .pyfile import place, shown

COLORS = (
    *("black", "red", "green", "yellow", "blue", "magenta", "cyan", "light_gray"),
    *("dark_gray", "light_red", "light_green", "light_yellow", "light_blue", "light_magenta", "light_cyan", "white"),
)
"""The 16 ANSI colours in the order of their numbers, by plumbum's names."""

LARGEST_READ_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class WorkerFile:
    """How one worker listens, how much it takes, how its console looks. `unix`, when given, replaces host and port."""

    path: str = ""
    host: str = "localhost"
    port: int = 7711
    unix: str | None = None
    num_tasks: int = field(default_factory=lambda: os.cpu_count() or 1)
    timeout_s: float = 0.0
    timeout_read_s: float = 0.005
    read_size: int = 262144
    debug: bool = False
    colors: tuple[str, ...] = ()
    colors_bg: tuple[str, ...] = ()
    icons: tuple[str, ...] = ()
    remap_cmds: Mapping[str, str] = field(default_factory=dict)
    remap_dirs: Mapping[str, str] = field(default_factory=dict)
    insecure: bool = False


def defaults() -> WorkerFile:
    """What a worker without a file uses."""
    return WorkerFile()


def load(path: str) -> WorkerFile:
    """What the file at `path` says. Raises: ConfigError: one line with the file, the line and the key."""
    text = _read(path)
    try:
        given = jsontext.parse(text)
    except jsontext.BadText as error:
        position = f"{place(path, error.line)}:{error.column}" if error.line else path
        raise ConfigError(f"{position}: not JSON: {error.what}") from error
    if not isinstance(given, dict):
        raise ConfigError(f"{path}: is {shown(given)}, not an object", 'Write { "port": 7711 }, for instance.')
    try:
        return _worker_file(path, {key: value for key, value in given.items() if value is not None})
    except _Wrong as wrong:
        line = jsontext.line_of(text, wrong.key)
        raise ConfigError(f"{place(path, line)}: {wrong.key} {wrong.what}", wrong.cure) from None


class _Wrong(Exception):
    """A key cannot be taken: `what` goes on where its name ends. The one who knows the key fills it in."""

    def __init__(self, what: str, cure: str = "", key: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.cure = cure
        self.key = key


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8-sig") as file:
            return file.read()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{place(path, line)}: not UTF-8", "Save the file as UTF-8.") from error


def _worker_file(path: str, given: Mapping[str, object]) -> WorkerFile:
    fields = {}
    for key, value in given.items():
        if key not in KEYS:
            raise _Wrong("is no key of a worker's file", _nearest(key), key)
        name, check = KEYS[key]
        try:
            fields[name] = check(value)
        except _Wrong as wrong:
            wrong.key = key
            raise
    file = replace(WorkerFile(path=os.path.abspath(path)), **fields)
    _check_place(file, given)
    return file


def _check_place(file: WorkerFile, given: Mapping[str, object]) -> None:
    """A worker listens at one place, and runs whatever comes from there: no network without a word from the user."""
    if file.unix and ("host" in given or "port" in given):
        raise _Wrong("is given, and so is host or port", "Keep one of the two.", "unix")
    if not file.insecure and not _is_loopback(file.host):
        raise _Wrong(
            f"is {shown(file.host)}: anyone who reaches that port could run any command here",
            'Keep "localhost" and forward the port with ssh (samples/connect-w1), or add "insecure": true.',
            "host",
        )


def _is_loopback(host: str) -> bool:
    import ipaddress

    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _nearest(key: str) -> str:
    import difflib

    near = difflib.get_close_matches(key, list(KEYS), n=1, cutoff=0.5)
    return f"Did you mean {near[0]}?" if near else f"The keys are {', '.join(KEYS)}."


def _number(value: object) -> float | None:
    """The number that a number, or a text with one in it, stands for."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _whole(least: int, most: int) -> Callable[[object], int]:
    def check(value: object) -> int:
        number = _number(value)
        if number is None or not least <= number <= most or number != int(number):
            raise _Wrong(f"is {shown(value)}, not a whole number from {least} to {most}")
        return int(number)

    return check


def _seconds(most: float) -> Callable[[object], float]:
    def check(value: object) -> float:
        number = _number(value)
        if number is None or not 0 <= number <= most:
            raise _Wrong(f"is {shown(value)}, not a number of seconds from 0 to {most:g}")
        return number

    return check


def _flag(value: object) -> bool:
    flags = {"true": True, "1": True, "false": False, "0": False}
    if isinstance(value, (bool, int, str)) and str(value).lower() in flags:
        return flags[str(value).lower()]
    raise _Wrong(f"is {shown(value)}, not true or false")


def _host(value: object) -> str:
    if not isinstance(value, str) or not value or not value.isprintable() or " " in value:
        raise _Wrong(f"is {shown(value)}, not the name or address of this machine")
    return value.strip("[]")


def _unix(value: object) -> str:
    if not isinstance(value, str) or not os.path.isabs(value) or "\0" in value:
        raise _Wrong(f"is {shown(value)}, not the absolute path of a socket")
    if len(os.fsencode(value)) > LONGEST_SOCKET_PATH_BYTES:
        raise _Wrong(f"has more than {LONGEST_SOCKET_PATH_BYTES} bytes", "Put the socket in a shorter folder.")
    return value


def _texts(value: object) -> tuple[str, ...]:
    """A text or a list of texts; "" stands for none."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise _Wrong(f"is {shown(value)}, not a text or a list of texts")
    return tuple(text for text in texts if text)


def _colors(value: object) -> tuple[str, ...]:
    names = _texts(value)
    plain = tuple(name.lower().replace(" ", "_").replace("-", "_") for name in names)
    for name, given in zip(plain, names, strict=True):
        if name not in COLORS:
            raise _Wrong(f"has no colour {shown(given)}", f"The colours are {', '.join(COLORS)}.")
    return plain


def _icons(value: object) -> tuple[str, ...]:
    icons = _texts(value)
    for icon in icons:
        if any(sign < " " or sign == "\x7f" for sign in icon):
            raise _Wrong(f"has {shown(icon)} in it, which has a control character")
    return icons


def _remap(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(key and text and isinstance(text, str) for key, text in value.items()):
        raise _Wrong(f'is {shown(value)}, not an object such as {{ "here": "there" }}')
    return dict(value)


def _remap_dirs(value: object) -> dict[str, str]:
    folders = _remap(value)
    for folder in folders:
        if not folder.strip("/"):
            raise _Wrong(f"maps {shown(folder)}, which is the start of every path", "Map the folders in it.")
    return folders


KEYS: dict[str, tuple[str, Callable[[object], Any]]] = {
    "host": ("host", _host),
    "port": ("port", _whole(0, 65535)),
    "unix": ("unix", _unix),
    "numTasks": ("num_tasks", _whole(1, 4096)),
    "timeout": ("timeout_s", _seconds(2_000_000)),
    "timeoutRead": ("timeout_read_s", _seconds(60)),
    "readSize": ("read_size", _whole(1, LARGEST_READ_BYTES)),
    "debug": ("debug", _flag),
    "colors": ("colors", _colors),
    "colorsBg": ("colors_bg", _colors),
    "icons": ("icons", _icons),
    "remapCmds": ("remap_cmds", _remap),
    "remapDirs": ("remap_dirs", _remap_dirs),
    "insecure": ("insecure", _flag),
}
"""A key: its field, and what turns the file's value into the field's or raises _Wrong."""
