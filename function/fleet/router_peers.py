"""Who reaches the pods of a semantic router, and whom they reach."""

from function.api import settings_forms
from function.fleet import doors, policies, router_config, situations


def reach(now: situations.Situation, form: policies.Form) -> tuple[policies.Rules, policies.Rules]:
    """Returns the rules: the Gateway's proxies both ways, scrapers, names, and the hub at need."""
    door = now.door
    site, proxies = door.site, policies.proxies(door)
    callers = [
        policies.peer(door, proxies.namespace, dict(proxies.labels), router_config.PROMPTS),
        *(policies.named(door, one, router_config.METRICS) for one in site.network.scrapers),
    ]
    egress = [form.to_names(policies.names(door)), form.to_pods(proxies)]
    if fetches(now):
        egress += form.to_world(site.hub.egress_cidrs, _hub_ports(door))
    return [form.let_in(one) for one in callers], egress


def fetches(now: situations.Situation) -> bool:
    """Tells whether the router fetches models of its own: those that tell subjects."""
    return any(
        decision.when.domains is not None
        for virtual in now.routed
        for decision, _ in virtual.decided
    )


def _hub_ports(door: doors.Door) -> list[int]:
    hub = door.site.hub
    named = [settings_forms.port(url) for url in (hub.endpoint, hub.proxy) if url is not None]
    return [443, hub.egress_port, *named]
