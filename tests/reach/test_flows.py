"""The flows of example claims: what they need passes, nobody else gets in, in both forms."""

import functools
from collections.abc import Iterable
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from function.api import settings
from function.cli import documents, planned
from function.concerns.gateway import native_picker
from function.findings import reachability
from function.reach import flows, places
from function.workloads import analyses
from tests import cluster, effort, strategies
from tests.resources import scene

FORMS = ("cilium", "kubernetes")
EXAMPLES = ("examples/claims", "examples/features")


def reached(claimed: Any, **changes: Any) -> flows.Reach:
    """Returns who reaches whom for a claim in the reference platform with changed settings."""
    site = settings.assemble({}, {}, [scene.site(**changes)])
    (reach,) = flows.of(_subjects([planned.of(documents.Source("-", claimed), site)]))
    return reach


def _subjects(claims: Iterable[planned.Planned]) -> list[flows.Subject]:
    return [
        flows.subject(one.plan, one.answer)
        for one in claims
        if one.plan is not None and one.answer is not None
    ]


def words(reach: flows.Reach, *, rule: str = "") -> list[tuple[str, str, str]]:
    """Returns severity, field and message of each finding."""
    return [
        (str(one.severity), one.field, one.message)
        for one in reachability.judge(reach)
        if rule in ("", one.rule.name)
    ]


@functools.cache
def _judged(form: str) -> dict[tuple[Any, ...], bool | None]:
    """Returns what becomes of each flow of all examples at once."""
    # A NetworkPolicy knows no names: without networks it opens every public address.
    store = {"egressCidrs": ["192.0.2.0/24"]}
    config = scene.site(providers={"networkPolicy": form, "queue": "kueue"}, objectStore=store)
    site = settings.assemble({}, {}, [config])
    sources = documents.claims(str(cluster.ROOT / name) for name in EXAMPLES).sources
    subjects = _subjects(planned.of(source, site) for source in sources)
    return {
        (
            reach.plan.identity.name,
            flow.hop.source.name,
            flow.hop.destination.name,
            flow.hop.protocol,
            flow.hop.port,
            None if flow.need is None else flow.need.why,
        ): flow.verdict.passes
        for reach in flows.of(subjects, between=True)
        for flow in reach.flows
    }


def test_both_forms_give_the_same_verdicts() -> None:
    """But for the agent on the node, which a NetworkPolicy has no word for."""
    one, other = map(_judged, FORMS)
    both = one.keys() & other.keys()
    assert len(both) > 0.99 * max(len(one), len(other))
    assert {key[5] for key in both if one[key] is not other[key]} == {"an agent on the node"}


@pytest.mark.parametrize("form", FORMS)
def test_what_examples_need_passes_and_nothing_else(form: str) -> None:
    wrong = {
        (key[0], key[5])
        for key, passes in _judged(form).items()
        if passes is not (key[5] is not None)
    }
    # The reference platform's route has a Gateway whose proxies no setting names.
    routed = ("route", "reranker")
    expected: set[tuple[str, str | None]] = {(name, "requests by the route") for name in routed}
    if form == "kubernetes":
        expected |= {(key[0], key[5]) for key in _judged(form) if key[5] == "an agent on the node"}
    assert wrong == expected


def test_a_store_without_networks_is_open_to_more_than_names_where_policies_know_none() -> None:
    bucket = cluster.load("examples/features/weights-in-bucket.yaml")
    preload: Any = {"egressHostPorts": []}
    assert words(reached(bucket, preload=preload)) == []
    native = reached(bucket, preload=preload, providers={"networkPolicy": "kubernetes"})
    ((severity, _, message),) = words(native)
    assert severity == "warning"
    assert "can reach any public address on 443, which nobody asks for" in message


@pytest.mark.parametrize("form", FORMS)
def test_a_store_in_the_cluster_is_reached_and_nothing_beside_it(form: str) -> None:
    bucket = cluster.load("examples/features/weights-in-bucket.yaml")
    store = {
        "endpoint": "http://minio.minio.svc:9000",
        "pods": {"namespace": "minio", "podLabels": {"app": "minio"}},
    }
    reach = reached(
        bucket,
        preload={"egressHostPorts": []},
        providers={"networkPolicy": form},
        objectStore=store,
    )
    assert words(reach) == []
    (flow,) = [one for one in reach.flows if one.need and one.need.field == "spec.model.uri"]
    assert (flow.hop.destination.name, flow.hop.port) == ("object store", 9000)


@pytest.mark.parametrize("form", FORMS)
def test_a_native_picker_has_the_flows_that_it_needs_and_no_other(form: str) -> None:
    """The policies select the pods that the claim makes, on the ports that these open."""
    reach = reached(
        cluster.load("examples/features/native-picker.yaml"),
        endpointPicker={"provider": "native"},
        providers={"networkPolicy": form},
        # A NetworkPolicy has no word for an agent on the node.
        preload={"egressHostPorts": []},
    )
    assert words(reach) == []
    made = {part.suffix: part.manifest for part in native_picker.parts(reach.plan)}
    template = made["picker-deployment"]["spec"]["template"]
    pods = places.picker(reach.plan)
    assert dict(pods.labels).items() <= template["metadata"]["labels"].items()
    (program,) = template["spec"]["containers"]
    callers = {
        (flow.hop.source.name, flow.hop.port)
        for flow in reach.flows
        if flow.need is not None and flow.hop.destination == pods
    }
    assert {port for _, port in callers} == {one["containerPort"] for one in program["ports"]}
    asked = {
        flow.hop.destination.name
        for flow in reach.flows
        if flow.need is not None and flow.hop.source == pods
    }
    assert asked == {"native-picker: serving pods", "the API server", "cluster DNS"}


@pytest.mark.parametrize("form", FORMS)
def test_a_picker_asks_the_leaders_of_groups_alone(form: str) -> None:
    claimed = cluster.load("examples/features/native-picker.yaml")
    claimed["spec"]["gpu"] = {"count": 1, "parallelism": {"pipeline": 2}}
    reach = reached(
        claimed,
        endpointPicker={"provider": "native"},
        providers={"networkPolicy": form},
        preload={"egressHostPorts": []},
        limits={"maxGPUs": 64},
    )
    assert words(reach) == []
    picker, followers = places.picker(reach.plan), places.followers(reach.plan)
    between = [
        flow
        for flow in reach.flows
        if {flow.hop.source, flow.hop.destination} == {picker, followers}
    ]
    assert not [flow for flow in between if flow.need is not None or flow.verdict.passes]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("outside", [False, True])
def test_what_judges_canaries_reaches_the_metrics_and_names_alone(form: str, outside: bool) -> None:
    given: dict[str, object] = {"queryURL": "http://metrics.example.com:8428"}
    if outside:
        given["egressCidrs"] = ["192.0.2.0/24"]
    else:
        given["store"] = {"namespace": "monitoring", "podLabels": {"app": "metrics"}, "port": 9090}
    reach = reached(
        cluster.load("examples/features/gate.yaml"),
        canaryGates=given,
        providers={"networkPolicy": form},
        preload={"egressHostPorts": []},
    )
    assert words(reach) == []
    pods = places.gate(reach.plan)
    own = [flow for flow in reach.flows if pods in (flow.hop.source, flow.hop.destination)]
    passed = {(flow.hop.destination.name, flow.hop.port) for flow in own if flow.verdict.passes}
    store = ("metrics store in 192.0.2.0/24", 8428) if outside else ("metrics store", 9090)
    assert passed == {store, ("cluster DNS", 53)}
    template = analyses.job(reach.plan, analyses.Step(reach.plan.gates[0], 5, 0, None, None))
    labels = template["spec"]["template"]["metadata"]["labels"]
    assert dict(pods.labels).items() <= labels.items()


# --- findings


TWO_KINDS = {"fromEntities": ["host"], "fromCIDR": ["10.0.0.0/8"]}
MIRROR = "https://mirror.example.com:8443"


@pytest.mark.parametrize(
    ("spec", "changes", "expected"),
    [
        ({}, {}, []),
        # Whoever writes the policies is not us.
        ({}, {"providers": {"networkPolicy": "none"}}, []),
        (
            {},
            {"network": {"scrapers": []}},
            [("note", "spec", "a scraper that no setting names cannot reach model: serving pods")],
        ),
        # A mirror inside the cluster is not the world.
        (
            {},
            {"hub": {"endpoint": "http://mirror.tools.svc:8080"}},
            [("warning", "spec", "model: download cannot reach mirror.tools.svc on 8080")],
        ),
        ({}, {"hub": {"endpoint": MIRROR}}, []),
        (
            {"networkPolicies": {"ingress": []}, "gateway": {"enabled": True}},
            {},
            [("warning", "spec.gateway", "AI gateway cannot reach model: serving pods on 8000")],
        ),
        (
            {"networkPolicies": {"egress": [{"toEntities": ["world"]}]}},
            {},
            [
                (
                    "warning",
                    "spec.networkPolicies.egress[0]",
                    "model: serving pods can reach any pub",
                )
            ],
        ),
        # Open to its own namespace is a note.
        (
            {"networkPolicies": {"ingress": [{"fromEndpoints": [{}]}]}},
            {},
            [("note", "spec.networkPolicies.ingress[0]", "can reach model: serving pods on")],
        ),
        # The agent rejects what names two kinds of peers: everything is open then.
        (
            {"networkPolicies": {"ingress": [TWO_KINDS]}},
            {},
            [
                ("warning", "spec.networkPolicies", "Cilium rejects CiliumNetworkPolicy llm/model"),
                ("warning", "spec.networkPolicies", "Cilium rejects CiliumNetworkPolicy llm/model"),
            ],
        ),
    ],
)
def test_what_is_found(
    spec: dict[str, Any], changes: dict[str, Any], expected: list[tuple[str, str, str]]
) -> None:
    judged = words(reached(scene.of(**spec), **changes))
    assert [one[:2] for one in judged] == [one[:2] for one in expected]
    for one, wanted in zip(judged, expected, strict=True):
        assert wanted[2] in one[2]


def test_policies_of_callers_count() -> None:
    """The half of the caller is somebody else's, and may be closed too."""
    site = settings.assemble({}, {}, [scene.site()])
    subjects = _subjects([planned.of(documents.Source("-", scene.of()), site)])
    closed = {
        "kind": "NetworkPolicy",
        "metadata": {"name": "closed", "namespace": "observability"},
        "spec": {"podSelector": {}, "policyTypes": ["Egress"]},
    }
    (reach,) = flows.of(subjects, [closed])
    (finding,) = reachability.judge(reach)
    assert finding.rule is reachability.FLOW_CLOSED
    assert "no rule of NetworkPolicy observability/closed" in finding.message


# --- whatever is written


@hypothesis.given(document=strategies.claims(), form=st.sampled_from(FORMS))
def test_every_claim_can_be_judged(document: Any, form: str) -> None:
    site = settings.assemble(
        {}, {}, [scene.site(providers={"networkPolicy": form, "queue": "kueue"})]
    )
    one = planned.of(documents.Source("-", document), site)
    hypothesis.assume(one.answer is not None)
    (reach,) = flows.of(_subjects([one]))
    for finding in reachability.judge(reach):
        assert finding.field.startswith("spec")
        # Only who writes rules, or lets somebody in, meets more than a note; and who reads from an
        # object store that has no networks in the settings, which NetworkPolicy cannot name.
        stored = form == "kubernetes" and document["spec"]["model"].get("source") == "s3"
        if finding.rule is reachability.FLOW_OPEN and not stored:
            assert {"networkPolicies", "access"} & set(document["spec"]), finding.message


@hypothesis.example(given={"network": {"callers": [{"podLabels": {"team": ""}}], "dns": {}}})
@hypothesis.example(given={"providers": {"monitoring": "none"}, "network": {"scrapers": [{}]}})
@hypothesis.given(given=strategies.settings())
@effort.examples(15, 40)
def test_the_smallest_claim_opens_nothing_on_any_site(given: Any) -> None:
    config = {"kind": "EnvironmentConfig", "metadata": {"name": "a"}, "data": {}}
    config["data"] = {"inferenceService": given}
    for field in ("limits", "allowed", "reservedNames"):
        given.pop(field, None)
    site = settings.assemble({}, {}, [config])
    one = planned.of(documents.Source("-", cluster.example("smallest")), site)
    hypothesis.assume(one.answer is not None)
    (reach,) = flows.of(_subjects([one]))
    assert words(reach, rule="flow-open") == []
