"""The alerts on vLLM's own series.

A denominator is guarded by `> 0` rather than by a constant, so that no traffic gives no answer
instead of a wrong one.
"""

from collections.abc import Iterator

from function import plural
from function.api import base, claim_metrics
from function.engines import engine
from function.engines.vllm import metrics, sizing
from function.planning import identity, running, scaling

ERROR_RATIO = "0.05"
LEAST_ERRORS = 5
TIME_TO_FIRST_TOKEN = "10"  # noqa: S105 - seconds
KV_CACHE_USAGE = "0.95"
PREEMPTIONS_PER_MINUTE = "6"
# Below this use of the KV cache a queue is not a lack of memory: more sequences would fit.
IDLE_KV_CACHE = "0.4"


def alerts(
    who: identity.Identity,
    thresholds: claim_metrics.Alerts,
    targets: scaling.Scaling,
    now: running.Running,
) -> Iterator[engine.Alert]:
    """Yields the alerts on the engine's own series that make sense for the pods that run."""
    yield from _traffic(who, thresholds)
    yield from _saturation(who, thresholds, targets, now)
    yield from _progress(who, thresholds, now)


def _traffic(who: identity.Identity, thresholds: claim_metrics.Alerts) -> Iterator[engine.Alert]:
    own = _own(who)
    every = engine.matchers(who)[:-1] + ',handler=~"/v1/.*"'
    ratio = thresholds.error_ratio or ERROR_RATIO
    yield engine.Alert(
        "InferenceServiceErrorRatioHigh",
        # One failed request in a quiet hour is no reason to wake anybody.
        f'sum(rate({metrics.HTTP_REQUESTS}{every},status="5xx"}}[10m])) * 600 >= {LEAST_ERRORS}'
        f' and sum(rate({metrics.HTTP_REQUESTS}{every},status="5xx"}}[10m]))'
        f" / (sum(rate({metrics.HTTP_REQUESTS}{every}}}[10m])) > 0) > {ratio}",
        "5m",
        "critical",
        f"{who.name} answers with server errors",
        f"More than {ratio} of the requests of 10 minutes, and at least {LEAST_ERRORS}, were"
        " answered with 5xx.",
        objective="availability" if thresholds.error_ratio is None else "",
    )
    seconds = thresholds.time_to_first_token_seconds or TIME_TO_FIRST_TOKEN
    yield engine.Alert(
        "InferenceServiceTimeToFirstTokenHigh",
        f"histogram_quantile(0.95, sum by (le)"
        f" (rate({metrics.TIME_TO_FIRST_TOKEN}{own}[10m]))) > {seconds}",
        "10m",
        "warning",
        f"{who.name} is slow to answer",
        f"The 95th percentile of the time to the first token is above {seconds} seconds.",
        objective="ttft" if thresholds.time_to_first_token_seconds is None else "",
    )


def _saturation(
    who: identity.Identity,
    thresholds: claim_metrics.Alerts,
    targets: scaling.Scaling,
    now: running.Running,
) -> Iterator[engine.Alert]:
    own, seats = _own(who), base.given(now.max_requests, sizing.MAX_NUM_SEQS)
    queue = str(thresholds.queue_length) if thresholds.queue_length is not None else None
    queue = queue or targets.queue or str(scaling.QUEUE)
    waits = "has" if queue == "1" else "have"
    yield engine.Alert(
        "InferenceServiceQueueSustained",
        f"avg({metrics.WAITING}{own}) > {queue}",
        "10m",
        "warning",
        f"Requests queue for {who.name}",
        f"More than {plural.of(queue, 'request')} a replica {waits} waited for 10 minutes.",
    )
    usage = thresholds.kv_cache_usage or KV_CACHE_USAGE
    yield engine.Alert(
        "InferenceServiceKVCacheSaturated",
        f"max({metrics.KV_CACHE_USAGE}{own}) > {usage}",
        "15m",
        "warning",
        f"The KV cache of {who.name} is full",
        "Long sequences fill the cache: requests are preempted and computed again.",
    )
    yield engine.Alert(
        "InferenceServiceRaiseMaxNumSeqs",
        f"sum({metrics.WAITING}{own}) > 0"
        f" and on() max({metrics.KV_CACHE_USAGE}{own}) < {IDLE_KV_CACHE}",
        "15m",
        "info",
        f"Requests wait for {who.name} while its KV cache is idle",
        f"Raise model.maxNumSeqs (now {seats}) before buying a GPU.",
    )
    yield engine.Alert(
        "InferenceServiceReplicasUnbalanced",
        f"max({metrics.RUNNING}{own}) - min({metrics.RUNNING}{own})"
        f" > {seats / 2:.10g} and on() count({metrics.RUNNING}{own}) > 1",
        "15m",
        "warning",
        f"Replicas of {who.name} carry unequal load",
        "One replica is busy while another is idle: check how traffic spreads.",
    )


def _progress(
    who: identity.Identity, thresholds: claim_metrics.Alerts, now: running.Running
) -> Iterator[engine.Alert]:
    own = _own(who)
    limit = thresholds.preemptions_per_minute or PREEMPTIONS_PER_MINUTE
    lost = "requests a minute and replica lose their KV blocks and start again"
    if str(limit) == "1":
        lost = "request a minute and replica loses its KV blocks and starts again"
    yield engine.Alert(
        "InferenceServicePreemptions",
        f"avg(rate({metrics.PREEMPTIONS}{own}[10m])) * 60 > {limit}",
        "10m",
        "warning",
        f"{who.name} preempts requests",
        f"More than {limit} {lost}.",
    )
    if now.generates:
        # /health of a frozen engine is 200: no probe sees it.
        yield engine.Alert(
            "InferenceServiceEngineStalled",
            f"sum by (pod) ({metrics.RUNNING}{own}) > 0 and on (pod)"
            f" sum by (pod) (rate({metrics.GENERATED_TOKENS}{own}[5m])) == 0",
            "5m",
            "critical",
            f"A replica of {who.name} runs requests and produces nothing",
            "Requests run but no token came for 5 minutes: delete the pod.",
        )


def _own(who: identity.Identity) -> str:
    return engine.matchers(who, model_name=who.name)
