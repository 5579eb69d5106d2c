"""Volumes and mounts of an engine's pods, and where it compiles to."""

from typing import Any

import pytest

from tests import cluster
from tests.resources import deployed, scene


@pytest.mark.pitfall("weights are copied for each pod: slow starts, full nodes")
def test_weights_are_mounted_read_only() -> None:
    mounts = {mount["mountPath"]: mount for mount in deployed.engine()["volumeMounts"]}
    assert mounts["/models"] == {
        "name": "models",
        "mountPath": "/models",
        "subPath": "model",
        "readOnly": True,
    }
    assert set(mounts) == {"/models", "/cache", "/tmp", "/dev/shm"}
    volumes = {volume["name"]: volume for volume in deployed.pod()["volumes"]}
    assert volumes["models"]["persistentVolumeClaim"] == {"claimName": "model-weights"}


@pytest.mark.pitfall("the engine compiles again at each start")
@pytest.mark.decision(23)
def test_the_compile_cache_is_a_directory_of_the_claim_alone() -> None:
    """The cache is executable code, so two claims on one sub-path must not share the cache."""
    shared: Any = {"weightsFileSystem": {"subPath": "shared"}}
    sub_paths = []
    for name in ("one", "two"):
        container = deployed.engine(scene.of(name=name, **shared))
        (mount,) = (m for m in container["volumeMounts"] if m["mountPath"] == "/cache")
        assert mount["subPath"].startswith("shared/")
        assert "readOnly" not in mount
        sub_paths.append(mount["subPath"])
    assert sub_paths[0] != sub_paths[1]


@pytest.mark.pitfall("the engine compiles again at each start")
@pytest.mark.decision(23)
@pytest.mark.parametrize(
    ("claimed", "config"),
    [
        (scene.of(engine={"version": "0.26.0"}), deployed.PLAIN),
        (scene.of(model={"maxNumSeqs": 8}), deployed.PLAIN),
        (scene.of(gpu={"class": "other"}), deployed.PLAIN),
        (scene.of(gpu={"count": 2}), deployed.PLAIN),
    ],
)
def test_the_compile_cache_is_keyed_by_image_class_and_arguments(
    claimed: cluster.Object, config: cluster.Object
) -> None:
    config = scene.site("plain", gpu={"classes": {"other": {}}})
    root = scene.environment(deployed.engine(scene.of(), config))["VLLM_CACHE_ROOT"]
    other = scene.environment(deployed.engine(claimed, config))["VLLM_CACHE_ROOT"]
    assert root.startswith("/cache/")
    assert root != other
    assert root == scene.environment(deployed.engine(scene.of(), config))["VLLM_CACHE_ROOT"]


@pytest.mark.decision(23)
def test_without_preload_the_compile_cache_is_the_pods_own() -> None:
    claimed = scene.of(model={"preload": {"enabled": False}})
    volumes = {volume["name"]: volume for volume in deployed.pod(claimed)["volumes"]}
    assert volumes["cache"] == {"name": "cache", "emptyDir": {"sizeLimit": "10Gi"}}
    assert {"name": "cache", "mountPath": "/cache"} in deployed.engine(claimed)["volumeMounts"]


@pytest.mark.pitfall("memory-backed shm is too small for the collectives")
@pytest.mark.parametrize(("count", "size"), [(1, "2Gi"), (4, "8Gi")])
def test_shared_memory_follows_the_gpu_count(count: int, size: str) -> None:
    volumes = {
        volume["name"]: volume for volume in deployed.pod(scene.of(gpu={"count": count}))["volumes"]
    }
    assert volumes["shm"]["emptyDir"] == {"medium": "Memory", "sizeLimit": size}
    assert volumes["tmp"]["emptyDir"] == {"sizeLimit": "8Gi"}


def test_an_authors_volume_and_mount_are_added() -> None:
    volume = {"name": "templates", "configMap": {"name": "chat"}}
    mount = {"name": "templates", "mountPath": "/templates", "readOnly": True}
    claimed = scene.of(podTemplate={"volumes": [volume], "volumeMounts": [mount]})
    config = scene.site("plain", permissions={"volumes": ["llm"]})
    assert deployed.pod(claimed, config)["volumes"][-1] == volume
    assert deployed.engine(claimed, config)["volumeMounts"][-1] == mount
    assert len(deployed.pod(claimed, config)["volumes"]) == len(deployed.pod()["volumes"]) + 1


@pytest.mark.parametrize(
    "added",
    [
        {"env": [{"name": "A", "valueFrom": {"secretKeyRef": 5}}]},
        {"volumes": [{"name": "a", "secret": 5}]},
        {"volumeMounts": [{"name": {}, "mountPath": "/a"}]},
    ],
)
def test_what_has_no_form_is_no_bug_of_ours(added: cluster.Object) -> None:
    """The API server judges free-form fields. The function must not crash when it reads them."""
    world = cluster.Cluster(
        scene.of(podTemplate=added), scene.site(permissions={"volumes": ["llm"]})
    ).reconcile()
    assert world.fatal is None or "spec.podTemplate" in world.fatal or "pod template" in world.fatal
