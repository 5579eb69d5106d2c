"""What a real Envoy does with the rendered Backend and BackendTrafficPolicy.

Envoy 1.40 has the clusters and routes that Envoy Gateway would generate (``e2e.gateway``); its
controllers do not run. Pods are stand-in engines on loopback addresses, the cluster's DNS and
kube-proxy are small servers of the test, the metrics server is the real one. All durations are
divided by ``SPEED``, those of Envoy's configuration, of scrapes and of the wake query too.
"""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import pathlib
import typing
from collections.abc import Awaitable, Mapping

import pytest

from e2e.controlplane import api
from e2e.drain import clock as clocks
from e2e.drain import engine
from e2e.drain import gateway as gateways
from e2e.drain import kubelet as kubelets
from e2e.gateway import pausing, proxy, rolling, sleeping, stage
from tests import cluster
from tests.resources import scene

# Four seconds lie between the last request to a pod and its SIGTERM, more than a second of ours.
SPEED = 3
# Seconds from a replica's readiness until the Backend has moved: the Deployment's status, a
# reconcile of the claim, and the gateway's. DNS knows of the replica a second after its readiness.
LAG_SECONDS = 2
# For the whole fixture, in seconds of this machine. The fixture takes a third of that here.
PATIENCE_SECONDS = 240
SPARE: api.Object = {"gpu": {"classes": {"l4": {"spare": True}}}}


def several(name: str) -> stage.Claim:
    """Two replicas, replaced one by one."""
    claim = cluster.example("xplane-qwen-coder")
    claim["metadata"]["name"] = name
    return stage.Claim(list(scene.serving(claim, scene.site()).objects.values()))


def single(name: str) -> stage.Claim:
    """One replica, replaced by way of a second on a spare GPU."""
    scaling = {"minReplicas": 1, "maxReplicas": 1}
    claim = scene.of(name=name, gateway={"enabled": True}, scaling=scaling)
    served = stage.Claim(
        list(scene.serving(claim, scene.site("reference", **SPARE)).objects.values())
    )
    assert served.one("Deployment")["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == 1
    return served


def behind_one_address(name: str) -> stage.Claim:
    """The claim of `single`, but its Backend names the ClusterIP.

    The Backend of a claim that never has two pods names the ClusterIP too.
    """
    served = single(name)
    served.objects = [
        copy.deepcopy(one) for one in served.objects if one["kind"] != "BackendTrafficPolicy"
    ]
    served.one("Backend")["spec"]["endpoints"][0]["fqdn"]["hostname"] = served.hosts()[0]
    return served


def spread(name: str) -> stage.Claim:
    """A claim whose Backend names the headless Service; the test says what DNS answers."""
    scaling = {"minReplicas": 1, "maxReplicas": 3}
    claim = scene.of(name=name, gateway={"enabled": True}, scaling=scaling)
    return stage.Claim(list(scene.serving(claim).objects.values()))


@dataclasses.dataclass(frozen=True)
class Emptied:
    """A headless name that loses its only address.

    Attributes:
        before: A request while the name has an address, on which nothing listens.
        after: The first request with another answer, after the name lost its address.
        seconds: Time from the loss of the address to ``after``.
    """

    before: gateways.Request
    after: gateways.Request
    seconds: float


@dataclasses.dataclass(frozen=True)
class Observations:
    """The outcomes of all courses on the one Envoy.

    Attributes:
        updates: The rolling updates, by engine and kind of claim.
        wakings: The wakings, by claim.
        large: Requests with a large body to a sleeping claim, by listener.
        without: Requests to a claim whose name has no address, by kind of DNS answer.
        emptied: The losses of a name's address, by kind of DNS answer.
        ends: How many idle connections Envoy ended, and how many the engine.
    """

    updates: Mapping[tuple[str, str], rolling.Outcome]
    wakings: Mapping[str, sleeping.Waking]
    large: Mapping[str, gateways.Request]
    without: Mapping[str, gateways.Request]
    emptied: Mapping[str, Emptied]
    ends: pausing.Ends


UPDATES = {"several": (several, 2), "single": (single, 1), "one address": (behind_one_address, 1)}
WAKINGS = {"one": (1, LAG_SECONDS), "many": (3, LAG_SECONDS), "early": (3, None)}
ANSWERS = ("empty", "denied")
# The listeners with a buffer of 32 KiB.
LISTENERS = ("default", "held")


async def _emptied(running: stage.Stage, claim: stage.Claim, kind: str) -> Emptied:
    """Take a name's address away, by an empty answer or by the answer "no such name"."""
    gone = kubelets.Pod("gone", {}, "127.78.0.1", 1)
    claim.pods = lambda: [gone]
    clock = running.clock
    await clock.sleep(2 * (gateways.WATCH_SECONDS + gateways.RECORD_SECONDS + 5))
    before = await running.send(claim, 1)
    begun = clock.now()
    claim.pods = tuple
    if kind == "denied":
        running.names.missing.add(claim.hosts()[1])
    while True:
        after = await running.send(claim, 1)
        if after.text != before.text or clock.now() > begun + 60:
            return Emptied(before, after, clock.now() - begun)
        await clock.sleep(0.5)


_Key = typing.TypeVar("_Key")
_Value = typing.TypeVar("_Value")


async def _each(tasks: Mapping[_Key, Awaitable[_Value]]) -> dict[_Key, _Value]:
    """Await all tasks at the same time, and return their results by key."""
    return dict(zip(tasks, await asyncio.gather(*tasks.values()), strict=True))


async def _everything(work: pathlib.Path) -> Observations:
    updated = {
        (version, kind): make(f"{kind}-{version}".replace(" ", "-").replace(".", "-"))
        for version in engine.VERSIONS
        for kind, (make, _) in UPDATES.items()
        if (version, kind) != (engine.REFUSES, "one address")
    }
    sleepers = {
        name: sleeping.Sleeper(f"waking-{name}", maximum) for name, (maximum, _) in WAKINGS.items()
    }
    large = sleeping.Sleeper("large", 3)
    without = {kind: spread(f"without-{kind}") for kind in ANSWERS}
    emptied = {kind: spread(f"emptied-{kind}") for kind in ANSWERS}
    paused = single("paused")
    claims = [*updated.values(), *sleepers.values(), *without.values(), *emptied.values()]
    claims += [large, paused]

    def logs(name: str) -> pathlib.Path:
        made = work / name
        made.mkdir()
        return made

    body = {"padding": sleeping.LARGE_BYTES}
    async with stage.Stage(work, clocks.Clock(SPEED), claims) as running:
        running.names.missing.add(without["denied"].hosts()[1])
        updates, wakings, bodies, answers, losses, ends = await asyncio.gather(
            _each(
                {
                    key: rolling.update(
                        running,
                        one,
                        UPDATES[key[1]][1],
                        key[0],
                        logs(one.name),
                    )
                    for key, one in updated.items()
                }
            ),
            _each(
                {
                    key: sleeping.wake(running, one, WAKINGS[key][1], logs(one.name))
                    for key, one in sleepers.items()
                }
            ),
            _each({name: running.send(large, 1, listener=name, **body) for name in LISTENERS}),
            _each({kind: running.send(one, 1) for kind, one in without.items()}),
            _each({kind: _emptied(running, one, kind) for kind, one in emptied.items()}),
            pausing.ends(running, paused, logs("paused")),
        )
        return Observations(updates, wakings, bodies, answers, losses, ends)


@pytest.fixture(scope="module")
def observations(tmp_path_factory: pytest.TempPathFactory) -> Observations:
    """All courses at the same time, on one Envoy."""
    assert proxy.version() == "1.40.0"
    work = tmp_path_factory.mktemp("gateway")
    return asyncio.run(asyncio.wait_for(_everything(work), PATIENCE_SECONDS))


def statuses(requests: typing.Iterable[gateways.Request]) -> set[str]:
    """The problems of requests; the problem of an answered request is the empty text."""
    return {one.problem for one in requests}


# --- from zero


@pytest.mark.parametrize("name", ["one", "many"])
def test_a_request_to_a_sleeping_claim_waits_for_its_replica(
    name: str, observations: Observations
) -> None:
    """The first request, and those that come while the replica starts, are answered with 200.

    The longest pause between two tries, with a second for the ClusterIP to have the replica and
    some for a busy machine, is what any of them still waits once it is ready.
    """
    waking = observations.wakings[name]
    assert statuses(waking.requests) == {""}
    assert len(waking.requests) == 1 + sleeping.FOLLOWERS
    first = waking.requests[0]
    assert first.ended - first.begun > waking.wake_delay + sleeping.START_SECONDS
    assert all(waking.ready < one.ended < waking.ready + 20 for one in waking.requests)


def test_the_backend_moves_while_requests_wait(observations: Observations) -> None:
    """From the ClusterIP to the pods, when several are possible; a try follows to the new host."""
    asleep, awake = observations.wakings["many"].hosts
    assert asleep == "waking-many.llm.svc.cluster.local"
    assert awake == "waking-many-pods-2721880b.llm.svc.cluster.local"
    assert observations.wakings["one"].hosts == ("waking-one.llm.svc.cluster.local",) * 2


def test_a_backend_that_moves_before_dns_knows_the_replica_fails_what_waits(
    observations: Observations,
) -> None:
    """Why it moves only when the Deployment says that a replica is ready, and not earlier."""
    assert "status 503" in statuses(observations.wakings["early"].requests)


@pytest.mark.parametrize("name", WAKINGS)
def test_one_waiting_request_turns_the_wake_query(name: str, observations: Observations) -> None:
    """By the second scrape, although Envoy creates a cluster's series with its first request."""
    waking = observations.wakings[name]
    assert waking.before == 0
    assert waking.retries > 1
    assert waking.wake_delay < 2 * stage.SCRAPE_SECONDS + 20
    # Two minutes of its window, and a scrape on either side.
    assert 90 < waking.quiet < 120 + 2 * stage.SCRAPE_SECONDS + 20


def test_a_large_body_waits_only_where_a_buffer_holds_it(observations: Observations) -> None:
    """The last of each claim's followers has 64 KiB, on a listener of 50 MiB.

    With 32 KiB Envoy stops at once: 507 when it must hold more than that for another try, 503 when
    it gave up holding before the connection failed, and 413 where all of the body must be held
    before the request is routed.
    """
    assert observations.large["default"].problem in ("status 507", "status 503")
    assert observations.large["held"].problem == "status 413"
    for name in ("one", "many"):
        assert observations.wakings[name].large_awake.problem == ""
    for one in observations.large.values():
        assert one.ended - one.begun < 10


@pytest.mark.parametrize("kind", ANSWERS)
def test_a_name_without_address_is_answered_at_once(kind: str, observations: Observations) -> None:
    """Why a sleeping claim's Backend names the ClusterIP."""
    answer = observations.without[kind]
    assert (answer.problem, answer.text) == ("status 503", "no healthy upstream")
    assert answer.ended - answer.begun < 10


# --- rolling updates

every_engine = pytest.mark.parametrize("version", engine.VERSIONS)


@every_engine
@pytest.mark.parametrize("kind", ["several", "single"])
def test_no_request_is_lost_in_an_update(
    version: str, kind: str, observations: Observations
) -> None:
    """Envoy drops a pod when DNS does, and sends nothing on the connections that it has to it."""
    outcome = observations.updates[version, kind]
    assert "-pods-" in outcome.host.partition(".")[0]
    assert len(outcome.requests) > 4 * rolling.CLIENTS
    assert outcome.problems == {}
    assert outcome.refused == 0
    assert [(pod.status, pod.killed) for pod in outcome.old] == [(0, False)] * len(outcome.old)
    # What was in flight stays, and finishes.
    assert outcome.draining
    terminated = {f"{pod.address}:{pod.port}": pod.terminated or 0 for pod in outcome.old}
    assert not [one for one in outcome.requests if one.begun > terminated.get(one.upstream, 1e9)]


def test_behind_one_address_connections_stay_with_a_pod_that_ends(
    observations: Observations,
) -> None:
    """Why a claim whose updates surge needs its pods' own addresses, whatever its maxReplicas.

    The ClusterIP hands new connections to the new pod, but a busy gateway makes none: its requests
    go on to the old one, past the pause before SIGTERM, and 0.32 answers them with 500. Of 0.25.1,
    which closes connections instead, a few are lost that were sent just then.
    """
    outcome = observations.updates[engine.ANSWERS, "one address"]
    assert "status 500" in statuses(outcome.lost)
    assert len(outcome.lost) > rolling.CLIENTS
    assert outcome.refused == 0, "no retry can see any of them"


@pytest.mark.parametrize("kind", ANSWERS)
def test_an_empty_answer_takes_the_last_address(kind: str, observations: Observations) -> None:
    """Envoy keeps no host that DNS has no more, be the answer empty or that there is no such name.

    A claim whose replicas all go is answered with 503 at once until its Backend names the ClusterIP
    again.
    """
    emptied = observations.emptied[kind]
    assert "remote connection failure" in emptied.before.text
    assert emptied.after.text == "no healthy upstream"
    longest = gateways.WATCH_SECONDS + gateways.RECORD_SECONDS + 5
    assert emptied.seconds < longest + 10


def test_the_gateway_ends_idle_connections_before_the_engine_does(
    observations: Observations,
) -> None:
    """What is sent at the moment when the engine ends one gets 503, and is not tried again.

    So it was without the policy's connectionIdleTimeout: 12 of 640 requests that came about then.
    """
    assert observations.ends.engine == 0
    assert observations.ends.envoy >= pausing.CLIENTS
