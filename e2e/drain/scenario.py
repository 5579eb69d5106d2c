"""A claim's pods under load, replaced while 48 clients never stop asking."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import pathlib
from collections.abc import Awaitable, Callable, Sequence

from e2e.controlplane import api
from e2e.drain import clock as clocks
from e2e.drain import gateway as gateways
from e2e.drain import kubelet as kubelets
from e2e.drain import rollout as rollouts
from function import duration
from tests import cluster
from tests.resources import scene

CLIENTS = 48
# Seconds of the cluster for what is in flight after the last pod was replaced.
PATIENCE = 600

Change = Callable[[api.Object, dict[str, float]], None]


@dataclasses.dataclass(frozen=True)
class Scenario:
    """What is rolled.

    Attributes:
        profile: Settings, one of ``cluster.PROFILES``.
        claim: Name of an example.
        replicas: How many pods run.
        change: What is broken in the rendered Deployment, or in how the gateway follows DNS.
    """

    profile: str
    claim: str
    replicas: int
    change: Change | None = None


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of pods and requests."""

    old: Sequence[kubelets.Pod]
    requests: Sequence[gateways.Request]

    @property
    def in_flight(self) -> list[gateways.Request]:
        """What the first pod to go had in flight, or any other pod, when it was deleted."""
        first = min(pod.deleted or 0 for pod in self.old)
        return [one for one in self.requests if one.begun <= first < one.ended]

    @property
    def draining(self) -> list[gateways.Request]:
        """What a pod had in flight at the moment of its SIGTERM.

        It had answered the first token: what was sent in the moment before may still lie in the
        socket of a busy machine, and the engine has not taken it.
        """
        ends = {pod.port: pod.terminated or 0 for pod in self.old}
        return [
            one
            for one in self.requests
            if one.port in ends and one.answered < ends[one.port] < one.ended
        ]

    @property
    def lost(self) -> list[gateways.Request]:
        """Requests that were not answered whole."""
        return [one for one in self.requests if not one.done or one.received != one.tokens]


def resolution(world: cluster.Cluster) -> dict[str, float]:
    """How the proxy in front of the claim learns of its pods.

    With an AI gateway whose Backend names every pod by DNS, as the BackendTrafficPolicy says; else
    kube-proxy or the gateway watches the endpoints.
    """
    policies = [one for one in world.objects.values() if one["kind"] == "BackendTrafficPolicy"]
    if not policies:
        return {"refresh": 0, "record": 0, "retries": 0}
    (policy,) = policies
    assert "connect-failure" in policy["spec"]["retry"]["retryOn"]["triggers"]
    retries = policy["spec"]["retry"]["numRetries"]
    if not any(key.endswith("-service-headless") for key in world.objects):
        return {"refresh": 0, "record": 0, "retries": retries}
    return {
        "refresh": duration.milliseconds(policy["spec"]["dns"]["dnsRefreshRate"]) / 1000,
        "record": gateways.RECORD_SECONDS,
        "retries": retries,
    }


async def run(
    scenario: Scenario,
    clock: clocks.Clock,
    command: kubelets.Command,
    lengths: Sequence[int],
    logs: pathlib.Path,
) -> Outcome:
    """Start the pods, load them, replace them, and let everything end.

    Args:
        scenario: What is rolled.
        clock: How fast time passes.
        command: How a container is started.
        lengths: Tokens of one request after the other, over and over.
        logs: Directory of the containers' output.
    """
    world = scene.serving(cluster.example(scenario.claim), scene.site(scenario.profile))
    deployment, dns = world.one("Deployment"), resolution(world)
    if scenario.change is not None:
        scenario.change(deployment, dns)
    kubelet = kubelets.Kubelet(clock, command, logs)
    rollout = rollouts.Rollout(deployment, scenario.replicas, clock, kubelet)
    gateway = gateways.Gateway(
        rollout.endpoints,
        clock,
        refresh=dns["refresh"],
        record=dns["record"],
        retries=int(dns["retries"]),
        model=scenario.claim,
    )
    resolving: asyncio.Task[None] | None = None
    try:
        await rollout.start()
        resolving = asyncio.create_task(gateway.resolve())
        await asyncio.sleep(0)
        over = asyncio.Event()
        clients = [
            asyncio.create_task(client(gateway.send, clock, lengths[number:], lengths, over))
            for number in range(CLIENTS)
        ]
        await clock.until(
            lambda: sum(one.received > 0 for one in gateway.requests) > CLIENTS / 2,
            what="the load",
            timeout=PATIENCE,
        )
        await rollout.update()
        over.set()
        await asyncio.wait_for(asyncio.gather(*clients), PATIENCE / clock.speed)
        return Outcome(rollout.old, gateway.requests)
    finally:
        if resolving is not None:
            resolving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await resolving
        await kubelet.close()


async def client(
    send: Callable[[int], Awaitable[gateways.Request]],
    clock: clocks.Clock,
    first: Sequence[int],
    lengths: Sequence[int],
    over: asyncio.Event,
) -> None:
    """Ask, one request after the other, until it is over."""
    mine = list(first) or list(lengths)
    while not over.is_set():
        for tokens in mine:
            request = await send(tokens)
            if over.is_set():
                return
            if not request.done:
                await clock.sleep(1)
        mine = list(lengths)
