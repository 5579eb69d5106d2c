"""By which steps the weights of canaries rise, and what each step must show."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from function import canonical, explanation
from function.api import base, claim, claim_gate
from function.planning import storage, ways

MINUTES = 30
MAX_ERROR_PERCENT = 1
MIN_REQUESTS = 100
PASS_PERCENT = 90

_MARK = 16


@dataclasses.dataclass(frozen=True)
class Schedule:
    """The gate of one canary.

    Attributes:
        adapter: Name of the adapter.
        steps: Percents of the steps, rising; the last is the weight that the author asks for.
        minutes: For how long a step is judged, at least.
        max_error_percent: Most share of errors above the base model's own.
        min_requests: Requests without which a step is not judged.
        pass_percent: Least share of evaluations that pass, or None where none are asked for.
        mark: What is judged: the content of the adapter and of the base model, and which try the
            author asks for. Steps that held count for as long as it stays the same.
        asked: All that the author wrote of it: a canary that was taken back stays so for as long
            as it stays the same.
        former: Mark and text without the base model, as they were at first.
    """

    adapter: str
    steps: tuple[int, ...]
    minutes: int
    max_error_percent: int
    min_requests: int
    pass_percent: int | None
    mark: str
    asked: str
    former: tuple[str, str] = ("", "")

    @property
    def goal(self) -> int:
        """The weight that the author asks for, in percent."""
        return self.steps[-1]

    def after(self, held: int) -> int | None:
        """Returns the step that follows a weight that held, or None where no step is left."""
        return next((step for step in self.steps if step > held), None)


def schedules(
    spec: claim.Spec,
    stored: storage.Storage,
    reached: ways.Ways,
    why: list[explanation.Explanation],
) -> tuple[Schedule, ...]:
    """Returns the gates of a claim's canaries, by adapter."""
    if not reached.gateway or spec.gateway is None:
        return ()
    made = tuple(_schedules(spec, stored))
    for one in made:
        steps = ", ".join(f"{step} %" for step in one.steps)
        rule = (
            f"the weight rises after each {one.minutes} min in which the share of errors is at most"
            f" {one.max_error_percent} % above the base model's, over at least"
            f" {one.min_requests} requests"
        )
        if one.pass_percent is not None:
            rule += f", and {one.pass_percent} % of the last evaluation's cases pass"
        inputs = f"gateway.canaries[{one.adapter}].gate, weightPercent={one.goal}"
        why.append(
            explanation.Explanation(f"canary {one.adapter}", steps, rule, inputs, field=_FIELD)
        )
    return made


_FIELD = "gateway.canaries"


def _schedules(spec: claim.Spec, stored: storage.Storage) -> Iterator[Schedule]:
    directories = {adapter.name: adapter for adapter in stored.adapters}
    canaries = base.of(spec.gateway, "canaries") or []
    for canary in sorted(canaries, key=lambda one: str(one.adapter)):
        if canary.gate is None or canary.adapter not in directories:
            continue
        gate: claim_gate.Gate = canary.gate
        directory = directories[canary.adapter]
        given = gate.evals
        content = [directory.repository, directory.revision, directory.path]
        again = base.given(gate.generation, 0)
        # An adapter does on another base model what nobody saw.
        beneath = [*stored.base.served, stored.base.place]
        written = canary.model_dump(by_alias=True, exclude_unset=True, exclude_none=True)
        mark, asked = _marks([content, beneath, again], written)
        yield Schedule(
            adapter=canary.adapter,
            steps=_steps(gate, canary.weight_percent),
            minutes=base.given(gate.minutes, MINUTES),
            max_error_percent=base.given(gate.max_error_percent, MAX_ERROR_PERCENT),
            min_requests=base.given(gate.min_requests, MIN_REQUESTS),
            pass_percent=None if given is None else base.given(given.pass_percent, PASS_PERCENT),
            mark=mark,
            asked=asked,
            former=_marks([content, again], written),
        )


def _marks(judged: list[Any], written: Mapping[str, Any]) -> tuple[str, str]:
    mark = canonical.digest(judged, _MARK)
    return mark, canonical.digest([mark, written], _MARK)


def _steps(gate: claim_gate.Gate, goal: int) -> tuple[int, ...]:
    """Returns the steps, rising, with the goal as the last."""
    given = gate.steps if gate.steps is not None else [goal // 4, goal // 2]
    return tuple(sorted({step for step in given if 0 < step < goal} | {goal}))
