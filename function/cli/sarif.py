"""Findings as SARIF 2.1.0, which code scanning reads (docs.oasis-open.org/sarif/sarif/v2.1.0)."""

import os
import pathlib
import urllib.parse
from typing import Any

import function
from function.cli import checking
from function.findings import rules, table

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
HOME = "https://github.com/Smana/function-inference-service"
# Where code scanning has the repository's root.
_ROOT = "%SRCROOT%"


def document(report: checking.Report) -> dict[str, Any]:
    """Returns the findings as a log of one run; only rules that are broken are described."""
    broken = list(dict.fromkeys(one.finding.rule.name for one in report.findings))
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "inference-service",
                        "semanticVersion": function.__version__,
                        "informationUri": HOME,
                        "rules": [_rule(table.RULES[name]) for name in broken],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [_result(one, broken) for one in report.findings],
            }
        ],
    }


def _rule(rule: rules.Rule) -> dict[str, Any]:
    return {
        "id": rule.name,
        "shortDescription": {"text": rule.what},
        "fullDescription": {"text": rule.why},
        "help": {
            "text": f"{rule.why} {rule.remedy}",
            "markdown": f"{rule.what}\n\nWhy: {rule.why}\n\nWhat to do: {rule.remedy}\n",
        },
        "helpUri": f"{HOME}/blob/main/{rule.page}",
        "defaultConfiguration": {"level": str(rule.severity)},
    }


def _result(one: checking.Located, broken: list[str]) -> dict[str, Any]:
    name = one.finding.rule.name
    result: dict[str, Any] = {
        "ruleId": name,
        "ruleIndex": broken.index(name),
        "level": str(one.finding.severity),
        "message": {"text": one.message},
    }
    # Standard input is no file.
    if one.file not in ("", "-"):
        location: dict[str, Any] = {"artifactLocation": _artifact(one.file)}
        location["region"] = {"startLine": max(one.line, 1)}
        result["locations"] = [{"physicalLocation": location}]
    return result


def _artifact(file: str) -> dict[str, str]:
    """Returns the place of a file: below the directory that the command runs in where it is."""
    relative = os.path.relpath(file)
    if relative.startswith(os.pardir):
        return {"uri": pathlib.Path(file).absolute().as_uri()}
    return {"uri": urllib.parse.quote(pathlib.Path(relative).as_posix()), "uriBaseId": _ROOT}
