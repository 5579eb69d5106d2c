"""An engine of a few lines, as unlike vLLM as text-embeddings-inference is.

It has no KV cache, no adapters and no GPU, and other flags, probes and metrics.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from function import explanation
from function.api import base, claim, claim_metrics, settings
from function.cluster import checkpoints
from function.engines import adviser, advisers, engine
from function.findings import rules
from function.planning import hardware, identity, prospects, running, scaling

QUEUE = "te_queue_size"
DEAF = rules.Rule(
    "echo-takes-no-argument",
    rules.Severity.WARNING,
    "A claim of the engine has arguments.",
    "It hears none.",
    "Take them away.",
)


@dataclasses.dataclass(frozen=True)
class Serving:
    """What the engine is to be."""

    image: str = "example.com/echo:1.2.3"
    release: str = "1.2.3"
    max_requests: int | None = None
    generates: bool = False
    context_window: int | None = None
    calls_tools: bool = False
    reasons: bool = False
    pinned_gib: int | None = None
    needs: hardware.Needs | None = None
    outlook: engine.Outlook | None = None


class Echo:
    """The engine."""

    NAME = "echo"
    CONTAINER = "echo"
    PORT = 3000
    HEALTH_PATH = "/alive"
    METRICS_PATH = "/stats"
    CACHE = "/cache"
    POOL_TYPE = "echo"
    IDLE_SECONDS = 30
    SERVER = "echo"
    START_SECONDS = 5
    EXIT_SECONDS = 5
    ON_GPUS = False
    GROUP_PORTS: tuple[tuple[int, int], ...] = ()

    def refusals(
        self, resource: claim.InferenceService, site: settings.Settings
    ) -> Iterator[base.Problem]:
        """Yields that it serves no adapters."""
        del site
        if resource.spec.lora_adapters:
            yield base.Problem("spec.loraAdapters", "echo serves no adapters")

    def plan(
        self,
        spec: claim.Spec,
        site: settings.Settings,
        checkpoint: checkpoints.Checkpoint,
        prospect: prospects.Prospect,
        why: list[explanation.Explanation],
    ) -> Serving:
        """Returns what it is to be."""
        del spec, site, checkpoint, prospect, why
        return Serving()

    def drain_seconds(self, spec: claim.Spec) -> int | None:
        """Returns what the author says."""
        return spec.drain_seconds

    def container(self, plan: engine.Planned) -> engine.Container:
        """Returns a container with one argument."""
        return engine.Container(
            arguments=[f"--model-id={plan.storage.base.path}"],
            environment={"PORT": str(self.PORT)},
            mounts=[],
            volumes=[],
        )

    def follower(self, container: Mapping[str, Any], drain_seconds: int) -> dict[str, Any]:
        """Returns the leader's: all of them are alike."""
        del drain_seconds
        return dict(container)

    def cache_directory(self, namespace: str, name: str, *, former: bool = False) -> str:
        """Returns a place for a cache that it does not use."""
        return f".cache/{name}" if former else f".cache/{namespace}.{name}"

    def read(self, container: Mapping[str, Any], wanted: running.Running) -> running.Running:
        """Returns what is wanted: its containers say no more."""
        del container
        return wanted

    def summary(self, container: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Yields its command."""
        yield "command", " ".join(container["args"])

    def remarks(self, plan: engine.Planned) -> Iterator[str]:
        """Yields nothing."""
        del plan
        yield from ()

    def triggers(
        self, who: identity.Identity, targets: scaling.Scaling, max_requests: int | None
    ) -> Iterator[engine.Trigger]:
        """Yields the queue alone: there is no KV cache, and no bound of running requests."""
        del max_requests
        if targets.queue is not None:
            query = f"sum({QUEUE}{engine.matchers(who)})"
            yield engine.Trigger("queue", query, targets.queue)

    def alerts(
        self,
        who: identity.Identity,
        thresholds: claim_metrics.Alerts,
        targets: scaling.Scaling,
        now: running.Running,
    ) -> Iterator[engine.Alert]:
        """Yields one alert."""
        del thresholds, targets, now
        expression = f"avg({QUEUE}{engine.matchers(who)}) > 100"
        yield engine.Alert("EchoQueue", expression, "5m", "warning", "queue", "It queues.")

    def panels(
        self,
        who: identity.Identity,
        thresholds: claim_metrics.Alerts,
        targets: scaling.Scaling,
        now: running.Running,
    ) -> Iterator[engine.Panel]:
        """Yields one panel."""
        del thresholds, targets, now
        query = engine.Query(f"sum({QUEUE}{engine.matchers(who)})", "waiting")
        yield engine.Panel(engine.Row.REQUESTS, "Queue", "short", "What waits.", (query,))

    def measures(self, who: identity.Identity, spec: claim.Spec) -> engine.Measures:
        """Returns counters of requests: it times nothing."""
        del spec
        own = engine.matchers(who)
        requests = (f"te_request_count{own}", f"te_request_failure{own}")
        return engine.Measures({}, requests, requests[0])


class Adviser(advisers.Silent):
    """What is known of it: that it takes no arguments."""

    RULES = (DEAF,)

    def judge(
        self, plan: engine.Planned, adapters: Mapping[str, adviser.Adapter]
    ) -> Iterator[rules.Finding]:
        """Yields each argument."""
        del adapters
        for index, argument in enumerate(plan.spec.engine_args or []):
            yield DEAF.broken(f"spec.engineArgs[{index}]", f"{argument} is heard by nobody")
