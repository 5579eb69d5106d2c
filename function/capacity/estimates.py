"""A number that is not certain: where it lies, and how well that is known."""

import dataclasses
import enum

from function.capacity import interval


class Grade(enum.StrEnum):
    """How a number came about, the best first."""

    MEASURED = "measured"
    """The formula was fitted on this card, engine and kind of model, or the step was timed."""
    PREDICTED = "predicted"
    """The formula is fitted on predictions, or on measurements of something close."""
    NOMINAL = "nominal"
    """The vendor's figures alone."""


_ORDER = tuple(Grade)


def worse(one: Grade, other: Grade) -> Grade:
    """Returns the less certain of two grades."""
    return max(one, other, key=_ORDER.index)


@dataclasses.dataclass(frozen=True)
class Estimate(interval.Interval):
    """An interval, and where it comes from.

    Attributes:
        grade: How it came about.
        source: From what, in words.
    """

    grade: Grade
    source: str = ""

    def scaled(self, factor: float) -> "Estimate":
        """Returns the estimate times a positive number: another unit."""
        return dataclasses.replace(
            self, low=self.low * factor, best=self.best * factor, high=self.high * factor
        )


def around(best: float, band: float, grade: Grade, source: str) -> Estimate:
    """Returns an estimate that may be wrong by a factor of `1 + band` either way."""
    return Estimate(best / (1 + band), best, best * (1 + band), grade, source)


def total(parts: list[Estimate]) -> Estimate:
    """Returns the sum: the ends add up, since parts of one start or step err together."""
    grade = Grade.MEASURED
    for part in parts:
        grade = worse(grade, part.grade)
    return Estimate(
        sum(part.low for part in parts),
        sum(part.best for part in parts),
        sum(part.high for part in parts),
        grade,
        "the sum of its parts",
    )
