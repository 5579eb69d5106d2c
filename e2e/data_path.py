"""What the tests of the data path ask of claims, pods and series."""

from __future__ import annotations

from e2e import claims
from e2e.controlplane import api, polling
from e2e.dataplane import controllers, stage

NAMESPACE = "data-path"
# For a busy machine, on top of what something takes by itself.
GRACE = 60


def tokens(running: stage.Stage, model: str) -> float:
    """Tokens of a model that the gateway counted."""
    query = (
        "sum(gen_ai_client_token_usage_sum"
        f'{{gen_ai_original_model="{model}",gen_ai_token_type="output"}})'
    )
    return sum(running.metrics.query(query))


def client_traffic_policy() -> api.Object:
    """The buffer that the AI gateway's own examples have."""
    ref = controllers.GATEWAY
    target = {"group": "gateway.networking.k8s.io", "kind": ref.kind, "name": ref.name}
    return {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "ClientTrafficPolicy",
        "metadata": {"name": ref.name, "namespace": ref.namespace},
        "spec": {"targetRefs": [target], "connection": {"bufferLimit": "50Mi"}},
    }


def wake_query(running: stage.Stage, claim: claims.Claim) -> float:
    """The value of the composed wake query; it gives one number, as KEDA demands."""
    triggers = claim.one("ScaledObject")["spec"]["triggers"]
    (query,) = [one["metadata"]["query"] for one in triggers if one.get("name") == "wake"]
    (value,) = running.metrics.query(query)
    return value


def both(running: stage.Stage, coder: claims.Claim) -> tuple[api.Object, api.Object]:
    """The claim's two engines, also where the test before this one ended early."""
    polling.until(lambda: len(running.engines(coder)) == 2, what="both engines", timeout=GRACE)
    first, second = running.engines(coder)
    return first, second


def restarts(pod: api.Object) -> int:
    """How often the container of a pod was started again."""
    (status,) = pod["status"]["containerStatuses"]
    return int(status["restartCount"])
