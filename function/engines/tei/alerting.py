"""The alerts on the engine's own series. Every series begins with the first request."""

from collections.abc import Iterator

from function import plural
from function.api import claim_metrics
from function.engines import engine
from function.engines.tei import metrics
from function.planning import identity, scaling

ERROR_RATIO = "0.05"
LEAST_ERRORS = 5
# Refused texts in 10 minutes that nobody is told of.
MOST_REFUSED = 5
# Texts by which the queues of two replicas may differ.
UNEQUAL = 64


def alerts(
    who: identity.Identity, thresholds: claim_metrics.Alerts, targets: scaling.Scaling
) -> Iterator[engine.Alert]:
    """Yields the alerts on the engine's own series."""
    own = engine.matchers(who)
    failed = f"sum(rate({metrics.FAILURES}{engine.matchers(who, err=metrics.INFERENCE)}[10m]))"
    ratio = thresholds.error_ratio or ERROR_RATIO
    yield engine.Alert(
        "InferenceServiceErrorRatioHigh",
        f"{failed} * 600 >= {LEAST_ERRORS}"
        f" and {failed} / (sum(rate({metrics.REQUESTS}{own}[10m])) > 0) > {ratio}",
        "5m",
        "critical",
        f"{who.name} fails to compute",
        f"For more than {ratio} of the requests of 10 minutes, and at least {LEAST_ERRORS} texts,"
        " the model could not be computed: they were answered with 424.",
        objective="availability" if thresholds.error_ratio is None else "",
    )
    refused = f"{metrics.FAILURES}{engine.matchers(who, err=metrics.OVERLOADED)}"
    yield engine.Alert(
        "InferenceServiceRequestsRefused",
        f"sum(rate({refused}[10m])) * 600 > {MOST_REFUSED}",
        "10m",
        "warning",
        f"{who.name} refuses requests",
        "Replicas hold as many texts as --max-concurrent-requests says, and answer others with 429:"
        " raise scaling.maxReplicas, or the flag in engineArgs.",
    )
    queue = str(thresholds.queue_length) if thresholds.queue_length is not None else None
    queue = queue or targets.queue or str(scaling.QUEUE)
    waits = "has" if queue == "1" else "have"
    yield engine.Alert(
        "InferenceServiceQueueSustained",
        f"avg(avg_over_time({metrics.WAITING}{own}[5m])) > {queue}",
        "10m",
        "warning",
        f"Texts queue for {who.name}",
        f"More than {plural.of(queue, 'text')} a replica {waits} waited for 10 minutes.",
    )
    yield engine.Alert(
        "InferenceServiceReplicasUnbalanced",
        f"max({metrics.WAITING}{own}) - min({metrics.WAITING}{own}) > {UNEQUAL}"
        f" and on() count({metrics.WAITING}{own}) > 1",
        "15m",
        "warning",
        f"Replicas of {who.name} carry unequal load",
        "One replica is busy while another is idle: check how traffic spreads.",
    )
    yield engine.Alert(
        "InferenceServiceEngineStalled",
        f"sum by (pod) ({metrics.WAITING}{own}) > 0 and on (pod)"
        f" sum by (pod) (rate({metrics.BATCH}_count{own}[5m])) == 0",
        "5m",
        "critical",
        f"A replica of {who.name} has texts to compute and computes nothing",
        "Texts wait but no batch was taken for 5 minutes: delete the pod.",
    )
