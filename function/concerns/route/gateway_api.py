"""The Gateway API: an HTTPRoute to the engine."""

from function import kinds, memo
from function.planning import identity, plans

KIND = kinds.HTTP_ROUTE
# End of the key that the route beside the AI gateway's had until 1.1.
FORMER = "httproute-direct"


def name(plan: plans.Plan) -> str:
    """Returns the route's name: the AI gateway overwrites an HTTPRoute named as its own route."""
    return plan.identity.part("direct") if plan.ways.gateway else plan.identity.name


def suffix(plan: plans.Plan) -> str:
    """Returns the end of the route's key, which changes with its name."""
    return "httproute-beside" if plan.ways.gateway else "httproute"


def hostname(plan: plans.Plan) -> str:
    """Returns the route's host; without a private domain the short name itself."""
    short = plan.spec.route.hostname if plan.spec.route is not None else None
    domain = plan.site.private_domain_name
    return f"{short}.{domain}" if domain is not None else f"{short}"


@memo.per_plan
def http_route(plan: plans.Plan, name: str) -> identity.Manifest:
    """Returns the HTTPRoute.

    A request timeout above zero keeps Envoy's idle timeout at an hour or more; zero would switch
    both off, and the defaults cut a long answer after 15 s.
    """
    route = plan.site.route
    seconds = f"{route.request_timeout_seconds}s"
    return {
        "apiVersion": KIND.api_versions[0],
        "kind": KIND.name,
        "metadata": plan.identity.metadata(name),
        "spec": {
            "parentRefs": [{"name": route.parent.name, "namespace": route.parent.namespace}],
            "hostnames": [hostname(plan)],
            "rules": [
                {
                    "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                    "backendRefs": [{"name": plan.identity.name, "port": plan.engine.PORT}],
                    "timeouts": {"request": seconds, "backendRequest": seconds},
                }
            ],
        },
    }
