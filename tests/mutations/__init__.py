"""Seeded defects, and the tests that must notice each: a suite is worth what it catches.

`python -m tests.mutations` puts one defect after the other into a copy of the tree and runs the
tests that are named for it. Each file of this folder is a list of defects of one part of the
product. A defect is anchored by a short piece of the text that it replaces.
"""

import dataclasses
import pathlib

import yaml

ROOT = pathlib.Path(__file__).parent.parent.parent
LISTS = pathlib.Path(__file__).parent
PRODUCT = ("function", "preload")


@dataclasses.dataclass(frozen=True)
class Mutation:
    """One defect.

    Attributes:
        name: Of the defect.
        file: Where the text is, relative to the repository.
        old: The text, which stands once in the file.
        new: What the defect puts in its place.
        breaks: What becomes of a cluster, in words.
        tests: Each of these must fail, as pytest takes them.
    """

    name: str
    file: str
    old: str
    new: str
    breaks: str
    tests: tuple[str, ...]


def every(lists: tuple[str, ...] = ()) -> list[Mutation]:
    """Returns all defects, or those of some files of the list."""
    return [
        Mutation(**{**entry, "tests": tuple(entry["tests"])})
        for path in sorted(LISTS.glob("*.yaml"))
        if not lists or path.stem in lists
        for entry in yaml.load(path.read_text(), Loader=yaml.CSafeLoader)
    ]


def places(mutation: Mutation, root: pathlib.Path = ROOT) -> list[str]:
    """Returns each file of the product in which the text stands, once for each time."""
    return [
        str(path.relative_to(root))
        for folder in PRODUCT
        for path in sorted((root / folder).rglob("*.py"))
        for _ in range(path.read_text().count(mutation.old))
    ]


def anchored(mutation: Mutation, root: pathlib.Path = ROOT) -> str | None:
    """Returns what is wrong with a defect's anchor, or None: the text stands once in its file."""
    path = root / mutation.file
    count = path.read_text().count(mutation.old) if path.exists() else 0
    if count == 1:
        return None
    elsewhere = ", ".join(places(mutation, root)) or "nowhere"
    return (
        f"{mutation.name}: the text stands {count} times in {mutation.file}; it is in: {elsewhere}"
    )
