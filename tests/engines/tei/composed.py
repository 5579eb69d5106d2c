"""Claims of text-embeddings-inference, and what is composed for them."""

from typing import Any

from tests import cluster
from tests.resources import scene

BGE = {"repository": "BAAI/bge-base-en-v1.5"}
RERANKER = {"repository": "BAAI/bge-reranker-v2-m3"}


def tei(model: cluster.Object | None = None, **spec: Any) -> cluster.Object:
    """Returns a claim of text-embeddings-inference."""
    engine = {"kind": "tei", **spec.pop("engine", {})}
    return scene.of(model=BGE if model is None else model, engine=engine, **spec)


def container(claimed: cluster.Object, **site: Any) -> cluster.Object:
    """Returns the container of the engine."""
    return scene.container(scene.serving(claimed, scene.site(**site)))


def flags(claimed: cluster.Object, **site: Any) -> dict[str, str | None]:
    """Returns the flags of the program by name."""
    return scene.values(container(claimed, **site)["args"])
