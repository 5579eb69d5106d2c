"""The Jobs that judge canaries, as their controller reports them."""

import dataclasses
import enum
import re
from typing import Any

from function import canonical, instants
from function.cluster import jobs, observed
from function.planning import identity

COMPONENT = "gate"
# End of the key of such a Job, before its hash.
SUFFIX = f"{COMPONENT}-job-"
# What a Job judges: which text of a canary, which step of it, and which try it is.
ASKED_ANNOTATION = f"{identity.DOMAIN}/gate"
PERCENT_ANNOTATION = f"{identity.DOMAIN}/gate-percent"
TRY_ANNOTATION = f"{identity.DOMAIN}/gate-try"
# On the route that has the weights: the highest step of each canary that held, by adapter, with
# what was judged and from when on; those without a gate are left out. Whoever may write there may
# give a canary any weight; the status of a claim may be written by others.
HELD_ANNOTATION = f"{identity.DOMAIN}/canaries-held"


class Ending(enum.Enum):
    """How a Job ended, or that it has not.

    Attributes:
        reason: In one word, for the status.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason

    NONE = ""
    HELD = "Held"
    ERRORS = "ErrorRate"
    EVALS = "EvalsFailed"
    FEW = "TooFewRequests"
    STORE = "StoreUnreachable"
    UNEVALUATED = "NotEvaluated"
    BASE = "BaseFails"
    LATE = "NotRun"
    FAILED = "JobFailed"
    FOREIGN = "JobChanged"


# judge/exits.py. A test compares the two.
CODES = {
    20: Ending.ERRORS,
    21: Ending.EVALS,
    30: Ending.FEW,
    31: Ending.STORE,
    32: Ending.UNEVALUATED,
    33: Ending.BASE,
}
BROKEN = frozenset((Ending.ERRORS, Ending.EVALS))
# After these the step is judged by another Job.
UNDECIDED = frozenset((Ending.FEW, Ending.STORE, Ending.UNEVALUATED, Ending.BASE, Ending.LATE))

_EXIT_CODE = re.compile(r"failed with exit code ([0-9]+)")


@dataclasses.dataclass(frozen=True)
class Judgement:
    """An observed Job.

    Attributes:
        suffix: End of its key.
        name: Its name.
        ending: How it ended.
        asked: Which text of a canary it judges.
        percent: Which step.
        tries: How many Jobs judged that step before it.
        started: When it began, as the API server writes times, or None.
    """

    suffix: str
    name: str
    ending: Ending
    asked: str
    percent: int
    tries: int
    started: str | None


@dataclasses.dataclass(frozen=True)
class Vouched:
    """What a route says of a canary.

    Attributes:
        mark: What was judged.
        percent: The highest step that held, or 0.
        since: Since when requests count for the step that follows, or None.
        began: When the first step began, or None.
    """

    mark: str
    percent: int = 0
    since: str | None = None
    began: str | None = None

    def document(self) -> dict[str, str | int]:
        """Returns the same as the route has it."""
        return canonical.prune(dataclasses.asdict(self))


def told(route: observed.Object | None) -> bool:
    """Tells whether a route says anything of its canaries, or that none is judged."""
    return observed.at(route, "metadata", "annotations", HELD_ANNOTATION) is not None


def vouched(route: observed.Object | None) -> dict[str, Vouched]:
    """Returns what a route says of its canaries, by adapter."""
    text = observed.at(route, "metadata", "annotations", HELD_ANNOTATION)
    try:
        written = canonical.loads(text) if isinstance(text, str) else {}
    except ValueError:
        return {}
    entries = written.items() if isinstance(written, dict) else ()
    return {
        adapter: Vouched(
            str(observed.at(entry, "mark")),
            observed.count(observed.at(entry, "percent")),
            time(observed.at(entry, "since")),
            time(observed.at(entry, "began")),
        )
        for adapter, entry in entries
    }


def time(written: Any) -> str | None:
    """Returns a time as the API server writes it, or None where it is none."""
    return written if isinstance(written, str) and instants.read(written) is not None else None


def judgements(world: observed.Observed) -> list[Judgement]:
    """Returns the observed Jobs, by key."""
    return [_judgement(suffix, resource) for suffix, resource in world.starting(SUFFIX)]


def _judgement(suffix: str, resource: observed.Object) -> Judgement:
    job = jobs.job(resource)
    annotations = observed.at(resource, "metadata", "annotations")
    return Judgement(
        suffix=suffix,
        name=job.name,
        ending=_ending(job),
        asked=str(observed.at(annotations, ASKED_ANNOTATION) or ""),
        percent=canonical.whole(observed.at(annotations, PERCENT_ANNOTATION)) or 0,
        tries=canonical.whole(observed.at(annotations, TRY_ANNOTATION)) or 0,
        started=_started(resource),
    )


def _started(resource: observed.Object) -> str | None:
    """Returns when a Job began, or the time next to that which it has."""
    written = (
        observed.at(resource, "status", "startTime"),
        observed.at(resource, "metadata", "creationTimestamp"),
        *(
            observed.at(condition, "lastTransitionTime")
            for condition in observed.items(observed.at(resource, "status"), "conditions")
        ),
    )
    return next((known for one in written if (known := time(one)) is not None), None)


def _ending(job: jobs.Job) -> Ending:
    if job.stage is jobs.Stage.COMPLETE:
        return Ending.HELD
    if job.stage is not jobs.Stage.FAILED:
        return Ending.NONE
    match = _EXIT_CODE.search(job.message)
    if job.reason == "PodFailurePolicy" and match is not None:
        return CODES.get(int(match[1]), Ending.FAILED)
    return Ending.LATE if job.reason == "DeadlineExceeded" else Ending.FAILED
