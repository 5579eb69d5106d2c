"""The site: every fact about a platform that is not the author's choice.

Settings come from EnvironmentConfigs labelled `inference-service.cloud.ogenki.io/settings: "true"`,
under the data key `inferenceService`, merged in name order over the Composition's `input`. The
defaults here are neutral: nothing names a cloud, a region or a platform's own objects.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

import pydantic

from function.api import base, claim_model, claim_pod
from function.capacity import forms

SETTINGS_LABEL = "inference-service.cloud.ogenki.io/settings"
DATA_KEY = "inferenceService"

Image = Annotated[str, base.text(255, claim_pod.IMAGE)]
Port = Annotated[int, base.number(1, 65535)]
# Printable ASCII: `\s` would mean Unicode's blanks to pydantic and ASCII's to the API server.
_PORT = "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
URL = (
    r"^https?://([!-.0-~]*@)?([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:" + _PORT + r")?([/?#][!-~]*)?$"
)
Url = Annotated[
    Annotated[str, base.text(512, URL)],
    base.OneMessage("Input should be an address such as http://proxy:3128, its port at most 65535"),
]
_ADDRESS = re.compile(URL)
HostPattern = Annotated[str, base.text(255, r"^[A-Za-z0-9*{][A-Za-z0-9*.{}-]*$")]
NAMESPACE = r"^(\*|[a-z0-9]([-a-z0-9]*[a-z0-9])?)$"
_Namespace = Annotated[str, base.text(63, NAMESPACE)]
Namespaces = Annotated[list[_Namespace], base.items(64)]
# Printable ASCII, braces for the two names alone. `function/boundary/grants.py` matches.
PATTERN = r"^([!-z|~]|\{name\}|\{namespace\})+$"
PatternList = Annotated[list[Annotated[str, base.text(512, PATTERN)]], base.items(64)]
Patterns = Annotated[dict[_Namespace, PatternList], base.items(32), base.NULLS_ABSENT]


def port(address: str) -> int:
    """Returns the port of an address that `Url` takes; its scheme's own when it names none.

    Not by `urllib.parse`: that refuses what a pattern cannot, such as `http://[0]`.
    """
    written = _ADDRESS.fullmatch(address)
    digits = written and written[4]
    if digits:
        return int(digits)
    return 443 if address.startswith("https:") else 80


def _quantities(**resources: int | str) -> Any:
    """A default of a map of resources."""
    return pydantic.Field(default_factory=lambda: dict(resources))


Withdrawn = Literal[
    "cilium",
    "kubernetes",
    "victoriametrics",
    "prometheus-operator",
    "keda",
    "envoy-ai-gateway",
    "gateway-api",
    "external-secrets",
]


class Providers(base.Model):
    """Which implementation the cluster has of each concern; `none` leaves its objects out."""

    network_policy: Literal["cilium", "kubernetes", "none"] = "kubernetes"
    monitoring: Literal["victoriametrics", "prometheus-operator", "none"] = "prometheus-operator"
    autoscaler: Literal["keda", "none"] = "keda"
    gateway: Literal["envoy-ai-gateway", "none"] = "none"
    route: Literal["gateway-api", "none"] = "gateway-api"
    secrets: Literal["external-secrets", "none"] = "external-secrets"
    withdrawn: Annotated[list[Withdrawn], base.items(8)] = pydantic.Field(
        default_factory=base.no_items,
        description="Providers that the cluster had and that no concern names any more. Only their"
        " objects may go: settings that lose a provider whose objects are there are refused.",
    )

    RULES: ClassVar = (
        base.Rule(
            cel=" && ".join(
                f"!(has(self.{name}) && has(self.withdrawn) && self.{name} in self.withdrawn)"
                for name in (
                    "networkPolicy",
                    "monitoring",
                    "autoscaler",
                    "gateway",
                    "route",
                    "secrets",
                )
            ),
            message="a provider that a concern names cannot be withdrawn",
            holds=lambda chosen: not set(chosen.withdrawn) & set(chosen.used().values()),
            at="withdrawn",
        ),
    )

    def used(self) -> dict[str, str]:
        """Returns the provider of each concern, `none` included."""
        return {
            name: getattr(self, name) for name in type(self).model_fields if name != "withdrawn"
        }


class Engine(base.Model):
    """The engine that claims get when they name none."""

    image: Image = pydantic.Field(
        "vllm/vllm-openai", description="Image of the engine, without its tag."
    )
    version: Annotated[str, base.text(32, claim_pod.ENGINE_VERSION)] = pydantic.Field(
        "0.25.1", description="vLLM version; also the image's tag, with v before it."
    )
    digest: Annotated[str, base.text(71, r"^sha256:[a-f0-9]{64}$")] | None = pydantic.Field(
        None, description="Digest of the image; the tag is then only for people."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = pydantic.Field(
        "INFO", description="Level of vLLM's log."
    )


# A number of a GPU: a whole one, or a decimal fraction as text.
GpuNumber = Annotated[
    Annotated[int, base.number(0, 1_000_000)] | Annotated[str, base.text(16, base.DECIMAL)],
    base.OneMessage("Input should be a number such as 80, or a decimal as text such as '79.2'"),
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
    interruption_notice_seconds: Annotated[int, base.number(1, 3600)] | None = pydantic.Field(
        None, description="Notice before a node is reclaimed; draining fits into it."
    )
    price_per_hour: Annotated[str, base.text(16, base.DECIMAL)] | None = pydantic.Field(
        None, description="Price of one GPU of this class in an hour, in pricing.currency."
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
        description="Tokens of a usual request with its answer: maxNumSeqs is what the KV cache"
        " holds of them, from 8 to 256, where the claim names none.",
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


class Pricing(base.Model):
    """What prices mean."""

    currency: Annotated[str, base.text(3, r"^[A-Z]{3}$")] = pydantic.Field(
        "USD", description="ISO 4217 code of the currency."
    )
    date: Annotated[str, base.text(10, r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")] | None = pydantic.Field(
        None, description="Day on which the prices were taken."
    )


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


class Weights(base.Model):
    """The shared volume and who may read it."""

    claim_name: base.DnsSubdomain = pydantic.Field(
        "llm-models", description="PersistentVolumeClaim in the claim's namespace."
    )
    run_as_user: Annotated[int, base.number(1)] = pydantic.Field(
        1001, description="User that reads and writes the volume."
    )
    run_as_group: Annotated[int, base.number(0)] | None = pydantic.Field(
        None, description="Group of that user; the image's when absent."
    )
    fs_group: Annotated[int, base.number(1)] | None = pydantic.Field(
        1001, description="Group that the volume's files get; null leaves them as they are."
    )
    bandwidth_mi_b: Annotated[int, base.number(1, 1_000_000)] | None = pydantic.Field(
        None,
        alias="bandwidthMiB",
        description="MiB/s at which one pod reads from the volume: start budgets follow from it.",
    )


class Preload(base.Model):
    """The Job that downloads weights."""

    image: Image = pydantic.Field(
        "function-inference-service-preload:v1.1.0",
        description="Image of the preload program, from where the site keeps it; best by digest,"
        " because it is in every Job's hash. The default names no registry and cannot be pulled.",
    )
    service_account_name: base.DnsSubdomain | None = pydantic.Field(
        None, description="Existing ServiceAccount for access to the volume; default when absent."
    )
    node_selector: base.Labels = pydantic.Field(
        default_factory=dict, description="Labels of the nodes that the Job runs on."
    )
    tolerations: base.RawList = pydantic.Field(
        default_factory=base.no_items, description="Tolerations of the Job."
    )
    requests: claim_pod.Resources = _quantities(cpu="1", memory="2Gi")
    limits: claim_pod.Resources = _quantities(cpu="4", memory="8Gi")
    active_deadline_seconds: Annotated[int, base.number(60, 604800)] = pydantic.Field(
        21600, description="Seconds after which the Job is stopped."
    )
    backoff_limit: Annotated[int, base.number(0, 100)] = pydantic.Field(
        6, description="Pods that may fail before the Job has failed."
    )
    connections: Annotated[int, base.number(1, 64)] | None = pydantic.Field(
        None,
        description="Connections to the hub that the Job has at once, over all files; the"
        " program's own 8 when absent.",
    )
    egress_hosts: Annotated[list[HostPattern], base.items(32)] = pydantic.Field(
        default_factory=base.no_items,
        description="Hosts that the Job reaches on 443 by name, beside the hub (Cilium).",
    )
    egress_host_ports: Annotated[list[Port], base.items(8)] = pydantic.Field(
        default_factory=base.no_items,
        description="Ports of the node that the Job reaches, for example 80 for the EKS Pod"
        " Identity agent (Cilium).",
    )


class Hub(base.Model):
    """How the Hugging Face hub is reached."""

    endpoint: Url | None = pydantic.Field(None, description="A mirror; the hub itself when absent.")
    proxy: Url | None = pydantic.Field(None, description="HTTPS proxy of the preload Job.")
    no_proxy: Annotated[str, base.text(1024)] | None = pydantic.Field(
        None, description="Hosts that are reached without the proxy, comma-separated."
    )
    ca_config_map: base.DnsSubdomain | None = pydantic.Field(
        None, description="ConfigMap in the claim's namespace with a CA bundle under ca.crt."
    )
    egress_port: Port = pydantic.Field(443, description="Port of the hub, the mirror or the proxy.")
    egress_cidrs: Annotated[
        list[Annotated[str, base.text(49, r"^[0-9a-fA-F.:]+/[0-9]{1,3}$")]], base.items(32)
    ] = pydantic.Field(
        default_factory=base.no_items,
        description="Networks of a mirror, of where it keeps its content, or of a proxy in a"
        " private range: `world` leaves them out, and the Job follows the hub's redirects to public"
        " addresses and to these alone.",
    )


class Peer(base.Model):
    """Pods of the platform that call the engine or are called by it."""

    namespace: base.DnsLabel | None = pydantic.Field(
        None, description="The claim's own namespace when absent."
    )
    pod_labels: base.Labels = pydantic.Field(
        default_factory=dict,
        description="Labels of the pods; all pods of the namespace when empty.",
    )
    port: Port | None = pydantic.Field(None, description="8000 when absent.")


class Network(base.Model):
    """Who may call the engine, and where DNS is."""

    callers: Annotated[list[Peer], base.items(32)] = pydantic.Field(default_factory=base.no_items)
    scrapers: Annotated[list[Peer], base.items(8)] = pydantic.Field(default_factory=base.no_items)
    dns: Peer = pydantic.Field(
        default_factory=lambda: Peer(
            namespace="kube-system", pod_labels={"k8s-app": "kube-dns"}, port=53
        )
    )
    # A host name has 253 characters: two labels of 63 and `.svc.` come before this.
    cluster_domain: Annotated[str, base.text(120, base.DNS_SUBDOMAIN)] = pydantic.Field(
        "cluster.local", description="Domain of the cluster's Services."
    )


class Wake(base.Model):
    """The signal that exists when no replica does."""

    query: Annotated[str, base.text(2048)] = pydantic.Field(
        description="PromQL over the gateway's own series; {name} and {namespace} are replaced."
        " Above zero it wakes the claim."
    )
    counts: Annotated[list[Literal["gateway", "route", "service"]], base.items(3, 1)] = (
        pydantic.Field(
            ["gateway"],
            description="Whose requests the query sees: those by the AI gateway, by the claim's"
            " route (when its gateway's proxies are counted too), or whatever asks for the Service."
            " A claim that has none of them is held at one replica. An endpoint picker answers for"
            " a claim without pods before anything is counted, so it is no `gateway` here; a"
            " native one holds the requests and counts them itself.",
        )
    )


class Scaling(base.Model):
    """What the autoscaler reads."""

    server_address: Url = pydantic.Field(
        "http://prometheus-operated.monitoring.svc:9090",
        description="Prometheus-compatible query endpoint. VictoriaMetrics single node: 8428.",
    )
    wake: Wake | None = pydantic.Field(
        None, description="Without it minReplicas 0 is held at one replica."
    )
    authentication_ref: Annotated[dict[str, Any], base.items(2)] | None = pydantic.Field(
        None, description="KEDA authenticationRef of the triggers: name and kind."
    )


class Requests(base.Model):
    """The gateway's own count of a claim's requests.

    It has what no replica answered, which no engine can count. {name} and {namespace} are replaced.
    """

    every: Annotated[str, base.text(2048)] = pydantic.Field(
        description="PromQL: requests a second over five minutes, one series without labels."
    )
    failed: Annotated[str, base.text(2048)] = pydantic.Field(
        description="PromQL: the same of those that were answered with 5xx."
    )
    counts: Annotated[list[Literal["gateway", "route", "service"]], base.items(3, 1)] = (
        pydantic.Field(
            ["gateway"],
            description="Whose requests the queries see, as in scaling.wake. For another claim the"
            " engine's own count is taken.",
        )
    )


class Monitoring(base.Model):
    """What scrapes and alerts carry so that the site's operators select them."""

    labels: base.Labels = pydantic.Field(
        default_factory=dict, description="On scrape and rule objects, for example release: x."
    )
    alert_labels: base.Labels = pydantic.Field(
        default_factory=dict, description="On every alert, for example a team that is called."
    )
    runbook_base: Url = pydantic.Field(
        "https://github.com/Smana/function-inference-service/blob/main/docs/operations.md",
        description="Runbook links are this address with #<alert> appended.",
    )
    requests: Requests | None = pydantic.Field(
        None,
        description="By which objectives of availability are judged. Without it they see only what"
        " reaches an engine.",
    )


class GatewayReference(base.Model):
    """A Gateway."""

    name: base.DnsSubdomain = pydantic.Field(description="Name of the Gateway.")
    namespace: base.DnsLabel = pydantic.Field(description="Namespace of the Gateway.")


class Gateway(base.Model):
    """The AI gateway."""

    parent: GatewayReference = pydantic.Field(
        default_factory=lambda: GatewayReference(
            name="ai-gateway", namespace="envoy-ai-gateway-system"
        )
    )
    proxy_namespace: base.DnsLabel = pydantic.Field(
        "envoy-gateway-system", description="Where the gateway's proxy pods run."
    )
    api_version: Literal["aigateway.envoyproxy.io/v1beta1", "aigateway.envoyproxy.io/v1alpha1"] = (
        pydantic.Field(
            "aigateway.envoyproxy.io/v1beta1",
            description="API of the AI gateway that the cluster serves.",
        )
    )
    hostname: base.DnsSubdomain | None = pydantic.Field(
        None, description="Host of the endpoint; llm.<privateDomainName> when absent."
    )
    unique_model_names: bool = pydantic.Field(
        True,
        description="A model name has one owner on the gateway: of two claims, or a claim and an"
        " adapter, that have it, the younger is not published. `false`: the gateway chooses.",
    )
    request_timeout_seconds: Annotated[int, base.number(1, 86400)] = pydantic.Field(
        1800,
        description="Longest wait for the first byte of an answer, and for the next one of a"
        " stream; of a request that does not stream that is the whole answer.",
    )
    longest_stream_seconds: Annotated[int, base.number(1, 604800)] | None = pydantic.Field(
        None,
        description="Longest stream, from the request to its last byte; while its bytes come it has"
        " no end when absent. Not above requestTimeoutSeconds: every request ends after so long."
        " That alone works with an Envoy Gateway before 1.8, and is what apiVersion v1alpha1 gets.",
    )
    buffer_mi_b: Annotated[int, base.number(1, 4095)] | None = pydantic.Field(
        None,
        alias="bufferMiB",
        description="MiB of connection.bufferLimit in the ClientTrafficPolicy of the Gateway: a"
        " larger body gets 413. Envoy's own 32 KiB when absent. An InferenceGateway's own Gateway"
        " has it, 50 when absent; of another one `check` reads it alone.",
    )


class FrontDoor(base.Model):
    """The Gateways that InferenceGateways have, and which namespaces have one."""

    namespaces: Annotated[dict[_Namespace, base.DnsLabel], base.items(32), base.NULLS_ABSENT] = (
        pydantic.Field(
            default_factory=dict,
            description="By namespace, or `*` for every other one, the name of the InferenceGateway"
            " on whose Gateway the claims there are published, in place of gateway.parent. It must"
            " be ready before: their routes move to it at once.",
        )
    )
    class_name: base.DnsSubdomain = pydantic.Field(
        "envoy-gateway", description="GatewayClass of Envoy Gateway with the AI gateway beside it."
    )
    service_type: Literal["ClusterIP", "LoadBalancer"] = pydantic.Field(
        "ClusterIP",
        description="Service of the proxies. A load balancer may be open to the internet:"
        " serviceAnnotations say so to the cloud.",
    )
    service_annotations: base.Annotations = pydantic.Field(
        default_factory=dict, description="On that Service, for example an internal scheme."
    )
    replicas: Annotated[int, base.number(1, 64)] = pydantic.Field(
        2, description="Proxies of one Gateway; of two or more one goes at a time."
    )
    drain_seconds: Annotated[int, base.number(1, 3600)] = pydantic.Field(
        600,
        description="Seconds that streams get to end when a proxy goes. Envoy Gateway's own minute"
        " would cut long answers.",
    )


class EndpointPicker(base.Model):
    """The endpoint picker."""

    provider: Literal["helmRelease", "native"] = pydantic.Field(
        "helmRelease",
        description="What makes the picker of a claim: a HelmRelease, which Flux installs, or"
        " objects of the claim's own.",
    )
    oci_repository: base.DnsSubdomain = pydantic.Field(
        "inferencepool", description="OCIRepository of the chart in the claim's namespace."
    )
    image_registry: Annotated[str, base.text(255, claim_pod.IMAGE)] = pydantic.Field(
        "registry.k8s.io", description="Registry of the picker's image."
    )
    image_repository: Annotated[str, base.text(255, claim_pod.IMAGE)] = pydantic.Field(
        "gateway-api-inference-extension/epp", description="Repository of the picker's image."
    )
    image_tag: Annotated[str, base.text(128, claim_model.WORD)] = pydantic.Field(
        "v1.5.0", description="Tag of the picker's image."
    )
    requests: claim_pod.Resources = _quantities(cpu="250m", memory="512Mi")
    limits: claim_pod.Resources = _quantities(memory="2Gi")


class Route(base.Model):
    """Plain HTTP routes."""

    parent: GatewayReference = pydantic.Field(
        default_factory=lambda: GatewayReference(name="gateway", namespace="gateway-system")
    )
    proxy: Peer | None = pydantic.Field(
        None, description="The proxy pods of the parent, which call the engine."
    )
    request_timeout_seconds: Annotated[int, base.number(1, 86400)] = pydantic.Field(
        1800, description="Longest request, streams included."
    )
    reserved_hostnames: Annotated[list[base.DnsLabel], base.items(64)] = pydantic.Field(
        ["www"],
        description="Short names that no claim's route has; the AI gateway's own is always one.",
    )


class SecretStore(base.Model):
    """The store that ExternalSecrets read."""

    name: base.DnsSubdomain = pydantic.Field("default", description="Name of the store.")
    kind: Literal["ClusterSecretStore", "SecretStore"] = pydantic.Field(
        "ClusterSecretStore", description="Kind of the store."
    )


class Permissions(base.Model):
    """Namespaces whose claim authors may use an escape hatch; "*" is every namespace."""

    volumes: Namespaces = pydantic.Field(
        default_factory=base.no_items, description="Who may use podTemplate.volumes."
    )
    patches: Namespaces = pydantic.Field(
        default_factory=base.no_items,
        description="Who may use patches. Most of what an author may not write in a claim can be"
        " written in a patch: grant it to those who could write the pods themselves.",
    )
    engine_image: Namespaces = pydantic.Field(
        default_factory=base.no_items, description="Who may use engine.image."
    )
    trust_remote_code: Namespaces = pydantic.Field(
        default_factory=base.no_items,
        description=(
            "Who may pass engine arguments and variables that run code, as --trust-remote-code"
            " does. Code can do all that the next six open: they are open too."
        ),
    )
    engine_files: Namespaces = pydantic.Field(
        default_factory=base.no_items,
        description="Who may pass engine arguments that read files outside of the model's volume,"
        " or write files.",
    )
    engine_connections: Namespaces = pydantic.Field(
        default_factory=base.no_items,
        description="Who may pass engine arguments that connect to other hosts.",
    )
    engine_listeners: Namespaces = pydantic.Field(
        default_factory=base.no_items,
        description="Who may pass engine arguments that listen beside the Service's port.",
    )
    engine_secrets: Namespaces = pydantic.Field(
        default_factory=base.no_items,
        description="Who may write keys and tokens into engine arguments and variables, where"
        " everyone who reads the claim or the pod learns them.",
    )
    unknown_arguments: Namespaces = pydantic.Field(
        default_factory=base.no_items,
        description="Who may pass engine arguments that no judged version of the engine has, and"
        " abbreviations of flags. Such a flag may load code.",
    )
    environment: Namespaces = pydantic.Field(
        default_factory=base.no_items,
        description="Who may set variables in podTemplate.env that name files or hosts, or that"
        " nobody has judged; not those that run code.",
    )
    host_access: Namespaces = pydantic.Field(
        default_factory=base.no_items,
        description="Pod settings weaker than Pod Security restricted.",
    )

    raw_policies: Namespaces = pydantic.Field(
        default_factory=base.no_items,
        description="Who may use networkPolicies: raw rules of Cilium.",
    )
    platform_policies: Namespaces = pydantic.Field(
        default_factory=base.no_items,
        description=(
            "Whose raw rules of Cilium may also name entities such as world, host and"
            " kube-apiserver, nodes, Services, every network or host, listeners and TLS Secrets."
        ),
    )
    raw_rules: Namespaces = pydantic.Field(
        default_factory=base.no_items,
        description=(
            "Whose alertingRules may record series, set labels that say where a series comes from,"
            " and use every other key that the operator has."
        ),
    )
    any_taint: Namespaces = pydantic.Field(
        default_factory=base.no_items,
        description="Who may tolerate every taint: a toleration without a key.",
    )
    namespace_affinity: Namespaces = pydantic.Field(
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

    annotations: Patterns = _patterns(
        "Keys of podTemplate.annotations.", "*", "kubectl.kubernetes.io/restartedAt"
    )
    callers: Patterns = _patterns("Namespaces of access.from, beside the claim's own.")
    engine_versions: Patterns = _patterns(
        "Values of engine.version without a v before them, beside the settings' own. A version that"
        " is older lacks fixes of the engine.",
        "*",
    )
    fetched_secrets: Patterns = _patterns(
        "Names of externalSecrets that the claim does not have yet: of Secrets that External"
        " Secrets makes, or takes over where one of that name is there.",
        "inference-service.{name}.*",
        *_HUB_TOKENS,
    )
    hostnames: Patterns = _patterns("Short names of route.hostname.", "*")
    labels: Patterns = _patterns(
        "Keys of podTemplate.labels.", "cost-center", "environment", "owner", "project", "team"
    )
    node_labels: Patterns = _patterns(
        "Labels of nodes in podTemplate.nodeSelector and node affinity; a node's name counts as"
        " kubernetes.io/hostname.",
        "kubernetes.io/arch",
        "kubernetes.io/os",
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
    )
    priority_classes: Patterns = _patterns("Names of podTemplate.priorityClassName.")
    remote_refs: Patterns = _patterns(
        "Paths of the store in externalSecrets[].remoteRef.", "{namespace}/**"
    )
    resources: Patterns = _patterns("Extended resources in resources and gpu.resourceName.")
    secrets: Patterns = _patterns(
        "Secrets that exist, for envFromSecrets, tokenSecretRef, valueFrom, volumes and patches,"
        " beside what the claim's own externalSecrets fetches. Authors choose their claims' names:"
        " {name}-* gives db-password to a claim named db, and {name}.* gives Helm's Secrets to one"
        " named sh. Begin with a text that nobody else's names begin with.",
        *_HUB_TOKENS,
    )
    sub_paths: Patterns = _patterns(
        "Directories of weightsFileSystem.subPath; the claim's name, which is used when it is"
        " absent, is judged too.",
        "**",
    )
    taints: Patterns = _patterns("Taints of podTemplate.tolerations, beside those of the class.")
    weights: Patterns = _patterns(
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


class Rollout(base.Model):
    """What happens to running pods when the platform changes."""

    platform_changes: Literal["OnClaimChange", "Immediate"] = pydantic.Field(
        "OnClaimChange",
        description="A new function version or other settings alter running pods when the claim's"
        " author next edits or accepts them, or at once.",
    )
    pre_stop_seconds: Annotated[int, base.number(1, 300)] = pydantic.Field(
        15,
        description="Seconds for which a pod that ends still takes requests, until every proxy has"
        " forgotten it. More than the TTL that the cluster's DNS gives its records, and seven more:"
        " 15 is enough for 5 (CoreDNS' own default), 40 for 30 (many a Corefile).",
    )


class Diagnostics(base.Model):
    """What else is read to explain a claim that does not serve."""

    pods: bool = pydantic.Field(
        False,
        description="Read the claim's pods while nothing serves: scheduling, image pull, last"
        " words. Crossplane then caches all pods of the cluster.",
    )


class Settings(base.Model):
    """Everything about the site."""

    providers: Providers = pydantic.Field(default_factory=Providers)
    engine: Engine = pydantic.Field(default_factory=Engine)
    gpu: Gpu = pydantic.Field(default_factory=Gpu)
    pricing: Pricing = pydantic.Field(default_factory=Pricing)
    capacity: Capacity = pydantic.Field(default_factory=Capacity)
    weights: Weights = pydantic.Field(default_factory=Weights)
    preload: Preload = pydantic.Field(default_factory=Preload)
    hub: Hub = pydantic.Field(default_factory=Hub)
    network: Network = pydantic.Field(default_factory=Network)
    scaling: Scaling = pydantic.Field(default_factory=Scaling)
    monitoring: Monitoring = pydantic.Field(default_factory=Monitoring)
    gateway: Gateway = pydantic.Field(default_factory=Gateway)
    front_door: FrontDoor = pydantic.Field(default_factory=FrontDoor)
    endpoint_picker: EndpointPicker = pydantic.Field(default_factory=EndpointPicker)
    route: Route = pydantic.Field(default_factory=Route)
    secret_store: SecretStore = pydantic.Field(default_factory=SecretStore)
    permissions: Permissions = pydantic.Field(default_factory=Permissions)
    allowed: Allowed = pydantic.Field(default_factory=Allowed)
    limits: Limits = pydantic.Field(default_factory=Limits)
    rollout: Rollout = pydantic.Field(default_factory=Rollout)
    diagnostics: Diagnostics = pydantic.Field(default_factory=Diagnostics)
    labels: base.Labels = pydantic.Field(
        default_factory=dict, description="On every composed object, beside ours."
    )
    reserved_names: PatternList = pydantic.Field(
        default_factory=base.no_items,
        description="Names that no claim may have, by patterns as under allowed: those of the"
        " platform's own ServiceAccounts, Services and policies in the claims' namespaces.",
    )
    image_pull_secrets: Annotated[list[base.DnsSubdomain], base.items(8)] = pydantic.Field(
        default_factory=base.no_items,
        description="Secrets of the registries, in the claim's namespace.",
    )
    image_registry: Annotated[str, base.text(255, claim_pod.IMAGE)] | None = pydantic.Field(
        None, description="Mirror that is put before the engine's and the preload image's name."
    )
    private_domain_name: base.DnsSubdomain | None = pydantic.Field(
        None, description="Domain of routes; also read from privateDomainName at the top level."
    )
    region: Annotated[str, base.text(63, claim_model.WORD)] | None = pydantic.Field(
        None,
        description="Replaces {region} in preload.egressHosts; also read from the top level.",
    )

    def front_door_of(self, namespace: str) -> str | None:
        """Returns the InferenceGateway that claims of a namespace are published on, or None."""
        named = self.front_door.namespaces
        return named.get(namespace, named.get("*"))

    def parent_of(self, namespace: str) -> GatewayReference:
        """Returns the Gateway that claims of a namespace are published on.

        An InferenceGateway's Gateway has its name and lies in its namespace.
        """
        door = self.front_door_of(namespace)
        return (
            self.gateway.parent
            if door is None
            else GatewayReference(name=door, namespace=namespace)
        )


class Input(Settings):
    """The Composition's input: settings that EnvironmentConfigs are merged over."""

    api_version: Literal["inference-service.cloud.ogenki.io/v1alpha1"]
    kind: Literal["Settings"]
    metadata: dict[str, Any] = pydantic.Field(default_factory=dict)
    environment: Literal["Required", "Optional"] = pydantic.Field(
        "Required",
        description="Required: without a labelled EnvironmentConfig nothing is rendered, because"
        " rendering with defaults would restart the fleet.",
    )


def merge(lower: dict[str, Any], upper: dict[str, Any]) -> dict[str, Any]:
    """Returns `upper` over `lower`: maps merge key by key, everything else replaces."""
    merged = dict(lower)
    for key, value in upper.items():
        below = merged.get(key)
        merged[key] = (
            merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
        )
    return merged


# The only keys that are read at the top level of an EnvironmentConfig's data, where another
# platform's own keys live too.
TOP_LEVEL = ("privateDomainName", "region")


def from_data(data: Any, where: str) -> dict[str, Any]:
    """Returns the settings in an EnvironmentConfig's data or in the pipeline's environment.

    Raises:
        base.InvalidError: The data, or `inferenceService` in them, are no map.
    """
    if not isinstance(data, dict):
        raise base.InvalidError(where, [base.Problem("data", "must be a map")])
    settings = data.get(DATA_KEY, {})
    if not isinstance(settings, dict):
        raise base.InvalidError(where, [base.Problem(f"data.{DATA_KEY}", "must be a map")])
    top = {key: data[key] for key in TOP_LEVEL if isinstance(data.get(key), str)}
    return merge(top, settings)


def resolve(layers: list[dict[str, Any]]) -> Settings:
    """Returns the settings that result from the layers, lowest first.

    Raises:
        base.InvalidError: The result breaks the schema; unknown keys are named.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        merged = merge(merged, layer)
    parsed = base.parse(Settings, merged, what="settings")
    problems = list(_unreadable(parsed.capacity))
    if problems:
        raise base.InvalidError("settings", problems)
    return parsed


def _unreadable(capacity: Capacity) -> Iterator[base.Problem]:
    """Yields what is wrong with the facts of models."""
    for name, form in capacity.models.items():
        try:
            forms.read(form)
        except forms.FormError as error:
            yield base.Problem(f"capacity.models.{name}", str(error))


NONE_FOUND = (
    f'no EnvironmentConfig with label {SETTINGS_LABEL}: "true" that holds data.{DATA_KEY} was'
    " found: make one with the site's settings there (an empty map takes the defaults), or set"
    " environment: Optional in the Composition's input. Rendering with defaults would restart the"
    " fleet."
)


def assemble(
    given: dict[str, Any], context: dict[str, Any], configs: list[dict[str, Any]]
) -> Settings:
    """Returns the settings of one call.

    Args:
        given: The Composition's input, or an empty map.
        context: The pipeline's environment, or an empty map.
        configs: The labelled EnvironmentConfigs, whole; merged in the order of their names.

    Raises:
        base.InvalidError: There are none and the input does not say `Optional`, or they break
            the schema.
    """
    layers = []
    if given:
        parsed = base.parse(Input, given, what="the Composition's input")
        layers.append({k: v for k, v in given.items() if k not in _INPUT_ONLY})
        optional = parsed.environment == "Optional"
    else:
        optional = False
    if context:
        layers.append(from_data(context, "the pipeline's environment"))
    ordered = sorted(configs, key=lambda config: str(_name(config)))
    for config in ordered:
        name = _name(config)
        layers.append(from_data(config.get("data", {}), f"EnvironmentConfig {name}"))
    stated = any(DATA_KEY in (config.get("data") or {}) for config in ordered)
    if not stated and DATA_KEY not in context and not optional:
        raise base.InvalidError("settings", [base.Problem("", NONE_FOUND)])
    return resolve(layers)


def _name(config: dict[str, Any]) -> Any:
    metadata = config.get("metadata")
    return metadata.get("name") if isinstance(metadata, dict) else None


_INPUT_ONLY = frozenset(("apiVersion", "kind", "metadata", "environment"))
