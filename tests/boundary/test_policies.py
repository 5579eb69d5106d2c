"""The admission policies of examples/admission: which kinds, which user, and the function's rule.

Their expressions are evaluated here by the wheel `common-expression-language`. The API server
itself is asked in `e2e/test_adoption.py`.
"""

import copy
from typing import Any

import cel
import pytest

from function import claim_rows
from function.boundary import adoption
from function.cluster import observed
from function.fleet import rows
from tests import cluster

CORE = "system:serviceaccount:crossplane-system:crossplane"
UID = "11111111-2222-3333-4444-555555555555"
SUFFIX = "serviceaccount"


def policy(name: str) -> cluster.Object:
    """Returns the spec of a policy, whose binding denies."""
    whole, binding = cluster.load_all(f"examples/admission/{name}.yaml")
    assert binding["spec"] == {
        "policyName": whole["metadata"]["name"],
        "validationActions": ["Deny"],
    }
    assert whole["spec"]["failurePolicy"] == "Fail"
    spec = whole["spec"]
    assert isinstance(spec, dict)
    return spec


ADOPTION = policy("adoption")
COMPOSITION = policy("composition")


def test_every_kind_that_is_composed_is_covered() -> None:
    rules = ADOPTION["matchConstraints"]["resourceRules"]
    assert {tuple(rule["operations"]) for rule in rules} == {("UPDATE",)}
    covered = [(group, name) for r in rules for group in r["apiGroups"] for name in r["resources"]]
    every = [*claim_rows.every(), *rows.ROWS]
    composed = {(row.kind.group, row.kind.plural) for row in every}
    assert sorted(covered) == sorted(composed)


def test_both_name_the_same_user() -> None:
    assert ADOPTION["matchConditions"][0]["expression"] == f"request.userInfo.username == '{CORE}'"
    (condition,) = COMPOSITION["matchConditions"]
    assert condition["expression"] == f"request.userInfo.username != '{CORE}'"


def test_the_marks_are_those_of_the_function() -> None:
    (expression,) = [v["expression"] for v in ADOPTION["variables"] if v["name"] == "composed"]
    assert f"['{adoption.KEY_ANNOTATION}']" in expression
    assert f"['{adoption.CLAIM_LABEL}'] == variables.claim.name" in expression


def evaluated(expression: str, given: cluster.Object) -> Any:
    """Returns the value of an expression."""
    return cel.compile(expression).execute(cel.Context(given))


def admitted(old: cluster.Object, new: cluster.Object, resource: str = "serviceaccounts") -> bool:
    """Tells whether core may write an object over another."""
    request = {
        "userInfo": {"username": CORE},
        "kind": {"kind": "ServiceAccount"},
        "resource": {"resource": resource},
        "namespace": "llm",
        "name": "n",
    }
    given: cluster.Object = {"oldObject": old, "object": new, "request": request, "variables": {}}
    for condition in ADOPTION["matchConditions"]:
        if not evaluated(condition["expression"], given):
            return True
    for variable in ADOPTION["variables"]:
        given["variables"][variable["name"]] = evaluated(variable["expression"], given)
    (validation,) = ADOPTION["validations"]
    message = evaluated(validation["messageExpression"], given)
    words = "ServiceAccount llm/n is there already and is not the InferenceService n's: "
    assert message.startswith(words)
    return bool(evaluated(validation["expression"], given))


def owner(uid: str, kind: str = "InferenceService") -> cluster.Object:
    """Returns the reference to a controller."""
    version = "cloud.ogenki.io/v1alpha1"
    return {"apiVersion": version, "kind": kind, "name": "n", "uid": uid, "controller": True}


def written(kind: str = "InferenceService") -> cluster.Object:
    """Returns an object as core writes it for the claim."""
    return {
        "metadata": {
            "name": "n",
            "annotations": {adoption.KEY_ANNOTATION: f"n-{SUFFIX}"},
            "labels": {adoption.CLAIM_LABEL: "n"},
            "ownerReferences": [{"kind": "Node", "name": "x", "uid": "0"}, owner(UID, kind)],
        }
    }


LABELS: list[dict[str, str]] = [
    {},
    {"app": "x"},
    {adoption.CLAIM_LABEL: "n"},
    {adoption.CLAIM_LABEL: "m"},
]
ANNOTATIONS: list[dict[str, str]] = [
    {},
    {adoption.KEY_ANNOTATION: f"n-{SUFFIX}"},
    {adoption.KEY_ANNOTATION: "n-service"},
]
OWNERS: list[list[cluster.Object]] = [
    [],
    [{"kind": "Node", "name": "x", "uid": "0"}],
    [owner("9")],
    [owner(UID)],
    [owner("9", "App"), {"kind": "Node", "name": "x", "uid": "0"}],
]


def test_front_doors_are_looked_at_too() -> None:
    kind = "InferenceGateway"
    words = ADOPTION["validations"][0]["messageExpression"]
    assert "variables.claim.kind" in words
    bare = {"metadata": {"name": "n"}}
    (denied,) = [
        evaluated(v["expression"], {"oldObject": bare, "object": written(kind), "variables": {}})
        for v in ADOPTION["variables"]
        if v["name"] == "claim"
    ]
    assert denied["kind"] == kind


@pytest.mark.parametrize("owners", OWNERS)
@pytest.mark.parametrize("annotations", ANNOTATIONS)
@pytest.mark.parametrize("labels", LABELS)
def test_policy_and_function_agree(
    labels: dict[str, str], annotations: dict[str, str], owners: list[cluster.Object]
) -> None:
    fields = {"labels": labels, "annotations": annotations, "ownerReferences": owners}
    metadata = {"name": "n", **{k: v for k, v in fields.items() if v}}
    old: cluster.Object = {"metadata": metadata}
    new = written()
    world = observed.Observed(name="n", uid=UID)
    assert admitted(old, new) is adoption.owned(world, SUFFIX, old)


@pytest.mark.parametrize("owners", OWNERS)
@pytest.mark.parametrize(
    ("resource", "suffix"), [("jobs", "gate-job-0123456789"), ("jobs", "preload-job-0123456789")]
)
def test_policy_and_function_agree_about_jobs(
    resource: str, suffix: str, owners: list[cluster.Object]
) -> None:
    """What core wrote on a Job that judges a canary is not enough to take it over."""
    new = written()
    new["metadata"]["annotations"][adoption.KEY_ANNOTATION] = f"n-{suffix}"
    old = copy.deepcopy(new)
    old["metadata"]["ownerReferences"] = owners
    owned = adoption.owned(observed.Observed(name="n", uid=UID), suffix, old)
    assert admitted(old, new, resource) is owned
    if owner(UID) not in owners:
        uncontrolled = not any(one.get("controller") for one in owners)
        assert owned is (uncontrolled and suffix.startswith("preload"))


def test_other_claims_are_none_of_its_business() -> None:
    assert admitted({"metadata": {"name": "n"}}, written("Database"))
    assert admitted({"metadata": {"name": "n"}}, {"metadata": {"name": "n"}})
