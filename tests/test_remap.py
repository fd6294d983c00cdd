"""A worker's own names for commands and folders: all that they mean is changed, and nothing that only looks so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shadowfarm.job import NULL, JobSpec, Stream
from shadowfarm.remap import remapped

SPEC = JobSpec(
    program=b"/usr/bin/cc_",
    shown_as=b"/usr/bin/cc",
    argv=(b"/usr/bin/cc_", b"-c", b"x.c"),
    cwd=b"/work/project",
    env=(b"PWD=/work/project", b"HOME=/work", b"PATH=/work/bin:/bin"),
    umask=0o22,
    shell=False,
    ignored=(),
    streams=(Stream(NULL, 0), Stream(NULL, 0), Stream(NULL, 0)),
    stdin=False,
    terminal=None,
    drain_s=1.0,
)


def argument(arg: bytes, folders: dict[str, str]) -> bytes:
    return remapped(replace(SPEC, argv=(b"cc", arg)), {}, folders).argv[1]


def test_without_mappings_nothing_changes() -> None:
    assert remapped(SPEC, {}, {}) is SPEC


@pytest.mark.parametrize("key", ["/usr/bin/cc_", "cc_"])
def test_a_command_is_mapped_by_its_path_or_its_name_and_keeps_the_new_name(key: str) -> None:
    spec = remapped(SPEC, {key: "/opt/gcc/bin/gcc"}, {})
    assert (spec.program, spec.shown_as) == (b"/opt/gcc/bin/gcc", b"")
    assert spec.argv == (b"/opt/gcc/bin/gcc", b"-c", b"x.c")


def test_the_path_of_a_command_goes_before_its_name() -> None:
    assert remapped(SPEC, {"cc_": "one", "/usr/bin/cc_": "other"}, {}).program == b"other"


@pytest.mark.parametrize("key", ["c_", "bin/cc_", "/usr/bin", "CC_", "x.c", ""])
def test_another_command_is_left_alone(key: str) -> None:
    assert remapped(SPEC, {key: "other"}, {}) == SPEC


def test_a_mapped_name_that_is_not_utf8_is_taken_byte_for_byte() -> None:
    spec = replace(SPEC, program=b"/bin/\xff", shown_as=b"")
    assert remapped(spec, {"\udcff": "\udcfe"}, {}).program == b"\xfe"


def test_a_folder_is_mapped_in_all_that_the_job_is_made_of() -> None:
    spec = replace(SPEC, program=b"/work/bin/clang_", shown_as=b"/work/bin/clang", argv=(b"/work/bin/clang_", b"/work"))
    spec = remapped(spec, {}, {"/work": "/mnt/w"})
    assert spec.cwd == b"/mnt/w/project"
    assert spec.program == b"/mnt/w/bin/clang_"
    assert spec.argv == (b"/mnt/w/bin/clang_", b"/mnt/w")
    assert spec.env is not None
    assert b"PWD=/mnt/w/project" in spec.env
    # clang finds its headers from the folder of the name that it is shown.
    assert spec.shown_as == b"/mnt/w/bin/clang"


def test_a_worker_that_uses_its_own_environment_has_none_to_map() -> None:
    assert remapped(replace(SPEC, env=None), {}, {"/work": "/w"}).env is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"/work", b"/w"),
        (b"/work/", b"/w/"),
        (b"/work/x.c", b"/w/x.c"),
        (b"-I/work/include", b"-I/w/include"),
        (b"-L/work", b"-L/w"),
        (b"-isystem/work/include", b"-isystem/w/include"),
        (b"-iquote/work/include", b"-iquote/w/include"),
        (b"-include/work/x.h", b"-include/w/x.h"),
        (b"@/work/x.rsp", b"@/w/x.rsp"),
        (b"--sysroot=/work/root", b"--sysroot=/w/root"),
        (b"-Wl,-rpath,/work/a:/work/b", b"-Wl,-rpath,/w/a:/w/b"),
        (b'-DDIR="/work/x"', b'-DDIR="/w/x"'),
        (b"cd /work && cc /work/x.c; ls '/work'", b"cd /w && cc /w/x.c; ls '/w'"),
        (b"-fdebug-prefix-map=/work=.", b"-fdebug-prefix-map=/w=."),
    ],
)
def test_a_folder_is_found_wherever_an_argument_has_a_path(before: bytes, after: bytes) -> None:
    assert argument(before, {"/work": "/w"}) == after


@pytest.mark.parametrize(
    "arg", [b"/workshop", b"/work2/x", b"/home/work/x", b"x/work", b"-DX=a/work", b"work", b"/wor", b"//x/work", b""]
)
def test_what_only_looks_like_the_folder_is_left_alone(arg: bytes) -> None:
    assert argument(arg, {"/work": "/w"}) == arg


def test_signs_that_mean_something_in_patterns_mean_themselves() -> None:
    assert argument(b"/a.b+c/x", {"/a.b+c": r"\1\g<0>"}) == rb"\1\g<0>/x"
    assert argument(b"/aXb+c/x", {"/a.b+c": "/w"}) == b"/aXb+c/x"


def test_slashes_at_the_ends_of_a_mapping_mean_nothing() -> None:
    for folders in ({"/work/": "/w"}, {"/work": "/w/"}, {"/work/": "/w/"}):
        assert argument(b"/work/x", folders) == b"/w/x"
        assert argument(b"/work", folders) == b"/w"


def test_a_folder_that_is_the_root_at_the_worker_is_still_a_folder() -> None:
    spec = remapped(replace(SPEC, cwd=b"/work"), {}, {"/work": "/"})
    assert spec.cwd == b"/"
    assert argument(b"/work/x", {"/work": "/"}) == b"/x"


def test_folders_that_change_places_do_so() -> None:
    assert argument(b"/a/x:/b/y", {"/a": "/b", "/b": "/a"}) == b"/b/x:/a/y"


def test_a_folder_within_another_has_its_own_mapping() -> None:
    for folders in ({"/work": "/w", "/work/deep": "/d"}, {"/work/deep": "/d", "/work": "/w"}):
        assert argument(b"/work/deep/x", folders) == b"/d/x"
        assert argument(b"/work/x", folders) == b"/w/x"


def test_bytes_that_are_no_text_survive() -> None:
    assert argument(b"/work/\xff\n\xfe", {"/work": "/\udce4"}) == b"/\xe4/\xff\n\xfe"
