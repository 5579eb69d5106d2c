"""Who reaches the pods before a front door, and whom they reach.

Callers reach the API, scrapers the metrics. The pods reach the Gateway's proxies, their database
and DNS.
"""

from function.fleet import policies, router_config, situations
from function.fleet.edge import litellm

_DATABASE_PORT = 5432


def reach(now: situations.Situation, form: policies.Form) -> tuple[policies.Rules, policies.Rules]:
    """Returns the rules for what comes in, and those for what goes out."""
    door = now.door
    site, own = door.site, door.site.front_door.litellm
    _, listener = router_config.gateway_address(door)
    database = _DATABASE_PORT if own.database is None else own.database.port or _DATABASE_PORT
    watched = site.network.scrapers if litellm.watched(door) else []
    callers = [
        policies.peer(door, None, {}, litellm.PORT),
        *(policies.named(door, one, litellm.PORT) for one in own.callers),
        *(policies.named(door, one, litellm.METRICS) for one in watched),
    ]
    called = [policies.proxies(door)]
    if own.database is not None:
        called.append(policies.named(door, own.database, database))
    egress = [*map(form.to_pods, called), form.to_names(policies.names(door))]
    if own.egress_cidrs:
        egress.append(form.to_networks(own.egress_cidrs, (listener, database)))
    return [form.let_in(one) for one in callers], egress
