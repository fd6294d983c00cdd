"""client.py's story: what was called, where it goes, and how it ends here."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from . import __version__, invocation, statuses, venv
from .config import Config, find, load
from .errors import FarmError, NotStarted
from .invocation import Invocation
from .routing import Route, route

TYPE_CHECKING = False  # as typing's, without its import
if TYPE_CHECKING:
    from typing import NoReturn

    from .job import JobSpec
    from .streams import Plan

JOB_MARK = b"SHADOWFARM_JOB"


def main(argv: Sequence[str], script: str) -> NoReturn:
    """Run what `argv` says, end as it ended; `script` is the path of client.py."""
    try:
        status = _run(argv, os.path.realpath(script))
    except FarmError as error:
        status = _report(error)
    except Exception as error:
        status = _report_defect(error)
    # Past the interpreter's own clean-up, which may wait for a thread that writes to a reader that stopped.
    os._exit(status)


def _run(argv: Sequence[str], script: str) -> int:
    if os.path.basename(argv[0]) == os.path.basename(script) and argv[1:2] in (["--version"], ["--help"]):
        return _tell_about(argv[1])
    called = invocation.read(argv, script, os.environ)
    if os.environb.get(JOB_MARK):
        # A compiler that calls a compiler: a job waiting for a slot of its own would wait for itself.
        invocation.run_here(called, os.environb)
    config = load(find(argv[0], script, os.environ))
    args = called.args
    config.do_fixes(args)
    called = called.with_args(args)
    where = route(config, args, _cwd()) if _cwd() else Route("the working folder is gone")
    if where.local:
        _debug(config, f"runs here: {where.local}")
        invocation.run_here(called, os.environb)
    return _run_remotely(config, called, where)


def _run_remotely(config: Config, called: Invocation, where: Route) -> int:
    try:
        from . import signals, streams, system
        from .dispatch import Dispatch
        from .signals import Interrupted
    except ModuleNotFoundError as error:
        raise venv.missing(error) from error

    closed = system.fill_closed()
    plan = streams.plan(closed, where.stdin)
    control = signals.SignalControl()
    spec = _spec(config, called, where, plan, control.ignored)
    control.install()
    try:
        result = Dispatch(config, where.workers, spec, plan, control, _warn).run()
    except Interrupted as interrupted:
        return signals.die_by(interrupted.number)
    except NotStarted as error:
        if error.final or not config.fallback:
            raise
        _warn(f"no worker took the job ({error.what}); running {called.program} here")
        control.restore()
        for fd in (fd for fd in range(3) if closed[fd]):
            os.close(fd)
        invocation.run_here(called, os.environb)
    if result.signal:
        return signals.die_by(result.signal)
    return result.code


def _spec(config: Config, called: Invocation, where: Route, plan: Plan, ignored: tuple[int, ...]) -> JobSpec:
    from .environment import forwarded
    from .job import JobSpec

    program = os.fsencode(called.program)
    umask = os.umask(0o22)
    os.umask(umask)
    return JobSpec(
        program=program,
        shown_as=os.fsencode(called.shown_as),
        argv=(program, *map(os.fsencode, called.arguments)),
        cwd=os.fsencode(_cwd()),
        env=forwarded(os.environb, config.env_skip) if where.env else None,
        umask=umask,
        shell=where.shell,
        ignored=ignored,
        streams=plan.streams,
        stdin=plan.stdin,
        terminal=plan.terminal,
        drain_s=config.drain_s,
    )


def _cwd() -> str:
    """The working folder; "" when it was removed, which only a command that runs here can live with."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return ""


def _tell_about(option: str) -> int:
    if option == "--version":
        print(f"shadowfarm {__version__}")
    else:
        print(f"{invocation.USAGE}\n\nExit statuses of its own:")
        for number, meaning in statuses.MEANINGS.items():
            print(f"  {number}  {meaning}")
    sys.stdout.flush()
    return 0


def _debug(config: Config, text: str) -> None:
    if config.debug or os.environ.get("SHADOWFARM_DEBUG"):
        _warn(text)


def _warn(text: str) -> None:
    print(f"shadowfarm: {text}.", file=sys.stderr, flush=True)


def _report(error: FarmError) -> int:
    print(error.line(), file=sys.stderr, flush=True)
    if os.environ.get("SHADOWFARM_DEBUG"):
        import traceback

        traceback.print_exception(error)
    return error.status


def _report_defect(error: Exception) -> int:
    text = f"shadowfarm: a defect: {type(error).__name__}: {error}. Set SHADOWFARM_DEBUG=1 for details, and report it."
    print(text, file=sys.stderr, flush=True)
    if os.environ.get("SHADOWFARM_DEBUG"):
        import traceback

        traceback.print_exception(error)
    return statuses.INTERNAL
