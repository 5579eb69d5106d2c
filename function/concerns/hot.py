"""The list of adapters that pods follow while they run."""

from collections.abc import Iterator

from function import assembly, canonical, kinds
from function.cluster import observed
from function.planning import storage
from function.situation import situations


def compose(now: situations.Situation) -> Iterator[assembly.Part]:
    """Yields the list of the adapters that are verified.

    A pod without it loads none, so it is there for as long as pods may look for it.
    """
    stored = now.plan.storage
    if not (stored.hot or now.rollout.running.hot):
        return
    ready = now.ledger.ready(stored, stored.hot)
    yield assembly.Part(
        kinds.ADAPTERS,
        {
            "apiVersion": "v1",
            "kind": kinds.CONFIG_MAP.name,
            "metadata": now.plan.identity.metadata(now.plan.identity.adapters_name),
            "data": {storage.ADAPTERS: canonical.dumps({one.name: one.path for one in ready})},
        },
    )


def conditions(
    now: situations.Situation, desired: assembly.Desired
) -> Iterator[observed.Condition]:
    """Yields nothing: WeightsReady and EngineReady speak for adapters."""
    del now, desired
    yield from ()
