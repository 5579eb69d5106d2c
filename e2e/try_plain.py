"""Claims on a plain cluster, with the Prometheus operator, External Secrets and native policies.

`make plain` runs it; it is no part of `make e2e`, for whose budget its programs are too large. Both
operators are upstream's, with Prometheus, its reloader and kube-state-metrics in pods of real
machines, where kube-router enforces the policies. The store behind External Secrets is upstream's
fake provider, which holds what a test gives it; the engine is a stand-in.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator

import pytest

from e2e import claims, installation, operators, shipped
from e2e.controlplane import api, external, plane, polling
from e2e.dataplane import monitored, prometheus
from e2e.machines import hub, machine

NAMESPACE = "llm"
_PATH, _STORE = "llm/coder", "vault"
GRACE = monitored.GRACE
_MACHINES = (
    machine.Machine("desk"),
    machine.Machine("card", gpus=8, labels={"nvidia.com/gpu.product": "NVIDIA-L40S"}),
)
_CARD = api.Ref("v1", "Node", _MACHINES[1].name)
_KINDS = ("ExternalSecret", "ScaledObject")


Stage: typing.TypeAlias = monitored.Stage[prometheus.Prometheus]


@pytest.fixture(scope="module")
def running(
    control_plane: plane.ControlPlane,
    installed: installation.Installation,
    all_kinds: None,
    standing_in: operators.Operators,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stage]:
    """Machines, the Prometheus operator, KEDA, and a namespace made ready for claims."""
    del all_kinds
    work = tmp_path_factory.mktemp("plain")
    with (
        standing_in.absent(*_KINDS),
        monitored.standing(
            control_plane, work, NAMESPACE, _MACHINES, prometheus.Prometheus, policies=True
        ) as ready,
    ):
        installed.configure(_settings(ready.watching.url, ready.hub.content))
        yield ready


@pytest.fixture(scope="module")
def secrets(running: Stage) -> Iterator[external.ExternalSecrets]:
    """External Secrets, and the store that the settings name."""
    store = external.ExternalSecrets(running.plane.api, running.plane.logs)
    store.start()
    store.store(_STORE, {_PATH: {"GREETING": "hello"}})
    yield store
    store.stop()


def _secret(running: Stage, name: str) -> api.Object | None:
    """A Secret of the namespace."""
    return running.plane.admin.find(api.Ref("v1", "Secret", name, NAMESPACE))


def _settings(server: str, endpoint: str) -> api.Object:
    """The plain cluster's, with the metrics server and the hub of these tests."""
    settings = shipped.one(shipped.environment("plain"))
    ours = settings["data"]["inferenceService"]
    ours["scaling"]["serverAddress"] = server
    ours["hub"] = hub.settings(endpoint)
    return settings


@pytest.fixture(scope="module")
def coder(running: Stage, secrets: external.ExternalSecrets) -> claims.Claim:
    """A claim that serves, with a Secret of the store."""
    del secrets
    claim = running.claim(
        "coder", externalSecrets=[{"name": "inference-service.coder.store", "remoteRef": _PATH}]
    )
    claim.apply()
    claim.wait_phase("Serving", timeout=120 + GRACE)
    return claim


# --- the Prometheus operator


def test_a_scrape_finds_the_pods_of_its_claim_and_no_others(
    running: Stage, coder: claims.Claim
) -> None:
    """The ServiceMonitor becomes a job of Prometheus, which the claim's policy lets in."""
    other = running.claim("coder-2")
    other.apply()
    other.wait_phase("Serving", timeout=120 + GRACE)
    wanted = {
        claim.name: {f"{pod['status']['podIP']}:8000" for pod in running.engines(claim)}
        for claim in (coder, other)
    }
    assert all(len(addresses) == 1 for addresses in wanted.values())
    running.wait_targets(wanted)
    other.delete()
    running.wait_targets({coder.name: wanted[coder.name]})


def test_prometheus_evaluates_every_rule(running: Stage, coder: claims.Claim) -> None:
    """The operator writes each rule into a file, and Prometheus finds nothing wrong in any."""
    wanted = {
        (group["name"], rule.get("alert") or rule["record"])
        for group in coder.one("PrometheusRule")["spec"]["groups"]
        for rule in group["rules"]
    }
    assert len(wanted) > 10

    def evaluated() -> bool:
        rules = running.watching.rules()
        return all(rules.get(one) == "ok" for one in wanted)

    polling.until(evaluated, what=f"{wanted} evaluated", timeout=monitored.REFRESH_SECONDS + GRACE)


def test_a_claim_is_scaled_on_what_prometheus_has(running: Stage, coder: claims.Claim) -> None:
    """KEDA asks Prometheus for the series that the operator had it scrape."""
    running.wait_scaled(coder)


def test_an_alert_fires_and_ends(running: Stage) -> None:
    """A claim whose pod finds no machine has no ready replica; once it has one, it is quiet."""
    running.alarm(_CARD)


def test_a_rule_that_the_operator_refuses_is_told_by_the_claim(
    running: Stage, coder: claims.Claim
) -> None:
    """The claim has the operator's words, and serves on."""
    with running.refuse(coder, "Prometheus monitoring/main: invalid rule"):
        assert api.status_of(coder.read(), "Current") == "True"


# --- External Secrets


def test_a_secret_of_the_store_is_in_the_engine(running: Stage, coder: claims.Claim) -> None:
    """The ExternalSecret becomes a Secret, which the pods have as variables."""
    coder.wait_condition("SecretsReady", "True", "Ready")
    secret = _secret(running, "inference-service.coder.store")
    assert secret is not None
    assert set(secret["data"]) == {"GREETING"}
    for pod in running.engines(coder):
        (engine,) = pod["spec"]["containers"]
        assert {"secretRef": {"name": "inference-service.coder.store"}} in engine["envFrom"]


def test_a_path_that_the_store_lacks_is_said_and_found_once_it_is_there(
    running: Stage, secrets: external.ExternalSecrets
) -> None:
    """The condition has the controller's words, and nothing of the claim is lost meanwhile."""
    path = "llm/late"
    claim = running.claim(
        "late", externalSecrets=[{"name": "inference-service.late.store", "remoteRef": path}]
    )
    claim.apply()
    claim.wait(
        lambda item: (
            "could not get secret data" in claims.conditions(item).get("SecretsReady", ("",) * 3)[2]
        ),
        what="with the controller's words about the Secret",
        timeout=GRACE,
    )
    claim.wait_condition("SecretsReady", "False", "NotReady")
    assert _secret(running, "inference-service.late.store") is None
    secrets.store(_STORE, {_PATH: {"GREETING": "hello"}, path: {"TOKEN": "t"}})
    claim.wait_phase("Serving", timeout=120 + GRACE)
    claim.wait_condition("SecretsReady", "True", "Ready")
    assert _secret(running, "inference-service.late.store") is not None
    claim.delete()


def test_a_secret_goes_with_its_claim(running: Stage, secrets: external.ExternalSecrets) -> None:
    """External Secrets owns it, and the ExternalSecret goes with the claim."""
    del secrets
    claim = running.claim(
        "gone", externalSecrets=[{"name": "inference-service.gone.store", "remoteRef": _PATH}]
    )
    claim.apply()
    claim.wait_condition("SecretsReady", "True", "Ready")
    assert _secret(running, "inference-service.gone.store") is not None
    claim.delete()
    polling.until(
        lambda: _secret(running, "inference-service.gone.store") is None,
        what="the end of the Secret",
        timeout=GRACE,
    )
