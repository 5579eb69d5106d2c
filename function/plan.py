"""What is decided about a claim before any object is built.

`make` turns the claim and the settings into a `Plan`: every default applied, every derived value
worked out once, each with the rule and the inputs that it came from, so that the command line, the
status and a person at night read the same explanation. Nothing here looks at the cluster.
"""

import dataclasses
import functools
import math
from collections.abc import Iterator
from typing import Any

from pydantic import alias_generators

from function import canonical
from function.api import base, claim, settings
from function.capacity import models, quantity
from function.engine import flags, version

PORT = 8000
PORT_NAME = "http"
MODELS = "/models"
CACHE = "/cache"

# Seconds.
DRAIN = 120
# What the engine needs to exit once the last request is answered, with a margin.
EXIT = 45

CONTEXT_WINDOW = 4096
MAX_NUM_SEQS = 64
LORA_RANK = 64
KV_OFFLOAD_GB = 16
MIN_REPLICAS = 1
MAX_REPLICAS = 3
COOLDOWN = 300
# autoscaling/v2 refuses a longer stabilization window.
LONGEST_COOLDOWN = 3600
POLLING = 15
RUNNING_RATIO = "0.7"
KV_USAGE = "0.6"
QUEUE = 8
# The name of a decision that `render` tells of.
HELD_AT_ONE = "minimum replicas"

# Seconds from container start to the first 200 of /health without reading weights: 7B fp8 with
# LoRA, cold compile cache, measured on one H200 with vLLM 0.25.1.
ENGINE_START = 66
# Seconds: the startup probe's period, and the bounds of the derived budget.
STARTUP_PERIOD = 10
SHORTEST_START = 600
LONGEST_START = 1800

RESOURCES: dict[str, dict[str, int | str]] = {
    "requests": {"cpu": "2", "memory": "16Gi"},
    "limits": {"cpu": "8", "memory": "32Gi"},
}


@dataclasses.dataclass(frozen=True)
class Explanation:
    """Why a derived value is what it is.

    Attributes:
        value: What was derived, by name.
        result: The value, in words.
        rule: How it follows.
        inputs: From what.
    """

    value: str
    result: str
    rule: str
    inputs: str


@dataclasses.dataclass(frozen=True)
class Scaling:
    """Replica counts and triggers.

    Attributes:
        cooldown: Quiet seconds before a replica is given back.
        sleep_cooldown: Quiet seconds before the last one goes, of a claim that wakes.
        wakes: True when the claim may go to zero and a request brings it back.
        held_at_one: Why zero was asked for and is not possible, or None.
    """

    minimum: int
    maximum: int
    cooldown: int
    sleep_cooldown: int
    polling: int
    running: str | None
    running_ratio: float | None
    kv_usage: str | None
    queue: str | None
    wakes: bool
    held_at_one: str | None


@dataclasses.dataclass(frozen=True)
class Replacement:
    """How pods follow a new template.

    Attributes:
        surge: Pods above the count; each needs GPUs that nothing else holds.
        unavailable: Pods below the count.
        recreate: True when all pods go before new ones start.
        words: Which of these, and why.
    """

    surge: int
    unavailable: int
    recreate: bool
    words: str


@dataclasses.dataclass(frozen=True)
class Drain:
    """Seconds from SIGTERM to SIGKILL, in parts."""

    pre_stop: int
    shutdown: int
    grace: int


@dataclasses.dataclass(frozen=True)
class Weights:
    """One directory of weights that the claim wants.

    Attributes:
        name: Served name; the claim's for the base model.
        kind: base or adapter.
        directory: Relative to the claim's sub-path, without the volume.
        path: Where the engine finds the files.
        legacy: Where 0.9.0 kept the same weights, relative to the sub-path.
    """

    name: str
    kind: str
    repository: str | None
    revision: str | None
    directory: str
    path: str
    legacy: str | None


@dataclasses.dataclass(frozen=True)
class Plan:
    """A claim with every decision made.

    Attributes:
        preloads: True when a Job downloads the weights.
        startup_seconds: Budget from container start to the first 200, in seconds.
        misfit: Why a replica cannot fit on a node of its class, or None.
        checkpoint_quantization: How the published checkpoint is already quantized, or None when
            it is not, or nobody knows.
    """

    resource: claim.InferenceService
    site: settings.Settings
    gpu_class_name: str
    gpu_class: settings.GpuClass
    gpu_count: int
    gpu_resource: str
    image: str
    engine: version.Version
    utilization: str
    context_window: int
    max_num_seqs: int
    generates: bool
    kv_offload_gb: int | None
    weights: tuple[Weights, ...]
    preloads: bool
    sub_path: str
    drain: Drain
    startup_periods: int
    startup_seconds: int
    resources: dict[str, dict[str, int | str]]
    scaling: Scaling
    replacement: Replacement
    gateway: bool
    picker: bool
    route: bool
    suspended: bool
    misfit: str | None
    explanations: tuple[Explanation, ...]
    checkpoint_quantization: str | None = None

    @functools.cached_property
    def name(self) -> str:
        """The claim's name."""
        return self.resource.name

    @functools.cached_property
    def namespace(self) -> str:
        """The claim's namespace."""
        return self.resource.namespace

    @functools.cached_property
    def spec(self) -> claim.Spec:
        """What the author asks for."""
        return self.resource.spec

    @functools.cached_property
    def volume(self) -> str:
        """The claim's place on the shared volume: <volume claim>/<sub-path>."""
        return f"{self.site.weights.claim_name}/{self.sub_path}"

    @functools.cached_property
    def deletes(self) -> bool:
        """Whether weights that the claim wants no more are removed."""
        return self.preloads and self.spec.model.retention == "Delete"

    @functools.cached_property
    def weights_key(self) -> str:
        """Identity of what is wanted: where, and which directories."""
        return canonical.digest([self.volume, sorted(w.directory for w in self.weights)])

    @functools.cached_property
    def spreads(self) -> bool:
        """Whether more than one pod may take requests, be it only while one replaces another."""
        return self.scaling.maximum > 1 or self.replacement.surge > 0

    @functools.cached_property
    def awaits(self) -> bool:
        """Whether a request may wait for a replica that it wakes."""
        return self.scaling.wakes and not self.suspended

    @functools.cached_property
    def adapters(self) -> tuple[Weights, ...]:
        """The adapters, in the author's order."""
        return tuple(w for w in self.weights if w.kind == "adapter")


def make(resource: claim.InferenceService, site: settings.Settings) -> Plan:
    """Returns the plan.

    Raises:
        base.InvalidError: The claim names what the settings do not have or do not allow.
    """
    found = list(_refusals(resource, site))
    if found:
        raise base.InvalidError("claim", found)
    spec = resource.spec
    why: list[Explanation] = []
    class_name, gpu_class = _gpu_class(spec, site)
    count = spec.gpu.count if spec.gpu is not None else 1
    image, engine = _engine(spec, site)
    max_num_seqs = _or(spec.model.max_num_seqs, MAX_NUM_SEQS)
    offload = _kv_offload(spec)
    resources = _resources(spec, offload, why)
    periods, startup_seconds = _startup(spec, site, why)
    gateway = _on(spec.gateway) and site.providers.gateway != "none"
    picker = spec.gateway is not None and spec.gateway.picks and site.providers.gateway != "none"
    route = _on(spec.route) and site.providers.route != "none"
    ways = {"service": True, "gateway": gateway and not picker, "route": route}
    counted = {way for way in ways if ways[way]}
    scaling = _scaling(spec, site, max_num_seqs, startup_seconds, counted, why)
    return Plan(
        resource=resource,
        site=site,
        gpu_class_name=class_name,
        gpu_class=gpu_class,
        gpu_count=count,
        gpu_resource=_or(_of(spec.gpu, "resource_name"), gpu_class.resource_name),
        image=image,
        engine=engine,
        utilization=_utilization(spec, max_num_seqs, why),
        context_window=_or(spec.model.context_window, CONTEXT_WINDOW),
        max_num_seqs=max_num_seqs,
        generates=spec.model.runner != "pooling"
        and not any(
            flags.normal(argument) == "runner" and argument.endswith("=pooling")
            for argument in spec.engine_args or []
        ),
        kv_offload_gb=offload,
        weights=tuple(_weights(resource)),
        preloads=preloads(spec),
        sub_path=_or(_of(spec.weights_file_system, "sub_path"), resource.name),
        drain=_drain(spec, site, gpu_class, class_name, why),
        startup_periods=periods,
        startup_seconds=startup_seconds,
        resources=resources,
        scaling=scaling,
        replacement=_replacement(scaling.maximum, class_name, gpu_class, why),
        gateway=gateway,
        picker=picker,
        route=route,
        suspended=spec.suspend is True,
        misfit=_misfit(resources, count, class_name, gpu_class),
        explanations=tuple(why),
    )


def _or(value: Any, default: Any) -> Any:
    """Returns the value unless it is absent: 0, "" and false are what an author meant."""
    return default if value is None else value


def _of(parent: base.Model | None, field: str) -> Any:
    """Returns a field of an optional object, or None."""
    return None if parent is None else getattr(parent, field)


def _on(switch: claim.Gateway | claim.Route | None) -> bool:
    return switch is not None and switch.enabled is True


def preloads(spec: claim.Spec) -> bool:
    """Tells whether a Job downloads the weights; absent means yes for the hub.

    A serving pod is offline, so without the Job nothing that is not there already could start.
    """
    if spec.model.source == "pvc":
        return False
    return spec.model.preload is None or spec.model.preload.enabled is not False


def _refusals(resource: claim.InferenceService, site: settings.Settings) -> Iterator[base.Problem]:
    """Yields what the settings do not have or do not allow."""
    spec, namespace, allow = resource.spec, resource.namespace, site.permissions.allow
    if spec.gpu is not None and spec.gpu.class_ not in (None, *site.gpu.classes):
        known = ", ".join(sorted(site.gpu.classes))
        yield base.Problem("spec.gpu.class", f"no such class in the settings; there are: {known}")
    hatches: tuple[tuple[str, str, bool], ...] = (
        ("patches", "spec.patches", bool(spec.patches)),
        ("engine_image", "spec.engine.image", bool(_of(spec.engine, "image"))),
        (
            "volumes",
            "spec.podTemplate.volumes",
            bool(
                spec.pod_template and (spec.pod_template.volumes or spec.pod_template.volume_mounts)
            ),
        ),
        (
            "trust_remote_code",
            "spec.engineArgs",
            any(flags.loads_code(argument) for argument in spec.engine_args or []),
        ),
    )
    loading = [
        variable.name
        for variable in _of(spec.pod_template, "env") or []
        if flags.loads_code_by_environment(variable.name)
    ]
    hatches += (("trust_remote_code", "spec.podTemplate.env", bool(loading)),)
    for hatch, path, used in hatches:
        if used and not allow(hatch, namespace):
            camel = alias_generators.to_camel(hatch)
            yield base.Problem(
                path,
                f"the settings do not allow this in namespace {namespace} (permissions.{camel})",
            )
    most = site.limits.max_gpus
    if most is not None:
        count = spec.gpu.count if spec.gpu is not None else 1
        _, maximum = _bounds(spec, site)
        if maximum * count > most:
            yield base.Problem(
                "spec.scaling.maxReplicas",
                f"{maximum} replicas of {count} GPUs are above the settings' limits.maxGPUs of"
                f" {most}",
            )
    if any("{region}" in host for host in site.preload.egress_hosts) and site.region is None:
        yield base.Problem("settings preload.egressHosts", "{region} needs the setting region")
    yield from _engine_refusals(spec, site)


def _engine_refusals(spec: claim.Spec, site: settings.Settings) -> Iterator[base.Problem]:
    _, engine = _engine(spec, site)
    if engine < version.MINIMUM:
        yield base.Problem(
            "spec.engine.version",
            f"vLLM {version.show(engine)} is older than {version.show(version.MINIMUM)}, the first"
            " that can finish running requests when it stops",
        )
    if _kv_offload(spec) is not None and engine < version.KV_OFFLOAD:
        yield base.Problem(
            "spec.cache.kvOffload",
            f"vLLM {version.show(engine)} is older than {version.show(version.KV_OFFLOAD)}",
        )


def _gpu_class(spec: claim.Spec, site: settings.Settings) -> tuple[str, settings.GpuClass]:
    name = _or(_of(spec.gpu, "class_"), site.gpu.default_class)
    return name, site.gpu.classes.get(name, settings.GpuClass())


def _engine(spec: claim.Spec, site: settings.Settings) -> tuple[str, version.Version]:
    """Returns the image, mirror included, and the version of the engine."""
    image, chosen = _of(spec.engine, "image"), _of(spec.engine, "version")
    if image is not None:
        number = chosen or version.show(version.of_image(image) or (0, 0, 0))
    else:
        number = _or(chosen, site.engine.version)
        image = f"{site.engine.image}:v{number.removeprefix('v')}"
        if chosen is None and site.engine.digest is not None:
            image += f"@{site.engine.digest}"
    return mirrored(image, site), version.parse(number)


def mirrored(image: str, site: settings.Settings) -> str:
    """Returns the image as the site's mirror serves it."""
    return image if site.image_registry is None else f"{site.image_registry}/{image}"


def _utilization(spec: claim.Spec, max_num_seqs: int, why: list[Explanation]) -> str:
    chosen = _of(spec.gpu, "memory_utilization")
    if chosen is not None:
        return str(chosen)
    result = "0.90" if max_num_seqs >= 256 else "0.92"
    why.append(
        Explanation(
            "gpu-memory-utilization",
            result,
            "0.92, or 0.90 from maxNumSeqs 256: CUDA graphs grow with it and lie outside the share",
            f"maxNumSeqs={max_num_seqs}",
        )
    )
    return result


def _kv_offload(spec: claim.Spec) -> int | None:
    """Returns the GiB of KV blocks in host memory; the author's own flag replaces the field."""
    flag = flags.value(spec.engine_args or [], "kv-offloading-size")
    if flag is not None:
        return math.ceil(flag) or None
    offload = spec.cache.kv_offload if spec.cache is not None else None
    if offload is None or offload.enabled is not True:
        return None
    return int(_or(offload.size_gb, KV_OFFLOAD_GB))


def _resources(
    spec: claim.Spec, offload: int | None, why: list[Explanation]
) -> dict[str, dict[str, int | str]]:
    """Returns requests and limits without the GPU, merged key by key over the defaults."""
    result = {
        kind: dict(defaults)
        | dict((getattr(spec.resources, kind) if spec.resources is not None else None) or {})
        for kind, defaults in RESOURCES.items()
    }
    if offload is not None:
        for kind in ("requests", "limits"):
            before = result[kind]["memory"]
            result[kind]["memory"] = quantity.add_gib(before, offload)
            why.append(
                Explanation(
                    f"memory {kind[:-1]}",
                    str(result[kind]["memory"]),
                    "KV blocks in host memory are pinned: their size is added",
                    f"{before} + kvOffload {offload}GiB",
                )
            )
    # A limit below its request is refused by the API server. What the author wrote stands, and the
    # other one follows; a limit that is an extended resource's is also its request.
    own = (spec.resources.limits if spec.resources is not None else None) or {}
    for key, limit in result["limits"].items():
        request = result["requests"].get(key)
        if request is not None and quantity.parse(limit) < quantity.parse(request):
            lower = "requests" if key in own else "limits"
            result[lower][key] = limit if key in own else request
    for key, request in result["requests"].items():
        if "/" in key:
            result["limits"].setdefault(key, request)
    return result


def _misfit(
    resources: dict[str, dict[str, int | str]], count: int, name: str, gpu: settings.GpuClass
) -> str | None:
    """Returns why no node of the class could ever run a replica, in words."""
    if count > gpu.node_gpus:
        return f"a replica has {count} GPUs, a node of class {name} has {gpu.node_gpus}"
    for key, most in (("memory", gpu.node_memory), ("cpu", gpu.node_cpu)):
        wanted = resources["requests"][key]
        if most is not None and quantity.parse(wanted) > quantity.parse(most):
            return f"a replica requests {wanted} of {key}, a node of class {name} offers {most}"
    return None


def _weights(resource: claim.InferenceService) -> Iterator[Weights]:
    """Yields the base model and the adapters, with where they lie.

    A directory is named by what is in it, so that two claims on one sub-path share it and a
    changed revision never replaces files under a running engine.
    """
    spec = resource.spec
    wanted = spec.model
    loaded = preloads(spec)
    revision = _or(wanted.revision, "main")
    items = [("base", resource.name, wanted.repository, revision, revision)] + [
        ("adapter", a.name, a.repository, _or(a.revision, "main"), f"loras/{a.name}")
        for a in spec.lora_adapters or []
    ]
    for kind, name, repository, at, legacy in items:
        if kind == "base" and wanted.source == "pvc":
            directory, legacy_directory = str(wanted.path), None
        elif not loaded:
            directory, legacy_directory = legacy, None
        else:
            directory = f"{kind}-{canonical.digest([repository, at], 16)}"
            legacy_directory = legacy
        path = f"{MODELS}/{directory}" + ("/weights" if loaded else "")
        yield Weights(name, kind, repository, at, directory, path, legacy_directory)


def _drain(
    spec: claim.Spec,
    site: settings.Settings,
    gpu: settings.GpuClass,
    class_name: str,
    why: list[Explanation],
) -> Drain:
    flag = flags.value(spec.engine_args or [], "shutdown-timeout")
    shutdown = int(_or(spec.drain_seconds, DRAIN)) if flag is None else math.ceil(flag)
    # Endpoint removal must reach every proxy before the engine stops accepting: on SIGTERM 0.25.1
    # refuses connections at once, 0.32 answers new requests with 500 while /health says 200 (both
    # measured).
    pre_stop = site.rollout.pre_stop_seconds
    grace = pre_stop + shutdown + EXIT
    notice = gpu.interruption_notice_seconds
    if notice is not None and grace > notice:
        grace, pre_stop = notice, min(pre_stop, notice)
        shutdown = max(0, min(shutdown, notice - pre_stop - 10))
    why.append(
        Explanation(
            "drain",
            f"preStop {pre_stop} s, shutdown-timeout {shutdown} s, grace period {grace} s",
            f"grace = preStop + drain + {EXIT} s, capped by the class's interruption notice",
            f"drainSeconds={_or(spec.drain_seconds, f'{DRAIN} (default)')}, class {class_name}"
            f" notice={_or(notice, 'none')}",
        )
    )
    return Drain(pre_stop, shutdown, grace)


def _startup(spec: claim.Spec, site: settings.Settings, why: list[Explanation]) -> tuple[int, int]:
    """Returns the startup probe's failure threshold, and the budget that results in seconds.

    A failing engine exits by itself, so a generous budget costs nothing; a tight one is a kill
    loop. The budget is a time: another period of the author's neither shortens nor stretches it.
    """
    chosen = _of(spec.health_probes, "startup")
    period = int(_or(_of(chosen, "period_seconds"), STARTUP_PERIOD))
    delay = int(_or(_of(chosen, "initial_delay_seconds"), 0))
    threshold = _of(chosen, "failure_threshold")
    if threshold is not None:
        return int(threshold), delay + period * int(threshold)
    size = _or(spec.model.size_gi_b, models.WEIGHTS_GIB.get(spec.model.repository or ""))
    bandwidth = site.weights.bandwidth_mi_b
    if size is None or bandwidth is None:
        seconds = LONGEST_START
        inputs = f"size={_or(size, 'unknown')}, bandwidth={_or(bandwidth, 'unknown')}"
    else:
        seconds = max(SHORTEST_START, 2 * (ENGINE_START + size * 1024 / bandwidth) + 120)
        inputs = f"size={size} GiB, bandwidth={bandwidth} MiB/s"
    periods = math.ceil(seconds / period)
    why.append(
        Explanation(
            "startup budget",
            f"{delay + periods * period} s",
            f"2 x ({ENGINE_START} s + size / bandwidth) + 120 s, at least {SHORTEST_START} s;"
            f" {LONGEST_START} s when the size or the bandwidth is unknown",
            inputs,
        )
    )
    return periods, delay + periods * period


def _bounds(spec: claim.Spec, site: settings.Settings) -> tuple[int, int]:
    """Returns the replica bounds; a maximum that nobody wrote stays within the settings' cap."""
    minimum = int(_or(_of(spec.scaling, "min_replicas"), MIN_REPLICAS))
    maximum = _of(spec.scaling, "max_replicas")
    if maximum is None:
        count = spec.gpu.count if spec.gpu is not None else 1
        cap = site.limits.max_gpus
        room = MAX_REPLICAS if cap is None else max(1, min(MAX_REPLICAS, cap // count))
        maximum = max(room, minimum)
    return minimum, int(maximum)


def _scaling(
    spec: claim.Spec,
    site: settings.Settings,
    max_num_seqs: int,
    startup_seconds: int,
    ways: set[str],
    why: list[Explanation],
) -> Scaling:
    asked = spec.scaling or claim.Scaling()
    minimum, maximum = _bounds(spec, site)
    held = _held_at_one(site, ways) if minimum == 0 else None
    if held is not None:
        why.append(
            Explanation(HELD_AT_ONE, "1", f"0 is held at 1: {held}", "scaling.minReplicas=0")
        )
    cooldown = _cooldown(asked, why)
    sleeps = minimum == 0 and held is None
    triggers = asked.triggers or claim.Triggers()
    running, ratio = _running_target(asked, triggers, max_num_seqs, why)
    return Scaling(
        minimum=minimum if held is None else 1,
        maximum=maximum,
        cooldown=cooldown,
        sleep_cooldown=_sleep_cooldown(cooldown, startup_seconds, why) if sleeps else cooldown,
        polling=int(_or(asked.polling_interval_seconds, POLLING)),
        running=running,
        running_ratio=ratio,
        kv_usage=_target(triggers.kv_cache, _or(asked.cache_utilization_threshold, KV_USAGE)),
        queue=_target(triggers.queue, str(_or(asked.queue_length_threshold, QUEUE))),
        wakes=sleeps,
        held_at_one=held,
    )


def _cooldown(asked: claim.Scaling, why: list[Explanation]) -> int:
    """Returns the quiet seconds before a replica is given back."""
    cooldown = int(_or(asked.cooldown_seconds, COOLDOWN))
    if cooldown <= LONGEST_COOLDOWN:
        return cooldown
    why.append(
        Explanation(
            "cooldown",
            f"{LONGEST_COOLDOWN} s",
            "the HPA's stabilization window is at most an hour",
            f"scaling.cooldownSeconds={cooldown}",
        )
    )
    return LONGEST_COOLDOWN


def _sleep_cooldown(cooldown: int, startup_seconds: int, why: list[Explanation]) -> int:
    """Returns the quiet seconds before the last replica goes, of a claim that may sleep."""
    if cooldown >= startup_seconds:
        return cooldown
    why.append(
        Explanation(
            "cooldown before sleep",
            f"{startup_seconds} s",
            "the start budget: a woken replica that still loads is idle to KEDA, and must not be"
            " taken away before it could answer",
            f"scaling.cooldownSeconds={cooldown}",
        )
    )
    return startup_seconds


def _replacement(
    maximum: int, name: str, gpu: settings.GpuClass, why: list[Explanation]
) -> Replacement:
    """Returns how pods are replaced: a surge pod needs a GPU that nothing else holds."""
    if gpu.spare:
        words = "a new pod starts first, on the spare GPUs of the class"
        found = Replacement(1, 0, False, words)
    elif maximum > 1:
        words = "one pod at a time goes before its successor starts: the class has no spare GPU"
        found = Replacement(0, 1, False, words)
    else:
        words = (
            "the pod goes before its successor starts, with a gap: the class has no spare GPU, and"
            " there is one replica at most"
        )
        found = Replacement(0, 1, True, words)
    inputs = f"scaling.maxReplicas={maximum}, settings gpu.classes.{name}.spare={gpu.spare}"
    kind = "Recreate" if found.recreate else "RollingUpdate"
    why.append(Explanation("replacement of pods", kind, words, inputs))
    return found


def _held_at_one(site: settings.Settings, ways: set[str]) -> str | None:
    """Returns why nothing could start the first replica of a claim at zero, if so.

    Args:
        site: The settings.
        ways: By which of `scaling.wake.counts` requests reach the claim.
    """
    wake = site.scaling.wake
    if site.providers.autoscaler != "keda":
        return "without an autoscaler nothing could start the first replica"
    if wake is None:
        return "the settings have no scaling.wake.query that could start the first replica"
    if not ways & set(wake.counts):
        return (
            f"the settings' scaling.wake.query counts requests by {' and '.join(wake.counts)}, and"
            " none reach the claim so (an endpoint picker's are not counted)"
        )
    return None


def _target(trigger: claim.Trigger | None, otherwise: str) -> str | None:
    """Returns the value per replica, or None for a trigger that is switched off."""
    if trigger is None:
        return otherwise
    if trigger.enabled is False:
        return None
    return str(_or(trigger.target, otherwise))


def _running_target(
    asked: claim.Scaling, triggers: claim.Triggers, max_num_seqs: int, why: list[Explanation]
) -> tuple[str | None, float | None]:
    """Returns the target, and the share of maxNumSeqs that it follows from, if it does."""
    ratio = _or(asked.running_ratio_threshold, RUNNING_RATIO)
    chosen = _target(triggers.running, "")
    if chosen != "":
        return chosen, None
    derived = _share(float(ratio), max_num_seqs)
    why.append(
        Explanation(
            "running target",
            f"{derived} requests a replica",
            "ratio x maxNumSeqs: the trigger is a sum over pods with AverageValue",
            f"runningRatioThreshold={ratio}, maxNumSeqs={max_num_seqs}",
        )
    )
    return derived, float(ratio)


def _share(ratio: float, max_num_seqs: int) -> str:
    return f"{max(ratio * max_num_seqs, 0.001):.10g}"


def while_running(plan: Plan, max_num_seqs: int) -> Plan:
    """Returns the plan for pods that still run with another maxNumSeqs than the claim now says."""
    if plan.scaling.running_ratio is None:
        return dataclasses.replace(plan, max_num_seqs=max_num_seqs)
    scaling = dataclasses.replace(
        plan.scaling, running=_share(plan.scaling.running_ratio, max_num_seqs)
    )
    return dataclasses.replace(plan, max_num_seqs=max_num_seqs, scaling=scaling)


def sets(plan: Plan, flag: str) -> bool:
    """Tells whether the author's own arguments set the flag, which replaces ours."""
    return flags.sets(plan.spec.engine_args or [], flag)
