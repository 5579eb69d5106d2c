"""Every example claim at once, on both platforms of the examples: born, serving, quiet, gone."""

from __future__ import annotations

import collections
from collections.abc import Iterator

import pytest

from e2e import claims, installation, shipped
from e2e.controlplane import api, crossplane, plane, polling
from tests import cluster

# How the name of the node begins that the settings choose, by profile.
_MACHINES = {"reference": "l4-", "plain": "l40s-"}
_ROUNDS = 5
# Fields of a claim's status that hold times or generations.
_TIMES = ("conditions", "observedGeneration")
_CORE_CONDITIONS = ("Ready", "Synced", "Responsive")


class Fleet:
    """The example claims of one platform, all serving."""

    def __init__(self, profile: str, tenant: claims.Tenant) -> None:
        """Take the claims of the examples."""
        self.profile = profile
        self.tenant = tenant
        self.claims = [tenant.claim(shipped.one(path)) for path in shipped.CLAIMS]


@pytest.fixture(scope="module", params=shipped.PROFILES)
def fleet(
    request: pytest.FixtureRequest,
    control_plane: plane.ControlPlane,
    installed: installation.Installation,
    all_kinds: None,
) -> Iterator[Fleet]:
    """The example claims on one of the platforms, as soon as they serve."""
    del all_kinds
    profile: str = request.param
    installed.configure(shipped.one(shipped.environment(profile)))
    tenant = claims.Tenant(control_plane, control_plane.namespace(f"fleet-{profile}"))
    tenant.prepare()
    made = Fleet(profile, tenant)
    try:
        for claim in made.claims:
            claim.apply()
        for claim in made.claims:
            claim.wait_ready()
        yield made
    finally:
        tenant.clean()


def test_every_claim_serves(fleet: Fleet) -> None:
    """Phase, conditions and the rest of the status are those that the simulation foretells."""
    for claim in fleet.claims:
        world = cluster.Cluster(claim.manifest, shipped.one(shipped.environment(fleet.profile)))
        world.converge()
        expected = _lasting(world.claim)
        # Core writes a status in two steps, the first with conditions of the step before.
        live = claim.wait(lambda item: _lasting(item) == expected, what=f"as {expected}")  # noqa: B023
        assert live["status"]["phase"] == "Serving"
        assert live["status"]["observedGeneration"] == live["metadata"]["generation"]
        assert set(claim.composed()) == set(world.objects), claim.name


def _lasting(claim: api.Object) -> api.Object:
    """A claim's status without times, and without the conditions that core adds."""
    conditions = {
        kind: condition
        for kind, condition in claims.conditions(claim).items()
        if kind not in _CORE_CONDITIONS
    }
    status = {name: value for name, value in claim["status"].items() if name not in _TIMES}
    return status | {"conditions": conditions}


def test_objects_are_owned(fleet: Fleet) -> None:
    """By the claim, as its controller, so that they go with it."""
    for claim in fleet.claims:
        uid = claim.read()["metadata"]["uid"]
        for key, item in claim.composed().items():
            (owner,) = item["metadata"]["ownerReferences"]
            assert (owner["uid"], owner["controller"]) == (uid, True), key
            assert item["metadata"]["labels"]["crossplane.io/composite"] == claim.name


def test_engines_run_where_the_settings_say(fleet: Fleet) -> None:
    """One ready pod for each claim, on a node of the class, with one GPU."""
    admin = fleet.tenant.plane.admin
    for claim in fleet.claims:
        labels = {
            "app.kubernetes.io/instance": claim.name,
            "app.kubernetes.io/component": "inference",
        }
        pods = admin.objects("v1", "Pod", namespace=fleet.tenant.namespace, labels=labels)
        (pod,) = [pod for pod in pods if pod["status"]["phase"] == "Running"]
        assert pod["spec"]["nodeName"].startswith(_MACHINES[fleet.profile])
        assert api.status_of(pod, "Ready") == "True"
        limits = pod["spec"]["containers"][0]["resources"]["limits"]
        assert limits["nvidia.com/gpu"] == "1"


@pytest.mark.pitfall("a field that a webhook or the API server fills in drifts")
def test_nothing_is_written_at_steady_state(
    fleet: Fleet, installed: installation.Installation
) -> None:
    """Reconciles that are forced change no composed object and no claim."""
    running = fleet.tenant.plane
    log = running.api.audit
    claims.settle(running)
    before = installed.function.calls()
    start = log.mark()
    for number in range(_ROUNDS):
        goal = claims.reconciles(running) + len(fleet.claims)
        for claim in fleet.claims:
            claim.reconcile(f"{number}")
        polling.until(
            lambda goal=goal: claims.reconciles(running) >= goal,  # type: ignore[misc]
            what="a reconcile of each claim",
            timeout=120,
        )
    claims.settle(running)
    calls = installed.function.calls() - before
    assert calls >= _ROUNDS * len(fleet.claims), "they were reconciled"
    writes = [write for write in log.writes(start) if write.user == crossplane.USER]
    by_verb = collections.Counter(write.verb for write in writes)
    assert by_verb["patch"] > calls, "core applies each object on each reconcile"
    changes = [write for write in writes if write.changed]
    assert changes == []


def test_a_deleted_claim_leaves_nothing(fleet: Fleet) -> None:
    """Objects, pods and Jobs go; those of the other claims stay."""
    claim, *others = fleet.claims
    gone = [api.Ref.of(item) for item in claim.composed().values()]
    kept = {other.name: set(other.composed()) for other in others}
    admin = fleet.tenant.plane.admin
    claim.delete()
    admin.wait_gone(claim.ref)
    for ref in gone:
        admin.wait_gone(ref)
    labels = {"app.kubernetes.io/instance": claim.name}
    for api_version, kind in (("v1", "Pod"), ("batch/v1", "Job"), ("apps/v1", "ReplicaSet")):
        for item in admin.objects(
            api_version, kind, namespace=fleet.tenant.namespace, labels=labels
        ):
            admin.wait_gone(api.Ref.of(item))
    assert {other.name: set(other.composed()) for other in others} == kept
    fleet.claims.remove(claim)
