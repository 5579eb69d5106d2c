"""A replica of several pods: the LeaderWorkerSet, what selects its pods, and who reaches them."""

from typing import Any

import pytest

from tests import cluster, schemas
from tests.resources import groups, reach, scene

GROUP = "inference-service.cloud.ogenki.io/group"
LABELS = {
    "app.kubernetes.io/name": "model",
    "app.kubernetes.io/instance": "model",
    "app.kubernetes.io/part-of": "ai",
    GROUP: "model",
}
LEADER = reach.Pod("llm", {**LABELS, "app.kubernetes.io/component": "inference"})
FOLLOWER = reach.Pod("llm", {**LABELS, "app.kubernetes.io/component": "inference-worker"})
OTHER = reach.Pod("llm", {**FOLLOWER.labels, GROUP: "other", "app.kubernetes.io/name": "other"})
PROXY = reach.Pod("llm", {"app.kubernetes.io/name": "vllm-semantic-router"})
DNS = reach.Pod("kube-system", {"k8s-app": "kube-dns"})


@pytest.mark.parametrize(
    ("count", "asked", "pods"),
    [
        (8, {"pipeline": 2}, 2),
        (4, {"tensor": 16}, 4),
        (8, {"pipeline": 2, "data": 2, "expert": True}, 4),
        (8, {"tensor": 4, "data": 4}, 2),
    ],
)
def test_a_replica_has_as_many_pods_as_its_gpus_fill(
    count: int, asked: dict[str, Any], pods: int
) -> None:
    world = groups.serving(groups.of(count=count, **asked))
    made = world.one("LeaderWorkerSet")
    assert made["spec"]["leaderWorkerTemplate"]["size"] == pods
    assert "Deployment" not in world.kinds_there()
    assert world.phase == "Serving"
    assert world.claim["status"]["gpu"] == f"{pods} pods of {count} x h100"
    assert groups.arguments(groups.templates(world)[0])["--nnodes"] == str(pods)


@pytest.mark.parametrize(
    ("asked", "flags"),
    [
        ({"tensor": 2}, {"--tensor-parallel-size": "2"}),
        ({"tensor": 1, "pipeline": 2}, {"--pipeline-parallel-size": "2"}),
        ({"tensor": 1, "data": 2}, {"--data-parallel-size": "2"}),
        ({"expert": True}, {"--tensor-parallel-size": "2", "--enable-expert-parallel": None}),
    ],
)
def test_a_replica_of_one_pod_stays_a_deployment(
    asked: dict[str, Any], flags: dict[str, str | None]
) -> None:
    world = groups.serving(groups.of(count=2, **asked))
    given = scene.values(world.arguments[1:])
    parallel = {flag: given[flag] for flag in given if "parallel" in flag}
    assert parallel == flags
    assert "--nnodes" not in given
    assert "LeaderWorkerSet" not in world.kinds_there()


def test_the_objects_have_the_form_that_upstream_asks_for() -> None:
    world = groups.serving()
    for item in world.owned.values():
        if item["kind"] in ("LeaderWorkerSet", "CiliumNetworkPolicy", "ScaledObject"):
            assert schemas.validate(item) == []


def test_the_pods_find_each_other_by_what_the_controller_tells_them() -> None:
    for template in groups.templates(groups.serving()):
        given = groups.arguments(template)
        assert given["--node-rank"] == "$(LWS_WORKER_INDEX)"
        assert given["--master-addr"] == "$(LWS_LEADER_ADDRESS)"
        assert given["--distributed-executor-backend"] == "mp"


def test_only_the_leader_answers_and_is_asked() -> None:
    leader, follower = groups.templates(groups.serving())
    (serves,), (follows,) = leader["spec"]["containers"], follower["spec"]["containers"]
    assert serves["readinessProbe"]["httpGet"]["path"] == "/health"
    probes = ("ports", "startupProbe", "readinessProbe", "livenessProbe")
    assert not [field for field in probes if field in follows]
    assert "--headless" in groups.arguments(follower)
    assert "--headless" not in groups.arguments(leader)


def test_services_select_leaders_and_nobody_else() -> None:
    world = groups.serving(groups.of(spec={"gateway": {"enabled": True}}))
    labels = [template["metadata"]["labels"] for template in groups.templates(world)]
    services = [item for item in world.objects.values() if item["kind"] == "Service"]
    assert len(services) == 2
    for service in services:
        selector = service["spec"]["selector"].items()
        assert [selector <= pod.items() for pod in labels] == [True, False]


@pytest.mark.parametrize("scaling", [{}, {"minReplicas": 0}])
def test_a_picker_of_the_claims_own_objects_picks_leaders(scaling: dict[str, Any]) -> None:
    config = groups.site()
    config["data"]["inferenceService"]["endpointPicker"] = {"provider": "native"}
    gateway = {"enabled": True, "endpointPicker": {"enabled": True}}
    world = groups.serving(groups.of(spec={"gateway": gateway, "scaling": scaling}), config)
    selector = world.one("InferencePool")["spec"]["selector"]["matchLabels"].items()
    pods = [template["metadata"]["labels"] for template in groups.templates(world)]
    pods.append(
        world.one("Deployment", "picker-deployment")["spec"]["template"]["metadata"]["labels"]
    )
    assert [selector <= labels.items() for labels in pods] == [True, False, False]
    rules = {
        rule["alert"]: rule["expr"]
        for group in world.one("VMRule")["spec"]["groups"]
        for rule in group["rules"]
    }
    assert f'statefulset="{groups.NAME}"' in rules["InferenceServiceEndpointPickerBlind"]
    assert "kube_deployment" not in str(rules)


def test_copies_of_a_model_meet_at_the_leaders_own_address() -> None:
    """ZeroMQ binds to no name, and the pods that follow connect by one."""
    leader, follower = groups.templates(groups.serving(groups.of(data=2)))
    assert groups.arguments(leader)["--data-parallel-address"] == "$(POD_IP)"
    assert "--data-parallel-address" not in groups.arguments(follower)
    (container,) = leader["spec"]["containers"]
    assert scene.environment(container)["POD_IP"] == {"fieldRef": {"fieldPath": "status.podIP"}}


def test_an_author_s_variable_with_the_address_takes_the_place_of_ours() -> None:
    """Kubernetes refuses a name twice."""
    own = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    claimed = groups.of(data=2, spec={"podTemplate": {"env": [own]}})
    for template in groups.templates(groups.serving(claimed)):
        (container,) = template["spec"]["containers"]
        assert [one for one in container["env"] if one["name"] == "POD_IP"] == [own]


def test_what_the_copies_compute_at_once_counts_together() -> None:
    claimed = groups.of(spec={"model": {"maxNumSeqs": 10}}, data=2)
    (trigger,) = [
        trigger
        for trigger in groups.serving(claimed).one("ScaledObject")["spec"]["triggers"]
        if trigger["name"] == "running"
    ]
    assert trigger["metadata"]["threshold"] == "14"


def test_the_scaler_scales_groups() -> None:
    target = groups.serving().one("ScaledObject")["spec"]["scaleTargetRef"]
    assert target == {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "name": groups.NAME,
    }


def test_a_group_lies_where_the_class_says_that_its_network_is() -> None:
    key = "leaderworkerset.sigs.k8s.io/exclusive-topology"
    rack = groups.site(groupTopology="topology.example.com/rack")
    placed = groups.serving(None, rack).one("LeaderWorkerSet")["metadata"]["annotations"]
    assert placed[key] == "topology.example.com/rack"
    assert key not in groups.serving().one("LeaderWorkerSet")["metadata"]["annotations"]


def test_a_pod_that_is_lost_takes_its_group_with_it() -> None:
    group = groups.serving().one("LeaderWorkerSet")["spec"]["leaderWorkerTemplate"]
    assert group["restartPolicy"] == "RecreateGroupOnPodRestart"


def test_an_eviction_counts_every_pod_of_the_claim() -> None:
    world = groups.serving()
    selector = world.one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"].items()
    for template in groups.templates(world):
        assert selector <= template["metadata"]["labels"].items()


def test_the_alerts_look_at_the_leaders() -> None:
    rules = str(groups.serving().one("VMRule")["spec"])
    series = f'{{namespace="llm",statefulset="{groups.NAME}"}}'
    assert f"kube_statefulset_status_replicas_ready{series}" in rules
    assert f'pod=~"{groups.NAME}-[0-9]+"' in rules
    assert "kube_deployment" not in rules


@pytest.mark.parametrize("provider", ["cilium", "kubernetes"])
@pytest.mark.parametrize(
    ("source", "target", "port", "open_"),
    [
        (FOLLOWER, LEADER, 29501, True),
        (FOLLOWER, LEADER, 29550, True),
        (LEADER, FOLLOWER, 45000, True),
        (FOLLOWER, FOLLOWER, 32768, True),
        (FOLLOWER, DNS, 53, True),
        (FOLLOWER, LEADER, 8000, False),
        (FOLLOWER, LEADER, 22, False),
        (OTHER, LEADER, 29501, False),
        (FOLLOWER, OTHER, 45000, False),
        (PROXY, FOLLOWER, 8000, False),
        (PROXY, LEADER, 45000, False),
        (PROXY, LEADER, 8000, True),
        (FOLLOWER, reach.WORLD, 443, False),
    ],
)
def test_pods_of_a_group_reach_each_other_and_nobody_else(
    provider: str, source: reach.Pod, target: reach.End, port: int, open_: bool
) -> None:
    world = groups.serving(None, groups.site(provider))
    policies = [item for item in world.owned.values() if item["kind"].endswith("NetworkPolicy")]
    assert reach.allows(policies, source, target, port, "UDP" if port == 53 else "TCP") is open_


def test_a_group_costs_what_all_of_its_gpus_cost() -> None:
    world = groups.serving(None, groups.site(pricePerHour="2"))
    assert world.claim["status"]["cost"]["perHourMin"] == "32"


def test_the_cap_on_gpus_counts_all_pods() -> None:
    config = groups.site()
    config["data"]["inferenceService"]["limits"] = {"maxGPUs": 31}
    words = scene.refused(groups.of(spec={"scaling": {"maxReplicas": 2}}), config)
    assert "2 replicas of 16 GPUs are above the settings' limits.maxGPUs of 31" in words


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"engineArgs": ["--tensor-parallel-size=4"]},
            "engineArgs sets --tensor-parallel-size and spec.gpu.parallelism is set too: keep one",
        ),
        (
            {"patches": {"deployment": {"spec": {"minReadySeconds": 1}}}},
            "spec.patches.deployment: a replica of several pods has no Deployment",
        ),
        ({"patches": {"leaderworkerset": {"spec": {}}}}, "spec.patches.leaderworkerset"),
    ],
)
def test_what_a_group_cannot_have_is_refused(changes: cluster.Object, words: str) -> None:
    config = groups.site()
    config["data"]["inferenceService"]["permissions"]["patches"] = ["*"]
    assert words in scene.refused(groups.of(spec=changes), config)


def test_a_name_leaves_room_for_the_names_of_the_pods() -> None:
    claimed = groups.of(spec={"name": "m" * 35})
    assert "35 characters are above the 34" in scene.refused(claimed, groups.site())
    groups.serving(groups.of(spec={"name": "m" * 34}))


def test_no_claim_takes_the_name_of_a_group() -> None:
    assert "is the name of a Service of claim 'model'" in scene.refused(
        scene.of(name=groups.NAME), groups.site()
    )
