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
    rates = []
    for _ in range(3):
        with farm.start("head", "-c", "1000000000", "/dev/zero") as client:
            client.stdout.read(1)
            begun = time.monotonic()
            count = 1
            while data := client.stdout.read1(1 << 20):
                count += len(data)
            rates.append(count / 1e6 / (time.monotonic() - begun))
            assert client.wait(10) == 0 and count == 1_000_000_000
    print(f"MB/s: {[round(rate) for rate in rates]}")
    assert max(rates) >= 200, rates
