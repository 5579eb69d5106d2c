"""A model that cannot fit its GPUs asks for none, and never takes away what runs."""

import copy
import functools
import json
from typing import Any

import pytest

from function import memo
from function.capacity import catalogue, fit, forms, interval, reading, releases
from function.cluster import pods
from function.engines.vllm import forecast
from function.planning import plans
from preload import figures
from tests import cluster
from tests.capacity import configurations
from tests.life import given
from tests.resources import scene

LARGE = "meta-llama/Llama-3.3-70B-Instruct"
CLASSES: dict[str, Any] = {
    "defaultClass": "l4",
    "classes": {
        "l4": {"product": "NVIDIA-L4", "nodeGpus": 1, "pricePerHour": "0.805"},
        "h100": {"product": "NVIDIA-H100-80GB-HBM3", "nodeGpus": 8, "pricePerHour": "6.88"},
    },
}


def born(model: dict[str, Any], gpu: Any = None, **changes: Any) -> cluster.Cluster:
    claimed = scene.of(model=model, **({} if gpu is None else {"gpu": gpu}))
    world = cluster.Cluster(claimed, scene.site(**{"gpu": CLASSES, **changes}))
    world.converge()
    return world


def has_pods(world: cluster.Cluster) -> bool:
    return any(item["kind"] == "Deployment" for item in world.objects.values())


def test_what_cannot_fit_asks_for_no_gpu_and_names_the_ways_out() -> None:
    world = born({"repository": LARGE})
    assert not has_pods(world)
    assert world.condition("Fits") == ("False", "TooLarge")
    assert world.condition("EngineReady") == ("False", "TooLarge")
    assert world.phase == "Failed"
    # Nor for weights that nobody can use.
    assert not any(item["kind"] == "Job" for item in world.objects.values())
    assert world.condition("WeightsReady") == ("False", "TooLarge")
    assert "is not downloaded" in world.message("WeightsReady")
    message = world.message("Fits")
    assert "weights 131.4 GiB" in message
    assert "gpu.class: h100, gpu.count: 2 (13.76 USD/h a replica)" in message


def test_a_download_that_has_begun_is_not_taken_back() -> None:
    claimed = scene.of(model={"repository": LARGE}, gpu={"fit": "Ignore"})
    world = cluster.Cluster(claimed, scene.site(gpu=CLASSES)).born()
    job = world.one("Job")
    world.edit(gpu={"count": 1}).reconcile()
    assert world.condition("Fits") == ("False", "TooLarge")
    assert world.one("Job")["metadata"]["name"] == job["metadata"]["name"]


@pytest.mark.parametrize(
    ("gpu", "changes"),
    [({"fit": "Ignore"}, {}), (None, {"capacity": {"fit": "Ignore"}})],
    ids=["claim", "settings"],
)
def test_the_estimate_can_be_overruled(gpu: Any, changes: dict[str, Any]) -> None:
    world = born({"repository": LARGE}, gpu, **changes)
    assert has_pods(world)
    assert world.condition("Fits") == ("False", "TooLarge")
    assert "fit: Ignore" in world.message("Fits")


def test_the_claim_overrules_settings_that_ignore() -> None:
    world = born({"repository": LARGE}, {"fit": "Enforce"}, capacity={"fit": "Ignore"})
    assert not has_pods(world)


def test_an_edit_to_what_cannot_fit_keeps_what_runs() -> None:
    world = given.serving()
    before = copy.deepcopy(world.template)
    given.remodelled(world, repository=LARGE, revision="main")
    world.edit(loraAdapters=None, gateway={"enabled": True})
    world.converge()
    assert world.template == before
    assert world.condition("Current") == ("False", "TooLarge")
    # Nor is anything downloaded that can never serve.
    assert world.condition("WeightsReady") == ("False", "TooLarge")
    assert not any(LARGE in json.dumps(item) for item in world.objects.values())
    assert world.condition("EngineReady") == ("True", "Serving")
    assert world.phase != "Failed"
    # What runs costs what it did.
    assert world.claim["status"]["cost"]["perHourNow"] == "0.805"
    assert world.claim["status"]["cost"]["perHourMax"] == "1.61"


def test_a_held_template_has_the_gpus_and_the_cost_of_its_own_class() -> None:
    """The author names a larger class beside another revision: its weights are not there yet."""
    world = given.serving("smallest")
    classes = given.settings(world)["gpu"]["classes"]
    classes["huge"] = {"product": "NVIDIA-H100-80GB-HBM3", "pricePerHour": "6.88"}
    world.converge()
    before = copy.deepcopy(world.claim["status"]["cost"])
    given.swap(world).edit(gpu={"class": "huge", "count": 1}).reconcile()
    assert world.condition("Current") == ("False", "WeightsPending")
    assert world.claim["status"]["cost"] == before
    assert world.claim["status"]["gpu"] == "1 x l4"
    world.converge()
    assert world.condition("Current")[0] == "True"
    assert world.claim["status"]["gpu"] == "1 x huge"
    assert world.claim["status"]["cost"]["perHourNow"] == "6.88"


def test_what_runs_costs_its_own_class_while_the_claim_names_one_that_is_too_small() -> None:
    world = given.serving("smallest")
    classes = given.settings(world)["gpu"]["classes"]
    classes["tiny"] = {"memoryGiB": 4, "pricePerHour": "0.1"}
    world.converge()
    before = copy.deepcopy(world.claim["status"]["cost"])
    world.edit(gpu={"class": "tiny", "count": 1}).converge()
    assert world.condition("Current") == ("False", "TooLarge")
    assert world.claim["status"]["cost"] == before
    assert world.claim["status"]["gpu"] == "1 x l4"


def test_an_unknown_model_is_unknown_and_blocks_nothing() -> None:
    world = born({"repository": "org/nobody-knows"})
    assert has_pods(world)
    assert world.condition("Fits") == ("Unknown", "UnknownModel")
    assert "inference-service facts" in world.message("Fits")
    assert "capacity" not in world.claim["status"]


MIG = "nvidia.com/mig-3g.40gb"


@pytest.mark.parametrize(
    ("gpu", "resource", "words"),
    [
        ({}, None, "do not say what GPU class gpu is: set gpu.classes.gpu.product, or memoryGiB"),
        (
            {"product": "NVIDIA-H1000"},
            None,
            "gpu.classes.gpu.product NVIDIA-H1000 is no GPU that is known: the nearest known:"
            " H100-SXM-80GB",
        ),
        (
            {"product": "Voodoo"},
            None,
            "Voodoo is no GPU that is known: correct it, or set gpu.classes.gpu.memoryGiB",
        ),
        (
            {"product": "NVIDIA-H100-80GB-HBM3-MIG-3g.40gb", "resourceName": MIG},
            None,
            "is a part of a GPU, whose memory is not known by its name: set gpu.classes.gpu.memory",
        ),
        (
            {"product": "NVIDIA-H100-80GB-HBM3", "pricePerHour": "6.88"},
            MIG,
            f"what GPU the resource {MIG} is: make a class with resourceName and memoryGiB",
        ),
    ],
)
def test_an_unknown_card_is_unknown_and_blocks_nothing(
    gpu: dict[str, Any], resource: str | None, words: str
) -> None:
    classes = {"defaultClass": "gpu", "classes": {"gpu": gpu}}
    own = {} if resource is None else {"resourceName": resource}
    claimed = scene.of(model={"repository": "Qwen/Qwen3-8B"}, gpu=own)
    world = cluster.Cluster(claimed, scene.site(gpu=classes))
    world.converge()
    assert has_pods(world)
    assert world.condition("Fits") == ("Unknown", "UnknownCard")
    assert words in world.message("Fits")
    # The price is that of a whole GPU, and of the class' own resource.
    assert "cost" not in world.claim["status"]


def test_the_claim_states_facts_of_a_model_of_its_own() -> None:
    facts = {
        "name": "org/own",
        "architecture": "LlamaForCausalLM",
        "hidden": 4096,
        "vocabulary": 32000,
        "tied": False,
        "dtypeBytes": 2,
        "context": 4096,
        "blocks": [
            {
                "count": 32,
                "mixer": {
                    "kind": "full",
                    "heads": 32,
                    "kvHeads": 8,
                    "headSize": 128,
                    "valueSize": 128,
                },
                "network": {"intermediate": 14336},
            }
        ],
    }
    world = born({"repository": "org/own", "facts": facts})
    assert world.condition("Fits") == ("True", "Fits")
    broken = scene.of(model={"repository": "org/own", "facts": {**facts, "hidden": "wide"}})
    message = scene.refused(broken, scene.site(gpu=CLASSES))
    assert "spec.model.facts: hidden is 'wide'" in message


def test_status_says_what_it_holds_and_costs_and_is_quiet_at_rest() -> None:
    world = given.serving()
    status = world.claim["status"]
    assert status["capacity"]["summary"] == "5.7 x 32768 tokens"
    tokens = status["cost"].pop("perMillionTokens")
    assert tokens[0] == {"load": "chat", "input": "0.0308", "output": "0.32"}
    assert status["cost"] == {
        "currency": "USD",
        "perHourMax": "1.61",
        "perHourMin": "0.805",
        "perHourNow": "0.805",
        "priceDate": "2026-08-20",
    }
    status["cost"]["perMillionTokens"] = tokens
    before = copy.deepcopy(status)
    world.reconcile()
    assert world.claim["status"] == before


@pytest.mark.parametrize(
    ("token", "least"), [({}, "0"), ({"tokenSecretRef": {"name": "hub"}}, "0.805")]
)
def test_a_download_that_the_hub_refuses_asks_for_no_money(
    token: dict[str, Any], least: str
) -> None:
    model = {"repository": "meta-llama/Llama-3.1-8B-Instruct", "quantization": "fp8", **token}
    world = cluster.Cluster(scene.of(model=model), scene.site(gpu=CLASSES)).born()
    assert world.claim["status"]["cost"]["perHourMin"] == least


@pytest.mark.parametrize(
    ("learnt", "reason"),
    [
        ({"architecture": "MambaForCausalLM"}, "UnknownModel"),
        ({"quantization": "awq"}, "UnknownModel"),
        ({"architecture": "Qwen2ForCausalLM"}, "Fits"),
    ],
)
def test_the_manifest_corrects_what_is_known(learnt: dict[str, str], reason: str) -> None:
    world = given.serving()
    for record in world.claim["status"]["weights"]["verified"]:
        record.update(learnt)
    world.reconcile()
    assert world.condition("Fits")[1] == reason


def test_a_change_of_the_catalogue_restarts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = given.serving("smallest")
    before = copy.deepcopy(world.template)
    monkeypatch.setattr(catalogue, "lookup", lambda _: None)
    given.settings(world)["labels"] = {"another": "plan"}
    world.reconcile()
    assert world.template == before
    assert world.condition("Current") == ("False", "PlatformChangePending")


LLAMA_70B = configurations.decoder(
    "LlamaForCausalLM", 8192, 80, 64, 8, 28672, 128256, 131072, dtype="bfloat16"
)
OWN = "org/nobody-knows"


def anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """What another process would not remember: plans, and answers of the estimate."""
    monkeypatch.setattr(plans, "_kept", memo.Bounded(plans.MOST_BYTES))
    blank = functools.lru_cache(1024)(forecast._answer.__wrapped__)
    monkeypatch.setattr(forecast, "_answer", blank)


def serves_as_before(world: cluster.Cluster, before: cluster.Cluster) -> None:
    """Nothing restarts, nothing is taken away and nothing is added."""
    assert world.template == before.template
    assert world.objects == before.objects
    assert world.condition("EngineReady") == ("True", "Serving")
    assert world.phase == "Serving"
    # Tokens cost what the estimate says; a price that followed from it is kept by its front door.
    costs = [dict(one.claim["status"]["cost"]) for one in (world, before)]
    for cost in costs:
        cost.pop("perMillionTokens", None)
    assert costs[0] == costs[1]


@pytest.mark.parametrize("name", ["smallest", given.NAME])
@pytest.mark.parametrize("catalogued", [None, LLAMA_70B], ids=["forgotten", "larger"])
def test_a_change_of_the_catalogue_alone_keeps_what_runs(
    monkeypatch: pytest.MonkeyPatch, name: str, catalogued: configurations.Config | None
) -> None:
    world = given.serving(name)
    before = copy.deepcopy(world)
    listed = None if catalogued is None else reading.read(catalogued, OWN, source="a catalogue")
    monkeypatch.setattr(catalogue, "lookup", lambda _: listed)
    anew(monkeypatch)
    world.converge()
    serves_as_before(world, before)
    if listed is None:
        assert world.condition("Fits") == ("Unknown", "UnknownModel")
        # Parsers, or the context, followed from the model: others follow now, and are held.
        assert world.condition("Current") == ("False", "PlatformChangePending")
        return
    assert world.condition("Fits") == ("False", "TooLarge")
    weights = "weights 131.4 GiB" if name == "smallest" else "weights 67.7 GiB, adapters 3.1 GiB"
    assert weights in world.message("Fits")
    assert world.condition("Current") == ("False", "TooLarge")


@pytest.mark.parametrize("name", ["smallest", given.NAME])
def test_a_constant_of_the_estimate_that_changes_keeps_what_runs(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    world = given.serving(name)
    before = copy.deepcopy(world)
    assert world.condition("Fits") == ("True", "Fits")
    much = interval.exactly(30 * fit.GIB)
    monkeypatch.setattr(releases, "process", lambda *_: much)
    anew(monkeypatch)
    world.converge()
    serves_as_before(world, before)
    assert world.condition("Fits") == ("False", "TooLarge")
    assert "process 30.0 GiB" in world.message("Fits")
    # A claim that is new asks for nothing.
    fresh = given.new(name)
    fresh.converge()
    assert not has_pods(fresh)
    assert fresh.condition("EngineReady") == ("False", "TooLarge")


# --- what the manifest brings


def downloaded(
    config: configurations.Config, tensors: dict[str, int], **model: Any
) -> cluster.Cluster:
    """Returns a claim whose Job ended and says what it read in the checkpoint's own files."""
    claimed = scene.of(model={"repository": OWN, **model})
    config_map = scene.site(gpu=CLASSES, diagnostics={"pods": True})
    world = cluster.Cluster(claimed, config_map).born()
    job = world.one("Job")
    environment = job["spec"]["template"]["spec"]["containers"][0]["env"]
    plan = json.loads(next(e["value"] for e in environment if e["name"] == "PRELOAD_PLAN"))
    item = {
        "directory": plan["items"][0]["directory"],
        "architecture": config["architectures"][0],
        "config": figures.packed(config),
        "tensors": tensors,
    }
    ended = {"exitCode": 0, "message": json.dumps({"items": [item]})}
    labels = {pods.COMPONENT_LABEL: "preload", pods.JOB_LABEL: job["metadata"]["name"]}
    world.pods = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p", "labels": labels},
            "status": {"containerStatuses": [{"name": "preload", "state": {"terminated": ended}}]},
        }
    ]
    world.settle().reconcile()
    world.pods = None
    world.converge()
    return world


def test_a_model_that_nobody_knew_is_known_by_its_files() -> None:
    world = downloaded(configurations.QWEN3_8B, {"BF16": 16_381_470_720})
    assert world.condition("Fits") == ("True", "Fits")
    assert world.claim["status"]["weights"]["verified"][0]["facts"]["hidden"] == 4096
    assert has_pods(world)


def test_pods_follow_from_the_claim_and_not_from_its_files() -> None:
    """A download that ends must not restart what serves."""
    known = downloaded(configurations.QWEN3_8B, {"BF16": 16_381_470_720})
    unknown = downloaded(configurations.QWEN3_8B, {"BF16": 1})
    assert unknown.condition("Fits") == ("Unknown", "UnknownModel")
    assert known.template == unknown.template


def test_files_that_differ_restart_nothing() -> None:
    """A claim serves, and a later download reads other figures than the catalogue has."""
    world = given.serving("smallest")
    before = copy.deepcopy(world.template)
    model = reading.read(LLAMA_70B, OWN, source="the checkpoint's own files")
    for record in world.claim["status"]["weights"]["verified"]:
        record["facts"] = forms.document(model)
    world.converge()
    assert world.condition("Fits") == ("False", "TooLarge")
    assert world.template == before
    assert world.condition("Current")[0] == "True"
    assert world.phase == "Serving"


def test_what_was_downloaded_and_cannot_fit_asks_for_no_gpu() -> None:
    world = downloaded(LLAMA_70B, {"BF16": 141_107_412_992})
    assert world.condition("Fits") == ("False", "TooLarge")
    assert not has_pods(world)
    assert "weights 131.4 GiB" in world.message("Fits")


def test_the_files_count_before_the_catalogue() -> None:
    """A repository whose name promises eight billion parameters."""
    world = downloaded(LLAMA_70B, {"BF16": 141_107_412_992}, repository="meta-llama/Llama-3.1-8B")
    assert world.condition("Fits") == ("False", "TooLarge")


def test_what_claim_or_settings_state_counts_before_the_files() -> None:
    small = {"count": 1, "mixer": {"kind": "full", "heads": 8, "kvHeads": 8, "headSize": 64}}
    facts = {
        "name": OWN,
        "architecture": "LlamaForCausalLM",
        "hidden": 512,
        "vocabulary": 32000,
        "tied": False,
        "dtypeBytes": 2,
        "context": 131072,
        "blocks": [small | {"network": {"intermediate": 512}}],
    }
    world = downloaded(LLAMA_70B, {"BF16": 141_107_412_992}, facts=facts)
    assert world.condition("Fits") == ("True", "Fits")


def test_counts_that_no_deployment_has_cost_nothing() -> None:
    world = given.serving()
    world.objects["xplane-qwen-coder-deployment"]["spec"]["replicas"] = -3
    world.reconcile()
    assert world.claim["status"]["cost"]["perHourNow"] == "0"


def test_a_digit_that_is_no_number_is_none() -> None:
    """`str.isdigit` takes a superscript for one, and `int` does not."""
    claimed = scene.of(engineArgs=["--block-size=²"])
    world = cluster.Cluster(claimed, scene.site(gpu=CLASSES)).reconcile()
    assert world.fatal is None
