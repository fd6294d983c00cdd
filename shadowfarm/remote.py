"""One job on one worker, from the client's side."""

from __future__ import annotations

import errno
import os
import signal
import time

from . import statuses, system
from .channel import WireError
from .errors import FarmError, JobLost, NotStarted
from .job import INPUT_WINDOW_BYTES, STDIN, JobSpec
from .outcome import JobResult
from .reactor import Reactor, Timer
from .signals import FATAL, Control, Interrupted, act_before_start
from .streams import Plan, RawTerminal, Sink
from .wire import Link, PeerService


class NoSlotInTime(FarmError):
    """Workers are there, but none had a slot within TIMEOUT. Nothing was started."""

    status = statuses.NO_WORKER


class ClientService(PeerService):
    """What a client offers to a worker: to be told of its job. Calls before a job is there, or after, are dropped."""

    def __init__(self) -> None:
        self.job: RemoteJob | None = None

    def take_bytes(self, tag: int, data: memoryview) -> None:
        """Bytes of one of the job's outputs; the tag is its group."""
        if self.job is not None:
            self.job.output(tag, data)

    def exposed_started(self, pid: int) -> None:
        """The job runs."""
        if self.job is not None:
            self.job.started()

    def exposed_not_started(self, status: int, what: str, cure: str) -> None:
        """The job was not started; nothing was done."""
        if self.job is not None:
            self.job.finish(NotStarted(f"{self.job.address}: {what}", cure, status=status))

    def exposed_input_taken(self, count: int) -> None:
        """The job's stdin took bytes."""
        if self.job is not None:
            self.job.input_taken(count)

    def exposed_input_closed(self) -> None:
        """The job's stdin takes no more."""
        if self.job is not None:
            self.job.input_closed()

    def exposed_stopped(self, number: int) -> None:
        """A signal stopped the job."""
        if self.job is not None:
            self.job.stopped()

    def exposed_outlived(self, code: int, number: int) -> None:
        """The job's main process has ended, and there is output that waits for the client's reader."""
        if self.job is not None:
            self.job.outlived(JobResult(code, number))

    def exposed_ended(self, code: int, number: int) -> None:
        """The job ended, and all its output was sent before."""
        if self.job is not None:
            self.job.finish(JobResult(code, number))

    def exposed_failed(self, status: int, what: str, cure: str) -> None:
        """The job ran and was ended by the worker, or its end is not known."""
        if self.job is not None:
            kind = JobLost if status == statuses.LOST else FarmError
            self.job.finish(kind(f"{self.job.address}: {what}", cure, status=status))


class RemoteJob:
    """Runs a job over a link and passes its streams and signals; see `run`.

    Input is read from the client's stdin only as far as the job takes it, one window at most: what is read is lost to
    the next command that would read the same stdin.
    """

    def __init__(
        self, address: str, link: Link, spec: JobSpec, plan: Plan, control: Control, grace_s: float, deadline: float
    ) -> None:
        self.address = address
        self.passed_on = False  # whether output or input went through, so that a second run would double it
        self._link = link
        self._spec = spec
        self._plan = plan
        self._control = control
        self._grace_s = grace_s
        self._deadline = deadline
        self._reactor = Reactor()
        self._sinks: dict[int, Sink] = {}
        self._outcome: JobResult | FarmError | None = None
        self._running = False
        self._input_window = INPUT_WINDOW_BYTES
        self._input_open = plan.stdin
        self._raw = RawTerminal(STDIN)
        self._size = plan.terminal.size if plan.terminal is not None else None
        self._interrupts = 0
        self._end_is_wanted = False
        self._outlived: JobResult | None = None
        self._stall: Timer | None = None
        self._abandon_output = False

    def run(self) -> JobResult:
        """Run it to its end.

        Raises: NotStarted; NoSlotInTime; JobLost; FarmError: the worker ended it; Interrupted: before it started.
        """
        try:
            self._reactor.open_post()
            self._reactor.watch(self._control.fileno(), self._take_signals)
            self._reactor.later(max(0.0, self._deadline - time.monotonic()), self._too_late)
            self._converse()
            self._drain_sinks()
        finally:
            self._raw.leave()
            self._link.close()
            self._reactor.close()
        if isinstance(self._outcome, FarmError):
            raise self._outcome
        assert self._outcome is not None
        return self._judged(self._outcome)

    def _asked(self, _: object, error: Exception | None) -> None:
        if error is not None and self._outcome is None:
            self._outcome = NotStarted(f"{self.address} did not understand the job: {error}")

    # What the worker tells.

    def started(self) -> None:
        self._running = True
        self._resize()  # it may have changed before its signal was watched for
        if self._plan.raw:
            self._raw.enter()
        if self._input_open:
            self._watch_input()

    def output(self, group: int, data: memoryview) -> None:
        if group not in self._plan.targets:
            raise WireError(f"output {group} was not asked for")
        self.passed_on = True
        sink = self._sinks.get(group)
        if sink is None:
            sink = self._sinks[group] = self._open_sink(group)
        if not sink.error:
            sink.put(data)

    def input_taken(self, count: int) -> None:
        self._input_window += count
        if self._input_open:
            self._watch_input()

    def input_closed(self) -> None:
        self._input_open = False
        self._reactor.unwatch(STDIN)

    def stopped(self) -> None:
        """Stop as the job did, so that the shell sees it; go on when the shell says so."""
        self._raw.leave()
        os.kill(os.getpid(), signal.SIGSTOP)
        if self._plan.raw:
            self._raw.enter()

    def outlived(self, result: JobResult) -> None:
        """Wait for the reader for as long as it likes, unless the user wants an end."""
        self._outlived = result
        self._arm_stall()

    def finish(self, outcome: JobResult | FarmError) -> None:
        self._outcome = outcome

    # The loop.

    def _converse(self) -> None:
        """Ask for the job and serve what comes, until there is an outcome."""
        fd = self._link.fileno()
        try:
            self._reactor.watch(fd, self._serve)
            self._link.ask("run", self._spec.to_wire(), answer=self._asked)
            while self._outcome is None:
                self._reactor.turn(0 if self._link.more else None)
                if self._link.more:
                    self._serve()
        except (EOFError, WireError) as error:
            self._lost(error)
        finally:
            self._reactor.unwatch(fd)
            self._reactor.unwatch(STDIN)

    def _serve(self) -> None:
        # One message at a time: after the last there is nothing to read, and its reply may find the worker gone.
        while self._outcome is None:
            self._link.serve(at_most=1)
            if not self._link.more:
                return

    def _lost(self, error: Exception) -> None:
        if self._outcome is None:
            self._outcome = JobLost(
                f"the connection to {self.address} was lost while the job ran there: {error}",
                "It may have run. See the worker's console, or name the command in RETRY to run it again in this case.",
            )

    def _too_late(self) -> None:
        if not self._running and self._outcome is None:
            self._outcome = NoSlotInTime(
                f"no slot was free in time at {self.address}", "Add workers or slots, or raise TIMEOUT in config.py."
            )

    # Output.

    def _open_sink(self, group: int) -> Sink:
        return Sink(
            self._plan.targets[group],
            wrote=lambda count: self._reactor.post(lambda: self._wrote(group, count)),
            failed=lambda: self._reactor.post(lambda: self._output_failed(group)),
        )

    def _arm_stall(self) -> None:
        """After a signal to end and the job's end, a reader that takes nothing for the drain time is not waited for."""
        ended = self._outlived is not None or self._outcome is not None
        if ended and self._end_is_wanted:
            if self._stall is not None:
                self._stall.cancel()
            self._stall = self._reactor.later(self._spec.drain_s, self._stalled)

    def _stalled(self) -> None:
        self._abandon_output = True
        if self._outcome is None:
            self._outcome = self._outlived

    def _wrote(self, group: int, count: int) -> None:
        self._arm_stall()
        if count and self._outcome is None:
            self._link.tell("credit", group, count)

    def _output_failed(self, group: int) -> None:
        if self._outcome is None:
            self._link.tell("close_output", group)

    def _drain_sinks(self) -> None:
        """The job has ended: wait until the client's readers have taken all, with signals as before."""
        for sink in self._sinks.values():
            sink.close()
        self._arm_stall()
        while not self._abandon_output and not all(sink.idle for sink in self._sinks.values()):
            self._reactor.turn()

    def _judged(self, result: JobResult) -> JobResult:
        """The result, unless output was lost on its way to a reader and the job could not know."""
        broken = next((sink.error for sink in self._sinks.values() if sink.error), 0)
        if broken == errno.EPIPE:
            return JobResult(signal=int(signal.SIGPIPE)) if result == JobResult() else result
        if broken:
            raise FarmError(
                f"the job's output could not be written: {os.strerror(broken)}",
                "What it printed is not complete.",
                status=statuses.OUTPUT_LOST,
            )
        return result

    # Input.

    def _watch_input(self) -> None:
        if self._input_window > 0 and self._running:
            self._reactor.watch(STDIN, self._read_input)
        else:
            self._reactor.unwatch(STDIN)

    def _read_input(self) -> None:
        try:
            data = os.read(STDIN, self._input_window)
        except BlockingIOError:
            return
        except OSError:
            data = b""  # a terminal that was hung up
        if not data:
            self.input_closed()
            self._link.tell("input_end")
            return
        self.passed_on = True
        self._input_window -= len(data)
        self._link.send_bytes(STDIN, data)
        self._watch_input()

    # Signals.

    def _take_signals(self) -> None:
        for number in self._control.take():
            self._signal(number)

    def _signal(self, number: int) -> None:
        if self._outcome is not None:
            if number in system.FORWARDED:
                raise Interrupted(number)
        elif number == getattr(signal, "SIGWINCH", 0):
            self._resize()
        elif not self._running:
            act_before_start(number)
        elif number == signal.SIGINT and self._interrupts:
            self._kill()
        else:
            self._interrupts += number == signal.SIGINT
            self._link.tell("signal", number)
            if number in FATAL and not self._end_is_wanted:
                self._end_is_wanted = True
                if self._grace_s:
                    self._reactor.later(self._grace_s, self._kill)
                self._arm_stall()

    def _kill(self) -> None:
        if self._outcome is None:
            self._link.tell("kill")

    def _resize(self) -> None:
        for fd in sorted({STDIN, *self._plan.targets.values()}):
            if self._plan.terminal is not None and os.isatty(fd):
                size = system.terminal_size(fd)
                if size != self._size:
                    self._size = size
                    self._link.tell("resize", *size)
                return
