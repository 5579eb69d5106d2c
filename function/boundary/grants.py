"""What the settings grant by pattern (`allowed`), and what they keep (`reservedNames`).

In a pattern `*` stands for any text without a slash and `**` for any text; `{name}` is the claim's
name and `{namespace}` its namespace. What stands under "*" holds in every namespace, and the entry
of a namespace adds to it.
"""

import re
from collections.abc import Iterator
from typing import Protocol

from pydantic import alias_generators

from function.api import base, settings, settings_forms


class Named(Protocol):
    """A claim of any kind, as far as patterns go by it."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def namespace(self) -> str:
        """Its namespace."""


_STARS = re.compile(r"(\*+)")
_MOST_LISTED = 5


def outside(
    field: str,
    path: str,
    value: str,
    resource: Named,
    site: settings.Settings,
    words: str = "",
) -> Iterator[base.Problem]:
    """Yields a problem when the settings do not let a claim name a value.

    Args:
        field: Field of the settings' `allowed`, in Python's spelling.
        path: Field of the claim that names it.
        value: What the author wrote.
        resource: The claim.
        site: The settings.
        words: What else there is to say of the value, the beginning of the sentence.
    """
    granted = patterns(getattr(site.allowed, field), resource)
    if any(matches(pattern, value) for pattern in granted):
        return
    more = f" and {len(granted) - _MOST_LISTED} more" if len(granted) > _MOST_LISTED else ""
    listed = (", ".join(granted[:_MOST_LISTED]) + more) or "nothing"
    refusal = (
        f"the settings do not allow {value!r} in namespace {resource.namespace}"
        f" (allowed.{alias_generators.to_camel(field)} has {listed})"
    )
    yield base.Problem(path, f"{words}; {refusal}" if words else refusal)


def patterns(granted: settings_forms.Patterns, resource: Named) -> tuple[str, ...]:
    """Returns the patterns that hold for a claim, with its names in them."""
    chosen = [*granted.get("*", ()), *granted.get(resource.namespace, ())]
    return tuple(filled(pattern, resource) for pattern in chosen)


def filled(pattern: str, resource: Named) -> str:
    """Returns a pattern with the claim's names in it."""
    return pattern.replace("{namespace}", resource.namespace).replace("{name}", resource.name)


def matches(pattern: str, value: str) -> bool:
    """Tells whether a pattern matches all of a value, in time linear in the value's length.

    A regular expression of several stars takes the power of their number on what it refuses.
    """
    # A symbol is one character, or a run of stars. Bit n of `reached` is set when the first n
    # symbols match the value so far.
    symbols = [
        symbol
        for part in _STARS.split(pattern)
        for symbol in ((part,) if part.startswith("*") else part)
    ]
    bits: dict[str, int] = {}
    for place, symbol in enumerate(symbols):
        bits[symbol[:2]] = bits.get(symbol[:2], 0) | 1 << place
    across = bits.get("**", 0)
    stars = bits.get("*", 0) | across
    reached = 1 | (1 & stars) << 1
    for character in value:
        stays = reached & (across if character == "/" else stars)
        steps = (reached & bits.get(character, 0)) << 1
        reached = stays | steps
        reached |= (reached & stars) << 1
    return bool(reached >> len(symbols) & 1)
