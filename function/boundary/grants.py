"""What the settings grant by pattern: names of Secrets, paths of a store, directories of a volume.

In a pattern `*` stands for any characters, a slash among them, `{name}` for the claim's name and
`{namespace}` for its namespace. Nothing else has a meaning.
"""

from collections.abc import Mapping, Sequence

from function.api import claim


def patterns(
    granted: Mapping[str, Sequence[str]], resource: claim.InferenceService
) -> tuple[str, ...]:
    """Returns the patterns for a claim, with its names in them.

    The entry of the claim's namespace counts alone where there is one, and that of `*` elsewhere.
    """
    chosen = granted.get(resource.namespace, granted.get("*", ()))
    return tuple(
        pattern.replace("{namespace}", resource.namespace).replace("{name}", resource.name)
        for pattern in chosen
    )


def grant(
    granted: Mapping[str, Sequence[str]], resource: claim.InferenceService, value: str
) -> bool:
    """Tells whether one of the claim's patterns matches all of a value."""
    return any(matches(pattern, value) for pattern in patterns(granted, resource))


def matches(pattern: str, value: str) -> bool:
    """Tells whether a pattern matches all of a value, in time linear in its length.

    A regular expression of several `.*` takes the power of their number on what it refuses.
    """
    first, *rest = pattern.split("*")
    if not rest:
        return value == first
    *middle, last = rest
    if len(value) < len(first) + len(last):
        return False
    if not value.startswith(first) or not value.endswith(last):
        return False
    at, end = len(first), len(value) - len(last)
    for piece in middle:
        place = value.find(piece, at, end)
        if place < 0:
            return False
        at = place + len(piece)
    return True


def words(granted: Mapping[str, Sequence[str]], resource: claim.InferenceService) -> str:
    """Returns what is granted, for a message."""
    listed = patterns(granted, resource)
    more = f" and {len(listed) - _MOST_LISTED} more" if len(listed) > _MOST_LISTED else ""
    return (", ".join(listed[:_MOST_LISTED]) + more) or "nothing"


_MOST_LISTED = 5
