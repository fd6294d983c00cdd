"""config.py of the user, read once into a frozen value; nothing is ever written into the user's module.

The names that a user writes (WORKERS, doFixes, ...) and their meaning are told in the config.py that is shipped; here
they become fields of `Config`, whose defaults are the only place where defaults stand.

A file may name another in BASE: what it does not say itself is taken from there, so that a variant is not a copy.
A wrong value ends in one line with file, line and name. A name that is none of ours is the user's own, unless it looks
like one of ours misspelt.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from . import pyfile
from .errors import ConfigError
from .settings import HOOKS, KNOWN, SETTINGS, Wrong

FILE_NAME = "config.py"
VARIABLE = "SHADOWFARM_CONFIG"

TYPE_CHECKING = False  # as typing's, without its import
if TYPE_CHECKING:
    from typing import Any


def _no_fixes(args: list[str]) -> None:
    """Leave the arguments as they are."""


def _any_client(args: list[str]) -> tuple[int, ...] | None:
    return None


def _no(args: list[str]) -> bool:
    return False


def _has_lone_dash(args: list[str]) -> bool:
    return "-" in args


@dataclass(frozen=True)
class Config:
    """What a config.py says. The hooks get `args`, the command with its program first, and raise only ConfigError."""

    path: str = ""
    debug: bool = False
    timeout_s: float = 600.0
    cooldown_s: float = 5.0
    sleep_s: float = 1.0
    workers: tuple[str, ...] = ("local",)
    run_directly: tuple[str, ...] = ()
    use_env: tuple[str, ...] = ("*",)
    use_shell: tuple[str, ...] = ()
    use_comm: tuple[str, ...] = ()
    env_skip: tuple[str, ...] = ("SSH_*", "DISPLAY", "WAYLAND_*", "XDG_RUNTIME_DIR", "DBUS_*")
    retry: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    fallback: bool = True
    grace_s: float = 10.0
    drain_s: float = 1.0
    connect_timeout_s: float = 2.0
    do_fixes: Callable[[list[str]], None] = _no_fixes
    clients_to_use: Callable[[list[str]], tuple[int, ...] | None] = _any_client
    should_run_direct: Callable[[list[str]], bool] = _no
    should_use_shell: Callable[[list[str]], bool] = _no
    should_use_env: Callable[[list[str]], bool] = _no
    should_use_comm: Callable[[list[str]], bool] = _has_lone_dash


def load(path: str) -> Config:
    """What the file at `path` and those that it is based on say; all defaults for "". Raises: ConfigError."""
    if not path:
        return Config()
    path = _absolute(path)
    given: dict[str, tuple[str, object]] = {}
    for file, names in _chain(path):
        for name in names.keys() & KNOWN:
            given.setdefault(name, (file, names[name]))
    fields = {field: _setting(*given[name], name) for name, (field, _) in SETTINGS.items() if name in given}
    config = replace(Config(path=path), **fields)
    workers = len(config.workers)
    hooks = {field: _hook(*given[name], name, workers) for name, (field, _) in HOOKS.items() if name in given}
    return replace(config, **hooks)


def find(called_as: str, script: str, environ: Mapping[str, str]) -> str:
    """The config.py that a client called as `called_as` obeys; "" when there is none.

    `script` is the path of client.py itself. Raises: ConfigError: SHADOWFARM_CONFIG names no file.
    """
    named = environ.get(VARIABLE)
    if named:
        if not os.path.exists(named) or os.path.isdir(named):
            raise ConfigError(f"{VARIABLE} is {named!r}, where there is no file", "Correct it, or unset it.")
        return _absolute(named)
    for link in (*_links(called_as), os.path.realpath(script)):
        candidate = os.path.join(os.path.dirname(link), FILE_NAME)
        if os.path.isfile(candidate):
            return _absolute(candidate)
    return ""


def matches(entries: tuple[str, ...], program: str) -> bool:
    """Whether one of a match list's entries means `program`: "*", or an end of its path, renamed (clang_) or not."""
    path = program if "/" in program else f"/{program}"  # so that "/ar", unlike "ar", means ar and never tar
    names = (path, path[:-1]) if path.endswith("_") else (path,)
    return any(entry == "*" or name.endswith(entry) for entry in entries for name in names)


def _links(path: str) -> Iterator[str]:
    """`path`, what it links to, and so on; nothing that is no file. Ends when the links form a loop."""
    seen: set[str] = set()
    while os.path.lexists(path) and path not in seen:
        seen.add(path)
        yield path
        if os.path.islink(path):
            # Joined as the kernel does: normalising "link/../x" would lose the folder that `link` leads to.
            path = os.path.join(os.path.dirname(path), os.readlink(path))


def _absolute(path: str) -> str:
    """The path with its folder resolved: the file keeps the name by which the user knows it."""
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))


def _chain(path: str) -> Iterator[tuple[str, dict[str, object]]]:
    """The file and its names, then those of its BASE, and so on."""
    seen: set[str] = set()
    while path:
        names = pyfile.run(path)
        _refuse_misspelt(path, names)
        yield path, names
        seen.add(os.path.realpath(path))
        path = _base(path, names.get("BASE"), seen)


def _base(path: str, base: object, seen: set[str]) -> str:
    if not base:
        return ""
    if not isinstance(base, str):
        raise _error(path, "BASE", Wrong(f'is {pyfile.shown(base)}, not the path of a file such as "../config.py"'))
    found = _absolute(os.path.join(os.path.dirname(os.path.realpath(path)), base))
    if not os.path.isfile(found):
        raise _error(path, "BASE", Wrong(f"is {base!r}, but {found} is no file"))
    if os.path.realpath(found) in seen:
        raise _error(path, "BASE", Wrong(f"is {base!r}, but {found} is itself based on this file"))
    return found


def _refuse_misspelt(path: str, names: Mapping[str, object]) -> None:
    for name, value in names.items():
        if name in KNOWN:
            continue
        if name.isupper():
            known = SETTINGS.keys() | {"BASE"}
        elif callable(value) and name.lower().startswith(("should", "do", "use", "clients")):
            known = set(HOOKS)
        else:
            continue
        # A name that the file gives as well is not misspelt: WORKERS2 beside WORKERS is the user's own.
        nearest = _nearest(name, known - names.keys())
        if nearest:
            raise _error(path, name, Wrong("is no setting", f"Did you mean {nearest}?"))


def _nearest(name: str, known: set[str]) -> str:
    import difflib

    return next(iter(difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.8)), "")


def _error(path: str, name: str, wrong: Wrong) -> ConfigError:
    return ConfigError(f"{pyfile.place(path, pyfile.line_of(path, name))}: {name} {wrong.what}", wrong.cure)


def _setting(path: str, value: object, name: str) -> Any:
    check = SETTINGS[name][1]
    try:
        return check(value)
    except Wrong as wrong:
        raise _error(path, name, wrong) from None


def _hook(path: str, hook: object, name: str, workers: int) -> Any:
    """The user's hook, so wrapped that whatever it raises or wrongly returns is a ConfigError."""
    if not callable(hook):
        raise _error(path, name, Wrong(f"is {pyfile.shown(hook)}, not a function of args"))
    check = HOOKS[name][1]

    def wrapped(args: list[str]) -> object:
        try:
            return check(hook(args), args, workers)
        except Wrong as wrong:
            raise _error(path, name, wrong) from None
        except (Exception, SystemExit) as error:  # it is the user's code: anything may come
            raise pyfile.raised(path, name, error, pyfile.line_of(path, name)) from error

    return wrapped
