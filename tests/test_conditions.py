"""The conditions of a claim that waits: true, and constant while nothing changes.

Each case is a situation that the conditions once described wrongly.
"""

import copy
import json
from typing import Any

import pytest

from function.cluster import observed
from function.composites import inference_service
from function.planning import identity
from tests import cluster, controllers, recordings
from tests.resources import scene

GATEWAY: Any = {"gateway": {"enabled": True}}
SLEEPS: Any = {"scaling": {"minReplicas": 0, "maxReplicas": 2}}
DIAGNOSTICS: Any = {"diagnostics": {"pods": True}}
NO_AUTOSCALER: Any = {"providers": {"autoscaler": "none"}}


def starting(claimed: cluster.Object | None = None, **settings: Any) -> cluster.Cluster:
    """A claim whose weights are verified, and whose first pod does not get ready."""
    world = cluster.Cluster(claimed or scene.of(), scene.site(**settings)).born()
    world.settle().reconcile()
    status = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1}
    world.one("Deployment")["status"] = status
    return world.reconcile()


def asleep(**settings: Any) -> cluster.Cluster:
    world = scene.serving(scene.of(**GATEWAY, **SLEEPS), scene.site(**settings))
    world.one("Deployment")["spec"]["replicas"] = 0
    world.converge()
    assert world.phase == "Idle"
    return world


def swapped(world: cluster.Cluster) -> cluster.Cluster:
    """Asks for another model, whose download has begun."""
    return world.edit(model={"repository": "org/other"}).reconcile()


def ready(world: cluster.Cluster) -> bool:
    return not [key for key, item in world.response.desired.resources.items() if item.ready != 1]


# --- weights


def test_each_try_of_a_download_is_counted() -> None:
    world = cluster.Cluster(scene.of(), scene.site(preload={"backoffLimit": 6})).born()
    for status, reason, words in (
        ({}, "Queued", "is about to start"),
        ({"active": 1, "ready": 1}, "Downloading", "downloading and verifying org/model@main"),
        ({"failed": 1}, "Queued", "is about to start (try 2 of 7)"),
        ({"failed": 1, "active": 1}, "Queued", "has not started (try 2 of 7)"),
        ({"failed": 3, "active": 1, "ready": 1}, "Downloading", "org/model@main (try 4 of 7)"),
        ({"failed": 7}, "Queued", "is about to start"),
    ):
        world.one("Job")["status"] = status
        world.reconcile()
        assert world.condition("WeightsReady") == ("False", reason)
        assert words in world.message("WeightsReady")
        assert ("try" in world.message("WeightsReady")) is ("try" in words)


def ended(world: cluster.Cluster, name: str, at: str, words: str) -> cluster.Object:
    """A pod of the Job that ended with a termination message."""
    terminated = {"exitCode": 11, "finishedAt": at, "message": words}
    labels = {"app.kubernetes.io/component": "preload", "batch.kubernetes.io/job-name": name}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"p-{at}", "labels": labels},
        "status": {"containerStatuses": [{"name": "preload", "state": {"terminated": terminated}}]},
    }


def test_a_failed_download_is_explained_by_the_program_itself() -> None:
    world = cluster.Cluster(scene.of(), scene.site(**DIAGNOSTICS)).born()
    name = world.one("Job")["metadata"]["name"]
    first, last = (
        json.dumps({"error": "NotFound", "message": words})
        for words in ("an older try", "org/model holds no weights that the engine reads")
    )
    world.pods = [
        ended(world, name, "2026-01-02T00:00:00Z", last),
        ended(world, name, "2026-01-01T00:00:00Z", first),
        ended(world, "another", "2026-01-03T00:00:00Z", first),
        ended(world, name, "2026-01-04T00:00:00Z", "no JSON: the kernel killed it"),
    ]
    cluster.fail_job(world, 11)
    world.reconcile()
    assert world.condition("WeightsReady") == ("False", "NotFound")
    assert world.message("WeightsReady") == (
        "org/model holds no weights that the engine reads (org/model@main);"
        " raise spec.model.preload.generation to try again"
    )
    world.pods = []
    world.reconcile()
    assert "or it holds nothing that the engine loads" in world.message("WeightsReady")


@pytest.mark.parametrize("fails", [False, True])
def test_a_claim_that_sleeps_through_a_swap_is_ready_and_idle(fails: bool) -> None:
    """A request still wakes the old model, whose weights are verified."""
    world = swapped(asleep())
    if fails:
        cluster.fail_job(world, 11)
    world.reconcile()
    assert world.phase == "Idle"
    assert ready(world)
    assert world.condition("EngineReady") == ("True", "Idle")
    assert world.condition("WeightsReady")[0] == "False"
    assert world.condition("Current") == ("False", "WeightsPending")


# --- the engine


def crashed(**state: Any) -> cluster.Object:
    last = {"terminated": {"exitCode": 1, "message": "ValueError: no room for the KV cache"}}
    status = {"name": "vllm", "ready": False, "restartCount": 3, "lastState": last, "state": state}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "labels": {"app.kubernetes.io/component": "inference"}},
        "status": {"containerStatuses": [status]},
    }


def test_an_engine_that_crashes_again_and_again_is_one_condition_and_one_event() -> None:
    """The container alternates between waiting and running, and the condition stays the same."""
    world = starting(**DIAGNOSTICS)
    events = []
    for state in ("waiting", "running", "waiting", "running"):
        words = {"reason": "CrashLoopBackOff"} if state == "waiting" else {}
        world.pods = [crashed(**{state: words})]
        world.reconcile()
        assert world.condition("EngineReady") == ("False", "CrashLooping")
        assert world.phase == "Failed"
        assert "no room for the KV cache" in world.message("EngineReady")
        events += [reason for _, reason, _ in world.events]
    assert events == ["CrashLooping"]


def test_a_first_start_is_no_crash() -> None:
    world = starting(**DIAGNOSTICS)
    fresh = crashed(running={})
    fresh["status"]["containerStatuses"][0] |= {"restartCount": 0, "lastState": {}}
    world.pods = [fresh]
    world.reconcile()
    assert world.condition("EngineReady") == ("False", "Starting")
    assert "crash" not in world.message("EngineReady")


def test_without_pods_a_replica_that_was_ready_may_be_crashing() -> None:
    world = scene.serving(scene.of())
    world.one("Deployment")["status"] |= {
        "availableReplicas": 0,
        "conditions": [controllers.condition("Progressing", "True", "NewReplicaSetAvailable")],
    }
    world.reconcile()
    assert world.condition("EngineReady") == ("False", "Starting")
    assert "a crash" in world.message("EngineReady")


@pytest.mark.parametrize(
    ("scaling", "spare", "kind", "words"),
    [
        ({"maxReplicas": 1}, False, "Recreate", "with a gap"),
        ({"maxReplicas": 2}, False, "RollingUpdate", "one pod at a time goes"),
        ({"maxReplicas": 1}, True, "RollingUpdate", "a new pod starts first"),
    ],
)
def test_a_roll_says_in_which_way_and_why(
    scaling: cluster.Object, spare: bool, kind: str, words: str
) -> None:
    config = scene.site(gpu={"classes": {"l4": {"spare": spare}}})
    world = scene.serving(scene.of(scaling=scaling), config)
    assert world.one("Deployment")["spec"]["strategy"]["type"] == kind
    world.edit(scaling=scaling, drainSeconds=60).reconcile()
    assert world.condition("Current") == ("False", "RollingOut")
    assert words in world.message("Current")
    plan = scene.planned(scene.of(scaling=scaling), config)
    (why,) = [e for e in plan.explanations if e.value == "replacement of pods"]
    assert (why.result, why.rule) == (kind, plan.replacement.words)


@pytest.mark.parametrize(
    ("terminated", "words"),
    [
        (
            {"exitCode": 137, "reason": "OOMKilled"},
            "exited with code 137 (OOMKilled: it needed more memory than resources.limits.memory)",
        ),
        ({"exitCode": 137, "reason": "OOMKilled", "message": "loading"}, "limits.memory): loading"),
        ({"exitCode": 128, "reason": "StartError"}, "exited with code 128 (StartError)"),
        ({"exitCode": 1, "reason": "Error", "message": "no room"}, "exited with code 1: no room"),
        ({"exitCode": 1, "reason": "Error"}, "exited with code 1"),
    ],
)
def test_how_an_engine_ended_is_said_as_far_as_the_kubelet_knows(
    terminated: cluster.Object, words: str
) -> None:
    world = starting(**DIAGNOSTICS)
    pod = crashed(waiting={"reason": "CrashLoopBackOff"})
    pod["status"]["containerStatuses"][0]["lastState"] = {"terminated": terminated}
    world.pods = [pod]
    world.reconcile()
    assert world.condition("EngineReady") == ("False", "CrashLooping")
    assert world.message("EngineReady").endswith(words)


def test_replicas_that_somebody_took_are_not_what_the_claim_says() -> None:
    """`kubectl wait --for=condition=Current` must not pass while nothing serves."""
    world = scene.serving(scene.of())
    deployment = world.one("Deployment")
    deployment["spec"]["replicas"] = 0
    deployment["metadata"]["generation"] += 1
    deployment["status"] = {"observedGeneration": deployment["metadata"]["generation"]}
    world.reconcile()
    assert world.condition("EngineReady") == ("False", "ScaledToZero")
    assert world.condition("Current") == ("False", "NotServing")
    assert world.phase != "Idle"
    world.converge()
    assert world.condition("Current") == ("True", "Serving")


# --- the autoscaler


def test_a_fallback_says_what_keda_says_of_its_cause() -> None:
    world = scene.serving(scene.of())
    words = "Get http://vmselect.monitoring: dial tcp: lookup vmselect: no such host"
    world.one("ScaledObject")["status"] = {
        "conditions": [
            controllers.condition("Ready", "False", "TriggerError", words),
            controllers.condition("Fallback", "True", "FallbackExists", "at least one trigger"),
        ]
    }
    world.reconcile()
    assert world.condition("ScalerReady") == ("False", "FallbackActive")
    assert "held at what runs, at least 1" in world.message("ScalerReady")
    assert words in world.message("ScalerReady")
    assert words in world.claim["status"]["waitingFor"]


def test_a_cooldown_below_the_start_budget_is_raised_before_sleep_and_said() -> None:
    asked = scene.of(**GATEWAY, scaling={"minReplicas": 0, "cooldownSeconds": 60})
    plan = scene.planned(asked)
    assert plan.scaling.cooldown == 60
    assert plan.scaling.sleep_cooldown(plan.start.seconds) == plan.start.seconds
    (why,) = [e for e in plan.explanations if e.value == "cooldown before sleep"]
    assert why.result == f"{plan.start.seconds} s"
    awake = scene.planned(scene.of(scaling={"cooldownSeconds": 60}))
    assert awake.scaling.sleep_cooldown(awake.start.seconds) == 60
    assert not [e for e in awake.explanations if e.value == "cooldown before sleep"]


def test_without_an_autoscaler_zero_is_held_at_one_and_said() -> None:
    world = scene.serving(scene.of(**GATEWAY, **SLEEPS), scene.site(**NO_AUTOSCALER))
    assert world.one("Deployment")["spec"]["replicas"] == 1
    assert world.condition("ScalerReady") == ("False", "NoWakeSignal")
    world.edit(suspend=True)
    world.converge()
    assert world.one("Deployment")["spec"]["replicas"] == 0
    assert world.condition("ScalerReady") == ("True", "NotManaged")
    assert "suspended" in world.message("ScalerReady")


def test_a_suspended_claim_gives_its_gpus_back_where_nothing_can_pause_it() -> None:
    world = scene.serving(scene.of())
    del world.objects["model-scaledobject"]
    answers = {"v1/Service": True, "keda.sh/v1alpha1/ScaledObject": False}
    world.kinds = answers
    world.reconcile()
    assert world.condition("ScalerReady") == ("False", "KindMissing")
    assert world.one("Deployment")["spec"]["replicas"] == 1
    world.edit(suspend=True)
    world.converge()
    assert world.one("Deployment")["spec"]["replicas"] == 0
    assert world.phase == "Suspended"
    # The kind is installed: our count stays until the autoscaler has set one, and no pod starts.
    world.kinds = dict.fromkeys(answers, True)
    world.reconcile()
    assert world.one("ScaledObject")
    assert world.one("Deployment")["spec"]["replicas"] == 0


# --- routes


def test_a_missing_helm_release_names_the_picker_that_needs_it() -> None:
    claimed = scene.of(gateway={"enabled": True, "endpointPicker": {"enabled": True}})
    world = cluster.Cluster(claimed, scene.site())
    world.kinds = {"v1/Service": True, "helm.toolkit.fluxcd.io/v2/HelmRelease": False}
    world.born()
    assert world.condition("RouteReady") == ("False", "KindMissing")
    assert "helm.toolkit.fluxcd.io/v2 HelmRelease" in world.message("RouteReady")
    assert "spec.gateway.endpointPicker" in world.message("RouteReady")
    assert "providers.gateway" not in world.message("RouteReady")


def test_of_a_refused_route_and_a_policy_that_waits_for_it_the_route_is_named() -> None:
    world = scene.serving(scene.of(**GATEWAY))
    refusal = "NotAccepted", "False", "NotAccepted", "parent Gateway not found"
    world.one("AIGatewayRoute")["status"] = {"conditions": [controllers.condition(*refusal)]}
    world.one("BackendTrafficPolicy")["status"] = {}
    world.reconcile()
    assert world.condition("RouteReady") == ("False", "Unresolved")
    assert world.message("RouteReady") == "AIGatewayRoute: parent Gateway not found"
    assert world.claim["status"]["waitingFor"] == world.message("RouteReady")


def test_an_adapter_that_nothing_serves_is_not_routed_although_the_deployment_is_gone() -> None:
    claimed = scene.of(**GATEWAY, loraAdapters=[{"name": "one", "repository": "org/one"}])
    world = scene.serving(claimed)
    more = [*claimed["spec"]["loraAdapters"], {"name": "two", "repository": "org/two"}]
    more[1]["canaryWeight"] = 50
    world.edit(loraAdapters=more).reconcile()
    world.delete("model-deployment")
    world.reconcile()
    served = [model["name"] for model in world.claim["status"]["servedModels"]]
    assert served == ["model", "one"]
    assert "two" not in json.dumps(world.one("AIGatewayRoute")["spec"]["rules"])


def test_a_withheld_route_says_what_it_comes_with() -> None:
    for claimed in (scene.of(**GATEWAY), scene.of(**GATEWAY, **SLEEPS)):
        world = cluster.Cluster(claimed, scene.site()).born()
        assert world.condition("RouteReady") == ("False", "Withheld")
        assert "with the Deployment" in world.message("RouteReady")


def test_a_route_to_a_claim_that_may_sleep_is_published_before_it_serves() -> None:
    """Requests over the route wake the claim."""
    world = cluster.Cluster(scene.of(**GATEWAY, **SLEEPS), scene.site()).born()
    for _ in range(4):
        world.settle("Deployment").reconcile()
    assert world.condition("RouteReady") == ("True", "Published")


# --- refusals


def test_a_claim_that_cannot_be_used_is_not_what_serves() -> None:
    world = scene.serving(scene.of())
    world.edit(gpu={"class": "none"}).reconcile()
    assert world.condition("Valid") == ("False", "Invalid")
    assert world.condition("Current") == ("False", "Invalid")
    # A fault in the settings is not a fault of the claim: Current keeps its reported state.
    kept = inference_service.invalid(
        "SettingsInvalid", "x", _reported("Current", "True", "Serving")
    )
    assert {c.type: c.reason for c in kept}["Current"] == "Serving"


def _reported(kind: str, status: str, reason: str) -> Any:
    return observed.Observed(
        resources={},
        conditions={kind: observed.Condition(kind, status, reason)},
        status={},
    )


# --- what never served


def test_a_platform_change_is_held_only_of_pods_that_served() -> None:
    """A new claim under a wrong engine version must get the corrected one without acceptance."""
    world = starting(engine={"version": "0.24.0"})
    before = copy.deepcopy(world.template)
    world.environments = [scene.site()]
    world.reconcile()
    assert world.template != before
    served = scene.serving(scene.of(), scene.site(engine={"version": "0.24.0"}))
    before = copy.deepcopy(served.template)
    # The change is held even while the claim has no replica.
    served.one("Deployment")["status"] |= {"availableReplicas": 0}
    served.environments = [scene.site()]
    served.reconcile()
    assert served.template == before
    assert served.condition("Current") == ("False", "PlatformChangePending")


def test_a_deployment_of_before_that_only_starts_is_held_all_the_same() -> None:
    """Pods of 0.9.0 restart only when their author says so, even while they still start."""
    world = recordings.taken_over(
        cluster.example("xplane-qwen-coder"), cluster.environment("reference")
    )
    item = world.one("Deployment")
    item.setdefault("status", {})["availableReplicas"] = 0
    item["status"]["conditions"] = [
        controllers.condition("Progressing", "True", "NewReplicaSetAvailable")
    ]
    before = copy.deepcopy(item["spec"]["template"])
    world.reconcile()
    world.reconcile()
    assert world.one("Deployment")["spec"]["template"] == before
    assert identity.TEMPLATE_ANNOTATION in world.one("Deployment")["metadata"]["annotations"]


# --- when to look again


def test_pods_are_looked_at_often_only_while_a_replica_is_to_come() -> None:
    world = starting(**DIAGNOSTICS)
    assert world.response.meta.ttl.seconds == 60
    assert "pods" in world.response.requirements.resources
    sleeper = asleep(**DIAGNOSTICS)
    assert sleeper.response.meta.ttl.seconds >= 600
    assert "pods" not in sleeper.response.requirements.resources
    serving = swapped(scene.serving(scene.of(), scene.site(**DIAGNOSTICS)))
    cluster.fail_job(serving, 11)
    serving.reconcile()
    # The function reads the pods for the message of the Job. Crossplane watches the Job.
    assert "pods" in serving.response.requirements.resources
    assert serving.response.meta.ttl.seconds >= 600
