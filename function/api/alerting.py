"""Groups of rules as both operators type them: VMRule (v1beta1) and PrometheusRule (v1).

A key that the operator's schema lacks is refused when core applies the object, so each operator has
a model of its own.
"""

import re
from typing import Annotated, Any

import pydantic

from function.api import base

_Text = Annotated[str, base.text(4096, None, 0)]
_Expression = Annotated[str, base.text(8192)]
LABEL = r"^[a-zA-Z_][a-zA-Z0-9_]*$"
_LabelName = Annotated[str, base.text(128, LABEL)]
_LabelMap = Annotated[dict[_LabelName, _Text], base.items(32), base.NULLS_ABSENT]
_Number = Annotated[int, base.number(0)]

# What Prometheus and vmalert both read: each unit once, the largest first.
DURATION = (
    r"^(0|([0-9]{1,9}y)?([0-9]{1,9}w)?([0-9]{1,9}d)?([0-9]{1,9}h)?([0-9]{1,9}m)?([0-9]{1,9}s)?"
    r"([0-9]{1,9}ms)?)$"
)
_Duration = Annotated[str, base.text(32, DURATION)]
_UNITS = {
    "ms": 1,
    "s": 1000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 7 * 86_400_000,
    "y": 365 * 86_400_000,
}
_PART = re.compile(r"([0-9]+)(ms|[smhdwy])")


def milliseconds(text: str) -> int:
    """Returns a duration of a rule in milliseconds."""
    return sum(int(count) * _UNITS[unit] for count, unit in _PART.findall(text))


class Rule(base.Model):
    """One rule: an alert, or a recorded series."""

    alert: Annotated[str, base.text(253, None, 0)] | None = None
    record: Annotated[str, base.text(253, None, 0)] | None = None
    expr: _Expression
    for_: _Duration | None = pydantic.Field(None, alias="for")
    keep_firing_for: _Duration | None = pydantic.Field(None, alias="keep_firing_for")
    labels: _LabelMap | None = None
    annotations: _LabelMap | None = None


class VmRule(Rule):
    """A rule as vmalert has it."""

    debug: bool | None = None
    update_entries_limit: _Number | None = pydantic.Field(None, alias="update_entries_limit")


class PrometheusGroup(base.Model):
    """A group as Prometheus has it."""

    name: Annotated[str, base.text(253)]
    interval: _Duration | None = None
    rules: Annotated[list[Rule], base.items(64)] | None = None
    labels: _LabelMap | None = None
    limit: _Number | None = None
    partial_response_strategy: Annotated[str, base.text(5, r"^((?i)(abort|warn))?$", 0)] | None = (
        pydantic.Field(None, alias="partial_response_strategy")
    )
    query_offset: _Duration | None = pydantic.Field(None, alias="query_offset")


class VmGroup(base.Model):
    """A group as vmalert has it."""

    name: Annotated[str, base.text(253)]
    interval: _Duration | None = None
    rules: Annotated[list[VmRule], base.items(64)]
    concurrency: _Number | None = None
    eval_alignment: bool | None = pydantic.Field(None, alias="eval_alignment")
    eval_delay: _Text | None = pydantic.Field(None, alias="eval_delay")
    eval_offset: _Text | None = pydantic.Field(None, alias="eval_offset")
    headers: Annotated[list[_Text], base.items(16)] | None = None
    labels: _LabelMap | None = None
    limit: _Number | None = None
    notifier_headers: Annotated[list[_Text], base.items(16)] | None = pydantic.Field(
        None, alias="notifier_headers"
    )
    params: Annotated[dict[_Text, list[_Text]], base.items(16)] | None = None
    tenant: _Text | None = None
    type: _Text | None = None


# By the settings' provider of monitoring.
GROUPS: dict[str, type[base.Model]] = {
    "prometheus-operator": PrometheusGroup,
    "victoriametrics": VmGroup,
}
# What an author writes without a permission: alerts, and nothing that goes to another place.
OWN_GROUP = frozenset(("name", "interval", "rules"))
OWN_RULE = frozenset(("alert", "expr", "for", "keep_firing_for", "labels", "annotations"))


def own(value: dict[str, Any], keys: frozenset[str]) -> list[str]:
    """Returns the keys of an object that are not among these, in order."""
    return sorted(set(value) - keys)
