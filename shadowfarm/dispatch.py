"""From a routed command to its outcome: which workers are tried, in what order, and when it is over."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from . import statuses
from .config import Config, matches
from .cooldown import Cooldown
from .errors import JobLost, NotStarted
from .farm import Lookup, Peer
from .job import JobSpec
from .outcome import JobResult
from .placing import least_loaded
from .remote import RemoteJob
from .signals import Control, pause
from .streams import Plan

# A worker whose connection was lost ends the job within 1 s; only after that is it run again, so that two copies never
# write the same file.
_LOST_PAUSE_S = 2.0

_WARN_AFTER_S = 5.0


class Dispatch:
    """One job's way through the farm."""

    def __init__(
        self,
        config: Config,
        workers: Sequence[str],
        spec: JobSpec,
        plan: Plan,
        control: Control,
        warn: Callable[[str], None],
    ) -> None:
        self._config = config
        self._workers = workers
        self._spec = spec
        self._plan = plan
        self._control = control
        self._cooldown = Cooldown(config.cooldown_s)
        self._warn = warn
        self._warn_at = time.monotonic() + _WARN_AFTER_S
        self._deadline = time.monotonic() + config.timeout_s
        self._refusals: dict[str, NotStarted] = {}

    def run(self) -> JobResult:
        """Run the job on the least loaded worker that takes it.

        Raises: NotStarted: no worker took it, each has had one try (with FALLBACK False: tries until TIMEOUT);
        NoSlotInTime; JobLost; Interrupted; FarmError.
        """
        while True:
            peer = self._choose()
            if peer is not None:
                try:
                    return self._run_on(peer)
                except NotStarted as error:
                    self._refusals[peer.address] = error
            elif self._config.fallback or self._hopeless() or time.monotonic() >= self._deadline:
                raise self._summary()
            else:
                self._wait_for_another_round()

    def _wait_for_another_round(self) -> None:
        """Sleep, and forget the refusals, unless that would begin a round after the deadline."""
        self._warn_of_waiting()
        pause(self._control, min(self._config.sleep_s, self._deadline - time.monotonic()))
        if time.monotonic() < self._deadline:
            self._refusals.clear()

    def _warn_of_waiting(self) -> None:
        """Tell once, after a while, what a client waits for that would otherwise look stuck."""
        if time.monotonic() >= self._warn_at:
            self._warn_at = self._deadline + _WARN_AFTER_S
            left = self._deadline - time.monotonic()
            self._warn(f"no worker takes the job ({self._summary().what}); trying for {left:.0f} s more")

    def _choose(self) -> Peer | None:
        open_addresses = [item for item in self._workers if item not in self._refusals]
        warm = [item for item in open_addresses if not self._cooldown.is_down(item)]
        # When all are cooling down there is nothing to be saved by leaving them alone.
        peers = self._look(warm) or self._look([item for item in open_addresses if item not in self._refusals])
        if not peers:
            return None
        chosen = peers[least_loaded([peer.load for peer in peers])]
        for peer in peers:
            if peer is not chosen:
                peer.link.close()
        return chosen

    def _look(self, addresses: Sequence[str]) -> list[Peer]:
        if not addresses:
            return []
        lookup = Lookup(addresses, self._config.connect_timeout_s, self._control)
        for address, failure in lookup.failures.items():
            self._refusals[address] = failure
            self._cooldown.down(address)
        for peer in lookup.peers:
            self._cooldown.up(peer.address)
        return lookup.peers

    def _run_on(self, peer: Peer) -> JobResult:
        job = RemoteJob(
            peer.address, peer.link, self._spec, self._plan, self._control, self._config.grace_s, self._deadline
        )
        peer.service.job = job
        try:
            return job.run()
        except JobLost as error:
            program = self._spec.program.decode(errors="surrogateescape")
            if job.passed_on and not matches(self._config.retry, program):
                raise
            pause(self._control, _LOST_PAUSE_S)
            raise NotStarted(error.what, error.cure, status=statuses.LOST) from error

    def _hopeless(self) -> bool:
        """Whether every worker said of the program itself that it cannot run, which waiting does not mend."""
        return bool(self._refusals) and all(error.final for error in self._refusals.values())

    def _summary(self) -> NotStarted:
        """All refusals as one."""
        errors = list(self._refusals.values())
        found = {error.status for error in errors}
        status = found.pop() if len(found) == 1 else statuses.NO_WORKER
        whats = "; ".join(error.what for error in errors)
        return NotStarted(whats, errors[0].cure if len(errors) == 1 else "", status=status)
