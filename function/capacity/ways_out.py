"""What to change when a model does not fit: the cheapest ways, and what each means for users."""

import dataclasses
import enum
import math
from collections.abc import Iterator, Mapping, Sequence

from function import plural
from function.capacity import arrangements, cards, facts, fit


class Change(enum.StrEnum):
    """What a way changes. The order is how little users notice."""

    SHARE = "smaller share"
    SEQUENCES = "fewer sequences"
    GPUS = "more GPUs"
    CLASS = "another class"
    CACHE = "fp8 cache"
    QUANTIZATION = "fp8 weights"
    OTHER_GPUS_AND_QUANTIZATION = "other GPUs, fp8 weights"
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
    change: Change,
    gpu_class: str,
    asked: arrangements.Arrangement,
    before: tuple[str, int],
) -> tuple[tuple[str, str | int], ...]:
    """Returns what a claim says of a way, whose replicas had GPUs of a class, so many, before."""
    count = asked.tensor * asked.pipeline
    quantization, cache = ("model.quantization", "fp8"), ("model.kvCacheDtype", "fp8")
    former, gpus = before
    match change:
        case Change.SHARE:
            return (("gpu.memoryUtilization", f"{asked.utilization:g}"),)
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
        case Change.OTHER_GPUS_AND_QUANTIZATION:
            other = () if gpu_class == former else (("gpu.class", gpu_class),)
            counted = () if count == gpus else (("gpu.count", count),)
            return (*other, *counted, quantization)
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

_PACKED = "weights are packed into 8 bits at the start: answers can differ, so measure them"

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
        before = (gpu_class, arrangement.tensor * arrangement.pipeline)
        fields = _fields(change, name, asked, before)
        words = sentence + _held(answer, asked)
        fitting.append(Way(change, name, asked, answer, price(name, asked), words, fields))
        return True

    smaller = _smaller_share(now)
    if smaller is not None:
        holds(Change.SHARE, gpu_class, smaller, _LEFT)
    for change, asked, sentence in _on_this_card(model, card, arrangement, now, offer):
        if not {change, *_PARTS.get(change, ())} & {way.change for way in fitting}:
            holds(change, gpu_class, asked, sentence)
    for name in offer.classes:
        for count, asked in _on_class(model, name, gpu_class, arrangement, offer):
            change = Change.GPUS if name == gpu_class else Change.CLASS
            sentence = f"answers stay the same; {_taken(count, name)}"
            if holds(change, name, asked, sentence):
                break
            packed = _packed(model, offer.classes[name], asked)
            if packed is not None:
                sentence = f"{_PACKED}; {_taken(count, name)}"
                holds(Change.OTHER_GPUS_AND_QUANTIZATION, name, packed, sentence)
    order = list(Change)
    fitting.sort(
        key=lambda way: (
            way.price is None,
            way.price or 0,
            order.index(way.change),
            way.gpu_class,
        )
    )
    return tuple(_chosen(fitting))


def share(model: facts.Facts, gpu_class: str, answer: fit.Fit) -> tuple[Way, ...]:
    """Returns the share of the GPU's memory with which a doubtful model surely fits, if any.

    It is the largest of two digits that leaves what lies beside it all that it may take.

    Args:
        model: What fits, or does not.
        gpu_class: On which class of GPU.
        answer: Why nobody knows.
    """
    asked = _smaller_share(answer)
    if answer.verdict is not fit.Verdict.TIGHT or asked is None:
        return ()
    held = fit.fit(model, answer.card, asked)
    if held.verdict is not fit.Verdict.FITS:
        return ()
    before = (gpu_class, asked.tensor * asked.pipeline)
    words = _LEFT + _held(held, asked)
    fields = _fields(Change.SHARE, gpu_class, asked, before)
    return (Way(Change.SHARE, gpu_class, asked, held, None, words, fields),)


_LEFT = "the engine leaves more of each GPU to CUDA graphs and communication"


def _smaller_share(answer: fit.Fit) -> arrangements.Arrangement | None:
    """Returns the flags with a share that leaves enough beside it; None where there is enough."""
    missing, asked = -answer.size(fit.Part.FREE).low, answer.arrangement
    if missing <= 0:
        return None
    share = math.floor((asked.utilization - missing / answer.total) * 100) / 100
    return dataclasses.replace(asked, utilization=share) if share > 0 else None


def _chosen(fitting: Sequence[Way]) -> Sequence[Way]:
    """Returns the first ways, and of other GPUs with packed weights the first alone.

    They are the cheapest of all where prices follow memory, and who wants the same answers is to
    see ways too. None is offered where packed weights fit the GPUs that were asked for.
    """
    both = Change.OTHER_GPUS_AND_QUANTIZATION
    most = 0 if any(way.change is Change.QUANTIZATION for way in fitting) else 1
    packed = [way for way in fitting if way.change is both][:most]
    return [way for way in fitting if way.change is not both or way in packed][:MOST_WAYS]


def _on_class(
    model: facts.Facts,
    name: str,
    gpu_class: str,
    arrangement: arrangements.Arrangement,
    offer: Offer,
) -> Iterator[tuple[int, arrangements.Arrangement]]:
    """Yields the numbers of GPUs of a class that may share the model, and the flags with them."""
    for count in offer.counts.get(name, _COUNTS):
        tensor, rest = divmod(count, arrangement.pipeline)
        same = name == gpu_class and tensor <= arrangement.tensor
        if not rest and not same and divides(model, tensor):
            yield count, dataclasses.replace(arrangement, tensor=tensor)


def _held(answer: fit.Fit, asked: arrangements.Arrangement) -> str:
    """Returns what a way buys, in words that follow the rest."""
    if not math.isfinite(answer.sequences.low):
        return ""
    held = fit.tenths(min(answer.sequences.low, asked.sequences))
    return f"; at least {held} of {asked.sequences} requests may have {asked.context} tokens"


def _taken(count: int, name: str) -> str:
    where = f"{count} GPUs of one node" if count > 1 else "a GPU"
    return f"each replica takes {where} of class {name}"


def _packed(
    model: facts.Facts, card: cards.Card, arrangement: arrangements.Arrangement
) -> arrangements.Arrangement | None:
    """Returns the flags with weights packed at the start, or None where vLLM cannot."""
    wide = arrangement.cast(model).dtype_bytes > _PACKED_FROM
    plain = model.quantization is None and arrangement.quantization is None
    if wide or not plain or card.name.startswith(_BEFORE_MARLIN):
        return None
    return dataclasses.replace(arrangement, quantization="fp8")


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
    packed = _packed(model, card, arrangement)
    if packed is not None:
        words = _PACKED
        if card.fp8 is False:
            words += f"; {card.name} unpacks them as it multiplies, so prompts get no faster"
        yield Change.QUANTIZATION, packed, words
        if halves_cache:
            yield (
                Change.QUANTIZATION_AND_CACHE,
                replace(packed, cache_dtype="fp8"),
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
