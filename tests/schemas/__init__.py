"""Checks of the structure of an object by the upstream schemas, without Kubernetes.

`validate` takes one object and returns the reasons for a refusal, each with its path; an empty list
means that its structure is right. Upstream schemas come from `tests.crds`.
`e2e/test_validation.py` asks Kubernetes for the checks that it has in code, and for the rules of
upstream's schemas.
"""

import functools
import json
import typing
from collections import abc

from tests.schemas import composite, numbers, restricted, structural, upstream

Object: typing.TypeAlias = abc.Mapping[str, typing.Any]
floats = numbers.floats
nulls = numbers.nulls
pod_security = restricted.pod_security


class Schema:
    """A compiled schema of our own, CEL rules included."""

    def __init__(self, schema: Object) -> None:
        self._validator = structural.Validator(
            structural.to_json_schema(schema, root=True, cel=True)
        )

    @classmethod
    def from_crd(cls, document: Object, version: str) -> "Schema":
        """Compile a served version of a CustomResourceDefinition.

        A CompositeResourceDefinition is valid input too: its schema is then the one of the
        CustomResourceDefinition that Crossplane makes of it.

        Raises:
            LookupError: the version does not exist or is not served.
        """
        schema = upstream.served(document, version)
        if document["kind"] == "CompositeResourceDefinition":
            schema = composite.derive(document, schema)
        return cls(schema)

    def validate(self, obj: Object) -> list[str]:
        """Return why the object would not be created."""
        return [*_metadata(obj), *self._validator.problems(obj)]


def validate(obj: Object) -> list[str]:
    """Return what is wrong with the structure of an object.

    A kind that has no schema here, or a version that is not served, is a reason too.
    """
    api_version, kind = obj.get("apiVersion"), obj.get("kind")
    if not isinstance(api_version, str) or not isinstance(kind, str):
        return ["<object>: apiVersion and kind must be text"]
    try:
        validator = upstream.validator(api_version, kind)
    except LookupError as error:
        return [f"apiVersion: {error}"]
    return [*_metadata(obj), *validator.problems(obj)]


def validate_custom(openapi_v3_schema: Object, obj: Object) -> list[str]:
    """Return why an object breaks a given `openAPIV3Schema`, CEL rules included.

    For the schema that Crossplane makes of a CompositeResourceDefinition use `Schema.from_crd`.
    """
    return _schema(json.dumps(openapi_v3_schema)).validate(obj)


@functools.lru_cache(maxsize=32)
def _schema(text: str) -> Schema:
    return Schema(json.loads(text))


def _metadata(obj: Object) -> list[str]:
    metadata = obj.get("metadata")
    if not isinstance(metadata, abc.Mapping):
        return ["metadata: must be an object"]
    return [f"metadata.{text}" for text in upstream.metadata().problems(metadata)]
