"""What is read: files, directories, YAML, and documents that are nearly claims."""

import itertools
import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import pytest
import yaml
from click import testing

from function import strict_yaml
from function.api import base, claim, settings
from function.cli import documents, main, suggestions, trees
from tests import cluster
from tests.cli import command
from tests.resources import scene

KSERVE = {
    "apiVersion": "serving.kserve.io/v1beta1",
    "kind": "InferenceService",
    "metadata": {"name": "sklearn", "namespace": "llm"},
    "spec": {"predictor": {"model": {"modelFormat": {"name": "sklearn"}}}},
}


def names(text: str) -> list[str]:
    """The claims of a rendered stream."""
    items = command.documents(text)
    return [item["metadata"]["name"] for item in items if item["kind"] == "InferenceService"]


# --- documents that are no claims


def test_an_inference_service_of_another_group_is_passed_over_with_a_note(
    tmp_path: pathlib.Path,
) -> None:
    command.write(tmp_path / "a.yaml", scene.of(name="ours"))
    command.write(tmp_path / "b.yaml", KSERVE)
    result = command.render(str(tmp_path), "--environment", command.REFERENCE)
    assert result.exit_code == 0
    assert names(result.stdout) == ["ours"]
    assert "(sklearn): InferenceService of group serving.kserve.io is passed over" in result.stderr


def test_an_observed_one_of_another_group_is_no_claim_of_ours(tmp_path: pathlib.Path) -> None:
    """Its status would be taken for that of our claim of the same name."""
    world = scene.serving(scene.of(name="sklearn"))
    theirs = {**KSERVE, "status": {"phase": "Failed", "weights": {"verified": []}}}
    listed = {"kind": "List", "items": [*world.objects.values(), theirs, world.claim, theirs]}
    observed = command.write(tmp_path / "observed.yaml", listed)
    name = command.write(tmp_path / "claim.yaml", scene.of(name="sklearn"))
    result = command.render(name, "--environment", command.REFERENCE, "--observed", observed)
    items = command.documents(result.stdout)[0]["status"]["conditions"]
    reasons = {condition["reason"] for condition in items if condition["status"] != "True"}
    assert reasons == {"UnknownModel"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "InferenceServce"},
        {"kind": "inferenceservice"},
        {"kind": "InferenceServices"},
        {"apiVersion": "cloud.ogenki.oi/v1alpha1"},
    ],
)
def test_a_misspelt_kind_or_group_is_an_error(
    wrong: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    name = command.write(tmp_path / "c.yaml", scene.of(name="good"), scene.of(name="typo") | wrong)
    result = command.render(name, "--environment", command.REFERENCE)
    assert result.exit_code == 1
    assert names(result.stdout) == ["good"]
    assert f"{name} (typo): there is no such kind: " in result.stderr
    assert "a claim is cloud.ogenki.io/v1alpha1, InferenceService" in result.stderr


def test_other_kinds_of_our_group_are_passed_over(tmp_path: pathlib.Path) -> None:
    other = {"apiVersion": "cloud.ogenki.io/v1alpha1", "kind": "SQLInstance", "metadata": {}}
    name = command.write(tmp_path / "c.yaml", scene.of(), other)
    result = command.render(name, "--environment", command.REFERENCE)
    assert (result.exit_code, result.stderr) == (0, "")


def test_two_claims_of_one_name_are_both_told(tmp_path: pathlib.Path) -> None:
    one = command.write(tmp_path / "one.yaml", scene.of(name="twin"))
    two = command.write(tmp_path / "two.yaml", scene.of(name="twin"))
    command.write(tmp_path / "three.yaml", scene.of(name="twin", namespace="elsewhere"))
    result = command.render(str(tmp_path), "--environment", command.REFERENCE)
    assert result.exit_code == 1
    assert names(result.stdout) == ["twin", "twin", "twin"]
    assert f"{one} (twin): {two} has a claim of this name too" in result.stderr
    assert f"{two} (twin): {one} has a claim of this name too" in result.stderr
    assert len(result.stderr.splitlines()) == 2


# --- what cannot be read


# 500 bytes that stand for 10^9 values.
LAUGHS = "kind: A\na: &a [" + "x," * 9 + "]\n"
for before, name in itertools.pairwise("abcdefghi"):
    LAUGHS += f"{name}: &{name} [" + f"*{before}," * 9 + "]\n"


NO_YAML = {
    "mapping": ("kind: A\nspec:\n  a: b: c\n", ":3:7: mapping values are not allowed"),
    "twice": ("kind: A\nspec: {b: {c: 1, c: 2}}", ":2:18: key 'c' stands here twice"),
    "character": ("kind: A\n\x01: 1\n", ":2:1: unacceptable character"),
    "deep": ("kind: A\nspec: " + "[" * 100_000, ":2:206: more than 200 levels deep"),
    "inside": ("kind: A\nspec: &a {b: [*a]}\n", ":2:15: *a stands inside of what it repeats"),
    "laughs": (LAUGHS, ":7:8: aliases up to *e repeat more than 100000 values"),
    "long": (
        f"kind: A\na: &a {'x' * 60_000}\nb: [{'*a, ' * 500}]",
        ":3:1705: aliases up to *a repeat",
    ),
    "list": ("kind: A\n---\n- a\n", ":3: not a Kubernetes object"),
}


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """By the script: what libyaml cannot take would end the process, not raise."""
    folder = tmp_path_factory.mktemp("broken")
    for name, (text, _) in NO_YAML.items():
        (folder / f"{name}.yaml").write_text(text)
    return command.script("render", str(folder))


@pytest.mark.parametrize("name", NO_YAML)
def test_what_is_no_yaml_is_placed(name: str, refused: subprocess.CompletedProcess[str]) -> None:
    _, place = NO_YAML[name]
    assert refused.returncode == 2
    assert f"{name}.yaml{place}" in refused.stderr
    assert "Usage" not in refused.stderr
    assert "Traceback" not in refused.stderr


def test_bytes_are_placed_too(tmp_path: pathlib.Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"kind: A\nname: caf\xe9\n")
    result = command.render(str(tmp_path / "latin.yaml"))
    assert (result.exit_code, "latin.yaml:2: not UTF-8" in result.stderr) == (2, True)


def test_what_stands_before_a_mistake_is_rendered(tmp_path: pathlib.Path) -> None:
    text = json.dumps(scene.of(name="before")) + "\n---\na: b: c\n"
    (tmp_path / "c.yaml").write_text(text)
    result = command.render(str(tmp_path / "c.yaml"), "--environment", command.REFERENCE)
    assert (result.exit_code, names(result.stdout)) == (2, ["before"])


@pytest.mark.parametrize("beside", [False, True])
def test_an_unreadable_file_has_one_exit_code(beside: bool, tmp_path: pathlib.Path) -> None:
    """Alone, beside a good claim: a pipeline can count on it."""
    (tmp_path / "broken.yaml").write_text("a: [1\n")
    if beside:
        command.write(tmp_path / "good.yaml", scene.of())
    for claims in (str(tmp_path), str(tmp_path / "broken.yaml")):
        result = command.render(claims, "--environment", command.REFERENCE)
        assert result.exit_code == 2
        assert "broken.yaml:2:1: while parsing a flow sequence from line 1 on" in result.stderr
        assert "Usage" not in result.stderr


def test_an_unreadable_directory_is_named(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The superuser, who runs some suites, reads everything: the system's answer is made up."""
    command.write(tmp_path / "good.yaml", scene.of())
    (tmp_path / "closed").mkdir()
    scan = os.scandir

    def refusing(path: Any) -> Any:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)
    result = command.render(str(tmp_path), "--environment", command.REFERENCE)
    assert result.exit_code == 2
    assert f"{tmp_path / 'closed'}: Permission denied" in result.stderr
    assert names(result.stdout) == ["model"]


def test_standard_input_cannot_be_read_twice() -> None:
    result = command.render("-", "--observed", "-", given="")
    assert result.exit_code == 2
    assert "standard input can be read once" in result.stderr


def test_wrong_usage_alone_shows_the_usage() -> None:
    assert "Usage: " in command.render("--nonsense").stderr


# --- how it is read


def test_without_libyaml_it_is_the_same() -> None:
    """Distributions build PyYAML without it."""
    code = (
        "import sys, yaml; del yaml.CSafeLoader, yaml.CSafeDumper\n"
        "from function.cli import main; main.main()"
    )
    arguments = ["render", *command.CLAIMS, "--environment", command.REFERENCE]
    slow = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    fast = command.render(*arguments[1:])
    assert fast.stdout == slow.stdout != ""


def test_libyaml_is_used_where_it_is() -> None:
    assert issubclass(strict_yaml.Loader, yaml.CSafeLoader)
    assert issubclass(strict_yaml.Dumper, yaml.CSafeDumper)


def test_it_is_written_as_pyyaml_writes_it() -> None:
    """It is written as events: quotes, blocks and numbers are still PyYAML's own."""
    values = [1, True, 1.0, 1e20, float("inf"), None, "", "1", "true", "12e4", "y", "~", " a", "é"]
    texts = ["a\nb\n", "a: b", "# a", "x " * 600, "2020-01-01", "12:30"]
    odd = {"values": values, "texts": texts, "nested": {"a": [{}, [], [[1]], {"b": {"c": 0}}]}}
    usual = yaml.dump_all(
        [odd, odd], Dumper=strict_yaml.Dumper, sort_keys=False, explicit_start=True, width=1000
    )
    assert strict_yaml.dump([odd, odd]) == usual


# --- what was meant


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"maxNumSeqs": 8}, "spec.maxNumSeqs: unknown field; it belongs to spec.model"),
        (
            {"model": {"contextLength": 4096}},
            "spec.model.contextLength: unknown field; the nearest is spec.model.contextWindow",
        ),
        ({"kind": "a"}, "spec.kind: unknown field; it belongs to the top level of the claim"),
        (
            {"engineArgs": ["--seed=1", "--max-model-len=8k"]},
            "spec.engineArgs[1]: --max-model-len is set by the composition in every spelling: use"
            " spec.model.contextWindow",
        ),
        (
            {"engineArgs": ["--no-enable-prefix-caching"]},
            "use spec.cache.prefixCache.enabled",
        ),
        (
            {"model": {"repo": "Qwen/Qwen3-8B"}},
            "spec.model.repo: unknown field; the nearest is spec.model.repository",
        ),
        ({"gpu": {"clas": "l4"}}, "spec.gpu.clas: unknown field; the nearest is spec.gpu.class"),
        ({"lora_adapters": []}, "the nearest is spec.loraAdapters"),
        ({"adapters": []}, "spec.adapters: unknown field; the nearest is spec.loraAdapters"),
        (
            {"cache": {"kvOffload": {"enabled": True, "sizeGiB": 8}}},
            "sizeGiB: unknown field; the nearest is spec.cache.kvOffload.sizeGB",
        ),
        (
            {"replicas": 2},
            "the nearest are spec.scaling.minReplicas and spec.scaling.maxReplicas",
        ),
        (
            {"access": {"from": [{"ns": "apps"}]}},
            "spec.access.from[0].ns: unknown field; there are: namespace, podLabels, port",
        ),
        (
            {"model": {"repository": "https://huggingface.co/Qwen/Qwen3-8B"}},
            "spec.model.repository: this is an address; the repository is Qwen/Qwen3-8B",
        ),
        (
            {"model": {"repository": "https://huggingface.co/Qwen/Qwen3-8B/tree/v2"}},
            "the repository is Qwen/Qwen3-8B, and spec.model.revision is v2",
        ),
        (
            {"model": {"repository": "https://huggingface.co/datasets/org/set"}},
            "this is the address of one of the hub's datasets, not of a model",
        ),
        (
            {"loraAdapters": [{"name": "a", "repository": "hf.co/org/sql/"}]},
            "spec.loraAdapters[0].repository: this is an address; the repository is org/sql",
        ),
        ({"model": {"repository": "org/model/extra"}}, "must be a repository of the hub"),
    ],
)
def test_a_mistake_comes_with_what_was_meant(
    spec: dict[str, Any], words: str, tmp_path: pathlib.Path
) -> None:
    name = command.write(tmp_path / "c.yaml", scene.of(**spec))
    result = command.render(name, "--environment", command.REFERENCE)
    assert result.exit_code == 1
    assert words in result.stderr


def test_an_address_that_has_the_form_of_a_repository_is_noted(tmp_path: pathlib.Path) -> None:
    name = command.write(tmp_path / "c.yaml", scene.of(model={"repository": "huggingface.co/gpt2"}))
    result = command.render(name, "--environment", command.REFERENCE)
    assert result.exit_code == 0
    assert "spec.model.repository: this is an address; the repository is gpt2" in result.stderr


def test_a_setting_is_sent_to_the_top_level() -> None:
    error = base.InvalidError("settings", [base.Problem("network.region", "unknown field")])
    (hinted,) = suggestions.hinted(error, settings.Settings, {})
    assert hinted.message.endswith("; it belongs to the top level of inferenceService")


def test_a_field_is_sent_to_where_it_is() -> None:
    """Whatever stands at the root of the spec and belongs elsewhere."""
    places = dict(suggestions.fields(claim.InferenceService))
    root = {field.alias for field in claim.Spec.model_fields.values()}
    for path, name in places.items():
        if name in root or not path.startswith("spec."):
            continue
        error = base.InvalidError("claim", [base.Problem(f"spec.{name}", "unknown field")])
        (hinted,) = suggestions.hinted(error, claim.InferenceService, cluster.example("smallest"))
        if "it belongs to" in hinted.message:
            assert path.rpartition(".")[0] in hinted.message


def test_a_file_without_end_is_refused(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trees, "MOST_BYTES", 1024 * 1024)
    result = documents.claims(["/dev/zero"])
    assert [str(error) for error in result.unreadable] == ["/dev/zero: larger than 1 MiB"]
    claim = cluster.example("smallest")
    claim["metadata"]["annotations"] = {"a": "x" * 300_000}
    (tmp_path / "claim.yaml").write_text(yaml.safe_dump(claim))
    result = documents.claims([str(tmp_path / "claim.yaml")])
    assert result.sources == []
    assert "the claim has more than 256 KiB" in str(result.unreadable[0])


def test_aliases_of_a_usual_size_are_read() -> None:
    text = "a: &a {b: 1}\nc: [" + "*a," * 1000 + "]"
    stream = strict_yaml.load(text)
    assert stream.error is None
    assert len(stream.documents[0].value["c"]) == 1000


@pytest.mark.parametrize("verb", ["check", "explain", "plan", "render"])
def test_what_an_author_wrote_steers_no_terminal_and_no_workflow(
    verb: str, tmp_path: pathlib.Path
) -> None:
    """A line that begins with :: is a command to GitHub's runner, in any log."""
    evil = "x\x1b[2J\n::error::y"
    unknown, unnamed = scene.of(), scene.of()
    unknown["spec"][evil] = 1
    unnamed["metadata"] |= {"name": evil, "namespace": evil}
    name = command.write(tmp_path / "c.yaml", unknown, unnamed)
    result = testing.CliRunner().invoke(main.main, [verb, name])
    output = result.stdout + result.stderr
    assert r"x\x1b[2J\n::error::y" in output.replace("\n", "")
    assert "\x1b" not in output
    assert not [line for line in output.splitlines() if line.lstrip().startswith("::")]
