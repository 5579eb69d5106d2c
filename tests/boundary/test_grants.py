"""How patterns of the settings match, and which of them hold for a claim."""

import re
import time
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from function.api import base, claim, settings, settings_authors
from function.boundary import grants
from tests import cluster
from tests.resources import scene


def claimed(namespace: str = "llm", name: str = "qwen") -> claim.InferenceService:
    return base.parse(
        claim.InferenceService, scene.of(name=name, namespace=namespace), what="claim"
    )


def allowing(**allowed: Any) -> cluster.Object:
    """Returns settings that allow this, and what they do by default."""
    config = scene.site()
    config["data"]["inferenceService"]["allowed"] = allowed
    return config


@pytest.mark.parametrize(
    ("pattern", "value", "holds"),
    [
        ("*", "team", True),
        ("*", "", True),
        ("*", "example.com/team", False),
        ("*/*", "example.com/team", True),
        ("*/*", "team", False),
        ("**", "", True),
        ("**", "team", True),
        ("**", "a/b/c", True),
        ("a/**", "a/b/c", True),
        ("a/**", "a/", True),
        ("a/**", "a", False),
        ("**/c", "a/b/c", True),
        ("a/*/c", "a/b/b/c", False),
        ("a/**/c", "a/b/b/c", True),
        ("***", "a/b", True),
        ("example.com/*", "example.com/team", True),
        ("example.com/*", "example.com.evil/team", False),
        ("example.com/*", "exampleXcom/team", False),
        ("{name}", "qwen", True),
        ("{name}-*", "qwen-canary", True),
        ("{name}-*", "qwen", False),
        ("{namespace}/**", "llm/a/b", True),
        ("team", "team-a", False),
        ("team", "tea", False),
    ],
)
def test_a_pattern_is_a_path_with_stars(pattern: str, value: str, holds: bool) -> None:
    (whole,) = grants.patterns({"*": [pattern]}, claimed())
    assert grants.matches(whole, value) is holds


@hypothesis.given(st.text("ab-*/", max_size=10), st.text("ab-/", max_size=10))
def test_it_matches_as_a_regular_expression_does(pattern: str, value: str) -> None:
    words = {"*": "[^/]*"}
    parts = [
        (words.get(part, ".*") if part.startswith("*") else re.escape(part))
        for part in re.split(r"(\*+)", pattern)
    ]
    assert grants.matches(pattern, value) is (re.fullmatch("".join(parts), value) is not None)


@pytest.mark.parametrize("star", ["*", "**"])
def test_a_pattern_of_many_stars_is_no_work(star: str) -> None:
    """A regular expression would not end."""
    begin = time.process_time()
    assert not grants.matches(f"{star}a" * 120 + f"{star}b", "a" * 5000)
    assert time.process_time() - begin < 1


def test_the_entry_of_a_namespace_adds_to_everybodys() -> None:
    granted = {"*": ["tools"], "llm": ["batch"]}
    for namespace, names in (("llm", ("tools", "batch")), ("other", ("tools",))):
        assert grants.patterns(granted, claimed(namespace)) == names


def test_a_map_that_is_given_replaces_its_default() -> None:
    scene.planned(scene.of(envFromSecrets=["hf-token"]), allowing())
    words = scene.refused(scene.of(envFromSecrets=["hf-token"]), allowing(secrets={"llm": ["a"]}))
    assert "the settings do not allow 'hf-token' in namespace llm (allowed.secrets has a)" in words


def test_a_refusal_lists_what_is_granted_and_not_all_of_it() -> None:
    many = [f"a{number}" for number in range(8)]
    words = scene.refused(scene.of(envFromSecrets=["b"]), allowing(secrets={"*": many}))
    assert "(allowed.secrets has a0, a1, a2, a3, a4 and 3 more)" in words
    assert "(allowed.secrets has nothing)" in scene.refused(
        scene.of(envFromSecrets=["b"]), allowing(secrets={})
    )


def test_a_refused_version_comes_with_the_one_that_is_allowed() -> None:
    words = scene.refused(scene.of(engine={"version": "0.18.0"}), allowing(engineVersions={}))
    assert "the settings' own version, " in words
    assert "is always allowed; the settings do not allow '0.18.0' in namespace llm" in words


@pytest.mark.parametrize(
    "field", [alias.alias for alias in settings_authors.Allowed.model_fields.values()]
)
def test_each_map_takes_names_paths_and_the_claims_names(field: str) -> None:
    patterns = ["a.b-c/{namespace}/**", "models.{name}.*"]
    settings.resolve([{"allowed": {field: {"*": patterns, "llm": []}}}])
    for wrong in ("{nam}", "a b", "", "{"):
        with pytest.raises(base.InvalidError):
            settings.resolve([{"allowed": {field: {"*": [wrong]}}}])
    with pytest.raises(base.InvalidError):
        settings.resolve([{"allowed": {field: {"llm-*": ["a"]}}}])


@pytest.mark.parametrize(
    ("pattern", "name"), [("platform-*", "platform-a"), ("{namespace}", "llm"), ("**", "a")]
)
def test_reserved_names_are_patterns_too(pattern: str, name: str) -> None:
    config = scene.site(reservedNames=[pattern])
    assert f"the settings keep {pattern!r} for the platform" in scene.refused(
        scene.of(name=name), config
    )
