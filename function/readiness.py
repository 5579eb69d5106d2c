"""When each composed kind is ready. Core counts only an explicit yes.

The signals are each controller's own (docs/how-it-decides.md has the table). The Deployment and the
Job are not here: whether they are ready depends on what the claim asks for.
"""

import dataclasses
from collections.abc import Callable, Iterable

from function import observed as world


@dataclasses.dataclass(frozen=True)
class Readiness:
    """A verdict, with the controller's words when it is no."""

    ready: bool
    reason: str = ""
    message: str = ""


READY = Readiness(True)
NOT_SEEN = Readiness(False, "Creating", "not created yet")


def readiness(kind: str, resource: world.Object | None) -> Readiness:
    """Returns whether an observed object of the kind is ready; existing is, for plain kinds."""
    if resource is None:
        return NOT_SEEN
    check = _CHECKS.get(kind)
    return READY if check is None else check(resource)


def _must(found: Iterable[tuple[str, world.Condition | None]]) -> Readiness:
    """Returns ready when every named condition is there and True."""
    for name, condition in found:
        if condition is None:
            return Readiness(False, "Pending", f"condition {name} is not reported yet")
        if condition.status != "True":
            return Readiness(False, condition.reason or name, condition.message)
    return READY


def _condition(name: str) -> Callable[[world.Object], Readiness]:
    def check(resource: world.Object) -> Readiness:
        return _must([(name, world.status_conditions(resource).get(name))])

    return check


def _accepted(resource: world.Object) -> Readiness:
    """AI gateway: on failure the list holds `NotAccepted` with status False, so ask for a yes."""
    found = world.status_conditions(resource)
    if "Accepted" not in found and "NotAccepted" in found:
        refusal = found["NotAccepted"]
        return Readiness(False, refusal.reason or "NotAccepted", refusal.message)
    return _must([("Accepted", found.get("Accepted"))])


def _per_parent(field: str, *names: str) -> Callable[[world.Object], Readiness]:
    """Gateway API: conditions are kept for each parent or ancestor; one that is well is enough."""

    def check(resource: world.Object) -> Readiness:
        verdict = Readiness(False, "Pending", f"no {field} has reported yet")
        for owner in world.at(resource, "status", field) or []:
            found = world.conditions(owner)
            verdict = _must((name, found.get(name)) for name in names)
            if verdict.ready:
                break
        return verdict

    return check


def _valid(resource: world.Object) -> Readiness:
    """Cilium: older agents report nothing, so only a no counts."""
    valid = world.status_conditions(resource).get("Valid")
    if valid is not None and valid.status == "False":
        return Readiness(False, valid.reason or "Invalid", valid.message)
    return READY


def _update_status(resource: world.Object) -> Readiness:
    """VictoriaMetrics: conditions are named after the parents, so the summary decides."""
    state = world.at(resource, "status", "updateStatus")
    if state == "operational":
        return READY
    if state == "failed":
        return Readiness(False, "Failed", str(world.at(resource, "status", "reason") or ""))
    return Readiness(False, "NotSelected", "no VMAgent or VMAlert selects it")


_CHECKS: dict[str, Callable[[world.Object], Readiness]] = {
    "AIGatewayRoute": _accepted,
    "AIServiceBackend": _accepted,
    "Backend": _condition("Accepted"),
    "BackendTrafficPolicy": _per_parent("ancestors", "Accepted"),
    "CiliumNetworkPolicy": _valid,
    "ExternalSecret": _condition("Ready"),
    "HelmRelease": _condition("Ready"),
    "HTTPRoute": _per_parent("parents", "Accepted", "ResolvedRefs"),
    "ScaledObject": _condition("Ready"),
    "VMRule": _update_status,
    "VMServiceScrape": _update_status,
}
