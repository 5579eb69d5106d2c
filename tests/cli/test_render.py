"""`inference-service render`: what goes in, what comes out, and the exit code."""

import json
import pathlib
import re
from typing import Any

import pytest

from tests import cluster
from tests.cli import command
from tests.resources import scene

KEY = "crossplane.io/composition-resource-name"
BROKEN: Any = scene.of(name="broken", scaling={"minReplicas": 3, "maxReplicas": 1})


# --- what comes out


def test_the_installed_script_renders_all_examples() -> None:
    result = command.script("render", *command.CLAIMS, "--environment", command.REFERENCE)
    assert (result.returncode, result.stderr) == (0, "")
    objects = command.documents(result.stdout)
    claims = [item for item in objects if item["kind"] == "InferenceService"]
    assert [item["metadata"]["name"] for item in claims] == cluster.EXAMPLES
    assert len(objects) > 5 * len(claims)


def test_the_script_reads_standard_input_and_says_when_it_fails() -> None:
    result = command.script("render", "-", given=json.dumps(BROKEN))
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert (
        "- (broken): claim: spec.scaling.minReplicas: minReplicas must be at most" in result.stderr
    )
    assert command.script("--version").stdout.startswith("inference-service, version ")


@pytest.mark.parametrize("name", cluster.EXAMPLES)
def test_yaml_and_json_say_the_same(name: str) -> None:
    claim = str(cluster.ROOT / f"examples/claims/{name}.yaml")
    arguments = (claim, "--environment", command.REFERENCE)
    as_yaml = command.render(*arguments)
    as_json = command.render(*arguments, "--output", "json")
    assert command.documents(as_yaml.stdout) == command.items(as_json.stdout)


def test_two_processes_give_the_same_bytes() -> None:
    arguments = ("render", command.CODER, "--environment", command.PLAIN, "--assume", "served")
    here, there = command.render(*arguments[1:]), command.script(*arguments, hash_seed="1")
    assert here.stdout == there.stdout != ""


@pytest.mark.parametrize("profile", cluster.PROFILES)
@pytest.mark.parametrize("name", cluster.EXAMPLES)
def test_it_is_what_the_cluster_gets(name: str, profile: str) -> None:
    """The same objects, with core's annotation and label, in the order of core's own render.

    Of what it says of the claim, the first answer: its pods wait for their policies.
    """
    environment = str(cluster.ROOT / f"examples/{profile}/environmentconfig.yaml")
    claim = str(cluster.ROOT / f"examples/claims/{name}.yaml")
    composite, *composed = command.documents(
        command.render(claim, "--environment", environment).stdout
    )
    world = scene.first(cluster.example(name), cluster.environment(profile))
    assert composed == [world.owned[key] for key in sorted(world.owned)]
    for key, item in zip(sorted(world.owned), composed, strict=True):
        assert item["metadata"]["annotations"][KEY] == key
        assert item["metadata"]["labels"]["crossplane.io/composite"] == name
    assert all("" not in condition.values() for condition in composite["status"]["conditions"])
    first = cluster.Cluster(cluster.example(name), cluster.environment(profile)).reconcile()
    status = dict(first.claim["status"])
    assert {k: v for k, v in composite["status"].items() if k != "conditions"} == {
        k: v for k, v in status.items() if k not in ("conditions", "observedGeneration")
    }
    conditions = {c["type"]: (c["status"], c["reason"]) for c in status["conditions"]}
    assert {
        c["type"]: (c["status"], c["reason"]) for c in composite["status"]["conditions"]
    } == conditions


def test_yaml_has_no_anchors_and_no_nulls() -> None:
    text = command.render(*command.CLAIMS, "--environment", command.PLAIN).stdout
    assert not re.search(r"(^|\s)[&*][a-z]+[0-9]+(\s|$)", text)
    assert "null" not in text


@pytest.mark.parametrize(
    "word",
    [
        "12e4567890",
        "0947265260",
        "1e3",
        "y",
        "N",
        "0o17",
        "true",
        "1.5",
        "0x1f",
        "~",
        "2026-08-20",
        "010",
    ],
)
def test_a_word_that_kubernetes_would_take_for_something_else_is_quoted(word: str) -> None:
    """A hash such as 12e4567890 would come back as infinity, and `y` as true."""
    claimed = scene.of(
        podTemplate={"annotations": {"word": word}}, model={"preload": {"enabled": False}}
    )
    text = command.render("-", given=json.dumps(claimed)).stdout
    assert re.search(rf"word: ['\"]{re.escape(word)}['\"]$", text, re.MULTILINE), text


# --- where claims come from


def test_many_documents_and_lists_in_one_file(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "claims.yaml"
    listed = {"apiVersion": "v1", "kind": "List", "items": [scene.of(name="b"), scene.of(name="c")]}
    typed = {
        "apiVersion": "cloud.ogenki.io/v1alpha1",
        "kind": "InferenceServiceList",
        "items": [scene.of(name="d")],
    }
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}}
    name = command.write(file, scene.of(name="a"), None, listed, service, typed)
    objects = command.documents(command.render(name).stdout)
    claims = [i["metadata"]["name"] for i in objects if i["kind"] == "InferenceService"]
    assert claims == ["a", "b", "c", "d"]


def test_standard_input_beside_files() -> None:
    result = command.render(command.SMALLEST, "-", given=json.dumps(scene.of(name="piped")))
    objects = command.documents(result.stdout)
    claims = [i["metadata"]["name"] for i in objects if i["kind"] == "InferenceService"]
    assert claims == ["smallest", "piped"]


def test_json_is_read_too() -> None:
    text = '{"apiVersion":"cloud.ogenki.io/v1alpha1","kind":"InferenceService",'
    text += '"metadata":{"name":"j"},"spec":{"model":{"repository":"a/b"}}}'
    objects = command.documents(command.render("-", given=text).stdout)
    assert objects[0]["metadata"] == {"name": "j", "namespace": "default"}


# --- what is wrong with them


def test_a_bad_claim_names_field_and_rule_and_the_others_are_rendered(
    tmp_path: pathlib.Path,
) -> None:
    unknown = scene.of(name="typo", modle={"repository": "a"})
    name = command.write(
        tmp_path / "c.yaml", scene.of(name="a"), BROKEN, unknown, scene.of(name="z")
    )
    result = command.render(name, "--environment", command.REFERENCE)
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        f"{name} (broken): claim: spec.scaling.minReplicas: minReplicas must be at most"
        " maxReplicas",
        f"{name} (typo): claim: spec.modle: unknown field; the nearest is spec.model",
    ]
    claims = [
        i["metadata"]["name"]
        for i in command.documents(result.stdout)
        if i["kind"] == "InferenceService"
    ]
    assert claims == ["a", "z"]


def test_what_the_settings_refuse_is_refused_here_too(tmp_path: pathlib.Path) -> None:
    name = command.write(tmp_path / "c.yaml", scene.of(gpu={"class": "h100"}))
    result = command.render(name, "--environment", command.REFERENCE)
    assert result.exit_code == 1
    assert "spec.gpu.class: no such class in the settings; there are: l4" in result.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "while parsing"),
        ("just words", "not a Kubernetes object"),
        ("- a\n- b", "not a Kubernetes object"),
        ("kind: null\nmetadata: {}", "not a Kubernetes object"),
        ("kind: InferenceService\nmetadata: words", "not a Kubernetes object"),
        ("kind: List\nitems: [words]", "not a Kubernetes object"),
        ("kind: A\nkind: B", "key 'kind' stands here twice"),
        ("kind: A\non: 1", "key 'on' is no text"),
        ("kind: A\n1: 1", "key '1' is no text"),
        ("kind: A\n[a]: 1", "a key is no text"),
        ("kind: A\nspec: {b: {c: 1, c: 2}}", "key 'c' stands here twice"),
        ("", "no InferenceService in -"),
        ("kind: Service", "no InferenceService in -"),
        ("kind: List", "no InferenceService in -"),
    ],
)
def test_what_is_no_claim_is_wrong_usage(text: str, words: str) -> None:
    result = command.render("-", given=text)
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stdout == ""


def test_a_file_that_is_not_there_an_empty_directory_and_bytes(tmp_path: pathlib.Path) -> None:
    missing = command.render("nothing.yaml")
    assert (missing.exit_code, missing.stdout) == (2, "")
    assert "nothing.yaml: No such file or directory" in missing.stderr
    directory = command.render(str(tmp_path))
    assert directory.exit_code == 2
    assert f"no InferenceService in {tmp_path}" in directory.stderr
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    assert "not UTF-8" in command.render(str(binary)).stderr


def test_no_arguments_and_a_wrong_output_are_wrong_usage() -> None:
    assert command.render().exit_code == 2
    assert command.render(command.SMALLEST, "--output", "xml").exit_code == 2


def test_anchors_and_merged_maps_are_read() -> None:
    text = """
apiVersion: cloud.ogenki.io/v1alpha1
kind: InferenceService
metadata: {name: a}
spec:
  model: &model {repository: a/b, preload: {enabled: false}}
  <<: {drainSeconds: 5}
  resources: {requests: &all {cpu: "3", memory: 20Gi}, limits: *all}
"""
    objects = command.documents(command.render("-", given=text).stdout)
    (container,) = command.of(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert "--shutdown-timeout=5" in container["args"]
    assert container["resources"]["limits"]["cpu"] == "3"


def test_times_and_dates_are_words_as_for_kubernetes() -> None:
    """PyYAML alone takes 12:30 for 750 and 2026-08-20 for a date."""
    text = """
apiVersion: cloud.ogenki.io/v1alpha1
kind: InferenceService
metadata: {name: a}
spec:
  model: {repository: a/b, preload: {enabled: no}, contextWindow: 8192}
  podTemplate: {annotations: {at: 12:30, day: 2026-08-20, n: "1"}}
"""
    objects = command.documents(command.render("-", given=text).stdout)
    template = command.of(objects, "Deployment")["spec"]["template"]
    assert template["metadata"]["annotations"] == {"at": "12:30", "day": "2026-08-20", "n": "1"}
    assert "--max-model-len=8192" in template["spec"]["containers"][0]["args"]


# --- settings


def test_without_an_environment_it_is_neutral_and_says_so() -> None:
    result = command.render(command.SMALLEST)
    assert result.exit_code == 0
    assert result.stderr == "note: no --environment given, rendering with neutral settings\n"
    kinds = {item["kind"] for item in command.documents(result.stdout)}
    assert "NetworkPolicy" in kinds
    assert "CiliumNetworkPolicy" not in kinds


def test_environments_are_merged_in_the_order_of_their_names(tmp_path: pathlib.Path) -> None:
    def config(name: str, **settings: Any) -> str:
        return command.write(
            tmp_path / f"{name}.yaml",
            {
                "apiVersion": "apiextensions.crossplane.io/v1beta1",
                "kind": "EnvironmentConfig",
                "metadata": {
                    "name": name,
                    "labels": {"inference-service.cloud.ogenki.io/settings": "true"},
                },
                "data": {"inferenceService": settings},
            },
        )

    low = config("a-low", labels={"a": "low", "b": "low"}, imagePullSecrets=["one", "two"])
    high = config("b-high", labels={"b": "high"}, imagePullSecrets=["three"])
    outputs = []
    for order in ((low, high), (high, low)):
        options = [option for name in order for option in ("--environment", name)]
        outputs.append(command.render(command.SMALLEST, *options).stdout)
    assert outputs[0] == outputs[1]
    objects = command.documents(outputs[0])
    labels = command.of(objects, "ServiceAccount")["metadata"]["labels"]
    assert (labels["a"], labels["b"]) == ("low", "high")
    pod = command.of(objects, "Job")["spec"]["template"]["spec"]
    assert pod["imagePullSecrets"] == [{"name": "three"}]


def test_an_environment_that_the_cluster_would_not_read_is_said(tmp_path: pathlib.Path) -> None:
    config = scene.site()
    del config["metadata"]["labels"]
    name = command.write(tmp_path / "e.yaml", config)
    result = command.render(command.SMALLEST, "--environment", name)
    assert result.exit_code == 0
    assert "inference-service-settings lacks the label" in result.stderr


def test_unknown_settings_are_named(tmp_path: pathlib.Path) -> None:
    name = command.write(tmp_path / "e.yaml", scene.site(gpus={}))
    result = command.render(command.SMALLEST, "--environment", name)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "settings: gpus: unknown field; the nearest is gpu\n"


@pytest.mark.parametrize("text", ["", "kind: List\nitems: []\n"])
def test_an_environment_that_holds_nothing_is_not_the_neutral_one(
    text: str, tmp_path: pathlib.Path
) -> None:
    """A cluster would render nothing, so the command must not render with neutral settings."""
    (tmp_path / "empty.yaml").write_text(text, encoding="utf-8")
    result = command.render(command.SMALLEST, "--environment", str(tmp_path / "empty.yaml"))
    assert result.exit_code == 2
    assert "empty.yaml: no EnvironmentConfig" in result.stderr


def test_what_is_no_environment_is_wrong_usage() -> None:
    result = command.render(command.SMALLEST, "--environment", command.SMALLEST)
    assert result.exit_code == 2
    words = f"{command.SMALLEST}: --environment takes EnvironmentConfigs, not InferenceService"
    assert words in result.stderr


@pytest.mark.decision(9)
def test_the_shipped_composition_needs_an_environment() -> None:
    result = command.render(command.SMALLEST, "--input", command.COMPOSITION)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no EnvironmentConfig with label" in result.stderr
    assert "environment: Optional" in result.stderr
    both = command.render(
        command.SMALLEST, "--input", command.COMPOSITION, "--environment", command.REFERENCE
    )
    alone = command.render(command.SMALLEST, "--environment", command.REFERENCE)
    assert (both.exit_code, both.stdout) == (0, alone.stdout)


def test_an_input_lies_below_the_environments(tmp_path: pathlib.Path) -> None:
    given = {
        "apiVersion": "inference-service.cloud.ogenki.io/v1alpha1",
        "kind": "Settings",
        "environment": "Optional",
        "engine": {"version": "0.30.0"},
        "labels": {"from": "input"},
    }
    name = command.write(tmp_path / "input.yaml", given)
    alone = command.documents(
        command.render(command.SMALLEST, "--input", name, "--assume", "verified").stdout
    )
    image = command.of(alone, "Deployment")["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == "vllm/vllm-openai:v0.30.0"
    over = command.documents(
        command.render(
            command.SMALLEST,
            "--input",
            name,
            "--environment",
            command.REFERENCE,
            "--assume",
            "verified",
        ).stdout
    )
    image = command.of(over, "Deployment")["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == "vllm/vllm-openai:v0.25.1"
    assert command.of(over, "Deployment")["metadata"]["labels"]["from"] == "input"


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("", 2, "no document"),
        ("kind: Composition\nspec: {pipeline: [{step: a}]}", 2, "no step of the Composition"),
        ("kind: Settings\napiVersion: other/v1", 1, "the Composition's input: apiVersion"),
    ],
)
def test_a_wrong_input(tmp_path: pathlib.Path, text: str, code: int, words: str) -> None:
    file = tmp_path / "input.yaml"
    file.write_text(text)
    result = command.render(command.SMALLEST, "--input", str(file))
    assert result.exit_code == code
    assert words in result.stderr


def test_the_step_that_takes_settings_may_be_any(tmp_path: pathlib.Path) -> None:
    composition = cluster.load("compositions/xinferenceservices.cloud.ogenki.io.yaml")
    other = {"step": "other", "functionRef": {"name": "x"}, "input": {"apiVersion": "a/v1"}}
    composition["spec"]["pipeline"].insert(0, other)
    name = command.write(tmp_path / "c.yaml", composition)
    result = command.render(command.SMALLEST, "--input", name, "--environment", command.PLAIN)
    assert result.exit_code == 0
