"""Real projects built by two workers must come out byte for byte as the local build made them, in each way of use.

Every build of a project is made anew at the same path, since debug information holds it.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import projects
import pytest
from farm import CLIENT, Farm

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(600)]

PARALLEL = 4
BUILD_TIMEOUT_S = 240
IN_CI = os.environ.get("CI") == "true"
Fingerprints = dict[str, str]

LUA_BY_CMAKE = """\
cmake_minimum_required(VERSION 3.18)
project(lua C)
file(GLOB sources ${CMAKE_SOURCE_DIR}/*.c)
list(REMOVE_ITEM sources ${CMAKE_SOURCE_DIR}/onelua.c)
add_executable(lua ${sources})
target_compile_definitions(lua PRIVATE LUA_USE_POSIX)
target_link_libraries(lua m)
"""


@dataclass
class Project:
    """A project below `folder`; `built_here` is what the local build made, once it was made."""

    folder: Path
    objects: int
    programs: tuple[str, ...]
    built_here: Fingerprints = field(default_factory=dict)

    def configure(self, env: Mapping[str, str], *options: str) -> None:
        """Make an empty build folder, and all that comes before the first job that counts."""
        raise NotImplementedError

    def build(self, env: Mapping[str, str]) -> None:
        """Make the objects and the programs."""
        raise NotImplementedError

    def built(self) -> Fingerprints:
        """The fingerprints of what a build made, of which nothing may be missing."""
        made = projects.fingerprints(self.folder, "*.o", *self.programs)
        assert len([name for name in made if name.endswith(".o")]) == self.objects
        assert {Path(name).name for name in made} >= set(self.programs)
        return made

    def here(self) -> Fingerprints:
        """What the local build made."""
        if not self.built_here:
            self.configure(os.environ)
            self.build(os.environ)
            self.built_here = self.built()
        return self.built_here


class Lua(Project):
    """Lua and its own makefile."""

    def configure(self, env: Mapping[str, str], *options: str) -> None:
        projects.unpack(projects.LUA, projects.fresh(self.folder))

    def build(self, env: Mapping[str, str]) -> None:
        run(projects.lua_make(self.folder, PARALLEL), env)


class ByCMake(Project):
    """A project that CMake configures for ninja; its sources lie beside the build folder, and stay."""

    options: tuple[str, ...] = ()

    def configure(self, env: Mapping[str, str], *options: str) -> None:
        sources, build = self.folder.with_name("sources"), projects.fresh(self.folder)
        run(["cmake", "-G", "Ninja", "-S", str(sources), "-B", str(build), *self.options, *options], env)

    def build(self, env: Mapping[str, str]) -> None:
        run(["ninja", "-C", str(self.folder), f"-j{PARALLEL}", *self.programs], env)


class LuaByCMake(ByCMake):
    options = ("-DCMAKE_BUILD_TYPE=RelWithDebInfo",)


class OpenCC(ByCMake):
    """Debug information, since that is where a wrong folder shows; no optimization, since four builds take a while."""

    options = ("-DCMAKE_BUILD_TYPE=None", "-DCMAKE_CXX_FLAGS=-O0 -g1", "-DBUILD_OPENCC_JIEBA_PLUGIN=OFF")


def run(command: list[str], env: Mapping[str, str]) -> None:
    """Run a step of a build; what it printed is shown if it fails."""
    done = subprocess.run(
        command,
        check=False,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=BUILD_TIMEOUT_S,
    )
    output = done.stdout.decode(errors="replace")
    assert done.returncode == 0, f"{shlex.join(command)}: status {done.returncode}\n{output[-4000:]}"
    assert "shadowfarm:" not in output


def unpack_or_skip(package: projects.SourcePackage, folder: Path, *tools: str, needed_in_ci: bool = False) -> None:
    try:
        projects.require(*tools)
        projects.unpack(package, folder)
    except projects.Unavailable as error:
        if IN_CI and needed_in_ci:
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture
def farm() -> Iterator[Farm]:
    with Farm() as started:
        yield started


@pytest.fixture(scope="module")
def lua(tmp_path_factory: pytest.TempPathFactory) -> Lua:
    folder = tmp_path_factory.mktemp("lua") / "lua"
    unpack_or_skip(projects.LUA, folder, "cc", "make", needed_in_ci=True)
    return Lua(folder, projects.LUA_OBJECTS, ("lua",))


@pytest.fixture(scope="module")
def lua_by_cmake(tmp_path_factory: pytest.TempPathFactory) -> LuaByCMake:
    folder = tmp_path_factory.mktemp("lua-by-cmake")
    unpack_or_skip(projects.LUA, folder / "sources", "cc", "cmake", "ninja")
    (folder / "sources" / "CMakeLists.txt").write_text(LUA_BY_CMAKE)
    return LuaByCMake(folder / "build", projects.LUA_OBJECTS, ("lua",))


@pytest.fixture(scope="module")
def opencc(tmp_path_factory: pytest.TempPathFactory) -> OpenCC:
    folder = tmp_path_factory.mktemp("opencc")
    unpack_or_skip(projects.OPENCC, folder / "sources", "c++", "cmake", "ninja")
    return OpenCC(folder / "build", projects.OPENCC_OBJECTS, projects.OPENCC_PROGRAMS)


def check(project: Project, farm: Farm, env: Mapping[str, str], jobs: int, *options: str) -> None:
    """Build by the workers in `env`: `jobs` jobs, each ending well, on both workers, and the same files as here."""
    here = project.here()
    project.configure(env, *options)
    before = farm.jobs()
    project.build(env)
    ran = farm.jobs_since(before, jobs)
    assert {job.how for each in ran.values() for job in each} == {"0"}
    assert sum(map(len, ran.values())) == jobs
    assert all(ran.values()), f"a worker had nothing to do: { ({name: len(each) for name, each in ran.items()}) }"
    assert project.built() == here


def test_lua_by_renamed_compiler_is_the_local_build(lua: Lua, farm: Farm) -> None:
    check(lua, farm, farm.env_with(farm.renamed("cc")), lua.objects + 1)


def test_lua_by_masquerade_folder_is_the_local_build(lua: Lua, farm: Farm) -> None:
    check(lua, farm, farm.env_with(farm.masquerade("cc")), lua.objects + 1)


def test_lua_by_cmake_launcher_is_the_local_build(lua_by_cmake: LuaByCMake, farm: Farm) -> None:
    launcher = f"-DCMAKE_C_COMPILER_LAUNCHER={CLIENT}"
    check(lua_by_cmake, farm, farm.env_with(), lua_by_cmake.objects, launcher)  # the link has no launcher


def test_cpp_project_by_renamed_compilers_is_the_local_build(opencc: OpenCC, farm: Farm) -> None:
    # libopencc and the three programs are linked, and as C++: by the driver's own name.
    check(opencc, farm, farm.env_with(farm.renamed("cc", "c++")), opencc.objects + 4)


def test_cpp_project_by_masquerade_folder_is_the_local_build(opencc: OpenCC, farm: Farm) -> None:
    check(opencc, farm, farm.env_with(farm.masquerade("cc", "c++")), opencc.objects + 4)


def test_cpp_project_by_cmake_launcher_is_the_local_build(opencc: OpenCC, farm: Farm) -> None:
    launchers = [f"-DCMAKE_{language}_COMPILER_LAUNCHER={CLIENT}" for language in ("C", "CXX")]
    check(opencc, farm, farm.env_with(), opencc.objects, *launchers)
