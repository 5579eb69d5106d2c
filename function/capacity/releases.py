"""What each release of vLLM takes of a GPU's memory beside weights and cache.

The release and its model runner decide. A table holds what was measured; `readings` picks the rows
for a version. Sources: [H200] and [TP], own runs of vLLM 0.25.1 on an H200 and on H100s; [PLANNER],
logs of 59 starts of vLLM 0.19 on H100s (llm-d-planner, pull request 205). `docs/accuracy.md` has
the residuals of all of them.
"""

import dataclasses
import enum
import re

from function.capacity import facts, interval
from function.capacity.interval import Interval

GIB = 1024**3
MIB = 1024**2


class ModelRunner(enum.StrEnum):
    """vLLM's model runners."""

    V1 = "V1"
    V2 = "V2"


@dataclasses.dataclass(frozen=True)
class Behaviour:
    """What one runner of one release takes. GiB, unless a name says otherwise.

    Attributes:
        release: Major and minor version.
        runner: The model runner.
        logits: Bytes for each sequence and row of the vocabulary, while the engine tries its
            sampler on `max_num_seqs` requests, for a 16-bit model.
        matmul: Workspace of matrix multiplications in 16 bit.
        process: What the process takes beside the allocator, of the engine's budget, on one GPU.
        communication: The same for buffers between GPUs, by tensor parallel size.
        staged: What the process takes instead, on the last stage of a pipeline.
        outside: What communication between GPUs takes beside the budget, of a dense model.
        outside_experts: The same for a model with experts.
        estimate: MiB that the engine sets aside for CUDA graphs, for each layer and size.
        graphs: MiB that CUDA graphs take beside the budget, for each layer and size.
        graphs_routed: The same for models with experts or latent attention.
        residual: What is measured above the formulas.
        padding: Groups of layers are made as large as the largest when it is below so many times
            the smallest.
    """

    release: tuple[int, int]
    runner: ModelRunner
    logits: Interval
    matmul: Interval
    process: Interval
    communication: tuple[tuple[int, Interval], ...]
    staged: Interval
    outside: Interval
    outside_experts: Interval
    estimate: Interval
    graphs: Interval
    graphs_routed: Interval
    residual: Interval
    padding: float = 1.5

    @property
    def name(self) -> str:
        """Release and runner, for people."""
        return f"vLLM {self.release[0]}.{self.release[1]} ({self.runner})"

    def between(self, tensor: int) -> Interval:
        """GiB of the budget that go to communication between so many GPUs."""
        if tensor == 1:
            return interval.ZERO
        sizes = dict(self.communication)
        return sizes.get(tensor, self.communication[-1][1])


# [TP]: device use at the first snapshot is 1.468 GiB at TP=2 and 1.470 at TP=4, 1.942 for experts,
# against 0.514 at TP=1. [PLANNER] has 1.53 and 2.01 for the same.
_OUTSIDE = Interval(0.94, 0.96, 1.04)
_OUTSIDE_EXPERTS = Interval(1.40, 1.43, 1.57)

V019 = Behaviour(
    release=(0, 19),
    runner=ModelRunner.V1,
    # [PLANNER]: residual of the activations of 24 dense starts with S = 1024 is 0.03 GiB at most.
    logits=Interval(14.2, 14.45, 14.7),
    # Two cuBLAS workspaces of 32 MiB, the size for Hopper.
    matmul=Interval(1 / 32, 1 / 16, 3 / 32),
    process=Interval(0.23, 0.25, 0.28),
    communication=((2, Interval(1.80, 1.83, 1.87)), (4, Interval(1.87, 1.92, 1.97))),
    # [PLANNER]: 0.07 on the first stage; the last, which samples, has the fewer blocks.
    staged=Interval(0.15, 0.2, 0.25),
    outside=_OUTSIDE,
    outside_experts=_OUTSIDE_EXPERTS,
    estimate=interval.ZERO,
    graphs=Interval(0.35, 0.5, 0.66),
    graphs_routed=Interval(0.55, 0.75, 1.2),
    residual=Interval(-0.03, 0, 0.08),
)
# [PLANNER] has Qwen3-14B on older releases too: the process took 0.13 GiB up to 0.17 and 0.25 from
# 0.18; activations were 2.23 GiB in 0.17 and 0.18, which is 0.19's formula, and 5.64 in 0.15, 0.16.
V018 = dataclasses.replace(V019, release=(0, 18))
V017 = dataclasses.replace(V019, release=(0, 17), process=Interval(0.1, 0.13, 0.28))
V016 = dataclasses.replace(V017, release=(0, 16), logits=Interval(14.2, 37.9, 42))
V015 = dataclasses.replace(V016, release=(0, 15))

V025_V2 = Behaviour(
    release=(0, 25),
    runner=ModelRunner.V2,
    # [H200]: logits in 16 bit and in float32; residual 0.001 GiB on dense models.
    logits=Interval(6, 6, 6.1),
    matmul=Interval(0, 1 / 32, 1 / 16),
    process=Interval(0.224, 0.225, 0.24),
    communication=((2, Interval(0.31, 0.316, 0.36)),),
    staged=Interval(0.07, 0.225, 0.25),
    outside=_OUTSIDE,
    outside_experts=_OUTSIDE_EXPERTS,
    # V2 does not estimate: its graphs are all beside the budget.
    estimate=interval.ZERO,
    graphs=Interval(0.2, 0.32, 0.66),
    graphs_routed=Interval(0.2, 0.4, 0.8),
    residual=Interval(-0.015, 0, 0.06),
)
V025_V1 = dataclasses.replace(
    V025_V2,
    runner=ModelRunner.V1,
    logits=Interval(14.2, 15.2, 15.6),
    matmul=Interval(1 / 32, 1 / 16, 3 / 32),
    process=Interval(0.23, 0.24, 0.25),
    communication=((2, Interval(0.31, 0.344, 0.36)),),
    # [H200], [TP]: 0.082 GiB for 36 layers and 11 sizes, 0.145 for 48 and 19, 0.490 for 48 and 51,
    # 0.482 for 24 and 83.
    estimate=Interval(0.16, 0.205, 0.25),
)

MEASURED = (V015, V016, V017, V018, V019, V025_V2, V025_V1)

# [H200]: classes with experts that V2 runs; it runs every dense model that generates.
_V2_EXPERTS = ("DeepseekV2ForCausalLM", "Qwen2MoeForCausalLM", "GraniteMoeForCausalLM")
# [PLANNER]: the three starts of this class had 0.46 GiB where all others had 0.24..0.28. Why is not
# known, and 0.25 was not measured.
_PROCESS_OF_GRANITE = Interval(0, 0.21, 0.23)
_GRANITE = "GraniteForCausalLM"


@dataclasses.dataclass(frozen=True)
class Reading:
    """What is known of a version.

    Attributes:
        behaviours: The rows of the table that apply; the first is the nearest. The interval of an
            answer covers all of them.
        widening: How much more a version can take than its rows, as a share; 0 for a measured one.
        note: What a reader has to know about the source, or an empty text.
    """

    behaviours: tuple[Behaviour, ...]
    widening: float = 0
    note: str = ""


# An unmeasured version is taken to be off by so much of activations, process and graphs.
_UNMEASURED = 0.3


def parse(version: str) -> tuple[int, int]:
    """Returns major and minor version.

    Raises:
        ValueError: The text is no release.
    """
    written = re.fullmatch(r"v?(\d{1,6})\.(\d{1,6})(?:[.\-+].{0,100})?", version)
    if written is None:
        raise ValueError(f"version: {version!r} is no release of vLLM; give one such as 0.25.1")
    return int(written[1]), int(written[2])


def _distance(release: tuple[int, int], wanted: tuple[int, int]) -> int:
    return abs((release[0] - wanted[0]) * 1000 + release[1] - wanted[1])


def _releases(wanted: tuple[int, int]) -> tuple[list[tuple[int, int]], float, str]:
    """Which measured releases speak for a version, nearest first."""
    releases = sorted({behaviour.release for behaviour in MEASURED})
    text = f"{wanted[0]}.{wanted[1]}"
    if wanted in releases:
        return [wanted], 0, ""
    older = [release for release in releases if release < wanted]
    newer = [release for release in releases if release > wanted]
    if older and newer:
        pair = sorted((older[-1], newer[0]), key=lambda release: _distance(release, wanted))
        low, high = older[-1], newer[0]
        note = (
            f"vLLM {text} was not measured: the answer covers"
            f" {low[0]}.{low[1]} and {high[0]}.{high[1]}"
        )
        return pair, 0, note
    nearest = (older or newer)[-1 if older else 0]
    side = "newer" if older else "older"
    note = (
        f"vLLM {text} is {side} than all that were measured: the answer is"
        f" {nearest[0]}.{nearest[1]}'s with a wider error"
    )
    return [nearest], _UNMEASURED, note


def _runners(model: facts.Facts, wanted: str | None) -> tuple[ModelRunner, ...]:
    """Runners that a release with both may use for a model, likeliest first."""
    if wanted is not None:
        return (ModelRunner(wanted),)
    if model.runner is facts.Runner.POOLING:
        return (ModelRunner.V1,)
    if facts.Mixing.STATE in model.mixes:
        # Not measured: the release may use either.
        return (ModelRunner.V1, ModelRunner.V2)
    if model.experts and model.architecture not in _V2_EXPERTS:
        return (ModelRunner.V1,)
    return (ModelRunner.V2,)


def readings(version: str, model: facts.Facts, runner: str | None = None) -> Reading:
    """Returns what is known of a version for a model.

    A version between two measured ones gets both, and a version beside all of them the nearest with
    a wider error. `note` says so.

    Args:
        version: Release, such as 0.25.1; patch releases behave as their minor.
        model: Which model; the runner depends on it.
        runner: `V1` or `V2` when it is forced (`VLLM_USE_V2_MODEL_RUNNER`).

    Raises:
        ValueError: The version is no release, or the runner none of vLLM's.
    """
    if runner is not None and runner not in list(ModelRunner):
        raise ValueError(f"runner: {runner!r} is no model runner; give V1 or V2, or leave it out")
    releases, widening, note = _releases(parse(version))
    behaviours: list[Behaviour] = []
    for release in releases:
        rows = {row.runner: row for row in MEASURED if row.release == release}
        chosen = [rows[name] for name in _runners(model, runner) if name in rows]
        behaviours += chosen or rows.values()
    return Reading(tuple(behaviours), widening, note)


def process(behaviour: Behaviour, model: facts.Facts, tensor: int, pipeline: int) -> Interval:
    """Returns bytes of the budget that the process takes beside torch's allocator."""
    taken = behaviour.process if pipeline == 1 else behaviour.staged
    if model.architecture == _GRANITE:
        added = _PROCESS_OF_GRANITE
        # Measured before 0.25 alone: a newer release may have it or not.
        measured = behaviour.release <= (0, 19)
        taken += Interval(added.best - 0.02 if measured else 0, added.best, added.high)
    return (taken + behaviour.between(tensor)) * GIB


def beside(behaviour: Behaviour, model: facts.Facts, tensor: int, pipeline: int) -> Interval:
    """Returns bytes that communication between GPUs takes beside the engine's budget."""
    if tensor * pipeline == 1:
        return interval.ZERO
    return (behaviour.outside_experts if model.experts else behaviour.outside) * GIB
