"""Why no replica of a plan could ever serve on a node of its GPU class."""

import dataclasses

# Reasons of conditions.
EXCEEDS_CLASS = "ExceedsGpuClass"
TOO_LARGE = "TooLarge"


@dataclasses.dataclass(frozen=True)
class Misfit:
    """Why a replica is asked for in vain: no GPU is asked for, and what runs keeps its template.

    Attributes:
        reason: ExceedsGpuClass, when no node of the class holds a replica; TooLarge, when the
            model does not fit into its GPUs.
        message: The same in words.
    """

    reason: str
    message: str
