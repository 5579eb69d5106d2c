"""The conditions of a claim: how far each of its concerns is, and why.

Every condition is answered on every call, each with a reason that a machine can match and a message
that a person can act on. Messages hold nothing that changes by itself, because a changed status
wakes core again.
"""

import dataclasses

from function import draft as drafts
from function import observed as world
from function import plan as plans
from function import pods as pod_states
from function import rollout as rollouts
from function import weights as weight_states

VALID = "Valid"
CURRENT = "Current"
WEIGHTS_READY = "WeightsReady"
ENGINE_READY = "EngineReady"
SCALER_READY = "ScalerReady"
ROUTE_READY = "RouteReady"
POLICY_READY = "PolicyReady"
OBSERVABILITY_READY = "ObservabilityReady"
CONDITION_TYPES = (
    VALID,
    CURRENT,
    WEIGHTS_READY,
    ENGINE_READY,
    SCALER_READY,
    ROUTE_READY,
    POLICY_READY,
    OBSERVABILITY_READY,
)

# Characters of a message.
LONGEST_MESSAGE = 1000
# The kinds that each concern's condition speaks for.
_ROUTES = (
    "AIGatewayRoute",
    "AIServiceBackend",
    "Backend",
    "BackendTrafficPolicy",
    "HTTPRoute",
    "HelmRelease",
)
_POLICIES = ("CiliumNetworkPolicy", "NetworkPolicy")
_MONITORING = ("PrometheusRule", "ServiceMonitor", "VMRule", "VMServiceScrape")


def every(draft: drafts.Draft, pods: pod_states.Pods) -> tuple[world.Condition, ...]:
    """Returns all conditions of a finished draft."""
    found = (
        _yes(VALID, "Valid", "the claim and the settings are valid"),
        _current(draft),
        _weights(draft),
        _engine(draft, pods),
        _scaler(draft),
        _route(draft),
        _concern(draft, POLICY_READY, _POLICIES, "networkPolicy"),
        _concern(draft, OBSERVABILITY_READY, _MONITORING, "monitoring"),
    )
    return tuple(dataclasses.replace(c, message=c.message[:LONGEST_MESSAGE]) for c in found)


def invalid(reason: str, message: str, observed: world.Observed) -> tuple[world.Condition, ...]:
    """Returns all conditions of a claim that cannot be rendered: what is known stays said.

    But for Current, of a claim that is at fault itself: what serves is not what it says.
    """
    unknown = (world.Condition(kind, "Unknown", "NotRendered") for kind in CONDITION_TYPES[1:])
    known = dict(observed.conditions)
    if reason == "Invalid":
        known[CURRENT] = _no(CURRENT, "Invalid", "what the claim says cannot be used: see Valid")
    return (
        world.Condition(VALID, "False", reason, message[:LONGEST_MESSAGE]),
        *(known.get(condition.type, condition) for condition in unknown),
    )


def _yes(kind: str, reason: str, message: str = "") -> world.Condition:
    return world.Condition(kind, "True", reason, message)


def _no(kind: str, reason: str, message: str) -> world.Condition:
    return world.Condition(kind, "False", reason, message)


def _current(draft: drafts.Draft) -> world.Condition:
    """Current: what the claim now says is what serves."""
    rollout, seen = draft.rollout, draft.deployment
    if draft.plan.suspended:
        return _no(CURRENT, "Suspended", "the claim is suspended")
    if rollout.template is None:
        return _no(CURRENT, "NotServing", "nothing runs yet")
    if rollout.hold is not None:
        return _no(CURRENT, rollout.hold.reason, rollout.hold.message)
    if seen is None:
        return _no(CURRENT, "NotServing", "nothing runs yet")
    if not rollout.applied or not seen.settled:
        words = draft.plan.replacement.words
        return _no(CURRENT, "RollingOut", f"pods are moving to what the claim says: {words}")
    if seen.wanted == 0:
        return _yes(CURRENT, "Idle", "no replica runs; the next one starts as the claim says")
    if not seen.serves:
        return _no(CURRENT, "NotServing", "no replica is available")
    return _yes(CURRENT, "Serving", "what the claim says is what serves")


def _weights(draft: drafts.Draft) -> world.Condition:
    plan, state = draft.plan, draft.weights
    if not plan.preloads:
        paths = ", ".join(weights.path for weights in plan.weights)
        return _yes(
            WEIGHTS_READY, "NotManaged", f"weights must lie at {paths} of volume {plan.volume}"
        )
    if state.failure is not None and state.job == weight_states.Weights.FAILED:
        what_now = (
            "the weights that are wanted are verified"
            if state.verified
            else "raise spec.model.preload.generation to try again"
        )
        return world.Condition(
            WEIGHTS_READY,
            "True" if state.verified else "False",
            state.failure.reason,
            f"{state.failure.message} ({_repositories(plan)}); {what_now}",
        )
    if state.verified and state.removal_failure is not None:
        return _yes(
            WEIGHTS_READY,
            "CleanupFailed",
            "the weights are verified; those that are no longer wanted are not removed:"
            f" {state.removal_failure.message}; raise spec.model.preload.generation to try again",
        )
    if state.verified:
        return _yes(WEIGHTS_READY, "Verified", "the weights are verified")
    again = _again(plan, state)
    if state.job == weight_states.Weights.RUNNING:
        words = f"downloading and verifying {_repositories(plan)}{again}"
        return _no(WEIGHTS_READY, "Downloading", words)
    if state.job == weight_states.Weights.STARTING:
        return _no(
            WEIGHTS_READY,
            "Queued",
            f"the pod that downloads {_repositories(plan)} has not started{again}: node, image,"
            " volume or Secret",
        )
    return _no(
        WEIGHTS_READY, "Queued", f"the download of {_repositories(plan)} is about to start{again}"
    )


def _again(plan: plans.Plan, state: weight_states.Weights) -> str:
    """Returns which try it is, from the second on."""
    limit = plan.site.preload.backoff_limit
    return f" (try {state.tries + 1} of {limit + 1})" if 0 < state.tries <= limit else ""


def _repositories(plan: plans.Plan) -> str:
    return ", ".join(f"{weights.repository}@{weights.revision}" for weights in plan.weights)


def _engine(draft: drafts.Draft, pods: pod_states.Pods) -> world.Condition:
    plan, seen = draft.plan, draft.deployment
    if draft.serves:
        return _yes(ENGINE_READY, "Serving", "at least one replica serves")
    if plan.suspended:
        ends = seen is not None and seen.wanted > 0
        words = "its replicas have still to go" if ends else "no replica runs"
        return _no(ENGINE_READY, "Suspended", f"the claim is suspended: {words}")
    if draft.rollout.template is None:
        if plan.misfit is not None:
            return _no(ENGINE_READY, rollouts.EXCEEDS_CLASS, plan.misfit)
        return _no(
            ENGINE_READY, "WeightsPending", "no GPU is asked for before the weights are there"
        )
    if seen is None:
        return _no(ENGINE_READY, "Creating", "the Deployment is being created")
    if seen.wanted == 0:
        if plan.scaling.minimum == 0:
            return _yes(ENGINE_READY, "Idle", "no replica runs: a request wakes one")
        return _no(ENGINE_READY, "ScaledToZero", "the autoscaler has not started a replica yet")
    if pods.trouble is not None:
        return _no(ENGINE_READY, *pods.trouble)
    if seen.stuck is not None:
        return _no(
            ENGINE_READY,
            "ProgressDeadlineExceeded",
            f"no replica became ready in time: {seen.stuck}",
        )
    words = "a replica is starting: node, image, weights, compilation"
    if seen.ran:
        words = "a replica is starting, or starts again: node, image, weights, compilation, a crash"
    return _no(ENGINE_READY, "Starting", words)


def _scaler(draft: drafts.Draft) -> world.Condition:
    plan = draft.plan
    if plan.site.providers.autoscaler == "none":
        if plan.suspended:
            return _yes(SCALER_READY, "NotManaged", "suspended at zero replicas")
        if plan.scaling.held_at_one is not None:
            return _held(plan.scaling.held_at_one)
        return _yes(SCALER_READY, "NotManaged", f"{plan.scaling.minimum} replicas, fixed")
    if "scaledobject" in draft.missing:
        return _missing(SCALER_READY, draft.missing["scaledobject"], "autoscaler")
    if draft.rollout.template is None:
        return _no(SCALER_READY, "Withheld", "the autoscaler comes with the Deployment")
    found = world.status_conditions(draft.seen("scaledobject") or {})
    if plan.suspended:
        paused = found.get("Paused")
        if paused is None or paused.status != "True":
            return _no(SCALER_READY, "Pausing", "KEDA has not paused the claim yet")
        return _yes(SCALER_READY, "Paused", "paused at zero replicas")
    ready = found.get("Ready")
    if _falls_back(draft.seen("scaledobject") or {}):
        return _no(
            SCALER_READY,
            "FallbackActive",
            "triggers cannot be read: the replica count is held at what runs, at least"
            f" {max(plan.scaling.minimum, 1)}",
        )
    if ready is None:
        return _no(SCALER_READY, "Creating", "KEDA has not reported yet")
    if ready.status != "True" or ready.reason == "PartialTriggerError":
        return _no(SCALER_READY, "TriggerError", ready.message or ready.reason)
    if plan.scaling.held_at_one is not None:
        return _held(plan.scaling.held_at_one)
    return _yes(SCALER_READY, "Ready", "triggers are read")


def _held(why: str) -> world.Condition:
    return _no(SCALER_READY, "NoWakeSignal", f"minReplicas 0 is held at 1: {why}")


def _falls_back(scaled_object: world.Object) -> bool:
    """Tells whether some trigger failed too often, by KEDA's own rule.

    Its poll and its metrics API each write the whole list of conditions from what they last read,
    and one undoes the other's Fallback for a poll. The counts of failures are written one by one.
    """
    health = world.at(scaled_object, "status", "health")
    if not health:
        fallback = world.status_conditions(scaled_object).get("Fallback")
        return fallback is not None and fallback.status == "True"
    allowed = world.number(world.at(scaled_object, "spec", "fallback", "failureThreshold"))
    return any(
        world.at(trigger, "status") == "Failing"
        and world.number(world.at(trigger, "numberOfFailures")) > allowed
        for trigger in health.values()
    )


def _route(draft: drafts.Draft) -> world.Condition:
    plan = draft.plan
    asked = {
        "gateway": plan.spec.gateway is not None and plan.spec.gateway.enabled is True,
        "route": plan.spec.route is not None and plan.spec.route.enabled is True,
    }
    if not any(asked.values()):
        return _yes(ROUTE_READY, "NotRequested", "the claim asks for no route")
    have = {"gateway": plan.gateway, "route": plan.route}
    for concern, wanted in asked.items():
        if wanted and not have[concern]:
            return _no(ROUTE_READY, "NotProvided", f"the settings have no provider of {concern}")
    for absent in draft.missing.values():
        if absent.split()[-1] in _ROUTES:
            return _missing(ROUTE_READY, absent, "gateway or route")
    if plan.gateway and not draft.published:
        when = "with the Deployment" if plan.scaling.wakes else "once the engine has served"
        return _no(ROUTE_READY, "Withheld", f"the route is published {when}")
    waits = _waits(draft, _ROUTES)
    if waits is not None:
        return _no(ROUTE_READY, "Unresolved", waits)
    return _yes(ROUTE_READY, "Published", "the routes are accepted")


def _concern(
    draft: drafts.Draft, kind: str, kinds: tuple[str, ...], provider: str
) -> world.Condition:
    """Returns the condition of a concern whose objects only need their own readiness."""
    camel = {"networkPolicy": "network_policy", "monitoring": "monitoring"}[provider]
    if getattr(draft.plan.site.providers, camel) == "none":
        return _yes(kind, "NotManaged", f"the settings have no provider of {provider}")
    for absent in draft.missing.values():
        if absent.split()[-1] in kinds:
            return _missing(kind, absent, provider)
    waits = _waits(draft, kinds)
    if waits is not None:
        return _no(kind, "NotReady", waits)
    return _yes(kind, "Ready")


def _missing(kind: str, absent: str, provider: str) -> world.Condition:
    return _no(
        kind,
        "KindMissing",
        f"the cluster has no {absent}: install it, or set providers.{provider} in the settings",
    )


def _waits(draft: drafts.Draft, kinds: tuple[str, ...]) -> str | None:
    """Returns what the first object of these kinds waits for, or None."""
    for key in sorted(draft.resources):
        composed = draft.resources[key]
        if not composed.ready and composed.manifest["kind"] in kinds:
            return composed.waits
    return None
