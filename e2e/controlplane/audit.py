"""The API server's audit log: each write, its user, and whether the write changed the object."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import typing

from e2e.controlplane import api

# The policy logs no reads. The policy logs the bodies of writes: only the resource version in an
# answer tells whether the write changed the object. For kinds whose bodies are secret or large the
# policy logs no bodies, and nothing tells whether a write changed the object.
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
        time: When the server received the request, RFC 3339.
        user: Who sent the request, such as ``system:serviceaccount:crossplane-system:crossplane``.
        verb: create, update, patch, delete or deletecollection.
        group: API group; empty for core.
        resource: Plural name.
        subresource: Such as ``status``; empty for the object itself.
        namespace: Empty when cluster-scoped.
        name: Name of the object.
        code: HTTP status of the answer.
        dry_run: Whether the request was a dry run.
        changed: Whether the request changed the object; None when the log cannot tell, which is so
            for Secrets, Pods, Nodes and CRDs, whose bodies the log does not hold.
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


@dataclasses.dataclass(frozen=True)
class _Maker:
    """The request that made a version of an object.

    Attributes:
        place: Index of the write in the list of writes.
        offset: Offset of the event's line in the file.
        end: When the server answered the request, RFC 3339.
    """

    place: int
    offset: int
    end: str


class AuditLog:
    """The audit log of one API server, read from its file as it grows.

    The file must hold every write since the start of the server. A write changed the object if the
    write made the version that is in its answer. The answer to a write that changed nothing holds
    the version that an earlier write made. The server writes a line when an answer is complete. On
    a busy machine the answer to a write that changed nothing may be complete before the answer to
    the write that made the version. For writes that overlap, the bodies of the requests decide
    which write made the version. Only one thread may use a log.
    """

    def __init__(self, path: pathlib.Path) -> None:
        """Read from ``path``, which need not exist yet."""
        self._path = path
        self._offset = 0
        # By object, then by version.
        self._makers: dict[tuple[str, str, str, str], dict[int, _Maker]] = {}
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
        """The versions of an object, oldest first.

        Args:
            place: The object, of a kind whose bodies the log holds.
            resource: Plural name of the kind.
            start: What ``end`` returned earlier; older versions are left out.
        """
        by_version: dict[int, api.Object] = {}
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
                    by_version[int(answer["metadata"]["resourceVersion"])] = answer
        return [by_version[version] for version in sorted(by_version)]

    def _read(self) -> None:
        """Read the complete lines that the server wrote since the last call."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                write = self._write_of(json.loads(line), self._offset)
                self._offset += len(line)
                if write is not None:
                    self._writes.append(write)

    def _write_of(self, event: api.Object, offset: int) -> Write | None:
        """The write of the event in a line; None for a request that is no write to an object."""
        place = event.get("objectRef")
        verbs = ("create", "update", "patch", "delete", "deletecollection")
        if place is None or event["verb"] not in verbs or event["stage"] == "Panic":
            return None
        answer = event.get("responseObject") or {}
        metadata = answer.get("metadata") or {}
        dry_run = "dryRun=" in event["requestURI"]
        code = int((event.get("responseStatus") or {}).get("code", 0))
        write = Write(
            time=event["requestReceivedTimestamp"],
            user=event["user"]["username"],
            verb=event["verb"],
            group=place.get("apiGroup", ""),
            resource=place["resource"],
            subresource=place.get("subresource", ""),
            namespace=place.get("namespace", ""),
            # The name of a created object may be generated: it is in the answer only.
            name=place.get("name") or metadata.get("name") or "",
            code=code,
            dry_run=dry_run,
            changed=None if code < 400 and not dry_run else False,
        )
        if not dry_run and metadata.get("resourceVersion"):
            write = dataclasses.replace(write, changed=self._made(write, event, offset))
        elif write.changed is None and answer.get("kind") == "Status":
            # Deleted at once: the answer is a Status, without a version.
            write = dataclasses.replace(write, changed=True)
        return write

    def _made(self, write: Write, event: api.Object, offset: int) -> bool:
        """Whether a write made the version in its answer.

        If an earlier write of the list counted as the maker of the version, that write then counts
        as a write that changed nothing.

        Args:
            write: The write, which the caller appends to the list.
            event: The event of the write.
            offset: Offset of the event's line in the file.
        """
        key = (write.group, write.resource, write.namespace, write.name)
        makers = self._makers.setdefault(key, {})
        version = _version(event["responseObject"])
        maker = makers.get(version)
        if maker is not None:
            if maker.end < write.time:
                return False  # the write began after the version was made
            older = max((number for number in makers if number < version), default=None)
            before = self._line(makers[older])["responseObject"] if older is not None else {}
            if _changes(event, before) <= _changes(self._line(maker), before):
                return False
            other = self._writes[maker.place]
            self._writes[maker.place] = dataclasses.replace(other, changed=False)
        makers[version] = _Maker(len(self._writes), offset, event["stageTimestamp"])
        return True

    def _line(self, maker: _Maker) -> api.Object:
        with self._path.open("rb") as file:
            file.seek(maker.offset)
            return typing.cast("api.Object", json.loads(file.readline()))


def _version(item: api.Object) -> int:
    """Versions grow (comparable since Kubernetes 1.35)."""
    return int(item["metadata"]["resourceVersion"])


def _changes(event: api.Object, before: api.Object) -> int:
    """Whether a request changed an object: 0 is no, 1 is perhaps, 2 is certainly.

    Args:
        event: The event of the request.
        before: The object before the request, or before another request at the same time.
    """
    asked: object = event.get("requestObject")
    if event["verb"] == "create":
        return 2
    if not isinstance(asked, dict):
        return 1
    if event["verb"] == "update" and "resourceVersion" in asked["metadata"]:
        return 2 if _version(asked) < _version(event["responseObject"]) else 0
    return 0 if _holds(before, asked) else 1


def _holds(actual: object, wanted: object) -> bool:
    """Whether a value holds every field of ``wanted``, and for each list every entry."""
    if isinstance(wanted, dict) and isinstance(actual, dict):
        return all(
            name in actual and _holds(actual[name], value)
            if value is not None
            else name not in actual
            for name, value in wanted.items()
        )
    if isinstance(wanted, list) and isinstance(actual, list):
        return all(any(_holds(entry, value) for entry in actual) for value in wanted)
    return actual == wanted
