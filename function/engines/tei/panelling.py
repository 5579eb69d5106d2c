"""The panels on the engine's own series, with the targets of triggers and thresholds of alerts."""

from collections.abc import Iterator

from function.api import claim_metrics
from function.engines import engine
from function.engines.tei import alerting, metrics
from function.planning import identity, running, scaling


def panels(
    who: identity.Identity,
    thresholds: claim_metrics.Alerts,
    targets: scaling.Scaling,
    now: running.Running,
) -> Iterator[engine.Panel]:
    """Yields the panels that make sense for the pods that run."""
    own = engine.matchers(who)
    yield from _requests(who, thresholds, targets, now)
    yield engine.Panel(
        engine.Row.LATENCY,
        "Whole request",
        "s",
        "From a request's arrival at the engine to the end of its answer, all of its texts"
        " together.",
        engine.percentiles(metrics.DURATION, own),
    )
    yield engine.Panel(
        engine.Row.LATENCY,
        "Wait for a batch",
        "s",
        "How long texts wait for their batch. Above the time that a batch takes: add replicas.",
        engine.percentiles(metrics.QUEUED, own),
    )
    yield engine.Panel(
        engine.Row.LATENCY,
        "Time of a batch",
        "s",
        "How long a batch is computed. Probes wait so long: a smaller --max-batch-tokens makes it"
        " shorter.",
        engine.percentiles(metrics.COMPUTED, own),
    )
    yield engine.Panel(
        engine.Row.TOKENS,
        "Tokens a second",
        "short",
        "Tokens of texts that all replicas take in a second. Compare with the time of a batch"
        " before anything is changed.",
        (engine.Query(f"sum(rate({metrics.INPUT_LENGTH}_sum{own}[5m]))", "prompt"),),
    )
    batches = f"sum by (pod) (rate({metrics.BATCH}_count{own}[5m]))"
    yield engine.Panel(
        engine.Row.TOKENS,
        "Texts in a batch",
        "short",
        "Texts that a replica computes at once, on average; empty looks into the queue count as"
        " none. Few with a long queue: texts are long, and --max-batch-tokens bounds the batch.",
        (
            engine.Query(
                f"sum by (pod) (rate({metrics.BATCH}_sum{own}[5m])) / ({batches} > 0)", "{{pod}}"
            ),
        ),
    )


def running_texts(own: str) -> str:
    """Returns the texts that replicas compute at once, on average over two minutes.

    Each text has the time of its whole batch: their sum in a second is how many there are.
    """
    embeds, predicts = (f"sum(rate({name}_sum{own}[2m]))" for name in metrics.COMPUTED_EACH)
    return f"{embeds} or {predicts}"


def _requests(
    who: identity.Identity,
    thresholds: claim_metrics.Alerts,
    targets: scaling.Scaling,
    now: running.Running,
) -> Iterator[engine.Panel]:
    own = engine.matchers(who)
    yield engine.Panel(
        engine.Row.REQUESTS,
        "Texts waiting",
        "short",
        "Texts that wait in each replica; a request of 32 texts is 32 of them. The line is the"
        " scaling target of a replica. A queue that stays wants more replicas.",
        (engine.Query(f"sum by (pod) ({metrics.WAITING}{own})", "{{pod}}"),),
        targets.queue,
        ("InferenceServiceQueueSustained", "InferenceServiceReplicasUnbalanced"),
    )
    yield engine.Panel(
        engine.Row.REQUESTS,
        "Texts computed at once",
        "short",
        "Texts that all replicas compute at once, on average. The line is the scaling target of one"
        " replica, where model.maxNumSeqs or the claim says one.",
        (engine.Query(running_texts(own), "texts"),),
        targets.running_target(now.max_requests),
        ("InferenceServiceEngineStalled",),
    )
    yield engine.Panel(
        engine.Row.REQUESTS,
        "Requests",
        "reqps",
        "Requests a second that reach the engine, of one text or of several.",
        (engine.Query(f"sum by (method) (rate({metrics.REQUESTS}{own}[5m]))", "{{method}}"),),
    )
    yield engine.Panel(
        engine.Row.REQUESTS,
        "Failures",
        "short",
        "Failures a second by cause, of a request with several texts each that fails. overloaded is"
        " a full replica, inference the engine's own fault, the others are the callers' mistakes.",
        (engine.Query(f"sum by (err) (rate({metrics.FAILURES}{own}[5m]))", "{{err}}"),),
        None,
        ("InferenceServiceRequestsRefused",),
    )
    failed = f"sum(rate({metrics.FAILURES}{engine.matchers(who, err=metrics.INFERENCE)}[5m]))"
    total = f"sum(rate({metrics.REQUESTS}{own}[5m]))"
    yield engine.Panel(
        engine.Row.REQUESTS,
        "Error rate",
        "percentunit",
        "Share of requests whose texts the engine could not compute. The line is the alert's"
        " threshold. Read the engine's log, and look for replicas that restart.",
        (engine.Query(f"({failed} or {total} * 0) / ({total} > 0)", "failed"),),
        thresholds.error_ratio or alerting.ERROR_RATIO,
        ("InferenceServiceErrorRatioHigh",),
    )
