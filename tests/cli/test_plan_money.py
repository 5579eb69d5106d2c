"""What `plan` says that claims cost, and what a change to them does to that."""

import json

import pytest

from tests.cli import revisions


def test_replicas_cost_money(repository: revisions.Repository) -> None:
    repository.write("claims/chat.yaml", revisions.claim("chat", scaling={"maxReplicas": 6}))
    plan = repository.against()
    assert plan["month"]["max"] == {"before": "2920", "after": "5840"}
    assert plan["gpus"]["max"] == {"before": 4, "after": 8}
    assert revisions.of(plan, "chat")["pods"]["effect"] == "stay"
    assert plan["shortages"] == []
    repository.write("claims/chat.yaml", revisions.claim("chat", scaling={"maxReplicas": 7}))
    assert "class l4: the claims ask for 9 GPUs" in repository.against()["shortages"][0]


@pytest.mark.parametrize("hourly", ["1", "3"])
def test_two_currencies_have_no_difference(hourly: str, repository: revisions.Repository) -> None:
    other = revisions.changed("gpu.classes.l4.pricePerHour", hourly) | {
        "pricing": {"currency": "EUR"}
    }
    repository.write("site.yaml", revisions.environment(other))
    plan = repository.against()
    assert (plan["currencyBefore"], plan["currency"], plan["exitCode"]) == ("USD", "EUR", 3)
    text = repository.plan("claims", "--against", "HEAD", "--output", "markdown").stdout
    after = 2 * 2 * 730 * int(hourly)
    assert f"was 2,920.00 USD a month at most, becomes {after:,}.00 EUR: no difference" in text
    row = f"730 to 1,460 USD -\\> {730 * int(hourly):,} to {after // 2:,} EUR"
    assert row in text


def test_what_has_no_price_is_named_beside_the_sum(repository: revisions.Repository) -> None:
    site = revisions.changed("gpu.classes.own", {"product": "L4", "nodeGpus": 1})
    repository.write("site.yaml", revisions.environment(site))
    repository.write("claims/free.yaml", revisions.claim("free", gpu={"class": "own", "count": 1}))
    words = "and free, whose price is not known"
    for output in ("table", "markdown"):
        text = " ".join(repository.plan("claims", "--output", output).stdout.splitlines()[0:2])
        assert f"at least 1,460.00 USD to 2,920.00 USD a month, {words}" in text
    repository.write("claims/chat.yaml", revisions.claim("chat", scaling={"maxReplicas": 3}))
    text = repository.plan("claims", "--against", "HEAD").stdout.splitlines()[0]
    assert "becomes 3,650.00 USD), without free, whose price is not known" in text


def test_what_starts_and_cannot_serve_has_money_and_no_speed(
    repository: revisions.Repository,
) -> None:
    refused = revisions.claim("refused", gpu={"class": "h100", "count": 3})
    repository.write("claims/refused.yaml", refused)
    plan = json.loads(repository.plan("claims", "--output", "json").stdout)
    item = revisions.of(plan, "refused")
    assert item["costPerHour"]["after"] == {"min": "30", "max": "60", "currency": "USD"}
    assert "speed" not in item
    text = repository.plan("claims", "--output", "markdown").stdout
    (row,) = (line for line in text.splitlines() if line.startswith("| llm/refused"))
    cells = [cell.strip() for cell in row.split("|")[3:-1]]
    assert cells == ["-", "-", "3 to 6", "21,900 to 43,800 USD", "-"]
    assert "refused cannot serve as written: nothing refuses the GPUs that are asked for" in text


def test_tokens_cost_what_a_full_replica_makes_of_them(repository: revisions.Repository) -> None:
    chat = revisions.of(json.loads(repository.plan("claims", "--output", "json").stdout), "chat")
    speed = chat["speed"]["chat"]
    million, requests = speed["millionTokens"], speed["requestsPerSecond"]
    assert float(million["low"]) < float(million["best"]) < float(million["high"])
    # 1 USD an hour; a request has 1155 tokens of prompt and 211 of answer.
    hour = requests["best"] * (1155 + 211) * 3600 / 1e6
    assert float(million["best"]) == pytest.approx(1 / hour, rel=0.001)
    assert (million["currency"], million["requestsPerSecond"]) == ("USD", None)
    assert speed["replicas"] is None
    assert "a million of prompts and answers" in repository.plan("claims").stdout


def test_a_rate_needs_replicas_and_says_what_tokens_cost_then(
    repository: revisions.Repository,
) -> None:
    text = repository.plan("claims", "--rate", "12", "--output", "json").stdout
    speed = revisions.of(json.loads(text), "chat")["speed"]["chat"]
    needed, million = speed["replicas"], speed["millionTokens"]
    assert 2 < needed["best"] <= needed["high"]
    assert needed["best"] * 0.7 * speed["requestsPerSecond"]["best"] >= 12
    hour = 12 * (1155 + 211) * 3600 / 1e6
    assert float(million["best"]) == pytest.approx(needed["best"] / hour, rel=0.001)
    text = repository.plan("claims", "--rate", "12").stdout
    assert f"{needed['best']} replicas (" in text
    assert "spec.scaling.maxReplicas is 2" in text
    assert "at 12 requests a second" in text
    assert repository.plan("claims", "--rate", "0").exit_code == 2


def test_no_replicas_keep_a_promise_that_one_request_misses(
    repository: revisions.Repository,
) -> None:
    slo = {"itl": {"seconds": "0.01", "percentile": "99"}}
    repository.write("claims/chat.yaml", revisions.claim("chat", slo=slo))
    text = repository.plan("claims", "--rate", "1", "--output", "json").stdout
    speed = revisions.of(json.loads(text), "chat")["speed"]["chat"]
    assert speed["replicas"]["best"] is None
    assert speed["millionTokens"] is None
    assert "a single request misses a time of spec.slo" in repository.plan(
        "claims", "--rate", "1"
    ).stdout.replace("\n", " ")
