"""Adapters that are loaded into pods that run, and what still starts pods anew."""

import json
from typing import Any

import pytest

from function.engines.vllm.inside import inference_service_adapters as program
from tests import cluster
from tests.resources import scene

SQL: Any = {"name": "sql", "repository": "org/sql", "hot": True}
LAW: Any = {"name": "law", "repository": "org/law", "hot": True}
OLD: Any = {"name": "old", "repository": "org/old"}
DASHBOARDS = {"dashboards": "grafana-sidecar"}


def of(*adapters: cluster.Object, **spec: Any) -> cluster.Object:
    engine = {"version": "0.32.0"} | spec.pop("engine", {})
    given = {"gateway": {"enabled": True}, **spec}
    return scene.of(engine=engine, loraAdapters=list(adapters), **given)


def site(**more: Any) -> cluster.Object:
    return scene.site(permissions={"hotAdapters": ["llm"]}, **more)


def serving(*adapters: cluster.Object, **spec: Any) -> cluster.Cluster:
    return scene.serving(of(*adapters, **spec), site())


def listed(world: cluster.Cluster) -> dict[str, str]:
    text = world.one("ConfigMap", "adapters")["data"]["adapters.json"]
    read = json.loads(text)
    assert isinstance(read, dict)
    return read


def directory(world: cluster.Cluster, name: str) -> str:
    """Returns the directory of a listed adapter, as the status records it."""
    place = listed(world)[name].removeprefix("/models/").removesuffix("/weights")
    (recorded,) = (one for one in directories(world, "verified") if one.endswith(f"/{place}"))
    return recorded


def directories(world: cluster.Cluster, field: str) -> list[str]:
    written = world.claim["status"]["weights"].get(field, [])
    return [one if isinstance(one, str) else one["directory"] for one in written]


def named(world: cluster.Cluster) -> list[str]:
    return [one["name"] for one in world.claim["status"]["servedModels"]]


def flags(world: cluster.Cluster) -> dict[str, str | None]:
    return scene.values(world.template["spec"]["containers"][0]["args"])


def matched(world: cluster.Cluster) -> set[str]:
    rules = world.one("AIGatewayRoute")["spec"]["rules"]
    return {rule["matches"][0]["headers"][0]["value"] for rule in rules}


def test_pods_have_the_program_the_list_and_room() -> None:
    world = serving(OLD, SQL)
    assert flags(world)["--max-loras"] == "5"
    assert flags(world)["--lora-modules"] is None
    assert not any("sql=" in one for one in world.template["spec"]["containers"][0]["args"])
    assert flags(world)["--middleware"] == "inference_service_adapters.Adapters"
    variables = scene.environment(scene.container(world))
    assert variables["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "1"
    (volume,) = [v for v in world.template["spec"]["volumes"] if v["name"] == "adapters"]
    shown, list_ = volume["projected"]["sources"]
    (item,) = shown["downwardAPI"]["items"]
    annotation = item["fieldRef"]["fieldPath"].split("'")[1]
    assert "class Adapters" in world.template["metadata"]["annotations"][annotation]
    assert list_["configMap"]["name"] == world.one("ConfigMap", "adapters")["metadata"]["name"]
    assert set(listed(world)) == {"sql"}
    assert program._VERIFIED.fullmatch(listed(world)["sql"]), "the program takes its place"
    assert named(world) == ["model", "old", "sql"]


def test_another_hot_adapter_starts_no_pod() -> None:
    world = serving(SQL)
    before = cluster.templates(world.one("Deployment"))
    world.edit(loraAdapters=[SQL, LAW]).reconcile()
    assert world.one("Job")["metadata"]["name"]
    assert set(listed(world)) == {"sql"}, "it is downloaded first"
    assert named(world) == ["model", "sql"]
    assert matched(world) == {"model", "sql"}
    assert world.condition("WeightsReady")[0] == "False"
    assert world.condition("Current") == ("False", "AdaptersPending")
    world.converge()
    assert set(listed(world)) == {"sql", "law"}
    assert listed(world)["law"].endswith("/weights")
    assert named(world) == ["model", "sql", "law"]
    assert matched(world) == {"model", "sql", "law"}
    assert cluster.templates(world.one("Deployment")) == before
    assert world.condition("Current")[0] == "True"


def test_one_that_is_taken_out_starts_no_pod_and_the_last_one_does() -> None:
    world = serving(SQL, LAW)
    before = cluster.templates(world.one("Deployment"))
    world.edit(loraAdapters=[LAW]).converge()
    assert set(listed(world)) == {"law"}
    assert matched(world) == {"model", "law"}
    assert cluster.templates(world.one("Deployment")) == before
    world.edit(loraAdapters=[]).converge()
    assert cluster.templates(world.one("Deployment")) != before
    assert "ConfigMap" not in world.kinds_there()
    assert named(world) == ["model"]


def test_another_revision_starts_no_pod() -> None:
    """The engine's cache goes by the path as well as by the name."""
    world = serving({**SQL, "revision": "1" * 40})
    before, path = cluster.templates(world.one("Deployment")), listed(world)["sql"]
    world.edit(loraAdapters=[{**SQL, "revision": "2" * 40}]).reconcile()
    assert listed(world) == {"sql": path}, "the old one serves until the new one is verified"
    assert named(world) == ["model", "sql"]
    assert matched(world) == {"model", "sql"}
    assert world.condition("Current") == ("False", "AdaptersPending")
    world.converge()
    assert cluster.templates(world.one("Deployment")) == before
    assert set(listed(world)) == {"sql"}
    assert listed(world)["sql"] != path


@pytest.mark.parametrize(
    "text",
    [
        "no list",
        "[]",
        '{"sql": 1}',
        '{"sql": "/models/adapter-0123456789abcdef/weights"}',
        '{"sql": "/models/../adapter/weights", "other": "/tmp"}',
    ],
)
def test_a_list_that_somebody_wrote_over_proves_nothing(text: str) -> None:
    world = serving({**SQL, "revision": "1" * 40})
    world.one("ConfigMap", "adapters")["data"]["adapters.json"] = text
    world.edit(loraAdapters=[{**SQL, "revision": "2" * 40}]).reconcile()
    assert listed(world) == {}
    assert named(world) == ["model"]
    world.converge()
    assert set(listed(world)) == {"sql"}


def test_one_that_is_hot_no_more_is_served_while_pods_roll() -> None:
    cold = {"name": "sql", "repository": "org/sql"}
    world = serving(SQL)
    path = listed(world)["sql"]
    world.edit(loraAdapters=[cold]).reconcile()
    assert world.condition("Current") == ("False", "RollingOut")
    world.reconcile()
    assert listed(world) == {"sql": path}, "old pods have it from the list"
    assert matched(world) == {"model", "sql"}
    world.converge()
    assert "ConfigMap" not in world.kinds_there()
    assert matched(world) == {"model", "sql"}


def test_one_that_becomes_hot_is_served_by_pods_that_started_with_it() -> None:
    world = serving({**OLD, "revision": "1" * 40}, SQL)
    world.edit(loraAdapters=[{**OLD, "revision": "2" * 40, "hot": True}, SQL]).reconcile()
    assert world.condition("Current") == ("False", "WeightsPending")
    assert matched(world) == {"model", "old", "sql"}


def test_one_that_came_in_a_hold_stays_when_the_hold_ends() -> None:
    world = serving(SQL)
    site = world.environments[0]["data"]["inferenceService"]
    site["engine"] = {"logLevel": "DEBUG"}
    world.converge()
    world.edit(loraAdapters=[SQL, LAW]).converge()
    assert matched(world) == {"model", "sql", "law"}
    site["rollout"] = {"platformChanges": "Immediate"}
    world.reconcile()
    assert world.condition("Current") == ("False", "RollingOut")
    assert matched(world) == {"model", "sql", "law"}


def test_files_stay_while_the_list_has_them() -> None:
    """An engine reads an adapter that it put out of its cache again."""
    old = {**SQL, "revision": "1" * 40}
    model = {"repository": "org/model", "retention": "Delete"}
    world = serving(old, LAW, model=model)
    mine = directory(world, "sql")
    world.edit(loraAdapters=[{**SQL, "revision": "2" * 40}, LAW]).reconcile().reconcile()
    assert mine in directories(world, "verified"), "the new one is not there"
    world.settle("Deployment").reconcile()
    assert directory(world, "sql") != mine
    assert mine in directories(world, "verified"), "the list has it until now"
    world.reconcile()
    assert directories(world, "removing") == [mine]
    gone = directory(world, "law")
    world.converge()
    world.edit(loraAdapters=[{**SQL, "revision": "2" * 40}]).reconcile()
    assert gone in directories(world, "verified"), "the list has it until now"
    world.reconcile()
    assert directories(world, "removing") == [gone]


def test_dashboards_have_them() -> None:
    """Those that are served, beside those that pods started with."""
    world = scene.serving(of(OLD, SQL), site(providers=DASHBOARDS))
    world.edit(loraAdapters=[OLD, SQL, LAW]).reconcile()
    text = str(world.one("ConfigMap", "dashboard")["data"])
    assert "model|old|sql" in text
    assert "law" not in text, "it is downloaded first"


def test_the_slots_are_explained() -> None:
    plan = scene.planned(of(OLD, SQL, LAW), site())
    (why,) = (one for one in plan.explanations if one.value == "max-loras")
    assert (why.result, why.inputs) == ("5", "1 adapter without hot, 2 with it")
    assert why.field == "spec.loraAdapters"
    assert "max-loras" not in {one.value for one in scene.planned(of(OLD), site()).explanations}


def test_a_platforms_change_that_waits_keeps_no_adapter_back() -> None:
    world = serving(SQL)
    world.environments[0]["data"]["inferenceService"]["engine"] = {"logLevel": "DEBUG"}
    world.converge()
    assert world.condition("Current") == ("False", "PlatformChangePending")
    before = cluster.templates(world.one("Deployment"))
    world.edit(loraAdapters=[SQL, LAW]).converge()
    assert cluster.templates(world.one("Deployment")) == before
    assert named(world) == ["model", "sql", "law"]


def test_pods_that_keep_their_base_model_keep_its_adapters() -> None:
    """An adapter is made for one base model: on another it answers nonsense, or does not load."""
    world = serving(SQL, LAW)
    paths = listed(world)
    world.edit(
        model={"repository": "org/model", "revision": "2" * 40},
        loraAdapters=[{**SQL, "repository": "org/sql-2"}, {**OLD, "hot": True}],
    )
    for _ in range(3):
        world.reconcile()
    adapters_there(world, "org/sql-2", "org/old")
    for _ in range(2):
        world.reconcile()
        assert world.condition("Current") == ("False", "WeightsPending")
        assert listed(world) == {"sql": paths["sql"]}
        assert matched(world) == {"model", "sql"}
    world.converge()
    assert set(listed(world)) == {"sql", "old"}
    assert listed(world)["sql"] != paths["sql"]
    assert matched(world) == {"model", "sql", "old"}


def test_a_base_model_is_told_by_its_whole_address() -> None:
    bucket = {
        "allowed": {"modelUris": {"*": ["s3://models/*"]}},
        "objectStore": {"endpoint": "https://s3.example.com", "egressCidrs": ["192.0.2.0/24"]},
    }
    stored = {"source": "s3", "uri": "s3://models/q-v2"}
    world = scene.serving(of(SQL, LAW, model=stored), site(**bucket))
    before = listed(world)
    world.edit(
        model={"source": "s3", "uri": "s3://models/q"},
        loraAdapters=[{**SQL, "repository": "org/sql-2"}, {**LAW, "repository": "org/law-2"}],
    )
    for _ in range(3):
        world.reconcile()
    # One of them is there, the other one keeps the template as it is.
    adapters_there(world, "org/sql-2")
    for _ in range(2):
        world.reconcile()
        assert world.condition("Current") == ("False", "WeightsPending")
        assert listed(world) == before


def adapters_there(world: cluster.Cluster, *repositories: str) -> None:
    """Lets another claim of the volume have verified adapters, and not the base model."""
    for one in scene.planned(world.claim, site()).storage.adapters:
        if one.repository in repositories:
            recorded = scene.planned(world.claim, site()).storage.recorded(one)
            world.claim["status"]["weights"]["verified"].append({"directory": recorded})


def test_the_first_one_is_named_once_all_pods_can_load_it() -> None:
    world = serving()
    world.edit(loraAdapters=[SQL])
    for _ in range(6):
        world.reconcile()
        if "sql" in named(world):
            break
        assert matched(world) == {"model"}
        world.settle()
    assert matched(world) == {"model", "sql"}
    assert "--middleware=inference_service_adapters.Adapters" in str(world.template)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"engine": {"version": "0.25.1"}}, "older than 0.32.0, the first that keeps"),
        ({"engineArgs": ["--api-server-count=2"]}, "one API server alone"),
        ({"engineArgs": ["--api-key=secret"]}, "has the key of VLLM_API_KEY alone"),
        ({"engineArgs": ["--middleware=a.B"]}, "one of this function"),
        ({"podTemplate": {"env": [{"name": "PYTHONPATH", "value": "/x"}]}}, "of their own"),
    ],
    ids=["an old engine", "two servers", "a key", "another program", "another path"],
)
def test_what_it_cannot_be_beside(spec: dict[str, Any], words: str) -> None:
    opened: dict[str, Any] = {
        "permissions": {**scene.OPEN_SITE["permissions"], "hotAdapters": ["*"]}
    }
    assert words in scene.refused(of(SQL, **spec), scene.site(**opened))


def test_only_who_may_has_hot_adapters() -> None:
    """The default of the settings is nobody."""
    words = scene.refused(of(SQL))
    assert "spec.loraAdapters[0].hot: the settings do not allow this" in words
    assert "permissions.hotAdapters" in words
