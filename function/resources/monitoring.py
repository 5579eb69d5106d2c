"""How the engine is scraped, and the object that carries the alerts, for both operators."""

from typing import Any

from function import canonical, duration
from function import plan as plans
from function.resources import alerts, gateway, meta

METRICS_PATH = "/metrics"
TIMEOUT = "10s"


def _interval(plan: plans.Plan) -> str:
    observability = plan.spec.observability
    chosen = observability.metrics if observability is not None else None
    return (chosen.interval if chosen is not None else None) or "30s"


def _metadata(plan: plans.Plan, name: str | None = None) -> meta.Manifest:
    return meta.metadata(plan, name, extra=plan.site.monitoring.labels)


def scrape(plan: plans.Plan) -> meta.Manifest:
    """Returns the scrape of the engine, for the site's operator."""
    endpoint = {
        "port": plans.PORT_NAME,
        "path": METRICS_PATH,
        "interval": _interval(plan),
        # Longer than the interval it would be refused by the Prometheus operator.
        "scrapeTimeout": min(TIMEOUT, _interval(plan), key=duration.milliseconds),
    }
    return _scrape(plan, _metadata(plan), meta.labels(plan), endpoint)


def picker_scrape(plan: plans.Plan) -> meta.Manifest:
    """Returns the scrape of the endpoint picker."""
    name = gateway.picker_name(plan)
    endpoint = {
        "port": "http-metrics",
        "path": METRICS_PATH,
        "interval": "30s",
        "scrapeTimeout": TIMEOUT,
    }
    return _scrape(plan, _metadata(plan, name), {"app.kubernetes.io/name": name}, endpoint)


def _scrape(
    plan: plans.Plan, metadata: meta.Manifest, selector: dict[str, str], endpoint: meta.Manifest
) -> meta.Manifest:
    victoria = plan.site.providers.monitoring == "victoriametrics"
    return {
        "apiVersion": "operator.victoriametrics.com/v1beta1"
        if victoria
        else "monitoring.coreos.com/v1",
        "kind": "VMServiceScrape" if victoria else "ServiceMonitor",
        "metadata": metadata,
        # The selector matches the labels of Services, not of pods.
        "spec": {"selector": {"matchLabels": selector}, "endpoints": [endpoint]},
    }


def rules(plan: plans.Plan) -> meta.Manifest:
    """Returns the alerts: the claim's own groups where it has some, ours otherwise."""
    observability = plan.spec.observability
    own = observability.alerting_rules if observability is not None else None
    groups: list[Any] = (
        alerts.groups(plan) if own is None or own.groups is None else canonical.plain(own.groups)
    )
    victoria = plan.site.providers.monitoring == "victoriametrics"
    return {
        "apiVersion": "operator.victoriametrics.com/v1beta1"
        if victoria
        else "monitoring.coreos.com/v1",
        "kind": "VMRule" if victoria else "PrometheusRule",
        "metadata": _metadata(plan),
        "spec": {"groups": groups},
    }
