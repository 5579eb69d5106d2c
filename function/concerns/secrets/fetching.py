"""The Secrets that the claim names in a store, and whether they are fetched."""

from collections.abc import Iterator

from function import assembly, canonical
from function.api import base, claim, settings
from function.boundary import grants
from function.cluster import observed
from function.concerns import providers, reasons
from function.concerns.secrets import external_secrets
from function.situation import situations

PROVIDERS = providers.table("secrets", {"external-secrets": external_secrets})


class SecretsReady(reasons.Reasons):
    """Reasons of SecretsReady."""

    READY = reasons.Reason("Ready", True, "Every Secret of `externalSecrets` is fetched.")
    NOT_REQUESTED = reasons.Reason("NotRequested", True, "The claim asks for no Secret of a store.")
    NOT_READY = reasons.Reason(
        "NotReady",
        False,
        "A Secret is not fetched yet, or the store refuses it; the message is the controller's.",
        "`kubectl -n llm describe externalsecret`: the path (`remoteRef`), the store"
        " (`secretStore`), its credentials.",
    )
    NOT_PROVIDED = reasons.Reason(
        "NotProvided",
        False,
        "The claim asks for Secrets, and the settings have no provider of them: pods wait for"
        " Secrets that nobody makes.",
        "Set `providers.secrets`; or make the Secret by hand and name it in `envFromSecrets`.",
        alarm=True,
    )
    KIND_MISSING = reasons.Reason(
        "KindMissing",
        False,
        "The cluster has no ExternalSecret kind.",
        "Install External Secrets"
        " ([a kind that is installed later](#a-kind-that-is-installed-later)), or"
        " `providers.secrets: none` and a Secret of your own in `envFromSecrets`.",
        alarm=True,
    )


def check_new(
    resource: claim.InferenceService, site: settings.Settings, world: observed.Observed
) -> None:
    """Ensures that each entry of externalSecrets that is new has a name that the settings grant.

    External Secrets takes over a Secret of that name which has no controller, and the keys that the
    store's entry lacks may stay in it: pods would read them. An ExternalSecret that was observed
    has done so already, and what it fetches may serve.

    Raises:
        base.InvalidError: The settings do not grant the name.
    """
    chosen = PROVIDERS.get(site.providers.secrets)
    if chosen is None:
        return
    problems = [
        problem
        for index, secret in enumerate(resource.spec.external_secrets or [])
        if world.get(f"{chosen.PREFIX}{secret.name}") is None
        for problem in grants.outside(
            "fetched_secrets", f"spec.externalSecrets[{index}].name", secret.name, resource, site
        )
    ]
    if problems:
        raise base.InvalidError("claim", problems)


def compose(now: situations.Situation) -> Iterator[assembly.Part]:
    """Yields what fetches each Secret of the claim, and each that running pods still need."""
    plan = now.plan
    asked = {secret.name: secret for secret in plan.spec.external_secrets or []}
    chosen = PROVIDERS.get(plan.site.providers.secrets)
    for provider in PROVIDERS.values():
        wanted = asked if provider is chosen else {}
        for name, secret in wanted.items():
            manifest = provider.external_secret(plan.identity, plan.site.secret_store, secret)
            yield assembly.Part(f"{provider.PREFIX}{name}", manifest)
        # Its Secret goes with an ExternalSecret: one that the running template names must stay,
        # also when settings have no provider any more, and while pods are replaced those that go
        # may need any.
        for suffix, resource in now.world.starting(provider.PREFIX):
            name = suffix.removeprefix(provider.PREFIX)
            needed = now.rollout.rolls or name in now.rollout.running.secrets
            if name not in wanted and not now.withheld and needed:
                spec = canonical.plain(observed.at(resource, "spec"))
                yield assembly.Part(suffix, provider.kept(plan.identity, name, spec))


def conditions(
    now: situations.Situation, desired: assembly.Desired
) -> Iterator[observed.Condition]:
    """Yields SecretsReady."""
    asked = now.plan.spec.external_secrets or []
    kind = SecretsReady.type()
    absent, waits = desired.lacking(kind), desired.waits(kind)
    if asked and now.plan.site.providers.secrets == "none":
        names = ", ".join(secret.name for secret in asked)
        yield SecretsReady.NOT_PROVIDED.condition(
            f"the settings have no provider of secrets, and nobody makes {names}: set"
            " providers.secrets, or name Secrets that exist in spec.envFromSecrets"
        )
    elif absent is not None:
        yield SecretsReady.KIND_MISSING.condition(reasons.missing(absent, "secrets"))
    elif waits is not None:
        yield SecretsReady.NOT_READY.condition(waits)
    elif asked:
        yield SecretsReady.READY.condition("the Secrets are fetched")
    else:
        yield SecretsReady.NOT_REQUESTED.condition("the claim asks for no Secret of a store")
