"""Several claims that live at the same time, each through a story of its own.

A story is a generator. The story does something, yields an `Until`, and goes on when the condition
of the `Until` is fulfilled. `live` drives all stories from one thread, and lists the claims once in
each round. So the stories wait at the same time, and the control plane gets few requests.
"""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import hashlib
import http
import subprocess
import time
import typing
from collections.abc import Callable, Generator, Iterable, Mapping

from e2e import claims, shipped
from e2e.controlplane import api, crossplane, plane

# Seconds: after which a wrong step would have shown, which a right step may take on a busy machine,
# and between two rounds.
PATIENCE = 4
TIMEOUT = 600
_INTERVAL = 0.5
_EVENTS = "v1"


@dataclasses.dataclass(frozen=True)
class Until:
    """A condition that a story waits for.

    Attributes:
        what: The condition in words, for the message of a time-out.
        probe: Returns a true value once the condition is fulfilled; the story receives the value.
        seconds: Seconds until `live` throws a time-out into the story.
    """

    what: str
    probe: Callable[[], typing.Any]
    seconds: float = TIMEOUT


Life: typing.TypeAlias = Generator[Until, typing.Any, None]


class World:
    """The claims of all stories, as of the beginning of the round."""

    def __init__(self, control_plane: plane.ControlPlane) -> None:
        """Read with an administrator's rights."""
        self.plane = control_plane
        control_plane.api.kubeconfig("developer")  # written once, before threads ask for it
        self.threads = concurrent.futures.ThreadPoolExecutor(max_workers=32)
        self._claims: dict[api.Ref, api.Object] = {}

    def look(self) -> None:
        """Read every claim once."""
        items = self.plane.admin.objects(shipped.API_VERSION, shipped.KIND)
        self._claims = {api.Ref.of(item): item for item in items}

    def claim(self, ref: api.Ref) -> api.Object | None:
        """A claim as of the beginning of the round; None if there was no such claim."""
        return self._claims.get(ref)


def live(world: World, lives: Mapping[str, Life]) -> dict[str, BaseException | None]:
    """Drive stories to their ends.

    Returns:
        By name, the exception that ended each story; None for a story that came to its end.
    """
    ends: dict[str, BaseException | None] = {}
    waiting: dict[str, tuple[Until, float]] = {}

    def go_on(name: str, step: Callable[[], Until]) -> None:
        try:
            awaited = step()
        except StopIteration:
            ends[name] = None
        except Exception as error:
            ends[name] = error
        else:
            waiting[name] = (awaited, time.monotonic() + awaited.seconds)

    def look_at(name: str, life: Life) -> None:
        awaited, deadline = waiting[name]
        try:
            value = awaited.probe()
        except api.UNREACHABLE:
            value = None
        except Exception as error:
            wrong = error
            del waiting[name]
            go_on(name, lambda: life.throw(wrong))
            return
        if not value and time.monotonic() < deadline:
            return
        del waiting[name]
        if value:
            go_on(name, lambda: life.send(value))
        else:
            message = f"waited {awaited.seconds:g} s for {awaited.what}"
            go_on(name, lambda: life.throw(TimeoutError(message)))

    for name, life in lives.items():
        go_on(name, lambda life=life: next(life))  # type: ignore[misc]
    while waiting:
        time.sleep(_INTERVAL)
        world.look()
        for name in tuple(waiting):
            look_at(name, lives[name])
    return ends


def await_all(world: World, awaited: Iterable[Until]) -> list[typing.Any]:
    """Wait for several conditions, and return the value of each probe.

    Raises:
        TimeoutError: One condition was not fulfilled in time.
    """
    values: list[typing.Any] = []

    def story() -> Life:
        for step in awaited:
            values.append((yield step))

    error = live(world, {"": story()})[""]
    if error is not None:
        raise error
    return values


class Place:
    """A namespace in which one story plays.

    Attributes:
        tenant: The namespace, made ready for claims.
        namespace: Its name.
        plane: The control plane.
        kubelet: The stand-in for the kubelet, which decides on the state of pods.
    """

    def __init__(self, world: World, namespace: str) -> None:
        """Make it."""
        self.world = world
        self.plane = world.plane
        self.kubelet = world.plane.kubelet
        self.namespace = self.plane.namespace(namespace)
        self.tenant = claims.Tenant(self.plane, namespace)
        self.tenant.prepare()
        self._log_start = self.plane.api.audit.end()

    # --- doing

    def example(self, name: str) -> claims.Claim:
        """One of the example claims, not yet applied, with model names of this story's own.

        The stories share a gateway, on which a model name has one owner.
        """
        manifest = self.tenant.example(name).manifest
        mark = hashlib.sha256(self.namespace.encode()).hexdigest()[:6]
        manifest["metadata"]["name"] += f"-{mark}"
        for adapter in manifest["spec"].get("loraAdapters", ()):
            adapter["name"] += f"-{mark}"
        for canary in manifest["spec"].get("gateway", {}).get("canaries", ()):
            canary["adapter"] += f"-{mark}"
        return self.tenant.claim(manifest)

    def claim(self, example: str, name: str = "", **spec: typing.Any) -> claims.Claim:
        """Apply an example claim as the developer, under another name and changed."""
        claim = self.example(example)
        if name:
            claim.manifest["metadata"]["name"] = name
        return self.tenant.claim(claim.manifest).apply(**spec)

    def kubectl_wait(
        self, claim: claims.Claim, condition: str
    ) -> concurrent.futures.Future[subprocess.CompletedProcess[str]]:
        """Start `kubectl wait` as the developer; it runs beside the story."""
        return self.world.threads.submit(
            self.plane.kubectl,
            *("wait", f"--for=condition={condition}", f"--timeout={TIMEOUT}s"),
            *("--namespace", self.namespace, f"inferenceservice/{claim.name}"),
            user="developer",
        )

    # --- waiting

    def until(
        self, claim: claims.Claim, what: str, condition: Callable[[api.Object], typing.Any]
    ) -> Until:
        """Until a claim fulfils a condition; the story receives the claim."""

        def probe() -> api.Object | None:
            item = self.world.claim(claim.ref)
            return item if item is not None and condition(item) else None

        return Until(f"{claim.ref} {what}", probe)

    def phase(self, claim: claims.Claim, phase: str) -> Until:
        """Until the claim is in a phase."""
        return self.until(claim, f"in phase {phase}", lambda item: status(item, "phase") == phase)

    def condition(self, claim: claims.Claim, kind: str, value: str, reason: str) -> Until:
        """Until a condition of the claim has a status and a reason."""
        wanted = (value, reason)
        return self.until(
            claim,
            f"with {kind}={value} {reason}",
            lambda item: claims.conditions(item).get(kind, ())[:2] == wanted,
        )

    def ready(self, claim: claims.Claim) -> Until:
        """Until Ready, Synced and Current are True for the claim's present generation."""
        return self.until(
            claim,
            "ready, synced and current",
            lambda item: (
                status(item, "observedGeneration") == item["metadata"]["generation"]
                and {api.status_of(item, kind) for kind in ("Ready", "Synced", "Current")}
                == {"True"}
            ),
        )

    # --- looking

    def pods(self, claim: claims.Claim, component: str = "inference") -> set[str]:
        """UIDs of the claim's pods of a component, without pods that are being deleted."""
        return {
            pod["metadata"]["uid"]
            for pod in self._pods(claim, component)
            if "deletionTimestamp" not in pod["metadata"]
        }

    def _pods(self, claim: claims.Claim, component: str) -> list[api.Object]:
        labels = {
            "app.kubernetes.io/instance": claim.name,
            "app.kubernetes.io/component": component,
        }
        return self.plane.admin.objects("v1", "Pod", namespace=self.namespace, labels=labels)

    def jobs(self, claim: claims.Claim) -> list[api.Object]:
        """The claim's Jobs, with Jobs that are being deleted."""
        labels = {"app.kubernetes.io/instance": claim.name}
        return self.plane.admin.objects("batch/v1", "Job", namespace=self.namespace, labels=labels)

    def gpus(self) -> int:
        """How many GPUs the pods of the namespace ask for."""
        return sum(
            int((container["resources"].get("limits") or {}).get("nvidia.com/gpu", 0))
            for pod in self.plane.admin.objects("v1", "Pod", namespace=self.namespace)
            for container in pod["spec"]["containers"]
        )

    def events(self, claim: claims.Claim, *, warning: bool | None = None) -> dict[str, int]:
        """How often the claim's Events have each reason."""
        counts: collections.Counter[str] = collections.Counter()
        for event in self.plane.admin.objects(_EVENTS, "Event", namespace=self.namespace):
            about = event["involvedObject"]
            if (about["kind"], about["name"]) != (shipped.KIND, claim.name):
                continue
            if warning is None or warning == (event["type"] == "Warning"):
                counts[event["reason"]] += int(event.get("count") or 1)
        return dict(counts)

    def mark(self) -> int:
        """The present end of the audit log, for ``changed``."""
        return self.plane.api.audit.mark()

    def changed(self, resource: str, since: int = 0) -> list[str]:
        """Names of the objects that Crossplane changed in the namespace, one for each write."""
        return [
            write.name
            for write in self.plane.api.audit.writes(since)
            if write.namespace == self.namespace
            and write.resource == resource
            and write.user == crossplane.USER
            and write.changed is not False
        ]

    def started(self, since: int = 0) -> list[str]:
        """Names of the Jobs that Crossplane made. It may delete one long after that is over."""
        return [
            write.name
            for write in self.plane.api.audit.writes(since)
            if write.namespace == self.namespace
            and write.resource == "jobs"
            and write.user == crossplane.USER
            and write.code == http.HTTPStatus.CREATED
        ]

    def versions(self, claim: claims.Claim) -> list[api.Object]:
        """Every version that the claim ever had."""
        return self.plane.api.audit.versions(claim.ref, "inferenceservices", self._log_start)


def pause(seconds: float = PATIENCE) -> Until:
    """Until time has passed, in which a wrong step would have shown."""
    end = time.monotonic() + seconds
    return Until("time to pass", lambda: time.monotonic() >= end)


def status(item: api.Object, field: str) -> typing.Any:
    """A field of a status, or None."""
    return (item.get("status") or {}).get(field)


def condition(item: api.Object, kind: str) -> tuple[str, str]:
    """Status and reason of a condition."""
    return claims.conditions(item)[kind][:2]
