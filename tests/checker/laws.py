"""What must hold after every reconcile, and when everything has come to rest."""

import json
from typing import Any

from crossplane.function.proto.v1 import run_function_pb2 as fnv1

from function.api import base, status
from function.planning import identity
from function.server import runner
from function.situation import guards
from tests import cluster, documents
from tests.checker import changes, oracle, reading
from tests.checker import world as worlds

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
    "Fits",
)
_NEVER_WITHDRAWN = ("deployment", "pdb", "service", "serviceaccount")
# Rounds of the world and core in which everything must come to rest.
MOST_ROUNDS = 16


class JudgedWorld:
    """A world, and a check of every reconcile in it against the laws.

    Attributes:
        origin: The parts of the claim that shape pods, as they were when the running template was
            rendered.
        tokens: The printed token that accepts each template.
        judged: The adapter, and the whole canary, that each Job of a gate judges, by its key.
        models: Which model pods of each template have that the claim asked for.
    """

    def __init__(self, world: worlds.World) -> None:
        self.world = world
        self.origin: str | None = reading.of_pods(world.claim)
        self.tokens: dict[str, str] = {}
        self.broken = False
        self.judged: dict[str, tuple[str, str]] = {}
        self.models: dict[str, str] = {}

    def must(self, holds: bool, law: str, *facts: Any) -> None:
        """Raises unless a law holds."""
        if not holds:
            self.broken = True
            raise AssertionError(f"{law}: {facts}")

    def reconcile(self, fate: cluster.Fate = cluster.CALM) -> reading.Step:
        """Reconciles once and checks the reconcile against the laws."""
        world = self.world
        runner._resolved.cache_clear()
        before = documents.copied(world.objects)
        claim = documents.copied(world.observed_claim)
        objects = documents.copied(world.observed_objects())
        own = {k: v for k, v in world.claim.get("status", {}).items() if k != "conditions"}
        asked = (
            oracle.asked(claim, world.environments) if world.environments else oracle.Asked(False)
        )
        try:
            world.reconcile(fate)
        except AssertionError as error:
            self.must(False, "core refuses", error)
        desired = {
            key: documents.read(item.resource)
            for key, item in world.response.desired.resources.items()
        }
        pods = world.pods
        step = reading.Step(
            exchange=oracle.Exchange(claim, objects, pods, desired, asked),
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

    def _judge(self, step: reading.Step) -> None:
        self._says_everything(step)
        self._tells_once(step)
        if step.fatal is not None:
            self._changes_nothing(step)
            return
        self.must(step.exchange.asked.valid, "what is invalid is refused")
        lost = oracle.lost(step.exchange.objects, step.environments)
        self.must(not lost, "no provider is lost without a word", lost)
        self._verifies_before_it_asks_for_a_gpu(step)
        self._protects_before_it_starts(step)
        self._withdraws_nothing(step)
        self._restarts_nothing_by_surprise(step)
        self._leaves_the_count_alone(step)
        self._removes_what_nobody_counts_on(step)
        self._remembers(step)
        self._raises_what_held(step)
        self._lists_what_pods_can_load(step)
        self._dates_itself(step)
        self._never_lies(step)
        self._names_what_answers(step)

    # --- the laws

    def _says_everything(self, step: reading.Step) -> None:
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

    def _tells_once(self, step: reading.Step) -> None:
        """An event is a transition of a condition: never without one, and one for each."""
        if step.fatal is not None:
            return
        conditions = step.exchange.claim.get("status", {}).get("conditions", [])
        before = {c["type"]: c for c in conditions}
        told = [result.message.split("=")[0] for result in step.response.results]
        self.must(len(told) == len(set(told)), "one event for each condition", told)
        for condition in step.response.conditions:
            old = before.get(condition.type)
            # The event of Valid tells of a refusal and of its end, so Current has no event.
            silent = ["FatalError", *(["Invalid"] if condition.type == "Current" else [])]
            moved = old is not None and old["reason"] not in (*silent, condition.reason)
            if moved or condition.type in told:
                new = old is None or moved
                self.must(new, "an event is a transition", condition.type, old)
                self.must(condition.type in told, "a transition is told", condition.type, old)

    def _changes_nothing(self, step: reading.Step) -> None:
        world = self.world
        own = {k: v for k, v in world.claim["status"].items() if k != "conditions"}
        self.must(world.objects == step.objects_before, "a fatal answer changes no object")
        self.must(own == step.status_before, "a fatal answer writes no status field")
        lost = oracle.lost(step.exchange.objects, step.environments)
        taken = any(
            f"a {item['kind']} {item['metadata']['name']} that is not" in str(step.fatal)
            for item in world.strangers or ()
        )
        valid = step.exchange.asked.valid and not lost and not taken
        self.must(not valid, "what is valid is rendered", step.fatal)

    def _verifies_before_it_asks_for_a_gpu(self, step: reading.Step) -> None:
        template = step.exchange.template
        if template is not None:
            lacks = worlds.needs(template) - self.world.volume
            self.must(not lacks, "no GPU is asked for before the weights are verified", lacks)
            absent = step.exchange.one("Deployment") is None
            self.must(not (absent and step.exchange.suspended), "suspended means no new pod at all")

    def _protects_before_it_starts(self, step: reading.Step) -> None:
        """No pod is born before its policy is there: the Deployment's, and each Job's."""
        exchange, name = step.exchange, step.exchange.claim["metadata"]["name"]
        providers = step.environments[0]["data"]["inferenceService"].get("providers", {})
        if providers.get("networkPolicy") == "none":
            return
        names = {
            item["metadata"]["name"]
            for item in exchange.objects.values()
            if reading.is_policy(item)
        }
        for key, item in exchange.desired.items():
            if key in exchange.objects or item["kind"] not in ("Deployment", "Job"):
                continue
            removes = item["kind"] == "Job" and worlds.removes(item)
            downloads = item["kind"] == "Job" and not removes
            part = f"{name}.download" if downloads else f"{name}.removal" if removes else name
            if item["kind"] == "Job" and worlds.judges(item):
                part = f"{name}.gate"
            self.must(part in names, "no pod before its policy", key)

    def _withdraws_nothing(self, step: reading.Step) -> None:
        """The function withdraws an object that serves only when claim or settings ask for that."""
        exchange, name = step.exchange, step.exchange.claim["metadata"]["name"]
        doomed = sorted(exchange.objects.keys() - exchange.desired.keys())
        allowed: frozenset[str] | None = None
        for key in doomed:
            item = exchange.objects[key]
            if item["kind"] == "Job" and worlds.removes(item):
                continue
            if item["kind"] == "Job":
                recorded = bool(worlds.makes(item)) and worlds.makes(item) <= exchange.recorded
                needless = key != exchange.asked.job or (worlds.ended(item) and recorded)
                # A running Job is needless once every wanted directory is recorded.
                needless = needless or exchange.asked.directories <= exchange.recorded
                self.must(needless, "a Job stays until the status shows what it made", key)
                continue
            suffix = key.removeprefix(f"{name}-")
            self.must(suffix not in _NEVER_WITHDRAWN, "never withdrawn", key)
            if allowed is None:
                allowed = oracle.kept(exchange.claim, step.environments)
            self.must(key not in allowed, "withdrawn without being asked", key)
        if "ScaledObject" in {exchange.objects[key]["kind"] for key in doomed}:
            providers = step.environments[0]["data"]["inferenceService"].get("providers", {})
            self.must(providers.get("autoscaler") == "none", "the autoscaler stays")
        self._needs_its_secrets(step, doomed)
        self._names_what_is_there(step, doomed)
        born = exchange.one("Deployment") is not None
        remembered = exchange.one("PodDisruptionBudget") is not None and not self.world.forgot
        born = born or (remembered and not exchange.suspended and exchange.asked.fits)
        self.must(not born or exchange.template is not None, "a Deployment stays desired")

    def _needs_its_secrets(self, step: reading.Step, doomed: list[str]) -> None:
        containers = (step.exchange.template or {"spec": {"containers": []}})["spec"]["containers"]
        used = {s["secretRef"]["name"] for c in containers for s in c.get("envFrom", [])}
        for key in doomed:
            item = step.exchange.objects[key]
            if item["kind"] == "ExternalSecret":
                self.must(item["metadata"]["name"] not in used, "pods keep their Secret", key)

    def _names_what_is_there(self, step: reading.Step, doomed: list[str]) -> None:
        """A route that stays names no object that goes: core deletes before it applies."""
        route = step.exchange.one("AIGatewayRoute") or {"spec": {"rules": []}}
        named = {
            (backend.get("kind", "AIServiceBackend"), backend["name"])
            for rule in route["spec"]["rules"]
            for backend in rule.get("backendRefs", [])
        }
        stays = any(item["kind"] == "AIGatewayRoute" for item in step.exchange.desired.values())
        for key in doomed:
            item = step.exchange.objects[key]
            gone = (item["kind"], item["metadata"]["name"])
            self.must(not stays or gone not in named, "a route names what goes", gone)

    def _restarts_nothing_by_surprise(self, step: reading.Step) -> None:
        """A template changes to the wanted one only, and only when author or settings say so."""
        exchange, template = step.exchange, step.exchange.template
        item = exchange.one("Deployment")
        if template is None:
            return
        now, text = (
            reading.of_pods(exchange.claim),
            json.dumps(exchange.asked.template, sort_keys=True),
        )
        if item is not None and item["spec"]["template"] != template and not step.lags:
            self.must(template == exchange.asked.template, "pods move only to what is asked for")
            rollout = step.environments[0]["data"]["inferenceService"].get("rollout", {})
            accepted = exchange.claim["metadata"].get("annotations", {}).get(changes.ACCEPT)
            told = (
                self.origin not in (None, now)
                or rollout.get("platformChanges") == "Immediate"
                or (accepted is not None and accepted == self.tokens.get(text))
                or (self.origin == now and not exchange.served)
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
            self.origin = now  # a template without a hash has today's claim as its origin
        if live["spec"]["template"] == exchange.asked.template == template:
            self.origin = now

    def _leaves_the_count_alone(self, step: reading.Step) -> None:
        """The function never overwrites a replica count of the autoscaler."""
        before = [o for o in step.objects_before.values() if o["kind"] == "Deployment"]
        providers = step.environments[0]["data"]["inferenceService"].get("providers", {})
        live = self.world.deployment
        if providers.get("autoscaler") == "none" or not before or live is None:
            return
        if before[0]["metadata"].get("managedFields"):
            counts = before[0]["spec"]["replicas"], live["spec"]["replicas"]
            self.must(counts[0] == counts[1], "the count is the autoscaler's", counts)
        latches = step.exchange.claim.get("status", {}).get("latches", {})
        if latches.get("scaledByAutoscaler") and step.exchange.one("Deployment") is not None:
            desired = [o for o in step.exchange.desired.values() if o["kind"] == "Deployment"]
            owned = latches.get("fixedReplicas") or "replicas" not in desired[0]["spec"]
            self.must(owned, "the autoscaler owns the count")

    def _removes_what_nobody_counts_on(self, step: reading.Step) -> None:
        """A clean-up Job starts only once the status no longer records its weights."""
        for item in step.exchange.desired.values():
            if item["kind"] == "Job":
                counted = worlds.removes(item) & (
                    step.exchange.recorded | step.exchange.asked.directories
                )
                self.must(not counted, "weights that are counted on are removed", counted)

    def _remembers(self, step: reading.Step) -> None:
        """Latches and records stay in the status while the claim asks for what they record."""
        old, new = step.exchange.claim.get("status", {}), step.status
        records = {r["directory"] for r in new.get("weights", {}).get("verified", [])}
        struck = step.exchange.recorded - records
        if step.exchange.claim["spec"]["model"].get("retention") == "Delete":
            idle = struck - step.exchange.asked.directories
            self.must(idle == struck, "what is asked for stays recorded", struck)
            self.must(not struck or oracle.follows(step.exchange), "pods may need it", struck)
        else:
            self.must(not struck, "records stay", struck)
        self.must(records <= self.world.volume, "records are true", records - self.world.volume)
        latches, before = new.get("latches", {}), old.get("latches", {})
        providers = step.environments[0]["data"]["inferenceService"].get("providers", {})
        gateway = step.exchange.claim["spec"].get("gateway", {}).get("enabled") is True
        if gateway and providers.get("gateway", "none") != "none" and before.get("routePublished"):
            self.must(latches.get("routePublished") is True, "a published route stays published")
        if before.get("scaledByAutoscaler") and step.exchange.one("Deployment") is not None:
            self.must(latches.get("scaledByAutoscaler") is True, "the autoscaler keeps the count")
        base.parse(status.Status, new, what="status")

    def _lists_what_pods_can_load(self, step: reading.Step) -> None:
        """Pods that run load what is verified, and nothing that was made for another base model.

        What is published is in the list that pods follow, or they were started with it.
        """
        exchange = step.exchange
        before = worlds.listed(exchange.objects.values())
        now = worlds.listed(exchange.desired.values())
        there = {directory.rpartition("/")[2] for directory in self.world.volume}
        self.must(set(now.values()) <= there, "only what is verified is loaded", now, there)
        template, wanted = exchange.template, exchange.asked.template
        if template is None or wanted is None:
            return
        if reading.base_of(template) != reading.base_of(wanted):
            kept = now.items() <= before.items()
            self.must(kept, "pods keep the adapters of their base model", before, now)
        hot = {
            one["name"] for one in exchange.claim["spec"].get("loraAdapters", []) if one.get("hot")
        }
        served = {one["name"] for one in step.status["servedModels"]}
        started = reading.adapters_of(template)
        self.must(served & hot <= now.keys() | started, "a hot name is in the list", served, now)

    def _raises_what_held(self, step: reading.Step) -> None:
        """A canary with a gate has no more weight than what held, and one step more.

        What a Job judges is the adapter, and the try, that the claim named when the Job was made.
        A canary that broke has no weight until its author writes another one.
        """
        claim, desired = step.exchange.claim, step.exchange.desired
        for key, item in desired.items():
            if item["kind"] == "Job" and worlds.judges(item) and key not in self.judged:
                adapter = worlds.judged(item)
                self.judged[key] = (
                    reading.content(claim, adapter),
                    reading.written(claim, adapter),
                )
        held: dict[str, int] = {}
        for job in self.world.held:
            key = job["metadata"]["annotations"][cluster.KEY]
            content, _ = self.judged[key]
            held[content] = max(held.get(content, 0), worlds.percent(job))
        weights = reading.weights(desired)
        for canary in reading.gated(claim):
            name, goal = canary["adapter"], canary["weightPercent"]
            weight, proved = weights.get(name, 0), held.get(reading.content(claim, name), 0)
            steps = [*canary["gate"]["steps"], goal]
            most = min((one for one in steps if one > proved), default=goal)
            self.must(weight <= most, "no weight above what held", name, weight, proved)
            broken = any(
                oracle.says(item, "Failed") and "exit code 20" in str(item["status"])
                for key, item in step.exchange.objects.items()
                if self.judged.get(key, ("", ""))[1] == reading.written(claim, name)
            )
            self.must(not broken or weight == 0, "what broke has no weight", name, weight)
        self._forgets_no_step(step)

    def _forgets_no_step(self, step: reading.Step) -> None:
        """What the status says of a canary stays until the canary is another one."""
        if step.exchange.one("AIGatewayRoute") is None:
            return  # it vouches for what held
        before = {
            one["adapter"]: one
            for one in reading.records(step.exchange.claim)
            if one.get("reason") != changes.FORGED
        }
        for record in reading.records({"status": step.status}):
            old = before.get(record["adapter"])
            if old is None or old["mark"] != record["mark"]:
                continue
            if old["verdict"] != "RolledBack":
                kept = record["heldPercent"] >= old["heldPercent"]
                self.must(kept, "a step that held is remembered", old, record)
            elif old["asked"] == record["asked"]:
                self.must(record["verdict"] == "RolledBack", "what broke stays back", old, record)

    def _dates_itself(self, step: reading.Step) -> None:
        """Current is never True beside the observedGeneration of an edit that does not serve.

        `kubectl wait` would believe such a status. Core writes the status fields before the
        conditions, and the law covers the claim between both writes too.
        """
        exchange = step.exchange
        generation = exchange.claim["metadata"]["generation"]
        about, before = step.status.get("observedGeneration"), exchange.claim.get("status", {})
        earlier = before.get("observedGeneration")
        self.must(about in (generation, earlier), "observedGeneration", about, generation)
        statuses = {c["type"]: c["status"] for c in before.get("conditions", [])}
        if about == generation != earlier and statuses.get("Current") == "True":
            self.must(oracle.current(exchange), "Current=True is not about an older generation")

    def _never_lies(self, step: reading.Step) -> None:
        exchange, world = step.exchange, self.world
        phase, wanted = step.status["phase"], oracle.phase(exchange)
        self.must(phase == wanted, "the phase follows from what is seen", phase, wanted)
        current = step.condition("Current").status == fnv1.STATUS_CONDITION_TRUE
        self.must(current == oracle.current(exchange), "Current follows", step.condition("Current"))
        item = world.deployment
        if reading.is_ready(step):
            rests = phase in ("Suspended", "Idle")
            available = oracle.number(exchange.one("Deployment"), "status", "availableReplicas")
            self.must(rests or available > 0, "Ready means served, asleep or suspended", phase)
        if step.lags or not world.reported:
            return
        if phase == "Serving":
            self.must(bool(world.ready_pods), "Serving has a ready pod")
        if phase in ("Suspended", "Idle"):
            self.must(not world.ready_pods, "at rest means no pod", phase)
        if current and item is not None:
            strangers = [p for p in world.fleet if p.template != exchange.asked.template]
            self.must(not strangers, "Current: every pod is what the claim says")

    def _names_what_answers(self, step: reading.Step) -> None:
        """The status names the model of each pod that may answer: prices follow from it."""
        exchange = step.exchange
        if exchange.asked.template is not None:
            text = json.dumps(exchange.asked.template, sort_keys=True)
            self.models[text] = reading.place(exchange.claim)
        named = step.status.get("repositories")
        if step.lags or exchange.one("Deployment") is None:
            return  # pods whose Deployment somebody deleted end
        texts = {json.dumps(pod.template, sort_keys=True) for pod in self.world.ready_pods}
        hidden = {self.models[text] for text in texts & self.models.keys()} - set(named or ())
        self.must(not hidden, "the model of each pod that answers is told", hidden, named)

    # --- rest

    def quiet(self) -> None:
        """Core alone comes to rest, and writes each object once at most."""
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
        if reading.gated(self.world.claim):
            # A canary has its first share once the policy of what judges it is there.
            twice -= {key for key in twice if key.endswith("-gateway-airoute")}
        self.must(not twice, "one write an object and change", twice)
        again = self.reconcile()
        same = reading.without_meta(step.response) == reading.without_meta(again.response)
        self.must(same, "the same input gives the same bytes")

    def rest(self) -> None:
        """World and core come to rest together, in the state that the claim asks for."""
        world = self.world
        world.catch_up()
        world.answers = "unasked"
        world.strangers = None
        for _ in range(MOST_ROUNDS):
            before = documents.copied(world.objects)
            world.progress()
            moved = world.objects != before
            step = self.reconcile()
            if not moved and not world.writes:
                break
        self.must(not moved and not world.writes, "all comes to rest", world.writes, moved)
        if step.fatal is None:
            self._rests_where_it_should(step)

    def _rests_where_it_should(self, step: reading.Step) -> None:
        exchange, phase = step.exchange, step.status["phase"]
        generation = exchange.claim["metadata"]["generation"]
        self.must(step.status["observedGeneration"] == generation, "observedGeneration at rest")
        reason = step.condition("Current").reason
        if exchange.failed:
            reported = step.condition("WeightsReady").status == fnv1.STATUS_CONDITION_FALSE
            rests = ("Failed",) if exchange.template is None else ("Degraded", "Idle", "Suspended")
            self.must(reported and phase in rests, "a failed download is said", phase)
            self.must(
                phase != "Idle" or reading.is_ready(step), "a failed swap leaves a sleeper ready"
            )
            return
        self.must(exchange.verified, "weights are verified in the end")
        if exchange.suspended:
            self.must(phase == "Suspended" and not self.world.fleet, "suspended", phase)
            return
        if not exchange.asked.fits and exchange.template != exchange.asked.template:
            wanted = ("ExceedsGpuClass", "TooLarge") if exchange.template else ("NotServing",)
            self.must(reason in wanted, "what fits no node is said", reason)
            return
        self.must(phase == ("Idle" if not self.world.fleet else "Serving"), "it serves", phase)
        if reason == "PlatformChangePending":
            self.must(
                self.origin in (None, reading.of_pods(exchange.claim)), "the author's edit is taken"
            )
            return
        self.must(reason in ("Serving", "Idle"), "what the claim says is what serves", reason)
        named = step.status.get("repositories")
        self.must(named in (None, [reading.place(exchange.claim)]), "one model at rest", named)
        self._leaves_no_trace(step)

    def _leaves_no_trace(self, step: reading.Step) -> None:
        """At rest the objects are those of a new claim with the same spec."""
        wanted = set(oracle.kept(step.exchange.claim, step.environments))
        objects = self.world.objects
        # A failed Job stays until its author asks for another try.
        wanted |= {key for key in objects if oracle.says(objects[key], "Failed")}
        # Policies of pods that end later than what they are of stay: the picker's, and the Jobs' of
        # a claim that downloads no more.
        parts = (
            guards.picker_suffix,
            guards.download_suffix,
            guards.removal_suffix,
            guards.gate_suffix,
        )
        stays = tuple(suffix(provider) for suffix in parts for provider in guards.SUFFIXES)
        wanted |= {key for key in objects if key.endswith(stays)}
        self.must(set(objects) == wanted, "no trace is left", set(objects) ^ wanted)
        if set(objects) == set(oracle.kept(step.exchange.claim, step.environments)):
            removing = step.status.get("weights", {}).get("removing")
            self.must(not removing, "what is unwanted is removed in the end", removing)
