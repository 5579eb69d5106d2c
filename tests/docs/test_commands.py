"""What a page shows of the command line is what it prints."""

import json
import pathlib
import re
import shlex
import subprocess
from collections.abc import Iterator

import click
import pytest
import yaml
from click import testing

from function.cli import hub, main
from tests import cluster
from tests.capacity import configurations
from tests.cli import checks, test_check_outputs, test_plan_outputs
from tests.docs import pages

PAGE = cluster.ROOT / "docs/command-line.md"


def shown() -> Iterator[tuple[str, str]]:
    """Yields each command of a console block with what the page says that it prints."""
    for language, text in pages.blocks(PAGE):
        if language == "console":
            line, _, output = text.partition("\n")
            yield line.removeprefix("$ "), output


@pytest.mark.parametrize(("line", "output"), [pytest.param(*one, id=one[0]) for one in shown()])
def test_a_command_prints_what_the_page_shows(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, line: str, output: str
) -> None:
    """In a directory with the examples, and with each snippet that is named after a file."""
    (tmp_path / "examples").symlink_to(cluster.ROOT / "examples")
    for language, text in pages.blocks(PAGE):
        name = re.match(r"# ([\w-]+\.yaml)\n", text)
        if language == "yaml" and name is not None:
            (tmp_path / name[1]).write_text(text)
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.chdir(tmp_path)
    script, *words = shlex.split(line)
    assert script == "inference-service"
    result = testing.CliRunner().invoke(main.main, words)
    assert (result.stdout, result.stderr) == (output, "")


VERBS = ("check", "clients", "explain", "facts", "init", "migrate", "plan", "reach", "render")


def commands() -> list[str]:
    """Returns the commands of the page's shell blocks, without pipes, redirections and comments."""
    lines = (line.partition("#")[0].strip() for line in pages.shell_lines(PAGE))
    lines = (line.removeprefix("$ ").rpartition(" | ")[2].partition(" > ")[0] for line in lines)
    return [
        line for line in lines if line.startswith(tuple(f"inference-service {v}" for v in VERBS))
    ]


# The page shows a claim with errors, one with a needed flow that is closed, and one of 0.9.0.
EXITS = {
    "check coder.yaml --environment examples/reference/environmentconfig.yaml": 1,
    "reach support.yaml --environment examples/reference/environmentconfig.yaml": 1,
    "migrate claims/ -e environmentconfig.yaml --check": 3,
}


@pytest.fixture
def directory(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A directory with all that the commands name: a git repository whose branch is main."""
    (tmp_path / "examples").symlink_to(cluster.ROOT / "examples")
    reference = cluster.ROOT / "examples/reference/environmentconfig.yaml"
    (tmp_path / "environmentconfig.yaml").write_text(reference.read_text())
    smallest = cluster.load("examples/claims/smallest.yaml")
    former = smallest | {"spec": smallest["spec"] | {"scaling": {"queueLengthThreshold": 4}}}
    (tmp_path / "claims").mkdir()
    (tmp_path / "model").mkdir()
    for name, document in (
        ("claim.yaml", smallest),
        ("claims/former.yaml", former),
        ("observed.yaml", {"apiVersion": "v1", "kind": "List", "items": [former]}),
        ("model/config.json", configurations.QWEN3_8B),
    ):
        (tmp_path / name).write_text(
            yaml.safe_dump(document) if "yaml" in name else json.dumps(document)
        )
    for language, text in pages.blocks(PAGE):
        named = re.match(r"# ([\w-]+\.yaml)\n", text)
        if language == "yaml" and named is not None:
            (tmp_path / named[1]).write_text(text)
    who = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
    for words in (["init", "-q", "-b", "main"], ["add", "claims"], [*who, "commit", "-qm", "a"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    # What a hub without a network answers.
    answers = {
        "org/model/resolve/main/config.json": configurations.QWEN3_8B,
        "api/models/Qwen/Qwen3-Coder-30B-A3B-Instruct/revision/main": {"sha": "b9" * 20},
    }
    monkeypatch.setattr(hub, "_get", answers.get)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_verb_has_commands_on_the_page() -> None:
    assert {line.split()[1] for line in commands()} == set(VERBS)


@pytest.mark.parametrize("line", commands())
def test_a_command_of_the_page_runs(directory: pathlib.Path, line: str) -> None:
    words = shlex.split(line)[1:]
    given = None
    if "--from-crossplane-diff" in words:
        claim = yaml.safe_load((directory / "claim.yaml").read_text())
        given = test_plan_outputs.crossplane_diff(claim, claim)
    result = testing.CliRunner().invoke(main.main, words, input=given)
    assert result.exit_code == EXITS.get(" ".join(words), 0), result.output
    if "json" in words or "verdict-json" in words:
        assert isinstance(json.loads(result.stdout), dict)


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("check",), "Check"),
        (("plan",), "Plan"),
        (("reach",), "Reach"),
        (("render",), "List"),
        (("migrate",), "List"),
    ],
)
def test_a_verb_about_claims_has_json(
    directory: pathlib.Path, words: tuple[str, ...], kind: str
) -> None:
    arguments = [*words, "claims/", "-e", "environmentconfig.yaml", "-o", "json"]
    result = testing.CliRunner().invoke(main.main, arguments)
    document = json.loads(result.stdout)
    assert (result.exit_code, document["kind"]) == (0, kind)
    assert document.get("exitCode", 0) == 0


def test_the_page_has_every_option_format_and_field_of_check() -> None:
    text = pages.section(PAGE, "Check")
    for parameter in main.main.verb("check").params:
        if isinstance(parameter, click.Option):
            assert set(parameter.opts) <= set(re.findall(r"--?[\w-]+", text)), parameter.opts
        if parameter.name == "output" and isinstance(parameter.type, click.Choice):
            assert set(parameter.type.choices) <= set(pages.first_cells(text))
    document = checks.as_json("-", given=test_check_outputs.SMALL)
    fields = {*document, *document["findings"][0]} - {"apiVersion", "kind"}
    assert fields <= set(re.findall(r"`(\w+)`", text))
