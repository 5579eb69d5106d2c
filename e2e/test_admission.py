"""The API server's answer to claims, under the CRD that Crossplane made of the XRD."""

from __future__ import annotations

import concurrent.futures
import copy
import pathlib
import re
from collections.abc import Iterator

import pytest

from e2e import installation, shipped
from e2e.controlplane import api, plane
from tests import mistakes, strategies
from tests.api import accepted_claims, entries, invalid_claims

_CRD = api.Ref(
    "apiextensions.k8s.io/v1", "CustomResourceDefinition", "inferenceservices.cloud.ogenki.io"
)

# Requests under way at a time.
_THREADS = 8
# The API server's words for a value that a keyword of the schema refuses, by keyword.
_WORDS = {
    "enum": "Unsupported value",
    "maximum": "should be less than or equal to",
    "maxItems": "Too many",
    "maxLength": "Too long",
    "maxProperties": "Too many",
    "minimum": "should be greater than or equal to",
    "minItems": "should have at least",
    "minLength": "should be at least",
    "pattern": "should match",
}


@pytest.fixture(scope="module")
def developers(control_plane: plane.ControlPlane, installed: installation.Installation) -> str:
    """A namespace for dry runs of claims; no claim is stored."""
    del installed
    return control_plane.namespace("admission")


def _ask(control_plane: plane.ControlPlane, namespace: str, claim: api.Object) -> None:
    """Create a claim as the developer, as a dry run: the server validates and admits only.

    Raises:
        api.ApiError: The server refuses the claim.
    """
    claim = copy.deepcopy(claim)
    claim["metadata"]["namespace"] = namespace
    # What Crossplane keeps is no author's: an admission policy refuses it (test_adoption.py).
    spec = claim.get("spec")
    kept = isinstance(spec, dict) and "crossplane" in spec
    who = control_plane.admin if kept else control_plane.developer
    who.create(claim, dry_run=True, strict=True)


@pytest.mark.pitfall("the CRD is never established: CEL cost, unbounded lists")
def test_the_crd_is_established(
    control_plane: plane.ControlPlane, installed: installation.Installation
) -> None:
    """The API server accepts the CRD, so the rules' cost is within the server's budget."""
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


@pytest.mark.parametrize(
    "entry",
    [*invalid_claims.INVALID, *invalid_claims.STORED],
    ids=lambda entry: str(entry.name),
)
def test_a_mistake_is_refused(
    entry: entries.Invalid, control_plane: plane.ControlPlane, developers: str
) -> None:
    """The server's message holds the words of the rule, or the path of the field."""
    with pytest.raises(api.ApiError) as refused:
        _ask(control_plane, developers, entry.claim)
    assert refused.value.code in (400, 422), refused.value
    # The text of the whole error holds the URL too; the words must be in the server's message.
    assert entry.words in refused.value.message


def _mistakes() -> Iterator[mistakes.Broken]:
    """Every mistake that a single value can have, in a claim with all fields.

    Some fields exclude each other; other claims have the fields that the first lacks.
    """
    full = strategies.full_claim()
    image = f"registry.example.com/qwen3-8b@sha256:{'0' * 64}"
    bucket = {"uri": "s3://models/qwen3-8b", "credentialsSecretRef": {"name": "store"}}
    others = (
        _from_a_volume(),
        entries.claim(model={"source": "oci", "image": image}),
        entries.claim(model={"source": "s3", **bucket}),
        _gated(),
        entries.claim(
            gateway={"enabled": True, "fallback": {"provider": "anthropic", "model": "haiku"}}
        ),
    )
    yield from mistakes.every(full)
    told: set[str] = set()
    for other in others:
        places = set()
        for broken in mistakes.every(other):
            section, _, field = broken.path.removeprefix("spec.").partition(".")
            if field and field not in full["spec"].get(section, field) and broken.path not in told:
                places.add(broken.path)
                yield broken
        told |= places


def _gated() -> api.Object:
    """A claim with a gate, which an endpoint picker excludes."""
    gate = {
        "steps": [5],
        "minutes": 1,
        "maxErrorPercent": 1,
        "minRequests": 1,
        "evals": {"passPercent": 90},
        "generation": 0,
    }
    return entries.claim(
        loraAdapters=[{"name": "sql", "repository": "example/sql"}],
        gateway={
            "enabled": True,
            "canaries": [{"adapter": "sql", "weightPercent": 40, "gate": gate}],
        },
    )


def _from_a_volume() -> api.Object:
    """A claim whose weights lie on the volume, with thresholds and a fallback."""
    return entries.claim(
        model={"repository": "Qwen/Qwen3-8B", "source": "pvc", "path": "qwen"},
        scaling={
            "runningRatioThreshold": "0.7",
            "cacheUtilizationThreshold": "0.8",
            "queueLengthThreshold": 4,
        },
        gateway={"enabled": True, "fallback": {"claim": "other"}},
        podTemplate={
            "env": [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
        },
    )


def _bounds(schema: api.Object, path: str) -> Iterator[tuple[str, str]]:
    """The bounds of a schema: the path of the value, as an expression, and the server's words."""
    yield from ((path, words) for keyword, words in _WORDS.items() if keyword in schema)
    for name in schema.get("required", ()):
        yield rf"{path}\.{name}", "Required value"
    for rule in schema.get("x-kubernetes-validations", ()):
        if rule["message"].startswith("each key"):  # other rules are in the table
            yield path, rule["message"]
    for name, field in schema.get("properties", {}).items():
        yield from _bounds(field, rf"{path}\.{name}")
    if "items" in schema:
        yield from _bounds(schema["items"], rf"{path}\[\d+\]")
    if isinstance(values := schema.get("additionalProperties"), dict):
        yield from _bounds(values, rf"{path}\.[^.]+")


def test_every_bound_is_kept(control_plane: plane.ControlPlane, developers: str) -> None:
    """The server refuses each mistake by its path; each bound of the schema refuses a mistake."""

    def refusal(broken: mistakes.Broken) -> str:
        """What the server says to a claim."""
        try:
            _ask(control_plane, developers, broken.claim)
        except api.ApiError as error:
            return error.message if error.code in (400, 422) else f"status {error.code}"
        return "accepted"

    every = list(_mistakes())
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as executor:
        messages = list(executor.map(refusal, every))
    wrong = [
        (broken.path, broken.what, message)
        for broken, message in zip(every, messages, strict=True)
        if broken.path not in message
    ]
    assert wrong == []
    (version,) = shipped.one(shipped.XRD)["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    bounds = list(_bounds(schema, "spec"))
    assert len(bounds) > 200
    paths = [broken.path for broken in every]
    unkept = [
        (path, words)
        for path, words in bounds
        if not any(
            re.fullmatch(path, at) and words in message
            for at, message in zip(paths, messages, strict=True)
        )
    ]
    assert unkept == []


@pytest.mark.parametrize("entry", accepted_claims.ACCEPTED, ids=lambda entry: str(entry.name))
def test_what_is_odd_but_right_is_accepted(
    entry: entries.Accepted, control_plane: plane.ControlPlane, developers: str
) -> None:
    """The server accepts claims that look wrong but are right, such as stored claims of 0.9.0."""
    _ask(control_plane, developers, entry.claim)


def test_an_unknown_field_is_refused(control_plane: plane.ControlPlane, developers: str) -> None:
    """Under strict field validation, which kubectl asks for, the server names the field."""
    claim = entries.claim(replicas=2)
    with pytest.raises(api.ApiError, match=r'unknown field "spec\.replicas"'):
        _ask(control_plane, developers, claim)
