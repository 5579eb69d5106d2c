"""The packages as they lie in a registry: what is in them, and that one commit gives one digest."""

from __future__ import annotations

import dataclasses
import gzip
import json
import pathlib
import re
import subprocess
import tarfile
from collections.abc import Iterator

import pytest

import preload
from e2e import containers, shipped, test_evals
from e2e.controlplane import api, process, registry
from preload import exits
from tools import image, package
from tools import release as describe

_LABEL = "io.crossplane.xpkg"
_META = "meta.pkg.crossplane.io/v1"
# Where an ELF header names the machine, and the names (elf.h: EM_X86_64, EM_AARCH64).
_ELF_MACHINE = 18
_MACHINES = {"amd64": 62, "arm64": 183}
# What every image says: it is never written to, its application is found, and so are the CAs.
_VARIABLES = {
    "PATH": "/usr/bin",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONPATH": "/app",
    "PYTHONUNBUFFERED": "1",
    "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt",
}
# Neither is root: the users that Crossplane and the preload Job name too.
_RUNS_AS = {
    "function": containers.Image("2000:2000", _VARIABLES | {"MALLOC_ARENA_MAX": "1"}, ["function"]),
    "preload": containers.Image(
        "1001:1001",
        # Python is isolated: it reads no variable.
        {
            "PATH": "/usr/bin",
            "HOME": "/tmp",  # noqa: S108 - an emptyDir in the Job's pod
            "SSL_CERT_FILE": _VARIABLES["SSL_CERT_FILE"],
        },
        ["/usr/bin/preload"],
    ),
}


@pytest.fixture(scope="module")
def loopback(tmp_path_factory: pytest.TempPathFactory) -> Iterator[registry.Registry]:
    """A registry of this module's own."""
    work = tmp_path_factory.mktemp("registry")
    running = registry.Registry(work, work)
    try:
        running.process.start()
        yield running
    finally:
        running.process.stop()


@pytest.fixture(scope="module")
def release(loopback: registry.Registry) -> package.Release:
    """A release below an organisation."""
    return package.Release(f"{loopback.host}/org", "v1.2.3")


@pytest.fixture(scope="module")
def runtimes() -> dict[str, pathlib.Path]:
    """The function's images."""
    return {name: image.cached("function", name) for name in image.ARCHITECTURES}


@pytest.fixture(scope="module")
def pushed(
    release: package.Release,
    runtimes: dict[str, pathlib.Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, str]:
    """Both packages, pushed: digests by reference."""
    built = package.make(release, runtimes, tmp_path_factory.mktemp("built"))
    return package.push(release, built)


def _manifest(loopback: registry.Registry, reference: str) -> api.Object:
    manifest: api.Object = json.loads(loopback.crane("manifest", reference))
    return manifest


def _images(loopback: registry.Registry, reference: str) -> dict[str, str]:
    """References of the images of an index, by architecture."""
    repository = reference.rpartition(":")[0]
    images = {}
    for entry in _manifest(loopback, reference)["manifests"]:
        assert entry["platform"]["os"] == "linux"
        images[entry["platform"]["architecture"]] = f"{repository}@{entry['digest']}"
    return images


def _config(loopback: registry.Registry, reference: str) -> api.Object:
    config: api.Object = json.loads(loopback.crane("config", reference))
    return config


def _documents(loopback: registry.Registry, reference: str, work: pathlib.Path) -> list[api.Object]:
    """The objects in the package's own layer, the one that core reads.

    It is marked twice: in the manifest, and by a label of the configuration.
    """
    (layer,) = [
        entry
        for entry in _manifest(loopback, reference)["layers"]
        if (entry.get("annotations") or {}).get(_LABEL) == "base"
    ]
    blob = work / "layer.tar.gz"
    repository = re.split(r"@|:(?=[^/]*$)", reference)[0]
    blob.write_bytes(loopback.blob(f"{repository}@{layer['digest']}"))
    labels = _config(loopback, reference)["config"]["Labels"]
    marks = {name: value for name, value in labels.items() if name.startswith(_LABEL)}
    assert list(marks.values()) == ["base"], marks
    with tarfile.open(blob) as archive:
        assert archive.getnames() == ["package.yaml"]
        member = archive.extractfile("package.yaml")
        assert member is not None
        return api.parse(member.read())


def _extracted(reference: str, work: pathlib.Path) -> list[api.Object]:
    """The objects of a package as Crossplane's own code pulls and reads it."""
    output = work / "package.gz"
    package.run("crossplane-cli", "xpkg", "extract", reference, f"--output={output}")
    return api.parse(gzip.decompress(output.read_bytes()))


def test_the_configuration_holds_one_meta_object_and_what_it_installs(
    loopback: registry.Registry,
    release: package.Release,
    pushed: dict[str, str],
    tmp_path: pathlib.Path,
) -> None:
    """XRDs and Compositions and no more, as core's linter wants it."""
    del pushed
    reference = release.reference(package.CONFIGURATION)
    items = _documents(loopback, reference, tmp_path)
    assert _extracted(reference, tmp_path) == items
    assert len(_manifest(loopback, reference)["layers"]) == 1
    assert sorted((item["apiVersion"], item["kind"]) for item in items) == [
        ("apiextensions.crossplane.io/v1", "Composition"),
        ("apiextensions.crossplane.io/v1", "Composition"),
        ("apiextensions.crossplane.io/v2", "CompositeResourceDefinition"),
        ("apiextensions.crossplane.io/v2", "CompositeResourceDefinition"),
        (_META, "Configuration"),
    ]
    named = {(item["kind"], item["metadata"]["name"]): item for item in items}
    for path in shipped.XRDS:
        whole = shipped.one(path)
        assert named[whole["kind"], whole["metadata"]["name"]]["spec"] == whole["spec"]
    (configuration,) = [item for item in items if item["kind"] == "Configuration"]
    (dependency,) = configuration["spec"]["dependsOn"]
    assert dependency == {
        "apiVersion": "pkg.crossplane.io/v1",
        "kind": "Function",
        "package": f"{loopback.host}/org/function-inference-service",
        "version": ">=v1.2.3",
    }
    for path in shipped.COMPOSITIONS:
        whole = shipped.one(path)
        (step,) = named[whole["kind"], whole["metadata"]["name"]]["spec"]["pipeline"]
        assert step["functionRef"] == {"name": "org-function-inference-service"}
        assert step["input"]["preload"] == {"image": release.preload}
        assert step["requirements"] == whole["spec"]["pipeline"][0]["requirements"]


@pytest.mark.parametrize("architecture", image.ARCHITECTURES)
def test_the_function_holds_one_meta_object_and_its_input(
    loopback: registry.Registry,
    release: package.Release,
    pushed: dict[str, str],
    architecture: str,
    tmp_path: pathlib.Path,
) -> None:
    """And the runtime of the architecture: not root, our entry point."""
    del pushed
    reference = _images(loopback, release.reference(package.FUNCTION))[architecture]
    items = _documents(loopback, reference, tmp_path)
    assert sorted((item["apiVersion"], item["kind"]) for item in items) == [
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
        (_META, "Function"),
    ]
    _assert_runs_as(loopback, reference, "function", architecture)


def _assert_runs_as(
    loopback: registry.Registry, reference: str, target: str, architecture: str
) -> None:
    """Assert that an image says how its program is run, and no more."""
    config = _config(loopback, reference)
    assert (config["os"], config["architecture"]) == ("linux", architecture)
    assert containers.parse(config) == _RUNS_AS[target]


def _pushed_image(loopback: registry.Registry, target: str, architecture: str) -> str:
    """Push an image by itself, and return its reference."""
    reference = loopback.reference(f"content/{target}", f"v1.0.0-{architecture}")
    loopback.crane("push", image.cached(target, architecture), reference)
    return reference


@pytest.mark.parametrize("target", image.TARGETS)
@pytest.mark.parametrize("architecture", image.ARCHITECTURES)
def test_an_image_holds_programs_of_its_architecture_alone(
    loopback: registry.Registry, target: str, architecture: str, tmp_path: pathlib.Path
) -> None:
    """Its ELF files say which; there is nothing to run but Python, and nothing writable."""
    reference = _pushed_image(loopback, target, architecture)
    _assert_runs_as(loopback, reference, target, architecture)
    exported = tmp_path / "image.tar"
    loopback.crane("export", reference, exported)
    machines = set()
    names = set()
    with tarfile.open(exported) as archive:
        for member in archive:
            names.add(pathlib.PurePosixPath(member.name))
            if not member.issym() and member.name != "tmp":
                assert (member.uid, member.mode & 0o7022) == (0, 0), member.name
            content = archive.extractfile(member) if member.isfile() else None
            if content is not None and content.read(4) == b"\x7fELF":
                content.seek(_ELF_MACHINE)
                machines.add(int.from_bytes(content.read(2), "little"))
    assert machines == {_MACHINES[architecture]}
    programs = {path.name for path in names if str(path.parent) == "usr/bin"}
    interpreter = {"python3", "python3.13"}
    own = {"function": {"function"}, "preload": {"preload", "export-evals", "judge-canary"}}
    assert programs == interpreter | own[target]


def test_the_preload_image_runs_its_program(
    loopback: registry.Registry, tmp_path: pathlib.Path
) -> None:
    """By its own entry point, as its own user, over a read-only root without a volume."""
    reference = _pushed_image(loopback, "preload", image.native())
    unpacked = containers.Container(loopback, reference, tmp_path / "root")
    valid = {"modelsDirectory": "/models", "user": "llm/qwen", "remove": ["base-0"]}
    for plan, code in (
        ("{", exits.Exit.PLAN_INVALID),
        (json.dumps(valid), exits.Exit.VOLUME_UNUSABLE),
    ):
        given = {"PRELOAD_PLAN": plan, "TERMINATION_LOG": "/dev/null"}
        done = subprocess.run(
            unpacked.command(given), capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert json.loads(done.stdout)["reason"] == code.reason


def test_the_preload_image_runs_the_program_beside_promptfoo(
    loopback: registry.Registry, tmp_path: pathlib.Path
) -> None:
    """By the command that an evaluation's pod has."""
    (container,) = test_evals.pod("steady")["containers"]
    reference = _pushed_image(loopback, "preload", image.native())
    unpacked = containers.Container(loopback, reference, tmp_path / "root")
    unpacked.image = dataclasses.replace(unpacked.image, command=container["command"])
    given = {one["name"]: one["value"] for one in container["env"]}
    done = subprocess.run(
        unpacked.command(given), capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr == "/results/results.json: No such file or directory\n"


def test_sizes(
    loopback: registry.Registry, release: package.Release, pushed: dict[str, str]
) -> None:
    """The function is pulled by every cluster: under 60 MiB compressed."""
    del pushed
    for reference in _images(loopback, release.reference(package.FUNCTION)).values():
        manifest = _manifest(loopback, reference)
        assert sum(layer["size"] for layer in manifest["layers"]) < 60 * 2**20


def test_the_preload_image_is_small(loopback: registry.Registry) -> None:
    """A node that runs a Job pulls it first: 24 MiB compressed at most."""
    manifest = _manifest(loopback, _pushed_image(loopback, "preload", image.native()))
    assert sum(layer["size"] for layer in manifest["layers"]) <= 24 * 2**20


def test_the_release_describes_each_image(
    loopback: registry.Registry, release: package.Release, pushed: dict[str, str]
) -> None:
    """By digest, one for each architecture; the Configuration holds no software."""
    references = [f"{name}@{digest}" for name, digest in pushed.items()]
    images = describe.images(references)
    assert set(images) == {f"{package.FUNCTION}-{name}" for name in image.ARCHITECTURES}
    for name, reference in images.items():
        config = _config(loopback, reference)
        assert name.endswith(f"-{config['architecture']}")
    digests = describe.outputs(references)
    assert digests["function_digest"] == pushed[release.reference(package.FUNCTION)]


def test_the_same_files_give_the_same_digests(
    release: package.Release,
    pushed: dict[str, str],
    runtimes: dict[str, pathlib.Path],
    tmp_path: pathlib.Path,
) -> None:
    """In another directory, at another time."""
    built = package.make(release, runtimes, tmp_path)
    assert package.push(release, built) == pushed


def test_one_commit_gives_one_image(loopback: registry.Registry, tmp_path: pathlib.Path) -> None:
    """Built once more from nothing, an image has the digest of the one that is there."""
    again = tmp_path / "again.tar"
    image.build("preload", again, architecture=image.native(), from_scratch=True)
    reference = loopback.reference("built", "v1.0.0")
    loopback.crane("push", again, reference)
    there = _pushed_image(loopback, "preload", image.native())
    assert loopback.crane("digest", reference) == loopback.crane("digest", there)


def test_the_preload_image_is_pushed_once_for_each_version(
    loopback: registry.Registry, tmp_path: pathlib.Path
) -> None:
    """By digest, whatever else is released: another one would run every preload Job again."""
    release = package.Release(f"{loopback.host}/preload", "v1.0.0")
    images = {name: image.cached("preload", name) for name in image.ARCHITECTURES}
    first, new = package.push_preload(release, images)
    assert new
    tag, _, digest = first.partition("@")
    assert (
        tag == f"{loopback.host}/preload/function-inference-service-preload:v{preload.__version__}"
    )
    assert set(_images(loopback, tag)) == set(image.ARCHITECTURES)
    other = {"amd64": image.cached("function", "amd64")}
    assert package.push_preload(release, other) == (first, False)
    assert loopback.crane("digest", tag) == digest
    files = package.configuration(dataclasses.replace(release, preload_image=first))
    compositions = [item for item in files.values() if item["kind"] == "Composition"]
    assert [item["spec"]["pipeline"][0]["input"]["preload"] for item in compositions] == [
        {"image": first}
    ] * len(shipped.COMPOSITIONS)


def test_a_registry_that_does_not_answer_is_not_an_absent_image() -> None:
    """Pushing again over what may be there would change it."""
    (port,) = process.free_ports(1)
    release = package.Release(f"127.0.0.1:{port}/org", "v1.0.0")
    with pytest.raises(package.PackageError, match="connection refused"):
        package.push_preload(release, {})


@pytest.mark.decision(29)
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


def test_the_command_says_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 1 and a message, as for `make package` without a target."""
    assert package.main(["--target", ""]) == 1
    assert "is not a registry and a path" in capsys.readouterr().err
