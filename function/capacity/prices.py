"""What claims cost, in the currency and at the prices of the settings.

Money is decimal and exact. A price is that of one GPU in an hour, with its share of the node.
"""

import dataclasses
import decimal
from collections.abc import Mapping, Sequence

from function.api import settings

MONTH_HOURS = 730
"""Hours of an average month, as cloud providers count."""
_MILLION = 1_000_000
_SECONDS = 3600
_CENT = decimal.Decimal("0.01")

Money = decimal.Decimal


@dataclasses.dataclass(frozen=True)
class Tariff:
    """The price of a GPU.

    Attributes:
        gpu_hour: One GPU in an hour.
        currency: ISO 4217 code.
        date: Day on which the price was taken, or None.
    """

    gpu_hour: Money
    currency: str
    date: str | None


def tariff(site: settings.Settings, class_name: str) -> Tariff | None:
    """Returns the price of a class of the settings, or None where the settings have none."""
    chosen = site.gpu.classes.get(class_name)
    if chosen is None or chosen.price_per_hour is None:
        return None
    return Tariff(decimal.Decimal(chosen.price_per_hour), site.pricing.currency, site.pricing.date)


@dataclasses.dataclass(frozen=True)
class Claim:
    """How many GPUs a claim has.

    Attributes:
        name: Of the claim.
        class_name: GPU class.
        gpus: GPUs of a replica.
        minimum: Replicas at least.
        maximum: Replicas at most.
        now: Replicas now, or None when nobody looked.
    """

    name: str
    class_name: str
    gpus: int
    minimum: int
    maximum: int
    now: int | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for counts that no claim has."""
        if self.gpus < 0 or self.minimum < 0 or (self.now is not None and self.now < 0):
            raise ValueError(f"{self.name}: gpus, minimum and now are 0 or more")
        if self.maximum < self.minimum:
            raise ValueError(
                f"{self.name}: maximum: {self.maximum} replicas are below the minimum of"
                f" {self.minimum}: raise it"
            )


@dataclasses.dataclass(frozen=True)
class Cost:
    """Money for an hour.

    Attributes:
        minimum: At the least replicas.
        maximum: At the most.
        now: At those of now, or None.
        currency: ISO 4217 code.
        date: Day on which the price was taken, or None.
    """

    minimum: Money
    maximum: Money
    now: Money | None
    currency: str
    date: str | None

    @property
    def month(self) -> "Cost":
        """The same for a month of 730 hours."""
        return dataclasses.replace(
            self,
            minimum=self.minimum * MONTH_HOURS,
            maximum=self.maximum * MONTH_HOURS,
            now=None if self.now is None else self.now * MONTH_HOURS,
        )


def hourly(claim: Claim, price: Tariff) -> Cost:
    """Returns what a claim costs in an hour."""
    replica = price.gpu_hour * claim.gpus
    return Cost(
        replica * claim.minimum,
        replica * claim.maximum,
        None if claim.now is None else replica * claim.now,
        price.currency,
        price.date,
    )


def per_million_tokens(
    replica_hour: Money, tokens_per_second: float, busy: float = 1.0
) -> Money | None:
    """Returns the money for a million tokens, or None at no load.

    Args:
        replica_hour: What a replica costs in an hour.
        tokens_per_second: Tokens that it gives while it is busy.
        busy: Share of the time for which it is.

    Raises:
        ValueError: `busy` is not from 0 to 1, or the rate is negative.
    """
    if not 0 <= busy <= 1:
        raise ValueError(f"busy: {busy} must be from 0 to 1")
    if tokens_per_second < 0:
        raise ValueError(f"tokens_per_second: {tokens_per_second} is below 0")
    tokens = decimal.Decimal(str(tokens_per_second)) * decimal.Decimal(str(busy)) * _SECONDS
    return replica_hour * _MILLION / tokens if tokens else None


@dataclasses.dataclass(frozen=True)
class Shortage:
    """GPUs that are asked for and are not there.

    Attributes:
        what: The class or the claim.
        gpus: GPUs asked for at the most.
        limit: GPUs that there are.
        sentence: For people.
    """

    what: str
    gpus: int
    limit: int
    sentence: str


@dataclasses.dataclass(frozen=True)
class Fleet:
    """All claims.

    Attributes:
        minimum: Money for an hour when each claim is at its minimum.
        maximum: The same at the maximum.
        now: The same now, or None when some claim was not looked at.
        gpus_minimum: GPUs by class at the minimum.
        gpus_maximum: GPUs by class at the maximum.
        currency: ISO 4217 code.
        unpriced: Claims whose class has no price: the sums are without them.
        shortages: What limits and node pools cannot hold.
    """

    minimum: Money
    maximum: Money
    now: Money | None
    gpus_minimum: Mapping[str, int]
    gpus_maximum: Mapping[str, int]
    currency: str
    unpriced: tuple[str, ...]
    shortages: tuple[Shortage, ...]


def fleet(
    claims: Sequence[Claim],
    site: settings.Settings,
    pools: Mapping[str, int] | None = None,
) -> Fleet:
    """Returns the sums over claims, and where limits and node pools are too small.

    Args:
        claims: The claims.
        site: The settings: prices, and `limits.maxGPUs` of one claim.
        pools: GPUs that the node pools of a class can have in all, where that is known.
    """
    minimum = maximum = decimal.Decimal(0)
    present: Money | None = decimal.Decimal(0)
    least: dict[str, int] = {}
    most: dict[str, int] = {}
    unpriced: list[str] = []
    shortages: list[Shortage] = []
    for claim in sorted(claims, key=lambda claim: claim.name):
        asked = claim.gpus * claim.maximum
        least[claim.class_name] = least.get(claim.class_name, 0) + claim.gpus * claim.minimum
        most[claim.class_name] = most.get(claim.class_name, 0) + asked
        limit = site.limits.max_gpus
        if limit is not None and asked > limit:
            shortages.append(_above_limit(claim, asked, limit))
        price = tariff(site, claim.class_name)
        if price is None:
            unpriced.append(claim.name)
            continue
        cost = hourly(claim, price)
        minimum += cost.minimum
        maximum += cost.maximum
        present = None if present is None or cost.now is None else present + cost.now
    for class_name, size in sorted((pools or {}).items()):
        if most.get(class_name, 0) > size:
            shortages.append(_above_pool(class_name, least[class_name], most[class_name], size))
    return Fleet(
        minimum,
        maximum,
        present,
        dict(sorted(least.items())),
        dict(sorted(most.items())),
        site.pricing.currency,
        tuple(unpriced),
        tuple(shortages),
    )


def _above_limit(claim: Claim, asked: int, limit: int) -> Shortage:
    return Shortage(
        claim.name,
        asked,
        limit,
        f"{claim.name}: {claim.maximum} replicas of {claim.gpus} GPUs are above limits.maxGPUs of"
        f" {limit}: lower scaling.maxReplicas, or raise the limit",
    )


def _above_pool(class_name: str, least: int, most: int, size: int) -> Shortage:
    when = "even at their minimum" if least > size else "at their maximum"
    return Shortage(
        class_name,
        most,
        size,
        f"class {class_name}: the claims ask for {least if least > size else most} GPUs {when}, and"
        f" the node pool has {size}: enlarge it, or lower replicas",
    )


def text(amount: Money, currency: str) -> str:
    """Returns money for people: to the cent, and small amounts to two digits that say something."""
    if amount and abs(amount) < 1:
        shown = decimal.Context(prec=2).create_decimal(amount)
        return f"{shown.normalize():f} {currency}"
    return f"{amount.quantize(_CENT):,f} {currency}"
