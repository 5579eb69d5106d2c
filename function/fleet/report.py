"""What a front door says about itself: conditions, phase, status, events, and what to read."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from function import assembly, canonical, composition, kinds, transitions
from function.api import gateway_status
from function.boundary import adoption
from function.cluster import observed
from function.concerns import reasons, validity
from function.concerns.gateway import envoy_ai_gateway
from function.fleet import (
    externals,
    gateways,
    keys,
    limits,
    members,
    models,
    priced,
    pricing,
    routers,
    rows,
    situations,
)
from function.fleet.edge import edges
from function.fleet.evals import evals

# In the order in which the object shows them.
OWN_CONDITIONS: tuple[type[reasons.Reasons], ...] = (
    gateways.GatewayReady,
    keys.CallersReady,
    limits.LimitsReady,
    priced.PricesReady,
    externals.ProvidersReady,
    routers.SemanticRouterReady,
    models.ModelsReady,
    evals.EvalsReady,
    edges.EdgeReady,
)
CONDITIONS: tuple[type[reasons.Reasons], ...] = (validity.Valid, *OWN_CONDITIONS)
CONDITION_TYPES = tuple(condition.type() for condition in CONDITIONS)
# The first of these that is not True is what the object waits for.
_WAITING_ORDER = CONDITION_TYPES[1:]
# Seconds. Claims are read, and core 2.3 does not watch what is read.
TTL = 60
_LONGEST_SUMMARY = 1024


def finish(now: situations.Situation, desired: assembly.Desired) -> composition.Composition:
    """Returns the composition: what is desired, and what the object says about itself."""
    conditions = _conditions(now, desired)
    events = tuple(
        transitions.events(now.world, now.remembered, conditions, _warning, lambda *_: False)
    )

    def waiting_for(reported: Mapping[str, observed.Condition]) -> str:
        return _waiting_for(desired, reported)

    known = now.world.conditions.get(validity.Valid.type())
    # A fatal answer writes no fields, so what the status says was not said with its conditions.
    usable = known is not None and known.status == "True"
    if usable and transitions.repeats(now.world, now.remembered, conditions, waiting_for):
        events = ()
    # A price that the status keeps already was told with the answer that wrote it there.
    events = (*events, *priced.events(now))
    withheld = now.door.own and not now.emits_gateway
    return composition.Composition(
        resources=desired.resources,
        status=_status(now, conditions, waiting_for),
        conditions=conditions,
        events=events,
        complete=not desired.missing and not withheld,
        ttl=TTL,
        questions=_questions(now, desired),
        explanations=tuple(priced.explanations(now)),
        held=(),
        restarts=(),
        wanted={},
        bounds=(0, 0),
        gpus="",
        misfit=None,
    )


def _conditions(
    now: situations.Situation, desired: assembly.Desired
) -> tuple[observed.Condition, ...]:
    made = (
        validity.valid(),
        gateways.condition(now, desired),
        keys.condition(now, desired),
        limits.condition(now, desired),
        priced.condition(now),
        externals.condition(now, desired),
        routers.condition(now, desired),
        models.condition(now),
        evals.condition(now, desired),
        edges.condition(now, desired),
    )
    longest = validity.LONGEST_MESSAGE
    return tuple(dataclasses.replace(one, message=one.message[:longest]) for one in made)


_ALARMS = frozenset(
    (kind.type(), member.reason.name)
    for kind in CONDITIONS
    for member in kind
    if member.reason.alarm
)


def _warning(condition: observed.Condition) -> bool:
    return (condition.type, condition.reason) in _ALARMS


def _waiting_for(desired: assembly.Desired, conditions: Mapping[str, observed.Condition]) -> str:
    untrue = transitions.first_untrue(conditions, _WAITING_ORDER)
    if untrue is not None:
        return untrue.message or untrue.reason
    # No condition speaks for the dashboard and for what is recorded.
    absent = desired.lacking("")
    if absent is not None:
        rules = absent.endswith((kinds.VM_RULE.name, kinds.PROMETHEUS_RULE.name))
        return reasons.missing(absent, "monitoring" if rules else "dashboards")
    return (desired.first_wait() or "")[: validity.LONGEST_MESSAGE]


def _status(
    now: situations.Situation,
    conditions: tuple[observed.Condition, ...],
    waiting_for: Any,
) -> dict[str, Any]:
    reported = {condition.type: condition for condition in conditions}
    served = now.models
    asking = [member for member in now.members.members if member.asks]
    published = [member for member in asking if member.published and now.door.attached]
    if now.door.own:
        endpoint = gateways.endpoint(now)
        port = now.door.token_port
        tokens = None if port is None else gateways.endpoint(now, port)
    else:
        tokens = None
        shared = now.door.attached and now.door.site.front_door_of(now.door.identity.namespace)
        endpoint = envoy_ai_gateway.shared_endpoint(now.door.site) if shared is None else None
    return canonical.prune(
        {
            "observedGeneration": transitions.observed_generation(
                now.world, now.remembered, conditions, now.door.resource.metadata.generation
            ),
            "phase": _phase(now, reported),
            "waitingFor": waiting_for(reported),
            "endpoint": endpoint,
            "tokenEndpoint": tokens,
            "edgeEndpoint": edges.endpoint(now),
            "claims": f"{len(published)}/{len(asking)}",
            "models": [
                canonical.prune(
                    {
                        "name": model.name,
                        "claim": model.claim,
                        "provider": model.provider,
                        "kind": model.kind,
                    }
                )
                for model in served[: gateway_status.MOST_MODELS]
            ],
            "modelsSummary": _summary([model.name for model in served]),
            "callers": len(now.callers_in_force) if now.door.own else None,
            "prices": pricing.remembered(now.prices),
        }
    )


def _summary(names: list[str]) -> str:
    """Returns the names, as many as there is room for, and how many more there are."""
    text = ",".join(names)
    kept = len(names)
    while len(text) > _LONGEST_SUMMARY:
        kept -= 1
        text = ",".join([*names[:kept], f"and {len(names) - kept} more"])
    return text


def _phase(now: situations.Situation, reported: Mapping[str, observed.Condition]) -> str:
    ready = {kind: condition.status == "True" for kind, condition in reported.items()}
    if now.door.own and now.world.get(rows.GATEWAY) is None:
        return "Pending"
    refused = (keys.CallersReady.REFUSED, limits.LimitsReady.REFUSED)
    if any(reported[one.type()].reason == one.reason.name for one in refused):
        return "Degraded"
    if not ready[gateways.GatewayReady.type()]:
        return "Starting"
    return "Serving" if ready[models.ModelsReady.type()] or now.externals else "Empty"


def _questions(now: situations.Situation, desired: assembly.Desired) -> composition.Questions:
    kinds: tuple[tuple[str, str], ...] = ()
    if now.world.can_ask and desired.optional:
        kinds = (observed.CONTROL_KIND, *sorted(desired.optional))
    resources = adoption.questions(now.world, desired.unobserved, desired.optional)
    return composition.Questions(kinds, {**resources, members.REQUIREMENT: members.question()})
