"""Weights on a GPU, held to starts that were measured."""

import csv
import dataclasses
import pathlib
import statistics

import pytest

from function.capacity import catalogue, facts, weights

GIB = 1024**3
MEASURED = pathlib.Path(__file__).parent / "measured"

CAPABILITIES = {"A100": (8, 0), "H100": (9, 0), "H200": (9, 0)}

# Two decimals in a log.
ROUNDED = 0.006 * GIB


@dataclasses.dataclass(frozen=True)
class Row:
    """One measured start, and what is estimated for it."""

    version: str
    name: str
    measured: float
    low: float
    best: float
    high: float

    @property
    def error(self) -> float:
        """Relative error of the best estimate."""
        return self.best / self.measured - 1

    @property
    def inside(self) -> bool:
        """Whether the interval holds the truth."""
        return self.low - ROUNDED <= self.measured <= self.high + ROUNDED


def model(name: str) -> facts.Facts:
    """Returns a model of the catalogue."""
    held = catalogue.lookup(name)
    assert held is not None, name
    return held


def rows() -> list[Row]:
    """Returns all measured starts."""
    with (MEASURED / "weights.csv").open() as file:
        return [estimated(given) for given in csv.DictReader(file)]


def estimated(given: dict[str, str]) -> Row:
    ran = model(given["model"])
    # A text-only form of Gemma 3 12B was measured.
    if (given["vllm"], given["model"]) == ("0.25.1", "google/gemma-3-12b-it"):
        ran = dataclasses.replace(ran, tower_parameters=0)
    load = weights.Load(
        version=tuple(int(part) for part in given["vllm"].split(".")),
        quantization=given["quantization"] or None,
        dtype_bytes=4 if given["dtype"] == "float32" else None,
        tensor_parallel=int(given["tensor_parallel"]),
        stages=int(given["stages"]),
        adapters=weights.Adapters(int(given["slots"] or 0), int(given["rank"] or 16)),
        capability=CAPABILITIES[given["gpu"]],
    )
    answer = weights.per_gpu(ran, load)
    name = " ".join(value for value in list(given.values())[:-1] if value)
    return Row(given["vllm"], name, float(given["gib"]) * GIB, answer.low, answer.best, answer.high)


ROWS = rows()


@pytest.mark.parametrize(
    ("version", "mean", "worst"), [("0.25.1", 0.001, 0.008), ("0.19.0", 0.0015, 0.017)]
)
def test_measured_starts_are_met(version: str, mean: float, worst: float) -> None:
    errors = {row.name: abs(row.error) for row in ROWS if row.version == version}
    assert len(errors) > 30
    assert statistics.fmean(errors.values()) <= mean, errors
    assert max(errors.values()) <= worst, max(errors, key=lambda name: errors[name])


def test_the_truth_is_inside_the_interval() -> None:
    outside = [row.name for row in ROWS if not row.inside]
    assert len(outside) <= len(ROWS) * 0.05, outside


def test_an_interval_is_narrow() -> None:
    widths = [(row.high - row.low) / row.measured for row in ROWS]
    assert statistics.median(widths) < 0.02


@pytest.mark.parametrize(
    "why",
    ["the sum of the tensors alone", "an allocator that divides all blocks"],
)
def test_the_allocator_explains_what_loads_in_8_bits_hold(why: str) -> None:
    ran, load = model("Qwen/Qwen3-14B"), weights.Load(quantization="fp8")
    measured = next(
        row for row in ROWS if row.name == "0.25.1 H200 Qwen/Qwen3-14B fp8 1 1"
    ).measured
    naive = {
        "the sum of the tensors alone": weights.tensors(ran, load),
        "an allocator that divides all blocks": weights.per_gpu(
            ran, dataclasses.replace(load, version=(0, 19, 0))
        ).best,
    }[why]
    assert naive / measured - 1 < -0.03
    assert abs(weights.per_gpu(ran, load).best / measured - 1) < 0.0001


@pytest.mark.parametrize(
    ("version", "like"),
    [((0, 10, 0), ["0.19"]), ((0, 22, 0), ["0.19", "0.25"]), ((0, 33, 0), ["0.25"])],
)
def test_a_version_that_nobody_measured_is_like_its_neighbours(
    version: tuple[int, ...], like: list[str]
) -> None:
    ran = model("Qwen/Qwen3-14B")
    measured = {
        "0.19": weights.per_gpu(ran, weights.Load(version=(0, 19, 0), quantization="fp8")),
        "0.25": weights.per_gpu(ran, weights.Load(version=(0, 25, 1), quantization="fp8")),
    }
    answer = weights.per_gpu(ran, weights.Load(version=version, quantization="fp8"))
    assert answer.low <= min(measured[name].low for name in like)
    assert answer.high >= max(measured[name].high for name in like)


@pytest.mark.parametrize("name", ["Qwen/Qwen3-8B", "Qwen/Qwen3-30B-A3B", "openai/gpt-oss-20b"])
def test_more_gpus_hold_less_each_and_no_less_in_all(name: str) -> None:
    sums = [
        (gpus, weights.tensors(model(name), weights.Load(tensor_parallel=gpus)))
        for gpus in (1, 2, 4, 8)
    ]
    each = [size for _, size in sums]
    assert each == sorted(each, reverse=True)
    assert all(gpus * size >= each[0] for gpus, size in sums)


def test_gpus_hold_a_head_of_keys_whole() -> None:
    # Four heads on eight GPUs: each has one, and two of them the same.
    ran = model("Qwen/Qwen3-30B-A3B")
    sizes = [weights.tensors(ran, weights.Load(tensor_parallel=gpus)) for gpus in (4, 8)]
    held = 48 * 2048 * 2 * 128 * 2
    assert sizes[0] - 2 * sizes[1] == pytest.approx(-held - replicated(ran), rel=0.001)


def replicated(ran: facts.Facts) -> int:
    """Returns bytes that each GPU has whole: routers, norms and rotary positions."""
    routers = sum(
        block.count * matrix.parameters
        for block in ran.blocks
        for matrix in block.matrices
        if matrix.split is facts.Split.NONE
    )
    positions = sum(rows * size for rows, size in ran.rotary)
    return 2 * (routers + ran.other_parameters + positions)


def test_slots_cost_what_their_ranks_say() -> None:
    ran = model("Qwen/Qwen2.5-Coder-7B-Instruct")
    plain = weights.tensors(ran, weights.Load())
    two = weights.tensors(ran, weights.Load(adapters=weights.Adapters(2, 16)))
    four = weights.tensors(ran, weights.Load(adapters=weights.Adapters(4, 16)))
    # 0.0752 GiB a slot of rank 16: the sum of inputs and outputs of all modules.
    assert (two - plain) / 2 / GIB == pytest.approx(0.0752, abs=0.0001)
    assert four - plain == 2 * (two - plain)


def test_the_card_decides_how_kernels_pad_mxfp4() -> None:
    gpt_oss = model("openai/gpt-oss-20b")
    hopper, ada, blackwell, unknown = (
        weights.per_gpu(gpt_oss, weights.Load(capability=capability))
        for capability in ((9, 0), (8, 9), (12, 0), None)
    )
    # A hidden size of 2880 is 3072 for Marlin, which is all that a card before Hopper has.
    assert hopper.best < hopper.high < ada.low <= ada.best == blackwell.best
    assert ada.high - ada.low < 0.2 * GIB
    assert unknown.low == hopper.low
    assert unknown.high == blackwell.high


def test_adapters_leave_mxfp4_with_the_kernels_that_take_them() -> None:
    gpt_oss = model("openai/gpt-oss-20b")
    plain = weights.per_gpu(gpt_oss, weights.Load(capability=(9, 0)))
    adapted = weights.per_gpu(gpt_oss, weights.Load(capability=(9, 0), adapted=True))
    assert adapted.low > plain.high
    assert adapted == weights.per_gpu(gpt_oss, weights.Load(capability=(8, 0)))


def test_a_method_without_a_formula_is_an_error() -> None:
    with pytest.raises(weights.UnknownMethodError, match="'torchao'"):
        weights.per_gpu(model("Qwen/Qwen3-8B"), weights.Load(quantization="torchao"))
