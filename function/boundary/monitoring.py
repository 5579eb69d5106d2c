"""What an author's own rules and scrapes may do to a monitoring that all claims share.

A rule that records a series writes it for everybody: scaling and alerts of other claims read the
engine's series by name, namespace and job.
"""

from collections.abc import Iterator
from typing import Any

from function import duration
from function.api import (
    alerting,
    base,
    claim,
    claim_cost,
    claim_metrics,
    kubernetes,
    settings,
)
from function.boundary import permissions

# Milliseconds between two evaluations: more often is a load on everybody and tells no more than
# series that are scraped each 30 seconds; a rule that looks less often than daily watches nothing.
_EVALUATION = (15_000, 86_400_000)
# How long an alert may wait, or stay: 30 days.
_LONGEST = 30 * 86_400_000

# These say where a series comes from, and by which alerts find a claim or a tenant.
_IDENTITY = frozenset(
    (
        "alertgroup",
        "alertname",
        "cluster",
        "container",
        "endpoint",
        "engine",
        "exported_job",
        "exported_namespace",
        "instance",
        "job",
        "model",
        "model_name",
        "namespace",
        "node",
        "pod",
        "prometheus",
        "replica",
        "service",
        "vm_account_id",
        "vm_project_id",
    )
)


def refusals(resource: claim.InferenceService, site: settings.Settings) -> Iterator[base.Problem]:
    """Yields groups that are none, and what in them the settings do not allow."""
    observability = resource.spec.observability or claim_metrics.Observability()
    interval = base.of(observability.metrics, "interval")
    if interval is not None and not claim_metrics.SCRAPE.holds(interval):
        yield base.Problem("spec.observability.metrics.interval", claim_metrics.SCRAPE.message)
    groups = base.of(observability.alerting_rules, "groups")
    model = None if groups is None else alerting.GROUPS.get(site.providers.monitoring)
    if groups is None or model is None:
        return
    for index, group in enumerate(groups):
        path = f"spec.observability.alertingRules.groups[{index}]"
        wrong = list(kubernetes.problems(model, group, path))
        yield from wrong
        if not wrong:
            yield from _group(group, path, resource, site)


def _group(
    group: dict[str, Any], path: str, resource: claim.InferenceService, site: settings.Settings
) -> Iterator[base.Problem]:
    for key in alerting.own(group, alerting.OWN_GROUP):
        words = "a group of alerts has name, interval and rules"
        yield from _closed(f"{path}.{key}", words, resource, site)
    for field, made, suffix in (
        ("slo", resource.spec.slo, claim_metrics.GROUP_SUFFIX),
        ("cost", resource.spec.cost, claim_cost.GROUP_SUFFIX),
    ):
        taken = f"{resource.name}{suffix}"
        if made is not None and group["name"] == taken:
            words = f"spec.{field} becomes the group {taken}: name it otherwise"
            yield base.Problem(f"{path}.name", words)
    if "interval" in group:
        written = alerting.milliseconds(group["interval"])
        yield from _between(f"{path}.interval", written, *_EVALUATION)
    for index, rule in enumerate(group.get("rules") or []):
        yield from _rule(rule, f"{path}.rules[{index}]", resource, site)


def _rule(
    rule: dict[str, Any], path: str, resource: claim.InferenceService, site: settings.Settings
) -> Iterator[base.Problem]:
    if bool(rule.get("alert")) == bool(rule.get("record")):
        yield base.Problem(f"{path}.alert", "a rule has the name of an alert")
        return
    for key in alerting.own(rule, alerting.OWN_RULE):
        words = (
            "a recorded series is everybody's"
            if key == "record"
            else f"an alert has {', '.join(sorted(alerting.OWN_RULE))}"
        )
        yield from _closed(f"{path}.{key}", words, resource, site)
    for key in ("for", "keep_firing_for"):
        if key in rule:
            yield from _between(f"{path}.{key}", alerting.milliseconds(rule[key]), 0, _LONGEST)
    taken = _IDENTITY | site.monitoring.alert_labels.keys()
    for label in sorted(rule.get("labels") or {}):
        if label in taken or label.startswith("__"):
            words = "this label says where a series comes from, or whom it calls"
            yield from _closed(f"{path}.labels.{label}", words, resource, site)


def _closed(
    path: str, words: str, resource: claim.InferenceService, site: settings.Settings
) -> Iterator[base.Problem]:
    yield from permissions.closed("raw_rules", path, resource.namespace, site, words)


def _between(path: str, written: int, least: int, most: int) -> Iterator[base.Problem]:
    if not least <= written <= most:
        yield base.Problem(
            path,
            f"must be between {duration.normal(f'{least}ms')} and {duration.normal(f'{most}ms')}",
        )
