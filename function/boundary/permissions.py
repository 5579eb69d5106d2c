"""What the settings do not have, or do not allow in the claim's namespace."""

from collections.abc import Iterator

from pydantic import alias_generators

from function import plural
from function.api import base, claim, claim_pod, settings
from function.boundary import grants, sources
from function.planning import hardware, scaling


def refusals(resource: claim.InferenceService, site: settings.Settings) -> Iterator[base.Problem]:
    """Yields what the settings do not have or do not allow, whatever the engine is."""
    spec = resource.spec
    name = base.of(spec.gpu, "class_")
    if name is not None and name not in site.gpu.classes:
        yield base.Problem("spec.gpu.class", hardware.no_class(name, site))
    version, image = base.of(spec.engine, "version"), base.of(spec.engine, "image")
    # Beside an image the version chooses nothing.
    if version is not None and image is None:
        number = version.removeprefix("v")
        own = site.engine.tei.version if spec.engine_kind == "tei" else site.engine.version
        if number != own.removeprefix("v"):
            yield from grants.outside(
                "engine_versions",
                "spec.engine.version",
                number,
                resource,
                site,
                f"the settings' own version, {own}, is always allowed",
            )
    yield from _scheduling(resource, site)
    for index, adapter in enumerate(spec.lora_adapters or []):
        if adapter.hot is True:
            path = f"spec.loraAdapters[{index}].hot"
            yield from closed("hot_adapters", path, resource.namespace, site)
    abroad = base.of(base.of(spec.gateway, "fallback"), "provider")
    if abroad is not None:
        path = "spec.gateway.fallback.provider"
        yield from grants.outside("fallback_providers", path, abroad, resource, site)
    extra = spec.pod_template or claim_pod.PodTemplate()
    hatches = (
        ("patches", "spec.patches", spec.patches),
        ("engine_image", "spec.engine.image", image),
        ("volumes", "spec.podTemplate.volumes", extra.volumes),
        ("volumes", "spec.podTemplate.volumeMounts", not extra.volumes and extra.volume_mounts),
    )
    yield from sources.problems(extra.env or [])
    for hatch, path, used in hatches:
        if used:
            yield from closed(hatch, path, resource.namespace, site)


def _scheduling(
    resource: claim.InferenceService, site: settings.Settings
) -> Iterator[base.Problem]:
    """Yields why a claim cannot have its queue or its place there.

    A LocalQueue is of the claim's namespace: whoever made it gave it to the authors.
    """
    asked = resource.spec.scheduling or claim_pod.Scheduling()
    if asked.queue is not None and site.providers.queue == "none":
        yield base.Problem(
            "spec.scheduling.queue", "the settings name nobody who admits it (providers.queue)"
        )
    if asked.priority_class is not None:
        path = "spec.scheduling.priorityClass"
        yield from grants.outside("queue_priorities", path, asked.priority_class, resource, site)


def closed(
    hatch: str, path: str, namespace: str, site: settings.Settings, words: str = ""
) -> Iterator[base.Problem]:
    """Yields a problem when the settings do not open an escape hatch to the namespace.

    Args:
        hatch: Field of the settings' permissions, in Python's spelling.
        path: Field of the claim that uses it.
        namespace: The claim's namespace.
        site: The settings.
        words: What exactly is refused, the beginning of the sentence.
    """
    if not site.permissions.allow(hatch, namespace):
        camel = alias_generators.to_camel(hatch)
        refusal = f"the settings do not allow this in namespace {namespace} (permissions.{camel})"
        yield base.Problem(path, f"{words}; {refusal}" if words else refusal)


def _raised(spec: claim.Spec, count: int, most: int) -> str:
    """Returns the field that asks for too many GPUs; an absent maximum is never too large."""
    if base.of(spec.scaling, "max_replicas") is not None:
        return "spec.scaling.maxReplicas"
    if count <= most:
        return "spec.scaling.minReplicas"
    return "spec.gpu.count" if hardware.gpu_count(spec) > 1 else "spec.resources"


def caps(spec: claim.Spec, site: settings.Settings) -> Iterator[base.Problem]:
    """Yields what is above the settings' caps on one claim, and what the settings lack for it."""
    most = site.limits.max_gpus
    if most is not None:
        count = hardware.gpus_of_a_replica(spec)
        _, maximum = scaling.bounds(spec, site)
        if maximum * count > most:
            yield base.Problem(
                _raised(spec, count, most),
                f"{plural.of(maximum, 'replica')} of {plural.of(count, 'GPU')}"
                f" {plural.are(maximum)} above the settings' limits.maxGPUs of {most}",
            )
    if any("{region}" in host for host in site.preload.egress_hosts) and site.region is None:
        yield base.Problem("settings preload.egressHosts", "{region} needs the setting region")
    store = site.object_store
    unnamed = (store.bucket_region or site.region) is None
    if spec.model.source == "s3" and unnamed and any("{region}" in h for h in store.egress_hosts):
        words = "{region} needs the setting region or objectStore.bucketRegion"
        yield base.Problem("settings objectStore.egressHosts", words)
