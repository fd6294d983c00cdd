"""Real jobs of a real spawner process: how they start, what they inherit, how they end, and that all of them do."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shadowfarm import spawn
from shadowfarm.spawn import Command

pytestmark = pytest.mark.skipif(not Path("/proc/self").exists(), reason="reads the process table in /proc")

PYTHON = os.fsencode(sys.executable)
SH = b"/bin/sh"


class Spawned:
    """A job of the spawner, as its worker sees it: the control socket, and all output."""

    def __init__(self, control: socket.socket, output: int) -> None:
        self.control = control
        self._output = output
        control.settimeout(5)

    def next(self) -> tuple[bytes, int]:
        """The next report. Fails after 5 s."""
        data = self.control.recv(spawn.MESSAGE.size)
        assert data, "the spawner closed the job's control socket"
        kind, number = spawn.MESSAGE.unpack(data)
        return kind, number

    def started(self) -> int:
        kind, pid = self.next()
        assert kind == spawn.STARTED, (kind, pid)
        return pid

    def ended(self) -> int:
        """The exit status, or -N for signal N, of a job that has started."""
        kind, status = self.next()
        assert kind == spawn.ENDED, (kind, status)
        return os.waitstatus_to_exitcode(status)

    def order(self, kind: bytes, number: int) -> None:
        self.control.sendall(spawn.MESSAGE.pack(kind, number))

    def line(self) -> bytes:
        """One line of output."""
        data = b""
        while not data.endswith(b"\n"):
            readable, _, _ = select.select([self._output], [], [], 5)
            assert readable, "no output came"
            data += (piece := os.read(self._output, 1))
            assert piece, f"the output ended after {data!r}"
        return data[:-1]

    def rest(self) -> bytes:
        """All output to its end."""
        data = b""
        while True:
            readable, _, _ = select.select([self._output], [], [], 5)
            assert readable, f"the output does not end after {data!r}"
            if not (piece := os.read(self._output, 1 << 16)):
                return data
            data += piece

    def close(self) -> None:
        self.control.close()
        os.close(self._output)


class Spawning:
    """A spawner, and its jobs."""

    def __init__(self, folder: Path, **arguments: Any) -> None:
        self.folder = folder
        self.process, self.source = spawn.start(arguments)
        self.mark = f"{os.getpid()}-{os.urandom(6).hex()}".encode()
        self._jobs: list[Spawned] = []

    def command(self, program: bytes, *arguments: bytes, **fields: Any) -> Command:
        number = b"%d" % len(self._jobs)
        env = {b"PATH": b"/usr/bin:/bin", spawn.MARK: self.mark + b"-" + number, **fields.pop("env", {})}
        command = Command(program, (program, *arguments), env, os.fsencode(self.folder), 0o22, (), (0, 1, 1), -1)
        return replace(command, **fields)

    def run(self, program: bytes, *arguments: bytes, more: tuple[int, ...] = (), **fields: Any) -> Spawned:
        """Pass a job whose stdin is empty and whose two outputs are one pipe; `more` descriptors may be given."""
        command = self.command(program, *arguments, **fields)
        read, write = os.pipe()
        null = os.open(os.devnull, os.O_RDWR)
        try:
            job = Spawned(spawn.pass_job(self.source, command, [null, write, *more]), read)
        finally:
            os.close(null)
            os.close(write)
        self._jobs.append(job)
        return job

    def shell(self, script: str, **fields: Any) -> Spawned:
        return self.run(SH, b"-c", os.fsencode(script), **fields)

    def close(self) -> list[int]:
        """End all; gives what is left of the jobs, killed."""
        self.source.close()
        for job in self._jobs:
            job.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        # The leader of a terminal's session outlives the spawner by the grace of its job.
        deadline = time.monotonic() + 3
        while (left := marked(self.mark)) and time.monotonic() < deadline:
            time.sleep(0.01)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return left


def alive(pid: int) -> bool:
    return state_of(pid) not in ("", "Z", "X")


def state_of(pid: int) -> str:
    """The letter of a process's state; "" when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0].decode()
    except OSError:
        return ""


def marked(mark: bytes) -> list[int]:
    """Living processes that carry the mark of a job."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes() and alive(int(entry.name)):
                found.append(int(entry.name))
    return found


def until(condition: Callable[[], Any], what: str, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.005)


@pytest.fixture
def spawning(tmp_path: Path) -> Iterator[Spawning]:
    with made(tmp_path) as spawning:
        yield spawning


@contextlib.contextmanager
def made(folder: Path, **arguments: Any) -> Iterator[Spawning]:
    spawning = Spawning(folder, **arguments)
    try:
        yield spawning
    finally:
        left = spawning.close()
    assert not left, "processes of jobs outlived the spawner"


def script(path: Path, text: str) -> bytes:
    """An executable file."""
    path.write_text(text)
    path.chmod(0o755)
    return os.fsencode(path)


# How a job ends.


def test_every_exit_status_is_reported_unchanged(spawning: Spawning) -> None:
    for first in range(0, 256, 16):
        jobs = [spawning.shell(f"exit {status}") for status in range(first, first + 16)]
        for status, job in enumerate(jobs, first):
            assert job.started() > 1
            assert job.ended() == status


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGINT", "SIGSEGV", "SIGPIPE", "SIGHUP", "SIGUSR1"])
def test_a_job_that_dies_by_a_signal_is_reported_as_that(spawning: Spawning, name: str) -> None:
    number = getattr(signal, name)
    job = spawning.shell(f"ulimit -c 0; kill -{int(number)} $$; exit 3")
    job.started()
    assert job.ended() == -number


def test_the_reports_of_very_short_jobs_come_in_order(spawning: Spawning) -> None:
    jobs = [spawning.run(b"/bin/true") for _ in range(100)]
    for job in jobs:
        job.started()
        assert job.ended() == 0
        assert job.control.recv(5) == b""


# Why a job does not start.


def test_a_missing_program_is_told_with_its_errno(spawning: Spawning) -> None:
    for program in (b"/nowhere/cc", b"no-such-program-here", b"/bin/sh/cc", b"./cc"):
        assert spawning.run(program).next() == (spawn.NO_EXEC, errno.ENOENT)


def test_a_file_that_may_not_be_executed_is_told_with_its_errno(spawning: Spawning, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("#!/bin/sh\n")
    plain.chmod(0o644)
    for program in (os.fsencode(plain), os.fsencode(tmp_path), b"./plain"):
        assert spawning.run(program).next() == (spawn.NO_EXEC, errno.EACCES)


def test_a_script_whose_interpreter_is_missing_is_there_but_not_executable(spawning: Spawning, tmp_path: Path) -> None:
    program = script(tmp_path / "odd", "#!/no/such/interpreter\n")
    assert spawning.run(program).next() == (spawn.NO_EXEC, errno.EACCES)


def test_arguments_that_are_too_long_are_told_with_their_errno(spawning: Spawning) -> None:
    assert spawning.run(b"/bin/true", b"x" * (4 << 20)).next() == (spawn.NO_EXEC, errno.E2BIG)


@pytest.mark.parametrize(("folder", "number"), [(b"/no/such/folder", errno.ENOENT), (b"/bin/sh", errno.ENOTDIR)])
def test_a_missing_working_folder_is_told_apart_from_a_missing_program(
    spawning: Spawning, folder: bytes, number: int
) -> None:
    assert spawning.run(b"/bin/true", cwd=folder).next() == (spawn.NO_FOLDER, number)
    assert spawning.run(b"/no/such/program", cwd=folder).next() == (spawn.NO_FOLDER, number)


def test_the_spawner_outlives_jobs_that_do_not_start(spawning: Spawning) -> None:
    for _ in range(50):
        assert spawning.run(b"/nowhere/cc").next()[0] == spawn.NO_EXEC
    job = spawning.shell("exit 7")
    job.started()
    assert job.ended() == 7


def test_values_that_no_system_call_takes_are_a_job_that_does_not_start(spawning: Spawning) -> None:
    for fields in ({"umask": 1 << 70}, {"ignored": (1 << 70,)}, {"ignored": (-1, 0, 9, 4096), "umask": 1 << 70}):
        kind, _ = spawning.run(b"/bin/true", **fields).next()
        assert kind == spawn.NO_EXEC


# Which program a job runs.


def test_a_file_without_a_shebang_is_a_shell_script_with_its_arguments(spawning: Spawning, tmp_path: Path) -> None:
    program = script(tmp_path / "plain script", 'echo "$0|$#|$2"\n')
    job = spawning.run(program, b"a", b"b c")
    job.started()
    assert job.rest() == program + b"|2|b c\n"
    assert job.ended() == 0


def test_a_bare_name_is_looked_up_on_the_jobs_own_path(spawning: Spawning, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    script(tmp_path / "bin" / "only-here", "#!/bin/sh\necho found\n")
    job = spawning.run(b"only-here", env={b"PATH": os.fsencode(tmp_path / "bin") + b":/bin"})
    job.started()
    assert job.rest() == b"found\n"
    assert spawning.run(b"only-here").next() == (spawn.NO_EXEC, errno.ENOENT)


@pytest.mark.parametrize("path", [b"bin", b"/nowhere:bin:/bin", b"plain:bin", b"file:bin"])
def test_a_path_is_searched_to_its_end_and_from_the_jobs_folder(
    spawning: Spawning, tmp_path: Path, path: bytes
) -> None:
    for folder in ("bin", "plain"):
        (tmp_path / folder).mkdir()
    (tmp_path / "file").write_text("")
    script(tmp_path / "bin" / "tool", "#!/bin/sh\necho found\n")
    (tmp_path / "plain" / "tool").write_text("not executable")
    job = spawning.run(b"tool", env={b"PATH": path})
    job.started()
    assert job.rest() == b"found\n"


def test_an_empty_item_of_a_path_is_the_jobs_folder(spawning: Spawning, tmp_path: Path) -> None:
    script(tmp_path / "tool", "#!/bin/sh\necho found\n")
    job = spawning.run(b"tool", env={b"PATH": b"/nowhere:"})
    job.started()
    assert job.rest() == b"found\n"


# What a job inherits.


def test_arguments_and_environment_arrive_byte_for_byte(spawning: Spawning) -> None:
    words = (b"", b"a b", b"\n", b"'\"\\", b"\xff\xfe", b"x" * 100_000)
    env = {b"E\xff": b"\xfe=\n", b"EMPTY": b""}
    code = b"import os, sys; w = sys.stdout.buffer.write; w(repr(list(map(os.fsencode, sys.argv[1:]))).encode());"
    code += b"w(b'|'); w(repr((os.environb[b'E\\xff'], os.environb[b'EMPTY'])).encode())"
    job = spawning.run(PYTHON, b"-ISc", code, *words, env=env)
    job.started()
    arguments, _, values = job.rest().partition(b"]|")
    assert arguments + b"]" == repr(list(words)).encode()
    assert values == repr((b"\xfe=\n", b"")).encode()


def test_the_environment_is_the_jobs_and_nothing_is_added(spawning: Spawning) -> None:
    job = spawning.run(b"env", env={b"A": b"1"})
    job.started()
    names = sorted(line.partition(b"=")[0] for line in job.rest().splitlines())
    assert names == [b"A", b"PATH", b"SHADOWFARM_JOB"]


@pytest.mark.parametrize("mask", [0, 0o22, 0o77, 0o777])
def test_the_umask_is_the_jobs(spawning: Spawning, mask: int) -> None:
    job = spawning.shell("umask", umask=mask)
    job.started()
    assert int(job.rest(), 8) == mask


def test_the_working_folder_is_the_jobs(spawning: Spawning, tmp_path: Path) -> None:
    folder = os.path.join(os.fsencode(tmp_path), b"a \xff\n folder")
    os.mkdir(folder)
    job = spawning.run(b"/bin/pwd", b"-P", cwd=folder)
    job.started()
    assert job.rest() == os.path.realpath(folder) + b"\n"


def signals_of(job: Spawned, field: bytes) -> set[int]:
    """The signals of a field of /proc/self/status, which the job prints."""
    (line,) = (line for line in job.rest().splitlines() if line.startswith(field))
    mask = int(line.split()[1], 16)
    return {number for number in range(1, 65) if mask >> (number - 1) & 1}


def test_no_signal_arrives_ignored_or_blocked_unless_the_client_had_it_so(spawning: Spawning) -> None:
    for field in (b"SigIgn:", b"SigBlk:"):
        job = spawning.run(b"cat", b"/proc/self/status")
        job.started()
        assert signals_of(job, field) == set()


def test_signals_that_the_client_ignores_arrive_ignored(spawning: Spawning) -> None:
    ignored = {signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1, signal.SIGTSTP}
    job = spawning.run(b"cat", b"/proc/self/status", ignored=tuple(map(int, ignored)))
    job.started()
    assert signals_of(job, b"SigIgn:") == ignored


def test_signals_ignored_by_whoever_started_the_worker_are_not_ignored_by_jobs(tmp_path: Path) -> None:
    def background() -> None:  # as `worker.py &` in a script, under nohup
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGTSTP):
            signal.signal(number, signal.SIG_IGN)

    with made(tmp_path, preexec_fn=background) as spawning:
        job = spawning.run(b"cat", b"/proc/self/status")
        job.started()
        assert signals_of(job, b"SigIgn:") == set()


def test_signals_blocked_by_whoever_started_the_worker_reach_jobs(tmp_path: Path) -> None:
    def blocked() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR1})

    with made(tmp_path, preexec_fn=blocked) as spawning:
        job = spawning.run(b"cat", b"/proc/self/status")
        job.started()
        assert signals_of(job, b"SigBlk:") == set()


def test_a_writer_whose_reader_went_away_dies_of_sigpipe(spawning: Spawning) -> None:
    job = spawning.shell("yes | head -n 1; exec yes")
    job.started()
    assert job.line() == b"y"
    os.close(job._output)
    job._output = os.open(os.devnull, os.O_RDONLY)
    assert job.ended() == -signal.SIGPIPE


@pytest.mark.parametrize("streams", [(-1, 1, 1), (-1, 1, -1), (0, 1, -1), (0, 1, 1)])
def test_a_closed_stream_is_closed_and_no_descriptor_of_the_spawner_leaks(
    spawning: Spawning, streams: tuple[int, int, int]
) -> None:
    # Others, whose sockets and pipes are open in the spawner meanwhile.
    others = [spawning.shell("echo; exec sleep 60") for _ in range(3)]
    for other in others:
        other.line()
    job = spawning.run(b"ls", b"/proc/self/fd", streams=streams)
    job.started()
    names = set(job.rest().split())
    assert job.ended() == 0
    # ls itself opens the folder, at the lowest number that is free.
    expected = {b"%d" % fd for fd, index in enumerate(streams) if index >= 0}
    lowest = min(fd for fd in range(4) if b"%d" % fd not in expected)
    assert names - {b"%d" % lowest} == expected


def test_all_streams_closed_is_all_closed(spawning: Spawning, tmp_path: Path) -> None:
    code = """
import os
found = []
for fd in range(64):
    try:
        os.fstat(fd)
    except OSError:
        continue
    found.append(fd)
with open("seen", "w") as file:
    file.write(repr(found))
"""
    job = spawning.run(PYTHON, b"-ISc", code.encode(), streams=(-1, -1, -1))
    job.started()
    assert job.ended() == 0
    assert (tmp_path / "seen").read_text() == "[]"


def test_streams_that_are_one_are_one_at_the_job(spawning: Spawning) -> None:
    job = spawning.shell("for i in 1 2 3 4 5; do echo out$i; echo err$i >&2; done")
    job.started()
    assert job.rest().split() == [word for i in b"12345" for word in (b"out%c" % i, b"err%c" % i)]


def test_a_worker_without_stderr_still_gives_its_jobs_all_streams(tmp_path: Path) -> None:
    with made(tmp_path, preexec_fn=lambda: os.close(2)) as spawning:
        job = spawning.run(PYTHON, b"-ISc", b"import os; os.write(1, b'out '); os.write(2, b'err'); os.read(0, 1)")
        job.started()
        assert job.rest() == b"out err"
        assert job.ended() == 0


def test_the_output_ends_with_the_last_process_that_has_it(spawning: Spawning) -> None:
    job = spawning.shell("exec >&- 2>&-; exec sleep 60")
    job.started()
    assert job.rest() == b"", "the spawner keeps the job's output open"


# Signals, stops, and ends that are ordered.


def test_a_job_leads_a_process_group_of_its_own(spawning: Spawning) -> None:
    job = spawning.shell("echo; exec sleep 60")
    pid = job.started()
    job.line()
    assert os.getpgid(pid) == pid


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR2])
def test_a_signal_reaches_the_whole_group(spawning: Spawning, number: int) -> None:
    job = spawning.shell("ulimit -c 0; sleep 60 & echo $!; wait")
    job.started()
    child = int(job.line())
    # A shell lets its background child ignore INT and QUIT.
    job.order(spawn.SIGNAL, number)
    assert job.ended() == -number
    if number not in (signal.SIGINT, signal.SIGQUIT):
        until(lambda: not alive(child), "the child has the signal, too")
    else:
        os.kill(child, signal.SIGKILL)


def test_a_signal_that_comes_before_the_program_is_not_lost(spawning: Spawning) -> None:
    for _ in range(30):
        job = spawning.run(b"/bin/sleep", b"60")
        job.order(spawn.SIGNAL, signal.SIGTERM)
        job.started()
        assert job.ended() == -signal.SIGTERM


def test_stop_and_continue_are_reported(spawning: Spawning) -> None:
    job = spawning.shell("echo; read x; exit 5", streams=(2, 1, 1), more=((pipe := os.pipe())[0],))
    os.close(pipe[0])
    pid = job.started()
    job.line()
    for number in (signal.SIGTSTP, signal.SIGSTOP):
        job.order(spawn.SIGNAL, number)
        assert job.next() == (spawn.STOPPED, number)
        assert state_of(pid) == "T"
        job.order(spawn.SIGNAL, signal.SIGCONT)
        assert job.next() == (spawn.CONTINUED, 0)
    os.close(pipe[1])
    assert job.ended() == 5


SETSID = "setsid sleep 60"
DOUBLE_FORK = "(setsid sh -c '(sleep 60 &) ; exit 0' &)"
STUBBORN = "setsid sh -c 'trap \"\" TERM INT HUP; sleep 60; sleep 60'"


def tree(spawning: Spawning, *grandchildren: str) -> tuple[Spawned, set[int]]:
    """A job with the given background processes; gives all process ids."""
    lines = " ".join(f"{item} >/dev/null 2>&1 &" for item in grandchildren)
    job = spawning.shell(f"{lines} echo; while :; do sleep 60; done")
    pid = job.started()
    job.line()
    mark = spawning.mark + b"-%d" % (len(spawning._jobs) - 1)
    # The grandchildren's own sleeps, and the job's.
    until(lambda: sum(b"sleep" in cmdline(item) for item in marked(mark)) > len(grandchildren), "all have started")
    return job, {pid, *marked(mark)}


def cmdline(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_bytes()
    return b""


@pytest.mark.parametrize("kind", [SETSID, DOUBLE_FORK, STUBBORN], ids=["setsid", "double fork", "stubborn"])
def test_a_client_that_hangs_up_leaves_nothing_of_its_job_running(spawning: Spawning, kind: str) -> None:
    other = spawning.shell("echo; exec sleep 60")
    other_pid = other.started()
    job, pids = tree(spawning, kind)
    job.control.shutdown(socket.SHUT_RDWR)
    until(lambda: not any(map(alive, pids)), "the whole tree has ended", 3)
    assert alive(other_pid), "the job of another was ended, too"


@pytest.mark.parametrize("grace_ms", [0, 100])
def test_the_end_of_a_killed_job_is_told_when_its_whole_tree_has_ended(spawning: Spawning, grace_ms: int) -> None:
    job, pids = tree(spawning, SETSID, DOUBLE_FORK, STUBBORN)
    began = time.monotonic()
    job.order(spawn.KILL, grace_ms)
    assert job.ended() in (-signal.SIGKILL, -signal.SIGTERM)
    assert not any(map(alive, pids))
    assert time.monotonic() - began < 2


def test_a_killed_job_gets_the_time_to_clean_up(spawning: Spawning) -> None:
    job = spawning.shell("trap 'echo cleaned; exit 9' TERM; echo; while :; do :; done")
    job.started()
    job.line()
    job.order(spawn.KILL, 5000)
    assert job.line() == b"cleaned"
    assert job.ended() == 9


def test_a_stopped_job_can_be_killed(spawning: Spawning) -> None:
    job = spawning.shell("echo; exec sleep 60")
    job.started()
    job.line()
    job.order(spawn.SIGNAL, signal.SIGSTOP)
    assert job.next() == (spawn.STOPPED, signal.SIGSTOP)
    job.order(spawn.KILL, 5000)
    kinds = [job.next() for _ in range(1)]
    if kinds[-1][0] == spawn.CONTINUED:
        kinds.append(job.next())
    assert kinds[-1][0] == spawn.ENDED
    assert os.waitstatus_to_exitcode(kinds[-1][1]) == -signal.SIGTERM


def test_a_job_that_ends_by_itself_leaves_its_background_processes_alone(spawning: Spawning) -> None:
    job = spawning.shell("setsid sleep 60 >/dev/null 2>&1 & echo $!; exit 0")
    job.started()
    pid = int(job.line())
    assert job.ended() == 0
    assert job.control.recv(5) == b""
    assert alive(pid)
    os.kill(pid, signal.SIGKILL)


def test_what_a_job_starts_at_the_moment_of_its_end_does_not_escape(spawning: Spawning) -> None:
    for number in range(16):
        job = spawning.shell(f"{DOUBLE_FORK} >/dev/null 2>&1; echo; sleep 60; sleep 60")
        job.started()
        job.line()
        if number % 2:
            job.order(spawn.KILL, 0)
        job.control.shutdown(socket.SHUT_RDWR)
    until(lambda: not marked(spawning.mark), "all trees have ended", 3)


def test_a_worker_that_is_gone_takes_all_jobs_and_the_spawner_with_it(spawning: Spawning) -> None:
    trees = [tree(spawning, SETSID, DOUBLE_FORK), tree(spawning, STUBBORN)]
    pids = set().union(*(found for _, found in trees))
    spawning.source.close()
    for job, _ in trees:
        job.control.close()
    assert spawning.process.wait(5) == 0
    assert not any(map(alive, pids))


def test_a_worker_that_dies_between_the_passing_and_the_command_harms_nobody(spawning: Spawning) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        socket.send_fds(spawning.source, [b"J"], [theirs.fileno()])
        ours.sendall(b"\0\0")
    job = spawning.shell("exit 4")
    job.started()
    assert job.ended() == 4


def test_the_spawner_keeps_no_descriptors_and_no_zombies_of_jobs_that_ended(spawning: Spawning) -> None:
    def descriptors() -> int:
        return len(os.listdir(f"/proc/{spawning.process.pid}/fd"))

    def children() -> list[int]:
        listing = Path(f"/proc/{spawning.process.pid}/task/{spawning.process.pid}/children").read_text()
        return [int(item) for item in listing.split()]

    spawning.run(b"/bin/true").started()
    before = descriptors()
    for number in range(40):
        job = spawning.run(b"/bin/true") if number % 2 else spawning.run(b"/nowhere")
        while job.control.recv(5):
            pass
    until(lambda: descriptors() <= before, "the descriptors of the jobs are closed")
    until(lambda: not children(), "the jobs are reaped")


def test_an_idle_spawner_costs_no_time(spawning: Spawning) -> None:
    job = spawning.shell("echo; exec sleep 60")
    job.started()
    job.line()

    def ticks() -> int:
        fields = Path(f"/proc/{spawning.process.pid}/stat").read_bytes().rpartition(b")")[2].split()
        return int(fields[11]) + int(fields[12])

    def switches() -> int:
        status = Path(f"/proc/{spawning.process.pid}/status").read_text()
        return sum(int(line.split()[1]) for line in status.splitlines() if "ctxt_switches" in line)

    until(lambda: state_of(spawning.process.pid) == "S", "the spawner sleeps")
    before = ticks(), switches()
    threading.Event().wait(0.3)
    assert ticks() == before[0]
    assert switches() - before[1] <= 2, "the spawner polls"


# A job with a terminal.


@contextlib.contextmanager
def terminal() -> Iterator[tuple[int, int]]:
    master, slave = os.openpty()
    try:
        yield master, slave
    finally:
        os.close(master)
        with contextlib.suppress(OSError):
            os.close(slave)


def test_a_job_with_a_terminal_is_its_foreground_and_can_be_stopped_by_its_key(spawning: Spawning) -> None:
    with terminal() as (master, slave):
        job = spawning.shell(
            "tty <&0 >/dev/null && echo terminal; echo $$; exec sleep 60", more=(slave,), streams=(2, 1, 1), terminal=2
        )
        pid = job.started()
        assert job.line() == b"terminal"
        assert int(job.line()) == pid
        assert os.tcgetpgrp(master) == pid
        os.write(master, b"\x1a")
        assert job.next() == (spawn.STOPPED, signal.SIGTSTP)
        job.order(spawn.SIGNAL, signal.SIGCONT)
        assert job.next() == (spawn.CONTINUED, 0)
        os.write(master, b"\x03")
        assert job.ended() == -signal.SIGINT


def test_the_streams_of_a_job_with_a_terminal_are_kept_open_by_nobody_else(spawning: Spawning) -> None:
    with terminal() as (_, slave):
        job = spawning.shell("exec >&- 2>&-; exec sleep 60", more=(slave,), streams=(2, 1, 1), terminal=2)
        job.started()
        assert job.rest() == b"", "the leader of the session keeps the job's output open"


def test_a_job_with_a_terminal_gets_no_descriptor_of_the_spawner(spawning: Spawning) -> None:
    other = spawning.shell("echo; exec sleep 60")
    other.line()
    with terminal() as (_, slave):
        job = spawning.run(b"ls", b"/proc/self/fd", more=(slave,), streams=(2, 1, 1), terminal=2)
        job.started()
        assert set(job.rest().split()) == {b"0", b"1", b"2", b"3"}
        assert job.ended() == 0


def test_a_job_with_a_terminal_ends_when_its_client_hangs_up(spawning: Spawning) -> None:
    with terminal() as (_, slave):
        job = spawning.shell(
            f"{DOUBLE_FORK} >/dev/null 2>&1; echo; sleep 60; sleep 60", more=(slave,), streams=(2, 1, 1), terminal=2
        )
        job.started()
        job.line()
        job.control.shutdown(socket.SHUT_RDWR)
        until(lambda: not marked(spawning.mark), "the whole tree has ended", 3)


def test_a_job_with_a_terminal_ends_when_the_worker_does(spawning: Spawning) -> None:
    with terminal() as (_, slave):
        job = spawning.shell("echo; sleep 60; sleep 60", more=(slave,), streams=(2, 1, 1), terminal=2)
        job.started()
        job.line()
        spawning.source.close()
        job.control.close()
        until(lambda: not marked(spawning.mark), "the whole tree has ended", 3)


def test_passing_a_job_to_a_spawner_that_is_gone_is_an_error_and_leaks_nothing(tmp_path: Path) -> None:
    with made(tmp_path) as spawning:
        spawning.process.kill()
        spawning.process.wait()
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(OSError):
            for _ in range(3):
                spawning.run(b"/bin/true")
        # The pipe that `run` made is not the product's.
        assert len(os.listdir("/proc/self/fd")) <= before + 1
