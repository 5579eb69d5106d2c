"""The VictoriaMetrics operator's kinds."""

from typing import Any

from function import kinds
from function.planning import identity

SCRAPE = "vmservicescrape"
RULES = "vmrule"
PICKER_SCRAPE = "picker-vmservicescrape"
FORMER_PICKER_SCRAPE = "epp-vmservicescrape"


def scrape(
    metadata: identity.Manifest, selector: dict[str, str], endpoint: identity.Manifest
) -> identity.Manifest:
    """Returns a scrape of the Services with these labels."""
    return {
        "apiVersion": kinds.VM_SCRAPE.api_versions[0],
        "kind": kinds.VM_SCRAPE.name,
        "metadata": metadata,
        "spec": {"selector": {"matchLabels": selector}, "endpoints": [endpoint]},
    }


def rules(metadata: identity.Manifest, groups: list[Any]) -> identity.Manifest:
    """Returns the object that carries groups of alerts."""
    return {
        "apiVersion": kinds.VM_RULE.api_versions[0],
        "kind": kinds.VM_RULE.name,
        "metadata": metadata,
        "spec": {"groups": groups},
    }
