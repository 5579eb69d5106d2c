"""What is wanted of a front door: values that follow from the object and the settings alone."""

import dataclasses
from collections.abc import Iterator

from function.api import base, gateway, settings
from function.boundary import grants, permissions, secrets
from function.planning import identity

COMPONENT = "inference-gateway"
# Envoy Gateway: rules of one policy, at most.
MOST_LIMITS = 256


@dataclasses.dataclass(frozen=True, eq=False)
class Door:
    """A front door as it is wanted.

    Attributes:
        resource: The object.
        site: The settings.
        identity: Whose objects they are.
        parent: Namespace and name of the Gateway that callers use.
        own: Whether that Gateway is the object's own.
        attached: Whether the settings publish the claims of the namespace there.
        published_on: Where they do, `<namespace>/<name>`.
    """

    resource: gateway.InferenceGateway
    site: settings.Settings
    identity: identity.Identity
    parent: tuple[str, str]
    own: bool
    attached: bool
    published_on: str

    @property
    def callers(self) -> list[gateway.Caller]:
        """The callers, by name: the order in which an author wrote them means nothing."""
        return sorted(self.resource.spec.callers or [], key=lambda caller: caller.name)

    @property
    def providers(self) -> list[gateway.Provider]:
        """The providers, by name."""
        return sorted(self.resource.spec.providers or [], key=lambda provider: provider.name)

    @property
    def provided(self) -> bool:
        """Whether the settings have an AI gateway."""
        return self.site.providers.gateway != "none"

    @property
    def limits(self) -> list[tuple[str, gateway.Limit]]:
        """The limits with their callers, in an order that amounts have no part in.

        A limit that is raised keeps its place, and with it what is counted already.
        """
        named = [(caller.name, limit) for caller in self.callers for limit in caller.limits or []]
        return sorted(named, key=lambda one: (one[0], *_place(one[1])))

    @property
    def counts(self) -> bool:
        """Whether the Gateway is the object's own, and can count."""
        return self.own and self.provided and self.site.front_door.limiter != "none"

    @property
    def limited(self) -> bool:
        """Whether limits are asked for where they can be counted."""
        return self.counts and bool(self.limits)


def _place(limit: gateway.Limit) -> tuple[str, bool, str, int]:
    amount = limit.requests if limit.tokens is None else limit.tokens
    return limit.model or "", limit.tokens is not None, limit.per, amount or 0


def make(resource: gateway.InferenceGateway, site: settings.Settings) -> Door:
    """Returns the front door as it is wanted.

    Raises:
        base.InvalidError: It asks for what the settings do not allow.
    """
    problems = list(_refusals(resource, site))
    if problems:
        raise base.InvalidError("claim", problems)
    named = resource.spec.gateway
    here = (resource.namespace, resource.name)
    parent = here if named is None else (named.namespace, named.name)
    chosen = site.parent_of(resource.namespace)
    return Door(
        resource,
        site,
        identity.Identity(resource.name, resource.namespace, site.labels),
        parent,
        own=named is None,
        attached=parent == (chosen.namespace, chosen.name),
        published_on=f"{chosen.namespace}/{chosen.name}",
    )


def _refusals(
    resource: gateway.InferenceGateway, site: settings.Settings
) -> Iterator[base.Problem]:
    for pattern in site.reserved_names:
        if grants.matches(grants.filled(pattern, resource), resource.name):
            words = f"the settings keep {pattern!r} for the platform (reservedNames)"
            yield base.Problem("metadata.name", f"{words}: give it another name")
    yield from _hostname(resource, site)
    for index, provider in enumerate(resource.spec.providers or []):
        path = f"spec.providers[{index}].host"
        yield from grants.outside("provider_hosts", path, provider.host, resource, site)
    evals = resource.spec.evals
    if evals is not None and evals.cases is not None:
        path = "spec.evals.cases"
        yield from permissions.closed("eval_cases", path, resource.namespace, site)
    count = sum(len(caller.limits or []) for caller in resource.spec.callers or [])
    if count > MOST_LIMITS:
        words = f"{count} limits in all, and the gateway takes at most {MOST_LIMITS}"
        yield base.Problem("spec.callers", words)
    for index, caller in enumerate(resource.spec.callers or []):
        key = caller.external_secret
        if key is not None:
            path = f"spec.callers[{index}].externalSecret"
            yield from secrets.fetched(path, key.remote_ref, key.refresh_interval, resource, site)


def _hostname(
    resource: gateway.InferenceGateway, site: settings.Settings
) -> Iterator[base.Problem]:
    host, path = resource.spec.hostname, "spec.hostname"
    if host is None:
        return
    short, _, domain = host.partition(".")
    if short in site.route.reserved_hostnames and domain == (site.private_domain_name or ""):
        words = f"the settings keep {short!r} for the platform (route.reservedHostnames)"
        yield base.Problem(path, words)
    else:
        yield from grants.outside("gateway_hostnames", path, host, resource, site)
