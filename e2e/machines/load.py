"""Requests of a caller in a pod, to a Service by its name."""

from __future__ import annotations

import dataclasses
import http.client
import json
from collections.abc import Mapping

from e2e.controlplane import api, plane

IMAGE = "example.org/caller:v1"
_PORT = 8080
# The caller ends what is in flight before it answers.
_SECONDS = 120


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of the requests that ended.

    Attributes:
        answered: How many were answered whole.
        failed: How many were not, by what happened.
        engines: Of those that were answered, how many by which pod.
        median: Seconds of an answer; likewise ``p99`` and ``longest``.
    """

    answered: int
    failed: Mapping[str, int]
    engines: Mapping[str, int]
    median: float
    p99: float
    longest: float


class Load:
    """A pod that keeps some requests in flight, each with a connection of its own."""

    def __init__(
        self,
        control_plane: plane.ControlPlane,
        namespace: str,
        *,
        url: str,
        model: str,
        node: str,
        flags: Mapping[str, object],
    ) -> None:
        """Describe it.

        Args:
            control_plane: The control plane.
            namespace: Where the pod is to be.
            url: Of the API, such as ``http://name.namespace.svc:8000/v1``.
            model: The model that is asked for.
            node: Where the pod runs.
            flags: More flags of the caller (``tools/stand-ins/caller``).
        """
        self._plane = control_plane
        self._ref = api.Ref("v1", "Pod", "caller", namespace)
        self._node = node
        given = {"url": url, "model": model, "listen": f":{_PORT}", "wait": "60s", **flags}
        self._arguments = [f"--{name}={value}" for name, value in given.items()]
        self._address = ""

    def start(self) -> None:
        """Start it and wait until a first request was answered.

        Raises:
            TimeoutError: None was.
        """
        self._plane.developer.create(self._pod())
        self._plane.admin.wait_condition(self._ref, "Ready", timeout=90)
        self._address = self._plane.admin.get(self._ref)["status"]["podIP"]

    def _pod(self) -> api.Object:
        container = {
            "name": "caller",
            "image": IMAGE,
            "args": self._arguments,
            "readinessProbe": {
                "httpGet": {"path": "/outcome", "port": _PORT},
                "periodSeconds": 1,
                "failureThreshold": 60,
            },
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "runAsNonRoot": True,
                "runAsUser": 1001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
        }
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": self._ref.name, "namespace": self._ref.namespace},
            "spec": {
                "automountServiceAccountToken": False,
                "containers": [container],
                "nodeSelector": {"kubernetes.io/hostname": self._node},
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 0,
            },
        }

    def outcome(self) -> Outcome:
        """What became of the requests that ended so far."""
        return self._ask("GET", "/outcome")

    def end(self) -> Outcome:
        """Begin no more requests, wait for those in flight, and tell what became of all."""
        return self._ask("POST", "/end")

    def _ask(self, method: str, path: str) -> Outcome:
        connection = http.client.HTTPConnection(self._address, _PORT, timeout=_SECONDS)
        try:
            connection.request(method, path)
            told = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        names = [field.name for field in dataclasses.fields(Outcome)]
        return Outcome(**{name: told[name] for name in names})

    def remove(self) -> None:
        """Delete the pod."""
        self._plane.admin.delete(self._ref)
        self._plane.admin.wait_gone(self._ref)
