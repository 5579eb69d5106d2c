"""The concerns of a claim, and every condition that they yield."""

import dataclasses
from collections.abc import Iterator
from typing import Protocol

from function import assembly
from function.cluster import observed
from function.concerns import addresses, capacity, hot, reasons, validity, weights, workload
from function.concerns.access import policies
from function.concerns.dashboards import drawing
from function.concerns.gateway import publishing
from function.concerns.observability import watching
from function.concerns.route import routing
from function.concerns.scaling import autoscaling
from function.concerns.secrets import fetching
from function.situation import situations


class Concern(Protocol):
    """A concern: its objects and its conditions."""

    def compose(self, now: situations.Situation) -> Iterator[assembly.Part]:
        """Yields the concern's objects."""

    def conditions(
        self, now: situations.Situation, desired: assembly.Desired
    ) -> Iterator[observed.Condition]:
        """Yields the concern's conditions, none where another concern speaks for its objects."""


CONCERNS: tuple[Concern, ...] = (
    addresses,
    policies,
    weights,
    hot,
    workload,
    autoscaling,
    watching,
    drawing,
    fetching,
    routing,
    publishing,
    capacity,
)

# In the order in which the claim shows them.
CONDITIONS: tuple[type[reasons.Reasons], ...] = (
    validity.Valid,
    workload.Current,
    weights.WeightsReady,
    workload.EngineReady,
    autoscaling.ScalerReady,
    publishing.RouteReady,
    policies.PolicyReady,
    watching.ObservabilityReady,
    fetching.SecretsReady,
    capacity.Fits,
)
CONDITION_TYPES = tuple(condition.type() for condition in CONDITIONS)


def conditions(
    now: situations.Situation, desired: assembly.Desired
) -> tuple[observed.Condition, ...]:
    """Returns every condition of the claim, in the order in which it shows them.

    Raises:
        KeyError: No concern yields one of the conditions.
    """
    by_type = {validity.Valid.type(): validity.valid()}
    for concern in CONCERNS:
        by_type |= {condition.type: condition for condition in concern.conditions(now, desired)}
    return tuple(_short(by_type[kind]) for kind in CONDITION_TYPES)


def _short(condition: observed.Condition) -> observed.Condition:
    longest = validity.LONGEST_MESSAGE
    if len(condition.message) <= longest:
        return condition
    return dataclasses.replace(condition, message=condition.message[:longest])


_ALARMS = frozenset(
    (kind.type(), member.reason.name)
    for kind in CONDITIONS
    for member in kind
    if member.reason.alarm
)


def alarming(condition: observed.Condition) -> bool:
    """Tells whether somebody must act on a condition."""
    return (condition.type, condition.reason) in _ALARMS
