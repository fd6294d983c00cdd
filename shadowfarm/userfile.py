"""A file of the user's, replaced for a while and given back: the BuildConfiguration.xml that ue/duon installs.

The user's file is held aside under another name in its folder (the same file: contents, times, link or not), and ours
is renamed over it. Which of the two lies there is told by contents that were recorded beforehand, so a kill at any
point is mended by the next run. A file that was edited while it was ours is kept, never overwritten.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import Any

from . import former
from .errors import FarmError, UsageError

KIND = "files"


def aside_name(path: str) -> str:
    return path + ".before-duon"


def install(path: str, content: bytes) -> list[str]:
    """Put `content` at `path`; a line for each change, none when it was there. Raises: FarmError: refused."""
    record, ours = former.load(KIND, path), _digest(content)
    try:
        if record is None:
            return _begin(path, content)
        if _digest_of(path) == ours and not _is_former(path, record):
            return []
        if os.path.lexists(path) and not _is_installed(path, record) and not _is_former(path, record):
            cure = "Run duoff first: it keeps what you changed under another name."
            raise UsageError(f"{path} was changed since duon installed it", cure)
        former.save(KIND, path, {**record, "ours": sorted({*record["ours"], ours})})
        return _put(path, content, hold=os.path.lexists(path) and _is_former(path, record))
    except OSError as error:
        raise _failed(path, error) from error


def restore(path: str, dist: bytes, normal: bytes) -> list[str]:
    """Give back what was at `path` before; a line for each change, none when nothing was installed.

    `normal` is put there where `dist` lies without a record of what was before it (it was copied there by hand).
    """
    record = former.load(KIND, path)
    try:
        if record is None:
            if _digest_of(path) != _digest(dist):
                return []
            _put(path, normal, hold=False)
            return [f"{path}: nobody recorded what was there before; installed BuildConfiguration_normal.xml"]
        said = _give_back(path, record)
        _sweep(path)
        for folder in record["made"]:
            with contextlib.suppress(OSError):
                os.rmdir(folder)
        former.drop(KIND, path)
        return said
    except OSError as error:
        raise _failed(path, error) from error


def _begin(path: str, content: bytes) -> list[str]:
    if os.path.lexists(aside_name(path)):
        cure = "If it is your own file, rename it back; then run duon again."
        raise UsageError(f"{aside_name(path)} exists, and nobody recorded what it is", cure)
    folder, made = os.path.dirname(path), []
    while not os.path.isdir(folder):
        made.append(folder)
        folder = os.path.dirname(folder)
    record = {"ours": [_digest(content)], "former": former.identity(path), "made": made}
    former.save(KIND, path, record)
    return _put(path, content, hold=record["former"] is not None)


def _put(path: str, content: bytes, *, hold: bool) -> list[str]:
    _sweep(path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(former.temporary(path), "xb") as out:
        out.write(content)
    if hold and not os.path.lexists(aside_name(path)):
        former.hold(path, aside_name(path))
    os.replace(former.temporary(path), path)
    return [f"{path}: installed" + (f" (yours is kept as {aside_name(path)})" if hold else "")]


def _give_back(path: str, record: dict[str, Any]) -> list[str]:
    aside, said = aside_name(path), []
    if _is_former(path, record) and (os.path.lexists(path) or not os.path.lexists(aside)):
        if former.is_same(path, aside):
            os.unlink(aside)  # a switch was interrupted: both names are the user's file
        return [f"{path}: as before"]
    if os.path.lexists(path) and not _is_installed(path, record):
        kept = former.free_name(path, "edited")
        os.rename(path, kept)
        said.append(f"{path}: it was changed while it was installed; that is kept as {kept}")
    if os.path.lexists(aside):
        os.replace(aside, path)
        return [*said, f"{path}: as before"]
    if os.path.lexists(path):
        os.unlink(path)
        if record["former"] is not None:
            return [*said, f"{path}: removed, but {aside}, the file from before, is gone"]
    return [*said, f"{path}: removed, as there was none before"]


def _is_installed(path: str, record: dict[str, Any]) -> bool:
    return not os.path.islink(path) and _digest_of(path) in record["ours"]


def _is_former(path: str, record: dict[str, Any]) -> bool:
    return bool(former.identity(path) == record["former"])


def _sweep(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(former.temporary(path))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _digest_of(path: str) -> str:
    with contextlib.suppress(OSError), open(path, "rb") as source:
        return _digest(source.read())
    return ""


def _failed(path: str, error: OSError) -> FarmError:
    return FarmError(f"cannot replace {path} ({error.strerror})", "See the permissions of the file and its folder.")
