"""The `x-kubernetes-validations` rules of a schema, run as the API server runs them.

Follows apiextensions-apiserver 1.36 (`pkg/apiserver/schema/cel`) and the value model of apiserver
`pkg/cel/common`. The evaluator is the wheel `common-expression-language` 0.10.0 (Rust `cel`), with
two of its functions replaced because they differ from cel-go: it counts the bytes of a string where
CEL counts code points, and its regular expressions are not RE2. What it lacks altogether (optional
field selection, comprehensions with two variables, `cel.bind`, quantity(), url(), ip(), format())
stops the reading of a schema that uses it.

Known difference: `exists` over an item that makes its condition fail with an error is an error
here, and true in cel-go when another item fits. A type mistake in a rule shows when the rule runs,
and only if it is reached; the API server refuses it when the schema is installed.
"""

import base64
import dataclasses
import functools
import itertools
import re
import typing
from collections import abc

import cel
import cel.stdlib

from tests.schemas import finding, formats, structural

Value: typing.TypeAlias = typing.Any

# String literals come first, so that a function name inside one is left alone.
_QUOTED = (
    r"""'{3}(?:\\.|[^\\])*?'{3}|"{3}(?:\\.|[^\\])*?"{3}|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\""""
)
_RAW = r"""\b[rR](?:'{3}[\s\S]*?'{3}|"{3}[\s\S]*?"{3}|'[^']*'|"[^"]*")"""
_TOKEN = re.compile(rf"{_RAW}|{_QUOTED}|\b(?:size|matches)(?=\s*\()")
_ESCAPED = re.compile(r"__|\.|-|/")
_ESCAPES = {"__": "__underscores__", ".": "__dot__", "-": "__dash__", "/": "__slash__"}
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED = frozenset(
    (
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
    )
)
_NATIVE = frozenset(
    (
        "contains",
        "startsWith",
        "endsWith",
        "has",
        "int",
        "double",
        "string",
        "bytes",
        "bool",
        "uint",
        "type",
        "dyn",
        "duration",
        "timestamp",
        "getHours",
        "getMinutes",
        "getSeconds",
        "getMilliseconds",
        "hasValue",
        "orValue",
        "value",
        "or",
        "none",
        "of",
    )
)


class UnsupportedRuleError(ValueError):
    """A rule uses something that the evaluator lacks, so its verdict cannot be known."""


def _find(text: str, source: str) -> str:
    match = formats.pattern(source).search(text)
    return "" if match is None else str(match.group(0))


def _matches(text: str, source: str) -> bool:
    return formats.pattern(source).search(text) is not None


def _sorted(items: list[typing.Any]) -> bool:
    return all(first <= second for first, second in itertools.pairwise(items))


_FUNCTIONS: dict[str, abc.Callable[..., typing.Any]] = {
    "exact_size": len,
    "re2_matches": _matches,
    "find": _find,
    "isSorted": _sorted,
    "sum": cel.stdlib.sum_,
    "min": cel.stdlib.min_,
    "max": cel.stdlib.max_,
    "charAt": cel.stdlib.char_at,
    "indexOf": cel.stdlib.index_of,
    "lastIndexOf": cel.stdlib.last_index_of,
    "substring": cel.stdlib.substring,
    "replace": cel.stdlib.replace,
    "split": cel.stdlib.split,
    "join": cel.stdlib.join,
    "lowerAscii": cel.stdlib.lower_ascii,
    "upperAscii": cel.stdlib.upper_ascii,
    "trim": cel.stdlib.trim,
}
_REPLACED = {"size": "exact_size", "matches": "re2_matches"}


@functools.cache
def program(source: str) -> cel.Program:
    """Compile an expression.

    Raises:
        UnsupportedRuleError: it does not parse, or calls a function that is not known here.
    """
    rewritten = _TOKEN.sub(lambda token: _REPLACED.get(token[0], token[0]), source)
    try:
        compiled = cel.compile(rewritten)
    except ValueError as error:
        message = f"CEL does not parse: {source}: {error}"
        raise UnsupportedRuleError(message) from error
    called = {name for name in compiled.functions() if _IDENTIFIER.fullmatch(name)}
    unknown = called - _NATIVE - set(_FUNCTIONS)
    if unknown:
        message = f"CEL functions that are not implemented: {sorted(unknown)} in {source}"
        raise UnsupportedRuleError(message)
    return compiled


def evaluate(source: str, variables: dict[str, Value]) -> typing.Any:
    """Return the value of an expression.

    Raises:
        UnsupportedRuleError: it names a variable or function that does not exist.
        Exception: the evaluation failed; the wheel raises KeyError, TypeError, RuntimeError, …
    """
    try:
        return program(source).execute(cel.Context(variables, _FUNCTIONS))
    except RuntimeError as error:
        if "Undefined variable or function" in str(error):
            message = f"{error}: {source}"
            raise UnsupportedRuleError(message) from error
        raise


def escape(name: str) -> str | None:
    """Return a property name as CEL sees it, or None when CEL cannot see it."""
    if name in _RESERVED:
        return f"__{name}__"
    escaped = _ESCAPED.sub(lambda match: _ESCAPES[match[0]], name)
    return escaped if _IDENTIFIER.fullmatch(escaped) else None


@dataclasses.dataclass(slots=True)
class Rule:
    """One rule: `uses_old` says that it compares with the value before an update."""

    source: str
    message: str
    message_expression: str
    field_path: str
    optional_old: bool
    uses_old: bool

    @classmethod
    def read(cls, rule: structural.Document) -> "Rule":
        """Compile a rule of a schema."""
        source = rule["rule"].strip()
        expression = rule.get("messageExpression", "")
        if expression:
            program(expression)
        return cls(
            source=source,
            message=rule.get("message", "").strip(),
            message_expression=expression,
            field_path=rule.get("fieldPath", ""),
            optional_old=bool(rule.get("optionalOldSelf")),
            uses_old="oldSelf" in program(source).variables(),
        )

    def applies(self, old: Value) -> bool:
        """Whether the rule runs: one with oldSelf needs an old value, unless that is optional."""
        return not self.uses_old or self.optional_old or old is not structural.ABSENT

    def broken(self, value: Value, old: Value) -> tuple[str, bool] | None:
        """Return why `value` breaks the rule, or None.

        Args:
            value: the value as CEL sees it.
            old: the value before an update as CEL sees it, or ABSENT.

        Returns:
            The message, and whether the rule failed with an error rather than said no.
        """
        variables = {"self": value}
        if self.optional_old:
            none = old is structural.ABSENT
            variables["oldSelf"] = cel.OptionalValue.none() if none else cel.OptionalValue.of(old)
        elif old is not structural.ABSENT:
            variables["oldSelf"] = old
        try:
            result = evaluate(self.source, variables)
        except UnsupportedRuleError:
            raise
        except Exception as error:
            return f"{error} evaluating rule: {self.message or self.source}", True
        return None if result is True else (self._text(variables), False)

    def _text(self, variables: dict[str, Value]) -> str:
        """Return the message of the broken rule; a bad messageExpression is passed over."""
        if self.message_expression:
            try:
                text = evaluate(self.message_expression, variables)
            except UnsupportedRuleError:
                raise
            except Exception:
                text = None
            if isinstance(text, str) and text.strip() and "\n" not in text.strip():
                return text.strip()
        return self.message or f"failed rule: {self.source}"


@dataclasses.dataclass(slots=True)
class RuleNode:
    """The part of a schema tree that leads to rules.

    Attributes:
        schema: the node whose rules these are.
        exact: CEL sees the value as it is, so nothing has to be converted.
    """

    schema: structural.Node
    rules: tuple[Rule, ...]
    properties: dict[str, "RuleNode"]
    additional: "RuleNode | None"
    items: "RuleNode | None"
    all_of: tuple["RuleNode", ...]
    exact: bool

    def has_rules(self) -> bool:
        """Whether there is a rule here or below."""
        children = (*self.properties.values(), self.additional, self.items, *self.all_of)
        return bool(self.rules) or any(child.has_rules() for child in children if child)

    def run(self, value: Value, old: Value, frame: "Frame") -> None:
        """Run the rules of this node and of those below it, and add findings to the frame."""
        if value is None:
            return
        self._run_rules(value, old, frame)
        for node in self.all_of:
            node.run(value, old, frame)
        if isinstance(value, abc.Mapping):
            self._run_object(value, old, frame)
        elif isinstance(value, list) and self.items is not None:
            self._run_list(value, old, frame)

    def _run_rules(self, value: Value, old: Value, frame: "Frame") -> None:
        if not self.rules:
            return
        seen = self.view(value)
        gone = old is structural.ABSENT or old is None
        before = structural.ABSENT if gone else self.view(old)
        for rule in self.rules:
            broken = rule.broken(seen, before) if rule.applies(before) else None
            if broken is None:
                continue
            message, is_error = broken
            if is_error or rule.uses_old or not frame.is_unchanged():
                frame.out.append(finding.Finding(frame.path + rule.field_path, message))

    def _run_object(self, value: abc.Mapping[str, Value], old: Value, frame: "Frame") -> None:
        before = old if isinstance(old, abc.Mapping) else {}
        for key, item in value.items():
            node = self.properties.get(key)
            where = finding.child(frame.path, key)
            if node is None:
                # Keys of a map; a declared property without rules is not in `properties`.
                if self.additional is None or key in self.schema.properties:
                    continue
                node = self.additional
                where = f"{frame.path}[{key}]"
            item_old = before.get(key, structural.ABSENT)
            node.run(item, item_old, frame.below(where, node.schema, item, item_old))

    def _run_list(self, value: list[Value], old: Value, frame: "Frame") -> None:
        assert self.items is not None
        correlated = self.schema.correlate(old)
        for index, item in enumerate(value):
            item_old = structural.ABSENT
            if correlated:
                item_old = correlated.get(self.schema.key(item), structural.ABSENT)
            where = f"{frame.path}[{index}]"
            below = frame.below(where, self.items.schema, item, item_old)
            self.items.run(item, item_old, below)

    def view(self, value: Value) -> Value:
        """Return a value as CEL sees it under this schema."""
        return value if self.exact else _view(self.schema, value)


@dataclasses.dataclass(slots=True)
class Frame:
    """Where a walk is, and the nearest values that an update lets one compare."""

    out: structural.Findings
    schema: structural.Node
    value: Value
    old: Value
    path: str = ""

    def below(self, path: str, schema: structural.Node, value: Value, old: Value) -> "Frame":
        """Return the frame of a part; one without an old value inherits the comparison."""
        if old is structural.ABSENT:
            return Frame(self.out, self.schema, self.value, self.old, path)
        return Frame(self.out, schema, value, old, path)

    def is_unchanged(self) -> bool:
        """Whether an update left this part, or the nearest comparable one around it, as it was."""
        return self.old is not structural.ABSENT and self.schema.same(self.value, self.old)


def _view(node: structural.Node, value: Value) -> Value:
    """Convert a value: declared fields only, escaped names, doubles, times and bytes."""
    if value is None:
        return None
    if isinstance(value, abc.Mapping):
        return _object_view(node, value)
    if isinstance(value, list):
        return value if node.items is None else [_view(node.items, item) for item in value]
    if node.types == ("number",) and isinstance(value, int):
        return float(value)
    if isinstance(value, str) and node.types == ("string",):
        return _text_view(node.format, value)
    return value


def _object_view(node: structural.Node, value: abc.Mapping[str, Value]) -> dict[str, Value]:
    if node.additional is not None and not node.properties:
        return {key: _view(node.additional, item) for key, item in value.items()}
    seen: dict[str, Value] = {}
    if node.root:
        seen = {key: value[key] for key in ("apiVersion", "kind") if key in value}
        metadata = value.get("metadata", {})
        seen["metadata"] = {
            key: metadata[key] for key in ("name", "generateName") if key in metadata
        }
    for key, child in node.properties.items():
        name = escape(key)
        if name is not None and key in value and name not in seen:
            seen[name] = _view(child, value[key])
    return seen


def _text_view(name: str, value: str) -> Value:
    # A stored value may be malformed: it stays text, and the rule that reads it fails.
    if name not in formats.CHECKS or not formats.CHECKS[name](value):
        return value
    if name == "byte":
        return base64.b64decode(value)
    if name == "datetime":
        return cel.evaluate("timestamp(text)", {"text": value})
    if name == "date":
        return cel.evaluate("timestamp(text)", {"text": f"{value}T00:00:00Z"})
    return value


def _is_exact(node: structural.Node) -> bool:
    """Whether `_view` would change nothing in any value that fits the schema."""
    if node.root or node.is_open or node.types == ("number",):
        return False
    if node.format in ("byte", "datetime", "date"):
        return False
    if any(escape(key) != key for key in node.properties):
        return False
    if node.properties and node.additional is not None:
        return False
    children = (*node.properties.values(), node.additional, node.items)
    return all(_is_exact(child) for child in children if child is not None)


def build(node: structural.Node) -> RuleNode | None:
    """Compile the rules of a schema tree; None when there are none.

    Raises:
        UnsupportedRuleError: a rule uses something that the evaluator lacks.
    """
    properties = {key: build(child) for key, child in node.properties.items()}
    all_of = [build(child) for child in node.all_of]
    tree = RuleNode(
        schema=node,
        rules=tuple(Rule.read(rule) for rule in node.rules),
        properties={key: child for key, child in properties.items() if child is not None},
        additional=build(node.additional) if node.additional is not None else None,
        items=build(node.items) if node.items is not None else None,
        all_of=tuple(child for child in all_of if child is not None),
        exact=False,
    )
    if not tree.has_rules():
        return None
    tree.exact = bool(tree.rules) and _is_exact(node)
    return tree
