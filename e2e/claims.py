"""Claims in a test's own namespace: the objects that claims need, and the state of claims."""

from __future__ import annotations

import contextlib
import copy
import pathlib
import time
import typing
from collections.abc import Callable, Iterator

from e2e import shipped
from e2e.controlplane import api, crossplane, plane, polling

REQUESTED = "crossplane.io/reconcile-requested-at"
# Names in the settings of the examples.
_VOLUMES = ("llm-models", "model-weights")
_DEFINITION = api.Ref(
    "apiextensions.k8s.io/v1", "CustomResourceDefinition", "inferenceservices.cloud.ogenki.io"
)
_PRELOAD_ACCOUNT = "xplane-llm-models-preload"
# The label of core's controller of claims, and the histogram of its reconciles, in core's metrics.
CONTROLLER = "composite/inferenceservices.cloud.ogenki.io"
DURATION = "controller_runtime_reconcile_time_seconds"


class Tenant:
    """A developer's namespace, with what the installation guide asks for in it.

    Attributes:
        namespace: Its name.
    """

    def __init__(
        self,
        control_plane: plane.ControlPlane,
        namespace: str,
        directory: pathlib.Path | None = None,
    ) -> None:
        """Use an existing namespace.

        Args:
            control_plane: The control plane.
            namespace: The namespace.
            directory: What the volumes hold, for pods that really run; by default volumes are names
                and nothing else.
        """
        self.namespace = namespace
        self.plane = control_plane
        self._directory = directory

    def prepare(self) -> None:
        """Make the volumes and their bound claims, the hub token and the preload's account.

        Volumes belong to no namespace: when one step fails, this method deletes the volumes.
        """
        try:
            self._prepare()
        except BaseException:
            self.clean()
            raise

    def _prepare(self) -> None:
        admin = self.plane.admin
        for name in _VOLUMES:
            admin.create(self._volume(name))
            self.plane.developer.apply(self._volume_claim(name))
        for name in _VOLUMES:
            admin.wait(
                api.Ref("v1", "PersistentVolumeClaim", name, self.namespace),
                lambda item: bool(item["status"].get("phase") == "Bound"),
                what="bound",
            )
        self.plane.developer.apply(
            self._object("Secret", "hf-token") | {"stringData": {"HF_TOKEN": "x"}}
        )
        self.plane.developer.apply(self._object("ServiceAccount", _PRELOAD_ACCOUNT))

    def _object(self, kind: str, name: str) -> api.Object:
        metadata = {"name": name, "namespace": self.namespace}
        return {"apiVersion": "v1", "kind": kind, "metadata": metadata}

    def _volume(self, name: str) -> api.Object:
        source: api.Object = {
            "csi": {"driver": "shared.example.org", "volumeHandle": self.namespace}
        }
        if self._directory is not None:
            source = {"hostPath": {"path": str(self._directory), "type": "Directory"}}
        return {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": f"{self.namespace}-{name}"},
            "spec": {
                "capacity": {"storage": "100Gi"},
                "accessModes": ["ReadWriteMany"],
                "claimRef": {"name": name, "namespace": self.namespace},
            }
            | source,
        }

    def _volume_claim(self, name: str) -> api.Object:
        return self._object("PersistentVolumeClaim", name) | {
            "spec": {
                "accessModes": ["ReadWriteMany"],
                "storageClassName": "",
                "volumeName": f"{self.namespace}-{name}",
                "resources": {"requests": {"storage": "100Gi"}},
            }
        }

    def clean(self) -> None:
        """Delete every claim and wait until they are gone; delete the volumes."""
        for item in self.claims():
            self.plane.admin.delete(api.Ref.of(item))
        polling.until(
            lambda: not self.claims(),
            what=f"the end of the claims in {self.namespace}",
            timeout=60,
            ignore=(api.ApiError, *api.UNREACHABLE),
        )
        for name in _VOLUMES:
            ref = api.Ref("v1", "PersistentVolume", f"{self.namespace}-{name}")
            self.plane.admin.delete(ref)

    def claims(self) -> list[api.Object]:
        """The claims of the namespace, as the API server has them now."""
        return self.plane.admin.objects(shipped.API_VERSION, shipped.KIND, namespace=self.namespace)

    def deleted(self, since: int) -> set[tuple[str, str]]:
        """Resource and name of each object of the namespace that Crossplane deleted since a mark.

        Args:
            since: A mark of the audit log.
        """
        return {
            (write.resource, write.name)
            for write in self.plane.api.audit.writes(since)
            if write.user == crossplane.USER
            and write.verb == "delete"
            and write.code < 400
            and write.namespace == self.namespace
        }

    def ended_pods(self, since: int) -> set[str]:
        """Names of the engines' pods of the namespace that any user deleted since a mark.

        Args:
            since: A mark of the audit log.
        """
        return {
            write.name
            for write in self.plane.api.audit.writes(since)
            if write.resource == "pods"
            and write.verb in ("delete", "deletecollection")
            and write.namespace == self.namespace
            and "-preload-" not in write.name
        }

    def inventory(self) -> set[str]:
        """Resource and name of every object of the namespace, of every kind but events.

        Raises:
            RuntimeError: kubectl failed.
        """
        resources = self._kubectl(
            "api-resources", "--namespaced=true", "--verbs=list", "-o", "name"
        )
        kinds = [name for name in resources if name.partition(".")[0] != "events"]
        return set(self._kubectl("-n", self.namespace, "get", ",".join(kinds), "-o", "name"))

    def _kubectl(self, *arguments: str) -> list[str]:
        done = self.plane.kubectl(*arguments)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        return done.stdout.split()

    def claim(self, manifest: api.Object) -> Claim:
        """A claim of this namespace, not yet applied."""
        moved = copy.deepcopy(manifest)
        moved["metadata"]["namespace"] = self.namespace
        return Claim(self, moved)

    def example(self, name: str) -> Claim:
        """One of the example claims, not yet applied."""
        return self.claim(shipped.one(shipped.ROOT / "examples" / "claims" / f"{name}.yaml"))


class Claim:
    """One claim, written by the developer.

    Attributes:
        manifest: What the developer's file says.
        ref: Kind, name and namespace of the claim.
    """

    def __init__(self, tenant: Tenant, manifest: api.Object) -> None:
        """Keep the manifest; ``apply`` applies it."""
        self.manifest = manifest
        self.ref = api.Ref.of(manifest)
        self.plane = tenant.plane

    @property
    def name(self) -> str:
        """Its name."""
        return self.ref.name

    def apply(self, **spec: typing.Any) -> Claim:
        """Apply the manifest as the developer, with some fields of its spec replaced.

        Raises:
            api.ApiError: Admission refused it.
        """
        self.manifest["spec"] |= spec
        self.plane.developer.apply(self.manifest)
        return self

    def delete(self) -> None:
        """Delete it as the developer."""
        self.plane.developer.delete(self.ref)

    def read(self) -> api.Object:
        """The claim, as the API server has it now."""
        return self.plane.developer.get(self.ref)

    def wait(
        self, condition: Callable[[api.Object], bool], *, what: str, timeout: float = 90
    ) -> api.Object:
        """Wait until the claim fulfils a condition, and return the claim."""
        return self.plane.developer.wait(self.ref, condition, what=what, timeout=timeout)

    def wait_phase(self, phase: str, *, timeout: float = 90) -> api.Object:
        """Wait for a phase."""
        return self.wait(
            lambda item: bool((item.get("status") or {}).get("phase") == phase),
            what=f"in phase {phase}",
            timeout=timeout,
        )

    def wait_condition(self, kind: str, status: str, reason: str = "") -> api.Object:
        """Wait for a condition to have a status and, when given, a reason."""

        def fulfilled(item: api.Object) -> bool:
            condition = conditions(item).get(kind)
            return condition is not None and condition[0] == status and reason in ("", condition[1])

        return self.wait(fulfilled, what=f"with {kind}={status} {reason}")

    def wait_ready(self, *, timeout: float = 120) -> api.Object:
        """Wait until Ready, Synced and Current are True and observe the claim's generation."""

        def fulfilled(item: api.Object) -> bool:
            states = {kind: condition[0] for kind, condition in conditions(item).items()}
            status = item.get("status") or {}
            if status.get("observedGeneration") != item["metadata"]["generation"]:
                return False  # the status is about an older generation
            return {"True"} == {states.get(kind) for kind in ("Ready", "Synced", "Current")}

        return self.wait(fulfilled, what="ready, synced and current", timeout=timeout)

    def reconcile(self, mark: str) -> None:
        """Make core reconcile the claim now, by the annotation that an administrator may set."""
        body = {"metadata": {"annotations": {REQUESTED: mark}}}
        self.plane.admin.patch(self.ref, body)

    def composed(self) -> dict[str, api.Object]:
        """The composed objects by key, as the API server has them now."""
        admin = self.plane.admin
        refs = self.read()["spec"].get("crossplane", {}).get("resourceRefs", [])
        objects = [
            admin.find(api.Ref(ref["apiVersion"], ref["kind"], ref["name"], self.ref.namespace))
            for ref in refs
        ]
        return {
            item["metadata"]["annotations"][shipped.KEY]: item
            for item in objects
            if item is not None
        }

    def kinds(self) -> set[str]:
        """The kinds of the composed objects."""
        return {item["kind"] for item in self.composed().values()}

    def one(self, kind: str) -> api.Object:
        """The only composed object of a kind."""
        (item,) = [item for item in self.composed().values() if item["kind"] == kind]
        return item


def conditions(item: api.Object) -> dict[str, tuple[str, str, str]]:
    """Status, reason and message of each condition by type."""
    return {
        entry["type"]: (entry["status"], entry["reason"], entry.get("message", ""))
        for entry in (item.get("status") or {}).get("conditions") or []
    }


@contextlib.contextmanager
def without_rules(control_plane: plane.ControlPlane) -> Iterator[None]:
    """The API server accepts anything for a claim; Crossplane, stopped, does not mend that."""
    control_plane.crossplane.stop()
    admin = control_plane.admin
    try:
        crd = admin.get(_DEFINITION)
        versions = copy.deepcopy(crd["spec"]["versions"])
        for version in crd["spec"]["versions"]:
            version["schema"]["openAPIV3Schema"] = {
                "type": "object",
                "x-kubernetes-preserve-unknown-fields": True,
            }
        admin.replace(crd)
        time.sleep(2)  # another schema is served a moment later
        yield
        admin.patch(_DEFINITION, {"spec": {"versions": versions}})
        time.sleep(2)
    finally:
        control_plane.crossplane.start()


def reconciles(control_plane: plane.ControlPlane) -> float:
    """How many reconciles of claims core has ended since its start."""
    return _metric(control_plane.crossplane.metrics(), f"{DURATION}_count")


def settle(control_plane: plane.ControlPlane, *, timeout: float = 900) -> None:
    """Wait until core runs no reconcile of a claim, and has ended none for three seconds.

    A claim in its final state may still be written. Each reconcile applies the conditions that
    core's cache shows. The cache may show the conditions from before core's last write; then the
    reconcile writes them and causes another reconcile.
    """
    ended = -1.0

    def still() -> bool:
        nonlocal ended
        text = control_plane.crossplane.metrics()
        last, ended = ended, _metric(text, f"{DURATION}_count")
        return last == ended and not _metric(text, "controller_runtime_active_workers")

    polling.until(still, what="an end of the reconciles", timeout=timeout, interval=3)


def _metric(text: str, name: str) -> float:
    """One sample of core's controller of claims, without a parse of the whole exposition."""
    start = f'{name}{{controller="{CONTROLLER}"}} '
    (value,) = [line.removeprefix(start) for line in text.splitlines() if line.startswith(start)]
    return float(value)
