"""The result of a query over a set of samples, for the few forms of PromQL that triggers use.

The evaluation reads the syntax tree and never the text. A form that is not listed here is an
error, so a trigger of a new form cannot pass because it is misread.
"""

import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import promql_parser as parser

Labels = Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Sample:
    """A value of one series; `labels` holds everything but the name."""

    name: str
    labels: Labels
    value: float


class Store(Protocol):
    """A store of series."""

    def instant(self) -> Iterable[Sample]:
        """Returns the newest value of every series that is not stale."""

    def increase(self, seconds: float) -> Iterable[Sample]:
        """Returns by how much every counter grew over the last seconds."""


class UnsupportedError(Exception):
    """The expression has a form that this evaluation does not know."""


@functools.cache
def _parsed(text: str) -> Any:
    return parser.parse(text)


def evaluate(text: str, store: Store) -> list[float]:
    """Returns the values of the instant vector that the query gives; none is an empty vector.

    Raises:
        UnsupportedError: The query has another form than those that triggers use.
    """
    result = _vector(_parsed(text), store)
    return [sample.value for sample in result]


def _vector(node: Any, store: Store) -> list[Sample]:
    if isinstance(node, parser.ParenExpr):
        return _vector(node.expr, store)
    if isinstance(node, parser.VectorSelector):
        return _selected(node, store.instant())
    if isinstance(node, parser.AggregateExpr) and node.modifier is None:
        return _aggregated(str(node.op), [s.value for s in _vector(node.expr, store)])
    if isinstance(node, parser.Call) and node.func.name == "vector":
        return [Sample("", {}, _scalar(node.args[0], store))]
    if isinstance(node, parser.Call) and node.func.name == "rate":
        seconds = node.args[0].range.total_seconds()
        grown = _selected(node.args[0].vector_selector, store.increase(seconds))
        return [dataclasses.replace(s, name="", value=s.value / seconds) for s in grown]
    if isinstance(node, parser.BinaryExpr) and str(node.op) == "or":
        left, right = _vector(node.lhs, store), _vector(node.rhs, store)
        taken = {frozenset(s.labels.items()) for s in left}
        return left + [s for s in right if frozenset(s.labels.items()) not in taken]
    if isinstance(node, parser.BinaryExpr) and str(node.op) == "/":
        divisor = _scalar(node.rhs, store)
        return [
            dataclasses.replace(s, name="", value=s.value / divisor)
            for s in _vector(node.lhs, store)
        ]
    if isinstance(node, parser.BinaryExpr) and str(node.op) == "+":
        others = {frozenset(s.labels.items()): s.value for s in _vector(node.rhs, store)}
        return [
            dataclasses.replace(s, name="", value=s.value + others[frozenset(s.labels.items())])
            for s in _vector(node.lhs, store)
            if frozenset(s.labels.items()) in others
        ]
    raise UnsupportedError(str(node))


def _scalar(node: Any, store: Store) -> float:
    if isinstance(node, parser.NumberLiteral):
        return float(node.val)
    if isinstance(node, parser.Call) and node.func.name == "scalar":
        values = _vector(node.args[0], store)
        return values[0].value if len(values) == 1 else float("nan")
    raise UnsupportedError(str(node))


_AGGREGATIONS: dict[str, Callable[[list[float]], float]] = {"sum": sum, "max": max}


def _aggregated(operation: str, values: list[float]) -> list[Sample]:
    """Returns one sample without labels, or none: an aggregation of nothing is nothing, not 0."""
    if operation not in _AGGREGATIONS:
        raise UnsupportedError(operation)
    return [Sample("", {}, _AGGREGATIONS[operation](values))] if values else []


def _selected(selector: Any, samples: Iterable[Sample]) -> list[Sample]:
    if selector.offset is not None or selector.at is not None or selector.matchers.or_matchers:
        raise UnsupportedError(str(selector))
    wanted = {}
    for matcher in selector.matchers.matchers:
        if matcher.op == parser.MatchOp.Equal:
            wanted[matcher.name] = re.compile(re.escape(matcher.value))
        elif matcher.op == parser.MatchOp.Re:
            # `fullmatch` below anchors the pattern, as PromQL does.
            wanted[matcher.name] = re.compile(matcher.value)
        else:
            raise UnsupportedError(str(selector))
    return [
        sample
        for sample in samples
        if sample.name == selector.name
        and all(pattern.fullmatch(sample.labels.get(name, "")) for name, pattern in wanted.items())
    ]
