"""What text-embeddings-inference 1.9.3 answers, and the stand-in with it.

Statuses and words were taken from the program (`tests.engines.tei.against`).
"""

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

from tests.engines.tei import running, weights

OPENAI = "/v1/embeddings"


@dataclasses.dataclass(frozen=True)
class Case:
    """A request with its answer.

    Attributes:
        path: Where it goes.
        body: What it says.
        status: Of the answer.
        says: Fields of the answer, with their values; None where any will do.
    """

    path: str
    body: Any
    status: int
    says: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Served:
    """A model that answers requests.

    Attributes:
        model: One of `weights.MODELS`.
        arguments: More of the claim's.
        cases: The requests, in their order.
    """

    model: str
    arguments: tuple[str, ...]
    cases: tuple[Case, ...]


def _refused(status: int, kind: str, words: str) -> dict[str, Any]:
    """Returns a refusal as OpenAI's path writes it."""
    return {"message": words, "code": status, "type": kind}


def _error(kind: str, words: str) -> dict[str, Any]:
    """Returns a refusal as the other paths write it."""
    return {"error": words, "error_type": kind}


_LISTED = {"object": "list", "data": None, "model": "model", "usage": None}
_MANY = "batch size 5 > maximum allowed batch size 4"
_EMPTY = "Input validation error: `inputs` cannot be empty"
_LONG = " ".join(weights.WORDS * 60)

SERVED = (
    Served(
        "embeds",
        ("--max-concurrent-requests=3", "--max-client-batch-size=4", "--payload-limit=20000"),
        (
            Case(OPENAI, {"input": "what is a cheese", "model": "model"}, 200, _LISTED),
            Case(OPENAI, {"input": ["a", "the", "milk"], "model": "model"}, 200, _LISTED),
            # The name is not looked at.
            Case(OPENAI, {"input": "a", "model": "another"}, 200, _LISTED),
            # Longer than the context: cut without a word.
            Case(OPENAI, {"input": _LONG}, 200, _LISTED),
            Case(OPENAI, {"input": []}, 400, _refused(400, "Empty", _EMPTY)),
            Case(OPENAI, {"input": ""}, 400, _refused(400, "Empty", _EMPTY)),
            Case(OPENAI, {"input": ["a", ""]}, 400, _refused(400, "Empty", _EMPTY)),
            Case(OPENAI, {"input": ["a"] * 5}, 422, _refused(422, "Validation", _MANY)),
            # Four texts, and room for three.
            Case(
                OPENAI,
                {"input": ["a"] * 4},
                429,
                _refused(429, "Overloaded", "Model is overloaded"),
            ),
            Case(OPENAI, {}, 422, {}),
            Case(OPENAI, b"{", 400, {}),
            Case(OPENAI, {"input": "a" * 30000}, 413, {}),
        ),
    ),
    Served(
        "embeds",
        ("--auto-truncate=false",),
        (Case(OPENAI, {"input": _LONG}, 422, {}),),
    ),
    # A word of its tokenizer is in no row of its table: what fails is the model.
    Served(
        "broken",
        (),
        (Case(OPENAI, {"input": "cheddar"}, 424, {}), Case(OPENAI, {"input": "a"}, 200, _LISTED)),
    ),
    Served(
        "ranks",
        (),
        (
            Case("/rerank", {"query": "cheese", "texts": ["milk", "deep learning"]}, 200, {}),
            Case(
                "/rerank",
                {"query": "cheese", "texts": []},
                400,
                _error("Empty", "`texts` cannot be empty"),
            ),
            Case("/predict", {"inputs": "a cheese"}, 200, {}),
            Case("/v2/rerank", {"query": "cheese", "documents": ["milk"]}, 404, {}),
            Case(OPENAI, {"input": "a"}, 424, {}),
        ),
    ),
    Served(
        "classifies",
        (),
        (
            Case("/predict", {"inputs": [["a cheese"], ["milk"]]}, 200, {}),
            Case("/rerank", {"query": "cheese", "texts": ["milk"]}, 424, {}),
        ),
    ),
)
# What the stand-in answers too: OpenAI's path, of a model that makes vectors.
STOOD_IN = SERVED[0]


def ask(program: running.Program, case: Case) -> tuple[int, str]:
    """Returns status and body of the answer to a case."""
    return program.ask("POST", case.path, case.body)


def differences(served: Served, program: running.Program) -> Iterator[str]:
    """Yields answers of a program that are others than those of text-embeddings-inference."""
    for case in served.cases:
        status, body = ask(program, case)
        said = json.loads(body) if body.startswith("{") else {}
        same = all(
            name in said and value in (None, said[name]) for name, value in case.says.items()
        )
        if status != case.status or not same:
            asked = str(case.body)[:60]
            yield f"{served.model} {case.path} {asked}: {status} {body[:300]}"
