"""The endpoint picker as objects of the claim's own: the pool, the program that picks, its rights.

Flags, ports, health services and series are those of the picker 1.5.0.
"""

import decimal
from collections.abc import Iterator
from typing import Any

from function import assembly, canonical, kinds, memo
from function.capacity import quantity
from function.concerns.access import callers
from function.concerns.observability import watching
from function.planning import identity, plans
from function.situation import pickers
from function.workloads import pods

# The one object without a namespace that the picker needs: a ClusterRole that the platform applies
# (examples/rbac). A Role of each claim would need a core that holds, or may escalate to, everything
# that the picker reads.
CLUSTER_ROLE = "inference-service-endpoint-picker"
CONTAINER = "epp"
USER = 65532
# Seconds in which proxies learn that a picker goes, before it closes its streams.
PRE_STOP = 10
# Seconds for streams to end: the picker sees each request to the end of its answer, and leaves
# those that are still open after 30 seconds of its own (controller-runtime's grace).
GRACE = 60
# The gRPC health service that says yes once the pool is read.
_HEALTH_SERVICE = "inference-extension"
# Requests that wait in one pod before the picker keeps the next ones. As many as the queue's
# trigger takes for one replica by default: with fewer the engines' own queues would never ask for
# another replica.
QUEUE_DEPTH = 8
# Age at which a pod's metrics no longer count. The picker's own default of 200 ms would take a pod
# whose API server is busy for a full one.
STALE = "5s"
# A held request is in memory several times: as text, as it was read, and as it is sent on.
_COPIES = 8
_UNLIMITED = decimal.Decimal(2 * 1024**3)

_SCORERS = {
    "prefix": "prefix-cache-scorer",
    "queue": "queue-scorer",
    "kv_cache": "kv-cache-utilization-scorer",
    "adapters": "lora-affinity-scorer",
}


def parts(plan: plans.Plan) -> Iterator[assembly.Part]:
    """Yields the picker's objects."""
    yield assembly.Part("picker-serviceaccount", _service_account(plan))
    yield assembly.Part("picker-rolebinding", _role_binding(plan))
    yield assembly.Part(pickers.DEPLOYMENT, _deployment(plan))
    if plan.picker.replicas > 1:
        yield assembly.Part("picker-pdb", _budget(plan))
    yield assembly.Part(pickers.SERVICE, _service(plan))
    yield assembly.Part(pickers.POOL, _pool(plan))
    for name, value in plan.picker.priorities:
        yield assembly.Part(f"picker-objective-{name}", _objective(plan, name, value))


def _metadata(plan: plans.Plan, name: str | None = None) -> identity.Manifest:
    return plan.identity.metadata(name or plan.identity.part("picker"), component=identity.PICKER)


def _pod_labels(plan: plans.Plan) -> dict[str, str]:
    """Returns the labels of the picker's pods, which are the chart's: the policies select them."""
    return {callers.PICKER_LABEL: plan.identity.picker_name}


@memo.per_plan
def _service_account(plan: plans.Plan) -> identity.Manifest:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _metadata(plan)}


@memo.per_plan
def _role_binding(plan: plans.Plan) -> identity.Manifest:
    """Returns the binding, in the claim's namespace alone, of what a picker reads."""
    metadata = _metadata(plan)
    return {
        "apiVersion": kinds.ROLE_BINDING.api_versions[0],
        "kind": kinds.ROLE_BINDING.name,
        "metadata": metadata,
        "roleRef": {
            "apiGroup": kinds.ROLE_BINDING.group,
            "kind": "ClusterRole",
            "name": CLUSTER_ROLE,
        },
        "subjects": [
            {
                "kind": "ServiceAccount",
                "name": metadata["name"],
                "namespace": plan.identity.namespace,
            }
        ],
    }


@memo.per_plan
def _deployment(plan: plans.Plan) -> identity.Manifest:
    """Returns the Deployment of the picker.

    Two replicas answer side by side, without the picker's leader election. Of pickers that elect a
    leader only the leader is ready: a rollout never ends, a PodDisruptionBudget never lets the
    leader go, and a leader that is told to stop keeps its lease for up to 30 seconds in which it
    takes no request. The price is that a replica remembers only the prefixes that it saw itself.
    """
    return {
        "apiVersion": kinds.PICKER_DEPLOYMENT.api_versions[0],
        "kind": kinds.PICKER_DEPLOYMENT.name,
        "metadata": _metadata(plan, plan.identity.picker_name),
        "spec": {
            "replicas": plan.picker.replicas,
            "selector": {"matchLabels": _pod_labels(plan)},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
            },
            "template": {"metadata": {"labels": _pod_labels(plan)}, "spec": _pod(plan)},
        },
    }


def _pod(plan: plans.Plan) -> identity.Manifest:
    return canonical.prune(
        {
            "serviceAccountName": plan.identity.part("picker"),
            "enableServiceLinks": False,
            "imagePullSecrets": pods.image_pull_secrets(plan.site),
            "terminationGracePeriodSeconds": GRACE,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "topologySpreadConstraints": [
                {
                    "maxSkew": 1,
                    "topologyKey": "kubernetes.io/hostname",
                    "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": {"matchLabels": _pod_labels(plan)},
                }
            ],
            "containers": [_container(plan)],
        }
    )


def _container(plan: plans.Plan) -> identity.Manifest:
    site = plan.site.endpoint_picker
    probe = {
        "grpc": {"port": callers.PICKER_HEALTH, "service": _HEALTH_SERVICE},
        "timeoutSeconds": 2,
    }
    return {
        "name": CONTAINER,
        "image": f"{site.image_registry}/{site.image_repository}:{site.image_tag}",
        "imagePullPolicy": "IfNotPresent",
        "args": _arguments(plan),
        "ports": [
            {"name": "grpc", "containerPort": callers.PICKER_EXT_PROC, "protocol": "TCP"},
            {"name": "grpc-health", "containerPort": callers.PICKER_HEALTH, "protocol": "TCP"},
            {"name": "metrics", "containerPort": callers.PICKER_METRICS, "protocol": "TCP"},
        ],
        "resources": {"requests": dict(site.requests), "limits": dict(site.limits)},
        "securityContext": pods.CONTAINER_SECURITY,
        "lifecycle": {"preStop": {"sleep": {"seconds": PRE_STOP}}},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "readinessProbe": {**probe, "periodSeconds": 2},
        # It says no, too, while there is no pool: a restart helps only what hangs.
        "livenessProbe": {**probe, "initialDelaySeconds": 5, "failureThreshold": 6},
    }


def _arguments(plan: plans.Plan) -> list[str]:
    return [
        f"--pool-name={plan.identity.name}",
        f"--pool-namespace={plan.identity.namespace}",
        f"--pool-group={kinds.INFERENCE_POOL.group}",
        # As an argument and not from a ConfigMap: another configuration is another pod.
        f"--config-text={canonical.dumps(configuration(plan))}",
        "--zap-encoder=json",
        "--v=1",
        "--tracing=false",
        "--enable-pprof=false",
        # The policy lets in the scraper alone.
        "--metrics-endpoint-auth=false",
    ]


@memo.per_plan
def configuration(plan: plans.Plan) -> identity.Manifest:
    """Returns the EndpointPickerConfig."""
    scorers = [(_SCORERS[name], weight) for name, weight in plan.picker.scorers]
    plugins: list[Any] = [
        *({"type": name} for name, _ in scorers),
        {"type": "max-score-picker"},
        {"type": "metrics-data-source", "parameters": {"path": plan.engine.METRICS_PATH}},
        {"type": "core-metrics-extractor"},
    ]
    profile = [
        *({"pluginRef": name, "weight": weight} for name, weight in scorers),
        {"pluginRef": "max-score-picker"},
    ]
    result: identity.Manifest = {
        "apiVersion": "inference.networking.x-k8s.io/v1alpha1",
        "kind": "EndpointPickerConfig",
        "plugins": plugins,
        "schedulingProfiles": [{"name": "default", "plugins": profile}],
        "dataLayer": {
            "sources": [
                {
                    "pluginRef": "metrics-data-source",
                    "extractors": [{"pluginRef": "core-metrics-extractor"}],
                }
            ]
        },
    }
    return _holding(plan, result) if plan.picker.holds else result


def _holding(plan: plans.Plan, configured: identity.Manifest) -> identity.Manifest:
    """Returns the configuration of a picker in which requests wait while no pod has room."""
    detector = {
        "type": "utilization-detector",
        "parameters": {"queueDepthThreshold": QUEUE_DEPTH, "metricsStalenessThreshold": STALE},
    }
    limit = plan.site.endpoint_picker.limits.get("memory")
    memory = _UNLIMITED if limit is None else quantity.parse(limit)
    most = plan.picker.most_held
    return {
        **configured,
        "featureGates": ["flowControl"],
        "plugins": [*configured["plugins"], detector],
        "saturationDetector": {"pluginRef": "utilization-detector"},
        "flowControl": canonical.prune(
            {
                "maxBytes": str(int(memory) // _COPIES),
                "maxRequests": None if most is None else str(most),
                # As long as the gateway gives a request: a caller that is gone ends its wait.
                "defaultRequestTTL": f"{plan.site.gateway.request_timeout_seconds}s",
            }
        ),
    }


@memo.per_plan
def _budget(plan: plans.Plan) -> identity.Manifest:
    return {
        "apiVersion": kinds.BUDGET.api_versions[0],
        "kind": kinds.BUDGET.name,
        "metadata": _metadata(plan),
        "spec": {
            "maxUnavailable": 1,
            # A picker that never became ready must not hold up the drain of its node.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": _pod_labels(plan)},
        },
    }


@memo.per_plan
def _service(plan: plans.Plan) -> identity.Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(plan, plan.identity.picker_name),
        "spec": {
            "type": "ClusterIP",
            "selector": _pod_labels(plan),
            "ports": [
                {
                    "name": "grpc-ext-proc",
                    "port": callers.PICKER_EXT_PROC,
                    "targetPort": callers.PICKER_EXT_PROC,
                    "protocol": "TCP",
                },
                {
                    "name": watching.PICKER_PORT,
                    "port": callers.PICKER_METRICS,
                    "targetPort": callers.PICKER_METRICS,
                    "protocol": "TCP",
                },
            ],
        },
    }


@memo.per_plan
def _pool(plan: plans.Plan) -> identity.Manifest:
    """Returns the InferencePool.

    Without a picker nothing is served: the AI gateway 1.0 fails closed whatever the failure mode
    says, so the pool says so too.
    """
    return {
        "apiVersion": kinds.INFERENCE_POOL.api_versions[0],
        "kind": kinds.INFERENCE_POOL.name,
        "metadata": _metadata(plan, plan.identity.name),
        "spec": {
            # All four labels: the name alone also matches the preload pod.
            "selector": {"matchLabels": plan.identity.labels()},
            "targetPorts": [{"number": plan.engine.PORT}],
            "endpointPickerRef": {
                "kind": "Service",
                "name": plan.identity.picker_name,
                "port": {"number": callers.PICKER_EXT_PROC},
                "failureMode": "FailClose",
            },
        },
    }


def _objective(plan: plans.Plan, name: str, value: int) -> identity.Manifest:
    """Returns a class of requests, by the name that they ask for."""
    return {
        "apiVersion": kinds.OBJECTIVE.api_versions[0],
        "kind": kinds.OBJECTIVE.name,
        "metadata": _metadata(plan, plan.identity.part(name)),
        "spec": {"priority": value, "poolRef": pool_reference(plan)},
    }


def pool_reference(plan: plans.Plan) -> identity.Manifest:
    """Returns how what belongs to the pool names it."""
    return {
        "group": kinds.INFERENCE_POOL.group,
        "kind": kinds.INFERENCE_POOL.name,
        "name": plan.identity.name,
    }
