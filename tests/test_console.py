"""What a worker shows: whole lines in a file, colours and icons at a terminal, and never an argument's own escapes."""

from __future__ import annotations

import io
import os
import pty
import re
import select
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from shadowfarm.console import Console
from shadowfarm.job import NULL, JobSpec, Stream

ROOT = Path(__file__).resolve().parent.parent


def spec(*argv: bytes) -> JobSpec:
    streams = (Stream(NULL, 0), Stream(NULL, 0), Stream(NULL, 0))
    return JobSpec(argv[0], b"", argv, b"/", None, 0o22, False, (), streams, False, None, 1.0)


# Not a terminal.


def test_a_job_is_a_plain_line_where_no_terminal_is() -> None:
    out = io.StringIO()
    console = Console(out, colors=("red",), colors_bg=("blue",), icons=("*",))
    console.job(7, spec(b"cc", b"-c", b"a b.c"), "0", 1.234)
    console.job(8, spec(b"cc"), "signal 9", 0)
    lines = out.getvalue().splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d #7 \[0\] 1\.23 s cc -c 'a b\.c'", lines[0])
    assert re.fullmatch(r"\d\d:\d\d:\d\d #8 \[signal 9\] 0\.00 s cc", lines[1])


def test_what_is_said_of_the_worker_is_a_line_and_details_are_only_on_request() -> None:
    out = io.StringIO()
    Console(out).debug("hidden")
    assert out.getvalue() == ""
    Console(out, debug=True).debug("shown")
    Console(out).say("said")
    assert re.fullmatch(r"\d\d:\d\d:\d\d shown\n\d\d:\d\d:\d\d said\n", out.getvalue())


@pytest.mark.parametrize(
    "arg",
    [b"\x1b[31mred\x1b[0m", b"\x1b]0;title\x07", b"a\nb", b"a\rb", b"a\tb", b"\x7f", b"\x9b31m", b"\xff\xfe"]
    + [text.encode() for text in ("\u009b31m", "\u202edesrever", "\u2028", "\ufeff", "\u200b")],
)
def test_signs_that_control_a_terminal_and_bytes_that_are_no_text_are_shown_escaped(arg: bytes) -> None:
    out = io.StringIO()
    Console(out).job(1, spec(b"cc", arg), "0", 0)
    (line, rest) = out.getvalue().split("\n", 1)
    assert rest == ""
    assert line.isprintable(), line
    assert "\\" in line
    assert line.encode().decode() == line


def test_text_in_any_language_is_shown_as_it_is() -> None:
    out = io.StringIO()
    Console(out).job(1, spec(b"cc", "grüße/日本.c".encode()), "0", 0)
    assert "grüße/日本.c" in out.getvalue()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_line_that_the_outputs_encoding_lacks_signs_for_is_shown_escaped_and_not_lost(encoding: str) -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding=encoding)
    Console(out).job(1, spec(b"cc", "grüße/日本.c".encode()), "0", 0)
    out.flush()
    assert b"#1 [0]" in raw.getvalue()


def test_a_very_long_command_is_cut_to_a_line_that_can_be_read() -> None:
    out = io.StringIO()
    Console(out).job(1, spec(b"cc", b"x" * (128 << 10)), "0", 0)
    Console(out).job(2, spec(b"cc", b"\x01" * (128 << 10)), "0", 0)
    lines = out.getvalue().splitlines()
    assert len(lines) == 2
    assert all(len(line) < 1000 for line in lines)
    assert lines[0].endswith("...")


def test_a_console_that_went_away_does_not_end_the_worker() -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w", buffering=1) as out:
        console = Console(out)
        console.say("x")
        console.job(1, spec(b"cc"), "0", 0)
        # What is still buffered would be an error at the end of the test.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, out.fileno())
        os.close(null)


def test_lines_of_many_threads_are_not_mixed() -> None:
    out = io.StringIO()
    console = Console(out)

    def work(number: int) -> None:
        for _ in range(100):
            console.job(number, spec(b"cc", b"%d" % number * 20), "0", 0)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = out.getvalue().splitlines()
    assert len(lines) == 400
    for line in lines:
        number = re.search(r"#(\d)", line)
        assert number is not None
        assert line.endswith(number[1] * 20)


# A terminal.


def at_a_terminal(code: str) -> str:
    """What the code prints to a real terminal."""
    master, slave = pty.openpty()
    env = {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT)}
    env.pop("NO_COLOR", None)
    head = "from tests.test_console import spec\nfrom shadowfarm.console import Console\n"
    process = subprocess.Popen(
        [sys.executable, "-c", head + code], stdin=subprocess.DEVNULL, stdout=slave, stderr=slave, env=env, cwd=ROOT
    )
    os.close(slave)
    data = b""
    deadline = time.monotonic() + 20
    try:
        while time.monotonic() < deadline:
            readable, _, _ = select.select([master], [], [], 0.2)
            try:
                if readable and not (piece := os.read(master, 4096)):
                    break
            except OSError:
                break
            if readable:
                data += piece
    finally:
        os.close(master)
        process.kill()
        process.wait()
    return data.decode().replace("\r\n", "\n")


def test_each_job_gets_the_next_colour_and_background_at_a_terminal() -> None:
    shown = at_a_terminal(
        "console = Console(colors=('red', 'green'), colors_bg=('blue',))\n"
        "for number in range(3): console.job(number, spec(b'cc'), '0', 0)\n"
    )
    lines = shown.splitlines()
    assert len(lines) == 3
    for line, color in zip(lines, ("31", "32", "31"), strict=True):
        begin = re.match(r"(\x1b\[[0-9;]*m)+", line)
        assert begin is not None, repr(line)
        assert color in re.findall(r"\d+", begin[0])
        assert "44" in re.findall(r"\d+", begin[0])
        assert re.search(r"\x1b\[[0-9;]*m$", line), "the colour is not ended"


def test_a_background_alone_is_shown() -> None:
    shown = at_a_terminal("Console(colors_bg=('blue',)).job(1, spec(b'cc'), '0', 0)\n")
    begin = re.match(r"(\x1b\[[0-9;]*m)+", shown)
    assert begin is not None, repr(shown)
    assert "44" in re.findall(r"\d+", begin[0])


def test_without_colours_a_terminal_gets_plain_lines() -> None:
    assert "\x1b" not in at_a_terminal("Console().job(1, spec(b'cc'), '0', 0)\n")


def test_an_icon_a_job_in_turn_and_a_failure_on_a_line_of_its_own() -> None:
    shown = at_a_terminal(
        "console = Console(icons=('a', 'b'))\n"
        "for number in range(3): console.job(number, spec(b'cc'), '0', 0)\n"
        "console.job(3, spec(b'ld'), '1', 0)\n"
        "console.job(4, spec(b'cc'), '0', 0)\n"
        "console.say('going down')\n"
    )
    lines = shown.splitlines()
    assert lines[0] == "aba"
    assert lines[1].endswith("#3 [1] 0.00 s ld")
    assert len(lines[2]) == 1
    assert lines[3].endswith("going down")


@pytest.mark.parametrize("icon", ["\U0001f7e2", "⚙\ufe0f", "\U0001f468\u200d\U0001f4bb"])
def test_an_icon_of_several_code_points_is_shown_whole(icon: str) -> None:
    assert at_a_terminal(f"Console(icons=({icon!r},)).job(1, spec(b'cc'), '0', 0)\n") == icon


def test_a_terminal_gets_no_escapes_from_an_argument() -> None:
    shown = at_a_terminal("Console().job(1, spec(b'cc', b'\\x1b[2J\\xff\\n'), '0', 0)\n")
    assert "\x1b" not in shown
    assert len(shown.splitlines()) == 1
