"""What stories of claims have in common: who plays KEDA, and what an object says."""

from __future__ import annotations

import copy
import typing

from e2e import claims, lives
from e2e.controlplane import api

CODER = "xplane-qwen-coder"
SMALLEST = "smallest"
OTHER = "0" * 40
HELD = ("Current", "False", "PlatformChangePending")
SERVING_KINDS = {"Deployment", "ScaledObject", "PodDisruptionBudget", "AIGatewayRoute"}


class Keda:
    """Stands in for KEDA, which has tests of its own: scales and pauses as its operator would."""

    def __init__(self, place: lives.Place, claim: claims.Claim) -> None:
        """Act on the claim's ScaledObject and Deployment."""
        self._admin = place.plane.admin
        self._deployment = api.Ref("apps/v1", "Deployment", claim.name, place.namespace)
        self._scaled = api.Ref("keda.sh/v1alpha1", "ScaledObject", claim.name, place.namespace)

    def scale(self, replicas: int) -> None:
        """Set the replica count through the subresource, as KEDA and the HPA do."""
        body = {"spec": {"replicas": replicas}}
        self._admin.patch(self._deployment, body, subresource="scale")

    def paused(self, *, paused: bool) -> None:
        """Set the condition Paused of the ScaledObject."""
        conditions = self._admin.get(self._scaled)["status"]["conditions"]
        kept = [entry for entry in conditions if entry["type"] != "Paused"]
        condition = {"type": "Paused", "status": str(paused), "reason": "ScaledObjectPaused"}
        body = {"status": {"conditions": [*kept, condition]}}
        self._admin.patch(self._scaled, body, subresource="status")


def model_of(claim: claims.Claim, **changed: typing.Any) -> api.Object:
    """The claim's model with some fields replaced."""
    model: api.Object = copy.deepcopy(claim.manifest["spec"]["model"])
    return model | changed


def uid(claim: claims.Claim, kind: str) -> str:
    """The uid of a claim's only object of a kind."""
    return str(claim.one(kind)["metadata"]["uid"])


def uids(claim: claims.Claim) -> dict[str, str]:
    """The uid of each object of a claim, by its key."""
    return {key: item["metadata"]["uid"] for key, item in claim.composed().items()}


def template_of(claim: claims.Claim) -> api.Object:
    """The pod template of the claim's Deployment."""
    template: api.Object = claim.one("Deployment")["spec"]["template"]
    return template


def directories(item: api.Object) -> set[str]:
    """The directories that a claim's status says are verified."""
    return {record["directory"] for record in item["status"]["weights"]["verified"]}
