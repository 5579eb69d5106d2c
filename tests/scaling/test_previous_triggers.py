"""The model shows the faults of 0.9.0's triggers in the same world."""

import copy
import functools
import pathlib
from typing import Any

import pytest

from tests import documents
from tests.scaling import rendered, simulation

HOUR = 3600


FIXTURE = pathlib.Path(__file__).parents[1] / "fixtures/0.9.0/qwen-coder.yaml"


@functools.cache
def rendered_then() -> dict[str, Any]:
    """Returns the ScaledObject that 0.9.0 left in the cluster."""
    recorded = documents.parse_all(FIXTURE.read_text(encoding="utf-8"))
    (manifest,) = (d for d in recorded if d and d["kind"] == "ScaledObject")
    assert isinstance(manifest, dict)
    return manifest


def previous(*indexes: int) -> dict[str, Any]:
    """Returns the ScaledObject of 0.9.0 with some of its triggers and at most five replicas."""
    result = copy.deepcopy(rendered_then())
    result["spec"]["maxReplicaCount"] = 5
    result["spec"]["triggers"] = [result["spec"]["triggers"][index] for index in indexes]
    return result


RUNNING, KV_CACHE, QUEUE = 0, 1, 2


@pytest.mark.pitfall("busy and KV triggers never ask for more than two replicas")
@pytest.mark.parametrize("offered", [60, 100, 200, 400])
@pytest.mark.parametrize("index", [RUNNING, KV_CACHE])
def test_a_maximum_of_shares_stalls_at_two(index: int, offered: int) -> None:
    """A share is at most 1, so ceil(1 / 0.7) is the most that it can ask for."""
    engine = simulation.Engine(32, sequence_tokens=203_680 // 32, cold_start=150)
    subject = simulation.World(previous(index), engine).run(2 * HOUR, offered=offered)
    assert subject.path == [1, 2]


@pytest.mark.parametrize("offered", [100, 200])
def test_and_all_three_together_never_come_to_rest(offered: int) -> None:
    """The longest queue asks for five replicas, is empty once they run, and leaves two again."""
    engine = simulation.Engine(32, cold_start=150)
    subject = simulation.World(previous(RUNNING, KV_CACHE, QUEUE), engine)
    subject.run(4 * HOUR, offered=offered)
    assert len(subject.changes(2 * HOUR)) > 10
    now = simulation.World(rendered.scaled_object(), engine).run(4 * HOUR, offered=offered)
    assert now.changes(2 * HOUR) == []


def test_two_claims_of_one_name_scaled_together() -> None:
    """0.9.0 read every pod that served a model of that name, in any namespace."""
    old, new = previous(RUNNING), rendered.scaled_object()
    for scaled_object, path in ((old, [1, 2]), (new, [1])):
        subject = simulation.World(scaled_object, simulation.Engine(32))
        neighbour = {**subject.identity, "namespace": "another", "pod": "theirs"}
        subject.neighbours = [simulation.gauge("vllm:num_requests_running", neighbour, 32)]
        assert subject.run(HOUR, offered=1).path == path
