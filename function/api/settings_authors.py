"""What claim authors may do: permissions, patterns of names, caps."""

from typing import Annotated, Any

import pydantic

from function.api import base, settings_forms


class Permissions(base.Model):
    """Namespaces whose claim authors may use an escape hatch; "*" is every namespace."""

    volumes: settings_forms.Namespaces = pydantic.Field(
        default_factory=base.no_items, description="Who may use podTemplate.volumes."
    )
    patches: settings_forms.Namespaces = pydantic.Field(
        default_factory=base.no_items,
        description="Who may use patches. Most of what an author may not write in a claim can be"
        " written in a patch: grant it to those who could write the pods themselves.",
    )
    engine_image: settings_forms.Namespaces = pydantic.Field(
        default_factory=base.no_items, description="Who may use engine.image."
    )
    trust_remote_code: settings_forms.Namespaces = pydantic.Field(
        default_factory=base.no_items,
        description=(
            "Who may pass engine arguments and variables that run code, as --trust-remote-code"
            " does. Code can do all that the next six open: they are open too."
        ),
    )
    engine_files: settings_forms.Namespaces = pydantic.Field(
        default_factory=base.no_items,
        description="Who may pass engine arguments that read files outside of the model's volume,"
        " or write files.",
    )
    engine_connections: settings_forms.Namespaces = pydantic.Field(
        default_factory=base.no_items,
        description="Who may pass engine arguments that connect to other hosts.",
    )
    engine_listeners: settings_forms.Namespaces = pydantic.Field(
        default_factory=base.no_items,
        description="Who may pass engine arguments that listen beside the Service's port.",
    )
    engine_secrets: settings_forms.Namespaces = pydantic.Field(
        default_factory=base.no_items,
        description="Who may write keys and tokens into engine arguments and variables, where"
        " everyone who reads the claim or the pod learns them.",
    )
    unknown_arguments: settings_forms.Namespaces = pydantic.Field(
        default_factory=base.no_items,
        description="Who may pass engine arguments that no judged version of the engine has, and"
        " abbreviations of flags. Such a flag may load code.",
    )
    environment: settings_forms.Namespaces = pydantic.Field(
        default_factory=base.no_items,
        description="Who may set variables in podTemplate.env that name files or hosts, or that"
        " nobody has judged; not those that run code.",
    )
    hot_adapters: settings_forms.Namespaces = pydantic.Field(
        default_factory=base.no_items,
        description="Whose claims may load adapters into pods that run (loraAdapters[].hot). A"
        " program of ours runs inside of their engines then.",
    )
    host_access: settings_forms.Namespaces = pydantic.Field(
        default_factory=base.no_items,
        description="Pod settings weaker than Pod Security restricted.",
    )

    raw_policies: settings_forms.Namespaces = pydantic.Field(
        default_factory=base.no_items,
        description="Who may use networkPolicies: raw rules of Cilium.",
    )
    platform_policies: settings_forms.Namespaces = pydantic.Field(
        default_factory=base.no_items,
        description=(
            "Whose raw rules of Cilium may also name entities such as world, host and"
            " kube-apiserver, nodes, Services, every network or host, listeners and TLS Secrets."
        ),
    )
    raw_rules: settings_forms.Namespaces = pydantic.Field(
        default_factory=base.no_items,
        description=(
            "Whose alertingRules may record series, set labels that say where a series comes from,"
            " and use every other key that the operator has."
        ),
    )
    any_taint: settings_forms.Namespaces = pydantic.Field(
        default_factory=base.no_items,
        description="Who may tolerate every taint: a toleration without a key.",
    )
    eval_cases: settings_forms.Namespaces = pydantic.Field(
        default_factory=base.no_items,
        description="Whose InferenceGateways may have evaluations of their own (evals.cases). They"
        " can be code, which runs in pods that have a caller's key and reach the metrics store.",
    )
    namespace_affinity: settings_forms.Namespaces = pydantic.Field(
        default_factory=base.no_items,
        description="Whose pod affinity may select pods of other namespaces.",
    )

    def allow(self, hatch: str, namespace: str) -> bool:
        """Tells whether claims of the namespace may use the hatch."""
        hatches = (hatch, "trust_remote_code") if hatch in _CODE_CAN else (hatch,)
        return any({"*", namespace} & set(getattr(self, name)) for name in hatches)


# What code that runs in the engine can do anyway.
_CODE_CAN = frozenset(
    (
        "engine_connections",
        "engine_files",
        "engine_listeners",
        "engine_secrets",
        "environment",
        "unknown_arguments",
    )
)

# Whoever downloads models may use a token of the hub, and claims of 0.9.0 do.
_HUB_TOKENS = ("hf-token", "hf-token-*", "hub-token", "hub-token-*")


def _patterns(description: str, *patterns: str) -> Any:
    """A map of patterns; those that are named hold in every namespace by default."""
    ends = f" {', '.join(patterns)} when absent." if patterns else " Nothing when absent."
    return pydantic.Field(
        default_factory=lambda: {"*": list(patterns)} if patterns else {},
        description=description + ends,
    )


class Allowed(base.Model):
    """Names and paths that authors may write: patterns under a namespace, or under "*" for all.

    In a pattern `*` is any text without a slash and `**` any text; {name} and {namespace} are the
    claim's. What stands under "*" holds in every namespace, and the entry of a namespace adds to
    it. A map that is given replaces its default, all of it.
    """

    annotations: settings_forms.Patterns = _patterns(
        "Keys of podTemplate.annotations.", "*", "kubectl.kubernetes.io/restartedAt"
    )
    callers: settings_forms.Patterns = _patterns(
        "Namespaces of access.from, beside the claim's own."
    )
    engine_versions: settings_forms.Patterns = _patterns(
        "Values of engine.version without a v before them, beside the settings' own. A version that"
        " is older lacks fixes of the engine.",
        "*",
    )
    fallback_providers: settings_forms.Patterns = _patterns(
        "Providers of an InferenceGateway in gateway.fallback.provider: what a claim's callers"
        " write goes there, for the money of whoever pays the provider."
    )
    fetched_secrets: settings_forms.Patterns = _patterns(
        "Names of externalSecrets that the claim does not have yet: of Secrets that External"
        " Secrets makes, or takes over where one of that name is there.",
        "inference-service.{name}.*",
        *_HUB_TOKENS,
    )
    gateway_hostnames: settings_forms.Patterns = _patterns(
        "Hosts of an InferenceGateway's hostname, whole names. A controller that makes DNS records"
        " of listeners gives the name to whoever wrote it.",
        "*",
    )
    hostnames: settings_forms.Patterns = _patterns("Short names of route.hostname.", "*")
    labels: settings_forms.Patterns = _patterns(
        "Keys of podTemplate.labels.", "cost-center", "environment", "owner", "project", "team"
    )
    model_images: settings_forms.Patterns = _patterns(
        "Images of model.image, without the digest: nodes pull them with the site's pull secrets."
    )
    model_uris: settings_forms.Patterns = _patterns(
        "Directories of model.uri, whole: pods read them with the identity that they have."
    )
    node_labels: settings_forms.Patterns = _patterns(
        "Labels of nodes in podTemplate.nodeSelector and node affinity; a node's name counts as"
        " kubernetes.io/hostname.",
        "kubernetes.io/arch",
        "kubernetes.io/os",
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
    )
    priority_classes: settings_forms.Patterns = _patterns("Names of podTemplate.priorityClassName.")
    provider_hosts: settings_forms.Patterns = _patterns(
        "Hosts of an InferenceGateway's providers, whole names: what callers write goes there. `*`"
        " is every host of the world: an address, a name with one in it, and one that ends in no"
        " top-level domain (.svc, .internal) need a pattern with some of their text.",
        "*",
    )
    queue_priorities: settings_forms.Patterns = _patterns(
        "WorkloadPriorityClasses of scheduling.priorityClass: one may stop replicas of others."
    )
    remote_refs: settings_forms.Patterns = _patterns(
        "Paths of the store in externalSecrets[].remoteRef.", "{namespace}/**"
    )
    token_hosts: settings_forms.Patterns = _patterns(
        "Hosts from which the gateway's proxies fetch the keys of an InferenceGateway's issuers."
        " `*` is what it is to providerHosts.",
        "*",
    )
    resources: settings_forms.Patterns = _patterns(
        "Extended resources in resources and gpu.resourceName."
    )
    secrets: settings_forms.Patterns = _patterns(
        "Secrets that exist, for envFromSecrets, tokenSecretRef, valueFrom, volumes and patches,"
        " beside what the claim's own externalSecrets fetches; and for the caller of an"
        " InferenceGateway's evals with cases. Authors choose their claims' names:"
        " {name}-* gives db-password to a claim named db, and {name}.* gives Helm's Secrets to one"
        " named sh. Begin with a text that nobody else's names begin with.",
        *_HUB_TOKENS,
    )
    sub_paths: settings_forms.Patterns = _patterns(
        "Directories of weightsFileSystem.subPath; the claim's name, which is used when it is"
        " absent, is judged too.",
        "**",
    )
    taints: settings_forms.Patterns = _patterns(
        "Taints of podTemplate.tolerations, beside those of the class."
    )
    weights: settings_forms.Patterns = _patterns(
        "Directories that claims may serve without a download: <subPath>/<model.path> of source"
        " pvc, <subPath>/<model.revision> with preload.enabled false, <subPath>/loras/<adapter> of"
        " both.",
        "**",
    )


class Limits(base.Model):
    """Caps on one claim."""

    max_gpus: Annotated[int, base.number(1, 100_000)] | None = pydantic.Field(
        64,
        alias="maxGPUs",
        description="Most GPUs of one claim: maxReplicas x all GPUs that a pod asks for. Null is no"
        " cap.",
    )
