"""Every alert fires at the documented time and not before, on the series of real engines.

`vmalert-tool unittest` reads the composed rules. The tool checks each alert in each minute, for a
claim and for a healthy claim of the same name in another namespace. An alert that fires too early,
too late or for the wrong claim fails the test. A second alert that fires fails the test too.
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
from function.situation import situations as held
from tests.alerts import rendered, sources

NEIGHBOUR = "other"
NO_GATEWAY = (cases.PICKER, cases.BLIND, cases.CANARY)


@functools.cache
def documented() -> Mapping[str, tuple[str, int]]:
    """Severity, and the minutes for which the condition must hold, of each alert in the runbook."""
    text = (shipped.ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    entries = re.findall(
        r"^### (InferenceService\w+)\n\n(critical|warning|info), (\d+) min:", text, re.MULTILINE
    )
    return {name: (severity, int(minutes)) for name, severity, minutes in entries}


@functools.cache
def planned(variant: str, site: str, namespace: str) -> held.Situation:
    """A claim of ``rendered.CLAIMS`` in a namespace, under the settings of a profile."""
    subject = copy.deepcopy(rendered.CLAIMS[variant])
    subject["metadata"]["namespace"] = namespace
    return rendered.planned(subject, rendered.ENVIRONMENTS[site])


def rule(plan: held.Situation, alert: str) -> api.Object:
    """The rule of an alert, with the documented severity."""
    (definition,) = [one for one in rendered.rules(plan) if one["alert"] == alert]
    return {**definition, "labels": {**definition["labels"], "severity": documented()[alert][0]}}


def altered(variant: str, site: str, change: cases.Change) -> situations.Situation:
    """The situation of a healthy claim after a change."""
    situation = situations.healthy(planned(variant, site, "llm"))
    change(situation)
    return situation


def expected(
    plan: held.Situation, fault: cases.Firing
) -> dict[tuple[str, str, int], list[vmalert.Alert]]:
    """The alerts that fire, by claim, alert and minute."""
    more = {} if fault.pod is None else {"pod": situations.pod_name(plan, fault.pod)}
    alert = vmalert.Alert.of(rule(plan, fault.alert), plan.plan.identity.name, **more)
    begins = fault.since + documented()[fault.alert][1]
    minutes = range(begins, min(fault.until, situations.MINUTES + 1))
    return {(plan.plan.identity.name, fault.alert, minute): [alert] for minute in minutes}


def firing() -> Iterator[tuple[str, str]]:
    """Every case on the reference platform, and one of each alert on a plain cluster.

    The rules of a plain cluster differ by a label: see ``tests.alerts.test_rules``. Without an AI
    gateway there is neither a picker nor a canary whose alert could fire.
    """
    yield from (("reference", name) for name in cases.FIRING)
    first = {case.alert: name for name, case in reversed(cases.FIRING.items())}
    yield from (("plain", name) for alert, name in first.items() if alert not in NO_GATEWAY)


@pytest.mark.parametrize(("site", "name"), list(firing()))
def test_it_fires_when_the_runbook_says(site: str, name: str, tmp_path: pathlib.Path) -> None:
    """At the documented minute, with its labels, alone, and not for the claim's namesake."""
    case = cases.FIRING[name]
    one = altered(case.variant, site, case.change)
    other = situations.healthy(planned(case.variant, site, NEIGHBOUR))
    timelines = [
        vmalert.Timeline(
            version,
            situations.series(one, version) + situations.series(other, version),
            expected(one.plan, case),
        )
        for version in sources.VERSIONS
    ]
    manifests = [rendered.manifest(one.plan), rendered.manifest(other.plan)]
    assert vmalert.check(tmp_path, manifests, timelines) == ""


@pytest.mark.parametrize("name", cases.QUIET)
def test_it_stays_quiet(name: str, tmp_path: pathlib.Path) -> None:
    """Just before the documented time, at the threshold, and where nothing is wrong."""
    case = cases.QUIET[name]
    one = altered(case.variant, "reference", case.change)
    timelines = [
        vmalert.Timeline(version, situations.series(one, version), {})
        for version in sources.VERSIONS
    ]
    assert vmalert.check(tmp_path, [rendered.manifest(one.plan)], timelines) == ""


def test_every_alert_has_both_cases() -> None:
    """Each alert of any claim: one that fires, one that stays quiet, and a line in the runbook."""
    every = {one["alert"] for plan in rendered.plans().values() for one in rendered.rules(plan)}
    assert set(documented()) == every
    every -= {cases.BURNS_FAST, cases.BURNS_SLOWLY, cases.UNMEASURED}
    assert {case.alert for case in cases.FIRING.values()} == every
    assert {alert for case in cases.QUIET.values() for alert in case.alerts} == every
