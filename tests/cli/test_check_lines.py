"""In which file and line `check` finds what is wrong."""

import pathlib

import pytest

from tests import cluster
from tests.cli import checks, command
from tests.resources import scene


def test_each_finding_has_the_line_of_its_field(tmp_path: pathlib.Path) -> None:
    (tmp_path / "claims.yaml").write_text("""\
apiVersion: cloud.ogenki.io/v1alpha1
kind: InferenceService
metadata:
  name: first
spec:
  model:
    repository: Qwen/Qwen3-8B
    contextWindow: 65536
  engineArgs:
    - --seed=1
    - --seed=x
---
apiVersion: cloud.ogenki.io/v1alpha1
kind: InferenceService
metadata:
  name: second
spec:
  model:
    repository: Qwen/Qwen3-8B
    quantisation: fp8
""")
    (tmp_path / "broken.yml").write_text("a: 1\nb: [\n")
    found = checks.findings(str(tmp_path), "-e", command.REFERENCE)
    places_of = [(pathlib.Path(f["file"]).name, f["line"], f["rule"]) for f in found]
    assert places_of == [
        ("broken.yml", 3, "file-unreadable"),
        ("claims.yaml", 6, "does-not-fit"),
        ("claims.yaml", 8, "context-above-model"),
        ("claims.yaml", 11, "engine-flag-value"),
        ("claims.yaml", 20, "claim-invalid"),
    ]
    assert [f["claim"] for f in found] == [None, "first", "first", "first", "second"]


SETTINGS = """\
apiVersion: apiextensions.crossplane.io/v1beta1
kind: EnvironmentConfig
metadata: {name: %s, labels: {inference-service.cloud.ogenki.io/settings: "true"}}
data:
  inferenceService:
%s
"""


@pytest.mark.parametrize(
    ("first", "second", "place"),
    [
        ("    engine: {version: 0.25.1}", "    engine:\n      image: 1", ("b.yaml", 7)),
        ("    engine:\n      image: 1", "    engine: {version: 0.25.1}", ("a.yaml", 7)),
        # Both have it, and the last counts.
        ("    engine: {image: 1}", "    engine: {image: 1}", ("b.yaml", 6)),
        ("    limits: {}", "    gpu: {}\n    gpus: 1", ("b.yaml", 7)),
    ],
)
def test_a_mistake_in_the_settings_is_in_the_file_that_counts(
    tmp_path: pathlib.Path, first: str, second: str, place: tuple[str, int]
) -> None:
    (tmp_path / "a.yaml").write_text(SETTINGS % ("a", first))
    (tmp_path / "b.yaml").write_text(SETTINGS % ("b", second))
    claims = command.write(tmp_path / "claims.yaml", scene.of())
    files = [str(tmp_path / name) for name in ("b.yaml", "a.yaml")]
    (one,) = checks.findings(claims, "-e", files[0], "-e", files[1])
    assert (pathlib.Path(one["file"]).name, one["line"]) == place
    assert one["rule"] == "settings-invalid"


def test_a_mistake_in_a_compositions_input_has_its_line(tmp_path: pathlib.Path) -> None:
    composition = cluster.ROOT / "compositions/xinferenceservices.cloud.ogenki.io.yaml"
    text = composition.read_text()
    head, input_line, rest = text.partition("        kind: Settings\n")
    assert input_line
    file = tmp_path / "composition.yaml"
    file.write_text(head + input_line + "        gpus: 1\n" + rest)
    claims = command.write(tmp_path / "claims.yaml", scene.of())
    (one,) = checks.findings(claims, "-e", command.REFERENCE, "--input", str(file))
    assert (pathlib.Path(one["file"]).name, one["line"]) == (
        "composition.yaml",
        (head + input_line).count("\n") + 1,
    )


def test_arguments_of_a_claim_that_does_not_parse_are_judged_too(tmp_path: pathlib.Path) -> None:
    claimed = scene.of(model={"quantisation": "fp8"}, engineArgs=["--enforce-eagre"])
    found = checks.findings(
        command.write(tmp_path / "claims.yaml", claimed), "-e", command.REFERENCE
    )
    assert {one["rule"] for one in found} == {"claim-invalid", "engine-flag-unknown"}


@pytest.mark.parametrize("written", ["Qwen/Qwen3-8b", "Qwen/Qwen3-8b-Instruct"])
def test_an_unknown_model_names_the_nearest(tmp_path: pathlib.Path, written: str) -> None:
    claimed = scene.of(model={"repository": written})
    (one,) = checks.findings(
        command.write(tmp_path / "claims.yaml", claimed), "-e", command.REFERENCE
    )
    assert one["rule"] == "model-unknown"
    assert "did you mean Qwen/Qwen3-8B or " in one["message"]
