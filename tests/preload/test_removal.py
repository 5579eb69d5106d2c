"""Removal of the directories that no claim wants any more."""

import os
import pathlib
import random
import shutil
import threading

import pytest

from preload import exits, lease, removal, report, settings, users
from tests import effort
from tests.preload import conftest

DIRECTORY = str(conftest.BASE["directory"])
OTHER = "llm/xplane.other"


def remove(stage: conftest.Stage, user: str = conftest.USER) -> str | None:
    """Run a removal; returns why the directory stays, as the termination message says."""
    assert stage.run(remove=[DIRECTORY], user=user) == exits.Exit.DONE
    reason = stage.message()["removals"][DIRECTORY]
    assert reason is None or isinstance(reason, str)
    return reason


def test_a_directory_goes_with_everything_in_it(stage: conftest.Stage) -> None:
    """The removal leaves no file of the directory and touches no other directory."""
    neighbour = {**conftest.BASE, "directory": "neighbour"}
    assert stage.run(conftest.BASE, neighbour) == 0
    before = conftest.files_below(stage.models / "neighbour")
    assert remove(stage) is None
    assert sorted(path.name for path in stage.models.iterdir()) == ["neighbour"]
    assert conftest.files_below(stage.models / "neighbour") == before
    assert "removed" in stage.events()


def test_a_directory_that_is_not_there_is_removed(stage: conftest.Stage) -> None:
    """A Job that runs again after it was killed has nothing left to do."""
    assert remove(stage) is None


def test_another_claims_directory_stays_until_it_wants_it_no_more(stage: conftest.Stage) -> None:
    """Each claim removes its own name, and the last claim removes the files."""
    assert stage.run() == 0
    assert stage.run(user=OTHER) == 0
    assert users.present(stage.home) == sorted((conftest.USER, OTHER))
    assert remove(stage) == f"used by {OTHER}"
    assert conftest.truth(stage.home) is True
    assert users.present(stage.home) == [OTHER]
    assert remove(stage, OTHER) is None
    assert not stage.home.exists()


def test_a_directory_without_names_stays(stage: conftest.Stage) -> None:
    """No name tells who uses the directory, so only a person may remove it."""
    assert stage.run() == 0
    users.drop(stage.home, conftest.USER)
    assert "not known" in str(remove(stage))
    assert conftest.truth(stage.home) is True


def test_files_of_the_previous_module_stay(stage: conftest.Stage) -> None:
    """Where the weights are a link, the link goes and its target stays."""
    legacy = stage.models / "main"
    legacy.mkdir()
    for path in conftest.WANTED:
        (legacy / path).write_bytes(conftest.MODEL[path])
    assert stage.run({**conftest.BASE, "legacyDirectory": "main"}) == 0
    assert (stage.home / "weights").is_symlink()
    assert remove(stage) is None
    assert set(conftest.files_below(legacy)) == conftest.WANTED
    assert not stage.home.exists()


def test_a_held_lease_stops_a_removal(stage: conftest.Stage) -> None:
    """The holder of the lease wants the directory."""
    assert stage.run() == 0
    log = report.Log()
    with lease.Lease(stage.home / ".lease", 0.3, log):
        assert remove(stage) == "somebody works there"
    assert conftest.truth(stage.home) is True


def test_a_dead_holders_lease_does_not(stage: conftest.Stage) -> None:
    """The lease of a preload that was killed does not stop a removal."""
    assert stage.run() == 0
    (stage.home / ".lease").write_bytes(b"dead\n")
    assert remove(stage) is None


def test_a_claim_that_wants_it_again_in_the_middle_keeps_it(
    stage: conftest.Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second check of the names finds the claim: the manifest is gone, the files stay."""
    assert stage.run() == 0
    original = pathlib.Path.unlink

    def unlink(path: pathlib.Path, missing_ok: bool = False) -> None:
        original(path, missing_ok=missing_ok)
        if path.name == "manifest.json":
            users.add(stage.home, OTHER)

    monkeypatch.setattr(pathlib.Path, "unlink", unlink)
    assert remove(stage) == f"used by {OTHER}"
    monkeypatch.undo()
    sent = sum(request.sent for request in stage.hub.requests)
    assert stage.run(user=OTHER) == 0
    assert conftest.truth(stage.home) is True
    again = sum(request.sent for request in stage.hub.requests) - sent
    assert again < 100_000, "verified where it lies, not downloaded"


def test_the_same_claim_that_wants_it_again_keeps_it(
    stage: conftest.Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The author changed the claim back, so its name was written again after the start."""
    assert stage.run() == 0
    marker = stage.home / ".users" / "llm.xplane-coder"
    os.utime(marker, ns=(1, 1))
    original = lease.is_held

    def is_held(path: pathlib.Path, seconds: float) -> bool:
        users.add(stage.home, conftest.USER)
        return original(path, seconds)

    monkeypatch.setattr(lease, "is_held", is_held)
    assert remove(stage) == "wanted again"
    assert conftest.truth(stage.home) is True


def test_a_preload_that_waits_for_a_removal_downloads_again(stage: conftest.Stage) -> None:
    """The preload finds no manifest, waits for the lease, and downloads everything."""
    assert stage.run() == 0
    configuration = settings.Settings(lease_seconds=0.3)
    results: list[str | None] = []

    def work() -> None:
        results.append(removal.remove(stage.home, conftest.USER, configuration, report.Log()))

    thread = threading.Thread(target=work)
    thread.start()
    for _ in range(3):
        assert stage.run(user=OTHER) == 0
        assert conftest.truth(stage.home) is True
    thread.join(10)
    assert users.present(stage.home)[-1] == OTHER


@pytest.mark.effort
def test_kills_leave_a_removal_that_can_be_finished(
    stage: conftest.Stage, launch: conftest.Launcher
) -> None:
    """A SIGKILL before any file operation leaves no false manifest; the next removal ends."""
    assert stage.run() == 0
    environment = stage.plan(remove=[DIRECTORY])
    stage.environment["PRELOAD_LEASE_SECONDS"] = environment["PRELOAD_LEASE_SECONDS"] = "0.12"
    chance = random.Random(20261121)
    killed = 0
    for operation in range(1, 40, 3 if effort.AT_WORK else 1):
        if not stage.home.exists():
            assert stage.run() == 0
        code = launch.run(environment, die_at=operation)
        assert conftest.truth(stage.home) in (True, None), operation
        killed += code < 0
        if code >= 0:
            break
        if chance.random() < 0.5:
            assert stage.run() == 0, "wanted again after all"
            assert conftest.truth(stage.home) is True
        assert launch.run(environment) == 0
        assert not stage.home.exists(), operation
    assert killed > 5


def test_a_directory_that_goes_before_the_lease_is_taken_is_gone(
    stage: conftest.Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another removal ends between the check of the lease and the taking of it."""
    assert stage.run() == 0
    configuration = settings.of_environment(stage.environment)
    looked = lease.is_held

    def slow(path: pathlib.Path, seconds: float) -> bool:
        held = looked(path, seconds)
        shutil.rmtree(stage.home)
        return held

    monkeypatch.setattr(lease, "is_held", slow)
    assert removal.remove(stage.home, conftest.USER, configuration, report.Log()) is None


def test_two_removals_at_once_do_no_harm(stage: conftest.Stage, launch: conftest.Launcher) -> None:
    """An evicted pod and its successor may run at once."""
    assert stage.run() == 0
    environment = stage.plan(remove=[DIRECTORY])
    runs = [launch.start(environment) for _ in range(2)]
    assert {launch.wait(run) for run in runs} == {0}
    assert not stage.home.exists() or conftest.truth(stage.home) is None
    assert launch.run(environment) == 0
    assert not stage.home.exists()
