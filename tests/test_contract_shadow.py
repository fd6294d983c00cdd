"""The ways to call client.py: direct, shadow, masquerade, launcher; and jobs within jobs (points 7, 10 and 11)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import CLIENT, ROOT, Farm

SHOW = f"""#!{sys.executable}
import os, sys
print(os.environ.get('SHADOWFARM_JOB') is not None, sys.argv[1:])
"""

needs_compilers = pytest.mark.skipif(
    not all(map(shutil.which, ("gcc", "g++", "clang", "clang++"))), reason="gcc, g++, clang or clang++ is missing"
)


def shadowed(folder: Path, name: str, *, target: Path | None = None, link: str | Path = CLIENT) -> Path:
    """A program that is shadowed in `folder`: `name_` is a link to `target`, or a script that shows how it was run."""
    folder.mkdir(exist_ok=True)
    renamed = folder / f"{name}_"
    if target:
        renamed.symlink_to(target)
    else:
        renamed.write_text(SHOW)
        renamed.chmod(0o755)
    (folder / name).symlink_to(link)
    return folder / name


def call(
    farm: Farm, *command: object, path: Path | None = None, **options: object
) -> subprocess.CompletedProcess[bytes]:
    folders = [str(path)] if path else []
    # The shebang's python3 must be one that has rpyc.
    folders += [os.path.dirname(sys.executable), farm.env["PATH"]]
    options = {"cwd": farm.work, "stdin": subprocess.DEVNULL, "capture_output": True, "timeout": 60, **options}
    env = {**farm.env, "PATH": os.pathsep.join(folders), **options.pop("env", {})}
    return subprocess.run([os.fspath(item) for item in command], env=env, check=False, **options)


@pytest.mark.parametrize("folder", ["bin", "a folder with blanks"])
def test_a_shadowed_program_runs_its_renamed_self_on_a_worker(farm: Farm, folder: str) -> None:
    program = shadowed(farm.folder / folder, "tool")
    for how in ((program,), ("tool",)):
        shown = call(farm, *how, "x y", "", path=program.parent)
        assert (shown.stdout, shown.stderr) == (b"True ['x y', '']\n", b"")


def test_a_relative_link_to_client_py_is_followed(farm: Farm) -> None:
    program = shadowed(farm.folder / "relative", "tool", link=os.path.relpath(CLIENT, farm.folder / "relative"))
    assert call(farm, program).stdout == b"True []\n"
    assert call(farm, "./tool", cwd=program.parent).stdout == b"True []\n"


def test_a_link_to_a_shadowed_program_runs_it_under_the_links_name(farm: Farm) -> None:
    program = shadowed(farm.folder / "chain", "clang", target=Path("/bin/sh"))
    (program.parent / "clang++").symlink_to("clang")
    shown = call(farm, program.parent / "clang++", "-c", "basename $0")
    assert shown.stdout == b"clang++\n"


def test_a_link_to_a_program_that_were_both_renamed_does_not_lead_to_a_client(farm: Farm) -> None:
    program = shadowed(farm.folder / "both", "clang", target=Path("/bin/sh"))
    (program.parent / "clang++_").symlink_to("clang")
    (program.parent / "clang++").symlink_to(CLIENT)
    shown = call(farm, program.parent / "clang++", "-c", "basename $0; basename $(readlink -f /proc/$$/exe)")
    assert shown.stdout.splitlines()[0] == b"clang++"


def test_a_renamed_program_sees_its_own_name(farm: Farm) -> None:
    program = shadowed(farm.folder / "named", "tool", target=Path("/bin/sh"))
    assert call(farm, program, "-c", "basename $0").stdout == b"tool\n"


def test_a_masquerade_runs_the_next_of_that_name_on_path(farm: Farm) -> None:
    real = farm.folder / "real"
    real.mkdir()
    (real / "tool").write_text(SHOW)
    (real / "tool").chmod(0o755)
    farms = [farm.folder / "masquerade", farm.folder / "another"]
    for folder in farms:
        folder.mkdir()
        (folder / "tool").symlink_to(CLIENT)
    path = os.pathsep.join(map(str, [*farms, real]))
    shown = call(
        farm,
        "tool",
        "x",
        env={"PATH": f"{path}{os.pathsep}{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}"},
    )
    assert (shown.stdout, shown.stderr) == (b"True ['x']\n", b"")


def test_a_masquerade_for_a_program_that_is_nowhere_is_127_and_one_line(farm: Farm) -> None:
    folder = farm.folder / "nowhere"
    folder.mkdir()
    (folder / "no-such-tool").symlink_to(CLIENT)
    shown = call(farm, folder / "no-such-tool", path=folder)
    assert shown.returncode == 127
    assert shown.stderr.count(b"\n") == 1 and b"no-such-tool_" in shown.stderr


def test_a_job_that_calls_a_shadowed_program_runs_it_in_place_even_on_a_worker_with_one_slot(farm_of) -> None:
    farm = farm_of(numTasks=1)
    program = shadowed(farm.folder / "nested", "inner")
    outer = call(farm, *farm.command("sh", "-c", "exec inner from-a-job"), path=program.parent)
    assert (outer.stdout, outer.stderr) == (b"True ['from-a-job']\n", b"")
    assert len(farm.workers[0].jobs) == 1


def test_the_direct_form_on_a_shadowed_name_does_not_call_a_client_by_a_client(farm: Farm) -> None:
    program = shadowed(farm.folder / "direct", "tool", target=Path("/bin/sh"))
    shown = call(farm, *farm.command("tool", "-c", "echo $0 $PPID"), path=program.parent)
    assert shown.stdout.split()[0].endswith(b"/tool")


@pytest.mark.parametrize("named_by", ["environment", "folder of the link", "beside client.py"])
def test_the_config_is_found(farm: Farm, named_by: str, tmp_path: Path) -> None:
    copy = farm.folder / named_by.replace(" ", "-")
    copy.mkdir()
    for name in ("client.py", "worker.py", "shadowfarm"):
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, copy / name)
    overlay = copy / "overlay"
    overlay.mkdir()
    (overlay / "client.py").symlink_to("../client.py")
    (copy / "config.py").write_text("def doFixes(args):\n    args[1] = 'beside client.py'\n")
    called, env = copy / "client.py", dict(farm.env)
    env.pop("SHADOWFARM_CONFIG")
    if named_by == "folder of the link":
        (overlay / "config.py").write_text(
            "BASE = '../config.py'\ndef doFixes(args):\n    args[1] = 'folder of the link'\n"
        )
        called = overlay / "client.py"
    elif named_by == "environment":
        (tmp_path / "my.py").write_text("def doFixes(args):\n    args[1] = 'environment'\n")
        env["SHADOWFARM_CONFIG"] = str(tmp_path / "my.py")
    for path in (*copy.glob("**/config.py"), *tmp_path.glob("my.py")):
        path.write_text(f"{path.read_text()}\nRUN_DIRECTLY = '*',\n")
    shown = subprocess.run(
        [sys.executable, called, "echo", "x"], env=env, cwd=farm.work, capture_output=True, check=False, timeout=30
    )
    assert shown.stdout.decode() == f"{named_by}\n", shown.stderr


@needs_compilers
@pytest.mark.parametrize("compiler", ["gcc", "g++", "clang", "clang++"])
def test_renamed_compilers_compile_and_link_their_own_language(farm: Farm, compiler: str) -> None:
    source = farm.work / f"{compiler}.{'cc' if '++' in compiler else 'c'}"
    code = (
        "#include <iostream>\nint main() { std::cout << 42; }" if "++" in compiler else "int main(void) { return 42; }"
    )
    source.write_text(code)
    real = Path(shutil.which(compiler) or "")
    folder = farm.folder / f"bin-{compiler}"
    folder.mkdir()
    (folder / compiler).symlink_to(real)
    subprocess.run([folder / compiler, "-g", "-MD", "-c", source, "-o", "near.o"], check=True, cwd=farm.work)
    (folder / compiler).unlink()
    program = shadowed(folder, compiler, target=real)
    built = call(farm, program, source, "-o", f"{compiler}.out")
    assert (built.returncode, built.stderr) == (0, b"")
    ran = subprocess.run([farm.work / f"{compiler}.out"], capture_output=True, check=False)
    assert ran.stdout == b"42" if "++" in compiler else ran.returncode == 42
    assert call(farm, program, "-g", "-MD", "-c", source, "-o", "far.o").returncode == 0
    assert (farm.work / "far.o").read_bytes() == (farm.work / "near.o").read_bytes()
    assert (farm.work / "far.d").read_text().replace("far.o", "near.o") == (farm.work / "near.d").read_text()


@needs_compilers
def test_a_compilers_diagnostics_are_the_same_as_here(farm: Farm) -> None:
    (farm.work / "wrong.c").write_text("int main(void) { int unused; return x; }\n")
    program = shadowed(farm.folder / "diagnostics", "gcc", target=Path(shutil.which("gcc") or ""))
    far = call(farm, program, "-Wall", "-c", "wrong.c")
    near = subprocess.run(["gcc", "-Wall", "-c", "wrong.c"], cwd=farm.work, capture_output=True, check=False)
    assert (far.returncode, far.stdout, far.stderr) == (near.returncode, near.stdout, near.stderr)


@pytest.mark.skipif(not shutil.which("ccache") or not shutil.which("gcc"), reason="ccache or gcc is missing")
def test_ccache_sends_its_misses_by_ccache_prefix(farm: Farm) -> None:
    (farm.work / "cached.c").write_text("int cached(void) { return 1; }\n")
    before = len(farm.workers[0].jobs)
    given = {"CCACHE_PREFIX": str(CLIENT), "CCACHE_DIR": str(farm.folder / "ccache")}
    for name in ("miss.o", "hit.o"):
        assert call(farm, "ccache", "gcc", "-c", "cached.c", "-o", name, env=given).returncode == 0
    assert (farm.work / "miss.o").read_bytes() == (farm.work / "hit.o").read_bytes()
    (job,) = farm.workers[0].jobs[before:]
    assert "cached" in job or ".i" in job
