"""duon and duoff on a made-up engine tree with the real clang, and the overlay config that keeps some jobs local."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from shadowfarm import config, statuses, unreal, userfile
from shadowfarm.errors import FarmError
from tests.test_toggle import KILLER, output, snapshot, write_program

ROOT = Path(__file__).resolve().parent.parent
BIN = "Engine/Extras/ThirdPartyNotUE/SDKs/HostLinux/Linux_x64/v22_clang-16/x86_64-unknown-linux-gnu/bin"
USERS = (
    '<?xml version="1.0"?>\n<Configuration xmlns="https://www.unrealengine.com/BuildConfiguration"/>\n<!-- mine -->\n'
)


@pytest.fixture(autouse=True)
def private_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home" / ".config"))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.delenv("UE_ROOT", raising=False)


@pytest.fixture
def farm(tmp_path: Path) -> Path:
    """A copy of the tree with a stand-in for client.py that says whom it stands for, as ue/'s links lead to it."""
    root = tmp_path / "the farm"
    root.mkdir()
    shutil.copytree(ROOT / "shadowfarm", root / "shadowfarm", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "ue", root / "ue", symlinks=True)
    (root / "client.py").write_text('#!/bin/sh\necho "by $(readlink "$0")" >&2\nexec "${0}_" "$@"\n')
    (root / "client.py").chmod(0o755)
    return root


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    """clang is a file here, clang++ another, as where a toolchain was unpacked by Windows."""
    return make_engine(tmp_path / "Unreal Engine", minor=4)


def make_engine(root: Path, minor: int) -> Path:
    (root / BIN).mkdir(parents=True)
    (root / "Engine" / "Build").mkdir()
    version = {"MajorVersion": 5, "MinorVersion": minor, "PatchVersion": 1}
    (root / "Engine" / "Build" / "Build.version").write_text(json.dumps(version), encoding="utf-8-sig")
    for name in ("clang", "clang++"):
        write_program(root / BIN / name, f"real {name}")
    return root


def settings(tmp_path: Path) -> Path:
    return tmp_path / "home" / ".config" / "Unreal Engine" / "UnrealBuildTool" / "BuildConfiguration.xml"


def write_settings(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(USERS)
    path.chmod(0o640)
    os.utime(path, ns=(10**18, 10**18 + 5))


def run(farm: Path, script: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, str(farm / "ue" / script), *map(str, words)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def tree(folder: Path) -> dict[str, object]:
    """Every folder in `folder` with the files in it."""
    folders = [folder, *(inside for inside in folder.rglob("*") if inside.is_dir() and not inside.is_symlink())]
    return {str(inside): files(inside) for inside in folders}


def files(folder: Path) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []
    for entry in sorted(folder.iterdir()):
        seen = entry.lstat()
        if entry.is_symlink() or entry.is_file():
            content = os.readlink(entry) if entry.is_symlink() else entry.read_bytes()
            found.append((entry.name, seen.st_mode, seen.st_mtime_ns, content))
    return found


# --- the switch -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("users", [True, False], ids=["had-settings", "had-none"])
def test_off_restores_compilers_and_settings_exactly(tmp_path: Path, farm: Path, engine: Path, users: bool) -> None:
    if users:
        write_settings(settings(tmp_path))
    (tmp_path / "home").mkdir(exist_ok=True)
    before = snapshot(engine / BIN), tree(tmp_path / "home")
    for _ in range(2):
        done = run(farm, "duon", engine)
        assert done.returncode == 0, done.stderr
    assert os.readlink(engine / BIN / "clang++") == str(farm / "ue" / "client.py"), "so ue/config.py is read"
    assert b"MaxParallelActions" in settings(tmp_path).read_bytes()
    for _ in range(2):
        done = run(farm, "duoff", engine)
        assert done.returncode == 0, done.stderr
    assert (snapshot(engine / BIN), tree(tmp_path / "home")) == before


def test_settings_that_are_a_link_of_the_users_are_restored_as_a_link(tmp_path: Path, farm: Path, engine: Path) -> None:
    dotfile = tmp_path / "dotfiles.xml"
    dotfile.write_text(USERS)
    settings(tmp_path).parent.mkdir(parents=True)
    settings(tmp_path).symlink_to(dotfile)
    run(farm, "duon", engine)
    assert not settings(tmp_path).is_symlink()
    assert dotfile.read_text() == USERS
    run(farm, "duoff", engine)
    assert os.readlink(settings(tmp_path)) == str(dotfile)


def test_settings_edited_meanwhile_are_kept(tmp_path: Path, farm: Path, engine: Path) -> None:
    write_settings(settings(tmp_path))
    run(farm, "duon", engine)
    settings(tmp_path).write_text("edited")
    done = run(farm, "duon", engine)
    assert done.returncode == statuses.USAGE and "duoff" in done.stderr
    assert settings(tmp_path).read_text() == "edited"
    done = run(farm, "duoff", engine)
    kept = settings(tmp_path).with_name("BuildConfiguration.xml.edited-1")
    assert done.returncode == 0 and str(kept) in done.stdout
    assert (kept.read_text(), settings(tmp_path).read_text()) == ("edited", USERS)


def test_settings_copied_by_hand_are_replaced_by_the_normal_ones(tmp_path: Path, farm: Path, engine: Path) -> None:
    settings(tmp_path).parent.mkdir(parents=True)
    shutil.copy(farm / "ue" / "BuildConfiguration_dist.xml", settings(tmp_path))
    assert run(farm, "duoff", engine).returncode == 0
    assert settings(tmp_path).read_bytes() == (farm / "ue" / "BuildConfiguration_normal.xml").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("users", [True, False], ids=["had-settings", "had-none"])
def test_killed_at_any_step_both_ways(tmp_path: Path, farm: Path, engine: Path, users: bool) -> None:
    if users:
        write_settings(settings(tmp_path))
    (tmp_path / "home").mkdir(exist_ok=True)
    before = snapshot(engine / BIN), tree(tmp_path / "home")
    dist = unreal.for_version((farm / "ue" / "BuildConfiguration_dist.xml").read_bytes(), (5, 4))
    for script in ("duon", "duoff"):
        step, killed = 0, True
        while killed:
            step += 1
            if script == "duoff":
                assert run(farm, "duon", engine).returncode == 0
            argv = [sys.executable, "-c", KILLER, str(step), "links", str(farm / "ue" / script), str(engine)]
            code = subprocess.run(argv, capture_output=True, timeout=60, check=False).returncode
            killed = code == -signal.SIGKILL
            assert killed or code == 0
            if step % 2:
                done = run(farm, "duon", engine)
                assert done.returncode == 0, done.stderr
                assert settings(tmp_path).read_bytes() == dist
            done = run(farm, "duoff", engine)
            assert done.returncode == 0, done.stderr
            assert (snapshot(engine / BIN), tree(tmp_path / "home")) == before, f"{script} killed before change {step}"
        assert step > 6


@pytest.mark.slow
def test_users_settings_that_equal_ours_are_not_deleted(tmp_path: Path, farm: Path, engine: Path) -> None:
    """Copied by hand, then duon killed before it changed anything: what lies there is the user's all the same."""
    content = unreal.for_version((farm / "ue" / "BuildConfiguration_dist.xml").read_bytes(), (5, 4))
    path = settings(tmp_path)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    before, step = snapshot(path.parent), 0
    killed = True
    while killed:
        step += 1
        argv = [sys.executable, "-c", KILLER, str(step), "links", str(farm / "ue" / "duon"), str(engine)]
        killed = subprocess.run(argv, capture_output=True, timeout=60, check=False).returncode != 0
        assert run(farm, "duoff", engine).returncode == 0
        after = snapshot(path.parent)
        if after != before:
            # No record was written yet, so this is "copied by hand", which duoff replaces by the normal settings.
            assert path.read_bytes() == (farm / "ue" / "BuildConfiguration_normal.xml").read_bytes()
            path.write_bytes(content)
            before = snapshot(path.parent)


def test_where_clangxx_is_a_link_to_clang_only_it_is_shadowed(tmp_path: Path, farm: Path) -> None:
    engine = make_engine(tmp_path / "linked", minor=4)
    for name in ("clang", "clang++"):
        (engine / BIN / name).unlink()
    write_program(engine / BIN / "clang-16", "real clang-16")
    (engine / BIN / "clang").symlink_to("clang-16")
    (engine / BIN / "clang++").symlink_to("clang")
    before = snapshot(engine / BIN)
    for _ in range(2):
        assert run(farm, "duon", engine).returncode == 0
        assert output(engine / BIN / "clang++") == "real clang-16\n"
        assert os.readlink(engine / BIN / "clang") == "clang-16"
    assert run(farm, "duoff", engine).returncode == 0
    assert snapshot(engine / BIN) == before


@pytest.mark.skipif(not os.path.exists("/usr/bin/clang"), reason="no /usr/bin/clang")
def test_the_real_clang_compiles_the_same_object_through_the_shadowed_name(tmp_path: Path, farm: Path) -> None:
    engine = make_engine(tmp_path / "with clang", minor=4)
    for name in ("clang", "clang++"):
        (engine / BIN / name).unlink()
    (engine / BIN / "clang-x").symlink_to(os.path.realpath("/usr/bin/clang"))
    (engine / BIN / "clang").symlink_to("clang-x")
    (engine / BIN / "clang++").symlink_to("clang")
    source = tmp_path / "unit.cpp"
    source.write_text("template <class T> T twice(T x) { return x + x; }\nint four() { return twice(2); }\n")
    objects = []
    for step in ("none", "duon", "duoff"):
        if step != "none":
            assert run(farm, step, engine).returncode == 0
        target = tmp_path / f"{step}.o"
        argv = [engine / BIN / "clang++", "-O2", "-c", "unit.cpp", "-o", target]
        done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
        assert ("by " in done.stderr) == (step == "duon")
        objects.append(target.read_bytes())
    assert objects[0] == objects[1] == objects[2]


def test_settings_are_not_raised_when_the_compilers_were_refused(tmp_path: Path, farm: Path, engine: Path) -> None:
    write_program(engine / BIN / "clang++_", "somebody's")
    done = run(farm, "duon", engine)
    assert done.returncode == statuses.USAGE
    assert not settings(tmp_path).exists()


def test_the_engine_may_come_from_ue_root_and_a_wrong_one_is_named(
    tmp_path: Path, farm: Path, engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for words, status, what in (
        ([], statuses.USAGE, "UE_ROOT"),
        ([tmp_path / "none"], statuses.USAGE, "none"),
        (["--bad"], statuses.USAGE, "--bad"),
    ):
        done = run(farm, "duon", *words)
        assert done.returncode == status and what in done.stderr and done.stderr.count("\n") == 1
    shutil.rmtree(engine / BIN)
    assert "Setup.sh" in run(farm, "duon", engine).stderr
    (engine / BIN).mkdir()
    write_program(engine / BIN / "clang++", "real clang++")
    monkeypatch.setenv("UE_ROOT", str(engine / "Engine"))
    assert run(farm, "duon").returncode == 0
    assert "clang++: on" in run(farm, "duon", "--status").stdout
    assert run(farm, "duoff").returncode == 0


# --- the files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "uba"), [((5, 3), False), ((0, 0), False), ((5, 4), True), ((6, 0), True)])
def test_an_older_engine_is_not_given_names_that_it_does_not_know(version: tuple[int, int], uba: bool) -> None:
    content = unreal.for_version((ROOT / "ue" / "BuildConfiguration_dist.xml").read_bytes(), version)
    names = {element.tag.rpartition("}")[2] for element in ET.fromstring(content).iter()}
    assert {"MaxParallelActions", "MemoryPerActionBytes"} <= names
    assert ("bAllowUBAExecutor" in names) == uba == ("bAllowUBALocalExecutor" in names)
    assert ET.parse(ROOT / "ue" / "BuildConfiguration_normal.xml").getroot().tag.endswith("Configuration")


def test_the_client_of_ue_is_a_link_so_that_its_config_is_found() -> None:
    assert os.readlink(ROOT / "ue" / "client.py") == "../client.py"
    assert os.access(ROOT / "ue" / "duon", os.X_OK) and os.access(ROOT / "ue" / "duoff", os.X_OK)


def test_the_overlay_takes_the_rest_from_the_config_above() -> None:
    names = runpy.run_path(str(ROOT / "ue" / "config.py"))
    assert names["BASE"] == "../config.py"
    assert "TIMEOUT" not in names
    assert names["WORKERS"][:2] == ("localhost:7711", "localhost:7712")
    loaded = config.load(str(ROOT / "ue" / "config.py"))
    assert loaded.should_run_direct(["clang++", "--version"])


@pytest.fixture(scope="module")
def is_local() -> Any:
    return runpy.run_path(str(ROOT / "ue" / "config.py"))["shouldRunDirect"]


@pytest.mark.parametrize(
    "words",
    [
        ["--version"],
        ["-v"],
        ["-dumpversion"],
        ["-dumpmachine"],
        ["-print-search-dirs"],
        ["--print-file-name=libc.a"],
        ["-E", "-dM", "-x", "c++", "/dev/null"],
        ["-x", "c++", "-E", "/dev/null"],
        ["-x", "c++-header", "PCH.Core.h", "-o", "PCH.Core.h.gch"],
        ["-xc++-header", "a.h"],
        ["-c", "a.h", "-o", "/tmp/with space/a.h.gch"],
        ["-Xclang", "-emit-pch", "a.h"],
        ["a.o", "b.o", "-o", "libA.so", "-lm", "-lc", "-lgcc_s", "-lgcc"],
        ['@"/engine/PCH.Core.h.gch.rsp"'],
        ["@/engine/SharedPCH.Core.Cpp20.h.gch.rsp"],
    ],
)
def test_headers_probes_and_links_stay_here(is_local: Any, words: list[str]) -> None:
    assert is_local(["/engine/clang++", *words])


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["-c", "a.cpp", "-o", "a.o"],
        ["-c", "a.cpp", "-include-pch", "PCH.Core.h.gch", "-o", "a.o"],
        ["-c", "a.cpp", "-MD", "-MF", "/dev/null", "-o", "/dev/null"],
        ["-c", "a.cpp", "-include", "PCH.Core.h", "-DNAME=-lgcc"],
        ["@/engine/Module.Core.1_of_9.cpp.o.rsp"],
        ["@/engine/there is no such file.rsp"],
        ["-x", "c++", "a.cpp"],
    ],
)
def test_compiles_go_to_the_workers(is_local: Any, words: list[str]) -> None:
    assert not is_local(["/engine/clang++", *words])


def test_a_response_file_of_another_name_is_read(is_local: Any, tmp_path: Path) -> None:
    file = tmp_path / "job.rsp"
    for text, local in (
        ('-c\n-x c++\n"a.cpp"\n-include-pch "x.gch"\n-o "a.o"\n', False),
        ('-c\n-x c++-header\n"a.h"\n', True),
        ('"a.o"\n-lgcc\n', True),
    ):
        file.write_text(text)
        assert is_local(["clang++", f"@{file}"]) == local


def test_a_file_that_nobody_recorded_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "x.xml"
    path.write_text("a")
    Path(userfile.aside_name(str(path))).write_text("b")
    with pytest.raises(FarmError, match="nobody recorded"):
        userfile.install(str(path), b"new")
    assert path.read_text() == "a"
