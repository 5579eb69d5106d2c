"""What a page shows of the command line is what it prints."""

import pathlib
import re
import shlex
from collections.abc import Iterator

import click
import pytest
from click import testing

from function.cli import main
from tests import cluster
from tests.cli import test_check
from tests.docs import test_docs

PAGE = cluster.ROOT / "docs/command-line.md"


def shown() -> Iterator[tuple[str, str]]:
    """Yields each command of a console block with what the page says that it prints."""
    for language, text in test_docs.blocks(PAGE):
        if language == "console":
            line, _, output = text.partition("\n")
            yield line.removeprefix("$ "), output


@pytest.mark.parametrize(("line", "output"), [pytest.param(*one, id=one[0]) for one in shown()])
def test_a_command_prints_what_the_page_shows(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, line: str, output: str
) -> None:
    """In a directory with the examples, and with each snippet that is named after a file."""
    (tmp_path / "examples").symlink_to(cluster.ROOT / "examples")
    for language, text in test_docs.blocks(PAGE):
        name = re.match(r"# ([\w-]+\.yaml)\n", text)
        if language == "yaml" and name is not None:
            (tmp_path / name[1]).write_text(text)
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.chdir(tmp_path)
    script, *words = shlex.split(line)
    assert script == "inference-service"
    result = testing.CliRunner().invoke(main.main, words)
    assert (result.stdout, result.stderr) == (output, "")


def test_the_page_has_every_option_format_and_field_of_check() -> None:
    text = test_docs.section(PAGE, "Check")
    for parameter in main.main.commands["check"].params:
        if isinstance(parameter, click.Option):
            assert set(parameter.opts) <= set(re.findall(r"--?[\w-]+", text)), parameter.opts
        if parameter.name == "output" and isinstance(parameter.type, click.Choice):
            assert set(parameter.type.choices) <= set(test_docs.first_cells(text))
    document = test_check.as_json("-", given=test_check.SMALL)
    fields = {*document, *document["findings"][0]} - {"apiVersion", "kind"}
    assert fields <= set(re.findall(r"`(\w+)`", text))
