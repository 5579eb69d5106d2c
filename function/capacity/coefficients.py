"""How well cards and hosts do, as numbers beside the vendor's figures.

`tests/capacity/timed.py` fits them by least squares of relative errors on times that were measured,
and a test compares. Shares of cards that nobody measured here come from steps that the public
package aisimulate 0.13 (NVIDIA, Apache-2.0) predicts, with the times of the host as measured. Made
the same way, the shares of H100 and H200 meet the measured steps within 6 % on average and 15 % at
worst.
"""

import dataclasses
import re

from function.capacity import cards, estimates


@dataclasses.dataclass(frozen=True)
class Host:
    """What does not follow from the card: launching kernels, taking a request in.

    Attributes:
        layer_ms: Milliseconds of a layer in a step that only decodes.
        link_ms: Milliseconds that tensor parallelism adds to each layer.
        packed_expert_layer_ms: Milliseconds that experts in 8 bits add to each layer.
        prefill_layer_ms: Milliseconds of a layer in a step that reads prompts.
        request_ms: Milliseconds from the arrival of a request to its first step, and back.
        link: Bytes that cross the link in a step, as a multiple of two sums of all tokens' vectors.
    """

    layer_ms: float
    link_ms: float
    packed_expert_layer_ms: float
    prefill_layer_ms: float
    request_ms: float
    link: float


HOST = Host(
    layer_ms=0.0530,
    link_ms=0.0074,
    packed_expert_layer_ms=0.0219,
    prefill_layer_ms=0.184,
    request_ms=1.39,
    link=1.15,
)
"""vLLM 0.25.1, hosts with H100 (64 cores) and H200, async scheduling, CUDA graphs."""


@dataclasses.dataclass(frozen=True)
class Arithmetic:
    """Time of a prompt's arithmetic, as multiples of the vendor's dense rate.

    Attributes:
        dense_16: Matrices in 16 bits.
        dense_8: Matrices in 8 bits, on a card that multiplies them.
        experts_16: Experts in 16 bits (Triton).
        experts_8: Experts in 8 bits (Triton).
        attention: Attention, at the rate of 16 bits.
        activation_bytes: Bytes moved for each token, layer and element of its vector.
    """

    dense_16: float
    dense_8: float
    experts_16: float
    experts_8: float
    attention: float
    activation_bytes: float


ARITHMETIC = Arithmetic(
    dense_16=1.414,
    dense_8=1.622,
    experts_16=2.81,
    experts_8=4.38,
    attention=1.609,
    activation_bytes=47.8,
)
"""Measured on H100 and H200."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One card. Reading takes these multiples of the time at the vendor's bandwidth.

    Attributes:
        pattern: What the name of the card has in it, at the beginning of a word.
        grade: How the figures came about.
        weights: Of weights.
        experts: Of experts.
        cache: Of keys and values.
        activations: Bytes for each token of a batch, layer and element of its vector.
        logits: Bytes for each token of a batch and row of the output table.
        arithmetic: Time of a prompt's arithmetic, as a multiple of `ARITHMETIC`.
        link_gb: GB a second between two GPUs of a host, each way.
        source: Where the figures come from.
    """

    pattern: str
    grade: estimates.Grade
    weights: float
    experts: float
    cache: float
    activations: float
    logits: float
    arithmetic: float
    link_gb: float
    source: str


_M, _P, _N = estimates.Grade

_HOPPER = "own runs of vLLM 0.25.1 on H100 80GB HBM3 and H200, November 2026"
_TOOL = "aisimulate 0.13 (vLLM 0.24.0), its prompts 9 % slower as on Hopper; links as specified"
_NEAR = "nobody measured the card; shares of "

# The logits of a card that was not measured are those of Hopper: the tool has no sampler.
ROWS = (
    Row("H100", _M, 1.072, 1.192, 1.077, 154, 167, 1.00, 450, _HOPPER),
    Row("H200", _M, 1.072, 1.192, 1.077, 154, 167, 1.00, 450, _HOPPER),
    Row("B200", _P, 1.311, 1.198, 1.016, 182, 167, 1.10, 900, _TOOL),
    Row("RTX-PRO-6000", _P, 1.174, 1.090, 1.166, 85, 167, 0.93, 64, _TOOL),
    Row("A100", _P, 1.421, 1.240, 1.307, 280, 167, 0.97, 300, _TOOL + "; vLLM 0.14.0"),
    Row("L40S", _P, 1.208, 1.128, 1.239, 134, 167, 1.25, 32, _TOOL),
    Row("H100-PCIE", _N, 1.072, 1.192, 1.077, 154, 167, 1.00, 64, _NEAR + "the H100 SXM"),
    Row("B300", _N, 1.311, 1.198, 1.016, 182, 167, 1.10, 900, _NEAR + "the B200"),
    Row("L4", _N, 1.208, 1.128, 1.239, 134, 167, 1.25, 32, _NEAR + "the L40S"),
    Row("A10", _N, 1.421, 1.240, 1.307, 280, 167, 1.25, 32, _NEAR + "the A100"),
)

OTHER = Row("", _N, 1.421, 1.240, 1.307, 280, 167, 1.25, 32, "the worst shares of any card")
"""For a card of which only the vendor's figures are known."""


def of(card: cards.Card) -> Row:
    """Returns the row of a card: the longest pattern that its name has."""
    name = re.sub("[^A-Z0-9]+", "-", card.name.upper())
    matches = [row for row in ROWS if re.search(f"(^|-){row.pattern}(?![0-9])", name)]
    return max(matches, key=lambda row: len(row.pattern), default=OTHER)
