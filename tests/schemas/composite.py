"""The schema that Crossplane makes of a CompositeResourceDefinition.

Source: crossplane-runtime v2.3.3 and v2.4.0, `pkg/xcrd/{crd,schemas}.go`. Crossplane does not copy
the author's schema: of the object it takes the rules and `metadata.name.maxLength`, of `spec` and
`status` the properties, required fields, rules and oneOf. Anything else written at those places
(defaults, anyOf, minProperties, additional metadata) is dropped without a word.
"""

import copy
import typing
from collections import abc

Document: typing.TypeAlias = abc.Mapping[str, typing.Any]
Schema: typing.TypeAlias = dict[str, typing.Any]

# The name becomes a label value.
_NAME_LIMIT = 63
_SPEC_KEYWORDS = (
    "required",
    "oneOf",
    "x-kubernetes-validations",
    "x-kubernetes-preserve-unknown-fields",
)
_STATUS_KEYWORDS = ("required", "oneOf", "x-kubernetes-validations")
_STRING = {"type": "string"}
_NAMED = {"type": "object", "required": ["name"], "properties": {"name": _STRING}}
_LABELLED = {
    "type": "object",
    "required": ["matchLabels"],
    "properties": {"matchLabels": {"type": "object", "additionalProperties": _STRING}},
}
_CONDITION = {
    "type": "object",
    "required": ["lastTransitionTime", "reason", "status", "type"],
    "properties": {
        "lastTransitionTime": {"type": "string", "format": "date-time"},
        "message": _STRING,
        "reason": _STRING,
        "status": _STRING,
        "type": _STRING,
        "observedGeneration": {"type": "integer", "format": "int64"},
    },
}
_CONDITIONS = {
    "type": "array",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["type"],
    "items": _CONDITION,
}


def derive(definition: Document, author: Document) -> Schema:
    """Return the OpenAPI schema of the CustomResourceDefinition that Crossplane installs.

    Args:
        definition: the CompositeResourceDefinition.
        author: the schema that one of its versions has.

    Raises:
        ValueError: a scope other than Namespaced or Cluster.
    """
    scope = definition["spec"].get("scope", "Namespaced")
    if scope not in ("Namespaced", "Cluster"):
        message = f"scope {scope} is not implemented"
        raise ValueError(message)
    properties = author.get("properties", {})
    metadata = properties.get("metadata", {}).get("properties", {}).get("name", {})
    limit = min(metadata.get("maxLength", _NAME_LIMIT), _NAME_LIMIT)
    spec = _part(properties.get("spec", {}), _SPEC_KEYWORDS)
    spec["properties"]["crossplane"] = _machinery(definition, scope)
    status = _part(properties.get("status", {}), _STATUS_KEYWORDS)
    status["properties"]["conditions"] = _CONDITIONS
    schema: Schema = {
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": _STRING,
            "kind": _STRING,
            "metadata": {
                "type": "object",
                "properties": {"name": {"type": "string", "maxLength": limit}},
            },
            "spec": spec,
            "status": status,
        },
    }
    if "x-kubernetes-validations" in author:
        schema["x-kubernetes-validations"] = author["x-kubernetes-validations"]
    return copy.deepcopy(schema)


def definition(composite: Document) -> Schema:
    """Return the CustomResourceDefinition that Crossplane makes, as far as validation goes.

    Args:
        composite: the CompositeResourceDefinition, of scope Namespaced or Cluster.
    """
    spec = composite["spec"]
    versions = [
        {
            "name": version["name"],
            "served": version["served"],
            "storage": version["referenceable"],
            "schema": {"openAPIV3Schema": derive(composite, version["schema"]["openAPIV3Schema"])},
            "subresources": {"status": {}},
        }
        for version in spec["versions"]
    ]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": composite["metadata"]["name"]},
        "spec": {
            "group": spec["group"],
            "names": spec["names"],
            "scope": spec.get("scope", "Namespaced"),
            "versions": versions,
        },
    }


def _part(author: Document, keywords: abc.Sequence[str]) -> Schema:
    kept = {key: author[key] for key in keywords if key in author}
    return {"type": "object", **kept, "properties": dict(author.get("properties", {}))}


def _machinery(definition: Document, scope: str) -> Schema:
    """Return the schema of `spec.crossplane`."""
    # The default is the one that the API server fills into a CompositeResourceDefinition.
    policy: Schema = {
        "type": "string",
        "enum": ["Automatic", "Manual"],
        "default": definition["spec"].get("defaultCompositionUpdatePolicy", "Automatic"),
    }
    reference = {"apiVersion": _STRING, "kind": _STRING, "name": _STRING}
    if scope == "Cluster":
        reference["namespace"] = _STRING
    references = {
        "type": "array",
        "x-kubernetes-list-type": "atomic",
        "items": {"type": "object", "required": ["apiVersion", "kind"], "properties": reference},
    }
    return {
        "type": "object",
        "properties": {
            "compositionRef": _NAMED,
            "compositionSelector": _LABELLED,
            "compositionRevisionRef": _NAMED,
            "compositionRevisionSelector": _LABELLED,
            "compositionUpdatePolicy": policy,
            "resourceRefs": references,
        },
    }
