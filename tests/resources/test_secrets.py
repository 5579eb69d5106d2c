"""ExternalSecrets, and who gets which Secret."""

import copy

import pytest
from crossplane.function.proto.v1 import run_function_pb2 as fnv1

from tests import cluster, controllers, schemas
from tests.resources import scene

MISSING = {"v1/Service": True, "external-secrets.io/v1/ExternalSecret": False}


def secret(**fields: str) -> cluster.Object:
    return {"name": "token", "remoteRef": "apps/llm/token", **fields}


def spec(**fields: str) -> cluster.Object:
    world = scene.serving(scene.of(externalSecrets=[secret(**fields)]))
    secret_spec = world.one("ExternalSecret")["spec"]
    assert isinstance(secret_spec, dict)
    return secret_spec


@pytest.mark.decision(27)
def test_an_external_secret_keeps_the_secrets_name() -> None:
    world = scene.serving(scene.of(externalSecrets=[secret()]))
    manifest = world.one("ExternalSecret")
    assert manifest["apiVersion"] == "external-secrets.io/v1"
    assert manifest["metadata"]["name"] == "token"
    assert manifest["spec"] == {
        "refreshInterval": "1h0m0s",
        "secretStoreRef": {"kind": "ClusterSecretStore", "name": "clustersecretstore"},
        "target": {"name": "token", "creationPolicy": "Owner", "deletionPolicy": "Retain"},
        "dataFrom": [{"extract": {"key": "apps/llm/token", "conversionStrategy": "Default"}}],
    }


@pytest.mark.pitfall("a field that a webhook or the API server fills in drifts")
@pytest.mark.parametrize(
    ("written", "normal"),
    [
        # The controller writes the duration back in the form in which Go prints it.
        ("1h", "1h0m0s"),
        ("90s", "1m30s"),
        ("15m", "15m0s"),
        ("1h30m", "1h30m0s"),
        ("24h", "24h0m0s"),
        ("3600s", "1h0m0s"),
        ("60000ms", "1m0s"),
        ("61500ms", "1m1.5s"),
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
    """With two owners of one object the second claim would never become ready."""
    world = scene.serving(scene.of(name="second", envFromSecrets=["token"]))
    assert "ExternalSecret" not in world.kinds_there()
    assert scene.container(world)["envFrom"] == [{"secretRef": {"name": "token"}}]


@pytest.mark.decision(5)
def test_the_engine_gets_the_listed_secrets_and_the_job_alone_the_hub_token() -> None:
    world = scene.first(
        scene.of(
            model={"tokenSecretRef": {"name": "hub", "key": "t"}},
            externalSecrets=[secret()],
            envFromSecrets=["token", "extra"],
        )
    )
    job = scene.job_container(world)
    sources = [{"secretRef": {"name": "token"}}, {"secretRef": {"name": "extra"}}]
    # Required: the pod waits for a Secret that the author names as the token's.
    assert scene.environment(job)["HF_TOKEN"] == {"secretKeyRef": {"name": "hub", "key": "t"}}
    assert "extra" not in str(world.one("Job")["spec"])
    world.converge()
    engine = scene.container(world)
    assert engine["envFrom"] == sources
    assert "HF_TOKEN" not in scene.environment(engine)


def test_the_job_gets_the_keys_of_a_token_from_the_listed_secrets_and_nothing_else() -> None:
    """0.9.0 gave it all of them, and with it every variable that an author can think of.

    Optional, because most Secrets have no token; of several the last one wins, as it did.
    """
    listed = scene.of(externalSecrets=[secret()], envFromSecrets=["token", "extra"])
    world = scene.first(listed)
    job, spec = scene.job_container(world), world.one("Job")["spec"]["template"]["spec"]
    assert "envFrom" not in job
    found = scene.environment(job)
    last = {"name": "extra", "key": "HF_TOKEN", "optional": True}
    assert found["HF_TOKEN"] == {"secretKeyRef": last}
    (volume,) = (v for v in spec["volumes"] if "projected" in v)
    keys = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
    assert volume["projected"]["sources"] == [
        {
            "secret": {
                "name": name,
                "optional": True,
                "items": [{"key": key, "path": f"{place}/{key}"} for key in keys],
            }
        }
        for place, name in (("00", "extra"), ("01", "token"))
    ]
    path = found["PRELOAD_SECRETS_DIRECTORY"]
    mount = {"name": volume["name"], "mountPath": path, "readOnly": True}
    assert mount in job["volumeMounts"]
    assert schemas.pod_security(spec) == []
    emitted = {**world.one("Job"), "metadata": {"name": "a", "namespace": "llm"}}
    emitted.pop("status", None)
    assert schemas.validate(emitted) == []


@pytest.mark.parametrize("name", cluster.EXAMPLES)
def test_no_job_gets_a_secret_whole(name: str) -> None:
    """In whatever way a pod can."""
    spec = scene.first(cluster.example(name)).one("Job")["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert "envFrom" not in container
    assert not [volume for volume in spec["volumes"] if "secret" in volume]
    sources = [s for v in spec["volumes"] for s in v.get("projected", {}).get("sources", [])]
    assert all(source["secret"]["items"] for source in sources)


def test_no_secrets_value_is_ever_written() -> None:
    """HF_TOKEN comes from Secrets only: no variable of that name has a value."""
    for name in cluster.EXAMPLES:
        variables = scene.environment(scene.job_container(scene.first(cluster.example(name))))
        assert not [key for key in variables if "TOKEN" in key and isinstance(variables[key], str)]


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
    """The Secret would go together with its ExternalSecret, and no pod could start again."""
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
    refusal = controllers.condition(
        "Ready", "False", "SecretSyncedError", "apps/llm/token: forbidden"
    )
    world.one("ExternalSecret")["status"] = {"conditions": [refusal]}
    world.one("Job")["status"] = {"active": 1}
    world.reconcile()
    assert world.condition("SecretsReady") == ("False", "NotReady")
    assert world.condition("WeightsReady") == ("False", "Queued")
    assert "forbidden" in world.claim["status"]["waitingFor"]
    world.settle("Job").reconcile()
    assert world.condition("SecretsReady") == ("True", "Ready")
