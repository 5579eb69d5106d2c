"""The proxy before a front door: its names, keys and teams, and when its pods come."""

import json
from typing import Any

import hypothesis
import pytest

from function.api import base, settings
from function.composites import inference_gateway
from function.fleet import doors
from function.fleet.edge import wanted
from tests import cluster, controllers, documents, effort, schemas, strategies
from tests.fleet import scene

CODER = scene.member("coder", "sql", labels={"purpose": "code"})
CODER["spec"]["model"]["contextWindow"] = 32768
SMALL = scene.member("small")
POLICY = "CiliumNetworkPolicy"
EDGE = scene.caller("edge")


def proxy(**more: Any) -> cluster.Object:
    return {"litellm": {"caller": "edge", "secretRef": {"name": "litellm"}, **more}}


def door(*callers: cluster.Object, edge: cluster.Object | None = None, **spec: Any) -> Any:
    return scene.of(callers=[EDGE, *callers], edge=edge or proxy(), **spec)


def files(world: cluster.Cluster) -> dict[str, str]:
    data: dict[str, str] = world.one("ConfigMap", "edge-configmap")["data"]
    return data


def read(world: cluster.Cluster) -> Any:
    """Returns what the proxy reads, as it does: YAML 1.1."""
    return documents.parse(files(world)["config.yaml"])


def models(world: cluster.Cluster) -> dict[str, Any]:
    return {model["model_name"]: model for model in read(world)["model_list"]}


def bodies(world: cluster.Cluster) -> Any:
    return json.loads(files(world)["management.json"])


def keys(world: cluster.Cluster) -> dict[str, Any]:
    return {body["key_alias"].rpartition("/")[2]: body for body in bodies(world)["keys"]}


def test_the_names_are_those_that_the_caller_may_use() -> None:
    world = scene.resting(door(), CODER, SMALL)
    assert list(models(world)) == ["coder", "small", "sql"]
    edge = {**EDGE, "models": {"matchLabels": {"purpose": "code"}}}
    world.edit(callers=[edge]).converge()
    assert list(models(world)) == ["coder", "sql"]
    assert world.condition("EdgeReady") == ("True", "Serving")


def test_a_claim_that_comes_or_goes_is_another_pod_and_nothing_else() -> None:
    world = scene.resting(door(), CODER)
    before = documents.copied(world.one("Deployment"))
    world.strangers = [CODER, SMALL]
    world.converge()
    after = world.one("Deployment")
    assert list(models(world)) == ["coder", "small", "sql"]
    (changed,) = {
        key
        for key, value in after["spec"]["template"]["metadata"]["annotations"].items()
        if before["spec"]["template"]["metadata"]["annotations"][key] != value
    }
    assert changed.endswith("/edge-configuration")
    assert before["spec"]["template"]["spec"] == after["spec"]["template"]["spec"]


def test_what_a_model_can_do_follows_from_its_claim() -> None:
    fim = scene.member("fim", offers=("complete",))
    world = scene.resting(door(), CODER, fim, scene.member("vectors", offers=("embed",)))
    made = models(world)
    spoken = {name: model["litellm_params"]["model"] for name, model in made.items()}
    assert spoken == {
        "coder": "openai/coder",
        "fim": "text-completion-openai/fim",
        "sql": "openai/sql",
        "vectors": "openai/vectors",
    }
    modes = {name: model["model_info"]["mode"] for name, model in made.items()}
    assert modes == {"coder": "chat", "fim": "completion", "sql": "chat", "vectors": "embedding"}
    assert made["sql"]["model_info"]["max_input_tokens"] == 32768
    assert "max_input_tokens" not in made["fim"]["model_info"]
    assert made["coder"]["model_info"]["supports_function_calling"] is True


def test_models_of_providers_that_speak_openais_api_are_there() -> None:
    outside = scene.provider("p", "haiku")
    other = scene.provider("q", "opus", api="Anthropic")
    world = scene.resting(door(providers=[outside, other]), SMALL)
    assert list(models(world)) == ["haiku", "small"]


def test_prices_are_numbers_and_a_model_without_one_costs_nothing() -> None:
    """LiteLLM knows prices of public names, and an adapter may be named as one."""
    prices = [
        {"model": "coder", "input": "0.5", "cachedInput": "0.05", "output": "1.5"},
        {"model": "sql", "input": "0.0001"},
    ]
    world = scene.resting(door(prices=prices), CODER, scene.member("gpt-4o"))
    fields = ("input_cost_per_token", "cache_read_input_token_cost", "output_cost_per_token")
    costs = {
        name: [model["litellm_params"][field] for field in fields]
        for name, model in models(world).items()
    }
    assert costs == {"coder": [5e-7, 5e-8, 1.5e-6], "sql": [1e-10, 1e-10, 0], "gpt-4o": [0, 0, 0]}


def test_an_alias_is_the_doors_whoever_names_a_model_so() -> None:
    """An adapter that is named as an alias is another's: it must not answer for it."""
    aliases = [{"name": "best", "model": "small"}, {"name": "lost", "model": "gone"}]
    thief = scene.member("thief", "best")
    world = scene.resting(door(edge=proxy(aliases=aliases)), SMALL, thief)
    assert list(models(world)) == ["small", "thief"]
    assert read(world)["router_settings"]["model_group_alias"] == {"best": "small"}
    assert world.condition("EdgeReady") == ("True", "Partly")
    assert world.message("EdgeReady") == "aliases of no model: lost; names that are left out: best"


@pytest.mark.parametrize("name", sorted(wanted.RESERVED))
def test_no_name_stands_for_all_models(name: str) -> None:
    world = scene.resting(door(), scene.member("small", name))
    assert list(models(world)) == ["small"]
    assert world.condition("EdgeReady") == ("True", "Partly")


def test_keys_name_a_group_and_a_caller_of_nothing_opens_nothing() -> None:
    """A key that names no model opens all of them."""
    chat, nobody = scene.caller("chat"), scene.caller("nobody", names=["gone"])
    nightly = scene.caller("nightly", matchLabels={"purpose": "code"})
    world = scene.resting(door(chat, nobody, nightly), CODER, SMALL)
    assert {name: body["models"] for name, body in keys(world).items()} == {
        name: [f"callers/{name}"] for name in ("chat", "nightly", "nobody")
    }
    groups = {name: model["model_info"]["access_groups"] for name, model in models(world).items()}
    assert groups == {
        "coder": ["callers/chat", "callers/nightly"],
        "small": ["callers/chat"],
        "sql": ["callers/chat", "callers/nightly"],
    }
    assert {body["key_type"] for body in keys(world).values()} == {"llm_api"}


def test_budgets_limits_and_teams_are_what_the_door_says() -> None:
    limits = [
        {"requests": 60, "per": "minute"},
        {"requests": 20, "per": "minute"},
        {"tokens": 9000, "per": "minute", "model": "small"},
        {"tokens": 10**6, "per": "day"},
    ]
    budget = {"amount": "20.5", "per": "month"}
    chat = {**scene.caller("chat"), "budget": budget, "limits": limits}
    team = {"name": "ml", "callers": ["chat"], "budget": {"amount": "100", "per": "day"}}
    asked = door(chat, edge=proxy(teams=[team]), prices=[{"model": "small", "input": "1"}])
    world = scene.resting(asked, SMALL)
    assert bodies(world) == {
        "teams": [
            {
                "team_id": "llm/llm/ml",
                "team_alias": "llm/llm/ml",
                "max_budget": 100,
                "budget_duration": "1d",
            }
        ],
        "keys": [
            {
                "key_alias": "llm/llm/chat",
                "key_type": "llm_api",
                "models": ["callers/chat"],
                "team_id": "llm/llm/ml",
                "max_budget": 20.5,
                "budget_duration": "30d",
                "rpm_limit": 20,
                "model_tpm_limit": {"small": 9000},
            }
        ],
    }
    assert world.message("EdgeReady") == "limits that LiteLLM has no form for: chat"


def test_no_secret_is_in_a_config_map_and_no_pod_has_more_than_its_own() -> None:
    world = scene.resting(door(), SMALL)
    pod = world.one("Deployment")["spec"]["template"]["spec"]
    assert schemas.pod_security(pod) == []
    (container,) = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    secrets = {
        variable["name"]: variable["valueFrom"]["secretKeyRef"]
        for variable in container["env"]
        if "valueFrom" in variable
    }
    assert secrets == {
        "EDGE_KEY": {"name": "edge-key", "key": "edge"},
        "LITELLM_MASTER_KEY": {"name": "litellm", "key": "master-key"},
        "DATABASE_URL": {"name": "litellm", "key": "database-url"},
    }
    general = read(world)["general_settings"]
    given = (general["master_key"], general["database_url"])
    assert given == ("os.environ/LITELLM_MASTER_KEY", "os.environ/DATABASE_URL")


def test_the_pods_come_last_and_stay() -> None:
    """The policy and the Gateway before them; afterwards nothing takes them away."""
    world = scene.world(door(), SMALL)
    steps: list[list[str]] = []
    for _ in range(4):
        world.reconcile()
        there = world.kinds_there()
        steps.append([each for each in (POLICY, "Gateway", "Deployment") if each in there])
        if "Deployment" not in there:
            assert world.condition("EdgeReady") == ("False", "Withheld")
        world.settle()
    assert steps == [
        [POLICY],
        [POLICY, "Gateway"],
        [POLICY, "Gateway", "Deployment"],
        [POLICY, "Gateway", "Deployment"],
    ]
    world.converge()
    assert world.claim["status"]["edgeEndpoint"].startswith("http://llm-edge-")
    world.one(POLICY)["status"] = {
        "conditions": [controllers.condition("Valid", "False", "Invalid", "no such entity")]
    }
    world.reconcile()
    assert "Deployment" in world.kinds_there()
    assert "no such entity" in world.message("EdgeReady")
    world.strangers = []
    world.reconcile()
    assert "Deployment" in world.kinds_there()
    assert (models(world), world.condition("EdgeReady")) == ({}, ("False", "NoModels"))


def test_a_key_from_the_store_is_waited_for() -> None:
    world = scene.world(scene.of(callers=[scene.fetched("edge")], edge=proxy()), SMALL)
    for _ in range(3):
        world.reconcile()
    assert "Deployment" not in world.kinds_there()
    assert world.condition("EdgeReady") == ("False", "KeyPending")
    world.converge()
    assert "llm.caller-edge" in str(world.one("Deployment"))


@pytest.mark.parametrize(("missing", "reason"), [("image", "NoImage"), ("database", "NoDatabase")])
def test_what_the_settings_lack_is_told(missing: str, reason: str) -> None:
    world = scene.world(door(), SMALL)
    world.environments[-1]["data"]["inferenceService"]["frontDoor"]["litellm"].pop(missing)
    world.converge()
    assert "Deployment" not in world.kinds_there()
    assert world.condition("EdgeReady") == ("False", reason)
    assert f"frontDoor.litellm.{missing}" in world.message("EdgeReady")
    assert world.phase == "Serving"


def test_the_configuration_alone_is_for_a_proxy_of_somebody_else() -> None:
    edge = {"litellm": {"caller": "edge", "configurationOnly": True}}
    world = scene.resting(door(scene.caller("chat"), edge=edge), SMALL)
    assert not {"Deployment", "Service", POLICY} & world.kinds_there()
    assert (list(models(world)), list(keys(world))) == (["small"], ["chat"])
    assert "callbacks" not in read(world)["litellm_settings"]
    assert world.condition("EdgeReady") == ("True", "Written")
    assert "edgeEndpoint" not in world.claim["status"]


def test_an_edge_that_goes_leaves_nothing() -> None:
    world = scene.resting(door(), SMALL)
    before = world.kinds_there()
    world.edit(edge=None).converge()
    assert before - world.kinds_there() == {
        *("ConfigMap", "Deployment", "PodDisruptionBudget", "Service", POLICY, "VMServiceScrape")
    }
    assert world.condition("EdgeReady") == ("True", "NotRequested")


def test_the_proxy_calls_the_gateway_by_the_name_that_it_answers_to() -> None:
    plain = scene.resting(door(), SMALL)
    (model,) = models(plain).values()
    where = "http://envoy-llm-llm-fcdf3d4c.envoy-gateway-system.svc.cluster.local/v1"
    assert model["litellm_params"]["api_base"] == where
    authority = {"name": "our-authority"}
    edge = proxy(certificateAuthority=authority)
    named = door(edge=edge, tls={"secretName": "t"}, hostname="llm.priv.cloud.ogenki.io")
    safe = scene.resting(named, SMALL)
    (model,) = models(safe).values()
    assert model["litellm_params"]["api_base"] == "https://llm.priv.cloud.ogenki.io/v1"
    pod = safe.one("Deployment")["spec"]["template"]["spec"]
    assert {"name": "authority", "configMap": authority} in pod["volumes"]
    reached = safe.one(POLICY)["spec"]["egress"][0]["toPorts"][0]["ports"]
    assert reached == [{"port": "10443", "protocol": "TCP"}]


def test_both_forms_of_policy_say_the_same() -> None:
    world = scene.world(door(), SMALL, settings={"providers": {"networkPolicy": "kubernetes"}})
    litellm = world.environments[-1]["data"]["inferenceService"]["frontDoor"]["litellm"]
    litellm["egressCidrs"] = ["192.0.2.0/24"]
    world.converge()
    rules = world.one("NetworkPolicy")["spec"]
    assert rules["policyTypes"] == ["Ingress", "Egress"]
    name = "kubernetes.io/metadata.name"

    def told(rule: Any, side: str) -> Any:
        selector = rule[side][0].get("namespaceSelector", {}).get("matchLabels", {})
        return selector.get(name), [port["port"] for port in rule["ports"]]

    assert [told(rule, "from") for rule in rules["ingress"]] == [
        ("llm", [4000]),
        ("ingress-nginx", [4000]),
        ("observability", [4001]),
    ]
    assert [told(rule, "to") for rule in rules["egress"]] == [
        ("envoy-gateway-system", [10080]),
        ("postgres", [5432]),
        ("kube-system", [53, 53]),
        (None, [80, 5432]),
    ]


@pytest.mark.parametrize(
    ("teams", "words"),
    [
        ([["gone"]], "'gone' is none of callers"),
        ([["edge"]], "'edge' is the proxy itself"),
        ([["chat"], ["chat"]], "'chat' is in team 't0' already"),
    ],
)
def test_teams_are_of_callers_each_in_one(teams: list[list[str]], words: str) -> None:
    listed = [{"name": f"t{index}", "callers": names} for index, names in enumerate(teams)]
    asked = door(scene.caller("chat"), edge=proxy(teams=listed))
    with pytest.raises(base.InvalidError) as refused:
        doors.make(inference_gateway.parse(asked), settings.resolve([]))
    (problem,) = refused.value.problems
    assert words in str(problem)
    assert problem.path.startswith("spec.edge.litellm.teams[")


def test_more_names_than_a_config_map_holds_are_told() -> None:
    crowd = [scene.member(f"m{number:04}") for number in range(wanted.MOST_NAMES + 2)]
    world = scene.resting(door(scene.caller("chat")), *crowd)
    assert len(models(world)) == wanted.MOST_NAMES
    assert len(files(world)["config.yaml"]) < 2**20
    assert world.message("EdgeReady") == "names that are left out: m1024, m1025"


def test_groups_of_callers_take_room_too() -> None:
    """Each name has a group for each of its callers, whose names may be long."""
    callers = [scene.caller(f"c{number:062}") for number in range(60)]
    crowd = [scene.member(f"m{number:04}") for number in range(300)]
    world = scene.resting(door(*callers), *crowd)
    assert 100 < len(models(world)) < 300
    assert len(files(world)["config.yaml"]) + len(files(world)["management.json"]) < 2**20
    assert world.message("EdgeReady").startswith("names that are left out: m")


@effort.examples(15, 40)
@hypothesis.given(strategies.doors())
def test_every_proxy_has_names_that_are_served_and_opens_no_more(document: cluster.Object) -> None:
    spec = document["spec"]
    hypothesis.assume("edge" in spec)
    adapters = ("sql", "best", "no-default-models", "on", "0x1f")
    world = scene.world(document, scene.member("m0", *adapters), scene.member("m1"))
    for environment in world.environments:
        allowed = environment["data"]["inferenceService"].setdefault("allowed", {})
        allowed |= {"remoteRefs": {"*": ["**"]}, "secrets": {"*": ["**"]}}
    world.converge()
    if not any(key.endswith("-door-edge-configmap") for key in world.objects):
        assert world.condition("EdgeReady")[0] == "False"
        return
    made, asked = models(world), spec["edge"]["litellm"]
    served = {model["name"] for model in world.claim["status"]["models"]}
    aliases = read(world)["router_settings"]["model_group_alias"]
    assert made.keys() <= served - wanted.RESERVED
    assert aliases.keys().isdisjoint(made.keys() | wanted.RESERVED)
    assert set(aliases.values()) <= made.keys()
    rules = scene.rules(world)
    allowed_names = rules.get(asked["caller"], [])
    assert allowed_names is None or made.keys() <= set(allowed_names)
    others = {caller["name"] for caller in spec["callers"]} - {asked["caller"]}
    assert keys(world).keys() == others
    for name, model in made.items():
        assert model["litellm_params"]["model"].endswith(f"/{name}")
        for group in model["model_info"]["access_groups"]:
            who = group.removeprefix("callers/")
            assert who in others
            may = rules.get(who)
            assert may is None or name in may
