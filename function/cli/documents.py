"""YAML and JSON documents, from files or standard input."""

import sys
from collections.abc import Iterator
from typing import Any

import yaml

from function import canonical
from function.api import claim


class UnreadableError(Exception):
    """A file is missing or holds no Kubernetes objects."""


def read(name: str) -> Iterator[dict[str, Any]]:
    """Yields the objects in a file; the items of a List each for itself.

    Raises:
        UnreadableError: The file cannot be read, or holds something else.
    """
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
        if not isinstance(document, dict):
            raise UnreadableError(f"{name}: not a Kubernetes object")
        if document.get("kind", "").endswith("List") and isinstance(document.get("items"), list):
            yield from (canonical.plain(item) for item in document["items"])
        else:
            yield canonical.plain(document)


def claims(names: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields each claim with the file that it came from; other kinds are passed over."""
    for name in names:
        for document in read(name):
            if document.get("kind") == claim.KIND:
                label = (document.get("metadata") or {}).get("name", "?")
                yield f"{name} ({label})", document


class _Loader(yaml.SafeLoader):
    """YAML as Kubernetes reads it: no dates, and a number is a number."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
