"""Finds rpyc and plumbum for a plain copy of this tree: in its own .venv, when the system's Python has none."""

from __future__ import annotations

import os
import sys

from .errors import UsageError


def use(root: str) -> None:
    """Let imports look into `root`/.venv, too, after all other places; both packages are pure Python."""
    library = os.path.join(root, ".venv", "lib")
    try:
        versions = os.listdir(library)
    except OSError:
        return
    own = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    for version in sorted(versions, key=lambda version: version != own):
        sys.path.append(os.path.join(library, version, "site-packages"))


def missing(error: ModuleNotFoundError) -> UsageError:
    """What to tell when a package that we need cannot be imported. Raises: `error` itself when it is about another."""
    if error.name not in ("rpyc", "plumbum"):
        raise error
    return UsageError(
        f"{sys.executable} has no {error.name}",
        "Make .venv as the README tells, or install rpyc and plumbum for this Python.",
    )
