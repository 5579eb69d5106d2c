"""Waiting for something that another process brings about."""

from __future__ import annotations

import time
import typing
from collections.abc import Callable

_Found = typing.TypeVar("_Found")


def until(
    probe: Callable[[], _Found],
    *,
    what: str,
    timeout: float,
    interval: float = 0.1,
    ignore: tuple[type[Exception], ...] = (),
) -> _Found:
    """Call ``probe`` until it returns something true, and return that.

    Args:
        probe: What to look at; called at least once.
        what: What is waited for, for the message.
        timeout: Seconds after which to give up.
        interval: Seconds between two calls.
        ignore: Exceptions that mean "not yet".

    Raises:
        TimeoutError: It never was; the message holds what the last call gave.
    """
    deadline = time.monotonic() + timeout
    while True:
        last: object
        try:
            found = probe()
            if found:
                return found
            last = found
        except ignore as error:
            last = error
        if time.monotonic() > deadline:
            message = f"waited {timeout:g} s for {what}; last seen: {last!r}"
            raise TimeoutError(message)
        time.sleep(interval)
