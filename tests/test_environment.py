"""What of the environment travels: all of it, byte for byte, less what is only true here."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowfarm.config import Config
from shadowfarm.environment import forwarded, without_jobserver


def test_the_environment_travels_byte_for_byte_and_in_order() -> None:
    environ = {b"A": b"1", b"\xff": b"\xfe\n=", b"EMPTY": b"", b"lower": b" "}
    assert forwarded(environ, ()) == (b"A=1", b"\xff=\xfe\n=", b"EMPTY=", b"lower= ")


@pytest.mark.parametrize(
    ("name", "travels"),
    [
        (b"SSH_AUTH_SOCK", False),
        (b"SSH_", False),
        (b"SSH", True),
        (b"MY_SSH_KEY", True),
        (b"DISPLAY", False),
        (b"DISPLAY_NAME", True),
        (b"display", True),
        (b"WAYLAND_DISPLAY", False),
        (b"XDG_RUNTIME_DIR", False),
        (b"XDG_CONFIG_HOME", True),
        (b"DBUS_SESSION_BUS_ADDRESS", False),
        (b"PATH", True),
        (b"SSH_\xff\n", False),
    ],
)
def test_what_is_only_true_here_stays_here(name: bytes, travels: bool) -> None:
    assert bool(forwarded({name: b"x"}, Config().env_skip)) is travels


def test_a_pattern_matches_whole_names_and_may_use_all_of_the_shells_signs() -> None:
    environ = {name: b"" for name in (b"A1", b"A2", b"A12", b"B.C", b"BxC")}
    assert forwarded(environ, ("A?", "B.C")) == (b"A12=", b"BxC=")
    assert forwarded(environ, ("A[!2]", "*x*")) == (b"A2=", b"A12=", b"B.C=")
    assert forwarded(environ, ("*",)) == ()


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (b"", b""),
        (b"ks", b"ks"),
        (b" -j4 --jobserver-auth=3,4", b""),
        (b"k -j8 --jobserver-auth=fifo:/tmp/GMfifo123 --output-sync", b"k --output-sync"),
        (b"-j --jobserver-fds=7,8 --jobserver-auth=7,8", b""),
        (b"w -j --jobserver-fds=3,4", b"w"),
        (b"-j4", b"-j4"),
        (b"-j4 --jobserver-auth=3,4 -- CC=gcc OPT=-j4", b" -- CC=gcc OPT=-j4"),
        (b"-j4 --jobserver-auth=3,4 -- OPT=-O2\\ -j4", b" -- OPT=-O2\\ -j4"),
        (b"k -- X=--jobserver-auth=3,4", b"k -- X=--jobserver-auth=3,4"),
    ],
)
def test_makes_jobserver_does_not_travel_and_all_its_other_flags_do(flags: bytes, expected: bytes) -> None:
    assert without_jobserver(flags).strip(b" ") == expected.strip(b" ")


def test_the_jobserver_is_taken_out_of_makes_variables_only() -> None:
    value = b"k -j4 --jobserver-auth=3,4"
    environ = {name: value for name in (b"MAKEFLAGS", b"MFLAGS", b"CARGO_MAKEFLAGS", b"MY_FLAGS")}
    assert forwarded(environ, ()) == (
        b"MAKEFLAGS=k",
        b"MFLAGS=k",
        b"CARGO_MAKEFLAGS=k",
        b"MY_FLAGS=" + value,
    )


NAMES = st.binary(min_size=1, max_size=8).filter(lambda name: b"=" not in name and b"\0" not in name)


@given(st.dictionaries(NAMES, st.binary(max_size=20)), st.lists(st.text(max_size=4), max_size=4))
def test_no_item_is_changed_or_made_up_whatever_the_patterns(environ: dict[bytes, bytes], skip: list[str]) -> None:
    for item in forwarded(environ, skip):
        name, _, value = item.partition(b"=")
        assert environ[name] == value or name in (b"MAKEFLAGS", b"MFLAGS")
