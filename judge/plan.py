"""What is asked of the program, in the variable JUDGE_PLAN."""

import calendar
import dataclasses
import json
import time
from typing import Any

VARIABLE = "JUDGE_PLAN"


class PlanError(Exception):
    """The plan cannot be used; the message says why."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is judged.

    Attributes:
        url: Address of the store's query API, without /api/v1/query.
        namespace: Namespace of the claim.
        base: Name of the base model, which clients ask for.
        canary: Name of the adapter that answers a share of these requests.
        seconds: For how long requests are looked at, at least.
        patience: For how long what is lacking is waited for, at least.
        max_error_percent: Most share of errors above the base model's.
        min_requests: Requests without which nothing is decided.
        pass_percent: Least share of the last evaluation's cases that pass, or None.
        labels: Labels that series of the claim's own gateway have.
        since: Seconds since 1970 from which on requests count, or None: from now on.
        began: The same of evaluations.
    """

    url: str
    namespace: str
    base: str
    canary: str
    seconds: int
    patience: int
    max_error_percent: int
    min_requests: int
    pass_percent: int | None
    labels: tuple[tuple[str, str], ...]
    since: int | None
    began: int | None


def read(text: str) -> Plan:
    """Returns the plan.

    Raises:
        PlanError: It is not what the function writes.
    """
    try:
        document = json.loads(text)
        if not isinstance(document, dict):
            raise TypeError("no map")
        return Plan(
            url=_text(document, "url"),
            namespace=_text(document, "namespace"),
            base=_text(document, "base"),
            canary=_text(document, "canary"),
            seconds=_number(document, "seconds"),
            patience=_number(document, "patience") if "patience" in document else 0,
            max_error_percent=_number(document, "maxErrorPercent"),
            min_requests=_number(document, "minRequests"),
            pass_percent=_number(document, "passPercent") if "passPercent" in document else None,
            labels=_labels(document.get("labels", {})),
            since=_time(document, "since"),
            began=_time(document, "began"),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise PlanError(f"{VARIABLE} cannot be used: {error!r}") from error


def _text(document: dict[str, Any], name: str) -> str:
    value = document[name]
    if not isinstance(value, str) or not value:
        raise TypeError(f"{name} is no text")
    return value


def _number(document: dict[str, Any], name: str) -> int:
    value = document[name]
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} is no whole number")
    return value


def _labels(given: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(given, dict):
        raise TypeError("labels is no map")
    return tuple((name, _text(given, name)) for name in sorted(given))


def _time(document: dict[str, Any], name: str) -> int | None:
    if name not in document:
        return None
    return calendar.timegm(time.strptime(_text(document, name), "%Y-%m-%dT%H:%M:%SZ"))
