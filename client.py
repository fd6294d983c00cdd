#!/usr/bin/env python3
"""Run a command on a worker as if it ran here: `client.py COMMAND ARGS`, or a link to this in a program's place."""

import os
import sys

if __name__ == "__main__":
    _root = os.path.dirname(os.path.realpath(__file__))
    sys.path.insert(0, _root)
    from shadowfarm import venv

    venv.use(_root)
    from shadowfarm.cli import main

    main(sys.argv, __file__)
