"""The alerts of one claim: each can fire, says what to do, and stays quiet without traffic.

They are about the pods that run. Series of kube-state-metrics are named `kube_*`; what comes from
the engine's own exposition is the engine's to say.
"""

from collections.abc import Iterator
from typing import Any

from function.api import claim_metrics
from function.cluster import gating
from function.cluster import jobs as preloads
from function.concerns.observability import objectives
from function.engines import engine
from function.planning import identity, plans, running
from function.workloads import batches


def groups(plan: plans.Plan, now: running.Running, *, picker: bool) -> list[identity.Manifest]:
    """Returns the rule group of the claim.

    Args:
        plan: The plan.
        now: What the pods that run are.
        picker: Whether an endpoint picker answers for every request.
    """
    promised = {one.name for one in objectives.judgeable(plan, now)}
    every = (alert for alert in _default(plan, now, picker) if alert.objective not in promised)
    return [{"name": plan.identity.name, "rules": [_rule(plan, alert) for alert in every]}]


def promised(plan: plans.Plan, now: running.Running) -> list[identity.Manifest]:
    """Returns the rule group of the claim's objectives, or none."""
    return [
        {
            **group,
            "rules": [
                *group["rules"],
                *(_rule(plan, alert) for alert in objectives.alerts(plan, now)),
            ],
        }
        for group in objectives.group(plan, now)
    ]


def _rule(plan: plans.Plan, alert: engine.Alert) -> identity.Manifest:
    return {
        "alert": alert.name,
        "expr": alert.expression,
        "for": alert.duration,
        "labels": {
            **plan.site.monitoring.alert_labels,
            "severity": alert.severity,
            **_whose(plan),
        },
        "annotations": {
            "summary": alert.summary,
            "description": alert.description,
            "runbook_url": f"{plan.site.monitoring.runbook_base}#{alert.name.lower()}",
        },
    }


def _whose(plan: plans.Plan) -> dict[str, str]:
    """Returns the labels by which an alert names its claim."""
    return {"model": plan.identity.name, "namespace": plan.identity.namespace}


def own(plan: plans.Plan, groups: list[Any]) -> list[Any]:
    """Returns the author's groups, in which each alert names its claim and whom it calls.

    A label of a rule wins over the label of the series: `label_replace` in an expression could
    name another claim or team otherwise. Whoever may say where a series comes from has none added.
    """
    if plan.site.permissions.allow("raw_rules", plan.identity.namespace):
        return groups
    added = {**plan.site.monitoring.alert_labels, **_whose(plan)}
    return [
        {
            **group,
            "rules": [
                {**rule, "labels": {**(rule.get("labels") or {}), **added}}
                for rule in group.get("rules") or []
            ],
        }
        for group in groups
    ]


def _default(plan: plans.Plan, now: running.Running, picker: bool) -> Iterator[engine.Alert]:
    """Yields the default alerts that make sense for the claim."""
    observability = plan.spec.observability or claim_metrics.Observability()
    thresholds = observability.alerts or claim_metrics.Alerts()
    yield from _availability(plan, now.start_seconds)
    yield from plan.engine.alerts(plan.identity, thresholds, plan.scaling, now)
    if plan.storage.preloads:
        yield _weights(plan)
    if plan.gates:
        yield _canaries(plan)
    if picker:
        yield _picker(plan)
        yield _blind_picker(plan)


def _availability(plan: plans.Plan, start_seconds: int) -> Iterator[engine.Alert]:
    who, series = plan.identity, plan.workload.SERIES
    name = plan.workload.name(who)
    own = series.matchers(who, name)
    yield engine.Alert(
        "InferenceServiceNoReadyReplica",
        f"max({series.available}{own}) == 0 and on() max({series.wanted}{own}) > 0",
        "10m",
        "critical",
        f"{who.name} has no ready replica",
        "Replicas are wanted and none has been ready for 10 minutes: nobody is served.",
    )
    up = engine.matchers(who)
    yield engine.Alert(
        "InferenceServiceScrapeMissing",
        f"max({series.available}{own}) > 0 unless on() sum(up{up}) > 0",
        "10m",
        "warning",
        f"{who.name} is not scraped",
        "Replicas are ready but no scrape succeeds: autoscaling and the other alerts are blind.",
    )
    own_pods = pods(plan)
    ready = own_pods[:-1] + ',condition="true"}'
    yield engine.Alert(
        "InferenceServiceColdStartOverBudget",
        f"time() - max by (pod) (kube_pod_status_scheduled_time{own_pods}) > {start_seconds}"
        # An old pod whose engine restarts gets the same budget, from when it was last ready.
        f" and on (pod) max by (pod)"
        f" (max_over_time(kube_pod_status_ready{ready}[{start_seconds}s])) == 0"
        # A pod that drains is not ready either, for as long as its grace period.
        f" unless on (pod) max by (pod) (kube_pod_deletion_timestamp{own_pods})",
        "1m",
        "warning",
        f"A replica of {who.name} starts longer than its budget",
        f"Not ready for {start_seconds} seconds since it was scheduled or last ready.",
    )


def pods(plan: plans.Plan) -> str:
    """Returns the matchers of series of kube-state-metrics about the claim's pods."""
    names = plan.workload.pod_names(plan.workload.name(plan.identity))
    return f'{{namespace="{plan.identity.namespace}",pod=~"{names}"}}'


def jobs(plan: plans.Plan, component: str = preloads.COMPONENT) -> str:
    """Returns the matchers of series of kube-state-metrics about Jobs: those that preload."""
    mark = "0" * batches.HASH_LENGTH
    prefix = batches.name(plan.identity, mark, component)[: -batches.HASH_LENGTH]
    names = f"{prefix}[0-9a-f]{{{batches.HASH_LENGTH}}}"
    return f'{{namespace="{plan.identity.namespace}",job_name=~"{names}"}}'


def long_download(plan: plans.Plan) -> int:
    """Returns the seconds after which a download takes very long: half of its deadline."""
    return plan.site.preload.active_deadline_seconds // 2


def _weights(plan: plans.Plan) -> engine.Alert:
    own = jobs(plan)
    failed = own[:-1] + ',condition="true"}'
    return engine.Alert(
        "InferenceServiceWeightsNotReady",
        f"max(kube_job_failed{failed}) > 0"
        f" or max((time() - kube_job_status_start_time{own})"
        f" and on (namespace, job_name) kube_job_status_active{own} > 0) > {long_download(plan)}",
        "5m",
        "warning",
        f"The weights of {plan.identity.name} are not ready",
        "The preload Job failed or takes very long; the claim's WeightsReady condition says why.",
    )


def _canaries(plan: plans.Plan) -> engine.Alert:
    failed = jobs(plan, gating.COMPONENT)[:-1] + ',condition="true"}'
    return engine.Alert(
        "InferenceServiceCanaryRolledBack",
        # A Job that could not tell is followed by another one within moments.
        f"max(kube_job_failed{failed}) > 0",
        "5m",
        "warning",
        f"A canary of {plan.identity.name} is taken back",
        "A step of its gate broke, or the Job that judges it failed; the claim's RouteReady"
        " condition says which.",
    )


def _picker(plan: plans.Plan) -> engine.Alert:
    series, picker = plan.workload.SERIES, engine.matchers(plan.identity, plan.identity.picker_name)
    own = series.matchers(plan.identity, plan.workload.name(plan.identity))
    # Nothing wakes a claim that sleeps when its picker is gone: there it counts without replicas.
    there = "vector(1)"
    if not plan.picker.holds:
        there = f"max({series.available}{own}) > 0"
    return engine.Alert(
        "InferenceServiceEndpointPickerMissing",
        f"{there} unless on() sum(up{picker}) > 0",
        "10m",
        "critical",
        f"The endpoint picker of {plan.identity.name} is not scraped",
        "The picker answers for every request: without it the route fails closed.",
    )


def _blind_picker(plan: plans.Plan) -> engine.Alert:
    who, series = plan.identity, plan.workload.SERIES
    own, pool = series.matchers(who, plan.workload.name(who)), engine.matchers(who, who.picker_name)
    outcome = (
        "It takes every pod for full, so that requests wait until the gateway gives them up."
        if plan.picker.holds
        else "It picks pods at random, also those with a long queue."
    )
    return engine.Alert(
        "InferenceServiceEndpointPickerBlind",
        f"max({series.available}{own}) > 0 and on() min(inference_pool_ready_pods{pool}) == 0",
        "5m",
        "critical",
        f"The endpoint picker of {who.name} has no metrics of its pods",
        f"Replicas are ready, and a picker reads the metrics of none of them. {outcome}",
    )
