"""Renders and verdicts, for machines and for people."""

import json
from typing import Any, Literal

from function import strict_yaml
from function.cli import rendering, result, terminal, verdicts

Output = Literal["yaml", "json", "table", "summary", "verdict-json"]
# Those that say themselves what becomes of claims that no file has.
VERDICTS = ("table", "summary", "verdict-json")


def text(outcome: result.Result, output: Output) -> str:
    """Returns what goes to standard output.

    Raises:
        ImportError: The output needs rich, and it is not installed.
    """
    if output == "verdict-json":
        return _json(outcome.document())
    if output in ("table", "summary"):
        # rich comes with the extra `cli`; the other outputs do without.
        from function.cli import tables

        return tables.of(outcome, whole=output == "table")
    items: list[rendering.Rendered | rendering.Plain] = [*outcome.rendered, *outcome.others]
    documents = [document for item in items for document in rendering.documents_of(item)]
    if output == "json":
        return _json({"apiVersion": "v1", "kind": "List", "items": documents})
    return strict_yaml.dump(documents)


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2) + "\n"


def complain(outcome: result.Result, output: Output) -> None:
    """Writes notes and errors to standard error."""
    if output in VERDICTS:
        for other in outcome.others:
            kind = other.source.document["kind"]
            terminal.complain(f"note: {other.source}: a {kind} is shown by yaml and json alone")
    for note in outcome.notes:
        terminal.complain(f"note: {note}")
    for line in (*outcome.unreadable, *outcome.invalid):
        terminal.complain(line)
    for verdict in outcome.judged:
        if verdict.source is None:
            if output not in VERDICTS:
                name = f"{verdict.namespace}/{verdict.name}"
                terminal.complain(f"note: {name} is observed, and in none of the files")
            continue
        for error in verdict.errors:
            what = "claim: " if error.reason == verdicts.INVALID else ""
            terminal.complain(f"{verdict.source}: {what}{error.message}")
        for note in verdict.notes:
            terminal.complain(f"note: {verdict.source}: {note}")
