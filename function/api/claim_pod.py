"""What the pods of a claim are: the engine, GPUs and other resources, probes, additions."""

import re
from typing import Annotated, ClassVar, Literal

import pydantic

from function.api import base

IMAGE = base.form(
    r"^[A-Za-z0-9][A-Za-z0-9._:/-]*(@sha256:[a-f0-9]{64})?$",
    "an image: a repository, with :tag or @sha256: and 64 digits behind it",
)
ENGINE_VERSION = base.form(
    r"^v?[0-9]+\.[0-9]+\.[0-9]+([-+.a-z0-9]*)?$", "a version of three numbers, such as 0.25.1"
)

# The labels that Deployment and Service select pods by.
SELECTING_LABELS = frozenset(
    f"app.kubernetes.io/{name}" for name in ("name", "instance", "component", "part-of")
)

ResourceName = Annotated[str, base.text(128, base.LABEL_KEY)]

# As in Kubernetes, a quantity may be a string or an integer.
ResourceQuantity = Annotated[
    Annotated[int, base.number(0)] | base.Quantity,
    base.OneMessage("must be a quantity, for example 2, 500m or 16Gi"),
]

Resources = Annotated[dict[ResourceName, ResourceQuantity], base.items(16), base.NULLS_ABSENT]

_SHARE = base.form(r"^0\.[0-9]{1,4}$", "a share in quotes, for example 0.92")


# Pods of one replica: a loss of any of them ends all.
MOST_PODS = 16


class Parallelism(base.Model):
    """How the GPUs of one replica share the model."""

    tensor: Annotated[int, base.number(1, 64)] | None = pydantic.Field(
        None, description="GPUs that share each layer; gpu.count when absent."
    )
    pipeline: Annotated[int, base.number(1, 16)] | None = pydantic.Field(
        None, description="Stages that share the layers, one after the other; 1 when absent."
    )
    data: Annotated[int, base.number(1, 64)] | None = pydantic.Field(
        None,
        description="Copies of the model behind one address; 1 when absent. Over several pods only"
        " for mixtures of experts: of other models take more replicas.",
    )
    expert: bool | None = pydantic.Field(
        None,
        description="Whole experts on each GPU, instead of slices of all of them; off when absent.",
    )


def _copy(gpu: "Gpu") -> int:
    """Returns the GPUs that hold one copy of the model."""
    parts = gpu.parallelism or Parallelism()
    return int(base.given(parts.tensor, gpu.count)) * int(base.given(parts.pipeline, 1))


def _asked(gpu: "Gpu") -> int:
    """Returns the GPUs of a replica."""
    return _copy(gpu) * int(base.given(base.of(gpu.parallelism, "data"), 1))


# The same in CEL.
_COUNT = "(has(self.count) ? self.count : 1)"
_COPY = (
    f"(has(self.parallelism.tensor) ? self.parallelism.tensor : {_COUNT})"
    " * (has(self.parallelism.pipeline) ? self.parallelism.pipeline : 1)"
)
_ASKED = f"{_COPY} * (has(self.parallelism.data) ? self.parallelism.data : 1)"


class Gpu(base.Model):
    """The GPUs of one replica."""

    count: Annotated[int, base.number(1, 8)] = pydantic.Field(
        1,
        description="GPUs of one pod. Without parallelism a replica is one pod, and all of its GPUs"
        " share each layer.",
    )
    parallelism: Parallelism | None = pydantic.Field(
        None,
        description="How the GPUs of a replica share the model. A replica has tensor x pipeline x"
        " data GPUs, in pods of count GPUs each: more than one pod is a LeaderWorkerSet.",
    )
    class_: base.DnsLabel | None = pydantic.Field(
        None,
        alias="class",
        description="Name of a GPU class of the settings; their default class when absent.",
    )
    min_vram: base.Quantity | None = pydantic.Field(
        None, alias="minVRAM", description="Least memory of one GPU. Informational."
    )
    memory_utilization: (
        Annotated[
            str,
            base.text(6, _SHARE),
            base.Rule(
                cel="double(self) >= 0.1 && double(self) <= 0.98",
                message="memoryUtilization is between 0.1 and 0.98",
                holds=lambda value: 0.1 <= float(value) <= 0.98,
            ),
        ]
        | None
    ) = pydantic.Field(
        None,
        description="Share of the GPU's memory that the engine takes; 0.92 when absent, 0.90 from"
        " maxNumSeqs 256, because CUDA graphs are captured outside of this share.",
    )
    resource_name: Annotated[str, base.text(128, base.EXTENDED_RESOURCE)] | None = pydantic.Field(
        None, description="Extended resource to ask for; the class's when absent."
    )
    fit: Literal["Enforce", "Ignore"] | None = pydantic.Field(
        None,
        description="Enforce asks for no GPU while the model cannot fit into its GPUs, even at the"
        " optimistic end of the estimate. Ignore asks all the same. The settings' capacity.fit when"
        " absent.",
    )

    RULES: ClassVar = (
        base.Rule(
            cel=f"!has(self.parallelism) || ({_ASKED}) % {_COUNT} == 0",
            message="tensor x pipeline x data is a multiple of gpu.count, the GPUs of one pod",
            holds=lambda gpu: _asked(gpu) % gpu.count == 0,
            at="parallelism",
        ),
        base.Rule(
            cel=f"!has(self.parallelism) || {_ASKED} <= {MOST_PODS} * {_COUNT}",
            message=f"tensor x pipeline x data is at most {MOST_PODS} x gpu.count: a replica has at"
            f" most {MOST_PODS} pods",
            holds=lambda gpu: _asked(gpu) <= MOST_PODS * gpu.count,
            at="parallelism",
        ),
        base.Rule(
            cel=f"!has(self.parallelism) || ({_COPY}) % {_COUNT} == 0 || {_COUNT} % ({_COPY}) == 0",
            message="a copy of the model, tensor x pipeline GPUs, fills whole pods of gpu.count"
            " GPUs, or a pod has whole copies",
            holds=lambda gpu: _copy(gpu) % gpu.count == 0 or gpu.count % _copy(gpu) == 0,
            at="parallelism",
        ),
    )


class Scheduling(base.Model):
    """In which order replicas get their GPUs, where Kueue shares them out."""

    queue: base.DnsLabel | None = pydantic.Field(
        None,
        description="LocalQueue of the namespace: each replica waits for its quota. It changes only"
        " while no replica runs, and stays for as long as the workload is there. None when absent.",
    )
    priority_class: base.DnsLabel | None = pydantic.Field(
        None,
        description="WorkloadPriorityClass: who comes first in the queue, and whose replicas may be"
        " stopped for others; settings say which (queuePriorities). The cluster's own default when"
        " absent.",
    )

    RULES: ClassVar = (
        base.Rule(
            cel="!has(self.priorityClass) || has(self.queue)",
            message="priorityClass is a place in a queue: name the queue too",
            holds=lambda asked: asked.priority_class is None or asked.queue is not None,
            at="priorityClass",
        ),
    )


# Engines that need no GPU: a claim of theirs that names none has none.
WITHOUT_GPUS = frozenset(("tei",))


class Engine(base.Model):
    """The engine, and overrides of the settings about it."""

    kind: Literal["vllm", "tei"] | None = pydantic.Field(
        None,
        description="vllm (default), or tei: text-embeddings-inference for embeddings, rerankers"
        " and classifiers. tei runs on the CPU where the claim has no gpu, and on one GPU where it"
        " has. It stays once pods run: another engine is another claim.",
    )
    version: Annotated[str, base.text(32, ENGINE_VERSION)] | None = pydantic.Field(
        None, description="Version of the engine, for example 0.25.1 of vLLM or 1.9.3 of tei."
    )
    image: Annotated[str, base.text(255, IMAGE)] | None = pydantic.Field(
        None, description="Image of the engine; settings say who may choose one."
    )

    RULES: ClassVar = (
        base.Rule(
            cel="!has(self.image) || has(self.version)"
            " || self.image.matches(':v?[0-9]+[.][0-9]+[.][0-9]+[^@/]*$')",
            message="version is required when the image's tag does not end in one",
            holds=lambda e: e.image is None or e.version is not None or _tagged(e.image),
            at="version",
        ),
    )


def _tagged(image: str) -> bool:
    return _VERSION_TAG.search(image) is not None


_VERSION_TAG = re.compile(r":v?[0-9]+[.][0-9]+[.][0-9]+[^@/]*\Z")


class KvOffload(base.Model):
    """KV blocks in host memory."""

    enabled: bool | None = pydantic.Field(
        None, description="Keep evicted KV blocks in host memory; off when absent."
    )
    size_gb: Annotated[int, base.number(1, 4096)] | None = pydantic.Field(
        None,
        alias="sizeGB",
        description="GiB of host memory, over all GPUs of a replica; 16 when absent. Requested"
        " on top of resources.",
    )


class PrefixCache(base.Model):
    """Reuse of KV blocks of common prefixes."""

    enabled: bool | None = pydantic.Field(None, description="On when absent.")


class Cache(base.Model):
    """The engine's caches."""

    kv_offload: KvOffload | None = None
    prefix_cache: PrefixCache | None = None


class ResourceRequirements(base.Model):
    """What one replica asks for; keys that are absent keep their default."""

    requests: Resources | None = pydantic.Field(
        None, description="Requests of the engine's container; the GPUs are added."
    )
    limits: Resources | None = pydantic.Field(
        None, description="Limits of the engine's container; the GPUs are added."
    )


Seconds = Annotated[int, base.number(0, 86400)]
PositiveSeconds = Annotated[int, base.number(1, 86400)]


class Probe(base.Model):
    """Timing of one probe on /health."""

    initial_delay_seconds: Seconds | None = pydantic.Field(
        None, description="Seconds before the first probe."
    )
    period_seconds: PositiveSeconds | None = pydantic.Field(
        None, description="Seconds between two probes."
    )
    timeout_seconds: PositiveSeconds | None = pydantic.Field(
        None, description="Seconds after which a probe has failed."
    )
    failure_threshold: Annotated[int, base.number(1, 10000)] | None = pydantic.Field(
        None, description="Failures in a row that count."
    )


class HealthProbes(base.Model):
    """Timing of the probes."""

    startup: Probe | None = None
    readiness: Probe | None = None
    liveness: Probe | None = None


# A kubelet puts the value of a variable, a Secret's too, in the place of `$(NAME)`: the engine
# shows it in its log, its metrics or its answers. `$$(` is how Kubernetes writes a literal one.
EXPANDED = "$("

NO_REFERENCE = base.Rule(
    cel=f"!self.contains('{EXPANDED}')",
    message="holds $(: a kubelet would put a variable's value there, and Secrets are variables;"
    " write the value itself ($$( is refused too)",
    holds=lambda value: EXPANDED not in value,
    function_only=True,
)


_VARIABLE = base.form(
    r"^[A-Za-z_][A-Za-z0-9_]*$",
    "the name of a variable: letters, digits and '_', with no digit at its beginning",
)


class EnvVar(base.Model):
    """An environment variable of the engine; settings say who may set more than plain ones."""

    name: Annotated[str, base.text(128, _VARIABLE)] = pydantic.Field(
        description="Name of the variable."
    )
    value: Annotated[str, base.text(4096, None, 0), NO_REFERENCE] | None = pydantic.Field(
        None, description="Its value."
    )
    value_from: Annotated[base.RawObject, base.Bounds(16)] | None = pydantic.Field(
        None,
        description="Source of its value, as in a pod: one of fieldRef, resourceFieldRef,"
        " configMapKeyRef and secretKeyRef.",
    )

    RULES: ClassVar = (
        base.Rule(
            cel="!(has(self.value) && has(self.valueFrom))",
            message="value and valueFrom exclude each other",
            holds=lambda e: e.value is None or e.value_from is None,
            at="valueFrom",
        ),
    )


class PodTemplate(base.Model):
    """Additions to the serving pod."""

    labels: base.Labels | None = pydantic.Field(
        None, description="Labels of the pod; settings say which (labels)."
    )
    annotations: base.Annotations | None = pydantic.Field(
        None, description="Annotations of the pod; settings say which (annotations)."
    )
    node_selector: base.Labels | None = pydantic.Field(
        None, description="Merged over the class's; settings say which labels (nodeLabels)."
    )
    tolerations: base.RawList | None = pydantic.Field(
        None, description="Added to the class's; settings say which taints."
    )
    affinity: base.Raw | None = pydantic.Field(None, description="Affinity of the pod.")
    topology_spread_constraints: base.RawList | None = pydantic.Field(
        None, description="Replaces the default spread over nodes."
    )
    priority_class_name: base.DnsSubdomain | None = pydantic.Field(
        None, description="PriorityClass of the pod; settings say which (priorityClasses)."
    )
    env: (
        Annotated[
            list[EnvVar],
            base.items(32),
            base.distinct("name", "podTemplate.env must have distinct names"),
        ]
        | None
    ) = None
    volumes: base.RawList | None = pydantic.Field(
        None, description="Volumes of the pod; settings say who may add them."
    )
    volume_mounts: base.RawList | None = pydantic.Field(
        None, description="Where the engine's container mounts them."
    )

    RULES: ClassVar = (
        base.Rule(
            cel="!has(self.labels) || !self.labels.exists(k, k in ['app.kubernetes.io/name',"
            " 'app.kubernetes.io/instance', 'app.kubernetes.io/component',"
            " 'app.kubernetes.io/part-of'])",
            message="podTemplate.labels cannot set the labels that select the pods",
            holds=lambda p: p.labels is None or not SELECTING_LABELS & set(p.labels),
            at="labels",
        ),
    )
