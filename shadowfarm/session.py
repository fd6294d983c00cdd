"""One client's connection to a worker: the rpyc service that it talks to, and the loop of the thread that serves it."""

from __future__ import annotations

import os
import socket
import threading
import time
from typing import Any, Protocol

from . import PROTOCOL, naming, spawn, statuses
from .channel import WireError
from .console import Console
from .execution import Execution, Limits, explain
from .job import JobSpec
from .reactor import Reactor
from .remap import remapped
from .slots import Slots, Ticket
from .wire import Link, PeerService
from .workerfile import WorkerFile


class Host(Protocol):
    """What a session needs of its worker; all may be used from the session's thread."""

    settings: WorkerFile
    slots: Slots
    console: Console
    draining: bool

    def next_number(self) -> int:
        """The number of the next job, for the console and for its mark."""

    def mark(self, number: int) -> bytes:
        """What SHADOWFARM_JOB is for a job."""

    def spawner_socket(self) -> socket.socket:
        """Where jobs are passed to. Raises: OSError."""

    def job_done(self) -> None:
        """A job has ended for good."""

    def ended(self, session: Session) -> None:
        """A session has ended."""


class WorkerService(PeerService):
    """What a worker offers to a client: one job at a time over one connection.

    The client is called back: started, input_taken, input_closed, stopped, outlived, and in the end one of
    ended, not_started and failed; the job's output comes as bulk bytes.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def exposed_hello(self, protocol: int) -> tuple[int, int, int, int]:
        """Who is there: (protocol, slots, running, waiting). Every protocol version has this call."""
        load = self._session.worker.slots.load
        return PROTOCOL, load.slots, load.running, load.waiting

    def exposed_run(self, spec: tuple[Any, ...]) -> None:
        """Queue a job; it starts when a slot is free."""
        self._session.queue(spec)

    def exposed_signal(self, number: int) -> None:
        """Signal the job's process group."""
        self._session.job.signal(_number(number))

    def exposed_kill(self) -> None:
        """End the job's whole tree at once."""
        self._session.job.kill(0)

    def take_bytes(self, tag: int, data: memoryview) -> None:
        """Bytes for the job's stdin, the one stream that goes this way."""
        if self._session.runs:
            self._session.job.feed(data)

    def exposed_input_end(self) -> None:
        """The end of the job's stdin."""
        self._session.job.feed_end()

    def exposed_credit(self, group: int, count: int) -> None:
        """The client wrote `count` bytes of an output."""
        self._session.job.credit(_number(group), max(0, _number(count)))

    def exposed_close_output(self, group: int) -> None:
        """Nobody reads this output any more."""
        self._session.job.close_output(_number(group))

    def exposed_resize(self, rows: int, columns: int, x_pixels: int, y_pixels: int) -> None:
        """The client's terminal has another size."""
        self._session.job.resize(tuple(_number(item) for item in (rows, columns, x_pixels, y_pixels)))


class Session(threading.Thread):
    """Serves one connection until the client hangs up and its job, if any, has ended.

    All is done in this thread, but for `wake`, which any thread may call.
    """

    def __init__(self, worker: Host, sock: socket.socket, peer: str) -> None:
        super().__init__(name=f"session with {peer}", daemon=True)
        self.worker = worker
        self._peer = peer
        self._sock = sock
        self._reactor = Reactor()
        self._link: Link | None = None
        self._fd = -1
        self._hung_up = False
        self._ticket: Ticket | None = None
        self._spec: JobSpec | None = None
        self._execution: Execution | None = None
        self._number = 0
        self._started_at = 0.0

    @property
    def job(self) -> Execution:
        """The running job. Raises: ValueError: there is none, or not yet."""
        if self._execution is None:
            raise ValueError("no job runs on this connection")
        return self._execution

    @property
    def runs(self) -> bool:
        """Whether a job runs."""
        return self._execution is not None

    @property
    def busy(self) -> bool:
        """Whether a job waits or runs here."""
        return self._ticket is not None or self._execution is not None

    def run(self) -> None:
        try:
            self._reactor.open_post()
            self._link = Link(self._sock, WorkerService(self))
            self._fd = self._link.fileno()
            self._reactor.watch(self._fd, self._serve)
            while not self._hung_up or self._execution is not None:
                try:
                    self._reactor.turn(0 if self._link.more else None)
                except EOFError:
                    self._link.close()
                if self._link.more:
                    self._serve()
                if self._link.closed:
                    self._hang_up()
        finally:
            self._sock.close()
            if self._execution is not None:
                self._execution.kill(0)  # a defect has brought us here
            if self._ticket is not None:
                self.worker.slots.give_back(self._ticket)
            self._reactor.close()
            self.worker.ended(self)

    def queue(self, values: tuple[Any, ...]) -> None:
        """Queue the job that the client described."""
        assert self._link is not None
        if self.busy:
            self._refuse(statuses.REFUSED, "a job runs on this connection already")
            return
        try:
            spec = JobSpec.from_wire(values)
        except (ValueError, TypeError) as error:
            self._refuse(statuses.REFUSED, f"the job is malformed: {error}")
            return
        if self.worker.draining:
            self._refuse(statuses.NO_WORKER, "the worker is going down")
            return
        self._spec = spec
        ticket = Ticket(lambda: self._reactor.post(lambda: self._granted(ticket)))
        self._ticket = ticket
        self.worker.slots.claim(ticket)

    def give_up_waiting(self) -> None:
        """The worker goes down: a job that has not started goes back to its client. Any thread may call."""
        self._reactor.post(self._return_job)

    def kill(self) -> None:
        """End the running job. Any thread may call."""
        self._reactor.post(self._kill_job)

    # The rest is for this thread.

    def _kill_job(self) -> None:
        if self._execution is not None:
            self._execution.kill(1000)

    def _serve(self) -> None:
        assert self._link is not None
        try:
            self._link.serve()
        except (EOFError, WireError) as error:
            if isinstance(error, WireError):
                self.worker.console.say(f"{self._peer} is no shadowfarm client: {error}")
            self._hang_up()

    def _hang_up(self) -> None:
        """The connection has ended, wherever that was noticed; what ran or waited for it ends, too."""
        assert self._link is not None
        if self._hung_up:
            return
        self._hung_up = True
        # By its number: the socket may be closed already, and the number must not be watched when it is used again.
        self._reactor.unwatch(self._fd)
        self._link.close()
        self._leave_queue()
        if self._execution is not None:
            self._execution.abandon()

    def _leave_queue(self) -> None:
        if self._ticket is not None and self._execution is None:
            self.worker.slots.give_back(self._ticket)
            self._ticket = None

    def _return_job(self) -> None:
        if self._ticket is not None and self._execution is None:
            self._leave_queue()
            self._refuse(statuses.NO_WORKER, "the worker is going down")

    def _refuse(self, status: int, what: str, cure: str = "") -> None:
        if self._link is not None and not self._link.closed:
            try:
                self._link.tell("not_started", status, what, cure)
            except EOFError:
                pass  # the loop sees it

    def _granted(self, ticket: Ticket) -> None:
        if ticket is not self._ticket or self._link is None or self._link.closed:
            self.worker.slots.give_back(ticket)
            return
        assert self._spec is not None
        settings = self.worker.settings
        spec = remapped(self._spec, settings.remap_cmds, settings.remap_dirs)
        self._number, self._started_at = self.worker.next_number(), time.monotonic()
        try:
            command = self._command(spec)
        except OSError as error:
            self._could_not_start(*explain(spawn.NO_EXEC, error.errno or 0, spec))
            return
        limits = Limits(settings.read_size, settings.timeout_read_s, settings.timeout_s)
        execution = Execution(spec, limits, self._link, self._reactor, ended=self._job_ended, done=self._job_done)
        self._execution = execution
        try:
            execution.start(self.worker.spawner_socket(), command)
        except OSError as error:
            self._execution = None
            self._could_not_start(statuses.NO_WORKER, f"the worker cannot start a job: {error.strerror}", "")

    def _command(self, spec: JobSpec) -> spawn.Command:
        """What the spawner is to execute, without its streams. Raises: OSError: the program is not there."""
        program, argv = spec.program, spec.argv
        if spec.shown_as:
            program, name = naming.under_own_name(spec.program, spec.shown_as)
            argv = (name, *argv[1:])
        if spec.shell:
            program, argv = b"/bin/sh", (b"sh", b"-c", b" ".join(argv))
        env = dict(os.environb)
        if spec.env is not None:
            env = {
                name: value for name, equals, value in (item.partition(b"=") for item in spec.env) if name and equals
            }
        if b"TMPDIR" in env and not os.path.isdir(env[b"TMPDIR"]):
            del env[b"TMPDIR"]
        env[spawn.MARK] = self.worker.mark(self._number)
        return spawn.Command(program, argv, env, spec.cwd, spec.umask, spec.ignored, (-1, -1, -1), -1)

    def _could_not_start(self, status: int, what: str, cure: str) -> None:
        self._refuse(status, what, cure)
        self._job_ended(what)
        self._job_done()

    def _job_ended(self, how: str) -> None:
        """The slot is free again, even if output is still on its way."""
        if self._ticket is not None:
            self.worker.slots.give_back(self._ticket)
            self._ticket = None
            assert self._spec is not None
            self.worker.console.job(self._number, self._spec, how, time.monotonic() - self._started_at)

    def _job_done(self) -> None:
        self._execution = None
        self._spec = None
        self.worker.job_done()


def _number(value: Any) -> int:
    if not isinstance(value, int):
        raise TypeError("a number is expected")
    return value
