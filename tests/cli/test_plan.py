"""`plan`: what claims will do, and what a change to them does."""

import json
import math
import re
from typing import Any

import pytest
import yaml

from tests.cli import revisions
from tests.resources import scene


def test_nothing_changes(repository: revisions.Repository) -> None:
    result = repository.plan("claims", "--against", "HEAD", "--output", "markdown")
    assert (result.exit_code, result.stdout) == (0, "")
    result = repository.plan("claims", "--against", "HEAD")
    assert result.stdout.startswith("Nothing changes.")


def test_a_restart_of_the_only_replica_is_an_outage(repository: revisions.Repository) -> None:
    repository.write("claims/chat.yaml", revisions.claim("chat", drainSeconds=60))
    plan = repository.against()
    assert plan["exitCode"] == 3
    chat = revisions.of(plan, "chat")
    assert (chat["outcome"], chat["pods"]["effect"]) == ("changed", "restart")
    assert chat["outageSeconds"]["low"] > 10
    assert chat["downloads"] == []
    assert revisions.of(plan, "code")["outcome"] == "unchanged"


def test_an_edit_to_what_cannot_fit_keeps_pods_and_money(repository: revisions.Repository) -> None:
    large = {"repository": "Qwen/Qwen2.5-72B-Instruct", "quantization": None}
    repository.write("claims/chat.yaml", revisions.claim("chat", model=large))
    plan = repository.against()
    chat = revisions.of(plan, "chat")
    assert (chat["pods"]["effect"], chat["outageSeconds"]) == ("held", None)
    assert "keep their template, as no replica could serve" in chat["pods"]["message"]
    assert chat["gpus"]["max"] == {"before": 2, "after": 2}
    assert chat["costPerHour"]["before"] == chat["costPerHour"]["after"]
    assert plan["month"]["max"]["before"] == plan["month"]["max"]["after"]
    text = repository.plan("claims", "--against", "HEAD").stdout
    assert "pods of chat restart" not in text
    assert text.startswith("chat does not fit the GPUs: what runs goes on")


def test_settings_under_which_what_runs_no_longer_fits(repository: revisions.Repository) -> None:
    smaller = revisions.changed("gpu.classes.l4", {"memoryGiB": 6, "pricePerHour": "1"})
    repository.write("site.yaml", revisions.environment(smaller))
    result = repository.plan("claims", "--against", "HEAD")
    assert result.stdout.startswith("chat, code do not fit the GPUs: what runs goes on")
    assert len(re.findall(r"^pods +(keep|what runs goes on)", result.stdout, re.M)) == 2


def test_more_gpus_than_a_node_has_are_no_want_of_memory(repository: revisions.Repository) -> None:
    repository.write("claims/chat.yaml", revisions.claim("chat", gpu={"class": "l4", "count": 2}))
    text = repository.plan("claims/chat.yaml").stdout
    words = "chat asks for more than a node of its class has: none is asked for"
    assert text.startswith(words)


def test_numbers_that_settings_change_are_a_change(repository: revisions.Repository) -> None:
    for name in ("chat", "code"):
        numbers = {"contextWindow": 4096, "maxNumSeqs": 8}
        named = revisions.claim(name, model=numbers, gpu={"class": "l4", "count": 1})
        repository.write(f"claims/{name}.yaml", named)
    repository.commit()
    repository.write(
        "site.yaml", revisions.environment(revisions.changed("gpu.classes.l4.product", "L40S"))
    )
    result = repository.plan("claims", "--against", "HEAD", "--output", "markdown")
    assert result.exit_code == 3
    assert re.search(r"4096 x 8 \([0-9.]+ full\) -\\> 4096 x 8 \(", result.stdout)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("product", "L40S", "chat, code will hold something else by these settings"),
        ("product", "L4-of-tomorrow", "by these settings nobody knows whether chat, code fit"),
        # A tenth of a sequence is the least that is told.
        ("memoryGiB", "22.0301", "Nothing changes."),
    ],
)
def test_what_settings_change_of_the_estimate_is_told_as_that(
    path: str, value: str, words: str, repository: revisions.Repository
) -> None:
    for name in ("chat", "code"):
        numbers = {"contextWindow": 4096, "maxNumSeqs": 8}
        named = revisions.claim(name, model=numbers, gpu={"class": "l4", "count": 1})
        repository.write(f"claims/{name}.yaml", named)
    repository.commit()
    repository.write(
        "site.yaml", revisions.environment(revisions.changed(f"gpu.classes.l4.{path}", value))
    )
    result = repository.plan("claims", "--against", "HEAD")
    assert result.exit_code == (0 if words == "Nothing changes." else 3)
    assert words in " ".join(result.stdout.split())


def test_a_restart_on_other_gpus_names_them_beside_other_fields(
    repository: revisions.Repository,
) -> None:
    model = {"contextWindow": 2048}
    repository.write(
        "claims/chat.yaml", revisions.claim("chat", model=model, gpu={"class": "h100"})
    )
    text = repository.plan("claims", "--against", "HEAD").stdout
    assert re.search(r"GPUs +1 x l4 -> 1 x h100", text)


def test_what_is_held_back_stands_beside_what_runs(repository: revisions.Repository) -> None:
    repository.write(
        "site.yaml", revisions.environment(revisions.changed("gpu.classes.l4.product", "L40S"))
    )
    text = repository.plan("claims", "--against", "HEAD", "--output", "markdown").stdout
    assert re.search(r"[0-9]+ x [0-9]+ \([0-9.]+ full\), held back: [0-9]+ x", text)


def test_a_class_that_goes_saves_nothing_of_what_runs(repository: revisions.Repository) -> None:
    site = json.loads(json.dumps(revisions.SETTINGS))
    del site["gpu"]["classes"]["l4"]
    site["gpu"]["defaultClass"] = "h100"
    repository.write("site.yaml", revisions.environment(site))
    for name in ("chat", "code"):
        repository.write(
            f"claims/{name}.yaml", revisions.claim(name, gpu={"class": "l4", "count": 1})
        )
    plan = repository.against()
    assert [one["reason"] for one in revisions.of(plan, "chat")["errors"]] == ["Invalid"]
    assert plan["month"]["max"] == {"before": "2920", "after": "2920"}


def test_two_replicas_restart_one_by_one(repository: revisions.Repository) -> None:
    repository.write("claims/chat.yaml", revisions.claim("chat", scaling={"minReplicas": 2}))
    repository.commit()
    repository.write(
        "claims/chat.yaml", revisions.claim("chat", scaling={"minReplicas": 2}, drainSeconds=60)
    )
    chat = revisions.of(repository.against(), "chat")
    assert (chat["pods"]["effect"], chat["outageSeconds"]) == ("restart", None)


def test_a_second_replica_that_comes_with_the_restart_is_no_spare(
    repository: revisions.Repository,
) -> None:
    more = revisions.claim("chat", scaling={"minReplicas": 2}, drainSeconds=60)
    repository.write("claims/chat.yaml", more)
    assert revisions.of(repository.against(), "chat")["outageSeconds"]["low"] > 10
    repository.write(
        "site.yaml", revisions.environment(revisions.changed("providers.autoscaler", "none"))
    )
    repository.commit()
    repository.write("claims/chat.yaml", revisions.claim("chat"))
    repository.commit()
    repository.write("claims/chat.yaml", more)
    assert revisions.of(repository.against(), "chat")["outageSeconds"] is None


def test_another_model_is_downloaded_first(repository: revisions.Repository) -> None:
    repository.write(
        "claims/chat.yaml", revisions.claim("chat", model={"repository": "Qwen/Qwen3-4B"})
    )
    chat = revisions.of(repository.against(), "chat")
    assert chat["pods"]["effect"] == "restart-later"
    (download,) = chat["downloads"]
    assert download["name"] == "Qwen/Qwen3-4B@main"
    assert download["gib"] == pytest.approx(7.5, abs=0.1)


def test_weights_of_an_image_and_a_bucket_are_fetched_in_place_of_a_download(
    repository: revisions.Repository,
) -> None:
    everywhere = {field: {"*": ["**"]} for field in ("modelImages", "modelUris")}
    opened = {"bandwidthMiB": 500, "imageVolumes": True}
    site = revisions.SETTINGS | {"allowed": everywhere, "weights": opened, "region": "r"}
    repository.write("site.yaml", revisions.environment(site))
    image = "registry.example.com/m@sha256:" + "0a" * 32
    repository.write(
        "claims/chat.yaml", revisions.claim("chat", model={"source": "oci", "image": image})
    )
    repository.write(
        "claims/code.yaml", revisions.claim("code", model={"source": "s3", "uri": "s3://a-b/c"})
    )
    plan = repository.against()
    chat, code = revisions.of(plan, "chat"), revisions.of(plan, "code")
    assert (chat["downloads"], code["downloads"]) == ([], [])
    assert (chat["pods"]["effect"], code["pods"]["effect"]) == ("restart", "restart")
    (pulled,), (read,) = chat["fetches"], code["fetches"]
    assert (pulled["how"], pulled["name"]) == ("pull", image)
    assert (read["how"], read["name"]) == ("read", "s3://a-b/c")
    assert pulled["gib"] == read["gib"] == pytest.approx(15.3, abs=0.1)
    assert "pull" in {step["stage"] for step in chat["start"]}
    assert "pull" in chat["outageMissing"]
    words = repository.plan("claims", "--against", "HEAD").stdout
    assert "by each node" in words
    assert "by each replica at each start" in words


def test_a_flow_that_closes_is_a_line_and_so_is_its_end(repository: revisions.Repository) -> None:
    gated = {"gateway": {"enabled": True}}
    shut = revisions.claim("chat", **gated, networkPolicies={"ingress": []})
    repository.write("claims/chat.yaml", shut)
    flows = revisions.of(repository.against(), "chat")["flows"]
    assert {one["rule"] for one in flows["appear"]} == {"flow-closed"}
    assert flows["end"] == []
    text = repository.plan("claims", "--against", "HEAD").stdout
    assert "needed flows of chat close" in text
    assert "flow-closed" in text
    repository.commit()
    assert revisions.of(repository.against(), "chat")["flows"] == {"appear": [], "end": []}
    repository.write("claims/chat.yaml", revisions.claim("chat", **gated))
    assert revisions.of(repository.against(), "chat")["flows"] == {
        "appear": [],
        "end": flows["appear"],
    }
    assert "no longer flow-closed" in repository.plan("claims", "--against", "HEAD").stdout


def test_who_may_call_is_a_line(repository: revisions.Repository) -> None:
    open_to = {
        "allowed": {"callers": {"*": ["apps"]}},
        "permissions": {"rawPolicies": ["*"]},
        "providers": {"networkPolicy": "cilium"},
    }
    repository.write("site.yaml", revisions.environment({**revisions.SETTINGS, **open_to}))
    repository.commit()
    callers = [{"namespace": "apps", "podLabels": {"app": "webui"}}]
    repository.write("claims/chat.yaml", revisions.claim("chat", access={"from": callers}))
    chat = revisions.of(repository.against(), "chat")
    assert chat["flows"] == {"appear": [], "end": []}
    shown = repository.plan("claims", "--against", "HEAD").stdout
    assert re.search(r"^ *callers +may call apps: app=webui", shown, re.M)
    everybody: dict[str, Any] = {"ingress": [{"fromEndpoints": [{}]}]}
    repository.write("claims/chat.yaml", revisions.claim("chat", networkPolicies=everybody))
    chat = revisions.of(repository.against(), "chat")
    assert "flow-open" in {one["rule"] for one in chat["flows"]["appear"]}
    text = repository.plan("claims", "--against", "HEAD").stdout
    assert "flows of chat open that nobody asks for" in text


def test_new_and_removed_claims(repository: revisions.Repository) -> None:
    (repository.root / "claims/code.yaml").unlink()
    repository.write("claims/new.yaml", revisions.claim("new"))
    plan = repository.against()
    assert revisions.of(plan, "code")["outcome"] == "removed"
    assert revisions.of(plan, "new")["outcome"] == "new"
    assert revisions.of(plan, "code")["costPerHour"] == {
        "before": {"min": "1", "max": "2", "currency": "USD"},
        "after": None,
    }


def test_a_claim_beside_a_single_file_is_left_out(repository: revisions.Repository) -> None:
    worlds = [
        scene.serving(revisions.claim(name), revisions.environment(revisions.SETTINGS))
        for name in ("chat", "code")
    ]
    items = [item for world in worlds for item in (world.claim, *world.objects.values())]
    repository.write("observed.yaml", {"apiVersion": "v1", "kind": "List", "items": items})
    result = repository.plan("claims/chat.yaml", "--against", "observed.yaml")
    assert (result.exit_code, result.stdout.split("\n")[0]) == (0, "Nothing changes.")
    assert "not among the files, so not counted and taken to stay: llm/code" in result.stderr
    (repository.root / "claims/code.yaml").unlink()
    result = repository.plan("claims", "--against", "observed.yaml")
    assert (result.exit_code, result.stdout.split(";")[0]) == (3, "removed: code")


def test_several_piped_claims_are_a_directory_and_one_is_a_file(
    repository: revisions.Repository,
) -> None:
    text = (repository.root / "claims/chat.yaml").read_text()
    service = yaml.safe_dump({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}})
    one = repository.plan("-", "--against", "claims", given=text)
    assert (one.exit_code, one.stdout.split("\n")[0]) == (0, "Nothing changes.")
    assert "taken to stay: llm/code" in one.stderr
    several = repository.plan("-", "--against", "claims", given=f"{text}---\n{service}")
    assert (several.exit_code, several.stdout.split(";")[0]) == (3, "removed: code")
    revision = repository.plan("-", "--against", "HEAD", given=text)
    assert (revision.exit_code, revision.stdout) == (2, "")
    assert "claims of standard input are in no file that HEAD could have" in revision.stderr


def test_what_never_schedules_is_an_error(repository: revisions.Repository) -> None:
    repository.write(
        "site.yaml", revisions.environment(revisions.changed("gpu.classes.l4.poolGpus", 1))
    )
    plan = repository.against()
    assert plan["exitCode"] == 1
    assert "ask for 2 GPUs even at their minimum" in plan["shortages"][0]
    text = repository.plan("claims").stdout
    assert text.startswith("1 node pool has too few GPUs, even at the minimum")


def test_what_does_not_fit_is_an_error_with_its_ways_out(repository: revisions.Repository) -> None:
    large = {"repository": "meta-llama/Llama-3.3-70B-Instruct", "quantization": "auto"}
    repository.write("claims/chat.yaml", revisions.claim("chat", model=large))
    plan = repository.against()
    assert plan["exitCode"] == 1
    chat = revisions.of(plan, "chat")
    assert chat["errors"][0]["reason"] == "TooLarge"
    assert chat["fit"]["waysOut"][0]["class"] == "h100"
    # Nothing in it is misspelt.
    repository.write("claims/chat.yaml", revisions.claim("chat", model=revisions.LARGE))
    text = repository.plan("claims").stdout
    assert text.startswith("chat does not fit the GPUs: none is asked for")
    assert "cannot be used" not in text
    assert re.search(r"gpu\.class: h100, gpu\.count: 2, 20\.00 USD an hour: ", text)


def test_settings_of_the_revision_are_those_of_its_time(repository: revisions.Repository) -> None:
    dearer = json.loads(json.dumps(revisions.SETTINGS))
    dearer["gpu"]["classes"]["l4"]["pricePerHour"] = "3"
    repository.write("site.yaml", revisions.environment(dearer))
    plan = repository.against()
    assert plan["month"]["max"] == {"before": "2920", "after": "8760"}
    assert revisions.of(plan, "chat")["outcome"] == "unchanged"
    assert plan["exitCode"] == 3
    text = repository.plan("claims", "--against", "HEAD", "--output", "markdown").stdout
    words = "5,840.00 USD more a month at most (was 2,920.00 USD, becomes 8,760.00 USD)."
    assert words in text.splitlines()[1]


def test_settings_files_that_a_revision_lacks_are_named(repository: revisions.Repository) -> None:
    repository.write("more.yaml", revisions.environment({"weights": {"bandwidthMiB": 500}}))
    result = repository.plan("claims", "-e", "more.yaml", "--against", "HEAD")
    assert "more.yaml: not in HEAD, so older claims are planned without" in result.stderr


def test_a_refused_edit_leaves_what_runs(repository: revisions.Repository) -> None:
    repository.write("claims/chat.yaml", revisions.claim("chat", modl={}))
    plan = repository.against()
    chat = revisions.of(plan, "chat")
    assert chat["gpus"]["max"] == {"before": 2, "after": 2}
    assert chat["costPerHour"]["before"] == chat["costPerHour"]["after"] is not None
    assert plan["month"]["max"] == {"before": "2920", "after": "2920"}
    text = repository.plan("claims", "--against", "HEAD").stdout
    assert text.startswith("chat cannot be used as written: what runs goes on")
    assert "what runs goes on as it is" in text


def test_a_download_that_the_hub_refuses_asks_for_no_gpus(repository: revisions.Repository) -> None:
    gated = revisions.claim("gated", model={"repository": "meta-llama/Llama-3.1-8B-Instruct"})
    repository.write("claims/gated.yaml", gated)
    item = revisions.of(json.loads(repository.plan("claims", "--output", "json").stdout), "gated")
    assert [error["reason"] for error in item["errors"]] == ["gated-without-token"]
    assert item["gpus"]["max"]["after"] == 0
    assert item["costPerHour"]["after"] == {"min": "0", "max": "0", "currency": "USD"}
    text = repository.plan("claims", "--output", "markdown").stdout
    assert "gated cannot serve as written" in text
    assert "GPUs that are asked for" not in text


def test_full_sequences_are_one_figure(repository: revisions.Repository) -> None:
    long = revisions.claim("chat", model={"contextWindow": 32768}, gpu={"class": "l4", "count": 1})
    repository.write("claims/chat.yaml", long)
    item = revisions.of(json.loads(repository.plan("claims", "--output", "json").stdout), "chat")[
        "fit"
    ]
    least, best = (
        f"{math.floor(item['fullSequences'][end] * 10) / 10:g}" for end in ("low", "best")
    )
    assert least != best
    assert f"so {best} fit at a time, at least {least}" in item["sentence"]
    assert f"({least} full)" in repository.plan("claims", "--output", "html").stdout


def test_what_is_too_large_is_neither_downloaded_nor_started(
    repository: revisions.Repository,
) -> None:
    repository.write("claims/large.yaml", revisions.claim("large", model=revisions.LARGE))
    large = revisions.of(repository.against(), "large")
    assert (large["downloads"], large["start"]) == ([], [])
    assert "<li>first start" not in repository.plan("claims/large.yaml", "-o", "html").stdout


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"podTemplate": {"nodeSelector": {"topology.kubernetes.io/zone": "b"}}}, revisions.NODE),
        ({"gpu": {"class": "h100", "count": 1}}, revisions.NODE),
        ({"gpu": {"class": "l4", "count": 2}}, revisions.NODE),
        ({"engine": {"version": "v0.24.0"}}, revisions.NODE[1:]),
        ({"drainSeconds": 60}, []),
    ],
)
def test_what_the_old_node_lacks_comes_first(
    repository: revisions.Repository, changes: dict[str, Any], missing: list[str]
) -> None:
    repository.write(
        "site.yaml", revisions.environment(revisions.changed("gpu.classes.l4.nodeGpus", 2))
    )
    repository.commit()
    repository.write("claims/chat.yaml", revisions.claim("chat", **changes))
    chat = revisions.of(repository.against(), "chat")
    assert chat["outageMissing"] == missing
    text = " ".join(repository.plan("claims", "--against", "HEAD").stdout.split())
    for words in ("without answers for at least", f"long these take: {', '.join(missing)}"):
        assert (words in text) is bool(missing)


def test_weights_that_are_there_are_not_downloaded_again(repository: revisions.Repository) -> None:
    repository.write("claims/chat.yaml", revisions.claim("chat", drainSeconds=60))
    plan = repository.against()
    stages = [step["stage"] for step in revisions.of(plan, "chat")["start"]]
    assert not {"download", "verify"} & set(stages)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("engine.version", "0.32.0"),
        ("gpu.classes.l4.nodeSelector", {"pool": "new"}),
        ("weights.bandwidthMiB", 20),
    ],
)
def test_the_platforms_change_is_held_and_said(
    repository: revisions.Repository, path: str, value: Any
) -> None:
    repository.write("site.yaml", revisions.environment(revisions.changed(path, value)))
    plan = repository.against()
    assert revisions.of(plan, "chat")["pods"]["effect"] == "held"
    assert plan["exitCode"] == 3
    words = "pods of chat, code keep their template: the change is held back"
    for output in ("table", "markdown"):
        result = repository.plan("claims", "--against", "HEAD", "--output", output)
        assert (result.exit_code, words in result.stdout) == (3, True)


def test_a_hold_that_the_cluster_says_already_is_no_change(
    repository: revisions.Repository,
) -> None:
    world = scene.serving(revisions.claim("chat"), revisions.environment(revisions.SETTINGS))
    world.environments = [revisions.environment(revisions.changed("engine.version", "0.32.0"))]
    repository.write("site.yaml", world.environments[0])
    (repository.root / "claims/code.yaml").unlink()

    def plan() -> tuple[str, int]:
        items = [world.claim, *world.objects.values()]
        repository.write("observed.yaml", {"apiVersion": "v1", "kind": "List", "items": items})
        words = ["claims", "--against", "observed.yaml", "--output", "json"]
        result = json.loads(repository.plan(*words).stdout)
        return revisions.of(result, "chat")["pods"]["effect"], result["exitCode"]

    assert plan() == ("held", 3)
    world.converge()
    assert plan() == ("held", 0)


def test_settings_that_change_nothing_of_a_claim_are_nothing(
    repository: revisions.Repository,
) -> None:
    repository.write(
        "site.yaml",
        revisions.environment(revisions.changed("gpu.classes.h100.nodeSelector", {"a": "b"})),
    )
    result = repository.plan("claims", "--against", "HEAD")
    assert (result.exit_code, result.stdout.split("\n")[0]) == (0, "Nothing changes.")
