"""One claim through `compose`, with what a cluster would have observed."""

import dataclasses
from typing import Any

from function import compose, composition
from function import observed as world
from function.api import base, claim, settings
from function.cli import documents

KEY_ANNOTATION = "crossplane.io/composition-resource-name"
COMPOSITE_LABEL = "crossplane.io/composite"


@dataclasses.dataclass(frozen=True)
class Rendered:
    """A claim and what it becomes."""

    resource: claim.InferenceService
    composition: composition.Composition
    observed: bool


def site(environments: tuple[str, ...], input_file: str | None) -> tuple[settings.Settings, bool]:
    """Returns the settings, and whether they are the built-in neutral ones.

    Raises:
        base.InvalidError: The settings break their schema.
        documents.UnreadableError: A file cannot be read.
    """
    configs = [document for name in environments for document in documents.read(name)]
    for config in configs:
        if config.get("kind") != "EnvironmentConfig":
            raise documents.UnreadableError(
                f"--environment takes EnvironmentConfigs, not {config.get('kind')}"
            )
    given: dict[str, Any] = {}
    if input_file is not None:
        given = _input(next(documents.read(input_file), {}))
    if configs or given:
        return settings.assemble(given, {}, configs), False
    return settings.Settings(), True


def _input(document: dict[str, Any]) -> dict[str, Any]:
    """Returns the input itself, or that of a Composition's first step."""
    if document.get("kind") != "Composition":
        return document
    steps = document.get("spec", {}).get("pipeline") or [{}]
    given: dict[str, Any] = steps[0].get("input") or {}
    return given


def render(
    document: dict[str, Any], site: settings.Settings, observed: list[dict[str, Any]]
) -> Rendered:
    """Returns what the claim becomes.

    Raises:
        base.InvalidError: The claim cannot be used.
    """
    resource = base.parse(claim.InferenceService, document, what="claim")
    mine = [item for item in observed if _belongs(item, resource)]
    status = document.get("status") or {}
    answer = compose.compose(
        resource,
        site,
        world.Observed(
            resources={
                item["metadata"]["annotations"][KEY_ANNOTATION]: item
                for item in mine
                if item.get("kind") != "Pod"
            },
            conditions=world.conditions(status),
            status=status,
            pods=[item for item in mine if item.get("kind") == "Pod"] or None,
        ),
    )
    return Rendered(resource, answer, bool(mine))


def _belongs(item: dict[str, Any], resource: claim.InferenceService) -> bool:
    """Tells whether an observed object is the claim's, or one of its pods."""
    metadata = item.get("metadata") or {}
    if metadata.get("namespace", resource.namespace) != resource.namespace:
        return False
    labels = metadata.get("labels") or {}
    if item.get("kind") == "Pod":
        return bool(labels.get("app.kubernetes.io/instance") == resource.name)
    key = (metadata.get("annotations") or {}).get(KEY_ANNOTATION, "")
    if COMPOSITE_LABEL in labels:
        return bool(key) and labels[COMPOSITE_LABEL] == resource.name
    return bool(key.startswith(f"{resource.name}-"))


def documents_of(rendered: Rendered) -> list[dict[str, Any]]:
    """Returns the claim's status and the composed objects, as Crossplane would show them."""
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
        _keyed(key, composed.manifest) for key, composed in answer.resources.items()
    ]


def _keyed(key: str, manifest: dict[str, Any]) -> dict[str, Any]:
    metadata = manifest["metadata"]
    annotations = {**metadata.get("annotations", {}), KEY_ANNOTATION: key}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}
