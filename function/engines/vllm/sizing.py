"""How long sequences may be, how many run at once, and what share of the GPU that takes.

What the author names is literal. The rest follows from the model and the GPU where both are known.
"""

import dataclasses
import functools

from function import explanation, plural
from function.api import base, claim, settings
from function.capacity import allotments, arrangements, facts, fit
from function.engines import semver
from function.engines.vllm import command_line, forecast
from function.planning import prospects

# Where the model or the GPU is not known.
CONTEXT_WINDOW = allotments.SHORTEST_CONTEXT
MAX_NUM_SEQS = 64

# Share of the GPU's memory where the claim names none.
UTILIZATION = "0.92"

# From so many sequences on CUDA graphs take more of what lies outside of the share.
MANY_SEQUENCES = 256


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What decides about memory.

    Attributes:
        context: Longest sequence in tokens.
        sequences: Sequences at once.
        utilization: Share of the GPU's memory, as the claim would write it.
        flags: All flags that decide about memory.
    """

    context: int
    sequences: int
    utilization: str
    flags: arrangements.Arrangement


@dataclasses.dataclass(frozen=True)
class _Asked:
    """A claim, and what is known of its model and GPU."""

    spec: claim.Spec
    site: settings.Settings
    prospect: prospects.Prospect
    own: command_line.CommandLine
    version: semver.Version
    quantization: str | None

    @functools.cached_property
    def usual(self) -> arrangements.Arrangement:
        """All flags that decide about memory, with the usual sequences."""
        asked = forecast.Asked(
            version=self.version,
            context=CONTEXT_WINDOW,
            sequences=MAX_NUM_SEQS,
            utilization=float(_utilization(self.spec, MAX_NUM_SEQS)),
            quantization=self.quantization,
        )
        return forecast.arrangement(self.spec, self.own, self.prospect.gpus, asked)

    def flags(self, context: int, sequences: int) -> arrangements.Arrangement:
        """Returns all flags that decide about memory."""
        share = float(_utilization(self.spec, sequences))
        return dataclasses.replace(
            self.usual, context=context, sequences=sequences, utilization=share
        )

    def fit(self, context: int, sequences: int) -> fit.Fit | None:
        """Returns whether the model fits so, or None where nobody knows."""
        return forecast.answer(
            self.prospect.model, self.prospect.card, self.flags(context, sequences)
        )


def sizes(
    spec: claim.Spec,
    site: settings.Settings,
    prospect: prospects.Prospect,
    own: command_line.CommandLine,
    version: semver.Version,
    quantization: str | None,
    why: list[explanation.Explanation],
) -> Sizes:
    """Returns what the author names, and what follows for the rest.

    Args:
        spec: What the author asks for.
        site: The settings.
        prospect: What is known of the model and of its GPUs.
        own: The author's own arguments.
        version: vLLM's version.
        quantization: What the checkpoint is quantized to while it loads, or None.
        why: Explanations are added here.
    """
    asked = _Asked(spec, site, prospect, own, version, quantization)
    context, sequences = _sized(asked, why)
    share = _utilization(spec, sequences)
    if base.of(spec.gpu, "memory_utilization") is None:
        why.append(
            explanation.Explanation(
                "gpu-memory-utilization",
                share,
                f"0.92, or 0.90 from maxNumSeqs {MANY_SEQUENCES}: CUDA graphs grow with it and lie"
                " outside the share",
                f"maxNumSeqs={sequences}",
                field="spec.gpu.memoryUtilization",
            )
        )
    return Sizes(context, sequences, share, asked.flags(context, sequences))


def _utilization(spec: claim.Spec, sequences: int) -> str:
    chosen = base.of(spec.gpu, "memory_utilization")
    return utilization(sequences) if chosen is None else str(chosen)


def utilization(sequences: int) -> str:
    """Returns the share of the GPU's memory for so many sequences, as the claim would write it."""
    return "0.90" if sequences >= MANY_SEQUENCES else UTILIZATION


def _sized(asked: _Asked, why: list[explanation.Explanation]) -> tuple[int, int]:
    """Returns the longest sequence in tokens, and how many sequences run at once."""
    chosen = asked.spec.model.context_window
    if chosen is None and asked.prospect.model is not None:
        shortest = min(asked.prospect.model.context, allotments.SHORTEST_CONTEXT)
        of_sequences: list[explanation.Explanation] = []
        sequences = _sequences(asked, shortest, of_sequences)
        context = _context(asked, sequences, why)
        why += of_sequences
        return context, sequences
    context = _context(asked, MAX_NUM_SEQS, why)
    return context, _sequences(asked, context, why)


def _context(asked: _Asked, sequences: int, why: list[explanation.Explanation]) -> int:
    """Returns the longest sequence in tokens, beside so many sequences."""
    chosen = asked.spec.model.context_window
    if chosen is not None:
        return chosen
    model = asked.prospect.model
    if model is None:
        return CONTEXT_WINDOW
    room = asked.site.capacity.full_sequences
    result = model.context
    if model.runner is not facts.Runner.POOLING:
        result = allotments.context(model.context, room, lambda tried: asked.fit(tried, sequences))
    why.append(
        explanation.Explanation(
            "max-model-len",
            str(result),
            f"the model's own context of {model.context} tokens, or what most likely leaves room"
            f" for {plural.of(room, 'sequence')} of it (capacity.fullSequences); at least"
            f" {allotments.SHORTEST_CONTEXT}",
            f"maxNumSeqs={sequences}; {_inputs(asked)}",
            field="spec.model.contextWindow",
        )
    )
    return result


def _sequences(asked: _Asked, context: int, why: list[explanation.Explanation]) -> int:
    """Returns how many sequences run at once."""
    chosen = asked.spec.model.max_num_seqs
    if chosen is not None:
        return chosen
    answer = asked.fit(context, allotments.LEAST_SEQUENCES)
    model = asked.prospect.model
    if answer is None or model is None or model.runner is facts.Runner.POOLING:
        return MAX_NUM_SEQS
    usual = min(asked.site.capacity.sequence_tokens, context)
    result = allotments.sequences(usual, lambda tried: asked.fit(context, tried))
    answer = asked.fit(context, result) or answer
    why.append(
        explanation.Explanation(
            "max-num-seqs",
            str(result),
            f"requests of {usual} tokens that the KV cache holds, a multiple of"
            f" {allotments.LEAST_SEQUENCES} from {allotments.LEAST_SEQUENCES} to"
            f" {allotments.MOST_SEQUENCES}",
            f"{answer.tokens.low:.0f} tokens at least; {_inputs(asked)}",
            field="spec.model.maxNumSeqs",
        )
    )
    return result


def _inputs(asked: _Asked) -> str:
    prospect = asked.prospect
    name = "an unknown model" if prospect.model is None else prospect.model.name
    card = "an unknown GPU" if prospect.card is None else prospect.card.name
    return f"{name} on {prospect.gpus} x {card}"
