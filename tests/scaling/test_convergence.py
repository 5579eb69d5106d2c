"""At any constant load the count comes to rest, within bounds that the claim sets."""

import dataclasses
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests import effort
from tests.scaling import rendered, simulation


@dataclasses.dataclass(frozen=True)
class Case:
    """A claim's scaling, its engines and a load."""

    scaling: dict[str, Any]
    engine: simulation.Engine
    offered: int
    start: int


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Returns claims whose triggers can hold what they ask for.

    That takes a trigger on what runs, with a target that a full replica reaches: the running
    trigger up to maxNumSeqs where sequences bind, the KV trigger up to 1 where the cache does.
    A queue alone cannot, see test_paths.
    """
    sequences = draw(st.integers(1, 256))
    minimum = draw(st.integers(0, 3))
    maximum = draw(st.integers(max(minimum, 1), 8))
    tokens = draw(st.integers(100, 20_000))
    memory_binds = 203_680 // tokens < sequences
    kv_cache = memory_binds or draw(st.booleans())
    scaling: dict[str, Any] = {
        "minReplicas": minimum,
        "maxReplicas": maximum,
        "cooldownSeconds": draw(st.sampled_from((60, 300, 900))),
        "pollingIntervalSeconds": draw(st.sampled_from((5, 15, 60))),
        "triggers": {
            "running": {"target": f"{sequences * draw(st.integers(10, 100)) / 100:.2f}"},
            "kvCache": {"enabled": True, "target": f"{draw(st.integers(10, 100)) / 100:.2f}"}
            if kv_cache
            else {"enabled": False},
            "queue": {"enabled": True, "target": str(draw(st.integers(1, 50)))}
            if draw(st.booleans())
            else {"enabled": False},
        },
    }
    engine = simulation.Engine(
        sequences, sequence_tokens=tokens, cold_start=draw(st.sampled_from((20, 150, 900)))
    )
    capacity = engine.fits * (maximum + 2)
    offered, start = draw(st.integers(0, capacity)), draw(st.integers(0, maximum))
    return Case(scaling, engine, offered, start)


@effort.examples(15, 40)
@given(case=cases())
def test_a_constant_load_has_a_resting_point(case: Case) -> None:
    subject = simulation.World(
        rendered.scaled_object(**case.scaling), case.engine, replicas=case.start
    )
    low, high = case.scaling["minReplicas"], case.scaling["maxReplicas"]
    # Each step up waits for three minutes or for the last one's start; the way down waits for the
    # cooldown and then takes a minute a pod; a woken claim may also fall asleep again.
    rest = high * (180 + case.engine.cold_start) + 2 * case.scaling["cooldownSeconds"] + 600
    subject.run(rest, offered=case.offered)
    assert len(subject.path) <= 3 * high + 2
    settled = subject.clock.now
    subject.run(3600)
    assert subject.changes(settled) == []
    assert all(min(low, case.start) <= count <= high for count in subject.path)
    assert subject.replicas >= low
