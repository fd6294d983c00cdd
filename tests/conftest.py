"""Real workers and real clients for the tests: each in a private folder of its own, each ended, by pid."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
CLIENT = ROOT / "client.py"
WORKER = ROOT / "worker.py"

# A client started anew for each of many commands: without writing byte code, without the user's site folder.
PYTHON = [sys.executable]


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 10.0) -> Any:
    """Poll until `condition()` is true and give its value; fail by name after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds} s: {what}")
        time.sleep(0.01)
    return value


def can_unshare_mounts() -> bool:
    """Whether this process may make a mount namespace and mount in it."""
    command = ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"]
    return sys.platform == "linux" and subprocess.run(command, capture_output=True, check=False).returncode == 0


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except OSError:
        return False


def processes_with(mark: bytes) -> list[int]:
    """The living processes whose environment holds `mark`."""
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdigit() and mark in (folder / "environ").read_bytes() and alive(int(folder.name)):
                found.append(int(folder.name))
    return found


class Worker:
    """One worker process and what it prints."""

    def __init__(self, farm: Farm, name: str, settings: dict[str, Any], prefix: Sequence[str] = ()) -> None:
        self.name = name
        self._prefix = prefix
        self.file = farm.folder / f"{name}.js"
        self.log = farm.folder / f"{name}.log"
        self._farm = farm
        self.address = f"unix:{farm.folder / name}"
        if "port" in settings:
            self.address = f"localhost:{settings['port']}"
        else:
            settings = {"unix": str(farm.folder / name), **settings}
        self.file.write_text(json.dumps(settings))
        self.start()

    def start(self) -> None:
        ready, theirs = os.pipe()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*self._prefix, *PYTHON, WORKER, self.file, "--ready-fd", str(theirs)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._farm.env,
                pass_fds=[theirs],
                cwd="/",
            )
        os.close(theirs)
        poller = select.poll()
        poller.register(ready, select.POLLIN)
        listening = poller.poll(20000) and os.read(ready, 1)
        os.close(ready)
        assert listening, f"the worker does not listen: {self.log.read_text()}"

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGTERM)
                self.process.wait(10)

    @property
    def jobs(self) -> list[str]:
        """The lines of the jobs that ended here."""
        return [line for line in self.log.read_text().splitlines() if " #" in line and "[" in line]


class Farm:
    """Workers, a config.py that names them, and clients that use it."""

    def __init__(self, count: int = 1, config: str = "", **settings: Any) -> None:
        # Short, for the path of a UNIX socket may have 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="sf-", dir="/tmp"))
        self.work = self.folder / "work"
        self.work.mkdir()
        skipped = ("SHADOWFARM_", "MAKEFLAGS", "COV_")
        self.env = {name: value for name, value in os.environ.items() if not name.startswith(skipped)}
        self.env["SHADOWFARM_RUNTIME"] = str(self.folder / "run")
        self.env["SHADOWFARM_CONFIG"] = str(self.folder / "config.py")
        settings = {"numTasks": 4, **settings}
        self.workers = [Worker(self, f"w{number + 1}", settings) for number in range(count)]
        self.configure(config)

    def configure(self, text: str = "", workers: tuple[str, ...] | None = None) -> None:
        addresses = workers or tuple(worker.address for worker in self.workers)
        (self.folder / "config.py").write_text(f"WORKERS = {addresses!r}\nFALLBACK = False\n{text}\n")

    def command(self, *args: Any) -> list[Any]:
        return [*PYTHON, CLIENT, *args]

    def run(self, *args: Any, **options: Any) -> subprocess.CompletedProcess[bytes]:
        """Run a command by client.py to its end."""
        options = {"cwd": self.work, "env": self.env, "timeout": 60, **options}
        options.setdefault("capture_output", "stdout" not in options and "stderr" not in options)
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run(self.command(*args), check=False, **options)

    @contextlib.contextmanager
    def start(self, *args: Any, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
        """Start a command by client.py; it is killed at the end if it still runs."""
        options = {"cwd": self.work, "env": self.env, "stdin": subprocess.DEVNULL, **options}
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        with subprocess.Popen(self.command(*args), **options) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()

    def end(self) -> list[int]:
        """End all; gives the processes that were left over, which are killed."""
        mark = f"SHADOWFARM_RUNTIME={self.folder / 'run'}".encode()
        for worker in self.workers:
            worker.end()
        self._end_local(mark)
        deadline = time.monotonic() + 3  # a spawner outlives a worker that was killed by a moment
        while (left := processes_with(mark)) and time.monotonic() < deadline:
            time.sleep(0.02)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.folder)
        return left

    @property
    def job_processes(self) -> list[int]:
        """The living processes of all jobs."""
        found = []
        for pid in processes_with(f"SHADOWFARM_RUNTIME={self.folder / 'run'}".encode()):
            with contextlib.suppress(OSError):
                if b"\0SHADOWFARM_JOB=" in b"\0" + Path(f"/proc/{pid}/environ").read_bytes():
                    found.append(pid)
        return found

    def _end_local(self, mark: bytes) -> None:
        for pid in processes_with(mark):
            with contextlib.suppress(OSError):
                if b"--idle-exit" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGTERM)
                    wait_until(lambda pid=pid: not alive(pid), "the local worker ends")


@pytest.fixture
def farm_of() -> Iterator[Callable[..., Farm]]:
    """Makes farms; at the end none of their processes may be left."""
    farms: list[Farm] = []

    def make(*args: Any, **options: Any) -> Farm:
        farms.append(Farm(*args, **options))
        return farms[-1]

    yield make
    left = [pid for farm in farms for pid in farm.end()]
    assert not left, f"processes are left over: {left}"


@pytest.fixture(scope="module")
def farm() -> Iterator[Farm]:
    """One worker with four slots, for all tests of a module."""
    made = Farm()
    yield made
    left = made.end()
    assert not left, f"processes are left over: {left}"
