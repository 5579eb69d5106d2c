"""Estimates with their error: the least, the likeliest and the most that a value can be."""

import dataclasses
import functools
import operator


@dataclasses.dataclass(frozen=True)
class Interval:
    """A value that is not known exactly.

    Attributes:
        low: The least that it is taken to be.
        best: The likeliest value.
        high: The most.
    """

    low: float
    best: float
    high: float

    def __post_init__(self) -> None:
        if not self.low <= self.best <= self.high:
            raise ValueError(f"{self.low} <= {self.best} <= {self.high} does not hold")

    def __add__(self, other: "Interval") -> "Interval":
        return Interval(self.low + other.low, self.best + other.best, self.high + other.high)

    def __sub__(self, other: "Interval") -> "Interval":
        return Interval(self.low - other.high, self.best - other.best, self.high - other.low)

    def __mul__(self, factor: float) -> "Interval":
        """The interval of a positive multiple."""
        return Interval(self.low * factor, self.best * factor, self.high * factor)

    @property
    def ends(self) -> tuple[float, float, float]:
        """All three, from the least to the most."""
        return self.low, self.best, self.high

    def holds(self, value: float) -> bool:
        """Whether the value is inside."""
        return self.low <= value <= self.high

    def at_least(self, least: "Interval") -> "Interval":
        """The larger of two values, end by end."""
        return Interval(
            max(self.low, least.low), max(self.best, least.best), max(self.high, least.high)
        )

    def around(self, other: "Interval") -> "Interval":
        """Both intervals, with the best value of the first."""
        return Interval(min(self.low, other.low), self.best, max(self.high, other.high))


ZERO = Interval(0, 0, 0)


def exactly(value: float) -> Interval:
    """Returns the interval of a value without an error."""
    return Interval(value, value, value)


def total(*values: Interval) -> Interval:
    """Returns the sum of intervals; their errors add up."""
    return functools.reduce(operator.add, values, ZERO)


def most(*values: Interval) -> Interval:
    """Returns the largest of intervals, end by end."""
    return functools.reduce(Interval.at_least, values)
