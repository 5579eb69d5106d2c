"""Who owns the replica count, and what it is to be where that is us."""

import dataclasses

from function import kinds
from function.cluster import memory, observed
from function.planning import plans
from function.situation import rollouts

# Latches: who set the count so far.
SCALED_BY_AUTOSCALER = "scaledByAutoscaler"
FIXED_REPLICAS = "fixedReplicas"


@dataclasses.dataclass(frozen=True)
class Count:
    """Who owns the replica count.

    Attributes:
        replicas: The count to emit, or None where a scaler owns it.
        scaled: True once the autoscaler has set the count.
        fixed: True while the count is ours, without an autoscaler.
        version: The workload's resourceVersion, with which a count is written that only bridges
            until the autoscaler writes one; else None. What is applied was decided on an older
            look, and would undo a start that came in between. With the version the API server
            refuses that, and core asks again.
    """

    replicas: int | None
    scaled: bool
    fixed: bool
    version: str | None


def count(
    plan: plans.Plan,
    rollout: rollouts.Rollout,
    remembered: memory.Memory,
    world: observed.Observed,
) -> Count:
    """Returns who owns the replica count."""
    keeper, state = world.get(plan.workload.SUFFIX), rollout.state
    manual = plan.site.providers.autoscaler == "none"
    # Nothing pauses a suspended claim where the autoscaler's kind is missing.
    unscaled = (
        plan.suspended
        and world.get("scaledobject") is None
        and world.lacks(kinds.SCALED_OBJECT.api_versions[0], kinds.SCALED_OBJECT.name)
    )
    ours = manual or unscaled
    # A workload that has to be made again is born once more.
    scaled = state is not None and (
        SCALED_BY_AUTOSCALER in remembered.latches or (not ours and state.wanted > 0)
    )
    # The count was ours: dropped before somebody else owns it, it would be reset to one.
    fixed = ours or (
        FIXED_REPLICAS in remembered.latches
        and keeper is not None
        and not plan.workload.scaled_by_others(keeper)
    )
    replicas: int | None = None
    if ours:
        replicas = 0 if plan.suspended else plan.scaling.minimum
    elif plan.scaling.minimum == 0 and not scaled:
        # Born asleep: without a count the API server would start one pod. Dropped for good once
        # the autoscaler has set it, or it would be reset to one.
        replicas = 0
    elif fixed and state is not None:
        replicas = state.wanted
    bridges = replicas is not None and not manual
    version = observed.at(keeper, "metadata", "resourceVersion") if bridges else None
    return Count(replicas, scaled, fixed, version)
