"""The Prometheus operator's kinds."""

from typing import Any

from function import kinds
from function.planning import identity

SCRAPE = "servicemonitor"
RULES = "prometheusrule"
PICKER_SCRAPE = "picker-servicemonitor"
FORMER_PICKER_SCRAPE = "epp-servicemonitor"


def scrape(
    metadata: identity.Manifest, selector: dict[str, str], endpoint: identity.Manifest
) -> identity.Manifest:
    """Returns a scrape of the Services with these labels."""
    return {
        "apiVersion": kinds.SERVICE_MONITOR.api_versions[0],
        "kind": kinds.SERVICE_MONITOR.name,
        "metadata": metadata,
        "spec": {"selector": {"matchLabels": selector}, "endpoints": [endpoint]},
    }


def rules(metadata: identity.Manifest, groups: list[Any]) -> identity.Manifest:
    """Returns the object that carries groups of alerts."""
    return {
        "apiVersion": kinds.PROMETHEUS_RULE.api_versions[0],
        "kind": kinds.PROMETHEUS_RULE.name,
        "metadata": metadata,
        "spec": {"groups": groups},
    }
