"""Limits of callers: what counts them, what stays while they change, and what cannot be had."""

import itertools
from typing import Any

import pytest

from tests import cluster, controllers
from tests.fleet import scene

CODER = scene.member("coder")
POLICY, CONFIG = "BackendTrafficPolicy", "GatewayConfig"
CALLER, MODEL = "x-inference-caller", "x-ai-eg-model"
PER_DAY: Any = {"tokens": 1000, "per": "day"}
NO = controllers.condition("Accepted", "False", "Invalid", "enable Ratelimit in the EnvoyGateway")


def limited(name: str, *limits: Any) -> cluster.Object:
    """Returns a caller with limits."""
    return {**scene.caller(name), "limits": list(limits)}


def resting(*callers: cluster.Object) -> cluster.Cluster:
    return scene.resting(scene.of(callers=list(callers)), CODER)


def rules(world: cluster.Cluster) -> list[cluster.Object]:
    """Returns the rules of the policy."""
    found: list[cluster.Object] = world.one(POLICY)["spec"]["rateLimit"]["global"]["rules"]
    return found


def headers(rule: cluster.Object) -> list[tuple[str, str]]:
    """Returns what a rule matches: headers with their values, or with how they are matched."""
    (selector,) = rule["clientSelectors"]
    return [(one["name"], one.get("value", one["type"])) for one in selector["headers"]]


def counts(rule: cluster.Object, place: int) -> tuple[str, ...]:
    """Returns what the limiter keeps a count by, as Envoy Gateway writes it (ratelimit.go)."""
    (selector,) = rule["clientSelectors"]
    asked = {CALLER: "any", MODEL: "any"}
    asked |= {one["name"]: one["value"] for one in selector["headers"] if "value" in one}
    return tuple(
        asked[one["name"]] if one["type"] == "Distinct" else f"rule-{place}-match-{index}"
        for index, one in enumerate(selector["headers"])
    )


@pytest.mark.decision(44)
def test_a_limit_of_tokens_is_looked_at_before_and_counted_after_the_answer() -> None:
    world = resting(limited("chat", {**PER_DAY, "model": "coder"}))
    (rule,) = rules(world)
    assert dict(headers(rule)[2:]) == {CALLER: "chat", MODEL: "coder"}
    assert rule["limit"] == {"requests": 1000, "unit": "Day"}
    assert rule["shared"] is True, "each route would have a count of its own"
    assert rule["cost"]["request"] == {"from": "Number", "number": 0}
    (cost,) = world.one(CONFIG)["spec"]["globalLLMRequestCosts"]
    assert cost["type"] == "TotalToken"
    assert rule["cost"]["response"]["metadata"] == {
        "namespace": "io.envoy.ai_gateway",
        "key": cost["metadataKey"],
    }
    annotations = world.one("Gateway")["metadata"]["annotations"]
    assert (
        annotations["aigateway.envoyproxy.io/gateway-config"]
        == world.one(CONFIG)["metadata"]["name"]
    )
    assert world.condition("LimitsReady") == ("True", "Enforced")


def test_what_tells_tokens_comes_once_the_gateway_names_it() -> None:
    """The AI gateway looks at Gateways when a GatewayConfig comes, and not at their annotations."""
    world = scene.world(scene.of(callers=[limited("chat", PER_DAY)]), CODER)
    settings = world.environments[-1]["data"]["inferenceService"]["frontDoor"]
    settings["limiter"] = "none"
    world.converge()
    assert CONFIG not in world.kinds_there()
    settings["limiter"] = "envoy"
    world.reconcile()
    assert "gateway-config" in str(world.one("Gateway")["metadata"]["annotations"])
    assert CONFIG not in world.kinds_there()
    assert world.condition("LimitsReady") == ("False", "Waiting")
    world.reconcile()
    assert CONFIG in world.kinds_there()
    world.converge()
    assert world.condition("LimitsReady") == ("True", "Enforced")


def test_a_limit_of_requests_counts_each() -> None:
    (rule,) = rules(resting(limited("chat", {"requests": 60, "per": "minute"})))
    assert dict(headers(rule)[:1]) == {CALLER: "chat"}
    assert rule["limit"] == {"requests": 60, "unit": "Minute"}
    assert "cost" not in rule


def test_who_has_no_limits_has_no_rule() -> None:
    world = resting(scene.caller("free"), limited("chat", PER_DAY))
    assert [dict(headers(rule)[1:]) for rule in rules(world)] == [{CALLER: "chat"}]
    none = resting(scene.caller("free"))
    assert not {POLICY, CONFIG} & none.kinds_there()
    # It names what may come: one that does so later is not looked at.
    assert "gateway-config" in str(none.one("Gateway")["metadata"]["annotations"])


def test_a_limit_that_is_raised_keeps_its_place() -> None:
    hour = {"tokens": 10, "per": "hour"}
    world = resting(limited("a", hour, PER_DAY), limited("b", PER_DAY))
    before = [headers(rule) for rule in rules(world)]
    world.edit(callers=[limited("b", PER_DAY), limited("a", PER_DAY, {**hour, "tokens": 5000})])
    world.reconcile()
    assert [headers(rule) for rule in rules(world)] == before
    assert [rule["limit"]["requests"] for rule in rules(world)] == [1000, 5000, 1000]


@pytest.mark.decision(44)
def test_no_count_is_taken_for_another_when_places_change() -> None:
    """A place with the same matches counts the same thing, whoever had it before."""
    kinds: tuple[Any, ...] = ({"tokens": 9}, {"requests": 9})
    models: tuple[Any, ...] = ({}, {"model": "coder"}, {"model": "sql"})
    limits = [{**k, **m, "per": "day"} for k, m in itertools.product(kinds, models)]
    world = resting(*(limited(name, *limits) for name in ("a", "b")))
    kept = [counts(rule, 0) for rule in rules(world)]
    assert len(kept) == len(set(kept)) == 12


def test_limits_come_before_the_gateway_and_go_with_their_callers() -> None:
    world = scene.world(scene.of(callers=[limited("a", PER_DAY)]), CODER).reconcile()
    assert {POLICY, CONFIG} <= world.kinds_there()
    assert "Gateway" not in world.kinds_there()
    world.converge()
    world.edit(callers=[scene.caller("a")]).converge()
    assert not {POLICY, CONFIG} & world.kinds_there()
    assert world.condition("LimitsReady") == ("True", "NotRequested")


@pytest.mark.decision(44)
def test_without_a_limiter_limits_are_withheld_and_told() -> None:
    """A policy that the gateway cannot keep is answered with 500 for everybody."""
    settings = {"frontDoor": {"namespaces": {"llm": "llm"}}}
    door = scene.of(callers=[limited("a", PER_DAY)])
    world = scene.world(door, CODER, settings=settings)
    world.converge()
    assert not {POLICY, CONFIG} & world.kinds_there()
    assert world.condition("LimitsReady") == ("False", "NoLimiter")
    assert "frontDoor.limiter" in world.claim["status"]["waitingFor"]
    assert world.condition("CallersReady") == ("True", "Enforced")


def test_limits_that_the_gateway_refuses_are_told() -> None:
    world = resting(limited("a", PER_DAY))
    world.one(POLICY)["status"] = {"ancestors": [{"conditions": [NO]}]}
    world.reconcile()
    assert world.condition("LimitsReady") == ("False", "Refused")
    assert "enable Ratelimit" in world.message("LimitsReady")
    assert world.phase == "Degraded"


def test_a_route_whose_policy_replaces_the_limits_is_told() -> None:
    world = resting(limited("a", PER_DAY))
    replaced = controllers.condition(
        "Overridden", "True", "Overridden", "for these routes: [llm/x]"
    )
    world.one(POLICY)["status"]["ancestors"][0]["conditions"].append(replaced)
    world.reconcile()
    assert world.condition("LimitsReady") == ("False", "Overridden")
    assert "llm/x" in world.message("LimitsReady")


def test_a_limit_of_a_model_that_nobody_serves_is_told() -> None:
    world = resting(limited("a", {**PER_DAY, "model": "nobody"}))
    assert world.condition("LimitsReady") == ("True", "UnknownModel")
    assert "nobody" in world.message("LimitsReady")


def test_more_limits_than_the_gateway_takes_are_refused() -> None:
    many = [{"tokens": number, "per": "day"} for number in range(1, 17)]
    world = scene.world(scene.of(callers=[limited(f"c{n}", *many) for n in range(17)])).reconcile()
    assert world.fatal is not None
    assert "spec.callers: 272 limits in all, and the gateway takes at most 256" in world.fatal


# --- the claims behind it


def behind(settings: cluster.Object, example: str = "gateway") -> cluster.Object:
    """Returns the policy of a claim of the door's namespace."""
    claim = cluster.load(f"examples/features/{example}.yaml")
    site = {**scene.SITE, "data": {"inferenceService": {"frontDoor": settings}}}
    world = cluster.Cluster(claim, cluster.environment("reference"), site)
    world.converge()
    found: cluster.Object = world.one(POLICY)["spec"]
    return found


@pytest.mark.decision(44)
def test_policies_of_claims_do_not_replace_the_limits() -> None:
    door = {"namespaces": {"llm": "llm"}}
    plain = behind(door)
    assert "mergeType" not in plain
    assert behind({"limiter": "envoy"}) == plain
    assert behind({**door, "limiter": "envoy"}) == {**plain, "mergeType": "StrategicMerge"}


def test_a_claim_with_an_answer_of_its_own_has_the_words_of_the_limits_too() -> None:
    """A merge takes one list of answers: the claim's."""
    door = {"namespaces": {"llm": "llm"}}
    (full,) = behind(door, "bounded-queue")["responseOverride"]
    both = behind({**door, "limiter": "envoy"}, "bounded-queue")["responseOverride"]
    assert both == [full, *resting(limited("a", PER_DAY)).one(POLICY)["spec"]["responseOverride"]]
