"""Where a command is to run and with what: a pure function of the command, the config and the client's surroundings."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

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
    roots = (*shared, *SYSTEM_FOLDERS)
    if not _within(cwd, shared):
        return cwd
    for arg in args:
        path = _path_in(arg, cwd)
        if path and not _within(path, roots):
            return path
    return ""


def _path_in(arg: str, cwd: str) -> str:
    """The path that an argument names, absolute and normal: /p, -I/p, --x=/p, @/p, and what leaves cwd by `..`."""
    slash = arg.find("/")
    if slash < 0:
        return ""
    if slash > 0 and not (arg[0] in "-@" or arg[slash - 1] in "=,:"):
        return os.path.normpath(os.path.join(cwd, arg)) if ".." in arg else ""
    if arg[0] == "-" and ".." in arg[:slash]:
        return os.path.normpath(os.path.join(cwd, arg[arg.find("..") :]))
    return os.path.normpath(arg[slash:])


def _within(path: str, folders: Sequence[str]) -> bool:
    return any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in folders)
