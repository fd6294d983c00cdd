"""Which workers could not be reached lately: a file each in a private folder, for a client lives only for one job."""

from __future__ import annotations

import hashlib
import os
import time

from . import system


class Cooldown:
    """Remembers for `seconds` that a worker was down; 0 never does."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._folder = system.private_folder("down")

    def is_down(self, address: str) -> bool:
        """Whether a connection to it failed within the last `seconds`."""
        try:
            age = time.time() - os.stat(self._file(address)).st_mtime
        except FileNotFoundError:
            return False
        # A file from the future is one of a clock that was set back.
        return 0 <= age < self._seconds

    def down(self, address: str) -> None:
        """A connection to it has just failed."""
        if self._seconds:
            with open(self._file(address), "wb"):
                pass

    def up(self, address: str) -> None:
        """It answered."""
        try:
            os.unlink(self._file(address))
        except FileNotFoundError:
            pass

    def _file(self, address: str) -> str:
        return os.path.join(self._folder, hashlib.sha256(os.fsencode(address)).hexdigest()[:16])
