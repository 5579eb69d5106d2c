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


def payers(name: str, amount: str) -> list[api.Object]:
    """The standing callers, and one with a budget of a month."""
    return [*standing(), budgeted(name, amount)]


@contextlib.contextmanager
def paying(
    door: doors.Door, running: stage.Stage, name: str, amount: str, **spec: typing.Any
) -> Iterator[str]:
    """Prices, and another caller with a budget, whose key is given; the end takes both away.

    Redis keeps what a caller spent: each user of this has a name of its own.
    """
    key = doors.KEY.format(name)
    doors.write_key(running, name, key)
    with contextlib.ExitStack() as end:
        # Prices go after the callers who have budgets.
        end.callback(_take_prices, door)
        end.callback(door.claim.apply, callers=standing())
        door.claim.apply(callers=payers(name, amount), **spec)
        wait_key(door, key)
        yield key


def _take_prices(door: doors.Door) -> None:
    door.claim.manifest["spec"].pop("pricing", None)
    door.claim.apply(prices=[])
    # Those that are kept are gone then.
    door.wait_condition("PricesReady", "True", "NotRequested", doors.MINUTE + doors.GRACE)


def expression(door: doors.Door) -> str:
    """What the AI gateway is given to work out what an answer costs."""
    costs = door.claim.one("GatewayConfig")["spec"]["globalLLMRequestCosts"]
    (text,) = (cost["cel"] for cost in costs if cost["type"] == "CEL")
    return str(text)


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
        known = functools.partial(lists, way, key)
        polling.until(known, what="the key", timeout=doors.MINUTE + doors.GRACE)


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
