"""The Deployment and its pod template, as an expert would check them."""

import pytest
from google.protobuf import json_format

from function.planning import identity
from tests import cluster, schemas
from tests.resources import deployed, scene

LABELS = {
    "app.kubernetes.io/name": "model",
    "app.kubernetes.io/instance": "model",
    "app.kubernetes.io/component": "inference",
    "app.kubernetes.io/part-of": "ai",
}


# --- identity


def test_the_selector_is_exactly_the_four_labels_of_0_9_0() -> None:
    world = scene.serving(scene.of(podTemplate={"labels": {"team": "a"}}))
    spec = world.one("Deployment")["spec"]
    assert spec["selector"] == {"matchLabels": LABELS}
    assert spec["template"]["metadata"]["labels"] == {**LABELS, "team": "a"}


@pytest.mark.pitfall("a service account token is mounted for nothing")
def test_no_token_and_no_service_links() -> None:
    """A Service named vllm would set VLLM_PORT, which the engine takes for its own."""
    spec = deployed.pod()
    assert spec["serviceAccountName"] == "model"
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False


@pytest.mark.decision(16)
def test_one_container_with_the_images_entrypoint() -> None:
    container = deployed.engine()
    assert container["name"] == "vllm"
    assert "command" not in container
    assert container["image"] == "vllm/vllm-openai:v0.25.1"
    assert container["ports"] == [{"name": "http", "containerPort": 8000, "protocol": "TCP"}]
    assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_nulls_in_what_the_author_passes_through_are_absent() -> None:
    """Server-side apply would take a null for a value."""
    claimed = scene.of(
        podTemplate={
            "affinity": {"nodeAffinity": None, "podAffinity": {}},
            "tolerations": [{"operator": "Exists", "value": None}],
            "env": [
                {
                    "name": "POD_NAME",
                    "valueFrom": {"fieldRef": {"fieldPath": "metadata.name", "apiVersion": None}},
                }
            ],
        },
        networkPolicies={"ingress": [{"fromEntities": ["all"], "toPorts": None}]},
        observability={"alertingRules": {"groups": [{"name": "a", "interval": None, "rules": []}]}},
    )
    world = scene.serving(claimed)
    assert not world.fatal
    for key, item in world.response.desired.resources.items():
        assert schemas.nulls(json_format.MessageToDict(item.resource)) == [], key


# --- replicas and strategy


@pytest.mark.pitfall("downtime at each model or image change")
@pytest.mark.pitfall("a rollout at one GPU waits for the GPU that the old pod holds")
@pytest.mark.pitfall("Multi-Attach: a volume of one node and a rolling update")
@pytest.mark.decision(15)
@pytest.mark.parametrize(
    ("maximum", "spare", "strategy"),
    [
        (1, False, {"type": "Recreate"}),
        (
            2,
            False,
            {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
        ),
        (
            1,
            True,
            {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        ),
        (
            3,
            True,
            {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        ),
    ],
)
def test_strategy(maximum: int, spare: bool, strategy: cluster.Object) -> None:
    config = scene.site("plain", gpu={"classes": {"l40s": {"spare": spare}}})
    world = scene.serving(scene.of(scaling={"maxReplicas": maximum}), config)
    assert world.one("Deployment")["spec"]["strategy"] == strategy


@pytest.mark.pitfall("a rollout at one GPU waits for the GPU that the old pod holds")
def test_from_a_rolling_update_to_recreate_no_field_is_left() -> None:
    """A rolling update that nobody owns would make Recreate invalid for good."""
    config = scene.site("plain", gpu={"classes": {"l40s": {"spare": False}}})
    world = scene.serving(scene.of(scaling={"maxReplicas": 2}), config)
    world.edit(scaling={"maxReplicas": 1}).converge()
    assert world.one("Deployment")["spec"]["strategy"] == {"type": "Recreate"}
    assert schemas.validate(_emitted(world, "Deployment")) == []


def _emitted(world: cluster.Cluster, kind: str) -> cluster.Object:
    (manifest,) = (item for item in world.owned.values() if item["kind"] == kind)
    return manifest


@pytest.mark.pitfall("two owners of the replica count reset each other")
def test_a_scaler_owns_the_replica_count() -> None:
    world = scene.serving()
    assert "replicas" not in _emitted(world, "Deployment")["spec"]


@pytest.mark.decision(15)
@pytest.mark.parametrize(("suspend", "replicas"), [(False, 2), (True, 0)])
def test_without_a_scaler_the_count_is_ours(suspend: bool, replicas: int) -> None:
    config = scene.site(providers={"autoscaler": "none"})
    world = scene.serving(scene.of(scaling={"minReplicas": 2}), config)
    assert _emitted(world, "Deployment")["spec"]["replicas"] == 2
    world.edit(suspend=suspend).converge()
    assert _emitted(world, "Deployment")["spec"]["replicas"] == replicas


@pytest.mark.decision(15)
@pytest.mark.parametrize(
    "probe",
    [
        {},
        {"failureThreshold": 400},
        {"periodSeconds": 60},
        {"failureThreshold": 400, "periodSeconds": 30, "initialDelaySeconds": 600},
    ],
)
def test_the_progress_deadline_is_above_the_start_budget(probe: cluster.Object) -> None:
    world = scene.serving(scene.of(healthProbes={"startup": probe}))
    startup = scene.container(world)["startupProbe"]
    budget = (
        startup.get("initialDelaySeconds", 0)
        + startup["periodSeconds"] * startup["failureThreshold"]
    )
    assert world.one("Deployment")["spec"]["progressDeadlineSeconds"] > budget


@pytest.mark.decision(15)
@pytest.mark.parametrize(
    "scaling",
    [
        {"minReplicas": 2, "maxReplicas": 4},
        {"maxReplicas": 1},
        {"cooldownSeconds": 60, "pollingIntervalSeconds": 5},
        {"runningRatioThreshold": "0.2", "triggers": {"queue": {"target": "1"}}},
    ],
)
def test_scaling_never_enters_the_pod_template(scaling: cluster.Object) -> None:
    assert deployed.template(scene.of(scaling=scaling)) == deployed.template()


@pytest.mark.parametrize(
    "spec",
    [
        {"gateway": {"enabled": True}},
        {"route": {"enabled": True, "hostname": "m"}},
        {"observability": {"metrics": {"interval": "5s"}}},
        {"access": {"from": [{"namespace": "a"}]}},
        {"routing": {"tier": "large"}},
        {"suspend": True},
        {"networkPolicies": {"ingress": []}},
    ],
)
def test_what_serves_around_the_pods_never_enters_the_template(spec: cluster.Object) -> None:
    assert deployed.template(scene.of(**spec), scene.site()) == deployed.template(
        scene.of(), scene.site()
    )


# --- environment


@pytest.mark.pitfall("KeyError getpwuid, /.cache denied: unknown uid, read-only root")
@pytest.mark.pitfall("the hub answers 429 to pods whose weights are there")
def test_the_environment() -> None:
    assert scene.environment(deployed.engine(scene.of(model={"preload": {"enabled": False}}))) == {
        "HOME": "/tmp",
        "USER": "vllm",
        "VLLM_LOGGING_LEVEL": "INFO",
        "VLLM_CACHE_ROOT": "/cache",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }


def test_the_authors_variables_replace_ours_and_come_last() -> None:
    field = {"fieldRef": {"fieldPath": "metadata.name"}}
    env = [
        {"name": "HF_HUB_OFFLINE", "value": "0"},
        {"name": "POD", "valueFrom": field},
        {"name": "EMPTY", "value": ""},
    ]
    site = scene.site("plain", permissions={"environment": ["llm"]})
    container = deployed.engine(scene.of(podTemplate={"env": env}), site)
    assert container["env"][-3:] == env
    assert scene.environment(container)["HF_HUB_OFFLINE"] == "0"


@pytest.mark.pitfall("runtime loading of adapters opens the engine to callers")
def test_runtime_adapter_loading_is_off() -> None:
    """With runtime loading any caller of the engine could make it load files."""
    names = set(scene.environment(deployed.engine(scene.of(loraAdapters=scene.ADAPTERS))))
    assert not {"VLLM_ALLOW_RUNTIME_LORA_UPDATING", "VLLM_SERVER_DEV_MODE", "VLLM_PLUGINS"} & names


def test_secrets_come_once_and_the_hub_token_not_at_all() -> None:
    container = deployed.engine(
        scene.of(
            model={"tokenSecretRef": {"name": "hub"}},
            externalSecrets=[{"name": "a", "remoteRef": "x"}],
            envFromSecrets=["a", "b"],
        )
    )
    assert container["envFrom"] == [{"secretRef": {"name": "a"}}, {"secretRef": {"name": "b"}}]
    assert "HF_TOKEN" not in scene.environment(container)
    assert "envFrom" not in deployed.engine()


def test_the_log_level_is_the_sites() -> None:
    config = scene.site(engine={"logLevel": "DEBUG"})
    assert scene.environment(deployed.engine(config=config))["VLLM_LOGGING_LEVEL"] == "DEBUG"


# --- how much of it can be remembered

# k8s.io/apimachinery, api/validation, TotalAnnotationSizeLimitB.
MOST_ANNOTATIONS = 256 * 1024


def padded(variables: int, annotations: int, longest: int) -> cluster.Object:
    """A claim with a number of values of a length, and as many Secrets as a claim may name."""
    secrets = [f"{index:02}" + "s" * 251 for index in range(16)]
    env = [{"name": f"V{index}", "value": "v" * longest} for index in range(variables)]
    return scene.of(
        envFromSecrets=secrets,
        podTemplate={
            "env": env,
            "annotations": {f"example.com/a{i}": "v" * longest for i in range(annotations)},
        },
    )


def test_what_is_remembered_of_any_template_that_is_taken_fits_into_an_object() -> None:
    short, long = 0, 4096
    site = scene.site(permissions={"environment": ["llm"]})
    while long - short > 1:
        middle = (short + long) // 2
        world = cluster.Cluster(padded(32, 32, middle), site).reconcile()
        short, long = (middle, long) if world.fatal is None else (short, middle)
    world = scene.serving(padded(32, 32, short), site)
    for kind in ("Deployment", "PodDisruptionBudget"):
        annotations = world.one(kind)["metadata"]["annotations"]
        size = sum(len(key) + len(value) for key, value in annotations.items())
        assert MOST_ANNOTATIONS - 20_000 < size < MOST_ANNOTATIONS - 500, kind


# --- resources and placement


@pytest.mark.parametrize(
    ("gpu", "key", "count"),
    [
        ({}, "nvidia.com/gpu", 1),
        ({"count": 3}, "nvidia.com/gpu", 3),
        ({"resourceName": "nvidia.com/mig-1g.10gb"}, "nvidia.com/mig-1g.10gb", 1),
    ],
)
def test_gpus_are_requested_and_limited_alike(gpu: cluster.Object, key: str, count: int) -> None:
    resources = deployed.engine(scene.of(gpu=gpu))["resources"]
    assert resources["requests"][key] == count
    assert resources["limits"][key] == count


def test_placement_comes_from_the_class() -> None:
    spec = deployed.pod(config=scene.site())
    assert spec["nodeSelector"] == {"karpenter.sh/nodepool": "gpu-l4"}
    assert spec["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    ]
    assert spec["runtimeClassName"] == "nvidia"
    assert "priorityClassName" not in spec
    assert "affinity" not in spec


@pytest.mark.pitfall("a multi-GPU node eats the cap")
def test_another_class_is_other_nodes() -> None:
    config = scene.site(gpu={"classes": {"h200": {"nodeSelector": {"gpu": "h200"}}}})
    spec = deployed.pod(scene.of(gpu={"class": "h200"}), config)
    assert spec["nodeSelector"] == {"gpu": "h200"}
    assert "tolerations" not in spec
    assert "runtimeClassName" not in spec


def test_the_authors_placement_adds_to_the_classs() -> None:
    toleration = {"key": "team", "operator": "Exists"}
    affinity: cluster.Object = {
        "nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}
    }
    spec = deployed.pod(
        scene.of(
            podTemplate={
                "nodeSelector": {"zone": "a", "karpenter.sh/nodepool": "mine"},
                "tolerations": [toleration],
                "affinity": affinity,
                "priorityClassName": "high",
            }
        ),
        scene.site(),
    )
    assert spec["nodeSelector"] == {"karpenter.sh/nodepool": "mine", "zone": "a"}
    assert spec["tolerations"][-1] == toleration
    assert len(spec["tolerations"]) == 2
    assert spec["affinity"] == affinity
    assert spec["priorityClassName"] == "high"


@pytest.mark.decision(15)
def test_pods_spread_over_nodes_but_always_schedule() -> None:
    (spread,) = deployed.pod()["topologySpreadConstraints"]
    assert spread["whenUnsatisfiable"] == "ScheduleAnyway"
    assert spread["topologyKey"] == "kubernetes.io/hostname"
    assert spread["labelSelector"] == {"matchLabels": LABELS}


@pytest.mark.parametrize(
    "own",
    [[], [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]],
)
def test_the_authors_spread_replaces_ours(own: list[cluster.Object]) -> None:
    claimed = scene.of(podTemplate={"topologySpreadConstraints": own})
    assert deployed.pod(claimed)["topologySpreadConstraints"] == own


@pytest.mark.pitfall("warm pods are evicted by consolidation")
@pytest.mark.decision(27)
def test_do_not_disrupt_is_a_static_annotation_of_the_class() -> None:
    assert deployed.template()["metadata"]["annotations"] == {"karpenter.sh/do-not-disrupt": "true"}
    assert "annotations" not in deployed.template(config=scene.site())["metadata"]
    own = scene.of(podTemplate={"annotations": {"karpenter.sh/do-not-disrupt": "false", "a": "b"}})
    assert deployed.template(own)["metadata"]["annotations"] == {
        "karpenter.sh/do-not-disrupt": "false",
        "a": "b",
    }


@pytest.mark.pitfall("the anonymous limit of a registry")
def test_pull_secrets() -> None:
    config = scene.site(imagePullSecrets=["registry"])
    world = scene.first(scene.of(), config)
    job = world.one("Job")["spec"]["template"]["spec"]
    assert job["imagePullSecrets"] == [{"name": "registry"}]
    assert deployed.pod(config=config)["imagePullSecrets"] == [{"name": "registry"}]
    assert "imagePullSecrets" not in deployed.pod()


# --- security


@pytest.mark.parametrize("profile", cluster.PROFILES)
@pytest.mark.parametrize("name", cluster.EXAMPLES)
def test_every_pod_of_every_example_is_restricted(name: str, profile: str) -> None:
    claimed, config = cluster.example(name), cluster.environment(profile)
    world = scene.first(claimed, config)
    job = world.one("Job")["spec"]["template"]["spec"]
    assert schemas.pod_security(job) == []
    world.converge()
    assert schemas.pod_security(world.template["spec"]) == []


def test_the_containers_security_context() -> None:
    assert deployed.engine()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.pitfall("permission denied on the weights: the uid is not the access point's")
def test_the_pods_identity_is_the_volumes() -> None:
    assert deployed.pod()["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 2000,
        "runAsGroup": 0,
        "fsGroup": 2000,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    config = scene.site("plain", weights={"fsGroup": None, "runAsGroup": None})
    assert deployed.pod(config=config)["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 2000,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_the_authors_security_context_is_merged_over_ours() -> None:
    container = deployed.engine(
        scene.of(securityContext={"runAsUser": 3000, "readOnlyRootFilesystem": False})
    )
    assert container["securityContext"]["runAsUser"] == 3000
    assert container["securityContext"]["readOnlyRootFilesystem"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_the_template_that_runs_is_remembered_beside_it() -> None:
    """The record is on the Deployment and not on its pods, so the record restarts no pod."""
    world = scene.serving()
    annotations = world.one("Deployment")["metadata"]["annotations"]
    assert identity.TEMPLATE_ANNOTATION in annotations
    assert identity.CLAIM_ANNOTATION in annotations
    assert "annotations" not in world.template["metadata"]
