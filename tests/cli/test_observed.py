"""What `render` makes of objects that were observed, and of what may be assumed."""

import pathlib
from typing import Any

import pytest

from tests import cluster
from tests.cli import command
from tests.resources import scene


def test_a_new_claim_is_rendered_as_its_first_reconcile() -> None:
    kinds = {i["kind"] for i in command.documents(command.render(command.SMALLEST).stdout)}
    assert "Job" in kinds
    assert "Deployment" not in kinds


@pytest.mark.parametrize(
    ("assumed", "there", "absent"),
    [
        (
            "verified",
            {"Deployment", "ScaledObject", "PodDisruptionBudget"},
            {"AIGatewayRoute", "Job"},
        ),
        ("served", {"Deployment", "AIGatewayRoute", "BackendTrafficPolicy"}, {"Job"}),
    ],
)
def test_what_may_be_assumed(assumed: str, there: set[str], absent: set[str]) -> None:
    claim = command.CODER
    result = command.render(claim, "--environment", command.REFERENCE, "--assume", assumed)
    kinds = {item["kind"] for item in command.documents(result.stdout)}
    assert there <= kinds
    assert not absent & kinds


def test_what_is_assumed_is_what_serves() -> None:
    """The objects are those of a cluster in which the claim serves."""
    claim = command.CODER
    result = command.render(claim, "--environment", command.REFERENCE, "--assume", "served")
    world = scene.read(cluster.example("xplane-qwen-coder"), cluster.environment("reference"))
    assert command.documents(result.stdout)[1:] == [world.owned[key] for key in sorted(world.owned)]


def observed(tmp_path: pathlib.Path, world: cluster.Cluster, *others: Any) -> str:
    """Writes what `kubectl get -o yaml` would give."""
    items = [*world.objects.values(), *others]
    listed = {"apiVersion": "v1", "kind": "List", "items": items}
    return command.write(tmp_path / "observed.yaml", listed)


def test_observed_objects_make_it_the_next_reconcile(tmp_path: pathlib.Path) -> None:
    world = scene.serving()
    name = observed(tmp_path, world, world.claim)
    claim = command.write(tmp_path / "claim.yaml", scene.of())
    result = command.render(claim, "--environment", command.REFERENCE, "--observed", name)
    composite, *composed = command.documents(result.stdout)
    assert composite["status"]["phase"] == "Serving"
    assert composed == [world.owned[key] for key in sorted(world.owned)]


def test_a_claim_with_its_status_needs_no_other(tmp_path: pathlib.Path) -> None:
    world = scene.serving()
    name = observed(tmp_path, world)
    claim = command.write(tmp_path / "claim.yaml", world.claim)
    result = command.render(claim, "--environment", command.REFERENCE, "--observed", name)
    status = command.documents(result.stdout)[0]["status"]
    assert status["phase"] == "Serving"
    conditions = {condition["type"]: condition["reason"] for condition in status["conditions"]}
    assert conditions["WeightsReady"] == "Verified"
    assert conditions["Current"] == "Serving"


def test_objects_of_other_claims_are_passed_over(tmp_path: pathlib.Path) -> None:
    other = scene.serving(scene.of(name="model-two"))
    namesake = scene.serving(scene.of(namespace="elsewhere"))
    name = observed(tmp_path, other, *namesake.objects.values(), other.claim, namesake.claim)
    claim = command.write(tmp_path / "claim.yaml", scene.of())
    result = command.render(claim, "--environment", command.REFERENCE, "--observed", name)
    assert command.documents(result.stdout)[0]["status"]["phase"] == "Pending"


def test_its_own_output_can_be_observed(tmp_path: pathlib.Path) -> None:
    claim = command.write(tmp_path / "claim.yaml", scene.of())
    arguments = (claim, "--environment", command.REFERENCE)
    first = command.render(*arguments, "--assume", "verified").stdout
    name = tmp_path / "observed.yaml"
    name.write_text(first)
    result = command.render(*arguments, "--observed", str(name), "--assume", "verified")
    assert command.documents(result.stdout)[1:] == command.documents(first)[1:]


def test_pods_say_what_only_pods_know(tmp_path: pathlib.Path) -> None:
    world = scene.first().settle().reconcile()
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "model-x",
            "namespace": "llm",
            "labels": world.template["metadata"]["labels"],
        },
        "status": {
            "conditions": [
                {"type": "PodScheduled", "status": "False", "message": "0/3 nodes have a GPU"}
            ]
        },
    }
    name = observed(tmp_path, world, world.claim, pod)
    claim = command.write(tmp_path / "claim.yaml", scene.of())
    result = command.render(claim, "--environment", command.REFERENCE, "--observed", name)
    status = command.documents(result.stdout)[0]["status"]
    assert status["phase"] == "WaitingForGPU"
    assert status["waitingFor"] == "0/3 nodes have a GPU"
