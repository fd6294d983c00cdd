"""What differs between platforms, in one place: private folders, the process table, terminals.

Nothing is imported at the top that Windows or macOS lack.
"""

from __future__ import annotations

import errno
import os
import signal
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from .errors import FarmError

LINUX = sys.platform.startswith("linux")

# Signals that a user sends to a command and that are passed on to the job.
FORWARDED = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
    if hasattr(signal, name)
)


def private_folder(*below: str) -> str:
    """A folder that only this user can enter, made if it is missing; `below` names a folder in it.

    Raises: FarmError: something else stands there, perhaps laid by another user.
    """
    base = os.environ.get("SHADOWFARM_RUNTIME") or os.path.join(_runtime_folder(), f"shadowfarm-{_user()}")
    _make_private(base)
    path = base
    for name in below:
        path = os.path.join(path, name)
        _make_private(path)
    return path


def _runtime_folder() -> str:
    # Not XDG_RUNTIME_DIR: it vanishes at logout, differs between a login and a cron job, and is not forwarded to jobs.
    if LINUX:
        return "/tmp"  # not TMPDIR, so that a build that sets it meets the same agent and worker
    import tempfile

    return tempfile.gettempdir()


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")


def _make_private(path: str) -> None:
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise FarmError(
            f"cannot make the private folder {path}: {error.strerror}", "Set SHADOWFARM_RUNTIME."
        ) from error
    seen = os.lstat(path)
    if not stat.S_ISDIR(seen.st_mode) or (hasattr(os, "getuid") and seen.st_uid != os.getuid()):
        raise FarmError(
            f"{path} is not a folder of this user", "Remove it, or set SHADOWFARM_RUNTIME to another folder."
        )
    if seen.st_mode & 0o077:
        os.chmod(path, 0o700)


def fill_closed() -> tuple[bool, bool, bool]:
    """Tell which of descriptors 0, 1, 2 are closed, and open /dev/null there: else a socket of ours might."""
    closed = []
    for fd in range(3):
        try:
            os.fstat(fd)
            closed.append(False)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != fd:
                os.dup2(null, fd)
                os.close(null)
            closed.append(True)
    return closed[0], closed[1], closed[2]


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ended (Linux); elsewhere they go to init."""
    if LINUX:
        import ctypes

        pr_set_child_subreaper = 36
        ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0)


def job_processes(mark: bytes, leader: int) -> set[int]:
    """Process ids of a job: its leader's process group and session, all that carry its mark, and all their descendants.

    `mark` is the job's "NAME=value" in the environment. A process that calls setsid leaves the group, one whose parent
    ended leaves the tree, and one with a cleared environment has no mark; each of the three ways finds the others.
    """
    found: set[int] = set()
    parents: dict[int, int] = {}
    for pid, parent, group, session, marked in _processes(mark):
        parents[pid] = parent
        if marked or leader in (group, session):
            found.add(pid)
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        found |= more
        grown = bool(more)
    return found - {os.getpid()}


def _processes(mark: bytes) -> list[tuple[int, int, int, int, bool]]:
    """All living processes as (pid, parent, group, session, carries the mark)."""
    return _processes_of_proc(mark) if LINUX else _processes_of_ps(mark)


def _processes_of_proc(mark: bytes) -> list[tuple[int, int, int, int, bool]]:
    processes = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                # The command name stands in parentheses and may hold anything, parentheses and blanks included.
                state, parent, group, session = file.read().rpartition(b")")[2].split()[:4]
        except OSError:
            continue
        if state in (b"Z", b"X"):
            continue
        processes.append((int(name), int(parent), int(group), int(session), _has_mark(name, mark)))
    return processes


def _has_mark(pid: str, mark: bytes) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return mark in file.read().split(b"\0")
    except OSError:
        return False


def _processes_of_ps(mark: bytes) -> list[tuple[int, int, int, int, bool]]:
    import subprocess

    listing = subprocess.run(
        ["ps", "-axEww", "-o", "pid=,ppid=,pgid=,sess=,stat=,command="], capture_output=True, check=False
    )
    processes = []
    for line in listing.stdout.splitlines():
        pid, parent, group, _, state, command = [*line.split(None, 5), b"", b""][:6]
        if not state.startswith(b"Z"):
            processes.append((int(pid), int(parent), int(group), 0, mark in command.split()))
    return processes


def kill(pid: int, number: int, *, group: bool = False) -> bool:
    """Send a signal; False when nobody is there to take it."""
    try:
        (os.killpg if group else os.kill)(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def terminal_size(fd: int) -> tuple[int, int, int, int]:
    """(rows, columns, x pixels, y pixels) of the terminal at `fd`."""
    import fcntl
    import struct
    import termios

    rows, columns, x_pixels, y_pixels = struct.unpack("HHHH", fcntl.ioctl(fd, termios.TIOCGWINSZ, b"\0" * 8))
    return rows, columns, x_pixels, y_pixels


def set_terminal_size(fd: int, size: tuple[int, ...]) -> None:
    """Set it; the terminal's foreground processes get SIGWINCH from the kernel."""
    import fcntl
    import struct
    import termios

    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", *(max(0, min(number, 0xFFFF)) for number in size)))


def terminal_attributes(fd: int) -> tuple[int, int, int, int, bytes]:
    """termios's (iflag, oflag, cflag, lflag, cc) of the terminal at `fd`, as plain values."""
    import termios

    iflag, oflag, cflag, lflag, _, _, characters = termios.tcgetattr(fd)
    plain = b"".join(bytes([item]) if isinstance(item, int) else item for item in characters)
    return iflag, oflag, cflag, lflag, plain


def set_terminal_attributes(fd: int, attributes: tuple[int, int, int, int, bytes]) -> None:
    """Give the terminal at `fd` what `terminal_attributes` gave of another, speeds excepted."""
    import termios

    now = termios.tcgetattr(fd)
    iflag, oflag, cflag, lflag, characters = attributes
    now[:4] = [iflag, oflag, cflag, lflag]
    canonical = bool(lflag & termios.ICANON)
    for index, item in enumerate(characters[: len(now[6])]):
        is_number = not canonical and index in (termios.VMIN, termios.VTIME)
        now[6][index] = item if is_number else bytes([item])
    termios.tcsetattr(fd, termios.TCSANOW, now)


def open_output_terminal(size: tuple[int, ...]) -> tuple[int, int]:
    """A pseudo terminal (master, slave) that passes output on byte for byte and echoes nothing."""
    import termios

    master, slave = os.openpty()
    now = termios.tcgetattr(slave)
    now[1] &= ~termios.OPOST
    now[3] &= ~(termios.ECHO | termios.ECHONL)
    termios.tcsetattr(slave, termios.TCSANOW, now)
    set_terminal_size(slave, size)
    return master, slave


def execute(program: bytes, argv: Sequence[bytes], env: Mapping[bytes, bytes]) -> None:
    """Become `program` as execvpe(3) does: never returns. Raises: OSError.

    A bare name is looked up on the PATH of `env`; a file without a shebang is a shell script.
    """
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores both, and what is ignored stays so
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    failure: OSError | None = None
    for path in _candidates(program, env):
        try:
            os.execve(path, list(argv), env)
        except OSError as error:
            failure = _worse(failure, error, path, argv, env)
    raise failure or FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


def _candidates(program: bytes, env: Mapping[bytes, bytes]) -> list[bytes]:
    if b"/" in program:
        return [program]
    folders = env.get(b"PATH", os.fsencode(os.defpath)).split(b":")
    return [os.path.join(folder or b".", program) for folder in folders]


def _worse(
    failure: OSError | None, error: OSError, path: bytes, argv: Sequence[bytes], env: Mapping[bytes, bytes]
) -> OSError | None:
    """The failure to report so far: the first that says more than that a file is missing."""
    if error.errno == errno.ENOEXEC:
        os.execve(b"/bin/sh", (b"sh", path, *argv[1:]), env)
    if error.errno == errno.ENOENT and os.path.lexists(path):
        error = PermissionError(errno.EACCES, "the program or its interpreter is missing")
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return failure
    return failure or error


def without_echo(attributes: tuple[int, int, int, int, bytes]) -> tuple[int, int, int, int, bytes]:
    """The same terminal attributes with no echo, and output passed on as it is."""
    import termios

    iflag, oflag, cflag, lflag, characters = attributes
    return iflag, oflag & ~termios.OPOST, cflag, lflag & ~(termios.ECHO | termios.ECHONL), characters


@contextmanager
def locked(path: str) -> Iterator[None]:
    """Hold an exclusive lock among this user's processes; the kernel frees it when the holder dies."""
    import fcntl

    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
