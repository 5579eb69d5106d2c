"""The seam to what an engine knows of claims before anything runs, for findings and laptops.

A call of the function asks `engine.py` alone, and reads nothing of this. An adviser is a module
that has what `Adviser` names; `advisers.py` lists them.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from function.api import claim, settings
from function.capacity import cards, facts, fit
from function.engines import engine
from function.findings import rules

# What a finding says at its end of an adapter of which the name of its repository is all that is
# known.
UNREAD = " (nobody read its files yet)"


@dataclasses.dataclass(frozen=True)
class Adapter:
    """What an adapter's adapter_config.json says.

    Attributes:
        base: `base_model_name_or_path`, or None where it says none.
        rank: `r`, or None where it says none.
    """

    base: str | None = None
    rank: int | None = None


@dataclasses.dataclass(frozen=True)
class Setup:
    """A way to set a model up, as far as it decides about memory.

    Attributes:
        context: Longest sequence in tokens.
        sequences: Sequences at once.
        gpus: GPUs that share each layer.
        quantization: What the weights are packed to while they load, or None.
    """

    context: int
    sequences: int
    gpus: int
    quantization: str | None


@dataclasses.dataclass(frozen=True)
class Stretch:
    """A context window that the author's own arguments make.

    Attributes:
        tokens: Its length.
        words: What makes it.
    """

    tokens: int
    words: str


@dataclasses.dataclass(frozen=True)
class Step:
    """A change of a claim that leaves what it means.

    Attributes:
        claim: The claim with it.
        field: What is written otherwise.
        words: The same in a sentence.
    """

    claim: dict[str, Any]
    field: str
    words: str


class Adviser(Protocol):
    """What an engine knows of claims.

    Attributes:
        RULES: What a claim can break of the engine's own.
        NO_FLAG: Rules whose breach is an argument that the engine takes for none of its flags.
        NAMED: Rules whose breach a refusal of the same argument names too.
        CONTEXT_WINDOW: Longest sequence in tokens where nobody knows the model or its GPUs.
        MAX_REQUESTS: Requests at once there.
    """

    RULES: tuple[rules.Rule, ...]
    NO_FLAG: tuple[rules.Rule, ...]
    NAMED: tuple[rules.Rule, ...]
    CONTEXT_WINDOW: int
    MAX_REQUESTS: int

    def judge(
        self, plan: engine.Planned, adapters: Mapping[str, Adapter]
    ) -> Iterable[rules.Finding]:
        """Returns what a planned claim breaks of the engine's rules.

        Args:
            plan: The claim, planned.
            adapters: What is known of adapters, by the name of their entry in `spec.loraAdapters`.
        """

    def judge_arguments(self, spec: claim.Spec, site: settings.Settings) -> Iterable[rules.Finding]:
        """Returns what is wrong with the author's own arguments, for a claim without a plan."""

    def stretched(self, spec: claim.Spec) -> Stretch | None:
        """Returns the context window that the author's own arguments make, or None."""

    def fits(
        self, model: facts.Facts, card: cards.Card, setup: Setup, site: settings.Settings
    ) -> fit.Fit | None:
        """Returns whether a model fits, or None where nobody knows.

        Args:
            model: What is served.
            card: One GPU.
            setup: How it is set up.
            site: The settings.
        """

    def instead(self, argument: str) -> str | None:
        """Returns what sets the flag of an argument that authors must not set, else None."""

    def in_force(self, planned: engine.Serving) -> Mapping[str, Any]:
        """Returns the values of the claim's fields about which the engine decides, by path."""

    def comparable(self, container: Mapping[str, Any]) -> dict[str, Any]:
        """Returns a container of its own, equal for all that mean the same."""

    def steps(self) -> Iterable[Callable[[dict[str, Any]], Step | None]]:
        """Returns what may change in a claim of 0.9.0: each writes an argument as a field."""
