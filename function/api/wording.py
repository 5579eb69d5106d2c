"""What is wrong with a value, in words for an author: pydantic speaks of Python's types."""

import re
from typing import Any

import pydantic_core

from function import likeness

# What a text of a pattern is, in words.
FORMS: dict[str, str] = {}
_WORDS = {
    "bool_type": "must be true or false, without quotes",
    "dict_type": "must be an object",
    "extra_forbidden": "unknown field",
    "float_type": "must be a number, without quotes",
    "int_type": "must be a whole number, without quotes",
    "finite_number": "must be a number that is not without end",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be {ge} or more",
    "int_from_float": "must be a whole number",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be {le} or less",
    "list_type": "must be a list",
    "missing": "must be given: the field is required",
    "model_type": "must be an object",
    "string_pattern_mismatch": "must match {pattern}",
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "must have at least {min_length} characters",
    "string_type": "must be text: put it in quotes",
    "too_long": "must have at most {max_length} entries",
    "too_short": "must have at least {min_length} entries",
}
# More are not listed to an author: the nearest is.
_MOST_CHOICES = 64
# Of a value that is none of a field's, an author reads so many characters.
_LONGEST_VALUE = 40


def of(detail: pydantic_core.ErrorDetails) -> str:
    """Returns an error of pydantic in words for an author."""
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "literal_error":
        return _none_of(context["expected"], detail["input"])
    if kind == "string_pattern_mismatch" and context["pattern"] in FORMS:
        return f"must be {FORMS[context['pattern']]}"
    if kind == "string_too_short" and context["min_length"] == 1:
        return "must not be empty"
    words = _WORDS.get(kind)
    return detail["msg"] if words is None else words.format_map(context)


def _none_of(expected: str, value: Any) -> str:
    """Returns that a value is none of a field's, with the nearest of them.

    Args:
        expected: The field's, as pydantic lists them.
        value: What was written.
    """
    texts = "'" in expected
    choices = [choice.strip("'") for choice in re.split(", | or ", expected)]
    listed = ", ".join(choices)
    if isinstance(value, str) is not texts or not isinstance(value, str | int):
        quotes = ", in quotes" if texts else ", without quotes"
        return f"must be one of {listed}{quotes if isinstance(value, str | int) else ''}"
    shown = f"{value!r:.{_LONGEST_VALUE}}"
    if len(choices) == 1:
        return f"{shown} is not {listed}"
    if len(choices) > _MOST_CHOICES:
        listed = f"{len(choices)} names"
    near = likeness.nearest(str(value), choices) if texts else []
    hint = f"; the nearest is {near[0]}" if near else ""
    return f"{shown} is none of {listed}{hint}"
