"""Flux's controllers, in pods on a machine, a chart to install and files to apply.

They run by the manifests of their releases, with an administrator's rights, as Flux has them by
default. The chart of inference pools is upstream's, of the version that the product names, in the
registry of the tests.
"""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import json
import pathlib
import tarfile
import tempfile
from collections.abc import Mapping, Sequence

import yaml

from e2e import shipped
from e2e.controlplane import api, plane, toolchain
from e2e.machines import site
from tests.docs import pages

GROUP = "flux"
NAMESPACE = "flux-system"
CHART, CHART_VERSION = "inferencepool", "1.5.0"
_IMAGES = {
    "source-controller": "ghcr.io/fluxcd/source-controller:v1.9.1",
    "helm-controller": "ghcr.io/fluxcd/helm-controller:v1.6.3",
    "kustomize-controller": "ghcr.io/fluxcd/kustomize-controller:v1.9.6",
}
_USER = 65532
_SOURCE = "source.toolkit.fluxcd.io/v1"
_PAGE = shipped.ROOT / "docs/recipes.md"
KUSTOMIZATION = api.Ref(
    "kustomize.toolkit.fluxcd.io/v1", "Kustomization", "inference-service-claims", NAMESPACE
)
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclasses.dataclass(frozen=True)
class _Kind:
    """Artifacts of a kind: repository, and the media types of configuration and content."""

    repository: str
    config: str
    content: str


_CHARTS = _Kind(
    f"charts/{CHART}",
    "application/vnd.cncf.helm.config.v1+json",
    "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
)
# As `flux push artifact` makes them.
_FILES = _Kind(
    "files/claims",
    "application/vnd.cncf.flux.config.v1+json",
    "application/vnd.cncf.flux.content.v1.tar+gzip",
)


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
        self._admin.install_kinds(
            crd for path in toolchain.manifests(GROUP, "crds") for crd in api.load(path)
        )
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
        self._push(
            _CHARTS,
            {"name": CHART, "version": version, "apiVersion": "v2"},
            _packed(_chart(version)),
            f"v{version}",
        )
        self._fetch(self._source(namespace, version), f"v{version}")

    def commit(self, files: Mapping[str, Sequence[api.Object]]) -> None:
        """Let the Kustomization of ``docs/recipes.md`` have other files, as from a new commit.

        Args:
            files: Objects by the name of their file.

        Raises:
            TimeoutError: They were not fetched in time.
        """
        texts = {name: api.dump(items).encode() for name, items in files.items()}
        content = _packed(texts)
        tag = _digest(content)[:12]
        self._push(_FILES, {}, content, tag)
        source = {
            "apiVersion": _SOURCE,
            "kind": "OCIRepository",
            "metadata": {"name": "claims", "namespace": NAMESPACE},
            "spec": {
                "interval": "10m",
                "url": f"oci://{self._host}/{_FILES.repository}",
                "insecure": True,
                "ref": {"tag": tag},
            },
        }
        self._fetch(source, tag)
        self._admin.apply(_kustomization())

    def applied(self) -> tuple[str, str]:
        """Status and words of what the Kustomization says of the newest files."""
        item = self._admin.get(KUSTOMIZATION)
        source = self._admin.get(api.Ref(_SOURCE, "OCIRepository", "claims", NAMESPACE))
        newest = source["status"]["artifact"]["revision"]
        status = item.get("status") or {}
        if status.get("lastAttemptedRevision") != newest:
            return ("Unknown", "")
        (ready,) = [one for one in status["conditions"] if one["type"] == "Ready"]
        return (ready["status"], ready["message"])

    def forget(self) -> None:
        """Delete the Kustomization, and with it what it applied."""
        self._admin.delete(KUSTOMIZATION)
        self._admin.wait_gone(KUSTOMIZATION, timeout=120)

    def _fetch(self, source: api.Object, tag: str) -> None:
        self._admin.apply(source)
        self._admin.wait(
            api.Ref.of(source),
            lambda item: (
                api.status_of(item, "Ready") == "True"
                and item["status"]["artifact"]["revision"].startswith(f"{tag}@")
            ),
            what=f"fetched at {tag}",
            timeout=120,
        )

    def withdraw(self, namespace: str) -> None:
        """Delete the OCIRepository."""
        self._admin.delete(api.Ref.of(self._source(namespace, CHART_VERSION)))

    def _push(self, kind: _Kind, config: api.Object, content: bytes, tag: str) -> None:
        """Push an archive."""
        with tempfile.TemporaryDirectory(dir=self._work) as scratch:
            layout = pathlib.Path(scratch)
            blobs = layout / "blobs" / "sha256"
            blobs.mkdir(parents=True)

            def blob(data: bytes, media: str) -> api.Object:
                (blobs / _digest(data)).write_bytes(data)
                return {"mediaType": media, "digest": f"sha256:{_digest(data)}", "size": len(data)}

            manifest = {
                "schemaVersion": 2,
                "mediaType": _MANIFEST,
                "config": blob(json.dumps(config).encode(), kind.config),
                "layers": [blob(content, kind.content)],
            }
            top = blob(json.dumps(manifest).encode(), _MANIFEST)
            (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [top]}))
            (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
            registry = self._plane.registry
            registry.crane("push", layout, registry.reference(kind.repository, tag))

    @property
    def _host(self) -> str:
        """The registry, as pods reach it."""
        return f"{self._site.outside}:{self._plane.registry.port}"

    def _source(self, namespace: str, version: str) -> api.Object:
        return {
            "apiVersion": _SOURCE,
            "kind": "OCIRepository",
            "metadata": {"name": CHART, "namespace": namespace},
            "spec": {
                "interval": "10m",
                "url": f"oci://{self._host}/{_CHARTS.repository}",
                "insecure": True,
                "ref": {"tag": f"v{version}"},
                "layerSelector": {"mediaType": _CHARTS.content, "operation": "copy"},
            },
        }


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


def _kustomization() -> api.Object:
    """The one of the claims on the page, of files that no git server has."""
    (item,) = [
        one
        for one in pages.documents(_PAGE)
        if one["kind"] == KUSTOMIZATION.kind and one["metadata"]["name"] == KUSTOMIZATION.name
    ]
    del item["spec"]["dependsOn"]
    changed = {
        "path": "./",
        "sourceRef": {"kind": "OCIRepository", "name": "claims"},
        "retryInterval": "10s",
    }
    return item | {"spec": item["spec"] | changed}


def _chart(version: str) -> Mapping[str, bytes]:
    """The files of the chart, with a version."""
    directory = toolchain.directory(GROUP, "chart")
    files = {
        f"{CHART}/{path.relative_to(directory)}": path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }
    top = f"{CHART}/Chart.yaml"
    return files | {top: yaml.safe_dump(yaml.safe_load(files[top]) | {"version": version}).encode()}


def _packed(files: Mapping[str, bytes]) -> bytes:
    """An archive of files; the same bytes for the same files."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as outer,
        tarfile.open(fileobj=outer, mode="w") as archive,
    ):
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o644
            archive.addfile(member, io.BytesIO(data))
    return packed.getvalue()
