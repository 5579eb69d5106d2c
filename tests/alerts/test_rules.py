"""The alerting rules: which alerts exist, their text, and the fields that change them."""

import copy
import re
from typing import Any

import pytest

from function.api import claim_metrics
from function.situation import situations
from tests import cases
from tests.alerts import promql, rendered

every_claim = cases.together("planned", lambda: rendered.plans().items())

# Each alert, and the situation in which it fires. A new alert needs its line here.
SITUATIONS = {
    "InferenceServiceNoReadyReplica": "the only pod crash-loops, replicas are wanted",
    "InferenceServiceScrapeMissing": "a network policy cut the scraper off; pods serve",
    "InferenceServiceColdStartOverBudget": "a node was found, the weights read too slowly",
    "InferenceServiceErrorRatioHigh": "one answer in ten is a 500",
    "InferenceServiceTimeToFirstTokenHigh": "callers wait half a minute for the first token",
    "InferenceServiceRequestsRefused": "a batch job sends more texts than replicas hold",
    "InferenceServiceQueueSustained": "at maxReplicas, and more callers than they hold",
    "InferenceServiceKVCacheSaturated": "few callers with very long conversations",
    "InferenceServiceRaiseMaxNumSeqs": "requests wait while the cache is four fifths empty",
    "InferenceServiceReplicasUnbalanced": "one client keeps one connection to one pod",
    "InferenceServicePreemptions": "sequences grow until the cache has to drop some",
    "InferenceServiceEngineStalled": "the GPU hangs: requests run, no token comes",
    "InferenceServiceWeightsNotReady": "the hub answers 403, or a download takes hours",
    "InferenceServiceCanaryRolledBack": "a step of a canary breaks",
    "InferenceServiceEndpointPickerMissing": "the picker was evicted and cannot be scheduled",
    "InferenceServiceEndpointPickerBlind": "a policy cut the picker off from the pods' metrics",
    "InferenceServiceBudgetBurnsFast": "three in four first tokens come late, for an hour",
    "InferenceServiceBudgetBurnsSlowly": "a few more first tokens than promised come late",
    "InferenceServiceObjectiveUnmeasured": "an engine of another version has other histograms",
}
OF_OBJECTIVES = {
    "InferenceServiceBudgetBurnsFast",
    "InferenceServiceBudgetBurnsSlowly",
    "InferenceServiceObjectiveUnmeasured",
}
# What objectives take the place of.
THRESHOLDS_OF_OBJECTIVES = {
    "ttft": "InferenceServiceTimeToFirstTokenHigh",
    "availability": "InferenceServiceErrorRatioHigh",
}
# Of text-embeddings-inference in the place of vLLM's own.
OF_TEI = {"InferenceServiceRequestsRefused", "InferenceServiceEngineStalled"}
OF_TOKENS_AND_CACHE = {
    "InferenceServiceTimeToFirstTokenHigh",
    "InferenceServiceKVCacheSaturated",
    "InferenceServiceRaiseMaxNumSeqs",
    "InferenceServicePreemptions",
}
ALWAYS = set(SITUATIONS) - {
    "InferenceServiceRequestsRefused",
    *OF_OBJECTIVES,
    "InferenceServiceEngineStalled",
    "InferenceServiceWeightsNotReady",
    "InferenceServiceCanaryRolledBack",
    "InferenceServiceEndpointPickerMissing",
    "InferenceServiceEndpointPickerBlind",
}


def names(planned: situations.Situation) -> list[str]:
    return [rule["alert"] for rule in rendered.rules(planned)]


def plan(variant: str, site: str = "reference") -> situations.Situation:
    return rendered.plans()[f"{variant}/{site}"]


@pytest.mark.pitfall("a failure of all requests shows as none")
@pytest.mark.pitfall("an alert never fires: nothing is scraped")
@pytest.mark.decision(21)
def test_every_alert_has_a_situation_and_every_situation_an_alert() -> None:
    assert {name for planned in rendered.plans().values() for name in names(planned)} == set(
        SITUATIONS
    )


@every_claim
def test_which_alerts_a_claim_has(planned: situations.Situation) -> None:
    wanted = set(ALWAYS)
    if planned.plan.engine.NAME == "tei":
        wanted = (wanted - OF_TOKENS_AND_CACHE) | OF_TEI
    if planned.plan.running.generates:
        wanted.add("InferenceServiceEngineStalled")
    if planned.plan.storage.preloads:
        wanted.add("InferenceServiceWeightsNotReady")
    if planned.plan.gates:
        wanted.add("InferenceServiceCanaryRolledBack")
    if planned.traffic.picker:
        wanted.add("InferenceServiceEndpointPickerMissing")
        wanted.add("InferenceServiceEndpointPickerBlind")
    if planned.plan.objectives.each:
        wanted |= OF_OBJECTIVES
    for one in planned.plan.objectives.each:
        wanted.discard(THRESHOLDS_OF_OBJECTIVES.get(one.name, ""))
    assert set(names(planned)) == wanted


def test_claims_differ_in_them() -> None:
    """Some claims of the test above meet each of its conditions, and others do not."""
    assert not plan("pooling").plan.running.generates
    assert not plan("volume").plan.storage.preloads
    assert plan("gated").plan.gates
    assert not plan("gated", "plain").plan.gates, "no AI gateway"
    assert plan("picker").traffic.picker
    assert not plan("picker", "plain").traffic.picker


@every_claim
def test_names_are_unique(planned: situations.Situation) -> None:
    assert len(names(planned)) == len(set(names(planned)))


@every_claim
def test_every_rule_says_what_and_how_bad_and_what_to_do(planned: situations.Situation) -> None:
    for rule in rendered.rules(planned):
        assert re.fullmatch(r"[1-9][0-9]*m", rule["for"])
        labels, annotations = rule["labels"], rule["annotations"]
        assert labels["severity"] in ("critical", "warning", "info")
        assert (labels["model"], labels["namespace"]) == (
            planned.plan.identity.name,
            planned.plan.identity.namespace,
        )
        assert planned.plan.identity.name in annotations["summary"]
        assert len(annotations["summary"]) <= 120
        assert annotations["description"].endswith(".")
        base, anchor = annotations["runbook_url"].split("#")
        assert base.startswith("https://")
        assert anchor == rule["alert"].lower()


def test_every_runbook_link_has_its_heading() -> None:
    """The anchor of a heading is its text in lower case."""
    text = (rendered.ROOT / "docs/operations.md").read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (InferenceService\w+)$", text, re.MULTILINE)
    assert sorted(headings) == sorted(SITUATIONS)


@pytest.mark.pitfall("the error alert fires on aborts, and divides nothing by nothing")
@every_claim
def test_an_alert_is_a_condition(planned: situations.Situation) -> None:
    """An expression that is not compared with anything would always fire."""
    for rule in rendered.rules(planned):
        comparisons = [
            str(binary.op)
            for binary in promql.binaries(promql.parse(rule["expr"]))
            if str(binary.op) in (">", "<", ">=", "<=", "==", "!=")
        ]
        assert comparisons, rule["alert"]
        tree = promql.bare(promql.parse(rule["expr"]))
        assert str(tree.op) in (*promql.SET_OPERATORS, ">", "<", "=="), rule["alert"]


@pytest.mark.parametrize(("site", "kind"), [("reference", "VMRule"), ("plain", "PrometheusRule")])
def test_the_object_is_the_operators_own(site: str, kind: str) -> None:
    manifest = rendered.manifest(plan("xplane-qwen-coder", site))
    assert manifest["kind"] == kind
    groups = [group["name"] for group in manifest["spec"]["groups"]]
    assert len(groups) == len(set(groups)) == 1


@pytest.mark.parametrize("subject", rendered.CLAIMS.values(), ids=rendered.CLAIMS)
def test_both_operators_get_the_same_groups(subject: rendered.Manifest) -> None:
    specs = {}
    for provider in ("victoriametrics", "prometheus-operator"):
        config = copy.deepcopy(rendered.ENVIRONMENTS["reference"])
        config["data"]["inferenceService"]["providers"]["monitoring"] = provider
        manifest = rendered.manifest(rendered.planned(subject, config))
        specs[manifest["kind"]] = manifest["spec"]
    assert specs["VMRule"] == specs["PrometheusRule"]


def test_a_sites_alert_labels_are_on_every_rule() -> None:
    for rule in rendered.rules(plan("xplane-qwen-coder", "plain")):
        assert rule["labels"]["team"] == "ml-platform"


def test_own_groups_replace_the_defaults() -> None:
    groups = [{"name": "own", "rules": [{"alert": "Mine", "expr": "vector(1) > 0", "for": "5m"}]}]
    subject = rendered.changed(observability={"alertingRules": {"groups": groups}})
    for config in rendered.ENVIRONMENTS.values():
        manifest = rendered.manifest(rendered.planned(subject, config))
        (group,) = manifest["spec"]["groups"]
        (rule,) = group["rules"]
        labels = rule.pop("labels")
        assert labels["namespace"] == "llm"
        assert group == groups[0]


def test_no_own_groups_are_the_defaults() -> None:
    subject = rendered.changed(observability={"alertingRules": {}})
    planned = rendered.planned(subject, rendered.ENVIRONMENTS["reference"])
    assert names(planned) == names(plan("xplane-qwen-coder"))


def expression(planned: situations.Situation, alert: str) -> str:
    (text,) = (rule["expr"] for rule in rendered.rules(planned) if rule["alert"] == alert)
    return str(text)


# Field of observability.alerts, a value, the alert that it moves, and the default.
THRESHOLDS = (
    ("errorRatio", "0.123", "InferenceServiceErrorRatioHigh", "0.05"),
    ("timeToFirstTokenSeconds", "33.5", "InferenceServiceTimeToFirstTokenHigh", "10"),
    ("queueLength", 77, "InferenceServiceQueueSustained", "8"),
    ("kvCacheUsage", "0.71", "InferenceServiceKVCacheSaturated", "0.95"),
    ("preemptionsPerMinute", "17", "InferenceServicePreemptions", "6"),
)


@pytest.mark.parametrize(("field", "value", "alert", "default"), THRESHOLDS)
def test_a_threshold_moves_its_alert_and_no_other(
    field: str, value: Any, alert: str, default: str
) -> None:
    before = plan("xplane-qwen-coder")
    subject = rendered.changed(observability={"alerts": {field: value}})
    after = rendered.planned(subject, rendered.ENVIRONMENTS["reference"])
    assert expression(before, alert).endswith(f"> {default}")
    assert expression(after, alert).endswith(f"> {value}")
    differ = [
        one["alert"]
        for one, other in zip(rendered.rules(before), rendered.rules(after), strict=True)
        if one != other
    ]
    assert differ == [alert]


def test_every_threshold_of_the_api_is_tried() -> None:
    fields = {str(field.alias) for field in claim_metrics.Alerts.model_fields.values()}
    assert fields == {field for field, *_ in THRESHOLDS}


def test_the_queue_alert_follows_the_queue_trigger() -> None:
    alert = "InferenceServiceQueueSustained"
    assert expression(plan("triggers"), alert).endswith("> 3")
    off = rendered.changed(scaling={"triggers": {"queue": {"enabled": False}}})
    planned = rendered.planned(off, rendered.ENVIRONMENTS["reference"])
    assert expression(planned, alert).endswith("> 8")


@pytest.mark.pitfall("the cold-start alert measures the time to the first token")
def test_the_cold_start_alert_follows_the_start_budget() -> None:
    subject = rendered.changed(healthProbes={"startup": {"failureThreshold": 300}})
    planned = rendered.planned(subject, rendered.ENVIRONMENTS["reference"])
    text = expression(planned, "InferenceServiceColdStartOverBudget")
    assert "> 3000 and" in text
    assert "[3000s]" in text, "an engine that restarts has the same budget again"
