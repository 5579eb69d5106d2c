"""What the metrics store has: requests that the AI gateway counted, and results of evaluations.

The AI gateway's processor (1.0, internal/metrics) counts requests by the model that the client
named and by the model that was asked in its place; what failed has `error_type`. A counter is read
in two ways, because neither is right alone. The difference to the value of before is too small
after a proxy was started again. `increase` of Prometheus guesses what lies beyond its samples, so
that one error is 1.2 of them, and does not count what a series begins with: it counts for a series
that began anew.
"""

import dataclasses
import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

_SERIES = "gen_ai_server_request_duration_seconds_count"
_EVALS = "inference_gateway_eval_"
_ERROR = "error_type"
_ASKED = "gen_ai_request_model"
_NAME = "__name__"
# Without the namespace's evaluations of more than so many seconds ago nothing is known.
_EVALS_SECONDS = 7 * 86400
_TIMEOUT = 30.0
_LARGEST = 16 * 2**20

Labels = frozenset[tuple[str, str]]


class StoreError(Exception):
    """The store gave no answer that can be used; the message says why."""


@dataclasses.dataclass(frozen=True)
class Count:
    """Requests of one model, and how many of them failed."""

    requests: float = 0.0
    errors: float = 0.0


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The last evaluation of a model.

    Attributes:
        ratio: Share of the cases that passed; of several front doors the least.
        at: When it ended, in seconds since 1970.
    """

    ratio: float
    at: float


class Store:
    """A store with Prometheus' query API."""

    def __init__(self, url: str, labels: Sequence[tuple[str, str]] = ()) -> None:
        """Takes the address, and what series of the gateway have beside the model's name."""
        self._url = url.rstrip("/")
        self._labels = "".join(f',{name}="{value}"' for name, value in labels)
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def counts(self, base: str, canary: str, since: int, now: int) -> tuple[Count, Count]:
        """Returns what the canary and the base model were asked on behalf of the base model.

        Raises:
            StoreError: The store gave no answer.
        """
        series = f'{_SERIES}{{gen_ai_original_model="{base}"{self._labels}}}'
        window = f"[{max(now - since, 1)}s]"
        grown = self._ask(f"increase({series}{window})", now)
        last = self._ask(f"last_over_time({series}{window})", now)
        again = self._ask(f"resets({series}{window})", now)
        first = self._ask(series, since)
        totals = {canary: [0.0, 0.0], base: [0.0, 0.0]}
        for labels in grown.keys() | last.keys():
            model = dict(labels).get(_ASKED, "")
            if model not in totals:
                continue
            apart = last[labels] - first.get(labels, 0.0) if labels in last else 0.0
            count = max(grown.get(labels, 0.0), 0.0) if again.get(labels) else max(apart, 0.0)
            totals[model][0] += count
            if dict(labels).get(_ERROR):
                totals[model][1] += count
        return Count(*totals[canary]), Count(*totals[base])

    def evaluation(self, namespace: str, model: str, began: int, now: int) -> Evaluation | None:
        """Returns the last evaluation that ended after a time, or None.

        Raises:
            StoreError: The store gave no answer.
        """
        own = f'{{namespace="{namespace}",model="{model}"}}[{_EVALS_SECONDS}s]'
        ended = self._ask(f"last_over_time({_EVALS}timestamp_seconds{own})", now)
        ratios = self._ask(f"last_over_time({_EVALS}pass_ratio{own})", now)
        last = [
            Evaluation(ratios[labels], at)
            for labels, at in ended.items()
            if at >= began and labels in ratios
        ]
        return min(last, key=lambda one: one.ratio, default=None)

    def _ask(self, query: str, at: int) -> dict[Labels, float]:
        """Returns the value of each series at a time, by its labels."""
        text = urllib.parse.urlencode({"query": query, "time": str(at)})
        request = urllib.request.Request(f"{self._url}/api/v1/query?{text}")  # noqa: S310
        try:
            with self._opener.open(request, timeout=_TIMEOUT) as response:
                body = response.read(_LARGEST + 1)
        except urllib.error.HTTPError as error:
            raise StoreError(f"{self._url} answered {error.code}") from error
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise StoreError(f"{self._url} was not reached: {error}") from error
        if len(body) > _LARGEST:
            raise StoreError(f"{self._url} answered with more than {_LARGEST} bytes")
        try:
            return _values(json.loads(body))
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise StoreError(f"{self._url} gave no result of a query: {error!r}") from error


def _values(document: Mapping[str, Any]) -> dict[Labels, float]:
    if document["status"] != "success" or document["data"]["resultType"] != "vector":
        raise ValueError(document["status"])
    if document.get("isPartial") is True:
        raise ValueError("a partial answer")
    values = {}
    for sample in document["data"]["result"]:
        labels = frozenset((k, v) for k, v in sample["metric"].items() if k != _NAME)
        value = float(sample["value"][1])
        if value == value:  # no NaN
            values[labels] = value
    return values
