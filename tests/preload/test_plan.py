"""The plan and the numbers of the environment: what is refused, and in which words."""

import json
from typing import Any

import pytest

from preload import exits, plan, settings

ITEM: dict[str, Any] = {
    "kind": "base",
    "repository": "Qwen/Qwen3-8B",
    "revision": "refs/pr/1",
    "directory": "base-0123",
}
USER = "llm/xplane-coder"


def document(**changes: object) -> str:
    item = {**ITEM, **changes}
    return json.dumps({"modelsDirectory": "/models", "user": USER, "items": [item]})


def refused(text: str) -> str:
    with pytest.raises(exits.PreloadError) as caught:
        plan.parse(text)
    assert caught.value.exit_code == exits.Exit.PLAN_INVALID
    return caught.value.message


def test_reads_every_field() -> None:
    adapter = {
        "kind": "adapter",
        "repository": "gpt2",
        "revision": "v1.0",
        "directory": "loras/a",
        "legacyDirectory": "old/a",
    }
    text = json.dumps(
        {
            "modelsDirectory": "/models",
            "user": USER,
            "cacheDirectory": ".compile-cache/llm-x",
            "items": [ITEM, adapter],
        }
    )
    parsed = plan.parse(text)
    assert str(parsed.models_directory) == "/models"
    assert parsed.user == USER
    assert parsed.cache_directory == ".compile-cache/llm-x"
    assert parsed.items == (
        plan.Item("base", "Qwen/Qwen3-8B", "refs/pr/1", "base-0123"),
        plan.Item("adapter", "gpt2", "v1.0", "loras/a", "old/a"),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not JSON"),
        ("[]", "must be an object"),
        ('{"items": []}', "lacks modelsDirectory"),
        ('{"modelsDirectory": "/m", "user": "n/c", "items": []}', "at least one"),
        ('{"modelsDirectory": "m", "user": "n/c", "items": [{}]}', "absolute"),
        ('{"modelsDirectory": "/m", "user": "n/c", "items": [{}]}', "lacks directory, kind"),
        ('{"modelsDirectory": "/m", "user": "n/c", "items": [{}], "x": 1}', "unknown key 'x'"),
        ('{"modelsDirectory": "/m", "items": [{}]}', "lacks user"),
        ('{"modelsDirectory": "/m", "user": "n", "items": [{}]}', "<namespace>/<name>"),
        ('{"modelsDirectory": "/m", "user": "n/../x", "items": [{}]}', "<namespace>/<name>"),
        ('{"modelsDirectory": "/m", "user": "n/c", "remove": []}', "remove must be a list"),
        ('{"modelsDirectory": "/m", "user": "n/c", "remove": ["../x"]}', "remove[0]"),
        (
            '{"modelsDirectory": "/m", "user": "n/c", "remove": ["x"], "items": []}',
            "unknown key 'items'",
        ),
        (document(kind="model"), "kind"),
        (document(surplus=1), "unknown key 'surplus'"),
        (document(repository="a/b/c"), "repository"),
        (document(repository="a b"), "repository"),
        (document(repository=7), "repository"),
        (document(revision=""), "revision"),
        (document(revision="a..b"), "revision"),
        (document(revision="$(id)"), "revision"),
        (document(revision=3), "revision"),
    ],
)
def test_refuses(text: str, words: str) -> None:
    assert words in refused(text)


def test_reads_what_is_to_be_removed() -> None:
    text = json.dumps({"modelsDirectory": "/models", "user": USER, "remove": ["a", "loras/b"]})
    parsed = plan.parse(text)
    assert parsed.remove == ("a", "loras/b")
    assert parsed.items == ()


@pytest.mark.parametrize("key", ["directory", "legacyDirectory"])
@pytest.mark.parametrize(
    "path", ["/etc", "..", "a/../b", "../a", "a/./b", "", "a//b", "a/", "a\0b", "a b", "a\\b", 5]
)
def test_refuses_paths_that_leave_the_volume(key: str, path: object) -> None:
    assert key in refused(document(**{key: path}))


def test_refuses_a_cache_directory_that_leaves_the_volume() -> None:
    text = json.dumps(
        {"modelsDirectory": "/m", "user": USER, "items": [ITEM], "cacheDirectory": "../x"}
    )
    assert "cacheDirectory" in refused(text)


@pytest.mark.parametrize(("one", "other"), [("a", "a"), ("a", "a/b"), ("a/b", "a")])
def test_refuses_directories_that_overlap(one: str, other: str) -> None:
    items = [{**ITEM, "directory": one}, {**ITEM, "directory": other}]
    assert "overlaps" in refused(
        json.dumps({"modelsDirectory": "/m", "user": USER, "items": items})
    )
    assert "overlaps" in refused(document(directory=one, legacyDirectory=other))
    cached = {"modelsDirectory": "/m", "user": USER, "items": items[:1], "cacheDirectory": other}
    assert "overlaps" in refused(json.dumps(cached))


def test_neighbours_with_a_common_prefix_are_no_overlap() -> None:
    items = [{**ITEM, "directory": "base-1"}, {**ITEM, "directory": "base-12"}]
    assert (
        len(plan.parse(json.dumps({"modelsDirectory": "/m", "user": USER, "items": items})).items)
        == 2
    )


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("PRELOAD_RETRY_SECONDS", "soon", exits.Exit.PLAN_INVALID),
        ("PRELOAD_RETRY_SECONDS", "-1", exits.Exit.PLAN_INVALID),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "inf", exits.Exit.PLAN_INVALID),
        ("HF_ENDPOINT", "ftp://hub", exits.Exit.PLAN_INVALID),
        ("HF_TOKEN", "hf_a b", exits.Exit.UNAUTHORIZED),
        ("HF_TOKEN", "hf_a\nb", exits.Exit.UNAUTHORIZED),
    ],
)
def test_refuses_an_environment_it_cannot_use(name: str, value: str, code: exits.Exit) -> None:
    with pytest.raises(exits.PreloadError) as caught:
        settings.of_environment({name: value})
    assert caught.value.exit_code == code
    assert name in caught.value.message
    if name == "HF_TOKEN":
        assert value not in caught.value.message


def test_defaults_and_values_of_the_environment() -> None:
    read = settings.of_environment({})
    assert (read.retry_seconds, read.download_timeout, read.metadata_timeout) == (900, 120, 60)
    assert read.endpoint == "https://huggingface.co"
    assert read.token is None
    # A Secret made with `echo` ends in a newline.
    assert settings.of_environment({"HF_TOKEN": "hf_x\n"}).token == "hf_x"
    assert settings.of_environment({"HUGGING_FACE_HUB_TOKEN": "hf_y"}).token == "hf_y"
    environment = {"HF_HUB_DISABLE_XET": "0"}
    settings.set_defaults(environment)
    assert environment["HF_HUB_DISABLE_XET"] == "0"
    assert environment["HF_HUB_DISABLE_TELEMETRY"] == "1"
    assert environment["HF_HOME"].startswith("/tmp/")


def test_exit_codes_are_the_ones_the_job_matches() -> None:
    assert {code.reason: int(code) for code in exits.Exit} == {
        "Done": 0,
        "Bug": 1,
        "PlanInvalid": 2,
        "Unauthorized": 10,
        "NotFound": 11,
        "DiskFull": 12,
        "HubUnavailable": 13,
        "VerificationFailed": 14,
        "VolumeUnusable": 15,
        "Stopped": 143,
    }
