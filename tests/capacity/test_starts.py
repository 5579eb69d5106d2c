"""The timeline of a start."""

import dataclasses

import pytest

from function.capacity import estimates, starts
from tests.capacity import timed

WARM = starts.Given(layers=36, downloaded=True, node_ready=True, image_ready=True, volume_mib=500)
STAGES = starts.Stage


def stage(given: starts.Given, name: starts.Stage) -> estimates.Estimate:
    """Returns the seconds of a step."""
    seconds = next(step.seconds for step in starts.timeline(given).steps if step.stage is name)
    assert seconds is not None
    return seconds


def of_row(row: dict[str, str]) -> starts.Given:
    return dataclasses.replace(
        WARM,
        layers=int(row["layers"]),
        experts=row["experts"] == "1",
        tensor_parallel=int(row["tensor_parallel"]),
        compiled=row["compile_cached"] == "1",
    )


@pytest.mark.parametrize(
    ("column", "name"),
    [
        ("compile_and_profile_s", STAGES.COMPILE),
        ("graphs_s", STAGES.GRAPHS),
        ("rest_s", STAGES.PROCESS),
    ],
)
def test_measured_starts_lie_in_the_interval(column: str, name: starts.Stage) -> None:
    rows = list(timed.rows("start-times.csv"))
    assert len(rows) >= 50
    for row in rows:
        seconds = stage(of_row(row), name)
        assert seconds.low <= float(row[column]) <= seconds.high, row
        assert seconds.grade is estimates.Grade.MEASURED


@pytest.mark.parametrize(
    ("given", "compiled", "graphs", "total"),
    [
        # vLLM 0.25.1, measured: `vllm serve` to the first 200, without weights to read.
        (dataclasses.replace(WARM, layers=28), None, None, 66.2),
        (dataclasses.replace(WARM, layers=28, compiled=True), None, None, 37.6),
        # Qwen3-8B fp8 alone on an H200.
        (WARM, 31.8, 10.2, None),
        # H100, two to four starts at once on a host.
        (dataclasses.replace(WARM, layers=64, tensor_parallel=2), 47, 27, None),
        (dataclasses.replace(WARM, layers=48, experts=True), 56, 21, None),
        # gpt-oss-20b.
        (dataclasses.replace(WARM, layers=24, experts=True, compiled=True), None, 31, None),
    ],
)
def test_own_starts_lie_in_the_interval(
    given: starts.Given, compiled: float | None, graphs: float | None, total: float | None
) -> None:
    without = dataclasses.replace(given, checkpoint_gib=0.001)
    for measured, seconds in (
        (compiled, stage(given, STAGES.COMPILE)),
        (graphs, stage(given, STAGES.GRAPHS)),
        (total, starts.timeline(without).total),
    ):
        if measured is not None:
            assert seconds.low <= measured <= seconds.high


def test_an_image_of_weights_is_pulled_in_place_of_a_download() -> None:
    given = dataclasses.replace(
        WARM, checkpoint_gib=10, weights_pull=True, weights_pull_mib=100, volume_setting="a.b"
    )
    stages = [step.stage for step in starts.timeline(given).steps]
    assert stages[0] is STAGES.PULL
    assert not {STAGES.DOWNLOAD, STAGES.VERIFY} & set(stages)
    assert stage(given, STAGES.PULL).best == pytest.approx(102.4)
    slow = dataclasses.replace(given, weights_pull_mib=None, volume_mib=None)
    missing = {step.stage: step.missing for step in starts.timeline(slow).unknown}
    assert missing == {
        STAGES.PULL: "weights.imagePullMiB in the settings",
        STAGES.LOAD: "a.b in the settings",
    }


def test_a_first_start_of_the_hub_has_all_steps_in_order() -> None:
    cold = starts.Given(
        layers=36,
        checkpoint_gib=15.3,
        node_seconds=(60, 90, 240),
        pull_mib=100,
        hub_mib=200,
        volume_mib=500,
    )
    made = starts.timeline(cold)
    assert [step.stage for step in made.steps] == [s for s in STAGES if s is not STAGES.PULL]
    assert made.unknown == ()
    assert stage(cold, STAGES.NODE).best == 90
    assert stage(cold, STAGES.IMAGE).best == pytest.approx(105)
    assert stage(cold, STAGES.DOWNLOAD).best == pytest.approx(15.3 * 1024 / 200)
    assert stage(cold, STAGES.LOAD).best == pytest.approx(15.3 * 1024 / 500 + 1.6)
    known = [step.seconds.best for step in made.steps if step.seconds]
    assert made.total.best == pytest.approx(sum(known))
    assert made.total.grade is estimates.Grade.PREDICTED
    for step in made.steps:
        assert step.seconds is not None
        assert 0 <= step.seconds.low <= step.seconds.best <= step.seconds.high
        assert step.seconds.source


def test_what_nobody_knows_is_unknown_and_says_what_is_missing() -> None:
    made = starts.timeline(starts.Given(layers=36))
    assert {step.stage: step.missing for step in made.unknown} == {
        STAGES.NODE: "how long the cluster takes to add a node with GPUs",
        STAGES.IMAGE: "the rate at which nodes pull and unpack images",
        STAGES.DOWNLOAD: "the size of the weights",
        STAGES.VERIFY: "the size of the weights",
        STAGES.LOAD: "the size of the weights",
    }
    sized = starts.timeline(dataclasses.replace(WARM, checkpoint_gib=15.3, volume_mib=None))
    assert [step.missing for step in sized.unknown] == ["weights.bandwidthMiB in the settings"]


def test_hashing_beside_a_download_takes_what_is_left_at_its_end() -> None:
    cold = dataclasses.replace(WARM, downloaded=False, checkpoint_gib=15.3)
    slow = stage(dataclasses.replace(cold, hub_mib=100), STAGES.VERIFY)
    assert (slow.low, slow.best, slow.high) == (0, 0, 0)
    quick = stage(dataclasses.replace(cold, hub_mib=2000), STAGES.VERIFY)
    assert quick.best == pytest.approx(15.3 * 1024 * (1 / 980 - 1 / 2000))


def test_steps_that_are_over_are_absent_or_shorter() -> None:
    warm = starts.timeline(dataclasses.replace(WARM, checkpoint_gib=15.3))
    assert [step.stage for step in warm.steps] == [
        STAGES.PROCESS,
        STAGES.LOAD,
        STAGES.COMPILE,
        STAGES.GRAPHS,
    ]
    compiled = dataclasses.replace(WARM, compiled=True)
    eager = dataclasses.replace(WARM, eager=True)
    assert stage(compiled, STAGES.COMPILE).high < stage(WARM, STAGES.COMPILE).low
    assert stage(eager, STAGES.GRAPHS).best < stage(WARM, STAGES.GRAPHS).best


@pytest.mark.parametrize(
    ("given", "field"),
    [
        (dataclasses.replace(WARM, pull_mib=0), "pull_mib"),
        (dataclasses.replace(WARM, hub_mib=0), "hub_mib"),
        (dataclasses.replace(WARM, volume_mib=0), "volume_mib"),
    ],
)
def test_a_rate_of_zero_is_named(given: starts.Given, field: str) -> None:
    with pytest.raises(ValueError, match=f"{field}: 0 MiB/s must be above 0"):
        starts.timeline(given)
