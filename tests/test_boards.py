"""Dashboards drawn as a page: what the dashboard has is on it, and nothing that it has not."""

import re

import pytest

from tests import cluster
from tools import boards

DASHBOARD: cluster.Object = {
    "title": "llm / <coder>",
    "panels": [
        {"type": "row", "title": "Requests"},
        {
            "type": "timeseries",
            "title": "Running",
            "fieldConfig": {
                "defaults": {
                    "unit": "short",
                    "thresholds": {"steps": [{"value": None}, {"value": 8}]},
                }
            },
            "targets": [{"expr": "running", "legendFormat": "{{pod}}"}],
        },
        {
            "type": "timeseries",
            "title": "Waiting",
            "fieldConfig": {"defaults": {"unit": "s"}},
            "targets": [{"expr": "waiting", "legendFormat": "all"}],
        },
    ],
}


def ask(query: str) -> boards.Series:
    if query == "running":
        return [({"pod": "a<1"}, [(0, 2), (60, 4)]), ({"pod": "b"}, [(0, 1), (60, float("nan"))])]
    return []


def test_every_panel_is_drawn_with_its_lines_and_limits() -> None:
    page = boards.page(DASHBOARD, ask, 0, 60)
    assert "A stand-in for Grafana" in page
    assert re.findall("<h[123]>(.*?)</h", page) == [
        "llm / &lt;coder&gt;",
        "Requests",
        "Running",
        "Waiting",
    ]
    assert page.count("<polyline") == 2
    assert page.count("stroke-dasharray") == 1
    assert "a&lt;1" in page
    assert "a<1" not in page


def test_a_panel_without_an_answer_says_so() -> None:
    page = boards.page(DASHBOARD, lambda _: [], 0, 60)
    assert page.count("no data") == 2
    assert "<polyline" not in page


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (0.25, "percentunit", "25%"),
        (0.0095, "s", "9.5 ms"),
        (100, "s", "100 s"),
        (600, "s", "10 min"),
        (10800, "s", "3 h"),
        (5, "currency:USD ", "USD 5"),
        (0.5, "reqps", "0.5 req/s"),
        (12345, "short", "12.3k"),
    ],
)
def test_values_are_told_in_their_units(value: float, unit: str, words: str) -> None:
    assert boards.told(value, unit) == words
