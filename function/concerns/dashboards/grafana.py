"""Dashboards in Grafana's JSON, from panels.

The text is the same for the same panels. A panel's id follows from its title, so that links to it
outlive other panels.
"""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

from function import canonical
from function.engines import engine
from function.planning import identity

SCHEMA_VERSION = 39
# The variable by which a reader chooses the data source. In braces Flux would replace it.
DATASOURCE = {"type": "prometheus", "uid": "$datasource"}
TAG = "inference-service"

# Grafana's grid: 24 columns, three panels side by side.
_COLUMNS, _WIDTH, _HEIGHT = 24, 8, 8


@dataclasses.dataclass(frozen=True)
class Board:
    """What a dashboard is beside its panels.

    Attributes:
        who: Whose it is.
        kind: The kind of claim, which tells two of one name apart.
        title: Its title.
        description: What it is for.
        runbooks: Address of the runbooks; an alert's name in small letters is the anchor.
        alerts: Alerts that exist.
    """

    who: identity.Identity
    kind: str
    title: str
    description: str
    runbooks: str
    alerts: frozenset[str] = frozenset()

    @property
    def uid(self) -> str:
        """The id under which Grafana keeps it: 40 characters at most."""
        parts = [self.kind, self.who.namespace, self.who.name]
        return f"inference-{canonical.digest(parts, 20)}"


def text(board: Board, panels: Iterable[engine.Panel]) -> str:
    """Returns the dashboard.

    Raises:
        ValueError: Two panels have one title, or titles of one id.
    """
    every = list(panels)
    if len({panel_id(panel.title) for panel in every}) < len(every):
        raise ValueError("two panels have one title or one id")
    return canonical.dumps(
        {
            "annotations": {"list": []},
            "description": board.description,
            "editable": False,
            "graphTooltip": 1,
            "links": [_link("Runbooks", board.runbooks)],
            "panels": list(_placed(board, every)),
            "refresh": "30s",
            "schemaVersion": SCHEMA_VERSION,
            "tags": [TAG],
            "templating": {
                "list": [
                    {
                        "label": "Data source",
                        "name": "datasource",
                        "query": "prometheus",
                        "type": "datasource",
                    }
                ]
            },
            "time": {"from": "now-3h", "to": "now"},
            "title": board.title,
            "uid": board.uid,
        }
    )


def panel_id(title: str) -> int:
    """Returns the id of the panel or row of a title."""
    return int(canonical.digest(title, 7), 16) + 1


def _placed(board: Board, panels: list[engine.Panel]) -> Iterator[dict[str, Any]]:
    top = 0
    for row in engine.Row:
        inside = [panel for panel in panels if panel.row is row]
        if not inside:
            continue
        yield {
            "collapsed": False,
            "gridPos": {"h": 1, "w": _COLUMNS, "x": 0, "y": top},
            "id": panel_id(f"row {row.value}"),
            "panels": [],
            "title": row.value,
            "type": "row",
        }
        top += 1
        for index, panel in enumerate(inside):
            line, column = divmod(index, _COLUMNS // _WIDTH)
            place = {
                "h": _HEIGHT,
                "w": _WIDTH,
                "x": column * _WIDTH,
                "y": top + line * _HEIGHT,
            }
            yield _panel(board, panel, place)
        top += -(-len(inside) // (_COLUMNS // _WIDTH)) * _HEIGHT


def _panel(board: Board, panel: engine.Panel, place: dict[str, int]) -> dict[str, Any]:
    custom: dict[str, Any] = {"fillOpacity": 10, "showPoints": "never"}
    # The first step has no value: it is below every other.
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.bad is not None:
        custom["thresholdsStyle"] = {"mode": "line"}
        steps.append({"color": "red", "value": float(panel.bad)})
    return {
        "datasource": DATASOURCE,
        "description": panel.description,
        "fieldConfig": {
            "defaults": {
                "custom": custom,
                "min": 0,
                "thresholds": {"mode": "absolute", "steps": steps},
                "unit": panel.unit,
            },
            "overrides": [],
        },
        "gridPos": place,
        "id": panel_id(panel.title),
        "links": [
            _link(alert, f"{board.runbooks}#{alert.lower()}")
            for alert in panel.alerts
            if alert in board.alerts
        ],
        "options": {
            "legend": {
                "calcs": ["lastNotNull", "max"],
                "displayMode": "table",
                "placement": "bottom",
                "showLegend": True,
            },
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": [
            {
                "datasource": DATASOURCE,
                "editorMode": "code",
                "expr": query.expression,
                "legendFormat": query.legend,
                "range": True,
                "refId": f"Q{index}",
            }
            for index, query in enumerate(panel.queries)
        ],
        "title": panel.title,
        "type": "timeseries",
    }


def _link(title: str, address: str) -> dict[str, Any]:
    return {"targetBlank": True, "title": title, "type": "link", "url": address}
