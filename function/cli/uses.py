"""What a model can be served for, and what that asks of an engine."""

import dataclasses

from function.capacity import facts, loads


@dataclasses.dataclass(frozen=True)
class Use:
    """One use.

    Attributes:
        name: As it is chosen.
        requests: The workload of its usual requests, or None where a request leaves nothing in a
            KV cache.
        context: Tokens of the longest request that has to be answered, where the model has them.
        words: What its requests are, for a comment.
    """

    name: str
    requests: str | None
    context: int
    words: str

    @property
    def workload(self) -> loads.Workload | None:
        """What its usual requests are."""
        return None if self.requests is None else loads.WORKLOADS[self.requests]

    @property
    def runner(self) -> facts.Runner:
        """What the engine runs the model for."""
        return facts.Runner.POOLING if self.workload is None else facts.Runner.GENERATE


# Contexts are powers of two, some ten times a talk and five times a coding agent's request: both
# have long tails.
USES = {
    use.name: use
    for use in (
        Use("chat", loads.USUAL, 16384, "talks"),
        Use("code", "agent", 65536, "coding agents that send the whole talk"),
        Use("embeddings", None, 8192, "texts of which vectors are made"),
    )
}

# The shortest contextWindow that a claim can name.
SHORTEST_CONTEXT = 1024
# Tokens below which no context is offered, unless the model itself has fewer.
LEAST_CONTEXT = 4096


def usual(model: facts.Facts | None) -> Use:
    """Returns what a model is served for where nobody says."""
    pools = model is not None and model.runner is facts.Runner.POOLING
    return USES["embeddings" if pools else "chat"]


def contexts(use: Use, model: facts.Facts) -> list[int]:
    """Returns the contexts that are tried, the longest first."""
    longest = min(use.context, model.context)
    if use.workload is None:
        return [longest]
    halves = [longest]
    while halves[-1] // 2 >= LEAST_CONTEXT:
        halves.append(halves[-1] // 2)
    return halves
