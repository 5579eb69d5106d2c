"""The estimate beside measured starts: the promised numbers, and the page that says them."""

import pytest

from function.capacity import fit
from tests.capacity import accuracy, measurements


@pytest.mark.parametrize(
    ("version", "kinds", "mean", "worst"),
    [
        ("0.25.1", (accuracy.DENSE,), 0.01, 0.03),
        (
            "0.25.1",
            (accuracy.PACKED, accuracy.EXPERTS, accuracy.WINDOWS, accuracy.SHARED),
            0.03,
            0.1,
        ),
        ("0.19", accuracy.KINDS, 0.02, 0.05),
    ],
)
def test_tokens(version: str, kinds: tuple[str, ...], mean: float, worst: float) -> None:
    of = [row for row in accuracy.rows(version) if accuracy.kind(row.start) in kinds]
    short = accuracy.summary(of)
    assert short.count >= 6
    assert short.mean <= mean
    assert short.worst <= worst


@pytest.mark.parametrize("version", ["0.25.1", "0.19"])
def test_intervals_hold_the_truth_and_say_something(version: str) -> None:
    short = accuracy.summary(accuracy.rows(version))
    assert short.inside >= 0.95
    assert short.width <= 0.08


@pytest.mark.parametrize("version", ["0.25.1", "0.19"])
@pytest.mark.parametrize("kind", accuracy.KINDS)
def test_each_kind_is_always_inside(version: str, kind: str) -> None:
    of = [row for row in accuracy.rows(version) if accuracy.kind(row.start) == kind]
    assert [row.start.name for row in of if not row.inside] == []
    assert accuracy.summary(of).width <= accuracy.WIDTH


def test_every_start_was_said_to_fit() -> None:
    # All of them started. Those with little room beside the share were called tight.
    for version in ("0.25.1", "0.19"):
        for row in accuracy.rows(version):
            assert row.answer.verdict != "too large", row.start.name


def test_the_device_holds_what_was_used_at_the_end() -> None:
    for row in accuracy.rows("0.25.1"):
        if row.start.used is not None:
            free = row.answer.total - row.start.used
            assert row.answer.size(fit.Part.FREE).low <= free + 0.01 * measurements.GIB


def test_the_page_is_fresh() -> None:
    assert accuracy.PAGE.read_text() == accuracy.page(), "python -m tests.capacity.accuracy"
