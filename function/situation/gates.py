"""Which weight a canary with a gate has now, and which Job judges it.

A step is a weight and a Job that judges it. The weight rises when the Job of the step before has
held, and only then. The claim's status remembers the highest step that held, and since when
requests and evaluations count; the route vouches for both. A Job that broke takes the weight to 0
until the author changes the canary. A Job that could not tell is followed by another one, which
counts requests since the first began; the weight stays.

A finished Job stays until status and route show its verdict. One that took a canary back stays
after that, for its log and the alert on it, whatever the settings make of a new one. Nothing is
judged while pods change or sleep: the Job goes, and the step begins again.
"""

import dataclasses
from typing import Any

from function import canonical
from function.api import status
from function.cluster import gating, jobs, memory, observed
from function.planning import gates, identity, plans
from function.situation import guards, proofs, rollouts, traffic
from function.workloads import analyses

# The largest number that a status holds.
_MOST_TRIES = 2**31 - 1
RISING, WAITING, HELD = "Rising", "Waiting", "Held"
ROLLED_BACK, STUCK = "RolledBack", "Stuck"


@dataclasses.dataclass(frozen=True)
class Gate:
    """A canary with a gate.

    Attributes:
        schedule: Its steps, and what each must show.
        weight: Percent of the base model's requests that it is to answer now.
        held: The highest step that held.
        verdict: How far it is, as the status says it.
        reason: Why, in one word; empty where there is nothing to say.
        suffix: End of the key of the Job that is desired, or empty.
        job: The Job that is desired, or None.
        observed: The observed Job of that key, or None where there is none.
        record: What the status remembers.
        vouched: What the route remembers.
    """

    schedule: gates.Schedule
    weight: int
    held: int
    verdict: str
    reason: str
    suffix: str
    job: identity.Manifest | None
    observed: observed.Object | None
    record: dict[str, Any]
    vouched: gating.Vouched


@dataclasses.dataclass(frozen=True)
class Gates:
    """The canaries with a gate.

    Attributes:
        canaries: They, by adapter.
        lack: Why the settings let nothing judge them, in words, or None.
        waits: Why a new Job does not start, in words, or None.
    """

    canaries: tuple[Gate, ...] = ()
    lack: str | None = None
    waits: str | None = None

    @property
    def held(self) -> str:
        """What the route remembers of the steps that were judged; empty while none was."""
        judged = {one.schedule.adapter: one.vouched.document() for one in self.canaries}
        return canonical.dumps(judged)

    @property
    def weights(self) -> tuple[tuple[str, int], ...]:
        """Adapter and weight of each."""
        return tuple((one.schedule.adapter, one.weight) for one in self.canaries)


@dataclasses.dataclass(frozen=True)
class _Memory:
    """What is remembered of one canary, before or after this answer.

    Attributes:
        held: The highest step that held.
        verdict: How far it is.
        reason: Why.
        tries: Jobs that ended without a verdict on the step.
        since: Since when requests count for the step, or None.
        began: When the first step began, or None.
    """

    held: int = 0
    verdict: str = RISING
    reason: str = ""
    tries: int = 0
    since: str | None = None
    began: str | None = None

    def document(self, schedule: gates.Schedule, weight: int) -> dict[str, Any]:
        """Returns the same as the status has it."""
        return canonical.prune(
            {
                "adapter": schedule.adapter,
                "weightPercent": weight,
                "heldPercent": self.held,
                "verdict": self.verdict,
                "reason": self.reason or None,
                "tries": self.tries or None,
                "since": self.since,
                "began": self.began,
                "mark": schedule.mark,
                "asked": schedule.asked,
            }
        )


@dataclasses.dataclass(frozen=True)
class _Clock:
    """Whether steps can be judged now.

    Attributes:
        starts: A new Job may start, as far as the pods are concerned.
        runs: A Job that began may go on.
    """

    starts: bool
    runs: bool


_STOPPED = _Clock(False, False)


def lack(plan: plans.Plan) -> str | None:
    """Returns why the settings let nothing judge a canary, in words, or None."""
    site = plan.site.canary_gates
    if plan.site.providers.network_policy == "none" or site.store or site.egress_cidrs:
        return None
    return "the settings name no canaryGates.store and no egressCidrs: nothing reaches the metrics"


def canaries(
    plan: plans.Plan,
    rollout: rollouts.Rollout,
    now: traffic.Traffic,
    guard: guards.Guards,
    remembered: memory.Memory,
    world: observed.Observed,
) -> Gates:
    """Returns the canaries with a gate."""
    if not plan.gates:
        return Gates()
    lacks = lack(plan)
    state = rollout.state
    awake = state is not None and state.wanted > 0 and not plan.suspended
    kept = rollout.hold is None and rollout.applied
    clock = _Clock(
        starts=awake and rollout.current and rollout.serves and now.published,
        runs=awake and kept,
    )
    served = now.adapters - now.names.refused
    waits = guard.gate
    there = proofs.proofs(plan, rollout, remembered, world)
    return Gates(
        tuple(
            _gate(
                there,
                schedule,
                clock if schedule.adapter in served else _STOPPED,
                remembered.canaries.get(schedule.adapter),
                lacks=lacks is not None,
                guarded=waits is None,
            )
            for schedule in plan.gates
        ),
        lacks,
        waits,
    )


def _gate(
    there: proofs.Proofs,
    asked: gates.Schedule,
    clock: _Clock,
    record: status.Canary | None,
    *,
    lacks: bool,
    guarded: bool,
) -> Gate:
    plan, world = there.plan, there.world
    schedule = proofs.followed(there, asked, record)
    before = _before(there, schedule, record)
    own = [_believed(plan, schedule, before, one, world) for one in there.of(schedule)]
    own += proofs.broken(there, asked, schedule)
    after, judgement = _after(schedule, before, own)
    step = schedule.after(after.held)
    manifest, suffix = None, ""
    if after.verdict in (ROLLED_BACK, STUCK) or after != before:
        # Its verdict is not in the status yet, or somebody wants to read its log.
        resource = None if judgement is None else world.get(judgement.suffix)
        foreign = judgement is None or judgement.ending is gating.Ending.FOREIGN
        if judgement is not None and resource is not None and not foreign:
            manifest, suffix = analyses.kept(plan, judgement, resource), judgement.suffix
    elif step is not None:
        manifest = analyses.job(
            plan, analyses.Step(schedule, step, after.tries, after.since, after.began)
        )
        suffix = analyses.suffix(manifest)
        may_start = guarded and not lacks and there.shown.get(schedule.adapter) == step
        is_there = world.get(suffix) is not None
        if not _wanted(clock, there=is_there, may_start=may_start, unlocked=not lacks):
            manifest, suffix = None, ""
    watched = guarded or any(one.percent == step for one in own)
    weight = _weight(schedule, after, judged=watched and not lacks)
    return Gate(
        schedule=schedule,
        weight=weight,
        held=after.held,
        verdict=after.verdict,
        reason=after.reason,
        suffix=suffix,
        job=manifest,
        observed=world.get(suffix) if suffix else None,
        record=after.document(schedule, weight),
        vouched=gating.Vouched(schedule.mark, after.held, after.since, after.began),
    )


def _before(
    there: proofs.Proofs, schedule: gates.Schedule, record: status.Canary | None
) -> _Memory:
    """Returns what earlier answers wrote of this canary, as far as it is still about it.

    Another adapter, another base model, or another try, begins at the first step. Another text of
    the same canary goes on from the step that held, unless it was taken back.
    """
    if record is None:
        return _Memory()
    held = proofs.held(there, schedule, record)
    since, began = proofs.times(there, schedule, held)
    same = record.asked == schedule.former[1] and proofs.is_former(there, schedule, record)
    if record.verdict == ROLLED_BACK and same:
        # Nothing need prove it: it gives nobody a share.
        return _Memory(held, ROLLED_BACK, record.reason or "", began=began)
    if record.asked != schedule.asked:
        taken_back = record.verdict == ROLLED_BACK
        return _Memory() if taken_back else _settled(schedule, _Memory(held, began=began))
    return _settled(
        schedule,
        _Memory(
            held=held,
            verdict=record.verdict or RISING,
            reason=record.reason or "",
            # The first Job that could not tell says since when: without it none has ended.
            tries=(record.tries or 0) if since is not None else 0,
            since=since,
            began=began,
        ),
    )


def _believed(
    plan: plans.Plan,
    schedule: gates.Schedule,
    before: _Memory,
    judgement: gating.Judgement,
    world: observed.Observed,
) -> gating.Judgement:
    """Returns an observed Job, of which the end says nothing where it is not as it was composed.

    One under the name that would be composed today is somebody else's. Of one of other settings
    nobody can tell: the step is judged again, and that it broke counts, which gives nobody a share.
    """
    resource, ending = world.get(judgement.suffix), judgement.ending
    if ending is gating.Ending.NONE or resource is None:
        return judgement
    step = analyses.Step(schedule, judgement.percent, judgement.tries, before.since, before.began)
    ours = analyses.job(plan, step)
    if ours["metadata"]["name"] == judgement.name:
        # The name's hash is short: what can be compared is.
        if analyses.same(ours, resource):
            return judgement
        return dataclasses.replace(judgement, ending=gating.Ending.FOREIGN)
    if analyses.composed(plan, judgement, resource):
        return judgement
    if ending in gating.BROKEN:
        return judgement
    return dataclasses.replace(judgement, ending=gating.Ending.NONE)


def _settled(schedule: gates.Schedule, given: _Memory) -> _Memory:
    """Returns the same with the verdict that its steps have: held once none is left."""
    if given.verdict == ROLLED_BACK:
        return given
    if schedule.after(given.held) is None:
        return _Memory(given.held, HELD, began=given.began)
    return given if given.verdict != HELD else dataclasses.replace(given, verdict=RISING)


def _after(
    schedule: gates.Schedule, before: _Memory, own: list[gating.Judgement]
) -> tuple[_Memory, gating.Judgement | None]:
    """Returns what is known with the Jobs that ended, and the one that says it.

    A Job counts for what it was made for, whatever its own hash: another image in the settings
    takes no verdict away.

    Args:
        schedule: The gate.
        before: What the status shows.
        own: The Jobs that judge this text of the canary.
    """
    if before.verdict == HELD:
        return before, None
    broken = next((one for one in own if one.ending in gating.BROKEN), None)
    if before.verdict == ROLLED_BACK:
        return before, broken
    if broken is not None:
        after = dataclasses.replace(before, verdict=ROLLED_BACK, reason=broken.ending.reason)
        return after, broken
    step = schedule.after(before.held)
    ended = [
        one
        for one in own
        if one.percent == step
        and one.ending is not gating.Ending.NONE
        # The status that has its step forgets the tries, and the route may not vouch for it yet.
        and (one.tries == before.tries or one.ending is gating.Ending.HELD)
    ]
    if not ended or step is None:
        return before, None
    one = next((other for other in ended if other.ending is gating.Ending.HELD), ended[0])
    began = before.began or one.started
    if one.ending is gating.Ending.HELD:
        return _settled(schedule, _Memory(step, began=began)), one
    if one.ending in gating.UNDECIDED:
        after = dataclasses.replace(
            before,
            verdict=WAITING,
            reason=one.ending.reason,
            tries=min(before.tries + 1, _MOST_TRIES),
            since=before.since or one.started,
            began=began,
        )
        return after, one
    return dataclasses.replace(before, verdict=STUCK, reason=one.ending.reason), one


def _wanted(clock: _Clock, *, there: bool, may_start: bool, unlocked: bool) -> bool:
    """Tells whether the Job of the step that the status shows is desired.

    Args:
        clock: Whether steps can be judged now.
        there: Whether the Job is observed.
        may_start: Whether a new Job may start, as far as policies and route are concerned.
        unlocked: Whether the settings let something judge.
    """
    if not there:
        return may_start and clock.starts
    return unlocked and clock.runs


def _weight(schedule: gates.Schedule, known: _Memory, *, judged: bool) -> int:
    """Returns the weight.

    Args:
        schedule: The gate.
        known: What is known with the Jobs that ended.
        judged: Whether something judges the step that follows, or may begin to.
    """
    step = schedule.after(known.held)
    if known.verdict == ROLLED_BACK:
        return 0
    if step is None:
        return schedule.goal
    if not judged or known.verdict == STUCK:
        return min(known.held, schedule.goal)
    return step


def stage(gate: Gate) -> jobs.Stage:
    """Returns how far the Job of a canary is."""
    return jobs.job(gate.observed).stage
