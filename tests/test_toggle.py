"""dxon and dxoff: inverses, repeatable, and safe to kill at any point. Real scripts, real folders, never /usr/bin."""

from __future__ import annotations

import os
import shlex
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from shadowfarm import former, statuses, switches, toggle
from shadowfarm.errors import FarmError
from shadowfarm.toggle import State

ROOT = Path(__file__).resolve().parent.parent

# Runs a script and kills it just before its n-th change to a file system. Audit events are raised by the interpreter
# for every such call, so a step that is added to the code later is killed at too.
KILLER = """
import errno, os, runpy, signal, sys
left, links, script = int(sys.argv[1]), sys.argv[2] == "links", sys.argv[3]
CHANGES = {"os." + name for name in "link symlink rename remove mkdir rmdir utime chown chmod truncate".split()}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
def hook(event, args):
    global left
    if event in CHANGES or (event == "open" and isinstance(args[2], int) and args[2] & WRITES):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
if not links:
    def refuse(*args, **kwargs):
        raise OSError(errno.EPERM, "no hard links here")
    os.link = refuse
sys.argv[1:] = sys.argv[4:]
sys.argv[0] = script
sys.addaudithook(hook)
runpy.run_path(script, run_name="__main__")
"""


@pytest.fixture(autouse=True)
def private_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")


@pytest.fixture
def bin_dir(tmp_path: Path) -> Path:
    """A folder (with a space in its name) with a program that is a file, one that is a symlink, and a bystander."""
    folder = tmp_path / "my programs"
    folder.mkdir()
    for name in ("clang", "gcc-12", "other"):
        write_program(folder / name, f"real {name}")
    (folder / "gcc").symlink_to("gcc-12")
    os.utime(folder / "gcc", ns=(10**18, 10**18), follow_symlinks=False)
    os.utime(folder / "clang", ns=(2 * 10**18, 2 * 10**18 + 7))
    return folder


@pytest.fixture
def client(tmp_path: Path) -> Path:
    return make_client(tmp_path / "farm")


def make_client(folder: Path) -> Path:
    """A stand-in for client.py that does what it must: run the renamed program."""
    folder.mkdir()
    path = folder / "client.py"
    path.write_text('#!/bin/sh\necho "by the client"\nexec "${0}_" "$@"\n')
    path.chmod(0o755)
    return path


def write_program(path: Path, says: str) -> None:
    """As a package manager writes one: a new file, renamed over the name."""
    draft = path.with_name(path.name + ".dpkg-new")
    draft.write_text(f"#!/bin/sh\necho {shlex.quote(says)}\n")
    draft.chmod(0o755)
    draft.rename(path)


def run(script: str, *words: str | Path, path: str = "") -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PATH": path + os.pathsep + os.environ["PATH"] if path else os.environ["PATH"]}
    argv = [sys.executable, str(ROOT / "samples" / script), *map(str, words)]
    return subprocess.run(argv, capture_output=True, text=True, env=env, timeout=60, check=False)


def output(program: Path) -> str:
    return subprocess.run([program], capture_output=True, text=True, check=True, timeout=60).stdout


def snapshot(folder: Path) -> dict[str, tuple[object, ...]]:
    """All that a user could see of a folder: names, kinds, modes, times, link texts, contents, and which file it is."""
    found: dict[str, tuple[object, ...]] = {}
    for entry in sorted(folder.iterdir()):
        seen = entry.lstat()
        content = os.readlink(entry) if entry.is_symlink() else entry.read_bytes()
        found[entry.name] = (stat.filemode(seen.st_mode), seen.st_mtime_ns, seen.st_uid, seen.st_nlink, content)
    return found


def inodes(folder: Path) -> dict[str, int]:
    return {entry.name: entry.lstat().st_ino for entry in folder.iterdir()}


def killed_at(step: int, script: str, *words: str | Path, links: bool = True) -> bool:
    """Run a script and kill it before its `step`-th change; False when it had fewer, and so ran to its end."""
    argv = [sys.executable, "-c", KILLER, str(step), "links" if links else "none", str(ROOT / "samples" / script)]
    done = subprocess.run([*argv, *map(str, words)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


# --- inverses ---------------------------------------------------------------------------------------------------------


def test_off_restores_names_modes_times_links_and_contents(bin_dir: Path, client: Path) -> None:
    before, files = snapshot(bin_dir), inodes(bin_dir)
    assert run("dxon", "--client", client, bin_dir / "clang", bin_dir / "gcc").returncode == 0
    assert sorted(snapshot(bin_dir)) == ["clang", "clang_", "gcc", "gcc-12", "gcc_", "other"]
    assert output(bin_dir / "clang") == "by the client\nreal clang\n"
    assert output(bin_dir / "gcc") == "by the client\nreal gcc-12\n"
    assert os.readlink(bin_dir / "clang") == str(client)
    assert os.readlink(bin_dir / "gcc_") == "gcc-12", "the renamed thing is the symlink itself"
    assert run("dxoff", "--client", client, bin_dir / "clang", bin_dir / "gcc").returncode == 0
    assert (snapshot(bin_dir), inodes(bin_dir)) == (before, files)
    assert former.keys(toggle.KIND) == []


def test_repeating_changes_nothing_and_says_so(bin_dir: Path, client: Path) -> None:
    before = snapshot(bin_dir)
    assert "off" in run("dxoff", "--client", client, bin_dir / "clang").stdout
    assert snapshot(bin_dir) == before
    for _ in range(3):
        done = run("dxon", "--client", client, bin_dir / "clang")
        assert done.returncode == 0 and done.stderr == ""
    assert "unchanged, it is on" in done.stdout
    for _ in range(3):
        done = run("dxoff", "--client", client, bin_dir / "clang")
    assert "unchanged, it is off" in done.stdout
    assert snapshot(bin_dir) == before


def test_names_are_found_on_path_and_a_masquerade_folder_is_passed_over(
    tmp_path: Path, bin_dir: Path, client: Path
) -> None:
    masquerade = tmp_path / "masquerade"
    masquerade.mkdir()
    (masquerade / "clang").symlink_to(client)
    done = run("dxon", "--client", client, "clang", path=f"{masquerade}{os.pathsep}{bin_dir}")
    assert done.returncode == 0, done.stderr
    assert toggle.look(str(bin_dir / "clang"), str(client)).state is State.ON
    assert sorted(inodes(masquerade)) == ["clang"]
    assert run("dxoff", "--client", client, "clang", path=f"{masquerade}{os.pathsep}{bin_dir}").returncode == 0
    assert toggle.look(str(bin_dir / "clang"), str(client)).state is State.OFF


def test_a_program_shadowed_by_hand_with_a_relative_link_is_on(tmp_path: Path, bin_dir: Path, client: Path) -> None:
    os.rename(bin_dir / "clang", bin_dir / "clang_")
    (bin_dir / "clang").symlink_to("../farm/client.py")
    assert "unchanged, it is on" in run("dxon", "--client", client, bin_dir / "clang").stdout
    assert os.readlink(bin_dir / "clang") == "../farm/client.py"
    assert run("dxoff", "--client", client, bin_dir / "clang").returncode == 0
    assert output(bin_dir / "clang") == "real clang\n"


def test_the_name_is_never_missing_while_it_is_switched(bin_dir: Path, client: Path) -> None:
    path, missing, stop = str(bin_dir / "clang"), 0, threading.Event()

    def watch() -> None:
        nonlocal missing
        while not stop.is_set():
            try:
                os.stat(path)
            except OSError:
                missing += 1

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for _ in range(300):
            toggle.shadow(path, str(client))
            toggle.restore(path, str(client))
    finally:
        stop.set()
        watcher.join()
    assert missing == 0


def test_a_program_that_runs_meanwhile_goes_on(bin_dir: Path, client: Path) -> None:
    (bin_dir / "clang").write_text("#!/bin/sh\necho started\nread line\necho $line\n")
    with subprocess.Popen([bin_dir / "clang"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin and child.stdout
        assert child.stdout.readline() == "started\n"
        run("dxon", "--client", client, bin_dir / "clang")
        run("dxoff", "--client", client, bin_dir / "clang")
        assert child.communicate("still here\n", timeout=60)[0] == "still here\n"


def test_switches_at_the_same_time_wait_for_each_other(bin_dir: Path, client: Path) -> None:
    before = snapshot(bin_dir)
    scripts = [[sys.executable, str(ROOT / "samples" / name)] for name in ("dxon", "dxoff") * 4]
    words = ["--client", str(client), str(bin_dir / "clang"), str(bin_dir / "gcc")]
    for _ in range(5):
        running = [
            subprocess.Popen([*script, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for script in scripts
        ]
        assert [child.communicate(timeout=60)[1] for child in running] == [""] * len(running)
        assert {child.returncode for child in running} == {0}
    assert run("dxoff", *words).returncode == 0
    assert snapshot(bin_dir) == before


# --- killed at any point ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("links", [True, False], ids=["hard-links", "no-hard-links"])
@pytest.mark.parametrize("name", ["clang", "gcc"])
def test_on_killed_at_any_step_is_completed_by_on_and_undone_by_off(
    bin_dir: Path, client: Path, name: str, links: bool
) -> None:
    before, program = snapshot(bin_dir), bin_dir / name
    said, steps = output(program), 0
    while killed_at(steps + 1, "dxon", "--client", client, program, links=links):
        steps += 1
        if links or name == "gcc":
            assert output(program).endswith(said), "the program ran at every instant"
        if steps % 2:
            assert run("dxon", "--client", client, program).returncode == 0
            assert output(program) == "by the client\n" + said
        assert run("dxoff", "--client", client, program).returncode == 0
        assert snapshot(bin_dir) == before, f"killed before change {steps}"
        # The other direction first: off right after the kill at the same step.
        killed_at(steps, "dxon", "--client", client, program, links=links)
        assert run("dxoff", "--client", client, program).returncode == 0
        assert snapshot(bin_dir) == before, f"killed before change {steps}, then off"
        assert former.keys(toggle.KIND) == []
    assert steps >= 4


@pytest.mark.parametrize("links", [True, False], ids=["hard-links", "no-hard-links"])
@pytest.mark.parametrize("name", ["clang", "gcc"])
def test_off_killed_at_any_step_is_completed_by_off_and_undone_by_on(
    bin_dir: Path, client: Path, name: str, links: bool
) -> None:
    before, program = snapshot(bin_dir), bin_dir / name
    said, steps = output(program), 0
    while True:
        assert not killed_at(10**6, "dxon", "--client", client, program, links=links)
        if not killed_at(steps + 1, "dxoff", "--client", client, program, links=links):
            break
        steps += 1
        assert output(program).endswith(said)
        assert run("dxon", "--client", client, program).returncode == 0
        assert output(program) == "by the client\n" + said
        killed_at(steps, "dxoff", "--client", client, program, links=links)
        assert run("dxoff", "--client", client, program).returncode == 0
        assert snapshot(bin_dir) == before, f"killed before change {steps}"
    assert steps >= 2
    assert snapshot(bin_dir) == before


def test_an_update_shadowed_and_killed_at_any_step_loses_neither_program(bin_dir: Path, client: Path) -> None:
    program, step = bin_dir / "clang", 0
    killed = True
    while killed:
        step += 1
        for left in bin_dir.glob("clang*"):
            left.unlink()
        write_program(program, "version 1")
        assert run("dxon", "--client", client, program).returncode == 0
        write_program(program, "version 2, longer")
        killed = killed_at(step, "dxon", "--client", client, program)
        assert output(program).endswith("version 2, longer\n")
        assert run("dxon", "--client", client, program).returncode == 0
        assert output(program) == "by the client\nversion 2, longer\n"
        assert output(bin_dir / "clang_.old-1") == "version 1\n"
        assert run("dxoff", "--client", client, program).returncode == 0
        assert output(program) == "version 2, longer\n"
        assert sorted(entry.name for entry in bin_dir.glob("*clang*")) == ["clang", "clang_.old-1"]
    assert step >= 5


def test_an_error_of_the_system_takes_back_what_was_done(
    bin_dir: Path, client: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot(bin_dir)

    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    for links in (True, False):
        with monkeypatch.context() as patch:
            if not links:
                patch.setattr(former.os, "link", refuse)
            patch.setattr(toggle.os, "replace", replace_but_not(client, os.replace))
            with pytest.raises(FarmError, match="cannot switch"):
                toggle.shadow(str(bin_dir / "clang"), str(client))
        assert snapshot(bin_dir) == before
        assert former.keys(toggle.KIND) == []


def replace_but_not(client: Path, replace):  # type: ignore[no-untyped-def]
    def guarded(source: str, target: str) -> None:
        if os.path.islink(source):
            raise PermissionError(1, "Operation not permitted")
        replace(source, target)

    return guarded


# --- package updates --------------------------------------------------------------------------------------------------


def test_an_update_is_shadowed_and_the_old_program_kept(bin_dir: Path, client: Path) -> None:
    program = bin_dir / "clang"
    run("dxon", "--client", client, program)
    write_program(program, "version 2")
    assert "replaced by an update" in run("dxon", "--status", "--client", client, program).stdout
    done = run("dxon", "--client", client, program)
    assert done.returncode == 0 and str(bin_dir / "clang_.old-1") in done.stdout
    assert output(program) == "by the client\nversion 2\n"
    write_program(program, "version 3.0")
    assert "clang_.old-2" in run("dxon", "--client", client, program).stdout
    assert run("dxoff", "--client", client, program).returncode == 0
    said = {entry.name: output(entry) for entry in bin_dir.glob("clang*")}
    assert said == {"clang": "version 3.0\n", "clang_.old-1": "real clang\n", "clang_.old-2": "version 2\n"}


def test_off_after_an_update_leaves_the_new_program_and_keeps_the_old(bin_dir: Path, client: Path) -> None:
    program = bin_dir / "clang"
    run("dxon", "--client", client, program)
    write_program(program, "version 2")
    done = run("dxoff", "--client", client, program)
    assert done.returncode == 0 and "clang_.old-1" in done.stdout
    assert output(program) == "version 2\n"
    assert output(bin_dir / "clang_.old-1") == "real clang\n"
    assert not (bin_dir / "clang_").exists()


def test_an_update_of_a_symlinked_program_is_seen(bin_dir: Path, client: Path) -> None:
    run("dxon", "--client", client, bin_dir / "gcc")
    write_program(bin_dir / "gcc-13", "real gcc-13")
    (bin_dir / "new").symlink_to("gcc-13")
    os.rename(bin_dir / "new", bin_dir / "gcc")
    assert run("dxon", "--client", client, bin_dir / "gcc").returncode == 0
    assert output(bin_dir / "gcc") == "by the client\nreal gcc-13\n"
    assert os.readlink(bin_dir / "gcc_.old-1") == "gcc-12"


# --- refused ----------------------------------------------------------------------------------------------------------


def refused(done: subprocess.CompletedProcess[str], status: int, *words: str) -> None:
    assert done.returncode == status, done
    assert done.stderr.startswith("shadowfarm: ") and done.stderr.count("\n") == 1, done.stderr
    for word in words:
        assert word in done.stderr


def test_a_renamed_one_that_dxon_did_not_make_is_left_alone(bin_dir: Path, client: Path) -> None:
    write_program(bin_dir / "clang_", "mine")
    before = snapshot(bin_dir)
    refused(run("dxon", "--client", client, bin_dir / "clang"), statuses.USAGE, "clang_", "dxon did not make it")
    assert run("dxoff", "--client", client, bin_dir / "clang").returncode == 0
    assert snapshot(bin_dir) == before


def test_an_equal_hard_link_of_the_users_is_not_taken_for_ours(bin_dir: Path, client: Path) -> None:
    os.link(bin_dir / "clang", bin_dir / "clang_")
    (bin_dir / "gcc_").symlink_to("gcc-12")
    before = snapshot(bin_dir)
    refused_done = run("dxon", "--client", client, bin_dir / "clang", bin_dir / "gcc")
    assert refused_done.returncode == statuses.USAGE
    run("dxoff", "--client", client, bin_dir / "clang", bin_dir / "gcc")
    assert snapshot(bin_dir) == before


def test_a_link_to_another_client_is_named_and_left(tmp_path: Path, bin_dir: Path, client: Path) -> None:
    other = make_client(tmp_path / "other farm")
    run("dxon", "--client", other, bin_dir / "clang")
    before = snapshot(bin_dir)
    for script in ("dxon", "dxoff"):
        refused(run(script, "--client", client, bin_dir / "clang"), statuses.USAGE, str(other))
        assert snapshot(bin_dir) == before
    assert str(other) in run("dxon", "--status", "--client", client, bin_dir / "clang").stdout
    # The cure that the message names works, spaces and all.
    assert run("dxoff", "--client", other, bin_dir / "clang").returncode == 0
    assert run("dxon", "--client", client, bin_dir / "clang").returncode == 0


def test_one_refusal_keeps_no_other_program_from_being_switched(bin_dir: Path, client: Path) -> None:
    write_program(bin_dir / "clang_", "mine")
    done = run("dxon", "--client", client, bin_dir / "clang", bin_dir / "nothing", bin_dir / "gcc")
    assert done.returncode in (statuses.USAGE, statuses.NOT_FOUND)
    assert done.stderr.count("\n") == 2
    assert toggle.look(str(bin_dir / "gcc"), str(client)).state is State.ON


@pytest.mark.parametrize("script", ["dxon", "dxoff"])
def test_a_program_that_does_not_exist_is_named(bin_dir: Path, client: Path, script: str) -> None:
    refused(run(script, "--client", client, "no-such-program"), statuses.NOT_FOUND, "no-such-program")
    refused(run(script, "--client", client, bin_dir / "nothing"), statuses.NOT_FOUND, "nothing")
    refused(run(script, "--client", client, bin_dir / "no" / "clang"), statuses.NOT_FOUND, "clang")
    (bin_dir / "dangling").symlink_to("nothing")
    refused(run(script, "--client", client, bin_dir / "dangling"), statuses.NOT_FOUND, "dangling")


def test_what_is_no_program_is_refused(bin_dir: Path, client: Path) -> None:
    (bin_dir / "folder").mkdir()
    (bin_dir / "text").write_text("x")
    refused(run("dxon", "--client", client, bin_dir / "folder"), statuses.NOT_EXECUTABLE, "folder")
    refused(run("dxon", "--client", client, bin_dir / "text"), statuses.NOT_EXECUTABLE, "text")
    assert not (bin_dir / "text_").exists()


def test_what_runs_the_client_itself_is_not_shadowed(bin_dir: Path, client: Path) -> None:
    write_program(bin_dir / "python3", "a python")
    refused(run("dxon", "--client", client, "python3", path=str(bin_dir)), statuses.USAGE, "client.py itself")
    refused(run("dxon", "--client", client, client), statuses.USAGE, "client.py itself")
    assert not (bin_dir / "python3_").exists()


def test_no_permission_is_said_and_nothing_changed(tmp_path: Path, bin_dir: Path, client: Path) -> None:
    before = snapshot(bin_dir)
    bin_dir.chmod(0o555)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and str(folder).startswith("/tmp/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    # As root nothing is forbidden: become nobody, but after a first call, for nobody may not read every Python, and
    # argparse imports some modules late.
    code = (
        "import os, sys; from shadowfarm import switches; switches.switch_on([], ['--status'])\n"
        "if os.geteuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "sys.exit(switches.switch_on([], sys.argv[1:]))"
    )
    argv = [sys.executable, "-c", code, "--client", str(client), str(bin_dir / "clang")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    refused(done, statuses.USAGE, "may not change names", "sudo")
    bin_dir.chmod(0o755)
    assert snapshot(bin_dir) == before


def test_bad_options_and_a_missing_client_get_one_line(tmp_path: Path, bin_dir: Path, client: Path) -> None:
    refused(run("dxon", "--no-such-option"), statuses.USAGE, "--no-such-option")
    refused(run("dxon", "--client", tmp_path / "none.py", bin_dir / "clang"), statuses.USAGE, "none.py")
    client.chmod(0o644)
    refused(run("dxon", "--client", client, bin_dir / "clang"), statuses.USAGE, "not executable")


# --- programs that are links to each other ----------------------------------------------------------------------------


def test_a_link_to_a_shadowed_program_is_on_through_it(bin_dir: Path, client: Path) -> None:
    (bin_dir / "cc").symlink_to("gcc")
    done = run("dxon", "--client", client, bin_dir / "cc", bin_dir / "gcc")
    assert done.returncode == 0
    assert f"{bin_dir}/cc: unchanged, it is on through {bin_dir}/gcc" in done.stdout
    assert os.readlink(bin_dir / "cc") == "gcc" and not os.path.lexists(bin_dir / "cc_")


def test_a_renamed_link_is_not_made_to_lead_back_to_the_client(bin_dir: Path, client: Path) -> None:
    (bin_dir / "cc").symlink_to("gcc")
    assert run("dxon", "--client", client, bin_dir / "cc").returncode == 0
    refused(run("dxon", "--client", client, bin_dir / "gcc"), statuses.USAGE, "cc_", "dxoff")
    assert output(bin_dir / "cc") == "by the client\nreal gcc-12\n"


# --- status and Xcode -------------------------------------------------------------------------------------------------


def test_status_tells_each_state_and_changes_nothing(tmp_path: Path, bin_dir: Path, client: Path) -> None:
    start, step = snapshot(bin_dir), 1
    while killed_at(step, "dxon", "--client", client, bin_dir / "gcc"):
        if toggle.look(str(bin_dir / "gcc"), str(client)).state is State.HALF:
            break
        run("dxoff", "--client", client, bin_dir / "gcc")
        step += 1
    before = snapshot(bin_dir)
    run("dxon", "--client", client, bin_dir / "other")
    done = run("dxon", "--status", "--client", client, bin_dir / "clang", bin_dir / "gcc", "no-such-program")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "no-such-program: not found"
    assert lines[1] == f"{bin_dir}/clang: off"
    assert lines[2].startswith(f"{bin_dir}/gcc: half")
    assert lines[3] == f"{bin_dir}/other: on (the program is {bin_dir}/other_)", (
        "what is on is told without being named"
    )
    run("dxoff", "--client", client, bin_dir / "other")
    assert snapshot(bin_dir) == before
    run("dxoff", "--client", client, bin_dir / "gcc")
    assert snapshot(bin_dir) == start


@pytest.fixture
def fake_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `defaults` that keeps one value, as "TYPE VALUE", in a file."""
    folder = tmp_path / "mac"
    folder.mkdir()
    value = folder / "value"
    script = folder / "defaults"
    script.write_text(
        f"""#!/bin/sh
v={shlex.quote(str(value))}
[ "$2" = com.apple.dt.Xcode ] || exit 9
[ "$3" = IDEBuildOperationMaxNumberOfConcurrentCompileTasks ] || exit 9
case $1 in
read) [ -f "$v" ] && cut -d' ' -f2 "$v" ;;
read-type) [ -f "$v" ] && echo "Type is $(cut -d' ' -f1 "$v")" ;;
write) case $4 in -int) t=integer ;; -string) t=string ;; *) exit 9 ;; esac; echo "$t $5" >"$v" ;;
delete) rm "$v" ;;
esac
"""
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return value


@pytest.mark.parametrize("before", [None, "integer 6\n", "string 6\n"])
def test_xcodes_limit_is_raised_and_given_back(
    bin_dir: Path, client: Path, fake_defaults: Path, before: str | None
) -> None:
    if before:
        fake_defaults.write_text(before)
    words = ["--client", str(client), str(bin_dir / "clang")]
    for tasks in (40, 40, 60):
        assert switches.switch_on([], ["--xcode-tasks", str(tasks), *words], platform="darwin") == 0
        assert fake_defaults.read_text() == f"integer {tasks}\n"
    for _ in range(2):
        assert switches.switch_off([], words, platform="darwin") == 0
        assert (fake_defaults.read_text() if fake_defaults.exists() else None) == before


def test_xcodes_limit_stays_while_a_program_is_on_and_a_users_change_is_kept(
    bin_dir: Path, client: Path, fake_defaults: Path
) -> None:
    clang, gcc = str(bin_dir / "clang"), str(bin_dir / "gcc")
    switches.switch_on([], ["--client", str(client), "--xcode-tasks", "40", clang, gcc], platform="darwin")
    switches.switch_off([], ["--client", str(client), clang], platform="darwin")
    assert fake_defaults.read_text() == "integer 40\n"
    fake_defaults.write_text("integer 7\n")
    switches.switch_off([], ["--client", str(client), gcc], platform="darwin")
    assert fake_defaults.read_text() == "integer 7\n"
    switches.switch_on([], ["--client", str(client), "--xcode-tasks", "40", clang], platform="linux")
    assert fake_defaults.read_text() == "integer 7\n"
