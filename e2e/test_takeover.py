"""From 0.9.0 to this, as the migration guide says, from both starts, on one control plane.

The commands of the guide are run as they are printed there (`_guide`); the end of a whole run fails
for one that nobody ran. What cannot be had here is Flux (`takeover.Flux` stands in for what it
applies and prunes) and the work of 0.9.0's module (`e2e.previous`).

While this plane is busy, the function is absent on the plane of the run: core waits minutes before
it says so, and again before it looks whether the function is back.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator

import pytest

from e2e import (
    absence,
    claims,
    conftest,
    guide,
    installation,
    kept,
    old_fields,
    operators,
    previous,
    shipped,
    takeover,
)
from e2e.controlplane import api, plane, polling
from e2e.takeover import CODER, GENERAL, NAMES, NAMESPACE, OldCluster
from tests import crds
from tools import package

ACCEPT = "inference-service.cloud.ogenki.io/accept"
_START_A = "Start A: XRD and Composition are manifests that Flux keeps"
# How long a wrong step would have had to show, in seconds.
_PATIENCE = 5


@pytest.fixture(scope="module")
def absent(
    control_plane: plane.ControlPlane, installed: installation.Installation, all_kinds: None
) -> Iterator[absence.Absence]:
    """On the plane of the run the function was killed."""
    del all_kinds
    installed.configure(shipped.one(shipped.environment("reference")))
    made = absence.Absence(control_plane, installed)
    try:
        made.begin()
        yield made
    finally:
        made.clean()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OldCluster]:
    """A control plane of this module's own: nothing of the product was ever on it."""
    work = tmp_path_factory.mktemp("takeover")
    with plane.ControlPlane(work / "plane", version=conftest.VERSION) as running:
        running.install_crds(crds.directory())
        old = OldCluster(running, work)
        standing_in = operators.Operators(running.admin)
        standing_in.start()
        try:
            old.prepare()
            yield old
        finally:
            standing_in.stop()
            for item in (old, old.product):
                if hasattr(item, "function"):
                    item.function.process.stop()


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Iterator[takeover.Volume]:
    """The weights as 0.9.0 left them."""
    made = takeover.Volume(tmp_path_factory.mktemp("volume"))
    yield made
    made.close()


def _guide(cluster: OldCluster, section: str, holding: str = "", **words: str) -> str:
    """Run blocks of the guide as an administrator and return what they printed.

    Args:
        cluster: Where.
        section: Their heading.
        holding: Only those that hold this.
        words: What the reader writes for ``N``, and for words in angle brackets, by their names
            with underscores.
    """
    filled = {
        word if word == "N" else f"<{word.replace('_', ' ')}>": value
        for word, value in words.items()
    }
    return cluster.product.guide.run(section, page=guide.MIGRATION, words=filled, holding=holding)


# --- start B: another Configuration owns the XRD and the Composition


def test_from_another_configuration(
    absent: absence.Absence, cluster: OldCluster, volume: takeover.Volume
) -> None:
    """Its release without the two objects, then ours; the claims stay through every step."""
    del absent  # it begins here
    neighbour = _neighbour()
    cluster.install_platform(
        "v1.0.0",
        xrd=takeover.definition(),
        composition=takeover.composition(),
        neighbour=neighbour,
    )
    cluster.product.wait_kind()
    cluster.serve()
    _assert_defaults_are_stored(cluster.claims[CODER])
    before = kept.Before(cluster)
    (old_revision,) = cluster.revisions()
    _look_ahead(cluster, old_revision)

    _install_too_early(cluster)
    before.assert_untouched(*NAMES)

    cluster.install_platform("v1.1.0", neighbour=neighbour)
    cluster.plane.admin.wait(
        takeover.DEFINITION, lambda _: not cluster.controllers(), what="without a controller"
    )
    assert takeover.PLATFORM in {owner["name"] for owner in _check(cluster)}
    before.assert_untouched(*NAMES)
    assert not cluster.tenant.deleted(before.mark)

    _cut_over(cluster, *NAMES)
    assert [name.rpartition("-")[0] for name in cluster.controllers()] == [
        f"ConfigurationRevision/{package.CONFIGURATION}"
    ]
    _assert_lost_with_its_only_owner(cluster, neighbour)
    _assert_held(cluster, before, volume, *NAMES)
    old_fields.assert_they_tune(cluster, before)

    _accept(cluster, CODER)
    # An edit of a field that pods follow from accepts as well.
    old_fields.assert_they_roll(cluster, before)
    _roll_back(cluster, before, CODER, old_revision)


def _neighbour() -> api.Object:
    """An XRD that the platform's Configuration keeps."""
    item = takeover.definition()
    item["metadata"]["name"] = "neighbours.example.org"
    item["spec"] |= {"group": "example.org", "names": {"kind": "Neighbour", "plural": "neighbours"}}
    return item


def _assert_defaults_are_stored(claim: claims.Claim) -> None:
    """The claim was stored under 0.9.0's schema."""
    assert "cooldownSeconds" not in claim.manifest["spec"]["scaling"]
    stored = claim.read()["spec"]["scaling"]
    assert stored["cooldownSeconds"] == 300
    assert stored["runningRatioThreshold"] == "0.7"


def _look_ahead(cluster: OldCluster, revision: str) -> None:
    """What the guide has its reader look at before he begins: it foretells what comes."""
    reader = cluster.product.guide
    for name, claim in cluster.claims.items():
        reader.save(f"claims/{name}.yaml", json.dumps(claim.manifest))
    reader.save("environmentconfig.yaml", shipped.environment("reference").read_text())
    foretold = _guide(cluster, "Before", "--assume verified")
    for name in NAMES:
        (line,) = [line for line in foretold.splitlines() if f"{NAMESPACE}/{name} " in line]
        assert "PlatformChangePending" in line, foretold
    noted = _guide(cluster, "Before", "compositionrevisions")
    assert revision in noted
    copied = api.load(reader.directory / "claims.backup.yaml")[0]["items"]
    assert {item["metadata"]["name"] for item in copied} == set(NAMES)
    named = json.loads(_guide(cluster, "Before", ".spec.names"))
    assert named == {"kind": "InferenceService", "plural": "inferenceservices"}


def _check(cluster: OldCluster) -> list[api.Object]:
    """The guide's check after each step: the XRD is not being deleted, the claims exist.

    Returns:
        The owners of the XRD.
    """
    owners, _, listed = _guide(cluster, "Cutover").partition("\n")
    assert owners == "" or owners.startswith("["), f"it is being deleted: {owners}"
    for name in cluster.claims:
        assert f"\n{name} " in f"\n{listed}", listed
    references: list[api.Object] = json.loads(owners or "[]")
    return references


def _install_too_early(cluster: OldCluster) -> None:
    """Ours cannot take control while the other has it, says so, and can be removed again."""
    admin = cluster.plane.admin
    ours = {
        "apiVersion": "pkg.crossplane.io/v1",
        "kind": "Configuration",
        "metadata": {"name": package.CONFIGURATION},
        "spec": {"package": cluster.product.release.reference(package.CONFIGURATION)},
    }
    admin.apply(ours)
    admin.wait(
        api.Ref.of(ours),
        lambda item: "cannot establish control" in str(item.get("status")),
        what="refused the control",
        timeout=120,
    )
    assert api.status_of(admin.get(api.Ref.of(ours)), "Healthy") == "False"
    assert [name.rpartition("-")[0] for name in cluster.controllers()] == [
        f"ConfigurationRevision/{takeover.PLATFORM}"
    ]
    admin.delete(api.Ref.of(ours))
    admin.wait_gone(api.Ref.of(ours))


def _assert_lost_with_its_only_owner(cluster: OldCluster, neighbour: api.Object) -> None:
    """What only the old Configuration owns goes with it; what ours owns too stays.

    The first is what the guide warns of: this would have been the XRD.
    """
    cluster.plane.admin.delete(api.Ref("pkg.crossplane.io/v1", "Configuration", takeover.PLATFORM))
    cluster.plane.admin.wait_gone(api.Ref.of(neighbour))
    definition = cluster.plane.admin.get(takeover.DEFINITION)
    assert "deletionTimestamp" not in definition["metadata"]


# --- meanwhile, on the plane of the run


def test_a_function_absent_for_minutes(absent: absence.Absence) -> None:
    """Nothing that runs is touched, the claim says what is wrong, a deleted claim goes."""
    absent.assert_told()
    absent.end()


# --- start A: the XRD and the Composition are manifests


def test_from_manifests(cluster: OldCluster, volume: takeover.Volume) -> None:
    """Annotated, then out of git, then ours; claim by claim, there and back, and there again."""
    if cluster.claims:
        cluster.remove()
    flux = takeover.Flux(cluster.plane.admin)
    manifests = (takeover.definition(), takeover.composition())
    flux.reconcile(*manifests)
    cluster.product.wait_kind()
    cluster.serve()
    before = kept.Before(cluster)

    flux.reconcile(*map(takeover.unpruned, manifests))
    output = _guide(cluster, _START_A, "custom-columns")
    assert output.count("disabled") == 2, output
    # The annotation made another revision of the same content, which the claims follow.
    polling.until(lambda: len(cluster.revisions()) == 2, what="another revision", timeout=60)
    old_revision = cluster.revisions()[-1]
    for claim in cluster.claims.values():
        claim.wait(
            lambda item: (
                item["spec"]["crossplane"]["compositionRevisionRef"]["name"] == old_revision
            ),
            what=f"at {old_revision}",
        )
    flux.reconcile()
    assert _check(cluster) == []
    _guide(cluster, "Before", '"Manual"', N=GENERAL)
    before.assert_untouched(*NAMES)

    _cut_over(cluster, CODER)
    before.assert_untouched(GENERAL)
    new_revision = cluster.revisions()[-1]
    _guide(cluster, _START_A, "patch", N=GENERAL, new_revision=new_revision)
    cluster.claims[GENERAL].wait_condition("Current", "False", "WeightsPending")
    _assert_held(cluster, before, volume, *NAMES)

    _accept(cluster, CODER)
    _accept(cluster, GENERAL)
    _roll_back(cluster, before, CODER, old_revision)
    pods = kept.Before(cluster)
    # Or the change would be accepted already.
    _guide(cluster, "Rollback", "accept-", N=CODER)
    _guide(cluster, _START_A, "patch", N=CODER, new_revision=new_revision)
    cluster.claims[CODER].wait_condition("Current", "False", "PlatformChangePending")
    pods.assert_kept(CODER)


def test_flux_that_still_keeps_the_manifests(cluster: OldCluster) -> None:
    """It adds the old pipeline to the new one, and core takes it out when it looks again.

    The steps of a Composition are merged by name: what is applied is never all of them.
    """
    flux = takeover.Flux(cluster.plane.admin)
    claim = cluster.claims[GENERAL]
    body = {"spec": {"crossplane": {"compositionUpdatePolicy": "Automatic"}}}
    cluster.plane.admin.patch(claim.ref, body)
    (ours,) = _steps(cluster)
    flux.reconcile(takeover.unpruned(takeover.composition()))
    assert _steps(cluster) == [ours, "kcl"]
    wanted = set(previous.recorded(GENERAL))
    claim.wait(lambda _: set(claim.composed()) > wanted, what="with the objects of both")
    (revision,) = [
        item
        for item in cluster.plane.admin.objects("pkg.crossplane.io/v1", "ConfigurationRevision")
        if item["metadata"]["name"].startswith(package.CONFIGURATION)
        if item["spec"]["desiredState"] == "Active"
    ]
    # It does so once an hour, and when the package's revision is edited.
    body = {"metadata": {"annotations": {"example.org/looked-at": "now"}}}
    cluster.plane.admin.patch(api.Ref.of(revision), body)
    polling.until(lambda: _steps(cluster) == [ours], what="our pipeline alone", timeout=60)
    claim.wait(lambda _: not wanted <= set(claim.composed()), what="with our objects alone")


def test_the_old_revision_can_be_deleted(cluster: OldCluster) -> None:
    """No claim uses it any more, none can go back to it, and the claims go on."""
    old, *_ = cluster.revisions()
    listed = _guide(cluster, "The last step", **{"0.9.0_revision": old})
    bound = [line.split()[2] for line in listed.splitlines() if line.startswith(NAMESPACE)]
    assert len(bound) == len(NAMES)
    assert old not in bound
    assert old not in cluster.revisions()
    cluster.claims[GENERAL].apply(scaling={"minReplicas": 1, "maxReplicas": 3})
    cluster.claims[GENERAL].wait(
        lambda _: cluster.claims[GENERAL].one("ScaledObject")["spec"]["maxReplicaCount"] == 3,
        what="with its new maximum",
    )


def _steps(cluster: OldCluster) -> list[str]:
    """The steps of the Composition as it is."""
    pipeline = cluster.plane.admin.get(takeover.COMPOSITION)["spec"]["pipeline"]
    return [step["step"] for step in pipeline]


def test_the_wrong_order_strands_the_claims(cluster: OldCluster) -> None:
    """A pruned XRD cannot be had back, and nobody tends its claims: what the guide warns of.

    Core deletes the claims of a terminating XRD with a request that the API server does not serve
    for a namespaced kind, and waits for ever. The claim is there, and nothing that it says is done.
    """
    claim = cluster.claims[CODER]
    flux = takeover.Flux(cluster.plane.admin)
    live = cluster.plane.admin.get(takeover.DEFINITION)
    kept = {field: live[field] for field in ("apiVersion", "kind", "spec")}
    flux.reconcile(kept | {"metadata": {"name": live["metadata"]["name"]}})
    flux.reconcile()
    cluster.plane.admin.wait_condition(takeover.DEFINITION, "Established", "False")
    time.sleep(_PATIENCE)
    before = claim.one("ScaledObject")["metadata"]["resourceVersion"]
    claim.apply(scaling=claim.manifest["spec"]["scaling"] | {"maxReplicas": 9})
    claim.reconcile("stranded")
    time.sleep(_PATIENCE)
    assert claim.one("ScaledObject")["metadata"]["resourceVersion"] == before
    stuck = cluster.plane.admin.get(takeover.DEFINITION)
    assert "deletionTimestamp" in stuck["metadata"]


def test_the_function_is_back(absent: absence.Absence) -> None:
    """What was asked for in its absence is done by itself."""
    absent.assert_over()


# --- steps of both


def _cut_over(cluster: OldCluster, *names: str) -> None:
    """Install the product while the weights of the new layout are not there yet."""
    revisions = cluster.revisions()
    cluster.plane.kubelet.hold(NAMESPACE)
    cluster.product.configure(shipped.one(shipped.environment("reference")))
    cluster.install_product()
    assert cluster.revisions()[:-1] == revisions
    for name in names:
        held = cluster.claims[name].wait_condition("Current", "False", "WeightsPending")
        assert held["status"]["phase"] == "Updating"
        assert api.status_of(held, "Synced") == "True"


def _assert_held(
    cluster: OldCluster, before: kept.Before, volume: takeover.Volume, *names: str
) -> None:
    """Pods keep running on 0.9.0's template, before and after the weights are verified.

    The new Jobs find the weights of 0.9.0 and link them.
    """
    time.sleep(_PATIENCE)
    before.assert_kept(*names)
    expected = before.replaced(*names)
    for name in names:
        claim = cluster.claims[name]
        volume.fill(claim.manifest)
        job = claim.one("Job")
        # Its end is recorded in the claim, and then it goes like any finished one.
        expected.add(("jobs", job["metadata"]["name"]))
        done = volume.preload(job)
        assert done.returncode == 0, done.stdout + done.stderr
        model = claim.manifest["spec"]["model"]["revision"]
        adapters = [item["name"] for item in claim.manifest["spec"].get("loraAdapters", [])]
        assert set(volume.links(name).values()) == {model, *(f"loras/{item}" for item in adapters)}
    assert not volume.downloads()
    before.assert_kept(*names)
    cluster.plane.kubelet.release(NAMESPACE)
    for name in names:
        cluster.claims[name].wait_condition("Current", "False", "PlatformChangePending")
    takeover.wait_settled(cluster, before.mark, expected)
    time.sleep(_PATIENCE)
    before.assert_kept(*names)
    assert cluster.tenant.deleted(before.mark) == expected
    route = before.uid(CODER, "gateway-airoute")
    assert cluster.claims[CODER].one("AIGatewayRoute")["metadata"]["uid"] == route


def _accept(cluster: OldCluster, name: str) -> None:
    """Accept the change of the pods with the token that the claim prints."""
    claim = cluster.claims[name]
    match = re.search(
        rf"{re.escape(ACCEPT)}=([^\s,.;]+)", claims.conditions(claim.read())["Current"][2]
    )
    assert match is not None
    printed = _guide(cluster, "What happens to a running claim", N=name, token=match[1])
    assert match[0] in printed
    claim.wait_ready()


def _roll_back(cluster: OldCluster, before: kept.Before, name: str, revision: str) -> None:
    """Bind a claim to 0.9.0's revision again: its objects, its engine, the same Deployment."""
    claim = cluster.claims[name]
    _guide(cluster, "Rollback", '"Manual"', N=name, **{"0.9.0_revision": revision})
    wanted = previous.recorded(name)
    claim.wait(lambda _: set(claim.composed()) == set(wanted), what="with the objects of 0.9.0")
    image = kept.engine(wanted[f"{name}-deployment"])["image"]
    claim.wait(
        lambda _: kept.engine(claim.one("Deployment"))["image"] == image, what="with 0.9.0's engine"
    )
    cluster.plane.admin.wait_condition(takeover.deployment(name), "Available")
    claim.wait(lambda item: api.status_of(item, "Ready") == "True", what="served by 0.9.0 again")
    for suffix in kept.SUFFIXES:
        uid = claim.composed()[f"{name}-{suffix}"]["metadata"]["uid"]
        assert uid == before.uid(name, suffix)
