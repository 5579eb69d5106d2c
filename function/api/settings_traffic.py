"""Who calls a claim, and by which gateway."""

from typing import Annotated, Literal

import pydantic

from function.api import base, claim_model, claim_pod, settings_forms


class Peer(base.Model):
    """Pods of the platform that call the engine or are called by it."""

    namespace: base.DnsLabel | None = pydantic.Field(
        None, description="The claim's own namespace when absent."
    )
    pod_labels: base.Labels = pydantic.Field(
        default_factory=dict,
        description="Labels of the pods; all pods of the namespace when empty.",
    )
    port: settings_forms.Port | None = pydantic.Field(None, description="8000 when absent.")


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


class SemanticRouter(base.Model):
    """The pods that route by meaning for InferenceGateways, each a router and its proxy."""

    image: settings_forms.Image | None = pydantic.Field(
        None,
        description="vLLM Semantic Router 0.4, its image `extproc`; pin it by digest. Without it"
        " `semanticRouter` of an InferenceGateway is withheld.",
    )
    proxy_image: settings_forms.Image | None = pydantic.Field(
        None, description="Envoy, which hands prompts to the router; the same."
    )
    replicas: Annotated[int, base.number(1, 16)] = pydantic.Field(
        2, description="Pods of one front door; of two or more one goes at a time."
    )
    requests: claim_pod.Resources = settings_forms.quantities(cpu="1", memory="3Gi")
    limits: claim_pod.Resources = settings_forms.quantities(memory="7Gi")
    timeout_seconds: Annotated[int, base.number(1, 300)] = pydantic.Field(
        10, description="How long the router may think about a prompt; then the caller gets 504."
    )


class Evals(base.Model):
    """What runs the evaluations of InferenceGateways."""

    image: settings_forms.Image | None = pydantic.Field(
        None,
        description="Promptfoo's image, from where the site keeps it; best by digest. Evaluations"
        " are withheld without one.",
    )
    push_url: settings_forms.Url | None = pydantic.Field(
        None,
        alias="pushURL",
        description="Where results are written in Prometheus' text form: VictoriaMetrics'"
        " /api/v1/import/prometheus, or a Pushgateway, which is an address with /metrics/job/ in"
        " it. Evaluations are withheld without it.",
    )
    store: Peer | None = pydantic.Field(
        None,
        description="The pods behind pushURL, for the network policy, and the port that they"
        " listen on; pushURL's when absent.",
    )
    egress_cidrs: Annotated[list[base.Cidr], base.items(32)] = pydantic.Field(
        default_factory=base.no_items,
        description="Networks that the pods reach beside the proxies and the store, on the ports of"
        " both: a load balancer before the proxies, a store outside of the cluster.",
    )
    active_deadline_seconds: Annotated[int, base.number(300, 86400)] = pydantic.Field(
        3600, description="Seconds after which the evaluation of one model is stopped."
    )
    requests: claim_pod.Resources = settings_forms.quantities(cpu="200m", memory="512Mi")
    limits: claim_pod.Resources = settings_forms.quantities(memory="1Gi")


class LiteLLM(base.Model):
    """The pods of LiteLLM's proxy before InferenceGateways."""

    image: settings_forms.Image | None = pydantic.Field(
        None,
        description="LiteLLM's image that needs no root, litellm-non_root, 1.108 or newer; pin it"
        " by digest. Without it `edge.litellm` of an InferenceGateway is withheld.",
    )
    replicas: Annotated[int, base.number(1, 16)] = pydantic.Field(
        2, description="Pods of one front door; of two or more one goes at a time."
    )
    requests: claim_pod.Resources = settings_forms.quantities(cpu="500m", memory="1Gi")
    limits: claim_pod.Resources = settings_forms.quantities(memory="4Gi")
    callers: Annotated[list[Peer], base.items(32)] = pydantic.Field(
        default_factory=base.no_items,
        description="Who reaches the proxy beside the pods of its own namespace: an ingress.",
    )
    database: Peer | None = pydantic.Field(
        None, description="Pods of its PostgreSQL, for the network policy; port 5432 when absent."
    )
    egress_cidrs: Annotated[list[base.Cidr], base.items(32)] = pydantic.Field(
        default_factory=base.no_items,
        description="Networks that the pods reach beside: a PostgreSQL outside of the cluster, on"
        " the port of `database`, or a load balancer before the Gateway.",
    )


class FrontDoor(base.Model):
    """The Gateways that InferenceGateways have, and which namespaces have one."""

    namespaces: Annotated[
        dict[settings_forms.Namespace, base.DnsLabel], base.items(32), base.NULLS_ABSENT
    ] = pydantic.Field(
        default_factory=dict,
        description="By namespace, or `*` for every other one, the name of the InferenceGateway"
        " on whose Gateway the claims there are published, in place of gateway.parent. It must"
        " be ready before: their routes move to it at once.",
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
    limiter: Literal["envoy", "none"] = pydantic.Field(
        "none",
        description="Who counts for limits of callers: `envoy` is Envoy Gateway's rate limit"
        " service (rateLimit.backend in its own configuration), which must be there before: without"
        " it the gateway answers requests with 500 as soon as a caller has limits. `none`: limits"
        " are withheld.",
    )
    semantic_router: SemanticRouter = pydantic.Field(default_factory=SemanticRouter)
    evals: Evals = pydantic.Field(default_factory=Evals)
    litellm: LiteLLM = pydantic.Field(default_factory=LiteLLM)


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
    requests: claim_pod.Resources = settings_forms.quantities(cpu="250m", memory="512Mi")
    limits: claim_pod.Resources = settings_forms.quantities(memory="2Gi")


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
