"""Scaling, the closed loop: KEDA and the autoscaler as they are, on simulated engines.

The installed product composes claims under a load. VictoriaMetrics scrapes the claims' engines,
KEDA reads VictoriaMetrics, the autoscaler sets the Deployments, and the engines follow their pods.
Many claims live at the same time. Each claim has a story in a thread of its own, and each test
reports the end of one story.

The composed ScaledObject allows a step up each three minutes, and a step down each minute. The
stories of the policy take that time. The stories of the triggers shorten that time by the claim's
`patches.scaledobject`, and change nothing else of the ScaledObject. The stories of the outage use
the same patch to read a second metrics server. The arithmetic of `tests.scaling` must foretell
every path from the ScaledObject in the cluster and the same load.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import itertools
import time
import typing
from collections.abc import Callable, Iterator

import pytest

from e2e import claims, engines, history, installation, loads, operators
from e2e.controlplane import api, keda, metrics, plane
from tests.scaling import rendered, simulation


@pytest.fixture(scope="module")
def stage(
    control_plane: plane.ControlPlane,
    installed: installation.Installation,
    standing_in: operators.Operators,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[loads.Stage]:
    """KEDA, a metrics server and simulated engines, and a namespace made ready for claims."""
    work = tmp_path_factory.mktemp("scaling")
    admin = control_plane.admin
    tenant = claims.Tenant(control_plane, control_plane.namespace(loads.NAMESPACE))
    simulated = engines.Engines(admin, loads.NAMESPACE)
    server = metrics.MetricsServer(work, control_plane.logs, simulated.discovery)
    operator = keda.Keda(control_plane.api, work, control_plane.logs)
    followed = history.History(admin, loads.NAMESPACE)
    mortal = metrics.MetricsServer(
        work, control_plane.logs, simulated.discovery, name="victoria-metrics-mortal"
    )
    prepared = loads.Stage(tenant, installed, operator, mortal, server, simulated, followed)
    with standing_in.absent("ScaledObject"):
        try:
            simulated.start()
            followed.start()
            server.process.start()
            mortal.process.start()
            operator.start()
            tenant.prepare()
            for node in loads.NODES:
                control_plane.kubelet.add(node)
            yield prepared
        finally:
            prepared.end()
            followed.write(control_plane.logs / "scaling-history.txt")
            tenant.clean()
            operator.stop()
            mortal.process.stop()
            server.process.stop()
            followed.stop()
            simulated.stop()
            for node in loads.NODES:
                control_plane.kubelet.remove(node.name)


# --- stories


def _there_and_back(subject: loads.Subject, offered: int, up: list[int]) -> None:
    """From one to five, steady there, and back after the cooldown."""
    subject.offer(offered)
    subject.reach(5, within=150)
    assert subject.path == up
    subject.says("Serving", "Ready")
    # Longer than a lower count would need to come through.
    subject.hold(5, loads.COOLDOWN + 20)
    ended = subject.offer(0)
    subject.reach(1, within=loads.COOLDOWN + 60)
    subject.says("Serving", "Ready")
    down = subject.changes(ended)
    assert [moment.value for moment in down] == [4, 3, 2, 1]
    assert down[0].at - ended >= loads.COOLDOWN - loads.SLACK, "the cooldown holds between N and 1"
    subject.assert_as_foretold()


def _running(subject: loads.Subject) -> None:
    """The running trigger alone takes each step of the documented path."""
    _there_and_back(subject, 100, [1, 2, 3, 4, 5])


def _kv_cache(subject: loads.Subject) -> None:
    """The KV trigger alone: requests fill the cache of every replica."""
    _there_and_back(subject, 86, [1, 2, 4, 5])


def _queue(subject: loads.Subject) -> None:
    """The queue trigger alone holds five at a load that leaves eight waiting at each."""
    _there_and_back(subject, 5 * (loads.SEQUENCES + 8), [1, 2, 4, 5])


def _all_triggers(subject: loads.Subject) -> None:
    """All three, as the product emits them: the largest answer wins."""
    _there_and_back(subject, 100, [1, 2, 4, 5])


def _swing(subject: loads.Subject) -> None:
    """The documented exception: a queue alone cannot hold what it asked for."""
    subject.offer(100)
    subject.reach(4, within=100)
    subject.reach(2, within=loads.COOLDOWN + 60)
    subject.reach(5, within=60)
    turns = [later - earlier for earlier, later in itertools.pairwise(subject.path)]
    assert any(step < 0 for step in turns)


def _policy_up(subject: loads.Subject) -> None:
    """As emitted: the second step waits until the first is three minutes old.

    Then the fourth replica comes with the window: doubling counts from before the third.
    """
    offered = subject.offer(100)
    subject.reach(4, within=270)
    first, second, third = subject.changes(offered)
    assert [first.value, second.value] == [2, 3]
    assert first.at - offered >= 30 - loads.SLACK, "the window"
    assert second.at - first.at >= 180 - loads.SLACK, "the policy"
    assert third.at - second.at >= 30 - loads.SLACK
    subject.assert_as_foretold()


def _policy_down(subject: loads.Subject) -> None:
    """As emitted: one pod a minute."""
    subject.hold(4, loads.COOLDOWN + 10)
    changed = subject.change(scaling=subject.claim.manifest["spec"]["scaling"] | {"minReplicas": 1})
    subject.reach(1, within=180)
    steps = subject.changes(changed - loads.GRACE)[-3:]
    assert [moment.value for moment in steps] == [3, 2, 1]
    assert all(b.at - a.at >= 60 - loads.SLACK for a, b in itertools.pairwise(steps))


def _longer_cooldown(subject: loads.Subject) -> None:
    """Twice the others' cooldown holds for twice as long."""
    subject.offer(40)
    subject.reach(2, within=40)
    # The load lasts until the foretold autoscaler has moved too, whose scrapes have other phases.
    subject.hold(2, 2 * loads.SLACK)
    ended = subject.offer(0)
    subject.hold(2, 2 * loads.COOLDOWN - 10)
    fell = subject.reach(1, within=30)
    assert fell - ended >= 2 * loads.COOLDOWN - loads.SLACK
    subject.assert_as_foretold()


def _dead_exporters(subject: loads.Subject) -> None:
    """Pods that serve and cannot be scraped are not an idle claim: the count is held."""
    subject.offer(100)
    subject.reach(5, within=150)
    subject.says("Serving", "Ready")
    # What is foretold may be late by so much, and without series nothing changes any more.
    subject.hold(5, loads.TOLERANCE)
    subject.mute()
    subject.says("Serving", "FallbackActive")
    subject.hold(5, loads.COOLDOWN + 20)
    subject.says("Serving", "FallbackActive")
    subject.mute(muted=False)
    subject.says("Serving", "Ready")
    subject.hold(5, 10)
    subject.assert_as_foretold()


def _suspended(subject: loads.Subject) -> None:
    """Suspended it holds at zero under load; afterwards the minimum comes back, then the load's."""
    subject.offer(40)
    subject.reach(2, within=40)
    subject.says("Serving", "Ready")
    suspended = subject.change(suspend=True)
    subject.reach(0, within=30)
    subject.says("Suspended", "Paused")
    subject.hold(0, 30)
    subject.says("Suspended", "Paused")
    restored = subject.change(suspend=False)
    subject.reach(2, within=90)
    assert [m.value for m in subject.changes(suspended - loads.GRACE)][-3:] == [0, 1, 2]
    assert (
        subject.changes(restored - loads.SLACK)[0].at - restored <= 5 * loads.POLL + loads.TOLERANCE
    )
    subject.says("Serving", "Ready")


def _woken(subject: loads.Subject) -> None:
    """A request at the gateway wakes one replica; when they end, it sleeps again."""
    subject.says("Idle", "Ready")
    subject.hold(0, 20)
    asked = subject.offer(10)
    woke = subject.reach(1, within=30)
    assert woke - asked <= loads.SCRAPE * 2 + loads.POLL + loads.TOLERANCE
    subject.says("Serving", "Ready")
    ended = subject.offer(0)
    slept = subject.reach(0, within=120 + 2 * loads.COOLDOWN)
    assert slept - ended >= loads.COOLDOWN
    subject.says("Idle", "Ready")
    assert subject.path == [0, 1, 0]


def _crowd(subject: loads.Subject) -> None:
    """A crowd at the gateway wakes one; what one replica sees decides on more."""
    subject.offer(60)
    subject.reach(1, within=30)
    subject.reach(3, within=100)
    assert subject.path[:2] == [0, 1]
    assert subject.path == sorted(subject.path)
    subject.says("Serving", "Ready")


def _held(subject: loads.Subject) -> None:
    """Zero without a wake query is one, and said; with one the claim falls asleep."""
    assert subject.path == [1]
    subject.stage.has_wake_query.wait(loads.GRACE)
    subject.claim.reconcile("the settings have a wake query")
    subject.reach(0, within=3 * loads.COOLDOWN)
    subject.says("Idle", "Ready")


def _asleep(subject: loads.Subject) -> None:
    """Nobody asks: missing series of missing pods wake nobody."""
    subject.hold(0, 3 * loads.COOLDOWN)
    subject.says("Idle", "Ready")
    assert subject.path == [0]


def _outage(subject: loads.Subject) -> None:
    """The metrics server dies: counts are held, whatever they are, and a claim asleep wakes.

    All of it ends with the outage, and no count changes then.
    """
    try:
        _outlive(subject)
    except BaseException:
        subject.stage.call_off()
        raise


def _outlive(subject: loads.Subject) -> None:
    """The outage, as one of its claims sees it."""
    offered, before = loads.OUTAGE[subject.name]
    subject.move()
    subject.offer(offered)
    subject.reach(before, within=150)
    subject.says("Serving" if before else "Idle", "Ready")
    subject.stage.outage.wait(loads.BIRTH + 2 * loads.GRACE)
    died = time.monotonic()
    if not before:
        woke = subject.reach(1, within=5 * loads.POLL)
        # Five polls fail before the fallback begins.
        assert woke - died >= 4 * loads.POLL - loads.SLACK
    held = max(before, 1)
    subject.says("Serving", "FallbackActive")
    # Longer than a lower count would need to come through.
    subject.hold(held, loads.COOLDOWN + 20)
    subject.says("Serving", "FallbackActive")
    # Afterwards it may go to sleep again before anybody looks.
    assert [moment.value for moment in subject.changes(died)] == ([] if before else [1])
    subject.stage.outage_end.wait(2 * loads.GRACE)
    subject.says("Serving", "Ready")
    subject.hold(held, 0)


_ONE_MINUTE_START = {"startup": {"periodSeconds": 10, "failureThreshold": 6}}
_GATEWAY: api.Object = {"gateway": {"enabled": True}, "healthProbes": _ONE_MINUTE_START}
Story: typing.TypeAlias = Callable[[loads.Subject], None]
STORIES: dict[str, tuple[Story, api.Object]] = {
    "running": (_running, {"triggers": rendered.only("running")}),
    "kv-cache": (
        _kv_cache,
        {
            "triggers": rendered.only("kvCache"),
            "engine": simulation.Engine(
                loads.SEQUENCES, sequence_tokens=loads.FULL_CACHE, cold_start=2
            ),
        },
    ),
    "queue": (_queue, {"triggers": rendered.only("queue")}),
    "all-triggers": (_all_triggers, {}),
    "swing": (_swing, {"triggers": rendered.only("queue")}),
    "policy-up": (_policy_up, {"triggers": rendered.only("running"), "brisk": False}),
    "policy-down": (_policy_down, {"brisk": False, "minReplicas": 4}),
    "longer-cooldown": (_longer_cooldown, {"cooldownSeconds": 2 * loads.COOLDOWN}),
    "dead-exporters": (_dead_exporters, {"triggers": rendered.only("running")}),
    "suspended": (_suspended, {}),
    "woken": (_woken, {"minReplicas": 0, "spec": _GATEWAY}),
    "crowd": (_crowd, {"minReplicas": 0, "spec": _GATEWAY}),
    "held": (_held, {"minReplicas": 0, "spec": _GATEWAY}),
    "asleep": (_asleep, {"minReplicas": 0, "spec": _GATEWAY}),
    "outage-five": (_outage, {"triggers": rendered.only("running")}),
    "outage-three": (_outage, {"triggers": rendered.only("running")}),
    "outage-one": (_outage, {}),
    "outage-asleep": (_outage, {"minReplicas": 0, "spec": _GATEWAY}),
}


@dataclasses.dataclass
class Acts:
    """The stories of all claims, as they proceed."""

    subjects: dict[str, loads.Subject]
    ends: dict[str, concurrent.futures.Future[None]]


@pytest.fixture(scope="module")
def acts(stage: loads.Stage) -> Iterator[Acts]:
    """Every story, begun as soon as its claim serves, or sleeps.

    Claims that may sleep are born under settings with a wake query, but for the one whose story is
    that there is none.
    """
    subjects = {name: loads.Subject(stage, name, **given) for name, (_, given) in STORIES.items()}
    sleepers = ("woken", "crowd", "asleep", "outage-asleep")
    others = [name for name in STORIES if name not in sleepers]
    with concurrent.futures.ThreadPoolExecutor(len(STORIES)) as executor:
        try:
            stage.product.configure(stage.settings(wake=False))
            stage.enter(*(subjects[name] for name in others))
            ends = {name: executor.submit(_tell, subjects[name]) for name in others}
            subjects["held"].says("Serving", "NoWakeSignal", within=loads.BIRTH)
            stage.product.configure(stage.settings(wake=True))
            stage.has_wake_query.set()
            stage.enter(*(subjects[name] for name in sleepers))
            ends |= {name: executor.submit(_tell, subjects[name]) for name in sleepers}
            yield Acts(subjects, ends)
        finally:
            stage.end()


def _tell(subject: loads.Subject) -> None:
    story, given = STORIES[subject.name]
    if subject.name == "held":
        subject.says("Serving", "NoWakeSignal", within=loads.BIRTH)
    else:
        phase = "Serving" if given.get("minReplicas", 1) else "Idle"
        subject.says(phase, "Ready", within=loads.BIRTH)
    subject.born()
    story(subject)


@pytest.mark.parametrize("name", STORIES)
def test_story(name: str, acts: Acts) -> None:
    """What is told of each claim above holds."""
    acts.ends[name].result()
