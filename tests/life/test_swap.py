"""Another model or adapter is asked for: the old pods run until the new weights are verified."""

import copy

import pytest

from tests import cluster
from tests.life import given


@pytest.mark.decision(13)
def test_a_swap_keeps_the_old_template_until_the_new_weights_are_verified() -> None:
    world = given.serving()
    before = copy.deepcopy(world.template)
    given.swap(world).reconcile()
    assert world.template == before
    assert world.phase == "Updating"
    assert world.condition("Current") == ("False", "WeightsPending")
    assert all(world.ready.values()), "a running swap turns Current off, not Ready"
    world.settle().reconcile()
    assert world.template != before
    assert world.condition("Current") == ("False", "RollingOut")
    world.reconcile()
    assert world.condition("Current") == ("False", "RollingOut"), "no controller has looked"
    world.settle().reconcile()
    assert world.condition("Current") == ("True", "Serving")
    assert world.claim["status"]["serving"]["revision"] == given.OTHER_REVISION


def test_every_other_engine_setting_waits_with_the_old_weights() -> None:
    world = given.serving()
    before = copy.deepcopy(world.template)
    changes = {"revision": given.OTHER_REVISION, "contextWindow": 4096, "maxNumSeqs": 8}
    given.remodelled(world, **changes).reconcile()
    assert world.template == before


def test_a_reverted_swap_rolls_nothing() -> None:
    world = given.serving()
    before = copy.deepcopy(world.template)
    model = copy.deepcopy(world.claim["spec"]["model"])
    given.swap(world).reconcile().settle("Job").reconcile()
    world.edit(model=model).reconcile()
    assert world.template == before
    assert "Job" not in world.kinds_there()
    assert world.condition("Current")[0] == "True"


@pytest.mark.decision(18)
def test_a_failed_download_leaves_the_old_model_serving_and_says_why() -> None:
    world = given.serving()
    before = copy.deepcopy(world.template)
    given.swap(world).reconcile()
    cluster.fail_job(world, 10)
    world.reconcile()
    assert world.template == before
    assert world.condition("WeightsReady") == ("False", "Unauthorized")
    assert "generation" in world.message("WeightsReady")
    assert world.condition("Current")[0] == "False"
    assert world.phase == "Degraded"


@pytest.mark.pitfall("a claim is never synced after an adapter was added")
def test_a_new_adapter_is_another_job_and_a_removed_one_leaves_nothing_behind() -> None:
    world = given.serving()
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


@pytest.mark.decision(34)
def test_triggers_follow_the_pods_that_run() -> None:
    world = given.serving()
    given.remodelled(world, revision=given.OTHER_REVISION, maxNumSeqs=256).reconcile()
    trigger = world.one("ScaledObject")["spec"]["triggers"][0]
    assert trigger["metadata"]["threshold"] == "22.4"
    world.converge()
    trigger = world.one("ScaledObject")["spec"]["triggers"][0]
    assert trigger["metadata"]["threshold"] == "179.2"


def test_the_deadline_follows_the_pods_that_run() -> None:
    world = given.serving()
    before = world.one("Deployment")["spec"]["progressDeadlineSeconds"]
    world.edit(healthProbes={"startup": {"failureThreshold": 500}})
    given.swap(world).reconcile()
    assert world.one("Deployment")["spec"]["progressDeadlineSeconds"] == before
    world.converge()
    assert world.one("Deployment")["spec"]["progressDeadlineSeconds"] == 10 * 500 + 1200


def test_a_secret_that_running_pods_need_is_not_withdrawn() -> None:
    world = given.new()
    world.claim["spec"]["externalSecrets"] = [{"name": "hf-token-a", "remoteRef": "llm/b"}]
    world.converge()
    world.edit(externalSecrets=[])
    given.swap(world).reconcile()
    assert "ExternalSecret" in world.kinds_there()
    world.converge()
    assert "ExternalSecret" not in world.kinds_there()
