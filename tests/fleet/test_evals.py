"""Evaluations: which models are asked, what, with whose key, and what they wait for."""

import json
from typing import Any

import pytest

from function.planning import identity
from tests import cluster, controllers, documents, schemas
from tests.alerts import promql, sources
from tests.fleet import scene

CODER = scene.member("coder", "sql", labels={"purpose": "code"})
POLICY, CRON_JOB = "CiliumNetworkPolicy", "CronJob"
ASKED: Any = {"caller": "nightly"}


def door(evals: Any = ASKED, **caller: Any) -> cluster.Object:
    callers = [scene.caller("chat"), {**scene.caller("nightly"), **caller}]
    return scene.of(callers=callers, evals=evals)


def jobs(world: cluster.Cluster) -> dict[str, cluster.Object]:
    """Returns the CronJobs by the model that they ask."""
    made = {}
    for item in world.objects.values():
        if item["kind"] == CRON_JOB:
            template = item["spec"]["jobTemplate"]["spec"]["template"]["spec"]
            (exporter,) = template["containers"]
            labels = {one["name"]: one["value"] for one in exporter["env"]}["EVALS_LABELS"]
            made[json.loads(labels)["model"]] = item
    return made


def configuration(world: cluster.Cluster, model: str) -> cluster.Object:
    """Returns what a model is asked."""
    (text,) = [
        item["data"]["promptfooconfig.json"]
        for item in world.objects.values()
        if item["metadata"]["name"] == f"llm.eval-{model}"
    ]
    document: cluster.Object = json.loads(text)
    return document


def cases(world: cluster.Cluster, model: str) -> list[str]:
    tests = configuration(world, model)["tests"]
    return [one if isinstance(one, str) else one["metadata"]["case"] for one in tests]


@pytest.mark.parametrize(
    ("offers", "asked", "provider"),
    [
        (("chat",), ["answers", "json"], "openai:chat:m"),
        (("chat", "tools"), ["answers", "json", "tools"], "openai:chat:m"),
        (("complete", "tools"), ["completes"], "openai:completion:m"),
        (("embed",), ["embeds"], "https"),
        (("guard",), ["passes", "blocks"], "openai:chat:m"),
        ((), ["answers", "json"], "openai:chat:m"),
    ],
)
def test_a_model_is_asked_what_its_claim_offers(
    offers: tuple[str, ...], asked: list[str], provider: str
) -> None:
    world = scene.resting(door(), scene.member("m", offers=offers))
    assert cases(world, "m") == asked
    assert [one["id"] for one in configuration(world, "m")["providers"]] == [provider]
    assert world.condition("EvalsReady") == ("True", "Scheduled")


def test_a_zone_that_nobody_knows_comes_with_the_nearest() -> None:
    """kube-state-metrics ends at a CronJob whose zone it does not know, for everybody."""
    world = scene.world(door({**ASKED, "timeZone": "Europe/Pari"})).reconcile()
    words = "spec.evals.timeZone: 'Europe/Pari' is none of 420 names; the nearest is Europe/Paris"
    assert words in str(world.fatal)


@pytest.mark.parametrize("zone", ["UTC", "Etc/UTC", "GMT"])
def test_the_worlds_time_has_three_names(zone: str) -> None:
    world = scene.world(door({**ASKED, "timeZone": zone}), CODER).reconcile()
    assert world.fatal is None


def test_one_that_thinks_has_room_to() -> None:
    world = scene.resting(door(), scene.member("m", offers=("chat", "reasoning")))
    assert configuration(world, "m")["providers"][0]["config"]["max_tokens"] == 2048


def test_every_model_and_adapter_has_a_job_with_the_callers_key() -> None:
    world = scene.resting(door({**ASKED, "timeZone": "Europe/Paris"}), CODER)
    assert set(jobs(world)) == {"coder", "sql"}
    for item in jobs(world).values():
        spec = item["spec"]
        assert (spec["schedule"], spec["timeZone"]) == ("0 2 * * *", "Europe/Paris")
        assert len(item["metadata"]["name"]) <= 52
        pod = spec["jobTemplate"]["spec"]["template"]["spec"]
        (promptfoo,), (exporter,) = pod["initContainers"], pod["containers"]
        assert schemas.pod_security(pod) == []
        assert all(
            one["securityContext"]["readOnlyRootFilesystem"] for one in (promptfoo, exporter)
        )
        keys = [one["valueFrom"] for one in promptfoo["env"] if one["name"] == "OPENAI_API_KEY"]
        assert keys == [{"secretKeyRef": {"name": "nightly-key", "key": "nightly"}}]
        assert "valueFrom" not in str(exporter), "who writes results needs no key"


def test_a_key_from_the_store_is_waited_for() -> None:
    world = scene.resting(scene.of(callers=[scene.caller("chat")]), CODER)
    assert world.condition("EvalsReady") == ("True", "NotRequested")
    world.edit(callers=[scene.fetched("nightly")], evals=ASKED)
    for _ in range(3):
        world.reconcile()
    assert CRON_JOB not in world.kinds_there()
    assert world.condition("EvalsReady") == ("False", "KeyPending")
    world.converge()
    (promptfoo,) = jobs(world)["coder"]["spec"]["jobTemplate"]["spec"]["template"]["spec"][
        "initContainers"
    ]
    assert "llm.caller-nightly" in str(promptfoo["env"])


def test_pods_that_ask_are_never_without_a_policy() -> None:
    """Core deletes before it applies: the new policy protects before the old one goes."""
    world = scene.resting(door(), CODER)
    given = world.environments[1]["data"]["inferenceService"]
    given["providers"] = {"networkPolicy": "kubernetes", "withdrawn": ["cilium"]}
    world.reconcile()
    assert {"CiliumNetworkPolicy", "NetworkPolicy"} <= world.kinds_there()
    assert jobs(world)["coder"]["spec"].get("suspend") is True, "no new pod meanwhile"
    world.converge()
    assert "CiliumNetworkPolicy" not in world.kinds_there()
    assert "suspend" not in jobs(world)["coder"]["spec"]


def test_models_are_selected_and_the_callers_own_rules_hold() -> None:
    other = scene.member("other")
    evals = {**ASKED, "models": {"names": ["other", "nobody"], "matchLabels": {"purpose": "code"}}}
    world = scene.resting(door(evals), CODER, other, scene.member("third"))
    assert set(jobs(world)) == {"coder", "sql", "other"}
    assert world.condition("EvalsReady") == ("True", "Partly")
    assert "no published claim serves nobody" in world.message("EvalsReady")
    world = scene.resting(door(evals, models={"names": ["sql"]}), CODER, other)
    assert set(jobs(world)) == {"sql"}
    assert "nightly may not use coder, other" in world.message("EvalsReady")
    world = scene.resting(door(models={"names": ["sql"]}), CODER, other)
    assert world.condition("EvalsReady") == ("True", "Scheduled")
    world = scene.resting(door({**ASKED, "models": {}}), CODER)
    assert world.condition("EvalsReady") == ("False", "NoModels")


def test_a_claim_that_comes_or_goes_takes_its_own_job_alone() -> None:
    world = scene.resting(door(), CODER)
    kept = documents.copied(jobs(world)["coder"])
    world.strangers = [CODER, scene.member("other"), {**scene.member("x"), "status": {"offers": 1}}]
    world.converge()
    assert set(jobs(world)) == {"coder", "sql", "other"}
    assert jobs(world)["coder"] == kept
    world.strangers = []
    world.converge()
    assert not {CRON_JOB, POLICY, "VMRule"} & world.kinds_there()
    assert world.condition("EvalsReady") == ("False", "NoModels")


def test_adapters_whose_names_look_alike_are_two_models() -> None:
    """Authors of claims choose these names: a key that two had would end the whole front door."""
    alike = identity.object_name("Foo_x")
    world = scene.resting(door(), scene.member("a", "Foo_x"), scene.member("b", alike))
    assert set(jobs(world)) == {"a", "Foo_x", "b", alike}
    names = [item["metadata"]["name"] for item in jobs(world).values()]
    assert len({*names}) == 4
    assert not any("." in name for name in names)


def test_the_policy_comes_first_and_a_job_without_it_starts_no_pod() -> None:
    world = scene.world(door(), CODER)
    while "Gateway" not in world.kinds_there():
        assert CRON_JOB not in world.kinds_there()
        world.settle().reconcile()
    world.converge()
    assert "suspend" not in jobs(world)["coder"]["spec"]
    world.one(POLICY)["status"] = {
        "conditions": [controllers.condition("Valid", "False", "Invalid", "no such entity")]
    }
    world.reconcile()
    assert jobs(world)["coder"]["spec"]["suspend"] is True
    assert world.condition("EvalsReady") == ("False", "Withheld")
    assert "no such entity" in world.message("EvalsReady")


def test_a_gateway_that_loses_its_address_changes_no_job() -> None:
    world = scene.resting(door(), CODER)
    before = documents.copied(jobs(world))
    assert configuration(world, "coder")["providers"][0]["config"]["apiBaseUrl"]
    world.one("Gateway")["status"].pop("addresses")
    world.reconcile()
    assert jobs(world) == before


@pytest.mark.parametrize(
    ("missing", "reason", "words"),
    [
        ("image", "NoImage", "frontDoor.evals.image"),
        ("pushURL", "NoStore", "frontDoor.evals.pushURL"),
        ("store", "NoStore", "frontDoor.evals.store"),
    ],
)
def test_what_the_settings_lack_is_told(missing: str, reason: str, words: str) -> None:
    world = scene.world(door(), CODER)
    world.environments[-1]["data"]["inferenceService"]["frontDoor"]["evals"].pop(missing)
    world.converge()
    assert CRON_JOB not in world.kinds_there()
    assert world.condition("EvalsReady") == ("False", reason)
    assert words in world.claim["status"]["waitingFor"]
    assert world.phase == "Serving"


def test_networks_stand_in_for_pods_of_the_store() -> None:
    world = scene.world(door(), CODER)
    evals = world.environments[-1]["data"]["inferenceService"]["frontDoor"]["evals"]
    evals.pop("store")
    evals["egressCidrs"] = ["192.0.2.0/24"]
    world.converge()
    *_, networks = world.one(POLICY)["spec"]["egress"]
    assert networks["toCIDR"] == ["192.0.2.0/24"]
    assert [one["port"] for one in networks["toPorts"][0]["ports"]] == ["80", "8428"]


def native(**more: Any) -> cluster.Cluster:
    world = scene.world(door(), CODER, settings={"providers": {"networkPolicy": "kubernetes"}})
    world.environments[-1]["data"]["inferenceService"]["frontDoor"]["evals"] |= more
    world.converge()
    return world


def test_both_forms_of_policy_say_the_same() -> None:
    rules = native(egressCidrs=["192.0.2.0/24"]).one("NetworkPolicy")["spec"]
    assert rules["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in rules
    reached = [
        (
            one["to"][0].get("namespaceSelector", {}).get("matchLabels"),
            [port["port"] for port in one["ports"]],
        )
        for one in rules["egress"]
    ]
    name = "kubernetes.io/metadata.name"
    assert reached == [
        ({name: "envoy-gateway-system"}, [10080]),
        ({name: "observability"}, [8428]),
        ({name: "kube-system"}, [53, 53]),
        (None, [80, 8428]),
    ]


def test_the_settings_say_who_may_have_cases_of_their_own() -> None:
    """They can be code, which has the caller's key."""
    own = {**ASKED, "cases": {"configMapRef": {"name": "ours", "key": "q.yaml"}}}
    world = scene.resting(door(own), CODER)
    assert cases(world, "coder")[-1] == "file:///etc/evals/cases/q.yaml"
    world = scene.world(door(own), CODER, settings={"permissions": {}}).reconcile()
    assert world.fatal is not None
    assert "spec.evals.cases: the settings do not allow this in namespace llm" in world.fatal
    assert "permissions.evalCases" in world.fatal


def test_cases_read_no_secret_that_the_settings_do_not_grant() -> None:
    """They can be code: its author would read each key of the namespace that can name a caller."""
    other = {"secretRef": {"name": "database"}}
    world = scene.world(door(**other), CODER).reconcile()
    assert world.fatal is None
    own = {**ASKED, "cases": {"configMapRef": {"name": "ours"}}}
    world = scene.world(door(own, **other), CODER).reconcile()
    assert world.fatal is not None
    assert "spec.callers[1].secretRef.name: " in world.fatal
    assert "allowed.secrets" in world.fatal


def test_a_range_that_ends_before_it_begins_is_refused() -> None:
    """The API server would refuse the CronJob."""
    world = scene.world(door({**ASKED, "schedule": "0 2 1-7,9 * 5-1"}), CODER).reconcile()
    assert "spec.evals.schedule: 5-1 ends before it begins" in str(world.fatal)
    world = scene.world(door({**ASKED, "schedule": "0-30/5 9-10 1-7,9 * 1-5"}), CODER).reconcile()
    assert world.fatal is None


def expressions(world: cluster.Cluster, kind: str) -> dict[str, str]:
    (group,) = world.one(kind)["spec"]["groups"]
    return {rule["alert"]: rule["expr"] for rule in group["rules"]}


def test_alerts_are_in_both_forms_and_follow_the_thresholds() -> None:
    thresholds = {"passPercent": 75, "dropPercent": 5, "missingDays": 8}
    evals = {**ASKED, "thresholds": thresholds}
    made = []
    for provider, kind in (
        ("victoriametrics", "VMRule"),
        ("prometheus-operator", "PrometheusRule"),
    ):
        world = scene.world(door(evals), CODER, settings={"providers": {"monitoring": provider}})
        world.converge()
        made.append(expressions(world, kind))
    assert made[0] == made[1]
    assert "[8d])) * 100 < 75 and" in made[0]["InferenceGatewayEvalsFail"]
    assert "> 5 and" in made[0]["InferenceGatewayEvalsDrop"]
    assert "> 691200 unless" in made[0]["InferenceGatewayEvalsMissing"]


def test_every_alert_reads_series_that_exist() -> None:
    known = sources.others()
    for text in expressions(scene.resting(door(), CODER), "VMRule").values():
        tree = promql.parse(text)
        assert not list(promql.unguarded(tree))
        assert not list(promql.mismatches(tree, promql.in_every_version))
        for selector in promql.selectors(tree):
            assert set(selector.matchers) <= known[selector.name].labels


def test_names_are_of_one_door_and_model_alone() -> None:
    longest = "m" * 63
    world = scene.resting(door(), scene.member("a", longest, f"{longest[:-1]}n", "Sql_1"))
    names = [item["metadata"]["name"] for item in jobs(world).values()]
    assert len(names) == len(set(names)) == 4
    assert all(len(name) <= 52 and name == name.lower() for name in names)
