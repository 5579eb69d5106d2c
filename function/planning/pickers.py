"""How the endpoint picker of a claim picks, and what it holds back."""

import dataclasses
from collections.abc import Iterator

from function import explanation
from function.api import claim, claim_traffic, settings
from function.planning import ways

NATIVE = "native"
HELM_RELEASE = "helmRelease"


@dataclasses.dataclass(frozen=True)
class Picker:
    """How the endpoint picker of a claim picks.

    Attributes:
        provider: What makes it: `native` or `helmRelease`.
        replicas: Pickers that answer side by side.
        scorers: Name and weight of each score that counts, in the order of the claim's fields.
        holds: Whether requests wait in the picker while no pod has room.
        most_held: Requests that may wait, or None for any number.
        priorities: Name and value of each class of requests, by name.
        left_out: Which fields of the claim the provider cannot read, in words.
    """

    provider: str = HELM_RELEASE
    replicas: int = 1
    scorers: tuple[tuple[str, int], ...] = ()
    holds: bool = False
    most_held: int | None = None
    priorities: tuple[tuple[str, int], ...] = ()
    left_out: str = ""


def picker(
    spec: claim.Spec,
    site: settings.Settings,
    reached: ways.Ways,
    *,
    wakes: bool,
    why: list[explanation.Explanation],
) -> Picker:
    """Returns how the endpoint picker picks.

    Args:
        spec: What the author asks for.
        site: The settings.
        reached: By which ways requests reach the claim.
        wakes: Whether the claim may go to zero and a request brings it back.
        why: Explanations are added here.
    """
    asked = _asked(spec)
    if not reached.picker or asked is None:
        return Picker()
    if site.endpoint_picker.provider != NATIVE:
        left_out = tuple(_left_out(asked))
        why.extend(left_out)
        return Picker(left_out="; ".join(one.rule for one in left_out))
    scorers = asked.scorers or claim_traffic.Scorers()
    chosen = Picker(
        provider=NATIVE,
        replicas=asked.replicas or 1,
        scorers=tuple((name, weight) for name, weight in scorers.weights().items() if weight),
        holds=wakes or asked.queue is not None or bool(asked.priorities),
        most_held=asked.queue.max_requests if asked.queue is not None else None,
        priorities=tuple(sorted((one.name, one.value) for one in asked.priorities or [])),
    )
    why.append(_where_requests_wait(asked, chosen, wakes=wakes))
    return chosen


def _asked(spec: claim.Spec) -> claim_traffic.EndpointPicker | None:
    return spec.gateway.endpoint_picker if spec.gateway is not None else None


def _where_requests_wait(
    asked: claim_traffic.EndpointPicker, chosen: Picker, *, wakes: bool
) -> explanation.Explanation:
    """Returns where requests wait that no pod has room for."""
    if wakes:
        rule = "the claim may sleep: requests wait in the picker, whose queue wakes it"
    elif asked.queue is not None:
        rule = "gateway.endpointPicker.queue asks for it"
    elif chosen.priorities:
        rule = "only requests that wait in the picker leave in the order of their priority"
    else:
        rule = "the claim never sleeps, and asks for neither a queue nor priorities"
    return explanation.Explanation(
        "where requests wait",
        "in the picker" if chosen.holds else "in the engine",
        rule,
        "scaling.minReplicas, gateway.endpointPicker.queue, gateway.endpointPicker.priorities",
        field="spec.gateway.endpointPicker.queue",
    )


def _left_out(asked: claim_traffic.EndpointPicker) -> Iterator[explanation.Explanation]:
    """Yields which fields have no meaning because a HelmRelease makes the picker."""
    for field, value in (
        ("replicas", (asked.replicas or 1) > 1),
        ("scorers", asked.scorers is not None),
        ("queue", asked.queue is not None),
        ("priorities", bool(asked.priorities)),
    ):
        if value:
            yield explanation.Explanation(
                f"endpointPicker.{field}",
                "left out",
                f"spec.gateway.endpointPicker.{field}: a HelmRelease makes the picker, and it is"
                " left out: take the field out of the claim, or set endpointPicker.provider to"
                " native in the settings",
                f"gateway.endpointPicker.{field}, settings endpointPicker.provider={HELM_RELEASE}",
                surprising=True,
            )
