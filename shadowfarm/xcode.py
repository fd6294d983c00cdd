"""Xcode's limit of concurrent compile tasks: raised while programs are shadowed, and given back as it was.

Xcode starts as many compilers as this machine has cores, which leaves other machines idle. The user's value, its type
and its absence included, is recorded before the first change.
"""

from __future__ import annotations

import os
import subprocess

from . import former
from .errors import FarmError

KIND = "xcode"
DOMAIN = "com.apple.dt.Xcode"
KEY = "IDEBuildOperationMaxNumberOfConcurrentCompileTasks"


def default_tasks() -> int:
    return 4 * (os.cpu_count() or 1)


def raise_limit(tasks: int) -> list[str]:
    """Set the limit; returns a line for the change, none when it is set. Raises: FarmError: `defaults` failed."""
    now, record = _read(), former.load(KIND, KEY)
    if record is None:
        kind = _defaults("read-type", DOMAIN, KEY).rpartition(" ")[2] if now is not None else ""
        record = {"former": now, "type": kind or "string"}
    elif now == str(tasks):
        return []
    former.save(KIND, KEY, {"former": record["former"], "type": record["type"], "set": str(tasks)})
    _defaults("write", DOMAIN, KEY, "-int", str(tasks))
    return [f"Xcode: {tasks} concurrent compile tasks (before: {_told(record['former'])}); start Xcode anew"]


def restore_limit() -> list[str]:
    """Give the former value back; one that the user set meanwhile stays. Raises: FarmError: `defaults` failed."""
    now, record = _read(), former.load(KIND, KEY)
    if record is None:
        return []
    before = record.get("former")
    if now == record.get("set") and now != before:
        if before is None:
            _defaults("delete", DOMAIN, KEY)
        else:
            kind = "-int" if record.get("type") == "integer" else "-string"
            _defaults("write", DOMAIN, KEY, kind, str(before))
        said = f"Xcode: concurrent compile tasks as before ({_told(before)}); start Xcode anew"
    elif now == before:
        said = f"Xcode: concurrent compile tasks are as before ({_told(before)})"
    else:
        said = f"Xcode: concurrent compile tasks were set to {_told(now)} meanwhile; left so"
    former.drop(KIND, KEY)
    return [said]


def _told(value: str | None) -> str:
    return "not set" if value is None else value


def _read() -> str | None:
    done = subprocess.run(["defaults", "read", DOMAIN, KEY], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def _defaults(*words: str) -> str:
    done = subprocess.run(["defaults", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        what = f"`defaults {' '.join(words)}` failed ({done.stderr.strip() or done.returncode})"
        raise FarmError(what, "Set Xcode's limit by hand, see samples/readme.md.")
    return done.stdout.strip()
