"""Why a claim is not planned: each fault once, in the same words whichever verb says it."""

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from function.api import base, claim, settings
from function.findings import refusals, rules, table
from function.planning import plans


def findings(
    document: Mapping[str, Any], problems: Sequence[base.Problem], site: settings.Settings
) -> tuple[rules.Finding, ...]:
    """Returns what is wrong with a claim that is refused, its engine's arguments included.

    Args:
        document: The claim.
        problems: Why it is refused.
        site: The settings.
    """
    return tuple(_findings(document, problems, site))


def messages(found: Sequence[rules.Finding]) -> tuple[str, ...]:
    """Returns the errors among them, each in a line."""
    return tuple(one.sentence for one in found if one.severity is rules.Severity.ERROR)


def _findings(
    document: Mapping[str, Any], problems: Sequence[base.Problem], site: settings.Settings
) -> Iterator[rules.Finding]:
    resource = _parsed(document)
    own = set(problems if resource is None else plans.problems(resource.spec))
    for problem in problems:
        if problem in own:
            yield refusals.CLAIM_INVALID.broken(problem.path, problem.message)
    arguments = list(_of_arguments(document, resource, site))
    # No settings could allow what the engine takes for no flag.
    judged = {
        one.field
        for one in arguments
        if one.rule in table.NO_FLAG and one.severity is rules.Severity.ERROR
    }
    forbidden = [one for one in problems if one not in own and one.path not in judged]
    for problem in forbidden:
        yield refusals.SETTINGS_FORBID.broken(problem.path, problem.message)
    # A refusal of what is short for a flag names the flag.
    paths = {problem.path for problem in forbidden}
    for one in arguments:
        if one.rule not in table.NAMED or one.field not in paths:
            yield one


def _parsed(document: Mapping[str, Any]) -> claim.InferenceService | None:
    try:
        return base.parse(claim.InferenceService, document, what="claim")
    except base.InvalidError:
        return None


def _of_arguments(
    document: Mapping[str, Any], resource: claim.InferenceService | None, site: settings.Settings
) -> Iterator[rules.Finding]:
    if resource is not None:
        yield from table.of_arguments(resource.spec, site)
        return
    spec, written = _arguments(document)
    for finding in () if spec is None else table.of_arguments(spec, site):
        kept = _ARGUMENT.fullmatch(finding.field)
        field = finding.field if kept is None else f"spec.engineArgs[{written[int(kept[1])]}]"
        yield dataclasses.replace(finding, field=field)


_ARGUMENT = re.compile(r"spec\.engineArgs\[(\d+)\]")


def _arguments(document: Mapping[str, Any]) -> tuple[claim.Spec | None, list[int]]:
    """Returns the engine and its arguments of a claim that does not parse, as far as they do.

    An argument that is refused by itself is left out: beside the spec stands the place of each that
    is kept.
    """
    written = document.get("spec")
    if not isinstance(written, Mapping):
        return None, []
    kept = {field: written[field] for field in ("engine", "engineArgs") if field in written}
    given = kept.get("engineArgs")
    arguments = given if isinstance(given, list) else []
    places = list(range(len(arguments)))
    asked = {"model": {"repository": "org/model"}, **kept}
    try:
        return base.parse(claim.Spec, asked, what="spec"), places
    except base.InvalidError as error:
        paths = [_REFUSED.match(problem.path) for problem in error.problems]
        refused = {int(path[1]) for path in paths if path}
    places = [place for place in places if place not in refused]
    asked["engineArgs"] = [arguments[place] for place in places]
    try:
        return base.parse(claim.Spec, asked, what="spec"), places
    except base.InvalidError:
        return None, []


_REFUSED = re.compile(r"engineArgs\[(\d+)\]")
