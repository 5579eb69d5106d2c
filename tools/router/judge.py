"""The program with which vLLM Semantic Router judges its configuration, and its schema.

`python -m tools.router.judge record` writes the schema of the version in `requirements.txt` to
`tests/fleet/recorded`, where the fast suite reads it. The judge is Python from PyPI, in an
environment of its own below `$XDG_CACHE_HOME/inference-service/semantic-router`.
"""

import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterable

HERE = pathlib.Path(__file__).resolve().parent
RECORDED = HERE.parents[1] / "tests" / "fleet" / "recorded" / "semantic-router-0.4.0.schema.json"
_SCHEMA = "cli/config_schema/router-config-v0.3.schema.json"


def _environment() -> pathlib.Path:
    """Returns the directory of the environment; makes it where it is not there."""
    base = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    place = base / "inference-service" / "semantic-router"
    wanted = (HERE / "requirements.txt").read_text(encoding="utf-8")
    stamp = place / "requirements.txt"
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", place], check=True)
        pip = [str(place / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--requirement", str(HERE / "requirements.txt")], check=True)
        stamp.write_text(wanted, encoding="utf-8")
    return place


def errors(configurations: Iterable[str]) -> list[list[str]]:
    """Returns what the judge has against each configuration, a document in one line.

    Raises:
        subprocess.CalledProcessError: The judge cannot be had, or ended.
    """
    asked = "".join(f"{configuration.strip()}\n" for configuration in configurations)
    command = [_environment() / "bin" / "python", HERE / "inside.py"]
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def schema() -> str:
    """Returns the judge's schema of configurations."""
    (path,) = _environment().glob(f"lib/python*/site-packages/{_SCHEMA}")
    return json.dumps(json.loads(path.read_text(encoding="utf-8")), separators=(",", ":"))


if __name__ == "__main__":
    if sys.argv[1:] != ["record"]:
        sys.exit("usage: python -m tools.router.judge record")
    RECORDED.parent.mkdir(parents=True, exist_ok=True)
    RECORDED.write_text(schema() + "\n", encoding="utf-8")
