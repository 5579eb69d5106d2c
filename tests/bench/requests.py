"""RunFunction requests: the first reconcile of a claim, and a steady one as core would send it.

Core sends every observed object whole: with its uid, the managedFields of everyone who wrote it
and the fields that the API server and the controllers filled in. That is half of the bytes, and
what makes a function slow that decodes them all.
"""

import copy
import functools
import json
import uuid
from typing import Any

from crossplane.function.proto.v1 import run_function_pb2 as fnv1

from function.server import structs
from tests import cluster
from tests.fleet import scene

CLAIM = "xplane-qwen-coder"
PROFILE = "reference"
CREATED = "2026-08-20T09:14:07Z"
UPDATED = "2026-08-20T09:31:42Z"

_NAMESPACE = uuid.UUID("5f3e6a0c-0d0e-4f6b-9c39-6d1f0a4c7b11")

# What the API server adds to a pod and to its containers.
_POD = {
    "dnsPolicy": "ClusterFirst",
    "restartPolicy": "Always",
    "schedulerName": "default-scheduler",
}
_CONTAINER = {
    "imagePullPolicy": "IfNotPresent",
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
}
_PROBE = {"failureThreshold": 3, "periodSeconds": 10, "successThreshold": 1, "timeoutSeconds": 1}
_SERVICE = {
    "clusterIP": "172.20.14.201",
    "clusterIPs": ["172.20.14.201"],
    "internalTrafficPolicy": "Cluster",
    "ipFamilies": ["IPv4"],
    "ipFamilyPolicy": "SingleStack",
    "sessionAffinity": "None",
    "type": "ClusterIP",
}


def world(claim: cluster.Object | None = None) -> cluster.Cluster:
    """Returns a cluster whose core can be asked for schemas, before the claim's first reconcile."""
    start = cluster.Cluster(
        cluster.example(CLAIM) if claim is None else claim, cluster.environment(PROFILE)
    )
    start.kinds = {}
    return start


def first(claim: cluster.Object | None = None) -> fnv1.RunFunctionRequest:
    """Returns the request of a first reconcile: nothing observed but the claim."""
    return tagged(world(claim).request())


def steady(claim: cluster.Object | None = None) -> fnv1.RunFunctionRequest:
    """Returns the request of a claim that serves and changes no more, all objects live."""
    settled = world(claim)
    settled.converge()
    assert settled.phase == "Serving", settled.phase
    for key, item in settled.objects.items():
        settled.objects[key] = live(item, settled.owned[key], settled.claim)
    settled.claim["metadata"] |= {
        "creationTimestamp": CREATED,
        "resourceVersion": "184467",
        "finalizers": ["composite.apiextensions.crossplane.io"],
        "managedFields": [_manager("kubectl", "Apply", settled.claim, "")],
    }
    for condition in settled.claim["status"]["conditions"]:
        condition["lastTransitionTime"] = UPDATED
    return tagged(settled.request())


def fleet(count: int, of: str) -> list[fnv1.RunFunctionRequest]:
    """Returns requests of so many claims that all differ, `first` or `steady` ones."""
    ask = {"first": first, "steady": steady}[of]
    claims = []
    for number in range(count):
        claim = copy.deepcopy(cluster.example(cluster.EXAMPLES[number % len(cluster.EXAMPLES)]))
        claim["metadata"]["name"] = f"claim-{number}"
        claim["spec"]["model"]["maxNumSeqs"] = 16 + number % 64
        claims.append(claim)
    return [ask(claim) for claim in claims]


def doors(count: int, claims: int, *, priced: bool = False) -> list[fnv1.RunFunctionRequest]:
    """Returns requests of one front door at rest over so many claims, one of which changes.

    Args:
        count: How many requests.
        claims: How many claims.
        priced: Whether each model's price follows from its cost, and a caller has a budget.
    """
    members = [_member(number) for number in range(claims)]
    callers = [scene.caller("all"), scene.caller("some", names=[members[0]["metadata"]["name"]])]
    spec: dict[str, Any] = {"callers": callers}
    if priced:
        callers[0]["budget"] = {"amount": "100", "per": "day"}
        spec["pricing"] = {"fromCost": {"utilizationPercent": 60}}
    settled = scene.world(scene.of(**spec), *members)
    settled.kinds = {}
    settled.converge()
    for key, item in settled.objects.items():
        settled.objects[key] = live(item, settled.owned[key], settled.claim)
    asked = []
    for number in range(count):
        members[number % claims]["metadata"]["resourceVersion"] = str(number)
        members[number % claims]["status"]["replicas"] = number
        asked.append(tagged(settled.request()))
    return asked


def _member(number: int) -> cluster.Object:
    """Returns a claim that serves, whole as core reads it."""
    claim = copy.deepcopy(_serving(cluster.EXAMPLES[number % len(cluster.EXAMPLES)]))
    claim["metadata"]["name"] += f"-{number}"
    for model in claim["status"]["servedModels"]:
        model["name"] += f"-{number}"
    return claim


@functools.cache
def _serving(name: str) -> cluster.Object:
    """Returns an example that serves behind the gateway."""
    claim = cluster.example(name)
    claim["spec"]["gateway"] = {"enabled": True} | claim["spec"].get("gateway", {})
    settled: cluster.Object = structs.plain(steady(claim).observed.composite.resource)
    return settled


def tagged(req: fnv1.RunFunctionRequest) -> fnv1.RunFunctionRequest:
    """Returns the request with a tag, as core sends one."""
    req.meta.tag = "b9f60c6b6f7a4d9bb2cf5a2c1a6a1f0e5cf0bb0f7f5c2d4a8f1f6d4f6c9a7e31"
    return req


def live(item: cluster.Object, owned: cluster.Object, claim: cluster.Object) -> cluster.Object:
    """Returns an object as the API server gives it back.

    Args:
        item: The object with what controllers wrote.
        owned: The part of it that Crossplane applied.
        claim: Its owner.
    """
    result = copy.deepcopy(item)
    metadata = result["metadata"]
    metadata |= {
        "creationTimestamp": CREATED,
        "resourceVersion": "184512",
        "uid": str(uuid.uuid5(_NAMESPACE, f"{item['kind']}/{metadata['name']}")),
        "ownerReferences": [
            {
                "apiVersion": claim["apiVersion"],
                "blockOwnerDeletion": True,
                "controller": True,
                "kind": claim["kind"],
                "name": claim["metadata"]["name"],
                "uid": claim["metadata"]["uid"],
            }
        ],
    }
    metadata.setdefault("generation", 1)
    if item["kind"] == "Deployment":
        _defaulted_deployment(result)
    if item["kind"] == "Service":
        # Fields that are set win: a headless Service keeps its clusterIP None.
        result["spec"] = _SERVICE | result["spec"]
    for condition in (result.get("status") or {}).get("conditions", []):
        condition |= {"lastTransitionTime": UPDATED, "lastUpdateTime": UPDATED}
    metadata["managedFields"] = [_manager("apiextensions.crossplane.io/composed", "Apply", owned)]
    if "status" in result:
        wrote = {"status": result["status"]}
        metadata["managedFields"].append(_manager("controller", "Update", wrote, "status"))
    return result


def _defaulted_deployment(item: cluster.Object) -> None:
    item["spec"].setdefault("revisionHistoryLimit", 10)
    item["metadata"].setdefault("annotations", {})["deployment.kubernetes.io/revision"] = "3"
    pod = item["spec"]["template"]["spec"]
    for field, value in _POD.items():
        pod.setdefault(field, value)
    for container in (*pod["containers"], *pod.get("initContainers", [])):
        for field, value in _CONTAINER.items():
            container.setdefault(field, value)
        for port in container.get("ports", []):
            port.setdefault("protocol", "TCP")
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            if probe in container:
                container[probe] = _PROBE | container[probe]


def _manager(
    name: str, operation: str, wrote: cluster.Object, subresource: str = ""
) -> cluster.Object:
    """Returns one entry of managedFields."""
    written = {k: v for k, v in wrote.items() if k not in ("apiVersion", "kind")}
    entry: dict[str, Any] = {
        "apiVersion": wrote.get("apiVersion", "v1"),
        "fieldsType": "FieldsV1",
        "fieldsV1": _fields(written),
        "manager": name,
        "operation": operation,
        "time": UPDATED,
    }
    return entry | ({"subresource": subresource} if subresource else {})


def _fields(value: Any) -> cluster.Object:
    """Returns the FieldsV1 set of a value; a list of named items is keyed, any other is a leaf."""
    if isinstance(value, dict):
        return {f"f:{key}": _fields(item) for key, item in value.items()}
    if isinstance(value, list) and value and all(_named(item) for item in value):
        return {
            "k:" + json.dumps({"name": item["name"]}, separators=(",", ":")): {
                ".": {},
                **_fields(item),
            }
            for item in value
        }
    return {}


def _named(item: Any) -> bool:
    return isinstance(item, dict) and "name" in item
