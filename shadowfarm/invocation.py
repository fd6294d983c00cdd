"""What client.py was called to run: by its own name, by the name of a renamed program, or as a masquerade.

- direct: `client.py cmd args` runs cmd.
- shadow: `clang -> client.py` with a `clang_` beside it, or beside a link on the way to client.py, runs that `clang_`
  under the name `clang`.
- masquerade: `cc -> client.py` without any `cc_` runs the next `cc` on PATH that is not a client.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from . import naming, statuses, system
from .errors import FarmError, UsageError

USAGE = "usage: client.py COMMAND [ARGUMENT...], or a link to client.py in a program's place"
_MOST_LINKS = 40


@dataclass(frozen=True)
class Invocation:
    """`program` is a path, or a bare name for PATH; `shown_as` is the path that a renamed program had, else empty."""

    program: str
    shown_as: str
    arguments: tuple[str, ...]

    def with_args(self, args: Sequence[str]) -> Invocation:
        """The invocation after a hook changed `args`; args[0] is the program."""
        if not args:
            raise UsageError("doFixes left no program in args", "It may change args in place, but not empty it.")
        shown_as = self.shown_as if args[0] == self.program else ""
        return Invocation(args[0], shown_as, tuple(args[1:]))

    @property
    def args(self) -> list[str]:
        """The command as config.py's hooks see it: the program first."""
        return [self.program, *self.arguments]


def read(argv: Sequence[str], script: str, environ: Mapping[str, str]) -> Invocation:
    """Tell from argv what to run; `script` is the real path of client.py. Raises: UsageError, FarmError (127)."""
    called_as = argv[0]
    if os.path.basename(called_as) == os.path.basename(script):
        if len(argv) < 2:
            raise UsageError("no command was given", USAGE)
        return _behind_shadow(Invocation(argv[1], "", tuple(argv[2:])), environ)
    program, shown_as = _shadowed(called_as, environ)
    return Invocation(program, shown_as, tuple(argv[1:]))


def _shadowed(called_as: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """(the real program behind a link to client.py, the path to show it: see `Invocation`)."""
    name = os.path.basename(called_as)
    renamed = _renamed(called_as, environ)
    if renamed:
        return renamed, _whole(called_as)
    for path in _on_path(name, environ):
        if not _is_client(path):
            return path, ""
        renamed = _renamed(path, environ)
        if renamed:
            return renamed, path
    raise FarmError(
        f"{called_as} stands for a program that is not there: neither {called_as}_ nor another {name} on PATH exists",
        "Run dxoff, or rename the program to its name with a trailing _.",
        status=statuses.NOT_FOUND,
    )


def _whole(path: str) -> str:
    whole = os.path.join(os.getcwd(), path)
    normal = os.path.normpath(whole)
    # What leads up again may lead through a link, which only the kernel can follow.
    same = os.path.realpath(os.path.dirname(whole)) == os.path.realpath(os.path.dirname(normal))
    return normal if same else whole


def _renamed(called_as: str, environ: Mapping[str, str]) -> str:
    """The renamed program beside `called_as`, or beside a link on its way to client.py; "" for none."""
    for link in links(called_as):
        folder, name = os.path.split(link)
        renamed = os.path.join(os.path.realpath(folder), name + "_")
        if not os.path.isfile(renamed):
            continue
        if _is_client(renamed):
            # clang++ was a link to clang, and both were renamed: clang++_ leads to clang's client.
            return _shadowed(_target(renamed), environ)[0]
        return renamed
    return ""


def _behind_shadow(invocation: Invocation, environ: Mapping[str, str]) -> Invocation:
    """`client.py cc` where cc is itself a link to a client: run what that link stands for, not a client by a client."""
    found = invocation.program
    if os.sep not in found:
        found = next(_on_path(found, environ), "")
    if not found or not os.path.islink(found) or os.path.basename(found) == "client.py" or not _is_client(found):
        return invocation
    program, shown_as = _shadowed(found, environ)
    return replace(invocation, program=program, shown_as=shown_as)


def links(path: str) -> Iterator[str]:
    """`path` and all the links that it leads through, but for the last file, which is no link."""
    for _ in range(_MOST_LINKS):
        if not os.path.islink(path):
            return
        yield path
        path = _target(path)


def _target(link: str) -> str:
    return os.path.join(os.path.dirname(link), os.readlink(link))


def _on_path(name: str, environ: Mapping[str, str]) -> Iterator[str]:
    for folder in environ.get("PATH", os.defpath).split(os.pathsep):
        path = os.path.join(folder or os.curdir, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            yield os.path.abspath(path)


def _is_client(path: str) -> bool:
    """Whether a path leads to a client.py of this or any tree: two of them must not call each other for ever."""
    real = os.path.realpath(path)
    return os.path.basename(real) == "client.py" and os.path.isdir(os.path.join(os.path.dirname(real), "shadowfarm"))


def run_here(invocation: Invocation, environ: Mapping[bytes, bytes]) -> None:
    """Become the program: never returns. Raises: FarmError (126, 127)."""
    program = os.fsencode(invocation.program)
    argv = [program, *map(os.fsencode, invocation.arguments)]
    try:
        if invocation.shown_as:
            program, argv[0] = naming.under_own_name(program, os.fsencode(invocation.shown_as))
        system.execute(program, argv, environ)
    except OSError as error:
        missing = isinstance(error, (FileNotFoundError, NotADirectoryError))
        raise FarmError(
            f"{invocation.program} was not found" if missing else f"{invocation.program}: {error.strerror}",
            status=statuses.NOT_FOUND if missing else statuses.NOT_EXECUTABLE,
        ) from error
