"""What an author writes as others type it, beside the upstream schemas: the same fields.

A field that upstream lacks would be refused when core applies the object; one that we lack could
not be written. Values are put to the real API server by `e2e/test_validation.py`.
"""

import types
import typing
from collections.abc import Iterator

import pytest

from function.api import alerting, base, cilium, containers, kubernetes, schema, volumes
from tests.schemas import upstream

Node = dict[str, typing.Any]


def custom(group: str, kind: str, version: str) -> Node:
    """Returns the schema of a kind's spec."""
    document = upstream.definition(group, kind)
    found = upstream.served(document, version)["properties"]["spec"]["properties"]
    return typing.cast("Node", found)


def members(annotation: typing.Any) -> Iterator[type[base.Model]]:
    """Yields the models inside an annotation."""
    inner, _ = schema.unwrap(annotation)
    origin = typing.get_origin(inner)
    if origin in (list, dict, typing.Union, types.UnionType):
        for argument in typing.get_args(inner):
            yield from members(argument)
    elif isinstance(inner, type) and issubclass(inner, base.Model):
        yield inner


def differences(model: type[base.Model], node: Node, root: Node, path: str) -> Iterator[str]:
    """Yields each field that one side alone has."""
    while "$ref" in node or "allOf" in node:
        node = node["allOf"][0] if "allOf" in node else _resolved(node["$ref"], root)
    if node.get("type") == "array":
        yield from differences(model, node["items"], root, f"{path}[]")
        return
    ours = {str(field.alias): field for field in model.model_fields.values()}
    theirs = node["properties"]
    yield from sorted(f"{path}.{name}" for name in ours.keys() ^ theirs.keys())
    for name in ours.keys() & theirs.keys():
        for inner in members(ours[name].annotation):
            yield from differences(inner, theirs[name], root, f"{path}.{name}")


def _resolved(reference: str, root: Node) -> Node:
    found: typing.Any = root
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return typing.cast("Node", found)


@pytest.mark.parametrize(
    ("model", "field"), [(cilium.IngressRule, "ingress"), (cilium.EgressRule, "egress")]
)
def test_ciliums_rules(model: type[base.Model], field: str) -> None:
    node = custom("cilium.io", "CiliumNetworkPolicy", "v2")[field]
    assert list(differences(model, node, node, field)) == []


@pytest.mark.parametrize(
    ("provider", "group", "kind", "version"),
    [
        ("prometheus-operator", "monitoring.coreos.com", "PrometheusRule", "v1"),
        ("victoriametrics", "operator.victoriametrics.com", "VMRule", "v1beta1"),
    ],
)
def test_groups_of_rules(provider: str, group: str, kind: str, version: str) -> None:
    node = custom(group, kind, version)["groups"]
    assert list(differences(alerting.GROUPS[provider], node, node, "groups")) == []


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (kubernetes.Affinity, "Affinity"),
        (kubernetes.Toleration, "Toleration"),
        (kubernetes.Spread, "TopologySpreadConstraint"),
        (kubernetes.SecurityContext, "SecurityContext"),
        (kubernetes.PodSecurityContext, "PodSecurityContext"),
        (volumes.Volume, "Volume"),
        (volumes.Mount, "VolumeMount"),
        (containers.Port, "ContainerPort"),
        (containers.Variable, "EnvVar"),
        (containers.Variables, "EnvFromSource"),
        (containers.DnsConfig, "PodDNSConfig"),
        (containers.HostAlias, "HostAlias"),
    ],
)
def test_parts_of_pods(model: type[base.Model], name: str) -> None:
    document = upstream.openapi("v1")
    node = document["components"]["schemas"][f"io.k8s.api.core.v1.{name}"]
    # Of a template's metadata the API server takes labels and annotations alone.
    refused = "Volume.ephemeral.volumeClaimTemplate.metadata."
    left = [field for field in differences(model, node, document, name) if refused not in field]
    assert left == []
