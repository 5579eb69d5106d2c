"""The kinds of object that are composed, and what a table says of one key.

Each kind of claim has a table: `claim_rows` an InferenceService, `fleet/rows` an InferenceGateway.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable

from function.cluster import observed, readiness

Check = Callable[[observed.Object], readiness.Readiness]


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of object.

    Attributes:
        group: API group, empty for the core group.
        versions: Versions that are composed, the preferred one first.
        name: The kind.
        plural: The resource, as roles name it.
        ready: Its controller's own signal; None where the concern judges.
        ready_when: The same in words, for docs/life-of-a-claim.md.
        optional: True when a cluster may lack the kind.
    """

    group: str
    versions: tuple[str, ...]
    name: str
    plural: str
    ready: Check | None = readiness.there
    ready_when: str = "it exists"
    optional: bool = True

    @functools.cached_property
    def api_versions(self) -> tuple[str, ...]:
        """The values of `apiVersion` that are composed."""
        return tuple(f"{self.group}/{v}" if self.group else v for v in self.versions)


@dataclasses.dataclass(frozen=True)
class Row:
    """One key.

    Attributes:
        suffix: The key's end; of a pattern (`<hash>`) all before the first `<`.
        kind: The kind of the object.
        condition: Type of the condition that speaks for it; empty when only Ready does.
        patch: Name under which spec.patches reaches it, or None.
        object_name: The object's name, N being the claim's.
        when: When it is composed, for people.
        provider: The setting under `providers` and its value that compose it; None where every
            site has it.
    """

    suffix: str
    kind: Kind
    condition: str
    patch: str | None
    object_name: str
    when: str
    provider: tuple[str, str] | None = None

    @property
    def former(self) -> bool:
        """Whether the object exists no more under this key but where an older release left it."""
        return self.when == FORMER

    @functools.cached_property
    def prefix(self) -> str:
        """What every key of the row begins with, after the claim's name."""
        return self.suffix.partition("<")[0]


def _built_in(group: str, version: str, name: str, plural: str) -> Kind:
    return Kind(group, (version,), name, plural, optional=False)


SERVICE_ACCOUNT = _built_in("", "v1", "ServiceAccount", "serviceaccounts")
SERVICE = _built_in("", "v1", "Service", "services")
BUDGET = _built_in("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets")
NETWORK_POLICY = _built_in("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies")
ROLE_BINDING = _built_in("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings")
# The workload's own row judges its Deployment by the claim; the endpoint picker's is any other.
PICKER_DEPLOYMENT = Kind(
    "apps",
    ("v1",),
    "Deployment",
    "deployments",
    readiness.condition("Available"),
    "the endpoint picker's: `Available=True`",
    optional=False,
)
# A semantic router's, of a front door.
ROUTER_PODS = dataclasses.replace(PICKER_DEPLOYMENT, ready_when="`Available=True`")
JOB = Kind(
    "batch",
    ("v1",),
    "Job",
    "jobs",
    None,
    "Complete; or there is a Deployment already. One that removes: always",
    optional=False,
)
CILIUM_POLICY = Kind(
    "cilium.io",
    ("v2",),
    "CiliumNetworkPolicy",
    "ciliumnetworkpolicies",
    readiness.valid,
    "`Valid` is not False (older agents report nothing)",
)
SCALED_OBJECT = Kind(
    "keda.sh",
    ("v1alpha1",),
    "ScaledObject",
    "scaledobjects",
    readiness.condition("Ready"),
    "`Ready=True`; suspended: `Paused=True`",
)
VM_SCRAPE = Kind(
    "operator.victoriametrics.com",
    ("v1beta1",),
    "VMServiceScrape",
    "vmservicescrapes",
    readiness.update_status,
    "`status.updateStatus` is `operational`",
)
VM_RULE = Kind(
    "operator.victoriametrics.com",
    ("v1beta1",),
    "VMRule",
    "vmrules",
    readiness.update_status,
    "`status.updateStatus` is `operational`",
)
# What the Prometheus operator says on its objects where `StatusForConfigurationResources` is on.
_BOUND = "no `status.bindings` has `Accepted=False` (most operators report nothing)"
SERVICE_MONITOR = Kind(
    "monitoring.coreos.com", ("v1",), "ServiceMonitor", "servicemonitors", readiness.bound, _BOUND
)
PROMETHEUS_RULE = Kind(
    "monitoring.coreos.com", ("v1",), "PrometheusRule", "prometheusrules", readiness.bound, _BOUND
)
CONFIG_MAP = _built_in("", "v1", "ConfigMap", "configmaps")
CRON_JOB = _built_in("batch", "v1", "CronJob", "cronjobs")
GRAFANA_DASHBOARD = Kind(
    "grafana.integreatly.org",
    ("v1beta1",),
    "GrafanaDashboard",
    "grafanadashboards",
    readiness.synchronized("DashboardSynchronized"),
    "`DashboardSynchronized=True`: every Grafana that it selects has it",
)
EXTERNAL_SECRET = Kind(
    "external-secrets.io",
    ("v1",),
    "ExternalSecret",
    "externalsecrets",
    readiness.condition("Ready"),
    "`Ready=True`",
)
HTTP_ROUTE = Kind(
    "gateway.networking.k8s.io",
    ("v1",),
    "HTTPRoute",
    "httproutes",
    readiness.per_parent("parents", "Accepted", "ResolvedRefs"),
    "one parent with `Accepted` and `ResolvedRefs` True",
)
BACKEND = Kind(
    "gateway.envoyproxy.io",
    ("v1alpha1",),
    "Backend",
    "backends",
    readiness.not_refused("Accepted"),
    "`Accepted` not False: nobody reports on a Backend that no route names",
)
TRAFFIC_POLICY = Kind(
    "gateway.envoyproxy.io",
    ("v1alpha1",),
    "BackendTrafficPolicy",
    "backendtrafficpolicies",
    readiness.per_parent("ancestors", "Accepted"),
    "one ancestor with `Accepted=True`",
)
_AI_GATEWAY = ("v1beta1", "v1alpha1")
_AI_ACCEPTED = "`Accepted=True` (a refusal is the type `NotAccepted`, status False)"
AI_BACKEND = Kind(
    "aigateway.envoyproxy.io",
    _AI_GATEWAY,
    "AIServiceBackend",
    "aiservicebackends",
    readiness.accepted,
    _AI_ACCEPTED,
)
AI_ROUTE = Kind(
    "aigateway.envoyproxy.io",
    _AI_GATEWAY,
    "AIGatewayRoute",
    "aigatewayroutes",
    readiness.accepted,
    _AI_ACCEPTED,
)
PROVIDER_KEY = Kind(
    "aigateway.envoyproxy.io",
    _AI_GATEWAY,
    "BackendSecurityPolicy",
    "backendsecuritypolicies",
    readiness.accepted,
    _AI_ACCEPTED,
)
HELM_RELEASE = Kind(
    "helm.toolkit.fluxcd.io",
    ("v2",),
    "HelmRelease",
    "helmreleases",
    readiness.condition("Ready"),
    "`Ready=True`",
)
INFERENCE_POOL = Kind(
    "inference.networking.k8s.io",
    ("v1",),
    "InferencePool",
    "inferencepools",
    readiness.any_parent("Accepted", "ResolvedRefs"),
    "no parent yet, or one with `Accepted` and `ResolvedRefs` True",
)
# Nobody writes their status: the picker reads them.
MODEL_REWRITE = Kind(
    "inference.networking.x-k8s.io",
    ("v1alpha2",),
    "InferenceModelRewrite",
    "inferencemodelrewrites",
)
OBJECTIVE = Kind(
    "inference.networking.x-k8s.io", ("v1alpha2",), "InferenceObjective", "inferenceobjectives"
)

GATEWAY = Kind(
    "gateway.networking.k8s.io",
    ("v1",),
    "Gateway",
    "gateways",
    readiness.condition("Programmed"),
    "`Programmed=True`",
)
# Envoy Gateway writes no status of its own there: what is wrong with one is said by the Gateway.
PROXY = Kind("gateway.envoyproxy.io", ("v1alpha1",), "EnvoyProxy", "envoyproxies")
# Both say nothing before their Gateway is there, and are there before it.
CLIENT_POLICY = Kind(
    "gateway.envoyproxy.io",
    ("v1alpha1",),
    "ClientTrafficPolicy",
    "clienttrafficpolicies",
    readiness.any_ancestor("Accepted"),
    "no ancestor yet, or one with `Accepted=True`",
)
SECURITY_POLICY = Kind(
    "gateway.envoyproxy.io",
    ("v1alpha1",),
    "SecurityPolicy",
    "securitypolicies",
    readiness.any_ancestor("Accepted"),
    "no ancestor yet, or one with `Accepted=True`",
)

# The same kind as a claim's, on a Gateway.
GATEWAY_TRAFFIC_POLICY = Kind(
    "gateway.envoyproxy.io",
    ("v1alpha1",),
    "BackendTrafficPolicy",
    "backendtrafficpolicies",
    readiness.any_ancestor("Accepted"),
    "no ancestor yet, or one with `Accepted=True`",
)
GATEWAY_CONFIG = Kind(
    "aigateway.envoyproxy.io",
    _AI_GATEWAY,
    "GatewayConfig",
    "gatewayconfigs",
    readiness.accepted,
    _AI_ACCEPTED,
)

# Conditions of an InferenceService.
ENGINE_READY = "EngineReady"
WEIGHTS_READY = "WeightsReady"
SCALER_READY = "ScalerReady"
ROUTE_READY = "RouteReady"
POLICY_READY = "PolicyReady"
OBSERVABILITY_READY = "ObservabilityReady"
SECRETS_READY = "SecretsReady"

# When a row is composed that only an older release's objects have.
FORMER = "before 1.1; until the new one does its work"

# Ends of keys that both kinds have. A GrafanaDashboard's selector is immutable: it is part of its
# key.
SIDECAR_DASHBOARD = "dashboard"
OPERATOR_DASHBOARD = "grafanadashboard-"

# Settings under `providers`, each with its value.
BY_CILIUM = ("network_policy", "cilium")
BY_NATIVE = ("network_policy", "kubernetes")
BY_KEDA = ("autoscaler", "keda")
BY_VICTORIA = ("monitoring", "victoriametrics")
BY_PROMETHEUS = ("monitoring", "prometheus-operator")
BY_SIDECAR = ("dashboards", "grafana-sidecar")
BY_GRAFANA = ("dashboards", "grafana-operator")
BY_SECRETS = ("secrets", "external-secrets")
BY_AI_GATEWAY = ("gateway", "envoy-ai-gateway")
BY_GATEWAY_API = ("route", "gateway-api")


class Table:
    """The rows of one kind of claim, in the order of causes.

    Attributes:
        rows: The rows.
    """

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows = tuple(rows)
        self._known: dict[str, Row] = {
            listed.suffix: listed for listed in self.rows if "<" not in listed.suffix
        }
        self._patterns = tuple(listed for listed in self.rows if "<" in listed.suffix)
        self._order = {listed.suffix: index for index, listed in enumerate(self.rows)}

    def row(self, suffix: str) -> Row:
        """Returns the row of a key.

        Args:
            suffix: The key's end, without the claim's name.

        Raises:
            KeyError: No row has such a key.
        """
        known = self._known.get(suffix)
        if known is not None:
            return known
        for listed in self._patterns:
            if suffix.startswith(listed.prefix):
                return listed
        raise KeyError(f"no row for the key suffix {suffix!r}")

    def rank(self, suffix: str) -> tuple[int, str]:
        """Returns the place of a key in the order of causes."""
        return self._order.get(self.row(suffix).suffix, -1), suffix
