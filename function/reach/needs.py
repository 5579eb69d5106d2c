"""The flows that a claim needs, from what claim and settings ask for; no policy is looked at."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from function.api import settings_forms
from function.concerns.access import callers
from function.planning import plans
from function.reach import endpoints, places, policies

_DNS = (("UDP", 53), ("TCP", 53))


@dataclasses.dataclass(frozen=True)
class Need:
    """A flow that must pass, or the claim does less than it was asked for.

    Attributes:
        flow: The flow.
        why: What it is for, in words.
        field: Which field asks for it, of the claim (`spec. …`) or of the settings.
        remedy: What a person does where it is closed.
    """

    flow: policies.Hop
    why: str
    field: str
    remedy: str

    @property
    def of_settings(self) -> bool:
        """Whether the settings ask for it, and no field of the claim."""
        return not self.field.startswith("spec")


def of(plan: plans.Plan) -> tuple[Need, ...]:
    """Returns the needed flows of a claim, each once."""
    unique: dict[tuple[Any, ...], Need] = {}
    for need in (
        *_requests(plan),
        *_metrics(plan),
        *_picker(plan),
        *_gates(plan),
        *_own(plan),
    ):
        flow = need.flow
        key = (flow.source, flow.destination, flow.protocol, flow.port)
        unique.setdefault(key, need)
    return tuple(unique.values())


# --- requests


def _requests(plan: plans.Plan) -> Iterator[Need]:
    """Yields who asks the engine."""
    pods, port, spec = places.serving(plan), plan.engine.PORT, plan.spec
    raw = spec.network_policies
    let_in = "let it in by spec.networkPolicies.ingress, or name it in spec.access.from"
    if plan.ways.gateway:
        flow = policies.Hop(_proxies(plan), pods, port)
        yield Need(flow, "requests by the AI gateway", "spec.gateway", let_in)
    if plan.ways.route:
        yield _route(plan, let_in)
    for index, caller in enumerate(spec.access.from_ if spec.access is not None else []):
        source = places.named(caller.namespace or plan.identity.namespace, caller.pod_labels)
        flow = policies.Hop(source, pods, caller.port or port)
        yield Need(flow, "requests", f"spec.access.from[{index}]", "look at what denies it")
    if raw is not None and raw.ingress is not None:
        # Raw rules take the place of the callers that the settings name.
        yield from _raw(plan, raw.ingress)
        return
    for index, peer in enumerate(plan.site.network.callers):
        flow = policies.Hop(places.peer(plan, peer), pods, peer.port or port)
        yield Need(flow, "requests", f"network.callers[{index}]", "look at what denies it")
    if plan.site.providers.gateway != "none" and not plan.ways.gateway:
        flow = policies.Hop(_proxies(plan), pods, port)
        yield Need(flow, "requests by routes that somebody wrote", "gateway.parent", let_in)


def _proxies(plan: plans.Plan) -> endpoints.Endpoint:
    """Returns the AI gateway's proxies, by the labels that Envoy Gateway gives them."""
    proxies = callers.gateway_proxies(plan)
    return endpoints.pod("AI gateway", proxies.namespace, dict(proxies.labels))


def _route(plan: plans.Plan, remedy: str) -> Need:
    """Returns the route's proxies; where the settings name none, those of its Gateway."""
    route, pods, field = plan.site.route, places.serving(plan), "spec.route"
    if route.proxy is not None:
        source = places.peer(plan, route.proxy, "proxies of the route's Gateway")
        flow = policies.Hop(source, pods, route.proxy.port or plan.engine.PORT)
        return Need(flow, "requests by the route", field, remedy)
    name = f"proxies of the Gateway {route.parent.name}"
    flow = policies.Hop(endpoints.pod(name, route.parent.namespace), pods, plan.engine.PORT)
    remedy = f"set route.proxy in the settings, which names the proxies' pods; or {remedy}"
    return Need(flow, "requests by the route", field, remedy)


def _raw(plan: plans.Plan, rules: Sequence[Mapping[str, Any]]) -> Iterator[Need]:
    """Yields the pods that raw rules name by labels, on the ports that they name."""
    if plan.ways.left_out:
        return
    for index, rule in enumerate(rules):
        ports = [one for part in rule.get("toPorts") or [] for one in part.get("ports") or []]
        for selector in rule.get("fromEndpoints") or []:
            labels = {
                key.removeprefix("k8s:"): value
                for key, value in (selector.get("matchLabels") or {}).items()
            }
            if not labels or selector.get("matchExpressions"):
                continue  # Whoever it is: that is no need.
            namespace = labels.pop(endpoints.NAMESPACE, plan.identity.namespace)
            source = places.named(namespace, labels)
            for port in ports or [{"port": str(plan.engine.PORT)}]:
                if str(port.get("port")).isdecimal() and port.get("protocol", "TCP") == "TCP":
                    flow = policies.Hop(source, places.serving(plan), int(port["port"]))
                    field = f"spec.networkPolicies.ingress[{index}]"
                    yield Need(flow, "requests", field, "look at what denies it")


# --- metrics


def _metrics(plan: plans.Plan) -> Iterator[Need]:
    """Yields who reads the engine's metrics."""
    pods, given = places.serving(plan), plan.site.network.scrapers
    if plan.site.providers.monitoring == "none" and not given:
        return  # Whom the settings name scrapes by an object of the platform's own.
    scrapers = [
        (places.peer(plan, one), one.port, f"network.scrapers[{index}]")
        for index, one in enumerate(given)
    ] or [(endpoints.pod("a scraper that no setting names", ""), None, "network.scrapers")]
    remedy = "name the scraper's pods in network.scrapers"
    for source, port, field in scrapers:
        flow = policies.Hop(source, pods, port or plan.engine.PORT)
        yield Need(flow, "metrics: alerts, and what scales", field, remedy)
        if plan.ways.picker:
            flow = policies.Hop(source, places.picker(plan), callers.PICKER_METRICS)
            yield Need(flow, "the picker's metrics", field, remedy)


# --- the picker


def _picker(plan: plans.Plan) -> Iterator[Need]:
    if not plan.ways.picker:
        return
    pods, field = places.picker(plan), "spec.gateway.endpointPicker"
    remedy = "look at what denies it: behind a dead picker every request fails"
    flows = (
        (_proxies(plan), pods, callers.PICKER_EXT_PROC, "asks which pod answers"),
        (pods, places.serving(plan), plan.engine.PORT, "the metrics that it picks by"),
        (pods, places.API_SERVER, callers.API_SERVER[0], "which pods there are"),
        (places.NODE, pods, callers.PICKER_HEALTH, "probes"),
    )
    for source, destination, port, why in flows:
        yield Need(policies.Hop(source, destination, port), why, field, remedy)
    yield from _dns(plan, pods)


# --- the gates of canaries


def _gates(plan: plans.Plan) -> Iterator[Need]:
    """Yields what the pods that judge canaries ask: the metrics store, and names."""
    if not plan.gates:
        return
    pods, store = places.gate(plan), callers.metrics(plan)
    why, remedy = "what judges a canary", "set canaryGates.store or egressCidrs in the settings"
    if plan.site.canary_gates.store is not None and store.pods is not None:
        target = places.peer(plan, plan.site.canary_gates.store, "metrics store")
        flow = policies.Hop(pods, target, store.pods.port)
        yield Need(flow, why, "canaryGates.store", remedy)
    for index, network in enumerate(store.networks):
        flow = policies.Hop(pods, places.metrics(network), store.port)
        yield Need(flow, why, f"canaryGates.egressCidrs[{index}]", remedy)
    yield from _dns(plan, pods)


# --- the claim's own pods


def _own(plan: plans.Plan) -> Iterator[Need]:
    serving, raw = places.serving(plan), plan.spec.network_policies
    probes = policies.Hop(places.NODE, serving, plan.engine.PORT)
    yield Need(probes, "probes", "spec", "look at what denies it: no pod becomes ready")
    if raw is None or raw.egress is None:
        yield from _dns(plan, serving)
    if plan.hardware.split.spans:
        yield from _group(plan)
    yield from _store(plan, serving)
    if plan.storage.preloads:
        yield from _dns(plan, places.download(plan))
        yield from _downloads(plan)


def _store(plan: plans.Plan, pods: endpoints.Endpoint) -> Iterator[Need]:
    """Yields where the engine reads weights at each start, of source s3."""
    store = callers.store(plan, (plan.running.store,))
    if store is None:
        return
    field, remedy = "spec.model.uri", "set objectStore.pods or objectStore.egressCidrs"
    raw = plan.spec.network_policies
    if raw is not None and raw.egress is not None:
        remedy = "let it out by spec.networkPolicies.egress"
    for target in places.object_store(plan, store):
        yield Need(policies.Hop(pods, target, store.port), "weights, at each start", field, remedy)
    for index, pattern in enumerate(store.hosts):
        flow = policies.Hop(pods, places.host(pattern), 443)
        words = "a host that reading needs"
        yield Need(flow, words, f"objectStore.egressHosts[{index}]", remedy)
    for index, port in enumerate(store.node_ports):
        flow = policies.Hop(pods, places.NODE, port)
        words = "an agent on the node is reached under providers.networkPolicy: cilium alone"
        where = f"objectStore.egressHostPorts[{index}]"
        yield Need(flow, "an agent on the node", where, words)


def _group(plan: plans.Plan) -> Iterator[Need]:
    """Yields how the pods of one replica share its work: on the first port of each range."""
    leader, followers = places.serving(plan), places.followers(plan)
    remedy = "look at what denies it: no replica starts"
    for first, _ in plan.engine.GROUP_PORTS:
        for hop in (policies.Hop(followers, leader, first), policies.Hop(leader, followers, first)):
            yield Need(hop, "one replica's pods", "spec.gpu.parallelism", remedy)
    yield from _dns(plan, followers)
    yield from _store(plan, followers)


def _dns(plan: plans.Plan, pods: endpoints.Endpoint) -> Iterator[Need]:
    """Yields the questions to the cluster's DNS."""
    dns = plan.site.network.dns
    target = places.peer(plan, dns, "cluster DNS")
    for protocol, usual in _DNS:
        flow = policies.Hop(pods, target, dns.port or usual, protocol)
        yield Need(flow, "names", "network.dns", "name the DNS server's pods in network.dns")


def _downloads(plan: plans.Plan) -> Iterator[Need]:
    """Yields where the Job fetches weights."""
    pods, site = places.download(plan), plan.site
    remedy = "set hub.egressCidrs in the settings to the networks of mirror, proxy and content"
    if site.hub.proxy is not None:
        target, port = places.outside(plan, site.hub.proxy), settings_forms.port(site.hub.proxy)
        yield Need(policies.Hop(pods, target, port), "weights, by the proxy", "hub.proxy", remedy)
    elif site.hub.endpoint is not None:
        target = places.outside(plan, site.hub.endpoint)
        port = settings_forms.port(site.hub.endpoint)
        flow = policies.Hop(pods, target, port)
        yield Need(flow, "weights, from the mirror", "hub.endpoint", remedy)
    else:
        for target in (places.outside(plan, f"https://{places.HUB}"), places.CONTENT):
            flow = policies.Hop(pods, target, 443)
            yield Need(flow, "weights", "spec.model.repository", remedy)
    for index, pattern in enumerate(site.preload.egress_hosts):
        target = places.host(pattern.replace("{region}", site.region or ""))
        flow = policies.Hop(pods, target, 443)
        yield Need(flow, "a host that the Job needs", f"preload.egressHosts[{index}]", remedy)
    for index, port in enumerate(site.preload.egress_host_ports):
        flow = policies.Hop(pods, places.NODE, port)
        words = "an agent on the node is reached under providers.networkPolicy: cilium alone"
        yield Need(flow, "an agent on the node", f"preload.egressHostPorts[{index}]", words)
