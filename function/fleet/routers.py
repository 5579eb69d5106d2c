"""Routing by meaning: a semantic router behind names of its own.

A request for such a name goes to the router's pods as to a provider, and comes back to the same
Gateway under the name of the model that was chosen, with the router's own key. So a router that is
down takes its names with it and nothing else, and what holds for the chosen model holds here too.
"""

from collections.abc import Iterator

from function import assembly, kinds
from function.cluster import observed, routes
from function.concerns import reasons
from function.concerns.gateway import credentials
from function.concerns.observability import watching
from function.fleet import (
    doors,
    policies,
    router_config,
    router_peers,
    router_pods,
    rows,
    situations,
)
from function.planning import identity


class SemanticRouterReady(reasons.Reasons):
    """Reasons of SemanticRouterReady."""

    NOT_REQUESTED = reasons.Reason("NotRequested", True, "There is no `semanticRouter`.")
    ROUTING = reasons.Reason(
        "Routing",
        True,
        "The router's names are published, and somebody answers each of its decisions.",
    )
    WRITTEN = reasons.Reason(
        "Written",
        True,
        "`configurationOnly`: the ConfigMap that the message names has the configuration.",
    )
    PARTLY = reasons.Reason(
        "Partly",
        True,
        "Nobody serves the model of a decision; the message names it. Its prompts are judged by the"
        " decisions after it, until somebody does.",
        "Correct the name, or wait for the claim.",
    )
    ELSEWHERE = reasons.Reason(
        "Elsewhere",
        True,
        "`spec.gateway` names a Gateway of somebody else, whose router is its own.",
    )
    NO_DEFAULT = reasons.Reason(
        "NoDefault",
        False,
        "Nobody serves the `default` of a name, which is not published; the message names both.",
        "The same.",
        alarm=True,
    )
    NAME_TAKEN = reasons.Reason(
        "NameTaken",
        False,
        "A claim or a provider serves one of the names, and has it; the message names it.",
        "Give the virtual model another `name`.",
        alarm=True,
    )
    NOT_PROVIDED = reasons.NO_AI_GATEWAY
    NO_IMAGE = reasons.Reason(
        "NoImage",
        False,
        "The settings have no images of the router and its proxy.",
        "Set `frontDoor.semanticRouter.image` and `proxyImage`, or use `configurationOnly`"
        " ([routing by meaning](front-door.md#routing-by-meaning)).",
        alarm=True,
    )
    KIND_MISSING = reasons.MISSING_KIND
    WAITING = reasons.Reason(
        "Waiting",
        False,
        "The names are published once the router's pods are ready and the Gateway knows their key."
        " They fetch the router's own models from the hub first.",
        "`kubectl -n llm describe pods -l app.kubernetes.io/component=semantic-router`: the Secret"
        " of `secretRef`, with the key `semantic-router`; the images; the way to the hub.",
    )
    UNRESOLVED = reasons.Reason(
        "Unresolved",
        False,
        "An object is not ready or not accepted; the message is its controller's. Whoever asks for"
        " one of the names gets 503 while no pod is ready; other models are not touched.",
        "The same, and `kubectl -n llm describe` the kind that the message names.",
        alarm=True,
    )


def compose(now: situations.Situation) -> Iterator[assembly.Part]:
    """Yields the router's objects: its policy before its pods, and its names last."""
    door, router = now.door, now.door.router
    if router is None or not now.routed:
        return
    if router.configuration_only:
        yield assembly.Part(rows.ROUTER_CONFIG, router_pods.configuration(now))
        return
    if not door.deploys_router:
        return
    yield assembly.Part(rows.ROUTER_CONFIG, router_pods.configuration(now))
    yield from _pods(now)
    yield assembly.Part(rows.ROUTER_BACKEND, backend(door))
    yield assembly.Part(rows.ROUTER_AI_BACKEND, ai_backend(door))
    if now.emits_router_route:
        yield assembly.Part(rows.ROUTER_ROUTE, route(now))


def _pods(now: situations.Situation) -> Iterator[assembly.Part]:
    door, own = now.door, router_pods.PODS
    yield from policies.parts(now, own, router_peers.reach)
    if policies.unguarded(now, own) is None or now.world.get(rows.ROUTER_PODS) is not None:
        yield assembly.Part(rows.ROUTER_PODS, router_pods.deployment(door))
    if door.site.front_door.semantic_router.replicas > 1:
        yield assembly.Part(rows.ROUTER_BUDGET, own.budget(door))
    yield assembly.Part(rows.ROUTER_SERVICE, router_pods.service(door))
    watched: watching.Provider | None = watching.PROVIDERS.get(door.site.providers.monitoring)
    if watched is not None:
        scrape = own.scrape(door, watched, router_pods.METRICS_PORT)
        yield assembly.Part(rows.ROUTER + watched.SCRAPE, scrape)


def backend(door: doors.Door) -> identity.Manifest:
    """Returns where the router's proxy is."""
    host = f"{door.identity.router_name}.{door.identity.namespace}.svc"
    address = {
        "hostname": f"{host}.{door.site.network.cluster_domain}",
        "port": router_config.PROMPTS,
    }
    return {
        "apiVersion": kinds.BACKEND.api_versions[0],
        "kind": kinds.BACKEND.name,
        "metadata": router_pods.PODS.metadata(door),
        "spec": {"endpoints": [{"fqdn": address}]},
    }


def ai_backend(door: doors.Door) -> identity.Manifest:
    """Returns what the router speaks."""
    return {
        "apiVersion": door.site.gateway.api_version,
        "kind": kinds.AI_BACKEND.name,
        "metadata": router_pods.PODS.metadata(door),
        "spec": {
            "schema": {"name": "OpenAI"},
            "backendRef": {
                "group": "gateway.envoyproxy.io",
                "kind": kinds.BACKEND.name,
                "name": door.identity.part(identity.ROUTER),
            },
            **(credentials.removed() if door.issuers else {}),
        },
    }


def route(now: situations.Situation) -> identity.Manifest:
    """Returns the route of the router's names."""
    door = now.door
    return {
        "apiVersion": door.site.gateway.api_version,
        "kind": kinds.AI_ROUTE.name,
        "metadata": router_pods.PODS.metadata(door),
        "spec": {
            "parentRefs": [
                {
                    "group": "gateway.networking.k8s.io",
                    "kind": kinds.GATEWAY.name,
                    "name": door.identity.name,
                    "namespace": door.identity.namespace,
                }
            ],
            "rules": [_rule(door, virtual.name) for virtual in now.routed],
        },
    }


def _rule(door: doors.Door, name: str) -> identity.Manifest:
    named = {"type": "Exact", "name": routes.MODEL_HEADER, "value": name}
    return {
        "matches": [{"headers": [named]}],
        "backendRefs": [{"name": door.identity.part(identity.ROUTER), "weight": 100}],
        # The AI gateway's own minute would cut long answers.
        "timeouts": {"request": f"{door.site.gateway.request_timeout_seconds}s"},
        "modelsOwnedBy": identity.ROUTER,
    }


def condition(now: situations.Situation, desired: assembly.Desired) -> observed.Condition:
    """Returns SemanticRouterReady."""
    door, asked = now.door, now.door.resource.spec.semantic_router
    if not door.own:
        return SemanticRouterReady.ELSEWHERE.condition(
            "the Gateway has a router of its own, or none"
        )
    if asked is None:
        return SemanticRouterReady.NOT_REQUESTED.condition("there is no semanticRouter")
    if not door.provided:
        return SemanticRouterReady.NOT_PROVIDED.condition(
            "the settings have no provider of gateway"
        )
    if not (asked.configuration_only or door.deploys_router):
        return SemanticRouterReady.NO_IMAGE.condition(
            "the settings have no frontDoor.semanticRouter.image and proxyImage"
        )
    absent = desired.lacking(SemanticRouterReady.type())
    if absent is not None:
        return SemanticRouterReady.KIND_MISSING.condition(
            reasons.missing(absent, _provider(absent))
        )
    if now.routed:
        waits = desired.waits(SemanticRouterReady.type())
        # A key that changes is known once all pods have it; those that have it already are refused.
        known = now.router_key == door.router_secret
        published = bool(asked.configuration_only) or (now.emits_router_route and known)
        if waits is not None and now.world.get(rows.ROUTER_ROUTE) is not None:
            return SemanticRouterReady.UNRESOLVED.condition(waits)
        if waits is not None or not published:
            words = waits or "the Gateway does not know the router's key yet"
            return SemanticRouterReady.WAITING.condition(words)
    return _decided(now)


def _provider(absent: str) -> str:
    """Returns the setting under `providers` that asks for a kind."""
    kind = absent.rpartition(" ")[2]
    return {
        kinds.CILIUM_POLICY.name: "networkPolicy",
        kinds.SERVICE_MONITOR.name: "monitoring",
        kinds.VM_SCRAPE.name: "monitoring",
    }.get(kind, "gateway")


def _decided(now: situations.Situation) -> observed.Condition:
    """Returns the condition of a router that is there, by what it decides."""
    taken = [virtual.name for virtual in now.virtuals if virtual.taken]
    if taken:
        return SemanticRouterReady.NAME_TAKEN.condition(f"somebody else serves {', '.join(taken)}")
    lacking = [virtual.name for virtual in now.virtuals if virtual.default is None]
    if lacking:
        words = f"nobody serves the default of {', '.join(lacking)}"
        return SemanticRouterReady.NO_DEFAULT.condition(words)
    without = [
        f"{choice.decision.name} ({virtual.name})"
        for virtual in now.virtuals
        for choice in virtual.choices
        if choice.model is None
    ]
    if without:
        words = f"nobody serves the model of {', '.join(without)}"
        return SemanticRouterReady.PARTLY.condition(words)
    router = now.door.router
    if router is not None and router.configuration_only:
        name = now.door.identity.part(identity.ROUTER)
        return SemanticRouterReady.WRITTEN.condition(f"ConfigMap {name} has the configuration")
    return SemanticRouterReady.ROUTING.condition("somebody answers every decision")
