"""Names, labels and object metadata, as the API server checks them.

Source: apimachinery 1.36 `pkg/util/validation` and `pkg/api/validation/objectmeta.go`. Every
function here yields what is wrong as text, and nothing when all is well.
"""

import re
import typing
from collections import abc

from tests.schemas import finding

Messages: typing.TypeAlias = abc.Iterator[str]
Object: typing.TypeAlias = abc.Mapping[str, typing.Any]
Findings: typing.TypeAlias = list[finding.Finding]

# Bytes of all keys and values together (TotalAnnotationSizeLimitB).
ANNOTATIONS_LIMIT = 256 * 1024
_DNS_LABEL = re.compile("[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_DNS_1035 = re.compile("[a-z]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_QUALIFIED = re.compile("([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_PORT_NAME = re.compile("[-a-z0-9]+")
_DATA_KEY = re.compile("[-._a-zA-Z0-9]+")
_ENV_NAME = re.compile("[-._a-zA-Z][-._a-zA-Z0-9]*")
_HEADER = re.compile("[-A-Za-z0-9]+")
_OPERATORS = {"In": True, "NotIn": True, "Exists": False, "DoesNotExist": False}


def dns_label(name: str) -> Messages:
    """RFC 1123 label: names of containers, volumes, namespaces."""
    if len(name) > 63:
        yield f"must be no more than 63 characters: {name!r}"
    if not _DNS_LABEL.fullmatch(name):
        yield f"must be a DNS-1123 label: {name!r}"


def dns_1035_label(name: str) -> Messages:
    """RFC 1035 label, which starts with a letter: names of Services."""
    if len(name) > 63:
        yield f"must be no more than 63 characters: {name!r}"
    if not _DNS_1035.fullmatch(name):
        yield f"must be a DNS-1035 label: {name!r}"


def dns_subdomain(name: str) -> Messages:
    """RFC 1123 subdomain: names of most objects."""
    if len(name) > 253:
        yield f"must be no more than 253 characters: {name!r}"
    if not _SUBDOMAIN.fullmatch(name):
        yield f"must be a DNS-1123 subdomain: {name!r}"


def qualified_name(name: str) -> Messages:
    """Label key: an optional DNS subdomain with a slash, then up to 63 characters."""
    prefix, slash, rest = name.partition("/")
    if not slash:
        rest = prefix
    elif "/" in rest:
        yield f"must have at most one slash: {name!r}"
        return
    else:
        yield from dns_subdomain(prefix)
    if len(rest) > 63:
        yield f"name part must be no more than 63 characters: {name!r}"
    if not _QUALIFIED.fullmatch(rest):
        yield f"must be a qualified name: {name!r}"


def label_value(value: str) -> Messages:
    """Up to 63 characters of a qualified name, or empty."""
    if len(value) > 63:
        yield f"must be no more than 63 characters: {value!r}"
    if value and not _QUALIFIED.fullmatch(value):
        yield f"must be a label value: {value!r}"


def port_name(name: str) -> Messages:
    """IANA service name: at most 15 characters, with a letter."""
    if len(name) > 15:
        yield f"must be no more than 15 characters: {name!r}"
    if not _PORT_NAME.fullmatch(name) or not re.search("[a-z]", name):
        yield f"must be a port name of a-z, 0-9 and -, with a letter: {name!r}"
    if "--" in name or name.startswith("-") or name.endswith("-"):
        yield f"must not have - at an end or twice in a row: {name!r}"


def port_number(port: int) -> Messages:
    """1 to 65535."""
    if not 1 <= port <= 65535:
        yield f"must be a port between 1 and 65535: {port}"


def port(value: int | str) -> Messages:
    """A port by number or by name."""
    yield from port_name(value) if isinstance(value, str) else port_number(value)


def data_key(key: str) -> Messages:
    """Key of a ConfigMap or Secret."""
    if len(key) > 253:
        yield f"must be no more than 253 characters: {key!r}"
    if not _DATA_KEY.fullmatch(key):
        yield f"must be of letters, digits, -, _ or .: {key!r}"
    if key in (".", "..") or key.startswith(".."):
        yield f"must not be or start with dots: {key!r}"


def env_name(name: str) -> Messages:
    """Environment variable, as every version of Kubernetes takes it (1.34 takes more)."""
    if not _ENV_NAME.fullmatch(name):
        yield f"must be an environment variable name: {name!r}"


def header_name(name: str) -> Messages:
    """Name of an HTTP header of a probe."""
    if not _HEADER.fullmatch(name):
        yield f"must be an HTTP header name: {name!r}"


def add(out: Findings, path: str, messages: abc.Iterable[str]) -> None:
    """Append each message as a finding at `path`."""
    out.extend(finding.Finding(path, message) for message in messages)


def labels(value: abc.Mapping[str, str], path: str, out: Findings) -> None:
    """Check keys and values of a label map."""
    for key, item in value.items():
        add(out, f"{path}[{key}]", qualified_name(key))
        add(out, f"{path}[{key}]", label_value(item))


def annotations(value: abc.Mapping[str, str], path: str, out: Findings) -> None:
    """Check keys and the size of an annotation map."""
    for key in value:
        add(out, f"{path}[{key}]", qualified_name(key.lower()))
    size = sum(len(key.encode()) + len(item.encode()) for key, item in value.items())
    if size > ANNOTATIONS_LIMIT:
        message = f"annotations have {size} bytes, at most {ANNOTATIONS_LIMIT} are allowed"
        out.append(finding.Finding(path, message))


def selector(value: Object, path: str, out: Findings) -> None:
    """Check a LabelSelector."""
    labels(value.get("matchLabels", {}), f"{path}.matchLabels", out)
    for index, item in enumerate(value.get("matchExpressions", ())):
        where = f"{path}.matchExpressions[{index}]"
        operator = item.get("operator", "")
        values = item.get("values", ())
        if operator not in _OPERATORS:
            out.append(finding.Finding(f"{where}.operator", f"unknown operator {operator!r}"))
        elif _OPERATORS[operator] != bool(values):
            need = "needs" if _OPERATORS[operator] else "takes no"
            out.append(finding.Finding(f"{where}.values", f"operator {operator} {need} values"))
        add(out, f"{where}.key", qualified_name(item.get("key", "")))
        for value_index, text in enumerate(values):
            add(out, f"{where}.values[{value_index}]", label_value(text))


def selects(value: Object, target: abc.Mapping[str, str]) -> bool:
    """Whether a LabelSelector matches a set of labels."""
    if any(target.get(key) != item for key, item in value.get("matchLabels", {}).items()):
        return False
    return all(_selects(item, target) for item in value.get("matchExpressions", ()))


def _selects(expression: Object, target: abc.Mapping[str, str]) -> bool:
    key, values = expression.get("key", ""), expression.get("values", ())
    match expression.get("operator"):
        case "Exists":
            return key in target
        case "DoesNotExist":
            return key not in target
        case "In":
            return key in target and target[key] in values
        case _:
            return key not in target or target[key] not in values


def metadata(
    value: Object, name_check: abc.Callable[[str], Messages], path: str, out: Findings
) -> None:
    """Check the metadata of an object that is about to be created.

    Args:
        value: metadata whose types are already known to be right.
        name_check: the rule for names of this kind.
        path: where the metadata is.
        out: takes the findings.
    """
    name = value.get("name", "")
    prefix = value.get("generateName", "")
    if not name and not prefix:
        out.append(finding.Finding(f"{path}.name", "name or generateName is required"))
    if name:
        add(out, f"{path}.name", name_check(name))
    if prefix:
        # A generated suffix follows, so a dash at the end is allowed.
        add(out, f"{path}.generateName", name_check(re.sub("-$", "a", prefix)))
    if value.get("namespace"):
        add(out, f"{path}.namespace", dns_label(value["namespace"]))
    if value.get("generation", 0) < 0:
        out.append(finding.Finding(f"{path}.generation", "must not be negative"))
    labels(value.get("labels", {}), f"{path}.labels", out)
    annotations(value.get("annotations", {}), f"{path}.annotations", out)
    for item in value.get("finalizers", ()):
        add(out, f"{path}.finalizers", qualified_name(item))
    _owners(value.get("ownerReferences", ()), f"{path}.ownerReferences", out)


def _owners(references: abc.Sequence[Object], path: str, out: Findings) -> None:
    for index, reference in enumerate(references):
        for key in ("apiVersion", "kind", "name", "uid"):
            if not reference.get(key):
                out.append(finding.Finding(f"{path}[{index}].{key}", "must not be empty"))
    if sum(bool(reference.get("controller")) for reference in references) > 1:
        out.append(finding.Finding(path, "only one reference can be the controller"))
