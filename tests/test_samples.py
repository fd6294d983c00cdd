"""The scripts in samples/: real shells, a real sshd, a real sshfs. Each test ends what it started."""

from __future__ import annotations

import contextlib
import getpass
import os
import pty
import re
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shadowfarm import workerfile

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "samples"
SHELLS = [shell for shell in ("sh", "dash", "bash", "zsh") if shutil.which(shell)]


def wait_for(condition: Callable[[], object], what: str, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"not within {seconds} s: {what}")
        time.sleep(0.02)


def copy_with(script: str, target: Path, **settings: str | Path) -> Path:
    """A copy of a sample with its settings changed, as a user makes it."""
    text = (SAMPLES / script).read_text()
    for name, value in settings.items():
        text, found = re.subn(rf"(?m)^{name}=.*$", lambda _, n=name, v=value: f"{n}={shlex.quote(str(v))}", text)
        assert found == 1, name
    target.write_text(text)
    target.chmod(0o755)
    return target


# --- all of them ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("script", ["worker", "connect-w1", "dxenable"])
def test_shell_scripts_parse_in_every_shell(script: str, shell: str) -> None:
    assert (SAMPLES / script).read_text().startswith("#!/bin/sh\n")
    subprocess.run([shell, "-n", SAMPLES / script], check=True, timeout=30)


@pytest.mark.parametrize("script", ["dxon", "dxoff", "dxenable", "worker", "connect-w1"])
def test_scripts_are_executable_and_in_the_readme(script: str) -> None:
    assert os.access(SAMPLES / script, os.X_OK)
    assert f"`{script}`" in (SAMPLES / "readme.md").read_text()


def test_the_readme_explains_each_key_of_the_worker_file() -> None:
    keys = set(re.findall(r'(?m)^\s*"(\w+)":', (SAMPLES / "worker.js").read_text()))
    assert {"host", "port", "numTasks", "timeoutRead", "remapDirs"} <= keys
    readme = (SAMPLES / "readme.md").read_text()
    assert [key for key in sorted(keys) if f"| `{key}` |" not in readme] == []


def test_the_readme_names_the_mount_options_that_the_script_uses() -> None:
    options = re.search(r"(?m)^OPTIONS='(.*)'$", (SAMPLES / "worker").read_text())
    assert options and options[1] in (SAMPLES / "readme.md").read_text()


# --- dxenable ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def hard_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A client, a compiler and a data folder, all in folders whose names a shell likes to break."""
    place = tmp_path / 'it\'s $HOME `here` \\ and "there"'
    (place / "bin").mkdir(parents=True)
    for name, text in (("client.py", 'echo "client as ${0##*/}"'), ("bin/cc", "echo real cc")):
        (place / name).write_text(f"#!/bin/sh\n{text}\n")
        (place / name).chmod(0o755)
    monkeypatch.setenv("XDG_DATA_HOME", str(place / "data"))
    monkeypatch.setenv("PATH", f"{place}/bin{os.pathsep}{os.environ['PATH']}")
    return place


@pytest.mark.parametrize("shell", SHELLS)
def test_enable_and_off_survive_a_shells_quoting(hard_paths: Path, shell: str) -> None:
    script = shlex.quote(str(SAMPLES / "dxenable"))
    client = shlex.quote(str(hard_paths / "client.py"))
    lines = f"""
before=$PATH
cc
eval "$({script} --client {client} cc)"
cc
eval "$({script} --client {client} cc)"
eval "$({script} --off)"
cc
[ "$PATH" = "$before" ] && echo same PATH
"""
    done = subprocess.run([shell, "-c", lines], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines() == ["real cc", "client as cc", "real cc", "same PATH"], done.stderr
    assert done.stderr == ""


def test_enable_speaks_fish(hard_paths: Path) -> None:
    argv = [SAMPLES / "dxenable", "--fish", "--client", hard_paths / "client.py", "cc"]
    said = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout
    # fish knows two escapes within single quotes, \\' and \\\\; undo them and compare with what was meant.
    words = re.findall(r"'((?:[^'\\]|\\.)*)'", said)
    folders = [re.sub(r"\\(['\\])", r"\1", word) for word in words]
    assert said.startswith("set -gx PATH ") and said.endswith(";\n")
    assert folders == [str(hard_paths / "data/shadowfarm/masquerade"), *os.environ["PATH"].split(os.pathsep)]
    if shutil.which("fish"):
        done = subprocess.run(["fish", "-c", f"{said}cc"], capture_output=True, text=True, timeout=60, check=False)
        assert done.stdout == "client as cc\n"


def test_enable_makes_links_only_for_programs_that_are_installed(hard_paths: Path) -> None:
    argv = [SAMPLES / "dxenable", "--client", hard_paths / "client.py"]
    subprocess.run([*argv, "cc", "no-such-compiler"], capture_output=True, check=True, timeout=60)
    place = hard_paths / "data/shadowfarm/masquerade"
    assert [entry.name for entry in place.iterdir()] == ["cc"]
    (place / "mine").write_text("a file of the user's")
    subprocess.run([*argv, "sh"], capture_output=True, check=True, timeout=60)
    assert sorted(entry.name for entry in place.iterdir()) == ["mine", "sh"]


@pytest.mark.parametrize("words", [["no-such-compiler"], ["--client", "/nowhere/client.py"], ["/bin/cc"]])
def test_enable_that_fails_prints_nothing_that_a_shell_would_evaluate(hard_paths: Path, words: list[str]) -> None:
    words = words if "--client" in words else ["--client", str(hard_paths / "client.py"), *words]
    done = subprocess.run([SAMPLES / "dxenable", *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 109 and done.stdout == ""
    assert done.stderr.startswith("shadowfarm: ") and done.stderr.count("\n") == 1


# --- worker, without a mount ------------------------------------------------------------------------------------------

WORKER = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
print("worker", sys.argv[1], os.getpid(), sorted(os.listdir(os.environ["LOOK_AT"])), flush=True)
while True:
    time.sleep(0.05)
"""


@pytest.fixture
def farm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a stand-in for worker.py that tells what it sees, and ends with 7 at SIGTERM."""
    folder = tmp_path / "the farm"
    folder.mkdir()
    (folder / "worker.py").write_text(WORKER)
    (folder / "w.js").write_text("{}")
    monkeypatch.setenv("LOOK_AT", str(tmp_path))
    return folder


def worker_script(farm: Path, **settings: str | Path) -> Path:
    fixed = {"FARM": farm, "WORKER_FILE": farm / "w.js", "PYTHON": sys.executable}
    return copy_with("worker", farm / "run", **{**fixed, **settings})


def without(program: str, tmp_path: Path) -> dict[str, str]:
    """An environment in whose PATH one program is missing."""
    place = tmp_path / f"without-{program}"
    place.mkdir()
    for folder in ("/usr/bin", "/bin"):
        for entry in os.listdir(folder):
            if entry != program and not os.path.lexists(place / entry):
                (place / entry).symlink_to(os.path.join(folder, entry))
    return {**os.environ, "PATH": str(place)}


def test_a_worker_without_a_client_mounts_nothing_and_becomes_the_worker(tmp_path: Path, farm: Path) -> None:
    script = worker_script(farm, CLIENT="", WORKSPACE=tmp_path / "ws")
    with subprocess.Popen([script], stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout
            words = running.stdout.readline().split()
            assert int(words[words.index(str(running.pid))]) == running.pid, "exec: no shell stays in between"
            running.terminate()
            assert running.wait(20) == 7
        finally:
            running.kill()


def test_a_worker_refuses_a_folder_that_is_not_empty(tmp_path: Path, farm: Path) -> None:
    workspace = tmp_path / "a workspace"
    workspace.mkdir()
    (workspace / "precious").write_text("x")
    fake = tmp_path / "fake"
    fake.mkdir()
    (fake / "sshfs").write_text("#!/bin/sh\necho mounted\n")
    (fake / "sshfs").chmod(0o755)
    script = worker_script(farm, CLIENT="nobody@nowhere.invalid", WORKSPACE=workspace)
    env = {**os.environ, "PATH": f"{fake}:{os.environ['PATH']}"}
    done = subprocess.run([script], capture_output=True, text=True, env=env, timeout=60, check=False)
    assert done.returncode == 109 and "not empty" in done.stderr and done.stdout == ""
    assert (workspace / "precious").read_text() == "x"


def test_a_worker_says_that_sshfs_is_missing(tmp_path: Path, farm: Path) -> None:
    script = worker_script(farm, CLIENT="nobody@nowhere.invalid", WORKSPACE=tmp_path / "ws")
    env = without("sshfs", tmp_path)
    done = subprocess.run([script], capture_output=True, text=True, env=env, timeout=60, check=False)
    assert done.returncode == 109 and "sshfs is not installed" in done.stderr


def test_a_worker_without_its_files_says_which(tmp_path: Path, farm: Path) -> None:
    for settings, what in (({"FARM": tmp_path / "none"}, "FARM"), ({"WORKER_FILE": tmp_path / "n.js"}, "WORKER_FILE")):
        script = worker_script(farm, CLIENT="", WORKSPACE=tmp_path / "ws", **settings)
        done = subprocess.run([script], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 109 and what in done.stderr


@pytest.mark.parametrize(("how", "signals"), [("terminal", 1), ("kill", 1)])
def test_an_interrupt_reaches_the_worker_once_so_that_it_drains(
    tmp_path: Path, farm: Path, how: str, signals: int
) -> None:
    """Also where the worker is a child of the script, which has mounted something: twice would kill the jobs."""
    fake = tmp_path / "fake"
    fake.mkdir()
    marker = shlex.quote(str(tmp_path / "mounted"))
    for name, text in (
        ("sshfs", f"touch {marker}"),
        ("mountpoint", f"[ -e {marker} ]"),
        ("fusermount3", f"rm {marker}"),
    ):
        (fake / name).write_text(f"#!/bin/sh\n{text}\n")
        (fake / name).chmod(0o755)
    (farm / "worker.py").write_text(
        "import signal, sys, time\ngot = []\n"
        "for number in (signal.SIGINT, signal.SIGTERM):\n    signal.signal(number, lambda n, _: got.append(n))\n"
        "print('running', flush=True)\nend = time.monotonic() + 20\n"
        "while not got and time.monotonic() < end:\n    time.sleep(0.02)\n"
        "time.sleep(0.5)\nprint('signals:', len(got), flush=True)\n"
    )
    script = worker_script(farm, CLIENT="far", WORKSPACE=tmp_path / "ws")
    env = {**os.environ, "PATH": f"{fake}:{os.environ['PATH']}"}
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(script, [str(script)], env)
    try:
        said = read_until(terminal, b"running")
        if how == "terminal":
            os.write(terminal, b"\x03")
        else:
            os.kill(pid, signal.SIGTERM)
        said += read_until(terminal, b"signals: ")
        assert said.rstrip().endswith(b"signals: %d" % signals), said
        wait_for(lambda: not (tmp_path / "mounted").exists(), "it unmounts")
    finally:
        os.close(terminal)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def read_until(terminal: int, word: bytes) -> bytes:
    """What a terminal shows up to the end of the line that has `word`."""
    said = b""
    while word not in said or not said.endswith(b"\n"):
        ready, _, _ = select.select([terminal], [], [], 20)
        assert ready, said
        said += os.read(terminal, 4096)
    return said


# --- with a real sshd -------------------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def ssh_config(tmp_path: Path) -> Iterator[Path]:
    """An sshd of our own on a free port, with keys of its own; gives the client's configuration file."""
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if not sshd or not shutil.which("ssh"):
        pytest.skip("needs ssh and sshd (apt install openssh-client openssh-server)")
    start = [sshd]
    if os.geteuid() == 0 and not os.path.isdir("/run/sshd"):
        # Where sshd never ran as a service, its empty folder is missing: made in a mount namespace of its own.
        start = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /run && mkdir /run/sshd && exec "$@"', "sh", sshd]
    for name in ("host", "user"):
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)]
        subprocess.run(argv, check=True, timeout=60)
    port = free_port()
    (tmp_path / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {tmp_path}/host\nAuthorizedKeysFile {tmp_path}/user.pub\n"
        "StrictModes no\nPidFile none\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\n"
        "Subsystem sftp internal-sftp\n"
    )
    config = tmp_path / "ssh_config"
    config.write_text(
        f"Host far\n HostName 127.0.0.1\n Port {port}\n User {getpass.getuser()}\n IdentityFile {tmp_path}/user\n"
        " IdentitiesOnly yes\n StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n LogLevel ERROR\n"
        " BatchMode yes\n"
    )
    with (
        (tmp_path / "sshd.log").open("w") as log,
        subprocess.Popen([*start, "-D", "-e", "-f", str(tmp_path / "sshd_config")], stderr=log) as server,
    ):
        try:
            wait_for(lambda: reachable(("127.0.0.1", port)), "sshd listens")
            yield config
        finally:
            server.terminate()


def reachable(address: tuple[str, int]) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(address, timeout=1):
        return True
    return False


@pytest.mark.root
@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root and unshare, for a private mount"
)
@pytest.mark.skipif(not shutil.which("sshfs") or not os.path.exists("/dev/fuse"), reason="needs sshfs and /dev/fuse")
@pytest.mark.parametrize("killed_by", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_mounts_the_workspace_and_unmounts_it_at_the_end(
    tmp_path: Path, farm: Path, ssh_config: Path, killed_by: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = tmp_path / "machine" / "a workspace"
    far.mkdir(parents=True)
    (far / "unit.c").write_text("int x;\n")
    (far / "absolute").symlink_to(far / "unit.c")
    monkeypatch.setenv("LOOK_AT", str(far))
    script = worker_script(farm, CLIENT="far", WORKSPACE=far, SSH_CONFIG=ssh_config)
    # The same path is empty in a mount namespace of its own, as on another machine; the sshd sees the real one.
    setup = f"mount -t tmpfs none {shlex.quote(str(far.parent))} && echo ready && exec sleep 600"
    holder = subprocess.Popen(["unshare", "-m", "sh", "-c", setup], stdout=subprocess.PIPE, text=True)
    log = tmp_path / "log"
    try:
        assert holder.stdout and holder.stdout.readline() == "ready\n"
        argv = ["nsenter", "-t", str(holder.pid), "-m", str(script)]
        with log.open("w") as out, subprocess.Popen(argv, stdout=out, stderr=out) as running:
            try:
                wait_for(lambda: "worker " in log.read_text(), "the worker runs")
                assert "['absolute', 'unit.c']" in log.read_text()
                assert "fuse.sshfs" in Path(f"/proc/{holder.pid}/mountinfo").read_text()
                assert Path(f"/proc/{running.pid}/root{far}/unit.c").read_text() == "int x;\n"
                cat = ["nsenter", "-t", str(holder.pid), "-m", "cat", str(far / "absolute")]
                assert subprocess.run(cat, capture_output=True, timeout=60, check=True).stdout == b"int x;\n"
                running.send_signal(killed_by)
                assert running.wait(20) == 7, "the worker's own status"
            finally:
                running.kill()
        assert "fuse.sshfs" not in Path(f"/proc/{holder.pid}/mountinfo").read_text()
        assert sorted(entry.name for entry in far.iterdir()) == ["absolute", "unit.c"]
    finally:
        # What a failing script left mounted would keep its sshfs, and the namespace, alive.
        umount = ["nsenter", "-t", str(holder.pid), "-m", "umount", "-l", str(far)]
        subprocess.run(umount, capture_output=True, timeout=60, check=False)
        holder.kill()
        holder.communicate()


@pytest.mark.parametrize("kind", ["port", "unix"])
def test_a_connection_comes_back_and_leaves_nothing(tmp_path: Path, ssh_config: Path, kind: str) -> None:
    server = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=answer, args=(server,), daemon=True).start()
    local = str(tmp_path / "w1.sock") if kind == "unix" else f"127.0.0.1:{free_port()}"
    remote = f"127.0.0.1:{server.getsockname()[1]}"
    if kind == "unix":
        Path(local).write_text("")  # the leavings of a run that was killed
    script = copy_with(
        "connect-w1", tmp_path / "connect", HOST="far", LOCAL=local, REMOTE=remote, SSH_CONFIG=ssh_config, MIN_DELAY="1"
    )
    log = tmp_path / "log"
    with log.open("w") as out, subprocess.Popen([script], stderr=out, stdout=out) as running:
        try:
            wait_for(lambda: ask(local) == b"pong", "the first connection")
            first = children(running.pid)
            os.kill(first[0], signal.SIGKILL)
            wait_for(lambda: ask(local) == b"pong", "the line comes back")
            assert children(running.pid) != first
            second = children(running.pid)
            assert log.read_text().count("Trying again in 1 s") == 1
            running.terminate()
            assert running.wait(20) == 143
            wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in second), "ssh is ended as well")
            assert not os.path.lexists(local)
        finally:
            running.kill()
            server.close()


def test_a_connection_that_cannot_be_made_waits_longer_each_time(tmp_path: Path) -> None:
    fake = tmp_path / "fake"
    fake.mkdir()
    (fake / "ssh").write_text("#!/bin/sh\nexit 255\n")
    (fake / "sleep").write_text("#!/bin/sh\nexec /bin/sleep 0.02\n")
    for name in ("ssh", "sleep"):
        (fake / name).chmod(0o755)
    script = copy_with("connect-w1", tmp_path / "connect", HOST="far", MAX_DELAY="5")
    env = {**os.environ, "PATH": f"{fake}:{os.environ['PATH']}"}
    with subprocess.Popen([script], stderr=subprocess.PIPE, text=True, env=env) as running:
        try:
            assert running.stderr
            said = [running.stderr.readline() for _ in range(5)]
        finally:
            running.terminate()
    assert [int(line.split()[-2]) for line in said] == [1, 2, 4, 5, 5]
    assert "far is down (ssh ended with 255)" in said[0]


def answer(server: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            with server.accept()[0] as client:
                client.sendall(b"pong")


def ask(local: str) -> bytes:
    with contextlib.suppress(OSError):
        if local.startswith("/"):
            with socket.socket(socket.AF_UNIX) as unix:
                unix.settimeout(2)
                unix.connect(local)
                return unix.recv(10)
        host, port = local.split(":")
        with socket.create_connection((host, int(port)), timeout=2) as tcp:
            return tcp.recv(10)
    return b""


def children(pid: int) -> list[int]:
    done = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False, timeout=30
    )
    return [int(word) for word in done.stdout.split()]


def test_the_worker_files_of_ue_are_what_a_worker_reads() -> None:
    for number in (1, 2):
        assert workerfile.load(str(ROOT / "ue" / f"worker-{number}.js")).port == 7710 + number
