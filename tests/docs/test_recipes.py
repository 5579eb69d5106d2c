"""The recipes: the settings render claims on every class, and the other objects fit them."""

import ipaddress
import itertools
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import cel
import lupa.lua51
import pytest
import yaml
from click import testing

from function.api import claim, settings
from function.boundary import baseline
from function.cli import main as cli
from function.composites import inference_gateway
from function.workloads import workloads
from tests import cluster, documents
from tests.docs import pages, test_roles
from tests.fleet import scene
from tests.life import given

PAGE = cluster.ROOT / "docs/recipes.md"
OPERATIONS = cluster.ROOT / "docs/operations.md"


def objects(kind: str, page: pathlib.Path = PAGE) -> list[dict[str, Any]]:
    """Returns the objects of a kind in the page's YAML blocks, which all parse."""
    return [document for document in pages.documents(page) if document["kind"] == kind]


def site(document: dict[str, Any]) -> dict[str, Any]:
    return dict(document["data"]["inferenceService"])


def classes() -> Iterator[Any]:
    """Yields each class of each settings block, with a readable name."""
    for index, document in enumerate(objects("EnvironmentConfig")):
        for name in site(document)["gpu"]["classes"]:
            yield pytest.param(document, name, id=f"{index}-{name}")


@pytest.mark.parametrize(("document", "name"), list(classes()))
def test_settings_render_a_claim_of_each_class(
    document: dict[str, Any], name: str, tmp_path: pathlib.Path
) -> None:
    wanted = cluster.example("smallest")
    wanted["spec"]["gpu"] = {"class": name}
    for file, content in (("claim.yaml", wanted), ("settings.yaml", document)):
        (tmp_path / file).write_text(yaml.safe_dump(content))
    arguments = ["render", str(tmp_path / "claim.yaml"), "--assume", "verified"]
    arguments += ["--environment", str(tmp_path / "settings.yaml")]
    done = testing.CliRunner().invoke(cli.main, arguments)
    assert done.exit_code == 0, done.output
    rendered = list(documents.parse_all(done.stdout))
    (workload,) = [item for item in rendered if item["kind"] == "Deployment"]
    pod = workload["spec"]["template"]["spec"]
    chosen = site(document)["gpu"]["classes"][name]
    assert pod["nodeSelector"] == chosen["nodeSelector"]
    assert pod["tolerations"] == chosen["tolerations"]
    assert not list(baseline.violations(pod))


def test_the_settings_of_the_page_are_whole() -> None:
    """Each block is complete: the defaults of another platform could hide a mistake."""
    assert len(objects("EnvironmentConfig")) == 2
    for document in objects("EnvironmentConfig"):
        site = settings.assemble({}, {}, [document])
        assert site.gpu.default_class in site.gpu.classes
        assert site.weights.fs_group is None


def test_volumes_are_what_the_settings_name() -> None:
    storage = {item["metadata"]["name"]: item for item in objects("StorageClass")}
    volumes = objects("PersistentVolumeClaim")
    names = {site(document)["weights"]["claimName"] for document in objects("EnvironmentConfig")}
    assert len(volumes) == 3
    for volume in volumes:
        assert volume["spec"]["accessModes"] == ["ReadWriteMany"]
        assert volume["spec"]["storageClassName"] in storage
        assert volume["metadata"]["name"] in names


def test_the_access_point_has_the_user_of_the_settings() -> None:
    (parameters,) = [
        item["parameters"]
        for item in objects("StorageClass")
        if item["provisioner"] == "efs.csi.aws.com"
    ]
    weights = site(objects("EnvironmentConfig")[0])["weights"]
    assert (parameters["uid"], parameters["gid"]) == (
        str(weights["runAsUser"]),
        str(weights["runAsGroup"]),
    )


@pytest.mark.parametrize(
    ("kind", "selector"),
    [("NetworkPolicy", "podSelector"), ("CiliumNetworkPolicy", "endpointSelector")],
)
def test_the_policy_for_dns_selects_every_pod_of_a_claim(kind: str, selector: str) -> None:
    (policy,) = objects(kind)
    wanted = policy["spec"][selector]["matchLabels"].items()
    templates = [
        template["metadata"]["labels"]
        for look in test_roles.looks()
        for item in look.objects.values()
        if item["kind"] == "Job" or workloads.of(item) is not None
        for template in cluster.templates(item)
    ]
    components = {labels["app.kubernetes.io/component"] for labels in templates}
    assert components >= {"inference", "preload"}
    assert all(wanted <= labels.items() for labels in templates)
    ports = [str(port["port"]) for port in ports_of(policy)]
    assert set(ports) == {"53"}
    assert {port["protocol"] for port in ports_of(policy)} == {"UDP", "TCP"}


def ports_of(policy: dict[str, Any]) -> list[dict[str, Any]]:
    (rule,) = policy["spec"]["egress"]
    return list(rule.get("ports") or itertools.chain(*(p["ports"] for p in rule["toPorts"])))


def test_addresses_of_the_policy_for_dns_are_single() -> None:
    (policy,) = objects("NetworkPolicy")
    for peer in policy["spec"]["egress"][0]["to"]:
        assert ipaddress.ip_network(peer["ipBlock"]["cidr"]).num_addresses == 1


# --- packages


def test_packages_agree() -> None:
    """ImageConfig and Function have one repository path, or core ignores the ImageConfig."""
    packages = {item["spec"]["package"] for item in objects("Configuration")}
    (package,) = packages
    repository, _, version = package.rpartition(":")
    path = repository.rpartition("/")[0]
    for item in objects("ImageConfig"):
        (image,) = item["spec"]["matchImages"]
        assert image == {"type": "Prefix", "prefix": f"{path}/function-inference-service"}
        runtime = cluster.load("examples/runtime/deploymentruntimeconfig.yaml")
        assert item["spec"]["runtime"]["configRef"]["name"] == runtime["metadata"]["name"]
    (values,) = [
        documents.parse(text)
        for language, text in pages.blocks(PAGE)
        if language == "yaml" and text.startswith("# values.yaml")
    ]
    assert values["configuration"]["packages"] == [package]
    assert values["function"]["packages"] == [f"{path}/function-inference-service:{version}"]


def test_flux_proposes_releases_where_the_configuration_is() -> None:
    """The mark names the policy, the policy the repository, and that one has the package's path."""
    (repository,), (policy,) = objects("ImageRepository"), objects("ImagePolicy")
    (update,) = objects("ImageUpdateAutomation")
    platform, _ = objects("Kustomization")
    (package,) = {item["spec"]["package"] for item in objects("Configuration")}
    where, name = (policy["metadata"][key] for key in ("namespace", "name"))
    assert f'{package} # {{"$imagepolicy": "{where}:{name}"}}' in PAGE.read_text()
    assert policy["spec"]["imageRepositoryRef"]["name"] == repository["metadata"]["name"]
    assert package.startswith(f"{repository['spec']['image']}:")
    assert update["spec"]["update"]["path"] == platform["spec"]["path"]
    assert update["spec"]["sourceRef"] == platform["spec"]["sourceRef"]


def test_flux_waits_for_what_there_is() -> None:
    platform, claims = objects("Kustomization")
    names = {item["metadata"]["name"] for item in objects("Configuration")}
    waited = {check["kind"]: check["name"] for check in platform["spec"]["healthChecks"]}
    (package,) = {item["spec"]["package"] for item in objects("Configuration")}
    path = package.rpartition("/")[0].partition("/")[2]
    assert waited == {
        "Configuration": names.pop(),
        "Function": f"{path}-function-inference-service",
        "CustomResourceDefinition": f"{claim.PLURAL}.{claim.GROUP}",
    }
    assert claims["spec"]["dependsOn"] == [{"name": platform["metadata"]["name"]}]
    assert platform["spec"]["prune"] is False
    kinds = [(check["apiVersion"], check["kind"]) for check in claims["spec"]["healthCheckExprs"]]
    version = f"{claim.GROUP}/{claim.VERSION}"
    assert kinds == [(version, claim.KIND), (version, inference_gateway.KIND)]


def _failed() -> cluster.Cluster:
    world = given.new().born()
    cluster.fail_job(world, 13)
    return world.reconcile()


def _suspended() -> cluster.Cluster:
    world = given.serving().edit(suspend=True)
    world.converge()
    return world


# Objects at stages of their lives, with what Argo CD calls them.
STAGES: dict[str, tuple[Callable[[], cluster.Cluster], str]] = {
    "new": (lambda: given.new().reconcile(), "Progressing"),
    "serving": (given.serving, "Healthy"),
    "asleep": (given.asleep, "Healthy"),
    "suspended": (_suspended, "Healthy"),
    "failed": (_failed, "Degraded"),
    "wrong": (lambda: given.serving().edit(engineArgs=["--port=1"]).reconcile(), "Degraded"),
    "front door that waits": (
        lambda: scene.world(scene.of(), scene.member("model")).reconcile(),
        "Progressing",
    ),
    "front door": (lambda: scene.resting(scene.of(), scene.member("model")), "Healthy"),
}


def _by_core(world: cluster.Cluster) -> dict[str, Any]:
    """Returns the object with the condition that core adds."""
    item = documents.copied(world.claim)
    ready = world.fatal is None and all(world.ready.values())
    item["status"]["conditions"].append({"type": "Ready", "status": str(ready)})
    return item


@pytest.mark.parametrize("stage", STAGES)
def test_argo_says_how_each_kind_is(stage: str) -> None:
    """The script runs on Lua 5.1, which is Argo CD's."""
    look, health = STAGES[stage]
    item = _by_core(look())
    (config,) = objects("ConfigMap")
    script = config["data"][f"resource.customizations.health.{claim.GROUP}_{item['kind']}"]
    runtime: Any = lupa.lua51.LuaRuntime(unpack_returned_tuples=True)
    runtime.globals().obj = runtime.table_from(item, recursive=True)
    judged = runtime.execute(script)
    assert judged.status == health, judged.message
    assert judged.message or health == "Healthy"


@pytest.mark.parametrize("stage", STAGES)
def test_flux_says_how_each_kind_is(stage: str) -> None:
    """Failed is what an edit alone can mend."""
    look, health = STAGES[stage]
    item = _by_core(look())
    _, claims = objects("Kustomization")
    (check,) = [one for one in claims["spec"]["healthCheckExprs"] if one["kind"] == item["kind"]]
    current, failed = (
        cel.compile(check[name]).execute(cel.Context({"status": item["status"]}))
        for name in ("current", "failed")
    )
    assert current is (health == "Healthy")
    assert failed is any(
        one["type"] == "Valid" and one["status"] == "False" for one in item["status"]["conditions"]
    )


def test_configurations_are_kept() -> None:
    """No tool prunes a Configuration: its XRD and every claim would go too."""
    notes = [item["metadata"].get("annotations", {}) for item in objects("Configuration")]
    assert [note.get("argocd.argoproj.io/sync-options") for note in notes].count("Prune=false") == 1
    assert [note.get("helm.sh/resource-policy") for note in notes].count("keep") == 1


# --- operations


def test_the_pod_that_looks_at_weights_is_admitted() -> None:
    (pod,) = objects("Pod", OPERATIONS)
    assert list(baseline.violations(pod["spec"])) == []
    (volume,) = pod["spec"]["volumes"]
    assert volume["name"] == pod["spec"]["containers"][0]["volumeMounts"][0]["name"]


def test_operations_have_an_entry_for_each_symptom() -> None:
    text = OPERATIONS.read_text()
    for title in (
        "The gateway answers 503",
        "The gateway answers 413",
        "Out of memory at the start",
        "Weights that went bad",
    ):
        entry = pages.section(OPERATIONS, title)
        assert entry.strip()
        whole = text[text.index(f"## {title}") :]
        assert "```shell" in whole[: whole.index("\n## ", 4)], f"{title}: no command"
