"""Writes what is generated: XRDs, the input's schema, reference pages, editors' schema, tables.

`python -m function.generate` writes the files, `--check` names those that are stale and exits with
1. Paths are relative to the repository's root, which is where it has to run.
"""

import argparse
import pathlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

from function import claim_rows, kinds
from function.api import editor, reference, schema, settings
from function.cli import entries
from function.composites import composite, registry
from function.concerns import concerns, reasons
from function.engines.tei import models
from function.findings import table
from function.fleet import report as fleet
from function.fleet import rows as doors

ROOT = pathlib.Path(__file__).resolve().parents[1]
INPUT_GROUP = "inference-service.cloud.ogenki.io"
INPUT_VERSION = "v1alpha1"

INPUT = pathlib.Path(f"package/input/{INPUT_GROUP}_settings.yaml")
CLAIM_REFERENCE = pathlib.Path("docs/reference/claim.md")
GATEWAY_REFERENCE = pathlib.Path("docs/reference/gateway.md")
CLAIM_EDITOR_SCHEMA = pathlib.Path("docs/reference/inferenceservice.schema.json")
SETTINGS_REFERENCE = pathlib.Path("docs/reference/settings.md")
OPERATIONS = pathlib.Path("docs/operations.md")
ENTRIES = pathlib.Path("function/cli/entries.json")
FINDINGS = pathlib.Path("docs/findings.md")
LIFE = pathlib.Path("docs/life-of-a-claim.md")
FRONT_DOOR = pathlib.Path("docs/front-door.md")
ENGINES = pathlib.Path("docs/engines.md")

_WORDS = "Generated from function/api by `make generate`; edits here are lost."
_NOTICE = f"# {_WORDS}\n"


def xrd_path(kind: composite.Composite) -> pathlib.Path:
    """Returns where a kind of claim has its CompositeResourceDefinition."""
    return pathlib.Path(f"xrd/{kind.PLURAL}.{kind.GROUP}.yaml")


def files() -> dict[pathlib.Path, str]:
    """Returns the text of every file that is generated whole, by its path in the repository."""
    return {
        **{
            xrd_path(kind): _yaml(composite_definition(kind))
            for kind in registry.COMPOSITES.values()
        },
        INPUT: _yaml(input_definition()),
        CLAIM_REFERENCE: reference.of_claim(),
        GATEWAY_REFERENCE: reference.of_gateway(),
        CLAIM_EDITOR_SCHEMA: editor.text(_WORDS),
        SETTINGS_REFERENCE: reference.of_settings(),
        FINDINGS: table.page(),
    }


def composite_definition(kind: composite.Composite) -> dict[str, Any]:
    """Returns the CompositeResourceDefinition of a kind of claim."""
    return {
        "apiVersion": "apiextensions.crossplane.io/v2",
        "kind": "CompositeResourceDefinition",
        "metadata": {"name": f"{kind.PLURAL}.{kind.GROUP}"},
        "spec": {
            "scope": "Namespaced",
            "group": kind.GROUP,
            # Immutable, so no more than what 0.9.0's XRD says: with one name more, Crossplane
            # could never take that XRD over. The API server derives the rest.
            "names": {"kind": kind.KIND, "plural": kind.PLURAL},
            "versions": [
                {
                    "name": kind.VERSION,
                    "served": True,
                    "referenceable": True,
                    "additionalPrinterColumns": [_column(*column) for column in kind.COLUMNS],
                    "schema": {"openAPIV3Schema": composite_schema(kind)},
                }
            ],
        },
    }


def composite_schema(kind: composite.Composite) -> schema.Node:
    """Returns the schema of a kind of claim as the XRD holds it.

    Crossplane adds `spec.crossplane` and the conditions itself. Of metadata it keeps the name's
    `maxLength` alone (crossplane-runtime, pkg/xcrd/crd.go), so the name's pattern is a rule.
    """
    root = schema.of_model(kind.MODEL)
    root["required"] = ["spec"]
    root["properties"] = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {
            "type": "object",
            "properties": {"name": {"type": "string", "maxLength": kind.LONGEST_NAME}},
        },
        "spec": schema.of_model(kind.SPEC, without=("crossplane",)),
        "status": schema.of_model(kind.STATUS),
    }
    return root


def input_definition() -> dict[str, Any]:
    """Returns the CustomResourceDefinition that says what the Composition's input may hold.

    Function packages carry it for people and tools; Crossplane does not install it.
    """
    root = schema.of_model(settings.Input, without=("api_version", "kind", "metadata"))
    root.pop("required", None)
    root["properties"] = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
    } | root["properties"]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"settings.{INPUT_GROUP}"},
        "spec": {
            "scope": "Namespaced",
            "group": INPUT_GROUP,
            "names": {
                "kind": "Settings",
                "listKind": "SettingsList",
                "plural": "settings",
                "singular": "settings",
            },
            "versions": [
                {
                    "name": INPUT_VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": root},
                }
            ],
        },
    }


# --- tables in pages that are written by hand


def tables() -> dict[pathlib.Path, dict[str, str]]:
    """Returns the generated tables of each page, by the name in the marks around them."""
    return {
        OPERATIONS: {
            kind.type(): _reasons(kind) for kind in (*concerns.CONDITIONS, *fleet.OWN_CONDITIONS)
        },
        LIFE: {"kinds": _kinds(claim_rows.every()), "readiness": _readiness(claim_rows.every())},
        FRONT_DOOR: {"kinds": _kinds(doors.ROWS), "readiness": _readiness(doors.ROWS)},
        ENGINES: {
            "families": _table(
                ("Family", "On CPUs", "On GPUs", "Computed in", "Ranks and classifies"),
                list(models.table()),
            )
        },
    }


def _reasons(kind: type[reasons.Reasons]) -> str:
    rows = [
        (
            f"`{reason.name}`",
            reasons.STATUS[reason.holds],
            reason.meaning,
            reason.action or "Nothing.",
        )
        for reason in (member.reason for member in kind)
    ]
    return _table(("Reason", "Status", "Meaning", "What to do"), rows)


def _kinds(listed: Iterable[kinds.Row]) -> str:
    rows = [(f"`{row.suffix}`", row.kind.name, row.object_name, row.when) for row in listed]
    return _table(("Key suffix", "Kind", "Name", "When"), rows)


def _readiness(listed: Iterable[kinds.Row]) -> str:
    words: dict[str, list[str]] = {}
    for row in listed:
        names = words.setdefault(row.kind.ready_when, [])
        if row.kind.name not in names:
            names.append(row.kind.name)
    rows = [(", ".join(names), ready_when) for ready_when, names in words.items()]
    return _table(("Kind", "Ready when"), rows)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _mark(name: str) -> tuple[str, str]:
    return f"<!-- generated: {name} -->\n", f"<!-- end of {name} -->\n"


def filled(text: str, generated: Mapping[str, str]) -> str:
    """Returns a page with its generated tables in it.

    Raises:
        ValueError: The page has no marks for one of them.
    """
    for name, written in generated.items():
        begin, end = _mark(name)
        before, opened, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not opened or not closed:
            raise ValueError(f"no marks for {name}: {begin}{end}")
        text = before + begin + written + end + after
    return text


def stale(root: pathlib.Path = ROOT) -> list[pathlib.Path]:
    """Returns the generated files that are missing or differ from what would be written."""
    return [
        path
        for path, text in _everything(root).items()
        if not (root / path).is_file() or (root / path).read_text(encoding="utf-8") != text
    ]


def _everything(root: pathlib.Path) -> dict[pathlib.Path, str]:
    pages = {
        path: filled((root / path).read_text(encoding="utf-8"), generated)
        for path, generated in tables().items()
        if (root / path).is_file()
    }
    entered = {ENTRIES: entries.dumps(pages[OPERATIONS])} if OPERATIONS in pages else {}
    return files() | pages | entered


def write(root: pathlib.Path = ROOT) -> None:
    """Writes every generated file."""
    for path, text in _everything(root).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the files, or checks them; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m function.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only name the files that are stale")
    parser.add_argument("--root", type=pathlib.Path, default=ROOT, help="the repository's root")
    options = parser.parse_args(arguments)
    if not options.check:
        write(options.root)
        return 0
    paths = stale(options.root)
    for path in paths:
        print(f"{path} is stale: run `make generate`", file=sys.stderr)
    return 1 if paths else 0


def _column(name: str, kind: str, path: str, priority: int) -> dict[str, Any]:
    column: dict[str, Any] = {"name": name, "type": kind, "jsonPath": path}
    return column | ({"priority": priority} if priority else {})


class _Dumper(yaml.SafeDumper):
    """Writes shared nodes out in full: an anchor is noise in a manifest."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _yaml(document: dict[str, Any]) -> str:
    return _NOTICE + yaml.dump(
        document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100
    )


if __name__ == "__main__":
    sys.exit(main())
