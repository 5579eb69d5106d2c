"""The scrape objects and the rule objects of both operators."""

import re
from typing import Any

import pytest

from tests import cluster
from tests.resources import scene

PICKED: Any = {"gateway": {"enabled": True, "endpointPicker": {"enabled": True}}}
BOTH = [
    ("reference", "VMServiceScrape", "VMRule"),
    ("plain", "ServiceMonitor", "PrometheusRule"),
]


@pytest.mark.parametrize(("profile", "scrape", "rule"), BOTH)
def test_one_flavour_of_objects_only(profile: str, scrape: str, rule: str) -> None:
    """Objects of both operators would scrape twice: VictoriaMetrics converts the others."""
    world = scene.serving(config=scene.site(profile))
    kinds = world.kinds_there()
    others = {"VMServiceScrape", "VMRule", "ServiceMonitor", "PrometheusRule"} - {scrape, rule}
    assert {scrape, rule} <= kinds
    assert not others & kinds
    groups = {
        "reference": "operator.victoriametrics.com/v1beta1",
        "plain": "monitoring.coreos.com/v1",
    }
    for kind in (scrape, rule):
        assert world.one(kind)["apiVersion"] == groups[profile]


@pytest.mark.pitfall("an alert never fires: nothing is scraped")
@pytest.mark.parametrize(("profile", "scrape", "rule"), BOTH)
def test_the_scrape_finds_the_service_and_its_port(profile: str, scrape: str, rule: str) -> None:
    world = scene.serving(config=scene.site(profile))
    spec = world.one(scrape)["spec"]
    service = world.one("Service")
    assert spec["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (endpoint,) = spec["endpoints"]
    assert endpoint == {
        "port": "http",
        "path": "/metrics",
        "interval": "30s",
        "scrapeTimeout": "10s",
    }
    assert endpoint["port"] == service["spec"]["ports"][0]["name"]


@pytest.mark.pitfall("an alert never fires: nothing is scraped")
@pytest.mark.parametrize(("profile", "scrape", "rule"), BOTH)
@pytest.mark.parametrize(
    ("interval", "timeout"), [("15s", "10s"), ("5s", "5s"), ("1m", "10s"), ("5500ms", "5500ms")]
)
def test_a_scrape_never_waits_longer_than_its_interval(
    profile: str, scrape: str, rule: str, interval: str, timeout: str
) -> None:
    """The Prometheus operator drops such a monitor without a word on the object."""
    claimed = scene.of(observability={"metrics": {"interval": interval}})
    (endpoint,) = scene.serving(claimed, scene.site(profile)).one(scrape)["spec"]["endpoints"]
    assert (endpoint["interval"], endpoint["scrapeTimeout"]) == (interval, timeout)


@pytest.mark.parametrize(("profile", "scrape", "rule"), BOTH)
def test_the_sites_labels_let_its_operators_select_them(
    profile: str, scrape: str, rule: str
) -> None:
    config = scene.site(profile, monitoring={"labels": {"release": "x"}})
    world = scene.serving(config=config)
    for kind in (scrape, rule):
        assert world.one(kind)["metadata"]["labels"]["release"] == "x"
    assert "release" not in world.one("Service")["metadata"]["labels"]


@pytest.mark.decision(10)
@pytest.mark.parametrize(("profile", "scrape", "rule"), BOTH)
def test_alerts_carry_the_sites_labels_and_runbook(profile: str, scrape: str, rule: str) -> None:
    config = scene.site(
        profile,
        monitoring={
            "alertLabels": {"team": "ml", "severity": "none"},
            "runbookBase": "https://runbooks.example.com/llm",
        },
    )
    (group,) = scene.serving(config=config).one(rule)["spec"]["groups"]
    assert len(group["rules"]) >= 10
    for alert in group["rules"]:
        labels = alert["labels"]
        assert labels["team"] == "ml"
        assert labels["severity"] in ("critical", "warning", "info")
        assert (labels["model"], labels["namespace"]) == ("model", "llm")
        url = alert["annotations"]["runbook_url"]
        assert url == f"https://runbooks.example.com/llm#{alert['alert'].lower()}"


@pytest.mark.parametrize(("profile", "scrape", "rule"), BOTH)
@pytest.mark.parametrize("groups", [[], [{"name": "mine", "rules": []}]])
def test_the_authors_groups_replace_ours_also_when_there_are_none(
    profile: str, scrape: str, rule: str, groups: list[cluster.Object]
) -> None:
    claimed = scene.of(observability={"alertingRules": {"groups": groups}})
    rendered_groups = scene.serving(claimed, scene.site(profile)).one(rule)["spec"]["groups"]
    assert rendered_groups == groups


@pytest.mark.parametrize(("profile", "scrape", "rule"), BOTH)
@pytest.mark.parametrize(
    ("raw", "labels"),
    [
        ([], {"severity": "info", "team": "ml", "model": "model", "namespace": "llm"}),
        (["llm"], {"severity": "info"}),
    ],
)
def test_an_alert_of_the_authors_names_its_own_claim_and_team(
    profile: str, scrape: str, rule: str, raw: list[str], labels: dict[str, str]
) -> None:
    """The rule's label wins over the one that `label_replace` gives the series."""
    lying = 'label_replace(vector(1), "namespace", "other", "", "")'
    alert = {"alert": "A", "expr": lying, "labels": {"severity": "info"}}
    groups = [{"name": "mine", "rules": [alert]}]
    claimed = scene.of(observability={"alertingRules": {"groups": groups}})
    monitoring = {"alertLabels": {"team": "ml"}}
    config = scene.site(profile, permissions={"rawRules": raw}, monitoring=monitoring)
    (group,) = scene.serving(claimed, config).one(rule)["spec"]["groups"]
    assert group["rules"] == [{**alert, "labels": labels}]


def test_absent_groups_leave_ours() -> None:
    claimed = scene.of(observability={"alertingRules": {}})
    assert scene.serving(claimed).one("VMRule")["spec"]["groups"][0]["name"] == "model"


@pytest.mark.pitfall("two claims of one name in two namespaces scale and alert together")
def test_every_expression_is_about_this_claim_alone() -> None:
    """Two claims of one name in two namespaces must not alert together."""
    (group,) = scene.serving(scene.of(**PICKED)).one("VMRule")["spec"]["groups"]
    for alert in group["rules"]:
        selectors = re.findall(r"\{[^}]*\}", alert["expr"])
        assert selectors, alert["alert"]
        for selector in selectors:
            assert 'namespace="llm"' in selector or re.fullmatch(r"\{[0-9,]+\}", selector), (
                alert["alert"],
                selector,
            )


@pytest.mark.pitfall("the picker is blind: the policy selected labels that it has not")
def test_the_picker_is_scraped_by_its_own_labels() -> None:
    world = scene.serving(scene.of(**PICKED))
    spec = world.one("VMServiceScrape", "-picker-vmservicescrape")["spec"]
    assert spec["selector"] == {"matchLabels": {"app.kubernetes.io/name": "model-epp"}}
    (endpoint,) = spec["endpoints"]
    assert endpoint == {
        "port": "http-metrics",
        "path": "/metrics",
        "interval": "30s",
        "scrapeTimeout": "10s",
    }
    names = [a["alert"] for g in world.one("VMRule")["spec"]["groups"] for a in g["rules"]]
    assert "InferenceServiceEndpointPickerMissing" in names


def test_the_picker_is_scraped_by_the_other_operator_too() -> None:
    config = scene.site(providers={"monitoring": "prometheus-operator"})
    world = scene.serving(scene.of(**PICKED), config)
    assert world.one("ServiceMonitor", "-picker-servicemonitor")


def test_without_a_provider_nothing_is_scraped() -> None:
    config = scene.site(providers={"monitoring": "none"})
    world = scene.serving(scene.of(**PICKED), config)
    assert not [k for k in world.kinds_there() if "Scrape" in k or "Rule" in k or "Monitor" in k]
    assert world.condition("ObservabilityReady") == ("True", "NotManaged")


@pytest.mark.parametrize("kind", ["ServiceMonitor", "PrometheusRule"])
def test_a_prometheus_that_refuses_an_object_is_said(kind: str) -> None:
    """The operator says so on the object where its gate for that is open, and is silent elsewhere.

    Of several that select the object one that refuses it counts.
    """
    world = scene.serving(config=scene.site("plain"))
    assert world.condition("ObservabilityReady") == ("True", "Ready")
    world.one(kind)["status"] = {"bindings": [_binding("a", "True"), _binding("b", "False")]}
    world.reconcile()
    assert world.condition("ObservabilityReady") == ("False", "NotReady")
    assert 'Prometheus monitoring/b: could not parse "sum(": unclosed' in world.message(
        "ObservabilityReady"
    )
    world.one(kind)["status"] = {"bindings": [_binding("a", "True"), _binding("b", "True")]}
    world.reconcile()
    assert world.condition("ObservabilityReady") == ("True", "Ready")


def _binding(name: str, accepted: str) -> dict[str, Any]:
    refusal = {"reason": "InvalidConfiguration", "message": 'could not parse "sum(": unclosed'}
    condition = {"type": "Accepted", "status": accepted, "observedGeneration": 1}
    return {
        "group": "monitoring.coreos.com",
        "resource": "prometheuses",
        "name": name,
        "namespace": "monitoring",
        "conditions": [condition | (refusal if accepted == "False" else {})],
    }
