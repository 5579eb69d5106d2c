"""What is decided about a claim before any object is built.

`make` turns the claim and the settings into a `Plan`: every default applied, every derived value
worked out once, each with the rule and the inputs that it came from, so that the command line, the
status and a person at night read the same explanation. Nothing here looks at the cluster.
"""

import dataclasses
import functools
import math
from collections.abc import Iterator

from pydantic import alias_generators

from function import canonical, explanation, replicas
from function.api import base, claim, settings
from function.capacity import models, quantity
from function.engine import version
from function.engines.vllm import command_line, flags

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
    scaling: replicas.Scaling
    replacement: replicas.Replacement
    gateway: bool
    picker: bool
    route: bool
    suspended: bool
    misfit: str | None
    explanations: tuple[explanation.Explanation, ...]
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
    why: list[explanation.Explanation] = []
    class_name, gpu_class = _gpu_class(spec, site)
    count = spec.gpu.count if spec.gpu is not None else 1
    image, engine = _engine(spec, site)
    max_num_seqs = base.given(spec.model.max_num_seqs, MAX_NUM_SEQS)
    offload = _kv_offload(spec)
    resources = _resources(spec, offload, why)
    periods, startup_seconds = _startup(spec, site, why)
    gateway = _on(spec.gateway) and site.providers.gateway != "none"
    picker = spec.gateway is not None and spec.gateway.picks and site.providers.gateway != "none"
    route = _on(spec.route) and site.providers.route != "none"
    ways = {"service": True, "gateway": gateway and not picker, "route": route}
    counted = {way for way in ways if ways[way]}
    scaling = replicas.scaling(spec, site, max_num_seqs, startup_seconds, counted, why)
    return Plan(
        resource=resource,
        site=site,
        gpu_class_name=class_name,
        gpu_class=gpu_class,
        gpu_count=count,
        gpu_resource=base.given(base.of(spec.gpu, "resource_name"), gpu_class.resource_name),
        image=image,
        engine=engine,
        utilization=_utilization(spec, max_num_seqs, why),
        context_window=base.given(spec.model.context_window, CONTEXT_WINDOW),
        max_num_seqs=max_num_seqs,
        generates=spec.model.runner != "pooling" and _arguments(spec).value("runner") != "pooling",
        kv_offload_gb=offload,
        weights=tuple(_weights(resource)),
        preloads=preloads(spec),
        sub_path=base.given(base.of(spec.weights_file_system, "sub_path"), resource.name),
        drain=_drain(spec, site, gpu_class, class_name, why),
        startup_periods=periods,
        startup_seconds=startup_seconds,
        resources=resources,
        scaling=scaling,
        replacement=replicas.replacement(scaling.maximum, class_name, gpu_class, why),
        gateway=gateway,
        picker=picker,
        route=route,
        suspended=spec.suspend is True,
        misfit=_misfit(resources, count, class_name, gpu_class),
        explanations=tuple(why),
    )


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
        ("engine_image", "spec.engine.image", bool(base.of(spec.engine, "image"))),
        (
            "volumes",
            "spec.podTemplate.volumes",
            bool(
                spec.pod_template and (spec.pod_template.volumes or spec.pod_template.volume_mounts)
            ),
        ),
    )
    loading = [
        variable.name
        for variable in base.of(spec.pod_template, "env") or []
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
    yield from _argument_refusals(spec, namespace, site.permissions)
    most = site.limits.max_gpus
    if most is not None:
        count = spec.gpu.count if spec.gpu is not None else 1
        _, maximum = replicas.bounds(spec, site)
        if maximum * count > most:
            yield base.Problem(
                "spec.scaling.maxReplicas",
                f"{maximum} replicas of {count} GPUs are above the settings' limits.maxGPUs of"
                f" {most}",
            )
    if any("{region}" in host for host in site.preload.egress_hosts) and site.region is None:
        yield base.Problem("settings preload.egressHosts", "{region} needs the setting region")
    yield from _engine_refusals(spec, site)


def _arguments(spec: claim.Spec) -> command_line.CommandLine:
    """Returns the author's own arguments, read."""
    return command_line.CommandLine.read(spec.engine_args or [])


def _number(spec: claim.Spec, flag: str) -> float | None:
    """Returns the number that the author's own arguments give a flag, or None."""
    return _arguments(spec).number(flag, *flags.BOUNDS[flag])


def _argument_refusals(
    spec: claim.Spec, namespace: str, permissions: settings.Permissions
) -> Iterator[base.Problem]:
    arguments = _arguments(spec)
    yield from arguments.problems()
    mounts = base.of(spec.pod_template, "volume_mounts") or []
    mounted = [str(mount.get("mountPath", "")) for mount in mounts]
    for danger in arguments.dangers(mounted):
        hatch = flags.PERMISSION.get(danger.kind)
        if hatch is not None and not permissions.allow(hatch, namespace):
            camel = alias_generators.to_camel(hatch)
            yield base.Problem(
                f"spec.engineArgs[{danger.index}]",
                f"{danger.option} {danger.why}; the settings do not allow this in namespace"
                f" {namespace} (permissions.{camel})",
            )


def _engine_refusals(spec: claim.Spec, site: settings.Settings) -> Iterator[base.Problem]:
    _, engine = _engine(spec, site)
    if engine < version.MINIMUM:
        yield base.Problem(
            "spec.engine.version",
            f"vLLM {version.show(engine)} is older than {version.show(version.MINIMUM)}, the first"
            " that can finish running requests when it stops",
        )
    # A number out of bounds has its own refusal.
    countable = not any(_arguments(spec).problems())
    if countable and _kv_offload(spec) is not None and engine < version.KV_OFFLOAD:
        yield base.Problem(
            "spec.cache.kvOffload",
            f"vLLM {version.show(engine)} is older than {version.show(version.KV_OFFLOAD)}",
        )


def _gpu_class(spec: claim.Spec, site: settings.Settings) -> tuple[str, settings.GpuClass]:
    name = base.given(base.of(spec.gpu, "class_"), site.gpu.default_class)
    return name, site.gpu.classes.get(name, settings.GpuClass())


def _engine(spec: claim.Spec, site: settings.Settings) -> tuple[str, version.Version]:
    """Returns the image, mirror included, and the version of the engine."""
    image, chosen = base.of(spec.engine, "image"), base.of(spec.engine, "version")
    if image is not None:
        number = chosen or version.show(version.of_image(image) or (0, 0, 0))
    else:
        number = base.given(chosen, site.engine.version)
        image = f"{site.engine.image}:v{number.removeprefix('v')}"
        if chosen is None and site.engine.digest is not None:
            image += f"@{site.engine.digest}"
    return mirrored(image, site), version.parse(number)


def mirrored(image: str, site: settings.Settings) -> str:
    """Returns the image as the site's mirror serves it."""
    return image if site.image_registry is None else f"{site.image_registry}/{image}"


def _utilization(spec: claim.Spec, max_num_seqs: int, why: list[explanation.Explanation]) -> str:
    chosen = base.of(spec.gpu, "memory_utilization")
    if chosen is not None:
        return str(chosen)
    result = "0.90" if max_num_seqs >= 256 else "0.92"
    why.append(
        explanation.Explanation(
            "gpu-memory-utilization",
            result,
            "0.92, or 0.90 from maxNumSeqs 256: CUDA graphs grow with it and lie outside the share",
            f"maxNumSeqs={max_num_seqs}",
        )
    )
    return result


def _kv_offload(spec: claim.Spec) -> int | None:
    """Returns the GiB of KV blocks in host memory; the author's own flag replaces the field."""
    flag = _number(spec, "kv-offloading-size")
    if flag is not None:
        return math.ceil(flag) or None
    offload = spec.cache.kv_offload if spec.cache is not None else None
    if offload is None or offload.enabled is not True:
        return None
    return int(base.given(offload.size_gb, KV_OFFLOAD_GB))


def _resources(
    spec: claim.Spec, offload: int | None, why: list[explanation.Explanation]
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
                explanation.Explanation(
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
    revision = base.given(wanted.revision, "main")
    items = [("base", resource.name, wanted.repository, revision, revision)] + [
        ("adapter", a.name, a.repository, base.given(a.revision, "main"), f"loras/{a.name}")
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
    why: list[explanation.Explanation],
) -> Drain:
    flag = _number(spec, "shutdown-timeout")
    shutdown = int(base.given(spec.drain_seconds, DRAIN)) if flag is None else math.ceil(flag)
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
        explanation.Explanation(
            "drain",
            f"preStop {pre_stop} s, shutdown-timeout {shutdown} s, grace period {grace} s",
            f"grace = preStop + drain + {EXIT} s, capped by the class's interruption notice",
            f"drainSeconds={base.given(spec.drain_seconds, f'{DRAIN} (default)')},"
            f" class {class_name} notice={base.given(notice, 'none')}",
        )
    )
    return Drain(pre_stop, shutdown, grace)


def _startup(
    spec: claim.Spec, site: settings.Settings, why: list[explanation.Explanation]
) -> tuple[int, int]:
    """Returns the startup probe's failure threshold, and the budget that results in seconds.

    A failing engine exits by itself, so a generous budget costs nothing; a tight one is a kill
    loop. The budget is a time: another period of the author's neither shortens nor stretches it.
    """
    chosen = base.of(spec.health_probes, "startup")
    period = int(base.given(base.of(chosen, "period_seconds"), STARTUP_PERIOD))
    delay = int(base.given(base.of(chosen, "initial_delay_seconds"), 0))
    threshold = base.of(chosen, "failure_threshold")
    if threshold is not None:
        return int(threshold), delay + period * int(threshold)
    size = base.given(spec.model.size_gi_b, models.WEIGHTS_GIB.get(spec.model.repository or ""))
    bandwidth = site.weights.bandwidth_mi_b
    if size is None or bandwidth is None:
        seconds = LONGEST_START
        inputs = f"size={base.given(size, 'unknown')}, bandwidth={base.given(bandwidth, 'unknown')}"
    else:
        seconds = max(SHORTEST_START, 2 * (ENGINE_START + size * 1024 / bandwidth) + 120)
        inputs = f"size={size} GiB, bandwidth={bandwidth} MiB/s"
    periods = math.ceil(seconds / period)
    why.append(
        explanation.Explanation(
            "startup budget",
            f"{delay + periods * period} s",
            f"2 x ({ENGINE_START} s + size / bandwidth) + 120 s, at least {SHORTEST_START} s;"
            f" {LONGEST_START} s when the size or the bandwidth is unknown",
            inputs,
        )
    )
    return periods, delay + periods * period


def while_running(plan: Plan, max_num_seqs: int) -> Plan:
    """Returns the plan for pods that still run with another maxNumSeqs than the claim now says."""
    if plan.scaling.running_ratio is None:
        return dataclasses.replace(plan, max_num_seqs=max_num_seqs)
    scaling = dataclasses.replace(
        plan.scaling, running=replicas.share(plan.scaling.running_ratio, max_num_seqs)
    )
    return dataclasses.replace(plan, max_num_seqs=max_num_seqs, scaling=scaling)


def sets(plan: Plan, flag: str) -> bool:
    """Tells whether the author's own arguments set the flag, which replaces ours."""
    return _arguments(plan.spec).sets(flag)
