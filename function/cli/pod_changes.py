"""What applying a claim does to its pods."""

import dataclasses
from typing import Any, Literal

from function import canonical, composition, plural
from function.cli import changes, rendering
from function.cluster import observed
from function.concerns import workload
from function.planning import identity
from function.situation import rollouts
from function.workloads import deployment
from function.workloads import workload as workloads

# none: there are none, and none start. fewer: some of several go. restart-later: they restart once
# the weights that they need are verified.
Effect = Literal[
    "none", "start", "stay", "held", "restart-later", "restart", "fewer", "end", "unknown"
]


@dataclasses.dataclass(frozen=True)
class Pods:
    """What happens to the pods of a claim.

    Attributes:
        effect: The same in one word.
        words: The same in a sentence without its subject, `the pods`; `{}` stands for the fields.
        names: Fields of the pod template that restart them or are held back.
        fields: The same with their values.
        looked_at: False when Deployments were not looked at.
        reported: Whether the claim's status says already that these fields are held back.
    """

    effect: Effect
    words: str
    names: tuple[str, ...] = ()
    fields: tuple[changes.Change, ...] = ()
    looked_at: bool = True
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
        if most is not None and len(self.names) > most:
            named += f" and {len(self.names) - most} more"
        words = self.words.replace("{}", named)
        return words if self.looked_at else f"{words} (Deployments were not looked at)".strip()

    def document(self) -> dict[str, Any]:
        """Returns the same for machines."""
        return {
            "effect": self.effect,
            "message": self.sentence(),
            "fields": [field.document() for field in self.fields],
            "lookedAt": self.looked_at,
        }


NONE = Pods("none", "")


def of(item: rendering.Rendered) -> Pods:
    """Returns what applying a claim does to its pods."""
    if not item.observed:
        return _of_new(item)
    key = f"{item.resource.name}-deployment"
    before = item.before.get(key)
    looked = item.looks("Deployment")
    if before is None and not looked and item.live is None:
        return Pods("unknown", "", looked_at=False)
    pods = _of_running(item, deployment.state(before), before, key)
    return dataclasses.replace(pods, looked_at=looked)


def of_removed(composed: dict[str, dict[str, Any]], *, looks: bool) -> Pods:
    """Returns what becomes of the pods of a claim that goes."""
    counts = [
        numbers.wanted
        for item in composed.values()
        if deployment.holds_engines(item) and (numbers := deployment.state(item)) is not None
    ]
    if not looks:
        return Pods("end", "all end", looked_at=False)
    if not any(counts):
        return Pods("none", "none run")
    return Pods("end", f"all end: {plural.of(sum(counts), 'replica')}")


def _of_new(item: rendering.Rendered) -> Pods:
    answer = item.answer
    if item.resource.spec.suspend is True:
        return Pods("none", "none start: the claim is suspended")
    if answer.misfit is not None:
        return Pods("none", f"none start: {answer.misfit.message}")
    if f"{item.resource.name}-deployment" in answer.resources:
        return Pods("start", "start with the Deployment")
    return Pods("none", "none start before the weights are verified")


def _of_running(
    item: rendering.Rendered,
    running: workloads.State | None,
    before: observed.Object | None,
    key: str,
) -> Pods:
    answer, suspended = item.likely, item.resource.spec.suspend is True
    if suspended or key not in answer.resources:
        return _ending(running, suspended=suspended, gone=key not in answer.resources, item=item)
    if running is None:
        return Pods("start", "start with the Deployment")
    names = answer.held or answer.restarts
    fields = _fields(before, answer, names)
    asleep = running.wanted == 0 and not running.serves
    if asleep and item.live is not None and item.live.spec.suspend is True:
        return Pods("start", "start: the claim is no longer suspended", names, fields)
    if answer.held and answer.misfit is not None:
        words = f"keep their template, as {answer.misfit.message}; held back: {{}}"
        return Pods("held", words, names, fields)
    reasons = {condition.type: condition.reason for condition in answer.conditions}
    if answer.held and reasons[workload.Current.type()] == rollouts.WEIGHTS_PENDING:
        words = "keep their template until the new weights are verified, then restart for {}"
        return Pods("restart-later", f"{words} ({_order(answer, key)})", names, fields)
    if answer.held:
        reported = item.live is not None and _is_reported(answer, item.live.status)
        words = "keep their template; held back: {}"
        return Pods("held", words, names, fields, reported=reported)
    if names and asleep:
        return Pods("none", "none run; the next one starts with another {}", names, fields)
    if names:
        return Pods("restart", f"restart for {{}} ({_order(answer, key)})", names, fields)
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
    running: workloads.State | None, *, suspended: bool, gone: bool, item: rendering.Rendered
) -> Pods:
    why = "suspend: true" if suspended else "the Deployment goes"
    if running is not None and (running.wanted > 0 or running.serves):
        if not item.looks("Deployment"):
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
    before: observed.Object | None, answer: composition.Composition, names: tuple[str, ...]
) -> tuple[changes.Change, ...]:
    """Returns fields of the pod template with their old and new values."""
    if not names:
        return ()
    by_path = {change.path: change for change in changes.between(_template(before), answer.wanted)}
    return tuple(
        dataclasses.replace(by_path[name], path=f"spec.template.{name}")
        for name in names
        if name in by_path
    )


def _template(before: observed.Object | None) -> Any:
    """Returns the pod template that runs: as it was emitted, or as it is observed."""
    text = observed.at(before, "metadata", "annotations", identity.TEMPLATE_ANNOTATION)
    try:
        template = canonical.loads(text) if isinstance(text, str) else None
    except ValueError:
        template = None
    if isinstance(template, dict):
        return template
    return canonical.plain(observed.at(before, "spec", "template"))


def _order(answer: composition.Composition, key: str) -> str:
    """Returns how pods are replaced, in words."""
    strategy = observed.at(answer.resources[key].manifest, "spec", "strategy", "type")
    return "all at once" if strategy == "Recreate" else "one by one"
