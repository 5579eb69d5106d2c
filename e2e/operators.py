"""A stand-in for operators, where a test is about something else.

Cilium runs nowhere here: it needs a kernel of its own. Envoy Gateway, Envoy AI Gateway, KEDA, Flux,
External Secrets and both operators of metrics run in tests of their own, which take their kinds
away from the stand-in (``absent``). `Operators` does no more than write the
status with which each of them says that it took an object. Everything else is the real program.
"""

from __future__ import annotations

import contextlib
import datetime
import threading
import typing
from collections.abc import Callable, Iterator, Mapping

from e2e.controlplane import api

Status: typing.TypeAlias = Callable[[api.Object], api.Object]
_CONTROLLER = "example.org/stand-in"
# Each watch begins with all that is there: objects of a kind that was `absent` until now too.
_WATCH_SECONDS = 5
_PAUSE_SECONDS = 0.2


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _condition(kind: str) -> api.Object:
    return {
        "type": kind,
        "status": "True",
        "reason": kind,
        "message": "",
        "lastTransitionTime": _now(),
    }


def _conditions(*kinds: str) -> Status:
    return lambda item: {"conditions": [_condition(kind) for kind in kinds]}


def _operational(item: api.Object) -> api.Object:
    return {"updateStatus": "operational", "observedGeneration": item["metadata"]["generation"]}


def _route(item: api.Object) -> api.Object:
    """What a Gateway controller says of an HTTPRoute, once for each parent."""
    kinds = [_condition("Accepted"), _condition("ResolvedRefs")]
    parents = [
        {"parentRef": parent, "controllerName": _CONTROLLER, "conditions": kinds}
        for parent in item["spec"]["parentRefs"]
    ]
    return {"parents": parents}


def _traffic_policy(item: api.Object) -> api.Object:
    """What Envoy Gateway says of a BackendTrafficPolicy."""
    ancestor = {
        "ancestorRef": {"name": item["metadata"]["name"]},
        "controllerName": _CONTROLLER,
        "conditions": [_condition("Accepted")],
    }
    return {"ancestors": [ancestor]}


def _installed(item: api.Object) -> api.Object:
    """What Flux's helm-controller says of a release once the chart is in the cluster."""
    told = _condition("Ready") | {"reason": "InstallSucceeded"}
    return {"conditions": [told], "observedGeneration": item["metadata"]["generation"]}


STATUSES: Mapping[tuple[str, str], Status] = {
    ("aigateway.envoyproxy.io/v1beta1", "AIGatewayRoute"): _conditions("Accepted"),
    ("aigateway.envoyproxy.io/v1beta1", "AIServiceBackend"): _conditions("Accepted"),
    ("cilium.io/v2", "CiliumNetworkPolicy"): _conditions("Valid"),
    ("external-secrets.io/v1", "ExternalSecret"): _conditions("Ready"),
    ("gateway.envoyproxy.io/v1alpha1", "Backend"): _conditions("Accepted"),
    ("gateway.envoyproxy.io/v1alpha1", "BackendTrafficPolicy"): _traffic_policy,
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): _route,
    ("grafana.integreatly.org/v1beta1", "GrafanaDashboard"): _conditions("DashboardSynchronized"),
    ("helm.toolkit.fluxcd.io/v2", "HelmRelease"): _installed,
    ("keda.sh/v1alpha1", "ScaledObject"): _conditions("Ready"),
    ("operator.victoriametrics.com/v1beta1", "VMRule"): _operational,
    ("operator.victoriametrics.com/v1beta1", "VMServiceScrape"): _operational,
}


class Operators:
    """Gives every object of these kinds, in every namespace, its operator's good status, once.

    An object whose status is there is left alone, so that nothing is written at steady state.
    """

    def __init__(self, client: api.Client) -> None:
        """Use a client's rights."""
        self._client = client
        self._left: set[str] = set()
        self._end = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(*of, status), name=of[1], daemon=True)
            for of, status in STATUSES.items()
        ]

    def start(self) -> None:
        """Begin to look."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End."""
        self._end.set()
        for thread in self._threads:
            thread.join()

    @contextlib.contextmanager
    def absent(self, *kinds: str) -> Iterator[None]:
        """Leave kinds to their real operators for a while."""
        self._left.update(kinds)
        try:
            yield
        finally:
            self._left.difference_update(kinds)

    def _work(self, api_version: str, kind: str, status: Status) -> None:
        while not self._end.wait(_PAUSE_SECONDS):
            if kind in self._left:
                continue
            watched = self._client.watch(api_version, kind, seconds=_WATCH_SECONDS)
            # The server may be down, or the kind absent: the next round tells.
            with (
                contextlib.suppress(api.ApiError, *api.UNREACHABLE),
                contextlib.closing(watched) as items,
            ):
                for item in items:
                    if kind in self._left or self._end.is_set():
                        break
                    # The schema of Flux's kinds fills in a generation of -1.
                    if not (item.get("status") or {}).keys() - {"observedGeneration"}:
                        self._tell(item, status(item))

    def _tell(self, item: api.Object, status: api.Object) -> None:
        """Write a status, unless the object is another by now: then it is seen once more."""
        known = {"resourceVersion": item["metadata"]["resourceVersion"]}
        with contextlib.suppress(api.ApiError):
            body = {"metadata": known, "status": status}
            self._client.patch(api.Ref.of(item), body, subresource="status")
