"""What an author adds that the API server would refuse for as long as the claim says so."""

from typing import Any

import pytest

from tests import cluster
from tests.resources import scene

SPREAD = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
GROUP = {"name": "own", "rules": [{"alert": "Slow", "expr": "vector(1)"}]}
OPEN = scene.site(permissions={"volumes": ["llm"], "patches": ["llm"]})
MORE: Any = {"name": "more", "emptyDir": {}}


@pytest.mark.parametrize(
    ("field", "added"),
    [
        ("volumes[0].name", {"volumes": [{"name": "models", "emptyDir": {}}]}),
        ("volumes[1].name", {"volumes": [MORE, {"name": "shm", "emptyDir": {}}]}),
        ("volumes[1].name", {"volumes": [MORE, MORE]}),
        ("volumeMounts[0].mountPath", {"volumeMounts": [{"name": "tmp", "mountPath": "/models/"}]}),
        ("volumeMounts[0].mountPath", {"volumeMounts": [{"name": "tmp", "mountPath": "/tmp/"}]}),
        (
            "volumeMounts[1].mountPath",
            {
                "volumes": [MORE],
                "volumeMounts": [
                    {"name": "more", "mountPath": "/a"},
                    {"name": "more", "mountPath": "/a"},
                ],
            },
        ),
        ("volumeMounts[0].name", {"volumeMounts": [{"name": "none", "mountPath": "/a"}]}),
    ],
)
def test_what_the_pod_has_already_is_refused(field: str, added: cluster.Object) -> None:
    assert f"spec.podTemplate.{field}: " in scene.refused(scene.of(podTemplate=added), OPEN)
    world = scene.serving(config=OPEN)
    world.edit(podTemplate=added).reconcile()
    assert world.fatal is not None
    assert "Deployment" in world.kinds_there()


@pytest.mark.parametrize(
    ("field", "spec", "words"),
    [
        (
            "podTemplate.topologySpreadConstraints[1].topologyKey",
            {"podTemplate": {"topologySpreadConstraints": [SPREAD, SPREAD]}},
            "an entry above has 'zone with DoNotSchedule' already",
        ),
        (
            "observability.alertingRules.groups[1].name",
            {"observability": {"alertingRules": {"groups": [GROUP, GROUP]}}},
            "a group above is named 'own' already",
        ),
    ],
)
def test_what_the_author_says_twice_is_refused(
    field: str, spec: cluster.Object, words: str
) -> None:
    assert f"spec.{field}: {words}" in scene.refused(scene.of(**spec), OPEN)


def test_what_cannot_be_remembered_is_refused() -> None:
    """The template is kept in an annotation, of which an object has at most 256 KiB."""
    # Just below the 256 KiB of a claim, which the pod's own content exceeds.
    env = [{"name": f"V{index}", "value": "v" * 4096} for index in range(31)]
    annotations = {f"example.com/a{index}": "v" * 4096 for index in range(32)}
    long = scene.of(podTemplate={"env": env, "annotations": annotations})
    site = scene.site(permissions={"environment": ["llm"]})
    assert "spec.podTemplate: " in scene.refused(long, site)


@pytest.mark.parametrize(
    "resource", ["nvidia.com/gpu", "nvidia.com/mig-1g.10gb", "example.com/gpu-of-a-class"]
)
@pytest.mark.parametrize("kind", ["requests", "limits"])
def test_gpus_beside_the_count_are_refused(kind: str, resource: str) -> None:
    """They would go around the settings' cap."""
    config = scene.site(gpu={"classes": {"l4": {"resourceName": "example.com/gpu"}}})
    claimed = scene.of(resources={kind: {resource: 8}})
    assert f"spec.resources.{kind}.{resource}: " in scene.refused(claimed, config)
