"""What authors, platform owners and the world do to a claim, each under its name."""

import copy
from collections.abc import Callable
from typing import Any

from function.planning import identity
from tests.checker import oracle
from tests.checker import world as worlds

Object = dict[str, Any]
World = worlds.World
Change = Callable[[World], None]

FORGED = "Forged"
ACCEPT = "inference-service.cloud.ogenki.io/accept"
_REVISIONS = ("c03e6d358207e414f1eca0bb1891e29f1db0e242", "0" * 40, "main")
_ADAPTERS = [
    {"name": f"adapter-{letter}", "repository": f"org/{letter}", "revision": letter * 40}
    for letter in "abc"
]


# --- the author


def _model(**fields: Any) -> Change:
    def change(world: World) -> None:
        world.edit(model={**copy.deepcopy(world.claim["spec"]["model"]), **fields})

    return change


def _from(**source: Any) -> Change:
    """Moves the weights to another source; the model stays."""

    def change(world: World) -> None:
        moves = ("source", "image", "uri", "revision")
        model = {k: v for k, v in world.claim["spec"]["model"].items() if k not in moves}
        world.edit(model={**copy.deepcopy(model), **source})

    return change


def _spec(**fields: Any) -> Change:
    def change(world: World) -> None:
        world.edit(**copy.deepcopy(fields))

    return change


def _gateway(**fields: Any) -> Change:
    def change(world: World) -> None:
        world.edit(gateway={**world.claim["spec"].get("gateway", {}), **copy.deepcopy(fields)})

    return change


def _adapters(*indices: int, canary: int | None = None) -> Change:
    def change(world: World) -> None:
        chosen = [copy.deepcopy(_ADAPTERS[index]) for index in indices]
        weights: list[Object] = []
        if canary:
            weights.append({"adapter": _ADAPTERS[canary]["name"], "weightPercent": 20})
        gateway = {**world.claim["spec"].get("gateway", {}), "canaries": weights}
        world.edit(loraAdapters=chosen, gateway=gateway)

    return change


def _hot(*indices: int, cold: tuple[int, ...] = ()) -> Change:
    """Gives the claim adapters that pods load while they run, beside others."""

    def change(world: World) -> None:
        chosen: list[Object] = [copy.deepcopy(_ADAPTERS[index]) for index in cold]
        chosen += [{**_ADAPTERS[index], "hot": True} for index in indices]
        gateway = {**world.claim["spec"].get("gateway", {}), "canaries": []}
        world.edit(loraAdapters=chosen, gateway=gateway)

    return change


def _gated(weight: int = 20, **gate: Any) -> Change:
    """Gives a share to the last adapter that pods start with, by steps."""

    def change(world: World) -> None:
        adapters = [one for one in world.claim["spec"].get("loraAdapters", []) if "hot" not in one]
        canaries = [
            {"adapter": one["name"], "weightPercent": weight, "gate": {"steps": [5], **gate}}
            for one in adapters[-1:]
        ]
        _gateway(enabled=True, endpointPicker={"enabled": False}, canaries=canaries)(world)

    return change


def _another_try(world: World) -> None:
    canaries = copy.deepcopy(world.claim["spec"].get("gateway", {}).get("canaries", []))
    for canary in canaries:
        if "gate" in canary:
            canary["gate"]["generation"] = canary["gate"].get("generation", 0) + 1
    if canaries:
        _gateway(canaries=canaries)(world)


def _ungated(world: World) -> None:
    """A gate excludes a picker: whoever asks for one takes the gates away."""
    canaries = copy.deepcopy(world.claim["spec"].get("gateway", {}).get("canaries", []))
    for canary in canaries:
        canary.pop("gate", None)
    _gateway(enabled=True, endpointPicker={"enabled": True}, canaries=canaries)(world)


def _other_content(world: World) -> None:
    adapters = copy.deepcopy(world.claim["spec"].get("loraAdapters", []))
    for adapter in adapters[-1:]:
        adapter["revision"] = "f" * 40 if adapter.get("revision") != "f" * 40 else "e" * 40
    world.edit(loraAdapters=adapters)


def _scaling(low: int, high: int) -> Change:
    return _spec(scaling={"minReplicas": low, "maxReplicas": high})


def _try_again(world: World) -> None:
    preload = world.claim["spec"]["model"].get("preload", {})
    again = {"enabled": True, "generation": preload.get("generation", 0) + 1}
    _model(preload=again)(world)


def _accept(world: World) -> None:
    """Copies the token that the condition prints, as a person would."""
    for condition in world.claim.get("status", {}).get("conditions", []):
        if condition["type"] == "Current" and f"{ACCEPT}=" in condition["message"]:
            annotations = world.claim["metadata"].setdefault("annotations", {})
            annotations[ACCEPT] = condition["message"].rsplit("=", 1)[1]


def _accept_nothing(world: World) -> None:
    world.claim["metadata"].setdefault("annotations", {})[ACCEPT] = "00000000"


EDITS: dict[str, Change] = {
    "revision 0": _model(revision=_REVISIONS[0]),
    "revision 1": _model(revision=_REVISIONS[1]),
    "revision 2": _model(revision=_REVISIONS[2]),
    # One that fits a GPU in 16 bit too: the oracle knows of replicas that no node holds, and of no
    # model that is too large.
    "another repository": _model(repository="Qwen/Qwen3-8B", revision=_REVISIONS[2]),
    "from the hub": _from(revision=_REVISIONS[0]),
    "from an image": _from(source="oci", image="registry.example.com/m@sha256:" + "0a" * 32),
    "from a bucket": _from(source="s3", uri="s3://models/llm/m"),
    "quantization auto": _model(quantization="auto"),
    "quantization fp8": _model(quantization="fp8"),
    "more sequences": _model(maxNumSeqs=64),
    "preload generation": _try_again,
    "preload off": _model(preload={"enabled": False}),
    "preload on": _model(preload={"enabled": True}),
    "delete old weights": _model(retention="Delete"),
    "retain old weights": _model(retention="Retain"),
    "no adapter": _adapters(),
    "adapter 0": _adapters(0),
    "adapters 0 and 1, canary 1": _adapters(0, 1, canary=1),
    "adapters 1 and 2, canary 2": _adapters(1, 2, canary=2),
    "hot adapter 0": _hot(0),
    "hot adapters 0 and 1": _hot(0, 1),
    "hot adapter 2 beside 0": _hot(2, cold=(0,)),
    "scale 0 to 1": _scaling(0, 1),
    "scale 0 to 2": _scaling(0, 2),
    "scale 1 to 1": _scaling(1, 1),
    "scale 1 to 3": _scaling(1, 3),
    "scale 2 to 3": _scaling(2, 3),
    "suspend": _spec(suspend=True),
    "resume": _spec(suspend=False),
    "own arguments": _spec(engineArgs=["--max-num-batched-tokens=4096"]),
    "no own arguments": _spec(engineArgs=[]),
    "more memory than a node": _spec(cache={"kvOffload": {"enabled": True, "sizeGB": 400}}),
    "less memory": _spec(cache={"kvOffload": {"enabled": False}}),
    "gateway off": _gateway(enabled=False, endpointPicker={"enabled": False}),
    "gateway on": _gateway(enabled=True, endpointPicker={"enabled": False}),
    "gateway with picker": _ungated,
    "a gate of 20": _gated(),
    "a gate of 40": _gated(40, steps=[10]),
    "another try of the gate": _another_try,
    "another adapter of the name": _other_content,
    "plain route": _spec(route={"enabled": True, "hostname": "coder"}),
    "no plain route": _spec(route={"enabled": False}),
    "a secret": _spec(externalSecrets=[{"name": "hf-token-a", "remoteRef": "llm/b"}]),
    "no secret": _spec(externalSecrets=[]),
    "accept": _accept,
    "accept nothing": _accept_nothing,
}


# --- the platform


def _site(path: str, value: Any) -> Change:
    def change(world: World) -> None:
        if not world.environments:
            return
        target = world.environments[0]["data"]["inferenceService"]
        *way, last = path.split(".")
        for step in way:
            target = target.setdefault(step, {})
        target[last] = copy.deepcopy(value)

    return change


def _provider(concern: str, provider: str) -> Change:
    """The owner names another provider, and withdraws the others in words."""

    def change(world: World) -> None:
        _site(f"providers.{concern}", provider)(world)
        for environment in world.environments:
            providers = environment["data"]["inferenceService"]["providers"]
            used = {value for name, value in providers.items() if name != "withdrawn"}
            providers["withdrawn"] = sorted(set(oracle.PROVIDERS.values()) - used)

    return change


def _lost(*path: str) -> Change:
    """The settings come back without something, and nobody says why."""

    def change(world: World) -> None:
        for environment in world.environments:
            target = environment["data"]
            for step in path[:-1]:
                target = target[step]
            target[path[-1]] = {} if len(path) < 3 else "none"

    return change


SETTINGS: dict[str, Change] = {
    "engine 0.25.1": _site("engine.version", "0.25.1"),
    "engine 0.32.0": _site("engine.version", "0.32.0"),
    "another engine image": _site("engine.image", "example.com/vllm"),
    "debug log": _site("engine.logLevel", "DEBUG"),
    "immediate": _site("rollout.platformChanges", "Immediate"),
    "on claim change": _site("rollout.platformChanges", "OnClaimChange"),
    "another preload image": _site("preload.image", "example.com/preload:v2"),
    "another volume": _site("weights.claimName", "other-models"),
    "no autoscaler": _provider("autoscaler", "none"),
    "keda": _provider("autoscaler", "keda"),
    "native policies": _provider("networkPolicy", "kubernetes"),
    "cilium": _provider("networkPolicy", "cilium"),
    "no policies": _provider("networkPolicy", "none"),
    "another monitoring": _provider("monitoring", "prometheus-operator"),
    "no gateway": _provider("gateway", "none"),
    "a gateway": _provider("gateway", "envoy-ai-gateway"),
    "spare GPUs": _site("gpu.classes.l4.spare", True),
    "no spare GPUs": _site("gpu.classes.l4.spare", False),
    "small nodes": _site("gpu.classes.l4.nodeMemory", "20Gi"),
    "large nodes": _site("gpu.classes.l4.nodeMemory", "240Gi"),
    "no wake query": _site("scaling.wake", None),
    "no way to the metrics": _site("canaryGates", {}),
    "a way to the metrics": _site("canaryGates", worlds.METRICS),
    "read pods": _site("diagnostics.pods", True),
    "read no pods": _site("diagnostics.pods", False),
    "another label": _site("labels", {"example.com/team": "a"}),
}


# What makes the claim or the settings unusable, until it is undone.
SPOILS: dict[str, Change] = {
    "a managed flag": _spec(engineArgs=["--model=x"]),
    "an unknown class": _spec(gpu={"count": 1, "class": "none"}),
    "a path": _model(repository="../etc"),
    "a typing error in the settings": _site("typo", 1),
    "a class without sense": _site("gpu.classes.l4.nodeGpus", "many"),
    "no settings at all": _lost("inferenceService"),
    "no providers": _lost("inferenceService", "providers"),
    "a lost gateway": _lost("inferenceService", "providers", "gateway"),
    "lost policies": _lost("inferenceService", "providers", "networkPolicy"),
    "a lost autoscaler": _lost("inferenceService", "providers", "autoscaler"),
    "no EnvironmentConfig": lambda world: world.environments.clear(),
}


# --- the world


def _job(outcome: str) -> Change:
    return lambda world: world.run_job(outcome)


def _by_hand(kind: str) -> Change:
    """Somebody deletes an object, or its time to live does."""

    def change(world: World) -> None:
        for key in [k for k, item in world.objects.items() if item["kind"] == kind]:
            world.delete(key)

    return change


def _hand_scaled(count: int) -> Change:
    def change(world: World) -> None:
        if world.deployment is not None:
            world.scale(count, "kubectl")

    return change


def _forgotten(world: World) -> None:
    """Somebody removes our memory from both objects that have it."""
    for kind in ("Deployment", "PodDisruptionBudget"):
        for item in world.of_kind(kind):
            item["metadata"].get("annotations", {}).pop(identity.TEMPLATE_ANNOTATION, None)
    world.forgot = True


def _forgotten_canaries(world: World) -> None:
    """Somebody writes over the part of the status that remembers which steps held."""
    world.claim.get("status", {}).pop("canaries", None)


def _forged_canaries(world: World) -> None:
    """Somebody with rights on the status, and on nothing else, writes that every step held."""
    for record in world.claim.get("status", {}).get("canaries", []):
        record |= {"heldPercent": 99, "verdict": "Held", "reason": FORGED}


def _strangers_come(world: World) -> None:
    """Somebody makes objects of the names that the claim has not taken yet."""
    taken = {(item["kind"], item["metadata"]["name"]) for item in world.objects.values()}
    name = world.claim["metadata"]["name"]
    world.strangers = [
        {"apiVersion": version, "kind": kind, "metadata": {"name": name}}
        for version, kind in _STRANGERS
        if (kind, name) not in taken
    ]


_STRANGERS = (
    ("v1", "ServiceAccount"),
    ("v1", "Service"),
    ("policy/v1", "PodDisruptionBudget"),
    ("apps/v1", "Deployment"),
    ("keda.sh/v1alpha1", "ScaledObject"),
    ("aigateway.envoyproxy.io/v1beta1", "AIGatewayRoute"),
)


def _strangers_go(world: World) -> None:
    world.strangers = []


def _kinds(answers: str) -> Change:
    def change(world: World) -> None:
        world.answers = answers

    return change


def _refused(kind: str) -> Change:
    def change(world: World) -> None:
        for item in world.of_kind(kind):
            no = [{"type": "Accepted", "status": "False", "reason": "No", "message": "no"}]
            item["status"] = {"conditions": no, "parents": [{"conditions": no}]}

    return change


EVENTS: dict[str, Change] = {
    "the Job waits": _job("waits"),
    "the Job runs": _job("runs"),
    "the Job succeeds": _job("succeeds"),
    **{f"the Job fails with {code}": _job(str(code)) for code in (1, 2, 10, 11, 12, 13, 14, 15)},
    "a canary is judged": lambda world: world.judge("runs"),
    "a canary's step holds": lambda world: world.judge("holds"),
    "a canary's step breaks": lambda world: world.judge("20"),
    "a canary cannot be judged": lambda world: world.judge("30"),
    "what judges canaries crashes": lambda world: world.judge("crashes"),
    "the memory of canaries is lost": _forgotten_canaries,
    "somebody writes that canaries held": _forged_canaries,
    "the Deployment's controller acts": World.control,
    "a pod becomes ready": World.run_pods,
    "a pod crashes": lambda world: world.run_pods(bad=worlds.CRASHING),
    "no node for a pod": lambda world: world.run_pods(bad=worlds.UNSCHEDULABLE),
    "a node goes": World.lose_pod,
    "an outage": World.outage,
    "another outage": World.outage,
    "the rollout's deadline passes": World.give_up,
    "pods are shown": World.show_pods,
    "no load": lambda world: world.autoscale(0),
    "some load": lambda world: world.autoscale(1),
    "much load": lambda world: world.autoscale(3),
    "triggers fail": lambda world: world.report_scaler(ready="ScaledObjectCheckFailed"),
    "one trigger fails": lambda world: world.report_scaler(ready="PartialTriggerError"),
    "fallback": lambda world: world.report_scaler(fallback=True),
    "somebody scales to 2": _hand_scaled(2),
    "somebody scales to 0": _hand_scaled(0),
    "other controllers report": World.others,
    "the route is refused": _refused("AIGatewayRoute"),
    "deletions end": World.finish_deletions,
    "the Deployment is deleted": _by_hand("Deployment"),
    "the Job is deleted": _by_hand("Job"),
    "the ScaledObject is deleted": _by_hand("ScaledObject"),
    "the budget is deleted": _by_hand("PodDisruptionBudget"),
    "Services are deleted": _by_hand("Service"),
    "the route is deleted": _by_hand("AIGatewayRoute"),
    "the memory is lost": _forgotten,
    "strangers take the free names": _strangers_come,
    "strangers have gone": _strangers_go,
    "core answers about kinds": _kinds("all"),
    "core knows the kinds of every cluster": _kinds("plain"),
    "core answers nothing about kinds": _kinds("empty"),
    "core cannot be asked": _kinds("unasked"),
}
