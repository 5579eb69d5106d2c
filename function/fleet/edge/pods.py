"""The pods of the proxy before a front door, and what goes with them."""

from typing import Any

from function import canonical, kinds
from function.concerns.observability import watching
from function.fleet import doors
from function.fleet.edge import litellm, wanted
from function.planning import identity
from function.workloads import pods

# Another configuration is another pod: the proxy reads its file once.
_HASH = f"{identity.DOMAIN}/edge-configuration"
# Nobody, as whom LiteLLM's image that needs no root was made.
_USER = 65534
# Seconds in which a pod that goes is still asked.
_LEAVES = 15


def labels(door: doors.Door) -> dict[str, str]:
    """Returns the labels of the pods."""
    return door.identity.labels(identity.EDGE)


def metadata(door: doors.Door, name: str | None = None) -> identity.Manifest:
    """Returns the metadata of an object of the proxy."""
    return door.identity.metadata(
        name or door.identity.part(identity.EDGE), component=identity.EDGE
    )


def configuration(door: doors.Door, files: dict[str, str]) -> identity.Manifest:
    """Returns the ConfigMap."""
    return {
        "apiVersion": kinds.CONFIG_MAP.api_versions[0],
        "kind": kinds.CONFIG_MAP.name,
        "metadata": metadata(door),
        "data": files,
    }


def deployment(door: doors.Door, given: wanted.Edge, files: dict[str, str]) -> identity.Manifest:
    """Returns the Deployment."""
    digest = canonical.text_digest(files[litellm.CONFIGURATION], 10)
    return {
        "apiVersion": kinds.ROUTER_PODS.api_versions[0],
        "kind": kinds.ROUTER_PODS.name,
        "metadata": metadata(door, door.identity.edge_name),
        "spec": {
            "replicas": door.site.front_door.litellm.replicas,
            "selector": {"matchLabels": labels(door)},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
            },
            "template": {
                "metadata": {"labels": labels(door), "annotations": {_HASH: digest}},
                "spec": _pod(door, given),
            },
        },
    }


def _pod(door: doors.Door, given: wanted.Edge) -> identity.Manifest:
    authority = given.spec.certificate_authority
    # What its management API is to be asked is nothing that the proxy reads.
    item = {"key": litellm.CONFIGURATION, "path": litellm.CONFIGURATION}
    source = {"name": door.identity.part(identity.EDGE), "items": [item]}
    volumes: list[Any] = [
        {"name": "configuration", "configMap": source},
        {"name": "scratch", "emptyDir": {"sizeLimit": "256Mi"}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}},
    ]
    if authority is not None:
        volumes.append({"name": "authority", "configMap": {"name": authority.name}})
    return canonical.prune(
        {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "imagePullSecrets": pods.image_pull_secrets(door.site),
            "terminationGracePeriodSeconds": door.site.front_door.drain_seconds + _LEAVES,
            "securityContext": pods.unprivileged(_USER),
            "topologySpreadConstraints": [
                {
                    "maxSkew": 1,
                    "topologyKey": "kubernetes.io/hostname",
                    "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": {"matchLabels": labels(door)},
                }
            ],
            "containers": [{**litellm.container(door, given), "lifecycle": _lifecycle()}],
            "volumes": volumes,
        }
    )


def _lifecycle() -> identity.Manifest:
    return {"preStop": {"sleep": {"seconds": _LEAVES}}}


def budget(door: doors.Door) -> identity.Manifest:
    """Returns the PodDisruptionBudget."""
    return {
        "apiVersion": kinds.BUDGET.api_versions[0],
        "kind": kinds.BUDGET.name,
        "metadata": metadata(door),
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": labels(door)},
        },
    }


def service(door: doors.Door) -> identity.Manifest:
    """Returns the Service, which is the address of the edge."""
    ports = {"http": litellm.PORT}
    if litellm.watched(door):
        ports[litellm.METRICS_PORT] = litellm.METRICS
    return {
        "apiVersion": "v1",
        "kind": kinds.SERVICE.name,
        "metadata": metadata(door, door.identity.edge_name),
        "spec": {
            "type": "ClusterIP",
            "selector": labels(door),
            "ports": [
                {"name": name, "port": port, "targetPort": port, "protocol": "TCP"}
                for name, port in ports.items()
            ],
        },
    }


def endpoint(door: doors.Door) -> str:
    """Returns the address of the edge within the cluster."""
    host = f"{door.identity.edge_name}.{door.identity.namespace}.svc"
    return f"http://{host}.{door.site.network.cluster_domain}:{litellm.PORT}/v1"


def scrape(door: doors.Door, provider: watching.Provider) -> identity.Manifest:
    """Returns the scrape of the proxy's metrics."""
    described = door.identity.metadata(
        door.identity.part(identity.EDGE),
        component=identity.EDGE,
        extra=door.site.monitoring.labels,
    )
    asked = {
        "port": litellm.METRICS_PORT,
        "path": "/metrics",
        "interval": watching.INTERVAL,
        "scrapeTimeout": watching.TIMEOUT,
    }
    return provider.scrape(described, labels(door), asked)
