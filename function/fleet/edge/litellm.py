"""LiteLLM's proxy: what it reads, what its database is to hold, and its container.

The facts are those of LiteLLM 1.108.7, whose real proxy reads the configuration in the tests. Keys,
teams and budgets live in its database, where its management API writes them. What that is asked is
made here, and nobody asks it by itself: a key is told once, to whoever made it.
"""

import decimal
import re
from typing import Any

from function import canonical
from function.api import gateway, gateway_money
from function.concerns.observability import watching
from function.engines import engine
from function.fleet import doors, pricing, situations
from function.fleet.edge import wanted
from function.planning import identity
from function.workloads import pods

PORT = 4000
METRICS = 4001
# The name that metrics have as a port of the Service, and of the container.
METRICS_PORT = "metrics"
READY_PATH = "/health/readiness"
LIVE_PATH = "/health/liveliness"
# Files of the ConfigMap: what the proxy reads, and what its management API is to be asked.
CONFIGURATION = "config.yaml"
MANAGEMENT = "management.json"
# Variables of the proxy with its key at the Gateway, its own key and its database.
KEY = "EDGE_KEY"
MASTER_KEY = "LITELLM_MASTER_KEY"
DATABASE = "DATABASE_URL"

_DIRECTORY = "/etc/edge"
_AUTHORITY = "/etc/authority"
_SCRATCH = "/scratch"
_MODES = (("embed", "embedding"), ("complete", "completion"))
_MILLION = decimal.Decimal(10**6)
# No name, host or variable has this mark: numbers stand between two of them.
_NUMBER = re.compile(r'"@([0-9.]+)@"')
_PERIODS = {"day": "1d", "month": "30d"}


def files(now: situations.Situation, given: wanted.Edge) -> dict[str, str]:
    """Returns the files by name."""
    return {
        CONFIGURATION: _text(configuration(now.door, given)),
        MANAGEMENT: _text(management(now.door, given)),
    }


def _text(document: Any) -> str:
    """Returns a document as JSON, which is YAML too.

    LiteLLM reads YAML 1.1, to which a number such as 5e-07 is a text: numbers have no exponent.
    """
    return _NUMBER.sub(r"\1", canonical.dumps(document)) + "\n"


def _number(value: decimal.Decimal) -> str:
    return f"@{value.normalize():f}@" if value else "@0@"


def configuration(door: doors.Door, given: wanted.Edge) -> identity.Manifest:
    """Returns what the proxy reads.

    The Gateway behind it tries again where that helps. A deployment that fails is not left out for
    a while, as there is no other: one caller over its limit would shut the model for all.
    """
    tells = not given.spec.configuration_only and watched(door)
    return {
        "model_list": [_model(door, given, name) for name in given.names],
        "router_settings": {
            "disable_cooldowns": True,
            "model_group_alias": {alias.name: alias.model for alias in given.aliases},
            "num_retries": 0,
        },
        "litellm_settings": {
            "request_timeout": door.site.gateway.request_timeout_seconds,
            "telemetry": False,
            **({"callbacks": ["prometheus"]} if tells else {}),
        },
        "general_settings": {
            # Without the last chunk of a stream its tokens would be guessed.
            "always_include_stream_usage": True,
            "database_url": f"os.environ/{DATABASE}",
            "master_key": f"os.environ/{MASTER_KEY}",
            "store_model_in_db": False,
        },
    }


def watched(door: doors.Door) -> bool:
    """Tells whether anybody reads the proxy's metrics."""
    return door.site.providers.monitoring in watching.PROVIDERS


def _model(door: doors.Door, given: wanted.Edge, name: wanted.Name) -> identity.Manifest:
    mode = next((mode for word, mode in _MODES if word in name.offers), "chat")
    spoken = "text-completion-openai" if mode == "completion" else "openai"
    parameters = {
        "model": f"{spoken}/{name.name}",
        "api_base": given.address,
        "api_key": f"os.environ/{KEY}",
        "timeout": door.site.gateway.request_timeout_seconds,
        **_prices(name.price),
    }
    info = {
        "access_groups": [group(caller) for caller in name.groups],
        "max_input_tokens": name.context,
        "mode": mode,
        "supports_function_calling": "tools" in name.offers,
        "supports_reasoning": "reasoning" in name.offers,
    }
    return {
        "model_name": name.name,
        "litellm_params": parameters,
        "model_info": canonical.prune(info),
    }


def _prices(price: pricing.Price | None) -> dict[str, str]:
    """Returns what one token costs.

    LiteLLM knows prices of public names: a model of ours that is named as one would cost that.
    """
    given = decimal.Decimal(0) if price is None else decimal.Decimal(price.input)
    had = given if price is None or price.cached_input is None else price.cached_input
    answers = 0 if price is None or price.output is None else price.output
    costs = {
        "input_cost_per_token": given,
        "cache_read_input_token_cost": decimal.Decimal(had),
        "output_cost_per_token": decimal.Decimal(answers),
    }
    return {name: _number(cost / _MILLION) for name, cost in costs.items()}


def group(caller: str) -> str:
    """Returns the access group of a caller: no name of a model has a slash.

    Keys name a group in place of models, since a key that names no model opens all of them.
    """
    return f"callers/{caller}"


def management(door: doors.Door, given: wanted.Edge) -> identity.Manifest:
    """Returns what /team/new and /key/generate of the management API are to be asked."""
    whose = f"{door.identity.namespace}/{door.identity.name}"
    teams = sorted(given.spec.teams, key=lambda team: team.name)
    of = {caller: team.name for team in teams for caller in team.callers}
    return {
        "teams": [
            {
                "team_id": f"{whose}/{team.name}",
                "team_alias": f"{whose}/{team.name}",
                **_budget(team.budget),
            }
            for team in teams
        ],
        "keys": [
            {
                "key_alias": f"{whose}/{caller.name}",
                "key_type": "llm_api",
                "models": [group(caller.name)],
                **({"team_id": f"{whose}/{of[caller.name]}"} if caller.name in of else {}),
                **_budget(caller.budget),
                **_limits(caller),
            }
            for caller in given.callers
        ],
    }


def _budget(budget: gateway_money.Budget | None) -> identity.Manifest:
    if budget is None:
        return {}
    amount = _number(decimal.Decimal(budget.amount))
    return {"max_budget": amount, "budget_duration": _PERIODS[budget.per]}


def _limits(caller: gateway.Caller) -> identity.Manifest:
    """Returns the limits by minute, the least of each kind: others have no form there."""
    all_models: dict[str, int] = {}
    by_model: dict[str, dict[str, int]] = {}
    for limit in caller.limits or []:
        if limit.per != "minute":
            continue
        amount = limit.requests if limit.tokens is None else limit.tokens
        kind = "rpm_limit" if limit.tokens is None else "tpm_limit"
        if limit.model is None:
            place, key = all_models, kind
        else:
            place, key = by_model.setdefault(f"model_{kind}", {}), limit.model
        place[key] = min(place.get(key, amount or 0), amount or 0)
    return {**all_models, **by_model}


def lost(given: wanted.Edge) -> list[str]:
    """Returns the callers who have limits that LiteLLM has no form for: by hour and by day."""
    return [
        caller.name
        for caller in given.callers
        if any(limit.per != "minute" for limit in caller.limits or [])
    ]


def container(door: doors.Door, given: wanted.Edge) -> identity.Manifest:
    """Returns the container of the proxy."""
    site, reference = door.site.front_door.litellm, given.spec.secret_ref
    own = "" if reference is None else reference.name
    secrets = {
        KEY: (situations.key_secret(door, given.caller), given.caller.name),
        MASTER_KEY: (own, "master-key"),
        DATABASE: (own, "database-url"),
    }
    values = {
        "DISABLE_ADMIN_UI": "True",
        # Prices and abilities of public models, by which it asks GitHub at each start.
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_MIGRATION_DIR": f"{_SCRATCH}/migrations",
        "LITELLM_MODE": "PRODUCTION",
        "PROMETHEUS_MULTIPROC_DIR": f"{_SCRATCH}/metrics",
    }
    mounts = [
        {"name": "configuration", "mountPath": _DIRECTORY, "readOnly": True},
        {"name": "scratch", "mountPath": _SCRATCH},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
    ]
    if given.spec.certificate_authority is not None:
        values["SSL_CERT_FILE"] = f"{_AUTHORITY}/ca.crt"
        mounts.append({"name": "authority", "mountPath": _AUTHORITY, "readOnly": True})
    ports = {"http": PORT, **({METRICS_PORT: METRICS} if watched(door) else {})}
    probe = {"httpGet": {"path": READY_PATH, "port": PORT}}
    return {
        "name": "litellm",
        "image": engine.mirrored(str(site.image), door.site),
        "imagePullPolicy": "IfNotPresent",
        "args": [
            f"--config={_DIRECTORY}/{CONFIGURATION}",
            f"--port={PORT}",
            *([f"--prometheus_metrics_port={METRICS}"] if watched(door) else []),
            "--telemetry=False",
        ],
        "env": [
            *(
                {
                    "name": variable,
                    "valueFrom": {"secretKeyRef": {"name": secret, "key": key}},
                }
                for variable, (secret, key) in secrets.items()
            ),
            *({"name": name, "value": value} for name, value in values.items()),
        ],
        "ports": [
            {"name": name, "containerPort": port, "protocol": "TCP"} for name, port in ports.items()
        ],
        "resources": {"requests": dict(site.requests), "limits": dict(site.limits)},
        "securityContext": pods.CONTAINER_SECURITY,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        # It brings its database up to date first.
        "startupProbe": {**probe, "periodSeconds": 10, "failureThreshold": 60},
        "readinessProbe": {**probe, "periodSeconds": 5},
        "livenessProbe": {
            "httpGet": {"path": LIVE_PATH, "port": PORT},
            "periodSeconds": 30,
            "failureThreshold": 6,
        },
        "volumeMounts": mounts,
    }
