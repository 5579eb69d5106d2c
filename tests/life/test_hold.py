"""Nothing restarts by surprise: what only the platform changed waits for the author."""

import copy
import json

import pytest

from function.planning import identity
from tests import cluster
from tests.life import given


@pytest.mark.decision(13)
def test_a_settings_change_waits_for_the_author() -> None:
    world = given.serving()
    before = copy.deepcopy(world.template)
    given.settings(world)["engine"]["version"] = "0.32.0"
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
    world = given.serving()
    settings = given.settings(world)
    settings["engine"]["version"] = "0.32.0"
    settings["rollout"] = {"platformChanges": "Immediate"}
    world.reconcile()
    assert world.template["spec"]["containers"][0]["image"] == "vllm/vllm-openai:v0.32.0"


def test_the_author_accepts_one_platform_change_by_annotation() -> None:
    world = given.serving()
    settings = given.settings(world)
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
        {"access": {"from": [{"namespace": "batch"}]}},
        {"routing": {"tier": "large"}},
    ],
)
def test_what_pods_do_not_depend_on_restarts_none(edit: cluster.Object) -> None:
    world = given.serving()
    before = copy.deepcopy(world.template)
    world.edit(**edit)
    world.converge()
    assert world.template == before
    assert world.condition("Current") == ("True", "Serving")


def test_an_edit_that_pods_do_not_depend_on_does_not_take_a_held_platform_change() -> None:
    world = given.serving()
    before = copy.deepcopy(world.template)
    given.settings(world)["engine"]["version"] = "0.32.0"
    world.edit(scaling={"minReplicas": 1, "maxReplicas": 3})
    world.converge()
    assert world.template == before


def test_a_hand_edited_deployment_is_put_right() -> None:
    world = given.serving()
    before = copy.deepcopy(world.template)
    world.template["spec"]["containers"][0]["image"] = "evil"
    world.reconcile()
    assert world.template == before


def test_a_lost_annotation_holds_what_runs() -> None:
    world = given.serving()
    del world.one("Deployment")["metadata"]["annotations"][identity.TEMPLATE_ANNOTATION]
    before = copy.deepcopy(world.template)
    world.reconcile()
    assert world.template == before
    assert identity.TEMPLATE_ANNOTATION in world.one("Deployment")["metadata"]["annotations"]


def test_a_running_model_is_held_rather_than_rolled_to_what_cannot_fit() -> None:
    world = given.serving()
    before = copy.deepcopy(world.template)
    world.edit(cache={"kvOffload": {"enabled": True, "sizeGB": 400}})
    world.converge()
    assert world.template == before
    assert world.condition("Current") == ("False", "ExceedsGpuClass")
    assert world.phase == "Serving"


def test_pods_that_roll_are_said_although_the_next_change_is_held() -> None:
    world = given.serving()
    world.edit(drainSeconds=60).reconcile()
    given.settings(world)["engine"]["version"] = "0.32.0"
    world.reconcile()
    assert world.condition("Current") == ("False", "PlatformChangePending")
    assert world.phase == "Updating"


# --- what is remembered


def spoilt(**container: object) -> str:
    """A pod template with one field that is not what its name says."""
    labels = identity.Identity(given.NAME, "llm", {}).labels()
    engine = {"name": "vllm", "image": "vllm/vllm-openai:v0.25.1", **container}
    return json.dumps({"metadata": {"labels": labels}, "spec": {"containers": [engine]}})


SPOILT = {
    "another object": '{"a":1}',
    "null": "null",
    "a list": "[]",
    "no JSON": "{",
    "no container": '{"metadata":{"labels":{}},"spec":{"containers":[]}}',
    "another claim's": spoilt().replace("xplane-", "yplane-"),
    "no name": spoilt(name=5),
    "no image": spoilt(image=None),
    "no arguments": spoilt(args=5),
    "no variables": spoilt(env=[{"name": {}}]),
    "no sources": spoilt(envFrom=5),
    "no amount": spoilt(resources={"limits": {"nvidia.com/gpu": "many"}}),
    "no bottom": "[" * 100_000,
    "half of a character": spoilt(terminationMessagePath="\ud800"),
    "an amount without end": spoilt(resources={"limits": {"nvidia.com/gpu": "1e99999"}}),
    "a number without end": spoilt(readinessProbe={"periodSeconds": 10**400}),
    "a time without end": spoilt(startupProbe={"periodSeconds": 10**18}),
    "no number": spoilt(terminationMessagePath=float("nan")),
    "no probe": spoilt(startupProbe={"failureThreshold": "often"}),
}


@pytest.mark.parametrize("text", SPOILT.values(), ids=list(SPOILT))
def test_a_remembered_template_that_is_none_is_lost_and_heals(text: str) -> None:
    """As if it were lost: the budget's copy, or what the Deployment runs."""
    world = given.serving()
    before = copy.deepcopy(world.objects)
    for kind in ("Deployment", "PodDisruptionBudget"):
        world.one(kind)["metadata"]["annotations"][identity.TEMPLATE_ANNOTATION] = text
    world.reconcile()
    assert world.fatal is None
    assert world.template == before[f"{given.NAME}-deployment"]["spec"]["template"]
    world.converge()
    assert world.objects == before
    assert world.condition("Current") == ("True", "Serving")


def test_a_remembered_template_with_nulls_is_one_without_them() -> None:
    """Other programs write a template with nulls, which applied would be values."""
    world = given.serving()
    template = copy.deepcopy(world.template)
    template["metadata"]["creationTimestamp"] = None
    world.one("Deployment")["metadata"]["annotations"][identity.TEMPLATE_ANNOTATION] = json.dumps(
        template
    )
    before = copy.deepcopy(world.template)
    given.settings(world)["engine"]["version"] = "0.32.0"
    world.converge()
    assert world.template == before
    assert world.condition("Current") == ("False", "PlatformChangePending")


@pytest.mark.parametrize("text", SPOILT.values(), ids=list(SPOILT))
def test_a_deployment_is_made_again_from_the_claim_where_nothing_is_remembered(text: str) -> None:
    world = given.serving()
    before = copy.deepcopy(world.template)
    world.one("PodDisruptionBudget")["metadata"]["annotations"][identity.TEMPLATE_ANNOTATION] = text
    world.delete(f"{given.NAME}-deployment")
    world.converge()
    assert world.template == before
    assert world.condition("Current") == ("True", "Serving")
