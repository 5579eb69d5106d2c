"""Evaluations: their alerts over days, and their metrics in a real VictoriaMetrics.

`e2e/try_evals.py` has the real Promptfoo, which is too large for every run.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import time
from collections.abc import Iterator, Mapping, Sequence

from e2e.alerts import vmalert
from e2e.controlplane import api, metrics
from exporter import program, results
from tests import cluster
from tests.fleet import scene

DAY = 1440
# Minutes after midnight at which a night's results are written.
AT = 120
DAYS = 5
FAIL, DROP, MISSING = (f"InferenceGatewayEvals{end}" for end in ("Fail", "Drop", "Missing"))
PASS_PERCENT, DROP_PERCENT, MISSING_DAYS = 80, 5, 2
_HOLDS = 5
# Rules are evaluated so often: days by the minute would take the tool minutes of a processor.
EVERY = 5
# A series whose samples end is looked at for so long still.
_STALE = 5


@dataclasses.dataclass(frozen=True)
class Model:
    """What came of a model night by night, and what fires because of it.

    Attributes:
        nights: The share of cases that passed, None for a night without a result.
        firing: By alert: from which minute on, and from which on no longer.
        gone: The minute at which its claim goes.
    """

    nights: Sequence[float | None]
    firing: Mapping[str, tuple[int, int]]
    gone: int = (DAYS + 1) * DAY


NEVER = (DAYS + 1) * DAY
MODELS = {
    "steady": Model([1.0] * DAYS, {}),
    "weak": Model([0.5] * DAYS, {FAIL: (AT + _HOLDS, NEVER)}),
    "at-the-threshold": Model([0.8] * DAYS, {}),
    # The mean has the nights up to the one before: 91 lies 9 points below 100, 6 below
    # (2 x 100 + 91) / 3, and 4.5 below (2 x 100 + 2 x 91) / 4.
    "worse": Model([1.0] * 2 + [0.91] * 3, {DROP: (2 * DAY + AT + _HOLDS, 4 * DAY + AT)}),
    "a-little-worse": Model([1.0] * 2 + [0.95] * 3, {}),
    "broken": Model(
        [1.0] * 2 + [0.0] * 3,
        {FAIL: (2 * DAY + AT + _HOLDS, NEVER), DROP: (2 * DAY + AT + _HOLDS, NEVER)},
    ),
    "ended": Model(
        [1.0] * 2 + [None] * 3,
        {MISSING: ((1 + MISSING_DAYS) * DAY + AT + _HOLDS, NEVER)},
    ),
    "one-night-missing": Model([1.0, None] + [1.0] * 3, {}),
    "never": Model([None] * DAYS, {MISSING: (MISSING_DAYS * DAY + EVERY + _HOLDS, NEVER)}),
    "removed": Model([0.5] * DAYS, {FAIL: (AT + _HOLDS, 3 * DAY + _STALE)}, gone=3 * DAY),
}


def resting() -> cluster.Cluster:
    """A front door that evaluates the models above."""
    thresholds = {
        "passPercent": PASS_PERCENT,
        "dropPercent": DROP_PERCENT,
        "missingDays": MISSING_DAYS,
    }
    door = scene.of(
        callers=[scene.caller("nightly")],
        evals={"caller": "nightly", "thresholds": thresholds},
    )
    return scene.resting(door, *(scene.member(name) for name in MODELS))


def pod(model: str) -> api.Object:
    """The pod that evaluates a model."""
    (job,) = [
        item
        for item in resting().objects.values()
        if item["kind"] == "CronJob" and item["metadata"]["name"].startswith(f"llm-eval-{model}-")
    ]
    spec: api.Object = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return spec


def labels(world: cluster.Cluster) -> dict[str, dict[str, str]]:
    """The labels that each CronJob's program writes, by model."""
    made = {}
    for item in world.objects.values():
        if item["kind"] == "CronJob":
            pod = item["spec"]["jobTemplate"]["spec"]["template"]["spec"]
            (environment,) = [one["env"] for one in pod["containers"]]
            (text,) = [one["value"] for one in environment if one["name"] == "EVALS_LABELS"]
            own: dict[str, str] = json.loads(text)
            made[own["model"]] = own
    return made


def _line(name: str, own: Mapping[str, str], values: str) -> dict[str, str]:
    inside = ",".join(f"{key}={json.dumps(value)}" for key, value in own.items())
    return {"series": f"{name}{{{inside}}}", "values": values}


def _written(nights: Sequence[float | None]) -> str:
    """A sample for each night that has a result."""
    shown = ["_" if value is None else f"{value}" for value in nights]
    return f"_x{AT - 1} " + " ".join(f"{value} _x{DAY - 2}" for value in shown)


def series(own: Mapping[str, dict[str, str]]) -> Iterator[dict[str, str]]:
    """What the programs wrote, what kube-state-metrics shows, and a namesake that does badly."""
    for name, model in MODELS.items():
        for place in ({}, {"namespace": "other"}):
            told = {**own[name], **place}
            nights = [0.0] * DAYS if place else model.nights
            yield _line("inference_gateway_eval_pass_ratio", told, _written(nights))
            seen = [value if value is None else 1.0 for value in nights]
            yield _line("inference_gateway_eval_timestamp_seconds", told, _written(seen))
        there = {"namespace": "llm", "cronjob": own[name]["cronjob"]}
        end = min(model.gone, DAYS * DAY)
        yield _line("kube_cronjob_created", there, f"0x{end - 1}")


def _alert(rule: api.Object, own: Mapping[str, str]) -> vmalert.Alert:
    named = {"cronjob": own["cronjob"]}
    if rule["alert"] != MISSING:
        named["model"] = own["model"]
    notes = {
        key: text.replace("{{ $labels.model }}", own["model"]).replace(
            "{{ $labels.cronjob }}", own["cronjob"]
        )
        for key, text in rule["annotations"].items()
    }
    return vmalert.Alert.of({**rule, "annotations": notes}, "llm.evals", **named)


def test_alerts_fire_when_the_runbook_says(tmp_path: pathlib.Path) -> None:
    """Each alert of each model, around each change and once an hour."""
    world = resting()
    manifest, own = world.one("VMRule"), labels(world)
    rules = {rule["alert"]: rule for rule in manifest["spec"]["groups"][0]["rules"]}
    assert set(rules) == {FAIL, DROP, MISSING}
    checked = set(range(0, DAYS * DAY, 60))
    for model in MODELS.values():
        for minute in (minute for pair in model.firing.values() for minute in pair):
            checked |= set(range(minute - 3 * EVERY, minute + 4 * EVERY, EVERY))
    firing: dict[tuple[str, str, int], list[vmalert.Alert]] = {}
    for name, model in MODELS.items():
        for alert, (since, until) in model.firing.items():
            for minute in (minute for minute in checked if since <= minute < until):
                key = ("llm.evals", alert, minute)
                firing.setdefault(key, []).append(_alert(rules[alert], own[name]))
    timeline = vmalert.Timeline(
        "nights",
        list(series(own)),
        firing,
        DAYS * DAY,
        "1m",
        sorted(minute for minute in checked if minute < DAYS * DAY),
    )
    assert vmalert.check(tmp_path, [manifest], [timeline], f"{EVERY}m") == ""


def test_a_real_store_takes_what_the_program_writes(tmp_path: pathlib.Path) -> None:
    """As the rules of a front door ask for it."""
    (tmp_path / "logs").mkdir()
    store = metrics.MetricsServer(tmp_path, tmp_path / "logs", "http://127.0.0.1:1/none")
    store.process.start()
    try:
        world = resting()
        own = labels(world)["steady"]
        # With what a name may have in it.
        cases = {("answers", results.PASSED): 3, ('"own"\\', results.FAILED): 1}
        body = program.text(results.Results(cases, 1.5), own, time.time())
        program.send(f"{store.url}/api/v1/import/prometheus", body)
        ratio = 'last_over_time(inference_gateway_eval_pass_ratio{gateway="llm"}[2d])'
        deadline = time.monotonic() + 30
        while not (values := store.query(ratio)) and time.monotonic() < deadline:
            time.sleep(0.5)
        assert values == [0.75]
        assert store.query(
            f"sum(inference_gateway_eval_cases{{model={json.dumps('steady')}}})"
        ) == [4]
    finally:
        store.process.stop()
