"""ExternalSecrets: they keep the Secret's name, so that the engine's environment finds it."""

from function import plan as plans
from function.api import claim
from function.resources import meta


def external_secret(plan: plans.Plan, secret: claim.ExternalSecret) -> meta.Manifest:
    """Returns one ExternalSecret. Two claims share a Secret by `envFromSecrets`, with one owner."""
    store = plan.site.secret_store
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": meta.metadata(plan, secret.name),
        "spec": {
            "refreshInterval": _normal(secret.refresh_interval or "1h"),
            "secretStoreRef": {"kind": store.kind, "name": store.name},
            "target": {
                "name": secret.name,
                "creationPolicy": "Owner",
                "deletionPolicy": "Retain",
            },
            "dataFrom": [{"extract": {"key": secret.remote_ref, "conversionStrategy": "Default"}}],
        },
    }


def _normal(duration: str) -> str:
    """Returns the duration as its controller writes it back (`1h0m0s`), so that nothing drifts."""
    milliseconds = 0
    number = ""
    unit_values = {"h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
    position = 0
    while position < len(duration):
        character = duration[position]
        if character.isdigit():
            number += character
            position += 1
            continue
        unit = "ms" if duration.startswith("ms", position) else character
        milliseconds += int(number) * unit_values[unit]
        number = ""
        position += len(unit)
    seconds, rest = divmod(milliseconds, 1000)
    if rest or not seconds:
        return f"{milliseconds}ms"
    hours, seconds = divmod(seconds, 3600)
    minutes, seconds = divmod(seconds, 60)
    return (f"{hours}h" if hours else "") + (
        f"{minutes}m{seconds}s" if hours or minutes else f"{seconds}s"
    )
