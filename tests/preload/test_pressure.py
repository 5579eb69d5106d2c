"""A hub that asks for less, or sends again: what waits, what is counted, and what it takes."""

import json
import threading
import time
import tracemalloc
import types
from collections.abc import Iterator

import pytest

from preload import (
    attempts,
    crew,
    hub,
    journal,
    lease,
    listing,
    manifest,
    progress,
    report,
    retries,
    settings,
    transfer,
)
from tests.preload import conftest, hub_server

BASE = conftest.BASE
ADAPTER = {**BASE, "repository": "org/adapter", "kind": "adapter", "directory": "adapter"}
SHARD = "model-00001-of-00002.safetensors"
CONTENT = conftest.MODEL[SHARD]
CDN = hub_server.sha256(CONTENT)
PIECE = 100_000


@pytest.fixture(autouse=True)
def _pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "PIECE", PIECE)
    monkeypatch.setattr(attempts, "_BLOCK", PIECE // 4)
    monkeypatch.setattr(attempts, "_NOTE", PIECE // 2)


def told(stage: conftest.Stage, event: str) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in stage.log.splitlines()]
    return [line for line in lines if line["event"] == event]


def test_a_wait_that_one_item_refuses_stops_no_other(stage: conftest.Stage) -> None:
    """What stands before it in the plan comes to its end, and not a day later."""
    stage.hub.pause = 0.02
    weights = hub_server.sha256(conftest.ADAPTER["adapter_model.safetensors"])
    wait = {"Retry-After": "60"}
    stage.hub.faults = [hub_server.Fault(weights, times=9, status=429, headers=wait)]
    began = time.monotonic()
    assert stage.run(BASE, ADAPTER) == 13
    assert time.monotonic() - began < 40
    assert conftest.truth(stage.home) is True


def test_one_burst_halves_once(capsys: pytest.CaptureFixture[str]) -> None:
    workers = crew.Crew(8, report.Log())
    for _ in range(8):
        workers.slow_down(0.0)
    assert workers.allowed == 4
    assert capsys.readouterr().out.count("fewer-connections") == 1


def test_a_hub_with_one_connection_serves_all(
    stage: conftest.Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A piece that waits for its turn does not give up while others bring bytes."""
    turn, holds = threading.Lock(), threading.local()
    record = stage.hub.record

    def fault(path: str) -> hub_server.Fault | None:
        holds.turn = "/cdn/" in path and turn.acquire(blocking=False)
        return hub_server.Fault("", status=503) if "/cdn/" in path and not holds.turn else None

    def recorded(request: hub_server.Request) -> None:
        record(request)
        if holds.turn:
            turn.release()

    monkeypatch.setattr(stage.hub, "fault", fault)
    monkeypatch.setattr(stage.hub, "record", recorded)
    monkeypatch.setattr(retries, "_LONGEST_WAIT", 0.1)
    stage.environment["PRELOAD_RETRY_SECONDS"] = "1"
    stage.hub.pause = 0.05
    assert stage.run() == 0
    assert conftest.truth(stage.home) is True


def test_a_lost_lease_counts_nothing_twice(
    stage: conftest.Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = manifest.build

    def steal(*arguments: object) -> object:
        monkeypatch.setattr(manifest, "build", build)
        (stage.home / ".lease").write_bytes(b"another\n")
        return build(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(manifest, "build", steal)
    assert stage.run() == 0
    (last,) = told(stage, "done")
    total = sum(len(conftest.MODEL[path]) for path in conftest.WANTED)
    assert (last["percent"], last["verified"], last["total"]) == (100.0, total, total)


@pytest.mark.parametrize("fault", ["lie", "ignore"])
def test_what_comes_again_is_still_to_come(
    stage: conftest.Stage, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """Nobody reads 100 % while a file is on its way for the second time."""
    tallies: list[progress.Progress] = []
    shares: list[object] = []
    made = progress.Progress

    def kept(pause: float, log: report.Log) -> progress.Progress:
        tallies.append(made(pause, log))
        return tallies[0]

    monkeypatch.setattr(progress, "Progress", kept)
    stage.hub.on_bytes = lambda _: shares.append(tallies[0].summary().get("percent"))
    stage.environment["PRELOAD_CONNECTIONS"] = "4"
    stage.hub.pause = 0.02
    wrong = hub_server.Fault(CDN, content=lambda content: content[::-1])
    more = hub_server.Fault(CDN, times=10**6, ignore_range=True)
    cut = hub_server.Fault(CDN, times=3, ignore_range=True, truncate=700_000)
    stage.hub.faults = [wrong] if fault == "lie" else [cut, more]
    assert stage.run() == 0
    total = sum(len(conftest.MODEL[path]) for path in conftest.WANTED)
    (last,) = told(stage, "done")
    assert (last["percent"], last["total"]) == (100.0, total)
    assert shares.count(100.0) <= 4  # the last ones of the four connections


def test_a_file_of_any_size_is_begun_in_little_memory(stage: conftest.Stage) -> None:
    """A hub can say any size, and a volume without an end has room for it."""
    source = hub.Hub(settings.of_environment(stage.environment), report.Log())
    snapshot = listing.Snapshot("Qwen/Qwen3-8B", "main", ())
    file = listing.File(SHARD, 1 << 40, "sha256", CDN)
    with lease.Lease(stage.models / ".lease", 9, report.Log()) as held:
        notes = journal.Journal(stage.models)
        workers = crew.Crew(1, report.Log())
        nobody = [lambda _: None] * 2
        context = attempts.Context(source, snapshot, workers, notes, held, *nobody)
        tracemalloc.start()
        each = transfer.Transfer(context, file, stage.models / "file")
        each.begin()
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        each.cancel()
    assert most < 1 << 20


def test_addresses_of_many_files_are_not_kept(stage: conftest.Stage) -> None:
    source = hub.Hub(settings.of_environment(stage.environment), report.Log())
    files = {f"{number}.safetensors": b"x" for number in range(300)}
    snapshot = listing.Snapshot("org/many", stage.hub.publish("org/many", files), ())
    for name in files:
        with source.body(snapshot, name, 0, 1) as body:
            assert b"".join(body.chunks) == b"x"
    assert len(source._contents) <= 128


def test_a_redirect_that_trickles_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    class Response:
        headers = {"Content-Length": "60000"}
        read = 0

        def iter_raw(self) -> Iterator[bytes]:
            for self.read in range(60000):
                yield b"x"

    response = Response()
    clock = types.SimpleNamespace(monotonic=lambda: response.read)
    monkeypatch.setattr(hub, "time", clock)
    hub._drain(response)  # type: ignore[arg-type]
    assert response.read < 10
