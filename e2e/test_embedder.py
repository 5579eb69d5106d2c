"""The stand-in for text-embeddings-inference, held to what the program answered and showed."""

from __future__ import annotations

import pathlib

from e2e.controlplane import toolchain
from tests.engines.tei import against, answers, recorded, running, weights

_SERVED = answers.STOOD_IN


def test_the_stand_in_answers_as_the_program(tmp_path: pathlib.Path) -> None:
    """Statuses, words and series, and its end; beside OpenAI's path it has none."""
    weights.write(weights.MODELS[_SERVED.model], tmp_path)
    program = toolchain.program("stand-ins", "embedder")
    with running.Program(program, against.claim(*_SERVED.arguments), tmp_path) as standing_in:
        standing_in.ready()
        assert standing_in.ask("GET", "/metrics") == (200, "")
        assert list(answers.differences(_SERVED, standing_in)) == []
        shown = recorded.shape(standing_in.ask("GET", "/metrics")[1])
        assert shown <= recorded.shape(recorded.exposition())
        standing_in.terminate()
        assert standing_in.ended(10) == 0
