"""What a claim costs, as recorded series: for whom, at which price, by which tokens."""

from typing import Any

import pytest

from function.api import base
from function.concerns.observability import spending
from function.situation import situations
from tests.alerts import promql, rendered

PAYERS: Any = {"cost": {"team": "search", "costCenter": "cc-1"}}
PRICED = rendered.ENVIRONMENTS["reference"]


def planned(config: Any = PRICED, **spec: Any) -> situations.Situation:
    return rendered.planned(rendered.changed(**{**PAYERS, **spec}), config)


def by_name(subject: situations.Situation) -> dict[str, Any]:
    return {
        rule["record"] + rule["labels"].get("window", ""): rule
        for rule in rendered.recorded(subject)
    }


def test_a_claim_without_payer_has_no_group_more() -> None:
    (group,) = rendered.manifest(rendered.plans()["xplane-qwen-coder/reference"])["spec"]["groups"]
    assert group["name"] == "xplane-qwen-coder"


def test_without_a_price_nothing_is_recorded() -> None:
    assert not rendered.recorded(planned(rendered.ENVIRONMENTS["plain"]))


def test_an_hour_is_that_of_the_wanted_replicas_at_the_price_of_their_class() -> None:
    rule = by_name(planned(gpu={"count": 1, "parallelism": {"pipeline": 2}}))[spending.PER_HOUR]
    assert rule["expr"].endswith(" * 1.61")
    assert "kube_" in rule["expr"]
    assert rule["labels"] == {
        "namespace": "llm",
        "model": "xplane-qwen-coder",
        "team": "search",
        "cost_center": "cc-1",
        "currency": "USD",
    }


def test_each_window_is_recorded() -> None:
    rules = by_name(planned())
    wanted = {spending.PER_HOUR, spending.TOKENS}
    assert rules.keys() == wanted | {spending.PER_MILLION + one for one in spending.WINDOWS}
    for rule in rules.values():
        promql.parse(rule["expr"])
        assert rule["labels"]["team"] == "search"


def test_own_groups_stand_beside_it() -> None:
    rules = [{"alert": "Mine", "expr": "vector(1) > 0"}]
    own = {"alertingRules": {"groups": [{"name": "own", "rules": rules}]}}
    groups = rendered.manifest(planned(observability=own))["spec"]["groups"]
    assert [group["name"] for group in groups] == ["own", "xplane-qwen-coder-cost"]
    taken = {"alertingRules": {"groups": [{"name": "xplane-qwen-coder-cost", "rules": rules}]}}
    with pytest.raises(base.InvalidError, match=r"spec\.cost becomes the group"):
        planned(observability=taken)
