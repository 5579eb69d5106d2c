"""A provider of the front door that answers while no pod of the claim does."""

from typing import Any

import pytest

from function.cluster import routes
from tests import cluster, schemas
from tests.fleet import scene as doors
from tests.resources import scene

GATEWAY: Any = {"enabled": True, "fallback": {"provider": "anthropic", "model": "haiku"}}
CLAIMED = scene.of(gateway=GATEWAY)
MODELS = [{"name": "haiku", "upstream": "claude-haiku-4-5"}, {"name": "opus"}]
DOOR = doors.of(
    providers=[
        doors.provider("anthropic", models=MODELS),
        doors.provider("native", "sonnet", api="Anthropic"),
    ]
)
NAME = "model.outside-anthropic"
NAMED = {"name": NAME, "modelNameOverride": "claude-haiku-4-5", "priority": 1, "weight": 1}
KINDS = ("Backend", "AIServiceBackend", "BackendSecurityPolicy")
FRONT_DOOR = {"namespaces": {"llm": "llm"}}


def beside(
    *strangers: cluster.Object, claimed: cluster.Object = CLAIMED, **settings: Any
) -> cluster.Cluster:
    """The claim at rest, in a namespace with these other objects."""
    world = cluster.Cluster(claimed, scene.site(**{"frontDoor": FRONT_DOOR, **settings}))
    world.strangers = list(strangers)
    world.converge()
    return world


def backends(world: cluster.Cluster) -> list[Any]:
    (base, *_) = world.one("AIGatewayRoute")["spec"]["rules"]
    assert isinstance(base["backendRefs"], list)
    return base["backendRefs"]


def composed(world: cluster.Cluster) -> set[tuple[str, str]]:
    objects = ((one["kind"], one["metadata"]["name"]) for one in world.objects.values())
    return {(kind, name) for kind, name in objects if ".outside-" in name}


def asking(**fallback: str) -> cluster.Object:
    return scene.of(gateway={"enabled": True, "fallback": fallback})


def test_the_provider_has_the_lowest_priority_its_own_key_and_its_own_model_name() -> None:
    world = beside(DOOR)
    assert backends(world) == [{"name": "model", "weight": 100}, NAMED]
    assert world.condition("RouteReady") == ("True", "Published")
    assert composed(world) == {(kind, NAME) for kind in KINDS}
    for key, item in world.owned.items():
        if item["kind"] in (*KINDS, "AIGatewayRoute", "BackendTrafficPolicy"):
            assert schemas.validate(item) == [], key
    backend = world.objects["model-outside-backend-anthropic"]["spec"]
    assert backend["endpoints"] == [{"fqdn": {"hostname": "api.example.com", "port": 443}}]
    assert backend["tls"] == {"sni": "api.example.com", "wellKnownCACertificates": "System"}
    spoken = world.objects["model-outside-aiservicebackend-anthropic"]["spec"]
    assert spoken["schema"] == {"name": "OpenAI"}
    assert spoken["headerMutation"] == {"remove": ["x-inference-caller"]}
    key = world.objects["model-outside-key-anthropic"]["spec"]
    assert key["apiKey"]["secretRef"] == {"name": "anthropic-key", "namespace": "llm"}
    assert [target["name"] for target in key["targetRefs"]] == [NAME]


def test_a_provider_is_asked_for_no_health_and_two_tries_are_for_pods() -> None:
    """It has no path of an engine's, so it would count as dead, and be asked all day."""
    spec = beside(DOOR).one("BackendTrafficPolicy")["spec"]
    assert set(spec["healthCheck"]) == {"passive"}
    assert (spec["retry"]["numRetries"], spec["retry"]["numAttemptsPerPriority"]) == (2, 2)
    without = beside().one("BackendTrafficPolicy")["spec"]
    assert set(without["healthCheck"]) == {"active", "passive"}


def test_a_model_without_another_name_is_asked_for_by_its_own() -> None:
    world = beside(DOOR, claimed=asking(provider="anthropic", model="opus"))
    assert backends(world)[1]["modelNameOverride"] == "opus"


def test_a_provider_learns_who_asks_where_tokens_are_counted() -> None:
    """As it does by the door's own route."""
    caller = {**doors.caller("chat"), "limits": [{"tokens": 1000, "per": "day"}]}
    door = doors.of(**DOOR["spec"], callers=[caller])
    counted = beside(door, frontDoor={**FRONT_DOOR, "limiter": "envoy"})
    spoken = counted.objects["model-outside-aiservicebackend-anthropic"]["spec"]
    assert "headerMutation" not in spoken
    uncounted = beside(door).objects["model-outside-aiservicebackend-anthropic"]["spec"]
    assert uncounted["headerMutation"] == {"remove": ["x-inference-caller"]}


def refused() -> cluster.Object:
    conditions = [{"type": "Valid", "status": "False", "reason": "Invalid"}]
    return {**DOOR, "status": {"conditions": conditions}}


@pytest.mark.parametrize(
    ("strangers", "fallback", "words"),
    [
        ([], {}, "the namespace has no InferenceGateway llm: create it"),
        ([doors.of()], {}, "InferenceGateway llm has no such provider: it has none"),
        ([DOOR], {"provider": "other"}, "no such provider: name one of anthropic, native"),
        ([DOOR], {"model": "sonnet"}, "anthropic has no model sonnet: name one of haiku, opus"),
        (
            [DOOR],
            {"provider": "native", "model": "sonnet"},
            "native speaks the API of Anthropic, into which the gateway translates no chat",
        ),
        ([refused()], {}, "InferenceGateway llm is refused: its condition Valid says why"),
        ([doors.of(providers=[{"name": "anthropic"}])], {}, "InferenceGateway llm is refused"),
    ],
    ids=["no door", "no providers", "no provider", "no model", "Anthropic", "refused", "broken"],
)
def test_a_provider_that_cannot_answer_is_named_in_words_alone(
    strangers: list[cluster.Object], fallback: dict[str, str], words: str
) -> None:
    claimed = asking(**({"provider": "anthropic", "model": "haiku"} | fallback))
    world = beside(*strangers, claimed=claimed)
    assert backends(world) == [{"name": "model", "weight": 100}]
    assert world.condition("RouteReady") == ("False", "FallbackAbsent")
    assert world.message("RouteReady").startswith("spec.gateway.fallback.provider: ")
    assert words in world.message("RouteReady")
    assert composed(world) == set()
    assert all(world.ready.values())


EMBEDS: Any = {"repository": "BAAI/bge-m3"}


@pytest.mark.parametrize("engine", ["vllm", "tei"])
@pytest.mark.parametrize(
    ("model", "answers"),
    [
        ({"name": "small", "upstream": "text-embedding-3-small"}, False),
        ({"name": "gpt"}, False),
        ({"name": "bge-m3-retromae"}, False),
        ({"name": "bge", "upstream": "BAAI/bge-m3"}, True),
        ({"name": "BGE-M3", "upstream": "embeddings-of-ours"}, True),
    ],
)
def test_vectors_are_made_by_the_same_model_alone(
    engine: str, model: dict[str, str], answers: bool
) -> None:
    fallback = {"provider": "far", "model": model["name"]}
    gateway = {"enabled": True, "fallback": fallback}
    claimed = scene.of(model=EMBEDS, engine={"kind": engine}, gateway=gateway)
    world = beside(doors.of(providers=[doors.provider("far", models=[model])]), claimed=claimed)
    assert (len(backends(world)) == 2) is answers
    if not answers:
        words = f"provider far has {model.get('upstream', model['name'])}, and this claim makes"
        assert world.condition("RouteReady") == ("False", "FallbackAbsent")
        assert words in world.message("RouteReady")


def test_a_host_that_the_settings_take_back_is_asked_for_nothing() -> None:
    """The door is refused for it, and what it says now counts for no claim either."""
    world = beside(DOOR, allowed={"providerHosts": {"*": ["api.other.example"]}})
    assert "the settings do not allow the host api.example.com" in world.message("RouteReady")
    assert composed(world) == set()


def test_without_a_front_door_there_is_no_provider() -> None:
    world = beside(DOOR, frontDoor={"namespaces": {}})
    assert "are published on no InferenceGateway" in world.message("RouteReady")


def test_only_who_may_sends_prompts_out() -> None:
    """The default of the settings is nobody."""
    config = scene.site(frontDoor=FRONT_DOOR)
    config["data"]["inferenceService"]["allowed"] = {}
    words = scene.refused(CLAIMED, config)
    assert "spec.gateway.fallback.provider: the settings do not allow 'anthropic'" in words
    assert "allowed.fallbackProviders has nothing" in words


@pytest.mark.parametrize("comes", [True, False])
def test_no_step_names_a_backend_that_is_not_there(comes: bool) -> None:
    """The provider comes to the door, or goes from it: the route is whole at every step."""
    world = beside(*([] if comes else [DOOR]))
    world.strangers = [DOOR] if comes else [doors.of()]
    for _ in range(8):
        there = composed(world)
        world.reconcile()
        named = {one["name"] for one in backends(world)} & {NAME}
        assert not named or {(kind, NAME) for kind in KINDS} <= there & composed(world)
        world.settle()
    assert bool(composed(world)) is comes
    assert (NAMED in backends(world)) is comes


def test_another_provider_replaces_the_first() -> None:
    other = doors.provider("openai", "gpt")
    door = doors.of(providers=[*DOOR["spec"]["providers"], other])
    world = beside(door)
    before = world.owned["model-outside-backend-anthropic"]
    world.edit(gateway={"enabled": True, "fallback": {"provider": "openai", "model": "gpt"}})
    world.reconcile()
    assert world.owned["model-outside-backend-anthropic"] == before, "the old route may be read"
    world.converge()
    assert {name for _, name in composed(world)} == {"model.outside-openai"}
    assert backends(world)[1]["modelNameOverride"] == "gpt"


def test_a_sleeping_claim_is_answered_for_and_still_waked() -> None:
    """The wake query counts the requests of the route's cluster, whichever backend answers them."""
    scaling = {"minReplicas": 0, "maxReplicas": 1}
    world = beside(DOOR, claimed=scene.of(gateway=GATEWAY, scaling=scaling))
    world.one("Deployment")["spec"]["replicas"] = 0
    world.converge()
    assert world.phase == "Idle"
    assert NAMED in backends(world)


def test_where_core_reads_nothing_the_route_does_without() -> None:
    """Where the provider is, its front door alone knows."""
    world = scene.serving(CLAIMED, scene.site(frontDoor=FRONT_DOOR))
    assert backends(world) == [{"name": "model", "weight": 100}]
    assert world.condition("RouteReady") == ("True", "Published")


def test_a_fallback_is_no_canary_whatever_it_calls_the_model() -> None:
    """The gate of an adapter of that name would wait for ever."""
    backends = [
        {"name": "a", "weight": 95},
        {"name": "b", "weight": 5, "modelNameOverride": "sql"},
        {"name": "c", "weight": 1, "modelNameOverride": "sql", "priority": 1},
    ]
    assert routes.weights({"spec": {"rules": [{"backendRefs": backends}]}}) == {"sql": 5}
