"""What the AI gateway counts by prices that follow from costs: one expression for each answer."""

from typing import Any

import pytest

from function.api import gateway, gateway_status
from tests import documents
from tests.fleet import costed, scene
from tests.fleet.test_money import budgeted, cost, expression


def test_the_expression_nests_little_however_many_claims_there_are() -> None:
    members = [scene.member(f"m{n:03}", costs=("0.1", f"0.{n:03}1")) for n in range(300)]
    world = costed.resting(*members)
    assert len(costed.priced(world)) == gateway_status.MOST_PRICES
    depth = most = 0
    for letter in expression(world):
        depth += (letter == "(") - (letter == ")")
        most = max(most, depth)
    assert most < 20
    assert cost(world, "m000", output_tokens=10**6) == 100
    assert cost(world, "m255", output_tokens=10**6) == 260_000
    assert world.condition("PricesReady") == ("False", "CostUnknown")


@pytest.mark.parametrize("stated", [False, True], ids=["derived", "stated"])
@pytest.mark.parametrize(
    ("gateway", "backend", "named"),
    [
        ({"fallback": {"claim": "vectors"}}, "coder.fallback-vectors", "vectors"),
        (
            {"fallback": {"provider": "anthropic", "model": "claude"}},
            "coder.outside-anthropic",
            "claude-haiku",
        ),
        ({"canaries": [{"adapter": "odd", "weightPercent": 5}]}, "coder.canary-odd", "odd"),
    ],
    ids=["claim", "provider", "canary"],
)
def test_who_answers_in_a_claims_place_without_a_price_costs_what_the_claim_does(
    gateway: Any, backend: str, named: str, stated: bool
) -> None:
    """The AI gateway tells the name of who answers, and on whose route."""
    coder = documents.copied(costed.CODER)
    coder["spec"]["gateway"] |= gateway
    outside: Any = scene.provider("anthropic", "claude")
    outside["models"] = [{"name": "claude", "upstream": "claude-haiku"}]
    rows: Any = [
        {"model": "coder", "input": "1", "output": "2"},
        {"model": "chat-8b", "input": "1"},
    ]
    how: Any = {"pricing": None, "prices": rows} if stated else {}
    world = costed.resting(coder, costed.CHAT, providers=[outside], **how)
    whose: Any = {"backend": f"llm/{backend}/route/coder/rule/0/ref/1", "route": "llm/coder"}
    price = 2_000_000 if stated else 270_000
    assert cost(world, named, **whose, output_tokens=10**6) == price
    # A provider's model has no price of a claim's, whatever the provider calls it.
    chat = price if "outside" in backend else 0 if stated else 100_000
    assert cost(world, "chat-8b", **whose, output_tokens=10**6) == chat
    own: Any = {"backend": "llm/coder/route/coder/rule/1/ref/0", "route": "llm/coder"}
    assert cost(world, named, **own, output_tokens=10**6) == 0, "asked by its own name"
    other: Any = {"backend": "llm/other.outside-x/route/other/rule/0/ref/1", "route": "llm/other"}
    assert cost(world, named, **other, output_tokens=10**6) == 0
    for condition in ("LimitsReady", "PricesReady"):
        assert "in place of" not in world.message(condition)


def test_a_claim_sets_no_price_of_what_a_provider_answers_for_others() -> None:
    """Its adapter has the name that the provider gives to a model without a price."""
    coder = documents.copied(costed.CODER)
    coder["spec"]["gateway"]["fallback"] = {"provider": "anthropic", "model": "claude"}
    outside: Any = scene.provider("anthropic", "claude", "haiku")
    outside["models"][0]["upstream"] = "claude-haiku"
    whose: Any = {"backend": "llm/coder.outside-anthropic/route/coder/rule/0/ref/1"}
    for named in ("claude-haiku", "claude", "haiku"):
        mallory = scene.member("mallory", named, costs=("900", "900"))
        world = costed.resting(coder, mallory, providers=[outside])
        assert costed.priced(world)[named] == ("900", "900")
        upstream = "claude-haiku" if named == "claude" else named
        answer: Any = {**whose, "route": "llm/coder", "output_tokens": 10**6}
        assert cost(world, upstream, **answer) == 270_000
        own: Any = {"backend": "llm/mallory/route/mallory/rule/1/ref/0", "route": "llm/mallory"}
        assert cost(world, named, **own, output_tokens=10**6) == 900_000_000


@pytest.mark.parametrize("stated", [False, True], ids=["unpriced", "another is priced"])
def test_a_providers_model_without_a_price_costs_nothing_whatever_a_claim_serves(
    stated: bool,
) -> None:
    """On the provider's own route, where an adapter has the name that the provider uses."""
    outside: Any = scene.provider("anthropic", "claude", "haiku")
    outside["models"][0]["upstream"] = "sql"
    rows: Any = [{"model": "haiku", "input": "0", "output": "7"}] if stated else []
    world = costed.resting(providers=[outside], prices=rows)
    name = "llm.provider-anthropic"
    whose: Any = {"backend": f"llm/{name}/route/{name}/rule/0/ref/0", "route": f"llm/{name}"}
    assert cost(world, "sql", **whose, output_tokens=10**6) == 0
    assert cost(world, "coder", **whose, output_tokens=10**6) == 0
    assert cost(world, "haiku", **whose, output_tokens=10**6) == (7_000_000 if stated else 0)
    own: Any = {"backend": "llm/coder/route/coder/rule/1/ref/0", "route": "llm/coder"}
    assert cost(world, "sql", **own, output_tokens=10**6) == 270_000
    # Who has a budget may not use what has no price.
    assert scene.rules(world) == {
        "paid": ["chat-8b", "coder", *(["haiku"] if stated else []), "sql"]
    }


@pytest.mark.parametrize("backend", ["coder.outside-x", "coder.canary-odd", "coder-canary-odd"])
def test_a_route_that_names_who_answers_counts_whatever_its_claim_asks_for_by_now(
    backend: str,
) -> None:
    """A claim that is paused or refused keeps its route."""
    world = costed.resting(costed.CODER, providers=[scene.provider("x", "claude")])
    whose: Any = {"backend": f"llm/{backend}/route/coder/rule/0/ref/1", "route": "llm/coder"}
    assert cost(world, "claude", **whose, output_tokens=10**6) == 270_000


def test_the_longest_expression_is_one_that_the_gateway_takes() -> None:
    """A parser of CEL takes 100,000 code points."""
    space, door_name = "n" * 63, "d" * gateway.LONGEST_NAME
    members = []
    for number in range(gateway_status.MOST_PRICES // 4):
        adapters = [f"a{number:03}{n}".ljust(63, "x") for n in range(3)]
        one = scene.member(
            f"m{number:03}".ljust(54, "x"), *adapters, costs=("990000", f"98{number:04}")
        )
        one["spec"]["gateway"]["canaries"] = [{"adapter": "odd", "weightPercent": 5}]
        members.append(one)
    money = {"input": "999999.9999", "cachedInput": "999999.9998", "output": "999999.9997"}
    prices: Any = [{"model": f"p{n:02}".ljust(63, "x"), **money} for n in range(64)]
    for most in (0, 15):
        providers: list[Any] = []
        for number in range(16):
            provider = scene.provider(f"o{number:02}".ljust(32, "x"))
            provider["models"] = [
                {
                    "name": prices[n]["model"] if n < most else f"u{n:02}".ljust(63, "x"),
                    "upstream": f"{'r' * 60}{number:02}{n:02}/".ljust(128, "x"),
                }
                for n in range(15)
            ]
            providers.append(provider)
        door = scene.of(
            pricing=costed.FROM_COST, callers=[budgeted("paid")], prices=prices, providers=providers
        )
        door["metadata"] = {"name": door_name, "namespace": space}
        for one in members:
            one["metadata"]["namespace"] = space
        world = scene.world(door, *members)
        world.converge()
        assert world.fatal is None, world.fatal
        assert len(costed.priced(world)) == gateway_status.MOST_PRICES
        text = expression(world)
        assert 30_000 < len(text) < 100_000
        (last,) = [one for one in providers[15]["models"] if "14/" in one["upstream"]]
        name = members[0]["metadata"]["name"]
        for backend, expected in (
            (
                f"{name}.outside-{providers[15]['name']}",
                999_999_999_700 if most else 980_000_000_000,
            ),
            (f"{name}.canary-odd", 980_000_000_000),
        ):
            whose: Any = {"backend": f"{space}/{backend}/route", "route": f"{space}/{name}"}
            model = last["upstream"] if "outside" in backend else "odd"
            assert cost(world, model, **whose, output_tokens=10**6) == expected


@pytest.mark.parametrize("name", ['a" || true || "', "a b", "a\n", "é", ""])
def test_a_served_name_that_is_none_is_no_model(name: str) -> None:
    strange = scene.member("coder", name, costs=("0.0312", "0.27"))
    world = costed.resting(strange)
    assert costed.priced(world).keys() == {"coder"}
    assert scene.rules(world) == {"paid": ["coder"]}


def test_what_somebody_wrote_into_the_status_is_text_in_the_expression() -> None:
    world = costed.resting()
    kept = world.claim["status"]["prices"]
    name = 'a" in costed.priced ? 0u : "'
    kept.append({**kept[0], "model": name})
    world.reconcile()
    assert cost(world, name, output_tokens=10**6) in (0, 100_000)
    assert cost(world, "coder", output_tokens=10**6) == 270_000


@pytest.mark.parametrize("place", ["", "x" * 513])
def test_a_place_that_is_none_is_not_kept(place: str) -> None:
    world = costed.resting(scene.member("coder", costs=("0.01", "0.1"), models=(place, "org/m")))
    (kept,) = world.claim["status"]["prices"]
    assert kept["repository"] == "org/m"
