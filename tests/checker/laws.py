"""What must hold after every reconcile, and when everything has come to rest."""

import copy
import dataclasses
import json
from typing import Any

from crossplane.function.proto.v1 import run_function_pb2 as fnv1

from function.api import base, status
from function.planning import identity
from function.server import runner, structs
from tests import cluster
from tests.checker import changes, oracle
from tests.checker import world as worlds

Object = dict[str, Any]

# Parts of the spec that no pod follows from (docs/life-of-a-claim.md, Held templates).
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
_CONDITIONS = (
    "Valid",
    "Current",
    "WeightsReady",
    "EngineReady",
    "ScalerReady",
    "RouteReady",
    "PolicyReady",
    "ObservabilityReady",
    "SecretsReady",
)
_NEVER_WITHDRAWN = ("deployment", "pdb", "service", "serviceaccount")
# Rounds of the world and core in which everything must come to rest.
MOST_ROUNDS = 12


@dataclasses.dataclass(frozen=True)
class Step:
    """One reconcile: what core saw, what was answered, what became of it."""

    seen: oracle.Seen
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
        found = structs.plain(self.response.desired.composite.resource).get("status", {})
        assert isinstance(found, dict)
        return found

    def condition(self, kind: str) -> fnv1.Condition:
        """Returns a condition of the answer."""
        return next(c for c in self.response.conditions if c.type == kind)


class Watched:
    """A world whose every reconcile is held to the laws.

    Attributes:
        origin: What pods follow from, of the claim that the running template was rendered for.
        tokens: Tokens that were printed, by the template that they accept.
    """

    def __init__(self, world: worlds.World) -> None:
        self.world = world
        self.origin: str | None = None if "0.9" in str(world.claim) else of_pods(world.claim)
        self.tokens: dict[str, str] = {}
        self.broken = False

    def must(self, holds: bool, law: str, *facts: Any) -> None:
        """Raises unless a law holds."""
        if not holds:
            self.broken = True
            raise AssertionError(f"{law}: {facts}")

    def reconcile(self, fate: cluster.Fate = cluster.CALM) -> Step:
        """Reconciles once and judges it."""
        world = self.world
        runner._resolved.cache_clear()
        before = copy.deepcopy(world.objects)
        claim = copy.deepcopy(world.seen_claim)
        objects = copy.deepcopy(world.seen())
        own = {k: v for k, v in world.claim.get("status", {}).items() if k != "conditions"}
        asked = (
            oracle.asked(claim, world.environments) if world.environments else oracle.Asked(False)
        )
        try:
            world.reconcile(fate)
        except AssertionError as error:
            self.must(False, "core refuses", error)
        desired = {
            key: structs.plain(item.resource)
            for key, item in world.response.desired.resources.items()
        }
        pods = world.pods
        step = Step(
            seen=oracle.Seen(claim, objects, pods, desired, asked),
            environments=world.environments,
            lags=bool(world.lagging),
            finished=fate.stop is None,
            response=world.response,
            objects_before=before,
            status_before=own,
            fatal=world.fatal,
        )
        self._judge(step)
        return step

    def _judge(self, step: Step) -> None:
        self._says_everything(step)
        self._tells_once(step)
        if step.fatal is not None:
            self._changes_nothing(step)
            return
        self.must(step.seen.asked.valid, "what is invalid is refused")
        lost = oracle.lost(step.seen.objects, step.environments)
        self.must(not lost, "no provider is lost without a word", lost)
        self._verifies_before_it_asks_for_a_gpu(step)
        self._withdraws_nothing(step)
        self._restarts_nothing_by_surprise(step)
        self._leaves_the_count_alone(step)
        self._removes_what_nobody_counts_on(step)
        self._remembers(step)
        self._dates_itself(step)
        self._never_lies(step)

    # --- the laws

    def _says_everything(self, step: Step) -> None:
        """Every condition is answered on every call, with a reason."""
        types = [condition.type for condition in step.response.conditions]
        self.must(types == list(_CONDITIONS), "all conditions", types)
        for condition in step.response.conditions:
            self.must(bool(condition.reason), "a reason", condition)
        valid = step.condition("Valid").status == fnv1.STATUS_CONDITION_TRUE
        if self.world.answers == "empty":
            lacks = [c.type for c in step.response.conditions if c.reason == "KindMissing"]
            self.must(not lacks, "silence is no answer", lacks)
        self.must(valid == (step.fatal is None), "Valid says whether it is rendered", step.fatal)

    def _tells_once(self, step: Step) -> None:
        """An event is a transition of a condition: never without one, and one for each."""
        if step.fatal is not None:
            return
        found = step.seen.claim.get("status", {}).get("conditions", [])
        before = {c["type"]: c for c in found}
        told = [result.message.split("=")[0] for result in step.response.results]
        self.must(len(told) == len(set(told)), "one event for each condition", told)
        for condition in step.response.conditions:
            old = before.get(condition.type)
            # Of a refusal Valid tells, at both ends.
            silent = ["FatalError", *(["Invalid"] if condition.type == "Current" else [])]
            moved = old is not None and old["reason"] not in (*silent, condition.reason)
            if moved or condition.type in told:
                new = old is None or moved
                self.must(new, "an event is a transition", condition.type, old)
                self.must(condition.type in told, "a transition is told", condition.type, old)

    def _changes_nothing(self, step: Step) -> None:
        world = self.world
        own = {k: v for k, v in world.claim["status"].items() if k != "conditions"}
        self.must(world.objects == step.objects_before, "a fatal answer changes no object")
        self.must(own == step.status_before, "a fatal answer writes no status field")
        lost = oracle.lost(step.seen.objects, step.environments)
        valid = step.seen.asked.valid and not lost
        self.must(not valid, "what is valid is rendered", step.fatal)

    def _verifies_before_it_asks_for_a_gpu(self, step: Step) -> None:
        template = step.seen.template
        if template is not None:
            lacks = worlds.needs(template) - self.world.volume
            self.must(not lacks, "no GPU is asked for before the weights are verified", lacks)
            absent = step.seen.one("Deployment") is None
            self.must(not (absent and step.seen.suspended), "suspended means no new pod at all")

    def _withdraws_nothing(self, step: Step) -> None:
        """Nothing that serves goes unless the claim or the settings ask for that."""
        seen, name = step.seen, step.seen.claim["metadata"]["name"]
        doomed = sorted(seen.objects.keys() - seen.desired.keys())
        allowed: frozenset[str] | None = None
        for key in doomed:
            item = seen.objects[key]
            if item["kind"] == "Job" and worlds.removes(item):
                continue
            if item["kind"] == "Job":
                recorded = bool(worlds.makes(item)) and worlds.makes(item) <= seen.recorded
                needless = key != seen.asked.job or (worlds.ended(item) and recorded)
                # What is recorded and asked for already needs no Job that is under way.
                needless = needless or seen.asked.directories <= seen.recorded
                self.must(needless, "a Job stays until the status shows what it made", key)
                continue
            suffix = key.removeprefix(f"{name}-")
            self.must(suffix not in _NEVER_WITHDRAWN, "never withdrawn", key)
            if allowed is None:
                allowed = oracle.kept(seen.claim, step.environments)
            self.must(key not in allowed, "withdrawn without being asked", key)
        if "ScaledObject" in {seen.objects[key]["kind"] for key in doomed}:
            providers = step.environments[0]["data"]["inferenceService"]["providers"]
            self.must(providers["autoscaler"] == "none", "the autoscaler stays")
        self._needs_its_secrets(step, doomed)
        self._names_what_is_there(step, doomed)
        born = seen.one("Deployment") is not None
        known = seen.one("PodDisruptionBudget") is not None and not self.world.forgot
        born = born or (known and not seen.suspended and seen.asked.fits)
        self.must(not born or seen.template is not None, "a Deployment stays desired")

    def _needs_its_secrets(self, step: Step, doomed: list[str]) -> None:
        containers = (step.seen.template or {"spec": {"containers": []}})["spec"]["containers"]
        used = {s["secretRef"]["name"] for c in containers for s in c.get("envFrom", [])}
        for key in doomed:
            item = step.seen.objects[key]
            if item["kind"] == "ExternalSecret":
                self.must(item["metadata"]["name"] not in used, "pods keep their Secret", key)

    def _names_what_is_there(self, step: Step, doomed: list[str]) -> None:
        """Core deletes before it applies: a route that stays must not name what goes."""
        route = step.seen.one("AIGatewayRoute") or {"spec": {"rules": []}}
        named = {
            (backend.get("kind", "AIServiceBackend"), backend["name"])
            for rule in route["spec"]["rules"]
            for backend in rule.get("backendRefs", [])
        }
        stays = any(item["kind"] == "AIGatewayRoute" for item in step.seen.desired.values())
        for key in doomed:
            item = step.seen.objects[key]
            gone = (item["kind"], item["metadata"]["name"])
            self.must(not stays or gone not in named, "a route names what goes", gone)

    def _restarts_nothing_by_surprise(self, step: Step) -> None:
        """A template moves to what is asked for, and when the author or the settings say so."""
        seen, template = step.seen, step.seen.template
        item = seen.one("Deployment")
        if template is None:
            return
        now, text = of_pods(seen.claim), json.dumps(seen.asked.template, sort_keys=True)
        if item is not None and item["spec"]["template"] != template and not step.lags:
            self.must(template == seen.asked.template, "pods move only to what is asked for")
            rollout = step.environments[0]["data"]["inferenceService"].get("rollout", {})
            accepted = seen.claim["metadata"].get("annotations", {}).get(changes.ACCEPT)
            told = (
                self.origin not in (None, now)
                or rollout.get("platformChanges") == "Immediate"
                or (accepted is not None and accepted == self.tokens.get(text))
                or (self.origin == now and not seen.served)
            )
            self.must(told, "nothing restarts by surprise", self.origin, now)
        message = step.condition("Current").message
        if f"{changes.ACCEPT}=" in message:
            self.tokens[text] = message.rsplit("=", 1)[1]
        live = self.world.deployment
        if live is None:
            return
        self.world.forgot = False
        written = identity.TEMPLATE_ANNOTATION in live["metadata"].get("annotations", {})
        if self.origin is None and written:
            self.origin = now  # of a template without a hash, today's claim is the origin
        if live["spec"]["template"] == seen.asked.template == template:
            self.origin = now

    def _leaves_the_count_alone(self, step: Step) -> None:
        """A replica count that an autoscaler wrote is never written over."""
        before = [o for o in step.objects_before.values() if o["kind"] == "Deployment"]
        providers = step.environments[0]["data"]["inferenceService"]["providers"]
        live = self.world.deployment
        if providers["autoscaler"] == "none" or not before or live is None:
            return
        if before[0]["metadata"].get("managedFields"):
            counts = before[0]["spec"]["replicas"], live["spec"]["replicas"]
            self.must(counts[0] == counts[1], "the count is the autoscaler's", counts)
        latches = step.seen.claim.get("status", {}).get("latches", {})
        if latches.get("scaledByAutoscaler") and step.seen.one("Deployment") is not None:
            desired = [o for o in step.seen.desired.values() if o["kind"] == "Deployment"]
            owned = latches.get("fixedReplicas") or "replicas" not in desired[0]["spec"]
            self.must(owned, "the autoscaler owns the count")

    def _removes_what_nobody_counts_on(self, step: Step) -> None:
        """A clean-up is asked for only once the status shows that its weights are given up."""
        for item in step.seen.desired.values():
            if item["kind"] == "Job":
                counted = worlds.removes(item) & (step.seen.recorded | step.seen.asked.directories)
                self.must(not counted, "weights that are counted on are removed", counted)

    def _remembers(self, step: Step) -> None:
        """Latches and records outlive every call, while what they are about is asked for."""
        old, new = step.seen.claim.get("status", {}), step.status
        records = {r["directory"] for r in new.get("weights", {}).get("verified", [])}
        struck = step.seen.recorded - records
        if step.seen.claim["spec"]["model"].get("retention") == "Delete":
            idle = struck - step.seen.asked.directories
            self.must(idle == struck, "what is asked for stays recorded", struck)
            self.must(not struck or oracle.follows(step.seen), "pods may need it", struck)
        else:
            self.must(not struck, "records stay", struck)
        self.must(records <= self.world.volume, "records are true", records - self.world.volume)
        latches, before = new.get("latches", {}), old.get("latches", {})
        providers = step.environments[0]["data"]["inferenceService"]["providers"]
        gateway = step.seen.claim["spec"].get("gateway", {}).get("enabled") is True
        if gateway and providers["gateway"] != "none" and before.get("routePublished"):
            self.must(latches.get("routePublished") is True, "a published route stays published")
        if before.get("scaledByAutoscaler") and step.seen.one("Deployment") is not None:
            self.must(latches.get("scaledByAutoscaler") is True, "the autoscaler keeps the count")
        base.parse(status.Status, new, what="status")

    def _dates_itself(self, step: Step) -> None:
        """`kubectl wait` believes Current of the generation that the status is about.

        In each version of the claim that core writes, the one between fields and conditions too.
        """
        seen = step.seen
        generation = seen.claim["metadata"]["generation"]
        about, before = step.status.get("observedGeneration"), seen.claim.get("status", {})
        known = before.get("observedGeneration")
        self.must(about in (generation, known), "observedGeneration", about, generation)
        said = {c["type"]: c["status"] for c in before.get("conditions", [])}.get("Current")
        if about == generation != known and said == "True":
            self.must(oracle.current(seen), "Current=True is not about an older generation")

    def _never_lies(self, step: Step) -> None:
        seen, world = step.seen, self.world
        phase, wanted = step.status["phase"], oracle.phase(seen)
        self.must(phase == wanted, "the phase follows from what is seen", phase, wanted)
        current = step.condition("Current").status == fnv1.STATUS_CONDITION_TRUE
        self.must(current == oracle.current(seen), "Current follows", step.condition("Current"))
        item = world.deployment
        if _ready(step):
            rests = phase in ("Suspended", "Idle")
            available = oracle.number(seen.one("Deployment"), "status", "availableReplicas")
            self.must(rests or available > 0, "Ready means served, asleep or suspended", phase)
        if step.lags or not world.reported:
            return
        if phase == "Serving":
            self.must(bool(world.ready_pods), "Serving has a ready pod")
        if phase in ("Suspended", "Idle"):
            self.must(not world.ready_pods, "at rest means no pod", phase)
        if current and item is not None:
            strangers = [p for p in world.fleet if p.template != seen.asked.template]
            self.must(not strangers, "Current: every pod is what the claim says")

    # --- rest

    def quiet(self) -> None:
        """Core alone comes to rest: nothing else moves, and each object is written once at most."""
        self.world.catch_up()
        written: list[str] = []
        for _ in range(MOST_ROUNDS):
            step = self.reconcile()
            written += [
                w.split()[-1] for w in self.world.writes if w.split()[0] in ("create", "update")
            ]
            if not self.world.writes:
                break
        self.must(not self.world.writes, "core comes to rest", self.world.writes)
        twice = {key for key in written if written.count(key) > 1}
        self.must(not twice, "one write an object and change", twice)
        again = self.reconcile()
        same = _bytes(step.response) == _bytes(again.response)
        self.must(same, "the same input gives the same bytes")

    def rest(self) -> None:
        """World and core together come to rest, where the claim says that they will."""
        world = self.world
        world.catch_up()
        world.answers = "unasked"
        for _ in range(MOST_ROUNDS):
            before = copy.deepcopy(world.objects)
            world.progress()
            moved = world.objects != before
            step = self.reconcile()
            if not moved and not world.writes:
                break
        self.must(not moved and not world.writes, "all comes to rest", world.writes, moved)
        if step.fatal is None:
            self._rests_where_it_should(step)

    def _rests_where_it_should(self, step: Step) -> None:
        seen, phase = step.seen, step.status["phase"]
        generation = seen.claim["metadata"]["generation"]
        self.must(step.status["observedGeneration"] == generation, "observedGeneration at rest")
        reason = step.condition("Current").reason
        if seen.failed:
            said = step.condition("WeightsReady").status == fnv1.STATUS_CONDITION_FALSE
            rests = ("Failed",) if seen.template is None else ("Degraded", "Idle", "Suspended")
            self.must(said and phase in rests, "a failed download is said", phase)
            self.must(phase != "Idle" or _ready(step), "a failed swap leaves a sleeper ready")
            return
        self.must(seen.verified, "weights are verified in the end")
        if seen.suspended:
            self.must(phase == "Suspended" and not self.world.fleet, "suspended", phase)
            return
        if not seen.asked.fits and seen.template != seen.asked.template:
            wanted = ("ExceedsGpuClass",) if seen.template else ("NotServing",)
            self.must(reason in wanted, "what fits no node is said", reason)
            return
        self.must(phase == ("Idle" if not self.world.fleet else "Serving"), "it serves", phase)
        if reason == "PlatformChangePending":
            self.must(self.origin in (None, of_pods(seen.claim)), "the author's edit is taken")
            return
        self.must(reason in ("Serving", "Idle"), "what the claim says is what serves", reason)
        self._leaves_no_trace(step)

    def _leaves_no_trace(self, step: Step) -> None:
        """At rest the objects are those of a claim that was never anything else."""
        wanted = set(oracle.kept(step.seen.claim, step.environments))
        objects = self.world.objects
        # A failed Job stays until its author asks for another try.
        wanted |= {key for key in objects if oracle.says(objects[key], "Failed")}
        self.must(set(objects) == wanted, "no trace is left", set(objects) ^ wanted)
        if set(objects) == set(oracle.kept(step.seen.claim, step.environments)):
            removing = step.status.get("weights", {}).get("removing")
            self.must(not removing, "what is unwanted is removed in the end", removing)


def _ready(step: Step) -> bool:
    """Tells whether core will call the claim ready."""
    desired = step.response.desired
    ready = all(r.ready == fnv1.READY_TRUE for r in desired.resources.values())
    return ready and desired.composite.ready != fnv1.READY_FALSE


def of_pods(claim: Object) -> str:
    """Returns the part of the claim that pods follow from, as text."""
    spec = {key: value for key, value in claim["spec"].items() if key not in _NOT_PODS}
    model = {k: v for k, v in spec["model"].items() if k not in ("preload", "tokenSecretRef")}
    model["preload"] = spec["model"].get("preload", {}).get("enabled", True)
    return json.dumps({**spec, "model": model}, sort_keys=True)


def _bytes(response: fnv1.RunFunctionResponse) -> bytes:
    plain = fnv1.RunFunctionResponse()
    plain.CopyFrom(response)
    plain.ClearField("meta")
    return plain.SerializeToString(deterministic=True)
