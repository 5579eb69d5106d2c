"""Everything that holds now, each value made once and in this order."""

import dataclasses

from function.cluster import checkpoints, memory, observed, pods
from function.planning import plans
from function.situation import (
    answering,
    counts,
    gates,
    guards,
    ledgers,
    reading,
    rollouts,
    supplies,
    traffic,
)


@dataclasses.dataclass(frozen=True)
class Situation:
    """What holds now.

    Attributes:
        plan: What is wanted.
        world: What the cluster reports.
        memory: What the claim's status remembers.
        guards: What new pods wait for.
        ledger: Which weights are verified.
        rollout: Which template runs.
        models: Which models its pods may answer with, that of the newest template last.
        reads: Addresses in an object store that pods read when they start, in order.
        supply: The Jobs on the weights volume.
        traffic: What may be asked of the claim.
        gates: Which weights canaries with a gate have, and what judges them.
        count: Who owns the replica count.
        trouble: Why a pod does not serve, where pods were read; else None.
    """

    plan: plans.Plan
    world: observed.Observed
    memory: memory.Memory
    guards: guards.Guards
    ledger: ledgers.Ledger
    rollout: rollouts.Rollout
    models: tuple[str, ...]
    reads: tuple[str, ...]
    supply: supplies.Supply
    traffic: traffic.Traffic
    gates: gates.Gates
    count: counts.Count
    trouble: pods.Trouble | None

    @property
    def withheld(self) -> bool:
        """Whether there is no workload yet: its template waits."""
        return self.rollout.template is None

    @property
    def adapters(self) -> tuple[str, ...]:
        """Names of the adapters that the pods that run serve: those they started with come first.

        Of hot ones those that are in the list.
        """
        started, hot = self.rollout.running.adapters, self.traffic.hot
        return tuple(dict.fromkeys([*started, *(hot if self.rollout.running.hot else ())]))

    @property
    def kept_class(self) -> str | None:
        """GPU class of pods that keep their template; None where they follow the claim's.

        None, too, where no answer wrote down on which class they were started.
        """
        return None if self.rollout.hold is None else self.memory.served_class

    @property
    def unfit(self) -> bool:
        """Whether a workload is withheld because no node could ever hold a replica."""
        return self.plan.misfit is not None and self.withheld and not self.plan.suspended


def situation(
    plan: plans.Plan,
    facts: checkpoints.Facts,
    remembered: memory.Memory,
    world: observed.Observed,
) -> Situation:
    """Returns what holds now.

    Raises:
        base.InvalidError: What the author adds or patches must not be composed.
    """
    guard = guards.guards(plan, world)
    ledger = ledgers.ledger(plan.storage, facts, remembered, world, guard.identity)
    rollout = rollouts.rollout(plan, ledger, guard, remembered, world)
    reached = traffic.traffic(plan, rollout, ledger, guard, remembered, world)
    return Situation(
        plan=plan,
        world=world,
        memory=remembered,
        ledger=ledger,
        guards=guard,
        rollout=rollout,
        models=answering.models(plan, rollout, remembered),
        reads=reading.addresses(plan, rollout, world),
        supply=supplies.supply(plan, ledger, guard, rollout, remembered, world),
        traffic=reached,
        gates=gates.canaries(plan, rollout, reached, guard, remembered, world),
        count=counts.count(plan, rollout, remembered, world),
        trouble=pods.trouble(world),
    )
