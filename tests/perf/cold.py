"""What the cold client costs, side by side in one run: `python tests/perf/cold.py [ROUNDS]`.

Prints medians of interleaved runs: Python's own start, that with the import of rpyc, a job through client.py by an idle
worker, and the same program without us; then the rate of 1 GB through stdout. Starts a worker of its own and ends it.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
CLIENT = [sys.executable, str(ROOT / "client.py")]


def wall(command: list[str], env: dict[str, str]) -> float:
    begun = time.perf_counter()
    subprocess.run(command, env=env, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - begun) * 1000


def rate(env: dict[str, str]) -> float:
    """MB/s of 1 GB of zeros through stdout into a reader."""
    command = [*CLIENT, "head", "-c", "1000000000", "/dev/zero"]
    with subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as client:
        assert client.stdout is not None
        os.read(client.stdout.fileno(), 1)
        begun = time.perf_counter()
        while os.read(client.stdout.fileno(), 1 << 20):
            pass
        return 1000 / (time.perf_counter() - begun)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    with tempfile.TemporaryDirectory(prefix="sf-", dir="/tmp") as folder:
        worker_socket = os.path.join(folder, "w")
        Path(folder, "config.py").write_text(f"WORKERS = ('unix:{worker_socket}',)\nFALLBACK = False\n")
        env = {
            **os.environ,
            "SHADOWFARM_CONFIG": os.path.join(folder, "config.py"),
            "SHADOWFARM_RUNTIME": folder + "/run",
        }
        env.pop("PYTHONDONTWRITEBYTECODE", None)  # users' Pythons keep their byte code
        worker = subprocess.Popen(
            [sys.executable, str(ROOT / "worker.py"), "--unix", worker_socket], env=env, stdout=subprocess.DEVNULL
        )
        try:
            while not os.path.exists(worker_socket):
                time.sleep(0.01)
            report(env, rounds)
        finally:
            worker.terminate()
            worker.wait()


def report(env: dict[str, str], rounds: int) -> None:
    cases: dict[str, Callable[[], float]] = {
        "true, without us": lambda: wall(["true"], env),
        "python3 -c pass": lambda: wall([sys.executable, "-c", "pass"], env),
        "python3 -c 'import rpyc'": lambda: wall([sys.executable, "-c", "import rpyc"], env),
        "client.py true": lambda: wall([*CLIENT, "true"], env),
    }
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(rounds + 1):
        for name, run in cases.items():
            milliseconds = run()
            if number:  # the first round warms caches
                taken[name].append(milliseconds)
    for name, values in taken.items():
        print(f"{name:28} {statistics.median(values):7.1f} ms")
    over = [
        client - plain for client, plain in zip(taken["client.py true"], taken["python3 -c 'import rpyc'"], strict=True)
    ]
    print(f"{'over the import of rpyc':28} {statistics.median(over):7.1f} ms")
    print(f"{'stdout':28} {statistics.median(rate(env) for _ in range(3)):7.0f} MB/s")


if __name__ == "__main__":
    main()
