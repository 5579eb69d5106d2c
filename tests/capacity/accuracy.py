"""Writes docs/accuracy.md: what is predicted of each measured start, and what was measured.

`python -m tests.capacity.accuracy` writes the page; a test fails when the page is stale.
"""

import dataclasses
import functools
import pathlib
import statistics
from collections.abc import Iterable, Sequence

from function import generate
from function.capacity import activations, cache, facts, fit, releases
from tests.capacity import fitting, measurements, residuals_speed

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "accuracy.md"
GIB = measurements.GIB

DENSE = "dense, 16 bit or packed checkpoint"
PACKED = "dense, packed to fp8 at load"
EXPERTS = "experts, one GPU"
WINDOWS = "windows, one GPU"
SHARED = "several GPUs"
KINDS = (DENSE, PACKED, EXPERTS, WINDOWS, SHARED)


def kind(start: measurements.Start) -> str:
    """Which line of the summary a start counts for."""
    asked = start.arrangement
    if asked.tensor * asked.pipeline > 1:
        return SHARED
    if start.model.experts:
        return EXPERTS
    if facts.Mixing.WINDOW in start.model.mixes:
        return WINDOWS
    return PACKED if asked.quantization == "fp8" else DENSE


@dataclasses.dataclass(frozen=True)
class Row:
    """A start beside its prediction.

    Attributes:
        start: The start.
        answer: What is predicted from configuration and flags.
        low: Blocks of the cache, at least.
        best: The likeliest.
        high: At most.
    """

    start: measurements.Start
    answer: fit.Fit
    low: int
    best: int
    high: int

    @property
    def error(self) -> float:
        """Of the cache's tokens, as a share."""
        return self.best / self.start.blocks - 1

    @property
    def inside(self) -> bool:
        """Whether the engine's blocks are inside the interval."""
        return self.low <= self.start.blocks <= self.high

    @property
    def width(self) -> float:
        """Of the interval, as a share of the engine's blocks."""
        return (self.high - self.low) / self.start.blocks


@functools.cache
def rows(version: str) -> tuple[Row, ...]:
    """Predictions of all starts of a version."""
    return tuple(_row(start) for start in measurements.starts(version))


def _row(start: measurements.Start) -> Row:
    answer = fit.fit(start.model, start.card, start.arrangement)
    layout = cache.layout(start.model, start.arrangement, start.arrangement.tokens(start.card))
    ends = (answer.available.low, answer.available.best, answer.available.high)
    return Row(start, answer, *(layout.blocks(end) for end in ends))


@dataclasses.dataclass(frozen=True)
class Summary:
    """Errors of several starts, as shares."""

    count: int
    mean: float
    worst: float
    inside: float
    width: float


def summary(of: Sequence[Row]) -> Summary:
    """Returns the errors of several rows in short."""
    errors = [abs(row.error) for row in of]
    return Summary(
        len(of),
        statistics.mean(errors),
        max(errors),
        statistics.mean(row.inside for row in of),
        statistics.mean(row.width for row in of),
    )


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rule = ["---"] * len(head)
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, rule, *lines])


def _percent(share: float, digits: int = 2) -> str:
    return f"{100 * share:.{digits}f} %"


def _summaries() -> str:
    lines = []
    for version in ("0.25.1", "0.19"):
        everything = rows(version)
        for name in (*KINDS, "all"):
            of = [row for row in everything if name in (kind(row.start), "all")]
            if of:
                short = summary(of)
                lines.append(
                    (
                        version,
                        name,
                        str(short.count),
                        _percent(short.mean),
                        _percent(short.worst),
                        _percent(short.inside, 0),
                        _percent(short.width, 1),
                    )
                )
    return _table(
        ("vLLM", "starts", "number", "mean error", "worst", "inside", "width of the interval"),
        lines,
    )


def _flags(start: measurements.Start) -> str:
    asked = start.arrangement
    words = [f"S={asked.sequences}", f"T={asked.batched_tokens}"]
    words += [f"TP={asked.tensor}"] if asked.tensor > 1 else []
    words += [f"PP={asked.pipeline}"] if asked.pipeline > 1 else []
    words += [asked.quantization] if asked.quantization else []
    words += [f"cache {asked.cache_dtype}"] if asked.cache_dtype != "auto" else []
    words += [f"LoRA {asked.adapter_slots}x{asked.adapter_rank}"] if asked.adapter_slots else []
    words += ["eager"] if asked.eager else []
    words += [] if asked.cold else ["warm"]
    words += [f"runner {asked.runner}"] if asked.runner else []
    return " ".join(words)


def _gib(size: float) -> str:
    return f"{size / GIB:.2f}"


def _starts(version: str) -> str:
    lines = []
    for row in rows(version):
        start, answer = row.start, row.answer
        held = answer.size(fit.Part.WEIGHTS) + answer.size(fit.Part.ADAPTERS)
        activation = answer.size(fit.Part.ACTIVATIONS)
        process = answer.size(fit.Part.PROCESS)
        lines.append(
            (
                start.model.name,
                start.card.name,
                _flags(start),
                f"{_gib(held.best)} / {_gib(start.weights.best)}",
                f"{_gib(activation.best)} / {_gib(start.activations)}",
                f"{_gib(process.best)} / {_gib(start.process)}",
                f"{_gib(answer.available.best)} / {_gib(start.available)}",
                f"{100 * row.error:+.2f}" + ("" if row.inside else " (outside)"),
            )
        )
    return _table(
        (
            "model",
            "card",
            "flags",
            "weights",
            "activations",
            "process",
            "cache",
            "error of tokens, %",
        ),
        lines,
    )


def _peaks() -> str:
    lines = []
    for peak in measurements.peaks():
        both = []
        for cold, measured in ((True, peak.first), (False, peak.second)):
            asked = peak.arrangement(cold=cold)
            behaviour = releases.readings("0.25.1", peak.model, asked.runner).behaviours[0]
            size = activations.peak(peak.model, asked, peak.card, behaviour).best
            both += [f"{size / GIB:.3f} / {measured / GIB:.3f}"]
        lines.append((peak.name, peak.model.name, *both))
    return _table(("start", "model", "first start", "second start"), lines)


def _constants() -> str:
    lines = []
    for constant in fitting.constants():
        values = [sample.value for sample in constant.samples]
        models = {sample.start.model.name for sample in constant.samples}
        used = constant.used
        lines.append(
            (
                constant.name,
                f"{used.best:.3g} {constant.unit} ({used.low:.3g}..{used.high:.3g})",
                f"{min(values):.3g}..{max(values):.3g}",
                f"{len(values)} of {len(models)}",
                _percent(max(abs(constant.error(sample)) for sample in constant.samples)),
            )
        )
    return _table(
        ("constant", "used", "measured", "starts of models", "worst error without its model"), lines
    )


def _misses() -> str:
    lines = []
    for version in ("0.25.1", "0.19"):
        for row in rows(version):
            start, answer = row.start, row.answer
            held = answer.size(fit.Part.WEIGHTS) + answer.size(fit.Part.ADAPTERS)
            parts = {
                "weights": (held, start.weights.best),
                "activations": (answer.size(fit.Part.ACTIVATIONS), start.activations),
                "process": (answer.size(fit.Part.PROCESS), start.process),
            }
            if start.graphs is not None:
                beyond = max(0, start.graphs - start.reserved)
                parts["graphs beyond what is set aside"] = (answer.size(fit.Part.GRAPHS), beyond)
            # A log with two digits is off by half of the last.
            slack = 0.005 * GIB if version == "0.19" else 0
            lines += [
                f"- vLLM {version}, {start.model.name}, {_flags(start)}: {name}"
                f" {_gib(size.low)}..{_gib(size.high)}, measured {_gib(measured)} GiB"
                for name, (size, measured) in parts.items()
                if not size.low - slack <= measured <= size.high + slack
            ]
    return "\n".join(dict.fromkeys(lines))


# What the product sets itself: width of the interval, and steps of a model that was left out.
WIDTH = 0.08
LEFT_OUT = 0.08


def _missed() -> str:
    """Returns the numbers that are not reached."""
    lines = []
    for version in ("0.25.1", "0.19"):
        for name in KINDS:
            of = [row for row in rows(version) if kind(row.start) == name]
            if of and (width := summary(of).width) > WIDTH:
                lines.append(
                    f"- vLLM {version}, {name}: the interval is {_percent(width, 1)} of the cache"
                    f" wide, and {_percent(WIDTH, 0)} is the aim."
                )
    for model, errors in residuals_speed.left_out().items():
        mean = statistics.mean(abs(error) for error in errors)
        if mean > LEFT_OUT:
            lines.append(
                f"- Steps of {model}, when the coefficients are fitted without it:"
                f" {_percent(mean, 1)} off on average, and {_percent(LEFT_OUT, 0)} is the aim."
            )
    return "\n".join(lines or ["- None of them."])


def tables() -> dict[str, str]:
    """Returns the page's tables, by the name in the marks around them."""
    return {
        "summary": _summaries(),
        "constants": _constants(),
        "outside": _misses(),
        "starts of 0.25.1": _starts("0.25.1"),
        "starts of 0.19": _starts("0.19"),
        "activations": _peaks(),
        "time": residuals_speed.section(),
        "missed": _missed(),
    }


def page() -> str:
    """Returns the whole page, with its tables in it."""
    return generate.filled(PAGE.read_text(), {k: v + "\n" for k, v in tables().items()})


if __name__ == "__main__":
    PAGE.write_text(page())
