"""What the API server itself says to a claim, with the CRD that Crossplane made of the XRD."""

from __future__ import annotations

import copy
import pathlib

import pytest

from e2e import installation, shipped
from e2e.controlplane import api, plane
from tests.api import invalid_claims

_CRD = api.Ref(
    "apiextensions.k8s.io/v1", "CustomResourceDefinition", "inferenceservices.cloud.ogenki.io"
)


@pytest.fixture(scope="module")
def developers(control_plane: plane.ControlPlane, installed: installation.Installation) -> str:
    """A namespace for claims that are asked about and never made."""
    del installed
    return control_plane.namespace("admission")


def _ask(control_plane: plane.ControlPlane, namespace: str, claim: api.Object) -> None:
    """Let the developer create a claim, and have it validated and admitted only.

    Raises:
        api.ApiError: It is refused.
    """
    claim = copy.deepcopy(claim)
    claim["metadata"]["namespace"] = namespace
    control_plane.developer.create(claim, dry_run=True, strict=True)


def test_the_crd_is_established(
    control_plane: plane.ControlPlane, installed: installation.Installation
) -> None:
    """The cost of its rules is within the API server's budget, or it would have refused them."""
    del installed
    crd = control_plane.admin.wait_condition(_CRD, "Established")
    (version,) = crd["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    rules = schema["properties"]["spec"]["properties"]["engineArgs"]["items"]
    assert rules["x-kubernetes-validations"]


@pytest.mark.parametrize("path", shipped.CLAIMS, ids=lambda path: str(path.stem))
def test_examples_are_accepted(
    path: pathlib.Path, control_plane: plane.ControlPlane, developers: str
) -> None:
    """Every claim of the examples."""
    _ask(control_plane, developers, shipped.one(path))


@pytest.mark.parametrize("entry", invalid_claims.INVALID, ids=lambda entry: str(entry.name))
def test_a_mistake_is_refused(
    entry: invalid_claims.Invalid, control_plane: plane.ControlPlane, developers: str
) -> None:
    """With the words of the rule, or the path of the field."""
    with pytest.raises(api.ApiError) as refused:
        _ask(control_plane, developers, entry.claim)
    assert refused.value.code in (400, 422), refused.value
    assert entry.words in str(refused.value)


@pytest.mark.parametrize("entry", invalid_claims.ACCEPTED, ids=lambda entry: str(entry.name))
def test_what_is_odd_but_right_is_accepted(
    entry: invalid_claims.Accepted, control_plane: plane.ControlPlane, developers: str
) -> None:
    """Claims of 0.9.0 as they are stored among them."""
    _ask(control_plane, developers, entry.claim)


def test_an_unknown_field_is_refused(control_plane: plane.ControlPlane, developers: str) -> None:
    """As kubectl asks for it: by name."""
    claim = invalid_claims.claim(replicas=2)
    with pytest.raises(api.ApiError, match=r'unknown field "spec\.replicas"'):
        _ask(control_plane, developers, claim)
