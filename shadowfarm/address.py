"""Where a worker is: the addresses that WORKERS in config.py is made of.

host:port      build2:7711, 10.0.0.7:7711, [::1]:7711 (an IPv6 address needs the brackets)
unix:/path     a UNIX socket, for instance the near end of an ssh forward
local          a worker on this machine that the client starts by itself
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from .errors import ConfigError

LONGEST_SOCKET_PATH_BYTES = 107
"""`sun_path` of Linux less its closing NUL; no system that we run on takes more."""

_CURE = 'Write "host:port", "[IPv6]:port", "unix:/absolute/path" or "local".'


@dataclass(frozen=True)
class Address:
    """One worker's place: `host` and `port` belong to the kind "tcp", `path` to the kind "unix"."""

    kind: str
    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        """The text that it was parsed from: `parse` takes one spelling of each address only."""
        if self.kind == "tcp":
            return join(self.host, self.port)
        return f"unix:{self.path}" if self.kind == "unix" else self.kind


def parse(text: str) -> Address:
    """The address that `text` spells. Raises: ConfigError: it spells none; says why, and what to write."""
    if text == "local":
        return Address("local")
    if text.startswith("unix:"):
        return _parse_unix(text)
    return _parse_tcp(text)


def join(host: str, port: int | str) -> str:
    """The text of a TCP address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _parse_unix(text: str) -> Address:
    path = text[len("unix:") :]
    if not os.path.isabs(path):
        raise _bad(text, "the socket's path is not absolute")
    if "\0" in path or "\n" in path:
        raise _bad(text, "the socket's path has a control character in it")
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH_BYTES:
        raise _bad(
            text, f"a socket's path has at most {LONGEST_SOCKET_PATH_BYTES} bytes", "Put it in a shorter folder."
        )
    return Address("unix", path=path)


def _parse_tcp(text: str) -> Address:
    host, colon, port = text.rpartition(":")
    if not colon or (text.startswith("[") and text.endswith("]")):
        raise _bad(text, "it has no port")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if ":" not in host:
            raise _bad(text, "the brackets are for an IPv6 address")
    elif ":" in host:
        raise _bad(text, "an IPv6 address needs brackets")
    if not host:
        raise _bad(text, "it has no host")
    if not host.isprintable() or any(sign in host for sign in " /@[]\\"):
        raise _bad(text, f"{host!r} is no host's name")
    return Address("tcp", host, _port(text, port))


def _port(text: str, digits: str) -> int:
    # The second test refuses what int() would take and a reader would not: "07711", "7_711", digits of other scripts.
    if not digits.isdecimal() or len(digits) > 5 or str(int(digits)) != digits or not 1 <= int(digits) <= 65535:
        raise _bad(text, f"{digits!r} is no port, which is a number from 1 to 65535")
    return int(digits)


def _bad(text: str, why: str, cure: str = _CURE) -> ConfigError:
    return ConfigError(f"{text!r} is no worker address: {why}", cure)
