"""How much each caller may use: one policy on the Gateway, counted by the platform's limiter.

The AI gateway tells the tokens of an answer at its end, by the key that a GatewayConfig gives it.
Envoy asks the limiter before a request with the caller's name and the model in two headers, as the
rules of the keys do, and tells it the tokens afterwards (Envoy Gateway 1.9.0, ratelimit.go). A
policy on a route replaces the Gateway's unless it asks to be merged: those of the claims behind a
front door do where the settings have a limiter.
"""

from collections.abc import Iterator

from function import assembly, kinds
from function.api import gateway as api
from function.api import gateway_money
from function.cluster import observed, readiness, routes
from function.concerns import reasons
from function.concerns.gateway import traffic_policies
from function.fleet import budgets, doors, gateways, rows, situations
from function.planning import identity

# Where the AI gateway leaves what a request came to, and under which key.
_NAMESPACE = "io.envoy.ai_gateway"
_TOKENS = "inference_gateway_tokens"


class LimitsReady(reasons.Reasons):
    """Reasons of LimitsReady."""

    NOT_REQUESTED = reasons.Reason("NotRequested", True, "No caller has `limits` or a `budget`.")
    ENFORCED = reasons.Reason("Enforced", True, "The gateway has every limit.")
    UNKNOWN_MODEL = reasons.Reason(
        "UnknownModel",
        True,
        "The same, and a limit names a model that nobody serves; the message names it.",
        "Correct the name, or wait for the claim.",
    )
    UNPRICED = reasons.Reason(
        "Unpriced",
        True,
        "The same, and a caller with a `budget` may use a model without a price, which costs the"
        " budget nothing; the message names both.",
        "Name the model in `spec.prices`.",
    )
    ELSEWHERE = reasons.Reason(
        "Elsewhere",
        True,
        "`spec.gateway` names a Gateway of somebody else, whose limits are its own.",
    )
    NO_LIMITER = reasons.Reason(
        "NoLimiter",
        False,
        "The settings have nobody who counts: callers have no limit.",
        "Give Envoy Gateway a rate limit service, then set `frontDoor.limiter: envoy`"
        " ([limits](front-door.md#how-much)).",
        alarm=True,
    )
    NOT_PROVIDED = reasons.NO_AI_GATEWAY
    KIND_MISSING = reasons.Reason(
        "KindMissing",
        False,
        "A kind is not installed; the message names it. Callers have no limit.",
        "Install it ([a kind that is installed later](#a-kind-that-is-installed-later)).",
        alarm=True,
    )
    WAITING = reasons.Reason(
        "Waiting",
        False,
        "The gateway has not said yet that it took the limits.",
        "Wait a moment; [GatewayReady](#gatewayready).",
    )
    OVERRIDDEN = reasons.Reason(
        "Overridden",
        False,
        "Policies on routes replace the limits there; the message is the controller's and names the"
        " routes.",
        "Routes of claims follow within ten minutes. A BackendTrafficPolicy of somebody else needs"
        " `mergeType: StrategicMerge`.",
        alarm=True,
    )
    REFUSED = reasons.Reason(
        "Refused",
        False,
        "The gateway refuses the limits, and answers requests with 500; the message is the"
        " controller's.",
        "Most often Envoy Gateway has no rate limit service: give it one, or set"
        " `frontDoor.limiter: none`.",
        alarm=True,
    )


def compose(now: situations.Situation) -> Iterator[assembly.Part]:
    """Yields what tells the tokens of an answer, and the limits."""
    if not now.door.limited:
        return
    if _asks(now):
        yield assembly.Part(rows.COSTS, costs(now))
    yield assembly.Part(rows.LIMITS, policy(now.door))


def _asks(now: situations.Situation) -> bool:
    """Tells whether the Gateway names its GatewayConfig by the time that the GatewayConfig comes.

    The AI gateway looks for Gateways when a GatewayConfig comes, and at none whose annotations
    alone change (its controller.go, GenerationChangedPredicate): tokens would never be told.
    """
    made = now.world.get(rows.GATEWAY)
    if made is None or now.world.get(rows.COSTS) is not None:
        return True
    annotations = observed.at(made, "metadata", "annotations")
    return observed.at(annotations, gateways.CONFIG_ANNOTATION) is not None


def costs(now: situations.Situation) -> identity.Manifest:
    """Returns what the AI gateway tells of each answer on the Gateway."""
    door = now.door
    return {
        "apiVersion": door.site.gateway.api_version,
        "kind": kinds.GATEWAY_CONFIG.name,
        "metadata": door.identity.metadata(component=doors.COMPONENT),
        "spec": {
            "globalLLMRequestCosts": [
                {"metadataKey": _TOKENS, "type": "TotalToken"},
                *([budgets.cost(now)] if door.budgets else []),
            ]
        },
    }


def policy(door: doors.Door) -> identity.Manifest:
    """Returns the limits, and what a caller over one of them reads."""
    name = door.identity.part("limits")
    return {
        "apiVersion": kinds.GATEWAY_TRAFFIC_POLICY.api_versions[0],
        "kind": kinds.GATEWAY_TRAFFIC_POLICY.name,
        "metadata": door.identity.metadata(name, component=doors.COMPONENT),
        "spec": {
            "targetRefs": [gateways.target(door)],
            "rateLimit": {
                "global": {
                    # A budget that comes moves no limit from its place.
                    "rules": [
                        *(_rule(*limit) for limit in door.limits),
                        *(_budget(*budget) for budget in door.budgets),
                    ]
                }
            },
            "responseOverride": list(traffic_policies.over_limit()),
        },
    }


def _rule(caller: str, limit: api.Limit) -> identity.Manifest:
    """Returns one limit, counted over all routes of the Gateway together.

    A count is kept by the rule's place among the rules and by what is matched, each as a value or,
    with `Distinct`, as what the request has there (ratelimit.go). Places change when limits come or
    go. So names are matched in both ways, and those of tokens in the other order: a count starts
    anew then, and is never taken for one of another caller, another model or the other thing.
    """
    headers = [_named(routes.CALLER_HEADER, caller)]
    if limit.model is not None:
        headers.append(_named(routes.MODEL_HEADER, limit.model))
    distinct = [{"name": header["name"], "type": "Distinct"} for header in headers]
    matched = headers + distinct if limit.tokens is None else distinct + headers
    rule: identity.Manifest = {
        "clientSelectors": [{"headers": matched}],
        "limit": {
            "requests": limit.requests if limit.tokens is None else limit.tokens,
            "unit": limit.per.capitalize(),
        },
        "shared": True,
    }
    if limit.tokens is not None:
        rule["cost"] = _told(_TOKENS)
    return rule


def _budget(caller: str, budget: gateway_money.Budget) -> identity.Manifest:
    """Returns one budget: a limit of what answers cost, matched as no other limit is."""
    named = _named(routes.CALLER_HEADER, caller)
    distinct = {"name": named["name"], "type": "Distinct"}
    return {
        "clientSelectors": [{"headers": [distinct, named, distinct]}],
        "limit": {"requests": budgets.millionths(budget), "unit": budget.per.capitalize()},
        "shared": True,
        "cost": _told(budgets.MONEY),
    }


def _told(key: str) -> identity.Manifest:
    """Returns that nothing counts before the answer, and then what the AI gateway tells of it."""
    return {
        "request": {"from": "Number", "number": 0},
        "response": {"from": "Metadata", "metadata": {"namespace": _NAMESPACE, "key": key}},
    }


def _named(header: str, value: str) -> identity.Manifest:
    return {"name": header, "type": "Exact", "value": value}


def condition(now: situations.Situation, desired: assembly.Desired) -> observed.Condition:
    """Returns LimitsReady."""
    door = now.door
    if not door.own:
        return LimitsReady.ELSEWHERE.condition("the Gateway has limits of its own, or none")
    if not (door.limits or door.budgets):
        return LimitsReady.NOT_REQUESTED.condition("no caller has limits")
    if not door.provided:
        return LimitsReady.NOT_PROVIDED.condition("the settings have no provider of gateway")
    if not door.limited:
        words = "callers have no limit: the settings have frontDoor.limiter none"
        return LimitsReady.NO_LIMITER.condition(words)
    absent = desired.lacking(LimitsReady.type())
    if absent is not None:
        return LimitsReady.KIND_MISSING.condition(reasons.missing(absent, "gateway"))
    return _of_the_policy(now, desired)


def _of_the_policy(now: situations.Situation, desired: assembly.Desired) -> observed.Condition:
    if now.world.get(rows.COSTS) is None:
        return LimitsReady.WAITING.condition(
            "the GatewayConfig, which tells tokens, is not there yet"
        )
    made = now.world.get(rows.LIMITS)
    ancestors = observed.items(made, "status", "ancestors")
    taken = readiness.NOT_CREATED if made is None else _TAKEN(made)
    if ancestors and not taken.ready:
        return LimitsReady.REFUSED.condition(f"BackendTrafficPolicy: {taken.message}")
    replaced = next(filter(None, (observed.condition(a, "Overridden") for a in ancestors)), None)
    if replaced is not None and replaced.status == "True":
        return LimitsReady.OVERRIDDEN.condition(replaced.message)
    waits = desired.waits(LimitsReady.type())
    if waits is not None or not taken.ready:
        return LimitsReady.WAITING.condition(waits or f"BackendTrafficPolicy: {taken.message}")
    served = {model.name for model in (*now.members.models, *now.models)}
    named = {limit.model for _, limit in now.door.limits if limit.model is not None}
    unknown = sorted(named - served) if now.members.read else []
    if unknown:
        return LimitsReady.UNKNOWN_MODEL.condition(f"nobody serves {', '.join(unknown)}")
    free = budgets.unpriced(now)
    if free:
        return LimitsReady.UNPRICED.condition(f"no price: {', '.join(free)}")
    return LimitsReady.ENFORCED.condition("the gateway has every limit")


_TAKEN = readiness.per_parent("ancestors", "Accepted")
