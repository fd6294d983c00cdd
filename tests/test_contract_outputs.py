"""stdout and stderr arrive complete, apart, in order and at once (point 2 of the contract)."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from .conftest import Farm, alive, wait_until


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_output_of_a_command_that_exits_at_once_is_complete(farm: Farm) -> None:
    for size in (0, 1, 4095, 4096, 65536, 65537, 1_000_000):
        shown = farm.run("head", "-c", str(size), "/dev/zero")
        assert (shown.returncode, len(shown.stdout), shown.stderr) == (0, size, b"")


def test_nothing_of_ours_is_written_when_all_went_well(farm: Farm) -> None:
    shown = farm.run("true")
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, b"", b"")


def test_stdout_and_stderr_are_not_mixed_up_by_200_mb_of_random_bytes_on_each(farm: Farm) -> None:
    code = """
import hashlib, os, sys, threading
def pour(fd, name):
    whole = hashlib.sha256()
    for _ in range(200):
        data = os.urandom(1_000_000)
        whole.update(data)
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view):]
    open(name, 'w').write(whole.hexdigest())
threads = [threading.Thread(target=pour, args=(fd, f'sum{fd}')) for fd in (1, 2)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""
    with farm.start(*python(code)) as client:
        sums = {}

        def take(fd: int, stream) -> None:
            whole = hashlib.sha256()
            while data := stream.read1(1 << 20):
                whole.update(data)
            sums[fd] = whole.hexdigest()

        threads = [threading.Thread(target=take, args=item) for item in ((1, client.stdout), (2, client.stderr))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert client.wait(30) == 0
    assert sums == {fd: (farm.work / f"sum{fd}").read_text() for fd in (1, 2)}


def test_streams_that_are_one_file_here_keep_their_order_among_each_other(farm: Farm) -> None:
    code = "import os\nfor n in range(2000): os.write(1 + n % 2, b'%d\\n' % n)"
    shown = farm.run(*python(code), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert shown.stdout == b"".join(b"%d\n" % number for number in range(2000))


def test_a_line_is_here_within_100_ms_of_being_written(farm: Farm) -> None:
    code = """
import time
for _ in range(20):
    print(time.monotonic(), flush=True)
    time.sleep(0.03)
"""
    delays = []
    with farm.start(*python(code)) as client:
        for line in client.stdout:
            delays.append(time.monotonic() - float(line))
        assert client.wait(10) == 0
    assert len(delays) == 20
    assert sorted(delays)[-2] < 0.1, delays


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_reader_that_stops_does_not_grow_memory_and_loses_nothing(farm: Farm) -> None:
    worker = farm.workers[0].process.pid
    with farm.start("head", "-c", "300000000", "/dev/zero") as client:
        assert client.stdout.read(1) == b"\0"
        before = resident_bytes(worker), resident_bytes(client.pid)
        # Until both are asleep: nothing is moved any more.
        wait_until(
            lambda: cpu(client.pid) == cpu_after(client.pid) and cpu(worker) == cpu_after(worker), "all stands still"
        )
        after = resident_bytes(worker), resident_bytes(client.pid)
        assert after[0] - before[0] < 20_000_000 and after[1] - before[1] < 20_000_000
        assert len(client.stdout.read()) == 299_999_999
        assert client.wait(10) == 0


def cpu(pid: int) -> int:
    return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))


def cpu_after(pid: int) -> int:
    deadline = time.monotonic() + 0.3
    while time.monotonic() < deadline:
        time.sleep(0.05)
    return cpu(pid)


def test_a_signal_ends_job_and_client_while_the_reader_stops(farm: Farm) -> None:
    with farm.start("yes") as client:
        assert client.stdout.read(2) == b"y\n"
        client.send_signal(signal.SIGTERM)
        wait_until(lambda: not farm.job_processes, "the job ends while nobody reads")
        assert client.wait(10) == -signal.SIGTERM


def test_a_background_grandchild_does_not_hold_the_client(farm: Farm) -> None:
    begun = time.monotonic()
    shown = farm.run("sh", "-c", "sleep 37 & echo $!")
    assert shown.returncode == 0
    assert time.monotonic() - begun < 10
    background = int(shown.stdout)
    assert alive(background), "a background process goes on, as it does locally"
    os.kill(background, signal.SIGKILL)


def test_what_a_grandchild_writes_within_the_drain_time_arrives(farm: Farm) -> None:
    shown = farm.run("sh", "-c", "(sleep 0.3; echo late; sleep 0.6; echo later) & echo early")
    assert shown.stdout == b"early\nlate\nlater\n"


def test_a_reader_that_goes_away_ends_the_job_as_a_pipe_would(farm: Farm) -> None:
    with farm.start("yes") as client:
        client.stdout.read(2)
        client.stdout.close()
        assert client.wait(10) == -signal.SIGPIPE
    wait_until(lambda: not farm.job_processes, "the job ends")


def test_a_job_that_ignores_the_broken_pipe_keeps_its_own_status(farm: Farm) -> None:
    code = """
import os, sys
try:
    while True:
        os.write(1, b'x' * 65536)
except BrokenPipeError:
    os._exit(9)
"""
    with farm.start(*python(code)) as client:
        client.stdout.read(2)
        client.stdout.close()
        assert client.wait(10) == 9


def test_short_output_into_a_closed_reader_is_sigpipe_too(farm: Farm) -> None:
    read, write = os.pipe()
    os.close(read)
    with farm.start("echo", "x", stdout=write) as client:
        os.close(write)
        assert client.wait(10) == -signal.SIGPIPE


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full is missing")
def test_output_that_cannot_be_written_is_never_a_success(farm: Farm) -> None:
    with open("/dev/full", "wb") as full:
        shown = farm.run("echo", "lost", stdout=full, stderr=subprocess.PIPE)
    assert shown.returncode == 110
    assert b"No space left" in shown.stderr and shown.stderr.count(b"\n") == 1


def test_closed_streams_stay_closed_and_no_socket_takes_their_place(farm: Farm) -> None:
    script = "exec 2>probe; for n in 0 1; do test -e /proc/self/fd/$n && echo open $n >&2; done; echo done >&2"
    shell = 'exec "$@" <&- >&-'
    ended = subprocess.run(
        ["sh", "-c", shell, "sh", *farm.command("sh", "-c", script)],
        cwd=farm.work,
        env=farm.env,
        check=False,
        timeout=30,
    )
    assert ended.returncode == 0
    assert (farm.work / "probe").read_text() == "done\n"


def test_a_nonblocking_stdout_of_the_caller_loses_nothing(farm: Farm) -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    with farm.start("head", "-c", "3000000", "/dev/zero", stdout=write) as client:
        os.close(write)
        with os.fdopen(read, "rb") as stream:
            assert len(stream.read()) == 3_000_000
        assert client.wait(10) == 0
