"""What a job costs (point 15): imports and streaming; that it costs nothing while it sleeps: test_contract_workers."""

from __future__ import annotations

import subprocess
import sys
import time

from .conftest import CLIENT, Farm


def imported_by(farm: Farm, *command: str, **env: str) -> set[str]:
    shown = subprocess.run(
        [sys.executable, "-X", "importtime", CLIENT, *command],
        env={**farm.env, **env},
        cwd=farm.work,
        capture_output=True,
        check=True,
        timeout=30,
    )
    return {line.split(b"|")[2].strip().decode() for line in shown.stderr.splitlines() if b"import time:" in line}


def test_the_cold_client_imports_rpyc_and_never_plumbum(farm: Farm) -> None:
    imported = imported_by(farm, "true")
    assert "rpyc" in imported, "else this test looks at nothing"
    assert not {name for name in imported if name.split(".")[0] in ("plumbum", "asyncio", "multiprocessing")}


def test_a_command_that_runs_here_imports_no_rpyc(farm: Farm) -> None:
    assert "rpyc" not in imported_by(farm, "true", SHADOWFARM_JOB="some-job")


def test_streaming_moves_at_least_200_mb_a_second(farm: Farm) -> None:
    """On a machine that is busy with something else: at least a tenth of what a plain pipe moves at the same time."""
    plain, ours = [], []
    for _ in range(3):
        plain.append(rate(["head", "-c", "1000000000", "/dev/zero"], farm))
        ours.append(rate(farm.command("head", "-c", "1000000000", "/dev/zero"), farm))
    print(f"MB/s: {[round(item) for item in ours]}, a plain pipe: {[round(item) for item in plain]}")
    assert max(ours) >= min(200, max(plain) / 10)


def rate(command: list[str], farm: Farm) -> float:
    """MB/s of 1 GB from the command's first byte on."""
    with subprocess.Popen(
        command, env=farm.env, cwd=farm.work, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as run:
        run.stdout.read(1)
        begun = time.monotonic()
        count = 1
        while data := run.stdout.read1(1 << 20):
            count += len(data)
        taken = time.monotonic() - begun
        assert run.wait(10) == 0 and count == 1_000_000_000
    return 1000 / taken
