"""What claims cost, in the currency and at the prices of the settings.

Money is decimal and exact. A price is that of one GPU in an hour, with its share of the node.
"""

import dataclasses
import decimal
from collections.abc import Mapping, Sequence

from function import plural
from function.api import settings

MONTH_HOURS = 730
"""Hours of an average month, as cloud providers count."""
_MILLION = 1_000_000
_SECONDS = 3600
_MILLISECONDS = 3_600_000
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

    @property
    def without_gpu(self) -> bool:
        """Whether its replicas have no GPU, and no price."""
        return self.gpus == 0

    def __post_init__(self) -> None:
        """Raises ValueError for counts that no claim has."""
        if self.gpus < 0 or self.minimum < 0 or (self.now is not None and self.now < 0):
            raise ValueError(f"{self.name}: gpus, minimum and now are 0 or more")
        if self.maximum < self.minimum:
            raise ValueError(
                f"{self.name}: maximum: {self.maximum} is below the minimum of"
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


def per_million_tokens(hour: Money, tokens_per_second: float) -> Money:
    """Returns the money for a million tokens.

    Args:
        hour: What all replicas cost in an hour.
        tokens_per_second: Tokens that they give together.

    Raises:
        ValueError: `tokens_per_second` is not above zero.
    """
    if tokens_per_second <= 0:
        raise ValueError(f"tokens_per_second: {tokens_per_second} must be above 0")
    return hour * _MILLION / (decimal.Decimal(str(tokens_per_second)) * _SECONDS)


def of_time(hour: Money, milliseconds: float, tokens: int) -> Money:
    """Returns the money for a million tokens of a kind, by the time that they take of a replica.

    Args:
        hour: What the replica costs in an hour.
        milliseconds: Of the replica, for tokens of this kind alone.
        tokens: How many there are.

    Raises:
        ValueError: There are none.
    """
    if tokens < 1:
        raise ValueError(f"tokens: {tokens} must be 1 or more")
    return hour * decimal.Decimal(str(milliseconds)) * _MILLION / (_MILLISECONDS * tokens)


@dataclasses.dataclass(frozen=True)
class Shortage:
    """GPUs that are asked for and are not there.

    Attributes:
        what: The class or the claim.
        gpus: GPUs asked for at the most.
        limit: GPUs that there are.
        sentence: For people.
        lasting: Whether there are too few even at the least replicas.
        pool: Whether a node pool has too few; else a limit of one claim is exceeded.
    """

    what: str
    gpus: int
    limit: int
    sentence: str
    lasting: bool = False
    pool: bool = False


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


def fleet(claims: Sequence[Claim], site: settings.Settings) -> Fleet:
    """Returns the sums over claims, and where limits and node pools are too small.

    Args:
        claims: The claims.
        site: The settings: prices, `limits.maxGPUs` of one claim, and the GPUs that the node pools
            of a class can have in all, where that is known.
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
            unpriced += [] if claim.without_gpu else [claim.name]
            continue
        cost = hourly(claim, price)
        minimum += cost.minimum
        maximum += cost.maximum
        present = None if present is None or cost.now is None else present + cost.now
    for class_name, gpu in sorted(site.gpu.classes.items()):
        size = gpu.pool_gpus
        if size is not None and most.get(class_name, 0) > size:
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
        f"{claim.name}: {plural.of(claim.maximum, 'replica')} of {plural.of(claim.gpus, 'GPU')}"
        f" {plural.are(claim.maximum)} above"
        f" limits.maxGPUs of {limit}: lower scaling.maxReplicas, or raise the limit",
        lasting=claim.gpus * claim.minimum > limit,
    )


def _above_pool(class_name: str, least: int, most: int, size: int) -> Shortage:
    when = "even at their minimum" if least > size else "at their maximum"
    asked = plural.of(least if least > size else most, "GPU")
    return Shortage(
        class_name,
        most,
        size,
        f"class {class_name}: the claims ask for {asked} {when}, and"
        f" the node pool has {size}: enlarge it, or lower replicas",
        lasting=least > size,
        pool=True,
    )


def text(amount: Money, currency: str) -> str:
    """Returns money for people: to the cent, and less than a cent to two digits."""
    if amount and abs(amount) < _CENT:
        return f"{decimal.Context(prec=2).create_decimal(amount):f} {currency}"
    return f"{amount.quantize(_CENT, decimal.ROUND_HALF_UP):,f} {currency}"
