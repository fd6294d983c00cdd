"""The client ends as the job ended (point 3 of the contract)."""

from __future__ import annotations

import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from .conftest import Farm


def test_all_256_exit_statuses_are_unchanged(farm: Farm) -> None:
    def status(number: int) -> tuple[int, bytes]:
        ended = farm.run("sh", "-c", f"exit {number}")
        return ended.returncode, ended.stderr

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(status, range(256))) == [(number, b"") for number in range(256)]


@pytest.mark.parametrize(
    "name", ["HUP", "INT", "QUIT", "ILL", "ABRT", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM", "XCPU"]
)
def test_a_job_killed_by_a_signal_makes_the_client_die_of_the_same(farm: Farm, name: str) -> None:
    ended = farm.run("sh", "-c", f"kill -{name} $$")
    assert ended.returncode == -getattr(signal, f"SIG{name}")
    assert ended.stderr == b""


def test_a_shell_sees_128_and_the_signals_number(farm: Farm) -> None:
    shell = subprocess.run(
        ["bash", "-c", '"$@"; echo $?', "bash", *map(str, farm.command("sh", "-c", "kill -TERM $$"))],
        cwd=farm.work,
        env=farm.env,
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert shell.stdout == b"143\n"


def test_no_core_of_the_clients_own_is_dumped(farm: Farm) -> None:
    shell = 'ulimit -c unlimited; "$@"; ls -a'
    ended = subprocess.run(
        ["bash", "-c", shell, "bash", *map(str, farm.command("sh", "-c", "ulimit -c 0; kill -SEGV $$"))],
        cwd=farm.work,
        env=farm.env,
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert b"core" not in ended.stdout.replace(b"(core", b"")
    assert b"core dumped" not in ended.stderr


def test_127_and_one_line_for_a_program_that_is_nowhere(farm: Farm) -> None:
    ended = farm.run("no-such-program-here")
    assert ended.returncode == 127
    assert ended.stderr.count(b"\n") == 1 and b"no-such-program-here was not found" in ended.stderr


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_126_and_one_line_for_what_cannot_be_executed(farm: Farm, kind: str) -> None:
    path = farm.work / f"a {kind}"
    if kind == "folder":
        path.mkdir()
    else:
        path.write_text("x")
    ended = farm.run(str(path))
    assert ended.returncode == 126
    assert ended.stderr.count(b"\n") == 1 and os.fsencode(path) in ended.stderr


def test_126_for_a_script_whose_interpreter_is_missing(farm: Farm) -> None:
    path = farm.work / "script"
    path.write_text("#!/no/such/interpreter\n")
    path.chmod(0o755)
    assert farm.run(str(path)).returncode == 126


def test_a_script_without_a_shebang_runs_as_a_shell_runs_it(farm: Farm) -> None:
    path = farm.work / "plain"
    path.write_text('echo "plain $1"\n')
    path.chmod(0o755)
    assert farm.run("./plain", "x").stdout == b"plain x\n"


def test_a_job_over_the_workers_timeout_is_ended_and_told_apart(farm_of) -> None:
    farm = farm_of(timeout=0.5)
    ended = farm.run("sh", "-c", "trap '' TERM; echo begun; sleep 60 & wait; sleep 60")
    assert ended.returncode == 104
    assert ended.stdout == b"begun\n"
    assert ended.stderr.count(b"\n") == 1 and b"longer than 0.5 s" in ended.stderr
    assert not farm.job_processes
    assert farm.run("true").returncode == 0
