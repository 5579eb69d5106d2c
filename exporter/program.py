"""The program: results in, metrics out.

VictoriaMetrics takes the text as it is. A Pushgateway keeps one group of metrics for each CronJob,
and the address of the group is made here: in one group for all, each model would replace the last.
"""

import json
import os
import pathlib
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping

from exporter import results

_PUSHGATEWAY = "/metrics/job/"
_GROUP = "cronjob"
_TRIES, _PAUSE, _TIMEOUT = 5, 3.0, 30.0
_PREFIX = "inference_gateway_eval_"
_HELP = {
    "pass_ratio": "Share of the cases that passed in the last evaluation.",
    "cases": "Cases of the last evaluation, by what they are of and how they ended.",
    "duration_seconds": "How long the last evaluation took.",
    "timestamp_seconds": "When the last evaluation ended.",
}


class ExportError(Exception):
    """The metrics cannot be written; the message says why."""


def text(given: results.Results, labels: Mapping[str, str], now: float) -> str:
    """Returns the metrics in Prometheus' text form.

    Args:
        given: The results.
        labels: On every series.
        now: Seconds since 1970.
    """
    return "".join(f"{line}\n" for line in _lines(given, labels, now))


def _lines(given: results.Results, labels: Mapping[str, str], now: float) -> Iterator[str]:
    yield from _series("pass_ratio", [(labels, given.ratio)])
    # Each end of each case, so that none is left standing in a store that keeps what it has.
    ends = (results.PASSED, results.FAILED, results.ERROR)
    names = sorted({name for name, _ in given.cases})
    yield from _series(
        "cases",
        [
            ({**labels, "case": name, "result": end}, given.cases.get((name, end), 0))
            for name in names
            for end in ends
        ],
    )
    if given.seconds is not None:
        yield from _series("duration_seconds", [(labels, given.seconds)])
    yield from _series("timestamp_seconds", [(labels, now)])


def _series(name: str, samples: list[tuple[Mapping[str, str], float]]) -> Iterator[str]:
    yield f"# HELP {_PREFIX}{name} {_HELP[name]}"
    yield f"# TYPE {_PREFIX}{name} gauge"
    for labels, value in samples:
        inside = ",".join(f'{key}="{_escaped(labels[key])}"' for key in sorted(labels))
        yield f"{_PREFIX}{name}{{{inside}}} {value:.15g}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def address(url: str, labels: Mapping[str, str]) -> str:
    """Returns where the metrics go: at a Pushgateway a group of the CronJob's own."""
    if _PUSHGATEWAY not in urllib.parse.urlsplit(url).path:
        return url
    return f"{url.rstrip('/')}/{_GROUP}/{urllib.parse.quote(labels[_GROUP], safe='')}"


def send(url: str, body: str) -> None:
    """Sends the metrics, a few times where nobody answers.

    Raises:
        ExportError: Nobody took them.
    """
    headers = {"Content-Type": "text/plain; version=0.0.4"}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for left in reversed(range(_TRIES)):
        request = urllib.request.Request(url, body.encode(), headers, method="POST")  # noqa: S310
        try:
            with opener.open(request, timeout=_TIMEOUT):
                return
        except urllib.error.HTTPError as error:
            words = f"{url} answered {error.code}: {error.read(500).decode(errors='replace')}"
            if error.code < 500:
                raise ExportError(words) from error
        except OSError as error:
            words = f"{url} was not reached: {error}"
        if left:
            print(f"{words}; {left} tries left", file=sys.stderr, flush=True)
            time.sleep(_PAUSE)
    raise ExportError(words)


def run(environment: Mapping[str, str]) -> None:
    """Reads the results, shows the metrics, and sends them.

    Raises:
        results.ResultsError: The results cannot be used.
        ExportError: A variable is missing or nobody took the metrics.
    """
    names = ("EVALS_RESULTS", "EVALS_LABELS", "EVALS_PUSH_URL")
    missing = [name for name in names if not environment.get(name)]
    if missing:
        raise ExportError(f"not set: {', '.join(missing)}")
    path, labels, url = (environment[name] for name in names)
    given: dict[str, str] = json.loads(labels)
    body = text(results.read(pathlib.Path(path)), given, time.time())
    print(body, end="", flush=True)
    send(address(url, given), body)


def main() -> int:
    """Runs the program; returns its exit code."""
    try:
        run(os.environ)
    except (results.ResultsError, ExportError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0
