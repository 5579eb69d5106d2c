"""Reads a field of a model's config.json, or says which field is wrong and what it must be."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

# A config.json is anybody's: a model with 10^12 layers would be listed for ever. The largest that
# people run has 126 layers, and vocabularies of a million tokens.
_LARGEST = 2**36
_LAYERS = 1000
_COUNTED = frozenset({"num_hidden_layers", "n_layer", "first_k_dense_replace"})


class UnreadableError(ValueError):
    """A config.json from which nobody can tell what a model is made of."""


@dataclasses.dataclass(frozen=True)
class Fields:
    """A mapping of a config.json, with the place where it stands.

    Attributes:
        values: The mapping.
        place: Dotted path from the file's root, empty or with a dot at its end.
    """

    values: Mapping[str, Any]
    place: str = ""

    def __contains__(self, name: str) -> bool:
        return self.values.get(name) is not None

    def whole(self, *names: str, default: int | None = None, least: int = 1) -> int:
        """Returns the first of these fields that is there, a whole number.

        Raises:
            UnreadableError: None is there and there is no default, or the value is none.
        """
        for name in names:
            value = self.values.get(name)
            if value is None:
                continue
            most = _LAYERS if name in _COUNTED else _LARGEST
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise self.wrong(name, f"a whole number from {least} to {most}")
            return value
        if default is None:
            raise UnreadableError(
                f"config.json: {self.place}{names[0]} is missing: "
                "take the config.json that lies beside the model's weights"
            )
        return default

    def number(self, name: str, default: float) -> float:
        """Returns a number."""
        value = self.values.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(name, "a number")
        if not abs(value) <= _LARGEST:
            raise self.wrong(name, f"a number of at most {_LARGEST}")
        return float(value)

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Returns a truth value."""
        value = self.values.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.wrong(name, "true or false")
        return value

    def text(self, name: str, default: str = "") -> str:
        """Returns a text."""
        value = self.values.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self.wrong(name, "a text")
        return value

    def items(self, name: str, length: int | None = None) -> Sequence[Any] | None:
        """Returns a list, or None when the field is absent."""
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or (length is not None and len(value) < length):
            wanted = "a list" if length is None else f"a list of at least {length} items"
            raise self.wrong(name, wanted)
        return value

    def inside(self, name: str) -> Fields | None:
        """Returns a nested mapping, or None when the field is absent."""
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise self.wrong(name, "a mapping")
        return Fields(value, f"{self.place}{name}.")

    def wrong(self, name: str, wanted: str) -> UnreadableError:
        """Returns the error for a value that is not what the field must be."""
        shown = repr(self.values.get(name))
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        return UnreadableError(f"config.json: {self.place}{name} is {shown}: must be {wanted}")
