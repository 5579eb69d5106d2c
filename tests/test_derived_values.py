"""Derived values explain themselves: each figure with the rule and the inputs that it came from."""

import math
from typing import Any

import pytest

from function.planning import running
from tests import cluster, planned
from tests.resources import scene


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
    why = planned.explained(plan)["startup budget"]
    assert why.result == f"{periods * 10} s"
    assert f"size={size if size is not None else 'unknown'}" in why.inputs


def test_a_known_model_needs_no_size() -> None:
    plan = scene.planned(cluster.example("xplane-qwen3-8b"))
    assert plan.start.periods == 60
    assert "15.3" in planned.explained(plan)["startup budget"].inputs


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
    assert str(grace) in planned.explained(plan)["drain"].result


@pytest.mark.pitfall("requests in flight are cut at scale-down")
def test_the_grace_period_holds_the_authors_own_shutdown_timeout() -> None:
    """The author's flag replaces ours, and the kubelet must not kill the engine before its end."""
    claimed = scene.of(engineArgs=["--shutdown-timeout=600"])
    assert scene.planned(claimed, planned.PLAIN).drain.grace == 15 + 600 + 45


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
    plan = scene.planned(scene.of(resources=own), planned.BARE)
    assert {"requests": plan.hardware.requests, "limits": plan.hardware.limits} == {
        "requests": requests,
        "limits": limits,
    }


def test_a_request_above_its_limit_gives_way_and_is_said() -> None:
    own: Any = {"requests": {"memory": "64Gi"}, "limits": {"memory": "8Gi"}}
    plan = scene.planned(scene.of(resources=own), planned.BARE)
    assert (plan.hardware.requests["memory"], plan.hardware.limits["memory"]) == ("8Gi", "8Gi")
    why = planned.explained(plan)["memory request"]
    assert why.surprising, "the command line says it unasked"
    assert why.result == "8Gi"
    assert "resources.requests.memory=64Gi" in why.inputs
    silent: Any = {"limits": {"memory": "8Gi"}}
    assert "memory request" not in planned.explained(
        scene.planned(scene.of(resources=silent), planned.BARE)
    )


@pytest.mark.parametrize("count", [1, 2, 4])
def test_memory_and_cpu_follow_the_count_of_gpus(count: int) -> None:
    """Each GPU is a worker process; shared memory lies inside the memory limit."""
    plan = scene.planned(scene.of(gpu={"count": count}), planned.BARE)
    assert plan.hardware.requests == {"cpu": f"{2 * count}", "memory": f"{16 * count}Gi"}
    assert plan.hardware.limits == {"cpu": f"{8 * count}", "memory": f"{32 * count}Gi"}
    own: Any = {"requests": {"cpu": "3"}, "limits": {"memory": "40Gi"}}
    chosen = scene.planned(scene.of(gpu={"count": count}, resources=own), planned.BARE)
    assert chosen.hardware.requests["cpu"] == "3"
    assert chosen.hardware.limits["memory"] == "40Gi"


def test_kv_offload_adds_its_memory() -> None:
    spec: Any = {"cache": {"kvOffload": {"enabled": True, "sizeGB": 10}}}
    plan = scene.planned(scene.of(**spec), planned.BARE)
    assert plan.hardware.requests["memory"] == "26Gi"
    assert plan.hardware.limits["memory"] == "42Gi"
    assert planned.explained(plan)["memory request"].inputs == "16Gi + kvOffload 10GiB"
    own = scene.planned(scene.of(resources={"requests": {"memory": "500Mi"}}, **spec), planned.BARE)
    assert own.hardware.requests["memory"] == "10740Mi"


@pytest.mark.decision(4)
def test_the_memory_holds_the_authors_own_offloading_flag() -> None:
    """The author's flag replaces ours, and pins as much memory as the field does."""
    plan = scene.planned(scene.of(engineArgs=["--kv-offloading-size=9.5"]), planned.BARE)
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
    plan = scene.planned(scene.of(**spec), planned.PLAIN)
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
    scaling_plan = scene.planned(scene.of(scaling=scaling), planned.BARE).scaling
    asked = scaling.get("minReplicas", 1)
    # The plain site has no wake signal: zero is held at one.
    assert (scaling_plan.minimum, scaling_plan.maximum) == bounds
    assert (scaling_plan.held_at_one is not None) is (asked == 0)


@pytest.mark.pitfall("minReplicas 0 renders 1; an empty policy list becomes the default one")
def test_zero_without_a_wake_signal_is_held_at_one_and_said() -> None:
    claimed = scene.of(scaling={"minReplicas": 0}, gateway={"enabled": True})
    awake = scene.planned(claimed).scaling
    assert (awake.minimum, awake.wakes, awake.held_at_one) == (0, True, None)
    plan = scene.planned(claimed, planned.PLAIN)
    held = plan.scaling
    assert (held.minimum, held.wakes) == (1, False)
    assert held.held_at_one is not None
    assert "scaling.wake.query" in held.held_at_one
    assert held.held_at_one in planned.explained(plan)["minimum replicas"].rule


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
    assert planned.explained(plan)["cooldown"].inputs == "scaling.cooldownSeconds=7200"
    assert "cooldown" not in planned.explained(
        scene.planned(scene.of(scaling={"cooldownSeconds": 3600}))
    )


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
    assert ("running target" in planned.explained(plan)) is (running in ("22.4", "16"))


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
        planned.explained(plan)
    )
    for why in plan.explanations:
        assert all((why.value, why.result, why.rule, why.inputs)), why
