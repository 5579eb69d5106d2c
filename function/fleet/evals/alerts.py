"""What wakes a person: a model that fails its cases, does worse than before, or is not evaluated.

A result is written once for each run, so every series is looked for over days. A model that is no
longer evaluated has no CronJob, and its last results say nothing any more.
"""

from collections.abc import Iterator
from typing import Any

from function import plural
from function.concerns import providers
from function.concerns.observability import prometheus_operator, victoriametrics
from function.engines import engine
from function.fleet import doors
from function.fleet.evals import wanted
from function.planning import identity

# What the exporter writes (exporter/program.py; docs/front-door.md has the table).
RATIO = "inference_gateway_eval_pass_ratio"
TIMESTAMP = "inference_gateway_eval_timestamp_seconds"

PROVIDERS: Any = providers.table(
    "monitoring",
    {"victoriametrics": victoriametrics, "prometheus-operator": prometheus_operator},
)
_HOLDS = "5m"
_DAY = 86400


def rules(door: doors.Door, given: wanted.Evaluations) -> identity.Manifest:
    """Returns the object that carries the alerts."""
    provider = PROVIDERS[door.site.providers.monitoring]
    metadata = door.identity.metadata(
        door.identity.part("evals"),
        component=wanted.COMPONENT,
        extra=door.site.monitoring.labels,
    )
    group = {
        "name": f"{door.identity.name}.evals",
        "rules": [_rule(door, alert) for alert in alerts(door, given)],
    }
    manifest: identity.Manifest = provider.rules(metadata, [group])
    return manifest


def _rule(door: doors.Door, alert: engine.Alert) -> identity.Manifest:
    return {
        "alert": alert.name,
        "expr": alert.expression,
        "for": alert.duration,
        "labels": {
            **door.site.monitoring.alert_labels,
            "severity": alert.severity,
            "gateway": door.identity.name,
            "namespace": door.identity.namespace,
        },
        "annotations": {
            "summary": alert.summary,
            "description": alert.description,
            "runbook_url": f"{door.site.monitoring.runbook_base}#{alert.name.lower()}",
        },
    }


def alerts(door: doors.Door, given: wanted.Evaluations) -> Iterator[engine.Alert]:
    """Yields the alerts."""
    who, days = door.identity, given.missing_days
    own = f'{{namespace="{who.namespace}",gateway="{who.name}"}}'
    there = f" and on (cronjob) {_created(who, given)}"
    last = f"max by (cronjob, model) (last_over_time({RATIO}{own}[{days}d])) * 100"
    least = given.thresholds.pass_percent
    least = wanted.PASS_PERCENT if least is None else least
    most = given.thresholds.drop_percent
    most = wanted.DROP_PERCENT if most is None else most
    yield engine.Alert(
        "InferenceGatewayEvalsFail",
        f"{last} < {least}{there}",
        _HOLDS,
        "warning",
        "{{ $labels.model }} fails evaluations",
        f"Less than {least} % of its cases passed in the last evaluation.",
    )
    week = f"max by (cronjob, model) (avg_over_time({RATIO}{own}[7d] offset 1d)) * 100"
    yield engine.Alert(
        "InferenceGatewayEvalsDrop",
        f"{week} - {last} > {most}{there}",
        _HOLDS,
        "warning",
        "{{ $labels.model }} does worse than in the week before",
        f"The share of its cases that passed is more than {plural.of(most, 'point')} below the mean"
        " of the week before.",
    )
    told = f"max by (cronjob) (last_over_time({TIMESTAMP}{own}[{days}d]))"
    yield engine.Alert(
        "InferenceGatewayEvalsMissing",
        f"time() - {_created(who, given)} > {days * _DAY} unless on (cronjob) {told}",
        _HOLDS,
        "warning",
        "No evaluation by {{ $labels.cronjob }}",
        f"No result was written for {plural.of(days, 'day')}: the other alerts on it are blind.",
    )


def _created(who: identity.Identity, given: wanted.Evaluations) -> str:
    """Returns when each CronJob was made."""
    names = "|".join(target.name for target in given.targets)
    own = f'{{namespace="{who.namespace}",cronjob=~"{names}"}}'
    return f"max by (cronjob) (kube_cronjob_created{own})"
