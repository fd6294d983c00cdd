"""Own exit statuses: in the range that compilers leave free, each told apart, each in the one table."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import shadowfarm
from shadowfarm import errors, statuses
from shadowfarm.errors import ConfigError, FarmError, NotStarted

NAMED = {name: value for name, value in vars(statuses).items() if name.isupper() and isinstance(value, int)}


def _load_all() -> None:
    for module in pkgutil.iter_modules(shadowfarm.__path__):
        importlib.import_module(f"shadowfarm.{module.name}")


def classes(base: type[FarmError] = FarmError) -> list[type[FarmError]]:
    return [base, *(item for child in base.__subclasses__() for item in classes(child))]


def test_own_statuses_lie_where_no_compiler_has_its_own() -> None:
    for name, status in NAMED.items():
        assert 100 <= status <= 125 or (name, status) in {("NOT_EXECUTABLE", 126), ("NOT_FOUND", 127)}, name


def test_no_two_statuses_are_the_same() -> None:
    assert len(set(NAMED.values())) == len(NAMED)


def test_every_status_has_its_meaning_in_the_table_and_the_table_has_no_other() -> None:
    assert set(NAMED.values()) == set(statuses.MEANINGS)
    assert all(meaning and "\n" not in meaning for meaning in statuses.MEANINGS.values())


def test_every_error_ends_with_a_status_of_the_table() -> None:
    _load_all()
    found = classes()
    assert len(found) >= 6
    for item in found:
        assert item.status in statuses.MEANINGS, item


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    own = {item.__name__ for item in classes() if item.__module__ == errors.__name__}
    drawn = {line.replace("+--", "").split()[0] for line in (errors.__doc__ or "").splitlines() if line[:4] == "    "}
    assert drawn == own


def test_an_error_is_one_line_with_its_cure() -> None:
    assert FarmError("x is broken", "Mend it.").line() == "shadowfarm: x is broken. Mend it."
    assert FarmError("x is broken").line() == "shadowfarm: x is broken."
    assert str(ConfigError("what", "cure")) == "what"


def test_a_status_given_to_one_error_is_not_that_of_its_class() -> None:
    assert NotStarted("x", status=statuses.NOT_FOUND).status == statuses.NOT_FOUND
    assert NotStarted("x").status == statuses.NO_WORKER


@pytest.mark.parametrize("status", sorted(statuses.MEANINGS))
def test_only_a_program_that_cannot_run_makes_other_workers_pointless(status: int) -> None:
    expected = status in (statuses.NOT_FOUND, statuses.NOT_EXECUTABLE)
    assert NotStarted("x", status=status).final is expected
