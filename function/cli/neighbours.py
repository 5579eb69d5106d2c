"""What a claim reads of other objects of its namespace, where they stand in files beside it."""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

from function import composition
from function.api import base, claim, gateway
from function.cli import documents, snapshot
from function.cluster import observed
from function.situation import fallbacks


def told(
    given: observed.Observed,
    answer: composition.Composition,
    source: documents.Source,
    beside: Iterable[documents.Source],
    cluster: snapshot.Snapshot,
) -> observed.Observed:
    """Returns what was observed, with who is to answer while no pod of the claim does.

    Files count before the cluster. Of an object that neither has nothing is known, unless the
    cluster was asked for all of its kind.

    Args:
        given: What was observed.
        answer: What the function answers for it, with its questions.
        source: The claim.
        beside: What else was read.
        cluster: What the cluster has.
    """
    asked = answer.questions.resources.get(fallbacks.REQUIREMENT)
    if asked is None:
        return given
    there = [
        *(_composed(one.document) for one in beside if one.namespace == source.namespace),
        *(one for one in cluster.objects if documents.namespace(one) == source.namespace),
    ]
    named = [
        one
        for one in there
        if (one["apiVersion"], one["kind"]) == (asked.api_version, asked.kind)
        and observed.at(one, "metadata", "name") == asked.name
    ]
    if not named and not cluster.looked_at(asked.kind, source.namespace):
        return given
    return dataclasses.replace(given, required={**given.required, fallbacks.REQUIREMENT: named[:1]})


def doors(
    source: documents.Source, beside: Iterable[documents.Source]
) -> tuple[gateway.InferenceGateway, ...]:
    """Returns the InferenceGateways of a claim's namespace that can be read.

    Args:
        source: The claim.
        beside: What else was read.
    """
    return tuple(_doors(source, beside))


def _doors(
    source: documents.Source, beside: Iterable[documents.Source]
) -> Iterator[gateway.InferenceGateway]:
    for one in beside:
        if one.namespace == source.namespace and one.document["kind"] == gateway.KIND:
            try:
                yield base.parse(gateway.InferenceGateway, one.document, what=gateway.KIND)
            except base.InvalidError:
                continue


def _composed(document: dict[str, Any]) -> dict[str, Any]:
    """Returns an object of a file, a claim as it is once something is composed for it."""
    if document["kind"] != claim.KIND or observed.at(document, "status", "phase") is not None:
        return document
    return {**document, "status": {**(document.get("status") or {}), "phase": "Pending"}}
