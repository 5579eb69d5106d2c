"""The proxy before a front door as objects, and what the front door says of it.

The policy of its pods comes before them. Pods that are there stay while the settings have the image
and the way to the database: without a model they list none.
"""

from collections.abc import Iterator

from function import assembly, kinds
from function.api import gateway_edge
from function.cluster import observed
from function.concerns import reasons
from function.concerns.observability import watching
from function.fleet import policies, rows, situations
from function.fleet.edge import litellm, peers, pods, wanted

# What each kind of proxy reads and runs as.
PROXIES = {"litellm": litellm}
if PROXIES.keys() != gateway_edge.Edge.model_fields.keys():
    raise ValueError(f"edge has {set(gateway_edge.Edge.model_fields)}, modules {set(PROXIES)}")

# So many names are in a message.
_MOST_NAMED = 8


class EdgeReady(reasons.Reasons):
    """Reasons of EdgeReady."""

    NOT_REQUESTED = reasons.Reason("NotRequested", True, "There is no `edge`.")
    SERVING = reasons.Reason(
        "Serving",
        True,
        "The proxy's pods are ready, with every model that its caller may use.",
    )
    WRITTEN = reasons.Reason(
        "Written",
        True,
        "`configurationOnly`: the ConfigMap that the message names has the configuration.",
    )
    PARTLY = reasons.Reason(
        "Partly",
        True,
        "The same, and the message names what is left out: an alias whose model the edge does not"
        " have; a model whose name an alias or LiteLLM itself has, or one beyond 1024; a caller"
        " with limits by hour or day, which LiteLLM does not know.",
        "Correct the alias, give the model another name, or let the caller call the Gateway.",
    )
    NOT_PROVIDED = reasons.NO_AI_GATEWAY
    NO_IMAGE = reasons.Reason(
        "NoImage",
        False,
        "The settings have no image of LiteLLM.",
        "Set `frontDoor.litellm.image`, or use `configurationOnly`"
        " ([another way in](front-door.md#another-way-in)).",
        alarm=True,
    )
    NO_DATABASE = reasons.Reason(
        "NoDatabase",
        False,
        "The settings do not say by which pods or networks the database is reached, and the pods'"
        " policy would shut it off.",
        "Set `frontDoor.litellm.database` or `egressCidrs`.",
        alarm=True,
    )
    KIND_MISSING = reasons.MISSING_KIND
    KEY_PENDING = reasons.Reason(
        "KeyPending",
        False,
        "The key of `edge.litellm.caller` is not fetched yet.",
        "[CallersReady](#callersready).",
    )
    NO_MODELS = reasons.Reason(
        "NoModels",
        False,
        "The caller may use no model that is published.",
        "[ModelsReady](#modelsready); `models` of the caller.",
    )
    WITHHELD = reasons.Reason(
        "Withheld",
        False,
        "The Gateway is not there yet, or the pods' network policy is not.",
        "Wait a moment; [GatewayReady](#gatewayready).",
    )
    UNRESOLVED = reasons.Reason(
        "Unresolved",
        False,
        "An object is not ready or not accepted; the message is its controller's. While no pod is"
        " ready nobody is answered at the edge; the Gateway answers as before.",
        "`kubectl -n llm describe pods -l app.kubernetes.io/component=edge`: the Secrets with"
        " `master-key` and `database-url` and with the caller's key; the image; the log says"
        " whether the database answers.",
    )


def compose(now: situations.Situation) -> Iterator[assembly.Part]:
    """Yields the proxy's objects: its policy before its pods."""
    given = wanted.edge(now)
    if given is None or _lacks(now, given) is not None:
        return
    door, there = now.door, now.world.get(rows.EDGE_PODS) is not None
    if not given.names and not there:
        return
    files = litellm.files(now, given)
    yield assembly.Part(rows.EDGE_CONFIG, pods.configuration(door, files))
    if given.spec.configuration_only:
        return
    yield from policies.parts(now, pods.PODS, peers.reach)
    if there or _waits(now, given) is None:
        yield assembly.Part(rows.EDGE_PODS, pods.deployment(door, given, files))
    if door.site.front_door.litellm.replicas > 1:
        yield assembly.Part(rows.EDGE_BUDGET, pods.PODS.budget(door))
    yield assembly.Part(rows.EDGE_SERVICE, pods.service(door))
    watched: watching.Provider | None = watching.PROVIDERS.get(door.site.providers.monitoring)
    if watched is not None:
        scrape = pods.PODS.scrape(door, watched, litellm.METRICS_PORT)
        yield assembly.Part(rows.EDGE + watched.SCRAPE, scrape)


def _lacks(now: situations.Situation, given: wanted.Edge) -> observed.Condition | None:
    """Returns what the settings lack, or None."""
    site = now.door.site.front_door.litellm
    if given.spec.configuration_only:
        return None
    if site.image is None:
        return EdgeReady.NO_IMAGE.condition("the settings name no frontDoor.litellm.image")
    guarded = now.door.site.providers.network_policy != "none"
    if guarded and site.database is None and not site.egress_cidrs:
        words = "the settings name no frontDoor.litellm.database and no egressCidrs"
        return EdgeReady.NO_DATABASE.condition(f"{words}: the database is shut off")
    return None


def _waits(now: situations.Situation, given: wanted.Edge) -> observed.Condition | None:
    """Returns what new pods wait for, or None."""
    if not given.names:
        return EdgeReady.NO_MODELS.condition(f"{given.caller.name} may use no published model")
    if given.spec.configuration_only:
        return None
    if given.caller.name in now.pending:
        words = f"the key is not fetched yet: {given.caller.name}"
        return EdgeReady.KEY_PENDING.condition(words)
    if now.world.get(rows.GATEWAY) is None:
        return EdgeReady.WITHHELD.condition("the Gateway is not there yet")
    unguarded = policies.unguarded(now, pods.PODS)
    return None if unguarded is None else EdgeReady.WITHHELD.condition(unguarded)


def condition(now: situations.Situation, desired: assembly.Desired) -> observed.Condition:
    """Returns EdgeReady."""
    if now.door.resource.spec.edge is None:
        return EdgeReady.NOT_REQUESTED.condition("there is no edge")
    given = wanted.edge(now)
    if given is None:
        return EdgeReady.NOT_PROVIDED.condition("the settings have no provider of gateway")
    lacks = _lacks(now, given)
    if lacks is not None:
        return lacks
    absent = desired.lacking(EdgeReady.type())
    if absent is not None:
        return EdgeReady.KIND_MISSING.condition(reasons.missing(absent, _provider(absent)))
    waits = _waits(now, given)
    if waits is not None:
        return waits
    unresolved = desired.waits(EdgeReady.type())
    if unresolved is not None:
        return EdgeReady.UNRESOLVED.condition(unresolved)
    left_out = _left_out(given)
    if left_out:
        return EdgeReady.PARTLY.condition(left_out)
    if given.spec.configuration_only:
        name = pods.PODS.metadata(now.door)["name"]
        return EdgeReady.WRITTEN.condition(f"ConfigMap {name} has the configuration")
    return EdgeReady.SERVING.condition("the proxy's pods are ready")


def endpoint(now: situations.Situation) -> str | None:
    """Returns the address of the edge, or None while it has no pods of the object's own."""
    asked = wanted.edge(now)
    if asked is None or asked.spec.configuration_only or now.world.get(rows.EDGE_PODS) is None:
        return None
    return pods.endpoint(now.door)


def _provider(absent: str) -> str:
    """Returns the setting under `providers` that asks for a kind."""
    kind = absent.rpartition(" ")[2]
    watches = (kinds.SERVICE_MONITOR.name, kinds.VM_SCRAPE.name)
    return "monitoring" if kind in watches else "networkPolicy"


def _left_out(given: wanted.Edge) -> str:
    """Returns in words what the edge does not have of what was asked for."""
    parts = {
        "aliases of no model": given.unserved,
        "names that are left out": given.hidden,
        "limits that LiteLLM has no form for": tuple(litellm.lost(given)),
    }
    return "; ".join(f"{words}: {_listed(names)}" for words, names in parts.items() if names)


def _listed(names: tuple[str, ...]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
