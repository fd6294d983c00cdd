"""What client.py runs where. This is a Python file: you may compute the values, import modules, and add names of yours.

Every name may be left out and then has the value shown here. A wrong value, or one of these names misspelt, stops the
client with one line that tells file, line and name. client.py reads this file, and never changes it.

Which file is read: the one that the variable SHADOWFARM_CONFIG names; else the first config.py found in the folders
along the chain of links from the called name to client.py; else the one beside client.py. So a folder with a link to
client.py and a config.py of its own is another set-up: see ue/.

A *match list* is a tuple of texts. An entry means each program whose path ends with it, renamed or not: "clang" means
/usr/bin/clang, /usr/bin/clang_ and /opt/my-clang; "/clang" means only programs with exactly that name. "*" means all.
A tuple of one entry needs a comma: ("clang",).
"""

# Another config.py, by its path relative to this file. The names that are missing here are taken from there, so a
# variant holds only what differs. Text; default "": none. In ue/config.py, for instance, it is "../config.py".
BASE = ""

# ---------------------------------------------------------------------------------------------------- the workers

# The workers, in the order of preference among equally loaded ones. An entry is one of
#   "build2:7711"       host and port of a worker.py, as its worker.js says; "[::1]:7711" for an IPv6 address; a pair
#                       such as ("build2", 7711) is the same
#   "localhost:7712"    a worker behind an ssh forward: see samples/connect-w1. Nothing is encrypted, and nobody is
#                       asked who they are, without ssh
#   "unix:/run/w1.sock" a worker behind a UNIX socket, as sshd forwards those as well
#   "local"             a worker on this machine, one job a core, that the client starts by itself; ends when idle
# Default ("local",). Change it as soon as another machine runs a worker, for instance to ("localhost:7712", "local").
WORKERS = ("local",)

# Seconds that a job waits for a worker's free slot (and, when FALLBACK is False, for a worker that can be reached)
# before the client gives up with status 102. Default 600. Raise it when jobs are so long, or so many, that waiting
# longer is normal; a build should not fail because the farm is full.
TIMEOUT = 600

# Seconds to wait for a worker to accept a connection. Default 2. Raise it for a worker behind a slow line.
CONNECT_TIMEOUT = 2

# Seconds that a worker that could not be reached is left alone before it is tried again. Default 5. Raise it when a
# worker is often away and the tries to reach it cost you time; lower it when workers come back quickly.
COOLDOWN = 5

# Seconds between two rounds of tries while no worker can be reached and FALLBACK is False. Default 1.
SLEEP = 1

# What is done when no worker can be reached. True: the job runs here, and a line on stderr says so. False: the client
# goes on trying until TIMEOUT. Default True. Choose False when this machine must not, or cannot, run the jobs.
# Workers that are only busy are waited for in either case.
FALLBACK = True

# ------------------------------------------------------------------------------------------ which jobs go to a worker

# Match list: programs that always run here, with no process in between. Default (): none. Add what is too short to be
# worth the way ("/ar", "/ranlib"), or needs this machine (a program that opens a window).
RUN_DIRECTLY = ()

# Folders that every machine mounts at the same path. Absolute paths; default (): everything is taken to be shared.
# When given, a job whose folder, program or argument lies outside of them and outside of the system's folders runs
# here. Give it when jobs outside of the workspace pass through the client: ("/home/me/workspace",).
SHARED = ()

# Match list: programs that may run a second time elsewhere when their worker is lost in the middle of a job.
# Default (): none. Compilers are safe ("clang", "/cc1plus"): they write the same file again. What appends to a file
# or sends something is not.
RETRY = ()

# ------------------------------------------------------------------------------------------------ how a job runs there

# Match list: programs that get this machine's environment variables. Default ("*",): all. The others get those of the
# worker itself. Name programs here when the workers' environments are set up on purpose.
USE_ENV = ("*",)

# Shell patterns of the variables that are not sent, since they are true on this machine only. Default: those of ssh,
# of the desktop and of its session. Your own list takes the place of this one. make's jobserver is never sent.
ENV_SKIP = ("SSH_*", "DISPLAY", "WAYLAND_*", "XDG_RUNTIME_DIR", "DBUS_*")

# Match list: programs that are started through the worker's shell, which joins and interprets the arguments.
# Default (): none. Needed only for what is no program but a word of the shell.
USE_SHELL = ()

# Match list: programs that read stdin: ("/sort", "/ffmpeg"). Default (): the others find stdin empty, so that they
# don't eat the input of a script's loop around them. See shouldUseComm below for single cases.
USE_COMM = ()

# ------------------------------------------------------------------------------------------------------- how a job ends

# Seconds from the moment when you interrupt a job (or SIGTERM or SIGQUIT reaches it) to the moment when it is killed
# with all that it started. Default 10; 0: never. Raise it for programs that need long to save their work.
GRACE = 10

# Seconds after the last output that the client still waits when the job has ended, but something that it left running
# in the background keeps its output open. Default 1. Raise it when the end of such output gets lost.
DRAIN = 1

# True: tell on stderr what is sent where, and all of an error. Default False, since programs read a compiler's stderr.
# The variable SHADOWFARM_DEBUG=1 does the same for one call.
DEBUG = False

# --------------------------------------------------------------------------------------------------------------- hooks
# Functions for what no list can say. `args` is the list of the command's texts, the program first. They run for every
# job, so keep them quick.


def doFixes(args):
    """Change `args` in place before anything else looks at it, say to take out a flag that only this machine
    understands (args.remove, args[:] = ...). Default: change nothing."""


def clientsToUse(args):
    """The workers that may run this job, as indices into WORKERS: [0, 2]. Default None: all of them. For jobs that
    need what only some machines have."""


def shouldRunDirect(args):
    """Whether this job runs here, as if its program were in RUN_DIRECTLY. Default False. For what depends on the
    arguments: compiler probes such as `cc --version`, precompiled headers."""
    return False


def shouldUseShell(args):
    """Whether this job is started through the worker's shell, as if its program were in USE_SHELL. Default False."""
    return False


def shouldUseEnv(args):
    """Whether this job gets this machine's environment, as if its program were in USE_ENV. Default False; of use
    only when USE_ENV is not ("*",)."""
    return False


def shouldUseComm(args):
    """Whether this job reads stdin, as if its program were in USE_COMM. Default: when a lone "-", which means stdin
    to most programs, is among the arguments."""
    return "-" in args
