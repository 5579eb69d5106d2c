"""One claim's time as the metrics show it: engines, Deployment, pods, preload Job, picker.

The engine's series come from recorded expositions, with the labels that the scrape adds. A
situation says which values change, and when. Times are minutes from the situation's start.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import json
import math
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import parser

from function.engines import engine as engines
from function.engines.tei import metrics as tei
from function.engines.vllm import metrics
from function.situation import situations
from function.workloads import batches
from tests.alerts import promql, rendered, sources

MINUTES = 45
# Two a minute: the default interval of the scrape.
SAMPLES_A_MINUTE = 2
INTERVAL = "30s"
TIMES = [sample / SAMPLES_A_MINUTE for sample in range(MINUTES * SAMPLES_A_MINUTE + 1)]

# The notation of unit tests of Prometheus and VictoriaMetrics for a missing sample, and for the
# marker that ends a series.
MISSING, STALE = "_", "stale"


@dataclasses.dataclass(frozen=True)
class Load:
    """What an engine does.

    Attributes:
        running: Requests in the batch.
        waiting: Requests in the queue.
        cache: Share of the KV cache in use.
        tokens: Tokens a minute.
        requests: Requests a minute.
        first_token: Seconds that each request waits for its first token.
        failing: Share of the requests that are answered with 5xx.
        refused: Share of the requests that are answered with 4xx.
        preemptions: Preempted requests a minute.
        overloaded: Share of the texts that a full text-embeddings-inference refuses.
    """

    running: float = 0
    waiting: float = 0
    cache: float = 0
    tokens: float = 0
    requests: float = 0
    first_token: float = 0.3
    failing: float = 0
    refused: float = 0
    preemptions: float = 0
    overloaded: float = 0


IDLE = Load()
# 12 of 32 sequences at the speeds that were measured on an L4's worth of memory.
BUSY = Load(running=12, cache=0.15, tokens=40_000, requests=60, refused=0.02)


class Target(enum.Enum):
    """A scrape that brings no engine's series."""

    UNREACHABLE = "it fails"
    GONE = "service discovery does not list it"


@dataclasses.dataclass
class Engine:
    """A pod with an engine.

    Attributes:
        pod: Its name.
        doing: What it does from a minute on, until the next.
        restarts: Minutes at which a new process takes over: its counters begin at zero.
    """

    pod: str
    doing: dict[float, Load | Target]
    restarts: tuple[float, ...] = ()


@dataclasses.dataclass
class Pod:
    """A pod as kube-state-metrics shows it.

    Attributes:
        name: Its name.
        scheduled: When it got a node; before the situation's start if negative.
        ready: Whether it is ready, from a minute on.
        deleted: When its deletion was asked for.
        gone: When it no longer exists.
    """

    name: str
    scheduled: float
    ready: dict[float, bool]
    deleted: float = math.inf
    gone: float = math.inf


@dataclasses.dataclass
class Job:
    """A preload Job as kube-state-metrics shows it.

    Attributes:
        started: When it started; before the situation's start if negative.
        failed: When it failed.
        done: When it succeeded.
        gone: When it no longer exists.
        digest: The end of its name.
        component: What it is for.
    """

    started: float
    failed: float = math.inf
    done: float = math.inf
    gone: float = math.inf
    digest: str = "0f3a9b2c7d"
    component: str = "preload"


@dataclasses.dataclass
class Situation:
    """Everything that the rules of one claim may see.

    Attributes:
        plan: The claim.
        engines: Its scraped pods.
        replicas: Wanted and available replicas of the Deployment, from a minute on; empty for a
            Deployment that does not exist.
        pods: Its pods in the cluster.
        jobs: Its preload Jobs.
        picker: Whether a scrape of the endpoint picker succeeds, from a minute on.
        picks: Engines whose metrics the endpoint picker reads, from a minute on.
        observers: Instances of kube-state-metrics, each of which shows the same.
    """

    plan: situations.Situation
    engines: list[Engine]
    replicas: dict[float, tuple[int, int]]
    pods: list[Pod]
    jobs: list[Job]
    picker: dict[float, bool]
    picks: dict[float, int]
    observers: tuple[str, ...] = ("10.0.0.9:8080",)

    def scraped(self, load: Mapping[float, Load | Target]) -> None:
        """Let every engine do something from a minute on."""
        for engine in self.engines:
            engine.doing |= load


def pod_name(plan: situations.Situation, number: int) -> str:
    """The name of a pod of the claim's Deployment."""
    return f"{plan.plan.identity.name}-7c9d8b6f5d-2x4z{number}"


def healthy(plan: situations.Situation) -> Situation:
    """Two replicas under load for hours, the weights long there."""
    names = [pod_name(plan, number) for number in (1, 2)]
    return Situation(
        plan=plan,
        engines=[Engine(name, {0: BUSY}) for name in names],
        replicas={0: (2, 2)},
        pods=[Pod(name, -500, {0: True}) for name in names],
        jobs=[Job(-600, done=-550)],
        picker={0: True},
        picks={0: 2},
    )


# --- series


def series(situation: Situation, version: str) -> list[dict[str, str]]:
    """The input series of a unit test.

    Args:
        situation: The claim with its time.
        version: The recording of the engine's series, one of ``sources.VERSIONS``.
    """
    lines = [
        *_up(situation),
        *(line for engine in situation.engines for line in _engine(situation, engine, version)),
        *(line for observer in situation.observers for line in _observed(situation, observer)),
    ]
    return [{"series": _selector(*key), "values": " ".join(values)} for key, values in lines]


_Labels = Mapping[str, str]
_Line = tuple[tuple[str, _Labels], list[str]]


def _selector(name: str, labels: _Labels) -> str:
    inside = ",".join(f"{key}={json.dumps(value)}" for key, value in sorted(labels.items()))
    return f"{name}{{{inside}}}"


def _ended(values: list[str]) -> list[str]:
    """Put the marker after each stretch of samples, as a scrape does that loses a series."""
    return [
        STALE if value == MISSING and index and values[index - 1] != MISSING else value
        for index, value in enumerate(values)
    ]


def _at(changes: Mapping[float, object], minute: float) -> object:
    """The value at a minute; None before the first change."""
    past = [start for start in changes if start <= minute]
    return changes[max(past)] if past else None


def _scraped(situation: Situation, job: str, pod: str) -> dict[str, str]:
    return {
        "namespace": situation.plan.plan.identity.namespace,
        "job": job,
        "service": job,
        "pod": pod,
        "container": "vllm",
        "endpoint": engines.PORT_NAME,
        "instance": f"{pod}:8000",
    }


def _up(situation: Situation) -> Iterator[_Line]:
    name = situation.plan.plan.identity.name
    for engine in situation.engines:
        states = [_at(engine.doing, minute) for minute in TIMES]
        values = [
            MISSING if state in (None, Target.GONE) else str(int(state != Target.UNREACHABLE))
            for state in states
        ]
        yield ("up", _scraped(situation, name, engine.pod)), _ended(values)
    if situation.plan.traffic.picker:
        states = [_at(situation.picker, minute) for minute in TIMES]
        values = [MISSING if state is None else str(int(bool(state))) for state in states]
        picker = situation.plan.plan.identity.picker_name
        labels = _scraped(situation, picker, f"{picker}-0")
        yield ("up", labels), _ended(values)
        counts = [
            str(_at(situation.picks, minute)) if scraped == "1" else MISSING
            for minute, scraped in zip(TIMES, values, strict=True)
        ]
        yield ("inference_pool_ready_pods", {**labels, "name": picker}), _ended(counts)


_GAUGES: Mapping[str, Callable[[Load], float]] = {
    metrics.RUNNING: lambda load: load.running,
    metrics.WAITING: lambda load: load.waiting,
    metrics.KV_CACHE_USAGE: lambda load: load.cache,
    tei.WAITING: lambda load: load.waiting,
}


def _growth(name: str, labels: _Labels, load: Load) -> float:
    """By how much a counter grows in a minute.

    Raises:
        KeyError: Nothing here says how the counter moves.
    """
    if name == metrics.TIME_TO_FIRST_TOKEN:
        answered = load.requests * (1 - load.failing - load.refused)
        return answered if load.first_token <= float(labels["le"]) else 0
    if name == metrics.FINISHED:
        return load.requests if labels["finished_reason"] == "stop" else 0
    if name == metrics.HTTP_REQUESTS:
        if not labels["handler"].endswith("completions"):
            return 0
        shares = {"5xx": load.failing, "4xx": load.refused}
        return load.requests * shares.get(labels["status"], 1 - sum(shares.values()))
    if name == tei.FAILURES:
        shares = {tei.INFERENCE: load.failing, tei.OVERLOADED: load.overloaded}
        return load.requests * shares.get(labels["err"], 0)
    if name == tei.REQUESTS:
        return load.requests if labels["method"] == "single" else 0
    if name == f"{tei.BATCH}_count":
        return load.requests if load.tokens else 0
    return {metrics.PREEMPTIONS: load.preemptions, metrics.GENERATED_TOKENS: load.tokens}[name]


# What the rules of text-embeddings-inference read, as the hand-written exposition has it.
_OF_TEI: list[tuple[str, dict[str, str], float]] = [
    (tei.WAITING, {}, 0),
    (f"{tei.BATCH}_count", {}, 0),
    *((tei.REQUESTS, {"method": method}, 0) for method in ("single", "batch")),
    *((tei.FAILURES, {"err": err}, 0) for err in (tei.INFERENCE, tei.OVERLOADED, "validation")),
]


@functools.cache
def _recorded(version: str) -> list[tuple[str, dict[str, str], float]]:
    """The recorded samples that the rules of any claim read.

    The result holds the requests' statuses and the buckets of both recordings. Each engine has all
    of them, but a single recording may lack some. Both versions have the same histogram bounds.
    """
    names = {
        selector.name
        for plan in rendered.plans().values()
        for rule in rendered.rules(plan)
        for selector in promql.selectors(promql.parse(rule["expr"]))
    }
    samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    for recording in sorted(sources.VERSIONS, key=lambda other: other != version):
        text = (sources.HERE / f"vllm-{recording}.txt").read_text(encoding="utf-8")
        for family in parser.text_string_to_metric_families(text):
            for sample in family.samples:
                labels = frozenset(
                    (key, value) for key, value in sample.labels.items() if key != "model_name"
                )
                if sample.name in names:
                    modelled = "model_name" in sample.labels
                    labels |= {("model_name", "")} if modelled else set()
                    samples.setdefault((sample.name, labels), sample.value)
    return [(name, dict(labels), value) for (name, labels), value in samples.items()]


def _engine(situation: Situation, engine: Engine, version: str) -> Iterator[_Line]:
    added = _scraped(situation, situation.plan.plan.identity.name, engine.pod)
    of_tei = situation.plan.plan.engine.NAME == "tei"
    for name, recorded, value in _OF_TEI if of_tei else _recorded(version):
        labels = recorded | added
        if "model_name" in recorded:
            labels["model_name"] = situation.plan.plan.identity.name
        if name in _GAUGES:
            values = [_gauge(name, _at(engine.doing, minute)) for minute in TIMES]
        else:
            values = list(_counter(engine, name, labels, value))
        yield (name, labels), _ended(values)


def _gauge(name: str, state: object) -> str:
    return f"{_GAUGES[name](state):.10g}" if isinstance(state, Load) else MISSING


def _counter(engine: Engine, name: str, labels: _Labels, total: float) -> Iterator[str]:
    for minute in TIMES:
        before = _at(engine.doing, minute - 1 / SAMPLES_A_MINUTE)
        if minute in engine.restarts:
            total = 0
        elif isinstance(before, Load):
            total += _growth(name, labels, before) / SAMPLES_A_MINUTE
        yield f"{total:.10g}" if isinstance(_at(engine.doing, minute), Load) else MISSING


def _observed(situation: Situation, observer: str) -> Iterator[_Line]:
    """The series of one kube-state-metrics: the labels are the objects'."""
    own = {"job": "kube-state-metrics", "instance": observer}
    place = own | {"namespace": situation.plan.plan.identity.namespace}
    yield from _of_deployment(situation, place)
    for pod in situation.pods:
        yield from _of_pod(pod, place | {"pod": pod.name, "uid": f"uid-of-{pod.name}"})
    for job in situation.jobs:
        name = batches.name(situation.plan.plan.identity, job.digest, job.component)
        yield from _of_job(job, place | {"job_name": name})


def _of_deployment(situation: Situation, place: _Labels) -> Iterator[_Line]:
    states = [_at(situation.replicas, minute) for minute in TIMES]
    labels = {**place, "deployment": situation.plan.plan.identity.name}
    for index, name in enumerate(("spec_replicas", "status_replicas_available")):
        values = [str(state[index]) if isinstance(state, tuple) else MISSING for state in states]
        yield (f"kube_deployment_{name}", labels), _ended(values)


def _between(start: float, end: float, value: Callable[[float], float]) -> list[str]:
    """Samples from one minute to before another, and none outside."""
    return _ended(
        [f"{value(minute):.10g}" if start <= minute < end else MISSING for minute in TIMES]
    )


def _constant(value: float) -> Callable[[float], float]:
    return lambda _: float(value)


def _of_pod(pod: Pod, labels: _Labels) -> Iterator[_Line]:
    scheduled = _between(pod.scheduled, pod.gone, _constant(pod.scheduled * 60))
    yield ("kube_pod_status_scheduled_time", labels), scheduled
    for condition in ("true", "false", "unknown"):

        def holds(minute: float, condition: str = condition) -> float:
            ready = "true" if _at(pod.ready, minute) else "false"
            return float(condition == ready)

        shown = {**labels, "condition": condition}
        yield ("kube_pod_status_ready", shown), _between(pod.scheduled, pod.gone, holds)
    if pod.deleted < MINUTES:
        deleted = _between(pod.deleted, pod.gone, _constant(pod.deleted * 60))
        yield ("kube_pod_deletion_timestamp", labels), deleted


def _of_job(job: Job, labels: _Labels) -> Iterator[_Line]:
    start = _between(job.started, job.gone, _constant(job.started * 60))
    yield ("kube_job_status_start_time", labels), start
    ended = min(job.failed, job.done)
    active = _between(job.started, job.gone, lambda minute: float(minute < ended))
    yield ("kube_job_status_active", labels), active
    if job.failed < MINUTES:
        for condition in ("true", "false", "unknown"):
            shown = {**labels, "condition": condition}
            failed = _between(job.failed, job.gone, _constant(condition == "true"))
            yield ("kube_job_failed", shown), failed
