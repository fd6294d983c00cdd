"""Exit statuses that are ours, not the program's: the one table of them.

They lie in 100-125, which compilers do not use (distcc's lie there too). 126 and 127 mean what they mean in a shell.
"""

from __future__ import annotations

INTERNAL = 100
BAD_CONFIG = 101
NO_WORKER = 102
LOST = 103
TIMED_OUT = 104
REFUSED = 105
CANNOT_LISTEN = 106
NO_WORKSPACE = 107
WRONG_VERSION = 108
USAGE = 109
OUTPUT_LOST = 110
NOT_EXECUTABLE = 126
NOT_FOUND = 127

MEANINGS: dict[int, str] = {
    INTERNAL: "a defect in shadowfarm itself",
    BAD_CONFIG: "config.py or a worker's file has an error",
    NO_WORKER: "no worker took the job in time",
    LOST: "the worker was lost while the job ran; it may have run",
    TIMED_OUT: "the job ran longer than the worker's `timeout`",
    REFUSED: "the worker refused the job",
    CANNOT_LISTEN: "the worker cannot listen at its address",
    NO_WORKSPACE: "the working folder does not exist on the worker",
    WRONG_VERSION: "client and worker speak different protocol versions",
    USAGE: "client.py, worker.py or a script was called wrongly",
    OUTPUT_LOST: "what the job wrote could not be written here (disk full)",
    NOT_EXECUTABLE: "the program was found but cannot be executed",
    NOT_FOUND: "the program was not found",
}
