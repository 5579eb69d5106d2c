"""`--output summary` and `verdict-json`: what applying claims does, and nothing that is not so."""

import copy
import json
import pathlib
import tempfile
from collections.abc import Iterable
from typing import Any

import hypothesis
import pytest

from tests import cluster, strategies
from tests.cli import command
from tests.resources import scene

ROUTED: dict[str, Any] = {
    "loraAdapters": [dict(adapter) for adapter in scene.ADAPTERS],
    "gateway": {"enabled": True, "canaries": [{"adapter": "sql", "weightPercent": 10}]},
}


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")


def files(
    path: pathlib.Path,
    claims: Iterable[Any],
    observed: Iterable[Any] | None = None,
    config: Any = None,
) -> list[str]:
    """Writes claims, settings and observed objects; returns the command's arguments."""
    (path / "claims").mkdir(exist_ok=True)
    command.write(path / "claims/all.yaml", *claims)
    arguments = [str(path / "claims")]
    environment = command.write(path / "environment.yaml", config or scene.site())
    arguments += ["--environment", environment]
    if observed is not None:
        listed = {"apiVersion": "v1", "kind": "List", "items": list(observed)}
        arguments += ["--observed", command.write(path / "observed.yaml", listed)]
    return arguments


def everything(*worlds: cluster.Cluster) -> list[Any]:
    """What `kubectl get -o yaml` of all kinds gives."""
    return [item for world in worlds for item in (*world.objects.values(), world.claim)]


def verdict(arguments: list[str], *more: str) -> tuple[int, dict[str, Any]]:
    result = command.render(*arguments, *more, "--output", "verdict-json")
    document = json.loads(result.stdout)
    assert document["exitCode"] == result.exit_code
    assert (document["apiVersion"], document["kind"]) == (
        "inference-service.cloud.ogenki.io/v1alpha1",
        "Verdict",
    )
    return result.exit_code, document


def only(arguments: list[str], *more: str) -> dict[str, Any]:
    """The verdict on the only claim."""
    _, document = verdict(arguments, *more)
    (claim,) = document["claims"]
    assert isinstance(claim, dict)
    return claim


def summary(arguments: list[str]) -> str:
    return command.render(*arguments, "--output", "summary").stdout


def reasons(claim: dict[str, Any]) -> dict[str, str]:
    return {condition["type"]: condition["reason"] for condition in claim["conditions"]}


def fields(claim: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Old and new value of each field that changes, by kind and path."""
    return {
        f"{item['kind']} {field['path']}": (field.get("old"), field.get("new"))
        for item in claim["objects"]
        for field in item["fields"]
    }


# --- pods


def test_suspending_ends_all_pods(tmp_path: pathlib.Path) -> None:
    arguments = files(tmp_path, [scene.of(suspend=True)], everything(scene.serving()))
    claim = only(arguments)
    assert (claim["outcome"], claim["pods"]["effect"]) == ("changed", "end")
    assert claim["pods"]["message"] == "all end (suspend: true): 1 replica"
    assert "all end (suspend: true): 1 replica" in summary(arguments)
    assert "stay as they are" not in summary(arguments)


def test_a_suspended_claim_has_no_pods_to_end(tmp_path: pathlib.Path) -> None:
    world = scene.serving(scene.of(suspend=True))
    asleep = only(files(tmp_path, [scene.of(suspend=True)], everything(world)))
    assert (asleep["outcome"], asleep["pods"]["effect"]) == ("unchanged", "none")


def test_taking_it_back_starts_pods_and_unpauses(tmp_path: pathlib.Path) -> None:
    world = scene.serving()
    world.edit(suspend=True)
    world.converge()
    claim = only(files(tmp_path, [scene.of()], everything(world)))
    assert claim["pods"]["effect"] == "start"
    paused = "ScaledObject metadata.annotations.autoscaling.keda.sh/paused-replicas"
    assert fields(claim)[paused] == ("0", None)


def test_what_restarts_pods_stands_with_its_values(tmp_path: pathlib.Path) -> None:
    claimed = scene.of(podTemplate={"priorityClassName": "high"}, model={"contextWindow": 8192})
    claim = only(files(tmp_path, [claimed], everything(scene.serving())))
    assert claim["pods"]["effect"] == "restart"
    values = {field["path"]: field for field in claim["pods"]["fields"]}
    assert values["spec.template.spec.priorityClassName"] == {
        "path": "spec.template.spec.priorityClassName",
        "new": "high",
    }
    changed = values["spec.template.spec.containers[vllm].args"]
    assert set(changed["new"]) - set(changed["old"]) == {"--max-model-len=8192"}
    assert set(changed["old"]) - set(changed["new"]) == {"--max-model-len=4096"}
    assert fields(claim).keys() >= {"Deployment spec.template.spec.priorityClassName"}


def test_what_is_held_back_stands_with_its_values_and_reason(tmp_path: pathlib.Path) -> None:
    world = scene.serving(config=scene.site(engine={"version": "0.24.0"}))
    claim = only(files(tmp_path, [scene.of()], everything(world)))
    assert (claim["pods"]["effect"], claim["outcome"]) == ("held", "unchanged")
    (image,) = [f for f in claim["pods"]["fields"] if f["path"].endswith("image")]
    assert (image["old"], image["new"]) == (
        "vllm/vllm-openai:v0.24.0",
        "vllm/vllm-openai:v0.25.1",
    )
    assert reasons(claim)["Current"] == "PlatformChangePending"
    assert not any("template" in path for path in fields(claim))


def test_another_model_restarts_pods_later(tmp_path: pathlib.Path) -> None:
    """They keep their template, but for a download only: that is no news of pods that stay."""
    claimed = scene.of(model={"revision": "abc"})
    arguments = files(tmp_path, [claimed], everything(scene.serving()))
    claim = only(arguments)
    assert (claim["outcome"], claim["pods"]["effect"]) == ("changed", "restart-later")
    assert "until the new weights are verified, then restart for" in summary(arguments)


def test_fewer_replicas_are_counted(tmp_path: pathlib.Path) -> None:
    world = scene.serving(scene.of(scaling={"minReplicas": 1, "maxReplicas": 3}))
    world.one("Deployment")["spec"]["replicas"] = 3
    claim = only(files(tmp_path, [scene.of(scaling={"maxReplicas": 1})], everything(world)))
    assert claim["pods"]["message"] == "2 of 3 end: at most 1 may run"


def test_the_edit_that_mends_a_refused_claim_is_no_error(tmp_path: pathlib.Path) -> None:
    """What lives may be what the settings refuse."""
    world = scene.serving()
    world.claim["spec"]["gpu"] = {"class": "h100"}
    code, document = verdict(files(tmp_path, [scene.of()], everything(world)))
    (claim,) = document["claims"]
    assert (code, claim["pods"]["effect"]) == (0, "stay")


# --- what is an error


def test_a_failed_claim_is_an_error(tmp_path: pathlib.Path) -> None:
    world = scene.first()
    cluster.fail_job(world, 11)
    world.reconcile()
    arguments = files(tmp_path, [scene.of()], everything(world))
    code, document = verdict(arguments)
    (claim,) = document["claims"]
    assert (code, claim["phase"]) == (1, "Failed")
    (error,) = claim["errors"]
    assert error["reason"] == "Failed"
    assert "spec.model.preload.generation" in error["message"]
    for output in ("yaml", "json", "table", "summary"):
        assert command.render(*arguments, "--output", output).exit_code == 1


def test_what_fits_on_no_node_is_an_error(tmp_path: pathlib.Path) -> None:
    large = {"requests": {"memory": "4000Gi"}, "limits": {"memory": "4000Gi"}}
    arguments = files(tmp_path, [scene.of(resources=large)])
    code, document = verdict(arguments)
    (claim,) = document["claims"]
    (error,) = claim["errors"]
    assert (code, error["reason"]) == (1, "ExceedsGpuClass")
    assert "4000Gi" in error["message"]
    assert "4000Gi" in command.render(*arguments).stderr
    assert "a node of class l4 offers 240Gi" in summary(arguments)


def test_an_edit_that_does_not_fit_is_one_before_its_weights_are_there(
    tmp_path: pathlib.Path,
) -> None:
    """The condition names the weights; that waiting for them helps nothing is known now."""
    large = {"requests": {"memory": "4000Gi"}, "limits": {"memory": "4000Gi"}}
    claimed = scene.of(model={"revision": "abc"}, resources=large)
    code, document = verdict(files(tmp_path, [claimed], everything(scene.serving())))
    assert code == 1
    assert document["claims"][0]["errors"][0]["reason"] == "ExceedsGpuClass"


def test_refused_claims_stand_in_it(tmp_path: pathlib.Path) -> None:
    wrong = scene.of(name="wrong", maxNumSeqs=8, gpu={"class": "h100"})
    misspelt = scene.of(name="typo") | {"kind": "InferenceServce"}
    code, document = verdict(files(tmp_path, [scene.of(name="good"), misspelt, wrong]))
    claims = {claim["name"]: claim for claim in document["claims"]}
    assert (code, list(claims)) == (1, ["good", "typo", "wrong"])
    assert claims["good"]["outcome"] == "new"
    assert claims["wrong"]["outcome"] == "refused"
    assert claims["wrong"]["errors"] == [
        {
            "reason": "Invalid",
            "message": "spec.maxNumSeqs: unknown field; it belongs to spec.model",
        }
    ]
    assert claims["typo"]["errors"][0]["reason"] == "Misspelt"


def test_settings_that_cannot_be_used_stand_in_it(tmp_path: pathlib.Path) -> None:
    code, document = verdict(files(tmp_path, [scene.of()], config=scene.site(gpus={})))
    assert (code, document["claims"]) == (1, [])
    assert document["invalidSettings"] == [
        "settings: gpus: unknown field; the nearest is gpu",
    ]


def test_what_could_not_be_read_stands_in_it(tmp_path: pathlib.Path) -> None:
    (tmp_path / "broken.yaml").write_text("a: b: c\n")
    arguments = files(tmp_path, [scene.of()])
    code, document = verdict([*arguments, str(tmp_path / "broken.yaml")])
    assert (code, len(document["claims"])) == (2, 1)
    assert "broken.yaml:1:5: mapping values" in document["unreadable"][0]


# --- what was not looked at


def test_kinds_that_are_not_among_the_observed_ones_were_not_looked_at(
    tmp_path: pathlib.Path,
) -> None:
    """Deployments say nothing of ScaledObjects, nor of the claim's own status."""
    arguments = files(tmp_path, [scene.of()], [scene.serving().one("Deployment")])
    claim = only(arguments)
    assert set(claim["notLookedAt"]) >= {"ScaledObject", "VMRule", "InferenceService"}
    assert "Deployment" not in claim["notLookedAt"]
    assert claim["pods"]["message"] == "stay as they are"
    assert claim["unknownBefore"] == ["route", "canaries", "callers", "replicas", "alerts"]
    assert claim["replicas"] == {"min": {"new": 1}, "max": {"new": 3}}
    assert "replicas" not in summary(arguments)
    assert {item["effect"] for item in claim["objects"]} == {"unchanged", "unknown"}
    for kind in ("ScalerReady", "PolicyReady", "WeightsReady"):
        assert reasons(claim)[kind] == "NotLookedAt"
    for output in ("summary", "table"):
        text = command.render(*arguments, "--output", output).output
        assert "not looked at" in text
        assert "not created yet" not in text
        assert "not reported yet" not in text
        assert "a new claim" not in text


def test_the_living_claim_tells_what_an_edit_does_to_what_was_not_looked_at(
    tmp_path: pathlib.Path,
) -> None:
    world = scene.serving(scene.of(**ROUTED))
    claimed = scene.of(podTemplate={"priorityClassName": "high"}, scaling={"maxReplicas": 4})
    claim = only(files(tmp_path, [claimed], [world.claim]))
    assert claim["pods"]["effect"] == "restart"
    assert claim["pods"]["lookedAt"] is False
    assert claim["pods"]["message"].endswith("(Deployments were not looked at)")
    assert claim["route"] == {"AIGatewayRoute": "withdrawn"}
    assert claim["replicas"]["max"] == {"old": 3, "new": 4}
    assert claim["phase"] == "Serving"
    same = only(files(tmp_path, [scene.of(**ROUTED)], [world.claim]))
    assert (same["outcome"], same["pods"]["effect"]) == ("unchanged", "stay")


def test_the_living_claim_tells_how_many_replicas_there_are(tmp_path: pathlib.Path) -> None:
    """An edit restarts nothing of a claim that has none."""
    world = scene.serving()
    world.claim["status"] |= {"replicas": "0/0", "phase": "Starting"}
    claimed = scene.of(podTemplate={"priorityClassName": "high"})
    claim = only(files(tmp_path, [claimed], [world.claim]))
    assert claim["pods"]["effect"] == "none"
    assert "the next one starts with another" in claim["pods"]["message"]


def test_another_namespace_was_not_looked_at(tmp_path: pathlib.Path) -> None:
    world = scene.serving(scene.of(namespace="elsewhere"))
    arguments = files(tmp_path, [scene.of()], everything(world))
    _, document = verdict(arguments)
    outcomes = {(c["namespace"], c["name"]): c["outcome"] for c in document["claims"]}
    assert outcomes == {("llm", "model"): "new", ("elsewhere", "model"): "removed"}


# --- removed


def test_a_claim_that_no_file_has_is_removed_with_what_goes(tmp_path: pathlib.Path) -> None:
    gone = scene.serving(scene.of(name="gone", **ROUTED))
    arguments = files(tmp_path, [scene.of()], everything(scene.serving(), gone))
    code, document = verdict(arguments)
    kept, removed = document["claims"]
    assert (code, kept["outcome"], removed["outcome"]) == (0, "unchanged", "removed")
    assert (removed["name"], removed["file"]) == ("gone", None)
    assert removed["pods"]["message"] == "all end: 1 replica"
    assert {(item["kind"], item["effect"]) for item in removed["objects"]} == {
        (item["kind"], "deleted") for item in gone.owned.values()
    }
    (line,) = [line for line in summary(arguments).splitlines() if " llm/gone" in line]
    assert "removed" in line
    assert "AIGatewayRoute" in line
    assert "llm/gone is observed, and in none of the files" in command.render(*arguments).stderr


def test_a_claim_beside_a_single_file_is_not_removed(tmp_path: pathlib.Path) -> None:
    gone = scene.serving(scene.of(name="gone"))
    arguments = files(tmp_path, [scene.of()], everything(scene.serving(), gone))
    _, document = verdict([f"{arguments[0]}/all.yaml", *arguments[1:]])
    assert [claim["name"] for claim in document["claims"]] == ["model"]
    assert "not among the files, so not counted and taken to stay: llm/gone" in document["notes"]


def test_nothing_is_called_removed_while_a_file_cannot_be_read(tmp_path: pathlib.Path) -> None:
    """The file may be that claim's."""
    (tmp_path / "broken.yaml").write_text("a: b: c\n")
    gone = scene.serving(scene.of(name="gone"))
    arguments = files(tmp_path, [scene.of()], everything(gone))
    _, document = verdict([*arguments, str(tmp_path / "broken.yaml")])
    assert [claim["outcome"] for claim in document["claims"]] == ["new"]
    assert any("not listed while a file cannot be read" in note for note in document["notes"])


def test_a_refused_claim_is_not_removed(tmp_path: pathlib.Path) -> None:
    arguments = files(tmp_path, [scene.of(nonsense=1)], everything(scene.serving()))
    assert only(arguments)["outcome"] == "refused"


# --- what else changes


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        (ROUTED, {}, {"route": {"AIGatewayRoute": "withdrawn"}}),
        ({}, ROUTED, {"route": {"AIGatewayRoute": "published"}}),
        (
            ROUTED,
            ROUTED
            | {"gateway": {"enabled": True, "canaries": [{"adapter": "sql", "weightPercent": 30}]}},
            {
                "route": {"AIGatewayRoute": "changed"},
                "canaries": {"sql": {"old": 10, "new": 30}},
            },
        ),
        (
            ROUTED,
            ROUTED | {"gateway": {"enabled": True}},
            {"canaries": {"sql": {"old": 10}}},
        ),
        (
            {"scaling": {"minReplicas": 1, "maxReplicas": 2}},
            {"scaling": {"minReplicas": 2, "maxReplicas": 4}},
            {"replicas": {"min": {"old": 1, "new": 2}, "max": {"old": 2, "new": 4}}},
        ),
    ],
)
def test_what_changes_for_people(
    before: dict[str, Any], after: dict[str, Any], wanted: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    world = scene.serving(scene.of(**before))
    claim = only(files(tmp_path, [scene.of(**after)], everything(world)))
    assert {name: claim[name] for name in wanted} == wanted
    assert claim["outcome"] == "changed"


@pytest.mark.parametrize("profile", cluster.PROFILES)
def test_callers_that_come_and_go_are_named(profile: str, tmp_path: pathlib.Path) -> None:
    def of(name: str) -> Any:
        return scene.of(access={"from": [{"namespace": "apps", "podLabels": {"app": name}}]})

    config = scene.site(profile)
    world = scene.serving(of("old"), config)
    arguments = files(tmp_path, [of("new")], everything(world), config)
    callers = only(arguments)["callers"]
    assert (callers["added"], callers["removed"]) == (["apps: app=new"], ["apps: app=old"])
    assert callers["kept"] != []
    line = summary(arguments)
    assert "may call apps: app=new" in line
    assert "may no longer call apps: app=old" in line


def test_alerts_that_come_go_and_change_are_named(tmp_path: pathlib.Path) -> None:
    group: Any = {"name": "own", "rules": [{"alert": "Own", "expr": "up == 0"}]}
    own: Any = {"alertingRules": {"groups": [group]}}
    world = scene.serving()
    alerts = only(files(tmp_path, [scene.of(observability=own)], everything(world)))["alerts"]
    assert alerts["added"] == ["Own"]
    assert len(alerts["removed"]) > 5
    louder = copy.deepcopy(own)
    louder["alertingRules"]["groups"][0]["rules"][0]["expr"] = "up < 1"
    world = scene.serving(scene.of(observability=own))
    alerts = only(files(tmp_path, [scene.of(observability=louder)], everything(world)))["alerts"]
    assert (alerts["changed"], alerts["added"], alerts["removed"]) == (["Own"], [], [])


@pytest.mark.parametrize("profile", cluster.PROFILES)
@pytest.mark.parametrize("name", cluster.EXAMPLES)
def test_of_what_stays_nothing_is_said(name: str, profile: str, tmp_path: pathlib.Path) -> None:
    """What others wrote is no change: defaults, their annotations, their status."""
    config = cluster.environment(profile)
    world = scene.read(cluster.example(name), config)
    for item in world.objects.values():
        item["metadata"].setdefault("annotations", {})["somebody.example.com/else"] = "x"
        item["metadata"]["uid"] = "u"
        if item["kind"] in ("Deployment", "Service"):
            item["spec"]["somebodyDefaulted"] = True
    arguments = files(tmp_path, [cluster.example(name)], everything(world), config)
    claim = only(arguments)
    assert fields(claim) == {}
    assert {item["effect"] for item in claim["objects"]} == {"unchanged"}
    assert (claim["outcome"], claim["pods"]["effect"]) == ("unchanged", "stay")
    assert claim["notLookedAt"] == []
    assert "NotLookedAt" not in reasons(claim).values()


def test_an_object_that_somebody_changed_is_set_back(tmp_path: pathlib.Path) -> None:
    world = scene.serving()
    world.one("ScaledObject")["spec"]["maxReplicaCount"] = 50
    claim = only(files(tmp_path, [scene.of()], everything(world)))
    assert fields(claim) == {"ScaledObject spec.maxReplicaCount": (50, 3)}


# --- what is assumed


@pytest.mark.parametrize("profile", cluster.PROFILES)
@pytest.mark.parametrize("name", cluster.EXAMPLES)
def test_what_is_assumed_to_serve_looks_served(
    name: str, profile: str, tmp_path: pathlib.Path
) -> None:
    """Objects and status are those of a cluster in which the claim serves."""
    config = cluster.environment(profile)
    world = scene.read(cluster.example(name), config)
    arguments = files(tmp_path, [cluster.example(name)], config=config)
    rendered = command.documents(command.render(*arguments, "--assume", "served").stdout)
    assert rendered[1:] == [world.owned[key] for key in sorted(world.owned)]
    status, wanted = rendered[0]["status"], world.claim["status"]
    for field in ("phase", "replicas", "servedModels", "serving", "waitingFor"):
        assert status.get(field) == wanted.get(field), field
    conditions = {one["type"]: one["reason"] for one in status["conditions"]}
    assert conditions == {one["type"]: one["reason"] for one in wanted["conditions"]}


def test_what_is_observed_stays_what_it_is_when_serving_is_assumed(tmp_path: pathlib.Path) -> None:
    claimed = scene.of(podTemplate={"priorityClassName": "high"})
    arguments = files(tmp_path, [claimed], everything(scene.serving()))
    claim = only(arguments, "--assume", "served")
    assert claim["pods"]["effect"] == "restart"


@hypothesis.settings(max_examples=8, deadline=None)
@hypothesis.given(strategies.claims(), strategies.claims())
def test_no_edit_is_too_strange_to_be_judged(lives: Any, wanted: Any) -> None:
    """Whatever lives, whatever is wanted, and however little was looked at."""
    lives["metadata"] = {"name": "model", "namespace": "llm"}
    wanted["metadata"] = {"name": "model", "namespace": "llm"}
    world = cluster.Cluster(lives, scene.site())
    world.converge()
    rendered = everything(world)
    with tempfile.TemporaryDirectory() as name:
        for observed in (rendered, rendered[::2], [world.claim], None):
            arguments = files(pathlib.Path(name), [wanted], observed)
            for assumed in ((), ("--assume", "verified"), ("--assume", "served")):
                _, document = verdict(arguments, *assumed)
                assert [claim["name"] for claim in document["claims"]] == ["model"]
