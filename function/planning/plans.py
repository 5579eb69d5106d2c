"""What is decided about a claim before any object is built.

`make` turns the claim and the settings into a `Plan`: every default applied, every derived value
worked out once, each with the rule and the inputs that it came from, so that the command line, the
status and a person at night read the same explanation. A plan is a handful of values, each made in
a file of its own. Nothing here looks at the cluster: what the checkpoint is, which only a finished
download tells, is an input.
"""

import dataclasses
import functools
from collections.abc import Iterator

from function import explanation, memo
from function.api import base, claim, claim_pod, settings
from function.boundary import (
    monitoring,
    names,
    network,
    origins,
    patches,
    permissions,
    places,
    pods,
    secrets,
)
from function.capacity import fit
from function.cluster import checkpoints, observed
from function.engines import engine, engines
from function.planning import (
    gates,
    hardware,
    identity,
    lifetimes,
    misfits,
    objectives,
    parallelism,
    payers,
    pickers,
    prospects,
    replica,
    running,
    scaling,
    storage,
    ways,
)
from function.workloads import workload, workloads

# Bytes of all plans that are kept, and what one holds with all that was built of it, beside a
# multiple of the claim's own size: measured on the examples and on a claim of 700 KB. About 320
# claims are remembered.
MOST_BYTES = 28 * 1024 * 1024
_PLAN_BYTES = 60 * 1024
_TIMES_WRITTEN = 20
# Plans of one claim: what the checkpoint is changes once, when it was downloaded.
_MOST_PLANS = 2


# Told apart by identity: a plan is made once, and what is built of it is remembered with it.
@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """A claim with every decision made.

    Attributes:
        resource: The claim.
        site: The settings.
        identity: What names and labels follow from.
        serving: What the engine is to be; the engine's own.
        engine: Which engine serves.
        workload: Which kind of object keeps the pods.
        storage: Where the weights lie.
        prospect: What is known of the model and of its GPUs.
        hardware: What one replica runs on.
        start: How long a replica may take to start.
        drain: How a replica ends.
        replacement: How pods follow a new template.
        scaling: How many replicas, and when.
        ways: By which ways requests reach the claim.
        picker: How the endpoint picker picks.
        gates: By which steps the weights of canaries rise.
        objectives: What users are promised.
        misfit: Why no replica could serve on its class, or None.
        suspended: True when the GPUs are to be given back.
        running: What pods of this plan will be.
        explanations: Derived values with rule and inputs.
    """

    resource: claim.InferenceService
    site: settings.Settings
    identity: identity.Identity
    serving: engine.Serving
    engine: engine.Engine
    workload: workload.Workload
    storage: storage.Storage
    prospect: prospects.Prospect
    hardware: hardware.Hardware
    start: lifetimes.Start
    drain: running.Drain
    replacement: scaling.Replacement
    scaling: scaling.Scaling
    ways: ways.Ways
    picker: pickers.Picker
    gates: tuple[gates.Schedule, ...]
    objectives: objectives.Objectives
    misfit: misfits.Misfit | None
    suspended: bool
    running: running.Running
    explanations: tuple[explanation.Explanation, ...]

    @functools.cached_property
    def spec(self) -> claim.Spec:
        """What the author asks for."""
        return self.resource.spec

    @functools.cached_property
    def spreads(self) -> bool:
        """Whether two pods may take requests at once, if only while one replaces the other."""
        return self.scaling.maximum > 1 or self.replacement.surge > 0

    @functools.cached_property
    def undelivered(self) -> bool:
        """Whether the hub refuses the download of the model."""
        return prospects.withheld(self.spec, self.prospect.model)

    @functools.cached_property
    def awaits(self) -> bool:
        """Whether a request may wait for a replica that it wakes."""
        return self.scaling.wakes and not self.suspended


@dataclasses.dataclass(frozen=True)
class _Kept:
    """What is remembered of a claim under some settings.

    Attributes:
        stored: Where its weights lie.
        plans: Its plans, by what the checkpoint is, and by whether its caches lie where they lay
            until 1.1.
    """

    stored: storage.Storage
    plans: dict[tuple[checkpoints.Checkpoint, bool], Plan]


_kept: memo.Bounded[_Kept] = memo.Bounded(MOST_BYTES)


def make(
    resource: claim.InferenceService,
    site: settings.Settings,
    facts: checkpoints.Facts,
    *,
    former_cache: bool = False,
) -> Plan:
    """Returns the plan.

    Args:
        resource: The claim.
        site: The settings.
        facts: What is known of checkpoints on the volume.
        former_cache: Whether the claim's own caches lie where they lay until 1.1.

    Raises:
        base.InvalidError: The claim names what the settings do not have or do not allow.
    """
    chosen = engines.chosen(resource.spec), workloads.chosen(resource.spec)
    key = (resource.fingerprint, site.fingerprint, *(id(room) for room in chosen))
    size = _PLAN_BYTES + _TIMES_WRITTEN * resource.fingerprint.size
    kept = _kept.get(key, size, lambda: _Kept(storage.storage(resource, site), {}))
    checkpoint = facts.checkpoint(kept.stored.recorded(kept.stored.base))
    if (checkpoint, former_cache) not in kept.plans:
        while len(kept.plans) >= _MOST_PLANS:
            kept.plans.pop(next(iter(kept.plans)))
        stored = dataclasses.replace(kept.stored, former_cache=former_cache)
        kept.plans[checkpoint, former_cache] = _make(resource, site, stored, checkpoint)
    return kept.plans[checkpoint, former_cache]


def _make(
    resource: claim.InferenceService,
    site: settings.Settings,
    stored: storage.Storage,
    checkpoint: checkpoints.Checkpoint,
) -> Plan:
    """Returns a new plan."""
    spec = resource.spec
    chosen = engines.chosen(spec)
    who = identity.Identity(
        resource.name, resource.namespace, {**site.labels, **payers.labels(spec, site)}
    )
    measures = chosen.measures(who, spec)
    refused = [
        *names.refusals(resource, site),
        *permissions.refusals(resource, site),
        *secrets.refusals(resource, site),
        *places.refusals(resource, site),
        *origins.refusals(resource, site),
        *network.refusals(resource, site),
        *monitoring.refusals(resource, site),
        *pods.refusals(resource, site),
        *chosen.refusals(resource, site),
        *permissions.caps(spec, site),
        *parallelism.refusals(resource),
        *objectives.refusals(spec.slo, measures),
        *problems(spec),
    ]
    if refused:
        raise base.InvalidError("claim", refused)
    why: list[explanation.Explanation] = []
    prospect = prospects.prospect(spec, site, checkpoint)
    serving = chosen.plan(spec, site, checkpoint, prospect, why)
    hard = hardware.hardware(
        spec, site, serving.pinned_gib, why, on_gpus=chosen.ON_GPUS, needs=serving.needs
    )
    start = lifetimes.start(
        spec,
        site,
        chosen.START_SECONDS,
        prospects.size_gib(prospect),
        why,
        spans=hard.split.spans,
    )
    reached = ways.ways(spec, site, why)
    promised = objectives.objectives(
        spec, site, measures, reached, why, generates=serving.generates
    )
    kept = replica.kept(promised, serving.outlook, hard.split, why)
    scaled = scaling.scaling(spec, site, serving.max_requests, kept, start.seconds, reached, why)
    picks = pickers.picker(spec, site, reached, wakes=scaled.wakes, why=why)
    drain = lifetimes.drain(
        chosen.drain_seconds(spec),
        chosen.EXIT_SECONDS,
        site,
        hard.class_name,
        hard.gpu.interruption_notice_seconds,
        why,
    )
    return Plan(
        resource=resource,
        site=site,
        identity=who,
        engine=chosen,
        workload=workloads.chosen(spec),
        serving=serving,
        storage=stored,
        prospect=prospect,
        hardware=hard,
        start=start,
        drain=drain,
        scaling=scaled,
        replacement=scaling.replacement(scaled.maximum, hard, why),
        ways=reached,
        picker=picks,
        gates=gates.schedules(spec, stored, reached, why),
        objectives=promised,
        misfit=hard.misfit or _too_large(spec, site, serving.outlook),
        suspended=spec.suspend is True,
        running=running.Running(
            engine=chosen.NAME,
            version=serving.release,
            image=serving.image,
            max_requests=serving.max_requests,
            generates=serving.generates,
            start_seconds=start.seconds,
            drain=drain,
            gpus=hard.gpus,
            adapters=tuple(adapter.name for adapter in stored.static),
            hot=bool(stored.hot),
            model=stored.base.model,
            secrets=_secrets(spec),
            store=base.given(spec.model.uri, ""),
            pods=hard.split.pods,
            payers=tuple(sorted(payers.labels(spec, site))),
        ),
        explanations=tuple(why),
    )


def problems(spec: claim.Spec) -> Iterator[base.Problem]:
    """Yields what is wrong with a claim under any settings."""
    yield from patches.unknown(spec)
    yield from lifetimes.refusals(spec)
    yield from prospects.problems(spec)


def _too_large(
    spec: claim.Spec, site: settings.Settings, outlook: engine.Outlook | None
) -> misfits.Misfit | None:
    """Returns why no GPU is asked for: the model does not fit, and nobody overruled that."""
    if outlook is None or outlook.fit is None or outlook.fit.verdict is not fit.Verdict.TOO_LARGE:
        return None
    if base.given(base.of(spec.gpu, "fit"), site.capacity.fit) == "Ignore":
        return None
    return misfits.Misfit(misfits.TOO_LARGE, outlook.fit.sentence)


def whole_secrets(spec: claim.Spec) -> tuple[str, ...]:
    """Returns the Secrets that the engine gets whole, each once.

    The Job that downloads gets the keys of a token from them, if they have one.
    """
    external = [secret.name for secret in spec.external_secrets or []]
    return tuple(dict.fromkeys([*external, *(spec.env_from_secrets or [])]))


def _secrets(spec: claim.Spec) -> tuple[str, ...]:
    """Returns the Secrets without which a pod of the claim cannot start."""
    extra = spec.pod_template or claim_pod.PodTemplate()
    variables = [
        observed.at(variable.value_from, "secretKeyRef", "name") for variable in extra.env or []
    ]
    volumes = [observed.at(volume, "secret", "secretName") for volume in extra.volumes or []]
    single = [name for name in (*variables, *volumes) if isinstance(name, str)]
    credentials = spec.model.credentials_secret_ref
    store = [] if credentials is None else [credentials.name]
    return tuple(dict.fromkeys([*whole_secrets(spec), *single, *store]))
