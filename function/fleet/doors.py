"""What is wanted of a front door: values that follow from the object and the settings alone."""

import dataclasses
import re
from collections.abc import Iterator
from urllib import parse

from function.api import base, gateway, gateway_money, gateway_router, gateway_tokens, settings
from function.boundary import grants, hosts, permissions, secrets
from function.fleet import meaning
from function.fleet.edge import teams
from function.planning import identity

COMPONENT = "inference-gateway"
# The listener of tokens.
TOKENS = "tokens"
# Envoy Gateway: rules of one policy, at most.
MOST_LIMITS = 256
_RANGE = re.compile(r"([0-9]+)-([0-9]+)")


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
    def issuers(self) -> list[gateway_tokens.Issuer]:
        """Whose tokens count, by name."""
        return sorted(self.resource.spec.issuers or [], key=lambda issuer: issuer.name)

    @property
    def token_port(self) -> int | None:
        """The port on which tokens are asked for, or None."""
        if not self.issuers:
            return None
        return gateway_tokens.port(tls=self.resource.spec.tls is not None)

    @property
    def provided(self) -> bool:
        """Whether the settings have an AI gateway."""
        return self.site.providers.gateway != "none"

    @property
    def router(self) -> gateway_router.SemanticRouter | None:
        """The semantic router, where the object has a Gateway of its own."""
        return self.resource.spec.semantic_router if self.own and self.provided else None

    @property
    def deploys_router(self) -> bool:
        """Whether the router's pods are the object's, and the settings have their images."""
        images = self.site.front_door.semantic_router
        return bool(
            self.router
            and not self.router.configuration_only
            and images.image is not None
            and images.proxy_image is not None
        )

    @property
    def router_secret(self) -> str | None:
        """The Secret with the router's key, or None without one."""
        reference = None if self.router is None else self.router.secret_ref
        return None if reference is None else reference.name

    def router_caller(self, secret: str) -> gateway.Caller:
        """Returns the router as a caller of the models, with its key in a Secret."""
        reference = gateway.SecretReference(name=secret)
        return gateway.Caller(name=gateway_router.CALLER, secret_ref=reference)

    @property
    def limits(self) -> list[tuple[str, gateway.Limit]]:
        """The limits with their callers, in an order that amounts have no part in.

        A limit that is raised keeps its place, and with it what is counted already.
        """
        named = [(caller.name, limit) for caller in self.callers for limit in caller.limits or []]
        return sorted(named, key=lambda one: (one[0], *_place(one[1])))

    @property
    def prices(self) -> list[gateway_money.Price]:
        """What models cost, by model."""
        return sorted(self.resource.spec.prices or [], key=lambda price: price.model)

    @property
    def budgets(self) -> list[tuple[str, gateway_money.Budget]]:
        """The budgets with their callers, by caller."""
        return [(one.name, one.budget) for one in self.callers if one.budget is not None]

    @property
    def counts(self) -> bool:
        """Whether the Gateway is the object's own, and can count."""
        return self.own and self.provided and self.site.front_door.limiter != "none"

    @property
    def limited(self) -> bool:
        """Whether limits or budgets are asked for where they can be counted."""
        return self.counts and self.resource.spec.limits_callers


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
    yield from _from_cost(resource, site)
    for index, provider in enumerate(resource.spec.providers or []):
        path = f"spec.providers[{index}].host"
        yield from hosts.outside("provider_hosts", path, provider.host, resource, site)
    for index, issuer in enumerate(resource.spec.issuers or []):
        if issuer.jwks_uri is not None:
            path = f"spec.issuers[{index}].jwksURI"
            host = parse.urlsplit(issuer.jwks_uri).hostname or ""
            yield from hosts.outside("token_hosts", path, host, resource, site)
    yield from _schedule(resource)
    yield from _cases(resource, site)
    yield from _contradicted(resource)
    asked = resource.spec.callers or []
    count = sum(len(one.limits or []) + (one.budget is not None) for one in asked)
    if count > MOST_LIMITS:
        words = f"{count} limits in all, and the gateway takes at most {MOST_LIMITS}"
        yield base.Problem("spec.callers", words)
    yield from _undecided(resource)
    yield from teams.refusals(resource)
    for index, caller in enumerate(resource.spec.callers or []):
        key = caller.external_secret
        if key is not None:
            path = f"spec.callers[{index}].externalSecret"
            yield from secrets.fetched(path, key.remote_ref, key.refresh_interval, resource, site)


def _contradicted(resource: gateway.InferenceGateway) -> Iterator[base.Problem]:
    """Yields what a token must say of a claim that has the caller's name: nobody could call."""
    named = {one.name: gateway_tokens.named_by(one) for one in resource.spec.issuers or []}
    for index, caller in enumerate(resource.spec.callers or []):
        if caller.jwt is None:
            continue
        name = named[caller.jwt.issuer]
        for place, asked in enumerate(caller.jwt.claims or []):
            if asked.name == name:
                path = f"spec.callers[{index}].jwt.claims[{place}].name"
                words = f"{name!r} has the caller's name, which is asked for already"
                yield base.Problem(path, words)


def _schedule(resource: gateway.InferenceGateway) -> Iterator[base.Problem]:
    """Yields each range of the schedule for which the API server would refuse a CronJob."""
    schedule = base.of(resource.spec.evals, "schedule") or ""
    for first, last in _RANGE.findall(schedule):
        if int(last) < int(first):
            yield base.Problem("spec.evals.schedule", f"{first}-{last} ends before it begins")


def _cases(resource: gateway.InferenceGateway, site: settings.Settings) -> Iterator[base.Problem]:
    """Yields why the author may have no cases of evaluations.

    They can be code, which reads the caller's key: of any Secret of the namespace that is named.
    """
    evals = resource.spec.evals
    if evals is None or evals.cases is None:
        return
    yield from permissions.closed("eval_cases", "spec.evals.cases", resource.namespace, site)
    for index, caller in enumerate(resource.spec.callers or []):
        if caller.name == evals.caller and caller.secret_ref is not None:
            path = f"spec.callers[{index}].secretRef.name"
            words = "cases of evaluations can be code, which reads this Secret"
            yield from grants.outside(
                "secrets", path, caller.secret_ref.name, resource, site, words
            )


def _from_cost(
    resource: gateway.InferenceGateway, site: settings.Settings
) -> Iterator[base.Problem]:
    """Yields the prices that may not follow from costs."""
    if site.pricing.from_cost.allowed:
        return
    words = "the settings let no price follow from costs (pricing.fromCost.allowed)"
    if resource.spec.pricing is not None:
        yield base.Problem("spec.pricing.fromCost", f"{words}: state prices in spec.prices")
    for index, price in enumerate(resource.spec.prices or []):
        if price.from_cost is not None:
            path = f"spec.prices[{index}].fromCost"
            yield base.Problem(path, f"{words}: state input and output")


def _undecided(resource: gateway.InferenceGateway) -> Iterator[base.Problem]:
    """Yields what is wrong with the semantic router: who else has its name, what never happens."""
    router = resource.spec.semantic_router
    if router is None:
        return
    for index, caller in enumerate(resource.spec.callers or []):
        if caller.name == gateway_router.CALLER and not router.configuration_only:
            words = f"{caller.name!r} is the semantic router: give the caller another name"
            yield base.Problem(f"spec.callers[{index}].name", words)
    for index, model in enumerate(router.models):
        for place, why in meaning.unreachable(model.decisions):
            path = f"spec.semanticRouter.models[{index}].decisions[{place}]"
            yield base.Problem(path, f"{why}: put it before, or take it out")


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
