"""stdin is forwarded when the command wants it, and is empty else (point 5 of the contract)."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time

import pytest

from .conftest import Farm, wait_until


@pytest.fixture(scope="module")
def farm():
    made = Farm(config="USE_COMM = ('cat', 'head', 'sha256sum', 'wc', 'sh')")
    yield made
    assert not made.end()


def test_200_mb_of_random_bytes_into_stdin_arrive(farm: Farm) -> None:
    data = os.urandom(200_000_000)
    shown = farm.run("sha256sum", input=data)
    assert shown.stdout.split()[0].decode() == hashlib.sha256(data).hexdigest()


def test_end_of_file_reaches_the_job(farm: Farm) -> None:
    assert farm.run("wc", "-c", input=b"").stdout.strip() == b"0"
    assert farm.run("wc", "-c", input=b"x" * 100).stdout.strip() == b"100"


def test_bytes_arrive_as_they_come_not_at_the_end(farm: Farm) -> None:
    with farm.start("cat", stdin=subprocess.PIPE) as client:
        for word in (b"one\n", b"two\n"):
            client.stdin.write(word)
            client.stdin.flush()
            assert client.stdout.readline() == word
        client.stdin.close()
        assert client.wait(10) == 0


def test_a_job_that_stops_reading_ends_cleanly(farm: Farm) -> None:
    read, write = os.pipe()
    with farm.start("head", "-1", stdin=read) as client:
        os.close(read)
        with pytest.raises(BrokenPipeError):
            while True:
                os.write(write, b"line\n" * 100)
        os.close(write)
        assert client.stdout.read() == b"line\n"
        assert client.wait(10) == 0


def test_a_job_that_does_not_read_holds_back_the_writer(farm: Farm) -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    with farm.start("sh", "-c", "echo begun; sleep 60", stdin=read) as client:
        os.close(read)
        assert client.stdout.readline() == b"begun\n"
        taken = 0
        since = time.monotonic()
        while time.monotonic() - since < 0.5:
            try:
                taken += os.write(write, b"x" * 65536)
                since = time.monotonic()
            except BlockingIOError:
                time.sleep(0.01)
        assert taken < 1_000_000
        os.close(write)
        client.terminate()
        client.wait(10)


def test_a_lone_dash_among_the_arguments_forwards_stdin(farm_of) -> None:
    farm = farm_of()
    assert farm.run("cat", "-", input=b"given").stdout == b"given"
    assert farm.run("cat", input=b"given").stdout == b""


def test_stdin_that_the_command_does_not_want_is_left_for_the_next(farm_of) -> None:
    farm = farm_of()
    names = b"".join(b"file%d\n" % number for number in range(5))
    client = " ".join(f"'{part}'" for part in farm.command())
    loop = subprocess.run(
        ["sh", "-c", f"while read f; do {client} sh -c 'cat; echo $0' $f; done"],
        input=names,
        cwd=farm.work,
        env=farm.env,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert loop.stdout == names


def test_stdin_that_the_command_does_not_want_is_empty_at_once(farm_of) -> None:
    farm = farm_of()
    with farm.start("sh", "-c", "cat; echo end", stdin=subprocess.PIPE) as client:
        assert client.stdout.read() == b"end\n"
        assert client.wait(10) == 0
        client.stdin.close()


def test_nothing_is_left_of_stdin_jobs(farm: Farm) -> None:
    wait_until(lambda: not farm.job_processes, "all jobs have ended")
