"""Which images and buckets a claim's author may have weights from.

Nodes pull an image with the site's pull secrets, and pods read a bucket with the identity that the
site gives them: both reach more than the author does.
"""

from collections.abc import Iterator

from function.api import base, claim, settings
from function.boundary import grants


def refusals(resource: claim.InferenceService, site: settings.Settings) -> Iterator[base.Problem]:
    """Yields the image or the bucket that the settings do not grant, or that no pod could read."""
    model = resource.spec.model
    if model.image is not None:
        name = model.image.partition("@")[0]
        yield from grants.outside("model_images", "spec.model.image", name, resource, site)
        if not site.weights.image_volumes:
            yield base.Problem(
                "spec.model.source",
                "oci needs a cluster whose pods can mount images, as Kubernetes does by"
                " itself from 1.35 on: set weights.imageVolumes in the settings of such a cluster",
            )
    if model.uri is not None:
        yield from grants.outside("model_uris", "spec.model.uri", model.uri, resource, site)
        store = site.object_store
        if store.endpoint is None and store.bucket_region is None and site.region is None:
            yield base.Problem(
                "spec.model.source",
                "s3 needs to know where the store is: set objectStore.endpoint in the settings, or"
                " objectStore.bucketRegion for AWS S3",
            )
