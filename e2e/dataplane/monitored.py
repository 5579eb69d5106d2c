"""Claims in pods of real machines, beside operators of metrics, KEDA and what else a test runs."""

from __future__ import annotations

import contextlib
import copy
import pathlib
import typing
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from e2e import claims, shipped
from e2e.controlplane import api, keda, plane, polling
from e2e.dataplane import monitoring, stage
from e2e.machines import hub, machine, site
from tests.preload import hub_server

MODEL = "Qwen/Qwen2.5-7B-Instruct"
# For a busy machine, on top of what something takes by itself.
GRACE = 180
# What the programs are told, they know when their kubelet looks at their pod: here every 10 s.
REFRESH_SECONDS = 20
# Of a claim that has no ready replica for ten minutes.
_ALERT = "InferenceServiceNoReadyReplica"


class Watching(typing.Protocol):
    """An operator of metrics, with what it runs.

    Attributes:
        RULES: The kind of its rules.
    """

    RULES: typing.ClassVar[str]

    def targets(self) -> Mapping[tuple[str, str], Collection[monitoring.Target]]:
        """What is scraped, by namespace and name of the scrape object."""

    def alerts(self, model: str) -> Mapping[str, str]:
        """State of each alert of a claim that is not quiet, by name."""

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

    # --- what operators of both kinds must do

    def wait_targets(self, wanted: Mapping[str, set[str]]) -> None:
        """Wait until the namespace's scrape objects have these targets that are up, and no others.

        Args:
            wanted: Addresses and ports by the name of the scrape object.
        """

        def told() -> dict[str, set[str]]:
            return {
                name: {target.address for target in targets if target.up}
                for (namespace, name), targets in self.watching.targets().items()
                if namespace == self.tenant.namespace
            }

        polling.until(
            lambda: told() == wanted, what=f"targets {wanted}", timeout=REFRESH_SECONDS + GRACE
        )

    def wait_scaled(self, claim: claims.Claim) -> None:
        """Give a claim's only engine a queue, and wait for a second engine."""
        (busy,) = self.engines(claim)
        # Nobody outside of the cluster reaches it where policies are enforced.
        with self.site.lifted():
            stage.steer(busy, {"shownWaiting": 18})
        polling.until(
            lambda: len(self.engines(claim)) == 2, what="two engines", timeout=120 + GRACE
        )

    def alarm(self, card: api.Ref) -> None:
        """Let an alert of a claim begin and end: its pod finds no machine, and then it does.

        A patch shortens ten minutes and changes nothing else of the rule.

        Args:
            card: The only node with GPUs.
        """
        self.plane.admin.patch(card, {"spec": {"unschedulable": True}})
        claim = self.claim("homeless")
        claim.apply()
        kind = self.watching.RULES
        polling.until(lambda: kind in claim.kinds(), what="its rules", timeout=GRACE)
        groups = copy.deepcopy(claim.one(kind)["spec"]["groups"])
        for rule in groups[0]["rules"]:
            rule["for"] = "10s" if rule["alert"] == _ALERT else rule["for"]
        claim.apply(patches={kind.lower(): {"spec": {"groups": groups}}})
        try:
            polling.until(
                lambda: self.watching.alerts(claim.name).get(_ALERT) == "firing",
                what=_ALERT,
                timeout=REFRESH_SECONDS + GRACE,
            )
        finally:
            self.plane.admin.patch(card, {"spec": {"unschedulable": None}})
        claim.wait_phase("Serving", timeout=120 + GRACE)
        polling.until(
            lambda: _ALERT not in self.watching.alerts(claim.name), what="its end", timeout=GRACE
        )
        claim.delete()

    def refuse(self, claim: claims.Claim, words: str) -> contextlib.ExitStack:
        """Give a claim the rule `sum(up{`, which nobody can read, and wait until the claim says so.

        Args:
            claim: The claim.
            words: The operator's.

        Returns:
            What takes the rule back, at its exit.
        """
        kind = self.watching.RULES
        groups = copy.deepcopy(claim.one(kind)["spec"]["groups"])
        groups[0]["rules"][0]["expr"] = "sum(up{"
        claim.apply(patches={kind.lower(): {"spec": {"groups": groups}}})
        told = claim.wait_condition("ObservabilityReady", "False", "NotReady")
        message = claims.conditions(told)["ObservabilityReady"][2]
        assert words in message, message
        end = contextlib.ExitStack()
        end.callback(claim.wait_condition, "ObservabilityReady", "True", "Ready")
        end.callback(claim.apply, patches={})
        return end


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
