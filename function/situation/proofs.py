"""What route, Jobs and pods prove of a canary's record, which may be anybody's.

At first the marks of records did not tell the base model, and routes vouched for nothing. Records
of that time count as far as something else than the status has their marks too.
"""

import dataclasses
from collections.abc import Iterator, Mapping

from function import canonical
from function.api import status
from function.cluster import gating, memory, observed, routes
from function.planning import gates, plans, storage
from function.situation import bases, rollouts
from function.workloads import analyses

_UNTOLD = (None, None)


@dataclasses.dataclass(frozen=True)
class Proofs:
    """What is observed of canaries, beside the status.

    Attributes:
        plan: The plan.
        world: What is observed.
        shown: The weight of each in the route.
        vouched: What the route says of each.
        told: Whether the route says anything: that of a claim with canaries does, since 1.1.
        judgements: The Jobs.
        kept: Whether the base model is still the recorded one, as status and pods say.
        running: Whether pods have the base model that the claim asks for.
    """

    plan: plans.Plan
    world: observed.Observed
    shown: Mapping[str, int]
    vouched: Mapping[str, gating.Vouched]
    told: bool
    judgements: list[gating.Judgement]
    kept: bool
    running: bool

    def of(self, schedule: gates.Schedule) -> list[gating.Judgement]:
        """Returns the Jobs that judge this text of a canary."""
        return [one for one in self.judgements if one.asked == schedule.asked]


def proofs(
    plan: plans.Plan,
    rollout: rollouts.Rollout,
    remembered: memory.Memory,
    world: observed.Observed,
) -> Proofs:
    """Returns what is observed of canaries."""
    there = plan.workload.template(world.get(plan.workload.SUFFIX)) or rollout.template
    running = there is not None and bases.has_base(canonical.plain(there), plan.storage.base)
    served = remembered.serving or {}
    kept = (served.get("repository"), served.get("revision")) == plan.storage.base.served
    if plan.storage.base.origin is storage.Origin.VOLUME:
        # The status has no place on the volume. The pods that were observed have.
        kept = kept and running
    route = world.get("gateway-airoute")
    return Proofs(
        plan=plan,
        world=world,
        shown=routes.weights(route),
        vouched=gating.vouched(route),
        told=gating.told(route),
        judgements=gating.judgements(world),
        kept=kept,
        running=running,
    )


def is_former(there: Proofs, schedule: gates.Schedule, record: status.Canary) -> bool:
    """Tells whether a record has the marks that do not tell the base model."""
    return record.mark == schedule.former[0] and there.kept


def followed(
    there: Proofs, schedule: gates.Schedule, record: status.Canary | None
) -> gates.Schedule:
    """Returns the gate with the marks that its record has, as far as route or Job have them too.

    Such a record stays as it is, with its Jobs, for as long as pods have the base model that the
    claim asks for: an upgrade judges nothing again.
    """
    mark, asked = schedule.former
    if record is None or not is_former(there, schedule, record):
        return schedule
    vouched = there.vouched.get(schedule.adapter)
    proved = any(one.asked == asked for one in there.judgements) or _rests(there, schedule, record)
    if vouched is not None:
        proved = vouched.mark == mark
    return dataclasses.replace(schedule, mark=mark, asked=asked) if proved else schedule


def _rests(there: Proofs, schedule: gates.Schedule, record: status.Canary) -> bool:
    """Tells whether a canary had no more than what held when routes told nothing yet.

    It has that share, and nothing judges it: what changed is the release. Today's routes tell
    something with the answer that first gives a canary a share, so a status passes no gate. Earlier
    ones told something of every step but the first, which is judged again with its share.
    """
    own = (schedule.asked, schedule.former[1])
    judged = any(one.asked in own for one in there.judgements)
    shown = there.shown.get(schedule.adapter, 0)
    return not there.told and not judged and schedule.steps[0] < shown == record.held_percent


def broken(
    there: Proofs, asked: gates.Schedule, schedule: gates.Schedule
) -> Iterator[gating.Judgement]:
    """Yields the Jobs that broke under the marks that are not followed.

    Who writes other marks into the status forgives nothing. Another base model does, and the Job
    of the one before may still go.

    Args:
        there: What is observed.
        asked: The gate with the marks of today.
        schedule: The gate with the marks that are followed.
    """
    for one in there.judgements:
        if one.ending not in gating.BROKEN or one.asked == schedule.asked:
            continue
        resource = there.world.get(one.suffix)
        going = observed.at(resource, "metadata", "deletionTimestamp") is not None
        former = one.asked == asked.former[1] and there.running and not going
        if former or one.asked == asked.asked:
            yield one


def held(there: Proofs, schedule: gates.Schedule, record: status.Canary) -> int:
    """Returns the highest step of a record that the route vouches for.

    A record of the time when routes told nothing is worth what is seen: the step of a Job, or the
    weight of the canary, is judged, and the step before it held. A canary that rests has its share.
    """
    vouched = there.vouched.get(schedule.adapter)
    if vouched is not None:
        proved = vouched.percent if vouched.mark == schedule.mark else 0
    elif there.told or not is_former(there, schedule, record):
        proved = 0
    elif _rests(there, schedule, record):
        proved = there.shown.get(schedule.adapter, 0)
    else:
        shown = there.shown.get(schedule.adapter, 0)
        judged = max((one.percent for one in there.of(schedule)), default=shown)
        proved = max((step for step in schedule.steps if step < judged), default=0)
    return min(record.held_percent or 0, proved)


def times(there: Proofs, schedule: gates.Schedule, step: int) -> tuple[str | None, str | None]:
    """Returns since when requests count for the step after one that held, and evaluations.

    As the route vouches for it. At first routes told no times: then the Job that judges the step
    has them, and without it time begins anew. What the status has, anybody may have written.

    Args:
        there: What is observed.
        schedule: The gate, with the marks that are followed.
        step: The step that held, or 0.
    """
    vouched = there.vouched.get(schedule.adapter)
    if vouched is not None and vouched.mark == schedule.mark and vouched.began is not None:
        return vouched.since if vouched.percent == step else None, vouched.began
    told = (
        analyses.times(there.plan, one, there.world.get(one.suffix))
        for one in sorted(there.of(schedule), key=lambda one: -one.tries)
        if one.percent == schedule.after(step)
    )
    return next((one for one in told if one != _UNTOLD), _UNTOLD)
