"""vLLM as an `Engine`: what a claim makes of it, its container, and what its pods say of it."""

import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from function import canonical, plural
from function.api import base, claim, claim_model, settings
from function.boundary import permissions
from function.engines import engine, judgements, semver, variables
from function.engines.vllm import (
    alerting,
    arguments,
    command_line,
    dangers,
    environment,
    group,
    hot,
    judged,
    metrics,
    panelling,
    serving,
    streaming,
    timing,
    versions,
)
from function.planning import identity, running, scaling, storage

NAME = "vllm"
CONTAINER = "vllm"
PORT = 8000
HEALTH_PATH = "/health"
METRICS_PATH = "/metrics"
POOL_TYPE = "vllm"
# vllm/envs.py, VLLM_HTTP_TIMEOUT_KEEP_ALIVE.
IDLE_SECONDS = 5
SERVER = "uvicorn"
# From container start to the first 200 of /health without reading weights: 7B fp8 with LoRA, cold
# compile cache, measured on one H200 with vLLM 0.25.1.
START_SECONDS = 66
EXIT_SECONDS = 45
ON_GPUS = True
GROUP_PORTS: tuple[tuple[int, int], ...] = group.PORTS

# Where the compile cache is mounted, and the variable that names a directory in it.
CACHE = "/cache"
CACHE_VARIABLE = "VLLM_CACHE_ROOT"


def refusals(resource: claim.InferenceService, site: settings.Settings) -> Iterator[base.Problem]:
    """Yields what vLLM cannot do, or must not be told in the claim's namespace."""
    spec = resource.spec
    yield from _told(resource, site)
    yield from group.refusals(spec)
    _, version = serving.image_of(spec, site)
    if version < versions.MINIMUM:
        yield base.Problem(
            "spec.engine.version",
            f"vLLM {semver.show(version)} is older than {semver.show(versions.MINIMUM)}, the"
            " first that can finish running requests when it stops",
        )
    # A number out of bounds has its own refusal.
    countable = not any(dangers.problems(serving.own(spec)))
    if countable and serving.kv_offload(spec) is not None and version < versions.KV_OFFLOAD:
        yield base.Problem(
            "spec.cache.kvOffload",
            f"vLLM {semver.show(version)} is older than {semver.show(versions.KV_OFFLOAD)}",
        )
    if spec.model.source == "s3" and version < versions.OBJECT_STORE:
        yield base.Problem(
            "spec.model.source",
            f"s3 is known to work from vLLM {semver.show(versions.OBJECT_STORE)} on, and this is"
            f" {semver.show(version)}: name a newer spec.engine.version, or another source",
        )
    if spec.model.longest_queue_seconds is not None and version < versions.QUEUE:
        yield base.Problem(
            "spec.model.longestQueueSeconds",
            f"vLLM {semver.show(version)} is older than {semver.show(versions.QUEUE)},"
            " the first that bounds its queue: name a newer spec.engine.version, or leave it out",
        )
    yield from hot.refusals(spec, version)


def _told(resource: claim.InferenceService, site: settings.Settings) -> Iterator[base.Problem]:
    """Yields what the engine must not be told: by its arguments, and by its environment."""
    own, extra = serving.own(resource.spec), resource.spec.pod_template
    yield from dangers.problems(own)
    yield from _twice(resource.spec, own)
    mounts = [str(mount.get("mountPath", "")) for mount in base.of(extra, "volume_mounts") or []]
    if resource.spec.model.source == "oci":
        mounts.append(storage.IMAGE)
    for danger in dangers.of(own, mounts):
        hatch = judgements.OF_ARGUMENTS.get(danger.kind)
        if hatch is not None:
            path, words = f"spec.engineArgs[{danger.index}]", f"{danger.option} {danger.why}"
            yield from permissions.closed(hatch, path, resource.namespace, site, words)
    yield from _template(resource, site, mounts)
    yield from variables.refusals(resource, site, environment.danger, environment.prints)


def _twice(spec: claim.Spec, own: command_line.CommandLine) -> Iterator[base.Problem]:
    """Yields each argument that is short for a flag whose field is set too.

    The claim's own rules have refused such flags in full.
    """
    for flag, words in claim.replaced(spec):
        for use in own.of(flag):
            if use.abbreviated:
                yield base.Problem(f"spec.engineArgs[{use.index}]", words)


def _template(
    resource: claim.InferenceService, site: settings.Settings, mounts: Sequence[str]
) -> Iterator[base.Problem]:
    """Yields what is wrong with the chat template's place, by the rule of its flag."""
    path, field = resource.spec.model.chat_template, "spec.model.chatTemplate"
    if path is None:
        return
    if not claim_model.TEMPLATE.holds(path):
        yield base.Problem(field, claim_model.TEMPLATE.message)
    elif judged.of_the_system(path, mounts):
        yield base.Problem(
            field,
            f"{path} is a file of the system and no template: name one below /models,"
            " /vllm-workspace or a mount of spec.podTemplate.volumeMounts",
        )
    else:
        words = (
            f"{path} is neither below /models or /vllm-workspace nor below a mount of"
            " spec.podTemplate.volumeMounts"
        )
        line = command_line.CommandLine.read([f"--chat-template={path}"])
        for danger in dangers.of(line, mounts):
            hatch = judgements.OF_ARGUMENTS[danger.kind]
            yield from permissions.closed(hatch, field, resource.namespace, site, words)


def summary(container: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields the command, and how much a replica holds."""
    tokens = [str(argument) for argument in container.get("args") or []]
    command = command_line.CommandLine.read(tokens)
    yield "command", "vllm serve " + " ".join(map(shlex.quote, tokens))
    window, seats = command.value("max-model-len"), command.value("max-num-seqs")
    yield "context", f"{window} tokens, {plural.of(seats or 'no', 'sequence')} at once"


def remarks(plan: engine.Planned) -> Iterator[str]:
    """Yields nothing: the estimate says all."""
    del plan
    yield from ()


def _whole(command: command_line.CommandLine, flag: str) -> int | None:
    """Returns the whole number that a command line gives a flag, or None."""
    return canonical.whole(command.value(flag))


plan = serving.make


def drain_seconds(spec: claim.Spec) -> int | None:
    """Returns the seconds that the author gives to running requests; the flag replaces ours."""
    flag = serving.number(spec, "shutdown-timeout")
    return spec.drain_seconds if flag is None else math.ceil(flag)


# --- the container


def container(plan: engine.Planned) -> engine.Container:
    """Returns vLLM's part of its container and pod."""
    planned = serving.of(plan.serving)
    command = arguments.serve(plan, planned)
    stored, loads = plan.storage.preloads, bool(plan.storage.hot)
    # Never shared between claims: it is executable code.
    who = plan.identity
    home = cache_directory(who.namespace, who.name, former=plan.storage.former_cache)
    cache = (
        {
            "name": "models",
            "mountPath": CACHE,
            "subPath": f"{plan.storage.sub_path}/{home}",
        }
        if stored
        else {"name": "cache", "mountPath": CACHE}
    )
    own = [] if stored else [{"name": "cache", "emptyDir": {"sizeLimit": "10Gi"}}]
    # Compiled code depends on image, GPU and arguments.
    key = canonical.digest([planned.image, plan.hardware.class_name, command], 16)
    return engine.Container(
        arguments=command,
        environment=_environment(plan.site, f"{CACHE}/{key}" if stored else CACHE)
        | streaming.environment(plan.spec, plan.site)
        | (hot.environment() if loads else {}),
        annotations=hot.annotations() if loads else {},
        sources=streaming.credentials(plan.spec),
        mounts=[
            cache,
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
            {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108
            *([hot.mount()] if loads else []),
        ],
        volumes=[
            *own,
            {"name": "tmp", "emptyDir": {"sizeLimit": "8Gi"}},
            # NCCL and the workers' message queues; it counts against the memory limit when used.
            {
                "name": "shm",
                "emptyDir": {"medium": "Memory", "sizeLimit": f"{2 * plan.hardware.count}Gi"},
            },
            *([hot.volume(plan.identity)] if loads else []),
        ],
    )


def _environment(site: settings.Settings, cache: str) -> dict[str, str]:
    return {
        "HOME": "/tmp",  # noqa: S108 - an emptyDir of this pod alone
        "USER": "vllm",  # getpwuid of an unknown uid fails in torch
        "VLLM_LOGGING_LEVEL": site.engine.log_level,
        CACHE_VARIABLE: cache,
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        # The pod reaches DNS only: a look-up at the hub would cost a time-out at each start.
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }


follower = group.follower


def cache_directory(namespace: str, name: str, *, former: bool = False) -> str:
    """Returns where in the sub-path the claim's compile caches lie.

    Two namespaces may have one file system. No name of a claim holds a dot, so no claim's former
    directory is this one or holds it.
    """
    return f".compile-cache/{name}" if former else f".compile-cache/{namespace}.{name}"


# --- pods that run


def read(container: Mapping[str, Any], wanted: running.Running) -> running.Running:
    """Returns what a container of vLLM tells of itself, by its image and its arguments."""
    image = str(container.get("image") or "")
    tokens = [str(argument) for argument in container.get("args") or []]
    command = command_line.CommandLine.read(tokens)
    version = semver.of_image(image)
    seats = _whole(command, "max-num-seqs")
    # Without the flag the engine drops every running request (vllm#24885).
    shutdown = _whole(command, "shutdown-timeout") or 0
    return wanted.model_copy(
        update={
            "engine": NAME,
            "image": image,
            "version": "" if version is None else semver.show(version),
            "max_requests": base.given(seats, wanted.max_requests),
            "pods": group.pods(command),
            "generates": command.value("runner") != "pooling",
            "store": tokens[0] if tokens and tokens[0].startswith("s3://") else "",
            "drain": wanted.drain.model_copy(update={"shutdown": shutdown}),
            "adapters": tuple(
                module.partition("=")[0] for module in command.values("lora-modules")
            ),
            "hot": hot.MIDDLEWARE in tokens,
        }
    )


# --- what it is scaled and alerted by


def triggers(
    who: identity.Identity, targets: scaling.Scaling, max_requests: int | None
) -> Iterator[engine.Trigger]:
    """Yields sums over the claim's own pods against a target for each replica."""
    own = engine.matchers(who, model_name=who.name)
    for name, metric, target in (
        ("running", metrics.RUNNING, targets.running_target(max_requests)),
        ("kv-cache", metrics.KV_CACHE_USAGE, targets.kv_usage),
        ("queue", metrics.WAITING, targets.queue),
    ):
        if target is not None:
            waiting = metric == metrics.WAITING
            yield engine.Trigger(name, f"sum({metric}{own})", target, waiting)


alerts = alerting.alerts
panels = panelling.panels
measures = timing.measures
