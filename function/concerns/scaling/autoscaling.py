"""The autoscaler's object, and whether it can read what it scales by."""

from collections.abc import Iterator

from function import assembly, plural
from function.cluster import observed, readiness, scalers
from function.concerns import providers, reasons
from function.concerns.scaling import keda
from function.situation import situations

PROVIDERS = providers.table("autoscaler", {"keda": keda})


class ScalerReady(reasons.Reasons):
    """Reasons of ScalerReady."""

    READY = reasons.Reason(
        "Ready",
        True,
        "Triggers are read.",
    )
    PAUSED = reasons.Reason(
        "Paused",
        True,
        "Suspended: paused at zero.",
    )
    PAUSING = reasons.Reason(
        "Pausing",
        False,
        "Suspended, and KEDA has not said that it paused.",
        "If it stays: is the KEDA operator running? The GPUs are held until it does.",
    )
    NOT_MANAGED = reasons.Reason(
        "NotManaged",
        True,
        "`providers.autoscaler: none`: `minReplicas` replicas, fixed.",
    )
    WITHHELD = reasons.Reason(
        "Withheld",
        False,
        "The autoscaler comes with the Deployment.",
        "See [WeightsReady](#weightsready).",
    )
    CREATING = reasons.Reason(
        "Creating",
        False,
        "KEDA has not reported yet.",
        "If it stays: is the KEDA operator running?",
    )
    KIND_MISSING = reasons.Reason(
        "KindMissing",
        False,
        "The cluster has no ScaledObject kind.",
        "Install KEDA ([a kind that is installed later](#a-kind-that-is-installed-later)), or"
        " `providers.autoscaler: none`.",
        alarm=True,
    )
    NO_WAKE_SIGNAL = reasons.Reason(
        "NoWakeSignal",
        False,
        "`minReplicas: 0` is held at one: the settings have no wake query, or it does not count"
        " the requests that reach the claim (an endpoint picker's only where the picker is native"
        " and scraped).",
        "Set `scaling.wake.query` and `counts`, publish the claim by the gateway, or set"
        " `minReplicas: 1`.",
        alarm=True,
    )
    TRIGGER_ERROR = reasons.Reason(
        "TriggerError",
        False,
        "KEDA cannot read a trigger; the message is its own. Also when only some triggers fail.",
        "`kubectl -n llm describe scaledobject N`; `scaling.serverAddress` (VictoriaMetrics"
        " single node: 8428); the policy between KEDA and the metrics server; is the claim"
        " scraped ([InferenceServiceScrapeMissing](#inferenceservicescrapemissing))?",
        alarm=True,
    )
    FALLBACK_ACTIVE = reasons.Reason(
        "FallbackActive",
        False,
        "More than four queries of a trigger in a row failed, polls and the autoscaler's own:"
        " the count is held.",
        "As `TriggerError`. It recovers by itself.",
        alarm=True,
    )


def compose(now: situations.Situation) -> Iterator[assembly.Part]:
    """Yields the autoscaler's object, with the workload and as long as it is there."""
    plan = now.plan
    provider = PROVIDERS.get(plan.site.providers.autoscaler)
    if provider is None:
        return
    resource = now.world.get(provider.SUFFIX)
    if now.withheld and resource is None:
        return
    paused = plan.suspended and scalers.paused(resource)
    manifest = provider.scaled_object(plan, now.rollout.running)
    yield assembly.Part(provider.SUFFIX, manifest, readiness.READY if paused else None)


def conditions(
    now: situations.Situation, desired: assembly.Desired
) -> Iterator[observed.Condition]:
    """Yields ScalerReady."""
    provider = PROVIDERS.get(now.plan.site.providers.autoscaler)
    if provider is None:
        yield _fixed(now)
        return
    absent = desired.lacking(ScalerReady.type())
    if absent is not None:
        yield ScalerReady.KIND_MISSING.condition(reasons.missing(absent, "autoscaler"))
    elif now.withheld:
        yield ScalerReady.WITHHELD.condition(
            f"the autoscaler comes with the {now.plan.workload.KIND}"
        )
    else:
        yield _scaled(now, now.world.get(provider.SUFFIX))


def _fixed(now: situations.Situation) -> observed.Condition:
    """Returns the condition of a site without an autoscaler."""
    scaling = now.plan.scaling
    if now.plan.suspended:
        return ScalerReady.NOT_MANAGED.condition("suspended at zero replicas")
    if scaling.held_at_one is not None:
        return _held(scaling.held_at_one)
    return ScalerReady.NOT_MANAGED.condition(plural.of(scaling.minimum, "replica") + ", fixed")


def _scaled(now: situations.Situation, resource: observed.Object | None) -> observed.Condition:
    scaling = now.plan.scaling
    if now.plan.suspended:
        if not scalers.paused(resource):
            return ScalerReady.PAUSING.condition("KEDA has not paused the claim yet")
        return ScalerReady.PAUSED.condition("paused at zero replicas")
    scaler = scalers.scaler(resource)
    if scaler.falls_back:
        words = (
            "triggers cannot be read: the replica count is held at what runs, at least"
            f" {max(scaling.minimum, 1)}"
        )
        failure = f"; KEDA: {scaler.failure}" if scaler.failure else ""
        return ScalerReady.FALLBACK_ACTIVE.condition(words + failure)
    if scaler.ready is None:
        return ScalerReady.CREATING.condition("KEDA has not reported yet")
    if scaler.failure:
        return ScalerReady.TRIGGER_ERROR.condition(scaler.failure)
    if scaling.held_at_one is not None:
        return _held(scaling.held_at_one)
    if scaling.kv_usage is not None and float(scaling.kv_usage) > 1:
        return ScalerReady.READY.condition(
            f"triggers are read; the one on the KV cache can never fire: {scaling.kv_usage} is"
            " above 1, all of the cache"
        )
    return ScalerReady.READY.condition("triggers are read")


def _held(why: str) -> observed.Condition:
    return ScalerReady.NO_WAKE_SIGNAL.condition(f"minReplicas 0 is held at 1: {why}")
