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
    world.edit(loraAdapters=[{**SQL, "revision": "2" * 40}]).converge()
    assert cluster.templates(world.one("Deployment")) == before
    assert listed(world)["sql"] != path


def test_a_platforms_change_that_waits_keeps_no_adapter_back() -> None:
    world = serving(SQL)
    world.environments[0]["data"]["inferenceService"]["engine"] = {"logLevel": "DEBUG"}
    world.converge()
    assert world.condition("Current") == ("False", "PlatformChangePending")
    before = cluster.templates(world.one("Deployment"))
    world.edit(loraAdapters=[SQL, LAW]).converge()
    assert cluster.templates(world.one("Deployment")) == before
    assert named(world) == ["model", "sql", "law"]


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
