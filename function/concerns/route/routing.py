"""The plain HTTP route to the engine, of a claim that asks for one."""

from collections.abc import Iterator

from function import assembly
from function.cluster import observed
from function.concerns import providers
from function.concerns.route import gateway_api
from function.situation import situations

PROVIDERS = providers.table("route", {"gateway-api": gateway_api})


def compose(now: situations.Situation) -> Iterator[assembly.Part]:
    """Yields the route."""
    provider = PROVIDERS.get(now.plan.site.providers.route)
    if provider is not None and now.plan.ways.route:
        yield assembly.Part(provider.suffix(now.plan), provider.http_route(now.plan))


def conditions(
    now: situations.Situation, desired: assembly.Desired
) -> Iterator[observed.Condition]:
    """Yields nothing: RouteReady speaks for this route and the gateway's together."""
    del now, desired
    yield from ()
