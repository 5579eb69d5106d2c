"""The life of a claim whose replicas are several pods, and its way from one pod to several."""

import copy
import json

import pytest

from tests import cluster, controllers
from tests.resources import groups, scene

KEEPER = "model-leaderworkerset"


def test_no_group_comes_before_both_of_its_policies_protect_it() -> None:
    world = cluster.Cluster(groups.of(), groups.site()).born().settle()
    policy = world.one("CiliumNetworkPolicy", "-group")
    policy["status"] = {
        "conditions": [controllers.condition("Valid", "False", message="no such port")]
    }
    world.reconcile()
    assert "LeaderWorkerSet" not in world.kinds_there()
    assert world.condition("EngineReady") == ("False", "PolicyPending")
    world.settle().reconcile()
    assert "LeaderWorkerSet" in world.kinds_there()


def test_a_claim_serves_once_a_whole_group_is_ready() -> None:
    world = groups.serving()
    made = world.one("LeaderWorkerSet")
    made["status"] |= {"readyReplicas": 0, "conditions": [controllers.condition("Progressing")]}
    world.reconcile()
    assert world.condition("EngineReady") == ("False", "Starting")
    assert world.condition("Current") == ("False", "NotServing")
    world.settle().reconcile()
    assert world.phase == "Serving"


def test_an_update_that_the_controller_rolls_out_is_told() -> None:
    world = groups.serving()
    made = world.one("LeaderWorkerSet")
    made["status"]["conditions"] = [controllers.condition("UpdateInProgress")]
    world.reconcile()
    assert world.condition("Current") == ("False", "RollingOut")
    assert world.condition("EngineReady") == ("True", "Serving")


def test_both_templates_are_held_through_a_swap() -> None:
    world = groups.serving()
    before = json.dumps(groups.templates(world))
    world.edit(model={"repository": "org/other"}).reconcile()
    assert json.dumps(groups.templates(world)) == before
    assert world.condition("Current") == ("False", "WeightsPending")
    world.converge()
    leader, follower = groups.templates(world)
    assert (
        leader["spec"]["containers"][0]["args"][0] == follower["spec"]["containers"][0]["args"][0]
    )
    assert json.dumps([leader, follower]) != before
    assert world.condition("Current") == ("True", "Serving")


def test_the_pods_of_a_group_are_as_many_as_its_held_template_says() -> None:
    world = groups.serving()
    world.edit(model={"repository": "org/other"}, gpu=groups.of(pipeline=4)["spec"]["gpu"])
    world.reconcile()
    made = world.one("LeaderWorkerSet")["spec"]["leaderWorkerTemplate"]
    assert (made["size"], groups.arguments(made["leaderTemplate"])["--nnodes"]) == (2, "2")
    world.converge()
    made = world.one("LeaderWorkerSet")["spec"]["leaderWorkerTemplate"]
    assert (made["size"], groups.arguments(made["leaderTemplate"])["--nnodes"]) == (4, "4")


def test_an_autoscaler_owns_the_count_of_groups() -> None:
    world = groups.serving()
    made = world.one("LeaderWorkerSet")
    made["spec"]["replicas"] = 3
    world.converge()
    assert world.one("LeaderWorkerSet")["spec"]["replicas"] == 3
    assert "replicas" not in world.owned[KEEPER]["spec"]
    assert world.claim["status"]["replicas"] == "3/3"


def test_a_group_that_somebody_deleted_is_created_with_the_same_templates() -> None:
    world = groups.serving()
    before = json.dumps(groups.templates(world))
    world.delete(KEEPER)
    world.converge()
    assert json.dumps(groups.templates(world)) == before
    assert world.phase == "Serving"


def test_what_a_cluster_without_groups_lacks_is_told() -> None:
    world = cluster.Cluster(groups.of(), groups.site()).born().settle()
    world.kinds = {"v1/Service": True, "leaderworkerset.x-k8s.io/v1/LeaderWorkerSet": False}
    world.reconcile()
    assert "LeaderWorkerSet" not in world.kinds_there()
    assert world.condition("EngineReady") == ("False", "KindMissing")
    assert "LeaderWorkerSet" in world.message("EngineReady")


@pytest.mark.parametrize("back", [False, True])
def test_a_replica_that_runs_gives_way_to_another_kind_only_at_zero(back: bool) -> None:
    one, several = scene.of(gpu={"class": "h100", "count": 8}), groups.of()
    first, then = (several, one) if back else (one, several)
    kinds = ("Deployment", "LeaderWorkerSet")
    old, new = reversed(kinds) if back else kinds
    world = scene.serving(copy.deepcopy(first), groups.site())
    world.edit(gpu=then["spec"]["gpu"]).reconcile()
    assert world.fatal is not None
    assert f"kept by a {old}, and these would be kept by a {new}" in world.fatal
    assert old in world.kinds_there()
    world.edit(gpu=first["spec"]["gpu"], suspend=True).converge()
    assert world.phase == "Suspended"
    world.edit(gpu=then["spec"]["gpu"]).converge()
    assert world.fatal is None
    assert {old, new} & world.kinds_there() == set()
    world.edit(suspend=False).converge()
    assert {old, new} & world.kinds_there() == {new}
    assert world.phase == "Serving"
    assert world.condition("Current") == ("True", "Serving")


def test_what_the_worker_lacks_is_what_the_claim_waits_for() -> None:
    config = groups.site()
    config["data"]["inferenceService"]["diagnostics"] = {"pods": True}
    world = groups.serving(None, config)
    made = world.one("LeaderWorkerSet")
    made["status"] |= {"readyReplicas": 0}
    labels = groups.templates(world)[1]["metadata"]["labels"]
    words = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
    unscheduled = {
        **controllers.condition("PodScheduled", "False", "Unschedulable"),
        "message": words,
    }
    world.pods = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"{groups.NAME}-0-1", "namespace": "llm", "labels": labels},
            "status": {"conditions": [unscheduled]},
        }
    ]
    world.reconcile()
    assert world.condition("EngineReady") == ("False", "Unschedulable")
    assert words in world.message("EngineReady")
