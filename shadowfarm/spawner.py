"""The process that starts, watches and ends a worker's jobs; a worker starts one for itself.

Jobs are not started by the worker itself, since
- forking is safe only in a process with a single thread, and `subprocess` cannot give a job a controlling terminal;
- a small process forks faster than a large one;
- when the worker is killed, somebody must be left who ends its jobs: this process sees its sockets close.

`spawn` tells how the worker and this process talk.

A job is the leader of a process group in this process's session; a job with a terminal that somebody types at gets a
session of its own with a leader between (a fork of this process that runs the same loop for this one job), so that its
process group is not orphaned and Ctrl-Z stops it.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import time
from typing import NoReturn

from . import spawn, system
from .reactor import Reactor, Timer

_ABANDONED_GRACE_MS = 1000
_KILL_AGAIN_S = 0.02
_KILL_PATIENCE_S = 5.0
_MAX_FDS = 4


class _Job:
    """One job, seen from its parent process."""

    def __init__(self, control: socket.socket, command: spawn.Command) -> None:
        self.control = control
        self.command = command
        self.pid = 0
        self.exec_report = -1  # read end of a pipe that closes when the exec succeeded
        self.wait_status: int | None = None
        self.kill_timer: Timer | None = None
        self.kill_deadline = 0.0

    def report(self, kind: bytes, number: int = 0) -> None:
        try:
            self.control.send(spawn.MESSAGE.pack(kind, number))
        except OSError:
            pass  # the worker's end is closed: the loop sees it, too


class Spawner:
    """The loop. `source` is the socket that jobs come from, or None for the leader of a single job's session."""

    def __init__(self, source: socket.socket | None) -> None:
        self._source = source
        self._jobs: set[_Job] = set()
        self._reactor = Reactor()
        self._child_wake, child_signal = os.pipe()
        for fd in (self._child_wake, child_signal):
            os.set_blocking(fd, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(child_signal, warn_on_full_buffer=False)
        self._own_fds = [self._child_wake, child_signal]
        self._reactor.watch(self._child_wake, self._reap)
        if source is not None:
            self._reactor.watch(source.fileno(), self._take_job)

    def run(self) -> None:
        """Serve until the source is closed and the last job has ended."""
        while self._source is not None or self._jobs:
            self._reactor.turn()

    def adopt(self, job: _Job, descriptors: list[int]) -> None:
        """Start a job here, in this process's session."""
        self._jobs.add(job)
        self._reactor.watch(job.control.fileno(), lambda: self._obey(job))
        self._start(job, descriptors)

    # Jobs coming in.

    def _take_job(self) -> None:
        assert self._source is not None
        try:
            flags = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
            data, fds, _, _ = socket.recv_fds(self._source, 1, _MAX_FDS, flags)
        except OSError:
            data, fds = b"", []
        if not data:
            self._worker_is_gone()
            return
        for fd in fds:
            os.set_inheritable(fd, False)
        control, *descriptors = fds
        job = _Job(socket.socket(fileno=control), spawn.Command(b"", (), {}, b"", 0, (), (-1, -1, -1), -1))
        try:
            job.command = spawn.Command.read(job.control)
            if job.command.terminal >= 0:
                self._start_with_leader(job, descriptors)
            else:
                self.adopt(job, descriptors)
        except EOFError:
            job.control.close()
        finally:
            for fd in descriptors:
                os.close(fd)

    def _worker_is_gone(self) -> None:
        assert self._source is not None
        self._reactor.unwatch(self._source.fileno())
        self._source.close()
        self._source = None
        for job in list(self._jobs):
            self._kill_tree(job, _ABANDONED_GRACE_MS)

    def _start_with_leader(self, job: _Job, descriptors: list[int]) -> None:
        try:
            pid = os.fork()
        except OSError as error:
            job.report(spawn.NO_FORK, error.errno or 0)
            pid = -1
        if pid == 0:
            self._lead_session(job, descriptors)
        job.control.close()

    def _lead_session(self, job: _Job, descriptors: list[int]) -> NoReturn:
        status = 1
        try:
            self._leave_to_parent()
            os.setsid()
            _take_terminal(descriptors[job.command.terminal])
            leader = Spawner(None)
            leader.adopt(job, descriptors)
            for fd in descriptors:
                os.close(fd)
            leader.run()
            status = 0
        finally:
            os._exit(status)

    def _leave_to_parent(self) -> None:
        signal.set_wakeup_fd(-1)
        self._reactor.close()
        for job in self._jobs:
            job.control.close()
        for fd in self._own_fds:
            os.close(fd)
        if self._source is not None:
            self._source.close()

    # Starting.

    def _start(self, job: _Job, descriptors: list[int]) -> None:
        report_read, report_write = os.pipe()
        # Until the child has set its own, signals would meet what this process does with them, and be lost.
        signal.pthread_sigmask(signal.SIG_BLOCK, system.FORWARDED)
        try:
            job.pid = os.fork()
        except OSError as error:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, system.FORWARDED)
            os.close(report_read)
            os.close(report_write)
            job.report(spawn.NO_FORK, error.errno or 0)
            self._forget(job)
            return
        if job.pid == 0:
            _become(job.command, descriptors, report_write)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, system.FORWARDED)
        os.close(report_write)
        os.set_blocking(report_read, False)
        job.exec_report = report_read
        self._reactor.watch(report_read, lambda: self._exec_done(job))
        try:
            os.setpgid(job.pid, job.pid)  # both sides do it, so that a signal right now reaches the group
        except OSError:
            pass

    def _exec_done(self, job: _Job) -> None:
        if job.exec_report < 0:
            return
        try:
            data = os.read(job.exec_report, spawn.MESSAGE.size)
        except BlockingIOError:
            return
        self._reactor.unwatch(job.exec_report)
        os.close(job.exec_report)
        job.exec_report = -1
        if data:
            job.report(*spawn.MESSAGE.unpack(data))
            self._forget(job)
        else:
            job.report(spawn.STARTED, job.pid)

    # Watching.

    def _reap(self) -> None:
        try:
            while os.read(self._child_wake, 4096):
                pass
        except BlockingIOError:
            pass
        flags = os.WNOHANG | os.WUNTRACED | getattr(os, "WCONTINUED", 0)
        while True:
            try:
                pid, status = os.waitpid(-1, flags)
            except ChildProcessError:
                return
            if not pid:
                return
            for job in self._jobs:
                if job.pid == pid:
                    self._changed(job, status)
                    break  # others are orphans of some job, or leaders of a session

    def _changed(self, job: _Job, status: int) -> None:
        if os.WIFSTOPPED(status):
            job.report(spawn.STOPPED, os.WSTOPSIG(status))
        elif os.WIFCONTINUED(status):
            job.report(spawn.CONTINUED)
        else:
            self._exec_done(job)
            job.wait_status = status
            if job in self._jobs and job.kill_timer is None:
                self._ended(job)

    def _ended(self, job: _Job) -> None:
        assert job.wait_status is not None
        job.report(spawn.ENDED, job.wait_status)
        self._forget(job)

    def _forget(self, job: _Job) -> None:
        self._jobs.discard(job)
        if job.kill_timer is not None:
            job.kill_timer.cancel()
        self._reactor.unwatch(job.control.fileno())
        job.control.close()

    # Ending.

    def _obey(self, job: _Job) -> None:
        try:
            data = job.control.recv(spawn.MESSAGE.size, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._reactor.unwatch(job.control.fileno())
            self._kill_tree(job, _ABANDONED_GRACE_MS)
            return
        kind, number = spawn.MESSAGE.unpack(data)
        if kind == spawn.SIGNAL:
            system.kill(job.pid, number, group=True)
        elif kind == spawn.KILL:
            self._kill_tree(job, number)

    def _kill_tree(self, job: _Job, grace_ms: int) -> None:
        """Ask all of the job's processes to end, and after `grace_ms` make them; the end is told when none is left."""
        if job.kill_timer is not None:
            job.kill_timer.cancel()
        job.kill_deadline = time.monotonic() + grace_ms / 1000 + _KILL_PATIENCE_S
        if grace_ms:
            for pid in self._left(job):
                system.kill(pid, signal.SIGTERM)
                system.kill(pid, signal.SIGCONT)
            self._kill_after(job, grace_ms, _KILL_AGAIN_S)
        else:
            self._kill_rest(job)

    def _kill_after(self, job: _Job, grace_ms: int, pause_s: float) -> None:
        def look() -> None:
            left_ms = grace_ms - int(pause_s * 1000)
            if job.wait_status is not None and not self._left(job):
                self._ended(job)
            elif left_ms <= 0:
                self._kill_rest(job)
            else:
                self._kill_after(job, left_ms, min(0.2, pause_s * 2))

        job.kill_timer = self._reactor.later(min(pause_s, grace_ms / 1000), look)

    def _kill_rest(self, job: _Job) -> None:
        # A process may fork while the table is read: look again until nobody is left.
        left = self._left(job)
        for pid in left:
            system.kill(pid, signal.SIGKILL)
        if not left and job.wait_status is not None:
            self._ended(job)
        elif time.monotonic() > job.kill_deadline and job.wait_status is not None:
            self._ended(job)  # what is left cannot be killed (waits in the kernel for a dead mount)
        else:
            job.kill_timer = self._reactor.later(_KILL_AGAIN_S, lambda: self._kill_rest(job))

    def _left(self, job: _Job) -> set[int]:
        return system.job_processes(job.command.mark, job.pid)


def _take_terminal(fd: int) -> None:
    import fcntl
    import termios

    fcntl.ioctl(fd, termios.TIOCSCTTY, 0)


def _become(command: spawn.Command, descriptors: list[int], report: int) -> NoReturn:
    """In the child: turn into the job, or report why not and end."""
    kind, number = spawn.NO_EXEC, 0
    try:
        os.setpgid(0, 0)
        if command.terminal >= 0:
            signal.signal(signal.SIGTTOU, signal.SIG_IGN)
            os.tcsetpgrp(descriptors[command.terminal], os.getpgrp())
        _set_signals(command.ignored)
        _set_streams(command.streams, descriptors)
        os.umask(command.umask)
        try:
            os.chdir(command.cwd)
        except OSError:
            kind = spawn.NO_FOLDER
            raise
        system.execute(command.program, command.argv, command.env)
    except OSError as error:
        number = error.errno or 0
    finally:
        os.write(report, spawn.MESSAGE.pack(kind, number))
        os._exit(127)


# Set to "ignore" by Python or by this process; all others are inherited as they were, or reset by exec.
_IGNORED_HERE = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTTOU)


def _set_signals(ignored: tuple[int, ...]) -> None:
    signal.set_wakeup_fd(-1)
    for number in _IGNORED_HERE:
        if number not in ignored:
            signal.signal(number, signal.SIG_DFL)
    for extra in ignored:
        try:
            signal.signal(extra, signal.SIG_IGN)
        except (OSError, ValueError):
            pass  # no such signal here, or one that cannot be ignored
    signal.pthread_sigmask(signal.SIG_UNBLOCK, system.FORWARDED)


def _set_streams(streams: tuple[int, int, int], descriptors: list[int]) -> None:
    for fd, index in enumerate(streams):
        if index >= 0:
            os.dup2(descriptors[index], fd)
    for fd, index in enumerate(streams):
        if index < 0:
            os.close(fd)


def _forget_signals() -> None:
    """Undo what whoever started the worker ignored or blocked, as a script's background job or nohup does: jobs get
    what their clients had."""
    for number in range(1, signal.NSIG):
        try:
            if signal.getsignal(number) == signal.SIG_IGN and number not in (signal.SIGPIPE, signal.SIGXFSZ):
                signal.signal(number, signal.SIG_DFL)
        except (OSError, ValueError):
            pass  # no such signal, or one that the C library keeps for itself
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def main(source_fd: int) -> None:
    """Run as a process of its own; `source_fd` is the socket to the worker."""
    os.setsid()
    system.fill_closed()
    system.adopt_orphans()
    _forget_signals()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # ends when the worker does, after its jobs
    gc.disable()  # nothing here makes cycles, and a collection would copy pages that forks share
    source = socket.socket(fileno=source_fd)
    source.set_inheritable(False)  # it was inherited itself, and jobs must not have it
    Spawner(source).run()
