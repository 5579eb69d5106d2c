"""`inference-service check`: what it finds, where, in which form, and the exit code."""

import dataclasses
import json
import pathlib
from typing import Any

import pytest
import yaml

from function.capacity import catalogue, forms, weights
from function.engines import adviser
from function.findings import foresight, table
from tests import cluster
from tests.cli import broken_claims, checks, command
from tests.fleet import scene as doors
from tests.resources import scene

# --- rules


@pytest.mark.parametrize("case", [pytest.param(c, id=c.rule) for c in broken_claims.CASES])
def test_a_claim_that_breaks_a_rule(tmp_path: pathlib.Path, case: broken_claims.Case) -> None:
    found = [
        one for one in checks.findings(*checks.written(tmp_path, case)) if one["rule"] == case.rule
    ]
    assert found, case.rule
    assert (found[0]["severity"], found[0]["field"]) == (case.severity, case.field)
    assert case.words in found[0]["message"]


def test_prices_that_follow_from_no_claim_are_found(tmp_path: pathlib.Path) -> None:
    claim = scene.of(model={"repository": broken_claims.QWEN}, gateway={"enabled": True})
    rows: list[Any] = [{"model": name, "fromCost": {}} for name in ("codr", "model")]
    budget = {"amount": "1", "per": "day"}
    door = doors.of(
        providers=[doors.provider("anthropic", "haiku", "opus")],
        callers=[{**doors.caller("paid"), "budget": budget}],
        pricing={"fromCost": {}},
        prices=[*rows, {"model": "opus", "input": "1"}],
    )

    def told(*documents: Any) -> list[tuple[str, str]]:
        path = tmp_path / "unpriced"
        path.mkdir(exist_ok=True)
        case = broken_claims.Case("cost-unknown", "", "", "", list(documents))
        return [
            (one["field"], one["message"])
            for one in checks.findings(*checks.written(path, case))
            if one["rule"] == "cost-unknown"
        ]

    row, outside = sorted(told(claim, door))
    assert row[0] == "spec.prices[0].fromCost"
    assert "serves codr" in row[1]
    assert outside[0] == "spec.pricing"
    assert "haiku has no price" in outside[1]
    assert told(door) == [outside], "files without claims say nothing of them"


def test_every_rule_has_a_claim_that_breaks_it() -> None:
    assert {case.rule for case in broken_claims.CASES} == set(table.RULES)


@pytest.mark.parametrize(
    ("rule", "adapter"),
    [
        ("adapter-of-another-base", adviser.Adapter(base="org/other")),
        ("adapter-rank", adviser.Adapter(base=broken_claims.QWEN, rank=128)),
    ],
)
def test_an_adapter_that_breaks_a_rule(rule: str, adapter: adviser.Adapter) -> None:
    claimed = scene.of(
        model={"repository": broken_claims.QWEN}, loraAdapters=broken_claims.ADAPTERS
    )
    found = table.judge(scene.planned(claimed), {"sql": adapter})
    assert [one.rule.name for one in found] == [rule]


_NIGHTLY = {"callers": [doors.caller("nightly")]}
_METRICS = {"podLabels": {"app": "metrics"}}


@pytest.mark.parametrize(
    ("spec", "severity", "words"),
    [
        (None, "note", "no file has an InferenceGateway that evaluates sql"),
        ({}, "warning", "InferenceGateway llm does not evaluate sql"),
        (_NIGHTLY | {"evals": {"caller": "nightly"}}, None, ""),
        (_NIGHTLY | {"evals": {"caller": "nightly", "models": {"names": ["sql"]}}}, None, ""),
        (
            _NIGHTLY | {"evals": {"caller": "nightly", "models": {"names": ["other"]}}},
            "warning",
            "does not evaluate sql",
        ),
        (
            {"selector": {"matchLabels": {"a": "b"}}} | _NIGHTLY | {"evals": {"caller": "nightly"}},
            "warning",
            "does not evaluate sql",
        ),
        (
            {"callers": [doors.caller("nightly", names=["other"])], "evals": {"caller": "nightly"}},
            "warning",
            "does not evaluate sql",
        ),
    ],
)
def test_a_canary_that_waits_for_evaluations_of_nobody(
    tmp_path: pathlib.Path, spec: dict[str, Any] | None, severity: str | None, words: str
) -> None:
    gate = {"adapter": "sql", "weightPercent": 20, "gate": {"evals": {}}}
    claim = scene.of(
        loraAdapters=broken_claims.ADAPTERS, gateway={"enabled": True, "canaries": [gate]}
    )
    site = {
        "canaryGates": {"store": _METRICS},
        "frontDoor": {
            "evals": {"image": "promptfoo", "pushURL": "http://x.y.svc:80", "store": _METRICS}
        },
    }
    beside = [] if spec is None else [doors.of(**spec)]
    case = broken_claims.Case("gate-unjudged", "", "", "", [claim, *beside], site)
    told = [
        one for one in checks.findings(*checks.written(tmp_path, case)) if one["rule"] == case.rule
    ]
    assert [one["severity"] for one in told] == ([] if severity is None else [severity])
    assert all(words in one["message"] for one in told)
    assert all(one["field"] == "spec.gateway.canaries[0].gate.evals" for one in told)


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (None, 1),
        ({"name": "gateway"}, 0),
        ({"name": "gateway", "namespace": "gateway_namespace"}, 0),
    ],
)
def test_gateways_that_the_series_tell_apart(
    tmp_path: pathlib.Path, labels: dict[str, str] | None, told: int
) -> None:
    (case,) = (one for one in broken_claims.CASES if one.rule == "gate-shared")
    gates = case.settings["canaryGates"] | ({} if labels is None else {"gatewayLabels": labels})
    apart = dataclasses.replace(case, settings={**case.settings, "canaryGates": gates})
    every = checks.findings(*checks.written(tmp_path, apart))
    assert len([one for one in every if one["rule"] == case.rule]) == told


def test_an_adapter_on_the_volume_is_judged_by_its_own_files(tmp_path: pathlib.Path) -> None:
    """By its name before the download, and by what the claim's status recorded after it."""
    world = cluster.Cluster(
        scene.of(
            model={"repository": broken_claims.QWEN},
            loraAdapters=[{"name": "sql", "repository": "org/Llama-3.1-8B-sql"}],
        ),
        scene.site(),
    )
    world.converge()
    file, site = tmp_path / "claim.yaml", command.write(tmp_path / "site.yaml", scene.site())

    def judged(**learnt: Any) -> list[str]:
        records = world.claim["status"]["weights"]["verified"]
        next(one for one in records if "/adapter-" in one["directory"]).update(learnt)
        file.write_text(yaml.safe_dump(world.claim))
        every = checks.findings(str(file), "-e", site)
        return [one["message"] for one in every if one["rule"] == "adapter-of-another-base"]

    (by_name,) = judged()
    assert "its name says llama-3.1-8b" in by_name
    assert "nobody read its files yet" in by_name
    assert judged(baseModel=broken_claims.QWEN, loraRank=16) == []
    (by_files,) = judged(baseModel="org/other")
    assert "its base is org/other" in by_files


OFF = {"enabled": False}


@pytest.mark.parametrize(
    ("claimed", "settings", "rules_broken"),
    [
        # A default that cannot fire is nobody's mistake while another trigger can.
        ({"model": {"maxNumSeqs": 2, "contextWindow": 4096}}, {}, set()),
        ({"scaling": {"minReplicas": 2, "maxReplicas": 2}}, {}, set()),
        (
            {"scaling": {"triggers": {"queue": OFF, "kvCache": OFF}}, "model": {"maxNumSeqs": 64}},
            {},
            {"trigger-never-fires"},
        ),
        # The model is not known: what nobody can tell is not told.
        ({"scaling": {"triggers": {"kvCache": {"target": "0.9"}}}, "org": True}, {}, set()),
        (
            {"scaling": {"triggers": {"kvCache": {"target": "0.95"}}}, "org": True},
            {},
            {"trigger-never-fires"},
        ),
        # 8192 tokens take 40 KiB: more than Envoy's own 32, and the settings say what it holds.
        ({"gateway": {"enabled": True}}, {"gateway": {"bufferMiB": 1}}, set()),
        (
            {"gateway": {"enabled": True}},
            {"gateway": {"bufferMiB": None}},
            {"prompt-exceeds-gateway"},
        ),
        ({}, {"gateway": {"bufferMiB": None}}, set()),
        # None is no parser of another family.
        ({"model": {"toolCallParser": "none", "reasoningParser": "none"}}, {}, set()),
        # Somebody overruled the arithmetic: pods start, and may end.
        ({"gpu": {"fit": "Ignore"}, "model": {"contextWindow": 40960}}, {}, {"does-not-fit"}),
    ],
)
def test_when_a_rule_is_silent(
    tmp_path: pathlib.Path,
    claimed: dict[str, Any],
    settings: dict[str, Any],
    rules_broken: set[str],
) -> None:
    repository = "org/model" if claimed.pop("org", False) else broken_claims.QWEN
    model = {"repository": repository, "contextWindow": 8192} | claimed.pop("model", {})
    case = broken_claims.Case("", "", None, "", [scene.of(model=model, **claimed)], settings)
    found = checks.findings(*checks.written(tmp_path, case))
    assert {one["rule"] for one in found} - {"model-unknown", "fits-tightly"} == rules_broken
    assert {one["severity"] for one in found} <= {"warning", "note"}


@pytest.mark.parametrize(
    ("claimed", "wanted"),
    [
        ({}, True),
        ({"model": {"tokenSecretRef": {"name": "t", "key": "k"}}}, False),
        ({"envFromSecrets": ["hf-token"]}, False),
        ({"model": {"preload": {"enabled": False}}}, False),
    ],
)
def test_a_token_is_wanted_where_the_hub_asks_for_it(claimed: cluster.Object, wanted: bool) -> None:
    model = {"repository": broken_claims.LLAMA} | claimed.pop("model", {})
    plan = scene.planned(scene.of(model=model, **claimed))
    assert (foresight.NO_TOKEN in [one.rule for one in foresight.judge(plan)]) == wanted


def test_what_is_short_beside_the_share_names_a_smaller_share(tmp_path: pathlib.Path) -> None:
    classes = {"a100": {"product": "NVIDIA-A100-SXM4-40GB", "nodeGpus": 8, "nodeSelector": {}}}
    sizes = {"contextWindow": 16384, "maxNumSeqs": 152}

    def tight(**gpu: str) -> list[str]:
        model = {"repository": "Qwen/Qwen3-32B", **sizes}
        own = scene.of(model=model, gpu={"class": "a100", "count": 4, **gpu})
        case = broken_claims.Case("", "", None, "", [own], {"gpu": {"classes": classes}})
        found = checks.findings(*checks.written(tmp_path, case))
        return [one["message"] for one in found if one["rule"] == "fits-tightly"]

    (message,) = tight()
    assert "3.25 GiB at most, and 3.15 GiB are there" in message
    assert message.endswith("It surely fits with gpu.memoryUtilization: 0.91")
    assert tight(memoryUtilization="0.91") == []


def test_a_context_that_a_yarn_makes_and_the_claim_does_not_name(tmp_path: pathlib.Path) -> None:
    rope = '{"rope_type":"yarn","factor":4.0,"original_max_position_embeddings":32768}'
    arguments = [f'--hf-overrides={{"rope_parameters":{rope}}}']
    own = scene.of(
        model={"repository": "Qwen/Qwen3-8B"}, gpu={"class": "h200"}, engineArgs=arguments
    )
    settings = {"gpu": {"classes": {"h200": {"product": "NVIDIA-H200"}}}}
    found = checks.findings(
        *checks.written(tmp_path, broken_claims.Case("", "", None, "", [own], settings))
    )
    (cut,) = (one["message"] for one in found if one["rule"] == "context-cut")
    assert "40960 tokens follow" in cut
    assert "the yarn of --hf-overrides makes 131072" in cut


_HERE = {"nodeSelector": {"gpu": "l4"}}
_LARGE = {"product": "NVIDIA-H100-80GB-HBM3"}


@pytest.mark.parametrize(
    ("claimed", "classes", "unplaced"),
    [
        ({}, {"big": _LARGE}, ["gpu.classes.l4"]),
        ({"gpu": {"class": "big"}}, {"big": _LARGE}, ["gpu.classes.big"]),
        ({}, {"big": {"product": "NVIDIA-L4", "pricePerHour": "9"}}, ["gpu.classes.l4"]),
        ({}, {"again": {"product": "NVIDIA-L4"}}, []),
        ({}, {"big": _LARGE, "l4": _HERE}, []),
        ({}, {"big": _LARGE | {"resourceName": "nvidia.com/mig-3g.40gb"}}, []),
        ({}, {"big": _LARGE | {"tolerations": [{"key": "large", "operator": "Exists"}]}}, []),
        ({"podTemplate": {"nodeSelector": {"gpu": "l4"}}}, {"big": _LARGE}, []),
        ({"scheduling": {"queue": "l4s"}}, {"big": _LARGE}, []),
    ],
)
def test_classes_that_nothing_tells_apart_when_pods_are_placed(
    tmp_path: pathlib.Path,
    claimed: dict[str, Any],
    classes: dict[str, Any],
    unplaced: list[str],
) -> None:
    bare: dict[str, Any] = {"product": "NVIDIA-L4", "tolerations": [], "runtimeClassName": None}
    own = bare | {"nodeSelector": None, "pricePerHour": None}
    settings = {"gpu": {"classes": {**classes, "l4": own | classes.get("l4", {})}}}
    two = [scene.of(name=name, **claimed) for name in ("one", "two")]
    found = checks.findings(
        *checks.written(tmp_path, broken_claims.Case("", "", None, "", two, settings))
    )
    placed = [one for one in found if one["rule"] == "class-not-placed"]
    assert [one["field"] for one in placed] == unplaced
    assert all(one["file"].endswith("site.yaml") for one in placed)


def test_classes_of_one_file_that_nothing_tells_apart_are_one_finding(
    tmp_path: pathlib.Path,
) -> None:
    bare: dict[str, Any] = {"tolerations": [], "runtimeClassName": None, "nodeSelector": None}
    products = {"l4": "NVIDIA-L4", "again": "NVIDIA-L4", "big": "NVIDIA-H100-80GB-HBM3"}
    classes = {name: {"product": product, **bare} for name, product in products.items()}
    claims = [scene.of(name=name, gpu={"class": name}) for name in products]
    settings = {"gpu": {"classes": classes}}
    found = checks.findings(
        *checks.written(tmp_path, broken_claims.Case("", "", None, "", claims, settings))
    )
    (one,) = (one for one in found if one["rule"] == "class-not-placed")
    assert one["field"] == "gpu.classes"
    assert "nothing places pods of again, big, l4 on their own GPUs" in one["message"]


@pytest.mark.parametrize(
    ("beside", "crowded"),
    [
        ({}, True),
        ({"suspend": True}, False),
        # Its download fails: no GPU is ever asked for.
        ({"model": {"repository": broken_claims.LLAMA}}, False),
        ({"model": {"repository": "Qwen/Qwen2.5-72B-Instruct"}}, False),
    ],
)
def test_a_pool_is_judged_by_the_gpus_that_are_asked_for(
    tmp_path: pathlib.Path, beside: dict[str, Any], crowded: bool
) -> None:
    model = {"repository": broken_claims.QWEN, "contextWindow": 8192}
    # The name of a claim is none of a class.
    claims = [scene.of(name="l4", model=model), scene.of(name="b", **{"model": model, **beside})]
    settings = {"gpu": {"classes": {"l4": {"poolGpus": 1}}}}
    found = checks.findings(
        *checks.written(tmp_path, broken_claims.Case("", "", None, "", claims, settings))
    )
    assert any(one["rule"] == "exceeds-node-pool" for one in found) is crowded


def test_a_fault_is_one_finding(tmp_path: pathlib.Path) -> None:
    """A flag of no version is not forbidden too, and a misspelt parser is of no family."""
    arguments = ["--gpu-memory-utilisation=0.8", "--swap-space=4", "--kv-cache-memory-byte=1"]
    claims = [
        scene.of(name="flags", model={"repository": broken_claims.QWEN}, engineArgs=arguments),
        scene.of(model={"repository": broken_claims.QWEN, "toolCallParser": "hermez"}),
    ]
    case = broken_claims.Case("", "", None, "", claims, {"permissions": {"unknownArguments": []}})
    found = checks.findings(*checks.written(tmp_path, case))
    every = [(one["field"], one["rule"]) for one in found if one["severity"] != "note"]
    assert sorted(every) == [
        ("spec.engineArgs[0]", "engine-flag-unknown"),
        ("spec.engineArgs[1]", "engine-flag-removed"),
        # The version takes it, as short for another: the settings are what refuses it.
        ("spec.engineArgs[2]", "settings-forbid"),
        ("spec.model.toolCallParser", "engine-name-unknown"),
    ]


def test_an_argument_that_is_refused_hides_no_other(tmp_path: pathlib.Path) -> None:
    arguments = ["--max-num-seqs=lots", "--swap-space=4", 7, "--enable-prefix-cachng"]
    own = scene.of(model={"repository": broken_claims.QWEN}, engineArgs=arguments)
    found = checks.findings(*checks.written(tmp_path, broken_claims.Case("", "", None, "", [own])))
    assert sorted((one["field"], one["rule"]) for one in found) == [
        ("spec.engineArgs[0]", "claim-invalid"),
        ("spec.engineArgs[1]", "engine-flag-removed"),
        ("spec.engineArgs[2]", "claim-invalid"),
        ("spec.engineArgs[3]", "engine-flag-unknown"),
    ]


def test_a_model_is_weighed_once_for_a_fleet(tmp_path: pathlib.Path) -> None:
    """The sum of a large model's tensors takes longer than the rest of what `check` does."""
    model = catalogue.lookup(broken_claims.QWEN)
    assert model is not None
    own = forms.document(model) | {"name": "org/own", "vocabulary": 151_937}
    named = [
        scene.of(name=f"model-{number}", model={"repository": "org/own", "facts": own})
        for number in range(20)
    ]
    file = command.write(tmp_path / "claims.yaml", *named)
    before = weights.per_gpu.cache_info().misses
    assert checks.findings(file, "-e", command.REFERENCE)
    assert weights.per_gpu.cache_info().misses == before + 1


# --- exit codes


@pytest.mark.parametrize(
    ("rule", "strict", "code"),
    [
        ("context-cut", True, 0),
        ("parser-of-another-family", False, 0),
        ("parser-of-another-family", True, 1),
        ("claim-invalid", False, 1),
        ("settings-invalid", False, 1),
        ("file-unreadable", False, 2),
    ],
)
def test_exit_codes(tmp_path: pathlib.Path, rule: str, strict: bool, code: int) -> None:
    (case,) = (case for case in broken_claims.CASES if case.rule == rule)
    arguments = [*checks.written(tmp_path, case), *(["--strict"] if strict else [])]
    result = checks.run(*arguments, "-o", "json")
    assert result.exit_code == code == json.loads(result.stdout)["exitCode"]


@pytest.mark.parametrize("arguments", [[], ["no-such-file.yaml"], ["-", "-e", "-"]])
def test_what_cannot_be_read_is_two(arguments: list[str]) -> None:
    assert checks.run(*arguments, given="").exit_code == 2


def test_all_examples_are_checked_and_none_of_the_reference_is_wrong() -> None:
    result = checks.run(*command.CLAIMS, "-e", command.REFERENCE)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == f"1 note in {len(command.CLAIMS)} claims"
