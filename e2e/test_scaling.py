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
import threading
import time
import typing
from collections.abc import Callable, Iterator

import pytest

from e2e import claims, engines, history, installation, operators, shipped
from e2e.controlplane import api, keda, metrics, nodes, plane, polling
from tests.scaling import rendered, simulation

NAMESPACE = "scaling"
NODES = tuple(
    nodes.Node(
        f"l4-scaling-{index}",
        gpus=16,
        cpu="512",
        memory="4Ti",
        labels={"karpenter.sh/nodepool": "gpu-l4"},
    )
    for index in range(4)
)
# As `controlplane.cluster.controller_manager` sets it, and as the claims here ask for.
SYNC, SCRAPE, POLL = 2, 5, 5
COOLDOWN = 60
# Grace for a loaded machine, on top of what something takes by itself; and for all the claims to
# be born at once.
GRACE = 180
BIRTH = 240
SEQUENCES = 32
# Seconds by which a step may differ from the foretold step, and by which a moment may be read late.
# A scrape, a poll and a read each have a phase of their own, and the machine is shared.
TOLERANCE = 45
SLACK = 10
# The product's behaviour, faster. The period up is as long as a step may be late on a loaded
# machine: once it is over, doubling allows the fifth replica where the fourth is due.
BRISK: api.Object = {
    "scaleUp": {
        "stabilizationWindowSeconds": 10,
        "policies": [
            {"type": "Percent", "value": 100, "periodSeconds": 60},
            {"type": "Pods", "value": 1, "periodSeconds": 60},
        ],
    },
    "scaleDown": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 10}]},
}
# Claims whose metrics server dies: requests in flight, and the replicas for them.
OUTAGE = {
    "outage-five": (100, 5),
    "outage-three": (60, 3),
    "outage-one": (10, 1),
    "outage-asleep": (0, 0),
}
# A KV cache that is full when all sequences run.
FULL_CACHE = 203_680 // SEQUENCES


class Subject:
    """A claim under a load, with the claim's path."""

    def __init__(
        self,
        stage: Stage,
        name: str,
        *,
        brisk: bool = True,
        engine: simulation.Engine | None = None,
        spec: api.Object | None = None,
        **scaling: typing.Any,
    ) -> None:
        """Describe it; ``stage.enter`` applies it."""
        self.name = name
        self.engine = engine or simulation.Engine(SEQUENCES, cold_start=2)
        self._born_as: api.Object = {}
        self.stage = stage
        asked: api.Object = {
            "model": {"repository": "Qwen/Qwen3-8B", "maxNumSeqs": SEQUENCES},
            "observability": {"metrics": {"interval": f"{SCRAPE}s"}},
            "scaling": {
                "minReplicas": 1,
                "maxReplicas": 5,
                "cooldownSeconds": COOLDOWN,
                "pollingIntervalSeconds": POLL,
                **scaling,
            },
        }
        if brisk:
            behavior = {"horizontalPodAutoscalerConfig": {"behavior": BRISK}}
            asked["patches"] = {"scaledobject": {"spec": {"advanced": behavior}}}
        self.claim = stage.tenant.claim(
            {
                "apiVersion": shipped.API_VERSION,
                "kind": shipped.KIND,
                "metadata": {"name": name},
                "spec": asked | (spec or {}),
            }
        )
        self._deeds: list[tuple[float, Callable[[simulation.World], object]]] = []

    # --- what is done to it

    def offer(self, requests: int) -> float:
        """Keep so many requests in flight; return when."""
        self.stage.engines.offer(self.name, requests)
        return self._did(lambda world: world.run(0, offered=requests))

    def mute(self, *, muted: bool = True) -> float:
        """Let its pods not answer scrapes, or answer again; return when."""
        self.stage.engines.mute(self.name, muted=muted)
        return self._did(lambda world: setattr(world, "exporters_answer", not muted))

    def change(self, **spec: typing.Any) -> float:
        """Edit the claim and wait for its ScaledObject to follow; return when."""
        before = self.scaled_object()
        self.claim.apply(**spec)
        self.stage.until(
            lambda: _asked(self.scaled_object()) != _asked(before),
            what=f"another ScaledObject of {self.name}",
            timeout=GRACE,
        )
        after = self.scaled_object()
        return self._did(lambda world: world.apply(after))

    def move(self) -> None:
        """Let its triggers be read from the server that dies, and else be what they are."""
        triggers = self.scaled_object()["spec"]["triggers"]
        for trigger in triggers:
            trigger["metadata"]["serverAddress"] = self.stage.mortal.url
        spec = self.claim.manifest["spec"]["patches"]["scaledobject"]["spec"]
        self.change(patches={"scaledobject": {"spec": spec | {"triggers": triggers}}})

    def _did(self, deed: Callable[[simulation.World], object]) -> float:
        now = time.monotonic()
        self._deeds.append((now, deed))
        return now

    # --- what became of it

    def scaled_object(self) -> api.Object:
        """Its ScaledObject as it is."""
        admin = self.stage.tenant.plane.admin
        return admin.get(
            api.Ref("keda.sh/v1alpha1", "ScaledObject", self.name, self.stage.tenant.namespace)
        )

    def changes(self, since: float = 0) -> list[history.Moment]:
        """Changes of the number of replicas that the Deployment asks for."""
        return [moment for moment in self.stage.history.replicas(self.name) if moment.at > since]

    @property
    def path(self) -> list[int]:
        """The numbers of replicas that were asked for, from the first."""
        return [moment.value for moment in self.changes()]

    @property
    def replicas(self) -> int:
        """How many are asked for."""
        return self.path[-1]

    def reach(self, replicas: int, *, within: float) -> float:
        """Wait until so many are asked for; return since when."""
        try:
            self.stage.until(
                lambda: self.changes() and self.replicas == replicas,
                what=f"{replicas} replicas of {self.name}",
                timeout=within + GRACE,
            )
        except TimeoutError as error:
            message = f"{error}; it went {self.path}"
            raise AssertionError(message) from None
        return self.changes()[-1].at

    def hold(self, replicas: int, seconds: float) -> None:
        """Let time pass, in which neither Deployment nor autoscaler asks for another number."""
        since = time.monotonic()
        assert self.replicas == replicas
        self.stage.pause(seconds)
        assert self.changes(since) == [], self.name
        wanted = [m.value for m in self.stage.history.desired(self.name) if m.at > since]
        assert set(wanted) <= {replicas}, self.name

    def says(self, phase: str, scaler: str, *, within: float = 0) -> None:
        """Wait until the claim is in a phase, with a reason of ``ScalerReady``."""

        def fulfilled() -> bool:
            last = self.stage.history.statuses(self.name)[-1:]
            return bool(last and (last[0].value[0], last[0].value[2]) == (phase, scaler))

        try:
            self.stage.until(fulfilled, what=phase, timeout=within + GRACE)
        except TimeoutError:
            statuses = [moment.value for moment in self.stage.history.statuses(self.name)]
            message = f"{self.name} never said {phase}, {scaler}; it said {statuses}"
            raise AssertionError(message) from None

    def foretold(self) -> list[tuple[float, int]]:
        """What the arithmetic makes of the same load: seconds since the first deed, and counts.

        It looks as far ahead as a change may be late: one that came may be foretold for later.
        """
        first = self._deeds[0][0]
        world = simulation.World(
            self._born_as,
            self.engine,
            replicas=[m.value for m in self.stage.history.replicas(self.name) if m.at < first][-1],
            scrape_interval=SCRAPE,
            sync_period=SYNC,
        )
        world.run(COOLDOWN)
        start = world.clock.now
        for at, deed in self._deeds:
            world.run(start + at - first - world.clock.now)
            deed(world)
        world.run(start + time.monotonic() - first - world.clock.now + TOLERANCE)
        return [(at - start, count) for at, count in world.changes(start)]

    def assert_as_foretold(self) -> None:
        """The Deployment asked for the foretold counts, at the foretold times."""
        first = self._deeds[0][0]
        actual = [(moment.at - first, moment.value) for moment in self.changes(first)]
        now = time.monotonic() - first
        expected = [
            change
            for index, change in enumerate(self.foretold())
            if index < len(actual) or change[0] <= now
        ]
        words = f"{self.name}: {_rounded(actual)}, foretold {_rounded(expected)}"
        assert [count for _, count in actual] == [count for _, count in expected], words
        late = [abs(at - then) for (at, _), (then, _) in zip(actual, expected, strict=True)]
        assert max(late, default=0) <= TOLERANCE, words

    def born(self) -> None:
        """Keep the ScaledObject with which the story begins."""
        self._born_as = self.scaled_object()


def _asked(scaled_object: api.Object) -> object:
    return scaled_object["spec"], scaled_object["metadata"].get("annotations")


def _rounded(changes: list[tuple[float, int]]) -> list[tuple[int, int]]:
    return [(round(at), count) for at, count in changes]


@dataclasses.dataclass
class Stage:
    """What runs beside the control plane for these tests.

    Attributes:
        mortal: A second metrics server, which dies for some claims while the others' stories go on.
    """

    tenant: claims.Tenant
    product: installation.Installation
    keda: keda.Keda
    mortal: metrics.MetricsServer
    metrics: metrics.MetricsServer
    engines: engines.Engines
    history: history.History
    has_wake_query: threading.Event = dataclasses.field(default_factory=threading.Event)
    over: threading.Event = dataclasses.field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        """Let whoever comes last of the stories of the outage begin it, and end it."""
        kill, start = self.mortal.process.kill, self.mortal.process.start
        self.outage = threading.Barrier(len(OUTAGE), action=kill)
        self.outage_end = threading.Barrier(len(OUTAGE), action=start)

    def call_off(self) -> None:
        """Let nobody wait for the outage or its end any more."""
        self.outage.abort()
        self.outage_end.abort()

    def end(self) -> None:
        """End the stories that are not over."""
        self.over.set()
        self.call_off()

    def settings(self, *, wake: bool) -> api.Object:
        """The reference platform's, with the metrics server of these tests and no cap on GPUs."""
        settings = shipped.one(shipped.environment("reference"))
        ours = settings["data"]["inferenceService"]
        ours["scaling"]["serverAddress"] = self.metrics.url
        if not wake:
            del ours["scaling"]["wake"]
        del ours["limits"]
        ours["permissions"] = {"patches": [self.tenant.namespace]}
        return settings

    def enter(self, *subjects: Subject) -> None:
        """Apply claims."""
        for subject in subjects:
            self.engines.run(subject.name, subject.engine)
            subject.claim.apply()

    def pause(self, seconds: float) -> None:
        """Let time pass, unless the stories are over before their end."""
        if self.over.wait(seconds):
            message = "the stories were ended"
            raise RuntimeError(message)

    def until(self, probe: Callable[[], object], *, what: str, timeout: float) -> None:
        """Wait, unless the stories are over before their end."""

        def ask() -> object:
            self.pause(0)
            return probe()

        polling.until(ask, what=what, timeout=timeout, interval=0.5)


@pytest.fixture(scope="module")
def stage(
    control_plane: plane.ControlPlane,
    installed: installation.Installation,
    standing_in: operators.Operators,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stage]:
    """KEDA, a metrics server and simulated engines, and a namespace made ready for claims."""
    work = tmp_path_factory.mktemp("scaling")
    admin = control_plane.admin
    tenant = claims.Tenant(control_plane, control_plane.namespace(NAMESPACE))
    simulated = engines.Engines(admin, NAMESPACE)
    server = metrics.MetricsServer(work, control_plane.logs, simulated.discovery)
    operator = keda.Keda(control_plane.api, work, control_plane.logs)
    followed = history.History(admin, NAMESPACE)
    mortal = metrics.MetricsServer(
        work, control_plane.logs, simulated.discovery, name="victoria-metrics-mortal"
    )
    prepared = Stage(tenant, installed, operator, mortal, server, simulated, followed)
    with standing_in.absent("ScaledObject"):
        try:
            simulated.start()
            followed.start()
            server.process.start()
            mortal.process.start()
            operator.start()
            tenant.prepare()
            for node in NODES:
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
            for node in NODES:
                control_plane.kubelet.remove(node.name)


# --- stories


def _there_and_back(subject: Subject, offered: int, up: list[int]) -> None:
    """From one to five, steady there, and back after the cooldown."""
    subject.offer(offered)
    subject.reach(5, within=150)
    assert subject.path == up
    subject.says("Serving", "Ready")
    # Longer than a lower count would need to come through.
    subject.hold(5, COOLDOWN + 20)
    ended = subject.offer(0)
    subject.reach(1, within=COOLDOWN + 60)
    subject.says("Serving", "Ready")
    down = subject.changes(ended)
    assert [moment.value for moment in down] == [4, 3, 2, 1]
    assert down[0].at - ended >= COOLDOWN - SLACK, "the cooldown holds between N and 1"
    subject.assert_as_foretold()


def _running(subject: Subject) -> None:
    """The running trigger alone takes each step of the documented path."""
    _there_and_back(subject, 100, [1, 2, 3, 4, 5])


def _kv_cache(subject: Subject) -> None:
    """The KV trigger alone: requests fill the cache of every replica."""
    _there_and_back(subject, 86, [1, 2, 4, 5])


def _queue(subject: Subject) -> None:
    """The queue trigger alone holds five at a load that leaves eight waiting at each."""
    _there_and_back(subject, 5 * (SEQUENCES + 8), [1, 2, 4, 5])


def _all_triggers(subject: Subject) -> None:
    """All three, as the product emits them: the largest answer wins."""
    _there_and_back(subject, 100, [1, 2, 4, 5])


def _swing(subject: Subject) -> None:
    """The documented exception: a queue alone cannot hold what it asked for."""
    subject.offer(100)
    subject.reach(4, within=100)
    subject.reach(2, within=COOLDOWN + 60)
    subject.reach(5, within=60)
    turns = [later - earlier for earlier, later in itertools.pairwise(subject.path)]
    assert any(step < 0 for step in turns)


def _policy_up(subject: Subject) -> None:
    """As emitted: the second step waits until the first is three minutes old.

    Then the fourth replica comes with the window: doubling counts from before the third.
    """
    offered = subject.offer(100)
    subject.reach(4, within=270)
    first, second, third = subject.changes(offered)
    assert [first.value, second.value] == [2, 3]
    assert first.at - offered >= 30 - SLACK, "the window"
    assert second.at - first.at >= 180 - SLACK, "the policy"
    assert third.at - second.at >= 30 - SLACK
    subject.assert_as_foretold()


def _policy_down(subject: Subject) -> None:
    """As emitted: one pod a minute."""
    subject.hold(4, COOLDOWN + 10)
    changed = subject.change(scaling=subject.claim.manifest["spec"]["scaling"] | {"minReplicas": 1})
    subject.reach(1, within=180)
    steps = subject.changes(changed - GRACE)[-3:]
    assert [moment.value for moment in steps] == [3, 2, 1]
    assert all(b.at - a.at >= 60 - SLACK for a, b in itertools.pairwise(steps))


def _longer_cooldown(subject: Subject) -> None:
    """Twice the others' cooldown holds for twice as long."""
    subject.offer(40)
    subject.reach(2, within=40)
    # The load lasts until the foretold autoscaler has moved too, whose scrapes have other phases.
    subject.hold(2, 2 * SLACK)
    ended = subject.offer(0)
    subject.hold(2, 2 * COOLDOWN - 10)
    fell = subject.reach(1, within=30)
    assert fell - ended >= 2 * COOLDOWN - SLACK
    subject.assert_as_foretold()


def _dead_exporters(subject: Subject) -> None:
    """Pods that serve and cannot be scraped are not an idle claim: the count is held."""
    subject.offer(100)
    subject.reach(5, within=150)
    subject.says("Serving", "Ready")
    subject.mute()
    subject.says("Serving", "FallbackActive")
    subject.hold(5, COOLDOWN + 20)
    subject.says("Serving", "FallbackActive")
    subject.mute(muted=False)
    subject.says("Serving", "Ready")
    subject.hold(5, 10)
    subject.assert_as_foretold()


def _suspended(subject: Subject) -> None:
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
    assert [m.value for m in subject.changes(suspended - GRACE)][-3:] == [0, 1, 2]
    assert subject.changes(restored - SLACK)[0].at - restored <= 5 * POLL + TOLERANCE
    subject.says("Serving", "Ready")


def _woken(subject: Subject) -> None:
    """A request at the gateway wakes one replica; when they end, it sleeps again."""
    subject.says("Idle", "Ready")
    subject.hold(0, 20)
    asked = subject.offer(10)
    woke = subject.reach(1, within=30)
    assert woke - asked <= SCRAPE * 2 + POLL + TOLERANCE
    subject.says("Serving", "Ready")
    ended = subject.offer(0)
    slept = subject.reach(0, within=120 + 2 * COOLDOWN)
    assert slept - ended >= COOLDOWN
    subject.says("Idle", "Ready")
    assert subject.path == [0, 1, 0]


def _crowd(subject: Subject) -> None:
    """A crowd at the gateway wakes one; what one replica sees decides on more."""
    subject.offer(60)
    subject.reach(1, within=30)
    subject.reach(3, within=100)
    assert subject.path[:2] == [0, 1]
    assert subject.path == sorted(subject.path)
    subject.says("Serving", "Ready")


def _held(subject: Subject) -> None:
    """Zero without a wake query is one, and said; with one the claim falls asleep."""
    assert subject.path == [1]
    subject.stage.has_wake_query.wait(GRACE)
    subject.claim.reconcile("the settings have a wake query")
    subject.reach(0, within=3 * COOLDOWN)
    subject.says("Idle", "Ready")


def _asleep(subject: Subject) -> None:
    """Nobody asks: missing series of missing pods wake nobody."""
    subject.hold(0, 3 * COOLDOWN)
    subject.says("Idle", "Ready")
    assert subject.path == [0]


def _outage(subject: Subject) -> None:
    """The metrics server dies: counts are held, whatever they are, and a claim asleep wakes.

    All of it ends with the outage, and no count changes then.
    """
    try:
        _outlive(subject)
    except BaseException:
        subject.stage.call_off()
        raise


def _outlive(subject: Subject) -> None:
    """The outage, as one of its claims sees it."""
    offered, before = OUTAGE[subject.name]
    subject.move()
    subject.offer(offered)
    subject.reach(before, within=150)
    subject.says("Serving" if before else "Idle", "Ready")
    subject.stage.outage.wait(BIRTH + 2 * GRACE)
    died = time.monotonic()
    if not before:
        woke = subject.reach(1, within=5 * POLL)
        # Five polls fail before the fallback begins.
        assert woke - died >= 4 * POLL - SLACK
    held = max(before, 1)
    subject.says("Serving", "FallbackActive")
    # Longer than a lower count would need to come through.
    subject.hold(held, COOLDOWN + 20)
    subject.says("Serving", "FallbackActive")
    subject.stage.outage_end.wait(2 * GRACE)
    subject.says("Serving", "Ready")
    assert [moment.value for moment in subject.changes(died)] == ([] if before else [1])
    subject.hold(held, 0)


_ONE_MINUTE_START = {"startup": {"periodSeconds": 10, "failureThreshold": 6}}
_GATEWAY: api.Object = {"gateway": {"enabled": True}, "healthProbes": _ONE_MINUTE_START}
Story: typing.TypeAlias = Callable[[Subject], None]
STORIES: dict[str, tuple[Story, api.Object]] = {
    "running": (_running, {"triggers": rendered.only("running")}),
    "kv-cache": (
        _kv_cache,
        {
            "triggers": rendered.only("kvCache"),
            "engine": simulation.Engine(SEQUENCES, sequence_tokens=FULL_CACHE, cold_start=2),
        },
    ),
    "queue": (_queue, {"triggers": rendered.only("queue")}),
    "all-triggers": (_all_triggers, {}),
    "swing": (_swing, {"triggers": rendered.only("queue")}),
    "policy-up": (_policy_up, {"triggers": rendered.only("running"), "brisk": False}),
    "policy-down": (_policy_down, {"brisk": False, "minReplicas": 4}),
    "longer-cooldown": (_longer_cooldown, {"cooldownSeconds": 2 * COOLDOWN}),
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

    subjects: dict[str, Subject]
    ends: dict[str, concurrent.futures.Future[None]]


@pytest.fixture(scope="module")
def acts(stage: Stage) -> Iterator[Acts]:
    """Every story, begun as soon as its claim serves, or sleeps.

    Claims that may sleep are born under settings with a wake query, but for the one whose story is
    that there is none.
    """
    subjects = {name: Subject(stage, name, **given) for name, (_, given) in STORIES.items()}
    sleepers = ("woken", "crowd", "asleep", "outage-asleep")
    others = [name for name in STORIES if name not in sleepers]
    with concurrent.futures.ThreadPoolExecutor(len(STORIES)) as executor:
        try:
            stage.product.configure(stage.settings(wake=False))
            stage.enter(*(subjects[name] for name in others))
            ends = {name: executor.submit(_tell, subjects[name]) for name in others}
            subjects["held"].says("Serving", "NoWakeSignal", within=BIRTH)
            stage.product.configure(stage.settings(wake=True))
            stage.has_wake_query.set()
            stage.enter(*(subjects[name] for name in sleepers))
            ends |= {name: executor.submit(_tell, subjects[name]) for name in sleepers}
            yield Acts(subjects, ends)
        finally:
            stage.end()


def _tell(subject: Subject) -> None:
    story, given = STORIES[subject.name]
    if subject.name == "held":
        subject.says("Serving", "NoWakeSignal", within=BIRTH)
    else:
        phase = "Serving" if given.get("minReplicas", 1) else "Idle"
        subject.says(phase, "Ready", within=BIRTH)
    subject.born()
    story(subject)


@pytest.mark.parametrize("name", STORIES)
def test_story(name: str, acts: Acts) -> None:
    """What is told of each claim above holds."""
    acts.ends[name].result()
