"""How the program ends: exit codes, and the exceptions that lead to them."""

import enum
import errno


class Exit(enum.IntEnum):
    """Exit codes; the Job's podFailurePolicy matches them, so a number never changes its meaning.

    Below 10 the program or its plan is at fault, from 10 on the world. `HUB_UNAVAILABLE` is the
    one that another try may cure without anybody doing anything.
    """

    DONE = 0
    """Every item of the plan is published."""
    BUG = 1
    """An error nobody foresaw; the log has the traceback."""
    PLAN_INVALID = 2
    """The plan or a number in the environment cannot be understood."""
    UNAUTHORIZED = 10
    """401 or 403: token missing or too weak, licence not accepted, or no such name."""
    NOT_FOUND = 11
    """404: no such repository, revision or file, or nothing in it that the engine could load."""
    DISK_FULL = 12
    """The volume or its quota is too small."""
    HUB_UNAVAILABLE = 13
    """429, 5xx, time-outs or broken connections for longer than the retry budget."""
    VERIFICATION_FAILED = 14
    """Content differs from the hub's own metadata after two clean downloads."""
    VOLUME_UNUSABLE = 15
    """The volume is missing, read-only, or not writable for this uid."""
    STOPPED = 143
    """SIGTERM or SIGINT; what was downloaded stays and the next run resumes."""

    @property
    def reason(self) -> str:
        """The name in CamelCase, as it stands in the termination message."""
        return "".join(word.capitalize() for word in self.name.split("_"))


class PreloadError(Exception):
    """An end that was foreseen: an exit code and a sentence that says what to do."""

    def __init__(self, exit_code: Exit, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.message = message


class Stopped(BaseException):
    """Raised by the signal handler; no `except Exception` on the way may swallow it."""


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def of_storage(error: OSError, where: str) -> PreloadError:
    """Turn an error of the volume into the failure that names it.

    Args:
        error: What a file operation raised. Errors of the hub must not come here, although
            huggingface_hub's are OSErrors too.
        where: The path or item that was being worked on.
    """
    words = error.strerror or str(error)
    if error.filename:
        words = f"{words}: {error.filename}"
    if error.errno in _FULL:
        return PreloadError(
            Exit.DISK_FULL,
            f"{where}: {words}. Enlarge the volume or its quota, or remove weights that no claim "
            "uses; the next run continues where this one stopped.",
        )
    return PreloadError(
        Exit.VOLUME_UNUSABLE,
        f"{where}: {words}. The volume must be mounted read-write and writable for the uid that "
        "this Job runs as (a fixed uid of the storage's access point must be the same).",
    )
