"""What the claim says about itself: phase, status, events, and when to look again."""

from collections.abc import Iterator
from typing import Any

from function import canonical, composition, conditions
from function import draft as drafts
from function import observed as world
from function import plan as plans
from function import pods as pod_states
from function import rollout as rollouts
from function import weights as weight_states
from function.resources import deployment, gateway, meta, preload

# Seconds. Everything that is composed is watched, so a settled claim is looked at rarely: for
# settings and pods, which core 2.3 reads but does not watch.
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


def finish(draft: drafts.Draft) -> composition.Composition:
    """Returns the composition of a finished draft."""
    plan = draft.plan
    # Such a claim would be ready otherwise: all that it has is.
    unfit = plan.misfit is not None and draft.rollout.template is None and not plan.suspended
    pods = pod_states.Pods.of(draft)
    found = conditions.every(draft, pods)
    questions = _questions(draft)
    events = tuple(_events(draft.observed, found))
    return composition.Composition(
        resources=draft.resources,
        status=_status(draft, found, pods),
        conditions=found,
        events=() if events and _repeats(draft, found) else events,
        complete=not draft.missing and not unfit,
        # A Job is watched, and says itself when its pods have ended.
        ttl=PODS_TTL if questions.pods is not None and _starts(draft) else STEADY_TTL,
        questions=questions,
        explanations=plan.explanations,
        held=draft.rollout.hold.fields if draft.rollout.hold is not None else (),
        restarts=draft.rollout.restarts,
    )


def _status(
    draft: drafts.Draft, found: tuple[world.Condition, ...], pods: pod_states.Pods
) -> dict[str, Any]:
    plan = draft.plan
    served = _served_models(draft)
    seen = draft.deployment
    weights = draft.weights
    return canonical.prune(
        {
            "observedGeneration": _observed_generation(draft, found),
            "phase": _phase(draft, found, pods),
            "waitingFor": _waiting_for(draft, found),
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


def _observed_generation(draft: drafts.Draft, found: tuple[world.Condition, ...]) -> Any:
    """Returns the generation of the claim that the conditions are about.

    Core writes the fields of a status beside the conditions that it read before, and the new
    conditions after them; none says which generation it is about, so that `kubectl wait` takes this
    field's word. It moves on when what was read says what is said now: until then `Current` would
    be True of an edit that nobody has looked at. The changed conditions wake core for that.
    """
    before = draft.observed.conditions
    for condition in found:
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


def _phase(draft: drafts.Draft, found: tuple[world.Condition, ...], pods: pod_states.Pods) -> str:
    """Returns the phase; never Failed while a replica serves."""
    plan, seen = draft.plan, draft.deployment
    by_type = {condition.type: condition for condition in found}
    if draft.serves and seen is not None:
        if plan.suspended:
            return "Updating"
        failed = by_type[conditions.WEIGHTS_READY].reason in preload.FAILURE_REASONS
        if failed and not draft.weights.verified:
            return "Degraded"
        if draft.rolls or by_type[conditions.CURRENT].reason == rollouts.WEIGHTS_PENDING:
            return "Updating"
        return "Serving" if seen.available >= seen.wanted else "Degraded"
    withheld = draft.rollout.template is None
    if (
        withheld
        and not draft.weights.verified
        and draft.weights.job == weight_states.Weights.FAILED
    ):
        return "Failed"
    if plan.suspended:
        # A replica that only starts holds its GPUs until the autoscaler has taken it away.
        return "Suspended" if seen is None or seen.wanted == 0 else "Updating"
    if withheld:
        if plan.misfit is not None and draft.weights.verified:
            return "Failed"
        return "Pending" if draft.weights.job == weight_states.Weights.ABSENT else "Downloading"
    if seen is None:
        return "Pending"
    if seen.wanted == 0 and plan.scaling.minimum == 0:
        return "Idle"
    if pods.unschedulable:
        return "WaitingForGPU"
    if seen.stuck is not None or by_type[conditions.ENGINE_READY].reason in (
        "ImagePullFailed",
        "CrashLooping",
    ):
        return "Failed"
    return "Starting"


def _waiting_for(draft: drafts.Draft, found: tuple[world.Condition, ...]) -> str:
    """Returns in words what the claim waits for; empty when it waits for nothing."""
    seen = draft.deployment
    if draft.plan.suspended and (seen is None or seen.wanted == 0) and not draft.serves:
        return ""
    by_type = {condition.type: condition for condition in found}
    order = (
        conditions.WEIGHTS_READY,
        conditions.ENGINE_READY,
        conditions.ROUTE_READY,
        conditions.SCALER_READY,
        conditions.POLICY_READY,
        conditions.OBSERVABILITY_READY,
        conditions.CURRENT,
    )
    for kind in order:
        condition = by_type[kind]
        if condition.status != "True":
            return (condition.message or condition.reason)[: conditions.LONGEST_MESSAGE]
    for key in sorted(draft.resources):
        if not draft.resources[key].ready:
            return draft.resources[key].waits[: conditions.LONGEST_MESSAGE]
    return ""


# --- events and questions


def _events(
    observed: world.Observed, found: tuple[world.Condition, ...]
) -> Iterator[composition.Event]:
    """Yields one event for each condition that changed since the last answer.

    A condition that core turned into Unknown after a failed call comes back without one. So does
    what the status waits for in these very words: it was told with the answer that wrote them,
    though core's cache may not show that answer's conditions yet (`_repeats`).
    """
    written = world.at(observed.status, "waitingFor")
    for condition in found:
        if condition.status != "True" and condition.message == written:
            continue
        before = observed.conditions.get(condition.type)
        if before is None:
            alarming = condition.status == "False" and condition.reason in _ALARMS
            if not alarming:
                continue
        elif before.reason in (condition.reason, world.FATAL_ERROR):
            continue
        elif condition.type == conditions.CURRENT and before.reason == "Invalid":
            continue  # Valid has said it
        yield composition.Event(
            # True, because what is wanted is there, and yet for somebody to look at.
            warning=condition.reason == "CleanupFailed"
            or (condition.status == "False" and condition.reason in _ALARMS)
            or (
                condition.type == conditions.WEIGHTS_READY
                and condition.status == "False"
                and condition.reason not in ("Queued", "Downloading")
            ),
            reason=condition.reason,
            message=f"{condition.type}={condition.status}: {condition.message}".rstrip(": "),
        )


def _repeats(draft: drafts.Draft, found: tuple[world.Condition, ...]) -> bool:
    """Tells whether the last answer was this one, so that its events are told already.

    Core writes the fields of a status, tells the events and then writes the conditions. Its first
    write wakes it again, and its cache may show the new fields beside the old conditions
    (v2.4.0, internal/controller/apiextensions/composite/reconciler.go). The field `waitingFor`
    follows from the conditions: where it holds what the new ones say and not what the old ones
    say, an answer came between.
    """
    before = draft.observed.conditions
    if not before.keys() >= set(conditions.CONDITION_TYPES):
        return False
    # A fatal answer writes no fields, and a suspended claim waits for nothing, whatever is untrue.
    invalid = before[conditions.VALID].status != "True"
    if invalid or before[conditions.CURRENT].reason == "Suspended":
        return False
    written = world.at(draft.observed.status, "waitingFor")
    old = _waiting_for(draft, tuple(before.values()))
    return bool(written == _waiting_for(draft, found) and written != old)


def _questions(draft: drafts.Draft) -> composition.Questions:
    kinds: tuple[tuple[str, str], ...] = ()
    if draft.observed.can_ask and draft.optional:
        kinds = (drafts.CONTROL_KIND, *sorted(draft.optional))
    pods = None
    if draft.plan.site.diagnostics.pods and (_starts(draft) or draft.weights.wants_job):
        pods = {
            key: value
            for key, value in meta.labels(draft.plan).items()
            if not key.endswith("/component")
        }
    return composition.Questions(kinds, pods)


def _starts(draft: drafts.Draft) -> bool:
    """Tells whether a replica is to come, of which only its pod says what keeps it."""
    seen = draft.deployment
    return seen is not None and seen.wanted > 0 and not draft.serves and not draft.plan.suspended
