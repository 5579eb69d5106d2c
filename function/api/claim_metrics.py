"""How a claim is watched: the scrape, and alerts."""

from typing import Annotated

import pydantic

from function import duration
from function.api import base, claim_scaling

SCRAPE = base.Rule(
    cel="duration(self) >= duration('5s') && duration(self) <= duration('24h')",
    message="must be between 5s and 24h",
    holds=lambda text: duration.within(text, 5 * duration.SECOND, 24 * duration.HOUR),
    admission_only=True,
)


class Metrics(base.Model):
    """How the engine is scraped."""

    interval: Annotated[base.Duration, SCRAPE] | None = pydantic.Field(
        None, description="30s when absent; at least 5s."
    )


class AlertingRules(base.Model):
    """Rule groups that replace the default ones."""

    groups: Annotated[list[base.RawObject], base.items(16), base.Bounds(4000)] | None = (
        pydantic.Field(
            None,
            description="Groups as a VMRule or a PrometheusRule has them: alerts; settings say who"
            " may record series (rawRules).",
        )
    )


Share = Annotated[
    str,
    base.text(6, r"^(0\.[0-9]{1,4}|1(\.0{1,4})?)$"),
    base.Rule(
        cel="double(self) > 0.0", message="a share is above 0", holds=lambda value: float(value) > 0
    ),
]


class Alerts(base.Model):
    """Thresholds of the default alerts."""

    error_ratio: Share | None = pydantic.Field(
        None, description="Share of 5xx answers over 10 minutes; 0.05 when absent."
    )
    time_to_first_token_seconds: claim_scaling.Positive | None = pydantic.Field(
        None, description="p95 of the time to the first token in seconds; 10 when absent."
    )
    queue_length: Annotated[int, base.number(1, 100000)] | None = pydantic.Field(
        None, description="Waiting requests a replica; the queue trigger's target when absent."
    )
    kv_cache_usage: Share | None = pydantic.Field(
        None, description="Used share of the KV cache; 0.95 when absent."
    )
    preemptions_per_minute: claim_scaling.Positive | None = pydantic.Field(
        None, description="Preempted requests a minute and replica; 6 when absent."
    )


class Observability(base.Model):
    """Metrics and alerts."""

    metrics: Metrics | None = None
    alerting_rules: AlertingRules | None = None
    alerts: Alerts | None = None
