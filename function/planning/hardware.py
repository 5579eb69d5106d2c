"""The GPUs of one replica, its CPU and memory, and whether a node of its class can hold it."""

import dataclasses
import re

from function import explanation, likeness, plural
from function.api import base, claim, claim_pod, settings, settings_engine
from function.capacity import cards, quantity
from function.planning import misfits, parallelism

Amounts = dict[str, int | str]

# Of a replica with one GPU. CPU and memory follow the count of GPUs: each GPU is a worker process
# that loads and pins a share of its own.
REQUESTS: dict[str, int] = {"cpu": 2, "memory": 16}
LIMITS: dict[str, int] = {"cpu": 8, "memory": 32}

# The same of a replica without a GPU, whose models are small and whose CPU does all the work.
CPU_REQUESTS: dict[str, int] = {"cpu": 4, "memory": 4}
CPU_LIMITS: dict[str, int] = {"cpu": 8, "memory": 8}

# In the place of a class' name, for replicas without a GPU.
CPU = "cpu"
NO_GPU = "none"

# Domains of the extended resources that GPUs have: whole ones, and parts of one (MIG).
GPU_DOMAINS = frozenset(("amd.com", "gpu.intel.com", "nvidia.com"))
# The same with accelerators that vLLM does not run on from here, and that cost as much.
ACCELERATOR_DOMAINS = GPU_DOMAINS | {"aws.amazon.com", "google.com", "habana.ai"}


@dataclasses.dataclass(frozen=True)
class Needs:
    """Memory that a replica without a GPU takes.

    Attributes:
        gib: In GiB.
        rule: How it follows, for people.
        inputs: From what.
    """

    gib: int
    rule: str
    inputs: str


@dataclasses.dataclass(frozen=True)
class Hardware:
    """What one replica runs on.

    Attributes:
        class_name: Name of the GPU class in the settings; `CPU` without a GPU.
        gpu: The class; without a GPU the settings' `cpu` in the form of one.
        count: GPUs of a pod; zero for an engine that needs none.
        split: How the GPUs of a replica share the model, and its pods.
        resource_name: The extended resource of the GPUs.
        requests: Requests without the GPUs.
        limits: Limits without the GPUs.
    """

    class_name: str
    gpu: settings_engine.GpuClass
    count: int
    split: parallelism.Split
    resource_name: str
    requests: Amounts
    limits: Amounts

    @property
    def without_gpu(self) -> bool:
        """Whether a replica has no GPU: the CPU computes."""
        return self.count == 0

    @property
    def misfit(self) -> misfits.Misfit | None:
        """Why a replica fits on no node of its class, or None."""
        return _misfit(self)

    @property
    def gpus(self) -> int:
        """GPUs of one replica, all of its pods together."""
        return self.count * self.split.pods

    @property
    def setting(self) -> str:
        """Where the settings say what its nodes have."""
        return CPU if self.without_gpu else f"gpu.classes.{self.class_name}"

    @property
    def words(self) -> str:
        """The GPUs of one replica and their class, for people."""
        return words(self.gpus, self.class_name, self.split.pods)

    @property
    def priced_as(self) -> str:
        """The name of what is paid for: the class, or a resource that is none of the class'."""
        same = self.resource_name == self.gpu.resource_name
        return self.class_name if same else self.resource_name

    @property
    def sliced(self) -> bool:
        """Whether its GPUs are slices of one (MIG), of which a process sees one."""
        return sliced(self.gpu, self.resource_name)

    @property
    def resources(self) -> dict[str, Amounts]:
        """The container's resources, the GPUs included."""
        gpus: Amounts = {} if self.without_gpu else {self.resource_name: self.count}
        return {"requests": {**self.requests, **gpus}, "limits": {**self.limits, **gpus}}


def sliced(gpu: settings_engine.GpuClass, resource_name: str) -> bool:
    """Tells whether the GPUs of a resource are slices of one (MIG).

    Args:
        gpu: The class of the pod.
        resource_name: The resource that the pod asks for, which may be none of the class'.
    """
    named = resource_name == gpu.resource_name and gpu.product is not None
    return "/mig-" in resource_name or (named and cards.sliced(gpu.product or ""))


def gpu_count(spec: claim.Spec) -> int:
    """Returns the GPUs of one pod."""
    return spec.gpus


def words(gpus: int, class_name: str, pods: int = 1) -> str:
    """Returns the GPUs of a replica as people read them: `1 x l4`, or `2 pods of 8 x h100`.

    `none` for a replica that has none.

    Args:
        gpus: GPUs of all pods of the replica.
        class_name: Their class.
        pods: Pods of the replica.
    """
    if gpus == 0:
        return NO_GPU
    of_a_pod = f"{gpus // pods} x {class_name}"
    return f"{pods} pods of {of_a_pod}" if pods > 1 else of_a_pod


@dataclasses.dataclass(frozen=True)
class Cards:
    """The GPUs of a replica.

    Attributes:
        gpus: How many.
        class_name: Their class.
    """

    gpus: int
    class_name: str


_WORDS = re.compile(r"(?:(\d{1,4}) pods of )?(\d{1,4}) x (\S{1,253})")


def counted(text: str | None) -> Cards | None:
    """Returns the GPUs that `words` wrote, or None where the text is anything else."""
    match = _WORDS.fullmatch(text or "")
    gpus = 0 if match is None else int(match[1] or 1) * int(match[2])
    return None if match is None or gpus == 0 else Cards(gpus, match[3])


def accelerator(resource: str) -> bool:
    """Tells whether an extended resource is a GPU, a part of one, or the like of another vendor."""
    domain, _, device = resource.partition("/")
    return bool(device) and (domain in ACCELERATOR_DOMAINS or "gpu" in resource)


def gpus_of_a_pod(spec: claim.Spec) -> int:
    """Returns the GPUs that a pod asks for: its own, and others that settings let through."""
    own = spec.resources or claim_pod.ResourceRequirements()
    amounts = {**(own.requests or {}), **(own.limits or {})}
    beside = (int(quantity.parse(amounts[name])) for name in amounts if accelerator(name))
    return gpu_count(spec) + sum(beside)


def gpus_of_a_replica(spec: claim.Spec) -> int:
    """Returns the GPUs that all pods of a replica ask for."""
    return gpus_of_a_pod(spec) * parallelism.split(spec).pods


def gpu_class(spec: claim.Spec, site: settings.Settings) -> tuple[str, settings_engine.GpuClass]:
    """Returns the claim's GPU class and its name; the settings' default when it names none.

    Without a GPU it is that of the nodes of the settings' `cpu`.
    """
    if spec.without_gpu:
        return CPU, site.cpu.nodes
    name = base.given(base.of(spec.gpu, "class_"), site.gpu.default_class)
    classes = site.gpu.classes
    return name, classes[name] if name in classes else settings_engine.GpuClass()


def no_class(name: str, site: settings.Settings) -> str:
    """Returns that the settings lack a GPU class, with the one that is probably meant."""
    classes = sorted(site.gpu.classes)
    near = likeness.nearest(name, classes)
    hint = f"; the nearest is {near[0]}" if near else ""
    return f"no such class in the settings; there are: {', '.join(classes)}{hint}"


def hardware(
    spec: claim.Spec,
    site: settings.Settings,
    pinned_gib: int | None,
    why: list[explanation.Explanation],
    *,
    on_gpus: bool,
    needs: Needs | None = None,
) -> Hardware:
    """Returns what one replica runs on.

    Args:
        spec: What the author asks for.
        site: The settings.
        pinned_gib: Host memory in GiB that the engine pins on top, or None.
        why: Explanations are added here.
        on_gpus: False for an engine that computes on the CPU.
        needs: Memory that a replica without a GPU takes, or None where nobody knows.
    """
    name, gpu = gpu_class(spec, site) if on_gpus else (CPU, site.cpu.nodes)
    count = gpu_count(spec) if on_gpus else 0
    requests, limits = _resources(spec, count, pinned_gib, needs, why)
    return Hardware(
        class_name=name,
        gpu=gpu,
        count=count,
        split=parallelism.split(spec),
        resource_name=base.given(base.of(spec.gpu, "resource_name"), gpu.resource_name),
        requests=requests,
        limits=limits,
    )


def _resources(
    spec: claim.Spec,
    count: int,
    pinned_gib: int | None,
    needs: Needs | None,
    why: list[explanation.Explanation],
) -> tuple[Amounts, Amounts]:
    """Returns requests and limits without the GPUs, merged key by key over the defaults."""
    own = spec.resources or claim_pod.ResourceRequirements()
    usual = (REQUESTS, LIMITS) if count else _on_cpu(needs)
    requests, limits = (_defaults(amounts, max(count, 1)) for amounts in usual)
    requests |= dict(own.requests or {})
    limits |= dict(own.limits or {})
    if pinned_gib is not None:
        for kind, amounts in (("request", requests), ("limit", limits)):
            before = amounts["memory"]
            amounts["memory"] = quantity.add_gib(before, pinned_gib)
            why.append(
                explanation.Explanation(
                    f"memory {kind}",
                    str(amounts["memory"]),
                    "KV blocks in host memory are pinned: their size is added",
                    f"{before} + kvOffload {pinned_gib}GiB",
                    field=f"spec.resources.{kind}s.memory",
                )
            )
    _reconcile(own, requests, limits, why)
    if needs is not None and not count and usual != (CPU_REQUESTS, CPU_LIMITS):
        told = ("request", own.requests, requests), ("limit", own.limits, limits)
        for (kind, written, amounts), default in zip(told, usual, strict=True):
            # One that the author wrote, or that follows from the other, follows from no need.
            if "memory" in (written or {}) or amounts["memory"] != f"{default['memory']}Gi":
                continue
            why.append(
                explanation.Explanation(
                    f"memory {kind}",
                    str(amounts["memory"]),
                    needs.rule,
                    needs.inputs,
                    field=f"spec.resources.{kind}s",
                )
            )
    # A limit that is an extended resource's is also its request.
    for key, request in requests.items():
        if "/" in key:
            limits.setdefault(key, request)
    return requests, limits


def _on_cpu(needs: Needs | None) -> tuple[dict[str, int], dict[str, int]]:
    """Returns requests and limits of a replica without a GPU.

    Memory that is taken is requested: a node that lacks it would kill the container. The limit
    stays as far above the request as it usually is.
    """
    more = max(0, (0 if needs is None else needs.gib) - CPU_REQUESTS["memory"])
    requests, limits = (
        amounts | {"memory": amounts["memory"] + more} for amounts in (CPU_REQUESTS, CPU_LIMITS)
    )
    return requests, limits


def _defaults(amounts: dict[str, int], count: int) -> Amounts:
    return {"cpu": str(amounts["cpu"] * count), "memory": f"{amounts['memory'] * count}Gi"}


def _reconcile(
    own: claim_pod.ResourceRequirements,
    requests: Amounts,
    limits: Amounts,
    why: list[explanation.Explanation],
) -> None:
    """Makes no limit lower than its request, which the API server refuses.

    A limit that the author wrote stands and the request follows; otherwise the limit follows.
    """
    for key, limit in limits.items():
        request = requests.get(key)
        if request is None or quantity.parse(limit) >= quantity.parse(request):
            continue
        if key not in (own.limits or {}):
            limits[key] = request
            continue
        requests[key] = limit
        if key in (own.requests or {}):
            why.append(
                explanation.Explanation(
                    f"{key} request",
                    str(limit),
                    f"spec.resources.requests.{key}: {request} is above the limit of {limit},"
                    f" which the API server refuses: {limit} is requested",
                    f"resources.requests.{key}={request}, resources.limits.{key}={limit}",
                    surprising=True,
                    field=f"spec.resources.requests.{key}",
                )
            )


# What of a claim its requests follow from.
_LOWERED = {
    "memory": "spec.resources.requests.memory, spec.gpu.count or spec.cache.kvOffload.sizeGB",
    "cpu": "spec.resources.requests.cpu or spec.gpu.count",
}


def _misfit(hard: Hardware) -> misfits.Misfit | None:
    """Returns why no node of the class could ever run a replica."""
    count, name, gpu = hard.count, hard.class_name, hard.gpu
    if count > gpu.node_gpus:
        return misfits.Misfit(
            misfits.EXCEEDS_CLASS,
            f"a replica has {plural.of(count, 'GPU')}, a node of class {name} has {gpu.node_gpus}:"
            f" lower spec.gpu.count, or correct the setting gpu.classes.{name}.nodeGpus",
        )
    for key, most, field in (
        ("memory", gpu.node_memory, "nodeMemory"),
        ("cpu", gpu.node_cpu, "nodeCpu"),
    ):
        wanted = hard.requests[key]
        if most is not None and quantity.parse(wanted) > quantity.parse(most):
            lowered, which = _LOWERED[key], f"of class {name}"
            if hard.without_gpu:
                lowered, which = f"spec.resources.requests.{key}", "without a GPU"
            return misfits.Misfit(
                misfits.EXCEEDS_CLASS,
                f"a replica requests {wanted} of {key}, a node {which} offers {most}: lower"
                f" {lowered}, or correct the setting {hard.setting}.{field}",
            )
    return None
