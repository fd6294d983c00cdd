"""argv, cwd, environment and umask arrive as they are (point 1 of the contract)."""

from __future__ import annotations

import os
import sys

import pytest

from .conftest import Farm

SHOW_ARGV = [
    sys.executable,
    "-c",
    "import os, sys; sys.stdout.buffer.write(b'\\0'.join(map(os.fsencode, sys.argv[1:])))",
]
SHOW_ENV = [
    sys.executable,
    "-c",
    "import os, sys; [sys.stdout.buffer.write(k + b'=' + v + b'\\0') for k, v in os.environb.items()]",
]


def environment(farm: Farm, **given: str) -> dict[bytes, bytes]:
    shown = farm.run(*SHOW_ENV, env={**farm.env, **given})
    assert shown.returncode == 0
    return dict(item.split(b"=", 1) for item in shown.stdout.split(b"\0")[:-1])


@pytest.mark.parametrize(
    "args",
    [
        pytest.param(["", "", "x", ""], id="empty arguments"),
        pytest.param(["a\nb", "\n", "tab\there", "cr\r"], id="newlines"),
        pytest.param(
            ["'", '"', "\\", "$HOME", "`id`", "*", "a b", "!x", "#", "~", ";", "&&"], id="quotes and what a shell reads"
        ),
        pytest.param([os.fsdecode(b"\xff\xfe\x80"), "grüße", "日本"], id="bytes that are no UTF-8"),
        pytest.param(["x" * (128 * 1024 - 1)], id="one argument of 128 KiB"),
        pytest.param([f"-I/folder/{number}" for number in range(2000)], id="2,000 arguments"),
        pytest.param(["--version", "--help", "-", "--", "@file"], id="what looks like our own options"),
    ],
)
def test_arguments_arrive_byte_for_byte(farm: Farm, args: list[str]) -> None:
    shown = farm.run(*SHOW_ARGV, *args)
    assert shown.stderr == b""
    assert shown.stdout == b"\0".join(map(os.fsencode, args))


def test_argv0_of_a_direct_command_is_as_typed(farm: Farm) -> None:
    assert farm.run("sh", "-c", "tr '\\0' '\\n' </proc/$$/cmdline | head -1").stdout == b"sh\n"


def test_environment_arrives_byte_for_byte_and_nothing_is_added_but_our_own(farm: Farm) -> None:
    given = {"EMPTY": "", "LINES_": "a\nb=c", "BYTES": os.fsdecode(b"\xff\x80"), "LONG": "y" * 100_000}
    seen = environment(farm, **given)
    expected = {os.fsencode(k): os.fsencode(v) for k, v in {**farm.env, **given}.items()}
    ours = {name for name in seen if name.startswith(b"SHADOWFARM_")}
    assert ours - set(expected) == {b"SHADOWFARM_JOB"}
    # Python's own start-up may coerce the locale of the program that shows the environment.
    skipped = ours | {b"LC_CTYPE"}
    assert {k: v for k, v in seen.items() if k not in skipped} == {
        k: v for k, v in expected.items() if k not in skipped
    }


def test_what_is_true_only_on_the_client_stays_there(farm: Farm) -> None:
    only_here = {
        "SSH_AUTH_SOCK": "/s",
        "SSH_TTY": "/t",
        "DISPLAY": ":0",
        "WAYLAND_DISPLAY": "w",
        "XDG_RUNTIME_DIR": "/r",
    }
    seen = environment(farm, **only_here, DBUS_SESSION_BUS_ADDRESS="d", KEPT="1")
    assert not {name for name in seen if name.startswith((b"SSH_", b"DISPLAY", b"WAYLAND", b"XDG_RUN", b"DBUS"))}
    assert seen[b"KEPT"] == b"1"


def test_makes_jobserver_does_not_travel_but_its_other_flags_do(farm: Farm) -> None:
    seen = environment(farm, MAKEFLAGS="ks -j8 --jobserver-auth=3,4 -- CFLAGS=-jolly")
    assert seen[b"MAKEFLAGS"] == b"ks -- CFLAGS=-jolly"


def test_tmpdir_is_dropped_only_where_that_folder_is_missing(farm: Farm) -> None:
    assert b"TMPDIR" not in environment(farm, TMPDIR="/no/such/folder")
    assert environment(farm, TMPDIR="/var/tmp")[b"TMPDIR"] == b"/var/tmp"


def test_a_command_outside_use_env_gets_the_workers_own_environment(farm_of) -> None:
    farm = farm_of(config="USE_ENV = ('gcc',)")
    seen = environment(farm, ONLY_HERE="1")
    assert b"ONLY_HERE" not in seen
    assert seen[b"SHADOWFARM_JOB"]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o027, 0o077])
def test_umask_decides_the_mode_of_new_files(farm: Farm, umask: int) -> None:
    name = f"file-{umask:o}"
    assert farm.run("touch", name, umask=umask).returncode == 0
    assert (farm.work / name).stat().st_mode & 0o777 == 0o666 & ~umask


def test_cwd_is_kept_through_a_symlink_and_pwd_too(farm: Farm) -> None:
    real = farm.work / "real folder"
    real.mkdir()
    link = farm.work / "link"
    link.symlink_to(real)
    shown = farm.run("sh", "-c", "pwd -P; echo $PWD; pwd -L", cwd=link, env={**farm.env, "PWD": str(link)})
    assert shown.stdout.decode().splitlines() == [str(real), str(link), str(link)]


def test_an_argument_list_that_no_system_takes_is_one_clear_line(farm: Farm) -> None:
    # One argument may have 128 KiB on Linux; here the shell on the worker builds a longer one, as doFixes could.
    farm.configure("def doFixes(args):\n    args[1:] = ['x' * 200_000]")
    try:
        shown = farm.run("true")
    finally:
        farm.configure()
    assert shown.returncode == 126
    assert shown.stderr.count(b"\n") == 1 and b"Argument list too long" in shown.stderr
