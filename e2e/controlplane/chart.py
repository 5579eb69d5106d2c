"""The roles of Crossplane's Helm chart, rendered without Helm.

This module renders only the actions that these templates use. Any other action is an error, so
that no role is rendered wrongly.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterable

from e2e.controlplane import api

# Values of the chart's conditions under the chart's default values, by condition.
_CONDITIONS = {
    "if .Values.rbacManager.deploy": True,
    "if not .Values.rbacManager.skipAggregatedClusterRoles": True,
    "if not .Values.serviceAccount.create": False,
}
_ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}")


class ChartError(Exception):
    """A template uses an action that this module does not render."""


def render(
    templates: Iterable[pathlib.Path], namespace: str, name: str = "crossplane"
) -> list[api.Object]:
    """The objects of some templates of the chart.

    Args:
        templates: Template files.
        namespace: Namespace of the release.
        name: Name of the release.

    Raises:
        ChartError: A template uses an action that this module does not render.
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
        items += api.parse(text)
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
            lines.append(_ACTION.sub(lambda match: _value(path, values, match.group(1)), line))
    if branches:
        message = f"{path}: a condition does not end"
        raise ChartError(message)
    return lines


def _value(path: pathlib.Path, values: dict[str, str], action: str) -> str:
    if action not in values:
        message = f"{path}: unknown action {action!r}"
        raise ChartError(message)
    return values[action]
