"""How the GPUs of one replica share a model, and over how many pods they lie."""

import dataclasses
from collections.abc import Iterator

from function.api import base, claim, claim_pod

# Of a LeaderWorkerSet's name its pods' names are made: of two numbers of at most two digits, and
# of the hash of a StatefulSet's revision, which is a label of 63 characters.
LONGEST_NAME = 34

# Variables that the group's controller gives to every container of the group.
LEADER = "LWS_LEADER_ADDRESS"
INDEX = "LWS_WORKER_INDEX"
# The pod's own address; of ours, from the downward API.
OWN_ADDRESS = "POD_IP"


@dataclasses.dataclass(frozen=True)
class Split:
    """How the GPUs of one replica share a model.

    Attributes:
        tensor: GPUs that share each layer.
        pipeline: Stages that share the layers.
        data: Copies of the model that share the requests.
        expert: True when experts lie whole on one GPU each, and not in slices on all.
        pods: Pods of a replica, each with `gpu.count` GPUs.
        written: False when the claim says nothing of it.
    """

    tensor: int
    pipeline: int = 1
    data: int = 1
    expert: bool = False
    pods: int = 1
    written: bool = False

    @property
    def copy(self) -> int:
        """GPUs that hold one copy of the model."""
        return self.tensor * self.pipeline

    @property
    def listens(self) -> bool:
        """Whether the first pod of a replica must know its own address, to listen on it."""
        return self.spans and self.data > 1

    @property
    def timed(self) -> bool:
        """Whether anybody measured times: of one copy in one stage in one pod."""
        return self.pods * self.pipeline * self.data == 1

    @property
    def spans(self) -> bool:
        """Whether a replica has more pods than one."""
        return self.pods > 1


def split(spec: claim.Spec) -> Split:
    """Returns how a replica's GPUs share the model.

    Without `gpu.parallelism` all GPUs of the pod share each layer. A part that it does not name is
    one, but for `tensor`: the GPUs of a pod, which their fast links join.
    """
    gpu = spec.gpu or claim_pod.Gpu()
    asked = gpu.parallelism
    if asked is None:
        return Split(gpu.count)
    tensor = int(base.given(asked.tensor, gpu.count))
    pipeline, data = int(base.given(asked.pipeline, 1)), int(base.given(asked.data, 1))
    pods = max(tensor * pipeline * data // gpu.count, 1)
    return Split(tensor, pipeline, data, asked.expert is True, pods, written=True)


def refusals(resource: claim.InferenceService) -> Iterator[base.Problem]:
    """Yields why a claim cannot have a replica of several pods."""
    spans = split(resource.spec).spans
    if spans and len(resource.name) > LONGEST_NAME:
        yield base.Problem(
            "metadata.name",
            f"{len(resource.name)} characters are above the {LONGEST_NAME} that leave room for the"
            " names of a replica's pods: give the claim a shorter name",
        )
    if spans and "deployment" in (resource.spec.patches or {}):
        yield base.Problem(
            "spec.patches.deployment",
            "a replica of several pods has no Deployment, and its LeaderWorkerSet takes no patch:"
            " take the patch away",
        )
