"""One replica as the capacity room judges it, and how many requests it keeps the promises with."""

import math

from function import explanation
from function.capacity import loads
from function.engines import engine
from function.planning import objectives, parallelism, scaling


def judged(outlook: engine.Outlook | None, split: parallelism.Split) -> loads.Engine | None:
    """Returns one replica, or None where nobody knows its times.

    Model or GPU are unknown, the model does not fit, or it is shared in a way of which nobody
    measured times.
    """
    if outlook is None or outlook.fit is None or outlook.fit.tokens.best <= 0:
        return None
    model, card, flags = outlook.prospect.checkpoint, outlook.prospect.card, outlook.flags
    if model is None or card is None or not split.timed:
        return None
    return loads.replica(model, card, flags, outlook.fit.tokens.best)


def kept(
    promised: objectives.Objectives,
    outlook: engine.Outlook | None,
    split: parallelism.Split,
    why: list[explanation.Explanation],
) -> scaling.Kept | None:
    """Returns the requests at which a replica keeps the promised times, or None for no bound.

    A promise is about nearly all requests and the estimate about their average, so the engine is
    taken to be as slow as is believable.

    Args:
        promised: What users are promised.
        outlook: What is known of model and GPU.
        split: How the GPUs of a replica share the model.
        why: An explanation is added where a single request misses a promise already.
    """
    milliseconds = _milliseconds(promised)
    one, workload = judged(outlook, split), loads.WORKLOADS[loads.USUAL]
    if not milliseconds or one is None or outlook is None:
        return None
    if workload.prompt + workload.output > outlook.flags.context:
        return None
    most = loads.most(one, workload, targets(promised), "high")
    if most is None:
        alone = loads.load(one, workload, 1)
        if alone is not None:
            takes = {"itl": alone.between_tokens.high, "ttft": alone.first_token.high}
            missed = {name: most for name, most in milliseconds.items() if takes[name] > most}
            why.append(_missed_alone(missed))
        return None
    load, bound = most
    if bound in (loads.Bound.SEQUENCES, loads.Bound.CACHE):
        return None
    words = f"{bound} of spec.slo is missed with more, by the estimate for {loads.USUAL} requests"
    return scaling.Kept(max(1, math.floor(load.concurrency)), words)


def targets(promised: objectives.Objectives) -> loads.Targets:
    """Returns the times that a claim's users are promised."""
    milliseconds = _milliseconds(promised)
    return loads.Targets(milliseconds.get("itl"), milliseconds.get("ttft"))


def _milliseconds(promised: objectives.Objectives) -> dict[str, float]:
    return {each.name: each.bound * 1000 for each in promised.each if each.bound is not None}


def _missed_alone(milliseconds: dict[str, float]) -> explanation.Explanation:
    times = " and ".join(f"{name} {value / 1000:g} s" for name, value in milliseconds.items())
    return explanation.Explanation(
        "objectives: scaling",
        "no target follows",
        f"spec.slo: a replica may miss {times} with a single {loads.USUAL} request: more replicas"
        " do not help, a faster GPU class or a later time does",
        "slo",
        surprising=True,
        field="spec.slo",
    )
