"""Several claims that live at the same time, each through a story of its own.

A story is a generator: it does something, yields what it waits for, and goes on when that is so.
`live` drives all of them from one thread, with one list of the claims for each round, so that their
waiting overlaps and the control plane is not kept busy by being asked.
"""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import subprocess
import time
import typing
from collections.abc import Callable, Generator, Iterable, Mapping

from e2e import claims, shipped
from e2e.controlplane import api, crossplane, plane

# Seconds: how long a wrong step would have had to show, how long a right one may take on a busy
# machine, and how often is looked.
PATIENCE = 4
TIMEOUT = 600
_INTERVAL = 0.5
_EVENTS = "v1"


@dataclasses.dataclass(frozen=True)
class Until:
    """What a story waits for.

    Attributes:
        what: In words, for the message when it does not come.
        probe: Gives something true when it is so; that is sent back to the story.
        seconds: After which to give up.
    """

    what: str
    probe: Callable[[], typing.Any]
    seconds: float = TIMEOUT


Life: typing.TypeAlias = Generator[Until, typing.Any, None]


class World:
    """The claims of all stories, as they were when the round began."""

    def __init__(self, control_plane: plane.ControlPlane) -> None:
        """Look through an administrator's eyes."""
        self.plane = control_plane
        control_plane.api.kubeconfig("developer")  # written once, before threads ask for it
        self.threads = concurrent.futures.ThreadPoolExecutor(max_workers=32)
        self._seen: dict[api.Ref, api.Object] = {}

    def look(self) -> None:
        """Read every claim once."""
        found = self.plane.admin.objects(shipped.API_VERSION, shipped.KIND)
        self._seen = {api.Ref.of(item): item for item in found}

    def seen(self, ref: api.Ref) -> api.Object | None:
        """A claim as it was when the round began."""
        return self._seen.get(ref)


def live(world: World, lives: Mapping[str, Life]) -> dict[str, BaseException | None]:
    """Drive stories to their ends.

    Returns:
        By name, what ended each before its time: None when nothing did.
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
            found = awaited.probe()
        except api.UNREACHABLE:
            found = None
        except Exception as error:
            wrong = error
            del waiting[name]
            go_on(name, lambda: life.throw(wrong))
            return
        if not found and time.monotonic() < deadline:
            return
        del waiting[name]
        if found:
            go_on(name, lambda: life.send(found))
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
    """Wait for several things, and return what came of each.

    Raises:
        TimeoutError: One of them did not come.
    """
    found: list[typing.Any] = []

    def story() -> Life:
        for step in awaited:
            found.append((yield step))

    error = live(world, {"": story()})[""]
    if error is not None:
        raise error
    return found


class Place:
    """A namespace in which one story plays.

    Attributes:
        tenant: The namespace, made ready for claims.
        namespace: Its name.
        plane: The control plane.
        kubelet: What becomes of pods.
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

    def claim(self, example: str, name: str = "", **spec: typing.Any) -> claims.Claim:
        """Apply an example claim as the developer, under another name and changed."""
        claim = self.tenant.example(example)
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
        """Until something is true of a claim; gives the claim."""

        def probe() -> api.Object | None:
            seen = self.world.seen(claim.ref)
            return seen if seen is not None and condition(seen) else None

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
        """Until the claim is ready, synced, and what it now says is what serves."""
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
        """UIDs of the claim's pods of a component that are not on their way out."""
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
        """The claim's Jobs, also those that go."""
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
        """How often each reason was told in an Event of the claim."""
        found: collections.Counter[str] = collections.Counter()
        for event in self.plane.admin.objects(_EVENTS, "Event", namespace=self.namespace):
            about = event["involvedObject"]
            if (about["kind"], about["name"]) != (shipped.KIND, claim.name):
                continue
            if warning is None or warning == (event["type"] == "Warning"):
                found[event["reason"]] += int(event.get("count") or 1)
        return dict(found)

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

    def versions(self, claim: claims.Claim) -> list[api.Object]:
        """Every version that the claim ever had."""
        return self.plane.api.audit.versions(claim.ref, "inferenceservices", self._log_start)


def pause(seconds: float = PATIENCE) -> Until:
    """Until time has passed: what must not happen had its chance."""
    end = time.monotonic() + seconds
    return Until("time to pass", lambda: time.monotonic() >= end)


def status(item: api.Object, field: str) -> typing.Any:
    """A field of a status, or None."""
    return (item.get("status") or {}).get(field)


def condition(item: api.Object, kind: str) -> tuple[str, str]:
    """Status and reason of a condition."""
    return claims.conditions(item)[kind][:2]
