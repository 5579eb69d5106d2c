"""State transitions: given this claim and these observed objects, expect those and that.

Each case is one situation of a claim's life. The cluster is `tests/cluster.py`.
"""

import copy
import json

import pytest
from crossplane.function.proto.v1 import run_function_pb2 as fnv1

from function.resources import deployment, preload
from tests import cluster
from tests.scaling import promql

NAME = "xplane-qwen-coder"
OTHER_REVISION = "0" * 40


def new(name: str = NAME, profile: str = "reference") -> cluster.Cluster:
    return cluster.Cluster(cluster.example(name), cluster.environment(profile))


def serving(name: str = NAME, profile: str = "reference") -> cluster.Cluster:
    world = new(name, profile)
    world.converge()
    assert world.phase == "Serving"
    return world


def swap(world: cluster.Cluster, revision: str = OTHER_REVISION) -> cluster.Cluster:
    model = copy.deepcopy(world.claim["spec"]["model"])
    model["revision"] = revision
    return world.edit(model=model)


def pod(component: str, **status: object) -> cluster.Object:
    labels = {"app.kubernetes.io/component": component}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"p-{component}", "labels": labels},
        "status": status,
    }


# --- birth


def test_a_new_claim_downloads_before_it_asks_for_a_gpu() -> None:
    world = new().reconcile()
    assert world.phase == "Pending"
    assert world.condition("WeightsReady") == ("False", "Queued")
    world.one("Job")["status"] = {"active": 1, "ready": 0}
    world.reconcile()
    assert world.condition("WeightsReady") == ("False", "Queued")
    assert "has not started" in world.message("WeightsReady")
    world.one("Job")["status"] = {"active": 1, "ready": 1}
    world.reconcile()
    assert world.phase == "Downloading"
    assert world.condition("WeightsReady") == ("False", "Downloading")
    assert world.condition("EngineReady") == ("False", "WeightsPending")
    assert "Deployment" not in world.kinds_there()


def test_verified_weights_bring_the_deployment_and_then_end_the_job() -> None:
    world = new().reconcile().settle()
    world.reconcile()
    assert {"Deployment", "ScaledObject", "PodDisruptionBudget", "Job"} <= world.kinds_there()
    assert world.condition("WeightsReady") == ("True", "Verified")
    world.reconcile()
    assert "Job" not in world.kinds_there(), "the status shows the record: the Job may go"
    assert world.condition("WeightsReady") == ("True", "Verified")


def test_the_job_stays_until_the_status_shows_what_it_made() -> None:
    world = new().reconcile().settle()
    world.reconcile()
    del world.claim["status"]["weights"]  # the write of the status was lost
    world.reconcile()
    assert "Job" in world.kinds_there()
    assert world.claim["status"]["weights"]["verified"]


def test_the_gateway_route_comes_when_the_engine_serves_and_stays_through_an_outage() -> None:
    world = new().reconcile().settle().reconcile()
    assert "AIGatewayRoute" not in world.kinds_there()
    assert world.condition("RouteReady") == ("False", "Withheld")
    world.settle().reconcile()
    assert "AIGatewayRoute" in world.kinds_there()
    world.one("Deployment")["status"] = {"observedGeneration": 1, "replicas": 1}
    world.reconcile()
    assert "AIGatewayRoute" in world.kinds_there()
    assert world.condition("EngineReady") == ("False", "Starting")
    assert world.phase == "Starting"


def test_a_claim_without_preload_does_not_wait_and_says_where_weights_must_lie() -> None:
    claim = cluster.example("smallest")
    claim["spec"]["model"]["preload"] = {"enabled": False}
    world = cluster.Cluster(claim, cluster.environment("plain")).reconcile()
    assert "Deployment" in world.kinds_there()
    assert "Job" not in world.kinds_there()
    assert world.condition("WeightsReady") == ("True", "NotManaged")
    assert "/models/main" in world.message("WeightsReady")
    assert world.arguments[0] == "/models/main"


def test_status_names_what_serves() -> None:
    status = serving().claim["status"]
    assert status["serving"]["repository"] == "Qwen/Qwen2.5-Coder-7B-Instruct"
    assert status["serving"]["adapters"] == [
        "xplane-qwen-coder-sql-dpo",
        "xplane-qwen-coder-securecode",
    ]
    assert status["replicas"] == "1/1"
    assert status["waitingFor"] == ""
    assert status["observedGeneration"] == 1


def test_the_generation_moves_on_only_with_conditions_that_are_about_it() -> None:
    """Core writes it beside the conditions that it read, and `kubectl wait` believes it.

    So the fields that an answer writes must be true of the conditions that it was asked with.
    """
    world = serving()
    world.edit(model={**world.claim["spec"]["model"], "contextWindow": 8192})
    stale = world.claim["status"]["conditions"]
    assert world.condition("Current") == ("True", "Serving")
    world.reconcile()
    assert world.condition("Current") == ("False", "RollingOut")
    assert world.claim["status"]["observedGeneration"] == 1, f"it would stand beside {stale}"
    world.reconcile()
    assert world.claim["status"]["observedGeneration"] == 2


# --- swap


def test_a_swap_keeps_the_old_template_until_the_new_weights_are_verified() -> None:
    world = serving()
    before = copy.deepcopy(world.template)
    swap(world).reconcile()
    assert world.template == before
    assert world.phase == "Updating"
    assert world.condition("Current") == ("False", "WeightsPending")
    assert all(world.ready.values()), "a running swap turns Current off, not Ready"
    world.settle().reconcile()
    assert world.template != before
    assert world.condition("Current") == ("False", "RollingOut")
    world.settle().reconcile()
    assert world.condition("Current") == ("True", "Serving")
    assert world.claim["status"]["serving"]["revision"] == OTHER_REVISION


def test_every_other_engine_setting_waits_with_the_old_weights() -> None:
    world = serving()
    before = copy.deepcopy(world.template)
    model = copy.deepcopy(world.claim["spec"]["model"])
    model |= {"revision": OTHER_REVISION, "contextWindow": 4096, "maxNumSeqs": 8}
    world.edit(model=model).reconcile()
    assert world.template == before


def test_a_reverted_swap_rolls_nothing() -> None:
    world = serving()
    before = copy.deepcopy(world.template)
    model = copy.deepcopy(world.claim["spec"]["model"])
    swap(world).reconcile().settle("Job").reconcile()
    world.edit(model=model).reconcile()
    assert world.template == before
    assert "Job" not in world.kinds_there()
    assert world.condition("Current")[0] == "True"


def test_a_failed_download_leaves_the_old_model_serving_and_says_why() -> None:
    world = serving()
    before = copy.deepcopy(world.template)
    swap(world).reconcile()
    cluster.fail_job(world, 10)
    world.reconcile()
    assert world.template == before
    assert world.condition("WeightsReady") == ("False", "Unauthorized")
    assert "generation" in world.message("WeightsReady")
    assert world.condition("Current")[0] == "False"
    assert world.phase == "Degraded"


@pytest.mark.parametrize(
    ("code", "reason"),
    [(10, "Unauthorized"), (11, "NotFound"), (12, "DiskFull"), (13, "HubUnavailable")],
)
def test_a_failed_first_download_is_a_failed_claim(code: int, reason: str) -> None:
    world = new().reconcile()
    cluster.fail_job(world, code)
    world.reconcile()
    assert world.phase == "Failed"
    assert world.condition("WeightsReady") == ("False", reason)
    assert "Deployment" not in world.kinds_there()


def test_raising_the_generation_starts_another_try() -> None:
    world = new().reconcile()
    cluster.fail_job(world, 13)
    world.reconcile()
    failed = world.one("Job")["metadata"]["name"]
    model = copy.deepcopy(world.claim["spec"]["model"])
    model["preload"] = {"enabled": True, "generation": 1}
    world.edit(model=model).reconcile()
    assert world.one("Job")["metadata"]["name"] != failed
    world.settle().reconcile()
    assert world.condition("WeightsReady") == ("True", "Verified")
    world.converge()
    assert world.claim["status"]["weights"]["generation"] == 1
    assert "Job" not in world.kinds_there()


def test_a_new_adapter_is_another_job_and_a_removed_one_leaves_nothing_behind() -> None:
    world = serving()
    adapters = copy.deepcopy(world.claim["spec"]["loraAdapters"])
    added = [*adapters, {"name": "third", "repository": "a/b", "revision": "1" * 40}]
    world.edit(loraAdapters=added).reconcile()
    assert "third" not in " ".join(world.arguments)
    world.converge()
    assert any(argument.startswith("third=") for argument in world.arguments)
    gateway = {"enabled": True, "canaries": []}
    world.edit(loraAdapters=[], gateway=gateway)
    world.converge()
    assert "--enable-lora" not in world.arguments
    assert not [key for key in world.objects if "canary" in key]


def test_no_traffic_is_sent_to_an_adapter_before_it_is_served() -> None:
    world = serving()
    before = copy.deepcopy(world.one("AIGatewayRoute")["spec"])
    adapters = [
        *world.claim["spec"]["loraAdapters"],
        {"name": "third", "repository": "a/b", "revision": "1" * 40},
    ]
    canaries = [{"adapter": "third", "weightPercent": 50}]
    world.edit(loraAdapters=adapters, gateway={"enabled": True, "canaries": canaries})
    world.reconcile()
    assert "third" not in str(world.one("AIGatewayRoute")["spec"])
    assert "third" not in world.claim["status"]["servedModelsSummary"]
    world.settle().reconcile()
    assert "third" not in str(world.one("AIGatewayRoute")["spec"]), "still rolling out"
    world.converge()
    assert "third" in str(world.one("AIGatewayRoute")["spec"])
    assert world.one("AIGatewayRoute")["spec"] != before


def test_triggers_follow_the_pods_that_run() -> None:
    world = serving()
    model = copy.deepcopy(world.claim["spec"]["model"])
    model |= {"revision": OTHER_REVISION, "maxNumSeqs": 256}
    world.edit(model=model).reconcile()
    trigger = world.one("ScaledObject")["spec"]["triggers"][0]
    assert trigger["metadata"]["threshold"] == "22.4"
    world.converge()
    trigger = world.one("ScaledObject")["spec"]["triggers"][0]
    assert trigger["metadata"]["threshold"] == "179.2"


def test_a_secret_that_running_pods_need_is_not_withdrawn() -> None:
    world = new()
    world.claim["spec"]["externalSecrets"] = [{"name": "tok", "remoteRef": "a/b"}]
    world.converge()
    world.edit(externalSecrets=[])
    swap(world).reconcile()
    assert "ExternalSecret" in world.kinds_there()
    world.converge()
    assert "ExternalSecret" not in world.kinds_there()


def test_the_route_names_the_pool_only_while_it_is_there() -> None:
    world = serving()
    world.edit(gateway={"enabled": True, "endpointPicker": {"enabled": True}})
    world.reconcile()
    assert "InferencePool" not in str(world.one("AIGatewayRoute")["spec"])
    world.settle().reconcile()
    assert "InferencePool" in str(world.one("AIGatewayRoute")["spec"])
    world.converge()
    world.edit(gateway={"enabled": True, "endpointPicker": {"enabled": False}})
    world.reconcile()
    assert "InferencePool" not in str(world.one("AIGatewayRoute")["spec"])
    assert "HelmRelease" in world.kinds_there(), "core deletes before it applies"
    world.converge()
    assert "HelmRelease" not in world.kinds_there()


def test_an_external_secret_is_no_route() -> None:
    world = new()
    world.claim["spec"]["externalSecrets"] = [{"name": "gateway-token", "remoteRef": "a/b"}]
    world.converge()
    world.one("ExternalSecret")["status"] = {
        "conditions": [cluster.condition("Ready", "False", "SecretSyncedError", "no")]
    }
    world.reconcile()
    assert world.condition("RouteReady") == ("True", "Published")
    assert "no" in world.claim["status"]["waitingFor"]


def test_suspended_is_said_only_when_nothing_serves() -> None:
    world = serving()
    world.edit(suspend=True).reconcile()
    assert world.condition("ScalerReady") == ("False", "Pausing")
    assert world.phase == "Updating"
    world.converge()
    assert world.condition("ScalerReady") == ("True", "Paused")
    assert world.phase == "Suspended"


# --- weights that nobody wants any more


def retiring(retention: str = "Delete") -> cluster.Cluster:
    """A claim that has just moved to another revision, all pods with it."""
    claim = cluster.example(NAME)
    claim["spec"]["model"]["retention"] = retention
    world = cluster.Cluster(claim, cluster.environment("reference"))
    world.converge()
    swap(world).reconcile().settle().reconcile()
    assert world.condition("Current") == ("False", "RollingOut")
    return world


def directories(world: cluster.Cluster, field: str) -> list[str]:
    listed = world.claim["status"]["weights"].get(field, [])
    return [item if isinstance(item, str) else item["directory"] for item in listed]


def cleanups(world: cluster.Cluster) -> list[cluster.Object]:
    return [item for key, item in world.objects.items() if "-cleanup-job-" in key]


def test_old_weights_stay_unless_the_claim_says_otherwise() -> None:
    world = retiring("Retain")
    world.converge()
    assert len(directories(world, "verified")) == 4, "two base models and two adapters"
    assert not cleanups(world)
    assert "removing" not in world.claim["status"]["weights"]
    assert not any("cleanup" in key for key in world.objects)


def test_old_weights_go_in_two_steps_once_every_pod_has_left_them() -> None:
    world = retiring()
    (old,) = set(directories(world, "verified")) - set(wanted(world))
    world.reconcile()
    assert old in directories(world, "verified"), "pods still roll"
    world.settle().reconcile()
    assert world.condition("Current") == ("True", "Serving")
    assert directories(world, "removing") == [old]
    assert old not in directories(world, "verified"), "first nobody counts on it"
    assert not cleanups(world)
    world.reconcile()
    (job,) = cleanups(world)
    container = job["spec"]["template"]["spec"]["containers"][0]
    (variable,) = container["env"]
    assert json.loads(variable["value"])["remove"] == [old.rpartition("/")[2]]
    assert "envFrom" not in container, "it has no use for a token"
    assert all(world.ready.values())
    world.settle().reconcile()
    assert not directories(world, "removing")
    world.reconcile()
    assert not cleanups(world)
    assert world.converge() == 1


def wanted(world: cluster.Cluster) -> list[str]:
    (job,) = [item for key, item in world.objects.items() if "-preload-job-" in key]
    return list(json.loads(job["metadata"]["annotations"][preload.WEIGHTS_ANNOTATION]))


def test_a_claim_that_goes_back_downloads_again() -> None:
    world = retiring()
    world.settle().reconcile().reconcile()
    (job,) = cleanups(world)
    old = world.claim["status"]["serving"]["revision"]
    assert old == OTHER_REVISION
    swap(world, cluster.example(NAME)["spec"]["model"]["revision"]).reconcile()
    assert not cleanups(world), "a Job that removes what is wanted is the first to go"
    assert world.condition("WeightsReady") == ("False", "Queued")
    before = [key for key in world.objects if "-preload-job-" in key]
    assert not before, "the download waits until that Job is gone"
    world.reconcile()
    assert [key for key in world.objects if "-preload-job-" in key]
    assert world.condition("Current") == ("False", "WeightsPending")
    world.converge()
    assert world.condition("Current") == ("True", "Serving")
    del job


def test_weights_that_a_held_template_needs_stay() -> None:
    """The swap was accepted by nobody yet, or its download fails: pods run with the old ones."""
    claim = cluster.example(NAME)
    claim["spec"]["model"]["retention"] = "Delete"
    world = cluster.Cluster(claim, cluster.environment("reference"))
    world.converge()
    before = directories(world, "verified")
    swap(world).reconcile()
    cluster.fail_job(world, 11)
    for _ in range(3):
        world.reconcile()
    assert directories(world, "verified") == before
    assert not directories(world, "removing")
    assert not cleanups(world)


def test_weights_are_kept_while_what_replaces_them_never_starts() -> None:
    """Going back from a model that crashes must not be a download."""
    world = retiring()
    before = directories(world, "verified")
    for _ in range(3):
        live = world.one("Deployment")
        live["status"] = {
            "observedGeneration": live["metadata"]["generation"],
            "replicas": 1,
            "updatedReplicas": 1,
        }
        world.reconcile()
    assert directories(world, "verified") == before
    assert not directories(world, "removing")


def test_a_removal_that_fails_is_said_and_stops_nothing() -> None:
    world = retiring()
    world.settle().reconcile().reconcile()
    (job,) = cleanups(world)
    words = "Container cleanup for pod llm/x failed with exit code 15 matching FailJob rule"
    job["status"] = {"conditions": [cluster.condition("Failed", "True", "PodFailurePolicy", words)]}
    world.reconcile()
    assert world.condition("WeightsReady") == ("True", "CleanupFailed")
    assert "refuses writes" in world.message("WeightsReady")
    assert world.phase == "Serving"
    assert all(world.ready.values())
    assert [(s, reason) for s, reason, _ in world.events] == [
        (fnv1.SEVERITY_WARNING, "CleanupFailed")
    ]
    world.reconcile()
    assert not world.events
    assert cleanups(world), "it stays to be looked at"
    model = copy.deepcopy(world.claim["spec"]["model"])
    model["preload"] = {"generation": 1}
    world.edit(model=model).reconcile()
    (again,) = cleanups(world)
    assert again["metadata"]["name"] != job["metadata"]["name"]


def test_a_change_of_retention_restarts_nothing() -> None:
    world = serving()
    before = copy.deepcopy(world.template)
    model = copy.deepcopy(world.claim["spec"]["model"])
    model["retention"] = "Delete"
    world.edit(model=model).reconcile()
    assert world.template == before
    assert world.condition("Current") == ("True", "Serving")
    assert not directories(world, "removing"), "nothing was left behind yet"


# --- nothing restarts by surprise


def test_a_settings_change_waits_for_the_author() -> None:
    world = serving()
    before = copy.deepcopy(world.template)
    world.environments[0]["data"]["inferenceService"]["engine"]["version"] = "0.32.0"
    world.reconcile()
    assert world.template == before
    assert world.condition("Current") == ("False", "PlatformChangePending")
    assert "containers[vllm].image" in world.message("Current")
    assert world.phase == "Serving"
    world.edit(drainSeconds=60)
    world.converge()
    assert world.template["spec"]["containers"][0]["image"] == "vllm/vllm-openai:v0.32.0"
    assert world.condition("Current") == ("True", "Serving")


def test_a_settings_change_is_taken_at_once_where_the_settings_say_so() -> None:
    world = serving()
    settings = world.environments[0]["data"]["inferenceService"]
    settings["engine"]["version"] = "0.32.0"
    settings["rollout"] = {"platformChanges": "Immediate"}
    world.reconcile()
    assert world.template["spec"]["containers"][0]["image"] == "vllm/vllm-openai:v0.32.0"


def test_the_author_accepts_one_platform_change_by_annotation() -> None:
    world = serving()
    settings = world.environments[0]["data"]["inferenceService"]
    settings["engine"]["version"] = "0.32.0"
    world.reconcile()
    token = world.message("Current").rsplit("=", 1)[1]
    world.claim["metadata"]["annotations"] = {"inference-service.cloud.ogenki.io/accept": token}
    world.converge()
    assert world.template["spec"]["containers"][0]["image"].endswith("v0.32.0")
    settings["engine"]["version"] = "0.33.0"
    world.reconcile()
    assert world.condition("Current") == ("False", "PlatformChangePending"), "accepted once only"


@pytest.mark.parametrize(
    "edit",
    [
        {"scaling": {"minReplicas": 1, "maxReplicas": 4}},
        {"scaling": {"minReplicas": 1, "maxReplicas": 2, "cooldownSeconds": 600}},
        {"gateway": {"enabled": False}},
        {"gateway": {"enabled": True, "canaries": []}},
        {"observability": {"metrics": {"interval": "15s"}, "alerts": {"errorRatio": "0.1"}}},
        {"access": {"from": [{"namespace": "x"}]}},
        {"routing": {"tier": "large"}},
    ],
)
def test_what_pods_do_not_depend_on_restarts_none(edit: cluster.Object) -> None:
    world = serving()
    before = copy.deepcopy(world.template)
    world.edit(**edit)
    world.converge()
    assert world.template == before
    assert world.condition("Current") == ("True", "Serving")


def test_an_edit_that_pods_do_not_depend_on_does_not_take_a_held_platform_change() -> None:
    world = serving()
    before = copy.deepcopy(world.template)
    world.environments[0]["data"]["inferenceService"]["engine"]["version"] = "0.32.0"
    world.edit(scaling={"minReplicas": 1, "maxReplicas": 3})
    world.converge()
    assert world.template == before


def test_a_hand_edited_deployment_is_put_right() -> None:
    world = serving()
    before = copy.deepcopy(world.template)
    world.template["spec"]["containers"][0]["image"] = "evil"
    world.reconcile()
    assert world.template == before


def test_a_lost_annotation_holds_what_runs() -> None:
    world = serving()
    del world.one("Deployment")["metadata"]["annotations"][deployment.TEMPLATE_ANNOTATION]
    before = copy.deepcopy(world.template)
    world.reconcile()
    assert world.template == before
    assert deployment.TEMPLATE_ANNOTATION in world.one("Deployment")["metadata"]["annotations"]


# --- take-over


@pytest.mark.parametrize("name", [n for n in cluster.EXAMPLES if n != "smallest"])
def test_a_take_over_restarts_and_deletes_nothing(name: str) -> None:
    world = cluster.taken_over(cluster.example(name), cluster.environment("reference"))
    before = copy.deepcopy(world.template)
    identities = {key: item["metadata"]["uid"] for key, item in world.objects.items()}
    world.reconcile()
    deleted = [
        write.removeprefix("delete ") for write in world.writes if write.startswith("delete")
    ]
    assert deleted == [f"{name}-preload-job"]
    assert world.template == before
    for key, identity in identities.items():
        if key not in deleted:
            assert world.objects[key]["metadata"]["uid"] == identity
    world.converge()
    assert world.template == before, "held: nobody edited or accepted"
    assert world.condition("Current") == ("False", "PlatformChangePending")
    assert world.phase == "Serving"


def test_a_taken_over_claim_rolls_when_its_author_edits_it() -> None:
    world = cluster.taken_over(cluster.example(NAME), cluster.environment("reference"))
    world.converge()
    world.edit(drainSeconds=60)
    world.converge()
    assert world.arguments[0].startswith("/models/base-")
    assert "--cpu-offload-gb" not in world.arguments
    assert world.condition("Current") == ("True", "Serving")


def test_an_edit_during_a_take_over_waits_for_the_weights() -> None:
    world = cluster.taken_over(cluster.example(NAME), cluster.environment("reference"))
    before = copy.deepcopy(world.template)
    world.reconcile()
    world.edit(drainSeconds=60)
    world.reconcile()
    assert world.template == before
    assert world.condition("Current") == ("False", "WeightsPending")


def test_index_named_canaries_go_only_after_the_route_forgot_them() -> None:
    world = cluster.taken_over(cluster.example(NAME), cluster.environment("reference"))
    old = f"{NAME}-gateway-aiservicebackend-canary-0"
    world.reconcile()
    assert old in world.objects, "the observed route still names it"
    world.reconcile()
    assert old not in world.objects


def test_a_finished_job_of_0_9_0_proves_nothing() -> None:
    world = cluster.taken_over(cluster.example(NAME), cluster.environment("reference"))
    assert world.one("Job")["status"]["succeeded"] == 1
    world.reconcile()
    assert world.condition("WeightsReady") == ("False", "Queued")


# --- nothing is lost


@pytest.mark.parametrize(
    "spoil",
    [
        lambda w: w.claim["spec"]["model"].__setitem__("repository", "../etc"),
        lambda w: w.claim["spec"].__setitem__("engineArgs", ["--MODEL=x"]),
        lambda w: w.environments[0]["data"]["inferenceService"].__setitem__("typo", 1),
        lambda w: w.environments.clear(),
        lambda w: w.claim["spec"].__setitem__("gpu", {"count": 1, "class": "none"}),
    ],
)
def test_what_cannot_be_rendered_changes_nothing_and_says_so(spoil: object) -> None:
    world = serving()
    objects = copy.deepcopy(world.objects)
    status = {k: v for k, v in world.claim["status"].items() if k != "conditions"}
    assert callable(spoil)
    spoil(world)
    world.reconcile()
    assert world.fatal
    assert world.objects == objects
    assert world.condition("Valid")[0] == "False"
    assert world.condition("Valid")[1] in ("Invalid", "SettingsInvalid")
    assert world.condition("EngineReady") == ("True", "Serving")
    assert {k: v for k, v in world.claim["status"].items() if k != "conditions"} == status


def test_a_mended_claim_goes_on_without_a_false_event() -> None:
    world = serving()
    world.claim["spec"]["engineArgs"] = ["--model=x"]
    world.reconcile()
    world.claim["spec"]["engineArgs"] = []
    world.reconcile()
    assert [reason for _, reason, _ in world.events] == ["Valid"]
    assert world.condition("Current") == ("True", "Serving")


def test_conditions_that_core_spoilt_are_no_transition() -> None:
    world = serving()
    for condition in world.claim["status"]["conditions"]:
        condition |= {"status": "Unknown", "reason": "FatalError"}
    world.reconcile()
    assert world.events == []
    assert world.condition("Current") == ("True", "Serving")


# --- scale to zero and suspend


def asleep(name: str = NAME) -> cluster.Cluster:
    claim = cluster.example(name)
    claim["spec"]["scaling"] = {"minReplicas": 0, "maxReplicas": 2}
    world = cluster.Cluster(claim, cluster.environment("reference"))
    world.converge()
    return world


def test_a_claim_born_at_zero_starts_no_pod() -> None:
    claim = cluster.example(NAME)
    claim["spec"]["scaling"] = {"minReplicas": 0, "maxReplicas": 2}
    world = cluster.Cluster(claim, cluster.environment("reference"))
    world.reconcile().settle().reconcile()
    assert world.one("Deployment")["spec"]["replicas"] == 0
    world.converge()
    assert world.one("Deployment")["spec"]["replicas"] == 0
    assert world.phase == "Idle"
    assert world.condition("Current") == ("True", "Idle")
    assert all(world.ready.values())


def test_a_claim_born_at_zero_has_its_route_or_nothing_could_wake_it() -> None:
    world = asleep()
    assert world.phase == "Idle"
    assert "AIGatewayRoute" in world.kinds_there()
    assert world.condition("RouteReady") == ("True", "Published")


def test_a_woken_replica_that_still_loads_is_not_taken_away() -> None:
    scaled = asleep().one("ScaledObject")["spec"]
    template = asleep().template["spec"]["containers"][0]["startupProbe"]
    assert scaled["cooldownPeriod"] >= template["failureThreshold"] * template["periodSeconds"]


def test_a_woken_claim_is_never_put_back_to_zero() -> None:
    world = asleep()
    world.one("Deployment")["spec"]["replicas"] = 1  # KEDA
    world.reconcile()
    assert world.one("Deployment")["spec"]["replicas"] == 1
    world.converge()
    assert world.phase == "Serving"
    world.one("Deployment")["spec"]["replicas"] = 0  # KEDA, cooled down
    world.one("Deployment")["status"] = {"observedGeneration": 9}
    world.reconcile()
    assert "replicas" not in world.owned[f"{NAME}-deployment"]["spec"], "KEDA owns it for good"
    assert world.phase == "Idle"


def test_a_count_that_bridges_is_refused_where_somebody_scaled_meanwhile() -> None:
    """Found on a real control plane: a woken replica was put back by a reconcile that was older."""
    world = asleep()
    world.one("Deployment")["metadata"]["resourceVersion"] = "7"
    world.reconcile()
    desired = world.desired(f"{NAME}-deployment")
    assert (desired["spec"]["replicas"], desired["metadata"]["resourceVersion"]) == (0, "7")
    world.one("Deployment")["spec"]["replicas"] = 1  # KEDA
    world.reconcile()
    desired = world.desired(f"{NAME}-deployment")
    assert "resourceVersion" not in desired["metadata"], "the autoscaler's count needs none"


def test_zero_without_a_wake_signal_is_held_at_one() -> None:
    claim = cluster.example("smallest")
    claim["spec"]["scaling"] = {"minReplicas": 0, "maxReplicas": 2}
    world = cluster.Cluster(claim, cluster.environment("plain"))
    world.converge()
    assert world.one("ScaledObject")["spec"]["minReplicaCount"] == 1
    assert world.condition("ScalerReady") == ("False", "NoWakeSignal")
    assert world.phase == "Serving"
    # What is standing must not hide what breaks, nor what the author asked for.
    world.one("ScaledObject")["status"] = {
        "conditions": [cluster.condition("Ready"), cluster.condition("Fallback")]
    }
    world.reconcile()
    assert world.condition("ScalerReady") == ("False", "FallbackActive")
    world.claim["spec"]["suspend"] = True
    world.converge()
    assert world.condition("ScalerReady") == ("True", "Paused")


class NoSeries:
    """A metrics server that answers, and knows nothing of this claim."""

    def instant(self) -> list[promql.Sample]:
        return []

    def increase(self, seconds: float) -> list[promql.Sample]:
        del seconds
        return []


def test_at_zero_absent_pod_series_do_not_wake() -> None:
    world = asleep()
    queries = [
        trigger["metadata"]["query"] for trigger in world.one("ScaledObject")["spec"]["triggers"]
    ]
    assert len(queries) == 4
    assert [promql.evaluate(query, NoSeries()) for query in queries] == [[0.0]] * 4


def test_a_suspended_claim_gives_its_gpus_back_and_keeps_the_rest() -> None:
    world = serving()
    kinds = world.kinds_there()
    world.edit(suspend=True)
    world.converge()
    assert world.one("Deployment")["spec"]["replicas"] == 0
    assert world.phase == "Suspended"
    assert world.kinds_there() == kinds
    assert all(world.ready.values())
    world.edit(suspend=False)
    world.converge()
    assert world.phase == "Serving"
    annotations = world.one("ScaledObject")["metadata"]["annotations"]
    assert "autoscaling.keda.sh/paused-replicas" not in annotations


def test_a_claim_born_suspended_has_no_pod_at_all_but_its_weights() -> None:
    claim = cluster.example(NAME)
    claim["spec"]["suspend"] = True
    world = cluster.Cluster(claim, cluster.environment("reference"))
    world.converge()
    assert "Deployment" not in world.kinds_there()
    assert world.condition("WeightsReady") == ("True", "Verified")
    assert world.phase == "Suspended"
    world.edit(suspend=False)
    world.converge()
    assert world.phase == "Serving"


def test_without_an_autoscaler_the_replica_count_is_ours() -> None:
    world = new("smallest", "plain")
    world.environments[0]["data"]["inferenceService"]["providers"]["autoscaler"] = "none"
    world.claim["spec"]["scaling"] = {"minReplicas": 2, "maxReplicas": 3}
    world.converge()
    assert world.one("Deployment")["spec"]["replicas"] == 2
    assert "ScaledObject" not in world.kinds_there()
    world.edit(suspend=True).reconcile()
    assert world.one("Deployment")["spec"]["replicas"] == 0


def test_a_fixed_count_is_kept_until_the_autoscaler_owns_it() -> None:
    world = new("smallest", "plain")
    providers = world.environments[0]["data"]["inferenceService"]["providers"]
    providers["autoscaler"] = "none"
    world.claim["spec"]["scaling"] = {"minReplicas": 3, "maxReplicas": 5}
    world.converge()
    providers["autoscaler"] = "keda"
    world.converge()
    assert world.owned["smallest-deployment"]["spec"]["replicas"] == 3
    item = world.one("Deployment")
    item["spec"]["replicas"] = 4
    owner = {"manager": "keda", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    item["metadata"]["managedFields"] = [owner]
    world.reconcile()
    assert "replicas" not in world.owned["smallest-deployment"]["spec"]
    assert world.one("Deployment")["spec"]["replicas"] == 4


# --- what a claim says


def test_a_replica_that_cannot_fit_is_never_asked_for() -> None:
    world = new()
    world.environments[0]["data"]["inferenceService"]["gpu"]["classes"]["l4"]["nodeMemory"] = "20Gi"
    world.converge()
    assert "Deployment" not in world.kinds_there()
    assert world.condition("EngineReady") == ("False", "ExceedsGpuClass")
    assert "32Gi" in world.message("EngineReady")
    assert world.phase == "Failed"


def test_a_running_model_is_held_rather_than_rolled_to_what_cannot_fit() -> None:
    world = serving()
    before = copy.deepcopy(world.template)
    world.edit(cache={"kvOffload": {"enabled": True, "sizeGB": 400}})
    world.converge()
    assert world.template == before
    assert world.condition("Current") == ("False", "ExceedsGpuClass")
    assert world.phase == "Serving"


def test_a_missing_kind_is_said_and_left_out_until_it_is_there() -> None:
    world = new()
    world.kinds = {
        "v1/Service": True,
        "keda.sh/v1alpha1/ScaledObject": True,
        "cilium.io/v2/CiliumNetworkPolicy": False,
    }
    world.reconcile()
    assert "CiliumNetworkPolicy" not in world.kinds_there()
    assert world.condition("PolicyReady") == ("False", "KindMissing")
    assert world.response.desired.composite.ready != 1
    world.kinds["cilium.io/v2/CiliumNetworkPolicy"] = True
    world.converge()
    assert "CiliumNetworkPolicy" in world.kinds_there()
    world.kinds = dict.fromkeys(world.kinds, False)
    world.reconcile()
    assert "CiliumNetworkPolicy" in world.kinds_there(), "an observed object is never dropped"


def test_kinds_are_asked_about_only_until_they_are_observed() -> None:
    world = new()
    world.kinds = {}
    world.reconcile()
    asked = set(world.response.requirements.schemas)
    assert "kind cilium.io/v2/CiliumNetworkPolicy" in asked
    world.converge()
    assert not world.response.requirements.schemas


def test_all_answers_empty_means_that_nobody_answers() -> None:
    world = new()
    world.kinds = {"v1/Service": False, "cilium.io/v2/CiliumNetworkPolicy": False}
    world.reconcile()
    assert "CiliumNetworkPolicy" in world.kinds_there()


def test_pods_explain_a_start_where_the_settings_allow_to_read_them() -> None:
    world = new().reconcile().settle().reconcile()
    world.environments[0]["data"]["inferenceService"]["diagnostics"] = {"pods": True}
    world.reconcile()
    asked = world.response.requirements.resources["pods"]
    assert asked.match_labels.labels["app.kubernetes.io/instance"] == NAME
    assert asked.namespace == "llm"
    assert world.response.meta.ttl.seconds == 60
    waiting = cluster.condition("PodScheduled", "False", "Unschedulable", "0/3 nodes: no GPU")
    world.pods = [pod("inference", conditions=[waiting])]
    world.one("Deployment")["status"] = {"observedGeneration": 1, "replicas": 1}
    world.reconcile()
    assert world.phase == "WaitingForGPU"
    assert "no GPU" in world.message("EngineReady")


def test_the_engine_s_last_words_are_passed_on() -> None:
    world = new().reconcile().settle().reconcile()
    world.environments[0]["data"]["inferenceService"]["diagnostics"] = {"pods": True}
    words = "ValueError: To serve at least one request with the model's max seq len (32768)"
    status = {
        "name": "vllm",
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"exitCode": 1, "message": words}},
    }
    world.pods = [pod("inference", containerStatuses=[status])]
    world.one("Deployment")["status"] = {"observedGeneration": 1, "replicas": 1}
    world.reconcile()
    assert world.phase == "Failed"
    assert world.condition("EngineReady") == ("False", "CrashLooping")
    assert words in world.message("EngineReady")


def learnt(**facts: object) -> cluster.Cluster:
    """Returns a claim whose preload pod said what it downloaded."""
    world = new("xplane-qwen3-8b").reconcile()
    world.environments[0]["data"]["inferenceService"]["diagnostics"] = {"pods": True}
    environment = world.one("Job")["spec"]["template"]["spec"]["containers"][0]["env"]
    plan = json.loads(next(e["value"] for e in environment if e["name"] == "PRELOAD_PLAN"))
    said = {"items": [{"directory": plan["items"][0]["directory"], **facts}]}
    terminated = {"terminated": {"exitCode": 0, "message": json.dumps(said)}}
    world.pods = [pod("preload", containerStatuses=[{"name": "preload", "state": terminated}])]
    world.settle().reconcile()
    world.pods = None
    world.converge()
    return world


def test_what_the_checkpoint_is_is_learnt_from_the_job_s_last_words() -> None:
    world = learnt(sha="b" * 40, bytes=16_400_000_000, dtype="bfloat16")
    record = world.claim["status"]["weights"]["verified"][0]
    assert (record["sha"], record["bytes"]) == ("b" * 40, 16_400_000_000)
    assert world.claim["status"]["serving"]["sha"] == "b" * 40
    assert "--quantization=fp8" in world.arguments


def test_a_checkpoint_that_is_quantized_already_gets_no_flag() -> None:
    world = learnt(quantization="compressed-tensors")
    assert not [a for a in world.arguments if a.startswith("--quantization")]


def test_failures_are_counted_as_keda_does() -> None:
    """Its condition is undone for a poll now and then; its counts are not."""
    world = serving()
    for failures, state, condition, reason in (
        (4, "Failing", "False", "Ready"),
        (5, "Failing", "False", "FallbackActive"),
        (0, "Happy", "True", "Ready"),
    ):
        world.one("ScaledObject")["status"] = {
            "conditions": [cluster.condition("Ready"), cluster.condition("Fallback", condition)],
            "health": {"s0-prometheus": {"status": state, "numberOfFailures": failures}},
        }
        world.reconcile()
        assert world.condition("ScalerReady")[1] == reason


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ([cluster.condition("Ready", "False", "ScaledObjectCheckFailed", "x")], "TriggerError"),
        ([cluster.condition("Ready", "True", "PartialTriggerError", "x")], "TriggerError"),
        ([cluster.condition("Ready"), cluster.condition("Fallback")], "FallbackActive"),
        ([], "Creating"),
    ],
)
def test_what_ails_the_scaler_is_said(status: list[cluster.Object], reason: str) -> None:
    world = serving()
    world.one("ScaledObject")["status"] = {"conditions": status}
    world.reconcile()
    assert world.condition("ScalerReady") == ("False", reason)
    assert world.phase == "Serving"


def test_fewer_replicas_than_wanted_is_degraded() -> None:
    world = serving()
    item = world.one("Deployment")
    item["spec"]["replicas"] = 2
    item["status"] |= {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 1}
    world.reconcile()
    assert world.phase == "Degraded"
    assert world.claim["status"]["replicas"] == "1/2"


def test_a_start_that_takes_too_long_is_said() -> None:
    world = new().reconcile().settle().reconcile()
    late = cluster.condition("Progressing", "False", "ProgressDeadlineExceeded", "timed out")
    world.one("Deployment")["status"] = {"replicas": 1, "conditions": [late]}
    world.reconcile()
    assert world.condition("EngineReady") == ("False", "ProgressDeadlineExceeded")
    assert world.phase == "Failed"


def test_events_tell_each_transition_once() -> None:
    world = new().reconcile()
    cluster.fail_job(world, 11)
    world.reconcile()
    assert "NotFound" in [reason for _, reason, _ in world.events]
    world.reconcile()
    assert world.events == []


def half_told(world: cluster.Cluster) -> cluster.Cluster:
    """Reconciles, and lets core's cache show no more of that than its first write.

    Core writes the fields of a status, tells the events and writes the conditions then.
    """
    before = copy.deepcopy(world.claim["status"]["conditions"])
    world.reconcile()
    world.lag(cluster.CLAIM)
    world.lagging[cluster.CLAIM]["status"]["conditions"] = before
    return world


@pytest.mark.parametrize("ready", ["False", "True"])
def test_an_event_is_told_once_though_core_has_not_seen_its_own_conditions(ready: str) -> None:
    world = serving()
    for status in ("True", "False", "True") if ready == "True" else ("True", "False"):
        error = cluster.condition("Ready", status, "ScaledObjectReady", "no such host")
        world.one("ScaledObject")["status"] = {"conditions": [error]}
        world.catch_up()
        half_told(world)
        told = [message.split(":")[0] for _, _, message in world.events]
    assert told == [f"ScalerReady={ready}"]
    world.reconcile()
    assert world.events == []
    world.catch_up().reconcile()
    assert world.events == []


def test_what_is_told_once_is_not_told_again_with_the_next_change() -> None:
    """The old conditions are still what core shows when something else changes too."""
    world = serving()
    error = cluster.condition("Ready", "False", "ScaledObjectCheckFailed", "no such host")
    world.one("ScaledObject")["status"] = {"conditions": [error]}
    half_told(world)
    assert [reason for _, reason, _ in world.events] == ["TriggerError"]
    world.one("Deployment")["status"] = {"replicas": 1}
    world.reconcile()
    assert [reason for _, reason, _ in world.events] == ["RollingOut", "Starting"]


def test_what_changes_meanwhile_is_told() -> None:
    """An answer came between, and another change after it."""
    world = serving()
    for words in ("no such host", "connection refused"):
        error = cluster.condition("Ready", "False", "ScaledObjectCheckFailed", words)
        world.one("ScaledObject")["status"] = {"conditions": [error]}
        half_told(world)
        assert [reason for _, reason, _ in world.events] == ["TriggerError"]


def test_a_steady_claim_is_looked_at_rarely() -> None:
    assert serving().response.meta.ttl.seconds >= 600


# --- what random lives found (tests/checker)


def test_a_suspended_claim_that_still_serves_has_not_failed() -> None:
    world = serving()
    swap(world).reconcile()
    cluster.fail_job(world, 10)
    world.edit(suspend=True).reconcile()
    assert world.phase == "Updating"
    assert world.condition("WeightsReady") == ("False", "Unauthorized")


def test_a_replica_that_only_starts_holds_its_gpus_and_is_not_called_suspended() -> None:
    world = new().reconcile().settle().reconcile()
    world.one("Deployment")["status"] = {"observedGeneration": 1, "replicas": 1}
    world.edit(suspend=True).reconcile()
    assert world.phase == "Updating"
    assert "still to go" in world.claim["status"]["waitingFor"]
    assert world.condition("ScalerReady") == ("False", "Pausing")
    world.converge()
    assert world.phase == "Suspended"
    assert world.claim["status"]["waitingFor"] == ""


def test_pods_that_a_quota_refuses_are_fewer_replicas_and_no_rollout() -> None:
    world = serving()
    world.scale(2)
    world.one("Deployment")["status"] |= {"observedGeneration": 99, "updatedReplicas": 1}
    world.reconcile()
    assert world.phase == "Degraded"
    assert world.condition("Current") == ("True", "Serving")


def test_pods_that_roll_are_said_although_the_next_change_is_held() -> None:
    world = serving()
    world.edit(drainSeconds=60).reconcile()
    world.environments[0]["data"]["inferenceService"]["engine"]["version"] = "0.32.0"
    world.reconcile()
    assert world.condition("Current") == ("False", "PlatformChangePending")
    assert world.phase == "Updating"


def test_a_claim_whose_replica_fits_no_node_is_not_ready() -> None:
    world = new()
    world.environments[0]["data"]["inferenceService"]["gpu"]["classes"]["l4"]["nodeMemory"] = "20Gi"
    world.converge()
    assert world.phase == "Failed"
    assert world.response.desired.composite.ready == fnv1.READY_FALSE


def test_a_backend_keeps_naming_the_service_that_is_made_again() -> None:
    world = serving()
    before = copy.deepcopy(world.one("Backend")["spec"])
    world.delete(f"{NAME}-service-pods")
    world.reconcile()
    assert world.one("Backend")["spec"] == before
    assert "create xplane-qwen-coder-service-pods" in world.writes


def test_a_deployment_deleted_in_the_middle_of_a_swap_is_made_again_at_once() -> None:
    world = serving()
    before = copy.deepcopy(world.template)
    swap(world).reconcile()
    world.delete(f"{NAME}-deployment")
    world.reconcile()
    assert world.template == before
    assert {"ScaledObject", "PodDisruptionBudget", "Job"} <= world.kinds_there()
    assert world.condition("Current") == ("False", "WeightsPending")
    world.converge()
    assert world.claim["status"]["serving"]["revision"] == OTHER_REVISION


def test_a_deployment_deleted_while_asleep_comes_back_without_a_pod() -> None:
    world = asleep()
    world.scale(1).reconcile()
    world.scale(0).settle().reconcile()
    world.delete(f"{NAME}-deployment")
    world.reconcile()
    assert world.one("Deployment")["spec"]["replicas"] == 0
    world.converge()
    assert world.phase == "Idle"


def test_a_deployment_deleted_while_suspended_comes_back_with_what_it_was() -> None:
    world = serving()
    before = copy.deepcopy(world.template)
    world.edit(suspend=True)
    world.converge()
    world.delete(f"{NAME}-deployment")
    swap(world).reconcile()
    assert "Deployment" not in world.kinds_there(), "a suspended claim starts no pod"
    assert {"ScaledObject", "PodDisruptionBudget"} <= world.kinds_there()
    world.edit(suspend=False).reconcile()
    assert world.template == before


def test_a_withheld_template_is_not_remembered_as_one_that_ran() -> None:
    world = new()
    world.claim["spec"]["suspend"] = True
    world.converge()
    assert "PodDisruptionBudget" not in world.kinds_there()
    world.edit(suspend=False)
    world.converge()
    world.edit(suspend=True)
    world.converge()
    budget = world.one("PodDisruptionBudget")["metadata"]["annotations"]
    assert json.loads(budget[deployment.TEMPLATE_ANNOTATION]) == world.template
