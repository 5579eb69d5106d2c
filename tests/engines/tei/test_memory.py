"""text-embeddings-inference on CPUs: memory follows the longest text, and the text the memory."""

import copy
import dataclasses

import pytest

from function import memo
from function.capacity import catalogue
from function.clients import offers
from function.engines.tei import memory as memory_of_tei
from function.planning import plans
from tests import cluster
from tests.engines.tei import composed
from tests.resources import scene


def memory(claimed: cluster.Object) -> tuple[str, str]:
    amounts = composed.container(claimed)["resources"]
    return amounts["requests"]["memory"], amounts["limits"]["memory"]


@pytest.mark.parametrize(
    ("repository", "more", "amounts"),
    [
        ("BAAI/bge-base-en-v1.5", {}, ("4Gi", "8Gi")),
        ("intfloat/multilingual-e5-large", {}, ("4Gi", "8Gi")),
        # 2.1 GiB of weights, 2 x 16 heads x 8192^2 tokens x 4 bytes, 1 GiB for the program.
        ("BAAI/bge-m3", {}, ("12Gi", "16Gi")),
        ("BAAI/bge-m3", {"dtype": "half"}, ("7Gi", "11Gi")),
        ("nomic-ai/nomic-embed-text-v1.5", {}, ("8Gi", "12Gi")),
        # 4,096 tokens of 32,768, and 5,120 of 40,960. Its mask is a third array.
        ("Qwen/Qwen3-Embedding-0.6B", {}, ("7Gi", "11Gi")),
        ("Qwen/Qwen3-Embedding-4B", {}, ("26Gi", "30Gi")),
        # Nobody knows it, or no CPU computes it.
        ("org/unknown", {}, ("4Gi", "8Gi")),
        ("intfloat/e5-mistral-7b-instruct", {}, ("4Gi", "8Gi")),
    ],
)
def test_memory_holds_the_attention_of_the_longest_text(
    repository: str, more: cluster.Object, amounts: tuple[str, str]
) -> None:
    assert memory(composed.tei({"repository": repository, **more})) == amounts


def test_memory_follows_the_batch() -> None:
    long = {"repository": "BAAI/bge-m3"}
    assert memory(composed.tei(long, engineArgs=["--max-batch-tokens=2048"])) == ("4Gi", "8Gi")
    # Two texts of 8192 tokens are computed together, and a third array hides their padding.
    assert memory(composed.tei(long, engineArgs=["--max-batch-tokens=16384"])) == ("28Gi", "32Gi")
    # So are two that are a little shorter.
    assert memory(composed.tei(long, engineArgs=["--max-batch-tokens=16000"])) == ("26Gi", "30Gi")
    # The program takes four at most.
    assert memory(composed.tei(long, engineArgs=["--max-batch-tokens=131072"])) == ("52Gi", "56Gi")


def test_memory_of_heads_that_nobody_knows_is_the_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    known = catalogue.lookup("BAAI/bge-m3")
    assert known is not None
    blocks = tuple(
        dataclasses.replace(block, mixer=dataclasses.replace(block.mixer, heads=0))
        for block in known.blocks
    )
    headless = dataclasses.replace(known, blocks=blocks)
    monkeypatch.setattr(catalogue, "lookup", lambda _: headless)
    assert memory(composed.tei({"repository": "org/headless"})) == ("4Gi", "8Gi")


def test_memory_that_the_author_writes_stands() -> None:
    long = {"repository": "BAAI/bge-m3"}
    assert memory(composed.tei(long, resources={"limits": {"memory": "13Gi"}})) == ("12Gi", "13Gi")
    assert memory(composed.tei(long, resources={"requests": {"memory": "2Gi"}})) == ("2Gi", "16Gi")
    whole = ["--max-batch-tokens=8192"]
    less = {"limits": {"memory": "9Gi"}}
    assert memory(composed.tei(long, engineArgs=whole, resources=less)) == ("9Gi", "9Gi")
    assert memory(composed.tei(long, gpu={"class": "l4"})) == ("16Gi", "32Gi")


LONG = {"repository": "Qwen/Qwen3-Embedding-0.6B"}


@pytest.mark.parametrize(
    ("more", "tokens"),
    [
        ({}, "4096"),
        ({"resources": {"limits": {"memory": "16Gi"}}}, "8192"),
        ({"resources": {"limits": {"memory": "4Gi"}}}, "2048"),
        ({"resources": {"limits": {"memory": "200Gi"}}}, "32768"),
        ({"resources": {"requests": {"memory": "64Gi"}}}, "16384"),
        # Smaller than is usual, it bounds nothing.
        ({"resources": {"requests": {"memory": "2Gi"}}}, "4096"),
        # Too little for any text: it is as without a limit, and `check` warns.
        ({"resources": {"limits": {"memory": "2Gi"}}}, "4096"),
        ({"engineArgs": ["--auto-truncate=false"]}, "32768"),
        ({"podTemplate": {"env": [{"name": "AUTO_TRUNCATE", "value": "false"}]}}, "32768"),
        ({"engineArgs": ["--auto-truncate"]}, "4096"),
        # 16,384 tokens of half the bytes take less.
        ({"podTemplate": {"env": [{"name": "DTYPE", "value": "float16"}]}}, "8192"),
        ({"engineArgs": ["--max-batch-tokens=16384"]}, "16384"),
    ],
)
def test_the_longest_text_is_what_the_memory_has_room_for(
    more: cluster.Object, tokens: str
) -> None:
    assert composed.flags(composed.tei(LONG, **more))["--max-batch-tokens"] == tokens


def test_the_longest_text_is_what_small_nodes_have_room_for() -> None:
    for node, tokens in (("4Gi", 2048), ("13Gi", 4096), ("360Gi", 4096)):
        plan = scene.planned(composed.tei(LONG), scene.site(cpu={"nodeMemory": node}))
        assert plan.serving.context_window == tokens
        assert plan.misfit is None
    # Not even the weights fit.
    assert (
        scene.planned(composed.tei(LONG), scene.site(cpu={"nodeMemory": "2Gi"})).misfit is not None
    )


def test_the_longest_text_is_told() -> None:
    """By the claim's condition, and to its clients."""
    plan = scene.planned(composed.tei(LONG))
    (offer,) = offers.offers([plan])
    assert offer.context == 4096
    world = scene.serving(composed.tei(LONG))
    assert world.condition("Fits") == ("True", "NoGpu")
    assert world.message("Fits") == (
        "the engine takes no memory of a GPU. A batch has 4096 tokens, and texts of"
        " Qwen/Qwen3-Embedding-0.6B have up to 32768: longer texts are cut without a word; set"
        " spec.resources.limits.memory to 196Gi for whole ones"
    )


def test_memory_that_common_nodes_lack_is_told() -> None:
    world = scene.serving(composed.tei(LONG, engineArgs=["--auto-truncate=false"]))
    assert scene.container(world)["resources"]["requests"]["memory"] == "196Gi"
    told = world.message("Fits")
    assert "3 x 16 heads x 32768^2 tokens x 4 bytes = 192.0 GiB" in told
    assert "take --auto-truncate away and have texts cut at 4096 tokens, name spec.gpu" in told
    # Where the settings say what nodes have, they decide.
    known = scene.site(cpu={"nodeMemory": "360Gi"})
    world = scene.serving(composed.tei(LONG, engineArgs=["--auto-truncate=false"]), known)
    assert world.message("Fits") == "the engine takes no memory of a GPU"
    # Of large weights it is told too.
    world = scene.serving(composed.tei({"repository": "Qwen/Qwen3-Embedding-4B"}))
    assert "waits for a node that has as much: name spec.gpu" in world.message("Fits")


def test_a_variable_that_is_not_read_is_told() -> None:
    asked = composed.tei(podTemplate={"env": [{"name": "MAX_BATCH_TOKENS", "value": "2048"}]})
    world = scene.serving(asked)
    words = (
        "MAX_BATCH_TOKENS is not read: the composition sets --max-batch-tokens=4096, and a flag"
        " wins over its variable: write --max-batch-tokens=2048 in spec.engineArgs"
    )
    assert words in world.message("Fits")
    (why,) = [why for why in scene.planned(asked).explanations if why.surprising]
    assert (why.rule, why.field) == (words, "spec.podTemplate.env[0]")


@pytest.mark.parametrize(
    ("variable", "more", "words"),
    [
        # The composition sets it on CPUs alone, and for a model that it knows.
        ({"name": "MAX_BATCH_TOKENS", "value": "2048"}, {"gpu": {"class": "l4"}}, None),
        ({"name": "MAX_BATCH_TOKENS", "value": "2048"}, {"model": {"repository": "o/r"}}, None),
        ({"name": "MAX_BATCH_TOKENS", "value": "4096"}, {}, None),
        ({"name": "MAX_BATCH_TOKENS", "value": "x"}, {}, "write --max-batch-tokens in"),
        ({"name": "POOLING", "value": "cls"}, {}, None),
        (
            {"name": "POOLING", "value": "cls"},
            {"engineArgs": ["--pooling=mean"]},
            "POOLING is not read: spec.engineArgs[0] has --pooling, and a flag wins",
        ),
        ({"name": "DTYPE", "value": "float16"}, {}, None),
        (
            {"name": "DTYPE", "value": "float16"},
            {"model": {**composed.BGE, "dtype": "float"}},
            "DTYPE is not read: spec.model.dtype sets --dtype=float32",
        ),
    ],
)
def test_variables_that_are_not_read(
    variable: cluster.Object, more: cluster.Object, words: str | None
) -> None:
    plan = scene.planned(composed.tei(podTemplate={"env": [variable]}, **copy.deepcopy(more)))
    told = [why.rule for why in plan.explanations if why.surprising]
    assert len(told) == (0 if words is None else 1)
    assert words is None or words in told[0]


def test_a_variable_that_is_read_bounds_the_text() -> None:
    variable = {"env": [{"name": "MAX_BATCH_TOKENS", "value": "2048"}]}
    plan = scene.planned(composed.tei(LONG, gpu={"class": "l4"}, podTemplate=variable))
    assert plan.serving.context_window == 2048


def test_memory_that_follows_anew_is_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim that lives keeps its pods, as in any change of the platform."""
    with monkeypatch.context() as before:
        before.setattr(memory_of_tei, "of", lambda *_: None)
        before.setattr(plans, "_kept", memo.Bounded(plans.MOST_BYTES))
        world = cluster.Cluster(composed.tei({"repository": "BAAI/bge-m3"}), scene.site())
        world.converge()
    kept = copy.deepcopy(world.template)
    assert scene.container(world)["resources"]["limits"]["memory"] == "8Gi"
    monkeypatch.setattr(plans, "_kept", memo.Bounded(plans.MOST_BYTES))
    world.reconcile()
    assert world.template == kept
    assert world.condition("Current") == ("False", "PlatformChangePending")
    assert "containers[tei].resources" in world.message("Current")
    world.edit(drainSeconds=60).converge()
    assert scene.container(world)["resources"]["limits"]["memory"] == "16Gi"


def test_tokens_that_follow_anew_are_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as before:
        before.setattr(memory_of_tei, "USUAL_GIB", 1000)
        before.setattr(plans, "_kept", memo.Bounded(plans.MOST_BYTES))
        world = cluster.Cluster(composed.tei(LONG), scene.site())
        world.converge()
    kept = copy.deepcopy(world.template)
    assert "--max-batch-tokens=32768" in scene.container(world)["args"]
    monkeypatch.setattr(plans, "_kept", memo.Bounded(plans.MOST_BYTES))
    world.reconcile()
    assert world.template == kept
    assert world.condition("Current") == ("False", "PlatformChangePending")
    assert "containers[tei].args" in world.message("Current")
    world.edit(drainSeconds=60).converge()
    assert "--max-batch-tokens=4096" in scene.container(world)["args"]
