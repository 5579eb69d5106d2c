"""Claims whose replicas are several pods."""

from typing import Any

from tests import cluster
from tests.resources import scene

NAME = "model-group-18fb9fa0"


def of(*, count: int = 8, spec: cluster.Object | None = None, **parallelism: Any) -> cluster.Object:
    """Returns a claim of two pods, or as many as the parallelism says."""
    asked = parallelism or {"pipeline": 2}
    return scene.of(gpu={"class": "h100", "count": count, "parallelism": asked}, **(spec or {}))


def site(provider: str = "cilium", **gpu: Any) -> cluster.Object:
    """Returns settings with a class of eight GPUs a node."""
    classes = {"h100": {"product": "NVIDIA-H100-80GB-HBM3", "nodeGpus": 8, **gpu}}
    return scene.site(
        providers={"networkPolicy": provider},
        gpu={"classes": classes},
        limits={"maxGPUs": 256},
    )


def serving(
    claimed: cluster.Object | None = None, config: cluster.Object | None = None
) -> cluster.Cluster:
    """Returns the cluster in which the claim is at rest."""
    return scene.serving(claimed or of(), config or site())


def templates(world: cluster.Cluster) -> tuple[cluster.Object, cluster.Object]:
    """Returns the templates of the pod that leads and of those that follow."""
    group = world.one("LeaderWorkerSet")["spec"]["leaderWorkerTemplate"]
    return group["leaderTemplate"], group["workerTemplate"]


def arguments(template: cluster.Object) -> dict[str, str | None]:
    """Returns the flags of a template's engine, with their values."""
    (container,) = template["spec"]["containers"]
    return scene.values(container["args"][1:])
