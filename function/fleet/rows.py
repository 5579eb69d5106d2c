"""Every object that an InferenceGateway may become: one row for each key, causes first."""

from function import kinds

GATEWAY_READY = "GatewayReady"
CALLERS_READY = "CallersReady"
LIMITS_READY = "LimitsReady"
PROVIDERS_READY = "ProvidersReady"
SEMANTIC_ROUTER_READY = "SemanticRouterReady"
EVALS_READY = "EvalsReady"
EDGE_READY = "EdgeReady"

# The suffixes begin with a word of their own: a claim may have the same name.
KEY = "door-key-"
PROXY = "door-proxy"
CLIENTS = "door-clients"
SECURITY = "door-security"
TOKENS = "door-tokens"
GATEWAY = "door-gateway"
COSTS = "door-costs"
LIMITS = "door-limits"
PROVIDER_BACKEND = "door-provider-backend-"
PROVIDER_AI_BACKEND = "door-provider-aiservicebackend-"
PROVIDER_KEY = "door-provider-key-"
PROVIDER_ROUTE = "door-provider-route-"
# The same of a claim's key follows: that of its policy, of its scrape.
ROUTER = "door-router-"
ROUTER_CONFIG = "door-router-configmap"
ROUTER_PODS = "door-router-deployment"
ROUTER_BUDGET = "door-router-pdb"
ROUTER_SERVICE = "door-router-service"
ROUTER_BACKEND = "door-router-backend"
ROUTER_AI_BACKEND = "door-router-aiservicebackend"
ROUTER_ROUTE = "door-router-route"
# The same.
EDGE = "door-edge-"
EDGE_CONFIG = "door-edge-configmap"
EDGE_PODS = "door-edge-deployment"
EDGE_BUDGET = "door-edge-pdb"
EDGE_SERVICE = "door-edge-service"
EVALUATED = "door-evaluated-"
EVALUATION = "door-evaluation-"
EVALS = "door-evals-"
EVAL_RULES = {
    "victoriametrics": "door-evals-vmrule",
    "prometheus-operator": "door-evals-prometheusrule",
}
# Before what the end of a claim's key is.
DASHBOARD = RULES = "door-"

_ROUTER = "N.semantic-router"
_ROUTER_NAME = "N-router-\\<hash\\>"


def _router(
    suffix: str,
    kind: kinds.Kind,
    when: str = "the same",
    name: str = _ROUTER,
    provider: tuple[str, str] = kinds.BY_AI_GATEWAY,
) -> kinds.Row:
    return kinds.Row(suffix, kind, SEMANTIC_ROUTER_READY, None, name, when, provider)


def _edge(
    suffix: str,
    kind: kinds.Kind,
    when: str = "the same",
    name: str = "N.edge",
    provider: tuple[str, str] | None = None,
) -> kinds.Row:
    return kinds.Row(suffix, kind, EDGE_READY, None, name, when, provider)


ROWS: tuple[kinds.Row, ...] = (
    kinds.Row(
        f"{KEY}<C>",
        kinds.EXTERNAL_SECRET,
        CALLERS_READY,
        None,
        "N.caller-\\<C\\>",
        "each caller C with `externalSecret`; `providers.secrets`",
        kinds.BY_SECRETS,
    ),
    kinds.Row(PROXY, kinds.PROXY, GATEWAY_READY, None, "N", "no `gateway`", kinds.BY_AI_GATEWAY),
    kinds.Row(
        CLIENTS, kinds.CLIENT_POLICY, GATEWAY_READY, None, "N", "no `gateway`", kinds.BY_AI_GATEWAY
    ),
    kinds.Row(
        SECURITY,
        kinds.SECURITY_POLICY,
        CALLERS_READY,
        None,
        "N",
        "no `gateway`",
        kinds.BY_AI_GATEWAY,
    ),
    kinds.Row(
        TOKENS,
        kinds.SECURITY_POLICY,
        CALLERS_READY,
        None,
        "N.tokens",
        "`issuers`",
        kinds.BY_AI_GATEWAY,
    ),
    kinds.Row(
        COSTS,
        kinds.GATEWAY_CONFIG,
        LIMITS_READY,
        None,
        "N",
        "a caller has `limits` or a `budget`; `frontDoor.limiter`; once the Gateway names it",
        kinds.BY_AI_GATEWAY,
    ),
    kinds.Row(
        LIMITS,
        kinds.GATEWAY_TRAFFIC_POLICY,
        LIMITS_READY,
        None,
        "N.limits",
        "the same",
        kinds.BY_AI_GATEWAY,
    ),
    kinds.Row(
        GATEWAY,
        kinds.GATEWAY,
        GATEWAY_READY,
        None,
        "N",
        "no `gateway`; once `door-proxy`, `door-clients` and `door-security` are there",
        kinds.BY_AI_GATEWAY,
    ),
    kinds.Row(
        f"{PROVIDER_BACKEND}<P>",
        kinds.BACKEND,
        PROVIDERS_READY,
        None,
        "N.provider-\\<P\\>",
        "each provider P of `providers`",
        kinds.BY_AI_GATEWAY,
    ),
    kinds.Row(
        f"{PROVIDER_AI_BACKEND}<P>",
        kinds.AI_BACKEND,
        PROVIDERS_READY,
        None,
        "N.provider-\\<P\\>",
        "the same",
        kinds.BY_AI_GATEWAY,
    ),
    kinds.Row(
        f"{PROVIDER_KEY}<P>",
        kinds.PROVIDER_KEY,
        PROVIDERS_READY,
        None,
        "N.provider-\\<P\\>",
        "the same",
        kinds.BY_AI_GATEWAY,
    ),
    kinds.Row(
        f"{PROVIDER_ROUTE}<P>",
        kinds.AI_ROUTE,
        PROVIDERS_READY,
        None,
        "N.provider-\\<P\\>",
        "the same; once the three above are there",
        kinds.BY_AI_GATEWAY,
    ),
    _router(
        ROUTER_CONFIG,
        kinds.CONFIG_MAP,
        "`semanticRouter`; somebody serves the `default` of one of its names",
    ),
    _router(
        f"{ROUTER}cilium-netpol",
        kinds.CILIUM_POLICY,
        "the same; `frontDoor.semanticRouter` has images, and not `configurationOnly`",
        provider=kinds.BY_CILIUM,
    ),
    _router(f"{ROUTER}networkpolicy", kinds.NETWORK_POLICY, provider=kinds.BY_NATIVE),
    _router(ROUTER_SERVICE, kinds.SERVICE, name=_ROUTER_NAME),
    _router(f"{ROUTER}vmservicescrape", kinds.VM_SCRAPE, provider=kinds.BY_VICTORIA),
    _router(f"{ROUTER}servicemonitor", kinds.SERVICE_MONITOR, provider=kinds.BY_PROMETHEUS),
    _router(ROUTER_BACKEND, kinds.BACKEND),
    _router(ROUTER_AI_BACKEND, kinds.AI_BACKEND),
    _router(ROUTER_BUDGET, kinds.BUDGET, "the same; `frontDoor.semanticRouter.replicas` above 1"),
    _router(
        ROUTER_PODS,
        kinds.ROUTER_PODS,
        "as `door-router-service`; once their policy is there and valid",
        _ROUTER_NAME,
    ),
    _router(
        ROUTER_ROUTE,
        kinds.AI_ROUTE,
        "the same; once `door-router-aiservicebackend` is there, and `door-security` names the"
        " router's key",
    ),
    kinds.Row(
        f"{RULES}vmrule",
        kinds.VM_RULE,
        "",
        None,
        "N.costs",
        "a price, stated or from costs; `providers.monitoring: victoriametrics`",
        kinds.BY_VICTORIA,
    ),
    kinds.Row(
        f"{RULES}prometheusrule",
        kinds.PROMETHEUS_RULE,
        "",
        None,
        "N.costs",
        "the same; `providers.monitoring: prometheus-operator`",
        kinds.BY_PROMETHEUS,
    ),
    kinds.Row(
        f"{EVALS}cilium-netpol",
        kinds.CILIUM_POLICY,
        EVALS_READY,
        None,
        "N.evals",
        "`evals`, and a model to evaluate; `providers.networkPolicy`",
        ("network_policy", "cilium"),
    ),
    kinds.Row(
        f"{EVALS}networkpolicy",
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
    _edge(EDGE_CONFIG, kinds.CONFIG_MAP, "`edge`; its caller may use a model"),
    _edge(
        f"{EDGE}cilium-netpol",
        kinds.CILIUM_POLICY,
        "the same; `frontDoor.litellm.image`, and not `configurationOnly`",
        provider=kinds.BY_CILIUM,
    ),
    _edge(f"{EDGE}networkpolicy", kinds.NETWORK_POLICY, provider=kinds.BY_NATIVE),
    _edge(EDGE_SERVICE, kinds.SERVICE, name="N-edge-\\<hash\\>"),
    _edge(f"{EDGE}vmservicescrape", kinds.VM_SCRAPE, provider=kinds.BY_VICTORIA),
    _edge(f"{EDGE}servicemonitor", kinds.SERVICE_MONITOR, provider=kinds.BY_PROMETHEUS),
    _edge(EDGE_BUDGET, kinds.BUDGET, "the same; `frontDoor.litellm.replicas` above 1"),
    _edge(
        EDGE_PODS,
        kinds.ROUTER_PODS,
        "as `door-edge-service`; once the Gateway is there, and their policy is there and valid",
        "N-edge-\\<hash\\>",
    ),
    kinds.Row(
        f"{DASHBOARD}{kinds.SIDECAR_DASHBOARD}",
        kinds.CONFIG_MAP,
        "",
        None,
        "N.door-dashboard",
        "a claim asks to be published; `providers.dashboards: grafana-sidecar`",
        kinds.BY_SIDECAR,
    ),
    kinds.Row(
        f"{DASHBOARD}{kinds.OPERATOR_DASHBOARD}<hash>",
        kinds.GRAFANA_DASHBOARD,
        "",
        None,
        "N.door-dashboard-\\<hash\\>",
        "the same; `providers.dashboards: grafana-operator`",
        kinds.BY_GRAFANA,
    ),
)

TABLE = kinds.Table(ROWS)
