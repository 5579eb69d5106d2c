"""`inference-service migrate`: the same meaning in today's fields, and nothing else of a file."""

import copy
import json
import pathlib
import re
import textwrap
from typing import Any

import hypothesis
import pytest
import yaml
from click import testing

from function import canonical
from function.api import base, settings
from function.cli import (
    documents,
    edits,
    migrate,
    migration,
    rendering,
    sameness,
    sites,
    snapshot,
)
from tests import cluster, former_defaults, strategies
from tests.cli import command

Json = dict[str, Any]

OPEN = str(cluster.ROOT / "examples/settings/open.yaml")


def site_of(file: str) -> settings.Settings:
    return sites.read((file,), None).settings


def source(claim: Json) -> documents.Source:
    return documents.Source("claim.yaml", claim)


def run(*arguments: str, given: str | None = None) -> testing.Result:
    return command.verb("migrate", *arguments, given=given)


# --- claims of 0.9.0

# Beside those that are stored, fields that it had no default for.
_FREE = {
    "engineArgs",
    "envFromSecrets",
    "externalSecrets",
    "loraAdapters",
    "networkPolicies",
    "resources",
    "weightsFileSystem",
}
_FREE_BELOW = {
    "model": {"repository", "toolCallParser"},
    "gateway": {"canaries", "endpointPicker"},
    "route": {"hostname"},
}


def stored(claim: Json) -> Json:
    """Returns a claim as a cluster with 0.9.0 gives it."""
    kept = copy.deepcopy(claim)
    kept["metadata"] |= {"uid": "6c7f", "resourceVersion": "12", "generation": 2}
    kept["metadata"]["finalizers"] = ["composite.apiextensions.crossplane.io"]
    kept["status"] = {"phase": "Serving"}
    kept["spec"]["crossplane"] = {"compositionRef": {"name": "xinferenceservices.cloud.ogenki.io"}}
    for name, defaults in former_defaults.STORED.items():
        if name in kept["spec"]:
            kept["spec"][name] = _filled(kept["spec"][name], defaults)
    return kept


def _filled(held: Json, defaults: Json) -> Json:
    result = {**defaults, **held}
    for name, below in defaults.items():
        if isinstance(below, dict):
            result[name] = _filled(held[name], below) if name in held else below
    return result


def former(claim: Json) -> Json:
    """Returns what of a claim of today 0.9.0 had too."""
    spec = claim["spec"]
    kept = {name: spec[name] for name in _FREE if name in spec}
    for name, defaults in former_defaults.STORED.items():
        if name in spec:
            names = defaults.keys() | _FREE_BELOW.get(name, set())
            kept[name] = {k: v for k, v in spec[name].items() if k in names}
    kept["model"].setdefault("repository", "Qwen/Qwen3-8B")
    scale = kept.get("scaling", {})
    # As a person would choose them, and within the settings' limit of GPUs.
    for name in scale.keys() & {"minReplicas", "maxReplicas"}:
        scale[name] = min(scale[name], 3)
    if kept["model"].get("quantization") not in (None, "fp16", "fp8", "awq", "gptq"):
        del kept["model"]["quantization"]
    return {**claim, "metadata": claim["metadata"], "spec": kept}


REFERENCE_CLAIMS = [name for name in cluster.EXAMPLES if name != "smallest"]


@pytest.mark.parametrize("name", REFERENCE_CLAIMS)
@pytest.mark.parametrize("as_stored", [False, True])
def test_claims_of_the_reference_platform_keep_their_pods(name: str, as_stored: bool) -> None:
    claim = cluster.example(name)
    given = stored(claim) if as_stored else claim
    site = site_of(command.REFERENCE)
    result = migration.migrated(source(given), site)
    assert result.refused == ()
    before = sameness.composed(source(given), site)
    after = sameness.composed(source(result.document), site)
    assert sameness.differences(before, after) == []
    assert not sameness.restarts(before, after)
    assert "crossplane" not in result.document["spec"]
    assert "fp16" not in json.dumps(result.document)
    assert "Threshold" not in json.dumps(result.document)


@pytest.mark.parametrize("name", ["xplane-qwen-coder", "xplane-qwen3-8b"])
def test_beside_what_0_9_left_the_migrated_claim_is_the_old_one(name: str) -> None:
    """The fixtures are what 0.9.0 kept for these claims: its pods stay, whichever is applied."""
    fixture = cluster.ROOT / f"tests/fixtures/0.9.0/{name.removeprefix('xplane-')}.yaml"
    there = snapshot.Snapshot(documents.read(str(fixture)))
    site = site_of(command.REFERENCE)
    old = stored(cluster.example(name))
    new = migration.migrated(source(old), site).document
    old.pop("status")
    answers = [
        rendering.render(source(canonical.plain(claim)), site, there).answer.resources
        for claim in (old, new)
    ]
    before, after = (
        {
            key: {**one.manifest, "metadata": one.manifest["metadata"]["name"]}
            for key, one in a.items()
        }
        for a in answers
    )
    assert before == after


@hypothesis.given(strategies.claims(hatches=False).map(former))
@hypothesis.settings(deadline=None)
def test_generated_claims_keep_their_meaning(claim: Json) -> None:
    site = site_of(OPEN)
    given = stored(claim)
    result = migration.migrated(source(given), site)
    if result.refused:
        # It is refused as it is, too.
        with pytest.raises(base.InvalidError):
            sameness.composed(source({**given, "status": {}}), site)
        return
    before, after = (sameness.composed(source(one), site) for one in (given, result.document))
    assert sameness.differences(before, after) == []
    again = migration.migrated(source(result.document), site)
    assert (again.changes, again.document) == ((), result.document)


# --- what is written otherwise

ROWS = [
    ("model: {quantization: fp16}", "model: {}", ""),
    (
        'scaling: {runningRatioThreshold: "0.5"}',
        'scaling: {triggers: {running: {target: "16"}}}',
        "",
    ),
    (
        'scaling: {cacheUtilizationThreshold: "0.6", queueLengthThreshold: 4}',
        'scaling: {triggers: {kvCache: {target: "0.6"}, queue: {target: "4"}}}',
        "",
    ),
    (
        "gpu: {count: 2}\nengineArgs: [--tensor-parallel-size=2, --seed=1]",
        "gpu: {count: 2}\nengineArgs: [--seed=1]",
        "restarts the pods once",
    ),
    (
        "gpu: {count: 2}\nengineArgs: [--tensor-parallel-size=1]",
        "gpu: {count: 2}\nengineArgs: [--tensor-parallel-size=1]",
        "",
    ),
    (
        "engineArgs: [--kv-cache-dtype=fp8, --kv-offloading-size=8, --dtype=half]",
        "model: {kvCacheDtype: fp8, dtype: half}\ncache: {kvOffload: {enabled: true, sizeGB: 8}}",
        "restarts the pods once",
    ),
    ("engineArgs: [--kv_cache_dtype=fp8]", "model: {kvCacheDtype: fp8}", "restarts"),
    (
        "engineArgs: [--reasoning-parser=qwen3, --chat-template=/models/chat.jinja]",
        "model: {reasoningParser: qwen3, chatTemplate: /models/chat.jinja}",
        "restarts the pods once",
    ),
    ("engineArgs: [--shutdown-timeout=60]", "drainSeconds: 60", "accepts the platform's"),
    ("engineArgs: [--runner=generate]", "model: {runner: generate}", "restarts"),
    # Today's field takes fewer values.
    ("engineArgs: [--kv-cache-dtype=int8]", "engineArgs: [--kv-cache-dtype=int8]", "stays"),
    ("engineArgs: [--dtype=half, --dtype=float]", "engineArgs: [--dtype=half, --dtype=float]", ""),
]


@pytest.mark.parametrize(("old", "new", "note"), ROWS)
def test_fields_of_today(old: str, new: str, note: str) -> None:
    def whole(part: str) -> Json:
        spec = yaml.safe_load(part)
        model = {"repository": "Qwen/Qwen3-8B", "contextWindow": 8192, "maxNumSeqs": 32}
        return {
            **cluster.example("smallest"),
            "spec": {**spec, "model": model | spec.get("model", {})},
        }

    result = migration.migrated(source(whole(old)), site_of(OPEN))
    assert result.refused == ()
    assert result.document["spec"] == whole(new)["spec"]
    assert note in " ".join(result.notes)


def test_a_share_without_a_count_stays() -> None:
    """A number would no longer follow what is derived."""
    claim = cluster.example("smallest")
    claim["spec"]["scaling"] = {"runningRatioThreshold": "0.5"}
    assert migration.migrated(source(claim), site_of(OPEN)).document == claim


def test_a_claim_that_is_held_on_a_revision_is_told() -> None:
    claim = cluster.example("smallest")
    claim["spec"]["crossplane"] = {"compositionUpdatePolicy": "Manual"}
    (note,) = migration.migrated(source(claim), site_of(OPEN)).notes
    assert "follows the newest revision" in note


def _let_in(app: str) -> Json:
    labels = {"k8s:io.kubernetes.pod.namespace": "apps", "app": app}
    ports = [{"ports": [{"port": "8000", "protocol": "TCP"}]}]
    return {"fromEndpoints": [{"matchLabels": labels}], "toPorts": ports}


@pytest.mark.parametrize(
    ("provider", "extra", "moved"),
    [
        ("cilium", {}, True),
        # The rules replace the settings' callers, and access.from adds to them.
        ("cilium", {"network": {"callers": [{"namespace": "tools"}]}}, False),
        ("kubernetes", {}, False),
    ],
)
def test_raw_rules_that_only_name_peers_are_callers(
    provider: str, extra: Json, moved: bool
) -> None:
    site = settings.Settings.model_validate(
        {
            "providers": {"networkPolicy": provider},
            "permissions": {"rawPolicies": ["*"]},
            "allowed": {"callers": {"*": ["*"]}},
            **extra,
        }
    )
    claim = cluster.example("smallest")
    claim["spec"]["networkPolicies"] = {"ingress": [_let_in("webui")]}
    result = migration.migrated(source(claim), site)
    assert result.refused == ()
    spec = result.document["spec"]
    assert ("networkPolicies" not in spec) is moved
    if moved:
        assert spec["access"] == {"from": [{"namespace": "apps", "podLabels": {"app": "webui"}}]}


# --- text

OLD = """\
# Who asks: team chat.
apiVersion: cloud.ogenki.io/v1alpha1
kind: InferenceService
metadata:
  name: assistant
  namespace: llm
spec:
  model:
    repository: Qwen/Qwen3-8B   # with reasoning
    quantization: fp16
    contextWindow: 8192
    maxNumSeqs: 32
  # Two replicas are what we pay for.
  scaling:
    maxReplicas: 2
    queueLengthThreshold: 4
  engineArgs:
    # The same answers each time.
    - --seed=1
    - --kv-cache-dtype=fp8   # half
"""
NEW = """\
# Who asks: team chat.
apiVersion: cloud.ogenki.io/v1alpha1
kind: InferenceService
metadata:
  name: assistant
  namespace: llm
spec:
  model:
    repository: Qwen/Qwen3-8B   # with reasoning
    contextWindow: 8192
    maxNumSeqs: 32
    kvCacheDtype: fp8
  # Two replicas are what we pay for.
  scaling:
    maxReplicas: 2
    triggers:
      queue:
        target: '4'
  engineArgs:
    # The same answers each time.
    - --seed=1
"""


def test_comments_order_and_spelling_stay() -> None:
    other = "---\nkind: ConfigMap\napiVersion: v1\nmetadata: {name: x}   # ours\n"
    result = run("-", given=OLD + other)
    assert result.exit_code == 0
    assert result.stdout == NEW + other


def test_what_a_cluster_gives_is_cleaned_and_its_defaults_are_explained(
    tmp_path: pathlib.Path,
) -> None:
    claim = stored(cluster.example("smallest"))
    claim["metadata"]["annotations"] = {
        "kubectl.kubernetes.io/last-applied-configuration": json.dumps(
            {"spec": {"model": {"maxNumSeqs": 64}}}
        )
    }
    listed = {"apiVersion": "v1", "kind": "List", "items": [claim]}
    result = run("-", given=yaml.safe_dump(listed))
    assert result.exit_code == 0
    (item,) = yaml.safe_load(result.stdout)["items"]
    assert item["metadata"] == cluster.example("smallest")["metadata"]
    assert item.keys() == {"apiVersion", "kind", "metadata", "spec"}
    assert item["spec"]["model"]["contextWindow"] == 4096
    assert "# 4096 is what 0.9.0 stored" in result.stdout
    # The author applied this one.
    assert "# 64 is what" not in result.stdout
    file = command.write(tmp_path / "claim.json", claim)
    pathlib.Path(file).write_text(json.dumps(claim))
    assert run(file, "--in-place").exit_code == 0
    assert json.loads(pathlib.Path(file).read_text()) == item


@pytest.mark.parametrize(
    "text",
    [
        "a: &x {b: 1}\nc: *x\nd: 1\n",
        "a: {b: 1, c: 2}\nd: [1, 2]",
        "{a: 1, d: [1]}",
        "a: |\n  two\n\n  lines\n# last\nd: >-\n  x\n",
        "a:\nd: ''\n",
        '"a": "x: y"\n\'d\': [\n1,\n 2]\n',
    ],
)
def test_any_spelling_of_yaml_becomes_what_is_wanted(text: str) -> None:
    place = edits.Place(0)
    held = edits.value(text, place)
    for wanted in (
        {"d": held["d"]},
        {**held, "a": {"new": [1, {"x": "2"}]}},
        {**held, "a": "#"},
        {**held, "e": None},
        {"z": 1},
    ):
        changed = edits.changed(f"{text}", place, wanted, {("d",): "Why."})
        assert edits.value(changed, place) == wanted
        assert edits.changed(changed, place, wanted, {("d",): "Why."}) == changed


# --- the verb


def test_the_page_shows_what_is_written() -> None:
    page = (cluster.ROOT / "docs/command-line.md").read_text()
    section = page.split("## Claims of 0.9.0")[1].split("\n## ")[0]
    given, summary, written = re.findall(r"^```(?:yaml|text)\n(.*?)^```$", section, re.M | re.S)
    assert run("-", given=given).stdout == written
    assert run("-", "-o", "summary", given=given).stdout == summary
    options = [option for one in migrate.migrate.params for option in one.opts if option[0] == "-"]
    assert [option for option in options if f"`{option}" not in section] == []


def test_files_are_rewritten_in_place(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "claim.yaml"
    file.write_text(OLD)
    file.chmod(0o640)
    assert run(str(file), "--check").exit_code == 3
    assert file.read_text() == OLD
    result = run(str(tmp_path), "--in-place")
    assert (result.exit_code, file.read_text()) == (0, NEW)
    assert file.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["claim.yaml"]
    assert "spec.model.quantization: fp16 is left out" in result.stdout
    assert run(str(file), "--check").exit_code == 0


def test_json_and_summary_for_people_and_machines() -> None:
    shown = run("-", "-o", "json", given=OLD)
    (item,) = json.loads(shown.stdout)["items"]
    assert item == yaml.safe_load(NEW)
    assert "restarts the pods once" in shown.stderr
    summary = run("-", "-o", "summary", given=OLD)
    assert summary.stdout == textwrap.dedent(
        """\
        - (assistant):
          spec.model.quantization: fp16 is left out: it is the old name of no quantization
          spec.scaling.queueLengthThreshold: 4 is spec.scaling.triggers.queue.target: '4'
          spec.engineArgs --kv-cache-dtype=fp8 is spec.model.kvCacheDtype: fp8
        """
    )


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        (OLD.replace("maxNumSeqs: 32", "maxNumSeq: 32"), 1, "maxNumSeq"),
        (OLD + "x: [", 2, "-:22"),
        ("kind: ConfigMap\n", 2, "no InferenceService"),
    ],
)
def test_what_cannot_be_migrated_is_told_and_left(given: str, code: int, words: str) -> None:
    result = run("-", given=given)
    assert result.exit_code == code
    assert words in result.stderr
    assert result.stdout in (given, "")


def test_wrong_usage() -> None:
    assert run("-", "--in-place", given=OLD).exit_code == 2
    assert run(command.SMALLEST, "--in-place", "--check").exit_code == 2
    assert run("/none").exit_code == 2
