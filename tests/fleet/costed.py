"""Claims behind front doors whose prices follow from costs."""

from typing import Any

from tests import cluster, documents
from tests.fleet import scene
from tests.fleet.test_money import budgeted

CODER = scene.member("coder", "sql", costs=("0.0312", "0.27"))
CHAT = scene.member("chat-8b", costs=("0.01", "0.1"))
VECTORS = scene.member("vectors", offers=("embed",))
FROM_COST: Any = {"fromCost": {}}


def resting(*members: cluster.Object, settings: Any = None, **spec: Any) -> cluster.Cluster:
    door = scene.of(**{"pricing": FROM_COST, "callers": [budgeted("paid")], **spec})
    given = map(documents.copied, members or (CODER, CHAT))
    world = scene.world(door, *given, settings=settings)
    world.converge()
    assert world.fatal is None, world.fatal
    return world


def priced(world: cluster.Cluster) -> dict[str, tuple[str, str]]:
    kept = world.claim["status"].get("prices") or []
    return {one["model"]: (one["input"], one["output"]) for one in kept}


def changed(member: cluster.Object, prompts: str, answers: str) -> cluster.Object:
    other = documents.copied(member)
    other["status"]["cost"] = scene.cost(prompts, answers)
    return other


def having(*models: str) -> cluster.Object:
    """Returns a claim whose pods have these models, and that tells the cost of the dearest."""
    costs = ("0.9", "3") if "org/large" in models else ("0.0312", "0.27")
    return scene.member("coder", "sql", costs=costs, models=models)


def events(world: cluster.Cluster) -> list[str]:
    return [message for message in map(str, world.events) if "PricesFollowed" in message]
