"""A first claim for a model: on which GPUs it fits, and how large it is set up."""

import dataclasses
import decimal
import itertools
import math
from collections.abc import Iterable, Iterator
from typing import Any

from function import plural
from function.api import base, claim, settings
from function.capacity import allotments, cards, facts, fit, prices, ways_out
from function.cli import uses
from function.cluster import checkpoints
from function.engines import adviser, advisers, engine
from function.planning import hardware, plans, prospects, scaling

# What a draft has at most without a cap of the settings, as a claim that names no number.
MOST_REPLICAS = scaling.MAX_REPLICAS
# The most that `gpu.count` of a claim can be.
_MOST_GPUS = 8
# The Secret with the hub's token that settings grant unless they are asked not to.
TOKEN_SECRET = {"name": "hf-token", "key": "token"}
# Running requests as a share of those that a replica holds, at which another one is wanted.
_BUSY = 0.7


class NothingFitsError(ValueError):
    """The model fits on no class that may be chosen; the message says what was tried."""


class UnknownError(ValueError):
    """Nothing is known of the model, or of the GPUs; the message says how to make it known."""


@dataclasses.dataclass(frozen=True)
class Wish:
    """What somebody asks for.

    Attributes:
        repository: The model.
        name: The claim's name.
        namespace: The claim's namespace, or None for none.
        revision: Of the repository.
        use: What it is to serve, or None for what the model is made for.
        gpu_class: The class of GPU, or None for the cheapest.
        form: Facts that the claim states itself, or None.
        gated: Whether the hub asks for a token.
    """

    repository: str
    name: str
    namespace: str | None = None
    revision: str = "main"
    use: uses.Use | None = None
    gpu_class: str | None = None
    form: dict[str, Any] | None = None
    gated: bool = False


@dataclasses.dataclass(frozen=True)
class Offer:
    """A way to set the model up.

    Attributes:
        gpu_class: The class of GPU.
        gpus: GPUs of a replica.
        quantization: `fp8` to pack the weights at the start, or None.
        card: One GPU.
        price: Of a replica in an hour, or None.
        share: Of each GPU's memory, where the one that follows leaves too little beside it.
    """

    gpu_class: str
    gpus: int
    quantization: str | None
    card: cards.Card
    price: decimal.Decimal | None
    share: str | None = None

    @property
    def order(self) -> tuple[Any, ...]:
        """The cheapest first; without a price the one with the least memory."""
        memory = self.card.memory_gib * self.gpus
        packed = self.quantization is not None
        return (self.price is None, self.price or 0, memory, self.gpus, packed, self.gpu_class)


@dataclasses.dataclass(frozen=True)
class Draft:
    """A claim that fits.

    Attributes:
        wish: What was asked for.
        use: What it serves.
        offer: How it is set up.
        spec: The claim's spec.
        plan: What is decided about the claim.
        outlook: Whether it fits.
        answer: Why it fits.
        usual: Tokens of a usual request in the KV cache; 0 for a use that leaves none there.
        cheaper: The same context on the cheapest GPUs that hold too few of it, or None.
    """

    wish: Wish
    use: uses.Use
    offer: Offer
    spec: dict[str, Any]
    plan: plans.Plan
    outlook: engine.Outlook
    answer: fit.Fit
    usual: float
    cheaper: "Draft | None" = None

    @property
    def held(self) -> float:
        """Usual requests that the KV cache surely holds; without end where they leave nothing."""
        return self.answer.tokens.low / self.usual if self.usual else math.inf

    @property
    def cost(self) -> prices.Cost | None:
        """What the claim costs in an hour, or None where the class has no price."""
        price = prices.tariff(self.plan.site, self.offer.gpu_class)
        if price is None:
            return None
        scale, gpus = self.plan.scaling, self.offer.gpus
        asked = prices.Claim(
            self.wish.name, self.offer.gpu_class, gpus, scale.minimum, scale.maximum
        )
        return prices.hourly(asked, price)


def document(wish: Wish, spec: dict[str, Any]) -> dict[str, Any]:
    """Returns a claim."""
    place = {} if wish.namespace is None else {"namespace": wish.namespace}
    return {
        "apiVersion": f"{claim.GROUP}/{claim.VERSION}",
        "kind": claim.KIND,
        "metadata": {"name": wish.name, **place},
        "spec": spec,
    }


def unknown(wish: Wish) -> dict[str, Any]:
    """Returns the spec of a claim of which nothing is known: without derived numbers."""
    spec: dict[str, Any] = {"model": _model(wish)}
    if wish.use is not None:
        spec["model"]["runner"] = wish.use.runner.value
    if wish.gpu_class is not None:
        spec["gpu"] = {"count": 1, "class": wish.gpu_class}
    return spec


def model_of(wish: Wish, site: settings.Settings) -> facts.Facts | None:
    """Returns the facts of the model, or None where nobody knows it."""
    spec = claim.Spec.model_validate({"model": _model(wish)})
    return prospects.prospect(spec, site, checkpoints.UNREAD).model


def draft(wish: Wish, site: settings.Settings) -> Draft:
    """Returns a claim that fits.

    Raises:
        UnknownError: Nothing is known of the model, or of any GPU that may be chosen.
        NothingFitsError: The model fits on none of them, or is not made for the use.
        base.InvalidError: The settings refuse such a claim.
    """
    model = model_of(wish, site)
    if model is None:
        raise UnknownError(f"nothing is known of {wish.repository}")
    wish = dataclasses.replace(wish, gated=model.gated)
    use = wish.use or uses.usual(model)
    if use.runner is not model.runner:
        made = "make vectors" if model.runner is facts.Runner.POOLING else "generate text"
        raise NothingFitsError(
            f"{model.name} is made to {made}: --for {use.name} needs another model"
        )
    every = sorted(_offers(model, wish, site), key=lambda offer: offer.order)
    if not every:
        raise UnknownError(_no_card(wish, site))
    contexts = uses.contexts(use, model)
    # A shorter context is noticed by users, another class is not: all classes come first.
    for requests, context in itertools.product((allotments.LEAST_SEQUENCES, 1), contexts):
        # As where a claim names none: the shortest is taken with whatever room it leaves.
        room = 1 if (requests, context) == (1, contexts[-1]) else site.capacity.full_sequences
        for offer in every:
            sized = _sized(model, site, use, offer, (context, room))
            if sized is None:
                continue
            drafted = _tried(wish, site, use, sized[0], context, sized[1])
            if drafted is not None and drafted.held >= requests:
                less = _cheaper(model, every, drafted, context)
                return dataclasses.replace(drafted, cheaper=less)
    raise NothingFitsError(_nothing(model, wish, site, use, every[-1], contexts[-1]))


def _model(wish: Wish) -> dict[str, Any]:
    model: dict[str, Any] = {"repository": wish.repository, "revision": wish.revision}
    if wish.form is not None:
        model["facts"] = wish.form
    if wish.gated:
        model["tokenSecretRef"] = TOKEN_SECRET
    return model


def _offers(model: facts.Facts, wish: Wish, site: settings.Settings) -> Iterator[Offer]:
    """Yields each way to set the model up on the classes that may be chosen."""
    for name, gpu in site.gpu.classes.items():
        card = prospects.card_of(name, gpu)
        if card is None or wish.gpu_class not in (None, name):
            continue
        price = None if gpu.price_per_hour is None else decimal.Decimal(gpu.price_per_hour)
        most = min(_MOST_GPUS, gpu.node_gpus, site.limits.max_gpus or _MOST_GPUS)
        if hardware.sliced(gpu, gpu.resource_name):
            most = min(most, 1)
        packings = ["fp8"] if card.fp8 and model.quantization is None else []
        for gpus in range(1, most + 1):
            if not ways_out.divides(model, gpus):
                continue
            for quantization in (None, *packings):
                yield Offer(name, gpus, quantization, card, None if price is None else price * gpus)


def _sized(
    model: facts.Facts,
    site: settings.Settings,
    use: uses.Use,
    offer: Offer,
    wanted: tuple[int, int],
) -> tuple[Offer, int] | None:
    """Returns the offer with its share, and how many requests run at once.

    None where the context has not enough room.

    By the rule of a claim that names neither, without a plan, which takes ten times as long.

    Args:
        model: What is served.
        site: The settings.
        use: What it serves.
        offer: How it is set up.
        wanted: The longest request, and how many of it there has to be room for.
    """
    context, room = wanted
    advice = advisers.default()

    def trial(tokens: int, sequences: int) -> fit.Fit | None:
        setup = adviser.Setup(tokens, sequences, offer.gpus, offer.quantization)
        return advice.fits(model, offer.card, setup, site)

    sequences = advice.MAX_REQUESTS
    if use.workload is None:
        room = 1
    else:
        shortest = min(context, allotments.SHORTEST_CONTEXT)
        usual = use.workload.held(context)
        sequences = allotments.sequences(usual, lambda tried: trial(shortest, tried))
    answer = trial(context, sequences)
    if answer is None:
        return None
    for way in ways_out.share(model, offer.gpu_class, answer):
        answer, offer = way.answer, dataclasses.replace(offer, share=str(dict(way.fields)[_SHARE]))
    if answer.verdict is not fit.Verdict.FITS or not allotments.roomy(answer, room):
        return None
    return offer, sequences


# What a way out names, below `spec`.
_SHARE = "gpu.memoryUtilization"


def _tried(
    wish: Wish,
    site: settings.Settings,
    use: uses.Use,
    offer: Offer,
    context: int,
    sequences: int,
) -> Draft | None:
    """Returns a claim on an offer, or None when it does not fit.

    Args:
        wish: What is asked for.
        site: The settings.
        use: What it serves.
        offer: How it is set up.
        context: The longest request.
        sequences: Requests that run at once.
    """
    spec, plan = _planned(wish, site, use, offer, context, sequences)
    outlook = plan.serving.outlook
    answer = None if outlook is None else outlook.fit
    if outlook is None or answer is None or plan.misfit is not None:
        return None
    if answer.verdict is not fit.Verdict.FITS:
        return None
    usual = 0.0 if use.workload is None else use.workload.held(context)
    drafted = Draft(wish, use, offer, spec, plan, outlook, answer, usual)
    spec["scaling"]["triggers"] = _triggers(use, min(float(sequences), drafted.held))
    return dataclasses.replace(drafted, plan=_plan(wish, site, spec))


def _cheaper(
    model: facts.Facts, offers: Iterable[Offer], chosen: Draft, context: int
) -> Draft | None:
    """Returns the cheapest claim that holds the context once, and costs less than the chosen one.

    Args:
        model: What is served.
        offers: Ways to set the model up, the cheapest first.
        chosen: The claim that is written.
        context: The longest request.
    """
    wish, site, use = chosen.wish, chosen.plan.site, chosen.use
    for offer in offers:
        if offer.price is None or chosen.offer.price is None or offer.price >= chosen.offer.price:
            return None
        sized = _sized(model, site, use, offer, (context, 1))
        if sized is not None:
            less = _tried(wish, site, use, sized[0], context, sized[1])
            if less is not None:
                return less
    return None


def unpacked(draft: Draft) -> fit.Fit | None:
    """Returns what its GPUs hold of the same claim without quantization; None where they do not."""
    flags = draft.outlook.flags
    offer = dataclasses.replace(draft.offer, quantization=None)
    _, plan = _planned(
        draft.wish, draft.plan.site, draft.use, offer, flags.context, flags.sequences
    )
    outlook = plan.serving.outlook
    answer = None if outlook is None else outlook.fit
    if answer is None or answer.verdict is fit.Verdict.TOO_LARGE:
        return None
    return answer


def _triggers(use: uses.Use, held: float) -> dict[str, Any]:
    """Returns triggers that can fire.

    Args:
        use: What is served.
        held: Usual requests that a replica runs at once.
    """
    running = max(round(_BUSY * held, 1), 0.1)
    triggers: dict[str, Any] = {"running": {"target": f"{running:g}"}}
    if use.workload is None:
        # Nothing stays in the cache of a pooling model.
        triggers["kvCache"] = {"enabled": False}
    return triggers


def _planned(
    wish: Wish,
    site: settings.Settings,
    use: uses.Use,
    offer: Offer,
    context: int,
    sequences: int,
) -> tuple[dict[str, Any], plans.Plan]:
    """Returns a claim's spec, without triggers, and its plan."""
    model = _model(wish) | {
        "runner": use.runner.value,
        **({} if offer.quantization is None else {"quantization": offer.quantization}),
        # The engine takes the model's own context, which may be shorter than a claim can name.
        **({} if context < uses.SHORTEST_CONTEXT else {"contextWindow": context}),
        "maxNumSeqs": sequences,
    }
    cap = site.limits.max_gpus
    most = MOST_REPLICAS if cap is None else min(MOST_REPLICAS, cap // offer.gpus)
    spec = {
        "model": model,
        "gpu": {
            "count": offer.gpus,
            "class": offer.gpu_class,
            **({} if offer.share is None else {"memoryUtilization": offer.share}),
        },
        "cache": {"prefixCache": {"enabled": use.workload is not None}},
        "scaling": {"minReplicas": 1, "maxReplicas": most},
    }
    return spec, _plan(wish, site, spec)


def _plan(wish: Wish, site: settings.Settings, spec: dict[str, Any]) -> plans.Plan:
    resource = base.parse(claim.InferenceService, document(wish, spec), what="claim")
    return plans.make(resource, site, checkpoints.Facts())


def _no_card(wish: Wish, site: settings.Settings) -> str:
    names = [wish.gpu_class] if wish.gpu_class is not None else sorted(site.gpu.classes)
    return (
        f"the settings do not say what GPUs {', '.join(names)} has: set"
        f" gpu.classes.{names[0]}.product (NVIDIA-L4, for example) or memoryGiB, and give the"
        " EnvironmentConfig with --environment"
    )


def _nothing(
    model: facts.Facts,
    wish: Wish,
    site: settings.Settings,
    use: uses.Use,
    largest: Offer,
    context: int,
) -> str:
    """Returns that nothing fits, with the arithmetic of the largest offer."""
    _, plan = _planned(wish, site, use, largest, context, allotments.LEAST_SEQUENCES)
    outlook = plan.serving.outlook
    answer = None if outlook is None else outlook.fit
    where = f"class {wish.gpu_class}" if wish.gpu_class is not None else "any class of the settings"
    why = "" if plan.misfit is None else plan.misfit.message
    if answer is not None and answer.verdict is not fit.Verdict.FITS:
        why = answer.sentence
    return (
        f"{model.name} does not fit on {where}, not even on {plural.of(largest.gpus, 'GPU')} of"
        f" class {largest.gpu_class} with {context} tokens: {why}"
    )
