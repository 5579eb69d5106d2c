"""How the pods are reached, who they are, and how many may be gone at once."""

import pytest

from tests import cluster
from tests.resources import scene

LABELS = {
    "app.kubernetes.io/name": "model",
    "app.kubernetes.io/instance": "model",
    "app.kubernetes.io/component": "inference",
    "app.kubernetes.io/part-of": "ai",
}
ROUTED = scene.of(gateway={"enabled": True})


def test_the_service_is_0_9_0s() -> None:
    spec = scene.serving().one("Service")["spec"]
    assert spec == {
        "type": "ClusterIP",
        "selector": LABELS,
        "ports": [{"name": "http", "port": 8000, "targetPort": "http", "protocol": "TCP"}],
    }


@pytest.mark.pitfall("a service account token is mounted for nothing")
def test_the_service_account_mounts_no_token() -> None:
    account = scene.serving().one("ServiceAccount")
    assert account["automountServiceAccountToken"] is False
    assert account["metadata"]["name"] == "model"


def test_the_headless_service_resolves_to_the_serving_pods() -> None:
    world = scene.serving(ROUTED)
    spec = world.one("Service", "-service-headless")["spec"]
    assert spec["clusterIP"] == "None"
    assert spec["selector"] == LABELS
    # A pod that is not ready must get no traffic.
    assert "publishNotReadyAddresses" not in spec
    assert spec["ports"] == world.one("Service", "-service")["spec"]["ports"]


def test_the_headless_service_is_not_scraped_a_second_time() -> None:
    """The scrape selects Services by their labels: two that match scrape each pod twice."""
    world = scene.serving(ROUTED)
    wanted = world.one("VMServiceScrape")["spec"]["selector"]["matchLabels"]
    selected = [
        key
        for key, item in world.objects.items()
        if item["kind"] == "Service" and wanted.items() <= item["metadata"]["labels"].items()
    ]
    assert selected == ["model-service"]


@pytest.mark.parametrize("name", cluster.EXAMPLES)
@pytest.mark.parametrize("profile", cluster.PROFILES)
def test_every_selector_matches_the_serving_pods_and_not_the_preload_pod(
    name: str, profile: str
) -> None:
    world = cluster.Cluster(cluster.example(name), cluster.environment(profile)).born()
    preload = world.one("Job")["spec"]["template"]["metadata"]["labels"]
    world.converge()
    serving = world.template["metadata"]["labels"]
    selectors = []
    for item in world.objects.values():
        selector = item.get("spec", {}).get("selector")
        if item["kind"] == "Service":
            selectors.append(selector)
        elif item["kind"] in ("Deployment", "PodDisruptionBudget"):
            selectors.append(selector["matchLabels"])
    assert len(selectors) >= 3
    for selector in selectors:
        assert selector.items() <= serving.items()
        assert not selector.items() <= preload.items()


@pytest.mark.decision(27)
def test_the_disruption_budget_never_blocks_a_drain_for_ever() -> None:
    spec = scene.serving().one("PodDisruptionBudget")["spec"]
    assert spec == {
        "maxUnavailable": 1,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": {"matchLabels": LABELS},
    }
