"""ue/duon and ue/duoff: the compilers that an Unreal Engine for Linux brings along, and UnrealBuildTool's settings.

Order matters: the limits are raised only when the compilers are shadowed, and lowered before they come back, for 32
compilers on one machine would stop it.
"""

from __future__ import annotations

import glob
import json
import os
import re
import sys
from collections.abc import Sequence

from . import statuses, switches, toggle, userfile
from .errors import FarmError, UsageError

TOOLCHAINS = "Engine/Extras/ThirdPartyNotUE/SDKs/HostLinux/Linux_x64/*/x86_64-unknown-linux-gnu/bin"
SETTINGS = "Unreal Engine/UnrealBuildTool/BuildConfiguration.xml"
# A line of BuildConfiguration_dist.xml that older engines do not know: they stop at a name that is not in their schema.
SINCE = re.compile(r"<!-- since (\d+)\.(\d+) -->")


def switch_on(folder: str, programs: Sequence[str], argv: Sequence[str] | None = None) -> int:
    """`duon [--status] [--client PATH] [ENGINE]`; `folder` has client.py and the settings, `programs` the names."""
    return _guarded("duon", "Send an Unreal Engine's compilers to the workers.", folder, programs, argv)


def switch_off(folder: str, programs: Sequence[str], argv: Sequence[str] | None = None) -> int:
    """`duoff [--client PATH] [ENGINE]`: the inverse of switch_on."""
    return _guarded("duoff", "Give an Unreal Engine's compilers and settings back.", folder, programs, argv)


def _guarded(name: str, what: str, folder: str, programs: Sequence[str], argv: Sequence[str] | None) -> int:
    parser = switches.Parser(prog=name, description=what)
    parser.add_argument("engine", nargs="?", metavar="ENGINE", help="the folder that has Engine/ in it; else UE_ROOT")
    parser.add_argument("--client", metavar="PATH", default=os.path.join(folder, "client.py"))
    if name == "duon":
        parser.add_argument("--status", action="store_true", help="say how it stands, and change nothing")
    try:
        options = parser.parse_args(argv)
        engine = engine_root(options.engine or os.environ.get("UE_ROOT", ""))
        if name == "duoff":
            return _off(engine, programs, toggle.locate(options.client), folder)
        if options.status:
            return switches.print_status(compilers(engine, programs), toggle.locate(options.client))
        return _on(engine, programs, switches.checked_client(options.client), folder)
    except FarmError as error:
        print(error.line(), file=sys.stderr)
        return error.status


def _on(engine: str, programs: Sequence[str], client: str, folder: str) -> int:
    failed = switches.switch(toggle.shadow, _first_in_line(compilers(engine, programs)), client)
    if failed:
        return failed
    content = for_version(_read(folder, "BuildConfiguration_dist.xml"), engine_version(engine))
    switches.say(userfile.install(settings_path(), content) or [f"{settings_path()}: unchanged, it is installed"])
    return 0


def _off(engine: str, programs: Sequence[str], client: str, folder: str) -> int:
    dist, normal = _read(folder, "BuildConfiguration_dist.xml"), _read(folder, "BuildConfiguration_normal.xml")
    switches.say(userfile.restore(settings_path(), dist, normal) or [f"{settings_path()}: unchanged, it is yours"])
    return switches.switch(toggle.restore, compilers(engine, programs), client)


def engine_root(given: str) -> str:
    """The folder that has Engine/ in it. Raises: UsageError: none given, or it is no engine."""
    if not given:
        raise UsageError("no engine given", "Name its folder, or set UE_ROOT.")
    root = os.path.abspath(given)
    for folder in (root, os.path.dirname(root)):
        if os.path.isdir(os.path.join(folder, "Engine", "Extras")):
            return folder
    raise UsageError(f"{root} is no Unreal Engine (no Engine/Extras in it)", "Name the folder that has Engine/ in it.")


def compilers(engine: str, programs: Sequence[str]) -> list[str]:
    """The paths of the engine's compilers. Raises: UsageError: it has none."""
    folders = sorted(glob.glob(os.path.join(glob.escape(engine), TOOLCHAINS)))
    found = [os.path.join(folder, name) for folder in folders for name in programs]
    found = [path for path in found if os.path.lexists(path) or os.path.lexists(path + "_")]
    if not found:
        cure = "Run Setup.sh in the engine's folder: it fetches the toolchain."
        raise UsageError(f"no {' or '.join(programs)} in {engine}/{TOOLCHAINS}", cure, status=statuses.NOT_FOUND)
    return found


def _first_in_line(paths: Sequence[str]) -> list[str]:
    """Those that no other is a link to: clang++ is one to clang in some toolchains, and UnrealBuildTool runs clang++.

    With clang shadowed as well, the renamed clang++_ would lead back to the client.
    """
    paths = [toggle.locate(path) for path in paths]
    led_to = {hop for path in paths for start in (path, path + "_") for hop in toggle.chain(start)[1:]}
    return [path for path in paths if path not in led_to]


def engine_version(engine: str) -> tuple[int, int]:
    """(5, 4), say; (0, 0) when the engine does not tell."""
    try:
        with open(os.path.join(engine, "Engine", "Build", "Build.version"), encoding="utf-8-sig") as source:
            told = json.load(source)
        return int(told["MajorVersion"]), int(told["MinorVersion"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0, 0


def for_version(content: bytes, version: tuple[int, int]) -> bytes:
    """The settings without the lines that this engine does not know."""
    kept = []
    for line in content.decode().splitlines(keepends=True):
        since = SINCE.search(line)
        if not since or version >= (int(since[1]), int(since[2])):
            kept.append(line)
    return "".join(kept).encode()


def settings_path() -> str:
    """UnrealBuildTool's file for this user on Linux: .NET takes XDG_CONFIG_HOME, else ~/.config."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    return os.path.join(base if os.path.isabs(base) else os.path.expanduser("~/.config"), SETTINGS)


def _read(folder: str, name: str) -> bytes:
    try:
        with open(os.path.join(folder, name), "rb") as source:
            return source.read()
    except OSError as error:
        raise FarmError(f"cannot read {folder}/{name} ({error.strerror})", "Take the file from the package.") from error
