#!/usr/bin/env python3
"""Run commands for clients: `worker.py FILE.js`, where samples/worker.js tells what the file may say."""

import os
import sys

if __name__ == "__main__":
    _root = os.path.dirname(os.path.realpath(__file__))
    sys.path.insert(0, _root)
    from shadowfarm import venv

    venv.use(_root)
    try:
        from shadowfarm.workerd import main
    except ModuleNotFoundError as error:
        told = venv.missing(error)
        print(told.line(), file=sys.stderr)
        sys.exit(told.status)

    main(sys.argv)
