"""Providers: for each value of a setting the module that does it."""

import typing
from collections.abc import Mapping
from typing import TypeVar

from function.api import settings

T = TypeVar("T")


def table(field: str, modules: Mapping[str, T]) -> Mapping[str, T]:
    """Returns the modules by value of `providers.<field>`; `none` has none.

    Raises:
        ValueError: A value of the setting has no module, or a module no value.
    """
    values = set(typing.get_args(settings.Providers.model_fields[field].annotation)) - {"none"}
    if values != set(modules):
        raise ValueError(
            f"providers.{field} has the values {values}, and modules for {set(modules)}"
        )
    return modules
