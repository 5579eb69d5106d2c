"""Directories of 0.9.0: what verifies is taken over."""

import errno
import json
import os
import pathlib
import shutil

import pytest

from tests.preload import conftest, given, hub_server


def legacy(stage: conftest.Stage) -> pathlib.Path:
    """What 0.9.0 left for `main`: everything, its client's cache and its marker."""
    directory = stage.models / "main"
    for path, content in given.MODEL.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(content)
    (directory / ".cache/huggingface/download").mkdir(parents=True)
    (directory / ".preload-complete").write_text("Qwen/Qwen3-8B@main")
    return directory


TAKING_OVER = {**given.BASE, "directory": "weights/base-0123", "legacyDirectory": "main"}


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
        (directory / given.SHARD).rename(directory / ".cache/huggingface/download/x.incomplete")
    elif damage == "content":
        content = bytearray(given.MODEL[given.SHARD])
        content[-1] ^= 1
        (directory / given.SHARD).write_bytes(content)
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
    (directory / given.SHARD).unlink()
    before = conftest.files_below(directory)
    assert stage.run(TAKING_OVER) == 0
    home = stage.models / "weights/base-0123"
    assert not (home / "weights").is_symlink()
    assert conftest.truth(home) is True
    assert conftest.files_below(directory) == before


def test_a_started_download_is_not_given_up_for_a_directory(stage: conftest.Stage) -> None:
    stage.hub.faults = [hub_server.Fault(given.cdn(given.SHARD), times=10**6, status=503)]
    stage.environment["PRELOAD_RETRY_SECONDS"] = "0.1"
    assert stage.run(TAKING_OVER) == 13
    legacy(stage)
    stage.hub.faults.clear()
    assert stage.run(TAKING_OVER) == 0
    assert "legacy-refused" not in stage.events()  # nor was it read
    assert not (stage.models / "weights/base-0123/weights").is_symlink()
