"""Waiting for a state that another process brings about."""

from __future__ import annotations

import time
import typing
from collections.abc import Callable

_Value = typing.TypeVar("_Value")
# Seconds between two looks: the first ones, and those of a long wait. Looks are what an API server
# of the tests answers most.
_SOON, _LATER = 0.1, 0.5


def until(
    probe: Callable[[], _Value],
    *,
    what: str,
    timeout: float,
    interval: float | None = None,
    ignore: tuple[type[Exception], ...] = (),
) -> _Value:
    """Call ``probe`` until ``probe`` returns a true value, and return the value.

    Args:
        probe: Returns the state; called at least once.
        what: The state in words, for the message.
        timeout: Seconds until ``TimeoutError``.
        interval: Seconds between two calls; by default 0.1 at first, and up to 0.5 in a long wait.
        ignore: Exceptions of ``probe`` that mean "not yet".

    Raises:
        TimeoutError: No call returned a true value; the message holds the result of the last call.
    """
    began = time.monotonic()
    deadline = began + timeout
    while True:
        last: object
        try:
            value = probe()
            if value:
                return value
            last = value
        except ignore as error:
            last = error
        now = time.monotonic()
        if now > deadline:
            message = f"waited {timeout:g} s for {what}; last seen: {last!r}"
            raise TimeoutError(message)
        # A twentieth of what was waited: that much later at most is a state seen.
        pause = min(max(_SOON, (now - began) / 20), _LATER)
        time.sleep(pause if interval is None else interval)
