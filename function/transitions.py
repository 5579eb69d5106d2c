"""What a claim of any kind tells of the way from its last answer to this one."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from function import composition
from function.cluster import memory, observed

Conditions = tuple[observed.Condition, ...]


def observed_generation(
    world: observed.Observed, remembered: memory.Memory, conditions: Conditions, generation: Any
) -> Any:
    """Returns the generation of the claim that the conditions are about.

    Core writes the fields of a status beside the conditions that it read before, and the new
    conditions after them. No condition says which generation it is about, so `kubectl wait` goes by
    this field. The field moves on when the conditions that core read are those of this answer.
    Before that, `Current` would be True of an edit that no answer has judged yet. The write of the
    changed conditions makes core ask again.
    """
    for condition in conditions:
        before = world.conditions.get(condition.type)
        if before is None or before.status != condition.status:
            return remembered.observed_generation
    return generation


def events(
    world: observed.Observed,
    remembered: memory.Memory,
    conditions: Conditions,
    warning: Callable[[observed.Condition], bool],
    said_elsewhere: Callable[[observed.Condition, observed.Condition], bool],
) -> Iterator[composition.Event]:
    """Yields one event for each condition that changed since the last answer.

    A condition that core turned into Unknown after a failed call comes back without an event. There
    is none either for a condition whose message is the status' `waitingFor`: the answer that wrote
    that field had the event, though core's cache may not show that answer's conditions yet
    (`repeats`).

    Args:
        world: What the cluster reports.
        remembered: What the claim's status remembers.
        conditions: Those of this answer.
        warning: Tells whether somebody must act on a condition as it is.
        said_elsewhere: Tells of a condition and what it was before whether another one's event
            says it.
    """
    for condition in conditions:
        if condition.status != "True" and condition.message == remembered.waiting_for:
            continue
        before = world.conditions.get(condition.type)
        if before is None:
            if condition.status != "False" or not warning(condition):
                continue
        elif before.reason in (condition.reason, observed.FATAL_ERROR):
            continue
        if before is not None and said_elsewhere(condition, before):
            continue
        yield composition.Event(
            warning=warning(condition),
            reason=condition.reason,
            message=f"{condition.type}={condition.status}: {condition.message}".rstrip(": "),
        )


def repeats(
    world: observed.Observed,
    remembered: memory.Memory,
    conditions: Conditions,
    waiting_for: Callable[[Mapping[str, observed.Condition]], str],
) -> bool:
    """Tells whether the last answer was the same, so that its events were sent already.

    Core writes the fields of a status, tells the events and then writes the conditions. Its first
    write wakes it again, and its cache may show the new fields beside the old conditions
    (v2.4.0, internal/controller/apiextensions/composite/reconciler.go). The field `waitingFor`
    follows from the conditions: where it holds what the new ones say and not what the old ones
    say, an answer came between. A fatal answer writes no fields: that is for the caller to ask.

    Args:
        world: What the cluster reports.
        remembered: What the claim's status remembers.
        conditions: Those of this answer.
        waiting_for: Returns what a claim with such conditions waits for, in words.
    """
    before = world.conditions
    if not before.keys() >= {condition.type for condition in conditions}:
        return False
    new = waiting_for({condition.type: condition for condition in conditions})
    return bool(remembered.waiting_for == new != waiting_for(before))


def first_untrue(
    conditions: Mapping[str, observed.Condition], order: Iterable[str]
) -> observed.Condition | None:
    """Returns the first condition in an order of causes that is not True, or None."""
    return next((conditions[kind] for kind in order if conditions[kind].status != "True"), None)
