"""What `plan` tells of one claim: what applying it changes, costs and interrupts."""

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence

from function import kinds
from function.api import settings
from function.capacity import estimates, loads, prices, starts
from function.cli import against, outlooks, rendering, verdicts
from function.cluster import checkpoints
from function.engines import adviser
from function.findings import foresight, rules, table
from function.planning import forecasts, misfits, plans, prospects, storage


def of(
    verdict: verdicts.Verdict,
    rendered: rendering.Rendered | None,
    site: settings.Settings,
    before: plans.Plan | None,
    workloads: Mapping[str, loads.Workload],
    rate: float | None = None,
) -> outlooks.Item:
    """Returns what is told of a claim.

    Args:
        verdict: What applying it does.
        rendered: The claim, or None when it is refused or removed.
        site: The settings.
        before: The claim as it was, planned, or None.
        workloads: Requests to answer, by name.
        rate: Requests a second in the busiest minutes, or None where nobody says.
    """
    had = None if before is None else forecasts.asked(before)
    was = outlooks.Bill() if before is None else _bill(before.site, had)
    if rendered is not None:
        plan = plans.make(rendered.resource, site, checkpoints.Facts())
        known = table.adapters(plan, _recorded(rendered))
        findings = table.judge(plan, known)
        errors = _errors(verdict, plan, findings)
        verdict = dataclasses.replace(verdict, errors=(*verdict.errors, *errors))
    if verdict.outcome == "removed":
        return outlooks.Item(verdict, None, outlooks.Change(was), outlooks.Bill())
    if rendered is None or (verdict.miswritten and plan.misfit is None):
        return outlooks.Item(verdict, None, outlooks.Change(was), _kept(site, was))
    stored = () if before is None else before.storage.wanted
    kept = None
    stays = plan.misfit is not None and verdict.pods.effect == "stay"
    if before is not None and (stays or verdict.pods.effect == "held"):
        kept = forecasts.Kept(before.hardware.priced_as, before.hardware.gpus)
    asked = forecasts.asked(plan, kept=kept, stored=stored)
    bill = _kept(site, dataclasses.replace(was, asked=asked))
    downloads = tuple(_downloads(rendered, plan, stored))
    fetches = tuple(_fetches(plan, before))
    if verdict.doomed and plan.misfit is None:
        return outlooks.Item(verdict, None, outlooks.Change(was, None, downloads, fetches), bill)
    forecast = forecasts.forecast(plan, workloads, rate, stored)
    outage = _outage(verdict, plan, before, forecast.start)
    change = outlooks.Change(was, outage, downloads, fetches, before)
    unread = dict(_unread(plan, known, findings))
    return outlooks.Item(verdict, forecast, change, bill, unread=unread)


def _recorded(rendered: rendering.Rendered) -> checkpoints.Facts:
    """Returns what the claim's status records of directories of weights."""
    records = (rendered.answer.status.get("weights") or {}).get("verified") or []
    return checkpoints.Facts({record["directory"]: record for record in records})


def _unread(
    plan: plans.Plan, known: Collection[str], findings: Sequence[rules.Finding]
) -> Iterator[tuple[str, str]]:
    """Yields the adapters whose files nobody read, with what is wrong with them by their names."""
    for index, adapter in enumerate(plan.storage.adapters):
        if adapter.name not in known:
            field = f"spec.loraAdapters[{index}]"
            messages = (one.message for one in findings if one.field == field)
            # It stands before all of them.
            yield adapter.name, "; ".join(one.replace(adviser.UNREAD, "") for one in messages)


def _bill(site: settings.Settings, asked: prices.Claim | None) -> outlooks.Bill:
    return outlooks.Bill(asked, None if asked is None else prices.tariff(site, asked.class_name))


def _kept(site: settings.Settings, was: outlooks.Bill) -> outlooks.Bill:
    """Returns GPUs at today's price, and those of a class that is gone at the price they had."""
    bill = _bill(site, was.asked)
    if was.asked is None or was.asked.class_name in site.gpu.classes:
        return bill
    return dataclasses.replace(bill, price=was.price)


def _errors(
    verdict: verdicts.Verdict, plan: plans.Plan, findings: Sequence[rules.Finding]
) -> Iterator[verdicts.Error]:
    """Yields what `check` says a claim cannot serve with, and the verdict does not."""
    if plan.suspended:
        return
    in_verdict = {error.message for error in verdict.errors}
    for finding in (*foresight.judge(plan), *findings):
        if finding.severity is not rules.Severity.ERROR or finding.rule in _MISFITS:
            continue
        if finding.sentence not in in_verdict:
            yield verdicts.Error(finding.rule.name, finding.sentence)


# The plan's own misfit says these.
_MISFITS = (foresight.DOES_NOT_FIT, foresight.EXCEEDS_GPU_CLASS)


# What a replica waits for on a node that has the image, with weights on the volume.
_AGAIN = (starts.Stage.PROCESS, starts.Stage.LOAD, starts.Stage.COMPILE, starts.Stage.GRAPHS)
# What comes first where the node of the pod that ended will not do; an image alone where it is
# another one.
_ELSEWHERE = (starts.Stage.NODE, starts.Stage.IMAGE, starts.Stage.PULL)
# Fields of a pod template that say on which nodes pods may run.
_PLACES = ("spec.affinity", "spec.nodeName", "spec.nodeSelector")


def _outage(
    verdict: verdicts.Verdict,
    plan: plans.Plan,
    before: plans.Plan | None,
    start: starts.Timeline,
) -> outlooks.Outage | None:
    """Returns the time for which no replica answers while pods are replaced."""
    if verdict.pods.effect not in ("restart", "restart-later"):
        return None
    spare = plan.replacement.surge > 0 or _least(plan, before) > plan.replacement.unavailable
    if spare and not plan.replacement.recreate:
        return None
    stages: tuple[starts.Stage, ...] = _AGAIN
    if _moves(verdict, plan, before):
        stages = (*_ELSEWHERE, *_AGAIN)
    else:
        stages = (*_images(verdict, plan, before), *_AGAIN)
    steps = [step for step in start.steps if step.stage in stages]
    return outlooks.Outage(
        estimates.total([step.seconds for step in steps if step.seconds is not None]),
        tuple(step.stage for step in steps if step.seconds is None),
    )


def _images(
    verdict: verdicts.Verdict, plan: plans.Plan, before: plans.Plan | None
) -> Iterator[starts.Stage]:
    """Yields the pulls that new pods wait for on the node of the pods that ended."""
    if any(name.endswith(".image") for name in verdict.pods.names):
        yield starts.Stage.IMAGE
    if before is None or before.storage.base.place != plan.storage.base.place:
        yield starts.Stage.PULL


def _least(plan: plans.Plan, before: plans.Plan | None) -> int:
    """Returns the replicas that surely run while pods are replaced.

    An autoscaler reads its new minimum after pods began to be replaced. Without one the count comes
    with the template.
    """
    if before is None or plan.site.providers.autoscaler == "none":
        return plan.scaling.minimum
    return min(plan.scaling.minimum, before.scaling.minimum)


def _moves(verdict: verdicts.Verdict, plan: plans.Plan, before: plans.Plan | None) -> bool:
    """Whether the node of the pod that ended may not do for the next one.

    It gives back the GPUs of that pod, and as much CPU and memory as they come with.
    """
    if any(name.startswith(_PLACES) for name in verdict.pods.names):
        return True
    if before is None:
        return False
    new, old = plan.hardware, before.hardware
    return new.priced_as != old.priced_as or new.count > old.count


def _downloads(
    rendered: rendering.Rendered, plan: plans.Plan, there: Collection[str]
) -> Iterator[outlooks.Download]:
    if not plan.storage.preloads:
        return
    too_large = plan.misfit is not None and plan.misfit.reason == misfits.TOO_LARGE
    objects = rendered.likely.resources.values()
    if too_large and not any(one.manifest["kind"] == kinds.JOB.name for one in objects):
        return
    for directory in plan.storage.downloaded:
        if plan.storage.recorded(directory) in there:
            continue
        size = _size(plan) if directory.kind == "base" else None
        yield outlooks.Download(f"{directory.repository}@{directory.revision}", size)


def _fetches(plan: plans.Plan, before: plans.Plan | None) -> Iterator[outlooks.Fetch]:
    """Yields what nodes or pods fetch that they did not before; nothing where none is to start."""
    base = plan.storage.base
    if base.on_volume or plan.misfit is not None:
        return
    if before is not None and before.storage.base.place == base.place:
        return
    image = base.origin is storage.Origin.IMAGE
    yield outlooks.Fetch("pull" if image else "read", base.place, _size(plan))


def _size(plan: plans.Plan) -> float | None:
    """Returns GiB of the base model's files, or None where nobody knows."""
    return plan.spec.model.size_gi_b or prospects.size_gib(plan.prospect)


def planned(before: against.Before, site: settings.Settings) -> dict[tuple[str, str], plans.Plan]:
    """Returns the claims that were compared with, planned; those that are refused are left out."""
    result = {}
    for namespace, name in before.cluster.claims():
        document = before.cluster.claim(namespace, name)
        if document is None:
            continue
        plan = rendering.planned(document, site)
        if plan is not None:
            result[namespace, name] = plan
    return result
