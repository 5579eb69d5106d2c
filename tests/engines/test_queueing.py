"""How many requests a replica takes in before it refuses more."""

from typing import Any

from tests import cluster, schemas
from tests.resources import scene

NEWER = {"version": "0.32.0"}
# A card and a model of the catalogue, on which requests of any workload fit.
KNOWN = {"repository": "Qwen/Qwen3-8B"}


def world(seconds: int | None, *, engine: Any = NEWER, **model: Any) -> cluster.Cluster:
    asked = model | ({} if seconds is None else {"longestQueueSeconds": seconds})
    claimed = scene.of(engine=engine, model=asked, gateway={"enabled": True})
    return scene.serving(claimed, scene.site("reference"))


def bound(of: cluster.Cluster) -> int | None:
    (container, *_) = of.template["spec"]["containers"]
    values = [
        int(argument.partition("=")[2])
        for argument in container["args"]
        if argument.startswith("--max-num-queued-reqs=")
    ]
    assert len(values) <= 1
    return values[0] if values else None


def running(of: cluster.Cluster) -> int:
    (container, *_) = of.template["spec"]["containers"]
    (value,) = [one for one in container["args"] if one.startswith("--max-num-seqs=")]
    return int(value.partition("=")[2])


def test_the_bound_grows_with_the_wait_by_what_a_full_replica_ends() -> None:
    """vLLM counts requests that run too: the bound lies above what runs at once."""
    short, long = (bound(world(seconds, **KNOWN)) for seconds in (10, 100))
    assert short is not None
    assert long is not None
    rate = (long - short) / 90
    # An L4 with 8B parameters in 16 bits: requests of 1155 and 211 tokens, each some seconds.
    assert 0.1 < rate < 5
    assert abs(short - 10 * rate - (long - 100 * rate)) <= 2


def test_without_the_field_nothing_is_bounded() -> None:
    unbounded = world(None, **KNOWN)
    assert bound(unbounded) is None
    assert "responseOverride" not in unbounded.one("BackendTrafficPolicy")["spec"]


def test_of_an_unknown_model_as_many_wait_as_run() -> None:
    unknown = world(10, repository="somebody/something")
    assert bound(unknown) == 2 * running(unknown)


def test_one_request_more_than_runs_is_let_in() -> None:
    """A bound of what runs would refuse a request while another one is about to end."""
    slow = world(1, **KNOWN, maxNumSeqs=1)
    assert bound(slow) == 2


def test_the_gateway_says_429_for_the_engine_and_not_for_itself() -> None:
    """Envoy answers 503 too when it has no pod; only the engine's has its server's name."""
    bounded = world(10, **KNOWN)
    policy = bounded.owned["model-backendtrafficpolicy"]
    assert schemas.validate(policy) == []
    (override,) = policy["spec"]["responseOverride"]
    assert override["match"]["statusCodes"] == [{"type": "Value", "value": 503}]
    (header,) = override["match"]["responseHeaders"]
    assert header == {"name": "server", "value": {"type": "Exact", "value": "uvicorn"}}
    assert override["response"]["statusCode"] == 429
    assert override["response"]["header"]["set"] == [{"name": "retry-after", "value": "10"}]


def test_behind_a_picker_it_says_429_too() -> None:
    asked = {**KNOWN, "longestQueueSeconds": 10}
    gateway = {"enabled": True, "endpointPicker": {"enabled": True}}
    bounded = scene.serving(scene.of(engine=NEWER, model=asked, gateway=gateway))
    (override,) = bounded.one("BackendTrafficPolicy")["spec"]["responseOverride"]
    assert override["response"]["statusCode"] == 429


def test_an_older_gateway_passes_the_503_on() -> None:
    """It does not know the header in the match, and would answer 429 for no pod at all."""
    api = {"gateway": {"apiVersion": "aigateway.envoyproxy.io/v1alpha1"}}
    asked = {**KNOWN, "longestQueueSeconds": 10}
    claimed = scene.of(engine=NEWER, model=asked, gateway={"enabled": True})
    older = scene.serving(claimed, scene.site("reference", **api))
    assert "responseOverride" not in older.one("BackendTrafficPolicy")["spec"]
    assert bound(older) is not None


def test_an_older_engine_is_refused_with_the_field() -> None:
    claimed = scene.of(model={**KNOWN, "longestQueueSeconds": 10})
    message = scene.refused(claimed)
    assert "spec.model.longestQueueSeconds: vLLM 0.25.1 is older than 0.32.0" in message
