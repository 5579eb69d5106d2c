"""How a claim is watched: the scrape, alerts, and what its users are promised."""

from typing import Annotated, ClassVar, Literal

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


_SHARE = base.form(
    r"^(0\.[0-9]{1,4}|1(\.0{1,4})?)$", "a share in quotes, from 0 to 1, for example 0.05"
)
Share = Annotated[
    str,
    base.text(6, _SHARE),
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


# --- objectives

_LEAST_SHARE, _MOST_SHARE = 90, 99.99
_PROMISED = base.Rule(
    cel=f"double(self) >= {_LEAST_SHARE}.0 && double(self) <= {_MOST_SHARE}",
    message=f"must be between {_LEAST_SHARE} and {_MOST_SHARE}: the rest is the budget that alerts"
    " watch",
    holds=lambda text: _LEAST_SHARE <= float(text) <= _MOST_SHARE,
)
Percent = Annotated[base.Decimal, _PROMISED]

LONGEST_SECONDS = 3600
_Seconds = Annotated[
    base.Decimal,
    base.Rule(
        cel=f"double(self) >= 0.001 && double(self) <= {LONGEST_SECONDS}.0",
        message=f"must be between 0.001 and {LONGEST_SECONDS} seconds",
        holds=lambda text: 0.001 <= float(text) <= LONGEST_SECONDS,
    ),
]


class Latency(base.Model):
    """A time that a share of what is counted keeps to."""

    percentile: Percent = pydantic.Field(
        description='The percent that keep to it, 90 to 99.99: "95" leaves a budget of 5 %.'
    )
    seconds: _Seconds = pydantic.Field(
        description="The time. The engine counts by fixed bounds: the next lower one is judged, and"
        " `render` and `check` name it."
    )


class Availability(base.Model):
    """The share of requests that are answered without a server error."""

    percent: Percent = pydantic.Field(description='90 to 99.99: "99.5" leaves a budget of 0.5 %.')


# Behind the claim's name: the group of rules that objectives become.
GROUP_SUFFIX = "-slo"


class Objectives(base.Model):
    """What users are promised: recorded, and alerted on by how fast the budget is used up."""

    RULES: ClassVar = (
        base.Rule(
            cel="has(self.ttft) || has(self.itl) || has(self.availability)",
            message="name at least one of ttft, itl and availability",
            holds=lambda slo: (slo.ttft, slo.itl, slo.availability) != (None, None, None),
        ),
    )

    ttft: Latency | None = pydantic.Field(
        None, description="Time to the first token, of requests that get one."
    )
    itl: Latency | None = pydantic.Field(
        None, description="Time between two tokens of an answer, of all tokens."
    )
    availability: Availability | None = None
    window: Literal["7d", "14d", "28d", "30d", "90d"] | None = pydantic.Field(
        None, description="Days that end now, over which the budget counts; 30d when absent."
    )
