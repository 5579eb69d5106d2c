"""The product on the control plane, installed from its packages as a user would."""

from __future__ import annotations

import dataclasses
import pathlib
import shutil
import time
import typing
from collections.abc import Sequence

from e2e import containers, function, guide, shipped
from e2e.controlplane import api, crossplane, nodes, plane, polling, process
from tools import image, package

# Where the settings of the examples place pods, as Karpenter or the GPU operator labels nodes.
L4_NODES = tuple(f"l4-{index}" for index in range(8))
NODES: Sequence[nodes.Node] = (
    *(
        nodes.Node(name, gpus=1, cpu="64", labels={"karpenter.sh/nodepool": "gpu-l4"})
        for name in L4_NODES
    ),
    nodes.Node(
        "l40s-0",
        gpus=8,
        cpu="128",
        memory="768Gi",
        labels={"nvidia.com/gpu.product": "NVIDIA-L40S"},
    ),
)
_PKG = "pkg.crossplane.io/v1"
_SETTINGS = "apiextensions.crossplane.io/v1beta1"
_GRPC_PORT = 9443
# Core reads EnvironmentConfigs from a cache that follows a moment later.
_CACHE_SECONDS = 3


class Installation:
    """Both packages in the registry, the Configuration installed, the function running.

    This class does the kubelet's work. The function runs in the file system of its image, with the
    image's command and the environment and arguments of Crossplane's Deployment. The function
    listens at the address to which core resolves the name of the function's Service.

    Attributes:
        guide: The installation guide, which installs, upgrades and removes.
        release: The installed release.
        function: The running function.
    """

    def __init__(self, control_plane: plane.ControlPlane, work: pathlib.Path) -> None:
        """Describe it; ``install`` does it."""
        self._plane = control_plane
        self._work = work
        self.guide = guide.Guide(control_plane, work)
        exported = self.guide.variables
        self.release = package.Release(exported["REGISTRY"], exported["VERSION"])
        self._newest = self.release.version
        self.function: function.Function
        self._container: containers.Container
        self._addresses: dict[str, str] = {}

    def install(self) -> None:
        """Follow the installation guide up to the settings, which are the tests' own.

        Raises:
            TimeoutError: Something did not become healthy.
            guide.GuideError: A command of the guide failed.
        """
        self.apply_roles()
        self.install_packages()
        self.run_function()
        for node in NODES:
            self._plane.kubelet.add(node)

    def install_packages(self) -> None:
        """Push both packages and install the Configuration.

        Raises:
            TimeoutError: Something did not become healthy.
            guide.GuideError: A command of the guide failed.
        """
        self.publish(self.release.version)
        self.guide.run("3. Runtime", "4. Configuration")
        self.wait_kind()

    def publish(self, version: str) -> None:
        """Build and push everything of this tree under a version, and remember what it is."""
        self.guide.run("1. Packages", variables={"VERSION": version})
        (preload,) = [line for line in self.guide.pushed() if f"/{package.PRELOAD}:" in line]
        self.release = package.Release(self.release.target, version, preload)

    def _publish_other(self, version: str, runtime: pathlib.Path) -> None:
        """Push packages of this tree with another image of the function's in them."""
        release = dataclasses.replace(self.release, version=version)
        built = package.make(release, {image.native(): runtime}, self._work / version)
        package.push(release, built)
        self.release = release

    def apply_roles(self) -> None:
        """Let Crossplane write the kinds that are composed."""
        self.guide.run("2. Roles")
        polling.until(
            lambda: self._plane.crossplane.may("create", "batch", "jobs", "default"),
            what="the aggregation of the product's role",
            timeout=30,
        )

    def wait_kind(self) -> None:
        """Wait until the kind of the claims is served, and developers may write it.

        Raises:
            TimeoutError: It was not.
        """
        admin = self._plane.admin
        definition = api.Ref.of(shipped.one(shipped.XRD))
        admin.wait_condition(definition, "Established")
        # Developers get their rights on the kind from the RBAC manager a moment later.
        role = "crossplane:composite:inferenceservices.cloud.ogenki.io:aggregate-to-edit"
        admin.wait(api.Ref("rbac.authorization.k8s.io/v1", "ClusterRole", role), bool, what="there")

    def upgrade(self, runtime: pathlib.Path | None = None) -> None:
        """Install both packages of this tree as a new patch release.

        Args:
            runtime: Tarball of another image than this tree's; ``replace_function`` runs it.

        Raises:
            guide.GuideError: A command of the guide failed.
        """
        kept, _, patch = self._newest.rpartition(".")
        version = self._newest = f"{kept}.{int(patch) + 1}"
        if runtime is None:
            self.publish(version)
        else:
            self._publish_other(version, runtime)
        self.guide.run("Upgrade", variables={"VERSION": version})

    def remove(self) -> None:
        """Remove the product, every claim first.

        Raises:
            guide.GuideError: A command of the guide failed.
        """
        self.guide.run("Remove")

    def configure(self, settings: api.Object) -> None:
        """Make ``settings`` the only EnvironmentConfig of the site."""
        admin = self._plane.admin
        present = admin.objects(_SETTINGS, "EnvironmentConfig")
        if [_content(item) for item in present] == [_content(settings)]:
            return
        for item in present:
            if item["metadata"]["name"] != settings["metadata"]["name"]:
                admin.delete(api.Ref.of(item))
        current = admin.find(api.Ref.of(settings))
        version = current["metadata"]["resourceVersion"] if current else None
        metadata = settings["metadata"] | ({"resourceVersion": version} if version else {})
        # A replace removes a setting that the file no longer holds; an apply would not.
        write = admin.replace if current else admin.create
        write(settings | {"metadata": metadata})
        time.sleep(_CACHE_SECONDS)

    def revision(self) -> api.Object:
        """The active revision of the Function."""
        return active(self._plane.admin, self.release.function_name)

    def _pod(self) -> api.Object:
        """The container of the Deployment that Crossplane made of the active revision."""
        name = self.revision()["metadata"]["name"]
        ref = api.Ref("apps/v1", "Deployment", name, crossplane.NAMESPACE)
        made = self._plane.admin.wait(ref, bool, what="there")
        (container,) = made["spec"]["template"]["spec"]["containers"]
        return typing.cast("api.Object", container)

    @property
    def _certificates(self) -> pathlib.Path:
        """Where the function's certificates are."""
        (mount,) = self._pod()["volumeMounts"]
        return self._container.root / str(mount["mountPath"]).removeprefix("/")

    def write_certificates(self) -> None:
        """Give the function the files of its server Secret as they are now."""
        name = self.revision()["spec"]["tlsServerSecretName"]
        ref = api.Ref("v1", "Secret", name, crossplane.NAMESPACE)
        crossplane.write_secret(self._plane.admin, ref, self._certificates)
        self._container.give(self._certificates)

    def run_function(self) -> None:
        """Unpack the image and run it where core resolves the Function's Service to."""
        self._run(self.resolve(self.release.function_name))

    def replace_function(self) -> None:
        """Run the image that is installed now in place of the one that runs."""
        self.stop()
        shutil.rmtree(self._container.root)
        self._run(self.function.address)

    def run_instead(self, *command: str) -> None:
        """Run another program where core looks for the function, until ``replace_function``."""
        self.stop()
        self.function = function.Function(
            self._plane.logs,
            name="instead",
            address=self.function.address,
            command=command,
            security=("--tls-server-certs-dir", str(self._certificates)),
        )
        self.function.process.start()

    def _run(self, address: str) -> None:
        """Run the image with what its pod would have, but at an address of this machine's."""
        reference = self.release.reference(package.FUNCTION)
        registry = self._plane.registry
        self._container = containers.Container(registry, reference, self._work / "root")
        self.write_certificates()
        pod = self._pod()
        given = {entry["name"]: entry["value"] for entry in pod["env"] if "value" in entry}
        self.function = function.Function(
            self._plane.logs,
            address=address,
            command=[*self._container.command(given), *pod.get("args", ())],
            security=(),
        )
        self.function.process.start()

    def resolve(self, name: str) -> str:
        """Let core resolve the Service of a Function to a loopback address, and return where."""
        address = _free_address()
        endpoint: str = active(self._plane.admin, name)["status"]["endpoint"]
        self._addresses[endpoint.removeprefix("dns:///").rpartition(":")[0]] = address
        self._plane.crossplane.resolve(self._addresses)
        return f"{address}:{_GRPC_PORT}"

    def stop(self) -> None:
        """Stop the function, if it ever ran."""
        if hasattr(self, "function"):
            self.function.process.stop()


def _content(settings: api.Object) -> tuple[object, ...]:
    """Name, labels and data of an EnvironmentConfig."""
    metadata = settings["metadata"]
    return metadata["name"], metadata.get("labels"), settings.get("data")


def active(admin: api.Client, name: str) -> api.Object:
    """The active revision of a Function.

    Raises:
        ValueError: No revision is active.
    """
    (revision,) = [
        item
        for item in admin.objects(
            _PKG, "FunctionRevision", labels={"pkg.crossplane.io/package": name}
        )
        if item["spec"]["desiredState"] == "Active"
    ]
    return revision


def _free_address() -> str:
    """A loopback address that no other process uses, made of the number of a free port."""
    (port,) = process.free_ports(1)
    return f"127.94.{port // 256}.{port % 256}"
