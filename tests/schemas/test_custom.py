"""Every custom kind that is composed: one good object, and bad ones that are refused."""

import pytest

from tests import crds, schemas
from tests.schemas import custom, samples

_OWNER = {"apiVersion": "v1", "kind": "A", "name": "a", "uid": "u"}

MUTATIONS = [
    ("ScaledObject", "spec.pausedReplicas", 1, "spec.pausedReplicas: unknown field"),
    ("ScaledObject", "spec.triggers.0.metadata.threshold", 5, "must be string, is integer"),
    ("ScaledObject", "spec.minReplicaCount", 5, "minReplicaCount must be less than or equal"),
    ("CiliumNetworkPolicy", "spec.ingress.0.toPorts.0.ports.0.port", 8000, "must be string"),
    ("CiliumNetworkPolicy", "spec.ingress.0.fromRequires", [{}], "at most 0 are allowed"),
    ("CiliumNetworkPolicy", "spec.endpointSelector.matchLabels.app", "x" * 64, "at most 63"),
    ("VMServiceScrape", "spec.endpoints.0.port", 8000, "must be string, is integer"),
    ("VMServiceScrape", "spec.endpoints", None, "spec.endpoints: required"),
    ("VMRule", "spec.groups", "none", "spec.groups: must be array, is string"),
    ("VMRule", "spec.groups.0.rules.0.keepFiringFor", "5m", "keepFiringFor: unknown field"),
    ("ServiceMonitor", "spec.endpoints.0.interval", "often", "must match the pattern"),
    ("ServiceMonitor", "spec.selector", None, "spec.selector: required"),
    ("PrometheusRule", "spec.groups.0.rules.0.expr", None, "rules[0].expr: required"),
    ("PrometheusRule", "spec.groups.0.rules.0.for", "soon", "must match the pattern"),
    ("ExternalSecret", "apiVersion", "external-secrets.io/v1beta1", "does not serve v1beta1"),
    ("ExternalSecret", "spec.target.creationPolicy", "Always", "must be one of ['Owner'"),
    ("AIGatewayRoute", "spec.rules.0.timeouts.request", "1.5s", "must match the pattern"),
    ("AIGatewayRoute", "spec.rules.0.name", "route-not-found", "route-not-found"),
    ("AIGatewayRoute", "spec.rules.0.matches.0.path", {"value": "/"}, "path: unknown field"),
    ("AIServiceBackend", "spec.backendRef.kind", "Service", "BackendRef must be a Backend"),
    ("AIServiceBackend", "spec.timeouts", {"request": "60s"}, "spec.timeouts: unknown field"),
    (
        "Backend",
        "spec.endpoints.0.ip",
        {"address": "10.0.0.1", "port": 1},
        "only one of fqdn, ip or unix",
    ),
    ("Backend", "spec.endpoints.0.fqdn.port", 70000, "must respect maximum 65535"),
    ("BackendTrafficPolicy", "spec.targetRefs", None, "either targetRef or targetRefs"),
    ("BackendTrafficPolicy", "spec.targetRefs.0.kind", "Service", "targetRef"),
    ("BackendTrafficPolicy", "spec.retry.numRetries", -1, "must respect minimum 0"),
    ("HTTPRoute", "spec.rules.0.matches.0.path.value", "x//y", "must not contain '//'"),
    ("HTTPRoute", "spec.rules.0.retry", {"attempts": 1}, "retry: unknown field"),
    ("HTTPRoute", "spec.hostnames.0", "Upper.example.com", "must match the pattern"),
    ("InferencePool", "spec.selector.matchExpressions", [], "matchExpressions: unknown field"),
    ("InferencePool", "spec.endpointPickerRef.port", None, "port is required"),
    ("InferencePool", "spec.targetPorts", [], "at least 1 are needed"),
    ("HelmRelease", "spec.chartRef", None, "either chart or chartRef must be set"),
    ("HelmRelease", "spec.releaseName", "x" * 54, "at most 53 are allowed"),
]


@pytest.mark.parametrize("kind", [kind for _, kind in custom.FILES])
def test_accepts_the_small_object_of_each_kind(kind: str) -> None:
    assert schemas.validate(samples.minimal(kind)) == []


@pytest.mark.parametrize("kind", [kind for _, kind in custom.FILES])
def test_each_kind_has_two_known_bad_mutations(kind: str) -> None:
    assert sum(kind == mutated for mutated, *_ in MUTATIONS) >= 2


@pytest.mark.parametrize(("kind", "path", "value", "message"), MUTATIONS)
def test_refuses(kind: str, path: str, value: object, message: str) -> None:
    problems = schemas.validate(samples.put(samples.minimal(kind), path, value))
    assert any(message in problem for problem in problems), problems


def test_refuses_a_kind_without_schema() -> None:
    obj = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}
    assert schemas.validate(obj) == ["kind: no schema for v1 Node"]


def test_refuses_an_object_without_kind() -> None:
    assert schemas.validate({"apiVersion": "v1"}) == ["<object>: apiVersion and kind must be text"]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("name", "Upper", "must be a DNS-1123 subdomain"),
        ("name", None, "name or generateName is required"),
        ("labels", {"a": "x" * 64}, "no more than 63 characters"),
        ("labels", {"-a": "x"}, "must be a qualified name"),
        ("labels", {"a/b/c": "x"}, "at most one slash"),
        ("annotations", {"a": 1}, "must be string, is integer"),
        ("annotations", {"a": "x" * 262144}, "at most 262144 are allowed"),
        ("ownerReferences", [{"apiVersion": "v1", "kind": "A", "name": "a", "uid": ""}], "empty"),
        ("ownerReferences", [_OWNER, _OWNER], "duplicate in a list of type map"),
        ("unknown", 1, "metadata.unknown: unknown field"),
    ],
)
def test_refuses_bad_metadata(key: str, value: object, message: str) -> None:
    problems = schemas.validate(samples.put(samples.minimal("VMRule"), f"metadata.{key}", value))
    assert any(message in problem for problem in problems), problems


def test_refuses_metadata_that_is_no_object() -> None:
    problems = schemas.validate({**samples.minimal("VMRule"), "metadata": "m"})
    assert "metadata: must be an object" in problems


def test_files_name_the_kinds_and_are_in_the_lock() -> None:
    pinned = crds.entries()
    for (group, kind), name in custom.FILES.items():
        assert name in pinned
        spec = custom.definition(group, kind)["spec"]
        assert (spec["group"], spec["names"]["kind"]) == (group, kind)


def test_every_served_version_of_every_kind_compiles() -> None:
    compiled = 0
    for group, kind in custom.FILES:
        for version in custom.definition(group, kind)["spec"]["versions"]:
            if version["served"]:
                assert custom.schema(f"{group}/{version['name']}", kind) is not None
                compiled += 1
    assert compiled == 17
