"""What to change when a model does not fit: the cheapest ways, and what each means for users."""

import dataclasses
import enum
import math
from collections.abc import Iterator, Mapping, Sequence

from function import plural
from function.capacity import arrangements, cards, facts, fit


class Change(enum.StrEnum):
    """What a way changes. The order is how little users notice."""

    SEQUENCES = "fewer sequences"
    GPUS = "more GPUs"
    CLASS = "another class"
    CACHE = "fp8 cache"
    QUANTIZATION = "fp8 weights"
    QUANTIZATION_AND_CACHE = "fp8 weights and cache"
    CONTEXT = "smaller context"


@dataclasses.dataclass(frozen=True)
class Way:
    """One way out.

    Attributes:
        change: What is changed.
        gpu_class: On which class of GPU.
        arrangement: The engine's flags.
        answer: Why it fits.
        price: Of all GPUs of a replica, an hour; None where the class has no price.
        sentence: What changes for users.
        fields: What the claim then says, by field below `spec`.
    """

    change: Change
    gpu_class: str
    arrangement: arrangements.Arrangement
    answer: fit.Fit
    price: float | None
    sentence: str
    fields: tuple[tuple[str, str | int], ...] = ()

    @property
    def written(self) -> str:
        """The fields, as a claim writes them."""
        return ", ".join(f"{field}: {value}" for field, value in self.fields)


def _fields(
    change: Change, gpu_class: str, asked: arrangements.Arrangement, gpus: int
) -> tuple[tuple[str, str | int], ...]:
    """Returns what a claim says of a way, whose replicas had so many GPUs before."""
    count = asked.tensor * asked.pipeline
    quantization, cache = ("model.quantization", "fp8"), ("model.kvCacheDtype", "fp8")
    match change:
        case Change.SEQUENCES:
            return (("model.maxNumSeqs", asked.sequences),)
        case Change.GPUS:
            return (("gpu.count", count),)
        case Change.CLASS:
            named = (("gpu.count", count),) if max(count, gpus) > 1 else ()
            return (("gpu.class", gpu_class), *named)
        case Change.CACHE:
            return (cache,)
        case Change.QUANTIZATION:
            return (quantization,)
        case Change.QUANTIZATION_AND_CACHE:
            return (quantization, cache)
        case Change.CONTEXT:
            return (("model.contextWindow", asked.context),)


@dataclasses.dataclass(frozen=True)
class Offer:
    """What a platform has.

    Attributes:
        classes: Card of each class of GPU.
        prices: Price of one GPU an hour, by class; a class may lack one.
        counts: GPUs that a replica may have, by class, in order; up to eight for one that is not
            in it.
        cache: Whether the dtype of the cache may change.
        scaled: Whether the model's positions are scaled beyond its own context.
    """

    classes: Mapping[str, cards.Card]
    prices: Mapping[str, float]
    counts: Mapping[str, Sequence[int]] = dataclasses.field(default_factory=dict)
    cache: bool = True
    scaled: bool = False


# Where nobody says what nodes have.
_COUNTS = range(1, 9)

# Contexts are offered in steps that people remember.
_CONTEXT_STEP = 1024
_LEAST_CONTEXT = 2048

# Bytes of a weight that vLLM packs into 8 bits as it loads: it refuses to for float32.
_PACKED_FROM = 2

# vLLM pads the vocabulary to a multiple before it divides the table.
_VOCABULARY_STEP = 64

# Cards before the kernels that unpack fp8 as they multiply (Marlin).
_BEFORE_MARLIN = ("T4", "V100")

MOST_WAYS = 3

# Two changes at once are offered where neither is enough.
_PARTS = {Change.QUANTIZATION_AND_CACHE: (Change.QUANTIZATION, Change.CACHE)}


def divides(model: facts.Facts, gpus: int) -> bool:
    """Whether vLLM can share each layer of a model between so many GPUs."""
    rows = math.ceil(model.vocabulary / _VOCABULARY_STEP) * _VOCABULARY_STEP
    if rows % gpus:
        return False
    for block in model.blocks:
        mixer, network = block.mixer, block.network
        if mixer.heads % gpus or network.intermediate % gpus:
            return False
        shared = mixer.kind in (facts.Mixing.FULL, facts.Mixing.WINDOW) and mixer.kv_heads
        if shared and mixer.kv_heads % gpus and gpus % mixer.kv_heads:
            return False
    return True


def ways(
    model: facts.Facts,
    gpu_class: str,
    arrangement: arrangements.Arrangement,
    offer: Offer,
) -> tuple[Way, ...]:
    """Returns the cheapest ways out, at most three; none when it fits as it is.

    Each way fits even when all is as large as it can be. Of two with one price, the first is the
    one that users notice less.

    Args:
        model: What does not fit.
        gpu_class: On which class of GPU.
        arrangement: With which flags.
        offer: Classes, prices and counts of GPUs.
    """
    card = offer.classes[gpu_class]
    now = fit.fit(model, card, arrangement)
    if now.verdict is fit.Verdict.FITS:
        return ()
    fitting: list[Way] = []

    def price(name: str, asked: arrangements.Arrangement) -> float | None:
        each = offer.prices.get(name)
        return None if each is None else each * asked.tensor * asked.pipeline

    def holds(change: Change, name: str, asked: arrangements.Arrangement, sentence: str) -> bool:
        answer = fit.fit(model, offer.classes[name], asked)
        if answer.verdict is not fit.Verdict.FITS:
            return False
        fields = _fields(change, name, asked, arrangement.tensor * arrangement.pipeline)
        fitting.append(Way(change, name, asked, answer, price(name, asked), sentence, fields))
        return True

    for change, asked, sentence in _on_this_card(model, card, arrangement, now, offer):
        if not {change, *_PARTS.get(change, ())} & {way.change for way in fitting}:
            holds(change, gpu_class, asked, sentence)
    for name in offer.classes:
        for count in offer.counts.get(name, _COUNTS):
            tensor, rest = divmod(count, arrangement.pipeline)
            same = name == gpu_class and tensor <= arrangement.tensor
            if rest or same or not divides(model, tensor):
                continue
            asked = dataclasses.replace(arrangement, tensor=tensor)
            change = Change.GPUS if name == gpu_class else Change.CLASS
            where = f"{count} GPUs of one node" if count > 1 else "a GPU"
            sentence = f"answers stay the same; each replica takes {where} of class {name}"
            if holds(change, name, asked, sentence):
                break
    order = list(Change)
    fitting.sort(
        key=lambda way: (
            way.price is None,
            way.price or 0,
            order.index(way.change),
            way.gpu_class,
        )
    )
    return tuple(fitting[:MOST_WAYS])


def _on_this_card(
    model: facts.Facts,
    card: cards.Card,
    arrangement: arrangements.Arrangement,
    now: fit.Fit,
    offer: Offer,
) -> Iterator[tuple[Change, arrangements.Arrangement, str]]:
    """Changes of flags. Several of one kind come from the least to the most."""
    replace = dataclasses.replace
    sequences = arrangement.sequences // 2
    while sequences:
        yield (
            Change.SEQUENCES,
            replace(arrangement, sequences=sequences),
            f"at most {plural.of(sequences, 'request')} of a replica at a time; more wait",
        )
        sequences //= 2
    smaller_cache = replace(arrangement, cache_dtype="fp8")
    halves_cache = (
        offer.cache and card.fp8 is not False and not arrangement.cache_dtype.startswith("fp8")
    )
    if halves_cache:
        yield (
            Change.CACHE,
            smaller_cache,
            "keys and values are kept in 8 bits: answers can differ, so measure their quality",
        )
    wide = arrangement.cast(model).dtype_bytes > _PACKED_FROM
    unpacked = not wide and model.quantization is None and arrangement.quantization is None
    if unpacked and not card.name.startswith(_BEFORE_MARLIN):
        words = "weights are packed into 8 bits at the start: answers can differ, so measure them"
        if card.fp8 is False:
            words += f"; {card.name} unpacks them as it multiplies, so prompts get no faster"
        yield Change.QUANTIZATION, replace(arrangement, quantization="fp8"), words
        if halves_cache:
            yield (
                Change.QUANTIZATION_AND_CACHE,
                replace(smaller_cache, quantization="fp8"),
                "weights, keys and values have 8 bits: answers can differ, so measure them",
            )
    length = min(int(now.longest.low), arrangement.context - 1)
    if not offer.scaled:
        length = min(length, model.context)
    length -= length % _CONTEXT_STEP
    if length >= _LEAST_CONTEXT:
        yield (
            Change.CONTEXT,
            replace(arrangement, context=length),
            f"requests of more than {length} tokens, answer included, are refused",
        )
