"""What vLLM is to be for one claim: every default and derived value that is vLLM's own."""

import dataclasses
import math

from function import explanation
from function.api import base, claim, settings
from function.engines import engine
from function.engines.vllm import command_line, flags, versions

CONTEXT_WINDOW = 4096
MAX_NUM_SEQS = 64
KV_OFFLOAD_GB = 16

# Quantizations that are passed to the engine. All others describe a checkpoint that is already
# quantized: the engine detects it, and a flag that does not match is fatal at start.
ONLINE_QUANTIZATIONS = ("fp8",)


@dataclasses.dataclass(frozen=True)
class Serving:
    """What vLLM is to be for one claim.

    Attributes:
        image: The image, mirror included.
        version: vLLM's version.
        utilization: Share of the GPU's memory that it takes, between 0 and 1.
        context_window: Longest sequence in tokens.
        max_num_seqs: Sequences that it computes at once.
        generates: False for a pooling model.
        kv_offload_gb: GiB of KV blocks in host memory, or None.
        quantization: What the checkpoint is quantized to while it loads, or None.
    """

    image: str
    version: versions.Version
    utilization: str
    context_window: int
    max_num_seqs: int
    generates: bool
    kv_offload_gb: int | None
    quantization: str | None

    @property
    def release(self) -> str:
        """The version, as vLLM writes it."""
        return versions.show(self.version)

    @property
    def max_requests(self) -> int:
        """Requests that one replica computes at once."""
        return self.max_num_seqs

    @property
    def pinned_gib(self) -> int | None:
        """The engine pins the KV blocks that it keeps in host memory."""
        return self.kv_offload_gb


def make(
    spec: claim.Spec,
    site: settings.Settings,
    quantization: str | None,
    why: list[explanation.Explanation],
) -> Serving:
    """Returns what vLLM is to be."""
    image, version = image_of(spec, site)
    max_num_seqs = base.given(spec.model.max_num_seqs, MAX_NUM_SEQS)
    online = spec.model.quantization in ONLINE_QUANTIZATIONS and quantization is None
    return Serving(
        image=image,
        version=version,
        utilization=_utilization(spec, max_num_seqs, why),
        context_window=base.given(spec.model.context_window, CONTEXT_WINDOW),
        max_num_seqs=max_num_seqs,
        generates=spec.model.runner != "pooling" and own(spec).value("runner") != "pooling",
        kv_offload_gb=kv_offload(spec),
        quantization=spec.model.quantization if online else None,
    )


def own(spec: claim.Spec) -> command_line.CommandLine:
    """Returns the author's own arguments, read."""
    return command_line.CommandLine.read(spec.engine_args or [])


def number(spec: claim.Spec, flag: str) -> float | None:
    """Returns the number that the author's own arguments give a flag, or None."""
    return own(spec).number(flag, *flags.BOUNDS[flag])


def image_of(spec: claim.Spec, site: settings.Settings) -> tuple[str, versions.Version]:
    """Returns the image, mirror included, and the version of the engine."""
    image, version = base.of(spec.engine, "image"), base.of(spec.engine, "version")
    if image is not None:
        number = version or versions.show(versions.of_image(image) or (0, 0, 0))
    else:
        number = base.given(version, site.engine.version).removeprefix("v")
        image = f"{site.engine.image}:v{number}"
        if number == site.engine.version.removeprefix("v") and site.engine.digest is not None:
            image += f"@{site.engine.digest}"
    return engine.mirrored(image, site), versions.parse(number)


def _utilization(spec: claim.Spec, max_num_seqs: int, why: list[explanation.Explanation]) -> str:
    chosen = base.of(spec.gpu, "memory_utilization")
    if chosen is not None:
        return str(chosen)
    result = "0.90" if max_num_seqs >= 256 else "0.92"
    why.append(
        explanation.Explanation(
            "gpu-memory-utilization",
            result,
            "0.92, or 0.90 from maxNumSeqs 256: CUDA graphs grow with it and lie outside the share",
            f"maxNumSeqs={max_num_seqs}",
        )
    )
    return result


def kv_offload(spec: claim.Spec) -> int | None:
    """Returns the GiB of KV blocks in host memory; the author's own flag replaces the field."""
    flag = number(spec, "kv-offloading-size")
    if flag is not None:
        return math.ceil(flag) or None
    offload = spec.cache.kv_offload if spec.cache is not None else None
    if offload is None or offload.enabled is not True:
        return None
    return int(base.given(offload.size_gb, KV_OFFLOAD_GB))
