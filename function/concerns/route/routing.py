"""The plain HTTP route to the engine, of a claim that asks for one."""

from collections.abc import Iterator

from function import assembly
from function.cluster import observed
from function.concerns import providers
from function.concerns.route import gateway_api
from function.situation import renames, situations

PROVIDERS = providers.table("route", {"gateway-api": gateway_api})


def compose(now: situations.Situation) -> Iterator[assembly.Part]:
    """Yields the route."""
    plan = now.plan
    provider = PROVIDERS.get(plan.site.providers.route)
    if provider is None or not plan.ways.route:
        return
    suffix = provider.suffix(plan)
    verdict = renames.verdict(now.world, provider.FORMER, suffix)
    yield assembly.Part(suffix, provider.http_route(plan, provider.name(plan)), verdict)
    if renames.stays(now.world, provider.FORMER, suffix):
        former = provider.http_route(plan, f"{plan.identity.name}-direct")
        yield assembly.Part(provider.FORMER, former)


def conditions(
    now: situations.Situation, desired: assembly.Desired
) -> Iterator[observed.Condition]:
    """Yields nothing: RouteReady speaks for this route and the gateway's together."""
    del now, desired
    yield from ()
