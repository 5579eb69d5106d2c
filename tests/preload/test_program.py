"""The whole program against the hub: downloads, faults, take-over, messages."""

import base64
import dataclasses
import errno
import json
import os
import pathlib
import random
import shutil
import tempfile
import time
import zlib
from typing import Any

import pytest

from preload import attempts, exits, manifest, report, weights
from tests.preload import conftest, hub_server

BASE = conftest.BASE
MODEL = conftest.MODEL
SHARD = "model-00001-of-00002.safetensors"
ADAPTER = {
    "kind": "adapter",
    "repository": "org/adapter",
    "revision": "main",
    "directory": "adapter-0123456789ab",
}


def cdn(path: str) -> str:
    """The part of a CDN URL that belongs to a file of the model."""
    return hub_server.sha256(MODEL[path])


@pytest.mark.pitfall("a script aborts on a fresh volume, or glues the lines of an empty list")
def test_publishes_base_and_adapter(stage: conftest.Stage) -> None:
    code = stage.run(BASE, ADAPTER, cacheDirectory=".compile-cache/llm-qwen")
    assert code == 0
    there = conftest.files_below(stage.home / "weights")
    assert there == {path: MODEL[path] for path in conftest.WANTED}
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
    assert published["bytes"] == sum(len(MODEL[path]) for path in conftest.WANTED)
    by_path = {file["path"]: file for file in published["files"]}
    assert by_path[SHARD] == {
        "path": SHARD,
        "size": len(MODEL[SHARD]),
        "sha256": hub_server.sha256(MODEL[SHARD]),
    }
    assert by_path["config.json"]["gitSha1"] == hub_server.git_sha1(MODEL["config.json"])
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
    stage.run(BASE, ADAPTER)
    sha = stage.hub.revisions["Qwen/Qwen3-8B", "main"]
    base, adapter = stage.message()["items"]
    assert base == {
        "directory": BASE["directory"],
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
    assert stage.run(BASE, ADAPTER) == 0
    before = conftest.files_below(stage.models)
    stage.hub.requests.clear()
    # `main` moves on; what is published stays.
    stage.hub.publish("Qwen/Qwen3-8B", {**MODEL, "config.json": conftest.config(new=1)})
    assert stage.run(BASE, ADAPTER) == 0
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
    shard = stage.home / "weights" / SHARD
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
    stage.hub.publish("Qwen/Qwen3-8B", {**MODEL, SHARD: conftest.blob(1_500_000, 77)})
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
        hub_server.Fault(cdn(SHARD), truncate=700_000),
        hub_server.Fault(cdn(SHARD), times=10**6, status=503),
    ]
    stage.environment["PRELOAD_RETRY_SECONDS"] = "0.1"
    assert stage.run() == 13
    stage.hub.faults.clear()
    stage.hub.publish("Qwen/Qwen3-8B", {**MODEL, SHARD: conftest.blob(1_500_000, 78)})
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


# --- what the hub may answer ------------------------------------------------------------------


def failed(stage: conftest.Stage, code: exits.Exit, *words: str) -> None:
    message = stage.message()
    assert message["error"] == code.reason
    for word in words:
        assert word in message["message"]
    assert conftest.truth(stage.home) is None


@pytest.mark.pitfall("401 for a name that does not exist reads as a wrong token")
def test_401_says_that_the_name_may_not_exist(stage: conftest.Stage) -> None:
    assert stage.run({**BASE, "repository": "Qwen/Qwen3-8B-Base"}) == 10
    failed(stage, exits.Exit.UNAUTHORIZED, "Qwen/Qwen3-8B-Base", "no repository of that name")
    assert len(stage.hub.requests) == 1  # not worth a retry


def test_403_says_that_the_licence_must_be_accepted(stage: conftest.Stage) -> None:
    stage.hub.gated.add("Qwen/Qwen3-8B")
    stage.environment["HF_TOKEN"] = "hf_weakWEAKweak"
    assert stage.run() == 10
    failed(stage, exits.Exit.UNAUTHORIZED, "403", "Access to this model is restricted", "licence")
    assert "hf_weak" not in stage.log


def test_404_of_repository_and_revision(stage: conftest.Stage) -> None:
    assert stage.run({**BASE, "revision": "v9"}) == 11
    failed(stage, exits.Exit.NOT_FOUND, "Qwen/Qwen3-8B@v9", "Invalid rev id")
    stage.environment["HF_TOKEN"] = stage.hub.token
    assert stage.run({**BASE, "repository": "Qwen/None"}) == 11
    failed(stage, exits.Exit.NOT_FOUND, "Qwen/None")


def test_nothing_to_serve_is_said_before_a_download(stage: conftest.Stage) -> None:
    stage.hub.publish("org/gguf", {"config.json": b"{}", "model.gguf": b"x"})
    assert stage.run({**BASE, "repository": "org/gguf"}) == 11
    failed(stage, exits.Exit.NOT_FOUND, "no weights")
    assert stage.hub.downloads() == []
    # The next commit mends it: nothing holds on to the broken one.
    stage.hub.publish("org/gguf", {"config.json": b"{}", "model.safetensors": b"x"})
    assert stage.run({**BASE, "repository": "org/gguf"}) == 0


def test_a_gated_model_with_the_token(stage: conftest.Stage) -> None:
    stage.hub.gated.add("Qwen/Qwen3-8B")
    stage.environment["HF_TOKEN"] = stage.hub.token
    assert stage.run() == 0
    for request in stage.hub.requests:
        # The CDN is another host: the token must not go there.
        expected = None if request.path.startswith("/cdn/") else f"Bearer {stage.hub.token}"
        assert request.authorization == expected, request
    assert {request.host.partition(":")[0] for request in stage.hub.requests} == {
        "127.0.0.1",
        "localhost",
    }
    assert stage.hub.token not in stage.log


def test_the_token_is_scrubbed_from_whatever_carries_it(
    stage: conftest.Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.environment["HF_TOKEN"] = stage.hub.token

    def explode(self: weights.Publication) -> None:
        raise RuntimeError(f"Illegal header value b'Bearer {stage.hub.token}'")

    monkeypatch.setattr(weights.Publication, "run", explode)
    assert stage.run() == exits.Exit.BUG
    assert "Illegal header value b'Bearer ***'" in stage.log
    assert stage.hub.token not in stage.log
    assert stage.message() == {
        "error": "Bug",
        "message": "unforeseen RuntimeError: Illegal header value b'Bearer ***'",
    }


@pytest.mark.parametrize("path", ["/api/models/", "/resolve/", "/cdn/"])
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_survives_bursts(stage: conftest.Stage, path: str, status: int) -> None:
    stage.hub.faults = [hub_server.Fault(path, times=3, status=status)]
    assert stage.run() == 0
    assert stage.events().count("retry") == 3
    assert conftest.truth(stage.home) is True


@pytest.mark.parametrize("status", [403, 404])
def test_a_cdn_that_refuses_a_signed_url_says_nothing_about_the_model(
    stage: conftest.Stage, status: int
) -> None:
    stage.hub.faults = [hub_server.Fault("/cdn/", times=2, status=status)]
    assert stage.run() == 0
    assert f"HTTP {status} by localhost" in stage.log


def test_retry_after_is_honoured(stage: conftest.Stage) -> None:
    stage.hub.faults = [
        hub_server.Fault("/api/", status=429, headers={"Retry-After": "1"}),
    ]
    assert stage.run() == 0
    first, second = (request.at for request in stage.hub.requests[:2])
    assert second - first >= 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "3600"},
        {"ratelimit": '"api";r=0;t=3600'},
        {"Retry-After": "Fri, 01 Jan 2055 00:00:00 GMT"},
    ],
)
def test_a_wait_beyond_the_budget_is_said_at_once(
    stage: conftest.Stage, headers: dict[str, str]
) -> None:
    stage.hub.faults = [hub_server.Fault("/api/", times=99, status=429, headers=headers)]
    began = time.monotonic()
    assert stage.run() == 13
    assert time.monotonic() - began < 5
    failed(stage, exits.Exit.HUB_UNAVAILABLE, "HTTP 429", "Qwen/Qwen3-8B@main")


@pytest.mark.pitfall("a download hangs in the middle of a shard")
@pytest.mark.parametrize("path", ["/api/models/", "/resolve/", "/cdn/"])
def test_gives_up_after_the_budget(stage: conftest.Stage, path: str) -> None:
    stage.hub.faults = [hub_server.Fault(path, times=10**6, status=503)]
    stage.environment["PRELOAD_RETRY_SECONDS"] = "0.2"
    began = time.monotonic()
    assert stage.run() == 13
    assert 0.2 <= time.monotonic() - began < 5
    failed(stage, exits.Exit.HUB_UNAVAILABLE, "HTTP 503", "network policy")


def test_no_hub_at_all(stage: conftest.Stage) -> None:
    stage.environment["HF_ENDPOINT"] = "http://127.0.0.1:9"
    stage.environment["PRELOAD_RETRY_SECONDS"] = "0.1"
    assert stage.run() == 13
    failed(stage, exits.Exit.HUB_UNAVAILABLE, "ConnectError")


@pytest.mark.parametrize("chunked", [False, True])
def test_truncated_bodies_resume_where_they_ended(stage: conftest.Stage, chunked: bool) -> None:
    fault = hub_server.Fault(cdn(SHARD), times=4, truncate=300_000, chunked=chunked)
    stage.hub.faults = [fault]
    assert stage.run() == 0
    starts = [r.start for r in stage.hub.downloads() if cdn(SHARD) in r.path]
    assert starts == [0, 300_000, 600_000, 900_000, 1_200_000]
    assert conftest.truth(stage.home) is True


def test_truncation_for_ever_ends(stage: conftest.Stage) -> None:
    """Bytes that came before are no progress: a hub that ignores ranges must not loop for ever."""
    stage.hub.faults = [
        hub_server.Fault(cdn(SHARD), times=10**6, truncate=300_000, ignore_range=True)
    ]
    stage.environment["PRELOAD_RETRY_SECONDS"] = "0.3"
    assert stage.run() == 13


def test_a_hub_that_ignores_ranges(stage: conftest.Stage) -> None:
    stage.hub.faults = [
        hub_server.Fault(cdn(SHARD), truncate=500_000),
        hub_server.Fault(cdn(SHARD), ignore_range=True),
    ]
    assert stage.run() == 0
    assert conftest.truth(stage.home) is True


@pytest.mark.pitfall("a download hangs in the middle of a shard")
@pytest.mark.parametrize("path", ["/api/models/", "/cdn/"])
def test_stalls_time_out(stage: conftest.Stage, path: str) -> None:
    stage.hub.faults = [hub_server.Fault(path, truncate=100, stall=8.0)]
    stage.environment |= {"HF_HUB_DOWNLOAD_TIMEOUT": "0.3", "HF_HUB_ETAG_TIMEOUT": "0.3"}
    began = time.monotonic()
    assert stage.run() == 0
    assert time.monotonic() - began < 6
    assert "ReadTimeout" in stage.log


def test_an_api_answer_that_is_none(stage: conftest.Stage) -> None:
    pages = [b"<html>login</html>", b"[]", b"{}", b'{"id": "x", "sha": "y"}']
    stage.hub.faults = [
        hub_server.Fault("/api/", content=lambda _, page=page: page)  # type: ignore[misc]
        for page in pages
    ]
    assert stage.run() == 0
    assert stage.events().count("retry") == len(pages)


def test_wrong_content_once_is_downloaded_again(stage: conftest.Stage) -> None:
    stage.hub.faults = [hub_server.Fault(cdn(SHARD), content=lambda content: content[::-1])]
    assert stage.run() == 0
    assert conftest.truth(stage.home) is True


@pytest.mark.parametrize("kind", ["other", "longer", "git"])
def test_wrong_content_twice_fails(stage: conftest.Stage, kind: str) -> None:
    changes = {
        "other": lambda content: content[::-1],
        "longer": lambda content: content + b"x",
        "git": lambda content: content.replace(b"Qwen3", b"Qwen2"),
    }
    path = "/config.json" if kind == "git" else cdn(SHARD)
    ignore = kind == "longer"
    stage.hub.faults = [
        hub_server.Fault(path, times=99, content=changes[kind], ignore_range=ignore)
    ]
    assert stage.run() == 14
    failed(stage, exits.Exit.VERIFICATION_FAILED, "2 clean downloads", "Qwen/Qwen3-8B@")
    assert len([r for r in stage.hub.downloads() if path in r.path]) == 2


def test_a_damaged_partial_does_not_count_as_a_clean_download(stage: conftest.Stage) -> None:
    weights_directory = stage.home / "weights"
    weights_directory.mkdir(parents=True)
    (weights_directory / SHARD).write_bytes(bytes(1_000_000))  # zeros, as a crash leaves them
    stage.hub.faults = [
        hub_server.Fault(cdn(SHARD)),
        hub_server.Fault(cdn(SHARD), content=lambda content: content[::-1]),
    ]
    assert stage.run() == 0
    starts = [r.start for r in stage.hub.downloads() if cdn(SHARD) in r.path]
    assert starts == [1_000_000, 0, 0]


def test_a_whole_file_without_manifest_is_hashed_not_fetched(stage: conftest.Stage) -> None:
    stage.run()
    (stage.home / "manifest.json").unlink()
    content = bytearray(MODEL[SHARD])
    content[5] ^= 1
    (stage.home / "weights" / SHARD).write_bytes(content)  # right size, wrong content
    stage.hub.requests.clear()
    assert stage.run() == 0
    assert [cdn(SHARD) in request.path for request in stage.hub.downloads()] == [True]
    assert conftest.truth(stage.home) is True


def test_large_files_come_in_windows(
    stage: conftest.Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "PIECE", 400_000)
    assert stage.run() == 0
    starts = [r.start for r in stage.hub.downloads() if cdn(SHARD) in r.path]
    assert sorted(starts) == [0, 400_000, 800_000, 1_200_000]
    assert conftest.truth(stage.home) is True


@pytest.mark.parametrize("path", ["../evil.json", "/etc/evil.json", "a/../evil.json", "a\\b.json"])
def test_unsafe_paths_are_refused(stage: conftest.Stage, path: str) -> None:
    stage.hub.publish("org/evil", {**MODEL, path: b"{}"})
    assert stage.run({**BASE, "repository": "org/evil"}) == 14
    failed(stage, exits.Exit.VERIFICATION_FAILED, "not safe")


def test_a_mirror_without_hashes_is_refused(stage: conftest.Stage) -> None:
    body = json.dumps({"id": "a", "sha": "0" * 40, "siblings": [{"rfilename": "config.json"}]})
    stage.hub.faults = [hub_server.Fault("/api/", content=lambda _: body.encode())]
    assert stage.run() == 14
    failed(stage, exits.Exit.VERIFICATION_FAILED, "mirror")


# --- what the volume may answer ---------------------------------------------------------------


@pytest.mark.parametrize("hook", [{"file_size": 800_000}, {"no_space_after": 800_000}])
def test_full_disk_in_the_middle(
    stage: conftest.Stage, launch: conftest.Launcher, hook: dict[str, int]
) -> None:
    assert launch.run(stage.plan(), **hook) == 12
    failed(stage, exits.Exit.DISK_FULL, "Enlarge the volume")
    stage.hub.requests.clear()
    assert stage.run() == 0
    # What fitted was kept.
    received = sum(request.sent for request in stage.hub.downloads())
    assert received < sum(len(MODEL[path]) for path in conftest.WANTED) - 500_000


@dataclasses.dataclass
class Volume:
    f_bavail: int
    f_frsize: int
    f_blocks: int


def test_full_disk_is_said_before_the_download(
    stage: conftest.Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _: Volume(100, 1024, 10**6))
    assert stage.run() == 12
    failed(stage, exits.Exit.DISK_FULL, "102400 are free")
    assert stage.hub.downloads() == []


def test_items_that_come_at_once_want_room_together(
    stage: conftest.Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of the two would fit. Which of them is refused is whichever asks later."""
    stage.hub.pause = 0.1
    monkeypatch.setattr(os, "statvfs", lambda _: Volume(2400, 1024, 10**6))
    assert stage.run(BASE, ADAPTER) == 12
    message = stage.message()
    assert message["error"] == exits.Exit.DISK_FULL.reason
    assert "2457600 are free" in message["message"]


@pytest.mark.parametrize("volume", [Volume(0, 4096, 0), Volume(2400, 1024, 10**6)])
def test_room_is_believed_in(
    stage: conftest.Stage, monkeypatch: pytest.MonkeyPatch, volume: Volume
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _: volume)
    assert stage.run() == 0


def test_what_is_there_needs_no_room(
    stage: conftest.Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stage.run() == 0
    (stage.home / "manifest.json").unlink()
    (stage.home / "weights/config.json").unlink()
    monkeypatch.setattr(os, "statvfs", lambda _: Volume(1, 1024, 10**6))
    assert stage.run() == 0


@pytest.mark.pitfall("permission denied on the weights: the uid is not the access point's")
@pytest.mark.parametrize("mode", [0o555, 0o000])
def test_a_volume_that_is_not_writable(
    stage: conftest.Stage, launch: conftest.Launcher, mode: int
) -> None:
    # Outside of pytest's directories, which are closed to the user that the child becomes.
    with tempfile.TemporaryDirectory() as directory:
        pathlib.Path(directory).chmod(0o755)
        stage.models = pathlib.Path(directory) / "models"
        stage.models.mkdir()
        stage.models.chmod(mode)
        termination = pathlib.Path(directory) / "termination-log"
        termination.touch()
        termination.chmod(0o666)
        stage.environment["TERMINATION_LOG"] = str(termination)
        assert launch.run(stage.plan(), unprivileged=True) == 15
        stage.models.chmod(0o755)
        failed(stage, exits.Exit.VOLUME_UNUSABLE, "Permission denied", "uid")
    assert stage.hub.requests == []


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, exits.Exit.DISK_FULL),
        (errno.EDQUOT, exits.Exit.DISK_FULL),
        (errno.EROFS, exits.Exit.VOLUME_UNUSABLE),
        (errno.EACCES, exits.Exit.VOLUME_UNUSABLE),
        (errno.EIO, exits.Exit.VOLUME_UNUSABLE),
    ],
)
def test_errors_of_the_volume(
    stage: conftest.Stage, monkeypatch: pytest.MonkeyPatch, number: int, code: exits.Exit
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    assert stage.run() == code
    failed(stage, code, os.strerror(number), BASE["repository"])


def test_a_volume_that_is_not_mounted(stage: conftest.Stage) -> None:
    stage.models.rmdir()
    assert stage.run() == 15
    failed(stage, exits.Exit.VOLUME_UNUSABLE, "is the volume mounted")


def test_a_bad_plan_is_reported(stage: conftest.Stage) -> None:
    assert stage.run_with({**stage.environment, "PRELOAD_PLAN": "{"}) == 2
    failed(stage, exits.Exit.PLAN_INVALID, "not JSON")


def test_no_termination_log_is_no_error(stage: conftest.Stage, tmp_path: pathlib.Path) -> None:
    stage.environment["TERMINATION_LOG"] = str(tmp_path / "none")
    assert stage.run() == 0
    assert not (tmp_path / "none").exists()


@pytest.mark.decision(11)
def test_a_manifest_is_replaced_whole_or_not_at_all(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "manifest.json"
    manifest.write(path, {"sha": "old"})

    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="Input/output"):
        manifest.write(path, {"sha": "new"})
    assert manifest.read(path) == {"sha": "old"}
    assert [each.name for each in tmp_path.iterdir()] == ["manifest.json"]


@pytest.mark.pitfall("the engine dies on missing shards: config.json was taken as proof")
def test_content_is_durable_before_the_manifest_says_so(
    stage: conftest.Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, synced = os.fsync, []

    def fsync(handle: int) -> None:
        synced.append(pathlib.Path(os.readlink(f"/proc/self/fd/{handle}")).name)
        original(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    assert stage.run() == 0
    published = next(index for index, name in enumerate(synced) if name.startswith("manifest.json"))
    assert set(synced[:published]) >= conftest.WANTED


# --- directories of 0.9.0 ---------------------------------------------------------------------


def legacy(stage: conftest.Stage) -> pathlib.Path:
    """What 0.9.0 left for `main`: everything, its client's cache and its marker."""
    directory = stage.models / "main"
    for path, content in MODEL.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(content)
    (directory / ".cache/huggingface/download").mkdir(parents=True)
    (directory / ".preload-complete").write_text("Qwen/Qwen3-8B@main")
    return directory


TAKING_OVER = {**BASE, "directory": "weights/base-0123", "legacyDirectory": "main"}


@pytest.mark.decision(11)
def test_takes_a_verified_directory_over(stage: conftest.Stage) -> None:
    directory = legacy(stage)
    before = conftest.files_below(directory)
    assert stage.run(TAKING_OVER) == 0
    assert stage.hub.downloads() == []
    home = stage.models / "weights/base-0123"
    assert (home / "weights").is_symlink()
    assert os.readlink(home / "weights") == "../../main"
    published = json.loads((home / "manifest.json").read_bytes())
    assert published["weights"] == "../../main"
    assert published["checkpoint"]["architectures"] == ["Qwen3ForCausalLM"]
    assert conftest.truth(home) is True
    assert conftest.files_below(directory) == before
    stage.hub.requests.clear()
    assert stage.run(TAKING_OVER) == 0
    assert stage.hub.requests == []


@pytest.mark.parametrize(
    "damage", ["incomplete", "content", "missing-config", "stale-shard", "no-directory", "a-file"]
)
def test_does_not_believe_a_damaged_directory(stage: conftest.Stage, damage: str) -> None:
    directory = legacy(stage)
    if damage == "incomplete":
        (directory / SHARD).rename(directory / ".cache/huggingface/download/x.incomplete")
    elif damage == "content":
        content = bytearray(MODEL[SHARD])
        content[-1] ^= 1
        (directory / SHARD).write_bytes(content)
    elif damage == "missing-config":
        (directory / "config.json").unlink()
    elif damage == "stale-shard":
        # `main` of another repository lay here before.
        (directory / "model-00009-of-00009.safetensors").write_bytes(b"stale")
    else:
        shutil.rmtree(directory)
        if damage == "a-file":
            directory.write_bytes(b"")
    before = conftest.files_below(stage.models)
    assert stage.run(TAKING_OVER) == 0
    assert "legacy-refused" in stage.events()
    home = stage.models / "weights/base-0123"
    assert not (home / "weights").is_symlink()
    assert conftest.truth(home) is True
    assert json.loads((home / "manifest.json").read_bytes())["weights"] == "weights"
    after = conftest.files_below(stage.models)
    assert {path: after[path] for path in before} == before


def test_leftovers_of_the_old_client_do_not_stand_against_verified_files(
    stage: conftest.Stage,
) -> None:
    directory = legacy(stage)
    (directory / ".cache/huggingface/download/x.incomplete").write_bytes(b"part")
    assert stage.run(TAKING_OVER) == 0
    assert stage.hub.downloads() == []


@pytest.mark.decision(11)
def test_downloads_where_links_are_refused(
    stage: conftest.Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    legacy(stage)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "no symbolic links here")

    monkeypatch.setattr(os, "symlink", refuse)
    assert stage.run(TAKING_OVER) == 0
    home = stage.models / "weights/base-0123"
    assert not (home / "weights").is_symlink()
    assert conftest.truth(home) is True


def test_a_directory_lost_after_take_over_is_downloaded(stage: conftest.Stage) -> None:
    directory = legacy(stage)
    assert stage.run(TAKING_OVER) == 0
    (directory / SHARD).unlink()
    before = conftest.files_below(directory)
    assert stage.run(TAKING_OVER) == 0
    home = stage.models / "weights/base-0123"
    assert not (home / "weights").is_symlink()
    assert conftest.truth(home) is True
    assert conftest.files_below(directory) == before


def test_a_started_download_is_not_given_up_for_a_directory(stage: conftest.Stage) -> None:
    stage.hub.faults = [hub_server.Fault(cdn(SHARD), times=10**6, status=503)]
    stage.environment["PRELOAD_RETRY_SECONDS"] = "0.1"
    assert stage.run(TAKING_OVER) == 13
    legacy(stage)
    stage.hub.faults.clear()
    assert stage.run(TAKING_OVER) == 0
    assert "legacy-refused" not in stage.events()  # nor was it read
    assert not (stage.models / "weights/base-0123/weights").is_symlink()
