"""Workers that were down: left alone for a while, by all clients of the user, and not a moment longer."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from shadowfarm.cooldown import Cooldown


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "run"
    monkeypatch.setenv("SHADOWFARM_RUNTIME", str(folder))
    return folder


def age(runtime: Path, seconds: float) -> None:
    """Let all that is remembered be that much older."""
    for file in (runtime / "down").iterdir():
        before = file.stat().st_mtime - seconds
        os.utime(file, (before, before))


def test_a_worker_that_was_down_is_left_alone_until_its_time_is_over(runtime: Path) -> None:
    cooldown = Cooldown(5)
    assert not cooldown.is_down("build2:7711")
    cooldown.down("build2:7711")
    assert cooldown.is_down("build2:7711")
    assert not cooldown.is_down("build2:7712")
    age(runtime, 4)
    assert cooldown.is_down("build2:7711")
    age(runtime, 1.1)
    assert not cooldown.is_down("build2:7711")


def test_a_worker_that_fails_again_is_left_alone_from_then_on(runtime: Path) -> None:
    cooldown = Cooldown(5)
    cooldown.down("a:1")
    age(runtime, 6)
    cooldown.down("a:1")
    assert cooldown.is_down("a:1")


def test_a_worker_that_answers_is_not_left_alone_any_more() -> None:
    cooldown = Cooldown(5)
    cooldown.down("a:1")
    cooldown.up("a:1")
    cooldown.up("a:1")
    assert not cooldown.is_down("a:1")


def test_another_client_knows_of_it() -> None:
    Cooldown(60).down("a:1")
    code = "from shadowfarm.cooldown import Cooldown; import sys; sys.exit(3 if Cooldown(60).is_down('a:1') else 0)"
    root = Path(__file__).resolve().parent.parent
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 3


def test_no_cooldown_remembers_nothing(runtime: Path) -> None:
    cooldown = Cooldown(0)
    cooldown.down("a:1")
    assert not cooldown.is_down("a:1")
    assert not list((runtime / "down").iterdir())
    Cooldown(5).down("a:1")
    assert not cooldown.is_down("a:1")


def test_a_clock_that_was_set_back_does_not_leave_a_worker_alone_for_ever(runtime: Path) -> None:
    cooldown = Cooldown(5)
    cooldown.down("a:1")
    age(runtime, -3600)
    assert not cooldown.is_down("a:1")


@pytest.mark.parametrize("address", ["unix:/a/b/c", "unix:/" + "x" * 106, "[::1]:7711", "local", "unix:/\udcff"])
def test_any_address_can_be_remembered(address: str) -> None:
    cooldown = Cooldown(5)
    cooldown.down(address)
    assert cooldown.is_down(address)


def test_the_folder_is_for_this_user_only(runtime: Path) -> None:
    Cooldown(5).down("a:1")
    for folder in (runtime, runtime / "down"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_many_clients_at_once_do_not_trip_over_each_other() -> None:
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(200):
                cooldown = Cooldown(5)
                cooldown.down("a:1")
                cooldown.is_down("a:1")
                cooldown.up("a:1")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
