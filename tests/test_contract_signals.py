"""Signals reach the job, and nothing survives a client (point 4 of the contract)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .conftest import Farm, alive, wait_until

REPORT = r"""
import os, signal, sys, time
def note(number, frame):
    os.write(1, f'{signal.Signals(number).name}\n'.encode())
    if number == signal.SIGTERM:
        sys.exit(5)
for name in ('SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'):
    signal.signal(getattr(signal, name), note)
os.write(1, b'ready\n')
while True:
    time.sleep(10)
"""


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_each_signal_reaches_the_job_as_itself(farm: Farm) -> None:
    with farm.start(sys.executable, "-c", REPORT) as client:
        assert client.stdout.readline() == b"ready\n"
        for name in ("SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGINT", "SIGTERM"):
            client.send_signal(getattr(signal, name))
            assert client.stdout.readline().decode() == name + "\n"
        assert client.wait(10) == 5


def test_a_signal_reaches_the_whole_process_group_as_ctrl_c_does(farm: Farm) -> None:
    script = f'{sys.executable} -c "$CODE" & {sys.executable} -c "$CODE" & wait; wait'
    with farm.start("sh", "-c", f"trap : USR1; {script}", env={**farm.env, "CODE": REPORT}) as client:
        assert [client.stdout.readline() for _ in range(2)] == [b"ready\n"] * 2
        client.send_signal(signal.SIGUSR1)
        assert [client.stdout.readline() for _ in range(2)] == [b"SIGUSR1\n"] * 2


def test_a_job_without_handlers_and_its_client_die_of_ctrl_c(farm: Farm) -> None:
    with farm.start("sh", "-c", "echo begun; exec sleep 60") as client:
        assert client.stdout.readline() == b"begun\n"
        client.send_signal(signal.SIGINT)
        assert client.wait(10) == -signal.SIGINT
        assert client.stderr.read() == b""


def test_a_second_ctrl_c_kills_the_whole_tree_of_a_job_that_ignores_the_first(farm: Farm) -> None:
    script = "trap '' INT TERM; setsid sh -c 'trap \"\" INT TERM; echo deep; sleep 61; sleep 61' & sleep 62; sleep 62"
    with farm.start("sh", "-c", script) as client:
        assert client.stdout.readline() == b"deep\n"
        client.send_signal(signal.SIGINT)
        time.sleep(0.2)  # two signals at once are one
        assert client.poll() is None
        client.send_signal(signal.SIGINT)
        assert client.wait(10) == -signal.SIGKILL
        assert not farm.job_processes


def test_a_job_that_does_not_end_within_the_grace_period_is_killed(farm_of) -> None:
    farm = farm_of(config="GRACE = 0.5")
    with farm.start("sh", "-c", "trap '' TERM; echo begun; sleep 60; sleep 60") as client:
        assert client.stdout.readline() == b"begun\n"
        client.send_signal(signal.SIGTERM)
        assert client.wait(10) == -signal.SIGKILL
        assert not farm.job_processes


def test_stop_and_continue_stop_and_continue_job_and_client(farm: Farm) -> None:
    with farm.start("sh", "-c", "echo $$; exec sleep 60") as client:
        job = int(client.stdout.readline())
        client.send_signal(signal.SIGTSTP)
        wait_until(lambda: state(job) == "T", "the job stops")
        wait_until(lambda: state(client.pid) == "T", "the client stops")
        client.send_signal(signal.SIGCONT)
        wait_until(lambda: state(job) == "S", "the job goes on")
        client.send_signal(signal.SIGTERM)
        assert client.wait(10) == -signal.SIGTERM


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("echo $$; sleep 63", id="child"),
        pytest.param("sh -c 'echo $$; sleep 63'; true", id="grandchild"),
        pytest.param("setsid sh -c 'echo $$; sleep 63' & wait", id="setsid"),
        pytest.param(
            "(setsid sh -c 'echo $$; trap \"\" TERM HUP; sleep 63; sleep 63' &) ; sleep 63",
            id="double fork that ignores TERM",
        ),
    ],
)
def test_a_client_killed_with_kill_9_leaves_nothing_running_after_2_s(farm: Farm, script: str) -> None:
    with farm.start("sh", "-c", script) as client:
        client.stdout.readline()
        client.kill()
        killed = time.monotonic()
        wait_until(lambda: not farm.job_processes, "no process of the job is left", seconds=2.0)
        assert time.monotonic() - killed < 2.0


def test_a_worker_killed_with_kill_9_leaves_nothing_running_and_its_client_says_lost(farm_of) -> None:
    farm = farm_of()
    with farm.start("sh", "-c", "echo $$; setsid sleep 64 & sleep 64") as client:
        job = int(client.stdout.readline())
        farm.workers[0].process.kill()
        assert client.wait(10) == 103
        message = client.stderr.read()
        assert message.count(b"\n") == 1 and b"was lost" in message
        wait_until(lambda: not alive(job) and not farm.job_processes, "the job's tree is gone", seconds=3)


def test_a_spawner_killed_with_kill_9_leaves_nothing_running_and_is_replaced(farm_of) -> None:
    farm = farm_of()
    with farm.start("sh", "-c", "echo $PPID; setsid sleep 66 & sleep 66") as client:
        os.kill(int(client.stdout.readline()), signal.SIGKILL)
        assert client.wait(10) == 103
        assert not farm.job_processes
    assert farm.run("echo", "x").stdout == b"x\n"


def test_ctrl_c_while_waiting_for_a_slot_ends_the_client_at_once(farm_of) -> None:
    farm = farm_of(numTasks=1)
    with farm.start("sh", "-c", "echo begun; exec sleep 60") as first:
        assert first.stdout.readline() == b"begun\n"
        with farm.start("touch", "must-not-exist") as second:
            waits_for_a_slot(second)
            second.send_signal(signal.SIGINT)
            assert second.wait(10) == -signal.SIGINT
        first.send_signal(signal.SIGTERM)
        first.wait(10)
    assert farm.run("true").returncode == 0
    assert not (farm.work / "must-not-exist").exists()


def waits_for_a_slot(client: subprocess.Popen[bytes]) -> None:
    """Until it handles signals and sleeps in poll."""

    def catches_and_sleeps() -> bool:
        fields = dict(line.split(":", 1) for line in Path(f"/proc/{client.pid}/status").read_text().splitlines())
        caught = int(fields["SigCgt"], 16) & (1 << (signal.SIGUSR1 - 1))
        return bool(caught) and state(client.pid) == "S"

    wait_until(catches_and_sleeps, "the client waits")
    time.sleep(0.1)


def test_signals_ignored_by_nohup_are_ignored_by_the_job(farm: Farm) -> None:
    show = ["grep", "SigIgn", "/proc/self/status"]
    shell = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *farm.command(*show)]
    ended = subprocess.run(shell, cwd=farm.work, env=farm.env, capture_output=True, check=True, timeout=30)
    assert int(ended.stdout.split()[1], 16) & (1 << (signal.SIGHUP - 1))
    plain = farm.run(*show)
    assert int(plain.stdout.split()[1], 16) == 0, "nothing else is: Python's own SIGPIPE above all"


def test_a_stopped_clients_job_is_not_lost(farm: Farm) -> None:
    with farm.start("sh", "-c", "echo a; sleep 0.5; echo b") as client:
        assert client.stdout.readline() == b"a\n"
        os.kill(client.pid, signal.SIGSTOP)
        wait_until(lambda: state(client.pid) == "T", "the client stops")
        os.kill(client.pid, signal.SIGCONT)
        assert client.stdout.read() == b"b\n"
        assert client.wait(10) == 0
