"""What a claim of text-embeddings-inference becomes, and what is refused of it."""

import copy
import dataclasses
from typing import Any

import pytest

from function import memo
from function.capacity import catalogue
from function.clients import offers
from function.engines.tei import memory as memory_of_tei
from function.engines.tei import router
from function.planning import plans
from function.workloads import pods
from tests import cluster
from tests.life import given
from tests.resources import scene

BGE = {"repository": "BAAI/bge-base-en-v1.5"}
RERANKER = {"repository": "BAAI/bge-reranker-v2-m3"}


def tei(model: cluster.Object | None = None, **spec: Any) -> cluster.Object:
    """Returns a claim of text-embeddings-inference."""
    engine = {"kind": "tei", **spec.pop("engine", {})}
    return scene.of(model=BGE if model is None else model, engine=engine, **spec)


def container(claimed: cluster.Object, **site: Any) -> cluster.Object:
    return scene.container(scene.serving(claimed, scene.site(**site)))


def flags(claimed: cluster.Object, **site: Any) -> dict[str, str | None]:
    return scene.values(container(claimed, **site)["args"])


# --- hardware


def test_a_claim_without_gpu_has_none() -> None:
    world = scene.serving(tei())
    spec = world.template["spec"]
    assert not any("/" in key for key in scene.container(world)["resources"]["limits"])
    assert spec["nodeSelector"] == {"kubernetes.io/arch": "amd64"}
    assert "tolerations" not in spec
    assert "runtimeClassName" not in spec
    status = world.claim["status"]
    assert status["gpu"] == "none"
    assert "cost" not in status
    assert "gpuClass" not in status["serving"]
    assert world.condition("Fits") == ("True", "NoGpu")


def test_the_settings_place_pods_without_a_gpu() -> None:
    nodes = {
        "nodeSelector": {"pool": "cpu"},
        "tolerations": [{"key": "cpu", "operator": "Exists"}],
        "podAnnotations": {"example.com/a": "b"},
        "spare": False,
        "interruptionNoticeSeconds": 120,
    }
    world = scene.serving(tei(scaling={"maxReplicas": 1}), scene.site(cpu=nodes))
    spec = world.template["spec"]
    assert spec["nodeSelector"] == {"pool": "cpu"}
    assert spec["tolerations"] == nodes["tolerations"]
    assert world.template["metadata"]["annotations"] == nodes["podAnnotations"]
    assert spec["terminationGracePeriodSeconds"] == 120
    assert world.one("Deployment")["spec"]["strategy"] == {"type": "Recreate"}


def test_a_node_without_a_gpu_may_be_too_small() -> None:
    asked = tei(resources={"requests": {"memory": "64Gi"}})
    misfit = scene.planned(asked, scene.site(cpu={"nodeMemory": "32Gi"})).misfit
    assert misfit is not None
    assert "a node without a GPU offers 32Gi" in misfit.message
    assert misfit.message.endswith("correct the setting cpu.nodeMemory")


def test_no_gpu_counts_against_no_limit() -> None:
    config = scene.site(limits={"maxGPUs": 1})
    assert scene.planned(tei(scaling={"maxReplicas": 9}), config).scaling.maximum == 9
    assert scene.planned(tei(), config).scaling.maximum == 3
    refused = scene.refused(tei(gpu={}, scaling={"maxReplicas": 2}), config)
    assert "2 replicas of 1 GPU are above the settings' limits.maxGPUs" in refused


@pytest.mark.parametrize(
    ("product", "tag"),
    [
        ("Tesla-T4", "turing-1.9.3"),
        ("NVIDIA-A100-SXM4-80GB", "1.9.3"),
        ("NVIDIA-A10G", "86-1.9.3"),
        ("NVIDIA-L4", "89-1.9.3"),
        ("NVIDIA-H100-80GB-HBM3", "hopper-1.9.3"),
        ("NVIDIA-B200", "100-1.9.3"),
        ("NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition", "120-1.9.3"),
        ("NVIDIA-Something-New", "cuda-1.9.3"),
    ],
)
def test_the_image_is_built_for_the_card(product: str, tag: str) -> None:
    site = scene.site(gpu={"classes": {"l4": {"product": product}}})
    plan = scene.planned(tei(gpu={"class": "l4"}), site)
    assert plan.serving.image == f"ghcr.io/huggingface/text-embeddings-inference:{tag}"


def test_the_image_follows_mirror_version_and_digest() -> None:
    digest = "sha256:" + "0a" * 32
    site = {
        "imageRegistry": "registry.example.com",
        "engine": {"tei": {"version": "1.9.1", "digests": {"cpu": digest}}},
    }
    image = "registry.example.com/ghcr.io/huggingface/text-embeddings-inference:cpu-1.9.1"
    assert container(tei(), **site)["image"] == f"{image}@{digest}"
    newer = tei(engine={"version": "1.9.3"})
    assert container(newer, **site)["image"].endswith(":cpu-1.9.3")


def test_fit_on_a_gpu_is_not_known() -> None:
    world = scene.serving(tei(gpu={"class": "l4"}))
    assert world.claim["status"]["gpu"] == "1 x l4"
    assert world.condition("Fits") == ("Unknown", "NotMeasured")
    assert world.claim["status"]["cost"]["perHourMin"] == "0.805"


@pytest.mark.parametrize("asked", [{"resourceName": "amd.com/gpu"}, {"class": "mi300x"}])
def test_no_image_is_built_for_gpus_of_others(asked: cluster.Object) -> None:
    classes = {"mi300x": {"resourceName": "amd.com/gpu", "product": "MI300X"}}
    config = scene.site(gpu={"classes": classes})
    assert "none for amd.com/gpu" in scene.refused(tei(gpu=asked), config)


# --- the container


def test_flags_follow_from_the_claim() -> None:
    asked = tei({**BGE, "maxNumSeqs": 32, "dtype": "half"}, gpu={"class": "l4"})
    assert flags(asked) == {
        "--model-id": "/models/base-cc8b9671039e4bdb/weights",
        "--served-model-name": "model",
        "--hostname": "0.0.0.0",
        "--port": "8000",
        "--dtype": "float16",
        "--max-batch-requests": "32",
        "--json-output": None,
    }


def test_an_own_flag_replaces_ours_and_stands_once() -> None:
    """The program refuses a flag that stands twice."""
    arguments = container(tei(engineArgs=["--max-batch-tokens=1024"]))["args"]
    assert [one for one in arguments if "batch-tokens" in one] == ["--max-batch-tokens=1024"]


def test_a_batch_on_a_cpu_is_short_and_holds_the_longest_text() -> None:
    assert flags(tei())["--max-batch-tokens"] == "4096"
    assert flags(tei({"repository": "BAAI/bge-m3"}))["--max-batch-tokens"] == "8192"
    assert "--max-batch-tokens" not in flags(tei({"repository": "org/unknown"}))
    assert "--max-batch-tokens" not in flags(tei(gpu={}))


def test_threads_follow_the_cpu_limit_where_the_cpu_computes() -> None:
    variables = scene.environment(container(tei(resources={"limits": {"cpu": "2500m"}})))
    for name in ("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        assert variables[name] == "2"
    assert "RAYON_NUM_THREADS" not in scene.environment(container(tei(gpu={})))


# --- the memory of one text


def memory(claimed: cluster.Object) -> tuple[str, str]:
    amounts = container(claimed)["resources"]
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
    assert memory(tei({"repository": repository, **more})) == amounts


def test_memory_follows_the_batch() -> None:
    long = {"repository": "BAAI/bge-m3"}
    assert memory(tei(long, engineArgs=["--max-batch-tokens=2048"])) == ("4Gi", "8Gi")
    # Two texts of 8192 tokens are computed together, and a third array hides their padding.
    assert memory(tei(long, engineArgs=["--max-batch-tokens=16384"])) == ("28Gi", "32Gi")
    # So are two that are a little shorter.
    assert memory(tei(long, engineArgs=["--max-batch-tokens=16000"])) == ("26Gi", "30Gi")
    # The program takes four at most.
    assert memory(tei(long, engineArgs=["--max-batch-tokens=131072"])) == ("52Gi", "56Gi")


def test_memory_of_heads_that_nobody_knows_is_the_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    known = catalogue.lookup("BAAI/bge-m3")
    assert known is not None
    blocks = tuple(
        dataclasses.replace(block, mixer=dataclasses.replace(block.mixer, heads=0))
        for block in known.blocks
    )
    headless = dataclasses.replace(known, blocks=blocks)
    monkeypatch.setattr(catalogue, "lookup", lambda _: headless)
    assert memory(tei({"repository": "org/headless"})) == ("4Gi", "8Gi")


def test_memory_that_the_author_writes_stands() -> None:
    long = {"repository": "BAAI/bge-m3"}
    assert memory(tei(long, resources={"limits": {"memory": "13Gi"}})) == ("12Gi", "13Gi")
    assert memory(tei(long, resources={"requests": {"memory": "2Gi"}})) == ("2Gi", "16Gi")
    whole = ["--max-batch-tokens=8192"]
    less = {"limits": {"memory": "9Gi"}}
    assert memory(tei(long, engineArgs=whole, resources=less)) == ("9Gi", "9Gi")
    assert memory(tei(long, gpu={"class": "l4"})) == ("16Gi", "32Gi")


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
    assert flags(tei(LONG, **more))["--max-batch-tokens"] == tokens


def test_the_longest_text_is_what_small_nodes_have_room_for() -> None:
    for node, tokens in (("4Gi", 2048), ("13Gi", 4096), ("360Gi", 4096)):
        plan = scene.planned(tei(LONG), scene.site(cpu={"nodeMemory": node}))
        assert plan.serving.context_window == tokens
        assert plan.misfit is None
    # Not even the weights fit.
    assert scene.planned(tei(LONG), scene.site(cpu={"nodeMemory": "2Gi"})).misfit is not None


def test_the_longest_text_is_told() -> None:
    """By the claim's condition, and to its clients."""
    plan = scene.planned(tei(LONG))
    (offer,) = offers.offers([plan])
    assert offer.context == 4096
    world = scene.serving(tei(LONG))
    assert world.condition("Fits") == ("True", "NoGpu")
    assert world.message("Fits") == (
        "the engine takes no memory of a GPU. A batch has 4096 tokens, and texts of"
        " Qwen/Qwen3-Embedding-0.6B have up to 32768: longer texts are cut without a word; set"
        " spec.resources.limits.memory to 196Gi for whole ones"
    )


def test_memory_that_common_nodes_lack_is_told() -> None:
    world = scene.serving(tei(LONG, engineArgs=["--auto-truncate=false"]))
    assert scene.container(world)["resources"]["requests"]["memory"] == "196Gi"
    told = world.message("Fits")
    assert "3 x 16 heads x 32768^2 tokens x 4 bytes = 192.0 GiB" in told
    assert "take --auto-truncate away and have texts cut at 4096 tokens, name spec.gpu" in told
    # Where the settings say what nodes have, they decide.
    known = scene.site(cpu={"nodeMemory": "360Gi"})
    world = scene.serving(tei(LONG, engineArgs=["--auto-truncate=false"]), known)
    assert world.message("Fits") == "the engine takes no memory of a GPU"
    # Of large weights it is told too.
    world = scene.serving(tei({"repository": "Qwen/Qwen3-Embedding-4B"}))
    assert "waits for a node that has as much: name spec.gpu" in world.message("Fits")


def test_a_variable_that_is_not_read_is_told() -> None:
    asked = tei(podTemplate={"env": [{"name": "MAX_BATCH_TOKENS", "value": "2048"}]})
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
            {"model": {**BGE, "dtype": "float"}},
            "DTYPE is not read: spec.model.dtype sets --dtype=float32",
        ),
    ],
)
def test_variables_that_are_not_read(
    variable: cluster.Object, more: cluster.Object, words: str | None
) -> None:
    plan = scene.planned(tei(podTemplate={"env": [variable]}, **copy.deepcopy(more)))
    told = [why.rule for why in plan.explanations if why.surprising]
    assert len(told) == (0 if words is None else 1)
    assert words is None or words in told[0]


def test_a_variable_that_is_read_bounds_the_text() -> None:
    variable = {"env": [{"name": "MAX_BATCH_TOKENS", "value": "2048"}]}
    plan = scene.planned(tei(LONG, gpu={"class": "l4"}, podTemplate=variable))
    assert plan.serving.context_window == 2048


def test_memory_that_follows_anew_is_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim that lives keeps its pods, as in any change of the platform."""
    with monkeypatch.context() as before:
        before.setattr(memory_of_tei, "of", lambda *_: None)
        before.setattr(plans, "_kept", memo.Bounded(plans.MOST_BYTES))
        world = cluster.Cluster(tei({"repository": "BAAI/bge-m3"}), scene.site())
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
        world = cluster.Cluster(tei(LONG), scene.site())
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


def test_the_level_of_the_log_is_one_that_the_engine_knows() -> None:
    variables = scene.environment(container(tei(), engine={"logLevel": "WARNING"}))
    assert variables["LOG_LEVEL"] == "warn"


# --- what it must not be told


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("--model-id=org/other", "--model-id is set by the composition"),
        ("--hostname=::", "the address is fixed"),
        ("--max-batch-requests=4", "use spec.model.maxNumSeqs"),
        ("--json-output", "--json-output is set by the composition"),
        ("--otlp-endpoint=http://a", "(permissions.engineConnections)"),
        ("--api-key=x", "(permissions.engineSecrets)"),
        ("--uds-path=/models/x", "(permissions.engineFiles)"),
        ("--dense-path=../x", "(permissions.engineFiles)"),
        ("--max_batch_tokens=4", "(permissions.unknownArguments)"),
        ("--kv-cache-dtype=fp8", "(permissions.unknownArguments)"),
    ],
)
def test_arguments_that_are_refused(argument: str, words: str) -> None:
    assert words in scene.refused(tei(engineArgs=[argument]))


def test_an_argument_that_does_no_harm_needs_no_permission() -> None:
    asked = tei(engineArgs=["--dense-path=2_Dense_512", "--pooling=mean", "--auto-truncate"])
    assert flags(asked)["--dense-path"] == "2_Dense_512"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("MODEL_ID", "MODEL_ID is set by the composition"),
        ("HOSTNAME", "the address is fixed"),
        ("OTLP_ENDPOINT", "(permissions.environment)"),
        ("LD_PRELOAD", "(permissions.trustRemoteCode)"),
        ("HF_HOME", "(permissions.environment)"),
        ("API_KEY", "(permissions.engineSecrets)"),
        ("VLLM_USE_V1", "(permissions.environment)"),
    ],
)
def test_variables_that_are_refused(name: str, words: str) -> None:
    extra = {"env": [{"name": name, "value": "x"}]}
    assert words in scene.refused(tei(podTemplate=extra))


def test_a_secret_that_is_printed_is_refused() -> None:
    source = {"secretKeyRef": {"name": "hf-token", "key": "token"}}
    extra = {"env": [{"name": "PAYLOAD_LIMIT", "valueFrom": source}]}
    assert "is printed by the engine when it starts" in scene.refused(tei(podTemplate=extra))


def test_variables_that_do_no_harm() -> None:
    values = {"RAYON_NUM_THREADS": "3", "POOLING": "cls"}
    extra = {"env": [{"name": name, "value": value} for name, value in values.items()]}
    assert scene.environment(container(tei(podTemplate=extra)))["RAYON_NUM_THREADS"] == "3"


def test_an_old_version_is_refused() -> None:
    assert "is older than 1.9.0" in scene.refused(tei(engine={"version": "1.8.3"}))


def test_facts_that_cannot_be_read_are_refused_by_their_field() -> None:
    assert "spec.model.facts: x is no field" in scene.refused(tei(BGE | {"facts": {"x": 1}}))


# --- where it is reached


def test_a_reranker_is_not_published_where_no_path_leads_to_it() -> None:
    refused = scene.refused(tei(RERANKER, gateway={"enabled": True}))
    assert "spec.gateway.enabled: BAAI/bge-reranker-v2-m3 ranks or classifies texts" in refused
    world = scene.serving(tei(RERANKER, route={"enabled": True, "hostname": "r"}))
    assert world.phase == "Serving"


def test_an_embedding_model_is_offered_as_one() -> None:
    world = scene.serving(tei(gateway={"enabled": True}))
    assert world.claim["status"]["offers"] == ["embed"]


# --- scaling


def triggers(claimed: cluster.Object) -> dict[str, str]:
    every = scene.serving(claimed).one("ScaledObject")["spec"]["triggers"]
    return {one["name"]: one["metadata"]["threshold"] for one in every}


def test_the_running_trigger_needs_a_number_of_texts() -> None:
    assert triggers(tei()) == {"queue": "8"}
    on_gpu = tei({**BGE, "maxNumSeqs": 64}, gpu={"class": "l4"})
    assert triggers(on_gpu) == {"running": "44.8", "queue": "8"}
    named = {"triggers": {"running": {"target": "5"}, "queue": {"enabled": False}}}
    assert triggers(tei(scaling=named)) == {"running": "5"}


def test_a_cpu_takes_four_texts_into_a_batch() -> None:
    """A target above it would never be reached."""
    on_cpu = tei({**BGE, "maxNumSeqs": 64})
    assert flags(on_cpu)["--max-batch-requests"] == "64"
    assert triggers(on_cpu) == {"running": "2.8", "queue": "8"}
    # The program overrules a smaller number too.
    assert triggers(tei({**BGE, "maxNumSeqs": 2}))["running"] == "2.8"
    # ONNX files may lie there, and ONNX Runtime takes 8; nobody knows which of the two computes.
    own = {"source": "pvc", "path": "bge", "maxNumSeqs": 64}
    assert triggers(tei(own))["running"] == "2.8"


def test_a_claim_without_a_trigger_is_refused() -> None:
    off = {"triggers": {"queue": {"enabled": False}}}
    assert "nothing would scale the claim" in scene.refused(tei(scaling=off))
    assert scene.serving(tei({**BGE, "maxNumSeqs": 64}, scaling=off)).phase == "Serving"


# --- a change of the engine


def test_a_claim_that_has_pods_keeps_its_engine() -> None:
    world = scene.serving(scene.of(model=BGE))
    before = world.one("Deployment")
    world.edit(engine={"kind": "tei"}).reconcile()
    assert "the claim's pods are of vllm" in (world.fatal or "")
    assert world.one("Deployment") == before
    assert world.condition("Valid") == ("False", "Invalid")


def test_a_claim_without_pods_may_change_it() -> None:
    world = scene.first(scene.of(model=BGE)).edit(engine={"kind": "tei"})
    world.converge()
    assert world.phase == "Serving"
    assert scene.container(world)["name"] == "tei"


def test_a_change_of_the_settings_is_held_back() -> None:
    world = scene.serving(tei({**BGE, "maxNumSeqs": 64}))
    given.settings(world)["engine"] = {"tei": {"version": "1.9.1"}}
    world.reconcile()
    assert world.condition("Current") == ("False", "PlatformChangePending")
    assert "containers[tei].image" in world.message("Current")
    world.edit(drainSeconds=60).converge()
    assert scene.container(world)["image"].endswith(":cpu-1.9.1")


def test_the_target_follows_the_pods_that_run() -> None:
    """The claim asks for other texts at once; pods keep theirs while weights are missing."""
    world = scene.serving(tei({**BGE, "maxNumSeqs": 64}, gpu={"class": "l4"}))
    world.edit(model={"repository": "BAAI/bge-m3", "maxNumSeqs": 8}).reconcile()
    assert world.condition("Current") == ("False", "WeightsPending")
    every = world.one("ScaledObject")["spec"]["triggers"]
    assert every[0]["metadata"]["threshold"] == "44.8"


def test_facts_are_read_off_pods_without_a_memory() -> None:
    world = scene.serving(tei({**BGE, "maxNumSeqs": 64}))
    wanted = scene.planned(tei()).running
    facts = pods.running_of(world.template, router, wanted)
    assert (facts.engine, facts.version, facts.max_requests) == ("tei", "1.9.3", 4)
    assert (facts.gpus, facts.generates, facts.pods) == (0, False, 1)
    on_gpu = scene.serving(tei({**BGE, "maxNumSeqs": 64}, gpu={"class": "l4"})).template
    facts = pods.running_of(on_gpu, router, wanted)
    assert (facts.gpus, facts.max_requests) == (1, 64)
