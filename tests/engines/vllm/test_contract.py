"""What a version of vLLM does not take, by its recorded parser."""

import pytest

from function.engines import semver
from function.engines.vllm import contract, flags, recordings
from function.findings import rules
from tests.engines.vllm import recorded

NONE = ""


def lines(argument: str, version: str) -> list[str]:
    """Returns the findings of one argument of an author, as people read them."""
    return [str(f) for f in contract.judge([argument], semver.parse(version))]


@pytest.mark.parametrize(
    ("version", "argument", "rule", "severity", "words"),
    [
        ("0.25.1", "--enforce-eager", NONE, "", ""),
        ("0.25.1", "--no-enable-prefix-caching", NONE, "", ""),
        ("0.25.1", "--max_num_batched_tokens=8k", NONE, "", ""),
        ("0.25.1", "--max-model-len=auto", NONE, "", ""),
        ("0.25.1", "--hf-overrides=some.name", NONE, "", ""),
        ("0.25.1", "--speculative-config.method=ngram", NONE, "", ""),
        ("0.25.1", "--attention-backend=flash_attn", NONE, "", ""),
        ("0.25.1", "--load-f=dummy", "engine-flag-abbreviated", "note", "for --load-format in"),
        # Of an exact name it is silent, and of two versions it stays a note.
        ("0.32.0", "--device-memory-utilization=0.9", NONE, "", ""),
        ("0.26.0", "--load-f=dummy", "engine-flag-abbreviated", "note", "0.26.0 is not recorded"),
        (
            "0.25.1",
            "--enforce-eagre",
            "engine-flag-unknown",
            "error",
            "mean --enforce-eager?",
        ),
        ("0.25.1", "--Enforce-Eager", "engine-flag-unknown", "error", "--enforce-eager"),
        ("0.25.1", "--disable-prefix-caching", "engine-flag-removed", "error", "0.33.0 has it"),
        ("0.33.0", "--disable-prefix-caching", NONE, "", ""),
        ("0.32.0", "--swap-space=4", "engine-flag-removed", "error", "spec.cache.kvOffload"),
        ("0.25.1", "--max-num=1", "engine-flag-ambiguous", "error", "--max-num-batched-tokens"),
        ("0.25.1", "--seed=x", "engine-flag-value", "error", "a whole number, and 'x' is none"),
        ("0.25.1", "--seed", "engine-flag-value", "error", "needs a value"),
        ("0.25.1", "--enforce-eager=true", "engine-flag-value", "error", "is a switch"),
        ("0.25.1", '--hf-overrides={"a":}', "engine-flag-json", "error", "takes JSON"),
        ("0.25.1", "--compilation-config=[", "engine-flag-json", "error", "takes JSON"),
        (
            "0.25.1",
            '--compilation-config={"mod":3}',
            "engine-flag-key",
            "error",
            "mean mode?",
        ),
        ("0.25.1", "--compilation-config.mod=3", "engine-flag-key", "error", "mean mode?"),
        (
            "0.25.1",
            '--speculative-config={"metho": "mtp"}',
            "engine-flag-key",
            "warning",
            "mean method?",
        ),
        ("0.25.1", "--compilation-config=[]", "engine-flag-json", "error", "a JSON object"),
        ("0.25.1", "--dtype=bfloat1", "engine-flag-choice", "error", "mean bfloat16?"),
        ("0.25.1", "--kv-cache-dtype=fp8_e4m", "engine-flag-choice", "error", "fp8_e4m3"),
        # From 0.33 its parser takes any.
        ("0.33.0", "--kv-cache-dtype=fp8_e4m", "engine-name-unknown", "warning", "fp8_e4m3"),
        ("0.25.1", "--reasoning-parser=qwen", "engine-name-unknown", "warning", "qwen3?"),
        ("0.25.1", "--tool-call-parser=hermess", "engine-name-unknown", "warning", "hermes?"),
        ("0.25.1", "--quantization=gguf", "engine-name-unknown", "warning", "ships no 'gguf'"),
        # Between two recorded versions: what both refuse, as a warning.
        ("0.26.0", "--seed=x", "engine-flag-value", "warning", "0.26.0 is not recorded"),
        ("0.26.0", "--log-level=INFO", NONE, "", ""),
        ("0.99.0", "--enforce-eagre", "engine-flag-unknown", "warning", "0.99.0 is not recorded"),
    ],
)
def test_judge(version: str, argument: str, rule: str, severity: str, words: str) -> None:
    findings = lines(argument, version)
    if rule == NONE:
        assert findings == []
        return
    (line,) = findings
    assert line.startswith(f"{severity}: spec.engineArgs[0]: ")
    assert line.endswith(f"({rule})")
    assert words in line


@pytest.mark.parametrize(
    ("argument", "broken"),
    [
        ("--max-num-batched-token=8192", []),
        ("--max-num-batched-token=many", ["engine-flag-value"]),
        ("--max-num-batched-token", ["engine-flag-value"]),
        ("--enforce-eag=true", ["engine-flag-value"]),
        ("--mm-encoder-tp-mo=none", ["engine-flag-choice"]),
        ('--compilation-c={"mod":3}', ["engine-flag-key"]),
    ],
)
def test_what_is_short_for_a_flag_is_judged_as_that_flag(argument: str, broken: list[str]) -> None:
    findings = contract.judge([argument], (0, 25, 1))
    assert [one.rule.name for one in findings] == ["engine-flag-abbreviated", *broken]


def test_a_name_of_a_plugin_is_not_judged() -> None:
    arguments = ["--reasoning-parser=own", "--reasoning-parser-plugin=/templates/own.py"]
    assert contract.judge(arguments, (0, 25, 1)) == []


def test_a_finding_names_the_field_that_the_flag_comes_from() -> None:
    line = ["/models/x", "--tool-call-parser=hermess", "--seed=1", "--seed=x"]
    findings = contract.of_claim(line, own=1, version=(0, 25, 1))
    assert [finding.field for finding in findings] == [
        "spec.model.toolCallParser",
        "spec.engineArgs[0]",
    ]


@pytest.mark.parametrize("version", recorded.VERSIONS)
def test_our_flags_are_recorded_in_every_version_with_their_fields(version: str) -> None:
    options = recordings.parser(semver.parse(version)).options
    assert {option.name for option in options.values()} <= set(flags.TABLE)
    for flag in contract.FIELDS:
        assert f"--{flag}" in options, flag


@pytest.mark.parametrize("version", recorded.VERSIONS)
def test_what_is_gone_is_in_no_recorded_version(version: str) -> None:
    options = recordings.parser(semver.parse(version)).options
    assert set(contract.GONE) & set(options) <= {"--calculate-kv-scales"}


@pytest.mark.parametrize("version", recorded.VERSIONS)
def test_names_that_an_engine_ships_are_recorded(version: str) -> None:
    entries = recorded.flags(version)
    for flag, name in (
        ("--tool-call-parser", "hermes"),
        ("--reasoning-parser", "qwen3"),
        ("--quantization", "fp8"),
        ("--load-format", "runai_streamer"),
        ("--attention-backend", "FLASH_ATTN"),
        ("--kv-cache-dtype", "fp8_e5m2"),
        ("--dtype", "bfloat16"),
    ):
        entry = entries[flag]
        assert name in entry.get("choices", entry.get("names", ())), flag


def test_the_nearest_versions_are_asked() -> None:
    asked = [
        [semver.show(parser.version) for parser in recordings.around(semver.parse(version))]
        for version in ("0.18.0", "0.20.0", "0.99.0")
    ]
    assert asked == [["0.18.0"], ["0.18.0", "0.25.1"], ["0.33.0"]]


def test_every_finding_carries_its_rule() -> None:
    (finding,) = contract.judge(["--nothing"], (0, 25, 1))
    assert (finding.rule, finding.severity) == (contract.UNKNOWN_FLAG, rules.Severity.ERROR)
