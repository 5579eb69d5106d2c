"""What applying a claim does to its pods."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal

from function import canonical, composition, plural
from function.api import claim
from function.cli import changes, rendering
from function.cluster import observed
from function.concerns import weights, workload
from function.planning import identity
from function.situation import rollouts
from function.workloads import workload as keepers
from function.workloads import workloads

# none: there are none, and none start. fewer: some of several go. restart-later: they restart once
# the weights that they need are verified.
Effect = Literal[
    "none", "start", "stay", "held", "restart-later", "restart", "fewer", "end", "unknown"
]


_COMPILED = ".env[VLLM_CACHE_ROOT].value"


@dataclasses.dataclass(frozen=True)
class Pods:
    """What happens to the pods of a claim.

    Attributes:
        effect: The same in one word.
        words: The same in a sentence without its subject, `the pods`; `{}` stands for the fields.
        names: Fields of the pod template that restart them or are held back.
        fields: The same with their values.
        unseen: The kind that keeps the pods, where it was not looked at.
        reported: Whether the claim's status says already that these fields are held back.
    """

    effect: Effect
    words: str
    names: tuple[str, ...] = ()
    fields: tuple[changes.Change, ...] = ()
    unseen: str | None = None
    reported: bool = False

    @property
    def holds(self) -> bool:
        """Tells whether fields are held back that were not before."""
        return self.effect == "held" and not self.reported

    @property
    def held(self) -> bool:
        """Tells whether the fields are held back."""
        return self.effect in ("held", "restart-later")

    @property
    def moves(self) -> bool:
        """Tells whether a pod starts or ends."""
        return self.effect in ("start", "restart-later", "restart", "fewer", "end")

    def sentence(self, most: int | None = None) -> str:
        """Returns what happens in words, with so many fields at most."""
        named = ", ".join(self.names[:most])
        if len(self.names) == 1 and self.names[0].endswith(_COMPILED):
            # A directory for each image, GPU class and command line: two of them have own fields.
            named = f"GPU class ({named})"
        if most is not None and len(self.names) > most:
            named += f" and {len(self.names) - most} more"
        words = self.words.replace("{}", named)
        if self.unseen is None:
            return words
        return f"{words} ({self.unseen}s were not looked at)".strip()

    def document(self) -> dict[str, Any]:
        """Returns the same for machines."""
        return {
            "effect": self.effect,
            "message": self.sentence(),
            "fields": [field.document() for field in self.fields],
            "lookedAt": self.unseen is None,
        }


NONE = Pods("none", "")


def of(item: rendering.Rendered) -> Pods:
    """Returns what applying a claim does to its pods."""
    if not item.observed:
        return _of_new(item)
    wanted = workloads.chosen(item.resource.spec)
    former = _keeper(item.before, wanted)
    kind = wanted.KIND if former is None else former.workload.KIND
    unseen = None if item.looks(kind) else kind
    if former is None and unseen is not None and item.live is None:
        return Pods("unknown", "", unseen=unseen)
    return dataclasses.replace(_of_running(item, former), unseen=unseen)


def of_removed(
    composed: dict[str, dict[str, Any]],
    alive: claim.InferenceService | None,
    looks: Callable[[str], bool],
) -> Pods:
    """Returns what becomes of the pods of a claim that goes.

    Args:
        composed: The objects that it became, by key.
        alive: The claim as it lives, where this function can use it.
        looks: Whether a kind was looked at.
    """
    former = _keeper(composed)
    if former is not None:
        workload = former.workload
    elif alive is not None:
        workload = workloads.chosen(alive.spec)
    else:
        workload = workloads.WORKLOADS[workloads.DEFAULT]
    kind, running = workload.KIND, None if former is None else former.state
    if not looks(kind):
        return Pods("end", "all end", unseen=kind)
    if running is None or running.wanted == 0:
        return Pods("none", "none run")
    return Pods("end", f"all end: {plural.of(running.wanted, 'replica')}")


@dataclasses.dataclass(frozen=True)
class _Keeper:
    """The object that keeps a claim's pods."""

    workload: keepers.Workload
    item: observed.Object

    @property
    def state(self) -> keepers.State | None:
        return self.workload.state(self.item)


def _keeper(
    objects: Mapping[str, observed.Object], wanted: keepers.Workload | None = None
) -> _Keeper | None:
    """Returns what keeps the pods among a claim's objects, or None.

    While the object of another kind is being deleted there are two: the wanted one counts.
    """
    there = [
        _Keeper(workload, item)
        for item in objects.values()
        if (workload := workloads.of(item)) is not None
    ]
    first = there[0] if there else None
    return next((keeper for keeper in there if keeper.workload is wanted), first)


def _composed(answer: composition.Composition) -> _Keeper | None:
    return _keeper({key: one.manifest for key, one in answer.resources.items()})


def _of_new(item: rendering.Rendered) -> Pods:
    answer = item.answer
    if item.resource.spec.suspend is True:
        return Pods("none", "none start: the claim is suspended")
    if answer.misfit is not None:
        return Pods("none", f"none start: {answer.misfit.message}")
    keeper = _composed(answer)
    if keeper is not None:
        return Pods("start", f"start with the {keeper.workload.KIND}")
    # Of a bucket, pods wait for the identity by which they may read it.
    waits = next(c for c in answer.conditions if c.type == weights.WeightsReady.type())
    if waits.reason == weights.WeightsReady.IDENTITY_PENDING.reason.name:
        return Pods("none", "none start before they may read the weights")
    return Pods("none", "none start before the weights are verified")


def _of_running(item: rendering.Rendered, former: _Keeper | None) -> Pods:
    answer, suspended = item.likely, item.resource.spec.suspend is True
    keeper = _composed(answer)
    if suspended or keeper is None:
        return _ending(former, suspended=suspended, gone=keeper is None, item=item)
    running = None if former is None else former.state
    if former is None or running is None or former.workload is not keeper.workload:
        # One of another kind has no pods any more: nothing takes its place before.
        return Pods("start", f"start with the {keeper.workload.KIND}")
    names = answer.held or answer.restarts
    fields = _fields(former, answer, names)
    asleep = running.wanted == 0 and not running.serves
    if asleep and item.live is not None and item.live.spec.suspend is True:
        return Pods("start", "start: the claim is no longer suspended", names, fields)
    if answer.held and answer.misfit is not None:
        words = "keep their template, as no replica could serve as the claim is; held back: {}"
        return Pods("held", words, names, fields)
    reasons = {condition.type: condition.reason for condition in answer.conditions}
    if answer.held and reasons[workload.Current.type()] == rollouts.WEIGHTS_PENDING:
        words = "keep their template until the new weights are verified, then restart for {}"
        return Pods("restart-later", f"{words} ({_order(keeper)})", names, fields)
    if answer.held:
        reported = item.live is not None and _is_reported(answer, item.live.status)
        words = "keep their template; held back: {}"
        return Pods("held", words, names, fields, reported=reported)
    if names and asleep:
        return Pods("none", "none run; the next one starts with another {}", names, fields)
    if names:
        return Pods("restart", f"restart for {{}} ({_order(keeper)})", names, fields)
    _, most = answer.bounds
    if running.wanted > most:
        return Pods(
            "fewer", f"{running.wanted - most} of {running.wanted} end: at most {most} may run"
        )
    if asleep:
        return Pods("none", "none run")
    return Pods("stay", "stay as they are")


def _is_reported(answer: composition.Composition, status: dict[str, Any]) -> bool:
    """Tells whether a status says of the pods what the answer says."""
    kind = workload.Current.type()
    current = next(one for one in answer.conditions if one.type == kind)
    return observed.condition(status, kind) == current


def _ending(
    former: _Keeper | None, *, suspended: bool, gone: bool, item: rendering.Rendered
) -> Pods:
    running = None if former is None else former.state
    if former is not None and running is not None and (running.wanted > 0 or running.serves):
        kind = former.workload.KIND
        why = "suspend: true" if suspended else f"the {kind} goes"
        if not item.looks(kind):
            return Pods("end", f"all end ({why})")
        return Pods(
            "end",
            f"all end ({why}): {plural.of(max(running.wanted, running.available), 'replica')}",
        )
    if suspended:
        return Pods("none", "none run: the claim is suspended")
    if item.likely.misfit is not None:
        return Pods("none", f"none start: {item.likely.misfit.message}")
    return Pods("none", "none start before the weights are verified" if gone else "none run")


def _fields(
    former: _Keeper, answer: composition.Composition, names: tuple[str, ...]
) -> tuple[changes.Change, ...]:
    """Returns fields of the pod template with their old and new values."""
    if not names:
        return ()
    by_path = {change.path: change for change in changes.between(_template(former), answer.wanted)}
    return tuple(
        dataclasses.replace(by_path[name], path=f"{former.workload.TEMPLATE}.{name}")
        for name in names
        if name in by_path
    )


def _template(former: _Keeper) -> Any:
    """Returns the pod template that runs: as it was emitted, or as it is observed."""
    text = observed.at(former.item, "metadata", "annotations", identity.TEMPLATE_ANNOTATION)
    try:
        template = canonical.loads(text) if isinstance(text, str) else None
    except ValueError:
        template = None
    if isinstance(template, dict):
        return template
    return canonical.plain(former.workload.template(former.item))


def _order(keeper: _Keeper) -> str:
    """Returns how pods are replaced, in words."""
    return "all at once" if keeper.workload.all_at_once(keeper.item) else "one by one"
