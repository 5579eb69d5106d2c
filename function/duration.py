"""Durations as Kubernetes controllers write them: 90s, 1h30m, 500ms."""

import re

# In milliseconds.
SECOND = 1000
HOUR = 3600 * SECOND
_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}
_PART = re.compile(r"([0-9]+)(ms|s|m|h)")


def milliseconds(text: str) -> int:
    """Returns the duration in milliseconds."""
    return sum(int(count) * _UNITS[unit] for count, unit in _PART.findall(text))


def within(text: str, least: int, most: int) -> bool:
    """Tells whether a duration lies within bounds of milliseconds."""
    return least <= milliseconds(text) <= most


def normal(text: str) -> str:
    """Returns the duration as Go writes it (time.Duration.String): 1h becomes 1h0m0s."""
    total = milliseconds(text)
    if total == 0:
        return "0s"
    if total < 1000:
        return f"{total}ms"
    seconds, rest = divmod(total, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{rest:03}".rstrip("0") if rest else ""
    result = f"{seconds}{fraction}s"
    if hours or minutes:
        result = f"{minutes}m{result}"
    return f"{hours}h{result}" if hours else result
