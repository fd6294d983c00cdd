"""Where a command goes, and with what: the config's lists and hooks, and the folders that every machine has."""

from __future__ import annotations

import os
from typing import Any

import pytest

from shadowfarm.config import Config
from shadowfarm.routing import SYSTEM_FOLDERS, Route, outside, route

WORKERS = ("a:1", "b:2", "c:3")


def routed(args: list[str], cwd: str = "/work", **fields: Any) -> Route:
    return route(Config(workers=WORKERS, **fields), args, cwd)


def test_without_any_rules_all_go_to_all_workers() -> None:
    assert routed(["cc", "-c", "x.c"]) == Route("", WORKERS)


@pytest.mark.parametrize(
    ("entry", "program", "local"),
    [
        ("ld", "/usr/bin/ld", True),
        ("/ld", "/usr/bin/ld", True),
        ("/ld", "/usr/bin/clld", False),
        ("/ld", "ld", True),
        ("ld", "/usr/bin/ld_", True),
        ("ld", "/usr/bin/ldd", False),
        ("*", "anything", True),
    ],
)
def test_run_directly_names_programs_by_the_end_of_their_path(entry: str, program: str, local: bool) -> None:
    assert bool(routed([program], run_directly=(entry,)).local) is local


def test_a_hook_that_says_direct_is_asked_with_the_whole_command() -> None:
    asked: list[list[str]] = []

    def hook(args: list[str]) -> bool:
        asked.append(args)
        return "-x" in args

    assert "shouldRunDirect" in routed(["cc", "-x"], should_run_direct=hook).local
    assert routed(["cc"], should_run_direct=hook).local == ""
    assert asked == [["cc", "-x"], ["cc"]]


@pytest.mark.parametrize(
    ("indices", "workers"), [(None, WORKERS), ((2, 0), ("c:3", "a:1")), ((1,), ("b:2",)), ((1, 1), ("b:2", "b:2"))]
)
def test_only_workers_that_the_hook_allows_are_asked_in_its_order(
    indices: tuple[int, ...] | None, workers: tuple[str, ...]
) -> None:
    assert routed(["cc"], clients_to_use=lambda args: indices).workers == workers


def test_no_allowed_worker_is_a_command_that_runs_here() -> None:
    assert routed(["cc"], clients_to_use=lambda args: ()).local
    assert route(Config(workers=()), ["cc"], "/").local


@pytest.mark.parametrize(
    ("field", "names", "hook"),
    [
        ("shell", "use_shell", "should_use_shell"),
        ("env", "use_env", "should_use_env"),
        ("stdin", "use_comm", "should_use_comm"),
    ],
)
def test_a_list_or_a_hook_is_enough_to_say_what_a_command_gets(field: str, names: str, hook: str) -> None:
    def of(entries: tuple[str, ...], answer: bool) -> bool:
        return bool(getattr(routed(["/bin/cc"], **{names: entries, hook: lambda args: answer}), field))

    assert of(("cc",), False)
    assert of((), True)
    assert not of((), False)
    assert not of(("ld",), False)


def test_a_lone_dash_asks_for_the_users_input() -> None:
    assert routed(["cc", "-xc", "-"]).stdin
    assert not routed(["cc", "-xc", "--"]).stdin


# SHARED.

SHARED = ("/work", "/home/me/src")


def stray(*args: str, cwd: str = "/work/project", shared: tuple[str, ...] = SHARED) -> str:
    return outside(args, cwd, shared)


@pytest.mark.parametrize("cwd", ["/work", "/work/project", "/home/me/src/x"])
def test_a_command_within_the_shared_folders_goes_out(cwd: str) -> None:
    assert stray("cc", "-c", "x.c", cwd=cwd) == ""


@pytest.mark.parametrize("cwd", ["/", "/tmp", "/home/me", "/workshop", "/home/me/src2", "/usr/lib", "/etc"])
def test_a_working_folder_that_is_not_shared_keeps_the_command_here(cwd: str) -> None:
    assert stray("cc", cwd=cwd) == cwd


def test_without_shared_folders_all_is_taken_to_be_shared() -> None:
    assert stray("/tmp/cc", "/tmp/x", cwd="/tmp", shared=()) == ""


@pytest.mark.parametrize("program", ["cc", "/usr/bin/cc", "/work/bin/cc_", "/bin/sh", "./configure", "tools/gen"])
def test_a_program_of_the_system_or_the_shared_folders_goes_out(program: str) -> None:
    assert stray(program) == ""


@pytest.mark.parametrize("program", ["/home/me/bin/cc", "/root/cc", "/usrlocal/cc", "../../tmp/cc"])
def test_a_program_of_this_machine_only_stays_here(program: str) -> None:
    assert stray(program) == os.path.normpath(os.path.join("/work/project", program))


@pytest.mark.parametrize("folder", SYSTEM_FOLDERS)
def test_the_systems_folders_are_on_every_machine(folder: str) -> None:
    assert stray("cc", f"{folder}/x", f"-I{folder}", folder) == ""


@pytest.mark.parametrize(
    ("arg", "path"),
    [
        ("/tmp/x.c", "/tmp/x.c"),
        ("-I/tmp/include", "/tmp/include"),
        ("-isystem/tmp/include", "/tmp/include"),
        ("--sysroot=/tmp/root", "/tmp/root"),
        ("-Wl,-rpath,/tmp/lib", "/tmp/lib"),
        ("-Wl,--version-script=/tmp/v", "/tmp/v"),
        ("@/tmp/arguments", "/tmp/arguments"),
        ("DESTDIR=/tmp/out", "/tmp/out"),
        ("-o/tmp/x.o", "/tmp/x.o"),
        ("/work/../tmp/x", "/tmp/x"),
        ("../../tmp/x", "/tmp/x"),
        ("-I../../tmp", "/tmp"),
        ("a/../../../tmp/x", "/tmp/x"),
        ("@../../tmp/x", "/tmp/x"),
        ("/workshop/x", "/workshop/x"),
        ("/", "/"),
    ],
)
def test_a_path_argument_that_is_not_shared_keeps_the_command_here(arg: str, path: str) -> None:
    assert stray("cc", "-c", arg) == path


@pytest.mark.parametrize(
    ("arg", "cwd"),
    [("..", "/work"), ("-I..", "/work"), ("../..", "/work/project"), ("../x", "/work")],
)
def test_a_way_up_out_of_the_shared_folders_keeps_the_command_here(arg: str, cwd: str) -> None:
    assert stray("cc", arg, cwd=cwd) != ""


@pytest.mark.parametrize("arg", ["/work/a:/tmp/b", "-Wl,-rpath,/work/a:/tmp/b", "--paths=/work/a,/tmp/b"])
def test_every_path_of_a_list_is_looked_at(arg: str) -> None:
    assert stray("cc", arg) != ""


@pytest.mark.parametrize(
    "arg",
    [
        "x.c",
        "sub/x.c",
        "./x.c",
        "../other/x.c",
        "-Iinclude/sub",
        "-I./include",
        "-I../include",
        "-Isub/../include",
        "-isysteminclude/sub",
        "-Lbuild/lib",
        "-obuild/x.o",
        "@build/x.rsp",
        "@./x.rsp",
        "@../project/x.rsp",
        "-DDIR=sub/x",
        '-DDIR="sub/x"',
        "-Wl,-rpath,sub/lib",
        "--output=build/x",
        "-MFdeps/x.d",
        "-fdebug-prefix-map=/work/project=.",
        "-I/work/include",
        "--sysroot=/usr",
        "/dev/null",
        "-",
        "--",
        "",
        "a b",
        "1/2",
        "text/plain",
    ],
)
def test_an_argument_within_the_shared_folders_or_no_path_at_all_goes_out(arg: str) -> None:
    assert stray("cc", "-c", arg) == ""


@pytest.mark.parametrize("shared", [("/work/",), ("/work", "/x/"), ("/",)])
@pytest.mark.parametrize("cwd", ["/work", "/work/project"])
def test_a_slash_at_the_end_of_a_shared_folder_means_nothing(shared: tuple[str, ...], cwd: str) -> None:
    assert stray("cc", "x.c", "/work", "/work/x.c", cwd=cwd, shared=shared) == ""


def test_the_route_says_what_is_not_shared() -> None:
    assert routed(["cc", "/tmp/x.c"], shared=("/work",)).local == "/tmp/x.c is outside SHARED"
    assert routed(["cc", "x.c"], cwd="/tmp", shared=("/work",)).local == "/tmp is outside SHARED"
    assert routed(["cc", "x.c"], shared=("/work",)).local == ""
