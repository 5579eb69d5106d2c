"""`vmalert-tool unittest` on the rules of composed objects."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import subprocess
from collections.abc import Iterable, Mapping, Sequence

from e2e.alerts import situation as situations
from e2e.controlplane import api, toolchain


@dataclasses.dataclass(frozen=True)
class Alert:
    """An alert that fires, with all of its labels and annotations."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]

    @classmethod
    def of(cls, rule: api.Object, group: str, **more: str) -> Alert:
        """The alert of a rule; vmalert adds the names of alert and group."""
        labels = {**rule["labels"], "alertname": rule["alert"], "alertgroup": group, **more}
        return cls(labels, rule["annotations"])


@dataclasses.dataclass(frozen=True)
class Timeline:
    """Series, and what fires at each minute.

    Attributes:
        name: For the message.
        series: The input.
        firing: The alerts by group, name of the alert and minute; where one is missing, nothing.
        minutes: How long it lasts.
        interval: Between two samples of a series.
        checked: The minutes that are looked at; every one when absent.
    """

    name: str
    series: Sequence[Mapping[str, str]]
    firing: Mapping[tuple[str, str, int], Sequence[Alert]]
    minutes: int = situations.MINUTES
    interval: str = situations.INTERVAL
    checked: Sequence[int] | None = None


def check(
    work: pathlib.Path,
    manifests: Sequence[api.Object],
    timelines: Iterable[Timeline],
    every: str = "1m",
) -> str:
    """What the tool says against the timelines; nothing when they are as they should be.

    Args:
        work: Directory for its files.
        manifests: VMRules or PrometheusRules.
        timelines: What to check: every alert of every group at every minute.
        every: How often rules are evaluated.
    """
    files = []
    for number, manifest in enumerate(manifests):
        files.append(work / f"rules-{number}.yaml")
        files[-1].write_text(json.dumps({"groups": manifest["spec"]["groups"]}))
    names = sorted(
        {
            (group["name"], rule["alert"])
            for manifest in manifests
            for group in manifest["spec"]["groups"]
            for rule in group["rules"]
            if "alert" in rule
        }
    )
    test = work / "test.yaml"
    test.write_text(
        json.dumps(
            {
                "rule_files": [str(path) for path in files],
                "evaluation_interval": every,
                "tests": [_test(timeline, names) for timeline in timelines],
            }
        )
    )
    program = toolchain.program("victoriametrics", "vmalert-tool")
    command = [str(program), "unittest", f"--files={test}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=work)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def _test(timeline: Timeline, names: Sequence[tuple[str, str]]) -> api.Object:
    return {
        "name": timeline.name,
        "interval": timeline.interval,
        "input_series": list(timeline.series),
        "alert_rule_test": [
            {
                "eval_time": f"{minute}m",
                "groupname": group,
                "alertname": alert,
                "exp_alerts": [
                    {"exp_labels": one.labels, "exp_annotations": one.annotations}
                    for one in timeline.firing.get((group, alert, minute), ())
                ],
            }
            for minute in timeline.checked or range(timeline.minutes + 1)
            for group, alert in names
        ],
    }
