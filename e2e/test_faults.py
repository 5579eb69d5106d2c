"""What breaks around a claim that serves, one thing after another.

The function, its certificates, the API server, and writers that do not know of each other. In each
the engines' pods run on, nothing is deleted, the claim says what is wrong as far as somebody can
say it, and all is well again without anybody mending the claim. Faults of the claim itself and of
the settings are in `test_life`, a kind that is missing in `test_absent_kinds`, a function that is
absent for minutes in `test_takeover`, whose time it takes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
import typing
from collections.abc import Callable, Iterator

import pytest

from e2e import claims, installation, shipped
from e2e.controlplane import api, crossplane, plane, polling

NAME = "xplane-qwen-coder"
FOUGHT_OVER = "xplane-qwen-coder-fim"
_QUIET_SECONDS = 2
Pair: typing.TypeAlias = tuple[claims.Claim, claims.Claim]


@pytest.fixture(scope="module")
def place(
    control_plane: plane.ControlPlane, installed: installation.Installation, all_kinds: None
) -> Iterator[claims.Tenant]:
    """A namespace for this module, on the reference platform."""
    del all_kinds
    installed.configure(shipped.one(shipped.environment("reference")))
    prepared = claims.Tenant(control_plane, control_plane.namespace("faults"))
    prepared.prepare()
    yield prepared
    prepared.clean()


@pytest.fixture(scope="module")
def pair(place: claims.Tenant) -> Pair:
    """Two claims, serving."""
    made = (place.example(NAME).apply(), place.example(FOUGHT_OVER).apply())
    for claim in made:
        claim.wait_ready()
    return made


@pytest.fixture
def serving(
    pair: Pair, place: claims.Tenant, installed: installation.Installation
) -> Iterator[claims.Claim]:
    """The first of them, which is well at the end and was never harmed in between."""
    claim, _ = pair
    claim.wait_ready()
    mark = place.plane.api.audit.mark()
    uids = {key: item["metadata"]["uid"] for key, item in claim.composed().items()}
    yield claim
    if not installed.function.process.running:
        installed.function.process.start()
    claim.wait_ready(timeout=180)
    assert {key: item["metadata"]["uid"] for key, item in claim.composed().items()} == uids
    assert not place.ended_pods(mark)
    assert not place.deleted(mark)


def _scale(claim: claims.Claim, replicas: int) -> None:
    """Ask for another maximum, which no pod follows from."""
    claim.apply(scaling=claim.manifest["spec"]["scaling"] | {"maxReplicas": replicas})


def _wait_scaled(claim: claims.Claim, replicas: int, *, timeout: float = 120) -> None:
    claim.wait(
        lambda _: claim.one("ScaledObject")["spec"]["maxReplicaCount"] == replicas,
        what=f"scaled up to {replicas}",
        timeout=timeout,
    )


def _wait_call_under_way(control_plane: plane.ControlPlane) -> None:
    polling.until(
        control_plane.crossplane.calls_under_way,
        what="core to wait for an answer",
        timeout=60,
        ignore=api.UNREACHABLE,
    )


def _wait_quiet(claim: claims.Claim) -> None:
    """Wait until core has nothing more to write of a claim."""
    log = claim.plane.api.audit

    def quiet() -> bool:
        mark = log.mark()
        time.sleep(_QUIET_SECONDS)
        return not any(
            write.user == crossplane.USER and write.namespace == claim.ref.namespace
            for write in log.writes(mark)
        )

    polling.until(quiet, what=f"quiet around {claim.name}", timeout=60)


# --- the function


def test_killed_with_a_call_in_flight(
    serving: claims.Claim, control_plane: plane.ControlPlane, installed: installation.Installation
) -> None:
    """The claim says that the call failed, and the next one makes it good."""
    process = installed.function.process
    _wait_quiet(serving)
    # Stopped first, so that core is seen to wait for this very answer.
    os.kill(process.pid, signal.SIGSTOP)
    _scale(serving, 3)
    _wait_call_under_way(control_plane)
    process.kill()
    failed = serving.wait(
        lambda item: api.status_of(item, "Synced") == "False",
        what="told that the call failed",
        # Soon; but when another write came in between, core only says so of its next call.
        timeout=180,
    )
    message = claims.conditions(failed)["Synced"][2]
    assert "cannot run Composition pipeline step" in message
    assert api.status_of(failed, "Ready") == "True"
    assert serving.one("ScaledObject")["spec"]["maxReplicaCount"] != 3
    process.start()
    _wait_scaled(serving, 3)


def test_certificates_of_another_authority(
    serving: claims.Claim, control_plane: plane.ControlPlane, installed: installation.Installation
) -> None:
    """The function takes them over as it runs; until then core refuses to talk to it.

    Nobody can say so in the claim within two minutes, which is how long core tries.
    """
    running, reloads = installed.function.process.pid, _reloads(installed)
    name = installed.revision()["spec"]["tlsServerSecretName"]
    secret = api.Ref("v1", "Secret", name, crossplane.NAMESPACE)
    control_plane.crossplane.renew_authority()
    authority = control_plane.admin.get(
        api.Ref("v1", "Secret", "crossplane-root-ca", crossplane.NAMESPACE)
    )["data"]["tls.crt"]
    assert control_plane.admin.get(secret)["data"]["ca.crt"] != authority
    _scale(serving, 4)
    _wait_call_under_way(control_plane)
    installed.guide.run("A new root CA")
    control_plane.admin.wait(
        secret,
        lambda item: (item.get("data") or {}).get("ca.crt") == authority,
        what="of the new authority",
    )
    assert serving.one("ScaledObject")["spec"]["maxReplicaCount"] == 3
    installed.write_certificates()
    _wait_scaled(serving, 4)
    assert _reloads(installed) > reloads
    assert installed.function.process.pid == running


def _reloads(installed: installation.Installation) -> float:
    """How often the function took over other certificates."""
    name = 'inference_service_function_certificate_reloads_total{result="success"}'
    (line,) = [line for line in installed.function.metrics().splitlines() if line.startswith(name)]
    return float(line.rpartition(" ")[2])


# --- the API server


def test_the_api_server_is_killed(serving: claims.Claim, control_plane: plane.ControlPlane) -> None:
    """While it is away nobody can say anything; afterwards every controller goes on by itself."""
    before = {item.name: item.pid for item in control_plane.processes()}
    control_plane.api.process.kill()
    control_plane.api.process.start(timeout=180)
    _scale(serving, 2)
    _wait_scaled(serving, 2)
    after = {item.name: item.pid for item in control_plane.processes()}
    restarted = {name for name, pid in before.items() if after[name] != pid}
    assert restarted == {control_plane.api.process.name}


# --- other writers


@contextlib.contextmanager
def _writing(*steps: Callable[[int], object], pause: float = 0) -> Iterator[list[int]]:
    """Take the steps again and again, each in a thread of its own; yields how often each was.

    Args:
        steps: What to write, told how often it was written before.
        pause: Seconds between two writes of a thread.
    """
    end = threading.Event()
    counts = [0] * len(steps)

    def work(index: int) -> None:
        while not end.is_set():
            # A conflict is what is looked for here, and the next try comes at once.
            with contextlib.suppress(api.ApiError, *api.UNREACHABLE):
                steps[index](counts[index])
                counts[index] += 1
            end.wait(pause)

    threads = [
        threading.Thread(target=work, args=(index,), daemon=True) for index in range(len(steps))
    ]
    for thread in threads:
        thread.start()
    try:
        yield counts
    finally:
        end.set()
        for thread in threads:
            thread.join()


def _take_scaling(claim: claims.Claim) -> Callable[[int], object]:
    """Another field manager that takes a field of ours, as a GitOps tool does."""
    item = claim.one("ScaledObject")
    bare = {key: item[key] for key in ("apiVersion", "kind")}
    bare["metadata"] = {key: item["metadata"][key] for key in ("name", "namespace")}

    def step(number: int) -> object:
        spec = {"maxReplicaCount": 20 + number % 7, "scaleTargetRef": {"name": claim.name}}
        return claim.plane.admin.apply(bare | {"spec": spec}, manager="rival")

    return step


def test_writers_that_do_not_know_of_each_other(
    serving: claims.Claim, control_plane: plane.ControlPlane
) -> None:
    """Edits of the claim take effect under fire, and the last word is the claim's."""

    def annotate(number: int) -> object:
        body = {"metadata": {"annotations": {"example.org/count": str(number)}}}
        return control_plane.admin.patch(serving.ref, body)

    def edit(number: int) -> object:
        """A second author who takes the same field of the claim."""
        item = {"apiVersion": shipped.API_VERSION, "kind": shipped.KIND}
        metadata = {"name": serving.name, "namespace": serving.ref.namespace}
        spec = {"observability": {"metrics": {"interval": f"{10 + number % 7}s"}}}
        return control_plane.developer.apply(
            item | {"metadata": metadata, "spec": spec}, manager="second-author"
        )

    gateway = serving.manifest["spec"]["gateway"]
    # Not so often that core stops to listen, which is another test's.
    with _writing(_take_scaling(serving), annotate, edit, pause=0.5) as counts:
        for weight in (30, 40):
            canary = gateway["canaries"][0] | {"weightPercent": weight}
            serving.apply(gateway=gateway | {"canaries": [canary]})
            serving.wait(
                lambda _: _weights(serving) == {100 - weight, weight},  # noqa: B023
                what=f"with {weight} % for the canary",
            )
        polling.until(lambda: min(counts) > 10, what="ten writes of each", timeout=60)
    _wait_scaled(serving, 2)
    serving.apply()  # the first author's interval again
    serving.wait(
        lambda _: serving.one("VMServiceScrape")["spec"]["endpoints"][0]["interval"] == "30s",
        what="scraped as the claim says",
    )


def _weights(claim: claims.Claim) -> set[int]:
    rules = claim.one("AIGatewayRoute")["spec"]["rules"]
    return {backend["weight"] for backend in rules[0]["backendRefs"]}


def test_a_lasting_fight_is_said(pair: Pair, serving: claims.Claim, place: claims.Tenant) -> None:
    """Core stops following the events of an object that others write without end, and names it.

    The other claim is not affected. Edits of this one count again within the half minute in which
    core lets one event through.
    """
    _, claim = pair
    mark = place.plane.api.audit.mark()
    with _writing(*[_take_scaling(claim)] * 3):
        told = claim.wait(
            lambda item: api.status_of(item, "Responsive") == "False",
            what="told that it is written without end",
            timeout=240,
        )
    assert f"{claim.name} " in claims.conditions(told)["Responsive"][2] + " "
    assert "ScaledObject" in claims.conditions(told)["Responsive"][2]
    _scale(serving, 3)
    _wait_scaled(serving, 3)

    def recovered(_: api.Object) -> bool:
        claim.reconcile(str(place.plane.api.audit.mark()))
        return bool(claim.one("ScaledObject")["spec"]["maxReplicaCount"] == 1)

    claim.wait(recovered, what="scaled as the claim says", timeout=120)
    assert not place.ended_pods(mark)
    assert not place.deleted(mark)
