"""What a call means: by client.py's own name, by a link in a program's place, or by a masquerade folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shadowfarm import invocation, statuses
from shadowfarm.errors import FarmError, UsageError
from shadowfarm.invocation import Invocation

ROOT = Path(__file__).resolve().parent.parent


class Tree:
    """A checkout, and folders with programs, which tell who they are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.client = self.checkout("checkout")
        self.path: list[str] = []

    def checkout(self, name: str) -> Path:
        client = self.folder / name / "client.py"
        (client.parent / "shadowfarm").mkdir(parents=True)
        client.write_text("#!/bin/sh\n")
        client.chmod(0o755)
        return client

    def program(self, where: str, text: str = "#!/bin/sh\n") -> Path:
        path = self.folder / where
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
        return path

    def link(self, where: str, target: Path | str) -> Path:
        path = self.folder / where
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
        return path

    def read(self, *argv: Path | str) -> Invocation:
        environ = {"PATH": ":".join(str(self.folder / item) for item in self.path)}
        return invocation.read([str(item) for item in argv], str(self.client), environ)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


# Direct.


def test_a_direct_call_runs_its_first_argument_with_the_others(tree: Tree) -> None:
    assert tree.read(tree.client, "cc", "", "-c", "a b") == Invocation("cc", "", ("", "-c", "a b"))


@pytest.mark.parametrize("called_as", ["client.py", "./client.py", "/somewhere/else/client.py", "../a b/client.py"])
def test_client_py_by_any_path_is_a_direct_call(tree: Tree, called_as: str) -> None:
    assert tree.read(called_as, "/bin/cc", "-v") == Invocation("/bin/cc", "", ("-v",))


def test_a_direct_call_of_nothing_says_how_to_call_it(tree: Tree) -> None:
    with pytest.raises(UsageError, match="no command") as caught:
        tree.read(tree.client)
    assert "usage" in caught.value.cure


def test_a_direct_call_of_a_program_that_exists_nowhere_is_left_to_the_worker(tree: Tree) -> None:
    assert tree.read(tree.client, "no-such-program").program == "no-such-program"


# Shadow.


@pytest.mark.parametrize("folder", ["bin", "a folder with  spaces", "ünïcode", "\udcff"])
def test_a_renamed_program_is_found_beside_its_link(tree: Tree, folder: str) -> None:
    real = tree.program(f"{folder}/clang++_")
    link = tree.link(f"{folder}/clang++", tree.client)
    assert tree.read(link, "-c", "x.c") == Invocation(str(real), str(link), ("-c", "x.c"))


def test_a_relative_link_and_a_relative_call_lead_to_whole_paths(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    real = tree.program("bin/cc_")
    tree.link("bin/cc", "../checkout/client.py")
    monkeypatch.chdir(tree.folder / "bin")
    for called_as in ("cc", "./cc", "../bin/cc"):
        assert tree.read(called_as) == Invocation(str(real), str(tree.folder / "bin" / "cc"), ())


def test_a_chain_of_links_leads_to_the_program_and_keeps_the_name_it_was_called_by(tree: Tree) -> None:
    real = tree.program("usr/bin/clang_")
    tree.link("usr/bin/clang", "../../checkout/client.py")
    tree.link("usr/bin/clang++", "clang")
    tree.link("alternatives/c++", "../usr/bin/clang++")
    called = tree.link("bin/c++", tree.folder / "alternatives" / "c++")
    assert tree.read(called) == Invocation(str(real), str(called), ())


def test_the_renamed_program_nearest_to_the_call_is_taken(tree: Tree) -> None:
    tree.program("usr/bin/clang_")
    tree.link("usr/bin/clang", tree.client)
    nearest = tree.program("bin/cc_")
    assert tree.read(tree.link("bin/cc", "../usr/bin/clang")).program == str(nearest)


def test_a_link_through_a_linked_folder_is_followed_as_the_kernel_does(tree: Tree) -> None:
    real = tree.program("real/deep/cc_")
    tree.link("real/deep/cc", tree.client)
    (tree.folder / "real" / "deep" / "sub").mkdir()
    tree.link("bin", "real/deep/sub")
    # bin/../cc is real/deep/cc, not ./cc.
    called = f"{tree.folder}/bin/../cc"
    assert os.path.samefile(called, tree.client)
    assert os.path.samefile(tree.read(called).program, real)
    called = str(tree.link("real/deep/sub/c", "../cc"))
    assert os.path.samefile(tree.read(f"{tree.folder}/bin/c").program, real)


def test_a_folder_of_the_renamed_name_is_no_program(tree: Tree) -> None:
    (tree.folder / "bin" / "cc_").mkdir(parents=True)
    with pytest.raises(FarmError) as caught:
        tree.read(tree.link("bin/cc", tree.client))
    assert caught.value.status == statuses.NOT_FOUND


def test_links_that_form_a_loop_end(tree: Tree) -> None:
    tree.link("bin/a", "b")
    tree.link("bin/b", "a")
    with pytest.raises(FarmError):
        tree.read(tree.folder / "bin" / "a")


def test_a_link_without_any_program_behind_it_says_what_was_looked_for(tree: Tree) -> None:
    link = tree.link("bin/cc", tree.client)
    tree.path = ["bin"]
    with pytest.raises(FarmError, match="stands for a program that is not there") as caught:
        tree.read(link)
    assert caught.value.status == statuses.NOT_FOUND
    assert caught.value.cure


# Masquerade.


def test_a_masquerade_runs_the_next_program_of_its_name(tree: Tree) -> None:
    link = tree.link("masquerade/cc", tree.client)
    real = tree.program("usr/bin/cc")
    tree.path = ["masquerade", "usr/bin"]
    assert tree.read(link, "-v") == Invocation(str(real), "", ("-v",))


def test_a_masquerade_passes_over_what_cannot_be_executed(tree: Tree) -> None:
    link = tree.link("masquerade/cc", tree.client)
    tree.program("plain/cc").chmod(0o644)
    (tree.folder / "folder" / "cc").mkdir(parents=True)
    tree.link("dangling/cc", "nowhere")
    real = tree.program("usr/bin/cc")
    tree.path = ["nowhere", "plain", "folder", "dangling", "masquerade", "usr/bin"]
    if os.geteuid() == 0:
        assert not os.access(tree.folder / "plain" / "cc", os.X_OK)
    assert tree.read(link).program == str(real)


def test_a_relative_folder_on_path_leads_to_a_whole_path(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    link = tree.link("masquerade/cc", tree.client)
    real = tree.program("here/cc")
    for folder, path in (("here", ""), (".", "here")):
        monkeypatch.chdir(tree.folder / folder)
        found = invocation.read([str(link)], str(tree.client), {"PATH": f"/nowhere:{path}"})
        assert found.program == str(real)


def test_masquerades_of_two_checkouts_do_not_call_each_other_for_ever(tree: Tree) -> None:
    other = tree.checkout("other checkout")
    first = tree.link("one/cc", tree.client)
    tree.link("two/cc", other)
    real = tree.program("usr/bin/cc")
    for path in (["one", "two", "usr/bin"], ["two", "one", "usr/bin"]):
        tree.path = path
        assert tree.read(first).program == str(real)


def test_a_client_py_of_something_else_is_a_program_like_any_other(tree: Tree) -> None:
    stranger = tree.program("stranger/client.py")
    link = tree.link("masquerade/cc", tree.client)
    tree.link("usr/bin/cc", stranger)
    tree.path = ["masquerade", "usr/bin"]
    assert tree.read(link).program == str(tree.folder / "usr" / "bin" / "cc")


def test_a_masquerade_before_a_program_that_is_shadowed_in_place_runs_the_renamed_one(tree: Tree) -> None:
    link = tree.link("masquerade/cc", tree.client)
    real = tree.program("usr/bin/cc_")
    shadow = tree.link("usr/bin/cc", tree.client)
    tree.path = ["masquerade", "usr/bin"]
    found = tree.read(link)
    assert (found.program, found.shown_as) == (str(real), str(shadow))


def test_a_masquerade_before_a_link_to_a_shadowed_program_runs_the_renamed_one(tree: Tree) -> None:
    link = tree.link("masquerade/cc", tree.client)
    real = tree.program("usr/bin/gcc_")
    tree.link("usr/bin/gcc", tree.client)
    tree.link("usr/bin/cc", "gcc")
    tree.path = ["masquerade", "usr/bin"]
    assert tree.read(link).program == str(real)


# A direct call of a shadowed name.


def test_a_direct_call_of_a_shadowed_name_runs_the_renamed_program(tree: Tree) -> None:
    real = tree.program("bin/cc_")
    link = tree.link("bin/cc", tree.client)
    tree.path = ["bin"]
    for word in ("cc", str(link)):
        assert tree.read(tree.client, word, "-v") == Invocation(str(real), str(link), ("-v",))


def test_a_direct_call_of_a_masqueraded_name_runs_the_next_one(tree: Tree) -> None:
    link = tree.link("masquerade/cc", tree.client)
    real = tree.program("usr/bin/cc")
    tree.path = ["masquerade", "usr/bin"]
    for word in ("cc", str(link)):
        assert tree.read(tree.client, word) == Invocation(str(real), "", ())


def test_a_direct_call_of_a_program_that_is_no_client_is_left_as_it_was_written(tree: Tree) -> None:
    tree.program("usr/bin/gcc-12")
    tree.link("usr/bin/cc", "gcc-12")
    tree.path = ["usr/bin"]
    assert tree.read(tree.client, "cc") == Invocation("cc", "", ())


def test_a_direct_call_of_an_overlays_client_is_that_clients_direct_call(tree: Tree) -> None:
    overlay = tree.link("checkout/ue/client.py", "../client.py")
    found = tree.read(tree.client, overlay, "echo", "1")
    assert found.program in (str(overlay), "echo")


# After the hook.


def test_a_hook_that_changes_arguments_leaves_the_programs_name_and_one_that_changes_the_program_does_not() -> None:
    called = Invocation("/bin/cc_", "/bin/cc", ("-c",))
    assert called.args == ["/bin/cc_", "-c"]
    assert called.with_args(["/bin/cc_", "-v"]) == Invocation("/bin/cc_", "/bin/cc", ("-v",))
    assert called.with_args(["gcc", "-c"]) == Invocation("gcc", "", ("-c",))
    with pytest.raises(UsageError, match="doFixes"):
        called.with_args([])


# Running here, by a real process.


def run_here(tree: Tree, program: str, shown_as: str = "", *arguments: str) -> subprocess.CompletedProcess[str]:
    code = (
        "import os, sys\n"
        "from shadowfarm.errors import FarmError\n"
        "from shadowfarm.invocation import Invocation, run_here\n"
        "try:\n"
        "    run_here(Invocation(sys.argv[1], sys.argv[2], tuple(sys.argv[3:])), os.environb)\n"
        "except FarmError as error:\n"
        "    print(error.line())\n"
        "    sys.exit(error.status)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT), "SHADOWFARM_RUNTIME": str(tree.folder / "run")}
    command = [sys.executable, "-c", code, program, shown_as, *arguments]
    return subprocess.run(command, env=env, cwd=tree.folder, capture_output=True, text=True, check=False)


def test_a_command_that_runs_here_becomes_the_program(tree: Tree) -> None:
    program = tree.program("bin/tool", '#!/bin/sh\necho "$2"; exit 7\n')
    ran = run_here(tree, str(program), "", "a", "b c")
    assert (ran.returncode, ran.stdout) == (7, "b c\n")


def test_a_renamed_program_that_runs_here_sees_its_own_name(tree: Tree) -> None:
    real = tree.folder / "sh-like_"
    shutil.copy2(os.path.realpath("/bin/sh"), real)
    ran = run_here(tree, str(real), str(tree.folder / "sh-like"), "-c", 'echo "$0"')
    assert os.path.basename(ran.stdout.strip()) == "sh-like"


@pytest.mark.parametrize(
    ("where", "mode", "status"),
    [
        ("missing", None, statuses.NOT_FOUND),
        ("plain", 0o644, statuses.NOT_EXECUTABLE),
        ("file/below", 0o644, statuses.NOT_FOUND),
    ],
)
@pytest.mark.parametrize("shown_as", [False, True])
def test_a_program_that_cannot_run_here_ends_as_in_a_shell(
    tree: Tree, where: str, mode: int | None, status: int, shown_as: bool
) -> None:
    if mode is not None:
        tree.program(where.split("/", maxsplit=1)[0]).chmod(mode)
    program = str(tree.folder / where)
    ran = run_here(tree, program, program.rstrip("_") if shown_as else "")
    assert ran.returncode == status
    assert ran.stdout.count("\n") == 1
    assert program in ran.stdout


def test_a_folder_in_a_programs_place_is_not_executable(tree: Tree) -> None:
    (tree.folder / "cc_").mkdir()
    for shown_as in ("", str(tree.folder / "cc")):
        assert run_here(tree, str(tree.folder / "cc_"), shown_as).returncode == statuses.NOT_EXECUTABLE
