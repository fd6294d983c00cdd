"""Worker addresses: every good spelling survives the way there and back, every bad one is told with its cure."""

from __future__ import annotations

import pytest

from shadowfarm import address, statuses
from shadowfarm.address import Address
from shadowfarm.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("build2:7711", Address("tcp", "build2", 7711)),
        ("10.0.0.7:1", Address("tcp", "10.0.0.7", 1)),
        ("localhost:65535", Address("tcp", "localhost", 65535)),
        ("[::1]:7711", Address("tcp", "::1", 7711)),
        ("[fe80::1%eth0]:7711", Address("tcp", "fe80::1%eth0", 7711)),
        ("local:7711", Address("tcp", "local", 7711)),
        ("unix:/run/w1.sock", Address("unix", path="/run/w1.sock")),
        ("unix:/home/me/my files/w:1", Address("unix", path="/home/me/my files/w:1")),
        ("unix:/" + "x" * 106, Address("unix", path="/" + "x" * 106)),
        ("local", Address("local")),
    ],
)
def test_an_address_reads_back_as_the_user_wrote_it(text: str, expected: Address) -> None:
    assert address.parse(text) == expected
    assert str(address.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("build2", "no port"),
        ("", "no port"),
        ("[::1]", "no port"),
        ("::1:7711", "IPv6 address needs brackets"),
        ("[build2]:7711", "brackets are for an IPv6"),
        (":7711", "no host"),
        ("build2:", "no port, which is a number"),
        ("build2:0", "'0' is no port"),
        ("build2:65536", "'65536' is no port"),
        ("build2:-1", "'-1' is no port"),
        ("build2:+7711", "no port"),
        ("build2:07711", "no port"),
        ("build2:7_711", "no port"),
        ("build2:\u0667\u0667", "no port"),
        ("build2:" + "9" * 5000, "no port"),
        ("build2:http", "'http' is no port"),
        ("http://build2:80", "IPv6|no host's name"),
        ("me@build2:22", "'me@build2' is no host's name"),
        ("build 2:7711", "no host's name"),
        ("build2:7711\n", "no port"),
        ("bu\nild2:7711", "no host's name"),
        ("unix:", "not absolute"),
        ("unix:w1.sock", "not absolute"),
        ("unix:/tmp/a\0b", "control character"),
        ("unix:/" + "x" * 107, "at most 107 bytes"),
        ("unix:/" + "ü" * 54, "at most 107 bytes"),
    ],
)
def test_a_text_that_is_no_address_is_refused_with_the_reason_and_the_cure(text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        address.parse(text)
    assert caught.value.status == statuses.BAD_CONFIG
    assert caught.value.cure
    assert "\n" not in caught.value.line()
