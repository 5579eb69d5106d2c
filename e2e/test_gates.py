"""The program that judges canaries, on a real VictoriaMetrics with series as the AI gateway writes.

Minutes pass as fast as the program asks: its clock is the test's, and samples of a whole step, some
hours ago, are imported with their times. `tests/judge` has what a store may answer.

The Jobs that run it are composed on a real control plane, where their pods are played: by hand, or
as the program ends with the plan of the Job on the same VictoriaMetrics. `make platform` runs them.
"""

from __future__ import annotations

import dataclasses
import json
import time
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from e2e import claims, installation, shipped
from e2e.controlplane import api, metrics, polling
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
# What docs/canaries.md calls the labels that Envoy Gateway gives its proxies.
OWNER = "gateway_envoyproxy_io_owning_gateway"
LABELS = {"name": f"{OWNER}_name", "namespace": f"{OWNER}_namespace"}
GATEWAY = ("ai-gateway", "envoy-ai-gateway-system")
OTHER = ("llm", "elsewhere")


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
        gateway: Name and namespace of the Gateway that the proxy is of.
    """

    model: str
    each: float
    error: bool = False
    first: float = 0
    begins: int = -600
    ends: int = 2 * SECONDS
    pod: str = "a"
    gateway: tuple[str, str] = GATEWAY

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
            **dict(zip(LABELS.values(), self.gateway, strict=True)),
            **({"error_type": "_OTHER"} if self.error else {}),
        }
        values = [self.first + index * self.each for index in range(len(times))]
        return {"metric": metric, "values": values, "timestamps": [1000 * at for at in times]}


@dataclasses.dataclass(frozen=True)
class Case:
    """What the store has of a step, how the step ends, and after how many seconds.

    Attributes:
        labels: The labels that tell gateways apart, as the settings name them.
    """

    series: tuple[Series, ...]
    ending: exits.Exit
    seconds: int = SECONDS
    pass_ratio: float | None = None
    labels: Mapping[str, str] | None = None


GOOD = (Series("tuned", 2), Series("base", 20))
# The same names on another Gateway, of which the adapter fails.
STRANGERS = (
    Series("tuned", 2, error=True, gateway=OTHER),
    Series("base", 20, gateway=OTHER),
)
# None of the series has it.
LABELS_OF_NONE = {"name": "gateway"}
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
    "another gateway": Case((*GOOD, *STRANGERS), exits.Exit.HELD, labels=LABELS),
    "another gateway alone": Case(STRANGERS, exits.Exit.TOO_FEW_REQUESTS, labels=LABELS),
    "a namespace untold": Case(
        (*GOOD, *STRANGERS), exits.Exit.HELD, labels={"name": LABELS["name"]}
    ),
    "gateways added up": Case((*GOOD, *STRANGERS), exits.Exit.ERROR_RATE, 30),
    "labels of none": Case(GOOD, exits.Exit.TOO_FEW_REQUESTS, labels=LABELS_OF_NONE),
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


def _composed(base: str, case: Case) -> Mapping[str, object]:
    """The plan in the Job that a claim of that name composes."""
    gate = {"minutes": SECONDS // 60, **({} if case.pass_ratio is None else {"evals": {}})}
    canary = {"adapter": "tuned", "weightPercent": 10, "gate": gate}
    claim = scene.of(
        name=base,
        namespace=base,
        loraAdapters=[{"name": "tuned", "repository": "org/tuned"}],
        gateway={"enabled": True, "canaries": [canary]},
    )
    gates: dict[str, Any] = {"store": {"podLabels": {"app": "metrics"}}}
    if case.labels is not None:
        gates["gatewayLabels"] = case.labels
    site = scene.site(canaryGates=gates)
    world = cluster.Cluster(claim, site)
    for _ in range(8):
        world.reconcile()
        jobs = [item for key, item in world.objects.items() if f"-{gating.SUFFIX}" in key]
        if jobs:
            return _plan(jobs[0])
        world.settle()
    raise AssertionError("no Job")


def _plan(job: Mapping[str, Any]) -> dict[str, object]:
    """What a Job is to judge by."""
    (container,) = job["spec"]["template"]["spec"]["containers"]
    given: dict[str, object] = json.loads(scene.environment(container)[plan.VARIABLE])
    return given


def _judged(
    store: metrics.MetricsServer, base: str, case: Case, started: int
) -> tuple[exits.Exit, int]:
    return _run({**_composed(base, case), "url": store.url}, started)


def _run(given: Mapping[str, object], started: int) -> tuple[exits.Exit, int]:
    """How the program ends that starts at a time, and after how many seconds."""
    clock = Clock(started)
    ending = program.run(plan.read(json.dumps(given)), clock, clock.sleep)
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


def _settings(store: metrics.MetricsServer, labels: Mapping[str, str]) -> api.Object:
    """Those of the reference platform, with gates that ask a store for series of these labels."""
    site = shipped.one(shipped.environment("reference"))
    gates = shipped.one(shipped.ROOT / "examples/settings/canary-gates.yaml")
    data = settings.merge(site["data"], gates["data"])
    data["inferenceService"]["canaryGates"] |= {"queryURL": store.url, "gatewayLabels": labels}
    return {**site, "data": data}


def _next(claim: claims.Claim, before: set[str]) -> api.Object:
    """The Job that judges a step, once it is another one than those of before, which it joins."""

    def found() -> list[api.Object]:
        return [
            item
            for key, item in claim.composed().items()
            if f"-{gating.SUFFIX}" in key
            and item["metadata"]["name"] not in before
            and "startTime" in item.get("status", {})
        ]

    (job,) = polling.until(found, what="another Job of the gate", timeout=60)
    before.add(job["metadata"]["name"])
    return job


def _record(claim: claims.Claim) -> dict[str, object]:
    (record,) = claim.read()["status"]["canaries"]
    return dict(record)


def _wait_record(claim: claims.Claim, name: str, value: int) -> None:
    polling.until(
        lambda: _record(claim).get(name) == value, what=f"{name} to be {value}", timeout=60
    )


def test_a_gate_waits_longer_each_time_until_it_sees_its_own_gateway(
    tenant: claims.Tenant, installed: installation.Installation, store: metrics.MetricsServer
) -> None:
    """Each Job ends as the program does that runs with its plan, on series of two gateways."""
    claim = tenant.claim(shipped.one(shipped.ROOT / "examples/features/gate.yaml"))
    claim.manifest["spec"]["gateway"]["canaries"][0]["gate"]["minutes"] = 1
    claim.apply().wait_condition("RouteReady", "False", "GatesWithheld")
    assert _weight(claim) == 0
    # As if requests of the next hours were counted already.
    begun = int(time.time())
    failing = Series("tuned", 50, error=True, gateway=OTHER)
    counted = (Series("tuned", 50), Series("gate", 500), failing)
    _import(store, [one.line("gate", begun) for one in counted])

    kubelet, seen = tenant.plane.kubelet, set[str]()
    kubelet.run_jobs(tenant.namespace)
    installed.configure(_settings(store, LABELS_OF_NONE))
    claim.reconcile("gates")
    jobs, waits = [], []
    for tries in (1, 2, 3):
        jobs.append(_next(claim, seen))
        ending, seconds = _run(_plan(jobs[-1]), int(time.time()))
        assert ending is exits.Exit.TOO_FEW_REQUESTS
        waits.append((seconds, jobs[-1]["spec"]["activeDeadlineSeconds"]))
        kubelet.end_jobs(tenant.namespace, ending)
        _wait_record(claim, "tries", tries)
    assert waits == [(60, 960), (1200, 2100), (2400, 3300)]
    assert _weight(claim) == 5
    waiting = claim.wait_condition("RouteReady", "True", "CanaryWaits")
    *_, message = claims.conditions(waiting)["RouteReady"]
    assert "too few requests" in message
    assert "canaryGates.gatewayLabels" in message

    # The fourth with the labels of before.
    _next(claim, seen)
    installed.configure(_settings(store, LABELS))
    claim.reconcile("labels")
    judging = _plan(_next(claim, seen))
    assert judging["labels"] == dict(zip(LABELS.values(), GATEWAY, strict=True))
    assert judging["since"] == jobs[0]["status"]["startTime"], "requests count on"
    ending, seconds = _run(judging, int(time.time()))
    assert (ending, seconds) == (exits.Exit.HELD, 60)
    kubelet.end_jobs(tenant.namespace, ending)
    _wait_record(claim, "heldPercent", 5)
    polling.until(lambda: _weight(claim) == 25, what="the next step", timeout=60)
    assert "patience" not in _plan(_next(claim, seen))
    kubelet.heal_jobs(tenant.namespace)
    claim.wait_condition("RouteReady", "True", "Published")
