"""What worker.js says is done, and the worker can be told to end, to drain and to read it again (point 12)."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack

import pytest

from .conftest import WORKER, wait_until
from .test_contract_workers import farm_waits


def test_a_terminated_worker_takes_no_new_jobs_ends_the_running_and_gives_back_the_waiting(farm_of) -> None:
    farm = farm_of(2, numTasks=1)
    first, second = farm.workers
    with ExitStack() as stack:
        farm.configure(workers=(first.address,))
        running = stack.enter_context(
            farm.start("sh", "-c", "echo begun; while ! test -e go; do sleep 0.05; done; echo ran")
        )
        assert running.stdout.readline() == b"begun\n"
        farm.configure()
        busy = stack.enter_context(farm.start("sh", "-c", "while ! test -e go2; do sleep 0.05; done"))
        wait_until(lambda: len(farm.job_processes) >= 2, "both workers are full")
        waiting = stack.enter_context(farm.start("echo", "elsewhere"))
        wait_until(lambda: farm_waits(farm, 1), "a job waits at the first")
        first.process.send_signal(signal.SIGTERM)
        (farm.work / "go2").touch()
        assert waiting.stdout.read() == b"elsewhere\n"
        assert waiting.wait(10) == 0
        assert busy.wait(10) == 0
        assert farm.run("echo", "new").stdout == b"new\n"
        assert running.poll() is None and first.process.poll() is None
        (farm.work / "go").touch()
        assert running.stdout.read() == b"ran\n"
        assert running.wait(10) == 0
        assert first.process.wait(10) == 0
    assert len(second.jobs) == 3


def test_a_second_signal_kills_the_running_jobs(farm_of) -> None:
    farm = farm_of()
    with farm.start("sh", "-c", "trap '' TERM; echo begun; sleep 60; sleep 60") as client:
        assert client.stdout.readline() == b"begun\n"
        worker = farm.workers[0].process
        worker.send_signal(signal.SIGTERM)
        wait_until(lambda: b"going down" in farm.workers[0].log.read_bytes(), "it drains")
        assert client.poll() is None
        worker.send_signal(signal.SIGTERM)
        assert client.wait(10) == -signal.SIGKILL
        assert worker.wait(10) == 0
        assert not farm.job_processes


def test_an_idle_connection_does_not_hold_up_the_end(farm_of) -> None:
    farm = farm_of()
    with socket.socket(socket.AF_UNIX) as idle:
        idle.connect(farm.workers[0].address.removeprefix("unix:"))
        farm.workers[0].process.send_signal(signal.SIGTERM)
        assert farm.workers[0].process.wait(10) == 0


def test_sighup_reads_the_file_again_and_a_wrong_one_changes_nothing(farm_of) -> None:
    farm = farm_of(numTasks=1)
    worker = farm.workers[0]
    settings = json.loads(worker.file.read_text())
    with farm.start("sh", "-c", "echo begun; sleep 60") as running:
        assert running.stdout.readline() == b"begun\n"
        worker.file.write_text("{ not JSON")
        worker.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "going on with the former settings" in worker.log.read_text(), "it says what is wrong")
        worker.file.write_text(json.dumps({**settings, "numTasks": 2}))
        worker.process.send_signal(signal.SIGHUP)
        assert farm.run("echo", "second slot").stdout == b"second slot\n"
        running.terminate()


def test_commands_and_folders_are_remapped(farm_of) -> None:
    there = {"remapCmds": {"greet": "echo"}, "remapDirs": {"/only/here": "/tmp"}}
    farm = farm_of(**there)
    assert farm.run("greet", "-I/only/here/x", "--out=/only/here", "/only/hereafter").stdout == (
        b"-I/tmp/x --out=/tmp /only/hereafter\n"
    )


def test_output_is_gathered_at_most_timeout_read_and_never_delays_an_end(farm_of) -> None:
    farm = farm_of(timeoutRead="5")
    begun = time.monotonic()
    assert farm.run("echo", "x").stdout == b"x\n"
    assert time.monotonic() - begun < 4


def test_the_console_has_a_line_a_job_and_stays_readable_in_a_file(farm_of) -> None:
    farm = farm_of(colors=["red", "green"], icons="*")
    farm.run("sh", "-c", "exit 3", "two words", os.fsdecode(b"\xff\x1b[31m"))
    (line,) = farm.workers[0].jobs
    assert "[3]" in line and "'two words'" in line
    assert "\x1b" not in line


def worker_refuses(file, *args: str, status: int) -> str:
    ended = subprocess.run(
        [sys.executable, WORKER, file, *args], capture_output=True, check=False, timeout=20, text=True
    )
    assert ended.returncode == status, ended.stderr
    assert ended.stderr.count("\n") == 1, ended.stderr
    return ended.stderr


def test_a_host_that_is_not_loopback_needs_insecure(tmp_path) -> None:
    file = tmp_path / "w.js"
    file.write_text('{"host": "0.0.0.0", "port": 0}')
    assert '"insecure": true' in worker_refuses(file, status=101)


def test_insecure_is_told_at_each_start(farm_of) -> None:
    farm = farm_of(0)
    from .conftest import Worker

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    farm.workers.append(Worker(farm, "tcp", {"host": "127.0.0.1", "port": port, "insecure": True, "numTasks": 1}))
    farm.configure()
    assert "whoever reaches this address" in farm.workers[0].log.read_text()
    assert farm.run("echo", "over tcp").stdout == b"over tcp\n"


def test_a_port_that_is_taken_is_one_clear_line(tmp_path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        file = tmp_path / "w.js"
        file.write_text(f'{{"host": "127.0.0.1", "port": {taken.getsockname()[1]}}}')
        assert "Is a worker running there already?" in worker_refuses(file, status=106)


def test_a_socket_file_of_a_killed_worker_is_replaced_and_that_of_a_living_one_is_not(farm_of) -> None:
    farm = farm_of()
    worker = farm.workers[0]
    worker_refuses(worker.file, status=106)
    worker.process.kill()
    worker.process.wait()
    worker.start()
    assert farm.run("echo", "x").stdout == b"x\n"


def test_a_worker_file_that_is_not_json_is_one_line_with_line_and_column(tmp_path) -> None:
    file = tmp_path / "w.js"
    file.write_text('{\n  "port": 7711,\n  "numTasks" 3\n}')
    assert f"{file}:3:" in worker_refuses(file, status=101).replace(", line ", ":")


def test_a_worker_without_a_file_and_with_unknown_options_says_how_to_call_it() -> None:
    for args in ([], ["--no-such-option"]):
        ended = subprocess.run([sys.executable, WORKER, *args], capture_output=True, check=False, timeout=20, text=True)
        assert ended.returncode == 109
        assert "worker.py" in ended.stderr + ended.stdout


@pytest.mark.parametrize("seconds", [1])
def test_a_worker_with_idle_exit_ends_when_idle_and_not_before(farm_of, seconds: int) -> None:
    farm = farm_of(0)
    path = farm.folder / "idle"
    process = subprocess.Popen(
        [sys.executable, WORKER, "--unix", path, "--idle-exit", str(seconds)], stdout=subprocess.DEVNULL, env=farm.env
    )
    wait_until(path.exists, "it listens")
    farm.configure(workers=(f"unix:{path}",))
    assert farm.run("sleep", str(seconds * 2)).returncode == 0
    assert farm.run("true").returncode == 0
    assert process.wait(10) == 0
    assert not path.exists()
