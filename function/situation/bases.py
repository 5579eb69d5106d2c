"""Which base model the pods of a template have, as far as the template proves it.

A directory that a Job makes is named by repository and revision. So a template that names the
directory names the model too, whoever wrote what stands beside the template.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from function.cluster import observed
from function.planning import plans, storage

_NOTHING: Mapping[str, Mapping[str, Any]] = {}


def has_base(template: observed.Object, base: storage.Directory) -> bool:
    """Tells whether pods of a template have a base model.

    By a whole value, and not a part of one: an address may begin with another model's.
    """
    values = frozenset(_values(template))
    if base.origin is not storage.Origin.IMAGE:
        return base.path in values
    # A registry's mirror has another name; the digest stays.
    digests = {value.partition("@")[2] for value in values}
    return base.path in values and base.revision in digests


def proved(
    plan: plans.Plan,
    template: observed.Object,
    records: Mapping[str, Mapping[str, Any]] = _NOTHING,
) -> str:
    """Returns the base model that a template names, or nothing where that is not one.

    Args:
        plan: The plan: its own model may be it.
        template: The template.
        records: Verified directories, as the claim's status has them.
    """
    known = {
        storage.weights_path(record["directory"].rpartition("/")[2]): record["repository"]
        for record in records.values()
        if _vouched(record)
    }
    values = frozenset(_values(template))
    named = {path: model for path, model in known.items() if path in values}
    if has_base(template, plan.storage.base):
        named[plan.storage.base.path] = plan.storage.base.model
    return named.popitem()[1] if len(named) == 1 else ""


def _vouched(record: Mapping[str, Any]) -> bool:
    """Tells whether the name of a recorded directory follows from the repository beside it."""
    repository, revision = record.get("repository"), record.get("revision")
    place = str(record["directory"]).rpartition("/")[2]
    if not isinstance(repository, str) or not isinstance(revision, str):
        return False
    if storage.is_of_others(revision):
        return False
    return place == storage.place("base", repository, revision)


def _values(document: Any) -> Iterator[str]:
    """Yields the texts of a document."""
    if isinstance(document, str):
        yield document
    elif isinstance(document, Mapping):
        for value in document.values():
            yield from _values(value)
    elif isinstance(document, list):
        for value in document:
            yield from _values(value)
