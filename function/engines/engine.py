"""The seam to engines: what everything else may ask of one, and the words of the answers.

Nothing outside an engine's room knows a flag, a metric or an environment variable of it. An engine
is a module that has what `Engine` names; `table.py` lists them.
"""

import dataclasses
import enum
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from function import explanation
from function.api import base, claim, claim_metrics, settings
from function.capacity import arrangements, fit, ways_out
from function.cluster import checkpoints
from function.planning import (
    hardware,
    identity,
    lifetimes,
    prospects,
    running,
    scaling,
    storage,
)

# The port's name in pods, Services and scrapes, whatever its number.
PORT_NAME = "http"
# Percentiles that dashboards draw.
SHARES = ("0.5", "0.95", "0.99")


class Serving(Protocol):
    """What an engine is to be for one claim. All but these is known in the engine's room alone."""

    @property
    def image(self) -> str:
        """The image, the site's mirror included."""

    @property
    def release(self) -> str:
        """The engine's version, as the engine writes it."""

    @property
    def max_requests(self) -> int | None:
        """Requests that one replica computes at once, or None where there is no such bound."""

    @property
    def generates(self) -> bool:
        """False when the engine embeds, classifies or ranks, and writes no tokens."""

    @property
    def context_window(self) -> int | None:
        """Longest sequence in tokens, or None where the engine has no such bound."""

    @property
    def calls_tools(self) -> bool:
        """Whether calls of tools are told apart from the text of an answer."""

    @property
    def reasons(self) -> bool:
        """Whether thoughts are told apart from the text of an answer."""

    @property
    def pinned_gib(self) -> int | None:
        """Host memory in GiB that the engine pins beside what the claim asks for, or None."""

    @property
    def needs(self) -> hardware.Needs | None:
        """Host memory that a replica without a GPU takes, or None where nobody knows."""

    @property
    def outlook(self) -> "Outlook | None":
        """Whether the model fits, or None for an engine that takes no part of a GPU."""


@dataclasses.dataclass(frozen=True)
class Outlook:
    """Whether a model fits its GPUs, as far as an engine can tell before they are rented.

    Attributes:
        prospect: The model and the GPU.
        flags: The engine's flags that decide about memory.
        fit: The answer, or None where nobody knows.
        ways: The cheapest ways out, when it does not fit.
        reason: UnknownModel or UnknownCard where there is no answer, else empty.
        unknown: The same in words.
    """

    prospect: prospects.Prospect
    flags: arrangements.Arrangement
    fit: fit.Fit | None
    ways: tuple[ways_out.Way, ...] = ()
    reason: str = ""
    unknown: str = ""


class Planned(Protocol):
    """What a container follows from: the parts of a plan that an engine may look at."""

    @property
    def identity(self) -> identity.Identity:
        """What names and labels follow from."""

    @property
    def spec(self) -> claim.Spec:
        """What the author asks for."""

    @property
    def site(self) -> settings.Settings:
        """The settings."""

    @property
    def serving(self) -> Serving:
        """What the engine is to be; the engine's own."""

    @property
    def storage(self) -> storage.Storage:
        """Where the weights lie."""

    @property
    def hardware(self) -> hardware.Hardware:
        """What one replica runs on."""

    @property
    def start(self) -> lifetimes.Start:
        """How long a replica may take to start."""

    @property
    def drain(self) -> running.Drain:
        """How a replica ends."""


@dataclasses.dataclass(frozen=True)
class Container:
    """The engine's part of its container and pod.

    Attributes:
        arguments: After the image's own entry point.
        environment: Variables by name.
        sources: Variables whose value the kubelet takes from elsewhere, by name.
        mounts: Of the container, beside that of the weights.
        volumes: Of the pod, beside that of the weights.
        annotations: Of the pod.
    """

    arguments: list[str]
    environment: Mapping[str, str]
    mounts: list[identity.Manifest]
    volumes: list[identity.Manifest]
    sources: Mapping[str, identity.Manifest] = dataclasses.field(default_factory=dict)
    annotations: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Trigger:
    """One scaling trigger on the engine's own series.

    Attributes:
        name: The trigger's name.
        query: PromQL: a sum over the claim's pods.
        target: Value per replica at which the count holds.
        waiting: True when it counts requests that wait: those that an endpoint picker holds count
            too.
    """

    name: str
    query: str
    target: str
    waiting: bool = False


@dataclasses.dataclass(frozen=True)
class Alert:
    """One alerting rule.

    Attributes:
        name: Also the anchor in the runbook.
        expression: PromQL, read by Prometheus and VictoriaMetrics alike.
        duration: How long it must hold before it fires.
        severity: critical wakes someone, warning waits for the morning, info is advice.
        summary: A line for a pager.
        description: What it means.
        objective: The objective that says the same better, or empty: with one of that name the
            alert is left out.
    """

    name: str
    expression: str
    duration: str
    severity: str
    summary: str
    description: str
    objective: str = ""


class Row(enum.Enum):
    """The rows of a dashboard, from the top down."""

    REQUESTS = "Requests"
    LATENCY = "Latency"
    TOKENS = "Tokens and cache"
    REPLICAS = "Replicas"
    GATEWAY = "Gateway"
    PROMISES = "Objectives and cost"


@dataclasses.dataclass(frozen=True)
class Query:
    """One query of a panel.

    Attributes:
        expression: PromQL, read by Prometheus and VictoriaMetrics alike.
        legend: What its lines are called; `{{label}}` stands for a label's value.
    """

    expression: str
    legend: str


@dataclasses.dataclass(frozen=True)
class Panel:
    """One panel of a dashboard.

    Attributes:
        row: The row that it lies in.
        title: Its title; no other panel of the dashboard has the same.
        unit: The unit of its values, as Grafana calls it.
        description: What it shows, and what to do when it is bad.
        queries: What it draws.
        bad: The value above which it is bad, or None; drawn as a line.
        alerts: Alerts on the same series; the panel links to their runbooks where they exist.
    """

    row: Row
    title: str
    unit: str
    description: str
    queries: tuple[Query, ...]
    bad: str | None = None
    alerts: tuple[str, ...] = ()


def percentiles(name: str, own: str, shares: tuple[str, ...] = SHARES) -> tuple[Query, ...]:
    """Returns the percentiles of a histogram over five minutes.

    Args:
        name: The series' name without `_bucket`.
        own: The matchers.
        shares: Which percentiles.
    """
    buckets = f"sum by (le) (rate({name}_bucket{own}[5m]))"
    return tuple(
        Query(f"histogram_quantile({share}, {buckets})", f"p{float(share) * 100:g}")
        for share in shares
    )


@dataclasses.dataclass(frozen=True)
class Histogram:
    """Times that an engine counts by upper bounds, as Prometheus has them.

    Attributes:
        name: The series' name without `_bucket` and `_count`.
        own: Matchers of the claim's own series.
        bounds: Upper bounds in seconds, the smallest first, without the infinite one.
    """

    name: str
    own: str
    bounds: tuple[float, ...]

    @property
    def every(self) -> str:
        """Selects the counter of all that were timed."""
        return f"{self.name}_count{self.own}"

    def within(self, bound: float) -> str:
        """Selects the counter of those that took at most so many seconds; one of `bounds`."""
        return f'{self.name}_bucket{self.own[:-1]},le="{bound!r}"}}'

    def lowered(self, seconds: float) -> float | None:
        """Returns the largest bound that is not above a time, or None below all of them."""
        return max((bound for bound in self.bounds if bound <= seconds), default=None)


@dataclasses.dataclass(frozen=True)
class Measures:
    """What an engine counts of what users are promised.

    Attributes:
        times: By objective, `ttft` and `itl`; an objective that is missing cannot be judged.
        requests: Selects the counter of answered requests, and that of those answered with 5xx.
        finished: Selects a counter that grows with each request and exists before the first.
        tokens: Each selects a counter of tokens, first of those that every model has.
    """

    times: Mapping[str, Histogram]
    requests: tuple[str, str]
    finished: str
    tokens: tuple[str, ...] = ()


class Engine(Protocol):
    """An engine.

    Attributes:
        NAME: Its name, as `Running.engine` remembers it.
        CONTAINER: Name of its container, in pods of claims that live.
        PORT: Where it serves its API and its metrics.
        HEALTH_PATH: Answers 200 once requests are served.
        METRICS_PATH: Prometheus' text format.
        CACHE: Where its container finds the claim's own caches.
        POOL_TYPE: How the endpoint picker's chart calls it.
        IDLE_SECONDS: After which it ends a connection that no request uses.
        SERVER: What its answers have in the header `server`.
        START_SECONDS: What it needs to start beside reading the weights.
        EXIT_SECONDS: What it needs to exit once the last request is answered, with a margin.
        ON_GPUS: False for an engine that computes on the CPU.
        GROUP_PORTS: First and last port of each range by which pods of one replica talk.
    """

    NAME: str
    CONTAINER: str
    PORT: int
    HEALTH_PATH: str
    METRICS_PATH: str
    CACHE: str
    POOL_TYPE: str
    IDLE_SECONDS: int
    SERVER: str
    START_SECONDS: int
    EXIT_SECONDS: int
    ON_GPUS: bool
    GROUP_PORTS: tuple[tuple[int, int], ...]

    def refusals(
        self, resource: claim.InferenceService, site: settings.Settings
    ) -> Iterator[base.Problem]:
        """Yields what the engine cannot do, or what the settings do not allow it to be told."""

    def plan(
        self,
        spec: claim.Spec,
        site: settings.Settings,
        checkpoint: checkpoints.Checkpoint,
        prospect: prospects.Prospect,
        why: list[explanation.Explanation],
    ) -> Serving:
        """Returns what the engine is to be.

        Args:
            spec: What the author asks for.
            site: The settings.
            checkpoint: What the published manifest says of the weights.
            prospect: What is known of the model and of its GPUs.
            why: Explanations are added here.
        """

    def drain_seconds(self, spec: claim.Spec) -> int | None:
        """Returns the seconds that the author gives to running requests, or None."""

    def container(self, plan: Planned) -> Container:
        """Returns the engine's part of its container and pod."""

    def follower(self, container: Mapping[str, Any], drain_seconds: int) -> identity.Manifest:
        """Returns the container of pods that follow a leader, of a replica of several pods.

        Args:
            container: The leader's container, ours or as it is remembered.
            drain_seconds: For how long the leader may go on once it is told to end.
        """

    def cache_directory(self, namespace: str, name: str, *, former: bool = False) -> str:
        """Returns where in the sub-path the claim's own caches lie; the preload Job makes it.

        Args:
            namespace: The claim's namespace: two of them may have one file system.
            name: The claim's name.
            former: The place that it had until 1.1.
        """

    def read(self, container: Mapping[str, Any], wanted: running.Running) -> running.Running:
        """Returns what a container of its own tells of itself.

        Args:
            container: The container of a template, ours or 0.9.0's.
            wanted: Where the container does not say, this holds.
        """

    def summary(self, container: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Yields what people look for first in a container of its own: name and words."""

    def remarks(self, plan: Planned) -> Iterator[str]:
        """Yields what authors may not expect of a replica, where nobody estimates its memory."""

    def triggers(
        self, who: identity.Identity, targets: scaling.Scaling, max_requests: int | None
    ) -> Iterator[Trigger]:
        """Yields the scaling triggers on the engine's own series.

        Args:
            who: The claim.
            targets: The claim's targets.
            max_requests: Requests that a replica computes at once, of the pods that run.
        """

    def alerts(
        self,
        who: identity.Identity,
        thresholds: claim_metrics.Alerts,
        targets: scaling.Scaling,
        now: running.Running,
    ) -> Iterator[Alert]:
        """Yields the alerts on the engine's own series."""

    def panels(
        self,
        who: identity.Identity,
        thresholds: claim_metrics.Alerts,
        targets: scaling.Scaling,
        now: running.Running,
    ) -> Iterator[Panel]:
        """Yields the panels on the engine's own series that make sense for the pods that run."""

    def measures(self, who: identity.Identity, spec: claim.Spec) -> Measures:
        """Returns by which of the engine's own series objectives are judged.

        Args:
            who: The claim.
            spec: What the author asks for: arguments may set the bounds of histograms.
        """


def mirrored(image: str, site: settings.Settings) -> str:
    """Returns the image as the site's mirror serves it."""
    return image if site.image_registry is None else f"{site.image_registry}/{image}"


def matchers(who: identity.Identity, name: str | None = None, **more: str) -> str:
    """Returns the label matchers of one claim's own pods, or of the picker's.

    `namespace` and `job` come from the scrape (`job` is the Service's name, in both operators):
    without them two claims of one name in two namespaces would scale and alert together.
    """
    labels = {"namespace": who.namespace, "job": name or who.name, **more}
    return "{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "}"
