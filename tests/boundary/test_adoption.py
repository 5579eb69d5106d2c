"""What lies in the namespace already is not taken for the claim's."""

import copy
from typing import Any

import pytest

from function import claim_rows
from function.api import claim
from function.boundary import adoption
from function.cluster import observed
from function.situation import rivals
from tests import cluster
from tests.life import given
from tests.resources import scene

ACCOUNT = {"apiVersion": "v1", "kind": "ServiceAccount"}
UID = "11111111-2222-3333-4444-555555555555"
ALL = scene.of(
    model={"retention": "Delete"},
    externalSecrets=[{"name": "vault", "remoteRef": "llm/x"}],
    loraAdapters=[scene.ADAPTERS[0]],
    scaling={"maxReplicas": 3},
    gateway={"enabled": True, "canaries": [{"adapter": "sql", "weightPercent": 5}]},
    route={"enabled": True, "hostname": "model"},
)


def named(name: str = scene.NAME, **metadata: Any) -> cluster.Object:
    """Returns a ServiceAccount."""
    return {**ACCOUNT, "metadata": {"name": name, "namespace": "llm", **metadata}}


def controlled(kind: str, name: str, uid: str) -> list[cluster.Object]:
    """Returns the owner references of what an object controls."""
    other = {"kind": "Node", "name": "n", "uid": "0"}
    return [other, {"kind": kind, "name": name, "uid": uid, "controller": True}]


def among(*strangers: cluster.Object, claim: cluster.Object | None = None) -> cluster.Cluster:
    """Returns a new claim in a namespace where other objects lie."""
    world = cluster.Cluster(claim or scene.of(), scene.site())
    world.strangers = list(strangers)
    return world


def asked(world: cluster.Cluster) -> set[tuple[str, str]]:
    """Returns kind and name of every object that the last answer asks for."""
    required = world.response.requirements.resources
    selectors = [s for name, s in required.items() if not name.startswith(rivals.REQUIREMENT)]
    assert all(selector.namespace == "llm" for selector in selectors)
    return {(selector.kind, selector.match_name) for selector in selectors}


def knowing(world: cluster.Cluster) -> cluster.Cluster:
    """Lets core say that the cluster has every kind."""
    world.kinds = {
        f"{version}/{row.kind.name}": True
        for row in claim_rows.every()
        for version in row.kind.api_versions
    }
    return world


def test_a_platforms_account_is_not_adopted() -> None:
    world = among(named()).reconcile()
    assert world.condition("Valid") == ("False", "NameTaken")
    assert world.fatal == (
        "claim: metadata.name: the namespace has a ServiceAccount model that is not this claim's"
        " (nothing controls it): give the claim another name, or delete the object if nothing"
        " needs it"
    )
    assert world.objects == {}
    assert world.refs is None


def test_the_claim_goes_on_when_the_stranger_has_gone() -> None:
    world = among(named()).reconcile()
    world.strangers = []
    world.converge()
    assert world.phase == "Serving"


def test_every_object_is_asked_for_before_it_is_emitted() -> None:
    """Each object of a whole life in the place of a stranger; no Secret is ever read."""
    whole = knowing(among(claim=ALL))
    names: set[tuple[str, str]] = set()
    for _ in range(12):
        before = set(whole.objects)
        whole.settle().reconcile()
        names |= asked(whole)
        fresh = {
            (item["kind"], item["metadata"]["name"])
            for key, item in whole.objects.items()
            if key not in before
        }
        assert fresh <= names
    read = {kind for kind, _ in names}
    assert "Secret" not in read
    assert {"Deployment", "Job", "ExternalSecret", "ScaledObject", "AIGatewayRoute"} <= read
    assert whole.phase == "Serving"
    assert asked(whole) == set()


FIRST = {
    (item["apiVersion"], item["kind"], item["metadata"]["name"])
    for item in knowing(among(claim=ALL)).reconcile().objects.values()
}


@pytest.mark.parametrize(("version", "kind", "name"), sorted(FIRST))
def test_a_stranger_of_any_kind_is_named(version: str, kind: str, name: str) -> None:
    stranger = {"apiVersion": version, "kind": kind, "metadata": {"name": name}}
    world = knowing(among(stranger, claim=ALL)).reconcile()
    assert world.fatal is not None
    assert f"a {kind} {name} that is not this claim's" in world.fatal
    field = "spec.externalSecrets: " if kind == "ExternalSecret" else "metadata.name: "
    assert field in world.fatal
    assert world.objects == {}


def test_what_runs_goes_on_beside_a_name_that_is_taken() -> None:
    world = given.serving()
    name = world.claim["metadata"]["name"]
    del world.objects[f"{name}-pdb"]
    before = copy.deepcopy(world.objects)
    world.strangers = [
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name}}
    ]
    world.reconcile()
    assert world.condition("Valid") == ("False", "NameTaken")
    assert world.condition("Current") == ("True", "Serving")
    assert world.objects == before


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"ownerReferences": controlled("App", "shop", "9")}, "the App shop controls it"),
        (
            {"ownerReferences": controlled("InferenceService", "model", "9")},
            "an earlier claim of this name controls it): wait until Kubernetes has deleted it",
        ),
        ({"labels": {cluster.COMPOSITE: "model"}}, "nothing controls it"),
        ({"annotations": {cluster.KEY: "model-serviceaccount"}}, "nothing controls it"),
        (
            {
                "labels": {cluster.COMPOSITE: "model"},
                "annotations": {cluster.KEY: "model-service"},
            },
            "nothing controls it",
        ),
        (
            {
                "labels": {cluster.COMPOSITE: "other"},
                "annotations": {cluster.KEY: "model-serviceaccount"},
            },
            "nothing controls it",
        ),
    ],
)
def test_it_says_whose_the_object_is(metadata: cluster.Object, words: str) -> None:
    world = among(named(**metadata)).reconcile()
    assert world.fatal is not None
    assert words in world.fatal
    assert world.objects == {}


@pytest.mark.parametrize(
    "metadata",
    [
        {"ownerReferences": controlled("InferenceService", "model", UID)},
        {
            "labels": {cluster.COMPOSITE: "model"},
            "annotations": {cluster.KEY: "model-serviceaccount"},
        },
    ],
    ids=["controlled by the claim", "composed for it, and restored without its controller"],
)
def test_its_own_objects_are_the_claims(metadata: cluster.Object) -> None:
    world = observed.Observed(name="model", uid=UID)
    assert adoption.owned(world, "serviceaccount", named(**metadata))
    labels = {cluster.COMPOSITE: "model"}
    again = among(named(**{"labels": labels, **metadata})).reconcile()
    assert again.fatal is None


def test_a_claim_without_uid_owns_nothing_by_it() -> None:
    """On the command line a claim has none."""
    world = observed.Observed(name="model")
    owner = {"kind": "App", "name": "shop", "controller": True}
    assert not adoption.owned(world, "serviceaccount", named(ownerReferences=[owner]))


def test_a_lagging_cache_makes_no_stranger_of_its_own_objects() -> None:
    world = among()
    world.lag(cluster.CLAIM).reconcile().reconcile()
    assert world.fatal is None
    world.catch_up().reconcile()
    assert world.fatal is None


def test_a_kind_is_read_only_where_core_has_it() -> None:
    """Reading a kind that is not there fails the whole call of core."""
    world = among(claim=ALL).reconcile()
    assert ("Service", "model") in asked(world)
    assert {kind for kind, _ in asked(world)} <= {"ServiceAccount", "Service", "Job"}


def test_a_core_that_reads_nothing_is_not_asked() -> None:
    world = cluster.Cluster(scene.of(), scene.site()).reconcile()
    assert asked(world) == set()
    assert world.objects


@pytest.mark.parametrize("name", cluster.EXAMPLES)
@pytest.mark.parametrize("profile", cluster.PROFILES)
def test_a_claim_at_rest_asks_nothing(name: str, profile: str) -> None:
    world = cluster.Cluster(cluster.example(name), cluster.environment(profile))
    world.strangers = []
    knowing(world).converge()
    assert asked(world) == set()


def test_only_a_claim_without_objects_is_refused_the_name_of_a_picker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    named_so = scene.of(name="model-epp")
    refused = cluster.Cluster(named_so, scene.site()).reconcile()
    assert refused.condition("Valid") == ("False", "Invalid")
    assert "the endpoint picker of claim 'model' is named" in (refused.fatal or "")
    assert refused.objects == {}
    # One that lived before the name was refused.
    world = cluster.Cluster(named_so, scene.site())
    with monkeypatch.context() as patched:
        patched.setattr(claim, "PICKER_SUFFIX", "-none")
        world.reconcile()
    before = set(world.objects)
    world.converge()
    assert world.fatal is None
    assert before
    assert before <= set(world.objects)
