"""Where weights lie, what downloads them, and from where."""

from typing import Annotated

import pydantic

from function.api import base, claim_model, claim_pod, settings_forms, settings_traffic


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
    image_volumes: bool = pydantic.Field(
        False,
        description="Whether pods can mount images (model.source oci): Kubernetes 1.35, or 1.33"
        " with the feature gate ImageVolume on API server and nodes, and a runtime that has"
        " them. A cluster that cannot starts such pods without their weights.",
    )
    image_pull_mi_b: Annotated[int, base.number(1, 1_000_000)] | None = pydantic.Field(
        None,
        alias="imagePullMiB",
        description="MiB/s at which a node pulls and unpacks an image of weights: the start budget"
        " of source oci has it.",
    )
    image_bandwidth_mi_b: Annotated[int, base.number(1, 1_000_000)] | None = pydantic.Field(
        None,
        alias="imageBandwidthMiB",
        description="MiB/s at which a pod reads a mounted image from its node's disk.",
    )


class Preload(base.Model):
    """The Job that downloads weights."""

    image: settings_forms.Image = pydantic.Field(
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
    requests: claim_pod.Resources = settings_forms.quantities(cpu="1", memory="2Gi")
    limits: claim_pod.Resources = settings_forms.quantities(cpu="4", memory="8Gi")
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
    egress_hosts: Annotated[list[settings_forms.HostPattern], base.items(32)] = pydantic.Field(
        default_factory=base.no_items,
        description="Hosts that the Job reaches on 443 by name, beside the hub (Cilium). `*` stands"
        " for any text of a name, {region} for the site's region.",
    )
    egress_host_ports: Annotated[list[settings_forms.Port], base.items(8)] = pydantic.Field(
        default_factory=base.no_items,
        description="Ports of the node that the Job reaches, for example 80 for the EKS Pod"
        " Identity agent (Cilium).",
    )


class ObjectStore(base.Model):
    """The object store of model.source s3, and how serving pods reach it."""

    endpoint: settings_forms.Url | None = pydantic.Field(
        None, description="Address of an S3-compatible store; AWS S3 of bucketRegion when absent."
    )
    bucket_region: Annotated[str, base.text(63, claim_model.WORD)] | None = pydantic.Field(
        None, description="Region of the buckets; the settings' region when absent."
    )
    path_style: bool = pydantic.Field(
        False,
        description="The store has buckets in the path of an address and not in the host's name.",
    )
    bandwidth_mi_b: Annotated[int, base.number(1, 1_000_000)] | None = pydantic.Field(
        None,
        alias="bandwidthMiB",
        description="MiB/s at which one pod reads from the store: start budgets follow from it.",
    )
    service_account_annotations: base.Annotations = pydantic.Field(
        default_factory=dict,
        description="Annotations of the ServiceAccount of claims with source s3, as a pod identity"
        " webhook reads them; {name} and {namespace} are the claim's. Kept off other claims.",
    )
    pods: settings_traffic.Peer | None = pydantic.Field(
        None, description="Pods of a store in the cluster; the port is the endpoint's."
    )
    egress_cidrs: Annotated[list[base.Cidr], base.items(32)] = pydantic.Field(
        default_factory=base.no_items,
        description="Networks of the store. NetworkPolicy knows no names: without networks it lets"
        " pods with source s3 reach every public address on the store's port.",
    )
    egress_hosts: Annotated[list[settings_forms.HostPattern], base.items(32)] = pydantic.Field(
        default_factory=base.no_items,
        description="Hosts that such pods reach on 443 beside the store's own, for example the"
        " region's STS (Cilium).",
    )
    egress_host_ports: Annotated[list[settings_forms.Port], base.items(8)] = pydantic.Field(
        default_factory=base.no_items,
        description="Ports of the node that such pods reach, for example 80 for the EKS Pod"
        " Identity agent (Cilium).",
    )


class Hub(base.Model):
    """How the Hugging Face hub is reached."""

    endpoint: settings_forms.Url | None = pydantic.Field(
        None, description="A mirror; the hub itself when absent."
    )
    proxy: settings_forms.Url | None = pydantic.Field(
        None, description="HTTPS proxy of the preload Job."
    )
    no_proxy: Annotated[str, base.text(1024)] | None = pydantic.Field(
        None, description="Hosts that are reached without the proxy, comma-separated."
    )
    ca_config_map: base.DnsSubdomain | None = pydantic.Field(
        None, description="ConfigMap in the claim's namespace with a CA bundle under ca.crt."
    )
    egress_port: settings_forms.Port = pydantic.Field(
        443, description="Port of the hub, the mirror or the proxy."
    )
    egress_cidrs: Annotated[list[base.Cidr], base.items(32)] = pydantic.Field(
        default_factory=base.no_items,
        description="Networks of a mirror, of where it keeps its content, or of a proxy in a"
        " private range: `world` leaves them out, and the Job follows the hub's redirects to public"
        " addresses and to these alone.",
    )
