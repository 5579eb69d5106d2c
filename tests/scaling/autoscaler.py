"""KEDA's and the horizontal pod autoscaler's arithmetic, as their sources have it.

Read from KEDA v2.20 (`pkg/scalers/prometheus_scaler.go`, `pkg/scalers/scaler.go`,
`pkg/scaling/scale_handler.go`, `pkg/scaling/executor/scale_scaledobjects.go`,
`pkg/fallback/fallback.go`, `apis/keda/v1alpha1/scaledobject_types.go`,
`controllers/keda/scaledobject_controller.go`) and Kubernetes v1.36
(`pkg/controller/podautoscaler/horizontal.go` and `replica_calculator.go`,
`pkg/apis/autoscaling/v2/defaults.go`). A ScaledObject is read as a plain mapping, with the
defaults of its own controllers, so that any rendered object can be put through it.

Left out, because no trigger here needs it: metric type `Value`, scaling modifiers, idle replicas,
pausing in one direction, cached metrics. The replica count in the scale's status is taken to be
the one in its spec: a ReplicaSet creates its pods at once.
"""

import dataclasses
import decimal
import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

SYNC_PERIOD = 15
"""Seconds between two looks of the HPA (`--horizontal-pod-autoscaler-sync-period`)."""

TOLERANCE = 0.1
"""Share by which usage may differ from the target (`--horizontal-pod-autoscaler-tolerance`)."""

DOWNSCALE_STABILIZATION = 300
"""Seconds, where the HPA does not say (`--horizontal-pod-autoscaler-downscale-stabilization`)."""

PAUSED = "autoscaling.keda.sh/paused-replicas"
FORCED = "autoscaling.keda.sh/force-activation"


class Target(Protocol):
    """The scale subresource of the Deployment."""

    @property
    def replicas(self) -> int:
        """Replicas asked for."""

    def scale(self, replicas: int) -> None:
        """Asks for another number."""


class Metrics(Protocol):
    """The server that the triggers ask."""

    def query(self, text: str) -> Sequence[float]:
        """Returns the values of the result.

        Raises:
            QueryError: The server does not answer.
        """


class QueryError(Exception):
    """A trigger has no value."""


def milli(value: float) -> int:
    """Returns a number as KEDA hands it to the HPA, in thousandths.

    `quantityFromFloat64`: three decimals; negative, NaN and infinite numbers are 0.
    """
    if not math.isfinite(value) or value < 0:
        return 0
    return int(decimal.Decimal(f"{value:.3f}") * 1000)


@dataclasses.dataclass(frozen=True)
class Trigger:
    """A Prometheus trigger.

    Attributes:
        target: Value per replica, in thousandths.
        activation: A value above it, not at it, activates.
        ignores_null: An empty result is 0 rather than an error; KEDA's default.
    """

    name: str
    query: str
    target: int
    activation: float
    ignores_null: bool

    @classmethod
    def read(cls, index: int, trigger: Mapping[str, Any]) -> "Trigger":
        """Returns the trigger of a ScaledObject.

        Raises:
            ValueError: KEDA or the HPA would refuse it, or it is of a kind left out here.
        """
        if trigger["type"] != "prometheus" or trigger.get("metricType", "AverageValue") not in (
            "AverageValue",
        ):
            raise ValueError(f"not modelled: {trigger}")
        given = trigger["metadata"]
        target = milli(float(given["threshold"]))
        if target == 0:
            # pkg/apis/autoscaling/validation: averageValue must be positive.
            raise ValueError(f"the HPA refuses a target of {given['threshold']}")
        return cls(
            name=trigger.get("name", f"s{index}-prometheus"),
            query=given["query"],
            target=target,
            activation=float(given.get("activationThreshold", "0")),
            ignores_null=given.get("ignoreNullValues", "true") == "true",
        )

    def value(self, metrics: Metrics) -> float:
        """Returns what the server says (`prometheusScaler.ExecutePromQuery`).

        Raises:
            QueryError: No answer, more than one series, or null where null is an error.
        """
        values = metrics.query(self.query)
        if len(values) > 1:
            raise QueryError("multiple elements")
        if not values or not math.isfinite(values[0]):
            if self.ignores_null:
                return 0
            raise QueryError("the result is empty")
        return values[0]


@dataclasses.dataclass(frozen=True)
class Fallback:
    """What stands in for a trigger that fails more often in a row than the threshold."""

    failures: int
    replicas: int
    behavior: str

    @classmethod
    def read(cls, given: Mapping[str, Any] | None) -> "Fallback | None":
        """Returns the fallback, or None where the ScaledObject has none."""
        if given is None:
            return None
        behavior = given.get("behavior", "static")
        if behavior not in ("static", "currentReplicas", "currentReplicasIfHigher"):
            raise ValueError(f"not modelled: {behavior}")
        return cls(given["failureThreshold"], given["replicas"], behavior)

    def count(self, current: int) -> int:
        """Returns how many replicas the stand-in asks for (`doFallback`)."""
        if self.behavior == "currentReplicas":
            return current
        if self.behavior == "currentReplicasIfHigher":
            return max(current, self.replicas)
        return self.replicas


@dataclasses.dataclass(frozen=True)
class Reading:
    """A trigger's value, or the fallback's.

    Attributes:
        value: In thousandths.
    """

    value: int
    active: bool
    fallback: bool


@dataclasses.dataclass(frozen=True)
class Policy:
    """By how much the count may change within a period, in seconds."""

    percent: bool
    value: int
    period: int


@dataclasses.dataclass(frozen=True)
class Rules:
    """One direction of an HPA's behavior.

    Attributes:
        window: Stabilization, in seconds.
        select: Max, Min or Disabled.
    """

    window: int
    policies: tuple[Policy, ...]
    select: str

    @classmethod
    def read(cls, given: Mapping[str, Any], default: "Rules") -> "Rules":
        """Returns the rules, with defaults (`autoscaling/v2/defaults.go`) field by field."""
        policies = tuple(
            Policy(p["type"] == "Percent", p["value"], p["periodSeconds"])
            for p in given.get("policies", ())
        )
        return cls(
            given.get("stabilizationWindowSeconds", default.window),
            policies or default.policies,
            given.get("selectPolicy", default.select),
        )


UP = Rules(0, (Policy(False, 4, 15), Policy(True, 100, 15)), "Max")
DOWN = Rules(DOWNSCALE_STABILIZATION, (Policy(True, 100, 15),), "Max")


@dataclasses.dataclass
class _Event:
    time: float
    count: int


class Autoscaler:
    """The HPA controller and one HPA that KEDA made."""

    def __init__(self, keda: "Keda") -> None:
        self._keda = keda
        self._recommendations: list[_Event] = []
        self._added: list[_Event] = []
        self._removed: list[_Event] = []

    def sync(self, now: float) -> None:
        """Looks once (`reconcileAutoscaler`)."""
        spec, target = self._keda.spec, self._keda.target
        current = target.replicas
        # GetHPAMinReplicas: an HPA cannot have 0.
        minimum = max(spec.minimum, 1)
        if not self._recommendations:
            self._recommendations.append(_Event(now, current))
        if current == 0:
            return  # "ScalingDisabled": at zero only KEDA acts.
        if current > spec.maximum:
            desired = spec.maximum
        elif current < minimum:
            desired = minimum
        else:
            proposed = self._proposed(current)
            if proposed is None:
                return
            stable = self._stabilized(now, current, proposed)
            desired = self._limited(now, current, stable, minimum)
        if desired != current:
            target.scale(desired)
            events = self._added if desired > current else self._removed
            events.append(_Event(now, abs(desired - current)))

    def _proposed(self, current: int) -> int | None:
        """Returns the largest answer of the metrics (`computeReplicasForMetrics`).

        None where no metric has a value, or where some have none and the rest would scale down.
        """
        best, invalid, triggers = 0, 0, self._keda.spec.triggers
        for trigger in triggers:
            try:
                reading = self._keda.measure(trigger)
            except QueryError:
                invalid += 1
                continue
            best = max(best, per_pod(reading.value, trigger.target, current))
        if invalid >= len(triggers) or (invalid > 0 and best < current):
            return None
        return best

    def _stabilized(self, now: float, current: int, proposed: int) -> int:
        """Returns the count within the windows (`stabilizeRecommendationWithBehaviors`).

        Up to the lowest that was asked for within the one window, down to the highest within the
        other.
        """
        up, down = self._keda.spec.up.window, self._keda.spec.down.window
        lowest = min(
            [proposed, *(r.count for r in self._recommendations if r.time > now - up)],
        )
        highest = max(
            [proposed, *(r.count for r in self._recommendations if r.time > now - down)],
        )
        oldest = now - max(up, down)
        self._recommendations = [r for r in self._recommendations if r.time >= oldest]
        self._recommendations.append(_Event(now, proposed))
        return min(max(current, lowest), highest)

    def _limited(self, now: float, current: int, desired: int, minimum: int) -> int:
        """Returns the count within policies and bounds.

        `convertDesiredReplicasWithBehaviorRate`.
        """
        spec = self._keda.spec
        if desired > current:
            limit = max(self._limit(now, current, spec.up, up=True), current)
            return min(desired, limit, spec.maximum)
        if desired < current:
            limit = min(self._limit(now, current, spec.down, up=False), current)
            return max(desired, limit, minimum)
        return desired

    def _limit(self, now: float, current: int, rules: Rules, *, up: bool) -> int:
        """Returns how far the policies let the count go.

        `calculateScaleUpLimitWithScalingRules` and `calculateScaleDownLimitWithBehaviors`: a policy
        counts from where its period began.
        """
        if rules.select == "Disabled":
            return current
        limits = []
        for policy in rules.policies:
            since = now - policy.period
            start = current - _within(self._added, since) + _within(self._removed, since)
            sign = 1 if up else -1
            if not policy.percent:
                limits.append(start + sign * policy.value)
            elif up:
                limits.append(math.ceil(start * (1 + policy.value / 100)))
            else:
                limits.append(int(start * (1 - policy.value / 100)))
        return max(limits) if up == (rules.select == "Max") else min(limits)


def _within(events: list[_Event], since: float) -> int:
    return sum(event.count for event in events if event.time > since)


def per_pod(usage: int, target: int, current: int) -> int:
    """Returns the count for an external metric with AverageValue.

    `GetExternalPerPodMetricReplicas`: the current one while usage is within the tolerance of
    target x count, ceil(usage / target) otherwise. Usage and target in thousandths.
    """
    ratio = usage / (target * current)
    if 1 - TOLERANCE <= ratio <= 1 + TOLERANCE:
        return current
    return math.ceil(usage / target)


@dataclasses.dataclass(frozen=True)
class Spec:
    """A ScaledObject."""

    minimum: int
    maximum: int
    polling: int
    cooldown: int
    initial_cooldown: int
    fallback: Fallback | None
    triggers: tuple[Trigger, ...]
    up: Rules
    down: Rules
    paused_at: int | None
    forced: bool

    @classmethod
    def read(cls, scaled_object: Mapping[str, Any]) -> "Spec":
        """Returns the ScaledObject, with the defaults of KEDA 2.20."""
        spec = scaled_object["spec"]
        annotations = scaled_object["metadata"].get("annotations", {})
        behavior = (
            spec.get("advanced", {}).get("horizontalPodAutoscalerConfig", {}).get("behavior", {})
        )
        paused = annotations.get(PAUSED)
        return cls(
            minimum=spec.get("minReplicaCount", 0),
            maximum=spec.get("maxReplicaCount", 100),
            polling=spec.get("pollingInterval", 30),
            cooldown=spec.get("cooldownPeriod", 300),
            initial_cooldown=spec.get("initialCooldownPeriod", 0),
            fallback=Fallback.read(spec.get("fallback")),
            triggers=tuple(Trigger.read(i, t) for i, t in enumerate(spec["triggers"])),
            up=Rules.read(behavior.get("scaleUp", {}), UP),
            down=Rules.read(behavior.get("scaleDown", {}), DOWN),
            paused_at=None if paused is None else int(paused),
            forced=annotations.get(FORCED) == "true",
        )


class Keda:
    """KEDA's operator, and the HPA that it makes for one ScaledObject."""

    def __init__(self, target: Target, metrics: Metrics) -> None:
        self.target = target
        self._metrics = metrics
        self._spec: Spec | None = None
        self._autoscaler: Autoscaler | None = None
        self._created = 0.0
        self._last_active: float | None = None
        self._failures: dict[str, int] = {}

    @property
    def spec(self) -> Spec:
        """The ScaledObject that was applied last."""
        assert self._spec is not None, "no ScaledObject was applied"
        return self._spec

    @property
    def falls_back(self) -> bool:
        """Whether the Fallback condition is True."""
        fallback = self.spec.fallback
        return fallback is not None and any(n > fallback.failures for n in self._failures.values())

    def apply(self, scaled_object: Mapping[str, Any], now: float) -> None:
        """Takes a ScaledObject (`ScaledObjectReconciler.reconcileScaledObject`).

        Pausing stops the loop, deletes the HPA and sets the count.
        """
        if self._spec is None:
            self._created = now
        self._spec = Spec.read(scaled_object)
        if self._spec.paused_at is not None:
            self._autoscaler = None
            self.target.scale(self._spec.paused_at)
        elif self._autoscaler is None:
            self._autoscaler = Autoscaler(self)

    def sync(self, now: float) -> None:
        """Lets the HPA controller look once."""
        if self._autoscaler is not None:
            self._autoscaler.sync(now)

    def measure(self, trigger: Trigger) -> Reading:
        """Asks a trigger; both the poll and each look of the HPA do.

        `GetMetricsWithFallback`: failures in a row are counted, above the threshold the fallback
        answers and counts as active.

        Raises:
            QueryError: It has no value and there is no fallback, or not yet.
        """
        fallback = self.spec.fallback
        try:
            value = trigger.value(self._metrics)
        except QueryError:
            failures = self._failures[trigger.name] = self._failures.get(trigger.name, 0) + 1
            if fallback is None or failures <= fallback.failures:
                raise
            count = fallback.count(self.target.replicas)
            return Reading(trigger.target * count, active=True, fallback=True)
        self._failures[trigger.name] = 0
        return Reading(milli(value), active=value > trigger.activation, fallback=False)

    def poll(self, now: float) -> None:
        """Looks once (`checkScalers`, `RequestScale`); only this moves between 0 and 1."""
        if self.spec.paused_at is not None:
            return
        active, failed = self.spec.forced, False
        for trigger in self.spec.triggers:
            try:
                active |= self.measure(trigger).active
            except QueryError:
                failed = True
        current = self.target.replicas
        if active:
            if current == 0:
                self.target.scale(max(self.spec.minimum, 1))
                self._last_active = now
            elif not failed:
                self._last_active = now
        elif failed and (self.spec.fallback is None or self.spec.fallback.replicas != 0):
            # With a fallback the count is left alone until it starts; without one for good.
            return
        elif current > 0 and self.spec.minimum == 0:
            self._scale_to_zero(now)
        elif current < self.spec.minimum:
            self.target.scale(self.spec.minimum)

    def _scale_to_zero(self, now: float) -> None:
        """Takes the last step down once the cooldown has passed (`scaleToZeroOrIdle`)."""
        if self._last_active is None:
            over = self._created + self.spec.initial_cooldown < now
        else:
            over = self._last_active + self.spec.cooldown < now
        if over:
            self.target.scale(0)
