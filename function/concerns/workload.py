"""The workload: the engine's pods, what remembers them, and whether they are what is wanted."""

from collections.abc import Iterator

from function import assembly
from function.cluster import observed, readiness
from function.concerns import reasons
from function.planning import identity, lifetimes, queues
from function.situation import renderings, situations
from function.workloads import workload


class Current(reasons.Reasons):
    """Reasons of Current."""

    SERVING = reasons.Reason(
        "Serving",
        True,
        "Every pod follows the claim, and one is available.",
    )
    IDLE = reasons.Reason(
        "Idle",
        True,
        "No replica runs; the next starts as the claim says.",
    )
    NOT_SERVING = reasons.Reason(
        "NotServing",
        False,
        "Nothing runs yet, or no replica is available.",
        "See [EngineReady](#engineready) and [WeightsReady](#weightsready).",
    )
    ROLLING_OUT = reasons.Reason(
        "RollingOut",
        False,
        "Pods are moving to what the claim says; the message says in which way, and why.",
        "Wait. A class with `spare: true` in the settings has a new pod first.",
    )
    WEIGHTS_PENDING = reasons.Reason(
        "WeightsPending",
        False,
        "Pods keep their template, all of it, until the new weights are verified.",
        "See [WeightsReady](#weightsready). Reverting the claim rolls nothing.",
    )
    ADAPTERS_PENDING = reasons.Reason(
        "AdaptersPending",
        False,
        "A hot adapter is not verified yet. Pods that run load it then, and none starts again.",
        "See [WeightsReady](#weightsready).",
    )
    PLATFORM_CHANGE_PENDING = reasons.Reason(
        "PlatformChangePending",
        False,
        "A function version or the settings would alter the pods; the message names the fields.",
        "Annotate with the token in the message, or edit a field that pods follow from."
        " `rollout.platformChanges: Immediate` does it for all.",
    )
    EXCEEDS_GPU_CLASS = reasons.Reason(
        "ExceedsGpuClass",
        False,
        "Pods keep their template because a new one would fit no node of its class.",
        "Lower `resources`, `gpu.count` or `cache.kvOffload.sizeGB`; choose another"
        " `gpu.class`; correct the class in the settings.",
        alarm=True,
    )
    TOO_LARGE = reasons.Reason(
        "TooLarge",
        False,
        "Pods keep their template because the new model would not fit into its GPUs.",
        "See [Fits](#fits).",
        alarm=True,
    )
    SUSPENDED = reasons.Reason(
        "Suspended",
        False,
        "The claim is suspended: `suspend: true`, and no replica is wanted.",
        "Nothing. To serve again: take `suspend` away.",
    )
    INVALID = reasons.Reason(
        "Invalid",
        False,
        "The claim was edited to something that cannot be used; what ran goes on.",
        "See [Valid](#valid).",
    )


class EngineReady(reasons.Reasons):
    """Reasons of EngineReady."""

    SERVING = reasons.Reason(
        "Serving",
        True,
        "At least one replica is available.",
    )
    IDLE = reasons.Reason(
        "Idle",
        True,
        "Zero replicas, and zero is the minimum.",
    )
    WEIGHTS_PENDING = reasons.Reason(
        "WeightsPending",
        False,
        "No GPU is asked for before the weights are there.",
        "See [WeightsReady](#weightsready).",
    )
    EXCEEDS_GPU_CLASS = reasons.Reason(
        "ExceedsGpuClass",
        False,
        "A replica would fit no node of its class, so none is asked for.",
        "As under [Current](#current).",
        alarm=True,
    )
    TOO_LARGE = reasons.Reason(
        "TooLarge",
        False,
        "The model does not fit into its GPUs, so none is asked for.",
        "See [Fits](#fits).",
        alarm=True,
    )
    POLICY_PENDING = reasons.Reason(
        "PolicyPending",
        False,
        "The weights are there; no pod starts before its network policy is there and valid.",
        "[PolicyReady](#policyready) says why it is not. With `providers.networkPolicy: none` pods"
        " start without one.",
    )
    KIND_MISSING = reasons.Reason(
        "KindMissing",
        False,
        "The cluster lacks the kind that keeps the pods; the message names it.",
        "Install it ([a kind that is installed later](#a-kind-that-is-installed-later)).",
        alarm=True,
    )
    SUSPENDED = reasons.Reason(
        "Suspended",
        False,
        "The claim is suspended: `suspend: true`, and no replica is wanted.",
        "Nothing. To serve again: take `suspend` away.",
    )
    CREATING = reasons.Reason(
        "Creating",
        False,
        "The Deployment is being created.",
        "If it stays: `Synced`.",
    )
    SCALED_TO_ZERO = reasons.Reason(
        "ScaledToZero",
        False,
        "Zero replicas although the minimum is above zero.",
        "The autoscaler is about to start one; if not, [ScalerReady](#scalerready), or"
        " `force-activation` ([common tasks](#common-tasks)).",
    )
    STARTING = reasons.Reason(
        "Starting",
        False,
        "A replica starts; one that was ready before may be crashing too.",
        "Pods and events; the engine's log. `diagnostics.pods` says which.",
    )
    PROGRESS_DEADLINE_EXCEEDED = reasons.Reason(
        "ProgressDeadlineExceeded",
        False,
        "No replica became ready within the start budget and 20 minutes.",
        "`kubectl -n llm logs deployment/N` and `describe pod`; if it is only slow, set"
        " `model.sizeGiB` or `healthProbes.startup.failureThreshold`.",
        alarm=True,
    )
    QUOTA_PENDING = reasons.Reason(
        "QuotaPending",
        False,
        "With `diagnostics.pods`: Kueue has not admitted the pods; its words, where it has any.",
        "[Waiting for quota](#waiting-for-quota).",
    )
    UNSCHEDULABLE = reasons.Reason(
        "Unschedulable",
        False,
        "With `diagnostics.pods`: the scheduler's words.",
        "GPU capacity; node pool limit; selector, tolerations.",
        alarm=True,
    )
    CONTAINER_CONFIG_FAILED = reasons.Reason(
        "ContainerConfigFailed",
        False,
        "With `diagnostics.pods`: the container cannot be made.",
        "The message names what lacks: most often a Secret of `envFromSecrets`.",
        alarm=True,
    )
    IMAGE_PULL_FAILED = reasons.Reason(
        "ImagePullFailed",
        False,
        "With `diagnostics.pods`: the image cannot be pulled.",
        "`engine.image`, `imageRegistry`, `imagePullSecrets`.",
        alarm=True,
    )
    CRASH_LOOPING = reasons.Reason(
        "CrashLooping",
        False,
        "With `diagnostics.pods`: the engine's last words.",
        "The message ends with why. Often: KV cache smaller than one sequence of"
        " `contextWindow`; quantization that contradicts the checkpoint; `contextWindow` above"
        " the model's; LoRA rank above `maxLoraRank`.",
        alarm=True,
    )


def compose(now: situations.Situation) -> Iterator[assembly.Part]:
    """Yields the PodDisruptionBudget and the workload."""
    plan, rollout = now.plan, now.rollout
    if not now.withheld or now.world.get("pdb") is not None:
        # Once observed it stays, with its annotations: the workload may be created from them again.
        budget = disruption_budget(
            plan.identity, rollout.budget_annotations, spans=plan.hardware.split.spans
        )
        yield assembly.Part("pdb", budget)
    if rollout.template is None:
        return
    manifest = plan.workload.manifest(
        plan.identity,
        rollout.template,
        replacement=plan.replacement,
        deadline_seconds=rollout.running.start_seconds + lifetimes.NODE_AND_IMAGE,
        replicas=now.count.replicas,
        annotations=rollout.annotations,
        labels=queues.labels(plan.spec),
        members=workload.Members(rollout.running.pods, plan.hardware.gpu.group_topology),
    )
    manifest = renderings.patched(plan, manifest)
    if now.count.version is not None:
        manifest["metadata"]["resourceVersion"] = now.count.version
    yield assembly.Part(plan.workload.SUFFIX, manifest, _verdict(now), finished=True)


def disruption_budget(
    who: identity.Identity, annotations: dict[str, str], *, spans: bool
) -> identity.Manifest:
    """Returns the PodDisruptionBudget.

    With one replica `minAvailable: 1` would block every node drain for ever. A pod that is not
    ready serves no request and may always be evicted.

    Of replicas of several pods all pods count: one that is evicted takes its group with it, and
    while the group is not ready no pod of another may follow.
    """
    selector: identity.Manifest = {"matchLabels": who.labels()}
    if spans:
        selector = {"matchLabels": {identity.GROUP_LABEL: who.name}}
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": who.metadata(annotations=annotations or None),
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": selector,
        },
    }


def _verdict(now: situations.Situation) -> readiness.Readiness:
    state = now.rollout.state
    if state is None:
        return readiness.NOT_CREATED
    if state.serves:
        return readiness.READY
    asleep = now.plan.suspended or now.plan.scaling.minimum == 0
    if asleep and state.wanted == 0:
        return readiness.READY
    return readiness.Readiness(False, "NoReplica", "no replica is available")


def conditions(
    now: situations.Situation, desired: assembly.Desired
) -> Iterator[observed.Condition]:
    """Yields Current and EngineReady."""
    yield _current(now)
    absent = desired.lacking(EngineReady.type())
    if absent is not None:
        yield EngineReady.KIND_MISSING.condition(f"the cluster has no {absent}: install it")
    else:
        yield _engine(now)


def _current(now: situations.Situation) -> observed.Condition:
    """Current: what the claim now says is what serves."""
    rollout, state = now.rollout, now.rollout.state
    if now.plan.suspended:
        return Current.SUSPENDED.condition("the claim is suspended")
    if now.withheld:
        return Current.NOT_SERVING.condition("nothing runs yet")
    if rollout.hold is not None:
        return Current.named(rollout.hold.reason).condition(rollout.hold.message)
    if state is None:
        return Current.NOT_SERVING.condition("nothing runs yet")
    if not rollout.applied or not state.settled:
        words = now.plan.replacement.words
        return Current.ROLLING_OUT.condition(f"pods are moving to what the claim says: {words}")
    stored = now.plan.storage
    pending = set(stored.hot) - set(now.ledger.ready(stored, stored.hot))
    if pending:
        names = ", ".join(sorted(one.name for one in pending))
        return Current.ADAPTERS_PENDING.condition(f"pods load once they are verified: {names}")
    if state.wanted == 0 and now.plan.scaling.minimum == 0:
        return Current.IDLE.condition("no replica runs; the next one starts as the claim says")
    if not state.serves:
        return Current.NOT_SERVING.condition("no replica is available")
    return Current.SERVING.condition("what the claim says is what serves")


def _engine(now: situations.Situation) -> observed.Condition:
    plan, state = now.plan, now.rollout.state
    if now.rollout.serves:
        return EngineReady.SERVING.condition("at least one replica serves")
    if plan.suspended:
        ends = state is not None and state.wanted > 0
        words = "its replicas have still to go" if ends else "no replica runs"
        return EngineReady.SUSPENDED.condition(f"the claim is suspended: {words}")
    if now.withheld:
        if plan.misfit is not None:
            return EngineReady.named(plan.misfit.reason).condition(plan.misfit.message)
        if now.ledger.verified and now.guards.serving is not None:
            return EngineReady.POLICY_PENDING.condition(
                f"no pod starts before its network policy protects it: {now.guards.serving}"
            )
        what = "pod starts" if plan.hardware.without_gpu else "GPU is asked for"
        return EngineReady.WEIGHTS_PENDING.condition(f"no {what} before the weights are there")
    if state is None:
        return EngineReady.CREATING.condition(f"the {plan.workload.KIND} is being created")
    if state.wanted == 0:
        if plan.scaling.minimum == 0:
            return EngineReady.IDLE.condition("no replica runs: a request wakes one")
        return EngineReady.SCALED_TO_ZERO.condition("the autoscaler has not started a replica yet")
    if now.trouble is not None:
        return EngineReady.named(now.trouble.reason).condition(now.trouble.message)
    if state.stuck is not None:
        return EngineReady.PROGRESS_DEADLINE_EXCEEDED.condition(
            f"no replica became ready in time: {state.stuck}"
        )
    queue = queues.labels(plan.spec).get(queues.QUEUE)
    first = "node" if queue is None else f"quota of the queue {queue}, node"
    last = "warm-up" if plan.serving.outlook is None else "compilation"
    words = f"a replica is starting: {first}, image, weights, {last}"
    if state.ran:
        words = f"a replica is starting, or starts again: {first}, image, weights, {last}, a crash"
    return EngineReady.STARTING.condition(words)
