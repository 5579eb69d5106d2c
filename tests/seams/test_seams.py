"""A second engine, workload and kind of claim compose without a line of the product changed."""

import json
import pathlib
from typing import Any

import pytest
import yaml
from crossplane.function.proto.v1 import run_function_pb2 as fnv1

from function import generate
from function.composites import composite, registry
from function.concerns import providers
from function.engines import advisers, engine, engines
from function.server import runner, structs
from function.workloads import workload, workloads
from tests import cluster, documents, quiet
from tests.cli import command
from tests.resources import scene
from tests.seams import echo, fleet, group


@pytest.fixture
def served_by_echo(monkeypatch: pytest.MonkeyPatch) -> engine.Engine:
    chosen = echo.Echo()
    monkeypatch.setitem(engines.ENGINES, engines.DEFAULT, chosen)
    return chosen


@pytest.fixture
def kept_by_group(monkeypatch: pytest.MonkeyPatch) -> workload.Workload:
    chosen = group.Group()
    monkeypatch.setitem(workloads.WORKLOADS, workloads.DEFAULT, chosen)
    return chosen


@pytest.fixture
def with_fleets(monkeypatch: pytest.MonkeyPatch) -> composite.Composite:
    monkeypatch.setitem(registry.COMPOSITES, (fleet.GROUP, fleet.KIND), fleet)
    return fleet


# --- an engine


@pytest.mark.usefixtures("served_by_echo")
def test_another_engine_serves_a_whole_claim() -> None:
    gateway = {"enabled": True, "endpointPicker": {"enabled": True}}
    world = scene.serving(scene.of(gateway=gateway, route={"enabled": True, "hostname": "m"}))
    assert world.phase == "Serving"
    container = scene.container(world)
    assert container["name"] == "echo"
    assert container["ports"][0]["containerPort"] == 3000
    assert container["livenessProbe"]["httpGet"]["path"] == "/alive"
    assert "nvidia.com/gpu" not in container["resources"]["limits"]
    scrape = world.objects["model-vmservicescrape"]
    assert scrape["spec"]["endpoints"][0]["path"] == "/stats"
    triggers = world.one("ScaledObject")["spec"]["triggers"]
    assert [trigger["name"] for trigger in triggers] == ["queue"]
    rules = world.one("VMRule")["spec"]["groups"][0]["rules"]
    assert "EchoQueue" in [rule["alert"] for rule in rules]
    assert "InferenceServiceNoReadyReplica" in [rule["alert"] for rule in rules]


@pytest.mark.usefixtures("served_by_echo")
def test_nothing_of_vllm_is_left_with_another_engine() -> None:
    """No flag, metric, variable or port of it is known outside of its room."""
    gateway = {"enabled": True, "endpointPicker": {"enabled": True}}
    config = scene.site(network={"callers": []})
    routed = scene.of(gateway=gateway, route={"enabled": True, "hostname": "m"})
    world = scene.serving(routed, config)
    text = json.dumps(list(world.objects.values())).lower()
    assert "vllm" not in text
    assert "8000" not in text


@pytest.mark.usefixtures("served_by_echo")
def test_an_engine_refuses_what_it_cannot_do() -> None:
    assert "echo serves no adapters" in scene.refused(scene.of(loraAdapters=scene.ADAPTERS))


ARGUMENTS = ["--no-such-flag", "--dtype=half"]


@pytest.mark.usefixtures("served_by_echo")
def test_verbs_know_nothing_of_an_engine_without_an_adviser(tmp_path: pathlib.Path) -> None:
    file = command.write(tmp_path / "claim.yaml", scene.of(engineArgs=ARGUMENTS))
    assert "engineArgs" not in command.verb("check", file).stdout
    migrated = command.verb("migrate", file, "-o", "json").stdout
    assert json.loads(migrated)["items"][0]["spec"]["engineArgs"] == ARGUMENTS
    explained = command.verb("explain", file, "spec.model.contextWindow").stdout
    assert "Value  none" in explained


@pytest.mark.usefixtures("served_by_echo")
def test_an_adviser_judges_the_claims_of_its_engine(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(advisers.ADVISERS, echo.Echo.NAME, echo.Adviser())
    file = command.write(tmp_path / "claim.yaml", scene.of(engineArgs=ARGUMENTS))
    answer = json.loads(command.verb("check", file, "-o", "json").stdout)
    of_arguments = [one for one in answer["findings"] if "engineArgs" in one["field"]]
    assert {one["rule"] for one in of_arguments} == {echo.DEAF.name}
    assert len(of_arguments) == len(ARGUMENTS)


# --- a workload


def ready(world: cluster.Cluster) -> cluster.Cluster:
    """Lets the group become ready, beside everything that settles by itself."""
    world.settle()
    for item in world.objects.values():
        if item["kind"] == "PodGroup":
            item["status"] = {"ready": item["spec"].get("groups", 1)}
    return world.reconcile()


@pytest.mark.usefixtures("kept_by_group")
def test_another_workload_keeps_the_pods_of_a_claim() -> None:
    world = scene.first()
    for _ in range(4):
        ready(world)
    assert world.phase == "Serving"
    assert world.condition("Current") == ("True", "Serving")
    made = world.one("PodGroup")
    assert made["spec"]["members"]["leader"]["spec"]["containers"][0]["name"] == "vllm"
    target = world.one("ScaledObject")["spec"]["scaleTargetRef"]
    assert target == {"apiVersion": "groups.example.com/v1", "kind": "PodGroup", "name": "model"}
    expressions = str(world.one("VMRule")["spec"])
    assert 'group_ready{namespace="llm",group="model"}' in expressions
    assert "kube_deployment" not in expressions
    assert "Deployment" not in world.kinds_there()


@pytest.mark.usefixtures("kept_by_group")
def test_another_workload_holds_its_template_through_a_swap() -> None:
    world = scene.first()
    for _ in range(4):
        ready(world)
    before = json.dumps(world.one("PodGroup")["spec"]["members"])
    world.edit(model={"repository": "org/other"}).reconcile()
    assert json.dumps(world.one("PodGroup")["spec"]["members"]) == before
    assert world.condition("Current") == ("False", "WeightsPending")
    for _ in range(3):
        ready(world)
    assert json.dumps(world.one("PodGroup")["spec"]["members"]) != before
    assert world.condition("Current") == ("True", "Serving")


@pytest.mark.usefixtures("kept_by_group")
def test_a_workload_that_the_cluster_lacks_is_told() -> None:
    world = scene.first().settle()
    world.kinds = {"v1/Service": True, "groups.example.com/v1/PodGroup": False}
    world.reconcile()
    assert "PodGroup" not in world.kinds_there()
    assert world.condition("EngineReady") == ("False", "KindMissing")


# --- a provider


@pytest.mark.parametrize("modules", [{}, {"keda": "module", "hpa": "module"}])
def test_each_provider_of_the_settings_has_one_module(modules: dict[str, str]) -> None:
    """Else a value would compose nothing, or what another value asks for."""
    with pytest.raises(ValueError, match=r"providers\.autoscaler has the values"):
        providers.table("autoscaler", modules)


# --- a kind of claim

FLEET: dict[str, Any] = {
    "apiVersion": "fleet.example.com/v1",
    "kind": "Fleet",
    "metadata": {"name": "all", "namespace": "llm"},
    "spec": {"tier": "small"},
}


def asked(*claims: cluster.Object, document: cluster.Object = FLEET) -> fnv1.RunFunctionRequest:
    """Returns what core asks about a fleet, with the claims that it read."""
    world = cluster.Cluster(document, cluster.environment("plain"))
    req = world.request()
    for item in claims:
        req.required_resources[fleet.CLAIMS].items.add().resource.update(item)
    return req


@pytest.mark.usefixtures("with_fleets")
def test_another_kind_of_claim_looks_at_all_claims() -> None:
    rsp = runner.run(asked(scene.of(name="b"), scene.of(name="a")), quiet.Quiet())
    assert structs.plain(rsp.desired.resources["all-models"].resource)["data"] == {"models": "a,b"}
    assert structs.plain(rsp.desired.composite.resource)["status"] == {"claims": 2}
    selector = rsp.requirements.resources["claims"]
    assert (selector.kind, selector.namespace) == ("InferenceService", "llm")
    assert dict(selector.match_labels.labels) == {"tier": "small"}


@pytest.mark.usefixtures("with_fleets")
def test_another_kind_of_claim_that_is_wrong_says_so_itself() -> None:
    wrong = {**FLEET, "spec": {}}
    rsp = runner.run(asked(document=wrong), quiet.Quiet())
    assert [(c.type, c.reason) for c in rsp.conditions] == [("Valid", "Invalid")]
    assert not rsp.desired.resources


def test_a_kind_that_nobody_registered_is_refused() -> None:
    rsp = runner.run(asked(), quiet.Quiet())
    assert "Fleet is no kind of claim here" in rsp.results[0].message


def test_a_definition_is_generated_for_each_kind(with_fleets: composite.Composite) -> None:
    path = generate.xrd_path(with_fleets)
    assert str(path) == "xrd/fleets.fleet.example.com.yaml"
    spec = documents.parse(generate.files()[path])["spec"]
    assert spec["names"] == {"kind": "Fleet", "plural": "fleets"}
    schema = spec["versions"][0]["schema"]["openAPIV3Schema"]
    assert schema["properties"]["spec"]["required"] == ["tier"]


@pytest.mark.usefixtures("with_fleets")
def test_the_command_line_renders_each_kind(tmp_path: Any) -> None:
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all([FLEET, scene.of()]))
    result = command.render(str(tmp_path), "--environment", command.PLAIN)
    assert result.exit_code == 0, result.stderr
    kinds = {document["kind"] for document in command.documents(result.stdout)}
    assert {"InferenceService", "Deployment", "Fleet", "ConfigMap"} - kinds == {"Deployment"}
