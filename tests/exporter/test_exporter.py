"""The program beside Promptfoo: what it makes of results, and where it writes them.

`e2e/test_evals.py` has the real Promptfoo and the real VictoriaMetrics.
"""

import contextlib
import http.server
import json
import pathlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import parser

from exporter import program, results

LABELS = {"namespace": "llm", "gateway": "llm", "cronjob": "llm-eval-a", "model": 'a "\\ b'}


def entry(case: str | None, success: bool, reason: int = 0) -> dict[str, Any]:
    metadata = {} if case is None else {"case": case}
    return {"success": success, "failureReason": reason, "testCase": {"metadata": metadata}}


def written(path: pathlib.Path, *entries: Any, **stats: float) -> pathlib.Path:
    path.write_text(json.dumps({"results": {"results": list(entries), "stats": stats}}))
    return path


def samples(text: str) -> dict[tuple[str, str, str], float]:
    """Returns values by name, case and result; every other label must be one of LABELS."""
    made = {}
    for family in parser.text_string_to_metric_families(text):
        assert family.documentation
        for sample in family.samples:
            assert LABELS.items() <= sample.labels.items()
            own = (sample.labels.get("case", ""), sample.labels.get("result", ""))
            made[(sample.name.removeprefix("inference_gateway_eval_"), *own)] = sample.value
    return made


class Store:
    """A metrics store that answers what it is told to."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)
        self.got: list[tuple[str, str]] = []

    @contextlib.contextmanager
    def serve(self) -> Iterator[str]:
        store = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                store.got.append((self.path, body))
                self.send_response(store.answers.pop(0))
                self.end_headers()
                self.wfile.write(b"no room")

            def log_message(self, *_: Any) -> None:
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)


def environment(path: pathlib.Path, url: str) -> dict[str, str]:
    labels = json.dumps(LABELS)
    return {"EVALS_RESULTS": str(path), "EVALS_LABELS": labels, "EVALS_PUSH_URL": url}


def test_each_case_is_counted_by_how_it_ended(tmp_path: pathlib.Path) -> None:
    path = written(
        tmp_path / "r.json",
        entry("answers", True),
        entry("json", False, 1),
        entry("json", False, 2),
        entry(None, True),
        durationMs=1500,
    )
    made = samples(program.text(results.read(path), LABELS, 1_800_000_000.5))
    assert made["pass_ratio", "", ""] == 0.5
    assert made["duration_seconds", "", ""] == 1.5
    assert made["timestamp_seconds", "", ""] == 1_800_000_000.5
    counted = {key[1:]: value for key, value in made.items() if key[0] == "cases"}
    assert counted == {
        **dict.fromkeys([(c, r) for c in ("answers", "json", "own") for r in RESULTS], 0),
        ("answers", "passed"): 1,
        ("json", "failed"): 1,
        ("json", "error"): 1,
        ("own", "passed"): 1,
    }


RESULTS = (results.PASSED, results.FAILED, results.ERROR)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "No such file"),
        ("{", "is no JSON"),
        ("[]", "has no list results.results"),
        ('{"results": {"results": []}}', "has no case: nothing was asked"),
    ],
)
def test_results_that_are_none_are_told(
    text: str | None, words: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "r.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(results.ResultsError, match=words):
        program.run(environment(path, "http://127.0.0.1:1"))
    assert capsys.readouterr().out == ""


def test_a_store_that_is_away_for_a_moment_is_asked_again(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, store = written(tmp_path / "r.json", entry("answers", True)), Store(503, 204)
    with store.serve() as url:
        program.run(environment(path, f"{url}/api/v1/import/prometheus"))
    assert [where for where, _ in store.got] == ["/api/v1/import/prometheus"] * 2
    assert store.got[1][1] == capsys.readouterr().out
    assert samples(store.got[1][1])["pass_ratio", "", ""] == 1


def test_a_store_that_refuses_or_is_gone_is_told(tmp_path: pathlib.Path) -> None:
    path, store = written(tmp_path / "r.json", entry("answers", True)), Store(400)
    with store.serve() as url, pytest.raises(program.ExportError, match="answered 400: no room"):
        program.run(environment(path, url))
    with pytest.raises(program.ExportError, match="was not reached"):
        program.run(environment(path, url))
    assert len(store.got) == 1


def test_a_pushgateway_keeps_a_group_for_each_cron_job(tmp_path: pathlib.Path) -> None:
    path, store = written(tmp_path / "r.json", entry("answers", True)), Store(200)
    with store.serve() as url:
        program.run(environment(path, f"{url}/metrics/job/evals/"))
    assert [where for where, _ in store.got] == ["/metrics/job/evals/cronjob/llm-eval-a"]


def test_a_variable_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.environ", {"EVALS_LABELS": "{}"})
    assert program.main() == 1
    assert capsys.readouterr().err == "not set: EVALS_RESULTS, EVALS_PUSH_URL\n"
