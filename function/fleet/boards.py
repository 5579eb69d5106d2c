"""The dashboard of a front door: what its models do, side by side."""

import decimal
from collections.abc import Iterable, Iterator, Mapping

from function import assembly
from function.api import gateway
from function.capacity import prices
from function.concerns.dashboards import contents, drawing, grafana
from function.concerns.observability import spending as costs
from function.engines import engine
from function.fleet import doors, members, rows, situations, spending
from function.planning import hardware

PART = "door-dashboard"


def compose(now: situations.Situation) -> Iterator[assembly.Part]:
    """Yields the dashboard, once claims are read of which one asks to be published."""
    door = now.door
    provider: drawing.Provider | None = drawing.PROVIDERS.get(door.site.providers.dashboards)
    asking = [member for member in now.members.members if member.asks]
    if provider is None or not asking:
        return
    who = door.identity
    board = grafana.Board(
        who,
        gateway.KIND,
        f"{who.namespace} / {who.name}: all models",
        f"The models behind InferenceGateway {who.name} of namespace {who.namespace}.",
        door.site.monitoring.runbook_base,
    )
    text = grafana.text(board, panels(now, asking))
    made = provider.dashboard(who, door.site, PART, doors.COMPONENT, text)
    yield assembly.Part(f"{rows.DASHBOARD}{provider.suffix(door.site)}", made)


def panels(now: situations.Situation, asking: Iterable[members.Member]) -> Iterator[engine.Panel]:
    """Yields the panels of some claims.

    Args:
        now: What holds of the front door.
        asking: The claims that ask to be published, by name.
    """
    door, claims = now.door, list(asking)
    models = {member.name for member in claims}
    models |= {model.name for member in claims for model in member.models}
    yield from contents.used(models)
    label = door.site.dashboards.caller_label
    if door.own and door.callers and label is not None:
        yield from _callers(label, contents.named(models))
    if spending.records(now):
        yield from _spent(now)
    yield from _replicas(door, claims)


def _callers(label: str, own: str) -> Iterator[engine.Panel]:
    own = f'{own[:-1]},{label}!=""}}'
    legend = f"{{{{{label}}}}}"
    yield engine.Panel(
        engine.Row.GATEWAY,
        "Requests by caller",
        "reqps",
        "Requests a second of each caller. One who asks far more than the others: look at what it"
        " may use in spec.callers.",
        (engine.Query(contents.requests(label, own), legend),),
    )
    yield engine.Panel(
        engine.Row.GATEWAY,
        "Tokens by caller",
        "short",
        "Tokens a second of each caller, prompts and answers together. Who pays for what follows"
        " from it.",
        (engine.Query(contents.tokens(label, own), legend),),
    )


def _spent(now: situations.Situation) -> Iterator[engine.Panel]:
    door = now.door
    where = "spec.prices and status.prices" if now.prices.derived else "spec.prices"
    by = "caller" if spending.by_caller(door) else "model"
    unit = f"currency:{door.site.pricing.currency} "
    yield engine.Panel(
        engine.Row.PROMISES,
        f"Spent an hour by {by}",
        unit,
        "What the tokens of the last five minutes come to in an hour, at the prices of"
        f" {where}. Models without a price are not in it.",
        (
            engine.Query(
                f"sum by ({by}) ({spending.PER_HOUR}{spending.own(door)})", f"{{{{{by}}}}}"
            ),
        ),
    )
    month = spending.own(door, window=spending.WINDOWS[-1])
    yield engine.Panel(
        engine.Row.PROMISES,
        f"Spent in 30 days by {by}",
        unit,
        "What the tokens of the last 30 days came to. One who spends too much: a budget in"
        " spec.callers.",
        (
            engine.Query(
                # One is written every five minutes, by vmalert with a time up to five minutes ago,
                # and is looked past once it is as old.
                f"sum by ({by}) (last_over_time({spending.SUM}{month}[15m]))",
                f"{{{{{by}}}}}",
            ),
        ),
    )


def _replicas(door: doors.Door, claims: list[members.Member]) -> Iterator[engine.Panel]:
    namespace = door.identity.namespace
    yield engine.Panel(
        engine.Row.REPLICAS,
        "Replicas by model",
        "short",
        "Replicas of each claim that answer the scrape of their metrics. None for a claim that"
        " should serve: look at its own dashboard, and at its conditions.",
        (engine.Query(_up(namespace, [member.name for member in claims]), "{{job}}"),),
    )
    counted: dict[int, list[str]] = {}
    priced: dict[decimal.Decimal, list[str]] = {}
    for member in claims:
        cards = hardware.counted(member.gpu)
        if cards is None:
            continue
        counted.setdefault(cards.gpus, []).append(member.name)
        price = prices.tariff(door.site, cards.class_name)
        if price is not None:
            hour = (price.gpu_hour * cards.gpus).normalize()
            priced.setdefault(hour, []).append(member.name)
    if counted:
        yield engine.Panel(
            engine.Row.REPLICAS,
            "GPUs by model",
            "short",
            "GPUs of the replicas that answer the scrape of their metrics. Replicas that still"
            " start have GPUs too.",
            tuple(_times(namespace, {str(gpus): names for gpus, names in counted.items()})),
        )
    if priced:
        currency = door.site.pricing.currency
        yield engine.Panel(
            engine.Row.PROMISES,
            "Cost an hour by model",
            f"currency:{currency} ",
            "What the GPUs of the replicas that answer the scrape of their metrics cost an hour, at"
            " the settings' prices. A claim without requests: scaling.minReplicas 0.",
            tuple(_times(namespace, {f"{hour:f}": names for hour, names in priced.items()})),
        )
    known = {name for names in priced.values() for name in names}
    paid = sorted(member.name for member in claims if member.pays and member.name in known)
    if paid and door.site.providers.monitoring != "none":
        own = f'{{namespace="{namespace}",model=~"{"|".join(paid)}"}}'
        yield engine.Panel(
            engine.Row.PROMISES,
            "Cost an hour by team",
            f"currency:{door.site.pricing.currency} ",
            "What the wanted replicas of the claims cost an hour, by the team of spec.cost. Claims"
            " that name no team are not in it.",
            (engine.Query(f"sum by (team) ({costs.PER_HOUR}{own})", "{{team}}"),),
        )


def _times(namespace: str, claims: Mapping[str, list[str]]) -> Iterator[engine.Query]:
    """Yields replicas by claim times what one has, a query for each such number."""
    for each in sorted(claims, key=decimal.Decimal):
        yield engine.Query(f"{_up(namespace, claims[each])} * {each}", "{{job}}")


def _up(namespace: str, claims: Iterable[str]) -> str:
    either = "|".join(sorted(claims))
    return f'sum by (job) (up{{namespace="{namespace}",job=~"{either}"}})'
