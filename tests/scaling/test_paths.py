"""Up under load, steady under the same load, back when it ends: each trigger, each example."""

import itertools
import math

import pytest

from tests.scaling import rendered, simulation

HOUR = 3600
TARGETS = {"running": 0.7, "kvCache": 0.6}


def world(
    name: str, trigger: str, site: str = rendered.REFERENCE, cold_start: float = 150
) -> simulation.World:
    """Returns a world in which one trigger is on, and engines on which it can bind."""
    sequences = rendered.max_num_seqs(name)
    tokens = 203_680 // sequences if trigger == "kvCache" else 1_152
    return simulation.World(
        rendered.scaled_object(name, site, triggers=rendered.only(trigger)),
        simulation.Engine(sequences, sequence_tokens=tokens, cold_start=cold_start),
    )


def enough_for_five(name: str, trigger: str) -> int:
    """Returns a load at which five replicas are wanted, and still are at five."""
    sequences = rendered.max_num_seqs(name)
    if trigger == "queue":
        return 5 * (sequences + 8)
    return math.ceil(4.5 * TARGETS[trigger] * sequences)


@pytest.mark.pitfall("busy and KV triggers never ask for more than two replicas")
@pytest.mark.parametrize("trigger", ["running", "kvCache", "queue"])
@pytest.mark.parametrize("name", rendered.EXAMPLES)
def test_each_trigger_alone_goes_to_five_holds_and_comes_back(name: str, trigger: str) -> None:
    subject = world(name, trigger)
    subject.run(HOUR, offered=enough_for_five(name, trigger))
    assert subject.path[0] == 1
    assert subject.path == sorted(set(subject.path))
    assert subject.replicas == 5
    steady = subject.clock.now
    subject.run(HOUR)
    assert subject.changes(steady) == []
    subject.run(HOUR, offered=0)
    assert [count for _, count in subject.changes(steady)] == [4, 3, 2, 1]


@pytest.mark.decision(20)
@pytest.mark.parametrize("site", [rendered.REFERENCE, rendered.PLAIN])
def test_a_hundred_requests_for_pods_of_thirty_two(site: str) -> None:
    """The path that KEDA 2.20.1 and the real HPA took, with pods that start within a minute."""
    subject = world("xplane-qwen-coder", "running", site, cold_start=60)
    subject.run(2 * HOUR, offered=100)
    assert subject.path == [1, 2, 3, 4, 5]
    assert subject.changes(HOUR) == []


def test_all_triggers_together_take_the_largest_step_that_the_policy_allows() -> None:
    engine = simulation.Engine(32, cold_start=150)
    subject = simulation.World(rendered.scaled_object(), engine).run(2 * HOUR, offered=100)
    # With two pods 36 requests wait, which is worth five: double is what may be had.
    assert subject.path == [1, 2, 4, 5]
    first, second, third = (at for at, _ in subject.changes())
    assert second - first >= 180
    assert third - second >= 180
    assert subject.changes(HOUR) == []


@pytest.mark.parametrize("trigger", ["running", "kvCache", "queue"])
def test_a_trigger_that_is_off_does_not_scale(trigger: str) -> None:
    """The loads above move nothing when only the trigger that they are for is off."""
    other = {"running": "kvCache", "kvCache": "queue", "queue": "kvCache"}[trigger]
    subject = simulation.World(
        rendered.scaled_object(triggers=rendered.only(other)),
        simulation.Engine(32, kv_tokens=10**9),
    )
    load = 32 if other == "queue" else enough_for_five("xplane-qwen-coder", trigger)
    assert subject.run(HOUR, offered=load).path == [1]


@pytest.mark.pitfall("cooldownSeconds has no effect above one replica")
@pytest.mark.parametrize("cooldown", [60, 300, 900, 3600, 7200])
def test_the_cooldown_holds_the_way_down(cooldown: int) -> None:
    """From the last moment of load to the first pod less; an hour is the HPA's longest."""
    engine = simulation.Engine(32, cold_start=150)
    subject = simulation.World(rendered.scaled_object(cooldownSeconds=cooldown), engine)
    subject.run(2 * HOUR, offered=110)
    assert subject.replicas == 5
    ended = subject.clock.now
    subject.run(2 * HOUR, offered=0)
    times = [at - ended for at, _ in subject.changes(ended)]
    held = min(cooldown, 3600)
    assert held - 15 <= times[0] <= held + 60
    assert all(60 <= later - earlier <= 75 for earlier, later in itertools.pairwise(times))
    assert subject.replicas == 1


def test_a_pause_shorter_than_the_cooldown_costs_no_replica() -> None:
    engine = simulation.Engine(32, cold_start=150)
    subject = simulation.World(rendered.scaled_object(), engine).run(HOUR, offered=110)
    for _ in range(6):
        subject.run(240, offered=0).run(60, offered=110)
    assert subject.path[-1] == subject.replicas == 5
    assert subject.path == sorted(set(subject.path))


def test_a_replica_that_starts_slowly_is_not_asked_for_twice() -> None:
    """While the second pod loads for ten minutes, the count at most doubles each three."""
    engine = simulation.Engine(32, cold_start=600)
    subject = simulation.World(rendered.scaled_object(), engine).run(HOUR, offered=100)
    for (earlier, count), (later, after) in itertools.pairwise(subject.deployment.history):
        assert after <= max(count + 1, 2 * count)
        assert count == 1 or later - earlier >= 180


def test_a_load_that_one_replica_carries_moves_nothing() -> None:
    engine = simulation.Engine(32, cold_start=150)
    subject = simulation.World(rendered.scaled_object(), engine)
    # 0.7 x 32 with the HPA's tolerance.
    assert subject.run(HOUR, offered=math.floor(22.4 * 1.1)).path == [1]
    subject.run(HOUR, offered=math.floor(22.4 * 1.1) + 1)
    assert subject.path == [1, 2]


def test_raised_and_lowered_bounds_are_followed() -> None:
    engine = simulation.Engine(32, cold_start=150)
    subject = simulation.World(rendered.scaled_object(), engine).run(600, offered=0)
    subject.apply(rendered.scaled_object(minReplicas=5))
    assert subject.run(60).replicas == 5
    subject.apply(rendered.scaled_object(minReplicas=1))
    subject.run(HOUR)
    assert subject.path == [1, 5, 4, 3, 2, 1]
    subject.run(HOUR, offered=110)
    subject.apply(rendered.scaled_object(maxReplicas=2))
    assert subject.run(60).replicas == 2


def test_a_queue_alone_cannot_hold_what_it_asked_for() -> None:
    """Why the running trigger is there: without waiting requests a queue says nothing.

    A claim that switches the others off swings between too few replicas and all of them, at a load
    that four carry.
    """
    subject = world("xplane-qwen-coder", "queue").run(4 * HOUR, offered=100)
    assert len(subject.changes(2 * HOUR)) > 10
