"""ExternalSecrets: they keep the Secret's name, so that the engine's environment finds it."""

from function import duration
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
            # In its controller's own form, so that nothing drifts.
            "refreshInterval": duration.normal(secret.refresh_interval or "1h"),
            "secretStoreRef": {"kind": store.kind, "name": store.name},
            "target": {
                "name": secret.name,
                "creationPolicy": "Owner",
                "deletionPolicy": "Retain",
            },
            "dataFrom": [{"extract": {"key": secret.remote_ref, "conversionStrategy": "Default"}}],
        },
    }


def kept(plan: plans.Plan, name: str, spec: meta.Manifest) -> meta.Manifest:
    """Returns an ExternalSecret as it is, for as long as running pods need its Secret."""
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": meta.metadata(plan, name),
        "spec": spec,
    }
