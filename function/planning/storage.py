"""Where the claim's weights lie, and who puts them there: volume, image or object store."""

import dataclasses
import enum
import functools
import re
from collections.abc import Iterator

from function import canonical
from function.api import base, claim, claim_model, settings

# Where the volume's sub-path is mounted, in the engine's pods and in the Jobs'.
MODELS = "/models"
# The list of adapters that pods follow while they run: a key of its ConfigMap, and a file.
ADAPTERS = "adapters.json"
# Directory of an adapter that a Job verifies, as pods that run take it.
_VERIFIED = re.compile(r"adapter-[0-9a-f]{16}")
# Where an image of weights is mounted: beside the volume, which adapters may lie on.
IMAGE = "/image"
# Directory of the weights in such an image, as KServe's modelcars have it.
IMAGE_DIRECTORY = "models"


class Origin(enum.Enum):
    """Who brings the files of a directory."""

    HUB = "hub"
    """A Job downloads them onto the volume."""
    VOLUME = "volume"
    """They lie on the volume already."""
    IMAGE = "image"
    """Nodes pull them as an image, and pods mount it."""
    STORE = "store"
    """The engine reads them from an object store at each start."""


@dataclasses.dataclass(frozen=True)
class Directory:
    """One directory of weights that the claim wants.

    Attributes:
        name: Served name; the claim's for the base model.
        kind: base or adapter.
        repository: Hugging Face repository, or None where the claim names none.
        revision: Commit, tag or branch, as the claim names it; of an image, its digest.
        place: On the volume relative to the claim's sub-path; else the image or the address.
        path: Where the engine finds the files.
        legacy: Where 0.9.0 kept the same weights, relative to the sub-path.
        origin: Who brings the files.
        hot: Whether pods that run load it, once it is verified.
    """

    name: str
    kind: str
    repository: str | None
    revision: str | None
    place: str
    path: str
    legacy: str | None
    origin: Origin = Origin.HUB
    hot: bool = False

    @property
    def on_volume(self) -> bool:
        """Whether the files lie on the weights volume."""
        return self.origin in (Origin.HUB, Origin.VOLUME)

    @property
    def served(self) -> tuple[str | None, str | None]:
        """What serves, and which state of it: repository and revision, or where else it lies."""
        if self.origin is Origin.IMAGE:
            return self.place.partition("@")[0], self.revision
        if self.origin is Origin.STORE:
            return self.place, None
        return self.repository, self.revision

    @property
    def model(self) -> str:
        """Which model it is: its repository, or where else it lies.

        The repository of files that no Job downloads is a word of the claim's author: a path on the
        volume says what pods have, and no repository has the form of one.
        """
        if self.origin is Origin.VOLUME:
            return self.path
        if self.origin is not Origin.HUB:
            return self.served[0] or self.place
        own = f"{self.repository}@{self.revision}" if is_of_others(self.revision) else None
        return own or str(self.repository)

    @property
    def proven(self) -> bool:
        """Whether the files are those of the repository: a Job downloads and verifies them."""
        return self.origin is Origin.HUB and not is_of_others(self.revision)


@dataclasses.dataclass(frozen=True)
class Storage:
    """The claim's part of the weights volume.

    Attributes:
        claim_name: The PersistentVolumeClaim.
        sub_path: The claim's sub-path of the volume.
        directories: The base model's, then each adapter's in the author's order.
        preloads: True when a Job downloads weights, be it an adapter's alone.
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
        """Whether weights that the claim wants no more are removed.

        A claim that left the hub for an image or a store still has what it downloaded before.
        """
        return self.retention == "Delete" and (self.preloads or not self.base.on_volume)

    @property
    def mounts(self) -> bool:
        """Whether pods mount the volume."""
        return any(directory.on_volume for directory in self.directories)

    @functools.cached_property
    def key(self) -> str:
        """Identity of what is wanted: where, and which directories."""
        places = sorted(d.place for d in self.directories if d.on_volume)
        elsewhere = [] if self.base.on_volume else [self.base.path, self.base.place]
        return canonical.digest([self.volume, places, *elsewhere])

    @property
    def base(self) -> Directory:
        """The base model's directory."""
        return self.directories[0]

    @functools.cached_property
    def adapters(self) -> tuple[Directory, ...]:
        """The adapters, in the author's order."""
        return tuple(d for d in self.directories if d.kind == "adapter")

    @functools.cached_property
    def hot(self) -> tuple[Directory, ...]:
        """The adapters that pods load while they run."""
        return tuple(d for d in self.adapters if d.hot)

    @functools.cached_property
    def static(self) -> tuple[Directory, ...]:
        """The adapters that pods start with."""
        return tuple(d for d in self.adapters if not d.hot)

    @functools.cached_property
    def wanted(self) -> tuple[str, ...]:
        """The directories that the claim wants on the volume, as the status records them."""
        return tuple(sorted(self.recorded(d) for d in self.directories if d.on_volume))

    @functools.cached_property
    def downloaded(self) -> tuple[Directory, ...]:
        """What the Job downloads."""
        return tuple(d for d in self.directories if d.origin is Origin.HUB)

    def recorded(self, directory: Directory) -> str:
        """Returns a directory as the status records it: <volume claim>/<sub-path>/<place>.

        What lies elsewhere is recorded nowhere: the answer is the name of no directory.
        """
        return f"{self.volume}/{directory.place}" if directory.on_volume else directory.place


def is_of_others(revision: str | None) -> bool:
    """Tells whether people who do not own the repository may have written a revision.

    The hub keeps pull requests below refs/pr/, and anybody opens one.
    """
    return revision is not None and revision.startswith("refs/")


def place(kind: str, repository: str | None, revision: str) -> str:
    """Returns the directory that a Job makes for a revision of a repository."""
    return f"{kind}-{canonical.digest([repository, revision], 16)}"


def weights_path(place: str) -> str:
    """Returns where the engine finds the weights of a directory that a Job makes."""
    return f"{MODELS}/{place}/weights"


def loadable(recorded: str) -> str | None:
    """Returns where pods that run find a recorded directory, or None: it is no adapter's.

    Pods whose template is held have the volume that it names, and the place is the same there.
    """
    place = recorded.rpartition("/")[2]
    return weights_path(place) if _VERIFIED.fullmatch(place) else None


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
    """Tells whether a Job downloads weights, be it an adapter's alone; absent means yes.

    A serving pod reaches no hub, so without the Job nothing from there could start.
    """
    model = spec.model
    if model.source == "pvc" or not (from_hub(model) or spec.lora_adapters):
        return False
    return model.preload is None or model.preload.enabled is not False


def from_hub(model: claim_model.ModelSpec) -> bool:
    """Tells whether the base model comes from the hub."""
    return model.source in (None, "huggingface")


def read_rate(spec: claim.Spec, site: settings.Settings) -> tuple[int | None, str]:
    """Returns MiB/s at which a pod reads its weights, or None, and the setting that says so."""
    if spec.model.source == "oci":
        return site.weights.image_bandwidth_mi_b, "weights.imageBandwidthMiB"
    if spec.model.source == "s3":
        return site.object_store.bandwidth_mi_b, "objectStore.bandwidthMiB"
    return site.weights.bandwidth_mi_b, "weights.bandwidthMiB"


def _directories(resource: claim.InferenceService) -> Iterator[Directory]:
    """Yields the base model's directory and the adapters'.

    A directory is named by what is in it, so that two claims on one sub-path share it and a
    changed revision never replaces files under a running engine.
    """
    spec = resource.spec
    model = spec.model
    loaded = preloads(spec)
    hot = {adapter.name for adapter in spec.lora_adapters or [] if adapter.hot is True}
    revision = base.given(model.revision, "main")
    items = [("base", resource.name, model.repository, revision, revision)] + [
        ("adapter", a.name, a.repository, base.given(a.revision, "main"), f"loras/{a.name}")
        for a in spec.lora_adapters or []
    ]
    if not from_hub(model):
        yield _elsewhere(resource.name, model, revision)
        items = items[1:]
    for kind, name, repository, at, legacy in items:
        if loaded:
            made = place(kind, repository, at)
            path = weights_path(made)
            loads = kind == "adapter" and name in hot
            yield Directory(name, kind, repository, at, made, path, legacy, hot=loads)
        else:
            path = f"{MODELS}/{legacy}"
            yield Directory(name, kind, repository, at, legacy, path, None, Origin.VOLUME)


def _elsewhere(name: str, model: claim_model.ModelSpec, revision: str) -> Directory:
    """Returns the base model's directory of a source other than the hub."""
    repository = model.repository
    if model.image is not None:
        path = f"{IMAGE}/{base.given(model.path, IMAGE_DIRECTORY)}"
        digest = model.image.partition("@")[2]
        return Directory(name, "base", repository, digest, model.image, path, None, Origin.IMAGE)
    if model.uri is not None:
        return Directory(name, "base", repository, None, model.uri, model.uri, None, Origin.STORE)
    where = str(model.path)
    path = f"{MODELS}/{where}"
    return Directory(name, "base", repository, revision, where, path, None, Origin.VOLUME)
