"""Thousands of short commands, and processes killed at random points: nothing lost, nothing left."""

from __future__ import annotations

import contextlib
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .conftest import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.mark.parametrize("at_a_time", [1, 16])
def test_2000_very_short_commands_lose_no_byte(farm_of, at_a_time: int) -> None:
    farm = farm_of(2, numTasks=8)

    def wrong(number: int) -> str:
        script = f"printf 'out %s' {number}; printf 'err %s' {number} >&2; exit {number % 100}"
        shown = farm.run("sh", "-c", script)
        seen = (shown.returncode, shown.stdout, shown.stderr)
        return "" if seen == (number % 100, b"out %d" % number, b"err %d" % number) else f"{number}: {seen}"

    with ThreadPoolExecutor(at_a_time) as pool:
        assert [text for text in pool.map(wrong, range(2000)) if text] == []
    assert sum(len(worker.jobs) for worker in farm.workers) == 2000


def test_clients_killed_with_kill_9_at_random_points_leave_nothing_running(farm_of) -> None:
    farm = farm_of(1, numTasks=4)
    seed = time.time_ns()
    print(f"seed {seed}")
    rng = random.Random(seed)
    for _ in range(60):
        with farm.start("sh", "-c", "setsid sleep 65 & sleep 65") as client:
            time.sleep(rng.uniform(0, 0.25))  # not a wait for something: the point of the test
            client.kill()
        if rng.random() < 0.2:
            wait_until(lambda: not farm.job_processes, "no process of a job is left", seconds=3)
    wait_until(lambda: not farm.job_processes, "no process of a job is left", seconds=3)
    assert farm.run("echo", "x").stdout == b"x\n", "and all slots are free"
    descriptors = len(list(Path(f"/proc/{farm.workers[0].process.pid}/fd").iterdir()))
    assert descriptors < 20


def test_workers_killed_with_kill_9_at_random_points_lose_no_job_silently(farm_of) -> None:
    farm = farm_of(1, "FALLBACK = True", numTasks=8)
    seed = time.time_ns()
    print(f"seed {seed}")
    rng = random.Random(seed)
    outcomes: dict[int, int] = {}
    for round_number in range(15):
        with contextlib.ExitStack() as stack:
            clients = [
                stack.enter_context(farm.start("sh", "-c", f"echo {n}; sleep 0.2; echo end; setsid sleep 0.1"))
                for n in range(4)
            ]
            time.sleep(rng.uniform(0, 0.6))  # not a wait for something: the point of the test
            farm.workers[0].process.send_signal(signal.SIGKILL)
            farm.workers[0].process.wait()
            for n, client in enumerate(clients):
                output = client.stdout.read()
                status = client.wait(20)
                outcomes[status] = outcomes.get(status, 0) + 1
                assert status in (0, 103), client.stderr.read()
                if status == 0:
                    assert output == b"%d\nend\n" % n, f"round {round_number}"
        farm.workers[0].start()
    print(f"outcomes {outcomes}")
    wait_until(lambda: not farm.job_processes, "no process of a job is left", seconds=3)
