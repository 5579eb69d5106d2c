"""`inference-service explain`: words, and where the values of a claim come from."""

import json
import pathlib
import typing
from typing import Any

import pytest
from click import testing

from function.api import claim, settings, status
from function.cli import glossary, origins, sarif, suggestions, verdicts
from function.composites import inference_service
from function.concerns import capacity, concerns
from function.engines import advisers
from function.findings import table
from preload import exits
from tests.cli import command
from tests.resources import scene

QWEN = "Qwen/Qwen3-8B"
COLUMNS = inference_service.COLUMNS


def run(*arguments: str, given: str | None = None) -> testing.Result:
    return command.verb("explain", *arguments, given=given)


# --- words


@pytest.mark.parametrize(
    ("word", "titles"),
    [
        ("does-not-fit", ["does-not-fit: a rule of check, error"]),
        ("Fits/TooLarge", ["Fits/TooLarge: a reason of the condition Fits, False"]),
        (
            "notprovided",
            [
                "RouteReady/NotProvided: a reason of the condition RouteReady, False",
                "SecretsReady/NotProvided: a reason of the condition SecretsReady, False",
                "GatewayReady/NotProvided: a reason of the condition GatewayReady, False",
                "CallersReady/NotProvided: a reason of the condition CallersReady, False",
                "LimitsReady/NotProvided: a reason of the condition LimitsReady, False",
                "ProvidersReady/NotProvided: a reason of the condition ProvidersReady, False",
                "SemanticRouterReady/NotProvided: a reason of the condition SemanticRouterReady,"
                " False",
                "EvalsReady/NotProvided: a reason of the condition EvalsReady, False",
                "EdgeReady/NotProvided: a reason of the condition EdgeReady, False",
            ],
        ),
        ("spec.model.contextWindow", ["spec.model.contextWindow: a field of the claim"]),
        ("contextwindow", ["spec.model.contextWindow: a field of the claim"]),
        ("gpu.fit", ["spec.gpu.fit: a field of the claim"]),
        ("spec.loraAdapters[0].name", ["spec.loraAdapters[0].name: a field of the claim"]),
        ("spec.loraAdapters[].name", ["spec.loraAdapters[].name: a field of the claim"]),
        ("spec.engineArgs[2]", ["spec.engineArgs[2]: a field of the claim"]),
        ("capacity.sequenceTokens", ["capacity.sequenceTokens: a field of the settings"]),
        ("settings.capacity.fit", ["capacity.fit: a field of the settings"]),
        ("status.phase", ["status.phase: a field of the status"]),
        ("suspend", ["spec.suspend: a field of the claim"]),
        ("Degraded", ["Degraded: a phase of a claim"]),
        ("Valid=False/Invalid", ["Valid/Invalid: a reason of the condition Valid, False"]),
        (
            "Current=Unknown/NotRendered",
            ["NotRendered: a word of conditions and of the command line"],
        ),
        ("10", ["10: an exit code of the preload"]),
        ("Holds", ["HOLDS: a column of kubectl get -o wide"]),
        ("phase", ["PHASE: a column of kubectl get", "status.phase: a field of the status"]),
        (
            "VLLM_CACHE_ROOT",
            ["VLLM_CACHE_ROOT: a word of conditions and of the command line"],
        ),
    ],
)
def test_a_word_is_explained(word: str, titles: list[str]) -> None:
    result = run(word)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert [line for line in lines if line and not line.startswith(" ")] == titles


def test_every_word_of_the_product_is_explained() -> None:
    fields = [path for path, _ in suggestions.fields(claim.InferenceService)]
    fields += [path for path, _ in suggestions.fields(settings.Settings)]
    reasons = [f"{kind.type()}/{m.reason.name}" for kind in concerns.CONDITIONS for m in kind]
    words = [*table.RULES, *reasons, *fields]
    words += [*typing.get_args(status.Phase), "Ready", "Synced", "Responsive", "FatalError"]
    words += ["NotRendered", verdicts.NOT_LOOKED_AT, verdicts.MISSPELT, verdicts.DUPLICATE]
    words += [str(int(code)) for code in exits.Exit if code is not exits.Exit.DONE]
    words += ["InferenceServiceKVCacheSaturated", "Valid=False/Invalid", "Unknown/FatalError"]
    assert [word for word in words if not glossary.meanings(word)] == []


def test_each_column_says_what_it_shows() -> None:
    columns = [json.loads(run(name, "-o", "json").stdout)["columns"] for name, *_ in COLUMNS]
    assert [len(one) for one in columns] == [1] * len(COLUMNS)
    assert [one for (one,) in columns if not one["meaning"]] == []
    assert "Status of the condition Current" in run("CURRENT").stdout


def test_a_field_comes_with_type_limits_and_rules() -> None:
    text = run("spec.scaling").stdout
    assert "minReplicas must be at most maxReplicas" in text
    assert "  queueLengthThreshold      Waiting requests a replica; 8 when absent.\n" in text
    assert "  Limits   16 to 1000000\n  Default  2048\n" in run("capacity.sequenceTokens").stdout
    assert "Type     string, required" in run("spec.loraAdapters[0].name").stdout


def test_links_of_a_page_are_words_and_the_page_stands_once() -> None:
    lines = run("Current/TooLarge").stdout.splitlines()
    assert lines[-2:] == [
        "  What to do  See Fits.",
        f"  Page        {sarif.HOME}/blob/main/docs/operations.md#current",
    ]


def test_an_alert_comes_with_all_its_steps() -> None:
    text = run("InferenceServiceNoReadyReplica").stdout
    assert "Meaning     critical, 10 min: replicas are wanted, none is available." in text
    assert "3. Right after an edit" in text


@pytest.mark.parametrize(
    ("word", "nearest"),
    [
        ("doesnt-fit", "does-not-fit"),
        ("TooLage", "TooLarge"),
        ("spec.model.contextWindw", "spec.model.contextWindow"),
        ("model.repo", "model.repository"),
    ],
)
def test_an_unknown_word_names_the_nearest(word: str, nearest: str) -> None:
    result = run(word)
    assert (result.exit_code, result.stdout) == (1, "")
    assert nearest in result.stderr


def test_words_for_machines() -> None:
    document = json.loads(run("does-not-fit", "-o", "json").stdout)
    assert document["rule"]["severity"] == "error"
    assert (document["reasons"], document["fields"]) == ([], [])
    (reason,) = json.loads(run("Fits/Tight", "-o", "json").stdout)["reasons"]
    assert (reason["condition"], reason["reason"], reason["status"]) == ("Fits", "Tight", "Unknown")
    (field,) = json.loads(run("capacity.fit", "-o", "json").stdout)["fields"]
    assert (field["path"], field["default"]) == ("capacity.fit", '"Enforce"')


# --- values


@pytest.mark.parametrize(
    ("spec", "path", "value", "origin", "words"),
    [
        ({}, "spec.model.contextWindow", 6144, "derived", "the model's own context of 40960"),
        (
            {"model": {"contextWindow": 4096}},
            "spec.model.contextWindow",
            4096,
            "author",
            "the author, at ",
        ),
        ({}, "spec.model.toolCallParser", "hermes", "derived", "the parser of the model's family"),
        ({}, "spec.gpu.class", "l4", "settings", "the settings' gpu.defaultClass"),
        ({"gpu": {"class": "l4"}}, "spec.gpu.class", "l4", "author", "the author, at "),
        ({}, "spec.gpu.fit", "Enforce", "settings", "the settings' capacity.fit"),
        ({}, "spec.engine.version", "0.25.1", "settings", "the settings' engine.version"),
        ({}, "spec.scaling.minReplicas", 1, "default", "the default"),
        ({"scaling": {"minReplicas": 0}}, "spec.scaling.minReplicas", 0, "author", "0 is held at"),
        ({}, "spec.drainSeconds", 95, "derived", "capped by the class's interruption notice"),
        ({}, "spec.route.hostname", None, "default", "the default"),
    ],
)
def test_where_a_value_comes_from(
    tmp_path: pathlib.Path,
    spec: dict[str, Any],
    path: str,
    value: Any,
    origin: str,
    words: str,
) -> None:
    model = {"repository": QWEN, **spec.get("model", {})}
    file = command.write(tmp_path / "claim.yaml", scene.of(**{**spec, "model": model}))
    arguments = (file, path, "-e", command.REFERENCE)
    (one,) = json.loads(run(*arguments, "-o", "json").stdout)["claims"]
    assert (one["value"], one["source"], one["field"]["path"]) == (value, origin, path)
    text = run(*arguments).stdout
    assert text.startswith(f"{path} of llm/model\n")
    assert words in " ".join(text.split())


@pytest.mark.parametrize("word", ["maxNumSeqs", "model.maxnumseqs"])
def test_the_end_of_a_field_is_enough(tmp_path: pathlib.Path, word: str) -> None:
    file = command.write(tmp_path / "claim.yaml", scene.of(model={"repository": QWEN}))
    assert run(file, word, "-e", command.REFERENCE).stdout.startswith("spec.model.maxNumSeqs of ")


def test_a_condition_is_explained_with_all_of_its_reasons() -> None:
    assert run("fits").stdout.count("a reason of the condition Fits") == len(capacity.Fits)


def test_fields_with_a_value_in_force_exist() -> None:
    """A row of a table for a field that is renamed would be silent."""
    of_engine = advisers.default().in_force(scene.planned(scene.of()).serving)
    tables = (origins.OF_PLAN, of_engine, origins.SETTINGS)
    assert len(of_engine) > 2
    assert [path for rows in tables for path in rows if glossary.field(path) is None] == []


def test_what_is_derived_names_fields_that_exist(tmp_path: pathlib.Path) -> None:
    result = run(*command.CLAIMS[:1], "-e", command.REFERENCE, "-o", "json")
    (one,) = json.loads(result.stdout)["claims"]
    fields = [why["field"] for why in one["derived"] if why["field"]]
    assert len(fields) >= 5
    assert [path for path in fields if glossary.field(path) is None] == []
    text = run(command.CLAIMS[0], "-e", command.REFERENCE).stdout
    assert all(why["result"] in text for why in one["derived"])


@pytest.mark.parametrize(
    ("claimed", "field", "code", "words"),
    [
        (scene.of(), "spec.modl", 1, "the nearest is spec.model"),
        (scene.of(), "contextWidow", 1, "the nearest is spec.model.contextWindow"),
        (scene.of(), "model.repo", 1, "the nearest is spec.model.repository"),
        (scene.of(), "target", 1, "these end so: spec.scaling.triggers.running.target, "),
        (
            scene.of(gpu={"class": "h900"}),
            "spec.gpu.count",
            0,
            "nothing is derived: spec.gpu.class",
        ),
        ("words", "spec.gpu.count", 2, "not a Kubernetes object"),
    ],
)
def test_what_cannot_be_explained(claimed: Any, field: str, code: int, words: str) -> None:
    given = claimed if isinstance(claimed, str) else json.dumps(claimed)
    result = run("-", field, "-e", command.REFERENCE, given=given)
    assert result.exit_code == code
    assert words in result.stderr
