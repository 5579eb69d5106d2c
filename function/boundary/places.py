"""Which directories of the weights volume a claim's author reaches.

The volume belongs to a namespace: whoever writes claims there mounts the same one. What the
settings grant by pattern parts its teams, and namespaces whose volumes are one file system.
"""

from collections.abc import Iterator

from function.api import base, claim, settings
from function.boundary import grants


def refusals(resource: claim.InferenceService, site: settings.Settings) -> Iterator[base.Problem]:
    """Yields the sub-path and the path of the weights, where the settings do not grant them."""
    spec = resource.spec
    chosen = base.of(spec.weights_file_system, "sub_path")
    sub_path = base.given(chosen, resource.name)
    words = "it is the claim's name where it is absent" if chosen is None else ""
    yield from grants.outside(
        "sub_paths", "spec.weightsFileSystem.subPath", sub_path, resource, site, words
    )
    if spec.model.source == "pvc":
        place = f"{sub_path}/{spec.model.path}"
        yield from grants.outside("weights", "spec.model.path", place, resource, site)
    elif base.of(spec.model.preload, "enabled") is False:
        # Nobody downloads: the revision names a directory that is there already.
        place = f"{sub_path}/{base.given(spec.model.revision, 'main')}"
        yield from grants.outside("weights", "spec.model.revision", place, resource, site)
