"""Two workers on this machine, for the demo and for tests/real: started, asked what they ran, and ended, by pid.

Only the standard library is needed here; `python` is one that has rpyc and plumbum.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parent.parent.parent
CLIENT = ROOT / "client.py"
WORKER = ROOT / "worker.py"

_READY_S = 20.0
_DRAIN_S = 10.0
_TOLD_S = 5.0
_POLL_S = 0.02
# The line that a worker prints for a job: "12:34:56 #7 [0] 0.12 s cc -c x.c".
_JOB_LINE = re.compile(r"#\d+ \[(?P<how>[^]]+)\] (?P<seconds>[\d.]+) s (?P<command>.*)")


class FarmFailed(Exception):
    """A worker did not start, or not all that it ran was told; the text says which and why."""


@dataclass(frozen=True)
class Job:
    """A job as the worker's console tells it: `how` is the exit status, or why there is none."""

    how: str
    seconds: float
    command: str


class Worker:
    """One worker process; its console goes to a file."""

    def __init__(self, folder: Path, name: str, slots: int, python: str, env: Mapping[str, str]) -> None:
        self.name = name
        self.socket = folder / name
        self._log = folder / f"{name}.log"
        file = folder / f"{name}.js"
        file.write_text(json.dumps({"unix": str(self.socket), "numTasks": slots}))
        with open(self._log, "wb") as log:
            # A session of its own: Ctrl-C at the terminal is for the build, and the workers are ended after it.
            self.process = subprocess.Popen(
                [python, str(WORKER), str(file)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(env),
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        """Return when the worker takes connections. Raises: FarmFailed."""
        deadline = time.monotonic() + _READY_S
        while not self._accepts():
            if self.process.poll() is not None:
                raise FarmFailed(f"worker {self.name} ended with status {self.process.returncode}: {self.console()}")
            if time.monotonic() > deadline:
                raise FarmFailed(f"worker {self.name} took no connection within {_READY_S:.0f} s: {self.console()}")
            time.sleep(_POLL_S)

    def _accepts(self) -> bool:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            return probe.connect_ex(str(self.socket)) == 0

    def console(self) -> str:
        """All that the worker has printed."""
        return self._log.read_text(errors="replace").strip()

    def jobs(self) -> list[Job]:
        """The jobs that ended here, in the order of their ends."""
        found = (_JOB_LINE.search(line) for line in self.console().splitlines())
        return [Job(line["how"], float(line["seconds"]), line["command"]) for line in found if line]

    def stop(self) -> None:
        """Ask it to end when its jobs have, then to kill them, then kill it."""
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
            if self.process.poll() is None:
                self.process.send_signal(number)
                try:
                    self.process.wait(_DRAIN_S)
                except subprocess.TimeoutExpired:
                    continue


class Farm:
    """Workers w1, w2 and so on, in a private folder that is removed at the end, and a config.py that names them.

    FALLBACK is False: a build that could not reach the workers fails instead of running here unnoticed.
    """

    def __init__(self, *, count: int = 2, slots: int = 2, python: str = sys.executable) -> None:
        # Below /tmp where there is one: the path of a UNIX socket may have about a hundred bytes only.
        self.folder = Path(tempfile.mkdtemp(prefix="shadowfarm-", dir="/tmp" if os.path.isdir("/tmp") else None))
        self._python = python
        self._names = [f"w{number + 1}" for number in range(count)]
        self._slots = slots
        self.workers: list[Worker] = []
        config = self.folder / "config.py"
        addresses = tuple(f"unix:{self.folder / name}" for name in self._names)
        config.write_text(f"WORKERS = {addresses!r}\nFALLBACK = False\n")
        ours = {"SHADOWFARM_CONFIG": str(config), "SHADOWFARM_RUNTIME": str(self.folder / "run")}
        self.env = {name: value for name, value in os.environ.items() if not name.startswith(("SHADOWFARM_", "MAKE"))}
        self.env.update(ours)

    def __enter__(self) -> Farm:
        try:
            for name in self._names:
                self.workers.append(Worker(self.folder, name, self._slots, self._python, self.env))
            for worker in self.workers:
                worker.wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the workers and remove the folder."""
        for worker in self.workers:
            worker.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def env_with(self, *folders: Path) -> dict[str, str]:
        """The environment of a build: `folders` come first in PATH, and client.py finds its Python after them."""
        path = os.pathsep.join([*map(str, folders), os.path.dirname(self._python), self.env.get("PATH", os.defpath)])
        return {**self.env, "PATH": path}

    def masquerade(self, *names: str) -> Path:
        """A folder for the beginning of PATH in which each of `names` is a link to client.py."""
        folder = self.folder / "masquerade"
        folder.mkdir(exist_ok=True)
        for name in names:
            _link(folder / name, CLIENT)
        return folder

    def renamed(self, *names: str) -> Path:
        """A folder in which each of `names` is shadowed: `cc -> client.py`, and `cc_` is the real program."""
        folder = self.folder / "renamed"
        folder.mkdir(exist_ok=True)
        for name in names:
            program = shutil.which(name)
            if program is None:
                raise FarmFailed(f"{name} is not on PATH")
            _link(folder / f"{name}_", Path(program))
            _link(folder / name, CLIENT)
        return folder

    def jobs(self) -> dict[str, list[Job]]:
        """What each worker ran since the start, by its name."""
        return {worker.name: worker.jobs() for worker in self.workers}

    def jobs_since(self, before: Mapping[str, list[Job]], count: int) -> dict[str, list[Job]]:
        """What each worker ran after `before`, once `count` jobs are told, or after a while if they never are.

        A worker tells about a job a moment after the client has got its end.
        """
        deadline = time.monotonic() + _TOLD_S
        while True:
            now = {name: jobs[len(before[name]) :] for name, jobs in self.jobs().items()}
            if sum(map(len, now.values())) >= count or time.monotonic() > deadline:
                return now
            time.sleep(_POLL_S)


def _link(path: Path, target: Path) -> None:
    if not path.is_symlink():
        path.symlink_to(target)
