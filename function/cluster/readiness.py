"""When an observed object is ready, by its controller's own signal. Core counts only a yes.

`kinds.py` says which signal is whose. What the workload and a Job need depends on the claim: their
concerns judge them.
"""

import dataclasses
from collections.abc import Callable, Iterable

from function.cluster import observed


@dataclasses.dataclass(frozen=True)
class Readiness:
    """A verdict, with the controller's words when it is no."""

    ready: bool
    reason: str = ""
    message: str = ""


READY = Readiness(True)
NOT_CREATED = Readiness(False, "Creating", "not created yet")


def there(_: observed.Object) -> Readiness:
    """Plain kinds: an object that exists is ready."""
    return READY


def _must(conditions: Iterable[tuple[str, observed.Condition | None]]) -> Readiness:
    """Returns ready when every named condition is there and True."""
    for name, reported in conditions:
        if reported is None:
            return Readiness(False, "Pending", f"condition {name} is not reported yet")
        if reported.status != "True":
            return Readiness(False, reported.reason or name, reported.message)
    return READY


def condition(name: str) -> Callable[[observed.Object], Readiness]:
    """Returns the check that a condition of this type is True."""

    def check(resource: observed.Object) -> Readiness:
        return _must([(name, observed.status_condition(resource, name))])

    return check


def ready_when(name: str, resource: observed.Object | None) -> bool:
    """Tells whether an object is there and its condition of this type is True."""
    return resource is not None and condition(name)(resource).ready


def not_refused(name: str) -> Callable[[observed.Object], Readiness]:
    """The same for an object whose controller is silent while no route names it: a no counts."""
    judged = condition(name)

    def check(resource: observed.Object) -> Readiness:
        silent = observed.status_condition(resource, name) is None
        return READY if silent else judged(resource)

    return check


def accepted(resource: observed.Object) -> Readiness:
    """AI gateway: on failure the list holds `NotAccepted` with status False, so ask for a yes."""
    yes = observed.status_condition(resource, "Accepted")
    refusal = observed.status_condition(resource, "NotAccepted")
    if yes is None and refusal is not None:
        return Readiness(False, refusal.reason or "NotAccepted", refusal.message)
    return _must([("Accepted", yes)])


def per_parent(field: str, *names: str) -> Callable[[observed.Object], Readiness]:
    """Gateway API: conditions are kept for each parent or ancestor; one that is well is enough."""

    def check(resource: observed.Object) -> Readiness:
        verdict = Readiness(False, "Pending", f"no {field} has reported yet")
        for owner in observed.items(resource, "status", field):
            verdict = _must((name, observed.condition(owner, name)) for name in names)
            if verdict.ready:
                break
        return verdict

    return check


def any_parent(*names: str) -> Callable[[observed.Object], Readiness]:
    """The same for an object of which no Gateway speaks before a route names it."""
    judged = per_parent("parents", *names)

    def check(resource: observed.Object) -> Readiness:
        return judged(resource) if observed.at(resource, "status", "parents") else READY

    return check


def any_ancestor(*names: str) -> Callable[[observed.Object], Readiness]:
    """The same for a policy of which nobody speaks before what it targets is there."""
    judged = per_parent("ancestors", *names)

    def check(resource: observed.Object) -> Readiness:
        return judged(resource) if observed.at(resource, "status", "ancestors") else READY

    return check


def synchronized(name: str) -> Callable[[observed.Object], Readiness]:
    """grafana-operator: what is wrong is a condition that is True, and takes the good one away."""
    judged = condition(name)

    def check(resource: observed.Object) -> Readiness:
        for wrong in ("NoMatchingInstance", "InvalidSpec"):
            reported = observed.status_condition(resource, wrong)
            if reported is not None and reported.status == "True":
                return Readiness(False, reported.reason or wrong, reported.message or wrong)
        return judged(resource)

    return check


def valid(resource: observed.Object) -> Readiness:
    """Cilium: older agents report nothing, so only a no counts."""
    verdict = observed.status_condition(resource, "Valid")
    if verdict is not None and verdict.status == "False":
        return Readiness(False, verdict.reason or "Invalid", verdict.message)
    return READY


def update_status(resource: observed.Object) -> Readiness:
    """VictoriaMetrics: conditions are named after the parents, so the summary decides."""
    state = observed.at(resource, "status", "updateStatus")
    if state == "operational":
        return READY
    if state == "failed":
        return Readiness(False, "Failed", str(observed.at(resource, "status", "reason") or ""))
    return Readiness(False, "NotSelected", "no VMAgent or VMAlert selects it")


def bound(resource: observed.Object) -> Readiness:
    """Prometheus operator: it is silent unless its gate for this is open, so only a no counts."""
    for binding in observed.items(resource, "status", "bindings"):
        verdict = observed.condition(binding, "Accepted")
        if verdict is not None and verdict.status == "False":
            who = f"{observed.at(binding, 'namespace')}/{observed.at(binding, 'name')}"
            words = f"Prometheus {who}: {verdict.message}"
            return Readiness(False, verdict.reason or "NotAccepted", words)
    return READY
