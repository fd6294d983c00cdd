"""What a toggle found before it changed it: records in the user's state folder, and names held aside.

A toggle must tell its own `clang_` from one that somebody else put there, today or after a reboot, so it writes a
record *before* the first change and drops it *after* the last. A record that was written and never used is harmless:
it counts only while the held file looks as recorded.

Rejected: a marker file beside the program (clutter in /usr/bin, a package manager's folder), extended attributes
(symlinks have none), guessing from names (a user's own clang_ would be taken for ours).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
from collections.abc import Iterator
from typing import Any

from .errors import FarmError

# What link(2) says where there are no hard links, or none to others' files (fs.protected_hardlinks gives EPERM).
NO_HARD_LINK = {errno.EPERM, errno.EACCES, errno.EMLINK, errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}


def state_folder() -> str:
    """The per-user folder; root by sudo has its own, so that no file of root's lies in the user's."""
    base = os.environ.get("XDG_STATE_HOME", "")
    if os.path.isabs(base):
        return os.path.join(base, "shadowfarm")
    home = os.path.expanduser("~root" if os.environ.get("SUDO_UID") and os.geteuid() == 0 else "~")
    return os.path.join(home, ".local", "state", "shadowfarm")


def load(kind: str, key: str) -> dict[str, Any] | None:
    """The record of `key`, or None; one that cannot be read counts as none."""
    with contextlib.suppress(OSError, ValueError), open(_file(kind, key), encoding="utf-8") as source:
        record = json.load(source)
        return record if isinstance(record, dict) else None
    return None


def save(kind: str, key: str, record: dict[str, Any]) -> None:
    """Write a record, whole or not at all. Raises: FarmError: the state folder cannot be written."""
    name = _file(kind, key)
    try:
        os.makedirs(os.path.dirname(name), mode=0o700, exist_ok=True)
        with open(name + ".new", "w", encoding="utf-8") as out:
            json.dump({"key": key, **record}, out)
        os.replace(name + ".new", name)
    except OSError as error:
        what = f"cannot remember what is there now in {state_folder()} ({error.strerror}); changed nothing"
        raise FarmError(what, "Make that folder writable, or set XDG_STATE_HOME.") from error


def drop(kind: str, key: str) -> None:
    for name in (_file(kind, key) + ".new", _file(kind, key)):
        with contextlib.suppress(OSError):
            os.unlink(name)


def keys(kind: str) -> list[str]:
    """The keys of all records of a kind, sorted."""
    folder, found = os.path.join(state_folder(), kind), []
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        if not name.endswith(".json"):
            continue
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError), open(os.path.join(folder, name)) as source:
            found.append(str(json.load(source)["key"]))
    return sorted(set(found))


def _file(kind: str, key: str) -> str:
    return os.path.join(state_folder(), kind, hashlib.sha256(os.fsencode(key)).hexdigest()[:32] + ".json")


def identity(path: str) -> dict[str, Any] | None:
    """What tells this file from another of its name, the same after a rename and a reboot; None: nothing is there.

    No inode number: network file systems make them up anew at each mount.
    """
    try:
        found = os.lstat(path)
        if stat.S_ISLNK(found.st_mode):
            return {"link": os.readlink(path)}
    except OSError:
        return None
    return {"size": found.st_size, "mtime_ns": found.st_mtime_ns}


def is_same(one: str, other: str) -> bool:
    """Are both names the same file, or symlinks that say the same? Then one of them may go, and nothing is lost."""
    try:
        a, b = os.lstat(one), os.lstat(other)
    except OSError:
        return False
    if os.path.samestat(a, b):
        return True
    return stat.S_ISLNK(a.st_mode) and stat.S_ISLNK(b.st_mode) and os.readlink(one) == os.readlink(other)


def hold(path: str, aside: str) -> None:
    """Give the file at `path` the name `aside` too, so that `path` can be replaced in one step afterwards.

    A symlink is held itself, not what it leads to. Where there are no hard links a symlink is made anew with the same
    text and times; a file is renamed, and then `path` is missing until the caller replaces it.
    """
    try:
        os.link(path, aside, follow_symlinks=False)
        if os.path.islink(aside) == os.path.islink(path):
            return
        os.unlink(aside)  # this system linked what the symlink leads to
    except NotImplementedError:
        pass
    except OSError as error:
        if error.errno not in NO_HARD_LINK:
            raise
    if os.path.islink(path):
        _copy_link(path, aside)
    else:
        os.rename(path, aside)


def _copy_link(path: str, aside: str) -> None:
    draft, found = temporary(aside), os.lstat(path)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(draft)
    os.symlink(os.readlink(path), draft)
    with contextlib.suppress(OSError, NotImplementedError):
        os.utime(draft, ns=(found.st_atime_ns, found.st_mtime_ns), follow_symlinks=False)
    with contextlib.suppress(OSError):
        os.lchown(draft, found.st_uid, found.st_gid)
    os.rename(draft, aside)


def temporary(path: str) -> str:
    """The hidden name beside `path` where its replacement is prepared; fixed, so that the next run finds a leftover."""
    return os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.shadowfarm")


def free_name(path: str, word: str) -> str:
    """`path` with the first number that is free: clang_.old-1, clang_.old-2, ..."""
    number = 1
    while os.path.lexists(f"{path}.{word}-{number}"):
        number += 1
    return f"{path}.{word}-{number}"


@contextlib.contextmanager
def locked(folder: str) -> Iterator[None]:
    """Only one toggle at a time works in a folder; the lock ends with the process, and leaves no file."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems cannot lock a folder
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
