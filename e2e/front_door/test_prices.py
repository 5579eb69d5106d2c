"""Prices that follow from what claims cost, and a budget that counts by them."""

from __future__ import annotations

import contextlib
import decimal
import functools
import time
from collections.abc import Callable, Iterator

import pytest

from e2e import claims, installation
from e2e.controlplane import api, polling
from e2e.dataplane import stage
from e2e.front_door import doors, limits

# A million tokens of an adapter's answers, as a row states it.
STATED = "100"
_ROW = {"model": doors.ADAPTER, "input": "0", "output": STATED}
_PATIENCE = doors.MINUTE + doors.GRACE

# A claim with a price, for which one without any answers.
_LEANING = {"model": "leaning", "input": "0", "output": STATED}
_SECONDS_TO_SERVE = 120 + doors.GRACE

# A model that has a price keeps it, so each test begins without any, and with a caller of its own.
pytestmark = pytest.mark.usefixtures("counting")


@contextlib.contextmanager
def _paying(door: doors.Door, running: stage.Stage, name: str, amount: str) -> Iterator[str]:
    """A caller with a budget, at a door whose prices follow from costs."""
    spec = {"pricing": _pricing(), "prices": [_ROW]}
    with limits.paying(door, running, name, amount, **spec) as key:
        door.wait_condition("PricesReady", "True", "Derived", _PATIENCE)
        yield key


@pytest.fixture
def dearer(
    running: stage.Stage, installed: installation.Installation
) -> Iterator[Callable[[], None]]:
    """What makes GPUs four times as dear, until the end."""

    def change() -> None:
        settings = doors.settings(running)
        for each in settings["data"]["inferenceService"]["gpu"]["classes"].values():
            each["pricePerHour"] = str(4 * decimal.Decimal(each["pricePerHour"]))
        installed.configure(settings)

    yield change
    installed.configure(doors.settings(running))


def _pricing(generation: int = 0) -> api.Object:
    return {"fromCost": {"utilizationPercent": 50, "generation": generation}}


def _prices(item: api.Object) -> dict[str, tuple[str, str]]:
    kept = item["status"].get("prices", [])
    return {one["model"]: (one["input"], one["output"]) for one in kept}


def _cost(claim: claims.Claim) -> tuple[decimal.Decimal, decimal.Decimal]:
    """What a million tokens of a claim cost, prompts and answers."""
    costs = claim.read()["status"]["cost"]["perMillionTokens"]
    (chat,) = (one for one in costs if one["load"] == "chat")
    return decimal.Decimal(chat["input"]), decimal.Decimal(chat["output"])


def _assert_follows(price: tuple[str, str], claim: claims.Claim) -> None:
    """Twice the cost, as half of the time is paid for idle, rounded up to two digits."""
    for amount, cost in zip(map(decimal.Decimal, price), _cost(claim), strict=True):
        assert 2 * cost <= amount <= decimal.Decimal("1.1") * 2 * cost, (price, cost)


def _counts(door: doors.Door, key: str, model: str, price: tuple[str, str]) -> bool:
    """Whether an answer takes its price from the budget, to the millionth, rounded up."""
    before, answer = limits.left(door, model, key, 1000)
    after, _ = limits.left(door, model, key, 1)
    used = answer.content["usage"]
    prompts, answers = map(decimal.Decimal, price)
    cost = prompts * used["prompt_tokens"] + answers * used["completion_tokens"]
    return before - after == int(cost.to_integral_value(decimal.ROUND_CEILING))


def _wait_counts(door: doors.Door, key: str, model: str, price: tuple[str, str]) -> None:
    polling.until(
        functools.partial(_counts, door, key, model, price),
        what=f"an answer of {model} that costs {price}",
        timeout=_PATIENCE,
    )


def test_a_claim_of_unknown_cost_is_named_and_no_budget_may_use_it(
    door: doors.Door, coder: claims.Claim, chat: claims.Claim, running: stage.Stage
) -> None:
    """Of requests that are longer than its context; others may, until its price is known."""
    unknown = {"model": chat.name, "fromCost": {"load": "agent"}}
    spec = {"pricing": _pricing(), "prices": [_ROW, unknown]}
    with limits.paying(door, running, "unknowing", "1000", **spec) as key:
        door.wait_condition("PricesReady", "False", "CostUnknown", _PATIENCE)
        message = claims.conditions(door.claim.read())["PricesReady"][2]
        reason = f"claim {chat.name} tells no cost of load agent"
        assert message == f"cost unknown: {chat.name} ({reason})"
        door.wait(chat.name, key, status=403, timeout=_PATIENCE)
        assert door.statuses(coder.name, key) == {200}
        assert door.statuses(chat.name, doors.CHAT) == {200}
        door.claim.apply(prices=[_ROW])
        door.wait_condition("PricesReady", "True", "Derived", _PATIENCE)
        door.wait(chat.name, key, timeout=_PATIENCE)


def test_a_budget_is_spent_by_prices_that_follow_from_costs(
    door: doors.Door, coder: claims.Claim, chat: claims.Claim, running: stage.Stage
) -> None:
    """Of claim and adapter alike, but where a row states another; others go on."""
    with _paying(door, running, "spending", "0.002") as key:
        prices = _prices(door.claim.read())
        assert prices.keys() == {chat.name, coder.name, doors.CANARY}, "a stated price wins"
        assert prices[coder.name] == prices[doors.CANARY]
        for claim in (coder, chat):
            _assert_follows(prices[claim.name], claim)
        door.wait(chat.name, key, timeout=_PATIENCE)
        limits.assert_told(limits.spend(door, chat.name, key, tokens=1000))
        for model in (chat.name, coder.name, doors.ADAPTER):
            assert door.statuses(model, key) == {429}, model
        for other in (doors.CHAT, doors.EDITOR):
            assert door.statuses(coder.name, other) == {200}
        # A budget that is raised: each answer tells what was left before it.
        door.claim.apply(callers=limits.payers("spending", "1000"))
        door.wait(chat.name, key, timeout=_PATIENCE)
        for model, price in ((chat.name, prices[chat.name]), (doors.ADAPTER, ("0", STATED))):
            _wait_counts(door, key, model, price)


def test_costs_that_move_change_no_price_until_it_is_asked_for(
    door: doors.Door, chat: claims.Claim, running: stage.Stage, dearer: Callable[[], None]
) -> None:
    """GPUs that are four times as dear; a higher generation takes their costs."""
    with _paying(door, running, "watching", "1000") as key:
        door.wait(chat.name, key, timeout=_PATIENCE)
        prices, expression = _prices(door.claim.read()), limits.expression(door)
        before, (_, cost) = prices[chat.name], _cost(chat)
        dearer()
        chat.reconcile("dearer")
        polling.until(lambda: _cost(chat)[1] > 3 * cost, what="another cost", timeout=doors.GRACE)
        door.wait_condition("PricesReady", "True", "CostsMoved", _PATIENCE)
        assert (_prices(door.claim.read()), limits.expression(door)) == (prices, expression)
        _wait_counts(door, key, chat.name, before)
        door.claim.apply(pricing=_pricing(1))
        item = door.claim.wait(
            lambda item: _prices(item).get(chat.name, before) != before,
            what="with another price",
            timeout=_PATIENCE,
        )
        price = _prices(item)[chat.name]
        _assert_follows(price, chat)
        _wait_counts(door, key, chat.name, price)


def _kept(item: api.Object, model: str) -> api.Object:
    """What the door's status keeps of a price; empty where it has none."""
    kept: list[api.Object] = item["status"].get("prices", [])
    return next((one for one in kept if one["model"] == model), {})


def _row(model: str, kept: api.Object) -> str:
    """A price in the expression: in parts of a millionth, a cache's tokens as others."""
    prompts, answers = (int(decimal.Decimal(kept[kind]) * 10**4) for kind in ("input", "output"))
    return f'"{model}": [{prompts}u, {prompts}u, {answers}u]'


def test_a_claim_whose_pods_get_another_model_gets_another_price(
    door: doors.Door, running: stage.Stage
) -> None:
    """Once they have it, in the door's status and in what the gateway counts by."""
    claim = running.claim("moving", scaling={"minReplicas": 1, "maxReplicas": 1}).apply()
    model = claim.manifest["spec"]["model"]
    with _paying(door, running, "following", "1000") as key:
        claim.wait_phase("Serving", timeout=_SECONDS_TO_SERVE)
        door.wait(claim.name, key, timeout=_PATIENCE)
        before = _kept(door.claim.read(), claim.name)
        assert before["repository"] == model["repository"]
        assert _row(claim.name, before) in limits.expression(door)
        # Of twice the bytes, so that its tokens are dearer.
        another = {"repository": "Qwen/Qwen2.5-Coder-7B-Instruct", "quantization": "auto"}
        claim.manifest["spec"]["model"] = {**model, **another}
        running.publish(claim)
        claim.apply()
        item = door.claim.wait(
            lambda item: _kept(item, claim.name).get("repository") == another["repository"],
            what="with the price of the other model",
            timeout=_SECONDS_TO_SERVE + _PATIENCE,
        )
        assert claim.read()["status"]["repositories"] == [another["repository"]]
        after = _kept(item, claim.name)
        price = after["input"], after["output"]
        assert decimal.Decimal(after["output"]) > decimal.Decimal(before["output"])
        _assert_follows(price, claim)
        polling.until(
            lambda: _row(claim.name, after) in limits.expression(door),
            what="the price in the expression",
            timeout=doors.GRACE,
        )
        claim.wait_phase("Serving", timeout=_SECONDS_TO_SERVE)
        door.wait(claim.name, key, timeout=_PATIENCE)
        _wait_counts(door, key, claim.name, price)
        claim.delete()


def test_a_claim_without_a_price_costs_what_the_claim_does_in_whose_place_it_answers(
    door: doors.Door, chat: claims.Claim, running: stage.Stage
) -> None:
    """While that one sleeps; asked by its own name it costs nothing."""
    gateway = {"enabled": True, "fallback": {"claim": chat.name}}
    scaling = {"minReplicas": 0, "maxReplicas": 1, "cooldownSeconds": 600}
    with limits.paying(door, running, "leaning-on", "1000", prices=[_LEANING]) as key:
        claim = running.claim(_LEANING["model"], gateway=gateway, scaling=scaling).apply()
        claim.wait_phase("Idle", timeout=_SECONDS_TO_SERVE)
        polling.until(
            lambda: all(claim.name in listed for listed in door.models(doors.CHAT)),
            what="the claim in every list",
            timeout=doors.REFRESH_SECONDS + _PATIENCE,
        )
        polling.until(
            lambda: f'"{claim.name}"' in limits.expression(door),
            what="an expression with the claim's price",
            timeout=_PATIENCE,
        )
        # Nothing is asked before that: requests wake the claim.
        time.sleep(doors.REFRESH_SECONDS)

        def costs() -> bool:
            before, answer = limits.left(door, claim.name, key, 10)
            after, own = limits.left(door, chat.name, key, 10)
            last, _ = limits.left(door, chat.name, key, 10)
            assert answer.engine.startswith(f"{chat.name}-"), (answer, answer.engine)
            assert own.engine.startswith(f"{chat.name}-"), own
            used = answer.content["usage"]["completion_tokens"]
            return before - after == int(STATED) * used and after == last

        polling.until(costs, what="an answer that costs what the claim does", timeout=_PATIENCE)
        claim.delete()
