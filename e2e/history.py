"""What became of the claims of a namespace over time: replicas, autoscalers, what claims said."""

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
    """A value that was new at a time, in seconds of `time.monotonic`."""

    at: float
    value: typing.Any


class History:
    """Looks at every Deployment, autoscaler and claim of a namespace, and keeps what changed.

    One thread looks for all who wait, so that many claims can be followed at once.
    """

    def __init__(self, client: api.Client, namespace: str, interval: float = 1.0) -> None:
        """Look every ``interval`` seconds: no moment is more exact than that."""
        self._client = client
        self._namespace = namespace
        self._interval = interval
        self._moments: dict[tuple[str, str], list[Moment]] = {}
        self._claims: dict[str, api.Object] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, name="history", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._end.set()
        self._thread.join()

    def replicas(self, claim: str) -> list[Moment]:
        """How many replicas its Deployment was asked for."""
        return list(self._moments.get(("replicas", claim), ()))

    def desired(self, claim: str) -> list[Moment]:
        """How many replicas its autoscaler wanted."""
        return list(self._moments.get(("desired", claim), ()))

    def said(self, claim: str) -> list[Moment]:
        """Phase, and status and reason of ``ScalerReady``, as the claim said them."""
        return list(self._moments.get(("said", claim), ()))

    def claim(self, name: str) -> api.Object | None:
        """The claim as it was last seen."""
        return self._claims.get(name)

    def write(self, path: pathlib.Path) -> None:
        """Write all of it as JSON, by kind and claim, in seconds since the first moment."""
        moments = dict(self._moments)
        start = min((found[0].at for found in moments.values()), default=0)
        lines = {
            f"{kind} {name}": [[round(moment.at - start), moment.value] for moment in found]
            for (kind, name), found in sorted(moments.items())
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
            self._note("said", name, (phase, status, reason))

    def _list(self, api_version: str, kind: str) -> list[api.Object]:
        return self._client.objects(api_version, kind, namespace=self._namespace)

    def _note(self, kind: str, name: str, value: typing.Any) -> None:
        found = self._moments.setdefault((kind, name), [])
        if not found or found[-1].value != value:
            found.append(Moment(time.monotonic(), value))
