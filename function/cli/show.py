"""Renders for machines and for people."""

import json
import sys

import yaml

from function.cli import rendering


def write(rendered: list[rendering.Rendered], output: str) -> None:
    """Writes the renders to standard output."""
    if output == "table":
        _tables(rendered)
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


def _tables(rendered: list[rendering.Rendered]) -> None:
    # rich comes with the extra `cli`; the other outputs do without.
    try:
        from rich import box, console, table
    except ImportError:
        sys.stderr.write("--output table needs the extra: pip install '.[cli]'\n")
        sys.exit(2)

    out = console.Console(highlight=False)

    def grid(title: str, *columns: str) -> table.Table:
        made = table.Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        for column in columns:
            made.add_column(column, overflow="fold")
        return made

    for item in rendered:
        answer = item.composition
        out.print(
            f"[bold]{item.resource.namespace}/{item.resource.name}[/bold]"
            f"  phase {answer.status['phase']}"
        )
        objects = grid("objects", "kind", "name", "ready", "waits for")
        for composed in answer.resources.values():
            manifest = composed.manifest
            objects.add_row(
                manifest["kind"],
                manifest["metadata"]["name"],
                "yes" if composed.ready else "no",
                composed.waits,
            )
        out.print(objects)
        conditions = grid("conditions", "type", "status", "reason", "message")
        for condition in answer.conditions:
            conditions.add_row(
                condition.type, condition.status, condition.reason, condition.message
            )
        out.print(conditions)
        derived = grid("derived values", "value", "result", "rule", "from")
        for why in answer.explanations:
            derived.add_row(why.value, why.result, why.rule, why.inputs)
        out.print(derived)
        if item.observed:
            out.print(_restarts(item), markup=False)


def _restarts(item: rendering.Rendered) -> str:
    """Returns whether applying this would restart pods, and which field does it."""
    answer = item.composition
    if answer.held:
        return "pods keep their template; held back: " + ", ".join(answer.held)
    if answer.restarts:
        return "applying this restarts pods: " + ", ".join(answer.restarts)
    return "applying this restarts no pod"
