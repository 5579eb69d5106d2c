"""LiteLLM's proxy as `requirements.txt` pins it, from PyPI, and its own judgement of keys.

It lives in an environment of its own below `$XDG_CACHE_HOME/inference-service/litellm`. Without a
client of its database, whose engine is no package: nothing that is kept there works.
"""

import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Mapping, Sequence

HERE = pathlib.Path(__file__).resolve().parent


def environment() -> pathlib.Path:
    """Returns the directory of the environment; makes it where it is not there."""
    base = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    place = base / "inference-service" / "litellm"
    wanted = (HERE / "requirements.txt").read_text(encoding="utf-8")
    stamp = place / "installed.txt"
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", place], check=True)
        pip = [str(place / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
        options = ["--no-deps", "--requirement", str(HERE / "requirements.txt")]
        subprocess.run([*pip, *options], check=True)
        stamp.write_text(wanted, encoding="utf-8")
    return place


def variables(**more: str) -> dict[str, str]:
    """Returns the environment variables with which it asks nobody outside."""
    return {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", **more}


def allowed(
    configuration: pathlib.Path, groups: Mapping[str, Sequence[str]], names: Sequence[str]
) -> dict[str, list[str]]:
    """Returns which names a key may ask for, by LiteLLM's own check.

    Args:
        configuration: What the proxy reads.
        groups: By some name, what a key has in `models`.
        names: The names that are tried.

    Raises:
        subprocess.CalledProcessError: It cannot be had, or ended.
    """
    asked = json.dumps({"file": str(configuration), "groups": groups, "names": names})
    command = [environment() / "bin" / "python", HERE / "inside.py"]
    done = subprocess.run(
        command, input=asked, capture_output=True, text=True, check=True, env=variables()
    )
    judged: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return judged
