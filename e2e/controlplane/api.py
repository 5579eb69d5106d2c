"""A small client of the Kubernetes API: plain dicts in and out, errors with the server's words."""

from __future__ import annotations

import dataclasses
import http.client
import json
import pathlib
import time
import typing
import urllib.parse
from collections.abc import Callable, Generator, Iterable, Mapping

import yaml

from e2e.controlplane import connections, polling

Object: typing.TypeAlias = dict[str, typing.Any]
Patch: typing.TypeAlias = typing.Literal["merge", "json", "strategic"]

_PATCHES: Mapping[Patch, str] = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
}
# Seconds between tries while the server asks to come back later, as client-go does.
_PAUSES = (1, 1, 2, 2, 4, 4, 8)
# What a server that is down or going down gives: connection refused or reset, a cut answer.
UNREACHABLE = (OSError, http.client.HTTPException)


class ApiError(Exception):
    """The server refused; the attributes are those of its Status object."""

    def __init__(self, request: str, status: Object) -> None:
        """Read the Status object of a refused request."""
        self.code = int(status.get("code", 0))
        self.reason = str(status.get("reason", ""))
        self.message = str(status.get("message", ""))
        self.causes: list[Object] = (status.get("details") or {}).get("causes", [])
        super().__init__(f"{request}: {self.code} {self.reason}: {self.message}")


@dataclasses.dataclass(frozen=True)
class Ref:
    """Where an object is; ``namespace`` is None for a cluster-scoped one."""

    api_version: str
    kind: str
    name: str
    namespace: str | None = None

    @classmethod
    def of(cls, item: Object) -> Ref:
        """The place of a manifest."""
        metadata = item["metadata"]
        return cls(item["apiVersion"], item["kind"], metadata["name"], metadata.get("namespace"))

    def __str__(self) -> str:
        place = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {place}"


def load(path: pathlib.Path) -> list[Object]:
    """The objects of a YAML file."""
    return parse(path.read_text())


def parse(text: str | bytes) -> list[Object]:
    """The objects of YAML documents."""
    return [document for document in yaml.load_all(text, Loader=_Loader) if document]


def dump(items: Iterable[Object]) -> str:
    """Objects as YAML documents."""
    return yaml.dump_all(items, Dumper=yaml.CSafeDumper, sort_keys=False)


class _Loader(yaml.CSafeLoader):
    """Reads a large CRD ten times faster, by libyaml; a lone `=` is text, as in Kubernetes."""


yaml.add_constructor("tag:yaml.org,2002:value", yaml.SafeLoader.construct_yaml_str, Loader=_Loader)


class Client:
    """The API as one user sees it. Safe to use from several threads."""

    def __init__(self, host: str, port: int, authority: pathlib.Path, token: str) -> None:
        """Address a server.

        Args:
            host: Its name, which its certificate holds.
            port: Its port.
            authority: PEM file of the certificate that its own is signed with.
            token: Bearer token of the user.
        """
        self._connections = connections.Connections(host, port, authority)
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        self._kinds: dict[str, dict[str, Object]] = {}

    def request(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        content_type: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> Object:
        """Send one request.

        Args:
            method: HTTP method.
            path: Path on the server, quoted.
            body: What to send as JSON.
            content_type: Its type.
            query: Parameters.

        Returns:
            The JSON of the answer; ``{"text": ...}`` when it is not JSON.

        Raises:
            ApiError: The server refused.
            OSError, http.client.HTTPException: It could not be reached (``UNREACHABLE``).
        """
        target = f"{path}?{urllib.parse.urlencode(query)}" if query else path
        headers = dict(self._headers)
        payload = None
        if body is not None:
            payload = json.dumps(body).encode()
            headers["Content-Type"] = content_type
        for pause in _PAUSES:
            code, text = self._connections.send(method, target, payload, headers)
            # A kind that was just installed: "storage is (re)initializing".
            if code != http.HTTPStatus.TOO_MANY_REQUESTS:
                break
            time.sleep(pause)
        try:
            answer = json.loads(text)
        except ValueError:
            answer = {"text": text}
        if code >= 400:
            status = answer if answer.get("kind") == "Status" else {"message": text}
            raise ApiError(f"{method} {target}", {"code": code} | status)
        return typing.cast("Object", answer)

    def watch(self, api_version: str, kind: str, *, seconds: int) -> Generator[Object]:
        """Yield each object of a kind that is there, comes or changes, for so many seconds.

        Raises:
            ApiError: The server refused.
            OSError, http.client.HTTPException: It could not be reached (``UNREACHABLE``).
        """
        query = {"watch": "1", "resourceVersion": "0", "timeoutSeconds": str(seconds)}
        target = f"{self.path(api_version, kind)}?{urllib.parse.urlencode(query)}"
        with self._connections.stream(target, self._headers) as response:
            if response.status != http.HTTPStatus.OK:
                message = response.read().decode()
                raise ApiError(f"GET {target}", {"code": response.status, "message": message})
            for line in response:
                if not line.endswith(b"\n"):  # a server that ends may cut it anywhere
                    raise http.client.IncompleteRead(line)
                event = json.loads(line)
                if event["type"] in ("ADDED", "MODIFIED"):
                    yield event["object"]

    def _resource(self, api_version: str, kind: str) -> tuple[str, Object]:
        """The path of a group version, and the resource of a kind in it (discovery)."""
        root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        if kind not in self._kinds.get(api_version, {}):
            resources = self.request("GET", root)["resources"]
            # Subresources are listed with the kind of what they take.
            kinds = {item["kind"]: item for item in resources if "/" not in item["name"]}
            self._kinds[api_version] = kinds
        if kind not in self._kinds[api_version]:
            message = {"code": 404, "reason": "NotFound", "message": f"no kind {kind}"}
            raise ApiError(f"GET {root}", message)
        return root, self._kinds[api_version][kind]

    def path(
        self,
        api_version: str,
        kind: str,
        *,
        namespace: str | None = None,
        name: str | None = None,
        subresource: str | None = None,
    ) -> str:
        """The path of an object or, without a name, of a collection.

        Raises:
            ApiError: The server does not know the kind (code 404).
            ValueError: A named object of a namespaced kind needs a namespace.
        """
        root, resource = self._resource(api_version, kind)
        parts = [root]
        if resource["namespaced"]:
            if namespace is not None:
                parts += ["namespaces", namespace]
            elif name is not None:
                message = f"{kind} {name} needs a namespace"
                raise ValueError(message)
        parts.append(resource["name"])
        parts += [urllib.parse.quote(part, safe="") for part in (name, subresource) if part]
        return "/".join(parts)

    def _at(self, ref: Ref, subresource: str | None = None) -> str:
        return self.path(
            ref.api_version,
            ref.kind,
            namespace=ref.namespace,
            name=ref.name,
            subresource=subresource,
        )

    def get(self, ref: Ref) -> Object:
        """Read an object.

        Raises:
            ApiError: It is not there (code 404), or not for this user.
        """
        return self.request("GET", self._at(ref))

    def find(self, ref: Ref) -> Object | None:
        """Read an object; None when it, or its kind, is not there."""
        try:
            return self.get(ref)
        except ApiError as error:
            if error.code != 404:
                raise
            return None

    def objects(
        self,
        api_version: str,
        kind: str,
        *,
        namespace: str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> list[Object]:
        """List objects, in one namespace or in all, with kind and apiVersion filled in."""
        query = {}
        if labels:
            query["labelSelector"] = ",".join(f"{key}={value}" for key, value in labels.items())
        answer = self.request("GET", self.path(api_version, kind, namespace=namespace), query=query)
        return [{"apiVersion": api_version, "kind": kind} | item for item in answer["items"]]

    def create(self, item: Object, *, dry_run: bool = False, strict: bool = False) -> Object:
        """Create an object; ``generateName`` works.

        Args:
            item: The object.
            dry_run: Validate and admit only.
            strict: Refuse fields that its schema does not know, as kubectl asks for.

        Raises:
            ApiError: Refused, or already there (reason AlreadyExists).
        """
        namespace = item["metadata"].get("namespace")
        path = self.path(item["apiVersion"], item["kind"], namespace=namespace)
        query = _query(dry_run=dry_run) | ({"fieldValidation": "Strict"} if strict else {})
        return self.request("POST", path, body=item, query=query)

    def apply(
        self, item: Object, *, manager: str = "e2e", force: bool = True, dry_run: bool = False
    ) -> Object:
        """Apply an object on the server's side, with strict field validation as kubectl asks for.

        Args:
            item: The fields that the manager wants.
            manager: Name of the field manager.
            force: Take over fields that another manager owns.
            dry_run: Validate and admit only.

        Raises:
            ApiError: Refused; reason Conflict without ``force``.
        """
        query = _query(dry_run=dry_run) | {
            "fieldManager": manager,
            "force": "true" if force else "false",
            "fieldValidation": "Strict",
        }
        return self.request(
            "PATCH",
            self._at(Ref.of(item)),
            body=item,
            content_type="application/apply-patch+yaml",
            query=query,
        )

    def apply_all(self, items: Iterable[Object]) -> None:
        """Apply objects in their order."""
        for item in items:
            self.apply(item)

    def install_kinds(self, definitions: Iterable[Object]) -> None:
        """Create the kinds that are missing; those that the product is tested with are there."""
        missing = [one for one in definitions if self.find(Ref.of(one)) is None]
        for definition in missing:
            self.create(definition)
        for definition in missing:
            self.wait_condition(Ref.of(definition), "Established")

    def replace(self, item: Object, *, subresource: str | None = None) -> Object:
        """Write a whole object; its resourceVersion, when there, must be the current one."""
        return self.request("PUT", self._at(Ref.of(item), subresource), body=item)

    def patch(
        self, ref: Ref, body: object, *, subresource: str | None = None, kind: Patch = "merge"
    ) -> Object:
        """Patch an object or a subresource such as ``status``."""
        path = self._at(ref, subresource)
        return self.request("PATCH", path, body=body, content_type=_PATCHES[kind])

    def delete(
        self,
        ref: Ref,
        *,
        propagation: typing.Literal["Background", "Foreground", "Orphan"] = "Background",
    ) -> None:
        """Delete an object; one that is not there is well deleted."""
        try:
            self.request("DELETE", self._at(ref), body={"propagationPolicy": propagation})
        except ApiError as error:
            if error.code != 404:
                raise

    def wait(
        self,
        ref: Ref,
        condition: Callable[[Object], bool],
        *,
        what: str,
        timeout: float = 60,
    ) -> Object:
        """Wait until an object is there and fulfils a condition.

        Args:
            ref: The object.
            condition: What must be true of it.
            what: The condition in words, for the message.
            timeout: Seconds.

        Returns:
            The object, when it did.

        Raises:
            TimeoutError: It did not; the message holds its last status.
        """
        last: Object | None = None

        def probe() -> Object | None:
            nonlocal last
            last = self.find(ref)
            return last if last is not None and condition(last) else None

        try:
            item = polling.until(probe, what=f"{ref} {what}", timeout=timeout, ignore=UNREACHABLE)
        except TimeoutError as error:
            status = "absent" if last is None else json.dumps(last.get("status"), indent=1)
            message = f"{error}\n{ref}: {status}"
            raise TimeoutError(message) from None
        assert item is not None
        return item

    def wait_condition(
        self, ref: Ref, condition: str, value: str = "True", *, timeout: float = 60
    ) -> Object:
        """Wait until a status condition has a value, as ``kubectl wait`` does."""
        return self.wait(
            ref,
            lambda item: status_of(item, condition) == value,
            what=f"with {condition}={value}",
            timeout=timeout,
        )

    def wait_gone(self, ref: Ref, *, timeout: float = 60) -> None:
        """Wait until an object is not there."""
        polling.until(
            lambda: self.find(ref) is None,
            what=f"the end of {ref}",
            timeout=timeout,
            ignore=UNREACHABLE,
        )


def _query(*, dry_run: bool) -> dict[str, str]:
    return {"dryRun": "All"} if dry_run else {}


def status_of(item: Object, condition: str) -> str | None:
    """The value of a status condition: "True", "False", "Unknown", or None when it is not there."""
    for entry in (item.get("status") or {}).get("conditions") or []:
        if entry["type"] == condition:
            return str(entry["status"])
    return None
