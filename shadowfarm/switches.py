"""The command lines of samples/dxon and samples/dxoff: which programs, what is printed, which exit status.

A program that is refused keeps no other from being switched; the first refusal gives the exit status.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from . import former, toggle, xcode
from .errors import FarmError, UsageError
from .toggle import State

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))


class Parser(argparse.ArgumentParser):
    """A wrong call is told in one line, with a status of ours."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, f"See `{self.prog} --help`.")


def switch_on(programs: Sequence[str], argv: Sequence[str] | None = None, platform: str = sys.platform) -> int:
    """`dxon [--status] [--client PATH] [--xcode-tasks N] [PROGRAM...]`; `programs` are meant when none is named."""
    parser = _parser("dxon", "Shadow programs: their jobs go to the workers.")
    parser.add_argument("--status", action="store_true", help="say how each program stands, and change nothing")
    parser.add_argument("--xcode-tasks", type=int, metavar="N", default=xcode.default_tasks())
    return _guarded(lambda: _on(parser.parse_args(argv), programs, platform))


def switch_off(programs: Sequence[str], argv: Sequence[str] | None = None, platform: str = sys.platform) -> int:
    """`dxoff [--client PATH] [PROGRAM...]`: the inverse of switch_on."""
    parser = _parser("dxoff", "Give shadowed programs their names back.")
    return _guarded(lambda: _off(parser.parse_args(argv), programs, platform))


def _parser(name: str, what: str) -> argparse.ArgumentParser:
    parser = Parser(prog=name, description=what)
    parser.add_argument("programs", nargs="*", metavar="PROGRAM", help="a name on PATH, or a path")
    parser.add_argument("--client", metavar="PATH", default=os.path.join(ROOT, "client.py"), help="another client.py")
    return parser


def _guarded(body: Callable[[], int]) -> int:
    try:
        return body()
    except FarmError as error:
        print(error.line(), file=sys.stderr)
        return error.status


def _on(options: argparse.Namespace, programs: Sequence[str], platform: str) -> int:
    if options.status:
        return print_status(options.programs or programs, toggle.locate(options.client))
    client = checked_client(options.client)
    if options.xcode_tasks < 1:
        raise UsageError(f"--xcode-tasks {options.xcode_tasks} is no number of tasks", "Give 1 or more.")
    status = switch(toggle.shadow, options.programs or programs, client, skip_missing=not options.programs)
    if platform == "darwin" and still_on(client):
        say(xcode.raise_limit(options.xcode_tasks))
    return status


def _off(options: argparse.Namespace, programs: Sequence[str], platform: str) -> int:
    client = toggle.locate(options.client)
    status = switch(toggle.restore, options.programs or programs, client, skip_missing=not options.programs)
    if platform == "darwin" and not still_on(client):
        say(xcode.restore_limit())
    return status


def switch(
    act: Callable[[str, str], list[str]], programs: Sequence[str], client: str, *, skip_missing: bool = False
) -> int:
    """Apply `act` (toggle.shadow or toggle.restore) to each program, and print a line for each.

    `skip_missing`: a program that is not installed is passed over; a list of defaults names what many machines lack.
    """
    failed = done = 0
    paths: list[str] = []
    for program in programs:
        try:
            paths.append(toggle.find(program, client))
        except FarmError as error:
            if skip_missing:
                print(f"{program}: not installed, passed over")
            else:
                print(error.line(), file=sys.stderr)
                failed = failed or error.status
    for path in _ends_first(list(dict.fromkeys(paths))):
        try:
            said = act(path, client)
            say(said or [f"{path}: unchanged, it is {_short(toggle.look(path, client))}"])
            done += 1
        except FarmError as error:
            print(error.line(), file=sys.stderr)
            failed = failed or error.status
    if not done and not failed:
        print("nothing to do: none of these programs is installed")
    return failed


def _ends_first(paths: list[str]) -> list[str]:
    """What others are links to comes before them: with gcc on, cc, which is a link to it, is on already."""
    return sorted(paths, key=lambda path: sum(path in toggle.chain(other)[1:] for other in paths), reverse=True)


def _short(now: toggle.Look) -> str:
    return f"on through {now.via}" if now.state is State.THROUGH else now.state.value


def print_status(programs: Sequence[str], client: str) -> int:
    """A line for each program, then for each other one that is on by the records."""
    seen = []
    for program in programs:
        try:
            seen.append(toggle.find(program, client))
        except UsageError:
            print(f"{program}: {State.MISSING.value}")
    seen += [path for path in former.keys(toggle.KIND) if toggle.look(path, client).state is not State.OFF]
    for path in dict.fromkeys(seen):
        now = toggle.look(path, client)
        more = f" ({now.via})" if now.state is State.OTHER else f" (the program is {now.renamed})"
        print(f"{path}: {_short(now)}{more if now.state in (State.ON, State.OTHER) else ''}")
    return 0


def checked_client(path: str) -> str:
    """The client as links will name it. Raises: UsageError: there is none, or a shell could not start it."""
    client = toggle.locate(path)
    if not os.path.isfile(client):
        raise UsageError(f"there is no client at {client}", "Give one with --client PATH.")
    if not os.access(client, os.X_OK):
        raise UsageError(f"{client} is not executable", f"Run `chmod +x {client}`.")
    return client


def still_on(client: str) -> bool:
    return any(toggle.look(path, client).state is State.ON for path in former.keys(toggle.KIND))


def say(lines: Sequence[str]) -> None:
    for line in lines:
        print(line)
