"""The sizes that are known without asking anybody."""

import pytest

from function.capacity import models
from tests import cluster


@pytest.mark.parametrize(
    ("repository", "parameters"),
    [
        # Published parameter counts, in thousands of millions.
        ("Qwen/Qwen2.5-Coder-1.5B", 1.54),
        ("Qwen/Qwen2.5-Coder-7B-Instruct", 7.62),
        ("Qwen/Qwen3-8B", 8.19),
        ("Qwen/Qwen3-Coder-30B-A3B-Instruct", 30.5),
        ("meta-llama/Llama-Guard-3-1B", 1.24),
    ],
)
def test_a_size_is_two_bytes_a_parameter(repository: str, parameters: float) -> None:
    expected = parameters * 1e9 * 2 / 2**30
    assert models.WEIGHTS_GIB[repository] == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("name", cluster.EXAMPLES)
def test_the_examples_have_a_size(name: str) -> None:
    assert cluster.example(name)["spec"]["model"]["repository"] in models.WEIGHTS_GIB
