"""Fits the coefficients of speed again on the measured rows, and judges a model left out.

`python -m tests.capacity.timed` prints what `function/capacity/coefficients.py` should hold.
"""

import csv
import dataclasses
import pathlib
from collections import Counter
from collections.abc import Iterator, Sequence

from function.capacity import cards, coefficients, speed, work
from tests.capacity import running

MEASURED = pathlib.Path(__file__).parent / "measured"
# Two all-reduces a layer, of two bytes an element: see `speed.terms`.
_LINK_BYTES = 4

Numbers = dict[str, float]


@dataclasses.dataclass(frozen=True)
class Run:
    """One measured time.

    Attributes:
        name: Card, GPUs, model and what was done.
        model: The model, which a test leaves out.
        case: What shares a process with it: cases weigh less the more rows they have.
        card: The card.
        milliseconds: What was measured.
        features: What a time is a sum of, each times a coefficient.
        does: What the model does.
    """

    name: str
    model: str
    case: tuple[str, ...]
    card: cards.Card
    milliseconds: float
    features: Numbers
    does: work.Work


def rows(name: str) -> Iterator[dict[str, str]]:
    """Returns the rows of a table of measurements."""
    with (MEASURED / name).open(encoding="utf-8") as file:
        yield from csv.DictReader(file)


def steps() -> list[Run]:
    """Returns the steps that only decode."""
    return [_step(row) for row in rows("decode-steps.csv")]


def prompts() -> list[Run]:
    """Returns the runs that only read prompts.

    Without one: the first MoE prompts of a process under TP=2 took three times the later ones.
    """
    return [
        _prompt(row)
        for row in rows("prefills.csv")
        if (row["model"], row["tensor_parallel"], row["prompt"])
        != ("Qwen/Qwen3-30B-A3B", "2", "2048")
    ]


def _case(row: dict[str, str]) -> tuple[str, ...]:
    return row["card"], row["tensor_parallel"], row["model"], row["weights"]


def label(row: dict[str, str]) -> str:
    gpus = "" if row["tensor_parallel"] == "1" else f"{row['tensor_parallel']} x "
    return f"{gpus}{row['card']}, {row['model']} {row['weights']}"


def work_of(row: dict[str, str]) -> work.Work:
    return running.of(row["model"], row["weights"], int(row["tensor_parallel"]))


def mean_context(row: dict[str, str]) -> float:
    """Returns the tokens of a sequence in the middle of a run."""
    return int(row["context"]) + int(row["output"]) / 2


def _step(row: dict[str, str]) -> Run:
    does, card, batch = work_of(row), running.card(row["card"]), int(row["batch"])
    features = _features(does, card, batch, mean_context(row), coefficients.of(card).link_gb)
    name = f"{label(row)}, {batch} sequences of {row['context']}"
    milliseconds = float(row["milliseconds"])
    return Run(name, row["model"], _case(row), card, milliseconds, features, does)


def _features(
    does: work.Work, card: cards.Card, batch: int, context: float, link_gb: float
) -> Numbers:
    """Returns what the time of a step that decodes is a sum of."""
    rate = card.bandwidth_gb * 1e6
    linked = does.tensor_parallel > 1
    return {
        "layer_ms": does.layers,
        "link_ms": does.layers * linked,
        "packed_expert_layer_ms": does.packed_expert_layers,
        "weights": does.weights / rate,
        "experts": does.expert_bytes(batch) / rate,
        "cache": batch * does.cache_bytes(context) / rate,
        "activations": batch * does.layers * does.hidden / rate,
        "logits": batch * does.vocabulary / rate,
        "link": linked * _LINK_BYTES * batch * does.layers * does.hidden / (link_gb * 1e6),
    }


def tool(card: cards.Card) -> list[Run]:
    """Returns the steps of a card that aisimulate predicts."""
    runs = []
    for row in rows("predicted-steps.csv"):
        if row["card"] == card.name and row["kind"] == "step":
            does, batch = work_of(row), int(row["batch"])
            link_gb = coefficients.of(card).link_gb
            features = _features(does, card, batch, int(row["tokens"]) + 1, link_gb)
            milliseconds = float(row["milliseconds"])
            runs.append(Run("", row["model"], _case(row), card, milliseconds, features, does))
    return runs


def arithmetic_of_tool(card: cards.Card) -> float:
    """Returns how much longer a card takes for prompts than Hopper, as the tool predicts both."""
    hopper = (_arithmetic_of_tool(running.H100) + _arithmetic_of_tool(running.H200)) / 2
    return _arithmetic_of_tool(card) / hopper


def _arithmetic_of_tool(card: cards.Card) -> float:
    """Returns the least squares of the tool's prompts by `speed.prefill`, without launches."""
    above = below = 0.0
    for row in rows("predicted-steps.csv"):
        if row["card"] != card.name or row["kind"] != "prompt":
            continue
        does, measured = work_of(row), float(row["milliseconds"])
        ours = speed.prefill(does, card, 0, int(row["tokens"]))
        assert ours is not None
        launches = coefficients.HOST.prefill_layer_ms * does.layers
        one = (ours.best - launches) / coefficients.of(card).arithmetic / measured
        above += one * (1 - launches / measured)
        below += one * one
    return above / below


HOSTS = ("layer_ms", "link_ms", "packed_expert_layer_ms", "logits", "link")
"""What the tool does not know, or the card does not decide: as measured on H100 and H200."""


def of_tool(card: cards.Card) -> Numbers:
    """Returns the coefficients of a card as the tool's steps give them."""
    measured = held()
    return fit(tool(card), {key: measured[key] for key in HOSTS})


def _prompt(row: dict[str, str]) -> Run:
    does, card = work_of(row), running.card(row["card"])
    prompt, prompts, budget = (int(row[key]) for key in ("prompt", "prompts", "batched_tokens"))
    tokens = prompt * prompts
    eight = does.bits == 8
    rate = card.tflops_16 * 1e9
    packed_rate = card.tflops_8 * 1e9 if eight else rate
    features = {
        "request_ms": 1.0,
        "prefill_layer_ms": -(-tokens // budget) * does.layers,
        "dense_8" if eight else "dense_16": 2 * tokens * does.dense_parameters / packed_rate,
        "experts_8" if eight else "experts_16": 2 * tokens * does.expert_parameters / packed_rate,
        "attention": prompts * does.operations(0, prompt) / rate,
        "activation_bytes": tokens * does.layers * does.hidden / (card.bandwidth_gb * 1e6),
        "link": (does.tensor_parallel > 1)
        * _LINK_BYTES
        * tokens
        * does.layers
        * does.hidden
        / 450e6,
    }
    name = f"{label(row)}, {prompts} of {prompt}, {budget} a step"
    return Run(name, row["model"], _case(row), card, float(row["seconds"]) * 1e3, features, does)


def predicted(run: Run, numbers: Numbers) -> float:
    """Returns the milliseconds that coefficients predict; one that is absent costs nothing."""
    return sum(numbers.get(key, 0.0) * value for key, value in run.features.items())


def fit(runs: Sequence[Run], fixed: Numbers | None = None) -> Numbers:
    """Returns the coefficients that make the relative errors least, none below zero.

    A case of many rows counts for less than as many cases would: each row weighs the fourth root
    of their number less.
    """
    chosen = dict(fixed or {})
    sizes = Counter(run.case for run in runs)
    keys = sorted({key for run in runs for key, value in run.features.items() if value})
    free = [key for key in keys if key not in chosen]
    while True:
        solved = _solve(runs, sizes, free, chosen)
        negative = [key for key in free if solved[key] < 0]
        if not negative:
            return {**dict.fromkeys(keys, 0.0), **chosen, **solved}
        worst = min(negative, key=lambda key: solved[key])
        free.remove(worst)


def _solve(
    runs: Sequence[Run],
    sizes: Counter[tuple[str, ...]],
    free: Sequence[str],
    fixed: Numbers,
) -> Numbers:
    """Returns the least squares by the normal equations, scaled to the sizes of the features."""
    matrix = [[0.0] * (len(free) + 1) for _ in free]
    for run in runs:
        weight = sizes[run.case] ** -0.5 / run.milliseconds**2
        held = sum(value * run.features.get(key, 0.0) for key, value in fixed.items())
        values = [run.features.get(key, 0.0) for key in free]
        for line, one in zip(matrix, values, strict=True):
            for column, other in enumerate([*values, run.milliseconds - held]):
                line[column] += weight * one * other
    for column in range(len(free)):
        pivot = max(range(column, len(free)), key=lambda place: abs(matrix[place][column]))
        matrix[column], matrix[pivot] = matrix[pivot], matrix[column]
        for place in range(len(free)):
            if place != column:
                ratio = matrix[place][column] / matrix[column][column]
                matrix[place] = [
                    a - ratio * b for a, b in zip(matrix[place], matrix[column], strict=True)
                ]
    return {key: matrix[i][-1] / matrix[i][i] for i, key in enumerate(free)}


def left_out(runs: Sequence[Run], model: str) -> list[float]:
    """Returns the relative errors for a model when it was not fitted on.

    What no other model was measured to do, such as reading experts, is what the tool predicts for
    the same cards beside everything else as fitted.
    """
    numbers = fit([run for run in runs if run.model != model])
    tested = [run for run in runs if run.model == model]
    if {key for run in tested for key, value in run.features.items() if value} - numbers.keys():
        hopper = [run for card in (running.H100, running.H200) for run in tool(card)]
        numbers = fit(hopper, numbers)
    return _errors(tested, numbers)


def left_out_alone(runs: Sequence[Run], model: str) -> list[float]:
    """Returns the same by measured times alone: experts are read as weights are."""
    numbers = fit([run for run in runs if run.model != model])
    numbers.setdefault("experts", numbers["weights"])
    return _errors([run for run in runs if run.model == model], numbers)


def _errors(runs: Sequence[Run], numbers: Numbers) -> list[float]:
    return [predicted(run, numbers) / run.milliseconds - 1 for run in runs]


def held() -> Numbers:
    """Returns the coefficients of the product under the names of the features."""
    row = coefficients.of(running.H100)
    return {
        **dataclasses.asdict(coefficients.HOST),
        **dataclasses.asdict(coefficients.ARITHMETIC),
        **{key: getattr(row, key) for key in _ROW},
    }


_ROW = ("weights", "experts", "cache", "activations", "logits")


def everything() -> Numbers:
    """Returns all coefficients, fitted: prompts first, whose link decoding takes over."""
    reading = fit(prompts())
    return reading | fit(steps(), {"link": reading["link"]})


if __name__ == "__main__":
    for key, value in sorted(everything().items()):
        print(f"{key} {value:.4f}")
    for name in ("B200", "RTX PRO 6000", "A100-80GB", "L40S", "H100", "H200"):
        numbers = of_tool(running.card(name))
        print(name, {key: round(numbers[key], 3) for key in _ROW})
        print(name, "arithmetic", round(arithmetic_of_tool(running.card(name)), 3))
