"""What models cost callers: prices that are stated, and prices that follow from costs.

A claim's status tells what its tokens cost where a replica is full, of prompts and of answers
(`status.cost.perMillionTokens`). A price that followed once is kept in the status of the front
door, and stays: what a GPU costs, what is known of a model, or a constant of the estimate may
change, and nobody's budget does. The words of the object that ask for it make another one, and so
does another model that the pods of a claim come to have: it is another product. While they have two
models, who asks may get either: the price is that of the dearer one until one of them is gone.
"""

import dataclasses
import decimal
import functools
from collections.abc import Mapping
from typing import Any, TypeAlias, get_args

from function.api import gateway, gateway_money, gateway_status, settings, status
from function.capacity import loads
from function.cluster import observed
from function.fleet import doors, members

if set(get_args(gateway_money.Load)) != loads.WORKLOADS.keys():
    raise ValueError(f"fromCost.load has {gateway_money.Load}, workloads are {loads.WORKLOADS}")

Pins: TypeAlias = Mapping[str, gateway_status.Price]

# A price has four digits behind its point, and six before it.
_LEAST, _MOST = decimal.Decimal("0.0001"), decimal.Decimal(999999)
# Two digits: what is written is no more exact than what it follows from.
_DIGITS = 2


@dataclasses.dataclass(frozen=True)
class Price:
    """What a million tokens of a model cost, whoever says so.

    Attributes:
        model: The name that clients write.
        input: Of prompts.
        cached_input: Of prompts that a cache had, or None for as much as others.
        output: Of answers, or None for nothing.
    """

    model: str
    input: str
    cached_input: str | None = None
    output: str | None = None

    @property
    def words(self) -> str:
        """Prompts and answers."""
        return f"{self.input}/{self.output or 0}"


@dataclasses.dataclass(frozen=True)
class Derived:
    """A price that followed from costs.

    Attributes:
        price: The price.
        kept: What the status is to remember of it.
        now: What it would be by the costs of now, or None where nobody knows.
        before: What the status had in its place, where that was another price; else None.
        fresh: Whether the status had none.
    """

    price: Price
    kept: gateway_status.Price
    now: Price | None
    before: Price | None = None
    fresh: bool = False


@dataclasses.dataclass(frozen=True)
class Prices:
    """The prices of a front door.

    Attributes:
        stated: Those that the object states, by model.
        derived: Those that followed from costs, by model.
        unknown: Models of which nobody knows what they cost, with the reason: of those whose price
            is to follow from costs.
        closes: Whether every model is to have a price.
        resting: Kept prices that do not count now: another claim has the name, or the claim's pods
            have another model of unknown cost.
        unserved: Names of rows without a price, as nobody serves them.
    """

    stated: tuple[Price, ...]
    derived: tuple[Derived, ...] = ()
    unknown: Mapping[str, str] = dataclasses.field(default_factory=dict)
    closes: bool = False
    resting: tuple[gateway_status.Price, ...] = ()
    unserved: tuple[str, ...] = ()

    @functools.cached_property
    def every(self) -> tuple[Price, ...]:
        """All of them, by model."""
        both = (*self.stated, *(one.price for one in self.derived))
        return tuple(sorted(both, key=lambda price: price.model))

    @functools.cached_property
    def free(self) -> frozenset[str]:
        """Models that would cost a budget nothing, though their price is to follow from costs."""
        return frozenset(self.unknown) - {one.price.model for one in self.derived}


def asks(door: doors.Door) -> bool:
    """Tells whether a price is to follow from costs."""
    return door.own and door.resource.spec.follows_costs


def budgeted(door: doors.Door) -> frozenset[str]:
    """Returns the callers whose money counts: they have a budget, or their team at the edge has."""
    edge = door.resource.spec.edge
    teams = [] if edge is None else edge.litellm.teams
    paid = {name for team in teams if team.budget is not None for name in team.callers}
    return frozenset(paid | {name for name, _ in door.budgets})


def prices(
    door: doors.Door, behind: members.Members, others: Mapping[str, str], pins: Pins
) -> Prices:
    """Returns the prices of a front door.

    Args:
        door: What is wanted.
        behind: The claims behind it.
        others: Names that no claim serves, with what they are in words.
        pins: The prices that followed before, by model.
    """
    stated = tuple(
        Price(one.model, one.input, one.cached_input, one.output)
        for one in door.prices
        if one.input is not None
    )
    if not asks(door):
        return Prices(stated)
    spec, taken = door.resource.spec, {price.model for price in stated}
    serving = {model.name: model.claim for model in behind.models}
    rows = names = {one.model for one in door.prices} - taken
    if spec.pricing is not None:
        names = names | (serving.keys() | others.keys()) - taken
    # A name that nobody serves for a moment comes back at its price.
    served = names | serving.keys() | others.keys()
    if spec.pricing is not None:
        names = names | pins.keys() - taken
    claims = {member.name: member for member in behind.members}
    derived, unknown = list[Derived](), dict[str, str]()
    resting = list[gateway_status.Price]()
    read: dict[tuple[str, str], tuple[str, str] | None] = {}
    # One that is kept and served is never pushed out by one that comes.
    for name in sorted(names, key=lambda name: (name not in served, name not in pins, name)):
        asks_for = wish(spec, name) or gateway_money.FromCost()
        owner, pin = serving.get(name), pins.get(name)
        claim = claims.get(owner or "")
        told = None
        if claim is not None:
            key = (claim.name, load(asks_for))
            if key not in read:  # adapters cost what their claim costs
                read[key] = cost(claim, key[1], door.site)
            told = read[key]
        now, asked = derive(name, told, asks_for, door.site), asked_by(asks_for, door.site)
        # Another claim or a provider under the name has no price of the claim before.
        answers = behind.read and (owner is not None or name in others)
        foreign = pin is not None and answers and pin.claim not in (None, owner)
        moved = pin is not None and claim is not None and _moved(pin, claim)
        # Another model of the same claim has none either.
        if pin is not None and (foreign or moved) and now is None:
            resting.append(pin)
            pin = None
        margin = _margin(asks_for, door.site)
        changed = _Change(foreign=foreign, moved=moved)
        made = _derived(pin, owner, claim, asked, now, margin, changed)
        why = None if now else _unknown(name, asks_for, claim, behind, others)
        if made is not None and len(derived) == gateway_status.MOST_PRICES:
            made, why = None, f"{gateway_status.MOST_PRICES} prices follow from costs at most"
        if made is not None:
            derived.append(made)
        # A price that is kept needs no cost of now, unless another one is asked for.
        holds = made is not None and made.kept.asked == asked
        if why is not None and name in served and not holds:
            unknown[name] = why
    priced = {one.price.model for one in derived}
    return Prices(
        stated,
        tuple(sorted(derived, key=lambda one: one.price.model)),
        dict(sorted(unknown.items())),
        closes=spec.pricing is not None,
        resting=tuple(resting[: gateway_status.MOST_PRICES - len(derived)]),
        unserved=tuple(sorted(rows - unknown.keys() - priced)) if behind.read else (),
    )


@dataclasses.dataclass(frozen=True)
class _Change:
    """What has changed since a price was kept.

    Attributes:
        foreign: Whether another claim serves the name.
        moved: Whether the claim serves another model, or several.
    """

    foreign: bool
    moved: bool


def _derived(
    pin: gateway_status.Price | None,
    owner: str | None,
    claim: members.Member | None,
    asked: str,
    now: Price | None,
    margin: int,
    changed: _Change,
) -> Derived | None:
    """Returns the price that is kept, or one that follows now; None where there is neither.

    Args:
        pin: The price that is kept, or None.
        owner: The name of the claim that serves the model's name now, or None.
        claim: That claim, or None where it is not selected.
        asked: By which words a price follows now.
        now: The price that would follow, or None.
        margin: What is on top of it.
        changed: Whether what is kept is the price of another claim, or of another model of it.
    """
    kept = None if pin is None else Price(pin.model, pin.input, output=pin.output)
    answers = () if claim is None else claim.repositories
    several = len(answers) > 1
    same_words = pin is not None and pin.asked == asked
    stays = now is None or (same_words and not (changed.foreign or changed.moved))
    if pin is not None and kept is not None and stays:
        # A price in another currency is none.
        same = pin.asked.rpartition(" ")[2] == asked.rpartition(" ")[2]
        serves = answers[0] if len(answers) == 1 else None
        of = {"claim": owner or pin.claim, "repository": pin.repository or serves}
        entry = pin.model_copy(update=of)
        return Derived(kept, entry, now) if same else None
    if now is None:
        return None
    # The pods that go are asked too, and nobody tells any more what they cost by itself.
    holds = kept is not None and several and same_words and not changed.foreign
    price = _dearer(kept, now) if kept is not None and holds else now
    entry = gateway_status.Price(
        model=price.model,
        claim=owner,
        repository=answers[0] if len(answers) == 1 else None,
        several=several or None,
        input=price.input,
        output=price.output or "0",
        asked=asked,
        margin_percent=margin,
    )
    before = None if kept == price else kept
    return Derived(price, entry, now, before, fresh=kept is None)


def _moved(pin: gateway_status.Price, claim: members.Member) -> bool:
    """Tells whether a price is of another model than that which the pods of its claim have.

    Nobody knows while the claim tells none.
    """
    answers = claim.repositories
    if len(answers) != 1:
        return bool(answers)
    return pin.several is True or pin.repository not in (None, *answers)


def _dearer(one: Price, other: Price) -> Price:
    """Returns the dearer price, of prompts and of answers."""
    return Price(
        one.model,
        max(one.input, other.input, key=decimal.Decimal),
        output=max(one.output or "0", other.output or "0", key=decimal.Decimal),
    )


def _unknown(
    name: str,
    wish: gateway_money.FromCost,
    claim: members.Member | None,
    behind: members.Members,
    others: Mapping[str, str],
) -> str | None:
    """Returns why nobody knows what a model costs, or None where nobody serves it."""
    if not behind.read:
        return None
    if claim is not None:
        return f"claim {claim.name} tells no cost of load {load(wish)}"
    if name in behind.beside:
        return "a claim that is not selected"
    return others.get(name)


def wish(spec: gateway.Spec, model: str) -> gateway_money.FromCost | None:
    """Returns how a model's price follows, or None for one that is stated or has none.

    As its row says, and else as the object does.
    """
    row = next((one for one in spec.prices or [] if one.model == model), None)
    default = None if spec.pricing is None else spec.pricing.from_cost
    if row is None:
        return default
    if row.from_cost is None or default is None:
        return row.from_cost
    return default.model_copy(update=row.from_cost.model_dump(exclude_none=True))


def load(wish: gateway_money.FromCost) -> str:
    """Returns the load by whose costs a price follows."""
    return wish.load or loads.USUAL


def _margin(wish: gateway_money.FromCost, site: settings.Settings) -> int:
    stated = wish.margin_percent
    return site.pricing.from_cost.margin_percent if stated is None else stated


def asked_by(wish: gateway_money.FromCost, site: settings.Settings) -> str:
    """Returns the words by which a price follows: those of the author, and the currency.

    A margin of the settings is none of them: another one changes no price that is kept.
    """
    margin = "settings" if wish.margin_percent is None else f"{wish.margin_percent}%"
    used = 100 if wish.utilization_percent is None else wish.utilization_percent
    return (
        f"load {load(wish)}, {used}% used, margin {margin}, generation {wish.generation or 0},"
        f" in {site.pricing.currency}"
    )


def cost(claim: members.Member, load: str, site: settings.Settings) -> tuple[str, str] | None:
    """Returns what a million tokens of a claim cost, prompts and answers; None where nobody knows.

    Nobody does while the claim tells it in another currency than that of the settings, or does not
    tell of which model it is: the price would be taken for that of whatever it tells later.
    """
    if not claim.repositories or observed.at(claim.cost, "currency") != site.pricing.currency:
        return None
    for one in observed.items(claim.cost, "perMillionTokens"):
        if observed.at(one, "load") == load:
            prompts, answers = observed.at(one, "input"), observed.at(one, "output")
            told = status.is_cost(prompts) and status.is_cost(answers)
            return (prompts, answers) if told else None
    return None


def derive(
    model: str,
    told: tuple[str, str] | None,
    wish: gateway_money.FromCost,
    site: settings.Settings,
) -> Price | None:
    """Returns the price that follows from what tokens cost, or None where nobody knows.

    Args:
        model: The name.
        told: What a million tokens cost, prompts and answers, or None where nobody knows.
        wish: How it follows.
        site: The settings.
    """
    if told is None:
        return None
    used = 100 if wish.utilization_percent is None else wish.utilization_percent
    amounts = [_times(cost, used, _margin(wish, site)) for cost in told]
    if None in amounts:
        return None
    return Price(model, str(amounts[0]), output=str(amounts[1]))


# A fleet has few costs, and they change rarely.
@functools.lru_cache(1024)
def _times(cost: str, used: int, margin: int) -> str | None:
    """Returns a cost with what idle time and the margin add, rounded up; None above all prices."""
    amount = decimal.Decimal(cost) * (100 + margin) / used
    if not amount:
        return "0"
    step = max(decimal.Decimal(10) ** (amount.adjusted() + 1 - _DIGITS), _LEAST)
    whole = (amount / step).to_integral_value(decimal.ROUND_CEILING) * step
    return f"{whole.normalize():f}" if whole <= _MOST else None


def remembered(known: Prices) -> list[dict[str, Any]] | None:
    """Returns `status.prices`, or None where no price follows from costs."""
    kept = (*(one.kept for one in known.derived), *known.resting)
    return [
        one.model_dump(by_alias=True, exclude_none=True)
        for one in sorted(kept, key=lambda one: one.model)
    ] or None
