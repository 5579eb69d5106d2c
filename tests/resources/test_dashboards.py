"""The dashboard of a claim: its object, its panels, and what it follows."""

import json
from typing import Any

import pytest

from function.concerns.dashboards import grafana
from function.engines import engine
from function.situation import situations
from tests import cases, cluster
from tests.alerts import rendered
from tests.resources import scene

SIDECAR: Any = {"providers": {"dashboards": "grafana-sidecar"}}
OPERATOR: Any = {"providers": {"dashboards": "grafana-operator"}}
PICKED: Any = {"gateway": {"enabled": True, "endpointPicker": {"enabled": True}}}


def board(world: cluster.Cluster) -> dict[str, Any]:
    """Returns the dashboard of a claim in a ConfigMap."""
    (text,) = world.one("ConfigMap")["data"].values()
    result = json.loads(text)
    assert isinstance(result, dict)
    return result


def titles(world: cluster.Cluster) -> set[str]:
    return {panel["title"] for panel in board(world)["panels"] if panel["type"] != "row"}


def targets(world: cluster.Cluster, title: str) -> list[str]:
    (panel,) = (one for one in board(world)["panels"] if one["title"] == title and one["id"] > 0)
    return [target["expr"] for target in panel["targets"]]


def line(world: cluster.Cluster, title: str) -> float | None:
    """Returns the value above which a panel is bad."""
    (panel,) = (one for one in board(world)["panels"] if one["title"] == title)
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    return None if len(steps) == 1 else float(steps[1]["value"])


# --- the object


@pytest.mark.parametrize("profile", ["reference", "plain"])
def test_without_a_provider_there_is_none(profile: str) -> None:
    kinds = scene.serving(config=scene.site(profile)).kinds_there()
    assert not {"ConfigMap", "GrafanaDashboard"} & kinds


def test_the_sidecar_finds_a_labelled_config_map() -> None:
    site = scene.site(
        **SIDECAR, dashboards={"label": "x/dash", "labelValue": "yes", "folder": "Models"}
    )
    dashboard = scene.serving(config=site).one("ConfigMap")
    assert dashboard["metadata"]["name"] == "model.dashboard"
    assert dashboard["metadata"]["labels"]["x/dash"] == "yes"
    assert dashboard["metadata"]["annotations"]["grafana_folder"] == "Models"
    (name,) = dashboard["data"]
    assert name == "llm.model.inference.json"


def test_without_a_folder_there_is_no_annotation() -> None:
    dashboard = scene.serving(config=scene.site(**SIDECAR)).one("ConfigMap")
    assert "grafana_folder" not in dashboard["metadata"].get("annotations", {})


def test_grafana_operator_gets_its_kind() -> None:
    site = scene.site(
        **OPERATOR, dashboards={"instanceLabels": {"which": "main"}, "folder": "Models"}
    )
    world = scene.serving(config=site)
    dashboard = world.one("GrafanaDashboard")
    assert dashboard["spec"]["instanceSelector"] == {"matchLabels": {"which": "main"}}
    assert dashboard["spec"]["allowCrossNamespaceImport"] is True
    assert dashboard["spec"]["folder"] == "Models"
    assert json.loads(dashboard["spec"]["json"])["panels"]
    assert world.condition("ObservabilityReady") == ("True", "Ready")


def test_another_selector_is_another_object() -> None:
    """Its selector is immutable: the object that has another would be refused for ever."""
    keys = []
    for which in ("a", "b"):
        site = scene.site(**OPERATOR, dashboards={"instanceLabels": {"which": which}})
        dashboard = scene.serving(config=site).one("GrafanaDashboard")
        keys.append(dashboard["metadata"]["name"])
    assert len(set(keys)) == 2


@pytest.mark.parametrize(
    ("conditions", "words"),
    [
        ([], "DashboardSynchronized"),
        ([("NoMatchingInstance", "True", "none matches")], "none matches"),
        ([("InvalidSpec", "True", "no JSON")], "no JSON"),
        ([("DashboardSynchronized", "False", "refused")], "refused"),
    ],
)
def test_a_grafana_that_has_it_not_is_said(
    conditions: list[tuple[str, str, str]], words: str
) -> None:
    world = scene.serving(config=scene.site(**OPERATOR))
    world.one("GrafanaDashboard")["status"] = {
        "conditions": [
            {"type": kind, "status": status, "reason": "Reason", "message": message}
            for kind, status, message in conditions
        ]
    }
    world.reconcile()
    assert world.condition("ObservabilityReady") == ("False", "NotReady")
    assert words in world.message("ObservabilityReady")


def test_a_kind_that_is_missing_is_said_with_its_setting() -> None:
    world = cluster.Cluster(scene.of(), scene.site(**OPERATOR))
    world.kinds = {"v1/Service": True, "grafana.integreatly.org/v1beta1/GrafanaDashboard": False}
    world.born().converge()
    assert world.condition("ObservabilityReady") == ("False", "KindMissing")
    assert "providers.dashboards" in world.message("ObservabilityReady")


def test_it_is_judged_without_alerts_too() -> None:
    site = scene.site(providers={"dashboards": "grafana-sidecar", "monitoring": "none"})
    world = scene.serving(config=site)
    assert world.condition("ObservabilityReady") == ("True", "NotManaged")
    assert [panel["links"] for panel in board(world)["panels"] if panel.get("links")] == []


def test_a_claim_that_is_refused_keeps_it() -> None:
    world = scene.serving(config=scene.site(**SIDECAR))
    before = board(world)
    world.edit(engineArgs=["--port=1"]).reconcile()
    assert world.fatal is not None
    assert board(world) == before


# --- its panels

every_claim = cases.together("planned", lambda: rendered.plans().items())


@every_claim
def test_every_panel_says_what_it_is(planned: situations.Situation) -> None:
    panels = rendered.panels(planned)
    assert len({panel.title for panel in panels}) == len(panels) >= 12
    for panel in panels:
        assert panel.unit
        assert len(panel.description) > 60, panel.title
        assert panel.description.endswith(".")
        assert panel.queries
        assert all(query.legend for query in panel.queries)
        assert panel.bad is None or float(panel.bad) > 0


@every_claim
def test_a_dashboard_is_small_and_its_panels_lie_side_by_side(
    planned: situations.Situation,
) -> None:
    made = grafana.Board(planned.plan.identity, "K", "t", "d", "https://example.com")
    text = grafana.text(made, rendered.panels(planned))
    assert len(text.encode()) < 100_000
    assert "${" not in text
    assert len(made.uid) <= 40
    places = [panel["gridPos"] for panel in json.loads(text)["panels"]]
    cells = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) == 23


def test_two_panels_of_one_title_are_refused() -> None:
    panel = engine.Panel(engine.Row.REQUESTS, "a", "s", "b", (engine.Query("up", "c"),))
    made = grafana.Board(
        rendered.plans()["smallest/plain"].plan.identity, "K", "t", "d", "https://example.com"
    )
    with pytest.raises(ValueError, match="one title"):
        grafana.text(made, [panel, panel])


ALWAYS = {"Requests running", "Error rate", "Whole request", "KV cache use", "Replicas"}
WRITES = {"Time to first token", "Time between tokens"}
GATEWAY = {"Requests at the gateway", "Tokens at the gateway"}
PICKER = {"Pods that the picker knows", "Picks"}
PROMISED = {"Error budget left", "Burn rate"}


@pytest.mark.parametrize(
    ("spec", "there", "absent"),
    [
        ({}, WRITES | {"Download of weights"}, GATEWAY | PICKER | PROMISED | {"Adapters in use"}),
        (
            {"model": {"repository": "Qwen/Qwen3-Embedding-0.6B", "runner": "pooling"}},
            set(),
            WRITES,
        ),
        (
            {"model": {"source": "pvc", "path": "models/qwen"}},
            WRITES,
            {"Download of weights"},
        ),
        (PICKED, GATEWAY | PICKER, {"Requests that the picker holds"}),
        ({"slo": {"availability": {"percent": "99"}}}, PROMISED, GATEWAY),
    ],
)
def test_what_a_claim_has_not_is_not_drawn(spec: Any, there: set[str], absent: set[str]) -> None:
    drawn = titles(scene.serving(scene.of(**spec), scene.site(**SIDECAR)))
    assert drawn >= ALWAYS | there
    assert not drawn & absent


def test_lines_are_the_targets_and_thresholds_of_the_claim() -> None:
    world = scene.serving(
        scene.of(
            scaling={"triggers": {"running": {"target": "12.5"}, "queue": {"target": "3"}}},
            observability={"alerts": {"errorRatio": "0.01"}},
        ),
        scene.site(**SIDECAR),
    )
    assert line(world, "Requests running") == 12.5
    assert line(world, "Requests waiting") == 3
    assert line(world, "Error rate") == 0.01
    assert line(world, "KV cache use") == 0.6


def test_panels_follow_the_pods_that_run() -> None:
    """An edit that is held changes neither the line nor the adapters."""
    subject = scene.of(loraAdapters=[{"name": "a", "repository": "org/a"}], model={"maxNumSeqs": 8})
    world = scene.serving(subject, scene.site(**SIDECAR))
    before = line(world, "Requests running")
    assert "Adapters in use" in titles(world)
    world.edit(model={"maxNumSeqs": 80, "repository": "org/other"}, loraAdapters=[]).reconcile()
    assert line(world, "Requests running") == before
    assert "Adapters in use" in titles(world)
    world.converge()
    assert line(world, "Requests running") != before
    assert "Adapters in use" not in titles(world)


def test_cost_is_that_of_the_gpus_at_the_settings_price() -> None:
    site = scene.site(**SIDECAR, gpu={"classes": {"l40s": {"pricePerHour": "1.50"}}})
    site["data"]["inferenceService"]["gpu"]["defaultClass"] = "l40s"
    world = scene.serving(scene.of(gpu={"count": 2}), site)
    (query,) = targets(world, "Cost an hour")
    assert query.endswith(" * 3")


def test_a_panel_links_to_the_runbooks_of_alerts_that_exist() -> None:
    links = {
        link["title"]: link["url"]
        for panel in board(scene.serving(config=scene.site(**SIDECAR)))["panels"]
        for link in panel.get("links", ())
    }
    assert links["InferenceServiceErrorRatioHigh"].endswith("#inferenceserviceerrorratiohigh")
    own = scene.of(
        observability={
            "alertingRules": {"groups": [{"name": "a", "rules": [{"alert": "Mine", "expr": "up"}]}]}
        }
    )
    world = scene.serving(own, scene.site(**SIDECAR))
    assert not [panel for panel in board(world)["panels"] if panel.get("links")]


def test_adapters_are_named_as_they_are_at_the_gateway() -> None:
    """A name is no pattern: a dot in it matches a dot."""
    subject = scene.of(
        gateway={"enabled": True}, loraAdapters=[{"name": "sql.v1", "repository": "org/a"}]
    )
    (query,) = targets(
        scene.serving(subject, scene.site(**SIDECAR)), "Whole request at the gateway, p95"
    )
    assert 'gen_ai_original_model=~"model|sql[.]v1"' in query
