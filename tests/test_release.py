"""A release: one version, one change log, and a workflow whose steps exist."""

import pathlib
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

import function
import preload
from e2e.controlplane import crossplane
from function.api import settings_weights
from tests import cluster
from tools import build, groups, image, package, release

ROOT = cluster.ROOT
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yaml"))
LOG = """# Changelog

## [1.1.0] - unreleased

## [1.0.0] - 2026-12-01

First. See [migration](docs/migration.md#how), [here](https://example.org).

### Added

- All.

## [0.9.0] - 2025-01-01

Old.
"""


def test_the_text_of_a_version() -> None:
    text, date = release.section("1.0.0", LOG)
    assert date == "2026-12-01"
    assert text.startswith("First.")
    assert text.endswith("- All.\n")


@pytest.mark.parametrize(
    ("version", "message"),
    [("2.0.0", "has no section"), ("1.1.0", "says nothing"), ("1x0.0", "has no section")],
)
def test_a_version_without_text(version: str, message: str) -> None:
    with pytest.raises(release.ReleaseError, match=message):
        release.section(version, LOG)


def test_a_tag_must_be_the_version_of_the_tree() -> None:
    dated = f"## [{function.__version__}] - 2026-12-01\n\nText.\n"
    release.check(f"v{function.__version__}", dated)
    with pytest.raises(release.ReleaseError, match="is not the version"):
        release.check("v0.0.9", dated)
    with pytest.raises(release.ReleaseError, match="no date"):
        release.check(f"v{function.__version__}", dated.replace("2026-12-01", "unreleased"))


def _committed(root: pathlib.Path, version: str, program: str) -> None:
    (root / "preload").mkdir(exist_ok=True)
    (root / "preload/__init__.py").write_text(f'__version__ = "{version}"\n', encoding="utf-8")
    (root / "preload/program.py").write_text(program, encoding="utf-8")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--allow-empty", "--message", "x")


def git(root: pathlib.Path, *arguments: str) -> None:
    names = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", root, *names, *arguments], check=True, capture_output=True)


def test_a_changed_preload_program_needs_a_version_of_its_own(tmp_path: pathlib.Path) -> None:
    """The release pushes the image once for each version, so the change would not be released."""
    git(tmp_path, "init", "--quiet")
    _committed(tmp_path, preload.__version__, "one")
    git(tmp_path, "tag", "v1.0.0")
    release.check_preload("v1.0.0", tmp_path)
    release.check_preload("v1.1.0", tmp_path)
    _committed(tmp_path, preload.__version__, "two")
    with pytest.raises(release.ReleaseError, match=r"v1\.0\.0.*preload/program\.py.*raise"):
        release.check_preload("v1.1.0", tmp_path)
    # An earlier release had another version, or no program at all.
    git(tmp_path, "tag", "--delete", "v1.0.0")
    _committed(tmp_path, "0.0.1", "three")
    git(tmp_path, "tag", "v0.9.1")
    git(tmp_path, "rm", "--quiet", "-r", "preload")
    git(tmp_path, "commit", "--quiet", "--message", "x")
    git(tmp_path, "tag", "v0.9.0")
    release.check_preload("v1.1.0", tmp_path)


def test_the_change_log_has_the_version() -> None:
    release.section(function.__version__, release.CHANGELOG.read_text())


def test_notes_have_absolute_links_and_the_packages() -> None:
    text = release.notes("v1.0.0", LOG, ["a/b:v1@sha256:1", "a/c:v1@sha256:2"])
    source = "https://github.com/Smana/function-inference-service/blob/v1.0.0"
    assert f"[migration]({source}/docs/migration.md#how), [here](https://example.org)" in text
    assert text.endswith("```text\na/b:v1@sha256:1\na/c:v1@sha256:2\n```\n")
    assert release.notes("v1.0.0", LOG, []) == release.notes("v1.0.0", LOG, ())


def test_outputs_of_a_step() -> None:
    target = "127.0.0.1:5000/org"
    references = [
        f"{target}/{package.FUNCTION}:v1.0.0@sha256:1",
        f"{target}/{package.PRELOAD}:v2.0.0@sha256:2",
    ]
    assert release.outputs(references) == {
        "function_name": f"{target}/{package.FUNCTION}",
        "function_digest": "sha256:1",
        "preload_name": f"{target}/{package.PRELOAD}",
        "preload_digest": "sha256:2",
    }


# --- one version


def shipped() -> Iterator[pathlib.Path]:
    """Yields the files in which somebody could read a version of the product."""
    for name in ("Makefile", "Dockerfile", "README.md", "pyproject.toml", "crossplane.yaml"):
        yield ROOT / name
    rooms = ("compositions", "docs", "examples", "function", "package", "tools", "xrd", ".github")
    for room in rooms:
        for path in sorted((ROOT / room).rglob("*")):
            if path.suffix in {".py", ".yaml", ".md", ".sh"}:
                yield path


def test_the_version_lives_in_one_place() -> None:
    # The preload program has its own version in its own file. Some files name its image.
    image_of_preload = re.compile(rf"preload:v{re.escape(preload.__version__)}\b")
    spelled = re.compile(rf"(?<![\d.]){re.escape(function.__version__)}(?![\d.]*\d)")
    files = [
        str(path.relative_to(ROOT))
        for path in shipped()
        if spelled.search(image_of_preload.sub("", path.read_text()))
    ]
    assert files == ["function/__init__.py"]


def test_the_version_is_that_of_the_newest_section_of_the_change_log() -> None:
    """What `--version` prints is what the next release is called."""
    newest = re.search(r"^## \[(\S+)\]", release.CHANGELOG.read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == function.__version__


def test_the_version_of_the_preload_program() -> None:
    """The default in the settings names the current version, and no example names a version."""
    version = f":v{preload.__version__}"
    assert settings_weights.Preload().image.endswith(version)
    for profile in ("reference", "plain"):
        site = cluster.environment(profile)["data"]["inferenceService"]
        assert "image" not in site.get("preload", {})
    default = package.Release("registry.example.com/org", "v9.9.9").preload
    assert default == f"registry.example.com/org/{package.PRELOAD}{version}"


def test_the_sources_of_the_packages_hold_no_version() -> None:
    """The version of the built packages depends on the tag alone."""
    (dependency,) = cluster.load("crossplane.yaml")["spec"]["dependsOn"]
    assert dependency["version"] == ">=v0.0.0"
    built = package.configuration(package.Release("registry.example.com/org", "v7.8.9"))
    (dependency,) = built["crossplane.yaml"]["spec"]["dependsOn"]
    assert dependency["version"] == ">=v7.8.9"


# --- the workflow


def workflow() -> Any:
    return cluster.load(".github/workflows/release.yaml")


def commands() -> str:
    """Returns every command of the release workflow."""
    jobs = workflow()["jobs"].values()
    return "\n".join(step.get("run", "") for job in jobs for step in job["steps"])


def test_a_release_starts_with_a_tag_and_its_tests() -> None:
    # PyYAML reads the key `on` as a boolean.
    assert workflow()[True] == {"push": {"tags": ["v[0-9]+.[0-9]+.[0-9]+"]}}
    jobs = workflow()["jobs"]
    assert jobs["publish"]["needs"] == "test"
    tested = "\n".join(step.get("run", "") for step in jobs["test"]["steps"])
    for command in ('tools/release.py check "$GITHUB_REF_NAME"', "make test", "make e2e"):
        assert command in tested


def test_the_release_is_signed_and_described() -> None:
    text = commands()
    for command in ("make publish", "cosign sign", "cosign attest", "gh release create"):
        assert command in text
    used = [step.get("uses", "") for step in workflow()["jobs"]["publish"]["steps"]]
    assert sum(name.startswith("actions/attest-build-provenance@") for name in used) == 3
    assert workflow()["permissions"] == {"contents": "read"}
    assert workflow()["jobs"]["publish"]["permissions"]["id-token"] == "write"


def test_the_workflow_calls_what_exists() -> None:
    targets = set(re.findall(r"^([a-z0-9]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"make ([a-z0-9]+)", commands())) <= targets
    called = re.findall(r"tools/release\.py (\w+)", commands())
    assert set(called) == {"check", "notes", "outputs", "images"}
    for command in called:
        with pytest.raises(SystemExit) as ended:
            release.main([command, "--help"])
        assert ended.value.code == 0


USING = (
    *WORKFLOWS,
    ROOT / "action.yml",
    *sorted((ROOT / "examples/ci").glob("*.yaml")),
    *(
        page
        for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"))
        if "uses: " in page.read_text()
    ),
)


@pytest.mark.parametrize("path", USING, ids=lambda path: str(path.relative_to(ROOT)))
def test_actions_are_pinned_by_commit(path: pathlib.Path) -> None:
    """A tag can be moved, so each action has a commit and the tag in a comment.

    One of a directory is of the commit that was checked out.
    """
    uses = re.findall(r"uses: (?!\./)(.*)$", path.read_text(), re.M)
    assert uses
    for used in uses:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", used), used


def _steps() -> Iterator[list[dict[str, Any]]]:
    """Yields the steps of each job of the workflows."""
    for path in WORKFLOWS:
        for job in cluster.load(str(path.relative_to(ROOT)))["jobs"].values():
            yield job["steps"]


def test_the_tools_cache_is_keyed_by_what_they_are_built_from() -> None:
    """With another key a hit could hold old programs, and the new ones would not be saved."""
    keys = {
        step["with"]["key"]
        for steps in _steps()
        for step in steps
        if step.get("with", {}).get("key", "").startswith("tools-")
    }
    (key,) = keys
    hashed = {path for pattern in re.findall(r"'([^']+)'", key) for path in ROOT.glob(pattern)}
    read = {path for item in groups.GROUPS for path in build.sources(item)}
    recipes = {ROOT / "tools/build.py", ROOT / "tools/groups.py", ROOT / "tests/crds.lock.json"}
    assert read | recipes <= hashed


def test_the_tools_are_saved_before_anything_can_fail() -> None:
    """Without an early save a failed suite would lose the longest part of the run."""
    suites = 0
    for steps in _steps():
        ran = [step.get("run", "") for step in steps]
        at = [index for index, command in enumerate(ran) if "make e2e" in command]
        if not at:
            continue
        suites += 1
        built = ran.index("make tools")
        assert built < at[0]
        assert steps[built + 1]["uses"].startswith("actions/cache/save@")
        (path,) = {step["with"]["path"] for step in steps if "cache/" in step.get("uses", "")}
        assert "inference-service/tools" in path
    assert suites == len(WORKFLOWS)


def test_a_release_is_tested_on_what_ci_is() -> None:
    """Both workflows test on both ends of the supported range of Crossplane."""
    for name, job in (("ci", "e2e"), ("release", "test")):
        definition = cluster.load(f".github/workflows/{name}.yaml")["jobs"][job]
        assert definition["strategy"]["matrix"]["crossplane"] == list(crossplane.VERSIONS)
        (step,) = [step for step in definition["steps"] if "make e2e" in step.get("run", "")]
        assert step["env"]["CROSSPLANE"] == "${{ matrix.crossplane }}"


def test_outputs_that_are_used_are_made() -> None:
    text = (ROOT / ".github/workflows/release.yaml").read_text()
    used = set(re.findall(r"steps\.pushed\.outputs\.(\w+)", text))
    names = (package.FUNCTION, package.CONFIGURATION, package.PRELOAD)
    assert used == set(release.outputs([f"ghcr.io/o/{name}:v1@sha256:0" for name in names]))


def test_both_architectures_are_built_by_default() -> None:
    default = re.search(r"^ARCHITECTURES \?= (.*)$", (ROOT / "Makefile").read_text(), re.M)
    assert default is not None
    assert tuple(default[1].split(",")) == image.ARCHITECTURES


def test_docker_builds_with_a_builder_that_saves_tarballs(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Docker's default builder saves no tarball. A fake `docker` records its arguments."""
    noted = tmp_path / "noted"
    docker = tmp_path / "docker"
    docker.write_text(f'#!/bin/sh\necho "$*" >> {noted}\n[ "$2" != inspect ]\n')
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    image.build("preload", tmp_path / "image.tar", architecture="arm64")
    asked = noted.read_text().splitlines()
    assert [line.split()[:2] for line in asked] == [
        ["info"],
        ["buildx", "inspect"],
        ["buildx", "create"],
        ["buildx", "build"],
    ]
    assert "--driver=docker-container" in asked[2]
    for option in (
        "--builder=inference-service",
        "--target=preload",
        "--platform=linux/arm64",
        f"--build-arg=SOURCE_DATE_EPOCH={image.EPOCH}",
        f"type=docker,dest={tmp_path}/image.tar,rewrite-timestamp=true",
    ):
        assert option in asked[3]
