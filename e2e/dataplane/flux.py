"""Flux's source-controller and helm-controller, in pods on a machine, and a chart to install.

They run by the manifests of their releases, with an administrator's rights, as Flux has them by
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
import tempfile

import yaml

from e2e.controlplane import api, plane, toolchain
from e2e.machines import site

GROUP = "flux"
NAMESPACE = "flux-system"
CHART, CHART_VERSION = "inferencepool", "1.5.0"
_IMAGES = {
    "source-controller": "ghcr.io/fluxcd/source-controller:v1.9.1",
    "helm-controller": "ghcr.io/fluxcd/helm-controller:v1.6.3",
}
_USER = 65532
_REPOSITORY = f"charts/{CHART}"
_CONFIG = "application/vnd.cncf.helm.config.v1+json"
_CONTENT = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Flux:
    """The controllers, and the chart."""

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
        """Install kinds and controllers, and wait for them.

        Raises:
            TimeoutError: One was not ready in time.
        """
        for name, image in _IMAGES.items():
            self._site.push(image, GROUP, name, user=_USER)
        self._install_kinds()
        self._admin.apply_all(_objects())
        for name in _IMAGES:
            ref = api.Ref("apps/v1", "Deployment", name, NAMESPACE)
            self._admin.wait_condition(ref, "Available", timeout=120)

    def stop(self) -> None:
        """Delete the controllers, once nobody has releases any more; idempotent."""
        for item in reversed(_objects()):
            self._admin.delete(api.Ref.of(item))

    def publish(self, namespace: str, version: str = CHART_VERSION) -> None:
        """Push the chart under a version, and have the OCIRepository of the settings fetch it.

        Args:
            namespace: The claims'.
            version: The chart's, and of its tag without the ``v``.

        Raises:
            TimeoutError: It was not fetched in time.
        """
        self._push(_packed(toolchain.directory(GROUP, "chart"), version), version)
        source = self._source(namespace, version)
        self._admin.apply(source)
        self._admin.wait(
            api.Ref.of(source),
            lambda item: (
                api.status_of(item, "Ready") == "True"
                and item["status"]["artifact"]["revision"].startswith(f"v{version}@")
            ),
            what=f"fetched at v{version}",
            timeout=120,
        )

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

    def _install_kinds(self) -> None:
        """Create the kinds that are missing; those that the product is tested with are there."""
        crds = [crd for path in toolchain.manifests(GROUP, "crds") for crd in api.load(path)]
        missing = [crd for crd in crds if self._admin.find(api.Ref.of(crd)) is None]
        for crd in missing:
            self._admin.create(crd)
        for crd in missing:
            self._admin.wait_condition(api.Ref.of(crd), "Established")


def _objects() -> list[api.Object]:
    """Namespace, rights and what the releases deploy."""
    group = "rbac.authorization.k8s.io"
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "flux-reconciler"},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": NAMESPACE}],
        },
        *(
            _deployed(item, image)
            for name, image in _IMAGES.items()
            for path in toolchain.manifests(GROUP, name)
            for item in api.load(path)
        ),
    ]


def _deployed(item: api.Object, image: str) -> api.Object:
    """An object of a release, to which kustomize would give namespace, account and image."""
    item["metadata"]["namespace"] = NAMESPACE
    if item["kind"] == "Deployment":
        pod = item["spec"]["template"]["spec"]
        pod["terminationGracePeriodSeconds"] = 1
        (container,) = pod["containers"]
        container["image"] = image
        container["args"].remove("--enable-leader-election")
        container["readinessProbe"]["periodSeconds"] = 1
    return item


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
