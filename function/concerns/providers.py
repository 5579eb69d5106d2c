"""Providers: for each value of a setting the module that does it, and what goes with one."""

import typing
from collections.abc import Iterable, Mapping
from typing import TypeVar

from function import claim_rows, kinds
from function.api import base, settings, settings_providers
from function.cluster import observed

T = TypeVar("T")


def table(field: str, modules: Mapping[str, T]) -> Mapping[str, T]:
    """Returns the modules by value of `providers.<field>`; `none` has none.

    Raises:
        ValueError: A value of the setting has no module, or a module no value.
    """
    annotation = settings_providers.Providers.model_fields[field].annotation
    values = {*typing.get_args(annotation)} - {"none"}
    if values != set(modules):
        raise ValueError(
            f"providers.{field} has the values {values}, and modules for {set(modules)}"
        )
    return modules


# A message names so many objects; more help nobody.
_MOST_NAMED = 3


def check_none_is_lost(
    site: settings.Settings, world: observed.Observed, rows: kinds.Table = claim_rows.TABLE
) -> None:
    """Ensures that every provider whose objects are observed is named, or withdrawn in words.

    Settings that came back empty, or lost a key, would otherwise delete the routes, backends or
    policies of every claim at once.

    Args:
        site: The settings.
        world: What the cluster reports.
        rows: Those of the kind of claim.

    Raises:
        base.InvalidError: A provider is lost.
    """
    used = site.providers.used()
    lost: dict[tuple[str, str], list[str]] = {}
    for suffix, resource in world.starting(""):
        row = _row(rows, suffix)
        if row is None or row.provider is None:
            continue
        concern, provider = row.provider
        if used[concern] == provider or provider in site.providers.withdrawn:
            continue
        if observed.at(resource, "kind") == row.kind.name:
            name = observed.at(resource, "metadata", "name")
            lost.setdefault(row.provider, []).append(f"{row.kind.name} {name}")
    if lost:
        raise base.InvalidError(
            "settings",
            [
                _problem(used[chosen[0]], *chosen, lost[chosen])
                for chosen in _providers()
                if chosen in lost
            ],
        )


def _problem(used: str, concern: str, provider: str, objects: list[str]) -> base.Problem:
    alias = str(settings_providers.Providers.model_fields[concern].alias)
    return base.Problem(
        f"providers.{alias}",
        f"is {used}, and {provider} composed {_listed(objects)}, which would be deleted: set"
        f" providers.{alias} to {provider} again, or add {provider} to providers.withdrawn",
    )


def _providers() -> Iterable[tuple[str, str]]:
    """Returns setting and value of each provider, in the order of the table of kinds."""
    return dict.fromkeys(row.provider for row in claim_rows.ROWS if row.provider is not None)


def _row(rows: kinds.Table, suffix: str) -> kinds.Row | None:
    """Returns the row of an observed key, or None where the key is nobody's of today."""
    try:
        return rows.row(suffix)
    except KeyError:
        return None


def _listed(objects: list[str]) -> str:
    rest = len(objects) - _MOST_NAMED
    named = ", ".join(objects[:_MOST_NAMED])
    return f"{named} and {rest} more" if rest > 0 else named
