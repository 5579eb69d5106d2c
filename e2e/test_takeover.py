"""From 0.9.0 to this, as the migration guide says, on a control plane that ran 0.9.0.

Start A: the XRD and the Composition are plain manifests. The pipeline of 0.9.0 is `e2e.previous`;
everything that it composed was applied by Crossplane itself, so that ownership, field managers
and names are what a live cluster has.
"""

from __future__ import annotations

import pathlib
import re
import sys
import time
from collections.abc import Iterator

import pytest

from e2e import claims, function, installation, operators, previous, shipped
from e2e.controlplane import api, crossplane, plane
from tests import crds
from tools import image, package

NAME = "xplane-qwen-coder"
NAMESPACE = "llm"
ACCEPT = "inference-service.cloud.ogenki.io/accept"
_FUNCTION = "function-kcl"
_PKG = "pkg.crossplane.io/v1"
_PATIENCE = 5


class OldCluster:
    """A control plane with the pipeline of 0.9.0 and one claim that it serves.

    Attributes:
        plane: The control plane.
        product: This product, not installed yet.
        claim: The claim.
        function: The old function.
    """

    def __init__(self, control_plane: plane.ControlPlane, work: pathlib.Path) -> None:
        """Describe it; ``prepare`` makes it."""
        self.plane = control_plane
        self.product = installation.Installation(control_plane, work / "product")
        self._work = work
        self.tenant = claims.Tenant(control_plane, NAMESPACE)
        self.claim = self.tenant.example(NAME)
        self.function: function.Function

    def prepare(self) -> None:
        """Install the old function, run it, and make the namespace of the claims."""
        (self._work / "product").mkdir()
        self._install_function()
        self.product.apply_roles()
        for node in installation.NODES:
            self.plane.kubelet.add(node)
        self.plane.namespace(NAMESPACE)
        self.tenant.prepare()

    def _install_function(self) -> None:
        """Push a package of the old function's name, install it, and run it in its place."""
        reference = self.plane.registry.reference(f"org/{_FUNCTION}", "v0.12.1")
        sources = package.stage(
            self._work / _FUNCTION,
            {
                "crossplane.yaml": {
                    "apiVersion": "meta.pkg.crossplane.io/v1",
                    "kind": "Function",
                    "metadata": {"name": _FUNCTION},
                    "spec": {},
                }
            },
        )
        built = self._work / f"{_FUNCTION}.xpkg"
        # Nothing of the image runs: its pod is on paper.
        package.xpkg(sources, built, f"--embed-runtime-image-tarball={image.cached('function')}")
        package.run("crossplane-cli", "xpkg", "push", f"--package-files={built}", reference)
        admin = self.plane.admin
        ref = api.Ref(_PKG, "Function", _FUNCTION)
        spec = {"package": reference}
        metadata = {"name": _FUNCTION}
        admin.apply({"apiVersion": _PKG, "kind": "Function", "metadata": metadata, "spec": spec})
        admin.wait_condition(ref, "Healthy", timeout=120)
        certificates = self._work / "certificates"
        name = installation.active(admin, _FUNCTION)["spec"]["tlsServerSecretName"]
        secret = api.Ref("v1", "Secret", name, crossplane.NAMESPACE)
        crossplane.write_secret(admin, secret, certificates)
        address = self.product.resolve(_FUNCTION)
        self.function = function.Function(
            self.plane.logs,
            name="function-kcl",
            certificates=certificates,
            address=address,
            command=(sys.executable, "-m", "e2e.previous"),
        )
        self.function.process.start()

    def apply_manifests(self) -> None:
        """Apply the XRD and the old Composition, as Flux kept them."""
        admin = self.plane.admin
        admin.apply(shipped.one(shipped.XRD), manager="kustomize-controller")
        composition = shipped.one(shipped.COMPOSITION)
        composition["spec"]["pipeline"] = [
            {"step": "kcl", "functionRef": {"name": _FUNCTION}},
        ]
        admin.apply(composition, manager="kustomize-controller")
        self.product.wait_kind()

    def revisions(self) -> list[str]:
        """Names of the Composition's revisions, oldest first."""
        found = self.plane.admin.objects("apiextensions.crossplane.io/v1", "CompositionRevision")
        return [
            item["metadata"]["name"]
            for item in sorted(found, key=lambda item: int(item["spec"]["revision"]))
        ]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OldCluster]:
    """A control plane of this module's own: nothing of the product was ever on it."""
    work = tmp_path_factory.mktemp("takeover")
    with plane.ControlPlane(work / "plane") as running:
        running.install_crds(crds.directory())
        old = OldCluster(running, work)
        standing_in = operators.Operators(running.admin)
        try:
            old.prepare()
            standing_in.start()
            yield old
        finally:
            standing_in.stop()
            for item in (old, old.product):
                if hasattr(item, "function"):
                    item.function.process.stop()


def _pods(cluster: OldCluster) -> set[str]:
    labels = {"app.kubernetes.io/component": "inference"}
    return {
        pod["metadata"]["uid"]
        for pod in cluster.plane.admin.objects("v1", "Pod", namespace=NAMESPACE, labels=labels)
        if "deletionTimestamp" not in pod["metadata"]
    }


def _uids(claim: claims.Claim) -> dict[str, str]:
    return {key: item["metadata"]["uid"] for key, item in claim.composed().items()}


def test_the_right_order_keeps_everything(cluster: OldCluster) -> None:
    """Cutover, verification, acceptance, rollback: each step of the guide."""
    cluster.apply_manifests()
    claim = cluster.claim
    claim.apply()
    claim.wait(lambda item: api.status_of(item, "Ready") == "True", what="served by 0.9.0")
    assert set(claim.composed()) == set(previous.recorded(NAME))
    deployment = api.Ref("apps/v1", "Deployment", NAME, NAMESPACE)
    cluster.plane.admin.wait_condition(deployment, "Available")
    uids, pods = _uids(claim), _pods(cluster)
    (old_revision,) = cluster.revisions()
    template = claim.one("Deployment")["spec"]["template"]

    _cut_over(cluster)
    _assert_held(cluster, uids, pods, template)
    assert claim.one("AIGatewayRoute")["metadata"]["uid"] == uids[f"{NAME}-gateway-airoute"]

    # The index-named canary went when the route no longer named it.
    assert {key for key in uids if key not in _uids(claim)} == {
        f"{NAME}-preload-job",
        f"{NAME}-gateway-aiservicebackend-canary-0",
    }

    _accept(cluster)
    assert _uids(claim)[f"{NAME}-deployment"] == uids[f"{NAME}-deployment"]
    assert _uids(claim)[f"{NAME}-service"] == uids[f"{NAME}-service"]
    assert not _pods(cluster) & pods

    _roll_back(cluster, old_revision)
    assert set(claim.composed()) == set(previous.recorded(NAME))
    assert _uids(claim)[f"{NAME}-deployment"] == uids[f"{NAME}-deployment"]
    assert _uids(claim)[f"{NAME}-service"] == uids[f"{NAME}-service"]


def _cut_over(cluster: OldCluster) -> None:
    """Install the product while the weights of the new layout are not there yet."""
    cluster.plane.kubelet.hold(NAMESPACE)
    cluster.product.configure(shipped.one(shipped.environment("reference")))
    cluster.product.install_packages()
    cluster.product.run_function()
    assert len(cluster.revisions()) == 2
    held = cluster.claim.wait_condition("Current", "False", "WeightsPending")
    assert held["status"]["phase"] == "Updating"
    assert api.status_of(held, "Synced") == "True"


def _assert_held(
    cluster: OldCluster, uids: dict[str, str], pods: set[str], template: api.Object
) -> None:
    """Pods keep running on 0.9.0's template, before and after the weights are verified."""
    claim = cluster.claim
    time.sleep(_PATIENCE)
    assert _pods(cluster) == pods
    for key in (f"{NAME}-deployment", f"{NAME}-service"):
        assert _uids(claim)[key] == uids[key]
    assert claim.one("Deployment")["spec"]["template"] == template
    cluster.plane.kubelet.release(NAMESPACE)
    claim.wait_condition("Current", "False", "PlatformChangePending")
    time.sleep(_PATIENCE)
    assert _pods(cluster) == pods
    assert claim.one("Deployment")["spec"]["template"] == template


def _accept(cluster: OldCluster) -> None:
    """Accept the change of the pods with the token that the claim prints."""
    message = claims.conditions(cluster.claim.read())["Current"][2]
    found = re.search(rf"{re.escape(ACCEPT)}=(\S+)", message)
    assert found is not None, message
    body = {"metadata": {"annotations": {ACCEPT: found.group(1).rstrip(",.;")}}}
    cluster.plane.developer.patch(cluster.claim.ref, body)
    cluster.claim.wait_ready()


def _roll_back(cluster: OldCluster, revision: str) -> None:
    """Bind the claim to 0.9.0's revision again."""
    chosen = {
        "compositionUpdatePolicy": "Manual",
        "compositionRevisionRef": {"name": revision},
    }
    cluster.plane.admin.patch(cluster.claim.ref, {"spec": {"crossplane": chosen}})
    cluster.claim.wait(
        lambda _: set(cluster.claim.composed()) == set(previous.recorded(NAME)),
        what="with the objects of 0.9.0",
    )
    wanted = previous.recorded(NAME)[f"{NAME}-deployment"]["spec"]["template"]["spec"]
    image_name = wanted["containers"][0]["image"]
    cluster.claim.wait(
        lambda _: (
            cluster.claim.one("Deployment")["spec"]["template"]["spec"]["containers"][0]["image"]
            == image_name
        ),
        what="with 0.9.0's engine",
    )
    deployment = api.Ref("apps/v1", "Deployment", NAME, NAMESPACE)
    cluster.plane.admin.wait_condition(deployment, "Available")


def test_the_wrong_order_strands_the_claims(cluster: OldCluster) -> None:
    """A pruned XRD cannot be had back, and nobody tends its claims: what the guide warns of.

    Core deletes the claims of a terminating XRD with a request that the API server does not serve
    for a namespaced kind, and waits for ever. The claim is there, and nothing that it says is done.
    """
    claim = cluster.claim
    definition = api.Ref.of(shipped.one(shipped.XRD))
    cluster.plane.admin.delete(definition)
    cluster.plane.admin.wait_condition(definition, "Established", "False")
    time.sleep(_PATIENCE)
    before = claim.one("ScaledObject")["metadata"]["resourceVersion"]
    claim.apply(scaling=claim.manifest["spec"]["scaling"] | {"maxReplicas": 9})
    claim.reconcile("stranded")
    time.sleep(_PATIENCE)
    assert claim.one("ScaledObject")["metadata"]["resourceVersion"] == before
    stuck = cluster.plane.admin.get(definition)
    assert "deletionTimestamp" in stuck["metadata"]
