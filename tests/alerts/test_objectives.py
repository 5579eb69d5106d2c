"""Objectives: by which bound they are judged, what is counted, and how fast budgets burn."""

import decimal
from typing import Any

import pytest

from function import explanation
from function.api import base
from function.capacity import loads
from function.concerns.observability import objectives
from function.planning import replica
from function.situation import situations
from tests.alerts import rendered
from tests.resources import scene

ALL: Any = {
    "ttft": {"percentile": "95", "seconds": "1"},
    "itl": {"percentile": "99", "seconds": "0.1"},
    "availability": {"percent": "99.5"},
}


def planned(slo: Any, site: str = "reference", **spec: Any) -> situations.Situation:
    return rendered.planned(rendered.changed(slo=slo, **spec), rendered.ENVIRONMENTS[site])


def surprises(subject: situations.Situation) -> list[explanation.Explanation]:
    every = (why for why in subject.plan.explanations if why.value != "objectives: scaling")
    return [why for why in every if why.surprising and ".slo" in why.field]


def query(subject: situations.Situation, record: str, **labels: str) -> str:
    (text,) = (
        rule["expr"]
        for rule in rendered.recorded(subject)
        if rule["record"] == record and labels.items() <= rule["labels"].items()
    )
    return str(text)


# --- by which bound a time is judged


@pytest.mark.parametrize(
    ("objective", "seconds", "bound", "named"),
    [
        ("ttft", "1", "1.0", None),
        ("ttft", "1.2", "1.0", "1 or 2.5"),
        ("ttft", "0.25", "0.25", None),
        ("ttft", "3600", "2560.0", "2560"),
        ("itl", "0.06", "0.05", "0.05 or 0.075"),
        ("itl", "0.01", "0.01", None),
    ],
)
def test_a_time_is_judged_by_the_next_lower_bound_and_that_is_said(
    objective: str, seconds: str, bound: str, named: str | None
) -> None:
    subject = planned({objective: {"percentile": "95", "seconds": seconds}})
    assert f'le="{bound}"' in query(subject, objectives.MISSED, objective=objective)
    words = surprises(subject)
    assert [why.field for why in words] == [f"spec.slo.{objective}.seconds"] * bool(named)
    assert all(f"name {named}" in why.rule and seconds in why.rule for why in words)


def test_a_time_below_all_bounds_is_refused() -> None:
    with pytest.raises(base.InvalidError) as refused:
        planned({"itl": {"percentile": "95", "seconds": "0.009"}})
    assert "spec.slo.itl.seconds: 0.009 cannot be judged" in str(refused.value)
    assert "below 0.01 s" in str(refused.value)


def test_bounds_that_the_author_sets_are_those_that_count() -> None:
    argument = '--custom-histogram-buckets={"time_to_first_token":[3,0.7]}'
    slo = {"ttft": {"percentile": "95", "seconds": "0.8"}, "itl": ALL["itl"]}
    subject = planned(slo, engineArgs=[argument])
    assert 'le="0.7"' in query(subject, objectives.MISSED, objective="ttft")
    assert 'le="0.1"' in query(subject, objectives.MISSED, objective="itl")
    (why,) = surprises(subject)
    assert "name 0.7 or 3" in why.rule


# --- what is counted


def test_a_budget_is_what_the_percentile_leaves() -> None:
    subject = planned(ALL)
    budgets = {name: query(subject, objectives.BUDGET, objective=name) for name in ALL}
    assert budgets == {
        "ttft": "vector(0.05)",
        "itl": "vector(0.01)",
        "availability": "vector(0.005)",
    }


AVAILABLE = {"availability": {"percent": "99"}}
BY_GATEWAY: Any = {"gateway": {"enabled": True}, "loraAdapters": []}
BY_PICKER: Any = {"gateway": {"enabled": True, "endpointPicker": {"enabled": True}}}


@pytest.mark.parametrize(
    ("site", "spec", "series"),
    [
        ("reference", BY_GATEWAY, "envoy_cluster_upstream_rq_xx"),
        ("reference", {"gateway": {"enabled": False}}, "http_requests_total"),
        # What a picker refuses is charged to no cluster of the claim's.
        ("reference", BY_PICKER, "http_requests_total"),
        ("plain", BY_GATEWAY, "http_requests_total"),
    ],
)
def test_availability_is_counted_where_requests_are_seen(site: str, spec: Any, series: str) -> None:
    subject = planned(AVAILABLE, site, **spec)
    assert series in query(subject, objectives.EVENTS, objective="availability")
    assert series in query(subject, objectives.MISSED, objective="availability")
    (why,) = (one for one in subject.plan.explanations if one.value == "objective availability")
    assert ("what no replica answers is not in it" in why.rule) == (series == "http_requests_total")


def test_the_gateways_series_are_the_claims_own() -> None:
    text = query(planned(AVAILABLE, **BY_GATEWAY), objectives.EVENTS)
    assert "httproute/llm/xplane-qwen-coder/rule/.*" in text
    assert "{name}" not in text


def test_no_failure_is_none_that_missed() -> None:
    """A counter of failures begins with the first one: without it nothing would be counted."""
    for spec in (BY_GATEWAY, {"gateway": {"enabled": False}}):
        subject = planned(AVAILABLE, **spec)
        every = query(subject, objectives.EVENTS)
        assert query(subject, objectives.MISSED).endswith(f" or {every} * 0")


# --- how fast


def test_the_paces_are_those_of_the_workbook() -> None:
    spent = [
        decimal.Decimal(pace.burn_rate) * pace.minutes / (30 * 24 * 60)
        for pace in (*objectives.FAST, *objectives.SLOW)
    ]
    assert spent == [decimal.Decimal(share) for share in ("0.02", "0.05", "0.1", "0.1")]


@pytest.mark.parametrize(
    ("window", "windows"),
    [
        ("30d", ["1h/5m", "6h/30m", "1d/2h", "3d/6h"]),
        ("28d", ["56m/5m", "336m/28m", "1344m/112m", "4032m/336m"]),
        # No window is shorter than the rates that it sums up.
        ("7d", ["14m/5m", "84m/7m", "336m/28m", "1008m/84m"]),
        ("90d", ["3h/15m", "18h/90m", "3d/6h", "9d/18h"]),
    ],
)
def test_windows_follow_the_days(window: str, windows: list[str]) -> None:
    days = int(window[:-1])
    paces = (*objectives.FAST, *objectives.SLOW)
    assert [f"{pace.window(days)}/{pace.recent(days)}" for pace in paces] == windows
    subject = planned({**ALL, "window": window})
    recorded = [
        rule["labels"]["window"]
        for rule in rendered.recorded(subject)
        if rule["record"] == objectives.BURN_RATE
    ]
    assert sorted(recorded) == sorted({one for pair in windows for one in pair.split("/")})
    assert f"[{window}]" in query(subject, objectives.BUDGET_LEFT)


def test_every_window_that_an_alert_reads_is_recorded() -> None:
    for days in (7, 14, 28, 30, 90):
        subject = planned({**ALL, "window": f"{days}d"})
        text = " ".join(rule["expr"] for rule in rendered.rules(subject))
        for pace in (*objectives.FAST, *objectives.SLOW):
            for window in (pace.window(days), pace.recent(days)):
                assert f'window="{window}"' in text
                query(subject, objectives.BURN_RATE, window=window)


# --- beside the claim's other rules


def alerts(subject: situations.Situation) -> set[str]:
    return {rule["alert"].removeprefix("InferenceService") for rule in rendered.rules(subject)}


REPLACED = {"TimeToFirstTokenHigh", "ErrorRatioHigh"}


def test_objectives_take_the_place_of_thresholds_that_nobody_named() -> None:
    assert not alerts(planned(ALL)) & REPLACED
    assert alerts(planned({"itl": ALL["itl"]})) >= REPLACED
    named: Any = {"alerts": {"errorRatio": "0.1", "timeToFirstTokenSeconds": "4"}}
    assert alerts(planned(ALL, observability=named)) >= REPLACED


def test_a_claim_without_objectives_has_one_group() -> None:
    manifest = rendered.manifest(rendered.plans()["xplane-qwen-coder/reference"])
    assert [group["name"] for group in manifest["spec"]["groups"]] == ["xplane-qwen-coder"]


def _own(name: str) -> Any:
    rules = [{"alert": "Mine", "expr": "vector(1) > 0"}]
    return {"alertingRules": {"groups": [{"name": name, "rules": rules}]}}


def test_own_groups_stand_beside_objectives() -> None:
    manifest = rendered.manifest(planned(ALL, observability=_own("own")))
    names = [group["name"] for group in manifest["spec"]["groups"]]
    assert names == ["own", "xplane-qwen-coder-slo"]


def test_an_own_group_has_another_name() -> None:
    with pytest.raises(base.InvalidError, match="name it otherwise"):
        planned(ALL, observability=_own("xplane-qwen-coder-slo"))


# --- what cannot be judged is said

EMBEDDING: Any = {"model": {"repository": "Qwen/Qwen3-Embedding-0.6B"}, **BY_GATEWAY}


@pytest.mark.parametrize(
    ("site", "spec", "words"),
    [
        (
            "reference",
            EMBEDDING,
            "spec.slo.itl: the model writes no tokens",
        ),
        (
            "reference",
            {"observability": {"metrics": {"interval": "2m"}}},
            "spec.observability.metrics.interval: objectives are judged by rates over five minutes",
        ),
    ],
)
def test_what_cannot_be_judged_is_said(site: str, spec: Any, words: str) -> None:
    subject = planned(ALL, site, **spec)
    assert any(why.rule.startswith(words) for why in subject.plan.explanations if why.surprising)


def test_a_claim_of_embeddings_is_judged_by_the_rest() -> None:
    subject = planned(ALL, **EMBEDDING)
    names = {rule["labels"].get("objective") for rule in rendered.recorded(subject)} - {None}
    assert names == {"ttft", "availability"}


def test_without_monitoring_nobody_judges_and_that_is_said() -> None:
    config = scene.site("reference", providers={"monitoring": "none"})
    subject = rendered.planned(rendered.changed(slo=ALL), config)
    assert any("no provider of monitoring" in why.rule for why in surprises(subject))


def test_objectives_reach_no_pod() -> None:
    """Nothing of them enters the pod template: pods that run notice no objective."""
    plain = scene.serving(rendered.changed())
    promised = scene.serving(rendered.changed(slo=ALL))
    assert plain.template == promised.template


# --- the scaling target that follows


def target(slo: Any, **spec: Any) -> str | None:
    plan = planned(slo, **spec).plan
    return plan.scaling.running_target(plan.running.max_requests)


def promised(seconds: str) -> Any:
    return {"itl": {"percentile": "99", "seconds": seconds}}


def test_a_replica_is_added_before_the_promise_is_missed() -> None:
    """At 16 requests the slowest believable engine keeps 0.1 s, and at 17 it does not."""
    subject = planned(promised("0.1"))
    plan, chat = subject.plan, loads.WORKLOADS["chat"]
    one = replica.judged(plan.serving.outlook, plan.hardware.split)
    assert one is not None
    within, beyond = (loads.load(one, chat, requests) for requests in (16, 17))
    assert within is not None
    assert within.between_tokens.high <= 100
    assert beyond is not None
    assert beyond.between_tokens.high > 100
    assert target(promised("0.1")) == "11.2"
    (why,) = (one for one in subject.plan.explanations if one.value == "running target")
    assert "the time between tokens of spec.slo is missed with more" in why.rule


@pytest.mark.parametrize(
    ("slo", "spec", "wanted"),
    [
        # 0.7 x 32 sequences: a full replica keeps it.
        (promised("0.5"), {}, "22.4"),
        (AVAILABLE, {}, "22.4"),
        # What the author names is meant.
        (promised("0.1"), {"scaling": {"runningRatioThreshold": "0.5"}}, "16"),
        (promised("0.1"), {"scaling": {"triggers": {"running": {"target": "30"}}}}, "30"),
        (promised("0.1"), {"scaling": {"triggers": {"running": {"enabled": False}}}}, None),
        # Nothing is known of the model.
        (promised("0.1"), {"model": {"repository": "org/new", "maxNumSeqs": 32}}, "22.4"),
    ],
)
def test_no_target_follows_from(slo: Any, spec: Any, wanted: str | None) -> None:
    assert target(slo, **spec) == wanted


def test_a_promise_that_one_request_misses_is_said() -> None:
    subject = planned(promised("0.05"))
    assert target(promised("0.05")) == "22.4"
    (why,) = (one for one in subject.plan.explanations if one.value == "objectives: scaling")
    assert why.surprising
    assert "a replica may miss itl 0.05 s with a single chat request" in why.rule
