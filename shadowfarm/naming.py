"""How a renamed program sees its own name.

`clang++_` links as C, for a compiler takes its language from the base name of argv[0]; and `g++` given an argv[0] that
is a link to client.py does not find its parts, for it resolves that link. So a renamed program is run through a link of
its original base name that points at the renamed file, in a folder of its own. Verified with clang 14 and gcc 12.

A script is run by its renamed path instead: it finds its neighbours by $0 more often than it asks for its name.
"""

from __future__ import annotations

import hashlib
import os

from . import system


def link_named(program: bytes, name: bytes) -> bytes:
    """A path of base name `name` that executes the renamed `program`. Raises: OSError: `program` is not there."""
    program = os.path.abspath(program)
    folder = system.private_folder("names", hashlib.sha256(program).hexdigest()[:16])
    link = os.path.join(os.fsencode(folder), name)
    try:
        if os.readlink(link) == program:
            os.stat(link)
            return link
    except FileNotFoundError:
        pass
    if _is_script(program):
        return program
    _make_link(program, link)
    return link


def _is_script(program: bytes) -> bool:
    try:
        with open(program, "rb") as file:
            return file.read(2) == b"#!"
    except PermissionError:
        return False  # executable but not readable: no interpreter could read it either


def _make_link(target: bytes, link: bytes) -> None:
    # Made aside and renamed into place: several jobs may do this at once.
    aside = link + b".%d.%s" % (os.getpid(), os.urandom(4).hex().encode())
    os.symlink(target, aside)
    os.replace(aside, link)
