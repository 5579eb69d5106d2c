"""A rolling update of a claim's pods while clients ask through Envoy."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import pathlib
from collections.abc import Sequence

from e2e.drain import engine, kubelet, rollout, scenario
from e2e.drain import gateway as gateways
from e2e.gateway import stage

CLIENTS = 16
# 6 to 30 seconds each.
LENGTHS = tuple(2 + 7 * number % 9 for number in range(CLIENTS))
START_SECONDS = 5
PATIENCE = 900


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of pods and requests.

    Attributes:
        host: What the Backend named.
        old: The pods that were replaced.
        requests: From the first that was answered on.
        refused: How often Envoy opened a connection to a pod in vain.
    """

    host: str
    old: Sequence[kubelet.Pod]
    requests: Sequence[gateways.Request]
    refused: int

    @property
    def lost(self) -> list[gateways.Request]:
        """Requests that were not answered whole."""
        return [one for one in self.requests if not one.done or one.received != one.tokens]

    @property
    def problems(self) -> collections.Counter[str]:
        """Why, for reading."""
        return collections.Counter(f"{one.problem}: {one.text}" for one in self.lost)

    @property
    def draining(self) -> list[gateways.Request]:
        """What an old pod had in flight at its SIGTERM."""
        ends = {f"{pod.address}:{pod.port}": pod.terminated or 0 for pod in self.old}
        return [one for one in self.requests if one.begun < ends.get(one.upstream, 0) < one.ended]


async def update(
    running: stage.Stage, claim: stage.Claim, replicas: int, version: str, logs: pathlib.Path
) -> Outcome:
    """Start the pods, load them through Envoy, and replace them.

    Args:
        running: Where.
        claim: Whose pods.
        replicas: How many.
        version: Which engine they run, one of ``engine.VERSIONS``.
        logs: Directory of the containers' output.
    """
    clock = running.clock
    command = engine.like(version, speed=clock.speed, start_seconds=START_SECONDS)
    node = running.kubelet(command, logs)
    rolled = rollout.Rollout(claim.one("Deployment"), replicas, clock, node)
    claim.pods = rolled.serving
    over = asyncio.Event()
    clients: list[asyncio.Task[None]] = []
    try:
        await rolled.start()
        await running.reached(claim)
        before = running.statistic(claim, "upstream_cx_connect_fail")
        clients += [
            asyncio.create_task(
                scenario.client(
                    lambda tokens: running.send(claim, tokens),
                    clock,
                    LENGTHS[number:],
                    LENGTHS,
                    over,
                )
            )
            for number in range(CLIENTS)
        ]
        await clock.until(
            lambda: len(claim.requests) >= 2 * CLIENTS, what="the load", timeout=PATIENCE
        )
        await rolled.update()
        over.set()
        await asyncio.wait_for(asyncio.gather(*clients), PATIENCE / clock.speed)
        refused = running.statistic(claim, "upstream_cx_connect_fail") - before
        return Outcome(claim.host, rolled.old, claim.requests, refused)
    finally:
        for one in clients:
            one.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*clients, return_exceptions=True)
        await node.close()
