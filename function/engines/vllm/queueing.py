"""How many requests a replica takes in before it refuses more.

vLLM counts what waits and what runs against `--max-num-queued-reqs` (its `check_admission`), and
answers 503 above that, before anything of the request is computed.
"""

import math

from function import explanation
from function.api import claim
from function.capacity import loads
from function.engines.vllm import sizing
from function.planning import parallelism, prospects


def bound(
    spec: claim.Spec,
    prospect: prospects.Prospect,
    sizes: sizing.Sizes,
    tokens: float | None,
    why: list[explanation.Explanation],
) -> int | None:
    """Returns the most requests that wait or run in a replica, or None for no bound.

    Args:
        spec: What the author asks for.
        prospect: What is known of the model and of its GPUs.
        sizes: What decides about memory.
        tokens: Tokens that the KV cache holds at least, or None where nobody knows.
        why: An explanation is added here.
    """
    seconds = spec.model.longest_queue_seconds
    if seconds is None:
        return None
    split = parallelism.split(spec)
    full = _full(prospect, sizes, tokens) if split.timed else None
    if full is None:
        running = waiting = float(sizes.sequences * split.data)
        rule = "twice maxNumSeqs, as nobody knows how fast the model is on these GPUs"
        inputs = f"maxNumSeqs={sizes.sequences}"
        if split.data > 1:
            inputs += f" in each of {split.data} copies"
    else:
        running, waiting = full.concurrency, full.requests.low * seconds
        rule = (
            "requests that run, and those that a full replica ends in longestQueueSeconds at the"
            f" slow end of the estimate, of the workload {loads.USUAL}"
        )
        inputs = f"{full.requests.low:.2f} requests a second at least, {running:.0f} at once"
    result = max(math.floor(running) + max(math.floor(waiting), 1), 2)
    why.append(
        explanation.Explanation(
            "max-num-queued-reqs",
            str(result),
            rule,
            f"longestQueueSeconds={seconds}; {inputs}",
            field="spec.model.longestQueueSeconds",
        )
    )
    return result


def _full(
    prospect: prospects.Prospect, sizes: sizing.Sizes, tokens: float | None
) -> loads.Load | None:
    """Returns what a full replica gives, or None where nobody knows."""
    usual, flags = loads.WORKLOADS[loads.USUAL], sizes.flags
    if prospect.model is None or prospect.card is None or tokens is None or tokens <= 0:
        return None
    if usual.prompt + usual.output > sizes.context:
        return None
    replica = loads.replica(prospect.model, prospect.card, flags, tokens)
    room = replica.room(usual)
    return loads.load(replica, usual, room) if room >= 1 else None
