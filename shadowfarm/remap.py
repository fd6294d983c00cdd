"""A worker's own names for commands and folders: `remapCmds` and `remapDirs` of its file, as pure functions."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace

from .job import JobSpec

# What may stand before a path in an argument: nothing, an option's letters (-I/p, -isystem/p), or a separator (--x=/p).
_BEFORE = rb"(?:^|(?<=[=:,;@\"' ])|(?<=^-[A-Za-z])|(?<=^-isystem)|(?<=^-iquote)|(?<=^-include))"
_AFTER = rb"(?=/|$|[:,;\"' ])"


def remapped(spec: JobSpec, commands: Mapping[str, str], folders: Mapping[str, str]) -> JobSpec:
    """The spec as this worker is to run it; unchanged without any mappings."""
    if commands:
        spec = _with_command(spec, {os.fsencode(old): os.fsencode(new) for old, new in commands.items()})
    for old, new in folders.items():
        spec = _with_folder(spec, os.fsencode(old).rstrip(b"/"), os.fsencode(new).rstrip(b"/"))
    return spec


def _with_command(spec: JobSpec, commands: Mapping[bytes, bytes]) -> JobSpec:
    program = commands.get(spec.program) or commands.get(os.path.basename(spec.program))
    if program is None:
        return spec
    # The mapping names the program that is to be run, so it keeps its own name.
    return replace(spec, program=program, shown_as=b"", argv=(program, *spec.argv[1:]))


def _with_folder(spec: JobSpec, old: bytes, new: bytes) -> JobSpec:
    pattern = re.compile(_BEFORE + re.escape(old) + _AFTER)

    def mapped(text: bytes) -> bytes:
        return pattern.sub(lambda _: new, text)

    env = spec.env
    if env is not None:
        env = tuple(b"PWD=" + mapped(item[4:]) if item.startswith(b"PWD=") else item for item in env)
    return replace(
        spec,
        program=mapped(spec.program),
        cwd=mapped(spec.cwd),
        argv=tuple(mapped(item) for item in spec.argv),
        env=env,
    )
