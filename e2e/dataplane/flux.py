"""Flux's source-controller and helm-controller, in pods on machines, and a chart to install.

Both run by the manifests of their releases, with an administrator's rights, as Flux has them by
default. The chart of inference pools is upstream's, of the version that the product names, in the
registry of the tests.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import pathlib
import tarfile

import yaml

from e2e.controlplane import api, plane, toolchain
from e2e.machines import site

GROUP = "flux"
NAMESPACE = "flux-system"
CHART, CHART_VERSION = "inferencepool", "1.5.0"
# Controllers, and the versions of their images.
_CONTROLLERS = {"source-controller": "v1.9.1", "helm-controller": "v1.6.3"}
_USER = 65532
_CONFIG = "application/vnd.cncf.helm.config.v1+json"
_CONTENT = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Flux:
    """Both controllers, and the chart."""

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
        """Publish the chart, install kinds and controllers, and wait for these.

        Raises:
            TimeoutError: A controller was not ready in time.
        """
        self.publish(CHART_VERSION)
        for name in _CONTROLLERS:
            self._site.push(_image(name), GROUP, name, user=_USER)
        self._install_kinds()
        self._admin.apply_all(_objects())
        for name in _CONTROLLERS:
            ref = api.Ref("apps/v1", "Deployment", name, NAMESPACE)
            self._admin.wait_condition(ref, "Available", timeout=120)

    def stop(self) -> None:
        """Delete the controllers, once nobody has releases any more; idempotent."""
        for item in reversed(_objects()):
            self._admin.delete(api.Ref.of(item))

    def publish(self, version: str) -> None:
        """Push the chart under a version, as `helm push` does.

        Args:
            version: The chart's, and of its tag without the ``v``.
        """
        content = _packed(toolchain.directory(GROUP, "chart"), version)
        config = json.dumps({"name": CHART, "version": version, "apiVersion": "v2"}).encode()
        layout = self._work / f"chart-{version}"
        blobs = layout / "blobs" / "sha256"
        blobs.mkdir(parents=True)

        def blob(data: bytes, kind: str) -> api.Object:
            digest = hashlib.sha256(data).hexdigest()
            (blobs / digest).write_bytes(data)
            return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}

        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": blob(config, _CONFIG),
            "layers": [blob(content, _CONTENT)],
        }
        index = {"schemaVersion": 2, "manifests": [blob(json.dumps(manifest).encode(), _MANIFEST)]}
        (layout / "index.json").write_text(json.dumps(index))
        (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        registry = self._plane.registry
        registry.crane("push", layout, registry.reference(f"charts/{CHART}", f"v{version}"))

    def source(self, namespace: str, version: str = CHART_VERSION) -> api.Object:
        """The OCIRepository that the settings name, of the registry of the tests.

        Args:
            namespace: The claims'.
            version: The chart's.
        """
        host = f"{self._site.outside}:{self._plane.registry.port}"
        return {
            "apiVersion": "source.toolkit.fluxcd.io/v1",
            "kind": "OCIRepository",
            "metadata": {"name": CHART, "namespace": namespace},
            "spec": {
                "interval": "10m",
                "url": f"oci://{host}/charts/{CHART}",
                "insecure": True,
                "ref": {"tag": f"v{version}"},
                "layerSelector": {"mediaType": _CONTENT, "operation": "copy"},
            },
        }

    def _install_kinds(self) -> None:
        """Create the kinds that are missing; those that the product is tested with are there."""
        crds = [crd for path in toolchain.manifests(GROUP, "crds") for crd in api.load(path)]
        missing = [crd for crd in crds if self._admin.find(api.Ref.of(crd)) is None]
        for crd in missing:
            self._admin.create(crd)
        for crd in missing:
            self._admin.wait_condition(api.Ref.of(crd), "Established")


def _image(controller: str) -> str:
    return f"ghcr.io/fluxcd/{controller}:{_CONTROLLERS[controller]}"


def _objects() -> list[api.Object]:
    """The manifests of both releases, which kustomize would give namespace, account and image."""
    group = "rbac.authorization.k8s.io"
    given: list[api.Object] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "flux-reconciler"},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": NAMESPACE}],
        },
    ]
    for name in _CONTROLLERS:
        for path in toolchain.manifests(GROUP, name):
            for item in api.load(path):
                item["metadata"]["namespace"] = NAMESPACE
                if item["kind"] == "Deployment":
                    pod = item["spec"]["template"]["spec"]
                    pod["terminationGracePeriodSeconds"] = 1
                    (container,) = pod["containers"]
                    container["image"] = _image(name)
                    container["args"].remove("--enable-leader-election")
                    container["readinessProbe"]["periodSeconds"] = 1
                given.append(item)
    return given


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
