"""What `plan` foresees of claims, without a comparison."""

import json
from typing import Any

import pytest
from click import testing

from tests.cli import command, revisions
from tests.resources import scene


def test_without_a_comparison_it_foresees(repository: revisions.Repository) -> None:
    result = repository.plan("claims", "--output", "json")
    assert result.exit_code == 0
    plan = json.loads(result.stdout)
    chat = revisions.of(plan, "chat")
    assert chat["fit"]["verdict"] == "fits"
    parts = chat["fit"]["partsGiB"]
    assert sum(parts.values()) == pytest.approx(chat["fit"]["gpuGiB"], abs=0.5)
    assert chat["costPerHour"]["after"] == {"min": "1", "max": "2", "currency": "USD"}
    assert plan["month"]["max"]["after"] == "2920"
    assert chat["speed"]["chat"]["firstTokenMs"]["low"] > 0
    assert {step["stage"] for step in chat["start"]} >= {"load", "compile", "graphs"}
    assert chat["triggers"]["chat"]["first"] in ("running", "kvCache")


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"gpu": {"class": "h100", "count": 3}}, "tensor-parallel-indivisible"),
        ({"model": {"repository": "Qwen/Qwen2.5-32B-Instruct-AWQ"}}, "quantized-twice"),
    ],
)
def test_what_check_refuses_is_no_plan(
    repository: revisions.Repository, changes: dict[str, Any], rule: str
) -> None:
    repository.write("claims/chat.yaml", revisions.claim("chat", **changes))
    result = repository.plan("claims", "--output", "json")
    assert result.exit_code == 1
    reasons = [
        error["reason"] for error in revisions.of(json.loads(result.stdout), "chat")["errors"]
    ]
    assert rule in reasons


def test_triggers_are_judged_by_the_workload_that_is_named(
    repository: revisions.Repository,
) -> None:
    asked = ("--workload", "chat", "--workload", "4000:1000", "--output", "json")
    triggers = revisions.of(json.loads(repository.plan("claims", *asked).stdout), "chat")[
        "triggers"
    ]
    assert list(triggers) == ["chat", "4000:1000"]
    for name, tokens in (("chat", 1260), ("4000:1000", 4500)):
        assert f"fires first for requests of {tokens} tokens" in triggers[name]["sentence"]


def test_an_adapter_is_judged_by_its_name_until_somebody_read_its_files(
    repository: revisions.Repository,
) -> None:
    adapters = [{"name": "sql", "repository": "org/Llama-3.1-8B-sql"}]
    world = scene.serving(
        revisions.claim("chat", loraAdapters=adapters), revisions.environment(revisions.SETTINGS)
    )
    told = "sql: judged by the name of its repository alone, as nobody read its files: its name"

    def plan(**learnt: Any) -> testing.Result:
        records = world.claim["status"]["weights"]["verified"]
        next(one for one in records if "/adapter-" in one["directory"]).update(learnt)
        items = [world.claim, *world.objects.values()]
        repository.write("observed.yaml", {"apiVersion": "v1", "kind": "List", "items": items})
        repository.write(
            "claims/chat.yaml", revisions.claim("chat", loraAdapters=adapters, drainSeconds=60)
        )
        return repository.plan("claims/chat.yaml", "--against", "observed.yaml")

    text = " ".join(plan().stdout.split())
    assert (told in text, text.count("nobody read its files")) == (True, 1)
    assert "judged by the name" not in plan(baseModel="Qwen/Qwen3-8B", loraRank=16).stdout
    too_large = plan(loraRank=512)
    assert (too_large.exit_code, "its rank is 512" in too_large.stdout) == (1, True)


def test_a_draft_that_no_estimate_counts_is_told_in_the_words_of_check(
    repository: revisions.Repository,
) -> None:
    draft = '--speculative-config={"method":"eagle3","model":"org/draft"}'
    repository.write("claims/chat.yaml", revisions.claim("chat", engineArgs=[draft]))
    words = "the draft takes GPU memory beside the model, which no estimate counts"
    for output in ("table", "markdown", "html"):
        text = " ".join(repository.plan("claims", "--output", output).stdout.split())
        assert text.count(words) == 1
    found = command.verb("check", "claims", "-e", "site.yaml")
    assert f"{words}: set spec.gpu.memoryUtilization" in found.stdout


def test_a_flag_that_is_none_has_the_words_of_check(repository: revisions.Repository) -> None:
    arguments = ["--enforce-eagre", "--seed=x", "--max-num-batched-token=8192"]
    repository.write("claims/chat.yaml", revisions.claim("chat", engineArgs=arguments))
    found = command.verb("check", "claims", "-e", "site.yaml", "-o", "json")
    of_check = [
        f"{one['field']}: {one['message']}"
        for one in json.loads(found.stdout)["findings"]
        if one["severity"] == "error"
    ]
    chat = revisions.of(json.loads(repository.plan("claims", "--output", "json").stdout), "chat")
    assert sorted(error["message"] for error in chat["errors"]) == sorted(of_check)
    assert any("did you mean --enforce-eager?" in message for message in of_check)


def test_what_generates_nothing_has_no_speed_of_answers(repository: revisions.Repository) -> None:
    for name, model in (("encoder", "BAAI/bge-m3"), ("decoder", "Qwen/Qwen3-Embedding-0.6B")):
        repository.write(f"claims/{name}.yaml", scene.of(name=name, model={"repository": model}))
    plan = json.loads(repository.plan("claims", "--output", "json").stdout)
    for name in ("encoder", "decoder"):
        item = revisions.of(plan, name)
        assert (item["speed"], item["triggers"]) == ({}, {})
        assert item["fit"]["verdict"] == "fits"
    assert "no text |" in repository.plan("claims", "--output", "markdown").stdout
    assert revisions.of(plan, "encoder")["fit"]["kvTokens"] is None
    assert "keeps no cache" in revisions.of(plan, "encoder")["fit"]["sentence"]


def test_a_card_without_numbers_says_why_no_speed_is_told(repository: revisions.Repository) -> None:
    gpu = {"defaultClass": "l4", "classes": {"l4": {"memoryGiB": 22}}}
    repository.write("site.yaml", revisions.environment(revisions.SETTINGS | {"gpu": gpu}))
    text = repository.plan("claims", "--output", "html").stdout
    assert "nobody knows how fast l4 is: set gpu.classes.l4.product" in text


@pytest.mark.parametrize(("stated", "timed"), [(False, False), (True, True)])
def test_a_slice_is_not_as_fast_as_the_whole_card(
    stated: bool, timed: bool, repository: revisions.Repository
) -> None:
    part: dict[str, Any] = {"product": "NVIDIA-A100-SXM4-80GB", "memoryGiB": "39.5"}
    part["resourceName"] = "nvidia.com/mig-3g.40gb"
    if stated:
        part |= {"bandwidthGB": "1000", "tflops16": "130"}
    gpu = {"defaultClass": "part", "classes": {"part": part}}
    repository.write("site.yaml", revisions.environment(revisions.SETTINGS | {"gpu": gpu}))
    repository.write("claims/one.yaml", revisions.claim("one"))
    plan = json.loads(repository.plan("claims", "--output", "json").stdout)
    assert ("chat" in revisions.of(plan, "one")["speed"]) is timed
    text = repository.plan("claims", "--output", "html").stdout
    words = "nobody knows how fast a slice of A100-SXM-80GB is: set gpu.classes.part.bandwidthGB"
    assert (words in text) is not timed


def test_what_is_too_large_has_no_speed_whatever_is_missing(
    repository: revisions.Repository,
) -> None:
    """The cache of the one lacks room for a sequence, and the weights of the other take all."""
    for name, model in (
        ("context", {"contextWindow": 40960, "maxNumSeqs": 8, "quantization": "auto"}),
        ("weights", revisions.LARGE),
    ):
        repository.write(f"claims/{name}.yaml", revisions.claim(name, model=model))
    plan = json.loads(repository.plan("claims", "--output", "json").stdout)
    for name in ("context", "weights"):
        one = revisions.of(plan, name)
        assert one["fit"]["verdict"] == "too large"
        assert (one["speed"], one["triggers"]) == ({}, {})


def test_a_start_of_what_nobody_knows_compiles_for_an_unknown_time(
    repository: revisions.Repository,
) -> None:
    repository.write(
        "claims/own.yaml", revisions.claim("own", model={"repository": "org/nobody-knows"})
    )
    plan = json.loads(repository.plan("claims", "--output", "json").stdout)
    steps = {step["stage"]: step for step in revisions.of(plan, "own")["start"]}
    for stage in ("compile", "graphs"):
        assert (steps[stage]["seconds"], steps[stage]["missing"]) == (None, "the model's layers")
