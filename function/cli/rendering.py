"""One claim through `compose`, with what a cluster would have observed."""

import dataclasses
from collections.abc import Iterator
from typing import Any, Literal

from function import composition
from function.api import base, claim, settings
from function.cli import documents
from function.cluster import checkpoints, pods
from function.cluster import observed as world
from function.composites import inference_service
from function.planning import plans
from function.situation import rollouts

KEY_ANNOTATION = "crossplane.io/composition-resource-name"
COMPOSITE_LABEL = "crossplane.io/composite"
GROUP = "inference-service.cloud.ogenki.io/"

Assumption = Literal["verified", "served"]


@dataclasses.dataclass(frozen=True)
class Site:
    """The settings of a render.

    Attributes:
        notes: What a cluster would see differently, for standard error.
    """

    settings: settings.Settings
    notes: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Rendered:
    """A claim and what it becomes.

    Attributes:
        observed: True when observed objects of the claim were given.
    """

    resource: claim.InferenceService
    composition: composition.Composition
    observed: bool


@dataclasses.dataclass(frozen=True)
class Refused:
    """A claim that cannot be used, and why."""

    document: dict[str, Any]
    error: base.InvalidError


def site(environments: tuple[str, ...], input_file: str | None) -> Site:
    """Returns the settings; the built-in neutral ones when none are given.

    Raises:
        base.InvalidError: The settings break their schema.
        documents.UnreadableError: A file cannot be read.
    """
    configs = [document for name in environments for document in documents.read(name)]
    for config in configs:
        if config["kind"] != "EnvironmentConfig":
            raise documents.UnreadableError(
                f"--environment takes EnvironmentConfigs, not {config['kind']}"
            )
    if environments and not configs:
        raise documents.UnreadableError(f"{', '.join(environments)}: no EnvironmentConfig")
    if not configs and input_file is None:
        note = "no --environment given, rendering with neutral settings"
        return Site(settings.Settings(), (note,))
    given = _input(input_file) if input_file is not None else {}
    return Site(settings.assemble(given, {}, configs), tuple(_unread(configs)))


def _unread(configs: list[dict[str, Any]]) -> list[str]:
    """Returns a note for each EnvironmentConfig that a cluster would not read."""
    return [
        f"EnvironmentConfig {(config.get('metadata') or {}).get('name')} lacks the label"
        f' {settings.SETTINGS_LABEL}: "true": a cluster would not read it'
        for config in configs
        if world.at(config, "metadata", "labels", settings.SETTINGS_LABEL) != "true"
    ]


def _input(name: str) -> dict[str, Any]:
    """Returns the input itself, or that of the step of a Composition that takes settings."""
    document = next(documents.read(name), None)
    if document is None:
        raise documents.UnreadableError(f"{name}: no document")
    if document["kind"] != "Composition":
        return document
    for step in world.at(document, "spec", "pipeline") or []:
        given = world.at(step, "input")
        if str(world.at(given, "apiVersion")).startswith(GROUP):
            return dict(given)
    raise documents.UnreadableError(f"{name}: no step of the Composition takes settings")


def render(
    document: dict[str, Any],
    site: settings.Settings,
    observed: list[dict[str, Any]],
    assumed: Assumption | None = None,
) -> Rendered:
    """Returns what the claim becomes.

    Args:
        document: The claim.
        site: The settings.
        observed: Objects of the cluster; those of other claims are passed over.
        assumed: What the claim's status is taken to say beyond what it says.

    Raises:
        base.InvalidError: The claim cannot be used.
    """
    resource = base.parse(claim.InferenceService, document, what="claim")
    mine = [item for item in observed if _belongs(item, resource)]
    status = document.get("status") or _live_status(resource, observed)
    if assumed is not None:
        status = {**status, **_assumption(plans.make(resource, site, checkpoints.Facts()), assumed)}
    answer = inference_service.compose(
        resource,
        site,
        world.Observed(
            name=resource.name,
            resources={
                item["metadata"]["annotations"][KEY_ANNOTATION]: item
                for item in mine
                if item["kind"] != "Pod"
            },
            conditions=world.conditions(status),
            status=status,
            required={pods.REQUIREMENT: [item for item in mine if item["kind"] == "Pod"]},
        ),
    )
    return Rendered(resource, answer, bool(mine))


def _live_status(
    resource: claim.InferenceService, observed: list[dict[str, Any]]
) -> dict[str, Any]:
    """Returns the status of the claim as it lives in the cluster: one from git has none."""
    for item in observed:
        metadata = item.get("metadata") or {}
        named = (metadata.get("name"), metadata.get("namespace", resource.namespace))
        if item["kind"] == claim.KIND and named == (resource.name, resource.namespace):
            return item.get("status") or {}
    return {}


def _assumption(plan: plans.Plan, assumed: Assumption) -> dict[str, Any]:
    """Returns the status that a claim has once its weights are verified, or once it served."""
    status: dict[str, Any] = {
        "weights": {
            "generation": plan.storage.generation,
            "verified": [{"directory": name} for name in plan.storage.wanted],
        }
    }
    if assumed == "served":
        status["latches"] = {"routePublished": True, "scaledByAutoscaler": True}
    return status


def _belongs(item: dict[str, Any], resource: claim.InferenceService) -> bool:
    """Tells whether an observed object is the claim's, or one of its pods."""
    metadata = item.get("metadata") or {}
    if metadata.get("namespace", resource.namespace) != resource.namespace:
        return False
    labels = metadata.get("labels") or {}
    if item["kind"] == "Pod":
        return bool(labels.get("app.kubernetes.io/instance") == resource.name)
    key = (metadata.get("annotations") or {}).get(KEY_ANNOTATION, "")
    if COMPOSITE_LABEL in labels:
        return bool(key) and labels[COMPOSITE_LABEL] == resource.name
    return bool(key.startswith(f"{resource.name}-"))


def notes(rendered: Rendered, *, given: bool) -> Iterator[str]:
    """Yields what a person should know that fails nothing.

    Args:
        rendered: The claim.
        given: Whether observed objects were given at all.
    """
    if given and not rendered.observed:
        yield "nothing observed belongs to it: rendered as a new claim"
    for condition in rendered.composition.conditions:
        if condition.reason in ("NotProvided", rollouts.EXCEEDS_CLASS):
            yield condition.message
    for why in rendered.composition.explanations:
        if why.surprising:
            yield why.rule


def documents_of(rendered: Rendered) -> list[dict[str, Any]]:
    """Returns the claim's status and the composed objects, as Crossplane would show them.

    In the order of `crossplane composition render`: the claim, then the objects by key, each with
    the annotation and the label that core adds.
    """
    resource, answer = rendered.resource, rendered.composition
    composite = {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": resource.name, "namespace": resource.namespace},
        "status": {
            **answer.status,
            "conditions": [
                {k: v for k, v in dataclasses.asdict(condition).items() if v != ""}
                for condition in answer.conditions
            ],
        },
    }
    return [composite] + [
        _keyed(key, resource.name, answer.resources[key].manifest)
        for key in sorted(answer.resources)
    ]


def _keyed(key: str, composite: str, manifest: dict[str, Any]) -> dict[str, Any]:
    metadata = manifest["metadata"]
    labels = {**metadata.get("labels", {}), COMPOSITE_LABEL: composite}
    annotations = {**metadata.get("annotations", {}), KEY_ANNOTATION: key}
    return {**manifest, "metadata": {**metadata, "labels": labels, "annotations": annotations}}
