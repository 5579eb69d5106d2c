"""A new version of the function, on claims at rest."""

import copy

from function.planning import identity
from tests.life import given


def test_what_older_versions_did_not_remember_is_not_written_at_rest() -> None:
    """An upgrade that writes to a whole fleet would be noticed by everything that watches it."""
    world = given.serving()
    kept = [world.one("Deployment"), world.one("PodDisruptionBudget")]
    for item in kept:
        del item["metadata"]["annotations"][identity.FACTS_ANNOTATION]
    for item in world.owned.values():
        item["metadata"].get("annotations", {}).pop(identity.FACTS_ANNOTATION, None)
    before = copy.deepcopy(world.objects)
    world.reconcile()
    assert world.objects == before
    world.edit(drainSeconds=60).converge()
    for kind in ("Deployment", "PodDisruptionBudget"):
        assert identity.FACTS_ANNOTATION in world.one(kind)["metadata"]["annotations"]
