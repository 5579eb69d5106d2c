"""Kubernetes objects in files, directories and standard input, and which of them are claims."""

import dataclasses
import difflib
from collections.abc import Iterable, Iterator
from typing import Any

import yaml

from function import canonical, strict_yaml
from function.api import base, claim
from function.cli import places, trees
from function.composites import composite, registry

# Characters of a claim as JSON: what the function takes (`function/server/intake.py`).
MOST_CLAIM = 256 * 1024

_LIST = "List"
# From this likeness on, of 1, a kind or a group is taken for a misspelt one of ours.
_LIKE = 0.8


UnreadableError = trees.UnreadableError


@dataclasses.dataclass(frozen=True)
class Source:
    """A claim, and where it was read.

    Attributes:
        file: The file's name; `-` is standard input.
        document: The claim.
        misspelt: Why it is no claim though it is meant as one, or empty.
        node: The claim as YAML's nodes, which know their lines; None for one that no file has.
    """

    file: str
    document: dict[str, Any]
    misspelt: str = ""
    node: yaml.Node | None = dataclasses.field(default=None, repr=False, compare=False)

    @property
    def name(self) -> str:
        """The claim's name, or `?`."""
        return base.printable(str((self.document.get("metadata") or {}).get("name") or "?"))

    @property
    def namespace(self) -> str:
        """The claim's namespace."""
        return namespace(self.document)

    def __str__(self) -> str:
        """The file, and which of its documents."""
        return f"{self.file} ({self.name})"


@dataclasses.dataclass
class Claims:
    """What was read where claims are expected.

    Attributes:
        sources: The claims, in the order of files and documents; misspelt ones too.
        unreadable: What could not be read.
        notes: What was passed over though it looks like a claim.
        piped: Objects of standard input, of whatever kind.
    """

    sources: list[Source] = dataclasses.field(default_factory=list)
    unreadable: list[UnreadableError] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    piped: int = 0


def claims(names: Iterable[str], tree: trees.Tree = trees.DISK) -> Claims:
    """Returns the claims in files and directories.

    Objects of other kinds are passed over. One bad file must not hide the claims of the rest.
    """
    result = Claims()
    for file, document, node in _each(names, result.unreadable, tree):
        source = Source(file, document, node=node)
        result.piped += file == trees.STANDARD_INPUT
        if registry.of(document) is not None and _size(document) > MOST_CLAIM:
            words = f"the claim has more than {MOST_CLAIM // 1024} KiB in spec and annotations"
            line = strict_yaml.line_of(node)
            result.unreadable.append(UnreadableError(f"({source.name}) {words}", file, line))
            continue
        group, kind = _group(document), str(document["kind"])
        meant = next((one for one in registry.COMPOSITES if _like(kind, one[1])), None)
        ours = meant is not None and group in (meant[0], None)
        if (kind == claim.KIND and ours) or registry.of(document) is not None:
            result.sources.append(source)
        elif meant is not None and (ours or _like(group or "", meant[0])):
            words = _meant(document, registry.COMPOSITES[meant])
            result.sources.append(dataclasses.replace(source, misspelt=words))
        elif meant is not None:
            result.notes.append(
                f"{source}: {kind} of group {group or 'core'} is passed over: claims are of group"
                f" {meant[0]}"
            )
    return result


def read(name: str, tree: trees.Tree = trees.DISK) -> Iterator[dict[str, Any]]:
    """Yields the objects in a file, or in all of a directory; the items of a List one by one.

    Raises:
        UnreadableError: A file cannot be read, or holds something else.
    """
    unreadable: list[UnreadableError] = []
    for _, document, _ in _each([name], unreadable, tree):
        if unreadable:
            break
        yield document
    if unreadable:
        raise unreadable[0]


def sources(name: str) -> Iterator[Source]:
    """Yields the objects in a file with their nodes, as far as they can be read."""
    for file, document, node in _each([name], [], trees.DISK):
        yield Source(file, document, node=node)


def namespace(document: dict[str, Any]) -> str:
    """Returns the namespace that an object of a namespaced kind is in."""
    return base.printable(str((document.get("metadata") or {}).get("namespace") or "default"))


def _size(document: dict[str, Any]) -> int:
    """Returns how many characters spec and annotations of a claim have as JSON."""
    annotations = (document.get("metadata") or {}).get("annotations")
    return len(canonical.dumps([document.get("spec"), annotations]))


def _group(document: dict[str, Any]) -> str | None:
    """Returns the group of an object's kind, or None where it names no version."""
    version = document.get("apiVersion")
    return version.rpartition("/")[0] if isinstance(version, str) else None


def _like(word: str, ours: str) -> bool:
    return difflib.SequenceMatcher(None, word.lower(), ours.lower()).ratio() >= _LIKE


def _meant(document: dict[str, Any], meant: composite.Composite) -> str:
    named = f"{document.get('apiVersion', 'no apiVersion')}, {document['kind']}"
    ours = f"{meant.GROUP}/{meant.VERSION}, {meant.KIND}"
    return f"there is no such kind: {named}; a claim is {ours}"


def _each(
    names: Iterable[str], unreadable: list[UnreadableError], tree: trees.Tree
) -> Iterator[tuple[str, dict[str, Any], yaml.Node]]:
    """Yields each object with its file and nodes; what cannot be read is added to the list."""
    for name in names:
        for file in tree.files(name, unreadable.append):
            try:
                text = tree.text(file)
            except UnreadableError as error:
                unreadable.append(error)
                continue
            stream = strict_yaml.load(text)
            for document in stream.documents:
                for item, node in _objects(document):
                    if _is_object(item):
                        yield file, canonical.plain(item), node
                    else:
                        line = strict_yaml.line_of(node)
                        unreadable.append(UnreadableError("not a Kubernetes object", file, line))
            if stream.error is not None:
                line, column = strict_yaml.where(stream.error, text) or (0, 0)
                words = strict_yaml.words(stream.error)
                unreadable.append(UnreadableError(words, file, line, column))


def _objects(document: strict_yaml.Document) -> list[tuple[Any, yaml.Node]]:
    """Returns a document's objects: the items of a List, or itself; an empty one has none."""
    value = document.value
    if value is None:
        return []
    if _is_object(value) and value["kind"].endswith(_LIST):
        items = value.get("items")
        if not isinstance(items, list):
            return []
        return list(zip(items, places.items(document.node, "items"), strict=True))
    return [(value, document.node)]


def _is_object(document: Any) -> bool:
    """Tells whether a document has the form that every Kubernetes object has."""
    return (
        isinstance(document, dict)
        and isinstance(document.get("kind"), str)
        and isinstance(document.get("metadata") or {}, dict)
    )
