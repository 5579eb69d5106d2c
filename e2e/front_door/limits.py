"""Callers with limits, and how they spend them."""

from __future__ import annotations

import contextlib
import functools
import time
import typing
from collections.abc import Iterator

from e2e.controlplane import api, polling
from e2e.dataplane import asking, stage
from e2e.front_door import doors


def limited(name: str, *limits: api.Object) -> api.Object:
    """A caller for every model, with limits."""
    return {"name": name, "secretRef": {"name": f"{name}-key"}, "limits": list(limits)}


def budgeted(name: str, amount: str) -> api.Object:
    """A caller for every model, with a budget of a month."""
    budget = {"amount": amount, "per": "month"}
    return {"name": name, "secretRef": {"name": f"{name}-key"}, "budget": budget}


def standing() -> list[api.Object]:
    """The callers, and one whose limit is far."""
    return [*doors.callers(), limited("standing", {"requests": 1_000_000, "per": "day"})]


@contextlib.contextmanager
def given(door: doors.Door, running: stage.Stage, name: str, *limits: api.Object) -> Iterator[str]:
    """Another caller with limits, whose key is given, and who has asked for nothing yet."""
    key = doors.KEY.format(name)
    doors.write_key(running, name, key)
    door.claim.apply(callers=[*standing(), limited(name, *limits)])
    try:
        door.wait_condition("LimitsReady", "True", "Enforced", doors.MINUTE + doors.GRACE)
        wait_key(door, key)
        yield key
    finally:
        door.claim.apply(callers=standing())


def lists(way: asking.Caller, key: str) -> bool:
    """Whether a proxy knows a key."""
    return way.send("GET", "/v1/models", headers=doors.bearer(key)).status == 200


def spend(door: doors.Door, model: str, key: str, **how: typing.Any) -> asking.Answer:
    """Ask one proxy until it refuses, which it does once a limit is reached.

    Raises:
        TimeoutError: It refused nothing.
    """
    (way, *_) = door.ways_in()

    def refused() -> asking.Answers:
        answer = way.ask(model, headers=doors.bearer(key), **how)
        assert answer.status in (200, 429), answer
        return [answer] if answer.status == 429 else []

    # The processor tells tokens once a kubelet has refreshed its configuration.
    patience = doors.REFRESH_SECONDS + doors.MINUTE + doors.GRACE
    (last,) = polling.until(refused, what="a limit that is reached", timeout=patience)
    return last


def wait_key(door: doors.Door, key: str) -> None:
    """Wait until every proxy knows a key; the list of models costs nothing."""
    for way in door.ways_in():
        polling.until(functools.partial(lists, way, key), what="the key", timeout=doors.MINUTE)


def left(door: doors.Door, model: str, key: str, tokens: int) -> tuple[int, asking.Answer]:
    """What was left of a caller's budget before an answer, in millionths, and the answer."""
    (way, *_) = door.ways_in()
    answer = way.ask(model, headers=doors.bearer(key), tokens=tokens)
    assert answer.status == 200, answer
    time.sleep(1)  # What an answer costs is told behind its end.
    return int(answer.headers["x-ratelimit-remaining"]), answer


def assert_told(answer: asking.Answer) -> None:
    """A refusal in the form of the API, which says when to ask again."""
    assert answer.headers["content-type"] == "application/json"
    assert answer.content["error"]["code"] == "rate_limit_exceeded"
    assert answer.engine == ""
