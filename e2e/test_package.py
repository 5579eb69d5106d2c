"""The packages as they lie in a registry: what is in them, and that one commit gives one digest."""

from __future__ import annotations

import io
import json
import pathlib
import tarfile
from collections.abc import Iterator

import pytest
import yaml

from e2e import shipped
from e2e.controlplane import api, registry
from tools import image, package

_LABEL = "io.crossplane.xpkg"
_META = "meta.pkg.crossplane.io/v1"


@pytest.fixture(scope="module")
def loopback(tmp_path_factory: pytest.TempPathFactory) -> Iterator[registry.Registry]:
    """A registry of this module's own."""
    work = tmp_path_factory.mktemp("registry")
    running = registry.Registry(work, work)
    running.process.start()
    yield running
    running.process.stop()


@pytest.fixture(scope="module")
def release(loopback: registry.Registry) -> package.Release:
    """A release below an organisation."""
    return package.Release(f"{loopback.host}/org", "v1.2.3")


@pytest.fixture(scope="module")
def pushed(release: package.Release, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Both packages, pushed: digests by reference."""
    built = package.make(release, [image.cached("function")], tmp_path_factory.mktemp("built"))
    return package.push(release, built)


def _manifest(loopback: registry.Registry, reference: str) -> api.Object:
    found: api.Object = json.loads(loopback.crane("manifest", reference))
    return found


def _documents(loopback: registry.Registry, reference: str, work: pathlib.Path) -> list[api.Object]:
    """The objects in the package's own layer, the one that core reads."""
    (layer,) = [
        entry
        for entry in _manifest(loopback, reference)["layers"]
        if (entry.get("annotations") or {}).get(_LABEL) == "base"
    ]
    blob = work / "layer.tar.gz"
    repository = reference.rpartition(":")[0]
    blob.write_bytes(loopback.blob(f"{repository}@{layer['digest']}"))
    with tarfile.open(blob) as archive:
        member = archive.extractfile("package.yaml")
        assert member is not None
        return [item for item in yaml.safe_load_all(io.BytesIO(member.read())) if item]


def test_the_configuration_holds_one_meta_object_and_what_it_installs(
    loopback: registry.Registry,
    release: package.Release,
    pushed: dict[str, str],
    tmp_path: pathlib.Path,
) -> None:
    """XRD and Composition and no more, as core's linter wants it."""
    del pushed
    items = _documents(loopback, release.reference(package.CONFIGURATION), tmp_path)
    assert sorted((item["apiVersion"], item["kind"]) for item in items) == [
        ("apiextensions.crossplane.io/v1", "Composition"),
        ("apiextensions.crossplane.io/v2", "CompositeResourceDefinition"),
        (_META, "Configuration"),
    ]
    by_kind = {item["kind"]: item for item in items}
    definition = by_kind["CompositeResourceDefinition"]
    assert definition["spec"] == shipped.one(shipped.XRD)["spec"]
    (dependency,) = by_kind["Configuration"]["spec"]["dependsOn"]
    assert dependency == {
        "apiVersion": "pkg.crossplane.io/v1",
        "kind": "Function",
        "package": f"{loopback.host}/org/function-inference-service",
        "version": ">=v1.2.3",
    }
    (step,) = by_kind["Composition"]["spec"]["pipeline"]
    assert step["functionRef"] == {"name": "org-function-inference-service"}
    assert step["input"]["preload"] == {"image": release.preload}
    assert (
        step["requirements"]
        == shipped.one(shipped.COMPOSITION)["spec"]["pipeline"][0]["requirements"]
    )


def test_the_function_holds_one_meta_object_and_its_input(
    loopback: registry.Registry,
    release: package.Release,
    pushed: dict[str, str],
    tmp_path: pathlib.Path,
) -> None:
    """And the runtime: not root, our entry point."""
    del pushed
    reference = release.reference(package.FUNCTION)
    items = _documents(loopback, reference, tmp_path)
    assert sorted((item["apiVersion"], item["kind"]) for item in items) == [
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
        (_META, "Function"),
    ]
    config = json.loads(loopback.crane("config", reference))
    assert config["config"]["User"] == "2000:2000"
    assert config["config"]["Entrypoint"] == ["function"]
    assert (config["os"], config["architecture"]) in {("linux", "amd64"), ("linux", "arm64")}
    assert not [entry for entry in config["config"]["Env"] if "PIP_" in entry]


def test_sizes(
    loopback: registry.Registry, release: package.Release, pushed: dict[str, str]
) -> None:
    """The function is pulled by every cluster: under 60 MiB compressed."""
    del pushed
    manifest = _manifest(loopback, release.reference(package.FUNCTION))
    assert sum(layer["size"] for layer in manifest["layers"]) < 60 * 2**20


def test_the_same_files_give_the_same_digests(
    release: package.Release, pushed: dict[str, str], tmp_path: pathlib.Path
) -> None:
    """In another directory, at another time."""
    built = package.make(release, [image.cached("function")], tmp_path)
    assert package.push(release, built) == pushed


def test_two_architectures_become_one_index(
    loopback: registry.Registry, tmp_path: pathlib.Path
) -> None:
    """A node pulls the image of its own; the other one here is empty."""
    release = package.Release(f"{loopback.host}/two", "v1.0.0")
    other = tmp_path / "other.tar"
    layer = tmp_path / "layer.tar"
    with tarfile.open(layer, "w"):
        pass
    draft = loopback.reference("draft/runtime", "v1.0.0")
    loopback.crane("append", "--oci-empty-base", "-f", layer, "-t", draft)
    loopback.crane("mutate", draft, "--set-platform=linux/arm64", "--tag", draft)
    loopback.crane("pull", "--platform=linux/arm64", draft, other)
    built = package.make(release, [image.cached("function"), other], tmp_path)
    reference = release.reference(package.FUNCTION)
    package.push(release, built)
    index = _manifest(loopback, reference)
    platforms = [entry["platform"]["architecture"] for entry in index["manifests"]]
    assert len(platforms) == 2
    assert "arm64" in platforms


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("org/function-inference-service", "org-function-inference-service"),
        ("a/b/function-inference-service", "a-b-function-inference-service"),
        ("my_org/function-inference-service", "myorg-function-inference-service"),
        ("function-inference-service", "function-inference-service"),
        ("o" * 40 + "/function-inference-service", "o" * 40 + "-function-inference-ser"),
    ],
)
def test_names_of_functions_that_come_as_dependencies(path: str, name: str) -> None:
    """As Crossplane's ToDNSLabel; the first is installed for real in the other tests."""
    assert package.dns_label(path) == name


@pytest.mark.parametrize("version", ["1.0.0", "latest", "v1.0", "v1.0.0 "])
def test_a_tag_that_core_would_not_take_is_refused(version: str) -> None:
    """Before anything is built."""
    with pytest.raises(package.PackageError, match="is not of the form"):
        package.Release("registry.example.com/org", version)


def test_the_command_says_what_is_missing(
    capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path
) -> None:
    """Exit status 1 and a message, for a runtime that is not there."""
    code = package.main(
        [
            *("--target", "registry.example.com/org", "--output", str(tmp_path)),
            *("--runtime", str(tmp_path / "absent.tar")),
        ]
    )
    assert code == 1
    assert "absent.tar" in capsys.readouterr().err
