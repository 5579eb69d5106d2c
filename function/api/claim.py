"""The claim: what a developer may ask for, its limits and its rules.

Every field of 0.9.0 is here with its meaning. No field has a default that could be derived: the
function applies defaults (`function.plan`), so that a choice can be told from an omission.
Optional therefore means `None`, and absence is asked with `is None`, never by truthiness.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

import pydantic

from function.api import (
    base,
    claim_cost,
    claim_engines,
    claim_metrics,
    claim_model,
    claim_pod,
    claim_scaling,
    claim_secrets,
    claim_traffic,
)
from function.engines.vllm import managed

GROUP = "cloud.ogenki.io"
VERSION = "v1alpha1"
KIND = "InferenceService"
PLURAL = "inferenceservices"
# KEDA names its HPA keda-hpa-<name>, which must fit into 63 characters.
LONGEST_NAME = 54
# Flux: spec.releaseName of a HelmRelease is at most 53 characters.
LONGEST_NAME_WITH_PICKER = 53
# A Service's name is a DNS-1035 label, and Services carry the claim's name.
NAME = base.form(
    r"^[a-z]([-a-z0-9]*[a-z0-9])?$",
    "lower-case letters, digits and '-', with a letter at its beginning and no '-' at its end: it"
    " names a Service",
)
ENGINE_ARGUMENT = base.form(
    r"^--[A-Za-z][A-Za-z0-9._-]*(=.*)?$",
    "one flag in full, --flag or --flag=value, without a line break: write each as an entry of its"
    " own",
)


class Routing(base.Model):
    """How a semantic router may classify the model. Metadata only."""

    tier: Literal["small", "medium", "large"] | None = pydantic.Field(
        None, description="Size of the model."
    )
    specialty: (
        Literal["general", "code", "code-fim", "math", "guardrail", "multilingual"] | None
    ) = pydantic.Field(None, description="What the model is best at.")


class SystemFields(base.Model):
    """What Crossplane keeps in spec.crossplane; nothing here reads it."""

    model_config = pydantic.ConfigDict(extra="allow")


def _hot_verified(spec: "Spec") -> bool:
    verified = spec.model.source != "pvc" and base.of(spec.model.preload, "enabled") is not False
    return verified or not any(adapter.hot for adapter in spec.lora_adapters or [])


def _canaries_start(spec: "Spec") -> bool:
    canaries = (spec.gateway.canaries if spec.gateway is not None else None) or []
    hot = {adapter.name for adapter in spec.lora_adapters or [] if adapter.hot}
    return hot.isdisjoint(canary.adapter for canary in canaries)


def _adapters_match(spec: "Spec") -> bool:
    canaries = (spec.gateway.canaries if spec.gateway is not None else None) or []
    return {c.adapter for c in canaries} <= {a.name for a in spec.lora_adapters or []}


# Each flag that an author may set and that a field replaces, with the field below `spec`. Only
# fields that 0.9.0 did not have: a stored claim of it cannot break the rule that follows, which
# must sit on `spec`, the nearest common node.
_REPLACED: Mapping[str, tuple[str, Callable[["Spec"], object]]] = {
    "kv-cache-dtype": ("model.kvCacheDtype", lambda spec: spec.model.kv_cache_dtype),
    "reasoning-parser": ("model.reasoningParser", lambda spec: spec.model.reasoning_parser),
    "chat-template": ("model.chatTemplate", lambda spec: spec.model.chat_template),
    "dtype": ("model.dtype", lambda spec: spec.model.dtype),
    "runner": ("model.runner", lambda spec: spec.model.runner),
    "max-num-queued-reqs": (
        "model.longestQueueSeconds",
        lambda spec: spec.model.longest_queue_seconds,
    ),
    "shutdown-timeout": ("drainSeconds", lambda spec: spec.drain_seconds),
}


def replaced(spec: "Spec") -> Iterator[tuple[str, str]]:
    """Yields each flag whose field the author sets, with why the flag cannot be set too."""
    for flag, (field, value) in _REPLACED.items():
        if value(spec) is not None:
            yield flag, _both(flag, field)


def _both(flag: str, field: str) -> str:
    return f"engineArgs sets --{flag} and {field} is set too: keep one"


def _conflict(flag: str, field: str, value: Callable[["Spec"], object]) -> base.Rule:
    """A rule that refuses a flag in engineArgs when the field that it replaces is set too.

    An argument that is short for the flag is the engine's to refuse: no CEL tells what it means.
    """
    return base.Rule(
        cel=f"!(has(self.engineArgs) && has(self.{field})"
        f" && self.engineArgs.exists(a, {managed.normal_cel('a')} == '--{flag}'))",
        message=_both(flag, field),
        holds=lambda spec: (
            value(spec) is None
            or all(managed.normal(argument) != flag for argument in spec.engine_args or [])
        ),
        at="engineArgs",
    )


EngineArgument = Annotated[
    str,
    base.text(256, ENGINE_ARGUMENT),
    base.Rule(
        cel=managed.cel(),
        message="this flag is set by the composition in every spelling; managed flags are "
        + ", ".join(f"--{flag}" for flag in managed.FLAGS),
        holds=lambda argument: managed.of(argument) is None,
    ),
    claim_pod.NO_REFERENCE,
]

KeySuffix = Annotated[str, base.text(128, base.DNS_LABEL)]


class Spec(base.Model):
    """What the author asks for."""

    model: claim_model.ModelSpec
    gpu: claim_pod.Gpu | None = None
    scheduling: claim_pod.Scheduling | None = None
    engine: claim_pod.Engine | None = None
    engine_args: Annotated[list[EngineArgument], base.items(16)] | None = pydantic.Field(
        None,
        description="Flags of the engine (vllm serve, or text-embeddings-router), each one token:"
        " --flag or --flag=value. They come last. Managed flags are refused in every spelling;"
        " another flag that the composition emits is replaced by yours.",
    )
    routing: Routing | None = None
    scaling: claim_scaling.Scaling | None = None
    cache: claim_pod.Cache | None = None
    lora_adapters: (
        Annotated[
            list[claim_model.LoraAdapter],
            base.items(8),
            base.distinct("name", "adapters must have distinct names"),
        ]
        | None
    ) = None
    gateway: claim_traffic.Gateway | None = None
    route: claim_traffic.Route | None = None
    weights_file_system: claim_model.WeightsFileSystem | None = None
    resources: claim_pod.ResourceRequirements | None = None
    health_probes: claim_pod.HealthProbes | None = None
    security_context: Annotated[base.RawPatch, base.Bounds(200)] | None = pydantic.Field(
        None, description="Container security context, merged over Pod Security restricted."
    )
    external_secrets: (
        Annotated[
            list[claim_secrets.ExternalSecret],
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
    network_policies: claim_traffic.NetworkPolicies | None = None
    access: claim_traffic.Access | None = None
    observability: claim_metrics.Observability | None = None
    slo: claim_metrics.Objectives | None = None
    cost: claim_cost.Cost | None = None
    pod_template: claim_pod.PodTemplate | None = None
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
        base.Rule(
            cel="!has(self.loraAdapters) || !self.loraAdapters.exists(a, has(a.hot) && a.hot)"
            " || ((!has(self.model.source) || self.model.source != 'pvc')"
            " && (!has(self.model.preload) || !has(self.model.preload.enabled)"
            " || self.model.preload.enabled))",
            message="hot adapters are those that a Job verifies: model.source pvc and"
            " model.preload.enabled false have none",
            holds=_hot_verified,
            at="loraAdapters",
        ),
        # The gateway may ask a pod for it before the pod has loaded it: a canary answers callers
        # of the base model, who would get 404.
        base.Rule(
            cel="!has(self.loraAdapters) || !has(self.gateway) || !has(self.gateway.canaries)"
            " || self.gateway.canaries.all(c, self.loraAdapters.all(a, a.name != c.adapter"
            " || !has(a.hot) || !a.hot))",
            message="the adapter of a canary cannot be hot: leave out loraAdapters[].hot of it",
            holds=_canaries_start,
            at="gateway.canaries",
        ),
        *(_conflict(flag, field, value) for flag, (field, value) in _REPLACED.items()),
        *claim_engines.rules(),
    )

    @property
    def engine_kind(self) -> str:
        """Which engine serves."""
        return str(base.given(base.of(self.engine, "kind"), "vllm"))

    @property
    def gpus(self) -> int:
        """GPUs of one pod: none for an engine that needs none, where the claim names none."""
        if self.gpu is None:
            return 0 if self.engine_kind in claim_pod.WITHOUT_GPUS else 1
        return self.gpu.count

    @property
    def without_gpu(self) -> bool:
        """Whether no GPU is asked for: the CPU computes."""
        return self.gpus == 0


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
            f" || self.spec.engineArgs.all(a, !a.contains('{claim_pod.EXPANDED}'))"
            " || (oldSelf.hasValue() && has(oldSelf.value().spec.engineArgs))",
            message="an argument cannot hold $(: a kubelet would put a variable's value there",
            holds=lambda claim: True,  # Each argument carries the rule.
            on_create=True,
            at="spec.engineArgs",
        ),
        base.Rule(
            cel="!has(self.spec.podTemplate) || !has(self.spec.podTemplate.env)"
            " || self.spec.podTemplate.env.all(e, !has(e.value)"
            f" || !e.value.contains('{claim_pod.EXPANDED}'))"
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
