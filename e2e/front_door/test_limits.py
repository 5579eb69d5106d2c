"""How much a caller may ask for."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest

from e2e import claims
from e2e.controlplane import api, polling
from e2e.dataplane import stage
from e2e.front_door import doors, limits


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.usefixtures("counting")
def test_a_caller_passes_until_its_tokens_are_spent(
    stream: bool, door: doors.Door, coder: claims.Claim, chat: claims.Claim, running: stage.Stage
) -> None:
    """On every proxy and for every model, and nobody else is touched."""
    name = f"tokens-{'stream' if stream else 'whole'}"
    with limits.given(door, running, name, {"tokens": 200, "per": "day"}) as key:
        (way, *_) = door.ways_in()
        first = way.ask(coder.name, tokens=150, stream=stream, headers=doors.bearer(key))
        assert first.status == 200, first
        assert door.statuses(coder.name, key) == {200}, "150 of 200 are spent"
        limits.assert_told(limits.spend(door, coder.name, key, tokens=60, stream=stream))
        for model in (coder.name, chat.name, doors.ADAPTER):
            assert door.statuses(model, key) == {429}, model
        for other in (doors.CHAT, doors.EDITOR):
            assert door.statuses(coder.name, other) == {200}
        assert door.models(key), "the list of models is free"


@pytest.mark.usefixtures("counting")
def test_a_limit_of_one_model_leaves_the_others(
    door: doors.Door, coder: claims.Claim, chat: claims.Claim, running: stage.Stage
) -> None:
    """Adapters of the claim have names of their own."""
    limit = {"tokens": 100, "per": "day", "model": coder.name}
    with limits.given(door, running, "one-model", limit) as key:
        assert door.statuses(chat.name, key, tokens=300) == {200}
        assert door.statuses(doors.ADAPTER, key, tokens=300) == {200}
        limits.spend(door, coder.name, key, tokens=60)
        assert door.statuses(coder.name, key) == {429}
        for model in (chat.name, doors.ADAPTER):
            assert door.statuses(model, key) == {200}, model


@pytest.fixture
def frugal(
    door: doors.Door,
    coder: claims.Claim,
    chat: claims.Claim,
    running: stage.Stage,
    counting: None,
) -> Iterator[str]:
    """A caller with a budget, and prices of three names.

    An answer of 1,000 tokens costs a tenth, a fiftieth and nothing.
    """
    del counting
    prices = [
        {"model": coder.name, "input": "0", "output": "100"},
        {"model": chat.name, "input": "0", "output": "20"},
        {"model": doors.ADAPTER, "input": "0"},
    ]
    with limits.paying(door, running, "frugal", "0.5", prices=prices) as key:
        yield key


def test_a_caller_passes_until_its_budget_is_spent(
    door: doors.Door, coder: claims.Claim, chat: claims.Claim, frugal: str
) -> None:
    """By the price of each model, on every proxy; who has no budget is not touched."""
    door.wait_condition("LimitsReady", "True", "Unpriced", doors.MINUTE + doors.GRACE)
    limits.assert_told(limits.spend(door, coder.name, frugal, tokens=1000))
    for model in (coder.name, chat.name, doors.ADAPTER):
        assert door.statuses(model, frugal) == {429}, model
    for other in (doors.CHAT, doors.EDITOR):
        assert door.statuses(coder.name, other) == {200}
    assert door.models(frugal), "the list of models is free"
    # A budget that is raised: what is spent counts, and each model has its own price.
    door.claim.apply(callers=limits.payers("frugal", "1000"))
    door.wait(chat.name, frugal)

    # Each answer tells what was left before it: prices in millionths. Another one counts once the
    # processor has the route again.
    def costs(model: str, cost: int) -> bool:
        before, _ = limits.left(door, model, frugal, 1000)
        after, _ = limits.left(door, doors.ADAPTER, frugal, 1)
        return before - after == cost

    for model, cost in ((chat.name, 20_000), (coder.name, 100_000), (doors.ADAPTER, 0)):
        polling.until(
            functools.partial(costs, model, cost),
            what=f"{cost} for {model}",
            timeout=doors.MINUTE + doors.GRACE,
        )


@pytest.mark.usefixtures("counting")
def test_requests_of_a_minute_come_back_with_the_next(
    door: doors.Door, chat: claims.Claim, running: stage.Stage
) -> None:
    """Each counts one, whatever it costs."""
    with limits.given(door, running, "hasty", {"requests": 4, "per": "minute"}) as key:
        refused = limits.spend(door, chat.name, key, tokens=50)
        limits.assert_told(refused)
        assert refused.headers["retry-after"] == "60"
        assert door.statuses(chat.name, doors.CHAT) == {200}
        door.wait(chat.name, key, timeout=2 * doors.MINUTE)


@pytest.mark.usefixtures("counting")
def test_a_limit_that_is_raised_holds_without_a_restart(
    door: doors.Door, chat: claims.Claim, running: stage.Stage
) -> None:
    """And what is spent already counts."""
    with limits.given(door, running, "thrifty", {"tokens": 100, "per": "day"}) as key:
        before = doors.identities(door)
        limits.spend(door, chat.name, key, tokens=60)
        door.claim.apply(
            callers=[*limits.standing(), limits.limited("thrifty", {"tokens": 1000, "per": "day"})]
        )
        door.wait(chat.name, key)
        assert door.statuses(chat.name, key, tokens=450) == {200}
        door.wait(chat.name, key, status=429)
        assert doors.identities(door) == before


@pytest.mark.usefixtures("counting")
def test_while_nobody_counts_nothing_is_limited(
    door: doors.Door, chat: claims.Claim, running: stage.Stage
) -> None:
    """Envoy Gateway's own choice: a counter that is down takes no model down."""
    assert running.redis is not None
    redis = running.redis.process
    with limits.given(door, running, "lucky", {"tokens": 100, "per": "day"}) as key:
        limits.spend(door, chat.name, key, tokens=60)
        redis.stop()
        try:
            door.wait(chat.name, key)
        finally:
            redis.start()
        # It has forgotten what it counted.
        polling.until(
            lambda: door.statuses(chat.name, key, tokens=60) == {429},
            what="a limit that holds again",
            timeout=doors.MINUTE,
        )


@pytest.mark.usefixtures("counting")
def test_a_policy_that_replaces_the_limits_is_told(
    door: doors.Door, chat: claims.Claim, running: stage.Stage
) -> None:
    """One of somebody else on a route, which asks for no merge."""
    ref = api.Ref(
        "gateway.envoyproxy.io/v1alpha1",
        "BackendTrafficPolicy",
        "of-somebody-else",
        running.tenant.namespace,
    )
    route = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "elsewhere"}
    parent = {"name": doors.NAME, "namespace": running.tenant.namespace}
    rule = {"backendRefs": [{"name": chat.name, "port": 8000}]}
    admin = running.tenant.plane.admin
    other = api.Ref(
        "gateway.networking.k8s.io/v1", "HTTPRoute", "elsewhere", running.tenant.namespace
    )
    with limits.given(door, running, "bypassed", {"tokens": 100, "per": "day"}):
        for ref_, spec in (
            (other, {"parentRefs": [parent], "hostnames": ["elsewhere.test"], "rules": [rule]}),
            (ref, {"targetRefs": [route], "retry": {"numRetries": 1}}),
        ):
            meta = {"name": ref_.name, "namespace": ref_.namespace}
            admin.apply(
                {"apiVersion": ref_.api_version, "kind": ref_.kind, "metadata": meta, "spec": spec}
            )
        try:
            door.wait_condition("LimitsReady", "False", "Overridden", doors.MINUTE + doors.GRACE)
            assert "elsewhere" in claims.conditions(door.claim.read())["LimitsReady"][2]
        finally:
            admin.delete(ref)
            admin.delete(other)
        door.wait_condition("LimitsReady", "True", "Enforced", doors.MINUTE + doors.GRACE)
