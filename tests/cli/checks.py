"""What `check` says of files, in this process."""

import json
import pathlib
from typing import Any

from click import testing

from tests.cli import broken_claims, command
from tests.resources import scene


def run(*arguments: str, given: str | None = None) -> testing.Result:
    return command.verb("check", *arguments, given=given)


def as_json(*arguments: str, given: str | None = None) -> Any:
    return json.loads(run(*arguments, "-o", "json", given=given).stdout)


def findings(*arguments: str) -> list[Any]:
    return list(as_json(*arguments)["findings"])


def written(directory: pathlib.Path, case: broken_claims.Case) -> list[str]:
    """Returns the arguments for a case, with its claims and settings in files."""
    file = directory / "claims.yaml"
    if isinstance(case.claims, str):
        file.write_text(case.claims)
    else:
        command.write(file, *case.claims)
    site = command.write(directory / "site.yaml", scene.site(**case.settings))
    return [str(file), "-e", site]
