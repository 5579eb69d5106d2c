"""Why a Job on the weights volume failed: exit codes of its program, ends by its controller."""

import dataclasses
import re

from function.cluster import jobs


@dataclasses.dataclass(frozen=True)
class Failure:
    """What an exit code of the preload program means, for a machine and for a person."""

    reason: str
    message: str


# preload/exits.py, class Exit. A test compares the two.
FAILURES = {
    2: Failure(
        "PlanInvalid",
        "the preload program cannot use its plan: a certificate authority or proxy of the settings"
        " is unusable, or this is a bug; its log says which",
    ),
    10: Failure(
        "Unauthorized",
        "the hub refused access (401 or 403): the token is missing or has no access, the model"
        " is gated, or the name does not exist (the hub answers 401 for that too)",
    ),
    11: Failure(
        "NotFound",
        "the hub has no such repository or revision (404), or it holds nothing that the engine"
        " loads; the Job's log says which",
    ),
    12: Failure("DiskFull", "the weights volume is full"),
    13: Failure(
        "HubUnavailable",
        "the hub did not answer for too long (429, 5xx or time-outs), or redirects to a host that"
        " is not public; the Job's log says which",
    ),
    14: Failure(
        "VerificationFailed",
        "downloaded files differ from the hub's checksums, twice, or what the hub lists cannot be"
        " verified",
    ),
    15: Failure(
        "VolumeUnusable",
        "the weights volume is not there or refuses writes: check the mount, uid and fsGroup",
    ),
}

# Why a Job fails whose pods gave no code of ours: by the Job controller's reason.
_ENDS = {
    "DeadlineExceeded": "took longer than its deadline",
    "BackoffLimitExceeded": "was killed or crashed too often",
}
FAILURE_REASONS = frozenset(
    (*(failure.reason for failure in FAILURES.values()), *_ENDS, "JobFailed")
)

_EXIT_CODE = re.compile(r"failed with exit code ([0-9]+)")


def failure(job: jobs.Job, component: str) -> Failure | None:
    """Returns why a Job failed, or None unless it did.

    Args:
        job: The observed Job.
        component: What the Job is for.
    """
    if job.stage is not jobs.Stage.FAILED:
        return None
    match = _EXIT_CODE.search(job.message)
    meant = FAILURES.get(int(match[1])) if match else None
    if meant is not None:
        return meant
    if job.reason in _ENDS:
        what = "removal" if component == jobs.CLEANUP else "download"
        return Failure(job.reason, f"the {what} {_ENDS[job.reason]}")
    return Failure("JobFailed", job.message or "the preload Job failed")
