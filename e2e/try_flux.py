"""Flux installs the picker of a claim, and applies claims from files; `make flux`.

Helm-controller installs upstream's chart with the values and patches of the product, and a caller
asks by way of it. Kustomize-controller applies claims as ``docs/recipes.md`` says. What is around
both is as in ``test_data_path.py``.
"""

from __future__ import annotations

import collections
import copy
import itertools
from collections.abc import Iterator

import pytest

from e2e import claims, installation, operators
from e2e.controlplane import api, plane, polling
from e2e.dataplane import asking, flux, stage

NAMESPACE = "flux-picker"
# For a busy machine, on top of what something takes by itself.
GRACE = 120
REQUESTS = 20
_RELEASE = "helm.toolkit.fluxcd.io/v2"
_POOL = "inference.networking.k8s.io/v1"
_NEWER = "1.5.1"


class Stage:
    """The data path, with Flux on it.

    Attributes:
        path: Gateway, machines, KEDA and a metrics server.
        flux: Helm-controller and the chart.
    """

    def __init__(
        self, control_plane: plane.ControlPlane, path: stage.Stage, own: flux.Flux
    ) -> None:
        """Keep them."""
        self.admin = control_plane.admin
        self.path = path
        self.flux = own

    def claim(self, name: str) -> claims.Claim:
        """A claim behind a picker, not yet applied."""
        gateway = {"enabled": True, "endpointPicker": {"enabled": True}}
        scaling = {"minReplicas": 2, "maxReplicas": 2}
        return self.path.claim(name, gateway=gateway, scaling=scaling)

    def release(self, claim: claims.Claim) -> api.Object:
        """The release of a claim's picker."""
        return self.admin.get(api.Ref(_RELEASE, "HelmRelease", f"{claim.name}-epp", NAMESPACE))

    def revisions(self, claim: claims.Claim) -> list[tuple[str, str]]:
        """Version of the chart and state of each revision of the release, the newest first."""
        history = (self.release(claim).get("status") or {}).get("history") or []
        # Flux adds the digest of the source to the version.
        return [(one["chartVersion"].partition("+")[0], one["status"]) for one in history]


@pytest.fixture(scope="module")
def running(
    control_plane: plane.ControlPlane,
    installed: installation.Installation,
    standing_in: operators.Operators,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stage]:
    """The data path and Flux, and the settings that let Flux make pickers."""
    work = tmp_path_factory.mktemp(NAMESPACE)
    with (
        standing_in.absent("HelmRelease"),
        stage.standing(control_plane, installed, standing_in, work, NAMESPACE) as path,
    ):
        own = flux.Flux(control_plane, path.site, work)
        try:
            own.start()
            own.publish(NAMESPACE)
            settings = path.settings()
            settings["data"]["inferenceService"]["endpointPicker"]["provider"] = "helmRelease"
            installed.configure(settings)
            yield Stage(control_plane, path, own)
            path.tenant.clean()
            polling.until(
                lambda: not control_plane.admin.objects(_RELEASE, "HelmRelease"),
                what="no release",
                timeout=GRACE,
            )
        finally:
            own.stop()


@pytest.fixture(scope="module")
def picked(running: Stage) -> claims.Claim:
    """A claim with two engines, whose picker Flux installs."""
    claim = running.claim("picked")
    claim.apply()
    claim.wait_phase("Serving", timeout=120 + GRACE)
    claim.wait_condition("RouteReady", "True", "Published")
    polling.until(lambda: len(running.path.engines(claim)) == 2, what="engines", timeout=GRACE)
    return claim


@pytest.fixture(scope="module")
def caller(running: Stage, picked: claims.Claim) -> asking.Caller:
    """Somebody who knows the gateway, once it serves the claim."""
    somebody = running.path.caller()
    somebody.wait(picked.name)
    return somebody


# No prompt comes twice: the picker would keep it at one engine.
_PROMPTS = itertools.count()


def _engines(caller: asking.Caller, claim: claims.Claim) -> set[str]:
    """Which engines answer, when none of the requests may fail."""
    answers = [
        caller.ask(claim.name, messages=[{"role": "user", "content": f"{next(_PROMPTS)} hello"}])
        for _ in range(REQUESTS)
    ]
    assert {one.status for one in answers} == {200}, collections.Counter(map(str, answers))
    return {one.engine for one in answers}


def test_flux_installs_the_picker_of_a_claim(running: Stage, picked: claims.Claim) -> None:
    """The claim is ready when the release is, which is of upstream's chart."""
    assert api.status_of(running.release(picked), "Ready") == "True"
    assert running.revisions(picked) == [(flux.CHART_VERSION, "deployed")]
    assert len(running.path.pickers(picked)) == 1
    pool = running.admin.get(api.Ref(_POOL, "InferencePool", picked.name, NAMESPACE))
    assert pool["spec"]["endpointPickerRef"]["name"] == f"{picked.name}-epp"


def test_requests_pass_by_way_of_it(
    caller: asking.Caller, picked: claims.Claim, running: Stage
) -> None:
    """It reads the engines' own series: the one with a long queue is asked no more."""
    assert _engines(caller, picked) <= running.path.names(picked)
    busy, idle = running.path.engines(picked)
    stage.steer(busy, {"shownWaiting": 18, "shownKV": 0.9})
    polling.until(
        lambda: _engines(caller, picked) == {idle["metadata"]["name"]},
        what="picks of the other alone",
        timeout=GRACE,
    )
    stage.steer(busy, {"shownWaiting": -1, "shownKV": -1})


def test_the_scrape_of_the_picker_is_of_the_chart_s_service(
    running: Stage, picked: claims.Claim
) -> None:
    """The product knows label and port of a Service that the chart makes."""
    (scrape,) = [
        item
        for item in picked.composed().values()
        if item["kind"] == "VMServiceScrape" and item["metadata"]["name"].endswith(".picker")
    ]
    labels = scrape["spec"]["selector"]["matchLabels"]
    (service,) = running.admin.objects("v1", "Service", namespace=NAMESPACE, labels=labels)
    (endpoint,) = scrape["spec"]["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}


def test_a_newer_chart_is_installed_under_a_claim_that_serves(
    caller: asking.Caller, picked: claims.Claim, running: Stage
) -> None:
    """The platform names another version; Flux upgrades, and the claim need not know."""
    running.flux.publish(NAMESPACE, _NEWER)
    polling.until(
        lambda: running.revisions(picked)[0] == (_NEWER, "deployed"),
        what=f"version {_NEWER}",
        timeout=GRACE,
    )
    assert _engines(caller, picked) <= running.path.names(picked)
    picked.wait_ready()


def test_a_claim_says_that_the_chart_is_not_there(
    caller: asking.Caller, picked: claims.Claim, running: Stage
) -> None:
    """Without the OCIRepository of the settings the claim has Flux's words; others are served."""
    running.flux.withdraw(NAMESPACE)
    claim = running.claim("early")
    claim.apply()
    told = claim.wait(
        lambda item: flux.CHART in claims.conditions(item).get("RouteReady", ("", "", ""))[2],
        what="with the name of the source",
        timeout=GRACE,
    )
    print(claims.conditions(told)["RouteReady"])
    assert claims.conditions(told)["RouteReady"][0] == "False"
    assert _engines(caller, picked) <= running.path.names(picked)
    running.flux.publish(NAMESPACE)
    claim.wait_condition("RouteReady", "True", "Published")
    claim.delete()


def test_claims_come_and_go_with_their_files(running: Stage) -> None:
    """Flux is ready when the claim is, says what is wrong with one, and prunes one that is gone."""
    scaling = {"minReplicas": 1, "maxReplicas": 1}
    claim = running.path.claim("from-files", scaling=scaling)
    place = {"name": "beside", "namespace": NAMESPACE}
    beside: api.Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": place}
    running.flux.commit({"claim.yaml": [claim.manifest], "beside.yaml": [beside]})
    polling.until(
        lambda: running.flux.applied()[0] == "True", what="the files applied", timeout=180 + GRACE
    )
    ready = claim.read()
    assert api.status_of(ready, "Ready") == "True"

    wrong = copy.deepcopy(claim.manifest)
    wrong["spec"]["engineArgs"] = ["--port=1"]
    running.flux.commit({"claim.yaml": [wrong], "beside.yaml": [beside]})
    words = polling.until(
        lambda: running.flux.applied()[0] == "False" and running.flux.applied()[1],
        what="words about the mistake",
        timeout=GRACE,
    )
    print(words)
    assert claim.name in str(words)
    assert api.status_of(claim.read(), "Ready") == "True"
    assert len(running.path.engines(claim)) == 1

    running.flux.commit({"beside.yaml": [beside]})
    polling.until(
        lambda: running.admin.find(claim.ref) is None and not running.path.engines(claim),
        what="the end of the claim",
        timeout=GRACE,
    )
    running.flux.forget()


def test_a_deleted_claim_leaves_nothing_of_the_chart(running: Stage, picked: claims.Claim) -> None:
    """Flux uninstalls the release."""
    picked.delete()

    def left() -> list[str]:
        kinds = {
            _POOL: ["InferencePool"],
            "v1": ["Service", "ServiceAccount", "ConfigMap", "Secret"],
            "apps/v1": ["Deployment"],
            "rbac.authorization.k8s.io/v1": ["Role", "RoleBinding"],
            _RELEASE: ["HelmRelease"],
        }
        return [
            f"{kind} {item['metadata']['name']}"
            for api_version, names in kinds.items()
            for kind in names
            for item in running.admin.objects(api_version, kind, namespace=NAMESPACE)
            if picked.name in item["metadata"]["name"]
        ]

    polling.until(lambda: not left(), what="nothing of it", timeout=GRACE)
