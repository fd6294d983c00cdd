"""What went wrong in the first program of this kind must not go wrong here; one test for each of its defects.

Lost and swapped output: test_contract_outputs. Polling and slow streams: test_contract_workers, test_cost.
Toggles that are not each other's inverse: test_toggle. Copies of config.py: test_config (overlays).
"""

from __future__ import annotations

import signal
import time

from .conftest import wait_until
from .test_contract_workers import farm_waits


def test_a_start_failure_is_not_stored_as_output_with_status_0(farm_of) -> None:
    shown = farm_of().run("no-such-program")
    assert shown.returncode == 127
    assert shown.stdout == b""


def test_a_job_that_fails_is_not_run_again_by_the_next_worker(farm_of) -> None:
    farm = farm_of(3)
    for status in (1, 2, 100, 103, 126, 127, 255):
        assert farm.run("sh", "-c", f"echo {status} >> runs; exit {status}").returncode == status
    assert farm.run("sh", "-c", "echo 999 >> runs; kill -9 $$").returncode == -signal.SIGKILL
    assert (farm.work / "runs").read_text().split() == ["1", "2", "100", "103", "126", "127", "255", "999"]


def test_every_kind_of_end_gives_the_slot_back(farm_of) -> None:
    farm = farm_of(numTasks=1, timeout=5)
    for command in (
        ["true"],
        ["false"],
        ["no-such-program"],
        ["/tmp"],
        ["sh", "-c", "kill -9 $$"],
        ["sh", "-c", "exec >&- 2>&-; exit 4"],
    ):
        farm.run(*command)
    with farm.start("sh", "-c", "echo begun; sleep 60") as client:
        client.stdout.readline()
        client.kill()
    begun = time.monotonic()
    assert farm.run("echo", "free").stdout == b"free\n"
    assert time.monotonic() - begun < 3
    assert farm_waits(farm, 0)


def test_an_interrupt_is_not_swallowed_while_no_worker_can_be_reached(farm_of) -> None:
    farm = farm_of(0)
    farm.configure("TIMEOUT = 60\nSLEEP = 30", workers=("unix:/no/such/worker",))
    for number in (signal.SIGINT, signal.SIGTERM):
        with farm.start("true") as client:
            wait_until(lambda: watches(client.pid), "it watches for signals")
            client.send_signal(number)
            assert client.wait(5) == -number


def test_an_interrupt_is_not_swallowed_while_a_stopped_worker_is_asked(farm_of) -> None:
    farm = farm_of(1, config="CONNECT_TIMEOUT = 30")
    worker = farm.workers[0].process
    worker.send_signal(signal.SIGSTOP)
    try:
        with farm.start("true") as client:
            wait_until(lambda: watches(client.pid), "it watches for signals")
            client.send_signal(signal.SIGINT)
            assert client.wait(5) == -signal.SIGINT
    finally:
        worker.send_signal(signal.SIGCONT)


def watches(pid: int) -> bool:
    """Whether a client has come to record signals: nothing else in it handles this one."""
    with open(f"/proc/{pid}/status") as file:
        caught = next(int(line.split()[1], 16) for line in file if line.startswith("SigCgt"))
    return bool(caught & (1 << (signal.SIGUSR1 - 1)))


def test_timeout_is_elapsed_time_and_not_a_sum_of_sleeps(farm_of) -> None:
    farm = farm_of(0)
    farm.configure("TIMEOUT = 1\nSLEEP = 0.01\nCOOLDOWN = 0", workers=("unix:/no/such/worker",) * 20)
    begun = time.monotonic()
    assert farm.run("true").returncode == 102
    assert time.monotonic() - begun < 3


def test_the_config_is_read_and_never_written(farm_of) -> None:
    farm = farm_of()
    path = farm.folder / "config.py"
    farm.configure("import sys\nBEFORE = list(WORKERS)\ndef shouldUseComm(args):\n    assert list(WORKERS) == BEFORE\n")
    before = path.read_bytes(), path.stat().st_mtime_ns, sorted(farm.folder.glob("__pycache__/*"))
    assert farm.run("echo", "x").stdout == b"x\n"
    assert (path.read_bytes(), path.stat().st_mtime_ns, sorted(farm.folder.glob("__pycache__/*"))) == before
