"""How far a run is: what a person who waits wants to read in the log."""

import dataclasses
import threading
import time

from preload import report


@dataclasses.dataclass
class _Item:
    """Bytes of one item: all of them, those on the volume, and those that verified."""

    total: int
    here: int
    verified: int = 0


class Progress:
    """Counts of all items of a run.

    Args:
        pause: Seconds between two lines.
        log: Gets the lines.
    """

    def __init__(self, pause: float, log: report.Log) -> None:
        self._pause = pause
        self._log = log
        self._lock = threading.Lock()
        self._items: dict[str, _Item] = {}
        self._received = 0
        self._began = self._told = time.monotonic()
        self._told_received = 0

    def expect(self, item: str, total: int, here: int) -> None:
        """Count an item's bytes, anew if it begins again.

        Args:
            item: Its directory.
            total: All of them.
            here: Those that are on the volume already.
        """
        with self._lock:
            self._items[item] = _Item(total, here)

    def arrived(self, count: int) -> None:
        """Count bytes that were received."""
        with self._lock:
            self._received += count

    def kept(self, item: str, count: int) -> None:
        """Count bytes that are on the volume now, or negative those that are to come again."""
        with self._lock:
            self._items[item].here += count

    def verified(self, item: str, size: int) -> None:
        """Count a file that verified."""
        with self._lock:
            self._items[item].verified += size

    def left(self) -> int:
        """Return the bytes that are still to come, of all items."""
        with self._lock:
            return self._left()

    def _left(self) -> int:
        return sum(each.total - each.here for each in self._items.values())

    def due(self) -> float:
        """Return the seconds until the next line."""
        return max(0.0, self._told + self._pause - time.monotonic())

    def tell(self) -> None:
        """Write a line if it is due: rate of the time since the last line, share, time left."""
        if self.due() > 0:
            return
        with self._lock:
            now = time.monotonic()
            rate = (self._received - self._told_received) / (now - self._told)
            self._told, self._told_received = now, self._received
            left = self._left()
            counts = self._counts(rate)
        if counts:
            seconds = round(left / rate) if rate else None
            self._log("progress", "info", **counts, secondsLeft=seconds)

    def summary(self) -> dict[str, object]:
        """Return the counts of the whole run, for its last line; nothing if nothing was wanted."""
        seconds = time.monotonic() - self._began
        with self._lock:
            counts = self._counts(self._received / max(seconds, 0.001))
        return {**counts, "seconds": round(seconds, 1)} if counts else {}

    def _counts(self, rate: float) -> dict[str, object]:
        items = self._items.values()
        total = sum(each.total for each in items)
        if not total:
            return {}
        return {
            "received": self._received,
            "verified": sum(each.verified for each in items),
            "total": total,
            "percent": round(100 * sum(each.here for each in items) / total, 1),
            "mibPerSecond": round(rate / 2**20, 1),
        }
