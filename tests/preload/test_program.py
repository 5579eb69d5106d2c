"""The whole program against the hub: downloads, repairs, messages."""

import base64
import json
import os
import random
import zlib
from typing import Any

import pytest

from preload import exits, report
from tests.preload import conftest, given, hub_server


@pytest.mark.pitfall("a script aborts on a fresh volume, or glues the lines of an empty list")
def test_publishes_base_and_adapter(stage: conftest.Stage) -> None:
    code = stage.run(given.BASE, given.ADAPTER, cacheDirectory=".compile-cache/llm-qwen")
    assert code == 0
    there = conftest.files_below(stage.home / "weights")
    assert there == {path: given.MODEL[path] for path in conftest.WANTED}
    published = stage.manifest()
    sha = stage.hub.revisions["Qwen/Qwen3-8B", "main"]
    assert {
        key: published[key] for key in ("version", "kind", "repository", "revision", "sha")
    } == {
        "version": 1,
        "kind": "base",
        "repository": "Qwen/Qwen3-8B",
        "revision": "main",
        "sha": sha,
    }
    assert published["weights"] == "weights"
    assert published["bytes"] == sum(len(given.MODEL[path]) for path in conftest.WANTED)
    by_path = {file["path"]: file for file in published["files"]}
    assert by_path[given.SHARD] == {
        "path": given.SHARD,
        "size": len(given.MODEL[given.SHARD]),
        "sha256": hub_server.sha256(given.MODEL[given.SHARD]),
    }
    assert by_path["config.json"]["gitSha1"] == hub_server.git_sha1(given.MODEL["config.json"])
    adapter = stage.models / "adapter-0123456789ab"
    assert conftest.truth(adapter) is True
    assert {path.name for path in (adapter / "weights").iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    cache = stage.models / ".compile-cache/llm-qwen"
    assert cache.stat().st_mode & 0o777 == 0o775
    assert not [path for path in stage.home.iterdir() if path.name.endswith(".tmp")]
    assert not (stage.home / ".lease").exists()


def test_termination_message_of_a_success(stage: conftest.Stage) -> None:
    stage.run(given.BASE, given.ADAPTER)
    sha = stage.hub.revisions["Qwen/Qwen3-8B", "main"]
    base, adapter = stage.message()["items"]
    assert base == {
        "directory": given.BASE["directory"],
        "repository": "Qwen/Qwen3-8B",
        "revision": "main",
        "sha": sha,
        "bytes": stage.manifest()["bytes"],
        "dtype": "bfloat16",
        "quantization": None,
        "architecture": "Qwen3ForCausalLM",
        "contextLimit": 40960,
        "loraRank": None,
        "baseModel": None,
    }
    assert (adapter["loraRank"], adapter["baseModel"]) == (16, "Qwen/Qwen3-8B")


def published(figures: dict[str, Any]) -> dict[str, Any]:
    """A manifest with figures of a base model."""
    described = {
        "architectures": ["A"],
        "dtype": "bfloat16",
        "quantization": None,
        "contextLimit": 8,
        "loraRank": None,
        "config": figures,
        "tensors": {"BF16": 7},
    }
    return {"repository": "o/r", "revision": "v", "sha": "0" * 40, "checkpoint": described}


def test_a_success_message_has_the_figures_of_the_model() -> None:
    figures = {"architectures": ["A"], "ignore": [f"model.layers.{i}.gate" for i in range(500)]}
    (item,) = json.loads(report.success([("home", published(figures))]))["items"]
    assert json.loads(zlib.decompress(base64.b64decode(item["config"]))) == figures
    assert item["tensors"] == {"BF16": 7}


def test_figures_that_are_too_long_go_from_a_message_first() -> None:
    """What pods are started with follows from the rest."""
    figures = {"a": random.Random(0).randbytes(9000).hex()}
    (item,) = json.loads(report.success([("home", published(figures))]))["items"]
    assert not {"config", "tensors", "repository"} & item.keys()
    assert item["architecture"] == "A"


def test_a_long_success_message_keeps_what_the_reader_needs() -> None:
    checkpoint = {
        "architectures": ["A" * 60],
        "dtype": "bfloat16",
        "quantization": "compressed-tensors",
        "contextLimit": 131072,
        "loraRank": 16,
    }
    published = {
        "repository": "o" * 150 + "/" + "r" * 100,
        "revision": "v" * 200,
        "sha": "0" * 40,
        "bytes": 10**12,
        "checkpoint": checkpoint,
    }
    message = report.success([(f"directory-{index}", published) for index in range(9)])
    assert len(message) <= 4000
    items = json.loads(message)["items"]
    assert [item["directory"] for item in items] == [f"directory-{index}" for index in range(9)]
    assert all(item["sha"] == "0" * 40 and item["bytes"] == 10**12 for item in items)
    assert all(item["loraRank"] == 16 and "repository" not in item for item in items)
    many = report.success([(f"directory-{index}", published) for index in range(40)])
    assert len(many) <= 4000
    assert len(json.loads(many)["items"]) == 40


def test_a_long_failure_message_is_cut() -> None:
    message = report.failure(exits.Exit.NOT_FOUND, "ä" * 5000)
    assert len(message) <= 4000
    assert json.loads(message)["error"] == "NotFound"


@pytest.mark.pitfall("the hub answers 429 to pods whose weights are there")
def test_a_rerun_asks_the_hub_nothing(stage: conftest.Stage) -> None:
    assert stage.run(given.BASE, given.ADAPTER) == 0
    before = conftest.files_below(stage.models)
    stage.hub.requests.clear()
    # `main` moves on; what is published stays.
    stage.hub.publish("Qwen/Qwen3-8B", {**given.MODEL, "config.json": conftest.config(new=1)})
    assert stage.run(given.BASE, given.ADAPTER) == 0
    assert stage.hub.requests == []
    assert conftest.files_below(stage.models) == before
    assert stage.events().count("already-published") == 2
    assert len(stage.message()["items"]) == 2


@pytest.mark.pitfall("main drifts")
@pytest.mark.parametrize("damage", ["missing", "shorter", "longer", "directory"])
def test_repairs_with_the_commit_that_was_published(stage: conftest.Stage, damage: str) -> None:
    stage.run()
    before = conftest.files_below(stage.home / "weights")
    sha = stage.manifest()["sha"]
    shard = stage.home / "weights" / given.SHARD
    if damage == "missing":
        shard.unlink()
    elif damage == "shorter":
        os.truncate(shard, 1000)
    elif damage == "longer":
        shard.write_bytes(shard.read_bytes() + b"x")
    else:
        shard.unlink()
        shard.mkdir()
        (shard / "inner").write_bytes(b"x")
    stage.hub.publish("Qwen/Qwen3-8B", {**given.MODEL, given.SHARD: conftest.blob(1_500_000, 77)})
    stage.hub.requests.clear()
    assert stage.run() == 0
    assert "unpublished" in stage.events()
    assert stage.manifest()["sha"] == sha
    assert conftest.files_below(stage.home / "weights") == before
    starts = [request.start for request in stage.hub.downloads()]
    assert starts == [1000 if damage == "shorter" else 0]


@pytest.mark.pitfall("wrong weights are served after a change of repository")
def test_a_manifest_of_something_else_is_withdrawn(stage: conftest.Stage) -> None:
    stage.run()
    published = {**stage.manifest(), "repository": "Qwen/Other"}
    (stage.home / "manifest.json").write_text(json.dumps(published))
    assert stage.run() == 0
    assert stage.manifest()["repository"] == "Qwen/Qwen3-8B"


def test_finishes_the_commit_that_it_began(stage: conftest.Stage) -> None:
    old = stage.hub.revisions["Qwen/Qwen3-8B", "main"]
    stage.hub.faults = [
        hub_server.Fault(given.cdn(given.SHARD), truncate=700_000),
        hub_server.Fault(given.cdn(given.SHARD), times=10**6, status=503),
    ]
    stage.environment["PRELOAD_RETRY_SECONDS"] = "0.1"
    assert stage.run() == 13
    stage.hub.faults.clear()
    stage.hub.publish("Qwen/Qwen3-8B", {**given.MODEL, given.SHARD: conftest.blob(1_500_000, 78)})
    assert stage.run() == 0
    assert stage.manifest()["sha"] == old
    # ... unless that commit is gone, because history was rewritten.
    (stage.home / "manifest.json").unlink()
    new = stage.hub.revisions["Qwen/Qwen3-8B", "main"]
    del stage.hub.revisions["Qwen/Qwen3-8B", old]
    assert stage.run() == 0
    assert stage.manifest()["sha"] == new
    assert conftest.truth(stage.home) is True


def test_removes_files_of_another_commit(stage: conftest.Stage) -> None:
    old = stage.home / "weights"
    (old / "sub").mkdir(parents=True)
    (old / "model-00003-of-00003.safetensors").write_bytes(b"stale")
    (old / "sub/model.safetensors").write_bytes(b"stale")
    (old / "config.json").symlink_to("/etc/hostname")
    (old / ".nfs0001").write_bytes(b"open elsewhere")
    assert stage.run() == 0
    assert set(conftest.files_below(old)) == conftest.WANTED | {".nfs0001"}
    assert not (old / "config.json").is_symlink()
