"""Which Secrets a claim's author reaches, and which paths of the platform's store.

A pod reads any Secret of its namespace that it names, and an author of claims may have no right to
read one. So the settings grant names, by pattern and for each namespace. A Secret itself is never
looked at: what the function asks for passes through it whole, with its content.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any

from function.api import base, claim, claim_pod, claim_secrets, claim_traffic, settings
from function.boundary import grants
from function.cluster import observed


@dataclasses.dataclass(frozen=True)
class Reference:
    """A Secret that a fragment of an object names.

    Attributes:
        path: The field that holds the name, from the fragment.
        name: The Secret's name.
        namespace: Its namespace, where the fragment says one.
    """

    path: str
    name: str
    namespace: str | None

    @property
    def place(self) -> tuple[str, str, str | None]:
        """The reference without the places in lists, which a patch may shift."""
        return re.sub(r"\[\d+\]", "[]", self.path), self.name, self.namespace


def refusals(resource: claim.InferenceService, site: settings.Settings) -> Iterator[base.Problem]:
    """Yields each Secret, each path of the store and each interval that is not the author's."""
    yield from _named(resource, site)
    yield from _external(resource, site)


def _named(resource: claim.InferenceService, site: settings.Settings) -> Iterator[base.Problem]:
    """Yields each Secret that a field names and that the settings do not grant."""
    spec = resource.spec
    token = spec.model.token_secret_ref
    references = [
        Reference(f"spec.envFromSecrets[{index}]", name, None)
        for index, name in enumerate(spec.env_from_secrets or [])
    ]
    if token is not None:
        if token.key == "." or token.key.startswith(".."):
            words = "no key of a Secret is . or begins with .."
            yield base.Problem("spec.model.tokenSecretRef.key", words)
        references.append(Reference("spec.model.tokenSecretRef.name", token.name, None))
    credentials = spec.model.credentials_secret_ref
    if credentials is not None:
        path = "spec.model.credentialsSecretRef.name"
        references.append(Reference(path, credentials.name, None))
    extra = spec.pod_template or claim_pod.PodTemplate()
    for index, variable in enumerate(extra.env or []):
        path = f"spec.podTemplate.env[{index}].valueFrom"
        references += named(variable.value_from or {}, path)
    policies = spec.network_policies or claim_traffic.NetworkPolicies()
    for path, fragment in (
        ("spec.podTemplate.volumes", extra.volumes),
        # A Cilium rule of HTTP or TLS names Secrets, and Cilium reads them with its own rights.
        ("spec.networkPolicies.ingress", policies.ingress),
        ("spec.networkPolicies.egress", policies.egress),
    ):
        references += named(fragment or [], path)
    for reference in references:
        yield from _closed(reference, resource, site)


def _closed(
    reference: Reference, resource: claim.InferenceService, site: settings.Settings
) -> Iterator[base.Problem]:
    """Yields a problem when a Secret is neither granted nor one that the claim has fetched."""
    if reference.namespace not in (None, resource.namespace):
        yield base.Problem(
            reference.path,
            f"the Secret {reference.name} is in namespace {reference.namespace}: a claim names"
            " those of its own namespace alone",
        )
        return
    fetched = site.providers.secrets != "none" and any(
        secret.name == reference.name for secret in resource.spec.external_secrets or []
    )
    if not fetched:
        yield from grants.outside("secrets", reference.path, reference.name, resource, site)


def _external(resource: claim.InferenceService, site: settings.Settings) -> Iterator[base.Problem]:
    """Yields what is wrong with the Secrets that the claim has fetched."""
    for index, secret in enumerate(resource.spec.external_secrets or []):
        path = f"spec.externalSecrets[{index}]"
        owner = owners(site).get(secret.name)
        if owner is not None:
            yield base.Problem(
                f"{path}.name", f"{secret.name} is the platform's own (settings {owner})"
            )
        elif site.providers.secrets == "none":
            # Nobody fetches it, and pods would get what has that name already.
            yield from _closed(Reference(f"{path}.name", secret.name, None), resource, site)
        yield from fetched(path, secret.remote_ref, secret.refresh_interval, resource, site)


def fetched(
    path: str,
    remote_ref: str,
    interval: str | None,
    resource: grants.Named,
    site: settings.Settings,
) -> Iterator[base.Problem]:
    """Yields what is wrong with where a Secret is fetched from, and how often.

    Args:
        path: The field that names it.
        remote_ref: Its place in the store.
        interval: How often it is fetched again, or None for the usual.
        resource: The object that asks for it.
        site: The settings.
    """
    if not claim_secrets.STORE_PATH.holds(remote_ref):
        yield base.Problem(f"{path}.remoteRef", claim_secrets.STORE_PATH.message)
    else:
        yield from grants.outside("remote_refs", f"{path}.remoteRef", remote_ref, resource, site)
    if interval is not None and not claim_secrets.REFRESH.holds(interval):
        yield base.Problem(f"{path}.refreshInterval", claim_secrets.REFRESH.message)


def owners(site: settings.Settings) -> dict[str, str]:
    """Returns the names that the platform has given, each with the setting that gives it."""
    names = dict.fromkeys(site.image_pull_secrets, "imagePullSecrets")
    if site.preload.service_account_name is not None:
        names.setdefault(site.preload.service_account_name, "preload.serviceAccountName")
    return names


# --- fragments of objects

# A key of these maps is a label's, and no field.
_LABELS = frozenset(("annotations", "labels", "matchLabels"))
_SELECTOR = frozenset(("name", "key", "optional", "namespace"))


def named(fragment: Any, path: str) -> Iterator[Reference]:
    """Yields each Secret that a fragment of any object names, wherever it does.

    By the forms that Kubernetes, the operators of Prometheus and VictoriaMetrics, Cilium and Envoy
    Gateway have for it: a field whose name says Secret, and a pair of name and key.
    """
    waiting = [(path, "", fragment)]
    while waiting:
        at, field, value = waiting.pop()
        if isinstance(value, list):
            waiting += [(f"{at}[{index}]", field, item) for index, item in enumerate(value)]
        elif isinstance(value, str):
            if field.lower() == "secretname" or field.lower().endswith("secrets"):
                yield Reference(at, value, None)
        elif isinstance(value, Mapping):
            name = value.get("name")
            if isinstance(name, str) and _is_secret(field, value):
                namespace = value.get("namespace")
                yield Reference(f"{at}.name", name, None if namespace is None else str(namespace))
            waiting += [
                (f"{at}.{key}", str(key), item) for key, item in value.items() if key not in _LABELS
            ]


def _is_secret(field: str, value: Mapping[str, Any]) -> bool:
    """Tells whether what a field holds names a Secret."""
    lower = field.lower()
    if lower.startswith("configmap"):
        return False
    if "secret" in lower:
        return True
    if "certificateref" in lower:
        return value.get("kind") in (None, "Secret")
    return isinstance(value.get("key"), str) and value.keys() <= _SELECTOR


def patched(
    resource: claim.InferenceService,
    site: settings.Settings,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
) -> Iterator[base.Problem]:
    """Yields each Secret that only a patch names, by its path in the object.

    Args:
        resource: The claim.
        site: The settings.
        before: The object as it was rendered.
        after: The same with the author's patch.
    """
    places = {reference.place for reference in named(before, "")}
    for reference in named(after, ""):
        if reference.place not in places:
            bare = dataclasses.replace(reference, path=reference.path.removeprefix("."))
            yield from _closed(bare, resource, site)
    yield from _lent(before, after)


def _lent(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[base.Problem]:
    """Yields what would have a controller show its own credentials to whom the author names."""
    had = set(_files(before.get("spec"), "spec"))
    if after.get("kind") in ("ServiceMonitor", "VMServiceScrape"):
        for path, value in _files(after.get("spec"), "spec"):
            if (path, value) not in had:
                yield base.Problem(path, "a file of the scraper is not the author's to send")
    lent = [_borrows(trigger) for trigger in observed.at(before, "spec", "triggers") or []]
    triggers = observed.at(after, "spec", "triggers")
    for index, trigger in enumerate(triggers if isinstance(triggers, list) else []):
        borrowed = _borrows(trigger)
        if borrowed[0] is not None and borrowed not in lent:
            yield base.Problem(
                f"spec.triggers[{index}].authenticationRef",
                "the credentials of the settings' scaling.authenticationRef go to"
                " scaling.serverAddress alone",
            )


def _borrows(trigger: Any) -> tuple[Any, Any]:
    """Returns the credentials of a trigger, and where they are sent."""
    return observed.at(trigger, "authenticationRef"), observed.at(
        trigger, "metadata", "serverAddress"
    )


def _files(value: Any, at: str) -> Iterator[tuple[str, str]]:
    """Yields the fields that name a file, with the file."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _files(item, f"{at}[{index}]")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if isinstance(item, str) and str(key).lower().endswith("file"):
                yield f"{at}.{key}", item
            yield from _files(item, f"{at}.{key}")
