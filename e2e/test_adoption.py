"""Nothing foreign becomes a claim's, and a claim's author chooses no revision: on the real server.

Core applies with force and becomes the controller of what has none. The function asks before it
emits an object; the policies of ``examples/admission``, which the installation guide applies, hold
without the function too.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from e2e import claims, installation, shipped
from e2e.controlplane import api, crossplane, plane, polling

_ROLE = {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/platform"}
_POLICY = "inference-service-adoption"


def _account(tenant: claims.Tenant, name: str) -> api.Object:
    """Make a ServiceAccount with rights in the cloud, as a platform does, and return it."""
    metadata = {"name": name, "namespace": tenant.namespace, "annotations": _ROLE}
    return tenant.plane.admin.create(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
    )


def _claim(tenant: claims.Tenant, name: str) -> claims.Claim:
    """A small claim, not yet applied."""
    manifest = shipped.one(shipped.ROOT / "examples" / "claims" / "smallest.yaml")
    manifest["metadata"]["name"] = name
    return tenant.claim(manifest)


def _assert_untouched(tenant: claims.Tenant, account: api.Object) -> None:
    """Nobody wrote to it."""
    live = tenant.plane.admin.get(api.Ref.of(account))
    assert live["metadata"]["resourceVersion"] == account["metadata"]["resourceVersion"]


def _writes(tenant: claims.Tenant, since: int) -> set[tuple[str, int]]:
    """What core wrote here since a mark, claims and Events aside: resource and status."""
    return {
        (write.resource, write.code)
        for write in tenant.plane.api.audit.writes(since)
        if write.user == crossplane.USER
        and write.namespace == tenant.namespace
        and write.resource not in ("events", "inferenceservices")
    }


def test_a_claim_takes_nobodys_account(tenant: claims.Tenant) -> None:
    """It says what to do, composes nothing, and goes without a trace."""
    account = _account(tenant, "platform")
    mark = tenant.plane.api.audit.mark()
    claim = _claim(tenant, "platform").apply()
    refused = claim.wait_condition("Valid", "False", "NameTaken")
    message = claims.conditions(refused)["Valid"][2]
    assert "a ServiceAccount platform that is not this claim's" in message
    assert "give the claim another name" in message
    claim.delete()
    tenant.plane.admin.wait_gone(claim.ref)
    assert _writes(tenant, mark) == set()
    _assert_untouched(tenant, account)


def test_a_claim_goes_on_when_the_name_is_free(tenant: claims.Tenant) -> None:
    """By itself, once the stranger is gone; and nothing of what it composes is in its own way."""
    account = _account(tenant, "platform")
    claim = _claim(tenant, "platform").apply()
    claim.wait_condition("Valid", "False", "NameTaken")
    tenant.plane.admin.delete(api.Ref.of(account))
    claim.wait_ready(timeout=180)
    live = claim.one("ServiceAccount")
    assert live["metadata"]["uid"] != account["metadata"]["uid"]
    assert live["metadata"].get("annotations", {}).keys() == {shipped.KEY}


@pytest.fixture
def unasking(installed: installation.Installation) -> Iterator[None]:
    """The function asks for nothing while a test lasts."""
    try:
        installed.run_instead(sys.executable, "-m", "e2e.unasking")
        yield
    finally:
        installed.replace_function()


def test_the_policy_holds_without_the_function(tenant: claims.Tenant, unasking: None) -> None:
    """Core's write is refused with words that say what to do, and the object is as it was."""
    del unasking
    account = _account(tenant, "platform")
    mark = tenant.plane.api.audit.mark()
    claim = _claim(tenant, "platform").apply()
    polling.until(
        lambda: ("serviceaccounts", 422) in _writes(tenant, mark),
        what="core's write to be refused",
        timeout=90,
    )
    words = polling.until(
        lambda: [text for text in _events(tenant) if _POLICY in text],
        what="an Event with the policy's words",
        timeout=60,
    )
    assert "give the claim another name" in words[0]
    claim.delete()
    tenant.plane.admin.wait_gone(claim.ref)
    _assert_untouched(tenant, account)


def _events(tenant: claims.Tenant) -> list[str]:
    found = tenant.plane.admin.objects("v1", "Event", namespace=tenant.namespace)
    return [str(item.get("message")) for item in found]


# --- the policy alone, by core's own identity


@pytest.fixture
def core(control_plane: plane.ControlPlane) -> api.Client:
    """The API as core."""
    token = control_plane.api.service_account_token(
        crossplane.NAMESPACE, crossplane.SERVICE_ACCOUNT
    )
    return control_plane.api.client_with(token)


def _written(item: api.Object, kind: str = shipped.KIND, uid: str = "1") -> api.Object:
    """What core would apply over an object, as the claim's."""
    metadata = item["metadata"]
    owner = {
        "apiVersion": shipped.API_VERSION,
        "kind": kind,
        "name": "platform",
        "uid": uid,
        "controller": True,
    }
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "annotations": {shipped.KEY: "platform-serviceaccount"},
            "ownerReferences": [owner],
        },
    }


def test_core_may_write_what_is_the_claims(tenant: claims.Tenant, core: api.Client) -> None:
    """What is new, what it controls, and what it composed and a backup brought back."""
    account = _account(tenant, "platform")
    with pytest.raises(api.ApiError, match=_POLICY) as refused:
        core.apply(_written(account), dry_run=True)
    assert "is there already and is not the InferenceService platform's" in str(refused.value)
    # Another kind of claim is none of the policy's business.
    core.apply(_written(account, kind="Database"), dry_run=True)

    new = {**account, "metadata": {**account["metadata"], "name": "new"}}
    core.apply(_written(new), dry_run=True)

    ref = api.Ref.of(account)
    marks = {"annotations": {shipped.KEY: "platform-serviceaccount"}}
    tenant.plane.admin.patch(ref, {"metadata": marks})
    with pytest.raises(api.ApiError, match=_POLICY):
        core.apply(_written(account), dry_run=True)
    tenant.plane.admin.patch(ref, {"metadata": {"labels": {"crossplane.io/composite": "platform"}}})
    core.apply(_written(account), dry_run=True)

    # An object that another claim controls is not this one's, whatever its marks say.
    claim = _claim(tenant, "other").apply()
    claim.wait(lambda _: "ServiceAccount" in _kinds(claim), what="with its account")
    composed = claim.one("ServiceAccount")
    with pytest.raises(api.ApiError):
        core.apply(_written(composed), dry_run=True)
    core.apply(_written(composed, uid=claim.read()["metadata"]["uid"]), dry_run=True)


def _kinds(claim: claims.Claim) -> set[str]:
    return {item["kind"] for item in claim.composed().values()}


# --- spec.crossplane


def test_authors_choose_no_revision(tenant: claims.Tenant) -> None:
    """Neither at creation nor later; everything else of a claim stays theirs."""
    pinned = {"compositionRevisionRef": {"name": "old"}, "compositionUpdatePolicy": "Manual"}
    claim = _claim(tenant, "pinned")
    bare = dict(claim.manifest["spec"])
    with pytest.raises(api.ApiError, match=r"spec\.crossplane is Crossplane's") as refused:
        claim.apply(crossplane=pinned)
    assert refused.value.code == 403
    claim.manifest["spec"] = bare
    claim.apply()
    stored = claim.wait(
        lambda item: "compositionRevisionRef" in item["spec"].get("crossplane", {}),
        what="bound to a revision by core",
    )
    developer = tenant.plane.developer
    changes: tuple[object, ...] = (pinned, {"resourceRefs": []}, None)
    for change in changes:
        with pytest.raises(api.ApiError, match=r"spec\.crossplane is Crossplane's"):
            developer.patch(claim.ref, {"spec": {"crossplane": change}})
    claim.apply(suspend=True)

    admin = tenant.plane.admin
    admin.patch(claim.ref, {"spec": {"crossplane": {"compositionUpdatePolicy": "Manual"}}})
    claim.apply(suspend=False)
    kept = claim.read()["spec"]["crossplane"]
    assert kept["compositionUpdatePolicy"] == "Manual"
    assert kept["compositionRef"] == stored["spec"]["crossplane"]["compositionRef"]


def test_the_right_can_be_given(tenant: claims.Tenant) -> None:
    """By a role on a subresource that is not served, which `edit` of all claims does not have."""
    claim = _claim(tenant, "pinned").apply()
    change = {"spec": {"crossplane": {"compositionUpdatePolicy": "Manual"}}}
    with pytest.raises(api.ApiError):
        tenant.plane.developer.patch(claim.ref, change)
    metadata = {"name": "claims-operator", "namespace": tenant.namespace}
    rbac = "rbac.authorization.k8s.io"
    rule = {
        "apiGroups": ["cloud.ogenki.io"],
        "resources": ["inferenceservices/crossplane"],
        "verbs": ["update"],
    }
    tenant.plane.admin.apply(
        {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": metadata, "rules": [rule]}
    )
    tenant.plane.admin.apply(
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "claims-operator"},
            "subjects": [{"apiGroup": rbac, "kind": "User", "name": "developer"}],
        }
    )
    polling.until(
        lambda: tenant.plane.developer.patch(claim.ref, change),
        what="the role to hold",
        timeout=30,
        ignore=(api.ApiError,),
    )
