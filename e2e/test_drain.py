"""No request is lost in a rolling update: the rendered pods, replaced under the load of 48 clients.

Stand-ins take the engine's rendered command line and stop as real engines were measured to stop
(``e2e.drain.engine``). Models of the kubelet, the Deployment controller and the gateway act on the
rendered objects. All durations are divided by ``SPEED``. ``python -m e2e.drain`` does the same
with a real engine, in real time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from e2e.controlplane import api
from e2e.drain import clock as clocks
from e2e.drain import engine, scenario

# Four seconds lie between the last request to a pod and its SIGTERM: one of ours, which is what the
# processes of a busy machine may lag behind.
SPEED = 4
START_SECONDS = 5
# 6 to 30 seconds each.
LENGTHS = tuple(2 + 7 * number % 9 for number in range(scenario.CLIENTS))


def _without_timeout(deployment: api.Object, dns: dict[str, float]) -> None:
    del dns
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    before = len(container["args"])
    container["args"] = [one for one in container["args"] if "--shutdown-timeout" not in one]
    assert len(container["args"]) == before - 1
    # Longer than any request; the default would only make the test wait.
    deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 60


def _without_pre_stop(deployment: api.Object, dns: dict[str, float]) -> None:
    del dns
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    del container["lifecycle"]


def _short_grace(deployment: api.Object, dns: dict[str, float]) -> None:
    del dns
    deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 25


def _slow_dns(deployment: api.Object, dns: dict[str, float]) -> None:
    del deployment
    dns["refresh"] = 30


def _long_lived_records(deployment: api.Object, dns: dict[str, float]) -> None:
    """Many Corefiles have `ttl 30` for the cluster's own records."""
    del deployment
    dns["record"] = 30


# maxUnavailable 1, a surge pod on a spare GPU, and Recreate.
RENDERED = {
    "one by one": scenario.Scenario("reference", "xplane-qwen-coder", 2),
    "surge": scenario.Scenario("plain", "xplane-qwen-coder", 2),
    "recreate": scenario.Scenario("reference", "xplane-llamaguard3-1b", 1),
}
BROKEN = {
    change.__name__.strip("_"): scenario.Scenario("reference", "xplane-qwen-coder", 2, change)
    for change in (
        _without_timeout,
        _without_pre_stop,
        _short_grace,
        _slow_dns,
        _long_lived_records,
    )
}
Outcomes = Mapping[tuple[str, str], scenario.Outcome]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """Every scenario with every engine, all at once."""
    clock = clocks.Clock(SPEED)

    async def one(version: str, name: str, what: scenario.Scenario) -> scenario.Outcome:
        logs = tmp_path_factory.mktemp("drain")

        command = engine.like(version, speed=SPEED, start_seconds=START_SECONDS)
        return await scenario.run(what, clock, command, LENGTHS, logs)

    async def every() -> Outcomes:
        keys = [(version, name) for version in engine.VERSIONS for name in (*RENDERED, *BROKEN)]
        outcomes = await asyncio.gather(
            *(one(version, name, (RENDERED | BROKEN)[name]) for version, name in keys)
        )
        return dict(zip(keys, outcomes, strict=True))

    return asyncio.run(every())


every_engine = pytest.mark.parametrize("version", engine.VERSIONS)


@every_engine
@pytest.mark.parametrize("name", RENDERED)
def test_what_is_in_flight_finishes(version: str, name: str, outcomes: Outcomes) -> None:
    """All 48 requests of the first deletion finish, and all that a pod has at its SIGTERM."""
    outcome = outcomes[version, name]
    assert len(outcome.in_flight) == scenario.CLIENTS
    assert len(outcome.draining) >= scenario.CLIENTS / 8
    assert [one for one in outcome.in_flight + outcome.draining if one in outcome.lost] == []
    for pod in outcome.old:
        assert (pod.status, pod.killed) == (0, False)


@every_engine
@pytest.mark.parametrize("name", [name for name in RENDERED if name != "recreate"])
def test_what_is_sent_meanwhile_is_answered(version: str, name: str, outcomes: Outcomes) -> None:
    """The gateway stops sending before the pod stops accepting: no request needs a retry."""
    outcome = outcomes[version, name]
    assert len(outcome.requests) > 3 * scenario.CLIENTS
    assert outcome.lost == []
    assert [one for one in outcome.requests if one.refused] == []


# --- the same without what makes it so


@every_engine
def test_without_the_timeout_none_finishes(version: str, outcomes: Outcomes) -> None:
    """Requests that are in flight at SIGTERM hang until SIGKILL.

    A stream may end while the signal is on its way, which takes a moment of a busy machine.
    """
    outcome = outcomes[version, "without_timeout"]
    signals = {pod.port: pod.terminated or 0 for pod in outcome.old}
    later = [one for one in outcome.draining if one.ended > signals[one.port] + 8]
    assert len(later) > scenario.CLIENTS / 8
    assert [one for one in later if one.done] == []
    assert all(pod.killed for pod in outcome.old)


@every_engine
def test_a_grace_period_too_short_cuts(version: str, outcomes: Outcomes) -> None:
    """SIGKILL comes before the last request's end."""
    outcome = outcomes[version, "short_grace"]
    assert {one.problem for one in outcome.lost} & {"cut", "connection lost", "no answer"}
    assert any(pod.killed for pod in outcome.old)


@pytest.mark.parametrize("change", ["without_pre_stop", "slow_dns", "long_lived_records"])
def test_a_gateway_that_still_sends_is_refused(change: str, outcomes: Outcomes) -> None:
    """By 0.25.1, whose refused connections a retry can save; 0.32 answers 500 instead."""
    refusing = outcomes[engine.REFUSES, change]
    assert [one for one in refusing.requests if one.refused]
    answering = outcomes[engine.ANSWERS, change]
    assert "status 500" in {one.problem for one in answering.lost}
