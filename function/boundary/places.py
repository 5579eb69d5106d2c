"""Which directories of the weights volume a claim's author reaches.

The volume belongs to a namespace: whoever writes claims there mounts the same one. What the
settings grant by pattern parts its teams, and namespaces whose volumes are one file system.
"""

from collections.abc import Iterator

from function.api import base, claim, settings
from function.boundary import grants
from function.planning import storage


def refusals(resource: claim.InferenceService, site: settings.Settings) -> Iterator[base.Problem]:
    """Yields the sub-path and the places of weights and adapters that the settings do not grant."""
    spec = resource.spec
    chosen = base.of(spec.weights_file_system, "sub_path")
    sub_path = base.given(chosen, resource.name)
    words = "it is the claim's name where it is absent" if chosen is None else ""
    yield from grants.outside(
        "sub_paths", "spec.weightsFileSystem.subPath", sub_path, resource, site, words
    )
    if storage.preloads(spec):
        return
    # Nobody downloads: what is named is a directory that is there already.
    if spec.model.source == "pvc":
        place = f"{sub_path}/{spec.model.path}"
        yield from grants.outside("weights", "spec.model.path", place, resource, site)
    elif storage.from_hub(spec.model):
        place = f"{sub_path}/{base.given(spec.model.revision, 'main')}"
        yield from grants.outside("weights", "spec.model.revision", place, resource, site)
    for index, adapter in enumerate(spec.lora_adapters or []):
        place = f"{sub_path}/loras/{adapter.name}"
        yield from grants.outside(
            "weights", f"spec.loraAdapters[{index}].name", place, resource, site
        )
