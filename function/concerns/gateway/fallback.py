"""The other claim behind this one's route: its Service, as a Backend of this claim's own."""

from collections.abc import Iterator

from function import assembly
from function.cluster import observed
from function.concerns.gateway import envoy_ai_gateway
from function.planning import identity, plans
from function.situation import fallbacks, situations


def compose(now: situations.Situation) -> Iterator[assembly.Part]:
    """Yields the objects by which the route reaches the fallback.

    Those that the observed route still names stay: core deletes before it applies.
    """
    plan, wanted = now.plan, now.traffic.fallback
    claims = {wanted.claim} if wanted.claim is not None and wanted.trouble is None else set()
    for suffix, resource in now.world.starting(fallbacks.AI_BACKEND):
        if observed.at(resource, "metadata", "name") in now.traffic.named["AIServiceBackend"]:
            claims.add(suffix.removeprefix(fallbacks.AI_BACKEND))
    for claim in sorted(claims):
        name = envoy_ai_gateway.fallback_name(plan, claim)
        yield assembly.Part(fallbacks.BACKEND + claim, _backend(plan, claim, name))
        yield assembly.Part(
            fallbacks.AI_BACKEND + claim,
            envoy_ai_gateway.ai_service_backend(plan, name, backend=name),
        )


def _backend(plan: plans.Plan, claim: str, name: str) -> identity.Manifest:
    """Returns the Backend of another claim's Service, which is there as long as that claim is.

    By its ClusterIP: the headless Service exists only while the other claim may have two pods.
    """
    return envoy_ai_gateway.backend(plan, envoy_ai_gateway.host_of(plan, claim), name)
