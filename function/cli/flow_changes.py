"""What a change does to who reaches whom: needed flows that close, and flows that open."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from function.api import settings
from function.cli import rendering
from function.cluster import checkpoints
from function.findings import reachability, rules
from function.planning import plans
from function.reach import flows

Key = tuple[str, str]


@dataclasses.dataclass(frozen=True)
class FlowChanges:
    """What changes of a claim's flows, as findings of `check`.

    Attributes:
        appear: What holds once this is applied, and did not hold before.
        end: What held before, and no longer does.
    """

    appear: tuple[rules.Finding, ...] = ()
    end: tuple[rules.Finding, ...] = ()

    @property
    def closes(self) -> bool:
        """Whether a flow closes that claim or settings ask for."""
        return any(one.rule is reachability.FLOW_CLOSED for one in self.appear)

    @property
    def opens(self) -> bool:
        """Whether a flow opens that nobody asks for."""
        return any(one.rule is reachability.FLOW_OPEN for one in self.appear)

    def words(self) -> Iterator[tuple[str, str]]:
        """Yields the name of each change and the change in words."""
        for one in self.appear:
            yield one.rule.name, one.message
        for one in self.end:
            yield f"no longer {one.rule.name}", one.message


NONE = FlowChanges()


def of(
    claims: Sequence[rendering.Rendered],
    before: Mapping[Key, plans.Plan],
    site: settings.Settings,
) -> Mapping[Key, FlowChanges]:
    """Returns what changes of each claim's flows, by namespace and name.

    Args:
        claims: The claims, with what they became so far.
        before: The claims as they were, planned.
        site: The settings.
    """
    now = {
        _key(item): flows.subject(plans.make(item.resource, site, checkpoints.Facts()), item.likely)
        for item in claims
    }
    then = {
        _key(item): flows.Subject(before[_key(item)], tuple(item.before.values()))
        for item in claims
        if _key(item) in before
    }
    old, new = _judged(then), _judged(now)
    return {
        key: FlowChanges(
            tuple(one for one in new[key] if one not in old.get(key, ())),
            tuple(one for one in old.get(key, ()) if one not in new[key]),
        )
        for key in new
    }


def _key(item: rendering.Rendered) -> Key:
    return item.resource.namespace, item.resource.name


def _judged(subjects: Mapping[Key, flows.Subject]) -> dict[Key, tuple[rules.Finding, ...]]:
    reaches = flows.of(list(subjects.values()), denied=False)
    return {
        key: tuple(reachability.judge(reach)) for key, reach in zip(subjects, reaches, strict=True)
    }
