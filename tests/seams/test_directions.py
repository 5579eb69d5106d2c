"""Who imports whom: a seam is one only while nobody reaches past it."""

import ast
import functools
import pathlib

from tests import cases

ROOT = pathlib.Path(__file__).parents[2]

# What is behind a seam, and who may know it: files or rooms, as their paths begin.
SEAMS = {
    # The claim's own `engineArgs` are vLLM's, and its page lists those that authors must not set.
    "function.engines.vllm": (
        "function/engines/vllm/",
        "function/engines/engines.py",
        "function/engines/advisers.py",
        "function/api/claim.py",
        "function/api/reference.py",
    ),
    "function.engines.tei": (
        "function/engines/tei/",
        "function/engines/engines.py",
        "function/engines/advisers.py",
        "function/generate.py",
    ),
    # Protobuf stays at the door.
    "crossplane": ("function/server/", "function/main.py"),
    "grpc": ("function/server/",),
    "google": ("function/server/",),
    "function.server": ("function/server/", "function/main.py"),
    "function.cli": ("function/cli/", "function/generate.py"),
    # A finding refuses nothing: nothing that composes asks for one.
    "function.findings": (
        "function/findings/",
        "function/cli/",
        "function/engines/adviser.py",
        "function/engines/advisers.py",
        "function/engines/tei/",
        "function/engines/vllm/",
        "function/generate.py",
    ),
    "function.engines.advisers": ("function/cli/", "function/findings/"),
    "preload": ("preload/",),
    "exporter": ("exporter/",),
    "judge": ("judge/",),
    "function": ("function/",),
}


def imported(path: pathlib.Path) -> set[str]:
    """Returns the modules and packages that a file names in its imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


@functools.cache
def files() -> dict[str, set[str]]:
    """Returns for each file what it imports."""
    return {
        path.relative_to(ROOT).as_posix(): imported(path)
        for room in ("function", "preload", "exporter", "judge")
        for path in sorted((ROOT / room).rglob("*.py"))
    }


@cases.together("room", [(room, room) for room in SEAMS])
def test_nobody_reaches_past_a_seam(room: str) -> None:
    users = [
        file
        for file, names in files().items()
        if any(name == room or name.startswith(f"{room}.") for name in names)
    ]
    assert [file for file in users if not file.startswith(SEAMS[room])] == []
    # A place that is listed and needs it no more is taken off the list.
    assert [place for place in SEAMS[room] if not any(f.startswith(place) for f in users)] == []
