"""Between zero and one: waking, falling asleep, suspending, and what must do neither."""

import copy
from typing import Any

import pytest

from tests.scaling import rendered, simulation

HOUR = 3600


def asleep(**scaling: Any) -> simulation.World:
    """Returns a world that idles at zero under settings with a wake query."""
    engine = simulation.Engine(32, cold_start=150)
    scaled_object = rendered.scaled_object(minReplicas=0, **scaling)
    return simulation.World(scaled_object, engine, replicas=0)


def test_without_traffic_a_missing_exporter_does_not_wake() -> None:
    assert asleep().run(12 * HOUR).path == [0]


def test_without_or_vector_it_would() -> None:
    """What the term is for: without pods the series are rightly absent, and absence is an error."""
    subject = asleep()
    broken = copy.deepcopy(rendered.scaled_object(minReplicas=0))
    for trigger in broken["spec"]["triggers"]:
        query = trigger["metadata"]["query"]
        trigger["metadata"]["query"] = query.removesuffix(" or vector(0)")
    subject.apply(broken)
    assert subject.run(HOUR).replicas == 1


@pytest.mark.pitfall("KEDA at a minimum of zero never wakes")
def test_a_request_wakes_one_replica_and_load_wakes_more() -> None:
    subject = asleep().run(HOUR)
    asked = subject.clock.now
    subject.run(HOUR, offered=1)
    assert subject.path == [0, 1]
    # Two scrapes make a rate, and one poll reads it.
    assert subject.changes()[0][0] - asked <= 2 * 30 + 15
    subject.run(HOUR, offered=100)
    assert subject.path == [0, 1, 2, 4, 5]
    ended = subject.clock.now
    subject.run(HOUR, offered=0)
    # One a minute, until KEDA's own cooldown is over: it takes all that is left.
    down = [5, *(count for _, count in subject.changes(ended))]
    assert down == sorted(set(down), reverse=True)
    assert down[-1] == 0


@pytest.mark.pitfall("a guard model holds a GPU without traffic")
def test_a_single_replica_falls_asleep_after_the_cooldown_and_no_earlier() -> None:
    subject = asleep(cooldownSeconds=600).run(HOUR, offered=5)
    ended = subject.clock.now
    subject.run(HOUR, offered=0)
    ((at, count),) = subject.changes(ended)
    assert count == 0
    # The wake query looks back two minutes.
    assert 600 <= at - ended <= 600 + 120 + 60


def test_the_wake_signal_never_asks_for_a_second_replica() -> None:
    """A crowd at the gateway wakes one; what one replica sees decides on the second."""
    subject = asleep().run(150, offered=10_000)
    assert subject.path == [0, 1]


def test_callers_that_keep_asking_see_the_load_through() -> None:
    engine = simulation.Engine(32, cold_start=1200)
    scaled_object = rendered.scaled_object(minReplicas=0)
    subject = simulation.World(scaled_object, engine, replicas=0).run(HOUR, offered=1)
    assert subject.path == [0, 1]
    assert len(subject.deployment.ready) == 1


def test_a_replica_that_was_never_asked_for_has_its_start_budget() -> None:
    """A claim that is set to idle while its first pod loads."""
    scaled_object = rendered.scaled_object(minReplicas=0)
    subject = simulation.World(scaled_object, simulation.Engine(32), replicas=1).run(HOUR)
    ((at, count),) = subject.changes()
    assert count == 0
    budget = scaled_object["spec"]["initialCooldownPeriod"]
    assert budget >= 600
    assert budget <= at <= budget + 15


def test_without_a_wake_query_a_claim_is_held_at_one() -> None:
    scaled_object = rendered.scaled_object(site=rendered.PLAIN, minReplicas=0)
    assert scaled_object["spec"]["minReplicaCount"] == 1
    subject = simulation.World(scaled_object, simulation.Engine(32), replicas=0)
    assert subject.run(12 * HOUR).path == [0, 1]


def test_a_dead_metrics_server_wakes_exactly_one_and_lets_it_sleep_again() -> None:
    subject = asleep().run(HOUR)
    subject.server.answers = False
    subject.run(12 * HOUR)
    assert subject.path == [0, 1]
    subject.server.answers = True
    subject.run(HOUR)
    assert subject.path == [0, 1, 0]


def test_dead_exporters_under_traffic_cost_replicas_but_never_the_last() -> None:
    """The price of `or vector(0)`: what still says that somebody asks is the gateway."""
    subject = asleep().run(2 * HOUR, offered=110)
    assert subject.replicas == 5
    subject.exporters_answer = False
    assert subject.run(12 * HOUR).replicas == 1


@pytest.mark.parametrize("minimum", [0, 1, 3])
def test_suspending_releases_every_replica_and_holds(minimum: int) -> None:
    engine = simulation.Engine(32, cold_start=150)
    subject = simulation.World(rendered.scaled_object(minReplicas=minimum), engine, replicas=3)
    subject.run(HOUR, offered=110)
    suspended = subject.clock.now
    subject.apply(rendered.scaled_object(minReplicas=minimum, suspend=True))
    assert subject.replicas == 0
    subject.run(12 * HOUR)
    assert [count for _, count in subject.changes(suspended - 1)] == [0]


@pytest.mark.decision(20)
@pytest.mark.parametrize("minimum", [1, 3])
def test_unsuspending_brings_the_minimum_back(minimum: int) -> None:
    """No pod, no series, every trigger fails: the fallback counts as active."""
    engine = simulation.Engine(32, cold_start=150)
    suspended = rendered.scaled_object(minReplicas=minimum, suspend=True)
    subject = simulation.World(suspended, engine, replicas=0).run(HOUR)
    subject.apply(rendered.scaled_object(minReplicas=minimum))
    applied = subject.clock.now
    subject.run(HOUR)
    ((at, count),) = subject.changes(applied)
    assert count == minimum
    # Five polls of 15 seconds.
    assert at - applied <= 5 * 15


def test_without_a_fallback_it_would_stay_at_zero() -> None:
    broken = copy.deepcopy(rendered.scaled_object())
    del broken["spec"]["fallback"]
    subject = simulation.World(broken, simulation.Engine(32), replicas=0)
    assert subject.run(12 * HOUR).path == [0]


def test_unsuspending_an_idle_claim_wakes_nobody() -> None:
    suspended = rendered.scaled_object(minReplicas=0, suspend=True)
    subject = simulation.World(suspended, simulation.Engine(32), replicas=0).run(HOUR)
    subject.apply(rendered.scaled_object(minReplicas=0))
    assert subject.run(12 * HOUR).path == [0]


def test_zero_to_the_minimum_to_the_maximum_and_back() -> None:
    engine = simulation.Engine(32, cold_start=150)
    subject = simulation.World(rendered.scaled_object(minReplicas=2), engine, replicas=0)
    subject.run(HOUR, offered=0).run(HOUR, offered=110).run(HOUR, offered=0)
    assert subject.path == [0, 2, 4, 5, 4, 3, 2]
