"""Times as the API server writes them, and what only looks like one."""

import datetime
from typing import Any

import pytest

from function import instants


def test_a_time_is_read() -> None:
    read = instants.read("2026-01-31T12:00:00Z")
    assert read == datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2026-13-45T12:00:00Z",
        "2026-02-30T12:00:00Z",
        "2026-01-31T25:00:00Z",
        "2026-01-31T12:00:00+01:00",
        "2026-1-31T12:00:00Z",
        "٢٠٢٦-01-31T12:00:00Z",
        "2026-01-31T12:00:00Z\n",
        "now",
        7,
        None,
    ],
)
def test_what_looks_like_a_time_is_none(text: Any) -> None:
    assert instants.read(text) is None
