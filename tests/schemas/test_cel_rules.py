"""CEL rules: what they see, when they run, what they say."""

import typing

import pytest

from tests import schemas
from tests.schemas import cel_rules

Schema: typing.TypeAlias = dict[str, typing.Any]


def _resource(spec: object) -> dict[str, object]:
    return {"apiVersion": "a.io/v1", "kind": "A", "metadata": {"name": "m"}, "spec": spec}


def _schema(spec: Schema, **root: object) -> Schema:
    return {"type": "object", "properties": {"spec": spec}, **root}


def _with_rule(schema: Schema, rule: str, **extra: object) -> Schema:
    return {**schema, "x-kubernetes-validations": [{"rule": rule, "message": "broken", **extra}]}


def _problems(spec: Schema, value: object, old: object = None) -> list[str]:
    before = None if old is None else _resource(old)
    return schemas.validate_custom(_schema(spec), _resource(value), old=before)


_INTEGER = {"type": "integer"}
_STRING = {"type": "string"}


@pytest.mark.parametrize(
    ("schema", "rule", "good", "bad"),
    [
        (_INTEGER, "self > 1", 2, 1),
        ({"type": "number"}, "self * 2.0 > 1.0", 1, 0),
        ({"type": "number"}, "type(self) == double && self < 2.0", 1, 2),
        (_STRING, "size(self) <= 2", "éé", "ééé"),
        (_STRING, "self.size() <= 2", "éé", "ééé"),
        (_STRING, r"self.matches('^\\d+$')", "12", "٣"),
        (_STRING, "self.matches(r'size(\\d)')", "size1", "sizex"),
        (_STRING, "self != 'size(x)'", "x", "size(x)"),
        (_STRING, "self.find('[0-9]+') == '12'", "a12b", "ab"),
        (_STRING, "self.split(',').all(x, x.lowerAscii() == x)", "a,b", "a,B"),
        (_STRING, "self.replace('-', '').upperAscii() == 'AB'", "a-b", "a-c"),
        (_STRING, "duration(self) < duration('1h')", "59m", "60m"),
        ({"type": "string", "format": "byte"}, "size(self) == 2", "aGk=", "aGkh"),
        (
            {"type": "string", "format": "date-time"},
            "self > timestamp('2026-01-01T00:00:00Z')",
            "2026-02-01T00:00:00Z",
            "2025-02-01T00:00:00Z",
        ),
        (
            {"type": "string", "format": "date"},
            "self > timestamp('2026-01-01T00:00:00Z')",
            "2026-01-02",
            "2025-01-02",
        ),
        ({"type": "array", "items": {"type": "number"}}, "self[0] < 1.5", [1], [2]),
        ({"type": "array", "items": _INTEGER}, "self.isSorted()", [1, 2], [2, 1]),
        ({"type": "array", "items": _INTEGER}, "self.exists_one(x, x == 1)", [1], [1, 1]),
        (
            {"x-kubernetes-int-or-string": True},
            "type(self) == string ? self == 'a' : self == 1",
            "a",
            2,
        ),
        (
            {"type": "object", "additionalProperties": _INTEGER},
            "self.all(key, self[key] > 0)",
            {"in": 1},
            {"in": 0},
        ),
    ],
)
def test_rules_decide(schema: Schema, rule: str, good: object, bad: object) -> None:
    assert _problems(_with_rule(schema, rule), good) == []
    assert _problems(_with_rule(schema, rule), bad) == ["spec: broken"]


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("namespace", "__namespace__"),
        ("a-b", "a__dash__b"),
        ("a.b", "a__dot__b"),
        ("a/b", "a__slash__b"),
        ("a__b", "a__underscores__b"),
        ("plain", "plain"),
        ("9a", None),
    ],
)
def test_names_are_escaped(name: str, seen: str | None) -> None:
    assert cel_rules.escape(name) == seen


def test_rules_see_escaped_names() -> None:
    schema = {"type": "object", "properties": {"namespace": _STRING, "a-b": _INTEGER}}
    rule = "self.__namespace__ == 'x' && self.a__dash__b == 1"
    assert _problems(_with_rule(schema, rule), {"namespace": "x", "a-b": 1}) == []
    assert _problems(_with_rule(schema, rule), {"namespace": "y", "a-b": 1}) == ["spec: broken"]


def test_of_metadata_only_the_name_is_seen() -> None:
    schema = _schema({"type": "object"})
    obj = {**_resource({}), "metadata": {"name": "m", "labels": {"a": "b"}}}
    named = _with_rule(schema, "self.metadata.name == 'm' && !has(self.metadata.labels)")
    assert schemas.validate_custom(named, obj) == []


def test_undeclared_fields_are_not_seen() -> None:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    declared = {**schema, "properties": {"a": _INTEGER}}
    value = {"a": 1, "b": 2}
    assert _problems(_with_rule(declared, "has(self.a) && !has(self.b)"), value) == []


def test_defaults_are_seen() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer", "default": 3}}}
    assert _problems(_with_rule(schema, "self.a == 3"), {}) == []


def test_rules_run_at_every_depth_and_say_where() -> None:
    item = _with_rule(_INTEGER, "self != 3")
    schema = {
        "type": "object",
        "properties": {
            "list": {"type": "array", "items": item},
            "map": {"type": "object", "additionalProperties": item},
        },
    }
    assert _problems(schema, {"list": [1, 3], "map": {"x": 3, "y": 1}}) == [
        "spec.list[1]: broken",
        "spec.map[x]: broken",
    ]


def test_messages() -> None:
    schema = {"type": "object", "properties": {"a": _INTEGER}}
    rule: Schema = {"rule": "self.a > 1"}

    def message(**extra: str) -> list[str]:
        return _problems({**schema, "x-kubernetes-validations": [{**rule, **extra}]}, {"a": 1})

    assert message() == ["spec: failed rule: self.a > 1"]
    assert message(message="too small") == ["spec: too small"]
    assert message(message="too small", fieldPath=".a") == ["spec.a: too small"]
    assert message(messageExpression="'is ' + string(self.a)") == ["spec: is 1"]
    # An expression that fails, or gives no line of text, gives way to the message.
    for expression in ("self.b", "'a\\nb'", "1", "' '"):
        assert message(messageExpression=expression, message="m") == ["spec: m"]


def test_a_rule_that_fails_with_an_error_refuses() -> None:
    schema = _with_rule({"type": "object", "properties": {"a": _INTEGER}}, "self.a > 1")
    assert _problems(schema, {}) == ["spec: 'a' evaluating rule: broken"]


def test_rules_do_not_run_on_what_is_blocked() -> None:
    schema = {"type": "object", "properties": {"a": _INTEGER, "b": _with_rule(_INTEGER, "false")}}
    assert _problems(schema, {"a": "x", "b": 1}) == ["spec.a: must be integer, is string"]
    # A pattern, unlike a type, does not block them.
    schema["properties"] = {
        "a": {"type": "string", "pattern": "^a$"},
        "b": _with_rule(_INTEGER, "false"),
    }
    assert len(_problems(schema, {"a": "x", "b": 1})) == 2


@pytest.mark.parametrize(
    "rule",
    [
        "self.?a.orValue(1) == 1",
        "self.all(i, v, v > 0)",
        "cel.bind(x, self, x == 1)",
        "quantity(self).isGreaterThan(quantity('1'))",
        "isURL(self)",
        "self ===",
    ],
)
def test_what_the_evaluator_lacks_stops_the_reading(rule: str) -> None:
    with pytest.raises(cel_rules.UnsupportedRuleError):
        _problems(_with_rule({"type": "object"}, rule), {})


def test_a_message_that_the_evaluator_lacks_stops_the_reading() -> None:
    with pytest.raises(cel_rules.UnsupportedRuleError):
        _problems(_with_rule(_INTEGER, "true", messageExpression="url(self)"), 1)


def test_an_unknown_name_is_a_defect_of_the_rule() -> None:
    with pytest.raises(cel_rules.UnsupportedRuleError, match="Undefined variable"):
        _problems(_with_rule(_INTEGER, "spec == 1"), 1)


def test_transition_rules_run_on_updates_only() -> None:
    schema = {"type": "object", "properties": {"a": _with_rule(_STRING, "self == oldSelf")}}
    assert _problems(schema, {"a": "x"}) == []
    assert _problems(schema, {"a": "x"}, old={"a": "x"}) == []
    assert _problems(schema, {"a": "y"}, old={"a": "x"}) == ["spec.a: broken"]
    # Without a value before there is nothing to compare with.
    assert _problems(schema, {"a": "y"}, old={}) == []


def test_optional_old_values() -> None:
    rule = "oldSelf.hasValue() ? self >= oldSelf.value() : self == 1"
    schema = {
        "type": "object",
        "properties": {"a": _with_rule(_INTEGER, rule, optionalOldSelf=True)},
    }
    assert _problems(schema, {"a": 1}) == []
    assert _problems(schema, {"a": 2}) == ["spec.a: broken"]
    assert _problems(schema, {"a": 3}, old={"a": 2}) == []
    assert _problems(schema, {"a": 1}, old={"a": 2}) == ["spec.a: broken"]
    assert _problems(schema, {"a": 2}, old={}) == ["spec.a: broken"]


def test_only_keyed_lists_have_old_items() -> None:
    item = _with_rule(
        {"type": "object", "properties": {"name": _STRING, "n": _INTEGER}}, "self.n >= oldSelf.n"
    )
    atomic = {"type": "array", "items": item}
    keyed = {**atomic, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
    old = [{"name": "a", "n": 1}, {"name": "b", "n": 5}]
    new = [{"name": "b", "n": 4}, {"name": "a", "n": 1}]
    assert _problems(atomic, new, old=old) == []
    assert _problems(keyed, new, old=old) == ["spec[0]: broken"]


def test_rules_under_all_of_run() -> None:
    schema = {**_INTEGER, "allOf": [_with_rule({}, "self != 3")]}
    assert _problems(schema, 2) == []
    assert _problems(schema, 3) == ["spec: broken"]


def test_a_rule_on_null_does_not_run() -> None:
    nullable = _with_rule({"type": "string", "nullable": True}, "self == 'x'")
    schema = {"type": "object", "properties": {"a": nullable}}
    assert _problems(schema, {"a": None}) == []
    assert _problems(schema, {"a": "y"}) == ["spec.a: broken"]


def test_keyed_lists_may_be_reordered_and_lists_may_not() -> None:
    item = {"type": "object", "properties": {"name": _STRING, "n": _INTEGER}}
    atomic = {"type": "array", "items": item}
    keyed = {**atomic, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
    old = [{"name": "a", "n": 1}, {"name": "b", "n": 2}]
    new = [old[1], old[0]]
    assert _problems(_with_rule(keyed, "false"), new, old=old) == []
    assert _problems(_with_rule(atomic, "false"), new, old=old) == ["spec: broken"]
    other = [old[0], {"name": "c"}]
    assert _problems(_with_rule(keyed, "false"), other, old=old) == ["spec: broken"]


def test_an_undeclared_field_makes_every_update_a_change() -> None:
    schema = {
        "type": "object",
        "properties": {"a": _INTEGER},
        "x-kubernetes-preserve-unknown-fields": True,
    }
    value = {"a": 1, "more": 2}
    assert _problems(_with_rule(schema, "false"), {"a": 1}, old={"a": 1}) == []
    assert _problems(_with_rule(schema, "false"), value, old=value) == ["spec: broken"]


def test_duplicates_are_let_be_where_there_were_some() -> None:
    schema = {"type": "array", "x-kubernetes-list-type": "set", "items": _INTEGER}
    assert len(_problems(schema, [1, 1])) == 1
    assert len(_problems(schema, [1, 1], old=[1])) == 1
    assert _problems(schema, [1, 1, 1], old=[1, 1]) == []


def test_a_stored_text_that_is_malformed_stays_text() -> None:
    when = _with_rule({"type": "string", "format": "date-time"}, "self == oldSelf")
    schema = {"type": "object", "properties": {"when": when, "n": _INTEGER}}
    assert _problems(schema, {"when": "x", "n": 1}, old={"when": "x"}) == []


def test_what_an_update_leaves_alone_is_not_held_against_it() -> None:
    part = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 3}}}
    schema = {
        "type": "object",
        "properties": {"part": _with_rule(part, "self.n != 9"), "other": _INTEGER},
    }
    wrong = {"part": {"n": 9}}
    refused = ["spec.part.n: must respect maximum 3, is 9", "spec.part: broken"]
    assert _problems(schema, wrong) == refused
    assert _problems(schema, {**wrong, "other": 1}, old=wrong) == []
    assert _problems(schema, wrong, old={"part": {"n": 8}}) == refused


def test_a_rule_on_the_parent_is_held_against_every_change_below() -> None:
    schema = {"type": "object", "properties": {"a": _INTEGER, "b": _INTEGER}}
    ruled = _with_rule(schema, "self.a < 5")
    assert _problems(ruled, {"a": 9}, old={"a": 9}) == []
    assert _problems(ruled, {"a": 9, "b": 1}, old={"a": 9}) == ["spec: broken"]


def test_a_rule_on_the_object_is_held_against_every_write() -> None:
    schema = _with_rule(_schema({"type": "object", "properties": {"a": _INTEGER}}), "false")
    obj = _resource({"a": 1})
    assert schemas.validate_custom(schema, obj, old=obj) == ["<object>: broken"]


def test_validate_update_lets_a_stored_mistake_be() -> None:
    obj: Schema = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "m"},
        "spec": {"hostnames": ["bad host"]},
    }
    assert any("pattern" in problem for problem in schemas.validate(obj))
    labelled = {**obj, "metadata": {"name": "m", "labels": {"a": "b"}}}
    # The stored route is wrong, and the update only labels it.
    assert schemas.validate_update(obj, labelled) == []
