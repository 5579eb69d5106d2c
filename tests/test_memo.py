"""What is remembered of pure functions: bounded, and never to be seen in an answer."""

import gc
import weakref
from typing import Any

import pytest

from function import memo
from function.api import base, claim, settings
from function.cluster import checkpoints, memory
from function.composites import inference_service
from function.engines import engines
from function.planning import identity, plans
from function.server import runner
from function.workloads import caches
from tests import cluster, quiet
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
    log = quiet.Quiet()
    remembered = [runner.run(req, log) for req in fleet]
    remembered = [runner.run(req, log) for req in fleet]
    monkeypatch.setattr(plans, "_kept", memo.Bounded(0))
    monkeypatch.setattr(caches, "_mounts", memo.Bounded(0))
    for of_bytes in ("_claims", "_statuses"):
        monkeypatch.setattr(runner, of_bytes, memo.Bounded(0))
    fresh = [runner.run(req, log) for req in reversed(fleet)][::-1]
    assert remembered == fresh
    assert not log.errors


def test_a_reader_is_asked_once_for_what_never_changes() -> None:
    asked: list[Any] = []

    @memo.per_manifest
    def read(of: Any) -> int:
        asked.append(of)
        return len(of)

    kept, changing = memo.Manifest(a=1), {"a": 1}
    assert [read(kept), read(kept), read(changing), read(changing)] == [1, 1, 1, 1]
    assert [type(of) for of in asked] == [memo.Manifest, dict, dict]


def test_a_status_that_differs_in_one_condition_is_another() -> None:
    req = requests.steady()
    status = req.observed.composite.resource.fields["status"].struct_value
    for ready in ("True", "False", "True"):
        condition = status.fields["conditions"].list_value.values[0].struct_value
        condition["status"] = ready
        world = runner.observed_state(req)
        assert world.conditions[str(condition["type"])].status == ready


def test_a_status_that_somebody_else_filled_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    req = requests.steady()
    monkeypatch.setattr(runner, "_statuses", None)
    status: Any = req.observed.composite.resource.fields["status"].struct_value
    status["waitingFor"] = "x" * 16 * 1024
    assert memory.memory(runner.observed_state(req)).waiting_for == "x" * 16 * 1024


def test_each_remembered_template_has_caches_of_its_own() -> None:
    world = requests.world()
    world.converge()
    resource = inference_service.parse(world.claim)
    facts = checkpoints.Facts({"any": {}})
    key = f"{resource.name}-deployment"
    annotations = world.objects[key]["metadata"]["annotations"]
    now = annotations[identity.TEMPLATE_ANNOTATION]
    engine = engines.chosen(resource.spec)
    new, old = (
        engine.cache_directory(resource.namespace, resource.name, former=former)
        for former in (False, True)
    )
    assert f"/{new}" in now
    for text, former in ((now, False), (now.replace(f"/{new}", f"/{old}"), True), (now, False)):
        annotations[identity.TEMPLATE_ANNOTATION] = text
        observing = runner.observed_state(world.request())
        assert caches.former(resource, facts, observing) is former


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
