"""What an author reads of a field that breaks its schema: the product's words, not pydantic's."""

import re
from typing import Any

import pytest

from function.api import base, claim
from tests import cases
from tests.api import entries, invalid_claims

# Words that pydantic has for what Python's types do not hold.
_PYDANTIC = re.compile(r"Input should|Field required|should (have|match|be)|Extra inputs")


def problems(document: Any) -> dict[str, str]:
    with pytest.raises(base.InvalidError) as refused:
        base.parse(claim.InferenceService, document, what="claim")
    return {problem.path: problem.message for problem in refused.value.problems}


def model(**fields: Any) -> dict[str, Any]:
    return {"model": {"repository": "org/model", **fields}}


@pytest.mark.parametrize(
    ("spec", "path", "message"),
    [
        ({}, "spec.model", "must be given: the field is required"),
        (
            model(kvCacheDtype="fp9"),
            "spec.model.kvCacheDtype",
            "'fp9' is none of auto, bfloat16, float16, fp8, fp8_e4m3, fp8_e5m2; the nearest is fp8",
        ),
        (
            model(kvCacheDtype=8),
            "spec.model.kvCacheDtype",
            "must be one of auto, bfloat16, float16, fp8, fp8_e4m3, fp8_e5m2, in quotes",
        ),
        (
            model(maxLoraRank="16"),
            "spec.model.maxLoraRank",
            "must be one of 8, 16, 32, 64, 128, 256, 320, 512, without quotes",
        ),
        (
            model(maxLoraRank=7),
            "spec.model.maxLoraRank",
            "7 is none of 8, 16, 32, 64, 128, 256, 320, 512",
        ),
        (model(contextWindow=3), "spec.model.contextWindow", "must be 1024 or more"),
        (model(revision=""), "spec.model.revision", "must not be empty"),
        (model() | {"gpu": {"count": 99}}, "spec.gpu.count", "must be 8 or less"),
    ],
)
def test_a_field_is_refused_in_words(spec: Any, path: str, message: str) -> None:
    assert problems(entries.claim() | {"spec": spec})[path] == message


@cases.together("invalid", cases.named(invalid_claims.INVALID))
def test_no_refusal_is_pydantics(invalid: entries.Invalid) -> None:
    try:
        base.parse(claim.InferenceService, invalid.claim, what="claim")
    except base.InvalidError as refused:
        messages = [problem.message for problem in refused.problems]
        assert [words for words in messages if _PYDANTIC.search(words)] == []


def test_a_value_that_is_long_or_unprintable_is_cut() -> None:
    (message,) = problems(entries.claim() | {"spec": model(dtype="\n" + "x" * 500)}).values()
    assert message.startswith("'\\nxxx")
    assert len(message) < 200


def test_every_problem_is_listed_and_a_condition_has_the_first() -> None:
    spec = model() | {f"field{number}": 1 for number in range(20)}
    with pytest.raises(base.InvalidError) as refused:
        base.parse(claim.InferenceService, entries.claim() | {"spec": spec}, what="claim")
    assert len(refused.value.problems) == 20
    assert str(refused.value).endswith("; and 12 more")
