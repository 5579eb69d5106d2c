"""The author's JSON merge patches: what they may change and what they never can."""

import copy
from typing import Any

import pytest

from function import claim_rows
from tests import cluster
from tests.resources import scene

OPEN = scene.site(permissions={"patches": ["llm"]})
EVERYTHING: Any = {
    "gateway": {"enabled": True},
    "route": {"enabled": True, "hostname": "m"},
}
PICKED: Any = {"gateway": {"enabled": True, "endpointPicker": {"enabled": True}}}


def patched(suffix: str, patch: cluster.Object, **spec: Any) -> cluster.Object:
    return scene.of(patches={suffix: patch}, **spec)


# --- what they may change


@pytest.mark.parametrize(
    ("suffix", "spec", "profile"),
    [
        ("serviceaccount", {}, "reference"),
        ("service", {}, "reference"),
        ("service-pods", EVERYTHING, "reference"),
        ("deployment", {}, "reference"),
        ("scaledobject", {}, "reference"),
        ("pdb", {}, "reference"),
        ("vmservicescrape", {}, "reference"),
        ("vmrule", {}, "reference"),
        ("servicemonitor", {}, "plain"),
        ("prometheusrule", {}, "plain"),
        ("httproute", {"route": EVERYTHING["route"]}, "reference"),
        ("httproute-direct", EVERYTHING, "reference"),
        ("gateway-backend", EVERYTHING, "reference"),
        ("gateway-aiservicebackend", EVERYTHING, "reference"),
        ("gateway-airoute", EVERYTHING, "reference"),
        ("backendtrafficpolicy", EVERYTHING, "reference"),
        ("epp-helmrelease", PICKED, "reference"),
        ("epp-vmservicescrape", PICKED, "reference"),
        ("epp-servicemonitor", PICKED, "monitored"),
    ],
)
def test_every_patchable_object_takes_its_patch(
    suffix: str, spec: cluster.Object, profile: str
) -> None:
    changes: Any = {"permissions": {"patches": ["llm"]}}
    if profile == "monitored":
        profile, changes["providers"] = "reference", {"monitoring": "prometheus-operator"}
    patch = {"metadata": {"annotations": {"example.com/owner": "me"}}}
    world = scene.serving(patched(suffix, patch, **spec), scene.site(profile, **changes))
    (row,) = [row for row in claim_rows.every() if row.patch == suffix and not row.former]
    item = world.objects[f"model-{row.suffix}"]
    assert item["metadata"]["annotations"]["example.com/owner"] == "me"
    others = [k for k, i in world.objects.items() if "example.com/owner" in str(i["metadata"])]
    assert others == [f"model-{row.suffix}"]


def test_the_job_takes_its_patch_before_it_is_named() -> None:
    patch = {"spec": {"backoffLimit": 1}}
    plain, world = scene.first(config=OPEN), scene.first(patched("preload-job", patch), OPEN)
    assert world.one("Job")["spec"]["backoffLimit"] == 1
    assert world.one("Job")["metadata"]["name"] != plain.one("Job")["metadata"]["name"]
    world.converge()


def test_the_list_of_patchable_objects_is_tested_whole() -> None:
    (mark,) = (
        mark
        for mark in test_every_patchable_object_takes_its_patch.pytestmark  # type: ignore[attr-defined]
        if mark.name == "parametrize"
    )
    tested = {case[0] for case in mark.args[1]}
    assert tested | {"preload-job"} == set(claim_rows.patchable())


def test_a_null_removes_and_a_list_replaces() -> None:
    patch = {
        "spec": {
            "advanced": None,
            "triggers": [{"type": "cpu", "metricType": "Utilization", "metadata": {"value": "50"}}],
        }
    }
    spec = scene.serving(patched("scaledobject", patch), OPEN).one("ScaledObject")["spec"]
    assert "advanced" not in spec
    assert [trigger["type"] for trigger in spec["triggers"]] == ["cpu"]
    assert spec["minReplicaCount"] == 1


def test_a_patch_of_the_pod_template_rolls_it_out_like_any_edit() -> None:
    world = scene.serving(config=OPEN)
    patch = {"spec": {"template": {"spec": {"priorityClassName": "high"}}}}
    world.edit(patches={"deployment": patch}).converge()
    assert world.template["spec"]["priorityClassName"] == "high"
    assert world.condition("Current") == ("True", "Serving")


@pytest.mark.decision(8)
def test_a_patch_never_touches_a_held_template() -> None:
    world = scene.serving(config=OPEN)
    before = world.template
    patch = {
        "spec": {
            "revisionHistoryLimit": 9,
            "template": {"spec": {"priorityClassName": "high"}},
        }
    }
    # The template is held: the claim wants another revision, which is not verified yet.
    world.edit(
        model={"repository": "org/model", "revision": "v2"}, patches={"deployment": patch}
    ).reconcile()
    assert world.condition("Current") == ("False", "WeightsPending")
    assert world.template == before
    assert world.one("Deployment")["spec"]["revisionHistoryLimit"] == 9
    world.settle().converge()
    assert world.template["spec"]["priorityClassName"] == "high"


def contained(container: cluster.Object, **pod: Any) -> cluster.Object:
    """A patch of the engine's container, and of fields of its pod."""
    containers = [{"name": "vllm", **container}]
    return {"spec": {"template": {"spec": {"containers": containers, **pod}}}}


def test_containers_variables_mounts_and_volumes_merge_by_name() -> None:
    bare = scene.serving(config=OPEN)
    patch = contained(
        {
            "env": [{"name": "USER", "value": "me"}, {"name": "EXTRA", "value": "1"}],
            "volumeMounts": [{"name": "more", "mountPath": "/more"}],
        },
        volumes=[
            {"name": "more", "emptyDir": {}},
            {"name": "shm", "emptyDir": {"sizeLimit": "9Gi"}},
        ],
    )
    world = scene.serving(patched("deployment", patch), OPEN)
    old, new = scene.container(bare), scene.container(world)
    variables = scene.environment(old) | {"USER": "me", "EXTRA": "1"}
    assert scene.environment(new) == variables
    assert new["volumeMounts"] == [*old["volumeMounts"], {"name": "more", "mountPath": "/more"}]
    assert {**new, "env": 0, "volumeMounts": 0} == {**old, "env": 0, "volumeMounts": 0}
    volumes = {volume["name"]: volume for volume in world.template["spec"]["volumes"]}
    assert list(volumes)[-1] == "more"
    assert volumes["shm"] == {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "9Gi"}}


def test_a_mount_of_the_author_s_may_be_of_a_volume_of_the_patch_s() -> None:
    patch = {"spec": {"template": {"spec": {"volumes": [{"name": "more", "emptyDir": {}}]}}}}
    mount = {"name": "more", "mountPath": "/more"}
    claimed = patched("deployment", patch, podTemplate={"volumeMounts": [mount]})
    world = scene.serving(claimed, scene.site(permissions={"patches": ["llm"], "volumes": ["llm"]}))
    assert scene.container(world)["volumeMounts"][-1] == mount
    assert world.template["spec"]["volumes"][-1] == {"name": "more", "emptyDir": {}}


@pytest.mark.parametrize(
    ("patch", "path", "wanted"),
    [
        (
            contained(
                {
                    "env": [
                        {"name": "USER", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
                    ]
                }
            ),
            ("env", "USER"),
            {"name": "USER", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        ),
        (
            contained({}, volumes=[{"name": "tmp", "csi": {"driver": "d"}}]),
            ("volumes", "tmp"),
            {"name": "tmp", "csi": {"driver": "d"}},
        ),
        (
            contained({}, volumes=[{"name": "tmp"}]),
            ("volumes", "tmp"),
            {"name": "tmp", "emptyDir": {"sizeLimit": "8Gi"}},
        ),
        (
            contained({"lifecycle": {"preStop": {"exec": {"command": ["true"]}}}}),
            ("lifecycle", "preStop"),
            {"exec": {"command": ["true"]}},
        ),
        (
            contained({"livenessProbe": {"exec": {"command": ["true"]}}}),
            ("livenessProbe",),
            {
                "exec": {"command": ["true"]},
                "periodSeconds": 30,
                "timeoutSeconds": 10,
                "failureThreshold": 6,
            },
        ),
    ],
)
def test_of_what_excludes_each_other_the_patch_s_is_left(
    patch: cluster.Object, path: tuple[str, ...], wanted: cluster.Object
) -> None:
    """The API server would refuse an object with both."""
    world = scene.serving(patched("deployment", patch), OPEN)
    node: Any = {**world.template["spec"], **scene.container(world)}
    for step in path:
        if isinstance(node, list):
            (node,) = (item for item in node if item["name"] == step)
        else:
            node = node[step]
    assert node == wanted


def whole() -> cluster.Object:
    """A patch in the form of releases before 1.1, which repeats fields that no patch may change."""
    rendered = scene.container(scene.serving(config=OPEN))
    kept = {field: rendered[field] for field in ("image", "resources", "securityContext")}
    return contained({**kept, "env": [{"name": "EXTRA", "value": "1"}]})


def test_a_patched_container_survives_an_engine_that_the_platform_changes() -> None:
    world = scene.serving(patched("deployment", whole()), OPEN)
    before = copy.deepcopy(world.template)
    assert scene.environment(scene.container(world))["EXTRA"] == "1"
    world.environments = [
        scene.site(permissions={"patches": ["llm"]}, engine={"version": "0.32.0"})
    ]
    world.converge()
    assert world.fatal is None
    assert world.template == before
    assert world.condition("Current") == ("False", "PlatformChangePending")
    world.edit(drainSeconds=60).converge()
    assert scene.container(world)["image"] == "vllm/vllm-openai:v0.32.0"
    assert scene.environment(scene.container(world))["EXTRA"] == "1"
    assert world.condition("Current") == ("True", "Serving")


def test_a_patched_container_survives_another_engine_and_other_weights_at_once() -> None:
    """A patch is checked against the rendered template; the held one has the old engine."""
    world = scene.serving(patched("deployment", whole()), OPEN)
    before = copy.deepcopy(world.template)
    model = {"repository": "org/model", "revision": "v2"}
    world.edit(model=model, engine={"version": "0.32.0"}).reconcile()
    assert world.fatal is None
    assert world.template == before
    assert world.condition("Current") == ("False", "WeightsPending")
    world.converge()
    assert scene.container(world)["image"] == "vllm/vllm-openai:v0.32.0"
    assert scene.environment(scene.container(world))["EXTRA"] == "1"


# --- what they never can


BARE: cluster.Object = {"metadata": {"annotations": None}}


def mark(name: str) -> cluster.Object:
    return {"metadata": {"annotations": {f"inference-service.cloud.ogenki.io/{name}": "x"}}}


FORBIDDEN: list[tuple[str, str, cluster.Object, cluster.Object]] = [
    ("service", "apiVersion", {"apiVersion": "v2"}, {}),
    ("service", "kind", {"kind": "ConfigMap"}, {}),
    ("service", "metadata.name", {"metadata": {"name": "other"}}, {}),
    ("service", "metadata.namespace", {"metadata": {"namespace": "kube-system"}}, {}),
    ("service", "metadata.ownerReferences", {"metadata": {"ownerReferences": []}}, {}),
    ("service", "spec.selector", {"spec": {"selector": {"app": "other"}}}, {}),
    ("service", "spec.selector", {"spec": {"selector": None}}, {}),
    ("service", "spec.clusterIP", {"spec": {"clusterIP": "None"}}, {}),
    ("service", "status", {"status": {"loadBalancer": {}}}, {}),
    ("deployment", "spec.replicas", {"spec": {"replicas": 5}}, {}),
    ("deployment", "spec.selector", {"spec": {"selector": {"matchLabels": {"a": "b"}}}}, {}),
    (
        "deployment",
        "spec.template.metadata.labels.app.kubernetes.io/name",
        {"spec": {"template": {"metadata": {"labels": {"app.kubernetes.io/name": "x"}}}}},
        {},
    ),
    (
        "deployment",
        "spec.template.spec.serviceAccountName",
        {"spec": {"template": {"spec": {"serviceAccountName": "admin"}}}},
        {},
    ),
    (
        "deployment",
        "metadata.annotations.inference-service.cloud.ogenki.io/pod-template",
        {"metadata": {"annotations": {"inference-service.cloud.ogenki.io/pod-template": "{}"}}},
        {},
    ),
    (
        "deployment",
        "metadata.annotations.inference-service.cloud.ogenki.io/pod-template-claim",
        {"metadata": {"annotations": None}},
        {},
    ),
    (
        "preload-job",
        "spec.template.metadata.labels.app.kubernetes.io/component",
        {
            "spec": {
                "template": {"metadata": {"labels": {"app.kubernetes.io/component": "inference"}}}
            }
        },
        {},
    ),
    (
        "preload-job",
        "metadata.annotations.inference-service.cloud.ogenki.io/weights",
        {"metadata": {"annotations": {"inference-service.cloud.ogenki.io/weights": "[]"}}},
        {},
    ),
    (
        "preload-job",
        "metadata.annotations.inference-service.cloud.ogenki.io/cache",
        mark("cache"),
        {},
    ),
    ("preload-job", "metadata.annotations.inference-service.cloud.ogenki.io/cache", BARE, {}),
    (
        "gateway-airoute",
        "metadata.annotations.inference-service.cloud.ogenki.io/model-names",
        mark("model-names"),
        EVERYTHING,
    ),
    (
        "gateway-airoute",
        "metadata.labels.inference-service.cloud.ogenki.io/serves-0123456789ab",
        {"metadata": {"labels": {"inference-service.cloud.ogenki.io/serves-0123456789ab": "llm"}}},
        EVERYTHING,
    ),
    (
        "gateway-airoute",
        "metadata.labels.inference-service.cloud.ogenki.io/serves-",
        {"metadata": {"labels": None}},
        EVERYTHING,
    ),
    ("pdb", "spec.selector", {"spec": {"selector": {"matchLabels": None}}}, {}),
    ("scaledobject", "spec.scaleTargetRef", {"spec": {"scaleTargetRef": {"name": "x"}}}, {}),
    ("vmservicescrape", "spec.selector", {"spec": {"selector": {"matchLabels": {"a": "b"}}}}, {}),
    ("epp-helmrelease", "spec.releaseName", {"spec": {"releaseName": "x"}}, PICKED),
    ("epp-helmrelease", "spec.targetNamespace", {"spec": {"targetNamespace": "x"}}, PICKED),
    ("epp-helmrelease", "spec.kubeConfig", {"spec": {"kubeConfig": {}}}, PICKED),
    ("epp-helmrelease", "spec.serviceAccountName", {"spec": {"serviceAccountName": "a"}}, PICKED),
    ("epp-helmrelease", "spec.chartRef", {"spec": {"chartRef": {"name": "x"}}}, PICKED),
    ("epp-helmrelease", "spec.postRenderers", {"spec": {"postRenderers": None}}, PICKED),
    (
        "epp-helmrelease",
        "spec.values.inferencePool.modelServers",
        {"spec": {"values": {"inferencePool": {"modelServers": {"matchLabels": {"a": "b"}}}}}},
        PICKED,
    ),
    ("backendtrafficpolicy", "spec.targetRefs", {"spec": {"targetRefs": []}}, EVERYTHING),
    *(
        (
            "service",
            f"metadata.labels.app.kubernetes.io/{label}",
            {"metadata": {"labels": {f"app.kubernetes.io/{label}": None}}},
            {},
        )
        for label in ("name", "instance", "component", "part-of")
    ),
]


@pytest.mark.decision(8)
@pytest.mark.parametrize(("suffix", "path", "patch", "spec"), FORBIDDEN)
def test_forbidden_paths(
    suffix: str, path: str, patch: cluster.Object, spec: cluster.Object
) -> None:
    world = scene.serving(scene.of(**spec), OPEN)
    before = {key: item["metadata"]["name"] for key, item in world.objects.items()}
    world.edit(patches={suffix: patch}).reconcile()
    if suffix == "preload-job":
        # The claim above has no Job any more. A new claim is refused before it gets a Job.
        assert f"spec.patches.{suffix}.{path}" in scene.refused(
            patched(suffix, patch, **spec), OPEN
        )
    assert world.fatal is not None
    assert f"spec.patches.{suffix}.{path}" in world.fatal
    # The pods that run keep running.
    assert {key: item["metadata"]["name"] for key, item in world.objects.items()} == before


@pytest.mark.parametrize(
    ("suffix", "patch", "path"),
    [
        ("deployment", contained({"args": 5}), "containers[0].args"),
        ("deployment", contained({"env": [{"name": {}}]}), "containers[0].env[0].name"),
        ("deployment", contained({"name": {}}), "containers[0].name"),
        ("deployment", contained({"ports": ["x"]}), "containers[0].ports[0]"),
        ("deployment", contained({"securityContext": 5}), "containers[0].securityContext"),
        (
            "deployment",
            contained({"resources": {"requests": {"cpu": "many"}}}),
            "containers[0].resources.requests.cpu",
        ),
        ("deployment", contained({}, volumes=[{"name": 5}]), "volumes[0].name"),
        ("preload-job", {"spec": {"template": {"spec": {"containers": 5}}}}, "containers"),
    ],
)
def test_a_patch_that_leaves_no_pod_template_is_refused_with_its_field(
    suffix: str, patch: cluster.Object, path: str
) -> None:
    message = scene.refused(patched(suffix, patch), OPEN)
    assert f"spec.patches.{suffix}.spec.template.spec.{path}: " in message


@pytest.mark.parametrize(
    "suffix",
    ["cilium-netpol", "cilium-netpol-preload", "networkpolicy", "externalsecret-token", "nothing"],
)
def test_an_unknown_suffix_names_those_that_there_are(suffix: str) -> None:
    message = scene.refused(patched(suffix, {}), OPEN)
    assert f"spec.patches.{suffix}: no such object; there are: backendtrafficpolicy" in message


def test_patches_need_the_namespaces_permission() -> None:
    message = scene.refused(patched("service", {}), scene.site(permissions={"patches": ["other"]}))
    assert "permissions.patches" in message
    assert "namespace llm" in message


def test_a_patch_that_names_itself_in_vain_changes_nothing() -> None:
    world = scene.serving(config=OPEN)
    same = {"spec": {"selector": world.one("Service")["spec"]["selector"]}}
    world.edit(patches={"service": same}).converge()
    assert world.fatal is None


PAUSED = "autoscaling.keda.sh/paused-replicas"
SIDECAR: Any = {
    "name": "sidecar",
    "image": "registry.example.com/sidecar:1",
    "restartPolicy": "Always",
    "resources": {"limits": {"nvidia.com/gpu": "8"}},
}


def of_pod(spec: cluster.Object) -> cluster.Object:
    return {"spec": {"template": {"spec": spec}}}


def gpus(resources: cluster.Object) -> cluster.Object:
    return of_pod({"containers": [{"name": "vllm", "resources": resources}]})


@pytest.mark.decision(8)
@pytest.mark.parametrize(
    ("suffix", "patch"),
    [
        ("scaledobject", {"spec": {"maxReplicaCount": 100}}),
        ("scaledobject", {"spec": {"minReplicaCount": 4}}),
        ("scaledobject", {"metadata": {"annotations": {PAUSED: "100"}}}),
        ("deployment", gpus({"limits": {"nvidia.com/gpu": 8}})),
        ("deployment", of_pod({"initContainers": [SIDECAR]})),
        ("deployment", of_pod({"resourceClaims": [{"name": "a", "resourceClaimName": "b"}]})),
    ],
)
def test_a_patch_cannot_change_how_many_gpus_there_are(suffix: str, patch: cluster.Object) -> None:
    """The settings cap the fields for the GPU count. A patch would go around the cap."""
    config = scene.site(permissions={"patches": ["llm"], "hostAccess": ["llm"]})
    claimed = patched(suffix, patch, model={"preload": {"enabled": False}})
    refusal = str(cluster.Cluster(claimed, config).born().fatal)
    assert f"spec.patches.{suffix}." in refusal
    assert "a patch cannot" in refusal


def test_a_patch_cannot_wake_a_suspended_claim() -> None:
    patch = {"metadata": {"annotations": {PAUSED: None}}}
    world = scene.serving(config=OPEN)
    world.edit(suspend=True, patches={"scaledobject": patch}).reconcile()
    assert PAUSED in str(world.fatal)


@pytest.mark.parametrize(
    ("pod", "path"),
    [
        ({"volumes": [{"name": "a", "emptyDir": {}}] * 2}, "volumes[1].name"),
        (
            {"containers": [{"name": "vllm", "env": [{"name": "A", "value": v} for v in "12"]}]},
            "containers[0].env[1].name",
        ),
    ],
)
def test_what_stands_twice_in_a_patch_is_refused(pod: cluster.Object, path: str) -> None:
    """The API server would refuse the object, or drop one of the two entries."""
    config = scene.site(permissions={"patches": ["llm"], "volumes": ["llm"]})
    claimed = patched("deployment", of_pod(pod))
    assert f"spec.patches.deployment.spec.template.spec.{path}: " in scene.refused(claimed, config)
