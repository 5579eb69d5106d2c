"""What the volume may answer: no room, no right, and errors."""

import dataclasses
import errno
import os
import pathlib
import tempfile

import pytest

from preload import exits, manifest
from tests.preload import conftest, given


@pytest.mark.parametrize("hook", [{"file_size": 800_000}, {"no_space_after": 800_000}])
def test_full_disk_in_the_middle(
    stage: conftest.Stage, launch: conftest.Launcher, hook: dict[str, int]
) -> None:
    assert launch.run(stage.plan(), **hook) == 12
    given.failed(stage, exits.Exit.DISK_FULL, "Enlarge the volume")
    stage.hub.requests.clear()
    assert stage.run() == 0
    # What fitted was kept.
    received = sum(request.sent for request in stage.hub.downloads())
    assert received < sum(len(given.MODEL[path]) for path in conftest.WANTED) - 500_000


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
    given.failed(stage, exits.Exit.DISK_FULL, "102400 are free")
    assert stage.hub.downloads() == []


def test_items_that_come_at_once_want_room_together(
    stage: conftest.Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of the two would fit. Which of them is refused is whichever asks later."""
    stage.hub.pause = 0.1
    monkeypatch.setattr(os, "statvfs", lambda _: Volume(2400, 1024, 10**6))
    assert stage.run(given.BASE, given.ADAPTER) == 12
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
        given.failed(stage, exits.Exit.VOLUME_UNUSABLE, "Permission denied", "uid")
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
    given.failed(stage, code, os.strerror(number), given.BASE["repository"])


def test_a_volume_that_is_not_mounted(stage: conftest.Stage) -> None:
    stage.models.rmdir()
    assert stage.run() == 15
    given.failed(stage, exits.Exit.VOLUME_UNUSABLE, "is the volume mounted")


def test_a_bad_plan_is_reported(stage: conftest.Stage) -> None:
    assert stage.run_with({**stage.environment, "PRELOAD_PLAN": "{"}) == 2
    given.failed(stage, exits.Exit.PLAN_INVALID, "not JSON")


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
