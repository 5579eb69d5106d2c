"""Several connections at once: each may stall, lie or be cut, and a kill leaves holes."""

import itertools
import json
import os
import random
import signal
import time
import types

import pytest
from httpcore2._sync import http11

from preload import attempts, crew, extents, journal, report, settings
from tests.preload import conftest, hub_server

BASE = conftest.BASE
ADAPTER = {**BASE, "repository": "org/adapter", "kind": "adapter", "directory": "adapter"}
SHARD = "model-00001-of-00002.safetensors"
CONTENT = conftest.MODEL[SHARD]
CDN = hub_server.sha256(CONTENT)
PIECE = 100_000
TOTAL = sum(len(conftest.MODEL[path]) for path in conftest.WANTED)


@pytest.fixture(autouse=True)
def _pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the shards come in 15 and 10 pieces."""
    monkeypatch.setattr(attempts, "PIECE", PIECE)
    monkeypatch.setattr(attempts, "_BLOCK", PIECE // 4)
    monkeypatch.setattr(attempts, "_NOTE", PIECE // 2)


def sent(stage: conftest.Stage) -> int:
    return sum(request.sent for request in stage.hub.downloads())


def requests(stage: conftest.Stage, path: str) -> list[hub_server.Request]:
    return [request for request in stage.hub.requests if path in request.path]


def test_pieces_of_one_file_come_at_once(stage: conftest.Stage) -> None:
    stage.hub.pause = 0.02
    assert stage.run() == 0
    assert conftest.truth(stage.home) is True
    pieces = requests(stage, CDN)
    assert sorted(each.start for each in pieces) == list(range(0, len(CONTENT), PIECE))
    spans = sorted((each.at, each.at + 0.02) for each in pieces)
    assert any(later[0] < earlier[1] for earlier, later in itertools.pairwise(spans))
    assert sent(stage) == TOTAL
    assert not (stage.home / journal.NAME).exists()


@pytest.mark.parametrize("most", [0, PIECE, crew.MOST_HELD])
def test_what_arrives_ahead_is_held_for_the_hash(
    stage: conftest.Stage, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """Nothing is read back while there is room, and what finds no room is."""
    read: list[int] = []
    preadv = os.preadv

    def counted(handle: int, buffers: list[memoryview], position: int) -> int:
        read.append(position)
        return preadv(handle, buffers, position)

    monkeypatch.setattr(os, "preadv", counted)
    monkeypatch.setattr(crew, "MOST_HELD", most)
    stage.hub.pause = 0.02
    assert stage.run() == 0
    assert conftest.truth(stage.home) is True
    assert sent(stage) == TOTAL
    assert bool(read) == (most < len(CONTENT))


def test_one_connection_fetches_one_piece_at_a_time(stage: conftest.Stage) -> None:
    stage.environment["PRELOAD_CONNECTIONS"] = "1"
    assert stage.run() == 0
    starts = [each.start for each in requests(stage, CDN)]
    assert starts == sorted(starts)
    assert conftest.truth(stage.home) is True


@pytest.mark.parametrize("number", ["0", "65", "many", "-1", "\xb2"])
def test_a_number_of_connections_that_is_none(stage: conftest.Stage, number: str) -> None:
    stage.environment["PRELOAD_CONNECTIONS"] = number
    assert stage.run() == 2
    assert "PRELOAD_CONNECTIONS" in stage.message()["message"]


def test_the_hub_is_asked_once_for_each_file(stage: conftest.Stage) -> None:
    """The hub counts requests; those of the content's own host are not counted."""
    stage.environment["PRELOAD_CONNECTIONS"] = "1"
    assert stage.run() == 0
    assert len(requests(stage, f"/{SHARD}")) == 1


def test_an_address_that_no_longer_serves_is_asked_for_again(stage: conftest.Stage) -> None:
    stage.environment["PRELOAD_CONNECTIONS"] = "1"
    stage.hub.faults = [hub_server.Fault(CDN, times=0), hub_server.Fault(CDN, status=403)]
    assert stage.run() == 0
    assert len(requests(stage, f"/{SHARD}")) == 2


def test_one_connection_is_cut(stage: conftest.Stage) -> None:
    stage.hub.faults = [hub_server.Fault(CDN, truncate=30_000, times=3)]
    assert stage.run() == 0
    assert conftest.truth(stage.home) is True
    assert sent(stage) == TOTAL


def test_one_connection_lies(stage: conftest.Stage) -> None:
    """Which one is not known, so the file comes again from its first byte."""
    lie = hub_server.Fault(CDN, content=lambda content: content[::-1])
    stage.hub.faults = [lie]
    assert stage.run() == 0
    assert conftest.truth(stage.home) is True
    assert sent(stage) == TOTAL + len(CONTENT)


def test_a_connection_that_lies_each_time_ends_it(stage: conftest.Stage) -> None:
    def lie(content: bytes) -> bytes:
        return content[:700_000] + b"?" + content[700_001:]

    stage.hub.faults = [hub_server.Fault(CDN, times=99, content=lie)]
    assert stage.run() == 14
    assert "2 clean downloads" in stage.message()["message"]
    assert conftest.truth(stage.home) is None


def test_one_connection_stalls(stage: conftest.Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one fetches the rest of its piece, long before the time-out."""
    monkeypatch.setattr(attempts, "_SILENCE", 0.3)
    stage.environment["HF_HUB_DOWNLOAD_TIMEOUT"] = "60"
    stage.hub.faults = [hub_server.Fault(CDN, truncate=30_000, stall=40)]
    began = time.monotonic()
    assert stage.run() == 0
    assert time.monotonic() - began < 20
    assert conftest.truth(stage.home) is True
    starts = [each.start for each in stage.hub._requests if CDN in each.path]
    assert [start for start in starts if start % PIECE == 30_000]


def test_one_connection_trickles(stage: conftest.Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is never silent, and others take over half of what it has left until it has nothing."""
    monkeypatch.setattr(attempts, "_SILENCE", 1.5)
    stage.hub.faults = [hub_server.Fault(CDN, slow=0.25)]
    began = time.monotonic()
    assert stage.run() == 0
    assert time.monotonic() - began < 15  # of 25
    assert conftest.truth(stage.home) is True


def test_a_piece_that_changes_hands_has_one_budget(
    stage: conftest.Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "_SILENCE", 0.05)
    stage.hub.faults = [hub_server.Fault(CDN, times=10**6, status=503)]
    stage.environment["PRELOAD_RETRY_SECONDS"] = "0.5"
    began = time.monotonic()
    assert stage.run() == 13
    assert time.monotonic() - began < 15


@pytest.mark.parametrize("times", [1, 10**6])
def test_a_hub_that_ignores_ranges_sends_over_one_connection(
    stage: conftest.Stage, times: int
) -> None:
    stage.hub.faults = [hub_server.Fault(CDN, times=times, ignore_range=True)]
    assert stage.run() == 0
    assert conftest.truth(stage.home) is True


def test_what_a_hub_sends_again_is_no_silence(
    stage: conftest.Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ignores ranges and takes longer for what is there than a silence may."""
    monkeypatch.setattr(attempts, "_SILENCE", 0.6)
    weights = stage.home / "weights"
    weights.mkdir(parents=True)
    (weights / SHARD).write_bytes(CONTENT[:1_450_000])
    stage.hub.pause = 0.1
    stage.hub.faults = [hub_server.Fault(CDN, times=8, ignore_range=True)]
    assert stage.run() == 0
    assert conftest.truth(stage.home) is True
    assert len(requests(stage, CDN)) <= 3


def test_a_hub_that_asks_for_less_gets_less(stage: conftest.Stage) -> None:
    wait = {"Retry-After": "1"}
    stage.hub.faults = [hub_server.Fault("/cdn/", times=2, status=429, headers=wait)]
    assert stage.run() == 0
    assert "fewer-connections" in stage.events()


def test_a_slower_crew_grows_again() -> None:
    class Attempt:
        workers = 0
        left = 4

        def take(self) -> object:
            self.left -= 1
            return (lambda: None) if self.left >= 0 else None

        def is_digestible(self) -> bool:
            return False

    workers = crew.Crew(8, report.Log())
    workers.slow_down(0.0)
    assert workers.allowed == 4
    with workers:
        workers.add(Attempt())  # type: ignore[arg-type]
        until = time.monotonic() + 10
        while workers.allowed < 8 and time.monotonic() < until:
            time.sleep(0.01)
    assert workers.allowed == 8


def test_a_slow_volume_gets_no_smaller_writes(
    stage: conftest.Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing but writing takes time here, and each write more than a pause of the network may."""
    writes: list[tuple[int, int]] = []
    pwrite = os.pwrite

    def slow(handle: int, content: memoryview, position: int) -> int:
        writes.append((position, position + len(content)))
        return pwrite(handle, content, position)

    monkeypatch.setattr(http11.HTTP11Connection, "READ_NUM_BYTES", PIECE // 10)
    monkeypatch.setattr(os, "pwrite", slow)
    clock = types.SimpleNamespace(monotonic=lambda: 60.0 * len(writes))
    monkeypatch.setattr(attempts, "time", clock)
    stage.environment["PRELOAD_CONNECTIONS"] = "1"
    assert stage.run() == 0
    assert len(writes) > 10
    ends = {len(content) for content in conftest.MODEL.values()}
    for start, stop in writes:
        assert stop - start >= attempts._BLOCK or stop % PIECE == 0 or stop in ends


# --- what a kill leaves


def test_a_killed_run_is_resumed_piece_by_piece(
    stage: conftest.Stage, launch: conftest.Launcher
) -> None:
    """Fetched again is what was in flight: less than a note's distance of each connection."""
    stage.hub.pause = 0.01
    stage.environment["PRELOAD_LEASE_SECONDS"] = "0.2"
    pid = launch.start(stage.plan(), pieces=PIECE)
    until = time.monotonic() + 20
    while stage.hub.served[f"/cdn/{CDN}"] < len(CONTENT) // 2 and time.monotonic() < until:
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    launch.wait(pid)
    size = (stage.home / "weights" / SHARD).stat().st_size
    (noted,) = [
        each for key, each in journal.read(stage.home / journal.NAME).items() if key[0] == SHARD
    ]
    bytes_there = sum(stop - start for start, stop in noted.below(size))
    assert bytes_there > len(CONTENT) // 4
    stage.hub.pause = 0
    stage.hub.requests.clear()
    assert stage.run() == 0
    assert conftest.truth(stage.home) is True
    again = sum(each.sent for each in requests(stage, CDN))
    assert again == len(CONTENT) - bytes_there


def test_a_hole_never_passes(stage: conftest.Stage) -> None:
    """A note that lists what is not there costs a download."""
    weights = stage.home / "weights"
    weights.mkdir(parents=True)
    (weights / SHARD).write_bytes(CONTENT[:200_000] + bytes(300_000) + CONTENT[500_000:])
    lines = [[SHARD, CDN], [SHARD, CDN, 0, len(CONTENT)]]
    (stage.home / journal.NAME).write_text("\n".join(json.dumps(line) for line in lines))
    assert stage.run() == 0
    assert conftest.truth(stage.home) is True
    assert sum(each.sent for each in requests(stage, CDN)) == len(CONTENT)


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"\xff\n[",
        b'["%s", "%s", -5, 99999999999999]' % (SHARD.encode(), CDN.encode()),
        b'["%s", "%s", 7, 7]\n{"a": 1}\n[1, 2, 3]' % (SHARD.encode(), CDN.encode()),
        b"[" * 100_000,
    ],
)
def test_a_note_of_any_kind_is_read(stage: conftest.Stage, note: bytes) -> None:
    stage.home.mkdir()
    (stage.home / journal.NAME).write_bytes(note)
    assert stage.run() == 0
    assert conftest.truth(stage.home) is True
    assert sent(stage) == TOTAL


def test_a_partial_file_of_an_earlier_version_is_built_on(stage: conftest.Stage) -> None:
    """It wrote in order and no note."""
    weights = stage.home / "weights"
    weights.mkdir(parents=True)
    (weights / SHARD).write_bytes(CONTENT[:730_000])
    assert stage.run() == 0
    assert min(each.start for each in requests(stage, CDN)) == 730_000
    assert conftest.truth(stage.home) is True


# --- several items


def test_an_error_stops_what_stands_behind_it_in_the_plan(stage: conftest.Stage) -> None:
    stage.hub.pause = 0.1
    assert stage.run({**ADAPTER, "revision": "none"}, BASE) == 11
    assert conftest.truth(stage.home) is None
    assert not (stage.home / ".lease").exists()
    assert sent(stage) < TOTAL


def test_an_error_waits_for_what_stands_before_it(stage: conftest.Stage) -> None:
    stage.hub.pause = 0.01
    assert stage.run(BASE, {**ADAPTER, "revision": "none"}) == 11
    assert conftest.truth(stage.home) is True


def test_items_come_at_once(stage: conftest.Stage) -> None:
    stage.hub.pause = 0.01
    assert stage.run(BASE, ADAPTER) == 0
    published = [
        json.loads(line)["directory"] for line in stage.log.splitlines() if '"published"' in line
    ]
    assert published == [ADAPTER["directory"], BASE["directory"]]  # the small one does not wait


def test_progress_is_what_a_person_waits_for(
    stage: conftest.Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings.Settings, "report_seconds", 0.05)
    stage.hub.pause = 0.02
    assert stage.run() == 0
    lines = [json.loads(line) for line in stage.log.splitlines()]
    told = [line for line in lines if line["event"] == "progress"]
    shares = [line["percent"] for line in told]
    assert shares == sorted(shares)
    assert {"mibPerSecond", "secondsLeft", "received", "verified", "total"} <= told[0].keys()
    last = lines[-1]
    assert (last["event"], last["percent"], last["received"]) == ("done", 100.0, TOTAL)


# --- extents


def test_extents_are_a_set_of_bytes() -> None:
    chance = random.Random(3)
    for _ in range(200):
        there, wanted = extents.Extents(), set[int]()
        for _ in range(12):
            start = chance.randrange(40)
            stop = start + chance.randrange(8)
            there.add(start, stop)
            wanted |= set(range(start, stop))
        assert {byte for start, stop in there for byte in range(start, stop)} == wanted
        gaps = {byte for start, stop in there.gaps(30) for byte in range(start, stop)}
        assert gaps == set(range(30)) - wanted
        below = {byte for start, stop in there.below(25) for byte in range(start, stop)}
        assert below == {byte for byte in wanted if byte < 25}
        reach = there.reach(10)
        assert set(range(10, reach)) <= wanted
        assert reach not in wanted
