"""Claims beside each other, and beside a platform that makes mistakes: on the real control plane.

Who owns a model name, which names no claim can bear, what comes before a pod, and what settings
that lost a provider take away.
"""

from __future__ import annotations

import copy
import itertools
import json
import time
from collections.abc import Iterator

import pytest

from e2e import claims, installation, shipped
from e2e.controlplane import api, crossplane, plane, polling

_PATIENCE = 5
_ROUTES = "aigatewayroutes"
_MODEL_NAMES = "inference-service.cloud.ogenki.io/model-names"
_CILIUM = ("cilium.io/v2", "CiliumNetworkPolicy")
# Objects of the gateway's provider.
_PUBLISHED = {"AIGatewayRoute", "AIServiceBackend", "Backend", "BackendTrafficPolicy"}


def _claim(tenant: claims.Tenant, name: str, *adapters: str, gateway: bool = True) -> claims.Claim:
    """A small claim, not yet applied."""
    manifest = shipped.one(shipped.ROOT / "examples" / "claims" / "smallest.yaml")
    manifest["metadata"]["name"] = name
    if gateway:
        manifest["spec"]["gateway"] = {"enabled": True}
    if adapters:
        entries = [{"name": adapter, "repository": "org/adapter"} for adapter in adapters]
        manifest["spec"]["loraAdapters"] = entries
    return tenant.claim(manifest)


def _uids(claim: claims.Claim) -> dict[str, str]:
    return {key: item["metadata"]["uid"] for key, item in claim.composed().items()}


def _look(claim: claims.Claim, mark: str) -> None:
    """Let core 2.3 look at a claim now; 2.4 watches what a claim's function asked for."""
    if claim.plane.crossplane.version == "2.3":
        claim.reconcile(mark)


# --- names


@pytest.fixture
def neighbour(control_plane: plane.ControlPlane, tenant: claims.Tenant) -> Iterator[claims.Tenant]:
    """Another team's namespace, on the same gateway."""
    prepared = claims.Tenant(control_plane, control_plane.namespace(f"{tenant.namespace[:40]}-too"))
    prepared.prepare()
    yield prepared
    prepared.clean()


def test_a_model_name_has_one_owner(tenant: claims.Tenant, neighbour: claims.Tenant) -> None:
    """The younger is refused; when the older goes, it takes the name."""
    audit = tenant.plane.api.audit
    older = _claim(tenant, "chat").apply()
    older.wait_ready(timeout=240)
    mark = audit.mark()
    younger = _claim(neighbour, "helper", "chat").apply()
    refused = younger.wait_condition("RouteReady", "False", "NameTaken")
    message = claims.conditions(refused)["RouteReady"][2]
    assert f"chat of claim chat in namespace {tenant.namespace}" in message
    younger.wait_condition("EngineReady", "True", "Serving")
    claims.settle(tenant.plane)
    before = audit.mark()
    for number in range(3):
        # Not by core's own annotation, which core writes into the claim's status.
        look = {"metadata": {"annotations": {"e2e/look": f"{number}"}}}
        tenant.plane.admin.patch(younger.ref, look)
        claims.settle(tenant.plane)
    # What is asked does not change with its answers: core would call again until it gives up.
    assert api.status_of(younger.read(), "Synced") == "True"
    changed = [write for write in audit.writes(before) if write.changed]
    assert [write.resource for write in changed if write.user == crossplane.USER] == []
    routes = [write for write in audit.writes(mark) if write.resource == _ROUTES and write.changed]
    assert "helper" not in {write.name for write in routes}
    assert older.read()["status"]["phase"] == "Serving"

    older.delete()
    tenant.plane.admin.wait_gone(older.ref)
    _look(younger, "the name is free")
    younger.wait_condition("RouteReady", "True", "Published")
    rules = younger.one("AIGatewayRoute")["spec"]["rules"]
    names = [rule["matches"][0]["headers"][0]["value"] for rule in rules]
    assert names == ["helper", "chat"]
    again = _claim(tenant, "chat").apply()
    again.wait_condition("RouteReady", "False", "NameTaken")


def test_a_route_that_forgot_its_names_keeps_them(tenant: claims.Tenant) -> None:
    """Somebody erases what a route remembers: it stays published, and remembers again."""
    claim = _claim(tenant, "chat").apply()
    claim.wait_ready(timeout=240)
    route = claim.one("AIGatewayRoute")
    before = route["metadata"]["annotations"]
    assert json.loads(before[_MODEL_NAMES])["names"] == {"chat": "own"}
    rules = route["spec"]["rules"]
    admin = tenant.plane.admin
    ref = api.Ref(route["apiVersion"], "AIGatewayRoute", "chat", tenant.namespace)

    def remembers(item: api.Object) -> bool:
        return bool(item["metadata"].get("annotations") == before)

    admin.patch(ref, {"metadata": {"annotations": {_MODEL_NAMES: None}}})
    _look(claim, "forgotten")
    admin.wait(ref, remembers, what="with its names again")

    # Without its own annotation core reconciles the claim no more, and names what is missing. A
    # reconcile that had read the route before writes all of them again, so they are erased again.
    own = "crossplane.io/composition-resource-name"
    looks = itertools.count()

    def stops() -> bool:
        if own in admin.get(ref)["metadata"].get("annotations", {}):
            admin.patch(ref, {"metadata": {"annotations": None}})
            claim.reconcile(f"anonymous-{next(looks)}")
        synced = claims.conditions(claim.read())["Synced"]
        return synced[0] == "False" and own in synced[2]

    polling.until(stops, what="Synced=False with what is missing", timeout=90, interval=1)
    assert admin.get(ref)["spec"]["rules"] == rules
    admin.patch(ref, {"metadata": {"annotations": {own: before[own]}}})
    claim.reconcile("named")
    after = admin.wait(ref, remembers, what="with its names again")
    assert after["metadata"]["uid"] == route["metadata"]["uid"]
    assert after["spec"]["rules"] == rules
    claim.wait_condition("RouteReady", "True", "Published")


def test_no_claim_bears_the_name_of_anothers_object(tenant: claims.Tenant) -> None:
    """Claims that are named as parts of another one keep their own objects, and leave its alone."""
    names = ("chat", "chat-preload", "chat-download", "chat-pods", "chat-direct")
    spec = {"scaling": {"minReplicas": 1, "maxReplicas": 2}}
    made = [_claim(tenant, name).apply(**spec) for name in names]
    for claim in made:
        claim.wait_ready(timeout=300)
    for claim in made:
        uid = claim.read()["metadata"]["uid"]
        for key, item in claim.composed().items():
            owners = item["metadata"]["ownerReferences"]
            assert [owner["uid"] for owner in owners if owner["controller"]] == [uid], key
    chat, *others = made
    before = _uids(chat)
    kinds = {"Deployment", "Service", "CiliumNetworkPolicy", "ScaledObject", *_PUBLISHED}
    assert kinds <= chat.kinds()
    for claim in others:
        claim.delete()
    for claim in others:
        tenant.plane.admin.wait_gone(claim.ref)
    chat.reconcile("alone")
    claims.settle(tenant.plane)
    assert _uids(chat) == before


def test_a_pickers_name_is_refused_of_new_claims_alone(tenant: claims.Tenant) -> None:
    """A stored claim can be edited and deleted; without objects it says what to do."""
    claim = _claim(tenant, "chat-epp", gateway=False)
    with pytest.raises(api.ApiError, match="another claim's endpoint picker"):
        claim.apply()
    with claims.without_rules(tenant.plane):
        claim.apply()
    invalid = claim.wait_condition("Valid", "False", "Invalid")
    assert "the endpoint picker of claim 'chat' is named" in claims.conditions(invalid)["Valid"][2]
    claim.apply(suspend=True)
    assert claim.composed() == {}
    claim.delete()
    tenant.plane.admin.wait_gone(claim.ref)


# --- order


def _judge(tenant: claims.Tenant, name: str, *, valid: bool) -> None:
    """Say of a policy what Cilium's operator says."""
    condition = {
        "type": "Valid",
        "status": str(valid),
        "reason": "Checked",
        "message": "" if valid else "no such port",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    ref = api.Ref(*_CILIUM, name, tenant.namespace)
    body = {"status": {"conditions": [condition]}}
    tenant.plane.admin.patch(ref, body, subresource="status")


def test_pods_come_after_their_policy(tenant: claims.Tenant) -> None:
    """Core makes a policy, then the Job or Deployment; under an invalid policy no pod comes."""
    kubelet, audit = tenant.plane.kubelet, tenant.plane.api.audit
    mark = audit.mark()
    kubelet.run_jobs(tenant.namespace)
    claim = _claim(tenant, "chat", gateway=False).apply()
    claim.wait_condition("WeightsReady", "False", "Downloading")
    tenant.plane.admin.wait_condition(api.Ref(*_CILIUM, "chat", tenant.namespace), "Valid")
    _judge(tenant, "chat", valid=False)
    claim.wait_condition("PolicyReady", "False")
    kubelet.heal_jobs(tenant.namespace)
    claim.wait_condition("WeightsReady", "True", "Verified")
    pending = claim.wait_condition("EngineReady", "False", "PolicyPending")
    assert "no such port" in claims.conditions(pending)["EngineReady"][2]
    time.sleep(_PATIENCE)
    assert "Deployment" not in claim.kinds()
    labels = {"app.kubernetes.io/component": "inference"}
    assert tenant.plane.admin.objects("v1", "Pod", namespace=tenant.namespace, labels=labels) == []

    _judge(tenant, "chat", valid=True)
    claim.wait_ready(timeout=240)
    written = [
        (write.resource, write.name)
        for write in audit.writes(mark)
        if write.namespace == tenant.namespace and write.user == crossplane.USER and write.changed
    ]
    order = [resource for resource, _ in written]
    assert written.index(("ciliumnetworkpolicies", "chat.download")) < order.index("jobs")
    assert written.index(("ciliumnetworkpolicies", "chat")) < order.index("deployments")


# --- settings


def test_settings_that_lose_a_provider_delete_nothing(
    tenant: claims.Tenant, installed: installation.Installation
) -> None:
    """Empty settings, and settings without the gateway, are refused until they withdraw it."""
    good = shipped.one(shipped.environment("reference"))
    claim = _claim(tenant, "chat").apply()
    claim.wait_ready(timeout=240)
    before, mark = _uids(claim), tenant.plane.api.audit.mark()
    empty, lost, withdrawn = (copy.deepcopy(good) for _ in range(3))
    empty["data"]["inferenceService"] = {}
    lost["data"]["inferenceService"]["providers"]["gateway"] = "none"
    providers = withdrawn["data"]["inferenceService"]["providers"]
    providers |= {"gateway": "none", "withdrawn": ["envoy-ai-gateway"]}

    for what, settings, words in (
        ("empty", empty, "networkPolicy: is kubernetes"),
        ("lost", lost, "gateway: is none"),
    ):
        installed.configure(settings)
        claim.reconcile(what)
        refused = claim.wait(
            lambda item, words=words: (  # type: ignore[misc]
                claims.conditions(item)["Valid"][1] == "SettingsInvalid"
                and f"providers.{words}" in claims.conditions(item)["Valid"][2]
            ),
            what=f"refused under {what} settings",
        )
        assert "providers.withdrawn" in claims.conditions(refused)["Valid"][2]
        time.sleep(_PATIENCE)
        assert tenant.deleted(mark) == set()
        assert _uids(claim) == before

    installed.configure(withdrawn)
    claim.reconcile("withdrawn")
    claim.wait_condition("Valid", "True")
    claim.wait(lambda _: not _PUBLISHED & claim.kinds(), what="without the gateway's objects")
    after = _uids(claim)
    assert after == {key: uid for key, uid in before.items() if key in after}
    assert {"Deployment", "ScaledObject", "CiliumNetworkPolicy"} <= claim.kinds()
    assert tenant.ended_pods(mark) == set()
