"""What is said of a claim of text-embeddings-inference before anything runs."""

import json
import pathlib
from typing import Any

import pytest

from function.capacity import cards
from function.engines import judgements
from function.engines.tei import advice, flags, models
from tests import cases
from tests.cli import command
from tests.engines.tei import composed
from tests.resources import scene

REFERENCE = "examples/reference/environmentconfig.yaml"


def found(tmp_path: pathlib.Path, *arguments: str, **spec: Any) -> list[tuple[str, str, str]]:
    """Returns severity, rule and message of each finding about the engine."""
    claimed = composed.tei(spec.pop("model", None), engineArgs=list(arguments), **spec)
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


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("POOLING", "max", "POOLING takes cls, mean, splade or last-token"),
        ("PAYLOAD_LIMIT", "2MB", "PAYLOAD_LIMIT takes a whole number from 1"),
        # A switch of the command line takes nothing, and its variable a word.
        ("DISABLE_SPANS", "1", "DISABLE_SPANS takes true or false"),
        ("AUTO_TRUNCATE", "", "AUTO_TRUNCATE takes true or false"),
        ("DISABLE_SPANS", "true", None),
        ("LOG_LEVEL", "x", None),
    ],
)
def test_variables_that_stand_for_flags(
    tmp_path: pathlib.Path, name: str, value: str, words: str | None
) -> None:
    extra = {"env": [{"name": name, "value": value}]}
    every = found(tmp_path, podTemplate=extra)
    assert [one[:2] for one in every] == ([] if words is None else [("error", "tei-flag-value")])
    assert words is None or every[0][2].startswith(words)


def test_a_variable_is_not_read_beside_its_flag(tmp_path: pathlib.Path) -> None:
    extra = {"env": [{"name": "POOLING", "value": "max"}]}
    assert found(tmp_path, "--pooling=cls", podTemplate=extra) == []


def test_a_flag_stands_once(tmp_path: pathlib.Path) -> None:
    twice = found(tmp_path, "--pooling=cls", "--pooling=mean")
    assert [one[1] for one in twice] == ["tei-flag-repeated"]
    both = found(tmp_path, "--default-prompt=a", "--default-prompt-name=b")
    assert "exclude each other" in both[0][2]
    assert found(tmp_path, "--cors-allow-origin=a", "--cors-allow-origin=b") == []


@pytest.mark.parametrize(
    ("arguments", "variables", "path", "words"),
    [
        (["--hf-token=a", "--hf-api-token=b"], {}, "engineArgs[1]", "--hf-token and --hf-api"),
        (["--hf-api-token=b"], {"HF_TOKEN": "a"}, "podTemplate.env[0]", "HF_TOKEN exclude"),
        ([], {"HF_TOKEN": "a", "HF_API_TOKEN": "b"}, "podTemplate.env[1]", "HF_TOKEN and HF_API"),
        (
            ["--default-prompt-name=a"],
            {"DEFAULT_PROMPT": "b"},
            "podTemplate.env[0]",
            "--default-prompt-name and DEFAULT_PROMPT exclude each other: keep one",
        ),
        (["--hf-token=a"], {"HF_TOKEN": "b"}, None, None),
    ],
)
def test_two_that_exclude_each_other(
    arguments: list[str], variables: dict[str, str], path: str | None, words: str | None
) -> None:
    """As flags or as variables: the program's parser tells them apart nowhere here."""
    env = [{"name": name, "value": value} for name, value in variables.items()]
    asked = composed.tei(engineArgs=arguments, podTemplate={"env": env})
    plan = scene.planned(asked, scene.site(permissions={"engineSecrets": ["*"]}))
    told = [one for one in advice.judge(plan, {}) if one.rule is advice.FLAG_REPEATED]
    assert [one.field for one in told] == ([] if path is None else [f"spec.{path}"])
    assert words is None or words in told[0].message


def test_models(tmp_path: pathlib.Path) -> None:
    mistral = {"repository": "intfloat/e5-mistral-7b-instruct"}
    ((severity, name, message),) = found(tmp_path, model=mistral)
    assert (severity, name) == ("error", "tei-model-not-served")
    assert message.endswith("does not compute: name spec.gpu")
    assert [one[1] for one in found(tmp_path, model=mistral, gpu={})] == ["tei-texts-cut"]
    generates = found(tmp_path, "--max-batch-tokens=40960", model={"repository": "Qwen/Qwen3-8B"})
    assert [one[:2] for one in generates] == [("warning", "tei-model-generates")]


@pytest.mark.parametrize(
    ("model", "severity", "words"),
    [
        ({"repository": "nomic-ai/nomic-embed-text-v1.5"}, "error", "since 2026-04-07"),
        # Not in the catalogue: nothing else is known of it.
        ({"repository": "nomic-ai/nomic-embed-text-v1"}, "error", "twice: pin spec.model.revision"),
        (
            {"repository": "nomic-ai/nomic-embed-text-v1.5", "revision": "0a" * 20},
            "warning",
            "a commit that is older",
        ),
        ({"repository": "Qwen/Qwen3-Reranker-0.6B"}, "error", "ranks by the words yes and no"),
    ],
)
def test_models_that_no_release_reads(
    tmp_path: pathlib.Path, model: dict[str, Any], severity: str, words: str
) -> None:
    unread = [one for one in found(tmp_path, model=model) if one[1] == "tei-model-unread"]
    assert [one[0] for one in unread] == [severity]
    assert words in unread[0][2]


def test_a_later_version_may_read_them() -> None:
    assert models.unread("nomic-ai/nomic-embed-text-v1.5", (1, 9, 3)) is not None
    assert models.unread("nomic-ai/nomic-embed-text-v1.5", (1, 9, 4)) is None


def test_types_that_a_model_is_not_computed_in(tmp_path: pathlib.Path) -> None:
    mistral = {"repository": "intfloat/e5-mistral-7b-instruct", "dtype": "float"}
    wrong = found(tmp_path, "--max-batch-tokens=32768", model=mistral, gpu={})
    assert [one[:2] for one in wrong] == [("error", "tei-model-dtype")]
    assert wrong[0][2].endswith("and gets float32: set spec.model.dtype to half")
    told = {"repository": "intfloat/e5-mistral-7b-instruct"}
    arguments = ("--max-batch-tokens=32768", "--dtype=float32")
    assert [one[1] for one in found(tmp_path, *arguments, model=told, gpu={})] == [
        "tei-model-dtype"
    ]


def test_a_type_that_the_program_does_not_know_is_a_wrong_value_alone(
    tmp_path: pathlib.Path,
) -> None:
    """Whatever the model: some families have two types, some one."""
    for model in ("BAAI/bge-m3", "intfloat/e5-mistral-7b-instruct"):
        arguments = ("--max-batch-tokens=32768", "--dtype=bfloat16")
        wrong = found(tmp_path, *arguments, model={"repository": model}, gpu={})
        assert [one[:2] for one in wrong] == [("error", "tei-flag-value")]


def test_a_card_may_be_too_old_for_a_model() -> None:
    """Mistral has flash attention 2 alone, which the image for 7.5 lacks."""
    mistral, qwen = models.family("MistralModel"), models.family("Qwen2ForCausalLM")
    old, new = cards.lookup("Tesla-T4"), cards.lookup("NVIDIA-L4")
    assert mistral is not None
    assert qwen is not None
    assert models.lacks(mistral, old)
    assert not models.lacks(mistral, new)
    assert not models.lacks(mistral, None)
    assert not models.lacks(qwen, old)


@pytest.mark.parametrize(
    ("architecture", "ranks"),
    [
        ("XLMRobertaForSequenceClassification", True),
        ("ModernBertForSequenceClassification", True),
        ("Qwen3ForSequenceClassification", False),
        ("NomicBertForSequenceClassification", False),
    ],
)
def test_families_that_rank(architecture: str, ranks: bool) -> None:
    family = models.family(architecture)
    assert family is not None
    assert family.ranks is ranks


def test_texts_that_are_cut(tmp_path: pathlib.Path) -> None:
    long = {"repository": "Qwen/Qwen3-Embedding-0.6B"}
    ((severity, _, message),) = found(tmp_path, model=long)
    assert severity == "note"
    assert message.startswith("a batch has 4096 tokens")
    assert message.endswith("set spec.resources.limits.memory to 196Gi for whole ones")
    enough = {"limits": {"memory": "196Gi"}}
    assert found(tmp_path, model=long, resources=enough) == []
    ((_, _, message),) = found(tmp_path, "--max-batch-tokens=512", model=long)
    assert message.endswith("set --max-batch-tokens=32768, which takes 196Gi of memory")
    ((severity, _, message),) = found(tmp_path, model=long, gpu={})
    assert severity == "note"
    assert "a batch has 16384 tokens" in message
    assert message.endswith("set --max-batch-tokens=32768")
    ends = found(tmp_path, "--auto-truncate=false", model=long, gpu={})
    assert ends[0][0] == "error"
    whole = found(tmp_path, "--max-batch-tokens=32768", model=long, gpu={})
    assert whole == []


def test_memory_that_common_nodes_lack(tmp_path: pathlib.Path) -> None:
    long = {"repository": "Qwen/Qwen3-Embedding-0.6B"}
    ((severity, name, message),) = found(tmp_path, "--auto-truncate=false", model=long)
    assert (severity, name) == ("warning", "tei-memory")
    assert "waits for a node that has as much" in message
    # The author knows of the memory, or of the tokens.
    stated = {"requests": {"memory": "196Gi"}}
    arguments = ("--auto-truncate=false", "--max-batch-tokens=32768")
    assert found(tmp_path, "--auto-truncate=false", model=long, resources=stated) == []
    assert found(tmp_path, *arguments, model=long) == []
    short = {"repository": "BAAI/bge-m3"}
    assert found(tmp_path, "--auto-truncate=false", model=short) == []


def test_memory_that_the_start_exceeds(tmp_path: pathlib.Path) -> None:
    long = {"repository": "BAAI/bge-m3"}
    less = {"limits": {"memory": "8Gi"}}
    whole = "--max-batch-tokens=8192"
    ((severity, name, message),) = found(tmp_path, whole, model=long, resources=less)
    assert (severity, name) == ("warning", "tei-memory")
    assert message == (
        "a replica takes weights 2.1 GiB, attention 2 x 16 heads x 8192^2 tokens x 4 bytes ="
        " 8.0 GiB, program 1.0 GiB: 11.1 GiB, and the limit is 8Gi: set"
        " spec.resources.limits.memory to 12Gi, or write --max-batch-tokens=4096 in"
        " spec.engineArgs and have longer texts cut"
    )
    assert found(tmp_path, model=long) == []
    enough = {"limits": {"memory": "12Gi"}}
    assert found(tmp_path, model=long, resources=enough) == []
    # Four texts are too many, and one has room: no text is cut.
    less = {"limits": {"memory": "16Gi"}}
    ((_, _, message),) = found(tmp_path, "--max-batch-tokens=32768", model=long, resources=less)
    assert "3 x 16 heads x 4 texts x 8192^2 tokens x 4 bytes = 48.0 GiB" in message
    assert "write --max-batch-tokens=8192 in" in message
    less = {"limits": {"memory": "8Gi"}}
    # Nothing is cut where the author wants none cut, and no batch is small enough for 2 GiB.
    uncut = found(tmp_path, "--auto-truncate=false", model=long, resources=less)
    least = found(tmp_path, whole, model=long, resources={"limits": {"memory": "2Gi"}})
    for ((_, _, message),) in (uncut, least):
        assert message.endswith("to 12Gi")
    # Without a number of the author's, texts are cut for the limit.
    cut = found(tmp_path, model=long, resources=less)
    assert [one[:2] for one in cut] == [("note", "tei-texts-cut")]
    assert cut[0][2].endswith("set spec.resources.limits.memory to 12Gi for whole ones")


def test_a_smaller_batch_that_the_finding_names_is_enough(tmp_path: pathlib.Path) -> None:
    less = {"limits": {"memory": "8Gi"}}
    model = {"repository": "BAAI/bge-m3"}
    every = found(tmp_path, "--max-batch-tokens=4096", model=model, resources=less)
    assert [one[1] for one in every] == ["tei-texts-cut"]


def test_memory_is_explained(tmp_path: pathlib.Path) -> None:
    file = command.write(tmp_path / "claim.yaml", composed.tei({"repository": "BAAI/bge-m3"}))
    for field, value in (("requests", "12Gi"), ("limits", "16Gi")):
        words = (f"spec.resources.{field}", "--environment", REFERENCE)
        told = command.verb("explain", file, *words).stdout
        assert value in told
        assert "2 x 16 heads x 8192^2 tokens x 4 bytes" in " ".join(told.split())


@pytest.mark.parametrize(
    ("architecture", "served"),
    [
        ("BertModel", True),
        ("XLMRobertaForSequenceClassification", True),
        ("NewModel", True),
        ("Gemma3TextModel", True),
        ("Qwen3ForCausalLM", True),
        ("PPLXQwen3Model", True),
        ("LlamaBidirectionalModel", False),
        ("MistralModel", False),
        ("Qwen2ForCausalLM", False),
        ("LlamaForCausalLM", False),
        ("T5EncoderModel", None),
        ("DeepseekV3ForCausalLM", None),
    ],
)
def test_architectures(architecture: str, served: bool | None) -> None:
    family = models.family(architecture)
    assert (None if family is None else family.on_cpu) is served


@cases.together("flag", lambda: flags.TABLE.items())
def test_each_flag_is_judged(flag: flags.Flag) -> None:
    """A flag that can do something says what; one that cannot needs no word."""
    assert bool(flag.why) is (flag.kind is not judgements.Kind.PLAIN)
    assert (flag.kind in judgements.OF_ARGUMENTS) is (
        flag.kind not in (judgements.Kind.PLAIN, judgements.Kind.MANAGED)
    )


def test_verbs_tell_no_falsehood_of_a_claim_without_a_gpu(tmp_path: pathlib.Path) -> None:
    file = command.write(tmp_path / "claim.yaml", composed.tei())
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
