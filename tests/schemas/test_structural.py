"""Structural schemas by the wheel: where they differ from JSON Schema, and upstream's kinds."""

import typing

import pytest

from tests import cases, crds, documents, schemas
from tests.schemas import samples, structural, upstream

Schema: typing.TypeAlias = dict[str, typing.Any]
ROWS: Schema = documents.parse(samples.MUTATIONS.read_text(encoding="utf-8"))
FAST = [row for row in ROWS["refused"] if row.get("fast")]


def _problems(schema: Schema, value: object) -> list[str]:
    whole = structural.to_json_schema({"type": "object", "properties": {"v": schema}})
    return structural.Validator(whole).problems({"v": value})


@pytest.mark.parametrize(
    ("schema", "good", "bad", "message"),
    [
        ({"type": "integer"}, 1, 1.5, "v: 1.5 is not of type"),
        ({"type": "integer", "format": "int32"}, 2**31 - 1, 2**31, "greater than the maximum"),
        ({"type": "number", "maximum": 1, "exclusiveMaximum": True}, 0.9, 1, "v: "),
        ({"type": "string", "nullable": True}, None, 1, "v: 1 is not of types"),
        ({"x-kubernetes-int-or-string": True}, "80%", 1.5, "is not of types"),
        ({"type": "string", "pattern": "^abc$"}, "abc", "abc\n", "must match the pattern"),
        ({"type": "string", "pattern": r"^\d$"}, "3", "٣", "must match the pattern"),
        ({"type": "string", "pattern": r"^\PC*$"}, "plain", "bell\a", "must match the pattern"),
        ({"type": "string", "format": "cidr"}, "10.0.0.1/8", "10.0.0.0", 'is not a "cidr"'),
        ({"type": "string", "format": "byte"}, "aGk=", "aGk", 'is not a "byte"'),
        ({"type": "string", "format": "unheard-of"}, "x", 1, "is not of type"),
    ],
)
def test_values(schema: Schema, good: object, bad: object, message: str) -> None:
    assert _problems(schema, good) == []
    problems = _problems(schema, bad)
    assert any(message in problem for problem in problems), problems


def test_unknown_fields_are_refused_unless_preserved() -> None:
    closed: Schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    assert _problems(closed, {"a": "x", "b": 1}) == ["v.b: unknown field"]
    assert _problems({"type": "object"}, {"b": 1}) == ["v.b: unknown field"]
    assert _problems({**closed, "x-kubernetes-preserve-unknown-fields": True}, {"b": 1}) == []
    # A declared part of an open object is as closed as ever.
    outer = {"x-kubernetes-preserve-unknown-fields": True, "properties": {"in": closed}}
    assert _problems(outer, {"in": {"b": 1}, "c": 1}) == ["v.in.b: unknown field"]
    # Branches say nothing about which fields there are.
    assert _problems({**closed, "anyOf": [{"required": ["a"]}]}, {"a": "x"}) == []


def test_a_null_is_an_omission() -> None:
    schema = {"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}}
    assert _problems(schema, {"a": None}) == ["v.a: required"]
    assert _problems({**schema, "required": []}, {"a": None}) == []


def test_a_default_satisfies_required() -> None:
    properties = {"a": {"type": "string", "default": "x"}}
    assert _problems({"type": "object", "required": ["a"], "properties": properties}, {}) == []


def test_sets_and_maps_have_no_duplicates() -> None:
    text = {"type": "string"}
    strings: Schema = {"type": "array", "x-kubernetes-list-type": "set", "items": text}
    assert _problems(strings, ["a", "b"]) == []
    assert _problems(strings, ["a", "a"]) != []
    keyed: Schema = {
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name", "proto"],
        "items": {
            "type": "object",
            "properties": {"name": text, "proto": {"type": "string", "default": "TCP"}},
        },
    }
    assert _problems(keyed, [{"name": "a"}, {"name": "a", "proto": "UDP"}]) == []
    # The default of a key counts.
    assert len(_problems(keyed, [{"name": "a"}, {"name": "a", "proto": "TCP"}])) == 1


@cases.together("kind", [(kind, kind) for kind in samples.KINDS])
def test_the_small_object_of_each_kind_is_taken(kind: str) -> None:
    assert schemas.validate(samples.minimal(kind)) == []


def test_each_kind_has_a_known_bad_mutation_here_and_two_for_kubernetes() -> None:
    for kind in samples.KINDS:
        assert any(row["kind"] == kind for row in FAST), kind
        assert sum(row["kind"] == kind for row in ROWS["refused"]) >= 2, kind


@cases.together("row", list(enumerate(FAST)))
def test_a_mutation_of_the_structure_is_refused(row: Schema) -> None:
    assert schemas.validate(samples.mutated(row))


@cases.together("row", list(enumerate(ROWS["accepted"])))
def test_an_edge_is_taken(row: Schema) -> None:
    assert schemas.validate(samples.mutated(row)) == []


def test_a_kind_or_a_version_without_schema_is_refused() -> None:
    strange = {"apiVersion": "v1", "kind": "Services", "metadata": {"name": "n"}}
    assert schemas.validate(strange) == ["apiVersion: no schema for v1 Services"]
    old = {**samples.minimal("ExternalSecret"), "apiVersion": "external-secrets.io/v1beta1"}
    assert "does not serve v1beta1" in schemas.validate(old)[0]
    assert schemas.validate({"apiVersion": "v1"}) == ["<object>: apiVersion and kind must be text"]


def test_files_name_the_kinds_and_are_in_the_lock() -> None:
    for (group, kind), name in upstream.CUSTOM.items():
        assert name in crds.entries()
        spec = upstream.definition(group, kind)["spec"]
        assert (spec["group"], spec["names"]["kind"]) == (group, kind)
