"""Keys, names and labels: what ties composed objects to their claim and to each other."""

import re
from typing import Any

from function import canonical
from function import plan as plans

DOMAIN = "inference-service.cloud.ogenki.io"

Manifest = dict[str, Any]


def labels(plan: plans.Plan, component: str = "inference") -> dict[str, str]:
    """Returns the four labels that select pods.

    A Deployment's selector is immutable: these are 0.9.0's.
    """
    return {
        "app.kubernetes.io/name": plan.name,
        "app.kubernetes.io/instance": plan.name,
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/part-of": "ai",
    }


def metadata(
    plan: plans.Plan,
    name: str | None = None,
    *,
    component: str = "inference",
    extra: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
) -> Manifest:
    """Returns the metadata of a composed object, named as the claim unless told otherwise."""
    result: Manifest = {
        "name": name or plan.name,
        "namespace": plan.namespace,
        "labels": {**plan.site.labels, **(extra or {}), **labels(plan, component)},
    }
    if annotations:
        result["annotations"] = annotations
    return result


def key(plan: plans.Plan, suffix: str) -> str:
    """Returns the composed resource's name: it keys the object for as long as it lives."""
    return f"{plan.name}-{suffix}"


def shortened(prefix: str, suffix: str, longest: int = 63) -> str:
    """Returns `prefix-suffix` within a length, the prefix cut and made unique by a hash."""
    if len(prefix) + 1 + len(suffix) <= longest:
        return f"{prefix}-{suffix}"
    mark = canonical.digest(prefix, 5)
    room = longest - len(suffix) - len(mark) - 2
    return f"{prefix[:room].rstrip('-.')}-{mark}-{suffix}"


def object_name(text: str) -> str:
    """Returns an adapter's name as part of an object's name: itself where Kubernetes allows it."""
    if re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", text):
        return text
    safe = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return f"{safe}-{canonical.digest(text, 5)}"
