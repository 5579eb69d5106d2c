"""Scrapes of the engine and alerting rules, in the kinds of the cluster's operator."""

from collections.abc import Iterator
from typing import Any, Protocol

from function import assembly, canonical, duration, kinds, memo
from function.api import claim_metrics
from function.cluster import observed
from function.concerns import providers, reasons
from function.concerns.observability import (
    alerts,
    prometheus_operator,
    spending,
    victoriametrics,
)
from function.engines import engine
from function.planning import identity, pickers, plans, running
from function.situation import renames, situations

TIMEOUT = "10s"
INTERVAL = "30s"
# What the endpoint picker's chart calls its metrics port.
PICKER_PORT = "http-metrics"
PICKER_PATH = "/metrics"
# A caller waits for a replica that the queue wakes.
QUEUE_INTERVAL = "10s"


class Provider(Protocol):
    """An operator's kinds.

    Attributes:
        SCRAPE: End of the key of the engine's scrape.
        RULES: End of the key of the alerts.
        PICKER_SCRAPE: End of the key of the endpoint picker's scrape.
        FORMER_PICKER_SCRAPE: The same until 1.1.
    """

    SCRAPE: str
    RULES: str
    PICKER_SCRAPE: str
    FORMER_PICKER_SCRAPE: str

    def scrape(
        self, metadata: identity.Manifest, selector: dict[str, str], endpoint: identity.Manifest
    ) -> identity.Manifest:
        """Returns a scrape of the Services with these labels: of Services, not of pods."""

    def rules(self, metadata: identity.Manifest, groups: list[Any]) -> identity.Manifest:
        """Returns the object that carries groups of alerts."""


PROVIDERS = providers.table(
    "monitoring",
    {"victoriametrics": victoriametrics, "prometheus-operator": prometheus_operator},
)


class ObservabilityReady(reasons.Reasons):
    """Reasons of ObservabilityReady."""

    READY = reasons.Reason(
        "Ready",
        True,
        "Scrape, rules and dashboard are taken.",
    )
    NOT_MANAGED = reasons.Reason(
        "NotManaged",
        True,
        "`providers.monitoring: none`.",
        "Autoscaling needs the engine's metrics from somewhere.",
    )
    NOT_READY = reasons.Reason(
        "NotReady",
        False,
        "Not created yet; or no VMAgent or VMAlert selects it; or a rule is refused; or no Grafana"
        " took the dashboard.",
        "`monitoring.labels` against the operator's selectors; the expression of a group of"
        " your own; `dashboards.instanceLabels` against the labels of the Grafana.",
    )
    KIND_MISSING = reasons.Reason(
        "KindMissing",
        False,
        "The operator's kinds are not installed.",
        "Install it ([a kind that is installed later](#a-kind-that-is-installed-later)), or switch"
        " the provider.",
        alarm=True,
    )


def compose(now: situations.Situation) -> Iterator[assembly.Part]:
    """Yields scrapes and alerts."""
    plan = now.plan
    provider: Provider | None = PROVIDERS.get(plan.site.providers.monitoring)
    if provider is None:
        return
    yield assembly.Part(provider.SCRAPE, _scrape(plan))
    class_name = now.kept_class or plan.hardware.priced_as
    rules = _rules(plan, now.rollout.running, class_name, picker=now.traffic.picker)
    yield assembly.Part(provider.RULES, rules)
    if now.traffic.picker:
        scrape = _picker_scrape(plan, plan.identity.part("picker"))
        keys = provider.FORMER_PICKER_SCRAPE, provider.PICKER_SCRAPE
        yield assembly.Part(provider.PICKER_SCRAPE, scrape, renames.verdict(now.world, *keys))
        if renames.stays(now.world, *keys):
            former = _picker_scrape(plan, plan.identity.picker_name)
            yield assembly.Part(provider.FORMER_PICKER_SCRAPE, former)


@memo.per_plan
def _scrape(plan: plans.Plan) -> identity.Manifest:
    """Returns the scrape of the engine."""
    provider: Provider = PROVIDERS[plan.site.providers.monitoring]
    return provider.scrape(_metadata(plan), plan.identity.labels(), _endpoint(plan))


@memo.per_plan
def _picker_scrape(plan: plans.Plan, name: str) -> identity.Manifest:
    """Returns the scrape of the endpoint picker."""
    provider: Provider = PROVIDERS[plan.site.providers.monitoring]
    native = plan.picker.provider == pickers.NATIVE
    # The chart's label, or the four of the claim's own Service.
    selector = (
        plan.identity.labels(identity.PICKER)
        if native
        else {"app.kubernetes.io/name": plan.identity.picker_name}
    )
    endpoint = {
        "port": PICKER_PORT,
        "path": PICKER_PATH,
        "interval": QUEUE_INTERVAL if plan.picker.holds else INTERVAL,
        "scrapeTimeout": TIMEOUT,
    }
    return provider.scrape(_metadata(plan, name), selector, endpoint)


def _metadata(plan: plans.Plan, name: str | None = None) -> identity.Manifest:
    return plan.identity.metadata(name, extra=plan.site.monitoring.labels)


def _endpoint(plan: plans.Plan) -> identity.Manifest:
    observability = plan.spec.observability or claim_metrics.Observability()
    chosen = observability.metrics.interval if observability.metrics is not None else None
    interval = chosen or INTERVAL
    return {
        "port": engine.PORT_NAME,
        "path": plan.engine.METRICS_PATH,
        "interval": interval,
        # Longer than the interval it would be refused by the Prometheus operator.
        "scrapeTimeout": min(TIMEOUT, interval, key=duration.milliseconds),
    }


@memo.per_plan
def _rules(
    plan: plans.Plan, now: running.Running, class_name: str, *, picker: bool
) -> identity.Manifest:
    """Returns the object that carries the alerts, and what is recorded."""
    provider: Provider = PROVIDERS[plan.site.providers.monitoring]
    groups = [*_groups(plan, now, picker), *spending.groups(plan, now, class_name)]
    return provider.rules(_metadata(plan), groups)


def _groups(plan: plans.Plan, now: running.Running, picker: bool) -> list[Any]:
    """Returns the claim's own groups of alerts where it has some, ours otherwise; objectives."""
    observability = plan.spec.observability or claim_metrics.Observability()
    promised, own = alerts.promised(plan, now), observability.alerting_rules
    if own is None or own.groups is None:
        return [*alerts.groups(plan, now, picker=picker), *promised]
    return [*alerts.own(plan, canonical.plain(own.groups)), *promised]


def named(plan: plans.Plan, now: running.Running, *, picker: bool) -> frozenset[str]:
    """Returns the names of the alerts that the claim has."""
    if plan.site.providers.monitoring == "none":
        return frozenset()
    rules = (rule for group in _groups(plan, now, picker) for rule in group.get("rules") or [])
    return frozenset(rule["alert"] for rule in rules if "alert" in rule)


def conditions(
    now: situations.Situation, desired: assembly.Desired
) -> Iterator[observed.Condition]:
    """Yields ObservabilityReady."""
    kind = ObservabilityReady.type()
    absent, waits = desired.lacking(kind), desired.waits(kind)
    if absent is not None:
        yield ObservabilityReady.KIND_MISSING.condition(reasons.missing(absent, _provider(absent)))
    elif waits is not None:
        yield ObservabilityReady.NOT_READY.condition(waits)
    elif now.plan.site.providers.monitoring == "none":
        words = "the settings have no provider of monitoring"
        yield ObservabilityReady.NOT_MANAGED.condition(words)
    else:
        yield ObservabilityReady.READY.condition()


def _provider(absent: str) -> str:
    """Returns the setting under `providers` that asks for a kind."""
    board = absent in [f"{version} {_BOARD.name}" for version in _BOARD.api_versions]
    return "dashboards" if board else "monitoring"


_BOARD = kinds.GRAFANA_DASHBOARD
