"""What is remembered of pure functions: bounded, and never to be seen in an answer."""

import gc
import weakref
from typing import Any

import pytest

from function import memo
from function.api import base, claim, settings
from function.cluster import checkpoints
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


def test_what_a_large_claim_holds_counts_as_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """One author who edits a long claim again and again must not fill the memory."""
    document = cluster.example("smallest")
    sizes: list[int] = []
    for annotations in (1, 32):
        long = {f"example.com/a{index}": "x" * 4000 for index in range(annotations)}
        document["spec"]["podTemplate"] = {"annotations": long}
        kept: memo.Bounded[Any] = memo.Bounded(plans.MOST_BYTES)
        monkeypatch.setattr(plans, "_kept", kept)
        cluster.Cluster(document, cluster.environment("reference")).reconcile()
        sizes.append(kept._size)
    assert sizes[1] - sizes[0] > 31 * 4000 * 10


def test_forged_words_about_a_checkpoint_make_no_third_plan() -> None:
    """The status is in whose hands the claim is, and each word makes another plan."""
    resource = base.parse(claim.InferenceService, cluster.example("smallest"), what="claim")
    site = settings.resolve([])
    stored = plans.make(resource, site, checkpoints.Facts()).storage
    directory = stored.recorded(stored.base)
    made = []
    gc.freeze()  # the rest of the suite holds much that nobody needs to look through
    for method in "abc":
        records = {directory: {"quantization": method}}
        plan = plans.make(resource, site, checkpoints.Facts(records=records))
        made.append(weakref.ref(plan))
    del plan
    gc.collect()
    gc.unfreeze()
    assert [ref() is None for ref in made] == [True, False, False]
