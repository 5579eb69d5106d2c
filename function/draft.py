"""A composition in the making: what is known before the first object, and one builder for each key.

`Draft` gathers what several steps need (the plan, the weights, which template rolls), adds objects
under their keys, and notes what the cluster lacks.
"""

import dataclasses

from function import composition, readiness
from function import observed as world
from function import plan as plans
from function import rollout as rollouts
from function import weights as weight_states
from function.api import base
from function.engine import arguments
from function.resources import deployment, meta, patches, preload, scaler

# Kinds of these groups are in every cluster; every other kind may be absent.
BUILT_IN = frozenset(("v1", "apps/v1", "batch/v1", "policy/v1", "networking.k8s.io/v1"))
# Asked beside the others: when even this comes back empty, nobody answers such questions here.
CONTROL_KIND = ("v1", "Service")


class Draft:
    """What the steps share, and what they have composed so far."""

    def __init__(self, plan: plans.Plan, observed: world.Observed) -> None:
        self.plan = plan
        self.observed = observed
        self.resources: dict[str, composition.Composed] = {}
        self.missing: dict[str, str] = {}
        self.optional: set[tuple[str, str]] = set()
        unknown = list(patches.unknown(plan))
        if unknown:
            raise base.InvalidError("claim", unknown)

        self.weights = weight_states.state(plan, observed)
        self.job = self._job()
        if self.job is not None:
            self.weights = weight_states.watched(self.weights, observed, self.job[0])
        self.plan = dataclasses.replace(
            plan,
            checkpoint_quantization=weight_states.checkpoint_quantization(plan, self.weights),
        )

        self.deployment = world.deployment(self.seen("deployment"))
        self.serves = self.deployment is not None and self.deployment.serves
        self.rendered = self._rendered_template()
        self.rollout = rollouts.decide(
            plan,
            self.seen("deployment"),
            self.seen("pdb"),
            self.rendered,
            verified=self.weights.verified,
            served=world.at(observed.status, "serving") is not None
            or (self.deployment is not None and (self.deployment.serves or self.deployment.ran)),
        )
        said = observed.conditions.get("EngineReady")
        self.known_to_serve = self.serves and said is not None and said.reason == "Serving"
        settled = self.deployment is not None and self.deployment.settled
        self.rolls = self.deployment is not None and not (self.rollout.applied and settled)
        self.current = self.rollout.hold is None and self.rollout.applied and settled
        # Served, not only settled: whoever goes back from what never starts needs no download.
        proven = self.current and self.serves
        self.weights = weight_states.retired(plan, self.weights, current=proven)
        self.removal = self._removal()
        if self.removal is not None:
            removing = observed.resources.get(self.removal[0])
            self.weights = weight_states.removed(self.weights, removing)
        self.adapters = self._adapters()
        if self.rollout.hold is not None:
            running = arguments.number(self._running(), "max-num-seqs")
            if running is not None:
                self.plan = plans.while_running(self.plan, running)

        self.routed = self._routed()
        # The pool is named once it is there, and kept for as long as it is named: a route that
        # names what is missing fails as a whole.
        release = readiness.readiness("HelmRelease", self.seen("epp-helmrelease"))
        pooled = plan.name in self.routed["InferencePool"]
        self.uses_pool = plan.picker and (pooled or release.ready)
        self.plan = dataclasses.replace(self.plan, picker=plan.picker or pooled)
        # A claim that sleeps is woken by requests, which need a route to be counted on.
        self.published = plan.gateway and (
            self.serves
            or (plan.scaling.wakes and self.deployment is not None)
            or self.latch("routePublished")
            or self.seen("gateway-airoute") is not None
        )
        # Nothing pauses a suspended claim where KEDA's kind is missing.
        self.unscaled = (
            plan.suspended and self.seen("scaledobject") is None and self._absent(scaler.KIND)
        )
        fixed = plan.site.providers.autoscaler == "none" or self.unscaled
        # A Deployment that has to be made again is born once more.
        self.scaled = self.deployment is not None and (
            self.latch("scaledByAutoscaler") or (not fixed and self.deployment.wanted > 0)
        )
        # The count was ours: dropped before somebody else owns it, it would be reset to one.
        seen = self.seen("deployment")
        self.fixed = fixed or (
            self.latch("fixedReplicas") and seen is not None and not world.scaled_by_others(seen)
        )

    def _running(self) -> list[str]:
        """Returns the engine's arguments in the template that is emitted."""
        containers = (self.rollout.template or {"spec": {"containers": []}})["spec"]["containers"]
        for container in containers:
            if container["name"] == deployment.CONTAINER:
                return [str(argument) for argument in container.get("args", [])]
        return []

    def _adapters(self) -> frozenset[str]:
        """Returns the adapters that every running pod serves, of those that the claim names.

        Traffic for an adapter that is still downloaded or rolled out would be refused.
        """
        wanted = frozenset(adapter.name for adapter in self.plan.adapters)
        if self.rollout.hold is not None:
            return wanted & arguments.adapters(self._running())
        if self.deployment is None or self.current:
            return wanted
        known = world.at(self.observed.status, "serving", "adapters")
        before = world.at(self.observed.status, "serving") is not None
        return wanted & frozenset(known or []) if before else wanted

    def secrets(self) -> set[str]:
        """Returns the Secrets that the emitted template, held or not, needs to start."""
        containers = (self.rollout.template or {"spec": {"containers": []}})["spec"]["containers"]
        return {
            str(world.at(source, "secretRef", "name"))
            for container in containers
            for source in container.get("envFrom") or []
        }

    def _routed(self) -> dict[str, set[str]]:
        """Returns the backends that the observed AI gateway route names, by kind."""
        found: dict[str, set[str]] = {"AIServiceBackend": set(), "InferencePool": set()}
        for rule in world.at(self.seen("gateway-airoute") or {}, "spec", "rules") or []:
            for backend in world.at(rule, "backendRefs") or []:
                kind = world.at(backend, "kind") or "AIServiceBackend"
                found.setdefault(str(kind), set()).add(str(world.at(backend, "name")))
        return found

    def seen(self, suffix: str) -> world.Object | None:
        """Returns the observed object under a key, or None."""
        return self.observed.resources.get(meta.key(self.plan, suffix))

    def latch(self, name: str) -> bool:
        """Tells whether something happened once, as the status remembers."""
        return world.at(self.observed.status, "latches", name) is True

    def _checked(self, pod: meta.Manifest) -> None:
        found = patches.weakened(self.plan, pod)
        if found:
            raise base.InvalidError("claim", found)

    def _job(self) -> tuple[str, meta.Manifest] | None:
        """Returns the key and the Job that is desired, or None when none is."""
        patched = "preload-job" in (self.plan.spec.patches or {})
        if not self.weights.wants_job and not patched:
            return None
        job = patches.apply(self.plan, "preload-job", preload.job(self.plan))
        self._checked(job["spec"]["template"]["spec"])
        return preload.named(self.plan, job) if self.weights.wants_job else None

    def _removal(self) -> tuple[str, meta.Manifest] | None:
        """Returns the key and the Job that removes weights, or None when there is nothing to do."""
        if not self.weights.removal:
            return None
        return preload.named(self.plan, preload.cleanup_job(self.plan, self.weights.removal))

    def _rendered_template(self) -> meta.Manifest:
        """Returns the pod template that claim and settings ask for now, patched and checked."""
        template = deployment.pod_template(self.plan)
        patch = (self.plan.spec.patches or {}).get("deployment")
        if patch is not None:
            whole = deployment.deployment(self.plan, template, "", "", None)
            template = patches.apply(self.plan, "deployment", whole)["spec"]["template"]
        self._checked(template["spec"])
        return template

    def add(
        self,
        suffix: str,
        manifest: meta.Manifest,
        *,
        verdict: readiness.Readiness | None = None,
    ) -> None:
        """Adds an object under its key.

        Args:
            suffix: The key's end.
            manifest: The object.
            verdict: Whether it is ready, where its kind's own signal does not decide.

        Raises:
            ValueError: The key is taken: two builders claim one object.
        """
        key = meta.key(self.plan, suffix)
        if key in self.resources:
            raise ValueError(f"two builders for key {key}")
        seen = self.observed.resources.get(key)
        kind = (manifest["apiVersion"], manifest["kind"])
        if kind[0] not in BUILT_IN and seen is None:
            self.optional.add(kind)
            if self._absent(kind):
                self.missing[suffix] = f"{kind[0]} {kind[1]}"
                return
        if verdict is None:
            verdict = readiness.readiness(manifest["kind"], seen)
        self.resources[key] = composition.Composed(
            manifest=manifest,
            ready=verdict.ready,
            waits="" if verdict.ready else f"{manifest['kind']}: {verdict.message}",
        )

    def patched(self, suffix: str, manifest: meta.Manifest) -> None:
        """Adds an object after the author's patch for it."""
        self.add(suffix, patches.apply(self.plan, suffix, manifest))

    def _absent(self, kind: tuple[str, str]) -> bool:
        """Tells whether core said that the cluster lacks the kind."""
        answers = self.observed.kinds
        if not answers.get("/".join(CONTROL_KIND)):
            return False
        return answers.get("/".join(kind)) is False
