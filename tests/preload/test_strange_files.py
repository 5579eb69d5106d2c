"""What others put on the volume: pipes, links, devices, and notes that are forged."""

import json
import os
import pathlib
import threading
from collections.abc import Callable
from typing import Any

import pytest

from preload import documents, users
from tests.preload import conftest, given

pytestmark = pytest.mark.usefixtures("small_pieces")


def within(seconds: float, work: Callable[[], Any]) -> Any:
    """The result of something that must not hang."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(work()), daemon=True)
    thread.start()
    thread.join(seconds)
    assert results, "it hangs, or it failed"
    return results[0]


def pipe(path: pathlib.Path) -> None:
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)


PLACES = [
    "manifest.json",
    ".resolved.json",
    ".lease",
    ".received",
    "weights",
    f"weights/{given.SHARD}",
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("thing", ["pipe", "link", "dangling"])
def test_a_pipe_or_a_link_in_the_place_of_a_file(
    stage: conftest.Stage, launch: conftest.Launcher, place: str, thing: str, tmp_path: pathlib.Path
) -> None:
    """Others' files are neither waited for, nor read, nor written through."""
    target = tmp_path / "of-others"
    path = stage.home / place
    path.parent.mkdir(parents=True, exist_ok=True)
    if thing == "pipe":
        pipe(path)
    else:
        if thing == "link":
            target.write_bytes(b'{"repository": "x"}')
        path.symlink_to(target)
    assert within(120, lambda: launch.run(stage.plan())) == 0
    assert conftest.truth(stage.home) is True
    assert not path.is_symlink()
    assert target.exists() is (thing == "link")
    assert thing != "link" or target.read_bytes() == b'{"repository": "x"}'


def test_a_pipe_where_a_published_file_was(
    stage: conftest.Stage, launch: conftest.Launcher
) -> None:
    assert stage.run() == 0
    pipe(stage.home / "weights/config.json")
    pipe(stage.home / ".users" / conftest.USER.replace("/", "."))
    assert within(120, lambda: launch.run(stage.plan())) == 0
    assert conftest.truth(stage.home) is True


def test_a_link_of_the_right_size_is_no_published_file(stage: conftest.Stage) -> None:
    assert stage.run() == 0
    config = stage.home / "weights/config.json"
    other = stage.models / "other"
    other.write_bytes(b"x" * config.stat().st_size)
    config.unlink()
    config.symlink_to(other)
    assert stage.run() == 0
    assert conftest.truth(stage.home) is True
    assert not config.is_symlink()


@pytest.mark.parametrize("part", ["", ".users"])
def test_a_directory_that_leads_elsewhere_is_refused(stage: conftest.Stage, part: str) -> None:
    elsewhere = stage.models / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").write_bytes(b"x")
    place = stage.home / part
    place.parent.mkdir(exist_ok=True)
    place.symlink_to(elsewhere)
    for plan in ({}, {"remove": [given.BASE["directory"]]}):
        assert stage.run(**plan) == 15
        assert "symbolic link" in stage.message()["message"]
        assert [path.name for path in elsewhere.iterdir()] == ["kept"]
    assert stage.hub.requests == []


def test_removal_does_not_wait_for_a_pipe(stage: conftest.Stage, launch: conftest.Launcher) -> None:
    assert stage.run() == 0
    for place in (".lease", "weights/config.json", "manifest.json"):
        pipe(stage.home / place)
    plan = stage.plan(remove=[given.BASE["directory"]])
    assert within(120, lambda: launch.run(plan)) == 0
    assert not stage.home.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"files": [{"path": "../../secret", "size": 1}]},
        {"files": [{"path": "/etc/hostname", "size": 1}]},
        {"files": [{"path": "a\0b", "size": 1}]},
        {"files": [{"path": "x" * 5000, "size": 1}]},
        {"files": [{"path": 7, "size": 1}]},
        {"files": {"path": "config.json"}},
        {"files": [7]},
        {"checkpoint": None},
        {"checkpoint": {"architectures": "x"}},
        {"sha": ["x"]},
    ],
)
def test_a_forged_manifest_is_none(stage: conftest.Stage, change: dict[str, object]) -> None:
    assert stage.run() == 0
    (stage.home / "manifest.json").write_text(json.dumps({**stage.manifest(), **change}))
    assert stage.run() == 0
    assert conftest.truth(stage.home) is True
    assert stage.message()["items"][0]["sha"] == stage.manifest()["sha"]


def test_a_forged_note_names_no_commit(stage: conftest.Stage) -> None:
    stage.home.mkdir()
    note = {"repository": given.BASE["repository"], "revision": "main", "sha": "../../../x"}
    (stage.home / ".resolved.json").write_text(json.dumps(note))
    assert stage.run() == 0
    assert not [request for request in stage.hub.requests if request.path[-1] == "x"]


def test_a_manifest_that_is_deep_or_long_is_none(
    stage: conftest.Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.home.mkdir()
    (stage.home / "manifest.json").write_bytes(given.DEEP)
    assert stage.run() == 0
    path = stage.home / "manifest.json"
    assert documents.read(path, limit=10) is None


def test_a_device_is_not_read(tmp_path: pathlib.Path) -> None:
    assert documents.read(pathlib.Path("/dev/zero")) is None
    (tmp_path / "zero").symlink_to("/dev/zero")
    assert documents.read(tmp_path / "zero", follow=True) is None
    assert users.since(tmp_path, "a/b") is None
