"""How far predicted times are from measured ones: rows for tests, and for the page on accuracy."""

import dataclasses
import statistics
from collections.abc import Iterable, Sequence

from function.capacity import coefficients, estimates, speed
from tests.capacity import running, timed


@dataclasses.dataclass(frozen=True)
class Residual:
    """One time.

    Attributes:
        group: What it is summed up with.
        name: What was timed.
        measured: Milliseconds that were measured, or that a tool predicts.
        predicted: Ours.
        inside: Whether the measured one lies in the interval.
    """

    group: str
    name: str
    measured: float
    predicted: float
    inside: bool

    @property
    def error(self) -> float:
        """How much larger ours is, as a share."""
        return self.predicted / self.measured - 1


def of(group: str, name: str, measured: float, ours: estimates.Estimate | None) -> Residual:
    """Returns the residual of an estimate."""
    assert ours is not None, name
    return Residual(group, name, measured, ours.best, ours.holds(measured))


def steps() -> list[Residual]:
    """Returns the steps that only decode."""
    return [
        of(
            ", ".join(run.name.split(", ")[:2]),
            run.name,
            run.milliseconds,
            speed.step(run.does, run.card, int(row["batch"]), timed.mean_context(row)),
        )
        for run, row in zip(timed.steps(), timed.rows("decode-steps.csv"), strict=True)
    ]


def first_tokens() -> list[Residual]:
    """Returns prompts that come to an idle engine."""
    residuals = []
    for row in timed.rows("prefills.csv"):
        if row["prompts"] != "1":
            continue
        card = running.card(row["card"])
        tokens, budget = int(row["prompt"]), int(row["batched_tokens"])
        ours = speed.first_token(timed.work_of(row), card, tokens, budget)
        name = f"{timed.label(row)}, a prompt of {tokens}, {budget} a step"
        residuals.append(of(row["card"], name, float(row["seconds"]) * 1e3, ours))
    return residuals


def prompts() -> list[Residual]:
    """Returns many prompts at once, several of them in a step: an engine that only reads."""
    residuals = []
    for run in timed.prompts():
        if ", 1 of" in run.name:
            continue
        ours, one = (
            timed.predicted(run, timed.held()),
            speed.prefill(run.does, run.card, 0, 1),
        )
        assert one is not None
        off = one.high / one.best
        inside = ours / off <= run.milliseconds <= ours * off
        residuals.append(Residual(run.card.name, run.name, run.milliseconds, ours, inside))
    return residuals


def arrivals() -> tuple[list[Residual], list[Residual]]:
    """Returns first tokens of prompts that come to a busy engine, and gaps of the others."""
    first, gaps = [], []
    for row in timed.rows("mixed-steps.csv"):
        card = running.card(row["card"])
        batch, tokens, budget = (int(row[key]) for key in ("batch", "prompt", "batched_tokens"))
        ours = speed.arrival(timed.work_of(row), card, batch, int(row["context"]), tokens, budget)
        assert ours is not None
        name = f"{tokens} tokens come to {batch} sequences, {budget} a step"
        first.append(of("first token", name, float(row["ms_until_first_token"]), ours.first_token))
        gaps.append(of("longest gap", name, float(row["longest_step_ms"]), ours.longest_gap))
    return first, gaps


def tool() -> list[Residual]:
    """Returns steps and prompts that a tool predicts for cards that nobody measured here."""
    residuals = []
    for row in timed.rows("predicted-steps.csv"):
        card = running.card(row["card"])
        if coefficients.of(card).grade is estimates.Grade.MEASURED:
            continue
        batch, tokens = int(row["batch"]), int(row["tokens"])
        does = timed.work_of(row)
        ours = (
            speed.step(does, card, batch, tokens + 1)
            if row["kind"] == "step"
            else speed.prefill(does, card, 0, tokens)
        )
        name = f"{timed.label(row)}, {row['kind']} of {batch} x {tokens}"
        residuals.append(of(f"{row['card']} {row['kind']}", name, float(row["milliseconds"]), ours))
    return residuals


def mean(residuals: Iterable[Residual]) -> float:
    """Returns the mean of the errors, without their signs."""
    return statistics.mean(abs(residual.error) for residual in residuals)


def worst(residuals: Iterable[Residual]) -> Residual:
    """Returns the residual that is furthest off."""
    return max(residuals, key=lambda residual: abs(residual.error))


def left_out() -> dict[str, list[float]]:
    """Returns the errors of steps by model, each when its model was not fitted on."""
    runs = timed.steps()
    return {model: timed.left_out(runs, model) for model in sorted({run.model for run in runs})}


def _sums(residuals: Sequence[Residual]) -> list[Residual]:
    """Returns the steps once more, as dense models and as models with experts."""
    return [
        dataclasses.replace(
            residual,
            group="all with experts" if running.MIXTURE in residual.name else "all dense",
        )
        for residual in residuals
    ]


def section() -> str:
    """Returns the part of the page on accuracy that is about time, in Markdown."""
    first, gaps = arrivals()
    tables = (
        ("Steps that decode (measured, in sample)", [*steps(), *_sums(steps())]),
        ("Many prompts at once (measured, in sample)", prompts()),
        ("One prompt, idle engine (measured, in sample)", first_tokens()),
        ("First token beside sequences that decode (measured)", first),
        ("Longest gap of those sequences (measured)", gaps),
        ("Other cards, against aisimulate (predicted)", tool()),
    )
    lines = ["## Time", "", _PROSE]
    for title, residuals in tables:
        lines += [f"### {title}", "", *_table(residuals), ""]
    lines += [
        "### Steps of a model that was not fitted on",
        "",
        _LEFT_OUT,
        "",
        "| Model | Rows | Mean | Worst |",
        "| --- | --- | --- | --- |",
    ]
    models = left_out()
    models[f"{running.MIXTURE}, by measured times alone"] = timed.left_out_alone(
        timed.steps(), running.MIXTURE
    )
    for model, errors in models.items():
        off = max(errors, key=abs)
        average = statistics.mean(abs(error) for error in errors)
        lines.append(f"| {model} | {len(errors)} | {average:.1%} | {off:+.1%} |")
    return "\n".join(lines) + "\n"


_LEFT_OUT = """\
What only a model with experts has, reading experts and packing their values, then follows from the
predictions of aisimulate for H100 and H200, with everything else as fitted on the other models. The
last row has no such help: experts are read as weights are, and packing is free."""

_PROSE = """\
A step that decodes takes, on one GPU of a replica:

```
time = layers x (0.053 ms, 0.007 more with tensor parallelism, 0.022 more with experts in 8 bit)
     + (1.07 x weights + 1.19 x experts that the batch chose + 1.08 x keys and values) / bandwidth
     + sequences x (154 B x layers x hidden + 167 B x vocabulary) / bandwidth
     + sums over GPUs / link
```

The numbers are fitted on H100 and H200 together (vLLM 0.25.1, engine without a server). Other
cards have shares of their bandwidth that follow from predictions of aisimulate, and the host's
times as measured: made the same way, H100 and H200 are within 6 % of their measured steps on
average, 15 % at worst. L4 and A10G have the shares of a card beside them: nobody measured them.
What was not measured at all: weights of 4 bits, windows, latent attention, recurrent layers, a KV
cache in 8 bits, more than two GPUs; intervals are wider there, and the source of an estimate
names it. A real server is slower than the engine: one with two adapters took 8.35 ms between
tokens where a step is predicted to take 6.0 ms, so throughput has 1.4 times the time at its high
end.

Dense models and the one with experts are within 3 % on average. Three groups of five rows are 3.3
to 3.8 % off, all in 16 bit on one H100: Qwen3-8B is faster than predicted in all five rows,
Qwen3-14B slower in four, Qwen3-30B-A3B both. Three other GPUs of that host were busy, and each row
was timed once. That does not explain them: on the same host Llama-3.1-8B and Qwen3-8B in fp8 are
1.3 % off, and on two GPUs Qwen3-8B and Qwen3-14B err to the same side in five rows of six. So it is
likely the model: kernels of one shape read weights faster than those of another, and a sum of bytes
knows one rate. A rate for each model would fit these rows and say nothing of the next model.

Tried, and left out: arithmetic
that adds to reading (nothing gained), a cost of each token that does not follow the bandwidth (3.1
to 3.4 %, with a unit of its own for each card), launches that only experts have (nearer on the
model that was timed, and 9.2 % in place of 5.7 % where it is left out).
"""


def _table(residuals: Sequence[Residual]) -> list[str]:
    groups = sorted({residual.group for residual in residuals})
    lines = ["| | Rows | Mean | Worst | Inside the interval |", "| --- | --- | --- | --- | --- |"]
    for group in groups:
        chosen = [residual for residual in residuals if residual.group == group]
        inside = sum(residual.inside for residual in chosen)
        lines.append(
            f"| {group} | {len(chosen)} | {mean(chosen):.1%} | {worst(chosen).error:+.1%} |"
            f" {inside} of {len(chosen)} |"
        )
    return lines


if __name__ == "__main__":
    print(section())
