"""What a claim's status tells of the cost of its tokens."""

import decimal
import json
from typing import Any

import pytest

from function.capacity import catalogue, forms, loads
from tests import cluster
from tests.cli import command
from tests.life import given

D = decimal.Decimal


def told(world: cluster.Cluster) -> dict[str, tuple[str, str]]:
    costs = world.claim["status"].get("cost", {}).get("perMillionTokens") or []
    return {one["load"]: (one["input"], one["output"]) for one in costs}


def test_a_claim_behind_the_gateway_tells_what_its_tokens_cost_by_load() -> None:
    costs = told(given.serving())
    assert costs.keys() == loads.WORKLOADS.keys()
    assert all(D(prompts) < D(answers) for prompts, answers in costs.values())
    digits = {len(text.replace(".", "").strip("0")) for pair in costs.values() for text in pair}
    assert max(digits) <= 3


def test_both_together_are_what_plan_tells(tmp_path: Any) -> None:
    world = given.serving()
    file = command.write(tmp_path / "claim.yaml", world.claim)
    result = command.verb("plan", file, "--environment", command.REFERENCE, "--output", "json")
    speed = json.loads(result.stdout)["claims"][0]["speed"]["chat"]
    chat, (prompts, answers) = loads.WORKLOADS["chat"], told(world)["chat"]
    each = D(prompts) * chat.prompt + D(answers) * chat.output
    whole = D(speed["millionTokens"]["best"]) * (chat.prompt + chat.output)
    assert float(each) == pytest.approx(float(whole), rel=0.01)
    assert speed["millionTokens"]["full"]["input"].startswith(prompts[:5])


def test_a_load_that_the_claim_refuses_has_no_cost() -> None:
    world = given.serving()
    given.remodelled(world, contextWindow=2048)
    world.converge()
    assert told(world).keys() == {"chat", "batch"}


def test_without_a_price_or_the_gateway_nothing_is_told() -> None:
    world = given.serving()
    classes = world.environments[0]["data"]["inferenceService"]["gpu"]["classes"]
    for each in classes.values():
        each.pop("pricePerHour", None)
    world.converge()
    assert told(world) == {}
    alone = given.serving()
    alone.edit(gateway={"enabled": False}).converge()
    assert told(alone) == {}


@pytest.mark.parametrize("price", ["0", "0.0"])
def test_a_gpu_for_nothing_makes_no_cost(price: str) -> None:
    world = given.serving()
    for each in world.environments[0]["data"]["inferenceService"]["gpu"]["classes"].values():
        each["pricePerHour"] = price
    world.converge()
    assert told(world) == {}


def test_facts_that_the_author_states_make_no_cost() -> None:
    world = given.serving()
    known = catalogue.lookup(world.claim["spec"]["model"]["repository"])
    assert known is not None
    facts = forms.document(known)
    given.remodelled(world, facts=facts)
    world.converge()
    assert told(world) == {}
    assert "perHourNow" in world.claim["status"]["cost"]


def test_a_claim_at_rest_writes_nothing() -> None:
    world = given.serving()
    assert world.reconcile().writes == []
