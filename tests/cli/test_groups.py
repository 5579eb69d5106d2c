"""What applying claims does to replicas of several pods, and to those that become others."""

import copy
import pathlib
from typing import Any

import pytest
import yaml

from function.api import settings
from function.cli import against, documents, rendering, verdicts
from tests.cli import test_verdict
from tests.resources import groups, scene

KINDS = ("Deployment", "LeaderWorkerSet")
ONE: dict[str, Any] = {"class": "h100", "count": 8}
SEVERAL: dict[str, Any] = groups.of()["spec"]["gpu"]


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")


def judged(
    path: pathlib.Path, claimed: Any, observed: list[Any] | None = None, config: Any = None
) -> dict[str, Any]:
    """The verdict on a claim on a site whose class has eight GPUs a node."""
    return test_verdict.only(test_verdict.files(path, [claimed], observed, config or groups.site()))


def effects(claim: dict[str, Any]) -> dict[str, str]:
    """What becomes of the objects that keep pods, by kind."""
    return {item["kind"]: item["effect"] for item in claim["objects"] if item["kind"] in KINDS}


def test_a_group_that_nobody_edits_stays(tmp_path: pathlib.Path) -> None:
    """Also with what the API server and others wrote into it."""
    world = groups.serving()
    made = world.one("LeaderWorkerSet")
    made["spec"]["leaderWorkerTemplate"]["workerTemplate"]["spec"]["schedulerName"] = "default"
    claim = judged(tmp_path, groups.of(), test_verdict.everything(world))
    assert (claim["outcome"], claim["pods"]["message"]) == ("unchanged", "stay as they are")
    assert claim["pods"]["lookedAt"] is True


def test_what_restarts_a_group_stands_where_its_leader_is_described(tmp_path: pathlib.Path) -> None:
    edited = groups.of(spec={"podTemplate": {"priorityClassName": "high"}})
    claim = judged(tmp_path, edited, test_verdict.everything(groups.serving()))
    assert claim["pods"]["effect"] == "restart"
    assert claim["pods"]["message"].endswith("(one by one)")
    field = "spec.leaderWorkerTemplate.leaderTemplate.spec.priorityClassName"
    assert test_verdict.fields(claim) == {f"LeaderWorkerSet {field}": (None, "high")}


def test_more_pods_in_a_group_are_its_own_change(tmp_path: pathlib.Path) -> None:
    edited = groups.of(pipeline=4)
    claim = judged(tmp_path, edited, test_verdict.everything(groups.serving()))
    size = "LeaderWorkerSet spec.leaderWorkerTemplate.size"
    assert test_verdict.fields(claim)[size] == (2, 4)
    assert claim["pods"]["effect"] == "restart"


def test_groups_start_and_end(tmp_path: pathlib.Path) -> None:
    assert (
        judged(tmp_path, groups.of())["pods"]["message"]
        == "none start before the weights are verified"
    )
    rendered = test_verdict.files(tmp_path, [groups.of()], None, groups.site())
    ready = test_verdict.only(rendered, "--assume", "verified")
    assert ready["pods"]["message"] == "start with the LeaderWorkerSet"
    observed = test_verdict.everything(groups.serving())
    ends = judged(tmp_path, groups.of(spec={"suspend": True}), observed)
    assert ends["pods"]["message"] == "all end (suspend: true): 1 replica"


def test_a_claim_that_goes_ends_its_groups(tmp_path: pathlib.Path) -> None:
    world, other = groups.serving(), scene.of(name="other")
    config, observed = groups.site(), test_verdict.everything(world)
    for given, message in (
        (observed, "all end: 1 replica"),
        ([world.claim], "all end (LeaderWorkerSets were not looked at)"),
    ):
        arguments = test_verdict.files(tmp_path, [other], given, config)
        _, document = test_verdict.verdict(arguments)
        assert [claim["pods"]["message"] for claim in document["claims"]][1:] == [message]


def test_an_edit_of_what_was_not_looked_at_is_told_from_the_living_claim(
    tmp_path: pathlib.Path,
) -> None:
    edited = groups.of(spec={"podTemplate": {"priorityClassName": "high"}})
    claim = judged(tmp_path, edited, [groups.serving().claim])
    assert (claim["pods"]["effect"], claim["phase"]) == ("restart", "Serving")
    assert claim["pods"]["message"].endswith("(LeaderWorkerSets were not looked at)")


def test_a_fixed_count_of_groups_is_compared(tmp_path: pathlib.Path) -> None:
    config = groups.site()
    config["data"]["inferenceService"]["providers"]["autoscaler"] = "none"
    world = groups.serving(groups.of(), config)
    edited = groups.of(spec={"scaling": {"minReplicas": 2}})
    claim = judged(tmp_path, edited, test_verdict.everything(world), config)
    assert claim["replicas"]["min"] == {"old": 1, "new": 2}


@pytest.mark.parametrize("back", [False, True])
def test_another_kind_takes_over_only_when_nothing_runs(tmp_path: pathlib.Path, back: bool) -> None:
    first, then = (SEVERAL, ONE) if back else (ONE, SEVERAL)
    old, new = reversed(KINDS) if back else KINDS
    world = scene.serving(scene.of(gpu=copy.deepcopy(first)), groups.site())
    words = f"kept by a {old}, and these would be kept by a {new}"
    for observed in (test_verdict.everything(world), [world.claim]):
        claim = judged(tmp_path, scene.of(gpu=then), observed)
        assert (claim["outcome"], claim["pods"]["effect"]) == ("refused", "none")
        assert words in claim["errors"][0]["message"]
    world.edit(suspend=True).converge()
    observed = test_verdict.everything(world)
    still = judged(tmp_path, scene.of(gpu=then, suspend=True), observed)
    assert still["pods"]["message"] == "none run: the claim is suspended"
    assert effects(still) == {old: "deleted"}
    claim = judged(tmp_path, scene.of(gpu=then), observed)
    assert (claim["outcome"], claim["pods"]["effect"]) == ("changed", "start")
    assert claim["pods"]["message"].startswith(f"start with the {new}")
    assert effects(claim) == {old: "deleted", new: "created"}


def test_what_is_being_deleted_does_not_stand_for_what_runs(tmp_path: pathlib.Path) -> None:
    world = groups.serving()
    former = copy.deepcopy(scene.serving(scene.of(gpu=ONE), groups.site()).one("Deployment"))
    former["spec"]["replicas"], former["status"] = 0, {}
    claim = judged(tmp_path, groups.of(), [former, *test_verdict.everything(world)])
    assert claim["pods"]["message"] == "stay as they are"


def test_older_claims_play_groups_that_run(tmp_path: pathlib.Path) -> None:
    """For `plan --against`: each group is there with its pods, and all of them count."""
    claimed = groups.of()
    claimed["spec"]["model"] = {"repository": "Qwen/Qwen3-235B-A22B"}
    file = tmp_path / "claims.yaml"
    file.write_text(yaml.safe_dump(claimed))
    site = settings.assemble({}, {}, [groups.site()])
    before = against.read(str(file), (str(file),), site, site)
    kinds = {item["kind"]: item for item in before.cluster.objects}
    assert kinds["LeaderWorkerSet"]["spec"]["replicas"] == 1
    assert kinds["InferenceService"]["status"]["phase"] == "Serving"
    source = documents.claims([str(file)]).sources[0]
    verdict = verdicts.of(rendering.render(source, site, before.cluster))
    assert (verdict.outcome, verdict.pods.effect) == ("unchanged", "stay")
