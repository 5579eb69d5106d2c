"""What settings grant by pattern, and what stays granted without them."""

import copy
from typing import Any

import pytest

from function.api import claim_secrets
from function.boundary import secrets
from tests import cluster
from tests.resources import scene


def site(**changes: Any) -> cluster.Object:
    """Returns settings of several teams, which grant what they grant by default."""
    config = scene.site(**changes)
    inner = config["data"]["inferenceService"]
    inner["allowed"] = {
        field: granted
        for field, granted in inner["allowed"].items()
        if field not in ("fetchedSecrets", "remoteRefs", "secrets", "subPaths", "weights")
    } | changes.get("allowed", {})
    return config


def granted(*patterns: str) -> cluster.Object:
    """Returns settings that grant these Secrets."""
    return site(allowed={"secrets": {"*": list(patterns)}})


@pytest.mark.parametrize("name", cluster.EXAMPLES)
def test_claims_of_0_9_name_what_is_granted_by_default(name: str) -> None:
    scene.planned(cluster.example(name), site())


@pytest.mark.parametrize("name", ["hf-token", "hf-token-team-a", "hub-token", "hub-token-x"])
def test_tokens_of_the_hub_are_granted_by_default(name: str) -> None:
    scene.planned(scene.of(envFromSecrets=[name]), site())
    scene.planned(scene.of(model={"tokenSecretRef": {"name": name}}), site())


@pytest.mark.parametrize(
    "name", ["db-password", "gateway-tls", "model", "model-token", "hf-tokens", "my-hf-token"]
)
def test_nothing_else_is(name: str) -> None:
    message = scene.refused(scene.of(envFromSecrets=[name]), site())
    assert f"spec.envFromSecrets[0]: the settings do not allow {name!r} in namespace llm" in message
    assert "(allowed.secrets has hf-token, hf-token-*, hub-token, hub-token-*)" in message


def test_a_pattern_holds_the_claims_names() -> None:
    access = granted("models.{namespace}.{name}.*")
    scene.planned(scene.of(envFromSecrets=["models.llm.model.token"]), access)
    for name in ("models.llm.model-2.token", "models.apps.model.token", "models.llm.model"):
        scene.refused(scene.of(envFromSecrets=[name]), access)


def test_what_the_claim_has_fetched_is_its_own() -> None:
    fetched = [{"name": "tracing", "remoteRef": "llm/tracing"}]
    own: Any = {
        "env": [
            {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "tracing", "key": "a"}}}
        ]
    }
    claimed = scene.of(externalSecrets=fetched, envFromSecrets=["tracing"], podTemplate=own)
    scene.planned(claimed, site())
    scene.refused(scene.of(envFromSecrets=["tracing"], podTemplate=own), site())


def test_without_a_provider_nobody_fetches_it() -> None:
    """Pods would get what has that name already."""
    fetched = [{"name": "db-password", "remoteRef": "llm/nothing"}]
    message = scene.refused(scene.of(externalSecrets=fetched), site(providers={"secrets": "none"}))
    assert "spec.externalSecrets[0].name: the settings do not allow 'db-password'" in message
    assert "allowed.secrets" in message


@pytest.mark.parametrize("name", ["inference-service.model.tracing", "hf-token", "hf-token-team-a"])
def test_a_secret_with_the_claims_own_name_is_fetched_by_default(name: str) -> None:
    scene.serving(scene.of(externalSecrets=[{"name": name, "remoteRef": "llm/a"}]), site())


@pytest.mark.parametrize("installed", [True, False])
def test_a_name_that_may_be_taken_is_not_fetched(installed: bool) -> None:
    """External Secrets would take over what nobody controls, and leave other keys in it."""
    fetched = [{"name": "db-password", "remoteRef": "llm/nothing"}]
    world = cluster.Cluster(scene.of(externalSecrets=fetched), site())
    world.kinds = {"v1/Service": True, "external-secrets.io/v1/ExternalSecret": installed}
    world.reconcile()
    assert world.fatal is not None
    assert "spec.externalSecrets[0].name: the settings do not allow 'db-password'" in world.fatal
    assert "(allowed.fetchedSecrets has inference-service.model.*, hf-token, " in world.fatal
    assert not world.objects


def test_a_stored_claim_keeps_the_names_that_it_fetches() -> None:
    """A claim of 0.9.0 has its ExternalSecrets; one more needs a name that is granted."""
    entry = {"name": "tracing", "remoteRef": "llm/tracing"}
    world = scene.serving(scene.of(externalSecrets=[entry]))
    before = copy.deepcopy(world.objects)
    world.environments = [site()]
    world.converge()
    assert world.fatal is None
    assert set(world.objects) == set(before)
    more = {"name": "db-password", "remoteRef": "llm/tracing"}
    world.edit(externalSecrets=[entry, more]).reconcile()
    assert world.fatal is not None
    assert "spec.externalSecrets[1].name: the settings do not allow 'db-password'" in world.fatal
    assert set(world.objects) == set(before)


def test_what_serves_is_kept_when_its_secret_is_not_granted_any_more() -> None:
    world = scene.serving(scene.of(envFromSecrets=["shared"]))
    before = set(world.objects)
    world.environments = [site()]
    world.reconcile()
    assert world.fatal is not None
    assert "allowed.secrets" in world.fatal
    assert set(world.objects) == before


def test_a_patch_may_name_what_is_granted_and_leave_what_was_there() -> None:
    contained = {"name": "vllm", "envFrom": [{"secretRef": {"name": "hf-token"}}]}
    patches = {
        "deployment": {"spec": {"template": {"spec": {"containers": [contained]}}}},
        "preload-job": {"metadata": {"annotations": {"a": "b"}}},
    }
    claimed = scene.of(
        model={"tokenSecretRef": {"name": "hf-token"}},
        externalSecrets=[{"name": "inference-service.model.tracing", "remoteRef": "llm/tracing"}],
        patches=patches,
    )
    permitted = {"permissions": {"patches": ["llm"]}, "imagePullSecrets": ["registry"]}
    scene.serving(claimed, site(**permitted))


def test_credentials_of_the_autoscaler_go_to_the_sites_server_alone() -> None:
    scaling = {"authenticationRef": {"name": "metrics", "kind": "ClusterTriggerAuthentication"}}
    config = site(permissions={"patches": ["llm"]}, scaling=scaling)
    world = scene.serving(scene.of(), config)
    triggers = world.one("ScaledObject")["spec"]["triggers"]
    for changed in (
        {**triggers[0], "metadata": {**triggers[0]["metadata"], "serverAddress": "http://x"}},
        {**triggers[0], "authenticationRef": {"name": "other"}},
    ):
        claimed = scene.of(patches={"scaledobject": {"spec": {"triggers": [changed]}}})
        world = cluster.Cluster(claimed, config)
        world.converge()
        assert world.fatal is not None
        assert "spec.patches.scaledobject.spec.triggers[0].authenticationRef" in world.fatal
    less = {**triggers[0], "metadata": {**triggers[0]["metadata"], "threshold": "3"}}
    scene.serving(scene.of(patches={"scaledobject": {"spec": {"triggers": [less]}}}), config)


@pytest.mark.parametrize(
    ("fragment", "names"),
    [
        ({"secretRef": {"name": "a"}}, ["a"]),
        ({"imagePullSecrets": [{"name": "a"}, {"name": "b"}]}, ["a", "b"]),
        ({"imagePullSecrets": ["a"]}, ["a"]),
        ({"tlsConfig": {"ca": {"secret": {"name": "a", "key": "b"}}}}, ["a"]),
        ({"authorization": {"credentials": {"name": "a", "key": "b"}}}, ["a"]),
        ({"clientCertificateRef": {"name": "a"}}, ["a"]),
        ({"caCertificateRefs": [{"kind": "ConfigMap", "name": "a"}]}, []),
        ({"configMapKeyRef": {"name": "a", "key": "b"}}, []),
        ({"tolerations": [{"key": "a", "operator": "Exists"}]}, []),
        ({"labels": {"secretName": "a"}}, []),
        ({"secretRef": {"name": 5}}, []),
        ({"secretRef": None, "volumes": [None, "a", 5]}, []),
    ],
)
def test_a_secret_is_named_in_many_forms(fragment: Any, names: list[str]) -> None:
    assert sorted(reference.name for reference in secrets.named(fragment, "")) == names


@pytest.mark.parametrize("path", ["/models/base/a.jinja", "/vllm-workspace/examples/a.jinja"])
def test_templates_of_model_and_image_pass(path: str) -> None:
    scene.planned(scene.of(model={"chatTemplate": path}), site())


@pytest.mark.parametrize("mount", ["/templates", "/etc/templates", "/run/templates/"])
def test_templates_of_a_mount_pass(mount: str) -> None:
    pod = {
        "volumes": [{"name": "templates", "configMap": {"name": "templates"}}],
        "volumeMounts": [{"name": "templates", "mountPath": mount}],
    }
    template = {"chatTemplate": f"{mount.rstrip('/')}/a.jinja"}
    scene.planned(scene.of(model=template, podTemplate=pod), site(permissions={"volumes": ["llm"]}))
    scene.refused(scene.of(model=template), site(permissions={"volumes": ["llm"]}))


def test_a_sub_path_that_is_absent_is_judged_by_the_claims_name() -> None:
    config = site(allowed={"subPaths": {"*": ["{namespace}/*"]}})
    message = scene.refused(scene.of(), config)
    assert "spec.weightsFileSystem.subPath: it is the claim's name where it is absent" in message
    assert "the settings do not allow 'model' in namespace llm (allowed.subPaths has llm/*)" in (
        message
    )
    scene.planned(scene.of(weightsFileSystem={"subPath": "llm/model"}), config)


def test_the_schema_reads_as_the_function_does() -> None:
    for text in ("0s", "1m", "59s", "8760h", "8761h", "9" * 20 + "h"):
        assert claim_secrets.REFRESH.holds(text) is (text in ("0s", "1m", "8760h"))
