"""Scrapes, series and alerts of claims, by the VictoriaMetrics operator's own configuration.

The operator reads what Crossplane composes for authors' claims and writes what vmagent and vmalert
run by. All of them are the released programs in pods of real machines, and so is
kube-state-metrics; KEDA scales on what came that way. Gateways have stand-ins here.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator

import pytest

from e2e import claims, installation, operators, shipped
from e2e.controlplane import api, plane, polling
from e2e.dataplane import monitored, monitoring, stage
from e2e.machines import hub, machine

NAMESPACE = "monitored"
GRACE = monitored.GRACE
_MACHINES = (
    machine.Machine("desk"),
    machine.Machine("card", gpus=8, labels={"karpenter.sh/nodepool": "gpu-l4"}),
)
_CARD = api.Ref("v1", "Node", _MACHINES[1].name)
_KINDS = ("ScaledObject", "VMRule", "VMServiceScrape")


Stage: typing.TypeAlias = monitored.Stage[monitoring.Monitoring]


@pytest.fixture(scope="module")
def running(
    control_plane: plane.ControlPlane,
    installed: installation.Installation,
    standing_in: operators.Operators,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stage]:
    """Machines, the operators, KEDA, and a namespace made ready for claims."""
    work = tmp_path_factory.mktemp(NAMESPACE)
    roles = shipped.ROOT / "examples/rbac/endpoint-picker.yaml"
    with (
        standing_in.absent(*_KINDS),
        monitored.standing(
            control_plane, work, NAMESPACE, _MACHINES, monitoring.Monitoring
        ) as ready,
    ):
        ready.site.push(stage.PICKER, "picker", "epp")
        control_plane.admin.apply_all(api.load(roles))
        installed.configure(_settings(ready.watching.url, ready.hub.content))
        yield ready


def _settings(server: str, endpoint: str) -> api.Object:
    """The reference platform's, with the metrics server and the hub of these tests."""
    settings = shipped.one(shipped.environment("reference"))
    ours = settings["data"]["inferenceService"]
    ours["scaling"]["serverAddress"] = server
    ours["hub"] = hub.settings(endpoint)
    ours["endpointPicker"] = {"provider": "native"}
    ours["permissions"] = {"patches": [NAMESPACE]}
    del ours["limits"]
    return settings


@pytest.fixture(scope="module")
def pair(running: Stage) -> tuple[claims.Claim, claims.Claim]:
    """Two claims behind pickers, one with the other's name at the beginning of its own."""
    gateway = {"enabled": True, "endpointPicker": {"enabled": True}}
    made = (
        running.claim("coder", gateway=gateway),
        running.claim("coder-2", gateway=gateway),
    )
    for claim in made:
        claim.apply()
    for claim in made:
        claim.wait_phase("Serving", timeout=120 + GRACE)
    return made


def test_each_scrape_of_a_claim_finds_its_pods_and_no_others(
    running: Stage, pair: tuple[claims.Claim, claims.Claim]
) -> None:
    """The scrape objects become jobs of vmagent, whose targets are up."""
    wanted: dict[str, set[str]] = {}
    for claim in pair:
        engine = {"app.kubernetes.io/name": claim.name, "app.kubernetes.io/component": "inference"}
        picker = {"inferencepool": f"{claim.name}-epp"}
        scrapes = [item for item in claim.composed().values() if item["kind"] == "VMServiceScrape"]
        assert len(scrapes) == 2
        for item in scrapes:
            name = item["metadata"]["name"]
            labels, port = (picker, 9090) if name.endswith(".picker") else (engine, 8000)
            pods = running.pods(labels)
            assert len(pods) == 1
            wanted[name] = {f"{pod['status']['podIP']}:{port}" for pod in pods}
    running.wait_targets(wanted)


def test_the_operator_takes_every_rule(
    running: Stage, pair: tuple[claims.Claim, claims.Claim]
) -> None:
    """It parses each expression, and vmalert evaluates each."""
    for claim in pair:
        assert claim.one("VMRule")["status"]["updateStatus"] == "operational"
        wanted = {
            (group["name"], rule["alert"])
            for group in claim.one("VMRule")["spec"]["groups"]
            for rule in group["rules"]
        }
        polling.until(
            lambda wanted=wanted: wanted <= running.watching.rules(),  # type: ignore[misc]
            what=f"{wanted}",
            timeout=monitored.REFRESH_SECONDS + GRACE,
        )


def test_series_of_objects_that_rules_name_are_those_of_kube_state_metrics(
    running: Stage, pair: tuple[claims.Claim, claims.Claim]
) -> None:
    """A name that it does not have would be an alert that never fires."""
    named = {
        name
        for claim in pair
        for group in claim.one("VMRule")["spec"]["groups"]
        for rule in group["rules"]
        for name in re.findall(r"\bkube_\w+", rule["expr"])
    }
    assert {"kube_job_failed", "kube_pod_status_ready"} <= named
    # It tells of kinds that have an object, and the Jobs of the preload are gone.
    job = api.Ref("batch/v1", "Job", "asleep", NAMESPACE)
    running.plane.admin.create(_job(job))
    polling.until(
        lambda: named <= running.watching.families(),
        what=f"{named} in its exposition",
        timeout=GRACE,
    )
    running.plane.admin.delete(job)


def _job(ref: api.Ref) -> api.Object:
    """A Job without a pod."""
    container = {"name": "nothing", "image": machine.PAUSE}
    pod = {"restartPolicy": "Never", "containers": [container]}
    return {
        "apiVersion": ref.api_version,
        "kind": ref.kind,
        "metadata": {"name": ref.name, "namespace": ref.namespace},
        "spec": {"suspend": True, "template": {"spec": pod}},
    }


def test_a_claim_is_scaled_on_what_the_operator_had_scraped(
    running: Stage, pair: tuple[claims.Claim, claims.Claim]
) -> None:
    """An engine with a queue gets a second one, which is scraped too."""
    claim, other = pair
    running.wait_scaled(claim)
    wanted = {f"{pod['status']['podIP']}:8000" for pod in running.engines(claim)}
    polling.until(
        lambda: (
            {one.address for one in running.watching.targets()[NAMESPACE, claim.name] if one.up}
            == wanted
        ),
        what=f"targets {wanted}",
        timeout=monitored.REFRESH_SECONDS + GRACE,
    )
    assert len(running.engines(other)) == 1


def test_an_alert_fires_and_ends_by_series_of_kube_state_metrics(running: Stage) -> None:
    """A claim whose pod finds no machine has no ready replica; once it has one, it is quiet."""
    running.alarm(_CARD)


def test_a_rule_that_the_operator_refuses_is_told_by_the_claim(
    running: Stage, pair: tuple[claims.Claim, claims.Claim]
) -> None:
    """The claim has the operator's words; rules of other claims stay."""
    broken, other = pair
    before = running.watching.rules()
    with running.refuse(broken, "sum(up{"):
        polling.until(
            lambda: all(group != broken.name for group, _ in running.watching.rules()),
            what="the end of its group",
            timeout=monitored.REFRESH_SECONDS + GRACE,
        )
        kept = {one for one in before if one[0] == other.name}
        assert kept
        assert kept <= running.watching.rules()
