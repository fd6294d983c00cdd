"""Bad input gets one clear line with its cure, a status of its own, and nothing is lost."""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
import sys
import threading
import zlib

import pytest

from .conftest import ROOT, Farm, Worker, can_unshare_mounts


def one_line(shown: subprocess.CompletedProcess[bytes], status: int) -> str:
    assert shown.returncode == status, shown.stderr
    assert shown.stdout == b""
    text = shown.stderr.decode()
    assert text.count("\n") == 1, text
    assert text.startswith("shadowfarm: ")
    return text


def test_no_command_at_all(farm: Farm) -> None:
    assert "usage: client.py COMMAND" in one_line(farm.run(), 109)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("WORKERS = (", "syntax error"),
        ("WORKRES = ('a:1',)", "WORKERS"),
        ("WORKERS = ('nonsense',)", "nonsense"),
        ("TIMEOUT = 'soon'", "TIMEOUT"),
        ("1 / 0", "ZeroDivisionError"),
        ("def shouldRunDirect(args):\n    return args[99]", "shouldRunDirect"),
        ("def clientsToUse(args):\n    return [7]", "clientsToUse"),
    ],
)
def test_a_wrong_config_is_one_line_with_file_and_name(farm: Farm, text: str, says: str) -> None:
    config = farm.folder / "wrong.py"
    config.write_text(text + "\n")
    line = one_line(farm.run("touch", "must-not-exist", env={**farm.env, "SHADOWFARM_CONFIG": str(config)}), 101)
    assert says in line and str(config) in line
    assert not (farm.work / "must-not-exist").exists()


def test_a_config_that_is_named_and_missing(farm: Farm) -> None:
    shown = farm.run("true", env={**farm.env, "SHADOWFARM_CONFIG": "/no/such/config.py"})
    assert "/no/such/config.py" in one_line(shown, 101)


class Impostor:
    """Listens, and answers each connection with `talk(connection)`."""

    def __init__(self, talk) -> None:
        self._talk = talk
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Impostor:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self._talk(connection)


def with_impostor(farm: Farm, talk) -> tuple[str, str]:
    with Impostor(talk) as impostor:
        farm.configure("TIMEOUT = 0.1\nSLEEP = 0.05", workers=(impostor.address,))
        shown = farm.run("true")
    farm.configure()
    assert shown.stderr.count(b"\n") == 1
    return str(shown.returncode), shown.stderr.decode()


def test_a_worker_of_another_protocol_version_is_told_with_both_versions(farm: Farm, monkeypatch) -> None:
    from shadowfarm.wire import Link, PeerService

    class FutureService(PeerService):
        def exposed_hello(self, protocol: int) -> tuple[int, ...]:
            return 99, 1, 0, 0

    def talk(connection: socket.socket) -> None:
        link = Link(connection, FutureService())
        try:
            while True:
                link._connection.serve(5)
        except EOFError:
            pass

    status, line = with_impostor(farm, talk)
    assert status == "108", line
    assert "protocol 99" in line and "speaks 1" in line


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="an ssh server"),
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", id="a web server"),
        pytest.param(b"\0" * 4096, id="zeros"),
        pytest.param(b"", id="one that hangs up"),
    ],
)
def test_something_else_at_the_workers_port_is_told(farm: Farm, answer: bytes) -> None:
    status, line = with_impostor(farm, lambda connection: connection.sendall(answer))
    assert status == "102"
    assert "127.0.0.1" in line


GARBAGE = [
    pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", id="a browser"),
    pytest.param(struct.pack("!LB", 0xFFFFFFFF, 0) + b"x" * 100, id="a frame of 4 GiB"),
    pytest.param(struct.pack("!LB", 15_000_000, 0) + b"x" * 100, id="a frame that never comes"),
    pytest.param(b"\0\0\0\1\0\xff\n", id="a message that is none"),
    pytest.param(bytes(range(256)) * 40, id="all bytes"),
    pytest.param(b"", id="nothing"),
]


@pytest.mark.parametrize("garbage", GARBAGE)
def test_a_garbage_client_does_not_disturb_the_worker(farm: Farm, garbage: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(farm.workers[0].address.removeprefix("unix:"))
        connection.sendall(garbage)
        assert farm.run("echo", "x").stdout == b"x\n"
    assert farm.run("echo", "x").stdout == b"x\n"
    assert farm.workers[0].process.poll() is None
    assert "Traceback" not in farm.workers[0].log.read_text()


def test_a_zip_bomb_is_refused_without_inflating_it(farm: Farm) -> None:
    bomb = zlib.compress(b"\0" * 300_000_000, 9)
    pid = farm.workers[0].process.pid
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(farm.workers[0].address.removeprefix("unix:"))
        connection.sendall(struct.pack("!LB", len(bomb), 1) + bomb + b"\n")
        assert connection.recv(1) == b"", "it hangs up"
    with open(f"/proc/{pid}/status") as file:
        peak = next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
    assert peak < 150_000
    assert farm.run("echo", "x").stdout == b"x\n"


@pytest.mark.parametrize("script", ["client.py", "worker.py"])
def test_a_python_without_rpyc_is_told_with_its_cure(farm: Farm, script: str) -> None:
    copy = farm.folder / f"copy-{script}"
    shutil.copytree(ROOT / "shadowfarm", copy / "shadowfarm")
    shutil.copy(ROOT / script, copy)
    # Without site, Python finds none of the packages that are installed for it.
    command = [sys.executable, "-S", copy / script, "whatever"]
    shown = subprocess.run(command, env=farm.env, capture_output=True, check=False, timeout=30)
    line = one_line(shown, 109)
    assert "has no" in line and "README" in line


def test_a_command_in_a_folder_that_was_removed_runs_as_it_would_here(farm: Farm) -> None:
    gone = farm.folder / "gone"
    gone.mkdir()
    shell = ["sh", "-c", 'rmdir "$PWD"; exec "$@"', "sh", *farm.command("echo", "x")]
    shown = subprocess.run(shell, cwd=gone, env=farm.env, capture_output=True, check=False, timeout=30)
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, b"x\n", b"")


@pytest.mark.root
@pytest.mark.skipif(not can_unshare_mounts(), reason="mount namespaces need root")
def test_a_folder_that_is_missing_on_the_worker_names_the_worker_and_the_mount(farm_of) -> None:
    farm = farm_of(0)
    # What the worker sees in place of the workspace is an empty folder, as when its mount is gone.
    hidden = ["unshare", "-m", "sh", "-c", f'mount -t tmpfs none {farm.work} && exec "$@"', "sh"]
    farm.workers.append(Worker(farm, "blind", {"numTasks": 1}, prefix=hidden))
    farm.configure("TIMEOUT = 2\nSLEEP = 0.2")
    (farm.work / "deep").mkdir()
    line = one_line(farm.run("true", cwd=farm.work / "deep"), 107)
    assert farm.workers[0].address in line and str(farm.work / "deep") in line and "Mount the workspace" in line
    farm.configure("FALLBACK = True")
    shown = farm.run("echo", "x", cwd=farm.work / "deep")
    assert shown.stdout == b"x\n" and shown.stderr.count(b"\n") == 1
