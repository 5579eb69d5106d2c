"""The endpoint picker by its chart."""

import json
import re
from typing import Any

import pytest

from tests import schemas
from tests.resources import routed, scene


@pytest.mark.pitfall("the InferencePool picks the preload pod")
def test_the_pool_selects_the_serving_pods_only() -> None:
    first = scene.first(scene.of(**routed.PICKED))
    preload = first.one("Job")["spec"]["template"]["metadata"]["labels"]
    first.converge()
    release = first.one("HelmRelease")["spec"]
    pool = release["values"]["inferencePool"]
    selector = pool["modelServers"]["matchLabels"]
    assert selector.items() <= first.template["metadata"]["labels"].items()
    assert not selector.items() <= preload.items()
    assert pool["targetPorts"] == [{"number": 8000}]
    assert pool["apiVersion"] == "inference.networking.k8s.io/v1"


@pytest.mark.pitfall("a pool and canaries exclude each other")
@pytest.mark.pitfall("a pool in another namespace is ignored")
def test_pool_and_picker_take_the_releases_name() -> None:
    world = scene.serving(scene.of(loraAdapters=scene.ADAPTERS, **routed.PICKED))
    release = world.one("HelmRelease")
    assert release["metadata"]["name"] == "model-epp"
    assert release["spec"]["releaseName"] == "model"
    assert release["spec"]["chartRef"] == {
        "kind": "OCIRepository",
        "name": "inferencepool",
        "namespace": "llm",
    }
    pool = {"group": "inference.networking.k8s.io", "kind": "InferencePool", "name": "model"}
    # The schema allows exactly one pool in a rule, and no other backend beside the pool.
    assert routed.rules(world)[0]["backendRefs"] == [pool]


def test_one_match_alone_names_the_pool() -> None:
    """The AI gateway asks the picker once for each, and the picker draws a canary each time."""
    world = scene.serving(scene.of(loraAdapters=scene.ADAPTERS, **routed.PICKED))
    served, listed = routed.rules(world)
    (match,) = served["matches"]
    (header,) = match["headers"]
    assert header["type"] == "RegularExpression"
    names = ["model", *(adapter["name"] for adapter in scene.ADAPTERS)]
    for name in names:
        assert re.fullmatch(header["value"], name)
        assert not re.fullmatch(header["value"], f"{name}x")
    # `/v1/models` has the names of exact matches; nobody sends the second header of these.
    assert [one["headers"][0]["value"] for one in listed["matches"]] == names
    for one in listed["matches"]:
        assert [header["type"] for header in one["headers"]] == ["Exact", "Exact"]
    alone = routed.rules(scene.serving(scene.of(**routed.PICKED)))
    assert [rule["matches"][0]["headers"][0]["type"] for rule in alone] == ["Exact"]


@pytest.mark.pitfall("401 on the picker's metrics")
@pytest.mark.pitfall("the picker stays Pending")
def test_the_picker_fits_on_a_small_node() -> None:
    """With the chart's own requests, 4 CPU and 8 GiB, the pod would stay Pending."""
    values = scene.serving(scene.of(**routed.PICKED)).one("HelmRelease")["spec"]["values"]
    picker = values["inferenceExtension"]
    assert picker["resources"]["requests"] == {"cpu": "250m", "memory": "512Mi"}
    assert picker["replicas"] == 1
    # Authentication is off, because the policy admits the scraper alone.
    assert picker["monitoring"]["prometheus"]["auth"]["enabled"] is False
    assert values["provider"] == {"name": "none"}


@pytest.mark.pitfall("the picker is rejected by Pod Security")
def test_the_pickers_pod_is_made_restricted() -> None:
    """The chart sets no security context: its pod is patched after rendering."""
    release = scene.serving(scene.of(**routed.PICKED)).one("HelmRelease")["spec"]
    (renderer,) = release["postRenderers"]
    (patch,) = renderer["kustomize"]["patches"]
    assert patch["target"] == {"kind": "Deployment", "name": "model-epp"}
    pod: Any = {"containers": [{"name": "epp", "image": "epp:v1.5.0"}]}
    assert schemas.pod_security(pod)
    for operation in json.loads(patch["patch"]):
        assert operation["op"] == "add"
        *path, last = operation["path"].removeprefix("/spec/template/spec/").split("/")
        at: Any = pod
        for step in path:
            at = at[int(step)] if step.isdigit() else at[step]
        at[last] = operation["value"]
    assert schemas.pod_security(pod) == []
    assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True


def test_the_pickers_image_is_the_sites() -> None:
    config = scene.site(endpointPicker={"imageRegistry": "mirror:5000", "imageTag": "v9"})
    values = scene.serving(scene.of(**routed.PICKED), config).one("HelmRelease")["spec"]["values"]
    assert values["inferenceExtension"]["image"] == {
        "registry": "mirror:5000",
        "repository": "gateway-api-inference-extension/epp",
        "tag": "v9",
    }
