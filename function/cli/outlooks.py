"""What `plan` tells: of each claim what it will do and what changes, and the sums of the fleet."""

import dataclasses
import decimal
import functools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Literal

from function import kinds
from function.api import settings
from function.capacity import estimates, fit, interval, loads, prices, starts, thresholds
from function.cli import against, flow_changes, rendering, verdicts
from function.cluster import checkpoints
from function.engines.vllm import contradictions
from function.findings import foresight, rules, table
from function.planning import forecasts, misfits, plans, prospects

NOTHING_CHANGES = 0
ERROR = 1
EMPTY = 2
CHANGES = 3

Money = decimal.Decimal


@dataclasses.dataclass(frozen=True)
class Download:
    """A directory of weights that is not on the volume yet.

    Attributes:
        name: Repository and revision.
        gib: GiB of its files, or None where nobody knows.
    """

    name: str
    gib: float | None


@dataclasses.dataclass(frozen=True)
class Outage:
    """The time in which no replica answers.

    Attributes:
        seconds: Of what is known.
        missing: What comes on top, since nobody knows how long it takes.
    """

    seconds: estimates.Estimate
    missing: tuple[starts.Stage, ...] = ()


@dataclasses.dataclass(frozen=True)
class Bill:
    """The GPUs of a claim, and their price.

    Attributes:
        asked: The GPUs, or None for a claim that is not there or was not looked at.
        price: What one of them costs, or None where nobody knows.
    """

    asked: prices.Claim | None = None
    price: prices.Tariff | None = None

    @property
    def gpus(self) -> tuple[int, int]:
        """GPUs at the minimum and at the maximum."""
        asked = self.asked
        return (0, 0) if asked is None else (asked.gpus * asked.minimum, asked.gpus * asked.maximum)

    @property
    def cost(self) -> prices.Cost | None:
        """What they cost in an hour, or None where nobody knows."""
        if self.asked is None or self.price is None:
            return None
        return prices.hourly(self.asked, self.price)

    @property
    def unpriced(self) -> bool:
        """Whether there are GPUs whose price nobody knows."""
        return self.gpus[1] > 0 and self.price is None


@dataclasses.dataclass(frozen=True)
class Change:
    """What applying a claim does that costs something.

    Attributes:
        bill: Its GPUs before.
        outage: The time without any replica, or None when requests go on, or none are served.
        downloads: Weights that have to come.
        plan: The claim as it was, planned; None where it was not, or nothing is foretold.
    """

    bill: Bill
    outage: Outage | None = None
    downloads: tuple[Download, ...] = ()
    plan: plans.Plan | None = None


@dataclasses.dataclass(frozen=True)
class Item:
    """One claim.

    Attributes:
        verdict: What applying it does to the cluster.
        forecast: What it will do; None for a claim that cannot serve as written, or is removed.
        change: What that costs.
        bill: Its GPUs once it is applied. A claim that is refused has those that it had; one that
            starts and cannot serve has those that it asks for.
        flows: What changes of who reaches whom; nothing where nothing was compared.
        unread: Of adapters whose files nobody read, by name: what the names of their repositories
            say, or an empty text.
    """

    verdict: verdicts.Verdict
    forecast: forecasts.Forecast | None
    change: Change
    bill: Bill
    flows: flow_changes.FlowChanges = flow_changes.NONE
    unread: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def name(self) -> str:
        """Namespace and name."""
        return f"{self.verdict.namespace}/{self.verdict.name}"

    @property
    def changes(self) -> bool:
        """Whether applying it changes anything: in the cluster, in what is held back, in money."""
        moved = bool(self.flows.appear or self.flows.end) or self.verdict.pods.holds
        moved = moved or self.reprices or self.refits
        return moved or self.verdict.outcome in ("new", "changed", "removed")

    @property
    def refits(self) -> bool:
        """Whether it is foretold to hold something else than before, whatever objects say."""
        plan = self.change.plan
        if plan is None or self.forecast is None:
            return False
        return _told(plan) != _told(self.forecast.plan)

    @property
    def forgets(self) -> bool:
        """Whether it was known to fit, or not to, and no more is."""
        plan = self.change.plan
        if plan is None or self.forecast is None:
            return False
        old = plan.serving.outlook
        return old is not None and old.fit is not None and self.forecast.fit is None

    @property
    def reprices(self) -> bool:
        """Whether it costs something else than before."""
        before = self.change.bill
        return before.asked is not None and _money(self.bill.cost) != _money(before.cost)


@dataclasses.dataclass(frozen=True)
class Unusable:
    """What was read, and cannot be used.

    Attributes:
        what: What it is, for people.
        faults: What is wrong with it.
    """

    what: str
    faults: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Fleet:
    """All claims.

    Attributes:
        items: Each claim.
        compared: What they were compared with, in words, or None.
        site: The settings.
        notes: What a person should know of the run as a whole.
        unreadable: What could not be read.
        unusable: What was read, and cannot be used: without it nothing is planned.
        empty: Whether there is no claim, neither here nor in what was compared with.
        answers: The workload for which the table tells how fast a claim answers.
    """

    items: tuple[Item, ...]
    compared: str | None
    site: settings.Settings
    notes: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    unusable: Unusable | None = None
    empty: bool = False
    answers: str = loads.USUAL

    @property
    def currency(self) -> str:
        """Currency of the settings."""
        return self.site.pricing.currency

    @property
    def currency_before(self) -> str:
        """Currency of the settings that held for what was compared with."""
        costs = (bill.cost for bill in self._bills(before=True))
        return next((cost.currency for cost in costs if cost is not None), self.currency)

    @property
    def faults(self) -> tuple[str, ...]:
        """What could not be read or used, in words."""
        return (*self.unreadable, *(() if self.unusable is None else self.unusable.faults))

    @property
    def errors(self) -> int:
        """Claims that cannot be used as they are."""
        return sum(bool(item.verdict.errors) for item in self.items)

    @property
    def moving(self) -> tuple[Item, ...]:
        """Claims of which applying changes something."""
        return tuple(item for item in self.items if item.changes)

    @property
    def exit_code(self) -> int:
        """0 when nothing changes, 1 for an error, 3 for changes, as crossplane-diff has them.

        2 is for no claim at all, as of wrong usage.
        """
        if self.empty:
            return EMPTY
        if self.errors or self.faults or self.unschedulable:
            return ERROR
        if self.compared is None:
            return NOTHING_CHANGES
        return CHANGES if self.moving else NOTHING_CHANGES

    def month(self, end: Literal["minimum", "maximum"], *, before: bool = False) -> Money:
        """Returns the money for a month at one end of the replicas, of claims with a price."""
        costs = (bill.cost for bill in self._bills(before=before))
        return sum(
            (getattr(cost.month, end) for cost in costs if cost is not None), decimal.Decimal(0)
        )

    def gpus(self, *, before: bool = False) -> tuple[int, int]:
        """Returns the GPUs at the minimum and at the maximum."""
        counts = [bill.gpus for bill in self._bills(before=before)]
        return sum(low for low, _ in counts), sum(high for _, high in counts)

    def _bills(self, *, before: bool) -> list[Bill]:
        return [item.change.bill if before else item.bill for item in self.items]

    @property
    def unpriced(self) -> tuple[Item, ...]:
        """Claims that the sums of money leave out, for nobody knows the price of their GPUs."""
        return tuple(i for i in self.items if i.bill.unpriced or i.change.bill.unpriced)

    @functools.cached_property
    def shortages(self) -> tuple[prices.Shortage, ...]:
        """What limits and node pools of the settings cannot hold."""
        asked = [item.bill.asked for item in self.items if item.bill.asked is not None]
        return prices.fleet(asked, self.site).shortages

    @property
    def unschedulable(self) -> bool:
        """Whether there are too few GPUs even at the least replicas."""
        return any(one.lasting for one in self.shortages)


def _told(plan: plans.Plan) -> tuple[Any, ...] | None:
    """Returns what people are told of what a replica holds."""
    outlook = plan.serving.outlook
    if outlook is None:
        return None
    answer, asked = outlook.fit, (outlook.flags.context, outlook.flags.sequences)
    if answer is None:
        return asked
    full = answer.sequences.low
    return (*asked, answer.verdict, fit.tenths(full) if math.isfinite(full) else "")


def _money(cost: prices.Cost | None) -> tuple[Money, Money, str] | None:
    return None if cost is None else (cost.minimum, cost.maximum, cost.currency)


def item(
    verdict: verdicts.Verdict,
    rendered: rendering.Rendered | None,
    site: settings.Settings,
    before: plans.Plan | None,
    workloads: Mapping[str, loads.Workload],
    rate: float | None = None,
) -> Item:
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
    was = Bill() if before is None else _bill(before.site, had)
    if rendered is not None:
        plan = plans.make(rendered.resource, site, checkpoints.Facts())
        known = table.adapters(plan, _recorded(rendered))
        findings = table.judge(plan, known)
        errors = _errors(verdict, plan, findings)
        verdict = dataclasses.replace(verdict, errors=(*verdict.errors, *errors))
    if verdict.outcome == "removed":
        return Item(verdict, None, Change(was), Bill())
    if rendered is None or (verdict.miswritten and plan.misfit is None):
        return Item(verdict, None, Change(was), _kept(site, was))
    stored = () if before is None else before.storage.wanted
    kept = None
    stays = plan.misfit is not None and verdict.pods.effect == "stay"
    if before is not None and (stays or verdict.pods.effect == "held"):
        kept = forecasts.Kept(before.hardware.priced_as, before.hardware.gpus)
    asked = forecasts.asked(plan, kept=kept, stored=stored)
    bill = _kept(site, dataclasses.replace(was, asked=asked))
    downloads = tuple(_downloads(rendered, plan, stored))
    if verdict.doomed and plan.misfit is None:
        return Item(verdict, None, Change(was, None, downloads), bill)
    forecast = forecasts.forecast(plan, workloads, rate, stored)
    change = Change(was, _outage(verdict, plan, before, forecast.start), downloads, before)
    unread = dict(_unread(plan, known, findings))
    return Item(verdict, forecast, change, bill, unread=unread)


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
            yield (
                adapter.name,
                "; ".join(each.replace(contradictions.UNREAD, "") for each in messages),
            )


def _bill(site: settings.Settings, asked: prices.Claim | None) -> Bill:
    return Bill(asked, None if asked is None else prices.tariff(site, asked.class_name))


def _kept(site: settings.Settings, was: Bill) -> Bill:
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
# What comes first where the node of the pod that ended will not do; the image alone where it is
# another one.
_ELSEWHERE = (starts.Stage.NODE, starts.Stage.IMAGE)
# Fields of a pod template that say on which nodes pods may run.
_PLACES = ("spec.affinity", "spec.nodeName", "spec.nodeSelector")


def _outage(
    verdict: verdicts.Verdict,
    plan: plans.Plan,
    before: plans.Plan | None,
    start: starts.Timeline,
) -> Outage | None:
    """Returns the time for which no replica answers while pods are replaced."""
    if verdict.pods.effect not in ("restart", "restart-later"):
        return None
    spare = plan.replacement.surge > 0 or _least(plan, before) > plan.replacement.unavailable
    if spare and not plan.replacement.recreate:
        return None
    stages: tuple[starts.Stage, ...] = _AGAIN
    if _moves(verdict, plan, before):
        stages = (*_ELSEWHERE, *_AGAIN)
    elif any(name.endswith(".image") for name in verdict.pods.names):
        stages = (starts.Stage.IMAGE, *_AGAIN)
    steps = [step for step in start.steps if step.stage in stages]
    return Outage(
        estimates.total([step.seconds for step in steps if step.seconds is not None]),
        tuple(step.stage for step in steps if step.seconds is None),
    )


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
) -> Iterator[Download]:
    if not plan.storage.preloads:
        return
    too_large = plan.misfit is not None and plan.misfit.reason == misfits.TOO_LARGE
    objects = rendered.likely.resources.values()
    if too_large and not any(one.manifest["kind"] == kinds.JOB.name for one in objects):
        return
    outlook = plan.serving.outlook
    for directory in plan.storage.directories:
        if plan.storage.recorded(directory) in there:
            continue
        size = None
        if directory.kind == "base" and outlook is not None:
            size = plan.spec.model.size_gi_b or prospects.size_gib(outlook.prospect)
        yield Download(f"{directory.repository}@{directory.revision}", size)


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


# --- for machines


def document(fleet: Fleet) -> dict[str, Any]:
    """Returns everything as it stands in JSON."""
    return {
        "apiVersion": "inference-service.cloud.ogenki.io/v1alpha1",
        "kind": "Plan",
        "exitCode": fleet.exit_code,
        "against": fleet.compared,
        "notes": list(fleet.notes),
        "unreadable": list(fleet.unreadable),
        "unusable": [] if fleet.unusable is None else list(fleet.unusable.faults),
        "shortages": [one.sentence for one in fleet.shortages],
        "currency": fleet.currency,
        "currencyBefore": fleet.currency_before,
        "month": {
            "min": _step(fleet.month("minimum", before=True), fleet.month("minimum")),
            "max": _step(fleet.month("maximum", before=True), fleet.month("maximum")),
        },
        "gpus": {
            "min": _step(fleet.gpus(before=True)[0], fleet.gpus()[0]),
            "max": _step(fleet.gpus(before=True)[1], fleet.gpus()[1]),
        },
        "claims": [_document(item) for item in fleet.items],
    }


def _step(old: Any, new: Any) -> dict[str, Any]:
    words = [str(value) if isinstance(value, decimal.Decimal) else value for value in (old, new)]
    return {"before": words[0], "after": words[1]}


def _document(item: Item) -> dict[str, Any]:
    change, forecast = item.change, item.forecast
    result: dict[str, Any] = {
        **verdicts.document(item.verdict),
        "gpus": {
            "min": _step(change.bill.gpus[0], item.bill.gpus[0]),
            "max": _step(change.bill.gpus[1], item.bill.gpus[1]),
        },
        "costPerHour": {"before": _cost(change.bill.cost), "after": _cost(item.bill.cost)},
        "outageSeconds": None if change.outage is None else _estimate(change.outage.seconds),
        "outageMissing": [] if change.outage is None else list(map(str, change.outage.missing)),
        "downloads": [dataclasses.asdict(one) for one in change.downloads],
        "adaptersUnread": list(item.unread),
        "flows": {
            "appear": [_flow(one) for one in item.flows.appear],
            "end": [_flow(one) for one in item.flows.end],
        },
    }
    if forecast is None:
        return result
    return result | {
        "fit": _fit(forecast),
        "speed": {name: _speed(forecast, name) for name in forecast.loads},
        "triggers": {name: _triggers(one) for name, one in forecast.triggers.items()},
        "start": [
            {
                "stage": str(step.stage),
                "seconds": _estimate(step.seconds),
                "missing": step.missing,
            }
            for step in forecast.start.steps
        ],
    }


def _flow(finding: rules.Finding) -> dict[str, str]:
    return {"rule": finding.rule.name, "message": finding.message}


def _cost(cost: prices.Cost | None) -> dict[str, Any] | None:
    if cost is None:
        return None
    return {"min": str(cost.minimum), "max": str(cost.maximum), "currency": cost.currency}


def _estimate(estimate: estimates.Estimate | None) -> dict[str, Any] | None:
    if estimate is None:
        return None
    return {
        "low": round(estimate.low, 3),
        "best": round(estimate.best, 3),
        "high": round(estimate.high, 3),
        "grade": str(estimate.grade),
        "source": estimate.source,
    }


def _fit(forecast: forecasts.Forecast) -> dict[str, Any]:
    outlook = forecast.plan.serving.outlook
    if outlook is None or outlook.fit is None:
        reason = "NoGpu" if outlook is None else outlook.reason
        return {"verdict": "unknown", "reason": reason, "sentence": words_of_unknown(forecast)}
    answer = outlook.fit
    return {
        "verdict": str(answer.verdict),
        "bound": str(answer.bound),
        "sentence": answer.sentence,
        "note": answer.note,
        "context": outlook.flags.context,
        "sequences": outlook.flags.sequences,
        "kvTokens": _interval(answer.tokens),
        "fullSequences": _interval(answer.sequences),
        "longestContext": _interval(answer.longest),
        "gpuGiB": round(answer.total / fit.GIB, 3),
        "partsGiB": {str(term.part): round(term.size.best / fit.GIB, 3) for term in answer.terms},
        "waysOut": [
            {
                "change": str(way.change),
                "fields": dict(way.fields),
                "class": way.gpu_class,
                "gpus": way.arrangement.tensor * way.arrangement.pipeline,
                "pricePerHour": way.price,
                "meaning": way.sentence,
            }
            for way in outlook.ways
        ],
    }


def words_of_unknown(forecast: forecasts.Forecast) -> str:
    """Returns why nobody knows whether a claim fits."""
    outlook = forecast.plan.serving.outlook
    return "the engine takes no memory of a GPU" if outlook is None else outlook.unknown


def _interval(value: interval.Interval) -> dict[str, float] | None:
    """Returns an interval, or None for one without a bound: a model that keeps no cache."""
    if not math.isfinite(value.high):
        return None
    return {"low": round(value.low, 2), "best": round(value.best, 2), "high": round(value.high, 2)}


def _speed(forecast: forecasts.Forecast, name: str) -> dict[str, Any]:
    load, tokens = forecast.loads[name], forecast.tokens.get(name)
    return {
        "millionTokens": None if tokens is None else _token_price(tokens),
        "replicas": _replicas(forecast.needs[name]) if name in forecast.needs else None,
        "concurrency": round(load.concurrency, 1),
        "requestsPerSecond": _estimate(load.requests),
        "outputTokensPerSecond": _estimate(load.output_tokens),
        "firstTokenMs": _estimate(load.first_token),
        "betweenTokensMs": _estimate(load.between_tokens),
    }


def _token_price(tokens: forecasts.TokenPrice) -> dict[str, Any]:
    ends = {"low": tokens.low, "best": tokens.best, "high": tokens.high}
    return {
        **{end: None if money is None else f"{money:.6f}" for end, money in ends.items()},
        "currency": tokens.currency,
        "requestsPerSecond": tokens.rate,
    }


def _replicas(needed: loads.Replicas | None) -> dict[str, Any]:
    if needed is None:
        return {"low": None, "best": None, "high": None, "bound": None, "headroom": None}
    return {
        "low": needed.low,
        "best": needed.best,
        "high": needed.high,
        "bound": str(needed.bound),
        "headroom": needed.headroom,
    }


def _triggers(binding: thresholds.Binding) -> dict[str, Any]:
    return {
        "first": None if binding.first is None else str(binding.first),
        "never": [str(trigger) for trigger in binding.never],
        "sentence": binding.sentence,
    }
