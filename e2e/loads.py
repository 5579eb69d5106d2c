"""Claims under loads, and what the arithmetic of `tests.scaling` foretells of their replicas."""

from __future__ import annotations

import dataclasses
import threading
import time
import typing
from collections.abc import Callable

from e2e import claims, engines, history, installation, shipped
from e2e.controlplane import api, keda, metrics, nodes, polling
from tests.scaling import simulation

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
        seen = [(round(m.at - since, 1), m.value) for m in self.changes(since)]
        assert seen == [], f"{self.name} went {self.path}"
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
