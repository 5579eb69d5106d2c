"""A control plane that ran 0.9.0, with Flux, another Configuration and the shared volume.

`OldCluster` has the pipeline of 0.9.0 with `e2e.previous` in the place of function-kcl. Everything
that it composed was applied by Crossplane itself, so that ownership, field managers and names are
what a live cluster has, and the claims were stored under 0.9.0's schema, with its defaults.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import threading
from collections.abc import Mapping

from e2e import claims, function, installation, previous, shipped
from e2e.controlplane import api, crossplane, plane, polling
from tests.preload import hub_server
from tools import image, package

CODER = "xplane-qwen-coder"
GENERAL = "xplane-qwen3-8b"
NAMES = (CODER, GENERAL)
NAMESPACE = "llm"
DEFINITION = api.Ref.of(shipped.one(shipped.XRD))
COMPOSITION = api.Ref.of(shipped.one(shipped.COMPOSITION))
PLATFORM = "crossplane-configuration-core"
_FUNCTION = "function-kcl"
_PKG = "pkg.crossplane.io/v1"
_PRUNE = "kustomize.toolkit.fluxcd.io/prune"


def definition() -> api.Object:
    """The XRD of 0.9.0."""
    return shipped.one(pathlib.Path(__file__).with_name("previous-xrd.yaml"))


def composition() -> api.Object:
    """The Composition of 0.9.0, with the one step that matters."""
    item = shipped.one(shipped.COMPOSITION)
    item["spec"]["pipeline"] = [{"step": "kcl", "functionRef": {"name": _FUNCTION}}]
    return item


class OldCluster:
    """A control plane with the pipeline of 0.9.0.

    Attributes:
        plane: The control plane.
        product: This product, not installed yet.
        function: The old function.
        claims: The claims whose objects were recorded, by name.
    """

    def __init__(self, control_plane: plane.ControlPlane, work: pathlib.Path) -> None:
        """Describe it; ``prepare`` makes it."""
        self.plane = control_plane
        self.product = installation.Installation(control_plane, work / "product")
        self._work = work
        self.tenant = claims.Tenant(control_plane, NAMESPACE)
        self.claims: dict[str, claims.Claim] = {}
        self.function: function.Function

    def prepare(self) -> None:
        """Install the old function, run it, make the claims' namespace, publish the product."""
        self._install_function()
        self.product.apply_roles()
        for node in installation.NODES:
            self.plane.kubelet.add(node)
        self.plane.namespace(NAMESPACE)
        self.tenant.prepare()
        self.product.publish(self.product.release.version)

    def install_product(self) -> None:
        """Install what was published, as the guide says, and run it."""
        self.product.guide.run("3. Runtime", "4. Configuration")
        self.product.wait_kind()
        if hasattr(self.product, "function"):
            self.product.write_certificates()
        else:
            self.product.run_function()

    def _install_function(self) -> None:
        """Push a package of the old function's name, install it, and run it in its place."""
        # Nothing of the image runs: its pod is on paper.
        runtime = f"--embed-runtime-image-tarball={image.cached('function')}"
        reference = self._push("Function", _FUNCTION, "v0.12.1", {}, runtime)
        self.install("Function", _FUNCTION, reference)
        admin = self.plane.admin
        certificates = self._work / "certificates"
        name = installation.active(admin, _FUNCTION)["spec"]["tlsServerSecretName"]
        secret = api.Ref("v1", "Secret", name, crossplane.NAMESPACE)
        crossplane.write_secret(admin, secret, certificates)
        self.function = function.Function(
            self.plane.logs,
            name=_FUNCTION,
            security=("--tls-server-certs-dir", str(certificates)),
            address=self.product.resolve(_FUNCTION),
            command=(sys.executable, "-m", "e2e.previous"),
        )
        self.function.process.start()

    def _push(
        self, kind: str, name: str, version: str, files: Mapping[str, api.Object], *flags: str
    ) -> str:
        """Build a package with some objects, push it, and return its reference."""
        meta = {
            "apiVersion": "meta.pkg.crossplane.io/v1",
            "kind": kind,
            "metadata": {"name": name},
            "spec": {},
        }
        sources = package.stage(self._work / name, {"crossplane.yaml": meta, **files})
        built = self._work / f"{name}-{version}.xpkg"
        package.xpkg(sources, built, *flags)
        reference = self.plane.registry.reference(f"org/{name}", version)
        package.run("crossplane-cli", "xpkg", "push", f"--package-files={built}", reference)
        return reference

    def install(self, kind: str, name: str, reference: str) -> None:
        """Install a package, or another version of it, and wait until that is healthy."""
        admin = self.plane.admin
        ref = api.Ref(_PKG, kind, name)
        spec = {"package": reference}
        admin.apply({"apiVersion": _PKG, "kind": kind, "metadata": {"name": name}, "spec": spec})
        admin.wait(
            ref,
            lambda item: bool((item.get("status") or {}).get("currentIdentifier") == reference),
            what=f"at {reference}",
            timeout=120,
        )
        admin.wait_condition(ref, "Healthy", timeout=120)

    def install_platform(self, version: str, **files: api.Object) -> None:
        """Install a version of the platform's own Configuration, with these objects in it."""
        named = {f"{name}.yaml": item for name, item in files.items()}
        self.install(
            "Configuration", PLATFORM, self._push("Configuration", PLATFORM, version, named)
        )

    def serve(self) -> None:
        """Apply the claims, and wait until 0.9.0 serves them."""
        self.claims = {name: self.tenant.example(name).apply() for name in NAMES}
        for name, claim in self.claims.items():
            claim.wait(lambda item: api.status_of(item, "Ready") == "True", what="served by 0.9.0")
            assert set(claim.composed()) == set(previous.recorded(name))
            self.plane.admin.wait_condition(deployment(name), "Available")

    def revisions(self) -> list[str]:
        """Names of the revisions of the claims' Composition, oldest first."""
        revisions = self.plane.admin.objects(
            "apiextensions.crossplane.io/v1",
            "CompositionRevision",
            labels={"crossplane.io/composition-name": COMPOSITION.name},
        )
        return [
            item["metadata"]["name"]
            for item in sorted(revisions, key=lambda item: int(item["spec"]["revision"]))
        ]

    def controllers(self) -> list[str]:
        """Kind and name of each owner reference of the XRD that claims control."""
        owners = self.plane.admin.get(DEFINITION)["metadata"].get("ownerReferences", [])
        return [f"{owner['kind']}/{owner['name']}" for owner in owners if owner.get("controller")]

    def remove(self) -> None:
        """Remove the claims, then the product, as the installation guide says."""
        for claim in self.claims.values():
            claim.delete()
        for claim in self.claims.values():
            self.plane.admin.wait_gone(claim.ref)
        admin = self.plane.admin
        for kind, name in (
            ("Configuration", package.CONFIGURATION),
            ("Function", self.product.release.function_name),
        ):
            admin.delete(api.Ref(_PKG, kind, name))
            admin.wait_gone(api.Ref(_PKG, kind, name))
        for ref in (DEFINITION, COMPOSITION):
            admin.wait_gone(ref)


def deployment(name: str) -> api.Ref:
    """The Deployment of a claim."""
    return api.Ref("apps/v1", "Deployment", name, NAMESPACE)


class Flux:
    """A stand-in for Flux's kustomize-controller, which applies and prunes the objects of git.

    The controller deletes an object that it applied before and that git no longer holds, unless the
    live object has the annotation ``prune: disabled`` (the controller's documentation).
    """

    def __init__(self, admin: api.Client) -> None:
        """Use an administrator's rights; git is empty."""
        self._admin = admin
        self._inventory: list[api.Ref] = []

    def reconcile(self, *git: api.Object) -> None:
        """Apply ``git``, the objects that git holds now, and prune the others."""
        for item in git:
            self._admin.apply(item, manager="kustomize-controller")
        wanted = [api.Ref.of(item) for item in git]
        for ref in self._inventory:
            live = self._admin.find(ref)
            if ref in wanted or live is None:
                continue
            if live["metadata"].get("annotations", {}).get(_PRUNE) != "disabled":
                self._admin.delete(ref)
        self._inventory = wanted


def unpruned(item: api.Object) -> api.Object:
    """An object that Flux must not prune."""
    return item | {"metadata": item["metadata"] | {"annotations": {_PRUNE: "disabled"}}}


class Volume:
    """The shared volume as 0.9.0 left it, with a small model in the place of a large one.

    This class does the work of the preload Job's pod. The Job's program runs with the Job's plan,
    over a directory and against a hub on loopback.
    """

    def __init__(self, root: pathlib.Path) -> None:
        """Keep the files below a directory."""
        self._root = root
        self._hub = hub_server.Server()
        self._serving = threading.Thread(target=self._hub.serve_forever, daemon=True)
        self._serving.start()

    def close(self) -> None:
        """Stop the hub."""
        self._hub.shutdown()
        self._serving.join()
        self._hub.server_close()

    def fill(self, claim: api.Object) -> None:
        """Put the weights of a claim where 0.9.0 put them, and publish them on the hub."""
        model = claim["spec"]["model"]
        home = self._root / claim["metadata"]["name"]
        self._place(home / model["revision"], model, _BASE)
        for adapter in claim["spec"].get("loraAdapters", []):
            self._place(home / "loras" / adapter["name"], adapter, _ADAPTER)

    def _place(
        self, directory: pathlib.Path, source: api.Object, files: Mapping[str, bytes]
    ) -> None:
        repository, revision = source["repository"], source["revision"]
        directory.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (directory / name).write_bytes(content)
        (directory / ".preload-complete").write_text(f"{repository}@{revision}")
        self._hub.publish(repository, files, (revision,))

    def preload(self, job: api.Object) -> subprocess.CompletedProcess[str]:
        """Run the program of a Job as its container would."""
        (container,) = job["spec"]["template"]["spec"]["containers"]
        given = {item["name"]: item["value"] for item in container["env"] if "value" in item}
        (mount,) = [item for item in container["volumeMounts"] if item["mountPath"] == "/models"]
        home = self._root / mount["subPath"]
        plan = json.loads(given["PRELOAD_PLAN"])
        assert plan["modelsDirectory"] == "/models"
        plan["modelsDirectory"] = str(home)
        environment = given | {
            "PATH": os.environ.get("PATH", os.defpath),
            "PRELOAD_PLAN": json.dumps(plan),
            "HF_ENDPOINT": self._hub.endpoint,
            "HF_HOME": str(self._root / "hub"),
            "NO_PROXY": "*",
            "TERMINATION_LOG": str(self._root / "termination-log"),
        }
        return subprocess.run(
            [sys.executable, "-m", "preload"],
            cwd=shipped.ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def downloads(self) -> list[str]:
        """Paths of the files that were downloaded from the hub."""
        return [request.path for request in self._hub.downloads()]

    def links(self, claim: str) -> dict[str, str]:
        """The claim's new directories that link into 0.9.0's: target of the link by directory."""
        home = self._root / claim
        return {
            path.parent.name: os.path.relpath(path.resolve(), home)
            for path in home.glob("*/weights")
            if path.is_symlink()
        }


_BASE: Mapping[str, bytes] = {
    "config.json": json.dumps(
        {
            "architectures": ["Qwen3ForCausalLM"],
            "dtype": "bfloat16",
            "max_position_embeddings": 40960,
        }
    ).encode(),
    "model.safetensors": bytes(range(256)) * 64,
    "tokenizer.json": b"{}",
}
_ADAPTER: Mapping[str, bytes] = {
    "adapter_config.json": json.dumps({"r": 16, "peft_type": "LORA"}).encode(),
    "adapter_model.safetensors": bytes(reversed(range(256))),
}


def wait_settled(cluster: OldCluster, since: int, expected: set[tuple[str, str]]) -> None:
    """Wait until Crossplane has deleted the expected objects since a mark."""
    polling.until(
        lambda: cluster.tenant.deleted(since) >= expected,
        what=f"the deletion of {sorted(expected)}",
        timeout=60,
    )
