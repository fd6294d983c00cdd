"""worker.py's command line."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import NoReturn

from plumbum import cli

from . import __version__, statuses, system, workerfile
from .console import Console
from .errors import FarmError, UsageError
from .server import Worker


class WorkerApplication(cli.Application):  # type: ignore[misc]
    """Run commands for clients."""

    PROGNAME = "worker.py"
    VERSION = __version__
    USAGE = "    worker.py FILE.js"

    unix = cli.SwitchAttr("--unix", str, help="listen at this UNIX socket, whatever the file says")
    idle_exit_s = cli.SwitchAttr("--idle-exit", float, default=0.0, help="end after so many seconds without clients")
    ready_fd = cli.SwitchAttr("--ready-fd", int, default=-1, help="write a byte to this descriptor when it listens")

    def main(self, file: str = "") -> int:
        if not file and not self.unix:
            raise UsageError("no worker file was given", "Start it with ./worker.py samples/worker.js.")
        settings = self._load(file)
        console = Console(
            colors=settings.colors, colors_bg=settings.colors_bg, icons=settings.icons, debug=settings.debug
        )
        reload = (lambda: self._load(file)) if file else None
        Worker(settings, console, reload=reload, idle_exit_s=self.idle_exit_s).run(self._ready)
        return 0

    def _load(self, file: str) -> workerfile.WorkerFile:
        settings = workerfile.load(file) if file else workerfile.defaults()
        return replace(settings, unix=self.unix) if self.unix else settings

    def _ready(self) -> None:
        if self.ready_fd >= 0:
            os.write(self.ready_fd, b"1")
            os.close(self.ready_fd)


def main(argv: Sequence[str]) -> NoReturn:
    """Run a worker until it is told to end."""
    system.fill_closed()
    try:
        _, status = WorkerApplication.run(list(argv), exit=False)
        status = statuses.USAGE if status == 2 else status
    except FarmError as error:
        print(error.line(), file=sys.stderr, flush=True)
        status = error.status
    sys.exit(status)
