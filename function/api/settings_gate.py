"""What judges the steps of a canary's gate, and where it reads the series of the gateway."""

from typing import Annotated

import pydantic

from function.api import base, claim_pod, settings_forms, settings_metrics, settings_traffic


class GatewayLabels(base.Model):
    """Labels of the AI gateway's series that tell gateways apart, where the scrape adds them."""

    name: Annotated[str, base.text(63, settings_metrics.METRIC_LABEL)] = pydantic.Field(
        description="Label that has the Gateway's name, for example"
        " gateway_envoyproxy_io_owning_gateway_name."
    )
    namespace: Annotated[str, base.text(63, settings_metrics.METRIC_LABEL)] | None = pydantic.Field(
        None,
        description="Label that has its namespace; Gateways of one name are added up without it.",
    )


class CanaryGates(base.Model):
    """The pods that judge canaries (gateway.canaries[].gate)."""

    query_url: settings_forms.Url | None = pydantic.Field(
        None,
        alias="queryURL",
        description="Prometheus-compatible query endpoint that has the series of the AI gateway and"
        " of evaluations; scaling.serverAddress when absent.",
    )
    store: settings_traffic.Peer | None = pydantic.Field(
        None,
        description="The pods behind queryURL, for the network policy, and the port that they"
        " listen on; queryURL's when absent. Where there are policies, gates are withheld without"
        " it or egressCidrs.",
    )
    egress_cidrs: Annotated[list[base.Cidr], base.items(32)] = pydantic.Field(
        default_factory=base.no_items,
        description="Networks of a store outside of the cluster, on queryURL's port.",
    )
    gateway_labels: GatewayLabels | None = pydantic.Field(
        None,
        description="Labels that the platform's scrape of the proxies adds. Without them the"
        " requests of models of one name on several gateways are added up.",
    )
    requests: claim_pod.Resources = settings_forms.quantities(cpu="10m", memory="32Mi")
    limits: claim_pod.Resources = settings_forms.quantities(memory="128Mi")
