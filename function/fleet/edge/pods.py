"""The pods of the proxy before a front door, and what goes with them."""

from function import canonical, kinds
from function.fleet import doors, own_pods, rows
from function.fleet.edge import litellm, wanted
from function.planning import identity

PODS = own_pods.OwnPods(identity.EDGE, identity.EDGE, rows.EDGE)
# Another configuration is another pod: the proxy reads its file once.
_HASH = f"{identity.DOMAIN}/edge-configuration"
# Nobody, as whom LiteLLM's image that needs no root was made.
_USER = 65534
# Seconds in which a pod that goes is still asked.
_LEAVES = 15


def configuration(door: doors.Door, files: dict[str, str]) -> identity.Manifest:
    """Returns the ConfigMap."""
    return {
        "apiVersion": kinds.CONFIG_MAP.api_versions[0],
        "kind": kinds.CONFIG_MAP.name,
        "metadata": PODS.metadata(door),
        "data": files,
    }


def deployment(door: doors.Door, given: wanted.Edge, files: dict[str, str]) -> identity.Manifest:
    """Returns the Deployment."""
    digest = canonical.text_digest(files[litellm.CONFIGURATION], 10)
    replicas = door.site.front_door.litellm.replicas
    return PODS.deployment(
        door, door.identity.edge_name, replicas, {_HASH: digest}, _pod(door, given)
    )


def _pod(door: doors.Door, given: wanted.Edge) -> identity.Manifest:
    authority = given.spec.certificate_authority
    # What its management API is to be asked is nothing that the proxy reads.
    item = {"key": litellm.CONFIGURATION, "path": litellm.CONFIGURATION}
    source = {"name": door.identity.part(identity.EDGE), "items": [item]}
    volumes: list[identity.Manifest] = [
        {"name": "configuration", "configMap": source},
        {"name": "scratch", "emptyDir": {"sizeLimit": "256Mi"}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}},
    ]
    if authority is not None:
        volumes.append({"name": "authority", "configMap": {"name": authority.name}})
    container = {**litellm.container(door, given), "lifecycle": own_pods.lifecycle(_LEAVES)}
    grace = door.site.front_door.drain_seconds + _LEAVES
    return PODS.pod(door, _USER, grace, [container], volumes)


def service(door: doors.Door) -> identity.Manifest:
    """Returns the Service, which is the address of the edge."""
    ports = {"http": litellm.PORT}
    if litellm.watched(door):
        ports[litellm.METRICS_PORT] = litellm.METRICS
    return PODS.service(door, door.identity.edge_name, ports)


def endpoint(door: doors.Door) -> str:
    """Returns the address of the edge within the cluster."""
    host = f"{door.identity.edge_name}.{door.identity.namespace}.svc"
    return f"http://{host}.{door.site.network.cluster_domain}:{litellm.PORT}/v1"
