"""Pipes, full disks, terminals, completion: the command line beside the shell's other tools."""

import os
import pathlib
import pty
import re
import subprocess
import sys
from collections.abc import Mapping

import pytest
from click import testing

from function.cli import main
from tests.cli import command
from tests.resources import scene

RENDER = f"{command.SCRIPT} render {command.CODER} --environment {command.REFERENCE}"


def shell(line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"], capture_output=True, text=True, check=False
    )


def at_terminal(
    *arguments: str,
    columns: int = 100,
    environment: Mapping[str, str] | None = None,
    program: str | pathlib.Path = command.SCRIPT,
) -> str:
    """Runs a program with both outputs at a terminal of its own; returns what it shows."""
    inherited = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR", "TERM")}
    variables = inherited | {"TERM": "xterm"} | dict(environment or {})
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["bash", "-c", f'stty cols {columns} rows 40 && exec "$0" "$@"', program, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=variables,
    )
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:  # Linux: the other end is closed
        pass
    finally:
        os.close(ours)
        process.wait()
    return shown.decode()


# --- pipes and disks


@pytest.mark.parametrize(
    ("output", "unbuffered"), [("yaml", ""), ("yaml", "1"), ("json", "1"), ("table", "")]
)
def test_a_closed_pipe_ends_as_for_other_programs(output: str, unbuffered: str) -> None:
    """In silence: `| head` is no mistake. The claims become more than a pipe holds."""
    many = " ".join([*command.CLAIMS] * 5)
    render = f"PYTHONUNBUFFERED={unbuffered} {command.SCRIPT} render {many} -o {output}"
    done = shell(f"{render} -e {command.REFERENCE} | head -1")
    assert (done.returncode, len(done.stdout.splitlines())) == (141, 1)
    # Five times the same claims: that is said before.
    lines = done.stderr.splitlines()
    assert [line for line in lines if "has a claim of this name too" not in line] == []


@pytest.mark.parametrize("output", ["yaml", "json", "table", "verdict-json"])
def test_a_full_disk_is_said(output: str) -> None:
    done = shell(f"{RENDER} -o {output} > /dev/full")
    assert done.returncode == 2
    assert done.stderr == "standard output: No space left on device\n"


def test_a_closed_output_is_said() -> None:
    done = shell(f"{RENDER} >&-")
    assert (done.returncode, done.stderr) == (2, "standard output is closed\n")


def test_a_closed_standard_error_changes_nothing() -> None:
    done = shell(f"{command.SCRIPT} render {command.SMALLEST} 2>&-")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "---")


# --- terminals


def test_there_is_colour_at_a_terminal_alone(tmp_path: pathlib.Path) -> None:
    name = command.write(tmp_path / "claim.yaml", scene.of(nonsense=1))
    arguments = ("render", name, "-o", "summary")
    red = re.compile(r"\x1b\[[0-9;]*31m")
    assert red.search(at_terminal(*arguments))
    assert not red.search(at_terminal(*arguments, environment={"NO_COLOR": "1"}))
    assert "\x1b" not in command.render(*arguments[1:]).stdout


@pytest.mark.parametrize("columns", [80, 160])
def test_nothing_is_wider_than_the_terminal(columns: int) -> None:
    """But for sentences, which the terminal itself wraps between words it knows nothing of."""
    both = (
        "from function.cli import main\nfor output in ('table', 'summary'): main.run([*{}, output])"
    )
    arguments = ["render", command.CODER, "-e", command.REFERENCE, "-o"]
    written = at_terminal("-c", both.format(arguments), columns=columns, program=sys.executable)
    shown = re.sub(r"\x1b\[[0-9;]*m", "", written)
    lines = shown.replace("\r", "").splitlines()
    assert max(len(line) for line in lines if "waiting for" not in line) <= columns
    assert sum("xplane-qwen-coder" in line for line in lines) >= 2


def test_long_work_shows_how_far_it_is(tmp_path: pathlib.Path) -> None:
    """And leaves nothing of it, and nothing in a log."""
    for number in range(3):
        command.write(tmp_path / f"{number}.yaml", scene.of(name=f"c{number}"))
    hurried = "from function.cli import main, terminal; terminal.PATIENCE = 0; main.main()"
    arguments = ("-c", hurried, "render", str(tmp_path), "-e", command.REFERENCE, "-o", "summary")
    shown = at_terminal(*arguments, program=sys.executable)
    assert "\r\x1b[Krendering 3 of 3\r\x1b[K" in shown
    dumb = at_terminal(*arguments, program=sys.executable, environment={"TERM": "dumb"})
    assert "rendering" not in dumb
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True)
    assert done.stderr == ""


# --- completion


def completing(words: str) -> dict[str, str]:
    """Returns the variables by which bash asks for what may stand at the end of a line."""
    return {
        "_INFERENCE_SERVICE_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }


def completed(words: str) -> str:
    """Returns what the program answers to the shell."""
    name = command.SCRIPT.name
    done = testing.CliRunner().invoke(main.main, [], env=completing(words), prog_name=name)
    assert done.exit_code == 0
    return done.stdout


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("inference-service re", {"reach", "render"}),
        ("inference-service render --out", {"--output"}),
        (
            "inference-service render --output ",
            {"yaml", "json", "table", "summary", "verdict-json"},
        ),
        ("inference-service render --assume s", {"served"}),
    ],
)
def test_the_shell_completes(words: str, offered: set[str]) -> None:
    assert {line.partition(",")[2] for line in completed(words).splitlines()} == offered


def test_files_are_completed_where_files_are_asked_for() -> None:
    for words in ("inference-service render ", "inference-service render --observed "):
        assert completed(words).startswith("file,")


def test_the_installed_script_completes() -> None:
    words = "inference-service render --assume s"
    variables = os.environ | completing(words)
    done = subprocess.run([command.SCRIPT], env=variables, capture_output=True, text=True)
    assert done.stdout == completed(words) != ""


def test_every_option_has_help() -> None:
    for verb in map(main.main.verb, main.VERBS):
        assert verb.help
        for parameter in verb.params:
            assert parameter.param_type_name == "argument" or getattr(parameter, "help", None)


def test_the_help_of_all_begins_as_that_of_each_and_reads_none() -> None:
    for name, line in main.VERBS.items():
        assert " ".join((main.main.verb(name).help or "").split()).startswith(line)
    program = "import sys; from function.cli import main; main.run(['--help']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    *shown, read = done.stdout.splitlines()
    listed = shown[shown.index("Commands:") + 1 :]
    assert [line.split(maxsplit=1) for line in listed] == [[*verb] for verb in main.VERBS.items()]
    assert not {f"function.cli.{name}" for name in main.VERBS} & {*read.split()}
    assert "pydantic" not in read.split()


def test_a_verb_reads_neither_the_others_nor_rare_types() -> None:
    """Half of a start was spent on what the verb does not use."""
    program = """
import gc, sys, types
from function import late
from function.cli import main
main.main.verb("render")
others = {f"function.cli.{name}" for name in main.VERBS} - {"function.cli.render"}
read = [name for name in late.MODULES if type(sys.modules[name]) is types.ModuleType]
print(sorted(others & {*sys.modules}), read, gc.isenabled())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "[] [] True\n", done.stderr
