"""How many replicas a claim has: bounds, triggers, what wakes the first, how one is replaced."""

import dataclasses

from function import explanation, plural
from function.api import base, claim, claim_scaling, settings
from function.planning import hardware, ways

MIN_REPLICAS = 1
MAX_REPLICAS = 3
COOLDOWN = 300
# autoscaling/v2 refuses a longer stabilization window.
LONGEST_COOLDOWN = 3600
POLLING = 15
RUNNING_RATIO = "0.7"
KV_USAGE = "0.6"
QUEUE = 8


@dataclasses.dataclass(frozen=True)
class Scaling:
    """Replica counts and triggers.

    Attributes:
        minimum: Replicas at least.
        maximum: Replicas at most.
        cooldown: Quiet seconds before a replica is given back.
        polling: Seconds between two looks at the triggers.
        running: Running requests a replica, where the author named a number; else None.
        running_ratio: The same as a share of what one replica computes at once; None where the
            trigger is off, or a number is named.
        kv_usage: Used share of the KV cache a replica; None where the trigger is off.
        queue: Waiting requests a replica; None where the trigger is off.
        wakes: True when the claim may go to zero and a request brings it back.
        held_at_one: Why zero was asked for and is not possible, or None.
    """

    minimum: int
    maximum: int
    cooldown: int
    polling: int
    running: str | None
    running_ratio: float | None
    kv_usage: str | None
    queue: str | None
    wakes: bool
    held_at_one: str | None

    def running_target(self, max_requests: int | None) -> str | None:
        """Returns the running requests that a replica should have, or None for no trigger.

        Args:
            max_requests: Requests that one replica computes at once, of the pods that run.
        """
        if self.running_ratio is None or max_requests is None:
            return self.running
        return share(self.running_ratio, max_requests)

    def sleep_cooldown(self, start_seconds: int) -> int:
        """Returns the quiet seconds before the last replica goes.

        Of a claim that may sleep at least the start budget: a woken replica that still loads is
        idle to KEDA, and must not be taken away before it could answer.

        Args:
            start_seconds: The start budget of the pods that run.
        """
        return max(self.cooldown, start_seconds) if self.wakes else self.cooldown


@dataclasses.dataclass(frozen=True)
class Kept:
    """Requests that a replica runs at once and still keeps what users are promised.

    Attributes:
        requests: How many, as a whole number.
        words: What is missed with more, and by which requests that is judged.
    """

    requests: int
    words: str


@dataclasses.dataclass(frozen=True)
class Replacement:
    """How pods follow a new template.

    Attributes:
        surge: Pods above the count; each needs GPUs that nothing else holds.
        unavailable: Pods below the count.
        recreate: True when all pods go before new ones start.
        words: Which of these, and why.
    """

    surge: int
    unavailable: int
    recreate: bool
    words: str


def bounds(spec: claim.Spec, site: settings.Settings) -> tuple[int, int]:
    """Returns the replica bounds; a maximum that nobody wrote stays within the settings' cap."""
    minimum = int(base.given(base.of(spec.scaling, "min_replicas"), MIN_REPLICAS))
    maximum = base.of(spec.scaling, "max_replicas")
    if maximum is None:
        count = hardware.gpus_of_a_replica(spec)
        cap = site.limits.max_gpus
        room = MAX_REPLICAS
        if cap is not None and count > 0:
            room = max(1, min(MAX_REPLICAS, cap // count))
        maximum = max(room, minimum)
    return minimum, int(maximum)


def scaling(
    spec: claim.Spec,
    site: settings.Settings,
    max_requests: int | None,
    kept: Kept | None,
    start_seconds: int,
    reached: ways.Ways,
    why: list[explanation.Explanation],
) -> Scaling:
    """Returns replica counts and triggers.

    Args:
        spec: What the author asks for.
        site: The settings.
        max_requests: Requests that one replica computes at once, or None where the engine has no
            such bound.
        kept: Requests that one replica keeps its promises with, or None where that is no bound.
        start_seconds: Budget from container start to the first 200.
        reached: By which ways requests reach the claim.
        why: Explanations are added here.
    """
    asked = spec.scaling or claim_scaling.Scaling()
    minimum, maximum = bounds(spec, site)
    held = _held_at_one(site, reached) if minimum == 0 else None
    if held is not None:
        why.append(
            explanation.Explanation(
                "minimum replicas",
                "1",
                f"0 is held at 1: {held}",
                "scaling.minReplicas=0",
                surprising=True,
                field="spec.scaling.minReplicas",
            )
        )
    cooldown = _cooldown(asked, why)
    sleeps = minimum == 0 and held is None
    triggers = asked.triggers or claim_scaling.Triggers()
    kv_usage = _target(triggers.kv_cache, base.given(asked.cache_utilization_threshold, KV_USAGE))
    if kv_usage is not None and float(kv_usage) > 1:
        why.append(_never_fires(kv_usage))
    running, ratio = _running(asked, triggers, max_requests, kept, why)
    if sleeps and cooldown < start_seconds:
        why.append(_sleep_cooldown(cooldown, start_seconds))
    return Scaling(
        minimum=minimum if held is None else 1,
        maximum=maximum,
        cooldown=cooldown,
        polling=int(base.given(asked.polling_interval_seconds, POLLING)),
        running=running,
        running_ratio=ratio,
        kv_usage=kv_usage,
        queue=_target(triggers.queue, str(base.given(asked.queue_length_threshold, QUEUE))),
        wakes=sleeps,
        held_at_one=held,
    )


_COOLDOWN = "spec.scaling.cooldownSeconds"


def _cooldown(asked: claim_scaling.Scaling, why: list[explanation.Explanation]) -> int:
    """Returns the quiet seconds before a replica is given back."""
    cooldown = int(base.given(asked.cooldown_seconds, COOLDOWN))
    if cooldown <= LONGEST_COOLDOWN:
        return cooldown
    why.append(
        explanation.Explanation(
            "cooldown",
            f"{LONGEST_COOLDOWN} s",
            "the HPA's stabilization window is at most an hour",
            f"scaling.cooldownSeconds={cooldown}",
            field=_COOLDOWN,
        )
    )
    return LONGEST_COOLDOWN


def _sleep_cooldown(cooldown: int, start_seconds: int) -> explanation.Explanation:
    return explanation.Explanation(
        "cooldown before sleep",
        f"{start_seconds} s",
        "the start budget: a woken replica that still loads is idle to KEDA, and must not be"
        " taken away before it could answer",
        f"scaling.cooldownSeconds={cooldown}",
        field=_COOLDOWN,
    )


def _never_fires(kv_usage: str) -> explanation.Explanation:
    return explanation.Explanation(
        "kv-cache target",
        kv_usage,
        f"a share of the KV cache is at most 1: at {kv_usage} the trigger can never fire",
        "scaling.cacheUtilizationThreshold or scaling.triggers.kvCache.target",
        surprising=True,
        field="spec.scaling.triggers.kvCache.target",
    )


def replacement(
    maximum: int, hard: hardware.Hardware, why: list[explanation.Explanation]
) -> Replacement:
    """Returns how pods are replaced: a surge pod needs a GPU that nothing else holds.

    Args:
        maximum: Replicas at most.
        hard: What a replica runs on.
        why: An explanation is added here.
    """
    spare, room = "on the spare GPUs of the class", "the class has no spare GPU"
    if hard.without_gpu:
        spare, room = "in the room that the nodes have", "its nodes have no room"
    if hard.gpu.spare:
        words = f"a new pod starts first, {spare}"
        result = Replacement(1, 0, False, words)
    elif maximum > 1:
        words = f"one pod at a time goes before its successor starts: {room}"
        result = Replacement(0, 1, False, words)
    else:
        words = (
            f"the pod goes before its successor starts, with a gap: {room}, and there is one"
            " replica at most"
        )
        result = Replacement(0, 1, True, words)
    inputs = f"scaling.maxReplicas={maximum}, settings {hard.setting}.spare={hard.gpu.spare}"
    kind = "Recreate" if result.recreate else "RollingUpdate"
    why.append(explanation.Explanation("replacement of pods", kind, words, inputs))
    return result


def _held_at_one(site: settings.Settings, reached: ways.Ways) -> str | None:
    """Returns why nothing could start the first replica of a claim at zero, if so."""
    wake = site.scaling.wake
    if site.providers.autoscaler != "keda":
        return "without an autoscaler nothing could start the first replica"
    if reached.queue:
        return None
    if wake is None:
        return "the settings have no scaling.wake.query that could start the first replica"
    if not reached.counted & set(wake.counts):
        return (
            f"the settings' scaling.wake.query counts requests by {' and '.join(wake.counts)}, and"
            " none reach the claim so (an endpoint picker's are not counted, unless the picker is"
            " native and scraped)"
        )
    return None


def _target(trigger: claim_scaling.Trigger | None, otherwise: str) -> str | None:
    """Returns the value per replica, or None for a trigger that is switched off."""
    if trigger is None:
        return otherwise
    if trigger.enabled is False:
        return None
    return str(base.given(trigger.target, otherwise))


def _running(
    asked: claim_scaling.Scaling,
    triggers: claim_scaling.Triggers,
    max_requests: int | None,
    kept: Kept | None,
    why: list[explanation.Explanation],
) -> tuple[str | None, float | None]:
    """Returns the target of running requests as a number, or as a share, or neither."""
    ratio = base.given(asked.running_ratio_threshold, RUNNING_RATIO)
    chosen = _target(triggers.running, "")
    if chosen != "":
        return chosen, None
    if max_requests is None:
        return None, None
    if kept is not None and asked.running_ratio_threshold is None:
        return None, _promised(kept, float(ratio), max_requests, why)
    why.append(
        explanation.Explanation(
            "running target",
            plural.of(share(float(ratio), max_requests), "request") + " a replica",
            "ratio x maxNumSeqs: the trigger is a sum over pods with AverageValue",
            f"runningRatioThreshold={ratio}, maxNumSeqs={max_requests}",
            field="spec.scaling.triggers.running.target",
        )
    )
    return None, float(ratio)


def _promised(
    kept: Kept, ratio: float, max_requests: int, why: list[explanation.Explanation]
) -> float:
    """Returns the share of running requests that follows from what users are promised."""
    promised = ratio * min(kept.requests, max_requests) / max_requests
    why.append(
        explanation.Explanation(
            "running target",
            plural.of(share(promised, max_requests), "request") + " a replica",
            f"{ratio:g} x the requests that keep the promise: {kept.words}",
            f"slo, requests that keep it={kept.requests}, maxNumSeqs={max_requests}",
            field="spec.scaling.triggers.running.target",
        )
    )
    return promised


def share(ratio: float, max_requests: int) -> str:
    """Returns the running requests that a replica should have: a share of what it can compute."""
    return f"{max(ratio * max_requests, 0.001):.10g}"
