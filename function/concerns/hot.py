"""The list of adapters that pods follow while they run."""

from collections.abc import Iterator

from function import assembly, canonical, claim_rows, kinds
from function.cluster import observed
from function.planning import storage
from function.situation import situations


def compose(now: situations.Situation) -> Iterator[assembly.Part]:
    """Yields the list of the adapters that pods may load.

    A pod without it loads none, so it is there for as long as pods may look for it. One that is hot
    no more stays in it until every pod was started with it.
    """
    stored, listed = now.plan.storage, now.ledger.listed
    former = () if now.rollout.current else stored.static
    left = {one.name: listed[one.name] for one in former if one.name in listed}
    if not (stored.hot or left or now.rollout.running.hot):
        return
    yield assembly.Part(
        claim_rows.ADAPTERS,
        {
            "apiVersion": "v1",
            "kind": kinds.CONFIG_MAP.name,
            "metadata": now.plan.identity.metadata(now.plan.identity.adapters_name),
            "data": {storage.ADAPTERS: canonical.dumps({**left, **now.traffic.hot})},
        },
    )


def conditions(
    now: situations.Situation, desired: assembly.Desired
) -> Iterator[observed.Condition]:
    """Yields nothing: WeightsReady and EngineReady speak for adapters."""
    del now, desired
    yield from ()
