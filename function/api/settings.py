"""The site: every fact about a platform that is not the author's choice.

Settings come from EnvironmentConfigs labelled `inference-service.cloud.ogenki.io/settings: "true"`,
under the data key `inferenceService`, merged in name order over the Composition's `input`. The
defaults are neutral: nothing names a cloud, a region or a platform's own objects.

The parts are in files beside this one: `settings_providers`, `settings_engine` (GPUs, prices and
capacity too), `settings_weights` (the Job and the hub too), `settings_traffic` (callers, gateways,
routes), `settings_gate` (what judges canaries), `settings_metrics` (autoscaler, alerts) and
`settings_authors` (permissions, names, caps).
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import pydantic

from function.api import (
    base,
    claim_model,
    claim_pod,
    settings_authors,
    settings_engine,
    settings_forms,
    settings_gate,
    settings_metrics,
    settings_providers,
    settings_traffic,
    settings_weights,
)
from function.capacity import forms

SETTINGS_LABEL = "inference-service.cloud.ogenki.io/settings"
DATA_KEY = "inferenceService"


class SecretStore(base.Model):
    """The store that ExternalSecrets read."""

    name: base.DnsSubdomain = pydantic.Field("default", description="Name of the store.")
    kind: Literal["ClusterSecretStore", "SecretStore"] = pydantic.Field(
        "ClusterSecretStore", description="Kind of the store."
    )


class Rollout(base.Model):
    """What happens to running pods when the platform changes."""

    platform_changes: Literal["OnClaimChange", "Immediate"] = pydantic.Field(
        "OnClaimChange",
        description="A new function version or other settings alter running pods when the claim's"
        " author next edits or accepts them, or at once.",
    )
    pre_stop_seconds: Annotated[int, base.number(1, 300)] = pydantic.Field(
        15,
        description="Seconds for which a pod that ends still takes requests, until every proxy has"
        " forgotten it. More than the TTL that the cluster's DNS gives its records, and seven more:"
        " 15 is enough for 5 (CoreDNS' own default), 40 for 30 (many a Corefile).",
    )


class Diagnostics(base.Model):
    """What else is read to explain a claim that does not serve."""

    pods: bool = pydantic.Field(
        False,
        description="Read the claim's pods while nothing serves: scheduling, image pull, last"
        " words. Crossplane then caches all pods of the cluster.",
    )


class Settings(base.Model):
    """Everything about the site."""

    providers: settings_providers.Providers = pydantic.Field(
        default_factory=settings_providers.Providers
    )
    engine: settings_engine.Engine = pydantic.Field(default_factory=settings_engine.Engine)
    gpu: settings_engine.Gpu = pydantic.Field(default_factory=settings_engine.Gpu)
    cpu: settings_engine.Cpu = pydantic.Field(default_factory=settings_engine.Cpu)
    pricing: settings_engine.Pricing = pydantic.Field(default_factory=settings_engine.Pricing)
    capacity: settings_engine.Capacity = pydantic.Field(default_factory=settings_engine.Capacity)
    weights: settings_weights.Weights = pydantic.Field(default_factory=settings_weights.Weights)
    preload: settings_weights.Preload = pydantic.Field(default_factory=settings_weights.Preload)
    hub: settings_weights.Hub = pydantic.Field(default_factory=settings_weights.Hub)
    object_store: settings_weights.ObjectStore = pydantic.Field(
        default_factory=settings_weights.ObjectStore
    )
    network: settings_traffic.Network = pydantic.Field(default_factory=settings_traffic.Network)
    scaling: settings_metrics.Scaling = pydantic.Field(default_factory=settings_metrics.Scaling)
    monitoring: settings_metrics.Monitoring = pydantic.Field(
        default_factory=settings_metrics.Monitoring
    )
    dashboards: settings_metrics.Dashboards = pydantic.Field(
        default_factory=settings_metrics.Dashboards
    )
    gateway: settings_traffic.Gateway = pydantic.Field(default_factory=settings_traffic.Gateway)
    front_door: settings_traffic.FrontDoor = pydantic.Field(
        default_factory=settings_traffic.FrontDoor
    )
    canary_gates: settings_gate.CanaryGates = pydantic.Field(
        default_factory=settings_gate.CanaryGates
    )
    endpoint_picker: settings_traffic.EndpointPicker = pydantic.Field(
        default_factory=settings_traffic.EndpointPicker
    )
    route: settings_traffic.Route = pydantic.Field(default_factory=settings_traffic.Route)
    secret_store: SecretStore = pydantic.Field(default_factory=SecretStore)
    permissions: settings_authors.Permissions = pydantic.Field(
        default_factory=settings_authors.Permissions
    )
    allowed: settings_authors.Allowed = pydantic.Field(default_factory=settings_authors.Allowed)
    limits: settings_authors.Limits = pydantic.Field(default_factory=settings_authors.Limits)
    rollout: Rollout = pydantic.Field(default_factory=Rollout)
    diagnostics: Diagnostics = pydantic.Field(default_factory=Diagnostics)
    labels: base.Labels = pydantic.Field(
        default_factory=dict, description="On every composed object, beside ours."
    )
    reserved_names: settings_forms.PatternList = pydantic.Field(
        default_factory=base.no_items,
        description="Names that no claim may have, by patterns as under allowed: those of the"
        " platform's own ServiceAccounts, Services and policies in the claims' namespaces.",
    )
    image_pull_secrets: Annotated[list[base.DnsSubdomain], base.items(8)] = pydantic.Field(
        default_factory=base.no_items,
        description="Secrets of the registries, in the claim's namespace.",
    )
    image_registry: Annotated[str, base.text(255, claim_pod.IMAGE)] | None = pydantic.Field(
        None,
        description="Mirror that is put before the names of the images of engine, preload program"
        " and Promptfoo.",
    )
    private_domain_name: base.DnsSubdomain | None = pydantic.Field(
        None, description="Domain of routes; also read from privateDomainName at the top level."
    )
    region: Annotated[str, base.text(63, claim_model.WORD)] | None = pydantic.Field(
        None,
        description="Replaces {region} in preload.egressHosts; also read from the top level.",
    )

    def front_door_of(self, namespace: str) -> str | None:
        """Returns the InferenceGateway that claims of a namespace are published on, or None."""
        named = self.front_door.namespaces
        return named.get(namespace, named.get("*"))

    def parent_of(self, namespace: str) -> settings_traffic.GatewayReference:
        """Returns the Gateway that claims of a namespace are published on.

        An InferenceGateway's Gateway has its name and lies in its namespace.
        """
        door = self.front_door_of(namespace)
        return (
            self.gateway.parent
            if door is None
            else settings_traffic.GatewayReference(name=door, namespace=namespace)
        )


class Input(Settings):
    """The Composition's input: settings that EnvironmentConfigs are merged over."""

    api_version: Literal["inference-service.cloud.ogenki.io/v1alpha1"]
    kind: Literal["Settings"]
    metadata: dict[str, Any] = pydantic.Field(default_factory=dict)
    environment: Literal["Required", "Optional"] = pydantic.Field(
        "Required",
        description="Required: without a labelled EnvironmentConfig nothing is rendered, because"
        " rendering with defaults would restart the fleet.",
    )


def merge(lower: dict[str, Any], upper: dict[str, Any]) -> dict[str, Any]:
    """Returns `upper` over `lower`: maps merge key by key, everything else replaces."""
    merged = dict(lower)
    for key, value in upper.items():
        below = merged.get(key)
        merged[key] = (
            merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
        )
    return merged


# The only keys that are read at the top level of an EnvironmentConfig's data, where another
# platform's own keys live too.
TOP_LEVEL = ("privateDomainName", "region")


def from_data(data: Any, where: str) -> dict[str, Any]:
    """Returns the settings in an EnvironmentConfig's data or in the pipeline's environment.

    Raises:
        base.InvalidError: The data, or `inferenceService` in them, are no map.
    """
    if not isinstance(data, dict):
        raise base.InvalidError(where, [base.Problem("data", "must be a map")])
    settings = data.get(DATA_KEY, {})
    if not isinstance(settings, dict):
        raise base.InvalidError(where, [base.Problem(f"data.{DATA_KEY}", "must be a map")])
    top = {key: data[key] for key in TOP_LEVEL if isinstance(data.get(key), str)}
    return merge(top, settings)


def resolve(layers: list[dict[str, Any]]) -> Settings:
    """Returns the settings that result from the layers, lowest first.

    Raises:
        base.InvalidError: The result breaks the schema; unknown keys are named.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        merged = merge(merged, layer)
    parsed = base.parse(Settings, merged, what="settings")
    problems = list(_unreadable(parsed.capacity))
    if problems:
        raise base.InvalidError("settings", problems)
    return parsed


def _unreadable(capacity: settings_engine.Capacity) -> Iterator[base.Problem]:
    """Yields what is wrong with the facts of models."""
    for name, form in capacity.models.items():
        try:
            forms.read(form)
        except forms.FormError as error:
            yield base.Problem(f"capacity.models.{name}", str(error))


NONE_FOUND = (
    f'no EnvironmentConfig with label {SETTINGS_LABEL}: "true" that holds data.{DATA_KEY} was'
    " found: make one with the site's settings there (an empty map takes the defaults), or set"
    " environment: Optional in the Composition's input. Rendering with defaults would restart the"
    " fleet."
)


def assemble(
    given: dict[str, Any], context: dict[str, Any], configs: list[dict[str, Any]]
) -> Settings:
    """Returns the settings of one call.

    Args:
        given: The Composition's input, or an empty map.
        context: The pipeline's environment, or an empty map.
        configs: The labelled EnvironmentConfigs, whole; merged in the order of their names.

    Raises:
        base.InvalidError: There are none and the input does not say `Optional`, or they break
            the schema.
    """
    layers = []
    if given:
        parsed = base.parse(Input, given, what="the Composition's input")
        layers.append({k: v for k, v in given.items() if k not in _INPUT_ONLY})
        optional = parsed.environment == "Optional"
    else:
        optional = False
    if context:
        layers.append(from_data(context, "the pipeline's environment"))
    ordered = sorted(configs, key=lambda config: str(_name(config)))
    for config in ordered:
        name = _name(config)
        layers.append(from_data(config.get("data", {}), f"EnvironmentConfig {name}"))
    stated = any(DATA_KEY in (config.get("data") or {}) for config in ordered)
    if not stated and DATA_KEY not in context and not optional:
        raise base.InvalidError("settings", [base.Problem("", NONE_FOUND)])
    return resolve(layers)


def _name(config: dict[str, Any]) -> Any:
    metadata = config.get("metadata")
    return metadata.get("name") if isinstance(metadata, dict) else None


_INPUT_ONLY = frozenset(("apiVersion", "kind", "metadata", "environment"))
