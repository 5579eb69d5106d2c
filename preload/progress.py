"""How far a run is: what a person who waits wants to read in the log."""

import threading
import time

from preload import report


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
        self._total = self._there = self._received = self._verified = 0
        self._began = self._told = time.monotonic()
        self._told_received = 0

    def expect(self, total: int, there: int) -> None:
        """Count an item's bytes.

        Args:
            total: All of them.
            there: Those that were on the volume before.
        """
        with self._lock:
            self._total += total
            self._there += there

    def arrived(self, count: int) -> None:
        """Count bytes that were received."""
        with self._lock:
            self._received += count

    def verified(self, size: int) -> None:
        """Count a file that verified."""
        with self._lock:
            self._verified += size

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
            left = max(0, self._total - self._there - self._received)
        if self._total:
            seconds = round(left / rate) if rate else None
            self._log("progress", "info", **self._counts(rate), secondsLeft=seconds)

    def summary(self) -> dict[str, object]:
        """Return the counts of the whole run, for its last line; nothing if nothing was wanted."""
        seconds = time.monotonic() - self._began
        if not self._total:
            return {}
        return {**self._counts(self._received / max(seconds, 0.001)), "seconds": round(seconds, 1)}

    def _counts(self, rate: float) -> dict[str, object]:
        here = min(self._total, self._there + self._received)
        return {
            "received": self._received,
            "verified": self._verified,
            "total": self._total,
            "percent": round(100 * here / self._total, 1),
            "mibPerSecond": round(rate / 2**20, 1),
        }
