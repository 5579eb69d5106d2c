"""A steady load through the real gateway, while pods are replaced, come, go and die.

`make load` runs it, alone on its machine: what it counts is what callers lose. The parts are those
of ``test_data_path.py``.
"""

from __future__ import annotations

import itertools
import os
import time
import typing
from collections.abc import Collection

import pytest

from e2e import claims, installation, operators
from e2e.controlplane import plane, polling
from e2e.dataplane import stage
from e2e.machines import containers, load

NAMESPACE = "load"
# For a busy machine, on top of what something takes by itself.
GRACE = 60
ENGINE = "vllm"
# Requests a second, and for how long at least.
RATE = int(os.environ.get("LOAD_RATE", "200"))
SECONDS = int(os.environ.get("LOAD_SECONDS", "600"))
TOKENS = 8


def test_a_steady_load_loses_what_a_killed_pod_had_and_nothing_else(
    control_plane: plane.ControlPlane,
    installed: installation.Installation,
    standing_in: operators.Operators,
    tmp_path_factory: pytest.TempPathFactory,
    record_property: typing.Any,
) -> None:
    """No request is lost to a pod that ends; of one that dies, those that it had begun.

    Nothing that began is repeated: the engine may have answered in part.
    """
    work = tmp_path_factory.mktemp(NAMESPACE)
    with stage.standing(control_plane, installed, standing_in, work, NAMESPACE) as running:
        claim = running.example("xplane-qwen-coder")
        _apply(running, claim)
        with running.load(
            claim.name, rate=RATE, tokens=TOKENS, keep=True, patience="60s"
        ) as caller:
            _move(running, claim, SECONDS)
            calm = caller.outcome()
            (victim, _) = running.engines(claim)
            containers.kill(victim, ENGINE)
            time.sleep(10)
            memory = running.memory()
            outcome = caller.end()
            print("\n".join(running.refusals() + _ends(control_plane)))
    _tell(calm, outcome, memory, record_property)
    assert calm.failed == {}
    assert outcome.answered > RATE * SECONDS - RATE
    assert sum(outcome.failed.values()) < RATE, outcome.failed


def _apply(running: stage.Stage, claim: claims.Claim) -> None:
    """Apply a claim with two replicas, and wait for a gateway that knows its backends."""
    claim.apply(scaling={"minReplicas": 2, "maxReplicas": 2})
    claim.wait_phase("Serving", timeout=120 + GRACE)
    claim.wait_condition("RouteReady", "True", "Published")
    _wait(running, claim, 2)
    somebody = running.caller()
    somebody.wait(claim.name)
    polling.until(
        lambda: {one.status for one in somebody.ask_often(60, claim.name, at_once=1)} == {200},
        what="a gateway whose processor knows each backend of the route",
        timeout=2 * GRACE,
    )


def _move(running: stage.Stage, claim: claims.Claim, seconds: float) -> None:
    """Replace pods, add one and take one away, again and again."""
    until = time.monotonic() + seconds
    sizes = itertools.count(40)
    while time.monotonic() < until:
        old = running.names(claim)
        claim.apply(model=claim.manifest["spec"]["model"] | {"maxNumSeqs": next(sizes)})
        _wait(running, claim, 2, other_than=old)
        for count in (3, 2):
            claim.apply(scaling={"minReplicas": count, "maxReplicas": count})
            _wait(running, claim, count)


def _wait(
    running: stage.Stage, claim: claims.Claim, count: int, other_than: Collection[str] = ()
) -> None:
    """Wait until a claim has so many pods that are ready, and none of the others."""

    def there() -> bool:
        names = running.names(claim)
        return len(names) == count and not names & set(other_than)

    polling.until(there, what=f"{count} engines", timeout=180 + GRACE, interval=1)


def _ends(control_plane: plane.ControlPlane) -> list[str]:
    """When each pod was told to end."""
    return [
        f"{event['firstTimestamp']} {event['involvedObject']['name']} {event['message']}"
        for event in control_plane.admin.objects("v1", "Event", namespace=NAMESPACE)
        if event["reason"] == "Killing"
    ]


def _tell(
    calm: load.Outcome, outcome: load.Outcome, memory: dict[str, int], record_property: typing.Any
) -> None:
    told = {
        "requests": outcome.answered + sum(outcome.failed.values()),
        "lost before a pod died": sum(calm.failed.values()),
        "lost with it": sum(outcome.failed.values()) - sum(calm.failed.values()),
        "pods": len(outcome.engines),
        "seconds": {name: getattr(outcome, name) for name in ("median", "p99", "longest")},
        "MiB": memory,
    }
    for name, value in told.items():
        record_property(name, str(value))
        print(f"{name}: {value}")
    print(calm.failed, outcome.failed)
