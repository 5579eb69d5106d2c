"""Clients that pause for longer than the engine keeps a connection without a request."""

from __future__ import annotations

import asyncio
import dataclasses
import pathlib

from e2e.drain import engine, rollout
from e2e.gateway import stage

CLIENTS = 8


@dataclasses.dataclass(frozen=True)
class Ends:
    """Who ended the connections between Envoy and the pod.

    Attributes:
        envoy: How many Envoy did, because no request used them.
        engine: How many the engine did.
    """

    envoy: int
    engine: int


async def ends(running: stage.Stage, claim: stage.Claim, logs: pathlib.Path) -> Ends:
    """Send some requests at once, and wait until none of their connections is left.

    Args:
        running: Where.
        claim: Whose one pod.
        logs: Directory of the container's output.
    """
    clock = running.clock
    command = engine.like(engine.ANSWERS, speed=clock.speed, start_seconds=1)
    node = running.kubelet(command, logs)
    started = rollout.Rollout(claim.one("Deployment"), 1, clock, node)
    claim.pods = started.serving
    try:
        await started.start()
        await running.reached(claim)
        before = running.statistic(claim, "upstream_cx_destroy_remote")
        await asyncio.gather(*(running.send(claim, 1) for _ in range(CLIENTS)))
        await clock.until(
            lambda: running.statistic(claim, "upstream_cx_active") == 0,
            what="the end of the connections",
            timeout=60,
        )
        return Ends(
            running.statistic(claim, "upstream_cx_idle_timeout"),
            running.statistic(claim, "upstream_cx_destroy_remote") - before,
        )
    finally:
        await node.close()
