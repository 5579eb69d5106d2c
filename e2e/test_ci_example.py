"""The CI job of the examples, run as it stands."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest
import yaml

from e2e import commands, guide, shipped
from e2e.controlplane import api, crossplane, process, toolchain
from tests import crds

SCRIPT = shipped.ROOT / "examples" / "ci" / "render-claims.sh"
WORKFLOW = SCRIPT.with_name("claims.yaml")


@pytest.fixture
def path(tmp_path: pathlib.Path) -> str:
    """A PATH on which the command line has its usual name, and the function is installed."""
    programs = tmp_path / "bin"
    programs.mkdir()
    cli = toolchain.program(commands.GROUP, "crossplane-cli")
    (programs / "crossplane").symlink_to(cli)
    # Not resolved: the interpreter of a virtual environment is a link to another one.
    venv = pathlib.Path(sys.executable).parent
    return os.pathsep.join([str(programs), str(venv), os.environ.get("PATH", os.defpath)])


@pytest.fixture
def schemas(tmp_path: pathlib.Path) -> pathlib.Path:
    """A directory that holds all upstream CRDs, without subdirectories."""
    place = tmp_path / "schemas"
    place.mkdir()
    for crd in crds.directory().rglob("*.yaml"):
        (place / crd.name).write_bytes(crd.read_bytes())
    return place


def _environment(path: str) -> dict[str, str]:
    """Of a machine without Docker, on which the function's usual port may be taken."""
    (port,) = process.free_ports(1)
    core = toolchain.program(f"crossplane-{crossplane.VERSIONS[-1]}", "crossplane")
    return {
        "PATH": path,
        "HOME": os.environ.get("HOME", "/"),
        "CROSSPLANE_BINARY": str(core),
        "FUNCTION_ADDRESS": f"127.0.0.1:{port}",
    }


def _run(path: str, *arguments: str | pathlib.Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(SCRIPT), *map(str, arguments)],
        env=_environment(path),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_claims_of_a_repository_are_rendered_and_valid(
    path: str, schemas: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """Every example becomes a file with its objects, and each object has a schema."""
    output = tmp_path / "rendered"
    environment = shipped.environment("reference")
    done = _run(path, shipped.CLAIMS[0].parent, environment, output, schemas)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(item.name for item in output.iterdir()) == [p.name for p in shipped.CLAIMS]
    for rendered in output.iterdir():
        kinds = {item["kind"] for item in api.load(rendered)}
        assert {shipped.KIND, "Service", "CiliumNetworkPolicy"} <= kinds


def test_the_commands_of_the_readme(
    path: str, schemas: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """As they stand, but for stand-ins of those that fetch: they are what the workflow runs too."""
    (block,) = [
        block.text
        for block in guide.blocks(shipped.ROOT / "README.md")
        if block.language == "shell" and SCRIPT.name in block.text
    ]
    programs = pathlib.Path(path.partition(os.pathsep)[0])
    _stand_in(programs / "git", f'ln -s "{shipped.ROOT}" "$6"')
    for name in ("pip", "go"):
        _stand_in(programs / name, ":")
    (tmp_path / "claims").mkdir()
    commands.write(tmp_path / "claims" / "mine.yaml", [shipped.one(shipped.CLAIMS[0])])
    settings = shipped.environment("reference").read_bytes()
    (tmp_path / "environmentconfig.yaml").write_bytes(settings)
    done = subprocess.run(
        ["sh", "-eux", "-c", block],
        cwd=tmp_path,
        env=_environment(path) | {"VERSION": "v9.9.9"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rendered = api.load(tmp_path / "rendered" / "mine.yaml")
    assert {shipped.KIND, "CiliumNetworkPolicy"} <= {item["kind"] for item in rendered}


def _stand_in(program: pathlib.Path, script: str) -> None:
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_a_mistake_fails_the_job(path: str, tmp_path: pathlib.Path) -> None:
    """With the rule's words, and the other claims are rendered all the same."""
    claims = tmp_path / "claims"
    claims.mkdir()
    good = shipped.one(shipped.CLAIMS[0])
    bad = good | {"spec": good["spec"] | {"engineArgs": ["--port=1"]}}
    commands.write(claims / "a-bad.yaml", [bad])
    commands.write(claims / "b-good.yaml", [good])
    output = tmp_path / "rendered"
    done = _run(path, claims, shipped.environment("plain"), output)
    assert done.returncode == 1
    assert "managed flags are" in done.stdout + done.stderr
    assert [item.name for item in output.iterdir()] == ["b-good.yaml"]


def test_missing_settings_fail_the_job(path: str, tmp_path: pathlib.Path) -> None:
    """An EnvironmentConfig without the label is none."""
    config = shipped.one(shipped.environment("plain"))
    del config["metadata"]["labels"]
    environment = commands.write(tmp_path / "environment.yaml", [config])
    done = _run(path, shipped.CLAIMS[0].parent, environment, tmp_path / "rendered")
    assert done.returncode == 1
    assert "no EnvironmentConfig with label" in done.stderr


def test_the_workflow_runs_the_script() -> None:
    """With the newest core that is tested, and the command line that tests it."""
    workflow = yaml.safe_load(WORKFLOW.read_text())
    assert workflow["env"]["CROSSPLANE_VERSION"].startswith(f"v{crossplane.VERSIONS[-1]}.")
    steps = "\n".join(step.get("run", "") for step in workflow["jobs"]["render"]["steps"])
    assert "examples/ci/render-claims.sh" in steps
    pinned = (shipped.ROOT / "tools" / commands.GROUP / "go.mod").read_text()
    assert "github.com/crossplane/cli/v2 v2.5.0" in pinned
    assert "github.com/crossplane/cli/v2/cmd/crossplane@v2.5.0" in steps
