"""The engine that claims get, the GPUs that it runs on, and what is reckoned of them."""

import itertools
from typing import Annotated, ClassVar, Literal

import pydantic

from function.api import base, claim_pod, settings_forms

Version = Annotated[str, base.text(32, claim_pod.ENGINE_VERSION)]
Digest = Annotated[str, base.text(71, r"^sha256:[a-f0-9]{64}$")]
# Beginnings of tags of text-embeddings-inference, which has an image for each kind of hardware.
TeiVariant = Annotated[str, base.text(16, r"^[a-z0-9]+$")]


class Tei(base.Model):
    """text-embeddings-inference, for claims of `engine.kind: tei`."""

    image: settings_forms.Image = pydantic.Field(
        "ghcr.io/huggingface/text-embeddings-inference",
        description="Image of the engine, without its tag: version, and before it what it is built"
        " for, by the GPU of the claim's class.",
    )
    version: Version = pydantic.Field("1.9.3", description="Version of the engine.")
    digests: Annotated[dict[TeiVariant, Digest], base.items(16), base.NULLS_ABSENT] = (
        pydantic.Field(
            default_factory=dict,
            description="Digests of its images, by what stands before the version in the tag (cpu,"
            " turing, 86, 89, hopper, 100, 120, cuda; ampere for the one with nothing there).",
        )
    )


class Engine(base.Model):
    """The engine that claims get when they name none."""

    image: settings_forms.Image = pydantic.Field(
        "vllm/vllm-openai", description="Image of the engine, without its tag."
    )
    version: Version = pydantic.Field(
        "0.25.1", description="vLLM version; also the image's tag, with v before it."
    )
    digest: Digest | None = pydantic.Field(
        None, description="Digest of the image; the tag is then only for people."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = pydantic.Field(
        "INFO", description="Level of the engine's log."
    )
    tei: Tei = pydantic.Field(default_factory=Tei)


# A number of a GPU: a whole one, or a decimal fraction as text.
GpuNumber = Annotated[
    Annotated[int, base.number(0, 1_000_000)] | Annotated[str, base.text(16, base.DECIMAL)],
    base.OneMessage("must be a number such as 80, or a decimal as text such as '79.2'"),
]


class GpuClass(base.Model):
    """One kind of node with GPUs, and what a replica on it can rely on."""

    product: Annotated[str, base.text(63, r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$")] | None = (
        pydantic.Field(
            None,
            description="Product of the GPUs, as the label nvidia.com/gpu.product or the vendor"
            " names it: NVIDIA-L4, L40S, NVIDIA-H100-80GB-HBM3. Fit and speed follow from it.",
        )
    )
    memory_gi_b: GpuNumber | None = pydantic.Field(
        None,
        alias="memoryGiB",
        description="Memory of one GPU, in GiB as the device reports it; the product's by default.",
    )
    bandwidth_gb: GpuNumber | None = pydantic.Field(
        None,
        alias="bandwidthGB",
        description="GB (10^9 bytes) a second between memory and chip; the product's when absent.",
    )
    tflops16: GpuNumber | None = pydantic.Field(
        None,
        description="10^12 operations a second in bf16 without sparsity; the product's by default.",
    )
    tflops8: GpuNumber | None = pydantic.Field(
        None, description="The same in fp8; 0 for GPUs that have none."
    )
    node_cpu: base.Quantity | None = pydantic.Field(
        None, description="CPU that pods of one node of this class can request in all."
    )
    node_memory: base.Quantity | None = pydantic.Field(
        None, description="Memory that pods of one node of this class can request in all."
    )
    node_gpus: Annotated[int, base.number(1, 64)] = pydantic.Field(
        8, description="GPUs of one node: a replica cannot have more."
    )
    pool_gpus: Annotated[int, base.number(0, 1_000_000)] | None = pydantic.Field(
        None,
        description="GPUs that the node pools of this class can have in all: `plan` says what would"
        " not schedule.",
    )
    resource_name: Annotated[str, base.text(128, base.EXTENDED_RESOURCE)] = pydantic.Field(
        "nvidia.com/gpu", description="Extended resource of the GPUs."
    )
    node_selector: base.Labels = pydantic.Field(
        default_factory=dict, description="Labels of the nodes."
    )
    tolerations: base.RawList = pydantic.Field(
        default_factory=base.no_items, description="Tolerations for the taints of the nodes."
    )
    runtime_class_name: base.DnsSubdomain | None = pydantic.Field(
        None, description="RuntimeClass of the pods."
    )
    pod_annotations: base.Annotations = pydantic.Field(
        default_factory=dict,
        description='For example karpenter.sh/do-not-disrupt: "true" on an on-demand class.',
    )
    spare: bool = pydantic.Field(
        False, description="A GPU stays free for a rollout: the new pod starts before the old ends."
    )
    group_topology: base.LabelKey | None = pydantic.Field(
        None,
        description="Label of nodes that says which of them a fast network joins, such as a rack's:"
        " all pods of a replica lie where it has one value, and no other replica does. They lie"
        " anywhere when absent.",
    )
    interruption_notice_seconds: Annotated[int, base.number(1, 3600)] | None = pydantic.Field(
        None, description="Notice before a node is reclaimed; draining fits into it."
    )
    price_per_hour: Annotated[str, base.text(16, base.DECIMAL)] | None = pydantic.Field(
        None, description="Price of one GPU of this class in an hour, in pricing.currency."
    )


class Cpu(base.Model):
    """Nodes of replicas that have no GPU."""

    node_cpu: base.Quantity | None = pydantic.Field(
        None, description="CPU that pods of one such node can request in all."
    )
    node_memory: base.Quantity | None = pydantic.Field(
        None, description="Memory that pods of one such node can request in all."
    )
    node_selector: base.Labels = pydantic.Field(
        default_factory=lambda: {"kubernetes.io/arch": "amd64"},
        description="Labels of the nodes; amd64 when absent, which the engine's image is built"
        " for.",
    )
    tolerations: base.RawList = pydantic.Field(
        default_factory=base.no_items, description="Tolerations for the taints of the nodes."
    )
    pod_annotations: base.Annotations = pydantic.Field(
        default_factory=dict, description="Annotations of the pods."
    )
    spare: bool = pydantic.Field(
        True, description="Room for a rollout: the new pod starts before the old one ends."
    )
    interruption_notice_seconds: Annotated[int, base.number(1, 3600)] | None = pydantic.Field(
        None, description="Notice before a node is reclaimed; draining fits into it."
    )

    @property
    def nodes(self) -> GpuClass:
        """The same as a class of nodes."""
        return GpuClass(
            node_cpu=self.node_cpu,
            node_memory=self.node_memory,
            node_selector=self.node_selector,
            tolerations=self.tolerations,
            pod_annotations=self.pod_annotations,
            spare=self.spare,
            interruption_notice_seconds=self.interruption_notice_seconds,
        )


class Capacity(base.Model):
    """What is made of the estimate whether a model fits its GPUs, and what follows from it."""

    fit: Literal["Enforce", "Ignore"] = pydantic.Field(
        "Enforce",
        description="Enforce asks for no GPU for a model that cannot fit, even at the optimistic"
        " end of the estimate. A claim's gpu.fit overrules.",
    )
    full_sequences: Annotated[int, base.number(1, 1024)] = pydantic.Field(
        4,
        description="Sequences of the whole context window that a replica has room for, where the"
        " claim names no contextWindow: the window is the model's own, or what leaves this room.",
    )
    sequence_tokens: Annotated[int, base.number(16, 1_000_000)] = pydantic.Field(
        2048,
        description="Tokens of a request with its answer for which the KV cache is laid out:"
        " maxNumSeqs is what it holds of them, from 8 to 256, where the claim names none. Triggers"
        " and speed are judged by the shorter requests of a chat.",
    )
    models: Annotated[
        dict[Annotated[str, base.text(193, r"^[A-Za-z0-9*][A-Za-z0-9._/*-]*$")], base.Raw],
        base.items(32),
        base.NULLS_ABSENT,
    ] = pydantic.Field(
        default_factory=dict,
        description="Facts of models that the catalogue does not have, by repository, `*` for any"
        " characters, as `inference-service facts` prints them.",
    )


# Keys of payers' labels, each or its default: a schema of settings fills in no default.
_PAYER_KEYS = tuple(
    f"(has(self.{field}) ? self.{field} : '{default}')"
    for field, default in (("team", "team"), ("project", "project"), ("costCenter", "cost-center"))
)


class PayerLabels(base.Model):
    """Keys of the labels that say who pays for a claim."""

    team: base.LabelKey = pydantic.Field("team", description="Of `cost.team`.")
    project: base.LabelKey = pydantic.Field("project", description="Of `cost.project`.")
    cost_center: base.LabelKey = pydantic.Field("cost-center", description="Of `cost.costCenter`.")

    RULES: ClassVar = (
        base.Rule(
            cel=" && ".join(f"{a} != {b}" for a, b in itertools.combinations(_PAYER_KEYS, 2)),
            message="labels of payers must have distinct keys",
            holds=lambda keys: len({keys.team, keys.project, keys.cost_center}) == 3,
        ),
    )


class FromCost(base.Model):
    """Prices of an InferenceGateway that follow from what GPUs cost."""

    allowed: bool = pydantic.Field(True, description="Whether any may.")
    margin_percent: Annotated[int, base.number(0, 1000)] = pydantic.Field(
        0, description="What comes on top of the costs where an author states no margin."
    )


class Pricing(base.Model):
    """What prices mean, and how payers are named."""

    currency: Annotated[str, base.text(3, r"^[A-Z]{3}$")] = pydantic.Field(
        "USD", description="ISO 4217 code of the currency."
    )
    date: Annotated[str, base.text(10, r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")] | None = pydantic.Field(
        None, description="Day on which the prices were taken."
    )
    labels: PayerLabels = pydantic.Field(default_factory=PayerLabels)
    from_cost: FromCost = pydantic.Field(default_factory=FromCost)


class Gpu(base.Model):
    """The GPU classes of the site."""

    default_class: base.DnsLabel = pydantic.Field(
        "default", description="Class of the claims that name none."
    )
    classes: Annotated[dict[base.DnsLabel, GpuClass], base.items(32, 1), base.NULLS_ABSENT] = (
        pydantic.Field(
            default_factory=lambda: {
                "default": GpuClass(
                    tolerations=[
                        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
                    ]
                )
            }
        )
    )

    RULES: ClassVar = (
        base.Rule(
            cel="!has(self.defaultClass) || !has(self.classes)"
            " || self.classes.exists(name, name == self.defaultClass)",
            message="defaultClass must name one of classes",
            holds=lambda gpu: gpu.default_class in gpu.classes,
        ),
    )
