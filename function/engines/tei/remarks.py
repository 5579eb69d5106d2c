"""What authors may not expect of a replica: for the claim's condition, and for findings alike."""

from collections.abc import Iterator

from function.api import base
from function.capacity import quantity
from function.engines import engine
from function.engines.tei import authored, memory, serving


def remarks(plan: engine.Planned) -> Iterator[str]:
    """Yields all of it."""
    planned = serving.of(plan.serving)
    every = (cut(plan), below(plan), pending(plan))
    yield from (words for words in every if words is not None)
    yield from (words for _, words in planned.overruled)


def uncut(plan: engine.Planned) -> bool:
    """Tells whether the author wants no text cut."""
    return authored.value(plan.spec, "auto-truncate") == "false"


def cut(plan: engine.Planned) -> str | None:
    """Returns that texts of the model may be longer than a batch, or None."""
    planned = serving.of(plan.serving)
    model, window = planned.model, planned.context_window
    if model is None or window is None or window >= model.context:
        return None
    becomes = "the engine ends" if uncut(plan) else "longer texts are cut without a word"
    words = (
        f"a batch has {window} tokens, and texts of {model.name} have up to {model.context}:"
        f" {becomes};"
    )
    whole = None if planned.memory is None else serving.whole(model, planned.computes_in)
    if whole is None:
        return f"{words} set --max-batch-tokens={model.context}"
    node = plan.site.cpu.node_memory
    if node is not None and quantity.parse(node) < whole.bytes:
        way = f"name spec.gpu for whole ones, which take {whole.gib}Gi of memory on CPUs"
        return f"{words} nodes have {node} (the settings' cpu.nodeMemory): {way}"
    if planned.batch_tokens is None:
        way = f"set --max-batch-tokens={model.context}"
        return f"{words} {way}, which takes {whole.gib}Gi of memory"
    return f"{words} set spec.resources.limits.memory to {whole.gib}Gi for whole ones"


def below(plan: engine.Planned) -> str | None:
    """Returns that the limit is below what the start takes, with its ways out, or None."""
    taken, limit = serving.of(plan.serving).memory, plan.hardware.limits["memory"]
    if taken is None or quantity.parse(limit) >= taken.bytes:
        return None
    way = f"set spec.resources.limits.memory to {taken.gib}Gi"
    lesser = None if uncut(plan) else taken.within(int(quantity.parse(limit)))
    if lesser is not None:
        way += (
            f", or write --max-batch-tokens={lesser} in spec.engineArgs and have longer texts cut"
        )
    return f"a replica takes {taken.words}, and the limit is {limit}: {way}"


def pending(plan: engine.Planned) -> str | None:
    """Returns that common nodes lack what a replica takes, or None.

    None too where the author or the settings say how much there is: those know.
    """
    planned, resources = serving.of(plan.serving), plan.spec.resources
    taken = planned.memory
    stated = (base.of(resources, "limits") or {}) | (base.of(resources, "requests") or {})
    bounded = "memory" in stated or planned.batch_tokens is None
    if bounded or plan.site.cpu.node_memory is not None:
        return None
    if taken is None or taken.gib <= memory.USUAL_GIB:
        return None
    way = "name spec.gpu, or the memory of the nodes in the settings' cpu.nodeMemory"
    if uncut(plan):
        lesser = serving.longest(taken, serving.room(plan.spec, plan.site))
        _, name = authored.places(plan.spec)["auto-truncate"]
        way = f"take {name} away and have texts cut at {lesser} tokens, {way}"
    return f"a replica takes {taken.words}, and waits for a node that has as much: {way}"
