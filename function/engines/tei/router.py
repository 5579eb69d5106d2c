"""text-embeddings-inference as an `Engine`: what a claim makes of it, and what its pods say.

Its program is `text-embeddings-router`. On SIGTERM it takes no new connection, answers what it
began, and ends (router/src/shutdown.rs; axum 0.7 waits without a bound). Nothing has to be told how
long: the pod's grace period ends it.
"""

import math
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from function import explanation
from function.api import base, claim, claim_metrics, settings
from function.boundary import permissions
from function.capacity import quantity
from function.cluster import checkpoints, observed
from function.engines import engine, judgements, semver, variables
from function.engines.tei import (
    alerting,
    command_line,
    environment,
    metrics,
    panelling,
    serving,
    versions,
)
from function.engines.tei import remarks as remarks_of
from function.planning import hardware, identity, prospects, running, scaling

NAME = "tei"
CONTAINER = "tei"
# As of the other engine: what a site knows of pods of claims, it knows of these.
PORT = 8000
HEALTH_PATH = "/health"
METRICS_PATH = "/metrics"
CACHE = "/cache"
POOL_TYPE = "tei"
# axum ends no idle connection by itself; the gateway ends them before a minute is over.
IDLE_SECONDS = 62
# axum writes no header `server`. Nothing asks for it: the claim has no bounded queue.
SERVER = "text-embeddings-inference"
# Nobody timed a start. It maps its weights, and computes one batch (backends/src/lib.rs, `warmup`).
START_SECONDS = 60
# As many as a capped grace period leaves (planning/lifetimes.py): no flag says what is left of it.
EXIT_SECONDS = 10
ON_GPUS = True
GROUP_PORTS: tuple[tuple[int, int], ...] = ()


def refusals(resource: claim.InferenceService, site: settings.Settings) -> Iterator[base.Problem]:
    """Yields what the engine cannot do, or must not be told in the claim's namespace.

    The fields that it has no use for are refused by the claim's own rules.
    """
    spec = resource.spec
    yield from _told(resource, site)
    version = serving.version_of(spec, site)
    if version < versions.MINIMUM:
        yield base.Problem(
            "spec.engine.version",
            f"text-embeddings-inference {semver.show(version)} is older than"
            f" {semver.show(versions.MINIMUM)}, the first that serves a model under the claim's"
            " name",
        )
    if prospects.problems(spec):
        return  # They are told by themselves, and nothing is known of such a model.
    prospect = prospects.prospect(spec, site, checkpoints.UNREAD)
    _, gpu = hardware.gpu_class(spec, site)
    resource_name = base.given(base.of(spec.gpu, "resource_name"), gpu.resource_name)
    if not spec.without_gpu and not resource_name.startswith("nvidia.com/"):
        yield base.Problem(
            "spec.gpu",
            f"text-embeddings-inference has images for NVIDIA's GPUs, and none for {resource_name}:"
            " name another class, or leave spec.gpu out",
        )
    gateway = spec.gateway
    if gateway is not None and gateway.enabled is True and serving.scores(prospect):
        yield base.Problem(
            "spec.gateway.enabled",
            f"{spec.model.repository} ranks or classifies texts, at /rerank and /predict of the"
            " engine, and the AI gateway has no path to either (its own is Cohere's /v2/rerank):"
            " reach it by its Service or by spec.route",
        )
    if _scaled_by_nothing(spec, site):
        yield base.Problem(
            "spec.scaling.triggers.queue.enabled",
            "nothing would scale the claim: keep the trigger, set scaling.triggers.running.target"
            " or model.maxNumSeqs, or make minReplicas and maxReplicas the same",
        )


def _scaled_by_nothing(spec: claim.Spec, site: settings.Settings) -> bool:
    """Tells whether an autoscaler would have no trigger: there are two at most."""
    triggers = base.of(spec.scaling, "triggers")
    queue, runs = base.of(triggers, "queue"), base.of(triggers, "running")
    if site.providers.autoscaler == "none" or base.of(queue, "enabled") is not False:
        return False
    named = base.of(runs, "target") is not None or spec.model.max_num_seqs is not None
    return base.of(runs, "enabled") is False or not named


def _told(resource: claim.InferenceService, site: settings.Settings) -> Iterator[base.Problem]:
    """Yields what the engine must not be told: by its arguments, and by its environment."""
    for argument in serving.own(resource.spec).arguments:
        path, flag = f"spec.engineArgs[{argument.index}]", argument.flag
        kind = judgements.Kind.UNKNOWN if flag is None else flag.kind
        if flag is not None and kind is judgements.Kind.MANAGED:
            yield base.Problem(path, f"--{flag.name} is set by the composition: {flag.why}")
            continue
        harmless = flag is not None and flag.plain is not None and flag.plain(argument.value or "")
        if kind in judgements.OF_ARGUMENTS and not harmless:
            why = "is no flag of text-embeddings-inference" if flag is None else flag.why
            words = f"--{argument.name} {why}"
            hatch = judgements.OF_ARGUMENTS[kind]
            yield from permissions.closed(hatch, path, resource.namespace, site, words)
    yield from variables.refusals(resource, site, environment.danger, environment.prints)


def plan(
    spec: claim.Spec,
    site: settings.Settings,
    checkpoint: checkpoints.Checkpoint,
    prospect: prospects.Prospect,
    why: list[explanation.Explanation],
) -> serving.Serving:
    """Returns what the engine is to be: what the checkpoint is changes nothing of it."""
    del checkpoint
    return serving.make(spec, site, prospect, why)


def drain_seconds(spec: claim.Spec) -> int | None:
    """Returns the seconds that the author gives to running requests."""
    return spec.drain_seconds


# --- the container


def container(plan: engine.Planned) -> engine.Container:
    """Returns the engine's part of its container and pod."""
    planned = serving.of(plan.serving)
    return engine.Container(
        arguments=_arguments(plan, planned),
        environment=_environment(plan, planned),
        mounts=[{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108
        volumes=[{"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}],
    )


def _arguments(plan: engine.Planned, planned: serving.Serving) -> list[str]:
    """Returns the arguments after the image's entry point; last the claim's own.

    The program takes no flag twice: what the author sets is managed by nobody, or not planned.
    """
    ours = {
        "model-id": plan.storage.base.path,
        "served-model-name": plan.identity.name,
        # Without it the program takes the variable HOSTNAME, which is the pod's name.
        "hostname": "0.0.0.0",  # noqa: S104 - what the program listens on by itself
        "port": str(PORT),
        "dtype": planned.dtype,
        "max-batch-requests": planned.batch_requests,
        "max-batch-tokens": planned.batch_tokens,
    }
    told = [f"--{name}={value}" for name, value in ours.items() if value is not None]
    return [*told, "--json-output", *(plan.spec.engine_args or [])]


def _environment(plan: engine.Planned, planned: serving.Serving) -> dict[str, str]:
    """Returns the variables. The model is a directory: the hub is never asked."""
    levels = {"WARNING": "warn"}
    level = plan.site.engine.log_level
    variables = {
        "HOME": "/tmp",  # noqa: S108 - an emptyDir of this pod alone
        "LOG_LEVEL": levels.get(level, level.lower()),
    }
    if planned.threads:
        # The image says 8 threads whatever the pod may use, and MKL takes every core of the node.
        threads = str(max(1, math.floor(quantity.parse(plan.hardware.limits["cpu"]))))
        names = ("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
        variables |= dict.fromkeys(names, threads)
    return variables


def follower(container: Mapping[str, Any], drain_seconds: int) -> dict[str, Any]:
    """Returns the leader's: no replica has several pods."""
    del drain_seconds
    return dict(container)


def cache_directory(namespace: str, name: str, *, former: bool = False) -> str:
    """Returns the claim's place for caches. The Job makes it, and the engine keeps none."""
    return f".compile-cache/{name}" if former else f".compile-cache/{namespace}.{name}"


# --- pods that run


def read(container: Mapping[str, Any], wanted: running.Running) -> running.Running:
    """Returns what a container of the engine tells of itself, by its image and its arguments."""
    image = str(container.get("image") or "")
    version = versions.of_image(image)
    line = command_line.CommandLine.read([str(token) for token in container.get("args") or []])
    texts = line.whole("max-batch-requests")
    limits = observed.at(container, "resources", "limits") or {}
    on_cpu = not any(map(hardware.accelerator, limits))
    shutdown = max(0, wanted.drain.grace - wanted.drain.pre_stop - EXIT_SECONDS)
    return wanted.model_copy(
        update={
            "engine": NAME,
            "image": image,
            "version": "" if version is None else semver.show(version),
            "max_requests": serving.batch_on_cpu(texts) if on_cpu else texts,
            "pods": 1,
            "drain": wanted.drain.model_copy(update={"shutdown": shutdown}),
            "generates": False,
            "adapters": (),
            "store": "",
        }
    )


def summary(container: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields the command."""
    tokens = [str(argument) for argument in container.get("args") or []]
    yield "command", "text-embeddings-router " + " ".join(map(shlex.quote, tokens))


remarks = remarks_of.remarks


# --- what it is scaled and alerted by


def triggers(
    who: identity.Identity, targets: scaling.Scaling, max_requests: int | None
) -> Iterator[engine.Trigger]:
    """Yields sums over the claim's own pods against a target for each replica.

    The series begin with the first request: before it every pod that is scraped counts as none.
    """
    own = engine.matchers(who)
    none = f"sum(up{own}) * 0"
    target = targets.running_target(max_requests)
    if target is not None:
        query = f"{panelling.running_texts(own)} or {none}"
        yield engine.Trigger("running", query, target)
    if targets.queue is not None:
        # A request of 32 texts is a queue of 32 for a moment: no reason for a replica.
        query = f"sum(avg_over_time({metrics.WAITING}{own}[2m])) or {none}"
        yield engine.Trigger("queue", query, targets.queue, waiting=True)


def alerts(
    who: identity.Identity,
    thresholds: claim_metrics.Alerts,
    targets: scaling.Scaling,
    now: running.Running,
) -> Iterator[engine.Alert]:
    """Yields the alerts on the engine's own series."""
    del now
    return alerting.alerts(who, thresholds, targets)


panels = panelling.panels


def measures(who: identity.Identity, spec: claim.Spec) -> engine.Measures:
    """Returns by which of the engine's own series objectives are judged.

    A failure is a text and a request may have many: the share of failures is that of the worst.
    """
    del spec
    own = engine.matchers(who)
    return engine.Measures(
        times={},
        requests=(
            f"{metrics.REQUESTS}{own}",
            f"{metrics.FAILURES}{engine.matchers(who, err=metrics.INFERENCE)}",
        ),
        finished=f"{metrics.REQUESTS}{own}",
        tokens=(f"{metrics.INPUT_LENGTH}_sum{own}",),
    )
