"""CEL rules of our own schemas: what they see, and that none is passed over."""

import typing

import pytest

from tests import schemas
from tests.schemas import rules

Schema: typing.TypeAlias = dict[str, typing.Any]
_INTEGER: Schema = {"type": "integer"}
_STRING: Schema = {"type": "string"}


def _ruled(schema: Schema, rule: str, **extra: object) -> Schema:
    return {**schema, "x-kubernetes-validations": [{"rule": rule, "message": "broken", **extra}]}


def _problems(spec: Schema, value: object, **root: object) -> list[str]:
    schema = {"type": "object", "properties": {"spec": spec}, **root}
    obj = {"apiVersion": "a.io/v1", "kind": "A", "metadata": {"name": "m"}, "spec": value}
    return schemas.validate_custom(schema, obj)


@pytest.mark.parametrize(
    ("schema", "rule", "good", "bad"),
    [
        (_INTEGER, "self > 1", 2, 1),
        ({"type": "number"}, "self * 2.0 > 1.0", 1, 0),
        (_STRING, "size(self) <= 2", "éé", "ééé"),
        (_STRING, "self.size() <= 2", "éé", "ééé"),
        (_STRING, r"self.matches('^\\d+$')", "12", "٣"),
        (_STRING, "self.matches(r'size(\\d)')", "size1", "sizex"),
        (_STRING, "self != 'size(x)'", "x", "size(x)"),
        (_STRING, "self.split(',').all(x, x.lowerAscii() == x)", "a,b", "a,B"),
        (
            {"type": "object", "additionalProperties": _INTEGER},
            "self.all(key, self[key] > 0)",
            {"in": 1},
            {"in": 0},
        ),
        (
            {"type": "object", "properties": {"namespace": _STRING}},
            "self.__namespace__ == 'x'",
            {"namespace": "x"},
            {"namespace": "y"},
        ),
    ],
)
def test_rules_decide(schema: Schema, rule: str, good: object, bad: object) -> None:
    assert _problems(_ruled(schema, rule), good) == []
    assert _problems(_ruled(schema, rule), bad) == ["spec: broken"]


def test_rules_run_at_every_depth_and_say_where() -> None:
    item = _ruled(_INTEGER, "self != 3")
    properties = {
        "list": {"type": "array", "items": item},
        "map": {"type": "object", "additionalProperties": item},
    }
    value = {"list": [1, 3], "map": {"x": 3, "y": 1}}
    assert _problems({"type": "object", "properties": properties}, value) == [
        "spec.list[1]: broken",
        "spec.map.x: broken",
    ]


def test_of_metadata_only_the_name_is_seen_and_undeclared_fields_are_not() -> None:
    open_ = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    root = _ruled({}, "self.metadata.name == 'm' && !has(self.metadata.labels)")
    assert _problems(open_, {}, **root) == []
    declared = _ruled({**open_, "properties": {"a": _INTEGER}}, "has(self.a) && !has(self.b)")
    assert _problems(declared, {"a": 1, "b": 2}) == []


def test_a_rule_that_fails_with_an_error_refuses() -> None:
    schema = _ruled({"type": "object", "properties": {"a": _INTEGER}}, "self.a > 1")
    assert _problems(schema, {}) == ["spec: broken"]


def test_rules_about_changes_do_not_run_on_a_new_object() -> None:
    assert _problems(_ruled(_INTEGER, "self == oldSelf"), 1) == []
    rule = "oldSelf.hasValue() || self == 1"
    assert _problems(_ruled(_INTEGER, rule, optionalOldSelf=True), 1) == []
    assert _problems(_ruled(_INTEGER, rule, optionalOldSelf=True), 2) == ["spec: broken"]


@pytest.mark.parametrize(
    "rule", ["quantity(self).isGreaterThan(quantity('1'))", "self.isSorted()", "self ==="]
)
def test_what_the_evaluator_lacks_stops_the_reading(rule: str) -> None:
    with pytest.raises(ValueError, match=rules.UnsupportedRuleError.__name__):
        _problems(_ruled({"type": "object"}, rule), {})
