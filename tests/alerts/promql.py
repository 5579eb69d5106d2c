"""What can be read off an expression without running it: selectors, labels, guards."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import promql_parser as parser

from tests.alerts import sources

Labels = frozenset[str]
_SCRAPED = sources.SCRAPE_LABELS - {"namespace"}
SET_OPERATORS = ("and", "or", "unless")


@dataclasses.dataclass(frozen=True)
class Selector:
    """A selector and the calls and aggregations that it stands in, the innermost last."""

    node: Any
    inside: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name of the series."""
        return str(self.node.name)

    @property
    def matchers(self) -> Mapping[str, Any]:
        """The matchers by label."""
        return {matcher.name: matcher for matcher in self.node.matchers.matchers}

    def equals(self, label: str) -> str | None:
        """Returns what a label must be, or None where the selector does not say."""
        matcher = self.matchers.get(label)
        return matcher.value if matcher and matcher.op == parser.MatchOp.Equal else None


@functools.cache
def parse(text: str) -> Any:
    """Returns the syntax tree.

    Raises:
        ValueError: It is no PromQL.
    """
    return parser.parse(text)


def children(node: Any) -> Iterator[Any]:
    """Yields the operands of a node."""
    if isinstance(node, parser.BinaryExpr):
        yield from (node.lhs, node.rhs)
    elif isinstance(node, parser.Call):
        yield from node.args
    elif isinstance(node, parser.MatrixSelector):
        yield node.vector_selector
    elif isinstance(node, parser.AggregateExpr):
        yield node.expr
        if isinstance(node.param, parser.Expr):
            yield node.param
    elif isinstance(node, (parser.ParenExpr, parser.UnaryExpr, parser.SubqueryExpr)):
        yield node.expr


def walk(node: Any) -> Iterator[Any]:
    """Yields a node and everything below it."""
    yield node
    for child in children(node):
        yield from walk(child)


def selectors(node: Any, inside: tuple[str, ...] = ()) -> Iterator[Selector]:
    """Yields every selector, with what it stands in."""
    if isinstance(node, parser.VectorSelector):
        yield Selector(node, inside)
    if isinstance(node, parser.Call):
        inside = (*inside, node.func.name)
    elif isinstance(node, parser.AggregateExpr):
        inside = (*inside, str(node.op))
    for child in children(node):
        yield from selectors(child, inside)


def binaries(node: Any) -> Iterator[Any]:
    """Yields every binary expression."""
    yield from (n for n in walk(node) if isinstance(n, parser.BinaryExpr))


def bare(node: Any) -> Any:
    """Returns an expression without its parentheses."""
    while isinstance(node, parser.ParenExpr):
        node = node.expr
    return node


def unguarded(node: Any) -> Iterator[str]:
    """Yields every denominator that may be zero: neither a number nor compared with `> 0`."""
    for binary in binaries(node):
        if str(binary.op) not in ("/", "%"):
            continue
        below = bare(binary.rhs)
        number = isinstance(below, parser.NumberLiteral) and below.val != 0
        guarded = (
            isinstance(below, parser.BinaryExpr)
            and str(below.op) == ">"
            and isinstance(bare(below.rhs), parser.NumberLiteral)
            and bare(below.rhs).val >= 0
            and not (below.modifier and below.modifier.return_bool)
        )
        if not number and not guarded:
            yield str(binary.rhs)


def labels(node: Any, labels_of: Callable[[str], Labels]) -> Labels | None:
    """Returns the labels of the result, or None for a scalar.

    Args:
        node: The expression.
        labels_of: Returns the labels of the series with a name.
    """
    node = bare(node)
    if isinstance(node, parser.NumberLiteral):
        return None
    if isinstance(node, parser.VectorSelector):
        return labels_of(str(node.name))
    if isinstance(node, parser.MatrixSelector):
        return labels_of(str(node.vector_selector.name))
    if isinstance(node, parser.AggregateExpr):
        return _aggregated(node, labels(node.expr, labels_of) or frozenset())
    if isinstance(node, parser.Call):
        return _called(node, labels_of)
    if isinstance(node, parser.BinaryExpr):
        left, right = labels(node.lhs, labels_of), labels(node.rhs, labels_of)
        return right if left is None else left
    raise ValueError(f"not read: {node}")


def _aggregated(node: Any, inner: Labels) -> Labels:
    if node.modifier is None:
        return frozenset()
    listed = frozenset(node.modifier.labels)
    return listed & inner if node.modifier.type == parser.AggModifierType.By else inner - listed


def _called(node: Any, labels_of: Callable[[str], Labels]) -> Labels | None:
    if node.func.name == "time":
        return None
    if node.func.name == "vector":
        return frozenset()
    if node.func.name == "histogram_quantile":
        return (labels(node.args[1], labels_of) or frozenset()) - {"le"}
    if node.func.name in ("rate", "increase") or node.func.name.endswith("_over_time"):
        return labels(node.args[0], labels_of)
    raise ValueError(f"not read: {node.func.name}")


def mismatches(node: Any, labels_of: Callable[[str], Labels]) -> Iterator[str]:
    """Yields every pair of operands that can never match, or that match by accident.

    Without `on` both sides must have the same labels. With it, both must have the listed ones; an
    empty list matches anything with anything, which is meant only where the right side is one
    series without labels, and the left side no longer has those of a scrape. An arithmetic operator
    also needs one series a group on each side.
    """
    for binary in binaries(node):
        left, right = labels(binary.lhs, labels_of), labels(binary.rhs, labels_of)
        if left is None or right is None:
            continue
        matching = binary.modifier.matching if binary.modifier else None
        if matching is None:
            fits = left == right
        else:
            listed = frozenset(matching.labels)
            by_list = matching.type == parser.LabelModifierType.Include
            fits = by_list and listed <= left and listed <= right
            if not listed or str(binary.op) not in SET_OPERATORS:
                fits = fits and right == listed and (not left or left.isdisjoint(_SCRAPED))
            if str(binary.op) not in SET_OPERATORS:
                fits = fits and left == listed
        if not fits:
            yield f"{sorted(left)} {binary.op} {sorted(right)}: {binary}"


@functools.cache
def in_every_version(name: str) -> Labels:
    """Returns the labels that a series has in every supported version."""
    return frozenset.intersection(
        *(sources.series(version)[name].labels for version in sources.VERSIONS)
    )
