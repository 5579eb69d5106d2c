"""Canonical forms: same value, same bytes, same hash, in any process."""

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function import canonical

plain_values = st.recursive(
    st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


def test_dumps_is_sorted_and_bare() -> None:
    assert canonical.dumps({"b": [1, "é"], "a": None}) == '{"a":null,"b":[1,"é"]}'


@given(st.dictionaries(st.text(max_size=3), plain_values, max_size=4))
def test_the_order_of_keys_means_nothing(value: dict[str, Any]) -> None:
    turned = dict(reversed(value.items()))
    assert canonical.dumps(turned) == canonical.dumps(value)
    assert canonical.digest(turned) == canonical.digest(value)


def test_a_digest_is_the_same_in_every_process() -> None:
    value = {"labels": {str(number): number for number in range(20)}}
    program = (
        "import json, sys; from function import canonical;"
        "print(canonical.digest(json.loads(sys.argv[1]), 32))"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program, json.dumps(value)],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert digests == {canonical.digest(value, 32)}


def test_different_values_have_different_digests() -> None:
    values: list[Any] = [1, "1", [1], ["1"], {"a": 1}, {"a": "1"}, True, None, [], {}]
    assert len({canonical.digest(value) for value in values}) == len(values)


def test_digest_has_the_length_that_is_asked_for() -> None:
    assert len(canonical.digest("x")) == 10
    assert len(canonical.digest("x", 16)) == 16
    assert canonical.digest("x", 16).startswith(canonical.digest("x"))


def test_plain_turns_whole_floats_into_ints() -> None:
    plain = canonical.plain({"b": 2.0, "a": [1.5, 3.0, {"c": 4.0}]})
    assert plain == {"a": [1.5, 3, {"c": 4}], "b": 2}
    assert list(plain) == ["a", "b"]
    assert isinstance(plain["b"], int)
    assert isinstance(plain["a"][2]["c"], int)


def test_plain_drops_nulls_and_keeps_everything_else_that_is_falsy() -> None:
    value: dict[str, Any] = {
        "null": None,
        "zero": 0,
        "no": False,
        "text": "",
        "list": [],
        "map": {},
    }
    assert canonical.plain(value) == {k: v for k, v in value.items() if k != "null"}
    assert canonical.plain({"no": False})["no"] is False


def test_plain_copies() -> None:
    value: dict[str, Any] = {"a": {"b": [1]}}
    canonical.plain(value)["a"]["b"].append(2)
    assert value == {"a": {"b": [1]}}


def test_prune_removes_nones_and_nothing_else_that_is_falsy() -> None:
    manifest: dict[str, Any] = {"a": None, "b": {}, "c": [], "d": 0, "e": "", "f": False, "g": 1}
    assert canonical.prune(manifest) == {k: v for k, v in manifest.items() if k != "a"}


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        # RFC 7396, appendix A.
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch(target: Any, patch: Any, result: Any) -> None:
    assert canonical.merge_patch(target, patch) == result


def test_merge_patch_leaves_its_target_alone() -> None:
    target = {"a": {"b": 1}}
    canonical.merge_patch(target, {"a": {"b": 2}})
    assert target == {"a": {"b": 1}}


@pytest.mark.decision(13)
@pytest.mark.parametrize(
    ("old", "new", "paths"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2}, ["a"]),
        ({"a": {"b": 1}}, {"a": {"c": 1}}, ["a.b", "a.c"]),
        ({"a": 1}, {}, ["a"]),
        ({"a": [1, 2]}, {"a": [2, 1]}, ["a"]),
        (
            {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "1"}]},
            {"env": [{"name": "B", "value": "1"}, {"name": "A", "value": "2"}]},
            ["env[A].value"],
        ),
        ({"env": [{"name": "A"}]}, {"env": [{"name": "B"}]}, ["env[A]", "env[B]"]),
        # A repeated name does not tell which old entry became which new entry.
        ({"e": [{"name": "A"}, {"name": "A"}]}, {"e": [{"name": "A"}]}, ["e"]),
        ({"a": []}, {"a": [{"name": "x"}]}, ["a[x]"]),
        # The order of environment variables or volumes is part of a pod template's identity.
        ({"e": [{"name": "A"}, {"name": "B"}]}, {"e": [{"name": "B"}, {"name": "A"}]}, ["e"]),
    ],
)
def test_differences(old: Any, new: Any, paths: list[str]) -> None:
    assert canonical.differences(old, new) == paths


@given(plain_values, plain_values)
def test_no_difference_means_equal(old: Any, new: Any) -> None:
    assert canonical.differences(old, old) == []
    assert bool(canonical.differences(old, new)) == (old != new)
