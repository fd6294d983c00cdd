"""Where a command is to run and with what: a pure function of the command, the config and the client's surroundings."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from .argpaths import paths_in
from .config import Config, matches

# Folders that belong to a machine's system: the same on every machine by its set-up, not by the shared workspace.
SYSTEM_FOLDERS = (
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/opt",
    "/etc",
    "/dev",
    "/proc",
    "/sys",
    "/nix",
    "/Applications",
    "/Library",
    "/System",
)


@dataclass(frozen=True)
class Route:
    """`local` says why the command runs here, and is empty when it goes to one of `workers`."""

    local: str
    workers: tuple[str, ...] = ()
    shell: bool = False
    env: bool = True
    stdin: bool = False


def route(config: Config, args: list[str], cwd: str) -> Route:
    """Decide for the command `args` (program first) in `cwd`. Raises: ConfigError, from a hook."""
    program = args[0]
    if matches(config.run_directly, program):
        return Route("RUN_DIRECTLY names it")
    if config.should_run_direct(args):
        return Route("shouldRunDirect says so")
    stray = outside(args, cwd, config.shared)
    if stray:
        return Route(f"{stray} is outside SHARED")
    allowed = config.clients_to_use(args)
    workers = config.workers if allowed is None else tuple(config.workers[index] for index in allowed)
    if not workers:
        return Route("no worker is allowed for it")
    return Route(
        "",
        workers,
        shell=matches(config.use_shell, program) or config.should_use_shell(args),
        env=matches(config.use_env, program) or config.should_use_env(args),
        stdin=matches(config.use_comm, program) or config.should_use_comm(args),
    )


def outside(args: Sequence[str], cwd: str, shared: Sequence[str]) -> str:
    """The first of cwd and the paths in `args` that lies in none of the shared and system folders; "" for none.

    Without any shared folders all is taken to be shared.
    """
    if not shared:
        return ""
    shared = [os.path.normpath(folder) for folder in shared]
    if not _within(cwd, shared):
        return cwd
    roots = (*shared, *SYSTEM_FOLDERS)
    for arg in args:
        for path in paths_in(arg):
            whole = os.path.normpath(os.path.join(cwd, path))
            if not _within(whole, roots):
                return whole
    return ""


def _within(path: str, folders: Sequence[str]) -> bool:
    return any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in folders)
