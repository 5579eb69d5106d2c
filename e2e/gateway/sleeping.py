"""A claim that sleeps, and how a first request wakes the claim."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import pathlib
import typing
from collections.abc import Sequence

from e2e.drain import engine
from e2e.drain import gateway as gateways
from e2e.gateway import stage, translation
from tests.resources import scene

START_SECONDS = 15
PATIENCE = 300
# Requests that come while the replica starts; they are still waiting when the Backend moves.
FOLLOWERS = 7
# A body that no buffer of Envoy Gateway's default size holds.
LARGE_BYTES = 2 * translation.BUFFER_BYTES


class Sleeper(stage.Claim):
    """A claim that served and went to sleep.

    Attributes:
        awake: What is rendered for it once a replica serves again.
    """

    def __init__(self, name: str, maximum: int) -> None:
        """Render it, asleep and awake.

        Args:
            name: Its name.
            maximum: Its `maxReplicas`.
        """
        scaling = {"minReplicas": 0, "maxReplicas": maximum}
        world = scene.serving(scene.of(name=name, gateway={"enabled": True}, scaling=scaling))
        world.one("Deployment")["spec"]["replicas"] = 0
        world.converge()
        assert world.phase == "Idle"
        super().__init__(copy.deepcopy(list(world.objects.values())))
        world.scale(1).converge()
        assert world.phase == "Serving"
        self.awake = list(world.objects.values())


@dataclasses.dataclass(frozen=True)
class Waking:
    """How a request woke a claim; all times are in seconds of the cluster.

    Attributes:
        before: The wake query's value before the request.
        wake_delay: Time from the request until the wake query was above zero.
        retries: How often Envoy had tried again when the wake query was above zero.
        requests: The first request and the followers. The last follower has a large body, and goes
            to a listener whose buffer holds that body.
        large_awake: A request to a serving replica. Its body is larger than the listener's buffer.
        ready: When the replica became ready.
        hosts: The Backend's host while the claim sleeps, and the host while the claim serves.
        quiet: Time from the last answer until the wake query was zero again.
    """

    before: float
    wake_delay: float
    retries: int
    requests: Sequence[gateways.Request]
    large_awake: gateways.Request
    ready: float
    hosts: tuple[str, str]
    quiet: float


async def wake(
    running: stage.Stage, claim: Sleeper, lag: float | None, logs: pathlib.Path
) -> Waking:
    """Send one request, start a replica once the wake query says so, and wait for quiet.

    Args:
        running: The stage with Envoy.
        claim: The claim, which sleeps.
        lag: Seconds from the replica's readiness until Envoy has the objects of the serving claim.
            With ``None`` Envoy has these objects as soon as the replica starts.
        logs: Directory of the container's output.
    """
    clock, query = running.clock, claim.wake_query(running.clock.speed)
    before, sleeping = await running.value(query), claim.host
    waiting = [asyncio.create_task(running.send(claim, 1))]
    command = engine.like(engine.ANSWERS, speed=clock.speed, start_seconds=START_SECONDS)
    node = running.kubelet(command, logs)
    try:
        wake_delay = await running.until(query, lambda value: value > 0, PATIENCE)
        retries = running.statistic(claim, "upstream_rq_retry")
        pod = await node.start("first", claim.one("Deployment")["spec"]["template"])
        claim.pods = lambda: [pod] if pod.serving else []
        if lag is None:
            claim.objects = claim.awake
            running.publish(claim)
        for number in range(1, 1 + FOLLOWERS):
            last: dict[str, typing.Any] = {"listener": "wide", "padding": LARGE_BYTES}
            follower = running.send(claim, 1, **(last if number == FOLLOWERS else {}))
            waiting.append(asyncio.create_task(follower))
            await clock.sleep(START_SECONDS / FOLLOWERS)
        await clock.until(lambda: pod.ready, what="the first replica", timeout=PATIENCE)
        ready = clock.now()
        await clock.sleep(lag or 0)
        claim.objects = claim.awake
        running.publish(claim)
        requests = await asyncio.wait_for(asyncio.gather(*waiting), PATIENCE / clock.speed)
        large = await running.send(claim, 1, padding=LARGE_BYTES)
        quiet = await running.until(query, lambda value: value == 0, PATIENCE)
        return Waking(
            before, wake_delay, retries, requests, large, ready, (sleeping, claim.host), quiet
        )
    finally:
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await node.close()
