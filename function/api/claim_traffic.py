"""By which ways requests reach a claim, and who else may call it."""

from typing import Annotated, ClassVar

import pydantic

from function.api import base, claim_model


class Canary(base.Model):
    """A share of the base model's traffic that an adapter answers."""

    adapter: claim_model.Word = pydantic.Field(description="Name of an entry of loraAdapters.")
    weight_percent: Annotated[int, base.number(1, 99)] = pydantic.Field(
        description="Percent of the base model's requests that the adapter answers."
    )


class EndpointPicker(base.Model):
    """An InferencePool with an endpoint picker instead of the AIServiceBackend."""

    enabled: bool | None = pydantic.Field(
        None,
        description="Pick the pod for each request by its load and its cache; off when absent.",
    )


class Fallback(base.Model):
    """Who answers while no pod of the claim does."""

    claim: base.DnsLabel = pydantic.Field(
        description="Another claim of the namespace, on the same gateway. It gets the base model's"
        " requests under its own model name, while no pod of this claim is healthy and while this"
        " one wakes, and a share of them while fewer than 72 percent are healthy. Not those for"
        " adapters."
    )


class Gateway(base.Model):
    """The route of the AI gateway."""

    enabled: bool | None = pydantic.Field(
        None, description="Publish the model on the AI gateway; off when absent."
    )
    endpoint_picker: EndpointPicker | None = None
    canaries: Annotated[list[Canary], base.items(4)] | None = None
    fallback: Fallback | None = None

    RULES: ClassVar = (
        base.Rule(
            cel="!has(self.canaries) || self.canaries.size() == 0"
            " || (has(self.enabled) && self.enabled)",
            message="canaries require gateway.enabled",
            holds=lambda g: not g.canaries or g.enabled is True,
            at="canaries",
        ),
        base.Rule(
            cel="!has(self.canaries) || self.canaries.all(c, self.canaries.exists_one(x,"
            " x.adapter == c.adapter))",
            message="canaries must name distinct adapters",
            holds=lambda g: (
                g.canaries is None or len({c.adapter for c in g.canaries}) == len(g.canaries)
            ),
            at="canaries",
        ),
        base.Rule(
            cel="!has(self.canaries) || self.canaries.map(c, c.weightPercent).sum() <= 99",
            message="canary weights must sum to at most 99: the base model keeps traffic",
            holds=lambda g: g.canaries is None or sum(c.weight_percent for c in g.canaries) <= 99,
            at="canaries",
        ),
        base.Rule(
            cel="!has(self.endpointPicker) || !has(self.endpointPicker.enabled)"
            " || !self.endpointPicker.enabled || (has(self.enabled) && self.enabled)",
            message="endpointPicker requires gateway.enabled",
            holds=lambda g: not g.picks or g.enabled is True,
            at="endpointPicker",
        ),
        base.Rule(
            cel="!has(self.endpointPicker) || !has(self.endpointPicker.enabled)"
            " || !self.endpointPicker.enabled || !has(self.canaries)"
            " || self.canaries.size() == 0",
            message="endpointPicker excludes canaries: a pool takes neither weight nor model name",
            holds=lambda g: not g.picks or not g.canaries,
            at="endpointPicker",
        ),
        base.Rule(
            cel="!has(self.fallback) || (has(self.enabled) && self.enabled)",
            message="fallback requires gateway.enabled",
            holds=lambda g: g.fallback is None or g.enabled is True,
            at="fallback",
        ),
        base.Rule(
            cel="!has(self.fallback) || !has(self.endpointPicker)"
            " || !has(self.endpointPicker.enabled) || !self.endpointPicker.enabled",
            message="endpointPicker excludes fallback: a pool takes no other backend beside it",
            holds=lambda g: g.fallback is None or not g.picks,
            at="fallback",
        ),
    )

    @property
    def picks(self) -> bool:
        """Tells whether the endpoint picker is on."""
        return self.endpoint_picker is not None and self.endpoint_picker.enabled is True


class Route(base.Model):
    """A plain HTTP route to the engine."""

    enabled: bool | None = pydantic.Field(
        None, description="Publish the engine's own API by an HTTPRoute; off when absent."
    )
    hostname: base.DnsLabel | None = pydantic.Field(
        None,
        description="Short name; the private domain of the settings is appended. Settings say which"
        " names (hostnames).",
    )

    RULES: ClassVar = (
        base.Rule(
            cel="!has(self.enabled) || !self.enabled || has(self.hostname)",
            message="hostname is required when route.enabled is true",
            holds=lambda r: r.enabled is not True or r.hostname is not None,
            at="hostname",
        ),
    )


class NetworkPolicies(base.Model):
    """Cilium rules that replace the default peers; scraper and picker stay. Settings say who."""

    ingress: base.RawList | None = pydantic.Field(
        None, description="Ingress rules of a CiliumNetworkPolicy."
    )
    egress: base.RawList | None = pydantic.Field(
        None, description="Egress rules of a CiliumNetworkPolicy."
    )


class Caller(base.Model):
    """Pods that may call the engine."""

    namespace: base.DnsLabel | None = pydantic.Field(
        None,
        description="The claim's own namespace when absent; settings say which others (callers).",
    )
    pod_labels: base.Labels = pydantic.Field(
        default_factory=dict, description="All pods of the namespace when empty."
    )
    port: Annotated[int, base.number(1, 65535)] | None = pydantic.Field(
        None, description="The engine's port, 8000, when absent."
    )


class Access(base.Model):
    """Who else may call the engine, beside the settings' peers."""

    from_: Annotated[list[Caller], base.items(16)] = pydantic.Field(
        default_factory=list, alias="from"
    )
