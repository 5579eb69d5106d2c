"""How the pods are reached under the claim's name, and who they are."""

from collections.abc import Iterator

from function import assembly, memo
from function.cluster import observed
from function.engines import engine
from function.planning import identity, plans, stores
from function.situation import reading, situations


def compose(now: situations.Situation) -> Iterator[assembly.Part]:
    """Yields the pods' ServiceAccount and the Service under the claim's name."""
    who, port = now.plan.identity, now.plan.engine.PORT
    yield assembly.Part("serviceaccount", service_account(now.plan, read=now.reads))
    yield assembly.Part("service", service(who, port))


def conditions(
    now: situations.Situation, desired: assembly.Desired
) -> Iterator[observed.Condition]:
    """Yields nothing: these objects are ready when they are there."""
    del now, desired
    yield from ()


@memo.per_plan
def service_account(plan: plans.Plan, *, read: tuple[str, ...]) -> identity.Manifest:
    """Returns the pods' ServiceAccount; its token is never mounted.

    Args:
        plan: The plan.
        read: What pods read from the object store, with the identity that the site gives them.
    """
    identified = stores.identity(plan.site, plan.resource) if read else {}
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": plan.identity.metadata(annotations=(identified | reading.noted(read)) or None),
        "automountServiceAccountToken": False,
    }


@memo.per_plan
def service(who: identity.Identity, port: int) -> identity.Manifest:
    """Returns the Service under the claim's name."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": who.metadata(),
        "spec": {
            "type": "ClusterIP",
            "selector": who.labels(),
            "ports": [service_port(port)],
        },
    }


def service_port(port: int) -> identity.Manifest:
    """Returns the one port of a Service of the claim."""
    return {
        "name": engine.PORT_NAME,
        "port": port,
        "targetPort": engine.PORT_NAME,
        "protocol": "TCP",
    }
