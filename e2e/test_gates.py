"""The program that judges canaries, on a real VictoriaMetrics with series as the AI gateway writes.

Minutes pass as fast as the program asks: its clock is the test's, and samples of a whole step, some
hours ago, are imported with their times. `tests/judge` has what a store may answer.

The Jobs that run it are composed on a real control plane, where their pods are played; `make
platform` runs them.
"""

from __future__ import annotations

import dataclasses
import json
import time
import urllib.request
from collections.abc import Iterator, Mapping

import pytest

from e2e import claims, installation, shipped
from e2e.controlplane import metrics, polling
from function.api import settings
from function.cluster import gating
from judge import exits, plan, program
from tests import cluster
from tests.resources import scene

COUNT = "gen_ai_server_request_duration_seconds_count"
SCRAPE = 15
SECONDS = 1800
# The store keeps a day.
AGO = 4 * 3600


@dataclasses.dataclass(frozen=True)
class Series:
    """A counter of one proxy's processor, scraped for as long as the proxy runs.

    Attributes:
        model: The model that was asked.
        each: How much it grows by between two scrapes.
        error: Whether the requests failed.
        first: Its value at the first scrape.
        begins: Seconds after the step's beginning of the first scrape, or before it.
        ends: Of the last one.
        pod: The proxy.
    """

    model: str
    each: float
    error: bool = False
    first: float = 0
    begins: int = -600
    ends: int = 2 * SECONDS
    pod: str = "a"

    def line(self, base: str, started: int) -> dict[str, object]:
        """The series as VictoriaMetrics imports it."""
        times = range(started + self.begins, started + self.ends, SCRAPE)
        metric = {
            "__name__": COUNT,
            "gen_ai_operation_name": "chat",
            "gen_ai_provider_name": "openai",
            "gen_ai_original_model": base,
            "gen_ai_request_model": self.model,
            "pod": self.pod,
            **({"error_type": "_OTHER"} if self.error else {}),
        }
        values = [self.first + index * self.each for index in range(len(times))]
        return {"metric": metric, "values": values, "timestamps": [1000 * at for at in times]}


@dataclasses.dataclass(frozen=True)
class Case:
    """What the store has of a step, how the step ends, and after how many seconds."""

    series: tuple[Series, ...]
    ending: exits.Exit
    seconds: int = SECONDS
    pass_ratio: float | None = None


GOOD = (Series("tuned", 2), Series("base", 20))
CASES = {
    "holds": Case(GOOD, exits.Exit.HELD),
    "holds with an error": Case(
        (*GOOD, Series("tuned", 0, error=True, first=1, begins=900)), exits.Exit.HELD
    ),
    "errors of before the step": Case(
        (*GOOD, Series("tuned", 0, error=True, first=500)), exits.Exit.HELD
    ),
    "breaks": Case((Series("tuned", 1, error=True), *GOOD), exits.Exit.ERROR_RATE, 30),
    # A series that begins with all of its errors, which Prometheus' increase does not count.
    "errors at once": Case(
        (Series("base", 20), Series("tuned", 0, error=True, first=9, begins=300)),
        exits.Exit.ERROR_RATE,
        300,
    ),
    "no requests": Case((Series("base", 20),), exits.Exit.TOO_FEW_REQUESTS),
    "nothing at all": Case((), exits.Exit.TOO_FEW_REQUESTS),
    "a base model that fails too": Case(
        (*GOOD, Series("tuned", 0.5, error=True), Series("base", 5, error=True)),
        exits.Exit.BASE_FAILS,
    ),
    "a proxy that goes and one that comes": Case(
        (
            Series("tuned", 2, ends=600),
            Series("tuned", 2, begins=600, pod="b"),
            Series("base", 20),
        ),
        exits.Exit.HELD,
    ),
    "errors of another canary": Case((*GOOD, Series("law", 9, error=True)), exits.Exit.HELD),
    "a good evaluation": Case(GOOD, exits.Exit.HELD, pass_ratio=0.97),
    "a bad evaluation": Case(GOOD, exits.Exit.EVALS_FAILED, 900, pass_ratio=0.5),
    "no evaluation": Case(GOOD, exits.Exit.NOT_EVALUATED, pass_ratio=-1),
}


class Clock:
    """Time that passes while the program sleeps."""

    def __init__(self, now: int) -> None:
        self.started = self.now = float(now)

    def __call__(self) -> float:
        """Seconds since 1970."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Lets them pass."""
        self.now += seconds


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[metrics.MetricsServer]:
    """A metrics server."""
    work = tmp_path_factory.mktemp("store")
    server = metrics.MetricsServer(work, work, "http://127.0.0.1:1/none")
    server.process.start()
    yield server
    server.process.stop()


def test_a_step_ends_as_what_the_store_has_says(store: metrics.MetricsServer) -> None:
    """Each case has a base model of its own."""
    started = int(time.time()) - AGO
    lines: list[dict[str, object]] = []
    for name, case in CASES.items():
        base = name.replace(" ", "-")
        for one in case.series:
            model = base if one.model == "base" else one.model
            lines.append(dataclasses.replace(one, model=model).line(base, started))
        lines += _evaluated(base, case.pass_ratio, started)
    _import(store, lines)
    endings = {
        name: _judged(store, name.replace(" ", "-"), case, started) for name, case in CASES.items()
    }
    assert endings == {name: (case.ending, case.seconds) for name, case in CASES.items()}


def _evaluated(base: str, ratio: float | None, started: int) -> Iterator[dict[str, object]]:
    """What the exporter writes of an evaluation that ended in the middle of the step.

    An evaluation of before the step, which failed, is there too.
    """
    if ratio is None:
        return
    for at, value in ((started - 3600, 0.1), *(((started + 900, ratio),) if ratio >= 0 else ())):
        for name, number in (("pass_ratio", value), ("timestamp_seconds", float(at))):
            labels = {"namespace": base, "gateway": "llm", "model": "tuned"}
            metric = {"__name__": f"inference_gateway_eval_{name}", **labels}
            yield {"metric": metric, "values": [number], "timestamps": [1000 * at]}


def _import(store: metrics.MetricsServer, lines: list[dict[str, object]]) -> None:
    body = "\n".join(json.dumps(line) for line in lines).encode()
    for path, data in (("api/v1/import", body), ("internal/force_flush", None)):
        request = urllib.request.Request(f"{store.url}/{path}", data)  # noqa: S310
        with urllib.request.urlopen(request, timeout=30):  # noqa: S310
            pass


def _composed(base: str, evaluated: bool) -> Mapping[str, object]:
    """The plan in the Job that a claim of that name composes."""
    gate = {"minutes": SECONDS // 60, **({"evals": {}} if evaluated else {})}
    canary = {"adapter": "tuned", "weightPercent": 10, "gate": gate}
    claim = scene.of(
        name=base,
        namespace=base,
        loraAdapters=[{"name": "tuned", "repository": "org/tuned"}],
        gateway={"enabled": True, "canaries": [canary]},
    )
    site = scene.site(canaryGates={"store": {"podLabels": {"app": "metrics"}}})
    world = cluster.Cluster(claim, site)
    for _ in range(8):
        world.reconcile()
        jobs = [item for key, item in world.objects.items() if f"-{gating.SUFFIX}" in key]
        if jobs:
            (container,) = jobs[0]["spec"]["template"]["spec"]["containers"]
            given: dict[str, object] = json.loads(scene.environment(container)[plan.VARIABLE])
            return given
        world.settle()
    raise AssertionError("no Job")


def _judged(
    store: metrics.MetricsServer, base: str, case: Case, started: int
) -> tuple[exits.Exit, int]:
    composed = {**_composed(base, case.pass_ratio is not None), "url": store.url}
    clock = Clock(started)
    ending = program.run(plan.read(json.dumps(composed)), clock, clock.sleep)
    return ending, int(clock.now - clock.started)


# --- the Jobs, on a control plane


def _weight(claim: claims.Claim) -> int:
    """Percent of the base model's requests that the route sends to the canary."""
    (rule, *_) = claim.one("AIGatewayRoute")["spec"]["rules"]
    (weight,) = [
        backend["weight"] for backend in rule["backendRefs"] if "modelNameOverride" in backend
    ]
    return int(weight)


def _again(claim: claims.Claim, generation: int) -> None:
    gateway = claim.manifest["spec"]["gateway"]
    gateway["canaries"][0]["gate"]["generation"] = generation
    claim.apply(gateway=gateway)


def test_jobs_take_a_canary_up_and_back(
    tenant: claims.Tenant, installed: installation.Installation
) -> None:
    """A Job that ends well is followed by the next one; one that broke stays, to be read."""
    site = shipped.one(shipped.environment("reference"))
    gates = shipped.one(shipped.ROOT / "examples/settings/canary-gates.yaml")
    installed.configure({**site, "data": settings.merge(site["data"], gates["data"])})
    claim = tenant.claim(shipped.one(shipped.ROOT / "examples/features/gate.yaml")).apply()
    claim.wait_condition("RouteReady", "True", "Published")
    polling.until(lambda: _weight(claim) == 25, what="the whole weight", timeout=60)
    claim.wait(lambda _: "Job" not in claim.kinds(), what="without a Job")

    tenant.plane.kubelet.fail_jobs(tenant.namespace, exits.Exit.ERROR_RATE)
    _again(claim, 1)
    claim.wait_condition("RouteReady", "False", "CanaryRolledBack")
    polling.until(lambda: _weight(claim) == 0, what="no weight", timeout=60)
    failed = claim.one("Job")
    given = settings.merge(site["data"], gates["data"])
    given["inferenceService"]["canaryGates"]["limits"] = {"memory": "256Mi"}
    installed.configure({**site, "data": given})
    claim.reconcile("settings")
    claim.wait_ready()
    assert claim.one("Job")["metadata"]["uid"] == failed["metadata"]["uid"]

    tenant.plane.kubelet.heal_jobs(tenant.namespace)
    _again(claim, 2)
    claim.wait_condition("RouteReady", "True", "Published")
    polling.until(lambda: _weight(claim) == 25, what="the whole weight", timeout=60)
    claim.wait(lambda _: "Job" not in claim.kinds(), what="without a Job")
