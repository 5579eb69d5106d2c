"""The kinds of claim that there are, by group and kind."""

from collections.abc import Mapping
from typing import Any

from function.composites import composite, inference_gateway, inference_service

COMPOSITES: dict[tuple[str, str], composite.Composite] = {
    (inference_service.GROUP, inference_service.KIND): inference_service,
    # Named here: its module is read with the first front door (function/late.py).
    (inference_service.GROUP, "InferenceGateway"): inference_gateway,
}


def of(document: Mapping[str, Any]) -> composite.Composite | None:
    """Returns the kind of claim that a document is, or None for any other object.

    Groups are compared: KServe has an InferenceService too.
    """
    group, _, _ = str(document.get("apiVersion") or "").rpartition("/")
    return COMPOSITES.get((group, str(document.get("kind") or "")))
