"""Providers: for each value of a setting the module that does it, and what goes with one."""

import functools
import typing
from collections.abc import Iterable, Mapping
from typing import TypeVar

from function import kinds
from function.api import base, settings
from function.cluster import observed

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


# A message names so many objects; more help nobody.
_MOST_NAMED = 3


def check_none_is_lost(site: settings.Settings, world: observed.Observed) -> None:
    """Ensures that every provider whose objects are observed is named, or withdrawn in words.

    Settings that came back empty, or lost a key, would otherwise delete the routes, backends or
    policies of every claim at once.

    Raises:
        base.InvalidError: A provider is lost.
    """
    used = site.providers.used()
    problems = []
    for (concern, provider), suffixes in _suffixes().items():
        if used[concern] == provider or provider in site.providers.withdrawn:
            continue
        objects = _observed(suffixes, world)
        if objects:
            alias = str(settings.Providers.model_fields[concern].alias)
            problems.append(
                base.Problem(
                    f"providers.{alias}",
                    f"is {used[concern]}, and {provider} composed {_listed(objects)}, which would"
                    f" be deleted: set providers.{alias} to {provider} again, or add {provider}"
                    " to providers.withdrawn",
                )
            )
    if problems:
        raise base.InvalidError("settings", problems)


@functools.cache
def _suffixes() -> dict[tuple[str, str], tuple[kinds.Row, ...]]:
    """Returns the rows of each provider, by setting and value."""
    by_provider: dict[tuple[str, str], tuple[kinds.Row, ...]] = {}
    for row in kinds.ROWS:
        if row.provider is not None:
            by_provider[row.provider] = (*by_provider.get(row.provider, ()), row)
    return by_provider


def _observed(rows: tuple[kinds.Row, ...], world: observed.Observed) -> list[str]:
    """Returns kind and name of each observed object of some rows, by key."""
    objects = {
        suffix: f"{row.kind.name} {observed.at(resource, 'metadata', 'name')}"
        for row in rows
        for suffix, resource in _under(row, world)
        if observed.at(resource, "kind") == row.kind.name
    }
    return [objects[suffix] for suffix in sorted(objects)]


def _under(row: kinds.Row, world: observed.Observed) -> Iterable[tuple[str, observed.Object]]:
    """Returns suffix and object of each observed key of a row."""
    if "<" in row.suffix:
        return world.starting(row.prefix)
    resource = world.get(row.suffix)
    return () if resource is None else ((row.suffix, resource),)


def _listed(objects: list[str]) -> str:
    rest = len(objects) - _MOST_NAMED
    named = ", ".join(objects[:_MOST_NAMED])
    return f"{named} and {rest} more" if rest > 0 else named
