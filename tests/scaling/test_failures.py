"""A metrics server or an exporter that says nothing is not a claim without traffic."""

import copy
import itertools
from typing import Any

import pytest

from tests.scaling import rendered, simulation

HOUR = 3600
FULL = 110


def at_five(**scaling: Any) -> simulation.World:
    """Returns a world in which five replicas serve a steady load."""
    engine = simulation.Engine(32, cold_start=150)
    subject = simulation.World(rendered.scaled_object(**scaling), engine)
    subject.run(HOUR, offered=FULL)
    assert subject.replicas == 5
    return subject


@pytest.mark.pitfall("the scaler is down and the service falls to one replica")
def test_a_dead_metrics_server_changes_nothing() -> None:
    subject = at_five()
    died = subject.clock.now
    subject.server.answers = False
    subject.run(2 * HOUR)
    assert subject.changes(died) == []
    assert subject.keda.falls_back


def test_a_metrics_server_that_comes_back_to_no_load_goes_down_by_one_a_minute() -> None:
    subject = at_five()
    subject.server.answers = False
    subject.run(2 * HOUR, offered=0)
    assert subject.replicas == 5
    subject.server.answers = True
    back = subject.clock.now
    subject.run(HOUR)
    assert not subject.keda.falls_back
    assert [count for _, count in subject.changes(back)] == [4, 3, 2, 1]
    times = [at for at, _ in subject.changes(back)]
    # The fallback asked for five until the end: the window counts from there.
    assert times[0] - back >= 300 - 15
    assert all(60 <= later - earlier <= 75 for earlier, later in itertools.pairwise(times))


def test_a_metrics_server_that_comes_back_to_the_same_load_changes_nothing() -> None:
    subject = at_five()
    died = subject.clock.now
    subject.server.answers = False
    subject.run(HOUR)
    subject.server.answers = True
    subject.run(HOUR)
    assert subject.changes(died) == []


def test_a_short_outage_is_over_before_the_fallback_starts() -> None:
    subject = at_five()
    died = subject.clock.now
    subject.server.answers = False
    subject.run(14)
    assert not subject.keda.falls_back
    subject.server.answers = True
    subject.run(HOUR)
    assert subject.changes(died) == []


@pytest.mark.pitfall("a trigger dies after an engine upgrade: metrics were renamed")
def test_dead_exporters_are_not_an_idle_claim() -> None:
    subject = at_five()
    died = subject.clock.now
    subject.exporters_answer = False
    subject.run(2 * HOUR)
    assert subject.changes(died) == []


def test_with_nulls_ignored_the_same_outage_would_take_four_replicas() -> None:
    """What `ignoreNullValues: "false"` is for: KEDA's default reads the silence as zero."""
    subject = at_five()
    broken = copy.deepcopy(rendered.scaled_object())
    for trigger in broken["spec"]["triggers"]:
        trigger["metadata"]["ignoreNullValues"] = "true"
    subject.apply(broken)
    subject.exporters_answer = False
    assert subject.run(2 * HOUR).replicas == 1


@pytest.mark.parametrize("minimum", [1, 2])
def test_a_first_replica_that_loads_for_long_is_left_alone(minimum: int) -> None:
    """Without a ready pod there is no series: the fallback asks for what is there."""
    engine = simulation.Engine(32, cold_start=1500)
    subject = simulation.World(rendered.scaled_object(minReplicas=minimum), engine, replicas=0)
    subject.run(1500, offered=50)
    assert subject.path == [0, minimum]


def test_the_fallback_never_asks_for_less_than_one() -> None:
    for minimum in (0, 1, 3):
        fallback = rendered.scaled_object(minReplicas=minimum)["spec"]["fallback"]
        assert fallback == {
            "failureThreshold": 4,
            "replicas": max(minimum, 1),
            "behavior": "currentReplicasIfHigher",
        }
