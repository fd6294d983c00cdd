#!/usr/bin/env python3
"""Run a command on a worker as if it ran here: `client.py COMMAND ARGS`, or a link to this in a program's place."""

import _signal
import os
import sys

# Before all that takes time: Ctrl-C ends this process as it ends any command, without a traceback. (An ignored SIGINT,
# as nohup and a shell's background jobs have it, stays ignored.)
if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)

if __name__ == "__main__":
    _root = os.path.dirname(os.path.realpath(__file__))
    sys.path.insert(0, _root)
    from shadowfarm import venv

    venv.use(_root)
    from shadowfarm.cli import main

    main(sys.argv, __file__)
