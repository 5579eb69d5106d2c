"""Claims behind the gateway, and what their routes say."""

from typing import Any

from tests import cluster
from tests.resources import scene

CANARIES: Any = {
    "enabled": True,
    "canaries": [
        {"adapter": "sql", "weightPercent": 10},
        {"adapter": "law", "weightPercent": 25},
    ],
}
ROUTED = scene.of(gateway={"enabled": True})
CANARIED = scene.of(gateway=CANARIES, loraAdapters=scene.ADAPTERS)
PICKED: Any = {"gateway": {"enabled": True, "endpointPicker": {"enabled": True}}}
CLUSTER_HOST = "model.llm.svc.cluster.local"
PODS_HOST = "model-pods-18fb9fa0.llm.svc.cluster.local"


def rules(world: cluster.Cluster) -> list[Any]:
    entries = world.one("AIGatewayRoute")["spec"]["rules"]
    assert isinstance(entries, list)
    return entries


def host(world: cluster.Cluster) -> str:
    (endpoint,) = world.one("Backend")["spec"]["endpoints"]
    assert endpoint["fqdn"]["port"] == 8000
    return str(endpoint["fqdn"]["hostname"])


def model_of(rule: Any) -> str:
    (match,) = rule["matches"]
    (header,) = match["headers"]
    assert (header["type"], header["name"]) == ("Exact", "x-ai-eg-model")
    return str(header["value"])
