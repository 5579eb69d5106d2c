"""Money, exactly."""

import decimal
import pathlib
from typing import Any

import pytest

from function.api import settings
from function.capacity import cards, prices
from tests import cluster

D = decimal.Decimal
FILES = sorted((cluster.ROOT / "examples" / "prices").glob("*.yaml"))


def site(
    max_gpus: int | None = 64, pools: dict[str, int] | None = None, **classes: str | None
) -> settings.Settings:
    def gpu(name: str, price: str | None) -> dict[str, Any]:
        size = (pools or {}).get(name)
        return ({"pricePerHour": price} if price else {}) | ({"poolGpus": size} if size else {})

    return settings.resolve(
        [
            {
                "pricing": {"currency": "EUR", "date": "2026-08-20"},
                "limits": {"maxGPUs": max_gpus},
                "gpu": {
                    "defaultClass": next(iter(classes)),
                    "classes": {name: gpu(name, price) for name, price in classes.items()},
                },
            }
        ]
    )


def test_an_hour_and_a_month_of_a_claim() -> None:
    price = prices.tariff(site(l4="0.8048"), "l4")
    assert price == prices.Tariff(D("0.8048"), "EUR", "2026-08-20")
    cost = prices.hourly(prices.Claim("chat", "l4", 2, 1, 4, now=3), price)
    assert (cost.minimum, cost.maximum, cost.now) == (D("1.6096"), D("6.4384"), D("4.8288"))
    assert cost.month.minimum == D("1175.0080")
    assert cost.month.now == D("3525.0240")
    assert (cost.currency, cost.date) == ("EUR", "2026-08-20")


def test_tokens_cost_the_time_that_they_take_of_a_replica() -> None:
    # 1,000 tokens in 36 s are a million in ten hours.
    assert prices.of_time(D("1.5"), 36_000, 1000) == 15
    with pytest.raises(ValueError, match="must be 1 or more"):
        prices.of_time(D(1), 1, 0)


def test_nobody_looked_and_zero_replicas_are_different() -> None:
    price = prices.Tariff(D(1), "EUR", None)
    assert prices.hourly(prices.Claim("c", "l4", 1, 0, 1), price).now is None
    assert prices.hourly(prices.Claim("c", "l4", 1, 0, 1, now=0), price).now == 0
    assert prices.hourly(prices.Claim("c", "l4", 1, 0, 1), price).month.now is None


@pytest.mark.parametrize("name", ["l4", "unknown"])
def test_a_class_without_a_price_has_none(name: str) -> None:
    assert prices.tariff(site(l4=None), name) is None


@pytest.mark.parametrize(
    ("hour", "rate", "expected"),
    # 3600 tokens a second are 12.96 million an hour.
    [("6.48", 3600, D("0.5")), ("6.48", 900, D("2"))],
)
def test_a_million_tokens(hour: str, rate: float, expected: D) -> None:
    assert prices.per_million_tokens(D(hour), rate) == expected


def test_a_fleet_has_sums_and_says_what_is_short() -> None:
    claims = [
        prices.Claim("small", "l4", 1, 1, 3, now=2),
        prices.Claim("big", "h100", 4, 1, 20, now=1),
        prices.Claim("free", "lab", 1, 1, 1, now=1),
    ]
    summed = prices.fleet(claims, site(64, {"h100": 8, "l4": 4}, l4="0.5", h100="6.88", lab=None))
    assert summed.minimum == D("28.02")
    assert summed.maximum == D("551.90")
    assert summed.now == D("28.52")
    assert summed.gpus_minimum == {"h100": 4, "l4": 1, "lab": 1}
    assert summed.gpus_maximum == {"h100": 80, "l4": 3, "lab": 1}
    assert summed.unpriced == ("free",)
    assert [shortage.sentence for shortage in summed.shortages] == [
        "big: 20 replicas of 4 GPUs are above limits.maxGPUs of 64: lower scaling.maxReplicas, or"
        " raise the limit",
        "class h100: the claims ask for 80 GPUs at their maximum, and the node pool has 8: enlarge"
        " it, or lower replicas",
    ]


def test_one_of_a_thing_is_no_plural() -> None:
    claims = [prices.Claim("big", "h100", 9, 1, 1), prices.Claim("small", "l4", 1, 0, 9)]
    summed = prices.fleet(claims, site(8, {"h100": 8}, l4="0.5", h100="6.88"))
    assert [shortage.sentence.split(":")[1].split(",")[0] for shortage in summed.shortages] == [
        " 1 replica of 9 GPUs is above limits.maxGPUs of 8",
        " 9 replicas of 1 GPU are above limits.maxGPUs of 8",
        " the claims ask for 9 GPUs even at their minimum",
    ]
    assert [shortage.lasting for shortage in summed.shortages] == [True, False, True]


def test_a_pool_may_be_too_small_for_the_minimum() -> None:
    claims = [prices.Claim(name, "l4", 1, 2, 2) for name in ("a", "b")]
    summed = prices.fleet(claims, site(None, {"l4": 3}, l4="0.5"))
    assert summed.now is None
    assert "ask for 4 GPUs even at their minimum" in summed.shortages[0].sentence


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("1234567.891", "1,234,567.89 USD"),
        ("0", "0.00 USD"),
        ("0.5", "0.50 USD"),
        ("0.8048", "0.80 USD"),
        ("0.805", "0.81 USD"),
        ("0.043219", "0.04 USD"),
        ("0.0043219", "0.0043 USD"),
        ("0.000001234", "0.0000012 USD"),
    ],
)
def test_money_for_people(amount: str, shown: str) -> None:
    assert prices.text(D(amount), "USD") == shown


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: prices.Claim("c", "l4", 1, 3, 2), "maximum: 2 is below"),
        (lambda: prices.Claim("c", "l4", -1, 1, 2), "gpus, minimum and now"),
        (lambda: prices.per_million_tokens(D(1), 0), "tokens_per_second: 0 must"),
    ],
)
def test_bad_numbers_are_named(call: object, words: str) -> None:
    assert callable(call)
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@pytest.mark.parametrize("profile", ["plain", "reference"])
def test_list_prices_load_over_any_settings(path: pathlib.Path, profile: str) -> None:
    listed = cluster.load(str(path))
    merged = settings.assemble({}, {}, [cluster.environment(profile), listed])
    classes = listed["data"]["inferenceService"]["gpu"]["classes"]
    for name in classes:
        price = prices.tariff(merged, name)
        assert price is not None
        assert price.currency == "USD"
        assert price.date == listed["data"]["inferenceService"]["pricing"]["date"]
        assert D("0.3") < price.gpu_hour < D(20)
    stated = cluster.environment(profile)["data"]["inferenceService"]
    assert merged.gpu.default_class == stated["gpu"]["defaultClass"]


def test_list_prices_name_the_common_cards() -> None:
    listed = {
        name
        for path in FILES
        for name in cluster.load(str(path))["data"]["inferenceService"]["gpu"]["classes"]
    }
    assert listed >= {"l4", "a10g", "l40s", "a100-80", "h100", "h200", "b200", "mi300x"}
    assert "rtx-pro-6000" in listed


def test_each_machine_of_the_lists_names_its_card() -> None:
    """Without one, fp8 and times are unknown. No source gives the memory of three of them."""
    unknown = set()
    for file in FILES:
        inner = cluster.load(f"examples/prices/{file.name}")["data"]["inferenceService"]
        for name, gpu in inner["gpu"]["classes"].items():
            assert "product" in gpu, (file.name, name)
            if cards.lookup(gpu["product"]) is None:
                unknown.add(name if file.name == "azure.yaml" else f"{file.name}: {name}")
    assert unknown == {"a10", "a100-80", "h100-nvl"}
