"""The objects of a cluster, as `kubectl get -o yaml` gave them: a part of what the cluster has."""

import collections
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from function.api import claim
from function.cli import documents
from function.cluster import observed

KEY_ANNOTATION = "crossplane.io/composition-resource-name"
COMPOSITE_LABEL = "crossplane.io/composite"
INSTANCE_LABEL = "app.kubernetes.io/instance"

Name = tuple[str, str]


class Snapshot:
    """Observed objects, by the claim that they belong to.

    What is not here may be in the cluster all the same: only of a kind that some object of the
    namespace has is it known that it was looked at.
    """

    def __init__(self, objects: Iterable[dict[str, Any]] = ()) -> None:
        self.objects = list(objects)
        self._claims: dict[Name, dict[str, Any]] = {}
        self._kinds: set[Name] = set()
        self._labelled: dict[Name, list[dict[str, Any]]] = collections.defaultdict(list)
        self._bare: dict[str, list[dict[str, Any]]] = collections.defaultdict(list)
        for item in self.objects:
            self._add(item)

    def _add(self, item: dict[str, Any]) -> None:
        place = documents.namespace(item)
        labels = observed.at(item, "metadata", "labels") or {}
        if is_claim(item):
            self._claims[place, str(observed.at(item, "metadata", "name"))] = item
            self._kinds.add((place, claim.KIND))
            return
        if item["kind"] == claim.KIND:
            return
        self._kinds.add((place, item["kind"]))
        if item["kind"] == "Pod":
            self._labelled[place, str(labels.get(INSTANCE_LABEL))].append(item)
        elif key_of(item):
            if COMPOSITE_LABEL in labels:
                self._labelled[place, str(labels[COMPOSITE_LABEL])].append(item)
            else:
                self._bare[place].append(item)

    @property
    def empty(self) -> bool:
        """Tells whether nothing at all was observed."""
        return not self.objects

    def looked_at(self, kind: str, namespace: str) -> bool:
        """Tells whether objects of a kind were looked for in a namespace, as far as is known."""
        return (namespace, kind) in self._kinds

    def claim(self, namespace: str, name: str) -> dict[str, Any] | None:
        """Returns the claim as it lives in the cluster, or None where it is not here."""
        return self._claims.get((namespace, name))

    def claims(self) -> Iterator[Name]:
        """Yields namespace and name of each claim that lives in the cluster."""
        yield from sorted(self._claims)

    def composed(self, namespace: str, name: str) -> dict[str, dict[str, Any]]:
        """Returns the objects that a claim became, by key."""
        mine = [i for i in self._labelled.get((namespace, name), ()) if i["kind"] != "Pod"]
        # Without core's label the key tells, which begins with the claim's name.
        mine += [i for i in self._bare.get(namespace, ()) if key_of(i).startswith(f"{name}-")]
        return {key_of(item): item for item in mine}

    def bearing(self, kind: str, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        """Returns the objects of a kind that bear labels, in any namespace."""
        return [
            item
            for item in self.objects
            if item["kind"] == kind
            and labels.items() <= (observed.at(item, "metadata", "labels") or {}).items()
        ]

    def pods(self, namespace: str, name: str) -> list[dict[str, Any]]:
        """Returns the pods of a claim."""
        return [i for i in self._labelled.get((namespace, name), ()) if i["kind"] == "Pod"]


def key_of(item: dict[str, Any]) -> str:
    """Returns the key of a composed object, or an empty text for an object of somebody else."""
    return str(observed.at(item, "metadata", "annotations", KEY_ANNOTATION) or "")


def is_claim(item: dict[str, Any]) -> bool:
    """Tells whether an object is one of our claims; other groups have an InferenceService too."""
    group = str(item.get("apiVersion", "")).rpartition("/")[0]
    return item["kind"] == claim.KIND and group == claim.GROUP
