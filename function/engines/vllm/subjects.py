"""What the judges of a claim look at: its spec, the version, and what is known of its model."""

import dataclasses
from collections.abc import Iterator, Mapping

from function.api import claim
from function.capacity import facts as capacity
from function.engines import adviser, semver
from function.engines.vllm import command_line, serving
from function.findings import rules
from function.planning import hardware, parallelism


@dataclasses.dataclass(frozen=True)
class Subject:
    """What is judged.

    Attributes:
        spec: What the author asks for.
        version: vLLM's version.
        facts: What the model is made of, or None when nobody knows.
        adapters: What is known of adapters, by the name of their entry in `spec.loraAdapters`.
    """

    spec: claim.Spec
    version: semver.Version
    facts: capacity.Facts | None = None
    adapters: Mapping[str, adviser.Adapter] = dataclasses.field(default_factory=dict)

    @property
    def own(self) -> command_line.CommandLine:
        """The author's own arguments."""
        return serving.own(self.spec)

    @property
    def repository(self) -> str:
        """The model's repository, or where its weights lie."""
        return self.spec.model.repository or self.spec.model.place

    @property
    def pools(self) -> bool:
        """Whether the engine is told to embed, classify or rank."""
        return "pooling" in (self.spec.model.runner, self.own.value("runner"))

    def size(self, flag: str, otherwise: int) -> int:
        """Returns the whole number that the author's own arguments give a flag."""
        try:
            return int(self.own.value(flag) or otherwise)
        except ValueError:
            return otherwise  # the contract says it

    @property
    def gpus(self) -> int:
        """GPUs of one replica."""
        return hardware.gpu_count(self.spec)

    @property
    def tensor(self) -> int:
        """GPUs that share each layer."""
        return self.size("tensor-parallel-size", parallelism.split(self.spec).tensor)

    def field(self, flag: str, otherwise: str) -> str:
        """Returns the author's own argument of a flag, or the field that decides without one."""
        uses = self.own.of(flag)
        return f"spec.engineArgs[{uses[-1].index}]" if uses else otherwise


Broken = Iterator[rules.Finding]
