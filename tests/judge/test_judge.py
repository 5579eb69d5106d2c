"""The program that judges a step: what it makes of numbers, and of a store that may be away.

`e2e/test_gates.py` has the real VictoriaMetrics.
"""

import contextlib
import dataclasses
import http.server
import json
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from judge import exits, plan, program, store, verdicts

COUNT = "gen_ai_server_request_duration_seconds_count"
START = 1_800_000_000


def asked(**fields: Any) -> plan.Plan:
    given: dict[str, Any] = {
        "url": "http://127.0.0.1:1",
        "namespace": "llm",
        "base": "chat",
        "canary": "tuned",
        "seconds": 600,
        "maxErrorPercent": 1,
        "minRequests": 100,
    }
    return plan.read(json.dumps(given | fields))


# --- numbers


@pytest.mark.parametrize(
    ("canary", "base", "over", "ending"),
    [
        ((100, 1), (900, 0), True, exits.Exit.HELD),
        ((100, 1), (900, 0), False, None),
        ((100, 2), (900, 0), False, exits.Exit.ERROR_RATE),
        # Two errors of three requests: 100 requests could not hold any more.
        ((3, 2), (900, 0), False, exits.Exit.ERROR_RATE),
        ((3, 1), (900, 0), False, None),
        ((99, 0), (900, 0), True, None),
        # An outage of all pods is no fault of the adapter's, and no proof either.
        ((200, 100), (900, 450), True, None),
        ((200, 104), (900, 450), True, exits.Exit.ERROR_RATE),
        ((100, 0), (0, 0), True, exits.Exit.HELD),
        ((0, 0), (0, 0), True, None),
    ],
)
def test_a_step_is_decided_by_errors_above_the_base_models(
    canary: tuple[int, int], base: tuple[int, int], over: bool, ending: exits.Exit | None
) -> None:
    counts = store.Count(*canary), store.Count(*base)
    assert verdicts.decided(asked(), *counts, None, over=over) is ending


@pytest.mark.parametrize(
    ("ratio", "over", "ending"),
    [
        (0.89, False, exits.Exit.EVALS_FAILED),
        (0.9, False, None),
        (0.9, True, exits.Exit.HELD),
        (None, True, None),
    ],
)
def test_an_evaluation_that_fails_breaks_a_step_and_a_missing_one_does_not(
    ratio: float | None, over: bool, ending: exits.Exit | None
) -> None:
    evaluation = None if ratio is None else store.Evaluation(ratio, START)
    given, good = asked(passPercent=90), store.Count(500, 0)
    assert verdicts.decided(given, good, good, evaluation, over=over) is ending


def test_what_a_step_lacks_has_a_name() -> None:
    given = asked(passPercent=90)
    assert verdicts.lacks(given, store.Count(99, 0), None) is exits.Exit.TOO_FEW_REQUESTS
    assert verdicts.lacks(given, store.Count(100, 50), None) is exits.Exit.BASE_FAILS
    assert verdicts.lacks(given, store.Count(100, 1), None) is exits.Exit.NOT_EVALUATED
    assert verdicts.lacks(asked(), store.Count(100, 1), None) is None


# --- the store


@dataclasses.dataclass
class Sample:
    """A series: its counter at the start and now, and what `increase` makes of it."""

    model: str
    first: float | None
    last: float | None
    grown: float | None = None
    error: bool = False
    resets: float = 0

    def metric(self) -> dict[str, str]:
        labels = {"gen_ai_original_model": "chat", "gen_ai_request_model": self.model}
        return labels | ({"error_type": "_OTHER"} if self.error else {})


class Metrics:
    """A metrics store with some series; each answer may be another."""

    def __init__(self, *samples: Sample) -> None:
        self.samples = samples
        self.evaluations: list[tuple[float, float]] = []
        self.raw: Callable[[], tuple[int, bytes]] | None = None
        self.queries: list[tuple[str, int]] = []

    def _answer(self, query: str, at: int) -> list[dict[str, Any]]:
        if "inference_gateway_eval_" in query:
            picked = 0 if "pass_ratio" in query else 1
            return [
                {"metric": {"gateway": str(index)}, "value": [at, str(one[picked])]}
                for index, one in enumerate(self.evaluations)
            ]
        kind = query.partition("(")[0]
        values = {"increase": "grown", "last_over_time": "last", "resets": "resets"}
        return [
            {"metric": {"__name__": COUNT, **one.metric()}, "value": [at, str(value)]}
            for one in self.samples
            if (value := getattr(one, values.get(kind, "first"))) is not None
        ]

    @contextlib.contextmanager
    def serve(self) -> Iterator[str]:
        metrics = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urllib.parse.urlsplit(self.path)
                given = urllib.parse.parse_qs(parts.query)
                query, at = given["query"][0], int(given["time"][0])
                metrics.queries.append((query, at))
                result = metrics._answer(query, at)
                data = {"resultType": "vector", "result": result}
                status, body = 200, json.dumps({"status": "success", "data": data}).encode()
                if metrics.raw is not None:
                    status, body = metrics.raw()
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class Clock:
    """Time that passes while the program sleeps."""

    def __init__(self) -> None:
        self.now = float(START)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def judged(metrics: Metrics, **fields: Any) -> tuple[exits.Exit, float]:
    """Returns how a step ends, and after how many seconds."""
    clock = Clock()
    with metrics.serve() as url:
        ending = program.run(asked(url=url, **fields), clock, clock.sleep)
    return ending, clock.now - START


def test_a_counter_is_read_by_the_reading_that_is_right_for_it() -> None:
    metrics = Metrics(
        # Prometheus' increase guesses what lies beyond its samples.
        Sample("tuned", first=50, last=150, grown=120),
        # It does not count what a series begins with.
        Sample("tuned", first=None, last=3, grown=0, error=True),
        # A proxy that started again.
        Sample("chat", first=900, last=20, grown=120, resets=1),
        Sample("chat", first=7, last=None, error=True),
        Sample("another-canary", first=0, last=400, error=True),
    )
    with metrics.serve() as url:
        canary, base = store.Store(url).counts("chat", "tuned", START, START + 60)
    assert canary == store.Count(103, 3)
    assert base == store.Count(120, 0)
    series = f'{COUNT}{{gen_ai_original_model="chat"}}'
    assert metrics.queries == [
        (f"increase({series}[60s])", START + 60),
        (f"last_over_time({series}[60s])", START + 60),
        (f"resets({series}[60s])", START + 60),
        (series, START),
    ]


def test_requests_of_the_claims_own_gateway_count_where_series_tell() -> None:
    metrics = Metrics(Sample("tuned", 0, 200))
    labels = {"owning_gateway": "llm", "owning_namespace": "team-a"}
    assert judged(metrics, labels=labels)[0] is exits.Exit.HELD
    series = (
        f'{COUNT}{{gen_ai_original_model="chat",owning_gateway="llm",owning_namespace="team-a"}}'
    )
    assert all(series in query for query, _ in metrics.queries)


def test_a_step_that_holds_takes_its_time(capsys: pytest.CaptureFixture[str]) -> None:
    metrics = Metrics(Sample("tuned", 0, 200), Sample("tuned", 0, 1, error=True))
    assert judged(metrics) == (exits.Exit.HELD, 600)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("HELD: canary tuned: 1 of 201 requests failed;")


def test_a_step_that_breaks_ends_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    metrics = Metrics(Sample("tuned", None, 2, error=True))
    assert judged(metrics) == (exits.Exit.ERROR_RATE, 0)
    assert "2 of 2 requests failed" in capsys.readouterr().out


def test_a_step_without_requests_ends_undecided() -> None:
    assert judged(Metrics()) == (exits.Exit.TOO_FEW_REQUESTS, 600)


def test_requests_count_since_the_first_try() -> None:
    metrics = Metrics(Sample("tuned", 0, 200))
    assert judged(metrics, since="2027-01-15T08:00:00Z")[0] is exits.Exit.HELD
    assert {at for _, at in metrics.queries if "(" not in _} == {1_800_000_000}


def test_one_that_follows_another_waits_longer_for_what_is_lacking() -> None:
    assert judged(Metrics(), patience=3600) == (exits.Exit.TOO_FEW_REQUESTS, 3600)
    enough = Metrics(Sample("tuned", 0, 200))
    assert judged(enough, patience=3600) == (exits.Exit.HELD, 600), "no longer than it needs"
    away = Metrics()
    away.raw = lambda: (503, b"")
    assert judged(away, patience=3600) == (exits.Exit.STORE_UNREACHABLE, 3600)


def test_requests_of_more_than_a_week_ago_do_not_count() -> None:
    """A store forgets: a counter of before its retention would count from zero."""
    metrics = Metrics(Sample("tuned", 0, 200))
    assert judged(metrics, since="2026-01-01T00:00:00Z")[0] is exits.Exit.HELD
    asked_for = {query.partition("[")[2] for query, _ in metrics.queries if "[" in query}
    assert asked_for == {"604800s])"}
    assert min(at for query, at in metrics.queries if "[" not in query) == START - 604800


def test_only_evaluations_since_the_canary_began_count() -> None:
    metrics = Metrics(Sample("tuned", 0, 200))
    metrics.evaluations = [(0.2, START - 1)]
    assert judged(metrics, passPercent=90)[0] is exits.Exit.NOT_EVALUATED
    metrics.evaluations = [(0.95, START + 5), (0.2, START - 1)]
    assert judged(metrics, passPercent=90)[0] is exits.Exit.HELD
    # Of two front doors the worse one.
    metrics.evaluations = [(0.95, START + 5), (0.2, START + 6)]
    assert judged(metrics, passPercent=90)[0] is exits.Exit.EVALS_FAILED


@pytest.mark.parametrize(
    "raw",
    [
        (503, b""),
        (200, b"{"),
        (200, b'{"status": "error"}'),
        (
            200,
            b'{"status": "success", "isPartial": true, "data": {"resultType": "vector",'
            b' "result": []}}',
        ),
        (200, b'{"status": "success", "data": {"resultType": "vector", "result": [{}]}}'),
    ],
)
def test_a_store_that_gives_no_answer_is_no_verdict(raw: tuple[int, bytes]) -> None:
    metrics = Metrics(Sample("tuned", None, 50, error=True))
    metrics.raw = lambda: raw
    assert judged(metrics) == (exits.Exit.STORE_UNREACHABLE, program.PATIENCE)
    clock = Clock()
    assert program.run(asked(), clock, clock.sleep) is exits.Exit.STORE_UNREACHABLE


def test_a_store_that_comes_back_in_time_is_asked_on() -> None:
    metrics = Metrics(Sample("tuned", 0, 200))
    good, clock = metrics.raw, Clock()

    def sleep(seconds: float) -> None:
        clock.now += seconds
        away = START + 60 < clock.now < START + 60 + program.PATIENCE
        metrics.raw = (lambda: (503, b"")) if away else good

    with metrics.serve() as url:
        assert program.run(asked(url=url), clock, sleep) is exits.Exit.HELD


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"url": 1}', "{"])
def test_a_plan_that_is_none_is_told(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main({plan.VARIABLE: text}) == exits.Exit.UNUSABLE_PLAN
    assert "JUDGE_PLAN cannot be used" in capsys.readouterr().out


@pytest.mark.parametrize("percent", [29, 57, 58])
def test_as_many_as_may_fail_do_not_break_a_step(percent: int) -> None:
    given = asked(maxErrorPercent=percent, passPercent=percent)
    canary, base = store.Count(100, percent), store.Count(100, 0)
    evaluation = store.Evaluation(percent / 100, START)
    ending = verdicts.decided(given, canary, base, evaluation, over=True)
    assert ending is exits.Exit.HELD
