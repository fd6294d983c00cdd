"""Where an argument holds paths: for SHARED on the client and for remapDirs on the worker."""

from __future__ import annotations

import re

# Options that a path follows without a blank. Of those that begin alike the longer must come first.
PATH_OPTIONS = (
    *("-isystem", "-idirafter", "-isysroot", "-iprefix", "-iquote", "-include", "-imacros", "--sysroot"),
    *("-MF", "-MT", "-MQ", "-I", "-L", "-B", "-F", "-o", "-T"),
)
SEPARATORS = "=,:;\"' "

_SPLIT = re.compile(f"[{re.escape(SEPARATORS)}]")


def paths_in(arg: str) -> list[str]:
    """The paths that an argument names, as they stand there: `-I/p`, `--x=sub/p`, `@../p`, `/a:/b`, `..`."""
    pieces = _SPLIT.split(arg)
    pieces[0] = _without_option(pieces[0])
    return [piece for piece in pieces if "/" in piece or piece == ".."]


def _without_option(piece: str) -> str:
    if piece.startswith("@"):
        return piece[1:]
    option = next((option for option in PATH_OPTIONS if piece.startswith(option)), "")
    return piece[len(option) :]
