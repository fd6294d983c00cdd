"""The real compilers of /usr/bin shadowed in place, in a mount namespace where the machine's own /usr/bin stays whole.

pytest runs this file once more as a script inside the namespace: it lays an overlay over /usr/bin, switches with
samples/dxon and samples/dxoff, compiles by two workers, and prints what it saw as JSON. The tests judge that.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from farm import CLIENT, ROOT, Farm

pytestmark = [pytest.mark.real, pytest.mark.root]

BIN = Path("/usr/bin")
C_COMPILERS = ("gcc", "clang")
CPP_COMPILERS = ("g++", "clang++")
COMPILERS = (*C_COMPILERS, *CPP_COMPILERS)
ALIASES = ("cc", "c++")  # on Debian links, by /etc/alternatives, to one of them
NAMES = (*COMPILERS, *ALIASES)
JOBS = 2 * len(NAMES)
TIMEOUT_S = 240

C_SOURCE = """\
#include <stdio.h>
int main(void) { puts("C runs"); return 0; }
"""
CPP_SOURCE = """\
#include <iostream>
#include <stdexcept>
#include <string>
int main() {
    try { throw std::runtime_error("C++ runs"); }
    catch (const std::exception &caught) { std::cout << std::string(caught.what()) << std::endl; }
}
"""


def inside(scratch: Path) -> dict[str, Any]:
    """All that is done in the namespace; gives what was seen."""
    _overlay(scratch)
    before = {name: _standing(name) for name in COMPILERS}
    with Farm() as farm:
        env = farm.env_with()
        seen: dict[str, Any] = {
            "before": before,
            "here": {name: _compile(name, scratch / "build", env) for name in NAMES},
            "jobs here": _count(farm, 0),
            "dxon": _run([str(ROOT / "samples" / "dxon"), *COMPILERS], env),
            "on": {name: _standing(name) for name in COMPILERS},
            "by workers": {name: _compile(name, scratch / "build", env) for name in NAMES},
            "jobs": _count(farm, JOBS),
            "dxoff": _run([str(ROOT / "samples" / "dxoff"), *COMPILERS], env),
            "after": {name: _standing(name) for name in COMPILERS},
        }
    seen["left over"] = [name for name in COMPILERS if os.path.lexists(BIN / f"{name}_")]
    return seen


def _overlay(scratch: Path) -> None:
    (scratch / "layers").mkdir()
    layers = scratch / "layers"
    commands = [["mount", "-t", "tmpfs", "tmpfs", str(layers)]]
    options = f"lowerdir={BIN},upperdir={layers}/upper,workdir={layers}/work"
    commands.append(["mount", "-t", "overlay", "-o", options, "overlay", str(BIN)])
    subprocess.run(commands[0], check=True)
    (layers / "upper").mkdir()
    (layers / "work").mkdir()
    subprocess.run(commands[1], check=True)


def _standing(name: str) -> list[str]:
    """What stands at the name and beside it: the targets of links, "file" for a file, "" for nothing."""
    return [_kind(BIN / name), _kind(BIN / f"{name}_")]


def _kind(path: Path) -> str:
    if path.is_symlink():
        return os.readlink(path)
    return "file" if path.exists() else ""


def _compile(name: str, folder: Path, env: dict[str, str]) -> dict[str, Any]:
    """Compile and link in two jobs, run the result; the folder is made anew, so that all builds have the same path."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    source = "main.cpp" if "++" in name else "main.c"
    (folder / source).write_text(CPP_SOURCE if "++" in name else C_SOURCE)
    told = {
        "compile": _run([name, "-g", "-O1", "-c", source, "-o", "main.o"], env, folder),
        "link": _run([name, "main.o", "-o", "main"], env, folder),
    }
    return {
        **told,
        "main.o": (folder / "main.o").read_bytes().hex() if (folder / "main.o").exists() else "",
        "main": (folder / "main").read_bytes().hex() if (folder / "main").exists() else "",
        "run": _run([str(folder / "main")], env, folder) if (folder / "main").exists() else "no program",
    }


def _run(command: list[str], env: dict[str, str], folder: Path | None = None) -> str:
    """Status and output in one text, which is empty when all went well and nothing was said."""
    done = subprocess.run(
        command,
        check=False,
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
    )
    status = f"[status {done.returncode}] " if done.returncode else ""
    return status + done.stdout.decode(errors="replace").strip()


def _count(farm: Farm, expected: int) -> dict[str, int]:
    """The number of jobs of each program, by its path on the worker, once `expected` were told."""
    jobs = farm.jobs_since({worker.name: [] for worker in farm.workers}, expected)
    return dict(Counter(job.command.partition(" ")[0] for each in jobs.values() for job in each))


@pytest.fixture(scope="module")
def seen() -> Iterator[dict[str, Any]]:
    """What the script below saw in its namespace."""
    missing = [tool for tool in ("unshare", "mount", *COMPILERS) if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"not on PATH: {', '.join(missing)}")
    if os.getuid() != 0:
        pytest.skip("not root: no mount namespace can be made")
    elsewhere = [name for name in COMPILERS if Path(shutil.which(name) or "").parent != BIN]
    if elsewhere:
        pytest.skip(f"not first on PATH in {BIN}: {', '.join(elsewhere)}")
    with tempfile.TemporaryDirectory(prefix="sf-in-place-", dir="/tmp") as scratch:
        _skip_without_overlay(Path(scratch))
        done = subprocess.run(
            ["unshare", "--mount", sys.executable, __file__, scratch],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        assert done.returncode == 0, done.stderr
        yield json.loads(done.stdout)


def _skip_without_overlay(scratch: Path) -> None:
    trial = f"mount -t tmpfs tmpfs {scratch} && mkdir {scratch}/upper {scratch}/work && mount -t overlay "
    trial += f"-o lowerdir={BIN},upperdir={scratch}/upper,workdir={scratch}/work overlay {BIN}"
    done = subprocess.run(["unshare", "--mount", "sh", "-c", trial], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"no overlay can be laid over {BIN} in a mount namespace: {done.stderr.strip()}")


def test_dxon_shadows_the_real_compilers(seen: dict[str, Any]) -> None:
    assert not seen["dxon"].startswith("[status")
    for name in COMPILERS:
        there, beside = seen["on"][name]
        assert os.path.realpath(BIN / there) == str(CLIENT)
        assert beside == seen["before"][name][0]


@pytest.mark.parametrize("name", COMPILERS)
def test_a_compiler_shadowed_in_place_compiles_links_and_is_silent(seen: dict[str, Any], name: str) -> None:
    result = seen["by workers"][name]
    assert result["compile"] == ""
    assert result["link"] == ""
    assert result["run"] == ("C++ runs" if name in CPP_COMPILERS else "C runs")


@pytest.mark.parametrize("name", ALIASES)
def test_another_name_of_a_shadowed_compiler_still_works(seen: dict[str, Any], name: str) -> None:
    result = seen["by workers"][name]
    assert [result["compile"], result["link"]] == ["", ""]
    assert result["run"] == ("C++ runs" if name == "c++" else "C runs")


@pytest.mark.parametrize("name", NAMES)
def test_what_a_shadowed_compiler_makes_is_what_it_made_before(seen: dict[str, Any], name: str) -> None:
    assert seen["here"][name]["main.o"]
    assert seen["by workers"][name]["main.o"] == seen["here"][name]["main.o"]
    assert seen["by workers"][name]["main"] == seen["here"][name]["main"]


def test_the_workers_ran_the_renamed_compilers_and_only_then(seen: dict[str, Any]) -> None:
    assert seen["jobs here"] == {}
    assert set(seen["jobs"]) == {f"{BIN / name}_" for name in COMPILERS}
    assert min(seen["jobs"].values()) == 2
    assert sum(seen["jobs"].values()) == JOBS


def test_dxoff_restores_what_was_there(seen: dict[str, Any]) -> None:
    assert not seen["dxoff"].startswith("[status")
    assert seen["after"] == seen["before"]
    assert seen["left over"] == []


def test_the_machine_outside_the_namespace_is_untouched(seen: dict[str, Any]) -> None:
    assert {name: _standing(name) for name in COMPILERS} == seen["before"]


if __name__ == "__main__":
    print(json.dumps(inside(Path(sys.argv[1]))))
