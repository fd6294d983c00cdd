"""Which worker runs a job, and what happens when there is none (points 8 and 9)."""

from __future__ import annotations

import signal
import socket
import time

import pytest

from .conftest import Farm, wait_until


@pytest.fixture
def dead_port():
    """A loopback port that refuses: it is bound, and nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


def test_the_local_worker_starts_by_itself_and_serves_the_next_client_too(farm_of) -> None:
    farm = farm_of(0)
    farm.configure(workers=("local",))
    parents = {farm.run("sh", "-c", "echo $SHADOWFARM_JOB").stdout.rpartition(b"-")[0] for _ in range(3)}
    assert len(parents) == 1 and parents != {b""}


def test_many_first_clients_at_once_start_one_local_worker(farm_of) -> None:
    farm = farm_of(0)
    farm.configure(workers=("local",))
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(6) as pool:
        shown = list(pool.map(lambda _: farm.run("sh", "-c", "echo $SHADOWFARM_JOB"), range(6)))
    assert [item.returncode for item in shown] == [0] * 6
    assert len({item.stdout.rpartition(b"-")[0] for item in shown}) == 1


def test_jobs_go_to_the_least_loaded_worker_and_ties_to_the_first(farm_of) -> None:
    farm = farm_of(2, numTasks=2)
    with farm.start("sh", "-c", "echo begun; sleep 60") as first:
        first.stdout.readline()
        for _ in range(3):
            assert farm.run("true").returncode == 0
        first.send_signal(signal.SIGTERM)
        first.wait(10)
    assert len(farm.workers[1].jobs) == 3, "while the first has one of two slots taken"
    farm.run("true")
    assert len(farm.workers[0].jobs) == 2 and len(farm.workers[1].jobs) == 3


def test_a_worker_that_is_down_is_passed_over(farm_of, dead_port: int) -> None:
    farm = farm_of(1)
    farm.configure(workers=(f"localhost:{dead_port}", farm.workers[0].address))
    shown = farm.run("echo", "x")
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, b"x\n", b"")


def test_a_worker_that_is_stopped_does_not_hold_up_jobs(farm_of) -> None:
    farm = farm_of(2)
    farm.workers[0].process.send_signal(signal.SIGSTOP)
    try:
        begun = time.monotonic()
        assert farm.run("echo", "x").stdout == b"x\n"
        assert farm.run("echo", "x").stdout == b"x\n"
        assert time.monotonic() - begun < 4
        assert len(farm.workers[1].jobs) == 2
    finally:
        farm.workers[0].process.send_signal(signal.SIGCONT)


def test_without_any_worker_the_job_runs_here_with_one_line_that_says_why(farm_of, dead_port: int) -> None:
    farm = farm_of(0)
    farm.configure("FALLBACK = True", workers=(f"localhost:{dead_port}",))
    shown = farm.run("sh", "-c", "echo out; echo err >&2; exit 3")
    assert (shown.returncode, shown.stdout) == (3, b"out\n")
    first, second = shown.stderr.decode().splitlines()
    assert f"localhost:{dead_port} connection refused" in first and "running sh here" in first
    assert second == "err"


def test_a_fallback_job_keeps_stdin_and_dies_by_its_signal(farm_of, dead_port: int) -> None:
    farm = farm_of(0)
    farm.configure("FALLBACK = True\nUSE_COMM = ('cat',)", workers=(f"localhost:{dead_port}",))
    assert farm.run("cat", input=b"given").stdout == b"given"
    assert farm.run("sh", "-c", "kill -TERM $$").returncode == -signal.SIGTERM
    assert farm.run("sh", "-c", "yes | head -1").stderr.count(b"\n") == 1, "SIGPIPE is not ignored"


def test_without_fallback_it_goes_on_trying_until_timeout(farm_of, dead_port: int) -> None:
    farm = farm_of(0)
    farm.configure("TIMEOUT = 1\nSLEEP = 0.1\nCOOLDOWN = 0", workers=(f"localhost:{dead_port}",))
    begun = time.monotonic()
    shown = farm.run("touch", "must-not-exist")
    assert shown.returncode == 102
    assert time.monotonic() - begun >= 1
    assert shown.stderr.count(b"\n") == 1
    assert not (farm.work / "must-not-exist").exists()


def test_a_client_that_goes_on_trying_says_so_once(farm_of, dead_port: int) -> None:
    farm = farm_of(0)
    farm.configure("TIMEOUT = 8\nSLEEP = 0.2\nCOOLDOWN = 0", workers=(f"localhost:{dead_port}",))
    shown = farm.run("true")
    waiting, given_up = shown.stderr.decode().splitlines()
    assert "connection refused" in waiting and "s more" in waiting
    assert shown.returncode == 102 and "connection refused" in given_up


def test_without_fallback_a_worker_that_comes_up_meanwhile_gets_the_job(farm_of) -> None:
    farm = farm_of(1)
    farm.configure("TIMEOUT = 30\nSLEEP = 0.1\nCOOLDOWN = 0")
    farm.workers[0].end()
    with farm.start("echo", "x") as client:
        time.sleep(0.5)
        assert client.poll() is None
        farm.workers[0].start()
        assert client.stdout.read() == b"x\n"
        assert client.wait(10) == 0


def test_when_all_slots_are_taken_jobs_wait_first_come_first_served(farm_of) -> None:
    farm = farm_of(1, numTasks=1)
    with farm.start("sh", "-c", "echo begun; while ! test -e go; do sleep 0.05; done") as first:
        first.stdout.readline()
        waiting = []
        from contextlib import ExitStack

        with ExitStack() as stack:
            for number in range(3):
                waiting.append(stack.enter_context(farm.start("sh", "-c", f"echo {number} >> order")))
                wait_until(lambda: farm_waits(farm, len(waiting)), "the job waits at the worker")
            (farm.work / "go").touch()
            for client in waiting:
                assert client.wait(10) == 0
        first.wait(10)
    assert (farm.work / "order").read_text() == "0\n1\n2\n"


def farm_waits(farm: Farm, count: int) -> bool:
    """Whether `count` jobs wait, as the worker tells each client that asks."""
    from shadowfarm.farm import Lookup

    lookup = Lookup([farm.workers[0].address], 5)
    loads = [peer.load for peer in lookup.peers]
    for peer in lookup.peers:
        peer.link.close()
    return bool(loads) and loads[0].waiting == count


def test_a_full_farm_is_waited_for_no_longer_than_timeout_and_not_run_here(farm_of) -> None:
    farm = farm_of(1, numTasks=1)
    with farm.start("sh", "-c", "echo begun; sleep 60") as first:
        first.stdout.readline()
        farm.configure("TIMEOUT = 0.5\nFALLBACK = True")
        shown = farm.run("touch", "must-not-exist")
        assert shown.returncode == 102
        assert shown.stderr.count(b"\n") == 1 and b"TIMEOUT" in shown.stderr
        assert not (farm.work / "must-not-exist").exists()
        first.send_signal(signal.SIGTERM)


def test_waiting_and_sleeping_jobs_cost_no_cpu(farm_of) -> None:
    farm = farm_of(1, numTasks=1)
    with farm.start("sleep", "3") as running:
        wait_until(lambda: farm.job_processes, "the job runs")
        with farm.start("true") as waiting:
            wait_until(lambda: farm_waits(farm, 1), "the other waits")
            pids = (running.pid, waiting.pid, farm.workers[0].process.pid)
            before = [cpu_ticks(pid) for pid in pids]
            time.sleep(1.5)
            after = [cpu_ticks(pid) for pid in pids]
            assert sum(after) - sum(before) <= 1, "at most one tick of 10 ms, which is the clock's own error"
            assert running.wait(10) == 0
            assert waiting.wait(10) == 0


def cpu_ticks(pid: int) -> int:
    with open(f"/proc/{pid}/stat") as file:
        return sum(map(int, file.read().rpartition(")")[2].split()[11:13]))


def test_run_directly_executes_the_real_program_at_once(farm: Farm) -> None:
    farm.configure("RUN_DIRECTLY = ('sh',)", workers=("unix:/no/such/worker",))
    with farm.start("sh", "-c", "echo $$; exec sleep 60") as client:
        assert int(client.stdout.readline()) == client.pid
        client.terminate()
        assert client.wait(10) == -signal.SIGTERM
        assert client.stderr.read() == b""
    farm.configure()


def test_clients_to_use_restricts_the_choice(farm_of) -> None:
    farm = farm_of(2, config="def clientsToUse(args):\n    return [1] if args[1:] == ['x'] else None")
    for _ in range(3):
        farm.run("echo", "x")
    assert len(farm.workers[1].jobs) == 3 and not farm.workers[0].jobs


def test_what_lies_outside_the_shared_folders_runs_here(farm_of, dead_port: int) -> None:
    farm = farm_of(0)
    farm.configure(f"SHARED = ({str(farm.work)!r},)", workers=(f"localhost:{dead_port}",))
    assert farm.run("echo", "/tmp/not-shared").returncode == 0
    assert farm.run("echo", "x", cwd="/tmp").returncode == 0
    farm.configure(f"SHARED = ({str(farm.work)!r},)\nTIMEOUT = 0.2\nSLEEP = 0.1", workers=(f"localhost:{dead_port}",))
    assert farm.run("echo", f"{farm.work}/shared", "/usr/include").returncode == 102


def test_a_shell_command_is_run_by_a_shell_when_the_config_says_so(farm: Farm) -> None:
    farm.configure("USE_SHELL = ('echo',)")
    assert farm.run("echo", "a", "|", "tr", "a", "b").stdout == b"b\n"
    farm.configure()
    assert farm.run("echo", "a", "|", "tr", "a", "b").stdout == b"a | tr a b\n"
