"""The timeline of a replica's first start, from the node to the first answer.

A step that nobody measured and nobody gave a figure for is there without seconds: unknown.
"""

import dataclasses
import enum
from collections.abc import Sequence

from function.capacity import estimates

_M, _P, _N = estimates.Grade


class Stage(enum.StrEnum):
    """What a start waits for, in this order."""

    NODE = "node"
    """The cluster adds a node."""
    IMAGE = "image"
    """The node pulls and unpacks the engine's image."""
    PULL = "pull"
    """The node pulls and unpacks the image of the weights."""
    DOWNLOAD = "download"
    """The Job fetches the weights from the hub."""
    VERIFY = "verify"
    """The Job hashes them; what of it is left when the last byte has come."""
    PROCESS = "process"
    """Python imports the engine; CUDA, the GPUs of a replica and the API server come up."""
    LOAD = "load"
    """The engine reads the weights from where they lie."""
    COMPILE = "compile"
    """The engine compiles the model and measures its memory."""
    GRAPHS = "graphs"
    """The engine captures CUDA graphs and warms up."""


@dataclasses.dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        stage: Which.
        seconds: How long, or None when unknown.
        missing: What would make it known, or an empty text.
    """

    stage: Stage
    seconds: estimates.Estimate | None
    missing: str = ""


@dataclasses.dataclass(frozen=True)
class Timeline:
    """A start.

    Attributes:
        steps: One after the other.
    """

    steps: tuple[Step, ...]

    @property
    def total(self) -> estimates.Estimate:
        """The sum of the steps that are known: at least so long."""
        return estimates.total([step.seconds for step in self.steps if step.seconds is not None])

    @property
    def unknown(self) -> tuple[Step, ...]:
        """Steps without a figure."""
        return tuple(step for step in self.steps if step.seconds is None)


@dataclasses.dataclass(frozen=True)
class Given:
    """What is known of a start.

    Attributes:
        layers: Layers of the model, or None where nobody knows it.
        experts: True when the model has experts.
        checkpoint_gib: GiB of the weights' files, or None.
        tensor_parallel: GPUs of a replica.
        eager: True when the engine neither compiles nor captures graphs.
        compiled: True when a compile cache of an earlier start is there.
        downloaded: True when the weights lie verified on the volume.
        node_ready: True when a node with free GPUs is there.
        image_ready: True when the image is on the node.
        node_seconds: Least, likely and most seconds in which the cluster adds a node, or None.
        pull_mib: MiB/s at which a node pulls and unpacks images, or None.
        hub_mib: MiB/s at which the Job downloads, or None.
        volume_mib: MiB/s at which a pod reads the weights from where they lie, or None.
        volume_setting: The setting that says so.
        weights_pull: True when the weights are an image that the node has to pull.
        weights_pull_mib: MiB/s at which it does (`weights.imagePullMiB`), or None.
        timed: False for an engine whose starts nobody timed: it reads its weights, and what else it
            does nobody knows.
        on_gpus: False for a node without GPUs.
    """

    layers: int | None
    experts: bool = False
    checkpoint_gib: float | None = None
    tensor_parallel: int = 1
    eager: bool = False
    compiled: bool = False
    downloaded: bool = False
    node_ready: bool = False
    image_ready: bool = False
    node_seconds: tuple[float, float, float] | None = None
    pull_mib: float | None = None
    hub_mib: float | None = None
    volume_mib: float | None = None
    volume_setting: str = "weights.bandwidthMiB"
    weights_pull: bool = False
    weights_pull_mib: float | None = None
    timed: bool = True
    on_gpus: bool = True


def timeline(given: Given) -> Timeline:
    """Returns the steps of a start, of which those that are over already are absent.

    Raises:
        ValueError: A rate is not above zero.
    """
    for field in ("pull_mib", "hub_mib", "volume_mib", "weights_pull_mib"):
        rate = getattr(given, field)
        if rate is not None and rate <= 0:
            raise ValueError(f"{field}: {rate} MiB/s must be above 0, or None where unknown")
    steps: list[Step] = []
    if not given.node_ready:
        steps.append(_node(given))
    if not given.image_ready:
        steps.append(_image(given))
    if given.weights_pull:
        steps.append(_pull(given))
    if not given.downloaded:
        steps += [_download(given), _verify(given)]
    if not given.timed:
        untimed = Step(Stage.PROCESS, None, "a start of this engine that somebody timed")
        return Timeline((*steps, untimed, _load(given)))
    return Timeline((*steps, _process(given), _load(given), _compile(given), _graphs(given)))


_IMAGE_MIB = (9_000.0, 10_500.0, 12_000.0)
"""Compressed vLLM images, as users report them (9 to 12 GB)."""
_HUB_MIB = (95.0, 400.0, 950.0)
"""Downloads that engines logged on hosts of a cloud: 0.1 to 1 GB/s."""
_HASH_MIB = (350.0, 980.0, 1_800.0)
"""SHA-256 by one core: without instructions for it; measured on a cloud's core; the fastest."""
_LOAD_BAND = 0.3
_RUNS = "56 starts of vLLM 0.19 on H100 and own starts of 0.25.1 on H100 and H200"


def _node(given: Given) -> Step:
    if given.node_seconds is None:
        gpus = " with GPUs" if given.on_gpus else ""
        return Step(Stage.NODE, None, f"how long the cluster takes to add a node{gpus}")
    low, best, high = given.node_seconds
    return Step(Stage.NODE, estimates.Estimate(low, best, high, _P, "as given"))


def _image(given: Given) -> Step:
    if given.pull_mib is None:
        return Step(Stage.IMAGE, None, "the rate at which nodes pull and unpack images")
    source = "an image of 9 to 12 GB, as users report it, at the rate that was given"
    return Step(Stage.IMAGE, _quotient(_IMAGE_MIB, (given.pull_mib,) * 3, _P, source))


def _pull(given: Given) -> Step:
    if given.checkpoint_gib is None:
        return Step(Stage.PULL, None, "the size of the weights")
    if given.weights_pull_mib is None:
        return Step(Stage.PULL, None, "weights.imagePullMiB in the settings")
    source = "the size by weights.imagePullMiB of the settings"
    rates = (given.weights_pull_mib,) * 3
    return Step(Stage.PULL, _quotient(_same(given.checkpoint_gib), rates, _P, source))


def _download(given: Given) -> Step:
    if given.checkpoint_gib is None:
        return Step(Stage.DOWNLOAD, None, "the size of the weights")
    if given.hub_mib is not None:
        rates = (given.hub_mib,) * 3
        seconds = _quotient(_same(given.checkpoint_gib), rates, _P, "at the rate that was given")
        return Step(Stage.DOWNLOAD, seconds)
    source = "at the rates of 10 downloads that engines logged, 0.1 to 1 GB/s"
    return Step(Stage.DOWNLOAD, _quotient(_same(given.checkpoint_gib), _HUB_MIB, _P, source))


def _verify(given: Given) -> Step:
    if given.checkpoint_gib is None:
        return Step(Stage.VERIFY, None, "the size of the weights")
    source = "what SHA-256 by one core takes longer than the download beside it"
    hashing = _quotient(_same(given.checkpoint_gib), _HASH_MIB, _P, source)
    download = _download(given).seconds or hashing
    return Step(
        Stage.VERIFY,
        estimates.Estimate(
            max(0.0, hashing.low - download.high),
            max(0.0, hashing.best - download.best),
            max(0.0, hashing.high - download.low),
            _P,
            source,
        ),
    )


def _process(given: Given) -> Step:
    """Ready, less loading and the engine's own start: 20 to 38 s, with images or sound to 63 s."""
    numbers = (20.0, 22.0, 63.0) if given.tensor_parallel == 1 else (33.0, 37.0, 65.0)
    return Step(Stage.PROCESS, estimates.Estimate(*numbers, _M, _RUNS))


def _load(given: Given) -> Step:
    if given.checkpoint_gib is None:
        return Step(Stage.LOAD, None, "the size of the weights")
    if given.volume_mib is None:
        return Step(Stage.LOAD, None, f"{given.volume_setting} in the settings")
    best = given.checkpoint_gib * 1024 / given.volume_mib
    return Step(
        Stage.LOAD,
        # Half a second to three: building the model, measured with weights that are not read.
        estimates.Estimate(
            best / (1 + _LOAD_BAND) + 0.5,
            best + 1.6,
            best * (1 + _LOAD_BAND) + 3,
            _P,
            f"the size by {given.volume_setting} of the settings",
        ),
    )


_WARM_COMPILE = (1.5, 5.5, 10.0)
_COMPILE_SECONDS = 7.0
_COMPILE_LAYER = 0.411
"""Least squares over 39 cold starts of vLLM 0.19 with one GPU: mean error 7 %."""
_COMPILE_GPU = 2.2
"""More for each further GPU of a replica, the same logs."""
_COMPILE_NEWER = 1.2
"""What 0.25.1 takes more: 31.8 s for the 36 layers of Qwen3-8B fp8 alone on a host, and 26 to 62 s
with two to four starts at once."""


# What nobody knows of a model that nobody knows.
_LAYERS = "the model's layers"


def _compile(given: Given) -> Step:
    if given.compiled or given.eager:
        return Step(Stage.COMPILE, estimates.Estimate(*_WARM_COMPILE, _M, _RUNS))
    if given.layers is None:
        return Step(Stage.COMPILE, None, _LAYERS)
    old = (
        _COMPILE_SECONDS
        + _COMPILE_LAYER * given.layers
        + _COMPILE_GPU * (given.tensor_parallel - 1)
    )
    return Step(
        Stage.COMPILE,
        estimates.Estimate(0.6 * old, _COMPILE_NEWER * old, 2.9 * old, _M, _RUNS),
    )


def _graphs(given: Given) -> Step:
    if given.eager:
        return Step(Stage.GRAPHS, estimates.Estimate(0.0, 1.0, 3.0, _P, "no graphs: warm-up alone"))
    if given.layers is None:
        return Step(Stage.GRAPHS, None, _LAYERS)
    numbers = (10.0, 14.0, 31.0) if given.experts else (2.0, 10.0, 27.0)
    return Step(Stage.GRAPHS, estimates.Estimate(*numbers, _M, _RUNS))


def _same(gib: float) -> Sequence[float]:
    return (gib * 1024,) * 3


def _quotient(
    sizes: Sequence[float], rates: Sequence[float], grade: estimates.Grade, source: str
) -> estimates.Estimate:
    """Returns seconds for sizes from the least on, at rates from the least on."""
    return estimates.Estimate(
        sizes[0] / rates[2], sizes[1] / rates[1], sizes[2] / rates[0], grade, source
    )
