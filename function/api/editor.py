"""The claim's schema for editors: JSON Schema draft 7, as yaml-language-server reads it.

It says what the API server's structural schema says, in the words of JSON Schema: an unknown field
is an error, and a null is an omission. Rules in CEL have no place in it; `render` checks them.
"""

import json
from typing import Any

from function.api import claim, schema

DRAFT = "http://json-schema.org/draft-07/schema#"

_INT_OR_STRING = "x-kubernetes-int-or-string"
_PRESERVE = "x-kubernetes-preserve-unknown-fields"
# Which bounds are about which type: draft 7 passes over those of another type, and editors do not.
_KEPT = (
    "description",
    "enum",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "pattern",
    "required",
)


def text(notice: str) -> str:
    """Returns the file; its first line says where it comes from, since JSON has no comments."""
    body = json.dumps(document(notice), indent=2, ensure_ascii=False)
    return "{" + body.removeprefix("{").lstrip() + "\n"


def document(notice: str) -> schema.Node:
    """Returns the schema of a claim in a file."""
    spec = schema.of_model(claim.Spec, without=("crossplane",))
    properties = {
        "apiVersion": {"const": f"{claim.GROUP}/{claim.VERSION}"},
        "kind": {"const": claim.KIND},
        "metadata": _metadata(),
        "spec": _node(spec, optional=False),
        "status": {"type": "object", "description": "Written by the function."},
    }
    properties["spec"]["properties"]["crossplane"] = {
        "type": "object",
        "description": "Written by Crossplane; which revision of the Composition is used.",
    }
    return {
        "$comment": notice,
        "$schema": DRAFT,
        "title": claim.KIND,
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "additionalProperties": False,
        "properties": properties,
    }


def _metadata() -> schema.Node:
    name = schema.of_field(claim.Metadata.model_fields["name"])
    return {
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": _node(name, optional=False),
            "namespace": {"type": "string"},
        },
    }


def _node(node: schema.Node, *, optional: bool) -> schema.Node:
    """Returns a node of a structural schema as JSON Schema; an optional one may be null."""
    made: dict[str, Any] = {key: node[key] for key in _KEPT if key in node}
    types = ["integer", "string"] if node.get(_INT_OR_STRING) else [node["type"]]
    if optional or node.get("nullable"):
        types.append("null")
        if "enum" in made:
            made["enum"] = [*made["enum"], None]
    made["type"] = types if len(types) > 1 else types[0]
    required = node.get("required", [])
    if "properties" in node:
        made["properties"] = {
            name: _node(field, optional=name not in required)
            for name, field in node["properties"].items()
        }
        made["additionalProperties"] = bool(node.get(_PRESERVE))
    elif "additionalProperties" in node:
        made["additionalProperties"] = _node(node["additionalProperties"], optional=True)
    if "items" in node:
        made["items"] = _node(node["items"], optional=False)
    return made
