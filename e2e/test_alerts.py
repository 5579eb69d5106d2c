"""Every alert fires at the documented time and not before, on the series of real engines.

`vmalert-tool unittest` reads the rules as they are composed, for two claims of one name in two
namespaces: things happen to one of them, the other is well. Each minute is checked for
each alert of both, so that an alert that fires too early, too late, or for the wrong claim fails
the test, and so does another that fires with it.
"""

from __future__ import annotations

import copy
import functools
import pathlib
import re
from collections.abc import Iterator, Mapping

import pytest

from e2e import shipped
from e2e.alerts import cases, vmalert
from e2e.alerts import situation as situations
from e2e.controlplane import api
from function import plan as plans
from tests.alerts import rendered, sources

NEIGHBOUR = "other"


@functools.cache
def documented() -> Mapping[str, tuple[str, int]]:
    """Severity, and the minutes for which the condition must hold, of each alert in the runbook."""
    text = (shipped.ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    found = re.findall(
        r"^### (InferenceService\w+)\n\n(critical|warning|info), (\d+) min:", text, re.MULTILINE
    )
    return {name: (severity, int(minutes)) for name, severity, minutes in found}


@functools.cache
def planned(variant: str, site: str, namespace: str) -> plans.Plan:
    """A claim of ``rendered.CLAIMS`` in a namespace, under the settings of a profile."""
    subject = copy.deepcopy(rendered.CLAIMS[variant])
    subject["metadata"]["namespace"] = namespace
    return rendered.planned(subject, rendered.ENVIRONMENTS[site])


def rule(plan: plans.Plan, alert: str) -> api.Object:
    """The rule of an alert, with the severity that is documented."""
    (found,) = [one for one in rendered.rules(plan) if one["alert"] == alert]
    return {**found, "labels": {**found["labels"], "severity": documented()[alert][0]}}


def timelines(
    variant: str, site: str, change: cases.Change, *firing: cases.Firing
) -> list[vmalert.Timeline]:
    """What happens to both claims, with the series of each supported engine."""
    plan, neighbour = planned(variant, site, "llm"), planned(variant, site, NEIGHBOUR)
    one = situations.healthy(plan)
    change(one)
    expected: dict[tuple[str, str, int], list[vmalert.Alert]] = {}
    for fault in firing:
        more = {} if fault.pod is None else {"pod": situations.pod_name(plan, fault.pod)}
        alert = vmalert.Alert.of(rule(plan, fault.alert), plan.name, **more)
        begins = fault.since + documented()[fault.alert][1]
        for minute in range(begins, min(fault.until, situations.MINUTES + 1)):
            expected[plan.name, fault.alert, minute] = [alert]
    return [
        vmalert.Timeline(
            version,
            situations.series(one, version)
            + situations.series(situations.healthy(neighbour), version),
            expected,
        )
        for version in sources.VERSIONS
    ]


def manifests(variant: str, site: str) -> list[api.Object]:
    """The rules of both claims, as they are composed."""
    return [
        rendered.manifest(planned(variant, site, namespace)) for namespace in ("llm", NEIGHBOUR)
    ]


def firing() -> Iterator[tuple[str, str]]:
    """Every case on the reference platform, and one of each alert on a plain cluster.

    Its rules differ by a label: see ``tests.alerts.test_rules``. Without an AI gateway there is no
    picker to watch.
    """
    yield from (("reference", name) for name in cases.FIRING)
    first = {case.alert: name for name, case in reversed(cases.FIRING.items())}
    yield from (("plain", name) for alert, name in first.items() if alert != cases.PICKER)


@pytest.mark.parametrize(("site", "name"), list(firing()))
def test_it_fires_when_the_runbook_says(site: str, name: str, tmp_path: pathlib.Path) -> None:
    """At the documented minute, with its labels, alone, and not for the claim's namesake."""
    case = cases.FIRING[name]
    found = timelines(case.variant, site, case.change, case)
    assert vmalert.check(tmp_path, manifests(case.variant, site), found) == ""


@pytest.mark.parametrize("name", cases.QUIET)
def test_it_stays_quiet(name: str, tmp_path: pathlib.Path) -> None:
    """Just before the documented time, at the threshold, and where nothing is wrong."""
    case = cases.QUIET[name]
    found = timelines(case.variant, "reference", case.change)
    assert vmalert.check(tmp_path, manifests(case.variant, "reference"), found) == ""


def test_every_alert_has_both_cases() -> None:
    """Each alert of any claim: one that fires, one that stays quiet, and a line in the runbook."""
    every = {one["alert"] for plan in rendered.PLANS.values() for one in rendered.rules(plan)}
    assert {case.alert for case in cases.FIRING.values()} == every
    assert {alert for case in cases.QUIET.values() for alert in case.alerts} == every
    assert set(documented()) == every
