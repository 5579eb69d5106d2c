"""The life of one claim: birth, change, mishaps, end; on the reference platform."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator

import pytest

from e2e import claims, installation, shipped
from e2e.controlplane import api, crossplane, plane, polling

NAME = "xplane-qwen-coder"
_CLAIMS_RESOURCE = "inferenceservices"
_BACKENDS = ("aigateway.envoyproxy.io/v1beta1", "AIServiceBackend")
# How long a wrong step would have had to show, in seconds.
_PATIENCE = 5


def _pods(tenant: claims.Tenant, component: str = "inference") -> list[api.Object]:
    labels = {"app.kubernetes.io/component": component}
    return tenant.plane.admin.objects("v1", "Pod", namespace=tenant.namespace, labels=labels)


def _serving_pods(tenant: claims.Tenant) -> set[str]:
    """The UIDs of the engine's pods that are not on their way out."""
    return {
        pod["metadata"]["uid"]
        for pod in _pods(tenant)
        if "deletionTimestamp" not in pod["metadata"]
    }


def _rolled_out(deployment: api.Object) -> bool:
    """Whether each pod is of the template that the Deployment has now, and ready."""
    status = deployment.get("status") or {}
    if status.get("observedGeneration") != deployment["metadata"]["generation"]:
        return False
    counts = {status.get(name) for name in ("replicas", "updatedReplicas", "availableReplicas")}
    return counts == {deployment["spec"]["replicas"]}


def _uids(claim: claims.Claim) -> dict[str, str]:
    return {key: item["metadata"]["uid"] for key, item in claim.composed().items()}


@pytest.fixture(scope="module")
def home(
    control_plane: plane.ControlPlane, installed: installation.Installation
) -> Iterator[claims.Tenant]:
    """A namespace in which one claim lives through everything that does not begin at its birth."""
    del installed
    prepared = claims.Tenant(control_plane, control_plane.namespace("life"))
    prepared.prepare()
    yield prepared
    prepared.clean()


@pytest.fixture(scope="module")
def bare(home: claims.Tenant) -> set[str]:
    """What is in that namespace without the claim."""
    return home.inventory()


@pytest.fixture
def serving(
    home: claims.Tenant, bare: set[str], installed: installation.Installation
) -> claims.Claim:
    """The coder with its adapters, serving, as its file says."""
    del bare
    installed.configure(shipped.one(shipped.environment("reference")))
    claim = home.example(NAME).apply()
    claim.wait_ready()
    return claim


@pytest.fixture
def no_machines(
    control_plane: plane.ControlPlane, installed: installation.Installation
) -> Iterator[None]:
    """There is no GPU to be had until the test uncordons the nodes."""
    del installed
    control_plane.kubelet.cordon(*installation.L4_NODES)
    yield
    control_plane.kubelet.cordon(*installation.L4_NODES, cordoned=False)


# --- birth


def test_a_claim_is_born_in_order(tenant: claims.Tenant, no_machines: None) -> None:
    """Weights, then the GPU, then the route; each stage says what it waits for."""
    del no_machines
    kubelet = tenant.plane.kubelet
    kubelet.hold(tenant.namespace)
    claim = tenant.example(NAME).apply()

    downloading = claim.wait_phase("Downloading")
    # The pod is held before it starts.
    assert claims.conditions(downloading)["WeightsReady"][:2] == ("False", "Queued")
    assert api.status_of(downloading, "Ready") == "False"
    assert api.status_of(downloading, "Synced") == "True"
    time.sleep(_PATIENCE)
    assert not {"Deployment", "ScaledObject", "AIGatewayRoute"} & claim.kinds()
    (pod,) = _pods(tenant, "preload")
    assert pod["spec"]["nodeName"], "the Job needs no GPU"

    kubelet.release(tenant.namespace)
    claim.wait_phase("Starting")
    claim.wait_condition("WeightsReady", "True", "Verified")
    claim.wait_condition("EngineReady", "False")
    claim.wait_condition("RouteReady", "False", "NotServing")
    tenant.plane.admin.wait(
        api.Ref("apps/v1", "Deployment", NAME, tenant.namespace),
        lambda item: bool(item.get("status", {}).get("replicas")),
        what="with a pod",
    )
    (pod,) = _pods(tenant)
    unscheduled = tenant.plane.admin.wait_condition(api.Ref.of(pod), "PodScheduled", "False")
    assert "unschedulable" in str(unscheduled["status"]["conditions"])
    assert "AIGatewayRoute" in claim.kinds()

    kubelet.cordon(*installation.L4_NODES, cordoned=False)
    ready = claim.wait_ready()
    assert ready["status"]["phase"] == "Serving"
    assert ready["status"]["modelEndpoint"] == "https://llm.priv.cloud.ogenki.io/v1"
    assert ready["status"]["waitingFor"] == ""
    assert [model["name"] for model in ready["status"]["servedModels"]] == [
        NAME,
        "xplane-qwen-coder-sql-dpo",
        "xplane-qwen-coder-securecode",
    ]
    claim.wait_condition("RouteReady", "True", "Published")
    claim.wait(lambda _: "Job" not in claim.kinds(), what="without its Job")


def test_a_failed_download_says_why(tenant: claims.Tenant) -> None:
    """The exit code of the preload reaches the claim, and a new generation tries again."""
    tenant.plane.kubelet.fail_jobs(tenant.namespace, 11)
    claim = tenant.example("xplane-qwen3-8b").apply()
    failed = claim.wait_condition("WeightsReady", "False", "NotFound")
    claim.wait_phase("Failed")
    assert "preload.generation" in claims.conditions(failed)["WeightsReady"][2]
    tenant.plane.kubelet.heal_jobs(tenant.namespace)
    model = copy.deepcopy(claim.manifest["spec"]["model"])
    model["preload"]["generation"] = 1
    claim.apply(model=model)
    claim.wait_ready()


# --- change


def test_tuning_restarts_nothing(serving: claims.Claim, home: claims.Tenant) -> None:
    """Scaling limits, alerts and canary weights reach their objects, and no pod."""
    pods, uids = _serving_pods(home), _uids(serving)
    spec = serving.manifest["spec"]
    gateway = copy.deepcopy(spec["gateway"])
    gateway["canaries"][0]["weightPercent"] = 25
    serving.apply(
        scaling=spec["scaling"] | {"maxReplicas": 3},
        gateway=gateway,
        observability={"metrics": {"interval": "60s"}, "alerts": {"errorRatio": "0.2"}},
    )
    serving.wait(
        lambda _: serving.one("ScaledObject")["spec"]["maxReplicaCount"] == 3,
        what="scaled up to 3",
    )
    serving.wait(
        lambda _: 25 in _weights(serving.one("AIGatewayRoute")), what="with the new canary weight"
    )
    serving.wait(
        lambda _: serving.one("VMServiceScrape")["spec"]["endpoints"][0]["interval"] == "60s",
        what="scraped every minute",
    )
    serving.wait(
        lambda _: "> 0.2" in _expression(serving.one("VMRule"), "InferenceServiceErrorRatioHigh"),
        what="with the new threshold",
    )
    serving.wait_ready()
    assert _serving_pods(home) == pods
    assert _uids(serving) == uids


def _expression(rule: api.Object, alert: str) -> str:
    """The expression of an alert."""
    (expression,) = [
        item["expr"]
        for group in rule["spec"]["groups"]
        for item in group["rules"]
        if item.get("alert") == alert
    ]
    return str(expression)


def _weights(route: api.Object) -> list[int]:
    return [
        backend.get("weight", 0)
        for rule in route["spec"]["rules"]
        for backend in rule["backendRefs"]
    ]


def test_a_new_revision_restarts_after_its_download(
    serving: claims.Claim, home: claims.Tenant
) -> None:
    """The old one serves until the new weights are verified; only then the pod is replaced."""
    pods = _serving_pods(home)
    kubelet = home.plane.kubelet
    kubelet.hold(home.namespace)
    model = serving.manifest["spec"]["model"] | {"revision": "0" * 40}
    serving.apply(model=model)
    held = serving.wait_condition("Current", "False", "WeightsPending")
    assert held["status"]["serving"]["revision"] != "0" * 40
    time.sleep(_PATIENCE)
    assert _serving_pods(home) == pods
    assert api.status_of(serving.read(), "Ready") == "True", "what serves, serves"
    kubelet.release(home.namespace)
    serving.wait(lambda _: not _serving_pods(home) & pods, what="with another pod", timeout=60)
    # The new pod may have met the end of the hold.
    serving.wait_ready()
    assert serving.read()["status"]["serving"]["revision"] == "0" * 40


def _backends(tenant: claims.Tenant) -> set[str]:
    """Names of all backends in the namespace, with backends that no route refers to."""
    backends = tenant.plane.admin.objects(*_BACKENDS, namespace=tenant.namespace)
    return {item["metadata"]["name"] for item in backends}


def test_a_removed_adapter_leaves_nothing(serving: claims.Claim, home: claims.Tenant) -> None:
    """Its backend goes, after the route has forgotten it."""
    assert len(_backends(home)) == 2
    adapters = [
        adapter
        for adapter in serving.manifest["spec"]["loraAdapters"]
        if adapter["name"] != "xplane-qwen-coder-sql-dpo"
    ]
    serving.apply(loraAdapters=adapters, gateway={"enabled": True})
    serving.wait(lambda _: _backends(home) == {NAME}, what="without the canary's backend")
    ready = serving.wait_ready()
    assert "xplane-qwen-coder-sql-dpo" not in ready["status"]["servedModelsSummary"]
    assert {i["kind"] for i in serving.composed().values()} >= {"AIGatewayRoute", _BACKENDS[1]}


# --- mishaps


@pytest.mark.pitfall("a deny-list in admission alone")
def test_a_bad_claim_past_admission_leaves_what_runs(
    serving: claims.Claim, home: claims.Tenant
) -> None:
    """Written before the rule existed, it is refused by the function, in the rule's words."""
    pods, uids = _serving_pods(home), _uids(serving)
    with claims.without_rules(home.plane):
        serving.apply(engineArgs=["--MODEL=x"])
    invalid = serving.wait_condition("Valid", "False")
    assert "managed flags are" in claims.conditions(invalid)["Valid"][2]
    assert invalid["status"]["phase"] == "Serving", "the last that was known"
    time.sleep(_PATIENCE)
    assert _serving_pods(home) == pods
    assert _uids(serving) == uids
    serving.apply(engineArgs=[])
    serving.wait_condition("Valid", "True")
    serving.wait_ready()
    assert _serving_pods(home) == pods


def test_what_is_deleted_or_edited_by_hand_comes_back(serving: claims.Claim) -> None:
    """A composed object is made again; a field of ours is set again."""
    admin = serving.plane.admin
    deployment = api.Ref.of(serving.one("Deployment"))
    rule = api.Ref.of(serving.one("VMRule"))
    wanted = admin.get(rule)["spec"]
    before = admin.get(rule)["metadata"]["uid"]
    admin.delete(rule)
    again = admin.wait(
        rule, lambda item: bool(item["metadata"]["uid"] != before), what="made again"
    )
    assert again["spec"] == wanted
    body = [{"op": "replace", "path": "/spec/template/spec/containers/0/args", "value": ["x"]}]
    args = admin.get(deployment)["spec"]["template"]["spec"]["containers"][0]["args"]
    admin.patch(deployment, body, kind="json")
    admin.wait(
        deployment,
        lambda item: bool(item["spec"]["template"]["spec"]["containers"][0]["args"] == args),
        what="with its arguments again",
    )
    # Pods of the edit went, and the claim's own generation says nothing of that.
    admin.wait(deployment, _rolled_out, what="rolled out")
    serving.wait_ready()


def test_invalid_settings_are_said_and_change_nothing(
    serving: claims.Claim, home: claims.Tenant, installed: installation.Installation
) -> None:
    """The claim names the setting, and recovers when it is mended."""
    pods, uids = _serving_pods(home), _uids(serving)
    good = shipped.one(shipped.environment("reference"))
    bad = copy.deepcopy(good)
    bad["data"]["inferenceService"]["providers"]["networkPolicies"] = "none"
    installed.configure(bad)
    _nudge(serving, "bad settings")
    invalid = serving.wait_condition("Valid", "False")
    assert "providers.networkPolicies: unknown field" in claims.conditions(invalid)["Valid"][2]
    time.sleep(_PATIENCE)
    assert _uids(serving) == uids
    installed.configure(good)
    _nudge(serving, "good settings")
    serving.wait_condition("Valid", "True")
    serving.wait_ready()
    assert _serving_pods(home) == pods


def _nudge(claim: claims.Claim, mark: str) -> None:
    """Let core 2.3 look at a claim now; 2.4 watches what a claim's function asked for."""
    if claim.plane.crossplane.version == "2.3":
        claim.reconcile(mark)


def test_the_route_stays_through_an_outage(serving: claims.Claim, home: claims.Tenant) -> None:
    """No replica is left: the claim says so, and the gateway keeps its route."""
    route = serving.one("AIGatewayRoute")["metadata"]["uid"]
    home.plane.kubelet.hold(home.namespace)
    for pod in _pods(home):
        home.plane.admin.delete(api.Ref.of(pod))
    serving.wait_condition("EngineReady", "False")
    serving.wait_phase("Starting")
    time.sleep(_PATIENCE)
    assert serving.one("AIGatewayRoute")["metadata"]["uid"] == route
    home.plane.kubelet.release(home.namespace)
    serving.wait_ready()
    assert serving.one("AIGatewayRoute")["metadata"]["uid"] == route


# --- a new version


def test_a_new_version_changes_nothing_by_itself(
    serving: claims.Claim, home: claims.Tenant, installed: installation.Installation
) -> None:
    """The next release, with the same output: its revisions become active, no object changes."""
    pods, generation = _serving_pods(home), serving.read()["metadata"]["generation"]
    log = home.plane.api.audit
    mark = log.mark()
    installed.upgrade()
    serving.reconcile("upgraded")
    time.sleep(_PATIENCE)
    serving.wait_ready()
    assert _serving_pods(home) == pods
    assert serving.read()["metadata"]["generation"] == generation
    writes = [
        write
        for write in log.writes(mark)
        if write.user == crossplane.USER and write.namespace == home.namespace
    ]
    assert any(write.resource == "deployments" for write in writes), "it was reconciled"
    # The claim's own status takes note of the request to reconcile.
    changed = [write for write in writes if write.changed and write.resource != _CLAIMS_RESOURCE]
    assert changed == []


# --- end


def test_a_deleted_claim_leaves_nothing(
    serving: claims.Claim, home: claims.Tenant, bare: set[str]
) -> None:
    """Of no kind that the server has: what remains is the developer's own."""
    assert len(home.inventory()) > len(bare) + len(serving.composed())
    serving.delete()
    polling.until(
        lambda: home.inventory() <= bare,
        what="the namespace as it was before the claim",
        timeout=90,
        interval=1,
    )
    assert home.inventory() == bare
