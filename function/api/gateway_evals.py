"""Evaluations of the models behind a front door."""

from typing import Annotated

import pydantic

from function.api import base, claim_model, zones


def _field(number: str) -> str:
    """Returns the form of one field of a schedule: numbers, ranges and steps, with commas."""
    one = rf"(\*|({number})(-({number}))?)(/[1-9][0-9]?)?"
    return f"{one}(,{one})*"


# What the CronJob controller reads, but for names of months and days, and macros such as @daily.
_SCHEDULE = base.form(
    "^"
    + " ".join(
        _field(number)
        for number in (
            "[0-5]?[0-9]",
            "1?[0-9]|2[0-3]",
            "[1-9]|[12][0-9]|3[01]",
            "[1-9]|1[0-2]",
            "[0-6]",
        )
    )
    + "$",
    "minute, hour, day of the month, month and day of the week, such as 0 2 * * * or 30 1 * * 1-5",
)


class ConfigMapReference(base.Model):
    """A ConfigMap of the namespace."""

    name: base.DnsSubdomain = pydantic.Field(description="Name of the ConfigMap.")
    key: (
        Annotated[
            str,
            base.text(
                63,
                base.form(
                    r"^[A-Za-z0-9_-]+\.(yaml|yml|json)$", "the name of a file in YAML or JSON"
                ),
            ),
        ]
        | None
    ) = pydantic.Field(None, description="Its key that holds the list; tests.yaml when absent.")


class Cases(base.Model):
    """Cases of the author's own."""

    config_map_ref: ConfigMapReference = pydantic.Field(
        description="A list of tests in Promptfoo's format; the variable `prompt` is what a model"
        " is asked. Assertions may be code, which runs with the caller's key: the settings say who"
        " may (permissions.evalCases)."
    )


class Selection(base.Model):
    """Models of claims: those of the names, and those of the claims."""

    names: Annotated[list[claim_model.Word], base.items(64)] = pydantic.Field(
        default_factory=base.no_items,
        description="Names of claims and adapters, as clients write them.",
    )
    match_labels: base.Labels = pydantic.Field(
        default_factory=dict,
        description="Labels of claims: every name that such a claim serves. None when empty.",
    )


class Thresholds(base.Model):
    """When a result calls somebody."""

    pass_percent: Annotated[int, base.number(1, 100)] | None = pydantic.Field(
        None, description="Least share of cases that pass, in percent; 90 when absent."
    )
    drop_percent: Annotated[int, base.number(1, 100)] | None = pydantic.Field(
        None,
        description="Most that the share may lie below that of the week before, in points of a"
        " hundred; 10 when absent.",
    )
    missing_days: Annotated[int, base.number(1, 31)] | None = pydantic.Field(
        None, description="Days without a result after which that is told; 2 when absent."
    )


class Evals(base.Model):
    """Whether each model still does what it is there for, asked by a schedule."""

    caller: base.DnsLabel = pydantic.Field(
        description="The one of callers whose key is used, with its rules and limits."
    )
    schedule: Annotated[str, base.text(100, _SCHEDULE)] | None = pydantic.Field(
        None, description="As a CronJob's; 0 2 * * * when absent."
    )
    time_zone: zones.Zone | None = pydantic.Field(
        None,
        description="Time zone of the schedule, such as Europe/Paris or UTC; the cluster's own when"
        " absent, mostly UTC.",
    )
    models: Selection | None = pydantic.Field(
        None,
        description="Every model of the selected claims that the caller may use when absent, and"
        " none when empty. A claim that sleeps is woken.",
    )
    cases: Cases | None = pydantic.Field(
        None, description="More cases, of every model. The generated ones are always asked."
    )
    thresholds: Thresholds | None = None
