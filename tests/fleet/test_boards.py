"""The dashboard of a front door: which claims it draws, and what of them."""

import json
from typing import Any

import pytest

from function.planning import hardware
from tests import cluster, documents
from tests.alerts import promql, sources
from tests.fleet import scene

SIDECAR: Any = {"providers": {"dashboards": "grafana-sidecar"}, "dashboards": {}}


def served(name: str, gpu: str, **more: Any) -> cluster.Object:
    member = scene.member(name, **more)
    member["status"]["gpu"] = gpu
    return member


MEMBERS = (
    served("coder", "2 x l40s"),
    served("large", "2 pods of 8 x l40s", published=False),
    {**scene.member("hidden"), "spec": {"model": {"repository": "org/hidden"}}},
)


def rested(*members: cluster.Object, settings: Any = SIDECAR, **spec: Any) -> cluster.Cluster:
    world = scene.world(scene.of(**spec), *members, settings=settings)
    world.converge()
    assert world.fatal is None, world.fatal
    return world


def queries(world: cluster.Cluster) -> dict[str, list[str]]:
    """Returns the queries of each panel."""
    (text,) = world.one("ConfigMap")["data"].values()
    assert len(text) < 100_000
    return {
        panel["title"]: [target["expr"] for target in panel["targets"]]
        for panel in json.loads(text)["panels"]
        if "targets" in panel
    }


CALLERS = [scene.caller("chat")]


def test_every_claim_that_asks_to_be_published_is_drawn() -> None:
    drawn = queries(rested(*MEMBERS, callers=CALLERS))
    assert {"Requests at the gateway", "Replicas by model", "GPUs by model"} <= set(drawn)
    for query in (*drawn["Requests at the gateway"], *drawn["Replicas by model"]):
        assert '=~"coder|large"' in query
    assert drawn["GPUs by model"] == [
        'sum by (job) (up{namespace="llm",job=~"coder"}) * 2',
        'sum by (job) (up{namespace="llm",job=~"large"}) * 16',
    ]
    assert not [title for title in drawn if "caller" in title]


def test_a_claim_that_comes_or_goes_changes_it() -> None:
    world = rested(*MEMBERS, callers=CALLERS)
    third = served("third", "1 x l40s")
    world.strangers = [*MEMBERS, third]
    world.converge()
    assert '"coder|large|third"' in queries(world)["Replicas by model"][0]
    world.strangers = [third]
    world.converge()
    assert 'job=~"third"' in queries(world)["Replicas by model"][0]
    world.strangers = []
    world.converge()
    assert "ConfigMap" not in world.kinds_there()


def test_callers_are_drawn_by_the_label_that_the_platform_adds() -> None:
    settings = {**SIDECAR, "dashboards": {"callerLabel": "inference_caller"}}
    drawn = queries(rested(*MEMBERS, settings=settings, callers=CALLERS))
    for title in ("Requests by caller", "Tokens by caller"):
        (query,) = drawn[title]
        assert query.startswith("sum by (inference_caller)")
    assert "Requests by caller" not in queries(rested(*MEMBERS, settings=settings))


def test_cost_is_at_the_settings_prices() -> None:
    settings = {**SIDECAR, "gpu": {"classes": {"l40s": {"pricePerHour": "1.25"}}}}
    drawn = queries(rested(*MEMBERS, settings=settings, callers=CALLERS))
    assert [query.rpartition(" * ")[2] for query in drawn["Cost an hour by model"]] == [
        "2.5",
        "20",
    ]


def test_every_query_reads_series_that_exist() -> None:
    settings = {**SIDECAR, "gpu": {"classes": {"l40s": {"pricePerHour": "1.25"}}}}
    known = sources.others()
    for texts in queries(rested(*MEMBERS, settings=settings, callers=CALLERS)).values():
        for text in texts:
            tree = promql.parse(text)
            assert not list(promql.unguarded(tree))
            assert not list(promql.mismatches(tree, promql.in_every_version))
            for selector in promql.selectors(tree):
                assert set(selector.matchers) <= known[selector.name].labels


def test_what_is_spent_is_drawn_by_caller_where_models_have_prices() -> None:
    settings = {**SIDECAR, "dashboards": {"callerLabel": "inference_caller"}}
    prices = [{"model": "coder", "input": "1"}]
    drawn = queries(rested(*MEMBERS, settings=settings, callers=CALLERS, prices=prices))
    for title in ("Spent an hour by caller", "Spent in 30 days by caller"):
        (query,) = drawn[title]
        assert query.startswith("sum by (caller) (")
        (selector,) = promql.selectors(promql.parse(query))
        assert set(selector.matchers) <= sources.others()[selector.name].labels
    assert "Spent an hour by model" in queries(rested(*MEMBERS, callers=CALLERS, prices=prices))


def test_sums_are_drawn_for_longer_than_they_are_fresh() -> None:
    """Every five minutes there is one, which is up to five minutes old, and then looked past."""
    prices = [{"model": "coder", "input": "1"}]
    drawn = queries(rested(*MEMBERS, callers=CALLERS, prices=prices))
    (query,) = drawn["Spent in 30 days by model"]
    assert query.startswith("sum by (model) (last_over_time(inference_gateway:cost:sum{")
    assert query.endswith("}[15m]))")


def test_what_claims_cost_is_drawn_by_the_team_that_pays() -> None:
    settings = {**SIDECAR, "gpu": {"classes": {"l40s": {"pricePerHour": "1.25"}}}}
    paid = documents.copied(MEMBERS[0])
    paid["spec"]["cost"] = {"team": "search"}
    drawn = queries(rested(paid, MEMBERS[1], settings=settings, callers=CALLERS))
    assert drawn["Cost an hour by team"] == [
        'sum by (team) (inference_service:cost:per_hour{namespace="llm",model=~"coder"})'
    ]
    assert "Cost an hour by team" not in queries(rested(*MEMBERS, settings=settings))


def test_a_missing_kind_is_what_it_waits_for() -> None:
    settings = {"providers": {"dashboards": "grafana-operator"}}
    world = scene.world(scene.of(callers=CALLERS), *MEMBERS, settings=settings)
    world.kinds = {"v1/Service": True, "grafana.integreatly.org/v1beta1/GrafanaDashboard": False}
    world.converge()
    assert "GrafanaDashboard" not in world.kinds_there()
    assert "Gateway" in world.kinds_there()
    assert "providers.dashboards" in world.claim["status"]["waitingFor"]


def test_a_claim_of_the_same_name_has_another_object() -> None:
    assert rested(*MEMBERS, callers=CALLERS).one("ConfigMap")["metadata"]["name"] == (
        "llm.door-dashboard"
    )


@pytest.mark.parametrize(("gpus", "pods"), [(1, 1), (8, 1), (16, 2)])
def test_the_gpus_of_a_status_are_read_back(gpus: int, pods: int) -> None:
    assert hardware.counted(hardware.words(gpus, "l40s", pods)) == hardware.Cards(gpus, "l40s")


@pytest.mark.parametrize("text", [None, "", "l40s", "x x l40s", "1 x l40s, or more"])
def test_another_text_counts_nothing(text: str | None) -> None:
    assert hardware.counted(text) is None
