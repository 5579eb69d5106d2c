"""The upstream schema of every kind that is composed."""

import functools
import json
import pathlib
import typing

import yaml

from tests import crds
from tests.schemas import structural

# The reader in C is seven times as fast, and not in every build of PyYAML.
_LOADER: typing.Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

CUSTOM = {
    (
        "leaderworkerset.x-k8s.io",
        "LeaderWorkerSet",
    ): "lws/leaderworkerset.x-k8s.io_leaderworkersets.yaml",
    ("keda.sh", "ScaledObject"): "keda/keda.sh_scaledobjects.yaml",
    ("cilium.io", "CiliumNetworkPolicy"): "cilium/ciliumnetworkpolicies.yaml",
    (
        "operator.victoriametrics.com",
        "VMServiceScrape",
    ): "victoriametrics/operator.victoriametrics.com_vmservicescrapes.yaml",
    (
        "operator.victoriametrics.com",
        "VMRule",
    ): "victoriametrics/operator.victoriametrics.com_vmrules.yaml",
    (
        "monitoring.coreos.com",
        "ServiceMonitor",
    ): "prometheus-operator/monitoring.coreos.com_servicemonitors.yaml",
    (
        "monitoring.coreos.com",
        "PrometheusRule",
    ): "prometheus-operator/monitoring.coreos.com_prometheusrules.yaml",
    (
        "grafana.integreatly.org",
        "GrafanaDashboard",
    ): "grafana-operator/grafana.integreatly.org_grafanadashboards.yaml",
    (
        "external-secrets.io",
        "ExternalSecret",
    ): "external-secrets/external-secrets.io_externalsecrets.yaml",
    (
        "aigateway.envoyproxy.io",
        "AIGatewayRoute",
    ): "envoy-ai-gateway/aigateway.envoyproxy.io_aigatewayroutes.yaml",
    (
        "aigateway.envoyproxy.io",
        "AIServiceBackend",
    ): "envoy-ai-gateway/aigateway.envoyproxy.io_aiservicebackends.yaml",
    (
        "aigateway.envoyproxy.io",
        "BackendSecurityPolicy",
    ): "envoy-ai-gateway/aigateway.envoyproxy.io_backendsecuritypolicies.yaml",
    ("gateway.envoyproxy.io", "Backend"): "envoy-gateway/gateway.envoyproxy.io_backends.yaml",
    (
        "gateway.envoyproxy.io",
        "BackendTrafficPolicy",
    ): "envoy-gateway/gateway.envoyproxy.io_backendtrafficpolicies.yaml",
    (
        "gateway.envoyproxy.io",
        "SecurityPolicy",
    ): "envoy-gateway/gateway.envoyproxy.io_securitypolicies.yaml",
    (
        "gateway.networking.k8s.io",
        "Gateway",
    ): "gateway-api/gateway.networking.k8s.io_gateways.yaml",
    (
        "gateway.networking.k8s.io",
        "HTTPRoute",
    ): "gateway-api/gateway.networking.k8s.io_httproutes.yaml",
    (
        "inference.networking.k8s.io",
        "InferencePool",
    ): "inference-extension/inference.networking.k8s.io_inferencepools.yaml",
    (
        "inference.networking.x-k8s.io",
        "InferenceModelRewrite",
    ): "inference-extension/inference.networking.x-k8s.io_inferencemodelrewrites.yaml",
    (
        "inference.networking.x-k8s.io",
        "InferenceObjective",
    ): "inference-extension/inference.networking.x-k8s.io_inferenceobjectives.yaml",
    ("helm.toolkit.fluxcd.io", "HelmRelease"): "flux/helm.toolkit.fluxcd.io_helmreleases.yaml",
}
BUILTIN = {
    "v1": "kubernetes/api__v1_openapi.json",
    "apps/v1": "kubernetes/apis__apps__v1_openapi.json",
    "batch/v1": "kubernetes/apis__batch__v1_openapi.json",
    "policy/v1": "kubernetes/apis__policy__v1_openapi.json",
    "networking.k8s.io/v1": "kubernetes/apis__networking.k8s.io__v1_openapi.json",
}
# Written down from Kubernetes' own types: three fields are not worth another download.
WRITTEN_DOWN = {
    "rbac.authorization.k8s.io/v1": pathlib.Path(__file__).with_name("role_bindings.json"),
}
# Cut from upstream's: of two large kinds the few fields that are composed.
_CUT = pathlib.Path(__file__).with_name("envoy_gateway.yaml")
_OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


@functools.cache
def definition(group: str, kind: str) -> typing.Any:
    """Return the CustomResourceDefinition of a kind, or None when there is none here."""
    name = CUSTOM.get((group, kind))
    if name is None:
        return cut().get((group, kind))
    return yaml.load((crds.directory() / name).read_bytes(), Loader=_LOADER)


@functools.cache
def cut() -> dict[tuple[str, str], typing.Any]:
    """Return the definitions of large kinds, cut to what is composed, by group and kind."""
    documents = yaml.load_all(_CUT.read_bytes(), Loader=_LOADER)
    return {(d["spec"]["group"], d["spec"]["names"]["kind"]): d for d in documents}


@functools.cache
def openapi(api_version: str) -> typing.Any:
    """Return the OpenAPI document of a built-in group and version."""
    written = WRITTEN_DOWN.get(api_version)
    path = crds.directory() / BUILTIN[api_version] if written is None else written
    return json.loads(path.read_bytes())


@functools.cache
def metadata() -> structural.Validator:
    """Return the schema of `metadata`, which no schema of a custom resource describes."""
    return structural.Validator(structural.of_definition(openapi("v1"), _OBJECT_META))


@functools.cache
def validator(api_version: str, kind: str) -> structural.Validator:
    """Return the compiled schema of a kind.

    Raises:
        LookupError: the kind is not here, or its version is not served.
    """
    group, _, version = api_version.rpartition("/")
    if api_version in BUILTIN or api_version in WRITTEN_DOWN:
        wanted = {"group": group, "version": version, "kind": kind}
        document = openapi(api_version)
        for name, schema in document["components"]["schemas"].items():
            if wanted in schema.get("x-kubernetes-group-version-kind", ()):
                return structural.Validator(structural.of_definition(document, name))
    document = definition(group, kind)
    if document is None:
        message = f"no schema for {api_version} {kind}"
        raise LookupError(message)
    return structural.Validator(structural.to_json_schema(served(document, version), root=True))


def served(document: structural.Document, version: str) -> structural.Document:
    """Return the `openAPIV3Schema` of a served version of a definition.

    Raises:
        LookupError: the version does not exist or is not served.
    """
    for entry in document["spec"]["versions"]:
        if entry["name"] == version and entry["served"]:
            schema: structural.Document = entry["schema"]["openAPIV3Schema"]
            return schema
    message = f"{document['metadata']['name']} does not serve {version}"
    raise LookupError(message)
