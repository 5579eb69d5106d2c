"""What a claim's status tells of the cost of its tokens."""

import decimal
import json
from typing import Any

import pytest

from function import canonical
from function.capacity import catalogue, forms, loads
from function.planning import identity
from tests import cluster, documents, recordings
from tests.cli import command
from tests.life import given

D = decimal.Decimal


def told(world: cluster.Cluster) -> dict[str, tuple[str, str]]:
    costs = world.claim["status"].get("cost", {}).get("perMillionTokens") or []
    return {one["load"]: (one["input"], one["output"]) for one in costs}


def test_a_claim_behind_the_gateway_tells_what_its_tokens_cost_by_load() -> None:
    costs = told(given.serving())
    assert costs.keys() == loads.WORKLOADS.keys()
    assert all(D(prompts) < D(answers) for prompts, answers in costs.values())
    digits = {len(text.replace(".", "").strip("0")) for pair in costs.values() for text in pair}
    assert max(digits) <= 3


def test_both_together_are_what_plan_tells(tmp_path: Any) -> None:
    world = given.serving()
    file = command.write(tmp_path / "claim.yaml", world.claim)
    result = command.verb("plan", file, "--environment", command.REFERENCE, "--output", "json")
    speed = json.loads(result.stdout)["claims"][0]["speed"]["chat"]
    chat, (prompts, answers) = loads.WORKLOADS["chat"], told(world)["chat"]
    each = D(prompts) * chat.prompt + D(answers) * chat.output
    whole = D(speed["millionTokens"]["best"]) * (chat.prompt + chat.output)
    assert float(each) == pytest.approx(float(whole), rel=0.01)
    assert speed["millionTokens"]["full"]["input"].startswith(prompts[:5])


def test_a_load_that_the_claim_refuses_has_no_cost() -> None:
    world = given.serving()
    given.remodelled(world, contextWindow=2048)
    world.converge()
    assert told(world).keys() == {"chat", "batch"}


def test_without_a_price_or_the_gateway_nothing_is_told() -> None:
    world = given.serving()
    classes = world.environments[0]["data"]["inferenceService"]["gpu"]["classes"]
    for each in classes.values():
        each.pop("pricePerHour", None)
    world.converge()
    assert told(world) == {}
    alone = given.serving()
    alone.edit(gateway={"enabled": False}).converge()
    assert told(alone) == {}


@pytest.mark.parametrize("price", ["0", "0.0"])
def test_a_gpu_for_nothing_makes_no_cost(price: str) -> None:
    world = given.serving()
    for each in world.environments[0]["data"]["inferenceService"]["gpu"]["classes"].values():
        each["pricePerHour"] = price
    world.converge()
    assert told(world) == {}


def test_facts_that_the_author_states_make_no_cost() -> None:
    world = given.serving()
    known = catalogue.lookup(world.claim["spec"]["model"]["repository"])
    assert known is not None
    facts = forms.document(known)
    given.remodelled(world, facts=facts)
    world.converge()
    assert told(world) == {}
    assert "perHourNow" in world.claim["status"]["cost"]


def test_a_claim_at_rest_writes_nothing() -> None:
    world = given.serving()
    assert world.reconcile().writes == []


# --- while pods change to another model

FIRST = "Qwen/Qwen2.5-Coder-7B-Instruct"
SMALL = "Qwen/Qwen3-1.7B"
LARGE = "Qwen/Qwen3-14B"


def two_replicas() -> cluster.Cluster:
    """A claim at rest with two replicas, whose pods change one after the other."""
    world = given.serving()
    world.edit(loraAdapters=[], scaling={"minReplicas": 2, "maxReplicas": 2})
    given.remodelled(world.edit(gateway={"enabled": True}), contextWindow=8192)
    world.converge()
    world.scale(2).converge()
    return world


def asked_for(world: cluster.Cluster, repository: str) -> cluster.Cluster:
    return given.remodelled(world, repository=repository, revision="main")


def half_way(world: cluster.Cluster) -> cluster.Cluster:
    """Core and controllers work until one pod of two has the new template, and answers."""
    for _ in range(3):
        world.settle("Deployment").reconcile()
    deployment = world.one("Deployment")
    deployment["status"] |= {
        "observedGeneration": deployment["metadata"]["generation"],
        "updatedReplicas": 1,
    }
    return world.reconcile().reconcile()


def models(world: cluster.Cluster) -> list[str]:
    return list(world.claim["status"]["repositories"])


def of_model(repository: str) -> dict[str, tuple[str, str]]:
    """Returns what tokens cost of a claim that never had another model."""
    world = asked_for(two_replicas(), repository)
    world.converge()
    return told(world)


@pytest.mark.decision(34)
@pytest.mark.parametrize("other", [SMALL, LARGE])
def test_the_cost_of_tokens_is_of_the_model_that_pods_have(other: str) -> None:
    world = two_replicas()
    before, after = told(world), of_model(other)
    asked_for(world, other).reconcile()
    assert world.condition("Current") == ("False", "WeightsPending")
    assert (models(world), told(world)) == ([FIRST], before), "nothing has moved yet"
    half_way(world)
    assert models(world) == [FIRST, other]
    assert told(world) == (after if other == LARGE else before), "the dearer one"
    world.converge()
    assert (models(world), told(world)) == ([other], after)
    assert world.reconcile().writes == []


@pytest.mark.decision(34)
def test_a_rollout_that_never_ends_hides_no_model() -> None:
    """The next edit comes before each rollout ends, and every pod has an older model by then."""
    world = two_replicas()
    after = of_model(LARGE)
    half_way(asked_for(world, LARGE))
    asked_for(world, SMALL).reconcile()
    assert world.condition("Current") == ("False", "WeightsPending")
    assert (models(world), told(world)) == ([FIRST, LARGE], after)
    world.settle("Job").reconcile()
    assert world.claim["status"]["serving"]["repository"] == LARGE, "no edit hides what runs"
    assert (models(world), told(world)) == ([LARGE], after)
    half_way(world)
    assert (models(world), told(world)) == ([LARGE, SMALL], after)
    half_way(asked_for(world, FIRST))
    assert (models(world), told(world)) == ([LARGE, SMALL, FIRST], after)
    world.converge()
    assert (models(world), told(world)) == ([FIRST], told(two_replicas()))


def test_who_leaves_the_gateway_for_a_moment_hides_no_model() -> None:
    world = two_replicas()
    half_way(asked_for(world, LARGE))
    half_way(asked_for(world.edit(gateway={"enabled": False}), SMALL))
    world.edit(gateway={"enabled": True}).reconcile()
    assert models(world) == [FIRST, LARGE, SMALL]
    assert told(world) == {}, "what the large one costs is forgotten"


def test_facts_and_not_what_is_remembered_tell_which_model_came() -> None:
    """The status of the answer that emitted the template was lost."""
    world = two_replicas()
    before = documents.copied(world.claim["status"])
    half_way(asked_for(world, LARGE))
    world.claim["status"] |= {field: before[field] for field in ("repositories", "cost", "serving")}
    asked_for(world, SMALL).reconcile()
    assert models(world) == [FIRST, LARGE]
    assert told(world) == {}, "nobody knows what the model costs that is asked for no more"


@pytest.mark.parametrize("written", [None, "x", [None], ["x" * 513]])
def test_models_that_somebody_wrote_over_are_unknown_until_pods_have_one(written: Any) -> None:
    world = two_replicas()
    half_way(asked_for(world, LARGE))
    world.claim["status"]["repositories"] = written
    world.claim["status"]["cost"]["perMillionTokens"] = [{"load": "chat", "input": "NaN"}]
    world.reconcile()
    assert world.fatal is None
    assert "repositories" not in world.claim["status"], "nobody knows what the old pods have"
    assert told(world) == {}
    world.converge()
    assert models(world) == [LARGE]


def deployment(world: cluster.Cluster) -> str:
    return next(key for key, item in world.objects.items() if item["kind"] == "Deployment")


def test_a_deployment_that_is_unseen_for_a_moment_hides_no_model() -> None:
    world = asked_for(two_replicas(), LARGE)
    world.converge()
    half_way(asked_for(world, SMALL))
    before = told(world)
    key = deployment(world)
    assert world.refs is not None
    world.refs = set(world.refs) - {key}
    for _ in range(2):
        world.reconcile()
        assert (models(world), told(world)) == ([LARGE, SMALL], before)
    world.converge()
    assert models(world) == [SMALL]


def test_a_claim_that_served_keeps_its_models_without_a_workload() -> None:
    world = asked_for(two_replicas(), LARGE)
    world.converge()
    before = told(world)
    asked_for(world, SMALL).reconcile()
    world.edit(suspend=True)
    for _ in range(3):
        world.settle("Job").reconcile()
    world.delete(deployment(world))
    world.reconcile()
    assert (models(world), told(world)) == ([LARGE], before)


def older(world: cluster.Cluster) -> cluster.Cluster:
    """Returns a world as a release leaves it that told no models, and no cost of tokens."""
    for item in world.objects.values():
        annotations = item["metadata"].get("annotations") or {}
        if identity.FACTS_ANNOTATION in annotations:
            facts = json.loads(annotations[identity.FACTS_ANNOTATION])
            facts.pop("model", None)
            annotations[identity.FACTS_ANNOTATION] = canonical.dumps(facts)
    world.claim["status"].pop("repositories", None)
    world.claim["status"]["cost"].pop("perMillionTokens", None)
    return world


def test_an_upgrade_at_rest_proves_the_model_from_the_template() -> None:
    world = two_replicas()
    before = told(world)
    older(world).reconcile()
    assert (models(world), told(world)) == ([FIRST], before)
    # Held by an edit whose weights never come, the record beside it names the model.
    older(world)
    asked_for(world, SMALL).reconcile()
    assert models(world) == [FIRST]
    assert told(world) == {}, "nobody told yet what it costs"


@pytest.mark.parametrize("held", [False, True])
def test_an_upgrade_in_the_middle_of_a_rollout_tells_no_model_until_it_has_ended(
    held: bool,
) -> None:
    world = asked_for(two_replicas(), LARGE)
    world.converge()
    older(half_way(asked_for(world, SMALL)))
    if held:
        given.settings(world)["gpu"]["classes"]["l4"]["podAnnotations"] = {"example.com/x": "y"}
    world.reconcile()
    assert "repositories" not in world.claim["status"]
    assert told(world) == {}
    world.converge()
    assert models(world) == [SMALL]


def test_pods_of_0_9_0_have_a_model_that_nobody_proves() -> None:
    example = cluster.example(given.NAME)
    world = recordings.taken_over(example, cluster.environment("reference"))
    world.converge()
    asked_for(world, SMALL).edit(gateway={"enabled": True})
    for _ in range(2):
        world.reconcile()
    assert world.condition("Current") == ("False", "WeightsPending")
    assert "repositories" not in world.claim["status"]
    assert told(world) == {}


def test_pods_that_were_there_before_the_claim_are_of_their_own_model() -> None:
    """Its author left them behind, and made the claim again."""
    world = asked_for(two_replicas(), LARGE)
    world.converge()
    half_way(asked_for(world, SMALL))
    world.claim["status"] = {}
    world.reconcile().reconcile()
    assert "repositories" not in world.claim["status"]
    assert told(world) == {}


# --- what the author says of files


@pytest.mark.parametrize(
    "model",
    [
        {"source": "pvc", "path": "big"},
        {"revision": "big", "preload": {"enabled": False}},
        {"revision": "refs/pr/7"},
    ],
)
def test_files_that_are_the_authors_word_make_no_cost(model: Any) -> None:
    world = two_replicas()
    written = {"repository": FIRST, "contextWindow": 8192, **model}
    world.edit(model=written).converge()
    assert world.fatal is None
    assert told(world) == {}
    assert models(world) != [FIRST], "it is another product than what the hub has"
    # Nor has a claim the cost of what it asks for while its pods read other files.
    world.edit(model={"repository": FIRST, "contextWindow": 8192}).reconcile()
    assert told(world) == {}


@pytest.mark.parametrize("revision", ["v2", "0" * 40])
def test_another_state_of_the_repository_is_the_same_model(revision: str) -> None:
    world = two_replicas()
    before = told(world)
    given.remodelled(world, revision=revision).converge()
    assert (models(world), told(world)) == ([FIRST], before)


def test_a_patch_that_reads_another_directory_makes_no_cost() -> None:
    world = two_replicas()
    given.settings(world).setdefault("permissions", {})["patches"] = ["*"]
    (container,) = world.template["spec"]["containers"][:1]
    args = ["/models/other", *container["args"][1:]]
    containers = [{"name": container["name"], "args": args}]
    patch = {"spec": {"template": {"spec": {"containers": containers}}}}
    world.edit(patches={"deployment": patch}).converge()
    assert world.fatal is None
    assert "repositories" not in world.claim["status"]
    assert told(world) == {}


def test_a_claim_without_pods_tells_the_cost_of_what_they_will_have() -> None:
    world = given.new().reconcile()
    assert models(world) == [FIRST]
    assert told(world).keys() == loads.WORKLOADS.keys()
    asked_for(world, SMALL).reconcile()
    assert models(world) == [SMALL]
