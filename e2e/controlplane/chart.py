"""The roles of Crossplane's Helm chart, rendered without Helm.

Only what these templates use is known here; anything else is an error, never a wrong role.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterable

import yaml

from e2e.controlplane import api

# Default values of the chart, by the condition that asks for them.
_CONDITIONS = {
    "if .Values.rbacManager.deploy": True,
    "if not .Values.rbacManager.skipAggregatedClusterRoles": True,
    "if not .Values.serviceAccount.create": False,
}
_ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}")


class ChartError(Exception):
    """A template uses something that is not known here."""


def render(
    templates: Iterable[pathlib.Path], namespace: str, name: str = "crossplane"
) -> list[api.Object]:
    """The objects of some templates of the chart.

    Args:
        templates: Template files.
        namespace: Namespace of the release.
        name: Name of the release.

    Raises:
        ChartError: A template uses an action that is not known here.
    """
    values = {
        'template "crossplane.name" .': name,
        ".Release.Namespace": namespace,
        # Labels that tell who manages the objects; nothing depends on them.
        'include "crossplane.labels" . | indent 4': "",
    }
    items = []
    for path in templates:
        text = "\n".join(_lines(path, values))
        items += [item for item in yaml.safe_load_all(text) if item]
    return items


def _lines(path: pathlib.Path, values: dict[str, str]) -> list[str]:
    """The lines of a template that its conditions keep, with the values put in."""
    lines = []
    branches: list[bool] = []
    for line in path.read_text().splitlines():
        action = _ACTION.fullmatch(line.strip())
        word = action.group(1) if action else ""
        if word in _CONDITIONS:
            branches.append(_CONDITIONS[word])
        elif word == "else":
            branches.append(not branches.pop())
        elif word == "end":
            branches.pop()
        elif all(branches):
            lines.append(_ACTION.sub(lambda found: _value(path, values, found.group(1)), line))
    if branches:
        message = f"{path}: a condition does not end"
        raise ChartError(message)
    return lines


def _value(path: pathlib.Path, values: dict[str, str], action: str) -> str:
    if action not in values:
        message = f"{path}: unknown action {action!r}"
        raise ChartError(message)
    return values[action]
