"""Every object that a claim may become: one row for each key of an InferenceService.

The second kind of claim has its own table of such rows (`function/fleet/rows.py`). From this one
follow what a patch may name, when an object is ready, which condition speaks for it, what is asked
of the cluster before it is composed, the tables in docs/life-of-a-claim.md, the roles in
examples/rbac and the controllers of the tests.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator

from function.cluster import observed, readiness
from function.workloads import workloads

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
        return self.when == _FORMER

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

ENGINE_READY = "EngineReady"
WEIGHTS_READY = "WeightsReady"
SCALER_READY = "ScalerReady"
ROUTE_READY = "RouteReady"
POLICY_READY = "PolicyReady"
OBSERVABILITY_READY = "ObservabilityReady"
SECRETS_READY = "SecretsReady"

# Ends of keys. A GrafanaDashboard's selector is immutable: it is part of its key.
SIDECAR_DASHBOARD = "dashboard"
OPERATOR_DASHBOARD = "grafanadashboard-"
ADAPTERS = "adapters"
# By the provider that answers while no pod of the claim does.
OUTSIDE_BACKEND = "outside-backend-"
OUTSIDE_AI_BACKEND = "outside-aiservicebackend-"
OUTSIDE_KEY = "outside-key-"

_POLICIES = "by `providers.networkPolicy`"
_MONITORING = "by `providers.monitoring`"
_PICKER = "`gateway.endpointPicker`"
_NATIVE_PICKER = "`gateway.endpointPicker`; `endpointPicker.provider: native`"
_FORMER = "before 1.1; until the new one does its work"

_CILIUM = ("network_policy", "cilium")
_NATIVE = ("network_policy", "kubernetes")
_KEDA = ("autoscaler", "keda")
_VICTORIA = ("monitoring", "victoriametrics")
_PROMETHEUS = ("monitoring", "prometheus-operator")
_SIDECAR = ("dashboards", "grafana-sidecar")
_GRAFANA = ("dashboards", "grafana-operator")
_SECRETS = ("secrets", "external-secrets")
_GATEWAY = ("gateway", "envoy-ai-gateway")
_ROUTE = ("route", "gateway-api")

# In the order of causes: of several objects of one condition that are not ready, the first is what
# the others wait for.
ROWS: tuple[Row, ...] = (
    Row("serviceaccount", SERVICE_ACCOUNT, "", "serviceaccount", "N", "always"),
    Row("service", SERVICE, "", "service", "N", "always"),
    Row("cilium-netpol", CILIUM_POLICY, POLICY_READY, None, "N", _POLICIES, _CILIUM),
    Row("networkpolicy", NETWORK_POLICY, POLICY_READY, None, "N", _POLICIES, _NATIVE),
    Row(
        "cilium-netpol-download",
        CILIUM_POLICY,
        POLICY_READY,
        None,
        "N.download",
        "claims that preload",
        _CILIUM,
    ),
    Row(
        "networkpolicy-download",
        NETWORK_POLICY,
        POLICY_READY,
        None,
        "N.download",
        "claims that preload",
        _NATIVE,
    ),
    Row(
        "cilium-netpol-removal",
        CILIUM_POLICY,
        POLICY_READY,
        None,
        "N.removal",
        "`model.retention: Delete`",
        _CILIUM,
    ),
    Row(
        "networkpolicy-removal",
        NETWORK_POLICY,
        POLICY_READY,
        None,
        "N.removal",
        "`model.retention: Delete`",
        _NATIVE,
    ),
    Row(
        "cilium-netpol-group",
        CILIUM_POLICY,
        POLICY_READY,
        None,
        "N.group",
        "a replica is several pods (`gpu.parallelism`)",
        _CILIUM,
    ),
    Row(
        "networkpolicy-group",
        NETWORK_POLICY,
        POLICY_READY,
        None,
        "N.group",
        "a replica is several pods (`gpu.parallelism`)",
        _NATIVE,
    ),
    Row(
        "cilium-netpol-gate",
        CILIUM_POLICY,
        POLICY_READY,
        None,
        "N.gate",
        "a canary with `gate`",
        _CILIUM,
    ),
    Row(
        "networkpolicy-gate",
        NETWORK_POLICY,
        POLICY_READY,
        None,
        "N.gate",
        "a canary with `gate`",
        _NATIVE,
    ),
    Row("cilium-netpol-preload", CILIUM_POLICY, POLICY_READY, None, "N-preload", _FORMER, _CILIUM),
    Row("networkpolicy-preload", NETWORK_POLICY, POLICY_READY, None, "N-preload", _FORMER, _NATIVE),
    Row("cilium-netpol-cleanup", CILIUM_POLICY, POLICY_READY, None, "N-cleanup", _FORMER, _CILIUM),
    Row("networkpolicy-cleanup", NETWORK_POLICY, POLICY_READY, None, "N-cleanup", _FORMER, _NATIVE),
    Row(
        "preload-job-<hash>",
        JOB,
        WEIGHTS_READY,
        "preload-job",
        "N-preload-\\<hash\\>",
        "until the status records what it made",
    ),
    Row(
        "cleanup-job-<hash>",
        JOB,
        WEIGHTS_READY,
        None,
        "N-cleanup-\\<hash\\>",
        "until the status shows that what it removes is gone",
    ),
    Row("pdb", BUDGET, ENGINE_READY, "pdb", "N", "with the Deployment"),
    Row(
        "scaledobject",
        SCALED_OBJECT,
        SCALER_READY,
        "scaledobject",
        "N",
        "with the Deployment; `providers.autoscaler: keda`",
        _KEDA,
    ),
    Row(
        "vmservicescrape",
        VM_SCRAPE,
        OBSERVABILITY_READY,
        "vmservicescrape",
        "N",
        _MONITORING,
        _VICTORIA,
    ),
    Row(
        "servicemonitor",
        SERVICE_MONITOR,
        OBSERVABILITY_READY,
        "servicemonitor",
        "N",
        _MONITORING,
        _PROMETHEUS,
    ),
    Row("vmrule", VM_RULE, OBSERVABILITY_READY, "vmrule", "N", _MONITORING, _VICTORIA),
    Row(
        "prometheusrule",
        PROMETHEUS_RULE,
        OBSERVABILITY_READY,
        "prometheusrule",
        "N",
        _MONITORING,
        _PROMETHEUS,
    ),
    Row(
        ADAPTERS,
        CONFIG_MAP,
        WEIGHTS_READY,
        None,
        "N.adapters",
        "`loraAdapters[].hot`",
    ),
    Row(
        SIDECAR_DASHBOARD,
        CONFIG_MAP,
        OBSERVABILITY_READY,
        None,
        "N.dashboard",
        "`providers.dashboards: grafana-sidecar`",
        _SIDECAR,
    ),
    Row(
        f"{OPERATOR_DASHBOARD}<hash>",
        GRAFANA_DASHBOARD,
        OBSERVABILITY_READY,
        None,
        "N.dashboard-\\<hash\\>",
        "`providers.dashboards: grafana-operator`",
        _GRAFANA,
    ),
    Row(
        "externalsecret-<S>",
        EXTERNAL_SECRET,
        SECRETS_READY,
        None,
        "S",
        "each `externalSecrets` entry S; `providers.secrets`",
        _SECRETS,
    ),
    Row(
        "service-headless",
        SERVICE,
        "",
        "service-pods",
        "N-pods-\\<hash\\>",
        "gateway, and more than one pod possible: two replicas, or a spare GPU to roll on",
    ),
    Row(
        "gateway-backend", BACKEND, ROUTE_READY, "gateway-backend", "N-direct", "gateway", _GATEWAY
    ),
    Row("service-pods", SERVICE, "", "service-pods", "N-pods", _FORMER),
    Row(
        "gateway-aiservicebackend",
        AI_BACKEND,
        ROUTE_READY,
        "gateway-aiservicebackend",
        "N",
        "gateway",
        _GATEWAY,
    ),
    Row(
        "gateway-canary-<A>",
        AI_BACKEND,
        ROUTE_READY,
        None,
        "N.canary-\\<A\\>",
        "each canary, by adapter A",
        _GATEWAY,
    ),
    Row(
        "gateway-aiservicebackend-canary-<A>",
        AI_BACKEND,
        ROUTE_READY,
        None,
        "N-canary-\\<A\\>",
        _FORMER,
        _GATEWAY,
    ),
    Row(
        "fallback-backend-<F>",
        BACKEND,
        ROUTE_READY,
        None,
        "N.fallback-\\<F\\>",
        "`gateway.fallback`, by its claim F",
        _GATEWAY,
    ),
    Row(
        "fallback-aiservicebackend-<F>",
        AI_BACKEND,
        ROUTE_READY,
        None,
        "N.fallback-\\<F\\>",
        "`gateway.fallback`, by its claim F",
        _GATEWAY,
    ),
    Row(
        f"{OUTSIDE_BACKEND}<P>",
        BACKEND,
        ROUTE_READY,
        None,
        "N.outside-\\<P\\>",
        "`gateway.fallback`, by its provider P",
        _GATEWAY,
    ),
    Row(
        f"{OUTSIDE_AI_BACKEND}<P>",
        AI_BACKEND,
        ROUTE_READY,
        None,
        "N.outside-\\<P\\>",
        "the same",
        _GATEWAY,
    ),
    Row(
        f"{OUTSIDE_KEY}<P>",
        PROVIDER_KEY,
        ROUTE_READY,
        None,
        "N.outside-\\<P\\>",
        "the same",
        _GATEWAY,
    ),
    Row(
        "epp-helmrelease",
        HELM_RELEASE,
        ROUTE_READY,
        "epp-helmrelease",
        "N-epp",
        "`gateway.endpointPicker`; `endpointPicker.provider: helmRelease`",
        _GATEWAY,
    ),
    Row("picker-serviceaccount", SERVICE_ACCOUNT, "", None, "N.picker", _NATIVE_PICKER, _GATEWAY),
    Row(
        "picker-rolebinding",
        ROLE_BINDING,
        ROUTE_READY,
        None,
        "N.picker",
        _NATIVE_PICKER,
        _GATEWAY,
    ),
    Row(
        "picker-deployment",
        PICKER_DEPLOYMENT,
        ROUTE_READY,
        # Its pods may read the API: a patch could make them somebody else's program.
        None,
        "N-epp",
        _NATIVE_PICKER,
        _GATEWAY,
    ),
    Row(
        "picker-pdb",
        BUDGET,
        ROUTE_READY,
        None,
        "N.picker",
        f"{_NATIVE_PICKER}; two replicas",
        _GATEWAY,
    ),
    Row("picker-service", SERVICE, "", None, "N-epp", _NATIVE_PICKER, _GATEWAY),
    Row("picker-pool", INFERENCE_POOL, ROUTE_READY, None, "N", _NATIVE_PICKER, _GATEWAY),
    Row(
        "picker-rewrite",
        MODEL_REWRITE,
        ROUTE_READY,
        None,
        "N.canaries",
        "`gateway.endpointPicker` with `gateway.canaries`",
        _GATEWAY,
    ),
    Row(
        "picker-objective-<P>",
        OBJECTIVE,
        ROUTE_READY,
        None,
        "N.\\<P\\>",
        "each priority P of `gateway.endpointPicker`",
        _GATEWAY,
    ),
    Row(
        "gateway-airoute",
        AI_ROUTE,
        ROUTE_READY,
        "gateway-airoute",
        "N",
        "gateway, with the Deployment",
        _GATEWAY,
    ),
    Row(
        "httproute",
        HTTP_ROUTE,
        ROUTE_READY,
        "httproute",
        "N",
        "`route.enabled`, without the AI gateway",
        _ROUTE,
    ),
    Row(
        "httproute-beside",
        HTTP_ROUTE,
        ROUTE_READY,
        "httproute-direct",
        "N.direct",
        "`route.enabled`, with the AI gateway",
        _ROUTE,
    ),
    Row(
        "httproute-direct", HTTP_ROUTE, ROUTE_READY, "httproute-direct", "N-direct", _FORMER, _ROUTE
    ),
    Row(
        "backendtrafficpolicy",
        TRAFFIC_POLICY,
        ROUTE_READY,
        "backendtrafficpolicy",
        "N",
        "with the AI gateway's route",
        _GATEWAY,
    ),
    Row(
        "gate-job-<hash>",
        JOB,
        ROUTE_READY,
        None,
        "N-gate-\\<hash\\>",
        "a step of a canary with `gate`, until the status shows its verdict",
        _GATEWAY,
    ),
    Row(
        "picker-vmservicescrape",
        VM_SCRAPE,
        OBSERVABILITY_READY,
        "epp-vmservicescrape",
        "N.picker",
        _PICKER,
        _VICTORIA,
    ),
    Row(
        "picker-servicemonitor",
        SERVICE_MONITOR,
        OBSERVABILITY_READY,
        "epp-servicemonitor",
        "N.picker",
        _PICKER,
        _PROMETHEUS,
    ),
    Row(
        "epp-vmservicescrape",
        VM_SCRAPE,
        OBSERVABILITY_READY,
        "epp-vmservicescrape",
        "N-epp",
        _FORMER,
        _VICTORIA,
    ),
    Row(
        "epp-servicemonitor",
        SERVICE_MONITOR,
        OBSERVABILITY_READY,
        "epp-servicemonitor",
        "N-epp",
        _FORMER,
        _PROMETHEUS,
    ),
    Row("picker-cilium-netpol", CILIUM_POLICY, POLICY_READY, None, "N.picker", _PICKER, _CILIUM),
    Row("picker-networkpolicy", NETWORK_POLICY, POLICY_READY, None, "N.picker", _PICKER, _NATIVE),
    Row("epp-cilium-netpol", CILIUM_POLICY, POLICY_READY, None, "N-epp", _FORMER, _CILIUM),
    Row("epp-networkpolicy", NETWORK_POLICY, POLICY_READY, None, "N-epp", _FORMER, _NATIVE),
)


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


class _Claims(Table):
    """The rows of an InferenceService; those of its workload come from the workload's own table."""

    def row(self, suffix: str) -> Row:
        """Returns the row of a key, as `row` does."""
        return row(suffix)


# Of an InferenceService.
TABLE: Table = _Claims(ROWS)


def rows() -> Iterator[Row]:
    """Yields every row, those of the workloads among them."""
    for workload in workloads.WORKLOADS.values():
        kind = Kind(
            workload.GROUP,
            (workload.VERSION,),
            workload.KIND,
            workload.PLURAL,
            None,
            workload.READY_WHEN,
            optional=workload.OPTIONAL,
        )
        patch = workload.SUFFIX if workload.PATCHABLE else None
        yield Row(workload.SUFFIX, kind, ENGINE_READY, patch, workload.OBJECT_NAME, workload.WHEN)
    yield from ROWS


@functools.lru_cache(maxsize=4096)
def row(suffix: str) -> Row:
    """Returns the row of a key.

    Args:
        suffix: The key's end, without the claim's name.

    Raises:
        KeyError: No row has such a key.
    """
    whole = _WHOLE.get(suffix)
    if whole is not None:
        return whole
    for listed in rows():
        if listed.suffix == suffix:
            return listed
        if "<" in listed.suffix and suffix.startswith(listed.prefix):
            return listed
    raise KeyError(f"no row for the key suffix {suffix!r}")


_WHOLE = {listed.suffix: listed for listed in ROWS if "<" not in listed.suffix}


def patchable() -> dict[str, Row]:
    """Returns the rows that spec.patches reaches, by the name that it uses."""
    return {listed.patch: listed for listed in rows() if listed.patch is not None}
