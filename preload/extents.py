"""Which bytes of a file are there: ranges that do not touch one another."""

import bisect
from collections.abc import Iterable, Iterator

Range = tuple[int, int]
"""First byte, and one past the last byte."""


class Extents:
    """A set of bytes, kept as sorted ranges.

    Args:
        ranges: What is in it at first.
    """

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._ranges: list[Range] = []
        for start, stop in ranges:
            self.add(start, stop)

    def __iter__(self) -> Iterator[Range]:
        return iter(self._ranges)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Extents) and self._ranges == other._ranges

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        return bool(self._ranges)

    def add(self, start: int, stop: int) -> None:
        """Add a range; nothing if it is empty."""
        if stop <= start:
            return
        first = bisect.bisect_left(self._ranges, start, key=lambda each: each[1])
        last = bisect.bisect_right(self._ranges, stop, key=lambda each: each[0])
        if first < last:
            start = min(start, self._ranges[first][0])
            stop = max(stop, self._ranges[last - 1][1])
        self._ranges[first:last] = [(start, stop)]

    def count(self) -> int:
        """Return the number of bytes in it."""
        return sum(stop - start for start, stop in self._ranges)

    def below(self, size: int) -> "Extents":
        """Return what of it lies below a size."""
        return Extents((start, min(stop, size)) for start, stop in self._ranges if start < size)

    def reach(self, position: int) -> int:
        """Return how far the bytes from a position on are there without a gap."""
        index = bisect.bisect_right(self._ranges, position, key=lambda each: each[0]) - 1
        return max(position, self._ranges[index][1]) if index >= 0 else position

    def gaps(self, size: int) -> Iterator[Range]:
        """Yield what is missing below a size, in order."""
        position = 0
        for start, stop in self._ranges:
            if position < min(start, size):
                yield position, min(start, size)
            position = stop
        if position < size:
            yield position, size
