"""A kubelet that is pretended, and how often the function was asked meanwhile."""

from __future__ import annotations

import datetime
import json
import pathlib
import time
import typing

from e2e import claims, lives
from e2e.controlplane import api


class Kubelet:
    """Stands in for the kubelet in a namespace that kwok leaves alone: writes pods' statuses."""

    def __init__(self, here: lives.Place) -> None:
        """Write as an administrator."""
        self._admin = here.plane.admin
        self._namespace = here.namespace

    def pods(self, claim: claims.Claim, component: str = "inference") -> list[api.Object]:
        """The claim's pods of a component, without pods that are being deleted."""
        labels = {
            "app.kubernetes.io/instance": claim.name,
            "app.kubernetes.io/component": component,
        }
        pods = self._admin.objects("v1", "Pod", namespace=self._namespace, labels=labels)
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def placed(self, claim: claims.Claim, component: str = "inference") -> lives.Until:
        """Until the claim has one pod of a component, on a node; the story receives the pod."""

        def probe() -> api.Object | None:
            pods = self.pods(claim, component)
            placed = len(pods) == 1 and pods[0]["spec"].get("nodeName")
            return pods[0] if placed else None

        return lives.Until(f"a pod of {claim.ref} to have a node", probe)

    def starts(self, pod: api.Object) -> None:
        """The pod's container runs and is ready."""
        self._say(pod, "Running", {"running": {"startedAt": _now()}}, ready=True)

    def waits(self, pod: api.Object, reason: str, message: str) -> None:
        """The pod's container waits and has never run."""
        self._say(pod, "Pending", {"waiting": {"reason": reason, "message": message}})

    def crashes(self, pod: api.Object, message: str, restarts: int) -> None:
        """The pod's container waits for a restart; ``message`` is the end of the last run's log."""
        name = pod["metadata"]["name"]
        back_off = f"back-off {10 * restarts}s restarting failed container=vllm pod={name}"
        self._say(
            pod,
            "Running",
            {"waiting": {"reason": "CrashLoopBackOff", "message": back_off}},
            lastState=_ended(1, message),
            restartCount=restarts,
        )

    def runs_again(self, pod: api.Object, message: str, restarts: int) -> None:
        """The pod's container runs after a crash, and is not ready yet."""
        self._say(
            pod,
            "Running",
            {"running": {"startedAt": _now()}},
            lastState=_ended(1, message),
            restartCount=restarts,
        )

    def ends(self, pod: api.Object, exit_code: int, message: bytes) -> None:
        """The pod's container ended for good; ``message`` is its termination message."""
        phase = "Failed" if exit_code else "Succeeded"
        self._say(pod, phase, _ended(exit_code, message.decode()))

    def touches(self, pod: api.Object, mark: str) -> None:
        """The pod changes, but its status does not."""
        self._admin.patch(api.Ref.of(pod), {"metadata": {"annotations": {"e2e/touched": mark}}})

    def _say(
        self,
        pod: api.Object,
        phase: str,
        state: api.Object,
        *,
        ready: bool = False,
        **container: typing.Any,
    ) -> None:
        ref = api.Ref.of(pod)
        kinds = ("Ready", "ContainersReady")
        kept = [
            entry
            for entry in self._admin.get(ref)["status"]["conditions"]
            if entry["type"] not in kinds
        ]
        readiness = [
            {"type": kind, "status": str(ready), "lastTransitionTime": _now()} for kind in kinds
        ]
        (spec,) = pod["spec"]["containers"]
        of_container = {
            "name": spec["name"],
            "image": spec["image"],
            "imageID": "",
            "ready": ready,
            "restartCount": 0,
            "state": state,
        }
        body = {
            "phase": phase,
            "conditions": [*kept, *readiness],
            "containerStatuses": [of_container | container],
        }
        self._admin.patch(ref, {"status": body}, subresource="status")


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _ended(exit_code: int, message: str) -> api.Object:
    """The state of a container that ended."""
    ended = {
        "exitCode": exit_code,
        "reason": "Error" if exit_code else "Completed",
        "message": message,
        "startedAt": _now(),
        "finishedAt": _now(),
    }
    return {"terminated": ended}


class Calls:
    """How often core called the function about each claim, according to the function's log."""

    def __init__(self, log: pathlib.Path) -> None:
        """Count from now on."""
        self._log = log
        self._start = log.stat().st_size

    def of(self, claim: claims.Claim) -> int:
        """The calls about one claim."""
        with self._log.open("rb") as file:
            file.seek(self._start)
            whole = [line for line in file if line.startswith(b"{") and line.endswith(b"\n")]
        lines = [json.loads(line) for line in whole]
        about = [(line.get("namespace"), line.get("claim")) for line in lines]
        return about.count((claim.ref.namespace, claim.name))

    def settled(self, claim: claims.Claim) -> lives.Until:
        """Until core has not called about the claim for some seconds."""
        last, since = -1, time.monotonic()

        def probe() -> bool:
            nonlocal last, since
            count = self.of(claim)
            if count != last:
                last, since = count, time.monotonic()
            return time.monotonic() - since >= lives.PATIENCE

        return lives.Until(f"an end of the calls about {claim.ref}", probe)
