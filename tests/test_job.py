"""A job on the wire: it comes out as it went in, and what is no job is refused before anything is done with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from rpyc.core import brine

from shadowfarm.job import CLOSED, NULL, PIPE, TTY, JobSpec, Stream, Terminal

SPEC = JobSpec(
    program=b"/usr/bin/clang++_",
    shown_as=b"/usr/bin/clang++",
    argv=(b"/usr/bin/clang++_", b"", b"a b\n", b"\xff\xfe"),
    cwd=b"/work/\xff here",
    env=(b"A=1", b"EMPTY=", b"B=\xff=\n"),
    umask=0o27,
    shell=False,
    ignored=(1, 3),
    streams=(Stream(NULL, 0), Stream(PIPE, 1), Stream(PIPE, 1)),
    stdin=False,
    terminal=None,
    drain_s=1.0,
)
INTERACTIVE = replace(
    SPEC,
    streams=(Stream(TTY, 0), Stream(TTY, 0), Stream(TTY, 0)),
    terminal=Terminal((50, 132, 800, 600), (1, 2, 3, 4, b"\x03\x1c\x7f"), "linux"),
)


def wire(spec: JobSpec, **changes: Any) -> tuple[Any, ...]:
    """The spec as it crosses the wire, with some fields replaced by whatever is given."""
    values = dict(zip(vars(spec), spec.to_wire(), strict=True))
    return tuple({**values, **changes}.values())


@pytest.mark.parametrize(
    "spec",
    [
        SPEC,
        INTERACTIVE,
        replace(SPEC, env=None, shown_as=b"", program=b"cc", shell=True, stdin=True, drain_s=0),
        replace(SPEC, streams=(Stream(CLOSED, 0), Stream(CLOSED, 1), Stream(TTY, 2)), terminal=Terminal()),
        replace(SPEC, argv=(b"cc", b"x" * 200_000), env=tuple(b"N%d=1" % number for number in range(2000))),
    ],
)
def test_a_job_comes_out_of_the_wire_as_it_went_in(spec: JobSpec) -> None:
    crossed = brine.load(brine.dump(spec.to_wire()))
    assert JobSpec.from_wire(crossed) == spec


def test_a_job_needs_no_reference_to_cross_the_wire() -> None:
    assert brine.dumpable(SPEC.to_wire())
    assert brine.dumpable(INTERACTIVE.to_wire())


def test_only_a_terminal_with_settings_is_one_that_somebody_types_at() -> None:
    assert not SPEC.interactive
    assert not replace(SPEC, terminal=Terminal()).interactive
    assert INTERACTIVE.interactive


@pytest.mark.parametrize(
    "values", [None, 5, b"job", (), (1,), list(SPEC.to_wire()), SPEC.to_wire()[:-1], (*SPEC.to_wire(), 1)]
)
def test_what_has_not_a_jobs_fields_is_refused(values: Any) -> None:
    with pytest.raises(ValueError, match="fields"):
        JobSpec.from_wire(values)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("program", "cc"),
        ("program", None),
        ("program", b""),
        ("shown_as", None),
        ("shown_as", "/usr/bin/cc"),
        ("shown_as", b"cc"),
        ("argv", ()),
        ("argv", b"cc"),
        ("argv", (b"cc", "x")),
        ("argv", (b"cc", None)),
        ("cwd", "/"),
        ("cwd", None),
        ("env", b"A=1"),
        ("env", (b"A=1", "B=2")),
        ("env", ((b"A", b"1"),)),
        ("umask", "022"),
        ("umask", None),
        ("umask", -1),
        ("umask", 1 << 40),
        ("shell", 1),
        ("shell", None),
        ("stdin", "yes"),
        ("ignored", 1),
        ("ignored", (b"1",)),
        ("drain_s", "1"),
        ("drain_s", None),
        ("drain_s", -1),
        ("drain_s", float("nan")),
        ("drain_s", float("inf")),
        ("drain_s", 1e300),
    ],
)
def test_a_field_of_the_wrong_type_or_beyond_all_bounds_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValueError):
        JobSpec.from_wire(wire(SPEC, **{field: value}))


def test_a_renamed_program_needs_whole_paths() -> None:
    with pytest.raises(ValueError, match="whole path"):
        JobSpec.from_wire(wire(SPEC, program=b"clang++_"))


@pytest.mark.parametrize(
    "streams",
    [
        None,
        (),
        ((NULL, 0), (PIPE, 1)),
        ((NULL, 0),) * 4,
        (1, 2, 3),
        ((NULL,), (PIPE, 1), (PIPE, 2)),
        (None, (PIPE, 1), (PIPE, 2)),
        (("file", 0), (PIPE, 1), (PIPE, 2)),
        ((None, 0), (PIPE, 1), (PIPE, 2)),
        ((NULL, "0"), (PIPE, 1), (PIPE, 2)),
        ((NULL, 1), (PIPE, 1), (PIPE, 2)),
        ((NULL, 0), (PIPE, 1), (PIPE, 3)),
        ((NULL, 0), (PIPE, -1), (PIPE, 2)),
    ],
)
def test_streams_that_are_none_are_refused(streams: Any) -> None:
    with pytest.raises(ValueError):
        JobSpec.from_wire(wire(SPEC, streams=streams))


@pytest.mark.parametrize(
    "terminal",
    [
        5,
        (),
        ((24, 80, 0, 0), None),
        ((24, 80), None, "linux"),
        ([24, 80, 0, 0], None, "linux"),
        ((24, 80, 0, "0"), None, "linux"),
        ((24, 80, 0, 0), None, None),
        ((24, 80, 0, 0), 5, "linux"),
        ((24, 80, 0, 0), (1, 2, 3, b""), "linux"),
        ((24, 80, 0, 0), (1, 2, 3, "4", b""), "linux"),
        ((24, 80, 0, 0), (1, 2, 3, 4, "chars"), "linux"),
        ((24, 80, 0, 0), (), "linux"),
    ],
)
def test_a_terminal_that_is_none_is_refused(terminal: Any) -> None:
    with pytest.raises(ValueError):
        JobSpec.from_wire(wire(INTERACTIVE, terminal=terminal))


@pytest.mark.parametrize(
    "changes",
    [
        {"program": b"/bin/c\0c"},
        {"shown_as": b"/bin/c\0c"},
        {"cwd": b"/\0"},
        {"argv": (b"cc", b"a\0b")},
        {"env": (b"A=\0",)},
    ],
)
def test_a_nul_is_refused_wherever_a_program_would_see_it_as_an_end(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="NUL"):
        JobSpec.from_wire(wire(SPEC, **changes))
