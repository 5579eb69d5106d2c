"""What a claim of text-embeddings-inference becomes, and what is refused of it."""

import pytest

from function.engines.tei import router
from function.workloads import pods
from tests import cluster
from tests.engines.tei import composed
from tests.life import given
from tests.resources import scene

# --- hardware


def test_a_claim_without_gpu_has_none() -> None:
    world = scene.serving(composed.tei())
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
    world = scene.serving(composed.tei(scaling={"maxReplicas": 1}), scene.site(cpu=nodes))
    spec = world.template["spec"]
    assert spec["nodeSelector"] == {"pool": "cpu"}
    assert spec["tolerations"] == nodes["tolerations"]
    assert world.template["metadata"]["annotations"] == nodes["podAnnotations"]
    assert spec["terminationGracePeriodSeconds"] == 120
    assert world.one("Deployment")["spec"]["strategy"] == {"type": "Recreate"}


def test_a_node_without_a_gpu_may_be_too_small() -> None:
    asked = composed.tei(resources={"requests": {"memory": "64Gi"}})
    misfit = scene.planned(asked, scene.site(cpu={"nodeMemory": "32Gi"})).misfit
    assert misfit is not None
    assert "a node without a GPU offers 32Gi" in misfit.message
    assert misfit.message.endswith("correct the setting cpu.nodeMemory")


def test_no_gpu_counts_against_no_limit() -> None:
    config = scene.site(limits={"maxGPUs": 1})
    assert scene.planned(composed.tei(scaling={"maxReplicas": 9}), config).scaling.maximum == 9
    assert scene.planned(composed.tei(), config).scaling.maximum == 3
    refused = scene.refused(composed.tei(gpu={}, scaling={"maxReplicas": 2}), config)
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
    plan = scene.planned(composed.tei(gpu={"class": "l4"}), site)
    assert plan.serving.image == f"ghcr.io/huggingface/text-embeddings-inference:{tag}"


def test_the_image_follows_mirror_version_and_digest() -> None:
    digest = "sha256:" + "0a" * 32
    site = {
        "imageRegistry": "registry.example.com",
        "engine": {"tei": {"version": "1.9.1", "digests": {"cpu": digest}}},
    }
    image = "registry.example.com/ghcr.io/huggingface/text-embeddings-inference:cpu-1.9.1"
    assert composed.container(composed.tei(), **site)["image"] == f"{image}@{digest}"
    newer = composed.tei(engine={"version": "1.9.3"})
    assert composed.container(newer, **site)["image"].endswith(":cpu-1.9.3")


def test_fit_on_a_gpu_is_not_known() -> None:
    world = scene.serving(composed.tei(gpu={"class": "l4"}))
    assert world.claim["status"]["gpu"] == "1 x l4"
    assert world.condition("Fits") == ("Unknown", "NotMeasured")
    assert world.claim["status"]["cost"]["perHourMin"] == "0.805"


@pytest.mark.parametrize("asked", [{"resourceName": "amd.com/gpu"}, {"class": "mi300x"}])
def test_no_image_is_built_for_gpus_of_others(asked: cluster.Object) -> None:
    classes = {"mi300x": {"resourceName": "amd.com/gpu", "product": "MI300X"}}
    config = scene.site(gpu={"classes": classes})
    assert "none for amd.com/gpu" in scene.refused(composed.tei(gpu=asked), config)


# --- the container


def test_flags_follow_from_the_claim() -> None:
    asked = composed.tei({**composed.BGE, "maxNumSeqs": 32, "dtype": "half"}, gpu={"class": "l4"})
    assert composed.flags(asked) == {
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
    arguments = composed.container(composed.tei(engineArgs=["--max-batch-tokens=1024"]))["args"]
    assert [one for one in arguments if "batch-tokens" in one] == ["--max-batch-tokens=1024"]


def test_a_batch_on_a_cpu_is_short_and_holds_the_longest_text() -> None:
    assert composed.flags(composed.tei())["--max-batch-tokens"] == "4096"
    assert (
        composed.flags(composed.tei({"repository": "BAAI/bge-m3"}))["--max-batch-tokens"] == "8192"
    )
    assert "--max-batch-tokens" not in composed.flags(composed.tei({"repository": "org/unknown"}))
    assert "--max-batch-tokens" not in composed.flags(composed.tei(gpu={}))


def test_threads_follow_the_cpu_limit_where_the_cpu_computes() -> None:
    variables = scene.environment(
        composed.container(composed.tei(resources={"limits": {"cpu": "2500m"}}))
    )
    for name in ("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        assert variables[name] == "2"
    assert "RAYON_NUM_THREADS" not in scene.environment(composed.container(composed.tei(gpu={})))


def test_the_level_of_the_log_is_one_that_the_engine_knows() -> None:
    variables = scene.environment(
        composed.container(composed.tei(), engine={"logLevel": "WARNING"})
    )
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
    assert words in scene.refused(composed.tei(engineArgs=[argument]))


def test_an_argument_that_does_no_harm_needs_no_permission() -> None:
    asked = composed.tei(
        engineArgs=["--dense-path=2_Dense_512", "--pooling=mean", "--auto-truncate"]
    )
    assert composed.flags(asked)["--dense-path"] == "2_Dense_512"


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
    assert words in scene.refused(composed.tei(podTemplate=extra))


def test_a_secret_that_is_printed_is_refused() -> None:
    source = {"secretKeyRef": {"name": "hf-token", "key": "token"}}
    extra = {"env": [{"name": "PAYLOAD_LIMIT", "valueFrom": source}]}
    assert "is printed by the engine when it starts" in scene.refused(
        composed.tei(podTemplate=extra)
    )


def test_variables_that_do_no_harm() -> None:
    values = {"RAYON_NUM_THREADS": "3", "POOLING": "cls"}
    extra = {"env": [{"name": name, "value": value} for name, value in values.items()]}
    assert (
        scene.environment(composed.container(composed.tei(podTemplate=extra)))["RAYON_NUM_THREADS"]
        == "3"
    )


def test_an_old_version_is_refused() -> None:
    assert "is older than 1.9.0" in scene.refused(composed.tei(engine={"version": "1.8.3"}))


def test_facts_that_cannot_be_read_are_refused_by_their_field() -> None:
    assert "spec.model.facts: x is no field" in scene.refused(
        composed.tei(composed.BGE | {"facts": {"x": 1}})
    )


# --- where it is reached


def test_a_reranker_is_not_published_where_no_path_leads_to_it() -> None:
    refused = scene.refused(composed.tei(composed.RERANKER, gateway={"enabled": True}))
    assert "spec.gateway.enabled: BAAI/bge-reranker-v2-m3 ranks or classifies texts" in refused
    world = scene.serving(composed.tei(composed.RERANKER, route={"enabled": True, "hostname": "r"}))
    assert world.phase == "Serving"


def test_an_embedding_model_is_offered_as_one() -> None:
    world = scene.serving(composed.tei(gateway={"enabled": True}))
    assert world.claim["status"]["offers"] == ["embed"]


# --- scaling


def triggers(claimed: cluster.Object) -> dict[str, str]:
    every = scene.serving(claimed).one("ScaledObject")["spec"]["triggers"]
    return {one["name"]: one["metadata"]["threshold"] for one in every}


def test_the_running_trigger_needs_a_number_of_texts() -> None:
    assert triggers(composed.tei()) == {"queue": "8"}
    on_gpu = composed.tei({**composed.BGE, "maxNumSeqs": 64}, gpu={"class": "l4"})
    assert triggers(on_gpu) == {"running": "44.8", "queue": "8"}
    named = {"triggers": {"running": {"target": "5"}, "queue": {"enabled": False}}}
    assert triggers(composed.tei(scaling=named)) == {"running": "5"}


def test_a_cpu_takes_four_texts_into_a_batch() -> None:
    """A target above it would never be reached."""
    on_cpu = composed.tei({**composed.BGE, "maxNumSeqs": 64})
    assert composed.flags(on_cpu)["--max-batch-requests"] == "64"
    assert triggers(on_cpu) == {"running": "2.8", "queue": "8"}
    # The program overrules a smaller number too.
    assert triggers(composed.tei({**composed.BGE, "maxNumSeqs": 2}))["running"] == "2.8"
    # ONNX files may lie there, and ONNX Runtime takes 8; nobody knows which of the two computes.
    own = {"source": "pvc", "path": "bge", "maxNumSeqs": 64}
    assert triggers(composed.tei(own))["running"] == "2.8"


def test_a_claim_without_a_trigger_is_refused() -> None:
    off = {"triggers": {"queue": {"enabled": False}}}
    assert "nothing would scale the claim" in scene.refused(composed.tei(scaling=off))
    assert (
        scene.serving(composed.tei({**composed.BGE, "maxNumSeqs": 64}, scaling=off)).phase
        == "Serving"
    )


# --- a change of the engine


def test_a_claim_that_has_pods_keeps_its_engine() -> None:
    world = scene.serving(scene.of(model=composed.BGE))
    before = world.one("Deployment")
    world.edit(engine={"kind": "tei"}).reconcile()
    assert "the claim's pods are of vllm" in (world.fatal or "")
    assert world.one("Deployment") == before
    assert world.condition("Valid") == ("False", "Invalid")


def test_a_claim_without_pods_may_change_it() -> None:
    world = scene.first(scene.of(model=composed.BGE)).edit(engine={"kind": "tei"})
    world.converge()
    assert world.phase == "Serving"
    assert scene.container(world)["name"] == "tei"


def test_a_change_of_the_settings_is_held_back() -> None:
    world = scene.serving(composed.tei({**composed.BGE, "maxNumSeqs": 64}))
    given.settings(world)["engine"] = {"tei": {"version": "1.9.1"}}
    world.reconcile()
    assert world.condition("Current") == ("False", "PlatformChangePending")
    assert "containers[tei].image" in world.message("Current")
    world.edit(drainSeconds=60).converge()
    assert scene.container(world)["image"].endswith(":cpu-1.9.1")


def test_the_target_follows_the_pods_that_run() -> None:
    """The claim asks for other texts at once; pods keep theirs while weights are missing."""
    world = scene.serving(composed.tei({**composed.BGE, "maxNumSeqs": 64}, gpu={"class": "l4"}))
    world.edit(model={"repository": "BAAI/bge-m3", "maxNumSeqs": 8}).reconcile()
    assert world.condition("Current") == ("False", "WeightsPending")
    every = world.one("ScaledObject")["spec"]["triggers"]
    assert every[0]["metadata"]["threshold"] == "44.8"


def test_facts_are_read_off_pods_without_a_memory() -> None:
    world = scene.serving(composed.tei({**composed.BGE, "maxNumSeqs": 64}))
    wanted = scene.planned(composed.tei()).running
    facts = pods.running_of(world.template, router, wanted)
    assert (facts.engine, facts.version, facts.max_requests) == ("tei", "1.9.3", 4)
    assert (facts.gpus, facts.generates, facts.pods) == (0, False, 1)
    on_gpu = scene.serving(
        composed.tei({**composed.BGE, "maxNumSeqs": 64}, gpu={"class": "l4"})
    ).template
    facts = pods.running_of(on_gpu, router, wanted)
    assert (facts.gpus, facts.max_requests) == (1, 64)
