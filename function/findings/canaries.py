"""Whether something will judge the canaries that ask for it."""

from collections.abc import Iterator, Mapping, Sequence

from function.api import gateway, gateway_evals, settings
from function.findings import rules
from function.fleet.evals import evals
from function.planning import plans
from function.situation import gates

_WARNING, _NOTE = rules.Severity.WARNING, rules.Severity.NOTE

GATE_UNJUDGED = rules.Rule(
    "gate-unjudged",
    _WARNING,
    "A canary has a `gate`, and the settings let nothing judge it; or its `gate.evals` wait for"
    " evaluations that no InferenceGateway makes, as the files have it.",
    "In the first case it has no share (`RouteReady=False/GatesWithheld`). In the second it stays"
    " at its first step (`CanaryWaits`). Where no file has an InferenceGateway of the namespace, it"
    " is a note.",
    "Set the settings' `canaryGates`, or the `evals` of the InferenceGateway; or take `gate` or"
    " `gate.evals` away.",
)
GATE_SHARED = rules.Rule(
    "gate-shared",
    _WARNING,
    "A canary has a `gate`, and the files have a claim of the same name on another Gateway. The"
    " series of the AI gateway name models and no gateway.",
    "Requests of both claims are added up: the canary of the one can hold or break by requests of"
    " the other.",
    "Let the platform's scrape add the Gateway's labels, and name them in the settings'"
    " `canaryGates.gatewayLabels`; or give one of the claims another name.",
)
RULES = (GATE_UNJUDGED, GATE_SHARED)


def judge(
    plan: plans.Plan,
    labels: Mapping[str, str],
    doors: Sequence[gateway.InferenceGateway] = (),
) -> Iterator[rules.Finding]:
    """Yields the canaries that nothing will judge.

    Args:
        plan: The claim, planned.
        labels: The claim's own.
        doors: The InferenceGateways of its namespace that the files have.
    """
    lack = gates.lack(plan)
    for schedule in plan.gates:
        name = schedule.adapter
        field = f"{_field(plan, name)}.gate"
        if lack is not None:
            words = f"canary {name} gets no share: {lack}"
            yield GATE_UNJUDGED.broken(field, words)
        elif schedule.pass_percent is not None:
            why = _unevaluated(plan.site, name, labels, doors)
            if why is not None:
                words = f"canary {name} stays at its first step: {why}"
                yield GATE_UNJUDGED.broken(f"{field}.evals", words, None if doors else _NOTE)


def shared(asked: Sequence[plans.Plan]) -> Iterator[rules.Finding | None]:
    """Yields for each claim that its gates are judged by requests of another one, or None."""
    for plan in asked:
        others = [other for other in asked if plan.gates and _added_up(plan, other)]
        if not others:
            yield None
            continue
        names = ", ".join(sorted(f"{one.identity.namespace}/{one.identity.name}" for one in others))
        words = f"requests of {names}, on another Gateway, are added up with those of this claim"
        yield GATE_SHARED.broken(f"{_field(plan, plan.gates[0].adapter)}.gate", words)


def _added_up(plan: plans.Plan, other: plans.Plan) -> bool:
    labels = plan.site.canary_gates.gateway_labels
    mine = plan.site.parent_of(plan.identity.namespace)
    theirs = other.site.parent_of(other.identity.namespace)
    if other.identity.name != plan.identity.name or not other.ways.gateway or mine == theirs:
        return False
    return labels is None or (labels.namespace is None and mine.name == theirs.name)


def _field(plan: plans.Plan, adapter: str) -> str:
    given = plan.spec.gateway
    canaries = [] if given is None else given.canaries or []
    index = next(i for i, one in enumerate(canaries) if one.adapter == adapter)
    return f"spec.gateway.canaries[{index}]"


def _unevaluated(
    site: settings.Settings,
    adapter: str,
    labels: Mapping[str, str],
    doors: Sequence[gateway.InferenceGateway],
) -> str | None:
    """Returns why nobody evaluates an adapter, in words, or None."""
    if not doors:
        return f"no file has an InferenceGateway that evaluates {adapter} (its evals)"
    if not any(_evaluates(door, adapter, labels) for door in doors):
        names = ", ".join(sorted(door.metadata.name for door in doors))
        return f"InferenceGateway {names} does not evaluate {adapter}: name it in its evals"
    lacks = evals.lacks(site)
    return None if lacks is None else f"nothing is evaluated: {lacks.message}"


def _evaluates(door: gateway.InferenceGateway, adapter: str, labels: Mapping[str, str]) -> bool:
    asked, selector = door.spec.evals, door.spec.selector
    if asked is None or (selector is not None and not _bears(labels, selector.match_labels)):
        return False
    caller = next(one for one in door.spec.callers or [] if one.name == asked.caller)
    return all(_selects(one, adapter, labels) for one in (asked.models, caller.models))


def _selects(
    models: gateway.Models | gateway_evals.Selection | None, name: str, labels: Mapping[str, str]
) -> bool:
    """Tells whether a selection has a model; one that is absent has every model."""
    if models is None or name in models.names:
        return True
    return bool(models.match_labels) and _bears(labels, models.match_labels)


def _bears(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return wanted.items() <= labels.items()
