"""One job on the worker, from its start to its last byte of output."""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace

from . import spawn, statuses, system
from .job import CLOSED, NULL, STDIN, TTY, JobSpec
from .outcome import JobResult
from .pumps import InputPump, OutputPump
from .reactor import Reactor, Timer
from .wire import Link

_PIPE_BYTES = 256 << 10
_ABANDONED_GRACE_MS = 1000


@dataclass(frozen=True)
class Limits:
    """What a worker's file says of each job's streams and time."""

    read_size: int
    gather_s: float
    timeout_s: float


class Execution:
    """Runs one job and tells the client of it over `link`.

    `ended(how)` is called when the main process has ended, which frees the slot; `done()` when there is nothing left to
    do. The client is told the status after all output reached end-of-file, or after the spec's `drain_s` seconds
    without output when a background process keeps a stream open.
    """

    def __init__(
        self,
        spec: JobSpec,
        limits: Limits,
        link: Link,
        reactor: Reactor,
        *,
        ended: Callable[[str], None],
        done: Callable[[], None],
    ) -> None:
        self._spec = spec
        self._limits = limits
        self._link: Link | None = link
        self._reactor = reactor
        self._on_ended = ended
        self._on_done = done
        self._outputs: dict[int, OutputPump] = {}
        self._input: InputPump | None = None
        self._control: socket.socket | None = None
        self._result: JobResult | None = None
        self._mark = b""
        self._pid = -1
        self._signalled = False
        self._timed_out = False
        self._drain: Timer | None = None
        self._timeout: Timer | None = None

    # Starting.

    def start(self, source: socket.socket, command: spawn.Command) -> None:
        """Have the spawner at `source` start the job. Raises: OSError: no descriptors left, or no spawner."""
        self._mark = command.mark
        with ExitStack() as job_ends, ExitStack() as on_failure:
            descriptors: list[int] = []
            streams, terminal = self._open_streams(descriptors, job_ends, on_failure)
            self._control = spawn.pass_job(source, replace(command, streams=streams, terminal=terminal), descriptors)
            on_failure.pop_all()
        self._reactor.watch(self._control.fileno(), self._hear)
        for output in self._outputs.values():
            output.start()
        if self._limits.timeout_s:
            self._timeout = self._reactor.later(self._limits.timeout_s, self._time_out)

    def _open_streams(
        self, descriptors: list[int], job_ends: ExitStack, on_failure: ExitStack
    ) -> tuple[tuple[int, int, int], int]:
        """Make pipes and terminals: gives each stream's index into `descriptors`, and the controlling terminal's."""
        indices: list[int] = []
        opened: dict[tuple[str, int], int] = {}
        for fd, stream in enumerate(self._spec.streams):
            if stream.kind == CLOSED:
                indices.append(-1)
                continue
            key = (stream.kind, stream.group)
            if key not in opened:
                ours, theirs = self._open_stream(fd, stream.kind)
                job_ends.callback(os.close, theirs)
                opened[key] = len(descriptors)
                descriptors.append(theirs)
                self._attach(fd, stream.kind, ours, on_failure)
            indices.append(opened[key])
        interactive = self._spec.interactive and self._spec.streams[STDIN].kind == TTY
        return (indices[0], indices[1], indices[2]), indices[STDIN] if interactive else -1

    def _open_stream(self, fd: int, kind: str) -> tuple[int, int]:
        """(our end, the job's end) of a new stream; our end is -1 when there is nothing to pass on."""
        if kind == NULL:
            return -1, os.open(os.devnull, os.O_RDWR)
        if kind == TTY:
            return self._open_terminal(fd)
        read, write = os.pipe()
        if fd == STDIN:
            os.set_blocking(write, False)
            return write, read
        _enlarge(read)
        return read, write

    def _open_terminal(self, fd: int) -> tuple[int, int]:
        terminal = self._spec.terminal
        size = terminal.size if terminal else (24, 80, 0, 0)
        master, slave = system.open_output_terminal(size)
        if fd == STDIN and terminal and terminal.attributes and terminal.platform == sys.platform:
            system.set_terminal_attributes(slave, terminal.attributes)
        os.set_blocking(master, False)
        return master, slave

    def _attach(self, fd: int, kind: str, ours: int, on_failure: ExitStack) -> None:
        if ours < 0:
            return
        if fd == STDIN:
            # A terminal's master serves both ways; with a descriptor for each, the two pumps need not know each other.
            feeding = os.dup(ours) if kind == TTY else ours
            self._input = InputPump(
                self._reactor, feeding, terminal=kind == TTY, taken=self._input_taken, closed=self._input_closed
            )
            on_failure.callback(self._input.close)
        if fd != STDIN or kind == TTY:
            self._outputs[fd] = OutputPump(
                self._reactor,
                ours,
                fd,
                read_size=self._limits.read_size,
                gather_s=self._limits.gather_s,
                send=self._send_output,
                ended=self._output_ended,
            )
            on_failure.callback(self._outputs[fd].close)

    # What the client asks.

    def signal(self, number: int) -> None:
        """Send a signal to the job's process group."""
        self._signalled = True
        self._order(spawn.SIGNAL, number)

    def kill(self, grace_ms: int) -> None:
        """End all of the job's processes: SIGTERM, then SIGKILL after `grace_ms` milliseconds."""
        self._order(spawn.KILL, grace_ms)

    def feed(self, data: memoryview) -> None:
        """Pass on bytes to the job's stdin."""
        if self._input is not None:
            self._input.feed(data)

    def feed_end(self) -> None:
        """End the job's stdin after what was fed."""
        if self._input is not None:
            self._input.end()

    def credit(self, group: int, count: int) -> None:
        """The client has written `count` bytes of an output and takes as many more."""
        if group in self._outputs:
            self._outputs[group].grant(count)
            self._arm_drain()

    def close_output(self, group: int) -> None:
        """Nobody reads this output any more."""
        output = self._outputs.pop(group, None)
        if output is not None:
            output.close()
            self._arm_drain()

    def resize(self, size: tuple[int, ...]) -> None:
        """The client's terminal has another size."""
        for fd, output in self._outputs.items():
            if self._spec.streams[fd].kind == TTY:
                system.set_terminal_size(output.fd, size)

    def abandon(self) -> None:
        """The client is gone: pass on nothing more and end the job."""
        self._link = None
        if self._result is not None:
            self._finish()
            return
        # The pipes stay open until the end, so that the job gets SIGTERM first and SIGPIPE never.
        self.kill(_ABANDONED_GRACE_MS)

    # What the spawner says.

    def _hear(self) -> None:
        assert self._control is not None
        data = self._control.recv(spawn.MESSAGE.size)
        if not data:
            self._kill_orphans()
            self._fail(statuses.LOST, "the worker's spawner process ended", "See the worker's console.")
            return
        kind, number = spawn.MESSAGE.unpack(data)
        if kind == spawn.STARTED:
            self._pid = number
            self._tell("started", number)
        elif kind == spawn.STOPPED:
            self._tell("stopped", number)
        elif kind == spawn.ENDED:
            self._ended(JobResult.from_wait_status(number))
        elif kind in (spawn.NO_FOLDER, spawn.NO_EXEC, spawn.NO_FORK):
            status, what, cure = explain(kind, number, self._spec)
            self._tell("not_started", status, what, cure)
            self._on_ended(what)
            self._finish()

    def _kill_orphans(self) -> None:
        """The spawner is gone, and nobody else ends its jobs: a client that runs this one again must find none left."""
        for pid in system.job_processes(self._mark, self._pid):
            system.kill(pid, signal.SIGKILL)

    def _ended(self, result: JobResult) -> None:
        self._drop_control()
        self._result = result
        self._on_ended(f"signal {result.signal}" if result.signal else str(result.code))
        if self._input is not None:
            self._input.close()
        if self._signalled and self._outputs:
            self._tell("outlived", result.code, result.signal)
        self._arm_drain()

    def _arm_drain(self) -> None:
        """After the end of the main process: conclude at the outputs' end, or when they were silent long enough."""
        if self._result is None:
            return
        if self._drain is not None:
            self._drain.cancel()
            self._drain = None
        if not self._outputs or self._link is None:
            self._conclude()
        elif not any(output.paused for output in self._outputs.values()):
            # A client's reader that pauses is not the end of the output.
            self._drain = self._reactor.later(self._spec.drain_s, self._silent)

    def _silent(self) -> None:
        last = max(output.last_read_at for output in self._outputs.values())
        left_s = last + self._spec.drain_s - time.monotonic()
        if left_s > 0:
            self._drain = self._reactor.later(left_s, self._silent)
        else:
            self._conclude()

    def _conclude(self) -> None:
        assert self._result is not None
        for output in self._outputs.values():
            output.flush()
        if self._timed_out:
            what = f"the job ran longer than {self._limits.timeout_s:g} s"
            self._tell("failed", statuses.TIMED_OUT, what, "Raise `timeout` in the worker's file.")
        else:
            self._tell("ended", self._result.code, self._result.signal)
        self._finish()

    def _time_out(self) -> None:
        self._timed_out = True
        self.kill(_ABANDONED_GRACE_MS)

    # Streams.

    def _send_output(self, group: int, data: bytes) -> None:
        if self._link is not None and not self._link.closed:
            try:
                self._link.send_bytes(group, data)
            except EOFError:
                pass  # the session sees that the link is closed, and abandons this job

    def _output_ended(self, output: OutputPump) -> None:
        self._outputs.pop(output.group, None)
        self._arm_drain()

    def _input_taken(self, count: int) -> None:
        self._tell("input_taken", count)

    def _input_closed(self) -> None:
        self._input = None
        if self._result is None:
            self._tell("input_closed")

    # Ending.

    def _tell(self, name: str, *values: object) -> None:
        if self._link is not None and not self._link.closed:
            try:
                self._link.tell(name, *values)
            except EOFError:
                pass  # as for output

    def _order(self, kind: bytes, number: int) -> None:
        if self._control is not None:
            try:
                self._control.send(spawn.MESSAGE.pack(kind, number))
            except OSError:
                pass  # it has just ended

    def _drop_control(self) -> None:
        if self._control is not None:
            self._reactor.unwatch(self._control.fileno())
            self._control.close()
            self._control = None

    def _fail(self, status: int, what: str, cure: str) -> None:
        self._tell("failed", status, what, cure)
        self._on_ended(what)
        self._finish()

    def _finish(self) -> None:
        for timer in (self._drain, self._timeout):
            if timer is not None:
                timer.cancel()
        self._drop_control()
        if self._input is not None:
            self._input.close()
        for output in self._outputs.values():
            output.close()
        self._outputs.clear()
        self._on_done()


def explain(kind: bytes, number: int, spec: JobSpec) -> tuple[int, str, str]:
    """Why the spawner could not start a job, for the client: (our exit status, what, cure)."""
    reason = os.strerror(number)
    program, cwd = os.fsdecode(spec.program), os.fsdecode(spec.cwd)
    if kind == spawn.NO_FOLDER:
        what = f"the folder {cwd} cannot be entered there: {reason}"
        return statuses.NO_WORKSPACE, what, "Mount the workspace on that worker at the same path."
    if kind == spawn.NO_FORK:
        return statuses.NO_WORKER, f"no process can be made there: {reason}", "Lower numTasks in the worker's file."
    if number in (errno.ENOENT, errno.ENOTDIR):
        return statuses.NOT_FOUND, f"{program} was not found there", "Install it there at the same path."
    if number in (errno.EACCES, errno.EISDIR, errno.ENOEXEC, errno.E2BIG, errno.ELOOP, errno.ENAMETOOLONG):
        return statuses.NOT_EXECUTABLE, f"{program} cannot be executed there: {reason}", ""
    return statuses.NO_WORKER, f"{program} could not be started there: {reason}", ""


def _enlarge(pipe: int) -> None:
    # Fewer, larger reads; the kernel may refuse a user that has many pipes.
    try:
        import fcntl

        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    except (ImportError, AttributeError, OSError):
        pass
