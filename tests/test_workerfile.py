"""worker.js: comments vanish without moving anything, every key is checked, no worker listens openly by accident."""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from shadowfarm import jsontext, statuses, workerfile
from shadowfarm.errors import ConfigError
from shadowfarm.workerfile import COLORS, KEYS, WorkerFile

SAMPLE = Path(__file__).resolve().parent.parent / "samples" / "worker.js"

Write = Callable[[str], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str) -> str:
        path = tmp_path / "worker.js"
        path.write_bytes(text.encode())
        return str(path)

    return write


def refused(path: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        workerfile.load(path)
    assert caught.value.status == statuses.BAD_CONFIG
    assert "\n" not in caught.value.line()
    return caught.value


# --- the sample


def test_the_sample_loads_and_says_what_the_defaults_are() -> None:
    assert workerfile.load(str(SAMPLE)) == WorkerFile(path=str(SAMPLE))


def test_the_sample_explains_every_key() -> None:
    text = SAMPLE.read_text()
    explained = re.findall(r'^    // .*\n((?:    "\w+": .*\n)+)', text, re.MULTILINE)
    assert {key for block in explained for key in re.findall(r'"(\w+)":', block)} == KEYS.keys()
    assert all(color in text for color in COLORS)


# --- values


def test_every_key_arrives_in_its_field(write: Write) -> None:
    loaded = workerfile.load(
        write(
            '{"host": "0.0.0.0", "insecure": true, "port": "7712", "numTasks": "3", "timeout": 60,'
            '"timeoutRead": "0.1", "readSize": 1024, "debug": 1, "colors": ["red", "Light Blue"], '
            '"colorsBg": "dark-gray", "icons": ["o", "x"], "remapCmds": {"clang": "/opt/clang"},'
            '"remapDirs": {"/a": "/b"}}'
        )
    )
    assert loaded == WorkerFile(
        path=loaded.path,
        host="0.0.0.0",
        port=7712,
        unix=None,
        num_tasks=3,
        timeout_s=60.0,
        timeout_read_s=0.1,
        read_size=1024,
        debug=True,
        colors=("red", "light_blue"),
        colors_bg=("dark_gray",),
        icons=("o", "x"),
        remap_cmds={"clang": "/opt/clang"},
        remap_dirs={"/a": "/b"},
        insecure=True,
    )
    assert isinstance(loaded.port, int)


def test_an_empty_object_and_nulls_give_the_defaults(write: Write) -> None:
    path = write("{}")
    assert workerfile.load(path) == WorkerFile(path=path)
    nulls = ", ".join(f'"{key}": null' for key in KEYS)
    assert workerfile.load(write(f"{{{nulls}}}")) == WorkerFile(path=path)
    assert workerfile.defaults() == WorkerFile(path="")
    assert workerfile.defaults().num_tasks == os.cpu_count()


def test_a_unix_socket_takes_the_place_of_host_and_port(write: Write) -> None:
    assert workerfile.load(write('{"unix": "/run/my w.sock"}')).unix == "/run/my w.sock"
    for other in ('"host": "localhost"', '"port": 7711'):
        error = refused(write(f'{{"unix": "/run/w.sock",\n{other}}}'))
        assert error.what.endswith(":1: unix is given, and so is host or port")


def test_single_texts_stand_for_lists_and_empty_ones_for_none(write: Write) -> None:
    loaded = workerfile.load(write('{"icons": "🍏", "colors": "", "colorsBg": []}'))
    assert (loaded.icons, loaded.colors, loaded.colors_bg) == (("🍏",), (), ())


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.8.9.10", "::1", "[::1]"])
def test_a_loopback_host_needs_no_confirmation(write: Write, host: str) -> None:
    assert workerfile.load(write(f'{{"host": "{host}"}}')).host == host.strip("[]")


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "10.0.0.7", "build2", "localhost.example.com", "128.0.0.1", "fe80::1"]
)
@pytest.mark.parametrize("insecure", ["", ', "insecure": false', ', "insecure": "0"', ', "insecure": null'])
def test_a_host_that_others_reach_is_refused_unless_confirmed(write: Write, host: str, insecure: str) -> None:
    error = refused(write(f'{{\n"host": "{host}"{insecure}}}'))
    assert ":2: host is" in error.what
    assert "ssh" in error.cure
    assert '"insecure": true' in error.cure
    assert workerfile.load(write(f'{{"host": "{host}", "insecure": true}}')).host == host


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('"port": 65536', "port is 65536, not a whole number from 0 to 65535"),
        ('"port": -1', "port is -1, not"),
        ('"port": "http"', "port is 'http', not"),
        ('"port": 77.5', "port is 77.5, not"),
        ('"port": true', "port is True, not"),
        ('"port": [7711]', r"port is \[7711\], not"),
        ('"port": 1e999', "port is inf, not"),
        ('"port": "nan"', "port is 'nan', not"),
        ('"port": ' + "9" * 400, "port is 999"),
        ('"numTasks": 0', "numTasks is 0, not a whole number from 1"),
        ('"numTasks": ""', "numTasks is '', not"),
        ('"timeout": -1', "timeout is -1, not a number of seconds"),
        ('"timeoutRead": 61', "timeoutRead is 61, not a number of seconds from 0 to 60"),
        ('"readSize": 0', "readSize is 0, not"),
        ('"readSize": 16777217', "readSize is 16777217, not"),
        ('"debug": "maybe"', "debug is 'maybe', not true or false"),
        ('"debug": 2', "debug is 2, not"),
        ('"host": ""', "host is '', not the name"),
        ('"host": 127', "host is 127, not the name"),
        ('"unix": "w.sock"', "unix is 'w.sock', not the absolute path"),
        ('"unix": "/' + "x" * 107 + '"', "unix has more than 107 bytes"),
        ('"colors": "mauve"', "colors has no colour 'mauve'"),
        ('"colorsBg": ["red", 5]', r"colorsBg is \['red', 5\], not a text or a list"),
        ('"icons": 5', "icons is 5, not a text"),
        (r'"icons": "\u001b[2J"', "icons has .* control character"),
        ('"remapCmds": ["a"]', r"remapCmds is \['a'\], not an object"),
        ('"remapCmds": {"a": 5}', "remapCmds is {'a': 5}, not an object"),
        ('"remapDirs": {"": "/b"}', "remapDirs is {'': '/b'}, not an object"),
        ('"remapDirs": {"/": "/b"}', "remapDirs maps '/', which is the start of every path"),
    ],
)
def test_a_wrong_value_is_told_with_file_line_and_key(write: Write, text: str, what: str) -> None:
    key = text.partition(":")[0]
    path = write(f"// {key}: 1\n{{\n  /* {key}: 2 */\n  {text}\n}}")
    assert re.match(f"{re.escape(path)}:4: {what}", refused(path).what)


def test_an_unknown_key_is_told_with_the_nearest(write: Write) -> None:
    error = refused(write('{\n"port": 7711,\n"numtasks": 4}'))
    assert error.what.endswith("worker.js:3: numtasks is no key of a worker's file")
    assert error.cure == "Did you mean numTasks?"
    assert refused(write('{"zzz": 4}')).cure.startswith("The keys are host, port, unix,")


# --- not JSON


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "1:1: not JSON: Expecting value"),
        ('{\n  "port": 7711\n  "host": "localhost"\n}', "3:3: not JSON: Expecting ',' delimiter"),
        ("/* one\n two */ {\n // three\n  /* 4 */ port: 5}", "4:11: not JSON: Expecting property name"),
        ('{ "a": "x // y", b }', "1:18: not JSON"),
        ('{"a": 1,\r\n // two\r\n b}', "3:2: not JSON"),
        ('{ "port": 1 } }', "1:15: not JSON: Extra data"),
        ('{\n  /* never closed\n "port": 1 }', "2:3: not JSON: a comment /* has no */"),
        ('{"a": "unclosed // \n}', "1:20: not JSON: Invalid control character"),
        ('{"a": 1,, }', "1:"),
        ("['x'", "1:2: not JSON"),
    ],
)
def test_what_is_not_json_is_told_with_the_place_in_the_users_file(write: Write, text: str, what: str) -> None:
    path = write(text)
    assert refused(path).what.startswith(f"{path}:{what}")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('{"port": 1, "port": 2}', ': not JSON: "port" is given twice'),
        ('{"port": NaN}', ": not JSON: NaN is no value of JSON"),
        ("[" * 200_000, ": not JSON: nested too deeply"),
        ("[1]", ": is [1], not an object"),
        ('"x"', ": is 'x', not an object"),
    ],
)
def test_json_that_is_no_worker_file_is_refused(write: Write, text: str, what: str) -> None:
    path = write(text)
    assert refused(path).what == path + what


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    assert "cannot be read: No such file" in refused(str(tmp_path / "none.js")).what
    assert "cannot be read: Is a directory" in refused(str(tmp_path)).what
    latin = tmp_path / "latin.js"
    latin.write_bytes(b'{\n"host":\n"b\xfccher"}')
    assert refused(str(latin)).what.endswith("latin.js:3: not UTF-8")


def test_a_byte_order_mark_is_no_error(write: Write) -> None:
    assert workerfile.load(write('\ufeff{"port": 7712}')).port == 7712


# --- comments


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": "// no /* comment */"} // one', {"a": "// no /* comment */"}),
        ('{"a": "\\"// no"} /* "one */', {"a": '"// no'}),
        ('{"a": "\\\\"} // "one', {"a": "\\"}),
        ('{/**/"a"/***/:/*/ * /*/1/* // */}//', {"a": 1}),
        ('{"a": [1, 2, ], }', {"a": [1, 2]}),
        ('{"a": [1, /* last */ ] // one\n , // two\n }', {"a": [1]}),
        ('{"a": ",]", "b": ",\\"}",}', {"a": ",]", "b": ',"}'}),
        ("// one\r\n{} // two\r\n", {}),
        ("// '\n{} // \"", {}),
    ],
)
def test_comments_and_last_commas_vanish_but_never_out_of_a_string(text: str, expected: object) -> None:
    assert jsontext.parse(text) == expected


@pytest.mark.parametrize("seed", range(200))
def test_any_value_with_comments_anywhere_between_its_tokens_reads_the_same(seed: int) -> None:
    dice = random.Random(seed)  # the seed is in the test's name
    value = _any_value(dice, depth=4)
    tokens = re.findall(
        r'"(?:\\.|[^"\\])*"|[^\s"\[\]{},:]+|[\[\]{},:]', json.dumps(value, ensure_ascii=dice.random() < 0.5)
    )
    text = "".join(
        _any_filler(dice) + _maybe_last_comma(dice, before, token) + token
        for before, token in zip(["", *tokens[:-1]], tokens, strict=True)
    )
    text += _any_filler(dice)
    assert jsontext.parse(text) == value
    blanked = jsontext.blanked(text)
    assert len(blanked) == len(text)
    assert [at for at, sign in enumerate(blanked) if sign == "\n"] == [
        at for at, sign in enumerate(text) if sign == "\n"
    ]


def _any_value(dice: random.Random, depth: int) -> object:
    kind = dice.choice(["text", "text", "number", "word", "list", "object"]) if depth else "text"
    if kind == "list":
        return [_any_value(dice, depth - 1) for _ in range(dice.randrange(4))]
    if kind == "object":
        return {_any_text(dice): _any_value(dice, depth - 1) for _ in range(dice.randrange(4))}
    return {"text": _any_text(dice), "number": dice.randrange(-99, 99) / 4, "word": dice.choice([True, None])}[kind]


def _any_text(dice: random.Random) -> str:
    parts = ["//", "/*", "*/", '"', "\\", "\n", ",]", ",}", ", ]", " ", "ü", "\u2028", "a"]
    return "".join(dice.choices(parts, k=dice.randrange(8)))


def _any_filler(dice: random.Random) -> str:
    parts = ["", " ", "\n", "\r\n", "\t", "/**/", '/* " */', "/*/ ,] \n */", "// x\n", '// "/*\n', "//,}\r\n"]
    return "".join(dice.choices(parts, k=dice.randrange(3)))


def _maybe_last_comma(dice: random.Random, before: str, token: str) -> str:
    if token in ("]", "}") and before not in ("[", "{") and dice.random() < 0.5:
        return "," + _any_filler(dice)
    return ""
