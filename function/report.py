"""What the claim says about itself: phase, status, events, and when to look again."""

from collections.abc import Mapping
from typing import Any

from function import assembly, canonical, composition, transitions
from function.boundary import adoption
from function.clients import offers
from function.cluster import jobs, observed, pods, queueing
from function.concerns import capacity, concerns, validity, weights, workload
from function.concerns.access import policies
from function.concerns.gateway import envoy_ai_gateway, publishing
from function.concerns.observability import watching
from function.concerns.scaling import autoscaling
from function.concerns.secrets import fetching
from function.planning import hardware, misfits
from function.situation import counts, rollouts, situations, traffic
from function.workloads import batches

# Seconds. Everything that is composed is watched, so a settled claim is looked at rarely: for
# settings and pods, which core 2.3 reads but does not watch.
STEADY_TTL = 600
PODS_TTL = 60

# The first of these that is not True is what the claim waits for: causes stand before what they
# keep from happening. Neither the Job nor the engine starts without its Secrets.
_WAITING_ORDER = (
    fetching.SecretsReady,
    weights.WeightsReady,
    workload.EngineReady,
    publishing.RouteReady,
    autoscaling.ScalerReady,
    policies.PolicyReady,
    watching.ObservabilityReady,
    workload.Current,
)


def finish(now: situations.Situation, desired: assembly.Desired) -> composition.Composition:
    """Returns the composition: what is desired, and what the claim says about itself."""
    conditions = concerns.conditions(now, desired)
    events = tuple(transitions.events(now.world, now.memory, conditions, _warning, _said_by_valid))
    questions = _questions(now, desired)
    return composition.Composition(
        resources=desired.resources,
        status=_status(now, desired, conditions),
        conditions=conditions,
        events=() if events and _repeats(now, desired, conditions) else events,
        # A claim has only ready objects while its workload is withheld because it fits no node, or
        # its route because another claim has the model's name.
        complete=not desired.missing and not now.unfit and not now.traffic.names.withholds,
        # Pods are read again each minute only for a start: core watches Jobs, which show their end.
        ttl=PODS_TTL if pods.REQUIREMENT in questions.resources and _starts(now) else STEADY_TTL,
        questions=questions,
        explanations=now.plan.explanations,
        held=now.rollout.hold.fields if now.rollout.hold is not None else (),
        restarts=now.rollout.restarts,
        wanted=now.rollout.wanted,
        bounds=(now.plan.scaling.minimum, now.plan.scaling.maximum),
        gpus=now.plan.hardware.words,
        misfit=now.plan.misfit,
    )


def _status(
    now: situations.Situation,
    desired: assembly.Desired,
    conditions: tuple[observed.Condition, ...],
) -> dict[str, Any]:
    plan, state, running = now.plan, now.rollout.state, now.rollout.running
    served = _served_models(now)
    reasons = {condition.type: condition for condition in conditions}
    return canonical.prune(
        {
            "observedGeneration": transitions.observed_generation(
                now.world, now.memory, conditions, plan.resource.metadata.generation
            ),
            "phase": _phase(now, reasons),
            "waitingFor": _waiting_for(now, desired, reasons),
            "replicas": f"{state.available if state else 0}/{state.wanted if state else 0}",
            "gpu": hardware.words(
                running.gpus, now.kept_class or plan.hardware.class_name, running.pods
            ),
            "capacity": capacity.capacity(plan),
            "cost": capacity.cost(now),
            "modelEndpoint": envoy_ai_gateway.endpoint(plan)
            if plan.ways.gateway and not now.traffic.names.withholds
            else None,
            "servedModels": served,
            "servedModelsSummary": ",".join(model["name"] for model in served),
            "offers": offers.words(plan) if plan.ways.gateway else None,
            "repositories": list(now.models) or None,
            "serving": _serving(now),
            "weights": _weights(now),
            "canaries": [gate.record for gate in now.gates.canaries] or None,
            "latches": canonical.prune(
                {
                    traffic.ROUTE_PUBLISHED: now.traffic.published or None,
                    counts.SCALED_BY_AUTOSCALER: now.count.scaled or None,
                    counts.FIXED_REPLICAS: now.count.fixed or None,
                }
            ),
        }
    )


def _weights(now: situations.Situation) -> dict[str, Any] | None:
    records = now.supply.records
    if not (now.plan.storage.preloads or records or now.supply.removing):
        return None
    return canonical.prune(
        {
            "key": now.plan.storage.key,
            "cacheDirectory": None
            if now.plan.storage.former_cache
            else batches.cache_directory(now.plan),
            "generation": now.ledger.generation,
            "verified": [dict(record) for record in records] or None,
            "removing": list(now.supply.removing) or None,
        }
    )


def _served_models(now: situations.Situation) -> list[dict[str, Any]]:
    """Returns the names that clients may ask for: adapters once every pod serves them.

    An adapter whose name another claim has on the gateway is left out: a client of that name
    reaches the other claim.
    """
    plan = now.plan
    adapters = now.traffic.adapters - now.traffic.names.refused
    shares = dict(envoy_ai_gateway.canaries(plan)) if plan.ways.gateway else {}
    shares |= dict(now.gates.weights)
    return [
        canonical.prune(
            {
                "name": directory.name,
                "kind": directory.kind,
                # None while a gate gives it nothing.
                "canaryWeightPercent": shares.get(directory.name) or None
                if directory.kind == "adapter"
                else None,
            }
        )
        for directory in plan.storage.directories
        if directory.kind == "base" or directory.name in adapters
    ]


def _serving(now: situations.Situation) -> dict[str, Any] | None:
    """Returns what the running pods were started with.

    From the plan once every pod follows it; before that, what the status says already. Where all
    pods have another model than the status names, the claim was edited again before a rollout
    ended. Then the facts beside the template tell what runs.
    """
    before = now.memory.serving
    if now.withheld or not now.rollout.serves:
        return None if before is None else dict(before)
    if now.rollout.current:
        stored, hard = now.plan.storage, now.plan.hardware
        repository, revision = stored.base.served
        return canonical.prune(
            {
                "repository": repository,
                "revision": revision,
                "sha": now.ledger.sha(stored.recorded(stored.base)),
                "engineImage": now.plan.serving.image,
                "adapters": _served(now) or None,
                "gpuClass": None if hard.without_gpu else hard.class_name,
            }
        )
    running = now.rollout.running
    named = None if before is None else before.get("repository")
    repository = running.model.partition("@refs/")[0]
    # Of files on the volume `serving` has the author's word, and the fact beside the template has
    # the path: that they differ says nothing at rest.
    moves = len(now.memory.repositories) > 1 or not repository.startswith("/")
    if now.rollout.followed and moves and repository and named not in (None, repository):
        told = {
            "repository": repository,
            "engineImage": running.image or None,
            "adapters": list(now.adapters) or None,
            # Facts have no class. Without one, `gpu` and `cost` would be of the class of the claim.
            "gpuClass": None if before is None else before.get("gpuClass"),
        }
        return canonical.prune(told)
    if before is not None and now.rollout.hold is None:
        return dict(before)
    if before is not None:
        # Pods whose template is held load hot adapters all the same.
        served = dict.fromkeys([*(before.get("adapters") or []), *_served(now)])
        return canonical.prune({**before, "adapters": list(served) or None})
    # Taken over from 0.9.0: its pods tell their image and arguments, and no repository.
    adapters = sorted(now.traffic.adapters) or None
    return canonical.prune({"engineImage": running.image or None, "adapters": adapters})


def _served(now: situations.Situation) -> list[str]:
    """Returns the adapters that requests reach, in the claim's order."""
    return [one.name for one in now.plan.storage.adapters if one.name in now.traffic.adapters]


def _phase(now: situations.Situation, reasons: dict[str, observed.Condition]) -> str:
    """Returns the phase; never Failed while a replica serves."""
    plan, state = now.plan, now.rollout.state
    if state is not None and state.serves:
        return _phase_of_serving(now)
    failed = weights.failed(now) and not now.ledger.verified
    if now.withheld and failed:
        return "Failed"
    if plan.suspended:
        # A replica that only starts holds its GPUs until the autoscaler has taken it away.
        return "Suspended" if state is None or state.wanted == 0 else "Updating"
    if now.withheld:
        download = now.supply.download
        too_large = plan.misfit is not None and plan.misfit.reason == misfits.TOO_LARGE
        if plan.misfit is not None and (now.ledger.verified or (too_large and download is None)):
            return "Failed"
        begun = download is not None and download.observed.stage is not jobs.Stage.ABSENT
        return "Downloading" if begun else "Pending"
    if state is None:
        return "Pending"
    if state.wanted == 0 and plan.scaling.minimum == 0:
        return "Idle"
    unplaced = "Pending" if plan.hardware.without_gpu else "WaitingForGPU"
    waits = {"QuotaPending": "WaitingForQuota", "Unschedulable": unplaced}
    if now.trouble is not None and now.trouble.reason in waits:
        return waits[now.trouble.reason]
    broken = ("ImagePullFailed", "CrashLooping")
    if state.stuck is not None or reasons[workload.EngineReady.type()].reason in broken:
        return "Failed"
    return "Starting"


def _phase_of_serving(now: situations.Situation) -> str:
    """Returns the phase while a replica serves."""
    rollout, state = now.rollout, now.rollout.state
    if now.plan.suspended:
        return "Updating"
    if weights.failed(now) and not now.ledger.verified:
        return "Degraded"
    awaited = rollout.hold is not None and rollout.hold.reason == rollouts.WEIGHTS_PENDING
    if rollout.rolls or awaited:
        return "Updating"
    return "Serving" if state is not None and state.available >= state.wanted else "Degraded"


def _waiting_for(
    now: situations.Situation,
    desired: assembly.Desired,
    reasons: Mapping[str, observed.Condition],
) -> str:
    """Returns in words what the claim waits for; empty when it waits for nothing."""
    state = now.rollout.state
    if now.plan.suspended and (state is None or state.wanted == 0) and not now.rollout.serves:
        return ""
    untrue = transitions.first_untrue(reasons, (kind.type() for kind in _WAITING_ORDER))
    if untrue is not None:
        return untrue.message or untrue.reason
    return (desired.first_wait() or "")[: validity.LONGEST_MESSAGE]


# --- events and questions


def _warning(condition: observed.Condition) -> bool:
    # A failed clean-up: True, because the wanted weights are verified, and somebody must act.
    cleanup = condition.reason == weights.WeightsReady.CLEANUP_FAILED.reason.name
    return concerns.alarming(condition) and (condition.status == "False" or cleanup)


def _said_by_valid(condition: observed.Condition, before: observed.Condition) -> bool:
    return condition.type == workload.Current.type() and before.reason == "Invalid"


def _repeats(
    now: situations.Situation,
    desired: assembly.Desired,
    conditions: tuple[observed.Condition, ...],
) -> bool:
    """Tells whether the last answer was the same, so that its events were sent already."""
    before = now.world.conditions
    if not before.keys() >= {condition.type for condition in conditions}:
        return False
    # A fatal answer writes no fields, and a suspended claim waits for nothing, whatever is untrue.
    invalid = before[validity.Valid.type()].status != "True"
    if invalid or before[workload.Current.type()].reason == "Suspended":
        return False
    return transitions.repeats(
        now.world,
        now.memory,
        conditions,
        lambda reasons: _waiting_for(now, desired, reasons),
    )


def _questions(now: situations.Situation, desired: assembly.Desired) -> composition.Questions:
    kinds: tuple[tuple[str, str], ...] = ()
    optional = desired.optional | set(now.traffic.names.kinds) | set(now.traffic.picking.kinds)
    if now.world.can_ask and optional:
        kinds = (observed.CONTROL_KIND, *sorted(optional))
    resources = adoption.questions(now.world, desired.unobserved, desired.optional)
    if now.plan.site.diagnostics.pods and (_starts(now) or now.supply.download is not None):
        labels = now.plan.identity.labels()
        every = {k: v for k, v in labels.items() if k != pods.COMPONENT_LABEL}
        resources[pods.REQUIREMENT] = composition.Selector("v1", "Pod", every)
        ticket = None if now.plan.site.providers.queue == "none" else pods.ticket(now.world)
        if ticket is not None:
            resources[queueing.REQUIREMENT] = composition.Selector(
                queueing.API_VERSION, queueing.KIND, ticket.labels, ticket.name
            )
    resources |= now.traffic.names.questions
    resources |= now.traffic.picking.questions
    resources |= now.traffic.fallback.questions
    return composition.Questions(kinds, resources)


def _starts(now: situations.Situation) -> bool:
    """Tells whether a replica is starting: only its pod tells what it waits for."""
    state = now.rollout.state
    return (
        state is not None and state.wanted > 0 and not now.rollout.serves and not now.plan.suspended
    )
