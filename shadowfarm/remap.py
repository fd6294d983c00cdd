"""A worker's own names for commands and folders: `remapCmds` and `remapDirs` of its file, as pure functions."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from .argpaths import PATH_OPTIONS, SEPARATORS
from .job import JobSpec

_SEPARATOR = re.escape(os.fsencode(SEPARATORS))
_BEFORE = b"(?:^@?|(?<=[%s])|%s)" % (
    _SEPARATOR,
    b"|".join(b"(?<=^%s)" % re.escape(os.fsencode(option)) for option in PATH_OPTIONS),
)
_AFTER = b"(?=/|$|[%s])" % _SEPARATOR


def remapped(spec: JobSpec, commands: Mapping[str, str], folders: Mapping[str, str]) -> JobSpec:
    """The spec as this worker is to run it; unchanged without any mappings."""
    if commands:
        spec = _with_command(spec, {os.fsencode(old): os.fsencode(new) for old, new in commands.items()})
    if folders:
        spec = _with_folders(spec, _mapper(folders))
    return spec


def _with_command(spec: JobSpec, commands: Mapping[bytes, bytes]) -> JobSpec:
    program = commands.get(spec.program) or commands.get(os.path.basename(spec.program))
    if program is None:
        return spec
    # The mapping names the program that is to be run, so it keeps its own name.
    return replace(spec, program=program, shown_as=b"", argv=(program, *spec.argv[1:]))


def _mapper(folders: Mapping[str, str]) -> Callable[[bytes], bytes]:
    """Replaces all folders at once, so that two may change places, and a folder within another has its own mapping."""
    given = {os.fsencode(old).rstrip(b"/"): os.fsencode(new).rstrip(b"/") for old, new in folders.items()}
    longest_first = b"|".join(re.escape(old) for old in sorted(given, key=len, reverse=True))
    pattern = re.compile(b"(%s)(%s)%s" % (_BEFORE, longest_first, _AFTER))

    def new(match: re.Match[bytes]) -> bytes:
        # A folder that is the root here is "/" by itself, and nothing before a further "/".
        is_whole = match.string[match.end() : match.end() + 1] != b"/"
        return match[1] + (given[match[2]] or (b"/" if is_whole else b""))

    return lambda text: pattern.sub(new, text)


def _with_folders(spec: JobSpec, mapped: Callable[[bytes], bytes]) -> JobSpec:
    env = spec.env
    if env is not None:
        env = tuple(b"PWD=" + mapped(item[4:]) if item.startswith(b"PWD=") else item for item in env)
    return replace(
        spec,
        program=mapped(spec.program),
        shown_as=mapped(spec.shown_as),
        cwd=mapped(spec.cwd),
        argv=tuple(mapped(item) for item in spec.argv),
        env=env,
    )
