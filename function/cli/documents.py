"""YAML and JSON documents, from files or standard input."""

import pathlib
import re
import sys
from collections.abc import Hashable, Iterator
from typing import Any

import yaml

from function import canonical
from function.api import claim

_SUFFIXES = frozenset((".json", ".yaml", ".yml"))


class UnreadableError(Exception):
    """A file is missing or holds no Kubernetes objects."""


def files(name: str) -> list[str]:
    """Returns the files of a directory at any depth, by name; a file or `-` is itself."""
    place = pathlib.Path(name)
    if not place.is_dir():
        return [name]
    return sorted(str(path) for path in place.rglob("*") if path.suffix in _SUFFIXES)


def read(name: str) -> Iterator[dict[str, Any]]:
    """Yields the objects in a file, or in all of a directory; the items of a List one by one.

    Raises:
        UnreadableError: A file cannot be read, or holds something else.
    """
    for file in files(name):
        yield from _read(file)


def _read(name: str) -> Iterator[dict[str, Any]]:
    try:
        if name == "-":
            text = sys.stdin.read()
        else:
            with open(name, encoding="utf-8") as file:
                text = file.read()
        parsed = list(yaml.load_all(text, Loader=_Loader))
    except OSError as error:
        raise UnreadableError(f"{name}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UnreadableError(f"{name}: not UTF-8") from None
    except yaml.YAMLError as error:
        raise UnreadableError(f"{name}: {error}") from None
    for document in parsed:
        if document is None:
            continue
        items = [document]
        if _is_object(document) and document["kind"].endswith("List"):
            listed = document.get("items")
            items = listed if isinstance(listed, list) else []
        for item in items:
            if not _is_object(item):
                raise UnreadableError(f"{name}: not a Kubernetes object")
            yield canonical.plain(item)


def _is_object(document: Any) -> bool:
    """Tells whether a document has the form that every Kubernetes object has."""
    return (
        isinstance(document, dict)
        and isinstance(document.get("kind"), str)
        and isinstance(document.get("metadata") or {}, dict)
    )


def claims(
    names: tuple[str, ...],
) -> tuple[list[tuple[str, dict[str, Any]]], list[UnreadableError]]:
    """Returns each claim with the file that it came from, and the files that cannot be read.

    Other kinds are passed over. One bad file of a directory must not hide the claims of the rest.
    """
    found: list[tuple[str, dict[str, Any]]] = []
    unreadable: list[UnreadableError] = []
    for name in (file for given in names for file in files(given)):
        try:
            for document in _read(name):
                if document["kind"] == claim.KIND:
                    label = (document.get("metadata") or {}).get("name", "?")
                    found.append((f"{name} ({label})", document))
        except UnreadableError as error:
            unreadable.append(error)
    return found, unreadable


class _Loader(yaml.SafeLoader):
    """YAML as Kubernetes reads it: no dates, no clock times; keys are text and stand once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Returns the mapping.

        Raises:
            yaml.constructor.ConstructorError: A key is no text (`on` is a boolean), or stands
                there twice: one of the two values would be lost without a word.
        """
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            if not isinstance(key, yaml.ScalarNode):
                raise _wrong_key(key, "a key is no text")
            if key.tag != "tag:yaml.org,2002:str":
                raise _wrong_key(key, f"key {key.value!r} is no text: quote it")
            if key.value in seen:
                raise _wrong_key(key, f"key {key.value!r} stands here twice")
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _wrong_key(key: yaml.Node, message: str) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, message, key.start_mark)


# PyYAML takes 12:30 for the number 750 and 1e3 for a word; the API server's reader does neither.
_NUMBERS = {
    "tag:yaml.org,2002:int": re.compile(r"^[-+]?(0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)$"),
    "tag:yaml.org,2002:float": re.compile(
        r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|^[-+]?\.(inf|Inf|INF)$"
        r"|^\.(nan|NaN|NAN)$"
    ),
}
_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag not in ("tag:yaml.org,2002:timestamp", *_NUMBERS)
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _tag, _pattern in _NUMBERS.items():
    _Loader.add_implicit_resolver(_tag, _pattern, list("-+.0123456789"))
