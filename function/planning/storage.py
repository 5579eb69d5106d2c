"""Where the claim's weights lie on the shared volume, and who puts them there."""

import dataclasses
import functools
from collections.abc import Iterator

from function import canonical
from function.api import base, claim, settings

# Where the volume's sub-path is mounted, in the engine's pods and in the Jobs'.
MODELS = "/models"


@dataclasses.dataclass(frozen=True)
class Directory:
    """One directory of weights that the claim wants.

    Attributes:
        name: Served name; the claim's for the base model.
        kind: base or adapter.
        repository: Hugging Face repository, or None for files that are there already.
        revision: Commit, tag or branch, as the claim names it.
        place: Relative to the claim's sub-path, without the volume.
        path: Where the engine finds the files.
        legacy: Where 0.9.0 kept the same weights, relative to the sub-path.
    """

    name: str
    kind: str
    repository: str | None
    revision: str | None
    place: str
    path: str
    legacy: str | None


@dataclasses.dataclass(frozen=True)
class Storage:
    """The claim's part of the weights volume.

    Attributes:
        claim_name: The PersistentVolumeClaim.
        sub_path: The claim's sub-path of the volume.
        directories: The base model's, then each adapter's in the author's order.
        preloads: True when a Job downloads the weights.
        retention: Retain, or Delete where weights that are not wanted any more are removed.
        generation: Which try of the download the author asks for.
        former_cache: True when the engine's own caches lie where they lay until 1.1.
    """

    claim_name: str
    sub_path: str
    directories: tuple[Directory, ...]
    preloads: bool
    retention: str
    generation: int
    former_cache: bool = False

    @functools.cached_property
    def volume(self) -> str:
        """The claim's place on the shared volume: <volume claim>/<sub-path>."""
        return f"{self.claim_name}/{self.sub_path}"

    @functools.cached_property
    def deletes(self) -> bool:
        """Whether weights that the claim wants no more are removed."""
        return self.preloads and self.retention == "Delete"

    @functools.cached_property
    def key(self) -> str:
        """Identity of what is wanted: where, and which directories."""
        return canonical.digest([self.volume, sorted(d.place for d in self.directories)])

    @property
    def base(self) -> Directory:
        """The base model's directory."""
        return self.directories[0]

    @functools.cached_property
    def adapters(self) -> tuple[Directory, ...]:
        """The adapters, in the author's order."""
        return tuple(d for d in self.directories if d.kind == "adapter")

    @functools.cached_property
    def wanted(self) -> tuple[str, ...]:
        """The directories that the claim wants, as the status records them, in order."""
        return tuple(sorted(map(self.recorded, self.directories)))

    def recorded(self, directory: Directory) -> str:
        """Returns a directory as the status records it: <volume claim>/<sub-path>/<place>."""
        return f"{self.volume}/{directory.place}"


def storage(resource: claim.InferenceService, site: settings.Settings) -> Storage:
    """Returns where the claim's weights lie."""
    spec = resource.spec
    return Storage(
        claim_name=site.weights.claim_name,
        sub_path=base.given(base.of(spec.weights_file_system, "sub_path"), resource.name),
        directories=tuple(_directories(resource)),
        preloads=preloads(spec),
        retention=base.given(spec.model.retention, "Retain"),
        generation=base.given(base.of(spec.model.preload, "generation"), 0),
    )


def preloads(spec: claim.Spec) -> bool:
    """Tells whether a Job downloads the weights; absent means yes for the hub.

    A serving pod is offline, so without the Job nothing that is not there already could start.
    """
    if spec.model.source == "pvc":
        return False
    return spec.model.preload is None or spec.model.preload.enabled is not False


def _directories(resource: claim.InferenceService) -> Iterator[Directory]:
    """Yields the base model's directory and the adapters'.

    A directory is named by what is in it, so that two claims on one sub-path share it and a
    changed revision never replaces files under a running engine.
    """
    spec = resource.spec
    model = spec.model
    loaded = preloads(spec)
    revision = base.given(model.revision, "main")
    items = [("base", resource.name, model.repository, revision, revision)] + [
        ("adapter", a.name, a.repository, base.given(a.revision, "main"), f"loras/{a.name}")
        for a in spec.lora_adapters or []
    ]
    for kind, name, repository, at, legacy in items:
        if kind == "base" and model.source == "pvc":
            place, old_place = str(model.path), None
        elif not loaded:
            place, old_place = legacy, None
        else:
            place = f"{kind}-{canonical.digest([repository, at], 16)}"
            old_place = legacy
        path = f"{MODELS}/{place}" + ("/weights" if loaded else "")
        yield Directory(name, kind, repository, at, place, path, old_place)
