"""The models as structural schemas: the OpenAPI v3 subset that CustomResourceDefinitions take.

The API server wants every node typed and every bound on the node that it limits; a schema as
pydantic prints it (`$ref`, `anyOf` with null, `additionalProperties: false`) is refused. There is
no `default` in what is built here: the API server persists a default, and afterwards nobody can
tell it from a choice.

Source of the subset: kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/
custom-resource-definitions, "Specifying a structural schema".
"""

import dataclasses
import inspect
import types
import typing
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import annotated_types
import pydantic
from pydantic import fields

from function.api import base

Node = dict[str, Any]

_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_INT_OR_STRING = "x-kubernetes-int-or-string"
_RULES = "x-kubernetes-validations"


class UnsupportedError(TypeError):
    """An annotation has no structural schema."""


@dataclasses.dataclass
class Constraints:
    """What annotations say about one value beside its type.

    Attributes:
        minimum: Least value of a number.
        maximum: Greatest value of a number.
        shortest: Least length: characters, items or keys.
        longest: Greatest length.
        pattern: Regular expression that a string matches.
        rules: Rules of the value, in the order in which they were written.
    """

    minimum: int | None = None
    maximum: int | None = None
    shortest: int | None = None
    longest: int | None = None
    pattern: str | None = None
    rules: list[base.Rule] = dataclasses.field(default_factory=list)

    @classmethod
    def read(cls, metadata: Iterable[Any]) -> "Constraints":
        """Returns the constraints in the metadata of `Annotated`.

        Raises:
            UnsupportedError: The metadata holds something that would be lost in the schema.
        """
        constraints = cls()
        for entry in _flatten(metadata):
            match entry:
                case base.Rule():
                    constraints.rules.append(entry)
                case pydantic.StringConstraints():
                    constraints.shortest, constraints.longest = entry.min_length, entry.max_length
                    constraints.pattern = typing.cast("str | None", entry.pattern)
                case annotated_types.Ge(ge=bound):
                    constraints.minimum = typing.cast("int", bound)
                case annotated_types.Le(le=bound):
                    constraints.maximum = typing.cast("int", bound)
                case annotated_types.MinLen(min_length=bound):
                    constraints.shortest = bound
                case annotated_types.MaxLen(max_length=bound):
                    constraints.longest = bound
                case base.OneMessage() | base.Bounds() | base.NULLS_ABSENT | base.NULLS_DROPPED:
                    pass
                case _:
                    raise UnsupportedError(f"no schema for the constraint {entry!r}")
        return constraints

    def number(self) -> Node:
        """Returns the bounds of a number."""
        return _present(minimum=self.minimum, maximum=self.maximum)

    def string(self) -> Node:
        """Returns the bounds of a string."""
        return _present(
            minLength=self.shortest or None, maxLength=self.longest, pattern=self.pattern
        )

    def length(self, of: str) -> Node:
        """Returns the bounds of a list (`of` Items) or of a map (`of` Properties)."""
        return _present(**{f"min{of}": self.shortest or None, f"max{of}": self.longest})


def of_model(model: type[base.Model], *, without: Collection[str] = ()) -> Node:
    """Returns the schema of an object.

    Args:
        model: The object's model.
        without: Python names of fields that somebody else adds to the schema.
    """
    chosen = {n: f for n, f in model.model_fields.items() if n not in without}
    node: Node = _present(description=paragraph(model)) | {"type": "object"}
    required = [str(f.alias) for f in chosen.values() if f.is_required()]
    if required:
        node["required"] = required
    if model.model_config.get("extra") == "allow":
        node[_PRESERVE] = True
    if chosen:
        node["properties"] = {str(f.alias): of_field(f) for f in chosen.values()}
    return node | rules(model.RULES)


def of_field(field: fields.FieldInfo) -> Node:
    """Returns the schema of one field; its own description comes before its type's."""
    node = of_annotation(field.annotation, field.metadata)
    if base.nullable(field):
        node["nullable"] = True
    description = field.description or node.get("description")
    return _present(description=description) | node | _present(description=description)


def of_annotation(annotation: Any, metadata: Iterable[Any] = ()) -> Node:
    """Returns the schema of a type with the constraints around it.

    Raises:
        UnsupportedError: The type has no structural schema.
    """
    annotation, metadata = unwrap(annotation, metadata)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return _int_or_string(arguments, metadata)
    given = Constraints.read(metadata)
    node: Node
    if annotation is str:
        node = {"type": "string"} | given.string()
    elif annotation is bool:
        node = {"type": "boolean"}
    elif annotation is int:
        node = {"type": "integer", "format": "int64"} | given.number()
    elif origin is typing.Literal:
        node = _enumeration(arguments)
    elif origin is list:
        node = {"type": "array"} | given.length("Items") | {"items": of_annotation(arguments[0])}
    elif origin is dict:
        return _map(arguments, given)
    elif inspect.isclass(annotation) and issubclass(annotation, base.Model):
        node = of_model(annotation)
        return node | rules(given.rules, node.get(_RULES, ()))
    else:
        raise UnsupportedError(f"no schema for the type {annotation!r}")
    return node | rules(given.rules)


def unwrap(annotation: Any, metadata: Iterable[Any] = ()) -> tuple[Any, list[Any]]:
    """Returns the type inside `Annotated` and `Optional`, and all metadata, innermost first."""
    entries = list(metadata)
    while True:
        origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
        members = tuple(a for a in arguments if a is not types.NoneType)
        if origin is typing.Annotated:
            annotation, entries = arguments[0], [*arguments[1:], *entries]
        elif origin in (typing.Union, types.UnionType) and members != arguments:
            annotation = typing.Union[members]  # noqa: UP007 (the members are a run-time value)
        else:
            return annotation, entries


def rules(model_rules: Iterable[base.Rule], before: Iterable[Node] = ()) -> Node:
    """Returns the rules as the API server reads them, after those that a node already has."""
    entries = [*before]
    for rule in model_rules:
        if rule.function_only:
            continue
        entry: Node = {"rule": rule.cel, "message": rule.message}
        if rule.on_create:
            entry["optionalOldSelf"] = True
        if rule.at:
            entry["fieldPath"] = f".{rule.at}"
        entries.append(entry)
    return {_RULES: entries} if entries else {}


def paragraph(model: type[base.Model]) -> str:
    """Returns the first paragraph of a model's docstring in one line."""
    return " ".join(inspect.cleandoc(model.__doc__ or "").split("\n\n")[0].split())


def quote(text: str) -> str:
    """Returns a CEL string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _enumeration(values: tuple[Any, ...]) -> Node:
    if all(isinstance(value, str) for value in values):
        return {"type": "string", "enum": list(values)}
    return {"type": "integer", "format": "int64", "enum": list(values)}


def _int_or_string(members: tuple[Any, ...], metadata: Iterable[Any]) -> Node:
    """Returns a node that takes an integer or a string, as controller-gen writes a Quantity."""
    kinds = dict(unwrap(member) for member in members)
    if set(kinds) != {int, str}:
        raise UnsupportedError(f"no schema for the union of {members!r}")
    number, string = Constraints.read(kinds[int]), Constraints.read(kinds[str])
    outer = Constraints.read(metadata)
    return {
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        _INT_OR_STRING: True,
        **number.number(),
        **string.string(),
        **rules([*number.rules, *string.rules, *outer.rules]),
    }


def _map(arguments: tuple[Any, ...], given: Constraints) -> Node:
    """Returns a map; a schema has no place for constraints of keys, so they become a rule."""
    key, value = arguments
    node: Node = {"type": "object"} | given.length("Properties")
    if value is Any:
        return node | {_PRESERVE: True} | rules(given.rules)
    node["additionalProperties"] = of_annotation(value)
    keys = Constraints.read(unwrap(key)[1])
    return node | rules(given.rules, _key_rules(keys))


def _key_rules(keys: Constraints) -> list[Node]:
    tests = []
    if keys.shortest:
        tests.append(f"k.size() >= {keys.shortest}")
    if keys.longest is not None:
        tests.append(f"k.size() <= {keys.longest}")
    if keys.pattern is not None:
        tests.append(f"k.matches({quote(keys.pattern)})")
    if not tests:
        return []
    return [
        {
            "rule": f"self.all(k, {' && '.join(tests)})",
            "message": f"each key has at most {keys.longest} characters and matches {keys.pattern}",
        }
    ]


def _flatten(metadata: Iterable[Any]) -> Iterator[Any]:
    """Yields constraints; `pydantic.Field` inside `Annotated` carries its own list of them."""
    for entry in metadata:
        if isinstance(entry, fields.FieldInfo):
            yield from entry.metadata
        else:
            yield entry


def _present(**entries: Any) -> Node:
    return {name: value for name, value in entries.items() if value is not None}
