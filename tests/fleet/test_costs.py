"""Prices that follow from what claims cost: what follows, what stays, and what nobody knows."""

import decimal
import re
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from tests import cluster, documents, effort, strategies
from tests.fleet import costed, scene
from tests.fleet.test_money import budgeted, cost, rules

# --- what follows


def test_a_price_follows_from_the_cost_of_its_claim_rounded_up_to_two_digits() -> None:
    world = costed.resting()
    expected = ("0.032", "0.27")
    assert costed.priced(world) == {"chat-8b": ("0.01", "0.1"), "coder": expected, "sql": expected}
    assert world.condition("PricesReady") == ("True", "Derived")
    assert world.condition("LimitsReady") == ("True", "Enforced")


def test_idle_time_and_a_margin_come_on_top() -> None:
    asked = {"load": "rag", "utilizationPercent": 50, "marginPercent": 20}
    world = costed.resting(pricing={"fromCost": asked})
    assert costed.priced(world)["chat-8b"] == ("0.024", "0.48")


def test_the_settings_may_say_the_margin() -> None:
    priced_with: Any = {"pricing": {"currency": "USD", "fromCost": {"marginPercent": 50}}}
    assert costed.priced(costed.resting(settings=priced_with))["chat-8b"] == ("0.015", "0.15")
    own = costed.resting(settings=priced_with, pricing={"fromCost": {"marginPercent": 0}})
    assert costed.priced(own)["chat-8b"] == ("0.01", "0.1")


def test_a_row_wins_and_a_row_from_costs_says_what_differs() -> None:
    world = costed.resting(
        pricing={"fromCost": {"marginPercent": 100}},
        prices=[
            {"model": "coder", "input": "5", "output": "9"},
            {"model": "sql", "fromCost": {"load": "rag"}},
        ],
    )
    assert costed.priced(world) == {"chat-8b": ("0.02", "0.2"), "sql": ("0.063", "1.1")}
    assert cost(world, "coder", input_tokens=10**6) == 5_000_000
    assert cost(world, "sql", output_tokens=10**6) == 1_100_000


def test_a_row_alone_makes_one_price() -> None:
    world = costed.resting(pricing=None, prices=[{"model": "coder", "fromCost": {}}])
    assert costed.priced(world) == {"coder": ("0.032", "0.27")}
    assert world.condition("LimitsReady") == ("True", "Unpriced"), "as with rows that are stated"
    assert scene.rules(world) == {"paid": None}


def test_everybody_counts_by_the_same_prices() -> None:
    world = costed.resting(
        edge={"litellm": {"caller": "edge", "configurationOnly": True}},
        callers=[scene.caller("edge"), budgeted("paid")],
        settings={"dashboards": {"callerLabel": "inference_caller"}},
    )
    assert cost(world, "chat-8b", input_tokens=10**6, output_tokens=10**6) == 110_000
    assert cost(world, "sql", output_tokens=1000) == 270
    assert cost(world, "gone", output_tokens=1000) == 0
    (answers,) = (
        rule["expr"]
        for rule in rules(world)
        if rule["labels"].get("type") == "output" and rule["labels"]["model"] == "chat-8b"
    )
    assert answers.endswith(" * 0.00036")
    text = world.one("ConfigMap", "door-edge-configmap")["data"]["config.yaml"]
    (model,) = re.findall(r"\{[^{}]*openai/chat-8b[^{}]*\}", text)
    assert '"input_cost_per_token":0.00000001,' in model
    assert '"output_cost_per_token":0.0000001' in model


# --- what stays


def test_a_price_stays_whatever_its_claim_costs_since() -> None:
    world = costed.resting()
    before = costed.priced(world)
    rules_before = documents.copied(world.one("VMRule")["spec"])
    world.strangers = [costed.changed(costed.CODER, "0.9", "3"), costed.CHAT]
    world.reconcile()
    assert world.writes == ["conditions"]
    assert world.condition("PricesReady") == ("True", "CostsMoved")
    assert "coder 0.032/0.27, now 0.9/3" in world.message("PricesReady")
    assert (costed.priced(world), world.one("VMRule")["spec"]) == (before, rules_before)
    assert world.reconcile().writes == []


def test_a_higher_generation_takes_the_costs_of_now_and_says_so_once() -> None:
    world = costed.resting()
    world.strangers = [costed.changed(costed.CODER, "0.9", "3"), costed.CHAT]
    world.converge()
    world.edit(pricing={"fromCost": {"generation": 1}}).reconcile()
    assert costed.priced(world)["coder"] == ("0.9", "3")
    (event,) = costed.events(world)
    assert "coder 0.9/3 (was 0.032/0.27)" in event
    assert "chat-8b" not in event, "its price is what it was"
    assert cost(world, "coder", output_tokens=10**6) == 3_000_000
    world.converge()
    assert world.reconcile().writes == []
    assert costed.events(world) == []


def test_first_prices_are_told_once() -> None:
    door = scene.of(pricing=costed.FROM_COST, callers=[scene.caller("a")])
    world = scene.world(door, costed.CODER).settle().reconcile()
    assert "coder 0.032/0.27, sql 0.032/0.27" in costed.events(world)[0]
    world.settle().reconcile()
    assert costed.events(world) == []


def test_another_margin_of_the_settings_changes_no_price() -> None:
    world = costed.resting()
    before = costed.priced(world)
    pricing = world.environments[0]["data"]["inferenceService"]["pricing"]
    pricing["fromCost"] = {"marginPercent": 100}
    world.converge()
    assert costed.priced(world) == before
    assert world.condition("PricesReady") == ("True", "CostsMoved")


def test_a_cost_that_nobody_knows_any_more_takes_no_price_away() -> None:
    world = costed.resting()
    before = costed.priced(world)
    silent = documents.copied(costed.CODER)
    del silent["status"]["cost"]
    world.strangers = [silent, costed.CHAT]
    world.converge()
    assert costed.priced(world) == before
    assert world.condition("PricesReady") == ("True", "Derived")
    world.edit(pricing={"fromCost": {"generation": 1}}).converge()
    assert costed.priced(world) == before
    assert world.condition("PricesReady") == ("False", "CostUnknown")
    assert scene.rules(world) == {"paid": ["chat-8b", "coder", "sql"]}


def test_another_currency_makes_prices_anew() -> None:
    world = costed.resting()
    world.environments[0]["data"]["inferenceService"]["pricing"]["currency"] = "EUR"
    world.converge()
    assert costed.priced(world) == {}, "a claim still tells what it costs in USD"
    assert scene.rules(world) == {}
    for member in world.strangers or []:
        member["status"]["cost"]["currency"] = "EUR"
    world.converge()
    assert costed.priced(world)["coder"] == ("0.032", "0.27")


@pytest.mark.parametrize("written", ["x", [3], [{"model": "coder", "input": "free"}], [{}]])
def test_what_somebody_else_writes_into_the_status_is_no_price(written: Any) -> None:
    world = costed.resting()
    world.claim["status"]["prices"] = written
    world.converge()
    assert costed.priced(world)["coder"] == ("0.032", "0.27")


def test_who_is_kept_is_not_pushed_out_by_who_comes() -> None:
    members = [scene.member(f"m{n:03}", costs=("0.1", "0.2")) for n in range(256)]
    world = costed.resting(*members)
    before = costed.priced(world)
    world.strangers = [*members, scene.member("a", costs=("0.1", "0.2"))]
    world.converge()
    assert costed.priced(world) == before
    assert "a (256 prices" in world.message("PricesReady")


@pytest.mark.parametrize("away", ["deleted", "unpublished", "without its adapter"])
def test_a_name_that_nobody_serves_for_a_moment_comes_back_at_its_price(away: str) -> None:
    world = costed.resting()
    before = costed.priced(world)
    gone = documents.copied(costed.CODER)
    if away == "unpublished":
        gone["spec"]["gateway"]["enabled"] = False
    gone["status"]["servedModels"] = gone["status"]["servedModels"][:1]
    world.strangers = [costed.CHAT] if away == "deleted" else [gone, costed.CHAT]
    world.reconcile().reconcile()
    assert costed.priced(world) == before
    world.strangers = [costed.changed(costed.CODER, "0.9", "3"), costed.CHAT]
    world.converge()
    assert costed.priced(world) == before
    assert world.condition("PricesReady") == ("True", "CostsMoved")


def test_a_price_is_of_its_claim_and_another_one_under_the_name_has_its_own() -> None:
    world = costed.resting()
    plain = scene.member("coder", costs=("0.0312", "0.27"))
    silent = scene.member("chat-8b", "sql")
    world.strangers = [plain, silent]
    world.converge()
    assert scene.rules(world) == {"paid": ["chat-8b", "coder"]}, "the old price is none of it"
    assert "sql (claim chat-8b tells no cost" in world.message("PricesReady")
    world.strangers = [plain, scene.member("chat-8b", "sql", costs=("0.5", "2"))]
    world.reconcile()
    assert costed.priced(world)["sql"] == ("0.5", "2")
    (event,) = costed.events(world)
    assert "sql 0.5/2 (was 0.032/0.27)" in event


SMALL, LARGE = {"coder": ("0.032", "0.27")}, {"coder": ("0.9", "3")}
for _both in (SMALL, LARGE):
    _both["sql"] = _both["coder"]


def become(world: cluster.Cluster, *models: str) -> cluster.Cluster:
    """Core looks until it rests, with pods that have these models."""
    world.strangers = [costed.having(*models)]
    world.converge()
    return world


def test_a_claim_whose_pods_have_another_model_has_another_price() -> None:
    world = costed.resting(costed.having("org/small"))
    assert costed.priced(world) == SMALL
    world.strangers = [costed.having("org/large")]
    world.reconcile()
    assert costed.priced(world) == LARGE
    (event,) = costed.events(world)
    assert "coder 0.9/3 (was 0.032/0.27)" in event
    world.converge()
    assert world.condition("PricesReady") == ("True", "Derived")
    # Whatever it serves is not told for a while.
    world.strangers = [scene.member("coder", "sql", costs=("5", "6"), models=())]
    world.converge()
    assert costed.priced(world) == LARGE


@pytest.mark.parametrize("first", ["org/small", "org/large"])
@pytest.mark.parametrize("end", ["org/large", "org/small"])
def test_while_pods_have_two_models_the_price_is_of_the_dearer_one(first: str, end: str) -> None:
    world = costed.resting(costed.having(first))
    other = "org/large" if first == "org/small" else "org/small"
    become(world, first, other)
    assert costed.priced(world) == LARGE
    assert world.reconcile().writes == []
    # Raised meanwhile, it is that of both.
    world.edit(pricing={"fromCost": {"generation": 1}}).converge()
    assert costed.priced(world) == LARGE
    become(world, end)
    assert costed.priced(world) == (SMALL if end == "org/small" else LARGE)
    assert world.condition("PricesReady") == ("True", "Derived")


def test_a_price_that_is_kept_is_no_less_while_pods_have_two_models() -> None:
    """Costs have fallen since it followed, and the old model answers still."""
    world = become(costed.resting(costed.having("org/large")), "org/large")
    cheaper = scene.member("coder", "sql", costs=("0.0312", "5"), models=("org/large", "org/small"))
    world.strangers = [cheaper]
    world.converge()
    assert costed.priced(world)["coder"] == ("0.9", "5"), "of prompts and of answers"
    become(world, "org/small")
    assert costed.priced(world) == SMALL


@pytest.mark.parametrize("models", [("org/large",), ("org/small", "org/large")])
def test_a_model_of_unknown_cost_is_not_sold_at_the_price_of_the_one_before(
    models: tuple[str, ...],
) -> None:
    world = costed.resting(costed.having("org/small"))
    world.strangers = [scene.member("coder", "sql", models=models)]
    world.converge()
    assert world.condition("PricesReady") == ("False", "CostUnknown")
    assert scene.rules(world) == {}
    assert world.reconcile().writes == []
    world.strangers = [scene.member("coder", "sql", costs=("9", "9"), models=("org/small",))]
    world.converge()
    assert costed.priced(world) == SMALL, "its own price rested meanwhile"


def test_the_first_price_is_of_what_the_cost_is_of() -> None:
    """An edit in the same second changes neither: both are of what the pods have."""
    late = costed.having("org/small")
    late["spec"]["model"]["repository"] = "org/large"
    late["metadata"]["generation"] = 3
    late["status"]["observedGeneration"] = 2
    world = costed.resting(late)
    kept, _ = world.claim["status"]["prices"]
    assert kept["repository"] == "org/small"
    assert costed.priced(world) == SMALL


def test_no_price_follows_from_a_claim_that_tells_no_model() -> None:
    """It would be taken for the price of whatever the claim tells later."""
    silent = scene.member("coder", "sql", costs=("0.01", "0.03"), models=())
    world = costed.resting(silent)
    assert costed.priced(world) == {}
    assert world.condition("PricesReady") == ("False", "CostUnknown")
    become(world, "org/large")
    assert costed.priced(world) == LARGE
    # What is kept stays.
    world.strangers = [silent]
    world.converge()
    assert costed.priced(world) == LARGE


def test_a_price_of_which_nobody_kept_the_model_is_of_the_one_that_answers() -> None:
    world = costed.resting()
    before = costed.priced(world)
    for kept in world.claim["status"]["prices"]:
        del kept["repository"]
    for model in ("org/small", "org/large"):
        assert costed.priced(world) == before
        costs = ("0.9", "3")
        world.strangers = [scene.member("coder", "sql", costs=costs, models=(model,)), costed.CHAT]
        world.converge()
    assert costed.priced(world)["coder"] == ("0.9", "3")


def test_who_is_served_takes_the_place_of_who_is_kept_and_away() -> None:
    members = [scene.member(f"m{n:03}", costs=("0.1", "0.2")) for n in range(256)]
    world = costed.resting(*members)
    world.strangers = [*members[1:], scene.member("z", costs=("0.1", "0.2"))]
    world.converge()
    assert "z" in costed.priced(world)
    assert "m000" not in costed.priced(world)


# --- what nobody knows


def test_a_model_of_unknown_cost_is_named_and_costs_no_budget_nothing() -> None:
    free = scene.caller("free")
    world = costed.resting(costed.CODER, costed.VECTORS, callers=[budgeted("paid"), free])
    assert world.condition("PricesReady") == ("False", "CostUnknown")
    assert "vectors (claim vectors tells no cost of load chat)" in world.message("PricesReady")
    assert scene.rules(world) == {"paid": ["coder", "sql"], "free": None}
    assert world.phase == "Serving"
    prices = [{"model": "vectors", "input": "0.01"}]
    world.edit(prices=prices).converge()
    assert world.condition("PricesReady") == ("True", "Derived")
    assert scene.rules(world) == {"paid": ["coder", "sql", "vectors"], "free": None}


def test_a_cost_of_nothing_is_no_cost() -> None:
    world = costed.resting(costed.CODER, scene.member("gift", costs=("0", "0")))
    assert world.condition("PricesReady") == ("False", "CostUnknown")
    assert scene.rules(world) == {"paid": ["coder", "sql"]}


def test_claims_that_nobody_has_read_close_no_caller() -> None:
    world = costed.resting(costed.CODER, costed.CHAT)
    world.strangers = None
    world.reconcile()
    assert scene.rules(world) == {"paid": None}


def test_a_row_whose_cost_nobody_knows_is_withheld_and_no_other() -> None:
    prices = [{"model": "vectors", "fromCost": {}}]
    world = costed.resting(costed.CODER, costed.VECTORS, pricing=None, prices=prices)
    assert scene.rules(world) == {"paid": ["coder", "sql"]}
    named = costed.resting(
        costed.CODER,
        costed.VECTORS,
        pricing=None,
        prices=prices,
        callers=[budgeted("a", names=["vectors"])],
    )
    assert scene.rules(named) == {}


def test_a_model_of_a_provider_has_a_stated_price_or_none() -> None:
    outside: Any = scene.provider("anthropic", "claude")
    world = costed.resting(costed.CODER, providers=[outside])
    assert "claude (of provider anthropic)" in world.message("PricesReady")
    assert scene.rules(world) == {"paid": ["coder", "sql"]}


def test_a_row_that_nobody_serves_is_named() -> None:
    world = costed.resting(prices=[{"model": "codr", "fromCost": {"load": "rag"}}])
    assert world.condition("PricesReady") == ("True", "UnknownModel")
    assert world.message("PricesReady") == "nobody serves codr"
    world.edit(prices=[]).converge()
    assert world.condition("PricesReady") == ("True", "Derived")


def test_the_budget_of_a_team_counts_too() -> None:
    litellm = {
        "caller": "edge",
        "configurationOnly": True,
        "teams": [{"name": "t", "callers": ["a"], "budget": {"amount": "1", "per": "day"}}],
    }
    callers = [scene.caller("edge"), scene.caller("a"), scene.caller("b")]
    world = costed.resting(costed.CODER, costed.VECTORS, callers=callers, edge={"litellm": litellm})
    assert scene.rules(world) == {"a": ["coder", "sql"], "b": None, "edge": None}


def test_a_claim_that_comes_is_priced_before_a_budget_may_use_it() -> None:
    world = costed.resting(costed.CHAT)
    world.strangers = [costed.CHAT, costed.CODER]
    world.reconcile()
    assert scene.rules(world) == {"paid": ["chat-8b", "coder", "sql"]}
    assert cost(world, "coder", output_tokens=10**6) == 270_000


def test_settings_may_forbid_it() -> None:
    closed: Any = {"pricing": {"fromCost": {"allowed": False}}}
    for spec in ({"pricing": costed.FROM_COST}, {"prices": [{"model": "m", "fromCost": {}}]}):
        world = scene.world(scene.of(**spec), costed.CODER, settings=closed).reconcile()
        assert "fromCost: the settings let no price follow from costs" in (world.fatal or "")


@effort.examples(15, 40)
@hypothesis.given(
    strategies.doors(),
    st.lists(
        st.sampled_from([None, ("0", "0"), ("0.0312", "0.27"), ("99999999", "1")]), max_size=9
    ),
)
def test_no_budget_counts_by_nothing_and_prices_stay(
    document: cluster.Object, costs: list[tuple[str, str] | None]
) -> None:
    """Of every door whose prices follow from costs, whatever claims tell."""
    document = documents.copied(document)
    spec = document["spec"]
    if "gateway" in spec:
        return
    spec.setdefault("pricing", costed.FROM_COST)
    spec["callers"] = [*(spec.get("callers") or [])[:2], budgeted("payer")]
    members = [scene.member(f"m{n}", costs=pair) for n, pair in enumerate(costs)]
    world = scene.world(document, *members)
    for environment in world.environments:
        allowed = environment["data"]["inferenceService"].setdefault("allowed", {})
        allowed |= {"remoteRefs": {"*": ["**"]}, "secrets": {"*": ["**"]}}
    world.converge()
    known = costed.priced(world)
    stated = {one["model"] for one in spec.get("prices") or [] if "input" in one}
    for text in (text for both in known.values() for text in both):
        assert re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,4})?", text)
        assert len(text.replace(".", "").strip("0")) <= 2
    for n, pair in enumerate(costs):
        if pair is not None and f"m{n}" in known:
            prompts, answers = map(decimal.Decimal, known[f"m{n}"])
            assert prompts >= decimal.Decimal(pair[0])
            assert answers >= decimal.Decimal(pair[1])
    for caller, models in scene.rules(world).items():
        if caller == "payer":
            assert models is not None
            assert set(models) <= known.keys() | stated
    world.strangers = [costed.changed(member, "7", "8") for member in members]
    world.reconcile()
    after = costed.priced(world)
    assert known.items() <= after.items()
