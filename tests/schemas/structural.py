"""Structural schemas of CustomResourceDefinitions, as the API server applies them.

Follows apiextensions-apiserver 1.36 (`pkg/apiserver/schema/{pruning,defaulting,listtype}`) and its
validator, kube-openapi `pkg/validation/validate`. A schema is compiled once into a tree of `Node`;
`Node.admit` reports unknown fields and applies defaults, `Node.check` validates values.
"""

import copy
import dataclasses
import json
import math
import typing
from collections import abc

from tests.schemas import finding, formats

Document: typing.TypeAlias = abc.Mapping[str, typing.Any]
Findings: typing.TypeAlias = list[finding.Finding]
Check: typing.TypeAlias = abc.Callable[[typing.Any], str | None]

ABSENT: typing.Final = object()
_TYPE_META = ("apiVersion", "kind")
_INTEGER_RANGE = {"int32": 2**31, "int64": 2**63}
# Keywords that carry no constraint, and those that are read here. Any other one stops the reading:
# a keyword that is not understood must not pass for one that holds.
_SILENT = frozenset(("description", "title", "example", "externalDocs", "x-kubernetes-map-type"))
_READ = frozenset(
    (
        "type",
        "nullable",
        "default",
        "enum",
        "format",
        "pattern",
        "minLength",
        "maxLength",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minItems",
        "maxItems",
        "uniqueItems",
        "minProperties",
        "maxProperties",
        "required",
        "properties",
        "additionalProperties",
        "items",
        "allOf",
        "anyOf",
        "oneOf",
        "not",
        "x-kubernetes-validations",
        "x-kubernetes-int-or-string",
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-preserve-unknown-fields",
    )
)


def unchanged(new: object, old: object) -> bool:
    """Whether two JSON values are the same, 1 and 1.0 and true being different."""
    return new == old and json.dumps(new, sort_keys=True) == json.dumps(old, sort_keys=True)


def _is_integer(value: object) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (isinstance(value, float) and value.is_integer())


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


_TYPES: dict[str, abc.Callable[[object], bool]] = {
    "object": lambda value: isinstance(value, abc.Mapping),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": _is_integer,
    "number": _is_number,
}


def type_name(value: object) -> str:
    """Return the JSON type of a value."""
    if value is None:
        return "null"
    return next((name for name, check in _TYPES.items() if check(value)), type(value).__name__)


@dataclasses.dataclass(slots=True)
class Node:
    """One compiled schema node.

    Attributes:
        types: accepted JSON types; empty accepts any.
        additional: schema of undeclared keys, as in a map.
        is_open: undeclared keys are kept (`x-kubernetes-preserve-unknown-fields`).
        scalars: checks on the value itself, which return what is wrong.
        blocking: like `scalars`; these stop CEL rules from running.
        root: the node of a whole resource.
        rules: `x-kubernetes-validations`, run by `tests.schemas.cel_rules`.
    """

    types: tuple[str, ...] = ()
    nullable: bool = False
    default: typing.Any = ABSENT
    format: str = ""
    properties: dict[str, "Node"] = dataclasses.field(default_factory=dict)
    additional: "Node | None" = None
    is_open: bool = False
    items: "Node | None" = None
    required: tuple[str, ...] = ()
    enum: list[typing.Any] | None = None
    scalars: tuple[Check, ...] = ()
    blocking: tuple[Check, ...] = ()
    list_type: str = ""
    list_keys: tuple[str, ...] = ()
    all_of: tuple["Node", ...] = ()
    any_of: tuple["Node", ...] = ()
    one_of: tuple["Node", ...] = ()
    negated: "Node | None" = None
    root: bool = False
    rules: tuple[Document, ...] = ()

    def admit(self, value: typing.Any, path: str, unknown: Findings) -> typing.Any:
        """Return a copy of `value` with defaults filled in, as it is before validation.

        Unknown fields are reported and dropped, nulls that are not allowed give way to the default
        or are dropped, and integral floats become integers where the schema wants integers.
        """
        if isinstance(value, abc.Mapping):
            return self._admit_object(value, path, unknown)
        if isinstance(value, list):
            return self._admit_list(value, path, unknown)
        if isinstance(value, float) and value.is_integer() and "number" not in self.types:
            return int(value)
        return value

    def _admit_object(self, value: Document, path: str, unknown: Findings) -> dict[str, typing.Any]:
        admitted: dict[str, typing.Any] = {}
        for key, item in value.items():
            node = self.properties.get(key) or self.additional
            if self.root and key in (*_TYPE_META, "metadata"):
                admitted[key] = copy.deepcopy(item)
            elif node is None:
                if self.is_open:
                    admitted[key] = copy.deepcopy(item)
                else:
                    unknown.append(finding.Finding(finding.child(path, key), "unknown field"))
            elif item is not None or node.nullable:
                admitted[key] = node.admit(item, finding.child(path, key), unknown)
            elif key not in self.properties and node.default is not ABSENT:
                admitted[key] = node.admit(node.default, path, unknown)
        for key, node in self.properties.items():
            if node.default is not ABSENT and key not in admitted:
                admitted[key] = node.admit(node.default, finding.child(path, key), unknown)
        return admitted

    def _admit_list(
        self, value: list[typing.Any], path: str, unknown: Findings
    ) -> list[typing.Any]:
        node = self.items
        if node is None:
            return copy.deepcopy(value)
        if not node.nullable and node.default is not ABSENT:
            value = [node.default if item is None else item for item in value]
        return [node.admit(item, f"{path}[{i}]", unknown) for i, item in enumerate(value)]

    def check(self, value: typing.Any, path: str, out: Findings, old: typing.Any = ABSENT) -> None:
        """Append what is wrong with an admitted value.

        Args:
            value: the value.
            path: where it is.
            out: takes the findings.
            old: the value before an update, where the schema lets the two be correlated. Errors
                of a part that did not change are dropped then (`CRDValidationRatcheting`).
        """
        if self.types and not self._type_fits(value):
            wanted = " or ".join(self.types)
            message = f"must be {wanted}, is {type_name(value)}"
            out.append(finding.Finding(path, message, blocking=True))
            return
        if self.enum is not None and not any(unchanged(value, item) for item in self.enum):
            message = f"must be one of {self.enum}, is {value!r}"
            out.append(finding.Finding(path, message, blocking=True))
        if value is None:
            return
        self._check_value(value, path, out)
        if isinstance(value, abc.Mapping):
            self._check_object(value, path, out, old)
        elif isinstance(value, list):
            self._check_list(value, path, out, old)
        if self.all_of or self.any_of or self.one_of or self.negated:
            self._check_branches(value, path, out)

    def check_part(self, value: typing.Any, path: str, out: Findings, old: typing.Any) -> None:
        """Like `check`, and drop the findings when an update leaves the value as it was."""
        before = len(out)
        self.check(value, path, out, old)
        if len(out) > before and old is not ABSENT and self.same(value, old):
            del out[before:]

    def same(self, new: typing.Any, old: typing.Any) -> bool:
        """Whether an update leaves a value as it was, as far as the server can tell.

        Source: `CorrelatedObject.CachedDeepEqual`, apiserver `pkg/cel/common`. Lists of type map
        are compared by key. An object with a field that the schema does not declare never counts
        as unchanged, nor does anything around it: a whole resource, whose metadata has such
        fields, is always changed.
        """
        if isinstance(new, abc.Mapping) and isinstance(old, abc.Mapping):
            return len(new) == len(old) and all(
                key in old and node is not None and node.same(item, old[key])
                for key, item in new.items()
                for node in (self.properties.get(key) or self.additional,)
            )
        if self.list_type == "map" and isinstance(new, list) and isinstance(old, list):
            before = self.correlate(old)
            keys = [self.key(item) for item in new]
            items = self.items or Node()
            return len(new) == len(old) and all(
                key in before and items.same(item, before[key])
                for key, item in zip(keys, new, strict=True)
            )
        return unchanged(new, old)

    def _type_fits(self, value: object) -> bool:
        if value is None:
            return self.nullable
        return any(_TYPES[name](value) for name in self.types)

    def _check_value(self, value: object, path: str, out: Findings) -> None:
        for check in self.blocking:
            message = check(value)
            if message is not None:
                out.append(finding.Finding(path, message, blocking=True))
        for check in self.scalars:
            message = check(value)
            if message is not None:
                out.append(finding.Finding(path, message))

    def _check_object(self, value: Document, path: str, out: Findings, old: typing.Any) -> None:
        for key in self.required:
            if key not in value:
                out.append(finding.Finding(finding.child(path, key), "required", blocking=True))
        before = old if isinstance(old, abc.Mapping) else {}
        for key, item in value.items():
            node = self.properties.get(key)
            where = finding.child(path, key)
            if node is None:
                if self.additional is None:
                    continue
                node = self.additional
                where = f"{path}[{key}]"
            # The server never correlates apiVersion and kind: both were converted to one version.
            fixed = self.root and key in _TYPE_META
            node.check_part(item, where, out, ABSENT if fixed else before.get(key, ABSENT))

    def _check_list(
        self, value: list[typing.Any], path: str, out: Findings, old: typing.Any
    ) -> None:
        if self.items is None:
            return
        correlated = self.correlate(old)
        for index, item in enumerate(value):
            before = correlated.get(self.key(item), ABSENT) if correlated else ABSENT
            self.items.check_part(item, f"{path}[{index}]", out, before)

    def correlate(self, old: typing.Any) -> dict[str, typing.Any]:
        """Return the items of an old list by key; only lists of type map can be correlated."""
        if self.list_type != "map" or not isinstance(old, list):
            return {}
        items: dict[str, typing.Any] = {}
        for item in old:
            if isinstance(item, abc.Mapping) and self._has_key(item):
                items.setdefault(self.key(item), item)
        return items

    def _has_key(self, item: Document) -> bool:
        return all(isinstance(item.get(name), str | int | float) for name in self.list_keys)

    def key(self, item: object) -> str:
        """Return the identity of a list item: its key fields, or the item itself in a set."""
        if self.list_type == "map" and isinstance(item, abc.Mapping):
            return json.dumps([self._key_field(item, name) for name in self.list_keys])
        return json.dumps(item, sort_keys=True)

    def _key_field(self, item: Document, name: str) -> typing.Any:
        if name in item:
            return item[name]
        node = self.items.properties.get(name) if self.items else None
        return None if node is None or node.default is ABSENT else node.default

    def duplicates(self, value: typing.Any, path: str, out: Findings) -> None:
        """Append the items that occur twice in lists of type set or map, at any depth."""
        if isinstance(value, abc.Mapping):
            for key, item in value.items():
                node = self.properties.get(key) or self.additional
                if node is not None:
                    node.duplicates(item, finding.child(path, key), out)
        elif isinstance(value, list) and self.items is not None:
            for index, item in enumerate(value):
                self.items.duplicates(item, f"{path}[{index}]", out)
            if self.list_type in ("set", "map"):
                self._check_unique(value, path, out)

    def _check_unique(self, value: list[typing.Any], path: str, out: Findings) -> None:
        seen: set[str] = set()
        for index, item in enumerate(value):
            key = self.key(item)
            if key in seen:
                message = f"duplicate in a list of type {self.list_type}: {key}"
                out.append(finding.Finding(f"{path}[{index}]", message))
            seen.add(key)

    def _check_branches(self, value: typing.Any, path: str, out: Findings) -> None:
        """Check allOf, anyOf, oneOf and not, which an update is never let off from."""
        for node in self.all_of:
            node.check(value, path, out)
        if self.any_of:
            failures = [node.failure(value, path) for node in self.any_of]
            if all(failures):
                out.append(finding.Finding(path, "must fit one schema of anyOf"))
                out.extend(_shortest(failures))
        if self.one_of:
            failures = [node.failure(value, path) for node in self.one_of]
            fitting = sum(not failure for failure in failures)
            if fitting != 1:
                message = f"must fit exactly one schema of oneOf, fits {fitting}"
                out.append(finding.Finding(path, message))
                out.extend(_shortest(failures))
        if self.negated is not None and not self.negated.failure(value, path):
            out.append(finding.Finding(path, "must not fit the schema of not"))

    def failure(self, value: typing.Any, path: str) -> Findings:
        """Return what is wrong with a value, as a list of its own."""
        out: Findings = []
        self.check(value, path, out)
        return out


def _shortest(failures: list[Findings]) -> Findings:
    """Return the findings of the branch that comes closest to fitting."""
    return min(failures, key=lambda failure: len(failure))


def build(schema: Document, *, root: bool = False) -> Node:
    """Compile an OpenAPI v3 schema of a CustomResourceDefinition.

    Args:
        schema: `openAPIV3Schema`, or a node of it.
        root: the schema is of a whole resource.

    Raises:
        ValueError: a keyword or a format that this module does not implement.
    """
    strange = set(schema) - _READ - _SILENT
    if strange:
        message = f"schema keywords that are not implemented: {sorted(strange)}"
        raise ValueError(message)
    additional = schema.get("additionalProperties")
    return Node(
        types=_types(schema),
        nullable=bool(schema.get("nullable")),
        default=schema["default"] if schema.get("default") is not None else ABSENT,
        format=str(schema.get("format", "")).replace("-", ""),
        properties={key: build(item) for key, item in schema.get("properties", {}).items()},
        additional=build(additional) if isinstance(additional, abc.Mapping) else None,
        is_open=bool(schema.get("x-kubernetes-preserve-unknown-fields")) or additional is True,
        items=build(schema["items"]) if "items" in schema else None,
        required=tuple(schema.get("required", ())),
        enum=schema.get("enum"),
        scalars=tuple(_scalars(schema)),
        blocking=tuple(_blocking(schema)),
        list_type=schema.get("x-kubernetes-list-type", ""),
        list_keys=tuple(schema.get("x-kubernetes-list-map-keys", ())),
        all_of=tuple(build(item) for item in schema.get("allOf", ())),
        any_of=tuple(build(item) for item in schema.get("anyOf", ())),
        one_of=tuple(build(item) for item in schema.get("oneOf", ())),
        negated=build(schema["not"]) if "not" in schema else None,
        root=root,
        rules=tuple(schema.get("x-kubernetes-validations", ())),
    )


def _types(schema: Document) -> tuple[str, ...]:
    if schema.get("x-kubernetes-int-or-string"):
        return ("integer", "string")
    return (schema["type"],) if schema.get("type") else ()


def _blocking(schema: Document) -> abc.Iterator[Check]:
    """Yield the checks whose breach stops CEL rules: upper limits of length, and formats."""
    if "maxLength" in schema:
        yield _limit(str, schema["maxLength"], "characters")
    if "maxItems" in schema:
        yield _limit(list, schema["maxItems"], "items")
    if "maxProperties" in schema:
        yield _limit(abc.Mapping, schema["maxProperties"], "properties")
    yield from _format(schema)


def _scalars(schema: Document) -> abc.Iterator[Check]:
    if "minLength" in schema:
        yield _floor(str, schema["minLength"], "characters")
    if "minItems" in schema:
        yield _floor(list, schema["minItems"], "items")
    if "minProperties" in schema:
        yield _floor(abc.Mapping, schema["minProperties"], "properties")
    if schema.get("pattern"):
        yield _pattern(schema["pattern"])
    if schema.get("uniqueItems"):
        yield _unique
    yield from _numbers(schema)


def _limit(kind: typing.Any, limit: int, unit: str) -> Check:
    def check(value: typing.Any) -> str | None:
        if isinstance(value, kind) and len(value) > limit:
            return f"has {len(value)} {unit}, at most {limit} are allowed"
        return None

    return check


def _floor(kind: typing.Any, floor: int, unit: str) -> Check:
    def check(value: typing.Any) -> str | None:
        if isinstance(value, kind) and len(value) < floor:
            return f"has {len(value)} {unit}, at least {floor} are needed"
        return None

    return check


def _pattern(source: str) -> Check:
    def check(value: typing.Any) -> str | None:
        if isinstance(value, str) and formats.pattern(source).search(value) is None:
            return f"must match the pattern {source}, is {value!r}"
        return None

    return check


def _unique(value: typing.Any) -> str | None:
    if isinstance(value, list):
        keys = [json.dumps(item, sort_keys=True) for item in value]
        if len(set(keys)) < len(keys):
            return "items must be unique"
    return None


def _format(schema: Document) -> abc.Iterator[Check]:
    """Yield the check of a string format; formats that the server ignores are ignored."""
    name = str(schema.get("format", "")).replace("-", "")
    if not name or schema.get("type", "string") != "string":
        return
    if name in formats.UNSUPPORTED:
        message = f"string format that is not implemented: {name}"
        raise ValueError(message)
    test = formats.CHECKS.get(name)
    if test is None:
        return

    def check(value: typing.Any) -> str | None:
        if isinstance(value, str) and not test(value):
            return f"must be of format {schema['format']}, is {value!r}"
        return None

    yield check


def _numbers(schema: Document) -> abc.Iterator[Check]:
    if schema.get("type") == "integer" and schema.get("format") in _INTEGER_RANGE:
        yield _integer_range(schema["format"])
    for keyword, exclusive, sign in (
        ("minimum", "exclusiveMinimum", -1),
        ("maximum", "exclusiveMaximum", 1),
    ):
        if keyword in schema:
            yield _bound(keyword, schema[keyword], bool(schema.get(exclusive)), sign)
    if "multipleOf" in schema:
        yield _multiple(schema["multipleOf"])


def _integer_range(name: str) -> Check:
    bound = _INTEGER_RANGE[name]

    def check(value: typing.Any) -> str | None:
        if _is_number(value) and not -bound <= value < bound:
            return f"must fit {name}, is {value}"
        return None

    return check


def _bound(keyword: str, bound: float, exclusive: bool, sign: int) -> Check:
    def check(value: typing.Any) -> str | None:
        beyond = (value - bound) * sign if _is_number(value) else -1
        if beyond > 0 or (exclusive and beyond == 0):
            return f"must respect {keyword} {bound}{' exclusively' * exclusive}, is {value}"
        return None

    return check


def _multiple(factor: float) -> Check:
    def check(value: typing.Any) -> str | None:
        if _is_number(value) and not (value / factor).is_integer():
            return f"must be a multiple of {factor}, is {value}"
        return None

    return check
