"""YAML as Kubernetes reads and writes it, by libyaml where PyYAML was built with it."""

import dataclasses
import functools
import gc
import io
import re
from collections.abc import Hashable, Iterator
from typing import Any

import yaml

from function import memo

# libyaml's composer recurses in C: nesting of some 30,000 levels ends the process. A Kubernetes
# object has about 20.
MOST_LEVELS = 200
# Values that all aliases of a text repeat: some hundred bytes can stand for 10^9 of them.
MOST_REPEATED = 100_000
# Characters of a value that count as another one.
_LONG = 256

# Without libyaml the same classes work in Python, some five times slower.
_BaseLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BaseDumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

_TEXT = "tag:yaml.org,2002:str"
_MERGE = "tag:yaml.org,2002:merge"


@dataclasses.dataclass(frozen=True)
class Document:
    """One document.

    Attributes:
        value: What it says.
        node: The same as YAML's nodes, which know their lines.
    """

    value: Any
    node: yaml.Node

    @property
    def line(self) -> int:
        """The line that it begins at, from 1."""
        return line_of(self.node)


@dataclasses.dataclass(frozen=True)
class Stream:
    """What was read of a text.

    Attributes:
        documents: The documents.
        error: Why there is no more, or None at the text's end.
    """

    documents: list[Document]
    error: yaml.YAMLError | None


def load(text: str) -> Stream:
    """Returns the documents of a text, up to its end or to the first mistake."""
    documents: list[Document] = []
    # Looking for garbage among ever more nodes would take half of the time.
    collects = gc.isenabled()
    gc.disable()
    try:
        _bound(text)
        loader = Loader(text)
        while loader.check_node():
            node = loader.get_node()
            documents.append(Document(loader.construct_document(node), node))
        return Stream(documents, None)
    except yaml.YAMLError as error:
        return Stream(documents, error)
    finally:
        if collects:
            gc.enable()


def _bound(text: str) -> None:
    """Ensures that nothing is nested too deeply to be composed, without end or repeated too often.

    Raises:
        yaml.MarkedYAMLError: Something is.
    """
    # Collections that are not closed yet, and what each anchor stands for.
    opened: list[_Opened] = []
    anchored: dict[str, _Opened] = {}
    repeated = 0
    try:
        for event in yaml.parse(text, Loader=_BaseLoader):
            anchor = getattr(event, "anchor", None)
            size = 0
            if isinstance(event, yaml.AliasEvent):
                stands_for = anchored.get(anchor or "")
                if any(stands_for is one for one in opened):
                    raise _EndlessError(event, f"*{anchor} stands inside of what it repeats")
                size = 0 if stands_for is None else stands_for.values
                repeated += size
                if repeated > MOST_REPEATED:
                    raise _EndlessError(
                        event, f"aliases up to *{anchor} repeat more than {MOST_REPEATED} values"
                    )
            elif isinstance(event, yaml.ScalarEvent):
                size = 1 + len(event.value) // _LONG
                if anchor is not None:
                    anchored[anchor] = _Opened(size)
            elif isinstance(event, yaml.CollectionStartEvent):
                opened.append(_Opened(1))
                if anchor is not None:
                    anchored[anchor] = opened[-1]
            elif isinstance(event, yaml.CollectionEndEvent):
                size = opened.pop().values
            if opened and not isinstance(event, yaml.CollectionStartEvent):
                opened[-1].values += size
            if len(opened) > MOST_LEVELS:
                raise _EndlessError(event, f"more than {MOST_LEVELS} levels deep")
    except _EndlessError:
        raise
    except yaml.YAMLError:
        return  # The loader says it, after the documents before it.


@dataclasses.dataclass(eq=False)
class _Opened:
    """A collection or a text, with how many values it is, aliases written out."""

    values: int


class _EndlessError(yaml.MarkedYAMLError):
    """Something is nested too deeply, without end, or repeated too often."""

    def __init__(self, event: yaml.Event, problem: str) -> None:
        super().__init__(problem=problem)
        self.problem_mark = event.start_mark  # type: ignore[assignment]


def dump(documents: list[dict[str, Any]]) -> str:
    """Returns documents as one stream.

    They are written as events. PyYAML's `dump_all` makes a node of each value first, and asks for
    each what it would be without quotes: four times the work, mostly for the same keys.
    """
    if not documents:
        return ""
    return str(yaml.emit(_events(documents), Dumper=_BaseDumper, width=1000))


def _events(documents: list[dict[str, Any]]) -> Iterator[yaml.Event]:
    yield yaml.StreamStartEvent()
    for document in documents:
        yield yaml.DocumentStartEvent(explicit=True)
        events: list[yaml.Event] = []
        _add(document, events)
        yield from events
        yield yaml.DocumentEndEvent()
    yield yaml.StreamEndEvent()


_BEGINS = yaml.MappingStartEvent(None, None, True, flow_style=False)
_ENDS = yaml.MappingEndEvent()
_LIST_BEGINS = yaml.SequenceStartEvent(None, None, True, flow_style=False)
_LIST_ENDS = yaml.SequenceEndEvent()


def _add(value: Any, events: list[yaml.Event]) -> None:
    """Adds the events of a value. Generators would hand each event up through all levels."""
    if isinstance(value, dict):
        events.append(_BEGINS)
        for key, part in value.items():
            events.append(_scalar(key))
            _add(part, events)
        events.append(_ENDS)
    elif isinstance(value, list | tuple):
        events.append(_LIST_BEGINS)
        for part in value:
            _add(part, events)
        events.append(_LIST_ENDS)
    else:
        events.append(_scalar(value))


def line_of(node: yaml.Node) -> int:
    """Returns the line that a node begins at, from 1."""
    return int(node.start_mark.line) + 1


def where(error: yaml.YAMLError, text: str) -> tuple[int, int] | None:
    """Returns line and column of an error, both from 1, or None where it has no place."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is not None:
        return mark.line + 1, mark.column + 1
    if isinstance(error, yaml.reader.ReaderError):
        before = text.encode()[: error.position]
        return before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
    return None


def words(error: yaml.YAMLError) -> str:
    """Returns what is wrong, in one line and without the place."""
    context, problem = getattr(error, "context", None), getattr(error, "problem", None)
    begun, mark = getattr(error, "context_mark", None), getattr(error, "problem_mark", None)
    if context and begun is not None and mark is not None and begun.line != mark.line:
        context += f" from line {begun.line + 1} on"
    return ", ".join(part for part in (context, problem) if part) or str(error).splitlines()[0]


class Loader(_BaseLoader):  # type: ignore[misc]
    """No dates, no clock times; keys are text and stand once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Returns the mapping.

        Raises:
            yaml.constructor.ConstructorError: A key is no text (`on` is a boolean), or stands
                there twice: one of the two values would be lost without a word.
        """
        keys: set[str] = set()
        for key, _ in node.value:
            if key.tag == _MERGE:
                continue
            if not isinstance(key, yaml.ScalarNode):
                raise _wrong_key(key, "a key is no text")
            if key.tag != _TEXT:
                raise _wrong_key(key, f"key {key.value!r} is no text: quote it")
            if key.value in keys:
                raise _wrong_key(key, f"key {key.value!r} stands here twice")
            keys.add(key.value)
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return mapping


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
Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag not in ("tag:yaml.org,2002:timestamp", *_NUMBERS)
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _tag, _pattern in _NUMBERS.items():
    Loader.add_implicit_resolver(_tag, _pattern, list("-+.0123456789"))


class Dumper(_BaseDumper):  # type: ignore[misc]
    """YAML without anchors: a manifest is read top to bottom."""

    def ignore_aliases(self, data: object) -> bool:
        """Tells that every value is written where it stands."""
        return True


# Words that Kubernetes' reader takes for a boolean or a number and PyYAML's does not: they are
# quoted. A hash such as 12e4567890 would come back as infinity, and 0947265260 as 947265260.
_AMBIGUOUS = re.compile(
    r"^([yYnN]|[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+|[-+]?0o[0-7]+|[-+]?0[0-9]+)$"
)
Dumper.add_implicit_resolver("tag:yaml.org,2002:bool", _AMBIGUOUS, list("yYnN-+.0123456789"))
Dumper.add_representer(memo.Manifest, _BaseDumper.represent_dict)
# Writes nothing: it knows how a value is written.
_FORMS = Dumper(io.StringIO())


# By type too: 1 and True are equal.
@functools.lru_cache(maxsize=8192, typed=True)
def _scalar(value: Any) -> yaml.Event:
    node = _FORMS.represent_data(value)
    plain, quoted = (
        _FORMS.resolve(yaml.ScalarNode, node.value, form) == node.tag
        for form in ((True, False), (False, True))
    )
    return yaml.ScalarEvent(None, node.tag, (plain, quoted), node.value, style=node.style)
