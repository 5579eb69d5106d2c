"""The autoscaler, as it reports itself: KEDA's ScaledObject."""

import dataclasses

from function.cluster import observed


@dataclasses.dataclass(frozen=True)
class Scaler:
    """An observed ScaledObject.

    Attributes:
        paused: True when it holds the claim at zero.
        falls_back: True when some trigger failed too often.
        ready: Its condition Ready, or None before it reported.
        failure: KEDA's words about triggers that fail; empty when it has none.
    """

    paused: bool
    falls_back: bool
    ready: observed.Condition | None
    failure: str


def scaler(resource: observed.Object | None) -> Scaler:
    """Returns the observed ScaledObject; one that is not there has reported nothing."""
    paused = observed.status_condition(resource or {}, "Paused")
    ready = observed.status_condition(resource or {}, "Ready")
    failing = ready is not None and (
        ready.status != "True" or ready.reason == "PartialTriggerError"
    )
    return Scaler(
        paused=paused is not None and paused.status == "True",
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
