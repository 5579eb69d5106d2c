"""By which ways requests reach a claim, and who else may call it."""

from typing import Annotated, ClassVar

import pydantic

from function.api import base, claim_gate, claim_model


class Canary(base.Model):
    """A share of the base model's traffic that an adapter answers."""

    adapter: claim_model.Word = pydantic.Field(description="Name of an entry of loraAdapters.")
    weight_percent: Annotated[int, base.number(1, 99)] = pydantic.Field(
        description="Percent of the base model's requests that the adapter answers."
    )
    gate: claim_gate.Gate | None = pydantic.Field(
        None,
        description="The weight rises by steps while error rate and evaluations hold, and goes back"
        " when they do not. The whole weight at once when absent.",
    )

    RULES: ClassVar = (
        base.Rule(
            cel="!has(self.gate) || !has(self.gate.steps)"
            " || self.gate.steps.all(s, s < self.weightPercent)",
            message="steps lie below weightPercent, which is the last step",
            holds=lambda c: all(s < c.weight_percent for s in base.of(c.gate, "steps") or []),
            at="gate.steps",
        ),
    )


_Weight = Annotated[int, base.number(0, 100)]


class Scorers(base.Model):
    """What a pod's score is made of: each weight beside the others."""

    prefix: _Weight | None = pydantic.Field(
        None, description="Pods that answered the same beginning of a prompt; 3 when absent."
    )
    queue: _Weight | None = pydantic.Field(
        None, description="Pods with fewer waiting requests; 2 when absent."
    )
    kv_cache: _Weight | None = pydantic.Field(
        None, description="Pods with more free KV cache; 2 when absent."
    )
    adapters: _Weight | None = pydantic.Field(
        None, description="Pods that computed with the request's adapter last; 0 when absent."
    )

    RULES: ClassVar = (
        base.Rule(
            cel="(has(self.prefix) ? self.prefix : 3) + (has(self.queue) ? self.queue : 2)"
            " + (has(self.kvCache) ? self.kvCache : 2)"
            " + (has(self.adapters) ? self.adapters : 0) > 0",
            message="one of the weights is above 0: without a score every pod is as good",
            holds=lambda s: any(weight > 0 for weight in s.weights().values()),
        ),
    )

    def weights(self) -> dict[str, int]:
        """Returns the weight of each score."""
        return {
            "prefix": base.given(self.prefix, 3),
            "queue": base.given(self.queue, 2),
            "kv_cache": base.given(self.kv_cache, 2),
            "adapters": base.given(self.adapters, 0),
        }


class PickerQueue(base.Model):
    """Requests wait in the picker while no pod has room."""

    max_requests: Annotated[int, base.number(1, 100_000)] | None = pydantic.Field(
        None, description="More than these are answered with 429; no bound when absent."
    )


class Priority(base.Model):
    """A class of requests that is served before others, or after them."""

    name: Annotated[str, base.text(32, base.DNS_LABEL)] = pydantic.Field(
        description="Requests ask for it by the header x-gateway-inference-objective:"
        " <claim>.<name>."
    )
    value: Annotated[int, base.number(-1000, 1000)] = pydantic.Field(
        description="Higher ones leave the queue first; 0 is that of requests that name none."
    )


class EndpointPicker(base.Model):
    """An InferencePool with an endpoint picker instead of the AIServiceBackend."""

    enabled: bool | None = pydantic.Field(
        None,
        description="Pick the pod for each request by its load and its cache; off when absent.",
    )
    replicas: Annotated[int, base.number(1, 2)] | None = pydantic.Field(
        None,
        description="Pickers that answer side by side; 1 when absent."
        " Needs endpointPicker.provider native in the settings.",
    )
    scorers: Scorers | None = pydantic.Field(
        None, description="Needs endpointPicker.provider native in the settings."
    )
    queue: PickerQueue | None = pydantic.Field(
        None,
        description="Requests wait in the picker, and count for scaling.queue. Always so where"
        " minReplicas is 0 or there are priorities. Needs endpointPicker.provider native in the"
        " settings.",
    )
    priorities: (
        Annotated[
            list[Priority],
            base.items(8),
            base.distinct("name", "the name of a priority is there twice"),
        ]
        | None
    ) = pydantic.Field(None, description="Needs endpointPicker.provider native in the settings.")


class Fallback(base.Model):
    """Who answers while no pod of the claim does."""

    claim: base.DnsLabel | None = pydantic.Field(
        None,
        description="Another claim of the namespace, on the same gateway. It gets the base model's"
        " requests under its own model name, while no pod of this claim is healthy and while this"
        " one wakes, and a share of them while fewer than 72 percent are healthy. Not those for"
        " adapters.",
    )
    provider: Annotated[str, base.text(32, base.DNS_LABEL, 1)] | None = pydantic.Field(
        None,
        description="A provider of the namespace's InferenceGateway that speaks OpenAI's API, in"
        " place of a claim: prompts leave the cluster. Settings say which (fallbackProviders).",
    )
    model: claim_model.Word | None = pydantic.Field(
        None, description="The model that answers: the name of one of the provider's models."
    )

    RULES: ClassVar = (
        base.Rule(
            cel="has(self.claim) != has(self.provider)",
            message="a fallback is one of claim and provider",
            holds=lambda f: (f.claim is None) != (f.provider is None),
        ),
        base.Rule(
            cel="has(self.provider) == has(self.model)",
            message="model names one of the provider's models: both are given, or neither",
            holds=lambda f: (f.provider is None) == (f.model is None),
        ),
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
            cel="!has(self.canaries) || !has(self.endpointPicker)"
            " || !has(self.endpointPicker.enabled) || !self.endpointPicker.enabled"
            " || self.canaries.all(c, !has(c.gate))",
            message="endpointPicker excludes gates: behind it the gateway does not count which"
            " model answered",
            holds=lambda g: not g.picks or all(c.gate is None for c in g.canaries or []),
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
        default_factory=base.no_items, alias="from"
    )
