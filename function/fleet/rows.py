"""Every object that an InferenceGateway may become: one row for each key, causes first."""

from function import kinds

GATEWAY_READY = "GatewayReady"
CALLERS_READY = "CallersReady"
LIMITS_READY = "LimitsReady"
PROVIDERS_READY = "ProvidersReady"
EVALS_READY = "EvalsReady"

# The suffixes begin with a word of their own: a claim may have the same name.
KEY = "door-key-"
PROXY = "door-proxy"
CLIENTS = "door-clients"
SECURITY = "door-security"
GATEWAY = "door-gateway"
COSTS = "door-costs"
LIMITS = "door-limits"
PROVIDER_BACKEND = "door-provider-backend-"
PROVIDER_AI_BACKEND = "door-provider-aiservicebackend-"
PROVIDER_KEY = "door-provider-key-"
PROVIDER_ROUTE = "door-provider-route-"
EVALUATED = "door-evaluated-"
EVALUATION = "door-evaluation-"
EVAL_POLICIES = {"cilium": "door-evals-cilium-netpol", "kubernetes": "door-evals-networkpolicy"}
EVAL_RULES = {
    "victoriametrics": "door-evals-vmrule",
    "prometheus-operator": "door-evals-prometheusrule",
}
# Before what the end of a claim's key is.
DASHBOARD = "door-"

_GATEWAY = ("gateway", "envoy-ai-gateway")
_SIDECAR = ("dashboards", "grafana-sidecar")
_GRAFANA = ("dashboards", "grafana-operator")
_SECRETS = ("secrets", "external-secrets")

ROWS: tuple[kinds.Row, ...] = (
    kinds.Row(
        f"{KEY}<C>",
        kinds.EXTERNAL_SECRET,
        CALLERS_READY,
        None,
        "N.caller-\\<C\\>",
        "each caller C with `externalSecret`; `providers.secrets`",
        _SECRETS,
    ),
    kinds.Row(PROXY, kinds.PROXY, GATEWAY_READY, None, "N", "no `gateway`", _GATEWAY),
    kinds.Row(CLIENTS, kinds.CLIENT_POLICY, GATEWAY_READY, None, "N", "no `gateway`", _GATEWAY),
    kinds.Row(SECURITY, kinds.SECURITY_POLICY, CALLERS_READY, None, "N", "no `gateway`", _GATEWAY),
    kinds.Row(
        COSTS,
        kinds.GATEWAY_CONFIG,
        LIMITS_READY,
        None,
        "N",
        "a caller has `limits`; `frontDoor.limiter`; once the Gateway names it",
        _GATEWAY,
    ),
    kinds.Row(
        LIMITS,
        kinds.GATEWAY_TRAFFIC_POLICY,
        LIMITS_READY,
        None,
        "N.limits",
        "the same",
        _GATEWAY,
    ),
    kinds.Row(
        GATEWAY,
        kinds.GATEWAY,
        GATEWAY_READY,
        None,
        "N",
        "no `gateway`; once `door-proxy`, `door-clients` and `door-security` are there",
        _GATEWAY,
    ),
    kinds.Row(
        f"{PROVIDER_BACKEND}<P>",
        kinds.BACKEND,
        PROVIDERS_READY,
        None,
        "N.provider-\\<P\\>",
        "each provider P of `providers`",
        _GATEWAY,
    ),
    kinds.Row(
        f"{PROVIDER_AI_BACKEND}<P>",
        kinds.AI_BACKEND,
        PROVIDERS_READY,
        None,
        "N.provider-\\<P\\>",
        "the same",
        _GATEWAY,
    ),
    kinds.Row(
        f"{PROVIDER_KEY}<P>",
        kinds.PROVIDER_KEY,
        PROVIDERS_READY,
        None,
        "N.provider-\\<P\\>",
        "the same",
        _GATEWAY,
    ),
    kinds.Row(
        f"{PROVIDER_ROUTE}<P>",
        kinds.AI_ROUTE,
        PROVIDERS_READY,
        None,
        "N.provider-\\<P\\>",
        "the same; once the three above are there",
        _GATEWAY,
    ),
    kinds.Row(
        EVAL_POLICIES["cilium"],
        kinds.CILIUM_POLICY,
        EVALS_READY,
        None,
        "N.evals",
        "`evals`, and a model to evaluate; `providers.networkPolicy`",
        ("network_policy", "cilium"),
    ),
    kinds.Row(
        EVAL_POLICIES["kubernetes"],
        kinds.NETWORK_POLICY,
        EVALS_READY,
        None,
        "N.evals",
        "the same",
        ("network_policy", "kubernetes"),
    ),
    kinds.Row(
        f"{EVALUATED}<M>",
        kinds.CONFIG_MAP,
        EVALS_READY,
        None,
        "N.eval-\\<M\\>",
        "each model M to evaluate; once policy and Gateway's address are there",
    ),
    kinds.Row(
        f"{EVALUATION}<M>",
        kinds.CRON_JOB,
        EVALS_READY,
        None,
        "N-eval-\\<M\\>-\\<hash\\>",
        "the same",
    ),
    kinds.Row(
        EVAL_RULES["victoriametrics"],
        kinds.VM_RULE,
        EVALS_READY,
        None,
        "N.evals",
        "the same; `providers.monitoring`",
        ("monitoring", "victoriametrics"),
    ),
    kinds.Row(
        EVAL_RULES["prometheus-operator"],
        kinds.PROMETHEUS_RULE,
        EVALS_READY,
        None,
        "N.evals",
        "the same; `providers.monitoring`",
        ("monitoring", "prometheus-operator"),
    ),
    kinds.Row(
        f"{DASHBOARD}{kinds.SIDECAR_DASHBOARD}",
        kinds.CONFIG_MAP,
        "",
        None,
        "N.door-dashboard",
        "a claim asks to be published; `providers.dashboards: grafana-sidecar`",
        _SIDECAR,
    ),
    kinds.Row(
        f"{DASHBOARD}{kinds.OPERATOR_DASHBOARD}<hash>",
        kinds.GRAFANA_DASHBOARD,
        "",
        None,
        "N.door-dashboard-\\<hash\\>",
        "the same; `providers.dashboards: grafana-operator`",
        _GRAFANA,
    ),
)

TABLE = kinds.Table(ROWS)
