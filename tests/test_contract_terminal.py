"""Each stream that is a terminal at the client is one for the job (point 6 of the contract)."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Farm, wait_until

# Makes its stdin the controlling terminal of a session of its own, as a terminal window does for a shell.
AT_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(int(sys.argv[1]), termios.TIOCSCTTY, 0)
os.tcsetpgrp(int(sys.argv[1]), os.getpgrp())
os.execvp(sys.argv[2], sys.argv[2:])
"""


class Screen:
    """A terminal with a process at it."""

    def __init__(self, master: int, process: subprocess.Popen[bytes]) -> None:
        self.master = master
        self.process = process
        self.shown = b""

    def until(self, text: bytes, seconds: float = 15) -> bytes:
        """Read until `text` is shown, and give all up to it."""
        deadline = time.monotonic() + seconds
        while text not in self.shown:
            ready, _, _ = select.select([self.master], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                pytest.fail(f"{text!r} is not shown, but {self.shown!r}")
            try:
                self.shown += os.read(self.master, 65536)
            except OSError:
                pytest.fail(f"hung up without {text!r}: {self.shown!r}")
        before, _, self.shown = self.shown.partition(text)
        return before + text

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def rest(self) -> bytes:
        with contextlib.suppress(OSError):
            while data := os.read(self.master, 65536):
                self.shown += data
        return self.shown

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    @property
    def settings(self) -> list[object]:
        return termios.tcgetattr(self.master)


@contextlib.contextmanager
def screen(farm: Farm, *command: object, **streams: object) -> Iterator[Screen]:
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
    given = {"stdin": slave, "stdout": slave, "stderr": slave, **streams}
    process = subprocess.Popen(
        [sys.executable, "-c", AT_TERMINAL, str(slave), *map(str, command)],
        cwd=farm.work,
        env={**farm.env, "TERM": "xterm"},
        pass_fds=[slave],
        **given,
    )
    os.close(slave)
    try:
        yield Screen(master, process)
        process.wait(10)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(master)


ISATTY = "import os; open('seen', 'w').write(' '.join(str(int(os.isatty(fd))) for fd in range(3)))"


@pytest.mark.parametrize("piped", [(), ("stdout",), ("stderr",), ("stdin",), ("stdin", "stdout", "stderr")])
def test_a_terminal_is_a_terminal_and_a_pipe_a_pipe(farm: Farm, piped: tuple[str, ...]) -> None:
    with screen(farm, *farm.command(sys.executable, "-c", ISATTY), **dict.fromkeys(piped, subprocess.DEVNULL)):
        pass
    expected = " ".join("0" if name in piped else "1" for name in ("stdin", "stdout", "stderr"))
    assert (farm.work / "seen").read_text() == expected


def test_output_reaches_a_terminal_byte_for_byte_with_one_carriage_return_a_line(farm: Farm) -> None:
    with screen(farm, *farm.command("printf", "one\\ntwo\\n"), stdin=subprocess.DEVNULL) as shown:
        shown.process.wait(15)
        assert shown.rest() == b"one\r\ntwo\r\n"


def test_output_of_a_typed_command_has_one_carriage_return_a_line_too(farm: Farm) -> None:
    with screen(farm, *farm.command("printf", "one\\ntwo\\n")) as shown:
        shown.process.wait(15)
        assert shown.rest() == b"one\r\ntwo\r\n"


@pytest.mark.skipif(not shutil.which("gcc"), reason="gcc is missing")
def test_a_compiler_keeps_its_colours(farm: Farm) -> None:
    (farm.work / "bad.c").write_text("int main(void) { return x; }\n")
    with screen(farm, *farm.command("gcc", "-c", "bad.c")) as shown:
        shown.process.wait(15)
        assert b"\x1b[" in shown.rest()
    assert b"\x1b[" not in farm.run("gcc", "-c", "bad.c").stderr


def test_the_window_size_is_the_jobs_and_so_are_its_changes(farm: Farm) -> None:
    code = """
import os, time
size = None
while size != (132, 44):
    if size != os.get_terminal_size(1):
        size = os.get_terminal_size(1)
        print('size', size.lines, size.columns, flush=True)
    time.sleep(0.02)
"""
    with screen(farm, *farm.command(sys.executable, "-c", code)) as shown:
        shown.until(b"size 33 101")
        shown.resize(44, 132)
        shown.until(b"size 44 132")
        assert shown.process.wait(10) == 0


def test_the_python_prompt_behaves_as_it_does_here(farm: Farm) -> None:
    assert at_the_python_prompt(farm, farm.command(sys.executable, "-q")) == at_the_python_prompt(
        farm, [sys.executable, "-q"]
    )


def at_the_python_prompt(farm: Farm, command: list[object]) -> tuple[bytes, int]:
    with screen(farm, *command) as shown:
        shown.until(b">>> ")
        shown.type(b"6 * 7\r")
        shown.until(b"42")
        shown.until(b">>> ")
        shown.type(b"while True: pass\r\r")
        shown.until(b"... ")
        wait_until(lambda: cpu_bound(shown.process.pid) or any(map(cpu_bound, farm.job_processes)), "the loop runs")
        shown.type(b"\x03")
        traceback = shown.until(b"KeyboardInterrupt")
        shown.until(b">>> ")
        shown.type(b"\x04")
        return traceback[-40:], shown.process.wait(10)


def cpu_bound(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "R"
    return False


@pytest.mark.skipif(not shutil.which("vi"), reason="vi is missing")
def test_vi_can_be_used_and_leaves_the_terminal_as_it_was(farm: Farm) -> None:
    with screen(farm, *farm.command("vi", "note.txt")) as shown:
        before = shown.settings
        shown.until(b"note.txt")
        shown.type(b"ihello there\x1b")
        shown.until(b"hello there")
        assert shown.settings != before, "the client's terminal passes on each key"
        shown.type(b":wq\r")
        assert shown.process.wait(10) == 0
        assert shown.settings == before
    assert (farm.work / "note.txt").read_text() == "hello there\n"


@pytest.mark.skipif(not shutil.which("top"), reason="top is missing")
def test_top_runs_and_ends_by_a_key(farm: Farm) -> None:
    with screen(farm, *farm.command("top", "-d", "0.5")) as shown:
        shown.until(b"load average")
        shown.type(b"q")
        assert shown.process.wait(10) == 0


def test_ctrl_c_ends_a_typed_command(farm: Farm) -> None:
    with screen(farm, *farm.command("sh", "-c", "echo begun; sleep 60")) as shown:
        shown.until(b"begun")
        shown.type(b"\x03")
        assert shown.process.wait(10) == -signal.SIGINT


def test_ctrl_z_stops_a_typed_command_and_its_client_and_it_goes_on(farm: Farm) -> None:
    with screen(farm, *farm.command("sh", "-c", "echo begun; read line; echo got $line")) as shown:
        before = shown.settings
        shown.until(b"begun")
        shown.type(b"\x1a")
        wait_until(lambda: stopped(shown.process.pid), "the client stops")
        assert shown.settings == before, "the shell gets its terminal back as it was"
        shown.process.send_signal(signal.SIGCONT)
        shown.type(b"more\n")
        shown.until(b"got more")
        assert shown.process.wait(10) == 0


def stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def test_a_terminal_is_restored_when_the_job_is_killed_or_lost(farm_of) -> None:
    farm = farm_of()
    with screen(farm, *farm.command("sh", "-c", "stty raw -echo; echo begun; sleep 60")) as shown:
        before = shown.settings
        shown.until(b"begun")
        farm.workers[0].process.kill()
        assert shown.process.wait(10) == 103
        assert shown.settings == before


def test_keys_are_not_taken_by_a_command_of_a_build(farm: Farm) -> None:
    script = 'for n in 1 2; do "$@"; done; read line; echo "script got $line"'
    command = farm.command("sh", "-c", "read line; echo job got $line")
    with screen(farm, "sh", "-c", script, "sh", *command) as shown:
        shown.type(b"for the script\n")
        assert b"job got for" not in shown.until(b"script got for the script")
        assert shown.process.wait(10) == 0


def test_typed_input_reaches_a_job_whose_output_is_piped(farm: Farm) -> None:
    out = farm.work / "sorted"
    with out.open("wb") as file, screen(farm, *farm.command("sort"), stdout=file, stderr=file) as shown:
        wait_until(lambda: farm.job_processes, "sort runs")
        shown.type(b"b\na\n\x04")
        assert shown.process.wait(10) == 0
    assert out.read_bytes() == b"a\nb\n"
