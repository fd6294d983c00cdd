"""Shadow programs and give them back: `clang` is renamed `clang_`, and `clang` becomes a link to client.py.

What must hold: on and off are inverses; each may be repeated, and killed at any point; nothing is deleted that was not
made here; what is not understood is refused, and then nothing changes for that program. So:

    on      record what clang is -> prepare the new link under a hidden name -> clang_ := hard link to clang
            -> rename the new link over clang
    off     rename clang_ over clang -> drop the record

A rename replaces in one step, so at no instant is `clang` missing, and a client that is started finds `clang_` there
already. Whoever runs the program while this happens has it open, and goes on. Killed between two steps there is
`clang` and an equal `clang_`: both directions know what to do. Rejected: rename clang to clang_, then link; a build
that starts its compiler in between fails. (Without hard links a file cannot have both names; that order is used then.)

A client that was started before `dxoff` may still want `clang_`: it is gone at once, so no job should be waiting then.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from . import former, statuses
from .errors import FarmError, UsageError

KIND = "programs"
MOST_LINKS = 40  # what Linux follows before it says ELOOP


class State(Enum):
    """What lies at `clang` and `clang_`; the value is what --status says."""

    OFF = "off"
    ON = "on"
    HALF = "half (a switch was interrupted; dxon completes it, dxoff undoes it)"
    REPLACED = "replaced by an update (dxon shadows the new one)"
    MISSING = "not found"
    THROUGH = "on through another program that it is a link to"
    OTHER = "on with another client"
    BARE = "a link to client.py with no program behind it"
    LONE = "only the renamed program is there, and not by dxon"
    CLASH = "off (the renamed one beside it is not dxon's)"


@dataclass(frozen=True)
class Look:
    """What was found at `path`; `via` is the other client, or the shadowed program that `path` leads to."""

    path: str
    state: State
    via: str = ""

    @property
    def renamed(self) -> str:
        return self.path + "_"


def locate(path: str) -> str:
    """An absolute path whose folder has no symlinks; the last name may be one, for it is what gets replaced."""
    folder, name = os.path.split(os.path.abspath(path))
    return os.path.join(os.path.realpath(folder), name)


def chain(path: str) -> list[str]:
    """`path` and what it leads to, one symlink at a time."""
    hops = [path]
    while os.path.islink(hops[-1]) and len(hops) < MOST_LINKS:
        hops.append(locate(os.path.join(os.path.dirname(hops[-1]), os.readlink(hops[-1]))))
    return hops


def look(path: str, client: str) -> Look:
    """See what is at `path`; changes nothing. Both are as `locate` returns them."""
    hops = chain(path)
    direct = hops[1] if len(hops) > 1 else ""
    if direct and (direct == client or os.path.basename(direct) == "client.py"):
        if direct != client:
            return Look(path, State.OTHER, direct)
        return Look(path, State.ON if os.path.lexists(path + "_") else State.BARE)
    held = former.identity(path + "_")
    record = former.load(KIND, path)
    ours = held is not None and record is not None and record.get("former") == held
    if not os.path.lexists(path):
        return Look(path, State.MISSING if held is None else State.HALF if ours else State.LONE)
    if held is None:
        for shadowed, target in pairwise(hops):
            if target == client or os.path.basename(target) == "client.py":
                return Look(path, State.THROUGH, shadowed)
        return Look(path, State.OFF if os.path.exists(path) else State.MISSING)
    if not ours:
        return Look(path, State.CLASH)
    return Look(path, State.HALF if former.is_same(path, path + "_") else State.REPLACED)


def find(program: str, client: str) -> str:
    """The place of a program: a path as it stands, a name as a shell finds it. Raises: UsageError: no such program."""
    if os.sep in program:
        return locate(program)
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        path = locate(os.path.join(folder or os.curdir, program))
        state = look(path, client).state
        if state is State.HALF or (state in (State.ON, State.OTHER) and os.path.lexists(path + "_")):
            return path
        # A link with no program behind it is a masquerade folder's: what is meant lies further on.
        if state not in (State.BARE, State.OTHER) and os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    raise UsageError(f"{program} is not a program on PATH", "Give its path, or mend PATH.", status=statuses.NOT_FOUND)


def shadow(path: str, client: str) -> list[str]:
    """Turn `path` on; a line for each change, none when it was on. Raises: FarmError: refused, nothing changed."""
    _check_folder(path)
    with _told(path), former.locked(os.path.dirname(path)):
        now, said = look(path, client), []
        if now.state is State.ON:
            _sweep(path)
            _remember(now.renamed, path, client)  # one that was shadowed by hand: an update of it is known then
            return []
        if now.state is State.THROUGH:
            return []
        if now.state not in (State.OFF, State.HALF, State.REPLACED):
            raise _refusal(now)
        if now.state is not State.HALF:
            _check_program(path, client)
        if now.state is State.REPLACED:
            said.append(_put_aside(now))
        if now.state is not State.HALF:
            _remember(path, path, client)
        _swap_in(now, client)
        return [*said, f"{path}: on (the program is now {now.renamed}, and {path} a link to {client})"]


def restore(path: str, client: str) -> list[str]:
    """Turn `path` off; a line for each change, none when it was off. Raises: FarmError: refused, nothing changed."""
    now = look(path, client)
    if now.state in (State.BARE, State.OTHER, State.LONE, State.MISSING):
        raise _refusal(now)
    if now.state is State.THROUGH:
        return []
    if now.state is not State.OFF and now.state is not State.CLASH:
        _check_folder(path)
    with _told(path), former.locked(os.path.dirname(path)):
        now, said = look(path, client), []
        if now.state is State.ON:
            os.replace(now.renamed, path)
            said = [f"{path}: off (the program has its own name again)"]
        elif now.state is State.REPLACED:
            said = [_put_aside(now), f"{path}: off (an update had put a new program there)"]
        elif now.state is State.HALF:
            if os.path.lexists(path):
                os.unlink(now.renamed)  # the same file as `path`
            else:
                os.rename(now.renamed, path)
            said = [f"{path}: off (a switch had been interrupted)"]
        _sweep(path)
        former.drop(KIND, path)
        return said


def _remember(program: str, path: str, client: str) -> None:
    record = {"former": former.identity(program), "client": client}
    if (former.load(KIND, path) or {}) != {"key": path, **record}:
        former.save(KIND, path, record)


def _swap_in(now: Look, client: str) -> None:
    """The link over the program; an error in between takes back what was done."""
    draft = former.temporary(now.path)
    _sweep(now.path)
    try:
        os.symlink(client, draft)
        if now.state is not State.HALF:
            former.hold(now.path, now.renamed)
        os.replace(draft, now.path)
    except OSError:
        with contextlib.suppress(OSError):
            if not os.path.lexists(now.path):
                os.rename(now.renamed, now.path)
            elif former.is_same(now.path, now.renamed):
                os.unlink(now.renamed)
        _sweep(now.path)
        former.drop(KIND, now.path)
        raise


def _put_aside(now: Look) -> str:
    kept = former.free_name(now.renamed, "old")
    os.rename(now.renamed, kept)
    return f"{now.path}: an update had replaced it; the program from before is kept as {kept}"


def _sweep(path: str) -> None:
    """Remove the prepared link that an interrupted run left; only a symlink of that name can be ours."""
    for draft in (former.temporary(path), former.temporary(path + "_")):
        if os.path.islink(draft):
            with contextlib.suppress(OSError):
                os.unlink(draft)


def _check_folder(path: str) -> None:
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise UsageError(f"{path} is not there", "Give the path of a program.", status=statuses.NOT_FOUND)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"you may not change names in {folder} (for {os.path.basename(path)})", "Run it with sudo.")


def _check_program(path: str, client: str) -> None:
    """Raises: UsageError: it is no program, or shadowing it would make client.py call itself."""
    if os.path.isdir(path) or not os.access(path, os.X_OK):
        raise UsageError(f"{path} is not an executable program", "Give one that is.", status=statuses.NOT_EXECUTABLE)
    interpreters = [shutil.which("env"), shutil.which("python3"), sys.executable]
    if path in [hop for start in interpreters if start for hop in chain(locate(start))] or path in chain(client):
        raise UsageError(f"client.py itself runs by {path}, which so cannot be shadowed", "Choose another program.")
    for other in former.keys(KIND):
        if other != path and path in chain(other + "_") and look(other, client).state is State.ON:
            what = f"{other}_ is a link that leads to {path}, and would come back to the client"
            raise UsageError(what, f"Run `dxoff {shlex.quote(other)}` first: it is on through {path} then.")


def _refusal(now: Look) -> UsageError:
    path, renamed = now.path, now.renamed
    if now.state is State.OTHER:
        other = shlex.quote(now.via)
        cure = f"Run `dxoff --client {other} {shlex.quote(path)}` first, or add `--client {other}`."
        return UsageError(f"{path} is a link to another client.py, {now.via}", cure)
    if now.state is State.BARE:
        return UsageError(
            f"{path} is a link to client.py, but there is no {renamed}", f"Remove it, or put {renamed} back."
        )
    if now.state is State.LONE:
        return UsageError(
            f"there is no {path}, only {renamed}, which dxon did not make", f"Rename {renamed} to {path}."
        )
    if now.state is State.CLASH:
        cure = f"If it is an old one, rename it to {renamed}.old-1; else use samples/dxenable, which renames nothing."
        return UsageError(f"{renamed} exists, and dxon did not make it", cure)
    return UsageError(f"{path} is not there", "Give the path of a program.", status=statuses.NOT_FOUND)


@contextlib.contextmanager
def _told(path: str) -> Iterator[None]:
    """An error of the system in the user's words."""
    try:
        yield
    except OSError as error:
        raise FarmError(f"cannot switch {path} ({error.strerror})", "See its folder's permissions.") from error
