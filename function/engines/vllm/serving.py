"""What vLLM is to be for one claim: every default and derived value that is vLLM's own."""

import dataclasses
import math

from pydantic import alias_generators

from function import explanation
from function.api import base, claim, settings
from function.capacity import facts
from function.cluster import checkpoints
from function.engines import engine, semver
from function.engines.vllm import command_line, flags, forecast, queueing, sizing
from function.planning import parallelism, prospects

# What an author writes where a family's parser is not wanted.
NO_PARSER = "none"
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
        max_num_seqs: Sequences that one copy of the model computes at once.
        copies: Copies of the model in a replica.
        max_in_flight: Requests that it takes in, those that run included; None for no bound.
        generates: False for a pooling model.
        kv_offload_gb: GiB of KV blocks in host memory, or None.
        quantization: What the checkpoint is quantized to while it loads, or None.
        runner: What the engine is told to run the model for, or None for its own choice.
        tool_parser: Parser of tool calls, or None.
        reasoning_parser: Parser of the reasoning part, or None.
        outlook: Whether the model fits.
    """

    image: str
    version: semver.Version
    utilization: str
    context_window: int
    max_num_seqs: int
    copies: int
    max_in_flight: int | None
    generates: bool
    kv_offload_gb: int | None
    quantization: str | None
    runner: str | None
    tool_parser: str | None
    reasoning_parser: str | None
    outlook: engine.Outlook

    @property
    def release(self) -> str:
        """The version, as vLLM writes it."""
        return semver.show(self.version)

    @property
    def max_requests(self) -> int:
        """Requests that one replica computes at once."""
        return self.max_num_seqs * self.copies

    @property
    def calls_tools(self) -> bool:
        """Whether a parser finds calls of tools."""
        return self.tool_parser is not None

    @property
    def reasons(self) -> bool:
        """Whether a parser finds the reasoning part."""
        return self.reasoning_parser is not None

    @property
    def pinned_gib(self) -> int | None:
        """The engine pins the KV blocks that it keeps in host memory."""
        return self.kv_offload_gb

    @property
    def needs(self) -> None:
        """Every replica has a GPU."""


def of(planned: engine.Serving) -> Serving:
    """Returns vLLM's own plan: the seam carries it without a look inside."""
    if not isinstance(planned, Serving):
        raise TypeError(f"{type(planned).__name__} is no plan of vLLM")
    return planned


def make(
    spec: claim.Spec,
    site: settings.Settings,
    checkpoint: checkpoints.Checkpoint,
    prospect: prospects.Prospect,
    why: list[explanation.Explanation],
) -> Serving:
    """Returns what vLLM is to be."""
    image, version = image_of(spec, site)
    online = spec.model.quantization in ONLINE_QUANTIZATIONS and checkpoint.quantization is None
    quantization = spec.model.quantization if online else None
    chosen = sizing.sizes(spec, site, prospect, own(spec), version, quantization, why)
    runner, generates = _runner(spec, prospect, why)
    why.extend(forecast.explained_slots(spec))
    return Serving(
        image=image,
        version=version,
        utilization=chosen.utilization,
        context_window=chosen.context,
        max_num_seqs=chosen.sequences,
        copies=parallelism.split(spec).data,
        max_in_flight=queueing.bound(spec, prospect, chosen, _cache_tokens(prospect, chosen), why),
        generates=generates,
        kv_offload_gb=kv_offload(spec),
        quantization=quantization,
        runner=runner,
        tool_parser=_parser(spec, "tool_call_parser", prospect, generates, why),
        reasoning_parser=_parser(spec, "reasoning_parser", prospect, generates, why),
        outlook=forecast.outlook(spec, site, prospect, own(spec), kv_offload(spec), chosen.flags),
    )


def _cache_tokens(prospect: prospects.Prospect, chosen: sizing.Sizes) -> float | None:
    """Returns the tokens that the KV cache holds at least, or None where nobody knows."""
    answer = forecast.answer(prospect.model, prospect.card, chosen.flags)
    return None if answer is None else answer.tokens.low


def _runner(
    spec: claim.Spec, prospect: prospects.Prospect, why: list[explanation.Explanation]
) -> tuple[str | None, bool]:
    """Returns the runner that the engine is told, and whether it generates text."""
    told = base.given(spec.model.runner, own(spec).value("runner"))
    encodes = prospect.model is not None and prospect.model.encodes
    if told is not None:
        return spec.model.runner, told != "pooling" and not encodes
    if prospect.model is None or prospect.model.runner is not facts.Runner.POOLING:
        return None, True
    words = "what the model is made for, where the claim names no runner"
    why.append(
        explanation.Explanation(
            "runner", "pooling", words, prospect.model.name, field="spec.model.runner"
        )
    )
    return "pooling", False


def _parser(
    spec: claim.Spec,
    field: str,
    prospect: prospects.Prospect,
    generates: bool,
    why: list[explanation.Explanation],
) -> str | None:
    """Returns a parser: the author's, or the one of the model's family."""
    chosen = getattr(spec.model, field)
    if chosen is not None:
        return None if chosen == NO_PARSER else str(chosen)
    model = prospect.model
    family = None
    if model is not None:
        family = model.tool_parser if field == "tool_call_parser" else model.reasoning_parser
    if not generates or model is None or family is None:
        return None
    flag = field.replace("_", "-")
    words = f"the parser of the model's family; {NO_PARSER} in the claim for no parser"
    path = f"spec.model.{alias_generators.to_camel(field)}"
    why.append(explanation.Explanation(flag, family, words, model.name, field=path))
    return family


def own(spec: claim.Spec) -> command_line.CommandLine:
    """Returns the author's own arguments, read."""
    return command_line.CommandLine.read(spec.engine_args or [])


def number(spec: claim.Spec, flag: str) -> float | None:
    """Returns the number that the author's own arguments give a flag, or None."""
    return own(spec).number(flag, *flags.BOUNDS[flag])


def image_of(spec: claim.Spec, site: settings.Settings) -> tuple[str, semver.Version]:
    """Returns the image, mirror included, and the version of the engine."""
    image, version = base.of(spec.engine, "image"), base.of(spec.engine, "version")
    if image is not None:
        number = version or semver.show(semver.of_image(image) or (0, 0, 0))
    else:
        number = base.given(version, site.engine.version).removeprefix("v")
        image = f"{site.engine.image}:v{number}"
        if number == site.engine.version.removeprefix("v") and site.engine.digest is not None:
            image += f"@{site.engine.digest}"
    return engine.mirrored(image, site), semver.parse(number)


def kv_offload(spec: claim.Spec) -> int | None:
    """Returns the GiB of KV blocks in host memory; the author's own flag replaces the field."""
    flag = number(spec, "kv-offloading-size")
    if flag is not None:
        return math.ceil(flag) or None
    offload = spec.cache.kv_offload if spec.cache is not None else None
    if offload is None or offload.enabled is not True:
        return None
    return int(base.given(offload.size_gb, KV_OFFLOAD_GB))
