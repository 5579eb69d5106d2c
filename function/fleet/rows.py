"""Every object that an InferenceGateway may become: one row for each key, causes first."""

from function import kinds

GATEWAY_READY = "GatewayReady"
CALLERS_READY = "CallersReady"

# The suffixes begin with a word of their own: a claim may have the same name.
KEY = "door-key-"
PROXY = "door-proxy"
CLIENTS = "door-clients"
SECURITY = "door-security"
GATEWAY = "door-gateway"

_GATEWAY = ("gateway", "envoy-ai-gateway")
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
        GATEWAY,
        kinds.GATEWAY,
        GATEWAY_READY,
        None,
        "N",
        "no `gateway`; once the three above are there",
        _GATEWAY,
    ),
)

TABLE = kinds.Table(ROWS)
