"""The claims of a namespace over time: replicas, the autoscalers' wishes, the claims' statuses."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import threading
import time
import typing

from e2e import claims, shipped
from e2e.controlplane import api

_HPA_PREFIX = "keda-hpa-"


@dataclasses.dataclass(frozen=True)
class Moment:
    """A new value and the time of the change, in seconds of `time.monotonic`."""

    at: float
    value: typing.Any


class History:
    """Reads every Deployment, autoscaler and claim of a namespace, and keeps each change.

    One thread reads for all stories, so that many stories can follow claims at once.
    """

    def __init__(self, client: api.Client, namespace: str, interval: float = 1.0) -> None:
        """Read every ``interval`` seconds; a moment may be late by as much."""
        self._client = client
        self._namespace = namespace
        self._interval = interval
        self._moments: dict[tuple[str, str], list[Moment]] = {}
        self._claims: dict[str, api.Object] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, name="history", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._end.set()
        self._thread.join()

    def replicas(self, claim: str) -> list[Moment]:
        """Changes of the number of replicas in the spec of the claim's Deployment."""
        return list(self._moments.get(("replicas", claim), ()))

    def desired(self, claim: str) -> list[Moment]:
        """Changes of the number of replicas that the claim's autoscaler wanted."""
        return list(self._moments.get(("desired", claim), ()))

    def statuses(self, claim: str) -> list[Moment]:
        """Changes of the claim's status: phase, and status and reason of ``ScalerReady``."""
        return list(self._moments.get(("statuses", claim), ()))

    def claim(self, name: str) -> api.Object | None:
        """The claim as of the last read; None before the first."""
        return self._claims.get(name)

    def write(self, path: pathlib.Path) -> None:
        """Write all changes as JSON, by kind and claim, in seconds since the first change."""
        moments = dict(self._moments)
        start = min((changes[0].at for changes in moments.values()), default=0)
        lines = {
            f"{kind} {name}": [[round(moment.at - start), moment.value] for moment in changes]
            for (kind, name), changes in sorted(moments.items())
        }
        path.write_text("\n".join(f"{key}: {json.dumps(value)}" for key, value in lines.items()))

    def _work(self) -> None:
        while not self._end.wait(self._interval):
            with contextlib.suppress(api.ApiError, *api.UNREACHABLE):
                self._look()

    def _look(self) -> None:
        listed = self._list("apps/v1", "Deployment")
        for item in listed:
            self._note("replicas", item["metadata"]["name"], item["spec"]["replicas"])
        for item in self._list("autoscaling/v2", "HorizontalPodAutoscaler"):
            name = item["metadata"]["name"].removeprefix(_HPA_PREFIX)
            self._note("desired", name, item["status"]["desiredReplicas"])
        for item in self._list(shipped.API_VERSION, shipped.KIND):
            name = item["metadata"]["name"]
            self._claims[name] = item
            status, reason, _ = claims.conditions(item).get("ScalerReady", ("", "", ""))
            phase = (item.get("status") or {}).get("phase", "")
            self._note("statuses", name, (phase, status, reason))

    def _list(self, api_version: str, kind: str) -> list[api.Object]:
        return self._client.objects(api_version, kind, namespace=self._namespace)

    def _note(self, kind: str, name: str, value: typing.Any) -> None:
        changes = self._moments.setdefault((kind, name), [])
        if not changes or changes[-1].value != value:
            changes.append(Moment(time.monotonic(), value))
