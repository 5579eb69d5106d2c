"""`--output table`: what a person reads."""

import builtins
import pathlib
from typing import Any

import pytest

from tests import cluster
from tests.cli import command
from tests.resources import scene


@pytest.fixture(autouse=True)
def _no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Removes the width that pytest's workers set: a CI log has none."""
    monkeypatch.delenv("COLUMNS", raising=False)


def table(*arguments: str, environment: str = command.REFERENCE) -> str:
    result = command.render(*arguments, "--environment", environment, "-o", "table")
    assert result.exit_code == 0, result.stderr
    return result.output


def lines(text: str) -> list[list[str]]:
    """The words of each line."""
    return [line.split() for line in text.splitlines()]


def test_phase_objects_conditions_and_derived_values() -> None:
    text = table(command.SMALLEST)
    assert text.startswith("llm/smallest: Pending, waiting for: the download of Qwen/Qwen3-8B@main")
    words = lines(text)
    assert ["CiliumNetworkPolicy", "smallest.download"] in words
    assert "Valid True Valid the claim and the settings are valid" in map(" ".join, words)
    for title in ("objects", "conditions", "derived values"):
        assert f"\n{title}" in text
    (running,) = (line for line in text.splitlines() if line.startswith(" running target"))
    assert "5.6 requests a replica" in running
    assert "maxNumSeqs=8" in running


def test_what_people_look_for_comes_first() -> None:
    text = table(command.CODER)
    before, _, _ = text.partition("\nobjects")
    values = {
        line.split()[0]: " ".join(line.split()[1:]) for line in before.splitlines()[1:] if line
    }
    assert values["model"].startswith("Qwen/Qwen2.5-Coder-7B-Instruct@c03e6d35")
    assert values["image"] == "vllm/vllm-openai:v0.25.1"
    assert values["command"].startswith("vllm serve /models/base-")
    assert "--max-model-len=32768" in before
    assert values["context"] == "32768 tokens, 32 sequences at once"
    assert values["GPUs"] == "1 x l4 a replica"
    assert values["replicas"] == "1 to 2"
    assert "limits cpu 8, memory 48Gi, nvidia.com/gpu 1" in values["resources"]


def test_both_values_of_what_changes_are_shown(tmp_path: pathlib.Path) -> None:
    """Of a list, the table shows only the items that differ."""
    claimed = scene.of(scaling={"maxReplicas": 4}, model={"contextWindow": 8192})
    text = restarts(tmp_path, scene.serving(), claimed)
    rows = [" ".join(line) for line in lines(text)]
    assert "ScaledObject model spec.maxReplicaCount 3 4" in rows
    arguments = "Deployment model spec.template.spec.containers[vllm].args"
    assert f"{arguments} --max-model-len=4096 --max-model-len=8192" in rows


def test_every_claim_has_its_tables() -> None:
    text = table(*command.CLAIMS)
    for name in cluster.EXAMPLES:
        assert f"llm/{name}: " in text
    assert text.count("\nderived values") == len(cluster.EXAMPLES)


def test_a_log_is_wide_enough_for_a_name() -> None:
    """Eighty columns, as for a file, would fold names in the middle."""
    text = table(command.CODER)
    names = [word for line in lines(text) for word in line]
    assert "xplane-qwen-coder.canary-xplane-qwen-coder-sql-dpo" in names
    assert "gpu-memory-utilization" in names


def test_a_width_that_was_asked_for_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert max(len(line) for line in table(command.SMALLEST).splitlines()[1:]) <= 60


def test_what_the_author_wrote_is_no_markup(tmp_path: pathlib.Path) -> None:
    world = scene.serving()
    claimed = scene.of(podTemplate={"env": [{"name": "bold", "value": "[red]"}]})
    config = scene.site(permissions={"environment": ["llm"]})
    environment = command.write(tmp_path / "environment.yaml", config)
    text = restarts(tmp_path, world, claimed, environment=environment)
    assert "spec.containers[vllm].env[bold]" in text


def restarts(
    tmp_path: pathlib.Path,
    world: cluster.Cluster,
    claimed: Any,
    *more: str,
    environment: str = command.REFERENCE,
) -> str:
    listed = {"apiVersion": "v1", "kind": "List", "items": [*world.objects.values(), world.claim]}
    name = command.write(tmp_path / "observed.yaml", listed)
    claim = command.write(tmp_path / "claim.yaml", claimed)
    return table(claim, "--observed", name, *more, environment=environment)


def test_nothing_to_restart_is_said(tmp_path: pathlib.Path) -> None:
    text = restarts(tmp_path, scene.serving(), scene.of())
    assert "pods stay as they are" in text
    assert text.startswith("llm/model: Serving\n")
    assert ["Deployment", "model", "yes"] in lines(text)


def test_the_field_that_would_restart_pods_is_named(tmp_path: pathlib.Path) -> None:
    claimed = scene.of(model={"contextWindow": 8192}, podTemplate={"priorityClassName": "serving"})
    text = restarts(tmp_path, scene.serving(), claimed)
    (line,) = (line for line in text.splitlines() if line.startswith("pods restart for"))
    assert "spec.priorityClassName" in line
    assert "spec.containers[vllm].args" in line
    assert "resources" not in line


def test_fields_that_are_held_back_are_named(tmp_path: pathlib.Path) -> None:
    """Pods keep their template when the settings change and the claim does not."""
    world = scene.serving(config=scene.site(engine={"version": "0.24.0"}))
    text = restarts(tmp_path, world, scene.of())
    (line,) = (line for line in text.splitlines() if line.startswith("pods keep their template"))
    assert "spec.containers[vllm].image" in line
    assert "PlatformChangePending" in text


def test_what_an_object_waits_for_is_said(tmp_path: pathlib.Path) -> None:
    world = scene.serving()
    world.one("VMRule")["status"] = {"updateStatus": "failed", "reason": "bad expression"}
    text = restarts(tmp_path, world, scene.of())
    assert ["VMRule", "model", "no", "bad", "expression"] in lines(text)


def test_without_observed_objects_nothing_is_said_about_readiness() -> None:
    text = table(command.SMALLEST)
    objects = text[text.index("\nobjects") : text.index("\nconditions")]
    assert "waits for" not in objects
    assert "pods restart" not in text
    assert "\nchanges" not in text


def test_a_table_without_rich_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without(name: str, *arguments: Any, **named: Any) -> Any:
        if name.startswith("rich"):
            raise ImportError(name)
        return original(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    result = command.render(command.SMALLEST, "-o", "table")
    assert result.exit_code == 2
    assert "pip install 'function-inference-service[cli]'" in result.stderr
    # The other outputs need no rich.
    for output in ("yaml", "json"):
        assert command.render(command.SMALLEST, "-o", output).exit_code == 0


def test_a_fleet_has_one_line_for_each_claim_of_a_directory(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a release or new settings are installed: which pods would restart, and which wait."""
    monkeypatch.setenv("COLUMNS", "300")
    claims, observed = tmp_path / "claims", tmp_path / "observed"
    (claims / "team").mkdir(parents=True)
    observed.mkdir()
    older = scene.site(engine={"version": "0.24.0"})
    for name, config in (("same", scene.site()), ("held", older)):
        world = scene.serving(scene.of(name=name), config)
        listed = [*world.objects.values(), world.claim]
        command.write(observed / f"{name}.yaml", {"kind": "List", "items": listed})
        command.write(claims / "team" / f"{name}.yaml", scene.of(name=name))
    edited = scene.of(name="edited", podTemplate={"priorityClassName": "serving"})
    much = {
        "priorityClassName": "serving",
        "annotations": {"a": "1"},
        "affinity": {"nodeAffinity": {}},
        "env": [{"name": "NCCL_DEBUG", "value": "INFO"}],
        "labels": {"team": "1"},
    }
    scene_of_much = scene.serving(scene.of(name="much"))
    listed = [*scene_of_much.objects.values(), scene_of_much.claim]
    command.write(observed / "much.yaml", {"kind": "List", "items": listed})
    command.write(claims / "much.yaml", scene.of(name="much", podTemplate=much))
    world = scene.serving(scene.of(name="edited"))
    listed = [*world.objects.values(), world.claim]
    command.write(observed / "edited.json", {"kind": "List", "items": listed})
    command.write(claims / "edited.yaml", edited)
    command.write(claims / "young.yaml", scene.of(name="young"))
    command.write(claims / "values.txt", {"not": "read"})
    result = command.render(
        *(str(claims), "--observed", str(observed)),
        *("--environment", command.REFERENCE, "--output", "summary"),
    )
    assert result.exit_code == 0, result.stderr
    rows = {line.split()[0]: line for line in result.output.splitlines() if " llm/" in line}
    assert set(rows) == {"llm/same", "llm/held", "llm/edited", "llm/young", "llm/much"}
    assert "stay as they are" in rows["llm/same"]
    assert "Serving" in rows["llm/same"]
    assert "PlatformChangePending" in rows["llm/held"]
    assert "held back: " in rows["llm/held"]
    assert "spec.containers[vllm].image" in rows["llm/held"]
    assert "restart for spec.priorityClassName" in rows["llm/edited"]
    assert "a new claim" in rows["llm/young"]
    assert "restart for metadata.annotations, " in rows["llm/much"]
    assert " and 2 more" in rows["llm/much"]


def test_a_fleet_shows_what_is_refused_beside_the_rest(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    command.write(tmp_path / "good.yaml", scene.of(name="good"))
    command.write(tmp_path / "wrong.yaml", scene.of(name="wrong", gpu={"class": "h100"}))
    (tmp_path / "template.yaml").write_text("{{ if .Values.enabled }}\n", encoding="utf-8")
    result = command.render(
        str(tmp_path), "--environment", command.REFERENCE, "--output", "summary"
    )
    # The exit code of an unread file (2) goes before the exit code of a refused claim.
    assert result.exit_code == 2
    rows = {line.split()[0]: line for line in result.stdout.splitlines() if " llm/" in line}
    assert set(rows) == {"llm/good", "llm/wrong"}
    assert "a new claim" in rows["llm/good"]
    assert "refused" in rows["llm/wrong"]
    assert "spec.gpu.class: no such class in the settings" in rows["llm/wrong"]
    assert f"{tmp_path / 'template.yaml'}:1:2: a key is no text" in result.stderr


def test_what_a_claim_will_not_do_is_noted(tmp_path: pathlib.Path) -> None:
    name = command.write(tmp_path / "claim.yaml", scene.of(scaling={"minReplicas": 0}))
    result = command.render(name, "--environment", command.REFERENCE)
    assert result.exit_code == 0
    (note,) = [line for line in result.stderr.splitlines() if "0 is held at 1: " in line]
    assert note.startswith(f"note: {name}")
