"""Runs the command line: in process, or as the console script that is installed."""

import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import yaml
from click import testing

from function.cli import main
from tests import cluster

SMALLEST = str(cluster.ROOT / "examples/claims/smallest.yaml")
CODER = str(cluster.ROOT / "examples/claims/xplane-qwen-coder.yaml")
CLAIMS = [str(cluster.ROOT / f"examples/claims/{name}.yaml") for name in cluster.EXAMPLES]
REFERENCE = str(cluster.ROOT / "examples/reference/environmentconfig.yaml")
PLAIN = str(cluster.ROOT / "examples/plain/environmentconfig.yaml")
COMPOSITION = str(cluster.ROOT / "compositions/xinferenceservices.cloud.ogenki.io.yaml")
SCRIPT = pathlib.Path(sys.executable).parent / "inference-service"


def render(*arguments: str, given: str | None = None) -> testing.Result:
    """Runs `render` in process, as `verb` does."""
    return verb("render", *arguments, given=given)


def verb(*arguments: str, given: str | None = None) -> testing.Result:
    """Runs a verb in process; standard error is kept apart.

    Raises:
        AssertionError: It ended with an exception instead of an exit code.
    """
    result = testing.CliRunner().invoke(main.main, arguments, input=given)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise AssertionError("a traceback") from result.exception
    return result


def script(
    *arguments: str, given: str | None = None, hash_seed: str = "0"
) -> subprocess.CompletedProcess[str]:
    """Runs the installed console script."""
    return subprocess.run(
        [SCRIPT, *arguments],
        input=given,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=False,
    )


def documents(text: str) -> list[Any]:
    """Returns the documents of a YAML stream."""
    return list(yaml.load_all(text, Loader=yaml.CSafeLoader))


def items(text: str) -> list[Any]:
    """Returns the items of a JSON List."""
    document = json.loads(text)
    assert (document["apiVersion"], document["kind"]) == ("v1", "List")
    return list(document["items"])


def of(objects: list[Any], kind: str) -> Any:
    """Returns the only object of a kind."""
    (item,) = (item for item in objects if item["kind"] == kind)
    return item


def write(path: pathlib.Path, *objects: Any) -> str:
    """Writes objects to a file and returns its name. The file is JSON, which quotes every word."""
    path.write_text("".join(f"---\n{json.dumps(item)}\n" for item in objects))
    return str(path)
