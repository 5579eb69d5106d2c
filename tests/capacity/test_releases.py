"""Which rows speak for a version, and that constants predict starts that they are not from."""

import dataclasses

import pytest

from function.capacity import arrangements, facts, fit, releases
from tests.capacity import fitting, measurements

V017, V018, V019 = releases.V017, releases.V018, releases.V019
V1, V2 = releases.V025_V1, releases.V025_V2

DENSE = measurements.model("Qwen/Qwen3-8B")
EXPERTS = measurements.model("Qwen/Qwen3-30B-A3B")


def state() -> facts.Facts:
    mixer = facts.Mixer(facts.Mixing.STATE, state=1, state_bytes=4)
    return dataclasses.replace(DENSE, blocks=(facts.Block(1, mixer, facts.Network(1)),))


@pytest.mark.parametrize(
    ("version", "model", "runner", "rows", "widening", "note"),
    [
        ("0.25.1", DENSE, None, (V2,), 0, ""),
        ("v0.25.0", DENSE, None, (V2,), 0, ""),
        ("0.25.1+cu130", DENSE, None, (V2,), 0, ""),
        ("0.25.1", DENSE, "V1", (V1,), 0, ""),
        ("0.25.1", EXPERTS, None, (V1,), 0, ""),
        ("0.25.1", measurements.model("openai/gpt-oss-20b"), None, (V1,), 0, ""),
        ("0.25.1", measurements.model("deepseek-ai/DeepSeek-V2-Lite"), None, (V2,), 0, ""),
        ("0.25.1", measurements.model("Qwen/Qwen3-Embedding-0.6B"), None, (V1,), 0, ""),
        # Nobody measured which runner a recurrent model gets.
        ("0.25.1", state(), None, (V1, V2), 0, ""),
        ("0.19.0", DENSE, None, (V019,), 0, ""),
        # 0.19 has no V2.
        ("0.19.0", DENSE, "V2", (V019,), 0, ""),
        ("0.18.1", DENSE, None, (V018,), 0, ""),
        ("0.17", DENSE, None, (V017,), 0, ""),
        ("0.20.0", DENSE, None, (V019, V2), 0, "covers 0.19 and 0.25"),
        ("0.24.1", EXPERTS, None, (V1, V019), 0, "covers 0.19 and 0.25"),
        ("0.16.0", DENSE, None, (releases.V016,), 0, ""),
        ("0.14.0", DENSE, None, (releases.V015,), 0.3, "older than all that were measured"),
        ("0.33.0", DENSE, None, (V2,), 0.3, "newer than all that were measured"),
        ("1.0.0", EXPERTS, None, (V1,), 0.3, "newer than all that were measured"),
    ],
)
def test_rows_of_a_version(
    version: str,
    model: facts.Facts,
    runner: str | None,
    rows: tuple[releases.Behaviour, ...],
    widening: float,
    note: str,
) -> None:
    reading = releases.readings(version, model, runner)
    assert (reading.behaviours, reading.widening) == (rows, widening)
    assert (note in reading.note) if note else not reading.note


@pytest.mark.parametrize("version", ["", "latest", "0", "0.x", "nightly-0.25.1"])
def test_no_release(version: str) -> None:
    with pytest.raises(ValueError, match=r"version: .* is no release of vLLM; give one such as"):
        releases.readings(version, DENSE)


def test_no_runner() -> None:
    with pytest.raises(ValueError, match="runner: 'V3' is no model runner; give V1 or V2"):
        releases.readings("0.25.1", DENSE, "V3")


def of(version: str) -> fit.Fit:
    start = next(start for start in measurements.starts("0.25.1") if start.name == "R3-cold")
    arrangement = dataclasses.replace(start.arrangement, version=version)
    return fit.fit(start.model, start.card, arrangement, start.weights)


@pytest.mark.parametrize(
    ("version", "gib"), [("0.15.0", 5.64), ("0.16.0", 5.64), ("0.17.0", 2.23), ("0.18.0", 2.23)]
)
def test_activations_of_older_releases(version: str, gib: float) -> None:
    # Qwen3-14B, S = 1024, T = 8192.
    asked = arrangements.Arrangement(version, 8192, 1024, 0.95)
    model = measurements.model("Qwen/Qwen3-14B")
    answer = fit.fit(model, measurements.CARDS["H100-SXM-80GB"], asked)
    assert answer.size(fit.Part.ACTIVATIONS).best / fit.GIB == pytest.approx(gib, abs=0.02)


@pytest.mark.parametrize("version", ["0.22.0", "0.33.0", "0.12.0"])
def test_an_unmeasured_version_has_a_wider_answer(version: str) -> None:
    answer, measured = of(version), of("0.25.1")
    assert answer.note
    width = answer.available.high - answer.available.low
    assert width > 1.5 * (measured.available.high - measured.available.low)


def test_a_version_between_holds_both_neighbours() -> None:
    answer = of("0.22.0").available
    for neighbour in ("0.19.0", "0.25.1"):
        assert answer.low <= of(neighbour).available.low
        assert answer.high >= of(neighbour).available.high


CONSTANTS = fitting.constants()


@pytest.mark.parametrize("constant", CONSTANTS, ids=lambda constant: constant.name)
def test_the_constant_is_the_measured_one(constant: fitting.Constant) -> None:
    assert len(constant.samples) >= 2
    inside = [sample for sample in constant.samples if constant.used.holds(sample.value)]
    assert len(inside) >= 0.95 * len(constant.samples)


@pytest.mark.parametrize("constant", CONSTANTS, ids=lambda constant: constant.name)
def test_a_model_is_predicted_by_all_others(constant: fitting.Constant) -> None:
    for sample in constant.samples:
        assert constant.used.holds(constant.others(sample))
        assert abs(constant.error(sample)) < 0.025, sample.start.name
