"""The AI gateway's route to the model, and whether routes reach it."""

from collections.abc import Iterator

from function import assembly, memo
from function.cluster import observed, routes
from function.concerns import addresses, providers, reasons
from function.concerns.gateway import (
    envoy_ai_gateway,
    fallback,
    gates,
    native_picker,
    outsiders,
    picker,
    traffic_policies,
)
from function.engines import engine
from function.planning import identity
from function.planning import pickers as planned
from function.situation import pickers, renames, rivals, situations

PROVIDERS = providers.table("gateway", {"envoy-ai-gateway": envoy_ai_gateway})
# The headless Service's own component label: the scrape selects Services by the four labels, and
# two that match would scrape each pod twice.
ENDPOINTS = "inference-endpoints"
_OF_THE_PICKER = {
    pickers.RELEASE: "which installs the endpoint picker",
    pickers.POOL: "from which the endpoint picker picks",
    "picker-rewrite": "by which the endpoint picker shares requests out to canaries",
}


class RouteReady(reasons.Reasons):
    """Reasons of RouteReady."""

    PUBLISHED = reasons.Reason(
        "Published",
        True,
        "Gateway and route objects are accepted, and a replica has served, or the claim may sleep"
        " and its requests wake it.",
    )
    NOT_REQUESTED = reasons.Reason(
        "NotRequested",
        True,
        "The claim asks for no route.",
    )
    NOT_PROVIDED = reasons.Reason(
        "NotProvided",
        False,
        "The claim asks for a gateway or route, and the settings have no provider of it.",
        "Set `providers.gateway` or `providers.route`, or take it out of the claim.",
    )
    KIND_MISSING = reasons.Reason(
        "KindMissing",
        False,
        "A kind is not installed; the message names it.",
        "Install it ([a kind that is installed later](#a-kind-that-is-installed-later)), or switch"
        " the provider off.",
        alarm=True,
    )
    WITHHELD = reasons.Reason(
        "Withheld",
        False,
        "The AI gateway's route is published with the Deployment.",
        "Wait for the weights ([WeightsReady](#weightsready)).",
    )
    NOT_SERVING = reasons.Reason(
        "NotServing",
        False,
        "The AI gateway's route is accepted, and no replica has served yet: requests get 503.",
        "Wait for `Serving` ([EngineReady](#engineready)).",
    )
    NAME_TAKEN = reasons.Reason(
        "NameTaken",
        False,
        "A route of another claim has one of the model names on this gateway; the message names"
        " both. A new claim is not published then, a published one without the name. What an"
        " earlier version published stays.",
        "Rename the claim or the adapter, or remove the other one: the route is published within"
        " ten minutes.",
        alarm=True,
    )
    FALLBACK_ABSENT = reasons.Reason(
        "FallbackAbsent",
        False,
        "The claim is published, and the claim of `gateway.fallback` is not there, not on the"
        " gateway, suspended, or has nothing composed yet; or its provider is none of the"
        " InferenceGateway, or cannot answer chat completions; or the claim makes vectors, and"
        " another model would. The message says which. The route does without it.",
        "Mend the other claim or the InferenceGateway, name another one, or take the field away."
        " The route follows within ten minutes.",
        alarm=True,
    )
    CANARY_RISING = reasons.Reason(
        "CanaryRising",
        True,
        "The claim is published, and the weight of a canary with `gate` rises by steps; the message"
        " says which step is judged.",
    )
    CANARY_WAITS = reasons.Reason(
        "CanaryWaits",
        True,
        "The claim is published, and a step of a canary cannot be judged yet; the message says why."
        " Its weight stays until it can.",
        "Too few requests: wait, or lower `gate.minRequests`. No evaluation: see the front door's"
        " `EvalsReady`. A base model that fails as often: look at its own alerts.",
    )
    CANARY_ROLLED_BACK = reasons.Reason(
        "CanaryRolledBack",
        False,
        "The claim is published, and a step of a canary broke: its weight is 0. The adapter is"
        " still served under its own name.",
        "The log of the failed Job has the figures"
        " ([InferenceServiceCanaryRolledBack](#inferenceservicecanaryrolledback)). Then change"
        " the adapter, its weight or its gate, or raise `gate.generation` for another try.",
        alarm=True,
    )
    CANARY_BLIND = reasons.Reason(
        "CanaryBlind",
        False,
        "The claim is published, and the metrics store does not answer the Job that judges a"
        " canary. The weight stays.",
        "`canaryGates.queryURL` (or `scaling.serverAddress`), `canaryGates.store` and the store"
        " itself.",
        alarm=True,
    )
    CANARY_STUCK = reasons.Reason(
        "CanaryStuck",
        False,
        "The claim is published, and the Job that judges a canary failed by itself, or is none of"
        " this function. The weight goes back to the last step that held.",
        "`kubectl -n llm describe job -l app.kubernetes.io/instance=N`, and its log; an older"
        " preload image has no such program. Who else may write Jobs there, or"
        " [mutates them](canaries.md#when-a-canary-was-taken-back)? Then raise `gate.generation`.",
        alarm=True,
    )
    GATES_WITHHELD = reasons.Reason(
        "GatesWithheld",
        False,
        "The claim is published, and the settings let nothing judge its canaries. Each keeps the"
        " last step that held; a new one has no weight.",
        "Set `canaryGates.store` or `canaryGates.egressCidrs` in the settings.",
        alarm=True,
    )
    UNRESOLVED = reasons.Reason(
        "Unresolved",
        False,
        "An object is not accepted; the message is its controller's.",
        "`kubectl -n llm describe` the kind that the message names; the parent Gateway and its"
        " listeners; a hand-made route of the same name.",
    )


def compose(now: situations.Situation) -> Iterator[assembly.Part]:
    """Yields what publishes the model on the gateway, and its endpoint picker."""
    provider = PROVIDERS.get(now.plan.site.providers.gateway)
    if provider is None:
        return
    if now.plan.ways.gateway:
        yield from _backend(now)
        yield from _backends_by_model(now)
        yield from fallback.compose(now)
        yield from outsiders.compose(now)
        yield from _route(now)
        yield from gates.compose(now)
    yield from _picker(now)


def _picker(now: situations.Situation) -> Iterator[assembly.Part]:
    """Yields what the endpoint picker is made of, and how it shares requests out."""
    provider = now.traffic.picking.provider
    if provider == planned.HELM_RELEASE:
        yield assembly.Part(pickers.RELEASE, picker.release(now.plan))
    elif provider is not None:
        yield from native_picker.parts(now.plan)
    if provider is not None and envoy_ai_gateway.canaries(now.plan):
        yield assembly.Part("picker-rewrite", picker.rewrite(now.plan, now.traffic.adapters))


def _backend(now: situations.Situation) -> Iterator[assembly.Part]:
    """Yields the Backend, and the headless Service that it names when traffic must spread.

    The Backend takes the headless name only once that Service exists, and the Service goes only
    when no Backend names it any more: core applies objects in random order. The same holds for the
    name that the Service had until 1.1.

    While a claim that may sleep has no replica, the Backend names the ClusterIP Service: it refuses
    connections, and Envoy tries those again. A headless name without pods has no address, and
    Envoy answers 503 at once (its router.cc, sendNoHealthyUpstreamResponse). DNS has the address of
    a replica a moment after the replica is ready, so the name changes only with the second answer
    that finds it serving.
    """
    plan, world = now.plan, now.world
    service, former_service = plan.identity.pods_name, f"{plan.identity.name}-pods"
    headless = envoy_ai_gateway.host_of(plan, service)
    former = envoy_ai_gateway.host_of(plan, former_service)
    hosts = now.traffic.hosts
    if plan.spreads or headless in hosts:
        verdict = renames.verdict(world, "service-pods", "service-headless")
        manifest = pods_service(plan.identity, service, plan.engine)
        yield assembly.Part("service-headless", manifest, verdict)
    if former in hosts:
        yield assembly.Part(
            "service-pods", pods_service(plan.identity, former_service, plan.engine)
        )
    born = world.get("gateway-backend") is None
    asleep = plan.awaits and not now.rollout.reported_serving
    host = envoy_ai_gateway.service_host(plan)
    if plan.spreads and not asleep:
        if born or headless in hosts or world.get("service-headless") is not None:
            host = headless
        elif former in hosts:
            host = former
    yield assembly.Part("gateway-backend", envoy_ai_gateway.backend(plan, host))


@memo.per_plan
def pods_service(who: identity.Identity, name: str, served: engine.Engine) -> identity.Manifest:
    """Returns the headless Service whose name resolves to every ready pod.

    Behind a ClusterIP name Envoy sees one endpoint and cannot spread by load.
    """
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": who.metadata(name, component=ENDPOINTS),
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "None",
            "selector": who.labels(),
            "ports": [addresses.service_port(served.PORT)],
        },
    }


def _backends_by_model(now: situations.Situation) -> Iterator[assembly.Part]:
    """Yields the AIServiceBackend of the base model, and of each canary.

    Those that the observed route still names stay, 0.9.0's by index included: core deletes before
    it applies, and a route that names a missing backend fails as a whole.
    """
    plan = now.plan
    base = envoy_ai_gateway.ai_service_backend(plan, plan.identity.name)
    yield assembly.Part("gateway-aiservicebackend", base)
    suffixes = set()
    for adapter, _ in envoy_ai_gateway.canaries(plan):
        name = envoy_ai_gateway.canary_name(plan, adapter)
        suffix = envoy_ai_gateway.canary_key_suffix(adapter)
        suffixes.add(suffix)
        former = envoy_ai_gateway.former_canary_key_suffix(adapter)
        verdict = renames.verdict(now.world, former, suffix)
        yield assembly.Part(suffix, envoy_ai_gateway.ai_service_backend(plan, name), verdict)
    for of in (envoy_ai_gateway.canary_key_suffix, envoy_ai_gateway.former_canary_key_suffix):
        for suffix, resource in now.world.starting(of("")):
            name = str(observed.at(resource, "metadata", "name"))
            if suffix not in suffixes and name in now.traffic.named["AIServiceBackend"]:
                yield assembly.Part(suffix, envoy_ai_gateway.ai_service_backend(plan, name))


def _former(now: situations.Situation) -> frozenset[str]:
    """Returns the canaries of which the route must still name the backend by its former name."""
    plan, named = now.plan, now.traffic.named["AIServiceBackend"]
    return frozenset(
        adapter
        for adapter, _ in envoy_ai_gateway.canaries(plan)
        if envoy_ai_gateway.former_canary_name(plan, adapter) in named
        and now.world.get(envoy_ai_gateway.canary_key_suffix(adapter)) is None
        and now.world.get(envoy_ai_gateway.former_canary_key_suffix(adapter)) is not None
    )


def _canaries_there(now: situations.Situation) -> frozenset[str]:
    """Returns the canaries whose backend is observed, under its name or its former one."""
    names = (envoy_ai_gateway.canary_key_suffix, envoy_ai_gateway.former_canary_key_suffix)
    return frozenset(
        adapter
        for adapter, _ in envoy_ai_gateway.canaries(now.plan)
        if any(now.world.get(suffix(adapter)) is not None for suffix in names)
    )


def _route(now: situations.Situation) -> Iterator[assembly.Part]:
    """Yields the route and the policy on it, once the route is published."""
    plan, traffic = now.plan, now.traffic
    if not traffic.published:
        return
    names = traffic.names
    route = envoy_ai_gateway.ai_gateway_route(
        plan,
        traffic.adapters,
        _former(now),
        there=_canaries_there(now),
        pool=traffic.picking.pooled,
        refused=names.refused,
        mark=names.mark,
        fallback=_named(now),
        gated=now.gates.weights,
        places=routes.places(now.world.get("gateway-airoute")),
        held=now.gates.held if envoy_ai_gateway.canaries(plan) else None,
    )
    yield assembly.Part("gateway-airoute", route)
    policy = (
        traffic_policies.pool_traffic_policy(plan)
        if traffic.picking.pooled
        else traffic_policies.traffic_policy(
            plan,
            fallback=traffic.fallback.named,
            outside=traffic.fallback.named and traffic.fallback.outside is not None,
        )
    )
    yield assembly.Part("backendtrafficpolicy", policy)


def _named(now: situations.Situation) -> tuple[str, str] | None:
    """Returns the backend of the fallback and its name for the model, where the route names it."""
    chosen, who = now.traffic.fallback, now.plan.identity
    if not chosen.named:
        return None
    if chosen.outside is not None:
        return who.outside(chosen.outside.provider.name), chosen.outside.model
    assert chosen.claim is not None
    return envoy_ai_gateway.fallback_name(now.plan, chosen.claim), chosen.claim


def conditions(
    now: situations.Situation, desired: assembly.Desired
) -> Iterator[observed.Condition]:
    """Yields RouteReady, which speaks for the plain route too."""
    yield _condition(now, desired)


def _condition(now: situations.Situation, desired: assembly.Desired) -> observed.Condition:
    plan, kind = now.plan, RouteReady.type()
    asked = {
        "gateway": plan.spec.gateway is not None and plan.spec.gateway.enabled is True,
        "route": plan.spec.route is not None and plan.spec.route.enabled is True,
    }
    if not any(asked.values()):
        return RouteReady.NOT_REQUESTED.condition("the claim asks for no route")
    have = {"gateway": plan.ways.gateway, "route": plan.ways.route}
    for way, wanted in asked.items():
        if wanted and not have[way]:
            return RouteReady.NOT_PROVIDED.condition(f"the settings have no provider of {way}")
    absent = desired.lacking(kind)
    if absent is not None:
        return RouteReady.KIND_MISSING.condition(_missing(absent, desired))
    if now.traffic.names.taken is not None:
        return RouteReady.NAME_TAKEN.condition(_taken(now.traffic.names))
    if plan.ways.gateway and not now.traffic.published:
        words = f"the route is published with the {plan.workload.KIND}"
        return RouteReady.WITHHELD.condition(words)
    waits = desired.waits(kind)
    if waits is not None:
        return RouteReady.UNRESOLVED.condition(waits)
    if plan.ways.gateway and not now.traffic.served and not plan.scaling.wakes:
        words = "the route is accepted, and no replica has served yet"
        return RouteReady.NOT_SERVING.condition(words)
    trouble, gate = now.traffic.fallback.trouble, gates.verdict(now)
    member = None if gate is None else RouteReady.named(gate[0])
    if trouble is not None and (member is None or not member.reason.alarm):
        return RouteReady.FALLBACK_ABSENT.condition(trouble)
    if gate is not None and member is not None:
        return member.condition(gate[1] if trouble is None else f"{gate[1]}; {trouble}")
    picking = now.traffic.picking
    if plan.ways.picker and not picking.pooled and picking.waits is not None:
        return RouteReady.PUBLISHED.condition(
            "the routes are accepted; requests go to pods by their load alone until the endpoint"
            f" picker is there: {picking.waits}"
        )
    left_out = f"; {plan.picker.left_out}" if plan.picker.left_out else ""
    return RouteReady.PUBLISHED.condition(f"the routes are accepted{left_out}")


def _taken(names: rivals.Names) -> str:
    if names.withholds:
        outcome = "nothing of this claim is published"
    elif names.stays:
        outcome = "this claim publishes it too, as before, and the gateway chooses"
    else:
        outcome = "this claim does not publish it"
    return (
        f"another route on this gateway has the model {names.taken}: {outcome}; rename the claim or"
        " the adapter"
    )


def _missing(absent: str, desired: assembly.Desired) -> str:
    for suffix, missing in desired.missing.items():
        if missing == absent and suffix in _OF_THE_PICKER:
            return (
                f"the cluster has no {absent}, {_OF_THE_PICKER[suffix]}: install it, or switch"
                " spec.gateway.endpointPicker off"
            )
    return reasons.missing(absent, "gateway or route")
