"""Writes what is generated from the models: XRD, input's schema, reference, editors' schema.

`python -m function.api.generate` writes the files, `--check` names those that are stale and exits
with 1. Paths are relative to the repository's root, which is where it has to run.
"""

import argparse
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import yaml

from function.api import claim, editor, reference, schema, settings, status

ROOT = pathlib.Path(__file__).resolve().parents[2]
INPUT_GROUP = "inference-service.cloud.ogenki.io"
INPUT_VERSION = "v1alpha1"

XRD = pathlib.Path(f"xrd/{claim.PLURAL}.{claim.GROUP}.yaml")
INPUT = pathlib.Path(f"package/input/{INPUT_GROUP}_settings.yaml")
CLAIM_REFERENCE = pathlib.Path("docs/reference/claim.md")
CLAIM_EDITOR_SCHEMA = pathlib.Path("docs/reference/inferenceservice.schema.json")
SETTINGS_REFERENCE = pathlib.Path("docs/reference/settings.md")

_WORDS = "Generated from function/api by `make generate`; edits here are lost."
_NOTICE = f"# {_WORDS}\n"

# SERVED MODELS is 0.9.0's own column. A column without a value stays empty, so the wide ones show
# what the author wrote and what the pods were started with, never a default.
_COLUMNS: tuple[tuple[str, str, str, int], ...] = (
    ("PHASE", "string", ".status.phase", 0),
    ("REPLICAS", "string", ".status.replicas", 0),
    ("CURRENT", "string", ".status.conditions[?(@.type=='Current')].status", 0),
    ("WAITING FOR", "string", ".status.waitingFor", 0),
    ("SERVED MODELS", "string", ".status.servedModelsSummary", 0),
    ("ENDPOINT", "string", ".status.modelEndpoint", 0),
    ("GPU", "string", ".status.gpu", 0),
    ("REPOSITORY", "string", ".status.serving.repository", 1),
    ("REVISION", "string", ".status.serving.revision", 1),
    ("ENGINE IMAGE", "string", ".status.serving.engineImage", 1),
    ("MIN", "integer", ".spec.scaling.minReplicas", 1),
    ("MAX", "integer", ".spec.scaling.maxReplicas", 1),
)


def files() -> dict[pathlib.Path, str]:
    """Returns the text of every generated file by its path in the repository."""
    return {
        XRD: _yaml(composite_definition()),
        INPUT: _yaml(input_definition()),
        CLAIM_REFERENCE: reference.of_claim(),
        CLAIM_EDITOR_SCHEMA: editor.text(_WORDS),
        SETTINGS_REFERENCE: reference.of_settings(),
    }


def composite_definition() -> dict[str, Any]:
    """Returns the CompositeResourceDefinition of the claim."""
    return {
        "apiVersion": "apiextensions.crossplane.io/v2",
        "kind": "CompositeResourceDefinition",
        "metadata": {"name": f"{claim.PLURAL}.{claim.GROUP}"},
        "spec": {
            "scope": "Namespaced",
            "group": claim.GROUP,
            # Immutable, so no more than what 0.9.0's XRD says: with one name more, Crossplane
            # could never take that XRD over. The API server derives the rest.
            "names": {"kind": claim.KIND, "plural": claim.PLURAL},
            "versions": [
                {
                    "name": claim.VERSION,
                    "served": True,
                    "referenceable": True,
                    "additionalPrinterColumns": [_column(*column) for column in _COLUMNS],
                    "schema": {"openAPIV3Schema": claim_schema()},
                }
            ],
        },
    }


def claim_schema() -> schema.Node:
    """Returns the schema of the claim as the XRD holds it.

    Crossplane adds `spec.crossplane` and the conditions itself. Of metadata it keeps the name's
    `maxLength` alone (crossplane-runtime, pkg/xcrd/crd.go), so the name's pattern is a rule.
    """
    root = schema.of_model(claim.InferenceService)
    root["required"] = ["spec"]
    root["properties"] = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {
            "type": "object",
            "properties": {"name": {"type": "string", "maxLength": claim.LONGEST_NAME}},
        },
        "spec": schema.of_model(claim.Spec, without=("crossplane",)),
        "status": schema.of_model(status.Status),
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


def stale(root: pathlib.Path = ROOT) -> list[pathlib.Path]:
    """Returns the generated files that are missing or differ from what would be written."""
    return [
        path
        for path, text in files().items()
        if not (root / path).is_file() or (root / path).read_text(encoding="utf-8") != text
    ]


def write(root: pathlib.Path = ROOT) -> None:
    """Writes every generated file."""
    for path, text in files().items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the files, or checks them; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m function.api.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only name the files that are stale")
    parser.add_argument("--root", type=pathlib.Path, default=ROOT, help="the repository's root")
    options = parser.parse_args(arguments)
    if not options.check:
        write(options.root)
        return 0
    found = stale(options.root)
    for path in found:
        print(f"{path} is stale: run `make generate`", file=sys.stderr)
    return 1 if found else 0


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
