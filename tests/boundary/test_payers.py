"""Who pays is a label of pods: its key is one that authors may write."""

from typing import Any

from tests import cluster
from tests.resources import scene

PAID: Any = {"cost": {"team": "search", "costCenter": "cc-1"}}


def test_the_usual_keys_are_allowed() -> None:
    assert scene.planned(scene.of(**PAID), scene.site()).identity.common["team"] == "search"


def test_a_key_that_authors_may_not_write_is_refused() -> None:
    closed = cluster.load("examples/settings/closed.yaml")["data"]["inferenceService"]
    words = scene.refused(
        scene.of(**PAID), scene.site(allowed={"labels": closed["allowed"]["labels"]})
    )
    assert "spec.cost.costCenter" in words
    assert "spec.cost.team" not in words


def test_a_key_by_which_policies_select_is_refused() -> None:
    callers = [{"podLabels": {"team": "search"}}]
    words = scene.refused(scene.of(**PAID), scene.site(network={"callers": callers}))
    assert "spec.cost.team: policies and Services select" in words


def test_a_label_that_the_site_has_on_every_object_is_refused() -> None:
    """By such labels the platform selects objects: a payer would take its place."""
    site: Any = {"labels": {"team": "platform"}}
    assert "spec.cost.team: the settings' labels" in scene.refused(
        scene.of(**PAID), scene.site(**site)
    )
    named = scene.site(**site, pricing={"labels": {"team": "team"}})
    assert scene.planned(scene.of(**PAID), named).identity.common["team"] == "search"
