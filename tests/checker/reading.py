"""What the laws read of claims, templates and answers."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from crossplane.function.proto.v1 import run_function_pb2 as fnv1

from tests import documents
from tests.checker import oracle
from tests.checker import world as worlds

Object = dict[str, Any]

# Parts of the spec that do not change the pod template (docs/life-of-a-claim.md, Held templates).
_NOT_PODS = (
    "access",
    "gateway",
    "networkPolicies",
    "observability",
    "route",
    "routing",
    "scaling",
    "suspend",
)
_NOT_PODS_OF_MODEL = ("preload", "retention", "tokenSecretRef")


@dataclasses.dataclass(frozen=True)
class Step:
    """One reconcile: core's request, the function's answer, and the effect on the world."""

    exchange: oracle.Exchange
    environments: list[Object]
    lags: bool
    finished: bool
    response: fnv1.RunFunctionResponse
    objects_before: dict[str, Object]
    status_before: Object
    fatal: str | None

    @property
    def status(self) -> Object:
        """The status that the answer desires."""
        fields = documents.read(self.response.desired.composite.resource).get("status", {})
        assert isinstance(fields, dict)
        return fields

    def condition(self, kind: str) -> fnv1.Condition:
        """Returns a condition of the answer."""
        return next(c for c in self.response.conditions if c.type == kind)


def place(claim: Object) -> str:
    """Returns which model a claim asks for: its repository, or where else it lies.

    Of files that no Job verified the repository is a word of the author's.
    """
    model = claim["spec"]["model"]
    if "image" in model:
        return str(model["image"]).partition("@")[0]
    if "uri" in model:
        return str(model["uri"])
    if "path" in model or not model.get("preload", {}).get("enabled", True):
        return f"/models/{model.get('path') or model['revision']}"
    return str(model["repository"])


def is_ready(step: Step) -> bool:
    """Tells whether core will call the claim ready."""
    desired = step.response.desired
    ready = all(r.ready == fnv1.READY_TRUE for r in desired.resources.values())
    return ready and desired.composite.ready != fnv1.READY_FALSE


def of_pods(claim: Object) -> str:
    """Returns the part of the claim that shapes pods, as text."""
    spec = {key: value for key, value in claim["spec"].items() if key not in _NOT_PODS}
    adapters = spec.get("loraAdapters", [])
    if any(one.get("hot") for one in adapters):
        # Which hot ones there are shapes no pod; that there are any does.
        spec["loraAdapters"] = [one for one in adapters if not one.get("hot")] + ["hot"]
    model = {k: v for k, v in spec["model"].items() if k not in _NOT_PODS_OF_MODEL}
    model["preload"] = spec["model"].get("preload", {}).get("enabled", True)
    return json.dumps({**spec, "model": model}, sort_keys=True)


def base_of(template: Object) -> set[str]:
    """Returns the directory of the base model that pods of a template have."""
    return {one.rpartition("/")[2] for one in worlds.needs(template) if "/base-" in one}


def adapters_of(template: Object) -> set[str]:
    """Returns the adapters that pods of a template start with."""
    engine = next(one for one in template["spec"]["containers"] if one["name"] == "vllm")
    return {word.partition("=")[0] for word in engine.get("args", []) if "=/models/" in word}


def without_meta(response: fnv1.RunFunctionResponse) -> bytes:
    plain = fnv1.RunFunctionResponse()
    plain.CopyFrom(response)
    plain.ClearField("meta")
    return plain.SerializeToString(deterministic=True)


def gated(claim: Object) -> list[Object]:
    """Returns the canaries with a gate."""
    canaries = claim["spec"].get("gateway", {}).get("canaries") or []
    return [canary for canary in canaries if "gate" in canary]


def records(claim: Object) -> list[Object]:
    records = claim.get("status", {}).get("canaries", [])
    assert isinstance(records, list)
    return records


def content(claim: Object, adapter: str) -> str:
    """Returns what a canary is: both models' content, and which try the author asks for."""
    adapters = [one for one in claim["spec"].get("loraAdapters", []) if one["name"] == adapter]
    fields = ("repository", "revision", "source", "image", "uri", "path")
    model = {k: v for k, v in claim["spec"]["model"].items() if k in fields}
    tries = [one["gate"].get("generation", 0) for one in gated(claim) if one["adapter"] == adapter]
    loaded = claim["spec"]["model"].get("preload", {}).get("enabled", True)
    return json.dumps([adapters, model, tries, loaded], sort_keys=True)


def written(claim: Object, adapter: str) -> str:
    """Returns all that the author wrote of a canary."""
    written = [one for one in gated(claim) if one["adapter"] == adapter]
    return content(claim, adapter) + json.dumps(written, sort_keys=True)


def weights(desired: Mapping[str, Object]) -> dict[str, int]:
    """Returns the weight of each adapter in the desired route."""
    return {
        backend["modelNameOverride"]: backend["weight"]
        for item in desired.values()
        if item["kind"] == "AIGatewayRoute"
        for backend in item["spec"]["rules"][0]["backendRefs"]
        if "modelNameOverride" in backend
    }


def is_policy(item: Object) -> bool:
    return item["kind"] in ("CiliumNetworkPolicy", "NetworkPolicy")
