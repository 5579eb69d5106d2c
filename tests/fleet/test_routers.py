"""Routing by meaning: what a router decides, when its names are published, and what goes wrong."""

import json
from typing import Any

import pytest

from function.api import base, gateway_router, settings
from function.composites import inference_gateway
from function.fleet import doors, meaning, router_config
from tests import cases, cluster, controllers
from tests.fleet import scene

CODER = scene.member("coder", "sql", labels={"purpose": "code"})
CODER["spec"]["routing"] = {"tier": "large", "specialty": "code"}
SMALL = scene.member("small")
ROUTE = "AIGatewayRoute"
IMAGES = {"image": "example.com/extproc:v0.4.0", "proxyImage": "example.com/envoy:v1.37.0"}
CODE: dict[str, Any] = {"keywords": ["traceback"]}


def decision(name: str, to: Any, **when: Any) -> cluster.Object:
    """Returns a decision for a model or what a claim has."""
    return {"name": name, "when": when, "to": {"model": to} if isinstance(to, str) else to}


def router(*decisions: cluster.Object, default: str = "small", **more: Any) -> cluster.Object:
    """Returns a router of one name."""
    model = {"name": "mom", "default": {"model": default}, "decisions": list(decisions)}
    return {"secretRef": {"name": "router-key"}, "models": [model], **more}


def resting(asked: cluster.Object, *members: cluster.Object, **spec: Any) -> cluster.Cluster:
    claims = members or (CODER, SMALL)
    return scene.resting(scene.of(semanticRouter=asked, **spec), *claims)


def written(world: cluster.Cluster) -> Any:
    """Returns what the router reads."""
    return json.loads(world.one("ConfigMap", "router-configmap")["data"]["config.yaml"])


def decided(world: cluster.Cluster) -> dict[str, str]:
    """Returns who answers each decision, in the order in which the router tries them."""
    (recipe,) = written(world)["recipes"]
    ordered = sorted(recipe["routing"]["decisions"], key=lambda one: -one["priority"])
    return {one["name"]: one["modelRefs"][0]["model"] for one in ordered}


def test_the_first_decision_that_holds_counts_and_the_default_otherwise() -> None:
    world = resting(
        router(
            decision("code", "coder", **CODE),
            decision("sql", "sql", domains=["computer science", "engineering"]),
            decision("long", "coder", keywords=["all of it"], tokens={"atLeast": 8000}),
        )
    )
    assert decided(world) == {"code": "coder", "sql": "sql", "long": "coder", "Default": "small"}
    assert list(decided(world)) == ["code", "sql", "long", "Default"]
    (recipe,) = written(world)["recipes"]
    assert recipe["routing"]["signals"] == {
        "keywords": [
            {
                "name": name,
                "operator": "OR",
                "keywords": words,
                "case_sensitive": False,
            }
            for name, words in (("code", ["traceback"]), ("long", ["all of it"]))
        ],
        "domains": [
            {"name": name, "description": name} for name in ("computer science", "engineering")
        ],
        "context": [{"name": "long", "min_tokens": "8000", "max_tokens": "10000000"}],
    }
    # Of one kind any will do, of several kinds all must hold.
    rules = {one["name"]: one["rules"]["conditions"] for one in recipe["routing"]["decisions"]}
    assert [node["operator"] for node in rules["sql"]] == ["OR"]
    assert [leaf["type"] for leaf in rules["long"]] == ["keyword", "context"]
    assert rules["Default"] == []
    assert world.condition("SemanticRouterReady") == ("True", "Routing")


@pytest.mark.parametrize(
    "to",
    [
        {"tier": "large"},
        {"specialty": "code", "tier": "large"},
        {"matchLabels": {"purpose": "code"}},
    ],
    ids=str,
)
def test_who_answers_follows_from_what_claims_have(to: cluster.Object) -> None:
    asked = router(decision("code", to, **CODE))
    assert decided(resting(asked))["code"] == "coder"
    other = scene.member("another", labels={"purpose": "code"})
    other["spec"]["routing"] = {"tier": "large", "specialty": "code"}
    assert decided(resting(asked, CODER, SMALL, other))["code"] == "another"


def test_the_names_are_published_last() -> None:
    """Policy, pods, key, route: nobody is sent to a router that cannot answer."""
    world = scene.world(scene.of(semanticRouter=router()), SMALL)
    steps: list[list[str]] = []
    for _ in range(5):
        world.reconcile()
        there = world.kinds_there() | set(scene.rules(world))
        steps.append([each for each in ("Deployment", "semantic-router", ROUTE) if each in there])
        world.settle()
    assert steps == [
        [],
        ["Deployment"],
        ["Deployment", "semantic-router"],
        ["Deployment", "semantic-router", ROUTE],
        ["Deployment", "semantic-router", ROUTE],
    ]
    assert world.claim["status"]["models"][0] == {"name": "mom", "kind": "virtual"}


def test_a_router_whose_pods_do_not_start_closes_nothing() -> None:
    """Without its Secret they never do, and a policy that names it would refuse every caller."""
    world = scene.world(scene.of(semanticRouter=router(), callers=[scene.caller("chat")]), SMALL)
    for _ in range(4):
        world.reconcile()
        world.settle("Deployment")
    references = world.one("SecurityPolicy")["spec"]["apiKeyAuth"]["credentialRefs"]
    assert [reference["name"] for reference in references] == ["chat-key"]
    assert world.condition("CallersReady") == ("True", "Enforced")
    assert world.condition("SemanticRouterReady") == ("False", "Waiting")
    assert world.claim["status"]["modelsSummary"] == "small"


def references(world: cluster.Cluster) -> list[str]:
    """Returns the Secrets that the policy of keys names."""
    policy = world.one("SecurityPolicy")["spec"]["apiKeyAuth"]
    return [reference["name"] for reference in policy["credentialRefs"]]


def test_another_key_is_asked_for_once_pods_have_started_with_it() -> None:
    """Until then pods of before answer, with the key of before."""
    world = resting(router())
    for _ in range(3):
        world.edit(semanticRouter={**router(), "secretRef": {"name": "other"}}).reconcile()
        world.settle("Deployment")
        assert references(world) == ["router-key"]
        assert scene.rules(world)["semantic-router"] == ["small"]
        assert ROUTE in world.kinds_there()
    assert world.condition("SemanticRouterReady")[0] == "False"
    world.converge()
    assert references(world) == ["other"]
    assert world.condition("SemanticRouterReady") == ("True", "Routing")


def test_a_key_of_before_that_is_gone_closes_nothing() -> None:
    """A policy that names it refuses every caller."""
    world = resting(router(), callers=[scene.caller("chat")])
    world.edit(semanticRouter={**router(), "secretRef": {"name": "other"}}).reconcile()
    gone = controllers.condition("Accepted", "False", "Invalid", "secret llm/router-key not found")
    world.one("SecurityPolicy")["status"]["ancestors"][0]["conditions"] = [gone]
    world.reconcile()
    assert references(world) == ["chat-key"]
    world.converge()
    assert references(world) == ["chat-key", "other"]


def test_a_router_that_is_down_takes_its_names_alone() -> None:
    world = resting(router(), callers=[scene.caller("chat")])
    pods = world.one("Deployment")
    pods["status"]["conditions"] = [controllers.condition("Available", "False")]
    world.reconcile()
    assert world.condition("SemanticRouterReady") == ("False", "Unresolved")
    assert ROUTE in world.kinds_there()
    assert world.condition("CallersReady") == ("True", "Enforced")
    assert world.phase == "Serving"
    assert set(scene.rules(world)) == {"chat", "semantic-router"}


def test_the_router_may_use_what_it_decides_and_no_virtual_name() -> None:
    """With one it would ask itself, again and again."""
    other = scene.member("other")
    callers = [scene.caller("chat", names=["mom"])]
    world = resting(router(decision("code", "sql", **CODE)), CODER, SMALL, other, callers=callers)
    assert scene.rules(world) == {"chat": ["mom"], "semantic-router": ["small", "sql"]}
    assert world.claim["status"]["callers"] == 1


def test_a_claim_that_goes_takes_its_decision_alone() -> None:
    long = decision("long", "small", tokens={"atLeast": 9})
    world = resting(router(decision("code", "coder", **CODE), long))
    template = world.one("Deployment")["spec"]["template"]
    world.strangers = [SMALL]
    world.converge()
    assert decided(world) == {"long": "small", "Default": "small"}
    assert [model["name"] for model in written(world)["providers"]["models"]] == ["small"]
    assert world.condition("SemanticRouterReady") == ("True", "Partly")
    assert world.message("SemanticRouterReady") == "nobody serves the model of code (mom)"
    # The router reads its configuration anew: no pod starts again.
    assert world.one("Deployment")["spec"]["template"] == template


def test_a_name_without_its_default_is_not_published() -> None:
    world = resting(router(default="gone"))
    assert "Deployment" not in world.kinds_there()
    assert world.condition("SemanticRouterReady") == ("False", "NoDefault")
    world.strangers = [*(world.strangers or ()), scene.member("gone")]
    world.converge()
    assert world.condition("SemanticRouterReady") == ("True", "Routing")


def test_the_pods_are_never_without_a_policy_while_its_provider_changes() -> None:
    """Whoever reaches them uses the models with the router's key."""
    world = resting(router())
    given = world.environments[-1]["data"]["inferenceService"]
    given["providers"] = {"networkPolicy": "kubernetes", "withdrawn": ["cilium"]}
    world.reconcile()
    assert {"CiliumNetworkPolicy", "NetworkPolicy"} <= world.kinds_there()
    world.converge()
    assert "CiliumNetworkPolicy" not in world.kinds_there()


def test_a_key_that_changes_is_said_until_pods_have_it() -> None:
    """Pods of before serve on, with a key that the Gateway does not know any more."""
    world = resting(router())
    world.edit(semanticRouter=router(secretRef={"name": "another"}))
    for _ in range(2):
        world.reconcile()
    assert world.condition("SemanticRouterReady") == ("False", "Waiting")
    assert "does not know the router's key" in world.message("SemanticRouterReady")
    world.converge()
    assert world.condition("SemanticRouterReady") == ("True", "Routing")


@pytest.mark.parametrize("taken", ["claim", "OpenAI", "Anthropic"])
def test_a_name_that_somebody_serves_is_theirs(taken: str) -> None:
    members = (SMALL, scene.member("mom")) if taken == "claim" else (SMALL,)
    provider = scene.provider("p", "mom", api=taken)
    spec = {} if taken == "claim" else {"providers": [provider]}
    world = resting(router(), *members, **spec)
    assert world.condition("SemanticRouterReady") == ("False", "NameTaken")
    assert "Deployment" not in world.kinds_there()


def test_a_name_of_a_claim_beside_the_selected_ones_is_its_own() -> None:
    """The routes of all claims are on the same Gateway."""
    labelled = scene.member("small", labels={"purpose": "code"})
    selector = {"matchLabels": {"purpose": "code"}}
    providers = [scene.provider("p", "mom", "m")]
    world = resting(router(), labelled, scene.member("mom"), selector=selector)
    assert world.condition("SemanticRouterReady") == ("False", "NameTaken")
    world = scene.resting(
        scene.of(providers=providers, selector=selector), labelled, scene.member("mom")
    )
    assert world.condition("ProvidersReady") == ("False", "NameTaken")
    assert {one["name"] for one in world.claim["status"]["models"]} == {"small", "m"}


def test_a_provider_without_openais_api_answers_no_decision() -> None:
    asked = router(decision("hard", "opus", **CODE))
    providers = [scene.provider("p", "opus", api="Anthropic")]
    world = resting(asked, providers=providers)
    assert decided(world) == {"Default": "small"}
    world = resting(asked, providers=[scene.provider("p", "opus")])
    assert decided(world) == {"hard": "opus", "Default": "small"}


def test_without_images_all_of_it_is_withheld() -> None:
    site = {"frontDoor": {"namespaces": {"llm": "llm"}}}
    world = scene.world(scene.of(semanticRouter=router()), SMALL, settings=site)
    world.converge()
    assert not {"Deployment", "ConfigMap", ROUTE} & world.kinds_there()
    assert world.condition("SemanticRouterReady") == ("False", "NoImage")


def test_the_configuration_alone_is_for_a_router_of_somebody_else() -> None:
    asked = router(decision("code", "coder", **CODE), configurationOnly=True)
    del asked["secretRef"]
    world = resting(asked)
    assert decided(world) == {"code": "coder", "Default": "small"}
    assert not {"Deployment", "Service", ROUTE} & world.kinds_there()
    assert list(world.one("ConfigMap", "router-configmap")["data"]) == ["config.yaml"]
    assert world.condition("SemanticRouterReady") == ("True", "Written")
    assert world.claim["status"]["modelsSummary"] == "coder,small,sql"


def test_a_router_that_goes_leaves_nothing() -> None:
    world = resting(router())
    before = world.kinds_there()
    world.edit(semanticRouter=None).converge()
    gone = before - world.kinds_there()
    assert {"Deployment", "ConfigMap", "Service", ROUTE, "Backend", "AIServiceBackend"} <= gone
    assert "semantic-router" not in scene.rules(world)
    assert world.condition("SemanticRouterReady") == ("True", "NotRequested")


def test_a_kind_that_the_cluster_lacks_is_told() -> None:
    world = scene.world(scene.of(semanticRouter=router()), SMALL)
    lacking = "operator.victoriametrics.com/v1beta1/VMServiceScrape"
    world.kinds = {"v1/Service": True, lacking: False}
    world.converge()
    assert world.condition("SemanticRouterReady") == ("False", "KindMissing")
    assert "providers.monitoring" in world.message("SemanticRouterReady")


def proxy(**spec: Any) -> Any:
    """Returns what the router's proxy reads."""
    asked = scene.of(semanticRouter=router(), **spec)
    door = doors.make(
        inference_gateway.parse(asked),
        settings.resolve([{"frontDoor": {"semanticRouter": IMAGES}}]),
    )
    return router_config.proxy(door)["static_resources"]


def test_nothing_is_sent_without_the_routers_word() -> None:
    (listener,) = proxy()["listeners"]
    (connections,) = listener["filter_chains"][0]["filters"]
    judging = connections["typed_config"]["http_filters"][1]["typed_config"]
    assert judging["failure_mode_allow"] is False
    assert judging["processing_mode"]["response_body_mode"] == "NONE"


def test_the_proxy_calls_the_gateway_within_the_cluster() -> None:
    """As Envoy Gateway names the Service: it hashes namespace and name."""
    (_, plain), (_, safe) = (
        proxy()["clusters"],
        proxy(tls={"secretName": "t"}, hostname="llm.example.com")["clusters"],
    )
    address = plain["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]
    assert address["socket_address"] == {
        "address": "envoy-llm-llm-fcdf3d4c.envoy-gateway-system.svc.cluster.local",
        "port_value": 80,
    }
    context = safe["transport_socket"]["typed_config"]
    assert context["sni"] == "llm.example.com"
    (name,) = context["common_tls_context"]["validation_context"]["match_typed_subject_alt_names"]
    assert name["matcher"] == {"exact": "llm.example.com"}


CASES = {
    "the same words": ([CODE], CODE, True),
    "a phrase with the word in it": ([CODE], {"keywords": ["python Traceback here"]}, True),
    "a word that begins like it": ([CODE], {"keywords": ["tracebacks"]}, False),
    "the same words and more": ([CODE], {"keywords": ["traceback", "panic"]}, False),
    "of the same words those of a subject": ([CODE], {**CODE, "domains": ["law"]}, True),
    "another kind": ([CODE], {"domains": ["law"]}, False),
    "a shorter band": (
        [{"tokens": {"atLeast": 9}}],
        {"tokens": {"atLeast": 10, "atMost": 20}},
        True,
    ),
    "a longer band": ([{"tokens": {"atLeast": 9}}], {"tokens": {"atLeast": 8}}, False),
    "after every length": ([{"tokens": {"atLeast": 1}}], CODE, True),
    "after some lengths": ([{"tokens": {"atLeast": 2}}], CODE, False),
    "bands together": (
        [{"tokens": {"atMost": 9}}, {"tokens": {"atLeast": 10}}],
        {"domains": ["law"]},
        True,
    ),
    "bands with a gap": (
        [{"tokens": {"atMost": 9}}, {"tokens": {"atLeast": 11}}],
        {"domains": ["law"]},
        False,
    ),
    "subjects together": (
        [{"domains": ["law"]}, {"domains": ["math"]}],
        {"domains": ["law", "math"]},
        True,
    ),
}


@cases.together("case", CASES.items())
def test_a_decision_that_no_prompt_reaches(case: tuple[list[Any], Any, bool]) -> None:
    before, last, lost = case
    named = [decision(f"d{place}", "m", **when) for place, when in enumerate([*before, last])]
    read = [gateway_router.Decision.model_validate(one) for one in named]
    assert [place for place, _ in meaning.unreachable(read)] == ([len(before)] if lost else [])


def test_a_decision_that_no_prompt_reaches_is_refused() -> None:
    asked = router(decision("a", "coder", **CODE), decision("b", "small", **CODE))
    with pytest.raises(base.InvalidError) as refused:
        doors.make(inference_gateway.parse(scene.of(semanticRouter=asked)), settings.resolve([]))
    assert str(refused.value.problems[0]).startswith(
        "spec.semanticRouter.models[0].decisions[1]: decision 'a' takes every prompt of it"
    )


def test_no_caller_has_the_routers_name() -> None:
    asked = scene.of(semanticRouter=router(), callers=[scene.caller("semantic-router")])
    with pytest.raises(base.InvalidError) as refused:
        doors.make(inference_gateway.parse(asked), settings.resolve([]))
    assert refused.value.problems[0].path == "spec.callers[0].name"
