"""What controllers say of composed objects when all is well, and of a Job that failed."""

from collections.abc import Callable, Mapping

from tests import documents


def condition(
    kind: str, status: str = "True", reason: str = "Ok", message: str = ""
) -> documents.Object:
    """Returns a condition."""
    return {"type": kind, "status": status, "reason": reason, "message": message}


Objects = Mapping[str, documents.Object]
Behaviour = Callable[[documents.Object, Objects], None]


def _deployment(item: documents.Object, objects: Objects) -> None:
    replicas = item["spec"]["replicas"]
    scaled = [
        scaler
        for scaler in objects.values()
        if scaler["kind"] == "ScaledObject"
        and scaler["spec"]["scaleTargetRef"]["name"] == item["metadata"]["name"]
    ]
    if scaled:
        paused = (
            scaled[0]["metadata"].get("annotations", {}).get("autoscaling.keda.sh/paused-replicas")
        )
        low = scaled[0]["spec"]["minReplicaCount"]
        replicas = int(paused) if paused is not None else min(max(replicas, low), 1000)
        item["spec"]["replicas"] = replicas
    item["status"] = {
        "observedGeneration": item["metadata"]["generation"],
        "replicas": replicas,
        "updatedReplicas": replicas,
        "conditions": [
            condition("Available"),
            condition("Progressing", reason="NewReplicaSetAvailable"),
        ],
    }
    if replicas:
        item["status"] |= {"readyReplicas": replicas, "availableReplicas": replicas}


def _groups(item: documents.Object, objects: Objects) -> None:
    _deployment(item, objects)
    count = item["spec"]["replicas"]
    item["status"] |= {"readyReplicas": count, "conditions": [condition("Available")]}
    item["status"].pop("availableReplicas", None)


def _job(item: documents.Object, _: Objects) -> None:
    item["status"] = {
        "succeeded": 1,
        "conditions": [condition("Complete", reason="CompletionsReached")],
    }


def _conditions(*kinds: str) -> Behaviour:
    def behave(item: documents.Object, _: Objects) -> None:
        item["status"] = {"conditions": [condition(kind) for kind in kinds]}

    return behave


def _parents(field: str, *kinds: str) -> Behaviour:
    def behave(item: documents.Object, _: Objects) -> None:
        item["status"] = {field: [{"conditions": [condition(kind) for kind in kinds]}]}

    return behave


def _operational(item: documents.Object, _: Objects) -> None:
    item["status"] = {"updateStatus": "operational"}


def _scaled_object(item: documents.Object, _: Objects) -> None:
    paused = "autoscaling.keda.sh/paused-replicas" in item["metadata"].get("annotations", {})
    item["status"] = {
        "conditions": [
            condition("Ready"),
            condition("Fallback", "False"),
            condition("Paused", "True" if paused else "False"),
        ]
    }


def _gateway(item: documents.Object, _: Objects) -> None:
    item["status"] = {
        "addresses": [{"type": "IPAddress", "value": "10.0.0.9"}],
        "conditions": [condition("Accepted"), condition("Programmed")],
    }


BEHAVIOURS: dict[str, Behaviour] = {
    "AIGatewayRoute": _conditions("Accepted"),
    "AIServiceBackend": _conditions("Accepted"),
    "Backend": _conditions("Accepted"),
    "BackendSecurityPolicy": _conditions("Accepted"),
    "BackendTrafficPolicy": _parents("ancestors", "Accepted"),
    "CiliumNetworkPolicy": _conditions("Valid"),
    "ClientTrafficPolicy": _parents("ancestors", "Accepted"),
    "Deployment": _deployment,
    "ExternalSecret": _conditions("Ready"),
    "Gateway": _gateway,
    "GatewayConfig": _conditions("Accepted"),
    "GrafanaDashboard": _conditions("DashboardSynchronized"),
    "HTTPRoute": _parents("parents", "Accepted", "ResolvedRefs"),
    "HelmRelease": _conditions("Ready"),
    "InferencePool": _parents("parents", "Accepted", "ResolvedRefs"),
    "Job": _job,
    "LeaderWorkerSet": _groups,
    "ScaledObject": _scaled_object,
    "SecurityPolicy": _parents("ancestors", "Accepted"),
    "VMRule": _operational,
    "VMServiceScrape": _operational,
}


def failed(job: documents.Object, code: int) -> documents.Object:
    """Returns the condition of a Job whose pod exited with a code that its policy names."""
    name = job["metadata"]["name"]
    words = (
        f"Container preload for pod llm/{name}-x failed with exit code {code} matching FailJob rule"
    )
    return condition("Failed", "True", "PodFailurePolicy", words)
