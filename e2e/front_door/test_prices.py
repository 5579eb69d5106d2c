"""Prices that follow from what claims cost, and a budget that counts by them."""

from __future__ import annotations

import decimal
import functools
from collections.abc import Iterator

import pytest

from e2e import claims, installation
from e2e.controlplane import api, polling
from e2e.dataplane import stage
from e2e.front_door import doors, limits

NAME = "paying"
KEY = doors.KEY.format(NAME)
# A million tokens of an adapter's answers, as a row states it.
STATED = "100"
_ROW = {"model": doors.ADAPTER, "input": "0", "output": STATED}


@pytest.fixture(scope="module")
def paying(
    door: doors.Door,
    coder: claims.Claim,
    chat: claims.Claim,
    running: stage.Stage,
    installed: installation.Installation,
    counting: None,
) -> Iterator[str]:
    """A caller with a budget, at a door whose prices follow from costs.

    Of one claim by a load whose requests are longer than its context: nobody knows what they cost.
    """
    del coder, counting
    doors.write_key(running, NAME, KEY)
    unknown = {"model": chat.name, "fromCost": {"load": "agent"}}
    door.claim.apply(pricing=_pricing(), prices=[_ROW, unknown], callers=_callers("0.002"))
    yield KEY
    door.claim.apply(callers=limits.standing())
    del door.claim.manifest["spec"]["pricing"]
    door.claim.apply(prices=[])
    installed.configure(doors.settings(running))


def _pricing(generation: int = 0) -> api.Object:
    return {"fromCost": {"utilizationPercent": 50, "generation": generation}}


def _callers(amount: str) -> list[api.Object]:
    return [*limits.standing(), limits.budgeted(NAME, amount)]


def _prices(door: doors.Door) -> dict[str, tuple[str, str]]:
    kept = door.claim.read()["status"].get("prices", [])
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


def _expression(door: doors.Door) -> str:
    """What the AI gateway is given to work out what an answer costs."""
    costs = door.claim.one("GatewayConfig")["spec"]["globalLLMRequestCosts"]
    (text,) = (cost["cel"] for cost in costs if cost["type"] == "CEL")
    return str(text)


def _counts(door: doors.Door, model: str, price: tuple[str, str]) -> bool:
    """Whether an answer takes its price from the budget, to the millionth, rounded up."""
    before, answer = limits.left(door, model, KEY, 1000)
    after, _ = limits.left(door, model, KEY, 1)
    used = answer.content["usage"]
    prompts, answers = map(decimal.Decimal, price)
    cost = prompts * used["prompt_tokens"] + answers * used["completion_tokens"]
    return before - after == int(cost.to_integral_value(decimal.ROUND_CEILING))


def _wait_counts(door: doors.Door, model: str, price: tuple[str, str]) -> None:
    polling.until(
        functools.partial(_counts, door, model, price),
        what=f"an answer of {model} that costs {price}",
        timeout=doors.MINUTE + doors.GRACE,
    )


def test_a_claim_of_unknown_cost_is_named_and_no_budget_may_use_it(
    door: doors.Door, coder: claims.Claim, chat: claims.Claim, paying: str
) -> None:
    """Others may, until its price is known."""
    door.wait_condition("PricesReady", "False", "CostUnknown", doors.MINUTE + doors.GRACE)
    message = claims.conditions(door.claim.read())["PricesReady"][2]
    assert message == (f"cost unknown: {chat.name} (claim {chat.name} tells no cost of load agent)")
    limits.wait_key(door, paying)
    door.wait(chat.name, paying, status=403)
    assert door.statuses(coder.name, paying) == {200}
    assert door.statuses(chat.name, doors.CHAT) == {200}
    door.claim.apply(prices=[_ROW])
    door.wait_condition("PricesReady", "True", "Derived")
    door.wait(chat.name, paying)


def test_a_budget_is_spent_by_prices_that_follow_from_costs(
    door: doors.Door, coder: claims.Claim, chat: claims.Claim, paying: str
) -> None:
    """Of claim and adapter alike, but where a row states another; others go on."""
    prices = _prices(door)
    assert prices.keys() == {chat.name, coder.name, doors.CANARY}, "a stated price wins"
    assert prices[coder.name] == prices[doors.CANARY]
    for claim in (coder, chat):
        _assert_follows(prices[claim.name], claim)
    limits.assert_told(limits.spend(door, chat.name, paying, tokens=1000))
    for model in (chat.name, coder.name, doors.ADAPTER):
        assert door.statuses(model, paying) == {429}, model
    for other in (doors.CHAT, doors.EDITOR):
        assert door.statuses(coder.name, other) == {200}
    # A budget that is raised: each answer tells what was left before it.
    door.claim.apply(callers=_callers("1000"))
    door.wait(chat.name, paying)
    for model, price in ((chat.name, prices[chat.name]), (doors.ADAPTER, ("0", STATED))):
        _wait_counts(door, model, price)


def test_costs_that_move_change_no_price_until_it_is_asked_for(
    door: doors.Door,
    chat: claims.Claim,
    running: stage.Stage,
    installed: installation.Installation,
    paying: str,
) -> None:
    """GPUs that are four times as dear; a higher generation takes them."""
    prices, expression, (_, cost) = _prices(door), _expression(door), _cost(chat)
    settings = doors.settings(running)
    classes = settings["data"]["inferenceService"]["gpu"]["classes"].values()
    for each in classes:
        each["pricePerHour"] = str(4 * decimal.Decimal(each["pricePerHour"]))
    installed.configure(settings)
    chat.reconcile("dearer")
    polling.until(lambda: _cost(chat)[1] > 3 * cost, what="another cost", timeout=doors.GRACE)
    door.wait_condition("PricesReady", "True", "CostsMoved", doors.MINUTE + doors.GRACE)
    assert (_prices(door), _expression(door)) == (prices, expression)
    assert _counts(door, chat.name, prices[chat.name])
    door.claim.apply(pricing=_pricing(1))
    door.claim.wait(
        lambda item: chat.name in _prices(door) and _prices(door)[chat.name] != prices[chat.name],
        what="with another price",
        timeout=doors.MINUTE,
    )
    dearer = _prices(door)[chat.name]
    _assert_follows(dearer, chat)
    _wait_counts(door, chat.name, dearer)
