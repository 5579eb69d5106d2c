"""A provider in a claim's place, and its end."""

from __future__ import annotations

import time
import typing
from collections.abc import Iterator

import pytest

from e2e import claims
from e2e.controlplane import api, polling
from e2e.dataplane import asking, outside, stage
from e2e.front_door import doors, limits, providers
from e2e.machines import containers

# The engine's container.
ENGINE = "vllm"
DOZING = "dozing"


def _backed(running: stage.Stage, name: str, **spec: typing.Any) -> claims.Claim:
    """A claim for which a provider answers, as the route and the processor have it."""
    gateway = {"enabled": True, "fallback": {"provider": "chats", "model": providers.CHATS}}
    claim = running.claim(name, gateway=gateway, **spec).apply()
    claim.wait_condition("RouteReady", "True", "Published")
    polling.until(
        lambda: any("priority" in one for one in _backends(claim)),
        what="a route that names the provider",
        timeout=doors.GRACE,
    )
    return claim


def _backends(claim: claims.Claim) -> list[api.Object]:
    return [
        backend
        for rule in claim.one("AIGatewayRoute")["spec"]["rules"]
        for backend in rule["backendRefs"]
    ]


def _outside(answer: asking.Answer) -> bool:
    return "from outside" in answer.text


def test_a_provider_answers_while_a_claim_has_no_pod(
    door: doors.Door, external: outside.Provider, running: stage.Stage
) -> None:
    """Under the claim's name, by the provider's key and model; and the pod once it is back."""
    claim = _backed(running, "backed", scaling={"minReplicas": 1, "maxReplicas": 1})
    claim.wait_phase("Serving", timeout=120 + doors.GRACE)
    door.wait(claim.name, doors.CHAT, timeout=doors.REFRESH_SECONDS + doors.MINUTE + doors.GRACE)
    time.sleep(doors.REFRESH_SECONDS)  # The processor knows the provider then.
    count = len(external.asked)
    assert not any(map(_outside, door.ask(claim.name, doors.CHAT)))
    time.sleep(10)
    assert len(external.asked) == count, "nothing leaves the cluster, no check of health either"
    (victim,) = running.engines(claim)
    containers.kill(victim, ENGINE)
    answers: list[asking.Answer] = []

    def back() -> bool:
        answers.extend(asked := door.ask(claim.name, doors.CHAT))
        return any(map(_outside, answers)) and not any(map(_outside, asked))

    polling.until(
        back, what="the provider's answers, and then the pod's", timeout=120 + doors.GRACE
    )
    assert {one.status for one in answers} == {200}, [*map(str, answers)]
    asked = external.asked[-1]
    assert (asked.path, asked.body["model"]) == ("/v1/chat/completions", "claude-haiku-4-5")
    assert asked.headers["authorization"] == f"Bearer {providers.KEY}"
    assert doors.CHAT not in str(asked.headers)
    # Rules of callers are the claim's.
    assert door.statuses(claim.name, doors.EDITOR) == {403}
    claim.delete()


@pytest.fixture
def paying(door: doors.Door, running: stage.Stage, counting: None) -> Iterator[str]:
    """A caller with a budget, at a door where the claim has a price and the provider none."""
    del counting
    prices = [{"model": DOZING, "input": "0", "output": "100"}]
    with limits.paying(door, running, "awaiting", "1000", prices=prices) as key:
        yield key


def test_a_provider_answers_while_a_claim_wakes(
    door: doors.Door, external: outside.Provider, running: stage.Stage, paying: str
) -> None:
    """Its requests are counted on the claim's route, so they wake it, and by the claim's price.

    A proxy's series begin with its first request, of which a rate sees nothing: the second wakes.
    """
    scaling = {"minReplicas": 0, "maxReplicas": 1, "cooldownSeconds": 600}
    claim = _backed(running, DOZING, scaling={**scaling, "pollingIntervalSeconds": 5})
    claim.wait_phase("Idle", timeout=60 + doors.GRACE)
    polling.until(
        lambda: all(claim.name in listed for listed in door.models(doors.CHAT)),
        what="the claim in every list",
        timeout=doors.REFRESH_SECONDS + doors.MINUTE + doors.GRACE,
    )
    # Nothing is asked before that: requests wake the claim.
    polling.until(
        lambda: f'"{DOZING}"' in limits.expression(door),
        what="an expression with the claim's price",
        timeout=doors.MINUTE + doors.GRACE,
    )
    time.sleep(doors.REFRESH_SECONDS)
    count = len(external.asked)
    answers = [*door.ask(claim.name, doors.CHAT)]
    assert {one.status for one in answers} == {200}, [*map(str, answers)]
    assert all(map(_outside, answers)), [*map(str, answers)]
    assert len(external.asked) == count + len(answers)

    def costs() -> bool:
        before, answer = limits.left(door, claim.name, paying, 1)
        after, _ = limits.left(door, claim.name, paying, 1)
        assert _outside(answer), answer
        return before - after == 100 * outside.ANSWER_TOKENS

    polling.until(
        costs,
        what="an answer of a provider without a price that costs what the claim does",
        timeout=doors.MINUTE + doors.GRACE,
    )

    def awake() -> bool:
        answers.extend(asked := door.ask(claim.name, doors.CHAT))
        return not any(map(_outside, asked))

    polling.until(awake, what="the answers of its pod", timeout=240 + doors.GRACE, interval=3)
    assert {one.status for one in answers} == {200}, [*map(str, answers)]
    claim.delete()


def test_a_provider_that_goes_leaves_nothing(door: doors.Door, external: outside.Provider) -> None:
    """Its names are nobody's then."""
    door.claim.apply(providers=[])
    door.wait_condition("ProvidersReady", "True", "NotRequested")
    for model in (providers.CHATS, providers.MESSAGES):
        door.wait(model, doors.CHAT, status=404)
    polling.until(
        lambda: (
            not any(
                {providers.CHATS, providers.MESSAGES} & listed for listed in door.models(doors.CHAT)
            )
        ),
        what="a list without models from outside",
        timeout=doors.REFRESH_SECONDS + doors.MINUTE + doors.GRACE,
    )
    count = len(external.asked)
    assert door.statuses(providers.CHATS, doors.CHAT) == {404}
    assert len(external.asked) == count
