"""What an author adds that the API server would refuse for as long as the claim says so."""

from typing import Any

import pytest

from tests import cluster
from tests.resources import scene

OPEN = scene.site(permissions={"volumes": ["llm"]})
MORE: Any = {"name": "more", "emptyDir": {}}


@pytest.mark.parametrize(
    ("field", "added"),
    [
        ("volumes[0].name", {"volumes": [{"name": "models", "emptyDir": {}}]}),
        ("volumes[1].name", {"volumes": [MORE, MORE]}),
        ("volumeMounts[0].mountPath", {"volumeMounts": [{"name": "tmp", "mountPath": "/models/"}]}),
        ("volumeMounts[0].name", {"volumeMounts": [{"name": "none", "mountPath": "/a"}]}),
    ],
)
def test_what_the_pod_has_already_is_refused(field: str, added: cluster.Object) -> None:
    assert f"spec.podTemplate.{field}: " in scene.refused(scene.of(podTemplate=added), OPEN)


def test_what_cannot_be_remembered_is_refused() -> None:
    """The template is kept in an annotation, of which an object has at most 256 KiB."""
    env = [{"name": f"V{index}", "value": "v" * 4096} for index in range(32)]
    annotations = {f"example.com/a{index}": "v" * 4096 for index in range(32)}
    long = scene.of(podTemplate={"env": env, "annotations": annotations})
    assert "spec.podTemplate: " in scene.refused(long)


@pytest.mark.parametrize(
    "resource", ["nvidia.com/gpu", "nvidia.com/mig-1g.10gb", "example.com/gpu-of-a-class"]
)
@pytest.mark.parametrize("kind", ["requests", "limits"])
def test_gpus_beside_the_count_are_refused(kind: str, resource: str) -> None:
    """They would go around the settings' cap."""
    config = scene.site(gpu={"classes": {"l4": {"resourceName": "example.com/gpu"}}})
    claimed = scene.of(resources={kind: {resource: 8}})
    assert f"spec.resources.{kind}.{resource}: " in scene.refused(claimed, config)
