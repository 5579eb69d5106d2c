"""A cluster in memory that treats the function's answers as Crossplane and controllers do.

Crossplane (core v2.3.4, internal/controller/apiextensions/composite): objects are keyed by composed
resource name, an existing object keeps its name, what is absent from desired is deleted, an object
is applied by server-side apply (fields that were ours and are gone are removed, fields of others
stay), the status of the claim is merged, a fatal answer changes nothing but conditions. One
reconcile writes in this order: deletions, references, objects in random order, status, conditions;
a `Fate` says where it stops. Core reads through a cache that may lag (`lag`), asks the API server
for what the cache lacks, and looks only for what the claim refers to. Controllers: `settle` gives
every object the status that its own controller would give it when all is well. The end-to-end tests
prove on a real control plane what this model leaves out.
"""

import copy
import dataclasses
import functools
import pathlib
import random
from collections.abc import Callable, Iterator
from typing import Any

from crossplane.function import logging as function_logging
from crossplane.function.proto.v1 import run_function_pb2 as fnv1

from function.server import runner
from function.workloads import deployment, workloads
from tests import apiserver, controllers, documents, quiet

ROOT = pathlib.Path(__file__).parent.parent
KEY = "crossplane.io/composition-resource-name"
COMPOSITE = "crossplane.io/composite"
# Calls of a function within one reconcile of core, at most.
_MOST_CALLS = 6
# What keeps pods, and has a count of replicas that an autoscaler may own.
_KEEPERS = ("Deployment", "LeaderWorkerSet")
Object = dict[str, Any]

function_logging.configure(function_logging.Level.INFO)
_STATUS = {
    fnv1.STATUS_CONDITION_TRUE: "True",
    fnv1.STATUS_CONDITION_FALSE: "False",
    fnv1.STATUS_CONDITION_UNKNOWN: "Unknown",
}


def load(name: str) -> Object:
    """Returns the only document of a file of the repository."""
    (document,) = load_all(name)
    return document


def load_all(name: str) -> list[Object]:
    """Returns all documents of a file of the repository."""
    return documents.copied(parsed((ROOT / name).read_text()))


@functools.cache
def parsed(text: str) -> list[Object]:
    """Returns the documents of a text. A test loads the same few files again and again."""
    every = [d for d in documents.parse_all(text) if d is not None]
    assert all(isinstance(document, dict) for document in every)
    return every


EXAMPLES = sorted(path.stem for path in (ROOT / "examples/claims").glob("*.yaml"))
PROFILES = ("reference", "plain")


def example(name: str) -> Object:
    """Returns an example claim."""
    return load(f"examples/claims/{name}.yaml")


def environment(profile: str) -> Object:
    """Returns a profile's EnvironmentConfig."""
    return load(f"examples/{profile}/environmentconfig.yaml")


@dataclasses.dataclass(frozen=True)
class Fate:
    """How one reconcile goes.

    Attributes:
        order: Seed of the order in which objects are written; by key when None.
        stop: How many writes succeed before one is refused; all when None.
        crash: True when core itself dies there, and does not even report the refusal.
    """

    order: int | None = None
    stop: int | None = None
    crash: bool = False


CALM = Fate()
CLAIM = "claim"


class Cluster:
    """One claim and its composed objects."""

    def __init__(self, claim: Object, *environments: Object, given: Object | None = None) -> None:
        self.claim = documents.copied(claim)
        self.claim["metadata"].setdefault("generation", 1)
        self.claim["metadata"].setdefault("uid", "11111111-2222-3333-4444-555555555555")
        self.environments = list(environments)
        self.given = given
        self.objects: dict[str, Object] = {}
        self.owned: dict[str, Object] = {}
        # Keys that the claim refers to; None before core has written any.
        self.refs: set[str] | None = None
        # What core's cache still shows of objects, or of the claim, that have changed since.
        self.lagging: dict[str, Object] = {}
        self.lagging_refs: set[str] | None = None
        # Deployments and Jobs are deleted in the foreground: they stay until their pods are gone.
        self.lingers = False
        self.pods: list[Object] | None = None
        self.kinds: dict[str, bool] | None = None
        # What else lies in the namespace; None when core reads no objects for functions.
        self.strangers: list[Object] | None = None
        self.log = quiet.Quiet()
        self.writes: list[str] = []
        self.events: list[tuple[int, str, str]] = []
        self.ready: dict[str, bool] = {}
        self.fatal: str | None = None
        self.response = fnv1.RunFunctionResponse()
        # The last request that was answered while core read what it asks for, with the answer.
        self._answered = b"", self.response

    def __deepcopy__(self, memo: Object) -> "Cluster":
        twin = copy.copy(self)
        for name, value in vars(self).items():
            setattr(twin, name, documents.copied(value))
        return twin

    # --- Crossplane

    def lag(self, *keys: str) -> "Cluster":
        """Lets core's cache keep these objects, or the claim, as they are now."""
        for key in keys:
            if key == CLAIM:
                self.lagging.setdefault(CLAIM, documents.copied(self.claim))
                self.lagging_refs = None if self.refs is None else set(self.refs)
            elif key in self.objects:
                self.lagging.setdefault(key, documents.copied(self.objects[key]))
        return self

    def catch_up(self) -> "Cluster":
        """Lets core's cache show everything as it is."""
        self.lagging.clear()
        return self

    @property
    def observed_claim(self) -> Object:
        """The claim as core reads it, through a cache that may lag."""
        return self.lagging.get(CLAIM, self.claim)

    def observed_objects(self) -> dict[str, Object]:
        """Returns the composed objects as core reads them, through a cache that may lag."""
        refs = self.lagging_refs if CLAIM in self.lagging else self.refs
        keys = self.objects.keys() | self.lagging.keys() - {CLAIM}
        return {
            key: self.lagging.get(key) or self.objects[key]
            for key in sorted(keys)
            if refs is None or key in refs
        }

    def request(self) -> fnv1.RunFunctionRequest:
        """Returns what core would send now, once it has read what the function asks for."""
        req = self._request()
        if self.strangers is None:
            return req
        req.meta.capabilities.extend(
            [fnv1.CAPABILITY_CAPABILITIES, fnv1.CAPABILITY_REQUIRED_RESOURCES]
        )
        selectors: dict[str, fnv1.ResourceSelector] = {}
        installed = copy.deepcopy(dict(req.required_schemas.items()))
        asked_kinds: set[str] = set()
        req.required_schemas.clear()
        for _ in range(_MOST_CALLS):
            rsp = runner.run(req, self.log)
            fatal = any(r.severity == fnv1.SEVERITY_FATAL for r in rsp.results)
            asked = {k: s for k, s in rsp.requirements.resources.items() if k != "pods"}
            if fatal or (asked == selectors and set(rsp.requirements.schemas) == asked_kinds):
                self._answered = req.SerializeToString(deterministic=True), rsp
                return req
            selectors, asked_kinds = asked, set(rsp.requirements.schemas)
            req.required_schemas.clear()
            for name in asked_kinds & installed.keys():
                req.required_schemas[name].CopyFrom(installed[name])
            for name, selector in asked.items():
                del req.required_resources[name].items[:]
                req.required_resources[name].SetInParent()
                for item in self._there(selector):
                    documents.write(req.required_resources[name].items.add().resource, item)
        raise AssertionError(f"the questions do not settle: {sorted(selectors)}")

    def _there(self, selector: fnv1.ResourceSelector) -> Iterator[Object]:
        """Yields the objects that a selector asks for, in whatever hands they are."""
        uid = self.claim["metadata"]["uid"]
        owner = {"kind": self.claim["kind"], "controller": True, "uid": uid}
        composed = [
            {**item, "metadata": {**item["metadata"], "ownerReferences": [owner]}}
            for item in self.objects.values()
        ]
        for item in [*composed, *(self.strangers or ())]:
            kind = item["apiVersion"], item["kind"]
            metadata = item["metadata"]
            if selector.match_name:
                wanted = metadata["name"] == selector.match_name
            else:
                labels = selector.match_labels.labels.items()
                wanted = labels <= metadata.get("labels", {}).items()
            if selector.HasField("namespace"):
                wanted = wanted and metadata.get("namespace", "llm") == selector.namespace
            if wanted and kind == (selector.api_version, selector.kind):
                yield item

    def _request(self) -> fnv1.RunFunctionRequest:
        """Returns what core would send in its first call."""
        req = fnv1.RunFunctionRequest()
        documents.write(req.observed.composite.resource, self.observed_claim)
        for key, item in self.observed_objects().items():
            documents.write(req.observed.resources[key].resource, apiserver.completed(item))
        if self.environments:
            for config in self.environments:
                documents.write(req.required_resources["settings"].items.add().resource, config)
        if self.given is not None:
            req.input.update(self.given)
        if self.pods is not None:
            req.required_resources["pods"].SetInParent()
            for pod in self.pods:
                documents.write(req.required_resources["pods"].items.add().resource, pod)
        if self.kinds is not None:
            req.meta.capabilities.extend(
                [fnv1.CAPABILITY_CAPABILITIES, fnv1.CAPABILITY_REQUIRED_SCHEMAS]
            )
            for kind, installed in self.kinds.items():
                schema = req.required_schemas[f"kind {kind}"]
                if installed:
                    schema.openapi_v3.update({"type": "object"})
        return req

    def reconcile(self, fate: Fate = CALM) -> "Cluster":
        """Runs the function once and writes its answer, as far as fate allows."""
        data = self.request().SerializeToString(deterministic=True)
        # Core's last call had this request, and the function is pure.
        asked, rsp = self._answered
        if asked != data:
            rsp = runner.answer(data, self.log)
        assert not self.log.errors, self.log.errors
        self.response = rsp
        self.writes = []
        self.events = []
        fatal = [r.message for r in rsp.results if r.severity == fnv1.SEVERITY_FATAL]
        self.fatal = fatal[0] if fatal else None
        writes = list(self._writes(rsp, fate)) if self.fatal is None else []
        try:
            for write in writes[: fate.stop]:
                write()
        except apiserver.ConflictError:
            return self  # core says nothing, and asks again
        stopped = fate.stop is not None and fate.stop < len(writes)
        if stopped and fate.crash:
            return self
        # After a failed write core sets no condition of the answer and sends none of its events.
        self._conditions([] if stopped else list(rsp.conditions), failed=stopped)
        if not stopped:
            self.events = [(r.severity, r.reason, r.message) for r in rsp.results]
        return self

    def born(self) -> "Cluster":
        """Lets core look twice: first come the policies, then the pods that they protect."""
        return self.reconcile().reconcile()

    def _writes(self, rsp: fnv1.RunFunctionResponse, fate: Fate) -> Iterator[Callable[[], None]]:
        """Yields what core writes, in its order."""
        desired = {
            key: documents.read(item.resource) for key, item in rsp.desired.resources.items()
        }
        self.ready = {
            key: item.ready == fnv1.READY_TRUE for key, item in rsp.desired.resources.items()
        }
        doomed, kept = sorted(set(self.observed_objects()) - set(desired)), sorted(desired)
        if fate.order is not None:
            shuffle = random.Random(fate.order).shuffle
            shuffle(doomed)
            shuffle(kept)
        for key in doomed:
            yield lambda key=key: self._delete(key)  # type: ignore[misc]
        yield lambda: setattr(self, "refs", set(desired))
        for key in kept:
            yield lambda key=key: self._apply(key, desired[key])  # type: ignore[misc]
        yield lambda: self._status(documents.read(rsp.desired.composite.resource).get("status", {}))

    def _delete(self, key: str) -> None:
        if key not in self.objects:
            return
        self.writes.append(f"delete {key}")
        self.delete(key)

    def delete(self, key: str) -> None:
        """Deletes an object, as anybody may. An object with pods goes after its pods."""
        if self.lingers and self.objects[key]["kind"] in ("Deployment", "Job"):
            self.objects[key]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
            return
        del self.objects[key]
        self.owned.pop(key, None)

    def finish_deletions(self) -> None:
        """Removes the objects whose deletion waited for their pods."""
        for key in [k for k, o in self.objects.items() if "deletionTimestamp" in o["metadata"]]:
            del self.objects[key]
            self.owned.pop(key, None)

    def _status(self, status: Object) -> None:
        before = {k: v for k, v in self.claim.get("status", {}).items() if k != "conditions"}
        if status != before:
            self.writes.append("status")
        self.claim["status"] = {
            **status,
            "conditions": self.claim.get("status", {}).get("conditions", []),
        }

    def _conditions(self, given: list[fnv1.Condition], *, failed: bool) -> None:
        returned = [
            {
                "type": c.type,
                "status": _STATUS[c.status],
                "reason": c.reason,
                "message": c.message,
            }
            for c in given
        ]
        before = self.claim.setdefault("status", {}).get("conditions", [])
        if self.fatal is not None or failed:
            names = {c["type"] for c in returned}
            returned += [
                {**c, "status": "Unknown", "reason": "FatalError"}
                for c in before
                if c["type"] not in names
            ]
        if returned != before:
            self.writes.append("conditions")
        self.claim["status"]["conditions"] = returned

    def _apply(self, key: str, manifest: Object) -> None:
        metadata = manifest["metadata"]
        metadata.setdefault("annotations", {})[KEY] = key
        metadata.setdefault("labels", {})[COMPOSITE] = self.claim["metadata"]["name"]
        current = self.objects.get(key)
        if current is None:
            for item in self.strangers or ():
                same = item["kind"], item["metadata"]["name"]
                adopted = same == (manifest["kind"], metadata["name"])
                if adopted and not item["metadata"].get("labels", {}).get(COMPOSITE):
                    raise AssertionError(f"{key} adopts what is somebody else's")
            created = documents.copied(manifest)
            created["metadata"] |= {"uid": f"uid-{key}", "generation": 1, "resourceVersion": "1"}
            if created["kind"] in _KEEPERS:
                created["spec"].setdefault("replicas", 1)
            self.objects[key], self.owned[key] = created, manifest
            self.writes.append(f"create {key}")
            return
        assert current["kind"] == manifest["kind"], f"{key} changes its kind"
        metadata["name"] = current["metadata"]["name"]
        # The API server refuses an object whose resourceVersion is not the current one.
        if "resourceVersion" in metadata:
            version = metadata.pop("resourceVersion")
            old = self.lagging.get(key, current) != current
            if old or version != current["metadata"]["resourceVersion"]:
                raise apiserver.ConflictError(key)
        merged = apiserver.applied(current, manifest, self.owned.get(key, manifest))
        if merged["kind"] in _KEEPERS:
            if merged["kind"] == "Deployment":
                apiserver.admitted(current, merged)
            count = current["spec"]["replicas"]
            if manifest["spec"].get("replicas", count) != count:
                merged["metadata"].pop("managedFields", None)  # the count changes its owner
            # A count that we drop stays where another manager owns it. Elsewhere it becomes 1.
            others = deployment.scaled_by_others(merged)
            merged["spec"].setdefault("replicas", current["spec"]["replicas"] if others else 1)
        if merged["kind"] == "Job" and current["spec"] != merged["spec"]:
            raise AssertionError(f"{key}: a Job's template is immutable")
        if merged != current:
            if merged.get("spec") != current.get("spec"):
                merged["metadata"]["generation"] = current["metadata"].get("generation", 1) + 1
            self.writes.append(f"update {key}")
        self.objects[key], self.owned[key] = merged, manifest

    # --- controllers

    def scale(self, count: int, manager: str = "keda") -> "Cluster":
        """Sets the Deployment's replica count as an autoscaler does, which owns it from then on."""
        item = self.one("Deployment")
        if item["spec"]["replicas"] != count:
            item["spec"]["replicas"] = count
            item["metadata"]["generation"] += 1
            owner = {"manager": manager, "fieldsV1": {"f:spec": {"f:replicas": {}}}}
            item["metadata"]["managedFields"] = [owner]
            self.owned[next(k for k, o in self.objects.items() if o is item)]["spec"].pop(
                "replicas", None
            )
        return self

    def settle(self, *skip: str) -> "Cluster":
        """Gives every object, except the kinds to skip, the good status of its controller."""
        for item in self.objects.values():
            if item["kind"] in skip:
                continue
            behave = controllers.BEHAVIOURS.get(item["kind"])
            if behave is not None:
                behave(item, self.objects)
        return self

    def converge(self, limit: int = 12) -> int:
        """Reconciles and settles until nothing changes; returns the rounds that it took."""
        for count in range(1, limit + 1):
            before = documents.copied(self.objects)
            self.settle()
            moved = self.objects != before
            self.reconcile()
            if not moved and not self.writes:
                return count
        raise AssertionError(f"no quiet after {limit} rounds: {self.writes}")

    # --- questions

    def one(self, kind: str, suffix: str = "") -> Object:
        """Returns the only object of a kind, or the one whose key ends so."""
        matches = [
            item
            for key, item in self.objects.items()
            if item["kind"] == kind and key.endswith(suffix)
        ]
        assert len(matches) == 1, f"{len(matches)} x {kind} {suffix}: {sorted(self.objects)}"
        return matches[0]

    def desired(self, key: str) -> Object:
        """Returns an object as the last answer has it."""
        return documents.read(self.response.desired.resources[key].resource)

    def kinds_there(self) -> set[str]:
        """Returns the kinds of all objects."""
        return {item["kind"] for item in self.objects.values()}

    def condition(self, kind: str) -> tuple[str, str]:
        """Returns status and reason of one of the claim's conditions."""
        for condition in self.claim["status"]["conditions"]:
            if condition["type"] == kind:
                return condition["status"], condition["reason"]
        raise AssertionError(f"no condition {kind}")

    def message(self, kind: str) -> str:
        """Returns the message of one of the claim's conditions."""
        for condition in self.claim["status"]["conditions"]:
            if condition["type"] == kind:
                return str(condition["message"])
        raise AssertionError(f"no condition {kind}")

    @property
    def phase(self) -> str:
        """The claim's phase."""
        return str(self.claim["status"].get("phase"))

    @property
    def template(self) -> Object:
        """The pod template of the engines."""
        (template,) = (
            keeper.template(item)
            for item in self.objects.values()
            if (keeper := workloads.of(item)) is not None
        )
        assert isinstance(template, dict)
        return template

    @property
    def arguments(self) -> list[str]:
        """The engine's arguments."""
        return list(self.template["spec"]["containers"][0]["args"])

    def edit(self, **spec: Any) -> "Cluster":
        """Changes the claim as its author would."""
        self.claim["spec"] |= spec
        self.claim["metadata"]["generation"] += 1
        return self


def templates(item: Object) -> list[Object]:
    """Returns every pod template of a composed object."""
    if item["kind"] in ("Deployment", "Job"):
        return [item["spec"]["template"]]
    if item["kind"] == "LeaderWorkerSet":
        group = item["spec"]["leaderWorkerTemplate"]
        return [group["leaderTemplate"], group["workerTemplate"]]
    return []


def fail_job(cluster: Cluster, code: int) -> None:
    """Makes the preload Job fail as its controller reports an exit code."""
    job = cluster.one("Job")
    job["status"] = {"failed": 1, "conditions": [controllers.failed(job, code)]}
