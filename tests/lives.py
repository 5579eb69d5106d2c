"""Whole lives of claims in the cluster in memory, and every object that was emitted in them.

Every escape hatch is open and no cap on GPUs is set, so that claims which use them are rendered.
"""

import dataclasses

from tests import cluster, documents

_OPEN_SITE = cluster.load("examples/settings/open.yaml")["data"]["inferenceService"]
OPEN: cluster.Object = _OPEN_SITE["permissions"]
ALLOWED: cluster.Object = _OPEN_SITE["allowed"]
SECRETS = {field: ALLOWED[field] for field in ("fetchedSecrets", "remoteRefs", "secrets")}


def site(profile: str, *, closed: bool = False) -> cluster.Object:
    """Returns a profile's EnvironmentConfig without a cap on GPUs.

    Args:
        profile: One of `cluster.PROFILES`.
        closed: Whether all hatches are closed; they are open otherwise.
    """
    config = cluster.environment(profile)
    inner = config["data"]["inferenceService"]
    inner["permissions"] = {} if closed else OPEN
    # Names of Secrets are drawn: which ones are granted is no question of a life.
    inner["allowed"] = SECRETS if closed else ALLOWED
    inner["limits"] = {"maxGPUs": None}
    inner["providers"] = {**inner["providers"], "queue": "kueue"}
    inner["weights"] = {**inner.get("weights", {}), "imageVolumes": True}
    inner["objectStore"] = _OPEN_SITE["objectStore"]
    return config


@dataclasses.dataclass
class Emitted:
    """An object as the function emitted it, without what the cluster adds.

    Attributes:
        object: The manifest.
        before: What the function had emitted under the key before; None at first.
    """

    object: cluster.Object
    before: cluster.Object | None


class Life:
    """What is emitted for one claim, from where it is to rest.

    Attributes:
        world: The cluster, after the last reconcile.
        emitted: Every manifest, once for each content that it had.
    """

    def __init__(self, world: cluster.Cluster) -> None:
        self.world = world
        self.emitted: list[Emitted] = []
        self._last: dict[str, cluster.Object] = {}

    def reconcile(self) -> "Life":
        """Reconciles once."""
        self.world.reconcile()
        for key, manifest in self.world.owned.items():
            plain = {field: value for field, value in manifest.items() if field != "status"}
            before = self._last.get(key)
            if plain != before:
                self._last[key] = documents.copied(plain)
                self.emitted.append(Emitted(self._last[key], before))
        return self

    def converge(self, limit: int = 12) -> int:
        """Reconciles and settles until nothing changes; returns the rounds that it took."""
        for count in range(1, limit + 1):
            before = documents.copied(self.world.objects)
            self.world.settle()
            moved = self.world.objects != before
            self.reconcile()
            if not moved and not self.world.writes:
                return count
        raise AssertionError(f"no quiet after {limit} rounds: {self.world.writes}")


def accepted(document: cluster.Object, profile: str) -> Life:
    """Returns the life of a claim that the function takes, after its first reconcile.

    A class of GPUs is left out: only the settings can say whether there is one of that name.
    """
    document = documents.copied(document)
    document["spec"].get("gpu", {}).pop("class", None)
    life = Life(cluster.Cluster(document, site(profile))).reconcile()
    assert life.world.fatal is None, life.world.fatal
    return life
