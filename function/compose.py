"""From claim, settings and observed state to everything that serves the model.

`compose` reads like a table of contents: plan, weights, rollout, then one step for each concern,
then the report. It is pure: no clock, network, file, environment or random number; the same input
gives the same answer in any process.
"""

from function import canonical, composition, readiness, report
from function import draft as drafts
from function import observed as world
from function import plan as plans
from function import weights as weight_states
from function.api import claim, settings
from function.resources import (
    deployment,
    gateway,
    meta,
    monitoring,
    patches,
    policy,
    route,
    scaler,
    secrets,
    service,
)


def compose(
    resource: claim.InferenceService, site: settings.Settings, observed: world.Observed
) -> composition.Composition:
    """Returns everything that the claim becomes.

    Raises:
        base.InvalidError: The claim asks for what cannot or must not be composed.
    """
    draft = drafts.Draft(plans.make(resource, site), observed)
    _identity(draft)
    _policies(draft)
    _download(draft)
    _clean_up(draft)
    _engine(draft)
    _scaling(draft)
    _monitoring(draft)
    _secrets(draft)
    _route(draft)
    _gateway(draft)
    _picker(draft)
    return report.finish(draft)


def _identity(draft: drafts.Draft) -> None:
    draft.patched("serviceaccount", service.service_account(draft.plan))
    draft.patched("service", service.service(draft.plan))


def _policies(draft: drafts.Draft) -> None:
    provider = draft.plan.site.providers.network_policy
    if provider == "none":
        return
    cilium = provider == "cilium"
    suffix = "cilium-netpol" if cilium else "networkpolicy"
    draft.add(suffix, policy.cilium(draft.plan) if cilium else policy.native(draft.plan))
    if draft.plan.preloads:
        draft.add(
            f"{suffix}-preload",
            policy.cilium_preload(draft.plan) if cilium else policy.native_preload(draft.plan),
        )
    if draft.plan.deletes:
        draft.add(
            f"{suffix}-cleanup",
            policy.cilium_cleanup(draft.plan) if cilium else policy.native_cleanup(draft.plan),
        )


def _download(draft: drafts.Draft) -> None:
    if draft.job is None:
        return
    key, manifest = draft.job
    # Nor is a download beside an older model, one that sleeps included, a reason to call the claim
    # not ready: that is up to the Deployment.
    complete = draft.weights.job == weight_states.Weights.COMPLETE
    beside = draft.rollout.template is not None
    draft.add(
        key.removeprefix(f"{draft.plan.name}-"),
        manifest,
        verdict=readiness.Readiness(complete or beside, "Downloading", "downloading"),
    )


def _clean_up(draft: drafts.Draft) -> None:
    if draft.removal is None:
        return
    key, manifest = draft.removal
    # Nobody waits for free space.
    draft.add(key.removeprefix(f"{draft.plan.name}-"), manifest, verdict=readiness.READY)


def _engine(draft: drafts.Draft) -> None:
    rollout = draft.rollout
    if rollout.template is not None or draft.seen("pdb") is not None:
        # Seen once it stays, with what it remembers: the Deployment may be made again from it.
        budget = service.disruption_budget(draft.plan, rollout.text, rollout.claim_hash)
        draft.patched("pdb", budget)
    if rollout.template is None:
        return
    manifest = deployment.deployment(
        draft.plan, rollout.template, rollout.text, rollout.claim_hash, _replicas(draft)
    )
    patch = (draft.plan.spec.patches or {}).get("deployment")
    if patch is not None:
        manifest = patches.apply(draft.plan, "deployment", manifest)
        # The patch shaped the rendered template already; a held one it cannot touch.
        manifest["spec"]["template"] = rollout.template
    if "replicas" in manifest["spec"] and draft.plan.site.providers.autoscaler != "none":
        # A count that only bridges until the autoscaler writes one: what is applied here was
        # decided on an older look, and would undo a start that came in between. With the version
        # that was seen the API server refuses that, and core asks again.
        version = world.at(draft.seen("deployment"), "metadata", "resourceVersion")
        if version is not None:
            manifest["metadata"]["resourceVersion"] = version
    draft.add("deployment", manifest, verdict=_deployment_ready(draft))


def _replicas(draft: drafts.Draft) -> int | None:
    """Returns the replica count to emit, or None where a scaler owns it."""
    if draft.plan.site.providers.autoscaler == "none" or draft.unscaled:
        return 0 if draft.plan.suspended else draft.plan.scaling.minimum
    # Born asleep: without a count the API server would start one pod. Dropped for good once
    # the autoscaler has set it, or it would be reset to one.
    if draft.plan.scaling.minimum == 0 and not draft.scaled:
        return 0
    if draft.fixed and draft.deployment is not None:
        return draft.deployment.wanted
    return None


def _deployment_ready(draft: drafts.Draft) -> readiness.Readiness:
    seen = draft.deployment
    if seen is None:
        return readiness.NOT_SEEN
    if seen.serves:
        return readiness.READY
    asleep = draft.plan.suspended or draft.plan.scaling.minimum == 0
    if asleep and seen.wanted == 0:
        return readiness.READY
    return readiness.Readiness(False, "NoReplica", "no replica is available")


def _scaling(draft: drafts.Draft) -> None:
    if draft.plan.site.providers.autoscaler == "none":
        return
    if draft.rollout.template is None and draft.seen("scaledobject") is None:
        return
    verdict = None
    if draft.plan.suspended:
        paused = world.status_conditions(draft.seen("scaledobject") or {}).get("Paused")
        if paused is not None and paused.status == "True":
            verdict = readiness.READY
    manifest = patches.apply(draft.plan, "scaledobject", scaler.scaled_object(draft.plan))
    draft.add("scaledobject", manifest, verdict=verdict)


def _monitoring(draft: drafts.Draft) -> None:
    provider = draft.plan.site.providers.monitoring
    if provider == "none":
        return
    victoria = provider == "victoriametrics"
    draft.patched(
        "vmservicescrape" if victoria else "servicemonitor", monitoring.scrape(draft.plan)
    )
    draft.patched("vmrule" if victoria else "prometheusrule", monitoring.rules(draft.plan))


def _secrets(draft: drafts.Draft) -> None:
    if draft.plan.site.providers.secrets == "none":
        return
    for secret in draft.plan.spec.external_secrets or []:
        draft.add(f"externalsecret-{secret.name}", secrets.external_secret(draft.plan, secret))
    # Its Secret goes with an ExternalSecret: one that the running template names must stay.
    prefix = meta.key(draft.plan, "externalsecret-")
    for key in sorted(draft.observed.resources):
        name = key.removeprefix(prefix)
        if key.startswith(prefix) and key not in draft.resources and name in draft.secrets():
            spec = canonical.plain(world.at(draft.observed.resources[key], "spec"))
            draft.add(f"externalsecret-{name}", secrets.kept(draft.plan, name, spec))


def _route(draft: drafts.Draft) -> None:
    if draft.plan.route:
        draft.patched(route.key_suffix(draft.plan), route.http_route(draft.plan))


def _gateway(draft: drafts.Draft) -> None:
    if not draft.plan.gateway:
        return
    _backend(draft)
    draft.patched(
        "gateway-aiservicebackend", gateway.ai_service_backend(draft.plan, draft.plan.name)
    )
    for adapter, _ in gateway.canaries(draft.plan):
        name = gateway.canary_name(draft.plan, adapter)
        draft.add(gateway.canary_key_suffix(adapter), gateway.ai_service_backend(draft.plan, name))
    _named_canaries(draft)
    if not draft.published:
        return
    draft.patched(
        "gateway-airoute",
        gateway.ai_gateway_route(draft.plan, draft.adapters, pool=draft.uses_pool),
    )
    if not draft.uses_pool:
        draft.patched("backendtrafficpolicy", gateway.traffic_policy(draft.plan))


def _backend(draft: drafts.Draft) -> None:
    """Adds the Backend, and the headless Service that it names when traffic must spread.

    The name moves only to a Service that exists, and the Service goes only when no Backend
    names it any more: objects are applied in random order.

    While a claim that may sleep has no replica, the ClusterIP's name stands in: it refuses
    connections, and Envoy tries those again. A headless name without pods has no address, and
    Envoy answers 503 at once (its router.cc, sendNoHealthyUpstreamResponse). DNS learns of a
    replica a moment after it is ready, so the name moves only with the second look at it.
    """
    several = draft.plan.spreads
    headless, cluster = gateway.pods_host(draft.plan), gateway.service_host(draft.plan)
    named = {
        world.at(endpoint, "fqdn", "hostname")
        for endpoint in world.at(draft.seen("gateway-backend") or {}, "spec", "endpoints") or []
    }
    if several or headless in named:
        draft.patched("service-pods", service.pods_service(draft.plan))
    born = draft.seen("gateway-backend") is None
    asleep = draft.plan.awaits and not draft.known_to_serve
    there = born or headless in named or draft.seen("service-pods") is not None
    spread = several and not asleep and there
    draft.patched("gateway-backend", gateway.backend(draft.plan, headless if spread else cluster))


def _named_canaries(draft: drafts.Draft) -> None:
    """Keeps the canary backends that the observed route still names, 0.9.0's by index included.

    Core deletes before it applies, and a route that names a missing backend fails as a whole.
    """
    prefix = meta.key(draft.plan, gateway.canary_key_suffix(""))
    for key in sorted(draft.observed.resources):
        name = world.at(draft.observed.resources[key], "metadata", "name")
        named = name in draft.routed["AIServiceBackend"]
        if key.startswith(prefix) and named and key not in draft.resources:
            suffix = key.removeprefix(f"{draft.plan.name}-")
            draft.add(suffix, gateway.ai_service_backend(draft.plan, str(name)))


def _picker(draft: drafts.Draft) -> None:
    if not draft.plan.picker:
        return
    draft.patched("epp-helmrelease", gateway.picker_release(draft.plan))
    provider = draft.plan.site.providers.monitoring
    if provider != "none":
        victoria = provider == "victoriametrics"
        draft.patched(
            "epp-vmservicescrape" if victoria else "epp-servicemonitor",
            monitoring.picker_scrape(draft.plan),
        )
    network = draft.plan.site.providers.network_policy
    if network != "none":
        cilium = network == "cilium"
        draft.add(
            "epp-cilium-netpol" if cilium else "epp-networkpolicy",
            policy.cilium_picker(draft.plan) if cilium else policy.native_picker(draft.plan),
        )
