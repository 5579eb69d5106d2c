"""Renders for machines and for people."""

import json
import os
import re
import sys
from typing import TYPE_CHECKING, Literal

import yaml

from function.cli import rendering
from function.concerns import workload

if TYPE_CHECKING:
    from rich import table

Output = Literal["yaml", "json", "table", "summary"]

# Columns of a table that goes to a file or a CI log: 80 would fold names in the middle.
WIDTH = 160


def write(
    rendered: list[rendering.Rendered], refused: list[rendering.Refused], output: Output
) -> None:
    """Writes the renders to standard output; of refused claims the summary has a line each."""
    if output in ("table", "summary"):
        _tables(rendered, refused, whole=output == "table")
        return
    found = [document for item in rendered for document in rendering.documents_of(item)]
    if output == "json":
        json.dump({"apiVersion": "v1", "kind": "List", "items": found}, sys.stdout, indent=2)
        sys.stdout.write("\n")
    elif found:
        yaml.dump_all(
            found, sys.stdout, Dumper=_Dumper, sort_keys=False, explicit_start=True, width=1000
        )


class _Dumper(yaml.SafeDumper):
    """YAML without anchors: a manifest is read top to bottom."""

    def ignore_aliases(self, data: object) -> bool:
        return True


# Words that Kubernetes' reader takes for a boolean or a number and PyYAML's does not: they are
# quoted. A hash such as 12e4567890 would come back as infinity.
_AMBIGUOUS = re.compile(
    r"^([yYnN]|[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+|[-+]?0o[0-7]+)$"
)
_Dumper.add_implicit_resolver("tag:yaml.org,2002:bool", _AMBIGUOUS, list("yYnN-+.0123456789"))


def _tables(
    rendered: list[rendering.Rendered], refused: list[rendering.Refused], *, whole: bool
) -> None:
    # rich comes with the extra `cli`; yaml and json do without.
    try:
        from rich import console
    except ImportError:
        sys.stderr.write("this output needs rich: pip install 'function-inference-service[cli]'\n")
        sys.exit(2)

    wide = None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDTH
    out = console.Console(highlight=False, markup=False, width=wide)
    if not whole:
        out.print(_summary(rendered, refused))
        return
    for item in rendered:
        out.print(_heading(item), style="bold", soft_wrap=True)
        for found in (_objects(item), _conditions(item), _derived(item)):
            out.print(found)
        if item.observed:
            out.print(f"pods {_restarts(item)}", soft_wrap=True)
            out.print()


def _summary(rendered: list[rendering.Rendered], refused: list[rendering.Refused]) -> "table.Table":
    """Returns a line for each claim: where it is, and what applying this does to its pods."""
    grid = _grid("claims", "claim", "phase", "current", "pods", "waits for")
    for item in rendered:
        answer = item.composition
        (current,) = [c for c in answer.conditions if c.type == workload.Current.type()]
        grid.add_row(
            f"{item.resource.namespace}/{item.resource.name}",
            str(answer.status["phase"]),
            current.reason,
            _restarts(item, most=3) if item.observed else "a new claim",
            str(answer.status.get("waitingFor", "")),
        )
    for claim in refused:
        metadata = claim.document.get("metadata") or {}
        name = f"{metadata.get('namespace', 'default')}/{metadata.get('name', '?')}"
        grid.add_row(name, "refused", "", "", "; ".join(map(str, claim.error.problems)))
    return grid


def _heading(item: rendering.Rendered) -> str:
    status = item.composition.status
    waits = f", waiting for: {status['waitingFor']}" if status.get("waitingFor") else ""
    return f"{item.resource.namespace}/{item.resource.name}: {status['phase']}{waits}"


def _grid(title: str, *columns: str) -> "table.Table":
    from rich import box, table

    made = table.Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def _objects(item: rendering.Rendered) -> "table.Table":
    """Returns the objects; ready or not only where a cluster was looked at."""
    grid = _grid("objects", "kind", "name", *(("ready", "waits for") if item.observed else ()))
    for composed in item.composition.resources.values():
        kind = composed.manifest["kind"]
        ready = ("yes" if composed.ready else "no", composed.waits.removeprefix(f"{kind}: "))
        grid.add_row(kind, composed.manifest["metadata"]["name"], *(ready if item.observed else ()))
    return grid


def _conditions(item: rendering.Rendered) -> "table.Table":
    grid = _grid("conditions", "type", "status", "reason", "message")
    for condition in item.composition.conditions:
        grid.add_row(condition.type, condition.status, condition.reason, condition.message)
    return grid


def _derived(item: rendering.Rendered) -> "table.Table":
    grid = _grid("derived values", "value", "result", "rule", "from")
    for why in item.composition.explanations:
        grid.add_row(why.value, why.result, why.rule, why.inputs)
    return grid


def _restarts(item: rendering.Rendered, most: int | None = None) -> str:
    """Returns whether applying this would restart pods, and which fields do it, so many at most."""
    answer = item.composition
    fields = answer.held or answer.restarts
    named = ", ".join(fields[:most])
    if most is not None and len(fields) > most:
        named += f" and {len(fields) - most} more"
    if answer.held:
        return f"keep their template; held back: {named}"
    return f"restart for {named}" if answer.restarts else "stay as they are"
