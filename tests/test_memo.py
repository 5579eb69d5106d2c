"""What is remembered of pure functions: bounded, and never to be seen in an answer."""

import pytest

from function import memo
from function.planning import plans
from function.server import runner
from tests import cluster
from tests.bench import requests


def test_the_least_recently_used_goes_when_all_are_too_large() -> None:
    kept: memo.Bounded[str] = memo.Bounded(100)
    made: list[str] = []

    def ask(key: str) -> str:
        return kept.get(key, 40, lambda: made.append(key) or key.upper())  # type: ignore[func-returns-value]

    assert [ask("a"), ask("b"), ask("a"), ask("c"), ask("a"), ask("b")] == list("ABACAB")
    assert made == ["a", "b", "c", "b"], "a was used again before c came, so b went"


def test_one_that_is_larger_than_all_is_kept_alone() -> None:
    kept: memo.Bounded[int] = memo.Bounded(10)
    assert kept.get("large", 1000, lambda: 1) == 1
    assert kept.get("large", 1000, lambda: 2) == 1
    assert kept.get("small", 1, lambda: 3) == 3
    assert kept.get("large", 1000, lambda: 4) == 4


def test_a_failure_is_not_remembered() -> None:
    kept: memo.Bounded[int] = memo.Bounded(10)

    def fail() -> int:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        kept.get("key", 1, fail)
    assert kept.get("key", 1, lambda: 5) == 5


@pytest.mark.parametrize("of", ["first", "steady"])
def test_an_answer_is_the_same_from_memory(of: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects that were written once are written again from their bytes, in another order too."""
    fleet = requests.fleet(5, of)
    log = cluster.Quiet()
    remembered = [runner.run(req, log) for req in fleet]
    remembered = [runner.run(req, log) for req in fleet]
    monkeypatch.setattr(plans, "_kept", memo.Bounded(0))
    monkeypatch.setattr(runner, "_claims", memo.Bounded(0))
    fresh = [runner.run(req, log) for req in reversed(fleet)][::-1]
    assert remembered == fresh
    assert not log.errors


def test_other_settings_are_another_plan() -> None:
    claim = cluster.example("smallest")
    answers = [
        cluster.Cluster(claim, cluster.environment(profile)).reconcile().response
        for profile in (*cluster.PROFILES, *cluster.PROFILES)
    ]
    assert answers[0] == answers[2]
    assert answers[1] == answers[3]
    assert answers[0] != answers[1]
