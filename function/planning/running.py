"""What the pods of one template are, in the few facts that other objects follow from.

A claim changes before its pods do. Alerts, triggers, deadlines and the served models are about the
pods that run, so they take these facts and never what is wanted. The facts are remembered beside
the template that they belong to.
"""

from typing import Annotated, Any

import pydantic

from function import canonical

# Remembered facts may have been written over. Beyond these bounds nothing of ours ever is, and what
# follows from them would be refused by the API server.
_Count = Annotated[int, pydantic.Field(ge=0, le=10**6)]
# Three years: what follows from it is written into fields of 32 bits.
MOST_SECONDS = 10**8
_Seconds = Annotated[int, pydantic.Field(ge=0, le=MOST_SECONDS)]
_Text = Annotated[str, pydantic.Field(max_length=512)]


class Drain(pydantic.BaseModel):
    """Seconds from SIGTERM to SIGKILL, in parts.

    Attributes:
        pre_stop: Before SIGTERM: endpoints forget the pod.
        shutdown: For which the engine finishes running requests.
        grace: From the pod's deletion to SIGKILL; the two others are inside it.
    """

    model_config = pydantic.ConfigDict(strict=True, frozen=True)

    pre_stop: _Seconds
    shutdown: _Seconds
    grace: _Seconds


class Running(pydantic.BaseModel):
    """What the pods of one template are.

    Attributes:
        engine: Name of the engine.
        version: Version of the engine, empty where it is unknown.
        image: Image of the engine's container.
        max_requests: Requests that one replica computes at once, or None where that is unknown.
        generates: False when the engine embeds, classifies or ranks, and writes no tokens.
        start_seconds: Budget from container start to the first 200.
        drain: How a replica ends.
        gpus: GPUs of one replica.
        pods: Pods of one replica.
        payers: Keys of the labels of the pods that say who pays.
        store: Address in an object store that a starting pod reads its weights from, or empty.
        adapters: Names of the adapters that are loaded, in order.
        hot: Whether they load adapters while they run.
        model: Repository of the base model, or where else it lies; empty where it is unknown.
        secrets: Secrets without which a pod cannot start, in order.
    """

    model_config = pydantic.ConfigDict(strict=True, frozen=True)

    engine: _Text
    version: _Text
    image: _Text
    max_requests: Annotated[_Count, pydantic.Field(ge=1)] | None
    generates: bool
    start_seconds: _Seconds
    drain: Drain
    gpus: _Count
    adapters: tuple[_Text, ...]
    secrets: tuple[_Text, ...]
    pods: Annotated[_Count, pydantic.Field(ge=1)] = 1
    payers: tuple[_Text, ...] = ()
    store: _Text = ""
    hot: bool = False
    model: _Text = ""

    @property
    def without_gpu(self) -> bool:
        """Whether a replica has no GPU: the CPU computes."""
        return self.gpus == 0

    def dumps(self) -> str:
        """Returns the facts as canonical JSON.

        One pod, no payer, no store, no hot adapters and no model are left out: texts of releases
        that knew no other stay as they are.
        """
        usual = {"pods": 1, "payers": (), "store": "", "hot": False, "model": ""}
        left_out = {field for field, value in usual.items() if getattr(self, field) == value}
        return canonical.dumps(self.model_dump(mode="json", exclude=left_out))


def loads(text: Any) -> Running | None:
    """Returns facts that `dumps` wrote, or None where the text is anything else."""
    if not isinstance(text, str):
        return None
    try:
        return Running.model_validate_json(text)
    except pydantic.ValidationError:
        return None
