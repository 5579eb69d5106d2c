"""The installation guide, from an empty cluster to a served model, by its own commands.

``installed`` runs its first steps, this module what follows up to a served model, other tests the
rest; the end of a whole run fails for a block that nobody ran (`conftest`). What Crossplane makes
of the runtime configuration is checked too.
"""

from __future__ import annotations

import copy
import json
import pathlib
from collections.abc import Iterator

import pytest

from e2e import guide, installation, shipped
from e2e.controlplane import api, crossplane, plane

_NAMESPACE = "llm"
_BY_ADMIN = ("5. Settings", "6. Namespace and volume", "7. Secrets")
_BY_AUTHOR = "8. The first claim"
_PREVIEW = "What an upgrade would change"
_FUNCTION = "function-inference-service"


@pytest.fixture(scope="module")
def followed(
    control_plane: plane.ControlPlane,
    installed: installation.Installation,
    all_kinds: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, str]]:
    """The guide's steps after the installation: what each printed."""
    del all_kinds
    admin = control_plane.admin
    for item in admin.objects("apiextensions.crossplane.io/v1beta1", "EnvironmentConfig"):
        admin.delete(api.Ref.of(item))
    # What a storage class would provide.
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "shared"},
        "spec": {
            "storageClassName": "shared",
            "capacity": {"storage": "200Gi"},
            "accessModes": ["ReadWriteMany"],
            "csi": {"driver": "shared.example.org", "volumeHandle": "shared"},
        },
    }
    admin.create(volume)
    reader = installed.guide
    administrator = reader.variables["KUBECONFIG"]
    reader.variables |= {"HF_TOKEN": "hf_example"}
    printed = {section: reader.run(section) for section in _BY_ADMIN}
    author = _author(pathlib.Path(administrator), tmp_path_factory.mktemp("author"))
    try:
        printed[_BY_AUTHOR] = reader.run(_BY_AUTHOR, variables={"KUBECONFIG": str(author)})
    finally:
        reader.variables["KUBECONFIG"] = administrator
    printed[_PREVIEW] = reader.run(_PREVIEW)
    yield printed
    admin.delete(api.Ref(shipped.API_VERSION, shipped.KIND, "assistant", _NAMESPACE))
    admin.delete(api.Ref("v1", "Namespace", _NAMESPACE))
    admin.delete(api.Ref.of(volume))


def _author(administrator: pathlib.Path, place: pathlib.Path) -> pathlib.Path:
    """The kubeconfig of somebody who is in the guide's group and in no other."""
    config = api.load(administrator)[0]
    for entry in config["users"]:
        entry["user"] |= {"as": "author@example.com", "as-groups": ["model-authors"]}
    path = place / "kubeconfig"
    path.write_text(json.dumps(config))
    path.chmod(0o600)
    return path


def test_nothing_of_the_guide_is_only_shown() -> None:
    """But what needs an engine; every file has a name."""
    shown = [block.section for block in guide.blocks() if block.language == "console"]
    assert shown == [_BY_AUTHOR], "only what needs an engine may go unrun"
    unsaved = [block for block in guide.blocks() if block.language == "yaml" and block.file is None]
    assert unsaved == []


def test_every_step_to_a_served_model_was_run(followed: dict[str, str]) -> None:
    """All that stands before the preview, and that too."""
    sections = list(dict.fromkeys(block.section for block in guide.blocks()))
    steps = sections[: sections.index(_PREVIEW) + 1]
    assert set(followed) < set(steps)
    blocks = [block for block in guide.blocks() if block.language == "shell"]
    assert {str(block) for block in blocks if block.section in steps} <= guide.done()


def test_an_author_may_write_claims_and_nothing_else(
    control_plane: plane.ControlPlane, followed: dict[str, str]
) -> None:
    """The group's rights are those of the guide's role: the first claim was its member's."""
    del followed
    asked = {
        kind: control_plane.kubectl(
            *("auth", "can-i", "create", kind, "--namespace", _NAMESPACE),
            *("--as=author@example.com", "--as-group=model-authors"),
        ).stdout.strip()
        for kind in ("inferenceservices.cloud.ogenki.io", "deployments.apps", "secrets")
    }
    assert list(asked.values()) == ["yes", "no", "no"]


def test_the_claim_serves(control_plane: plane.ControlPlane, followed: dict[str, str]) -> None:
    """At the end of the guide."""
    assert "condition met" in followed[_BY_AUTHOR]
    ref = api.Ref(shipped.API_VERSION, shipped.KIND, "assistant", _NAMESPACE)
    claim = control_plane.admin.wait_condition(ref, "Ready", timeout=120)
    assert claim["status"]["phase"] == "Serving"
    assert (
        claim["spec"]["crossplane"]["compositionRef"]["name"]
        == shipped.one(shipped.COMPOSITION)["metadata"]["name"]
    )


def test_the_composition_names_what_was_pushed(
    control_plane: plane.ControlPlane, installed: installation.Installation
) -> None:
    """The preload image by digest, and the function by the name of its object."""
    composition = control_plane.admin.get(api.Ref.of(shipped.one(shipped.COMPOSITION)))
    (step,) = composition["spec"]["pipeline"]
    assert step["functionRef"]["name"] == installed.release.function_name
    image = step["input"]["preload"]["image"]
    assert image == installed.release.preload
    assert "@sha256:" in image
    control_plane.registry.crane("manifest", image)


def test_an_upgrade_is_previewed(followed: dict[str, str]) -> None:
    """With the same version nothing would change."""
    printed = followed[_PREVIEW]
    assert f"{_NAMESPACE}/assistant: Serving" in printed
    assert "pods stay as they are" in printed.splitlines(), printed


@pytest.fixture(scope="module")
def deployment(
    control_plane: plane.ControlPlane, installed: installation.Installation
) -> api.Object:
    """The Deployment that Crossplane made of the Function's active revision, rolled out."""
    name = installed.revision()["metadata"]["name"]
    ref = api.Ref("apps/v1", "Deployment", name, crossplane.NAMESPACE)
    return control_plane.admin.wait(
        ref, lambda item: item["status"].get("availableReplicas") == 2, what="with two replicas"
    )


def test_the_runtime_is_what_the_example_asks(
    deployment: api.Object, installed: installation.Installation
) -> None:
    """Replicas, probes, resources: all of it has come through Crossplane."""
    wanted = shipped.one(shipped.ROOT / "examples" / "runtime" / "deploymentruntimeconfig.yaml")
    template = wanted["spec"]["deploymentTemplate"]["spec"]
    spec = deployment["spec"]
    assert spec["replicas"] == 2
    (container,) = spec["template"]["spec"]["containers"]
    (asked,) = template["template"]["spec"]["containers"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        got = container[probe]["httpGet"]
        assert {**asked[probe]["httpGet"], "scheme": "HTTP"} == got
    assert {port["containerPort"] for port in container["ports"]} == {8080, 9443}
    assert container["resources"] == asked["resources"]
    tag = f"/{_FUNCTION}:{installed.release.version}"
    assert container["image"].endswith(tag) or "@sha256:" in container["image"]
    assert _covers(spec["template"]["spec"], template["template"]["spec"])


def _covers(actual: object, wanted: object) -> bool:
    """Whether a value holds every field of ``wanted``, and for each list every entry."""
    if isinstance(wanted, dict):
        return isinstance(actual, dict) and all(
            name in actual and _covers(actual[name], value) for name, value in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(actual, list) and all(
            any(_covers(entry, value) for entry in actual) for value in wanted
        )
    return actual == wanted


def test_the_pods_come_up_and_are_budgeted(
    control_plane: plane.ControlPlane, deployment: api.Object
) -> None:
    """Two pods run, and the budget counts them."""
    labels = deployment["spec"]["selector"]["matchLabels"]
    pods = control_plane.admin.objects("v1", "Pod", namespace=crossplane.NAMESPACE, labels=labels)
    assert [api.status_of(pod, "Ready") for pod in pods] == ["True", "True"]
    budget = api.Ref("policy/v1", "PodDisruptionBudget", _FUNCTION, crossplane.NAMESPACE)
    control_plane.admin.wait(
        budget,
        lambda item: (
            (
                item.get("status", {}).get("expectedPods"),
                item.get("status", {}).get("disruptionsAllowed"),
            )
            == (2, 1)
        ),
        what="for the two pods",
    )


def test_the_pods_pass_pod_security_restricted(
    control_plane: plane.ControlPlane, deployment: api.Object, namespace: str
) -> None:
    """By the API server's own admission, which refuses the same pod with one right more."""
    spec = copy.deepcopy(deployment["spec"]["template"]["spec"])
    spec["serviceAccountName"] = "default"
    spec.pop("serviceAccount", None)
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "function", "namespace": namespace},
        "spec": spec,
    }
    control_plane.admin.create(pod, dry_run=True)
    spec["containers"][0]["securityContext"]["capabilities"] = {"add": ["NET_ADMIN"]}
    with pytest.raises(api.ApiError, match="violates PodSecurity"):
        control_plane.admin.create(pod, dry_run=True)
    assert spec["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
    assert spec["automountServiceAccountToken"] is False
