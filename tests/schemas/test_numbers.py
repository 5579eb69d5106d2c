"""Values that do not survive a protobuf Struct."""

import math

from tests import schemas


def test_finds_whole_floats_at_any_depth() -> None:
    obj = {"a": 1.0, "b": [{"c": 2.0}, 3], "d": {"e": 1.5, "f": True, "g": "1.0"}}
    assert schemas.floats(obj) == ["a", "b[0].c"]


def test_finds_floats_that_json_cannot_hold() -> None:
    assert schemas.floats({"a": math.inf, "b": [math.nan]}) == ["a", "b[0]"]


def test_finds_nulls_at_any_depth() -> None:
    obj = {"a": None, "b": [None, {"c": None}], "d": {"e": 0, "f": "", "g": [], "h": False}}
    assert schemas.nulls(obj) == ["a", "b[0]", "b[1].c"]
