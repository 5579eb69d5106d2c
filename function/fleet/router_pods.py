"""The pods of a semantic router: the router, and the proxy that sends on what it judged."""

from function import canonical, kinds
from function.api import gateway_router
from function.engines import engine
from function.fleet import doors, own_pods, router_config, rows, situations
from function.planning import identity
from function.workloads import pods

PODS = own_pods.OwnPods(identity.ROUTER, identity.ROUTER, rows.ROUTER)
# The name that metrics have as a port of the Service, and of the container.
METRICS_PORT = "metrics"
_PROXY_HASH = f"{identity.DOMAIN}/proxy-configuration"
_CONFIGURATION = "/etc/semantic-router"
_USER = 65532
# A directory of the pod's own.
_SCRATCH = "/scratch"
# Seconds in which answers end that pass through a pod that goes: Envoy itself would cut them at
# once. Engines get as many.
_DRAIN = 120
# Two minutes for its models to be fetched from the hub and read, ten times over.
_STARTS = 120


def configuration(now: situations.Situation) -> identity.Manifest:
    """Returns the ConfigMap. The router reads it anew when it changes; nothing restarts."""
    data = {"config.yaml": canonical.dumps(router_config.judge(now)) + "\n"}
    if now.door.deploys_router:
        data["proxy.json"] = canonical.dumps(router_config.proxy(now.door)) + "\n"
    return {
        "apiVersion": kinds.CONFIG_MAP.api_versions[0],
        "kind": kinds.CONFIG_MAP.name,
        "metadata": PODS.metadata(now.door),
        "data": data,
    }


def deployment(door: doors.Door) -> identity.Manifest:
    """Returns the Deployment; another configuration of the proxy is another pod."""
    return PODS.deployment(
        door,
        door.identity.router_name,
        door.site.front_door.semantic_router.replicas,
        {_PROXY_HASH: canonical.digest(router_config.proxy(door))},
        _pod(door),
        # All at once: of two keys the Gateway knows one, and while pods have either, those of the
        # other are refused.
        surge="100%",
    )


def _pod(door: doors.Door) -> identity.Manifest:
    router = door.router
    authority = None if router is None else router.certificate_authority
    volumes: list[identity.Manifest] = [
        {"name": "configuration", "configMap": {"name": door.identity.part(identity.ROUTER)}},
        {"name": "models", "emptyDir": {}},
        {"name": "scratch", "emptyDir": {}},
    ]
    if authority is not None:
        volumes.append({"name": "authority", "configMap": {"name": authority.name}})
    containers = [_router(door), _proxy(door, own_authority=authority is not None)]
    return PODS.pod(door, _USER, _DRAIN + 10, containers, volumes)


def _router(door: doors.Door) -> identity.Manifest:
    site = door.site.front_door.semantic_router
    probe = {"tcpSocket": {"port": router_config.JUDGE}}
    return {
        "name": "router",
        "image": engine.mirrored(str(site.image), door.site),
        "imagePullPolicy": "IfNotPresent",
        # Its API manages it, and nobody needs that.
        "args": ["-enable-api=false"],
        "env": [
            {"name": "CONFIG_FILE", "value": f"{_CONFIGURATION}/config.yaml"},
            *_hub(door),
            {"name": "HF_HOME", "value": f"{_SCRATCH}/huggingface"},
            {"name": "TMPDIR", "value": _SCRATCH},
            {"name": "HOME", "value": _SCRATCH},
        ],
        "ports": [
            {
                "name": METRICS_PORT,
                "containerPort": router_config.METRICS,
                "protocol": "TCP",
            }
        ],
        "resources": {"requests": dict(site.requests), "limits": dict(site.limits)},
        "securityContext": pods.CONTAINER_SECURITY,
        "lifecycle": own_pods.lifecycle(_DRAIN),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "startupProbe": {**probe, "periodSeconds": 10, "failureThreshold": _STARTS},
        "readinessProbe": {**probe, "periodSeconds": 5},
        "livenessProbe": {**probe, "periodSeconds": 30, "failureThreshold": 6},
        "volumeMounts": [
            _mounted("configuration", _CONFIGURATION),
            {"name": "models", "mountPath": "/app/models"},
            {"name": "scratch", "mountPath": _SCRATCH},
        ],
    }


def _hub(door: doors.Door) -> list[identity.Manifest]:
    hub = door.site.hub
    values = {"HF_ENDPOINT": hub.endpoint, "HTTPS_PROXY": hub.proxy, "NO_PROXY": hub.no_proxy}
    return [{"name": name, "value": value} for name, value in values.items() if value is not None]


def _proxy(door: doors.Door, *, own_authority: bool) -> identity.Manifest:
    site = door.site.front_door.semantic_router
    secret = {"name": str(door.router_secret), "key": gateway_router.CALLER}
    mounts = [_mounted("configuration", _CONFIGURATION)]
    if own_authority:
        mounts.append(_mounted("authority", "/etc/authority"))
    return {
        "name": "proxy",
        "image": engine.mirrored(str(site.proxy_image), door.site),
        "imagePullPolicy": "IfNotPresent",
        "command": ["envoy"],
        "args": [
            "--config-path",
            f"{_CONFIGURATION}/proxy.json",
            "--disable-hot-restart",
            "--concurrency",
            "2",
        ],
        "env": [{"name": router_config.KEY, "valueFrom": {"secretKeyRef": secret}}],
        "ports": [{"name": "http", "containerPort": router_config.PROMPTS, "protocol": "TCP"}],
        "resources": {
            "requests": {"cpu": "100m", "memory": "256Mi"},
            "limits": {"memory": "1Gi"},
        },
        "securityContext": pods.CONTAINER_SECURITY,
        "lifecycle": own_pods.lifecycle(_DRAIN),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "readinessProbe": {
            "httpGet": {"path": router_config.READY_PATH, "port": router_config.PROMPTS},
            "periodSeconds": 5,
        },
        "volumeMounts": mounts,
    }


def _mounted(name: str, path: str) -> identity.Manifest:
    return {"name": name, "mountPath": path, "readOnly": True}


def service(door: doors.Door) -> identity.Manifest:
    """Returns the Service, to which the Gateway sends what asks for a virtual name."""
    ports = {"http": router_config.PROMPTS, METRICS_PORT: router_config.METRICS}
    return PODS.service(door, door.identity.router_name, ports)
