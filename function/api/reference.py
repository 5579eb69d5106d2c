"""The models as reference pages: one section for each object, one row for each field."""

import dataclasses
import json
import re
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import pydantic
from pydantic import fields

from function.api import (
    base,
    claim,
    gateway,
    gateway_status,
    schema,
    settings,
    settings_forms,
    status,
)
from function.engines.vllm import managed

_GENERATED = "<!-- Generated from function/api by `make generate`; edits here are lost. -->"

_CLAIM = f"""\
# InferenceService

`{claim.GROUP}/{claim.VERSION}`, namespaced. The smallest claim has `spec.model.repository` alone.

The function applies defaults; they are not written into the stored object, so that what you chose
can be told from what you left out. A field without a default in its row is off or empty when it is
absent, unless its meaning says otherwise. An unknown field is pruned by the API server and refused
everywhere else. The name of a
claim is a DNS-1035 label of at most {claim.LONGEST_NAME} characters,
{claim.LONGEST_NAME_WITH_PICKER} with `spec.gateway.endpointPicker`."""

_GATEWAY = f"""\
# InferenceGateway

`{gateway.GROUP}/{gateway.VERSION}`, namespaced: the
[front door](../front-door.md) of its namespace.

The function applies defaults; they are not written into the stored object. A field without a
default in its row is off or empty when it is absent, unless its meaning says otherwise. The name
is a DNS-1035 label of at most {gateway.LONGEST_NAME} characters."""

_TOP_LEVEL = " and ".join(f"`{key}`" for key in settings.TOP_LEVEL)

_SETTINGS = f"""\
# Settings

What a site decides once for all claims. Settings stand in EnvironmentConfigs with the label
`{settings.SETTINGS_LABEL}: "true"`, under the data key `{settings.DATA_KEY}`; these are
merged in the order of their names over the Composition's `input`: maps key by key, lists as a
whole. The `input` takes the same fields at its top level, and `environment`. An unknown field is
refused. Of other data in an EnvironmentConfig only {_TOP_LEVEL}
are read."""

# Patterns that have a name which says more than they do.
_WORDS = {
    base.DNS_LABEL: "DNS label",
    base.DNS_SUBDOMAIN: "DNS subdomain",
    base.LABEL_KEY: "label key",
    base.LABEL_VALUE: "label value",
    base.EXTENDED_RESOURCE: "extended resource such as `nvidia.com/gpu`",
    base.QUANTITY: "Kubernetes quantity",
    base.DURATION: "duration such as `1h30m`",
    base.DECIMAL: "decimal number such as `0.7`",
    base.CIDR: "network such as `10.0.0.0/8` or `2001:db8::/32`",
    settings_forms.HOST_PATTERN: "host such as `*.example.com` or `sts.{region}.amazonaws.com`",
}


# More are not listed.
_MOST_CHOICES = 64


@dataclasses.dataclass(frozen=True)
class _Section:
    """An object, and every path at which it stands."""

    model: type[base.Model]
    paths: list[str]
    without: tuple[str, ...] = ()


def of_claim() -> str:
    """Returns the page of the claim and its status."""
    parts = [
        _GENERATED,
        _CLAIM,
        "Rules of the whole claim:\n\n" + _rule_lines("`metadata`", claim.InferenceService.RULES),
        *_sections(claim.Spec, "spec", defaults=False, without=("crossplane",)),
        _managed_flags(),
        *_sections(status.Status, "status", defaults=False),
    ]
    return "\n\n".join(parts) + "\n"


def of_gateway() -> str:
    """Returns the page of the front door and its status."""
    parts = [
        _GENERATED,
        _GATEWAY,
        "Rules of the whole object:\n\n"
        + _rule_lines("`metadata`", gateway.InferenceGateway.RULES),
        *_sections(gateway.Spec, "spec", defaults=False, without=("crossplane",)),
        *_sections(gateway_status.Status, "status", defaults=False),
    ]
    return "\n\n".join(parts) + "\n"


def of_settings() -> str:
    """Returns the page of the settings."""
    apart = ("api_version", "kind", "metadata")
    parts = [
        _GENERATED,
        _SETTINGS,
        *_sections(settings.Input, "", defaults=True, without=apart),
    ]
    return "\n\n".join(parts) + "\n"


def _sections(
    model: type[base.Model], path: str, *, defaults: bool, without: tuple[str, ...] = ()
) -> Iterator[str]:
    sections: dict[type[base.Model], _Section] = {}
    _collect(sections, model, path, without)
    for section in sections.values():
        yield _section(section, sections, defaults=defaults)


def _collect(
    sections: dict[type[base.Model], _Section],
    model: type[base.Model],
    path: str,
    without: tuple[str, ...] = (),
) -> None:
    """Adds the model and, below it, every model that its fields name, in reading order."""
    if model in sections:
        sections[model].paths.append(path)
        return
    sections[model] = _Section(model, [path], without)
    for name, field in model.model_fields.items():
        inner, suffix = _object(field.annotation)
        if inner is not None and name not in without:
            _collect(sections, inner, f"{path}.{field.alias}{suffix}".lstrip("."))


def _object(annotation: Any) -> tuple[type[base.Model] | None, str]:
    """Returns the model in a field's type, and how a path goes on to it: ``, `[]` or `.<key>`."""
    annotation, _ = schema.unwrap(annotation)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is list:
        inner, suffix = _object(arguments[0])
        return inner, f"[]{suffix}"
    if origin is dict:
        inner, suffix = _object(arguments[1])
        return inner, f".<key>{suffix}"
    if isinstance(annotation, type) and issubclass(annotation, base.Model):
        return annotation, ""
    return None, ""


def _section(
    section: _Section, sections: Mapping[type[base.Model], _Section], *, defaults: bool
) -> str:
    model, title = section.model, _title(section)
    lines = [f"## {title}", "", schema.paragraph(model)]
    if others := [f"`{path}`" for path in section.paths[1:]]:
        lines[-1] += f" The same at {', '.join(others)}."
    columns = ["Field", "Type", "Limits", *(["Default"] if defaults else []), "Meaning"]
    lines += ["", _row(columns), _row(["---"] * len(columns))]
    for name, field in model.model_fields.items():
        if name not in section.without:
            lines.append(_row(_cells(field, sections, defaults=defaults)))
    if broken := _rules_of(model, section.without):
        lines += ["", "Rules:", "", broken]
    return "\n".join(lines)


@dataclasses.dataclass(frozen=True)
class Described:
    """A field, in words without Markdown.

    Attributes:
        of: claim, status or settings.
        path: The field.
        required: Whether it must be there.
        type: Of its value.
        limits: Of its value, or empty.
        default: Of its value, or empty.
        meaning: What it is for.
        rules: What else must hold, of it or of the object that it is.
        fields: Of the object that it is, each with its meaning.
    """

    of: str
    path: str
    required: bool
    type: str
    limits: str
    default: str
    meaning: str
    rules: tuple[str, ...]
    fields: tuple[tuple[str, str], ...]


def described(of: str, path: str, field: fields.FieldInfo) -> Described:
    """Returns a field in words.

    Args:
        of: claim, status or settings.
        path: Where it stands.
        field: The field.
    """
    node = schema.of_field(field)
    inner, suffix = _object(field.annotation)
    shape = {"": "object", "[]": "list of objects", ".<key>": "map of objects"}
    rules = [rule for _, each in _field_rules(field.annotation, field.metadata) for rule in each]
    below = [] if inner is None else list(inner.model_fields.values())
    return Described(
        of,
        path,
        field.is_required(),
        _kind(node) if inner is None else shape[suffix],
        _limits(node).replace("`", ""),
        _default(field).strip("`"),
        _meaning(field),
        tuple(rule.message for rule in (*rules, *(() if inner is None else inner.RULES))),
        tuple((str(one.alias), _meaning(one)) for one in below),
    )


def _meaning(field: fields.FieldInfo) -> str:
    inner, _ = _object(field.annotation)
    return field.description or ("" if inner is None else schema.paragraph(inner))


def _title(section: _Section) -> str:
    return f"`{section.paths[0]}`" if section.paths[0] else "Top level"


def _cells(
    field: fields.FieldInfo, sections: Mapping[type[base.Model], _Section], *, defaults: bool
) -> list[str]:
    node = schema.of_field(field)
    meaning = _meaning(field)
    inner, suffix = _object(field.annotation)
    kind = _kind_of_object(sections[inner], suffix) if inner is not None else _kind(node)
    name = f"`{field.alias}`" + (" (required)" if field.is_required() else "")
    default = _default(field)
    meaning = _text(meaning)
    if defaults:
        return [name, kind, _limits(node), default, meaning]
    return [
        name,
        kind,
        _limits(node),
        f"{meaning} Default {default}.".strip() if default else meaning,
    ]


def _kind_of_object(section: _Section, suffix: str) -> str:
    title = _title(section)
    anchor = re.sub(r"[^a-z0-9 _-]", "", title.lower()).replace(" ", "-")
    shape = {"": "", "[]": "list of ", ".<key>": "map of "}[suffix]
    return f"{shape}[{title}](#{anchor})"


def _kind(node: schema.Node) -> str:
    """Returns the type in words."""
    if node.get("type") == "array":
        return f"list of {_kind(node['items'])}"
    if "anyOf" in node:
        return "integer or string"
    if "additionalProperties" in node:
        return f"map of {_kind(node['additionalProperties'])}"
    if node["type"] == "object":
        return "object, passed through"
    return str(node["type"])


def _limits(node: schema.Node) -> str:
    """Returns the bounds of a value, and those of its items, in words."""
    bounds = []
    if "enum" in node:
        shown = [f"`{value}`" for value in node["enum"]]
        if len(shown) > _MOST_CHOICES:
            bounds.append(f"one of {len(shown)}, from {shown[0]} to {shown[-1]}")
        else:
            bounds.append("one of " + ", ".join(shown))
    if "minimum" in node or "maximum" in node:
        bounds.append(_range(node.get("minimum"), node.get("maximum")))
    if "pattern" in node:
        bounds.append(_WORDS.get(node["pattern"], f"`{node['pattern']}`"))
    for unit, of in (("characters", "Length"), ("items", "Items"), ("keys", "Properties")):
        least, most = node.get(f"min{of}", 0), node.get(f"max{of}")
        if most is not None:
            plain = least == 0 or (of == "Length" and least == 1)
            bounds.append(f"at most {most} {unit}" if plain else f"{least} to {most} {unit}")
    if below := node.get("items") or node.get("additionalProperties"):
        limits = "" if "properties" in below else _limits(below)
        bounds += [f"each: {limits}"] if limits else []
    return "; ".join(bounds)


def _range(least: int | None, most: int | None) -> str:
    if most is None or most >= 2**31 - 1:
        return f"at least {least}"
    return f"{least} to {most}"


def _default(field: fields.FieldInfo) -> str:
    """Returns the default that the model itself has, as a claim or a setting would write it."""
    if field.is_required():
        return ""
    value = field.get_default(call_default_factory=True, validated_data={})
    plain = _plain(value)
    if plain is None or plain == {} or plain == []:
        return ""
    # The objects of the settings are in sections of their own, with a default for each field.
    if isinstance(value, base.Model) and value == _bare(type(value)):
        return ""
    return f"`{json.dumps(plain, ensure_ascii=False)}`"


def _bare(model: type[base.Model]) -> base.Model | None:
    try:
        return model()
    except pydantic.ValidationError:
        return None


def _plain(value: Any) -> Any:
    if isinstance(value, base.Model):
        return value.model_dump(by_alias=True, exclude_unset=True)
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return value


def _rules_of(model: type[base.Model], without: tuple[str, ...]) -> str:
    """Returns the rules of an object and of its fields, each with the node that it is about."""
    parts = [_rule_lines("", model.RULES)]
    for name, field in model.model_fields.items():
        if name not in without:
            for suffix, rules in _field_rules(field.annotation, field.metadata):
                parts.append(_rule_lines(f"`{field.alias}{suffix}`", tuple(rules)))
    return "\n".join(part for part in parts if part)


def _field_rules(annotation: Any, metadata: Any = ()) -> Iterator[tuple[str, list[base.Rule]]]:
    annotation, metadata = schema.unwrap(annotation, metadata)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    yield "", schema.Constraints.read(metadata).rules
    if origin is list:
        for suffix, rules in _field_rules(arguments[0]):
            yield f"[]{suffix}", rules
    elif origin in (typing.Union, types.UnionType):
        for member in arguments:
            yield from _field_rules(member)


def _rule_lines(where: str, rules: tuple[base.Rule, ...]) -> str:
    return "\n".join(
        f"- {where + ': ' if where else ''}{rule.message}"
        f"{' (when the claim is made)' if rule.on_create else ''}"
        for rule in rules
    )


def _managed_flags() -> str:
    lines = [
        "## Managed flags",
        "",
        "`spec.engineArgs` refuses these in every spelling that vLLM reads as them: other case, `_`"
        " for `-`, a prefix, a dotted key, a negation.",
        "",
        _row(["Flag", "Instead"]),
        _row(["---", "---"]),
    ]
    lines += [_row([f"`--{flag}`", managed.INSTEAD[flag]]) for flag in managed.FLAGS]
    return "\n".join(lines)


def _text(text: str) -> str:
    """Returns prose in which an angle bracket is not taken for HTML; code stays as it is."""
    parts = text.split("`")
    parts[::2] = [part.replace("<", "&lt;") for part in parts[::2]]
    return "`".join(parts)


def _row(cells: list[str]) -> str:
    # A pipe ends a cell even inside of code.
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
