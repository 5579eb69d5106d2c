"""Structural schemas of Kubernetes as JSON Schema, for the wheel `jsonschema-rs`.

The wheel checks everything that means the same in both. This module adds the differences between
JSON Schema and apiextensions-apiserver: unknown fields are refused, nulls are omissions, a default
satisfies `required`, `x-kubernetes-*` have a meaning. This module leaves out everything that
Kubernetes checks in code: `e2e/test_validation.py` asks Kubernetes itself.
"""

import base64
import binascii
import functools
import ipaddress
import json
import re
import typing
from collections import abc

import jsonschema_rs

from tests.schemas import rules

Document: typing.TypeAlias = abc.Mapping[str, typing.Any]
Schema: typing.TypeAlias = dict[str, typing.Any]

_REFERENCE = "#/components/schemas/"
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
_OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
# Keywords that mean the same in JSON Schema of draft 4.
_KEPT = frozenset(
    (
        "enum",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "format",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
        "multipleOf",
        "uniqueItems",
    )
)
_RANGES = {"int32": 2**31, "int64": 2**63}
# Kubernetes 1.36, apimachinery resource/quantity.go.
_QUANTITY_PATTERN = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?$"


def _is_cidr(text: str) -> bool:
    try:
        ipaddress.ip_interface(text)
    except ValueError:
        return False
    return "/" in text


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except binascii.Error:
        return False
    return True


_FORMATS: dict[str, abc.Callable[..., bool]] = {"byte": _is_base64, "cidr": _is_cidr}


class _Pattern:
    """`pattern`, in RE2 as everywhere in Kubernetes, under a name that the wheel does not know."""

    def __init__(self, parent: Schema, value: str, path: object) -> None:
        del parent, path
        self._source = value
        self._pattern = rules.pattern(value)

    def validate(self, instance: typing.Any) -> None:
        if isinstance(instance, str) and self._pattern.search(instance) is None:
            message = f"{instance!r} must match the pattern {self._source}"
            raise ValueError(message)


class _Keyed:
    """`x-kubernetes-list-type: map`: no two entries have the same keys, defaults included."""

    def __init__(self, parent: Schema, value: Schema, path: object) -> None:
        del parent, path
        self._keys: dict[str, typing.Any] = value

    def validate(self, instance: typing.Any) -> None:
        if not isinstance(instance, list):
            return
        met = set()
        for entry in instance:
            if not isinstance(entry, dict):
                continue
            key = json.dumps([entry.get(name, given) for name, given in self._keys.items()])
            if key in met:
                message = f"duplicate in a list of type map: {key}"
                raise ValueError(message)
            met.add(key)


def to_json_schema(schema: Document, *, root: bool = False, cel: bool = False) -> Schema:
    """Return the JSON Schema that accepts what the API server accepts.

    Args:
        schema: an OpenAPI v3 schema of a CustomResourceDefinition, or a node of it.
        root: the schema is of a whole resource.
        cel: whether rules are kept.
    """
    out = _value(schema)
    types = _types(schema)
    if types:
        out["type"] = types
    if schema.get("type") == "integer" and schema.get("format") in _RANGES:
        out.setdefault("minimum", -_RANGES[schema["format"]])
        out.setdefault("maximum", _RANGES[schema["format"]] - 1)
    below = functools.partial(to_json_schema, cel=cel)
    properties = {key: below(item) for key, item in schema.get("properties", {}).items()}
    if root:
        properties |= {"apiVersion": {"type": "string"}, "kind": {"type": "string"}}
        own = schema.get("properties", {}).get("metadata", {})
        properties["metadata"] = {"type": "object", **_value(own, deep=True)}
        out["required"] = sorted({*out.get("required", ()), "metadata"})
    if properties:
        out["properties"] = properties
    additional = schema.get("additionalProperties")
    if isinstance(additional, abc.Mapping):
        out["additionalProperties"] = below(additional)
    elif ("object" in types or properties) and not _is_open(schema):
        out |= {"properties": properties, "additionalProperties": False}
    if "items" in schema:
        out["items"] = below(schema["items"])
        _list_type(schema, schema["items"].get("properties", {}), out)
    if cel and "x-kubernetes-validations" in schema:
        out["x-kubernetes-validations"] = [*schema["x-kubernetes-validations"]]
        out["x-root"] = root
    return out


def _is_open(schema: Document) -> bool:
    preserves = schema.get("x-kubernetes-preserve-unknown-fields")
    return bool(preserves or schema.get("additionalProperties"))


def _value(schema: Document, *, deep: bool = False) -> Schema:
    """Return the constraints on values; `deep` goes on below, where no field is specified."""
    out = {key: item for key, item in schema.items() if key in _KEPT}
    if "pattern" in schema:
        out["x-pattern"] = schema["pattern"]
    fields = schema.get("properties", {})
    required = [
        name for name in schema.get("required", ()) if "default" not in fields.get(name, {})
    ]
    if required:
        out["required"] = required
    if deep and fields:
        out["properties"] = {key: _value(item, deep=True) for key, item in fields.items()}
    if deep and "items" in schema:
        out["items"] = _value(schema["items"], deep=True)
    for keyword in ("allOf", "anyOf", "oneOf"):
        if keyword in schema:
            out[keyword] = [_value(item, deep=True) for item in schema[keyword]]
    if "not" in schema:
        out["not"] = _value(schema["not"], deep=True)
    return out


def _types(schema: Document) -> list[str]:
    if schema.get("x-kubernetes-int-or-string"):
        types = ["integer", "string"]
    else:
        types = [schema["type"]] if schema.get("type") else []
    return [*types, "null"] if types and schema.get("nullable") else types


def _list_type(schema: Document, fields: Document, out: Schema) -> None:
    kind = schema.get("x-kubernetes-list-type")
    if kind == "set":
        out["uniqueItems"] = True
    elif kind == "map":
        keys = schema["x-kubernetes-list-map-keys"]
        out["x-kubernetes-list-type"] = {k: fields.get(k, {}).get("default") for k in keys}


def of_definition(document: Document, name: str) -> Schema:
    """Return the JSON Schema of a named definition of an OpenAPI document of a built-in group."""
    definitions = document["components"]["schemas"]
    out: dict[str, Schema] = {}
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current not in out:
            out[current] = _definition(current, definitions, waiting)
    return {"$ref": f"#/definitions/{name}", "definitions": out}


def _definition(name: str, definitions: Document, waiting: list[str]) -> Schema:
    if name == _QUANTITY:
        return {"type": ["string", "number"], "x-pattern": _QUANTITY_PATTERN}
    if name == _INT_OR_STRING:
        return {"type": ["integer", "string"], "minimum": -(2**31), "maximum": 2**31 - 1}
    return _builtin(definitions[name], definitions, waiting)


def _builtin(schema: Document, definitions: Document, waiting: list[str]) -> Schema:
    """Return the JSON Schema of a node; what it refers to is appended to `waiting`."""
    reference = schema.get("$ref") or next((item["$ref"] for item in schema.get("allOf", ())), None)
    if reference is not None:
        target = reference.removeprefix(_REFERENCE)
        waiting.append(target)
        return {"$ref": f"#/definitions/{target}"}
    below = functools.partial(_builtin, definitions=definitions, waiting=waiting)
    inner = ("properties", "items", "additionalProperties")
    leaf = {key: item for key, item in schema.items() if key not in inner}
    properties = {key: below(item) for key, item in schema.get("properties", {}).items()}
    out = to_json_schema(leaf)
    # An object without fields is one of any content: RawExtension, FieldsV1.
    out.pop("additionalProperties", None)
    if properties:
        out |= {"properties": properties, "additionalProperties": False}
    if "additionalProperties" in schema:
        out["additionalProperties"] = below(schema["additionalProperties"])
    if "items" in schema:
        out["items"] = below(schema["items"])
        target = schema["items"].get("$ref") or schema["items"].get("allOf", [{}])[0].get(
            "$ref", ""
        )
        fields = definitions.get(target.removeprefix(_REFERENCE), {}).get("properties", {})
        _list_type(schema, fields, out)
    return out


class Validator:
    """A compiled JSON Schema of one kind."""

    def __init__(self, schema: Schema) -> None:
        keywords: dict[str, typing.Any] = {
            "x-kubernetes-list-type": _Keyed,
            "x-pattern": _Pattern,
            "x-kubernetes-validations": rules.Keyword,
        }
        self._validator = jsonschema_rs.Draft4Validator(
            schema, formats=_FORMATS, validate_formats=True, keywords=keywords
        )

    def problems(self, obj: Document) -> list[str]:
        """Return why an object is refused, each reason with its path."""
        errors = self._validator.iter_errors(without_nulls(obj))
        return [text for error in errors for text in _texts(error)]


def _texts(error: jsonschema_rs.ValidationError) -> abc.Iterator[str]:
    """Yield what an error says; of a field that is missing or unknown, with the field's path."""
    kind, path = error.kind, [*error.instance_path]
    if isinstance(kind, jsonschema_rs.ValidationErrorKind.AdditionalProperties):
        yield from (f"{_path([*path, name])}: unknown field" for name in kind.unexpected)
    elif isinstance(kind, jsonschema_rs.ValidationErrorKind.Required):
        yield f"{_path([*path, kind.property])}: required"
    else:
        yield f"{_path(path) or '<object>'}: {error.message}"


def without_nulls(value: typing.Any) -> typing.Any:
    """Return a value without the nulls of its maps, which are omissions to the API server."""
    if isinstance(value, abc.Mapping):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [without_nulls(item) for item in value]
    return value


def _path(parts: abc.Iterable[str | int]) -> str:
    text = ""
    for part in parts:
        if isinstance(part, int):
            text += f"[{part}]"
        elif re.fullmatch(r"[A-Za-z_$][-\w]*", part):
            text += f".{part}" if text else part
        else:
            text += f"[{part}]"
    return text
