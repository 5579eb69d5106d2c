"""What the API server makes of what it is sent."""

from tests import documents


class ConflictError(Exception):
    """409: an object was written with a resourceVersion that is not the current one."""


def applied(
    current: documents.Object, wanted: documents.Object, before: documents.Object
) -> documents.Object:
    """Server-side apply of maps: wanted fields win, and our former fields go."""
    merged = dict(current)
    for key in before:
        if key not in wanted:
            merged.pop(key, None)
    for key, value in wanted.items():
        old, ours = merged.get(key), before.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            merged[key] = applied(old, value, ours if isinstance(ours, dict) else {})
        else:
            merged[key] = documents.copied(value) if isinstance(value, dict | list) else value
    return merged


def completed(item: documents.Object) -> documents.Object:
    """Returns an object with what the schema of its kind has for fields that nobody wrote.

    Of the AI gateway's routes alone, of whose fields something is read again.
    """
    if item["kind"] != "AIGatewayRoute":
        return item
    given = documents.copied(item)
    for rule in given["spec"]["rules"]:
        rule.setdefault("modelsOwnedBy", "Envoy AI Gateway")
        for backend in rule["backendRefs"]:
            backend.setdefault("priority", 0)
            backend.setdefault("weight", 1)
    return given


def admitted(current: documents.Object, merged: documents.Object) -> None:
    """Refuses what the API server would refuse of a Deployment (422, for good)."""
    spec = merged["spec"]
    assert spec["selector"] == current["spec"]["selector"], "a selector is immutable"
    strategy = spec.get("strategy", {})
    assert strategy.get("type") != "Recreate" or "rollingUpdate" not in strategy, strategy
