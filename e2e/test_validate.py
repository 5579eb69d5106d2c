"""`crossplane resource validate`, offline: what is rendered, what is shipped, what is refused."""

from __future__ import annotations

import json
import pathlib

import pytest

from e2e import commands, shipped, situations
from e2e.controlplane import api, crossplane, toolchain
from tests import crds
from tests.api import invalid_claims

NEWEST = crossplane.VERSIONS[-1]


def _upstream() -> list[pathlib.Path]:
    """The CRDs of every operator that the product knows."""
    return sorted(crds.directory().rglob("*.yaml"))


def _results(done: commands.Done) -> list[api.Object]:
    """The result for each resource, in the order of the resources."""
    resources: list[api.Object] = json.loads(done.output)["resources"]
    return resources


@pytest.mark.parametrize("stage", situations.STAGES)
@pytest.mark.parametrize("profile", shipped.PROFILES)
def test_what_is_rendered_is_valid(profile: str, stage: str, tmp_path: pathlib.Path) -> None:
    """Every claim with its status and every object, against the XRD and the upstream schemas.

    As our command renders them, which ``test_render.py`` compares with core.
    """
    items: list[api.Object] = []
    for claim in shipped.CLAIMS:
        situation = situations.write(stage, claim, profile, tmp_path)
        done = commands.own_render(
            situation.claim,
            environment=situations.environment(stage, profile, tmp_path),
            observed=situation.observed,
        )
        assert done.code == 0, done.errors
        items += [_as_core_has_it(situation.claim, done.claim["status"]), *done.composed.values()]
    rendered = commands.write(tmp_path / "rendered.yaml", items)
    done = commands.validate([shipped.XRD, *_upstream()], [rendered])
    assert done.code == 0, done.output
    results = _results(done)
    assert len(results) == len(items)
    assert {result["status"] for result in results} == {"valid"}


def _as_core_has_it(claim: pathlib.Path, status: api.Object) -> api.Object:
    """A claim with the status that our command prints, and the times that core adds to it."""
    for condition in status["conditions"]:
        condition["lastTransitionTime"] = "2026-01-01T00:00:00Z"
    return shipped.one(claim) | {"status": status}


def test_what_is_shipped_is_valid() -> None:
    """Claims against the XRD, settings and Composition against Crossplane, its input against us."""
    core = toolchain.manifests(f"crossplane-{NEWEST}", "crds")
    files = [
        *shipped.CLAIMS,
        *(shipped.environment(profile) for profile in shipped.PROFILES),
        shipped.COMPOSITION,
    ]
    done = commands.validate([shipped.XRD, shipped.INPUT, *core], files)
    assert done.code == 0, done.output
    assert {result["status"] for result in _results(done)} == {"valid"}


def test_an_object_that_its_schema_does_not_know_is_an_error(tmp_path: pathlib.Path) -> None:
    """Otherwise the tests above would say nothing."""
    spec: api.Object = {
        "scaleTargetRef": {"name": "a"},
        "triggers": [{"type": "cpu", "metadata": {"value": "50"}}],
    }
    scaled: api.Object = {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": "a", "namespace": "llm"},
        "spec": spec,
    }
    good = commands.write(tmp_path / "good.yaml", [scaled])
    bad = commands.write(tmp_path / "bad.yaml", [scaled | {"spec": spec | {"pollInterval": 5}}])
    assert commands.validate(_upstream(), [good]).code == 0
    assert commands.validate(_upstream(), [bad]).code == 1
    assert commands.validate([shipped.XRD], [good]).code == 1, "a missing schema is an error"


def test_what_admission_refuses_is_refused_offline(tmp_path: pathlib.Path) -> None:
    """A pull request learns of a mistake from the same words."""
    table = invalid_claims.INVALID
    claims = commands.write(tmp_path / "claims.yaml", [entry.claim for entry in table])
    done = commands.validate([shipped.XRD], [claims])
    assert done.code == 1
    results = _results(done)
    assert len(results) == len(table)
    passed = [
        entry.name
        for entry, result in zip(table, results, strict=True)
        if entry.words not in json.dumps(result, ensure_ascii=False)
    ]
    assert passed == []
