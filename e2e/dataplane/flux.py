"""Flux's helm-controller, in a pod on a machine, and a chart to install.

It runs by the manifest of its release, with an administrator's rights, as Flux has them by default.
The chart of inference pools is upstream's, of the version that the product names, in the registry
of the tests. That an OCIRepository was fetched is said by a stand-in for source-controller, which
has the archive downloaded from that registry.
"""

from __future__ import annotations

import datetime
import gzip
import hashlib
import io
import json
import pathlib
import tarfile
import tempfile

import yaml

from e2e.controlplane import api, plane, toolchain
from e2e.machines import site

GROUP = "flux"
NAMESPACE = "flux-system"
CHART, CHART_VERSION = "inferencepool", "1.5.0"
_CONTROLLER = api.Ref("apps/v1", "Deployment", "helm-controller", NAMESPACE)
_IMAGE = "ghcr.io/fluxcd/helm-controller:v1.6.3"
_USER = 65532
_REPOSITORY = f"charts/{CHART}"
_CONFIG = "application/vnd.cncf.helm.config.v1+json"
_CONTENT = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Flux:
    """The controller, and the chart."""

    def __init__(
        self, control_plane: plane.ControlPlane, place: site.Site, work: pathlib.Path
    ) -> None:
        """Describe it.

        Args:
            control_plane: The control plane.
            place: The machines, which run.
            work: For files.
        """
        self._plane = control_plane
        self._admin = control_plane.admin
        self._site = place
        self._work = work

    def start(self) -> None:
        """Install kinds and controller, and wait for it.

        Raises:
            TimeoutError: It was not ready in time.
        """
        self._site.push(_IMAGE, GROUP, _CONTROLLER.name, user=_USER)
        self._install_kinds()
        self._admin.apply_all(_objects())
        self._admin.wait_condition(_CONTROLLER, "Available", timeout=120)

    def stop(self) -> None:
        """Delete the controller, once nobody has releases any more; idempotent."""
        for item in reversed(_objects()):
            self._admin.delete(api.Ref.of(item))

    def publish(self, namespace: str, version: str = CHART_VERSION) -> None:
        """Push the chart under a version, and let the OCIRepository of the settings have it.

        Args:
            namespace: The claims'.
            version: The chart's, and of its tag without the ``v``.
        """
        content = _packed(toolchain.directory(GROUP, "chart"), version)
        self._push(content, version)
        source = self._source(namespace, version)
        self._admin.apply(source)
        self._tell(api.Ref.of(source), content, version)

    def withdraw(self, namespace: str) -> None:
        """Delete the OCIRepository."""
        self._admin.delete(api.Ref.of(self._source(namespace, CHART_VERSION)))

    def _push(self, content: bytes, version: str) -> None:
        """Push an archive as `helm push` does."""
        config = json.dumps({"name": CHART, "version": version, "apiVersion": "v2"}).encode()
        with tempfile.TemporaryDirectory(dir=self._work) as scratch:
            layout = pathlib.Path(scratch)
            blobs = layout / "blobs" / "sha256"
            blobs.mkdir(parents=True)

            def blob(data: bytes, kind: str) -> api.Object:
                (blobs / _digest(data)).write_bytes(data)
                return {"mediaType": kind, "digest": f"sha256:{_digest(data)}", "size": len(data)}

            manifest = {
                "schemaVersion": 2,
                "mediaType": _MANIFEST,
                "config": blob(config, _CONFIG),
                "layers": [blob(content, _CONTENT)],
            }
            top = blob(json.dumps(manifest).encode(), _MANIFEST)
            (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [top]}))
            (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
            registry = self._plane.registry
            registry.crane("push", layout, registry.reference(_REPOSITORY, f"v{version}"))

    @property
    def _host(self) -> str:
        """The registry, as pods reach it."""
        return f"{self._site.outside}:{self._plane.registry.port}"

    def _source(self, namespace: str, version: str) -> api.Object:
        return {
            "apiVersion": "source.toolkit.fluxcd.io/v1",
            "kind": "OCIRepository",
            "metadata": {"name": CHART, "namespace": namespace},
            "spec": {
                "interval": "10m",
                "url": f"oci://{self._host}/{_REPOSITORY}",
                "insecure": True,
                "ref": {"tag": f"v{version}"},
                "layerSelector": {"mediaType": _CONTENT, "operation": "copy"},
            },
        }

    def _tell(self, ref: api.Ref, content: bytes, version: str) -> None:
        """Write what source-controller would say of a source that it fetched."""
        digest = _digest(content)
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        generation = self._admin.get(ref)["metadata"]["generation"]
        status = {
            "observedGeneration": generation,
            "conditions": [
                {
                    "type": "Ready",
                    "status": "True",
                    "reason": "Succeeded",
                    "message": f"stored artifact for v{version}",
                    "observedGeneration": generation,
                    "lastTransitionTime": now,
                }
            ],
            "artifact": {
                "digest": f"sha256:{digest}",
                "lastUpdateTime": now,
                "path": f"ocirepository/{ref.namespace}/{ref.name}/{digest}.tar.gz",
                "revision": f"v{version}@sha256:{digest}",
                "size": len(content),
                "url": f"http://{self._host}/v2/{_REPOSITORY}/blobs/sha256:{digest}",
            },
        }
        self._admin.patch(ref, {"status": status}, subresource="status")

    def _install_kinds(self) -> None:
        """Create the kinds that are missing; those that the product is tested with are there."""
        crds = [crd for path in toolchain.manifests(GROUP, "crds") for crd in api.load(path)]
        missing = [crd for crd in crds if self._admin.find(api.Ref.of(crd)) is None]
        for crd in missing:
            self._admin.create(crd)
        for crd in missing:
            self._admin.wait_condition(api.Ref.of(crd), "Established")


def _objects() -> list[api.Object]:
    """The manifest of the release, to which kustomize would give namespace, account and image."""
    group = "rbac.authorization.k8s.io"
    (item,) = [item for path in toolchain.manifests(GROUP, "objects") for item in api.load(path)]
    item["metadata"]["namespace"] = NAMESPACE
    pod = item["spec"]["template"]["spec"]
    pod["terminationGracePeriodSeconds"] = 1
    (container,) = pod["containers"]
    container["image"] = _IMAGE
    container["args"].remove("--enable-leader-election")
    container["readinessProbe"]["periodSeconds"] = 1
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "flux-reconciler"},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": NAMESPACE}],
        },
        item,
    ]


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _packed(directory: pathlib.Path, version: str) -> bytes:
    """The archive of a chart, with its version; the same bytes for the same files."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as outer,
        tarfile.open(fileobj=outer, mode="w") as archive,
    ):
        for path in sorted(directory.rglob("*")):
            if not path.is_file():
                continue
            data = path.read_bytes()
            if path.parent == directory and path.name == "Chart.yaml":
                data = yaml.safe_dump(yaml.safe_load(data) | {"version": version}).encode()
            member = tarfile.TarInfo(f"{CHART}/{path.relative_to(directory)}")
            member.size, member.mode = len(data), 0o644
            archive.addfile(member, io.BytesIO(data))
    return packed.getvalue()
