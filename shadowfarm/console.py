"""What a worker shows: a line or an icon for each job, readable in a file, too."""

from __future__ import annotations

import itertools
import os
import shlex
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TextIO

from .job import JobSpec

_LONGEST_COMMAND = 160


class Console:
    """Prints to `out`; each job in turn gets the next of the colours and icons of the worker's file.

    Without icons, and whenever `out` is no terminal: a line for each job, at its end.
    """

    def __init__(
        self,
        out: TextIO = sys.stdout,
        *,
        colors: Sequence[str] = (),
        colors_bg: Sequence[str] = (),
        icons: Sequence[str] = (),
        debug: bool = False,
    ) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._debug = debug
        self._terminal = out.isatty()
        self._colors: Iterator[str] = itertools.cycle(colors or ("",))
        self._colors_bg: Iterator[str] = itertools.cycle(colors_bg or ("",))
        self._icons: Iterator[str] | None = itertools.cycle(icons) if icons and self._terminal else None
        self._column = 0

    def say(self, text: str) -> None:
        """A line about the worker itself."""
        with self._lock:
            self._line(f"{time.strftime('%H:%M:%S')} {text}")

    def debug(self, text: str) -> None:
        """A line that only `debug` shows."""
        if self._debug:
            self.say(text)

    def job(self, number: int, spec: JobSpec, how: str, seconds: float) -> None:
        """A job ended: `how` is its exit status, "signal N", or why it did not run."""
        with self._lock:
            look = self._look()
            if self._icons is not None and how == "0":
                self._icon(look)
            else:
                command = shlex.join(os.fsdecode(item) for item in spec.argv)
                if len(command) > _LONGEST_COMMAND:
                    command = command[: _LONGEST_COMMAND - 3] + "..."
                self._line(look(f"{time.strftime('%H:%M:%S')} #{number} [{how}] {seconds:.2f} s {command}"))

    def _look(self) -> Look:
        return Look(next(self._colors), next(self._colors_bg), self._terminal)

    def _icon(self, look: Look) -> None:
        assert self._icons is not None
        self._write(look.dress(next(self._icons)))
        self._column += 1

    def _line(self, text: str) -> None:
        # Control characters of an argument must not reach the terminal; what is not text is shown escaped.
        encoding = getattr(self._out, "encoding", None) or "utf-8"
        shown = text.encode(encoding, "backslashreplace").decode(encoding)
        self._write(("\n" if self._column else "") + shown + "\n")
        self._column = 0

    def _write(self, text: str) -> None:
        try:
            self._out.write(text)
            self._out.flush()
        except (OSError, ValueError):
            pass  # a console that went away must not end jobs


class Look:
    """A foreground and a background colour; on what is no terminal, none."""

    def __init__(self, color: str, background: str, terminal: bool) -> None:
        self._color, self._background, self._terminal = color, background, terminal

    def __call__(self, text: str) -> str:
        """The text in these colours, what cannot be printed escaped."""
        return self.dress("".join(item if item.isprintable() else _escaped(item) for item in text))

    def dress(self, text: str) -> str:
        """The text in these colours."""
        if not self._terminal or not (self._color or self._background):
            return text
        from plumbum import colors

        styles = [colors.fg(self._color)] if self._color else []
        styles += [colors.bg(self._background)] if self._background else []
        style = styles[0] & styles[1] if len(styles) == 2 else styles[0]
        return str(style | text)


def _escaped(item: str) -> str:
    return item.encode("unicode_escape").decode()
