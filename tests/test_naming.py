"""A renamed program sees its own name, whoever else makes the same link, and whatever became of the program."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from shadowfarm import naming
from shadowfarm.errors import FarmError

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "run"
    monkeypatch.setenv("SHADOWFARM_RUNTIME", str(folder))
    return folder


def renamed(folder: Path, name: str = "gcc") -> tuple[bytes, bytes]:
    """A renamed program that tells its argv[0] (a shell): its path, and the path that it had."""
    folder.mkdir(exist_ok=True)
    program = folder / f"{name}_"
    shutil.copy2(os.path.realpath("/bin/sh"), program)
    return os.fsencode(program), os.fsencode(folder / name)


def seen_name(path: bytes, argv0: bytes) -> bytes:
    """What the program at `path` finds in its argv[0]."""
    ran = subprocess.run([argv0, "-c", 'printf %s "$0"'], executable=path, capture_output=True, check=True)
    return ran.stdout


@pytest.mark.parametrize("name", ["gcc", "g++", "a name", "\udcff", "x" * 200])
def test_a_renamed_program_sees_its_own_name_and_finds_itself(tmp_path: Path, name: str) -> None:
    program, called_as = renamed(tmp_path / "bin", name)
    path, argv0 = naming.under_own_name(program, called_as)
    seen = seen_name(path, argv0)
    assert os.path.basename(seen) == os.fsencode(name)
    # As gcc does to find its parts.
    assert os.path.realpath(seen) == os.path.realpath(program)


def test_a_program_called_by_another_name_sees_that_name(tmp_path: Path) -> None:
    program, _ = renamed(tmp_path / "bin", "gcc")
    for name in (b"cc", b"c99"):
        path, argv0 = naming.under_own_name(program, os.fsencode(tmp_path) + b"/" + name)
        assert os.path.basename(seen_name(path, argv0)) == name


def test_the_same_name_in_two_folders_is_two_programs(tmp_path: Path) -> None:
    paths = [naming.under_own_name(*renamed(tmp_path / folder))[0] for folder in ("one", "two")]
    assert [os.path.realpath(path) for path in paths] == [
        os.path.realpath(os.fsencode(tmp_path / folder / "gcc_")) for folder in ("one", "two")
    ]


def test_the_link_is_made_once_and_kept(tmp_path: Path, runtime: Path) -> None:
    program, called_as = renamed(tmp_path / "bin")
    first = naming.under_own_name(program, called_as)
    before = os.lstat(first[0])
    assert naming.under_own_name(program, called_as) == first
    assert os.lstat(first[0]).st_ino == before.st_ino
    assert sum(len(files) for _, _, files in os.walk(runtime)) == 1


def test_clang_is_shown_the_path_that_it_had(tmp_path: Path) -> None:
    program, called_as = renamed(tmp_path / "bin", "clang++")
    assert naming.under_own_name(program, called_as) == (program, called_as)


def test_a_link_to_clang_is_clang(tmp_path: Path) -> None:
    renamed(tmp_path / "bin", "clang-14")
    link = tmp_path / "bin" / "c++_"
    link.symlink_to("clang-14_")
    called_as = os.fsencode(tmp_path / "bin" / "c++")
    assert naming.under_own_name(os.fsencode(link), called_as) == (os.fsencode(link), called_as)


def test_a_script_is_run_by_its_own_path_so_that_it_finds_its_neighbours(tmp_path: Path) -> None:
    script = tmp_path / "tool_"
    script.write_text('#!/bin/sh\ncat "$(dirname "$0")/neighbour"\n')
    script.chmod(0o755)
    (tmp_path / "neighbour").write_text("found")
    path, argv0 = naming.under_own_name(os.fsencode(script), os.fsencode(tmp_path / "tool"))
    ran = subprocess.run([argv0], executable=path, capture_output=True, check=True)
    assert ran.stdout == b"found"


def test_a_program_that_an_update_replaced_is_the_new_one(tmp_path: Path) -> None:
    program, called_as = renamed(tmp_path / "bin")
    naming.under_own_name(program, called_as)
    os.unlink(program)
    shutil.copy2(os.path.realpath("/bin/cat"), program)
    path, _ = naming.under_own_name(program, called_as)
    assert os.path.samefile(path, program)


def test_a_program_that_became_a_script_is_run_as_a_script(tmp_path: Path) -> None:
    program, called_as = renamed(tmp_path / "bin")
    naming.under_own_name(program, called_as)
    Path(os.fsdecode(program)).write_text("#!/bin/sh\n")
    assert naming.under_own_name(program, called_as) == (program, program)


def test_a_script_that_became_a_program_sees_its_name(tmp_path: Path) -> None:
    program, called_as = renamed(tmp_path / "bin")
    binary = Path(os.fsdecode(program)).read_bytes()
    Path(os.fsdecode(program)).write_text("#!/bin/sh\n")
    assert naming.under_own_name(program, called_as) == (program, program)
    Path(os.fsdecode(program)).write_bytes(binary)
    path, argv0 = naming.under_own_name(program, called_as)
    assert os.path.basename(seen_name(path, argv0)) == b"gcc"


@pytest.mark.parametrize("known", [False, True])
def test_a_program_that_is_missing_is_told_and_not_linked(tmp_path: Path, known: bool) -> None:
    program, called_as = renamed(tmp_path / "bin")
    if known:
        naming.under_own_name(program, called_as)
    os.unlink(program)
    with pytest.raises(FileNotFoundError):
        naming.under_own_name(program, called_as)


def test_a_link_that_points_elsewhere_is_made_anew(tmp_path: Path) -> None:
    program, called_as = renamed(tmp_path / "bin")
    link, _ = naming.under_own_name(program, called_as)
    os.unlink(link)
    os.symlink("/bin/false", link)
    path, argv0 = naming.under_own_name(program, called_as)
    assert os.path.samefile(path, program)
    assert seen_name(path, argv0)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read all files")
def test_a_program_that_may_be_executed_but_not_read_is_no_script(tmp_path: Path) -> None:
    program, called_as = renamed(tmp_path / "bin")
    os.chmod(program, 0o111)
    assert naming.under_own_name(program, called_as)[0] != program


@pytest.mark.parametrize("called_as", [b"/", b"/bin/..", b"/bin/."])
def test_a_path_without_a_name_makes_no_link(tmp_path: Path, called_as: bytes) -> None:
    program, _ = renamed(tmp_path / "bin")
    with pytest.raises(OSError):
        naming.under_own_name(program, called_as)


def test_a_private_folder_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "laid").symlink_to(tmp_path / "elsewhere")
    monkeypatch.setenv("SHADOWFARM_RUNTIME", str(tmp_path / "laid"))
    with pytest.raises(FarmError, match="not a folder of this user"):
        naming.under_own_name(*renamed(tmp_path / "bin"))


def test_many_threads_that_make_the_same_link_all_get_one_that_works(tmp_path: Path, runtime: Path) -> None:
    program, called_as = renamed(tmp_path / "bin")
    failures: list[object] = []

    def work(number: int) -> None:
        try:
            for step in range(60):
                # A name of its own now and then, so that links are made during the whole test.
                name = called_as if number % 2 else called_as + b"-%d" % step
                path, _ = naming.under_own_name(program, name)
                if not os.path.samefile(path, program):
                    failures.append(path)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    names = [name for _, _, files in os.walk(runtime) for name in files]
    assert len(names) == 61, "links made aside were left behind"


def test_many_processes_that_make_the_same_link_all_get_one_that_works(tmp_path: Path) -> None:
    program, called_as = renamed(tmp_path / "bin")
    code = (
        "import os, sys\n"
        "from shadowfarm import naming\n"
        "sys.stdin.read()\n"  # until all have started
        "path, _ = naming.under_own_name(*map(os.fsencode, sys.argv[1:]))\n"
        "assert os.path.samefile(path, sys.argv[1])\n"
    )
    command = [sys.executable, "-c", code, os.fsdecode(program), os.fsdecode(called_as)]
    processes = [subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE) for _ in range(6)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    assert [process.wait(20) for process in processes] == [0] * 6
