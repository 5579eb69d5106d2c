"""Another claim that answers while no pod of this one does."""

from typing import Any

import pytest

from tests import cluster, schemas
from tests.resources import scene

GATEWAY: Any = {"enabled": True, "fallback": {"claim": "other"}}
CLAIMED = scene.of(gateway=GATEWAY)
COMPOSED = {"status": {"phase": "Serving"}}
OTHER = scene.of(name="other", gateway={"enabled": True}) | COMPOSED
NAME = "model.fallback-other"
NAMED = {"name": NAME, "modelNameOverride": "other", "priority": 1, "weight": 1}


def beside(*strangers: cluster.Object, claimed: cluster.Object = CLAIMED) -> cluster.Cluster:
    """The claim at rest, in a namespace with these other objects."""
    world = cluster.Cluster(claimed, scene.site())
    world.strangers = list(strangers)
    world.converge()
    return world


def backends(world: cluster.Cluster) -> list[Any]:
    (base, *_) = world.one("AIGatewayRoute")["spec"]["rules"]
    assert isinstance(base["backendRefs"], list)
    return base["backendRefs"]


def fallbacks(world: cluster.Cluster) -> set[tuple[str, str]]:
    objects = ((one["kind"], one["metadata"]["name"]) for one in world.objects.values())
    return {(kind, name) for kind, name in objects if ".fallback-" in name}


def test_the_fallback_has_the_lowest_priority_and_its_own_model_name() -> None:
    world = beside(OTHER)
    assert backends(world) == [{"name": "model", "weight": 100}, NAMED]
    assert world.condition("RouteReady") == ("True", "Published")
    assert fallbacks(world) == {("Backend", NAME), ("AIServiceBackend", NAME)}
    for key, item in world.owned.items():
        if item["kind"] in ("AIGatewayRoute", "Backend", "AIServiceBackend"):
            assert schemas.validate(item) == [], key
    backend = world.objects["model-fallback-backend-other"]
    (endpoint,) = backend["spec"]["endpoints"]
    # Always there while the claim is; the headless one is not.
    assert endpoint["fqdn"] == {"hostname": "other.llm.svc.cluster.local", "port": 8000}
    ai_backend = world.objects["model-fallback-aiservicebackend-other"]
    assert ai_backend["spec"]["backendRef"]["name"] == NAME


def test_two_tries_are_for_the_claims_own_pods() -> None:
    retry = beside(OTHER).one("BackendTrafficPolicy")["spec"]["retry"]
    assert (retry["numRetries"], retry["numAttemptsPerPriority"]) == (2, 2)
    alone = scene.serving(scene.of(gateway={"enabled": True})).one("BackendTrafficPolicy")
    assert "numAttemptsPerPriority" not in alone["spec"]["retry"]


def test_an_adapters_requests_do_not_fall_back() -> None:
    """The other claim does not have the adapter."""
    world = beside(OTHER, claimed=scene.of(gateway=GATEWAY, loraAdapters=scene.ADAPTERS))
    _, *adapters = world.one("AIGatewayRoute")["spec"]["rules"]
    assert len(adapters) == 2
    assert all(len(rule["backendRefs"]) == 1 for rule in adapters)


@pytest.mark.parametrize(
    ("own", "repository", "answers"),
    [
        ("BAAI/bge-m3", "BAAI/bge-m3", True),
        ("BAAI/bge-m3", "baai/BGE-M3", True),
        ("BAAI/bge-m3", "someone/bge-m3", False),
        ("BAAI/bge-m3", "intfloat/multilingual-e5-large", False),
        ("intfloat/e5-large", "intfloat/multilingual-e5-large", False),
    ],
)
def test_vectors_are_made_by_the_same_model_alone(own: str, repository: str, answers: bool) -> None:
    other = scene.of(name="other", model={"repository": repository}, gateway={"enabled": True})
    claimed = scene.of(model={"repository": own}, engine={"kind": "tei"}, gateway=GATEWAY)
    world = beside(other | COMPOSED, claimed=claimed)
    assert (NAMED in backends(world)) is answers
    if not answers:
        words = world.message("RouteReady")
        assert "cannot be compared: name a claim of the same model" in words
        known = own == "BAAI/bge-m3"
        assert ("and this claim makes vectors of" in words) is known
        assert ("and this claim may make vectors of" in words) is not known


def test_canaries_share_the_highest_priority() -> None:
    canary = {"canaries": [{"adapter": "sql", "weightPercent": 10}]}
    claimed = scene.of(gateway=GATEWAY | canary, loraAdapters=scene.ADAPTERS)
    assert [one["name"] for one in backends(beside(OTHER, claimed=claimed))] == [
        "model",
        "model.canary-sql",
        NAME,
    ]


def test_a_canary_that_comes_moves_no_fallback() -> None:
    """Of a backend at another place the gateway's processor knows nothing for up to a minute."""
    sql, law = ({"adapter": name, "weightPercent": 10} for name in ("sql", "law"))
    claimed = scene.of(gateway=GATEWAY | {"canaries": [sql]}, loraAdapters=scene.ADAPTERS)
    world = beside(OTHER, claimed=claimed)
    world.edit(gateway=GATEWAY | {"canaries": [law, sql]}).converge()
    assert [one["name"] for one in backends(world)] == [
        "model",
        "model.canary-sql",
        NAME,
        "model.canary-law",
    ]


@pytest.mark.parametrize(
    ("strangers", "words"),
    [
        ([], "the namespace has no InferenceService other: create it, or name another"),
        ([scene.of(name="other")], "InferenceService other is not on the gateway"),
        (
            [scene.of(name="other", gateway={"enabled": True}, suspend=True)],
            "InferenceService other is suspended: resume it",
        ),
        (
            [{**OTHER, "metadata": {**OTHER["metadata"], "deletionTimestamp": "2026-01-01"}}],
            "the namespace has no InferenceService other",
        ),
        ([{**OTHER, "metadata": {"name": "other", "namespace": "apps"}}], "has no"),
        (
            [scene.of(name="other", gateway={"enabled": True})],
            "InferenceService other has nothing composed yet: its condition Valid says why",
        ),
    ],
    ids=["missing", "not published", "suspended", "deleted", "elsewhere", "never composed"],
)
def test_a_fallback_that_cannot_answer_is_named_in_words_alone(
    strangers: list[cluster.Object], words: str
) -> None:
    world = beside(*strangers)
    assert backends(world) == [{"name": "model", "weight": 100}]
    assert world.condition("RouteReady") == ("False", "FallbackAbsent")
    assert words in world.message("RouteReady")
    assert world.message("RouteReady").startswith("spec.gateway.fallback.claim: ")
    assert fallbacks(world) == set()
    # Nothing of the claim's own is unready for it.
    assert all(world.ready.values())


@pytest.mark.parametrize("comes", [True, False])
def test_no_step_names_a_backend_that_is_not_there(comes: bool) -> None:
    """Objects come and go in any order; a route that names a missing one fails whole."""
    world = beside(*([] if comes else [OTHER]))
    world.strangers = [OTHER] if comes else []
    for _ in range(8):
        there = fallbacks(world)
        world.reconcile()
        named = {one["name"] for one in backends(world)} & {NAME}
        assert not named or {("Backend", NAME), ("AIServiceBackend", NAME)} <= there
        assert not named or fallbacks(world)
        world.settle()
    assert bool(fallbacks(world)) is comes
    assert (NAMED in backends(world)) is comes


def test_another_fallback_replaces_the_first() -> None:
    third = scene.of(name="third", gateway={"enabled": True}) | COMPOSED
    world = beside(OTHER, third)
    world.edit(gateway={"enabled": True, "fallback": {"claim": "third"}})
    world.reconcile()
    assert ("AIServiceBackend", NAME) in fallbacks(world), "the old route may still be read"
    world.converge()
    assert {name for _, name in fallbacks(world)} == {"model.fallback-third"}
    assert backends(world)[1]["modelNameOverride"] == "third"


def test_where_core_reads_nothing_the_fallback_is_taken_to_be_there() -> None:
    assert NAMED in backends(scene.serving(CLAIMED))


def test_two_claims_may_be_each_others_fallback() -> None:
    """A request goes to the other's pods, never through the other's route: nothing goes round."""
    answering = {"enabled": True, "fallback": {"claim": "model"}}
    mutual = scene.of(name="other", gateway=answering) | COMPOSED
    world = beside(mutual)
    assert world.condition("RouteReady") == ("True", "Published")
    hosts = {
        endpoint["fqdn"]["hostname"].partition(".")[0]
        for one in world.objects.values()
        if one["kind"] == "Backend"
        for endpoint in one["spec"]["endpoints"]
    }
    assert hosts == {"model-pods-18fb9fa0", "other"}


def test_a_claim_is_not_its_own_fallback() -> None:
    claimed = scene.of(gateway={"enabled": True, "fallback": {"claim": "model"}})
    assert "spec.gateway.fallback.claim: 'model' is this claim" in scene.refused(claimed)


def test_a_sleeping_claim_is_answered_for_and_still_waked() -> None:
    """The wake query counts the requests of the route's cluster, whichever backend answers them."""
    scaling = {"minReplicas": 0, "maxReplicas": 1}
    world = beside(OTHER, claimed=scene.of(gateway=GATEWAY, scaling=scaling))
    world.one("Deployment")["spec"]["replicas"] = 0
    world.converge()
    assert world.phase == "Idle"
    assert NAMED in backends(world)
    retry = world.one("BackendTrafficPolicy")["spec"]["retry"]
    assert retry["numAttemptsPerPriority"] == 2
    (query,) = [
        one["metadata"]["query"]
        for one in world.one("ScaledObject")["spec"]["triggers"]
        if one.get("name") == "wake"
    ]
    assert 'envoy_cluster_name=~"httproute/llm/model/rule/.*"' in query
