"""What is decided before any object is built: defaults, derived values, refusals, explanations."""

import math
from typing import Any

import pytest

from function import explanation
from function.engines.vllm import serving as vllm
from function.planning import plans, running
from tests import cluster
from tests.resources import scene

PLAIN = scene.site("plain")
# No interruption notice, no spare GPU, nothing known about nodes or the volume.
BARE = scene.site(
    "plain",
    gpu={"defaultClass": "bare", "classes": {"bare": {}}},
    weights={"bandwidthMiB": None},
)


def serving(plan: plans.Plan) -> vllm.Serving:
    assert isinstance(plan.serving, vllm.Serving)
    return plan.serving


def explained(plan: plans.Plan) -> dict[str, explanation.Explanation]:
    return {why.value: why for why in plan.explanations}


# --- defaults and presence


@pytest.mark.decision(1)
def test_the_smallest_claim_gets_every_default() -> None:
    plan = scene.planned(scene.of(), BARE)
    assert (
        serving(plan).context_window,
        serving(plan).max_num_seqs,
        serving(plan).utilization,
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


# --- derived values explain themselves


@pytest.mark.decision(22)
@pytest.mark.parametrize(
    ("size", "bandwidth", "periods"),
    [
        # 2 x (66 + 16 x 1024 / 64) + 120 = 764 s
        (16, 64, 77),
        # 2 x (66 + 4096 x 1024 / 1024) + 120 = 8444 s
        (4096, 1024, 845),
        # The floor: 10 minutes.
        (1, 1000, 60),
        (None, 300, 180),
        (16, None, 180),
    ],
)
def test_the_startup_budget(size: int | None, bandwidth: int | None, periods: int) -> None:
    model = {} if size is None else {"sizeGiB": size}
    plan = scene.planned(scene.of(model=model), scene.site(weights={"bandwidthMiB": bandwidth}))
    assert plan.start.periods == periods
    assert plan.start.seconds == periods * 10
    why = explained(plan)["startup budget"]
    assert why.result == f"{periods * 10} s"
    assert f"size={size if size is not None else 'unknown'}" in why.inputs


def test_a_known_model_needs_no_size() -> None:
    plan = scene.planned(cluster.example("xplane-qwen3-8b"))
    assert plan.start.periods == 60
    assert "15.3" in explained(plan)["startup budget"].inputs


@pytest.mark.decision(22)
@pytest.mark.parametrize(
    ("probe", "seconds"),
    [
        ({"failureThreshold": 30}, 300),
        ({"failureThreshold": 30, "periodSeconds": 20}, 600),
        ({"failureThreshold": 30, "periodSeconds": 20, "initialDelaySeconds": 60}, 660),
        # The budget is a time: another period must not shorten or stretch it.
        ({"periodSeconds": 5}, 1800),
        ({"periodSeconds": 30}, 1800),
        ({"periodSeconds": 7}, math.ceil(1800 / 7) * 7),
    ],
)
def test_a_startup_probe_of_the_author(probe: cluster.Object, seconds: int) -> None:
    plan = scene.planned(scene.of(healthProbes={"startup": probe}))
    period = probe.get("periodSeconds", 10)
    delay = probe.get("initialDelaySeconds", 0)
    assert delay + plan.start.periods * period == seconds
    assert plan.start.seconds == seconds


@pytest.mark.pitfall("requests in flight are cut at scale-down")
@pytest.mark.decision(17)
@pytest.mark.parametrize(
    ("drain", "notice", "shutdown", "grace"),
    [
        (None, None, 120, 180),
        (30, None, 30, 90),
        (0, None, 0, 60),
        (3600, None, 3600, 3660),
        # The notice caps the drain and leaves ten seconds for the exit.
        (None, 120, 95, 120),
        (60, 120, 60, 120),
        (600, 30, 5, 30),
        (600, 10, 0, 10),
    ],
)
def test_draining(drain: int | None, notice: int | None, shutdown: int, grace: int) -> None:
    config = scene.site(gpu={"classes": {"l4": {"interruptionNoticeSeconds": notice}}})
    spec: dict[str, Any] = {} if drain is None else {"drainSeconds": drain}
    plan = scene.planned(scene.of(**spec), config)
    assert plan.drain == running.Drain(pre_stop=min(15, grace), shutdown=shutdown, grace=grace)
    assert str(grace) in explained(plan)["drain"].result


@pytest.mark.pitfall("requests in flight are cut at scale-down")
def test_the_grace_period_holds_the_authors_own_shutdown_timeout() -> None:
    """The author's flag replaces ours, and the kubelet must not kill the engine before its end."""
    claimed = scene.of(engineArgs=["--shutdown-timeout=600"])
    assert scene.planned(claimed, PLAIN).drain.grace == 15 + 600 + 45


@pytest.mark.pitfall("a partial resources.requests loses the CPU request")
@pytest.mark.parametrize(
    ("own", "requests", "limits"),
    [
        ({}, {"cpu": "2", "memory": "16Gi"}, {"cpu": "8", "memory": "32Gi"}),
        # Resources merge key by key: a claim that sets the memory keeps the default CPU.
        (
            {"requests": {"memory": "20Gi"}},
            {"cpu": "2", "memory": "20Gi"},
            {"cpu": "8", "memory": "32Gi"},
        ),
        # A limit is never below its request.
        (
            {"requests": {"memory": "64Gi", "cpu": 16}},
            {"cpu": 16, "memory": "64Gi"},
            {"cpu": 16, "memory": "64Gi"},
        ),
        (
            {"requests": {"ephemeral-storage": "10Gi"}},
            {"cpu": "2", "memory": "16Gi", "ephemeral-storage": "10Gi"},
            {"cpu": "8", "memory": "32Gi"},
        ),
        (
            {"limits": {"cpu": "4"}},
            {"cpu": "2", "memory": "16Gi"},
            {"cpu": "4", "memory": "32Gi"},
        ),
        # The author's limit stays, and the default request shrinks to the limit.
        (
            {"limits": {"cpu": "1", "memory": "8Gi"}},
            {"cpu": "1", "memory": "8Gi"},
            {"cpu": "1", "memory": "8Gi"},
        ),
        (
            {"requests": {"cpu": 0}},
            {"cpu": 0, "memory": "16Gi"},
            {"cpu": "8", "memory": "32Gi"},
        ),
        (
            {"requests": {"memory": "16777216Ki"}},
            {"cpu": "2", "memory": "16777216Ki"},
            {"cpu": "8", "memory": "32Gi"},
        ),
    ],
)
def test_resources(own: cluster.Object, requests: Any, limits: Any) -> None:
    plan = scene.planned(scene.of(resources=own), BARE)
    assert {"requests": plan.hardware.requests, "limits": plan.hardware.limits} == {
        "requests": requests,
        "limits": limits,
    }


def test_a_request_above_its_limit_gives_way_and_is_said() -> None:
    own: Any = {"requests": {"memory": "64Gi"}, "limits": {"memory": "8Gi"}}
    plan = scene.planned(scene.of(resources=own), BARE)
    assert (plan.hardware.requests["memory"], plan.hardware.limits["memory"]) == ("8Gi", "8Gi")
    why = explained(plan)["memory request"]
    assert why.surprising, "the command line says it unasked"
    assert why.result == "8Gi"
    assert "resources.requests.memory=64Gi" in why.inputs
    silent: Any = {"limits": {"memory": "8Gi"}}
    assert "memory request" not in explained(scene.planned(scene.of(resources=silent), BARE))


@pytest.mark.parametrize("count", [1, 2, 4])
def test_memory_and_cpu_follow_the_count_of_gpus(count: int) -> None:
    """Each GPU is a worker process; shared memory lies inside the memory limit."""
    plan = scene.planned(scene.of(gpu={"count": count}), BARE)
    assert plan.hardware.requests == {"cpu": f"{2 * count}", "memory": f"{16 * count}Gi"}
    assert plan.hardware.limits == {"cpu": f"{8 * count}", "memory": f"{32 * count}Gi"}
    own: Any = {"requests": {"cpu": "3"}, "limits": {"memory": "40Gi"}}
    chosen = scene.planned(scene.of(gpu={"count": count}, resources=own), BARE)
    assert chosen.hardware.requests["cpu"] == "3"
    assert chosen.hardware.limits["memory"] == "40Gi"


def test_kv_offload_adds_its_memory() -> None:
    spec: Any = {"cache": {"kvOffload": {"enabled": True, "sizeGB": 10}}}
    plan = scene.planned(scene.of(**spec), BARE)
    assert plan.hardware.requests["memory"] == "26Gi"
    assert plan.hardware.limits["memory"] == "42Gi"
    assert explained(plan)["memory request"].inputs == "16Gi + kvOffload 10GiB"
    own = scene.planned(scene.of(resources={"requests": {"memory": "500Mi"}}, **spec), BARE)
    assert own.hardware.requests["memory"] == "10740Mi"


@pytest.mark.decision(4)
def test_the_memory_holds_the_authors_own_offloading_flag() -> None:
    """The author's flag replaces ours, and pins as much memory as the field does."""
    plan = scene.planned(scene.of(engineArgs=["--kv-offloading-size=9.5"]), BARE)
    assert plan.hardware.requests["memory"] == "26Gi"


@pytest.mark.pitfall("the engine runs out of memory at the start: no reserve beside its share")
@pytest.mark.parametrize(
    ("spec", "words", "setting"),
    [
        (
            {"cache": {"kvOffload": {"enabled": True, "sizeGB": 400}}},
            "416Gi of memory",
            "Memory",
        ),
        ({"resources": {"requests": {"cpu": "91"}}}, "91 of cpu", "Cpu"),
        (
            {"gpu": {"count": 5}},
            "5 GPUs, a node of class l40s has 4: lower",
            "Gpus",
        ),
        (
            {"resources": {"requests": {"memory": "360Gi", "cpu": "90"}}, "gpu": {"count": 4}},
            None,
            "",
        ),
    ],
)
def test_what_fits_on_no_node_is_said(
    spec: cluster.Object, words: str | None, setting: str
) -> None:
    plan = scene.planned(scene.of(**spec), PLAIN)
    if words is None:
        assert plan.hardware.misfit is None
    else:
        assert plan.hardware.misfit is not None
        assert words in plan.hardware.misfit.message
        message = plan.hardware.misfit.message
        assert message.endswith(f"correct the setting gpu.classes.l40s.node{setting}")


@pytest.mark.parametrize(
    ("scaling", "bounds"),
    [
        ({}, (1, 3)),
        ({"minReplicas": 5}, (5, 5)),
        ({"maxReplicas": 1}, (1, 1)),
        ({"minReplicas": 0}, (1, 3)),
        ({"minReplicas": 2, "maxReplicas": 7}, (2, 7)),
    ],
)
def test_bounds(scaling: cluster.Object, bounds: tuple[int, int]) -> None:
    scaling_plan = scene.planned(scene.of(scaling=scaling), BARE).scaling
    asked = scaling.get("minReplicas", 1)
    # The plain site has no wake signal: zero is held at one.
    assert (scaling_plan.minimum, scaling_plan.maximum) == bounds
    assert (scaling_plan.held_at_one is not None) is (asked == 0)


@pytest.mark.pitfall("minReplicas 0 renders 1; an empty policy list becomes the default one")
def test_zero_without_a_wake_signal_is_held_at_one_and_said() -> None:
    claimed = scene.of(scaling={"minReplicas": 0}, gateway={"enabled": True})
    awake = scene.planned(claimed).scaling
    assert (awake.minimum, awake.wakes, awake.held_at_one) == (0, True, None)
    plan = scene.planned(claimed, PLAIN)
    held = plan.scaling
    assert (held.minimum, held.wakes) == (1, False)
    assert held.held_at_one is not None
    assert "scaling.wake.query" in held.held_at_one
    assert held.held_at_one in explained(plan)["minimum replicas"].rule


GATEWAY: Any = {"gateway": {"enabled": True}}
PICKER: Any = {"gateway": {"enabled": True, "endpointPicker": {"enabled": True}}}
ROUTE: Any = {"route": {"enabled": True, "hostname": "m"}}


@pytest.mark.parametrize(
    ("spec", "counted"),
    [
        ({}, {"service"}),
        ({"gateway": {"enabled": False}}, {"service"}),
        (GATEWAY, {"service", "gateway"}),
        (ROUTE, {"service", "route"}),
        (GATEWAY | ROUTE, {"service", "gateway", "route"}),
        # The picker answers 503 for a claim without pods before Envoy's router counts the request.
        (PICKER, {"service"}),
        (PICKER | ROUTE, {"service", "route"}),
    ],
)
@pytest.mark.parametrize(
    "counts", [["gateway"], ["route"], ["service"], ["gateway", "route"], None]
)
def test_a_claim_sleeps_only_where_the_query_counts_its_requests(
    spec: cluster.Object, counted: set[str], counts: list[str] | None
) -> None:
    wake = {"query": "x"} | ({} if counts is None else {"counts": counts})
    claimed = scene.of(scaling={"minReplicas": 0}, **spec)
    scaling_plan = scene.planned(claimed, scene.site(scaling={"wake": wake})).scaling
    assert scaling_plan.wakes is bool(counted & set(counts or ["gateway"]))
    assert (scaling_plan.held_at_one is None) is scaling_plan.wakes
    assert scaling_plan.minimum == (0 if scaling_plan.wakes else 1)


@pytest.mark.decision(7)
def test_a_cooldown_longer_than_the_hpa_takes_is_clamped_and_said() -> None:
    plan = scene.planned(scene.of(scaling={"cooldownSeconds": 7200}))
    assert plan.scaling.cooldown == 3600
    assert explained(plan)["cooldown"].inputs == "scaling.cooldownSeconds=7200"
    assert "cooldown" not in explained(scene.planned(scene.of(scaling={"cooldownSeconds": 3600})))


@pytest.mark.decision(5)
@pytest.mark.parametrize(
    ("scaling", "running", "kv_usage", "queue"),
    [
        ({}, "22.4", "0.6", "8"),
        ({"runningRatioThreshold": "0.5"}, "16", "0.6", "8"),
        ({"cacheUtilizationThreshold": "0.8", "queueLengthThreshold": 3}, "22.4", "0.8", "3"),
        ({"triggers": {"running": {"target": "10"}}}, "10", "0.6", "8"),
        ({"triggers": {"running": {"enabled": False}}}, None, "0.6", "8"),
        (
            {"triggers": {"kvCache": {"enabled": False}, "queue": {"target": "2.5"}}},
            "22.4",
            None,
            "2.5",
        ),
        ({"triggers": {"queue": {"enabled": True}}, "queueLengthThreshold": 3}, "22.4", "0.6", "3"),
    ],
)
def test_targets(
    scaling: cluster.Object, running: str | None, kv_usage: str | None, queue: str | None
) -> None:
    plan = scene.planned(scene.of(model={"maxNumSeqs": 32}, scaling=scaling))
    scaling_plan = plan.scaling
    assert (
        scaling_plan.running_target(plan.running.max_requests),
        scaling_plan.kv_usage,
        scaling_plan.queue,
    ) == (
        running,
        kv_usage,
        queue,
    )
    assert ("running target" in explained(plan)) is (running in ("22.4", "16"))


def test_a_target_is_no_binary_fraction() -> None:
    """0.7 x 3 is 2.0999999999999996 in floating point."""
    plan = scene.planned(scene.of(model={"maxNumSeqs": 3}))
    target = plan.scaling.running_target(plan.running.max_requests)
    assert target == "2.1"


@pytest.mark.parametrize("name", cluster.EXAMPLES)
@pytest.mark.parametrize("profile", cluster.PROFILES)
def test_every_explanation_has_a_rule_and_inputs(name: str, profile: str) -> None:
    plan = scene.planned(cluster.example(name), cluster.environment(profile))
    assert {"startup budget", "drain", "running target", "gpu-memory-utilization"} <= set(
        explained(plan)
    )
    for why in plan.explanations:
        assert all((why.value, why.result, why.rule, why.inputs)), why


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
