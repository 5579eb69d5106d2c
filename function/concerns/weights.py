"""The weights: the Jobs that download and remove them, and how far they are."""

from collections.abc import Iterator

from function import assembly
from function.cluster import jobs, observed, readiness
from function.concerns import reasons
from function.planning import storage
from function.situation import situations, supplies
from function.workloads import pods


class WeightsReady(reasons.Reasons):
    """Reasons of WeightsReady."""

    VERIFIED = reasons.Reason(
        "Verified",
        True,
        "Every file has the size and hash that the hub gives.",
    )
    CLEANUP_FAILED = reasons.Reason(
        "CleanupFailed",
        True,
        "The wanted weights are verified; the Job that removes unwanted ones (`model.retention:"
        " Delete`) failed for the reason in the message.",
        "As for that exit code; then raise `model.preload.generation`.",
        alarm=True,
    )
    NOT_MANAGED = reasons.Reason(
        "NotManaged",
        True,
        "No Job: the message says where the weights must lie.",
        "Put them there before the engine starts.",
    )
    IN_IMAGE = reasons.Reason(
        "InImage",
        True,
        "No Job for the model (`model.source: oci`): nodes pull the image that the message names;"
        " adapters, where there are any, are verified.",
    )
    IN_OBJECT_STORE = reasons.Reason(
        "InObjectStore",
        True,
        "No Job for the model (`model.source: s3`): each replica reads it from the bucket at its"
        " start; adapters, where there are any, are verified.",
        "Nothing. Pods that end at their start say"
        " [why](sources.md#what-a-pod-says-that-cannot-read).",
    )
    IMAGE_VOLUMES_MISSING = reasons.Reason(
        "ImageVolumesMissing",
        False,
        "The cluster dropped the image of weights from the pods: it cannot mount images, though the"
        " settings say so (`weights.imageVolumes`). Pods of `model.source: oci` start without"
        " weights and end.",
        "Kubernetes 1.35, or 1.33 with the feature gate ImageVolume on API server and nodes. Until"
        " then: `weights.imageVolumes: false`, and another `model.source`.",
        alarm=True,
    )
    IDENTITY_PENDING = reasons.Reason(
        "IdentityPending",
        False,
        "The ServiceAccount of the pods does not bear the settings'"
        " `objectStore.serviceAccountAnnotations` yet: a pod that is made before never gets the"
        " identity.",
        "If it stays: `kubectl -n llm get serviceaccount N -o yaml`, and who else writes its"
        " annotations.",
    )
    QUEUED = reasons.Reason(
        "Queued",
        False,
        "The Job is about to start, or its pod has not started: no node, image"
        " (`preload.image`, pull secret), volume not bound, Secret missing.",
        "If it stays: `kubectl -n llm describe job -l app.kubernetes.io/instance=N`; quota, Pod"
        " Security, volume not bound.",
    )
    DOWNLOADING = reasons.Reason(
        "Downloading",
        False,
        "The Job's pod runs: it downloads and verifies. From a second try on the message counts"
        " them.",
        "Its log has a progress line every 10 s.",
    )
    TOO_LARGE = reasons.Reason(
        "TooLarge",
        False,
        "Nothing is downloaded: the model does not fit into its GPUs. What runs keeps running.",
        "See [Fits](#fits).",
        alarm=True,
    )
    UNAUTHORIZED = reasons.Reason(
        "Unauthorized",
        False,
        "Exit code 10: the hub refuses the repository (401, 403, 451).",
        "Accept the model's licence on the hub; give a token that may read it"
        " (`tokenSecretRef`, key `token`; `envFromSecrets`, key `HF_TOKEN`); check the name: the"
        " hub answers 401 for one that does not exist.",
        alarm=True,
    )
    NOT_FOUND = reasons.Reason(
        "NotFound",
        False,
        "Exit code 11: the hub has no such repository, revision or file, or nothing in it that"
        " the engine could load.",
        "Check repository and revision. The Job's log says what lacks: also a repository"
        " without `config.json` or weights that the engine reads.",
        alarm=True,
    )
    DISK_FULL = reasons.Reason(
        "DiskFull",
        False,
        "Exit code 12: the volume has too little room; the message has the bytes that are missing"
        " and free.",
        "Enlarge the volume or its quota, or remove directories that no claim uses.",
        alarm=True,
    )
    HUB_UNAVAILABLE = reasons.Reason(
        "HubUnavailable",
        False,
        "Exit code 13: 15 minutes without one new byte, or a redirect that is not followed.",
        "Hub status, `hub.*` settings, proxy and CA, the Job's network policy and DNS. Then"
        " raise `spec.model.preload.generation`; it resumes.",
        alarm=True,
    )
    VERIFICATION_FAILED = reasons.Reason(
        "VerificationFailed",
        False,
        "Exit code 14: a file has not the size and hash that the hub gives, after two clean"
        " downloads; or files that cannot be verified or stored.",
        "Look for what alters content between hub and volume (proxy, mirror), or for a mirror"
        " that gives no hashes; then raise `spec.model.preload.generation`.",
        alarm=True,
    )
    VOLUME_UNUSABLE = reasons.Reason(
        "VolumeUnusable",
        False,
        "Exit code 15: the volume is missing, read-only or not writable for the Job's user, or a"
        " link stands in the place of a directory.",
        "Compare `weights.runAsUser` and `fsGroup` with the volume's owner or access point, and"
        " mount it read-write.",
        alarm=True,
    )
    PLAN_INVALID = reasons.Reason(
        "PlanInvalid",
        False,
        "Exit code 2: the Job cannot use its plan, the hub's endpoint, the proxy or the CA.",
        "Correct `hub.endpoint`, proxy or CA, which the Job's log names; otherwise it is a bug.",
        alarm=True,
    )
    DEADLINE_EXCEEDED = reasons.Reason(
        "DeadlineExceeded",
        False,
        "The download took longer than `preload.activeDeadlineSeconds` (six hours).",
        "Raise it or the bandwidth; the next Job resumes.",
        alarm=True,
    )
    BACKOFF_LIMIT_EXCEEDED = reasons.Reason(
        "BackoffLimitExceeded",
        False,
        "The pod was killed or crashed more than `preload.backoffLimit` times.",
        "`kubectl -n llm describe pod`: out of memory, node trouble; a traceback in the log is"
        " a bug.",
        alarm=True,
    )
    JOB_FAILED = reasons.Reason(
        "JobFailed",
        False,
        "The Job failed for a reason that is not in this list; the message is Kubernetes' own.",
        "`kubectl -n llm describe job -l app.kubernetes.io/instance=N`, and the Job's log.",
        alarm=True,
    )


def compose(now: situations.Situation) -> Iterator[assembly.Part]:
    """Yields the Job that downloads and the Job that removes, while they are wanted."""
    download, removal = now.supply.download, now.supply.removal
    if download is not None:
        # Once there is a workload, a running download does not make the claim unready, whether the
        # workload serves or sleeps: the workload's own readiness counts.
        done = download.observed.stage is jobs.Stage.COMPLETE or not now.withheld
        verdict = readiness.Readiness(done, "Downloading", "downloading")
        yield assembly.Part(download.suffix, download.manifest, verdict, finished=True)
    if removal is not None:
        # Nobody waits for free space.
        yield assembly.Part(removal.suffix, removal.manifest, readiness.READY, finished=True)


def conditions(
    now: situations.Situation, desired: assembly.Desired
) -> Iterator[observed.Condition]:
    """Yields WeightsReady."""
    del desired
    yield _condition(now)


def failed(now: situations.Situation) -> bool:
    """Tells whether the download that is wanted has failed."""
    download = now.supply.download
    return download is not None and download.failure is not None


def _condition(now: situations.Situation) -> observed.Condition:
    stored, verified = now.plan.storage, now.ledger.verified
    if _dropped(now):
        return WeightsReady.IMAGE_VOLUMES_MISSING.condition(
            "the cluster dropped the image of weights from the pods: it cannot mount images, which"
            " weights.imageVolumes of the settings says it can"
        )
    if now.ledger.unread is not None:
        return WeightsReady.IDENTITY_PENDING.condition(
            f"pods could not read {stored.base.place}: {now.ledger.unread}"
        )
    if not stored.preloads and not stored.base.on_volume:
        return _elsewhere(stored)
    if not stored.preloads:
        paths = ", ".join(directory.path for directory in stored.directories)
        return WeightsReady.NOT_MANAGED.condition(
            f"weights must lie at {paths} of volume {stored.volume}"
        )
    download, removal = now.supply.download, now.supply.removal
    if download is not None and download.failure is not None:
        what_now = (
            "the weights that are wanted are verified"
            if verified
            else "raise spec.model.preload.generation to try again"
        )
        return WeightsReady.named(download.failure.reason).condition(
            f"{download.failure.message} ({_repositories(stored)}); {what_now}", holds=verified
        )
    if verified and removal is not None and removal.failure is not None:
        return WeightsReady.CLEANUP_FAILED.condition(
            "the weights are verified; those that are no longer wanted are not removed:"
            f" {removal.failure.message}; raise spec.model.preload.generation to try again"
        )
    if verified and not stored.base.on_volume:
        return _elsewhere(stored)
    if verified:
        return WeightsReady.VERIFIED.condition("the weights are verified")
    return _on_its_way(now, jobs.Job() if download is None else download.observed)


def _elsewhere(stored: storage.Storage) -> observed.Condition:
    """Returns the condition of weights that no Job brings."""
    place = stored.base.place
    adapters = "; the adapters are verified" if stored.preloads else ""
    if stored.adapters and not stored.preloads:
        paths = ", ".join(adapter.path for adapter in stored.adapters)
        adapters = f"; adapters must lie at {paths} of volume {stored.volume}"
    if stored.base.origin is storage.Origin.IMAGE:
        return WeightsReady.IN_IMAGE.condition(f"nodes pull the weights as {place}{adapters}")
    words = f"each replica reads the weights from {place} at its start{adapters}"
    return WeightsReady.IN_OBJECT_STORE.condition(words)


def _dropped(now: situations.Situation) -> bool:
    """Tells whether the API server took the image of weights out of the pods.

    One without the feature does so in silence, and leaves the annotations as they were emitted.
    """
    keeper = now.world.get(now.plan.workload.SUFFIX)
    if keeper is None or not now.rollout.applied or not _has_image(now.rollout.template):
        return False
    return not _has_image(now.plan.workload.template(keeper))


def _has_image(template: observed.Object | None) -> bool:
    volumes = observed.items(observed.at(template, "spec"), "volumes")
    return any(observed.at(volume, "name") == pods.IMAGE_VOLUME for volume in volumes)


def _on_its_way(now: situations.Situation, job: jobs.Job) -> observed.Condition:
    """Returns the condition of a download that has not ended."""
    what = _repositories(now.plan.storage)
    again = _again(job, now.plan.site.preload.backoff_limit)
    if job.stage is jobs.Stage.RUNNING:
        return WeightsReady.DOWNLOADING.condition(f"downloading and verifying {what}{again}")
    if job.stage is jobs.Stage.STARTING:
        return WeightsReady.QUEUED.condition(
            f"the pod that downloads {what} has not started{again}: node, image, volume or Secret"
        )
    misfit = now.plan.misfit
    if misfit is not None and supplies.in_vain(now.plan, now.rollout):
        return WeightsReady.TOO_LARGE.condition(f"{what} is not downloaded: {misfit.message}")
    if now.guards.download is not None:
        return WeightsReady.QUEUED.condition(
            f"the download of {what} waits for its network policy: {now.guards.download}"
        )
    return WeightsReady.QUEUED.condition(f"the download of {what} is about to start{again}")


def _again(job: jobs.Job, limit: int) -> str:
    """Returns which try it is, from the second on."""
    tries = job.failed_pods
    return f" (try {tries + 1} of {limit + 1})" if 0 < tries <= limit else ""


def _repositories(stored: storage.Storage) -> str:
    return ", ".join(f"{d.repository}@{d.revision}" for d in stored.downloaded)
