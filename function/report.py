"""What the claim says about itself: conditions, phase, status, events, and when to look again.

Every condition is answered on every call, each with a reason that a machine can match and a message
that a person can act on. Messages hold nothing that changes by itself, because a changed status
wakes core again.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

from function import canonical, composition
from function import draft as drafts
from function import observed as world
from function import plan as plans
from function import rollout as rollouts
from function import weights as weight_states
from function.resources import deployment, gateway, meta, preload

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

# Seconds. Everything that is composed is watched, so a settled claim is looked at rarely: for
# settings, which core 2.3 reads but does not watch. Pods are not watched either.
STEADY_TTL = 600
PODS_TTL = 60

# Reasons that somebody must act on: their events are warnings.
_ALARMS = frozenset(
    (
        "ExceedsGpuClass",
        "FallbackActive",
        "ImagePullFailed",
        "KindMissing",
        "ContainerConfigFailed",
        "CrashLooping",
        "NoWakeSignal",
        "ProgressDeadlineExceeded",
        "TriggerError",
        "Unschedulable",
        *preload.FAILURE_REASONS,
    )
)
# Reasons of EngineReady that no waiting mends.
_BROKEN = frozenset(
    ("ContainerConfigFailed", "CrashLooping", "ImagePullFailed", "ProgressDeadlineExceeded")
)
_LONGEST_MESSAGE = 1000
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


def finish(draft: drafts.Draft) -> composition.Composition:
    """Returns the composition of a finished draft."""
    plan = draft.plan
    # Such a claim would be ready otherwise: all that it has is.
    unfit = plan.misfit is not None and draft.rollout.template is None and not plan.suspended
    pods = _Pods.of(draft)
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
    conditions = tuple(dataclasses.replace(c, message=c.message[:_LONGEST_MESSAGE]) for c in found)
    questions = _questions(draft)
    return composition.Composition(
        resources=draft.resources,
        status=_status(draft, conditions, pods),
        conditions=conditions,
        events=tuple(_events(draft.observed, conditions)),
        complete=not draft.missing and not unfit,
        ttl=PODS_TTL if questions.pods is not None else STEADY_TTL,
        questions=questions,
        explanations=plan.explanations,
        held=draft.rollout.hold.fields if draft.rollout.hold is not None else (),
        restarts=draft.rollout.restarts,
    )


def invalid(reason: str, message: str, observed: world.Observed) -> tuple[world.Condition, ...]:
    """Returns all conditions of a claim that cannot be rendered: what is known stays said."""
    unknown = (world.Condition(kind, "Unknown", "NotRendered") for kind in CONDITION_TYPES[1:])
    return (
        world.Condition(VALID, "False", reason, message[:_LONGEST_MESSAGE]),
        *(observed.conditions.get(condition.type, condition) for condition in unknown),
    )


def _yes(kind: str, reason: str, message: str = "") -> world.Condition:
    return world.Condition(kind, "True", reason, message)


def _no(kind: str, reason: str, message: str) -> world.Condition:
    return world.Condition(kind, "False", reason, message)


# --- conditions


def _current(draft: drafts.Draft) -> world.Condition:
    """Current: what the claim now says is what serves."""
    rollout, seen = draft.rollout, draft.deployment
    if draft.plan.suspended:
        return _no(CURRENT, "Suspended", "the claim is suspended")
    if rollout.template is None:
        return _no(CURRENT, "NotServing", "nothing runs yet")
    if rollout.hold is not None:
        return _no(CURRENT, rollout.hold.reason, rollout.hold.message)
    if seen is None or not rollout.applied or not seen.settled:
        return _no(CURRENT, "RollingOut", "pods are moving to what the claim says")
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
        again = (
            "; raise spec.model.preload.generation to try again"
            if not state.verified
            else "; the weights that are wanted are verified"
        )
        return world.Condition(
            WEIGHTS_READY,
            "True" if state.verified else "False",
            state.failure.reason,
            f"{state.failure.message} ({_repositories(plan)}){again}",
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
    if state.job == weight_states.Weights.RUNNING:
        return _no(WEIGHTS_READY, "Downloading", f"downloading {_repositories(plan)}")
    if state.job == weight_states.Weights.STARTING:
        return _no(
            WEIGHTS_READY,
            "Queued",
            f"the pod that downloads {_repositories(plan)} has not started: node, image, volume or"
            " Secret",
        )
    return _no(WEIGHTS_READY, "Queued", f"the download of {_repositories(plan)} is about to start")


def _repositories(plan: plans.Plan) -> str:
    return ", ".join(f"{weights.repository}@{weights.revision}" for weights in plan.weights)


def _engine(draft: drafts.Draft, pods: "_Pods") -> world.Condition:
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
    return _no(ENGINE_READY, "Starting", "a replica is starting: node, image, weights, compilation")


def _scaler(draft: drafts.Draft) -> world.Condition:
    plan = draft.plan
    if plan.site.providers.autoscaler == "none":
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
        message = f"minReplicas 0 is held at 1: {plan.scaling.held_at_one}"
        return _no(SCALER_READY, "NoWakeSignal", message)
    return _yes(SCALER_READY, "Ready", "triggers are read")


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
        return _no(ROUTE_READY, "Withheld", "the route is published once the engine has served")
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


# --- pods, where the settings allow to read them


@dataclasses.dataclass(frozen=True)
class _Pods:
    """What only pods know, while nothing serves.

    Attributes:
        trouble: Reason and message, or None.
        unschedulable: True when the scheduler found no node.
    """

    trouble: tuple[str, str] | None
    unschedulable: bool

    @classmethod
    def of(cls, draft: drafts.Draft) -> "_Pods":
        """Returns the first trouble of the serving pods, by name."""
        pods = [
            pod
            for pod in draft.observed.pods or []
            if world.at(pod, "metadata", "labels", "app.kubernetes.io/component") == "inference"
        ]
        for pod in sorted(pods, key=lambda pod: str(world.at(pod, "metadata", "name"))):
            scheduled = world.conditions(world.at(pod, "status")).get("PodScheduled")
            if scheduled is not None and scheduled.status == "False":
                return cls(("Unschedulable", scheduled.message), True)
            for status in world.at(pod, "status", "containerStatuses") or []:
                trouble = _container_trouble(status)
                if trouble is not None:
                    return cls(trouble, False)
        return cls(None, False)


def _container_trouble(status: world.Object) -> tuple[str, str] | None:
    waiting = world.at(status, "state", "waiting")
    reason = str(world.at(waiting, "reason") or "")
    message = str(world.at(waiting, "message") or "")
    if reason in ("ErrImagePull", "ImagePullBackOff", "InvalidImageName"):
        return "ImagePullFailed", message or reason
    if reason in ("CreateContainerConfigError", "CreateContainerError", "RunContainerError"):
        return "ContainerConfigFailed", message or reason
    if reason == "CrashLoopBackOff":
        last = world.at(status, "lastState", "terminated")
        words = str(world.at(last, "message") or "").strip()
        code = world.number(world.at(last, "exitCode"))
        # The engine says why at the very end of its log.
        return "CrashLooping", f"the engine exited with code {code}: {words[-600:]}"
    return None


# --- status


def _status(
    draft: drafts.Draft, conditions: tuple[world.Condition, ...], pods: "_Pods"
) -> dict[str, Any]:
    plan = draft.plan
    served = _served_models(draft)
    seen = draft.deployment
    weights = draft.weights
    return canonical.prune(
        {
            "observedGeneration": _observed_generation(draft, conditions),
            "phase": _phase(draft, conditions, pods),
            "waitingFor": _waiting_for(draft, conditions),
            "replicas": f"{seen.available if seen else 0}/{seen.wanted if seen else 0}",
            "gpu": f"{plan.gpu_count} x {plan.gpu_class_name}",
            "modelEndpoint": gateway.endpoint(plan) if plan.gateway else None,
            "servedModels": served,
            "servedModelsSummary": ",".join(model["name"] for model in served),
            "serving": _serving(draft),
            "weights": canonical.prune(
                {
                    "key": plan.weights_key,
                    "generation": weights.generation,
                    "verified": [dict(record) for record in weights.records] or None,
                    "removing": list(weights.removing) or None,
                }
            )
            if plan.preloads or weights.records
            else None,
            "latches": canonical.prune(
                {
                    "routePublished": draft.published or None,
                    "scaledByAutoscaler": draft.scaled or None,
                    "fixedReplicas": draft.fixed or None,
                }
            ),
        }
    )


def _observed_generation(draft: drafts.Draft, conditions: tuple[world.Condition, ...]) -> Any:
    """Returns the generation of the claim that the conditions are about.

    Core writes the fields of a status beside the conditions that it read before, and the new
    conditions after them; none says which generation it is about, so that `kubectl wait` takes this
    field's word. It moves on when what was read says what is said now: until then `Current` would
    be True of an edit that nobody has looked at. The changed conditions wake core for that.
    """
    before = draft.observed.conditions
    for condition in conditions:
        seen = before.get(condition.type)
        if seen is None or seen.status != condition.status:
            return world.at(draft.observed.status, "observedGeneration")
    return draft.plan.resource.metadata.generation


def _served_models(draft: drafts.Draft) -> list[dict[str, Any]]:
    """Returns the names that clients may ask for: adapters once every pod serves them."""
    plan = draft.plan
    weights = dict(gateway.canaries(plan)) if plan.gateway else {}
    return [
        canonical.prune(
            {
                "name": served.name,
                "kind": served.kind,
                "canaryWeightPercent": weights.get(served.name)
                if served.kind == "adapter"
                else None,
            }
        )
        for served in plan.weights
        if served.kind == "base" or served.name in draft.adapters
    ]


def _serving(draft: drafts.Draft) -> dict[str, Any] | None:
    """Returns what the running pods were started with: ours once they run, else what was said."""
    plan, seen = draft.plan, draft.deployment
    known = world.at(draft.observed.status, "serving")
    if draft.rollout.template is None or seen is None or not seen.serves:
        return canonical.plain(known) if known is not None else None
    if draft.current:
        base = plan.weights[0]
        return canonical.prune(
            {
                "repository": base.repository,
                "revision": base.revision,
                "sha": _sha(draft, base),
                "engineImage": plan.image,
                "adapters": [adapter.name for adapter in plan.adapters] or None,
            }
        )
    if known is not None:
        return canonical.plain(known)  # type: ignore[no-any-return]
    # Taken over from 0.9.0, whose pods say no more than their image and arguments.
    containers = draft.rollout.template["spec"]["containers"]
    image = next((c["image"] for c in containers if c["name"] == deployment.CONTAINER), None)
    adapters = sorted(draft.adapters) or None
    return canonical.prune({"engineImage": image, "adapters": adapters})


def _sha(draft: drafts.Draft, base: plans.Weights) -> str | None:
    directory = f"{draft.plan.volume}/{base.directory}"
    for record in draft.weights.records:
        if record["directory"] == directory and record.get("sha") is not None:
            return str(record["sha"])
    return None


def _phase(draft: drafts.Draft, conditions: tuple[world.Condition, ...], pods: "_Pods") -> str:
    """Returns the phase; never Failed while a replica serves."""
    plan, seen = draft.plan, draft.deployment
    by_type = {condition.type: condition for condition in conditions}
    if draft.serves and seen is not None:
        if plan.suspended:
            return "Updating"
        if by_type[WEIGHTS_READY].reason in preload.FAILURE_REASONS and not draft.weights.verified:
            return "Degraded"
        if draft.rolls or by_type[CURRENT].reason == rollouts.WEIGHTS_PENDING:
            return "Updating"
        return "Serving" if seen.available >= seen.wanted else "Degraded"
    weights_failed = draft.weights.job == weight_states.Weights.FAILED
    if not draft.weights.verified and weights_failed:
        return "Failed"
    if plan.suspended:
        # A replica that only starts holds its GPUs until the autoscaler has taken it away.
        return "Suspended" if seen is None or seen.wanted == 0 else "Updating"
    if draft.rollout.template is None:
        if plan.misfit is not None and draft.weights.verified:
            return "Failed"
        return "Pending" if draft.weights.job == weight_states.Weights.ABSENT else "Downloading"
    if seen is None:
        return "Pending"
    if seen.wanted == 0 and plan.scaling.minimum == 0:
        return "Idle"
    if pods.unschedulable:
        return "WaitingForGPU"
    if seen.stuck is not None or by_type[ENGINE_READY].reason in (
        "ImagePullFailed",
        "CrashLooping",
    ):
        return "Failed"
    return "Starting"


def _waiting_for(draft: drafts.Draft, conditions: tuple[world.Condition, ...]) -> str:
    """Returns in words what the claim waits for; empty when it waits for nothing."""
    seen = draft.deployment
    if draft.plan.suspended and (seen is None or seen.wanted == 0) and not draft.serves:
        return ""
    by_type = {condition.type: condition for condition in conditions}
    order = (
        WEIGHTS_READY,
        ENGINE_READY,
        ROUTE_READY,
        SCALER_READY,
        POLICY_READY,
        OBSERVABILITY_READY,
        CURRENT,
    )
    for kind in order:
        condition = by_type[kind]
        if condition.status != "True":
            return (condition.message or condition.reason)[:_LONGEST_MESSAGE]
    for key in sorted(draft.resources):
        if not draft.resources[key].ready:
            return draft.resources[key].waits[:_LONGEST_MESSAGE]
    return ""


# --- events and questions


def _events(
    observed: world.Observed, conditions: tuple[world.Condition, ...]
) -> Iterator[composition.Event]:
    """Yields one event for each condition that changed since the last answer.

    A condition that core turned into Unknown after a failed call comes back without one.
    """
    for condition in conditions:
        before = observed.conditions.get(condition.type)
        if before is None:
            alarming = condition.status == "False" and condition.reason in _ALARMS
            if not alarming:
                continue
        elif before.reason in (condition.reason, world.FATAL_ERROR):
            continue
        yield composition.Event(
            # True, because what is wanted is there, and yet for somebody to look at.
            warning=condition.reason == "CleanupFailed"
            or (condition.status == "False" and condition.reason in _ALARMS)
            or (
                condition.type == WEIGHTS_READY
                and condition.status == "False"
                and condition.reason not in ("Queued", "Downloading")
            ),
            reason=condition.reason,
            message=f"{condition.type}={condition.status}: {condition.message}".rstrip(": "),
        )


def _questions(draft: drafts.Draft) -> composition.Questions:
    kinds: tuple[tuple[str, str], ...] = ()
    if draft.observed.can_ask and draft.optional:
        kinds = (drafts.CONTROL_KIND, *sorted(draft.optional))
    pods = None
    reads = draft.plan.site.diagnostics.pods and not draft.plan.suspended
    if reads and (not draft.serves or draft.weights.wants_job):
        pods = {
            key: value
            for key, value in meta.labels(draft.plan).items()
            if not key.endswith("/component")
        }
    return composition.Questions(kinds, pods)
