"""Older claims: read in a revision without a checkout, and played as a cluster that has them."""

import pathlib
import subprocess

import pytest
import yaml

from function.api import settings
from function.cli import against, documents, rendering, snapshot, trees, verdicts

CLAIM = """\
apiVersion: cloud.ogenki.io/v1alpha1
kind: InferenceService
metadata: {{name: {name}, namespace: llm}}
spec:
  model: {{repository: Qwen/Qwen3-8B, revision: "{revision}"}}
"""


@pytest.fixture
def repository(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A repository with one commit that has the claims `first` and `second`."""
    monkeypatch.chdir(tmp_path)
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    claims = tmp_path / "claims"
    claims.mkdir()
    for name in ("first", "second"):
        (claims / f"{name}.yaml").write_text(CLAIM.format(name=name, revision="1"))
    (claims / "notes.txt").write_text("not a manifest")
    who = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
    for words in (["init", "-q"], ["add", "-A"], [*who, "commit", "-qm", "claims"]):
        subprocess.run(["git", *words], check=True)
    return tmp_path


def names(before: against.Before) -> list[str]:
    return [name for _, name in before.cluster.claims()]


def read(name: str, *claims: str) -> against.Before:
    site = settings.Settings()
    return against.read(name, claims, site, site)


def test_a_revision_is_read_without_a_checkout(repository: pathlib.Path) -> None:
    (repository / "claims/first.yaml").write_text("broken: [")
    (repository / "claims/second.yaml").unlink()
    assert names(read("HEAD", "claims")) == ["first", "second"]
    assert names(read("HEAD", "claims/first.yaml")) == ["first"]


def test_a_file_and_a_directory_that_went_are_read_by_their_names(repository: pathlib.Path) -> None:
    for file in (repository / "claims").iterdir():
        file.unlink()
    (repository / "claims").rmdir()
    assert names(read("HEAD", "claims")) == ["first", "second"]
    assert names(read("HEAD", "claims/second.yaml")) == ["second"]


def test_what_a_revision_does_not_have_is_empty(repository: pathlib.Path) -> None:
    (repository / "claims/third.yaml").write_text(CLAIM.format(name="third", revision="1"))
    assert names(read("HEAD", "claims/third.yaml")) == []


@pytest.mark.parametrize("name", ["no-such-branch", "--help", "HEAD:claims"])
def test_what_is_no_revision_is_named(repository: pathlib.Path, name: str) -> None:
    with pytest.raises(documents.UnreadableError, match=f"^{name}: neither a file"):
        read(name, "claims")


def test_a_name_is_no_pattern_of_git(repository: pathlib.Path) -> None:
    tree = trees.Revision("HEAD")
    unreadable: list[documents.UnreadableError] = []
    assert tree.files("claims/*.yaml", unreadable.append) == []
    assert tree.files(":(top)", unreadable.append) == []


def test_a_directory_of_older_claims_is_played_as_a_fleet_that_runs(
    repository: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    before = read("claims", "elsewhere")
    kinds = {item["kind"] for item in before.cluster.objects}
    assert {"Deployment", "InferenceService", "PodDisruptionBudget"} <= kinds
    source = documents.claims(["claims/first.yaml"]).sources[0]
    verdict = verdicts.of(rendering.render(source, settings.Settings(), before.cluster))
    assert (verdict.outcome, verdict.pods.effect) == ("unchanged", "stay")


def test_an_edit_is_told_from_what_ran(repository: pathlib.Path) -> None:
    (repository / "claims/first.yaml").write_text(CLAIM.format(name="first", revision="2"))
    before = read("HEAD", "claims")
    source = documents.claims(["claims/first.yaml"]).sources[0]
    verdict = verdicts.of(rendering.render(source, settings.Settings(), before.cluster))
    assert (verdict.outcome, verdict.pods.effect) == ("changed", "restart-later")


def test_another_class_that_places_pods_alike_is_named(repository: pathlib.Path) -> None:
    """Only the directory of compiled code differs, which says nothing to an author."""
    l4 = {"product": "NVIDIA-L4", "nodeGpus": 1}
    sized = "  gpu: {class: l4}\n"
    first = repository / "claims/first.yaml"
    first.write_text(first.read_text().replace('"1"', '"1", contextWindow: 4096, maxNumSeqs: 8'))
    first.write_text(first.read_text() + sized)
    site = settings.Settings.model_validate(
        {"gpu": {"defaultClass": "l4", "classes": {"l4": l4, "other": l4}}}
    )
    before = against.read("claims", ("claims",), site, site)
    first.write_text(first.read_text().replace("class: l4", "class: other"))
    source = documents.claims(["claims/first.yaml"]).sources[0]
    verdict = verdicts.of(rendering.render(source, site, before.cluster))
    assert verdict.pods.effect == "restart"
    assert verdict.pods.sentence().startswith("restart for GPU class (spec.containers[vllm].env[")


def test_observed_objects_are_told_from_older_claims(repository: pathlib.Path) -> None:
    played = read("claims").cluster.objects
    (repository / "observed.yaml").write_text(yaml.safe_dump_all(played))
    before = read("observed.yaml", "claims")
    assert before.words == "the objects of observed.yaml"
    assert before.cluster.objects == played


def test_an_older_claim_that_is_refused_is_named(repository: pathlib.Path) -> None:
    broken = CLAIM.format(name="first", revision="1") + "  replicas: 3\n"
    (repository / "claims/first.yaml").write_text(broken)
    before = read("claims")
    assert names(before) == ["second"]
    assert before.notes == (
        "claims/first.yaml (first): refused as it is at claims, so it is compared as a new claim",
    )


def test_objects_of_other_kinds_are_no_cluster(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "map.yaml"
    file.write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n")
    assert against.observed_objects(str(file)) is None
    assert read(str(file)).cluster.objects == snapshot.Snapshot().objects
