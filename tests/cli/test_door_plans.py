"""`plan` of front doors: what an edit changes for callers."""

import json
import pathlib
from typing import Any

import pytest
import yaml

from tests import cluster, documents
from tests.cli import command

SITE = ("--environment", command.REFERENCE)


def edited(**spec: Any) -> cluster.Object:
    door = documents.copied(cluster.load("examples/front-door/limits.yaml"))
    door["spec"] |= spec
    return door


def callers(*names: str, **more: Any) -> list[cluster.Object]:
    return [{"name": name, "secretRef": {"name": f"{name}-key"}, **more} for name in names]


def plan(
    path: pathlib.Path, now: cluster.Object, before: cluster.Object | None, *more: str
) -> tuple[int, str]:
    """Returns exit code and output of a door beside what it was."""
    for name, door in (("now", now), ("before", before)):
        (path / name).mkdir()
        if door is not None:
            (path / name / "door.yaml").write_text(yaml.safe_dump(door))
    arguments = ["plan", str(path / "now"), *SITE, "--against", str(path / "before"), *more]
    result = command.verb(*arguments, given="")
    return result.exit_code, result.stdout


@pytest.mark.parametrize(
    ("now", "before", "words"),
    [
        (edited(callers=callers("a", "b")), edited(callers=callers("a")), "caller b is new"),
        (edited(callers=callers("a")), edited(callers=callers("a", "b")), "caller b goes"),
        (
            edited(callers=callers("a", models={"names": ["x"]})),
            edited(callers=callers("a")),
            "caller a: models",
        ),
        (edited(hostname="a.io"), edited(), "hostname changes"),
        (edited(), None, "llm/llm new: 2 callers"),
    ],
)
def test_what_an_edit_of_a_door_does(
    now: cluster.Object, before: cluster.Object | None, words: str, tmp_path: pathlib.Path
) -> None:
    code, text = plan(tmp_path, now, before, "--output", "markdown")
    assert code == 3
    assert "changed for callers" in text
    assert words in text


def test_a_door_that_stays_changes_nothing(tmp_path: pathlib.Path) -> None:
    turned = edited()
    turned["spec"]["callers"].reverse()
    assert plan(tmp_path, edited(), turned, "--output", "markdown") == (0, "")


def test_a_door_that_goes_is_told(tmp_path: pathlib.Path) -> None:
    (tmp_path / "before").mkdir()
    (tmp_path / "now").mkdir()
    claim = (cluster.ROOT / "examples/claims/smallest.yaml").read_text()
    for name in ("before", "now"):
        (tmp_path / name / "claim.yaml").write_text(claim)
    (tmp_path / "before" / "door.yaml").write_text(yaml.safe_dump(edited()))
    arguments = ["plan", str(tmp_path / "now"), *SITE, "--against", str(tmp_path / "before")]
    result = command.verb(*arguments, "--output", "json", given="")
    (door,) = json.loads(result.stdout)["frontDoors"]
    assert (door["outcome"], result.exit_code) == ("removed", 3)


def test_a_door_alone_is_counted_as_what_it_is() -> None:
    path = str(cluster.ROOT / "examples/front-door/limits.yaml")
    result = command.verb("plan", path, *SITE, given="")
    assert result.exit_code == 0
    assert result.stdout.startswith("1 front door can be used.")


def test_what_a_claims_edit_does_to_prices_that_follow_from_its_cost(
    tmp_path: pathlib.Path,
) -> None:
    door = cluster.load("examples/front-door/prices-from-costs.yaml")
    claim = cluster.load("examples/claims/xplane-qwen-coder.yaml")
    larger = documents.copied(claim)
    larger["spec"]["model"]["maxNumSeqs"] = 4
    for name, one in (("now", larger), ("before", claim)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "all.yaml").write_text(yaml.safe_dump_all([door, one]))
    given = ("plan", str(tmp_path / "now"), *SITE)
    told = command.verb(*given).stdout
    assert "price of xplane-qwen-coder from its cost: " in told
    result = command.verb(*given, "--against", str(tmp_path / "before"), "--output", "json")
    (told_of,) = json.loads(result.stdout)["frontDoors"]
    (line,) = [line for line in told_of["lines"] if line.startswith("price of xplane-qwen-coder ")]
    assert line.endswith("; the door keeps its price until fromCost.generation is higher")
    door["spec"]["pricing"]["fromCost"]["generation"] = 1
    (tmp_path / "now" / "all.yaml").write_text(yaml.safe_dump_all([door, larger]))
    result = command.verb(*given, "--against", str(tmp_path / "before"), "--output", "json")
    (told_of,) = json.loads(result.stdout)["frontDoors"]
    assert "pricing changes" in told_of["lines"]
    assert not any("keeps" in line for line in told_of["lines"])


def test_another_model_takes_the_price_of_its_own_cost(tmp_path: pathlib.Path) -> None:
    door = cluster.load("examples/front-door/prices-from-costs.yaml")
    claim = cluster.load("examples/claims/smallest.yaml")
    other = documents.copied(claim)
    claim["spec"] |= {"gateway": {"enabled": True}}
    other["spec"] |= {"gateway": {"enabled": True}}
    other["spec"]["model"]["repository"] = "Qwen/Qwen3-4B"
    for name, one in (("now", other), ("before", claim)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "all.yaml").write_text(yaml.safe_dump_all([door, one]))
    given = ("plan", str(tmp_path / "now"), *SITE, "--against", str(tmp_path / "before"))
    (told_of,) = json.loads(command.verb(*given, "--output", "json").stdout)["frontDoors"]
    (line,) = told_of["lines"]
    assert f"price of {claim['metadata']['name']} from its cost: " in line
    assert line.endswith("; it counts once the other model serves")


def test_words_of_one_models_row_move_no_other_price(tmp_path: pathlib.Path) -> None:
    door = cluster.load("examples/front-door/prices-from-costs.yaml")
    claim = cluster.load("examples/claims/xplane-qwen-coder.yaml")
    larger, other = documents.copied(claim), documents.copied(door)
    larger["spec"]["model"]["maxNumSeqs"] = 4
    other["spec"]["prices"].append({"model": "away", "input": "1"})
    for name, both in (("now", (other, larger)), ("before", (door, claim))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "all.yaml").write_text(yaml.safe_dump_all(both))
    given = ("plan", str(tmp_path / "now"), *SITE)
    result = command.verb(*given, "--against", str(tmp_path / "before"), "--output", "json")
    (told_of,) = json.loads(result.stdout)["frontDoors"]
    (line,) = [one for one in told_of["lines"] if one.startswith("price of xplane-qwen-coder ")]
    assert "a million tokens, prompts/answers: " in line
    assert line.endswith("; the door keeps its price until fromCost.generation is higher")
    assert "2 prices" in command.verb(*given).stdout, "sql and away; another one is told by itself"


def test_a_provider_that_answers_no_more_in_a_claims_place_is_told(tmp_path: pathlib.Path) -> None:
    """The door is in both directories: of an older claim it says who answered."""
    door = cluster.load("examples/front-door/providers.yaml")
    claim = cluster.load("examples/features/provider-fallback.yaml")
    alone = documents.copied(claim)
    del alone["spec"]["gateway"]["fallback"]
    for name, one in (("now", alone), ("before", claim)):
        (tmp_path / name).mkdir()
        text = yaml.safe_dump_all([door, one])
        (tmp_path / name / "all.yaml").write_text(text)
    result = command.verb(
        *("plan", str(tmp_path / "now"), "--against", str(tmp_path / "before"), *SITE),
        *("--environment", "examples/front-door/environmentconfig.yaml"),
    )
    assert result.exit_code == 3, result.stdout
    assert "fallback" in result.stdout
