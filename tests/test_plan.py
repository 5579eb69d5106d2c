"""What is decided before any object is built: defaults, derived values, refusals, explanations."""

from typing import Any

import pytest

from tests import cluster, planned
from tests.resources import scene

# --- defaults and presence


@pytest.mark.decision(1)
def test_the_smallest_claim_gets_every_default() -> None:
    plan = scene.planned(scene.of(), planned.BARE)
    assert (
        planned.serving(plan).context_window,
        planned.serving(plan).max_num_seqs,
        planned.serving(plan).utilization,
    ) == (4096, 64, "0.92")
    assert (plan.hardware.count, plan.hardware.resource_name) == (1, "nvidia.com/gpu")
    assert (plan.scaling.minimum, plan.scaling.maximum) == (1, 3)
    assert (plan.scaling.cooldown, plan.scaling.polling) == (300, 15)
    assert (
        plan.scaling.running_target(plan.running.max_requests),
        plan.scaling.kv_usage,
        plan.scaling.queue,
    ) == ("44.8", "0.6", "8")
    assert {"requests": plan.hardware.requests, "limits": plan.hardware.limits} == {
        "requests": {"cpu": "2", "memory": "16Gi"},
        "limits": {"cpu": "8", "memory": "32Gi"},
    }
    assert plan.storage.sub_path == "model"
    assert (plan.storage.preloads, plan.running.generates, plan.serving.pinned_gib) == (
        True,
        True,
        None,
    )
    assert (plan.ways.gateway, plan.ways.picker, plan.ways.route, plan.suspended) == (False,) * 4
    assert plan.hardware.misfit is None


@pytest.mark.decision(2)
@pytest.mark.parametrize(
    ("model", "preloads"),
    [
        ({}, True),
        ({"preload": {}}, True),
        ({"preload": {"generation": 2}}, True),
        ({"preload": {"enabled": True}}, True),
        ({"preload": {"enabled": False}}, False),
        ({"source": "huggingface"}, True),
        ({"source": "pvc", "path": "models/a"}, False),
    ],
)
def test_preload_is_on_unless_the_author_says_no(model: cluster.Object, preloads: bool) -> None:
    assert scene.planned(scene.of(model=model)).storage.preloads is preloads


@pytest.mark.parametrize("off", [None, {}, {"enabled": False}])
def test_a_gateway_needs_to_be_enabled(off: cluster.Object | None) -> None:
    claimed = scene.of() if off is None else scene.of(gateway=off)
    assert scene.planned(claimed).ways.gateway is False


@pytest.mark.parametrize(
    ("field", "spec"),
    [
        ("gateway", {"gateway": {"enabled": True}}),
        ("route", {"route": {"enabled": True, "hostname": "m"}}),
        ("picker", {"gateway": {"enabled": True, "endpointPicker": {"enabled": True}}}),
    ],
)
def test_a_site_without_the_provider_has_none(field: str, spec: cluster.Object) -> None:
    assert getattr(scene.planned(scene.of(**spec)).ways, field) is True
    without = scene.site(providers={"gateway": "none", "route": "none"})
    assert getattr(scene.planned(scene.of(**spec), without).ways, field) is False


# --- weights


@pytest.mark.pitfall("an adapter was updated and the old one is served")
def test_directories_are_named_by_what_is_in_them() -> None:
    plan = scene.planned(scene.of(loraAdapters=scene.ADAPTERS))
    assert [w.kind for w in plan.storage.directories] == ["base", "adapter", "adapter"]
    assert len({w.place for w in plan.storage.directories}) == 3
    for weights in plan.storage.directories:
        assert weights.place.startswith(f"{weights.kind}-")
        assert weights.path == f"/models/{weights.place}/weights"


@pytest.mark.pitfall("wrong weights are served after a change of repository")
@pytest.mark.parametrize("model", [{"repository": "org/other"}, {"revision": "v2"}])
def test_another_repository_or_revision_is_another_directory(model: cluster.Object) -> None:
    """The marker of one repository must never be taken for another's (both at `main`)."""
    before, after = scene.planned(scene.of()), scene.planned(scene.of(model=model))
    assert before.storage.base.place != after.storage.base.place
    assert before.storage.key != after.storage.key


def test_an_absent_revision_is_main() -> None:
    named = scene.planned(scene.of(model={"revision": "main"}))
    assert named.storage.directories == scene.planned(scene.of()).storage.directories


@pytest.mark.decision(11)
def test_two_claims_on_one_sub_path_share_a_base_and_an_adapter() -> None:
    shared: Any = {"weightsFileSystem": {"subPath": "shared"}, "loraAdapters": scene.ADAPTERS}
    one, two = scene.planned(scene.of(name="one", **shared)), scene.planned(scene.of(**shared))
    assert [w.place for w in one.storage.directories] == [w.place for w in two.storage.directories]
    assert one.storage.key == two.storage.key


def test_an_adapters_directory_does_not_follow_its_name() -> None:
    renamed = [{**scene.ADAPTERS[0], "name": "renamed"}, scene.ADAPTERS[1]]
    before = scene.planned(scene.of(loraAdapters=scene.ADAPTERS))
    after = scene.planned(scene.of(loraAdapters=renamed))
    assert before.storage.key == after.storage.key
    assert after.storage.adapters[0].name == "renamed"


@pytest.mark.decision(12)
def test_the_order_of_adapters_is_no_part_of_the_weights_key() -> None:
    before = scene.planned(scene.of(loraAdapters=scene.ADAPTERS))
    after = scene.planned(scene.of(loraAdapters=scene.ADAPTERS[::-1]))
    assert before.storage.key == after.storage.key


def test_an_added_adapter_leaves_the_base_directory() -> None:
    before = scene.planned(scene.of())
    after = scene.planned(scene.of(loraAdapters=scene.ADAPTERS))
    assert before.storage.directories[0] == after.storage.directories[0]
    assert before.storage.key != after.storage.key


@pytest.mark.decision(2)
def test_an_explicit_no_to_preload_means_the_paths_of_0_9_0() -> None:
    plan = scene.planned(
        scene.of(
            model={"revision": "abc", "preload": {"enabled": False}},
            loraAdapters=scene.ADAPTERS,
            weightsFileSystem={"subPath": "theirs"},
        )
    )
    assert [w.path for w in plan.storage.directories] == [
        "/models/abc",
        "/models/loras/sql",
        "/models/loras/law",
    ]
    assert plan.storage.volume == "llm-models/theirs"


def test_source_pvc_serves_the_authors_path() -> None:
    plan = scene.planned(scene.of(model={"source": "pvc", "path": "teams/a/model"}))
    assert plan.storage.directories[0].path == "/models/teams/a/model"


# --- images


DIGEST = "sha256:" + "ab" * 32


@pytest.mark.pitfall("the anonymous limit of a registry")
@pytest.mark.pitfall("a new model fails to load on an old engine")
@pytest.mark.pitfall("an image by digest, and its tag")
@pytest.mark.parametrize(
    ("site", "engine", "image"),
    [
        ({}, None, "vllm/vllm-openai:v0.25.1"),
        ({"engine": {"version": "v0.26.0"}}, None, "vllm/vllm-openai:v0.26.0"),
        ({"engine": {"digest": DIGEST}}, None, f"vllm/vllm-openai:v0.25.1@{DIGEST}"),
        # The settings' digest is of the settings' version only, whoever names it.
        (
            {"engine": {"digest": DIGEST}},
            {"version": "v0.25.1"},
            f"vllm/vllm-openai:v0.25.1@{DIGEST}",
        ),
        ({"engine": {"digest": DIGEST}}, {"version": "0.25.1-a"}, "vllm/vllm-openai:v0.25.1-a"),
        ({"engine": {"digest": DIGEST}}, {"version": "0.26.0"}, "vllm/vllm-openai:v0.26.0"),
        ({}, {"image": "ghcr.io/me/vllm:v0.26.0"}, "ghcr.io/me/vllm:v0.26.0"),
        ({}, {"image": f"me/vllm@{DIGEST}", "version": "0.26.0"}, f"me/vllm@{DIGEST}"),
        ({"imageRegistry": "mirror:5000"}, None, "mirror:5000/vllm/vllm-openai:v0.25.1"),
        ({"imageRegistry": "m"}, {"image": "ghcr.io/a/b:v0.26.0"}, "m/ghcr.io/a/b:v0.26.0"),
    ],
)
def test_images(site: cluster.Object, engine: cluster.Object | None, image: str) -> None:
    config = scene.site(permissions={"engineImage": ["llm"]}, **site)
    claimed = scene.of() if engine is None else scene.of(engine=engine)
    assert scene.planned(claimed, config).serving.image == image


def test_the_version_of_a_chosen_image_is_its_tag() -> None:
    config = scene.site(permissions={"engineImage": ["*"]})
    claimed = scene.of(engine={"image": "me/vllm:v0.31.2"})
    assert scene.planned(claimed, config).serving.release == "0.31.2"


# --- what the settings do not have or do not allow


@pytest.mark.decision(8)
@pytest.mark.parametrize(
    ("permission", "spec", "path"),
    [
        ("patches", {"patches": {"deployment": {}}}, "spec.patches"),
        (
            "engineImage",
            {"engine": {"image": "a:v0.26.0", "version": "0.26.0"}},
            "spec.engine.image",
        ),
        (
            "volumes",
            {"podTemplate": {"volumes": [{"name": "a", "emptyDir": {}}]}},
            "spec.podTemplate.volumes",
        ),
        (
            "volumes",
            {"podTemplate": {"volumeMounts": [{"name": "models", "mountPath": "/x"}]}},
            "spec.podTemplate.volumeMounts",
        ),
        ("trustRemoteCode", {"engineArgs": ["--trust-remote-code"]}, "spec.engineArgs[0]"),
        ("trustRemoteCode", {"engineArgs": ["--Trust_Remote_Code=true"]}, "spec.engineArgs[0]"),
        ("trustRemoteCode", {"engineArgs": ["--trust-rem"]}, "spec.engineArgs[0]"),
    ],
)
def test_escape_hatches_are_closed_until_the_settings_open_them(
    permission: str, spec: cluster.Object, path: str
) -> None:
    error = scene.unplanned(scene.of(**spec))
    assert [problem.path for problem in error.problems] == [path]
    assert f"permissions.{permission}" in str(error)
    scene.planned(scene.of(**spec), scene.site(permissions={permission: ["llm"]}))
    scene.planned(scene.of(**spec), scene.site(permissions={permission: ["*"]}))
    elsewhere = scene.unplanned(scene.of(**spec), scene.site(permissions={permission: ["apps"]}))
    assert "namespace llm" in str(elsewhere)


@pytest.mark.pitfall("a scaled pod stays Pending: the node pool's cap is the sum of the minimums")
@pytest.mark.decision(8)
@pytest.mark.parametrize(
    ("spec", "gpus"),
    [
        ({"scaling": {"maxReplicas": 4}}, None),
        ({"scaling": {"maxReplicas": 5}}, "5 replicas of 1"),
        ({"gpu": {"count": 2}, "scaling": {"maxReplicas": 2}}, None),
        # A default maximum stays within the cap.
        ({"gpu": {"count": 2}}, None),
        ({"gpu": {"count": 2}, "scaling": {"maxReplicas": 3}}, "3 replicas of 2"),
    ],
)
def test_the_cap_on_gpus(spec: cluster.Object, gpus: str | None) -> None:
    if gpus is None:
        scene.planned(scene.of(**spec))
    else:
        assert gpus in str(scene.unplanned(scene.of(**spec)))


def test_an_unknown_gpu_class_names_those_that_there_are() -> None:
    error = scene.unplanned(scene.of(gpu={"class": "h100"}))
    assert str(error) == "claim: spec.gpu.class: no such class in the settings; there are: l4"


def test_every_problem_is_named_at_once() -> None:
    error = scene.unplanned(
        scene.of(gpu={"class": "x"}, patches={"service": {}}, scaling={"maxReplicas": 99})
    )
    assert [problem.path for problem in error.problems] == [
        "spec.gpu.class",
        "spec.patches",
        "spec.scaling.maxReplicas",
    ]


@pytest.mark.pitfall("a multi-GPU node eats the cap")
def test_the_class_of_the_claim_wins() -> None:
    config = scene.site(gpu={"classes": {"h200": {"resourceName": "example.com/gpu"}}})
    plan = scene.planned(scene.of(gpu={"class": "h200"}), config)
    assert (plan.hardware.class_name, plan.hardware.resource_name) == ("h200", "example.com/gpu")
    own = scene.of(gpu={"class": "h200", "resourceName": "nvidia.com/mig-1g.10gb"})
    assert scene.planned(own, config).hardware.resource_name == "nvidia.com/mig-1g.10gb"
