"""What differs between two objects, field by field, with the old and the new value."""

import dataclasses
from collections.abc import Iterator
from typing import Any


class Absent:
    """The value of a field that is not there; a null would be a value."""

    def __repr__(self) -> str:
        return "absent"


ABSENT = Absent()


@dataclasses.dataclass(frozen=True)
class Change:
    """One field that differs.

    Attributes:
        path: The field; items of lists stand under their name where they have one.
        old: What is there, or `ABSENT`.
        new: What will be, or `ABSENT`.
    """

    path: str
    old: Any
    new: Any

    def document(self) -> dict[str, Any]:
        """Returns the change for machines; what is absent has no key."""
        values = {"old": self.old, "new": self.new}
        return {"path": self.path, **{k: v for k, v in values.items() if v is not ABSENT}}


def between(old: Any, new: Any, *, path: str = "", ours: bool = False) -> Iterator[Change]:
    """Yields what differs, in the paths of `canonical.differences`.

    Args:
        old: What is there.
        new: What will be.
        path: Where the two stand.
        ours: Whether only fields count that the new one has: the others belong to somebody else,
            such as the API server that defaulted them.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(new if ours else old.keys() | new.keys()):
            step = f"{path}.{key}" if path else key
            yield from _pair(old.get(key, ABSENT), new.get(key, ABSENT), step, ours=ours)
    elif isinstance(old, list) and isinstance(new, list):
        yield from _lists(old, new, path, ours=ours)
    elif old != new:
        yield Change(path, old, new)


def leaves(change: Change) -> Iterator[Change]:
    """Yields what goes with a map that goes, field by field."""
    if isinstance(change.old, dict) and change.old:
        for key in sorted(change.old):
            yield from leaves(Change(f"{change.path}.{key}", change.old[key], ABSENT))
    else:
        yield change


def _pair(old: Any, new: Any, path: str, *, ours: bool) -> Iterator[Change]:
    if old is ABSENT or new is ABSENT:
        yield Change(path, old, new)
    else:
        yield from between(old, new, path=path, ours=ours)


def _lists(old: list[Any], new: list[Any], path: str, *, ours: bool) -> Iterator[Change]:
    """Yields what differs in lists: by name, else as whole lists.

    Where only some fields count, items are compared by place instead. All items of a list are the
    writer's: what is left out goes.
    """
    before, after = _by_name(old), _by_name(new)
    if before is not None and after is not None and (before or after):
        changes = [
            change
            for name in sorted(before.keys() | after.keys())
            for change in _pair(
                before.get(name, ABSENT), after.get(name, ABSENT), f"{path}[{name}]", ours=ours
            )
        ]
        # The same items in another order are another list too.
        if not changes and list(before) != list(after):
            changes = [Change(path, list(before), list(after))]
        yield from changes
    elif ours and len(old) == len(new) and all(isinstance(item, dict) for item in (*old, *new)):
        for index, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from between(one, other, path=f"{path}[{index}]", ours=ours)
    elif old != new:
        yield Change(path, old, new)


def _by_name(items: list[Any]) -> dict[str, Any] | None:
    """Returns the items of a list by their names, or None when some have none, or the same."""
    if not all(isinstance(item, dict) and "name" in item for item in items):
        return None
    named = {str(item["name"]): item for item in items}
    return named if len(named) == len(items) else None
