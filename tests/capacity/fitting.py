"""Each fitted constant of `releases`, worked out again from the starts that it was fitted on.

`implied` inverts the formula for one start. A fitted constant holds for a start that it was not
fitted on when the mean of all other models' starts predicts it.
"""

import dataclasses
import statistics
from collections.abc import Callable, Iterator

from function.capacity import activations, fit, interval, releases
from tests.capacity import measurements

GIB = measurements.GIB
MIB = 1024**2


@dataclasses.dataclass(frozen=True)
class Sample:
    """What one start says about a constant.

    Attributes:
        start: The start.
        value: The constant, by this start alone.
        leverage: Bytes of memory for each unit of the constant.
    """

    start: measurements.Start
    value: float
    leverage: float


@dataclasses.dataclass(frozen=True)
class Constant:
    """A fitted constant.

    Attributes:
        name: In words.
        unit: Of its value.
        used: Interval that the product uses.
        samples: What each start says.
    """

    name: str
    unit: str
    used: interval.Interval
    samples: tuple[Sample, ...]

    def others(self, sample: Sample) -> float:
        """The mean of all samples but those of the same model; of other starts for one model."""
        rest = [other for other in self.samples if other.start.model != sample.start.model]
        rest = rest or [other for other in self.samples if other is not sample]
        return statistics.mean(other.value for other in rest)

    def error(self, sample: Sample) -> float:
        """The error of the start's cache, as a share, with the constant of all others."""
        off = (self.others(sample) - sample.value) * sample.leverage
        return off / sample.start.available


def constants() -> tuple[Constant, ...]:
    """All fitted constants."""
    old, two, one = releases.V019, releases.V025_V2, releases.V025_V1
    return (
        _of("logits, 0.19", "B", old.logits, old, _logits),
        _of("logits, 0.25 (V1)", "B", one.logits, one, _logits),
        _of("process, 0.19", "GiB", old.process, old, _process(1)),
        _of("process, 0.25 (V2)", "GiB", two.process, two, _process(1)),
        _of("process, 0.25 (V1)", "GiB", one.process, one, _process(1)),
        _of("process and two GPUs, 0.19", "GiB", _pair(old), old, _process(2)),
        _of("process and four GPUs, 0.19", "GiB", _pair(old, 4), old, _process(4)),
        _of("process and two GPUs, 0.25 (V2)", "GiB", _pair(two), two, _process(2)),
        _of("graphs set aside, 0.25 (V1)", "MiB", one.estimate, one, _estimate),
    )


def _pair(behaviour: releases.Behaviour, gpus: int = 2) -> interval.Interval:
    return behaviour.process + behaviour.between(gpus)


def _of(
    name: str,
    unit: str,
    used: interval.Interval,
    behaviour: releases.Behaviour,
    implied: Callable[[measurements.Start, releases.Behaviour], tuple[float, float] | None],
) -> Constant:
    samples = tuple(
        Sample(start, *result)
        for start in _starts(behaviour)
        if (result := implied(start, behaviour)) is not None
    )
    return Constant(name, unit, used, samples)


def _starts(behaviour: releases.Behaviour) -> Iterator[measurements.Start]:
    """Starts of one behaviour, without pipelines and the class with a constant of its own."""
    for version in ("0.19", "0.25.1"):
        for start in measurements.starts(version):
            asked = start.arrangement
            rows = releases.readings(asked.version, start.model, asked.runner).behaviours
            granite = start.model.architecture == "GraniteForCausalLM"
            if rows == (behaviour,) and asked.pipeline == 1 and not granite:
                yield start


def _logits(start: measurements.Start, behaviour: releases.Behaviour) -> tuple[float, float] | None:
    """Where the sampler decides, takes enough to be told from the rest, and no tower is near."""
    leverage = start.arrangement.sequences * start.model.vocabulary
    here = behaviour.logits.best
    if start.model.tower_parameters or here * leverage < 0.1 * GIB:
        return None

    def peak(logits: float) -> float:
        row = dataclasses.replace(behaviour, logits=interval.exactly(logits))
        return activations.peak(start.model, start.arrangement, start.card, row).best

    if peak(here) - peak(here - 0.5) < 0.49 * leverage:
        return None
    return here + (start.activations - peak(here)) / leverage, leverage


def _process(
    gpus: int,
) -> Callable[[measurements.Start, releases.Behaviour], tuple[float, float] | None]:
    def implied(
        start: measurements.Start, behaviour: releases.Behaviour
    ) -> tuple[float, float] | None:
        if start.arrangement.tensor != gpus:
            return None
        return start.process / GIB, GIB

    return implied


def _estimate(
    start: measurements.Start, behaviour: releases.Behaviour
) -> tuple[float, float] | None:
    sizes = start.model.layers * fit.captures(start.model, start.arrangement)
    return start.reserved / MIB / sizes, sizes * MIB
