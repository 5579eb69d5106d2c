"""Engines, a metrics server and a clock, so that the autoscaler has something to scale.

Offered load is a number of requests that callers keep in flight, spread evenly over the ready pods,
as least-request routing does. A pod runs what its sequences and its KV cache hold and queues the
rest; a pod that still starts serves nothing and is not scraped. Requests never finish on their own:
what is modelled is the level, not the single request.
"""

import collections
import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from tests.scaling import autoscaler, promql

GATEWAY_REQUESTS = "envoy_cluster_upstream_rq_xx"


@dataclasses.dataclass(frozen=True)
class Engine:
    """What one replica can do.

    Attributes:
        max_num_seqs: Sequences that it runs at once.
        kv_tokens: Tokens that its KV cache holds.
        sequence_tokens: Tokens of one running sequence.
        cold_start: Seconds from being asked for to ready.
    """

    max_num_seqs: int
    kv_tokens: int = 203_680
    sequence_tokens: int = 1_152
    cold_start: float = 60

    @property
    def fits(self) -> int:
        """Sequences that run at once."""
        return min(self.max_num_seqs, self.kv_tokens // self.sequence_tokens)

    def under(self, requests: int) -> "Load":
        """Returns what one replica shows that has this many requests in flight."""
        running = min(requests, self.fits)
        used = running * self.sequence_tokens / self.kv_tokens
        return Load(running, requests - running, used)


@dataclasses.dataclass(frozen=True)
class Load:
    """What one replica shows of its requests.

    Attributes:
        kv_usage: Used share of the KV cache, 0 to 1.
    """

    running: int
    waiting: int
    kv_usage: float


def shares(offered: int, replicas: int) -> list[int]:
    """Returns the requests of each ready replica."""
    return [offered // replicas + (index < offered % replicas) for index in range(replicas)]


def gauge(name: str, labels: promql.Labels, value: float) -> promql.Sample:
    """Returns what a scrape sees of a pod."""
    return promql.Sample(name, labels, value)


class Clock:
    """Seconds since the start of the run."""

    def __init__(self) -> None:
        self.now = 0.0


class Deployment:
    """The pods of one claim."""

    def __init__(self, clock: Clock, engine: Engine, replicas: int) -> None:
        self._clock = clock
        self._engine = engine
        self._serial = 0
        self._ready_at: dict[str, float] = {}
        self.history: list[tuple[float, int]] = []
        self.scale(replicas)
        # Pods that were there before the run are ready.
        self._ready_at = dict.fromkeys(self._ready_at, clock.now)

    @property
    def replicas(self) -> int:
        """Replicas asked for."""
        return len(self._ready_at)

    @property
    def ready(self) -> list[str]:
        """Names of the ready pods."""
        return [name for name, at in self._ready_at.items() if at <= self._clock.now]

    def scale(self, replicas: int) -> None:
        """Starts pods, or removes the youngest first, as a ReplicaSet does."""
        while len(self._ready_at) < replicas:
            self._serial += 1
            self._ready_at[f"pod-{self._serial}"] = self._clock.now + self._engine.cold_start
        while len(self._ready_at) > replicas:
            del self._ready_at[max(self._ready_at, key=self._ready_at.__getitem__)]
        if not self.history or self.history[-1][1] != replicas:
            self.history.append((self._clock.now, replicas))


class Server:
    """A Prometheus-compatible server: what the last scrape saw, and counters over time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._latest: list[promql.Sample] = []
        self._counters: collections.deque[tuple[float, promql.Sample]] = collections.deque()
        # Results that stay true until the next scrape: those that look at no range.
        self._results: dict[str, list[float]] = {}
        self._ranged = False
        self.answers = True

    def scraped(self, gauges: Iterable[promql.Sample], counter: promql.Sample) -> None:
        """Takes a scrape; a series that it does not hold is stale at once."""
        self._latest = list(gauges)
        self._results.clear()
        self._counters.append((self._clock.now, counter))
        while self._counters[0][0] < self._clock.now - 3600:
            self._counters.popleft()

    def query(self, text: str) -> list[float]:
        """Returns the values of the result."""
        if not self.answers:
            raise autoscaler.QueryError("connection refused")
        if text in self._results:
            return self._results[text]
        self._ranged = False
        result = promql.evaluate(text, self)
        if not self._ranged:
            self._results[text] = result
        return result

    def instant(self) -> list[promql.Sample]:
        """Returns the newest value of every series that is not stale."""
        return self._latest

    def increase(self, seconds: float) -> list[promql.Sample]:
        """Returns by how much every counter grew over the last seconds."""
        self._ranged = True
        inside = [s for at, s in self._counters if at > self._clock.now - seconds]
        if len(inside) < 2:
            return []
        grown = inside[-1].value - inside[0].value
        return [dataclasses.replace(inside[-1], value=grown)]


class World:
    """One claim's replicas under a load, with the rendered ScaledObject in charge."""

    def __init__(
        self,
        scaled_object: Mapping[str, Any],
        engine: Engine,
        *,
        replicas: int = 1,
        scrape_interval: float = 30,
        sync_period: float = autoscaler.SYNC_PERIOD,
    ) -> None:
        metadata = scaled_object["metadata"]
        self.identity = {
            "namespace": metadata["namespace"],
            "job": metadata["name"],
            "model_name": metadata["name"],
            "engine": "0",
        }
        self.engine = engine
        self.clock = Clock()
        self.deployment = Deployment(self.clock, engine, replicas)
        self.server = Server(self.clock)
        self.keda = autoscaler.Keda(self.deployment, self.server)
        self.offered = 0
        self.exporters_answer = True
        self.neighbours: list[promql.Sample] = []
        self._asked = 0.0
        self._scrape_interval = scrape_interval
        self._sync_period = sync_period
        self.keda.apply(scaled_object, self.clock.now)
        # Each loop has a phase of its own, as in a cluster.
        self._next = {self._scrape: 0.0, self._poll: 3.0, self._sync: 7.0}

    @property
    def replicas(self) -> int:
        """Replicas asked for now."""
        return self.deployment.replicas

    @property
    def path(self) -> list[int]:
        """The counts in the order in which they were asked for."""
        return [count for _, count in self.deployment.history]

    def changes(self, since: float = 0) -> list[tuple[float, int]]:
        """Returns when the count changed, in seconds, and to what."""
        return [(at, count) for at, count in self.deployment.history if at > since]

    def apply(self, scaled_object: Mapping[str, Any]) -> None:
        """Replaces the ScaledObject."""
        self.keda.apply(scaled_object, self.clock.now)

    def run(self, seconds: float, *, offered: int | None = None) -> "World":
        """Lets time pass, from now on under another load if one is given."""
        if offered is not None:
            self.offered = offered
        end = self.clock.now + seconds
        while True:
            what = min(self._next, key=self._next.__getitem__)
            if self._next[what] > end:
                break
            self.clock.now = self._next[what]
            self._next[what] += what()
        self.clock.now = end
        return self

    def _scrape(self) -> float:
        # Callers that are not served ask again; a request takes half a minute.
        self._asked += self.offered * self._scrape_interval / 30
        asked = promql.Sample(
            GATEWAY_REQUESTS,
            {
                "envoy_cluster_name": f"httproute/{self.identity['namespace']}"
                f"/{self.identity['job']}/rule/0"
            },
            self._asked,
        )
        own = self._gauges() if self.exporters_answer else ()
        self.server.scraped([*own, *self.neighbours], asked)
        return self._scrape_interval

    def _gauges(self) -> Iterable[promql.Sample]:
        ready = self.deployment.ready
        for pod, share in zip(ready, shares(self.offered, len(ready)), strict=True):
            labels, load = {**self.identity, "pod": pod}, self.engine.under(share)
            yield gauge("vllm:num_requests_running", labels, load.running)
            yield gauge("vllm:num_requests_waiting", labels, load.waiting)
            yield gauge("vllm:kv_cache_usage_perc", labels, load.kv_usage)

    def _poll(self) -> float:
        self.keda.poll(self.clock.now)
        return self.keda.spec.polling

    def _sync(self) -> float:
        self.keda.sync(self.clock.now)
        return self._sync_period
