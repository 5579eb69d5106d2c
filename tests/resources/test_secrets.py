"""ExternalSecrets, and who gets which Secret."""

import copy

import pytest
from crossplane.function.proto.v1 import run_function_pb2 as fnv1

from tests import cluster
from tests.resources import scene

MISSING = {"v1/Service": True, "external-secrets.io/v1/ExternalSecret": False}


def secret(**fields: str) -> cluster.Object:
    return {"name": "token", "remoteRef": "apps/llm/token", **fields}


def spec(**fields: str) -> cluster.Object:
    world = scene.serving(scene.of(externalSecrets=[secret(**fields)]))
    found = world.one("ExternalSecret")["spec"]
    assert isinstance(found, dict)
    return found


@pytest.mark.decision(27)
def test_an_external_secret_keeps_the_secrets_name() -> None:
    world = scene.serving(scene.of(externalSecrets=[secret()]))
    found = world.one("ExternalSecret")
    assert found["apiVersion"] == "external-secrets.io/v1"
    assert found["metadata"]["name"] == "token"
    assert found["spec"] == {
        "refreshInterval": "1h0m0s",
        "secretStoreRef": {"kind": "ClusterSecretStore", "name": "clustersecretstore"},
        "target": {"name": "token", "creationPolicy": "Owner", "deletionPolicy": "Retain"},
        "dataFrom": [{"extract": {"key": "apps/llm/token", "conversionStrategy": "Default"}}],
    }


@pytest.mark.pitfall("a field that a webhook or the API server fills in drifts")
@pytest.mark.parametrize(
    ("written", "normal"),
    [
        # As Go prints a duration: the controller writes it back so.
        ("1h", "1h0m0s"),
        ("30s", "30s"),
        ("90s", "1m30s"),
        ("15m", "15m0s"),
        ("1h30m", "1h30m0s"),
        ("24h", "24h0m0s"),
        ("3600s", "1h0m0s"),
        ("500ms", "500ms"),
        ("1000ms", "1s"),
        ("1500ms", "1.5s"),
        ("1m500ms", "1m0.5s"),
        ("0s", "0s"),
    ],
)
def test_an_interval_is_written_as_its_controller_writes_it(written: str, normal: str) -> None:
    assert spec(refreshInterval=written)["refreshInterval"] == normal


def test_a_namespaced_store() -> None:
    config = scene.site(secretStore={"kind": "SecretStore", "name": "mine"})
    world = scene.serving(scene.of(externalSecrets=[secret()]), config)
    assert world.one("ExternalSecret")["spec"]["secretStoreRef"] == {
        "kind": "SecretStore",
        "name": "mine",
    }


def test_without_a_provider_the_secret_is_still_read() -> None:
    config = scene.site(providers={"secrets": "none"})
    world = scene.serving(scene.of(externalSecrets=[secret()]), config)
    assert "ExternalSecret" not in world.kinds_there()
    assert scene.container(world)["envFrom"] == [{"secretRef": {"name": "token"}}]


@pytest.mark.pitfall("a second claim with the same ExternalSecret never becomes ready")
def test_a_second_claim_shares_by_reference_and_owns_nothing() -> None:
    """Two owners of one object: the second claim would never become ready."""
    world = scene.serving(scene.of(name="second", envFromSecrets=["token"]))
    assert "ExternalSecret" not in world.kinds_there()
    assert scene.container(world)["envFrom"] == [{"secretRef": {"name": "token"}}]


@pytest.mark.decision(5)
def test_engine_and_job_get_the_listed_secrets_and_the_job_alone_the_hub_token() -> None:
    world = scene.first(
        scene.of(
            model={"tokenSecretRef": {"name": "hub", "key": "t"}},
            externalSecrets=[secret()],
            envFromSecrets=["token", "extra"],
        )
    )
    job = scene.job_container(world)
    sources = [{"secretRef": {"name": "token"}}, {"secretRef": {"name": "extra"}}]
    assert job["envFrom"] == sources
    assert scene.environment(job)["HF_TOKEN"] == {"secretKeyRef": {"name": "hub", "key": "t"}}
    world.converge()
    engine = scene.container(world)
    assert engine["envFrom"] == sources
    assert "HF_TOKEN" not in scene.environment(engine)


def test_no_secrets_value_is_ever_written() -> None:
    """HF_TOKEN comes from Secrets only: no variable of that name has a value."""
    for name in cluster.EXAMPLES:
        found = scene.environment(scene.job_container(scene.first(cluster.example(name))))
        assert not [key for key in found if "TOKEN" in key and isinstance(found[key], str)]


# --- whether they are fetched


def test_a_missing_kind_is_said_and_the_claim_is_not_ready() -> None:
    world = scene.serving()
    world.kinds = MISSING
    world.edit(externalSecrets=[secret()]).converge()
    assert world.response.desired.composite.ready == fnv1.READY_FALSE
    assert world.condition("SecretsReady") == ("False", "KindMissing")
    assert "external-secrets.io/v1 ExternalSecret" in world.message("SecretsReady")
    assert world.claim["status"]["waitingFor"] == world.message("SecretsReady")


def test_a_secret_that_nobody_makes_is_said() -> None:
    config = scene.site(providers={"secrets": "none"})
    world = scene.serving(scene.of(externalSecrets=[secret()]), config)
    assert world.condition("SecretsReady") == ("False", "NotProvided")
    assert "token" in world.claim["status"]["waitingFor"]
    world.edit(externalSecrets=[], envFromSecrets=["token"]).converge()
    assert world.condition("SecretsReady") == ("True", "NotRequested")
    assert world.claim["status"]["waitingFor"] == ""


def test_a_secret_that_pods_read_outlives_its_provider() -> None:
    """With its ExternalSecret the Secret would go, and no pod could start again."""
    world = scene.serving(scene.of(externalSecrets=[secret()]))
    before = copy.deepcopy(world.one("ExternalSecret"))
    chosen = {"secrets": "none", "withdrawn": ["external-secrets"]}
    world.environments = [scene.site(providers=chosen)]
    world.converge()
    assert world.one("ExternalSecret") == before
    assert world.condition("SecretsReady") == ("False", "NotProvided")
    world.edit(externalSecrets=[]).converge()
    assert "ExternalSecret" not in world.kinds_there()


def test_a_store_that_refuses_is_said_before_what_waits_for_the_secret() -> None:
    world = scene.first(scene.of(externalSecrets=[secret()]))
    refusal = cluster.condition("Ready", "False", "SecretSyncedError", "apps/llm/token: forbidden")
    world.one("ExternalSecret")["status"] = {"conditions": [refusal]}
    world.one("Job")["status"] = {"active": 1}
    world.reconcile()
    assert world.condition("SecretsReady") == ("False", "NotReady")
    assert world.condition("WeightsReady") == ("False", "Queued")
    assert "forbidden" in world.claim["status"]["waitingFor"]
    world.settle("Job").reconcile()
    assert world.condition("SecretsReady") == ("True", "Ready")
