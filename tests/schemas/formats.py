"""String formats that the API server enforces, and the syntax of quantities and durations.

The list is `supportedVersionedFormats` of apiextensions-apiserver 1.36, the checks are those of
kube-openapi `pkg/validation/strfmt`. A format that is not on that list is ignored by the server.
"""

import base64
import binascii
import datetime
import decimal
import functools
import ipaddress
import re
import typing
import urllib.parse
from collections import abc

import re2

# Formats of the server's list that no schema here uses: refused when a schema is read, because a
# check that silently does nothing would look like one that passes.
UNSUPPORTED = frozenset(
    (
        "bsonobjectid",
        "email",
        "hostname",
        "mac",
        "isbn",
        "isbn10",
        "isbn13",
        "creditcard",
        "ssn",
        "hexcolor",
        "rgbcolor",
        "duration",
    )
)


class Pattern(typing.Protocol):
    """A compiled RE2 pattern (the wheel has no types)."""

    def search(self, text: str, /) -> typing.Any:
        """Return the first match, or None."""


_compile: abc.Callable[..., Pattern] = re2.compile

_DIGIT = "[A-Za-z0-9+/]"
_SHORT_NAME = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_TIME = _compile(r"^([0-9]{2}):([0-9]{2}):([0-9]{2})(.[0-9]+)?(z|([+-][0-9]{2}:[0-9]{2}))$")
_QUANTITY = re.compile(
    r"([+-]?)([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]|[eE][+-]?[0-9]+)?"
)
_SUFFIX = {
    "n": decimal.Decimal("1e-9"),
    "u": decimal.Decimal("1e-6"),
    "m": decimal.Decimal("1e-3"),
    "k": decimal.Decimal(1000),
    "M": decimal.Decimal(1000) ** 2,
    "G": decimal.Decimal(1000) ** 3,
    "T": decimal.Decimal(1000) ** 4,
    "P": decimal.Decimal(1000) ** 5,
    "E": decimal.Decimal(1000) ** 6,
    "Ki": decimal.Decimal(1024),
    "Mi": decimal.Decimal(1024) ** 2,
    "Gi": decimal.Decimal(1024) ** 3,
    "Ti": decimal.Decimal(1024) ** 4,
    "Pi": decimal.Decimal(1024) ** 5,
    "Ei": decimal.Decimal(1024) ** 6,
}


@functools.cache
def pattern(source: str) -> Pattern:
    """Return the compiled RE2 pattern; the server matches it anywhere in the text."""
    options = re2.Options()
    options.log_errors = False
    return _compile(source, options)


def quantity(text: object) -> decimal.Decimal | None:
    """Return the value of a Kubernetes quantity, or None when it is not one.

    Source: `ParseQuantity`, apimachinery `pkg/api/resource`. A JSON number counts as its text.
    """
    if isinstance(text, int | float) and not isinstance(text, bool):
        text = repr(text)
    if not isinstance(text, str):
        return None
    match = _QUANTITY.fullmatch(text)
    if match is None:
        return None
    sign, number, suffix = match.groups()
    scale = decimal.Decimal(1)
    if suffix is not None:
        scale = _SUFFIX.get(suffix) or decimal.Decimal(f"1e{int(suffix[1:])}")
    return decimal.Decimal(f"{sign}{number}") * scale


def _date(text: str) -> bool:
    try:
        datetime.date.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == 10


def _date_time(text: str) -> bool:
    parts = text.lower().split("t")
    if len(parts) < 2 or not _date(parts[0]):
        return False
    match = _TIME.search(parts[1])
    if match is None:
        return False
    return bool(match[1] <= "23" and match[2] <= "59" and match[3] <= "59")


def base64_text(text: str) -> bool:
    """Whether Go decodes the text as base64; it skips line breaks."""
    try:
        base64.b64decode(text.replace("\n", "").replace("\r", ""), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _plain_ip(text: str) -> str:
    """Drop leading zeros of IPv4 octets, which `ParseCIDRSloppy` allows and Python does not."""
    return re.sub(r"(?<![0-9a-fA-F:])0+(?=[0-9]+(?:\.|$))", "", text) if "." in text else text


def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(_plain_ip(text)) if "%" not in text else None
    except ValueError:
        return None


def cidr(text: str) -> bool:
    """Whether `text` is an address, a slash and a prefix length in range."""
    address, slash, length = text.partition("/")
    parsed = _ip(address)
    if parsed is None or not slash or not re.fullmatch("[0-9]{1,3}", length):
        return False
    return int(length) <= parsed.max_prefixlen


def _uri(text: str) -> bool:
    """`url.ParseRequestURI`: absolute, or a rooted path."""
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in text):
        return False
    try:
        return text.startswith("/") or bool(urllib.parse.urlsplit(text).scheme)
    except ValueError:
        return False


def _matches(source: str) -> abc.Callable[[str], bool]:
    return lambda text: pattern(source).search(text) is not None


def _uuid(version: str, variant: str) -> abc.Callable[[str], bool]:
    digits = "[0-9a-f]"
    return _matches(
        f"(?i)^{digits}{{8}}-?{digits}{{4}}-?{version}{digits}{{3}}-?"
        f"{variant}{digits}{{3}}-?{digits}{{12}}$"
    )


CHECKS: dict[str, abc.Callable[[str], bool]] = {
    "datetime": _date_time,
    "date": _date,
    # Unlike in built-in kinds, no line breaks and not empty.
    "byte": _matches(
        "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})$"
    ),
    "cidr": cidr,
    "ipv4": lambda text: isinstance(_ip(text), ipaddress.IPv4Address),
    "ipv6": lambda text: isinstance(_ip(text), ipaddress.IPv6Address),
    "uri": _uri,
    "uuid": _uuid("[0-9a-f]", "[0-9a-f]"),
    "uuid3": _uuid("3", "[0-9a-f]"),
    "uuid4": _uuid("4", "[89ab]"),
    "uuid5": _uuid("5", "[89ab]"),
    "password": lambda _text: True,
    "k8sshortname": lambda text: len(text) <= 63 and _matches(f"^{_SHORT_NAME}$")(text),
    "k8slongname": lambda text: (
        len(text) <= 253 and _matches(rf"^{_SHORT_NAME}(\.{_SHORT_NAME})*$")(text)
    ),
}
