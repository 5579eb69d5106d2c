"""What is about running pods follows what they are, from before a change until they have rolled."""

import copy
import dataclasses
import json
from typing import Any

import pytest

from function.engines import engines
from function.planning import identity
from function.workloads import pods, workloads
from tests import cluster, examples
from tests.resources import scene

KEPT = ("Deployment", "PodDisruptionBudget")
BIG: Any = {"repository": "org/model", "sizeGiB": 300, "maxNumSeqs": 32}
SMALL: Any = {"repository": "org/small", "sizeGiB": 1, "maxNumSeqs": 256}
POOLING: Any = {**SMALL, "runner": "pooling"}


def serving(model: cluster.Object, **spec: Any) -> cluster.Cluster:
    """A claim at rest on a site whose volume has a known bandwidth."""
    return scene.serving(scene.of(model=model, **spec), scene.site(weights={"bandwidthMiB": 300}))


def before_facts(world: cluster.Cluster) -> cluster.Cluster:
    """As a release before 1.1 leaves it: the template is remembered, and nothing beside it."""
    for kind in KEPT:
        world.one(kind)["metadata"]["annotations"].pop(identity.FACTS_ANNOTATION)
    return world


def remembered(world: cluster.Cluster, kind: str | None = None) -> Any:
    """The facts on the workload, or on an object of another kind."""
    objects = world.objects.values()
    (owner,) = (one for one in objects if (one["kind"] == kind if kind else workloads.of(one)))
    return json.loads(owner["metadata"]["annotations"][identity.FACTS_ANNOTATION])


@dataclasses.dataclass(frozen=True)
class About:
    """What objects say of running pods."""

    deadline: int
    cold_start: str
    seats: str
    unbalanced: str
    stalls: bool
    target: str

    @classmethod
    def of(cls, world: cluster.Cluster) -> "About":
        (group,) = world.one("VMRule")["spec"]["groups"]
        rules = {rule["alert"].removeprefix("InferenceService"): rule for rule in group["rules"]}
        (trigger,) = (
            trigger
            for trigger in world.one("ScaledObject")["spec"]["triggers"]
            if trigger["name"] == "running"
        )
        return cls(
            deadline=world.one("Deployment")["spec"]["progressDeadlineSeconds"],
            cold_start=rules["ColdStartOverBudget"]["expr"],
            seats=rules["RaiseMaxNumSeqs"]["annotations"]["description"],
            unbalanced=rules["ReplicasUnbalanced"]["expr"],
            stalls="EngineStalled" in rules,
            target=trigger["metadata"]["threshold"],
        )


@pytest.mark.decision(34)
@pytest.mark.parametrize("facts", ["remembered", "read from the template"])
@pytest.mark.parametrize(
    ("runs", "wanted"), [(BIG, SMALL), (SMALL, BIG), (BIG, POOLING), (POOLING, BIG)]
)
def test_a_held_swap_moves_nothing_that_is_about_the_running_pods(
    runs: cluster.Object, wanted: cluster.Object, facts: str
) -> None:
    world, other = serving(runs), serving(wanted)
    if facts != "remembered":
        before_facts(world)
    before = About.of(world)
    world.edit(model=wanted).reconcile()
    assert world.condition("Current") == ("False", "WeightsPending")
    assert About.of(world) == before
    world.converge()
    assert world.condition("Current") == ("True", "Serving")
    assert About.of(world) == About.of(other) != before


def test_a_swap_during_the_rollout_of_an_earlier_edit_follows_the_earlier_edit() -> None:
    world = serving(BIG)
    middle = {**BIG, "maxNumSeqs": 64}
    world.edit(model=middle).reconcile()
    assert world.condition("Current") == ("False", "RollingOut")
    rolling = About.of(world)
    assert rolling.target == "44.8"
    world.edit(model=POOLING).reconcile()
    assert world.condition("Current") == ("False", "WeightsPending")
    assert world.phase == "Updating"
    assert About.of(world) == rolling
    world.settle().reconcile()
    world.converge()
    assert About.of(world) == About.of(serving(POOLING))


@pytest.mark.parametrize("facts", ["remembered", "read from the template"])
def test_a_deployment_that_is_deleted_during_a_swap_comes_back_as_what_it_was(facts: str) -> None:
    world = serving(BIG)
    if facts != "remembered":
        before_facts(world)
    before, template = About.of(world), copy.deepcopy(world.template)
    world.edit(model=POOLING).reconcile()
    world.delete("model-deployment")
    world.reconcile()
    assert world.template == template
    assert About.of(world) == before
    assert remembered(world)["max_requests"] == 32
    world.settle("Job").reconcile()
    assert About.of(world) == before
    world.converge()
    assert About.of(world) == About.of(serving(POOLING))


def forged(**changes: Any) -> str:
    facts = remembered(serving(BIG))
    return json.dumps({k: v for k, v in (facts | changes).items() if v is not None})


FORGED = {
    "no JSON": lambda: "{",
    "a list": lambda: "[]",
    "of a release with other facts": lambda: forged(max_requests=None, tokens=7),
    "a number as text": lambda: forged(start_seconds="600"),
    "a start before it began": lambda: forged(start_seconds=-5000),
    "a start beyond what Kubernetes counts": lambda: forged(start_seconds=2**31),
    "no request at a time": lambda: forged(max_requests=0),
    "an image that no status takes": lambda: forged(image="i" * 600),
}


@pytest.mark.parametrize("facts", FORGED.values(), ids=list(FORGED))
@pytest.mark.parametrize("held", [False, True])
def test_facts_that_nobody_wrote_so_are_read_from_the_template(facts: Any, held: bool) -> None:
    world = serving(BIG)
    before = About.of(world)
    for kind in KEPT:
        world.one(kind)["metadata"]["annotations"][identity.FACTS_ANNOTATION] = facts()
    if held:
        world.edit(model=POOLING)
    world.reconcile()
    assert About.of(world) == before
    assert remembered(world) == remembered(world, "PodDisruptionBudget")
    assert remembered(world)["start_seconds"] + 1200 == before.deadline
    assert remembered(world)["max_requests"] == 32


def test_facts_of_a_later_release_hold_as_far_as_they_are_understood() -> None:
    world = serving(BIG)
    for kind in KEPT:
        world.one(kind)["metadata"]["annotations"][identity.FACTS_ANNOTATION] = forged(tokens=7)
    before = About.of(world)
    world.edit(model=POOLING).reconcile()
    assert About.of(world) == before
    assert "tokens" not in remembered(world)


def test_of_two_memories_the_deployment_s_is_the_one() -> None:
    world = serving(BIG)
    before = About.of(world)
    other = forged(max_requests=999, start_seconds=999)
    world.one("PodDisruptionBudget")["metadata"]["annotations"][identity.FACTS_ANNOTATION] = other
    world.edit(model=POOLING).reconcile()
    assert About.of(world) == before
    assert remembered(world, "PodDisruptionBudget") == remembered(world)


PODS = [example for example in examples.every() if "suspend" not in example.claim["spec"]]


@pytest.mark.parametrize("example", PODS, ids=lambda example: example.name)
def test_a_template_tells_of_itself_what_is_remembered_beside_it(example: examples.Example) -> None:
    """So that objects of a release that remembered no facts are judged alike.

    Such a release knew no payers, and no template says which labels are theirs. It does not say
    either which model is in the directory that it reads.
    """
    world = cluster.Cluster(example.claim, *example.environments)
    world.converge()
    foreign = scene.planned(scene.of(model=POOLING, gpu={"count": 3})).running
    kept = remembered(world)
    told = pods.running_of(world.template, engines.ENGINES[kept["engine"]], foreign)
    kept.pop("payers", None)
    assert kept.pop("model")
    assert json.loads(told.model_copy(update={"model": ""}).dumps()) == kept


def test_a_fact_that_the_release_before_did_not_know_is_not_written_beside_its_template() -> None:
    world = serving(SMALL)
    facts = remembered(world)
    assert facts.pop("model") == "org/small"
    for kind in KEPT:
        notes = world.one(kind)["metadata"]["annotations"]
        notes[identity.FACTS_ANNOTATION] = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    assert world.reconcile().writes == []
    world.edit(model=BIG).converge()
    assert remembered(world)["model"] == "org/model"


# --- what pods need


def test_a_secret_stays_until_no_pod_that_needs_it_is_left() -> None:
    """A container that starts again reads its Secrets again, also while others replace it."""
    secret = {"name": "token", "remoteRef": "apps/token"}
    world = serving(BIG, externalSecrets=[secret])
    world.edit(externalSecrets=[]).reconcile()
    assert world.condition("Current") == ("False", "RollingOut")
    assert scene.container(world).get("envFrom") is None
    assert "ExternalSecret" in world.kinds_there()
    world.reconcile()
    assert "ExternalSecret" in world.kinds_there(), "no controller has looked"
    world.converge()
    assert "ExternalSecret" not in world.kinds_there()


def test_what_a_patch_makes_of_the_pods_is_what_they_are() -> None:
    site = scene.site(permissions={"patches": ["llm"]})
    container = {
        "name": "vllm",
        "startupProbe": {"failureThreshold": 500},
        "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "token", "key": "a"}}}],
    }
    patch = {"spec": {"template": {"spec": {"containers": [container]}}}}
    world = scene.serving(scene.of(patches={"deployment": patch}), site)
    assert About.of(world).deadline == 5000 + 1200
    assert remembered(world)["secrets"] == ["token"]
