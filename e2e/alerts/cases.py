"""What may happen to a claim, and which of its alerts fire because of it.

A fault begins at minute 15, when every window is full of healthy traffic. `since` is the first
minute at which the rule's condition holds: at once for what is read now, later where a rate over
minutes has to pass a threshold. When the alert fires follows from it and the documented time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from e2e.alerts import situation as situations
from e2e.alerts.situation import BUSY, IDLE, Engine, Job, Pod, Situation, Target

START = 15
NEVER = 1000

Change = Callable[[Situation], None]


@dataclasses.dataclass(frozen=True)
class Firing:
    """A fault that lasts.

    Attributes:
        alert: What fires.
        change: What happens to the healthy claim.
        since: The first minute at which the condition holds.
        until: The first minute at which it no longer holds.
        pod: Number of the pod that the alert names; None where it names none.
        variant: Which claim of ``tests.alerts.rendered``.
    """

    alert: str
    change: Change
    since: int = START
    until: int = NEVER
    pod: int | None = None
    variant: str = "xplane-qwen-coder"


@dataclasses.dataclass(frozen=True)
class Quiet:
    """Something at which nothing fires.

    Attributes:
        change: What happens to the healthy claim.
        alerts: The alerts that it comes close to.
        variant: Which claim of ``tests.alerts.rendered``.
    """

    change: Change
    alerts: tuple[str, ...] = ()
    variant: str = "xplane-qwen-coder"


PREFIX = "InferenceService"
NO_REPLICA = f"{PREFIX}NoReadyReplica"
UNSCRAPED = f"{PREFIX}ScrapeMissing"
COLD_START = f"{PREFIX}ColdStartOverBudget"
ERRORS = f"{PREFIX}ErrorRatioHigh"
SLOW = f"{PREFIX}TimeToFirstTokenHigh"
QUEUE = f"{PREFIX}QueueSustained"
CACHE = f"{PREFIX}KVCacheSaturated"
SEQUENCES = f"{PREFIX}RaiseMaxNumSeqs"
UNBALANCED = f"{PREFIX}ReplicasUnbalanced"
PREEMPTIONS = f"{PREFIX}Preemptions"
STALLED = f"{PREFIX}EngineStalled"
REFUSED = f"{PREFIX}RequestsRefused"
WEIGHTS = f"{PREFIX}WeightsNotReady"
CANARY = f"{PREFIX}CanaryRolledBack"
PICKER = f"{PREFIX}EndpointPickerMissing"
BLIND = f"{PREFIX}EndpointPickerBlind"
# Of objectives: ``e2e.test_objectives`` has their cases, which last for hours.
BURNS_FAST = f"{PREFIX}BudgetBurnsFast"
BURNS_SLOWLY = f"{PREFIX}BudgetBurnsSlowly"
UNMEASURED = f"{PREFIX}ObjectiveUnmeasured"


# --- changes


def load(end: float = NEVER, **values: float) -> Change:
    """Both engines are busy otherwise, from the start of the fault to its end."""
    other = dataclasses.replace(BUSY, **values)
    return lambda one: one.scraped({START: other, end: BUSY})


def one_of_two(end: float = NEVER, **values: float) -> Change:
    """The first engine is busy otherwise; the second is as before."""

    def change(one: Situation) -> None:
        one.engines[0].doing |= {START: dataclasses.replace(BUSY, **values), end: BUSY}

    return change


def replicas(end: float = NEVER, *, wanted: int = 2, available: int = 0) -> Change:
    """The Deployment has another number of replicas; what is scraped stays."""

    def change(one: Situation) -> None:
        one.replicas |= {START: (wanted, available), end: (2, 2)}

    return change


def scrapes(end: float = NEVER, target: Target = Target.UNREACHABLE) -> Change:
    """No engine is scraped; they serve."""
    return lambda one: one.scraped({START: target, end: BUSY})


def never_scraped(one: Situation) -> None:
    """Nothing selects the scrape object: there is no series at all."""
    one.engines.clear()


def starting(end: float = NEVER) -> Change:
    """A third pod is not ready when its budget ends, at the start of the fault."""

    def change(one: Situation) -> None:
        scheduled = START - one.plan.plan.start.seconds / 60
        name = situations.pod_name(one.plan, 3)
        one.pods.append(Pod(name, scheduled, {scheduled: False, end: True}))
        one.replicas |= {0: (3, 2), end: (3, 3)}

    return change


def restarted(end: float) -> Change:
    """The engine of an old pod crashes and loads its weights again; the other pod serves."""

    def change(one: Situation) -> None:
        one.pods[0].ready |= {START: False, end: True}
        one.engines[0].doing |= {START: Target.UNREACHABLE, end: BUSY}
        one.engines[0].restarts = (end,)
        one.replicas |= {START: (2, 1), end: (2, 2)}

    return change


def crashing(one: Situation) -> None:
    """Every engine starts anew every four minutes, under load."""
    for engine, pod, first in zip(one.engines, one.pods, (4, 6), strict=True):
        at = range(first, situations.MINUTES, 4)
        engine.restarts = tuple(at)
        for minute in at:
            engine.doing |= {minute - 1: Target.UNREACHABLE, minute: BUSY}
            pod.ready |= {minute - 1: False, minute: True}
            one.replicas |= {minute - 1: (2, 1), minute: (2, 2)}


def restarted_at_once(one: Situation) -> None:
    """Engines restart between two scrapes: only the counters show it."""
    for engine in one.engines:
        engine.restarts = tuple(range(3, situations.MINUTES, 3))


def idle(one: Situation) -> None:
    """No traffic at all: counters stand where they were recorded."""
    one.scraped({0: IDLE})


def traffic_stops(one: Situation) -> None:
    """Requests of hours, then none; no replica goes."""
    one.scraped({START: IDLE})


def asleep(one: Situation) -> None:
    """Scaled to zero: series end with their pods."""
    one.scraped({START: Target.GONE})
    one.replicas |= {START: (0, 0)}
    for pod in one.pods:
        pod.deleted, pod.gone = START - 1, START


def asleep_while_ill(one: Situation) -> None:
    """Every gauge is wrong for four minutes, then the claim is scaled to zero."""
    bad = dataclasses.replace(BUSY, waiting=90, cache=0.99, tokens=0)
    one.scraped({START - 4: bad})
    asleep(one)


def woken(one: Situation) -> None:
    """At zero, then asked for one replica, which takes nine minutes."""
    one.replicas = {0: (0, 0), START: (1, 0), START + 9: (1, 1)}
    one.pods = [Pod(one.pods[0].name, START + 1, {START + 1: False, START + 9: True})]
    one.engines = [Engine(one.pods[0].name, {START + 9: BUSY}, restarts=(START + 9,))]


def nothing_yet(one: Situation) -> None:
    """The first reconcile: weights are downloaded, there is no Deployment."""
    one.replicas, one.engines, one.pods, one.jobs = {}, [], [], [Job(5)]


def unobserved(one: Situation) -> None:
    """kube-state-metrics is not installed."""
    one.observers = ()


def unobserved_and_unscraped(one: Situation) -> None:
    """No metrics of any kind: nothing is known, and nothing is said."""
    one.observers, one.engines = (), []
    one.picker = {}


def observed_twice(one: Situation) -> None:
    """Two replicas of kube-state-metrics, each of which shows everything."""
    one.observers = ("10.0.0.9:8080", "10.0.0.10:8080")


def both(*changes: Change) -> Change:
    """Several things happen."""

    def change(one: Situation) -> None:
        for each in changes:
            each(one)

    return change


def rollout(one: Situation) -> None:
    """Pods are replaced one by one: each drains, each new one starts at nothing."""
    for number, (engine, pod) in enumerate(zip(list(one.engines), list(one.pods), strict=True)):
        at = START + 12 * number
        pod.ready |= {at: False}
        pod.deleted, pod.gone = at, at + 3
        engine.doing |= {at: IDLE, at + 3: Target.GONE}
        name = situations.pod_name(one.plan, number + 5)
        one.pods.append(Pod(name, at + 3, {at + 3: False, at + 8: True}))
        one.engines.append(Engine(name, {at + 8: BUSY}, restarts=(at + 8,)))
        one.replicas |= {at: (2, 1), at + 8: (2, 2)}


def long_drain(one: Situation) -> None:
    """A pod that drains for half an hour: not ready, and long past its start."""
    one.pods[0].ready |= {START: False}
    one.pods[0].deleted, one.pods[0].gone = START, START + 30
    one.engines[0].doing |= {START: dataclasses.replace(BUSY, running=1)}


def adapters(one: Situation) -> None:
    """A tenth of the traffic moves to a canary: the series stay the base model's."""
    one.engines[0].doing |= {START: dataclasses.replace(BUSY, running=14, requests=66)}


def bad_callers(one: Situation) -> None:
    """All requests are refused as malformed; that is not the engine's failure."""
    one.scraped({START: dataclasses.replace(BUSY, refused=1)})


def failing_before_silence(one: Situation) -> None:
    """Four in ten requests of a minute fail, and they were the last: the share rises by itself."""
    one.scraped({START: dataclasses.replace(BUSY, failing=0.41), START + 1: IDLE})


def rare_failures(count: float) -> Change:
    """Hardly anybody calls; so many requests fail within a minute, half on each engine."""
    calm = dataclasses.replace(IDLE, requests=0.1)
    bad = dataclasses.replace(calm, requests=count / 2, failing=1)
    return lambda one: one.scraped({0: calm, START: bad, START + 1: calm})


def job(begun: float, *, failed: float = NEVER, done: float = NEVER, gone: float = NEVER) -> Change:
    """Another preload Job, for a changed claim."""

    def change(one: Situation) -> None:
        one.jobs.append(Job(begun, failed=failed, done=done, gone=gone, digest="deadbeef01"))

    return change


def judged(failed: float, gone: float = NEVER) -> Change:
    """A Job that judges a canary ends without success."""

    def change(one: Situation) -> None:
        begun = START - 10
        one.jobs.append(Job(begun, failed=failed, gone=gone, digest="deadbeef01", component="gate"))

    return change


def long_job(done: float = NEVER) -> Change:
    """A Job reaches half of its deadline at the start of the fault."""

    def change(one: Situation) -> None:
        half = one.plan.plan.site.preload.active_deadline_seconds / 2 / 60
        job(START - half, done=done)(one)

    return change


def picker(end: float = NEVER, *, listed: bool = True) -> Change:
    """The endpoint picker is not scraped."""

    def change(one: Situation) -> None:
        one.picker = {0: True, START: False, end: True} if listed else {}

    return change


def blind(end: float = NEVER) -> Change:
    """The endpoint picker is scraped, and reads the metrics of no engine."""
    return lambda one: one.picks.update({START: 0, end: 2})


# --- cases

FIRING = {
    "no replica becomes ready": Firing(NO_REPLICA, both(replicas(), scrapes(target=Target.GONE))),
    "no replica, seen by two kube-state-metrics": Firing(
        NO_REPLICA, both(observed_twice, replicas(), scrapes(target=Target.GONE))
    ),
    "no replica for 20 minutes": Firing(NO_REPLICA, replicas(START + 20), until=START + 20),
    "scrapes fail": Firing(UNSCRAPED, scrapes()),
    "scrapes fail for 20 minutes": Firing(UNSCRAPED, scrapes(START + 20), until=START + 20),
    "targets are lost": Firing(UNSCRAPED, scrapes(target=Target.GONE)),
    "never scraped": Firing(UNSCRAPED, never_scraped, since=0),
    "a start over its budget": Firing(COLD_START, starting(), since=START + 1, pod=3),
    "a start over its budget, seen twice": Firing(
        COLD_START, both(observed_twice, starting()), since=START + 1, pod=3
    ),
    "an old pod does not come back": Firing(COLD_START, restarted(NEVER), since=START + 10, pod=1),
    # Six in ten fail: after a minute 6 % of the requests of ten.
    "most requests fail": Firing(ERRORS, load(failing=0.6), since=START + 1),
    "a few requests fail, always": Firing(
        ERRORS, lambda one: one.scraped({0: dataclasses.replace(BUSY, failing=0.06)}), since=1
    ),
    "all requests fail while engines restart": Firing(
        ERRORS, both(load(failing=0.6), restarted_at_once), since=START + 1
    ),
    "five of a handful of requests fail": Firing(
        ERRORS, rare_failures(5.2), since=START + 1, until=START + 11
    ),
    # Three minutes into the silence 24 requests of 180 were errors: a larger share each minute.
    "requests fail before a silence": Firing(
        ERRORS, failing_before_silence, since=START + 3, until=START + 11
    ),
    # After a minute one request in ten is slow, which is more than one in twenty.
    "first tokens take half a minute": Firing(SLOW, load(first_token=30), since=START + 1),
    # The last slow minute leaves the window of ten.
    "first tokens are slow for 15 minutes": Firing(
        SLOW, load(START + 15, first_token=30), since=START + 1, until=START + 25
    ),
    "requests queue": Firing(QUEUE, load(waiting=8.5, cache=0.6)),
    "requests queue at one replica": Firing(QUEUE, one_of_two(waiting=18, cache=0.6)),
    "the cache is full": Firing(CACHE, load(cache=0.96)),
    "the cache of one replica is full": Firing(CACHE, one_of_two(cache=0.96)),
    "requests wait beside an idle cache": Firing(SEQUENCES, one_of_two(waiting=1, cache=0.38)),
    "one replica has all the load": Firing(UNBALANCED, one_of_two(running=28.5)),
    # Twice the limit and a bit: half of the ten minutes.
    "requests are preempted": Firing(PREEMPTIONS, load(preemptions=13), since=START + 5),
    "requests are preempted while engines restart": Firing(
        PREEMPTIONS, both(load(preemptions=13), restarted_at_once), since=START + 6
    ),
    # The window of five minutes must be empty of tokens.
    "texts are refused": Firing(
        REFUSED, load(overloaded=0.1), since=START + 1, variant="tei-on-a-gpu"
    ),
    "most texts cannot be computed": Firing(
        ERRORS, load(failing=0.6), since=START + 1, variant="tei-on-a-gpu"
    ),
    "texts queue": Firing(QUEUE, load(waiting=120), since=START + 2, variant="tei-on-a-gpu"),
    "no batch is taken": Firing(
        STALLED,
        one_of_two(tokens=0, waiting=4),
        since=START + 5,
        pod=1,
        variant="tei-on-a-gpu",
    ),
    "an engine freezes": Firing(STALLED, one_of_two(tokens=0), since=START + 5, pod=1),
    "a download fails": Firing(WEIGHTS, job(START - 5, failed=START)),
    "a download fails, seen twice": Firing(
        WEIGHTS, both(observed_twice, job(START - 5, failed=START))
    ),
    "a failed download is tried again": Firing(
        WEIGHTS, job(5, failed=START, gone=START + 15), until=START + 15
    ),
    "a download takes very long": Firing(WEIGHTS, long_job(), since=START + 1),
    "a canary breaks": Firing(CANARY, judged(START), variant="gated"),
    "the picker is not scraped": Firing(PICKER, picker(), variant="picker"),
    "the picker reads no engine": Firing(BLIND, blind(), variant="picker"),
    "the picker was never scraped": Firing(PICKER, picker(listed=False), since=0, variant="picker"),
}

QUIET = {
    # A fault that ends one evaluation before its alert would fire.
    "no replica for ten minutes": Quiet(replicas(START + 10), (NO_REPLICA,)),
    "scrapes fail for ten minutes": Quiet(scrapes(START + 10), (UNSCRAPED,)),
    "targets are lost for ten minutes": Quiet(scrapes(START + 10, Target.GONE), (UNSCRAPED,)),
    "ready a minute after its budget": Quiet(starting(START + 2), (COLD_START,)),
    "an old pod comes back within its budget": Quiet(restarted(START + 9), (COLD_START,)),
    "a queue for ten minutes": Quiet(load(START + 10, waiting=9, cache=0.6), (QUEUE,)),
    "a full cache for 15 minutes": Quiet(load(START + 15, cache=0.96), (CACHE,)),
    "a wait for 15 minutes": Quiet(load(START + 15, waiting=1), (SEQUENCES,)),
    "unequal for 15 minutes": Quiet(one_of_two(START + 15, running=29), (UNBALANCED,)),
    "a few texts are refused": Quiet(
        load(START + 0.5, overloaded=0.07), (REFUSED,), variant="tei-on-a-gpu"
    ),
    "texts are computed": Quiet(lambda one: None, (REFUSED, STALLED), variant="tei-on-a-gpu"),
    "no token for ten minutes": Quiet(one_of_two(START + 9.5, tokens=0), (STALLED,)),
    "a failed download for five minutes": Quiet(job(5, failed=START, gone=START + 5), (WEIGHTS,)),
    "a canary that cannot be judged": Quiet(
        judged(START, gone=START + 1), (CANARY,), variant="gated"
    ),
    "a long download that ends": Quiet(long_job(START + 6), (WEIGHTS,)),
    "the picker away for ten minutes": Quiet(picker(START + 10), (PICKER,), variant="picker"),
    "the picker blind for five minutes": Quiet(blind(START + 5), (BLIND,), variant="picker"),
    # A value at the threshold, not over it.
    "one in 25 requests fails": Quiet(load(failing=0.04), (ERRORS,)),
    "four of a handful of requests fail": Quiet(rare_failures(4), (ERRORS,)),
    "first tokens just within ten seconds": Quiet(load(first_token=10), (SLOW,)),
    "a few first tokens are slow": Quiet(load(START + 0.5, first_token=30), (SLOW,)),
    "a queue at the target": Quiet(load(waiting=8, cache=0.6), (QUEUE,)),
    "one queue, eight a replica": Quiet(one_of_two(waiting=16, cache=0.6), (QUEUE,)),
    "a cache at the threshold": Quiet(load(cache=0.95), (CACHE,)),
    "a wait beside a used cache": Quiet(load(waiting=1, cache=0.4), (SEQUENCES,)),
    "a wait, and one of two caches is used": Quiet(one_of_two(waiting=1, cache=0.6), (SEQUENCES,)),
    "unequal by half of the sequences": Quiet(one_of_two(running=28), (UNBALANCED,)),
    "few preemptions": Quiet(load(preemptions=5.5), (PREEMPTIONS,)),
    "preemptions of one replica": Quiet(one_of_two(preemptions=11), (PREEMPTIONS,)),
    "one of two is scraped": Quiet(
        lambda one: one.engines[0].doing.update({START: Target.UNREACHABLE}), (UNSCRAPED,)
    ),
    "one of two is ready": Quiet(replicas(available=1), (NO_REPLICA,)),
    # Situations in which nothing is wrong, or nothing is known.
    "under load": Quiet(lambda one: None, (STALLED, ERRORS, SLOW, UNBALANCED)),
    "no traffic": Quiet(idle, (STALLED, ERRORS, SLOW, PREEMPTIONS)),
    "no traffic, of a pooling model": Quiet(idle, variant="pooling"),
    "traffic stops": Quiet(traffic_stops, (STALLED, ERRORS, SLOW)),
    "malformed requests": Quiet(bad_callers, (ERRORS,)),
    "engines restart every four minutes": Quiet(crashing, (COLD_START, STALLED, PREEMPTIONS)),
    "engines restart unseen": Quiet(restarted_at_once, (PREEMPTIONS, STALLED, ERRORS)),
    "scaled to zero": Quiet(asleep, (NO_REPLICA, UNSCRAPED, COLD_START, STALLED, UNBALANCED)),
    "scaled to zero behind a picker": Quiet(
        both(asleep, blind()), (PICKER, BLIND), variant="picker"
    ),
    "suspended": Quiet(asleep, (NO_REPLICA, UNSCRAPED), variant="suspended"),
    "ill for four minutes, then scaled to zero": Quiet(
        asleep_while_ill, (QUEUE, CACHE, SEQUENCES, STALLED)
    ),
    "woken from zero": Quiet(woken, (NO_REPLICA, UNSCRAPED, COLD_START, PREEMPTIONS)),
    "weights are downloaded": Quiet(nothing_yet, (NO_REPLICA, UNSCRAPED, WEIGHTS)),
    "no kube-state-metrics": Quiet(unobserved, (NO_REPLICA, COLD_START, WEIGHTS)),
    "no kube-state-metrics, nor scrapes": Quiet(
        both(scrapes(target=Target.GONE), unobserved), (UNSCRAPED,)
    ),
    "no metrics of any kind": Quiet(unobserved_and_unscraped, (PICKER,), variant="picker"),
    "a rollout": Quiet(rollout, (NO_REPLICA, COLD_START, UNBALANCED, STALLED)),
    "a pod that drains for long": Quiet(long_drain, (COLD_START,)),
    "a canary takes traffic": Quiet(adapters, (UNBALANCED, ERRORS)),
    "a job that succeeded": Quiet(job(5, done=40), (WEIGHTS,)),
}
