"""What policies make of a flow: each half with the policy and the rule that decide it.

`e2e/test_reach.py` puts the same questions to Cilium's own engine, by the thousand, and
`e2e/test_packets.py` puts those of native policies to packets.
"""

import dataclasses
from typing import Any

import pytest
import yaml

from function.reach import endpoints, forms, policies, verdicts
from function.reach.policies import Direction

WEB = endpoints.pod("web", "apps", {"app": "web"})
NEAR = endpoints.pod("near", "llm", {"app": "web"})
MODEL = endpoints.pod("model", "llm", {"app": "model"}, {"http": 8000})
NODE = endpoints.Endpoint(endpoints.Kind.NODE, "node")
OTHER_NODE = endpoints.Endpoint(endpoints.Kind.OTHER_NODE, "other node")
API_SERVER = endpoints.Endpoint(endpoints.Kind.API_SERVER, "API server", address="198.51.100.1")
PUBLIC = endpoints.Endpoint(
    endpoints.Kind.OUTSIDE, "hub", address="203.0.113.7", hosts=("cdn.hub.example.com",)
)


def _policy(kind: str, spec: str, name: str = "p", namespace: str = "llm") -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"kind": kind, "metadata": metadata, "spec": yaml.safe_load(spec)}


def cilium(spec: str, **where: str) -> dict[str, Any]:
    return _policy("CiliumNetworkPolicy", f"{{endpointSelector: {{}}, {spec}}}", **where)


def native(spec: str, **where: str) -> dict[str, Any]:
    return _policy("NetworkPolicy", f"{{podSelector: {{}}, {spec}}}", **where)


def half(
    manifest: dict[str, Any],
    source: endpoints.Endpoint,
    destination: endpoints.Endpoint,
    port: int = 8000,
    protocol: str = "TCP",
) -> tuple[verdicts.Why, str]:
    """Returns what decides the half that the model's policies are about, and the rule."""
    hop = policies.Hop(source, destination, port, protocol)
    direction = Direction.EGRESS if source == MODEL else Direction.INGRESS
    decided = verdicts.half(forms.read([manifest]), hop, direction)
    return decided.why, decided.rule


NO_POLICY, NO_RULE = (verdicts.Why.NO_POLICY, ""), (verdicts.Why.NO_RULE, "")
DENIED, UNDECIDED, NODES = verdicts.Why.DENIED, verdicts.Why.UNDECIDED, (verdicts.Why.NODE, "")
RULE = (verdicts.Why.RULE, "ingress[0]")
OUT = (verdicts.Why.RULE, "egress[0]")
NAMESPACE = f"k8s:{endpoints.NAMESPACE}"
WEB_PODS = "fromEndpoints: [{matchLabels: {app: web}}]"


@pytest.mark.parametrize(
    ("manifest", "source", "expected"),
    [
        # A selector without a namespace is about the policy's own.
        (cilium(f"ingress: [{{{WEB_PODS}}}]"), NEAR, RULE),
        (cilium(f"ingress: [{{{WEB_PODS}}}]"), WEB, NO_RULE),
        (
            cilium(f"ingress: [{{fromEndpoints: [{{matchLabels: {{{NAMESPACE}: apps}}}}]}}]"),
            WEB,
            RULE,
        ),
        # An empty rule closes and lets nobody in; no rule closes nothing.
        (cilium("ingress: [{}]"), NEAR, NO_RULE),
        (cilium("ingress: [], egress: [{}]"), NEAR, NO_POLICY),
        (cilium("ingress: [{}], enableDefaultDeny: {ingress: false}"), NEAR, NO_POLICY),
        # The pod's own node gets in, another one does not.
        (cilium("ingress: [{}]"), NODE, NODES),
        (cilium("ingress: [{}]"), OTHER_NODE, NO_RULE),
        (cilium("ingress: [{fromEntities: [cluster]}]"), WEB, RULE),
        (cilium("ingress: [{fromEntities: [world]}]"), WEB, NO_RULE),
        # A denial wins over whatever lets in.
        (
            cilium(f"ingress: [{{{WEB_PODS}}}], ingressDeny: [{{fromEntities: [all]}}]"),
            NEAR,
            (DENIED, "ingressDeny[0]"),
        ),
        # Addresses are never pods.
        (cilium("ingress: [{fromCIDR: [0.0.0.0/0]}]"), WEB, NO_RULE),
        (cilium("ingress: [{fromCIDR: [203.0.113.0/24]}]"), PUBLIC, RULE),
        # Ports by number, in a range, by the pod's own name for it.
        (cilium("ingress: [{toPorts: [{ports: [{port: '8000'}]}]}]"), WEB, RULE),
        (cilium("ingress: [{toPorts: [{ports: [{port: http}]}]}]"), WEB, RULE),
        (cilium("ingress: [{toPorts: [{ports: [{port: '7000', endPort: 8000}]}]}]"), WEB, RULE),
        (cilium("ingress: [{toPorts: [{ports: [{port: '8000', protocol: UDP}]}]}]"), WEB, NO_RULE),
        # What no manifest tells.
        (
            cilium("ingress: [{fromGroups: [{aws: {region: eu}}]}]"),
            PUBLIC,
            (UNDECIDED, "ingress[0]"),
        ),
        # The agent rejects the whole policy: its pods stay open.
        (cilium("ingress: [{fromEntities: [all], fromCIDR: [10.0.0.0/8]}]"), WEB, NO_POLICY),
        (native("policyTypes: [Ingress]"), NEAR, NO_RULE),
        (native("policyTypes: [Ingress]"), NODE, NODES),
        (native("policyTypes: [Egress]"), NEAR, NO_POLICY),
        (native("ingress: [{}]"), PUBLIC, RULE),
        (native("ingress: [{from: [{podSelector: {}}]}]"), NEAR, RULE),
        (native("ingress: [{from: [{podSelector: {}}]}]"), WEB, NO_RULE),
        (native("ingress: [{from: [{namespaceSelector: {}}]}]"), WEB, RULE),
        (
            native(
                "ingress: [{from: [{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.0/28]}}]}]"
            ),
            PUBLIC,
            NO_RULE,
        ),
        (native("ingress: [{ports: [{port: http}]}]"), WEB, RULE),
        (native("ingress: [{ports: [{port: 8000, protocol: UDP}]}]"), WEB, NO_RULE),
        (native("ingress: [{}]", namespace="apps"), WEB, NO_POLICY),
    ],
)
def test_who_gets_in(
    manifest: dict[str, Any], source: endpoints.Endpoint, expected: tuple[verdicts.Why, str]
) -> None:
    assert half(manifest, source, MODEL) == expected


@pytest.mark.parametrize(
    ("manifest", "destination", "expected"),
    [
        (cilium("egress: [{toFQDNs: [{matchName: cdn.hub.example.com}]}]"), PUBLIC, OUT),
        (cilium("egress: [{toFQDNs: [{matchPattern: '*.hub.example.com'}]}]"), PUBLIC, OUT),
        # A star is no dot.
        (cilium("egress: [{toFQDNs: [{matchPattern: '*.example.com'}]}]"), PUBLIC, NO_RULE),
        (cilium("egress: [{toFQDNs: [{matchPattern: '**.example.com'}]}]"), PUBLIC, OUT),
        (cilium("egress: [{toEntities: [kube-apiserver]}]"), API_SERVER, OUT),
        (cilium("egress: [{toEntities: [kube-apiserver]}]"), PUBLIC, NO_RULE),
        (cilium("egress: [{toEntities: [host]}]"), NODE, OUT),
        (cilium("egress: [{toEntities: [host]}]"), OTHER_NODE, NO_RULE),
        (native("egress: [{}]"), NODE, OUT),
        (native("policyTypes: [Egress]"), NODE, NO_RULE),
        # Without `policyTypes` rules of egress make it one of egress.
        (native("ingress: [{}]"), WEB, NO_POLICY),
    ],
)
def test_what_is_reached(
    manifest: dict[str, Any], destination: endpoints.Endpoint, expected: tuple[verdicts.Why, str]
) -> None:
    assert half(manifest, MODEL, destination) == expected


def test_a_flow_passes_when_it_leaves_and_enters() -> None:
    given = forms.read(
        [
            cilium("ingress: [{fromEntities: [cluster]}]", name="in"),
            native("policyTypes: [Egress]", name="out", namespace="apps"),
        ]
    )
    verdict = verdicts.judge(given, policies.Hop(WEB, MODEL, 8000))
    assert verdict.passes is False
    assert str(verdict.egress) == "no rule of NetworkPolicy apps/out"
    assert str(verdict.ingress) == "CiliumNetworkPolicy llm/in ingress[0]"


def test_what_else_a_rule_asks_for_is_told() -> None:
    rule = "toPorts: [{ports: [{port: '8000'}], rules: {http: [{method: GET}]}}]"
    given = forms.read([cilium(f"ingress: [{{{rule}}}]")])
    verdict = verdicts.judge(given, policies.Hop(WEB, MODEL, 8000))
    assert str(verdict.ingress) == "CiliumNetworkPolicy llm/p ingress[0] (its HTTP rules)"


def test_each_part_of_an_object_counts() -> None:
    manifest = cilium("ingress: [{}]")
    manifest["specs"] = [{"endpointSelector": {}, "ingress": [{"fromEntities": ["all"]}]}]
    assert half(manifest, WEB, MODEL) == (verdicts.Why.RULE, "specs[0].ingress[0]")
    manifest["specs"].append({"endpointSelector": {}})
    assert half(manifest, WEB, MODEL) == NO_POLICY


def test_what_is_no_policy_is_named() -> None:
    with pytest.raises(ValueError, match="CiliumNetworkPolicy p is no policy"):
        forms.read([cilium("ingress: [{fromCIDR: [nonsense]}]")])


def test_ends_of_one_hash_may_differ() -> None:
    other = dataclasses.replace(MODEL, ports=())
    assert hash(other) == hash(MODEL)
    assert other != MODEL
