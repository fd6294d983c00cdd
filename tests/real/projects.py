"""Real projects to build: their sources as a package registry gives them, and how they are built.

The demo and tests/real share this module, so it needs nothing but the standard library.

What must hold: the sources come through pip, as set up on the machine, and are pinned by hash; nothing of theirs runs
before the build that is the subject; a second call needs no network; nobody else can put files into the cache.

`pip download` of a source package first runs the package's own build for its metadata. That of lupa takes two minutes
(it compiles LuaJIT), and needs Cython. Rejected: `--no-binary :all:`, which compiles Cython as well, and CMake for
opencc; reading the registry's pages ourselves, which would ignore how pip is set up. Instead pip is given a stand-in
build backend, which answers with the metadata that the package already holds (PKG-INFO).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

SOURCES = "SHADOWFARM_SOURCES"  # the variable that names another folder for the downloaded sources
_PIP_TIMEOUT_S = 180

_STAND_IN_BACKEND = """\
import email, os, shutil, sys

def get_requires_for_build_wheel(config_settings=None):
    return []

def prepare_metadata_for_build_wheel(folder, config_settings=None):
    with open("PKG-INFO", encoding="utf-8") as file:
        known = email.message_from_file(file)
    name = f"{known['Name']}-{known['Version']}.dist-info"
    os.mkdir(os.path.join(folder, name))
    shutil.copyfile("PKG-INFO", os.path.join(folder, name, "METADATA"))
    return name

__legacy__ = sys.modules[__name__]
"""


class Unavailable(Exception):
    """Something that a real build needs is not here; the text names it, in one line."""


@dataclass(frozen=True)
class SourcePackage:
    """A source package of PyPI; `sha256` pins the archive, `folder` is the part of it that is wanted."""

    name: str
    version: str
    sha256: str
    folder: str

    @property
    def archive_name(self) -> str:
        return f"{self.name}-{self.version}.tar.gz"


# 34 C files and a makefile.
LUA = SourcePackage(
    "lupa", "2.8", "d8022641b9ec8ecf2c5ecbe9f47e5a70e0b87c4b5ae921b92cb02a638e0acd08", "lupa-2.8/third-party/lua54"
)
LUA_OBJECTS = 34
# 42 C++ files of its own and of marisa-trie, built by CMake, with all that it needs inside.
OPENCC = SourcePackage(
    "opencc", "1.4.2", "47977905f131d7d9cfcec29fba5d841154907e1da73103105a4a68744e0f4f1a", "opencc-1.4.2"
)
OPENCC_OBJECTS = 42
OPENCC_PROGRAMS = ("opencc", "opencc_dict", "opencc_phrase_extract")


def unpack(package: SourcePackage, folder: Path, *, python: str = sys.executable) -> None:
    """Put the wanted part of `package` into the new `folder`; `python` is one that has pip.

    Raises: Unavailable: the registry cannot be reached, or gave something else.
    """
    archive = fetch(package, python=python)
    # Not by extractall: run by root, it gives the files to whoever has the packager's user id here.
    with tarfile.open(archive) as tar:
        for member in tar:
            inner = PurePosixPath(member.name)
            if member.isfile() and inner.is_relative_to(package.folder) and ".." not in inner.parts:
                content = tar.extractfile(member)
                assert content is not None  # it is a regular file
                path = folder / inner.relative_to(package.folder)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content.read())
                path.chmod(0o755 if member.mode & 0o100 else 0o644)


def fetch(package: SourcePackage, *, python: str = sys.executable) -> Path:
    """The archive of `package`: from the cache, else downloaded by `python`'s pip. Raises: Unavailable."""
    cache = _cache_folder()
    archive = cache / package.archive_name
    if archive.is_file() and _sha256(archive) == package.sha256:
        return archive
    # Downloaded aside and renamed into place: two runs may do this at once.
    with tempfile.TemporaryDirectory(dir=cache) as aside:
        _download(package, Path(aside), python)
        downloaded = Path(aside, package.archive_name)
        if not downloaded.is_file():
            raise Unavailable(f"pip brought no {package.archive_name}")
        os.replace(downloaded, archive)
    return archive


def _cache_folder() -> Path:
    named = os.environ.get(SOURCES)
    folder = Path(named) if named else Path(tempfile.gettempdir(), f"shadowfarm-sources-{os.getuid()}")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    # In a folder for all, somebody else may have been quicker to take the name.
    if not named and (not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077):
        raise Unavailable(f"{folder} is not a private folder of ours: remove it, or name another in {SOURCES}")
    return folder


def _download(package: SourcePackage, into: Path, python: str) -> None:
    backend = into / "backend" / "setuptools"
    backend.mkdir(parents=True)
    (backend / "__init__.py").write_text("")
    (backend / "build_meta.py").write_text(_STAND_IN_BACKEND)
    wanted = into / "wanted.txt"
    wanted.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n")
    command = [python, "-m", "pip", "--disable-pip-version-check", "--retries", "1", "download", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--no-binary", package.name, "--require-hashes", "--dest", str(into)]
    environment = {**os.environ, "PYTHONPATH": str(backend.parent)}
    try:
        pip = subprocess.run(
            [*command, "--requirement", str(wanted)],
            check=False,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_PIP_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"pip did not get {package.archive_name} within {_PIP_TIMEOUT_S} s") from None
    if pip.returncode != 0:
        errors = [line for line in pip.stdout.splitlines() if line.startswith("ERROR: ")] or pip.stdout.splitlines()
        why = errors[0].removeprefix("ERROR: ") if errors else f"status {pip.returncode}"
        raise Unavailable(f"pip cannot get {package.archive_name}: {why}")


def lua_make(folder: Path, jobs: int) -> list[str]:
    """The command that builds Lua with its own makefile, whose defaults suit its developers only."""
    return [
        "make",
        f"-j{jobs}",
        "-C",
        str(folder),
        "CC=cc",
        "CFLAGS=-O2 -std=c99 -DLUA_USE_POSIX -DLUA_USE_DLOPEN",
        f"MYLDFLAGS={'' if sys.platform == 'darwin' else '-Wl,-E'}",
        "MYLIBS=-ldl",
        "lua",
    ]


def fresh(folder: Path) -> Path:
    """`folder`, made anew and empty: every build of a comparison has the same path."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def fingerprints(folder: Path, *patterns: str) -> dict[str, str]:
    """The sha256 of every file below `folder` that matches one of `patterns`, by its relative path."""
    files = {path for pattern in patterns for path in folder.rglob(pattern) if path.is_file()}
    return {str(path.relative_to(folder)): _sha256(path) for path in sorted(files)}


def require(*programs: str) -> None:
    """Raises: Unavailable: one of `programs` is not on PATH."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        raise Unavailable(f"not on PATH: {', '.join(missing)}")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
