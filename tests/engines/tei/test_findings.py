"""What is said of a claim of text-embeddings-inference before anything runs."""

import json
import pathlib
from typing import Any

import pytest

from function.engines import judgements
from function.engines.tei import flags, models
from tests import cases
from tests.cli import command
from tests.engines.tei import test_claims

REFERENCE = "examples/reference/environmentconfig.yaml"


def found(tmp_path: pathlib.Path, *arguments: str, **spec: Any) -> list[tuple[str, str, str]]:
    """Returns severity, rule and message of each finding about the engine."""
    claimed = test_claims.tei(spec.pop("model", None), engineArgs=list(arguments), **spec)
    file = command.write(tmp_path / "claim.yaml", claimed)
    result = command.verb("check", file, "--environment", REFERENCE, "-o", "json")
    every = json.loads(result.stdout)["findings"]
    return [
        (one["severity"], one["rule"], one["message"])
        for one in every
        if one["rule"].startswith("tei-")
    ]


@pytest.mark.parametrize(
    ("argument", "rule", "words"),
    [
        ("--max-batch-token=4", "tei-flag-unknown", "did you mean --max-batch-tokens?"),
        ("--max-concurrent-requests=many", "tei-flag-value", "takes a whole number from 1"),
        ("--payload-limit", "tei-flag-value", "takes a whole number: write --payload-limit="),
        ("--disable-spans=true", "tei-flag-value", "takes no value"),
        ("--auto-truncate=no", "tei-flag-value", "takes true, false or nothing"),
        ("--pooling=max", "tei-flag-value", "takes cls, mean, splade or last-token"),
    ],
)
def test_arguments(tmp_path: pathlib.Path, argument: str, rule: str, words: str) -> None:
    ((severity, name, message),) = found(tmp_path, argument)
    assert (severity, name) == ("error", rule)
    assert words in message


def test_a_flag_stands_once(tmp_path: pathlib.Path) -> None:
    twice = found(tmp_path, "--pooling=cls", "--pooling=mean")
    assert [one[1] for one in twice] == ["tei-flag-repeated"]
    both = found(tmp_path, "--default-prompt=a", "--default-prompt-name=b")
    assert "exclude each other" in both[0][2]
    assert found(tmp_path, "--cors-allow-origin=a", "--cors-allow-origin=b") == []


def test_models(tmp_path: pathlib.Path) -> None:
    mistral = {"repository": "intfloat/e5-mistral-7b-instruct"}
    ((severity, name, message),) = found(tmp_path, model=mistral)
    assert (severity, name) == ("error", "tei-model-not-served")
    assert message.endswith("does not compute: name spec.gpu")
    assert [one[1] for one in found(tmp_path, model=mistral, gpu={})] == ["tei-texts-cut"]
    generates = found(tmp_path, model={"repository": "Qwen/Qwen3-8B"})
    assert [one[:2] for one in generates] == [("warning", "tei-model-generates")]


def test_texts_that_are_cut(tmp_path: pathlib.Path) -> None:
    long = {"repository": "Qwen/Qwen3-Embedding-0.6B"}
    assert found(tmp_path, model=long) == []
    ((severity, _, message),) = found(tmp_path, model=long, gpu={})
    assert severity == "note"
    assert "a batch has 16384 tokens" in message
    assert message.endswith("set --max-batch-tokens=32768")
    ends = found(tmp_path, "--auto-truncate=false", model=long, gpu={})
    assert ends[0][0] == "error"
    whole = found(tmp_path, "--max-batch-tokens=32768", model=long, gpu={})
    assert whole == []


@pytest.mark.parametrize(
    ("architecture", "served"),
    [
        ("BertModel", True),
        ("XLMRobertaForSequenceClassification", True),
        ("NewModel", True),
        ("Gemma3TextModel", True),
        ("Qwen3ForCausalLM", True),
        ("MistralModel", False),
        ("Qwen2ForCausalLM", False),
        ("LlamaForCausalLM", False),
        ("T5EncoderModel", None),
        ("DeepseekV3ForCausalLM", None),
    ],
)
def test_architectures(architecture: str, served: bool | None) -> None:
    assert models.on_cpu(architecture) is served


@cases.together("flag", lambda: flags.TABLE.items())
def test_each_flag_is_judged(flag: flags.Flag) -> None:
    """A flag that can do something says what; one that cannot needs no word."""
    assert bool(flag.why) is (flag.kind is not judgements.Kind.PLAIN)
    assert (flag.kind in judgements.OF_ARGUMENTS) is (
        flag.kind not in (judgements.Kind.PLAIN, judgements.Kind.MANAGED)
    )


def test_verbs_tell_no_falsehood_of_a_claim_without_a_gpu(tmp_path: pathlib.Path) -> None:
    file = command.write(tmp_path / "claim.yaml", test_claims.tei())
    planned = command.verb("plan", file, "--environment", REFERENCE).stdout
    assert "no GPU" in planned
    assert "USD" not in planned
    assert "unknown" not in planned.partition("first start")[0]
    explained = command.verb("explain", file, "spec.engine.image", "--environment", REFERENCE)
    assert "text-embeddings-inference:cpu-1.9.3" in explained.stdout
    count = command.verb("explain", file, "spec.gpu.count", "--environment", REFERENCE).stdout
    assert "Value  0" in count
    migrated = command.verb("migrate", file, "--environment", REFERENCE)
    assert migrated.exit_code == 0, migrated.stdout
