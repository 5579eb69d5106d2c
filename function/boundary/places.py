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
    granted = site.weights.sub_paths
    if not grants.grant(granted, resource, sub_path):
        absent = ", the claim's name," if chosen is None else ""
        yield base.Problem(
            "spec.weightsFileSystem.subPath",
            f"{sub_path}{absent} is none of the directories of claims of namespace"
            f" {resource.namespace}: {grants.words(granted, resource)} (settings"
            " weights.subPaths)",
        )
    place = f"{sub_path}/{spec.model.path}"
    if spec.model.source != "pvc" and base.of(spec.model.preload, "enabled") is False:
        # Nobody downloads: the revision names a directory that is there already.
        revision = f"{sub_path}/{base.given(spec.model.revision, 'main')}"
        if not grants.grant(site.weights.paths, resource, revision):
            yield base.Problem(
                "spec.model.revision",
                f"{revision} on the volume is none of the directories that claims of namespace"
                f" {resource.namespace} bring weights from:"
                f" {grants.words(site.weights.paths, resource)} (settings weights.paths)",
            )
    if spec.model.source == "pvc" and not grants.grant(site.weights.paths, resource, place):
        yield base.Problem(
            "spec.model.path",
            f"{place} on the volume is none of the directories that claims of namespace"
            f" {resource.namespace} bring weights from:"
            f" {grants.words(site.weights.paths, resource)} (settings weights.paths)",
        )
