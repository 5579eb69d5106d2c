"""A provider of the front door that answers while no pod of the claim does, and why it may not.

The InferenceGateway of the namespace says where the provider is, what it speaks and which key it
takes. All of that is read, and composed again as the claim's own objects: the door takes its own
away with the provider, and a route that names a missing backend fails whole.
"""

import dataclasses

from function import canonical, composition
from function.api import base, gateway
from function.boundary import hosts
from function.cluster import observed
from function.planning import plans
from function.situation import vectors

_API_VERSION = f"{gateway.GROUP}/{gateway.VERSION}"


@dataclasses.dataclass(frozen=True, eq=False)
class Outsider:
    """A provider as it answers for a claim.

    Attributes:
        provider: Where it is, what it speaks and which key it takes.
        model: What it calls the model.
        counted: Whether the door counts tokens of callers, by the caller's name in the request.
        tokens: Whether callers may have tokens of an identity provider.
    """

    provider: gateway.Provider
    model: str
    counted: bool
    tokens: bool


def question(plan: plans.Plan) -> composition.Selector | None:
    """Returns which InferenceGateway is read, or None where the settings name none."""
    door = plan.site.front_door_of(plan.identity.namespace)
    return None if door is None else composition.Selector(_API_VERSION, gateway.KIND, name=door)


def undoored(plan: plans.Plan) -> str | None:
    """Returns why there is no InferenceGateway to ask, in words, or None."""
    if plan.site.front_door_of(plan.identity.namespace) is not None:
        return None
    return (
        f"claims of namespace {plan.identity.namespace} are published on no InferenceGateway, which"
        " has providers: name one in the settings (frontDoor.namespaces), or name a claim"
    )


def outsider(plan: plans.Plan, document: observed.Object | None) -> Outsider | str:
    """Returns the provider, or why it does not answer, in words.

    Args:
        plan: The plan of a claim that names a provider.
        document: The InferenceGateway, or None where the namespace has none.
    """
    asked = plan.ways.provider
    name = plan.site.front_door_of(plan.identity.namespace)
    if document is None or observed.at(document, "metadata", "deletionTimestamp") is not None:
        return f"the namespace has no InferenceGateway {name}: create it, or name a claim"
    valid = observed.status_condition(document, "Valid")
    refused = f"InferenceGateway {name} is refused: its condition Valid says why"
    if valid is not None and valid.status == "False":
        return refused
    try:
        whole = canonical.plain(document)
        door = base.parse(gateway.InferenceGateway, whole, what=gateway.KIND)
    except base.InvalidError:
        return refused
    providers = {provider.name: provider for provider in door.spec.providers or []}
    provider = providers.get(base.of(asked, "provider"))
    if provider is None:
        return f"InferenceGateway {name} has no such provider: {_listed(providers)}"
    if provider.api != "OpenAI":
        return (
            f"{provider.name} speaks the API of {provider.api}, into which the gateway translates"
            " no chat completions: name one with api: OpenAI"
        )
    # The door is refused for it too, and keeps what it has; what it says now counts for nothing.
    if any(hosts.outside("provider_hosts", "", provider.host, door, plan.site)):
        return f"the settings do not allow the host {provider.host} (allowed.providerHosts)"
    models = {model.name: model for model in provider.models}
    model = models.get(base.of(asked, "model"))
    if model is None:
        return f"provider {provider.name} has no model {base.of(asked, 'model')}: {_listed(models)}"
    called = [model.name, *([] if model.upstream is None else [model.upstream])]
    foreign = vectors.foreign(plan, f"provider {provider.name}", called, by_model=True)
    if foreign is not None:
        way = "name the same model, under its own name in the provider's models, or no fallback"
        return f"{foreign}: {way}"
    return Outsider(
        provider,
        base.given(model.upstream, model.name),
        counted=plan.site.front_door.limiter != "none" and door.spec.limits_callers,
        tokens=bool(door.spec.issuers),
    )


def _listed(names: dict[str, gateway.Provider] | dict[str, gateway.ProviderModel]) -> str:
    return f"name one of {', '.join(sorted(names))}" if names else "it has none"
