"""The CEL rules of our own schemas, as a keyword of JSON Schema.

The evaluator is the wheel `common-expression-language` (Rust `cel`), with two functions replaced
because they differ from cel-go: it counts the bytes of a string where CEL counts code points, and
its regular expressions are not RE2. Rules run as they do when an object is created. Updates, costs
and the words of upstream's rules are asked of Kubernetes, in `e2e/test_validation.py`.
"""

import datetime
import functools
import json
import re
import typing
from collections import abc

import cel
import cel.stdlib
import re2

from function import duration

Schema: typing.TypeAlias = dict[str, typing.Any]

# String literals come first, so that a function name inside one is left alone.
_QUOTED = r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\""""
_RAW = r"""\b[rR](?:'[^']*'|"[^"]*")"""
_TOKEN = re.compile(rf"{_RAW}|{_QUOTED}|\b(?:size|matches)(?=\s*\()")
_REPLACED = {"size": "exact_size", "matches": "re2_matches"}


@functools.cache
def pattern(source: str) -> typing.Any:
    """Compile a regular expression as Go does."""
    compile_: typing.Any = re2.compile
    return compile_(source)


def _matches(text: str, source: str) -> bool:
    return pattern(source).search(text) is not None


def _duration(text: str) -> datetime.timedelta:
    """Read a duration as Go does: one that its 64 bits of nanoseconds cannot hold is an error."""
    milliseconds = duration.milliseconds(text)
    if milliseconds >= 2**63 // 1_000_000:
        message = f"invalid duration {text}"
        raise ValueError(message)
    return datetime.timedelta(milliseconds=milliseconds)


_FUNCTIONS: dict[str, abc.Callable[..., typing.Any]] = {
    "duration": _duration,
    "exact_size": len,
    "re2_matches": _matches,
    "lowerAscii": cel.stdlib.lower_ascii,
    "replace": cel.stdlib.replace,
    "split": cel.stdlib.split,
    "sum": cel.stdlib.sum_,
}
# Those that the evaluator has itself. Operators are no identifiers.
_NATIVE = frozenset(("contains", "double", "hasValue", "startsWith", "string", "value"))


class UnsupportedRuleError(ValueError):
    """A rule uses something that the evaluator lacks, so its verdict cannot be known."""


@functools.cache
def _program(source: str) -> cel.Program:
    """Compile an expression.

    Raises:
        UnsupportedRuleError: it does not parse, or calls a function that is not known here.
    """
    try:
        compiled = cel.compile(_TOKEN.sub(lambda token: _REPLACED.get(token[0], token[0]), source))
    except ValueError as error:
        message = f"CEL does not parse: {source}: {error}"
        raise UnsupportedRuleError(message) from error
    unknown = {name for name in compiled.functions() if name.isidentifier()}
    unknown -= _NATIVE | set(_FUNCTIONS)
    if unknown:
        message = f"CEL functions that are not implemented: {sorted(unknown)} in {source}"
        raise UnsupportedRuleError(message)
    return compiled


class Keyword:
    """`x-kubernetes-validations`, with the interface that `jsonschema-rs` wants of a keyword."""

    def __init__(self, parent: Schema, value: list[Schema], path: object) -> None:
        del path
        self._schema = parent
        # One about a change alone is not asked: there is no earlier object.
        self._rules = [
            (program, rule)
            for rule in value
            if "oldSelf" not in (program := _program(rule["rule"])).variables()
            or rule.get("optionalOldSelf")
        ]
        # Objects that differ in one field are alike in most of their parts.
        self._broken = functools.lru_cache(maxsize=256)(self._judged)

    def validate(self, instance: typing.Any) -> None:
        """Raise the first broken rule."""
        for error in self.iter_errors(instance):
            raise error

    def iter_errors(self, instance: typing.Any) -> abc.Iterator[ValueError]:
        """Yield the message of each broken rule."""
        for message in self._broken(json.dumps(instance)):
            yield ValueError(message)

    def _judged(self, text: str) -> list[str]:
        # Made once for all rules: it is most of what a rule costs. Without an earlier object
        # `oldSelf` is nothing.
        view = _view(self._schema, json.loads(text))
        given = cel.Context({"self": view, "oldSelf": cel.OptionalValue.none()}, _FUNCTIONS)
        return [rule["message"] for program, rule in self._rules if not _holds(program, given)]


def _holds(program: cel.Program, given: cel.Context) -> bool:
    """Whether a rule holds; one that fails with an error does not, as in the API server."""
    try:
        return program.execute(given) is True
    except Exception:  # the wheel raises KeyError, TypeError, RuntimeError and others
        return False


def _view(schema: Schema, value: typing.Any) -> typing.Any:
    """Return a value as CEL sees it: declared fields, escaped names, doubles."""
    if isinstance(value, abc.Mapping):
        return _object_view(schema, value)
    if isinstance(value, list):
        return [_view(schema.get("items", {}), item) for item in value]
    if schema.get("type") == ["number"] and isinstance(value, int):
        return float(value)
    return value


def _object_view(schema: Schema, value: abc.Mapping[str, typing.Any]) -> dict[str, typing.Any]:
    properties = schema.get("properties", {})
    additional = schema.get("additionalProperties")
    if not properties and isinstance(additional, abc.Mapping):
        return {key: _view(dict(additional), item) for key, item in value.items()}
    out = {
        "__namespace__" if key == "namespace" else key: _view(properties[key], item)
        for key, item in value.items()
        if key in properties
    }
    if schema.get("x-root"):
        out["metadata"] = {"name": value.get("metadata", {}).get("name", "")}
    return out
