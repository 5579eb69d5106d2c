"""The steps from a claim of 0.9.0 to one of today, each by itself."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

from function.cli import edits
from function.concerns.access import callers, cilium
from function.engines import adviser, advisers
from function.planning import plans, scaling

Json = dict[str, Any]


Step = Callable[[Json, plans.Plan], adviser.Step | None]


def _quantization(claim: Json, plan: plans.Plan) -> adviser.Step | None:
    del plan
    model = claim["spec"]["model"]
    if model.get("quantization") != "fp16":
        return None
    del model["quantization"]
    field = "spec.model.quantization"
    return adviser.Step(
        claim, field, f"{field}: fp16 is left out: it is the old name of no quantization"
    )


# --- thresholds


def _threshold(
    claim: Json, plan: plans.Plan, *, old: str, new: str, target: Callable[[Any, Json], str | None]
) -> adviser.Step | None:
    """Moves a threshold to its trigger."""
    del plan
    scale = claim["spec"].get("scaling") or {}
    chosen = scale.get(old)
    if chosen is None:
        return None
    value = target(chosen, claim["spec"]["model"])
    if value is None:
        return None
    del scale[old]
    triggers = scale["triggers"] = scale.get("triggers") or {}
    trigger = triggers[new] = triggers.get(new) or {}
    trigger["target"] = value
    field = f"spec.scaling.{old}"
    return adviser.Step(
        claim, field, f"{field}: {chosen} is spec.scaling.triggers.{new}.target: {value!r}"
    )


def _running(ratio: Any, model: Json) -> str | None:
    """Returns running requests for a share of maxNumSeqs, where the claim says how many these are.

    Where it does not, the share is left: the number would no longer follow.
    """
    most = model.get("maxNumSeqs")
    return None if most is None else scaling.share(float(ratio), most)


def _same(chosen: Any, model: Json) -> str:
    del model
    return str(chosen)


# --- callers


def _access(claim: Json, plan: plans.Plan) -> adviser.Step | None:
    """Turns raw rules that only name peers into callers that every provider of policies has."""
    raw = (claim["spec"].get("networkPolicies") or {}).get("ingress")
    if not raw or plan.site.providers.network_policy != "cilium":
        return None
    listed = [_callers_of(rule, plan) for rule in raw]
    if any(peers is None for peers in listed):
        return None
    named = list(dict.fromkeys(peer for peers in listed for peer in peers or []))
    added = [_caller(peer, plan) for peer in named if peer not in callers.callers(plan)]
    del claim["spec"]["networkPolicies"]["ingress"]
    if not claim["spec"]["networkPolicies"]:
        del claim["spec"]["networkPolicies"]
    if added:
        access = claim["spec"]["access"] = claim["spec"].get("access") or {}
        access["from"] = [*(access.get("from") or []), *added]
    field = "spec.networkPolicies.ingress"
    return adviser.Step(claim, field, f"{field} is spec.access.from, beside the settings' callers")


def _callers_of(rule: Any, plan: plans.Plan) -> list[callers.Peer] | None:
    """Returns the peers of a rule, or None when it says anything else too."""
    if not isinstance(rule, dict) or set(rule) != {"fromEndpoints", "toPorts"}:
        return None
    ports: list[int] = []
    for listed in rule["toPorts"]:
        if set(listed) != {"ports"}:
            return None
        for port in listed["ports"]:
            if port.get("protocol") != "TCP" or not str(port.get("port")).isdecimal():
                return None
            ports.append(int(port["port"]))
    peers = []
    for selector in rule["fromEndpoints"]:
        if set(selector) != {"matchLabels"}:
            return None
        labels = dict(selector["matchLabels"])
        namespace = labels.pop(cilium.NAMESPACE_LABEL, None)
        if any(":" in name for name in labels):
            return None
        peers += [callers.peer(plan, namespace, labels, port) for port in ports]
    return peers


def _caller(peer: callers.Peer, plan: plans.Plan) -> Json:
    result: Json = {}
    if peer.namespace != plan.identity.namespace:
        result["namespace"] = peer.namespace
    if peer.labels:
        result["podLabels"] = dict(peer.labels)
    if peer.port != plan.engine.PORT:
        result["port"] = peer.port
    return result


_THRESHOLDS = (
    ("runningRatioThreshold", "running", _running),
    ("cacheUtilizationThreshold", "kvCache", _same),
    ("queueLengthThreshold", "queue", _same),
)


def steps(plan: plans.Plan) -> Iterator[Step]:
    """Yields what may change, in the order in which it is tried."""
    yield _quantization
    for old, new, target in _THRESHOLDS:
        yield functools.partial(_threshold, old=old, new=new, target=target)
    for step in advisers.of(plan.engine).steps():
        yield functools.partial(_of_engine, step=step)
    yield _access


def _of_engine(
    claim: Json, plan: plans.Plan, *, step: Callable[[Json], adviser.Step | None]
) -> adviser.Step | None:
    del plan
    return step(claim)


# --- comments

_STORED = "is what 0.9.0 stored where nobody chose. Without this line:"
# Values that 0.9.0's schema stored, and what holds when the line is deleted.
_DEFAULTS: tuple[tuple[edits.Path, Any, str], ...] = (
    (
        ("spec", "model", "contextWindow"),
        4096,
        "the model's own context, or what leaves room for the settings' capacity.fullSequences.",
    ),
    (
        ("spec", "model", "maxNumSeqs"),
        64,
        "usual requests that the KV cache holds, from 8 to 256.",
    ),
    (("spec", "model", "revision"), "main", "main as well. A branch moves: pin a commit."),
    (
        ("spec", "model", "preload", "enabled"),
        False,
        "a Job downloads and verifies the weights. With it they lie at 0.9.0's paths.",
    ),
    (
        ("spec", "cache", "prefixCache", "enabled"),
        False,
        "the prefix cache is on, as it was with 0.9.0, which passed nothing.",
    ),
    (
        ("spec", "healthProbes", "liveness"),
        {
            "initialDelaySeconds": 60,
            "periodSeconds": 30,
            "timeoutSeconds": 10,
            "failureThreshold": 3,
        },
        "a probe each 30 s without delay, which fails after six.",
    ),
    (
        ("spec", "healthProbes", "readiness"),
        {
            "initialDelaySeconds": 30,
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 3,
        },
        "a probe each 5 s without delay.",
    ),
)


def comments(claim: Json) -> Iterator[tuple[edits.Path, str]]:
    """Yields a sentence for each field that has what 0.9.0 stored."""
    for path, stored, without in _DEFAULTS:
        held: Any = claim
        for step in path:
            held = held.get(step) if isinstance(held, dict) else None
        if held == stored and type(held) is type(stored):
            shown = "This" if isinstance(stored, dict) else str(stored).lower()
            yield path, f"{shown} {_STORED} {without}"
