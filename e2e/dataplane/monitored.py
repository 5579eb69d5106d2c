"""Claims in pods of real machines, beside operators of metrics, KEDA and what else a test runs."""

from __future__ import annotations

import contextlib
import copy
import pathlib
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence

from e2e import claims, shipped
from e2e.controlplane import api, keda, plane
from e2e.dataplane import monitoring, stage
from e2e.machines import hub, machine, site
from tests.preload import hub_server

MODEL = "Qwen/Qwen2.5-7B-Instruct"


class Watching(typing.Protocol):
    """An operator of metrics, with what it runs."""

    def start(self) -> None:
        """Start it."""

    def stop(self) -> None:
        """Stop it; idempotent."""


_Watching = typing.TypeVar("_Watching", bound=Watching)


class Stage(typing.Generic[_Watching]):
    """Machines, an operator of metrics, a hub, KEDA, and a namespace of claims.

    Attributes:
        plane: The control plane.
        watching: The operator of metrics.
        site: The machines.
        tenant: The namespace of the claims.
        hub: Where preload Jobs download from.
    """

    def __init__(
        self,
        control_plane: plane.ControlPlane,
        place: site.Site,
        watching: _Watching,
        tenant: claims.Tenant,
        models: hub_server.Server,
    ) -> None:
        """Keep them; ``standing`` makes them."""
        self.plane = control_plane
        self.site = place
        self.watching = watching
        self.tenant = tenant
        self.hub = models

    def claim(self, name: str, **spec: object) -> claims.Claim:
        """A claim that is scraped often, not yet applied."""
        given: api.Object = {
            "model": {
                "repository": MODEL,
                "revision": self.hub.publish(MODEL, hub.model()),
                "quantization": "fp8",
                "contextWindow": 8192,
                "preload": {"enabled": True},
            },
            "observability": {"metrics": {"interval": f"{monitoring.SCRAPE_SECONDS}s"}},
            "scaling": {"minReplicas": 1, "maxReplicas": 2, "pollingIntervalSeconds": 5},
            **copy.deepcopy(spec),
        }
        return self.tenant.claim(
            {
                "apiVersion": shipped.API_VERSION,
                "kind": shipped.KIND,
                "metadata": {"name": name},
                "spec": given,
            }
        )

    def pods(self, labels: Mapping[str, str]) -> list[api.Object]:
        """The ready pods with these labels."""
        where = self.tenant.namespace
        pods = self.plane.admin.objects("v1", "Pod", namespace=where, labels=dict(labels))
        return [pod for pod in pods if api.status_of(pod, "Ready") == "True"]

    def engines(self, claim: claims.Claim) -> list[api.Object]:
        """The ready engines of a claim."""
        name = {"app.kubernetes.io/name": claim.name, "app.kubernetes.io/component": "inference"}
        return self.pods(name)


@contextlib.contextmanager
def standing(
    control_plane: plane.ControlPlane,
    work: pathlib.Path,
    namespace: str,
    machines: Sequence[machine.Machine],
    watch: Callable[[plane.ControlPlane, site.Site], _Watching],
    *,
    policies: bool = False,
) -> Iterator[Stage[_Watching]]:
    """A stage that runs; the product is not configured for it.

    Args:
        control_plane: The control plane.
        work: For files.
        namespace: Of the claims.
        machines: What runs from the start.
        watch: Makes the operator of metrics.
        policies: Whether NetworkPolicies are enforced.
    """
    volume = work / "volume"
    volume.mkdir(mode=0o777)
    volume.chmod(0o777)
    tenant = claims.Tenant(control_plane, control_plane.namespace(namespace), volume)
    with hub.serving() as models, contextlib.ExitStack() as parts:
        ports = [models.server_port]
        place = site.Site(control_plane, work / "disks", machines, ports=ports, policies=policies)
        watching = watch(control_plane, place)
        scaler = keda.Keda(control_plane.api, work, control_plane.logs)
        parts.enter_context(place)
        models.content = f"http://{place.outside}:{models.server_port}"
        place.push(stage.ENGINE, site.STAND_INS, "engine")
        for start, stop in (
            (watching.start, watching.stop),
            (scaler.start, scaler.stop),
            (tenant.prepare, tenant.clean),
        ):
            parts.callback(stop)
            start()
        yield Stage(control_plane, place, watching, tenant, models)
