"""What the value of each name in config.py may be, and what it becomes; pure functions, which raise only Wrong.

Old files must go on working, so what plainly says the same is taken too: a list for a tuple, 1 for True.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from . import address
from .errors import ConfigError
from .pyfile import shown

TYPE_CHECKING = False  # as typing's, without its import
if TYPE_CHECKING:
    from typing import Any

_LONGEST_S = 2_000_000.0  # 23 days: poll() counts milliseconds in 31 bits, and nobody waits longer
_SHORTEST_SLEEP_S = 0.01  # a round of tries without any pause would take a whole core


class Wrong(Exception):
    """A value cannot be taken: `what` goes on where the name ends."""

    def __init__(self, what: str, cure: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.cure = cure


def _flag(value: object) -> bool:
    if isinstance(value, int):  # 0 and 1 as well
        return bool(value)
    raise Wrong(f"is {shown(value)}, not True or False")


def _seconds(value: object) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
        return float(min(value, _LONGEST_S))
    raise Wrong(f"is {shown(value)}, not a number of seconds, 0 or more")


def _some_seconds(value: object) -> float:
    seconds = _seconds(value)
    if seconds:
        return seconds
    raise Wrong("is 0, not a number of seconds above 0")


def _sleep(value: object) -> float:
    return max(_seconds(value), _SHORTEST_SLEEP_S)


def _entries(value: object, *, unordered: bool = False) -> list[object]:
    if isinstance(value, (tuple, list)) or (unordered and isinstance(value, (set, frozenset))):
        return list(value)
    if isinstance(value, str):
        raise Wrong(f"is the string {shown(value)}, not a tuple", f"A tuple of one needs a comma: ({shown(value)},).")
    raise Wrong(f"is {shown(value)}, not a tuple of strings")


def _match_list(value: object) -> tuple[str, ...]:
    texts = []
    for entry in _entries(value, unordered=True):
        if not isinstance(entry, str):
            raise Wrong(f"has {shown(entry)} in it, which is no string")
        if not entry:
            raise Wrong("has an empty string in it, which would mean everything", 'Take it out, or write "*".')
        texts.append(entry)
    return tuple(sorted(texts) if isinstance(value, (set, frozenset)) else texts)


def _folders(value: object) -> tuple[str, ...]:
    folders = _match_list(value)
    for folder in folders:
        if not os.path.isabs(folder):
            raise Wrong(f"has {folder!r} in it, which is no absolute path")
    return folders


def _workers(value: object) -> tuple[str, ...]:
    entries = _entries(value)
    if len(entries) == 2 and isinstance(entries[0], str) and isinstance(entries[1], int):
        raise Wrong("is one pair, not a tuple of workers", f"Write ({shown(value)},), with the comma.")
    return tuple(_worker(entry) for entry in entries)


def _worker(entry: object) -> str:
    if isinstance(entry, (tuple, list)) and len(entry) == 2 and isinstance(entry[0], str):
        entry = address.join(entry[0].strip("[]"), entry[1])
    if not isinstance(entry, str):
        raise Wrong(f"has {shown(entry)} in it, which is no worker address", 'Write it as "host:port".')
    try:
        address.parse(entry)
    except ConfigError as error:
        raise Wrong(f"has a wrong entry: {error.what}", error.cure) from None
    return entry


def _fixed(answer: object, args: list[str], workers: int) -> None:
    if answer is not None and answer is not args:
        raise Wrong(f"returned {shown(answer)}, which nobody reads", "Change args in place: args[:] = [...].")
    for arg in args:
        if not isinstance(arg, str):
            raise Wrong(f"left {shown(arg)} among the arguments, which is no string")


def _truth(answer: object, args: list[str], workers: int) -> bool:
    # Falling off the end (None), a match or a list say plainly yes or no; the string "no" and a function do not.
    if answer and (isinstance(answer, (str, bytes)) or callable(answer)):
        raise Wrong(f"returned {shown(answer)}, not True or False")
    return bool(answer)


def _indices(answer: object, args: list[str], workers: int) -> tuple[int, ...] | None:
    if answer is None:
        return None
    if isinstance(answer, (str, bytes)) or not hasattr(answer, "__iter__"):
        raise Wrong(f"returned {shown(answer)}, not a list of indices into WORKERS, or None")
    indices = tuple(answer)
    for index in indices:
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < workers:
            raise Wrong(f"returned {shown(answer)}, but WORKERS has the indices from 0 to {workers - 1} only")
    return indices


SETTINGS: dict[str, tuple[str, Callable[[object], Any]]] = {
    "DEBUG": ("debug", _flag),
    "TIMEOUT": ("timeout_s", _seconds),
    "COOLDOWN": ("cooldown_s", _seconds),
    "SLEEP": ("sleep_s", _sleep),
    "WORKERS": ("workers", _workers),
    "RUN_DIRECTLY": ("run_directly", _match_list),
    "USE_ENV": ("use_env", _match_list),
    "USE_SHELL": ("use_shell", _match_list),
    "USE_COMM": ("use_comm", _match_list),
    "ENV_SKIP": ("env_skip", _match_list),
    "RETRY": ("retry", _match_list),
    "SHARED": ("shared", _folders),
    "FALLBACK": ("fallback", _flag),
    "GRACE": ("grace_s", _seconds),
    "DRAIN": ("drain_s", _seconds),
    "CONNECT_TIMEOUT": ("connect_timeout_s", _some_seconds),
}
"""A setting's public name: its field, and what turns the user's value into the field's or raises Wrong."""

HOOKS: dict[str, tuple[str, Callable[[object, list[str], int], Any]]] = {
    "doFixes": ("do_fixes", _fixed),
    "clientsToUse": ("clients_to_use", _indices),
    "shouldRunDirect": ("should_run_direct", _truth),
    "shouldUseShell": ("should_use_shell", _truth),
    "shouldUseEnv": ("should_use_env", _truth),
    "shouldUseComm": ("should_use_comm", _truth),
}
"""A hook's public name: its field, and what checks its (answer, args, number of workers)."""

KNOWN = SETTINGS.keys() | HOOKS.keys() | {"BASE"}
