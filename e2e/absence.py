"""A function that is absent for minutes, told in steps, so that other tests fill the time."""

from __future__ import annotations

from e2e import claims, installation
from e2e.controlplane import api, plane, polling

_KEPT = "xplane-qwen-coder"
_DELETED = "xplane-qwen-coder-fim"
# Core waits two minutes for an answer, and has not told before that anything is wrong.
_TOLD_SECONDS = 180
# Core's gRPC client tries to connect ever more rarely, in the end every two minutes.
_BACK_SECONDS = 240
_REPLICAS = 4


class Absence:
    """Two served claims, from the moment at which the function is killed."""

    def __init__(
        self, control_plane: plane.ControlPlane, product: installation.Installation
    ) -> None:
        """Use the product on the plane of the run."""
        self._plane = control_plane
        self._product = product
        self._tenant = claims.Tenant(control_plane, control_plane.namespace("absence"))
        self._kept = self._tenant.example(_KEPT)
        self._deleted = self._tenant.example(_DELETED)
        self._mark = 0
        self._uids: dict[str, str] = {}

    def begin(self) -> None:
        """Serve both claims, kill the function, then edit one claim and delete the other."""
        self._tenant.prepare()
        for claim in (self._kept, self._deleted):
            claim.apply()
        for claim in (self._kept, self._deleted):
            claim.wait_ready()
        self._mark = self._plane.api.audit.mark()
        self._uids = _uids(self._kept)
        gone = [api.Ref.of(item) for item in self._deleted.composed().values()]
        self._product.function.process.kill()
        scaling = self._kept.manifest["spec"]["scaling"] | {"maxReplicas": _REPLICAS}
        self._kept.apply(scaling=scaling)
        polling.until(
            self._plane.crossplane.calls_under_way,
            what="core to wait for an answer",
            timeout=60,
        )
        # Core asks nobody about a claim that is deleted.
        self._deleted.delete()
        for ref in (self._deleted.ref, *gone):
            self._plane.admin.wait_gone(ref)

    def assert_told(self) -> None:
        """The claim says that the function does not answer; what runs, runs and is called so."""
        told = self._kept.wait(
            lambda item: api.status_of(item, "Synced") == "False",
            what="told that nobody answers",
            timeout=_TOLD_SECONDS,
        )
        message = claims.conditions(told)["Synced"][2]
        assert "cannot run Composition pipeline step" in message
        assert "DeadlineExceeded" in message
        assert api.status_of(told, "Ready") == "True"
        assert told["status"]["phase"] == "Serving"
        self._assert_unharmed()

    def end(self) -> None:
        """Let the function come back."""
        self._product.function.process.start()

    def assert_over(self) -> None:
        """What was asked for meanwhile is done, without anybody asking again."""
        self._kept.wait(
            lambda _: self._kept.one("ScaledObject")["spec"]["maxReplicaCount"] == _REPLICAS,
            what=f"scaled up to {_REPLICAS}",
            timeout=_BACK_SECONDS,
        )
        self._kept.wait_ready()
        self._assert_unharmed()

    def _assert_unharmed(self) -> None:
        assert _uids(self._kept) == self._uids
        ended = self._tenant.ended_pods(self._mark)
        assert not {name for name in ended if not name.startswith(_DELETED)}
        assert not self._tenant.deleted(self._mark)

    def clean(self) -> None:
        """Leave nothing, and a function that runs."""
        if not self._product.function.process.running:
            self.end()
        self._tenant.clean()


def _uids(claim: claims.Claim) -> dict[str, str]:
    return {key: item["metadata"]["uid"] for key, item in claim.composed().items()}
