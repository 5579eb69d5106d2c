"""The GitHub action and the pre-commit hook: what they say exists, and their commands run."""

import os
import pathlib
import shlex
import subprocess
from typing import Any

import pytest
import yaml

from function.cli import main
from tests import cluster
from tests.cli import command
from tests.resources import scene

ACTION: Any = cluster.load("action.yml")
WORKFLOW: Any = cluster.load("examples/ci/check-claims.yaml")


def _step(name: str) -> Any:
    (step,) = (step for step in ACTION["runs"]["steps"] if step.get("name") == name)
    return step


def _run(directory: pathlib.Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    """Runs the step that checks, as a runner does, with the command line of this tree."""
    installed = directory / "runner/inference-service/bin"
    installed.mkdir(parents=True)
    (installed / "inference-service").symlink_to(command.SCRIPT)
    step = _step("Check")
    given = {
        name: inputs.get(value.split(".")[1].strip(" }"), "") for name, value in step["env"].items()
    }
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        cwd=directory,
        env={**os.environ, "RUNNER_TEMP": str(directory / "runner"), **given},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_action_checks_files_and_directories(tmp_path: pathlib.Path) -> None:
    """Names with spaces and commas, a directory, and an EnvironmentConfig with an empty line."""
    (tmp_path / "more").mkdir()
    wrong = scene.of(name="wrong", model={"repository": "Qwen/Qwen3-8B", "dtype": "half!"})
    command.write(tmp_path / "a claim, wrong.yaml", wrong)
    command.write(tmp_path / "more/right.yaml", scene.of(name="right"))
    environment = f"{command.REFERENCE}\n"
    done = _run(tmp_path, claims="a claim, wrong.yaml\nmore\n", environment=environment)
    assert (done.returncode, done.stderr) == (1, "")
    error, note = done.stdout.splitlines()
    assert error.startswith("::error file=a claim%2C wrong.yaml,line=2,title=claim-invalid::")
    assert note.startswith("::notice file=more/right.yaml,line=2,title=model-unknown::")


def test_the_action_takes_patterns_and_blanks_at_the_ends(tmp_path: pathlib.Path) -> None:
    wrong = scene.of(model={"repository": "Qwen/Qwen3-8B", "dtype": "half!"})
    (tmp_path / "deep er/in").mkdir(parents=True)
    command.write(tmp_path / "deep er/in/a.yaml", wrong)
    command.write(tmp_path / "b [1].yaml", wrong)
    given = "  b [1].yaml \n**/in/*.yaml\t\n"
    done = _run(tmp_path, claims=given, environment=f"{command.REFERENCE}  ")
    assert (done.returncode, done.stderr) == (1, "")
    assert [line.split(",")[0] for line in done.stdout.splitlines() if "invalid" in line] == [
        "::error file=b [1].yaml",
        "::error file=deep er/in/a.yaml",
    ]
    none = _run(tmp_path / "deep er", claims="no/*.yaml")
    assert (none.returncode, "no/*.yaml" in none.stdout) == (2, True)


@pytest.mark.parametrize(
    ("strict", "code"), [("false", 0), ("true", 1), ("True", 1), ("", 0), ("yes", 2)]
)
def test_the_action_is_strict_where_it_is_asked(
    tmp_path: pathlib.Path, strict: str, code: int
) -> None:
    model = {"repository": "Qwen/Qwen3-8B", "toolCallParser": "mistral"}
    command.write(tmp_path / "claim.yaml", scene.of(model=model))
    assert _run(tmp_path, claims="claim.yaml", strict=strict).returncode == code


def test_the_action_reads_no_input_inside_of_a_command() -> None:
    """A name of a file that a pull request brings would be a command."""
    for step in ACTION["runs"]["steps"]:
        assert "${{" not in step.get("run", "")
        for value in step.get("env", {}).values():
            assert value.removeprefix("${{ inputs.").removesuffix(" }}") in ACTION["inputs"]


def test_the_action_installs_what_is_pinned() -> None:
    script = _step("Install")["run"]
    assert '"$source/requirements/runtime.txt"' in script
    assert "--require-hashes" in script
    assert (cluster.ROOT / "requirements/runtime.txt").exists()
    subprocess.run(["bash", "-n", "-c", script], check=True)


def test_the_workflow_gives_the_action_inputs_that_it_has() -> None:
    (job,) = WORKFLOW["jobs"].values()
    checkout, product, check = job["steps"]
    assert checkout["uses"] == product["uses"]
    assert check["uses"] == f"./{product['with']['path']}"
    required = {name for name, one in ACTION["inputs"].items() if one.get("required")}
    assert required <= check["with"].keys() <= ACTION["inputs"].keys()
    assert WORKFLOW["permissions"] == {"contents": "read"}


def test_the_hook_calls_the_command(tmp_path: pathlib.Path) -> None:
    (hook,) = yaml.safe_load((cluster.ROOT / ".pre-commit-hooks.yaml").read_text())
    script, verb = shlex.split(hook["entry"])
    assert (script, hook["language"]) == (command.SCRIPT.name, "python")
    assert verb in main.VERBS
    claims = command.write(tmp_path / "claims.yaml", scene.of(model={"dtype": "half!"}))
    assert command.script(verb, claims, "--environment", command.REFERENCE).returncode == 1
