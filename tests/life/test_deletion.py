"""Somebody deletes the Deployment: it comes back with what it was."""

import copy
import json

from function.planning import identity
from tests.life import given


def test_a_deployment_deleted_in_the_middle_of_a_swap_is_made_again_at_once() -> None:
    world = given.serving()
    before = copy.deepcopy(world.template)
    given.swap(world).reconcile()
    world.delete(f"{given.NAME}-deployment")
    world.reconcile()
    assert world.template == before
    assert {"ScaledObject", "PodDisruptionBudget", "Job"} <= world.kinds_there()
    assert world.condition("Current") == ("False", "WeightsPending")
    world.converge()
    assert world.claim["status"]["serving"]["revision"] == given.OTHER_REVISION


def test_a_deployment_deleted_while_asleep_comes_back_without_a_pod() -> None:
    world = given.asleep()
    world.scale(1).reconcile()
    world.scale(0).settle().reconcile()
    world.delete(f"{given.NAME}-deployment")
    world.reconcile()
    assert world.one("Deployment")["spec"]["replicas"] == 0
    world.converge()
    assert world.phase == "Idle"


def test_a_deployment_deleted_while_suspended_comes_back_with_what_it_was() -> None:
    world = given.serving()
    before = copy.deepcopy(world.template)
    world.edit(suspend=True)
    world.converge()
    world.delete(f"{given.NAME}-deployment")
    given.swap(world).reconcile()
    assert "Deployment" not in world.kinds_there(), "a suspended claim starts no pod"
    assert {"ScaledObject", "PodDisruptionBudget"} <= world.kinds_there()
    world.edit(suspend=False).reconcile()
    assert world.template == before


def test_a_withheld_template_is_not_remembered_as_one_that_ran() -> None:
    world = given.new()
    world.claim["spec"]["suspend"] = True
    world.converge()
    assert "PodDisruptionBudget" not in world.kinds_there()
    world.edit(suspend=False)
    world.converge()
    world.edit(suspend=True)
    world.converge()
    budget = world.one("PodDisruptionBudget")["metadata"]["annotations"]
    assert json.loads(budget[identity.TEMPLATE_ANNOTATION]) == world.template
