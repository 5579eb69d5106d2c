"""Built-in kinds as `structural.Node`, from the OpenAPI v3 documents of Kubernetes 1.36.

The documents say which fields there are and of which type, and hardly more: enums, ranges and
everything else that Kubernetes checks in code is in `pods`, `containers`, `workloads`, `networks`
and `payloads`.
"""

import functools
import json
import typing

from tests import crds
from tests.schemas import formats, structural

_FILES = {
    "v1": "kubernetes/api__v1_openapi.json",
    "apps/v1": "kubernetes/apis__apps__v1_openapi.json",
    "batch/v1": "kubernetes/apis__batch__v1_openapi.json",
    "policy/v1": "kubernetes/apis__policy__v1_openapi.json",
    "networking.k8s.io/v1": "kubernetes/apis__networking.k8s.io__v1_openapi.json",
}
_PREFIX = "#/components/schemas/"
_OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_POD_SPEC = "io.k8s.api.core.v1.PodSpec"
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
# Written for people and for code generators; none constrains a value.
_DROPPED = frozenset(
    (
        "default",
        "x-kubernetes-group-version-kind",
        "x-kubernetes-patch-strategy",
        "x-kubernetes-patch-merge-key",
        "x-kubernetes-unions",
    )
)


def api_versions() -> frozenset[str]:
    """Return the apiVersions of the built-in kinds."""
    return frozenset(_FILES)


@functools.cache
def _definitions(api_version: str) -> dict[str, typing.Any]:
    path = crds.directory() / _FILES[api_version]
    found: dict[str, typing.Any] = json.loads(path.read_bytes())["components"]["schemas"]
    return found


@functools.cache
def kind(api_version: str, name: str) -> structural.Node | None:
    """Return the schema of a built-in kind, or None when there is no such kind."""
    group, _, version = api_version.rpartition("/")
    wanted = {"group": group, "version": version, "kind": name}
    for definition, schema in _definitions(api_version).items():
        if wanted in schema.get("x-kubernetes-group-version-kind", ()):
            return _definition(api_version, definition)
    return None


def object_meta() -> structural.Node:
    """Return the schema of `metadata`."""
    return _definition("v1", _OBJECT_META)


def pod_spec() -> structural.Node:
    """Return the schema of `spec` of a pod."""
    return _definition("v1", _POD_SPEC)


def _quantity(value: typing.Any) -> str | None:
    return None if formats.quantity(value) is not None else f"must be a quantity, is {value!r}"


def _base64(value: typing.Any) -> str | None:
    return None if formats.base64_text(value) else f"must be base64, is {value!r}"


def _int32(value: typing.Any) -> str | None:
    fits = isinstance(value, str) or -(2**31) <= value < 2**31
    return None if fits else f"must fit int32, is {value}"


@functools.cache
def _definition(api_version: str, name: str) -> structural.Node:
    """Compile a named definition; the five documents agree on those that they share."""
    if name == _QUANTITY:
        return structural.Node(types=("string", "number"), scalars=(_quantity,))
    if name == _INT_OR_STRING:
        return structural.Node(types=("integer", "string"), scalars=(_int32,))
    return _build(api_version, _definitions(api_version)[name])


def _build(api_version: str, schema: structural.Document) -> structural.Node:
    """Compile a schema of a document, following references."""
    reference = schema.get("$ref") or next((item["$ref"] for item in schema.get("allOf", ())), None)
    if reference is not None:
        return _definition(api_version, reference.removeprefix(_PREFIX))
    if schema.get("format") == "byte":
        return structural.Node(types=("string",), scalars=(_base64,))
    inner = ("properties", "items", "additionalProperties")
    leaf = {key: item for key, item in schema.items() if key not in _DROPPED and key not in inner}
    node = structural.build(leaf)
    properties = schema.get("properties", {})
    node.properties = {key: _build(api_version, item) for key, item in properties.items()}
    if "items" in schema:
        node.items = _build(api_version, schema["items"])
    if "additionalProperties" in schema:
        node.additional = _build(api_version, schema["additionalProperties"])
    # Zero values are Go's way to write absence; the rest, such as protocol TCP, are defaults.
    if isinstance(schema.get("default"), str) and schema["default"]:
        node.default = schema["default"]
    # RawExtension and FieldsV1 hold anything.
    node.is_open = node.types == ("object",) and not node.properties and node.additional is None
    return node
