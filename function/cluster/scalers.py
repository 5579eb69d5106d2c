"""The autoscaler, as it reports itself: KEDA's ScaledObject."""

import dataclasses

from function.cluster import observed


@dataclasses.dataclass(frozen=True)
class Scaler:
    """An observed ScaledObject.

    Attributes:
        falls_back: True when some trigger failed too often.
        ready: Its condition Ready, or None before it reported.
        failure: KEDA's words about triggers that fail; empty when it has none.
    """

    falls_back: bool
    ready: observed.Condition | None
    failure: str


def paused(resource: observed.Object | None) -> bool:
    """Tells whether the observed ScaledObject holds the claim at zero."""
    reported = observed.status_condition(resource or {}, "Paused")
    return reported is not None and reported.status == "True"


def scaler(resource: observed.Object | None) -> Scaler:
    """Returns the observed ScaledObject; one that is not there has reported nothing."""
    ready = observed.status_condition(resource or {}, "Ready")
    failing = ready is not None and (
        ready.status != "True" or ready.reason == "PartialTriggerError"
    )
    return Scaler(
        falls_back=_falls_back(resource or {}),
        ready=ready,
        failure=(ready.message or ready.reason) if ready is not None and failing else "",
    )


def _falls_back(resource: observed.Object) -> bool:
    """Tells whether some trigger failed too often, by KEDA's own rule.

    Its poll and its metrics API each write the whole list of conditions from what they last read,
    and one undoes the other's Fallback for a poll. The counts of failures are written one by one.
    """
    health = observed.at(resource, "status", "health")
    if not health:
        fallback = observed.status_condition(resource, "Fallback")
        return fallback is not None and fallback.status == "True"
    allowed = observed.number(observed.at(resource, "spec", "fallback", "failureThreshold"))
    return any(
        observed.at(trigger, "status") == "Failing"
        and observed.number(observed.at(trigger, "numberOfFailures")) > allowed
        for trigger in health.values()
    )
