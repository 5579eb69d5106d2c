"""ExternalSecrets: they keep the Secret's name, so that the engine's environment finds it."""

from function import duration, kinds, memo
from function.api import claim_secrets, settings
from function.planning import identity

PREFIX = "externalsecret-"
KIND = kinds.EXTERNAL_SECRET


@memo.per_plan
def external_secret(
    who: identity.Identity, store: settings.SecretStore, secret: claim_secrets.ExternalSecret
) -> identity.Manifest:
    """Returns one ExternalSecret. Two claims share a Secret by `envFromSecrets`, with one owner."""
    return kept(
        who,
        secret.name,
        {
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
    )


def kept(who: identity.Identity, name: str, spec: identity.Manifest) -> identity.Manifest:
    """Returns an ExternalSecret as it is, for as long as running pods need its Secret."""
    return {
        "apiVersion": KIND.api_versions[0],
        "kind": KIND.name,
        "metadata": who.metadata(name),
        "spec": spec,
    }
