"""JSON with comments: // and /* */, and a comma after the last entry, as people write it by hand.

What is no JSON is blanked in place, so that every line and column that an error names is that of the user's file.
"""

from __future__ import annotations

import json
import re

# A string comes first in each pattern: what looks like a comment or a last comma inside of one is left alone.
_STRING = r'"(?:\\.|[^"\\\n])*"'
_COMMENTS = re.compile(rf"{_STRING}|(?P<blank>//[^\n]*|/\*.*?\*/)|(?P<open>/\*)", re.DOTALL)
_LAST_COMMAS = re.compile(rf"{_STRING}|(?P<blank>,)(?=\s*[\]}}])", re.DOTALL)


class BadText(Exception):
    """The text is not JSON at `line` and `column`, both counted from 1 (0: not known)."""

    def __init__(self, what: str, line: int = 0, column: int = 0) -> None:
        super().__init__(what)
        self.what = what
        self.line = line
        self.column = column


def parse(text: str) -> object:
    """The value that the text stands for. Raises: BadText: it is not JSON, or gives one name twice."""
    try:
        return json.loads(blanked(text), object_pairs_hook=_object, parse_constant=_constant)
    except json.JSONDecodeError as error:
        raise BadText(error.msg.removesuffix(" at").removesuffix(" starting"), error.lineno, error.colno) from error
    except RecursionError as error:
        raise BadText("nested too deeply") from error


def blanked(text: str) -> str:
    """The text with blanks for its comments and last commas; every other character stays where it is.

    Raises: BadText: a comment has no end.
    """
    return _LAST_COMMAS.sub(_blank, _COMMENTS.sub(_blank, text))


def line_of(text: str, name: str) -> int:
    """The line that gives `name` a value first; 0 where none is seen."""
    found = re.search(rf"{re.escape(json.dumps(name, ensure_ascii=False))}\s*:", blanked(text))
    return text.count("\n", 0, found.start()) + 1 if found else 0


def _blank(match: re.Match[str]) -> str:
    groups = match.groupdict()
    if groups.get("open"):
        line = match.string.count("\n", 0, match.start()) + 1
        raise BadText("a comment /* has no */", line, match.start() - match.string.rfind("\n", 0, match.start()))
    return re.sub(r"[^\n]", " ", groups["blank"]) if groups["blank"] else match.group()


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    names = [name for name, _ in pairs]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise BadText(f'"{twice[0]}" is given twice')
    return dict(pairs)


def _constant(name: str) -> object:
    raise BadText(f"{name} is no value of JSON")
