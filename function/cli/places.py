"""Which line of a file a field stands on."""

import re
from collections.abc import Iterator

import yaml

from function import strict_yaml

_INDEX = re.compile(r"\[([^\]]*)\]")


def line(node: yaml.Node | None, path: str) -> int:
    """Returns the line of a field, from 1; that of its nearest ancestor where it is absent.

    Args:
        node: The object; None for one that no file has, which is at line 1.
        path: Such as `spec.engineArgs[0]`.
    """
    if node is None:
        return 1
    return [strict_yaml.line_of(node), *_lines(node, path)][-1]


def depth(node: yaml.Node, path: str) -> int:
    """Returns how many steps of a path are there."""
    return len(list(_lines(node, path)))


def items(node: yaml.Node, field: str) -> list[yaml.Node]:
    """Returns the items of a list that is a field of an object."""
    # What stands there itself comes after what is merged into it.
    for key, value in reversed(_pairs(node)):
        if key.value == field and isinstance(value, yaml.SequenceNode):
            return list(value.value)
    return []


def _lines(node: yaml.Node, path: str) -> Iterator[int]:
    """Yields the line of each step of a path, as far as the steps are there."""
    while path:
        step = _step(node, path)
        if step is None:
            return
        at, node, path = step
        yield at


def _step(node: yaml.Node, path: str) -> tuple[int, yaml.Node, str] | None:
    """Returns the line of a path's first step, the node there, and the rest of the path."""
    index = _INDEX.match(path)
    if isinstance(node, yaml.SequenceNode) and index is not None:
        item = _item(node, index[1])
        if item is None:
            return None
        return strict_yaml.line_of(item), item, path[index.end() :].removeprefix(".")
    # A key may have dots itself, such as that of a label: of several the longest is meant.
    fitting = [
        (key, value)
        for key, value in reversed(_pairs(node))
        if path.startswith(key.value) and path[len(key.value) :][:1] in ("", ".", "[")
    ]
    if not fitting:
        return None
    key, value = max(fitting, key=lambda pair: len(pair[0].value))
    return strict_yaml.line_of(key), value, path[len(key.value) :].removeprefix(".")


def _item(node: yaml.SequenceNode, index: str) -> yaml.Node | None:
    """Returns an item by its number or its name, or None."""
    among: list[yaml.Node] = node.value
    if index.isdecimal():
        return among[int(index)] if int(index) < len(among) else None
    for item in among:
        if any(key.value == "name" and value.value == index for key, value in _pairs(item)):
            return item
    return None


def _pairs(node: yaml.Node) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
    if not isinstance(node, yaml.MappingNode):
        return []
    return [(key, value) for key, value in node.value if isinstance(key, yaml.ScalarNode)]
