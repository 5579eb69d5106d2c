"""The gate, `.ci/run`, with a toy in the place of the end-to-end suite: what is tried once more."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import textwrap
import types
from typing import Any

import pytest

from e2e import scheduling
from tools import failed, flaky

_ROOT = pathlib.Path(__file__).resolve().parents[1]
# The second test needs what the first has left, and that a number of tries is reached.
_TOY = """
    import pathlib

    TRIES = pathlib.Path(__file__).with_suffix(".tries")
    found = []


    def test_first():
        with TRIES.open("a") as file:
            file.write("x")
        found.append(TRIES.read_text())


    def test_second():
        assert len(found[0]) >= {needed}
"""
_MAKEFILE = """\
include real.mk
.venv/.installed render lint types test laws tools:
\t@echo nothing to do for $@
"""


@pytest.fixture
def toy(tmp_path: pathlib.Path) -> pathlib.Path:
    """A repository with the gate and its target `e2e` as they are, and no more."""
    for name in ("pyproject.toml", "requirements", "tools"):
        (tmp_path / name).symlink_to(_ROOT / name)
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    _program(programs / "python", f'exec "{sys.executable}" "$@"')
    # A toy needs no workers, for which the last `-n` counts, but goes on as they do.
    alone = "-n 0 --continue-on-collection-errors"
    _program(programs / "pytest", f'exec "{sys.executable}" -m pytest "$@" {alone}')
    for made in (".installed", ".envoy"):
        (tmp_path / ".venv" / made).touch()
    (tmp_path / ".ci").mkdir()
    shutil.copy(_ROOT / ".ci" / "run", tmp_path / ".ci" / "run")
    shutil.copy(_ROOT / "Makefile", tmp_path / "real.mk")
    (tmp_path / "Makefile").write_text(_MAKEFILE)
    (tmp_path / "bin").mkdir()
    _program(tmp_path / "bin" / "docker", "")
    (tmp_path / "e2e").mkdir()
    (tmp_path / "e2e" / "try_load.py").write_text("def test_load():\n    pass\n")
    return tmp_path


def _program(path: pathlib.Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


def _suite(toy: pathlib.Path, **needed: int) -> None:
    """Write a file of tests for each name, which pass when tried so many times."""
    for name, tries in needed.items():
        text = textwrap.dedent(_TOY).format(needed=tries)
        (toy / "e2e" / f"test_{name}.py").write_text(text)


def _run(toy: pathlib.Path) -> subprocess.CompletedProcess[str]:
    """Run the gate, outside of the `make` and the pytest that run this."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST", "MAKE", "MFLAGS"))
    }
    return subprocess.run(
        [toy / ".ci" / "run"],
        env=kept
        | {
            "PATH": f"{toy / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PYTEST_ADDOPTS": "-p no:hypothesispytest",  # slow to import, and not used here
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )


def _tries(toy: pathlib.Path) -> dict[str, int]:
    return {path.stem: len(path.read_text()) for path in (toy / "e2e").glob("*.tries")}


@pytest.mark.decision(39)
def test_what_passes_is_tried_once(toy: pathlib.Path) -> None:
    _suite(toy, good=1)
    done = _run(toy)
    assert done.returncode == 0, done.stdout
    assert _tries(toy) == {"test_good": 1}
    assert "once more" not in done.stdout
    assert "flaky" not in done.stdout
    assert not (toy / ".ci" / "flaky").exists()


def test_what_failed_is_tried_once_more_by_its_file(toy: pathlib.Path) -> None:
    _suite(toy, good=1, also_good=1, flaky=2, slow=2)
    done = _run(toy)
    assert done.returncode == 0, done.stdout
    assert _tries(toy) == {"test_also_good": 1, "test_flaky": 2, "test_good": 1, "test_slow": 2}
    assert re.findall(r"^(\d) failed|^(\d) passed", done.stdout, re.MULTILINE) == [
        ("2", ""),
        ("", "4"),
        ("", "1"),
    ], "both tries are in the log, and the load"
    assert re.search(
        r"pytest e2e/test_flaky\.py e2e/test_slow\.py -n 4 --dist loadfile", done.stdout
    )


def test_the_second_flake_of_a_test_fails_the_gate(toy: pathlib.Path) -> None:
    line = "2026-01-31 e2e/test_flaky.py::test_second # a port is taken"
    record = toy / ".ci" / "flaky"
    record.write_text(f"# Tests that flaked.\n{line}\n")
    _suite(toy, flaky=2, slow=2)
    done = _run(toy)
    assert done.returncode != 0
    assert f"--- flaky\nflaky again, {line}\nflaky e2e/test_slow.py::test_second\n" in done.stdout
    assert record.read_text().splitlines()[:2] == ["# Tests that flaked.", line]
    assert [test for test in flaky.recorded(record) if "slow" in test], "the first of another"


def test_a_law_that_is_broken_beside_the_suite_fails_the_gate(toy: pathlib.Path) -> None:
    """More examples of laws run beside the suite, whose words come first."""
    _suite(toy, good=1)
    makefile = toy / "Makefile"
    makefile.write_text(makefile.read_text().replace("test laws", "test"))
    with makefile.open("a") as file:
        file.write("laws:\n\t@echo a law is broken; exit 1\n")
    done = _run(toy)
    assert done.returncode != 0
    assert _tries(toy) == {"test_good": 1}
    assert re.search(r"2 passed.*--- judged\n.*a law is broken", done.stdout, re.DOTALL)
    assert "--- load" not in done.stdout


def test_a_record_holds_nothing_else(tmp_path: pathlib.Path) -> None:
    (tmp_path / "flaky").write_text("e2e/test_flaky.py::test_second\n")
    with pytest.raises(ValueError, match="not `DATE TEST # CAUSE`"):
        flaky.recorded(tmp_path / "flaky")
    assert isinstance(flaky.recorded(_ROOT / ".ci" / "flaky"), dict)


def test_what_fails_again_fails_the_gate(toy: pathlib.Path) -> None:
    _suite(toy, good=1, flaky=2, broken=3)
    (toy / "e2e" / "test_unreadable.py").write_text("import nothing_of_this_name\n")
    done = _run(toy)
    assert done.returncode != 0
    files = " ".join(f"e2e/test_{name}.py" for name in ("broken", "flaky", "unreadable"))
    assert f"--- once more: {files}\n" in done.stdout
    assert _tries(toy) == {"test_broken": 2, "test_flaky": 2, "test_good": 1}
    # What failed and passed is the last that is said, and on record, all the same.
    name = "e2e/test_flaky.py::test_second"
    words = "commit .ci/flaky with what is known of the cause: the next flake of a test fails"
    assert done.stdout.splitlines()[-3:] == ["--- flaky", f"flaky {name}", words]
    (line,) = (toy / ".ci" / "flaky").read_text().splitlines()
    assert re.fullmatch(rf"\d{{4}}-\d\d-\d\d {re.escape(name)} # .+", line)


def test_a_run_without_a_report_is_not_tried_again(toy: pathlib.Path) -> None:
    """As when the tools could not be built, after an earlier run that failed."""
    _suite(toy, flaky=2)
    makefile = toy / "Makefile"
    makefile.write_text(makefile.read_text().replace("test tools", "test"))
    with makefile.open("a") as file:
        file.write("tools:\n\t@test ! -e used && touch used\n")
    (toy / "build").mkdir()
    (toy / "build" / "e2e.xml").write_text(
        '<testcase file="e2e/test_flaky.py"><failure/></testcase>'
    )
    done = _run(toy)
    assert done.returncode != 0
    assert "--- e2e" in done.stdout
    assert "once more" not in done.stdout
    assert _tries(toy) == {}


def test_the_commands_want_their_reports(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (failed.main, flaky.main):
        assert command([]) == 1
        assert "usage" in capsys.readouterr().err


def test_files_that_share_what_is_dear_follow_one_another_on_one_worker() -> None:
    assert scheduling.unit("e2e/test_life.py::test_names[a/b::c]") == "e2e/test_life.py"
    suite = _ROOT / "e2e"
    shared = sorted(path.relative_to(suite) for path in suite.glob("*/test_*.py"))
    assert len(shared) > 1
    for folder in {path.parent for path in shared}:
        names = [str(path) for path in shared if path.parent == folder]
        assert {scheduling.unit(f"e2e/{name}::test") for name in names} == {f"e2e/{folder}"}
        places = sorted(map(scheduling.FIRST.index, names))
        assert places == list(range(places[0], places[0] + len(names))), folder


class _Worker:
    """A worker that notes which tests it is given, and ends when it is told."""

    def __init__(self, number: int, tests: list[str]) -> None:
        self.gateway = types.SimpleNamespace(id=f"gw{number}")
        self._tests = tests
        self.given: list[str] = []
        self.shutting_down = False

    def send_runtest_some(self, indices: list[int]) -> None:
        assert not self.shutting_down
        self.given += [self._tests[index] for index in indices]

    def shutdown(self) -> None:
        self.shutting_down = True


def _played(files: list[str], workers: int) -> list[list[str]]:
    """What each worker runs of a file with three tests each, where all take the same time."""
    tests = [f"e2e/{name}::test_{number}" for name in files for number in range(3)]
    option = types.SimpleNamespace(loadscopereorder=False)
    asked = types.SimpleNamespace(option=option, getvalue=lambda _: ["popen"] * workers)
    scheduler: Any = scheduling.Scheduling(asked)  # type: ignore[arg-type]
    nodes = [_Worker(number, tests) for number in range(workers)]
    for node in nodes:
        scheduler.add_node(node)
        scheduler.add_node_collection(node, tests)
    scheduler.schedule()
    done: list[list[str]] = [[] for _ in nodes]
    while any(len(node.given) > len(ran) for node, ran in zip(nodes, done, strict=True)):
        for node, ran in zip(nodes, done, strict=True):
            if len(node.given) > len(ran):
                ran.append(node.given[len(ran)])
                scheduler.mark_test_complete(node, tests.index(ran[-1]))
    assert scheduler.tests_finished
    assert all(node.shutting_down for node in nodes), "or the last test of a worker does not run"
    return [list(dict.fromkeys(map(scheduling.unit, ran))) for ran in done]


@pytest.mark.parametrize(
    ("planes", "alone", "workers", "last"),
    [
        (["pods", "life", "picker"], ["alerts", "edge"], 3, ["alerts"]),
        (["pods", "life", "picker", "quiet"], ["alerts", "edge"], 3, ["alerts", "edge"]),
        (["pods"], ["alerts", "edge"], 1, ["pods", "alerts", "edge"]),
        ([], ["alerts", "edge"], 2, ["edge"]),
        (["pods", "life"], [], 2, ["life"]),
        (["pods"], ["alerts"], 4, ["alerts"]),
    ],
)
def test_the_last_worker_has_no_control_plane(
    planes: list[str], alone: list[str], workers: int, last: list[str]
) -> None:
    """Where there are files of both sorts; the others take what needs none when nothing is left."""
    files = [f"test_{name}.py" for name in (*planes, *alone)]
    played = _played(files, workers)
    assert [name for one in played for name in one if one][-len(last) :] == [
        f"e2e/test_{name}.py" for name in last
    ]
    assert sorted(name for one in played for name in one) == sorted(f"e2e/{one}" for one in files)


def test_files_without_a_control_plane_are_there() -> None:
    assert not scheduling.is_alone("e2e/front_door/test_limits.py"), "its folder has one"
    assert scheduling.is_alone(scheduling.unit("e2e/test_limits.py::test_crowds"))
    assert all((_ROOT / "e2e" / name).exists() for name in scheduling.ALONE)
    assert not set(scheduling.ALONE) & set(scheduling.FIRST)
