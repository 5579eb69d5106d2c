"""The table from hub to ready of the performance page is what the arithmetic gives."""

import pathlib

import pytest

from function.capacity import starts
from function.planning import forecasts
from tests import cluster
from tests.resources import scene

ROOT = cluster.ROOT
PAGE = ROOT / "docs/performance.md"
CLAIMS = sorted((ROOT / "examples/claims").glob("*.yaml"))
# Of a node, and of an image of weights, a claim of the hub waits for nothing that is in the table.
LEFT_OUT = (starts.Stage.NODE, starts.Stage.IMAGE, starts.Stage.PULL)
COLUMNS = [stage for stage in starts.Stage if stage not in LEFT_OUT]


def cell(step: starts.Step) -> str:
    if step.seconds is None:
        return "unknown"
    return f"{step.seconds.low:.0f} to {step.seconds.high:.0f}"


@pytest.mark.parametrize("path", CLAIMS, ids=lambda path: path.stem)
def test_each_reference_claim_has_its_row(path: pathlib.Path) -> None:
    plan = scene.planned(cluster.load(str(path.relative_to(ROOT))))
    timeline = forecasts.forecast(plan, {}).start
    steps = {step.stage: step for step in timeline.steps}
    cells = [f"`{path.stem}`", *(cell(steps[stage]) for stage in COLUMNS)]
    row = f"| {' | '.join(cells)} |"
    assert row in PAGE.read_text(encoding="utf-8"), row


def test_the_columns_are_the_stages_in_order() -> None:
    head = f"| seconds | {' | '.join(COLUMNS)} |"
    assert head in PAGE.read_text(encoding="utf-8"), head


def test_what_was_measured_is_named() -> None:
    plan = scene.planned(cluster.load("examples/claims/smallest.yaml"))
    timeline = forecasts.forecast(plan, {}).start
    grades = {step.stage: step.seconds.grade for step in timeline.steps if step.seconds}
    row = f"| grade | {' | '.join(grades[stage] for stage in COLUMNS)} |"
    assert row in PAGE.read_text(encoding="utf-8"), row
