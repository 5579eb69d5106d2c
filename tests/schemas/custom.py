"""Custom resources against the schema of their CustomResourceDefinition.

Follows `customResourceStrategy` of apiextensions-apiserver 1.36: strict decoding, defaults, value
validation, list types, then CEL rules unless a finding blocks them. On an update, what did not
change is not held against the object (`CRDValidationRatcheting`).
"""

import dataclasses
import functools
import json
import typing
from collections import abc

import yaml

from tests import crds
from tests.schemas import cel_rules, composite, finding, names, openapi, structural

Document: typing.TypeAlias = abc.Mapping[str, typing.Any]

# The reader in C is seven times as fast, and not in every build of PyYAML.
_LOADER: typing.Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

FILES = {
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
    ("gateway.envoyproxy.io", "Backend"): "envoy-gateway/gateway.envoyproxy.io_backends.yaml",
    (
        "gateway.envoyproxy.io",
        "BackendTrafficPolicy",
    ): "envoy-gateway/gateway.envoyproxy.io_backendtrafficpolicies.yaml",
    (
        "gateway.networking.k8s.io",
        "HTTPRoute",
    ): "gateway-api/gateway.networking.k8s.io_httproutes.yaml",
    (
        "inference.networking.k8s.io",
        "InferencePool",
    ): "inference-extension/inference.networking.k8s.io_inferencepools.yaml",
    ("helm.toolkit.fluxcd.io", "HelmRelease"): "flux/helm.toolkit.fluxcd.io_helmreleases.yaml",
}


@dataclasses.dataclass(slots=True)
class Schema:
    """A compiled schema of a custom resource: its values and its rules."""

    root: structural.Node
    rules: cel_rules.RuleNode | None

    @classmethod
    def from_openapi(cls, schema: Document) -> "Schema":
        """Compile an `openAPIV3Schema`.

        Raises:
            ValueError: it uses something that is not implemented here.
        """
        root = structural.build(schema, root=True)
        return cls(root, cel_rules.build(root))

    @classmethod
    def from_crd(cls, document: Document, version: str) -> "Schema":
        """Compile a served version of a CustomResourceDefinition.

        A CompositeResourceDefinition will do as well: its schema is then the one of the
        CustomResourceDefinition that Crossplane makes of it.

        Raises:
            LookupError: the version does not exist or is not served.
        """
        for entry in document["spec"]["versions"]:
            if entry["name"] == version and entry["served"]:
                schema = entry["schema"]["openAPIV3Schema"]
                if document["kind"] == "CompositeResourceDefinition":
                    schema = composite.derive(document, schema)
                return cls.from_openapi(schema)
        message = f"{document['metadata']['name']} does not serve {version}"
        raise LookupError(message)

    def validate(self, obj: Document, old: Document | None = None) -> structural.Findings:
        """Return what the API server would refuse.

        Args:
            obj: the new object.
            old: the object that it replaces; None when it is created.
        """
        out: structural.Findings = []
        new = self.root.admit(obj, "", out)
        _metadata(obj.get("metadata"), out)
        before = structural.ABSENT if old is None else self.root.admit(old, "", [])
        self.root.check_part(new, "", out, before)
        self._check_lists(new, before, out)
        if self.rules is not None and not any(item.blocking for item in out):
            self.rules.run(new, before, cel_rules.Frame(out, self.root, new, before))
        return out

    def _check_lists(self, new: typing.Any, before: typing.Any, out: structural.Findings) -> None:
        """Check sets and maps, unless those of the old object were wrong already."""
        if before is not structural.ABSENT:
            known: structural.Findings = []
            self.root.duplicates(before, "", known)
            if known:
                return
        self.root.duplicates(new, "", out)


def _metadata(value: typing.Any, out: structural.Findings) -> None:
    """Check `metadata`, which no schema of a custom resource describes."""
    if not isinstance(value, abc.Mapping):
        out.append(finding.Finding("metadata", "must be an object", blocking=True))
        return
    node = openapi.object_meta()
    problems: structural.Findings = []
    admitted = node.admit(value, "metadata", problems)
    node.check(admitted, "metadata", problems)
    if not problems:
        node.duplicates(admitted, "metadata", problems)
        names.metadata(admitted, names.dns_subdomain, "metadata", problems)
    out.extend(problems)


@functools.cache
def definition(group: str, kind: str) -> typing.Any:
    """Return the CustomResourceDefinition of a kind, or None when there is none here."""
    name = FILES.get((group, kind))
    if name is None:
        return None
    return yaml.load((crds.directory() / name).read_bytes(), Loader=_LOADER)


@functools.cache
def schema(api_version: str, kind: str) -> Schema | None:
    """Return the compiled schema of a kind, or None when there is none here.

    Raises:
        LookupError: the kind is known, and its version is not served.
    """
    group, _, version = api_version.partition("/")
    document = definition(group, kind)
    return None if document is None else Schema.from_crd(document, version)


@functools.lru_cache(maxsize=32)
def parsed(text: str) -> Schema:
    """Return the compiled schema of an OpenAPI document in JSON."""
    return Schema.from_openapi(json.loads(text))
