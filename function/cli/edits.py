"""Changes of YAML text: comments, order and spelling of everything that stays are kept.

A change is made where the text has the value. What cannot be changed in its place, such as a value
behind an anchor or in braces, is written anew, as small a part as possible. What comes out is read
again: it must be what was asked for.
"""

import dataclasses
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from function import strict_yaml
from function.cli import annotated

Path = tuple[str | int, ...]


@dataclasses.dataclass(frozen=True)
class Place:
    """Where an object stands in a text.

    Attributes:
        document: Which of the text's documents, from 0.
        path: Where in the document: empty, or the item of a List.
    """

    document: int
    path: Path = ()


@dataclasses.dataclass(frozen=True)
class _Edit:
    """Text from one place to another, and what comes in its stead."""

    start: int
    end: int
    text: str


class _ElsewhereError(Exception):
    """A value cannot be changed in its place."""


def changed(text: str, place: Place, wanted: dict[str, Any], comments: Mapping[Path, str]) -> str:
    """Returns a text in which an object is another one.

    Args:
        text: YAML.
        place: Where the object stands.
        wanted: What it is to be.
        comments: Sentences above fields of it, by path. One that stands there already is not
            repeated.
    """
    result = text
    if value(text, place) != wanted:
        try:
            result = _applied(text, _edits(text, _plain_node(text, place), wanted))
        except _ElsewhereError:
            result = ""
        if not _holds(text, result, place, wanted):
            result = _anew(text, place, wanted)
    for path, sentence in comments.items():
        result = _commented(result, Place(place.document, (*place.path, *path)), sentence)
    return result


def value(text: str, place: Place) -> Any:
    """Returns what stands at a place."""
    return _at(documents(text), place)


def documents(text: str) -> list[Any]:
    """Returns all documents of a text that was read before, and can be read."""
    return list(yaml.load_all(text, Loader=strict_yaml.Loader))


def _at(every: Sequence[Any], place: Place) -> Any:
    held = every[place.document]
    for step in place.path:
        held = held[step]
    return held


def _holds(before: str, after: str, place: Place, wanted: dict[str, Any]) -> bool:
    """Tells whether a text holds what is wanted at a place, and else what it held before."""
    expected = documents(before)
    if place.path:
        *parents, last = place.path
        _at(expected, Place(place.document, tuple(parents)))[last] = wanted
    else:
        expected[place.document] = wanted
    return strict_yaml.load(after).error is None and documents(after) == expected


# --- finding


def _node(text: str, place: Place) -> yaml.Node:
    """Returns the node at a place."""
    nodes = list(yaml.compose_all(text, Loader=strict_yaml.Loader))
    node = nodes[place.document]
    for step in place.path:
        if isinstance(node, yaml.SequenceNode):
            node = node.value[step]
        else:
            node = next(held for key, held in node.value if key.value == step)
    return node


def _plain_node(text: str, place: Place) -> yaml.MappingNode:
    """Returns the mapping at a place.

    Raises:
        _ElsewhereError: It is none, or the text repeats values by name.
    """
    for event in yaml.parse(text, Loader=strict_yaml.Loader):
        if getattr(event, "anchor", None) is not None:
            raise _ElsewhereError
    node = _node(text, place)
    if not isinstance(node, yaml.MappingNode):
        raise _ElsewhereError
    return node


def _last(node: yaml.Node) -> int:
    """Returns where a node's own text ends; that of a block is said to end at the next one."""
    if isinstance(node, yaml.CollectionNode) and node.value and not node.flow_style:
        if isinstance(node, yaml.SequenceNode):
            return _last(node.value[-1])
        key, held = node.value[-1]
        return max(int(key.end_mark.index), _last(held))
    return int(node.end_mark.index)


def _line(text: str, index: int) -> int:
    """Returns where the line of a place begins."""
    return text.rfind("\n", 0, index) + 1


def _below(text: str, index: int) -> int:
    """Returns where the line after a place begins."""
    if index > 0 and text[index - 1] == "\n":
        return index
    end = text.find("\n", index)
    return len(text) if end < 0 else end + 1


# --- changing


def _edits(text: str, node: yaml.MappingNode, wanted: Mapping[str, Any]) -> Iterator[_Edit]:
    """Yields what makes a mapping another one.

    Raises:
        _ElsewhereError: It cannot be changed in its place.
    """
    if node.flow_style or not node.value or not wanted:
        raise _ElsewhereError
    column = node.value[0][0].start_mark.column
    end = 0
    for key, held in node.value:
        start = key.start_mark.index
        end = _below(text, max(key.end_mark.index, _last(held)))
        begin = _line(text, start)
        alone = not text[begin:start].strip(" ")
        if key.value not in wanted:
            if not alone:
                raise _ElsewhereError
            yield _Edit(begin, end, "")
            continue
        now, then = _constructed(text, held), wanted[key.value]
        if now == then:
            continue
        edits = _inside(text, held, now, then)
        if edits is not None:
            yield from edits
        elif alone:
            yield _Edit(begin, end, _entry(key.value, then, column))
        else:
            raise _ElsewhereError
    there = {key.value for key, _ in node.value}
    added = "".join(
        _entry(name, held, column) for name, held in wanted.items() if name not in there
    )
    if added:
        broken = end == len(text) and not text.endswith("\n")
        yield _Edit(end, end, ("\n" if broken else "") + added)


def _inside(text: str, node: yaml.Node, now: Any, then: Any) -> list[_Edit] | None:
    """Returns what makes a value another one, or None where it is written anew."""
    if isinstance(node, yaml.MappingNode) and isinstance(then, dict):
        try:
            return list(_edits(text, node, then))
        except _ElsewhereError:
            return None
    if isinstance(node, yaml.SequenceNode) and isinstance(then, list) and then:
        return _fewer(text, node, now, then)
    start, end = node.start_mark, node.end_mark
    # A value that is not written has no place of its own.
    one_line = start.line == end.line and start.index < end.index
    if isinstance(node, yaml.ScalarNode) and one_line and not isinstance(then, dict | list):
        written = annotated.entry("x", then).removeprefix("x:").strip()
        return [_Edit(start.index, end.index, written)]
    return None


def _fewer(
    text: str, node: yaml.SequenceNode, now: Sequence[Any], then: Sequence[Any]
) -> list[_Edit] | None:
    """Returns what takes items out of a list, or None where others change."""
    if node.flow_style:
        return None
    left, edits = list(then), []
    for item, held in zip(node.value, now, strict=True):
        if left and held == left[0]:
            left.pop(0)
            continue
        begin = _line(text, item.start_mark.index)
        if text[begin : item.start_mark.index].strip(" ") != "-":
            return None
        edits.append(_Edit(begin, _below(text, _last(item)), ""))
    return None if left else edits


def _constructed(text: str, node: yaml.Node) -> Any:
    return strict_yaml.Loader(text).construct_document(node)


def _entry(name: str, held: Any, column: int) -> str:
    return textwrap.indent(annotated.entry(name, held), " " * column)


def _applied(text: str, edits: Iterator[_Edit]) -> str:
    """Returns the text with all edits, from its end to its beginning."""
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end), reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def _anew(text: str, place: Place, wanted: dict[str, Any]) -> str:
    """Returns the text with the whole object written anew: its comments are lost."""
    node = _node(text, place)
    column = node.start_mark.column
    dumped = "".join(annotated.entry(name, held) for name, held in wanted.items())
    written = textwrap.indent(dumped, " " * column).lstrip(" ")
    end = _below(text, _last(node))
    return text[: node.start_mark.index] + written + text[end:]


def _commented(text: str, place: Place, sentence: str) -> str:
    """Returns the text with a comment above a field, unless it stands there or has no place."""
    *parents, name = place.path
    node = _node(text, Place(place.document, tuple(parents)))
    keys = [key for key, _ in node.value if key.value == name]
    if not keys:
        return text
    start = keys[0].start_mark.index
    begin = _line(text, start)
    indent = text[begin:start]
    if indent.strip(" "):
        return text
    lines = "".join(f"{line}\n" for line in annotated.comment(sentence, indent))
    return (
        text
        if lines in text[:begin] and _above(text, begin, lines)
        else (text[:begin] + lines + text[begin:])
    )


def _above(text: str, begin: int, lines: str) -> bool:
    """Tells whether lines are among the comments right above a place."""
    above: list[str] = []
    for line in reversed(text[:begin].splitlines(keepends=True)):
        if not line.lstrip(" ").startswith("#"):
            break
        above.insert(0, line)
    return lines in "".join(above)
