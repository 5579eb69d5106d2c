"""Which name is meant."""

import pytest

from function import likeness
from function.capacity import catalogue

CLASSES = ["a100-40", "a10g", "h100", "l4", "l40s"]


@pytest.mark.parametrize(
    ("word", "among", "near"),
    [
        ("l40", CLASSES, ["l40s"]),
        ("L4", CLASSES, ["l4"]),
        ("h900", CLASSES, ["h100"]),
        ("trn1", CLASSES, []),
        ("Qwen/Qwen3-8b-Instruct", catalogue.names(), ["Qwen/Qwen3-8B"]),
        ("Qwen/Qwen3-14b", catalogue.names(), ["Qwen/Qwen3-14B"]),
        ("repo", ["repository", "runner", "revision"], ["repository"]),
        # One that is a letter off is nearer than one that it goes on from.
        ("--model-impll", ["--model", "--model-impl"], ["--model-impl"]),
        # Two letters begin too much.
        ("ma", ["maxReplicas", "map"], ["map"]),
    ],
)
def test_the_nearest_name(word: str, among: list[str], near: list[str]) -> None:
    assert likeness.nearest(word, among) == near


def test_of_several_the_nearest_comes_first() -> None:
    assert likeness.nearest("qwen", ["qwen3_coder", "qwen3", "hermes"], 3) == [
        "qwen3",
        "qwen3_coder",
    ]
