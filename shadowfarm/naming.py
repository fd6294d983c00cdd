"""How a renamed program sees its own name.

`clang++_` links as C, for a compiler takes its language from the base name of argv[0]. What argv[0] to give instead
depends on what else a program takes from it:

- *gcc* resolves argv[0] to find its parts; the original path is a link to client.py now, and leads it astray. It is run
  through a link of its original base name that points at the renamed file, in a private folder. So is any program that
  nothing better is known of.
- *clang* takes the folder of argv[0], unresolved, as the place that headers are found from, and writes it into debug
  information and dependency files. It finds itself by the kernel. So the renamed file is executed with the original
  path as argv[0], and the objects are the same to the byte.
- A *script* is run by its renamed path: it finds its neighbours by $0 more often than it asks for its name.

Verified with clang 14 and gcc 12.
"""

from __future__ import annotations

import hashlib
import os

from . import system


def under_own_name(program: bytes, called_as: bytes) -> tuple[bytes, bytes]:
    """(path to execute, argv[0]) for the renamed `program` that was called by the path `called_as`.

    Raises: OSError: `program` is not there.
    """
    name = os.path.basename(called_as)
    if b"clang" in os.path.basename(os.path.realpath(program, strict=True)):
        return program, called_as
    if _is_script(program):
        return program, program
    folder = system.private_folder("names", hashlib.sha256(program).hexdigest()[:16])
    link = os.path.join(os.fsencode(folder), name)
    if not _points_at(link, program):
        _make_link(program, link)
    return link, link


def _points_at(link: bytes, program: bytes) -> bool:
    try:
        return os.readlink(link) == program
    except FileNotFoundError:
        return False


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
