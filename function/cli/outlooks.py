"""What `plan` tells, as values: of each claim, and the sums of the fleet."""

import dataclasses
import decimal
import functools
import math
from collections.abc import Mapping
from typing import Any, Literal

from function.api import settings
from function.capacity import estimates, fit, loads, prices, starts
from function.cli import door_changes, flow_changes, verdicts
from function.concerns import capacity
from function.planning import forecasts, plans

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
class Fetch:
    """Weights that no Job downloads, and that come all the same.

    Attributes:
        how: pull, by each node that a replica comes to; or read, by each replica at each start.
        name: The image, or the address in an object store.
        gib: GiB of its files, or None where nobody knows.
    """

    how: Literal["pull", "read"]
    name: str
    gib: float | None

    @property
    def words(self) -> str:
        """What is fetched, and by whom."""
        amount = "" if self.gib is None else f", {self.gib:.1f} GiB"
        by = "each node" if self.how == "pull" else "each replica at each start"
        return f"{self.name}{amount}, by {by}"


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
        downloads: Weights that have to come onto the volume.
        fetches: Weights that have to come to nodes or pods.
        plan: The claim as it was, planned; None where it was not, or nothing is foretold.
    """

    bill: Bill
    outage: Outage | None = None
    downloads: tuple[Download, ...] = ()
    fetches: tuple[Fetch, ...] = ()
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
        doors: The front doors.
    """

    items: tuple[Item, ...]
    compared: str | None
    site: settings.Settings
    notes: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    unusable: Unusable | None = None
    empty: bool = False
    answers: str = loads.USUAL
    doors: tuple[door_changes.Door, ...] = ()

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
        moving = self.moving or any(door.changes for door in self.doors)
        return CHANGES if moving else NOTHING_CHANGES

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


def words_of_unknown(forecast: forecasts.Forecast) -> str:
    """Returns why nobody knows whether a claim fits."""
    outlook = forecast.plan.serving.outlook
    if outlook is None:
        return capacity.fits(forecast.plan).message
    return outlook.unknown
