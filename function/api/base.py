"""The base of every API object, and rules that hold both in the API server and in the function.

A `Rule` states one constraint twice, as CEL for the API server and as a Python predicate for the
function, because admission can be bypassed: claims are rendered offline, and a stored claim may be
older than the rule. A property test generates claims and shows that both spellings agree.
"""

import dataclasses
import functools
import hashlib
import types
import typing
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, NamedTuple, TypeVar

import pydantic
import pydantic_core
from pydantic import alias_generators, fields

from function import canonical
from function.api import wording


@dataclasses.dataclass(frozen=True)
class Rule:
    """One constraint on the node that it is attached to.

    Attributes:
        cel: The constraint in CEL; `self` is the node, absent optional fields must be tested.
        message: What a person reads when it is broken; the same words everywhere.
        holds: The constraint in Python, over the validated node.
        on_create: True when the rule is only about new objects. `cel` then sees the old node as
            the optional `oldSelf` (`optionalOldSelf: true`), and the function checks it always.
        at: The field below the node that is at fault, such as `gateway.canaries`; empty for the
            node itself.
        admission_only: True when the API server refuses what is new and the function renders what
            is stored: it says what is wrong with it instead.
        function_only: True when another rule says it to the API server, of new objects alone, and
            this one says to the function which node is at fault.
    """

    cel: str
    message: str
    holds: Callable[[Any], bool]
    on_create: bool = False
    at: str = ""
    admission_only: bool = False
    function_only: bool = False

    def __get_pydantic_core_schema__(
        self, source: Any, handler: pydantic.GetCoreSchemaHandler
    ) -> pydantic_core.CoreSchema:
        """Lets `Annotated[T, Rule(...)]` enforce the rule on one field's value."""
        return pydantic_core.core_schema.no_info_after_validator_function(
            self.check, handler(source)
        )

    def check(self, node: Any) -> Any:
        """Returns the node.

        Raises:
            pydantic_core.PydanticCustomError: The rule does not hold; carries the message.
        """
        if not self.admission_only and not self.holds(node):
            context = {"message": self.message, "at": self.at}
            raise pydantic_core.PydanticCustomError("rule", "{message}", context)
        return node


def no_items() -> list[Any]:
    """Returns an empty list, for fields that have none when they are left out.

    Of `list` itself pydantic would look up the signature, which Python parses from text: that is a
    seventh of all the time in which models are built at the first call.
    """
    return []


@dataclasses.dataclass(frozen=True)
class OneMessage:
    """Gives a union one error; pydantic's own are one for each member, under made-up paths."""

    message: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: pydantic.GetCoreSchemaHandler
    ) -> pydantic_core.CoreSchema:
        """Lets `Annotated[A | B, OneMessage(...)]` replace the union's errors."""
        return pydantic_core.core_schema.custom_error_schema(
            handler(source), custom_error_type="type", custom_error_message=self.message
        )


@dataclasses.dataclass(frozen=True)
class Bounds:
    """How large a raw field may be: what no schema says of an object that passes through.

    Raw objects are copied into many others. Of 1.3 MB of `{}` the function's memory grows beyond
    any limit, and every other claim waits with it.

    Attributes:
        values: Maps, lists, texts, numbers and booleans in all, at any depth.
        levels: Maps and lists inside of each other. Protobuf reads about 30 maps, and a composed
            object has up to 5 around a raw one.
        characters: Of all texts and keys together.
    """

    values: int
    levels: int = 20
    characters: int = 64 * 1024

    def __get_pydantic_core_schema__(
        self, source: Any, handler: pydantic.GetCoreSchemaHandler
    ) -> pydantic_core.CoreSchema:
        """Lets `Annotated[T, Bounds(...)]` bound one field's value, before it is copied."""
        return pydantic_core.core_schema.no_info_before_validator_function(
            self.check, handler(source)
        )

    def check(self, raw: Any) -> Any:
        """Returns the value.

        Raises:
            pydantic_core.PydanticCustomError: It is larger than this; says in which way.
        """
        values, characters = 0, 0
        layer = [raw]
        for _ in range(self.levels + 1):
            below: list[Any] = []
            for value in layer:
                if isinstance(value, dict):
                    below += value.values()
                    characters += sum(len(key) for key in value if isinstance(key, str))
                elif isinstance(value, list):
                    below += value
                elif isinstance(value, str):
                    characters += len(value)
            values += len(layer)
            if values + len(below) > self.values:
                raise self._error(f"more than {self.values} values in all")
            if characters > self.characters:
                raise self._error(f"more than {self.characters} characters in all")
            if not below:
                return raw
            layer = below
        raise self._error(f"more than {self.levels} levels deep")

    @staticmethod
    def _error(words: str) -> pydantic_core.PydanticCustomError:
        return pydantic_core.PydanticCustomError("bounds", "{words}", {"words": words})


def nullable(field: fields.FieldInfo) -> bool:
    """Tells whether null is a value of the field: it switches off a default that is not null."""
    return field.default is not None and types.NoneType in typing.get_args(field.annotation)


def _without_nulls(value: Any, aliases: Collection[str | None] | None = None) -> Any:
    if not isinstance(value, dict) or None not in value.values():
        return value
    kept = frozenset() if aliases is None else value.keys() - aliases
    return {k: v for k, v in value.items() if v is not None or k in kept}


class Fingerprint(NamedTuple):
    """What stands for an object in a key.

    Attributes:
        digest: SHA-256 of the object as JSON.
        size: Bytes of the object as JSON.
    """

    digest: bytes
    size: int


class Model(pydantic.BaseModel):
    """An object of the API: camelCase outside, strict types, no unknown fields.

    Numbers must arrive as Python ints (`structs` turns the doubles of a protobuf Struct back); a
    string is never taken for a number, as the API server would not either.
    """

    model_config = pydantic.ConfigDict(
        alias_generator=alias_generators.to_camel,
        extra="forbid",
        frozen=True,
        defer_build=True,  # most are parts of others, or of claims that few write
        populate_by_name=True,
        strict=True,
    )

    RULES: ClassVar[tuple[Rule, ...]] = ()

    @functools.cached_property
    def fingerprint(self) -> "Fingerprint":
        """What all that the author wrote comes to: two objects with one are the same."""
        written = self.model_dump_json(by_alias=True, exclude_unset=True).encode()
        return Fingerprint(hashlib.sha256(written).digest(), len(written))

    def model_copy(
        self, *, update: Mapping[str, Any] | None = None, deep: bool = False
    ) -> typing.Self:
        """Returns a copy, with other fields; pydantic's own keeps what is worked out once."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("fingerprint", None)
        return copied

    _without_null: ClassVar[frozenset[str | None]] = frozenset()

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        """Notes once for each class in which fields a null is an omission."""
        super().__pydantic_init_subclass__(**options)
        cls._without_null = frozenset(
            field.alias for field in cls.model_fields.values() if not nullable(field)
        )

    @pydantic.model_validator(mode="before")
    @classmethod
    def _nulls_are_absent(cls, value: Any) -> Any:
        """Takes a null for an omission: the API server prunes it before it validates."""
        return _without_nulls(value, cls._without_null)

    @pydantic.model_validator(mode="after")
    def _rules_hold(self) -> "Model":
        for rule in self.RULES:
            rule.check(self)
        return self


@dataclasses.dataclass(frozen=True)
class Problem:
    """One reason why an object cannot be used."""

    path: str
    message: str

    def __str__(self) -> str:
        """The problem in one line: no author ends the line, or steers a terminal."""
        return printable(f"{self.path}: {self.message}" if self.path else self.message)


class InvalidError(Exception):
    """An object breaks its schema or its rules.

    Attributes:
        what: Which object, in words.
        problems: Every problem found, each with the path of the field.
        reason: The reason of the claim's condition Valid.
    """

    def __init__(self, what: str, problems: Iterable[Problem], reason: str = "") -> None:
        self.what = what
        self.problems = tuple(problems)
        self.reason = reason or ("Invalid" if what == "claim" else "SettingsInvalid")
        shown = [_shortened(str(problem)) for problem in self.problems[:MOST_PROBLEMS]]
        if len(self.problems) > MOST_PROBLEMS:
            shown.append(f"and {len(self.problems) - MOST_PROBLEMS} more")
        super().__init__(f"{what}: " + "; ".join(shown))


def printable(text: str) -> str:
    """Returns a text with each character that nobody sees, a line break too, written out."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in text
    )


def _shortened(text: str) -> str:
    """Returns a problem's words: core writes them into the status, which has a bound."""
    return text if len(text) <= LONGEST_PROBLEM else f"{text[:LONGEST_PROBLEM]}..."


M = TypeVar("M", bound=Model)

# Past this many problems a list helps nobody, and a condition's message stays short.
MOST_PROBLEMS = 8
# `check` lists them line by line.
_MOST_LISTED = 64
# Characters of one problem.
LONGEST_PROBLEM = 1000


def problems(error: pydantic.ValidationError, root: str = "") -> Iterator[Problem]:
    """Yields each error of pydantic as a problem with a path as Kubernetes writes it."""
    for detail in error.errors(include_url=False)[:_MOST_LISTED]:
        location, message = detail["loc"], wording.of(detail)
        if location and location[-1] == "[key]":
            # pydantic's mark of a bad key of a map, behind the key.
            location, message = location[:-2], f"key {location[-2]!r}: {message}"
        at = detail.get("ctx", {}).get("at", "") if detail["type"] == "rule" else ""
        yield Problem(path(path(root, location), at.split(".") if at else ()), message)


def path(root: str, location: Iterable[int | str]) -> str:
    """Returns a field path such as `spec.loraAdapters[0].name`."""
    out = root
    for part in location:
        if isinstance(part, int):
            out += f"[{part}]"
        else:
            out += f".{part}" if out else str(part)
    return out


def parse(model: type[M], value: Mapping[str, Any], *, what: str, root: str = "") -> M:
    """Returns the value as a model.

    Raises:
        InvalidError: The value breaks the model's schema or rules.
    """
    try:
        return model.model_validate(value, by_alias=True, by_name=False)
    except pydantic.ValidationError as error:
        raise InvalidError(what, problems(error, root)) from None


def given(value: Any, otherwise: Any) -> Any:
    """Returns the value unless it is absent: 0, "" and false are what an author meant."""
    return otherwise if value is None else value


def of(parent: Model | None, field: str) -> Any:
    """Returns a field of an optional object, or None."""
    return None if parent is None else getattr(parent, field)


def form(pattern: str, words: str) -> str:
    """Returns a pattern, of which an author reads the words: the end of "must be ..."."""
    wording.FORMS[pattern] = words
    return pattern


def text(maximum: int, pattern: str | None = None, minimum: int = 1) -> Any:
    """Returns the constraints of a bounded string: every string of the API has a bound."""
    return pydantic.StringConstraints(min_length=minimum, max_length=maximum, pattern=pattern)


def number(minimum: int, maximum: int = 2**31 - 1) -> Any:
    """Returns the constraints of a bounded integer."""
    return pydantic.Field(ge=minimum, le=maximum)


def items(maximum: int, minimum: int = 0) -> Any:
    """Returns the constraints of a bounded list or map."""
    return pydantic.Field(min_length=minimum, max_length=maximum)


def distinct(field: str, message: str) -> Rule:
    """Returns the rule that no two objects of a list have the same value in a required field."""
    return Rule(
        cel=f"self.all(a, self.exists_one(b, a.{field} == b.{field}))",
        message=message,
        holds=lambda items: len({getattr(item, field) for item in items}) == len(items),
    )


# For maps: an entry whose value is null is absent, as in `Model`.
NULLS_ABSENT = pydantic.BeforeValidator(_without_nulls)

# Kubernetes objects and fragments that pass through as they are, but for nulls: applied, they would
# be values. In a merge patch a null removes a key, so there it stays.
NULLS_DROPPED = pydantic.AfterValidator(canonical.plain)
# No type of Kubernetes has as many fields.
_FIELDS = items(64)
RawObject = Annotated[dict[str, Any], _FIELDS, NULLS_DROPPED]
RawPatch = Annotated[dict[str, Any], _FIELDS]
Raw = Annotated[RawObject, Bounds(500)]
RawList = Annotated[list[RawObject], items(32), Bounds(2000)]

_NAME = "lower-case letters, digits and '-', with a letter or digit at both ends"
DNS_LABEL = form(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", _NAME)
DNS_SUBDOMAIN = form(
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    f"a name of Kubernetes: parts with dots between them, each of {_NAME}",
)
LABEL_VALUE = form(
    r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$",
    "the value of a label: letters, digits, '-', '_' and '.', with a letter or digit at both ends",
)
# [DNS subdomain/]name, the name of at most 63 characters.
LABEL_KEY = form(
    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
    r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$",
    "the key of a label, such as team or example.com/team",
)
# Kubernetes refuses an extended resource without a domain.
EXTENDED_RESOURCE = form(
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/"
    r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$",
    "a resource with its domain, such as nvidia.com/gpu",
)
QUANTITY = form(
    r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$",
    "a quantity, for example 2, 500m or 16Gi",
)
# What Prometheus and the VictoriaMetrics operator both read: each unit once, the largest first.
DURATION = form(
    r"^([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$", "a duration, for example 30s, 5m or 1h30m"
)
# Of TCP.
PORT = "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
# Both families as Go's net.ParseCIDR reads them, but for zeros in front and for an address of IPv6
# that ends like one of IPv4.
_OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_GROUP = "[0-9a-fA-F]{1,4}"
_IPV6 = "|".join(
    (
        f"({_GROUP}:){{7}}{_GROUP}",
        f"({_GROUP}:){{1,7}}:",
        *(f"({_GROUP}:){{1,{7 - after}}}(:{_GROUP}){{1,{after}}}" for after in range(1, 7)),
        f":(:{_GROUP}){{1,7}}",
        "::",
    )
)
CIDR = form(
    rf"^({_OCTET}(\.{_OCTET}){{3}}/(3[0-2]|[12]?[0-9])"
    rf"|({_IPV6})/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))$",
    "a network, for example 10.0.0.0/8 or 2001:db8::/32: at most /32 of IPv4 and /128 of IPv6",
)
DECIMAL = form(
    r"^[0-9]{1,6}(\.[0-9]{1,4})?$",
    "a number in quotes, of at most six digits and four behind a point",
)

Cidr = Annotated[str, text(49, CIDR)]
DnsLabel = Annotated[str, text(63, DNS_LABEL)]
DnsSubdomain = Annotated[str, text(253, DNS_SUBDOMAIN)]
Duration = Annotated[str, text(32, DURATION)]
Decimal = Annotated[str, text(12, DECIMAL)]
Quantity = Annotated[str, text(32, QUANTITY)]
LabelValue = Annotated[str, text(63, LABEL_VALUE, 0)]
LabelKey = Annotated[str, text(253, LABEL_KEY)]
Labels = Annotated[dict[LabelKey, LabelValue], items(32), NULLS_ABSENT]
AnnotationValue = Annotated[str, text(4096, None, 0)]
Annotations = Annotated[dict[LabelKey, AnnotationValue], items(32), NULLS_ABSENT]
