"""The claim: what a developer may ask for, its limits and its rules.

Every field of 0.9.0 is here with its meaning. No field has a default that could be derived: the
function applies defaults (`function.plan`), so that a choice can be told from an omission.
Optional therefore means `None`, and absence is asked with `is None`, never by truthiness.
"""

import re
from typing import Annotated, Any, ClassVar, Literal

import pydantic
from pydantic import alias_generators

from function import duration
from function.api import base
from function.engines.vllm import flags

GROUP = "cloud.ogenki.io"
VERSION = "v1alpha1"
KIND = "InferenceService"
PLURAL = "inferenceservices"

# KEDA names its HPA keda-hpa-<name>, which must fit into 63 characters.
LONGEST_NAME = 54
# Flux: spec.releaseName of a HelmRelease is at most 53 characters.
LONGEST_NAME_WITH_PICKER = 53
# A Service's name is a DNS-1035 label, and Services carry the claim's name.
NAME = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"

# Hugging Face: [namespace/]name, each of letters, digits, `-`, `_`, `.`; never `--` or `..`.
REPOSITORY = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}(/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?$"
# A commit, a tag, a branch, or refs/pr/N.
REVISION = r"^[A-Za-z0-9][A-Za-z0-9._/-]*$"
RELATIVE_PATH = r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$"
ABSOLUTE_PATH = r"^(/[A-Za-z0-9._-]+)+$"
WORD = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
IMAGE = r"^[A-Za-z0-9][A-Za-z0-9._:/-]*(@sha256:[a-f0-9]{64})?$"
ENGINE_VERSION = r"^v?[0-9]+\.[0-9]+\.[0-9]+([-+.a-z0-9]*)?$"
ENGINE_ARGUMENT = r"^--[A-Za-z][A-Za-z0-9._-]*(=.*)?$"

# The labels that Deployment and Service select pods by.
SELECTING_LABELS = frozenset(
    f"app.kubernetes.io/{name}" for name in ("name", "instance", "component", "part-of")
)


def _plain(path: str) -> bool:
    control = any(ord(character) < 32 or ord(character) == 127 for character in path)
    return not control and ".." not in path.split("/")


def _within(text: str, least: int, most: int) -> bool:
    """Tells whether a duration lies within bounds of milliseconds."""
    return least <= duration.milliseconds(text) <= most


_SECOND = 1000
_HOUR = 3600 * _SECOND
# 0.9.0 stored claims that break these, and a refusal of the schema would block their deletion. The
# boundary asks them of every claim that is rendered.
STORE_PATH = base.Rule(
    cel="!self.split('/').exists(s, s == '..') && self.matches('^[^\\\\x00-\\\\x1f\\\\x7f]*$')",
    message="a path of the store holds no segment '..' and no control character",
    holds=_plain,
    admission_only=True,
)
# What Go cannot read as a duration, External Secrets cannot list: then it fetches nobody's Secrets.
REFRESH = base.Rule(
    cel="duration(self) == duration('0s')"
    " || (duration(self) >= duration('1m') && duration(self) <= duration('8760h'))",
    message="must be 0s, which fetches once, or between 1m and 8760h",
    holds=lambda text: (
        duration.milliseconds(text) == 0 or _within(text, 60 * _SECOND, 8760 * _HOUR)
    ),
    admission_only=True,
)
SCRAPE = base.Rule(
    cel="duration(self) >= duration('5s') && duration(self) <= duration('24h')",
    message="must be between 5s and 24h",
    holds=lambda text: _within(text, 5 * _SECOND, 24 * _HOUR),
    admission_only=True,
)
TEMPLATE = base.Rule(
    cel="!self.split('/').exists(s, s == '..') && !(self.split('/')[1] in ['dev', 'proc', 'sys'])",
    message="a chat template is in the prompt: its path holds no '..', and lies outside of /dev,"
    " /proc and /sys",
    holds=lambda path: (
        ".." not in path.split("/") and path.split("/")[1] not in ("dev", "proc", "sys")
    ),
    admission_only=True,
)

Repository = Annotated[
    str,
    base.text(193, REPOSITORY),
    base.Rule(
        cel="!self.contains('..') && !self.contains('--')",
        message="a repository holds neither '..' nor '--'",
        holds=lambda value: ".." not in value and "--" not in value,
    ),
]
Revision = Annotated[
    str,
    base.text(64, REVISION),
    base.Rule(
        cel="!self.contains('..')",
        message="a revision does not hold '..'",
        holds=lambda value: ".." not in value,
    ),
]
Word = Annotated[str, base.text(63, WORD)]
ResourceName = Annotated[str, base.text(128, base.LABEL_KEY)]
# As in Kubernetes, a quantity may be a string or an integer.
ResourceQuantity = Annotated[
    Annotated[int, base.number(0)] | base.Quantity,
    base.OneMessage("Input should be a quantity, for example 2, 500m or 16Gi"),
]
Resources = Annotated[dict[ResourceName, ResourceQuantity], base.items(16), base.NULLS_ABSENT]


def _one_spelling(trigger: str, old: str) -> base.Rule:
    """A rule that refuses the old and the new spelling of one threshold together."""
    camel = alias_generators.to_camel
    new = f"triggers.{camel(trigger)}.target"
    return base.Rule(
        cel=f"!(has(self.{camel(old)}) && has(self.triggers)"
        f" && has(self.triggers.{camel(trigger)}) && has(self.{new}))",
        message=f"{camel(old)} and {new} say the same thing: keep one (a value that 0.9.0's schema"
        f" wrote into the stored claim counts; set {camel(old)} to null to remove it)",
        holds=lambda node: (
            getattr(node, old) is None
            or node.triggers is None
            or (chosen := getattr(node.triggers, trigger)) is None
            or chosen.target is None
        ),
        at=camel(old),
    )


class Preload(base.Model):
    """How the weights get onto the volume."""

    enabled: bool | None = pydantic.Field(
        None,
        description="Download the weights with a Job before the engine starts. Absent means true"
        " for source huggingface. False means that they already lie at 0.9.0's paths:"
        " /models/<revision> and /models/loras/<adapter>, inside weightsFileSystem.subPath.",
    )
    generation: Annotated[int, base.number(0)] | None = pydantic.Field(
        None, description="Raise it to ask for another try of a failed download."
    )


class Streaming(base.Model):
    """Loading with the Run:ai model streamer."""

    enabled: bool | None = pydantic.Field(
        None, description="Read the safetensors files concurrently (--load-format runai_streamer)."
    )
    concurrency: Annotated[int, base.number(1, 64)] | None = pydantic.Field(
        None, description="Concurrent readers."
    )


class SecretKey(base.Model):
    """One key of a Secret in the claim's namespace."""

    name: base.DnsSubdomain = pydantic.Field(description="Name of the Secret.")
    key: Annotated[str, base.text(253, r"^[-._A-Za-z0-9]+$")] = pydantic.Field(
        "token", description="Key in the Secret."
    )


Quantization = Literal[
    "auto", "fp16", "fp8", "awq", "gptq", "bitsandbytes", "compressed-tensors", "modelopt", "mxfp4"
]
LoraRank = Literal[8, 16, 32, 64, 128, 256, 320, 512]


class ModelSpec(base.Model):
    """Which model, and how the engine reads it."""

    source: Literal["huggingface", "pvc"] | None = pydantic.Field(
        None,
        description="Where the weights come from: the Hugging Face hub (default), or a directory"
        " that is already on the weights volume (model.path).",
    )
    repository: Repository | None = pydantic.Field(
        None, description="Hugging Face repository, for example Qwen/Qwen3-8B."
    )
    revision: Revision | None = pydantic.Field(
        None,
        description="Commit SHA, tag or branch; main when absent. Pin a SHA: a branch moves.",
    )
    path: Annotated[str, base.text(255, RELATIVE_PATH)] | None = pydantic.Field(
        None, description="Directory of the weights in the volume's subPath, for source pvc."
    )
    quantization: Quantization | None = pydantic.Field(
        None,
        description="auto (default; fp16 is its old name) passes no flag. fp8 quantizes a 16-bit"
        " checkpoint while it loads. The others describe a checkpoint that is already"
        " quantized: the engine detects it, no flag is passed.",
    )
    dtype: Literal["auto", "half", "float16", "bfloat16", "float", "float32"] | None = (
        pydantic.Field(None, description="Type of the weights that are not quantized.")
    )
    kv_cache_dtype: Literal["auto", "bfloat16", "float16", "fp8", "fp8_e4m3", "fp8_e5m2"] | None = (
        pydantic.Field(None, description="Type of the KV cache; fp8 doubles its tokens.")
    )
    runner: Literal["generate", "pooling"] | None = pydantic.Field(
        None,
        description="generate, or pooling for embeddings and reranking. What the model is made for"
        " when absent, and generate where nobody knows.",
    )
    context_window: Annotated[int, base.number(1024)] | None = pydantic.Field(
        None,
        description="Longest sequence in tokens (--max-model-len). When absent: the model's own, or"
        " what leaves room for as many full sequences as the settings say (capacity); 4096 where"
        " the model or the GPU is not known.",
    )
    max_num_seqs: Annotated[int, base.number(1, 65536)] | None = pydantic.Field(
        None,
        description="Requests that one replica runs at once; the running trigger is a share of it."
        " When absent: usual requests (capacity.sequenceTokens of the settings) that the KV cache"
        " holds, from 8 to 256; 64 where the model or the GPU is not known.",
    )
    tool_call_parser: Word | None = pydantic.Field(
        None,
        description="Parser of tool calls, for example hermes; turns tool calls on. The one of the"
        " model's family when absent; none for no parser.",
    )
    reasoning_parser: Word | None = pydantic.Field(
        None,
        description="Parser of the reasoning part of an answer, for example qwen3. The one of the"
        " model's family when absent; none for no parser.",
    )
    chat_template: Annotated[str, base.text(255, ABSOLUTE_PATH), TEMPLATE] | None = pydantic.Field(
        None,
        description="Path of a chat template in the container: below /models, the image's own"
        " below /vllm-workspace, or in a volume that podTemplate mounts.",
    )
    max_lora_rank: LoraRank | None = pydantic.Field(
        None, description="Largest rank of the adapters; 64 when absent."
    )
    size_gi_b: Annotated[int, base.number(1, 4096)] | None = pydantic.Field(
        None,
        alias="sizeGiB",
        description="Size of the checkpoint in GiB: the start budget follows from it.",
    )
    facts: base.Raw | None = pydantic.Field(
        None,
        description="What the model is made of, as `inference-service facts` prints it: for a model"
        " that neither the catalogue nor the settings have. Fit and defaults follow from it.",
    )
    token_secret_ref: SecretKey | None = pydantic.Field(
        None, description="The hub token, given to the preload Job alone."
    )
    preload: Preload | None = None
    retention: Literal["Retain", "Delete"] | None = pydantic.Field(
        None,
        description="What becomes of weights that this claim wants no more, after a change of model"
        " or adapters: Retain (default) keeps them. Delete removes them with a Job once all pods"
        " run with the new ones, unless another claim uses them; going back then downloads again.",
    )
    streaming: Streaming | None = None

    RULES: ClassVar = (
        base.Rule(
            cel="has(self.source) && self.source == 'pvc' ? has(self.path) : has(self.repository)",
            message="repository is required (for source pvc: path)",
            holds=lambda m: (m.path if m.source == "pvc" else m.repository) is not None,
            at="repository",
        ),
        base.Rule(
            cel="!has(self.path) || (has(self.source) && self.source == 'pvc')",
            message="path is for source pvc",
            holds=lambda m: m.path is None or m.source == "pvc",
            at="path",
        ),
        base.Rule(
            cel="!(has(self.source) && self.source == 'pvc' && has(self.preload)"
            " && has(self.preload.enabled) && self.preload.enabled)",
            message="source pvc brings its own weights: preload.enabled cannot be true",
            holds=lambda m: (
                not (m.source == "pvc" and m.preload is not None and m.preload.enabled is True)
            ),
            at="preload.enabled",
        ),
        base.Rule(
            cel="!(has(self.runner) && self.runner == 'pooling' && (has(self.toolCallParser)"
            " || has(self.reasoningParser) || has(self.chatTemplate)))",
            message="toolCallParser, reasoningParser and chatTemplate are for runner generate",
            holds=lambda m: (
                m.runner != "pooling"
                or (
                    m.tool_call_parser is None
                    and m.reasoning_parser is None
                    and m.chat_template is None
                )
            ),
            at="runner",
        ),
    )


class Gpu(base.Model):
    """The GPUs of one replica."""

    count: Annotated[int, base.number(1, 8)] = pydantic.Field(
        1, description="GPUs of one replica; also the tensor parallel size."
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
            base.text(6, r"^0\.[0-9]{1,4}$"),
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


class Engine(base.Model):
    """Overrides of the settings' engine."""

    version: Annotated[str, base.text(32, ENGINE_VERSION)] | None = pydantic.Field(
        None, description="vLLM version, for example 0.25.1."
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


class Routing(base.Model):
    """How a semantic router may classify the model. Metadata only."""

    tier: Literal["small", "medium", "large"] | None = pydantic.Field(
        None, description="Size of the model."
    )
    specialty: (
        Literal["general", "code", "code-fim", "math", "guardrail", "multilingual"] | None
    ) = pydantic.Field(None, description="What the model is best at.")


class Trigger(base.Model):
    """One scaling trigger."""

    enabled: bool | None = pydantic.Field(None, description="False leaves the trigger out.")
    target: (
        Annotated[
            base.Decimal,
            base.Rule(
                cel="double(self) >= 0.001",
                message="target is at least 0.001",
                holds=lambda value: float(value) >= 0.001,
            ),
        ]
        | None
    ) = pydantic.Field(None, description="Value per replica at which the count holds.")


# More than all of the cache is never used: such a trigger never fires. Stored claims may have one
# (0.9.0 took any text): they are rendered, and told.
_MOST_KV_USAGE = base.Rule(
    cel="double(self) <= 1.0",
    message="a share of the KV cache is at most 1: above it the trigger can never fire",
    holds=lambda value: float(value) <= 1,
    admission_only=True,
)


class CacheTrigger(Trigger):
    """The scaling trigger on the used share of the KV cache."""

    target: (
        Annotated[
            base.Decimal,
            base.Rule(
                cel="double(self) >= 0.001",
                message="target is at least 0.001",
                holds=lambda value: float(value) >= 0.001,
            ),
            _MOST_KV_USAGE,
        ]
        | None
    ) = pydantic.Field(None, description="Used share of the cache, 0 to 1, at which it holds.")


class Triggers(base.Model):
    """The scaling triggers; the largest answer wins."""

    RULES: ClassVar = (
        base.Rule(
            cel="!(has(self.running) && has(self.running.enabled) && !self.running.enabled"
            " && has(self.kvCache) && has(self.kvCache.enabled) && !self.kvCache.enabled"
            " && has(self.queue) && has(self.queue.enabled) && !self.queue.enabled)",
            message="at least one trigger must stay enabled: KEDA refuses an empty list",
            holds=lambda t: (
                not all(
                    trigger is not None and trigger.enabled is False
                    for trigger in (t.running, t.kv_cache, t.queue)
                )
            ),
        ),
    )

    running: Trigger | None = pydantic.Field(
        None, description="Running requests a replica; 0.7 x maxNumSeqs when absent."
    )
    kv_cache: CacheTrigger | None = pydantic.Field(
        None, description="Used share of the KV cache a replica, 0 to 1; 0.6 when absent."
    )
    queue: Trigger | None = pydantic.Field(
        None, description="Waiting requests a replica; 8 when absent."
    )


_Positive = Annotated[
    base.Decimal,
    base.Rule(
        # KEDA hands the HPA thousandths: less rounds to zero, which the HPA refuses.
        cel="double(self) >= 0.001",
        message="a threshold is at least 0.001",
        holds=lambda value: float(value) >= 0.001,
    ),
]


class Scaling(base.Model):
    """How many replicas, and when."""

    min_replicas: Annotated[int, base.number(0, 1000)] | None = pydantic.Field(
        None,
        description="1 when absent. 0 needs a wake query in the settings, and requests that it"
        " counts: by default those of the AI gateway.",
    )
    max_replicas: Annotated[int, base.number(1, 1000)] | None = pydantic.Field(
        None, description="3 when absent, never below minReplicas."
    )
    cooldown_seconds: Annotated[int, base.number(60, 86400)] | None = pydantic.Field(
        None, description="Quiet seconds before a replica is given back; 300 when absent."
    )
    polling_interval_seconds: Annotated[int, base.number(5, 3600)] | None = pydantic.Field(
        None, description="Seconds between two looks at the triggers; 15 when absent."
    )
    running_ratio_threshold: _Positive | None = pydantic.Field(
        None, description="Running requests as a share of maxNumSeqs; 0.7 when absent."
    )
    cache_utilization_threshold: Annotated[_Positive, _MOST_KV_USAGE] | None = pydantic.Field(
        None, description="Used share of the KV cache; 0.6 when absent."
    )
    queue_length_threshold: Annotated[int, base.number(1, 100000)] | None = pydantic.Field(
        None, description="Waiting requests a replica; 8 when absent."
    )
    triggers: Triggers | None = None

    RULES: ClassVar = (
        base.Rule(
            cel="!has(self.maxReplicas)"
            " || (has(self.minReplicas) ? self.minReplicas : 1) <= self.maxReplicas",
            message="minReplicas must be at most maxReplicas",
            holds=lambda s: (
                s.max_replicas is None
                or (1 if s.min_replicas is None else s.min_replicas) <= s.max_replicas
            ),
            at="minReplicas",
        ),
        _one_spelling("running", "running_ratio_threshold"),
        _one_spelling("kv_cache", "cache_utilization_threshold"),
        _one_spelling("queue", "queue_length_threshold"),
    )


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


class LoraAdapter(base.Model):
    """An adapter, served under its name beside the base model."""

    name: Word = pydantic.Field(description="Name that clients ask for.")
    repository: Repository = pydantic.Field(description="Hugging Face repository of the adapter.")
    revision: Revision | None = pydantic.Field(
        None, description="Commit SHA, tag or branch; main when absent."
    )


class Canary(base.Model):
    """A share of the base model's traffic that an adapter answers."""

    adapter: Word = pydantic.Field(description="Name of an entry of loraAdapters.")
    weight_percent: Annotated[int, base.number(1, 99)] = pydantic.Field(
        description="Percent of the base model's requests that the adapter answers."
    )


class EndpointPicker(base.Model):
    """An InferencePool with an endpoint picker instead of the AIServiceBackend."""

    enabled: bool | None = pydantic.Field(
        None,
        description="Pick the pod for each request by its load and its cache; off when absent.",
    )


class Gateway(base.Model):
    """The route of the AI gateway."""

    enabled: bool | None = pydantic.Field(
        None, description="Publish the model on the AI gateway; off when absent."
    )
    endpoint_picker: EndpointPicker | None = None
    canaries: Annotated[list[Canary], base.items(4)] | None = None

    RULES: ClassVar = (
        base.Rule(
            cel="!has(self.canaries) || self.canaries.size() == 0"
            " || (has(self.enabled) && self.enabled)",
            message="canaries require gateway.enabled",
            holds=lambda g: not g.canaries or g.enabled is True,
            at="canaries",
        ),
        base.Rule(
            cel="!has(self.canaries) || self.canaries.all(c, self.canaries.exists_one(x,"
            " x.adapter == c.adapter))",
            message="canaries must name distinct adapters",
            holds=lambda g: (
                g.canaries is None or len({c.adapter for c in g.canaries}) == len(g.canaries)
            ),
            at="canaries",
        ),
        base.Rule(
            cel="!has(self.canaries) || self.canaries.map(c, c.weightPercent).sum() <= 99",
            message="canary weights must sum to at most 99: the base model keeps traffic",
            holds=lambda g: g.canaries is None or sum(c.weight_percent for c in g.canaries) <= 99,
            at="canaries",
        ),
        base.Rule(
            cel="!has(self.endpointPicker) || !has(self.endpointPicker.enabled)"
            " || !self.endpointPicker.enabled || (has(self.enabled) && self.enabled)",
            message="endpointPicker requires gateway.enabled",
            holds=lambda g: not g.picks or g.enabled is True,
            at="endpointPicker",
        ),
        base.Rule(
            cel="!has(self.endpointPicker) || !has(self.endpointPicker.enabled)"
            " || !self.endpointPicker.enabled || !has(self.canaries)"
            " || self.canaries.size() == 0",
            message="endpointPicker excludes canaries: a pool takes neither weight nor model name",
            holds=lambda g: not g.picks or not g.canaries,
            at="endpointPicker",
        ),
    )

    @property
    def picks(self) -> bool:
        """Tells whether the endpoint picker is on."""
        return self.endpoint_picker is not None and self.endpoint_picker.enabled is True


class Route(base.Model):
    """A plain HTTP route to the engine."""

    enabled: bool | None = pydantic.Field(
        None, description="Publish the engine's own API by an HTTPRoute; off when absent."
    )
    hostname: base.DnsLabel | None = pydantic.Field(
        None,
        description="Short name; the private domain of the settings is appended. Settings say which"
        " names (hostnames).",
    )

    RULES: ClassVar = (
        base.Rule(
            cel="!has(self.enabled) || !self.enabled || has(self.hostname)",
            message="hostname is required when route.enabled is true",
            holds=lambda r: r.enabled is not True or r.hostname is not None,
            at="hostname",
        ),
    )


class WeightsFileSystem(base.Model):
    """Where on the shared volume the claim's weights lie."""

    sub_path: Annotated[str, base.text(255, RELATIVE_PATH)] | None = pydantic.Field(
        None, description="Sub-directory of the volume; the claim's name when absent."
    )


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


class ExternalSecret(base.Model):
    """A Secret that External Secrets fetches; also given to the engine's environment."""

    name: base.DnsSubdomain = pydantic.Field(
        description="Name of the ExternalSecret and of the Secret that it makes."
    )
    remote_ref: Annotated[str, base.text(512), STORE_PATH] = pydantic.Field(
        description="Path of the secret in the store; settings say which are allowed."
    )
    refresh_interval: Annotated[base.Duration, REFRESH] | None = pydantic.Field(
        None, description="1h when absent; 0s fetches once, otherwise at least 1m."
    )


class NetworkPolicies(base.Model):
    """Cilium rules that replace the default peers; scraper and picker stay. Settings say who."""

    ingress: base.RawList | None = pydantic.Field(
        None, description="Ingress rules of a CiliumNetworkPolicy."
    )
    egress: base.RawList | None = pydantic.Field(
        None, description="Egress rules of a CiliumNetworkPolicy."
    )


class Caller(base.Model):
    """Pods that may call the engine."""

    namespace: base.DnsLabel | None = pydantic.Field(
        None,
        description="The claim's own namespace when absent; settings say which others (callers).",
    )
    pod_labels: base.Labels = pydantic.Field(
        default_factory=dict, description="All pods of the namespace when empty."
    )
    port: Annotated[int, base.number(1, 65535)] | None = pydantic.Field(
        None, description="The engine's port, 8000, when absent."
    )


class Access(base.Model):
    """Who else may call the engine, beside the settings' peers."""

    from_: Annotated[list[Caller], base.items(16)] = pydantic.Field(
        default_factory=list, alias="from"
    )


class Metrics(base.Model):
    """How the engine is scraped."""

    interval: Annotated[base.Duration, SCRAPE] | None = pydantic.Field(
        None, description="30s when absent; at least 5s."
    )


class AlertingRules(base.Model):
    """Rule groups that replace the default ones."""

    groups: Annotated[list[base.RawObject], base.items(16), base.Bounds(4000)] | None = (
        pydantic.Field(
            None,
            description="Groups as a VMRule or a PrometheusRule has them: alerts; settings say who"
            " may record series (rawRules).",
        )
    )


Share = Annotated[
    str,
    base.text(6, r"^(0\.[0-9]{1,4}|1(\.0{1,4})?)$"),
    base.Rule(
        cel="double(self) > 0.0", message="a share is above 0", holds=lambda value: float(value) > 0
    ),
]


class Alerts(base.Model):
    """Thresholds of the default alerts."""

    error_ratio: Share | None = pydantic.Field(
        None, description="Share of 5xx answers over 10 minutes; 0.05 when absent."
    )
    time_to_first_token_seconds: _Positive | None = pydantic.Field(
        None, description="p95 of the time to the first token in seconds; 10 when absent."
    )
    queue_length: Annotated[int, base.number(1, 100000)] | None = pydantic.Field(
        None, description="Waiting requests a replica; the queue trigger's target when absent."
    )
    kv_cache_usage: Share | None = pydantic.Field(
        None, description="Used share of the KV cache; 0.95 when absent."
    )
    preemptions_per_minute: _Positive | None = pydantic.Field(
        None, description="Preempted requests a minute and replica; 6 when absent."
    )


class Observability(base.Model):
    """Metrics and alerts."""

    metrics: Metrics | None = None
    alerting_rules: AlertingRules | None = None
    alerts: Alerts | None = None


# A kubelet puts the value of a variable, a Secret's too, in the place of `$(NAME)`: the engine
# shows it in its log, its metrics or its answers. `$$(` is how Kubernetes writes a literal one.
_EXPANDED = "$("
_NO_REFERENCE = base.Rule(
    cel=f"!self.contains('{_EXPANDED}')",
    message="holds $(: a kubelet would put a variable's value there, and Secrets are variables;"
    " write the value itself ($$( is refused too)",
    holds=lambda value: _EXPANDED not in value,
    function_only=True,
)


class EnvVar(base.Model):
    """An environment variable of the engine; settings say who may set more than plain ones."""

    name: Annotated[str, base.text(128, r"^[A-Za-z_][A-Za-z0-9_]*$")] = pydantic.Field(
        description="Name of the variable."
    )
    value: Annotated[str, base.text(4096, None, 0), _NO_REFERENCE] | None = pydantic.Field(
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


class SystemFields(base.Model):
    """What Crossplane keeps in spec.crossplane; nothing here reads it."""

    model_config = pydantic.ConfigDict(extra="allow")


def _adapters_match(spec: "Spec") -> bool:
    canaries = (spec.gateway.canaries if spec.gateway is not None else None) or []
    return {c.adapter for c in canaries} <= {a.name for a in spec.lora_adapters or []}


def _conflict(flag: str, field: str, cel: str, chosen: Any) -> base.Rule:
    """A rule that refuses a flag in engineArgs when the field that it replaces is set too.

    Only for fields that 0.9.0 did not have: a stored claim of it cannot break the rule, which
    must sit on `spec`, the nearest common node.
    """
    return base.Rule(
        cel=f"!(has(self.engineArgs) && {cel}"
        f" && self.engineArgs.exists(a, {flags.normal_cel('a')} == '--{flag}'))",
        message=f"engineArgs sets --{flag} and {field} is set too: keep one",
        holds=lambda spec: (
            not (
                chosen(spec)
                and any(flags.normal(argument) == flag for argument in spec.engine_args or [])
            )
        ),
        at="engineArgs",
    )


EngineArgument = Annotated[
    str,
    base.text(256, ENGINE_ARGUMENT),
    base.Rule(
        cel=flags.managed_cel(),
        message="this flag is set by the composition in every spelling; managed flags are "
        + ", ".join(f"--{flag}" for flag in flags.MANAGED),
        holds=lambda argument: flags.managed(argument) is None,
    ),
    _NO_REFERENCE,
]


KeySuffix = Annotated[str, base.text(128, base.DNS_LABEL)]


class Spec(base.Model):
    """What the author asks for."""

    model: ModelSpec
    gpu: Gpu | None = None
    engine: Engine | None = None
    engine_args: Annotated[list[EngineArgument], base.items(16)] | None = pydantic.Field(
        None,
        description="Flags of vllm serve, each one token: --flag or --flag=value. They come last."
        " Managed flags are refused in every spelling; another flag that the composition emits"
        " is replaced by yours.",
    )
    routing: Routing | None = None
    scaling: Scaling | None = None
    cache: Cache | None = None
    lora_adapters: (
        Annotated[
            list[LoraAdapter],
            base.items(8),
            base.distinct("name", "adapters must have distinct names"),
        ]
        | None
    ) = None
    gateway: Gateway | None = None
    route: Route | None = None
    weights_file_system: WeightsFileSystem | None = None
    resources: ResourceRequirements | None = None
    health_probes: HealthProbes | None = None
    security_context: Annotated[base.RawPatch, base.Bounds(200)] | None = pydantic.Field(
        None, description="Container security context, merged over Pod Security restricted."
    )
    external_secrets: (
        Annotated[
            list[ExternalSecret],
            base.items(16),
            base.distinct("name", "externalSecrets must have distinct names"),
        ]
        | None
    ) = None
    env_from_secrets: Annotated[list[base.DnsSubdomain], base.items(16)] | None = pydantic.Field(
        None,
        description="Existing Secrets, given to the engine and to the preload Job; settings say"
        " which names are allowed.",
    )
    network_policies: NetworkPolicies | None = None
    access: Access | None = None
    observability: Observability | None = None
    pod_template: PodTemplate | None = None
    patches: (
        Annotated[
            dict[KeySuffix, base.RawPatch], base.items(16), base.NULLS_ABSENT, base.Bounds(4000)
        ]
        | None
    ) = pydantic.Field(
        None,
        description="JSON merge patches of composed objects, named by the suffix of their key"
        " (deployment, scaledobject, ...). Applied last, then checked again.",
    )
    drain_seconds: Annotated[int, base.number(0, 3600)] | None = pydantic.Field(
        None,
        description="Seconds that running requests get to finish when a pod stops; 120 when"
        " absent, capped by the class's interruption notice.",
    )
    suspend: bool | None = pydantic.Field(
        None, description="Give the GPUs back; weights, policies and names stay."
    )
    crossplane: SystemFields | None = None

    RULES: ClassVar = (
        base.Rule(
            cel="!has(self.gateway) || !has(self.gateway.canaries)"
            " || self.gateway.canaries.all(c, has(self.loraAdapters)"
            " && self.loraAdapters.exists(a, a.name == c.adapter))",
            message="every gateway.canaries[].adapter must name an entry of loraAdapters",
            holds=_adapters_match,
            at="gateway.canaries",
        ),
        _conflict(
            "kv-cache-dtype",
            "model.kvCacheDtype",
            "has(self.model.kvCacheDtype)",
            lambda s: s.model.kv_cache_dtype is not None,
        ),
        _conflict(
            "reasoning-parser",
            "model.reasoningParser",
            "has(self.model.reasoningParser)",
            lambda s: s.model.reasoning_parser is not None,
        ),
        _conflict(
            "chat-template",
            "model.chatTemplate",
            "has(self.model.chatTemplate)",
            lambda s: s.model.chat_template is not None,
        ),
        _conflict(
            "dtype", "model.dtype", "has(self.model.dtype)", lambda s: s.model.dtype is not None
        ),
        _conflict(
            "runner", "model.runner", "has(self.model.runner)", lambda s: s.model.runner is not None
        ),
        _conflict(
            "shutdown-timeout",
            "drainSeconds",
            "has(self.drainSeconds)",
            lambda s: s.drain_seconds is not None,
        ),
    )


class Metadata(base.Model):
    """The parts of the claim's metadata that rendering depends on."""

    model_config = pydantic.ConfigDict(extra="ignore")

    name: Annotated[str, base.text(LONGEST_NAME, NAME)]
    namespace: base.DnsLabel = "default"
    generation: int | None = None
    annotations: dict[str, str] = pydantic.Field(default_factory=dict)


# The endpoint picker's chart names its Service and Deployment by the claim's name and this.
PICKER_SUFFIX = "-epp"
# Every namespace has the ServiceAccount `default`, one has the Service `kubernetes`.
_OF_KUBERNETES = ("default", "kubernetes")


class InferenceService(base.Model):
    """A claim."""

    api_version: Literal["cloud.ogenki.io/v1alpha1"]
    kind: Literal["InferenceService"]
    metadata: Metadata
    spec: Spec
    status: dict[str, Any] = pydantic.Field(default_factory=dict)

    # Each only where the stored claim did not break it before: a rule at the root that a live
    # claim breaks would block its status and its deletion (decision 6 in docs/decisions.md).
    RULES: ClassVar = (
        base.Rule(
            cel="oldSelf.hasValue() || self.metadata.name.matches('" + NAME + "')",
            message="the claim's name must be a DNS-1035 label: it names a Service",
            holds=lambda claim: True,  # Metadata.name carries the same pattern.
            on_create=True,
            at="metadata.name",
        ),
        base.Rule(
            cel="oldSelf.hasValue() || !(self.metadata.name in ['default', 'kubernetes'])",
            message="the claim's name is Kubernetes' own: every namespace has a ServiceAccount"
            " `default`",
            holds=lambda claim: claim.metadata.name not in _OF_KUBERNETES,
            on_create=True,
            at="metadata.name",
        ),
        # The function refuses it of a claim without objects (function/boundary/names.py).
        base.Rule(
            cel=f"oldSelf.hasValue() || !self.metadata.name.matches('^.*{PICKER_SUFFIX}$')",
            message=f"a name that ends in {PICKER_SUFFIX} is that of another claim's endpoint"
            " picker",
            holds=lambda claim: not claim.metadata.name.endswith(PICKER_SUFFIX),
            on_create=True,
            admission_only=True,
            at="metadata.name",
        ),
        base.Rule(
            cel="!(has(self.spec.gateway) && has(self.spec.gateway.endpointPicker)"
            " && has(self.spec.gateway.endpointPicker.enabled)"
            " && self.spec.gateway.endpointPicker.enabled)"
            f" || self.metadata.name.size() <= {LONGEST_NAME_WITH_PICKER}"
            " || (oldSelf.hasValue() && has(oldSelf.value().spec.gateway)"
            " && has(oldSelf.value().spec.gateway.endpointPicker)"
            " && has(oldSelf.value().spec.gateway.endpointPicker.enabled)"
            " && oldSelf.value().spec.gateway.endpointPicker.enabled)",
            message="with gateway.endpointPicker the claim's name is at most"
            f" {LONGEST_NAME_WITH_PICKER} characters: it names a Helm release",
            holds=lambda claim: (
                claim.spec.gateway is None
                or not claim.spec.gateway.picks
                or len(claim.metadata.name) <= LONGEST_NAME_WITH_PICKER
            ),
            on_create=True,
            at="metadata.name",
        ),
        # Of the old list only its presence is read: the API server knows no bound for lists behind
        # value(), and would refuse the CRD for the cost of going through one.
        base.Rule(
            cel="!has(self.spec.loraAdapters)"
            " || self.spec.loraAdapters.all(a, a.name != self.metadata.name)"
            " || (oldSelf.hasValue() && has(oldSelf.value().spec.loraAdapters))",
            message="an adapter cannot have the claim's name: that is what the base model is"
            " served as",
            holds=lambda claim: all(
                adapter.name != claim.metadata.name for adapter in claim.spec.lora_adapters or []
            ),
            on_create=True,
            at="spec.loraAdapters",
        ),
        base.Rule(
            cel=f"!has(self.spec.engineArgs)"
            f" || self.spec.engineArgs.all(a, !a.contains('{_EXPANDED}'))"
            " || (oldSelf.hasValue() && has(oldSelf.value().spec.engineArgs))",
            message="an argument cannot hold $(: a kubelet would put a variable's value there",
            holds=lambda claim: True,  # Each argument carries the rule.
            on_create=True,
            at="spec.engineArgs",
        ),
        base.Rule(
            cel="!has(self.spec.podTemplate) || !has(self.spec.podTemplate.env)"
            " || self.spec.podTemplate.env.all(e, !has(e.value)"
            f" || !e.value.contains('{_EXPANDED}'))"
            " || (oldSelf.hasValue() && has(oldSelf.value().spec.podTemplate)"
            " && has(oldSelf.value().spec.podTemplate.env))",
            message="the value of a variable cannot hold $(: a kubelet would put a variable's value"
            " there",
            holds=lambda claim: True,  # Each value carries the rule.
            on_create=True,
            at="spec.podTemplate.env",
        ),
    )

    @property
    def name(self) -> str:
        """The claim's name."""
        return self.metadata.name

    @property
    def namespace(self) -> str:
        """The claim's namespace, which is that of everything that it composes."""
        return self.metadata.namespace
