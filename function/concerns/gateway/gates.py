"""The Jobs that judge canaries, and what the claim says of them."""

from collections.abc import Iterator

from function import assembly
from function.cluster import gating, jobs, readiness
from function.situation import gates, situations

_LACKS = {
    gating.Ending.FEW: "it had too few requests so far (gate.minRequests)",
    gating.Ending.UNEVALUATED: "no evaluation of it has ended since it began (gate.evals)",
    gating.Ending.BASE: "the base model's own requests fail as often",
    gating.Ending.LATE: "its Job did not come to an end in time",
}
_BREAKS = {
    gating.Ending.ERRORS: "more of its requests failed than gate.maxErrorPercent allows",
    gating.Ending.EVALS: "its last evaluation passed fewer cases than gate.evals.passPercent",
}
_WORDS = {ending.reason: words for ending, words in {**_LACKS, **_BREAKS}.items()}


def compose(now: situations.Situation) -> Iterator[assembly.Part]:
    """Yields the Job of each canary that is judged. Nobody waits for it: the claim is ready."""
    for gate in now.gates.canaries:
        if gate.job is not None:
            yield assembly.Part(gate.suffix, gate.job, readiness.READY, finished=True)


def verdict(now: situations.Situation) -> tuple[str, str] | None:
    """Returns reason and words of what a person should know first of the canaries, or None."""
    told = [_verdict(now, gate) for gate in now.gates.canaries]
    ordered = [name for name in _ORDER if any(one is not None and one[0] == name for one in told)]
    if not ordered:
        return None
    words = [one[1] for one in told if one is not None and one[0] == ordered[0]]
    return ordered[0], "the routes are accepted; " + "; ".join(words)


# What needs a person comes first.
_ORDER = (
    "CanaryRolledBack",
    "CanaryStuck",
    "GatesWithheld",
    "CanaryBlind",
    "CanaryWaits",
    "CanaryRising",
)


_EXEMPT = (
    "look who may write Jobs, and exempt those labelled"
    f" app.kubernetes.io/component={gating.COMPONENT} from webhooks that mutate them"
)


def _verdict(now: situations.Situation, gate: gates.Gate) -> tuple[str, str] | None:
    all_of, name = now.gates, gate.schedule.adapter
    again = "change the canary, or raise gate.generation"
    if gate.verdict == gates.HELD:
        return None
    if gate.verdict == gates.ROLLED_BACK:
        words = _WORDS.get(gate.reason, gate.reason)
        return "CanaryRolledBack", f"canary {name} is taken back to 0 %: {words}; {again}"
    if gate.verdict == gates.STUCK:
        words = f"canary {name} stays at {gate.weight} %: the Job that judges it"
        if gate.reason == gating.Ending.FOREIGN.reason:
            words = f"{words} was made or changed by somebody else"
            return "CanaryStuck", f"{words}; {_EXEMPT}, then raise gate.generation"
        return "CanaryStuck", f"{words} failed; look at its log, then raise gate.generation"
    if all_of.lack is not None:
        return "GatesWithheld", f"canary {name} stays at {gate.weight} %: {all_of.lack}"
    step = f"canary {name} is at {gate.weight} % of {gate.schedule.goal} %"
    if gate.reason == gating.Ending.STORE.reason:
        return "CanaryBlind", f"{step}: the metrics store does not answer the Job that judges it"
    if gate.verdict == gates.WAITING:
        words = _WORDS.get(gate.reason, gate.reason)
        if gate.reason == gating.Ending.FEW.reason and now.plan.site.canary_gates.gateway_labels:
            words = (
                f"{words}; only series with the labels of the settings' canaryGates.gatewayLabels"
                " count: compare them with the store's"
            )
        return "CanaryWaits", f"{step}: {words}"
    if gate.job is not None and gates.stage(gate) is not jobs.Stage.ABSENT:
        return "CanaryRising", f"{step}, and judged"
    if all_of.waits is not None:
        return "CanaryRising", f"{step}; what judges it waits for its network policy"
    return "CanaryRising", f"{step}, and is judged while every pod runs what the claim says"
