"""Fetching the upstream schemas: hashes, interrupted downloads, and which folder is used."""

import dataclasses
import hashlib
import http.server
import json
import os
import pathlib
import threading
from collections import abc

import pytest

from tests import crds

_CACHE_HOME = os.environ.get("XDG_CACHE_HOME")
_MANY = b"""kind: A
metadata:
  name: first
---
kind: A
metadata:
  name: second
spec:
  name: first
---
kind: A
metadata:
  name: third
"""
_SECOND = b"---\nkind: A\nmetadata:\n  name: second\nspec:\n  name: first\n"


def _entry(path: str, content: bytes) -> crds.Entry:
    return {
        "repository": "owner/name",
        "ref": "v1.0.0",
        "path": path,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def _lock() -> dict[str, crds.Entry]:
    one = _entry("config/one.yaml", b"one: 1\n")
    part = _entry("config/many.yaml", _SECOND)
    part["document"] = "second"
    return {"a/one.yaml": one, "b/second.yaml": part}


@dataclasses.dataclass
class Upstream:
    """A file server on loopback.

    Attributes:
        files: what is served, by path.
        cut: how many of the next answers break off half way.
        broken: how many of the next answers are errors of the server.
        requests: the paths that were asked for.
    """

    files: dict[str, bytes]
    url: str = ""
    cut: int = 0
    broken: int = 0
    requests: list[str] = dataclasses.field(default_factory=list)

    def answer(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        self.requests.append(handler.path)
        content = self.files.get(handler.path)
        if self.broken:
            self.broken -= 1
            handler.send_error(503)
            return
        if content is None:
            handler.send_error(404)
            return
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        if self.cut:
            self.cut -= 1
            content = content[: len(content) // 2]
        handler.wfile.write(content)


@pytest.fixture
def upstream() -> abc.Iterator[Upstream]:
    prefix = "/owner/name/v1.0.0/config"
    state = Upstream({f"{prefix}/one.yaml": b"one: 1\n", f"{prefix}/many.yaml": _MANY})

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.answer(self)

        def log_message(self, *_arguments: object) -> None:
            """Keep the test's output clean."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a small lock and a cache of the test's own, with no shared folder beside it."""
    lock = tmp_path / "crds.lock.json"
    lock.write_text(json.dumps({"files": _lock()}))
    monkeypatch.setattr(crds, "LOCK", lock)
    monkeypatch.setattr(crds, "SHARED", tmp_path / "shared")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def _names(folder: pathlib.Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_fills_the_cache(upstream: Upstream) -> None:
    assert crds.main(["--base-url", upstream.url]) == 0
    assert _names(crds.cache()) == ["a/one.yaml", "b/second.yaml"]
    assert (crds.cache() / "b/second.yaml").read_bytes() == _SECOND
    assert crds.directory() == crds.cache()
    assert len(upstream.requests) == 2


def test_a_filled_cache_is_left_alone(upstream: Upstream) -> None:
    assert crds.main(["--base-url", upstream.url]) == 0
    upstream.requests.clear()
    assert crds.main(["--base-url", upstream.url]) == 0
    assert upstream.requests == []


def test_a_wrong_hash_fills_nothing(upstream: Upstream, capsys: pytest.CaptureFixture[str]) -> None:
    upstream.files["/owner/name/v1.0.0/config/one.yaml"] = b"one: 2\n"
    assert crds.main(["--base-url", upstream.url]) == 1
    assert "a/one.yaml: 7 bytes with SHA-256" in capsys.readouterr().err
    assert not crds.cache().exists()
    assert _names(crds.cache().parent) == []


def test_a_missing_file_fills_nothing_and_is_asked_for_once(
    upstream: Upstream, capsys: pytest.CaptureFixture[str]
) -> None:
    del upstream.files["/owner/name/v1.0.0/config/many.yaml"]
    assert crds.main(["--base-url", upstream.url]) == 1
    assert "HTTP 404" in capsys.readouterr().err
    assert len(upstream.requests) == 2
    assert not crds.cache().exists()


def test_a_missing_document_fills_nothing(
    upstream: Upstream, capsys: pytest.CaptureFixture[str]
) -> None:
    upstream.files["/owner/name/v1.0.0/config/many.yaml"] = b"metadata:\n  name: other\n"
    assert crds.main(["--base-url", upstream.url]) == 1
    assert "no document named second" in capsys.readouterr().err
    assert not crds.cache().exists()


def test_an_interrupted_download_is_tried_again(upstream: Upstream) -> None:
    upstream.cut = 1
    upstream.broken = 1
    assert crds.main(["--base-url", upstream.url]) == 0
    assert _names(crds.cache()) == ["a/one.yaml", "b/second.yaml"]


def test_a_download_that_keeps_breaking_off_fills_nothing(
    upstream: Upstream, capsys: pytest.CaptureFixture[str]
) -> None:
    upstream.cut = 100
    assert crds.main(["--base-url", upstream.url]) == 1
    assert "IncompleteRead" in capsys.readouterr().err
    assert not crds.cache().exists()


def test_a_killed_run_leaves_no_cache(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(_work: pathlib.Path, _target: pathlib.Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(crds, "_publish", killed)
        with pytest.raises(KeyboardInterrupt):
            crds.main(["--base-url", upstream.url])
    with pytest.raises(FileNotFoundError):
        crds.directory()
    # What a run that was killed outright leaves behind does not stand in the way.
    (crds.cache().parent / ".partial-left").mkdir()
    assert crds.main(["--base-url", upstream.url]) == 0


def test_two_runs_at_once_agree(upstream: Upstream) -> None:
    target = crds.cache()
    runs = [threading.Thread(target=crds.fill, args=(target, upstream.url)) for _ in range(4)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert _names(target.parent) == [f"{target.name}/a/one.yaml", f"{target.name}/b/second.yaml"]


def test_without_any_folder_says_what_to_run() -> None:
    with pytest.raises(FileNotFoundError, match="run make crds"):
        crds.directory()


def test_the_shared_folder_comes_first(upstream: Upstream) -> None:
    assert crds.main(["--base-url", upstream.url]) == 0
    crds.SHARED.mkdir()
    assert crds.directory() == crds.SHARED


def test_another_lock_is_another_cache() -> None:
    before = crds.cache()
    crds.LOCK.write_text(json.dumps({"files": {}}))
    assert crds.cache() != before


@pytest.fixture
def real_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo `elsewhere` for the tests of the lock itself."""
    monkeypatch.setattr(crds, "LOCK", pathlib.Path(crds.__file__).with_name("crds.lock.json"))
    monkeypatch.setattr(crds, "SHARED", crds.ROOT.parent / "shared" / "crds")
    if _CACHE_HOME is None:
        monkeypatch.delenv("XDG_CACHE_HOME")
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", _CACHE_HOME)


@pytest.mark.usefixtures("real_lock")
def test_the_folder_in_use_is_what_the_lock_pins() -> None:
    folder = crds.directory()
    for name, entry in crds.entries().items():
        content = (folder / name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (
            entry["bytes"],
            entry["sha256"],
        ), name


@pytest.mark.usefixtures("real_lock")
def test_the_lock_pins_full_hashes_of_tags_and_commits() -> None:
    entries = crds.entries()
    assert len(entries) == 26
    for entry in entries.values():
        assert len(entry["sha256"]) == 64
        assert entry["ref"].startswith("v") or len(entry["ref"]) == 40


def test_nothing_is_fetched_where_the_schemas_are_already(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    monkeypatch.setattr(crds, "SHARED", tmp_path)
    assert crds.main(["--if-missing", "--base-url", upstream.url]) == 0
    assert not crds.cache().is_dir()
    monkeypatch.setattr(crds, "SHARED", tmp_path / "absent")
    assert crds.main(["--if-missing", "--base-url", upstream.url]) == 0
    assert crds.cache().is_dir()
