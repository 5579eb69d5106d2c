"""`plan`: what claims will do, and what a change to them does."""

import html.parser
import json
import math
import pathlib
import re
import subprocess
from typing import Any

import pytest
import yaml
from click import testing

from function.cli import markdown
from tests import cluster
from tests.cli import command
from tests.resources import scene

SETTINGS = {
    "providers": {"gateway": "envoy-ai-gateway"},
    "gpu": {
        "defaultClass": "l4",
        "classes": {
            "l4": {"product": "L4", "nodeGpus": 1, "pricePerHour": "1", "poolGpus": 8},
            "h100": {"product": "H100", "pricePerHour": "10"},
        },
    },
    "weights": {"bandwidthMiB": 500},
}


# No licence to be accepted.
LARGE = {"repository": "Qwen/Qwen2.5-72B-Instruct", "quantization": "auto"}


def environment(inner: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.crossplane.io/v1beta1",
        "kind": "EnvironmentConfig",
        "metadata": {
            "name": "site",
            "labels": {"inference-service.cloud.ogenki.io/settings": "true"},
        },
        "data": {"inferenceService": inner},
    }


def claim(name: str, **changes: Any) -> cluster.Object:
    model = {"repository": "Qwen/Qwen3-8B", "quantization": "fp8", **changes.pop("model", {})}
    scaling = {"minReplicas": 1, "maxReplicas": 2, **changes.pop("scaling", {})}
    return scene.of(name=name, model=model, scaling=scaling, **changes)


NODE = ["node", "image"]


class Repository:
    """A git repository with settings and claims, one file each."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.git("init", "-q")
        self.write("site.yaml", environment(SETTINGS))

    def git(self, *words: str) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *who, *words], cwd=self.root, check=True)

    def write(self, name: str, document: Any) -> None:
        path = self.root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(document))

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("commit", "-qm", "claims")

    def plan(self, *arguments: str, given: str | None = None) -> testing.Result:
        return command.verb("plan", "-e", "site.yaml", *arguments, given=given)

    def against(self, *arguments: str) -> Any:
        result = self.plan("claims", "--against", "HEAD", "--output", "json", *arguments)
        return json.loads(result.stdout)


@pytest.fixture
def repository(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    made = Repository(tmp_path)
    for name in ("chat", "code"):
        made.write(f"claims/{name}.yaml", claim(name))
    made.commit()
    return made


def of(plan: Any, name: str) -> Any:
    return next(item for item in plan["claims"] if item["name"] == name)


def test_without_a_comparison_it_foresees(repository: Repository) -> None:
    result = repository.plan("claims", "--output", "json")
    assert result.exit_code == 0
    plan = json.loads(result.stdout)
    chat = of(plan, "chat")
    assert chat["fit"]["verdict"] == "fits"
    parts = chat["fit"]["partsGiB"]
    assert sum(parts.values()) == pytest.approx(chat["fit"]["gpuGiB"], abs=0.5)
    assert chat["costPerHour"]["after"] == {"min": "1", "max": "2", "currency": "USD"}
    assert plan["month"]["max"]["after"] == "2920"
    assert chat["speed"]["chat"]["firstTokenMs"]["low"] > 0
    assert {step["stage"] for step in chat["start"]} >= {"load", "compile", "graphs"}
    assert chat["triggers"]["chat"]["first"] in ("running", "kvCache")


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"gpu": {"class": "h100", "count": 3}}, "tensor-parallel-indivisible"),
        ({"model": {"repository": "Qwen/Qwen2.5-32B-Instruct-AWQ"}}, "quantized-twice"),
    ],
)
def test_what_check_refuses_is_no_plan(
    repository: Repository, changes: dict[str, Any], rule: str
) -> None:
    repository.write("claims/chat.yaml", claim("chat", **changes))
    result = repository.plan("claims", "--output", "json")
    assert result.exit_code == 1
    reasons = [error["reason"] for error in of(json.loads(result.stdout), "chat")["errors"]]
    assert rule in reasons


def test_triggers_are_judged_by_the_workload_that_is_named(repository: Repository) -> None:
    asked = ("--workload", "chat", "--workload", "4000:1000", "--output", "json")
    triggers = of(json.loads(repository.plan("claims", *asked).stdout), "chat")["triggers"]
    assert list(triggers) == ["chat", "4000:1000"]
    for name, tokens in (("chat", 1260), ("4000:1000", 4500)):
        assert f"fires first for requests of {tokens} tokens" in triggers[name]["sentence"]


def test_an_adapter_is_judged_by_its_name_until_somebody_read_its_files(
    repository: Repository,
) -> None:
    adapters = [{"name": "sql", "repository": "org/Llama-3.1-8B-sql"}]
    world = scene.serving(claim("chat", loraAdapters=adapters), environment(SETTINGS))
    told = "sql: judged by the name of its repository alone, as nobody read its files: its name"

    def plan(**learnt: Any) -> testing.Result:
        records = world.claim["status"]["weights"]["verified"]
        next(one for one in records if "/adapter-" in one["directory"]).update(learnt)
        items = [world.claim, *world.objects.values()]
        repository.write("observed.yaml", {"apiVersion": "v1", "kind": "List", "items": items})
        repository.write("claims/chat.yaml", claim("chat", loraAdapters=adapters, drainSeconds=60))
        return repository.plan("claims/chat.yaml", "--against", "observed.yaml")

    text = " ".join(plan().stdout.split())
    assert (told in text, text.count("nobody read its files")) == (True, 1)
    assert "judged by the name" not in plan(baseModel="Qwen/Qwen3-8B", loraRank=16).stdout
    too_large = plan(loraRank=512)
    assert (too_large.exit_code, "its rank is 512" in too_large.stdout) == (1, True)


def test_a_draft_that_no_estimate_counts_is_told_in_the_words_of_check(
    repository: Repository,
) -> None:
    draft = '--speculative-config={"method":"eagle3","model":"org/draft"}'
    repository.write("claims/chat.yaml", claim("chat", engineArgs=[draft]))
    words = "the draft takes GPU memory beside the model, which no estimate counts"
    for output in ("table", "markdown", "html"):
        text = " ".join(repository.plan("claims", "--output", output).stdout.split())
        assert text.count(words) == 1
    found = command.verb("check", "claims", "-e", "site.yaml")
    assert f"{words}: set spec.gpu.memoryUtilization" in found.stdout


def test_a_flag_that_is_none_has_the_words_of_check(repository: Repository) -> None:
    arguments = ["--enforce-eagre", "--seed=x", "--max-num-batched-token=8192"]
    repository.write("claims/chat.yaml", claim("chat", engineArgs=arguments))
    found = command.verb("check", "claims", "-e", "site.yaml", "-o", "json")
    of_check = [
        f"{one['field']}: {one['message']}"
        for one in json.loads(found.stdout)["findings"]
        if one["severity"] == "error"
    ]
    chat = of(json.loads(repository.plan("claims", "--output", "json").stdout), "chat")
    assert sorted(error["message"] for error in chat["errors"]) == sorted(of_check)
    assert any("did you mean --enforce-eager?" in message for message in of_check)


def test_what_generates_nothing_has_no_speed_of_answers(repository: Repository) -> None:
    for name, model in (("encoder", "BAAI/bge-m3"), ("decoder", "Qwen/Qwen3-Embedding-0.6B")):
        repository.write(f"claims/{name}.yaml", scene.of(name=name, model={"repository": model}))
    plan = json.loads(repository.plan("claims", "--output", "json").stdout)
    for name in ("encoder", "decoder"):
        item = of(plan, name)
        assert (item["speed"], item["triggers"]) == ({}, {})
        assert item["fit"]["verdict"] == "fits"
    assert "no text |" in repository.plan("claims", "--output", "markdown").stdout
    assert of(plan, "encoder")["fit"]["kvTokens"] is None
    assert "keeps no cache" in of(plan, "encoder")["fit"]["sentence"]


def test_a_card_without_numbers_says_why_no_speed_is_told(repository: Repository) -> None:
    gpu = {"defaultClass": "l4", "classes": {"l4": {"memoryGiB": 22}}}
    repository.write("site.yaml", environment(SETTINGS | {"gpu": gpu}))
    text = repository.plan("claims", "--output", "html").stdout
    assert "nobody knows how fast l4 is: set gpu.classes.l4.product" in text


@pytest.mark.parametrize(("stated", "timed"), [(False, False), (True, True)])
def test_a_slice_is_not_as_fast_as_the_whole_card(
    stated: bool, timed: bool, repository: Repository
) -> None:
    part: dict[str, Any] = {"product": "NVIDIA-A100-SXM4-80GB", "memoryGiB": "39.5"}
    part["resourceName"] = "nvidia.com/mig-3g.40gb"
    if stated:
        part |= {"bandwidthGB": "1000", "tflops16": "130"}
    gpu = {"defaultClass": "part", "classes": {"part": part}}
    repository.write("site.yaml", environment(SETTINGS | {"gpu": gpu}))
    repository.write("claims/one.yaml", claim("one"))
    plan = json.loads(repository.plan("claims", "--output", "json").stdout)
    assert ("chat" in of(plan, "one")["speed"]) is timed
    text = repository.plan("claims", "--output", "html").stdout
    words = "nobody knows how fast a slice of A100-SXM-80GB is: set gpu.classes.part.bandwidthGB"
    assert (words in text) is not timed


def test_what_is_too_large_has_no_speed_whatever_is_missing(repository: Repository) -> None:
    """The cache of the one lacks room for a sequence, and the weights of the other take all."""
    for name, model in (
        ("context", {"contextWindow": 40960, "maxNumSeqs": 8, "quantization": "auto"}),
        ("weights", LARGE),
    ):
        repository.write(f"claims/{name}.yaml", claim(name, model=model))
    plan = json.loads(repository.plan("claims", "--output", "json").stdout)
    for name in ("context", "weights"):
        one = of(plan, name)
        assert one["fit"]["verdict"] == "too large"
        assert (one["speed"], one["triggers"]) == ({}, {})


def test_a_start_of_what_nobody_knows_compiles_for_an_unknown_time(repository: Repository) -> None:
    repository.write("claims/own.yaml", claim("own", model={"repository": "org/nobody-knows"}))
    plan = json.loads(repository.plan("claims", "--output", "json").stdout)
    steps = {step["stage"]: step for step in of(plan, "own")["start"]}
    for stage in ("compile", "graphs"):
        assert (steps[stage]["seconds"], steps[stage]["missing"]) == (None, "the model's layers")


def test_nothing_changes(repository: Repository) -> None:
    result = repository.plan("claims", "--against", "HEAD", "--output", "markdown")
    assert (result.exit_code, result.stdout) == (0, "")
    result = repository.plan("claims", "--against", "HEAD")
    assert result.stdout.startswith("Nothing changes.")


def test_a_restart_of_the_only_replica_is_an_outage(repository: Repository) -> None:
    repository.write("claims/chat.yaml", claim("chat", drainSeconds=60))
    plan = repository.against()
    assert plan["exitCode"] == 3
    chat = of(plan, "chat")
    assert (chat["outcome"], chat["pods"]["effect"]) == ("changed", "restart")
    assert chat["outageSeconds"]["low"] > 10
    assert chat["downloads"] == []
    assert of(plan, "code")["outcome"] == "unchanged"


def test_an_edit_to_what_cannot_fit_keeps_pods_and_money(repository: Repository) -> None:
    large = {"repository": "Qwen/Qwen2.5-72B-Instruct", "quantization": None}
    repository.write("claims/chat.yaml", claim("chat", model=large))
    plan = repository.against()
    chat = of(plan, "chat")
    assert (chat["pods"]["effect"], chat["outageSeconds"]) == ("held", None)
    assert "keep their template, as no replica could serve" in chat["pods"]["message"]
    assert chat["gpus"]["max"] == {"before": 2, "after": 2}
    assert chat["costPerHour"]["before"] == chat["costPerHour"]["after"]
    assert plan["month"]["max"]["before"] == plan["month"]["max"]["after"]
    text = repository.plan("claims", "--against", "HEAD").stdout
    assert "pods of chat restart" not in text
    assert text.startswith("chat does not fit the GPUs: what runs goes on")


def test_settings_under_which_what_runs_no_longer_fits(repository: Repository) -> None:
    smaller = changed("gpu.classes.l4", {"memoryGiB": 6, "pricePerHour": "1"})
    repository.write("site.yaml", environment(smaller))
    result = repository.plan("claims", "--against", "HEAD")
    assert result.stdout.startswith("chat, code do not fit the GPUs: what runs goes on")
    assert len(re.findall(r"^pods +(keep|what runs goes on)", result.stdout, re.M)) == 2


def test_more_gpus_than_a_node_has_are_no_want_of_memory(repository: Repository) -> None:
    repository.write("claims/chat.yaml", claim("chat", gpu={"class": "l4", "count": 2}))
    text = repository.plan("claims/chat.yaml").stdout
    words = "chat asks for more than a node of its class has: none is asked for"
    assert text.startswith(words)


def test_numbers_that_settings_change_are_a_change(repository: Repository) -> None:
    for name in ("chat", "code"):
        numbers = {"contextWindow": 4096, "maxNumSeqs": 8}
        named = claim(name, model=numbers, gpu={"class": "l4", "count": 1})
        repository.write(f"claims/{name}.yaml", named)
    repository.commit()
    repository.write("site.yaml", environment(changed("gpu.classes.l4.product", "L40S")))
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
    path: str, value: str, words: str, repository: Repository
) -> None:
    for name in ("chat", "code"):
        numbers = {"contextWindow": 4096, "maxNumSeqs": 8}
        named = claim(name, model=numbers, gpu={"class": "l4", "count": 1})
        repository.write(f"claims/{name}.yaml", named)
    repository.commit()
    repository.write("site.yaml", environment(changed(f"gpu.classes.l4.{path}", value)))
    result = repository.plan("claims", "--against", "HEAD")
    assert result.exit_code == (0 if words == "Nothing changes." else 3)
    assert words in " ".join(result.stdout.split())


def test_a_restart_on_other_gpus_names_them_beside_other_fields(repository: Repository) -> None:
    model = {"contextWindow": 2048}
    repository.write("claims/chat.yaml", claim("chat", model=model, gpu={"class": "h100"}))
    text = repository.plan("claims", "--against", "HEAD").stdout
    assert re.search(r"GPUs +1 x l4 -> 1 x h100", text)


def test_what_is_held_back_stands_beside_what_runs(repository: Repository) -> None:
    repository.write("site.yaml", environment(changed("gpu.classes.l4.product", "L40S")))
    text = repository.plan("claims", "--against", "HEAD", "--output", "markdown").stdout
    assert re.search(r"[0-9]+ x [0-9]+ \([0-9.]+ full\), held back: [0-9]+ x", text)


def test_a_class_that_goes_saves_nothing_of_what_runs(repository: Repository) -> None:
    site = json.loads(json.dumps(SETTINGS))
    del site["gpu"]["classes"]["l4"]
    site["gpu"]["defaultClass"] = "h100"
    repository.write("site.yaml", environment(site))
    for name in ("chat", "code"):
        repository.write(f"claims/{name}.yaml", claim(name, gpu={"class": "l4", "count": 1}))
    plan = repository.against()
    assert [one["reason"] for one in of(plan, "chat")["errors"]] == ["Invalid"]
    assert plan["month"]["max"] == {"before": "2920", "after": "2920"}


def test_two_replicas_restart_one_by_one(repository: Repository) -> None:
    repository.write("claims/chat.yaml", claim("chat", scaling={"minReplicas": 2}))
    repository.commit()
    repository.write("claims/chat.yaml", claim("chat", scaling={"minReplicas": 2}, drainSeconds=60))
    chat = of(repository.against(), "chat")
    assert (chat["pods"]["effect"], chat["outageSeconds"]) == ("restart", None)


def test_a_second_replica_that_comes_with_the_restart_is_no_spare(repository: Repository) -> None:
    more = claim("chat", scaling={"minReplicas": 2}, drainSeconds=60)
    repository.write("claims/chat.yaml", more)
    assert of(repository.against(), "chat")["outageSeconds"]["low"] > 10
    repository.write("site.yaml", environment(changed("providers.autoscaler", "none")))
    repository.commit()
    repository.write("claims/chat.yaml", claim("chat"))
    repository.commit()
    repository.write("claims/chat.yaml", more)
    assert of(repository.against(), "chat")["outageSeconds"] is None


def test_another_model_is_downloaded_first(repository: Repository) -> None:
    repository.write("claims/chat.yaml", claim("chat", model={"repository": "Qwen/Qwen3-4B"}))
    chat = of(repository.against(), "chat")
    assert chat["pods"]["effect"] == "restart-later"
    (download,) = chat["downloads"]
    assert download["name"] == "Qwen/Qwen3-4B@main"
    assert download["gib"] == pytest.approx(7.5, abs=0.1)


def test_weights_of_an_image_and_a_bucket_are_fetched_in_place_of_a_download(
    repository: Repository,
) -> None:
    everywhere = {field: {"*": ["**"]} for field in ("modelImages", "modelUris")}
    opened = {"bandwidthMiB": 500, "imageVolumes": True}
    site = SETTINGS | {"allowed": everywhere, "weights": opened, "region": "r"}
    repository.write("site.yaml", environment(site))
    image = "registry.example.com/m@sha256:" + "0a" * 32
    repository.write("claims/chat.yaml", claim("chat", model={"source": "oci", "image": image}))
    repository.write("claims/code.yaml", claim("code", model={"source": "s3", "uri": "s3://a-b/c"}))
    plan = repository.against()
    chat, code = of(plan, "chat"), of(plan, "code")
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


def test_replicas_cost_money(repository: Repository) -> None:
    repository.write("claims/chat.yaml", claim("chat", scaling={"maxReplicas": 6}))
    plan = repository.against()
    assert plan["month"]["max"] == {"before": "2920", "after": "5840"}
    assert plan["gpus"]["max"] == {"before": 4, "after": 8}
    assert of(plan, "chat")["pods"]["effect"] == "stay"
    assert plan["shortages"] == []
    repository.write("claims/chat.yaml", claim("chat", scaling={"maxReplicas": 7}))
    assert "class l4: the claims ask for 9 GPUs" in repository.against()["shortages"][0]


def test_a_flow_that_closes_is_a_line_and_so_is_its_end(repository: Repository) -> None:
    gated = {"gateway": {"enabled": True}}
    shut = claim("chat", **gated, networkPolicies={"ingress": []})
    repository.write("claims/chat.yaml", shut)
    flows = of(repository.against(), "chat")["flows"]
    assert {one["rule"] for one in flows["appear"]} == {"flow-closed"}
    assert flows["end"] == []
    text = repository.plan("claims", "--against", "HEAD").stdout
    assert "needed flows of chat close" in text
    assert "flow-closed" in text
    repository.commit()
    assert of(repository.against(), "chat")["flows"] == {"appear": [], "end": []}
    repository.write("claims/chat.yaml", claim("chat", **gated))
    assert of(repository.against(), "chat")["flows"] == {"appear": [], "end": flows["appear"]}
    assert "no longer flow-closed" in repository.plan("claims", "--against", "HEAD").stdout


def test_who_may_call_is_a_line(repository: Repository) -> None:
    open_to = {
        "allowed": {"callers": {"*": ["apps"]}},
        "permissions": {"rawPolicies": ["*"]},
        "providers": {"networkPolicy": "cilium"},
    }
    repository.write("site.yaml", environment({**SETTINGS, **open_to}))
    repository.commit()
    callers = [{"namespace": "apps", "podLabels": {"app": "webui"}}]
    repository.write("claims/chat.yaml", claim("chat", access={"from": callers}))
    chat = of(repository.against(), "chat")
    assert chat["flows"] == {"appear": [], "end": []}
    shown = repository.plan("claims", "--against", "HEAD").stdout
    assert re.search(r"^ *callers +may call apps: app=webui", shown, re.M)
    everybody: dict[str, Any] = {"ingress": [{"fromEndpoints": [{}]}]}
    repository.write("claims/chat.yaml", claim("chat", networkPolicies=everybody))
    chat = of(repository.against(), "chat")
    assert "flow-open" in {one["rule"] for one in chat["flows"]["appear"]}
    text = repository.plan("claims", "--against", "HEAD").stdout
    assert "flows of chat open that nobody asks for" in text


def test_new_and_removed_claims(repository: Repository) -> None:
    (repository.root / "claims/code.yaml").unlink()
    repository.write("claims/new.yaml", claim("new"))
    plan = repository.against()
    assert of(plan, "code")["outcome"] == "removed"
    assert of(plan, "new")["outcome"] == "new"
    assert of(plan, "code")["costPerHour"] == {
        "before": {"min": "1", "max": "2", "currency": "USD"},
        "after": None,
    }


def test_a_claim_beside_a_single_file_is_left_out(repository: Repository) -> None:
    worlds = [scene.serving(claim(name), environment(SETTINGS)) for name in ("chat", "code")]
    items = [item for world in worlds for item in (world.claim, *world.objects.values())]
    repository.write("observed.yaml", {"apiVersion": "v1", "kind": "List", "items": items})
    result = repository.plan("claims/chat.yaml", "--against", "observed.yaml")
    assert (result.exit_code, result.stdout.split("\n")[0]) == (0, "Nothing changes.")
    assert "not among the files, so not counted and taken to stay: llm/code" in result.stderr
    (repository.root / "claims/code.yaml").unlink()
    result = repository.plan("claims", "--against", "observed.yaml")
    assert (result.exit_code, result.stdout.split(";")[0]) == (3, "removed: code")


def test_several_piped_claims_are_a_directory_and_one_is_a_file(repository: Repository) -> None:
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


def test_what_never_schedules_is_an_error(repository: Repository) -> None:
    repository.write("site.yaml", environment(changed("gpu.classes.l4.poolGpus", 1)))
    plan = repository.against()
    assert plan["exitCode"] == 1
    assert "ask for 2 GPUs even at their minimum" in plan["shortages"][0]
    text = repository.plan("claims").stdout
    assert text.startswith("1 node pool has too few GPUs, even at the minimum")


def test_what_does_not_fit_is_an_error_with_its_ways_out(repository: Repository) -> None:
    large = {"repository": "meta-llama/Llama-3.3-70B-Instruct", "quantization": "auto"}
    repository.write("claims/chat.yaml", claim("chat", model=large))
    plan = repository.against()
    assert plan["exitCode"] == 1
    chat = of(plan, "chat")
    assert chat["errors"][0]["reason"] == "TooLarge"
    assert chat["fit"]["waysOut"][0]["class"] == "h100"
    # Nothing in it is misspelt.
    repository.write("claims/chat.yaml", claim("chat", model=LARGE))
    text = repository.plan("claims").stdout
    assert text.startswith("chat does not fit the GPUs: none is asked for")
    assert "cannot be used" not in text
    assert re.search(r"gpu\.class: h100, gpu\.count: 2, 20\.00 USD an hour: ", text)


def test_settings_of_the_revision_are_those_of_its_time(repository: Repository) -> None:
    dearer = json.loads(json.dumps(SETTINGS))
    dearer["gpu"]["classes"]["l4"]["pricePerHour"] = "3"
    repository.write("site.yaml", environment(dearer))
    plan = repository.against()
    assert plan["month"]["max"] == {"before": "2920", "after": "8760"}
    assert of(plan, "chat")["outcome"] == "unchanged"
    assert plan["exitCode"] == 3
    text = repository.plan("claims", "--against", "HEAD", "--output", "markdown").stdout
    words = "5,840.00 USD more a month at most (was 2,920.00 USD, becomes 8,760.00 USD)."
    assert words in text.splitlines()[1]


def test_settings_files_that_a_revision_lacks_are_named(repository: Repository) -> None:
    repository.write("more.yaml", environment({"weights": {"bandwidthMiB": 500}}))
    result = repository.plan("claims", "-e", "more.yaml", "--against", "HEAD")
    assert "more.yaml: not in HEAD, so older claims are planned without" in result.stderr


def test_a_refused_edit_leaves_what_runs(repository: Repository) -> None:
    repository.write("claims/chat.yaml", claim("chat", modl={}))
    plan = repository.against()
    chat = of(plan, "chat")
    assert chat["gpus"]["max"] == {"before": 2, "after": 2}
    assert chat["costPerHour"]["before"] == chat["costPerHour"]["after"] is not None
    assert plan["month"]["max"] == {"before": "2920", "after": "2920"}
    text = repository.plan("claims", "--against", "HEAD").stdout
    assert text.startswith("chat cannot be used as written: what runs goes on")
    assert "what runs goes on as it is" in text


@pytest.mark.parametrize("hourly", ["1", "3"])
def test_two_currencies_have_no_difference(hourly: str, repository: Repository) -> None:
    other = changed("gpu.classes.l4.pricePerHour", hourly) | {"pricing": {"currency": "EUR"}}
    repository.write("site.yaml", environment(other))
    plan = repository.against()
    assert (plan["currencyBefore"], plan["currency"], plan["exitCode"]) == ("USD", "EUR", 3)
    text = repository.plan("claims", "--against", "HEAD", "--output", "markdown").stdout
    after = 2 * 2 * 730 * int(hourly)
    assert f"was 2,920.00 USD a month at most, becomes {after:,}.00 EUR: no difference" in text
    row = f"730 to 1,460 USD -\\> {730 * int(hourly):,} to {after // 2:,} EUR"
    assert row in text


def test_what_has_no_price_is_named_beside_the_sum(repository: Repository) -> None:
    site = changed("gpu.classes.own", {"product": "L4", "nodeGpus": 1})
    repository.write("site.yaml", environment(site))
    repository.write("claims/free.yaml", claim("free", gpu={"class": "own", "count": 1}))
    words = "and free, whose price is not known"
    for output in ("table", "markdown"):
        text = " ".join(repository.plan("claims", "--output", output).stdout.splitlines()[0:2])
        assert f"at least 1,460.00 USD to 2,920.00 USD a month, {words}" in text
    repository.write("claims/chat.yaml", claim("chat", scaling={"maxReplicas": 3}))
    text = repository.plan("claims", "--against", "HEAD").stdout.splitlines()[0]
    assert "becomes 3,650.00 USD), without free, whose price is not known" in text


def test_what_starts_and_cannot_serve_has_money_and_no_speed(repository: Repository) -> None:
    refused = claim("refused", gpu={"class": "h100", "count": 3})
    repository.write("claims/refused.yaml", refused)
    plan = json.loads(repository.plan("claims", "--output", "json").stdout)
    item = of(plan, "refused")
    assert item["costPerHour"]["after"] == {"min": "30", "max": "60", "currency": "USD"}
    assert "speed" not in item
    text = repository.plan("claims", "--output", "markdown").stdout
    (row,) = (line for line in text.splitlines() if line.startswith("| llm/refused"))
    cells = [cell.strip() for cell in row.split("|")[3:-1]]
    assert cells == ["-", "-", "3 to 6", "21,900 to 43,800 USD", "-"]
    assert "refused cannot serve as written: nothing refuses the GPUs that are asked for" in text


def test_a_download_that_the_hub_refuses_asks_for_no_gpus(repository: Repository) -> None:
    gated = claim("gated", model={"repository": "meta-llama/Llama-3.1-8B-Instruct"})
    repository.write("claims/gated.yaml", gated)
    item = of(json.loads(repository.plan("claims", "--output", "json").stdout), "gated")
    assert [error["reason"] for error in item["errors"]] == ["gated-without-token"]
    assert item["gpus"]["max"]["after"] == 0
    assert item["costPerHour"]["after"] == {"min": "0", "max": "0", "currency": "USD"}
    text = repository.plan("claims", "--output", "markdown").stdout
    assert "gated cannot serve as written" in text
    assert "GPUs that are asked for" not in text


def test_full_sequences_are_one_figure(repository: Repository) -> None:
    long = claim("chat", model={"contextWindow": 32768}, gpu={"class": "l4", "count": 1})
    repository.write("claims/chat.yaml", long)
    item = of(json.loads(repository.plan("claims", "--output", "json").stdout), "chat")["fit"]
    least, best = (
        f"{math.floor(item['fullSequences'][end] * 10) / 10:g}" for end in ("low", "best")
    )
    assert least != best
    assert f"so {best} fit at a time, at least {least}" in item["sentence"]
    assert f"({least} full)" in repository.plan("claims", "--output", "html").stdout


def test_what_is_too_large_is_neither_downloaded_nor_started(repository: Repository) -> None:
    repository.write("claims/large.yaml", claim("large", model=LARGE))
    large = of(repository.against(), "large")
    assert (large["downloads"], large["start"]) == ([], [])
    assert "<li>first start" not in repository.plan("claims/large.yaml", "-o", "html").stdout


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"podTemplate": {"nodeSelector": {"topology.kubernetes.io/zone": "b"}}}, NODE),
        ({"gpu": {"class": "h100", "count": 1}}, NODE),
        ({"gpu": {"class": "l4", "count": 2}}, NODE),
        ({"engine": {"version": "v0.24.0"}}, NODE[1:]),
        ({"drainSeconds": 60}, []),
    ],
)
def test_what_the_old_node_lacks_comes_first(
    repository: Repository, changes: dict[str, Any], missing: list[str]
) -> None:
    repository.write("site.yaml", environment(changed("gpu.classes.l4.nodeGpus", 2)))
    repository.commit()
    repository.write("claims/chat.yaml", claim("chat", **changes))
    chat = of(repository.against(), "chat")
    assert chat["outageMissing"] == missing
    text = " ".join(repository.plan("claims", "--against", "HEAD").stdout.split())
    for words in ("without answers for at least", f"long these take: {', '.join(missing)}"):
        assert (words in text) is bool(missing)


def test_weights_that_are_there_are_not_downloaded_again(repository: Repository) -> None:
    repository.write("claims/chat.yaml", claim("chat", drainSeconds=60))
    plan = repository.against()
    stages = [step["stage"] for step in of(plan, "chat")["start"]]
    assert not {"download", "verify"} & set(stages)


def changed(path: str, value: Any) -> dict[str, Any]:
    """Returns the settings with another value in one place."""
    site: dict[str, Any] = json.loads(json.dumps(SETTINGS))
    *parents, last = path.split(".")
    inner = site
    for name in parents:
        inner = inner.setdefault(name, {})
    inner[last] = value
    return site


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("engine.version", "0.32.0"),
        ("gpu.classes.l4.nodeSelector", {"pool": "new"}),
        ("weights.bandwidthMiB", 20),
    ],
)
def test_the_platforms_change_is_held_and_said(
    repository: Repository, path: str, value: Any
) -> None:
    repository.write("site.yaml", environment(changed(path, value)))
    plan = repository.against()
    assert of(plan, "chat")["pods"]["effect"] == "held"
    assert plan["exitCode"] == 3
    words = "pods of chat, code keep their template: the change is held back"
    for output in ("table", "markdown"):
        result = repository.plan("claims", "--against", "HEAD", "--output", output)
        assert (result.exit_code, words in result.stdout) == (3, True)


def test_a_hold_that_the_cluster_says_already_is_no_change(repository: Repository) -> None:
    world = scene.serving(claim("chat"), environment(SETTINGS))
    world.environments = [environment(changed("engine.version", "0.32.0"))]
    repository.write("site.yaml", world.environments[0])
    (repository.root / "claims/code.yaml").unlink()

    def plan() -> tuple[str, int]:
        items = [world.claim, *world.objects.values()]
        repository.write("observed.yaml", {"apiVersion": "v1", "kind": "List", "items": items})
        words = ["claims", "--against", "observed.yaml", "--output", "json"]
        result = json.loads(repository.plan(*words).stdout)
        return of(result, "chat")["pods"]["effect"], result["exitCode"]

    assert plan() == ("held", 3)
    world.converge()
    assert plan() == ("held", 0)


def test_settings_that_change_nothing_of_a_claim_are_nothing(repository: Repository) -> None:
    repository.write("site.yaml", environment(changed("gpu.classes.h100.nodeSelector", {"a": "b"})))
    result = repository.plan("claims", "--against", "HEAD")
    assert (result.exit_code, result.stdout.split("\n")[0]) == (0, "Nothing changes.")


@pytest.mark.parametrize("output", ["table", "markdown", "html", "json"])
def test_every_output_says_the_verdict(repository: Repository, output: str) -> None:
    repository.write("claims/chat.yaml", claim("chat", drainSeconds=60))
    result = repository.plan("claims", "--against", "HEAD", "--output", output)
    assert result.exit_code == 3
    if output != "json":
        assert "pods of chat restart, without answers for" in result.stdout.replace("\n", " ")
    if output == "html":
        html.parser.HTMLParser(convert_charrefs=True).feed(result.stdout)
        assert "<script" not in result.stdout
        assert "prefers-color-scheme: dark" in result.stdout
    if output == "markdown":
        assert result.stdout.startswith(markdown.MARKER)


def test_details_say_an_error_once(repository: Repository) -> None:
    large = {"repository": "meta-llama/Llama-3.3-70B-Instruct", "quantization": "auto"}
    repository.write("claims/large.yaml", claim("large", model=large))
    for output in ("markdown", "html"):
        text = repository.plan("claims", "--against", "HEAD", "--output", output).stdout
        assert text.count("nothing is left for the cache") == 1


def test_a_comment_stays_below_its_bound_and_names_what_was_cut(repository: Repository) -> None:
    for number in range(150):
        repository.write(f"claims/many{number}.yaml", claim(f"many-{number}"))
    text = repository.plan("claims", "--against", "HEAD", "--output", "markdown").stdout
    assert len(text) < 65_536
    assert "No room for the details of" in text
    assert text.count("<details>") == text.count("</details>") > 3


def test_a_claims_text_is_nobodys_markup(repository: Repository) -> None:
    repository.write("claims/chat.yaml", claim("chat", model={"repository": "a|b<script>"}))
    for output in ("markdown", "html"):
        result = repository.plan("claims", "--against", "HEAD", "--output", output)
        assert result.exit_code == 1
        assert "<script>" not in result.stdout


def test_workloads_are_named_or_given_in_tokens(repository: Repository) -> None:
    words = ["--workload", "500:100", "--workload", "code-completion", "--output", "json"]
    chat = of(json.loads(repository.plan("claims", *words).stdout), "chat")
    assert set(chat["speed"]) == {"500:100", "code-completion"}
    result = repository.plan("claims", "--workload", "poetry")
    assert result.exit_code == 2
    assert "neither PROMPT:OUTPUT" in result.stderr


def test_requests_that_are_longer_than_the_context_are_refused(repository: Repository) -> None:
    repository.write("claims/chat.yaml", claim("chat", model={"contextWindow": 16384}))
    table = repository.plan("claims", "--workload", "40000:300", "--rate", "2").stdout
    text = " ".join(table.split())
    assert "(40000:300)" in text
    assert "such requests are refused: longer than the context of 16384 tokens" in text
    assert "triggers, 40000:300" not in text


def test_the_table_answers_the_first_workload_that_is_asked_for(repository: Repository) -> None:
    repository.write("claims/chat.yaml", claim("chat"))
    words = ("claims", "--workload", "batch", "--workload", "2000:300")
    text = repository.plan(*words, "--output", "markdown").stdout
    assert "| answers (batch) |" in text
    assert "tokens/s (" in text


def test_without_a_claim_nothing_is_planned(repository: Repository) -> None:
    (repository.root / "empty.yaml").write_text("")
    result = repository.plan("empty.yaml")
    assert (result.exit_code, result.stdout) == (2, "There is no claim to plan.\n")


def test_tokens_cost_what_a_full_replica_makes_of_them(repository: Repository) -> None:
    chat = of(json.loads(repository.plan("claims", "--output", "json").stdout), "chat")
    speed = chat["speed"]["chat"]
    million, requests = speed["millionTokens"], speed["requestsPerSecond"]
    assert float(million["low"]) < float(million["best"]) < float(million["high"])
    # 1 USD an hour; a request has 1155 tokens of prompt and 211 of answer.
    hour = requests["best"] * (1155 + 211) * 3600 / 1e6
    assert float(million["best"]) == pytest.approx(1 / hour, rel=0.001)
    assert (million["currency"], million["requestsPerSecond"]) == ("USD", None)
    assert speed["replicas"] is None
    assert "a million of prompts and answers" in repository.plan("claims").stdout


def test_a_rate_needs_replicas_and_says_what_tokens_cost_then(repository: Repository) -> None:
    text = repository.plan("claims", "--rate", "12", "--output", "json").stdout
    speed = of(json.loads(text), "chat")["speed"]["chat"]
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


def test_no_replicas_keep_a_promise_that_one_request_misses(repository: Repository) -> None:
    slo = {"itl": {"seconds": "0.01", "percentile": "99"}}
    repository.write("claims/chat.yaml", claim("chat", slo=slo))
    text = repository.plan("claims", "--rate", "1", "--output", "json").stdout
    speed = of(json.loads(text), "chat")["speed"]["chat"]
    assert speed["replicas"]["best"] is None
    assert speed["millionTokens"] is None
    assert "a single request misses a time of spec.slo" in repository.plan(
        "claims", "--rate", "1"
    ).stdout.replace("\n", " ")


def crossplane_diff(old: Any, new: Any) -> str:
    who = {key: old[key] for key in ("apiVersion", "kind")}
    who |= {"name": old["metadata"]["name"], "namespace": "llm"}
    change = {"type": "modified", **who, "diff": {"old": old, "new": new}}
    group = {"xr": who, "status": "changed", "summary": {"modified": 1}, "changes": [change]}
    return json.dumps({"summary": {"modified": 1}, "changes": [change], "xrs": [group]})


def test_crossplane_diffs_json_is_explained(repository: Repository) -> None:
    given = crossplane_diff(claim("chat"), claim("chat", drainSeconds=60))
    result = repository.plan("--from-crossplane-diff", "-", "--output", "json", given=given)
    assert result.exit_code == 3
    plan = json.loads(result.stdout)
    assert plan["against"] == "the cluster (crossplane-diff)"
    assert of(plan, "chat")["pods"]["effect"] == "restart"


@pytest.mark.parametrize("given", ["", "[]", "{}", '{"xrs": 1}', "not: [json"])
def test_what_is_no_such_json_is_said(repository: Repository, given: str) -> None:
    result = repository.plan("--from-crossplane-diff", "-", given=given)
    assert result.exit_code == 1
    assert "-: no JSON of `crossplane-diff" in result.stderr
    assert result.stdout == "The JSON of --from-crossplane-diff cannot be used.\n"


def test_settings_that_break_their_schema_are_no_files_that_cannot_be_read(
    repository: Repository,
) -> None:
    repository.write("site.yaml", environment(SETTINGS | {"gpus": 1, "engin": {}}))
    result = repository.plan("claims", "--output", "json")
    document = json.loads(result.stdout)
    assert (result.exit_code, document["unreadable"], len(document["unusable"])) == (1, [], 2)
    for output in ("table", "markdown", "html"):
        told = repository.plan("claims", "--output", output)
        assert "The settings cannot be used." in told.stdout
        assert "cannot be read" not in told.stdout
        assert "settings: gpus: unknown field" in told.stderr


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([], 2),
        (["claims", "--from-crossplane-diff", "-"], 2),
        (["claims", "--against", "no-such-thing"], 1),
        (["nowhere"], 1),
    ],
)
def test_wrong_usage_and_what_is_not_there(
    repository: Repository, words: list[str], code: int
) -> None:
    assert repository.plan(*words).exit_code == code
