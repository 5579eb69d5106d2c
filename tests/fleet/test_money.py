"""Prices and budgets of callers: what an answer costs, what is counted, and what is recorded."""

import decimal
import re
from typing import Any

import cel
import hypothesis
import pytest
from hypothesis import strategies as st

from function.fleet import spending
from tests import cluster, documents, effort, strategies
from tests.alerts import promql, sources
from tests.fleet import scene

CODER = scene.member("coder", "sql")
PRICES: Any = [
    {"model": "coder", "input": "0.5", "cachedInput": "0.05", "output": "1.5"},
    {"model": "claude", "input": "3", "output": "15"},
]
OUTSIDE = scene.provider("anthropic")
OUTSIDE["models"] = [{"name": "claude", "upstream": "coder"}]
LABELLED: Any = {"dashboards": {"callerLabel": "inference_caller"}}
UNLABELLED: Any = {"dashboards": {}}


def budgeted(name: str, amount: str = "50", per: str = "month", **more: Any) -> cluster.Object:
    return {**scene.caller(name, **more), "budget": {"amount": amount, "per": per}}


def resting(settings: Any = None, **spec: Any) -> cluster.Cluster:
    world = scene.world(scene.of(**{"prices": PRICES, **spec}), CODER, settings=settings)
    world.converge()
    assert world.fatal is None, world.fatal
    return world


def expression(world: cluster.Cluster) -> str:
    costs = world.one("GatewayConfig")["spec"]["globalLLMRequestCosts"]
    (text,) = (cost["cel"] for cost in costs if cost["type"] == "CEL")
    return str(text)


def cost(
    world: cluster.Cluster, model: str, backend: str = "", route: str = "", **tokens: int
) -> int:
    """Returns what the AI gateway makes of an answer, in millionths."""
    counted = dict.fromkeys(("input_tokens", "cached_input_tokens", "output_tokens"), 0) | tokens
    # The evaluator has no unsigned numbers of Python's: the literals are signed here too.
    text = re.sub(r"(\d)u\b", r"\1", expression(world))
    return int(
        cel.evaluate(text, {"model": model, "backend": backend, "route_name": route, **counted})
    )


# --- what an answer costs


def test_an_answer_costs_its_tokens_at_the_prices_of_its_model() -> None:
    world = resting(callers=[budgeted("chat")])
    assert cost(world, "coder", input_tokens=10**6) == 500_000
    assert cost(world, "coder", input_tokens=10**6, cached_input_tokens=4 * 10**5) == 320_000
    assert cost(world, "coder", output_tokens=1000) == 1500
    assert cost(world, "claude", input_tokens=100, output_tokens=10) == 450
    assert cost(world, "sql", input_tokens=10**6) == 0


def test_what_costs_anything_costs_one_millionth_at_least() -> None:
    world = resting(callers=[budgeted("chat")])
    assert cost(world, "coder", input_tokens=1) == 1
    assert cost(world, "coder") == 0


def test_a_cache_that_claims_too_much_costs_no_less_than_nothing() -> None:
    world = resting(callers=[budgeted("chat")])
    assert cost(world, "coder", input_tokens=100, cached_input_tokens=900) == 5


def test_a_provider_that_names_a_model_as_a_claim_does_has_its_own_price() -> None:
    """The AI gateway asks by the provider's name of the model, and tells whose answer it is."""
    world = resting(callers=[budgeted("chat")], providers=[OUTSIDE])
    whose = "llm/llm.provider-anthropic/route/llm.provider-anthropic/rule/0/ref/0"
    assert cost(world, "coder", whose, input_tokens=1000) == 3000
    assert cost(world, "coder", "llm/coder/route/coder/rule/0/ref/0", input_tokens=1000) == 500


def test_what_a_provider_answers_in_a_claims_place_has_the_providers_price() -> None:
    member = scene.member("backed")
    member["spec"]["gateway"]["fallback"] = {"provider": "anthropic", "model": "claude"}
    door = scene.of(prices=PRICES, callers=[budgeted("chat")], providers=[OUTSIDE])
    world = scene.resting(door, CODER, member)
    whose = "llm/backed.outside-anthropic/route/backed/rule/0/ref/1"
    assert cost(world, "coder", whose, "llm/backed", input_tokens=1000) == 3000
    own = "llm/backed/route/backed/rule/0/ref/0"
    assert cost(world, "coder", own, "llm/backed", input_tokens=1000) == 500


def test_the_expression_nests_no_deeper_for_claims_that_name_a_provider() -> None:
    """The AI gateway reads 250 nested choices, and any author of claims may name a provider."""
    depths = []
    for count in (1, 40):
        members = [scene.member(f"m{number}") for number in range(count)]
        for one in members:
            one["spec"]["gateway"]["fallback"] = {"provider": "anthropic", "model": "claude"}
        door = scene.of(prices=PRICES, callers=[budgeted("chat")], providers=[OUTSIDE])
        depths.append(expression(scene.resting(door, CODER, *members)).count("?"))
    assert depths[0] == depths[1]


# --- what is counted


@pytest.mark.decision(46)
def test_a_budget_is_a_limit_of_money() -> None:
    world = resting(callers=[budgeted("chat", "12.5")])
    (rule,) = world.one("BackendTrafficPolicy")["spec"]["rateLimit"]["global"]["rules"]
    assert rule["limit"] == {"requests": 12_500_000, "unit": "Month"}
    assert rule["shared"] is True
    assert rule["cost"]["request"] == {"from": "Number", "number": 0}
    told = world.one("GatewayConfig")["spec"]["globalLLMRequestCosts"][-1]["metadataKey"]
    assert rule["cost"]["response"]["metadata"]["key"] == told
    assert world.condition("LimitsReady") == ("True", "Unpriced"), "the adapter sql has no price"


def test_a_budget_moves_no_limit_and_no_budget_counts_for_a_limit() -> None:
    day = {"tokens": 1000, "per": "day"}
    callers = [{**scene.caller(name), "limits": [day]} for name in "ab"]
    before = resting(callers=callers)
    rules = before.one("BackendTrafficPolicy")["spec"]["rateLimit"]["global"]["rules"]
    callers[0]["budget"] = {"amount": "1", "per": "day"}
    after = resting(callers=callers)
    now = after.one("BackendTrafficPolicy")["spec"]["rateLimit"]["global"]["rules"]
    assert now[:2] == rules
    matched = [str(rule["clientSelectors"]) for rule in now]
    assert len({re.sub("'[ab]'", "", text) for text in matched}) == 2


def test_without_budgets_nothing_more_is_told() -> None:
    limited = {**scene.caller("a"), "limits": [{"tokens": 1, "per": "day"}]}
    costs = resting(callers=[limited]).one("GatewayConfig")["spec"]["globalLLMRequestCosts"]
    assert [cost["type"] for cost in costs] == ["TotalToken"]


def test_a_model_without_a_price_is_told_of_whoever_has_a_budget() -> None:
    world = resting(callers=[budgeted("chat", names=["sql", "coder"]), scene.caller("free")])
    assert world.condition("LimitsReady") == ("True", "Unpriced")
    assert "sql (chat)" in world.message("LimitsReady")
    assert "free" not in world.message("LimitsReady")
    priced = resting(callers=[budgeted("chat", names=["coder"])])
    assert priced.condition("LimitsReady") == ("True", "Enforced")


# --- what is recorded


def rules(world: cluster.Cluster) -> list[cluster.Object]:
    groups = world.one("VMRule")["spec"]["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_each_price_is_recorded_by_caller() -> None:
    world = resting(LABELLED, callers=[scene.caller("chat"), scene.caller("nightly")])
    rates = {
        (rule["labels"]["model"], rule["labels"]["type"]): rule["expr"]
        for rule in rules(world)
        if rule["record"] == spending.PER_HOUR
    }
    assert rates.keys() == {
        ("coder", "input"),
        ("coder", "cached_input"),
        ("coder", "output"),
        ("claude", "input"),
        ("claude", "output"),
    }
    assert rates["coder", "output"].endswith(" * 0.0054")
    for text in rates.values():
        assert text.count("sum by (caller)") == text.count('inference_caller=~"chat|nightly"')
    assert world.one("VMRule")["metadata"]["name"] == "llm.costs"


def test_what_a_cache_had_is_paid_once() -> None:
    """Tokens of prompts include them."""
    world = resting(LABELLED, callers=[scene.caller("chat")])
    (text,) = (
        rule["expr"]
        for rule in rules(world)
        if rule["labels"].get("type") == "input" and rule["labels"]["model"] == "coder"
    )
    whole, _, had = text.partition(" - ")
    assert 'gen_ai_token_type="input"' in whole
    assert 'gen_ai_token_type="cached_input"' in had


def test_without_the_label_it_is_recorded_by_model() -> None:
    for rule in rules(resting(UNLABELLED, callers=[scene.caller("chat")])):
        assert "caller" not in rule["expr"]


def test_without_prices_or_monitoring_nothing_is_recorded() -> None:
    bare = scene.world(scene.of(callers=[scene.caller("a")]), CODER, settings=LABELLED)
    bare.converge()
    assert "VMRule" not in bare.kinds_there()
    blind = resting({"providers": {"monitoring": "none"}}, callers=[scene.caller("a")])
    assert "VMRule" not in blind.kinds_there()


def test_the_other_operator_gets_its_own_kind() -> None:
    settings = {"providers": {"monitoring": "prometheus-operator"}}
    world = resting(settings, callers=[scene.caller("a")])
    assert world.one("PrometheusRule")["spec"]["groups"]
    assert "VMRule" not in world.kinds_there()


def test_a_missing_operator_is_what_it_waits_for() -> None:
    world = scene.world(scene.of(prices=PRICES, callers=[scene.caller("a")]), CODER)
    world.kinds = {"v1/Service": True, "operator.victoriametrics.com/v1beta1/VMRule": False}
    world.converge()
    assert "providers.monitoring" in world.claim["status"]["waitingFor"]


@effort.examples(15, 40)
@hypothesis.given(strategies.doors(), st.booleans())
def test_nobody_without_a_name_is_in_what_is_recorded(
    document: cluster.Object, labelled: bool
) -> None:
    """Each series of the gateway is matched by the callers' names, or summed over all of them."""
    document = documents.copied(document)
    spec = document["spec"]
    # A Gateway of its own, with prices, and every claim behind it: else nothing is recorded.
    for field in ("gateway", "selector"):
        spec.pop(field, None)
    spec["prices"] = PRICES
    spec.setdefault("callers", [scene.caller("chat")])
    world = scene.world(document, CODER, settings=LABELLED if labelled else UNLABELLED)
    # Cases of evaluations can be code, and the Secrets that such code reads are granted.
    for environment in world.environments:
        allowed = environment["data"]["inferenceService"].setdefault("allowed", {})
        allowed |= {"remoteRefs": {"*": ["**"]}, "secrets": {"*": ["**"]}}
    world.converge()
    known = sources.others()
    names = {caller["name"] for caller in spec["callers"] or []}
    assert rules(world)
    for rule in rules(world):
        tree = promql.parse(rule["expr"])
        for selector in promql.selectors(tree):
            if selector.name == spending.PER_HOUR:
                continue
            assert selector.name in known
            matcher = selector.matchers.get("inference_caller")
            assert (matcher is not None) == (labelled and bool(names))
            if matcher is not None:
                assert set(matcher.value.split("|")) == names
        assert decimal.Decimal(rule["expr"].rpartition(" ")[2]) >= 0
