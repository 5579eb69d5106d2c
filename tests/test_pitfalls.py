"""Every known pitfall, and every settled decision, has a test that notices when it comes back.

The test bears it as a mark. Pitfalls are listed in tests/pitfalls.yaml, decisions in
docs/decisions.md. `pytest -m pitfall` runs what meets them.
"""

import ast
import functools
import re
from collections.abc import Iterator

import pytest

from tests import cluster, documents

LISTED = documents.parse((cluster.ROOT / "tests/pitfalls.yaml").read_text())
# Written down a second time: a removed line is as good as a removed test.
COUNT = 120


def pitfalls() -> Iterator[tuple[str, str | None]]:
    """Yields each pitfall, and why no test here can meet it, if none can."""
    for section in LISTED.values():
        for entry in section:
            yield (entry, None) if isinstance(entry, str) else next(iter(entry.items()))


@functools.cache
def marks(kind: str) -> dict[object, list[str]]:
    """Returns the tests that bear a mark, by its argument, without importing them."""
    marked: dict[object, list[str]] = {}
    for path in [*cluster.ROOT.glob("tests/**/*.py"), *cluster.ROOT.glob("e2e/**/*.py")]:
        text = path.read_text()
        if f"@pytest.mark.{kind}(" not in text:
            continue
        for function in ast.parse(text).body:
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for mark in function.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == f"pytest.mark.{kind}":
                    name = f"{path.relative_to(cluster.ROOT)}::{function.name}"
                    assert function.name.startswith("test_"), f"{name} is no test"
                    marked.setdefault(ast.literal_eval(mark.args[0]), []).append(name)
    return marked


def test_no_pitfall_is_lost() -> None:
    assert len(dict(pitfalls())) == len(list(pitfalls())) == COUNT


def test_every_pitfall_is_met_or_says_why_it_cannot_be() -> None:
    met = marks("pitfall")
    assert [words for words, reason in pitfalls() if (words in met) is not (reason is None)] == []


def test_tests_bear_pitfalls_of_the_list() -> None:
    assert set(marks("pitfall")) <= set(dict(pitfalls()))


def test_every_decision_of_the_documentation_has_a_test() -> None:
    text = (cluster.ROOT / "docs/decisions.md").read_text()
    listed = re.findall(r"^([0-9]+)[.] [*][*]", text, re.M)
    later = re.findall(r"^\| ([0-9]+) \| .* \| Holds[.] \|$", text, re.M)
    assert set(marks("decision")) == {int(number) for number in [*listed, *later]}


@pytest.mark.parametrize("kind", ["pitfall", "decision"])
def test_a_test_bears_a_mark_once(kind: str) -> None:
    for tests in marks(kind).values():
        assert len(set(tests)) == len(tests)
