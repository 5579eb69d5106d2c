"""The schema for editors takes every valid claim, and underlines what they can know to be wrong."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import hypothesis
import jsonschema_rs
import pytest

from function import generate
from function.api import editor
from tests import cases, cluster, strategies
from tests.api import accepted_claims, entries

SCHEMA = json.loads((generate.ROOT / generate.CLAIM_EDITOR_SCHEMA).read_text())
VALIDATOR = jsonschema_rs.Draft7Validator(SCHEMA)


def test_it_is_a_schema() -> None:
    assert SCHEMA["$schema"] == editor.DRAFT
    jsonschema_rs.meta.validate(SCHEMA)


@pytest.mark.parametrize("name", cluster.EXAMPLES)
def test_examples_are_valid(name: str) -> None:
    assert VALIDATOR.is_valid(cluster.example(name))


@cases.together("accepted", cases.named(accepted_claims.ACCEPTED))
def test_what_is_accepted_is_valid(accepted: entries.Accepted) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(accepted.claim)] == []


@hypothesis.given(strategies.claims())
def test_every_valid_claim_is_valid(value: dict[str, Any]) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(value)] == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((), {"modle": {}}),
        (("model",), {"maxNumSeq": 8}),
        (("model",), {"maxNumSeqs": "8"}),
        (("model",), {"maxNumSeqs": 0}),
        (("model",), {"quantization": "int3"}),
        (("model",), {"repository": "https://huggingface.co/org/model"}),
        (("scaling",), {"triggers": {"queue": {"goal": "8"}}}),
        (("resources",), {"requests": {"memory": "16 GB"}}),
        (("gateway",), {"canaries": [{"adapter": "a"}]}),
    ],
)
def test_what_is_wrong_is_underlined(path: tuple[str, ...], value: dict[str, Any]) -> None:
    claim = copy.deepcopy(cluster.example("smallest"))
    node = claim["spec"]
    for step in path:
        node = node.setdefault(step, {})
    node |= value
    assert not VALIDATOR.is_valid(claim)


def objects(node: dict[str, Any], at: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields each object below a node, with its path."""
    if "properties" in node:
        yield at, node
    for name, field in node.get("properties", {}).items():
        yield from objects(field, f"{at}.{name}")
    for inner in ("items", "additionalProperties"):
        if isinstance(node.get(inner), dict):
            yield from objects(node[inner], f"{at}[]")


def test_an_editor_offers_every_field_and_no_other() -> None:
    nodes = dict(objects(SCHEMA["properties"]["spec"], "spec"))
    assert len(nodes) > 25
    for path, node in nodes.items():
        assert node["additionalProperties"] is False, path
        for name, field in node["properties"].items():
            assert "type" in field, f"{path}.{name}"
    described = [field for node in nodes.values() for field in node["properties"].values()]
    assert sum("description" in field for field in described) > 0.9 * len(described)
