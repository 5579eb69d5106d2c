"""Who pays: labels of objects at once, and of pods with the next template that they get."""

import copy
from typing import Any

import pytest

from tests import cluster
from tests.life import given


def labels(item: Any) -> dict[str, str]:
    result = item["metadata"]["labels"]
    assert isinstance(result, dict)
    return {key: result[key] for key in ("team", "project", "cost-center") if key in result}


def paying(**cost: str) -> cluster.Cluster:
    """Returns a claim that serves, and names who pays from then on."""
    world = given.serving()
    world.edit(cost=cost)
    world.converge()
    return world


def test_a_new_claim_has_its_labels_on_every_object_and_pod() -> None:
    world = given.new()
    world.edit(cost={"team": "search", "costCenter": "cc-1"})
    world.converge()
    wanted = {"team": "search", "cost-center": "cc-1"}
    assert labels(world.template) == wanted
    for key, item in world.objects.items():
        assert labels(item) == wanted, key


@pytest.mark.decision(47)
def test_who_pays_starts_no_pod_again() -> None:
    world = given.serving()
    before = copy.deepcopy(world.template)
    for cost in ({"team": "search"}, {"team": "ads", "project": "p"}, None):
        world.edit(cost=cost)
        world.converge()
        assert world.template == before
        assert labels(world.one("Deployment")) == (cost or {})
        assert world.condition("Current") == ("True", "Serving")


def test_pods_get_the_labels_with_their_next_template() -> None:
    world = paying(team="search")
    assert labels(world.template) == {}
    world.edit(drainSeconds=60)
    world.converge()
    assert labels(world.template) == {"team": "search"}
    before = copy.deepcopy(world.template)
    world.edit(cost=None)
    world.converge()
    assert world.template == before
    assert world.condition("Current") == ("True", "Serving")
    world.edit(drainSeconds=70)
    world.converge()
    assert labels(world.template) == {}


def test_another_try_of_a_download_is_no_next_template() -> None:
    world = paying(team="search")
    before = copy.deepcopy(world.template)
    model = world.claim["spec"]["model"]
    world.edit(model={**model, "preload": {"enabled": True, "generation": 7}})
    world.converge()
    assert world.template == before


def test_other_keys_of_the_settings_start_no_pod_again() -> None:
    world = paying(team="search")
    world.edit(drainSeconds=60)
    world.converge()
    before = copy.deepcopy(world.template)
    given.settings(world)["pricing"] = {"labels": {"team": "example.org/team"}}
    world.converge()
    assert world.template == before
    assert world.condition("Current") == ("True", "Serving")
    deployment = world.one("Deployment")["metadata"]["labels"]
    assert deployment["example.org/team"] == "search"


def test_a_label_that_the_author_wrote_of_the_pods_is_a_change_of_the_pods() -> None:
    world = given.serving()
    world.edit(podTemplate={"labels": {"team": "search"}})
    world.converge()
    assert labels(world.template) == {"team": "search"}
    world.edit(podTemplate=None)
    world.converge()
    assert labels(world.template) == {}
