"""The README tells what is true."""

from __future__ import annotations

import re

from shadowfarm import statuses

from .conftest import ROOT

TEXT = (ROOT / "README.md").read_text()


def test_the_table_of_statuses_is_the_codes() -> None:
    table = {int(number): meaning for number, meaning in re.findall(r"^\| (\d{3}) \| (.+) \|$", TEXT, re.MULTILINE)}
    assert table == statuses.MEANINGS


def test_files_that_the_readme_names_are_there() -> None:
    named = set(re.findall(r"(?:tests|samples|shadowfarm|ue)/[\w./-]*\w", TEXT))
    assert named
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_the_top_level_holds_what_it_should() -> None:
    allowed = {
        "client.py",
        "worker.py",
        "config.py",
        "samples",
        "ue",
        "tests",
        "README.md",
        "pyproject.toml",
        "shadowfarm",
    }
    passing = {"build", "dist", "__pycache__"}
    seen = {path.name for path in ROOT.iterdir() if not path.name.startswith(".") and path.suffix != ".egg-info"}
    assert seen - passing == allowed
