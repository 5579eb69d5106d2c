"""How the pods are reached, who they are, and how many may be gone at once."""

from function import plan as plans
from function.resources import deployment, meta

# The headless Service's own component label: the scrape selects Services by the four labels, and
# two that match would scrape each pod twice.
ENDPOINTS = "inference-endpoints"


def service_account(plan: plans.Plan) -> meta.Manifest:
    """Returns the pods' ServiceAccount; its token is never mounted."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": meta.metadata(plan),
        "automountServiceAccountToken": False,
    }


def service(plan: plans.Plan) -> meta.Manifest:
    """Returns the Service under the claim's name."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta.metadata(plan),
        "spec": {
            "type": "ClusterIP",
            "selector": meta.labels(plan),
            "ports": [_port()],
        },
    }


def pods_service(plan: plans.Plan) -> meta.Manifest:
    """Returns the headless Service whose name resolves to every ready pod.

    Behind a ClusterIP name Envoy sees one endpoint and cannot spread by load.
    """
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta.metadata(plan, pods_service_name(plan), component=ENDPOINTS),
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "None",
            "selector": meta.labels(plan),
            "ports": [_port()],
        },
    }


def pods_service_name(plan: plans.Plan) -> str:
    """Returns the headless Service's name."""
    return f"{plan.name}-pods"


def _port() -> meta.Manifest:
    return {
        "name": plans.PORT_NAME,
        "port": plans.PORT,
        "targetPort": plans.PORT_NAME,
        "protocol": "TCP",
    }


def disruption_budget(plan: plans.Plan, text: str, claim_hash: str) -> meta.Manifest:
    """Returns the PodDisruptionBudget.

    With one replica `minAvailable: 1` would block every node drain for ever; a pod that is not
    ready serves nobody and may always be evicted.
    """
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": meta.metadata(
            plan,
            annotations={
                deployment.TEMPLATE_ANNOTATION: text,
                deployment.CLAIM_ANNOTATION: claim_hash,
            }
            if text
            else None,
        ),
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": meta.labels(plan)},
        },
    }
