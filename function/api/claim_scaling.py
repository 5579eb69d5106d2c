"""How many replicas a claim has, and when."""

from typing import Annotated, ClassVar

import pydantic
from pydantic import alias_generators

from function.api import base


def _one_spelling(trigger: str, old: str) -> base.Rule:
    """A rule that refuses the old and the new spelling of one threshold together."""
    camel = alias_generators.to_camel
    new = f"triggers.{camel(trigger)}.target"
    return base.Rule(
        cel=f"!(has(self.{camel(old)}) && has(self.triggers)"
        f" && has(self.triggers.{camel(trigger)}) && has(self.{new}))",
        message=f"{camel(old)} and {new} say the same thing: keep one (a value that 0.9.0's schema"
        f" wrote into the stored claim counts; set {camel(old)} to null to remove it)",
        holds=lambda node: (
            getattr(node, old) is None
            or node.triggers is None
            or (chosen := getattr(node.triggers, trigger)) is None
            or chosen.target is None
        ),
        at=camel(old),
    )


_Target = Annotated[
    base.Decimal,
    base.Rule(
        cel="double(self) >= 0.001",
        message="target is at least 0.001",
        holds=lambda value: float(value) >= 0.001,
    ),
]


class Trigger(base.Model):
    """One scaling trigger."""

    enabled: bool | None = pydantic.Field(None, description="False leaves the trigger out.")
    target: _Target | None = pydantic.Field(
        None, description="Value per replica at which the count holds."
    )


# More than all of the cache is never used: such a trigger never fires. Stored claims may have one
# (0.9.0 took any text): they are rendered, and told.
_MOST_KV_USAGE = base.Rule(
    cel="double(self) <= 1.0",
    message="a share of the KV cache is at most 1: above it the trigger can never fire",
    holds=lambda value: float(value) <= 1,
    admission_only=True,
)


class CacheTrigger(Trigger):
    """The scaling trigger on the used share of the KV cache."""

    target: Annotated[_Target, _MOST_KV_USAGE] | None = pydantic.Field(
        None, description="Used share of the cache, 0 to 1, at which it holds."
    )


class Triggers(base.Model):
    """The scaling triggers; the largest answer wins."""

    RULES: ClassVar = (
        base.Rule(
            cel="!(has(self.running) && has(self.running.enabled) && !self.running.enabled"
            " && has(self.kvCache) && has(self.kvCache.enabled) && !self.kvCache.enabled"
            " && has(self.queue) && has(self.queue.enabled) && !self.queue.enabled)",
            message="at least one trigger must stay enabled: KEDA refuses an empty list",
            holds=lambda t: (
                not all(
                    trigger is not None and trigger.enabled is False
                    for trigger in (t.running, t.kv_cache, t.queue)
                )
            ),
        ),
    )

    running: Trigger | None = pydantic.Field(
        None, description="Running requests a replica; 0.7 x maxNumSeqs when absent."
    )
    kv_cache: CacheTrigger | None = pydantic.Field(
        None, description="Used share of the KV cache a replica, 0 to 1; 0.6 when absent."
    )
    queue: Trigger | None = pydantic.Field(
        None, description="Waiting requests a replica; 8 when absent."
    )


Positive = Annotated[
    base.Decimal,
    base.Rule(
        # KEDA hands the HPA thousandths: less rounds to zero, which the HPA refuses.
        cel="double(self) >= 0.001",
        message="a threshold is at least 0.001",
        holds=lambda value: float(value) >= 0.001,
    ),
]


class Scaling(base.Model):
    """How many replicas, and when."""

    min_replicas: Annotated[int, base.number(0, 1000)] | None = pydantic.Field(
        None,
        description="1 when absent. 0 needs a wake query in the settings, and requests that it"
        " counts: by default those of the AI gateway.",
    )
    max_replicas: Annotated[int, base.number(1, 1000)] | None = pydantic.Field(
        None, description="3 when absent, never below minReplicas."
    )
    cooldown_seconds: Annotated[int, base.number(60, 86400)] | None = pydantic.Field(
        None, description="Quiet seconds before a replica is given back; 300 when absent."
    )
    polling_interval_seconds: Annotated[int, base.number(5, 3600)] | None = pydantic.Field(
        None, description="Seconds between two looks at the triggers; 15 when absent."
    )
    running_ratio_threshold: Positive | None = pydantic.Field(
        None, description="Running requests as a share of maxNumSeqs; 0.7 when absent."
    )
    cache_utilization_threshold: Annotated[Positive, _MOST_KV_USAGE] | None = pydantic.Field(
        None, description="Used share of the KV cache; 0.6 when absent."
    )
    queue_length_threshold: Annotated[int, base.number(1, 100000)] | None = pydantic.Field(
        None, description="Waiting requests a replica; 8 when absent."
    )
    triggers: Triggers | None = None

    RULES: ClassVar = (
        base.Rule(
            cel="!has(self.maxReplicas)"
            " || (has(self.minReplicas) ? self.minReplicas : 1) <= self.maxReplicas",
            message="minReplicas must be at most maxReplicas",
            holds=lambda s: (
                s.max_replicas is None
                or (1 if s.min_replicas is None else s.min_replicas) <= s.max_replicas
            ),
            at="minReplicas",
        ),
        _one_spelling("running", "running_ratio_threshold"),
        _one_spelling("kv_cache", "cache_utilization_threshold"),
        _one_spelling("queue", "queue_length_threshold"),
    )
