"""Where the value of a claim's field comes from: its author, the model and GPU, the settings."""

import dataclasses
import enum
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from function import explanation
from function.api import settings
from function.cli import places, planned, suggestions
from function.engines import advisers
from function.planning import plans


class Source(enum.StrEnum):
    """Who decided about a value."""

    AUTHOR = "author"
    """The claim names it."""
    DERIVED = "derived"
    """It follows from the model, the GPU or other fields."""
    SETTINGS = "settings"
    """The platform decided."""
    DEFAULT = "default"
    """Nobody named it."""


@dataclasses.dataclass(frozen=True)
class Origin:
    """A field of a claim.

    Attributes:
        path: The field.
        source: Who decided about its value.
        value: The value in force; None where the field is off or empty.
        file: Where the claim names it.
        line: The same, from 1; 0 where the claim does not name it.
        setting: The setting that decided, or empty.
        derived: How the value follows, or what else follows from what the author wrote.
    """

    path: str
    source: Source
    value: Any
    file: str
    line: int = 0
    setting: str = ""
    derived: tuple[explanation.Explanation, ...] = ()


OF_PLAN: Mapping[str, Callable[[plans.Plan], Any]] = {
    "spec.gpu.count": lambda plan: plan.hardware.count,
    "spec.gpu.class": lambda plan: None if plan.hardware.without_gpu else plan.hardware.class_name,
    "spec.gpu.resourceName": lambda plan: (
        None if plan.hardware.without_gpu else plan.hardware.resource_name
    ),
    "spec.drainSeconds": lambda plan: plan.drain.shutdown,
    "spec.scaling.minReplicas": lambda plan: plan.scaling.minimum,
    "spec.scaling.maxReplicas": lambda plan: plan.scaling.maximum,
    "spec.scaling.cooldownSeconds": lambda plan: plan.scaling.cooldown,
    "spec.scaling.pollingIntervalSeconds": lambda plan: plan.scaling.polling,
    "spec.scaling.triggers.kvCache.target": lambda plan: plan.scaling.kv_usage,
    "spec.scaling.triggers.queue.target": lambda plan: plan.scaling.queue,
    "spec.scaling.triggers.running.target": lambda plan: plan.scaling.running_target(
        plan.serving.max_requests
    ),
    "spec.resources.requests": lambda plan: plan.hardware.requests,
    "spec.resources.limits": lambda plan: plan.hardware.limits,
    "spec.suspend": lambda plan: plan.suspended,
    "spec.model.retention": lambda plan: plan.storage.retention,
    "spec.model.revision": lambda plan: (
        plan.storage.base.revision if plan.storage.base.on_volume else None
    ),
    "spec.weightsFileSystem.subPath": lambda plan: plan.storage.sub_path,
}
# What an absent field takes from the settings.
SETTINGS: Mapping[str, tuple[str, Callable[[settings.Settings], Any]]] = {
    "spec.engine.image": ("engine.image", lambda site: site.engine.image),
    "spec.engine.version": ("engine.version", lambda site: site.engine.version),
    "spec.gpu.class": ("gpu.defaultClass", lambda site: site.gpu.default_class),
    "spec.gpu.fit": ("capacity.fit", lambda site: site.capacity.fit),
    "spec.gpu.resourceName": (
        "gpu.classes.<class>.resourceName",
        lambda site: site.gpu.classes[site.gpu.default_class].resource_name,
    ),
}


# The same of a claim of text-embeddings-inference.
SETTINGS_OF_TEI: Mapping[str, tuple[str, Callable[[settings.Settings], Any]]] = {
    **SETTINGS,
    "spec.engine.image": ("engine.tei.image", lambda site: site.engine.tei.image),
    "spec.engine.version": ("engine.tei.version", lambda site: site.engine.tei.version),
}


def _settings(
    claim: planned.Planned,
) -> Mapping[str, tuple[str, Callable[[settings.Settings], Any]]]:
    """Returns what absent fields of a claim take from the settings."""
    if claim.plan is None or claim.plan.spec.engine_kind != "tei":
        return SETTINGS
    if not claim.plan.hardware.without_gpu:
        return SETTINGS_OF_TEI
    # Without a GPU no class of the settings counts.
    return {path: one for path, one in SETTINGS_OF_TEI.items() if not path.startswith("spec.gpu")}


def of(claim: planned.Planned, path: str, site: settings.Settings) -> Origin:
    """Returns where the value of a field comes from.

    Args:
        claim: The claim; without a plan only what the claim and the settings say is known.
        path: A field of the claim that exists.
        site: The settings.
    """
    file, node = claim.source.file, claim.source.node
    written = suggestions.value(claim.source.document, path)
    derived = tuple(_derived(claim, path))
    value = _in_force(claim, path)
    if written is not None:
        line = places.line(node, path)
        return Origin(path, Source.AUTHOR, written, file, line, derived=derived)
    from_settings = _settings(claim)
    if path in from_settings:
        setting, take = from_settings[path]
        value = take(site) if value is None else value
        return Origin(path, Source.SETTINGS, value, file, setting=setting, derived=derived)
    source = Source.DERIVED if derived else Source.DEFAULT
    return Origin(path, source, value, file, derived=derived)


def derived(claim: planned.Planned) -> tuple[explanation.Explanation, ...]:
    """Returns everything that was derived for a claim."""
    return () if claim.plan is None else claim.plan.explanations


def _derived(claim: planned.Planned, path: str) -> Iterator[explanation.Explanation]:
    yield from (why for why in derived(claim) if why.field == path)


def _in_force(claim: planned.Planned, path: str) -> Any:
    if claim.plan is None:
        return None
    if path in OF_PLAN:
        return OF_PLAN[path](claim.plan)
    return advisers.of(claim.plan.engine).in_force(claim.plan.serving).get(path)
