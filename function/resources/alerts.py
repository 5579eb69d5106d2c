"""The alerts of one claim: each can fire, says what to do, and stays quiet without traffic.

A denominator is guarded by `> 0` rather than by a constant, so that no traffic gives no answer
instead of a wrong one. Series of kube-state-metrics are named `kube_*`; everything else comes from
the engine's own exposition.
"""

import dataclasses
from collections.abc import Iterator

from function import plan as plans
from function import replicas
from function.api import claim
from function.engine import metrics
from function.resources import gateway, meta, preload

ERROR_RATIO = "0.05"
LEAST_ERRORS = 5
TIME_TO_FIRST_TOKEN = "10"  # noqa: S105 - seconds
KV_CACHE_USAGE = "0.95"
PREEMPTIONS_PER_MINUTE = "6"
# Below this use of the KV cache a queue is not a lack of memory: more sequences would fit.
IDLE_KV_CACHE = "0.4"


@dataclasses.dataclass(frozen=True)
class Alert:
    """One alerting rule.

    Attributes:
        name: Also the anchor in the runbook.
        expression: PromQL, read by Prometheus and VictoriaMetrics alike.
        duration: How long it must hold before it fires.
        severity: critical wakes someone, warning waits for the morning, info is advice.
    """

    name: str
    expression: str
    duration: str
    severity: str
    summary: str
    description: str


def groups(plan: plans.Plan) -> list[meta.Manifest]:
    """Returns the rule group of the claim."""
    return [{"name": plan.name, "rules": [_rule(plan, alert) for alert in default(plan)]}]


def _rule(plan: plans.Plan, alert: Alert) -> meta.Manifest:
    return {
        "alert": alert.name,
        "expr": alert.expression,
        "for": alert.duration,
        "labels": {
            **plan.site.monitoring.alert_labels,
            "severity": alert.severity,
            "model": plan.name,
            "namespace": plan.namespace,
        },
        "annotations": {
            "summary": alert.summary,
            "description": alert.description,
            "runbook_url": f"{plan.site.monitoring.runbook_base}#{alert.name.lower()}",
        },
    }


def default(plan: plans.Plan) -> Iterator[Alert]:
    """Yields the default alerts that make sense for the claim."""
    yield from _availability(plan)
    yield from _traffic(plan)
    yield from _saturation(plan)
    yield from _engine(plan)
    if plan.preloads:
        yield _weights(plan)
    if plan.picker:
        yield _picker(plan)


def _thresholds(plan: plans.Plan) -> claim.Alerts:
    observability = plan.spec.observability
    chosen = observability.alerts if observability is not None else None
    return claim.Alerts() if chosen is None else chosen


def _own(plan: plans.Plan) -> str:
    return metrics.matchers(plan.name, plan.namespace, model_name=plan.name)


def _deployment(plan: plans.Plan) -> str:
    return f'{{namespace="{plan.namespace}",deployment="{plan.name}"}}'


def _pod_names(name: str) -> str:
    """Returns the pattern of the names of a Deployment's pods: name, hash and five at random.

    The API server cuts a generated name to 58 characters before it adds the random ones
    (k8s.io/apiserver, storage/names): a long name costs the hyphen and the end of the hash.
    """
    room = 58 - len(f"{name}-")
    if room > 10:
        middle = "[a-z0-9]{6,10}-"
    elif room > 6:
        middle = f"([a-z0-9]{{6,{room - 1}}}-|[a-z0-9]{{{room}}})"
    else:
        middle = f"[a-z0-9]{{{room}}}"
    return f"{name}-{middle}[a-z0-9]{{5}}"


def _availability(plan: plans.Plan) -> Iterator[Alert]:
    deployment = _deployment(plan)
    yield Alert(
        "InferenceServiceNoReadyReplica",
        f"max(kube_deployment_status_replicas_available{deployment}) == 0"
        f" and on() max(kube_deployment_spec_replicas{deployment}) > 0",
        "10m",
        "critical",
        f"{plan.name} has no ready replica",
        "Replicas are wanted and none has been ready for 10 minutes: nobody is served.",
    )
    up = metrics.matchers(plan.name, plan.namespace)
    yield Alert(
        "InferenceServiceScrapeMissing",
        f"max(kube_deployment_status_replicas_available{deployment}) > 0"
        f" unless on() sum(up{up}) > 0",
        "10m",
        "warning",
        f"{plan.name} is not scraped",
        "Replicas are ready but no scrape succeeds: autoscaling and the other alerts are blind.",
    )
    pods = f'{{namespace="{plan.namespace}",pod=~"{_pod_names(plan.name)}"}}'
    ready = pods[:-1] + ',condition="true"}'
    yield Alert(
        "InferenceServiceColdStartOverBudget",
        f"time() - max by (pod) (kube_pod_status_scheduled_time{pods}) > {plan.startup_seconds}"
        # An old pod whose engine restarts gets the same budget, from when it was last ready.
        f" and on (pod) max by (pod)"
        f" (max_over_time(kube_pod_status_ready{ready}[{plan.startup_seconds}s])) == 0"
        # A pod that drains is not ready either, for as long as its grace period.
        f" unless on (pod) max by (pod) (kube_pod_deletion_timestamp{pods})",
        "1m",
        "warning",
        f"A replica of {plan.name} starts longer than its budget",
        f"Not ready for {plan.startup_seconds} seconds since it was scheduled or last ready.",
    )


def _traffic(plan: plans.Plan) -> Iterator[Alert]:
    chosen, own = _thresholds(plan), _own(plan)
    every = metrics.matchers(plan.name, plan.namespace)[:-1] + ',handler=~"/v1/.*"'
    ratio = chosen.error_ratio or ERROR_RATIO
    yield Alert(
        "InferenceServiceErrorRatioHigh",
        # One failed request in a quiet hour is no reason to wake anybody.
        f'sum(rate({metrics.HTTP_REQUESTS}{every},status="5xx"}}[10m])) * 600 >= {LEAST_ERRORS}'
        f' and sum(rate({metrics.HTTP_REQUESTS}{every},status="5xx"}}[10m]))'
        f" / (sum(rate({metrics.HTTP_REQUESTS}{every}}}[10m])) > 0) > {ratio}",
        "5m",
        "critical",
        f"{plan.name} answers with server errors",
        f"More than {ratio} of the requests of 10 minutes, and at least {LEAST_ERRORS}, were"
        " answered with 5xx.",
    )
    seconds = chosen.time_to_first_token_seconds or TIME_TO_FIRST_TOKEN
    yield Alert(
        "InferenceServiceTimeToFirstTokenHigh",
        f"histogram_quantile(0.95, sum by (le)"
        f" (rate({metrics.TIME_TO_FIRST_TOKEN}{own}[10m]))) > {seconds}",
        "10m",
        "warning",
        f"{plan.name} is slow to answer",
        f"The 95th percentile of the time to the first token is above {seconds} seconds.",
    )


def _saturation(plan: plans.Plan) -> Iterator[Alert]:
    chosen, own = _thresholds(plan), _own(plan)
    queue = str(chosen.queue_length) if chosen.queue_length is not None else None
    queue = queue or plan.scaling.queue or str(replicas.QUEUE)
    yield Alert(
        "InferenceServiceQueueSustained",
        f"avg({metrics.WAITING}{own}) > {queue}",
        "10m",
        "warning",
        f"Requests queue for {plan.name}",
        f"More than {queue} requests a replica have waited for 10 minutes.",
    )
    usage = chosen.kv_cache_usage or KV_CACHE_USAGE
    yield Alert(
        "InferenceServiceKVCacheSaturated",
        f"max({metrics.KV_CACHE_USAGE}{own}) > {usage}",
        "15m",
        "warning",
        f"The KV cache of {plan.name} is full",
        "Long sequences fill the cache: requests are preempted and computed again.",
    )
    yield Alert(
        "InferenceServiceRaiseMaxNumSeqs",
        f"sum({metrics.WAITING}{own}) > 0"
        f" and on() max({metrics.KV_CACHE_USAGE}{own}) < {IDLE_KV_CACHE}",
        "15m",
        "info",
        f"Requests wait for {plan.name} while its KV cache is idle",
        f"Raise model.maxNumSeqs (now {plan.max_num_seqs}) before buying a GPU.",
    )
    yield Alert(
        "InferenceServiceReplicasUnbalanced",
        f"max({metrics.RUNNING}{own}) - min({metrics.RUNNING}{own})"
        f" > {plan.max_num_seqs / 2:.10g} and on() count({metrics.RUNNING}{own}) > 1",
        "15m",
        "warning",
        f"Replicas of {plan.name} carry unequal load",
        "One replica is busy while another is idle: check how traffic spreads.",
    )


def _engine(plan: plans.Plan) -> Iterator[Alert]:
    chosen, own = _thresholds(plan), _own(plan)
    limit = chosen.preemptions_per_minute or PREEMPTIONS_PER_MINUTE
    yield Alert(
        "InferenceServicePreemptions",
        f"avg(rate({metrics.PREEMPTIONS}{own}[10m])) * 60 > {limit}",
        "10m",
        "warning",
        f"{plan.name} preempts requests",
        f"More than {limit} requests a minute and replica lose their KV blocks and start again.",
    )
    if plan.generates:
        # /health of a frozen engine is 200: no probe sees it.
        yield Alert(
            "InferenceServiceEngineStalled",
            f"sum by (pod) ({metrics.RUNNING}{own}) > 0 and on (pod)"
            f" sum by (pod) (rate({metrics.GENERATED_TOKENS}{own}[5m])) == 0",
            "5m",
            "critical",
            f"A replica of {plan.name} runs requests and produces nothing",
            "Requests run but no token came for 5 minutes: delete the pod.",
        )


def _weights(plan: plans.Plan) -> Alert:
    prefix = preload.job_name(plan, "0" * preload.HASH_LENGTH)[: -preload.HASH_LENGTH]
    names = f"{prefix}[0-9a-f]{{{preload.HASH_LENGTH}}}"
    jobs = f'{{namespace="{plan.namespace}",job_name=~"{names}"}}'
    failed = jobs[:-1] + ',condition="true"}'
    long = plan.site.preload.active_deadline_seconds // 2
    return Alert(
        "InferenceServiceWeightsNotReady",
        f"max(kube_job_failed{failed}) > 0"
        f" or max((time() - kube_job_status_start_time{jobs})"
        f" and on (namespace, job_name) kube_job_status_active{jobs} > 0) > {long}",
        "5m",
        "warning",
        f"The weights of {plan.name} are not ready",
        "The preload Job failed or takes very long; the claim's WeightsReady condition says why.",
    )


def _picker(plan: plans.Plan) -> Alert:
    picker = metrics.matchers(gateway.picker_name(plan), plan.namespace)
    return Alert(
        "InferenceServiceEndpointPickerMissing",
        f"max(kube_deployment_status_replicas_available{_deployment(plan)}) > 0"
        f" unless on() sum(up{picker}) > 0",
        "10m",
        "critical",
        f"The endpoint picker of {plan.name} is not scraped",
        "The picker answers for every request: without it the route fails closed.",
    )
