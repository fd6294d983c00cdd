"""What of the client's environment goes with a job."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import translate

_MAKE_VARIABLES = (b"MAKEFLAGS", b"MFLAGS", b"CARGO_MAKEFLAGS")


def forwarded(environ: Mapping[bytes, bytes], skip: Sequence[str]) -> tuple[bytes, ...]:
    """The environment as "NAME=value" items, less the names that a shell pattern of `skip` matches.

    make's jobserver is taken out of its flags: its descriptors do not travel, and a make that is told of it anyway
    complains and goes on with one job.
    """
    skips = _matcher(skip)
    items = []
    for name, value in environ.items():
        if skips(os.fsdecode(name)):
            continue
        kept = without_jobserver(value) if name in _MAKE_VARIABLES else value
        items.append(name + b"=" + kept)
    return tuple(items)


def _matcher(patterns: Sequence[str]) -> Callable[[str], object]:
    if not patterns:
        return lambda name: None
    return re.compile("|".join(translate(pattern) for pattern in patterns)).match


def without_jobserver(flags: bytes) -> bytes:
    """make's flags without --jobserver-auth, --jobserver-fds and the -j that goes with them."""
    if b"--jobserver" not in flags:
        return flags
    # Variables stand behind " -- " and may hold anything.
    options, separator, variables = flags.partition(b" -- ")
    kept = [word for word in options.split(b" ") if not _is_jobserver(word)]
    return b" ".join(kept) + separator + variables


def _is_jobserver(word: bytes) -> bool:
    return (
        word.startswith((b"--jobserver-auth=", b"--jobserver-fds="))
        or (word[:2] == b"-j" and word[2:].isdigit())
        or word == b"-j"
    )
