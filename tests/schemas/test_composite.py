"""The schema that Crossplane makes of a CompositeResourceDefinition."""

import typing

import pytest

from tests import schemas
from tests.schemas import composite

Object: typing.TypeAlias = dict[str, typing.Any]


def _definition(schema: Object, **spec: object) -> Object:
    version = {"name": "v1", "served": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.crossplane.io/v2",
        "kind": "CompositeResourceDefinition",
        "metadata": {"name": "as.a.io"},
        "spec": {"group": "a.io", "versions": [version], **spec},
    }


def _author(spec: Object, **more: object) -> Object:
    properties = {"spec": {"type": "object", **spec}, **more}
    return {"type": "object", "properties": properties}


def _problems(
    definition: Object, spec: object, name: str = "m", status: object = None
) -> list[str]:
    obj = {"apiVersion": "a.io/v1", "kind": "A", "metadata": {"name": name}, "spec": spec}
    if status is not None:
        obj["status"] = status
    return schemas.Schema.from_crd(definition, "v1").validate(obj)


def test_crossplane_adds_its_own_fields() -> None:
    definition = _definition(_author({"properties": {"a": {"type": "string"}}}))
    machinery = {
        "compositionRef": {"name": "c"},
        "compositionUpdatePolicy": "Manual",
        "resourceRefs": [{"apiVersion": "v1", "kind": "Service", "name": "m"}],
    }
    assert _problems(definition, {"a": "x", "crossplane": machinery}) == []
    (problem,) = _problems(definition, {"crossplane": {"compositionUpdatePolicy": "Never"}})
    assert problem.startswith("spec.crossplane.compositionUpdatePolicy: ")
    assert _problems(definition, {"b": "x"}) == ["spec.b: unknown field"]


def test_conditions_are_crossplanes() -> None:
    condition = {
        "type": "Ready",
        "status": "True",
        "reason": "Available",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    definition = _definition(_author({}))
    assert _problems(definition, {}, status={"conditions": [condition]}) == []
    problems = _problems(definition, {}, status={"conditions": [condition, condition]})
    assert problems == ['status.conditions: duplicate in a list of type map: ["Ready"]']


def test_spec_is_required() -> None:
    obj = {"apiVersion": "a.io/v1", "kind": "A", "metadata": {"name": "m"}}
    schema = schemas.Schema.from_crd(_definition(_author({})), "v1")
    assert schema.validate(obj) == ["spec: required"]


def test_rules_and_the_length_of_the_name_are_kept() -> None:
    rule = {"rule": "self.metadata.name != 'bad'", "message": "bad name"}
    name = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 5}}}
    author = _author({}, metadata=name) | {"x-kubernetes-validations": [rule]}
    assert _problems(_definition(author), {}, name="good") == []
    assert _problems(_definition(author), {}, name="bad") == ["<object>: bad name"]
    assert _problems(_definition(author), {}, name="too-long") == [
        'metadata.name: "too-long" is longer than 5 characters'
    ]
    assert "longer than 63" in _problems(_definition(_author({})), {}, name="m" * 64)[0]


def test_what_crossplane_drops_is_dropped() -> None:
    part = {
        "properties": {"a": {"type": "string"}},
        "minProperties": 1,
        "anyOf": [{"required": []}],
    }
    assert _problems(_definition(_author(part)), {}) == []
    kept = {**part, "required": ["a"]}
    assert _problems(_definition(_author(kept)), {}) == ["spec.a: required"]


def test_a_version_that_is_not_served_is_refused() -> None:
    with pytest.raises(LookupError, match="does not serve v2"):
        schemas.Schema.from_crd(_definition(_author({})), "v2")


def test_legacy_scope_is_refused() -> None:
    with pytest.raises(ValueError, match="LegacyCluster"):
        schemas.Schema.from_crd(_definition(_author({}), scope="LegacyCluster"), "v1")


def test_the_default_update_policy_is_kept() -> None:
    for given, default in (
        ({}, "Automatic"),
        ({"defaultCompositionUpdatePolicy": "Manual"}, "Manual"),
    ):
        made = composite.derive(_definition(_author({}), **given), _author({}))
        machinery = made["properties"]["spec"]["properties"]["crossplane"]["properties"]
        assert machinery["compositionUpdatePolicy"]["default"] == default


def test_only_cluster_scoped_resources_refer_across_namespaces() -> None:
    reference = {"apiVersion": "v1", "kind": "A", "name": "a", "namespace": "b"}
    spec = {"crossplane": {"resourceRefs": [reference]}}
    assert _problems(_definition(_author({}), scope="Cluster"), spec) == []
    assert _problems(_definition(_author({}), scope="Namespaced"), spec) == [
        "spec.crossplane.resourceRefs[0].namespace: unknown field"
    ]
