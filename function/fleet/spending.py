"""What callers spend, as recorded series: tokens at the gateway times what models cost.

The AI gateway counts tokens by the model that was asked for, and by the caller where its chart is
told to (`dashboards.callerLabel`). Callers are matched by name: nobody without one is counted.
"""

import decimal
from collections.abc import Iterator

from function import assembly, canonical, memo
from function.concerns.dashboards import contents
from function.concerns.observability import watching
from function.fleet import doors, pricing, rows, situations
from function.planning import identity

# What is recorded; docs/front-door.md has the table.
PER_HOUR = "inference_gateway:cost:per_hour"
SUM = "inference_gateway:cost:sum"
WINDOWS = ("1d", "30d")

# Seconds between two evaluations: so many of the hourly rate are an hour's money.
_EVERY = 60
# Sums over days are long to work out and change slowly.
_SUMS_EVERY = 300
# Tokens a second to millions an hour.
_MILLIONS_AN_HOUR = decimal.Decimal("0.0036")


# A front door of many models has many rules, which change when a price does.
_MADE: memo.Bounded[memo.Manifest] = memo.Bounded(8 * 2**20)
_BYTES = 6000


def records(now: situations.Situation) -> bool:
    """Tells whether anything is recorded."""
    door = now.door
    monitored = door.site.providers.monitoring != "none"
    return door.own and door.provided and monitored and bool(now.prices.every)


def compose(now: situations.Situation) -> Iterator[assembly.Part]:
    """Yields the rules."""
    door = now.door
    if not records(now):
        return
    provider: watching.Provider = watching.PROVIDERS[door.site.providers.monitoring]
    metadata = door.identity.metadata(
        door.identity.part("costs"),
        component=doors.COMPONENT,
        extra=door.site.monitoring.labels,
    )
    callers = tuple(caller.name for caller in door.callers)
    chosen = door.site.providers.monitoring, door.site.dashboards.caller_label
    key = (chosen, canonical.dumps(metadata), door.site.pricing.currency, callers)
    made = _MADE.get(
        (key, now.prices.every),
        _BYTES * (1 + len(now.prices.every)),
        lambda: memo.Manifest(provider.rules(metadata, groups(now))),
    )
    yield assembly.Part(f"{rows.RULES}{provider.RULES}", made)


def groups(now: situations.Situation) -> list[identity.Manifest]:
    """Returns the groups of recorded series."""
    door = now.door
    name = f"{door.identity.namespace}-{door.identity.name}-costs"
    rates = [rule for price in now.prices.every for rule in _rates(door, price)]
    sums = [_sum(door, window) for window in WINDOWS]
    return [
        {"name": name, "interval": f"{_EVERY}s", "rules": rates},
        {"name": f"{name}-sums", "interval": f"{_SUMS_EVERY}s", "rules": sums},
    ]


def own(door: doors.Door, **more: str) -> str:
    """Returns the matchers of the recorded series of a front door."""
    labels = {"namespace": door.identity.namespace, "gateway": door.identity.name, **more}
    return "{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "}"


def by_caller(door: doors.Door) -> bool:
    """Tells whether what is recorded has the name of a caller."""
    return door.site.dashboards.caller_label is not None and bool(door.callers)


def _rates(door: doors.Door, price: pricing.Price) -> Iterator[identity.Manifest]:
    """Yields the money an hour of a model: of prompts, of what a cache had, and of answers."""
    prompts, had = _tokens(door, price, "input"), _tokens(door, price, "cached_input")
    if price.cached_input is not None:
        # Tokens of prompts include what a cache had; without one nobody tells of it.
        prompts = f"({prompts} - ({had} or {prompts} * 0))"
        yield _rate(door, price, "cached_input", had, price.cached_input)
    yield _rate(door, price, "input", prompts, price.input)
    if price.output is not None:
        answers = _tokens(door, price, "output")
        yield _rate(door, price, "output", answers, price.output)


def _tokens(door: doors.Door, price: pricing.Price, kind: str) -> str:
    """Returns the tokens a second of a model and of one kind, by caller."""
    matchers = contents.named([price.model])[:-1] + f',{contents.TOKEN}="{kind}"'
    label = door.site.dashboards.caller_label
    if label is None or not by_caller(door):
        return f"sum(rate({contents.USED}{matchers}}}[5m]))"
    callers = "|".join(caller.name for caller in door.callers)
    rate = f'rate({contents.USED}{matchers},{label}=~"{callers}"}}[5m])'
    if label != "caller":
        rate = f'label_replace({rate}, "caller", "$1", "{label}", "(.+)")'
    return f"sum by (caller) ({rate})"


def _rate(
    door: doors.Door, price: pricing.Price, kind: str, tokens: str, money: str
) -> identity.Manifest:
    each = (decimal.Decimal(money) * _MILLIONS_AN_HOUR).normalize()
    labels = {**_whose(door), "model": price.model, "type": kind}
    return {"record": PER_HOUR, "expr": f"{tokens} * {each:f}", "labels": labels}


def _sum(door: doors.Door, window: str) -> identity.Manifest:
    by = "caller, model" if by_caller(door) else "model"
    per_hour = 3600 // _EVERY
    text = f"sum by ({by}) (sum_over_time({PER_HOUR}{own(door)}[{window}])) / {per_hour}"
    return {"record": SUM, "expr": text, "labels": {**_whose(door), "window": window}}


def _whose(door: doors.Door) -> dict[str, str]:
    return {
        "namespace": door.identity.namespace,
        "gateway": door.identity.name,
        "currency": door.site.pricing.currency,
    }
