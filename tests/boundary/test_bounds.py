"""What authors may name: patterns of the settings, and what stays possible when they are short."""

import copy
from typing import Any

import pytest

from tests import cluster
from tests.resources import scene

CLOSED = cluster.load("examples/settings/closed.yaml")
NODES: Any = "requiredDuringSchedulingIgnoredDuringExecution"
OWN = {"app.kubernetes.io/instance": "model"}
ZONE = {"topologyKey": "zone"}


@pytest.mark.parametrize(
    "spec",
    [
        {"access": {"from": [{"namespace": "llm"}, {"podLabels": {"app": "a"}}]}},
        {"route": {"enabled": True, "hostname": "chat-model"}},
        # A route that is off publishes nothing.
        {"route": {"enabled": False, "hostname": "grafana"}},
        {"networkPolicies": {"ingress": [], "egress": []}},
        {"networkPolicies": {"egress": [{}]}},
        {
            "observability": {
                "alertingRules": {
                    "groups": [
                        {
                            "name": "own",
                            "interval": "1m",
                            "rules": [
                                {
                                    "alert": "Own",
                                    "expr": "vector(1)",
                                    "for": "5m",
                                    "keep_firing_for": "1h",
                                    "labels": {"severity": "info"},
                                    "annotations": {"summary": "it is one"},
                                }
                            ],
                        }
                    ]
                }
            }
        },
        {"podTemplate": {"labels": {"team": "a"}, "annotations": {"reviewed": "true"}}},
        {"podTemplate": {"nodeSelector": {"topology.kubernetes.io/zone": "a"}}},
        # The class's own taint, and how long a pod stays on a node that is lost.
        {
            "podTemplate": {
                "tolerations": [
                    {
                        "key": "node.kubernetes.io/unreachable",
                        "operator": "Exists",
                        "effect": "NoExecute",
                        "tolerationSeconds": 30,
                    }
                ]
            }
        },
        {
            "podTemplate": {
                "affinity": {
                    "podAntiAffinity": {
                        NODES: [
                            {
                                "topologyKey": "zone",
                                "namespaces": ["llm"],
                                "labelSelector": {"matchLabels": OWN},
                            }
                        ]
                    }
                }
            }
        },
        {"resources": {"requests": {"ephemeral-storage": "1Gi"}}},
        {"resources": {"limits": {"hugepages-2Mi": "4Mi"}}},
        {"gpu": {"resourceName": "nvidia.com/mig-1g.10gb"}},
        {"gpu": {"count": 2}, "scaling": {"maxReplicas": 4}},
    ],
)
def test_what_is_ones_own_needs_no_setting(spec: cluster.Object) -> None:
    assert cluster.Cluster(scene.of(**spec), CLOSED).reconcile().fatal is None


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"resources": {"limits": {"example.com/fpga": "500m"}}}, "limits.example.com/fpga"),
        (
            {"resources": {"requests": {"example.com/f": 1}, "limits": {"example.com/f": 2}}},
            "limits.example.com/f",
        ),
        ({"resources": {"requests": {"hugepages-2Mi": "4Mi"}}}, "requests.hugepages-2Mi"),
    ],
)
def test_devices_and_huge_pages_have_one_whole_amount(spec: cluster.Object, field: str) -> None:
    """The API server refuses others, after other objects of the claim were written."""
    assert f"spec.resources.{field}: " in scene.refused(scene.of(**spec))


def test_every_accelerator_of_a_pod_counts() -> None:
    config = scene.site(limits={"maxGPUs": 8})
    beside = {"limits": {"example.com/gpu-of-mine": 2}}
    spec: Any = {"resources": beside, "scaling": {"maxReplicas": 3}}
    words = scene.refused(scene.of(**spec), config)
    assert "spec.scaling.maxReplicas: 3 replicas of 3 GPUs are above" in words


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"gpu": {"count": 4}, "scaling": {"maxReplicas": 1}}, "spec.scaling.maxReplicas"),
        ({"gpu": {"count": 4}}, "spec.gpu.count"),
        ({"scaling": {"minReplicas": 3}}, "spec.scaling.minReplicas"),
    ],
)
def test_a_cap_names_what_the_author_wrote(spec: cluster.Object, field: str) -> None:
    refused = scene.refused(scene.of(**spec), scene.site(limits={"maxGPUs": 2}))
    assert f"{field}: " in refused


def test_a_claim_has_at_most_64_gpus_unless_the_settings_say_otherwise() -> None:
    spec: Any = {"scaling": {"maxReplicas": 65}}
    plain = scene.site("plain")
    assert "limits.maxGPUs of 64" in scene.refused(scene.of(**spec), plain)
    assert scene.planned(scene.of(scaling={"maxReplicas": 64}), plain)
    assert scene.planned(scene.of(**spec), scene.site("plain", limits={"maxGPUs": None}))


def test_a_toleration_of_the_settings_may_have_any_key() -> None:
    """Settings are the platform's, and a pod template with a wrong one is refused in words."""
    claim = cluster.example("smallest")
    claim["spec"]["podTemplate"] = {"tolerations": [{"key": "a", "operator": "Exists"}]}
    site = cluster.environment("reference")
    classes = site["data"]["inferenceService"]["gpu"]["classes"]
    for gpu in classes.values():
        gpu["tolerations"] = [{"key": {}}]
    assert cluster.Cluster(claim, site).reconcile().fatal


def test_a_label_by_which_the_settings_tell_pods_is_nobodys() -> None:
    config = scene.site(network={"callers": [{"podLabels": {"team": "search"}}]})
    words = scene.refused(scene.of(podTemplate={"labels": {"team": "other"}}), config)
    assert "spec.podTemplate.labels.team: policies and Services select pods by this label" in words


@pytest.mark.parametrize(
    ("patch", "field"),
    [
        ({"priorityClassName": "system-node-critical"}, "priorityClassName"),
        ({"affinity": {"podAffinity": True}}, "affinity.podAffinity"),
        ({"tolerations": {"key": "a"}}, "tolerations"),
        ({"nodeSelector": {"a": 1}}, "nodeSelector.a"),
    ],
)
def test_a_patch_leaves_a_pod_that_kubernetes_takes(patch: cluster.Object, field: str) -> None:
    config = scene.site(permissions={"patches": ["*"]})
    spec = {"patches": {"deployment": {"spec": {"template": {"spec": patch}}}}}
    path = f"spec.patches.deployment.spec.template.spec.{field}: "
    world = scene.serving(config=config)
    world.edit(**spec).reconcile()
    assert world.fatal is not None
    assert path in world.fatal
    assert "Deployment" in world.kinds_there()


@pytest.mark.parametrize(
    "spec",
    [
        {"networkPolicies": {"ingress": [{"fromEntities": ["cluster"]}]}},
        {"observability": {"alertingRules": {"groups": [{"name": "a", "rules": [
            {"record": "a:b", "expr": "vector(1)"}]}]}}},
        {"resources": {"limits": {"example.com/fpga": 1}}},
        {"route": {"enabled": True, "hostname": "www"}},
    ],
)  # fmt: skip
def test_a_stored_claim_keeps_what_runs(spec: cluster.Object) -> None:
    """As a claim of 0.9.0 that was stored before the bound: nothing of it is touched."""
    closed = copy.deepcopy(CLOSED)
    data = closed["data"]["inferenceService"]
    data["providers"] = scene.site()["data"]["inferenceService"]["providers"]
    world = scene.serving()
    before = copy.deepcopy(world.objects)
    world.edit(**spec)
    world.environments = [closed]
    world.reconcile()
    assert world.condition("Valid") == ("False", "Invalid")
    assert world.objects == before
