"""What was written to the API, by whom, and whether it changed anything: the server's audit log."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import typing
from collections.abc import Iterator

from e2e.controlplane import api

# Reads are not logged. Bodies are, because only the resource version in an answer tells a write
# that changed something from one that did not; without bodies (secret or large), it is not known.
_BODILESS = [
    {"group": "", "resources": ["secrets", "pods", "nodes", "serviceaccounts/token"]},
    {"group": "apiextensions.k8s.io"},
    {"group": "authentication.k8s.io"},
    {"group": "authorization.k8s.io"},
]
POLICY: dict[str, typing.Any] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "omitManagedFields": True,
    "rules": [
        {"level": "None", "verbs": ["get", "list", "watch"]},
        {
            "level": "None",
            "resources": [
                {"group": "", "resources": ["events", "nodes/status"]},
                {"group": "events.k8s.io"},
                {"group": "coordination.k8s.io"},
            ],
        },
        {"level": "Metadata", "resources": _BODILESS},
        {"level": "RequestResponse", "verbs": ["create", "update", "patch", "delete"]},
        {"level": "Metadata"},
    ],
}


@dataclasses.dataclass(frozen=True)
class Write:
    """One request that asked for a change.

    Attributes:
        time: When it was received, RFC 3339.
        user: Who asked, such as ``system:serviceaccount:crossplane-system:crossplane``.
        verb: create, update, patch, delete or deletecollection.
        group: API group; empty for core.
        resource: Plural name.
        subresource: Such as ``status``; empty for the object itself.
        namespace: Empty when cluster-scoped.
        name: Name of the object.
        code: HTTP status of the answer.
        dry_run: Whether it was asked only whether it would work.
        changed: Whether the object was another one afterwards; None when the log cannot tell
            (Secrets, Pods, Nodes and CRDs, whose bodies it does not keep).
    """

    time: str
    user: str
    verb: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    code: int
    dry_run: bool
    changed: bool | None


class AuditLog:
    """The audit log of one API server, read from its file as it grows.

    Every write since the start of the server must be in the file: whether one changed an object is
    told by comparing with the version that the one before left. Not for several threads.
    """

    def __init__(self, path: pathlib.Path) -> None:
        """Read from ``path``, which need not exist yet."""
        self._path = path
        self._offset = 0
        self._versions: dict[tuple[str, str, str, str], int] = {}
        self._writes: list[Write] = []

    def mark(self) -> int:
        """The present end of the log, for ``since``."""
        self._read()
        return len(self._writes)

    def writes(self, since: int = 0) -> list[Write]:
        """The writes after a mark; all of them by default."""
        self._read()
        return self._writes[since:]

    def end(self) -> int:
        """The present end of the file in bytes, for ``versions``."""
        return self._path.stat().st_size

    def versions(self, place: api.Ref, resource: str, start: int = 0) -> list[api.Object]:
        """What each write left of an object, in order.

        Args:
            place: The object; of a kind whose bodies are kept.
            resource: Its plural name.
            start: An ``end`` of before.
        """
        found: dict[int, api.Object] = {}
        mark = f'"name":"{place.name}"'.encode()
        with self._path.open("rb") as file:
            file.seek(start)
            for line in file:
                if mark not in line or not line.endswith(b"\n"):
                    continue
                event = json.loads(line)
                target, answer = event.get("objectRef") or {}, event.get("responseObject")
                where = (target.get("resource"), target.get("namespace"), target.get("name"))
                if where != (resource, place.namespace, place.name) or not answer:
                    continue
                if answer.get("kind") == place.kind and "dryRun=" not in event["requestURI"]:
                    found[int(answer["metadata"]["resourceVersion"])] = answer
        return [found[version] for version in sorted(found)]

    def _read(self) -> None:
        """Take in the lines that are new and complete."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._offset += len(line)
                self._writes.extend(self._writes_of(json.loads(line)))

    def _writes_of(self, event: dict[str, typing.Any]) -> Iterator[Write]:
        """The write of an event; none for a request that is no write to an object."""
        place = event.get("objectRef")
        verbs = ("create", "update", "patch", "delete", "deletecollection")
        if place is None or event["verb"] not in verbs or event["stage"] == "Panic":
            return
        answer = event.get("responseObject") or {}
        metadata = answer.get("metadata") or {}
        dry_run = "dryRun=" in event["requestURI"]
        # The name of a created object may be generated: it is in the answer only.
        name = place.get("name") or metadata.get("name") or ""
        key = (place.get("apiGroup", ""), place["resource"], place.get("namespace", ""), name)
        code = int((event.get("responseStatus") or {}).get("code", 0))
        changed = None if code < 400 else False
        if dry_run:
            changed = False
        elif version := metadata.get("resourceVersion"):
            # Versions grow (comparable since Kubernetes 1.35); the lines of two concurrent writes
            # may be in either order.
            changed = int(version) > self._versions.get(key, 0)
            self._versions[key] = max(int(version), self._versions.get(key, 0))
        elif code < 400 and answer.get("kind") == "Status":
            changed = True  # deleted at once: the answer is a Status, without a version
        yield Write(
            time=event["requestReceivedTimestamp"],
            user=event["user"]["username"],
            verb=event["verb"],
            group=key[0],
            resource=key[1],
            subresource=place.get("subresource", ""),
            namespace=key[2],
            name=name,
            code=code,
            dry_run=dry_run,
            changed=changed,
        )
