"""Facts that only pods report: why a pod does not start, and what the Job downloaded."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from function.api import base, status
from function.cluster import pods
from tests import cluster, controllers
from tests.life import given


def pod(component: str, **status: object) -> cluster.Object:
    labels = {"app.kubernetes.io/component": component}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"p-{component}", "labels": labels},
        "status": status,
    }


@pytest.mark.pitfall("a scaled pod stays Pending: the node pool's cap is the sum of the minimums")
@pytest.mark.decision(16)
def test_pods_explain_a_start_where_the_settings_allow_to_read_them() -> None:
    world = given.new().born().settle().reconcile()
    given.settings(world)["diagnostics"] = {"pods": True}
    world.reconcile()
    asked = world.response.requirements.resources["pods"]
    assert asked.match_labels.labels["app.kubernetes.io/instance"] == given.NAME
    assert asked.namespace == "llm"
    assert world.response.meta.ttl.seconds == 60
    waiting = controllers.condition("PodScheduled", "False", "Unschedulable", "0/3 nodes: no GPU")
    world.pods = [pod("inference", conditions=[waiting])]
    world.one("Deployment")["status"] = {"observedGeneration": 1, "replicas": 1}
    world.reconcile()
    assert world.phase == "WaitingForGPU"
    assert "no GPU" in world.message("EngineReady")


def test_the_engine_s_last_words_are_passed_on() -> None:
    world = given.new().born().settle().reconcile()
    given.settings(world)["diagnostics"] = {"pods": True}
    words = "ValueError: To serve at least one request with the model's max seq len (32768)"
    status = {
        "name": "vllm",
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"exitCode": 1, "message": words}},
    }
    world.pods = [pod("inference", containerStatuses=[status])]
    world.one("Deployment")["status"] = {"observedGeneration": 1, "replicas": 1}
    world.reconcile()
    assert world.phase == "Failed"
    assert world.condition("EngineReady") == ("False", "CrashLooping")
    assert words in world.message("EngineReady")


def test_a_container_that_needed_too_much_memory_says_so() -> None:
    """The kernel kills the container before the container writes a message."""
    world = given.new().born().settle().reconcile()
    given.settings(world)["diagnostics"] = {"pods": True}
    ended = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    status = {"name": "vllm", "state": ended, "lastState": ended, "restartCount": 1}
    world.pods = [pod("inference", containerStatuses=[status])]
    world.one("Deployment")["status"] = {"observedGeneration": 1, "replicas": 1}
    world.reconcile()
    assert world.condition("EngineReady") == ("False", "CrashLooping")
    assert "137 (OOMKilled: " in world.message("EngineReady")
    assert "resources.limits.memory" in world.message("EngineReady")


@pytest.mark.parametrize(
    ("waits", "reason", "phase"),
    [
        ("ErrImagePull", "ImagePullFailed", "Failed"),
        ("ImagePullBackOff", "ImagePullFailed", "Failed"),
        ("InvalidImageName", "ImagePullFailed", "Failed"),
        ("CreateContainerConfigError", "ContainerConfigFailed", "Starting"),
        ("ContainerCreating", "Starting", "Starting"),
    ],
)
def test_a_container_that_does_not_start_says_why(waits: str, reason: str, phase: str) -> None:
    world = given.new().born().settle().reconcile()
    given.settings(world)["diagnostics"] = {"pods": True}
    state = {"waiting": {"reason": waits, "message": "its words"}}
    world.pods = [pod("inference", containerStatuses=[{"name": "vllm", "state": state}])]
    world.one("Deployment")["status"] = {"observedGeneration": 1, "replicas": 1}
    world.reconcile()
    assert world.condition("EngineReady") == ("False", reason)
    assert ("its words" in world.message("EngineReady")) is (reason != "Starting")
    assert world.phase == phase


def told(job: str | None = None, **facts: object) -> cluster.Cluster:
    """Returns a claim whose preload pod, or a pod of another Job, just reported its download."""

    def message(directory: str) -> str:
        return json.dumps({"items": [{"directory": directory, **facts}]})

    return last_words(message, job)


def last_words(message: Callable[[str], str], job: str | None = None) -> cluster.Cluster:
    """Returns a claim whose preload pod just ended with a message about its directory."""
    world = given.new("xplane-qwen3-8b").born()
    given.settings(world)["diagnostics"] = {"pods": True}
    environment = world.one("Job")["spec"]["template"]["spec"]["containers"][0]["env"]
    plan = json.loads(next(e["value"] for e in environment if e["name"] == "PRELOAD_PLAN"))
    text = message(plan["items"][0]["directory"])
    terminated = {"terminated": {"exitCode": 0, "message": text}}
    ended = pod("preload", containerStatuses=[{"name": "preload", "state": terminated}])
    ended["metadata"]["labels"][pods.JOB_LABEL] = job or world.one("Job")["metadata"]["name"]
    world.pods = [ended]
    return world.settle().reconcile()


def learnt(**facts: Any) -> cluster.Cluster:
    """Returns a claim at rest, whose status alone still holds the report of the pod."""
    world = told(**facts)
    world.pods = None
    world.converge()
    return world


def test_what_the_checkpoint_is_is_learnt_from_the_job_s_last_words() -> None:
    learns = {"loraRank": 16, "baseModel": "Qwen/Qwen3-8B"}
    world = learnt(sha="b" * 40, bytes=16_400_000_000, dtype="bfloat16", **learns)
    record = world.claim["status"]["weights"]["verified"][0]
    assert record.items() >= learns.items()
    assert (record["sha"], record["bytes"]) == ("b" * 40, 16_400_000_000)
    assert world.claim["status"]["serving"]["sha"] == "b" * 40
    assert "--quantization=fp8" in world.arguments


def test_what_the_status_cannot_hold_is_not_learnt() -> None:
    """Anybody who makes pods can write the message, and the API server bounds the status."""
    forged: dict[str, Any] = {
        "sha": 5,
        "bytes": "many",
        "dtype": ["a"],
        "contextLimit": -1,
        "more": "x",
    }
    world = told(**forged, architecture="Qwen3ForCausalLM")
    assert world.fatal is None
    (record,) = world.claim["status"]["weights"]["verified"]
    assert not record.keys() & forged.keys()
    assert record["architecture"] == "Qwen3ForCausalLM"


def test_words_about_another_job_s_directories_are_not_learnt() -> None:
    world = told(job="xplane-qwen3-8b-preload-0000000000", sha="b" * 40)
    assert "sha" not in world.claim["status"]["weights"]["verified"][0]


@pytest.mark.decision(3)
def test_a_checkpoint_that_is_quantized_already_gets_no_flag() -> None:
    world = learnt(quantization="compressed-tensors")
    assert not [a for a in world.arguments if a.startswith("--quantization")]


FORGED: dict[str, Callable[[str], str]] = {
    "no items": lambda _: '{"items":5}',
    "a list": lambda _: "[]",
    "an item that is none": lambda _: '{"items":[5,null,[]]}',
    "a directory that is none": lambda _: '{"items":[{"directory":{"a":1},"bytes":1}]}',
    "bytes that are none": lambda name: json.dumps(
        {"items": [{"directory": name, "bytes": "many", "sha": "s" * 900, "contextLimit": -1}]}
    ),
    "a map for a word": lambda name: json.dumps(
        {"items": [{"directory": name, "dtype": {"a": 1}, "quantization": ["x"]}]}
    ),
    "no bottom": lambda _: "[" * 4000,
    "half of a character": lambda _: '{"message":"\\ud800","items":[]}',
    "not a number": lambda name: f'{{"items":[{{"directory":"{name}","bytes":NaN}}]}}',
}


@pytest.mark.parametrize("message", FORGED.values(), ids=list(FORGED))
def test_a_preload_pod_that_lies_breaks_neither_call_nor_status(
    message: Callable[[str], str],
) -> None:
    """Anybody who may make pods with the claim's labels can write the message."""
    world = last_words(message)
    own = {field: value for field, value in world.claim["status"].items() if field != "conditions"}
    base.parse(status.Status, own, what="status")
    (record,) = world.claim["status"]["weights"]["verified"]
    assert set(record) == {"directory", "repository", "revision"}
    world.pods = None
    world.converge()
    assert world.condition("Current") == ("True", "Serving")


def test_what_a_preload_pod_says_beside_a_lie_is_taken() -> None:
    world = learnt(bytes="many", dtype="bfloat16", unknown=1)
    (record,) = world.claim["status"]["weights"]["verified"]
    assert record["dtype"] == "bfloat16"
    assert not {"bytes", "unknown"} & set(record)


def test_a_record_that_somebody_spoilt_is_cleaned_and_counts_on() -> None:
    world = learnt(sha="b" * 40)
    jobs = [key for key in world.objects if "job" in key]
    world.claim["status"]["weights"]["verified"][0] |= {"bytes": "many", "spoilt": True}
    world.converge()
    (record,) = world.claim["status"]["weights"]["verified"]
    assert record["sha"] == "b" * 40
    assert not {"bytes", "spoilt"} & set(record)
    assert [key for key in world.objects if "job" in key] == jobs == []
