"""Waiting for a state that another process brings about."""

from __future__ import annotations

import time
import typing
from collections.abc import Callable

_Value = typing.TypeVar("_Value")


def until(
    probe: Callable[[], _Value],
    *,
    what: str,
    timeout: float,
    interval: float = 0.1,
    ignore: tuple[type[Exception], ...] = (),
) -> _Value:
    """Call ``probe`` until ``probe`` returns a true value, and return the value.

    Args:
        probe: Returns the state; called at least once.
        what: The state in words, for the message.
        timeout: Seconds until ``TimeoutError``.
        interval: Seconds between two calls.
        ignore: Exceptions of ``probe`` that mean "not yet".

    Raises:
        TimeoutError: No call returned a true value; the message holds the result of the last call.
    """
    deadline = time.monotonic() + timeout
    while True:
        last: object
        try:
            value = probe()
            if value:
                return value
            last = value
        except ignore as error:
            last = error
        if time.monotonic() > deadline:
            message = f"waited {timeout:g} s for {what}; last seen: {last!r}"
            raise TimeoutError(message)
        time.sleep(interval)
