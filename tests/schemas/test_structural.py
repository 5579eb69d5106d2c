"""Structural schemas: defaults, unknown fields, types, list types, patterns and formats."""

import typing

import pytest

from tests.schemas import finding, formats, structural

Schema: typing.TypeAlias = dict[str, typing.Any]


def _problems(schema: Schema, value: object) -> list[str]:
    node = structural.build({"type": "object", "properties": {"v": schema}})
    out: structural.Findings = []
    admitted = node.admit({"v": value}, "", out)
    node.check(admitted, "", out)
    node.duplicates(admitted, "", out)
    return finding.texts(out)


def _admit(schema: Schema, value: object) -> typing.Any:
    return structural.build(schema).admit(value, "", [])


@pytest.mark.parametrize(
    ("schema", "good", "bad", "message"),
    [
        ({"type": "integer"}, 1.0, 1.5, "must be integer, is number"),
        ({"type": "integer"}, 1, True, "must be integer, is boolean"),
        ({"type": "number"}, 1, "1", "must be number, is string"),
        ({"type": "boolean"}, False, 0, "must be boolean, is integer"),
        ({"type": "string"}, "", 1, "must be string, is integer"),
        ({"type": "array", "items": {"type": "string"}}, [], [None], "must be string, is null"),
        ({"type": "array", "items": {"type": "string"}}, ["a"], [None], "v[0]: must be string"),
        ({"type": "string", "enum": ["a"]}, "a", "b", "must be one of ['a'], is 'b'"),
        ({"type": "integer", "enum": [1]}, 1, 2, "must be one of [1], is 2"),
        ({"type": "integer", "format": "int32"}, 2**31 - 1, 2**31, "must fit int32"),
        ({"type": "integer", "minimum": 1}, 1, 0, "must respect minimum 1, is 0"),
        ({"type": "number", "maximum": 1, "exclusiveMaximum": True}, 0.9, 1, "exclusively"),
        ({"type": "integer", "multipleOf": 5}, 10, 11, "must be a multiple of 5"),
        ({"type": "string", "maxLength": 2}, "éé", "abc", "at most 2 are allowed"),
        ({"type": "string", "minLength": 1}, "é", "", "at least 1 are needed"),
        ({"type": "array", "items": {}, "maxItems": 1}, [1], [1, 2], "at most 1 are allowed"),
        ({"type": "array", "items": {}, "minItems": 1}, [1], [], "at least 1 are needed"),
        ({"additionalProperties": {}, "maxProperties": 1}, {"a": 1}, {"a": 1, "b": 1}, "at most"),
        ({"additionalProperties": {}, "minProperties": 1}, {"a": 1}, {}, "at least 1"),
        ({"x-kubernetes-int-or-string": True}, "80%", 1.5, "must be integer or string"),
        ({"anyOf": [{"type": "integer"}, {"pattern": "^a$"}]}, "a", "b", "anyOf"),
        ({"oneOf": [{"minimum": 1}, {"minimum": 5}]}, 2, 6, "fits 2"),
        ({"allOf": [{"minimum": 1}, {"maximum": 3}]}, 2, 4, "maximum 3"),
        ({"type": "integer", "not": {"minimum": 5}}, 4, 5, "must not fit"),
        ({"type": "array", "items": {}, "uniqueItems": True}, [1, "1"], [1, 1], "unique"),
    ],
)
def test_values(schema: Schema, good: object, bad: object, message: str) -> None:
    assert _problems(schema, good) == []
    problems = _problems(schema, bad)
    assert any(message in problem for problem in problems), problems


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("date-time", "2026-01-02T03:04:05.6+01:00", "2026-01-02 03:04:05"),
        ("date-time", "2026-01-02T03:04:05Z", "2026-01-02T03:04Z"),
        ("date-time", "2026-01-02t23:59:59z", "2026-01-02T24:00:00Z"),
        ("date-time", "2026-01-02T00:00:00-01:00", "2026-01-02T00:60:00Z"),
        ("date-time", "2026-01-02T00:00:59Z", "2026-01-02T00:00:60Z"),
        ("date", "2026-01-02", "2026-1-2"),
        ("date", "2024-02-29", "2026-02-29"),
        ("byte", "aGk=", "aGk"),
        ("byte", "aGkh", ""),
        ("cidr", "10.0.0.1/8", "10.0.0.0"),
        ("cidr", "010.0.0.0/8", "10.0.0.0/33"),
        ("cidr", "::1/128", "::1/129"),
        ("ipv4", "10.0.0.1", "::1"),
        ("ipv6", "::1", "10.0.0.1"),
        ("uuid", "C9D1A8A2-6E4B-4C1B-9B8A-1F6E5D4C3B2A", "C9D1"),
        ("date", "2026-01-02", "20260102"),
        ("ipv6", "::1", "fe80::1%eth0"),
        ("uri", "https://example.com", "example"),
        ("uri", "/rooted", "https://example.com/\n"),
        ("k8s-short-name", "a-b", "a.b"),
        ("k8s-short-name", "a" * 63, "a" * 64),
        ("k8s-long-name", "a.b", "a..b"),
        ("k8s-long-name", "a" * 253, "a" * 254),
    ],
)
def test_formats(name: str, good: str, bad: str) -> None:
    schema = {"type": "string", "format": name}
    assert _problems(schema, good) == []
    assert _problems(schema, bad) == [f"v: must be of format {name}, is {bad!r}"]


def test_a_format_that_the_server_ignores_is_ignored() -> None:
    assert _problems({"type": "string", "format": "idn-hostname"}, "-- no host --") == []


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "format": "email"},
        {"type": "object", "patternProperties": {}},
        {"type": "object", "x-kubernetes-embedded-resource": True},
    ],
)
def test_what_is_not_implemented_is_not_passed_over(schema: Schema) -> None:
    with pytest.raises(ValueError, match="not implemented"):
        structural.build(schema)


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("^abc$", "abc\n", False),  # in `re` the dollar matches before a final line break
        (r"^\PC*$", "plain", True),  # no such escape in `re`
        (r"^\PC*$", "bell\a", False),
        ("^a(?i)b$", "aB", True),  # `re` refuses flags in the middle
        (r"^\d$", "٣", False),  # in `re` and in Rust a digit of any script
        (r"^\w$", "é", False),
        ("b", "abc", True),
    ],
)
def test_patterns_are_re2(pattern: str, text: str, fits: bool) -> None:
    assert (_problems({"type": "string", "pattern": pattern}, text) == []) is fits


def test_unknown_fields_are_refused_unless_preserved() -> None:
    closed = {"type": "object", "properties": {"a": {"type": "string"}}}
    assert _problems(closed, {"a": "x", "b": 1}) == ["v.b: unknown field"]
    assert _problems({**closed, "x-kubernetes-preserve-unknown-fields": True}, {"b": 1}) == []
    assert _problems({"type": "object"}, {"b": 1}) == ["v.b: unknown field"]
    # A declared part of an open object is as closed as ever.
    outer = {"x-kubernetes-preserve-unknown-fields": True, "properties": {"in": closed}}
    assert _problems(outer, {"in": {"b": 1}, "c": 1}) == ["v.in.b: unknown field"]


def test_defaults_come_before_validation() -> None:
    part = {"type": "object", "default": {}, "properties": {"n": {"type": "integer", "default": 3}}}
    schema = {"type": "object", "required": ["part"], "properties": {"part": part}}
    assert _admit(schema, {}) == {"part": {"n": 3}}
    assert _problems(schema, {}) == []
    assert _admit(schema, {"part": {"n": 0}}) == {"part": {"n": 0}}


def test_a_wrong_default_is_found() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "default": "x"}}}
    assert _problems(schema, {}) == ["v.n: must be integer, is string"]


def test_nulls_are_dropped_or_defaulted_unless_nullable() -> None:
    properties = {
        "plain": {"type": "string"},
        "filled": {"type": "string", "default": "x"},
        "kept": {"type": "string", "nullable": True, "default": "x"},
    }
    schema = {"type": "object", "properties": properties}
    value = {"plain": None, "filled": None, "kept": None}
    assert _admit(schema, value) == {"filled": "x", "kept": None}
    assert _problems(schema, value) == []


def test_nulls_in_maps_and_lists() -> None:
    text = {"type": "string"}
    filled = {"type": "string", "default": "x"}
    assert _admit({"type": "object", "additionalProperties": text}, {"a": None}) == {}
    assert _admit({"type": "object", "additionalProperties": filled}, {"a": None}) == {"a": "x"}
    assert _admit({"type": "array", "items": filled}, [None, "y"]) == ["x", "y"]
    nullable = {**filled, "nullable": True}
    assert _admit({"type": "array", "items": nullable}, [None]) == [None]


def test_the_branch_that_comes_closest_says_what_is_missing() -> None:
    one = {"required": ["a"]}
    two = {"required": ["b", "c"]}
    value = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    for keyword, first in (
        ("anyOf", "v: must fit one schema of anyOf"),
        ("oneOf", "v: must fit exactly one schema of oneOf, fits 0"),
    ):
        assert _problems({**value, keyword: [two, one]}, {}) == [first, "v.a: required"]


def test_integral_floats_become_integers_where_no_double_is_wanted() -> None:
    admitted = _admit({"type": "array", "items": {"type": "integer"}}, [2.0])
    assert [type(item) for item in admitted] == [int]
    admitted = _admit({"type": "array", "items": {"type": "number"}}, [2.0])
    assert [type(item) for item in admitted] == [float]


def test_sets_and_maps_have_no_duplicates() -> None:
    strings = {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}
    assert _problems(strings, ["a", "b"]) == []
    assert _problems(strings, ["a", "a"]) == ['v[1]: duplicate in a list of type set: "a"']
    items = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "proto": {"type": "string", "default": "TCP"}},
    }
    keyed = {
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name", "proto"],
        "items": items,
    }
    assert _problems(keyed, [{"name": "a"}, {"name": "a", "proto": "UDP"}]) == []
    # The default of a key counts.
    assert len(_problems(keyed, [{"name": "a"}, {"name": "a", "proto": "TCP"}])) == 1


def test_required_fields_of_a_map_entry_have_a_path() -> None:
    entry = {"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}}
    schema = {"type": "object", "additionalProperties": entry}
    assert _problems(schema, {"x": {}}) == ["v[x].a: required"]


_BINARY = ("Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_DECIMAL = ("n", "u", "m", "", "k", "M", "G", "T", "P", "E")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("1.5Gi", 1.5 * 2**30),
        *((f"1{suffix}", 1024**power) for power, suffix in enumerate(_BINARY, 1)),
        *((f"1{suffix}", 1000**power) for power, suffix in enumerate(_DECIMAL, -3)),
        ("1e3", 1000),
        ("1E-1", 0.1),
        (".5", 0.5),
        ("5.", 5),
        ("-1k", -1000),
        (2, 2),
        ("1GiB", None),
        ("1 Gi", None),
        ("Gi", None),
        ("", None),
        ("1K", None),
        (True, None),
        (None, None),
    ],
)
def test_quantities(text: object, value: float | None) -> None:
    found = formats.quantity(text)
    assert (None if found is None else float(found)) == value
