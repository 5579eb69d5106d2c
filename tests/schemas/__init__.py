"""What a Kubernetes API server would refuse: the oracle for every object that is composed.

`validate` takes one object, finds its schema by apiVersion and kind, and returns the reasons
for a refusal, each with its path; an empty list means that the object is accepted. Upstream schemas
come from `tests.crds`. Findings are those of Kubernetes 1.36; `finding.Finding` has the form.
"""

import json
import typing
from collections import abc

from tests.schemas import builtins, custom, finding, numbers, restricted

Object: typing.TypeAlias = abc.Mapping[str, typing.Any]
Schema = custom.Schema
floats = numbers.floats
nulls = numbers.nulls
pod_security = restricted.pod_security


def validate(obj: Object) -> list[str]:
    """Return why the API server would refuse to create an object; empty when it would not.

    A kind that has no schema here, or a version that is not served, is a reason too.
    """
    return _validate(obj, None)


def validate_update(old: Object, new: Object) -> list[str]:
    """Return why the API server would refuse to replace `old` by `new`.

    Transition rules (`oldSelf`) run, and what did not change is not held against the object.
    Of built-in kinds the immutable fields are compared, so both objects have to be as emitted:
    fields that the server filled in count as changed.
    """
    return _validate(new, old)


def validate_custom(
    openapi_v3_schema: Object, obj: Object, *, old: Object | None = None
) -> list[str]:
    """Return why an object breaks a given schema, CEL rules included.

    Args:
        openapi_v3_schema: `openAPIV3Schema` of a CustomResourceDefinition. For the schema that
            Crossplane makes of a CompositeResourceDefinition use `Schema.from_crd`.
        obj: the object, metadata included.
        old: the object that it replaces; None when it is created.
    """
    schema = custom.parsed(json.dumps(openapi_v3_schema))
    return finding.texts(schema.validate(obj, old))


def _validate(obj: Object, old: Object | None) -> list[str]:
    api_version, kind = obj.get("apiVersion"), obj.get("kind")
    if not isinstance(api_version, str) or not isinstance(kind, str):
        return ["<object>: apiVersion and kind must be text"]
    if builtins.knows(api_version, kind):
        return finding.texts(builtins.validate(obj, old))
    try:
        schema = custom.schema(api_version, kind)
    except LookupError as error:
        return [f"apiVersion: {error}"]
    if schema is None:
        return [f"kind: no schema for {api_version} {kind}"]
    return finding.texts(schema.validate(obj, old))
