"""What `check` prints: for people, for GitHub's annotations, as JSON."""

import json
from typing import Any

from function.api import base
from function.cli import checking
from function.findings import rules

API_VERSION = "inference-service.cloud.ogenki.io/v1alpha1"
KIND = "Check"

# GitHub calls a note a notice.
_COMMANDS = {
    rules.Severity.ERROR: "error",
    rules.Severity.WARNING: "warning",
    rules.Severity.NOTE: "notice",
}


def text(report: checking.Report) -> str:
    """Returns a line for each finding, by file, and how many there are."""
    lines = []
    for one in report.findings:
        place = f"{one.file}:{one.line}" if one.line else one.file
        words = f"{one.finding.severity}: {one.message} ({one.finding.rule.name})"
        lines.append(base.printable(f"{place}: {words}" if place else words))
    return "\n".join([*lines, summary(report)]) + "\n"


def summary(report: checking.Report) -> str:
    """Returns how many findings there are, in a line."""
    counts = report.counts()
    findings = ", ".join(_many(n, severity) for severity, n in counts.items() if n) or "no findings"
    return f"{findings} in {_many(report.claims, 'claim')}"


def _many(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def github(report: checking.Report) -> str:
    """Returns workflow commands, which a GitHub workflow shows beside the lines of a change."""
    return "".join(_command(one) for one in report.findings)


def _command(one: checking.Located) -> str:
    properties = {
        "file": one.file,
        "line": str(one.line) if one.file and one.line else "",
        "title": one.finding.rule.name,
    }
    given = ",".join(f"{name}={_property(value)}" for name, value in properties.items() if value)
    return f"::{_COMMANDS[one.finding.severity]} {given}::{_data(one.message)}\n"


# As actions/toolkit writes them (packages/core/src/command.ts).
def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def document(report: checking.Report, exit_code: int) -> dict[str, Any]:
    """Returns the same for machines."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "exitCode": exit_code,
        "claims": report.claims,
        "counts": {str(severity): number for severity, number in report.counts().items()},
        "notes": list(report.notes),
        "findings": [_finding(one) for one in report.findings],
    }


def _finding(one: checking.Located) -> dict[str, Any]:
    return {
        "rule": one.finding.rule.name,
        "severity": str(one.finding.severity),
        "file": one.file or None,
        "line": one.line or None,
        "namespace": one.namespace or None,
        "claim": one.claim or None,
        "field": one.finding.field or None,
        "message": one.finding.message,
    }


def as_json(value: dict[str, Any]) -> str:
    """Returns a document as text."""
    return json.dumps(value, indent=2) + "\n"
