"""How long a step takes, and a prompt: pure functions of a model's work and a card.

A step that decodes takes the time of launching its layers, of reading weights, the experts that the
batch chose and the keys and values, and a little for each token. Nothing of it overlaps: that form
meets what was measured within 3 % on average (`tests/capacity/residuals_speed.py`).
"""

import dataclasses
import math

from function.capacity import cards, coefficients, estimates, work

_LINKED_SUMS = 2
_SUM_BYTES = 2


@dataclasses.dataclass(frozen=True)
class Terms:
    """Milliseconds of a step that decodes, by cause.

    Attributes:
        launches: Kernels of all layers, and their meetings under tensor parallelism.
        weights: Reading the matrices.
        experts: Reading the experts that the batch chose.
        cache: Reading keys and values, and recurrent states.
        tokens: Activations and logits of each token.
        links: Sums over the GPUs of a replica.
    """

    launches: float
    weights: float
    experts: float
    cache: float
    tokens: float
    links: float

    @property
    def total(self) -> float:
        """The step."""
        return self.launches + self.weights + self.experts + self.cache + self.tokens + self.links


def terms(does: work.Work, card: cards.Card, batch: float, context: float) -> Terms | None:
    """Returns the milliseconds of a step in which `batch` sequences get a token each.

    Args:
        does: What the model does on one GPU.
        card: The GPU.
        batch: Sequences.
        context: Tokens of each of them, on average.

    Returns:
        None when the card's bandwidth is unknown.

    Raises:
        ValueError: `batch` is not above, or `context` is below, zero.
    """
    if batch <= 0 or context < 0:
        raise ValueError(
            f"a step needs a batch above 0 and a context of 0 or more: {batch} and"
            f" {context} were given"
        )
    if not card.bandwidth_gb:
        return None
    row, host = coefficients.of(card), coefficients.HOST
    linked = does.tensor_parallel > 1
    rate = card.bandwidth_gb * 1e6
    activations = row.activations * does.layers * does.hidden + row.logits * does.vocabulary
    return Terms(
        launches=does.layers * (host.layer_ms + host.link_ms * linked)
        + does.packed_expert_layers * host.packed_expert_layer_ms,
        weights=row.weights * does.weights / rate,
        experts=row.experts * does.expert_bytes(batch) / rate,
        cache=row.cache * batch * does.cache_bytes(context) / rate,
        tokens=batch * activations / rate,
        links=_links(does, row, batch),
    )


def step(
    does: work.Work, card: cards.Card, batch: float, context: float
) -> estimates.Estimate | None:
    """Returns the milliseconds of a step that decodes, with the interval; None when unknown."""
    causes = terms(does, card, batch, context)
    if causes is None:
        return None
    # Large batches on a card with much bandwidth and little arithmetic.
    best = max(causes.total, _arithmetic(does, card, batch) or 0.0)
    return _judged(best, does, card, _STEP_BANDS)


def prefill(
    does: work.Work, card: cards.Card, begin: float, tokens: float
) -> estimates.Estimate | None:
    """Returns the milliseconds that a step is longer for when it reads a part of a prompt.

    Args:
        does: What the model does on one GPU.
        card: The GPU.
        begin: Tokens of the prompt that were read, or lie in the prefix cache.
        tokens: Tokens of the part.

    Returns:
        None when the card's bandwidth or arithmetic is unknown.
    """
    rate = _rate(card)
    if rate is None or not card.bandwidth_gb:
        return None
    row, costs = coefficients.of(card), coefficients.ARITHMETIC
    operations = costs.attention * does.operations(begin, tokens)
    attention = row.arithmetic * operations / rate
    matrices = row.arithmetic * (_arithmetic(does, card, tokens) or 0.0)
    moved = costs.activation_bytes * tokens * does.layers * does.hidden
    best = (
        coefficients.HOST.prefill_layer_ms * does.layers
        + matrices
        + attention
        + row.arithmetic * moved / (card.bandwidth_gb * 1e6)
        + _links(does, row, tokens)
    )
    return _judged(best, does, card, _PREFILL_BANDS)


def prompt(
    does: work.Work, card: cards.Card, tokens: int, batched_tokens: int, *, cached: int = 0
) -> estimates.Estimate | None:
    """Returns the milliseconds that reading one prompt takes, in parts of at most `batched_tokens`.

    Args:
        does: What the model does on one GPU.
        card: The GPU.
        tokens: Tokens of the prompt.
        batched_tokens: Tokens that a step has at most.
        cached: Tokens of the prompt that lie in the prefix cache.
    """
    parts = []
    begin = min(cached, tokens - 1)
    while begin < tokens:
        size = min(batched_tokens, tokens - begin)
        part = prefill(does, card, begin, size)
        if part is None:
            return None
        parts.append(part)
        begin += size
    return dataclasses.replace(estimates.total(parts), source=parts[0].source)


def first_token(
    does: work.Work, card: cards.Card, tokens: int, batched_tokens: int, *, cached: int = 0
) -> estimates.Estimate | None:
    """Returns the milliseconds until the first token of a request that comes to an idle engine."""
    reading = prompt(does, card, tokens, batched_tokens, cached=cached)
    if reading is None:
        return None
    return _plus(reading, coefficients.HOST.request_ms)


_STEPS_BEFORE = 2
"""Steps of the others before and after a prompt's own: it waits for the one that runs, and async
scheduling answers one step late. Measured: 3 steps for a prompt of one part, 4 for one of two."""


@dataclasses.dataclass(frozen=True)
class Arrival:
    """What a prompt does to an engine that decodes.

    Attributes:
        first_token: Milliseconds until the new request's first token.
        longest_gap: Milliseconds that the others wait for one token at worst.
        extra: Milliseconds by which the others get their tokens later, in all.
        steps: Steps that the prompt's parts need.
    """

    first_token: estimates.Estimate
    longest_gap: estimates.Estimate
    extra: estimates.Estimate
    steps: int


def arrival(
    does: work.Work,
    card: cards.Card,
    batch: int,
    context: float,
    tokens: int,
    batched_tokens: int,
) -> Arrival | None:
    """Returns what happens when a prompt comes while `batch` sequences decode.

    Decoding comes first: each sequence takes a token of the step's budget, and the prompt gets
    the rest.

    Raises:
        ValueError: `batched_tokens` leaves nothing for a prompt.
    """
    room = batched_tokens - batch
    if room <= 0:
        raise ValueError(
            f"batched_tokens: {batched_tokens} leaves no token for a prompt beside {batch}"
            " sequences: raise it above them"
        )
    decoding = step(does, card, max(batch, 1), context)
    reading = prompt(does, card, tokens, room)
    part = prefill(does, card, max(0, tokens - room), min(tokens, room))
    if decoding is None or reading is None or part is None:
        return None
    steps = math.ceil(tokens / room)
    # Kernels are launched once for prompt and decoding.
    launched = -coefficients.HOST.layer_ms * does.layers
    extra = _plus(reading, launched * steps)
    gap = _plus(_sum(part, decoding), launched)
    return Arrival(
        first_token=_wider(_sum(extra, decoding.scaled(steps + _STEPS_BEFORE)), _MIXED),
        longest_gap=dataclasses.replace(gap, low=gap.best * _SPLIT, high=gap.best / _SPLIT),
        extra=extra,
        steps=steps,
    )


_MIXED = 0.15
"""What the interval of a first token is wider by when others decode: one in three was outside."""
_SPLIT = 0.55
"""Async scheduling spreads a part over two answers, or over one: measured 0.6 to 1.6 of it."""


def _rate(card: cards.Card) -> float | None:
    """Returns dense operations a millisecond in 16 bits, or None."""
    return card.tflops_16 * 1e9 if card.tflops_16 else None


def _arithmetic(does: work.Work, card: cards.Card, tokens: float) -> float | None:
    """Returns the milliseconds of multiplying so many tokens with the matrices."""
    rate = _rate(card)
    if rate is None:
        return None
    costs = coefficients.ARITHMETIC
    if does.bits == 8 and card.fp8:
        rate = card.tflops_8 * 1e9
        dense, experts = costs.dense_8, costs.experts_8
    else:
        dense, experts = costs.dense_16, costs.experts_16
    each = dense * does.dense_parameters + experts * does.expert_parameters
    return 2 * tokens * each / rate


def _links(does: work.Work, row: coefficients.Row, tokens: float) -> float:
    """Returns the milliseconds of moving the sums of each layer between GPUs."""
    if does.tensor_parallel == 1:
        return 0.0
    moved = _LINKED_SUMS * _SUM_BYTES * tokens * does.layers * does.hidden
    return coefficients.HOST.link * moved / (row.link_gb * 1e6)


# How far a number may be off: a model of the kind that was measured, and another one. Measured
# cards: the worst row, and the worst row of the model with experts when no row of it was fitted.
# Others: wider by what the tool's rows for H100 and H200 were off, and by what its rows scatter.
_STEP_BANDS = {
    estimates.Grade.MEASURED: (0.17, 0.32),
    estimates.Grade.PREDICTED: (0.30, 0.45),
    estimates.Grade.NOMINAL: (0.50, 0.75),
}
_PREFILL_BANDS = {
    estimates.Grade.MEASURED: (0.20, 0.40),
    estimates.Grade.PREDICTED: (0.40, 0.60),
    estimates.Grade.NOMINAL: (0.60, 0.90),
}


def _judged(
    best: float,
    does: work.Work,
    card: cards.Card,
    bands: dict[estimates.Grade, tuple[float, float]],
) -> estimates.Estimate:
    row = coefficients.of(card)
    band = bands[row.grade][bool(does.unmeasured)]
    grade = row.grade
    source = row.source
    if does.unmeasured:
        grade = estimates.worse(grade, estimates.Grade.PREDICTED)
        source += "; beyond what was measured: " + ", ".join(does.unmeasured)
    return estimates.around(best, band, grade, source)


def _plus(estimate: estimates.Estimate, more: float) -> estimates.Estimate:
    return dataclasses.replace(
        estimate,
        low=estimate.low + more,
        best=estimate.best + more,
        high=estimate.high + more,
    )


def _wider(estimate: estimates.Estimate, band: float) -> estimates.Estimate:
    return dataclasses.replace(
        estimate, low=estimate.low / (1 + band), high=estimate.high * (1 + band)
    )


def _sum(one: estimates.Estimate, other: estimates.Estimate) -> estimates.Estimate:
    return dataclasses.replace(estimates.total([one, other]), source=one.source)
