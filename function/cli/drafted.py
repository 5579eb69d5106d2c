"""The text of a first claim: each field with why it is what it is, and what to change."""

from collections.abc import Iterator
from typing import Any

from function import plural
from function.capacity import allotments, facts, fit, prices, thresholds
from function.cli import annotated, drafts, uses
from function.engines import advisers
from function.planning import forecasts

_GIB = fit.GIB

Field = annotated.Field


def text(draft: drafts.Draft) -> str:
    """Returns a claim that fits, as text."""
    use, offer = draft.use, draft.offer
    head = (
        f"{draft.wish.repository} for {use.name} ({use.words}) on"
        f" {_gpus(offer.gpus)} of class {offer.gpu_class}."
    )
    fields = (
        _model(draft),
        Field("gpu", tuple(_gpu(draft))),
        Field("cache", (_prefix(use),)),
        Field("scaling", tuple(_scaling(draft))),
    )
    return _document(draft.wish, head, fields)


def unknown(wish: drafts.Wish, spec: dict[str, Any], why: str) -> str:
    """Returns a claim of which nothing is known, as text."""
    advice = advisers.default()
    head = f"{wish.repository}. Whether it fits is not known: {why}."
    model = Field(
        "model",
        (
            *_source(wish),
            *(Field(name, spec["model"][name]) for name in ("runner",) if name in spec["model"]),
        ),
        (
            f"{advice.CONTEXT_WINDOW} tokens of context and {advice.MAX_REQUESTS} requests at once:"
            " contextWindow and maxNumSeqs say otherwise.",
        ),
    )
    rest = (Field("gpu", spec["gpu"]),) if "gpu" in spec else ()
    return _document(wish, head, (model, *rest))


def _document(wish: drafts.Wish, head: str, fields: tuple[annotated.Field, ...]) -> str:
    whole = drafts.document(wish, {})
    return annotated.text(
        (
            Field("apiVersion", whole["apiVersion"], (head,)),
            Field("kind", whole["kind"]),
            Field("metadata", whole["metadata"]),
            Field("spec", fields),
        )
    )


def _source(wish: drafts.Wish) -> Iterator[annotated.Field]:
    yield Field("repository", wish.repository)
    pin = (
        ("A branch moves: pin the commit that you tested (--hub writes today's).",)
        if wish.revision == "main"
        else ()
    )
    yield Field("revision", wish.revision, pin)
    if wish.form is not None:
        why = "The catalogue does not have this model: fit and defaults follow from this."
        yield Field("facts", wish.form, (why,))
    if wish.gated:
        yield Field(
            "tokenSecretRef",
            drafts.TOKEN_SECRET,
            (
                "The hub asks for a licence to be accepted: accept it, and make this Secret with"
                " your token.",
            ),
        )


def _model(draft: drafts.Draft) -> annotated.Field:
    spec, answer = draft.spec["model"], draft.answer
    fields = [*_source(draft.wish)]
    fields.append(Field("runner", spec["runner"]))
    if "quantization" in spec:
        why = (
            "Packs the 16-bit weights into 8 bits at the start: answers can differ, so measure"
            f" them. {_unpacked(draft)}"
        )
        fields.append(Field("quantization", spec["quantization"], (why,)))
    if "contextWindow" in spec:
        fields.append(Field("contextWindow", spec["contextWindow"], tuple(_context(draft))))
    fields.append(Field("maxNumSeqs", spec["maxNumSeqs"], (_sequences(draft),)))
    model = draft.outlook.prospect.model
    weights = answer.size(fit.Part.WEIGHTS).best / _GIB
    words = f"Weights take {weights:.1f} GiB of {answer.total / _GIB:.1f} GiB of each GPU."
    return Field("model", tuple(fields), (words, *_parsers(model, draft.use)))


def _unpacked(draft: drafts.Draft) -> str:
    """Returns what the claim would be without its quantization."""
    answer = drafts.unpacked(draft)
    if answer is None:
        return "Without this line the model needs more GPUs, or a larger class."
    if draft.use.workload is None:
        return "Without this line the weights take twice the memory."
    without, held = (f"{max(each.sequences.low, 0):.1f}" for each in (answer, draft.answer))
    return f"Without this line the KV cache holds {without} sequences of this length, not {held}."


def _parsers(model: facts.Facts | None, use: uses.Use) -> Iterator[str]:
    if model is None or use.workload is None:
        return
    parsers = {"toolCallParser": model.tool_parser, "reasoningParser": model.reasoning_parser}
    family = ", ".join(f"{name} {parser}" for name, parser in parsers.items() if parser)
    if family:
        yield f"Parsers of the model's family are on: {family}. `none` switches one off."


def _context(draft: drafts.Draft) -> Iterator[str]:
    context, use = draft.outlook.flags.context, draft.use
    if use.workload is None:
        yield f"Longer texts are refused. {_own(draft)}"
        return
    answer = draft.answer
    yield (
        f"The KV cache holds {answer.tokens.low:.0f} tokens at least:"
        f" {plural.of(f'{answer.sequences.low:.1f}', 'sequence')} of this length. {_own(draft)}"
    )
    longest = uses.contexts(use, _facts(draft))[0]
    if context < longest:
        yield (
            f"{use.words.capitalize()} want {longest} tokens, and no class that may be chosen holds"
            " enough of them."
        )


def _facts(draft: drafts.Draft) -> facts.Facts:
    model = draft.outlook.prospect.model
    if model is None:
        raise drafts.UnknownError(draft.wish.repository)
    return model


def _own(draft: drafts.Draft) -> str:
    return f"The model itself has {_facts(draft).context}."


def _sequences(draft: drafts.Draft) -> str:
    if draft.use.workload is None:
        return "Requests that one replica runs at once; more wait."
    held = draft.answer.tokens.low / draft.usual
    return (
        f"Requests that one replica runs at once; more wait. The KV cache holds {held:.0f} usual"
        f" ones of {draft.usual:.0f} tokens (workload {draft.use.requests}:"
        f" {draft.use.workload.source})."
    )


def _gpu(draft: drafts.Draft) -> Iterator[annotated.Field]:
    offer = draft.offer
    shared = f"{offer.gpus} GPUs of one node share each layer." if offer.gpus > 1 else ""
    yield Field("count", offer.gpus, (shared,) if shared else ())
    yield Field("class", offer.gpu_class, (_money(draft), *_cheaper(draft)))
    if offer.share is not None:
        why = (
            "A larger share leaves CUDA graphs and what GPUs tell each other too little beside it."
        )
        yield Field("memoryUtilization", offer.share, (why,))


def _money(draft: drafts.Draft) -> str:
    cost, scale = draft.cost, draft.plan.scaling
    if cost is None:
        return (
            f"The settings have no price of this class: set gpu.classes.{draft.offer.gpu_class}"
            ".pricePerHour to see what it costs."
        )
    date = f" (prices of {cost.date})" if cost.date else ""
    least, most = (prices.text(one, cost.currency) for one in (cost.minimum, cost.maximum))
    if scale.minimum == scale.maximum:
        return f"{least} an hour{date}."
    return f"{least} an hour at minReplicas, {most} at maxReplicas{date}."


def _cheaper(draft: drafts.Draft) -> Iterator[str]:
    """Yields what GPUs that cost less hold: too little for what the settings or the use want."""
    less = draft.cheaper
    cost = None if less is None else less.cost
    if less is None or cost is None:
        return
    price = prices.text(cost.minimum, cost.currency)
    offer, room = less.offer, draft.plan.site.capacity.full_sequences
    packed = ", packed into 8 bits," if offer.quantization and not draft.offer.quantization else ""
    words = f"On {_gpus(offer.gpus)} of class {offer.gpu_class}{packed} it costs {price} an hour,"
    if less.answer.sequences.best < room:
        held = plural.of(f"{less.answer.sequences.low:.1f}", "sequence")
        want = f"the settings want room for {room} (capacity.fullSequences)"
        yield f"{words} and the KV cache holds {held} of this length: {want}."
    elif less.usual:
        want = f"fewer than {allotments.LEAST_SEQUENCES} is little"
        yield f"{words} and the KV cache holds {less.held:.1f} usual requests: {want}."


def _prefix(use: uses.Use) -> annotated.Field:
    if use.workload is None:
        why = "Nothing of a text is used again."
    else:
        why = "What requests begin with alike, such as the talk so far, is computed once."
    return Field("prefixCache", {"enabled": use.workload is not None}, (why,))


def _scaling(draft: drafts.Draft) -> Iterator[annotated.Field]:
    scale = draft.spec["scaling"]
    yield Field(
        "minReplicas",
        scale["minReplicas"],
        ("0 gives the GPUs back while nobody asks, where the settings have a wake query.",),
    )
    yield Field("maxReplicas", scale["maxReplicas"], ("What you can pay for.",))
    triggers = scale["triggers"]
    bound = _binding(draft)
    why = (
        "A replica is wanted above this many running requests, 70 % of those that one holds; the"
        " autoscaler adds one a tenth above it."
    )
    fields = [Field("running", triggers["running"], (why, *([bound.sentence] if bound else [])))]
    if "kvCache" in triggers:
        fields.append(
            Field("kvCache", triggers["kvCache"], ("Vectors leave nothing in a KV cache.",))
        )
    yield Field("triggers", tuple(fields))


def _binding(draft: drafts.Draft) -> thresholds.Binding | None:
    """Returns which trigger fires first for usual requests."""
    workload = draft.use.workload
    return None if workload is None else forecasts.triggers(draft.plan, workload)


def _gpus(count: int) -> str:
    return "a GPU" if count == 1 else f"{count} GPUs"
