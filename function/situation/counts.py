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
        version: The workload's resourceVersion, which is written beside a count that holds only
            until the autoscaler writes one; else None. The count was decided from an older state,
            and would undo a start that came in between. With an old version the API server refuses
            the write, and core asks again.
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
    # While there is no workload, the autoscaler has not set its count: one that somebody deleted
    # is created with our count again.
    scaled = state is not None and (
        SCALED_BY_AUTOSCALER in remembered.latches or (not ours and state.wanted > 0)
    )
    # The count was ours. If we stopped writing it before another manager owns the field, the API
    # server would reset it to one.
    fixed = ours or (
        FIXED_REPLICAS in remembered.latches
        and keeper is not None
        and not plan.workload.scaled_by_others(keeper)
    )
    replicas: int | None = None
    if ours:
        replicas = 0 if plan.suspended else plan.scaling.minimum
    elif plan.scaling.minimum == 0 and not scaled:
        # A claim that is created at zero: without a count the API server would start one pod. Once
        # the autoscaler has set the count, we stop writing it for good.
        replicas = 0
    elif fixed and state is not None:
        replicas = state.wanted
    bridges = replicas is not None and not manual
    version = observed.at(keeper, "metadata", "resourceVersion") if bridges else None
    version = version if isinstance(version, str) else None
    return Count(replicas, scaled, fixed, version)
