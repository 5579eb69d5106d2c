"""`inference-service init`: what is written parses, renders and fits, or the verb says why not."""

import json
import os
import pathlib
from typing import Any

import pytest
from click import testing

from function.api import base, claim, settings
from function.capacity import catalogue, fit
from function.cli import drafts, edits, hub, init, main, sites, uses
from function.cluster import checkpoints
from function.planning import plans
from tests import cluster
from tests.cli import command

CLOSED = str(cluster.ROOT / "examples/settings/closed.yaml")
CLOUDS = {
    cloud: str(cluster.ROOT / f"examples/prices/{cloud}.yaml") for cloud in ("aws", "azure", "gcp")
}
# Of Qwen3-8B, which has 40960 tokens itself, and of bge-m3.
LONGEST = {"chat": 16384, "code": 40960, "embeddings": 8192}
# Claims of one check are asked about in pairs, which grow as the square.
_CHECKED_AT_ONCE = 10
SITES = {"closed": (CLOSED,), **{cloud: (CLOSED, file) for cloud, file in CLOUDS.items()}}


def run(*arguments: str, cloud: str = "aws") -> testing.Result:
    given = [word for file in SITES[cloud] for word in ("-e", file)] if cloud else []
    return command.verb("init", *arguments, *given)


def site_of(cloud: str) -> settings.Settings:
    return sites.read(SITES[cloud], None).settings


def parsed(text: str) -> Any:
    (document,) = edits.documents(text)
    return document


def planned(text: str, site: settings.Settings) -> plans.Plan:
    resource = base.parse(claim.InferenceService, parsed(text), what="claim")
    return plans.make(resource, site, checkpoints.Facts())


def concrete(name: str) -> str:
    """Returns a repository that a name of the catalogue stands for."""
    return name.replace("*", "x")


@pytest.mark.effort
@pytest.mark.parametrize("cloud", SITES)
def test_what_is_written_fits_and_passes_check(cloud: str, tmp_path: pathlib.Path) -> None:
    """Every third model of the catalogue on one of the sites.

    In the gate every model on two sites, and a third of them on the two others. Neighbours in the
    catalogue are of one family, so each site has some of each large family.
    """
    site = site_of(cloud)
    every = [concrete(name) for name in catalogue.names()]
    profile = os.environ.get("HYPOTHESIS_PROFILE", "default")
    few = profile == "default"
    if few:
        asked = every[list(SITES).index(cloud) :: 3 * len(SITES)]
    else:
        asked = every if cloud in ("closed", "aws") or profile == "thousands" else every[::3]
    written = 0
    for number, repository in enumerate(asked):
        wish = drafts.Wish(repository, f"model-{number}")
        try:
            text = init.text(wish, site)
        except drafts.NothingFitsError:
            continue
        plan = planned(text, site)
        outlook = plan.serving.outlook
        assert outlook is not None
        assert outlook.fit is not None
        assert (outlook.fit.verdict, plan.misfit) == (fit.Verdict.FITS, None), repository
        folder = tmp_path / str(written // _CHECKED_AT_ONCE)
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.yaml").write_text(text)
        written += 1
    # Four GPUs of 44 GiB hold four fifths of the models; eight H200 hold all but a few. A fourth of
    # the models may hold some more of the large ones.
    least = {"closed": 0.8, "gcp": 0.85}.get(cloud, 0.97)
    assert written > len(asked) * (least - 0.1 if few else least)
    placed = _placed(site, tmp_path / "placement.yaml")
    given = [word for file in (*SITES[cloud], placed) for word in ("-e", file)]
    for folder in filter(pathlib.Path.is_dir, tmp_path.iterdir()):
        count = len(list(folder.iterdir()))
        judged = testing.CliRunner().invoke(main.main, ["check", "--strict", str(folder), *given])
        assert judged.exit_code == 0, judged.stdout
        assert judged.stdout == f"no findings in {count} claim{'s' if count > 1 else ''}\n"


def _placed(site: settings.Settings, file: pathlib.Path) -> str:
    """Returns settings that place each class on nodes of its own, as a list of prices does not."""
    classes = {name: {"nodeSelector": {"gpu": name}} for name in site.gpu.classes}
    document = {
        "apiVersion": "apiextensions.crossplane.io/v1beta1",
        "kind": "EnvironmentConfig",
        "metadata": {
            "name": "placement",
            "labels": {settings.SETTINGS_LABEL: "true"},
        },
        "data": {settings.DATA_KEY: {"gpu": {"classes": classes}}},
    }
    file.write_text(json.dumps(document))
    return str(file)


def test_cheaper_gpus_that_hold_fewer_sequences_are_named() -> None:
    text = " ".join(run("meta-llama/Llama-3.3-70B-Instruct").stdout.replace("#", "").split())
    assert "class: h200" in text
    assert (
        "On a GPU of class rtx-pro-6000 it costs 3.36 USD an hour, and the KV cache holds 3.4"
        " sequences of this length: the settings want room for 4 (capacity.fullSequences)." in text
    )
    # The cheapest of all, and one that was asked for by its name.
    assert "it costs" not in run("Qwen/Qwen3-8B").stdout
    assert "it costs" not in run("meta-llama/Llama-3.3-70B-Instruct", "--gpu", "h200").stdout


@pytest.mark.parametrize("use", sorted(uses.USES))
def test_a_use_decides_about_sizes(use: str) -> None:
    model = "BAAI/bge-m3" if use == "embeddings" else "Qwen/Qwen3-8B"
    result = run(model, "--for", use)
    assert result.exit_code == 0
    spec = parsed(result.stdout)["spec"]
    assert spec["model"]["contextWindow"] == LONGEST[use]
    assert spec["model"]["runner"] == ("pooling" if use == "embeddings" else "generate")
    assert spec["cache"]["prefixCache"]["enabled"] is (use != "embeddings")
    assert ("kvCache" in spec["scaling"]["triggers"]) is (use == "embeddings")


@pytest.mark.parametrize("repository", ["Qwen/Qwen3-8B", "Qwen/Qwen3-14B", "Qwen/Qwen3-32B"])
def test_what_is_written_follows_the_rule_of_a_claim_that_names_no_sizes(repository: str) -> None:
    site = site_of("aws")
    draft = drafts.draft(drafts.Wish(repository, "sized", use=uses.USES["chat"]), site)
    usual = site.capacity.model_copy(update={"sequence_tokens": int(draft.usual)})
    spec = draft.spec | {"model": dict(draft.spec["model"])}
    written = {name: spec["model"].pop(name) for name in ("contextWindow", "maxNumSeqs")}
    resource = claim.InferenceService.model_validate(drafts.document(draft.wish, spec))
    same = site.model_copy(update={"capacity": usual})
    outlook = plans.make(resource, same, checkpoints.Facts()).serving.outlook
    assert outlook is not None
    assert written["maxNumSeqs"] == outlook.flags.sequences
    assert written["contextWindow"] == min(outlook.flags.context, uses.USES["chat"].context)


@pytest.mark.parametrize(("use", "named"), [("chat", ()), ("code", ("--workload", "agent"))])
def test_plan_judges_what_is_written_by_the_same_requests(
    use: str, named: tuple[str, ...], tmp_path: pathlib.Path
) -> None:
    text = run("Qwen/Qwen3-8B", "--for", use).stdout
    file = tmp_path / "claim.yaml"
    file.write_text(text)
    given = [word for path in SITES["aws"] for word in ("-e", path)]
    asked = ["plan", str(file), *given, *named, "--output", "json"]
    planned = json.loads(testing.CliRunner().invoke(main.main, asked).stdout)
    (binding,) = planned["claims"][0]["triggers"].values()
    comments = " ".join(line.strip(" #") for line in text.splitlines())
    assert binding["sentence"] in comments


def test_the_cheapest_class_is_taken_and_what_it_costs_is_said() -> None:
    text = run("Qwen/Qwen3-8B").stdout
    assert parsed(text)["spec"]["gpu"] == {"count": 1, "class": "l4"}
    assert "0.80 USD an hour at minReplicas, 2.41 USD at maxReplicas (prices of 2026-07-20)" in text


def test_without_a_price_the_least_memory_is_taken() -> None:
    text = run("Qwen/Qwen3-8B", cloud="closed").stdout
    assert parsed(text)["spec"]["gpu"] == {"count": 1, "class": "l40s"}
    assert "set gpu.classes.l40s.pricePerHour" in text


def test_a_class_that_is_named_is_taken() -> None:
    text = run("Qwen/Qwen3-8B", "--gpu", "h100").stdout
    assert parsed(text)["spec"]["gpu"] == {"count": 1, "class": "h100"}


def test_more_gpus_of_one_node_come_before_nothing() -> None:
    text = run("meta-llama/Llama-3.1-405B-Instruct", "--for", "code").stdout
    assert parsed(text)["spec"]["gpu"] == {"count": 8, "class": "h100"}
    # limits.maxGPUs of the settings is 8.
    assert parsed(text)["spec"]["scaling"]["maxReplicas"] == 1


def test_that_triggers_fire_above_their_target_is_told() -> None:
    text = " ".join(run("Qwen/Qwen3-8B", "--gpu", "l4").stdout.replace("#", "").split())
    assert "the autoscaler adds one a tenth above it" in text


def test_a_smaller_share_comes_before_more_gpus() -> None:
    text = run("Qwen/Qwen3-32B", "--gpu", "a100-40").stdout
    gpu = parsed(text)["spec"]["gpu"]
    assert gpu == {"count": 4, "class": "a100-40", "memoryUtilization": "0.9"}
    assert "CUDA graphs" in text


def test_a_replica_has_one_slice_of_a_gpu() -> None:
    """A process sees one, however many its pod has."""
    given = site_of("aws").model_dump(by_alias=True, exclude_unset=True)
    slices = {"resourceName": "nvidia.com/mig-3g.40gb", "memoryGiB": "39.5", "pricePerHour": "0.5"}
    given["gpu"]["classes"]["slice"] = slices
    site = settings.Settings.model_validate(given)
    chosen = drafts.draft(drafts.Wish("Qwen/Qwen3-8B", "qwen", gpu_class="slice"), site)
    assert chosen.offer.gpus == 1
    with pytest.raises(drafts.NothingFitsError, match="does not fit on class slice"):
        drafts.draft(drafts.Wish("Qwen/Qwen3-32B", "qwen", gpu_class="slice"), site)
    large = {"model": {"repository": "Qwen/Qwen3-32B"}, "gpu": {"class": "l4"}}
    claimed = drafts.document(drafts.Wish("", "large"), large)
    resource = base.parse(claim.InferenceService, claimed, what="claim")
    outlook = plans.make(resource, site, checkpoints.Facts()).serving.outlook
    assert outlook is not None
    shares = [way.arrangement.tensor for way in outlook.ways if way.gpu_class == "slice"]
    assert shares == [1]  # packed weights


def test_no_replica_has_more_gpus_than_the_settings_allow() -> None:
    limited = site_of("aws").model_dump(by_alias=True, exclude_unset=True) | {
        "limits": {"maxGPUs": 1}
    }
    site = settings.Settings.model_validate(limited)
    wish = drafts.Wish("meta-llama/Llama-3.3-70B-Instruct", "llama", use=uses.USES["code"])
    draft = drafts.draft(wish, site)
    assert (draft.offer.gpus, draft.plan.scaling.maximum) == (1, 1)


def test_weights_are_packed_before_more_gpus_where_the_card_can(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(
        pathlib.Path(CLOSED).read_text().replace("memoryGiB: 44", "product: NVIDIA-L40S")
    )
    result = run("mistralai/Mistral-Small-24B-Instruct-2501", "-e", str(file), cloud="")
    assert result.exit_code == 0
    spec = parsed(result.stdout)["spec"]
    assert spec["gpu"] == {"count": 1, "class": "l40s"}
    assert spec["model"]["quantization"] == "fp8"
    assert "measure" in result.stdout
    assert "Without this line the model needs more GPUs" in " ".join(result.stdout.split())


def test_what_packed_weights_give_is_told_where_plain_ones_fit_too() -> None:
    prices = ("-e", "examples/prices/aws.yaml")
    model = "Qwen/Qwen2.5-Coder-32B-Instruct"
    text = run(model, "--for", "code", "-e", CLOSED, *prices, cloud="").stdout
    assert parsed(text)["spec"]["model"]["quantization"] == "fp8"
    assert "the KV cache holds 3.0 sequences of this length, not 6.5" in text


def test_a_gated_model_gets_a_token() -> None:
    text = run("meta-llama/Llama-3.1-8B-Instruct").stdout
    assert parsed(text)["spec"]["model"]["tokenSecretRef"] == {"name": "hf-token", "key": "token"}
    assert "accept it" in text


def test_names_are_the_models_or_the_authors() -> None:
    assert parsed(run("Qwen/Qwen2.5-7B-Instruct").stdout)["metadata"] == {
        "name": "qwen2-5-7b-instruct"
    }
    metadata = parsed(run("Qwen/Qwen3-8B", "--name", "a", "--namespace", "llm").stdout)["metadata"]
    assert metadata == {"name": "a", "namespace": "llm"}


def test_the_hub_pins_the_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    def answered(path: str) -> dict[str, str] | None:
        return {"api/models/Qwen/Qwen3-8B/revision/main": {"sha": "b9" * 20}}.get(path)

    monkeypatch.setattr(hub, "_get", answered)
    text = run("Qwen/Qwen3-8B", "--hub").stdout
    assert parsed(text)["spec"]["model"]["revision"] == "b9" * 20
    assert "A branch moves" not in text
    assert "A branch moves" in run("Qwen/Qwen3-8B").stdout
    lost = run("Qwen/Qwen3-4B", "--hub")
    assert (lost.exit_code, "no revision main" in lost.stderr) == (2, True)


def test_an_unknown_model_is_told_what_to_do() -> None:
    result = run("Qwen/Qwen3-8x")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Qwen/Qwen3-8B" in result.stderr
    assert "inference-service facts Qwen/Qwen3-8x --hub" in result.stderr
    allowed = run("Qwen/Qwen3-8x", "--allow-unknown", "--gpu", "l4")
    assert allowed.exit_code == 0
    assert parsed(allowed.stdout)["spec"] == {
        "model": {"repository": "Qwen/Qwen3-8x", "revision": "main"},
        "gpu": {"count": 1, "class": "l4"},
    }


def test_facts_of_a_file_are_stated(tmp_path: pathlib.Path) -> None:
    facts = tmp_path / "facts.yaml"
    printed = testing.CliRunner().invoke(main.main, ["facts", "Qwen/Qwen3-8B"]).stdout
    facts.write_text(printed)
    text = run("org/own", "--facts", str(facts)).stdout
    assert parsed(text)["spec"]["model"]["facts"] == parsed(printed)
    facts.write_text("name: x\n")
    result = run("org/own", "--facts", str(facts))
    assert (result.exit_code, "architecture is missing" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "cloud", "code", "words"),
    [
        (("Qwen/Qwen3-8B", "--gpu", "l40"), "aws", 2, "; the nearest is l40s"),
        (("Qwen3-8B",), "aws", 2, "must be a repository"),
        (("Qwen/Qwen3-8B",), "", 1, "set gpu.classes.default.product"),
        (("deepseek-ai/DeepSeek-V3",), "closed", 1, "does not fit on any class of the settings"),
        (("Qwen/Qwen3-8B", "--for", "embeddings"), "aws", 1, "is made to generate text"),
        (("BAAI/bge-m3", "--for", "chat"), "aws", 1, "is made to make vectors"),
        (("Qwen/Qwen3-8B", "--name", "platform-x"), "aws", 1, "metadata.name"),
        (("Qwen/Qwen3-8B", "--facts", "/none"), "aws", 2, "No such file"),
    ],
)
def test_what_cannot_be_is_told(
    arguments: tuple[str, ...], cloud: str, code: int, words: str
) -> None:
    result = run(*arguments, cloud=cloud)
    assert (result.exit_code, result.stdout) == (code, "")
    assert words in result.stderr


def test_the_page_shows_what_is_written() -> None:
    page = (cluster.ROOT / "docs/command-line.md").read_text()
    section = page.split("## A first claim")[1].split("\n## ")[0]
    assert run("Qwen/Qwen3-8B").stdout in section
    options = [option for one in init.init.params for option in one.opts if option[0] == "-"]
    assert [option for option in options if f"`{option}" not in section] == []


# --- another engine


def test_an_embedding_model_on_cpus() -> None:
    result = run("BAAI/bge-base-en-v1.5", "--engine", "tei", "--for", "embeddings")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("# BAAI/bge-base-en-v1.5 by text-embeddings-inference on CPUs.")
    written = parsed(result.stdout)["spec"]
    assert written["engine"] == {"kind": "tei"}
    assert "gpu" not in written
    plan = planned(result.stdout, site_of("aws"))
    assert (plan.hardware.gpus, plan.misfit) == (0, None)


def test_a_model_that_nobody_knows_is_said_to_be_one() -> None:
    words = "# Nothing is known of this model, and tei ends with one that it does not compute"
    assert words in run("org/unheard-of", "--engine", "tei").stdout
    assert words not in run("BAAI/bge-m3", "--engine", "tei").stdout


def test_an_embedding_model_on_a_gpu_of_a_class() -> None:
    result = run("BAAI/bge-m3", "--engine", "tei", "--gpu", "l40s")
    assert parsed(result.stdout)["spec"]["gpu"] == {"class": "l40s"}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("Qwen/Qwen3-8B",), 1, "Qwen/Qwen3-8B is made to generate text"),
        (("intfloat/e5-mistral-7b-instruct",), 1, "does not compute: name spec.gpu"),
        (("nomic-ai/nomic-embed-text-v1.5",), 1, "pin spec.model.revision to a commit"),
        (("BAAI/bge-m3", "--for", "chat"), 2, "--for chat needs vllm"),
    ],
)
def test_what_the_other_engine_does_not_serve(
    arguments: tuple[str, ...], code: int, words: str
) -> None:
    result = run(*arguments, "--engine", "tei")
    assert (result.exit_code, result.stdout) == (code, "")
    assert words in result.stderr
