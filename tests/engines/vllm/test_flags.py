"""The managed flags, as the API server and the function refuse them alike."""

import argparse

import pytest

from function.engines.vllm import managed


def spellings(flag: str) -> list[str]:
    """Every way in which vLLM's parser could be told the flag, in each of its versions."""
    bare = flag.removeprefix("enable-")
    return [
        f"--{flag}",
        f"--{flag}=x",
        f"--{flag.replace('-', '_')}=x",
        f"--{flag.upper()}=x",
        f"--{flag}.key=x",
        f"--{flag.replace('-', '_')}.a.b=x",
        f"--no-{flag}",
        f"--no-{flag.replace('-', '_')}",
        *([f"--disable-{bare}"] if bare != flag else []),
        *(f"--{flag[:length]}=x" for length in range(1, len(flag))),
    ]


@pytest.mark.pitfall("denied flags get through by underscore, dotted key, prefix or --config")
@pytest.mark.decision(4)
@pytest.mark.parametrize("flag", managed.FLAGS)
def test_a_managed_flag_is_refused_in_every_spelling(flag: str) -> None:
    for spelling in spellings(flag):
        assert managed.of(spelling) is not None, spelling


@pytest.mark.parametrize("flag", managed.FLAGS)
def test_a_managed_flag_says_where_it_is_set_instead(flag: str) -> None:
    assert managed.INSTEAD[flag]


def test_argparse_takes_a_unique_prefix() -> None:
    """What the refusal of prefixes rests on."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--load-format")
    assert parser.parse_args(["--load-f=dummy"]).load_format == "dummy"


@pytest.mark.parametrize(
    "argument",
    [
        "--enforce-eager",
        "--kv-cache-dtype=fp8",
        "--max-num-batched-tokens=1",
        "--tensor-parallel-size=2",
        "--reasoning-parser=qwen3",
        "--seed=0",
        "--model-impl=vllm",
        "--quantization-param-path=x",
        "--served-model-names",
    ],
)
def test_other_flags_pass(argument: str) -> None:
    assert managed.of(argument) is None


@pytest.mark.parametrize("argument", ["--", "--=x", "--.a"])
def test_a_flag_without_a_name_is_refused(argument: str) -> None:
    assert managed.of(argument) is not None


@pytest.mark.parametrize(
    ("argument", "name"),
    [
        ("--Max_Model_Len=1", "max-model-len"),
        ("--a.b.c=1", "a"),
        ("--no-enable-x", "enable-x"),
        ("--disable-x", "enable-x"),
        ("--a=--b", "a"),
        ("--a=x.y", "a"),
    ],
)
def test_normal(argument: str, name: str) -> None:
    assert managed.normal(argument) == name
