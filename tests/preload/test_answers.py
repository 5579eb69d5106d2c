"""What the hub may answer: refusals, errors, wrong content, paths and windows that are none."""

import json
import time

import pytest

from preload import attempts, exits, weights
from tests.preload import conftest, given, hub_server


@pytest.mark.pitfall("401 for a name that does not exist reads as a wrong token")
def test_401_says_that_the_name_may_not_exist(stage: conftest.Stage) -> None:
    assert stage.run({**given.BASE, "repository": "Qwen/Qwen3-8B-Base"}) == 10
    given.failed(stage, exits.Exit.UNAUTHORIZED, "Qwen/Qwen3-8B-Base", "no repository of that name")
    assert len(stage.hub.requests) == 1  # not worth a retry


def test_403_says_that_the_licence_must_be_accepted(stage: conftest.Stage) -> None:
    stage.hub.gated.add("Qwen/Qwen3-8B")
    stage.environment["HF_TOKEN"] = "hf_weakWEAKweak"
    assert stage.run() == 10
    given.failed(
        stage, exits.Exit.UNAUTHORIZED, "403", "Access to this model is restricted", "licence"
    )
    assert "hf_weak" not in stage.log


def test_404_of_repository_and_revision(stage: conftest.Stage) -> None:
    assert stage.run({**given.BASE, "revision": "v9"}) == 11
    given.failed(stage, exits.Exit.NOT_FOUND, "Qwen/Qwen3-8B@v9", "Invalid rev id")
    stage.environment["HF_TOKEN"] = stage.hub.token
    assert stage.run({**given.BASE, "repository": "Qwen/None"}) == 11
    given.failed(stage, exits.Exit.NOT_FOUND, "Qwen/None")


def test_nothing_to_serve_is_said_before_a_download(stage: conftest.Stage) -> None:
    stage.hub.publish("org/gguf", {"config.json": b"{}", "model.gguf": b"x"})
    assert stage.run({**given.BASE, "repository": "org/gguf"}) == 11
    given.failed(stage, exits.Exit.NOT_FOUND, "no weights")
    assert stage.hub.downloads() == []
    # The next commit mends it: nothing holds on to the broken one.
    stage.hub.publish("org/gguf", {"config.json": b"{}", "model.safetensors": b"x"})
    assert stage.run({**given.BASE, "repository": "org/gguf"}) == 0


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
    given.failed(stage, exits.Exit.HUB_UNAVAILABLE, "HTTP 429", "Qwen/Qwen3-8B@main")


@pytest.mark.pitfall("a download hangs in the middle of a shard")
@pytest.mark.parametrize("path", ["/api/models/", "/resolve/", "/cdn/"])
def test_gives_up_after_the_budget(stage: conftest.Stage, path: str) -> None:
    stage.hub.faults = [hub_server.Fault(path, times=10**6, status=503)]
    stage.environment["PRELOAD_RETRY_SECONDS"] = "0.2"
    began = time.monotonic()
    assert stage.run() == 13
    assert 0.2 <= time.monotonic() - began < 5
    given.failed(stage, exits.Exit.HUB_UNAVAILABLE, "HTTP 503", "network policy")


def test_no_hub_at_all(stage: conftest.Stage) -> None:
    stage.environment["HF_ENDPOINT"] = "http://127.0.0.1:9"
    stage.environment["PRELOAD_RETRY_SECONDS"] = "0.1"
    assert stage.run() == 13
    given.failed(stage, exits.Exit.HUB_UNAVAILABLE, "ConnectError")


@pytest.mark.parametrize("chunked", [False, True])
def test_truncated_bodies_resume_where_they_ended(stage: conftest.Stage, chunked: bool) -> None:
    fault = hub_server.Fault(given.cdn(given.SHARD), times=4, truncate=300_000, chunked=chunked)
    stage.hub.faults = [fault]
    assert stage.run() == 0
    starts = [r.start for r in stage.hub.downloads() if given.cdn(given.SHARD) in r.path]
    assert starts == [0, 300_000, 600_000, 900_000, 1_200_000]
    assert conftest.truth(stage.home) is True


def test_truncation_for_ever_ends(stage: conftest.Stage) -> None:
    """Bytes that came before are no progress: a hub that ignores ranges must not loop for ever."""
    stage.hub.faults = [
        hub_server.Fault(given.cdn(given.SHARD), times=10**6, truncate=300_000, ignore_range=True)
    ]
    stage.environment["PRELOAD_RETRY_SECONDS"] = "0.3"
    assert stage.run() == 13


def test_a_hub_that_ignores_ranges(stage: conftest.Stage) -> None:
    stage.hub.faults = [
        hub_server.Fault(given.cdn(given.SHARD), truncate=500_000),
        hub_server.Fault(given.cdn(given.SHARD), ignore_range=True),
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
    stage.hub.faults = [
        hub_server.Fault(given.cdn(given.SHARD), content=lambda content: content[::-1])
    ]
    assert stage.run() == 0
    assert conftest.truth(stage.home) is True


@pytest.mark.parametrize("kind", ["other", "longer", "git"])
def test_wrong_content_twice_fails(stage: conftest.Stage, kind: str) -> None:
    changes = {
        "other": lambda content: content[::-1],
        "longer": lambda content: content + b"x",
        "git": lambda content: content.replace(b"Qwen3", b"Qwen2"),
    }
    path = "/config.json" if kind == "git" else given.cdn(given.SHARD)
    ignore = kind == "longer"
    stage.hub.faults = [
        hub_server.Fault(path, times=99, content=changes[kind], ignore_range=ignore)
    ]
    assert stage.run() == 14
    given.failed(stage, exits.Exit.VERIFICATION_FAILED, "2 clean downloads", "Qwen/Qwen3-8B@")
    assert len([r for r in stage.hub.downloads() if path in r.path]) == 2


def test_a_damaged_partial_does_not_count_as_a_clean_download(stage: conftest.Stage) -> None:
    weights_directory = stage.home / "weights"
    weights_directory.mkdir(parents=True)
    (weights_directory / given.SHARD).write_bytes(bytes(1_000_000))  # zeros, as a crash leaves them
    stage.hub.faults = [
        hub_server.Fault(given.cdn(given.SHARD)),
        hub_server.Fault(given.cdn(given.SHARD), content=lambda content: content[::-1]),
    ]
    assert stage.run() == 0
    starts = [r.start for r in stage.hub.downloads() if given.cdn(given.SHARD) in r.path]
    assert starts == [1_000_000, 0, 0]


def test_a_whole_file_without_manifest_is_hashed_not_fetched(stage: conftest.Stage) -> None:
    stage.run()
    (stage.home / "manifest.json").unlink()
    content = bytearray(given.MODEL[given.SHARD])
    content[5] ^= 1
    (stage.home / "weights" / given.SHARD).write_bytes(content)  # right size, wrong content
    stage.hub.requests.clear()
    assert stage.run() == 0
    assert [given.cdn(given.SHARD) in request.path for request in stage.hub.downloads()] == [True]
    assert conftest.truth(stage.home) is True


def test_large_files_come_in_windows(
    stage: conftest.Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "PIECE", 400_000)
    assert stage.run() == 0
    starts = [r.start for r in stage.hub.downloads() if given.cdn(given.SHARD) in r.path]
    assert sorted(starts) == [0, 400_000, 800_000, 1_200_000]
    assert conftest.truth(stage.home) is True


@pytest.mark.parametrize("path", ["../evil.json", "/etc/evil.json", "a/../evil.json", "a\\b.json"])
def test_unsafe_paths_are_refused(stage: conftest.Stage, path: str) -> None:
    stage.hub.publish("org/evil", {**given.MODEL, path: b"{}"})
    assert stage.run({**given.BASE, "repository": "org/evil"}) == 14
    given.failed(stage, exits.Exit.VERIFICATION_FAILED, "not safe")


def test_a_mirror_without_hashes_is_refused(stage: conftest.Stage) -> None:
    body = json.dumps({"id": "a", "sha": "0" * 40, "siblings": [{"rfilename": "config.json"}]})
    stage.hub.faults = [hub_server.Fault("/api/", content=lambda _: body.encode())]
    assert stage.run() == 14
    given.failed(stage, exits.Exit.VERIFICATION_FAILED, "mirror")
