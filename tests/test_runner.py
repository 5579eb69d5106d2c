"""The protobuf interface: requests, answers, and that no field is lost between them."""

import copy
import json

import pytest
import yaml
from crossplane.function import resource as resources
from crossplane.function.proto.v1 import run_function_pb2 as fnv1
from google.protobuf import struct_pb2

from function.composites import inference_service
from function.server import runner, structs
from tests import cluster, quiet


def request(
    claim: cluster.Object | None = None, *environments: cluster.Object
) -> fnv1.RunFunctionRequest:
    """Returns a first request for a claim."""
    return cluster.Cluster(
        claim or cluster.example("xplane-qwen-coder"),
        *(environments or (cluster.environment("reference"),)),
    ).request()


def environment(name: str, **data: object) -> cluster.Object:
    """Returns an EnvironmentConfig."""
    return {"kind": "EnvironmentConfig", "metadata": {"name": name}, "data": dict(data)}


def run(req: fnv1.RunFunctionRequest) -> fnv1.RunFunctionResponse:
    """Returns the answer. An exception in the function fails the test."""
    log = quiet.Quiet()
    rsp = runner.run(req, log)
    assert not log.errors
    return rsp


def fatal(rsp: fnv1.RunFunctionResponse) -> str:
    """Returns the only fatal result."""
    (message,) = [r.message for r in rsp.results if r.severity == fnv1.SEVERITY_FATAL]
    return str(message)


def hosts(rsp: fnv1.RunFunctionResponse) -> str:
    """Returns the hosts that the preload policy names: the settings decide them."""
    (policy,) = [
        structs.plain(item.resource)
        for key, item in rsp.desired.resources.items()
        if key.endswith("netpol-download")
    ]
    return str(policy["spec"]["egress"][1]["toFQDNs"])


def test_the_tag_is_copied_and_the_answer_may_live_long() -> None:
    req = request()
    req.meta.tag = "a-tag"
    rsp = run(req)
    assert rsp.meta.tag == "a-tag"
    assert rsp.meta.ttl.seconds == 600


def test_desired_state_of_earlier_steps_is_kept() -> None:
    req = request()
    earlier = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}
    resources.update(req.desired.resources["earlier"], earlier)
    req.context.update({"kept": "yes"})
    rsp = run(req)
    assert structs.plain(rsp.desired.resources["earlier"].resource) == earlier
    assert rsp.context["kept"] == "yes"
    assert len(rsp.desired.resources) > 5


def test_what_an_earlier_step_desired_under_a_key_of_ours_is_replaced() -> None:
    req = request()
    key = next(key for key in sorted(run(req).desired.resources) if key.endswith("-service"))
    wanted = structs.plain(run(req).desired.resources[key].resource)
    earlier = {"apiVersion": "v1", "kind": "Service", "data": {"left": "over"}}
    resources.update(req.desired.resources[key], earlier)
    assert structs.plain(run(req).desired.resources[key].resource) == wanted


def test_desired_state_of_earlier_steps_is_kept_by_a_fatal_answer() -> None:
    req = request()
    resources.update(
        req.desired.resources["earlier"],
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}},
    )
    req.observed.composite.resource.update({"spec": {"model": {"repository": ".."}}})
    assert "earlier" in run(req).desired.resources


@pytest.mark.pitfall("a phantom composed resource: the XR was emitted as one")
def test_only_status_is_desired_of_the_claim() -> None:
    desired = structs.plain(run(request()).desired.composite.resource)
    assert set(desired) == {"status"}


def test_a_bug_is_a_fatal_answer_with_an_id_that_the_log_explains(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("secret-value")

    monkeypatch.setattr(inference_service, "compose", broken)
    logged: list[dict[str, object]] = []

    class Log(quiet.Quiet):
        def exception(self, message: str, **fields: object) -> None:
            logged.append(fields)

    rsp = runner.run(request(), Log())
    words = fatal(rsp)
    assert str(logged[0]["error_id"]) in words
    assert "secret-value" not in words
    assert not rsp.desired.resources
    assert {c.type for c in rsp.conditions} == set(inference_service.CONDITION_TYPES)
    assert rsp.conditions[0].reason == "InternalError"
    again = runner.run(request(), Log())
    assert fatal(again) == words, "a message that changes would wake core for ever"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda c: c["spec"]["model"].pop("repository"), "repository is required"),
        (lambda c: c["spec"]["model"].__setitem__("repository", "a b"), "spec.model.repository"),
        (
            lambda c: c["spec"].__setitem__("scaling", {"minReplicas": 3, "maxReplicas": 2}),
            "at most",
        ),
        (lambda c: c["spec"].__setitem__("extra", 1), "spec.extra: unknown field"),
        (lambda c: c["spec"]["model"].__setitem__("maxNumSeqs", 1.5), "spec.model.maxNumSeqs"),
        (lambda c: c["metadata"].__setitem__("name", "x" * 60), "metadata.name"),
        (lambda c: c.pop("spec"), "spec"),
    ],
)
def test_a_bad_claim_is_named_by_field_and_rule(spoil: object, words: str) -> None:
    claim = cluster.example("xplane-qwen-coder")
    assert callable(spoil)
    spoil(claim)
    assert words in fatal(run(request(claim)))


def test_an_empty_request_is_a_fatal_answer() -> None:
    assert fatal(run(fnv1.RunFunctionRequest()))


@pytest.mark.pitfall("numbers from a protobuf Struct print as 8192.0")
def test_whole_numbers_reach_arguments_as_integers() -> None:
    claim = cluster.example("xplane-qwen-coder")
    claim["spec"]["model"] |= {"contextWindow": 32768.0, "maxNumSeqs": 32.0}
    world = cluster.Cluster(claim, cluster.environment("reference"))
    world.converge()
    assert "--max-model-len=32768" in world.arguments


def test_asking_for_an_absent_observed_object_does_not_make_one() -> None:
    req = request()
    before = req.SerializeToString(deterministic=True)
    run(req)
    assert req.SerializeToString(deterministic=True) == before


def test_the_answer_is_far_from_what_core_refuses() -> None:
    world = cluster.Cluster(cluster.example("xplane-qwen-coder"), cluster.environment("reference"))
    world.converge()
    assert world.response.ByteSize() < 200_000


# --- settings


@pytest.mark.decision(9)
def test_without_settings_nothing_is_rendered() -> None:
    req = request()
    del req.required_resources["settings"]
    words = fatal(run(req))
    assert "inference-service.cloud.ogenki.io/settings" in words
    assert "restart the fleet" in words


def test_the_input_may_say_that_settings_are_optional() -> None:
    req = request()
    del req.required_resources["settings"]
    req.input.update(
        {
            "apiVersion": "inference-service.cloud.ogenki.io/v1alpha1",
            "kind": "Settings",
            "environment": "Optional",
        }
    )
    assert run(req).desired.resources


def test_an_empty_settings_map_takes_the_defaults() -> None:
    rsp = run(request(None, environment("a", inferenceService={})))
    assert any(key.endswith("-networkpolicy") for key in rsp.desired.resources)


@pytest.mark.decision(9)
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_settings_merge_in_name_order_whatever_the_order_of_arrival(order: tuple[int, ...]) -> None:
    base = cluster.environment("reference")
    base["metadata"]["name"] = "a"
    over = environment(
        "b", inferenceService={"region": "us-east-1", "preload": {"egressHosts": ["x.{region}.y"]}}
    )
    configs = (base, over)
    rsp = run(request(None, *(configs[i] for i in order)))
    assert hosts(rsp) == "[{'matchName': 'x.us-east-1.y'}]"


def test_environment_configs_win_over_context_and_context_over_input() -> None:
    def answer(*, config: str | None, context: str | None) -> str:
        reference = cluster.environment("reference")
        reference["data"].pop("region")
        if config is not None:
            reference["data"]["inferenceService"]["region"] = config
        req = request(None, reference)
        if context is not None:
            req.context.update({runner.ENVIRONMENT_CONTEXT: {"region": context, "vpcId": "v"}})
        req.input.update(
            {
                "apiVersion": "inference-service.cloud.ogenki.io/v1alpha1",
                "kind": "Settings",
                "region": "input-1",
            }
        )
        return hosts(run(req))

    assert "s3.config-1." in answer(config="config-1", context="context-1")
    assert "s3.context-1." in answer(config=None, context="context-1")
    assert "s3.input-1." in answer(config=None, context=None)


def test_settings_may_come_in_the_context_as_function_environment_configs_gives_them() -> None:
    req = request()
    del req.required_resources["settings"]
    req.context.update({runner.ENVIRONMENT_CONTEXT: cluster.environment("reference")["data"]})
    assert "eu-west-3" in hosts(run(req))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"inferenceService": {"typo": 1}}, "typo: unknown field"),
        ({"inferenceService": {"providers": {"gateway": "istio"}}}, "providers.gateway"),
        ({"inferenceService": []}, "must be a map"),
        ({"inferenceService": {"gpu": {"defaultClass": "x"}}}, "defaultClass must name"),
        ({"inferenceService": {"hub": {"proxy": "http://proxy:99999"}}}, "hub.proxy"),
    ],
)
def test_bad_settings_are_named_by_key(data: cluster.Object, words: str) -> None:
    assert words in fatal(run(request(None, environment("a", **data))))


def test_an_unknown_key_of_the_input_is_refused() -> None:
    req = request()
    req.input.update(
        {
            "apiVersion": "inference-service.cloud.ogenki.io/v1alpha1",
            "kind": "Settings",
            "providers": {"gatway": "none"},
        }
    )
    assert "gatway" in fatal(run(req))


def test_other_keys_of_an_environment_config_are_ignored() -> None:
    config = environment("a", inferenceService={}, clusterName="x", vpcId="y")
    assert run(request(None, config)).desired.resources


def test_changed_settings_are_seen_by_the_next_call() -> None:
    first = cluster.environment("reference")
    second = copy.deepcopy(first)
    second["data"]["region"] = "eu-north-1"
    assert "eu-west-3" in hosts(run(request(None, first)))
    assert "eu-north-1" in hosts(run(request(None, second)))


# --- structs


def test_views_decode_what_is_asked_and_sort_what_is_walked() -> None:
    value: cluster.Object = {"b": 1, "a": {"d": [1, {"x": 2.5}], "c": True}, "n": None, "s": "t"}
    struct = struct_pb2.Struct()
    struct.update(value)
    view = structs.StructView(struct)
    assert list(view) == ["a", "b", "n", "s"]
    assert view["b"] == 1
    assert isinstance(view["b"], int)
    assert view["a"]["d"][1]["x"] == 2.5
    assert view.get("absent") is None
    assert "absent" not in view
    with pytest.raises(KeyError):
        view["absent"]
    assert len(view) == 4
    assert structs.plain(struct) == value
    assert json.dumps(structs.plain(struct)) == json.dumps(value, sort_keys=True)


@pytest.mark.decision(9)
def test_the_shipped_composition_asks_for_the_settings_by_label() -> None:
    document = yaml.safe_load(
        (cluster.ROOT / "compositions/xinferenceservices.cloud.ogenki.io.yaml").read_text()
    )
    (step,) = document["spec"]["pipeline"]
    (wanted,) = step["requirements"]["requiredResources"]
    assert wanted["requirementName"] == runner.SETTINGS_REQUIREMENT
    assert wanted["matchLabels"] == {"inference-service.cloud.ogenki.io/settings": "true"}
    assert document["metadata"]["name"] == "xinferenceservices.cloud.ogenki.io"
