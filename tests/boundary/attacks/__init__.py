"""The attacks, as data: a file for each room of the boundary."""

import dataclasses
import pathlib
from collections.abc import Iterator
from typing import Any

from tests import documents


@dataclasses.dataclass(frozen=True)
class Attack:
    """One thing that an author tries.

    Attributes:
        name: What it would gain.
        claim: The claim.
        field: Path of the field that a refusal names.
        opens: The setting that opens it, or None when none does.
        admission: True when the API server refuses it by the claim's schema too.
        under: Settings that it needs beside the file's, merged over both files: another hatch that
            is open, for example, so that its own refusal is reached.
        kubernetes: True when Kubernetes refuses the pod, or the Job, that would come of it.
    """

    name: str
    claim: dict[str, Any]
    field: str
    opens: str | None
    admission: bool
    under: dict[str, Any]
    kubernetes: bool


def _read() -> Iterator[Attack]:
    for path in sorted(pathlib.Path(__file__).parent.glob("*.yaml")):
        for row in documents.parse(path.read_text()):
            keys = {"attack", "spec", "name", "field", "opens", "admission", "under", "kubernetes"}
            unknown = set(row) - keys
            if unknown:
                raise ValueError(f"{path.name}: {sorted(unknown)}")
            claim = {
                "apiVersion": "cloud.ogenki.io/v1alpha1",
                "kind": "InferenceService",
                "metadata": {"name": row.get("name", "qwen"), "namespace": "llm"},
                "spec": {"model": {"repository": "Qwen/Qwen3-8B"}, **row.get("spec", {})},
            }
            yield Attack(
                f"{path.stem}: {row['attack']}",
                claim,
                row["field"],
                row.get("opens"),
                row.get("admission", False),
                row.get("under", {}),
                row.get("kubernetes", False),
            )


ALL = tuple(_read())
